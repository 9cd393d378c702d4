#include "core/store/migrate.h"

#include "core/store/driver.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#include <string.h>

struct plan {
    const struct store_module *modules;
    size_t n;
    size_t applied; /* steps */
};

#define TABLE_SQL                                                                                  \
    "CREATE TABLE IF NOT EXISTS migration ("                                                       \
    " module TEXT NOT NULL, step INTEGER NOT NULL, applied INTEGER NOT NULL,"                      \
    " PRIMARY KEY (module, step)) STRICT, WITHOUT ROWID"

static const struct store_module *module_find(const struct plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n; i++) {
        if (strcmp(plan->modules[i].name, name) == 0) {
            return &plan->modules[i];
        }
    }
    return NULL;
}

/* Steps count from 1; a gap means that somebody edited the table. */
static struct err check_known(struct db *db, const struct plan *plan)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "SELECT module, max(step), count(*), min(step) FROM migration GROUP BY module");

    while (db_step(q)) {
        const char *name = db_col_text(q, 0, NULL);
        int64_t newest = db_col_int(q, 1);
        const struct store_module *module = module_find(plan, name);
        if (module == NULL || newest > (int64_t)module->steps_n) {
            FAIL(ERR_DB,
                 "the database was written by a newer version of this program (%.40s step %lld): "
                 "start that version, or restore a backup made before the upgrade",
                 name, (long long)newest);
        }
        if (db_col_int(q, 2) != newest || db_col_int(q, 3) != 1) {
            FAIL(ERR_DB, "the database's list of migrations is damaged (%.40s): restore a backup",
                 name);
        }
    }
    return db_finish(q);
}

static struct err count_steps(struct db *db, const char *name, size_t *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT count(*) FROM migration WHERE module = ?1");

    db_bind_text(q, 1, name);
    size_t n = db_step(q) ? (size_t)db_col_int(q, 0) : 0;
    TRY(db_finish(q));
    *out = n;
    return err_ok();
}

static struct err record_step(struct db *db, const char *name, size_t step)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO migration (module, step, applied) VALUES (?1, ?2, ?3)");

    db_bind_text(q, 1, name);
    db_bind_int(q, 2, (int64_t)step);
    db_bind_int(q, 3, clock_unix_s());
    return db_run(q, NULL);
}

static struct err apply(struct db *db, void *arg)
{
    struct plan *plan = arg;

    TRY(drv_script(db, TABLE_SQL));
    TRY(check_known(db, plan));
    for (size_t i = 0; i < plan->n; i++) {
        const struct store_module *module = &plan->modules[i];
        size_t done = 0;
        TRY(count_steps(db, module->name, &done));
        for (; done < module->steps_n; done++) {
            TRY(drv_script(db, module->steps[done]));
            TRY(record_step(db, module->name, done + 1));
            plan->applied++;
        }
    }
    return err_ok();
}

struct err migrate_run(struct db *db, const struct store_module *modules, size_t n)
{
    struct plan plan = {modules, n, 0};

    TRY(drv_begin(db));
    struct err e = drv_call(db, apply, &plan);
    if (e.code == ERR_OK) {
        e = drv_commit(db);
    }
    if (e.code != ERR_OK) {
        struct err_trace trace = *err_trace();
        drv_rollback(db);
        return err_restore(&trace);
    }
    if (plan.applied > 0) {
        log_ev(LOG_INFO, "store.migrated", {"steps", log_int((int64_t)plan.applied)});
    }
    return err_ok();
}
