/* Rows of issued certificates: looking them up and revoking them. */
#include "ca/ca_private.h"

#include <string.h>

#include "ca/cert_view.h"
#include "ca/renewal.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

#define SELECT                                                                                     \
    "SELECT id, serial, account_id, order_id, profile, not_before, not_after, revoked_unix,"       \
    " reason, renew_by_unix, der FROM certificate WHERE "

void ca_cert_info_clear(struct ca_cert_info *info)
{
    mem_free(info->idents);
    memset(info, 0, sizeof(*info));
}

static struct err not_ours(void)
{
    FAIL(ERR_NOT_FOUND, "no such certificate was issued here");
}

/* The row that q stands on. The names come from the certificate itself. */
static struct err read_row(struct db_stmt *q, struct ca_cert_info *out)
{
    struct cert_view view;
    size_t len = 0;
    const void *der = db_col_blob(q, 10, &len);

    db_col_copy(q, 0, out->id, sizeof(out->id));
    db_col_copy(q, 1, out->serial, sizeof(out->serial));
    db_col_copy(q, 2, out->account_id, sizeof(out->account_id));
    db_col_copy(q, 3, out->order_id, sizeof(out->order_id));
    db_col_copy(q, 4, out->profile, sizeof(out->profile));
    out->not_before = db_col_int(q, 5);
    out->not_after = db_col_int(q, 6);
    out->revoked_unix = db_col_int(q, 7);
    out->reason = (int)db_col_int(q, 8);
    out->renew_by_unix = db_col_int(q, 9);
    TRY(cert_view_read(der, len, &view));
    return cert_view_idents(&view, &out->idents, &out->idents_n);
}

/* The one row of a bound statement, if `is_it` (may be NULL) says so of its DER. */
static struct err find_one(struct db_stmt *q,
                           bool (*is_it)(const void *arg, const uint8_t *der, size_t len),
                           const void *arg, struct ca_cert_info *out)
{
    AUTO(ca_cert_info_clear) struct ca_cert_info info = {0};

    if (!db_step(q)) {
        TRY(db_finish(q));
        return not_ours();
    }
    size_t len = 0;
    const void *der = db_col_blob(q, 10, &len);
    if (is_it != NULL && !is_it(arg, der, len)) {
        return not_ours();
    }
    struct err e = read_row(q, &info);
    if (e.code == ERR_MALFORMED) {
        FAIL(ERR_DB, "the stored certificate %s is damaged", info.id);
    }
    TRY(e);
    TRY(db_finish(q));
    *out = info;
    memset(&info, 0, sizeof(info));
    return err_ok();
}

struct bytes {
    const uint8_t *data;
    size_t len;
};

static bool is_same(const void *arg, const uint8_t *der, size_t len)
{
    const struct bytes *asked = arg;

    return len == asked->len && memcmp(der, asked->data, len) == 0;
}

static bool has_renewal_id(const void *arg, const uint8_t *der, size_t len)
{
    char id[CA_RENEWAL_ID_MAX + 1];

    return ca_renewal_id(der, len, id).code == ERR_OK && strcmp(id, arg) == 0;
}

struct err ca_cert_find(struct db *db, const uint8_t *der, size_t len, struct ca_cert_info *out)
{
    const struct bytes asked = {der, len};
    struct cert_view view;
    char serial[CA_SERIAL_HEX_MAX + 1];

    TRY(cert_view_read(der, len, &view));
    TRY(cert_serial_hex(view.serial, view.serial_len, serial));
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, SELECT "serial = ?1");
    db_bind_text(q, 1, serial);
    return find_one(q, is_same, &asked, out);
}

struct err ca_cert_load(struct db *db, const char *certificate_id, struct ca_cert_info *out)
{
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, SELECT "id = ?1");

    db_bind_text(q, 1, certificate_id);
    return find_one(q, NULL, NULL, out);
}

struct err ca_cert_find_renewal(struct db *db, const char *renewal_id, struct ca_cert_info *out)
{
    char serial[CA_SERIAL_HEX_MAX + 1];

    TRY(renewal_id_serial(renewal_id, serial));
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, SELECT "serial = ?1");
    db_bind_text(q, 1, serial);
    return find_one(q, has_renewal_id, renewal_id, out);
}

struct err ca_cert_spki(const uint8_t *der, size_t len, uint8_t **out, size_t *out_len)
{
    struct cert_view view;

    TRY(cert_view_read(der, len, &view));
    *out = mem_dup(view.spki.whole, view.spki.whole_len);
    TRY_PTR(*out);
    *out_len = view.spki.whole_len;
    return err_ok();
}

bool ca_reason_ok(int64_t reason)
{
    return reason == 0 || reason == 1 || (reason >= 3 && reason <= 5);
}

struct err ca_cert_revoke(struct db *db, const char *certificate_id, int reason)
{
    int64_t changes = 0;

    if (!ca_reason_ok(reason)) {
        FAIL(ERR_INTERNAL, "revocation for reason %d", reason);
    }
    AUTO(db_stmt_release)
    struct db_stmt *mark = db_prepare(db, "UPDATE certificate SET revoked_unix = ?1, reason = ?2"
                                          " WHERE id = ?3 AND revoked_unix = 0");
    db_bind_int(mark, 1, clock_unix_s());
    db_bind_int(mark, 2, reason);
    db_bind_text(mark, 3, certificate_id);
    TRY(db_run(mark, &changes));
    if (changes == 1) {
        return err_ok();
    }
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "SELECT 1 FROM certificate WHERE id = ?1");
    db_bind_text(q, 1, certificate_id);
    bool is_there = db_step(q);
    TRY(db_finish(q));
    if (is_there) {
        FAIL(ERR_CONFLICT, "the certificate is revoked already");
    }
    return not_ours();
}
