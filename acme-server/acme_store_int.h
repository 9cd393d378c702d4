/* What the acme_store_*.c files share and nobody else sees. */
#ifndef ACME_SERVER_ACME_STORE_INT_H
#define ACME_SERVER_ACME_STORE_INT_H

#include "acme-server/acme_store.h"

/* What delegate is told once the transaction is durable. */
struct expectation {
    struct delegate *delegate;
    struct ident ident;
    char digest[TXT_VALUE_LEN + 1];
    int64_t expires_unix;
};
MUST_USE struct err acme_db_expect(struct db *db, const struct expectation *x);
/* digest "": nothing is expected of an ip identifier. */
MUST_USE struct err acme_db_forget(struct db *db, struct delegate *delegate, const char *digest);

#endif
