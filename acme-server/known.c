/* The names of the orders that are there already: a zone may be transferred since the last start only.
 * And those that no order has any more. */
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/handlers.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define BATCH 500u /* names a transaction */

struct known {
    struct acme *acme;
    char names[BATCH][NAME_TEXT_MAX + 1];
    size_t n;
    char after[NAME_TEXT_MAX + 1]; /* the last one that was told */
};

static struct err read_fn(struct db *db, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT name FROM (SELECT name FROM acme_order_name WHERE name > ?1 "
                       "UNION SELECT name FROM acme_authz WHERE name > ?1) ORDER BY name LIMIT ?2");
    struct known *k = arg;

    k->n = 0;
    db_bind_text(q, 1, k->after);
    db_bind_int(q, 2, BATCH);
    while (k->n < BATCH && db_step(q)) {
        db_col_copy(q, 0, k->names[k->n], sizeof(k->names[0]));
        k->n++;
    }
    return db_finish(q);
}

static struct err put_fn(struct db *db, void *arg)
{
    const struct known *k = arg;
    const char *list[BATCH];

    for (size_t i = 0; i < k->n; i++) {
        list[i] = k->names[i];
    }
    return records_known_put(k->acme->records, db, list, k->n);
}

struct err acme_tell_known(struct acme *acme)
{
    if (acme->records == NULL || !records_is_any_transferred(acme->records)) {
        return err_ok();
    }
    AUTO(mem_freep) struct known *k = mem_zalloc(sizeof(*k));
    TRY_PTR(k);
    k->acme = acme;
    do {
        TRY(store_read(acme->store, "acme.known.read", read_fn, k));
        if (k->n > 0) {
            TRY(store_write(acme->store, "acme.known", put_fn, k));
            memcpy(k->after, k->names[k->n - 1], sizeof(k->after));
        }
    } while (k->n == BATCH);
    return err_ok();
}

/* --- names that nobody asks for any more ------------------------------------------------------------ */

struct sweep_job {
    struct acme *acme;
    struct records_sweep next;
    size_t gone_n;
};

static struct err is_used(void *arg, struct db *db, const char *name, bool *out)
{
    const struct sweep_job *job = arg;
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT EXISTS (SELECT 1 FROM acme_order_name WHERE name = ?1)"
                       " OR EXISTS (SELECT 1 FROM acme_authz WHERE name = ?1)");
    bool has_any = false;

    db_bind_text(q, 1, name);
    if (db_step(q)) {
        has_any = db_col_int(q, 0) != 0;
    }
    TRY(db_finish(q));
    *out = has_any || access_is_named(job->acme->access, name);
    return err_ok();
}

static struct err sweep_fn(struct db *db, void *arg)
{
    struct sweep_job *job = arg;
    struct acme *acme = job->acme;

    return records_known_sweep(acme->records, db, &acme->swept, is_used, job, &job->next,
                               &job->gone_n);
}

struct err acme_sweep_known(struct acme *acme, size_t *gone_n)
{
    struct sweep_job job = {.acme = acme};

    *gone_n = 0;
    if (acme->records == NULL || !records_is_any_transferred(acme->records) ||
        clock_unix_s() < acme->sweep_due_unix) {
        return err_ok();
    }
    TRY(store_write(acme->store, "acme.known.sweep", sweep_fn, &job));
    acme->swept = job.next;
    if (job.next.len == 0) {
        acme->sweep_due_unix = clock_unix_s() + ACME_SWEEP_S;
    }
    if (job.gone_n > 0) {
        log_ev(LOG_INFO, "acme.known.gone", {"names", log_int((int64_t)job.gone_n)},
               {"msg", "no order, certificate or client has these names any more: they are written "
                       "out for secondaries no longer"});
    }
    *gone_n = job.gone_n;
    return err_ok();
}
