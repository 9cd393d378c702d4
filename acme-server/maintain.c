/* Expiry, deletion, removal of clients, counters. */
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "acme-server/record.h"
#include "acme-server/withdraw.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define MAINTAIN_BATCH 256u
#define PRUNE_BATCH 2048u

struct maintain {
    char *error;
    size_t changed_n;
};

static struct err maintain_fn(struct db *db, void *arg)
{
    struct maintain *m = arg;

    int64_t pruned = 0;

    TRY(acme_db_maintain(db, MAINTAIN_BATCH, m->error, &m->changed_n));
    TRY(record_prune(db, RECORD_ORDERS_KEPT, PRUNE_BATCH, &pruned));
    m->changed_n += (size_t)pruned;
    return err_ok();
}

static struct err error_text(enum problem_type type, const char *detail, char **out)
{
    struct problem prob = {0};

    err_ignore(problem_set(&prob, type, 0, "%s", detail));
    return acme_problem_text(&prob, out);
}

struct err acme_maintain(struct acme *acme, size_t *changed_n)
{
    AUTO(mem_freep) char *error = NULL;

    TRY(error_text(PROBLEM_MALFORMED, "The order expired before it was finalized: make a new one.",
                   &error));
    struct maintain m = {.error = error};
    TRY(store_write(acme->store, "acme.maintain", maintain_fn, &m));
    *changed_n = m.changed_n;
    size_t gone_n = 0;
    TRY(acme_sweep_known(acme, &gone_n));
    *changed_n += gone_n;
    return err_ok();
}

/* An account that is bound to the client ends with it, for good: were it only refused, a client of
 * the same name, added again with another secret, would bring it back to life. */
struct ending {
    struct acme *acme;
    const char *error;
};

static struct err end_account(void *ctx, struct db *db, const char *account_id)
{
    const struct ending *ending = ctx;

    TRY(acme_db_account_deactivate(db, ending->acme->delegate, account_id, ending->error));
    return acme_account_forget(db, ending->acme, account_id);
}

struct err acme_client_removed(void *ctx, struct db *db, const char *client)
{
    AUTO(mem_freep) char *error = NULL;
    AUTO(mem_freep) char *account_error = NULL;

    TRY(error_text(PROBLEM_UNAUTHORIZED,
                   "The client that this account is bound to was removed, and the account with it: "
                   "register a new account with the credentials of another client.",
                   &account_error));
    TRY(error_text(PROBLEM_UNAUTHORIZED,
                   "The client that proved a name of this order was removed: make a new order and "
                   "publish with a client that may have the name.",
                   &error));
    struct ending ending = {.acme = ctx, .error = account_error};
    TRY(acme_db_client_accounts(db, client, end_account, &ending));
    return acme_db_client_withdraw(db, client, error);
}

struct gone_job {
    struct acme *acme;
    char after[CLIENT_NAME_MAX + 1];
    char client[CLIENT_NAME_MAX + 1];
};

static struct err gone_next(struct db *db, void *arg)
{
    struct gone_job *job = arg;

    return acme_db_client_next(db, job->after, job->client);
}

static struct err gone_fn(struct db *db, void *arg)
{
    const struct gone_job *job = arg;

    return acme_client_removed(job->acme, db, job->client);
}

struct err acme_forget_gone(struct acme *acme)
{
    struct gone_job job = {.acme = acme};

    for (;;) {
        TRY(store_read(acme->store, "acme.gone", gone_next, &job));
        if (job.client[0] == '\0') {
            return err_ok();
        }
        if (!access_exists(acme->access, job.client)) {
            TRY(store_write(acme->store, "acme.gone", gone_fn, &job));
        }
        memcpy(job.after, job.client, sizeof(job.after));
    }
}

static struct err count_fn(struct db *db, void *arg)
{
    return acme_db_count(db, arg);
}

struct err acme_count(struct acme *acme, struct acme_counts *out)
{
    struct acme_db_counts counts = {0};

    TRY(store_read(acme->store, "acme.count", count_fn, &counts));
    *out = (struct acme_counts){counts.accounts, counts.orders_pending, counts.orders_valid,
                                counts.authz_pending};
    return err_ok();
}
