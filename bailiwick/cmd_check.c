/* bailiwick check */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bailiwick/cli.h"
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

static void print_zone(const struct config_zone *zone)
{
    (void)printf("  %-15s%s, %s, ingress", "zone", zone->name,
                 zone->is_served ? "served" : "not served here");
    for (size_t i = 0; i < zone->ingress_n; i++) {
        char text[IP_TEXT_MAX + 1];
        ip_text(&zone->ingress[i], text);
        (void)printf(" %s", text);
    }
    (void)puts(zone->ingress_n == 0 ? " none" : "");
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
    (void)printf("  %-15s%zu\n", "clients", cfg->clients_n);
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
    if (cfg->open_any_name) {
        (void)puts("warning: open_any_name: true");
    }
    for (size_t i = 0; i < cfg->clients_n; i++) {
        if (is_outside(cfg, &cfg->clients[i])) {
            (void)printf("warning: all names of client '%s' lie outside the zones\n",
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
