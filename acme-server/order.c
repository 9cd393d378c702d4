/* newOrder and the order object. RFC 8555 §7.4, §7.1.3; what may be ordered is in order_names.c. */
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "acme-server/order_names.h"
#include "acme-server/rfc3339.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

/* --- the object ------------------------------------------------------------------------------- */

static void put_time(struct buf *b, const char *member, int64_t unix_s)
{
    char text[CLOCK_RFC3339_LEN + 1];

    if (unix_s != 0) {
        clock_rfc3339(unix_s, text);
        buf_printf(b, ",\"%s\":\"%s\"", member, text);
    }
}

/* Everything here is made of characters that JSON takes as they are. */
static void put_order(struct buf *b, const char *base, const struct order_row *order)
{
    char name[IDENT_TEXT_MAX + 1];

    buf_printf(b, "{\"status\":\"%s\"", order_status(order->status));
    put_time(b, "expires", order->expires_unix);
    buf_puts(b, ",\"identifiers\":[");
    for (size_t i = 0; i < order->names_n; i++) {
        ident_text(&order->names[i].ident, name);
        buf_printf(b, "%s{\"type\":\"dns\",\"value\":\"%s\"}", i == 0 ? "" : ",", name);
    }
    buf_puts(b, "]");
    put_time(b, "notBefore", order->not_before);
    put_time(b, "notAfter", order->not_after);
    if (order->profile[0] != '\0') {
        buf_printf(b, ",\"profile\":\"%s\"", order->profile);
    }
    if (order->error != NULL && order->error[0] != '\0') {
        buf_printf(b, ",\"error\":%s", order->error);
    }
    buf_puts(b, ",\"authorizations\":[");
    for (size_t i = 0; i < order->names_n; i++) {
        buf_printf(b, "%s\"%s/acme/authz/%s\"", i == 0 ? "" : ",", base, order->names[i].authz_id);
    }
    buf_printf(b, "],\"finalize\":\"%s/acme/order/%s/finalize\"", base, order->id);
    if (order->certificate_id[0] != '\0') {
        buf_printf(b, ",\"certificate\":\"%s/acme/certificate/%s\"", base, order->certificate_id);
    }
    buf_puts(b, "}");
}

struct err acme_order_reply(struct acme_req *r, const struct order_row *order, int status)
{
    put_order(&r->resp->body, r->base, order);
    http_resp_headerf(r->resp, "Location", "%s/acme/order/%s", r->base, order->id);
    return acme_req_reply(r, status);
}

struct order_read {
    const char *id;
    struct order_row row;
};

static struct err read_fn(struct db *db, void *arg)
{
    struct order_read *read = arg;

    order_row_clear(&read->row);
    return acme_db_order_load(db, read->id, &read->row);
}

struct err acme_order_of(struct acme_req *r, const char *id, struct order_row *out)
{
    struct order_read read = {.id = id};
    struct err e = store_read(r->acme->store, "acme.order.load", read_fn, &read);

    if (e.code == ERR_NOT_FOUND) {
        return acme_req_missing(r, "order");
    }
    if (e.code == ERR_OK && strcmp(read.row.account_id, r->account_id) != 0) {
        e = acme_req_foreign(r, "order");
    }
    if (e.code != ERR_OK) {
        order_row_clear(&read.row);
        return e;
    }
    *out = read.row;
    return err_ok();
}

struct err acme_order(struct acme_req *r)
{
    char id[OBJECT_ID_LEN + 1];
    const char *rest = NULL;
    AUTO(order_row_clear) struct order_row order = {0};

    TRY(acme_req_id(r, "order", id, &rest));
    if (strcmp(rest, "finalize") == 0) {
        return acme_finalize(r, id);
    }
    if (rest[0] != '\0') {
        return acme_req_missing(r, "resource");
    }
    TRY(acme_req_as_get(r));
    TRY(acme_order_of(r, id, &order));
    return acme_order_reply(r, &order, 200);
}

/* --- newOrder --------------------------------------------------------------------------------- */

static struct err take_date(struct acme_req *r, const char *member, int64_t *out)
{
    const char *text = NULL;

    TRY(acme_req_text(r, member, &text));
    *out = 0;
    if (text == NULL || text[0] == '\0') {
        return err_ok();
    }
    if (rfc3339_parse(text, out).code != ERR_OK || *out <= 0) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"%s\" is not a time such as 2026-01-02T03:04:05Z (RFC 3339).", member);
    }
    return err_ok();
}

/* The rules of ca_issue(), said now, so that nobody proves names for an order that cannot end
 * well. */
static struct err check_dates(struct acme_req *r, const struct order_row *order, int64_t lifetime_s)
{
    int64_t now = clock_unix_s();
    int64_t start = order->not_before == 0 ? now - CA_BACKDATE_S : order->not_before;

    if (order->not_before != 0 &&
        (order->not_before < now - 3600 || order->not_before >= now + lifetime_s)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"notBefore\" must lie between an hour ago and %lld days from now; leave it out "
               "for a certificate that is valid at once.",
               (long long)(lifetime_s / 86400));
    }
    if (order->not_after != 0 &&
        (order->not_after <= start || order->not_after > start + lifetime_s - 1)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"notAfter\" must lie within %lld days after notBefore; leave it out for the whole "
               "lifetime.",
               (long long)(lifetime_s / 86400));
    }
    return err_ok();
}

static struct err take_profile(struct acme_req *r, struct order_row *order)
{
    const char *name = NULL;

    TRY(acme_req_text(r, "profile", &name));
    const struct ca_profile *profile = ca_profile_find(name);
    if (profile == NULL || strlen(profile->name) > ACME_PROFILE_MAX) {
        REJECT(&r->prob, PROBLEM_INVALID_PROFILE, 0,
               "There is no profile \"%.40s\": the directory's meta lists them; leave it out for "
               "the default.",
               name);
    }
    if (name != NULL && name[0] != '\0') {
        memcpy(order->profile, profile->name, strlen(profile->name) + 1);
    }
    TRY(take_date(r, "notBefore", &order->not_before));
    TRY(take_date(r, "notAfter", &order->not_after));
    return check_dates(r, order, profile->lifetime_s);
}

/* digest: base64url(SHA-256(token "." thumbprint)), RFC 8555 §8.1, §8.4. */
static struct err name_secrets(const struct acme_req *r, struct order_new_name *name)
{
    uint8_t token[32];
    uint8_t hash[SHA256_LEN];
    char key_authorization[ACME_TOKEN_LEN + 1 + SHA256_B64_LEN];

    TRY(random_id(name->authz_id));
    TRY(random_id(name->challenge_id));
    TRY(random_bytes(token, sizeof(token)));
    base64url_encode(token, sizeof(token), name->token);
    memcpy(key_authorization, name->token, ACME_TOKEN_LEN);
    key_authorization[ACME_TOKEN_LEN] = '.';
    memcpy(key_authorization + ACME_TOKEN_LEN + 1, jwk_thumbprint(r->key), SHA256_B64_LEN);
    TRY(sha256(key_authorization, sizeof(key_authorization), hash));
    base64url_encode(hash, sizeof(hash), name->digest);
    return err_ok();
}

struct new_order {
    struct acme *acme;
    struct order_new_name *names;
    struct order_row row;
};

static void new_order_clear(struct new_order *o)
{
    mem_free(o->names);
    order_row_clear(&o->row);
}

static struct err reuse_fn(struct db *db, void *arg)
{
    struct new_order *o = arg;
    int64_t since = clock_unix_s() - o->acme->cfg->acme.authorization_reuse_s;

    for (size_t i = 0; i < o->row.names_n; i++) {
        struct authz_reusable found = {0};
        struct order_new_name *name = &o->names[i];
        struct err e = acme_db_authz_reusable(db, o->row.account_id, &name->ident, since, &found);
        if (e.code == ERR_NOT_FOUND) {
            continue;
        }
        TRY(e);
        if (!found.is_published ||
            delegate_publisher_may(o->acme->delegate, &found.by, &name->ident)) {
            memcpy(name->reuse_id, found.id, sizeof(name->reuse_id));
        }
    }
    return err_ok();
}

static struct err insert_fn(struct db *db, void *arg)
{
    struct new_order *o = arg;

    return acme_db_order_insert(db, o->acme->delegate, o->names, &o->row);
}

static void log_order(const struct acme_req *r, const struct order_row *order)
{
    char first[IDENT_TEXT_MAX + 1];

    ident_text(&order->names[0].ident, first);
    log_ev(LOG_INFO, "acme.order.new", {"order", order->id}, {"account", r->account_id},
           {"name", first}, {"names", log_int((int64_t)order->names_n)},
           {"status", order_status(order->status)});
}

struct err acme_new_order(struct acme_req *r)
{
    AUTO(new_order_clear) struct new_order o = {.acme = r->acme};

    TRY(acme_req_object(r));
    TRY(order_names_take(r, &o.names, &o.row.names_n));
    TRY(take_profile(r, &o.row));
    o.row.names = mem_array(o.row.names_n, sizeof(*o.row.names));
    TRY_PTR(o.row.names);
    TRY(random_id(o.row.id));
    memcpy(o.row.account_id, r->account_id, sizeof(o.row.account_id));
    for (size_t i = 0; i < o.row.names_n; i++) {
        TRY(name_secrets(r, &o.names[i]));
    }
    if (r->acme->cfg->acme.authorization_reuse_s > 0) {
        TRY(store_read(r->acme->store, "acme.authz.reuse", reuse_fn, &o));
    }
    TRY(store_write(r->acme->store, "acme.order.new", insert_fn, &o));
    log_order(r, &o.row);
    return acme_order_reply(r, &o.row, 201);
}
