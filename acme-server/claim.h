/* One finalize at a time per order: whoever comes second waits until the first is done, then sees
 * what it did, or is told to come again. Thread: any. */
#ifndef ACME_SERVER_CLAIM_H
#define ACME_SERVER_CLAIM_H

#include <pthread.h>

#include "core/util/err.h"
#include "core/util/token.h"

struct claim { /* on the claimer's stack */
    char id[OBJECT_ID_LEN + 1];
    struct claim *next;
};
struct claim_table {
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct claim *held; /* as many as HTTP threads sign at this moment */
    unsigned waiting_n;
};

void claim_table_init(struct claim_table *table);
void claim_table_clear(struct claim_table *table);
/* Waits while another thread holds `id`, at most CLAIM_WAIT_MS, and not at all when
 * CLAIM_WAITERS_MAX do so already: threads must not stand behind one that waits for somebody else.
 * ERR_BUSY. */
#define CLAIM_WAIT_MS 1000
#define CLAIM_WAITERS_MAX 8u
MUST_USE struct err claim_take(struct claim_table *table, const char id[OBJECT_ID_LEN + 1],
                               struct claim *claim);
void claim_drop(struct claim_table *table, struct claim *claim);

#endif
