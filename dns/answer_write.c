/* Records into an answer. */
#include <string.h>

#include "dns/answer_int.h"

#define HOSTMASTER "\12hostmaster"

/* The next n octets of the reply; NULL when they do not fit, and then the reply is to be
 * truncated. */
static uint8_t *take(struct reply *r, size_t n)
{
    if (r->is_full || r->limit - r->len < n) {
        r->is_full = true;
        return NULL;
    }
    uint8_t *p = r->out + r->len;
    r->len += n;
    return p;
}

/* An owner as it is written: a pointer, or the whole name where pointers do not reach. */
struct owner {
    const uint8_t *name; /* NULL: a pointer */
    size_t len;
    unsigned pointer;
};

static struct owner owner_of(const struct reply *r, unsigned at)
{
    struct owner owner = {NULL, 2, DNS_POINTER | at};

    if (at > DNS_POINTER_MAX) {
        owner.name = r->out + at;
        owner.len = name_len(owner.name);
    }
    return owner;
}

static inline uint8_t *put_owner(uint8_t *p, const struct owner *owner)
{
    if (owner->name == NULL) {
        wire_put16(p, owner->pointer);
    } else {
        memcpy(p, owner->name, owner->len);
    }
    return p + owner->len;
}

uint8_t *reply_take_record(struct reply *r, unsigned owner_at, unsigned type, uint32_t ttl,
                           size_t data_len)
{
    struct owner owner = owner_of(r, owner_at);
    uint8_t *p = take(r, owner.len + DNS_RR_HEAD_LEN + data_len);

    if (p == NULL) {
        return NULL;
    }
    p = put_owner(p, &owner);
    wire_put16(p, type);
    wire_put16(p + 2, DNS_CLASS_IN);
    wire_put32(p + 4, ttl);
    wire_put16(p + 8, (unsigned)data_len);
    return p + DNS_RR_HEAD_LEN;
}

bool reply_put_rrs(struct reply *r, unsigned owner_at, const struct zone_rrs *rrs, uint16_t *count)
{
    struct owner owner = owner_of(r, owner_at);
    uint8_t *p = take(r, rrs->rr_n * (rrs->rr_len + owner.len));

    if (p == NULL) {
        return false;
    }
    for (size_t i = 0; i < rrs->rr_n; i++) {
        p = put_owner(p, &owner);
        memcpy(p, rrs->data + i * rrs->rr_len, rrs->rr_len);
        p += rrs->rr_len;
    }
    *count = (uint16_t)(*count + rrs->rr_n);
    return true;
}

bool reply_put_set(struct reply *r, unsigned owner_at, const struct zone_rrset *set,
                   uint16_t *count)
{
    struct owner owner = owner_of(r, owner_at);
    uint8_t *p = take(r, set->len + set->rr_n * owner.len);
    const uint8_t *rr = set->data;

    if (p == NULL) {
        return false;
    }
    for (size_t i = 0; i < set->rr_n; i++) {
        size_t rr_len = DNS_RR_HEAD_LEN + rr_data_len(rr);
        p = put_owner(p, &owner);
        memcpy(p, rr, rr_len);
        p += rr_len;
        rr += rr_len;
    }
    *count = (uint16_t)(*count + set->rr_n);
    return true;
}

const struct zone_owner *apex_owner(const struct zone_snapshot *snap, const struct dns_name *name,
                                    const struct zone_match *match)
{
    if (match->zone->is_delegate || zone_state_of(snap, match->zone)->owners_n == 0) {
        return NULL;
    }
    return zone_owner_find(snap, name->wire + match->apex, (size_t)name->len - match->apex);
}

/* The name of a zone's server; apex_at: where the zone's name stands in the reply, within reach of
 * pointers. buf: NAME_WIRE_MAX. Returns its length. */
static size_t encode_ns(const struct zone_table *table, const struct zone_entry *zone,
                        unsigned apex_at, uint8_t *buf)
{
    if (!table->is_hostname_ns) {
        memcpy(buf, "\2ns", 3);
        wire_put16(buf + 3, DNS_POINTER | apex_at);
        return 5;
    }
    if (!zone->is_ns_below) {
        memcpy(buf, table->hostname, table->hostname_len);
        return table->hostname_len;
    }
    memcpy(buf, table->hostname, zone->ns_head_len);
    wire_put16(buf + zone->ns_head_len, DNS_POINTER | apex_at);
    return zone->ns_head_len + 2u;
}

static bool put_own_soa(struct reply *r, const struct zone_entry *zone, unsigned apex_at)
{
    UNCLEARED uint8_t ns[NAME_WIRE_MAX];
    size_t ns_len = encode_ns(r->snap->table, zone, apex_at, ns);
    size_t rname_len = sizeof(HOSTMASTER) - 1;
    uint8_t *p = reply_take_record(r, apex_at, DNS_TYPE_SOA, ZONE_SOA_TTL_S,
                                   ns_len + rname_len + 2 + DNS_SOA_NUMBERS_LEN);

    if (p == NULL) {
        return false;
    }
    memcpy(p, ns, ns_len);
    p += ns_len;
    memcpy(p, HOSTMASTER, rname_len);
    p += rname_len;
    wire_put16(p, DNS_POINTER | apex_at);
    wire_put32(p + 2, zone_state_of(r->snap, zone)->serial);
    wire_put32(p + 6, ZONE_SOA_REFRESH_S);
    wire_put32(p + 10, ZONE_SOA_RETRY_S);
    wire_put32(p + 14, ZONE_SOA_EXPIRE_S);
    wire_put32(p + 18, ZONE_SOA_MINIMUM_S);
    return true;
}

bool reply_put_delegate_soa(struct reply *r, unsigned apex_at)
{
    return put_own_soa(r, r->snap->table->delegate, apex_at);
}

bool reply_put_soa(struct reply *r, const struct cursor *c, unsigned apex_at, bool is_negative)
{
    const struct zone_owner *apex = apex_owner(r->snap, c->name, &c->match);
    const struct zone_rrset *set = apex == NULL ? NULL : zone_rrset_find(apex, DNS_TYPE_SOA);

    size_t data_len = set == NULL ? 0 : rr_data_len(set->data);
    if (data_len < DNS_SOA_NUMBERS_LEN) {
        return put_own_soa(r, c->match.zone, apex_at);
    }
    const uint8_t *end = set->data + DNS_RR_HEAD_LEN + data_len;
    uint32_t ttl = wire_get32(set->data + 4);
    uint32_t minimum = wire_get32(end - 4);
    uint8_t *p = reply_take_record(r, apex_at, DNS_TYPE_SOA,
                                   is_negative && minimum < ttl ? minimum : ttl, data_len);
    if (p == NULL) {
        return false;
    }
    memcpy(p, set->data + DNS_RR_HEAD_LEN, data_len);
    wire_put32(p + data_len - DNS_SOA_NUMBERS_LEN, zone_state_of(r->snap, c->match.zone)->serial);
    return true;
}

void reply_put_own_ns(struct reply *r, const struct cursor *c)
{
    const struct zone_table *table = r->snap->table;
    UNCLEARED uint8_t ns[NAME_WIRE_MAX];
    size_t len = encode_ns(table, c->match.zone, c->at, ns);
    uint8_t *p = reply_take_record(r, c->at, DNS_TYPE_NS, ZONE_NS_TTL_S, len);

    if (p == NULL) {
        return;
    }
    memcpy(p, ns, len);
    r->answer_n++;
    /* Addresses are a courtesy: a set that does not fit is left out whole. */
    unsigned at = (unsigned)(p - r->out);
    (void)reply_put_rrs(r, at, &table->a, &r->additional_n);
    r->is_full = false;
    (void)reply_put_rrs(r, at, &table->aaaa, &r->additional_n);
    r->is_full = false;
}

size_t reply_bounded(uint8_t *out, size_t len, size_t allowed)
{
    if (len <= allowed) {
        return len;
    }
    out[2] = (uint8_t)(FLAG_QR | (out[2] & FLAG_RD));
    out[3] = RCODE_SERVFAIL;
    memset(out + 4, 0, DNS_HEADER_LEN - 4);
    return DNS_HEADER_LEN;
}
