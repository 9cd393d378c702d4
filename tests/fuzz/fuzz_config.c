/* config_parse(): arbitrary YAML. A refusal always says why; what is accepted keeps the
 * configuration's promises. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/config.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every line is "fuzz.yaml" with a position or none, printable, and says something. */
static void check_problems(const struct buf *problems)
{
    const char *line = buf_str(problems);

    CHECK(problems->len > 0);
    while (*line != '\0') {
        const char *end = strchr(line, '\n');
        CHECK(end != NULL);
        CHECK(strncmp(line, "fuzz.yaml:", 10) == 0 || strncmp(line, "further problems", 16) == 0);
        for (const char *c = line; c < end; c++) {
            CHECK(*c >= ' ' && *c <= '~');
        }
        line = end + 1;
    }
}

static void check_config(const struct config *cfg)
{
    char target[NAME_TEXT_MAX + 1];

    CHECK(cfg->zones_n >= 1 && cfg->listen_https_n >= 1 && cfg->addresses_n >= 1);
    CHECK(cfg->hostname[0] != '\0' && cfg->delegate_zone[0] != '\0');
    CHECK(strncmp(cfg->public_url, "https://", 8) == 0);
    CHECK(strchr(cfg->public_url + 8, '/') == NULL);
    CHECK(!name_is_below_or_equal(cfg->hostname, cfg->delegate_zone));
    CHECK(name_delegate(cfg->hostname, cfg->delegate_zone, target).code == ERR_OK);
    for (size_t i = 0; i < cfg->zones_n; i++) {
        CHECK(cfg->zones[i].name[0] != '\0');
        CHECK(strcmp(cfg->zones[i].name, cfg->delegate_zone) != 0);
        CHECK(config_zone_of(cfg, cfg->zones[i].name) == &cfg->zones[i]);
    }
    for (size_t i = 0; i < cfg->clients_n; i++) {
        CHECK(config_client_name_ok(cfg->clients[i].name));
        CHECK(config_secret_ok(cfg->clients[i].secret, NULL));
        CHECK(cfg->clients[i].names_n > 0 || !cfg->clients[i].is_preauthorized);
    }
    CHECK(!config_differs_elsewhere(cfg, cfg, NULL));
}

static void check_dns(const struct config *cfg)
{
    const struct config_dns *dns = &cfg->dns;
    bool has_servers = dns->upstreams_n > 0 || dns->routes_n > 0;

    CHECK(dns->rate_limit >= 0 && dns->rate_limit <= 1000000);
    CHECK(has_servers == (dns->forward_networks_n > 0));
    for (size_t i = 0; i < dns->routes_n; i++) {
        CHECK(dns->routes[i].name[0] != '\0' && strcmp(dns->routes[i].name, ".") != 0);
        CHECK(dns->routes[i].servers_n > 0 && dns->routes[i].servers[0].port != 0);
        for (size_t k = 0; k < i; k++) {
            CHECK(strcmp(dns->routes[i].name, dns->routes[k].name) != 0);
        }
    }
    for (size_t i = 0; i < cfg->zones_n; i++) {
        const struct config_zone *zone = &cfg->zones[i];
        bool has_transfer = zone->transfer_allow_n > 0 || zone->transfer_key[0] != '\0';
        CHECK(zone->file != NULL);
        CHECK(!zone->is_plain || (zone->is_served && zone->ingress_n == 0));
        CHECK(zone->is_served || (!has_transfer && zone->file[0] == '\0'));
        CHECK(zone->transfer_notify_n == 0 || has_transfer);
    }
}

static void check_acme(const struct config_acme *acme)
{
    CHECK(acme->retry_after_s >= 1 && acme->orders_per_page >= 1 && acme->min_rsa_bits >= 2048);
    CHECK(acme->http_port >= 1 && acme->http_port <= 65535);
    CHECK(acme->tls_port >= 1 && acme->tls_port <= 65535);
    CHECK(acme->limit_new_accounts >= 0 && acme->limit_orders >= 0);
    CHECK(acme->limit_failed_validations >= 0 && acme->limit_pending_validations >= 0);
    for (size_t i = 0; i < acme->profiles_n; i++) {
        const struct config_profile *profile = &acme->profiles[i];
        CHECK(profile->name[0] != '\0' && strcmp(profile->name, "default") != 0);
        CHECK(profile->name[strcspn(profile->name, "/?#%& \t\n")] == '\0');
        CHECK(profile->description[0] != '\0' && strchr(profile->description, '\n') == NULL);
        CHECK(profile->lifetime_s >= 3600 && profile->lifetime_s <= 825 * INT64_C(86400));
        CHECK(profile->has_server_auth || profile->has_client_auth);
        CHECK(profile->key_types >= 1 && profile->key_types <= 7);
        for (size_t k = 0; k < i; k++) {
            CHECK(strcmp(profile->name, acme->profiles[k].name) != 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf problems = BUF_INIT(1u << 20);
    struct config *cfg = NULL;
    struct err e = config_parse("fuzz.yaml", (const char *)data, size, &problems, &cfg);

    if (e.code == ERR_OK) {
        CHECK(problems.len == 0);
        check_config(cfg);
        check_dns(cfg);
        check_acme(&cfg->acme);
    } else {
        CHECK(e.code == ERR_CONFIG);
        CHECK(cfg == NULL);
        check_problems(&problems);
    }
    config_free(cfg);
    buf_clear(&problems);
    return 0;
}
