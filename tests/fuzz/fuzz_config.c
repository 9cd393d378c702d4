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
        CHECK(cfg->clients[i].names_n > 0);
    }
    CHECK(cfg->retry_after_s >= 1 && cfg->orders_per_page >= 1 && cfg->min_rsa_bits >= 2048);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf problems = BUF_INIT(1u << 20);
    struct config *cfg = NULL;
    struct err e = config_parse("fuzz.yaml", (const char *)data, size, &problems, &cfg);

    if (e.code == ERR_OK) {
        CHECK(problems.len == 0);
        check_config(cfg);
    } else {
        CHECK(e.code == ERR_CONFIG);
        CHECK(cfg == NULL);
        check_problems(&problems);
    }
    config_free(cfg);
    buf_clear(&problems);
    return 0;
}
