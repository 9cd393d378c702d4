#include "bailiwick/maintenance.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "bailiwick/https_certificate.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/thread.h"

struct maintenance {
    struct maintenance_options o;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping;
    bool is_poked;
};

static void renew_certificate(struct maintenance *m)
{
    int64_t not_after = 0;
    bool changed = false;

    struct err e =
        https_certificate_get(m->o.cfg, m->o.ca, m->o.store, m->o.tls, &not_after, &changed);
    if (e.code == ERR_OK && changed) {
        e = http_tls_reload(m->o.http, m->o.tls);
    }
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "https.certificate.failed", e);
        return;
    }
    atomic_store(m->o.https_not_after, not_after);
    if (changed) {
        log_ev(LOG_INFO, "https.certificate.swapped", {"not_after_unix", log_int(not_after)});
    }
}

static void clean(struct maintenance *m)
{
    size_t n = 0;

    struct err e = acme_maintain(m->o.acme, &n);
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.maintain.failed", e);
    }
    e = delegate_maintain(m->o.delegate, &n);
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "delegate.maintain.failed", e);
    }
}

/* True when the period is over or somebody poked; false when stopping. */
static bool wait_for_work(struct maintenance *m, bool *poked)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += MAINTENANCE_PERIOD_MS / 1000;
    (void)pthread_mutex_lock(&m->lock);
    int rc = 0;
    while (!m->is_stopping && !m->is_poked && rc == 0) {
        rc = pthread_cond_timedwait(&m->wake, &m->lock, &until);
    }
    *poked = m->is_poked;
    m->is_poked = false;
    bool go_on = !m->is_stopping;
    (void)pthread_mutex_unlock(&m->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct maintenance *m = arg;
    int64_t certificate_due_ms = clock_mono_ms() + MAINTENANCE_CERTIFICATE_PERIOD_MS;
    bool poked = false;

    log_scope("maintenance");
    while (wait_for_work(m, &poked)) {
        clean(m);
        if (poked || clock_mono_ms() >= certificate_due_ms) {
            renew_certificate(m);
            certificate_due_ms = clock_mono_ms() + MAINTENANCE_CERTIFICATE_PERIOD_MS;
        }
    }
    return NULL;
}

struct err maintenance_start(const struct maintenance_options *options, struct maintenance **out)
{
    pthread_condattr_t attr;
    struct maintenance *m = mem_zalloc(sizeof(*m));

    TRY_PTR(m);
    m->o = *options;
    (void)pthread_mutex_init(&m->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&m->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    struct err e = thread_start("maintenance", THREAD_STACK_USUAL, run, m, &m->thread);
    if (e.code != ERR_OK) {
        mem_free(m);
        return e;
    }
    *out = m;
    return err_ok();
}

static void signal_thread(struct maintenance *m, bool *flag)
{
    (void)pthread_mutex_lock(&m->lock);
    *flag = true;
    (void)pthread_cond_signal(&m->wake);
    (void)pthread_mutex_unlock(&m->lock);
}

void maintenance_poke(struct maintenance *m)
{
    signal_thread(m, &m->is_poked);
}

void maintenance_stop(struct maintenance *m)
{
    if (m == NULL) {
        return;
    }
    signal_thread(m, &m->is_stopping);
    (void)pthread_join(m->thread, NULL);
    (void)pthread_cond_destroy(&m->wake);
    (void)pthread_mutex_destroy(&m->lock);
    mem_free(m);
}
