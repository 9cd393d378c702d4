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

/* Owned by both sides, freed by the last. */
struct wait {
    struct acme *acme;
    struct caa_question question;
    struct buf trail;
    pthread_mutex_t lock;
    pthread_cond_t done;
    unsigned owners;
    bool is_done;
    enum caa_verdict verdict;
    char detail[VALIDATE_DETAIL_MAX];
};

/* The lock is held; it is not afterwards. */
static void wait_leave(struct wait *w)
{
    bool is_last = --w->owners == 0;

    (void)pthread_mutex_unlock(&w->lock);
    if (is_last) {
        (void)pthread_cond_destroy(&w->done);
        (void)pthread_mutex_destroy(&w->lock);
        buf_clear(&w->trail);
        mem_free(w);
    }
}

static void wait_end(void *arg, enum caa_verdict verdict, const char *detail)
{
    struct wait *w = arg;

    (void)pthread_mutex_lock(&w->lock);
    w->is_done = true;
    w->verdict = verdict;
    (void)snprintf(w->detail, sizeof(w->detail), "%s", detail);
    (void)pthread_cond_signal(&w->done);
    wait_leave(w);
}

static void wait_begin(void *arg)
{
    struct wait *w = arg;
    struct err e = caa_start(w->acme->net, &w->question, clock_mono_ms() + VALIDATE_CAA_MS,
                             &w->trail, wait_end, w);

    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.caa", e);
        wait_end(w, CAA_ALLOWED, "");
    }
}

static struct err wait_new(struct acme *acme, const struct caa_question *question,
                           struct wait **out)
{
    struct wait *w = mem_zalloc(sizeof(*w));
    pthread_condattr_t attr;

    TRY_PTR(w);
    w->acme = acme;
    w->question = *question;
    w->owners = 2;
    w->verdict = CAA_ALLOWED;
    buf_init(&w->trail, VALIDATE_TRAIL_MAX);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->done, &attr);
    (void)pthread_condattr_destroy(&attr);
    *out = w;
    return err_ok();
}

static enum caa_verdict wait_for(struct wait *w, char detail[VALIDATE_DETAIL_MAX])
{
    int64_t until_ns = clock_mono_ns() + (int64_t)(VALIDATE_CAA_MS + GRACE_MS) * 1000000;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    int late = 0;

    (void)pthread_mutex_lock(&w->lock);
    while (!w->is_done && late == 0) {
        late = pthread_cond_timedwait(&w->done, &w->lock, &until);
    }
    enum caa_verdict verdict = w->is_done ? w->verdict : CAA_ALLOWED;
    memcpy(detail, w->detail, sizeof(w->detail));
    wait_leave(w);
    return verdict;
}

struct err caa_wait(struct acme *acme, const struct caa_question *question, bool is_fresh,
                    bool *is_allowed, char detail[VALIDATE_DETAIL_MAX])
{
    struct wait *w = NULL;

    detail[0] = '\0';
    *is_allowed = true;
    if (acme->net == NULL) {
        return err_ok();
    }
    enum caa_verdict verdict = caa_now(acme->net, question, detail);
    if (verdict == CAA_UNKNOWN && !is_fresh) {
        if (atomic_fetch_add(&acme->caa_waiters, 1) >= CAA_WAITERS_MAX) {
            (void)atomic_fetch_sub(&acme->caa_waiters, 1);
            FAIL(ERR_BUSY, "too many finalizations wait for CAA look-ups");
        }
        struct err e = wait_new(acme, question, &w);
        if (e.code == ERR_OK) {
            e = loop_post(acme->loop, wait_begin, w);
            if (e.code != ERR_OK) {
                wait_end(w, CAA_ALLOWED, "");
            }
            verdict = wait_for(w, detail);
        }
        (void)atomic_fetch_sub(&acme->caa_waiters, 1);
        TRY(e);
    }
    *is_allowed = verdict != CAA_FORBIDDEN;
    return err_ok();
}
