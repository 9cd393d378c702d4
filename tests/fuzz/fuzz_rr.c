/* One record from a packet, or from text: what is accepted comes back from its other form the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/mem.h"
#include "dns/rr.h"
#include "tests/unit/rr_maker.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Its own wire form is read as the same record. */
static void check_wire(const struct dns_rr *rr)
{
    AUTO(buf_clear) struct buf wire = BUF_INIT(70000);
    AUTO(rr_clear) struct dns_rr again = {.ttl = 0};
    size_t pos = 0;

    rr_put(&wire, rr);
    CHECK(buf_check(&wire).code == ERR_OK);
    CHECK(rr_from_packet(wire.data, wire.len, &pos, &again).code == ERR_OK);
    CHECK(pos == wire.len && rr_equal(rr, &again));
    CHECK(again.ttl == rr->ttl && again.class_ == rr->class_);
}

/* So is its text, wherever a zone could hold it. */
static void check_text(const struct dns_rr *rr)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(2u << 20);
    AUTO(rr_clear) struct dns_rr again = {.ttl = 0};
    char type[RR_TYPE_TEXT_MAX + 1];
    uint16_t number = 0;

    rr_type_text(rr->type, type);
    CHECK(rr_type_parse(type, &number) && number == rr->type);
    CHECK(rr_rdata_text(rr->type, rr->rdata, rr->rdata_len, &text).code == ERR_OK);
    for (size_t i = 0; i < text.len; i++) {
        CHECK(text.data[i] >= ' ' && text.data[i] <= '~');
    }
    if (rr_kind(rr->type) == RR_META || (rr->rdata_len == 0 && rr->class_ != DNS_CLASS_IN)) {
        return;
    }
    CHECK(rr_from_text("x.", NULL, 1, type, buf_str(&text), &again, NULL, 0).code == ERR_OK);
    CHECK(again.rdata_len == rr->rdata_len);
    CHECK(rr->rdata_len == 0 || memcmp(again.rdata, rr->rdata, rr->rdata_len) == 0);
}

static void fuzz_packet(const uint8_t *data, size_t size)
{
    AUTO(rr_clear) struct dns_rr rr = {.ttl = 0};
    size_t pos = 0;

    while (pos < size && rr_from_packet(data, size, &pos, &rr).code == ERR_OK) {
        CHECK(pos <= size && rr.owner_len > 0 && rr.owner[rr.owner_len - 1] == 0);
        check_wire(&rr);
        check_text(&rr);
        rr_clear(&rr);
    }
}

/* "owner\ntype\nRDATA" */
static void fuzz_text(const uint8_t *data, size_t size)
{
    AUTO(mem_freep) char *text = mem_strndup((const char *)data, size);
    AUTO(rr_clear) struct dns_rr rr = {.ttl = 0};
    char why[200] = "";

    CHECK(text != NULL);
    char *type = strchr(text, '\n');
    char *rdata = type == NULL ? NULL : strchr(type + 1, '\n');
    if (rdata == NULL) {
        return;
    }
    *type++ = '\0';
    *rdata++ = '\0';
    struct err e = rr_from_text(text, "svc.dev.", 60, type, rdata, &rr, why, sizeof(why));
    if (e.code != ERR_OK) {
        CHECK((e.code == ERR_MALFORMED && why[0] != '\0') || e.code == ERR_LIMIT);
        return;
    }
    if (rr_kind(rr.type) != RR_META) {
        check_wire(&rr);
    }
    check_text(&rr);
}

/* The first octet says which. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 70000) {
        return 0;
    }
    if (data[0] == 't') {
        fuzz_text(data + 1, size - 1);
    } else {
        fuzz_packet(data + 1, size - 1);
    }
    return 0;
}
