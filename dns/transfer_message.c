/* Writing the messages of a transfer. */
#include <assert.h>
#include <string.h>

#include "dns/answer.h"
#include "dns/transfer_int.h"

/* Where the labels of a name begin, the root's not counted. */
static unsigned labels_of(const uint8_t *name, uint8_t at[WRITER_LABELS])
{
    unsigned n = 0;

    for (size_t i = 0; name[i] != 0 && n < WRITER_LABELS - 1; i += 1u + name[i]) {
        at[n++] = (uint8_t)i;
    }
    return n;
}

void transfer_message_begin(struct transfer_writer *writer, bool is_first)
{
    const struct transfer_query *query = writer->query;
    uint8_t starts[WRITER_LABELS];

    memset(writer->data, 0, DNS_HEADER_LEN);
    wire_put16(writer->data, query->id);
    writer->data[2] = (uint8_t)(FLAG_QR | FLAG_AA | (query->has_rd ? FLAG_RD : 0));
    wire_put16(writer->data + 4, 1); /* in every message: RFC 5936 §2.2.1 leaves it open */
    memcpy(writer->data + DNS_HEADER_LEN, query->question, query->question_len);
    writer->len = DNS_HEADER_LEN + query->question_len;
    writer->records_n = 0;
    writer->has_opt = is_first && query->has_opt;
    /* A name in the question that is spelled otherwise may not be pointed at: RFC 5936 §3.4. */
    memset(writer->offset, 0, sizeof(writer->offset));
    memcpy(writer->last, query->zone, query->zone_len);
    unsigned n = labels_of(writer->last, starts);
    for (unsigned i = 0; query->is_lower && i < n; i++) {
        writer->offset[n - i] = (uint16_t)(DNS_HEADER_LEN + starts[i]);
    }
}

/* How many labels the owner and the last one have in common, counted from the root, of which the
 * place is known. */
static unsigned common(const struct transfer_writer *writer, const uint8_t *owner,
                       const uint8_t *starts, unsigned n)
{
    uint8_t last_starts[WRITER_LABELS];
    unsigned last_n = labels_of(writer->last, last_starts);
    unsigned known = 0;

    for (unsigned i = 1; i <= n && i <= last_n; i++) {
        const uint8_t *a = owner + starts[n - i];
        const uint8_t *b = writer->last + last_starts[last_n - i];
        if (a[0] != b[0] || memcmp(a + 1, b + 1, a[0]) != 0) {
            break;
        }
        if (writer->offset[i] != 0) {
            known = i;
        }
    }
    return known;
}

static void remember(struct transfer_writer *writer, const struct transfer_row *row,
                     const uint8_t *starts, unsigned n, unsigned shared)
{
    for (unsigned i = shared + 1; i < WRITER_LABELS; i++) {
        size_t at = i <= n ? writer->len + starts[n - i] : 0;
        writer->offset[i] = at <= DNS_POINTER_MAX ? (uint16_t)at : 0;
    }
    memcpy(writer->last, row->owner, row->owner_len);
}

bool transfer_message_put(struct transfer_writer *writer, const struct transfer_row *row)
{
    uint8_t starts[WRITER_LABELS];
    unsigned n = labels_of(row->owner, starts);
    unsigned shared = common(writer, row->owner, starts, n);
    size_t labels_len = shared == n ? 0 : (shared == 0 ? row->owner_len - 1u : starts[n - shared]);
    size_t need = labels_len + (shared == 0 ? 1u : 2u) + 10u + row->rdata_len;
    size_t limit = writer->records_n == 0 ? writer->hard : writer->soft;

    if (writer->len + need + (writer->has_opt ? DNS_OPT_LEN : 0) > limit ||
        writer->records_n == UINT16_MAX) {
        return false;
    }
    uint8_t *at = writer->data + writer->len;
    memcpy(at, row->owner, labels_len);
    at += labels_len;
    if (shared == 0) {
        *at++ = 0;
    } else {
        wire_put16(at, DNS_POINTER | writer->offset[shared]);
        at += 2;
    }
    wire_put16(at, row->type);
    wire_put16(at + 2, DNS_CLASS_IN);
    wire_put32(at + 4, row->ttl);
    wire_put16(at + 8, row->rdata_len);
    if (row->rdata_len > 0) {
        memcpy(at + DNS_RR_HEAD_LEN, row->rdata, row->rdata_len);
    }
    remember(writer, row, starts, n, shared);
    writer->len += need;
    writer->records_n++;
    return true;
}

void transfer_message_end(struct transfer_writer *writer)
{
    wire_put16(writer->data + 6, writer->records_n);
    if (writer->has_opt) {
        uint8_t *at = writer->data + writer->len;
        memset(at, 0, DNS_OPT_LEN);
        wire_put16(at + 1, DNS_TYPE_OPT);
        wire_put16(at + 3, DNS_UDP_EDNS_MAX);
        wire_put32(at + 5, writer->query->has_do ? EDNS_DO : 0);
        writer->len += DNS_OPT_LEN;
        wire_put16(writer->data + 10, 1);
    }
    assert(writer->len <= writer->hard);
}

/* --- in order ----------------------------------------------------------------------------------- */

static bool send_message(struct transfer_send *send, bool is_last)
{
    transfer_message_end(send->writer);
    return send->flush(send->arg, is_last);
}

static bool write_row(struct transfer_send *send, const struct transfer_row *row)
{
    if (!transfer_message_put(send->writer, row)) {
        if (send->writer->records_n == 0) {
            send->is_too_long = true;
            return false;
        }
        if (!send_message(send, false)) {
            return false;
        }
        transfer_message_begin(send->writer, false);
        if (!transfer_message_put(send->writer, row)) {
            send->is_too_long = true;
            return false;
        }
    }
    send->records_n++;
    return true;
}

static bool write_soa(struct transfer_send *send, uint32_t serial)
{
    const struct dns_rr *soa = send->soa;
    uint8_t rdata[TRANSFER_SOA_RDATA_MAX];

    if (soa->rdata_len > sizeof(rdata) || soa->rdata_len < DNS_SOA_NUMBERS_LEN) {
        send->is_too_long = true;
        return false;
    }
    memcpy(rdata, soa->rdata, soa->rdata_len);
    wire_put32(rdata + soa->rdata_len - DNS_SOA_NUMBERS_LEN, serial);
    const struct transfer_row row = {.owner = soa->owner,
                                     .owner_len = soa->owner_len,
                                     .rdata = rdata,
                                     .rdata_len = soa->rdata_len,
                                     .type = DNS_TYPE_SOA,
                                     .ttl = soa->ttl};
    return write_row(send, &row);
}

/* The rows; in front of a difference's added ones its newer SOA. */
static bool write_rows(struct transfer_send *send)
{
    struct rows_cursor cursor = {0};
    struct transfer_row row;
    bool is_owing = false; /* the newer SOA of a difference */
    uint32_t to = 0;

    while (transfer_rows_next(send->rows, &cursor, &row)) {
        if (is_owing && (row.kind == ROW_ADDED || row.kind == ROW_DIFFERENCE)) {
            is_owing = false;
            if (!write_soa(send, to)) {
                return false;
            }
        }
        if (row.kind == ROW_DIFFERENCE) {
            is_owing = true;
            to = row.to;
        }
        if (!(row.kind == ROW_DIFFERENCE ? write_soa(send, row.from) : write_row(send, &row))) {
            return false;
        }
    }
    return !is_owing || write_soa(send, to);
}

bool transfer_write(struct transfer_send *send, enum transfer_kind kind)
{
    uint32_t serial = wire_soa_serial(send->soa->rdata, send->soa->rdata_len);

    transfer_message_begin(send->writer, true);
    if (!write_soa(send, serial)) {
        return false;
    }
    if (kind != TRANSFER_SOA_ALONE && (!write_rows(send) || !write_soa(send, serial))) {
        return false;
    }
    return send_message(send, true);
}
