/* Owners as blocks of memory: the struct, RRset heads, name, RRs, values. */
#include <string.h>

#include "dns/zone_int.h"

#include "core/util/mem.h"

#define TXT_RR_LEN (DNS_RR_HEAD_LEN + 1u + TXT_VALUE_LEN)

struct sizes {
    size_t sets_n, data_len, values_n;
};

/* *data: where the RRs go; the values are to follow them. */
static struct zone_owner *new_owner(const struct zone_table *table, const uint8_t *wire,
                                    size_t wire_len, const struct sizes *sizes, uint8_t **data)
{
    struct zone_owner *owner =
        mem_zalloc(sizeof(*owner) + sizes->sets_n * sizeof(owner->sets[0]) + wire_len +
                   sizes->data_len + sizes->values_n * sizeof(struct zone_value));
    if (owner == NULL) {
        return NULL;
    }
    uint8_t *name = (uint8_t *)(owner->sets + sizes->sets_n);
    memcpy(name, wire, wire_len);
    owner->hash = trie_hash(table->key, wire, wire_len);
    owner->wire = name;
    owner->wire_len = (uint8_t)wire_len;
    owner->sets_n = (uint16_t)sizes->sets_n;
    *data = name + wire_len;
    return owner;
}

static void encode_txt(const char *txt, uint8_t *p)
{
    p[1] = DNS_TYPE_TXT;
    p[3] = DNS_CLASS_IN;
    p[7] = ZONE_TXT_TTL_S;
    p[9] = TXT_VALUE_LEN + 1;
    p[10] = TXT_VALUE_LEN;
    memcpy(p + DNS_RR_HEAD_LEN + 1, txt, TXT_VALUE_LEN);
}

static bool is_seen(const struct zone_value *values, size_t n, const char *txt)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(values[i].txt, txt) == 0) {
            return true;
        }
    }
    return false;
}

struct zone_owner *zone_owner_of_values(const struct zone_table *table, const struct dns_name *name,
                                        const struct zone_value *values, size_t n)
{
    const struct sizes sizes = {1, n * TXT_RR_LEN, n};
    uint8_t *data = NULL;
    struct zone_owner *owner = new_owner(table, name->wire, name->len, &sizes, &data);

    if (owner == NULL) {
        return NULL;
    }
    struct zone_rrset *set = &owner->sets[0];
    for (size_t i = 0; i < n; i++) {
        if (!is_seen(values, i, values[i].txt)) {
            encode_txt(values[i].txt, data + set->len);
            set->rr_n++;
            set->len += TXT_RR_LEN;
        }
    }
    set->type = DNS_TYPE_TXT;
    set->data = data;
    memcpy(data + sizes.data_len, values, n * sizeof(*values));
    owner->values = (const struct zone_value *)(data + sizes.data_len); /* octets: no alignment */
    owner->values_n = (uint16_t)n;
    return owner;
}

/* The smallest type above `last` (-1: any); -1: none. */
static int next_type(const struct zone_rr *rrs, size_t n, int last)
{
    int next = -1;

    for (size_t i = 0; i < n; i++) {
        if (rrs[i].type > last && (next < 0 || rrs[i].type < next)) {
            next = rrs[i].type;
        }
    }
    return next;
}

static struct err measure(const struct zone_rr *rrs, size_t n, struct sizes *out)
{
    for (int type = next_type(rrs, n, -1); type >= 0; type = next_type(rrs, n, type)) {
        size_t set_len = 0;
        for (size_t i = 0; i < n; i++) {
            if (rrs[i].type == type) {
                out->data_len += DNS_RR_HEAD_LEN + (size_t)rrs[i].rdata_len;
                set_len += DNS_POINTER_LEN + DNS_RR_HEAD_LEN + (size_t)rrs[i].rdata_len;
            }
        }
        if (set_len > ZONE_RRSET_WIRE_MAX) {
            FAIL(ERR_LIMIT, "the records of one type at one name take more than %u octets",
                 ZONE_RRSET_WIRE_MAX);
        }
        out->sets_n++;
    }
    return err_ok();
}

static uint8_t *encode_rr(const struct zone_rr *rr, uint32_t ttl, uint8_t *p)
{
    wire_put16(p, rr->type);
    wire_put16(p + 2, DNS_CLASS_IN);
    wire_put32(p + 4, ttl);
    wire_put16(p + 8, rr->rdata_len);
    p += DNS_RR_HEAD_LEN;
    if (rr->rdata_len > 0) {
        memcpy(p, rr->rdata, rr->rdata_len);
    }
    return p + rr->rdata_len;
}

/* The RRs of set->type, in the order given. Returns where the next RRset goes. */
static uint8_t *encode_set(const struct zone_rr *rrs, size_t n, struct zone_rrset *set, uint8_t *p)
{
    uint32_t ttl = 0;

    set->data = p;
    for (size_t i = 0; i < n; i++) {
        if (rrs[i].type == set->type) {
            ttl = set->rr_n == 0 ? rrs[i].ttl : ttl; /* one for all. RFC 2181 §5.2 */
            set->rr_n++;
            p = encode_rr(&rrs[i], ttl, p);
        }
    }
    set->len = (uint32_t)(p - set->data);
    return p;
}

struct err zone_owner_of_records(const struct zone_table *table, const uint8_t *wire,
                                 size_t wire_len, const struct zone_rr *rrs, size_t n,
                                 struct zone_owner **out)
{
    struct sizes sizes = {0, 0, 0};
    uint8_t *data = NULL;
    int type = -1;

    TRY(measure(rrs, n, &sizes));
    struct zone_owner *owner = new_owner(table, wire, wire_len, &sizes, &data);
    TRY_PTR(owner);
    for (size_t i = 0; i < sizes.sets_n; i++) {
        type = next_type(rrs, n, type);
        owner->sets[i].type = (uint16_t)type;
        data = encode_set(rrs, n, &owner->sets[i], data);
    }
    owner->has_cname = zone_rrset_find(owner, DNS_TYPE_CNAME) != NULL;
    owner->has_dname = zone_rrset_find(owner, DNS_TYPE_DNAME) != NULL;
    *out = owner;
    return err_ok();
}

struct zone_owner *zone_owner_copy(const struct zone_owner *owner)
{
    const uint8_t *from = (const uint8_t *)owner;
    size_t size = (size_t)(owner->wire - from) + owner->wire_len;

    for (size_t i = 0; i < owner->sets_n; i++) {
        size += owner->sets[i].len;
    }
    uint8_t *to = mem_dup(from, size);
    if (to == NULL) {
        return NULL;
    }
    struct zone_owner *copy = (struct zone_owner *)(void *)to;
    copy->wire = to + (owner->wire - from);
    for (size_t i = 0; i < owner->sets_n; i++) {
        copy->sets[i].data = to + (owner->sets[i].data - from);
    }
    return copy;
}

bool zone_owner_equal(const struct zone_owner *a, const struct zone_owner *b)
{
    bool is_equal = a->sets_n == b->sets_n && a->is_persist == b->is_persist;

    for (size_t i = 0; is_equal && i < a->sets_n; i++) {
        is_equal = a->sets[i].type == b->sets[i].type && a->sets[i].len == b->sets[i].len &&
                   memcmp(a->sets[i].data, b->sets[i].data, a->sets[i].len) == 0;
    }
    return is_equal;
}
