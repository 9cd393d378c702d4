/* SQL of zones: serial, digests, what the last start saw. */
#include "dns/records_load.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

static void copy_digest(struct db_stmt *q, int column, uint8_t out[SHA256_LEN])
{
    size_t len = 0;
    const uint8_t *data = db_col_blob(q, column, &len);

    memset(out, 0, SHA256_LEN);
    if (len == SHA256_LEN) {
        memcpy(out, data, len);
    }
}

struct err zone_row_get(struct db *db, const char *name, struct zone_row *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT id, serial, digest, file_digest, is_written, journal_n "
                       "FROM record_zone WHERE name = ?1");
    struct zone_row row = {.id = 0};

    db_bind_text(q, 1, name);
    if (db_step(q)) {
        row.id = db_col_int(q, 0);
        row.serial = (uint32_t)db_col_int(q, 1);
        copy_digest(q, 2, row.digest);
        copy_digest(q, 3, row.file_digest);
        row.is_written = db_col_int(q, 4) != 0;
        row.journal_n = (size_t)db_col_int(q, 5);
    }
    TRY(db_finish(q));
    if (row.id == 0) {
        FAIL(ERR_NOT_FOUND, "records: zone %.100s is new", name);
    }
    *out = row;
    return err_ok();
}

struct err zone_row_new(struct db *db, const char *name, uint32_t serial)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "INSERT INTO record_zone (name, serial, digest, file_digest, is_written, journal_n) "
            "VALUES (?1, ?2, x'', x'', 0, 0)");

    db_bind_text(q, 1, name);
    db_bind_int(q, 2, serial);
    return db_run(q, NULL);
}

struct err zone_row_set(struct db *db, const struct zone_row *row)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE record_zone SET digest = ?2, file_digest = ?3, is_written = ?4 "
                       "WHERE id = ?1");

    db_bind_int(q, 1, row->id);
    db_bind_blob(q, 2, row->digest, sizeof(row->digest));
    db_bind_blob(q, 3, row->file_digest, sizeof(row->file_digest));
    db_bind_int(q, 4, row->is_written ? 1 : 0);
    return db_run(q, NULL);
}

struct err table_exists(struct db *db, const char *name, bool *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1");

    db_bind_text(q, 1, name);
    bool is_found = db_step(q);
    TRY(db_finish(q));
    *out = is_found;
    return err_ok();
}

struct err old_serial(struct db *db, uint32_t *out)
{
    bool is_there = false;
    int64_t serial = 0;

    TRY(table_exists(db, "delegate_serial", &is_there));
    if (is_there) {
        AUTO(db_stmt_release)
        struct db_stmt *q = db_prepare(db, "SELECT serial FROM delegate_serial WHERE id = 1");
        if (db_step(q)) {
            serial = db_col_int(q, 0);
        }
        TRY(db_finish(q));
    }
    *out = (uint32_t)serial;
    return err_ok();
}

struct err reverse_get(struct db *db, uint8_t out[SHA256_LEN])
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT reverse FROM record_state WHERE id = 1");

    memset(out, 0, SHA256_LEN);
    if (db_step(q)) {
        copy_digest(q, 0, out);
    }
    return db_finish(q);
}

struct err reverse_set(struct db *db, const uint8_t digest[SHA256_LEN])
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO record_state (id, reverse) VALUES (1, ?1) "
                                       "ON CONFLICT (id) DO UPDATE SET reverse = ?1");

    db_bind_blob(q, 1, digest, SHA256_LEN);
    return db_run(q, NULL);
}

static struct err count_row(void *arg, const struct row *row)
{
    (void)row;
    (*(size_t *)arg)++;
    return err_ok();
}

static struct err count_known(const struct records *records, struct db *db, int zone, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT owner FROM record_known WHERE owner >= ?1 AND owner < ?2");
    const struct records_zone *z = &records->list[zone];
    size_t count = 0;
    size_t len = 0;

    db_bind_blob(q, 1, z->key.data, z->key.len);
    db_bind_blob(q, 2, z->behind.data, z->behind.len);
    while (db_step(q)) {
        const uint8_t *key = db_col_blob(q, 0, &len);
        count += records_zone_of_key(records, key, len) == zone ? 1 : 0;
    }
    TRY(db_finish(q));
    *n = count;
    return err_ok();
}

struct err count_zone(const struct records *records, struct db *db, int zone, size_t *records_n,
                      size_t *known_n)
{
    *records_n = 0;
    *known_n = 0;
    if (records->list[zone].is_delegate) {
        return err_ok();
    }
    TRY(rows_scan_zone(records, db, zone, count_row, records_n));
    return count_known(records, db, zone, known_n);
}
