/* The handlers that routes.c names. The POST ones run inside acme_post(). */
#ifndef ACME_SERVER_HANDLERS_H
#define ACME_SERVER_HANDLERS_H

#include "acme-server/request.h"
#include "core/http/http.h"
#include "core/store/store.h"

void acme_directory(void *ctx, const struct http_req *http, struct http_resp *resp);
void acme_new_nonce(void *ctx, const struct http_req *http, struct http_resp *resp);
/* Both by POST-as-GET as well (RFC 8555 §6.3). */
MUST_USE struct err acme_directory_as_get(struct acme_req *r);
MUST_USE struct err acme_new_nonce_as_get(struct acme_req *r);
MUST_USE struct err acme_new_account(struct acme_req *r);
MUST_USE struct err acme_account(struct acme_req *r); /* and .../orders */
MUST_USE struct err acme_new_order(struct acme_req *r);
MUST_USE struct err acme_order(struct acme_req *r); /* and .../finalize */
MUST_USE struct err acme_authz(struct acme_req *r);
MUST_USE struct err acme_challenge(struct acme_req *r);
MUST_USE struct err acme_certificate(struct acme_req *r);

MUST_USE struct err
acme_pinned(struct acme_req *r); /* /acme/p/<profile>/new-order, .../directory */
MUST_USE struct err acme_new_authz(struct acme_req *r);
MUST_USE struct err acme_key_change(struct acme_req *r);
MUST_USE struct err acme_revoke(struct acme_req *r);
MUST_USE struct err acme_problem_page(struct acme_req *r);
void acme_pinned_directory(void *ctx, const struct http_req *http, struct http_resp *resp);
void acme_renewal_info(void *ctx, const struct http_req *http, struct http_resp *resp);

/* account.c: the account object as reply, Location included. */
struct account_row;
MUST_USE struct err acme_account_reply(struct acme_req *r, const struct account_row *row,
                                       int status);
/* account_key.c: once the transaction is durable, nobody finds the old key or state in memory. */
MUST_USE struct err acme_account_forget(struct db *db, struct acme *acme, const char *id);
/* authz.c: the authorization object as reply. */
struct authz_row;
MUST_USE struct err acme_authz_reply(struct acme_req *r, const struct authz_row *authz, int status);
/* finalize.c, for an order that is the account's. */
struct order_row;
MUST_USE struct err acme_finalize(struct acme_req *r, const char *order_id);
/* order.c: the order object as reply, the same wherever it is shown; Location and Retry-After
 * included. */
MUST_USE struct err acme_order_reply(struct acme_req *r, const struct order_row *order, int status);
/* Load an order of this account; 404 and 403 otherwise. The caller clears *out. */
MUST_USE struct err acme_order_of(struct acme_req *r, const char *id, struct order_row *out);

/* --- known.c: at start, tell the zones' records which names have orders or authorizations */
MUST_USE struct err acme_tell_known(struct acme *acme);
/* Once a day, a part at each call: names that no order, authorization or client has any more are known
 * no longer. Orders stay until ACME_KEEP_DECIDED_S after their end, or that of their certificate.
 * Maintenance thread. */
MUST_USE struct err acme_sweep_known(struct acme *acme, size_t *gone_n);

#endif
