/* Append-only schema migrations: which steps of which module a database has, and the ones it lacks.
 * Internal to core/store. */
#ifndef CORE_STORE_MIGRATE_H
#define CORE_STORE_MIGRATE_H

#include "core/store/store.h"

/* Apply every missing step in one transaction on the writer's connection. ERR_DB with a sentence
 * when the database has steps or modules that this program does not know. */
MUST_USE struct err migrate_run(struct db *db, const struct store_module *modules, size_t n);

#endif
