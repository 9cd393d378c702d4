/* Authorizations and their challenges. RFC 8555 §7.5, §8. */
#include <inttypes.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

/* --- the objects ------------------------------------------------------------------------------ */

/* A challenge that nobody will decide any more, because its authorization ended, must not keep a
 * client polling. */
static enum challenge_st shown_status(const struct authz_row *authz)
{
    enum challenge_st status = authz->dns01.status;
    bool is_open = status == CHALLENGE_PENDING || status == CHALLENGE_PROCESSING;

    return is_open && authz->status != AUTHZ_PENDING ? CHALLENGE_INVALID : status;
}

static void put_challenge(struct buf *b, const char *base, const struct authz_row *authz)
{
    const struct challenge_row *c = &authz->dns01;
    char when[CLOCK_RFC3339_LEN + 1];

    buf_printf(b,
               "{\"type\":\"dns-01\",\"url\":\"%s/acme/challenge/%s\",\"status\":\"%s\","
               "\"token\":\"%s\"",
               base, c->id, challenge_status(shown_status(authz)), c->token);
    if (c->validated_unix != 0) {
        clock_rfc3339(c->validated_unix, when);
        buf_printf(b, ",\"validated\":\"%s\"", when);
    }
    if (c->error[0] != '\0') {
        buf_printf(b, ",\"error\":%s", c->error);
    }
    buf_putc(b, '}');
}

static void put_authz(struct buf *b, const char *base, const struct authz_row *authz)
{
    char expires[CLOCK_RFC3339_LEN + 1];

    clock_rfc3339(authz->expires_unix, expires);
    buf_printf(b,
               "{\"status\":\"%s\",\"expires\":\"%s\",\"identifier\":{\"type\":\"dns\","
               "\"value\":\"%s\"},",
               authz_status(authz->status), expires, authz->ident.base);
    if (authz->ident.is_wildcard) {
        buf_puts(b, "\"wildcard\":true,");
    }
    buf_puts(b, "\"challenges\":[");
    put_challenge(b, base, authz);
    buf_puts(b, "]}");
}

static void add_retry_after(struct acme_req *r)
{
    if (r->acme->cfg->acme.retry_after_s > 0) {
        http_resp_headerf(r->resp, "Retry-After", "%" PRId64, r->acme->cfg->acme.retry_after_s);
    }
}

static struct err authz_reply(struct acme_req *r, const struct authz_row *authz)
{
    put_authz(&r->resp->body, r->base, authz);
    if (authz->status == AUTHZ_PENDING) {
        add_retry_after(r);
    }
    return acme_req_reply(r, 200);
}

static struct err challenge_reply(struct acme_req *r, const struct authz_row *authz)
{
    put_challenge(&r->resp->body, r->base, authz);
    http_resp_headerf(r->resp, "Link", "<%s/acme/authz/%s>;rel=\"up\"", r->base, authz->id);
    if (shown_status(authz) == CHALLENGE_PROCESSING) {
        add_retry_after(r);
    }
    return acme_req_reply(r, 200);
}

/* --- loading ---------------------------------------------------------------------------------- */

struct authz_tx {
    struct acme *acme;
    const char *id;
    bool is_challenge; /* id is a challenge's */
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
    return tx->is_challenge ? acme_db_challenge_load(db, tx->id, &tx->row)
                            : acme_db_authz_load(db, tx->id, &tx->row);
}

static struct err load(struct acme_req *r, struct authz_tx *tx)
{
    const char *what = tx->is_challenge ? "challenge" : "authorization";
    struct err e = store_read(r->acme->store, "acme.authz.load", load_fn, tx);

    if (e.code == ERR_NOT_FOUND) {
        return acme_req_missing(r, what);
    }
    TRY(e);
    if (strcmp(tx->row.account_id, r->account_id) != 0) {
        return acme_req_foreign(r, what);
    }
    return err_ok();
}

/* --- authorizations --------------------------------------------------------------------------- */

static struct err deactivate_fn(struct db *db, void *arg)
{
    struct authz_tx *tx = arg;

    TRY(load_fn(db, arg));
    return acme_db_authz_deactivate(db, tx->acme->delegate, &tx->row, tx->error);
}

static struct err deactivate(struct acme_req *r, struct authz_tx *tx)
{
    const char *status = NULL;
    struct problem prob = {0};
    AUTO(mem_freep) char *error = NULL;

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
    struct err e = store_write(r->acme->store, "acme.authz.deactivate", deactivate_fn, tx);
    tx->error = NULL;
    if (e.code == ERR_BAD_STATE) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "The authorization is %s: only a pending or valid one can be deactivated.",
               authz_status(tx->row.status));
    }
    TRY(e);
    log_ev(LOG_INFO, "acme.authz.deactivated", {"authz", tx->row.id}, {"account", r->account_id});
    return load(r, tx);
}

struct err acme_authz(struct acme_req *r)
{
    char id[OBJECT_ID_LEN + 1];
    const char *rest = NULL;
    AUTO(authz_tx_clear) struct authz_tx tx = {.acme = r->acme, .id = id};

    TRY(acme_req_id(r, "authorization", id, &rest));
    if (rest[0] != '\0') {
        return acme_req_missing(r, "resource");
    }
    TRY(load(r, &tx));
    if (!r->jws.is_post_as_get) {
        TRY(deactivate(r, &tx));
    }
    return authz_reply(r, &tx.row);
}

/* --- challenges ------------------------------------------------------------------------------- */

static struct err start_fn(struct db *db, void *arg)
{
    const struct authz_tx *tx = arg;

    return acme_db_challenge_start(db, &tx->row);
}

/* The fast path: look now. *is_done: the challenge is decided, by us or by somebody who was
 * faster. */
static struct err try_now(struct acme *acme, const struct val_target *target, bool *is_done)
{
    struct val_result result = {0};

    TRY(val_dns01_local(acme, target, &result));
    if (!result.is_valid) {
        *is_done = false;
        return err_ok();
    }
    struct err e = validate_decide(acme, target, &result);
    *is_done = e.code == ERR_OK || e.code == ERR_BAD_STATE;
    /* ERR_BUSY: its publisher was just removed, so the value is not there after all. */
    return *is_done || e.code == ERR_BUSY ? err_ok() : e;
}

static struct err watch(struct acme_req *r, const struct val_target *target, bool is_local)
{
    struct err e = validator_add(r->acme->validator, target, is_local);

    if (e.code == ERR_LIMIT) {
        REJECT(&r->prob, PROBLEM_RATE_LIMITED, 0,
               "Too many validations are under way: try again in a moment.");
    }
    return e;
}

static struct err attempt(struct acme_req *r, struct authz_tx *tx)
{
    struct val_target target = {.ident = tx->row.ident};
    bool is_local = val_dns01_is_local(r->acme, &tx->row.ident);
    bool is_done = false;

    memcpy(target.challenge_id, tx->row.dns01.id, sizeof(target.challenge_id));
    memcpy(target.authz_id, tx->row.id, sizeof(target.authz_id));
    memcpy(target.digest, tx->row.dns01.digest, sizeof(target.digest));
    if (is_local) {
        TRY(try_now(r->acme, &target, &is_done));
    }
    if (!is_done) {
        TRY(watch(r, &target, is_local));
    }
    if (!is_done && is_local) {
        /* Once more: the value may have come between the look and the watch. */
        TRY(try_now(r->acme, &target, &is_done));
    }
    if (!is_done && tx->row.dns01.status == CHALLENGE_PENDING) {
        struct err e = store_write(r->acme->store, "acme.challenge.start", start_fn, tx);
        if (e.code != ERR_BAD_STATE) { /* that is: decided or started by somebody faster */
            TRY(e);
        }
    }
    return load(r, tx);
}

struct err acme_challenge(struct acme_req *r)
{
    char id[OBJECT_ID_LEN + 1];
    const char *rest = NULL;
    AUTO(authz_tx_clear) struct authz_tx tx = {.acme = r->acme, .id = id, .is_challenge = true};

    TRY(acme_req_id(r, "challenge", id, &rest));
    if (rest[0] != '\0') {
        return acme_req_missing(r, "resource");
    }
    TRY(load(r, &tx));
    if (!r->jws.is_post_as_get) {
        TRY(acme_req_object(r)); /* its members mean nothing (RFC 8555 §7.5.1) */
        enum challenge_st status = shown_status(&tx.row);
        if (status == CHALLENGE_PENDING || status == CHALLENGE_PROCESSING) {
            TRY(attempt(r, &tx));
        }
    }
    return challenge_reply(r, &tx.row);
}
