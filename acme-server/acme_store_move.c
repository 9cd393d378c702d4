/* Moves of accounts and authorizations, and new orders. Each asks the state table and repeats the
 * old state in SQL. */
#include "acme-server/acme_store.h"

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

/* --- what delegate hears once the transaction is durable -------------------------------------- */

struct expectation {
    struct delegate *delegate;
    struct ident ident;
    char digest[TXT_VALUE_LEN + 1];
    int64_t expires_unix;
};

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

static struct err forget_on_commit(struct db *db, struct delegate *delegate, const char *digest)
{
    struct expectation x = {.delegate = delegate};

    memcpy(x.digest, digest, sizeof(x.digest));
    return on_commit(db, forget_hook, &x);
}

/* --- accounts --------------------------------------------------------------------------------- */

struct err acme_db_account_insert(struct db *db, const char *thumbprint, struct account_row *row,
                                  bool *is_new)
{
    struct account_row found = {0};
    struct err e = acme_db_account_find(db, thumbprint, &found);

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
                                       " contact, terms_agreed, created_unix)"
                                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    db_bind_text(q, 1, row->id);
    db_bind_text(q, 2, thumbprint);
    db_bind_text(q, 3, row->jwk);
    db_bind_int(q, 4, row->status);
    db_bind_text(q, 5, row->contact);
    db_bind_int(q, 6, row->terms_agreed ? 1 : 0);
    db_bind_int(q, 7, row->created_unix);
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

static struct err account_forget_pending(struct db *db, struct delegate *delegate, const char *id)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT c.digest FROM acme_authz a"
                                       " JOIN acme_challenge c ON c.authz_id = a.id"
                                       " WHERE a.account_id = ?1 AND a.status = ?2");

    db_bind_text(q, 1, id);
    db_bind_int(q, 2, AUTHZ_PENDING);
    while (db_step(q)) {
        char digest[TXT_VALUE_LEN + 1] = {0};
        db_col_copy(q, 0, digest, sizeof(digest));
        TRY(forget_on_commit(db, delegate, digest));
    }
    return db_finish(q);
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
    enum account_st to = ACCOUNT_VALID;

    TRY(account_next(ACCOUNT_VALID, ACCOUNT_EV_DEACTIVATE, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_account SET status = ?3 WHERE id = ?1 AND status = ?2");
    db_bind_text(q, 1, id);
    db_bind_int(q, 2, ACCOUNT_VALID);
    db_bind_int(q, 3, to);
    TRY(acme_db_run_one(q, "account"));
    TRY(account_forget_pending(db, delegate, id));
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
    return account_end_orders(db, id, error_json);
}

/* --- new orders ------------------------------------------------------------------------------- */

static struct err authz_insert(struct db *db, struct delegate *delegate, const char *account_id,
                               const struct order_new_name *name, int64_t now)
{
    int64_t expires = now + ACME_AUTHZ_PENDING_S;
    AUTO(db_stmt_release)
    struct db_stmt *a =
        db_prepare(db, "INSERT INTO acme_authz (id, account_id, name, is_wildcard, status,"
                       " created_unix, expires_unix, due_unix)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)");

    db_bind_text(a, 1, name->authz_id);
    db_bind_text(a, 2, account_id);
    db_bind_text(a, 3, name->ident.base);
    db_bind_int(a, 4, name->ident.is_wildcard ? 1 : 0);
    db_bind_int(a, 5, AUTHZ_PENDING);
    db_bind_int(a, 6, now);
    db_bind_int(a, 7, expires);
    TRY(db_run(a, NULL));
    AUTO(db_stmt_release)
    struct db_stmt *c =
        db_prepare(db, "INSERT INTO acme_challenge (id, authz_id, type, status, token, digest)"
                       " VALUES (?1, ?2, 'dns-01', ?3, ?4, ?5)");
    db_bind_text(c, 1, name->challenge_id);
    db_bind_text(c, 2, name->authz_id);
    db_bind_int(c, 3, CHALLENGE_PENDING);
    db_bind_text(c, 4, name->token);
    db_bind_text(c, 5, name->digest);
    TRY(db_run(c, NULL));
    struct expectation x = {.delegate = delegate, .ident = name->ident, .expires_unix = expires};
    memcpy(x.digest, name->digest, sizeof(x.digest));
    return on_commit(db, expect_hook, &x);
}

/* Is the authorization still good for a new order? Shortens *expires to the authorization's. */
static struct err authz_still_valid(struct db *db, const char *id, int64_t now, int64_t *expires,
                                    bool *is_valid)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT expires_unix FROM acme_authz WHERE id = ?1 AND status = ?2"
                       " AND expires_unix > ?3");

    db_bind_text(q, 1, id);
    db_bind_int(q, 2, AUTHZ_VALID);
    db_bind_int(q, 3, now);
    *is_valid = db_step(q);
    if (*is_valid && db_col_int(q, 0) < *expires) {
        *expires = db_col_int(q, 0);
    }
    return db_finish(q);
}

static struct err order_row_insert(struct db *db, const struct order_row *order, int64_t now)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO acme_order (id, account_id, status, created_unix, expires_unix,"
                       " due_unix, not_before, not_after, profile)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8)");

    db_bind_text(q, 1, order->id);
    db_bind_text(q, 2, order->account_id);
    db_bind_int(q, 3, order->status);
    db_bind_int(q, 4, now);
    db_bind_int(q, 5, order->expires_unix);
    db_bind_int(q, 6, order->not_before);
    db_bind_int(q, 7, order->not_after);
    db_bind_text(q, 8, order->profile);
    TRY(db_run(q, NULL));
    for (size_t i = 0; i < order->names_n; i++) {
        AUTO(db_stmt_release)
        struct db_stmt *n = db_prepare(
            db, "INSERT INTO acme_order_name (order_id, seq, name, is_wildcard, authz_id)"
                " VALUES (?1, ?2, ?3, ?4, ?5)");
        db_bind_text(n, 1, order->id);
        db_bind_int(n, 2, (int64_t)i);
        db_bind_text(n, 3, order->names[i].ident.base);
        db_bind_int(n, 4, order->names[i].ident.is_wildcard ? 1 : 0);
        db_bind_text(n, 5, order->names[i].authz_id);
        TRY(db_run(n, NULL));
    }
    return err_ok();
}

struct err acme_db_order_insert(struct db *db, struct delegate *delegate,
                                const struct order_new_name *names, struct order_row *order)
{
    int64_t now = clock_unix_s();
    bool is_ready = true;

    order->expires_unix = now + ACME_ORDER_LIFETIME_S;
    for (size_t i = 0; i < order->names_n; i++) {
        bool is_reused = false;
        if (names[i].reuse_id[0] != '\0') {
            TRY(authz_still_valid(db, names[i].reuse_id, now, &order->expires_unix, &is_reused));
        }
        if (!is_reused) {
            TRY(authz_insert(db, delegate, order->account_id, &names[i], now));
            is_ready = false;
        }
        order->names[i].ident = names[i].ident;
        memcpy(order->names[i].authz_id, is_reused ? names[i].reuse_id : names[i].authz_id,
               sizeof(order->names[i].authz_id));
    }
    order->status = ORDER_PENDING;
    if (is_ready) {
        TRY(order_next(ORDER_PENDING, ORDER_EV_AUTHORIZED, &order->status));
    }
    return order_row_insert(db, order, now);
}

/* --- challenges and authorizations ------------------------------------------------------------ */

struct err acme_db_challenge_start(struct db *db, const struct authz_row *authz)
{
    enum challenge_st to = CHALLENGE_PENDING;

    TRY(challenge_next(CHALLENGE_PENDING, CHALLENGE_EV_STARTED, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_challenge SET status = ?3 WHERE id = ?1 AND status = ?2"
                       " AND EXISTS (SELECT 1 FROM acme_authz a"
                       " WHERE a.id = authz_id AND a.status = ?4)");
    db_bind_text(q, 1, authz->dns01.id);
    db_bind_int(q, 2, CHALLENGE_PENDING);
    db_bind_int(q, 3, to);
    db_bind_int(q, 4, AUTHZ_PENDING);
    return acme_db_run_one(q, "challenge");
}

/* A failure ends only what the client has asked for: a challenge whose start could not be stored
 * stays pending. */
static struct err challenge_decide(struct db *db, const struct authz_decision *d, int64_t now)
{
    static const enum challenge_st OPEN[] = {CHALLENGE_PROCESSING, CHALLENGE_PENDING};
    enum challenge_ev event = d->is_valid ? CHALLENGE_EV_SUCCEEDED : CHALLENGE_EV_FAILED;
    int64_t changed = 0;

    for (size_t i = 0; i < ARRAY_N(OPEN) && changed == 0; i++) {
        enum challenge_st to = CHALLENGE_INVALID;
        TRY(challenge_next(OPEN[i], event, &to)); /* ERR_BAD_STATE for a failure while pending */
        AUTO(db_stmt_release)
        struct db_stmt *q =
            db_prepare(db, "UPDATE acme_challenge SET status = ?3, validated_unix = ?4, error = ?5"
                           " WHERE id = ?1 AND status = ?2");
        db_bind_text(q, 1, d->challenge_id);
        db_bind_int(q, 2, OPEN[i]);
        db_bind_int(q, 3, to);
        db_bind_int(q, 4, d->is_valid ? now : 0);
        db_bind_text(q, 5, d->error_json);
        TRY(db_run(q, &changed));
    }
    if (changed != 1) {
        FAIL(ERR_BAD_STATE, "challenge: decided already");
    }
    return err_ok();
}

static struct err authz_result(struct db *db, const struct authz_decision *d, int64_t now)
{
    enum authz_st to = AUTHZ_INVALID;

    TRY(authz_next(AUTHZ_PENDING, d->is_valid ? AUTHZ_EV_SUCCEEDED : AUTHZ_EV_FAILED, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_authz SET status = ?3, decided_unix = ?4,"
                       " expires_unix = MAX(expires_unix, ?5),"
                       " due_unix = CASE WHEN ?6 THEN MAX(expires_unix, ?5) ELSE ?7 END,"
                       " is_published = ?8, by_open = ?9, by_client = ?10, by_registration = ?11"
                       " WHERE id = ?1 AND status = ?2 AND expires_unix > ?4");
    db_bind_text(q, 1, d->authz_id);
    db_bind_int(q, 2, AUTHZ_PENDING);
    db_bind_int(q, 3, to);
    db_bind_int(q, 4, now);
    db_bind_int(q, 5, d->is_valid ? now + d->reuse_s : 0);
    db_bind_int(q, 6, d->is_valid ? 1 : 0);
    db_bind_int(q, 7, now + ACME_KEEP_DECIDED_S);
    db_bind_int(q, 8, d->is_published ? 1 : 0);
    db_bind_int(q, 9, d->by.is_open ? 1 : 0);
    db_bind_text(q, 10, d->by.client[0] == '\0' ? NULL : d->by.client);
    db_bind_text(q, 11, d->by.registration[0] == '\0' ? NULL : d->by.registration);
    return acme_db_run_one(q, "authorization");
}

/* Pending orders whose last authorization became valid. */
static struct err orders_authorized(struct db *db, const char *authz_id)
{
    enum order_st to = ORDER_PENDING;

    TRY(order_next(ORDER_PENDING, ORDER_EV_AUTHORIZED, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_order SET status = ?3 WHERE status = ?2"
                       " AND id IN (SELECT order_id FROM acme_order_name WHERE authz_id = ?1)"
                       " AND NOT EXISTS (SELECT 1 FROM acme_order_name n LEFT JOIN acme_authz a"
                       " ON a.id = n.authz_id"
                       " WHERE n.order_id = acme_order.id AND COALESCE(a.status, -1) <> ?4)");
    db_bind_text(q, 1, authz_id);
    db_bind_int(q, 2, ORDER_PENDING);
    db_bind_int(q, 3, to);
    db_bind_int(q, 4, AUTHZ_VALID);
    return db_run(q, NULL);
}

static struct err orders_failed(struct db *db, const char *authz_id, const char *error_json)
{
    for (size_t i = 0; i < ARRAY_N(ORDER_UNFINISHED); i++) {
        enum order_st to = ORDER_INVALID;
        TRY(order_next(ORDER_UNFINISHED[i], ORDER_EV_FAILED, &to));
        AUTO(db_stmt_release)
        struct db_stmt *q = db_prepare(
            db, "UPDATE acme_order SET status = ?3, error = ?4, due_unix = ?5 WHERE status = ?2"
                " AND id IN (SELECT order_id FROM acme_order_name WHERE authz_id = ?1)");
        db_bind_text(q, 1, authz_id);
        db_bind_int(q, 2, ORDER_UNFINISHED[i]);
        db_bind_int(q, 3, to);
        db_bind_text(q, 4, error_json);
        db_bind_int(q, 5, clock_unix_s() + ACME_KEEP_DECIDED_S);
        TRY(db_run(q, NULL));
    }
    return err_ok();
}

struct err acme_db_authz_decide(struct db *db, struct delegate *delegate,
                                const struct authz_decision *decision)
{
    int64_t now = clock_unix_s();

    TRY(challenge_decide(db, decision, now));
    TRY(authz_result(db, decision, now));
    if (decision->is_valid) {
        TRY(orders_authorized(db, decision->authz_id));
    } else {
        TRY(orders_failed(db, decision->authz_id, decision->error_json));
    }
    TRY(delegate_decided(delegate, db, &decision->ident, decision->digest, decision->is_valid));
    return forget_on_commit(db, delegate, decision->digest);
}

struct err acme_db_authz_deactivate(struct db *db, struct delegate *delegate,
                                    const struct authz_row *authz, const char *error_json)
{
    enum authz_st to = AUTHZ_DEACTIVATED;

    TRY(authz_next(authz->status, AUTHZ_EV_DEACTIVATED, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE acme_authz SET status = ?3, due_unix = ?4"
                                       " WHERE id = ?1 AND status = ?2");
    db_bind_text(q, 1, authz->id);
    db_bind_int(q, 2, authz->status);
    db_bind_int(q, 3, to);
    db_bind_int(q, 4, clock_unix_s() + ACME_KEEP_DECIDED_S);
    TRY(acme_db_run_one(q, "authorization"));
    TRY(orders_failed(db, authz->id, error_json));
    return forget_on_commit(db, delegate, authz->dns01.digest);
}

struct err acme_db_authz_withdraw(struct db *db, const char *authz_id, const char *error_json)
{
    enum authz_st to = AUTHZ_INVALID;

    TRY(authz_next(AUTHZ_VALID, AUTHZ_EV_WITHDRAWN, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE acme_authz SET status = ?3, due_unix = ?4"
                                       " WHERE id = ?1 AND status = ?2");
    db_bind_text(q, 1, authz_id);
    db_bind_int(q, 2, AUTHZ_VALID);
    db_bind_int(q, 3, to);
    db_bind_int(q, 4, clock_unix_s() + ACME_KEEP_DECIDED_S);
    TRY(db_run(q, NULL));
    return orders_failed(db, authz_id, error_json);
}

struct err acme_db_client_withdraw(struct db *db, const char *client, const char *error_json)
{
    for (;;) {
        char ids[256][OBJECT_ID_LEN + 1] = {{0}};
        size_t n = 0;
        AUTO(db_stmt_release)
        struct db_stmt *q = db_prepare(
            db, "SELECT id FROM acme_authz WHERE by_client = ?1 AND status = ?2 LIMIT 256");
        db_bind_text(q, 1, client);
        db_bind_int(q, 2, AUTHZ_VALID);
        while (n < ARRAY_N(ids) && db_step(q)) {
            db_col_copy(q, 0, ids[n++], sizeof(ids[0]));
        }
        TRY(db_finish(q));
        if (n == 0) {
            return err_ok();
        }
        for (size_t i = 0; i < n; i++) {
            TRY(acme_db_authz_withdraw(db, ids[i], error_json));
        }
    }
}
