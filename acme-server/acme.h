/* The ACME server (RFC 8555): what the daemon starts, routes and stops.
 *
 * Everything below /acme/ on HTTPS. Objects are in acme_store's tables; ids are 128-bit random.
 * Validations wait on one network loop; a small pool looks into our own zones and stores decisions.
 * What was under way is taken up again at a restart.
 * Thread: handlers on HTTP threads. */
#ifndef ACME_SERVER_ACME_H
#define ACME_SERVER_ACME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ca/ca.h"
#include "core/http/http.h"
#include "core/store/store.h"
#include "core/util/config.h"
#include "dns/delegate.h"
#include "dns/lookup.h"
#include "dns/zone_records.h"

#define ACME_ORDER_LIFETIME_S (7 * 86400) /* pending and ready orders */
#define ACME_AUTHZ_PENDING_S (7 * 86400)
#define ACME_DNS01_WAIT_S 15 /* processing without a value, then invalid */
#define ACME_IDENTIFIERS_MAX 100u
#define ACME_CONTACTS_MAX 10u
#define ACME_SWEEP_S 86400              /* how often known names are gone through */
#define ACME_KEEP_DECIDED_S (7 * 86400) /* invalid and expired objects are deleted after this */
#define ACME_VALIDATORS 2u              /* threads: looks into our own zones, and decisions */
#define ACME_ACCOUNT_CACHE 1024u

extern const struct store_module ACME_STORE_MODULE;

struct acme;
struct acme_options {
    const struct config *cfg;
    struct store *store;
    struct access *access;
    struct ca *ca;
    struct zone_db *zones;
    struct delegate *delegate;
    struct records *records; /* told of every name that is ordered; NULL: nobody is */
    uint16_t https_port;     /* of the first listener: for public_url's default authority */
    const struct resolve_config *resolve;
    /* every address that we listen on; filled in by acme_start() at the latest */
    const struct ip_endpoint *own;
    size_t own_n;
    bool is_chaos; /* test mode for authors of clients (chaos.h) */
};
MUST_USE struct err acme_new(const struct acme_options *options, struct acme **out);
/* Resume jobs: tell delegate every pending digest, start the validators. */
MUST_USE struct err acme_start(struct acme *acme);
/* Put other settings in force; they must outlive acme. Any thread. */
void acme_reload(struct acme *acme, const struct config_acme *settings);
void acme_free(struct acme *acme);
/* Append our routes. ERR_LIMIT when they do not fit. */
MUST_USE struct err acme_routes(struct acme *acme, struct http_route *routes, size_t cap,
                                size_t *n);
/* For http_options.on_error on paths below /acme/: problem document, Link index, and a fresh
 * nonce. */
void acme_on_http_error(struct acme *acme, const struct http_req *req, int status,
                        const char *detail, struct http_resp *resp);
/* Expire and delete, and (once a day) let names go that a secondary no longer needs; bounded work per
 * call. */
MUST_USE struct err acme_maintain(struct acme *acme, size_t *changed_n);
/* What happened to an order, as JSON ({"order":..., "timeline":[...], "problem":...}), by the order's
 * id or the id at the end of a problem document's "instance". For the administrator. ERR_NOT_FOUND. */
MUST_USE struct err acme_describe(struct acme *acme, const char *id, struct buf *json);
/* The newest orders as JSON, at most max, for the administrator. */
MUST_USE struct err acme_orders_describe(struct acme *acme, size_t max, struct buf *json);
struct acme_counts {
    int64_t accounts, orders_pending, orders_valid, authorizations_pending;
};
MUST_USE struct err acme_count(struct acme *acme, struct acme_counts *out);

#endif
