/* Authorizations and their challenges. RFC 8555 §7.5, §8. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "acme-server/issuer.h"
#include "acme-server/record.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

/* --- the objects ------------------------------------------------------------------------------ */

/* A challenge that nobody will decide any more, because its authorization ended, must not keep a
 * client polling: its URL goes on to answer, although the authorization does not show it. */
static enum challenge_st shown_status(const struct authz_row *authz, enum challenge_type type)
{
    enum challenge_st status = authz->challenges[type].status;
    bool is_open = status == CHALLENGE_PENDING || status == CHALLENGE_PROCESSING;

    return is_open && authz->status != AUTHZ_PENDING ? CHALLENGE_INVALID : status;
}

static bool is_decided(const struct authz_row *authz, enum challenge_type type)
{
    enum challenge_st status = authz->challenges[type].status;

    return status == CHALLENGE_VALID || status == CHALLENGE_INVALID;
}

/* A pending authorization shows what can be tried, a final one what was (RFC 8555 §7.1.4). */
static bool is_shown(const struct authz_row *authz, enum challenge_type type)
{
    if (!challenge_fits(type, &authz->ident)) {
        return false;
    }
    if (authz->status == AUTHZ_PENDING) {
        return true;
    }
    for (int t = 0; t < CHALLENGE_TYPES_N; t++) {
        if (is_decided(authz, (enum challenge_type)t)) {
            return is_decided(authz, type);
        }
    }
    return true; /* it ended before anything was tried */
}

static void put_issuers(struct buf *b, const char *member, const struct issuer_names *issuers)
{
    buf_printf(b, ",\"%s\":[", member);
    for (size_t i = 0; i < issuers->n; i++) {
        buf_printf(b, "%s\"%s\"", i == 0 ? "" : ",", issuers->list[i]);
    }
    buf_putc(b, ']');
}

/* draft-ietf-acme-dns-persist-02 and, for the clients of today, the member's name before it. */
static void put_persist(struct acme_req *r, const struct authz_row *authz)
{
    struct buf *b = &r->resp->body;
    struct issuer_names issuers;

    issuer_names(&r->acme->base_urls, &issuers);
    buf_printf(b, ",\"accounturi\":\"%s/acme/account/%s\"", r->base, authz->account_id);
    put_issuers(b, "issuerDomainNames", &issuers);
    put_issuers(b, "issuer-domain-names", &issuers);
}

static struct err put_challenge(struct acme_req *r, const struct authz_row *authz,
                                enum challenge_type type)
{
    struct buf *b = &r->resp->body;
    const struct challenge_row *c = &authz->challenges[type];
    const char *name = challenge_name(type);
    char token[ACME_TOKEN_LEN + 1];
    char when[CLOCK_RFC3339_LEN + 1];

    buf_printf(b, "{\"type\":\"%s\",\"url\":\"%s/acme/challenge/%s/%s\",\"status\":\"%s\"", name,
               r->base, authz->id, name, challenge_status(shown_status(authz, type)));
    if (challenge_has_token(type)) {
        TRY(challenge_token(authz->seed, type, token));
        buf_printf(b, ",\"token\":\"%s\"", token);
    } else {
        put_persist(r, authz);
    }
    if (c->validated_unix != 0) {
        clock_rfc3339(c->validated_unix, when);
        buf_printf(b, ",\"validated\":\"%s\"", when);
    }
    if (c->error != NULL && c->error[0] != '\0') {
        buf_printf(b, ",\"error\":%s", c->error);
    }
    buf_putc(b, '}');
    return err_ok();
}

static struct err put_challenges(struct acme_req *r, const struct authz_row *authz)
{
    uint8_t order[CHALLENGE_TYPES_N];
    const char *separator = "";

    chaos_shuffle(r->acme->chaos, order, CHALLENGE_TYPES_N);
    for (size_t i = 0; i < CHALLENGE_TYPES_N; i++) {
        enum challenge_type type = (enum challenge_type)order[i];
        if (is_shown(authz, type)) {
            buf_puts(&r->resp->body, separator);
            TRY(put_challenge(r, authz, type));
            separator = ",";
        }
    }
    return err_ok();
}

static struct err put_authz(struct acme_req *r, const struct authz_row *authz)
{
    struct buf *b = &r->resp->body;
    char expires[CLOCK_RFC3339_LEN + 1];

    clock_rfc3339(authz->expires_unix, expires);
    buf_printf(b,
               "{\"status\":\"%s\",\"expires\":\"%s\",\"identifier\":{\"type\":\"%s\","
               "\"value\":\"%s\"},",
               authz_status(authz->status), expires, authz->ident.is_ip ? "ip" : "dns",
               authz->ident.base);
    if (authz->ident.is_wildcard) {
        buf_puts(b, "\"wildcard\":true,");
    }
    buf_puts(b, "\"challenges\":[");
    TRY(put_challenges(r, authz));
    buf_puts(b, "]}");
    return err_ok();
}

static void add_retry_after(struct acme_req *r)
{
    http_resp_headerf(r->resp, "Retry-After", "%" PRId64, acme_settings(r->acme)->retry_after_s);
}

struct err acme_authz_reply(struct acme_req *r, const struct authz_row *authz, int status)
{
    TRY(put_authz(r, authz));
    if (authz->status == AUTHZ_PENDING) {
        add_retry_after(r);
    }
    return acme_req_reply(r, status);
}

static struct err challenge_reply(struct acme_req *r, const struct authz_row *authz,
                                  enum challenge_type type)
{
    TRY(put_challenge(r, authz, type));
    http_resp_headerf(r->resp, "Link", "<%s/acme/authz/%s>;rel=\"up\"", r->base, authz->id);
    if (shown_status(authz, type) == CHALLENGE_PROCESSING) {
        add_retry_after(r);
    }
    return acme_req_reply(r, 200);
}

/* --- loading ---------------------------------------------------------------------------------- */

struct authz_tx {
    struct acme *acme;
    const char *id;
    const char *what;
    enum challenge_type type; /* that is started */
    char words[120];          /* who asked for it, for the timeline */
    const char *error;
    struct authz_row row;
};

static void authz_tx_clear(struct authz_tx *tx)
{
    authz_row_clear(&tx->row);
}

static struct err load_fn(struct db *db, void *arg)
{
    struct authz_tx *tx = arg;

    authz_row_clear(&tx->row);
    return acme_db_authz_load(db, tx->id, &tx->row);
}

static struct err load(struct acme_req *r, struct authz_tx *tx)
{
    struct err e = store_read(r->acme->store, "acme.authz.load", load_fn, tx);

    if (e.code == ERR_NOT_FOUND) {
        return acme_req_missing(r, tx->what);
    }
    TRY(e);
    if (strcmp(tx->row.account_id, r->account_id) == 0) {
        memcpy(r->subject, tx->row.id, sizeof(r->subject));
    } else {
        return acme_req_foreign(r, tx->what);
    }
    return err_ok();
}

/* --- authorizations --------------------------------------------------------------------------- */

static struct err deactivate_fn(struct db *db, void *arg)
{
    struct authz_tx *tx = arg;

    TRY(load_fn(db, arg));
    TRY(acme_db_authz_deactivate(db, tx->acme->delegate, &tx->row, tx->error));
    return record_add(db, tx->row.id, tx->words);
}

static struct err deactivate(struct acme_req *r, struct authz_tx *tx)
{
    const char *status = NULL;
    struct problem prob = {0};
    AUTO(mem_freep) char *error = NULL;
    char peer[IP_TEXT_MAX + 1];

    TRY(acme_req_object(r));
    TRY(acme_req_text(r, "status", &status));
    if (status == NULL || strcmp(status, "deactivated") != 0) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "An authorization can only be deactivated: send {\"status\":\"deactivated\"}, or an "
               "empty payload to read it.");
    }
    err_ignore(problem_set(&prob, PROBLEM_UNAUTHORIZED, 0,
                           "An authorization of this order was deactivated: make a new order."));
    TRY(acme_problem_text(&prob, &error));
    tx->error = error;
    ip_text(&r->http->peer, peer);
    (void)snprintf(tx->words, sizeof(tx->words), "authorization deactivated from %s", peer);
    struct err e = store_write(r->acme->store, "acme.authz.deactivate", deactivate_fn, tx);
    tx->error = NULL;
    if (e.code == ERR_BAD_STATE) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "The authorization is %s: only a pending or valid one can be deactivated.",
               authz_status(tx->row.status));
    }
    TRY(e);
    validator_decided(r->acme->validator, tx->row.id);
    log_ev(LOG_INFO, "acme.authz.deactivated", {"authz", tx->row.id}, {"account", r->account_id});
    return load(r, tx);
}

struct err acme_authz(struct acme_req *r)
{
    char id[OBJECT_ID_LEN + 1];
    const char *rest = NULL;
    AUTO(authz_tx_clear) struct authz_tx tx = {.acme = r->acme, .id = id, .what = "authorization"};

    TRY(acme_req_id(r, "authorization", id, &rest));
    if (rest[0] != '\0') {
        return acme_req_missing(r, "resource");
    }
    TRY(load(r, &tx));
    if (!r->jws.is_post_as_get) {
        TRY(deactivate(r, &tx));
    }
    return acme_authz_reply(r, &tx.row, 200);
}

/* --- challenges ------------------------------------------------------------------------------- */

static struct err start_fn(struct db *db, void *arg)
{
    const struct authz_tx *tx = arg;

    TRY(acme_db_challenge_start(db, tx->row.id, tx->type));
    return record_add(db, tx->row.id, tx->words);
}

/* Look at once: *is_done when the challenge is decided, by us or by somebody who was faster. */
static struct err try_now(struct authz_tx *tx, const struct val_target *target, bool *is_done)
{
    bool is_valid = false;
    struct err e = validate_now(tx->acme, target, tx->words, &is_valid);

    *is_done = is_valid || e.code == ERR_BAD_STATE;
    /* ERR_BUSY: its publisher was just removed, so the value is not there after all. */
    return *is_done || e.code == ERR_BUSY ? err_ok() : e;
}

static struct err check_failures(struct acme_req *r, const struct authz_row *authz)
{
    char key[LIMITS_KEY_MAX];
    int64_t max = acme_settings(r->acme)->limit_failed_validations;

    validate_failure_key(r->account_id, &authz->ident, key);
    if (!limits_allow(r->acme->limits, LIMIT_FAILED_VALIDATIONS, key, max,
                      &r->prob.retry_after_s)) {
        REJECT(&r->prob, PROBLEM_RATE_LIMITED, 0,
               "Rate limit \"%s\": %lld an hour for this account and name are used up. Mend what "
               "makes the validation fail (the authorizations' errors say what it was) and try "
               "again in %lld s.",
               limit_name(LIMIT_FAILED_VALIDATIONS), (long long)max,
               (long long)r->prob.retry_after_s);
    }
    return err_ok();
}

static struct err watch(struct acme_req *r, const struct val_target *target, bool is_limited)
{
    const struct val_job job = {.target = *target, .is_limited = is_limited};
    const char *why = "";
    struct err e = validator_add(r->acme->validator, &job, &why);

    if (e.code == ERR_LIMIT) {
        r->prob.retry_after_s = VALIDATE_CONNECT_MS / 1000;
        REJECT(&r->prob, PROBLEM_RATE_LIMITED, 0,
               "Too many validations are under way (%s): try again in a moment.", why);
    }
    return e;
}

static struct err attempt(struct acme_req *r, struct authz_tx *tx)
{
    struct val_target target;
    bool is_limited = acme_req_is_limited(r);
    bool is_quick = tx->type == CHALLENGE_DNS01 && r->acme->chaos == NULL &&
                    val_dns01_is_local(r->acme, &tx->row.ident);
    bool is_done = false;
    char peer[IP_TEXT_MAX + 1];

    if (is_limited) {
        TRY(check_failures(r, &tx->row));
    }
    TRY(validate_target(&tx->row, tx->type, r->base, &target));
    ip_text(&r->http->peer, peer);
    (void)snprintf(tx->words, sizeof(tx->words), "%s challenge answered by %s",
                   challenge_name(tx->type), peer);
    if (tx->type == CHALLENGE_DNSACCOUNT01) {
        TRY(validate_expect_account(r->acme, &target, tx->row.expires_unix));
    }
    if (is_quick) {
        TRY(try_now(tx, &target, &is_done));
    }
    if (!is_done) {
        TRY(watch(r, &target, is_limited));
    }
    if (!is_done && is_quick) {
        /* Once more: the value may have come between the look and the watch. */
        TRY(try_now(tx, &target, &is_done));
        if (is_done) {
            validator_decided(r->acme->validator, target.authz_id);
        }
    }
    if (!is_done && tx->row.challenges[tx->type].status == CHALLENGE_PENDING) {
        struct err e = store_write(r->acme->store, "acme.challenge.start", start_fn, tx);
        if (e.code != ERR_BAD_STATE) { /* that is: decided or started by somebody faster */
            TRY(e);
        }
    }
    if (!is_done) {
        /* Only now: it may be refused before we are back here, and only what is processing can
         * fail. A quick one may have its value, and wait for CAA. */
        validator_wake(r->acme->validator, &target);
    }
    return load(r, tx);
}

struct err acme_challenge(struct acme_req *r)
{
    char id[OBJECT_ID_LEN + 1];
    const char *rest = NULL;
    AUTO(authz_tx_clear)
    struct authz_tx tx = {.acme = r->acme, .id = id, .what = "challenge"};

    TRY(acme_req_id(r, "challenge", id, &rest));
    if (challenge_find(rest, &tx.type).code != ERR_OK) {
        return acme_req_missing(r, "challenge");
    }
    TRY(load(r, &tx));
    if (!challenge_fits(tx.type, &tx.row.ident)) {
        return acme_req_missing(r, "challenge");
    }
    if (!r->jws.is_post_as_get) {
        TRY(acme_req_object(r)); /* its members mean nothing (RFC 8555 §7.5.1) */
        enum challenge_st status = shown_status(&tx.row, tx.type);
        if (status == CHALLENGE_PENDING || status == CHALLENGE_PROCESSING) {
            TRY(attempt(r, &tx));
        }
    }
    return challenge_reply(r, &tx.row, tx.type);
}
