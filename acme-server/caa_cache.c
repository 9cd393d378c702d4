#include "acme-server/caa_cache.h"

#include <pthread.h>
#include <string.h>

#include "core/util/buf.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

#define BUCKETS 1024u

struct entry {
    struct entry *chain; /* of its bucket */
    struct entry *newer;
    int64_t until_ms;
    size_t bytes;
    bool is_cut;
    size_t records_len;
    char *name;       /* owned */
    uint8_t *records; /* owned; each behind its length, two octets */
};

struct caa_cache {
    pthread_mutex_t lock;
    struct entry *oldest, *newest;
    size_t n, bytes;
    struct entry *buckets[BUCKETS];
};

struct err caa_cache_new(struct caa_cache **out)
{
    struct caa_cache *cache = mem_zalloc(sizeof(*cache));

    TRY_PTR(cache);
    if (pthread_mutex_init(&cache->lock, NULL) != 0) {
        mem_free(cache);
        FAIL(ERR_NOMEM, "CAA cache: no mutex");
    }
    *out = cache;
    return err_ok();
}

static struct entry **bucket_of(struct caa_cache *cache, const char *name)
{
    uint32_t h = 2166136261u;

    for (; *name != '\0'; name++) {
        h = (h ^ (uint8_t)*name) * 16777619u;
    }
    return &cache->buckets[h % BUCKETS];
}

static void entry_free(struct entry *entry)
{
    mem_free(entry->name);
    mem_free(entry->records);
    mem_free(entry);
}

static void drop_oldest(struct caa_cache *cache)
{
    struct entry *entry = cache->oldest;
    struct entry **at = bucket_of(cache, entry->name);

    while (*at != entry) {
        at = &(*at)->chain;
    }
    *at = entry->chain;
    cache->oldest = entry->newer;
    if (cache->oldest == NULL) {
        cache->newest = NULL;
    }
    cache->n--;
    cache->bytes -= entry->bytes;
    entry_free(entry);
}

void caa_cache_free(struct caa_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    while (cache->oldest != NULL) {
        drop_oldest(cache);
    }
    (void)pthread_mutex_destroy(&cache->lock);
    mem_free(cache);
}

static bool pack(const struct lookup_result *from, struct entry *to)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(LOOKUP_RDATA_MAX * (LOOKUP_RDATA_LEN_MAX + 2));

    for (size_t i = 0; i < from->rdata_n; i++) {
        buf_u16(&b, (uint16_t)from->rdata[i].len);
        buf_put(&b, from->rdata[i].data, from->rdata[i].len);
    }
    if (b.len == 0 || b.failed) {
        return !b.failed;
    }
    to->records_len = b.len;
    to->records = mem_dup(b.data, b.len);
    return to->records != NULL;
}

static bool unpack(const struct entry *from, struct lookup_result *to)
{
    struct rd r = rd_init(from->records, from->records_len);

    to->status = LOOKUP_NODATA;
    to->is_cut = from->is_cut;
    while (r.left > 0 && to->rdata_n < LOOKUP_RDATA_MAX) {
        size_t len = rd_u16(&r);
        const uint8_t *data = rd_bytes(&r, len);
        uint8_t *copy = data == NULL ? NULL : mem_dup(data, len);
        if (copy == NULL) {
            lookup_result_clear(to);
            return false;
        }
        to->rdata[to->rdata_n++] = (struct lookup_rdata){copy, len};
        to->status = LOOKUP_FOUND;
    }
    if (to->is_cut) {
        to->status = LOOKUP_FOUND;
    }
    return true;
}

static struct entry *entry_new(const char *name, const struct lookup_result *result)
{
    struct entry *entry = mem_zalloc(sizeof(*entry));
    int64_t keep_s = result->status == LOOKUP_FAILED ? CAA_CACHE_FAILED_S : CAA_CACHE_S;

    if (entry == NULL) {
        return NULL;
    }
    entry->name = mem_strdup(name);
    entry->until_ms = clock_mono_ms() + keep_s * 1000;
    entry->is_cut = result->is_cut;
    if (entry->name == NULL || !pack(result, entry)) {
        entry_free(entry);
        return NULL;
    }
    entry->bytes = sizeof(*entry) + strlen(name) + 1 + entry->records_len;
    return entry;
}

void caa_cache_put(struct caa_cache *cache, const char *name, const struct lookup_result *result)
{
    struct entry *entry = entry_new(name, result);

    if (entry == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&cache->lock);
    while (cache->oldest != NULL &&
           (cache->n >= CAA_CACHE_MAX || cache->bytes + entry->bytes > CAA_CACHE_BYTES_MAX ||
            cache->oldest->until_ms <= clock_mono_ms())) {
        drop_oldest(cache);
    }
    /* In front of an older one with the same name, which is found no longer. */
    struct entry **bucket = bucket_of(cache, name);
    entry->chain = *bucket;
    *bucket = entry;
    if (cache->newest == NULL) {
        cache->oldest = entry;
    } else {
        cache->newest->newer = entry;
    }
    cache->newest = entry;
    cache->n++;
    cache->bytes += entry->bytes;
    (void)pthread_mutex_unlock(&cache->lock);
}

bool caa_cache_get(struct caa_cache *cache, const char *name, struct lookup_result *out)
{
    bool is_found = false;

    memset(out, 0, sizeof(*out));
    (void)pthread_mutex_lock(&cache->lock);
    const struct entry *entry = *bucket_of(cache, name);
    while (entry != NULL && strcmp(entry->name, name) != 0) {
        entry = entry->chain;
    }
    if (entry != NULL && entry->until_ms > clock_mono_ms()) {
        is_found = unpack(entry, out);
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return is_found;
}

size_t caa_cache_n(struct caa_cache *cache)
{
    (void)pthread_mutex_lock(&cache->lock);
    size_t n = cache->n;
    (void)pthread_mutex_unlock(&cache->lock);
    return n;
}
