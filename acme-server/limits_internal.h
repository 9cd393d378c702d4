/* Inside acme-server: what limits.c and gauge.c share, a bounded map from keys to places.
 *
 * A key is known by a digest under a random seed, so that its length costs nothing and nobody can
 * aim at a chain or make two keys meet. Places are 0 to cap - 1 and index the caller's own array;
 * memory of places that were never used is never touched. Not locked. */
#ifndef ACME_SERVER_LIMITS_INTERNAL_H
#define ACME_SERVER_LIMITS_INTERNAL_H

#include <stdint.h>

#include "acme-server/limits.h"

#define KEY_TABLE_NONE UINT32_MAX

struct key_table;
MUST_USE struct err key_table_new(uint32_t cap, struct key_table **out);
void key_table_free(struct key_table *table);
/* The key's place, or KEY_TABLE_NONE. */
uint32_t key_table_find(const struct key_table *table, const char *key);
/* A place for a key that has none, as the newest; KEY_TABLE_NONE when all are in use. */
uint32_t key_table_add(struct key_table *table, const char *key);
/* The place that was added or touched the longest ago, or KEY_TABLE_NONE. */
uint32_t key_table_oldest(const struct key_table *table);
void key_table_touch(struct key_table *table, uint32_t place);
void key_table_remove(struct key_table *table, uint32_t place);

/* The events of one key. Those of one minute are counted together and expire together with their
 * last one, so that never more than the limit pass in any hour, and a place is free again at most a
 * minute late. now_s never runs backwards. */
#define WINDOW_STEP_S 60
#define WINDOW_STEPS_MAX (LIMITS_WINDOW_S / WINDOW_STEP_S + 1u)

struct window_step {
    uint32_t last_s;
    uint32_t events_n;
};
struct window {
    uint32_t first; /* a ring, oldest first */
    uint32_t steps_n;
    struct window_step steps[WINDOW_STEPS_MAX];
};
void window_add(struct window *window, uint32_t now_s);
/* 0 when fewer than max (at least 1) events are in the window, else the seconds until it is so. */
uint32_t window_wait_s(const struct window *window, uint32_t now_s, int64_t max);

#endif
