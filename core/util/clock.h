/* The one source of time.  Tests move it with clock_shift(); no product code calls time() itself.
 * Thread rule: any. */
#ifndef CORE_UTIL_CLOCK_H
#define CORE_UTIL_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_RFC3339_LEN 20u /* "2026-01-02T03:04:05Z" */

/* Seconds and milliseconds since 1970 (UTC), with the shift. */
int64_t clock_unix_s(void);
int64_t clock_unix_ms(void);
/* Monotonic milliseconds, with the shift: deadlines and ages. */
int64_t clock_mono_ms(void);
/* Monotonic nanoseconds without shift: measuring. */
int64_t clock_mono_ns(void);
/* Add `ms` to both clocks from now on (tests only). */
void clock_shift(int64_t ms);
/* Both clocks stand still until clock_hold(false), and move by clock_shift() alone; clock_mono_ns() goes on
 * (tests only: what is counted in a second must not depend on when the second ends). */
void clock_hold(bool is_held);
/* UTC text of unix_s, terminated (RFC 3339); years outside 0 to 9999 become the nearest end. */
void clock_rfc3339(int64_t unix_s, char out[CLOCK_RFC3339_LEN + 1]);

#endif
