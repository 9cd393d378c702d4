#include "acme-server/validate.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "acme-server/acme_store.h"
#include "acme-server/validate_int.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define NS_PER_S 1000000000

/* --- on the loop ------------------------------------------------------------------------------ */

/* Give the job back. until_ms 0: it is ready. */
static void job_back(struct job *job, enum job_step step, int64_t until_ms)
{
    struct validator *v = job->v;

    (void)pthread_mutex_lock(&v->lock);
    job->is_away = false;
    job->step = step;
    if (until_ms == 0) {
        validator_push_ready(v, job);
    } else {
        validator_push_sleeping(v, job, until_ms);
    }
    (void)pthread_mutex_unlock(&v->lock);
}

static bool is_dns(const struct job *job)
{
    return job->target.type != CHALLENGE_HTTP01 && job->target.type != CHALLENGE_TLSALPN01;
}

static void caa_done(void *arg, enum caa_verdict verdict, const char *detail)
{
    struct job *job = arg;

    if (verdict == CAA_FORBIDDEN) {
        caa_forbids(job->v->acme, &job->target, detail, &job->result);
    }
    job_back(job, STEP_DECIDE, 0);
}

static void caa_begin(struct job *job)
{
    const struct caa_question question = caa_question_of(&job->target);
    struct err e = caa_start(job->v->acme->net, &question, clock_mono_ms() + VALIDATE_CAA_MS,
                             &job->trail, caa_done, job);

    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.caa", e);
        job_back(job, STEP_CAA, clock_mono_ms() + VALIDATE_POLL_MS);
    }
}

static void net_done(void *arg, const struct val_result *result)
{
    struct job *job = arg;
    int64_t now = clock_mono_ms();

    job->result = *result;
    if (result->is_valid && acme_settings(job->v->acme)->caa != CONFIG_CAA_OFF) {
        caa_begin(job);
    } else if (!result->is_valid && is_dns(job) && now < job->deadline_ms) {
        job_back(job, STEP_NET,
                 now + VALIDATE_POLL_MS < job->deadline_ms ? now + VALIDATE_POLL_MS
                                                           : job->deadline_ms);
    } else {
        job_back(job, STEP_DECIDE, 0);
    }
}

static struct err net_start(struct job *job)
{
    struct val_net *net = job->v->acme->net;
    int64_t now = clock_mono_ms();
    int64_t until = job->deadline_ms;

    if (is_dns(job) && (now >= until || until > now + VALIDATE_ATTEMPT_MS)) {
        until = now + VALIDATE_ATTEMPT_MS; /* also the last look, at the deadline */
    }
    buf_reset(&job->trail);
    job->attempt = (struct val_attempt){&job->target, until, &job->trail, net_done, job};
    switch (job->target.type) {
    case CHALLENGE_HTTP01:
        return val_http01_start(net, &job->attempt);
    case CHALLENGE_TLSALPN01:
        return val_tlsalpn01_start(net, &job->attempt);
    case CHALLENGE_DNS01:
    case CHALLENGE_DNSACCOUNT01:
    case CHALLENGE_DNSPERSIST01:
        return val_dns_start(net, &job->attempt);
    case CHALLENGE_TYPES_N:
        break;
    }
    FAIL(ERR_INTERNAL, "unknown challenge type");
}

static void loop_main(void *arg)
{
    struct job *job = arg;

    if (job->step == STEP_CAA) {
        caa_begin(job);
        return;
    }
    struct err e = net_start(job);
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.validate", e);
        job_back(job, STEP_NET, clock_mono_ms() + VALIDATE_POLL_MS);
    }
}

/* --- on the pool ------------------------------------------------------------------------------ */

enum outcome { OUTCOME_DONE, OUTCOME_WAIT, OUTCOME_AGAIN, OUTCOME_RETRY, OUTCOME_AWAY };

/* Without the lock: the job is away. */
static enum outcome job_look(struct acme *acme, struct job *job)
{
    struct err e = val_dns01_local(acme, &job->target, &job->result);

    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.validate", e);
        return OUTCOME_RETRY;
    }
    if (!job->result.is_valid) {
        job->step = STEP_DECIDE;
        return clock_mono_ms() < job->deadline_ms ? OUTCOME_WAIT : OUTCOME_AGAIN;
    }
    job->step = caa_look(acme, &job->target, &job->result) ? STEP_DECIDE : STEP_CAA;
    return OUTCOME_AGAIN;
}

static enum outcome job_decide(struct acme *acme, struct job *job)
{
    struct err e = validate_decide(acme, &job->target, &job->result, buf_str(&job->trail));

    if (e.code == ERR_OK && !job->result.is_valid && job->is_counted) {
        validate_count_failure(acme, &job->target);
    }
    if (e.code == ERR_OK || e.code == ERR_BAD_STATE) {
        return OUTCOME_DONE; /* ERR_BAD_STATE: decided or ended meanwhile */
    }
    log_err(LOG_ERROR, "acme.validate", e);
    if (e.code == ERR_BUSY) { /* its publisher was removed: look again */
        job->step = job->is_local ? STEP_LOOK : STEP_NET;
    }
    return OUTCOME_RETRY;
}

struct target_load {
    const char *authz_id;
    struct authz_row row;
};

static void target_load_clear(struct target_load *load)
{
    authz_row_clear(&load->row);
}

static struct err target_load_fn(struct db *db, void *arg)
{
    struct target_load *load = arg;

    authz_row_clear(&load->row);
    return acme_db_authz_load(db, load->authz_id, &load->row);
}

/* The target under its account's key of today. ERR_BAD_STATE, ERR_NOT_FOUND: it ended. */
static struct err job_refresh(struct acme *acme, struct job *job)
{
    AUTO(target_load_clear) struct target_load load = {.authz_id = job->target.authz_id};
    char base[VALIDATE_ACCOUNT_URL_MAX + 1];
    struct val_target target;

    TRY(store_read(acme->store, "acme.validate.refresh", target_load_fn, &load));
    if (load.row.status != AUTHZ_PENDING) {
        FAIL(ERR_BAD_STATE, "the authorization ended");
    }
    memcpy(base, job->target.account_url, sizeof(base));
    char *path = strstr(base, "/acme/account/");
    if (path != NULL) {
        *path = '\0';
    }
    TRY(validate_target(&load.row, job->target.type, base, &target));
    (void)pthread_mutex_lock(&job->v->lock);
    validator_retarget(job->v, job, &target);
    (void)pthread_mutex_unlock(&job->v->lock);
    return err_ok();
}

static enum outcome job_freshen(struct acme *acme, struct job *job)
{
    struct err e = job_refresh(acme, job);

    if (e.code == ERR_OK) {
        return OUTCOME_AGAIN;
    }
    if (e.code == ERR_BAD_STATE || e.code == ERR_NOT_FOUND) {
        return OUTCOME_DONE;
    }
    log_err(LOG_ERROR, "acme.validate", e);
    return OUTCOME_RETRY;
}

static enum outcome job_run(struct acme *acme, struct job *job, bool is_stale)
{
    enum outcome outcome = is_stale ? job_freshen(acme, job) : OUTCOME_AGAIN;

    while (outcome == OUTCOME_AGAIN) {
        if (job->step == STEP_LOOK) {
            outcome = job_look(acme, job);
        } else if (job->step == STEP_DECIDE) {
            outcome = job_decide(acme, job);
        } else if (acme->loop == NULL || loop_post(acme->loop, loop_main, job).code != ERR_OK) {
            outcome = OUTCOME_RETRY;
        } else {
            outcome = OUTCOME_AWAY;
        }
    }
    return outcome;
}

static void job_finish(struct validator *v, struct job *job, enum outcome outcome)
{
    job->is_away = false;
    switch (outcome) {
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
    struct job *job = v->lists[LIST_READY].first;

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
    enum outcome outcome = job_run(v->acme, job, is_stale);
    log_scope(scope);
    (void)pthread_mutex_lock(&v->lock);
    if (outcome == OUTCOME_RETRY && is_stale) {
        job->is_stale = true;
    }
    if (outcome != OUTCOME_AWAY) { /* else it is the loop's, or was given back already */
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
    struct err e = gauge_new(&v->accounts);
    if (e.code == ERR_OK) {
        e = gauge_new(&v->targets);
    }
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
        if (pthread_create(&v->threads[v->threads_n], NULL, work, v) != 0) {
            FAIL(ERR_LIMIT, "cannot start a validator thread");
        }
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
    gauge_free(v->accounts);
    gauge_free(v->targets);
    (void)pthread_cond_destroy(&v->work);
    (void)pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

static struct err take_places(struct validator *v, const struct val_target *target,
                              const char **why)
{
    const struct config_acme *settings = acme_settings(v->acme);

    if (!gauge_enter(v->accounts, target->account_id, settings->limit_pending_validations)) {
        *why = "pending validations per account (acme.rate_limits.pending_validations)";
        FAIL(ERR_LIMIT, "account: %s", *why);
    }
    if (!gauge_enter(v->targets, target->ident.base, VALIDATE_PER_TARGET_MAX)) {
        gauge_leave(v->accounts, target->account_id);
        *why = "pending validations of one identifier";
        FAIL(ERR_LIMIT, "target: %s", *why);
    }
    return err_ok();
}

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

static struct err add_locked(struct validator *v, const struct val_job *given, const char **why)
{
    const struct val_target *target = &given->target;
    int64_t now = clock_mono_ms();

    if (validator_find(v, target) != NULL) {
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
    job->is_limited = given->is_limited && !job->is_local;
    if (job->is_limited) {
        struct err e = take_places(v, target, why);
        if (e.code != ERR_OK) {
            validator_job_free(job);
            return e;
        }
    }
    int64_t delay = chaos_delay_ms(v->acme->chaos);
    job->v = v;
    job->target = *target;
    job->step = job->is_local ? STEP_LOOK : STEP_NET;
    job->deadline_ms = now + delay + patience_ms(target);
    buf_init(&job->trail, VALIDATE_TRAIL_MAX);
    job->delay_ms = delay;
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

void validator_wake(struct validator *v, const struct val_target *target)
{
    (void)pthread_mutex_lock(&v->lock);
    struct job *job = validator_find(v, target);
    if (job != NULL && !job->is_away && job->list == LIST_SLEEPING) {
        validator_unlist(v, job);
        if (job->delay_ms > 0) {
            validator_push_sleeping(v, job, clock_mono_ms() + job->delay_ms);
        } else {
            validator_push_ready(v, job);
        }
    }
    (void)pthread_mutex_unlock(&v->lock);
}

void validator_account_changed(struct validator *v, const char *account_id)
{
    (void)pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < VALIDATE_BUCKETS; i++) {
        for (struct job *job = v->buckets[i]; job != NULL; job = job->chain) {
            if (strcmp(job->target.account_id, account_id) != 0) {
                continue;
            }
            job->is_stale = true;
            if (job->list == LIST_SLEEPING) {
                validator_unlist(v, job);
                validator_push_ready(v, job);
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
    } else if (job != NULL && job->list == LIST_SLEEPING) {
        validator_unlist(v, job);
        validator_push_ready(v, job);
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
