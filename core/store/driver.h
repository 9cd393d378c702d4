/* The driver's side of the store: connections, transactions and statements of one database engine.
 *
 * For store.c, writer.c and migrate.c only; sqlite.c implements it, and a second engine would
 * implement the same list.
 * Thread rule: a connection belongs to one thread at a time. */
#ifndef CORE_STORE_DRIVER_H
#define CORE_STORE_DRIVER_H

#include <stdbool.h>

#include "core/store/store.h"

enum drv_role { DRV_WRITER, DRV_READER };

/* What a write function asked to happen once it is durable. */
struct db_hook {
    struct db_hook *next;
    void (*hook)(void *arg);
    void (*free_arg)(void *arg);
    void *arg;
};
struct db_hooks {
    struct db_hook *first;
    struct db_hook *last;
};

/* Open one connection to an existing file, which may be empty. The path is copied. */
MUST_USE struct err drv_open(const char *path, enum drv_role role, struct db **out);
void drv_close(struct db *db); /* NULL is fine */
enum drv_role drv_role_of(const struct db *db);

MUST_USE struct err drv_begin(struct db *db);
MUST_USE struct err drv_commit(struct db *db);
void drv_rollback(struct db *db); /* best effort; harmless outside a transaction */
MUST_USE struct err drv_savepoint(struct db *db);
MUST_USE struct err drv_savepoint_keep(struct db *db);
MUST_USE struct err drv_savepoint_undo(struct db *db);
/* False once an engine failure (disk full) has rolled the transaction back by itself. */
bool drv_in_transaction(const struct db *db);

/* Run fn, then close what it left open (asserted in debug builds). A statement that failed without
 * fn having looked at it makes the call fail. */
MUST_USE struct err drv_call(struct db *db, store_fn fn, void *arg);
/* One or more statements without parameters: migrations. */
MUST_USE struct err drv_script(struct db *db, const char *sql);
/* The hooks that the running function has registered. */
struct db_hooks *drv_hooks(struct db *db);

#endif
