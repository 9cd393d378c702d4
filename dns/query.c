#include "dns/query.h"

#include "core/util/buf.h"

/* Steps over a record's owner; pointers are not followed. */
static bool skip_owner(struct rd *r)
{
    size_t total = 0;

    for (;;) {
        uint8_t n = rd_u8(r);
        if (r->failed || (n > LABEL_MAX && n < DNS_POINTER_BITS)) {
            return false;
        }
        if (n >= DNS_POINTER_BITS) {
            (void)rd_u8(r);
            return !r->failed;
        }
        total += (size_t)n + 1;
        if (n == 0 || total > NAME_WIRE_MAX) {
            return total <= NAME_WIRE_MAX;
        }
        (void)rd_bytes(r, n);
    }
}

/* Options other than COOKIE are ignored, but all must fill the RDATA exactly. RFC 6891 §6.1.2 */
static bool read_options(const uint8_t *data, size_t len, struct dns_query *out)
{
    struct rd r = rd_init(data, len);

    while (r.left > 0 && !r.failed) {
        unsigned code = rd_u16(&r);
        uint16_t option_len = rd_u16(&r);
        const uint8_t *option = rd_bytes(&r, option_len);
        if (code == EDNS_OPTION_COOKIE && out->cookie == NULL && !r.failed) {
            out->cookie = option;
            out->cookie_len = option_len;
        }
    }
    return !r.failed;
}

static bool read_record(struct rd *r, bool is_additional, struct dns_query *out)
{
    bool is_root = r->left > 0 && r->p[0] == 0;

    /* RFC 8945 §5.1: a TSIG is the last record, so there is one at most. */
    if (out->has_tsig || !skip_owner(r)) {
        return false;
    }
    unsigned type = rd_u16(r);
    unsigned class_ = rd_u16(r);
    uint32_t ttl = rd_u32(r);
    unsigned data_len = rd_u16(r);
    const uint8_t *data = rd_bytes(r, data_len);
    if (r->failed) {
        return false;
    }
    if (type == DNS_TYPE_TSIG) {
        out->has_tsig = true;
        return is_additional;
    }
    if (type != DNS_TYPE_OPT) {
        return true;
    }
    /* RFC 6891 §6.1.1: at most one, at the root, in the additional section. */
    if (!is_root || !is_additional || out->has_edns) {
        return false;
    }
    out->has_edns = true;
    out->edns_size = (uint16_t)class_;
    out->edns_version = (uint8_t)(ttl >> 16);
    out->is_dnssec_ok = (ttl & EDNS_DO) != 0;
    return read_options(data, data_len, out);
}

/* Returns the octets used, 0 when the question is broken. */
static size_t read_question(const uint8_t *p, size_t left, struct dns_query *out)
{
    size_t used = dns_name_read(p, left, &out->name);

    if (used == 0 || left - used < 4) {
        return 0;
    }
    out->has_question = true;
    out->type = (uint16_t)wire_get16(p + used);
    out->class_ = (uint16_t)wire_get16(p + used + 2);
    return used + 4;
}

static void clear(struct dns_query *q)
{
    q->has_question = false;
    q->has_tsig = false;
    q->has_edns = false;
    q->is_dnssec_ok = false;
    q->edns_version = 0;
    q->cookie = NULL;
}

/* The records behind the question: other_n in other sections, then the additional ones. */
static enum query_verdict read_records(const uint8_t *packet, size_t len, unsigned other_n,
                                       struct dns_query *out)
{
    unsigned n = other_n + wire_get16(packet + 10);
    struct rd r = rd_init(packet + out->question_end, len - out->question_end);

    for (unsigned i = 0; i < n; i++) {
        if (!read_record(&r, i >= other_n, out)) {
            return QUERY_FORMERR;
        }
    }
    return r.left == 0 ? QUERY_OK : QUERY_FORMERR;
}

enum query_verdict query_parse(const uint8_t *packet, size_t len, struct dns_query *out)
{
    if (len < DNS_HEADER_LEN || (packet[2] & FLAG_QR) != 0) {
        return QUERY_DROP;
    }
    clear(out);
    unsigned opcode = wire_opcode(packet);
    if (opcode != OPCODE_QUERY) {
        return opcode == OPCODE_UPDATE ? QUERY_UPDATE : QUERY_NOTIMP;
    }
    unsigned question_n = wire_get16(packet + 4);
    unsigned authority_n = wire_get16(packet + 8);
    if (question_n > 1 || wire_get16(packet + 6) != 0) {
        return QUERY_FORMERR;
    }
    size_t used =
        question_n == 0 ? 0 : read_question(packet + DNS_HEADER_LEN, len - DNS_HEADER_LEN, out);
    /* Only a query for an incremental transfer has an authority section: the client's SOA.
     * RFC 1995 §3 */
    if (out->has_question != (question_n == 1) ||
        (authority_n != 0 && (question_n == 0 || out->type != DNS_TYPE_IXFR))) {
        return QUERY_FORMERR;
    }
    out->question_end = (uint16_t)(DNS_HEADER_LEN + used);
    enum query_verdict verdict = read_records(packet, len, authority_n, out);
    return out->has_question || out->cookie != NULL ? verdict : QUERY_FORMERR;
}

enum query_verdict query_parse_update(const uint8_t *packet, size_t len, struct dns_query *out)
{
    clear(out);
    if (len < DNS_HEADER_LEN || wire_get16(packet + 4) != 1) {
        return QUERY_FORMERR;
    }
    size_t used = read_question(packet + DNS_HEADER_LEN, len - DNS_HEADER_LEN, out);
    if (used == 0) {
        return QUERY_FORMERR;
    }
    out->question_end = (uint16_t)(DNS_HEADER_LEN + used);
    return read_records(packet, len, wire_get16(packet + 6) + wire_get16(packet + 8), out);
}
