/* The table of what is written out, kept in step. */
#include "dns/records_written.h"

#include <stdlib.h>
#include <string.h>

#include "core/util/mem.h"

/* But for the name `except`. */
static struct err has_written_below(struct db *db, int64_t zone_id, const struct name_key *key,
                                    const struct name_key *except, bool *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT 1 FROM record_written "
                       "WHERE zone = ?1 AND owner > ?2 AND owner < ?3 AND owner <> ?4 LIMIT 1");
    struct name_key behind;

    key_behind(key, &behind);
    db_bind_int(q, 1, zone_id);
    db_bind_blob(q, 2, key->data, key->len);
    db_bind_blob(q, 3, behind.data, behind.len);
    db_bind_blob(q, 4, except->data, except->len);
    bool is_found = db_step(q);
    TRY(db_finish(q));
    *out = is_found;
    return err_ok();
}

static struct err read_written(struct db *db, int64_t zone_id, const struct name_key *key,
                               struct owner_set *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT type, rdata, ttl FROM record_written "
                                       "WHERE zone = ?1 AND owner = ?2 ORDER BY type, rdata");
    size_t len = 0;

    owner_set_reset(out);
    db_bind_int(q, 1, zone_id);
    db_bind_blob(q, 2, key->data, key->len);
    while (db_step(q)) {
        const uint8_t *rdata = db_col_blob(q, 1, &len);
        TRY(set_put(out, (uint16_t)db_col_int(q, 0), (uint32_t)db_col_int(q, 2), rdata, len));
    }
    TRY(db_finish(q));
    return set_sort(out);
}

static struct err write_row(struct db *db, int64_t zone_id, bool is_add, const struct name_key *key,
                            const struct zone_rr *rr)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = is_add ? db_prepare(db, "INSERT INTO record_written "
                                                "(zone, owner, type, rdata, ttl) "
                                                "VALUES (?1, ?2, ?3, ?4, ?5)")
                               : db_prepare(db, "DELETE FROM record_written WHERE zone = ?1 "
                                                "AND owner = ?2 AND type = ?3 AND rdata = ?4");

    db_bind_int(q, 1, zone_id);
    db_bind_blob(q, 2, key->data, key->len);
    db_bind_int(q, 3, rr->type);
    db_bind_blob(q, 4, rr->rdata, rr->rdata_len);
    if (is_add) {
        db_bind_int(q, 5, rr->ttl);
    }
    return db_run(q, NULL);
}

static struct err note(struct db *db, int64_t zone_id, bool is_add, const struct name_key *key,
                       const struct zone_rr *rr, struct delta *d)
{
    TRY(write_row(db, zone_id, is_add, key, rr));
    d->rows_n++;
    return d->has_journal ? journal_add(db, zone_id, d, is_add, key, rr) : err_ok();
}

static int compare(const struct zone_rr *a, const struct zone_rr *b)
{
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    return key_compare(a->rdata, a->rdata_len, b->rdata, b->rdata_len);
}

static struct err write_difference(struct db *db, int64_t zone_id, const struct name_key *key,
                                   const struct owner_set *old, const struct owner_set *new,
                                   struct delta *d)
{
    size_t i = 0;
    size_t k = 0;

    while (i < old->n || k < new->n) {
        int order = i == old->n ? 1 : k == new->n ? -1 : compare(&old->rrs[i], &new->rrs[k]);
        bool is_same = order == 0 && old->rrs[i].ttl == new->rrs[k].ttl;
        if (order <= 0 && !is_same) {
            TRY(note(db, zone_id, false, key, &old->rrs[i], d));
        }
        if (order >= 0 && !is_same) {
            TRY(note(db, zone_id, true, key, &new->rrs[k], d));
        }
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    return err_ok();
}

struct err written_refresh(const struct records *records, struct db *db, int zone,
                           struct key_list *names, struct delta *d)
{
    int64_t zone_id = records->list[zone].id;
    AUTO(owner_set_clear) struct owner_set old;
    AUTO(owner_set_clear) struct owner_set new;
    struct name_key key, base;
    bool has_below = false;

    owner_set_init(&old);
    owner_set_init(&new);
    key_list_sort_stars(names);
    /* From below: whether something is below a name decides what is at it, and whether it is there
     * what is at `*` below it. */
    for (size_t i = names->n; i > 0; i--) {
        key_list_get(names, i - 1, &key);
        bool is_star = key_star_base(&key, &base);
        TRY(has_written_below(db, zone_id, is_star ? &base : &key, &key, &has_below));
        if (is_star && !has_below) {
            TRY(written_at(records, db, zone, &base, false, &new));
            has_below = new.n > 0;
        }
        TRY(written_at(records, db, zone, &key, has_below, &new));
        TRY(read_written(db, zone_id, &key, &old));
        TRY(write_difference(db, zone_id, &key, &old, &new, d));
    }
    return err_ok();
}

struct err written_rebuild(const struct records *records, struct db *db, int zone,
                           size_t *changed_n)
{
    AUTO(key_list_clear) struct key_list names;
    struct delta d = {.has_journal = false};

    key_list_init(&names);
    TRY(written_names(records, db, zone, &records->list[zone].key, &names));
    TRY(written_refresh(records, db, zone, &names, &d));
    *changed_n = d.rows_n;
    return err_ok();
}

struct err written_drop(struct db *db, int64_t zone_id)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM record_written WHERE zone = ?1");

    db_bind_int(q, 1, zone_id);
    return db_run(q, NULL);
}

/* --- the whole zone -------------------------------------------------------------------------------- */

struct giving {
    struct records *records;
    record_fn fn;
    void *arg;
    struct dns_rr rr;
};

static struct err give(struct giving *g, const struct name_key *key, const struct zone_rr *rr)
{
    size_t len = 0;

    if (!key_wire(key->data, key->len, g->rr.owner, &len)) {
        FAIL(ERR_DB, "records: a broken owner in the database");
    }
    g->rr.owner_len = (uint8_t)len;
    g->rr.type = rr->type;
    g->rr.class_ = DNS_CLASS_IN;
    g->rr.ttl = rr->ttl;
    g->rr.rdata_len = rr->rdata_len;
    union {
        const uint8_t *in;
        uint8_t *out;
    } rdata = {.in = rr->rdata}; /* fn borrows it as const */
    g->rr.rdata = rr->rdata_len == 0 ? NULL : rdata.out;
    if (!g->fn(g->arg, &g->rr)) {
        FAIL(ERR_LIMIT, "records: the reader of the zone has enough");
    }
    return err_ok();
}

static struct err give_table(struct records *records, struct db *db, int64_t zone_id, record_fn fn,
                             void *arg)
{
    struct giving g = {.records = records, .fn = fn, .arg = arg};
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT owner, type, rdata, ttl FROM record_written "
                                       "WHERE zone = ?1 ORDER BY owner, type, rdata");
    struct name_key key;
    size_t len = 0;

    db_bind_int(q, 1, zone_id);
    while (db_step(q)) {
        const void *owner = db_col_blob(q, 0, &key.len);
        if (key.len > KEY_MAX) {
            FAIL(ERR_DB, "records: an owner of %zu octets in the database", key.len);
        }
        if (key.len > 0) {
            memcpy(key.data, owner, key.len);
        }
        const uint8_t *rdata = db_col_blob(q, 2, &len);
        const struct zone_rr rr = {(uint16_t)db_col_int(q, 1), (uint32_t)db_col_int(q, 3), rdata,
                                   (uint16_t)len};
        TRY(give(&g, &key, &rr));
    }
    return db_finish(q);
}

/* The sets of all names, made from below, given in their order. */
struct made {
    struct buf data;
    size_t *at; /* of each name's part of data */
    size_t n;
};

static void made_clear(struct made *m)
{
    buf_clear(&m->data);
    mem_free(m->at);
}

static struct err make(struct made *m, const struct name_key *key, const struct owner_set *set)
{
    m->at[m->n++] = m->data.len;
    buf_u16(&m->data, (uint16_t)key->len);
    buf_put(&m->data, key->data, key->len);
    buf_u32(&m->data, (uint32_t)set->n);
    for (size_t i = 0; i < set->n; i++) {
        buf_u16(&m->data, set->rrs[i].type);
        buf_u32(&m->data, set->rrs[i].ttl);
        buf_u16(&m->data, set->rrs[i].rdata_len);
        buf_put(&m->data, set->rrs[i].rdata, set->rrs[i].rdata_len);
    }
    return buf_check(&m->data);
}

static int compare_made(const void *a, const void *b, void *arg)
{
    const struct made *m = arg;
    const uint8_t *x = m->data.data + *(const size_t *)a;
    const uint8_t *y = m->data.data + *(const size_t *)b;

    return key_compare(x + 2, wire_get16(x), y + 2, wire_get16(y));
}

static struct err give_made(struct giving *g, struct made *m)
{
    if (m->n > 1) {
        qsort_r(m->at, m->n, sizeof(*m->at), compare_made, m);
    }
    for (size_t i = 0; i < m->n; i++) {
        struct rd r = rd_init(m->data.data + m->at[i], m->data.len - m->at[i]);
        struct name_key key;
        key.len = rd_u16(&r);
        if (key.len > 0) {
            memcpy(key.data, rd_bytes(&r, key.len), key.len);
        }
        for (uint32_t n = rd_u32(&r); n > 0; n--) {
            struct zone_rr rr;
            rr.type = rd_u16(&r);
            rr.ttl = rd_u32(&r);
            rr.rdata_len = rd_u16(&r);
            rr.rdata = rd_bytes(&r, rr.rdata_len);
            TRY(give(g, &key, &rr));
        }
    }
    return err_ok();
}

static bool begins_with(const struct name_key *key, const struct name_key *head)
{
    return key->len > head->len &&
           (head->len == 0 || memcmp(key->data, head->data, head->len) == 0);
}

static struct err give_anew(struct giving *g, struct db *db, int zone)
{
    AUTO(key_list_clear) struct key_list names;
    AUTO(owner_set_clear) struct owner_set set;
    AUTO(made_clear) struct made made = {.n = 0};
    struct name_key key, base;
    struct name_key last = {.len = 0}; /* the last name that had records */

    key_list_init(&names);
    owner_set_init(&set);
    buf_init(&made.data, RECORDS_BUF_MAX);
    TRY(written_names(g->records, db, zone, &g->records->list[zone].key, &names));
    key_list_sort_stars(&names);
    made.at = mem_array(names.n, sizeof(*made.at));
    TRY_PTR(made.at);
    for (size_t i = names.n; i > 0; i--) {
        key_list_get(&names, i - 1, &key);
        bool is_star = key_star_base(&key, &base);
        bool has_below = begins_with(&last, is_star ? &base : &key);
        if (is_star && !has_below) {
            TRY(written_at(g->records, db, zone, &base, false, &set));
            has_below = set.n > 0;
        }
        TRY(written_at(g->records, db, zone, &key, has_below, &set));
        if (set.n > 0) {
            TRY(make(&made, &key, &set));
            last = key;
        }
    }
    return give_made(g, &made);
}

struct err written_anew(struct records *records, struct db *db, int zone, record_fn fn, void *arg)
{
    struct giving g = {.records = records, .fn = fn, .arg = arg};

    return give_anew(&g, db, zone);
}

struct err records_write_out(struct records *records, struct db *db, int zone, struct dns_rr *soa,
                             record_fn fn, void *arg)
{
    const struct records_zone *z = &records->list[zone];
    struct dns_rr head = {.ttl = 0};
    uint32_t serial = 0;

    TRY(serial_get(db, z->id, &serial));
    TRY(synth_soa(records, db, zone, serial, &head));
    struct err e = fn == NULL          ? err_ok()
                   : z->is_transferred ? give_table(records, db, z->id, fn, arg)
                                       : written_anew(records, db, zone, fn, arg);
    if (e.code != ERR_OK) {
        rr_clear(&head);
        return e;
    }
    *soa = head;
    return err_ok();
}
