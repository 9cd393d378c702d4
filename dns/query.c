#include "dns/query.h"

#include "core/util/buf.h"

#define EDNS_DO 0x8000u

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Steps over a record's owner; pointers are not followed. */
static bool skip_owner(struct rd *r)
{
    size_t total = 0;

    for (;;) {
        uint8_t n = rd_u8(r);
        if (r->failed || (n > LABEL_MAX && n < 0xc0)) {
            return false;
        }
        if (n >= 0xc0) {
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

/* Options are ignored, but they must fill the RDATA exactly. RFC 6891 §6.1.2 */
static bool are_options_whole(const uint8_t *data, size_t len)
{
    struct rd r = rd_init(data, len);

    while (r.left > 0 && !r.failed) {
        (void)rd_u16(&r);
        (void)rd_bytes(&r, rd_u16(&r));
    }
    return !r.failed;
}

static bool read_record(struct rd *r, bool is_additional, struct dns_query *out)
{
    bool is_root = r->left > 0 && r->p[0] == 0;

    if (!skip_owner(r)) {
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
    if (type != DNS_TYPE_OPT) {
        return true;
    }
    /* RFC 6891 §6.1.1: at most one, at the root, in the additional section. */
    if (!is_root || !is_additional || out->has_edns || !are_options_whole(data, data_len)) {
        return false;
    }
    out->has_edns = true;
    out->edns_size = (uint16_t)class_;
    out->edns_version = (uint8_t)(ttl >> 16);
    out->is_dnssec_ok = (ttl & EDNS_DO) != 0;
    return true;
}

enum query_verdict query_parse(const uint8_t *packet, size_t len, struct dns_query *out)
{
    if (len < DNS_HEADER_LEN || (packet[2] & 0x80) != 0) {
        return QUERY_DROP;
    }
    if ((packet[2] & 0x78) != 0) {
        return QUERY_NOTIMP;
    }
    unsigned authority_n = get16(packet + 8);
    unsigned additional_n = get16(packet + 10);
    if (get16(packet + 4) != 1 || get16(packet + 6) != 0) {
        return QUERY_FORMERR;
    }
    size_t used = dns_name_read(packet + DNS_HEADER_LEN, len - DNS_HEADER_LEN, &out->name);
    struct rd r = rd_init(packet + DNS_HEADER_LEN + used, len - DNS_HEADER_LEN - used);
    if (used == 0 || r.left < 4) {
        return QUERY_FORMERR;
    }
    out->question_end = (uint16_t)(DNS_HEADER_LEN + used + 4);
    out->type = (uint16_t)get16(r.p);
    out->class_ = (uint16_t)get16(r.p + 2);
    (void)rd_bytes(&r, 4);
    out->has_edns = false;
    out->edns_version = 0;
    /* Only a query for an incremental transfer has an authority section: the client's SOA.
     * RFC 1995 §3 */
    if (authority_n != 0 && out->type != DNS_TYPE_IXFR) {
        return QUERY_FORMERR;
    }
    for (unsigned i = 0; i < authority_n + additional_n; i++) {
        if (!read_record(&r, i >= authority_n, out)) {
            return QUERY_FORMERR;
        }
    }
    return r.left == 0 ? QUERY_OK : QUERY_FORMERR;
}
