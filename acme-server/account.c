/* newAccount, the account object, its list of orders. RFC 8555 §7.3, §7.1.2.1. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/eab.h"
#include "acme-server/handlers.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define MAILTO "mailto:"
#define MAILTO_LEN (sizeof(MAILTO) - 1)
#define MAIL_MAX 254u      /* RFC 5321 §4.5.3.1.3, less the brackets */
#define MAIL_LOCAL_MAX 64u /* §4.5.3.1.1 */
#define ORDERS_PER_PAGE_MAX 1000u
#define CURSOR "cursor="

/* The dot-atom characters of RFC 5322 §3.2.3, less "%", which could hide others in a URL, "?" and
 * "&", which start header fields there, and "`": all that is left prints safely in JSON. */
static bool is_local_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr(".!#$'*+-/=^_{|}~", c) != NULL);
}

static struct err check_contact(struct acme_req *r, const json_t *value)
{
    const char *text = json_string_value(value);

    if (text == NULL) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0, "\"contact\" must be a list of strings.");
    }
    size_t len = json_string_length(value);
    if (len < MAILTO_LEN || strncasecmp(text, MAILTO, MAILTO_LEN) != 0) {
        REJECT(&r->prob, PROBLEM_UNSUPPORTED_CONTACT, 0,
               "The contact \"%.80s\" is not supported: give mailto:someone@example.com, or none.",
               text);
    }
    const char *local = text + MAILTO_LEN;
    size_t left = len - MAILTO_LEN;
    size_t local_len = 0;
    while (local_len < left && is_local_char(local[local_len])) {
        local_len++;
    }
    char domain[NAME_TEXT_MAX + 1];
    const char *why = "it needs one \"@\"";
    if (left > MAIL_MAX) {
        why = "it is longer than 254 characters";
    } else if (local_len == 0 || local_len > MAIL_LOCAL_MAX) {
        why = "the part before \"@\" is empty or too long";
    } else if (local_len < left && local[local_len] == '@' &&
               name_parse(local + local_len + 1, left - local_len - 1, domain, &why).code ==
                   ERR_OK) {
        return err_ok();
    }
    REJECT(&r->prob, PROBLEM_INVALID_CONTACT, 0,
           "The contact \"%.80s\" is not one plain mail address (%s): give "
           "mailto:someone@example.com, without header fields or further addresses.",
           text, why);
}

/* The "contact" member as JSON text; *out NULL when it is absent. */
static struct err contact_text(struct acme_req *r, char **out)
{
    const json_t *list = json_object_get(r->payload, "contact");
    AUTO(buf_clear)
    struct buf text = BUF_INIT(ACME_CONTACTS_MAX * (MAIL_MAX + MAILTO_LEN + 4) + 4);

    *out = NULL;
    if (list == NULL || json_is_null(list)) {
        return err_ok();
    }
    if (!json_is_array(list)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0, "\"contact\" must be a list of strings.");
    }
    if (json_array_size(list) > ACME_CONTACTS_MAX) {
        REJECT(&r->prob, PROBLEM_INVALID_CONTACT, 0,
               "An account has at most %u contacts: give fewer.", ACME_CONTACTS_MAX);
    }
    buf_putc(&text, '[');
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        TRY(check_contact(r, value));
        buf_printf(&text, "%s\"%s\"", i == 0 ? "" : ",", json_string_value(value));
    }
    buf_putc(&text, ']');
    TRY(buf_check(&text));
    *out = buf_take(&text);
    TRY_PTR(*out);
    return err_ok();
}

static struct err get_bool(struct acme_req *r, const char *member, bool *out)
{
    const json_t *value = json_object_get(r->payload, member);

    *out = json_is_true(value);
    if (value != NULL && !json_is_boolean(value) && !json_is_null(value)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0, "\"%s\" must be true or false.", member);
    }
    return err_ok();
}

struct err acme_account_reply(struct acme_req *r, const struct account_row *row, int status)
{
    struct buf *b = &r->resp->body;

    buf_printf(b, "{\"status\":\"%s\",\"contact\":%s,", account_status(row->status), row->contact);
    if (row->terms_agreed) {
        buf_puts(b, "\"termsOfServiceAgreed\":true,");
    }
    if (row->eab[0] != '\0') {
        buf_printf(b, "\"externalAccountBinding\":%s,", row->eab);
    }
    buf_printf(b, "\"orders\":\"%s/acme/account/%s/orders\"}", r->base, row->id);
    http_resp_headerf(r->resp, "Location", "%s/acme/account/%s", r->base, row->id);
    return acme_req_reply(r, status);
}

/* --- newAccount ------------------------------------------------------------------------------- */

struct account_tx {
    const struct acme_req *r;
    struct account_row row;
    bool is_new;
};

static void account_tx_clear(struct account_tx *tx)
{
    account_row_clear(&tx->row);
}

static struct err find_fn(struct db *db, void *arg)
{
    struct account_tx *tx = arg;

    account_row_clear(&tx->row);
    return acme_db_account_find(db, jwk_thumbprint(tx->r->key), &tx->row);
}

static struct err audit_bound(struct db *db, const struct account_tx *tx)
{
    const struct audit_row row = {
        .event = "acme.account.bound",
        .actor = tx->row.client,
        .object = tx->row.id,
        .peer = &tx->r->http->peer,
        .detail = "account bound to the client by external account binding",
    };

    return audit_write(db, &row);
}

static struct err insert_fn(struct db *db, void *arg)
{
    struct account_tx *tx = arg;
    bool is_there = true;

    if (tx->row.client[0] != '\0') {
        TRY(access_exists_tx(tx->r->acme->access, db, tx->row.client, &is_there));
    }
    if (!is_there) {
        FAIL(ERR_DENIED, "client %s was removed meanwhile", tx->row.client);
    }
    TRY(acme_db_account_insert(db, &tx->row, &tx->is_new));
    return tx->is_new && tx->row.client[0] != '\0' ? audit_bound(db, tx) : err_ok();
}

/* RFC 8555 §7.3.4. */
static struct err take_binding(struct acme_req *r, struct account_tx *tx)
{
    const json_t *eab = json_object_get(r->payload, "externalAccountBinding");

    if (eab == NULL || json_is_null(eab)) {
        if (!acme_settings(r->acme)->external_account_required) {
            return err_ok();
        }
        REJECT(
            &r->prob, PROBLEM_EXTERNAL_ACCOUNT_REQUIRED, 0,
            "New accounts need an external account binding: give the key id (a client's name) and "
            "the HMAC key (its secret) that `bailiwick client add` prints.");
    }
    struct err e = eab_verify(r->acme->access, eab, r->jws.url, r->key, &r->http->peer,
                              tx->row.client, &r->prob);
    if (e.code == ERR_LIMIT) {
        r->prob.retry_after_s = 60;
        REJECT(&r->prob, PROBLEM_RATE_LIMITED, 0,
               "Too many wrong credentials came from this address: try again in a minute.");
    }
    TRY(e);
    memcpy(r->client, tx->row.client, sizeof(r->client));
    if (!access_network_ok(r->acme->access, r->client, &r->http->peer)) {
        char peer[IP_TEXT_MAX + 1];
        ip_text(&r->http->peer, peer);
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 0,
               "The client %s may not come from %s: add the network to the client's networks.",
               r->client, peer);
    }
    tx->row.eab = json_dumps(eab, JSON_COMPACT | JSON_ENSURE_ASCII);
    TRY_PTR(tx->row.eab);
    return err_ok();
}

static struct err take_place(struct acme_req *r)
{
    char key[IP_TEXT_MAX + 5];
    int64_t max = acme_settings(r->acme)->limit_new_accounts;

    if (!acme_req_is_limited(r)) {
        return err_ok();
    }
    limits_network_key(&r->http->peer, key);
    if (limits_take(r->acme->limits, LIMIT_NEW_ACCOUNTS, key, max, &r->prob.retry_after_s)) {
        return err_ok();
    }
    REJECT(&r->prob, PROBLEM_RATE_LIMITED, 0,
           "Rate limit \"%s\": %lld an hour are used up for %s; try again in %lld s, or use the "
           "account that you have.",
           limit_name(LIMIT_NEW_ACCOUNTS), (long long)max, key, (long long)r->prob.retry_after_s);
}

static struct err check_terms(struct acme_req *r, bool is_agreed)
{
    const char *terms = acme_settings(r->acme)->terms_of_service;

    if (terms == NULL || terms[0] == '\0' || is_agreed) {
        return err_ok();
    }
    (void)snprintf(r->prob.header_link, sizeof(r->prob.header_link),
                   "<%.250s>;rel=\"terms-of-service\"", terms);
    REJECT(&r->prob, PROBLEM_USER_ACTION_REQUIRED, 0,
           "The terms of service at %.250s must be agreed to: set termsOfServiceAgreed to true.",
           terms);
}

static void log_new(const struct acme_req *r, const struct account_row *row)
{
    char peer[IP_TEXT_MAX + 1];

    ip_text(&r->http->peer, peer);
    log_ev(LOG_INFO, "acme.account.new", {"account", row->id},
           {"alg", jwk_alg_name(jwk_alg(r->key))}, {"peer", peer},
           {"client", row->client[0] == '\0' ? NULL : row->client});
}

static struct err account_insert(struct acme_req *r, struct account_tx *tx)
{
    bool is_agreed = false;
    AUTO(mem_freep) char *contact = NULL;

    TRY(get_bool(r, "termsOfServiceAgreed", &is_agreed));
    TRY(check_terms(r, is_agreed));
    TRY(contact_text(r, &contact));
    TRY(take_binding(r, tx));
    TRY(take_place(r));
    TRY(random_id(tx->row.id));
    tx->row.status = ACCOUNT_VALID;
    tx->row.terms_agreed = is_agreed;
    tx->row.created_unix = clock_unix_s();
    memcpy(tx->row.thumbprint, jwk_thumbprint(r->key), sizeof(tx->row.thumbprint));
    tx->row.contact = contact == NULL ? mem_strdup("[]") : MOVE(contact);
    tx->row.jwk = mem_strdup(jwk_json(r->key));
    if (tx->row.eab == NULL) {
        tx->row.eab = mem_strdup("");
    }
    TRY_PTR(tx->row.contact);
    TRY_PTR(tx->row.jwk);
    TRY_PTR(tx->row.eab);
    struct err e = store_write(r->acme->store, "acme.account.new", insert_fn, tx);
    if (e.code == ERR_DENIED) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 0,
               "The client of the external account binding was removed: use another one.");
    }
    TRY(e);
    if (tx->is_new) {
        log_new(r, &tx->row);
    }
    return err_ok();
}

struct err acme_new_account(struct acme_req *r)
{
    bool is_only_existing = false;
    AUTO(account_tx_clear) struct account_tx tx = {.r = r};

    TRY(acme_req_object(r));
    TRY(get_bool(r, "onlyReturnExisting", &is_only_existing));
    struct err e = store_read(r->acme->store, "acme.account.find", find_fn, &tx);
    if (e.code == ERR_NOT_FOUND) {
        if (is_only_existing) {
            REJECT(&r->prob, PROBLEM_ACCOUNT_DOES_NOT_EXIST, 0,
                   "There is no account with this key: register it, without onlyReturnExisting.");
        }
        e = account_insert(r, &tx);
    }
    TRY(e);
    memcpy(r->account_id, tx.row.id, sizeof(r->account_id));
    if (tx.row.status != ACCOUNT_VALID) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 401, /* RFC 8555 §7.3.6 */
               "The account of this key was deactivated: register a new one with another key.");
    }
    return acme_account_reply(r, &tx.row, tx.is_new ? 201 : 200);
}

/* --- update and deactivation ------------------------------------------------------------------ */

struct update_tx {
    struct acme *acme;
    const char *id;
    const char *contact; /* NULL = as it is */
    const char *error;   /* not NULL = deactivate */
    struct account_row row;
};

static void update_tx_clear(struct update_tx *tx)
{
    account_row_clear(&tx->row);
}

static struct err load_fn(struct db *db, void *arg)
{
    struct update_tx *tx = arg;

    account_row_clear(&tx->row);
    return acme_db_account_load(db, tx->id, &tx->row);
}

static struct err update_fn(struct db *db, void *arg)
{
    struct update_tx *tx = arg;

    if (tx->contact != NULL) {
        TRY(acme_db_account_contact(db, tx->id, tx->contact));
    }
    if (tx->error != NULL) {
        TRY(acme_db_account_deactivate(db, tx->acme->delegate, tx->id, tx->error));
        TRY(acme_account_forget(db, tx->acme, tx->id));
    }
    return load_fn(db, arg);
}

/* Does the payload ask for deactivation? Any other status is ignored (RFC 8555 §7.3.2). */
static struct err wants_end(struct acme_req *r, bool *out)
{
    const char *status = NULL;

    TRY(acme_req_text(r, "status", &status));
    *out = status != NULL && strcmp(status, "deactivated") == 0;
    return err_ok();
}

static struct err account_update(struct acme_req *r, struct update_tx *tx)
{
    bool is_end = false;
    AUTO(mem_freep) char *contact = NULL;
    AUTO(mem_freep) char *error = NULL;

    TRY(acme_req_object(r));
    TRY(wants_end(r, &is_end));
    TRY(contact_text(r, &contact));
    if (is_end) {
        struct problem prob = {0};
        err_ignore(problem_set(&prob, PROBLEM_UNAUTHORIZED, 0, "The account was deactivated."));
        TRY(acme_problem_text(&prob, &error));
    }
    if (contact == NULL && error == NULL) {
        return store_read(r->acme->store, "acme.account.load", load_fn, tx);
    }
    tx->contact = contact;
    tx->error = error;
    struct err e = store_write(r->acme->store, "acme.account.update", update_fn, tx);
    if (e.code == ERR_BAD_STATE) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 401, "The account was deactivated meanwhile.");
    }
    TRY(e);
    log_ev(LOG_INFO, is_end ? "acme.account.deactivated" : "acme.account.updated",
           {"account", r->account_id});
    return err_ok();
}

/* --- the list of orders ----------------------------------------------------------------------- */

struct list_tx {
    const char *account_id;
    char after[OBJECT_ID_LEN + 1];
    size_t max;
    char (*ids)[OBJECT_ID_LEN + 1];
    size_t n;
};

static struct err list_fn(struct db *db, void *arg)
{
    struct list_tx *tx = arg;

    return acme_db_orders_list(db, tx->account_id, tx->after, tx->max, tx->ids, &tx->n);
}

static struct err take_cursor(struct acme_req *r, char after[OBJECT_ID_LEN + 1])
{
    const char *query = r->http->query;
    size_t n = sizeof(CURSOR) - 1;

    if (query[0] == '\0') {
        return err_ok();
    }
    if (strncmp(query, CURSOR, n) != 0 || strlen(query) != n + OBJECT_ID_LEN ||
        !is_base64url(query + n, OBJECT_ID_LEN)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "The query is not one of ours: follow the Link \"next\" of the page before.");
    }
    memcpy(after, query + n, OBJECT_ID_LEN);
    after[OBJECT_ID_LEN] = '\0';
    return err_ok();
}

static struct err orders_page(struct acme_req *r)
{
    int64_t configured = acme_settings(r->acme)->orders_per_page;
    size_t page = configured < 1 || configured > ORDERS_PER_PAGE_MAX ? ORDERS_PER_PAGE_MAX
                                                                     : (size_t)configured;
    struct list_tx tx = {.account_id = r->account_id, .max = page + 1};
    struct buf *b = &r->resp->body;

    TRY(acme_req_as_get(r));
    TRY(take_cursor(r, tx.after));
    AUTO(mem_freep) char(*ids)[OBJECT_ID_LEN + 1] = mem_array(tx.max, sizeof(*ids));
    TRY_PTR(ids);
    tx.ids = ids;
    TRY(store_read(r->acme->store, "acme.account.orders", list_fn, &tx));
    buf_puts(b, "{\"orders\":[");
    for (size_t i = 0; i < tx.n && i < page; i++) {
        buf_printf(b, "%s\"%s/acme/order/%s\"", i == 0 ? "" : ",", r->base, ids[i]);
    }
    buf_puts(b, "]}");
    if (tx.n > page) {
        http_resp_headerf(r->resp, "Link", "<%s/acme/account/%s/orders?" CURSOR "%s>;rel=\"next\"",
                          r->base, r->account_id, ids[page - 1]);
    }
    return acme_req_reply(r, 200);
}

struct err acme_account(struct acme_req *r)
{
    char id[OBJECT_ID_LEN + 1];
    const char *rest = NULL;

    TRY(acme_req_id(r, "account", id, &rest));
    bool is_orders = strcmp(rest, "orders") == 0;
    if (!is_orders && rest[0] != '\0') {
        return acme_req_missing(r, "resource");
    }
    if (strcmp(id, r->account_id) != 0) {
        return acme_req_foreign(r, "account");
    }
    if (is_orders) {
        return orders_page(r);
    }
    AUTO(update_tx_clear) struct update_tx tx = {.acme = r->acme, .id = r->account_id};
    if (r->jws.is_post_as_get) {
        TRY(store_read(r->acme->store, "acme.account.load", load_fn, &tx));
    } else {
        TRY(account_update(r, &tx));
    }
    return acme_account_reply(r, &tx.row, 200);
}
