#include "acme-server/account_cache.h"

#include <pthread.h>
#include <string.h>

#include "core/util/mem.h"

#define NONE UINT32_MAX

struct entry {
    char id[OBJECT_ID_LEN + 1];
    struct account_seen seen; /* key NULL = free */
    uint32_t chain;           /* next in the bucket, or next free */
    uint32_t newer, older;
};

struct account_cache {
    pthread_mutex_t lock;
    struct entry *entries;
    uint32_t *buckets;
    uint32_t max;
    uint32_t free;
    uint32_t newest, oldest;
    uint64_t generation;
};

struct err account_cache_new(size_t max, struct account_cache **out)
{
    AUTO(mem_freep) struct account_cache *cache = mem_zalloc(sizeof(*cache));
    AUTO(mem_freep) struct entry *entries = mem_array(max, sizeof(*entries));
    AUTO(mem_freep) uint32_t *buckets = mem_array(max, sizeof(*buckets));

    TRY_PTR(cache);
    TRY_PTR(entries);
    TRY_PTR(buckets);
    for (uint32_t i = 0; i < (uint32_t)max; i++) {
        buckets[i] = NONE;
        entries[i].chain = i + 1 < max ? i + 1 : NONE;
    }
    (void)pthread_mutex_init(&cache->lock, NULL);
    cache->entries = MOVE(entries);
    cache->buckets = MOVE(buckets);
    cache->max = (uint32_t)max;
    cache->free = 0;
    cache->newest = NONE;
    cache->oldest = NONE;
    *out = MOVE(cache);
    return err_ok();
}

void account_cache_free(struct account_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (uint32_t i = 0; i < cache->max; i++) {
        jwk_free(cache->entries[i].seen.key);
    }
    (void)pthread_mutex_destroy(&cache->lock);
    mem_free(cache->entries);
    mem_free(cache->buckets);
    mem_free(cache);
}

/* Ids are ours and random; a made-up one only misses. */
static uint32_t *bucket_of(const struct account_cache *cache, const char *id)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < OBJECT_ID_LEN; i++) {
        hash = (hash ^ (uint8_t)id[i]) * 16777619u;
    }
    return &cache->buckets[hash % cache->max];
}

static uint32_t find(const struct account_cache *cache, const char *id)
{
    uint32_t i = *bucket_of(cache, id);

    while (i != NONE && strcmp(cache->entries[i].id, id) != 0) {
        i = cache->entries[i].chain;
    }
    return i;
}

static void lru_unlink(struct account_cache *cache, uint32_t i)
{
    const struct entry *e = &cache->entries[i];

    if (e->newer == NONE) {
        cache->newest = e->older;
    } else {
        cache->entries[e->newer].older = e->older;
    }
    if (e->older == NONE) {
        cache->oldest = e->newer;
    } else {
        cache->entries[e->older].newer = e->newer;
    }
}

static void lru_push(struct account_cache *cache, uint32_t i)
{
    struct entry *e = &cache->entries[i];

    e->newer = NONE;
    e->older = cache->newest;
    if (cache->newest == NONE) {
        cache->oldest = i;
    } else {
        cache->entries[cache->newest].newer = i;
    }
    cache->newest = i;
}

static void evict(struct account_cache *cache, uint32_t i)
{
    struct entry *e = &cache->entries[i];
    uint32_t *link = bucket_of(cache, e->id);

    while (*link != i) {
        link = &cache->entries[*link].chain;
    }
    *link = e->chain;
    lru_unlink(cache, i);
    jwk_free(e->seen.key);
    e->seen.key = NULL;
    e->chain = cache->free;
    cache->free = i;
}

bool account_cache_get(struct account_cache *cache, const char id[OBJECT_ID_LEN + 1],
                       struct account_seen *out, uint64_t *generation)
{
    (void)pthread_mutex_lock(&cache->lock);
    uint32_t i = find(cache, id);
    if (i != NONE) {
        *out = cache->entries[i].seen;
        out->key = jwk_ref(out->key);
        lru_unlink(cache, i);
        lru_push(cache, i);
    }
    *generation = cache->generation;
    (void)pthread_mutex_unlock(&cache->lock);
    return i != NONE;
}

void account_cache_put(struct account_cache *cache, const char id[OBJECT_ID_LEN + 1],
                       const struct account_seen *seen, uint64_t generation)
{
    (void)pthread_mutex_lock(&cache->lock);
    if (cache->generation == generation && find(cache, id) == NONE) {
        if (cache->free == NONE) {
            evict(cache, cache->oldest);
        }
        uint32_t i = cache->free;
        struct entry *e = &cache->entries[i];
        uint32_t *bucket = bucket_of(cache, id);
        cache->free = e->chain;
        memcpy(e->id, id, sizeof(e->id));
        e->seen = *seen;
        e->seen.key = jwk_ref(seen->key);
        e->chain = *bucket;
        *bucket = i;
        lru_push(cache, i);
    }
    (void)pthread_mutex_unlock(&cache->lock);
}

void account_cache_drop(struct account_cache *cache, const char id[OBJECT_ID_LEN + 1])
{
    (void)pthread_mutex_lock(&cache->lock);
    cache->generation++;
    uint32_t i = find(cache, id);
    if (i != NONE) {
        evict(cache, i);
    }
    (void)pthread_mutex_unlock(&cache->lock);
}
