/* A master file: its records are in the zone and of types that zones hold, and printed they are a
 * master file that gives the same records. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/mem.h"
#include "dns/zone_file.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define ZONE "\3svc\3dev"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err take(void *arg, unsigned line, const struct dns_rr *rr)
{
    CHECK(line > 0);
    CHECK(rr->owner_len >= sizeof(ZONE) &&
          memcmp(rr->owner + rr->owner_len - sizeof(ZONE), ZONE, sizeof(ZONE)) == 0);
    CHECK(rr_kind(rr->type) == RR_ORDINARY && rr->class_ == DNS_CLASS_IN && rr->ttl <= RR_TTL_MAX);
    return rr_text(rr, arg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(buf_clear) struct buf first = BUF_INIT(16u << 20);
    AUTO(buf_clear) struct buf second = BUF_INIT(16u << 20);
    AUTO(buf_clear) struct buf problems = BUF_INIT(1u << 20);
    AUTO(mem_freep) char *text = mem_strndup((const char *)data, size);

    CHECK(text != NULL);
    struct err e = zone_file_parse("f", text, size, "svc.dev", 300, take, &first, &problems);
    if (first.failed) {
        return 0;
    }
    CHECK(e.code == ERR_OK || e.code == ERR_MALFORMED);
    CHECK((problems.len > 0) == (e.code == ERR_MALFORMED));
    for (size_t i = 0; i < problems.len; i++) {
        CHECK(problems.data[i] == '\n' || (problems.data[i] >= ' ' && problems.data[i] <= '~'));
    }
    buf_reset(&problems);
    e = zone_file_parse("f", buf_str(&first), first.len, "svc.dev", 300, take, &second, &problems);
    if (e.code == ERR_MALFORMED && strstr(buf_str(&problems), "too long") != NULL) {
        return 0; /* text has more octets than what it stands for */
    }
    CHECK(e.code == ERR_OK);
    CHECK(strcmp(buf_str(&first), buf_str(&second)) == 0);
    return 0;
}
