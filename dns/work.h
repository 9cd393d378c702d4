/* Threads for requests that block (UPDATE, transfers, whatever is signed): bounded queues in front of
 * WORK_THREADS threads, so that many updates share one commit. Transfers have bounds of their own and
 * take no place of the others; the addresses that ask for them take turns. Thread: any. */
#ifndef DNS_WORK_H
#define DNS_WORK_H

#include <stdbool.h>

#include "core/util/err.h"
#include "dns/request.h"

#define WORK_THREADS 24u
#define WORK_QUEUE_MAX 1024u
#define WORK_QUEUE_UDP_MAX 768u      /* of them that came by UDP: their senders may be forged */
#define WORK_TRANSFERS_MAX 4u        /* threads that may be busy with transfers at a time */
#define WORK_TRANSFERS_PEER_MAX 3u   /* of them for one address */
#define WORK_TRANSFER_QUEUE_MAX 512u /* transfers that wait */
#define WORK_TRANSFER_PEER_MAX 64u   /* of them from one address: a secondary's zones */
#define WORK_TRANSFER_UDP_MAX 64u    /* of them by UDP, under way or waiting */
#define WORK_TRANSFER_UDP_PEER_MAX 8u
#define WORK_CHECKS_MAX 4u        /* threads that find out who may */
#define WORK_REFUSALS_MAX 64u     /* transfers that wait to be refused */
#define WORK_REFUSALS_PEER_MAX 4u /* of them from one address */

struct work;
typedef void (*work_fn)(void *ctx, struct dns_request *request); /* ends the request */
/* Nothing runs before work_start(); ctx goes to fn, on a thread of ours. ERR_NOMEM. */
MUST_USE struct err work_new(work_fn fn, void *ctx, struct work **out);
/* Could this AXFR or IXFR be allowed? Called by who puts it; cheap. */
typedef bool (*work_may_fn)(void *ctx, struct dns_request *request);
/* Is it allowed? Called by a work thread. False: no, and it was answered and ended. */
typedef bool (*work_check_fn)(void *ctx, struct dns_request *request);
/* What may not goes to fn without waiting for a thread that transfers may take, behind the others; what
 * is_allowed says no to never waits for a turn. Before work_start(), ctx as in work_new(). Without
 * may_come or (NULL) is_allowed every transfer may. */
void work_gate(struct work *work, work_may_fn may_come, work_check_fn is_allowed);
/* Starts the threads, once. ERR_LIMIT, ERR_NOMEM: some may run already, work_free() ends them. */
MUST_USE struct err work_start(struct work *work);
/* Takes the request. False: its queue is full (for UDP earlier than for TCP), and the request stays the caller's. */
bool work_put(struct work *work, struct dns_request *request);
/* Is the question's type AXFR or IXFR? */
bool work_is_transfer(struct dns_request *request);
/* Stops, ends what is queued without an answer, frees. NULL is fine. */
void work_free(struct work *work);

#endif
