/* The store: one SQLite database, one writer thread with group commit, read views, append-only
 * migrations.
 *
 * store_write() hands a function to the single writer, which runs each queued function in its own
 * savepoint, commits the whole batch with one fsync (WAL, synchronous=FULL), runs the batch's
 * on-commit hooks in order and then wakes the callers: a return of ERR_OK means "on disk".  A
 * function that fails is rolled back alone.  A function may run twice (a batch whose commit fails
 * is retried one by one), so it does no I/O, no signing and changes no memory but its own argument.
 * store_read() runs a function in a read transaction on a pooled connection. Third parties' types
 * do not appear here.  SQL text handed in must be a string literal (statements are cached by
 * address).  Not checked: that SQL of one module stays within that module's tables.
 * Errors: ERR_IO when the disk is full, read-only or fails; ERR_DB otherwise; ERR_CONFLICT for a
 * constraint. */
#ifndef CORE_STORE_STORE_H
#define CORE_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"

struct store;   /* the whole; any thread */
struct db;      /* a connection inside one store_write()/store_read() call; that thread only */
struct db_stmt; /* a prepared statement inside one call */

/* A module's schema: steps are only ever appended; each is one or more SQL statements, applied
 * once, in order. */
struct store_module {
    const char *name; /* key in the migration table; never changed */
    const char *const *steps;
    size_t steps_n;
};

struct store_options {
    const char *path;     /* database file; created with mode 0600 */
    unsigned readers_max; /* read connections kept open, opened on demand */
};

/* Open, check, migrate (refused with ERR_DB and a sentence when the file is newer than this
 * program), start the writer. */
MUST_USE struct err store_open(const struct store_options *options,
                               const struct store_module *modules, size_t modules_n,
                               struct store **out);
/* Runs what is queued, stops the writer, closes. NULL is fine. No call may be under way. */
void store_close(struct store *store);

typedef struct err (*store_fn)(struct db *db, void *arg);
/* Run fn durably; blocks. `what` is a static name for logs ("acme.order.new"). fn's own failure is
 * returned with its trace. Thread: any but the writer. */
MUST_USE struct err store_write(struct store *store, const char *what, store_fn fn, void *arg);
/* Run fn in a read view: a snapshot that includes every commit that store_write() has acknowledged.
 * Thread: any. */
MUST_USE struct err store_read(struct store *store, const char *what, store_fn fn, void *arg);

/* Inside a store_write() function: once this batch is durable, call hook(arg) on the writer thread,
 * in commit order and before any caller is woken; then free_arg(arg) (may be NULL). When the
 * function is rolled back only free_arg runs. For in-memory mirrors of the store (zone snapshot,
 * client table, expectations), which thus change in commit order. A hook must be short, must not
 * fail, and must not call the store. */
MUST_USE struct err db_on_commit(struct db *db, void (*hook)(void *arg),
                                 void (*free_arg)(void *arg), void *arg);

/* Statements. The failure is sticky: bind and step, look once with db_finish() (or db_exec_done()).
 *   AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, "SELECT a FROM t WHERE b = ?1");
 *   db_bind_text(q, 1, b);
 *   while (db_step(q)) { use db_col_text(q, 0); }
 *   TRY(db_finish(q));
 * db_prepare never returns NULL semantics to check: a failed prepare yields a statement whose steps
 * are false and whose db_finish() reports the failure. */
struct db_stmt *db_prepare(struct db *db, const char *sql_literal);
void db_stmt_release(struct db_stmt **stmt); /* for AUTO(); resets the cached statement */
void db_bind_int(struct db_stmt *stmt, int index, int64_t value);
void db_bind_text(struct db_stmt *stmt, int index,
                  const char *text); /* NULL binds NULL; borrowed until release */
void db_bind_textn(struct db_stmt *stmt, int index, const char *text, size_t len);
void db_bind_blob(struct db_stmt *stmt, int index, const void *data, size_t len);
void db_bind_null(struct db_stmt *stmt, int index);
bool db_step(struct db_stmt *stmt); /* true: a row is there; false: done or failed */
int64_t db_col_int(struct db_stmt *stmt, int column);
/* "" for NULL; valid until the next step; *len optional */
const char *db_col_text(struct db_stmt *stmt, int column, size_t *len);
const void *db_col_blob(struct db_stmt *stmt, int column, size_t *len); /* NULL when empty */
bool db_col_is_null(struct db_stmt *stmt, int column);
/* Copy a text column into a fixed array; a longer value makes the statement fail with ERR_DB (the
 * database is hostile input as well). */
void db_col_copy(struct db_stmt *stmt, int column, char *out, size_t out_cap);
MUST_USE struct err db_finish(struct db_stmt *stmt);
/* Step a statement that returns no rows; *changes optional: rows changed. */
MUST_USE struct err db_run(struct db_stmt *stmt, int64_t *changes);
int64_t db_last_rowid(struct db *db);

#endif
