/* Times of many operations and their quantiles; the driver's own CPU time. */
#ifndef TESTS_BENCH_SAMPLES_H
#define TESTS_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/util/err.h"
#include "core/util/mem.h"

struct samples {
    uint32_t *us;
    size_t n, cap;
};

static inline struct err record(struct samples *s, int64_t ns)
{
    if (s->n == s->cap) {
        size_t cap = s->cap == 0 ? 1024 : s->cap * 2;
        uint32_t *grown = mem_resize(s->us, cap * sizeof(*grown));
        TRY_PTR(grown);
        s->us = grown;
        s->cap = cap;
    }
    s->us[s->n++] = (uint32_t)(ns / 1000);
    return err_ok();
}

static inline int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static inline double quantile_ms(const struct samples *s, double q)
{
    return s->n == 0 ? 0.0 : (double)s->us[(size_t)((double)(s->n - 1) * q)] / 1000.0;
}

static inline double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

#endif
