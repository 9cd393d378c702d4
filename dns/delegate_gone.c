/* What clients leave behind that went away, or lost names, while the daemon was off: those of the
 * configuration and the environment have no removal that could clean up after them, and a later
 * client may bear the same name. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/log.h"
#include "core/util/mem.h"

struct gone_job {
    struct delegate *d;
    const char *after; /* the client before, in order */
    char client[CLIENT_NAME_MAX + 1];
    struct delegate_binding *bindings;
    size_t bindings_n;
};

static void gone_clear(struct gone_job *job)
{
    mem_free(job->bindings);
}

/* The next client name that stands in any of the tables, "" after the last; anonymous rows have
 * "". */
static struct err next_client(struct db *db, void *arg)
{
    struct gone_job *job = arg;
    char found[CLIENT_NAME_MAX + 1] = "";
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "SELECT MIN(c) FROM (SELECT MIN(client) AS c FROM delegate_value WHERE client > ?1"
            " UNION ALL SELECT MIN(client) FROM delegate_registration WHERE client > ?1"
            " UNION ALL SELECT MIN(client) FROM delegate_binding WHERE client > ?1)");

    db_bind_text(q, 1, job->after);
    while (db_step(q)) {
        db_col_copy(q, 0, found, sizeof(found));
    }
    TRY(db_finish(q));
    memcpy(job->client, found, sizeof(found));
    return err_ok();
}

static struct err forget_client(struct db *db, void *arg)
{
    const struct gone_job *job = arg;
    AUTO(zone_change_freep) struct zone_change *changes = NULL;
    const struct audit_row row = {"client.gone", "maintenance", job->client, NULL,
                                  "not in the configuration any more; its values and "
                                  "registrations went too"};

    TRY(delegate_change_new(job->d, &changes));
    TRY(values_drop_client(db, job->client, changes));
    TRY(registrations_drop_client(db, job->client));
    TRY(audit_write(db, &row));
    return zone_change_commit(&changes, db, NULL);
}

static struct err forget_clients(struct gone_job *job)
{
    char after[CLIENT_NAME_MAX + 1] = "";

    job->after = after;
    for (;;) {
        TRY(store_read(job->d->store, "delegate.gone", next_client, job));
        if (job->client[0] == '\0') {
            return err_ok();
        }
        if (!access_exists(job->d->access, job->client)) {
            TRY(store_write(job->d->store, "delegate.gone", forget_client, job));
            log_ev(LOG_WARN, "delegate.client.gone", {"client", job->client},
                   {"msg", "the client is not configured any more: its values and registrations "
                           "were removed"});
        }
        memcpy(after, job->client, sizeof(after));
    }
}

static struct err list_bindings(struct db *db, void *arg)
{
    struct gone_job *job = arg;

    mem_free(MOVE(job->bindings));
    return bindings_list(db, NULL, &job->bindings, &job->bindings_n);
}

/* A binding would keep others away from a name that its own client may not have any more. */
static struct err release_lost(struct db *db, void *arg)
{
    const struct gone_job *job = arg;

    for (size_t i = 0; i < job->bindings_n; i++) {
        const struct delegate_binding *b = &job->bindings[i];
        if (access_may_publish(job->d->access, b->client, b->name)) {
            continue;
        }
        const struct audit_row row = {"delegate.release", "maintenance", b->name, NULL,
                                      "its client may not have the name any more"};
        TRY(binding_drop(db, b->name, b->registration));
        TRY(audit_write(db, &row));
    }
    return err_ok();
}

struct err delegate_forget_gone(struct delegate *delegate)
{
    AUTO(gone_clear) struct gone_job job = {.d = delegate};
    bool is_any = false;

    TRY(forget_clients(&job));
    TRY(store_read(delegate->store, "delegate.gone", list_bindings, &job));
    for (size_t i = 0; i < job.bindings_n && !is_any; i++) {
        is_any =
            !access_may_publish(delegate->access, job.bindings[i].client, job.bindings[i].name);
    }
    return is_any ? store_write(delegate->store, "delegate.gone", release_lost, &job) : err_ok();
}
