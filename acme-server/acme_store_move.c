/* Moves of authorizations, and new orders. Each asks the state table and repeats the
 * old state in SQL. */
#include "acme-server/acme_store.h"

#include <string.h>

#include "acme-server/acme.h"
#include "acme-server/acme_store_int.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

static const enum order_st ORDER_UNFINISHED[] = {ORDER_PENDING, ORDER_READY};

/* --- new orders ------------------------------------------------------------------------------- */

/* An authorization that is valid from the start shows the challenge that it did not need. */
static struct err challenge_insert(struct db *db, const char *authz_id, enum challenge_type type,
                                   enum challenge_st status, int64_t validated_unix)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO acme_challenge (authz_id, type, status,"
                                       " validated_unix) VALUES (?1, ?2, ?3, ?4)");

    db_bind_text(q, 1, authz_id);
    db_bind_int(q, 2, type);
    db_bind_int(q, 3, status);
    db_bind_int(q, 4, validated_unix);
    return db_run(q, NULL);
}

static struct err authz_row_insert(struct db *db, const char *account_id,
                                   const struct order_new_name *name, bool is_for_later,
                                   int64_t now)
{
    AUTO(db_stmt_release)
    struct db_stmt *a =
        db_prepare(db, "INSERT INTO acme_authz (id, account_id, name, is_wildcard, status,"
                       " created_unix, expires_unix, due_unix, seed, decided_unix,"
                       " is_preauthorized, by_client, is_for_later)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12)");

    db_bind_text(a, 1, name->authz_id);
    db_bind_text(a, 2, account_id);
    db_bind_text(a, 3, name->ident.base);
    db_bind_int(a, 4, name->ident.is_wildcard ? 1 : 0);
    db_bind_int(a, 5, name->is_preauthorized ? AUTHZ_VALID : AUTHZ_PENDING);
    db_bind_int(a, 6, now);
    db_bind_int(a, 7, now + ACME_AUTHZ_PENDING_S);
    db_bind_blob(a, 8, name->seed, sizeof(name->seed));
    db_bind_int(a, 9, name->is_preauthorized ? now : 0);
    db_bind_int(a, 10, name->is_preauthorized ? 1 : 0);
    db_bind_text(a, 11, name->is_preauthorized ? name->client : NULL);
    db_bind_int(a, 12, is_for_later ? 1 : 0);
    return db_run(a, NULL);
}

/* Who asks may have been deactivated, or got another key, since the request was checked. */
static struct err account_thumbprint(struct db *db, const char *account_id,
                                     char out[SHA256_B64_LEN + 1])
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT thumbprint FROM acme_account WHERE id = ?1 AND status = ?2");

    db_bind_text(q, 1, account_id);
    db_bind_int(q, 2, ACCOUNT_VALID);
    if (!db_step(q)) {
        TRY(db_finish(q));
        FAIL(ERR_BAD_STATE, "the account is not valid any more");
    }
    db_col_copy(q, 0, out, SHA256_B64_LEN + 1);
    return db_finish(q);
}

struct new_authz {
    struct delegate *delegate;
    const char *account_id;
    char thumbprint[SHA256_B64_LEN + 1];
    bool is_for_later;
};

static struct err authz_insert(struct db *db, const struct new_authz *to,
                               const struct order_new_name *name)
{
    int64_t now = clock_unix_s();
    char token[ACME_TOKEN_LEN + 1];
    struct expectation x = {
        .delegate = to->delegate, .ident = name->ident, .expires_unix = now + ACME_AUTHZ_PENDING_S};

    TRY(authz_row_insert(db, to->account_id, name, to->is_for_later, now));
    if (name->is_preauthorized) {
        return challenge_insert(db, name->authz_id, CHALLENGE_DNS01, CHALLENGE_VALID, now);
    }
    if (name->ident.is_ip) {
        return err_ok();
    }
    TRY(challenge_token(name->seed, CHALLENGE_DNS01, token));
    TRY(challenge_digest(token, to->thumbprint, x.digest));
    return acme_db_expect(db, &x);
}

struct err acme_db_authz_insert(struct db *db, struct delegate *delegate, const char *account_id,
                                const struct order_new_name *name)
{
    struct new_authz to = {.delegate = delegate, .account_id = account_id, .is_for_later = true};

    TRY(account_thumbprint(db, account_id, to.thumbprint));
    return authz_insert(db, &to, name);
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
                       " due_unix, not_before, not_after, profile, replaces)"
                       " VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)");

    db_bind_text(q, 1, order->id);
    db_bind_text(q, 2, order->account_id);
    db_bind_int(q, 3, order->status);
    db_bind_int(q, 4, now);
    db_bind_int(q, 5, order->expires_unix);
    db_bind_int(q, 6, order->not_before);
    db_bind_int(q, 7, order->not_after);
    db_bind_text(q, 8, order->profile);
    db_bind_text(q, 9, order->replaces[0] == '\0' ? NULL : order->replaces);
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
    struct new_authz to = {.delegate = delegate, .account_id = order->account_id};

    TRY(account_thumbprint(db, order->account_id, to.thumbprint));
    order->expires_unix = now + ACME_ORDER_LIFETIME_S;
    if (order->replaces[0] != '\0') {
        /* Again, in the writer: two orders at once must not both replace one certificate. */
        bool is_replaced = false;
        TRY(acme_db_is_replaced(db, order->replaces, &is_replaced, NULL));
        if (is_replaced) {
            FAIL(ERR_CONFLICT, "the certificate is replaced by another order");
        }
    }
    for (size_t i = 0; i < order->names_n; i++) {
        bool is_reused = false;
        if (names[i].reuse_id[0] != '\0') {
            TRY(authz_still_valid(db, names[i].reuse_id, now, &order->expires_unix, &is_reused));
        }
        if (!is_reused) {
            TRY(authz_insert(db, &to, &names[i]));
            is_ready = is_ready && names[i].is_preauthorized;
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

struct err acme_db_challenge_start(struct db *db, const char *authz_id, enum challenge_type type)
{
    enum challenge_st to = CHALLENGE_PENDING;
    int64_t changed = 0;

    TRY(challenge_next(CHALLENGE_PENDING, CHALLENGE_EV_STARTED, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO acme_challenge (authz_id, type, status)"
                       " SELECT id, ?2, ?3 FROM acme_authz WHERE id = ?1 AND status = ?4"
                       " ON CONFLICT DO NOTHING");
    db_bind_text(q, 1, authz_id);
    db_bind_int(q, 2, type);
    db_bind_int(q, 3, to);
    db_bind_int(q, 4, AUTHZ_PENDING);
    TRY(db_run(q, &changed));
    if (changed != 1) {
        FAIL(ERR_BAD_STATE, "challenge: started or decided already");
    }
    return err_ok();
}

/* A failure ends only what the client has asked for: a challenge whose start could not be stored
 * stays pending. */
static struct err challenge_decide(struct db *db, const struct authz_decision *d, int64_t now)
{
    enum challenge_ev event = d->is_valid ? CHALLENGE_EV_SUCCEEDED : CHALLENGE_EV_FAILED;
    enum challenge_st to = CHALLENGE_INVALID;
    int64_t changed = 0;

    TRY(challenge_next(CHALLENGE_PROCESSING, event, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_challenge SET status = ?4, validated_unix = ?5, error = ?6"
                       " WHERE authz_id = ?1 AND type = ?2 AND status = ?3");
    db_bind_text(q, 1, d->authz_id);
    db_bind_int(q, 2, d->type);
    db_bind_int(q, 3, CHALLENGE_PROCESSING);
    db_bind_int(q, 4, to);
    db_bind_int(q, 5, d->is_valid ? now : 0);
    db_bind_text(q, 6, d->error_json);
    TRY(db_run(q, &changed));
    if (changed == 1) {
        return err_ok();
    }
    TRY(challenge_next(CHALLENGE_PENDING, event, &to)); /* ERR_BAD_STATE for a failure */
    struct err e = challenge_insert(db, d->authz_id, d->type, to, now);
    if (e.code == ERR_CONFLICT) {
        FAIL(ERR_BAD_STATE, "challenge: decided already");
    }
    return e;
}

static struct err authz_result(struct db *db, const struct authz_decision *d, int64_t now)
{
    enum authz_st to = AUTHZ_INVALID;

    TRY(authz_next(AUTHZ_PENDING, d->is_valid ? AUTHZ_EV_SUCCEEDED : AUTHZ_EV_FAILED, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_authz SET status = ?3, decided_unix = ?4,"
                       " expires_unix = MIN(MAX(expires_unix, ?5), ?13),"
                       " due_unix = CASE WHEN ?6 THEN MIN(MAX(expires_unix, ?5), ?13) ELSE ?7 END,"
                       " is_published = ?8, by_open = ?9, by_client = ?10, by_registration = ?11,"
                       " method = ?12, is_preauthorized = ?14 WHERE id = ?1 AND status = ?2 AND "
                       "expires_unix > ?4");
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
    db_bind_int(q, 12, d->type);
    db_bind_int(q, 13, d->until_unix > 0 ? d->until_unix : INT64_MAX);
    db_bind_int(q, 14, d->is_preauthorized ? 1 : 0);
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
    if (decision->type == CHALLENGE_DNS01) {
        TRY(delegate_decided(delegate, db, &decision->ident, decision->digest, decision->is_valid));
    }
    return acme_db_forget(db, delegate, decision->digest);
}

struct err acme_db_authz_deactivate(struct db *db, struct delegate *delegate,
                                    const struct authz_row *authz, const char *error_json)
{
    enum authz_st to = AUTHZ_DEACTIVATED;
    char token[ACME_TOKEN_LEN + 1];
    char digest[CHALLENGE_DIGEST_LEN + 1];

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
    TRY(challenge_token(authz->seed, CHALLENGE_DNS01, token));
    TRY(challenge_digest(token, authz->thumbprint, digest));
    return acme_db_forget(db, delegate, digest);
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

static struct err client_authzs(struct db *db, const char *client, char (*ids)[OBJECT_ID_LEN + 1],
                                size_t max, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT id FROM acme_authz WHERE by_client = ?1 AND status = ?2 LIMIT ?3");

    db_bind_text(q, 1, client);
    db_bind_int(q, 2, AUTHZ_VALID);
    db_bind_int(q, 3, (int64_t)max);
    *n = 0;
    while (*n < max && db_step(q)) {
        db_col_copy(q, 0, ids[*n], OBJECT_ID_LEN + 1);
        *n += 1;
    }
    return db_finish(q);
}

struct err acme_db_client_withdraw(struct db *db, const char *client, const char *error_json)
{
    for (;;) {
        char ids[256][OBJECT_ID_LEN + 1] = {{0}};
        size_t n = 0;
        TRY(client_authzs(db, client, ids, ARRAY_N(ids), &n));
        if (n == 0) {
            return err_ok();
        }
        for (size_t i = 0; i < n; i++) {
            TRY(acme_db_authz_withdraw(db, ids[i], error_json));
        }
    }
}
