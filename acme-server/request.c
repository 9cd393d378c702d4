#include "acme-server/request.h"

#include <string.h>
#include <strings.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define JOSE_TYPE "application/jose+json"
#define ACCOUNT_PATH "/acme/account/"

void acme_add_headers(struct acme *acme, const char *base, struct http_resp *resp)
{
    char nonce[NONCE_LEN + 1];

    http_resp_headerf(resp, "Link", "<%s/acme/directory>;rel=\"index\"", base);
    struct err e = nonce_issue(acme->nonces, nonce);
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.nonce", e);
        return;
    }
    http_resp_header(resp, "Replay-Nonce", nonce);
}

static bool is_jose(const char *type)
{
    size_t n = sizeof(JOSE_TYPE) - 1;

    if (strncasecmp(type, JOSE_TYPE, n) != 0) {
        return false;
    }
    type += n;
    type += strspn(type, " \t");
    return type[0] == '\0' || type[0] == ';';
}

struct account_read {
    const char *id;
    struct account_row row;
};

static void account_read_clear(struct account_read *read)
{
    account_row_clear(&read->row);
}

static struct err account_read_fn(struct db *db, void *arg)
{
    struct account_read *read = arg;

    account_row_clear(&read->row);
    return acme_db_account_load(db, read->id, &read->row);
}

/* Key, state and client of the account; ERR_NOT_FOUND. */
static struct err account_see(struct acme *acme, const char *id, struct account_seen *out)
{
    uint64_t generation = 0;
    struct problem unused = {0};

    if (account_cache_get(acme->accounts, id, out, &generation)) {
        return err_ok();
    }
    AUTO(account_read_clear) struct account_read read = {.id = id};
    TRY(store_read(acme->store, "acme.account.load", account_read_fn, &read));
    /* The stored key was checked under the rules of its day: only its form is checked again. */
    struct err e = jwk_parse(read.row.jwk, strlen(read.row.jwk), 0, &out->key, &unused);
    problem_clear(&unused);
    TRY(e);
    out->status = read.row.status;
    memcpy(out->client, read.row.client, sizeof(out->client));
    account_cache_put(acme->accounts, id, out, generation);
    return err_ok();
}

/* An account bound to a client acts as that client (RFC 8555 §7.3.4): from its networks, and not
 * without it. */
static struct err check_client(struct acme_req *r)
{
    struct access *access = r->acme->access;

    if (r->client[0] == '\0') {
        return err_ok();
    }
    if (!access_exists(access, r->client)) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 0,
               "This account is bound to the client %s, which was removed: register a new account "
               "with the credentials of another client.",
               r->client);
    }
    if (!access_network_ok(access, r->client, &r->http->peer)) {
        char peer[IP_TEXT_MAX + 1];
        ip_text(&r->http->peer, peer);
        REJECT(
            &r->prob, PROBLEM_UNAUTHORIZED, 0,
            "This account is bound to the client %s, which may not come from %s: add the network "
            "to the client's networks.",
            r->client, peer);
    }
    return err_ok();
}

static struct err find_account(struct acme_req *r)
{
    struct account_seen seen = {.status = ACCOUNT_DEACTIVATED};
    const char *path = base_url_path(&r->acme->base_urls, r->jws.kid);
    size_t prefix = sizeof(ACCOUNT_PATH) - 1;

    if (path == NULL || strncmp(path, ACCOUNT_PATH, prefix) != 0 ||
        strlen(path) != prefix + OBJECT_ID_LEN || !is_base64url(path + prefix, OBJECT_ID_LEN)) {
        REJECT(&r->prob, PROBLEM_ACCOUNT_DOES_NOT_EXIST, 0,
               "The kid is not the URL of an account of this server: use the Location of the reply "
               "to newAccount.");
    }
    memcpy(r->account_id, path + prefix, sizeof(r->account_id));
    struct err e = account_see(r->acme, r->account_id, &seen);
    if (e.code == ERR_NOT_FOUND) {
        REJECT(&r->prob, PROBLEM_ACCOUNT_DOES_NOT_EXIST, 0,
               "There is no account with this kid: register with newAccount first.");
    }
    TRY(e);
    r->key = seen.key;
    memcpy(r->client, seen.client, sizeof(r->client));
    if (seen.status != ACCOUNT_VALID) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 401, /* RFC 8555 §7.3.6 */
               "This account was deactivated: register a new one with another key.");
    }
    return err_ok();
}

static struct err find_key(struct acme_req *r, enum acme_key_mode mode)
{
    switch (mode) {
    case ACME_KEY_NEW:
        if (r->jws.jwk == NULL) {
            REJECT(&r->prob, PROBLEM_MALFORMED, 0,
                   "This request must be signed with a \"jwk\" in the protected header, not a "
                   "\"kid\" (RFC 8555 section 6.2).");
        }
        r->key = jwk_ref(r->jws.jwk);
        return err_ok();
    case ACME_KEY_ACCOUNT:
        if (r->jws.kid == NULL) {
            REJECT(&r->prob, PROBLEM_MALFORMED, 0,
                   "This request must name its account by \"kid\" in the protected header, not by "
                   "\"jwk\" (RFC 8555 section 6.2).");
        }
        return find_account(r);
    case ACME_KEY_EITHER:
        if (r->jws.kid != NULL) {
            return find_account(r);
        }
        r->key = jwk_ref(r->jws.jwk);
        return err_ok();
    }
    FAIL(ERR_INTERNAL, "unknown key mode");
}

static struct err run(struct acme_req *r, const struct acme_endpoint *endpoint)
{
    const struct http_req *http = r->http;

    if (!is_jose(http->content_type)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 415,
               "The Content-Type must be " JOSE_TYPE " (RFC 8555 section 6.2).");
    }
    TRY(jws_parse(http->body, http->body_len, (unsigned)acme_settings(r->acme)->min_rsa_bits,
                  &r->jws, &r->prob));
    if (!base_url_matches(r->base, r->jws.url, http->path, http->query)) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 0,
               "The \"url\" in the protected header must be the URL of this request, %s%.200s "
               "(RFC 8555 section 6.4).",
               r->base, http->path);
    }
    struct err e = find_key(r, endpoint->key_mode);
    if (e.code == ERR_OK) {
        e = jws_verify(&r->jws, r->key, &r->prob);
    }
    if (e.code != ERR_OK) { /* whoever it is: not known to be that account */
        r->account_id[0] = '\0';
        return e;
    }
    /* After the signature, so that strangers cannot burn nonces. */
    TRY(nonce_consume(r->acme->nonces, r->jws.nonce, &r->prob));
    if (chaos_rejects_nonce(r->acme->chaos)) {
        REJECT(
            &r->prob, PROBLEM_BAD_NONCE, 0,
            "Test mode: this good nonce was rejected on purpose; send the request again with the "
            "new one.");
    }
    TRY(check_client(r));
    return endpoint->handler(r);
}

static void reply_failure(struct acme_req *r, struct err e)
{
    char peer[IP_TEXT_MAX + 1] = "";

    ip_text(&r->http->peer, peer);
    buf_reset(&r->resp->body);
    if (e.code == ERR_REJECTED) {
        log_ev(LOG_INFO, "acme.refused", {"path", r->http->path},
               {"type", problem_urn(r->prob.type)},
               {"account", r->account_id[0] == '\0' ? NULL : r->account_id}, {"peer", peer},
               {"msg", r->prob.detail});
    } else {
        log_err(LOG_ERROR, "acme.failed", e);
        problem_clear(&r->prob);
        err_ignore(problem_set(&r->prob, PROBLEM_SERVER_INTERNAL, 0,
                               "The server could not do this; try again in a moment. The "
                               "administrator finds the cause in the log under request id %s.",
                               r->http->id));
    }
    acme_req_stamp(r);
    problem_respond(&r->prob, r->resp);
}

static void req_clear(struct acme_req *r)
{
    json_decref(r->payload);
    jwk_free(r->key);
    jws_clear(&r->jws);
    problem_clear(&r->prob);
}

void acme_post(void *ctx, const struct http_req *http, struct http_resp *resp)
{
    const struct acme_endpoint *endpoint = ctx;
    struct acme_req r = {.acme = endpoint->acme, .http = http, .resp = resp};

    base_url_of(&r.acme->base_urls, http->host, r.base);
    struct err e = run(&r, endpoint);
    if (e.code != ERR_OK) {
        reply_failure(&r, e);
    }
    acme_add_headers(r.acme, r.base, resp);
    req_clear(&r);
}

struct err acme_req_object(struct acme_req *r)
{
    void *json = NULL;

    if (r->jws.is_post_as_get) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "The payload is empty: this request needs a JSON object, at least {}.");
    }
    TRY(json_object_parse(r->jws.payload, r->jws.payload_len, &json, &r->prob));
    r->payload = json;
    return err_ok();
}

struct err acme_req_as_get(struct acme_req *r)
{
    if (!r->jws.is_post_as_get) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "This resource is read with POST-as-GET: the payload must be the empty string "
               "(RFC 8555 section 6.3).");
    }
    return err_ok();
}

struct err acme_req_id(struct acme_req *r, const char *what, char id[OBJECT_ID_LEN + 1],
                       const char **rest)
{
    const char *tail = r->http->tail;
    size_t n = strcspn(tail, "/");

    if (n != OBJECT_ID_LEN || !is_base64url(tail, n)) {
        return acme_req_missing(r, what);
    }
    memcpy(id, tail, n);
    id[n] = '\0';
    *rest = tail[n] == '/' && tail[n + 1] != '\0' ? tail + n + 1 : tail + n;
    return err_ok();
}

struct err acme_req_missing(struct acme_req *r, const char *what)
{
    REJECT(&r->prob, PROBLEM_MALFORMED, 404,
           "There is no %s at this URL: it never existed, or it ended and was removed.", what);
}

struct err acme_req_foreign(struct acme_req *r, const char *what)
{
    REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 0,
           "This %s belongs to another account: sign with the key of the account that made it.",
           what);
}

bool acme_req_is_limited(const struct acme_req *r)
{
    const struct ip_addr *peer = &r->http->peer;
    static const struct ip_addr LOOPBACK6 = {6, {[15] = 1}};

    if ((peer->family == 4 && peer->bytes[0] == 127) || ip_equal(peer, &LOOPBACK6)) {
        return false;
    }
    return r->client[0] == '\0' || access_has_limits(r->acme->access, r->client);
}

struct err acme_req_reply(struct acme_req *r, int status)
{
    TRY(buf_check(&r->resp->body));
    r->resp->status = status;
    r->resp->content_type = "application/json";
    return err_ok();
}

struct err acme_req_text(struct acme_req *r, const char *member, const char **out)
{
    const json_t *value = json_object_get(r->payload, member);

    *out = NULL;
    if (value == NULL || json_is_null(value)) {
        return err_ok();
    }
    if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0, "\"%s\" must be a string.", member);
    }
    *out = json_string_value(value);
    return err_ok();
}

struct err acme_problem_text(const struct problem *prob, char **out)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(ACME_ERROR_JSON_MAX);

    problem_json(prob, &text);
    TRY(buf_check(&text));
    *out = buf_take(&text);
    TRY_PTR(*out);
    return err_ok();
}
