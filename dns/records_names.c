/* Which names of the written-out zone there may be, and which of them a change concerns. */
#include "dns/records_written.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

struct err known_has(struct db *db, const struct name_key *key, bool *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT 1 FROM record_known WHERE owner = ?1");

    db_bind_blob(q, 1, key->data, key->len);
    bool is_found = db_step(q);
    TRY(db_finish(q));
    *out = is_found;
    return err_ok();
}

struct err known_put(struct db *db, const struct name_key *key, bool *is_new)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO record_known (owner) VALUES (?1) ON CONFLICT DO NOTHING");
    int64_t changes = 0;

    db_bind_blob(q, 1, key->data, key->len);
    TRY(db_run(q, &changes));
    *is_new = changes > 0;
    return err_ok();
}

struct gather {
    const struct records *records;
    const struct records_zone *zone;
    struct key_list *out;
    struct name_key last; /* the rows of one name come together */
};

/* The name, and its `*` if it may have one that nobody stored. */
static struct err add_starred(struct gather *g, const struct name_key *key)
{
    struct name_key above = *key;
    struct name_key star;

    TRY(key_list_add(g->out, key));
    if (g->zone->is_plain || g->zone->is_delegate || key->len <= g->zone->key.len ||
        !key_up(&above)) {
        return err_ok();
    }
    uint8_t first = key->data[above.len];
    bool is_wanted = first != '_' && first != '*' && key_down(key, "*", &star);
    return is_wanted ? key_list_add(g->out, &star) : err_ok();
}

/* The name, and those between it and the apex. */
static struct err add_path(struct gather *g, const struct name_key *key)
{
    struct name_key up = *key;

    TRY(add_starred(g, key));
    while (up.len > g->zone->key.len && key_up(&up)) {
        TRY(add_starred(g, &up));
    }
    return err_ok();
}

/* The same, and its _acme-challenge. */
static struct err add_name(struct gather *g, const struct name_key *key)
{
    struct name_key child;

    if (!g->zone->is_plain && !g->zone->is_delegate && key_down(key, ACME_LABEL, &child)) {
        TRY(key_list_add(g->out, &child));
    }
    return add_path(g, key);
}

/* A wildcard's base is known as well. */
static struct err add_row_name(struct gather *g, const struct name_key *key)
{
    struct name_key base;

    TRY(add_name(g, key));
    bool is_wildcard = key_star_base(key, &base) && base.len >= g->zone->key.len;
    return is_wildcard ? add_name(g, &base) : err_ok();
}

static struct err add_key(struct gather *g, const uint8_t *owner, size_t len)
{
    struct name_key key;

    if (len > KEY_MAX) {
        FAIL(ERR_DB, "records: an owner of %zu octets in the database", len);
    }
    memcpy(key.data, owner, len);
    key.len = len;
    int zone = records_zone_of_key(g->records, key.data, key.len);
    if (zone < 0 || &g->records->list[zone] != g->zone) {
        return err_ok(); /* a zone below */
    }
    return add_row_name(g, &key);
}

static struct err gather_row(void *arg, const struct row *row)
{
    struct gather *g = arg;

    if (key_compare(row->key, row->key_len, g->last.data, g->last.len) == 0) {
        return err_ok();
    }
    TRY(add_key(g, row->key, row->key_len));
    memcpy(g->last.data, row->key, row->key_len);
    g->last.len = row->key_len;
    return err_ok();
}

static struct err gather_known(struct gather *g, struct db *db, const struct name_key *from,
                               const struct name_key *behind)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT owner FROM record_known WHERE owner >= ?1 AND owner < ?2");
    size_t len = 0;

    db_bind_blob(q, 1, from->data, from->len);
    db_bind_blob(q, 2, behind->data, behind->len);
    while (db_step(q)) {
        const uint8_t *owner = db_col_blob(q, 0, &len);
        TRY(add_key(g, owner, len));
    }
    return db_finish(q);
}

static struct err gather_written(struct gather *g, struct db *db, const struct name_key *from,
                                 const struct name_key *behind)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT DISTINCT owner FROM record_written "
                                       "WHERE zone = ?1 AND owner >= ?2 AND owner < ?3");
    struct name_key key;

    db_bind_int(q, 1, g->zone->id);
    db_bind_blob(q, 2, from->data, from->len);
    db_bind_blob(q, 3, behind->data, behind->len);
    while (db_step(q)) {
        const uint8_t *owner = db_col_blob(q, 0, &key.len);
        if (key.len > KEY_MAX) {
            FAIL(ERR_DB, "records: an owner of %zu octets in the database", key.len);
        }
        if (key.len > 0) {
            memcpy(key.data, owner, key.len);
        }
        TRY(add_path(g, &key));
    }
    return db_finish(q);
}

/* A name in text, and a label in front of it or none. */
static struct err add_text(struct gather *g, const char *text, const char *label)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);
    struct name_key key, child;

    if (name_to_wire(text, wire, &len).code != ERR_OK) {
        return err_ok(); /* no name that was ever written out */
    }
    key_of(wire, &key);
    int zone = records_zone_of_key(g->records, key.data, key.len);
    if (zone < 0 || &g->records->list[zone] != g->zone) {
        return err_ok();
    }
    if (label == NULL) {
        return key_list_add(g->out, &key);
    }
    return key_down(&key, label, &child) ? add_name(g, &child) : err_ok();
}

static struct err gather_texts(struct gather *g, struct db *db)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT DISTINCT base FROM delegate_persist WHERE expires > ?1");

    db_bind_int(q, 1, clock_unix_s());
    while (db_step(q)) {
        TRY(add_text(g, db_col_text(q, 0, NULL), ZONE_PERSIST_LABEL));
    }
    return db_finish(q);
}

static struct err gather_values(struct gather *g, struct db *db)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT DISTINCT owner FROM delegate_value");

    while (db_step(q)) {
        TRY(add_text(g, db_col_text(q, 0, NULL), NULL));
    }
    return db_finish(q);
}

/* What is there whatever is stored. */
static struct err gather_made_up(struct gather *g, struct db *db)
{
    uint8_t ns[NAME_WIRE_MAX];
    size_t ns_len = synth_ns_name(g->records, g->zone, ns);
    struct name_key key;

    TRY(add_name(g, &g->zone->key));
    if (key_down(&g->zone->key, "*", &key)) {
        TRY(key_list_add(g->out, &key));
    }
    if (ns_len > 0 && records_zone_at(g->records, ns, ns_len) == g->zone - g->records->list) {
        key_of(ns, &key);
        TRY(add_name(g, &key));
    }
    if (g->zone->is_delegate) {
        return g->records->has_delegate ? gather_values(g, db) : err_ok();
    }
    return g->records->has_persist ? gather_texts(g, db) : err_ok();
}

struct targets {
    struct gather *g;
    int child;
};

static struct err gather_target(void *arg, const struct row *row)
{
    struct targets *t = arg;
    struct name_key key;

    if (row->type == LDNS_RR_TYPE_NS &&
        records_zone_at(t->g->records, row->rdata, row->rdata_len) == t->child) {
        key_of(row->rdata, &key);
        return add_name(t->g, &key);
    }
    return err_ok();
}

static struct err gather_delegation(struct gather *g, struct db *db, int child)
{
    const struct records_zone *c = &g->records->list[child];
    struct targets targets = {g, child};
    uint8_t ns[NAME_WIRE_MAX];
    size_t ns_len = synth_ns_name(g->records, c, ns);
    struct name_key key;

    TRY(add_name(g, &c->key));
    if (ns_len > 0 && records_zone_at(g->records, ns, ns_len) == child) {
        key_of(ns, &key);
        TRY(add_name(g, &key));
    }
    return c->is_delegate ? err_ok() : rows_at(db, &c->key, gather_target, &targets);
}

struct err written_delegation(const struct records *records, struct db *db, int child,
                              struct key_list *out)
{
    struct gather g = {
        .records = records, .zone = &records->list[records->list[child].parent], .out = out};

    TRY(gather_written(&g, db, &records->list[child].key, &records->list[child].behind));
    return gather_delegation(&g, db, child);
}

struct err written_names(const struct records *records, struct db *db, int zone,
                         const struct name_key *key, struct key_list *out)
{
    struct gather g = {.records = records, .zone = &records->list[zone], .out = out};
    bool is_whole = key->len == g.zone->key.len;
    struct name_key behind;

    key_behind(key, &behind);
    TRY(add_name(&g, key));
    if (!g.zone->is_delegate) {
        if (is_whole) {
            TRY(rows_scan_zone(records, db, zone, gather_row, &g));
        } else {
            TRY(rows_scan(db, key, &behind, gather_row, &g));
        }
        TRY(gather_known(&g, db, key, &behind));
    }
    TRY(gather_written(&g, db, key, &behind));
    if (is_whole) {
        TRY(gather_made_up(&g, db));
    }
    for (size_t i = 0; i < records->n; i++) {
        const struct records_zone *c = &records->list[i];
        if (c->parent == zone && c->is_served &&
            key_compare(c->key.data, c->key.len, key->data, key->len) >= 0 &&
            key_compare(c->key.data, c->key.len, behind.data, behind.len) < 0) {
            TRY(gather_delegation(&g, db, (int)i));
        }
    }
    return err_ok();
}

/* --- what a change concerns ------------------------------------------------------------------------ */

/* Has the zone a row at or below `up` that is not at or below `key`? */
static struct err has_other(const struct gather *g, struct db *db, const struct name_key *up,
                            const struct name_key *key, bool *out)
{
    int zone = (int)(g->zone - g->records->list);
    struct name_key behind_up, behind_key;

    key_behind(up, &behind_up);
    key_behind(key, &behind_key);
    TRY(rows_has_in(g->records, db, zone, up, key, out));
    return *out ? err_ok() : rows_has_in(g->records, db, zone, &behind_key, &behind_up, out);
}

/* Whether a name exists decides which wildcard stands for names below it, and so does that of those
 * above that exist because of it alone: the topmost of them. */
static struct err find_top(const struct gather *g, struct db *db, const struct name_key *key,
                           struct name_key *top)
{
    struct name_key up = *key;
    bool has = false;

    *top = *key;
    while (key_up(&up) && up.len > g->zone->key.len) {
        TRY(has_other(g, db, &up, key, &has));
        if (has) {
            break;
        }
        *top = up;
    }
    struct name_key base;
    if (key_star_base(top, &base) && base.len >= g->zone->key.len) {
        *top = base; /* a wildcard stands for everything below its base */
    }
    return err_ok();
}

/* Is there a delegation or DNAME now, or was there one when the zone was written out last? */
static struct err is_cut_now_or_before(const struct gather *g, struct db *db,
                                       const struct name_key *key, bool *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT DISTINCT type FROM record_written WHERE zone = ?1 "
                                       "AND owner = ?2 AND type IN (2, 39)");
    bool is_apex = key->len == g->zone->key.len;
    bool is_cut = false;
    struct row_marks marks;

    db_bind_int(q, 1, g->zone->id);
    db_bind_blob(q, 2, key->data, key->len);
    while (db_step(q)) {
        is_cut = is_cut || !is_apex || db_col_int(q, 0) == LDNS_RR_TYPE_DNAME;
    }
    TRY(db_finish(q));
    TRY(rows_marks(db, key, &marks));
    *out = is_cut || marks.has_dname || (marks.has_ns && !is_apex);
    return err_ok();
}

struct err written_concerned(const struct records *records, struct db *db, int zone,
                             const struct name_key *key, struct key_list *out)
{
    const struct records_zone *z = &records->list[zone];
    struct gather g = {.records = records, .zone = z, .out = out};
    struct name_key top = *key;
    bool is_cut = false;

    TRY(add_row_name(&g, key));
    TRY(is_cut_now_or_before(&g, db, key, &is_cut));
    if (key->len == z->key.len) {
        return is_cut ? written_names(records, db, zone, key, out) : gather_made_up(&g, db);
    }
    if (is_cut && records->has_persist) {
        TRY(gather_texts(&g, db)); /* those below were left out, or are to be */
    }
    TRY(find_top(&g, db, key, &top));
    return written_names(records, db, zone, &top, out);
}
