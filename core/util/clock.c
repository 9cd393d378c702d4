#include "core/util/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic int64_t shift_ms;

static int64_t read_ns(clockid_t id)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_unix_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000 + atomic_load(&shift_ms);
}

int64_t clock_unix_s(void)
{
    return clock_unix_ms() / 1000;
}

int64_t clock_mono_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000 + atomic_load(&shift_ms);
}

int64_t clock_mono_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

void clock_shift(int64_t ms)
{
    atomic_fetch_add(&shift_ms, ms);
}

void clock_rfc3339(int64_t unix_s, char out[CLOCK_RFC3339_LEN + 1])
{
    struct tm parts;
    time_t when = (time_t)unix_s;
    char text[64];

    if (gmtime_r(&when, &parts) == NULL) {
        when = 0;
        (void)gmtime_r(&when, &parts);
    }
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    (void)snprintf(out, CLOCK_RFC3339_LEN + 1, "%.20s", text);
}
