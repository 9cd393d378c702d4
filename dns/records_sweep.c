/* Known names that nobody uses any more. */
#include <string.h>

#include "core/util/mem.h"
#include "dns/records_written.h"

_Static_assert(sizeof(((struct records_sweep *)0)->key) >= KEY_MAX, "a key fits");

struct sweep {
    struct records *records;
    struct db *db;
    struct zone_change *change; /* NULL: nothing went so far */
    size_t looked_n, gone_n;
};

static struct err next_known(struct db *db, const struct name_key *after, struct name_key *out,
                             bool *is_there)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT owner FROM record_known WHERE owner > ?1 ORDER BY owner LIMIT 1");
    size_t len = 0;

    db_bind_blob(q, 1, after->data, after->len);
    *is_there = db_step(q);
    if (*is_there) {
        const uint8_t *owner = db_col_blob(q, 0, &len);
        if (len > KEY_MAX) {
            FAIL(ERR_DB, "records: an owner of %zu octets in the database", len);
        }
        memcpy(out->data, owner, len);
        out->len = len;
    }
    return db_finish(q);
}

static struct err known_remove(struct db *db, const struct name_key *key)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM record_known WHERE owner = ?1");

    db_bind_blob(q, 1, key->data, key->len);
    return db_run(q, NULL);
}

/* What a configuration that is gone had transferred leaves no zone. */
static struct err forget(struct sweep *s, const struct name_key *key)
{
    int zone = records_zone_of_key(s->records, key->data, key->len);

    TRY(known_remove(s->db, key));
    s->gone_n++;
    if (zone < 0 || !s->records->list[zone].is_transferred) {
        return err_ok();
    }
    if (s->change == NULL) {
        TRY(zone_change_new(s->records, &s->change));
    }
    return zone_change_known(s->change, key);
}

static struct err look(struct sweep *s, const struct name_key *key, records_used_fn fn, void *arg)
{
    struct name_words words;
    bool is_used = false;

    s->looked_n++;
    TRY(fn(arg, s->db, key_words(key, &words), &is_used));
    return is_used ? err_ok() : forget(s, key);
}

static void sweep_clear(struct sweep *s)
{
    zone_change_freep(&s->change);
}

struct err records_known_sweep(struct records *records, struct db *db,
                               const struct records_sweep *after, records_used_fn fn, void *arg,
                               struct records_sweep *next, size_t *gone_n)
{
    AUTO(sweep_clear) struct sweep s = {.records = records, .db = db};
    struct name_key key = {.len = after->len};
    bool is_there = true;

    memcpy(key.data, after->key, after->len);
    while (is_there && s.looked_n < RECORDS_SWEEP_MAX && s.gone_n < RECORDS_SWEEP_GONE_MAX) {
        struct name_key last = key;
        TRY(next_known(db, &last, &key, &is_there));
        if (is_there) {
            TRY(look(&s, &key, fn, arg));
        }
    }
    if (s.change != NULL) {
        TRY(zone_change_commit(&s.change, db, NULL));
    }
    memset(next, 0, sizeof(*next));
    next->len = is_there ? key.len : 0;
    memcpy(next->key, key.data, next->len);
    *gone_n = s.gone_n;
    return err_ok();
}
