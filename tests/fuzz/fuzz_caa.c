/* A CAA RRset, each record behind its length (two octets): what is refused says why, more records
 * never grant what a malformed or critical one forbids, and our own record always grants. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme-server/issuer.h"
#include "acme-server/validate_net.h"
#include "core/util/buf.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t split(const uint8_t *data, size_t size, struct lookup_rdata *out, size_t max)
{
    struct rd r = rd_init(data, size);
    size_t n = 0;

    while (r.left > 0 && n < max) {
        size_t len = rd_u16(&r) % (LOOKUP_RDATA_LEN_MAX + 1);
        size_t taken = len < r.left ? len : r.left;
        const uint8_t *p = rd_bytes(&r, taken);
        if (r.failed) {
            break;
        }
        out[n++] = (struct lookup_rdata){(uint8_t *)(uintptr_t)p, taken};
    }
    return n;
}

static bool is_unknown(const char *detail)
{
    return strstr(detail, "malformed") != NULL || strstr(detail, "critical") != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char OURS[] = "\0\5issueca.svc.test";
    static const char OURS_WILD[] = "\0\11issuewildca.svc.test";
    struct config cfg = {.hostname = "ca.svc.test"};
    struct base_urls urls;
    struct issuer_names names;
    struct lookup_rdata rdata[LOOKUP_RDATA_MAX];
    size_t n = split(data, size, rdata, LOOKUP_RDATA_MAX - 2);

    CHECK(base_urls_init(&urls, &cfg, 443).code == ERR_OK);
    issuer_names(&urls, &names);
    for (int i = 0; i < 2; i++) {
        struct caa_question question = {.ident = {.base = "www.far.test"},
                                        .account_id = "AAAAAAAAAAAAAAAAAAAAAA",
                                        .method = "http-01"};
        char detail[VALIDATE_DETAIL_MAX] = "";
        char more[VALIDATE_DETAIL_MAX] = "";
        question.ident.is_wildcard = i == 1;
        bool is_allowed = caa_rrset_allows(rdata, n, names.list, names.n, &urls, &question, detail);
        CHECK(is_allowed == (detail[0] == '\0'));
        for (size_t k = 0; detail[k] != '\0'; k++) {
            CHECK(detail[k] >= 0x20 && detail[k] < 0x7f);
        }
        rdata[n] = (struct lookup_rdata){(uint8_t *)(uintptr_t)OURS, sizeof(OURS) - 1};
        rdata[n + 1] =
            (struct lookup_rdata){(uint8_t *)(uintptr_t)OURS_WILD, sizeof(OURS_WILD) - 1};
        bool is_more = caa_rrset_allows(rdata, n + 2, names.list, names.n, &urls, &question, more);
        CHECK(is_more != is_unknown(detail));
        CHECK(is_more == (more[0] == '\0'));
    }
    return 0;
}
