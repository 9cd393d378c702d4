/* Rows of issued certificates. The issuer's PEM is kept once; a chain is joined when it is asked
 * for. */
#include "ca/ca_private.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

#define PEM_END "-----END CERTIFICATE-----\n"

static const char *const STEPS[] = {
    "CREATE TABLE issuer ("
    " id INTEGER PRIMARY KEY,"
    " fingerprint TEXT NOT NULL UNIQUE,"
    " pem TEXT NOT NULL) STRICT;"
    "CREATE TABLE certificate ("
    " id TEXT NOT NULL PRIMARY KEY,"
    " serial TEXT NOT NULL UNIQUE,"
    " account_id TEXT NOT NULL,"
    " order_id TEXT NOT NULL,"
    " profile TEXT NOT NULL,"
    " not_before INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL,"
    " issuer INTEGER NOT NULL REFERENCES issuer(id),"
    " der BLOB NOT NULL,"
    " created INTEGER NOT NULL) STRICT;",
    "ALTER TABLE certificate ADD COLUMN revoked_unix INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE certificate ADD COLUMN reason INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE certificate ADD COLUMN renew_by_unix INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX certificate_issuer ON certificate(issuer, not_after);"
    /* name_key '': not worked out yet (ca/issuer_store.c). alternate: 0 = not one, else its place
     * among them. */
    "ALTER TABLE issuer ADD COLUMN name_key TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE issuer ADD COLUMN not_after INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE issuer ADD COLUMN alternate INTEGER NOT NULL DEFAULT 0;",
};

const struct store_module CA_STORE_MODULE = {"ca", STEPS, ARRAY_N(STEPS)};

struct err ca_leaf_store(struct db *db, const struct ca_leaf *leaf, const char *certificate_id,
                         const char *account_id, const char *order_id, const char *profile)
{
    int64_t issuer = 0;
    const char *leaf_end = strstr(leaf->chain_pem, PEM_END);

    if (leaf_end == NULL) {
        FAIL(ERR_INTERNAL, "a chain without a certificate");
    }
    TRY(issuer_row(db, leaf_end + strlen(PEM_END), &issuer));
    AUTO(db_stmt_release)
    struct db_stmt *add = db_prepare(
        db, "INSERT INTO certificate(id, serial, account_id, order_id, profile, not_before,"
            " not_after, issuer, der, created) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    db_bind_text(add, 1, certificate_id);
    db_bind_text(add, 2, leaf->serial);
    db_bind_text(add, 3, account_id);
    db_bind_text(add, 4, order_id);
    db_bind_text(add, 5, profile);
    db_bind_int(add, 6, leaf->not_before);
    db_bind_int(add, 7, leaf->not_after);
    db_bind_int(add, 8, issuer);
    db_bind_blob(add, 9, leaf->der, leaf->der_len);
    db_bind_int(add, 10, clock_unix_s());
    return db_run(add, NULL);
}

struct err ca_chain_load(struct db *db, const char *certificate_id, char **chain_pem,
                         char *account_id)
{
    size_t n = 0;

    return ca_chain_load_alternate(db, certificate_id, 0, chain_pem, account_id, &n);
}

struct err ca_count(struct db *db, int64_t *total, int64_t *valid_now)
{
    int64_t now = clock_unix_s();
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "SELECT count(*), count(*) FILTER (WHERE not_before <= ?1 AND"
                       " not_after >= ?1) FROM certificate");

    db_bind_int(q, 1, now);
    if (db_step(q)) {
        *total = db_col_int(q, 0);
        *valid_now = db_col_int(q, 1);
    }
    return db_finish(q);
}
