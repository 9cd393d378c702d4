#include "core/store/store.h"

#include "core/store/driver.h"
#include "core/util/mem.h"

#include <sqlite3.h>

#include <assert.h>
#include <pthread.h>
#include <string.h>

#define CACHE_SLOTS 512u /* power of two */
#define CACHE_MAX 256u   /* statements kept per connection */
#define BUSY_TIMEOUT_MS 5000
#define SQL_SHOWN 160

struct db_stmt {
    struct db *db;
    sqlite3_stmt *raw;
    const char *sql;           /* the literal: key of the cache */
    struct db_stmt *next_open; /* statements in use by the running function */
    enum err_code code;        /* ERR_OK until the first failure, then sticky until release */
    char *failure;             /* the sentence, or NULL when there was no memory for it */
    bool is_cached;
    bool is_in_use;
    bool has_row;
    bool is_done;     /* stepped to the end, or failed */
    bool is_finished; /* db_finish() was called: the next bind or step starts anew */
};

struct db {
    sqlite3 *raw;
    char *path;
    enum drv_role role;
    struct db_hooks hooks;
    struct db_stmt *open;
    struct db_stmt *cache[CACHE_SLOTS];
    unsigned cached_n;
    struct db_stmt nomem;  /* handed out when there is no memory for a statement */
    struct err_trace lost; /* a failure that the running function never looked at */
};

/* --- failures --- */

static enum err_code code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return ERR_IO;
    case SQLITE_CONSTRAINT:
        return ERR_CONFLICT;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    default:
        return ERR_DB;
    }
}

static const char *sentence_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return "the disk of the state directory is full: free some space there; nothing was "
               "changed";
    case SQLITE_IOERR:
        return "the disk of the state directory failed: check it and the system's log";
    case SQLITE_READONLY:
        return "the state directory is read-only: make it writable for this user";
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return "the database cannot be opened: check that the state directory exists and that "
               "this user may write in it";
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return "the file is damaged or not a database: restore a backup";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another process holds the database: stop it and try again";
    default:
        return "the database refused";
    }
}

static struct err fail_rc(const struct db *db, int rc, const char *sql)
{
    FAIL(code_of(rc), "%s: %s (%s; %d)%s%.*s", db->path, sentence_of(rc),
         db->raw == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(db->raw), rc,
         sql == NULL ? "" : " in ", SQL_SHOWN, sql == NULL ? "" : sql);
}

/* The first failure of a statement stays; what follows is a no-op. */
static void stmt_fail(struct db_stmt *stmt, struct err e)
{
    if (stmt->code != ERR_OK) {
        return;
    }
    stmt->code = e.code;
    stmt->failure = mem_strdup(err_trace()->text);
    stmt->has_row = false;
    stmt->is_done = true;
}

static struct err stmt_failure(const struct db_stmt *stmt)
{
    FAIL(stmt->code, "%s", stmt->failure == NULL ? "out of memory" : stmt->failure);
}

/* --- connections --- */

static void configure_sqlite(void)
{
    /* Its memory statistics cost a global lock on every allocation. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static pthread_once_t configure_once = PTHREAD_ONCE_INIT;

struct err drv_script(struct db *db, const char *sql)
{
    int rc = sqlite3_exec(db->raw, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        return fail_rc(db, rc, sql);
    }
    return err_ok();
}

static struct err use_wal(struct db *db)
{
    sqlite3_stmt *raw = NULL;
    int rc = sqlite3_prepare_v2(db->raw, "PRAGMA journal_mode = WAL", -1, &raw, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(raw);
    }
    bool is_wal = rc == SQLITE_ROW && sqlite3_column_text(raw, 0) != NULL &&
                  strcmp((const char *)sqlite3_column_text(raw, 0), "wal") == 0;
    struct err e = rc == SQLITE_ROW ? err_ok() : fail_rc(db, rc, NULL);
    (void)sqlite3_finalize(raw);
    TRY(e);
    if (!is_wal) {
        FAIL(ERR_IO,
             "%s: this file system cannot hold a write-ahead log (a network file system?): "
             "choose a local state directory",
             db->path);
    }
    return err_ok();
}

static struct err set_up(struct db *db)
{
    (void)sqlite3_extended_result_codes(db->raw, 1);
    (void)sqlite3_busy_timeout(db->raw, BUSY_TIMEOUT_MS);
    (void)sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(db->raw, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    if (db->role == DRV_WRITER) {
        TRY(use_wal(db));
        TRY(drv_script(db, "PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 8388608;"
                           "PRAGMA cache_size = -2048;"));
    } else {
        TRY(drv_script(db, "PRAGMA query_only = ON; PRAGMA cache_size = -512;"));
    }
    /* NORMAL would lose the newest commits when the power fails. */
    return drv_script(db, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                          "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                          "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;");
}

static void close_slot(struct db **db)
{
    drv_close(*db);
}

struct err drv_open(const char *path, enum drv_role role, struct db **out)
{
    AUTO(close_slot) struct db *db = mem_zalloc(sizeof(*db));
    TRY_PTR(db);
    (void)pthread_once(&configure_once, configure_sqlite);
    db->role = role;
    db->nomem.db = db;
    db->path = mem_strdup(path);
    TRY_PTR(db->path);
    int rc = sqlite3_open_v2(path, &db->raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        return fail_rc(db, rc, NULL);
    }
    TRY(set_up(db));
    *out = MOVE(db);
    return err_ok();
}

void drv_close(struct db *db)
{
    if (db == NULL) {
        return;
    }
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        if (db->cache[i] != NULL) {
            (void)sqlite3_finalize(db->cache[i]->raw);
            mem_free(db->cache[i]);
        }
    }
    (void)sqlite3_close(db->raw);
    mem_free(db->path);
    mem_free(db);
}

enum drv_role drv_role_of(const struct db *db)
{
    return db->role;
}

struct db_hooks *drv_hooks(struct db *db)
{
    return &db->hooks;
}

/* --- transactions --- */

static struct err run_literal(struct db *db, const char *sql)
{
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, sql);
    return db_run(q, NULL);
}

struct err drv_begin(struct db *db)
{
    /* IMMEDIATE: a writer that finds out at its first write could not wait for another process any
     * more. */
    return run_literal(db, db->role == DRV_WRITER ? "BEGIN IMMEDIATE" : "BEGIN");
}

struct err drv_commit(struct db *db)
{
    return run_literal(db, "COMMIT");
}

void drv_rollback(struct db *db)
{
    if (drv_in_transaction(db)) {
        err_ignore(run_literal(db, "ROLLBACK"));
    }
}

struct err drv_savepoint(struct db *db)
{
    return run_literal(db, "SAVEPOINT one");
}

struct err drv_savepoint_keep(struct db *db)
{
    return run_literal(db, "RELEASE one");
}

struct err drv_savepoint_undo(struct db *db)
{
    TRY(run_literal(db, "ROLLBACK TO one"));
    return run_literal(db, "RELEASE one");
}

bool drv_in_transaction(const struct db *db)
{
    return sqlite3_get_autocommit(db->raw) == 0;
}

struct err drv_call(struct db *db, store_fn fn, void *arg)
{
    db->lost.code = ERR_OK;
    struct err e = fn(db, arg);
    assert(db->open == NULL && "a statement was not released");
    while (db->open != NULL) {
        struct db_stmt *left = db->open;
        db_stmt_release(&left);
    }
    if (e.code == ERR_OK && db->lost.code != ERR_OK) {
        return err_restore(&db->lost);
    }
    return e;
}

/* --- statements --- */

static size_t slot_of(const struct db *db, const char *sql)
{
    size_t slot = (size_t)(((uint64_t)(uintptr_t)sql * 0x9e3779b97f4a7c15u) >> 40);

    for (slot &= CACHE_SLOTS - 1; db->cache[slot] != NULL; slot = (slot + 1) & (CACHE_SLOTS - 1)) {
        if (db->cache[slot]->sql == sql) {
            break;
        }
    }
    return slot;
}

static struct err compile(struct db_stmt *stmt)
{
    const char *tail = NULL;
    unsigned flags = stmt->is_cached ? SQLITE_PREPARE_PERSISTENT : 0;
    int rc = sqlite3_prepare_v3(stmt->db->raw, stmt->sql, -1, flags, &stmt->raw, &tail);

    if (rc != SQLITE_OK) {
        return fail_rc(stmt->db, rc, stmt->sql);
    }
    if (stmt->raw == NULL || tail[strspn(tail, " \t\r\n;")] != '\0') {
        FAIL(ERR_INTERNAL, "not exactly one statement: %.*s", SQL_SHOWN, stmt->sql);
    }
    return err_ok();
}

static struct db_stmt *hand_out(struct db *db, struct db_stmt *stmt)
{
    stmt->is_in_use = true;
    stmt->next_open = db->open;
    db->open = stmt;
    return stmt;
}

struct db_stmt *db_prepare(struct db *db, const char *sql_literal)
{
    size_t slot = slot_of(db, sql_literal);
    struct db_stmt *stmt = db->cache[slot];

    if (stmt != NULL && !stmt->is_in_use) {
        assert(strcmp(sqlite3_sql(stmt->raw), sql_literal) == 0 && "SQL must be a literal");
        return hand_out(db, stmt);
    }
    bool is_free = stmt == NULL;
    stmt = mem_zalloc(sizeof(*stmt));
    if (stmt == NULL) {
        db->nomem.code = ERR_NOMEM;
        db->nomem.is_done = true;
        return &db->nomem;
    }
    stmt->db = db;
    stmt->sql = sql_literal;
    stmt->is_cached = is_free && db->cached_n < CACHE_MAX;
    struct err e = compile(stmt);
    if (e.code != ERR_OK) {
        stmt->is_cached = false;
        stmt_fail(stmt, e);
    }
    if (stmt->is_cached) {
        db->cache[slot] = stmt;
        db->cached_n++;
    }
    return hand_out(db, stmt);
}

static void unlink_open(struct db_stmt *stmt)
{
    struct db_stmt **at = &stmt->db->open;

    while (*at != NULL && *at != stmt) {
        at = &(*at)->next_open;
    }
    if (*at != NULL) {
        *at = stmt->next_open;
    }
    stmt->next_open = NULL;
}

static void release(struct db_stmt *stmt)
{
    if (stmt->code != ERR_OK && !stmt->is_finished && stmt->db->lost.code == ERR_OK) {
        /* A function that goes on after this must not be taken for a success. */
        struct err_trace before = *err_trace();
        err_ignore(stmt_failure(stmt));
        stmt->db->lost = *err_trace();
        err_ignore(err_restore(&before));
    }
    if (stmt == &stmt->db->nomem) {
        stmt->is_finished = false;
        return;
    }
    unlink_open(stmt);
    mem_free(stmt->failure);
    stmt->failure = NULL;
    if (!stmt->is_cached) {
        (void)sqlite3_finalize(stmt->raw);
        mem_free(stmt);
        return;
    }
    (void)sqlite3_reset(stmt->raw);
    (void)sqlite3_clear_bindings(stmt->raw);
    stmt->code = ERR_OK;
    stmt->is_in_use = stmt->has_row = stmt->is_done = stmt->is_finished = false;
}

void db_stmt_release(struct db_stmt **stmt)
{
    if (*stmt != NULL) {
        release(MOVE(*stmt));
    }
}

/* Whether the statement can be bound or stepped; starts it anew after db_finish(). */
static bool is_ready(struct db_stmt *stmt)
{
    if (stmt->code != ERR_OK) {
        return false;
    }
    if (stmt->is_finished) {
        (void)sqlite3_reset(stmt->raw);
        stmt->is_finished = stmt->is_done = stmt->has_row = false;
    }
    return true;
}

static void bound(struct db_stmt *stmt, int rc)
{
    if (rc != SQLITE_OK) {
        stmt_fail(stmt, fail_rc(stmt->db, rc, stmt->sql));
    }
}

void db_bind_int(struct db_stmt *stmt, int index, int64_t value)
{
    if (is_ready(stmt)) {
        bound(stmt, sqlite3_bind_int64(stmt->raw, index, value));
    }
}

void db_bind_text(struct db_stmt *stmt, int index, const char *text)
{
    if (text == NULL) {
        db_bind_null(stmt, index);
        return;
    }
    db_bind_textn(stmt, index, text, strlen(text));
}

void db_bind_textn(struct db_stmt *stmt, int index, const char *text, size_t len)
{
    if (is_ready(stmt)) {
        bound(stmt, sqlite3_bind_text64(stmt->raw, index, text == NULL ? "" : text,
                                        text == NULL ? 0 : len, SQLITE_STATIC, SQLITE_UTF8));
    }
}

void db_bind_blob(struct db_stmt *stmt, int index, const void *data, size_t len)
{
    /* A NULL pointer would bind NULL: an empty blob is a value. */
    if (is_ready(stmt)) {
        bound(stmt, sqlite3_bind_blob64(stmt->raw, index, data == NULL ? "" : data,
                                        data == NULL ? 0 : len, SQLITE_STATIC));
    }
}

void db_bind_null(struct db_stmt *stmt, int index)
{
    if (is_ready(stmt)) {
        bound(stmt, sqlite3_bind_null(stmt->raw, index));
    }
}

bool db_step(struct db_stmt *stmt)
{
    if (!is_ready(stmt) || stmt->is_done) {
        return false;
    }
    int rc = sqlite3_step(stmt->raw);
    stmt->has_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) {
        return true;
    }
    stmt->is_done = true;
    if (rc != SQLITE_DONE) {
        stmt_fail(stmt, fail_rc(stmt->db, rc, stmt->sql));
    }
    return false;
}

static bool has_column(const struct db_stmt *stmt, int column)
{
    return stmt->has_row && column >= 0 && column < sqlite3_column_count(stmt->raw);
}

bool db_col_is_null(struct db_stmt *stmt, int column)
{
    return !has_column(stmt, column) || sqlite3_column_type(stmt->raw, column) == SQLITE_NULL;
}

int64_t db_col_int(struct db_stmt *stmt, int column)
{
    return has_column(stmt, column) ? sqlite3_column_int64(stmt->raw, column) : 0;
}

const char *db_col_text(struct db_stmt *stmt, int column, size_t *len)
{
    const char *text = "";
    size_t n = 0;

    if (!db_col_is_null(stmt, column)) {
        const unsigned char *value = sqlite3_column_text(stmt->raw, column);
        if (value == NULL) {
            stmt_fail(stmt, fail_rc(stmt->db, SQLITE_NOMEM, stmt->sql));
        } else {
            text = (const char *)value;
            n = (size_t)sqlite3_column_bytes(stmt->raw, column);
        }
    }
    if (len != NULL) {
        *len = n;
    }
    return text;
}

const void *db_col_blob(struct db_stmt *stmt, int column, size_t *len)
{
    const void *value = NULL;
    size_t n = 0;

    if (!db_col_is_null(stmt, column)) {
        value = sqlite3_column_blob(stmt->raw, column);
        n = value == NULL ? 0 : (size_t)sqlite3_column_bytes(stmt->raw, column);
    }
    if (len != NULL) {
        *len = n;
    }
    return value;
}

static struct err wrong_value(const struct db_stmt *stmt, int column, size_t n, size_t cap)
{
    FAIL(ERR_DB, "%s: column %d holds %zu bytes of text where at most %zu without NUL belong: %.*s",
         stmt->db->path, column, n, cap - 1, SQL_SHOWN, stmt->sql);
}

void db_col_copy(struct db_stmt *stmt, int column, char *out, size_t out_cap)
{
    size_t n = 0;
    const char *text = db_col_text(stmt, column, &n);

    out[0] = '\0';
    if (n >= out_cap || strnlen(text, n) != n) {
        stmt_fail(stmt, wrong_value(stmt, column, n, out_cap));
        return;
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

struct err db_finish(struct db_stmt *stmt)
{
    /* The reset waits for the next use, so that the columns of the last row can still be read. */
    stmt->is_finished = true;
    if (stmt->code != ERR_OK) {
        return stmt_failure(stmt);
    }
    return err_ok();
}

struct err db_run(struct db_stmt *stmt, int64_t *changes)
{
    if (db_step(stmt)) {
        FAIL(ERR_INTERNAL, "a statement run without rows returned one: %.*s", SQL_SHOWN, stmt->sql);
    }
    TRY(db_finish(stmt));
    if (changes != NULL) {
        *changes = sqlite3_stmt_readonly(stmt->raw) ? 0 : sqlite3_changes64(stmt->db->raw);
    }
    return err_ok();
}

int64_t db_last_rowid(struct db *db)
{
    return sqlite3_last_insert_rowid(db->raw);
}
