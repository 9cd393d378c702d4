#include "dns/answer.h"

#include <string.h>

#include "dns/query.h"
#include "dns/zone_table.h"

#define RCODE_FORMERR 1u
#define RCODE_NXDOMAIN 3u
#define RCODE_NOTIMP 4u
#define RCODE_REFUSED 5u
#define RCODE_BADVERS 16u
#define FLAG_QR 0x80u /* octet 2 */
#define FLAG_AA 0x04u
#define FLAG_TC 0x02u
#define FLAG_RD 0x01u
#define OPCODE_BITS 0x78u
#define POINTER 0xc000u
#define QNAME_POINTER (POINTER | DNS_HEADER_LEN)
#define OPT_LEN 11u
#define HOSTMASTER "\12hostmaster"

struct reply {
    const struct zone_snapshot *snap;
    const struct dns_query *q;
    struct zone_match match;
    uint8_t *out;
    size_t len, limit; /* limit leaves room for the OPT record */
    uint16_t answer_n, authority_n, additional_n;
    uint16_t rcode;
    bool is_authoritative, is_full;
};

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

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

/* Owner, type, class, TTL and data length of one record. */
static uint8_t *take_record(struct reply *r, unsigned owner, unsigned type, uint32_t ttl,
                            size_t data_len)
{
    uint8_t *p = take(r, 12 + data_len);

    if (p == NULL) {
        return NULL;
    }
    put16(p, owner);
    put16(p + 2, type);
    put16(p + 4, DNS_CLASS_IN);
    put32(p + 6, ttl);
    put16(p + 10, (unsigned)data_len);
    return p + 12;
}

static bool put_rrs(struct reply *r, unsigned owner, const struct zone_rrs *rrs, uint16_t *count)
{
    uint8_t *p = take(r, rrs->rr_n * (rrs->rr_len + 2u));

    if (p == NULL) {
        return false;
    }
    for (size_t i = 0; i < rrs->rr_n; i++) {
        put16(p, owner);
        memcpy(p + 2, rrs->data + i * rrs->rr_len, rrs->rr_len);
        p += rrs->rr_len + 2u;
    }
    *count = (uint16_t)(*count + rrs->rr_n);
    return true;
}

/* The name of a zone's server; apex: pointer to where the zone's name stands in the reply. buf:
 * NAME_WIRE_MAX. Returns its length. */
static size_t encode_ns(const struct zone_table *table, const struct zone_entry *zone,
                        unsigned apex, uint8_t *buf)
{
    if (!table->is_hostname_ns) {
        memcpy(buf, "\2ns", 3);
        put16(buf + 3, apex);
        return 5;
    }
    if (!zone->is_ns_below) {
        memcpy(buf, table->hostname, table->hostname_len);
        return table->hostname_len;
    }
    memcpy(buf, table->hostname, zone->ns_head_len);
    put16(buf + zone->ns_head_len, apex);
    return zone->ns_head_len + 2u;
}

static bool put_soa(struct reply *r, const struct zone_entry *zone, unsigned apex)
{
    uint8_t ns[NAME_WIRE_MAX];
    size_t ns_len = encode_ns(r->snap->table, zone, apex, ns);
    size_t rname_len = sizeof(HOSTMASTER) - 1;
    uint8_t *p = take_record(r, apex, DNS_TYPE_SOA, ZONE_SOA_TTL_S, ns_len + rname_len + 2 + 20);

    if (p == NULL) {
        return false;
    }
    memcpy(p, ns, ns_len);
    p += ns_len;
    memcpy(p, HOSTMASTER, rname_len);
    p += rname_len;
    put16(p, apex);
    put32(p + 2, zone->is_delegate ? r->snap->serial : r->snap->zones_serial);
    put32(p + 6, ZONE_SOA_REFRESH_S);
    put32(p + 10, ZONE_SOA_RETRY_S);
    put32(p + 14, ZONE_SOA_EXPIRE_S);
    put32(p + 18, ZONE_SOA_MINIMUM_S);
    return true;
}

static unsigned apex_pointer(const struct reply *r)
{
    return QNAME_POINTER + r->match.apex;
}

/* NODATA, or with an rcode NXDOMAIN: the SOA in authority, its TTL the smaller of TTL and MINIMUM.
 * RFC 2308 §3 */
static void put_negative(struct reply *r, uint16_t rcode)
{
    r->rcode = rcode;
    if (put_soa(r, r->match.zone, apex_pointer(r))) {
        r->authority_n++;
    }
}

/* Glue is a courtesy: a set that does not fit is left out whole. */
static void put_glue(struct reply *r, unsigned owner)
{
    const struct zone_table *table = r->snap->table;

    (void)(put_rrs(r, owner, &table->a, &r->additional_n) &&
           put_rrs(r, owner, &table->aaaa, &r->additional_n));
    r->is_full = false;
}

static void solve_apex_ns(struct reply *r)
{
    uint8_t ns[NAME_WIRE_MAX];
    size_t len = encode_ns(r->snap->table, r->match.zone, apex_pointer(r), ns);
    uint8_t *p = take_record(r, apex_pointer(r), DNS_TYPE_NS, ZONE_NS_TTL_S, len);

    if (p != NULL) {
        memcpy(p, ns, len);
        r->answer_n++;
        put_glue(r, POINTER | (unsigned)(p - r->out));
    }
}

static void put_answer(struct reply *r, const struct zone_rrs *rrs)
{
    if (rrs->rr_n == 0) {
        put_negative(r, 0);
    } else {
        (void)put_rrs(r, QNAME_POINTER, rrs, &r->answer_n);
    }
}

/* A, AAAA or, for ANY, whichever is there. RFC 8482 §4.1 */
static void solve_addresses(struct reply *r, const struct zone_rrs *a, const struct zone_rrs *aaaa)
{
    unsigned type = r->q->type;

    if (type == DNS_TYPE_A || (type == DNS_TYPE_ANY && a->rr_n > 0)) {
        put_answer(r, a);
    } else if (type == DNS_TYPE_AAAA || type == DNS_TYPE_ANY) {
        put_answer(r, aaaa);
    } else {
        put_negative(r, 0);
    }
}

/* The automatic CNAME with what its target holds, all in one message. */
static void solve_challenge(struct reply *r)
{
    const struct zone_table *table = r->snap->table;
    const struct dns_query *q = r->q;
    uint8_t target[NAME_WIRE_MAX];
    size_t suffix = 0;
    size_t len = zone_challenge_target(table, &q->name, target, &suffix);

    if (len == 0) {
        put_negative(r, 0);
        return;
    }
    uint8_t *p = take_record(r, QNAME_POINTER, DNS_TYPE_CNAME, ZONE_CNAME_TTL_S, len);
    if (p == NULL) {
        return;
    }
    memcpy(p, target, len);
    r->answer_n++;
    if (q->type == DNS_TYPE_CNAME || q->type == DNS_TYPE_ANY) {
        return;
    }
    unsigned at = POINTER | (unsigned)(p - r->out);
    const struct zone_owner *owner =
        q->type == DNS_TYPE_TXT ? zone_owner_find(r->snap, target, len) : NULL;
    if (owner != NULL) {
        (void)put_rrs(r, at, &owner->txt, &r->answer_n);
    } else if (put_soa(r, table->delegate, at + (unsigned)suffix)) {
        r->authority_n++;
    }
}

/* x, or an account's label before it; the delegate zone's apex is no x. */
static bool is_delegate_name(const struct reply *r)
{
    const struct dns_name *name = &r->q->name;

    return name->is_rest_ldh &&
           (name->first == LABEL_LDH ||
            (name->first == LABEL_ACCOUNT && r->match.apex > ZONE_ACCOUNT_LABEL_LEN + 1));
}

static void solve_delegate(struct reply *r)
{
    const struct dns_name *name = &r->q->name;
    unsigned type = r->q->type;

    if (type == DNS_TYPE_TXT || type == DNS_TYPE_ANY) {
        const struct zone_owner *owner = zone_owner_find(r->snap, name->wire, name->len);
        if (owner != NULL) {
            put_answer(r, &owner->txt);
            return;
        }
    }
    if (zone_is_ns(r->snap->table, name, &r->match)) {
        solve_addresses(r, &r->snap->table->a, &r->snap->table->aaaa);
        return;
    }
    put_negative(r, r->match.apex == 0 || is_delegate_name(r) ? 0 : RCODE_NXDOMAIN);
}

/* _validation-persist.<well-formed name>: the texts put there, or NODATA. */
static void solve_persist(struct reply *r)
{
    const struct dns_query *q = r->q;
    bool is_asked = q->type == DNS_TYPE_TXT || q->type == DNS_TYPE_ANY;
    const struct zone_owner *owner =
        is_asked ? zone_owner_find(r->snap, q->name.wire, q->name.len) : NULL;

    if (owner == NULL) {
        put_negative(r, 0);
        return;
    }
    uint8_t *p = take(r, owner->whole_len);
    if (p != NULL) {
        memcpy(p, owner->whole, owner->whole_len);
        r->answer_n = owner->whole_n;
    }
}

static void solve_zone(struct reply *r)
{
    const struct dns_name *name = &r->q->name;

    if (zone_has_challenge(name, &r->match)) {
        solve_challenge(r);
    } else if (name->first == LABEL_PERSIST && name->is_rest_ldh) {
        solve_persist(r);
    } else if (!name->is_rest_ldh || (name->first != LABEL_LDH && name->first != LABEL_STAR)) {
        put_negative(r, RCODE_NXDOMAIN);
    } else if (zone_is_ns(r->snap->table, name, &r->match)) {
        solve_addresses(r, &r->snap->table->a, &r->snap->table->aaaa);
    } else {
        solve_addresses(r, &r->match.zone->a, &r->match.zone->aaaa);
    }
}

static void solve(struct reply *r)
{
    const struct dns_query *q = r->q;

    if (q->edns_version != 0) {
        r->rcode = RCODE_BADVERS;
        return;
    }
    if (q->class_ != DNS_CLASS_IN || q->type == DNS_TYPE_AXFR || q->type == DNS_TYPE_IXFR ||
        !zone_find(r->snap->table, &q->name, &r->match)) {
        r->rcode = RCODE_REFUSED;
        return;
    }
    r->is_authoritative = true;
    bool is_apex = r->match.apex == 0;
    if (is_apex && (q->type == DNS_TYPE_SOA || q->type == DNS_TYPE_ANY)) {
        if (put_soa(r, r->match.zone, apex_pointer(r))) {
            r->answer_n++;
        }
    } else if (is_apex && q->type == DNS_TYPE_NS) {
        solve_apex_ns(r);
    } else if (r->match.zone->is_delegate) {
        solve_delegate(r);
    } else {
        solve_zone(r);
    }
}

/* Header, counts and OPT around what solve() wrote. */
static size_t finish(struct reply *r)
{
    uint8_t *out = r->out;

    /* Never a part of an RRset: the question alone, ask again over TCP. RFC 2181 §9 */
    if (r->is_full) {
        r->len = r->q->question_end;
        r->answer_n = r->authority_n = r->additional_n = 0;
    }
    out[2] = (uint8_t)(FLAG_QR | (out[2] & FLAG_RD) | (r->is_authoritative ? FLAG_AA : 0) |
                       (r->is_full ? FLAG_TC : 0));
    out[3] = r->rcode & 0x0f;
    put16(out + 6, r->answer_n);
    put16(out + 8, r->authority_n);
    put16(out + 10, r->additional_n + (r->q->has_edns ? 1u : 0u));
    if (r->q->has_edns) {
        uint8_t *p = out + r->len;
        p[0] = 0;
        put16(p + 1, DNS_TYPE_OPT);
        put16(p + 3, DNS_UDP_EDNS_MAX);
        p[5] = (uint8_t)(r->rcode >> 4);
        p[6] = 0;
        put16(p + 7, r->q->is_dnssec_ok ? 0x8000 : 0);
        put16(p + 9, 0);
        r->len += OPT_LEN;
    }
    return r->len;
}

static size_t header_only(const uint8_t *query, unsigned rcode, uint8_t *out)
{
    memset(out, 0, DNS_HEADER_LEN);
    memcpy(out, query, 2);
    out[2] = (uint8_t)(FLAG_QR | (query[2] & (OPCODE_BITS | FLAG_RD)));
    out[3] = (uint8_t)rcode;
    return DNS_HEADER_LEN;
}

static size_t size_limit(const struct dns_query *q, bool is_tcp, size_t out_cap)
{
    size_t limit = DNS_UDP_PLAIN_MAX;

    if (is_tcp) {
        limit = DNS_TCP_MAX;
    } else if (q->has_edns && q->edns_size > DNS_UDP_PLAIN_MAX) {
        limit = q->edns_size < DNS_UDP_EDNS_MAX ? q->edns_size : DNS_UDP_EDNS_MAX;
    }
    return limit < out_cap ? limit : out_cap;
}

size_t answer_build(const struct zone_snapshot *snap, const uint8_t *query, size_t query_len,
                    bool is_tcp, uint8_t *out, size_t out_cap)
{
    struct dns_query q;

    switch (query_parse(query, query_len, &q)) {
    case QUERY_DROP:
        return 0;
    case QUERY_FORMERR:
        return header_only(query, RCODE_FORMERR, out);
    case QUERY_NOTIMP:
        return header_only(query, RCODE_NOTIMP, out);
    case QUERY_OK:
        break;
    }
    struct reply r = {.snap = snap, .q = &q, .out = out, .len = q.question_end};
    r.limit = size_limit(&q, is_tcp, out_cap) - (q.has_edns ? OPT_LEN : 0);
    memcpy(out, query, q.question_end);
    solve(&r);
    return finish(&r);
}
