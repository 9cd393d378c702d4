/* Computed defaults, then the rules that span several keys. */
#include "core/util/config_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util/mem.h"

static const struct config_where *where_of(const struct config_loader *loader, const char *key)
{
    return &loader->where[config_option_find(key) - CONFIG_OPTIONS];
}

#define PROBLEM(loader, key, ...)                                                                  \
    config_problem((loader), where_of((loader), (key)), (key), __VA_ARGS__)

static struct err default_zone(struct config_loader *loader)
{
    struct config_where where = {.source = SOURCE_DEFAULT};
    struct config_zone *zone = NULL;

    loader->cfg->zones_are_default = loader->cfg->zones_n == 0;
    if (loader->cfg->zones_n > 0) {
        return err_ok();
    }
    TRY(config_zone_new(loader, &where, &zone));
    (void)snprintf(zone->name, sizeof(zone->name), "%s", CONFIG_DEFAULT_ZONE);
    return err_ok();
}

/* The machine's name; without a dot it is put below the first zone, so that we answer for it
 * ourselves. */
static void default_hostname(struct config_loader *loader, const struct config_machine *machine)
{
    struct config *cfg = loader->cfg;
    const char *label = machine->hostname[0] == '\0' ? "ca" : machine->hostname;
    const char *zone = cfg->zones[0].name;
    char name[NAME_TEXT_MAX * 2 + 2];

    if (cfg->hostname[0] != '\0') {
        return;
    }
    bool is_bare = strchr(label, '.') != NULL || strcmp(zone, ".") == 0 || zone[0] == '\0';
    (void)snprintf(name, sizeof(name), "%s%s%s", label, is_bare ? "" : ".", is_bare ? "" : zone);
    if (name_parse(name, strlen(name), cfg->hostname, NULL).code != ERR_OK) {
        PROBLEM(loader, "hostname", "the default '%.80s' is not a DNS name; set hostname", name);
    }
}

static struct err default_public_url(struct config_loader *loader)
{
    struct config *cfg = loader->cfg;
    struct buf url = BUF_INIT(512);

    if (cfg->public_url[0] != '\0') {
        return err_ok();
    }
    buf_printf(&url, "https://%s", cfg->hostname);
    if (cfg->listen_https_n > 0 && cfg->listen_https[0].port != 443) {
        buf_printf(&url, ":%u", (unsigned)cfg->listen_https[0].port);
    }
    char *text = buf_take(&url);
    TRY_PTR(text);
    mem_free(cfg->public_url);
    cfg->public_url = text;
    return err_ok();
}

static void default_delegate_zone(struct config_loader *loader)
{
    struct config *cfg = loader->cfg;
    const char *first = cfg->zones[0].name;
    char name[NAME_TEXT_MAX + 8];

    if (cfg->delegate_zone[0] != '\0' || first[0] == '\0') {
        return;
    }
    if (strcmp(first, ".") == 0) {
        PROBLEM(loader, "delegate_zone",
                "zones: [\"%s\"] has no name to derive it from; set delegate_zone, for example to "
                "acme.svc.dev",
                ".");
        return;
    }
    (void)snprintf(name, sizeof(name), "acme.%s", first);
    if (name_parse(name, strlen(name), cfg->delegate_zone, NULL).code != ERR_OK) {
        PROBLEM(loader, "delegate_zone", "the default '%.80s' is not a DNS name; set delegate_zone",
                name);
    }
}

static bool has_every_name(const struct config *cfg)
{
    for (size_t i = 0; i < cfg->zones_n; i++) {
        if (strcmp(cfg->zones[i].name, ".") == 0) {
            return true;
        }
    }
    return false;
}

static void check_zones(struct config_loader *loader)
{
    const struct config *cfg = loader->cfg;

    for (size_t i = 0; i < cfg->zones_n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (cfg->zones[i].name[0] != '\0' &&
                strcmp(cfg->zones[i].name, cfg->zones[k].name) == 0) {
                config_problem(loader, &loader->zone_where[i], "zones", "zone '%s' is listed twice",
                               cfg->zones[i].name);
                break;
            }
        }
    }
    if (has_every_name(cfg) && cfg->is_open && !cfg->open_any_name) {
        PROBLEM(loader, "open",
                "with zones: [\"%s\"] anybody in open_networks could get any name; set "
                "open_any_name: true if that is meant",
                ".");
    }
}

/* A name as long as names get: does its short delegate name fit? */
static bool leaves_room(const char *delegate_zone)
{
    char longest[NAME_TEXT_MAX + 1];
    char out[NAME_TEXT_MAX + 1];

    memset(longest, 'a', NAME_TEXT_MAX);
    longest[NAME_TEXT_MAX] = '\0';
    return name_delegate(longest, delegate_zone, out).code == ERR_OK;
}

static void check_delegate_zone(struct config_loader *loader)
{
    const struct config *cfg = loader->cfg;

    if (cfg->delegate_zone[0] == '\0') {
        return;
    }
    for (size_t i = 0; i < cfg->zones_n; i++) {
        const char *zone = cfg->zones[i].name;
        if (strcmp(zone, cfg->delegate_zone) == 0) {
            PROBLEM(loader, "delegate_zone",
                    "'%s' is a zone itself; choose a name of its own, such as acme.<zone>", zone);
            return;
        }
        if (zone[0] != '\0' && strcmp(zone, ".") != 0 &&
            name_is_below_or_equal(zone, cfg->delegate_zone)) {
            PROBLEM(loader, "delegate_zone",
                    "zone '%s' lies inside the delegate zone, whose names are not available", zone);
        }
    }
    if (name_is_below_or_equal(cfg->hostname, cfg->delegate_zone)) {
        PROBLEM(loader, "hostname",
                "'%s' lies inside the delegate zone, whose names are not available to hosts",
                cfg->hostname);
    }
    if (!leaves_room(cfg->delegate_zone)) {
        PROBLEM(loader, "delegate_zone", "'%.80s...' is too long: at most 198 characters",
                cfg->delegate_zone);
    }
}

static void check_clients(struct config_loader *loader)
{
    const struct config *cfg = loader->cfg;

    for (size_t i = 0; i < cfg->clients_n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (cfg->clients[i].name[0] != '\0' &&
                strcmp(cfg->clients[i].name, cfg->clients[k].name) == 0) {
                config_problem(loader, &loader->client_where[i], "clients",
                               "client '%s' is listed twice", cfg->clients[i].name);
                break;
            }
        }
    }
}

/* host[:port] or [v6][:port], nothing behind. */
static bool is_authority(const char *text)
{
    struct ip_endpoint endpoint;
    char name[NAME_TEXT_MAX + 1];
    size_t n = strcspn(text, ":");

    if (ip_endpoint_parse(text, 443, &endpoint).code == ERR_OK) {
        return endpoint.port != 0 && (endpoint.addr.family == 4 || text[0] == '[');
    }
    if (name_parse(text, n, name, NULL).code != ERR_OK) {
        return false;
    }
    if (text[n] == '\0') {
        return true;
    }
    size_t digits = strspn(text + n + 1, "0123456789");
    unsigned port = 0;
    for (size_t i = 0; i < digits && i < 6; i++) {
        port = port * 10 + (unsigned)(text[n + 1 + i] - '0');
    }
    return digits >= 1 && digits <= 5 && text[n + 1 + digits] == '\0' && port >= 1 && port <= 65535;
}

static void check_public_url(struct config_loader *loader)
{
    char *url = loader->cfg->public_url;
    size_t n = strlen(url);

    if (n > 8 && url[n - 1] == '/') {
        url[n - 1] = '\0';
    }
    if (strncmp(url, "https://", 8) != 0 || !is_authority(url + 8)) {
        PROBLEM(loader, "public_url",
                "'%.120s' is not https://host or https://host:port, without a path", url);
    }
}

static void check_listeners(struct config_loader *loader)
{
    const struct config *cfg = loader->cfg;

    if (cfg->listen_https_n == 0 && loader->problems_n == 0) {
        PROBLEM(loader, "listen.https", "at least one address is needed");
    }
    for (size_t i = 0; i < cfg->listen_https_n; i++) {
        for (size_t k = 0; k < cfg->listen_http_n; k++) {
            char text[IP_TEXT_MAX + 10];
            ip_endpoint_text(&cfg->listen_https[i], text);
            if (cfg->listen_https[i].port == cfg->listen_http[k].port &&
                ip_equal(&cfg->listen_https[i].addr, &cfg->listen_http[k].addr)) {
                PROBLEM(loader, "listen.http", "%s is in listen.https as well", text);
            }
        }
    }
}

static void check_files(struct config_loader *loader)
{
    const struct config *cfg = loader->cfg;

    if (cfg->state_dir[0] == '\0') {
        PROBLEM(loader, "state_dir", "the path is empty");
    } else if (strlen(cfg->state_dir) > CONFIG_STATE_DIR_MAX) {
        PROBLEM(loader, "state_dir",
                "'%.120s' is longer than 90 characters; the control socket in it could not be "
                "opened",
                cfg->state_dir);
    }
    bool has_cert = cfg->tls_cert[0] != '\0';
    bool has_key = cfg->tls_key[0] != '\0';
    if (has_cert != has_key) {
        PROBLEM(loader, has_cert ? "tls.cert" : "tls.key", "%s is missing; set both or none",
                has_cert ? "tls.key" : "tls.cert");
    }
    if (loader->may_read_files && has_cert && access(cfg->tls_cert, R_OK) != 0) {
        PROBLEM(loader, "tls.cert", "'%.120s' cannot be read", cfg->tls_cert);
    }
    if (loader->may_read_files && has_key && access(cfg->tls_key, R_OK) != 0) {
        PROBLEM(loader, "tls.key", "'%.120s' cannot be read", cfg->tls_key);
    }
    for (size_t i = 0; loader->may_read_files && i < cfg->zones_n; i++) {
        if (cfg->zones[i].file[0] != '\0' && access(cfg->zones[i].file, R_OK) != 0) {
            config_problem(loader, &loader->zone_where[i], "zones.file", "'%.120s' cannot be read",
                           cfg->zones[i].file);
        }
    }
}

struct err config_finish(struct config_loader *loader, struct config_machine *machine)
{
    struct config *cfg = loader->cfg;

    TRY(default_zone(loader));
    default_hostname(loader, machine);
    default_delegate_zone(loader);
    TRY(default_public_url(loader));
    if (cfg->addresses_n == 0) {
        mem_free(cfg->addresses);
        cfg->addresses = MOVE(machine->addresses);
        cfg->addresses_n = machine->addresses_n;
    }
    if (cfg->resolvers_n == 0 && where_of(loader, "resolvers")->source == SOURCE_DEFAULT) {
        mem_free(cfg->resolvers);
        cfg->resolvers = MOVE(machine->resolvers);
        cfg->resolvers_n = machine->resolvers_n;
    }
    check_zones(loader);
    check_delegate_zone(loader);
    check_clients(loader);
    check_public_url(loader);
    check_listeners(loader);
    check_files(loader);
    config_routes_check(loader);
    return err_ok();
}
