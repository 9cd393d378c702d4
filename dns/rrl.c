/* A leaky bucket for each network, kept as one 64-bit word: until when its allowance is spent. */
#include "dns/rrl.h"

#include <stdatomic.h>
#include <stddef.h>

#include "core/util/mem.h"
#include "core/util/token.h"

#define SETS_N 16384u /* 512 KiB with four words each: one cache line holds two sets */
#define WAYS_N 4u
#define TRIES 8u
#define US_PER_S UINT64_C(1000000)

/* 15 bits of the network's hash, one bit that turns with every answer above the limit, 48 bits of
 * monotonic microseconds: the moment at which the network owes nothing. */
#define TAG_BITS UINT64_C(0xfffe000000000000)
#define SLIP_BIT UINT64_C(0x0001000000000000)
#define TIME_BITS UINT64_C(0x0000ffffffffffff)

struct rrl {
    uint64_t seed[2];
    uint64_t cost_us, burst_us;
    _Atomic uint64_t words[SETS_N][WAYS_N];
};

struct err rrl_new(uint32_t per_second, struct rrl **out)
{
    if (per_second == 0 || per_second > US_PER_S) {
        FAIL(ERR_CONFIG, "dns.rate_limit: 1 to 1000000 answers per second");
    }
    AUTO(mem_freep) struct rrl *rrl = mem_zalloc(sizeof(*rrl));
    TRY_PTR(rrl);
    TRY(random_bytes(rrl->seed, sizeof(rrl->seed)));
    rrl->seed[0] |= 1; /* a factor */
    rrl->seed[1] |= 1;
    rrl->cost_us = (US_PER_S + per_second - 1) / per_second;
    rrl->burst_us = rrl->cost_us * per_second;
    *out = MOVE(rrl);
    return err_ok();
}

void rrl_free(struct rrl *rrl)
{
    mem_free(rrl);
}

/* The first 24 bits of an IPv4 address, 56 of an IPv6 address, stirred with what nobody outside
 * knows, so that networks that share a word cannot be looked for. */
static uint64_t hash_of(const struct rrl *rrl, const struct ip_addr *peer)
{
    uint64_t h = peer->family;
    size_t n = peer->family == 4 ? 3 : 7;

    for (size_t i = 0; i < n; i++) {
        h = h << 8 | peer->bytes[i];
    }
    h = (h ^ (h >> 31)) * rrl->seed[0];
    h = (h ^ (h >> 29)) * rrl->seed[1];
    return h ^ (h >> 32);
}

/* This network's word; else the one that owes least, which makes room. */
static _Atomic uint64_t *find(struct rrl *rrl, uint64_t hash)
{
    _Atomic uint64_t *set = rrl->words[hash % SETS_N];
    _Atomic uint64_t *least = &set[0];
    uint64_t least_time = TIME_BITS;

    for (size_t i = 0; i < WAYS_N; i++) {
        uint64_t word = atomic_load_explicit(&set[i], memory_order_relaxed);
        if (word != 0 && ((word ^ hash) & TAG_BITS) == 0) {
            return &set[i];
        }
        if ((word & TIME_BITS) < least_time) {
            least_time = word & TIME_BITS;
            least = &set[i];
        }
    }
    return least;
}

enum rrl_verdict rrl_check(struct rrl *rrl, const struct ip_addr *peer, int64_t now_ms)
{
    uint64_t hash = hash_of(rrl, peer);
    uint64_t now_us = (uint64_t)now_ms * 1000 & TIME_BITS;
    _Atomic uint64_t *slot = find(rrl, hash);
    uint64_t before = atomic_load_explicit(slot, memory_order_relaxed);

    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t after = before;
        enum rrl_verdict verdict = RRL_SEND;
        if (((before ^ hash) & TAG_BITS) != 0) {
            after = hash & TAG_BITS; /* another network's */
        }
        uint64_t spent = after & TIME_BITS;
        if (spent < now_us) {
            spent = now_us;
        }
        if (spent - now_us + rrl->cost_us <= rrl->burst_us) {
            after = (after & ~TIME_BITS) | (spent + rrl->cost_us);
        } else {
            verdict = (after & SLIP_BIT) != 0 ? RRL_DROP : RRL_SLIP;
            after ^= SLIP_BIT;
        }
        if (atomic_compare_exchange_weak_explicit(slot, &before, after, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return verdict;
        }
    }
    return RRL_DROP; /* as many of this network were faster */
}
