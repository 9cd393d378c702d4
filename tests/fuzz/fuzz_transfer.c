/* What secondaries send us: transfer requests (any bytes are refused with an RCODE, or answered with
 * messages whose records read back as they were put in) and answers to NOTIFY. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/mem.h"
#include "dns/notify.h"
#include "dns/transfer_int.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROWS_MAX 64u
#define TYPE_ANY_BYTES 65400u

struct world {
    struct dns_rr want[ROWS_MAX + 2]; /* with both SOAs */
    size_t want_n, got_n;
    const struct transfer_query *query;
    struct transfer_writer writer;
    size_t hard;
};

/* A name of the zone, made of the octets at hand. */
static void make_owner(const struct transfer_query *query, const uint8_t *data, size_t size,
                       size_t i, struct dns_rr *rr)
{
    size_t labels_n = size == 0 ? 0 : data[i % size] % 4u;
    size_t len = 0;

    for (size_t at = 0; at < labels_n; at++) {
        size_t label = 1u + data[(i + at) % size] % 5u;
        if (len + 1 + label + query->zone_len > NAME_WIRE_MAX) {
            break;
        }
        rr->owner[len++] = (uint8_t)label;
        for (size_t c = 0; c < label; c++) {
            rr->owner[len++] = (uint8_t)('a' + data[(i * 3 + at * 5 + c) % size] % 3u);
        }
    }
    memcpy(rr->owner + len, query->zone, query->zone_len);
    rr->owner_len = (uint8_t)(len + query->zone_len);
}

static bool read_back(void *arg, bool is_last)
{
    struct world *w = arg;
    const uint8_t *packet = w->writer.data;
    size_t pos = 12 + w->query->question_len;
    unsigned n = (unsigned)(packet[6] << 8 | packet[7]);

    CHECK(w->writer.len <= w->hard && n > 0);
    CHECK(packet[0] == w->query->id >> 8 && packet[1] == (w->query->id & 0xff));
    for (unsigned i = 0; i < n; i++) {
        AUTO(rr_clear) struct dns_rr rr = {0};
        const struct dns_rr *want = &w->want[w->got_n++];
        CHECK(w->got_n <= w->want_n);
        CHECK(rr_from_packet(packet, w->writer.len, &pos, &rr).code == ERR_OK);
        CHECK(rr_equal(&rr, want) && rr.ttl == want->ttl && rr.class_ == DNS_CLASS_IN);
    }
    CHECK(pos == w->writer.len || (packet[11] == 1 && pos + 11 == w->writer.len));
    CHECK(!is_last || w->got_n == w->want_n);
    return true;
}

static void check_messages(const struct transfer_query *query, const uint8_t *data, size_t size)
{
    static uint8_t message[TRANSFER_MESSAGE_MAX];
    static struct world w;
    _Atomic size_t shared = 0;
    struct transfer_rows rows;
    struct dns_rr soa = {.type = DNS_TYPE_SOA, .ttl = 5};
    uint8_t soa_rdata[22] = {0};

    memset(&w, 0, sizeof(w));
    transfer_rows_init(&rows, &shared);
    make_owner(query, data, 0, 0, &soa);
    soa.rdata = soa_rdata;
    soa.rdata_len = sizeof(soa_rdata);
    w.want[w.want_n++] = soa;
    for (size_t i = 0; i < ROWS_MAX && i < size; i++) {
        struct dns_rr *rr = &w.want[w.want_n++];
        make_owner(query, data, size, i, rr);
        rr->type = TYPE_ANY_BYTES;
        rr->ttl = (uint32_t)i;
        rr->rdata_len = (uint16_t)(size - i);
        memcpy(&rr->rdata, &(const uint8_t *){data + i}, sizeof(rr->rdata)); /* is only read */
        CHECK(transfer_rows_put(&rows, ROW_RECORD, rr));
    }
    w.want[w.want_n++] = soa;
    w.query = query;
    w.hard = TRANSFER_MESSAGE_MAX;
    w.writer = (struct transfer_writer){
        .query = query, .data = message, .soft = 12 + query->question_len + 300, .hard = w.hard};
    struct transfer_send send = {
        .writer = &w.writer, .soa = &soa, .rows = &rows, .flush = read_back, .arg = &w};
    CHECK(transfer_write(&send, TRANSFER_WHOLE) || send.is_too_long);
    transfer_rows_clear(&rows);
    CHECK(shared == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct notify_zone zone = {.name = "\3svc\4test", .name_len = 10};
    struct transfer_query query;
    unsigned rcode = 99;

    if (notify_is_answer(&zone, 0x4711, data, size, &rcode)) {
        CHECK(rcode < 16 && size >= 12);
    }
    rcode = transfer_query_read(data, size, &query);
    CHECK(rcode == 0 || rcode == RCODE_FORMERR || rcode == RCODE_REFUSED);
    if (rcode == 0) {
        CHECK(query.zone_len > 0 && query.zone_len <= NAME_WIRE_MAX);
        CHECK(query.question == data + 12 && query.question_len == query.zone_len + 4);
        check_messages(&query, data, size < 4096 ? size : 4096);
    }
    return 0;
}
