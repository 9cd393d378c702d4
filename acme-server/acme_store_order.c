/* How orders end, and maintenance. */
#include "acme-server/acme_store.h"

#include "acme-server/acme.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

static const enum order_st UNFINISHED[] = {ORDER_PENDING, ORDER_READY};

struct err acme_db_order_issued(struct db *db, const char *id, const char *certificate_id,
                                const uint8_t csr_hash[SHA256_LEN], int64_t not_after)
{
    enum order_st to = ORDER_READY;

    TRY(order_next(ORDER_READY, ORDER_EV_ISSUED, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_order SET status = ?3, certificate_id = ?4, csr_hash = ?5,"
                       " due_unix = ?6 WHERE id = ?1 AND status = ?2 AND expires_unix > ?7");
    db_bind_text(q, 1, id);
    db_bind_int(q, 2, ORDER_READY);
    db_bind_int(q, 3, to);
    db_bind_text(q, 4, certificate_id);
    db_bind_blob(q, 5, csr_hash, SHA256_LEN);
    db_bind_int(q, 6, not_after + ACME_KEEP_DECIDED_S);
    db_bind_int(q, 7, clock_unix_s());
    return acme_db_run_one(q, "order");
}

static struct err order_end(struct db *db, const char *id, enum order_st from, enum order_ev event,
                            const char *error_json, int64_t *changed)
{
    enum order_st to = ORDER_INVALID;

    TRY(order_next(from, event, &to));
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "UPDATE acme_order SET status = ?3, error = ?4, due_unix = ?5"
                       " WHERE id = ?1 AND status = ?2");
    db_bind_text(q, 1, id);
    db_bind_int(q, 2, from);
    db_bind_int(q, 3, to);
    db_bind_text(q, 4, error_json);
    db_bind_int(q, 5, clock_unix_s() + ACME_KEEP_DECIDED_S);
    return db_run(q, changed);
}

struct err acme_db_order_fail(struct db *db, const char *id, const char *error_json)
{
    int64_t changed = 0;

    for (size_t i = 0; i < ARRAY_N(UNFINISHED) && changed == 0; i++) {
        TRY(order_end(db, id, UNFINISHED[i], ORDER_EV_FAILED, error_json, &changed));
    }
    if (changed != 1) {
        FAIL(ERR_BAD_STATE, "order: ended already");
    }
    return err_ok();
}

struct err acme_db_client_next(struct db *db, const char *after, char client[CLIENT_NAME_MAX + 1])
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT MIN(name) FROM (SELECT MIN(by_client) AS name FROM acme_authz"
                       " WHERE by_client > ?1 UNION ALL SELECT MIN(client) FROM acme_account"
                       " WHERE client > ?1 AND status = 0)");

    db_bind_text(q, 1, after);
    client[0] = '\0';
    while (db_step(q)) {
        db_col_copy(q, 0, client, CLIENT_NAME_MAX + 1);
    }
    return db_finish(q);
}

/* --- maintenance ------------------------------------------------------------------------------ */

struct due_row {
    char id[OBJECT_ID_LEN + 1];
    int64_t status;
};

static struct err due_list(struct db_stmt *q, size_t max, struct due_row *rows, size_t *n)
{
    db_bind_int(q, 1, clock_unix_s());
    db_bind_int(q, 2, (int64_t)max);
    *n = 0;
    while (*n < max && db_step(q)) {
        db_col_copy(q, 0, rows[*n].id, sizeof(rows[0].id));
        rows[*n].status = db_col_int(q, 1);
        *n += 1;
    }
    return db_finish(q);
}

static struct err order_due(struct db *db, const struct due_row *row, const char *error_json)
{
    if (row->status == ORDER_PENDING || row->status == ORDER_READY) {
        int64_t changed = 0;
        return order_end(db, row->id, (enum order_st)row->status, ORDER_EV_EXPIRED, error_json,
                         &changed);
    }
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM acme_order WHERE id = ?1");
    db_bind_text(q, 1, row->id);
    return db_run(q, NULL);
}

static struct err authz_due(struct db *db, const struct due_row *row)
{
    if (row->status == AUTHZ_PENDING || row->status == AUTHZ_VALID) {
        enum authz_st to = AUTHZ_EXPIRED;
        TRY(authz_next((enum authz_st)row->status, AUTHZ_EV_EXPIRED, &to));
        AUTO(db_stmt_release)
        struct db_stmt *q = db_prepare(db, "UPDATE acme_authz SET status = ?3, due_unix = ?4"
                                           " WHERE id = ?1 AND status = ?2");
        db_bind_text(q, 1, row->id);
        db_bind_int(q, 2, row->status);
        db_bind_int(q, 3, to);
        db_bind_int(q, 4, clock_unix_s() + ACME_KEEP_DECIDED_S);
        return db_run(q, NULL);
    }
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM acme_authz WHERE id = ?1");
    db_bind_text(q, 1, row->id);
    return db_run(q, NULL);
}

struct err acme_db_maintain(struct db *db, size_t max, const char *error_json, size_t *changed_n)
{
    AUTO(mem_freep) struct due_row *rows = mem_array(max, sizeof(*rows));
    size_t orders_n = 0;
    size_t authz_n = 0;

    TRY_PTR(rows);
    AUTO(db_stmt_release)
    struct db_stmt *orders = db_prepare(db, "SELECT id, status FROM acme_order WHERE due_unix <= ?1"
                                            " ORDER BY due_unix LIMIT ?2");
    TRY(due_list(orders, max, rows, &orders_n));
    for (size_t i = 0; i < orders_n; i++) {
        TRY(order_due(db, &rows[i], error_json));
    }
    AUTO(db_stmt_release)
    struct db_stmt *authzs = db_prepare(db, "SELECT id, status FROM acme_authz WHERE due_unix <= ?1"
                                            " ORDER BY due_unix LIMIT ?2");
    TRY(due_list(authzs, max, rows, &authz_n));
    for (size_t i = 0; i < authz_n; i++) {
        TRY(authz_due(db, &rows[i]));
    }
    *changed_n = orders_n + authz_n;
    return err_ok();
}
