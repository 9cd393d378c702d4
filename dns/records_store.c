/* SQL of records and serial numbers. */
#include "dns/records_int.h"

#include <stdatomic.h>
#include <string.h>

#include "core/util/log.h"
#include "core/util/mem.h"

#define FAULTS_LOGGED_MAX 20u

static const char *const STEPS[] = {
    /* owner: the key of records_int.h. client '': the administrator, a file, or derived.
     * record_written is the written-out zone of what is transferred, record_delta and record_journal
     * how it came about. */
    "CREATE TABLE record_zone ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE,"
    " serial INTEGER NOT NULL,"
    " digest BLOB NOT NULL,"
    " file_digest BLOB NOT NULL,"
    " is_written INTEGER NOT NULL,"
    " journal_n INTEGER NOT NULL) STRICT;"
    "CREATE TABLE record ("
    " owner BLOB NOT NULL,"
    " type INTEGER NOT NULL,"
    " rdata BLOB NOT NULL,"
    " source INTEGER NOT NULL,"
    " ttl INTEGER NOT NULL,"
    " client TEXT NOT NULL,"
    " PRIMARY KEY (owner, type, rdata, source)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE record_known ("
    " owner BLOB NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;"
    "CREATE TABLE record_state ("
    " id INTEGER PRIMARY KEY CHECK (id = 1),"
    " reverse BLOB NOT NULL) STRICT;"
    "CREATE TABLE record_written ("
    " zone INTEGER NOT NULL,"
    " owner BLOB NOT NULL,"
    " type INTEGER NOT NULL,"
    " rdata BLOB NOT NULL,"
    " ttl INTEGER NOT NULL,"
    " PRIMARY KEY (zone, owner, type, rdata)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE record_delta ("
    " id INTEGER PRIMARY KEY,"
    " zone INTEGER NOT NULL,"
    " from_serial INTEGER NOT NULL,"
    " to_serial INTEGER NOT NULL,"
    " rows_n INTEGER NOT NULL) STRICT;"
    "CREATE INDEX record_delta_zone ON record_delta (zone, from_serial);"
    "CREATE TABLE record_journal ("
    " delta INTEGER NOT NULL,"
    " is_add INTEGER NOT NULL,"
    " seq INTEGER NOT NULL,"
    " owner BLOB NOT NULL,"
    " type INTEGER NOT NULL,"
    " ttl INTEGER NOT NULL,"
    " rdata BLOB NOT NULL,"
    " PRIMARY KEY (delta, is_add, seq)) STRICT, WITHOUT ROWID;",

    /* How many a client has. */
    "CREATE INDEX record_client ON record (client, source) WHERE client <> '';",
};

const struct store_module RECORDS_STORE_MODULE = {"records", STEPS, ARRAY_N(STEPS)};

/* --- reading ------------------------------------------------------------------------------------ */

/* Why a row cannot be one of ours; NULL: it can. */
static const char *find_fault(struct db_stmt *q, const struct row *row)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = 0;
    int64_t type = db_col_int(q, 1);
    int64_t source = db_col_int(q, 3);
    int64_t ttl = db_col_int(q, 4);

    if (!key_wire(row->key, row->key_len, wire, &wire_len)) {
        return "its owner is no name";
    }
    for (size_t i = 0; i < wire_len; i++) {
        /* lengths of labels are less than any letter */
        if (wire[i] >= 'A' && wire[i] <= 'Z') {
            return "its owner is not in lower case";
        }
    }
    if (row->rdata_len > RR_RDATA_MAX) {
        return "its data is longer than a record's can be";
    }
    if (type < 1 || type > UINT16_MAX || source < RECORD_FROM_STORE || source > RECORD_DERIVED ||
        ttl < 0 || ttl > (int64_t)RR_TTL_MAX) {
        return "its type, source or TTL is none";
    }
    return strnlen(row->client, CLIENT_NAME_MAX + 1) > CLIENT_NAME_MAX ? "its client is none"
                                                                       : NULL;
}

static void log_fault(const struct row *row, const char *why)
{
    static atomic_uint said_n;
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = 0;
    struct name_words words = {"?"};

    if (atomic_fetch_add(&said_n, 1) >= FAULTS_LOGGED_MAX) {
        atomic_store(&said_n, FAULTS_LOGGED_MAX);
        return;
    }
    if (key_wire(row->key, row->key_len, wire, &wire_len)) {
        (void)wire_words(wire, wire_len, &words);
    }
    log_ev(LOG_ERROR, "records.row", {"name", words.text}, {"type", log_int(row->type)},
           {"why", why}, {"msg", "a row of the database that is no record is passed over"});
}

static struct err give(struct db_stmt *q, row_fn fn, void *arg)
{
    struct row row;

    while (db_step(q)) {
        row.key = db_col_blob(q, 0, &row.key_len);
        row.type = (uint16_t)db_col_int(q, 1);
        row.rdata = db_col_blob(q, 2, &row.rdata_len);
        row.source = (enum record_source)db_col_int(q, 3);
        row.ttl = (uint32_t)db_col_int(q, 4);
        row.client = db_col_text(q, 5, NULL);
        const char *why = find_fault(q, &row);
        if (why != NULL) {
            log_fault(&row, why);
            continue;
        }
        TRY(fn(arg, &row));
    }
    return db_finish(q);
}

struct err rows_scan(struct db *db, const struct name_key *from, const struct name_key *to,
                     row_fn fn, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT owner, type, rdata, source, ttl, client FROM record "
                       "WHERE owner >= ?1 AND owner < ?2 ORDER BY owner, type, rdata, source");

    db_bind_blob(q, 1, from->data, from->len);
    db_bind_blob(q, 2, to->data, to->len);
    return give(q, fn, arg);
}

/* The first zone directly below `zone` whose key is not before `from`; -1. */
static int next_child(const struct records *records, int zone, const struct name_key *from)
{
    int best = -1;

    for (size_t i = 0; i < records->n; i++) {
        const struct name_key *key = &records->list[i].key;
        if (records->list[i].parent == zone &&
            key_compare(key->data, key->len, from->data, from->len) >= 0 &&
            (best < 0 || key_compare(key->data, key->len, records->list[best].key.data,
                                     records->list[best].key.len) < 0)) {
            best = (int)i;
        }
    }
    return best;
}

struct err rows_scan_zone(const struct records *records, struct db *db, int zone, row_fn fn,
                          void *arg)
{
    const struct records_zone *z = &records->list[zone];
    struct name_key from = z->key;

    for (;;) {
        int child = next_child(records, zone, &from);
        TRY(rows_scan(db, &from, child < 0 ? &z->behind : &records->list[child].key, fn, arg));
        if (child < 0) {
            return err_ok();
        }
        from = records->list[child].behind;
    }
}

struct err rows_at(struct db *db, const struct name_key *key, row_fn fn, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT owner, type, rdata, source, ttl, client FROM record "
                                       "WHERE owner = ?1 ORDER BY type, rdata, source");

    db_bind_blob(q, 1, key->data, key->len);
    return give(q, fn, arg);
}

/* The key of a SELECT ... LIMIT 1. */
static struct err take_key(struct db_stmt *q, struct name_key *out, bool *is_there)
{
    size_t len = 0;
    bool is_found = db_step(q);

    if (is_found) {
        const uint8_t *owner = db_col_blob(q, 0, &len);
        if (len == 0 || len > KEY_MAX) {
            FAIL(ERR_DB, "records: an owner of %zu octets in the database", len);
        }
        memcpy(out->data, owner, len);
        out->len = len;
    }
    TRY(db_finish(q));
    *is_there = is_found;
    return err_ok();
}

struct err rows_first(struct db *db, const struct name_key *from, const struct name_key *to,
                      struct name_key *out, bool *is_there)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT owner FROM record WHERE owner >= ?1 AND owner < ?2 "
                                       "ORDER BY owner LIMIT 1");
    struct name_key found = {0};

    db_bind_blob(q, 1, from->data, from->len);
    db_bind_blob(q, 2, to->data, to->len);
    TRY(take_key(q, &found, is_there));
    if (*is_there) {
        *out = found;
    }
    return err_ok();
}

struct err rows_first_other(struct db *db, const struct name_key *from, const struct name_key *to,
                            bool is_glue_fine, struct name_key *out, bool *is_there)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT owner FROM record WHERE owner >= ?1 AND owner < ?2 AND source <> 2 "
                       "AND (?3 = 0 OR type NOT IN (1, 28)) ORDER BY owner LIMIT 1");
    struct name_key found = {0};

    db_bind_blob(q, 1, from->data, from->len);
    db_bind_blob(q, 2, to->data, to->len);
    db_bind_int(q, 3, is_glue_fine ? 1 : 0);
    TRY(take_key(q, &found, is_there));
    if (*is_there) {
        *out = found;
    }
    return err_ok();
}

struct err rows_has(struct db *db, const struct name_key *key, bool *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT 1 FROM record WHERE owner = ?1 LIMIT 1");

    db_bind_blob(q, 1, key->data, key->len);
    bool is_found = db_step(q);
    TRY(db_finish(q));
    *out = is_found;
    return err_ok();
}

struct err rows_has_in(const struct records *records, struct db *db, int zone,
                       const struct name_key *from, const struct name_key *to, bool *out)
{
    struct name_key at = *from;
    bool is_there = true;

    for (;;) {
        TRY(rows_first(db, &at, to, &at, &is_there));
        int found = is_there ? records_zone_of_key(records, at.data, at.len) : zone;
        if (!is_there || found == zone || found < 0) {
            *out = is_there;
            return err_ok();
        }
        at = records->list[found].behind; /* rows of a zone below do not count */
    }
}

struct err rows_has_below(const struct records *records, struct db *db, int zone,
                          const struct name_key *key, bool *out)
{
    struct name_key from = *key;
    struct name_key behind;

    key_behind(key, &behind);
    from.data[from.len++] = 0; /* the first key behind the name's own */
    return rows_has_in(records, db, zone, &from, &behind, out);
}

struct err rows_marks(struct db *db, const struct name_key *key, struct row_marks *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT DISTINCT type FROM record WHERE owner = ?1 AND type IN (2, 5, 39)");

    memset(out, 0, sizeof(*out));
    db_bind_blob(q, 1, key->data, key->len);
    while (db_step(q)) {
        int64_t type = db_col_int(q, 0);
        out->has_ns = out->has_ns || type == DNS_TYPE_NS;
        out->has_cname = out->has_cname || type == DNS_TYPE_CNAME;
        out->has_dname = out->has_dname || type == LDNS_RR_TYPE_DNAME;
    }
    return db_finish(q);
}

/* --- writing ------------------------------------------------------------------------------------ */

struct err row_put(struct db *db, const struct row *row)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO record (owner, type, rdata, source, ttl, client) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
                       "ON CONFLICT (owner, type, rdata, source) DO UPDATE SET ttl = ?5");

    db_bind_blob(q, 1, row->key, row->key_len);
    db_bind_int(q, 2, row->type);
    db_bind_blob(q, 3, row->rdata, row->rdata_len);
    db_bind_int(q, 4, row->source);
    db_bind_int(q, 5, row->ttl);
    db_bind_text(q, 6, row->client);
    return db_run(q, NULL);
}

struct err row_remove(struct db *db, const struct row *row, const char *client, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "DELETE FROM record WHERE owner = ?1 AND type = ?2 AND rdata = ?3 "
                       "AND source = ?4 AND (?5 IS NULL OR client = ?5)");
    int64_t changes = 0;

    db_bind_blob(q, 1, row->key, row->key_len);
    db_bind_int(q, 2, row->type);
    db_bind_blob(q, 3, row->rdata, row->rdata_len);
    db_bind_int(q, 4, row->source);
    db_bind_text(q, 5, client);
    TRY(db_run(q, &changes));
    *n += (size_t)changes;
    return err_ok();
}

struct err rows_set_ttl(struct db *db, const struct name_key *key, uint16_t type, uint32_t ttl)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE record SET ttl = ?3 WHERE owner = ?1 AND type = ?2 "
                                       "AND source = 0 AND ttl <> ?3");

    db_bind_blob(q, 1, key->data, key->len);
    db_bind_int(q, 2, type);
    db_bind_int(q, 3, ttl);
    return db_run(q, NULL);
}

struct err rows_count_client(struct db *db, const char *client, size_t *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT COUNT(*) FROM record "
                                       "WHERE client = ?1 AND client <> '' AND source = 0");
    int64_t n = 0;

    db_bind_text(q, 1, client);
    if (db_step(q)) {
        n = db_col_int(q, 0);
    }
    TRY(db_finish(q));
    *out = (size_t)n;
    return err_ok();
}

/* --- serials ------------------------------------------------------------------------------------- */

struct err serial_get(struct db *db, int64_t zone_id, uint32_t *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT serial FROM record_zone WHERE id = ?1");
    uint32_t serial = 0;

    db_bind_int(q, 1, zone_id);
    bool is_found = db_step(q);
    if (is_found) {
        serial = (uint32_t)db_col_int(q, 0);
    }
    TRY(db_finish(q));
    if (!is_found) {
        FAIL(ERR_INTERNAL, "records: a zone without its row");
    }
    *out = serial;
    return err_ok();
}

/* Never 0: that is "no such zone" to zone_serial_of(). */
struct err serial_move(struct db *db, int64_t zone_id, uint32_t *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE record_zone SET serial = CASE serial WHEN 4294967295 THEN 1 "
                       "ELSE serial + 1 END WHERE id = ?1 RETURNING serial");
    uint32_t serial = 0;

    db_bind_int(q, 1, zone_id);
    while (db_step(q)) {
        serial = (uint32_t)db_col_int(q, 0);
    }
    TRY(db_finish(q));
    if (serial == 0) {
        FAIL(ERR_INTERNAL, "records: a zone without its row");
    }
    *out = serial;
    return err_ok();
}

struct err serial_set(struct db *db, int64_t zone_id, uint32_t serial)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE record_zone SET serial = ?2 WHERE id = ?1");

    db_bind_int(q, 1, zone_id);
    db_bind_int(q, 2, serial);
    return db_run(q, NULL);
}
