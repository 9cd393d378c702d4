/* The journal: how each serial of a transferred zone came from the one before. RFC 1995 */
#include "dns/records_written.h"

#include <string.h>

#include "core/util/mem.h"

static struct err begin(struct db *db, int64_t zone_id, struct delta *d)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO record_delta (zone, from_serial, to_serial, rows_n) "
                       "VALUES (?1, 0, 0, 0)");

    db_bind_int(q, 1, zone_id);
    TRY(db_run(q, NULL));
    d->id = db_last_rowid(db);
    return err_ok();
}

struct err journal_add(struct db *db, int64_t zone_id, struct delta *d, bool is_add,
                       const struct name_key *key, const struct zone_rr *rr)
{
    if (d->rows_n > RECORDS_JOURNAL_ROWS_MAX / 2) {
        d->has_journal = false; /* a transfer of the whole zone is shorter */
        return err_ok();
    }
    if (d->id == 0) {
        TRY(begin(db, zone_id, d));
    }
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO record_journal (delta, is_add, seq, owner, type, ttl, rdata) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");

    db_bind_int(q, 1, d->id);
    db_bind_int(q, 2, is_add ? 1 : 0);
    db_bind_int(q, 3, (int64_t)d->rows_n);
    db_bind_blob(q, 4, key->data, key->len);
    db_bind_int(q, 5, rr->type);
    db_bind_int(q, 6, rr->ttl);
    db_bind_blob(q, 7, rr->rdata, rr->rdata_len);
    return db_run(q, NULL);
}

static struct err set_journal_n(struct db *db, int64_t zone_id, int64_t n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE record_zone SET journal_n = ?2 WHERE id = ?1");

    db_bind_int(q, 1, zone_id);
    db_bind_int(q, 2, n);
    return db_run(q, NULL);
}

struct err journal_drop(struct db *db, int64_t zone_id)
{
    AUTO(db_stmt_release)
    struct db_stmt *rows = db_prepare(db, "DELETE FROM record_journal WHERE delta IN "
                                          "(SELECT id FROM record_delta WHERE zone = ?1)");
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM record_delta WHERE zone = ?1");

    db_bind_int(rows, 1, zone_id);
    TRY(db_run(rows, NULL));
    db_bind_int(q, 1, zone_id);
    TRY(db_run(q, NULL));
    return set_journal_n(db, zone_id, 0);
}

static struct err count_in(struct db *db, int64_t zone_id, size_t rows_n, int64_t *journal_n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE record_zone SET journal_n = journal_n + ?2 "
                                       "WHERE id = ?1 RETURNING journal_n");

    db_bind_int(q, 1, zone_id);
    db_bind_int(q, 2, (int64_t)rows_n + 1);
    while (db_step(q)) {
        *journal_n = db_col_int(q, 0);
    }
    return db_finish(q);
}

static struct err oldest(struct db *db, int64_t zone_id, int64_t *id, int64_t *rows_n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT id, rows_n FROM record_delta WHERE zone = ?1 "
                                       "ORDER BY id LIMIT 1");

    *id = 0;
    db_bind_int(q, 1, zone_id);
    if (db_step(q)) {
        *id = db_col_int(q, 0);
        *rows_n = db_col_int(q, 1);
    }
    return db_finish(q);
}

static struct err remove_delta(struct db *db, int64_t id)
{
    AUTO(db_stmt_release)
    struct db_stmt *rows = db_prepare(db, "DELETE FROM record_journal WHERE delta = ?1");
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM record_delta WHERE id = ?1");

    db_bind_int(rows, 1, id);
    TRY(db_run(rows, NULL));
    db_bind_int(q, 1, id);
    return db_run(q, NULL);
}

static struct err trim(struct db *db, int64_t zone_id, int64_t journal_n)
{
    int64_t id = 0;
    int64_t rows_n = 0;

    if (journal_n <= RECORDS_JOURNAL_ROWS_MAX) {
        return err_ok();
    }
    while (journal_n > RECORDS_JOURNAL_ROWS_MAX) {
        TRY(oldest(db, zone_id, &id, &rows_n));
        if (id == 0) {
            break;
        }
        TRY(remove_delta(db, id));
        journal_n -= rows_n + 1;
    }
    return set_journal_n(db, zone_id, journal_n);
}

struct err journal_end(struct db *db, int64_t zone_id, struct delta *d, uint32_t from, uint32_t to)
{
    int64_t journal_n = 0;

    if (!d->has_journal) {
        return journal_drop(db, zone_id);
    }
    if (d->id == 0) {
        TRY(begin(db, zone_id, d));
    }
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE record_delta SET from_serial = ?2, to_serial = ?3, "
                                       "rows_n = ?4 WHERE id = ?1");
    db_bind_int(q, 1, d->id);
    db_bind_int(q, 2, from);
    db_bind_int(q, 3, to);
    db_bind_int(q, 4, (int64_t)d->rows_n);
    TRY(db_run(q, NULL));
    TRY(count_in(db, zone_id, d->rows_n, &journal_n));
    return trim(db, zone_id, journal_n);
}

/* --- reading ---------------------------------------------------------------------------------------- */

/* The newest difference that begins at this serial. */
static struct err find_first(struct db *db, int64_t zone_id, uint32_t serial, int64_t *id)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT MAX(id) FROM record_delta "
                                       "WHERE zone = ?1 AND from_serial = ?2");

    *id = 0;
    db_bind_int(q, 1, zone_id);
    db_bind_int(q, 2, serial);
    if (db_step(q)) {
        *id = db_col_int(q, 0);
    }
    TRY(db_finish(q));
    if (*id == 0) {
        FAIL(ERR_NOT_FOUND, "records: serial %lu is not in the journal", (unsigned long)serial);
    }
    return err_ok();
}

static struct err give_rows(struct db *db, int64_t id, const struct journal_fns *fns)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT is_add, owner, type, ttl, rdata FROM record_journal "
                                       "WHERE delta = ?1 ORDER BY is_add, seq");
    struct dns_rr rr = {.class_ = DNS_CLASS_IN};
    AUTO(buf_clear) struct buf rdata = BUF_INIT(RR_RDATA_MAX);

    db_bind_int(q, 1, id);
    while (db_step(q)) {
        size_t key_len = 0;
        size_t owner_len = 0;
        size_t rdata_len = 0;
        const uint8_t *key = db_col_blob(q, 1, &key_len);
        if (!key_wire(key, key_len, rr.owner, &owner_len)) {
            FAIL(ERR_DB, "records: a broken owner in the database");
        }
        const void *data = db_col_blob(q, 4, &rdata_len);
        buf_reset(&rdata);
        buf_put(&rdata, data, rdata_len);
        TRY(buf_check(&rdata));
        rr.owner_len = (uint8_t)owner_len;
        rr.type = (uint16_t)db_col_int(q, 2);
        rr.ttl = (uint32_t)db_col_int(q, 3);
        rr.rdata = rdata_len == 0 ? NULL : rdata.data;
        rr.rdata_len = (uint16_t)rdata_len;
        if (!fns->record(fns->arg, db_col_int(q, 0) != 0, &rr)) {
            FAIL(ERR_LIMIT, "records: the reader of the journal has enough");
        }
    }
    return db_finish(q);
}

static struct err give_deltas(struct db *db, int64_t zone_id, int64_t first, uint32_t serial,
                              const struct journal_fns *fns)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT id, from_serial, to_serial FROM record_delta "
                                       "WHERE zone = ?1 AND id >= ?2 ORDER BY id");
    uint32_t at = serial;

    db_bind_int(q, 1, zone_id);
    db_bind_int(q, 2, first);
    while (db_step(q)) {
        uint32_t from = (uint32_t)db_col_int(q, 1);
        uint32_t to = (uint32_t)db_col_int(q, 2);
        if (from != at) {
            FAIL(ERR_NOT_FOUND, "records: the journal has a gap");
        }
        if (!fns->begin(fns->arg, from, to)) {
            FAIL(ERR_LIMIT, "records: the reader of the journal has enough");
        }
        TRY(give_rows(db, db_col_int(q, 0), fns));
        at = to;
    }
    return db_finish(q);
}

struct err records_journal(struct records *records, struct db *db, int zone, uint32_t serial,
                           struct dns_rr *soa, const struct journal_fns *fns)
{
    const struct records_zone *z = &records->list[zone];
    struct dns_rr head = {.ttl = 0};
    uint32_t now = 0;
    int64_t first = 0;

    TRY(serial_get(db, z->id, &now));
    if (serial != now) {
        TRY(find_first(db, z->id, serial, &first));
        TRY(give_deltas(db, z->id, first, serial, fns));
    }
    TRY(synth_soa(records, db, zone, now, &head));
    *soa = head;
    return err_ok();
}
