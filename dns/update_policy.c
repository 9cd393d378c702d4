/* Where each name of an update belongs, and what the client may. Policy sees the names that the client
 * sent, never where they lead. */
#include "dns/update_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

#define NAME_SHOWN_MAX (4u * NAME_WIRE_MAX + 4u)

struct err update_reject(struct update_job *job, enum dns_rcode rcode, const struct update_rr *at,
                         const char *fmt, ...)
{
    va_list args;

    job->rcode = rcode;
    job->refused = at;
    va_start(args, fmt);
    (void)vsnprintf(job->refusal.detail, sizeof(job->refusal.detail), fmt, args);
    va_end(args);
    FAIL(ERR_REJECTED, "%s", job->refusal.detail);
}

static struct err refuse_policy(struct update_job *job, const struct update_rr *at,
                                const char *sentence)
{
    job->is_policy = true;
    return update_reject(job, RCODE_REFUSED, at, "%s", sentence);
}

/* --- zones ------------------------------------------------------------------------------------ */

static bool ends_in(const struct dns_name *name, const struct dns_name *zone)
{
    if (zone->labels_n > name->labels_n) {
        return false;
    }
    size_t off = zone->labels_n == name->labels_n ? 0
                 : zone->labels_n == 0            ? name->len - 1u
                                                  : name->off[name->labels_n - zone->labels_n];
    return name->len - off == zone->len && memcmp(name->wire + off, zone->wire, zone->len) == 0;
}

/* RFC 2136 §3.1.2. With zone ".", each top-level label is an apex, and the root may be named too. */
static struct err check_zone(struct update_job *job)
{
    const struct zone_table *table = job->u->table;
    const struct dns_name *zone = &job->message.zone;
    struct zone_match match = {NULL, 0};
    char text[NAME_SHOWN_MAX];

    bool is_ours = zone->labels_n == 0 ? table->any != NULL && table->any->is_served
                                       : zone_find(table, zone, &match) && match.apex == 0;
    if (is_ours) {
        return err_ok();
    }
    TRY(name_from_wire(zone->wire, zone->len, text, sizeof(text)));
    return update_reject(job, RCODE_NOTAUTH, NULL,
                         "%.200s is no zone that is served here: give the zone's own name ('zone' "
                         "in nsupdate), or send the update to the server of that zone",
                         text);
}

/* Where the name lies, when that is in the zone that the message names. */
static bool find_zone(const struct update_job *job, const struct update_rr *one,
                      struct zone_match *match)
{
    const struct dns_name *zone = &job->message.zone;

    *match = (struct zone_match){NULL, 0};
    if (!ends_in(&one->name, zone) || !zone_find(job->u->table, &one->name, match) ||
        match->zone == NULL) {
        return false;
    }
    return match->zone->is_delegate || (match->zone->is_any && zone->labels_n == 0) ||
           one->name.len - match->apex == zone->len;
}

/* --- what a name is --------------------------------------------------------------------------- */

static bool is_same_owner(const struct update_rr *a, const struct update_rr *b)
{
    return a->name.len == b->name.len && memcmp(a->name.wire, b->name.wire, a->name.len) == 0;
}

static struct err find_place(struct update_job *job, const struct update_rr *one,
                             struct delegate_place **out)
{
    char text[NAME_SHOWN_MAX];

    *out = NULL;
    for (size_t i = 0; i < job->places_n; i++) {
        if (is_same_owner(job->places[i].of, one)) {
            *out = job->places[i].place;
            return err_ok();
        }
    }
    struct update_place *slot = &job->places[job->places_n];
    TRY(name_from_wire(one->name.wire, one->name.len, text, sizeof(text)));
    struct err e =
        delegate_place_new(job->u->with.delegate, &job->who, text, &slot->place, &job->refusal);
    if (e.code == ERR_REJECTED) {
        slot->place = NULL; /* no place for values: nothing is there */
    } else {
        TRY(e);
    }
    slot->of = one;
    job->places_n++;
    *out = slot->place;
    return err_ok();
}

/* Below a delegation nothing is automatic: a value would be taken and never be seen. */
static bool is_delegated(struct update *u, const struct dns_name *name,
                         const struct zone_match *match)
{
    struct zone_cut cut;

    (void)pthread_mutex_lock(&u->reader_lock);
    bool is_cut = zone_cut_find(zone_read_begin(u->reader), name, match, &cut);
    zone_read_end(u->reader);
    (void)pthread_mutex_unlock(&u->reader_lock);
    return is_cut;
}

static struct err find_target(struct update_job *job, const struct update_rr *one,
                              struct update_target *target)
{
    const struct dns_name *name = &one->name;
    const struct zone_match *match = &target->match;

    if (!find_zone(job, one, &target->match)) {
        return update_reject(job, RCODE_NOTZONE, one,
                             "the name is not in the zone that the message names: send it with the "
                             "zone it lies in");
    }

    bool is_challenge = !match->zone->is_delegate && zone_has_challenge(name, match);
    if (is_challenge && is_delegated(job->u, name, match)) {
        target->kind = UPDATE_DELEGATED;
        return err_ok();
    }
    if (is_challenge || (match->zone->is_delegate && match->apex != 0)) {
        target->kind = UPDATE_PLACE;
        return find_place(job, one, &target->place);
    }
    bool is_closed = !match->zone->is_plain &&
                     (name->first == LABEL_ACME || name->first == LABEL_ACCOUNT_CHALLENGE ||
                      name->first == LABEL_PERSIST);
    target->kind = is_closed ? UPDATE_CLOSED : UPDATE_ORDINARY;
    return err_ok();
}

/* --- ordinary records ------------------------------------------------------------------------- */

/* The host that an owner belongs to: behind leading labels of services and "*". */
static bool host_of(const struct dns_name *owner, struct dns_name *host, struct ident *id)
{
    char text[NAME_SHOWN_MAX];
    unsigned skip = 0;
    bool is_wildcard = false;

    while (skip < owner->labels_n) {
        const uint8_t *label = owner->wire + owner->off[skip];
        bool is_star = label[0] == 1 && label[1] == '*';
        if (!is_star && (label[0] == 0 || label[1] != '_')) {
            break;
        }
        is_wildcard = is_wildcard || is_star;
        skip++;
    }
    if (skip == owner->labels_n) {
        return false;
    }
    const uint8_t *wire = owner->wire + owner->off[skip];
    size_t len = owner->len - (size_t)owner->off[skip];
    if (dns_name_read(wire, len, host) != len ||
        name_from_wire(wire, len, text, sizeof(text)).code != ERR_OK ||
        strlen(text) > NAME_TEXT_MAX) {
        return false;
    }
    memset(id, 0, sizeof(*id));
    id->is_wildcard = is_wildcard;
    memcpy(id->base, text, strlen(text) + 1);
    return true;
}

/* Types that take the names below their owner away. */
static bool is_cut(uint16_t type)
{
    return type == DNS_TYPE_NS || type == DNS_TYPE_DS || type == DNS_TYPE_DNAME;
}

/* Types that decide about every name below their owner: CAA is looked for upwards (RFC 8659 §3). */
static bool is_about_all_below(uint16_t type)
{
    return is_cut(type) || type == DNS_TYPE_CAA;
}

/* In a plain zone what proves x and *.x is an ordinary record: at _acme-challenge.x, or at *.x, which
 * stands for that name as well. */
static bool is_about_proof(const struct dns_name *owner, const struct zone_match *match)
{
    bool is_wildcard = false;
    bool is_proof = false;

    for (unsigned i = 0; i < owner->labels_n && owner->off[i] < match->apex; i++) {
        const uint8_t *label = owner->wire + owner->off[i];
        struct dns_name rest;
        (void)dns_name_read(label, owner->len - (size_t)owner->off[i], &rest);
        is_wildcard = is_wildcard || rest.first == LABEL_STAR;
        is_proof = is_proof || rest.first == LABEL_ACME || rest.first == LABEL_ACCOUNT_CHALLENGE ||
                   rest.first == LABEL_ACCOUNT || rest.first == LABEL_PERSIST;
    }
    return match->zone->is_plain && (is_wildcard || is_proof);
}

/* The identifier, and both x and *.x where the record is about both. */
static bool may_have(const struct update_job *job, const struct ident *id, bool is_both)
{
    struct access *access = job->u->with.access;
    struct ident other = *id;

    other.is_wildcard = !id->is_wildcard;
    return access_may(access, job->who.client, id) &&
           (!is_both || access_may(access, job->who.client, &other));
}

/* The name that our clients reach us by must stay ours: its records, its services, and what would take
 * the names above it away. */
static bool is_our_own(const struct update_job *job, const struct update_rr *one,
                       const struct dns_name *host, const struct zone_match *match)
{
    const struct zone_table *table = job->u->table;
    struct dns_name us;

    if (host->len == table->hostname_len && memcmp(host->wire, table->hostname, host->len) == 0) {
        return true;
    }
    struct zone_match host_match = *match;
    if (one->name.labels_n - host->labels_n > 0 && !zone_find(table, host, &host_match)) {
        return false;
    }
    if (zone_is_ns(table, host, &host_match)) {
        return true;
    }
    if (!is_cut(one->rr.type) || one->rr.class_ != DNS_CLASS_IN) {
        return false;
    }
    bool is_above_us =
        dns_name_read(table->hostname, table->hostname_len, &us) != 0 && ends_in(&us, host);
    return is_above_us || (dns_name_read(table->delegate->wire, table->delegate->len, &us) != 0 &&
                           ends_in(&us, host));
}

static struct err check_ordinary(struct update_job *job, const struct update_rr *one,
                                 const struct zone_match *match)
{
    struct access *access = job->u->with.access;
    const char *client = job->who.client;
    struct dns_name host;
    struct ident id;
    bool is_apex = match->apex == 0;

    if (match->zone->is_delegate) {
        return refuse_policy(job, one,
                             "the delegate zone's own records are not to be changed: only "
                             "TXT values at the names in it are");
    }
    if (rr_kind(one->rr.type) == RR_DNSSEC) {
        return refuse_policy(job, one,
                             "records of DNSSEC signing are not taken: this server does "
                             "not sign zones");
    }
    if (!access_has_records(access, client)) {
        return refuse_policy(job, one,
                             "the client may publish challenge values only: set records: "
                             "true for it to let it update its names");
    }
    if (is_apex && (one->rr.type == DNS_TYPE_SOA || one->rr.type == DNS_TYPE_NS)) {
        return refuse_policy(job, one, "a zone's own SOA and NS are not to be changed by updates");
    }
    bool is_both = is_about_all_below(one->rr.type) || is_about_proof(&one->name, match);
    if (!host_of(&one->name, &host, &id) || !may_have(job, &id, is_both)) {
        return refuse_policy(job, one,
                             "the client may not have this name: add it (for NS, DS, DNAME and "
                             "CAA, and in plain zones for wildcards and what proves a name, both "
                             "name and *.name) to the client's names");
    }
    if (is_our_own(job, one, &host, match)) {
        return refuse_policy(job, one,
                             "this is the name server's own name, which its "
                             "configuration (hostname, addresses) decides");
    }
    return err_ok();
}

static void put_edit(struct update_job *job, size_t i)
{
    const struct update_rr *one = &job->message.changes[i];
    struct record_edit *edit = &job->edits[job->edits_n];

    edit->op = one->rr.class_ == DNS_CLASS_IN     ? RECORD_ADD
               : one->rr.class_ == DNS_CLASS_NONE ? RECORD_REMOVE
               : one->rr.type == DNS_TYPE_ANY     ? RECORD_REMOVE_NAME
                                                  : RECORD_REMOVE_SET;
    edit->rr = one->rr; /* RDATA is borrowed */
    edit->rr.class_ = DNS_CLASS_IN;
    edit->rr.ttl = one->rr.ttl > RR_TTL_MAX ? 0 : one->rr.ttl; /* RFC 2181 §8 */
    job->edited[job->edits_n++] = i;
}

/* --- challenge values ------------------------------------------------------------------------- */

/* One string of TXT_VALUE_LEN; what it consists of is delegate.c's to check. */
static bool value_of(const struct dns_rr *rr, char out[TXT_VALUE_LEN + 1])
{
    if (rr->type != DNS_TYPE_TXT || rr->rdata_len != TXT_VALUE_LEN + 1 ||
        rr->rdata[0] != TXT_VALUE_LEN || memchr(rr->rdata + 1, 0, TXT_VALUE_LEN) != NULL) {
        return false;
    }
    memcpy(out, rr->rdata + 1, TXT_VALUE_LEN);
    out[TXT_VALUE_LEN] = '\0';
    return true;
}

static struct err check_place(struct update_job *job, const struct update_rr *one,
                              const struct update_target *target)
{
    char value[TXT_VALUE_LEN + 1];
    bool is_set = one->rr.class_ == DNS_CLASS_ANY;

    if (one->rr.type != DNS_TYPE_TXT && !(is_set && one->rr.type == DNS_TYPE_ANY)) {
        return update_reject(job, RCODE_REFUSED, one,
                             "only TXT values live at this name (its CNAME is automatic): publish "
                             "TXT, and leave other types out");
    }
    if (!is_set && !value_of(&one->rr, value)) {
        return update_reject(job, RCODE_REFUSED, one,
                             "a challenge value is one string of 43 characters of A-Z a-z 0-9 - _ "
                             "(the base64url of a SHA-256 digest)");
    }
    if (target->place == NULL) {
        return update_reject(job, RCODE_REFUSED, one,
                             "this is no name for challenge values: publish at "
                             "_acme-challenge.<name>");
    }
    struct err e = delegate_place_may(target->place, one->rr.class_ == DNS_CLASS_IN ? value : NULL,
                                      &job->refusal);
    if (e.code == ERR_REJECTED) {
        job->rcode = RCODE_REFUSED;
        job->refused = one;
        job->is_policy = true;
        job->is_delegate_refusal = true;
    }
    return e;
}

/* --- all of it -------------------------------------------------------------------------------- */

static struct err place_all(struct update_job *job, bool is_change)
{
    const struct update_message *m = &job->message;
    size_t n = is_change ? m->changes_n : m->prerequisites_n;

    for (size_t i = 0; i < n; i++) {
        const struct update_rr *one = is_change ? &m->changes[i] : &m->prerequisites[i];
        TRY(find_target(job, one, update_target_of(job, is_change, i)));
    }
    return err_ok();
}

static struct err judge_change(struct update_job *job, size_t i)
{
    const struct update_rr *one = &job->message.changes[i];
    const struct update_target *target = update_target_of(job, true, i);

    switch (target->kind) {
    case UPDATE_PLACE:
        return check_place(job, one, target);
    case UPDATE_ORDINARY:
        TRY(check_ordinary(job, one, &target->match));
        put_edit(job, i);
        return err_ok();
    case UPDATE_DELEGATED:
        return update_reject(job, RCODE_REFUSED, one,
                             "the name lies below a delegation (or DNAME) to other servers: "
                             "publish there, or remove the delegation");
    case UPDATE_CLOSED:
        return update_reject(job, RCODE_REFUSED, one,
                             "this name is the certificate authority's own: nothing can be stored "
                             "at it");
    }
    return err_ok();
}

struct err update_judge(struct update_job *job)
{
    const struct update_message *m = &job->message;
    size_t n = m->prerequisites_n + m->changes_n;
    char peer[IP_TEXT_MAX + 1];

    TRY(check_zone(job));
    job->targets = mem_array(n, sizeof(*job->targets));
    job->places = mem_array(n, sizeof(*job->places));
    job->edits = mem_array(m->changes_n, sizeof(*job->edits));
    job->edited = mem_array(m->changes_n, sizeof(*job->edited));
    if (job->targets == NULL || job->places == NULL || job->edits == NULL || job->edited == NULL) {
        FAIL(ERR_NOMEM, "update: out of memory");
    }
    TRY(place_all(job, false));
    TRY(place_all(job, true));
    if (!access_network_ok(job->u->with.access, job->who.client, &job->who.peer)) {
        ip_text(&job->who.peer, peer);
        job->is_policy = true;
        return update_reject(
            job, RCODE_REFUSED, NULL,
            "client %s does not exist (any more), or may not act from %s: add that "
            "address to its networks",
            job->who.client, peer);
    }
    for (size_t i = 0; i < m->changes_n; i++) {
        TRY(judge_change(job, i));
    }
    return err_ok();
}
