#include "core/store/writer.h"

#include "core/store/driver.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/thread.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

struct job {
    const char *what;
    store_fn fn;
    void *arg;
    struct err_trace outcome; /* code ERR_OK when durable */
    struct db_hooks hooks;
    sem_t done; /* one waiter each: waking a batch is no stampede on a shared lock */
    struct job *next;
};

struct writer {
    struct db *db;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the queue and the two flags */
    pthread_cond_t work;
    struct job *first;
    struct job *last;
    bool is_idle;
    bool is_stopping;
    _Atomic uint64_t writes;
    _Atomic uint64_t batches;
    _Atomic uint64_t failed_batches;
};

/* --- hooks --- */

struct err db_on_commit(struct db *db, void (*hook)(void *arg), void (*free_arg)(void *arg),
                        void *arg)
{
    struct db_hooks *hooks = drv_hooks(db);
    struct db_hook *entry = drv_role_of(db) == DRV_WRITER ? mem_zalloc(sizeof(*entry)) : NULL;

    if (entry == NULL) {
        if (free_arg != NULL) {
            free_arg(arg);
        }
        FAIL(drv_role_of(db) == DRV_WRITER ? ERR_NOMEM : ERR_INTERNAL,
             "an on-commit hook cannot be added here");
    }
    entry->hook = hook;
    entry->free_arg = free_arg;
    entry->arg = arg;
    if (hooks->last == NULL) {
        hooks->first = entry;
    } else {
        hooks->last->next = entry;
    }
    hooks->last = entry;
    return err_ok();
}

/* Run (when durable) and free the hooks of one job. */
static void hooks_end(struct db_hooks *hooks, bool is_durable)
{
    struct db_hook *entry = hooks->first;

    hooks->first = hooks->last = NULL;
    while (entry != NULL) {
        struct db_hook *next = entry->next;
        if (is_durable) {
            entry->hook(entry->arg);
        }
        if (entry->free_arg != NULL) {
            entry->free_arg(entry->arg);
        }
        mem_free(entry);
        entry = next;
    }
}

/* --- jobs --- */

static void job_note(struct job *job, struct err e)
{
    job->outcome.code = e.code;
    if (e.code == ERR_OK) {
        return;
    }
    job->outcome = *err_trace();
    job->outcome.code = e.code;
}

/* Run the function; its hooks move to the job, or are dropped when it failed. */
static void job_call(struct db *db, struct job *job)
{
    job_note(job, drv_call(db, job->fn, job->arg));
    job->hooks = *drv_hooks(db);
    memset(drv_hooks(db), 0, sizeof(struct db_hooks));
    if (job->outcome.code != ERR_OK) {
        hooks_end(&job->hooks, false);
    }
}

static void job_alone(struct writer *w, struct job *job)
{
    job_note(job, drv_begin(w->db));
    if (job->outcome.code != ERR_OK) {
        return;
    }
    job_call(w->db, job);
    if (job->outcome.code == ERR_OK) {
        job_note(job, drv_commit(w->db));
        atomic_fetch_add(job->outcome.code == ERR_OK ? &w->batches : &w->failed_batches, 1);
    }
    if (job->outcome.code != ERR_OK) {
        drv_rollback(w->db);
        hooks_end(&job->hooks, false);
    }
}

/* False when the whole transaction is gone (disk full rolls back more than the savepoint). */
static bool job_in_batch(struct writer *w, struct job *job)
{
    job_note(job, drv_savepoint(w->db));
    if (job->outcome.code != ERR_OK) {
        return false;
    }
    job_call(w->db, job);
    if (!drv_in_transaction(w->db)) {
        return false;
    }
    struct err e =
        job->outcome.code == ERR_OK ? drv_savepoint_keep(w->db) : drv_savepoint_undo(w->db);
    return e.code == ERR_OK && drv_in_transaction(w->db);
}

/* All jobs in one transaction that was just begun. False: nothing of it is durable and no hook is
 * left. */
static bool batch_together(struct writer *w, struct job *const *jobs, size_t n)
{
    size_t ran = 0;
    bool is_whole = true;

    while (is_whole && ran < n) {
        is_whole = job_in_batch(w, jobs[ran++]);
    }
    if (is_whole) {
        struct err e = drv_commit(w->db);
        is_whole = e.code == ERR_OK;
    }
    if (is_whole) {
        atomic_fetch_add(&w->batches, 1);
        return true;
    }
    atomic_fetch_add(&w->failed_batches, 1);
    log_ev(LOG_WARN, "store.batch_failed", {"functions", log_int((int64_t)n)},
           {"last", jobs[ran - 1]->what}, {"msg", err_trace()->text});
    drv_rollback(w->db);
    for (size_t i = 0; i < ran; i++) {
        hooks_end(&jobs[i]->hooks, false);
    }
    return false;
}

static void batch_execute(struct writer *w, struct job *const *jobs, size_t n)
{
    if (n == 1) {
        job_alone(w, jobs[0]);
        return;
    }
    struct err e = drv_begin(w->db);
    if (e.code != ERR_OK) {
        /* Another process holds the file: to let each job wait for it again would take minutes. */
        for (size_t i = 0; i < n; i++) {
            job_note(jobs[i], e);
        }
        return;
    }
    if (!batch_together(w, jobs, n)) {
        for (size_t i = 0; i < n; i++) {
            job_alone(w, jobs[i]);
        }
    }
}

static void batch_run(struct writer *w, struct job *const *jobs, size_t n)
{
    uint64_t durable = 0;

    batch_execute(w, jobs, n);
    for (size_t i = 0; i < n; i++) {
        durable += jobs[i]->outcome.code == ERR_OK ? 1 : 0;
        hooks_end(&jobs[i]->hooks, jobs[i]->outcome.code == ERR_OK);
    }
    atomic_fetch_add(&w->writes, durable);
    /* The callers' stacks hold the jobs: none may be touched once its semaphore is up. */
    for (size_t i = 0; i < n; i++) {
        (void)sem_post(&jobs[i]->done);
    }
}

/* Wait for work and take up to WRITER_BATCH_MAX jobs; 0 when the writer is to end. */
static size_t queue_take(struct writer *w, struct job **jobs)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&w->lock);
    while (w->first == NULL && !w->is_stopping) {
        w->is_idle = true;
        (void)pthread_cond_wait(&w->work, &w->lock);
        w->is_idle = false;
    }
    while (w->first != NULL && n < WRITER_BATCH_MAX) {
        jobs[n++] = w->first;
        w->first = w->first->next;
    }
    if (w->first == NULL) {
        w->last = NULL;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return n;
}

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    struct job *jobs[WRITER_BATCH_MAX];

    for (size_t n = queue_take(w, jobs); n > 0; n = queue_take(w, jobs)) {
        batch_run(w, jobs, n);
    }
    return NULL;
}

/* --- the outside --- */

static void writer_destroy(struct writer *w)
{
    drv_close(w->db);
    (void)pthread_cond_destroy(&w->work);
    (void)pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

struct err writer_start(struct db *take_db, struct writer **out)
{
    struct writer *w = mem_zalloc(sizeof(*w));

    if (w == NULL) {
        drv_close(take_db);
    }
    TRY_PTR(w);
    w->db = take_db;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->work, NULL);
    struct err e = thread_start("store-writer", THREAD_STACK_USUAL, writer_main, w, &w->thread);
    if (e.code != ERR_OK) {
        writer_destroy(w);
        return e;
    }
    *out = w;
    return err_ok();
}

struct err writer_run(struct writer *w, const char *what, store_fn fn, void *arg)
{
    struct job job = {.what = what, .fn = fn, .arg = arg};

    (void)sem_init(&job.done, 0, 0);
    (void)pthread_mutex_lock(&w->lock);
    if (w->last == NULL) {
        w->first = &job;
    } else {
        w->last->next = &job;
    }
    w->last = &job;
    if (w->is_idle) {
        (void)pthread_cond_signal(&w->work);
    }
    (void)pthread_mutex_unlock(&w->lock);
    while (sem_wait(&job.done) != 0 && errno == EINTR) {
        continue;
    }
    (void)sem_destroy(&job.done);
    return job.outcome.code == ERR_OK ? err_ok() : err_restore(&job.outcome);
}

void writer_stop(struct writer *w)
{
    if (w == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&w->lock);
    w->is_stopping = true;
    (void)pthread_cond_signal(&w->work);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    writer_destroy(w);
}

bool writer_is_self(const struct writer *w)
{
    return pthread_equal(pthread_self(), w->thread) != 0;
}

size_t writer_queued(struct writer *w)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&w->lock);
    for (const struct job *job = w->first; job != NULL; job = job->next) {
        n++;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return n;
}

void writer_stats(const struct writer *w, struct writer_stats *out)
{
    out->writes = atomic_load(&w->writes);
    out->batches = atomic_load(&w->batches);
    out->failed_batches = atomic_load(&w->failed_batches);
}
