/* The admin API on the control socket: what the command line asks of a running daemon.
 *
 * Reached only through <state_dir>/control.sock (mode 0600), so whoever connects already owns the
 * state directory; nothing here authenticates. JSON in and out; failures are problem documents
 * (RFC 7807).
 * Thread: handlers on HTTP threads; the options' objects are borrowed for the API's life. */
#ifndef WEB_ADMIN_API_H
#define WEB_ADMIN_API_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/acme.h"
#include "ca/ca.h"
#include "core/access/access.h"
#include "core/http/http.h"
#include "dns/delegate.h"
#include "dns/forward.h"
#include "dns/server.h"
#include "dns/transfer.h"
#include "dns/watch.h"
#include "dns/zone_records.h"

struct admin_api_options {
    const struct config *cfg;
    struct store *store;
    struct access *access;
    struct delegate *delegate;
    struct zone_db *zones;
    const struct ca *ca;
    struct acme *acme;
    struct records *records;
    struct dns_server *dns;
    struct forward *forward; /* NULL: off */
    struct watch *watch;
    struct transfer *transfer;
    const _Atomic int64_t *https_not_after; /* unix seconds of our own HTTPS certificate */
};

struct admin_api;
MUST_USE struct err admin_api_new(const struct admin_api_options *options, struct admin_api **out);
void admin_api_free(struct admin_api *api);
/* Append the routes (HTTP_ON_CONTROL only). ERR_LIMIT when they do not fit. */
MUST_USE struct err admin_api_routes(struct admin_api *api, struct http_route *routes, size_t cap,
                                     size_t *n);
/* A problem document without ACME type, for errors outside /acme/. */
void admin_problem(struct http_resp *resp, int status, const char *detail);

#endif
