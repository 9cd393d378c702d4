#include "dns/rr_int.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/util/mem.h"

void rr_clear(struct dns_rr *rr)
{
    mem_freep(&rr->rdata);
    memset(rr, 0, sizeof(*rr));
}

bool rr_equal(const struct dns_rr *a, const struct dns_rr *b)
{
    return a->type == b->type && a->owner_len == b->owner_len && a->rdata_len == b->rdata_len &&
           memcmp(a->owner, b->owner, a->owner_len) == 0 &&
           (a->rdata_len == 0 || memcmp(a->rdata, b->rdata, a->rdata_len) == 0);
}

/* --- types ------------------------------------------------------------------------------------ */

void rr_type_text(uint16_t type, char out[RR_TYPE_TEXT_MAX + 1])
{
    const ldns_rr_descriptor *descriptor = ldns_rr_descript(type);
    const char *name = descriptor->_type == type ? descriptor->_name : NULL;

    if (type == LDNS_RR_TYPE_ANY || type == LDNS_RR_TYPE_AXFR || type == LDNS_RR_TYPE_IXFR) {
        name = type == LDNS_RR_TYPE_ANY ? "ANY" : type == LDNS_RR_TYPE_AXFR ? "AXFR" : "IXFR";
    }
    if (name == NULL || strlen(name) > RR_TYPE_TEXT_MAX) {
        (void)snprintf(out, RR_TYPE_TEXT_MAX + 1, "TYPE%u", (unsigned)type);
    } else {
        (void)snprintf(out, RR_TYPE_TEXT_MAX + 1, "%s", name);
    }
}

bool rr_type_parse(const char *text, uint16_t *out)
{
    static const char PREFIX[] = "TYPE";
    size_t len = strnlen(text, RR_TYPE_TEXT_MAX + 1);
    unsigned long number = 0;

    if (len == 0 || len > RR_TYPE_TEXT_MAX) {
        return false;
    }
    if (strncasecmp(text, PREFIX, 4) != 0) { /* ldns takes any end of TYPE */
        number = (unsigned long)ldns_get_rr_type_by_name(text);
        if (number == 0 || number > UINT16_MAX) {
            return false;
        }
        *out = (uint16_t)number;
        return true;
    }
    for (size_t i = 4; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        number = number * 10 + (unsigned long)(text[i] - '0');
        if (number > UINT16_MAX) {
            return false;
        }
    }
    if (len == 4) {
        return false;
    }
    *out = (uint16_t)number;
    return true;
}

enum rr_kind rr_kind(uint16_t type)
{
    static const uint16_t DNSSEC[] = {
        LDNS_RR_TYPE_SIG,    LDNS_RR_TYPE_NXT,   LDNS_RR_TYPE_RRSIG,     LDNS_RR_TYPE_NSEC,
        LDNS_RR_TYPE_DNSKEY, LDNS_RR_TYPE_NSEC3, LDNS_RR_TYPE_NSEC3PARAM};

    if (type == 0 || type == LDNS_RR_TYPE_OPT || type == UINT16_MAX ||
        (type >= DNS_TYPE_META_FIRST && type <= DNS_TYPE_META_LAST)) {
        return RR_META;
    }
    for (size_t i = 0; i < ARRAY_N(DNSSEC); i++) {
        if (type == DNSSEC[i]) {
            return RR_DNSSEC;
        }
    }
    return RR_ORDINARY;
}

bool rr_is_singleton(uint16_t type)
{
    return type == LDNS_RR_TYPE_SOA || type == LDNS_RR_TYPE_CNAME || type == LDNS_RR_TYPE_DNAME;
}

enum rr_field rr_field_of(ldns_rdf_type type)
{
    switch ((unsigned)type) {
    case LDNS_RDF_TYPE_DNAME:
        return FIELD_NAME;
    case LDNS_RDF_TYPE_INT8:
    case LDNS_RDF_TYPE_CERTIFICATE_USAGE:
    case LDNS_RDF_TYPE_SELECTOR:
    case LDNS_RDF_TYPE_MATCHING_TYPE:
        return FIELD_U8;
    case LDNS_RDF_TYPE_INT16:
        return FIELD_U16;
    case LDNS_RDF_TYPE_INT32:
        return FIELD_U32;
    case LDNS_RDF_TYPE_PERIOD:
        return FIELD_PERIOD;
    case LDNS_RDF_TYPE_A:
        return FIELD_A;
    case LDNS_RDF_TYPE_AAAA:
        return FIELD_AAAA;
    case LDNS_RDF_TYPE_STR:
        return FIELD_STRING;
    case LDNS_RDF_TYPE_TAG:
        return FIELD_TAG;
    case LDNS_RDF_TYPE_LONG_STR:
        return FIELD_REST;
    case LDNS_RDF_TYPE_HEX:
        return FIELD_HEX;
    case LDNS_RDF_TYPE_B64:
        return FIELD_BASE64;
    case LDNS_RDF_TYPE_ALG:
        return FIELD_ALGORITHM;
    case LDNS_RDF_TYPE_CERT_ALG:
        return FIELD_CERT;
    default: /* allow: ldns's enum */
        return FIELD_OTHER;
    }
}

bool rr_is_simple(const ldns_rr_descriptor *descriptor)
{
    size_t n = ldns_rr_descriptor_minimum(descriptor);

    for (size_t i = 0; i < n; i++) {
        if (rr_field_of(ldns_rr_descriptor_field_type(descriptor, i)) == FIELD_OTHER) {
            return false;
        }
    }
    /* What may follow: nothing, or more of the same character-strings. */
    return n > 0 && (ldns_rr_descriptor_maximum(descriptor) == n ||
                     ldns_rr_descriptor_field_type(descriptor, n) == LDNS_RDF_TYPE_STR);
}

/* --- names ------------------------------------------------------------------------------------ */

size_t rr_name_len(const uint8_t *wire)
{
    size_t o = 0;

    while (wire[o] != 0) {
        o += (size_t)wire[o] + 1;
    }
    return o + 1;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

struct err rr_name_from_packet(const uint8_t *packet, size_t len, size_t *pos,
                               uint8_t out[NAME_WIRE_MAX], size_t *out_len)
{
    size_t at = *pos;
    size_t behind = 0;  /* the first pointer, if there was one */
    size_t before = at; /* a pointer leads to before where its name began, so the walk ends */
    size_t o = 0;

    for (;;) {
        if (at >= len) {
            FAIL(ERR_MALFORMED, "a name is cut off");
        }
        size_t n = packet[at];
        if ((n & DNS_POINTER_BITS) == DNS_POINTER_BITS) {
            if (len - at < 2) {
                FAIL(ERR_MALFORMED, "a name is cut off");
            }
            size_t target = wire_get16(packet + at) & DNS_POINTER_MAX;
            if (target >= before) {
                FAIL(ERR_MALFORMED, "a name's pointer does not lead backwards");
            }
            behind = behind == 0 ? at + 2 : behind;
            at = before = target;
            continue;
        }
        if (n > LABEL_MAX || n >= len - at || o + n + 1 > NAME_WIRE_MAX - (n > 0 ? 1u : 0u)) {
            FAIL(ERR_MALFORMED, "a name is cut off, or longer than 255 octets");
        }
        out[o++] = (uint8_t)n;
        for (size_t i = 1; i <= n; i++) {
            out[o++] = lower(packet[at + i]);
        }
        at += n + 1;
        if (n == 0) {
            break;
        }
    }
    *pos = behind == 0 ? at : behind;
    *out_len = o;
    return err_ok();
}

/* --- RDATA from packets ----------------------------------------------------------------------- */

/* Types in whose RDATA names may be compressed. RFC 1035 §3.3, RFC 3597 §4 */
static bool may_compress(uint16_t type)
{
    static const uint16_t TYPES[] = {
        LDNS_RR_TYPE_NS,    LDNS_RR_TYPE_MD,    LDNS_RR_TYPE_MF,    LDNS_RR_TYPE_CNAME,
        LDNS_RR_TYPE_SOA,   LDNS_RR_TYPE_MB,    LDNS_RR_TYPE_MG,    LDNS_RR_TYPE_MR,
        LDNS_RR_TYPE_PTR,   LDNS_RR_TYPE_MINFO, LDNS_RR_TYPE_MX,    LDNS_RR_TYPE_RP,
        LDNS_RR_TYPE_AFSDB, LDNS_RR_TYPE_RT,    LDNS_RR_TYPE_PX,    LDNS_RR_TYPE_NXT,
        LDNS_RR_TYPE_NAPTR, LDNS_RR_TYPE_SRV,   LDNS_RR_TYPE_DNAME, LDNS_RR_TYPE_KX};

    for (size_t i = 0; i < ARRAY_N(TYPES); i++) {
        if (type == TYPES[i]) {
            return true;
        }
    }
    return false;
}

/* Service parameters: keys strictly increasing, each with its length. RFC 9460 §2.2 */
static bool are_params(const uint8_t *p, size_t left)
{
    long last = -1;

    while (left > 0) {
        if (left < 4) {
            return false;
        }
        long key = (long)wire_get16(p);
        size_t n = wire_get16(p + 2);
        if (key <= last || n > left - 4) {
            return false;
        }
        last = key;
        p += n + 4;
        left -= n + 4;
    }
    return true;
}

static bool is_tag(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = lower(p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) {
            return false;
        }
    }
    return n > 0;
}

/* The length of what ldns tells apart further; most go to the end. */
static size_t other_len(ldns_rdf_type type, const uint8_t *p, size_t left)
{
    switch ((unsigned)type) {
    case LDNS_RDF_TYPE_TYPE:
        return 2;
    case LDNS_RDF_TYPE_EUI48:
        return 6;
    case LDNS_RDF_TYPE_EUI64:
    case LDNS_RDF_TYPE_ILNP64:
        return 8;
    case LDNS_RDF_TYPE_LOC:
        return 16;
    case LDNS_RDF_TYPE_NSEC3_SALT:
    case LDNS_RDF_TYPE_NSEC3_NEXT_OWNER:
        return left > 0 ? (size_t)p[0] + 1 : 1;
    case LDNS_RDF_TYPE_SVCPARAMS:
        return are_params(p, left) ? left : SIZE_MAX;
    default: /* allow: ldns's enum */
        return left > 0 ? left : SIZE_MAX;
    }
}

/* Octets of the field at p with `left` octets of RDATA to go; SIZE_MAX: it does not fit. */
static size_t field_len(enum rr_field field, ldns_rdf_type type, const uint8_t *p, size_t left)
{
    size_t n = 0;

    switch (field) {
    case FIELD_U8:
    case FIELD_ALGORITHM:
        n = 1;
        break;
    case FIELD_U16:
    case FIELD_CERT:
        n = 2;
        break;
    case FIELD_U32:
    case FIELD_PERIOD:
    case FIELD_A:
        n = 4;
        break;
    case FIELD_AAAA:
        n = 16;
        break;
    case FIELD_STRING:
    case FIELD_TAG:
        n = left > 0 ? (size_t)p[0] + 1 : 1;
        break;
    case FIELD_NAME: /* read by the caller */
    case FIELD_REST:
        return left;
    case FIELD_HEX:
    case FIELD_BASE64:
        n = left > 0 ? left : 1;
        break;
    case FIELD_OTHER:
        n = other_len(type, p, left);
        break;
    }
    return n > left || (field == FIELD_TAG && !is_tag(p + 1, n - 1)) ? SIZE_MAX : n;
}

struct rdata_walk {
    const uint8_t *packet;
    size_t at, end;
    bool is_packed; /* names may be compressed */
};

static struct err walk_name(struct rdata_walk *w, struct buf *out)
{
    uint8_t name[NAME_WIRE_MAX];
    size_t name_len = 0;
    size_t from = w->at;

    TRY(rr_name_from_packet(w->packet, w->end, &w->at, name, &name_len));
    if (!w->is_packed && w->at - from != name_len) {
        FAIL(ERR_MALFORMED,
             "a name in the data of a type that allows no compression is compressed");
    }
    buf_put(out, name, name_len);
    return err_ok();
}

static struct err walk_field(struct rdata_walk *w, ldns_rdf_type type, struct buf *out)
{
    enum rr_field field = rr_field_of(type);

    if (field == FIELD_NAME) {
        return walk_name(w, out);
    }
    size_t n = field_len(field, type, w->packet + w->at, w->end - w->at);
    if (n == SIZE_MAX) {
        FAIL(ERR_MALFORMED, "the data is not that of its type");
    }
    buf_put(out, w->packet + w->at, n);
    w->at += n;
    return err_ok();
}

static bool is_opaque(uint16_t type, const ldns_rr_descriptor *descriptor)
{
    return rr_kind(type) == RR_META || descriptor->_type != type ||
           ldns_rr_descriptor_field_type(descriptor, 0) == LDNS_RDF_TYPE_UNKNOWN;
}

/* The octets from w->at to w->end. */
static struct err walk(uint16_t type, struct rdata_walk *w, struct buf *out)
{
    const ldns_rr_descriptor *descriptor = ldns_rr_descript(type);
    size_t least = ldns_rr_descriptor_minimum(descriptor);
    size_t from = out->len;
    size_t i = 0;

    if (is_opaque(type, descriptor)) {
        buf_put(out, w->packet + w->at, w->end - w->at);
        return buf_check(out);
    }
    while (i < least || (w->at < w->end && i < ldns_rr_descriptor_maximum(descriptor))) {
        TRY(walk_field(w, ldns_rr_descriptor_field_type(descriptor, i++), out));
    }
    if (w->at != w->end) {
        FAIL(ERR_MALFORMED, "the data is longer than its type's");
    }
    TRY(buf_check(out));
    if (rr_is_simple(descriptor)) {
        return err_ok();
    }
    AUTO(buf_clear) struct buf text = BUF_INIT(8u * RR_RDATA_MAX);
    if (out->len > from && !rr_ldns_text(type, out->data + from, out->len - from, &text)) {
        FAIL(ERR_MALFORMED, "the data is not that of its type");
    }
    return err_ok();
}

struct err rr_rdata_from_packet(uint16_t type, const uint8_t *packet, size_t len, size_t pos,
                                size_t rdata_len, struct buf *out)
{
    struct rdata_walk w = {packet, pos, pos + rdata_len, may_compress(type)};

    if (pos > len || rdata_len > len - pos) {
        FAIL(ERR_MALFORMED, "a record is cut off");
    }
    return walk(type, &w, out);
}

struct err rr_rdata_check(uint16_t type, const uint8_t *rdata, size_t len, struct buf *out)
{
    static const uint8_t NOTHING[1] = {0};
    struct rdata_walk w = {len == 0 ? NOTHING : rdata, 0, len, false};

    return walk(type, &w, out);
}

struct err rr_from_packet(const uint8_t *packet, size_t len, size_t *pos, struct dns_rr *out)
{
    AUTO(buf_clear) struct buf rdata = BUF_INIT(RR_RDATA_MAX);
    struct dns_rr rr = {.ttl = 0};
    size_t at = *pos;
    size_t owner_len = 0;

    TRY(rr_name_from_packet(packet, len, &at, rr.owner, &owner_len));
    if (len - at < DNS_RR_HEAD_LEN) {
        FAIL(ERR_MALFORMED, "a record is cut off");
    }
    const uint8_t *head = packet + at;
    rr.owner_len = (uint8_t)owner_len;
    rr.type = (uint16_t)wire_get16(head);
    rr.class_ = (uint16_t)wire_get16(head + 2);
    rr.ttl = wire_get32(head + 4);
    if (rr.ttl > RR_TTL_MAX && rr_kind(rr.type) != RR_META) {
        rr.ttl = 0; /* RFC 2181 §8 */
    }
    size_t rdata_len = wire_get16(head + 8);
    at += DNS_RR_HEAD_LEN;
    if (rdata_len > len - at) {
        FAIL(ERR_MALFORMED, "a record is cut off");
    }
    bool is_update = rr.class_ == DNS_CLASS_ANY || rr.class_ == DNS_CLASS_NONE;
    if (rdata_len > 0 || !is_update) {
        TRY(rr_rdata_from_packet(rr.type, packet, len, at, rdata_len, &rdata));
    }
    rr.rdata_len = (uint16_t)rdata.len;
    if (rdata.len > 0) {
        rr.rdata = mem_dup(rdata.data, rdata.len);
        TRY_PTR(rr.rdata);
    }
    *pos = at + rdata_len;
    *out = rr;
    return err_ok();
}
