/* newAuthz: an authorization before any order (pre-authorization). RFC 8555 §7.4.1. */
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "acme-server/order_names.h"
#include "acme-server/order_records.h"
#include "acme-server/record.h"
#include "core/util/log.h"
#include "core/util/mem.h"

struct new_authz {
    struct acme_req *r;
    struct order_new_name name;
    struct authz_row row;
};

static void new_authz_clear(struct new_authz *n)
{
    authz_row_clear(&n->row);
}

static struct err insert_fn(struct db *db, void *arg)
{
    struct new_authz *n = arg;

    authz_row_clear(&n->row);
    TRY(acme_db_authz_insert(db, n->r->acme->delegate, n->r->account_id, &n->name));
    if (n->name.is_preauthorized) {
        TRY(order_name_audit(db, n->r, &n->name));
    }
    TRY(order_records_publish(db, n->r, &n->name, 1));
    TRY(record_add(db, n->name.authz_id, "newAuthz: authorization asked for before an order."));
    return acme_db_authz_load(db, n->name.authz_id, &n->row);
}

static struct err check_limit(struct acme_req *r)
{
    int64_t max = acme_settings(r->acme)->limit_orders;

    if (!acme_req_is_limited(r) ||
        limits_take(r->acme->limits, LIMIT_ORDERS, r->account_id, max, &r->prob.retry_after_s)) {
        return err_ok();
    }
    REJECT(&r->prob, PROBLEM_RATE_LIMITED, 0,
           "Rate limit \"%s\": %lld an hour are used up (a newAuthz counts as an order); try again "
           "in %lld s.",
           limit_name(LIMIT_ORDERS), (long long)max, (long long)r->prob.retry_after_s);
}

struct err acme_new_authz(struct acme_req *r)
{
    AUTO(new_authz_clear) struct new_authz n = {.r = r};
    char text[IDENT_TEXT_MAX + 1];

    TRY(acme_req_object(r));
    struct err e = order_name_take(r, json_object_get(r->payload, "identifier"), &n.name.ident);
    if (e.code == ERR_REJECTED && r->prob.type != PROBLEM_MALFORMED) {
        r->prob.status = 403; /* RFC 8555 §7.4.1; newOrder's usual 400 is not the same */
    }
    TRY(e);
    ident_text(&n.name.ident, text);
    if (n.name.ident.is_wildcard) {
        REJECT(&r->prob, PROBLEM_MALFORMED, 0,
               "A wildcard cannot be authorized ahead (RFC 8555 section 7.4.1): order \"%s\" "
               "instead.",
               text);
    }
    TRY(check_limit(r));
    TRY(order_name_prepare(r, &n.name));
    e = store_write(r->acme->store, "acme.authz.new", insert_fn, &n);
    if (e.code == ERR_BAD_STATE) {
        REJECT(&r->prob, PROBLEM_UNAUTHORIZED, 401, "The account was deactivated meanwhile.");
    }
    TRY(e);
    log_ev(LOG_INFO, "acme.authz.new", {"authz", n.row.id}, {"account", r->account_id},
           {"name", text});
    memcpy(r->subject, n.row.id, sizeof(r->subject));
    http_resp_headerf(r->resp, "Location", "%s/acme/authz/%s", r->base, n.row.id);
    return acme_authz_reply(r, &n.row, 201);
}
