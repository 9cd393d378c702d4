/* What may be ordered: the identifiers of a newOrder request. */
#ifndef ACME_SERVER_ORDER_NAMES_H
#define ACME_SERVER_ORDER_NAMES_H

#include "acme-server/acme_store.h"
#include "acme-server/request.h"
#include "core/util/config.h"

/* A name that policy refuses to this account, or NULL: *type and a static phrase why. Zones, blocked
 * names, the delegate zone, length, networks of IP addresses; and, for an account bound to a client
 * (client not ""), the client's names. */
const char *order_name_refused(const struct acme *acme, const char *client,
                               const struct ident *ident, enum problem_type *type);
/* Is the authorization of this identifier valid at once for the account that r is from? (A client
 * with preauthorized: true, for its own identifiers, from its networks.) */
bool order_name_preauthorized(const struct acme_req *r, const struct ident *ident);
/* May the account that r is from still use this valid authorization of `ident` (acme_store.h)?
 * Whoever published its value, or its client's preauthorization, must still be good for the name. */
bool order_name_still_proved(const struct acme_req *r, const struct ident *ident,
                             const struct authz_reusable *found);
/* Fill in what a new authorization of name->ident needs: ids, seed, preauthorization. */
MUST_USE struct err order_name_prepare(const struct acme_req *r, struct order_new_name *name);
/* One {"type":..., "value":...}; ERR_REJECTED. */
MUST_USE struct err order_name_take(struct acme_req *r, const json_t *entry, struct ident *out);
/* The audit row of an authorization that needs no challenge. In the inserting transaction. */
MUST_USE struct err order_name_audit(struct db *db, const struct acme_req *r,
                                     const struct order_new_name *name);
/* "identifiers" of r->payload, duplicates folded, in their order. ERR_REJECTED: one problem, with
 * subproblems when several are faulty. *out owned by the caller (mem_free). */
MUST_USE struct err order_names_take(struct acme_req *r, struct order_new_name **out, size_t *n);

#endif
