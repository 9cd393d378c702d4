#include "acme-server/limits_internal.h"

#include <string.h>

#include "core/util/mem.h"
#include "core/util/token.h"

#define SEED_LEN 16u
#define ID_LEN 16u /* of SHA-256(seed, key): enough, since nobody can compute it elsewhere */

struct place {
    uint8_t id[ID_LEN];
    uint32_t chain;        /* next in the same bucket; of a removed place: next free one */
    uint32_t older, newer; /* by last use */
};

struct key_table {
    uint8_t seed[SEED_LEN];
    uint32_t cap;
    uint32_t fresh; /* places from here on were never used */
    uint32_t free;  /* removed places, a stack */
    uint32_t oldest, newest;
    uint32_t buckets_n; /* a power of two */
    uint32_t *buckets;  /* place + 1, so that zeroed memory is an empty table */
    struct place *places;
};

static void table_freep(struct key_table **table)
{
    key_table_free(*table);
}

struct err key_table_new(uint32_t cap, struct key_table **out)
{
    AUTO(table_freep) struct key_table *table = mem_zalloc(sizeof(*table));

    TRY_PTR(table);
    TRY(random_bytes(table->seed, sizeof(table->seed)));
    table->cap = cap;
    table->free = KEY_TABLE_NONE;
    table->oldest = KEY_TABLE_NONE;
    table->newest = KEY_TABLE_NONE;
    table->buckets_n = 1;
    while (table->buckets_n < cap) {
        table->buckets_n *= 2;
    }
    table->buckets = mem_array(table->buckets_n, sizeof(*table->buckets));
    TRY_PTR(table->buckets);
    table->places = mem_array(cap, sizeof(*table->places));
    TRY_PTR(table->places);
    *out = MOVE(table);
    return err_ok();
}

void key_table_free(struct key_table *table)
{
    if (table != NULL) {
        mem_free(table->buckets);
        mem_free(table->places);
        mem_free(table);
    }
}

/* Keys longer than LIMITS_KEY_MAX count by their beginning: ours never are. */
static void id_of(const struct key_table *table, const char *key, uint8_t id[ID_LEN])
{
    uint8_t text[SEED_LEN + LIMITS_KEY_MAX];
    uint8_t digest[SHA256_LEN];
    size_t len = strnlen(key, LIMITS_KEY_MAX);

    memcpy(text, table->seed, SEED_LEN);
    memcpy(text + SEED_LEN, key, len);
    sha256_plain(text, SEED_LEN + len, digest);
    memcpy(id, digest, ID_LEN);
}

static uint32_t *bucket_of(const struct key_table *table, const uint8_t id[ID_LEN])
{
    uint32_t hash = 0;

    memcpy(&hash, id, sizeof(hash));
    return &table->buckets[hash & (table->buckets_n - 1)];
}

uint32_t key_table_find(const struct key_table *table, const char *key)
{
    uint8_t id[ID_LEN];

    id_of(table, key, id);
    uint32_t at = *bucket_of(table, id);
    while (at != 0 && memcmp(table->places[at - 1].id, id, ID_LEN) != 0) {
        at = table->places[at - 1].chain;
    }
    return at == 0 ? KEY_TABLE_NONE : at - 1;
}

static void append_newest(struct key_table *table, uint32_t place)
{
    struct place *p = &table->places[place];

    p->newer = KEY_TABLE_NONE;
    p->older = table->newest;
    if (table->newest == KEY_TABLE_NONE) {
        table->oldest = place;
    } else {
        table->places[table->newest].newer = place;
    }
    table->newest = place;
}

static void unlink_use(struct key_table *table, uint32_t place)
{
    const struct place *p = &table->places[place];

    if (p->older == KEY_TABLE_NONE) {
        table->oldest = p->newer;
    } else {
        table->places[p->older].newer = p->newer;
    }
    if (p->newer == KEY_TABLE_NONE) {
        table->newest = p->older;
    } else {
        table->places[p->newer].older = p->older;
    }
}

uint32_t key_table_add(struct key_table *table, const char *key)
{
    uint32_t place = table->free;

    if (place != KEY_TABLE_NONE) {
        table->free = table->places[place].chain;
    } else if (table->fresh < table->cap) {
        place = table->fresh++;
    } else {
        return KEY_TABLE_NONE;
    }
    struct place *p = &table->places[place];
    id_of(table, key, p->id);
    uint32_t *bucket = bucket_of(table, p->id);
    p->chain = *bucket;
    *bucket = place + 1;
    append_newest(table, place);
    return place;
}

uint32_t key_table_oldest(const struct key_table *table)
{
    return table->oldest;
}

void key_table_touch(struct key_table *table, uint32_t place)
{
    unlink_use(table, place);
    append_newest(table, place);
}

void key_table_remove(struct key_table *table, uint32_t place)
{
    struct place *p = &table->places[place];
    uint32_t *at = bucket_of(table, p->id);

    while (*at != place + 1) {
        at = &table->places[*at - 1].chain;
    }
    *at = p->chain;
    unlink_use(table, place);
    p->chain = table->free;
    table->free = place;
}
