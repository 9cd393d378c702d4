/* At most so many in each second or minute: log lines and audit rows that strangers cause must not grow with
 * what strangers send. One atomic word, zero at the start, no lock.
 * Thread rule: any. */
#ifndef CORE_UTIL_QUOTA_H
#define CORE_UTIL_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#define QUOTA_MAX 65535u

struct quota {
    _Atomic uint64_t state; /* the period's number and what it has used */
};

/* Takes one of `max` (1 to QUOTA_MAX) in the present period of clock_mono_ms(); period_ms > 0. False: none is
 * left. Exact between threads, but for one that the end of a period overtakes in here; a period begins at each multiple of period_ms, so up to 2 * max may lie within
 * any stretch of that length. */
bool quota_take(struct quota *quota, unsigned max, int64_t period_ms);

#endif
