/* A thread that waits for a CAA look-up on the loop. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "acme-server/acme_impl.h"
#include "acme-server/validate_job.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define NS_PER_S 1000000000
#define GRACE_MS 500 /* the loop keeps its own deadline; this is for a loop that does not */

struct item {
    struct wait *wait;
    struct caa_question question;
    struct buf trail;
};

/* Owned by both sides, freed by the last. */
struct wait {
    struct acme *acme;
    struct item *items;
    size_t n;
    pthread_mutex_t lock;
    pthread_cond_t done;
    unsigned owners;
    size_t left_n;    /* look-ups under way */
    size_t forbidden; /* the first that is, else n */
    bool is_failed;   /* one could not be looked up, by our own fault */
    char detail[VALIDATE_DETAIL_MAX];
};

/* The lock is held; it is not afterwards. */
static void wait_leave(struct wait *w)
{
    bool is_last = --w->owners == 0;

    (void)pthread_mutex_unlock(&w->lock);
    if (!is_last) {
        return;
    }
    (void)pthread_cond_destroy(&w->done);
    (void)pthread_mutex_destroy(&w->lock);
    for (size_t i = 0; i < w->n; i++) {
        buf_clear(&w->items[i].trail);
    }
    mem_free(w->items);
    mem_free(w);
}

static void item_end(void *arg, enum caa_verdict verdict, const char *detail)
{
    struct item *item = arg;
    struct wait *w = item->wait;
    size_t i = (size_t)(item - w->items);

    (void)pthread_mutex_lock(&w->lock);
    if (verdict == CAA_FORBIDDEN && i < w->forbidden) {
        w->forbidden = i;
        (void)snprintf(w->detail, sizeof(w->detail), "%s", detail);
    }
    w->is_failed = w->is_failed || verdict == CAA_UNKNOWN;
    if (--w->left_n > 0) {
        (void)pthread_mutex_unlock(&w->lock);
        return;
    }
    (void)pthread_cond_signal(&w->done);
    wait_leave(w);
}

static void wait_begin(void *arg)
{
    struct wait *w = arg;
    size_t n = w->n; /* w may be gone after the last one ended */

    for (size_t i = 0; i < n; i++) {
        struct item *item = &w->items[i];
        struct err e = caa_start(w->acme->net, &item->question, clock_mono_ms() + VALIDATE_CAA_MS,
                                 &item->trail, item_end, item);
        if (e.code != ERR_OK) {
            log_err(LOG_ERROR, "acme.caa", e);
            item_end(item, CAA_UNKNOWN, "");
        }
    }
}

static struct err wait_new(struct acme *acme, const struct caa_question *questions, size_t n,
                           struct wait **out)
{
    AUTO(mem_freep) struct wait *w = mem_zalloc(sizeof(*w));
    pthread_condattr_t attr;

    TRY_PTR(w);
    w->items = mem_array(n, sizeof(*w->items));
    TRY_PTR(w->items);
    w->acme = acme;
    w->n = n;
    w->owners = 2;
    w->left_n = n;
    w->forbidden = n;
    for (size_t i = 0; i < n; i++) {
        w->items[i].wait = w;
        w->items[i].question = questions[i];
        buf_init(&w->items[i].trail, VALIDATE_TRAIL_MAX);
    }
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->done, &attr);
    (void)pthread_condattr_destroy(&attr);
    *out = MOVE(w);
    return err_ok();
}

/* False: the loop did not get to it in time, or could not ask. */
static bool wait_for(struct wait *w, size_t *forbidden, char detail[VALIDATE_DETAIL_MAX])
{
    int64_t until_ns = clock_mono_ns() + (int64_t)(VALIDATE_CAA_MS + GRACE_MS) * 1000000;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    int late = 0;

    (void)pthread_mutex_lock(&w->lock);
    while (w->left_n > 0 && late == 0) {
        late = pthread_cond_timedwait(&w->done, &w->lock, &until);
    }
    bool is_done = w->left_n == 0 && !w->is_failed;
    *forbidden = w->forbidden;
    memcpy(detail, w->detail, sizeof(w->detail));
    wait_leave(w);
    return is_done;
}

static struct err ask(struct acme *acme, const struct caa_question *questions, size_t n,
                      size_t *forbidden, char detail[VALIDATE_DETAIL_MAX])
{
    struct wait *w = NULL;

    TRY(wait_new(acme, questions, n, &w));
    if (loop_post(acme->loop, wait_begin, w).code != ERR_OK) {
        (void)pthread_mutex_lock(&w->lock);
        w->owners--; /* the loop's */
        wait_leave(w);
        FAIL(ERR_BUSY, "the network loop is stopping");
    }
    if (!wait_for(w, forbidden, detail)) {
        FAIL(ERR_BUSY, "the network loop is late");
    }
    return err_ok();
}

struct err caa_wait(struct acme *acme, const struct caa_question *questions, size_t n,
                    size_t *forbidden, char detail[VALIDATE_DETAIL_MAX])
{
    detail[0] = '\0';
    *forbidden = n;
    if (n == 0 || acme->net == NULL) {
        return err_ok();
    }
    if (atomic_fetch_add(&acme->caa_waiters, 1) >= CAA_WAITERS_MAX) {
        (void)atomic_fetch_sub(&acme->caa_waiters, 1);
        FAIL(ERR_BUSY, "too many finalizations wait for CAA look-ups");
    }
    struct err e = ask(acme, questions, n, forbidden, detail);
    (void)atomic_fetch_sub(&acme->caa_waiters, 1);
    return e;
}
