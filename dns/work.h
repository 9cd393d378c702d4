/* Threads for requests that block (UPDATE, transfers, whatever is signed): bounded queues in front of
 * WORK_THREADS threads, so that many updates share one commit. Transfers have bounds of their own and
 * take no place of the others. Thread: any. */
#ifndef DNS_WORK_H
#define DNS_WORK_H

#include <stdbool.h>

#include "core/util/err.h"
#include "dns/request.h"

#define WORK_THREADS 24u
#define WORK_QUEUE_MAX 1024u
#define WORK_TRANSFERS_MAX 4u       /* threads that may be busy with transfers at a time */
#define WORK_TRANSFER_QUEUE_MAX 64u /* transfers that wait, and as many that will be refused */
#define WORK_TRANSFER_PEER_MAX 4u   /* of them from one address */

struct work;
typedef void (*work_fn)(void *ctx, struct dns_request *request); /* ends the request */
MUST_USE struct err work_new(work_fn fn, void *ctx, struct work **out);
/* Could this AXFR or IXFR be allowed? Called by who puts it; cheap. */
typedef bool (*work_may_fn)(void *ctx, struct dns_request *request);
/* What may not goes to fn without waiting for a thread that transfers may take, behind the others.
 * Before work_start(), ctx as in work_new(). Without it every transfer may. */
void work_gate(struct work *work, work_may_fn may_transfer);
MUST_USE struct err work_start(struct work *work);
/* Takes the request. False: its queue is full, and the request stays the caller's. */
bool work_put(struct work *work, struct dns_request *request);
/* Is the question's type AXFR or IXFR? */
bool work_is_transfer(struct dns_request *request);
/* Stops, ends what is queued without an answer, frees. NULL is fine. */
void work_free(struct work *work);

#endif
