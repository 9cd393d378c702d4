/* Reading an AXFR or IXFR query. */
#include <string.h>

#include "core/util/mem.h"
#include "dns/transfer_int.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* The question's name: whole, since there is nothing before it to point at. */
static bool read_zone(struct rd *rd, struct transfer_query *out)
{
    out->is_lower = true;
    for (;;) {
        uint8_t len = rd_u8(rd);
        const uint8_t *label = rd_bytes(rd, len);
        if (rd->failed || len > LABEL_MAX || out->zone_len + 1 + len > NAME_WIRE_MAX) {
            return false;
        }
        out->zone[out->zone_len++] = len;
        for (size_t i = 0; i < len; i++) {
            uint8_t c = lower(label[i]);
            out->is_lower = out->is_lower && c == label[i];
            out->zone[out->zone_len++] = c;
        }
        if (len == 0) {
            return true;
        }
    }
}

/* The SOA that the peer has. RFC 1995 §3 */
static bool read_serial(const uint8_t *packet, size_t len, size_t *pos, struct transfer_query *out)
{
    AUTO(rr_clear) struct dns_rr soa = {0};

    if (rr_from_packet(packet, len, pos, &soa).code != ERR_OK || soa.type != DNS_TYPE_SOA ||
        soa.class_ != DNS_CLASS_IN || soa.owner_len != out->zone_len ||
        memcmp(soa.owner, out->zone, out->zone_len) != 0 || soa.rdata_len < DNS_SOA_NUMBERS_LEN) {
        return false;
    }
    out->serial = wire_soa_serial(soa.rdata, soa.rdata_len);
    return true;
}

/* Any name, without looking where a pointer leads. */
static void skip_name(struct rd *rd)
{
    for (;;) {
        uint8_t len = rd_u8(rd);
        if (len >= 0xc0) {
            (void)rd_u8(rd);
            return;
        }
        if (len > LABEL_MAX) {
            rd->failed = true;
        }
        if (len == 0 || rd->failed) {
            return;
        }
        (void)rd_bytes(rd, len);
    }
}

/* The additional section: nothing but OPT counts. */
static bool read_additional(struct rd *rd, unsigned n, struct transfer_query *out)
{
    for (unsigned i = 0; i < n; i++) {
        bool is_root = rd->left > 0 && rd->p[0] == 0;
        skip_name(rd);
        uint16_t type = rd_u16(rd);
        (void)rd_u16(rd);
        uint32_t ttl = rd_u32(rd);
        (void)rd_bytes(rd, rd_u16(rd));
        if (rd->failed || (type == DNS_TYPE_OPT && (out->has_opt || !is_root))) {
            return false;
        }
        if (type == DNS_TYPE_OPT) {
            out->has_opt = true;
            out->has_do = (ttl & EDNS_DO) != 0;
        }
    }
    return rd->left == 0;
}

unsigned transfer_query_read(const uint8_t *packet, size_t len, struct transfer_query *out)
{
    struct rd rd = rd_init(packet, len);

    memset(out, 0, sizeof(*out));
    out->id = rd_u16(&rd);
    uint8_t flags = rd_u8(&rd);
    (void)rd_u8(&rd);
    uint16_t questions_n = rd_u16(&rd);
    uint16_t answers_n = rd_u16(&rd);
    uint16_t authority_n = rd_u16(&rd);
    uint16_t additional_n = rd_u16(&rd);
    if (rd.failed || (flags & (FLAG_QR | OPCODE_BITS)) != 0 || questions_n != 1 || answers_n != 0) {
        return RCODE_FORMERR;
    }
    out->has_rd = (flags & FLAG_RD) != 0;
    out->question = rd.p;
    if (!read_zone(&rd, out)) {
        return RCODE_FORMERR;
    }
    uint16_t type = rd_u16(&rd);
    uint16_t class = rd_u16(&rd);
    out->question_len = (size_t)(rd.p - out->question);
    out->is_ixfr = type == DNS_TYPE_IXFR;
    if (rd.failed || (type != DNS_TYPE_AXFR && type != DNS_TYPE_IXFR) ||
        authority_n != (out->is_ixfr ? 1 : 0)) {
        return RCODE_FORMERR;
    }
    size_t pos = DNS_HEADER_LEN + out->question_len;
    if (out->is_ixfr && !read_serial(packet, len, &pos, out)) {
        return RCODE_FORMERR;
    }
    rd = rd_init(packet + pos, len - pos);
    if (!read_additional(&rd, additional_n, out)) {
        return RCODE_FORMERR;
    }
    return class == DNS_CLASS_IN ? 0 : RCODE_REFUSED;
}
