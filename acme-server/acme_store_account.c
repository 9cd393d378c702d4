/* Moves of accounts, and what delegate hears once a transaction is durable. */
#include "acme-server/acme_store_int.h"

#include <string.h>

#include "acme-server/acme.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

static const enum order_st ORDER_UNFINISHED[] = {ORDER_PENDING, ORDER_READY};
static const enum authz_st AUTHZ_LIVE[] = {AUTHZ_PENDING, AUTHZ_VALID};

struct err acme_db_run_one(struct db_stmt *q, const char *what)
{
    int64_t changed = 0;

    TRY(db_run(q, &changed));
    if (changed != 1) {
        FAIL(ERR_BAD_STATE, "%s: the object changed meanwhile", what);
    }
    return err_ok();
}

static void expect_hook(void *arg)
{
    const struct expectation *x = arg;

    delegate_expect(x->delegate, &x->ident, x->digest, x->expires_unix);
}

static void forget_hook(void *arg)
{
    const struct expectation *x = arg;

    delegate_forget(x->delegate, x->digest);
}

static struct err on_commit(struct db *db, void (*hook)(void *), const struct expectation *x)
{
    AUTO(mem_freep) struct expectation *copy = mem_dup(x, sizeof(*x));

    TRY_PTR(copy);
    TRY(db_on_commit(db, hook, mem_free, copy));
    (void)MOVE(copy);
    return err_ok();
}

struct err acme_db_expect(struct db *db, const struct expectation *x)
{
    return on_commit(db, expect_hook, x);
}

struct err acme_db_forget(struct db *db, struct delegate *delegate, const char *digest)
{
    struct expectation x = {.delegate = delegate};

    if (digest[0] == '\0') {
        return err_ok();
    }
    memcpy(x.digest, digest, sizeof(x.digest));
    return on_commit(db, forget_hook, &x);
}

/* --- accounts --------------------------------------------------------------------------------- */

struct err acme_db_account_insert(struct db *db, struct account_row *row, bool *is_new)
{
    struct account_row found = {0};
    struct err e = acme_db_account_find(db, row->thumbprint, &found);

    if (e.code == ERR_OK) {
        account_row_clear(row);
        *row = found;
        *is_new = false;
        return e;
    }
    if (e.code != ERR_NOT_FOUND) {
        return e;
    }
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO acme_account (id, thumbprint, jwk, status,"
                                       " contact, terms_agreed, created_unix, client, eab)"
                                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    db_bind_text(q, 1, row->id);
    db_bind_text(q, 2, row->thumbprint);
    db_bind_text(q, 3, row->jwk);
    db_bind_int(q, 4, row->status);
    db_bind_text(q, 5, row->contact);
    db_bind_int(q, 6, row->terms_agreed ? 1 : 0);
    db_bind_int(q, 7, row->created_unix);
    db_bind_text(q, 8, row->client[0] == '\0' ? NULL : row->client);
    db_bind_text(q, 9, row->eab);
    TRY(db_run(q, NULL));
    *is_new = true;
    return err_ok();
}

struct err acme_db_account_contact(struct db *db, const char *id, const char *contact)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_account SET contact = ?2 WHERE id = ?1 AND status = ?3");

    db_bind_text(q, 1, id);
    db_bind_text(q, 2, contact);
    db_bind_int(q, 3, ACCOUNT_VALID);
    return acme_db_run_one(q, "account");
}

/* Calls fn for every pending authorization of the account, with its dns-01 digest under
 * `thumbprint`. */
struct pending {
    struct delegate *delegate;
    const char *account_id;
    const char *thumbprint;
    struct err (*fn)(struct db *db, const struct expectation *x);
};

static struct err account_each_pending(struct db *db, const struct pending *p)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT seed, name, is_wildcard, expires_unix FROM acme_authz"
                       " WHERE account_id = ?1 AND status = ?2 AND seed IS NOT NULL");

    db_bind_text(q, 1, p->account_id);
    db_bind_int(q, 2, AUTHZ_PENDING);
    while (db_step(q)) {
        struct expectation x = {.delegate = p->delegate, .expires_unix = db_col_int(q, 3)};
        char token[ACME_TOKEN_LEN + 1];
        size_t len = 0;
        const uint8_t *seed = db_col_blob(q, 0, &len);
        ident_from_stored(db_col_text(q, 1, NULL), db_col_int(q, 2) != 0, &x.ident);
        if (len != ACME_SEED_LEN || x.ident.is_ip) {
            continue;
        }
        TRY(challenge_token(seed, CHALLENGE_DNS01, token));
        TRY(challenge_digest(token, p->thumbprint, x.digest));
        TRY(p->fn(db, &x));
    }
    return db_finish(q);
}

static struct err pending_forget(struct db *db, const struct expectation *x)
{
    return acme_db_forget(db, x->delegate, x->digest);
}

struct err acme_db_account_rekey(struct db *db, struct delegate *delegate,
                                 const struct account_row *to, const char *from, char *holder)
{
    AUTO(account_row_clear) struct account_row found = {0};
    struct err e = acme_db_account_find(db, to->thumbprint, &found);

    if (e.code == ERR_OK) {
        memcpy(holder, found.id, sizeof(found.id));
        FAIL(ERR_CONFLICT, "the new key has an account");
    }
    if (e.code != ERR_NOT_FOUND) {
        return e;
    }
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE acme_account SET thumbprint = ?4, jwk = ?5"
                                       " WHERE id = ?1 AND status = ?2 AND thumbprint = ?3");
    db_bind_text(q, 1, to->id);
    db_bind_int(q, 2, ACCOUNT_VALID);
    db_bind_text(q, 3, from);
    db_bind_text(q, 4, to->thumbprint);
    db_bind_text(q, 5, to->jwk);
    TRY(acme_db_run_one(q, "account"));
    const struct pending old = {delegate, to->id, from, pending_forget};
    const struct pending new = {delegate, to->id, to->thumbprint, acme_db_expect};
    TRY(account_each_pending(db, &old));
    return account_each_pending(db, &new);
}

static struct err account_end_orders(struct db *db, const char *id, const char *error_json)
{
    for (size_t i = 0; i < ARRAY_N(ORDER_UNFINISHED); i++) {
        enum order_st to = ORDER_INVALID;
        TRY(order_next(ORDER_UNFINISHED[i], ORDER_EV_FAILED, &to));
        AUTO(db_stmt_release)
        struct db_stmt *q =
            db_prepare(db, "UPDATE acme_order SET status = ?3, error = ?4, due_unix = ?5"
                           " WHERE account_id = ?1 AND status = ?2");
        db_bind_text(q, 1, id);
        db_bind_int(q, 2, ORDER_UNFINISHED[i]);
        db_bind_int(q, 3, to);
        db_bind_text(q, 4, error_json);
        db_bind_int(q, 5, clock_unix_s() + ACME_KEEP_DECIDED_S);
        TRY(db_run(q, NULL));
    }
    return err_ok();
}

struct err acme_db_account_deactivate(struct db *db, struct delegate *delegate, const char *id,
                                      const char *error_json)
{
    AUTO(account_row_clear) struct account_row account = {0};
    enum account_st to = ACCOUNT_VALID;

    TRY(acme_db_account_load(db, id, &account));
    TRY(account_next(ACCOUNT_VALID, ACCOUNT_EV_DEACTIVATE, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_account SET status = ?3 WHERE id = ?1 AND status = ?2");
    db_bind_text(q, 1, id);
    db_bind_int(q, 2, ACCOUNT_VALID);
    db_bind_int(q, 3, to);
    TRY(acme_db_run_one(q, "account"));
    const struct pending pending = {delegate, id, account.thumbprint, pending_forget};
    TRY(account_each_pending(db, &pending));
    for (size_t i = 0; i < ARRAY_N(AUTHZ_LIVE); i++) {
        enum authz_st next = AUTHZ_DEACTIVATED;
        TRY(authz_next(AUTHZ_LIVE[i], AUTHZ_EV_DEACTIVATED, &next));
        AUTO(db_stmt_release)
        struct db_stmt *u = db_prepare(db, "UPDATE acme_authz SET status = ?3, due_unix = ?4"
                                           " WHERE account_id = ?1 AND status = ?2");
        db_bind_text(u, 1, id);
        db_bind_int(u, 2, AUTHZ_LIVE[i]);
        db_bind_int(u, 3, next);
        db_bind_int(u, 4, clock_unix_s() + ACME_KEEP_DECIDED_S);
        TRY(db_run(u, NULL));
    }
    TRY(delegate_persist_remove_account(delegate, db, id));
    return account_end_orders(db, id, error_json);
}

struct err acme_db_client_accounts(struct db *db, const char *client,
                                   struct err (*fn)(void *ctx, struct db *db,
                                                    const char *account_id),
                                   void *ctx)
{
    char after[OBJECT_ID_LEN + 1] = "";

    for (;;) {
        char id[OBJECT_ID_LEN + 1] = "";
        AUTO(db_stmt_release)
        struct db_stmt *q = db_prepare(db, "SELECT MIN(id) FROM acme_account"
                                           " WHERE client = ?1 AND id > ?2 AND status = ?3");
        db_bind_text(q, 1, client);
        db_bind_text(q, 2, after);
        db_bind_int(q, 3, ACCOUNT_VALID);
        if (db_step(q)) {
            db_col_copy(q, 0, id, sizeof(id));
        }
        TRY(db_finish(q));
        if (id[0] == '\0') {
            return err_ok();
        }
        TRY(fn(ctx, db, id));
        memcpy(after, id, sizeof(after));
    }
}
