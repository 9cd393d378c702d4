/* newOrder and the order object. RFC 8555 §7.4, §7.1.3; what may be ordered is in order_names.c. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "acme-server/order_names.h"
#include "acme-server/order_records.h"
#include "acme-server/record.h"
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
static void put_order(struct acme_req *r, const struct order_row *order)
{
    struct buf *b = &r->resp->body;
    const char *base = r->base;
    uint8_t places[ACME_IDENTIFIERS_MAX];
    char name[IDENT_TEXT_MAX + 1];

    buf_printf(b, "{\"status\":\"%s\"", order_status(order->status));
    put_time(b, "expires", order->expires_unix);
    buf_puts(b, ",\"identifiers\":[");
    for (size_t i = 0; i < order->names_n; i++) {
        ident_text(&order->names[i].ident, name);
        buf_printf(b, "%s{\"type\":\"%s\",\"value\":\"%s\"}", i == 0 ? "" : ",",
                   order->names[i].ident.is_ip ? "ip" : "dns", name);
    }
    buf_puts(b, "]");
    put_time(b, "notBefore", order->not_before);
    put_time(b, "notAfter", order->not_after);
    if (order->profile[0] != '\0') {
        buf_printf(b, ",\"profile\":\"%s\"", order->profile);
    }
    if (order->replaces[0] != '\0') {
        buf_printf(b, ",\"replaces\":\"%s\"", order->replaces);
    }
    if (order->error != NULL && order->error[0] != '\0') {
        buf_printf(b, ",\"error\":%s", order->error);
    }
    buf_puts(b, ",\"authorizations\":[");
    size_t n = order->names_n < ARRAY_N(places) ? order->names_n : ARRAY_N(places);
    chaos_shuffle(r->acme->chaos, places, n);
    for (size_t i = 0; i < n; i++) {
        buf_printf(b, "%s\"%s/acme/authz/%s\"", i == 0 ? "" : ",", base,
                   order->names[places[i]].authz_id);
    }
    buf_printf(b, "],\"finalize\":\"%s/acme/order/%s/finalize\"", base, order->id);
    if (order->certificate_id[0] != '\0') {
        buf_printf(b, ",\"certificate\":\"%s/acme/certificate/%s\"", base, order->certificate_id);
    }
    buf_puts(b, "}");
}

struct err acme_order_reply(struct acme_req *r, const struct order_row *order, int status)
{
    put_order(r, order);
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
    if (e.code == ERR_OK) {
        memcpy(r->subject, read.row.id, sizeof(r->subject));
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

static void duration_text(int64_t seconds, char out[32])
{
    bool is_days = seconds % 86400 == 0;

    (void)snprintf(out, 32, "%lld %s", (long long)(seconds / (is_days ? 86400 : 3600)),
                   is_days ? "days" : "hours");
}

/* The rules of ca_issue(), said now, so that nobody proves names for an order that cannot end
 * well. */
static struct err check_dates(struct acme_req *r, const struct order_row *order, int64_t lifetime_s)
{
    int64_t now = clock_unix_s();
    int64_t start = order->not_before == 0 ? now - CA_BACKDATE_S : order->not_before;
    char lifetime[32];

    duration_text(lifetime_s, lifetime);
    if (order->not_before != 0 &&
        (order->not_before < now - 3600 || order->not_before >= now + lifetime_s ||
         order->not_before + lifetime_s - 1 <= now)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"notBefore\" must lie between an hour ago and %s from now, and leave some of the "
               "lifetime; leave it out for a certificate that is valid at once.",
               lifetime);
    }
    if (order->not_after != 0 &&
        (order->not_after <= start || order->not_after > start + lifetime_s - 1)) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"notAfter\" must lie within %s after notBefore; leave it out for the whole "
               "lifetime.",
               lifetime);
    }
    return err_ok();
}

static struct err take_profile(struct acme_req *r, struct order_row *order)
{
    const char *name = NULL;
    struct ca_profile profile = {0};

    TRY(acme_req_text(r, "profile", &name));
    if (r->pinned_profile[0] != '\0') {
        if (name != NULL && name[0] != '\0' && strcmp(name, r->pinned_profile) != 0) {
            REJECT(&r->prob, PROBLEM_INVALID_PROFILE, 0,
                   "This directory is for the profile \"%s\": leave \"profile\" out, or use "
                   "%s/acme/directory.",
                   r->pinned_profile, r->base);
        }
        name = r->pinned_profile;
    }
    if (ca_profile_choose(acme_settings(r->acme), name, &profile).code != ERR_OK ||
        strlen(profile.name) > ACME_PROFILE_MAX) {
        REJECT(&r->prob, PROBLEM_INVALID_PROFILE, 0,
               "There is no profile \"%.40s\": the directory's meta lists them; leave it out for "
               "the default.",
               name);
    }
    memcpy(order->profile, profile.name, strlen(profile.name) + 1);
    TRY(take_date(r, "notBefore", &order->not_before));
    TRY(take_date(r, "notAfter", &order->not_after));
    return check_dates(r, order, profile.lifetime_s);
}

struct new_order {
    struct acme_req *r;
    bool is_renewal;  /* the first that replaces a certificate whose time has come */
    struct buf words; /* for the timeline */
    struct order_new_name *names;
    struct order_row row;
};

static void new_order_clear(struct new_order *o)
{
    mem_free(o->names);
    buf_clear(&o->words);
    order_row_clear(&o->row);
}

/* --- replaces (RFC 9773 §5) ------------------------------------------------------------------- */

struct replaces_read {
    const char *renewal_id;
    struct ca_cert_info info;
    bool is_replaced;
    bool is_tried;
};

static void replaces_read_clear(struct replaces_read *read)
{
    ca_cert_info_clear(&read->info);
}

static struct err replaces_fn(struct db *db, void *arg)
{
    struct replaces_read *read = arg;

    ca_cert_info_clear(&read->info);
    TRY(ca_cert_find_renewal(db, read->renewal_id, &read->info));
    return acme_db_is_replaced(db, read->renewal_id, &read->is_replaced, &read->is_tried);
}

static bool shares_name(const struct new_order *o, const struct ca_cert_info *info)
{
    for (size_t i = 0; i < o->row.names_n; i++) {
        for (size_t k = 0; k < info->idents_n; k++) {
            if (ident_equal(&o->names[i].ident, &info->idents[k])) {
                return true;
            }
        }
    }
    return false;
}

static struct err refuse_replaced(struct acme_req *r)
{
    REJECT(&r->prob, PROBLEM_ALREADY_REPLACED, 0,
           "The certificate in \"replaces\" is replaced by another order already: order without "
           "\"replaces\".");
}

static struct err take_replaces(struct acme_req *r, struct new_order *o)
{
    const char *id = NULL;

    TRY(acme_req_text(r, "replaces", &id));
    if (id == NULL || id[0] == '\0') {
        return err_ok();
    }
    AUTO(replaces_read_clear) struct replaces_read read = {.renewal_id = id};
    struct err e = store_read(r->acme->store, "acme.replaces", replaces_fn, &read);
    if (e.code == ERR_NOT_FOUND || e.code == ERR_MALFORMED || strlen(id) > CA_RENEWAL_ID_MAX) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "\"replaces\" names no certificate of this server (RFC 9773 section 4.1): leave it "
               "out.");
    }
    TRY(e);
    if (strcmp(read.info.account_id, r->account_id) != 0) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 0,
               "The certificate in \"replaces\" belongs to another account: leave it out.");
    }
    if (!shares_name(o, &read.info)) {
        REJECT(
            &r->prob, PROBLEM_MALFORMED, 0,
            "The certificate in \"replaces\" has none of the ordered identifiers: leave it out.");
    }
    if (read.is_replaced) {
        return refuse_replaced(r);
    }
    int64_t start = 0;
    int64_t end = 0;
    ca_renewal_window(&read.info, clock_unix_s(), &start, &end);
    o->is_renewal = start <= clock_unix_s() && !read.is_tried;
    memcpy(o->row.replaces, id, strlen(id) + 1);
    return err_ok();
}

/* --- storing ---------------------------------------------------------------------------------- */

static struct err reuse_fn(struct db *db, void *arg)
{
    struct new_order *o = arg;
    int64_t reuse_s = acme_settings(o->r->acme)->authorization_reuse_s;
    int64_t since = reuse_s > 0 ? clock_unix_s() - reuse_s : INT64_MAX;

    for (size_t i = 0; i < o->row.names_n; i++) {
        struct authz_reusable found = {0};
        struct order_new_name *name = &o->names[i];
        struct err e = acme_db_authz_reusable(db, o->row.account_id, &name->ident, since, &found);
        if (e.code == ERR_NOT_FOUND) {
            continue;
        }
        TRY(e);
        if (order_name_still_proved(o->r, &name->ident, &found)) {
            memcpy(name->reuse_id, found.id, sizeof(name->reuse_id));
        }
    }
    return err_ok();
}

static struct err insert_fn(struct db *db, void *arg)
{
    struct new_order *o = arg;

    TRY(acme_db_order_insert(db, o->r->acme->delegate, o->names, &o->row));
    for (size_t i = 0; i < o->row.names_n; i++) {
        const struct order_new_name *name = &o->names[i];
        if (name->is_preauthorized && strcmp(o->row.names[i].authz_id, name->authz_id) == 0) {
            TRY(order_name_audit(db, o->r, name));
        }
    }
    TRY(order_records_publish(db, o->r, o->names, o->row.names_n));
    return record_add(db, o->row.id, buf_str(&o->words));
}

static void put_words(struct new_order *o)
{
    const struct acme_req *r = o->r;
    char text[IDENT_TEXT_MAX + 1];
    char peer[IP_TEXT_MAX + 1];

    ip_text(&r->http->peer, peer);
    buf_printf(&o->words, "newOrder from %s by account %s%s%s for", peer, r->account_id,
               r->client[0] == '\0' ? "" : ", bound to client ", r->client);
    for (size_t i = 0; i < o->row.names_n; i++) {
        const struct order_new_name *name = &o->names[i];
        ident_text(&name->ident, text);
        buf_printf(&o->words, "%s %s", i == 0 ? "" : ",", text);
        if (name->is_preauthorized) {
            buf_puts(&o->words, " (preauthorized)");
        } else if (name->reuse_id[0] != '\0') {
            buf_puts(&o->words, " (its authorization is reused)");
        }
    }
    buf_printf(&o->words, "; profile %s.", o->row.profile[0] == '\0' ? "default" : o->row.profile);
}

static void log_order(const struct acme_req *r, const struct order_row *order)
{
    char first[IDENT_TEXT_MAX + 1];

    ident_text(&order->names[0].ident, first);
    log_ev(LOG_INFO, "acme.order.new", {"order", order->id}, {"account", r->account_id},
           {"name", first}, {"names", log_int((int64_t)order->names_n)},
           {"status", order_status(order->status)},
           {"client", r->client[0] == '\0' ? NULL : r->client});
}

/* Renewals in their window do not count (RFC 9773 §5). */
static struct err take_place(struct acme_req *r, const struct new_order *o)
{
    int64_t max = acme_settings(r->acme)->limit_orders;

    if (o->is_renewal || !acme_req_is_limited(r) ||
        limits_take(r->acme->limits, LIMIT_ORDERS, r->account_id, max, &r->prob.retry_after_s)) {
        return err_ok();
    }
    REJECT(
        &r->prob, PROBLEM_RATE_LIMITED, 0,
        "Rate limit \"%s\": %lld an hour are used up; try again in %lld s, or put more names into "
        "one order.",
        limit_name(LIMIT_ORDERS), (long long)max, (long long)r->prob.retry_after_s);
}

static struct err prepare(struct acme_req *r, struct new_order *o)
{
    o->row.names = mem_array(o->row.names_n, sizeof(*o->row.names));
    TRY_PTR(o->row.names);
    TRY(random_id(o->row.id));
    memcpy(o->row.account_id, r->account_id, sizeof(o->row.account_id));
    for (size_t i = 0; i < o->row.names_n; i++) {
        TRY(order_name_prepare(r, &o->names[i]));
    }
    if (chaos_reuses(r->acme->chaos)) {
        TRY(store_read(r->acme->store, "acme.authz.reuse", reuse_fn, o));
    }
    put_words(o);
    return err_ok();
}

struct err acme_new_order(struct acme_req *r)
{
    AUTO(new_order_clear) struct new_order o = {.r = r, .words = BUF_INIT(RECORD_TEXT_MAX)};

    TRY(acme_req_object(r));
    TRY(order_names_take(r, &o.names, &o.row.names_n));
    TRY(take_profile(r, &o.row));
    TRY(take_replaces(r, &o));
    TRY(take_place(r, &o));
    TRY(prepare(r, &o));
    struct err e = store_write(r->acme->store, "acme.order.new", insert_fn, &o);
    if (e.code == ERR_CONFLICT && o.row.replaces[0] != '\0') {
        return refuse_replaced(r);
    }
    if (e.code == ERR_BAD_STATE) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 401, "The account was deactivated meanwhile.");
    }
    TRY(e);
    log_order(r, &o.row);
    memcpy(r->subject, o.row.id, sizeof(r->subject));
    return acme_order_reply(r, &o.row, 201);
}
