#include "acme-server/validate.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "acme-server/validate_int.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/thread.h"

#define NS_PER_S 1000000000

/* --- on the pool ------------------------------------------------------------------------------ */

static int64_t patience_ms(const struct val_target *target)
{
    switch (target->type) {
    case CHALLENGE_HTTP01:
    case CHALLENGE_TLSALPN01:
        return VALIDATE_CONNECT_MS;
    case CHALLENGE_DNS01:
    case CHALLENGE_DNSACCOUNT01:
    case CHALLENGE_DNSPERSIST01:
    case CHALLENGE_TYPES_N:
        break;
    }
    return ACME_DNS01_WAIT_S * 1000;
}

/* As if it was added now: it sleeps until it is woken, or for good. */
static void start_anew(struct validator *v, struct job *job)
{
    job->is_asked = false;
    job->is_begun = false;
    job->step = validator_first_step(job);
    job->deadline_ms = clock_mono_ms() + patience_ms(&job->target);
    validator_push_sleeping(v, job, job->deadline_ms);
}

static void job_finish(struct validator *v, struct job *job, enum outcome outcome)
{
    job->is_away = false;
    switch (outcome) {
    case OUTCOME_LEFT:
        if (job->is_asked) {
            start_anew(v, job);
            return;
        }
        validator_drop(v, job);
        return;
    case OUTCOME_DONE:
        validator_drop(v, job);
        return;
    case OUTCOME_WAIT:
        job->step = STEP_LOOK;
        if (job->is_woken || job->is_stale) {
            validator_push_ready(v, job);
        } else {
            validator_push_sleeping(v, job, job->deadline_ms);
        }
        return;
    case OUTCOME_RETRY:
    case OUTCOME_AGAIN:
        validator_push_sleeping(v, job, clock_mono_ms() + VALIDATE_POLL_MS);
        return;
    case OUTCOME_AWAY:
        return;
    }
}

/* Takes one ready job, runs it with the lock open. */
static bool run_one(struct validator *v)
{
    struct job *job = v->ready.first;

    if (job == NULL) {
        return false;
    }
    validator_unlist(v, job);
    job->is_away = true;
    job->is_woken = false;
    bool is_stale = job->is_stale;
    job->is_stale = false;
    (void)pthread_mutex_unlock(&v->lock);
    const char *scope = log_scope_get();
    char id[OBJECT_ID_LEN + 1];
    memcpy(id, job->target.authz_id, sizeof(id));
    log_scope(id);
    enum outcome outcome = validator_run(v, job, is_stale);
    log_scope(scope);
    (void)pthread_mutex_lock(&v->lock);
    if (outcome == OUTCOME_RETRY && is_stale) {
        job->is_stale = true;
    }
    /* Away: by now it may be anybody's, or gone. */
    if (outcome != OUTCOME_AWAY) {
        job_finish(v, job, outcome);
    }
    return true;
}

size_t validator_run_due(struct validator *v)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&v->lock);
    (void)validator_promote(v);
    while (run_one(v)) {
        n++;
    }
    (void)pthread_mutex_unlock(&v->lock);
    return n;
}

static void wait_for_work(struct validator *v, int64_t wait_ms)
{
    if (wait_ms < 0) {
        (void)pthread_cond_wait(&v->work, &v->lock);
        return;
    }
    int64_t until_ns = clock_mono_ns() + wait_ms * 1000000;
    struct timespec until = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    (void)pthread_cond_timedwait(&v->work, &v->lock, &until);
}

static void *work(void *arg)
{
    struct validator *v = arg;

    (void)pthread_mutex_lock(&v->lock);
    while (!v->is_stopping) {
        int64_t wait_ms = validator_promote(v);
        if (!run_one(v)) {
            wait_for_work(v, wait_ms);
        }
    }
    (void)pthread_mutex_unlock(&v->lock);
    return NULL;
}

/* --- outside ---------------------------------------------------------------------------------- */

static struct err fill(struct validator *v)
{
    v->sleeping = mem_array(VALIDATE_JOBS_MAX, sizeof(void *)); /* pages come as it grows */
    TRY_PTR(v->sleeping);
    return places_init(&v->places, v->acme);
}

struct err validator_new(struct acme *acme, struct validator **out)
{
    struct validator *v = mem_zalloc(sizeof(*v));
    pthread_condattr_t attr;

    TRY_PTR(v);
    v->acme = acme;
    (void)pthread_mutex_init(&v->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&v->work, &attr);
    (void)pthread_condattr_destroy(&attr);
    struct err e = fill(v);
    if (e.code != ERR_OK) {
        validator_free(v);
        return e;
    }
    *out = v;
    return err_ok();
}

struct err validator_start(struct validator *v, unsigned threads)
{
    while (v->threads_n < threads && v->threads_n < ACME_VALIDATORS) {
        TRY(thread_start("validator", THREAD_STACK_USUAL, work, v, &v->threads[v->threads_n]));
        v->threads_n++;
    }
    return err_ok();
}

void validator_stop(struct validator *v)
{
    if (v == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&v->lock);
    v->is_stopping = true;
    (void)pthread_cond_broadcast(&v->work);
    (void)pthread_mutex_unlock(&v->lock);
    for (unsigned i = 0; i < v->threads_n; i++) {
        (void)pthread_join(v->threads[i], NULL);
    }
    v->threads_n = 0;
}

void validator_free(struct validator *v)
{
    if (v == NULL) {
        return;
    }
    validator_stop(v);
    for (size_t i = 0; i < VALIDATE_BUCKETS; i++) {
        while (v->buckets[i] != NULL) {
            struct job *job = v->buckets[i];
            v->buckets[i] = job->chain;
            validator_job_free(job);
        }
    }
    places_clear(&v->places);
    mem_free(v->sleeping);
    (void)pthread_cond_destroy(&v->work);
    (void)pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

static struct err add_locked(struct validator *v, const struct val_job *given, const char **why)
{
    const struct val_target *target = &given->target;
    int64_t now = clock_mono_ms();

    struct job *known = validator_find(v, target);
    if (known != NULL) {
        known->is_asked = true;
        return err_ok();
    }
    if (v->jobs_n >= VALIDATE_JOBS_MAX) {
        *why = "validations under way";
        FAIL(ERR_LIMIT, "%u challenges wait for validation", VALIDATE_JOBS_MAX);
    }
    struct job *job = mem_zalloc(sizeof(*job));
    TRY_PTR(job);
    job->is_local = target->type == CHALLENGE_DNS01 && val_dns01_is_local(v->acme, &target->ident);
    job->is_counted = given->is_limited;
    job->is_limited = given->is_limited;
    job->v = v;
    job->target = *target;
    if (job->is_limited) {
        struct err e = places_take(&v->places, target, job->is_local, why);
        if (e.code != ERR_OK) {
            validator_job_free(job);
            return e;
        }
    }
    job->step = validator_first_step(job);
    job->not_before_ms = now + chaos_delay_ms(v->acme->chaos);
    job->deadline_ms = job->not_before_ms + patience_ms(target);
    buf_init(&job->trail, VALIDATE_TRAIL_MAX);
    validator_link(v, job);
    validator_push_sleeping(v, job, job->deadline_ms);
    return err_ok();
}

struct err validator_add(struct validator *v, const struct val_job *job, const char **why)
{
    *why = "";
    (void)pthread_mutex_lock(&v->lock);
    struct err e = add_locked(v, job, why);
    if (e.code == ERR_OK) {
        (void)pthread_cond_signal(&v->work);
    }
    (void)pthread_mutex_unlock(&v->lock);
    return e;
}

/* A sleeping job goes on; in the test mode not before its time. */
static void wake(struct validator *v, struct job *job)
{
    if (job->list != LIST_SLEEPING) {
        return;
    }
    validator_unlist(v, job);
    if (job->not_before_ms > clock_mono_ms()) {
        validator_push_sleeping(v, job, job->not_before_ms);
    } else {
        validator_push_ready(v, job);
    }
}

/* The time that "processing" took to be stored is not its client's loss. */
static void begin(struct job *job)
{
    int64_t now = clock_mono_ms();
    int64_t from = job->not_before_ms > now ? job->not_before_ms : now;

    job->is_begun = true;
    job->deadline_ms = from + patience_ms(&job->target);
    if (!job->result.is_valid) {
        job->step = validator_first_step(job);
    }
}

void validator_wake(struct validator *v, const struct val_target *target)
{
    (void)pthread_mutex_lock(&v->lock);
    struct job *job = validator_find(v, target);
    if (job != NULL && job->is_away) {
        job->is_woken = true;
    } else if (job != NULL) {
        if (!job->is_begun) {
            begin(job);
        }
        wake(v, job); /* one that has begun, too: RFC 8555 §8.2 */
    }
    (void)pthread_mutex_unlock(&v->lock);
}

void validator_decided(struct validator *v, const char *authz_id)
{
    (void)pthread_mutex_lock(&v->lock);
    struct job *next = *validator_bucket(v->buckets, authz_id);
    while (next != NULL) {
        struct job *job = next;
        next = job->chain;
        if (!job->is_away && strcmp(job->target.authz_id, authz_id) == 0) {
            validator_drop(v, job);
        }
    }
    (void)pthread_mutex_unlock(&v->lock);
}

void validator_account_changed(struct validator *v, const char *account_id)
{
    (void)pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < VALIDATE_BUCKETS; i++) {
        for (struct job *job = v->buckets[i]; job != NULL; job = job->chain) {
            if (strcmp(job->target.account_id, account_id) == 0) {
                job->is_stale = true;
                wake(v, job);
            }
        }
    }
    (void)pthread_mutex_unlock(&v->lock);
}

void validator_on_value(void *ctx, const char digest[TXT_VALUE_LEN + 1])
{
    struct validator *v = ctx;

    (void)pthread_mutex_lock(&v->lock);
    struct job *job = *validator_bucket(v->digests, digest);
    while (job != NULL && strcmp(job->target.digest, digest) != 0) {
        job = job->digest_chain;
    }
    if (job != NULL && job->is_away) {
        job->is_woken = true;
    } else if (job != NULL) {
        wake(v, job);
    }
    (void)pthread_mutex_unlock(&v->lock);
}

size_t validator_waiting(struct validator *v)
{
    (void)pthread_mutex_lock(&v->lock);
    size_t n = v->jobs_n;
    (void)pthread_mutex_unlock(&v->lock);
    return n;
}
