/* What ends when a client is removed: what it published, and the accounts bound to it
 * (maintain.c). */
#ifndef ACME_SERVER_WITHDRAW_H
#define ACME_SERVER_WITHDRAW_H

#include "core/store/store.h"
#include "core/util/err.h"

/* For access_on_remove(); ctx is struct acme. In the removing transaction. */
MUST_USE struct err acme_client_removed(void *ctx, struct db *db, const char *client);

/* At start: the same for clients that left the configuration while the daemon was off. */
struct acme;
MUST_USE struct err acme_forget_gone(struct acme *acme);

#endif
