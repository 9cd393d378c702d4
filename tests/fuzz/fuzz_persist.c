/* A _validation-persist record: whatever validates names us and the account, is not over, and a
 * wildcard is asked for; nothing else does. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "acme-server/issuer.h"
#include "acme-server/persist.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define NOW 1700000000
#define ID "AAAAAAAAAAAAAAAAAAAAAA"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parsed says the same once it is written in the plainest form. */
static void check_value(const struct issue_value *value)
{
    struct buf b = BUF_INIT(1u << 20);
    struct issue_value again;

    buf_put(&b, value->name.at, value->name.len);
    for (size_t i = 0; i < value->params_n; i++) {
        const struct issue_param *p = &value->params[i];
        CHECK(p->tag.len > 0);
        buf_printf(&b, ";%.*s=%.*s", (int)p->tag.len, p->tag.at, (int)p->value.len, p->value.at);
    }
    CHECK(!b.failed);
    CHECK(issue_value_parse((const uint8_t *)buf_str(&b), b.len, &again));
    CHECK(again.name.len == value->name.len && again.params_n == value->params_n);
    buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char public_url[] = "https://acme.example:8443";
    struct config cfg = {.public_url = public_url, .hostname = "ca.svc.test"};
    struct base_urls urls;
    struct ident ident = {.base = "www.svc.test"};
    const struct persist_question question = {&urls,
                                              &ident,
                                              ID,
                                              "https://ca.svc.test/acme/account/" ID,
                                              "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
                                              NOW};
    const struct lookup_rdata record = {(uint8_t *)(uintptr_t)data, size};
    char detail[VALIDATE_DETAIL_MAX] = "";
    int64_t until[2] = {0, 0};
    struct issue_value value;

    CHECK(base_urls_init(&urls, &cfg, 443).code == ERR_OK);
    enum persist_verdict plain = persist_record(&question, &record, &until[0]);
    CHECK(persist_rrset(&question, &record, 1, &until[1], detail) == plain);
    CHECK(until[0] == until[1] && (detail[0] == '\0') == (plain == PERSIST_VALID));
    ident.is_wildcard = true;
    enum persist_verdict wild = persist_record(&question, &record, &until[1]);
    CHECK(wild == plain || (plain == PERSIST_VALID && wild == PERSIST_NO_WILDCARD));
    bool is_parsed = issue_value_parse(data, size, &value);
    CHECK(is_parsed || plain == PERSIST_MALFORMED);
    if (is_parsed) {
        check_value(&value);
    }
    if (plain == PERSIST_VALID) {
        CHECK(until[0] == 0 || until[0] >= NOW);
        CHECK(strncasecmp(value.name.at, "ca.svc.test", value.name.len) == 0 ||
              strncasecmp(value.name.at, "acme.example", value.name.len) == 0);
    }
    return 0;
}
