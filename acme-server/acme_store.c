/* Reading. The schema is in acme_schema.c, moves are in acme_store_move.c. */
#include "acme-server/acme_store.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

void account_row_clear(struct account_row *row)
{
    mem_free(row->jwk);
    mem_free(row->contact);
    mem_free(row->eab);
    *row = (struct account_row){0};
}

void authz_row_clear(struct authz_row *row)
{
    for (size_t i = 0; i < CHALLENGE_TYPES_N; i++) {
        mem_free(row->challenges[i].error);
    }
    *row = (struct authz_row){0};
}

void order_row_clear(struct order_row *row)
{
    mem_free(row->error);
    mem_free(row->names);
    *row = (struct order_row){0};
}

static char *col_strdup(struct db_stmt *q, int column)
{
    size_t len = 0;
    const char *text = db_col_text(q, column, &len);

    return mem_strndup(text, len);
}

static void col_ident(struct db_stmt *q, int name_column, int wildcard_column, struct ident *out)
{
    char base[NAME_TEXT_MAX + 1] = "";

    db_col_copy(q, name_column, base, sizeof(base));
    ident_from_stored(base, db_col_int(q, wildcard_column) != 0, out);
}

/* Columns is_published, by_open, by_client, by_registration from `first` on. */
static void col_publisher(struct db_stmt *q, int first, bool *is_published,
                          struct zone_publisher *by)
{
    *is_published = db_col_int(q, first) != 0;
    by->is_open = db_col_int(q, first + 1) != 0;
    db_col_copy(q, first + 2, by->client, sizeof(by->client));
    db_col_copy(q, first + 3, by->registration, sizeof(by->registration));
}

static struct err account_row_read(struct db_stmt *q, struct account_row *out)
{
    struct account_row row = {0};

    if (!db_step(q)) {
        TRY(db_finish(q));
        FAIL(ERR_NOT_FOUND, "no such account");
    }
    db_col_copy(q, 0, row.id, sizeof(row.id));
    row.status = db_col_int(q, 1) == ACCOUNT_VALID ? ACCOUNT_VALID : ACCOUNT_DEACTIVATED;
    row.terms_agreed = db_col_int(q, 2) != 0;
    row.created_unix = db_col_int(q, 3);
    row.jwk = col_strdup(q, 4);
    row.contact = col_strdup(q, 5);
    db_col_copy(q, 6, row.thumbprint, sizeof(row.thumbprint));
    db_col_copy(q, 7, row.client, sizeof(row.client));
    row.eab = col_strdup(q, 8);
    struct err e = db_finish(q);
    if (e.code == ERR_OK && (row.jwk == NULL || row.contact == NULL || row.eab == NULL)) {
        e = err_set(ERR_NOMEM, __FILE__, __LINE__, "account row: out of memory");
    }
    if (e.code != ERR_OK) {
        account_row_clear(&row);
        return e;
    }
    *out = row;
    return err_ok();
}

struct err acme_db_account_load(struct db *db, const char *id, struct account_row *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT id, status, terms_agreed, created_unix, jwk, contact,"
                       " thumbprint, client, eab FROM acme_account WHERE id = ?1");

    db_bind_text(q, 1, id);
    return account_row_read(q, out);
}

struct err acme_db_account_find(struct db *db, const char *thumbprint, struct account_row *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT id, status, terms_agreed, created_unix, jwk, contact,"
                       " thumbprint, client, eab FROM acme_account WHERE thumbprint = ?1");

    db_bind_text(q, 1, thumbprint);
    return account_row_read(q, out);
}

/* A stored number that is no state reads as the final, harmless one. */
static enum order_st order_state(int64_t stored, int64_t expires_unix)
{
    bool is_past = expires_unix <= clock_unix_s();

    switch (stored) {
    case ORDER_PENDING:
        return is_past ? ORDER_INVALID : ORDER_PENDING;
    case ORDER_READY:
        return is_past ? ORDER_INVALID : ORDER_READY;
    case ORDER_VALID:
        return ORDER_VALID;
    default:
        return ORDER_INVALID;
    }
}

static enum authz_st authz_state(int64_t stored, int64_t expires_unix)
{
    bool is_past = expires_unix <= clock_unix_s();

    switch (stored) {
    case AUTHZ_PENDING:
        return is_past ? AUTHZ_INVALID : AUTHZ_PENDING;
    case AUTHZ_VALID:
        return is_past ? AUTHZ_EXPIRED : AUTHZ_VALID;
    case AUTHZ_DEACTIVATED:
        return AUTHZ_DEACTIVATED;
    case AUTHZ_EXPIRED:
        return AUTHZ_EXPIRED;
    default:
        return AUTHZ_INVALID;
    }
}

static enum challenge_st challenge_state(int64_t stored)
{
    switch (stored) {
    case CHALLENGE_PENDING:
        return CHALLENGE_PENDING;
    case CHALLENGE_PROCESSING:
        return CHALLENGE_PROCESSING;
    case CHALLENGE_VALID:
        return CHALLENGE_VALID;
    default:
        return CHALLENGE_INVALID;
    }
}

static struct err order_names_load(struct db *db, const char *id, struct order_row *row)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT name, is_wildcard, authz_id FROM acme_order_name"
                                       " WHERE order_id = ?1 ORDER BY seq");
    size_t cap = 0;

    db_bind_text(q, 1, id);
    while (db_step(q)) {
        if (row->names_n == cap) {
            cap = cap == 0 ? 4 : cap * 2;
            struct order_name *grown = mem_resize(row->names, cap * sizeof(*grown));
            TRY_PTR(grown);
            row->names = grown;
        }
        struct order_name *name = &row->names[row->names_n++];
        *name = (struct order_name){0};
        col_ident(q, 0, 1, &name->ident);
        db_col_copy(q, 2, name->authz_id, sizeof(name->authz_id));
    }
    return db_finish(q);
}

static struct err order_read(struct db *db, const char *id, struct order_row *row)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "SELECT id, account_id, status, expires_unix, not_before, not_after, profile,"
            " certificate_id, csr_hash, error, replaces FROM acme_order WHERE id = ?1");

    db_bind_text(q, 1, id);
    if (!db_step(q)) {
        TRY(db_finish(q));
        FAIL(ERR_NOT_FOUND, "no such order");
    }
    db_col_copy(q, 0, row->id, sizeof(row->id));
    db_col_copy(q, 1, row->account_id, sizeof(row->account_id));
    row->expires_unix = db_col_int(q, 3);
    row->status = order_state(db_col_int(q, 2), row->expires_unix);
    row->not_before = db_col_int(q, 4);
    row->not_after = db_col_int(q, 5);
    db_col_copy(q, 6, row->profile, sizeof(row->profile));
    db_col_copy(q, 7, row->certificate_id, sizeof(row->certificate_id));
    size_t hash_len = 0;
    const void *hash = db_col_blob(q, 8, &hash_len);
    if (hash != NULL && hash_len == sizeof(row->csr_hash)) {
        memcpy(row->csr_hash, hash, sizeof(row->csr_hash));
        row->has_csr = true;
    }
    row->error = col_strdup(q, 9);
    db_col_copy(q, 10, row->replaces, sizeof(row->replaces));
    TRY(db_finish(q));
    TRY_PTR(row->error);
    return order_names_load(db, id, row);
}

struct err acme_db_order_load(struct db *db, const char *id, struct order_row *out)
{
    struct order_row row = {0};
    struct err e = order_read(db, id, &row);

    if (e.code != ERR_OK) {
        order_row_clear(&row);
        return e;
    }
    *out = row;
    return err_ok();
}

static enum challenge_type method_of(int64_t stored)
{
    return stored > 0 && stored < CHALLENGE_TYPES_N ? (enum challenge_type)stored : CHALLENGE_DNS01;
}

static void col_seed(struct db_stmt *q, int column, uint8_t seed[ACME_SEED_LEN])
{
    size_t len = 0;
    const void *data = db_col_blob(q, column, &len);

    if (data != NULL && len == ACME_SEED_LEN) {
        memcpy(seed, data, ACME_SEED_LEN);
    }
}

static struct err challenges_load(struct db *db, struct authz_row *row)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT type, status, validated_unix, error"
                                       " FROM acme_challenge WHERE authz_id = ?1");

    db_bind_text(q, 1, row->id);
    while (db_step(q)) {
        int64_t type = db_col_int(q, 0);
        if (type < 0 || type >= CHALLENGE_TYPES_N || row->challenges[type].error != NULL) {
            continue;
        }
        struct challenge_row *c = &row->challenges[type];
        c->status = challenge_state(db_col_int(q, 1));
        c->validated_unix = db_col_int(q, 2);
        c->error = col_strdup(q, 3);
        TRY_PTR(c->error);
    }
    return db_finish(q);
}

static struct err authz_read(struct db *db, const char *id, struct authz_row *row)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "SELECT z.id, z.account_id, z.name, z.is_wildcard, z.status, z.expires_unix, z.seed,"
            " z.method, z.is_preauthorized, COALESCE(a.thumbprint, ''), COALESCE(a.client, '')"
            " FROM acme_authz z LEFT JOIN acme_account a ON a.id = z.account_id WHERE z.id = ?1");

    db_bind_text(q, 1, id);
    if (!db_step(q)) {
        TRY(db_finish(q));
        FAIL(ERR_NOT_FOUND, "no such authorization");
    }
    db_col_copy(q, 0, row->id, sizeof(row->id));
    db_col_copy(q, 1, row->account_id, sizeof(row->account_id));
    col_ident(q, 2, 3, &row->ident);
    row->expires_unix = db_col_int(q, 5);
    row->status = authz_state(db_col_int(q, 4), row->expires_unix);
    col_seed(q, 6, row->seed);
    row->method = method_of(db_col_int(q, 7));
    row->is_preauthorized = db_col_int(q, 8) != 0;
    db_col_copy(q, 9, row->thumbprint, sizeof(row->thumbprint));
    db_col_copy(q, 10, row->client, sizeof(row->client));
    TRY(db_finish(q));
    return challenges_load(db, row);
}

struct err acme_db_authz_load(struct db *db, const char *id, struct authz_row *out)
{
    struct authz_row row = {0};
    struct err e = authz_read(db, id, &row);

    if (e.code != ERR_OK) {
        authz_row_clear(&row);
        return e;
    }
    *out = row;
    return err_ok();
}

struct err acme_db_order_proofs(struct db *db, const struct order_row *order,
                                struct order_proof **out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db,
        "SELECT n.name, n.is_wildcard, n.authz_id, COALESCE(a.status, 2),"
        " COALESCE(a.expires_unix, 0), a.is_published, a.by_open, a.by_client, a.by_registration,"
        " a.is_preauthorized, a.method, a.decided_unix FROM acme_order_name n LEFT JOIN acme_authz "
        "a ON a.id = n.authz_id"
        " WHERE n.order_id = ?1 ORDER BY n.seq");
    AUTO(mem_freep) struct order_proof *proofs = mem_array(order->names_n, sizeof(*proofs));
    size_t n = 0;

    TRY_PTR(proofs);
    db_bind_text(q, 1, order->id);
    while (n < order->names_n && db_step(q)) {
        struct order_proof *proof = &proofs[n++];
        col_ident(q, 0, 1, &proof->ident);
        db_col_copy(q, 2, proof->authz_id, sizeof(proof->authz_id));
        proof->is_valid = authz_state(db_col_int(q, 3), db_col_int(q, 4)) == AUTHZ_VALID;
        col_publisher(q, 5, &proof->is_published, &proof->by);
        proof->is_preauthorized = db_col_int(q, 9) != 0;
        proof->method = method_of(db_col_int(q, 10));
        proof->decided_unix = db_col_int(q, 11);
    }
    TRY(db_finish(q));
    if (n != order->names_n) {
        FAIL(ERR_DB, "order %s: %zu of %zu names found", order->id, n, order->names_n);
    }
    *out = MOVE(proofs);
    return err_ok();
}

struct err acme_db_authz_reusable(struct db *db, const char *account_id, const struct ident *ident,
                                  int64_t since_unix, struct authz_reusable *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "SELECT id, is_published, by_open, by_client, by_registration, is_preauthorized"
            " FROM acme_authz WHERE account_id = ?1 AND name = ?2 AND is_wildcard = ?3"
            " AND status = ?4 AND (decided_unix > ?5 OR is_for_later = 1) AND expires_unix > ?6"
            " ORDER BY decided_unix DESC LIMIT 1");

    db_bind_text(q, 1, account_id);
    db_bind_text(q, 2, ident->base);
    db_bind_int(q, 3, ident->is_wildcard ? 1 : 0);
    db_bind_int(q, 4, AUTHZ_VALID);
    db_bind_int(q, 5, since_unix);
    db_bind_int(q, 6, clock_unix_s());
    if (!db_step(q)) {
        TRY(db_finish(q));
        FAIL(ERR_NOT_FOUND, "no authorization to reuse");
    }
    struct authz_reusable found = {0};
    db_col_copy(q, 0, found.id, sizeof(found.id));
    col_publisher(q, 1, &found.is_published, &found.by);
    found.is_preauthorized = db_col_int(q, 5) != 0;
    TRY(db_finish(q));
    *out = found;
    return err_ok();
}

struct err acme_db_orders_list(struct db *db, const char *account_id, const char *after, size_t max,
                               char (*ids)[OBJECT_ID_LEN + 1], size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT id FROM acme_order WHERE account_id = ?1 AND id > ?2"
                       " AND status <> ?3 AND (status = ?4 OR expires_unix > ?5) ORDER BY id"
                       " LIMIT ?6");

    db_bind_text(q, 1, account_id);
    db_bind_text(q, 2, after);
    db_bind_int(q, 3, ORDER_INVALID);
    db_bind_int(q, 4, ORDER_VALID);
    db_bind_int(q, 5, clock_unix_s());
    db_bind_int(q, 6, (int64_t)max);
    *n = 0;
    while (*n < max && db_step(q)) {
        db_col_copy(q, 0, ids[*n], OBJECT_ID_LEN + 1);
        *n += 1;
    }
    return db_finish(q);
}

struct err acme_db_orders_newest(struct db *db, size_t max, char (*ids)[OBJECT_ID_LEN + 1],
                                 size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT id FROM acme_order ORDER BY created_unix DESC, id LIMIT ?1");

    db_bind_int(q, 1, (int64_t)max);
    *n = 0;
    while (*n < max && db_step(q)) {
        db_col_copy(q, 0, ids[*n], OBJECT_ID_LEN + 1);
        *n += 1;
    }
    return db_finish(q);
}

struct err acme_db_count(struct db *db, struct acme_db_counts *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT (SELECT COUNT(*) FROM acme_account WHERE status = 0),"
                       " (SELECT COUNT(*) FROM acme_order WHERE status < 3 AND expires_unix > ?1),"
                       " (SELECT COUNT(*) FROM acme_order WHERE status = 3),"
                       " (SELECT COUNT(*) FROM acme_authz WHERE status = 0 AND expires_unix > ?1)");

    db_bind_int(q, 1, clock_unix_s());
    struct acme_db_counts counts = {0};
    if (db_step(q)) {
        counts.accounts = db_col_int(q, 0);
        counts.orders_pending = db_col_int(q, 1);
        counts.orders_valid = db_col_int(q, 2);
        counts.authz_pending = db_col_int(q, 3);
    }
    TRY(db_finish(q));
    *out = counts;
    return err_ok();
}

struct err acme_db_is_replaced(struct db *db, const char *renewal_id, bool *is_replaced,
                               bool *is_tried)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT COUNT(*), COUNT(*) FILTER (WHERE status = ?2"
                                       " OR (status IN (?3, ?4) AND expires_unix > ?5))"
                                       " FROM acme_order WHERE replaces = ?1");

    db_bind_text(q, 1, renewal_id);
    db_bind_int(q, 2, ORDER_VALID);
    db_bind_int(q, 3, ORDER_PENDING);
    db_bind_int(q, 4, ORDER_READY);
    db_bind_int(q, 5, clock_unix_s());
    *is_replaced = false;
    if (db_step(q)) {
        *is_replaced = db_col_int(q, 1) > 0;
        if (is_tried != NULL) {
            *is_tried = db_col_int(q, 0) > 0;
        }
    }
    return db_finish(q);
}

struct err acme_db_waiting(struct db *db,
                           struct err (*fn)(void *ctx, const struct waiting_row *row), void *ctx)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT z.id, z.account_id, z.name, z.is_wildcard, z.seed, a.thumbprint,"
                       " z.expires_unix, COALESCE(a.client, ''), (SELECT COALESCE(SUM(1 << "
                       "c.type), 0) FROM acme_challenge c"
                       " WHERE c.authz_id = z.id AND c.status = ?2)"
                       " FROM acme_authz z JOIN acme_account a ON a.id = z.account_id"
                       " WHERE z.status = ?3 AND z.expires_unix > ?1");

    db_bind_int(q, 1, clock_unix_s());
    db_bind_int(q, 2, CHALLENGE_PROCESSING);
    db_bind_int(q, 3, AUTHZ_PENDING);
    while (db_step(q)) {
        struct waiting_row row = {0};
        db_col_copy(q, 0, row.authz_id, sizeof(row.authz_id));
        db_col_copy(q, 1, row.account_id, sizeof(row.account_id));
        col_ident(q, 2, 3, &row.ident);
        col_seed(q, 4, row.seed);
        db_col_copy(q, 5, row.thumbprint, sizeof(row.thumbprint));
        row.expires_unix = db_col_int(q, 6);
        db_col_copy(q, 7, row.client, sizeof(row.client));
        for (unsigned i = 0; i < CHALLENGE_TYPES_N; i++) {
            row.is_processing[i] = ((uint64_t)db_col_int(q, 8) >> i & 1u) != 0;
        }
        TRY(fn(ctx, &row));
    }
    return db_finish(q);
}
