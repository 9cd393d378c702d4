#include "core/util/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* RFC 3339 has four digits for a year: what lies outside is shown as the nearest second inside. */
#define YEAR_0_START (-62167219200)
#define YEAR_9999_END 253402300799

static _Atomic int64_t shift_ms;
/* Where the clocks stand still; 0: they go. */
static _Atomic int64_t held_real_ms, held_mono_ms;

static int64_t read_ns(clockid_t id)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t read_ms(clockid_t id, _Atomic int64_t *held_ms)
{
    int64_t held = atomic_load(held_ms);

    return (held != 0 ? held : read_ns(id) / 1000000) + atomic_load(&shift_ms);
}

int64_t clock_unix_ms(void)
{
    return read_ms(CLOCK_REALTIME, &held_real_ms);
}

int64_t clock_unix_s(void)
{
    return clock_unix_ms() / 1000;
}

int64_t clock_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC, &held_mono_ms);
}

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

void clock_shift(int64_t ms)
{
    atomic_fetch_add(&shift_ms, ms);
}

void clock_hold(bool is_held)
{
    atomic_store(&held_real_ms, is_held ? read_ns(CLOCK_REALTIME) / 1000000 : 0);
    atomic_store(&held_mono_ms, is_held ? read_ns(CLOCK_MONOTONIC) / 1000000 : 0);
}

void clock_rfc3339(int64_t unix_s, char out[CLOCK_RFC3339_LEN + 1])
{
    struct tm parts = {0};
    time_t when = (time_t)(unix_s < YEAR_0_START    ? YEAR_0_START
                           : unix_s > YEAR_9999_END ? YEAR_9999_END
                                                    : unix_s);
    char text[80];

    (void)gmtime_r(&when, &parts);
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900,
                   parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    memcpy(out, text, CLOCK_RFC3339_LEN);
    out[CLOCK_RFC3339_LEN] = '\0';
}
