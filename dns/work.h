/* Threads for requests that block (UPDATE, transfers, whatever is signed): a bounded queue in front of
 * WORK_THREADS threads, so that many updates share one commit. Thread: any. */
#ifndef DNS_WORK_H
#define DNS_WORK_H

#include <stdbool.h>

#include "core/util/err.h"
#include "dns/request.h"

#define WORK_THREADS 24u
#define WORK_QUEUE_MAX 1024u
#define WORK_TRANSFERS_MAX 4u /* threads that may be busy with transfers at a time */

struct work;
typedef void (*work_fn)(void *ctx, struct dns_request *request); /* ends the request */
MUST_USE struct err work_new(work_fn fn, void *ctx, struct work **out);
MUST_USE struct err work_start(struct work *work);
/* Takes the request. False: the queue is full, and the request stays the caller's. */
bool work_put(struct work *work, struct dns_request *request);
/* Stops, ends what is queued without an answer, frees. NULL is fine. */
void work_free(struct work *work);

#endif
