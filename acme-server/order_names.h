/* What may be ordered: the identifiers of a newOrder request. */
#ifndef ACME_SERVER_ORDER_NAMES_H
#define ACME_SERVER_ORDER_NAMES_H

#include "acme-server/acme_store.h"
#include "acme-server/request.h"
#include "core/util/config.h"

/* A name that policy refuses to everybody, or NULL: *type and a static phrase why. Zones, blocked
 * names, the delegate zone, length. */
const char *order_name_refused(const struct config *cfg, const struct ident *ident,
                               enum problem_type *type);
/* "identifiers" of r->payload, duplicates folded, in their order. ERR_REJECTED: one problem, with
 * subproblems when several are faulty. *out owned by the caller (mem_free). */
MUST_USE struct err order_names_take(struct acme_req *r, struct order_new_name **out, size_t *n);

#endif
