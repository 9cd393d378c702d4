/* NOTIFY messages and their answers. */
#include <string.h>

#include "dns/notify.h"

#define HEADER_LEN 12u
#define OPCODE_NOTIFY 4u
#define FLAG_AA 0x0400u
#define FLAG_QR 0x8000u
#define TYPE_SOA 6u

static uint8_t *put_u16(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
    return at + 2;
}

static uint8_t *put_u32(uint8_t *at, uint32_t v)
{
    return put_u16(put_u16(at, (uint16_t)(v >> 16)), (uint16_t)v);
}

size_t notify_message(const struct notify_zone *zone, uint16_t id, uint32_t serial,
                      uint8_t out[NOTIFY_MESSAGE_MAX])
{
    uint8_t *at = out;

    memset(out, 0, HEADER_LEN);
    (void)put_u16(out, id);
    (void)put_u16(out + 2, (uint16_t)(OPCODE_NOTIFY << 11 | FLAG_AA));
    (void)put_u16(out + 4, 1);
    at += HEADER_LEN;
    memcpy(at, zone->name, zone->name_len);
    at = put_u16(at + zone->name_len, TYPE_SOA);
    at = put_u16(at, RR_CLASS_IN);
    if (zone->soa_len < 20) {
        return (size_t)(at - out);
    }
    (void)put_u16(out + 6, 1);
    at = put_u16(at, (uint16_t)(0xc000u | HEADER_LEN));
    at = put_u16(at, TYPE_SOA);
    at = put_u16(at, RR_CLASS_IN);
    at = put_u32(at, zone->soa_ttl);
    at = put_u16(at, (uint16_t)zone->soa_len);
    memcpy(at, zone->soa, zone->soa_len);
    at += zone->soa_len;
    (void)put_u32(at - 20, serial);
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

    if (rd->failed || type != TYPE_SOA || class != RR_CLASS_IN) {
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
    uint16_t got = rd_u16(&rd);
    uint16_t flags = rd_u16(&rd);
    uint16_t questions_n = rd_u16(&rd);

    (void)rd_bytes(&rd, 6);
    if (rd.failed || got != id || (flags & FLAG_QR) == 0 || (flags >> 11 & 0xfu) != OPCODE_NOTIFY) {
        return false;
    }
    *rcode = flags & 0xfu;
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
