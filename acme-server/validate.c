#include "acme-server/validate.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define BUCKETS 1024u
#define NS_PER_S 1000000000

/* Names of ours are ready apart from the others: a look into the snapshot must not stand behind a
 * silent resolver. */
enum job_list { LIST_NONE, LIST_READY, LIST_READY_REMOTE, LIST_DEADLINE, LIST_POLL, LISTS_N };

struct job {
    struct val_target target;
    bool is_local;
    bool is_running;
    bool is_woken; /* its value arrived while it ran */
    int64_t deadline_ms;
    int64_t next_ms;
    enum job_list list;
    struct job *chain; /* of its bucket */
    struct job *prev, *next;
};

/* Each list is in the order of next_ms, because everything in it waits equally long. */
struct list {
    struct job *first, *last;
};

struct validator {
    struct acme *acme;
    pthread_mutex_t lock;
    pthread_cond_t work;
    bool is_stopping;
    pthread_t threads[ACME_VALIDATORS];
    unsigned threads_n;
    struct list lists[LISTS_N];
    struct job *buckets[BUCKETS];
    size_t jobs_n;
};

/* --- deciding --------------------------------------------------------------------------------- */

struct decide {
    struct acme *acme;
    struct authz_decision decision;
};

/* The publisher was asked for in memory; an earlier transaction may have removed it since, and
 * withdrawn what it had proved. */
static struct err decide_fn(struct db *db, void *arg)
{
    const struct decide *d = arg;
    bool is_there = true;

    if (d->decision.by.client[0] != '\0') {
        TRY(access_exists_tx(d->acme->access, db, d->decision.by.client, &is_there));
    }
    if (!is_there) {
        FAIL(ERR_BUSY, "client %s was removed while its value was checked", d->decision.by.client);
    }
    return acme_db_authz_decide(db, d->acme->delegate, &d->decision);
}

static void log_decision(const struct val_target *target, const struct val_result *result)
{
    char name[IDENT_TEXT_MAX + 1];
    const struct zone_publisher *by = &result->by;

    ident_text(&target->ident, name);
    if (result->is_valid) {
        log_ev(LOG_INFO, "acme.challenge.valid", {"authz", target->authz_id}, {"name", name},
               {"client", by->client[0] == '\0' ? NULL : by->client},
               {"registration", by->registration[0] == '\0' ? NULL : by->registration},
               {"open", by->is_open ? "true" : NULL});
    } else {
        log_ev(LOG_INFO, "acme.challenge.invalid", {"authz", target->authz_id}, {"name", name},
               {"type", problem_urn(result->type)}, {"msg", result->detail});
    }
}

struct err validate_decide(struct acme *acme, const struct val_target *target,
                           const struct val_result *result)
{
    struct decide d = {.acme = acme};
    AUTO(mem_freep) char *error = NULL;

    d.decision.ident = target->ident;
    memcpy(d.decision.challenge_id, target->challenge_id, sizeof(target->challenge_id));
    memcpy(d.decision.authz_id, target->authz_id, sizeof(target->authz_id));
    memcpy(d.decision.digest, target->digest, sizeof(target->digest));
    d.decision.is_valid = result->is_valid;
    d.decision.is_published = result->is_published;
    d.decision.by = result->by;
    d.decision.reuse_s = acme->cfg->acme.authorization_reuse_s;
    d.decision.error_json = "";
    if (!result->is_valid) {
        struct problem prob = {0};
        err_ignore(problem_set(&prob, result->type, 0, "%s", result->detail));
        TRY(acme_problem_text(&prob, &error));
        d.decision.error_json = error;
    }
    TRY(store_write(acme->store, "acme.challenge.decide", decide_fn, &d));
    log_decision(target, result);
    return err_ok();
}

/* --- lists; the lock is held ------------------------------------------------------------------ */

static void list_push(struct validator *v, enum job_list which, struct job *job)
{
    struct list *list = &v->lists[which];

    job->list = which;
    job->prev = list->last;
    job->next = NULL;
    if (list->last == NULL) {
        list->first = job;
    } else {
        list->last->next = job;
    }
    list->last = job;
}

static void push_ready(struct validator *v, struct job *job)
{
    list_push(v, job->is_local ? LIST_READY : LIST_READY_REMOTE, job);
    /* All of them: a thread that leaves the others' names alone may be the one that a signal
     * reaches. */
    (void)pthread_cond_broadcast(&v->work);
}

static void list_remove(struct validator *v, struct job *job)
{
    struct list *list = &v->lists[job->list];

    if (job->list == LIST_NONE) {
        return;
    }
    if (job->prev == NULL) {
        list->first = job->next;
    } else {
        job->prev->next = job->next;
    }
    if (job->next == NULL) {
        list->last = job->prev;
    } else {
        job->next->prev = job->prev;
    }
    job->list = LIST_NONE;
}

static struct job **bucket_of(struct validator *v, const char *digest)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < TXT_VALUE_LEN && digest[i] != '\0'; i++) {
        hash = (hash ^ (uint8_t)digest[i]) * 16777619u;
    }
    return &v->buckets[hash % BUCKETS];
}

static struct job *job_find(struct validator *v, const char *digest)
{
    struct job *job = *bucket_of(v, digest);

    while (job != NULL && strcmp(job->target.digest, digest) != 0) {
        job = job->chain;
    }
    return job;
}

static void job_drop(struct validator *v, struct job *job)
{
    struct job **link = bucket_of(v, job->target.digest);

    list_remove(v, job);
    while (*link != job) {
        link = &(*link)->chain;
    }
    *link = job->chain;
    v->jobs_n--;
    mem_free(job);
}

static void job_sleep(struct validator *v, struct job *job, bool is_retry)
{
    int64_t now = clock_mono_ms();

    if (job->is_local && !is_retry) {
        job->next_ms = job->deadline_ms;
        list_push(v, LIST_DEADLINE, job);
        return;
    }
    job->next_ms = now + VALIDATE_POLL_MS;
    if (!is_retry && job->deadline_ms < job->next_ms) {
        job->next_ms = job->deadline_ms;
    }
    list_push(v, LIST_POLL, job);
}

/* Move what is due to the ready list; returns the milliseconds until the next one, -1 when nothing
 * waits. */
static int64_t promote_due(struct validator *v)
{
    static const enum job_list SLEEPING[] = {LIST_DEADLINE, LIST_POLL};
    int64_t now = clock_mono_ms();
    int64_t wait = -1;

    for (size_t i = 0; i < ARRAY_N(SLEEPING); i++) {
        struct list *list = &v->lists[SLEEPING[i]];
        while (list->first != NULL && list->first->next_ms <= now) {
            struct job *job = list->first;
            list_remove(v, job);
            push_ready(v, job);
        }
        if (list->first != NULL && (wait < 0 || list->first->next_ms - now < wait)) {
            wait = list->first->next_ms - now;
        }
    }
    return wait;
}

/* --- running ---------------------------------------------------------------------------------- */

enum outcome { OUTCOME_DONE, OUTCOME_WAIT, OUTCOME_RETRY };

static struct err job_check(struct acme *acme, const struct job *job, struct val_result *result)
{
    if (job->is_local) {
        return val_dns01_local(acme, &job->target, result);
    }
    int64_t until = clock_mono_ms() + VALIDATE_ATTEMPT_MS;
    if (job->deadline_ms > clock_mono_ms() && job->deadline_ms < until) {
        until = job->deadline_ms;
    }
    return val_dns01_remote(acme, &job->target, until, result);
}

/* Without the lock: only this thread uses a running job's target and times. */
static enum outcome job_run(struct acme *acme, const struct job *job)
{
    struct val_result result = {0};
    struct err e = job_check(acme, job, &result);

    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.validate", e);
        return OUTCOME_RETRY;
    }
    if (!result.is_valid && clock_mono_ms() < job->deadline_ms) {
        return OUTCOME_WAIT;
    }
    e = validate_decide(acme, &job->target, &result);
    if (e.code == ERR_OK || e.code == ERR_BAD_STATE) {
        return OUTCOME_DONE; /* ERR_BAD_STATE: decided or ended meanwhile */
    }
    log_err(LOG_ERROR, "acme.validate", e);
    return OUTCOME_RETRY;
}

static void job_finish(struct validator *v, struct job *job, enum outcome outcome)
{
    job->is_running = false;
    switch (outcome) {
    case OUTCOME_DONE:
        job_drop(v, job);
        return;
    case OUTCOME_WAIT:
        if (job->is_woken) {
            push_ready(v, job);
        } else {
            job_sleep(v, job, false);
        }
        return;
    case OUTCOME_RETRY:
        job_sleep(v, job, true);
        return;
    }
}

/* Takes one ready job, runs it with the lock open. */
static bool run_one(struct validator *v, bool takes_remote)
{
    struct job *job = v->lists[LIST_READY].first;

    if (job == NULL && takes_remote) {
        job = v->lists[LIST_READY_REMOTE].first;
    }
    if (job == NULL) {
        return false;
    }
    list_remove(v, job);
    job->is_running = true;
    job->is_woken = false;
    (void)pthread_mutex_unlock(&v->lock);
    const char *scope = log_scope_get();
    log_scope(job->target.challenge_id);
    enum outcome outcome = job_run(v->acme, job);
    log_scope(scope);
    (void)pthread_mutex_lock(&v->lock);
    job_finish(v, job, outcome);
    return true;
}

size_t validator_run_due(struct validator *v)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&v->lock);
    (void)promote_due(v);
    while (run_one(v, true)) {
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

static void work(struct validator *v, bool takes_remote)
{
    (void)pthread_mutex_lock(&v->lock);
    while (!v->is_stopping) {
        int64_t wait_ms = promote_due(v);
        if (!run_one(v, takes_remote)) {
            wait_for_work(v, wait_ms);
        }
    }
    (void)pthread_mutex_unlock(&v->lock);
}

static void *local_main(void *arg)
{
    work(arg, false);
    return NULL;
}

static void *any_main(void *arg)
{
    work(arg, true);
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
    *out = v;
    return err_ok();
}

struct err validator_start(struct validator *v, unsigned threads)
{
    while (v->threads_n < threads && v->threads_n < ACME_VALIDATORS) {
        void *(*main_fn)(void *) = v->threads_n == 0 ? local_main : any_main;
        if (pthread_create(&v->threads[v->threads_n], NULL, main_fn, v) != 0) {
            FAIL(ERR_LIMIT, "cannot start a validator thread");
        }
        v->threads_n++;
    }
    return err_ok();
}

void validator_free(struct validator *v)
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
    for (size_t i = 0; i < BUCKETS; i++) {
        while (v->buckets[i] != NULL) {
            job_drop(v, v->buckets[i]);
        }
    }
    (void)pthread_cond_destroy(&v->work);
    (void)pthread_mutex_destroy(&v->lock);
    mem_free(v);
}

static struct err add_locked(struct validator *v, const struct val_target *target, bool is_local)
{
    if (job_find(v, target->digest) != NULL) {
        return err_ok();
    }
    if (v->jobs_n >= VALIDATE_JOBS_MAX) {
        FAIL(ERR_LIMIT, "%u challenges wait for validation", VALIDATE_JOBS_MAX);
    }
    struct job *job = mem_zalloc(sizeof(*job));
    TRY_PTR(job);
    struct job **bucket = bucket_of(v, target->digest);
    job->target = *target;
    job->is_local = is_local;
    job->deadline_ms = clock_mono_ms() + ACME_DNS01_WAIT_S * 1000;
    job->chain = *bucket;
    *bucket = job;
    v->jobs_n++;
    if (is_local) {
        job_sleep(v, job, false);
        /* A new sleeper may be the only one: the pool must learn its deadline. */
        (void)pthread_cond_broadcast(&v->work);
    } else {
        push_ready(v, job);
    }
    return err_ok();
}

struct err validator_add(struct validator *v, const struct val_target *target, bool is_local)
{
    (void)pthread_mutex_lock(&v->lock);
    struct err e = add_locked(v, target, is_local);
    (void)pthread_mutex_unlock(&v->lock);
    return e;
}

void validator_on_value(void *ctx, const char digest[TXT_VALUE_LEN + 1])
{
    struct validator *v = ctx;

    (void)pthread_mutex_lock(&v->lock);
    struct job *job = job_find(v, digest);
    if (job != NULL && job->is_running) {
        job->is_woken = true;
    } else if (job != NULL && job->list != LIST_READY && job->list != LIST_READY_REMOTE) {
        list_remove(v, job);
        push_ready(v, job);
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
