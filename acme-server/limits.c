#include "acme-server/limits.h"

#include <pthread.h>
#include <string.h>

#include "acme-server/limits_internal.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

struct kind_table {
    struct key_table *keys;
    struct window *windows; /* by place */
};

struct limits {
    int64_t start_ms;
    pthread_mutex_t lock; /* leaf */
    struct kind_table kinds[LIMIT_KINDS_N];
};

const char *limit_name(enum limit_kind kind)
{
    switch (kind) {
    case LIMIT_NEW_ACCOUNTS:
        return "new accounts per network";
    case LIMIT_ORDERS:
        return "orders per account";
    case LIMIT_FAILED_VALIDATIONS:
        return "failed validations per account and identifier";
    case LIMIT_KINDS_N:
        break;
    }
    return "unknown";
}

/* --- the events of one key -------------------------------------------------------------------- */

static const struct window_step *step_at(const struct window *window, uint32_t i)
{
    return &window->steps[(window->first + i) % WINDOW_STEPS_MAX];
}

static bool is_over(const struct window_step *step, uint32_t now_s)
{
    return now_s - step->last_s >= LIMITS_WINDOW_S;
}

void window_add(struct window *window, uint32_t now_s)
{
    while (window->steps_n > 0 && is_over(step_at(window, 0), now_s)) {
        window->first = (window->first + 1) % WINDOW_STEPS_MAX;
        window->steps_n--;
    }
    uint32_t newest = (window->first + window->steps_n + WINDOW_STEPS_MAX - 1) % WINDOW_STEPS_MAX;
    bool is_new = window->steps_n == 0 ||
                  window->steps[newest].last_s / WINDOW_STEP_S < now_s / WINDOW_STEP_S;
    /* Never full: an hour touches WINDOW_STEPS_MAX minutes at most. */
    if (is_new && window->steps_n < WINDOW_STEPS_MAX) {
        newest = (window->first + window->steps_n) % WINDOW_STEPS_MAX;
        window->steps_n++;
        window->steps[newest].events_n = 0;
    }
    window->steps[newest].last_s = now_s;
    if (window->steps[newest].events_n < UINT32_MAX) {
        window->steps[newest].events_n++;
    }
}

uint32_t window_wait_s(const struct window *window, uint32_t now_s, int64_t max)
{
    int64_t events_n = 0;

    /* From the newest back: the step at which the limit is met must leave first. */
    for (uint32_t i = window->steps_n; i-- > 0;) {
        const struct window_step *step = step_at(window, i);
        if (is_over(step, now_s)) {
            return 0;
        }
        events_n += step->events_n;
        if (events_n >= max) {
            return step->last_s + LIMITS_WINDOW_S - now_s;
        }
    }
    return 0;
}

/* --- all keys --------------------------------------------------------------------------------- */

static void limits_freep(struct limits **limits)
{
    limits_free(*limits);
}

struct err limits_new(struct limits **out)
{
    AUTO(limits_freep) struct limits *limits = mem_zalloc(sizeof(*limits));

    TRY_PTR(limits);
    if (pthread_mutex_init(&limits->lock, NULL) != 0) {
        mem_freep(&limits);
        FAIL(ERR_NOMEM, "limits: no mutex");
    }
    limits->start_ms = clock_mono_ms();
    for (size_t i = 0; i < LIMIT_KINDS_N; i++) {
        struct kind_table *kind = &limits->kinds[i];
        TRY(key_table_new(LIMITS_KEYS_MAX, &kind->keys));
        kind->windows = mem_array(LIMITS_KEYS_MAX, sizeof(*kind->windows));
        TRY_PTR(kind->windows);
    }
    *out = MOVE(limits);
    return err_ok();
}

void limits_free(struct limits *limits)
{
    if (limits == NULL) {
        return;
    }
    for (size_t i = 0; i < LIMIT_KINDS_N; i++) {
        key_table_free(limits->kinds[i].keys);
        mem_free(limits->kinds[i].windows);
    }
    (void)pthread_mutex_destroy(&limits->lock);
    mem_free(limits);
}

static uint32_t now_s(const struct limits *limits)
{
    return (uint32_t)((clock_mono_ms() - limits->start_ms) / 1000);
}

/* With the lock held. */
static bool allow(const struct kind_table *kind, const char *key, int64_t max, uint32_t now,
                  int64_t *retry_after_s)
{
    uint32_t place = key_table_find(kind->keys, key);
    uint32_t wait_s = place == KEY_TABLE_NONE ? 0 : window_wait_s(&kind->windows[place], now, max);

    if (wait_s == 0) {
        return true;
    }
    *retry_after_s = wait_s;
    return false;
}

/* With the lock held. */
static void count(struct kind_table *kind, const char *key, uint32_t now)
{
    uint32_t place = key_table_find(kind->keys, key);

    if (place == KEY_TABLE_NONE) {
        place = key_table_add(kind->keys, key);
        if (place == KEY_TABLE_NONE) { /* full: forget who was quiet the longest */
            key_table_remove(kind->keys, key_table_oldest(kind->keys));
            place = key_table_add(kind->keys, key);
        }
        memset(&kind->windows[place], 0, sizeof(kind->windows[place]));
    } else {
        key_table_touch(kind->keys, place);
    }
    window_add(&kind->windows[place], now);
}

bool limits_allow(struct limits *limits, enum limit_kind kind, const char *key, int64_t max,
                  int64_t *retry_after_s)
{
    if (max <= 0) {
        return true;
    }
    (void)pthread_mutex_lock(&limits->lock);
    bool is_allowed = allow(&limits->kinds[kind], key, max, now_s(limits), retry_after_s);
    (void)pthread_mutex_unlock(&limits->lock);
    return is_allowed;
}

void limits_count(struct limits *limits, enum limit_kind kind, const char *key, int64_t max)
{
    if (max > 0) {
        (void)pthread_mutex_lock(&limits->lock);
        count(&limits->kinds[kind], key, now_s(limits));
        (void)pthread_mutex_unlock(&limits->lock);
    }
}

bool limits_take(struct limits *limits, enum limit_kind kind, const char *key, int64_t max,
                 int64_t *retry_after_s)
{
    if (max <= 0) {
        return true;
    }
    (void)pthread_mutex_lock(&limits->lock);
    uint32_t now = now_s(limits);
    bool is_allowed = allow(&limits->kinds[kind], key, max, now, retry_after_s);
    if (is_allowed) {
        count(&limits->kinds[kind], key, now);
    }
    (void)pthread_mutex_unlock(&limits->lock);
    return is_allowed;
}

void limits_network_key(const struct ip_addr *peer, char out[IP_TEXT_MAX + 5])
{
    struct ip_net net = {*peer, peer->family == 4 ? 24 : 48};
    size_t kept = net.prefix_len / 8u;

    memset(net.addr.bytes + kept, 0, sizeof(net.addr.bytes) - kept);
    ip_net_text(&net, out);
}
