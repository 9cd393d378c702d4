/* bailiwick check */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "bailiwick/cli.h"
#include "ca/ca.h"
#include "core/util/mem.h"

static const char HELP[] =
    "Usage: bailiwick check [--config PATH]\n\n"
    "Read the configuration from file and environment, and print what it means, or\n"
    "every problem with file, line and column. Nothing is opened or changed.\n\n"
    "Options:\n" CLI_CONFIG_HELP "\n"
    "Examples:\n"
    "  bailiwick check --config ./bailiwick.yaml\n"
    "  bailiwick check && systemctl restart bailiwick\n\n"
    "Exit codes: 0 the configuration is good, 2 wrong usage, 3 it is not.\n";

static void print_endpoints(const char *label, const struct ip_endpoint *list, size_t n)
{
    (void)printf("  %-15s", label);
    for (size_t i = 0; i < n; i++) {
        char text[IP_TEXT_MAX + 10];
        ip_endpoint_text(&list[i], text);
        (void)printf("%s%s", i == 0 ? "" : " ", text);
    }
    (void)puts(n == 0 ? "none" : "");
}

static void print_nets(const struct ip_net *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[IP_TEXT_MAX + 5];
        ip_net_text(&list[i], text);
        (void)printf(" %s", text);
    }
}

static void print_servers(const struct ip_endpoint *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[IP_TEXT_MAX + 10];
        ip_endpoint_text(&list[i], text);
        (void)printf(" %s", text);
    }
}

static void print_transfer(const struct config_zone *zone)
{
    if (zone->transfer_allow_n == 0 && zone->transfer_key[0] == '\0') {
        return;
    }
    (void)printf("  %-15stransfer", "");
    if (zone->transfer_allow_n > 0) {
        (void)printf(" to");
        print_nets(zone->transfer_allow, zone->transfer_allow_n);
    }
    if (zone->transfer_key[0] != '\0') {
        (void)printf(" with the key of %s", zone->transfer_key);
    }
    if (zone->transfer_notify_n > 0) {
        (void)printf(", telling");
        print_servers(zone->transfer_notify, zone->transfer_notify_n);
    }
    (void)puts("");
}

static void print_zone(const struct config_zone *zone)
{
    (void)printf("  %-15s%s, %s, ingress", "zone", zone->name,
                 zone->is_plain    ? "served plain"
                 : zone->is_served ? "served"
                                   : "not served here");
    for (size_t i = 0; i < zone->ingress_n; i++) {
        char text[IP_TEXT_MAX + 1];
        ip_text(&zone->ingress[i], text);
        (void)printf(" %s", text);
    }
    (void)puts(zone->ingress_n == 0 ? " none" : "");
    if (zone->file[0] != '\0') {
        (void)printf("  %-15sfile %s\n", "", zone->file);
    }
    print_transfer(zone);
}

/* What is not default in dns:. */
static void print_dns(const struct config_dns *dns)
{
    if (dns->rate_limit > 0) {
        (void)printf("  %-15s%" PRId64 " UDP answers a second to one network\n", "rate limit",
                     dns->rate_limit);
    }
    if (dns->query_log) {
        (void)printf("  %-15son\n", "query log");
    }
    if (dns->forward_networks_n == 0) {
        return;
    }
    (void)printf("  %-15sfor", "forwarding");
    print_nets(dns->forward_networks, dns->forward_networks_n);
    if (dns->upstreams_n > 0) {
        (void)printf(", to");
        print_servers(dns->upstreams, dns->upstreams_n);
    }
    (void)puts("");
    for (size_t i = 0; i < dns->routes_n; i++) {
        (void)printf("  %-15s%s to", "", dns->routes[i].name);
        print_servers(dns->routes[i].servers, dns->routes[i].servers_n);
        (void)puts("");
    }
}

static void print_preauthorized(const struct config_client *client)
{
    (void)printf("  %-15s%s gets its names without a challenge, from", "preauthorized",
                 client->name);
    print_nets(client->networks, client->networks_n);
    (void)puts(client->networks_n == 0 ? " anywhere" : "");
}

static void print_profile(void *ctx, const struct ca_profile *profile)
{
    const char **label = ctx;

    (void)printf("  %-15s%s: %s\n", *label, profile->name, profile->description);
    *label = "";
}

/* --- what is not default in acme: and validation: ---------------------------------------------- */

enum setting_kind {
    SETTING_NUMBER,
    SETTING_SECONDS,
    SETTING_BOOL,
    SETTING_TEXT,
    SETTING_CAA,
    SETTING_NAMES,
    SETTING_NETS
};

static const struct setting {
    const char *block, *key;
    enum setting_kind kind;
    size_t offset, n_offset;
} SETTINGS[] = {
#define AT(member) offsetof(struct config_acme, member), 0
#define AT_LIST(member)                                                                            \
    offsetof(struct config_acme, member), offsetof(struct config_acme, member##_n)
    {"acme", "terms_of_service", SETTING_TEXT, AT(terms_of_service)},
    {"acme", "external_account_required", SETTING_BOOL, AT(external_account_required)},
    {"acme", "authorization_reuse", SETTING_SECONDS, AT(authorization_reuse_s)},
    {"acme", "retry_after", SETTING_SECONDS, AT(retry_after_s)},
    {"acme", "orders_per_page", SETTING_NUMBER, AT(orders_per_page)},
    {"acme", "min_rsa_bits", SETTING_NUMBER, AT(min_rsa_bits)},
    {"acme", "blocked_names", SETTING_NAMES, AT_LIST(blocked_names)},
    {"acme", "ip_networks", SETTING_NETS, AT_LIST(ip_networks)},
    {"acme", "caa", SETTING_CAA, AT(caa)},
    {"acme", "rate_limits.new_accounts", SETTING_NUMBER, AT(limit_new_accounts)},
    {"acme", "rate_limits.orders", SETTING_NUMBER, AT(limit_orders)},
    {"acme", "rate_limits.failed_validations", SETTING_NUMBER, AT(limit_failed_validations)},
    {"acme", "rate_limits.pending_validations", SETTING_NUMBER, AT(limit_pending_validations)},
    {"validation", "http_port", SETTING_NUMBER, AT(http_port)},
    {"validation", "tls_port", SETTING_NUMBER, AT(tls_port)},
    {"validation", "allow", SETTING_NETS, AT_LIST(allow)},
#undef AT
#undef AT_LIST
};

static void put_seconds(struct buf *out, int64_t seconds)
{
    static const struct {
        int64_t seconds;
        char unit;
    } UNITS[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    size_t i = 0;

    if (seconds == 0) {
        buf_putc(out, '0');
        return;
    }
    while (seconds % UNITS[i].seconds != 0) {
        i++;
    }
    buf_printf(out, "%" PRId64 "%c", seconds / UNITS[i].seconds, UNITS[i].unit);
}

static void put_caa(struct buf *out, enum config_caa caa)
{
    switch (caa) {
    case CONFIG_CAA_REPORT:
        buf_puts(out, "report");
        break;
    case CONFIG_CAA_ENFORCE:
        buf_puts(out, "enforce");
        break;
    case CONFIG_CAA_OFF:
        buf_puts(out, "off");
        break;
    }
}

static void put_nets(struct buf *out, const struct ip_net *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[IP_TEXT_MAX + 5];
        ip_net_text(&list[i], text);
        buf_printf(out, "%s%s", i == 0 ? "" : " ", text);
    }
}

static void put_names(struct buf *out, char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s%s", i == 0 ? "" : " ", list[i]);
    }
}

static void put_setting(struct buf *out, const struct setting *setting,
                        const struct config_acme *acme)
{
    const char *base = (const char *)acme;
    const void *at = base + setting->offset;
    const size_t *n = (const void *)(base + setting->n_offset); /* of lists */

    switch (setting->kind) {
    case SETTING_NUMBER:
        buf_printf(out, "%" PRId64, *(const int64_t *)at);
        break;
    case SETTING_SECONDS:
        put_seconds(out, *(const int64_t *)at);
        break;
    case SETTING_BOOL:
        buf_puts(out, *(const bool *)at ? "true" : "false");
        break;
    case SETTING_TEXT:
        buf_puts(out, *(char *const *)at);
        break;
    case SETTING_CAA:
        put_caa(out, *(const enum config_caa *)at);
        break;
    case SETTING_NAMES:
        put_names(out, *(char **const *)at, *n);
        break;
    case SETTING_NETS:
        put_nets(out, *(struct ip_net *const *)at, *n);
        break;
    }
}

/* The defaults are what a file that says nothing gives. */
static void print_settings(const struct config *cfg)
{
    AUTO(config_freep) struct config *defaults = NULL;
    AUTO(buf_clear) struct buf problems = BUF_INIT(CONFIG_FILE_MAX);
    const char *block = "";

    if (config_parse("defaults", "", 0, &problems, &defaults).code != ERR_OK) {
        return;
    }
    for (size_t i = 0; i < ARRAY_N(SETTINGS); i++) {
        AUTO(buf_clear) struct buf value = BUF_INIT(CONFIG_FILE_MAX);
        AUTO(buf_clear) struct buf preset = BUF_INIT(CONFIG_FILE_MAX);
        put_setting(&value, &SETTINGS[i], &cfg->acme);
        put_setting(&preset, &SETTINGS[i], &defaults->acme);
        if (strcmp(buf_str(&value), buf_str(&preset)) != 0) {
            bool is_new = strcmp(block, SETTINGS[i].block) != 0;
            (void)printf("  %-15s%s: %s\n", is_new ? SETTINGS[i].block : "", SETTINGS[i].key,
                         buf_str(&value));
            block = SETTINGS[i].block;
        }
    }
}

static void print_summary(const struct config *cfg)
{
    (void)printf("  %-15s%s\n", "file", cfg->path == NULL ? "none" : cfg->path);
    (void)printf("  %-15s%s\n", "state", cfg->state_dir);
    (void)printf("  %-15s%s\n", "hostname", cfg->hostname);
    (void)printf("  %-15s", "addresses");
    for (size_t i = 0; i < cfg->addresses_n; i++) {
        char text[IP_TEXT_MAX + 1];
        ip_text(&cfg->addresses[i], text);
        (void)printf("%s%s", i == 0 ? "" : " ", text);
    }
    (void)printf("\n  %-15s%s/acme/directory\n", "directory", cfg->public_url);
    print_endpoints("https", cfg->listen_https, cfg->listen_https_n);
    print_endpoints("http", cfg->listen_http, cfg->listen_http_n);
    print_endpoints("dns", cfg->listen_dns, cfg->listen_dns_n);
    for (size_t i = 0; i < cfg->zones_n; i++) {
        print_zone(&cfg->zones[i]);
    }
    (void)printf("  %-15s%s\n", "delegate zone", cfg->delegate_zone);
    print_endpoints("resolvers", cfg->resolvers, cfg->resolvers_n);
    print_dns(&cfg->dns);
    (void)printf("  %-15s%zu\n", "clients", cfg->clients_n);
    for (size_t i = 0; i < cfg->clients_n; i++) {
        if (cfg->clients[i].is_preauthorized) {
            print_preauthorized(&cfg->clients[i]);
        }
    }
    const char *label = "profiles";
    ca_profile_each(&cfg->acme, print_profile, &label);
    print_settings(cfg);
}

/* A client whose names all lie outside the zones can publish, but gets nothing from us. */
static bool is_outside(const struct config *cfg, const struct config_client *client)
{
    for (size_t i = 0; i < client->names_n; i++) {
        if (client->names[i].base[0] == '\0' ||
            config_zone_of(cfg, client->names[i].base) != NULL) {
            return false;
        }
    }
    return true;
}

/* The key may be a client of the store, which is not opened here. */
static void warn_of_keys(const struct config *cfg)
{
    for (size_t i = 0; i < cfg->zones_n; i++) {
        const char *key = cfg->zones[i].transfer_key;
        bool is_known = key[0] == '\0';
        for (size_t k = 0; k < cfg->clients_n; k++) {
            is_known = is_known || strcasecmp(cfg->clients[k].name, key) == 0;
        }
        if (!is_known) {
            (void)printf("note: zone '%s' is transferred with the key of '%s', which is no client "
                         "here; add it with 'bailiwick client add %s --key-only', unless that is "
                         "done\n",
                         cfg->zones[i].name, key, key);
        }
        bool is_open = key[0] == '\0';
        for (size_t k = 0; k < cfg->zones[i].transfer_allow_n; k++) {
            if (is_open && cfg->zones[i].transfer_allow[k].prefix_len == 0) {
                (void)printf("warning: anybody may transfer zone '%s'\n", cfg->zones[i].name);
            }
        }
    }
}

static void print_warnings(const struct config *cfg)
{
    struct stat st;

    if (cfg->zones_are_default) {
        (void)puts("warning: no zones are configured; home.arpa (RFC 8375) is served");
    }
    if (cfg->is_open) {
        (void)puts("warning: open: true; whoever is in open_networks gets certificates for names "
                   "in the zones without a credential");
    }
    if (cfg->dns.hmac_md5) {
        (void)puts("warning: dns.hmac_md5: true; TSIG by HMAC-MD5 is accepted");
    }
    warn_of_keys(cfg);
    if (cfg->open_any_name) {
        (void)puts("warning: open_any_name: true");
    }
    for (size_t i = 0; i < cfg->clients_n; i++) {
        if (cfg->clients[i].names_n > 0 && is_outside(cfg, &cfg->clients[i])) {
            (void)printf("warning: all names of client '%s' lie outside the zones\n",
                         cfg->clients[i].name);
        }
        if (cfg->clients[i].is_preauthorized && cfg->clients[i].networks_n == 0) {
            (void)printf("warning: client '%s' is preauthorized without networks; whoever has its "
                         "secret gets certificates for its names from anywhere\n",
                         cfg->clients[i].name);
        }
    }
    if (cfg->path != NULL && cfg->clients_n > 0 && stat(cfg->path, &st) == 0 &&
        (st.st_mode & S_IROTH) != 0) {
        (void)printf("warning: everybody on this machine can read %s; if secrets are in it, "
                     "chmod 640 it or use secret_file\n",
                     cfg->path);
    }
}

int cmd_check(int argc, char **argv)
{
    struct cli_args args;
    AUTO(config_freep) struct config *cfg = NULL;
    int code = CLI_OK;

    if (!cli_begin(argc, argv, NULL, 0, 0, 0, HELP, &args, &code)) {
        return code;
    }
    code = cli_load_config(&args, &cfg);
    if (code != CLI_OK) {
        return code;
    }
    (void)puts("configuration ok");
    print_summary(cfg);
    print_warnings(cfg);
    return CLI_OK;
}
