/* finalize: a ready order and a CSR become a certificate, in one reply. RFC 8555 §7.4. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "acme-server/order_names.h"
#include "acme-server/record.h"
#include "acme-server/validate_job.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define CAA_FRESH_S (8 * 3600)

struct csr_bytes {
    uint8_t *der;
    size_t len;
    uint8_t hash[SHA256_LEN];
};

struct finalize {
    struct acme *acme;
    const char *id;
    struct order_row order;
    struct order_proof *proofs; /* of a ready order */
    struct ca_leaf leaf;
    char certificate_id[OBJECT_ID_LEN + 1];
    char profile[CONFIG_PROFILE_NAME_MAX + 1];
    const struct csr_bytes *csr;
    const char *failed_authz; /* to withdraw, or NULL */
    const char *error;
    const char *instance;
    char words[PROBLEM_DETAIL_MAX + 200]; /* for the timeline */
};

static void finalize_clear(struct finalize *f)
{
    order_row_clear(&f->order);
    mem_free(f->proofs);
    ca_leaf_clear(&f->leaf);
}

static void csr_bytes_clear(struct csr_bytes *csr)
{
    mem_free(csr->der);
}

static struct err load_fn(struct db *db, void *arg)
{
    struct finalize *f = arg;

    order_row_clear(&f->order);
    mem_free(MOVE(f->proofs));
    TRY(acme_db_order_load(db, f->id, &f->order));
    return acme_db_order_proofs(db, &f->order, &f->proofs);
}

static struct err load(struct acme_req *r, struct finalize *f)
{
    struct err e = store_read(r->acme->store, "acme.order.proofs", load_fn, f);

    if (e.code == ERR_NOT_FOUND) {
        return acme_req_missing(r, "order");
    }
    TRY(e);
    if (strcmp(f->order.account_id, r->account_id) != 0) {
        return acme_req_foreign(r, "order");
    }
    memcpy(r->subject, f->order.id, sizeof(r->subject));
    return err_ok();
}

static struct err take_csr(struct acme_req *r, struct csr_bytes *out)
{
    const char *text = NULL;

    TRY(acme_req_object(r));
    TRY(acme_req_text(r, "csr", &text));
    if (text == NULL || text[0] == '\0') {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"csr\" is missing: send the DER of a PKCS#10 request as base64url.");
    }
    if (strlen(text) > BASE64URL_LEN(CA_CSR_MAX)) {
        REJECT(&r->prob, PROBLEM_BAD_CSR, 0,
               "The CSR is larger than %u bytes: ask for fewer names, or with a smaller key.",
               CA_CSR_MAX);
    }
    out->len = strlen(text) / 4 * 3 + 3;
    out->der = mem_zalloc(out->len);
    TRY_PTR(out->der);
    if (base64url_decode(text, strlen(text), out->der, &out->len).code != ERR_OK) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"csr\" is not base64url without padding: send the DER form, not PEM.");
    }
    return sha256(out->der, out->len, out->hash);
}

/* --- an order that cannot end well ------------------------------------------------------------ */

static struct err fail_fn(struct db *db, void *arg)
{
    const struct finalize *f = arg;

    TRY(record_add(db, f->id, f->words));
    TRY(record_instance(db, f->instance, f->order.account_id, f->id));
    if (f->failed_authz != NULL) {
        /* Ends every order that builds on it, this one included. */
        return acme_db_authz_withdraw(db, f->failed_authz, f->error);
    }
    return acme_db_order_fail(db, f->id, f->error);
}

/* r->prob is set: the order ends with it. */
static struct err fail_order(struct acme_req *r, struct finalize *f, const char *authz_id)
{
    AUTO(mem_freep) char *error = NULL;

    acme_req_stamp(r);
    f->instance = acme_instance_id(&r->prob);
    (void)snprintf(f->words, sizeof(f->words), "finalize: the order ends. %s", r->prob.detail);
    TRY(acme_problem_text(&r->prob, &error));
    f->error = error;
    f->failed_authz = authz_id;
    struct err e = store_write(r->acme->store, "acme.order.fail", fail_fn, f);
    f->error = NULL;
    if (e.code != ERR_BAD_STATE) { /* that is: it ended already */
        TRY(e);
    }
    log_ev(LOG_INFO, "acme.order.invalid", {"order", f->id}, {"account", r->account_id});
    FAIL(ERR_REJECTED, "%s", r->prob.detail);
}

/* Policy once more, for every name, at this moment. */
static struct err check_policy(struct acme_req *r, struct finalize *f)
{
    char name[IDENT_TEXT_MAX + 1];

    for (size_t i = 0; i < f->order.names_n; i++) {
        const struct order_proof *proof = &f->proofs[i];
        enum problem_type type = PROBLEM_NONE;
        ident_text(&proof->ident, name);
        const char *why = order_name_refused(r->acme, r->client, &proof->ident, &type);
        if (why != NULL) {
            err_ignore(problem_set(&r->prob, type, 0, "\"%s\" is refused: %s.", name, why));
            return fail_order(r, f, NULL);
        }
        if (!proof->is_valid) {
            err_ignore(problem_set(&r->prob, PROBLEM_UNAUTHORIZED, 0,
                                   "The authorization of \"%s\" is not valid any longer: make a "
                                   "new order.",
                                   name));
            return fail_order(r, f, NULL);
        }
        if (proof->is_preauthorized && !order_name_preauthorized(r, &proof->ident)) {
            err_ignore(
                problem_set(&r->prob, PROBLEM_UNAUTHORIZED, 0,
                            "\"%s\" was preauthorized, which the client %s is not any longer: "
                            "make a new order and prove the name.",
                            name, r->client));
            return fail_order(r, f, proof->authz_id);
        }
        if (proof->is_published &&
            !delegate_publisher_may(r->acme->delegate, &proof->by, &proof->ident)) {
            err_ignore(problem_set(&r->prob, PROBLEM_UNAUTHORIZED, 0,
                                   "Whoever published the value for \"%s\" may not have that name "
                                   "any longer: add it to the client's names, or publish with "
                                   "another client in a new order.",
                                   name));
            return fail_order(r, f, proof->authz_id);
        }
    }
    return err_ok();
}

static struct err refuse_busy(struct acme_req *r)
{
    r->prob.retry_after_s = 2;
    REJECT(&r->prob, PROBLEM_RATE_LIMITED, 0,
           "Too much is under way for this order or its CAA look-ups: finalize again in a moment.");
}

static struct err refuse_caa(struct acme_req *r, struct finalize *f, const char *detail)
{
    err_ignore(problem_set(&r->prob, PROBLEM_CAA, 0, "%s", detail));
    return fail_order(r, f, NULL);
}

/* CAA counts for 8 hours (RFC 8659 §3 leaves it to policy; CA/Browser Forum's number): older proofs
 * and preauthorized names are asked for again, where our zones and the cache do not know. */
static struct err check_caa(struct acme_req *r, struct finalize *f)
{
    char detail[VALIDATE_DETAIL_MAX] = "";
    size_t unknown_n = 0;
    size_t forbidden = 0;

    if (acme_settings(r->acme)->caa != CONFIG_CAA_ENFORCE || r->acme->net == NULL) {
        return err_ok();
    }
    AUTO(mem_freep)
    struct caa_question *unknown = mem_array(f->order.names_n, sizeof(*unknown));
    TRY_PTR(unknown);
    for (size_t i = 0; i < f->order.names_n; i++) {
        const struct order_proof *proof = &f->proofs[i];
        bool is_fresh =
            !proof->is_preauthorized && proof->decided_unix > clock_unix_s() - CAA_FRESH_S;
        struct caa_question *question = &unknown[unknown_n];
        question->ident = proof->ident;
        question->method = challenge_name(proof->method);
        memcpy(question->account_id, r->account_id, sizeof(question->account_id));
        enum caa_verdict verdict = caa_now(r->acme->net, question, detail);
        if (verdict == CAA_FORBIDDEN) {
            return refuse_caa(r, f, detail);
        }
        unknown_n += verdict == CAA_UNKNOWN && !is_fresh ? 1 : 0;
    }
    struct err e = caa_wait(r->acme, unknown, unknown_n, &forbidden, detail);
    if (e.code == ERR_BUSY) {
        return refuse_busy(r);
    }
    TRY(e);
    return forbidden < unknown_n ? refuse_caa(r, f, detail) : err_ok();
}

/* --- signing ---------------------------------------------------------------------------------- */

static struct err issued_fn(struct db *db, void *arg)
{
    const struct finalize *f = arg;

    TRY(acme_db_order_issued(db, f->id, f->certificate_id, f->csr->hash, f->leaf.not_after));
    TRY(record_add(db, f->id, f->words));
    return ca_leaf_store(db, &f->leaf, f->certificate_id, f->order.account_id, f->id, f->profile);
}

static struct err vet(struct acme_req *r, const struct csr_bytes *csr, const struct ident *idents,
                      size_t idents_n, struct ca_csr **out)
{
    struct ca_refusal refusal = {0};
    size_t spki_len = 0;
    const uint8_t *spki = jwk_spki(r->key, &spki_len);
    struct err e =
        ca_csr_vet(csr->der, csr->len, idents, idents_n,
                   (unsigned)acme_settings(r->acme)->min_rsa_bits, spki, spki_len, out, &refusal);

    if (e.code == ERR_REJECTED) {
        REJECT(&r->prob, refusal.is_bad_key ? PROBLEM_BAD_PUBLIC_KEY : PROBLEM_BAD_CSR, 0, "%s",
               refusal.detail);
    }
    return e;
}

struct key_owner {
    const char *thumbprint;
    struct account_row row;
};

static void key_owner_clear(struct key_owner *owner)
{
    account_row_clear(&owner->row);
}

static struct err key_owner_fn(struct db *db, void *arg)
{
    struct key_owner *owner = arg;

    account_row_clear(&owner->row);
    return acme_db_account_find(db, owner->thumbprint, &owner->row);
}

/* No account's key at all (RFC 8555 §11.1); the own one was seen by vet(). */
static struct err check_key(struct acme_req *r, const struct ca_csr *csr)
{
    AUTO(key_owner_clear) struct key_owner owner = {.thumbprint = ca_csr_thumbprint(csr)};
    struct err e = store_read(r->acme->store, "acme.account.find", key_owner_fn, &owner);

    if (e.code == ERR_NOT_FOUND) {
        return err_ok();
    }
    TRY(e);
    REJECT(&r->prob, PROBLEM_BAD_PUBLIC_KEY, 0,
           "The CSR uses the key of an ACME account (RFC 8555 section 11.1); make a separate key "
           "for the certificate.");
}

static struct err sign(struct acme_req *r, struct finalize *f, const struct ca_csr *csr,
                       const struct ident *idents)
{
    struct ca_refusal refusal = {0};
    struct ca_profile profile = {0};
    bool is_known =
        ca_profile_choose(acme_settings(r->acme), f->order.profile, &profile).code == ERR_OK;
    const struct ca_leaf_request request = {.profile = &profile,
                                            .idents = idents,
                                            .idents_n = f->order.names_n,
                                            .not_before = f->order.not_before,
                                            .not_after = f->order.not_after};

    if (!is_known) {
        err_ignore(problem_set(&r->prob, PROBLEM_INVALID_PROFILE, 0,
                               "The profile \"%s\" does not exist any longer: make a new order.",
                               f->order.profile));
        return fail_order(r, f, NULL);
    }
    struct err e = ca_issue(r->acme->ca, csr, &request, &f->leaf, &refusal);
    if (e.code == ERR_REJECTED && refusal.is_bad_key) {
        REJECT(&r->prob, PROBLEM_BAD_PUBLIC_KEY, 0, "%s", refusal.detail);
    }
    if (e.code == ERR_REJECTED) {
        err_ignore(problem_set(&r->prob, PROBLEM_MALFORMED, 0, "%s", refusal.detail));
        return fail_order(r, f, NULL);
    }
    (void)snprintf(f->profile, sizeof(f->profile), "%s", profile.name);
    return e;
}

static void put_words(const struct acme_req *r, struct finalize *f)
{
    char until[CLOCK_RFC3339_LEN + 1];
    char peer[IP_TEXT_MAX + 1];

    ip_text(&r->http->peer, peer);
    clock_rfc3339(f->leaf.not_after, until);
    (void)snprintf(f->words, sizeof(f->words),
                   "finalize from %s: certificate %s issued, serial %s, profile %s, until %s.",
                   peer, f->certificate_id, f->leaf.serial, f->profile, until);
}

static struct err issue(struct acme_req *r, struct finalize *f)
{
    AUTO(ca_csr_freep) struct ca_csr *csr = NULL;
    AUTO(mem_freep) struct ident *idents = mem_array(f->order.names_n, sizeof(*idents));

    TRY_PTR(idents);
    for (size_t i = 0; i < f->order.names_n; i++) {
        idents[i] = f->order.names[i].ident;
    }
    TRY(vet(r, f->csr, idents, f->order.names_n, &csr));
    TRY(check_key(r, csr));
    TRY(check_policy(r, f));
    TRY(check_caa(r, f));
    TRY(sign(r, f, csr, idents));
    TRY(random_id(f->certificate_id));
    put_words(r, f);
    struct err e = store_write(r->acme->store, "acme.order.issued", issued_fn, f);
    if (e.code == ERR_BAD_STATE) {
        REJECT(&r->prob, PROBLEM_ORDER_NOT_READY, 0,
               "The order ended while it was finalized: read it again.");
    }
    TRY(e);
    log_ev(LOG_INFO, "acme.order.finalize", {"order", f->id}, {"account", r->account_id},
           {"certificate", f->certificate_id}, {"serial", f->leaf.serial}, {"profile", f->profile});
    f->order.status = ORDER_VALID;
    memcpy(f->order.certificate_id, f->certificate_id, sizeof(f->order.certificate_id));
    return err_ok();
}

/* The order is claimed: nobody else signs for it now. */
static struct err finalize_claimed(struct acme_req *r, struct finalize *f)
{
    TRY(load(r, f));
    switch (f->order.status) {
    case ORDER_PENDING:
        REJECT(&r->prob, PROBLEM_ORDER_NOT_READY, 0,
               "The order is pending: complete its authorizations first.");
    case ORDER_INVALID:
        REJECT(&r->prob, PROBLEM_ORDER_NOT_READY, 0,
               "The order is invalid: its \"error\" says why; make a new one.");
    case ORDER_VALID:
        if (!f->order.has_csr ||
            !ct_equal(f->order.csr_hash, SHA256_LEN, f->csr->hash, SHA256_LEN)) {
            REJECT(&r->prob, PROBLEM_ORDER_NOT_READY, 0,
                   "The order was finalized with another CSR: make a new order.");
        }
        break;
    case ORDER_READY:
        TRY(issue(r, f));
        break;
    }
    return acme_order_reply(r, &f->order, 200);
}

struct err acme_finalize(struct acme_req *r, const char *order_id)
{
    AUTO(csr_bytes_clear) struct csr_bytes csr = {0};
    AUTO(finalize_clear) struct finalize f = {.acme = r->acme, .id = order_id, .csr = &csr};
    struct claim claim;

    TRY(take_csr(r, &csr));
    if (claim_take(&r->acme->claims, order_id, &claim).code != ERR_OK) {
        return refuse_busy(r);
    }
    struct err e = finalize_claimed(r, &f);
    claim_drop(&r->acme->claims, &claim);
    return e;
}
