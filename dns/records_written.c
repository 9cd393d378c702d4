/* The records at each name of the written-out zone; keeping its table in step. */
#include "dns/records_written.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

struct place {
    const struct records *records;
    struct db *db;
    const struct records_zone *zone;
    int index;
    const struct name_key *key;
    struct dns_name name;
    bool is_apex, has_below;
};

static bool is_ns_host(const struct place *p)
{
    uint8_t ns[NAME_WIRE_MAX];
    size_t len = synth_ns_name(p->records, p->zone, ns);

    return len == p->name.len && memcmp(ns, p->name.wire, len) == 0;
}

/* Is a delegation or DNAME above the name? */
enum above { ABOVE_NOTHING, ABOVE_NS, ABOVE_DNAME };
static struct err look_above(const struct place *p, enum above *out)
{
    struct name_key up = *p->key;
    struct row_marks marks;

    *out = ABOVE_NOTHING;
    while (up.len > p->zone->key.len && key_up(&up)) {
        bool is_apex = up.len == p->zone->key.len;
        TRY(rows_marks(p->db, &up, &marks));
        if (marks.has_ns && !is_apex) {
            *out = ABOVE_NS; /* what is topmost counts: the walk goes on */
        } else if (marks.has_dname) {
            *out = ABOVE_DNAME;
        }
    }
    return err_ok();
}

/* --- zones of ours below ---------------------------------------------------------------------------- */

static struct err put_stored(const struct place *p, bool is_ns, bool is_address,
                             struct owner_set *out, bool *has_any)
{
    AUTO(owner_set_clear) struct owner_set set;

    owner_set_init(&set);
    TRY(owner_set_read(p->db, p->key, &set));
    *has_any = set.n > 0;
    for (size_t i = 0; i < set.n; i++) {
        const struct zone_rr *rr = &set.rrs[i];
        bool is_wanted =
            (is_ns && rr->type == LDNS_RR_TYPE_NS) ||
            (is_address && (rr->type == LDNS_RR_TYPE_A || rr->type == LDNS_RR_TYPE_AAAA));
        if (is_wanted) {
            TRY(set_put(out, rr->type, rr->ttl, rr->rdata, rr->rdata_len));
        }
    }
    return err_ok();
}

/* Does the zone below name this place as a server of its own? */
static struct err is_target(const struct place *p, const struct owner_set *apex_set, bool *out)
{
    const struct zone_rr *first = owner_set_find(apex_set, LDNS_RR_TYPE_NS);

    *out = false;
    if (first == NULL) {
        *out = is_ns_host(p);
        return err_ok();
    }
    for (size_t i = 0; i < apex_set->n; i++) {
        const struct zone_rr *rr = &apex_set->rrs[i];
        *out = *out || (rr->type == LDNS_RR_TYPE_NS && rr->rdata_len == p->name.len &&
                        memcmp(rr->rdata, p->name.wire, p->name.len) == 0);
    }
    return err_ok();
}

/* p->zone is the zone below, p->key a name in it. */
static struct err delegation_at(const struct place *p, struct owner_set *out)
{
    AUTO(owner_set_clear) struct owner_set apex_set;
    bool is_server = false;
    bool has_any = false;

    owner_set_init(&apex_set);
    if (!p->zone->is_served) {
        return err_ok();
    }
    if (!p->zone->is_delegate) {
        TRY(owner_set_read(p->db, &p->zone->key, &apex_set));
    }
    if (p->is_apex) {
        if (owner_set_find(&apex_set, LDNS_RR_TYPE_NS) == NULL) {
            TRY(synth_ns(p->records, p->zone, out));
        } else {
            TRY(put_stored(p, true, false, out, &has_any));
        }
    }
    TRY(is_target(p, &apex_set, &is_server));
    if (!is_server) {
        return err_ok();
    }
    size_t before = out->n;
    if (!p->zone->is_delegate) {
        TRY(put_stored(p, false, true, out, &has_any));
    }
    bool is_made_up = out->n == before && (p->is_apex || !has_any) && is_ns_host(p);
    return is_made_up ? synth_own(p->records, out) : err_ok();
}

/* --- automatic names --------------------------------------------------------------------------------- */

static struct err is_known(const struct place *p, const struct name_key *base, bool *out)
{
    struct name_key star;

    *out = base->len == p->zone->key.len;
    if (!*out) {
        TRY(rows_has(p->db, base, out));
    }
    if (!*out && key_down(base, "*", &star)) {
        TRY(rows_has(p->db, &star, out));
    }
    return *out ? err_ok() : known_has(p->db, base, out);
}

static struct err challenge_at(const struct place *p, struct owner_set *out)
{
    char text[4 * NAME_WIRE_MAX + 1];
    char target[NAME_TEXT_MAX + 1];
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = sizeof(wire);
    size_t head = p->name.off[1];
    struct name_key base = *p->key;
    bool has = false;

    if (!key_up(&base) || base.len < p->zone->key.len || base.len == 0) {
        return err_ok();
    }
    TRY(is_known(p, &base, &has));
    if (!has) {
        return err_ok();
    }
    TRY(name_from_wire(p->name.wire + head, p->name.len - head, text, sizeof(text)));
    if (name_delegate(text, p->records->cfg->delegate_zone, target).code != ERR_OK ||
        name_to_wire(target, wire, &wire_len).code != ERR_OK) {
        return err_ok(); /* no name for it: then there is no CNAME */
    }
    return set_put(out, LDNS_RR_TYPE_CNAME, ZONE_CNAME_TTL_S, wire, wire_len);
}

/* A text as character-strings. */
static struct err put_text(const char *text, size_t len, struct owner_set *out)
{
    AUTO(buf_clear) struct buf rdata = BUF_INIT(RR_RDATA_MAX);

    while (len > 0) {
        size_t n = len < 255 ? len : 255;
        buf_u8(&rdata, (uint8_t)n);
        buf_put(&rdata, text, n);
        text += n;
        len -= n;
    }
    TRY(buf_check(&rdata));
    return set_put(out, LDNS_RR_TYPE_TXT, ZONE_TXT_TTL_S, rdata.data, rdata.len);
}

static struct err give_texts(struct db_stmt *q, struct owner_set *out)
{
    size_t len = 0;

    while (db_step(q)) {
        const char *text = db_col_text(q, 0, &len);
        if (len > 0) {
            TRY(put_text(text, len, out));
        }
    }
    return db_finish(q);
}

static struct err persist_at(const struct place *p, struct owner_set *out)
{
    AUTO(db_stmt_release) struct db_stmt *q = NULL;
    char text[4 * NAME_WIRE_MAX + 1];
    size_t head = p->name.off[1];

    if (!p->records->has_persist || p->name.labels_n < 2) {
        return err_ok();
    }
    TRY(name_from_wire(p->name.wire + head, p->name.len - head, text, sizeof(text)));
    q = db_prepare(p->db, "SELECT DISTINCT text FROM delegate_persist "
                          "WHERE base = ?1 AND expires > ?2 ORDER BY text");
    db_bind_text(q, 1, text);
    db_bind_int(q, 2, clock_unix_s());
    return give_texts(q, out);
}

static struct err values_at(const struct place *p, struct owner_set *out)
{
    AUTO(db_stmt_release) struct db_stmt *q = NULL;
    char text[4 * NAME_WIRE_MAX + 1];

    if (!p->records->has_delegate) {
        return err_ok();
    }
    TRY(name_from_wire(p->name.wire, p->name.len, text, sizeof(text)));
    q = db_prepare(p->db, "SELECT DISTINCT txt FROM delegate_value WHERE owner = ?1 ORDER BY txt");
    db_bind_text(q, 1, text);
    return give_texts(q, out);
}

static struct err delegate_at(const struct place *p, struct owner_set *out)
{
    if (p->is_apex) {
        TRY(synth_ns(p->records, p->zone, out));
    } else {
        TRY(values_at(p, out));
    }
    return is_ns_host(p) ? synth_own(p->records, out) : err_ok();
}

/* --- names of the zone itself -------------------------------------------------------------------------- */

/* At an apex: SOA goes (the caller of a transfer has it), NS and addresses come where none is stored. */
static struct err complete_apex(const struct place *p, const struct owner_set *own,
                                struct owner_set *out)
{
    bool has_address = owner_set_find(own, LDNS_RR_TYPE_A) != NULL ||
                       owner_set_find(own, LDNS_RR_TYPE_AAAA) != NULL ||
                       owner_set_find(own, LDNS_RR_TYPE_CNAME) != NULL;

    if (owner_set_find(own, LDNS_RR_TYPE_NS) == NULL) {
        TRY(synth_ns(p->records, p->zone, out));
    }
    if (has_address) {
        return err_ok();
    }
    if (is_ns_host(p)) {
        return synth_own(p->records, out);
    }
    return p->zone->is_plain ? err_ok() : synth_ingress(p->zone, out);
}

/* The wildcard that stands for a name at which nothing is stored, as zone_wildcard_find() does.
 * *has: there is one, perhaps without records. */
static struct err wildcard_at(const struct place *p, struct owner_set *out, bool *has)
{
    struct name_key encloser = p->zone->key;
    struct name_key next = encloser;
    struct name_key star;
    bool is_there = true;

    *has = false;
    while (is_there) {
        encloser = next;
        /* one label more of the name */
        size_t len = encloser.len;
        while (len < p->key->len && p->key->data[len] != 0) {
            len++;
        }
        if (len + 1 >= p->key->len) {
            break; /* that is the name itself */
        }
        memcpy(next.data, p->key->data, len + 1);
        next.len = len + 1;
        TRY(rows_has(p->db, &next, &is_there));
        if (!is_there) {
            TRY(rows_has_below(p->records, p->db, p->index, &next, &is_there));
        }
    }
    if (!key_down(&encloser, "*", &star)) {
        return err_ok();
    }
    AUTO(owner_set_clear) struct owner_set set;
    owner_set_init(&set);
    TRY(owner_set_read(p->db, &star, &set));
    for (size_t i = 0; i < set.n; i++) {
        TRY(set_put(out, set.rrs[i].type, set.rrs[i].ttl, set.rrs[i].rdata, set.rrs[i].rdata_len));
    }
    *has = set.n > 0;
    return *has ? err_ok() : rows_has_below(p->records, p->db, p->index, &star, has);
}

/* Nothing is stored here. `*.x` has what we answer below x, where a secondary looks at no wildcard
 * higher up: x is there. RFC 4592 §3.3.1 */
static struct err made_up_at(const struct place *p, struct owner_set *out)
{
    bool exists = false;
    bool has_wildcard = false;

    if (p->is_apex) {
        AUTO(owner_set_clear) struct owner_set none;
        owner_set_init(&none);
        return complete_apex(p, &none, out);
    }
    bool is_star = p->name.first == LABEL_STAR;
    bool is_ingress_star = is_star && p->name.labels_n == p->zone->labels_n + 1;
    bool is_made_up =
        p->has_below && p->name.is_rest_ldh && (is_star || p->name.first == LABEL_LDH);
    if (is_ns_host(p)) {
        AUTO(owner_set_clear) struct owner_set apex_set;
        owner_set_init(&apex_set);
        TRY(owner_set_read(p->db, &p->zone->key, &apex_set));
        bool is_named = p->records->hostname_len > 0 || !p->zone->is_plain ||
                        owner_set_find(&apex_set, LDNS_RR_TYPE_NS) == NULL;
        if (is_named) {
            return synth_own(p->records, out);
        }
    }
    if (p->zone->is_plain || !(is_ingress_star || is_made_up)) {
        return err_ok();
    }
    TRY(rows_has_below(p->records, p->db, p->index, p->key, &exists));
    if (is_star && exists) {
        return err_ok(); /* the wildcard is there, without records */
    }
    if (is_ingress_star) {
        return synth_ingress(p->zone, out);
    }
    if (!exists) {
        TRY(wildcard_at(p, out, &has_wildcard));
    }
    return has_wildcard ? err_ok() : synth_ingress(p->zone, out);
}

static struct err ordinary_at(const struct place *p, struct owner_set *out)
{
    AUTO(owner_set_clear) struct owner_set own;
    enum above above = ABOVE_NOTHING;

    owner_set_init(&own);
    TRY(look_above(p, &above));
    if (above == ABOVE_DNAME) {
        return err_ok();
    }
    bool is_automatic = !p->zone->is_plain && p->name.is_rest_ldh;
    if (above == ABOVE_NOTHING && is_automatic && p->name.first == LABEL_ACME) {
        return challenge_at(p, out);
    }
    if (above == ABOVE_NOTHING && is_automatic && p->name.first == LABEL_PERSIST) {
        return persist_at(p, out);
    }
    TRY(owner_set_read(p->db, p->key, &own));
    for (size_t i = 0; i < own.n; i++) {
        const struct zone_rr *rr = &own.rrs[i];
        bool is_glue = rr->type == LDNS_RR_TYPE_A || rr->type == LDNS_RR_TYPE_AAAA;
        bool is_soa = rr->type == LDNS_RR_TYPE_SOA;
        if (!is_soa && (above == ABOVE_NOTHING || is_glue)) {
            TRY(set_put(out, rr->type, rr->ttl, rr->rdata, rr->rdata_len));
        }
    }
    if (above != ABOVE_NOTHING) {
        return err_ok();
    }
    if (own.n == 0) {
        return made_up_at(p, out);
    }
    return p->is_apex ? complete_apex(p, &own, out) : err_ok();
}

struct err written_at(const struct records *records, struct db *db, int zone,
                      const struct name_key *key, bool has_below, struct owner_set *out)
{
    struct place p = {.records = records, .db = db, .key = key, .has_below = has_below};
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = 0;

    owner_set_reset(out);
    if (!key_wire(key->data, key->len, wire, &wire_len) ||
        dns_name_read(wire, wire_len, &p.name) != wire_len) {
        FAIL(ERR_DB, "records: a broken owner in the database");
    }
    p.index = records_zone_at(records, wire, wire_len);
    if (p.index != zone && (p.index < 0 || records->list[p.index].parent != zone)) {
        return err_ok();
    }
    p.zone = &records->list[p.index];
    p.is_apex = key->len == p.zone->key.len;
    if (p.index != zone) {
        TRY(delegation_at(&p, out));
    } else if (p.zone->is_delegate) {
        TRY(delegate_at(&p, out));
    } else {
        TRY(ordinary_at(&p, out));
    }
    return set_sort(out);
}
