#include "core/util/quota.h"

#include <stdatomic.h>

#include "core/util/clock.h"

#define USED_BITS 16

bool quota_take(struct quota *quota, unsigned max, int64_t period_ms)
{
    uint64_t period = (uint64_t)(clock_mono_ms() / period_ms) << USED_BITS;
    uint64_t old = atomic_load(&quota->state);
    uint64_t now;

    do {
        now = old >> USED_BITS == period >> USED_BITS ? old : period;
        if ((now & QUOTA_MAX) >= max) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&quota->state, &old, now + 1));
    return true;
}
