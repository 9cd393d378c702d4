/* Names inside RDATA: referrals with their glue, addresses of NS, MX, SRV, SVCB and HTTPS targets. */
#include <string.h>

#include "dns/answer_int.h"

#define NAMES_MAX 32u /* targets of one answer whose addresses are looked up */

/* Where in its RDATA a type has its name. */
static size_t name_offset(unsigned type)
{
    switch (type) {
    case DNS_TYPE_MX:
    case DNS_TYPE_SVCB:
    case DNS_TYPE_HTTPS:
        return 2;
    case DNS_TYPE_SRV:
        return 6;
    default:
        return 0;
    }
}

/* The sets of a name, each whole or not at all. is_needed: when one does not fit, the reply is to be
 * truncated. */
static void put_stored(struct reply *r, const struct zone_owner *owner, unsigned at, bool is_needed)
{
    static const unsigned types[] = {DNS_TYPE_A, DNS_TYPE_AAAA};

    for (size_t i = 0; i < 2 && !r->is_full; i++) {
        const struct zone_rrset *set = zone_rrset_find(owner, types[i]);
        if (set != NULL) {
            (void)reply_put_set(r, at, set, &r->additional_n);
            r->is_full = is_needed && r->is_full;
        }
    }
}

static void put_made_up(struct reply *r, const struct zone_rrs *a, const struct zone_rrs *aaaa,
                        unsigned at)
{
    if (a->rr_n > 0) {
        (void)reply_put_rrs(r, at, a, &r->additional_n);
        r->is_full = false;
    }
    if (aaaa->rr_n > 0) {
        (void)reply_put_rrs(r, at, aaaa, &r->additional_n);
        r->is_full = false;
    }
}

/* What a question for the name's addresses would be answered, without following anything; glue too. */
static void put_addresses_at(struct reply *r, const struct dns_name *name, unsigned at)
{
    const struct zone_table *table = r->snap->table;
    struct zone_match match;
    struct node node;

    if (!zone_find(table, name, &match)) {
        return;
    }
    if (match.zone->is_delegate) {
        if (zone_is_ns(table, name, &match)) {
            put_made_up(r, &table->a, &table->aaaa, at);
        }
        return;
    }
    find_node(r->snap, name, &match, DNS_TYPE_A, &node);
    switch (node.kind) {
    case NODE_REFERRAL: {
        const struct zone_owner *glue = zone_owner_find(r->snap, name->wire, name->len);
        if (glue != NULL) {
            put_stored(r, glue, at, false);
        }
        break;
    }
    case NODE_OWNER:
    case NODE_WILDCARD:
        put_stored(r, node.owner, at, false);
        break;
    case NODE_NAME_SERVER:
        put_made_up(r, &table->a, &table->aaaa, at);
        break;
    case NODE_INGRESS:
        if (!match.zone->is_any) {
            put_made_up(r, &match.zone->a, &match.zone->aaaa, at);
        }
        break;
    case NODE_DNAME:
    case NODE_CHALLENGE:
    case NODE_PERSIST:
    case NODE_EMPTY:
    case NODE_NONE:
        break;
    }
}

static bool was_named(const struct reply *r, const size_t *named, size_t named_n, size_t at)
{
    size_t len = name_len(r->out + at);

    for (size_t i = 0; i < named_n; i++) {
        if (memcmp(r->out + named[i], r->out + at, len) == 0) {
            return true;
        }
    }
    return false;
}

/* The set's RRs as they stand in the reply, their owner a pointer: where the name in this one is. */
static size_t next_name(const struct reply *r, unsigned type, size_t *at)
{
    const uint8_t *rr = r->out + *at + DNS_POINTER_LEN;
    size_t name_at = *at + DNS_POINTER_LEN + DNS_RR_HEAD_LEN + name_offset(type);

    *at += DNS_POINTER_LEN + DNS_RR_HEAD_LEN + rr_data_len(rr);
    return name_at;
}

void put_additional(struct reply *r)
{
    const struct zone_rrset *set = r->pointing;
    size_t at = r->pointing_at;
    UNCLEARED size_t named[NAMES_MAX];
    size_t named_n = 0;
    UNCLEARED struct dns_name name;

    for (size_t i = 0; i < set->rr_n && named_n < NAMES_MAX; i++) {
        size_t name_at = next_name(r, set->type, &at);
        if (was_named(r, named, named_n, name_at) ||
            dns_name_read(r->out + name_at, r->len - name_at, &name) == 0) {
            continue;
        }
        named[named_n++] = name_at;
        put_addresses_at(r, &name, (unsigned)name_at);
    }
}

static bool is_at_or_below(const uint8_t *name, const uint8_t *cut, size_t cut_len)
{
    size_t len = name_len(name);

    for (; len > cut_len; name += *name + 1u) {
        len -= *name + 1u;
    }
    return len == cut_len && memcmp(name, cut, len) == 0;
}

/* Addresses of servers below the cut, which nobody could find without us: without them the answer is
 * truncated. RFC 9471 §3.1 */
static void put_glue(struct reply *r, unsigned at)
{
    UNCLEARED struct dns_name name;

    if (dns_name_read(r->out + at, r->len - at, &name) == 0) {
        return;
    }
    const struct zone_owner *owner = zone_owner_find(r->snap, name.wire, name.len);
    if (owner != NULL) {
        put_stored(r, owner, at, true);
    }
}

void put_referral(struct reply *r, const struct cursor *c, const struct node *node)
{
    const struct zone_owner *cut = node->owner;
    const struct zone_rrset *set = zone_rrset_find(cut, DNS_TYPE_NS);
    size_t at = r->len;
    UNCLEARED size_t others[NAMES_MAX];
    size_t others_n = 0;
    UNCLEARED struct dns_name name;

    r->is_authoritative = r->answer_n > 0;
    if (set == NULL || !reply_put_set(r, c->at + node->off, set, &r->authority_n)) {
        return;
    }
    for (size_t i = 0; i < set->rr_n && !r->is_full; i++) {
        size_t name_at = next_name(r, DNS_TYPE_NS, &at);
        if (is_at_or_below(r->out + name_at, cut->wire, cut->wire_len)) {
            put_glue(r, (unsigned)name_at);
        } else if (others_n < NAMES_MAX) {
            others[others_n++] = name_at;
        }
    }
    for (size_t i = 0; i < others_n && !r->is_full; i++) {
        if (dns_name_read(r->out + others[i], r->len - others[i], &name) != 0) {
            put_addresses_at(r, &name, (unsigned)others[i]);
        }
    }
}
