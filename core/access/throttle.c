#include "core/access/access_int.h"

#include <string.h>

#include "core/util/mem.h"

struct slot {
    struct ip_addr key; /* family 0: free */
    unsigned failures;
    int64_t since_ms; /* start of the minute */
};

struct throttle {
    pthread_mutex_t lock; /* leaf */
    uint64_t seed;        /* so that nobody can aim at one set */
    struct slot sets[THROTTLE_SETS][THROTTLE_WAYS];
};

struct err throttle_new(struct throttle **out)
{
    AUTO(mem_freep) struct throttle *throttle = mem_zalloc(sizeof(*throttle));

    TRY_PTR(throttle);
    TRY(random_bytes(&throttle->seed, sizeof(throttle->seed)));
    if (pthread_mutex_init(&throttle->lock, NULL) != 0) {
        FAIL(ERR_NOMEM, "throttle: no mutex");
    }
    *out = MOVE(throttle);
    return err_ok();
}

void throttle_free(struct throttle *throttle)
{
    if (throttle != NULL) {
        (void)pthread_mutex_destroy(&throttle->lock);
        mem_free(throttle);
    }
}

/* One subscriber usually owns a whole /64. */
static struct ip_addr key_of(const struct ip_addr *peer)
{
    struct ip_addr key = *peer;

    if (key.family == 6) {
        memset(key.bytes + 8, 0, 8);
    }
    return key;
}

static struct slot *set_of(struct throttle *throttle, const struct ip_addr *key)
{
    uint64_t h = throttle->seed ^ key->family;

    for (size_t i = 0; i < sizeof(key->bytes); i++) {
        h = (h ^ key->bytes[i]) * 0x100000001b3ULL;
        h ^= h >> 29;
    }
    return throttle->sets[h % THROTTLE_SETS];
}

static bool is_live(const struct slot *slot, int64_t now_ms)
{
    return slot->key.family != 0 && now_ms - slot->since_ms < THROTTLE_WINDOW_MS;
}

static struct slot *find(struct slot *set, const struct ip_addr *key, int64_t now_ms)
{
    for (size_t i = 0; i < THROTTLE_WAYS; i++) {
        if (is_live(&set[i], now_ms) && ip_equal(&set[i].key, key)) {
            return &set[i];
        }
    }
    return NULL;
}

static struct slot *oldest(struct slot *set, int64_t now_ms)
{
    struct slot *best = &set[0];

    for (size_t i = 0; i < THROTTLE_WAYS; i++) {
        if (!is_live(&set[i], now_ms)) {
            return &set[i];
        }
        if (set[i].since_ms < best->since_ms) {
            best = &set[i];
        }
    }
    return best;
}

void throttle_count(struct throttle *throttle, const struct ip_addr *peer, int64_t now_ms)
{
    struct ip_addr key = key_of(peer);

    (void)pthread_mutex_lock(&throttle->lock);
    struct slot *set = set_of(throttle, &key);
    struct slot *slot = find(set, &key, now_ms);
    if (slot == NULL) {
        slot = oldest(set, now_ms);
        slot->key = key;
        slot->failures = 0;
        slot->since_ms = now_ms;
    }
    slot->failures++;
    (void)pthread_mutex_unlock(&throttle->lock);
}

bool throttle_is_over(struct throttle *throttle, const struct ip_addr *peer, int64_t now_ms)
{
    struct ip_addr key = key_of(peer);

    (void)pthread_mutex_lock(&throttle->lock);
    const struct slot *slot = find(set_of(throttle, &key), &key, now_ms);
    bool is_over = slot != NULL && slot->failures >= ACCESS_FAILURES_PER_MINUTE;
    (void)pthread_mutex_unlock(&throttle->lock);
    return is_over;
}
