/* What stands at a name, and what it is answered. */
#include <string.h>

#include "dns/answer_int.h"

bool is_meta_type(unsigned type)
{
    return type == 0 || type == DNS_TYPE_OPT ||
           (type >= DNS_TYPE_META_FIRST && type < DNS_TYPE_ANY);
}

static void set_reason(struct reply *r, enum answer_reason reason)
{
    if (r->reason == ANSWER_REASONS_N) {
        r->reason = reason;
    }
}

/* --- finding ---------------------------------------------------------------------------------- */

static bool is_host_or_star(const struct dns_name *name)
{
    return name->is_rest_ldh && (name->first == LABEL_LDH || name->first == LABEL_STAR);
}

/* Our own name of a plain zone's server stands only while nobody stored another. */
static bool is_name_server(const struct zone_snapshot *snap, const struct dns_name *name,
                           const struct zone_match *match)
{
    if (!zone_is_ns(snap->table, name, match)) {
        return false;
    }
    if (!match->zone->is_plain || snap->table->is_hostname_ns) {
        return true;
    }
    const struct zone_owner *apex = apex_owner(snap, name, match);
    return apex == NULL || zone_rrset_find(apex, DNS_TYPE_NS) == NULL;
}

/* At an apex the ingress answers addresses beside the SOA, MX and TXT that are stored there. */
static bool is_ingress_beside(const struct zone_owner *owner, const struct zone_match *match,
                              unsigned type)
{
    return match->apex == 0 && !match->zone->is_plain &&
           (type == DNS_TYPE_A || type == DNS_TYPE_AAAA) && !owner->has_cname &&
           zone_rrset_find(owner, DNS_TYPE_A) == NULL &&
           zone_rrset_find(owner, DNS_TYPE_AAAA) == NULL;
}

static enum node_kind find_made_up(const struct zone_snapshot *snap, const struct dns_name *name,
                                   const struct zone_match *match, bool exists)
{
    if (is_name_server(snap, name, match)) {
        return NODE_NAME_SERVER;
    }
    if (!match->zone->is_plain && is_host_or_star(name)) {
        return NODE_INGRESS;
    }
    return exists || match->apex == 0 ? NODE_EMPTY : NODE_NONE;
}

/* In a zone with stored records: delegations, DNAMEs, records and wildcards come into it. */
static void find_stored(const struct zone_snapshot *snap, const struct dns_name *name,
                        const struct zone_match *match, unsigned type, struct node *out)
{
    const struct zone_state *state = zone_state_of(snap, match->zone);
    struct zone_cut cut;

    if (state->cuts_n > 0 && zone_cut_find(snap, name, match, &cut) &&
        !(cut.kind == ZONE_CUT_DELEGATION && cut.off == 0 && type == DNS_TYPE_DS)) {
        out->kind = cut.kind == ZONE_CUT_DNAME ? NODE_DNAME : NODE_REFERRAL;
        out->off = cut.off;
        out->owner = cut.owner;
        return;
    }
    if (zone_has_challenge(name, match)) {
        out->kind = NODE_CHALLENGE;
        return;
    }
    const struct zone_owner *owner = zone_owner_find(snap, name->wire, name->len);
    if (name->first == LABEL_PERSIST && name->is_rest_ldh && !match->zone->is_plain) {
        out->kind = NODE_PERSIST;
        out->owner = owner;
        return;
    }
    bool exists = owner != NULL && zone_owner_is_stored(owner);
    if (exists && owner->sets_n > 0 && !is_ingress_beside(owner, match, type)) {
        out->kind = NODE_OWNER;
        out->owner = owner;
        return;
    }
    out->kind = find_made_up(snap, name, match, exists);
    if (out->kind == NODE_NAME_SERVER || exists || match->apex == 0 || state->wildcards_n == 0) {
        return;
    }
    uint8_t encloser = 0;
    const struct zone_owner *wildcard = zone_wildcard_find(snap, name, match, &encloser);
    if (wildcard != NULL) {
        out->kind = NODE_WILDCARD;
        out->owner = wildcard;
    }
    return;
}

void find_node(const struct zone_snapshot *snap, const struct dns_name *name,
               const struct zone_match *match, unsigned type, struct node *out)
{
    out->off = 0;
    out->owner = NULL;
    if (zone_state_of(snap, match->zone)->owners_n > 0) {
        find_stored(snap, name, match, type, out);
    } else if (zone_has_challenge(name, match)) {
        out->kind = NODE_CHALLENGE;
    } else if (name->first == LABEL_PERSIST && name->is_rest_ldh && !match->zone->is_plain) {
        out->kind = NODE_PERSIST;
        out->owner = zone_owner_find(snap, name->wire, name->len);
    } else {
        out->kind = find_made_up(snap, name, match, false);
    }
}

/* --- answering -------------------------------------------------------------------------------- */

static unsigned apex_at(const struct cursor *c)
{
    return c->at + c->match.apex;
}

/* NODATA, or NXDOMAIN: the SOA of the last name's zone in authority. RFC 2308 §2, §3 */
static void put_negative(struct reply *r, const struct cursor *c, uint16_t rcode)
{
    set_reason(r, rcode == RCODE_NXDOMAIN ? ANSWER_NXDOMAIN : ANSWER_NODATA);
    r->rcode = rcode;
    if (reply_put_soa(r, c, apex_at(c), true)) {
        r->authority_n++;
    }
}

static void put_addresses(struct reply *r, const struct cursor *c, const struct zone_rrs *rrs,
                          enum answer_reason reason)
{
    if (rrs->rr_n == 0) {
        put_negative(r, c, RCODE_NOERROR);
        return;
    }
    set_reason(r, reason);
    (void)reply_put_rrs(r, c->at, rrs, &r->answer_n);
}

/* A, AAAA or, for ANY, whichever is there. RFC 8482 §4.1 */
static void solve_addresses(struct reply *r, const struct cursor *c, const struct zone_rrs *a,
                            const struct zone_rrs *aaaa, enum answer_reason reason)
{
    unsigned type = r->q->type;

    if (type == DNS_TYPE_A || (type == DNS_TYPE_ANY && a->rr_n > 0)) {
        put_addresses(r, c, a, reason);
    } else if (type == DNS_TYPE_AAAA || type == DNS_TYPE_ANY) {
        put_addresses(r, c, aaaa, reason);
    } else {
        put_negative(r, c, RCODE_NOERROR);
    }
}

/* The automatic CNAME with what its target holds, all in one message. */
static void solve_challenge(struct reply *r, const struct cursor *c)
{
    const struct zone_table *table = r->snap->table;
    unsigned type = r->q->type;
    UNCLEARED uint8_t target[NAME_WIRE_MAX];
    size_t suffix = 0;
    size_t len = zone_challenge_target(table, c->name, target, &suffix);

    if (len == 0) {
        put_negative(r, c, RCODE_NOERROR);
        return;
    }
    set_reason(r, ANSWER_CHALLENGE);
    uint8_t *p = reply_take_record(r, c->at, DNS_TYPE_CNAME, ZONE_CNAME_TTL_S, len);
    if (p == NULL) {
        return;
    }
    memcpy(p, target, len);
    r->answer_n++;
    if (type == DNS_TYPE_CNAME || type == DNS_TYPE_ANY) {
        return;
    }
    unsigned at = (unsigned)(p - r->out);
    const struct zone_owner *owner =
        type == DNS_TYPE_TXT ? zone_owner_find(r->snap, target, len) : NULL;
    if (owner != NULL && owner->sets_n > 0) {
        (void)reply_put_set(r, at, &owner->sets[0], &r->answer_n);
    } else if (reply_put_delegate_soa(r, at + (unsigned)suffix)) {
        r->authority_n++;
    }
}

/* _validation-persist.<well-formed name>: the texts put there, or NODATA. */
static void solve_persist(struct reply *r, const struct cursor *c, const struct node *node)
{
    bool is_asked = r->q->type == DNS_TYPE_TXT || r->q->type == DNS_TYPE_ANY;

    if (!is_asked || node->owner == NULL || !node->owner->is_persist || node->owner->sets_n == 0) {
        put_negative(r, c, RCODE_NOERROR);
        return;
    }
    set_reason(r, ANSWER_PERSIST);
    (void)reply_put_set(r, c->at, &node->owner->sets[0], &r->answer_n);
}

static bool has_names(unsigned type)
{
    return type == DNS_TYPE_NS || type == DNS_TYPE_MX || type == DNS_TYPE_SRV ||
           type == DNS_TYPE_SVCB || type == DNS_TYPE_HTTPS;
}

static bool put_answer_set(struct reply *r, const struct cursor *c, const struct zone_rrset *set)
{
    size_t at = r->len;

    if (!reply_put_set(r, c->at, set, &r->answer_n)) {
        return false;
    }
    if (has_names(set->type)) {
        r->pointing = set;
        r->pointing_at = at;
    }
    return true;
}

/* The CNAME is written; where it leads is next. */
static void solve_cname(struct reply *r, const struct cursor *c, const struct zone_rrset *cname)
{
    size_t at = r->len;

    if (reply_put_set(r, c->at, cname, &r->answer_n)) {
        r->next_at = (uint16_t)(at + DNS_POINTER_LEN + DNS_RR_HEAD_LEN);
    }
}

/* Records, of the name itself or of the wildcard for it. */
static void solve_owner(struct reply *r, const struct cursor *c, const struct zone_owner *owner,
                        enum answer_reason reason)
{
    unsigned type = r->q->type;

    if (owner == NULL || owner->sets_n == 0) { /* a wildcard may be an empty non-terminal */
        put_negative(r, c, RCODE_NOERROR);
        return;
    }
    /* ANY: one RRset. RFC 8482 §4.1 */
    const struct zone_rrset *set =
        type == DNS_TYPE_ANY ? &owner->sets[0] : zone_rrset_find(owner, type);
    if (set != NULL) {
        set_reason(r, reason);
        (void)put_answer_set(r, c, set);
        return;
    }
    /* A signature or NSEC may stand beside a CNAME: asked for, it is not looked for elsewhere.
     * RFC 4035 §2.5 */
    bool is_followed = owner->has_cname && type != DNS_TYPE_RRSIG && type != DNS_TYPE_NSEC;
    const struct zone_rrset *cname = is_followed ? zone_rrset_find(owner, DNS_TYPE_CNAME) : NULL;
    if (cname != NULL) {
        set_reason(r, reason == ANSWER_RECORD ? ANSWER_CNAME : reason);
        solve_cname(r, c, cname);
        return;
    }
    put_negative(r, c, RCODE_NOERROR);
}

/* RFC 6672 §3.2: the DNAME, and the CNAME that it means for this name. */
static void solve_dname(struct reply *r, const struct cursor *c, const struct node *node)
{
    const struct zone_rrset *dname = zone_rrset_find(node->owner, DNS_TYPE_DNAME);

    set_reason(r, ANSWER_DNAME);
    if (dname == NULL ||
        (r->dname != node->owner && !reply_put_set(r, c->at + node->off, dname, &r->answer_n))) {
        return;
    }
    r->dname = node->owner;
    size_t target_len = rr_data_len(dname->data);
    if (node->off + target_len > NAME_WIRE_MAX) {
        r->rcode = RCODE_YXDOMAIN;
        return;
    }
    uint8_t *p = reply_take_record(r, c->at, DNS_TYPE_CNAME, wire_get32(dname->data + 4),
                                   node->off + target_len);
    if (p == NULL) {
        return;
    }
    memcpy(p, c->name->wire, node->off);
    memcpy(p + node->off, dname->data + DNS_RR_HEAD_LEN, target_len);
    r->answer_n++;
    if (r->q->type != DNS_TYPE_CNAME) {
        r->next_at = (uint16_t)(p - r->out);
    }
}

/* SOA, NS and ANY at an apex: what is stored there, else ours. False: any other type. */
static bool solve_apex(struct reply *r, const struct cursor *c)
{
    unsigned type = r->q->type;

    if (type != DNS_TYPE_SOA && type != DNS_TYPE_NS && type != DNS_TYPE_ANY) {
        return false;
    }
    const struct zone_owner *owner = apex_owner(r->snap, c->name, &c->match);
    set_reason(r, ANSWER_APEX);
    if (type == DNS_TYPE_ANY && owner != NULL && owner->sets_n > 0 &&
        owner->sets[0].type != DNS_TYPE_SOA) {
        (void)put_answer_set(r, c, &owner->sets[0]);
        return true;
    }
    const struct zone_rrset *ns =
        type == DNS_TYPE_NS && owner != NULL ? zone_rrset_find(owner, DNS_TYPE_NS) : NULL;
    if (ns != NULL) {
        (void)put_answer_set(r, c, ns);
    } else if (type == DNS_TYPE_NS) {
        reply_put_own_ns(r, c);
    } else if (reply_put_soa(r, c, c->at, false)) {
        r->answer_n++;
    }
    return true;
}

/* x, or an account's label before it; the delegate zone's apex is no x. */
static bool is_delegate_name(const struct cursor *c)
{
    const struct dns_name *name = c->name;

    return name->is_rest_ldh &&
           (name->first == LABEL_LDH ||
            (name->first == LABEL_ACCOUNT && c->match.apex > ZONE_ACCOUNT_LABEL_LEN + 1));
}

static void solve_delegate(struct reply *r, const struct cursor *c)
{
    const struct dns_name *name = c->name;
    unsigned type = r->q->type;

    if (r->trace != NULL) {
        trace_delegate(r, c);
    }
    if (type == DNS_TYPE_TXT || type == DNS_TYPE_ANY) {
        const struct zone_owner *owner = zone_owner_find(r->snap, name->wire, name->len);
        if (owner != NULL && owner->sets_n > 0) {
            set_reason(r, ANSWER_DELEGATE);
            (void)reply_put_set(r, c->at, &owner->sets[0], &r->answer_n);
            return;
        }
    }
    if (zone_is_ns(r->snap->table, name, &c->match)) {
        solve_addresses(r, c, &r->snap->table->a, &r->snap->table->aaaa, ANSWER_NAME_SERVER);
        return;
    }
    put_negative(r, c, c->match.apex == 0 || is_delegate_name(c) ? RCODE_NOERROR : RCODE_NXDOMAIN);
}

/* May the peer have this question forwarded? */
static bool can_forward(const struct reply *r)
{
    const struct answer_in *in = r->in;

    return in->env != NULL && in->env->may_forward != NULL && in->peer != NULL &&
           (in->query[2] & FLAG_RD) != 0 && !is_meta_type(r->q->type) &&
           in->env->may_forward(in->env->forward_ctx, in->peer);
}

/* Zone "." is for names that nobody else has: what it would make up or deny is asked elsewhere. */
static bool is_forwarded(const struct reply *r, const struct cursor *c, const struct node *node)
{
    return c->match.zone->is_any &&
           (node->kind == NODE_INGRESS || node->kind == NODE_EMPTY || node->kind == NODE_NONE) &&
           can_forward(r);
}

static void solve_node(struct reply *r, const struct cursor *c, const struct node *node)
{
    switch (node->kind) {
    case NODE_REFERRAL:
        set_reason(r, ANSWER_REFERRAL);
        put_referral(r, c, node);
        break;
    case NODE_DNAME:
        solve_dname(r, c, node);
        break;
    case NODE_CHALLENGE:
        solve_challenge(r, c);
        break;
    case NODE_PERSIST:
        solve_persist(r, c, node);
        break;
    case NODE_OWNER:
        solve_owner(r, c, node->owner, ANSWER_RECORD);
        break;
    case NODE_WILDCARD:
        solve_owner(r, c, node->owner, ANSWER_WILDCARD);
        break;
    case NODE_NAME_SERVER:
        solve_addresses(r, c, &r->snap->table->a, &r->snap->table->aaaa, ANSWER_NAME_SERVER);
        break;
    case NODE_INGRESS:
        solve_addresses(r, c, &c->match.zone->a, &c->match.zone->aaaa, ANSWER_INGRESS);
        break;
    case NODE_EMPTY:
        put_negative(r, c, RCODE_NOERROR);
        break;
    case NODE_NONE:
        put_negative(r, c, RCODE_NXDOMAIN);
        break;
    }
}

static void solve_name(struct reply *r, const struct cursor *c)
{
    struct node node;

    r->is_authoritative = true;
    if (c->match.apex == 0 && solve_apex(r, c)) {
        if (r->trace != NULL) {
            find_node(r->snap, c->name, &c->match, r->q->type, &node);
            trace_node(r, c, &node);
        }
        return;
    }
    if (c->match.zone->is_delegate) {
        solve_delegate(r, c);
        return;
    }
    find_node(r->snap, c->name, &c->match, r->q->type, &node);
    if (r->trace != NULL) {
        trace_node(r, c, &node);
    }
    if (is_forwarded(r, c, &node)) {
        set_reason(r, ANSWER_NOT_OURS);
        r->verdict = ANSWER_FORWARD;
        return;
    }
    solve_node(r, c, &node);
}

/* --- following -------------------------------------------------------------------------------- */

static bool is_name_at(const struct reply *r, unsigned at, const struct dns_name *name)
{
    return memcmp(r->out + at, name->wire, name->len) == 0;
}

static bool was_met(const struct reply *r, const uint16_t *hop_at, unsigned hops_n,
                    const struct dns_name *name)
{
    bool is_met =
        name->len == r->q->name.len && memcmp(name->wire, r->q->name.wire, name->len) == 0;

    for (unsigned i = 0; i < hops_n && !is_met; i++) {
        is_met = is_name_at(r, hop_at[i], name);
    }
    return is_met;
}

/* Where stored CNAMEs and DNAMEs lead, as long as it is to zones of ours. A loop, and more hops than
 * ANSWER_HOPS_MAX, end with what stands. */
static __attribute__((noinline)) void chase(struct reply *r)
{
    UNCLEARED struct dns_name name;
    UNCLEARED uint16_t hop_at[ANSWER_HOPS_MAX];
    struct cursor c = {.name = &name};

    for (unsigned hops_n = 0; r->next_at != 0 && hops_n < ANSWER_HOPS_MAX; hops_n++) {
        c.at = r->next_at;
        r->next_at = 0;
        if (c.at > DNS_POINTER_MAX) {
            return;
        }
        if (dns_name_read(r->out + c.at, r->len - c.at, &name) == 0 ||
            was_met(r, hop_at, hops_n, &name)) {
            return;
        }
        hop_at[hops_n] = (uint16_t)c.at;
        if (zone_find(r->snap->table, &name, &c.match)) {
            solve_name(r, &c);
            continue;
        }
        if (r->trace != NULL) {
            trace_outside(r, c.at);
        }
        r->verdict = can_forward(r) ? ANSWER_FORWARD : r->verdict;
    }
}

/* --- the question ----------------------------------------------------------------------------- */

static void refuse(struct reply *r, uint16_t ede)
{
    set_reason(r, ANSWER_NOT_OURS);
    r->rcode = RCODE_REFUSED;
    r->ede = ede;
}

static void solve_not_ours(struct reply *r)
{
    const struct answer_env *env = r->in->env;
    bool has_forwarder = env != NULL && env->may_forward != NULL;

    if (r->trace != NULL) {
        trace_outside(r, QNAME_AT);
    }
    if (can_forward(r)) {
        set_reason(r, ANSWER_NOT_OURS);
        r->verdict = ANSWER_FORWARD;
    } else {
        bool is_asked = (r->in->query[2] & FLAG_RD) != 0;
        refuse(r, has_forwarder && is_asked ? EDE_PROHIBITED : EDE_NOT_AUTHORITATIVE);
    }
}

/* AXFR and IXFR are a work thread's. AXFR exists over TCP only: RFC 5936 §4.2. */
static void solve_transfer(struct reply *r, const struct cursor *c, bool is_ours)
{
    bool is_zone = is_ours && c->match.apex == 0 && !c->match.zone->is_any;

    if (!is_zone || r->in->env == NULL || !r->in->env->has_work) {
        refuse(r, is_zone ? EDE_NOT_SUPPORTED : EDE_NOT_AUTHORITATIVE);
    } else if (r->q->type == DNS_TYPE_AXFR && !r->in->is_tcp) {
        set_reason(r, ANSWER_BROKEN);
        r->rcode = RCODE_FORMERR;
    } else {
        set_reason(r, ANSWER_APEX);
        r->verdict = ANSWER_WORK;
    }
}

void solve_question(struct reply *r)
{
    const struct dns_query *q = r->q;
    struct cursor c = {.name = &q->name, .at = QNAME_AT};

    if (q->class_ != DNS_CLASS_IN) { /* CHAOS has nothing here: no version, no host name */
        refuse(r, EDE_NOT_SUPPORTED);
        return;
    }
    bool is_ours = zone_find(r->snap->table, &q->name, &c.match);
    if (is_ours) {
        r->zone = (int16_t)c.match.zone->index;
    }
    if (q->type == DNS_TYPE_AXFR || q->type == DNS_TYPE_IXFR) {
        solve_transfer(r, &c, is_ours);
    } else if (!is_ours) {
        solve_not_ours(r);
    } else {
        solve_name(r, &c);
        if (r->next_at != 0) {
            chase(r);
        }
        if (r->pointing != NULL && !r->is_full) {
            put_additional(r);
        }
    }
}
