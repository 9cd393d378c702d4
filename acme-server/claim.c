#include "acme-server/claim.h"

#include <string.h>

void claim_table_init(struct claim_table *table)
{
    (void)pthread_mutex_init(&table->lock, NULL);
    (void)pthread_cond_init(&table->freed, NULL);
    table->held = NULL;
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

void claim_take(struct claim_table *table, const char id[OBJECT_ID_LEN + 1], struct claim *claim)
{
    memcpy(claim->id, id, sizeof(claim->id));
    (void)pthread_mutex_lock(&table->lock);
    while (is_held(table, id)) {
        (void)pthread_cond_wait(&table->freed, &table->lock);
    }
    claim->next = table->held;
    table->held = claim;
    (void)pthread_mutex_unlock(&table->lock);
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
