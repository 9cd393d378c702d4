/* NOTIFY messages and their answers. */
#include <string.h>

#include "dns/notify.h"
#include "dns/wire.h"

size_t notify_message(const struct notify_zone *zone, uint16_t id, uint32_t serial,
                      uint8_t out[NOTIFY_MESSAGE_MAX])
{
    uint8_t *at = out + DNS_HEADER_LEN;

    memset(out, 0, DNS_HEADER_LEN);
    wire_put16(out, id);
    out[2] = (uint8_t)(OPCODE_NOTIFY << OPCODE_SHIFT | FLAG_AA);
    out[5] = 1;
    memcpy(at, zone->name, zone->name_len);
    at += zone->name_len;
    wire_put16(at, DNS_TYPE_SOA);
    wire_put16(at + 2, DNS_CLASS_IN);
    at += DNS_QUESTION_TAIL_LEN;
    if (zone->soa_len < DNS_SOA_NUMBERS_LEN) {
        return (size_t)(at - out);
    }
    out[7] = 1;
    wire_put16(at, DNS_POINTER | DNS_HEADER_LEN);
    at += DNS_POINTER_LEN;
    wire_put16(at, DNS_TYPE_SOA);
    wire_put16(at + 2, DNS_CLASS_IN);
    wire_put32(at + 4, zone->soa_ttl);
    wire_put16(at + 8, zone->soa_len);
    at += DNS_RR_HEAD_LEN;
    memcpy(at, zone->soa, zone->soa_len);
    at += zone->soa_len;
    wire_put32(at - DNS_SOA_NUMBERS_LEN, serial);
    return (size_t)(at - out);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Length octets are below 64 and so not changed by lower(). */
static bool is_question(const struct notify_zone *zone, struct rd *rd)
{
    const uint8_t *name = rd_bytes(rd, zone->name_len);
    uint16_t type = rd_u16(rd);
    uint16_t class = rd_u16(rd);

    if (rd->failed || type != DNS_TYPE_SOA || class != DNS_CLASS_IN) {
        return false;
    }
    for (size_t i = 0; i < zone->name_len; i++) {
        if (lower(name[i]) != zone->name[i]) {
            return false;
        }
    }
    return true;
}

bool notify_is_answer(const struct notify_zone *zone, uint16_t id, const uint8_t *packet,
                      size_t len, unsigned *rcode)
{
    struct rd rd = rd_init(packet, len);
    (void)rd_bytes(&rd, DNS_HEADER_LEN);
    if (rd.failed || wire_get16(packet) != id || (packet[2] & FLAG_QR) == 0 ||
        wire_opcode(packet) != OPCODE_NOTIFY) {
        return false;
    }
    unsigned questions_n = wire_get16(packet + 4);
    *rcode = packet[3] & RCODE_BITS;
    if (questions_n == 0) {
        return *rcode != 0;
    }
    return questions_n == 1 && is_question(zone, &rd);
}

static bool is_any(const struct ip_addr *ip)
{
    static const uint8_t zero[16];

    return memcmp(ip->bytes, zero, ip->family == 4 ? 4 : 16) == 0;
}

/* Equal leading bits; RFC 6724 §5 rule 8 chooses by them as well. */
static unsigned equal_bits(const struct ip_addr *a, const struct ip_addr *b)
{
    unsigned n = 0;

    while (n < (a->family == 4 ? 32u : 128u) &&
           ((a->bytes[n / 8] ^ b->bytes[n / 8]) & 0x80u >> n % 8) == 0) {
        n++;
    }
    return n;
}

struct ip_addr notify_source(const struct ip_endpoint *listen, size_t n,
                             const struct ip_addr *server)
{
    struct ip_addr none = {0};
    const struct ip_addr *best = NULL;

    for (size_t i = 0; i < n; i++) {
        const struct ip_addr *at = &listen[i].addr;
        if (at->family != server->family) {
            continue;
        }
        if (is_any(at)) {
            return none;
        }
        if (best == NULL || equal_bits(at, server) > equal_bits(best, server)) {
            best = at;
        }
    }
    return best == NULL ? none : *best;
}
