/* The flight recorder: what happened to an order, in plain words, for its owner and the
 * administrator.
 *
 * Rows belong to an order or to one of its authorizations (the subject) and ride in transactions
 * that exist anyway. Kept for the last RECORD_ORDERS_KEPT orders. Text holds no secrets: no keys,
 * no JWS, no tokens beyond what the challenge object shows; peers' bytes are made printable before
 * they come here. An instance is the random id in a problem document's "instance": it leads to the
 * subject's timeline. Thread: the connection's. */
#ifndef ACME_SERVER_RECORD_H
#define ACME_SERVER_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "core/store/store.h"
#include "core/util/err.h"
#include "core/util/token.h"

#define RECORD_TEXT_MAX 4096u
#define RECORD_ORDERS_KEPT 1000
#define RECORD_ROWS_MAX 100000 /* whatever the orders: authorizations without one leave rows too */

/* One row, now. text is cut at RECORD_TEXT_MAX; "" adds nothing. */
MUST_USE struct err record_add(struct db *db, const char *subject, const char *text);

struct timeline_row {
    int64_t at_ms; /* unix milliseconds */
    const char *subject;
    const char *text;
};
/* Calls fn for the rows of the order and of its authorizations since the order was made, oldest
 * first. */
MUST_USE struct err record_each(struct db *db, const char *order_id,
                                struct err (*fn)(void *ctx, const struct timeline_row *row),
                                void *ctx);
/* Remember that problem document `id` is about `subject` (an order or authorization id, or "") of
 * this account. */
MUST_USE struct err record_instance(struct db *db, const char *id, const char *account_id,
                                    const char *subject);
/* Whose it is, and the order that it leads to ("" when there is none). ERR_NOT_FOUND. out:
 * OBJECT_ID_LEN + 1 each. */
MUST_USE struct err record_instance_find(struct db *db, const char *id, char *account_id,
                                         char *order_id);
/* Remove what belongs to orders older than the newest `keep`, and what is more than RECORD_ROWS_MAX;
 * at most max rows. */
MUST_USE struct err record_prune(struct db *db, int64_t keep, size_t max, int64_t *removed_n);

#endif
