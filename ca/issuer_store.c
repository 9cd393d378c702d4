/* Rows of issuers: one per chain, kept once; alternates; plans to change an issuer. */
#include "ca/ca_private.h"

#include <string.h>

#include "ca/chain.h"
#include "ca/issuer.h"

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "core/util/token.h"

struct known {
    bool is_known;
    int64_t id, alternate;
};

static struct err find(struct db *db, const char *pem, char fingerprint[2 * SHA256_LEN + 1],
                       struct known *out)
{
    uint8_t digest[SHA256_LEN];

    TRY(sha256(pem, strlen(pem), digest));
    hex_encode(digest, sizeof(digest), fingerprint);
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT id, alternate FROM issuer WHERE fingerprint = ?1");
    db_bind_text(q, 1, fingerprint);
    out->is_known = db_step(q);
    if (out->is_known) {
        out->id = db_col_int(q, 0);
        out->alternate = db_col_int(q, 1);
    }
    return db_finish(q);
}

static struct err add(struct db *db, const char *fingerprint, const struct issuer *issuer,
                      int64_t alternate)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO issuer(fingerprint, pem, name_key, not_after, alternate)"
                       " VALUES(?1, ?2, ?3, ?4, ?5)");

    db_bind_text(q, 1, fingerprint);
    db_bind_text(q, 2, issuer->pem);
    db_bind_text(q, 3, issuer->name_key);
    db_bind_int(q, 4, issuer->not_after);
    db_bind_int(q, 5, alternate);
    return db_run(q, NULL);
}

struct err issuer_row(struct db *db, const char *pem, int64_t *id)
{
    AUTO(issuer_clear) struct issuer issuer = {0};
    char fingerprint[2 * SHA256_LEN + 1];
    struct known known = {0};

    TRY(find(db, pem, fingerprint, &known));
    if (!known.is_known) {
        TRY(issuer_read(pem, &issuer));
        TRY(add(db, fingerprint, &issuer, 0));
        known.id = db_last_rowid(db);
    }
    *id = known.id;
    return err_ok();
}

/* The first row from before there were alternates; *pem NULL when there is none. */
static struct err find_incomplete(struct db *db, int64_t *id, char **pem)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT id, pem FROM issuer WHERE name_key = '' LIMIT 1");

    *pem = NULL;
    if (db_step(q)) {
        *id = db_col_int(q, 0);
        *pem = mem_strdup(db_col_text(q, 1, NULL));
        TRY_PTR(*pem);
    }
    return db_finish(q);
}

static struct err complete_rows(struct db *db)
{
    for (;;) {
        AUTO(mem_freep) char *pem = NULL;
        AUTO(issuer_clear) struct issuer issuer = {0};
        int64_t id = 0;
        TRY(find_incomplete(db, &id, &pem));
        if (pem == NULL) {
            return err_ok();
        }
        if (issuer_read(pem, &issuer).code != ERR_OK) {
            FAIL(ERR_DB, "the stored issuer %lld is damaged", (long long)id);
        }
        AUTO(db_stmt_release)
        struct db_stmt *q =
            db_prepare(db, "UPDATE issuer SET name_key = ?1, not_after = ?2 WHERE id = ?3");
        db_bind_text(q, 1, issuer.name_key);
        db_bind_int(q, 2, issuer.not_after);
        db_bind_int(q, 3, id);
        TRY(db_run(q, NULL));
    }
}

/* Anything issued under the name and key shows what the alternate has to verify. */
static struct err check_against_issued(struct db *db, const struct issuer *issuer)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT c.der FROM issuer i JOIN certificate c"
                                       " ON c.issuer = i.id WHERE i.name_key = ?1 LIMIT 1");

    db_bind_text(q, 1, issuer->name_key);
    if (!db_step(q)) {
        TRY(db_finish(q));
        FAIL(ERR_NOT_FOUND, "no issuer in use has this subject and key");
    }
    size_t len = 0;
    const void *der = db_col_blob(q, 0, &len);
    TRY(issuer_check_leaf(issuer, der, len));
    return db_finish(q);
}

static struct err next_alternate(struct db *db, int64_t *out)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT coalesce(max(alternate), 0) + 1 FROM issuer");

    if (db_step(q)) {
        *out = db_col_int(q, 0);
    }
    return db_finish(q);
}

struct err ca_issuer_add_alternate(struct db *db, const char *issuer_pem)
{
    AUTO(issuer_clear) struct issuer issuer = {0};
    char fingerprint[2 * SHA256_LEN + 1];
    struct known known = {0};
    int64_t alternate = 0;

    TRY(issuer_read(issuer_pem, &issuer));
    if (issuer.not_after <= clock_unix_s()) {
        FAIL(ERR_MALFORMED, "a certificate of this issuer has expired");
    }
    TRY(complete_rows(db));
    TRY(check_against_issued(db, &issuer));
    TRY(find(db, issuer.pem, fingerprint, &known));
    if (known.is_known && known.alternate != 0) {
        return err_ok();
    }
    TRY(next_alternate(db, &alternate));
    if (!known.is_known) {
        return add(db, fingerprint, &issuer, alternate);
    }
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE issuer SET alternate = ?1 WHERE id = ?2");
    db_bind_int(q, 1, alternate);
    db_bind_int(q, 2, known.id);
    return db_run(q, NULL);
}

struct err ca_issuer_renew_by(struct db *db, const char *issuer_pem, int64_t renew_by_unix,
                              int64_t *n)
{
    AUTO(issuer_clear) struct issuer issuer = {0};
    char fingerprint[2 * SHA256_LEN + 1];
    struct known known = {0};

    *n = 0;
    TRY(issuer_read(issuer_pem, &issuer));
    TRY(find(db, issuer.pem, fingerprint, &known));
    if (!known.is_known) {
        return err_ok();
    }
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE certificate SET renew_by_unix = ?1 WHERE issuer = ?2"
                                       " AND not_after > ?3 AND revoked_unix = 0");
    db_bind_int(q, 1, renew_by_unix);
    db_bind_int(q, 2, known.id);
    db_bind_int(q, 3, clock_unix_s());
    return db_run(q, n);
}

/* A certificate and the issuer that signed it. */
struct signed_by {
    uint8_t *der;
    size_t der_len;
    char *pem;
    int64_t issuer;
    char name_key[2 * SHA256_LEN + 1];
};

static void signed_by_clear(struct signed_by *row)
{
    mem_free(row->der);
    mem_free(row->pem);
}

static struct err load(struct db *db, const char *certificate_id, struct signed_by *out,
                       char *account_id)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT c.der, i.pem, i.id, i.name_key, c.account_id"
                                       " FROM certificate c JOIN issuer i ON i.id = c.issuer"
                                       " WHERE c.id = ?1");

    db_bind_text(q, 1, certificate_id);
    if (!db_step(q)) {
        TRY(db_finish(q));
        FAIL(ERR_NOT_FOUND, "no certificate has this id");
    }
    const void *der = db_col_blob(q, 0, &out->der_len);
    out->der = mem_dup(der, out->der_len);
    out->pem = mem_strdup(db_col_text(q, 1, NULL));
    TRY_PTR(out->der);
    TRY_PTR(out->pem);
    out->issuer = db_col_int(q, 2);
    db_col_copy(q, 3, out->name_key, sizeof(out->name_key));
    db_col_copy(q, 4, account_id, OBJECT_ID_LEN + 1);
    return db_finish(q);
}

/* *n counts the chains; row->pem becomes that of chain `index`. */
static struct err choose_chain(struct db *db, size_t index, struct signed_by *row, size_t *n)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT pem FROM issuer WHERE name_key = ?1 AND name_key <> '' AND id <> ?2"
                       " AND alternate > 0 AND not_after > ?3 ORDER BY alternate");

    db_bind_text(q, 1, row->name_key);
    db_bind_int(q, 2, row->issuer);
    db_bind_int(q, 3, clock_unix_s());
    *n = 1;
    while (db_step(q)) {
        if (*n == index) {
            mem_free(row->pem);
            row->pem = mem_strdup(db_col_text(q, 0, NULL));
            TRY_PTR(row->pem);
        }
        (*n)++;
    }
    return db_finish(q);
}

struct err ca_chain_load_alternate(struct db *db, const char *certificate_id, size_t index,
                                   char **chain_pem, char *account_id, size_t *n)
{
    AUTO(signed_by_clear) struct signed_by row = {0};

    *n = 0;
    TRY(load(db, certificate_id, &row, account_id));
    TRY(choose_chain(db, index, &row, n));
    if (index >= *n) {
        FAIL(ERR_NOT_FOUND, "the certificate has %zu chains", *n);
    }
    return chain_join(row.der, row.der_len, row.pem, chain_pem);
}
