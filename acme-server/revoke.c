/* revokeCert: by the account that owns the certificate, by one that holds authorizations for all its
 * names, or by the certificate's own key. RFC 8555 §7.6. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "acme-server/order_names.h"
#include "acme-server/record.h"
#include "core/util/log.h"
#include "core/util/mem.h"

struct revoke {
    struct acme_req *r;
    uint8_t *der;
    size_t der_len;
    int64_t reason;
    bool is_by_key;
    const char *actor;
    bool is_allowed;
    struct ca_cert_info info;
};

static void revoke_clear(struct revoke *v)
{
    mem_free(v->der);
    ca_cert_info_clear(&v->info);
}

static struct err take_certificate(struct acme_req *r, struct revoke *v)
{
    const char *text = NULL;

    TRY(acme_req_object(r));
    TRY(acme_req_text(r, "certificate", &text));
    if (text == NULL || text[0] == '\0') {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"certificate\" is missing: send the DER of the certificate as base64url.");
    }
    v->der_len = strlen(text) / 4 * 3 + 3;
    v->der = mem_zalloc(v->der_len);
    TRY_PTR(v->der);
    if (base64url_decode(text, strlen(text), v->der, &v->der_len).code != ERR_OK) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"certificate\" is not base64url without padding: send the DER form, not PEM.");
    }
    return err_ok();
}

static struct err take_reason(struct acme_req *r, struct revoke *v)
{
    const json_t *reason = json_object_get(r->payload, "reason");

    if (reason == NULL || json_is_null(reason)) {
        return err_ok();
    }
    if (!json_is_integer(reason)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"reason\" must be a whole number (RFC 5280 section 5.3.1).");
    }
    v->reason = json_integer_value(reason);
    if (!ca_reason_ok(v->reason)) {
        REJECT(&r->prob, PROBLEM_BAD_REVOCATION_REASON, 0,
               "The reason %lld is not accepted: use 0 (unspecified), 1 (keyCompromise), 3 "
               "(affiliationChanged), 4 (superseded) or 5 (cessationOfOperation), or leave it out.",
               (long long)v->reason);
    }
    return err_ok();
}

/* Is the JWS signed by the certificate's key? Of the bytes sent; that they are a certificate of ours
 * is found out in the store. */
static struct err check_key(struct acme_req *r, struct revoke *v)
{
    AUTO(mem_freep) uint8_t *spki = NULL;
    size_t spki_len = 0;
    size_t key_len = 0;

    if (r->account_id[0] != '\0') {
        return err_ok();
    }
    struct err e = ca_cert_spki(v->der, v->der_len, &spki, &spki_len);
    if (e.code == ERR_MALFORMED) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0, "\"certificate\" is not the DER of a certificate.");
    }
    TRY(e);
    const uint8_t *key = jwk_spki(r->key, &key_len);
    v->is_by_key = ct_equal(spki, spki_len, key, key_len);
    if (!v->is_by_key) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 0,
               "The request is signed by a key that is neither the certificate's nor an account's: "
               "sign with the certificate's key (jwk) or with an account (kid).");
    }
    return err_ok();
}

static struct err audit(struct db *db, const struct revoke *v)
{
    char words[200];
    const struct audit_row row = {
        .event = "certificate.revoke",
        .actor = v->actor,
        .object = v->info.serial,
        .peer = &v->r->http->peer,
        .detail = words,
    };

    (void)snprintf(words, sizeof(words), "revoked with reason %lld, signed by %s",
                   (long long)v->reason, v->is_by_key ? "the certificate's key" : "an account");
    TRY(audit_write(db, &row));
    return record_add(db, v->info.order_id, words);
}

/* Does the account hold a valid authorization for each of the names, of the kind that it could use in
 * an order now? */
static struct err holds_all(struct db *db, const struct revoke *v, bool *holds)
{
    const struct acme_req *r = v->r;

    *holds = v->info.idents_n > 0;
    for (size_t i = 0; i < v->info.idents_n && *holds; i++) {
        const struct ident *ident = &v->info.idents[i];
        struct authz_reusable found = {0};
        struct err e = acme_db_authz_reusable(db, r->account_id, ident, -1, &found);
        *holds = e.code == ERR_OK && order_name_still_proved(r, ident, &found);
        if (e.code != ERR_NOT_FOUND) {
            TRY(e);
        }
    }
    return err_ok();
}

static struct err revoke_fn(struct db *db, void *arg)
{
    struct revoke *v = arg;
    const char *account = v->r->account_id;

    ca_cert_info_clear(&v->info);
    TRY(ca_cert_find(db, v->der, v->der_len, &v->info));
    v->is_allowed =
        v->is_by_key || (v->info.account_id[0] != '\0' && strcmp(v->info.account_id, account) == 0);
    if (!v->is_allowed) {
        TRY(holds_all(db, v, &v->is_allowed));
    }
    if (!v->is_allowed) {
        FAIL(ERR_DENIED, "the account may not revoke this certificate");
    }
    TRY(ca_cert_revoke(db, v->info.id, (int)v->reason));
    return audit(db, v);
}

static struct err refuse(struct acme_req *r, struct err e)
{
    if (e.code == ERR_MALFORMED) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0, "\"certificate\" is not the DER of a certificate.");
    }
    if (e.code == ERR_NOT_FOUND) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 404,
               "This server did not issue this certificate: ask the one that did.");
    }
    if (e.code == ERR_DENIED) {
        REJECT(
            &r->prob, PROBLEM_UNAUTHORIZED, 0,
            "The account neither owns the certificate nor holds valid authorizations for all its "
            "names: sign with the account that ordered it, or with the certificate's key.");
    }
    if (e.code == ERR_CONFLICT) {
        REJECT(&r->prob, PROBLEM_ALREADY_REVOKED, 0, "The certificate is revoked already.");
    }
    return e;
}

struct err acme_revoke(struct acme_req *r)
{
    AUTO(revoke_clear) struct revoke v = {.r = r};

    TRY(take_certificate(r, &v));
    TRY(take_reason(r, &v));
    TRY(check_key(r, &v));
    v.actor = r->account_id[0] == '\0' ? "certificate key" : r->account_id;
    TRY(refuse(r, store_write(r->acme->store, "acme.revoke", revoke_fn, &v)));
    log_ev(LOG_INFO, "acme.certificate.revoked", {"serial", v.info.serial}, {"actor", v.actor},
           {"reason", log_int(v.reason)});
    r->resp->status = 200; /* without a body */
    return err_ok();
}
