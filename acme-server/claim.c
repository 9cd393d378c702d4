#include "acme-server/claim.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "core/util/clock.h"

#define NS_PER_S 1000000000

void claim_table_init(struct claim_table *table)
{
    pthread_condattr_t attr;

    (void)pthread_mutex_init(&table->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&table->freed, &attr);
    (void)pthread_condattr_destroy(&attr);
    table->held = NULL;
    table->waiting_n = 0;
}

void claim_table_clear(struct claim_table *table)
{
    (void)pthread_cond_destroy(&table->freed);
    (void)pthread_mutex_destroy(&table->lock);
}

static bool is_held(const struct claim_table *table, const char *id)
{
    for (const struct claim *c = table->held; c != NULL; c = c->next) {
        if (strcmp(c->id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* The lock is held, before and afterwards. */
static void wait_for(struct claim_table *table, const char *id)
{
    int64_t until_ns = clock_mono_ns() + (int64_t)CLAIM_WAIT_MS * 1000000;
    const struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    int late = 0;

    table->waiting_n++;
    while (is_held(table, id) && late == 0) {
        late = pthread_cond_timedwait(&table->freed, &table->lock, &until);
    }
    table->waiting_n--;
}

struct err claim_take(struct claim_table *table, const char id[OBJECT_ID_LEN + 1],
                      struct claim *claim)
{
    memcpy(claim->id, id, sizeof(claim->id));
    (void)pthread_mutex_lock(&table->lock);
    if (is_held(table, id) && table->waiting_n < CLAIM_WAITERS_MAX) {
        wait_for(table, id);
    }
    bool is_free = !is_held(table, id);
    if (is_free) {
        claim->next = table->held;
        table->held = claim;
    }
    (void)pthread_mutex_unlock(&table->lock);
    if (!is_free) {
        FAIL(ERR_BUSY, "another request works on it");
    }
    return err_ok();
}

void claim_drop(struct claim_table *table, struct claim *claim)
{
    (void)pthread_mutex_lock(&table->lock);
    for (struct claim **p = &table->held; *p != NULL; p = &(*p)->next) {
        if (*p == claim) {
            *p = claim->next;
            break;
        }
    }
    (void)pthread_cond_broadcast(&table->freed);
    (void)pthread_mutex_unlock(&table->lock);
}
