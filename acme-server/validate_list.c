/* The validator's lists and tables. */
#include <string.h>

#include "acme-server/validate_int.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

/* --- ready ------------------------------------------------------------------------------------ */

void validator_push_ready(struct validator *v, struct job *job)
{
    struct list *list = &v->ready;

    job->list = LIST_READY;
    job->prev = list->last;
    job->next = NULL;
    if (job->prev == NULL) {
        list->first = job;
    } else {
        job->prev->next = job;
    }
    list->last = job;
    (void)pthread_cond_signal(&v->work);
}

static void leave_ready(struct validator *v, struct job *job)
{
    struct list *list = &v->ready;

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
}

/* --- sleeping: a heap, as a second's wait must not look at everybody who waits longer ---------- */

static void settle(struct validator *v, struct job *job, size_t place)
{
    v->sleeping[place] = job;
    job->place = place;
}

static void sift_up(struct validator *v, struct job *job, size_t place)
{
    while (place > 0 && v->sleeping[(place - 1) / 2]->next_ms > job->next_ms) {
        settle(v, v->sleeping[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    settle(v, job, place);
}

static void sift_down(struct validator *v, struct job *job, size_t place)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < v->sleeping_n &&
            v->sleeping[child + 1]->next_ms < v->sleeping[child]->next_ms) {
            child++;
        }
        if (child >= v->sleeping_n || v->sleeping[child]->next_ms >= job->next_ms) {
            break;
        }
        settle(v, v->sleeping[child], place);
        place = child;
    }
    settle(v, job, place);
}

/* Its place goes to the last one, which may belong higher or deeper. */
static void leave_sleeping(struct validator *v, struct job *job)
{
    struct job *last = v->sleeping[--v->sleeping_n];

    if (last == job) {
        return;
    }
    if (last->next_ms < job->next_ms) {
        sift_up(v, last, job->place);
    } else {
        sift_down(v, last, job->place);
    }
}

void validator_push_sleeping(struct validator *v, struct job *job, int64_t until_ms)
{
    job->list = LIST_SLEEPING;
    job->next_ms = until_ms;
    sift_up(v, job, v->sleeping_n++);
    if (job->place == 0) {
        (void)pthread_cond_broadcast(&v->work); /* a new first deadline */
    }
}

void validator_unlist(struct validator *v, struct job *job)
{
    switch (job->list) {
    case LIST_NONE:
        break;
    case LIST_READY:
        leave_ready(v, job);
        break;
    case LIST_SLEEPING:
        leave_sleeping(v, job);
        break;
    }
    job->list = LIST_NONE;
}

/* Wake what is due; returns the milliseconds until the next one, -1 when nothing sleeps. */
int64_t validator_promote(struct validator *v)
{
    int64_t now = clock_mono_ms();

    while (v->sleeping_n > 0 && v->sleeping[0]->next_ms <= now) {
        struct job *job = v->sleeping[0];
        validator_unlist(v, job);
        validator_push_ready(v, job);
    }
    return v->sleeping_n == 0 ? -1 : v->sleeping[0]->next_ms - now;
}

/* --- tables ----------------------------------------------------------------------------------- */

struct job **validator_bucket(struct job **buckets, const char *key)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; key[i] != '\0'; i++) {
        hash = (hash ^ (uint8_t)key[i]) * 16777619u;
    }
    return &buckets[hash % VALIDATE_BUCKETS];
}

struct job *validator_find(struct validator *v, const struct val_target *target)
{
    struct job *job = *validator_bucket(v->buckets, target->authz_id);

    while (job != NULL && (job->target.type != target->type ||
                           strcmp(job->target.authz_id, target->authz_id) != 0)) {
        job = job->chain;
    }
    return job;
}

static void digest_unlink(struct validator *v, struct job *job)
{
    struct job **link = validator_bucket(v->digests, job->target.digest);

    while (*link != job) {
        link = &(*link)->digest_chain;
    }
    *link = job->digest_chain;
}

static void digest_link(struct validator *v, struct job *job)
{
    struct job **bucket = validator_bucket(v->digests, job->target.digest);

    job->digest_chain = *bucket;
    *bucket = job;
}

void validator_link(struct validator *v, struct job *job)
{
    struct job **bucket = validator_bucket(v->buckets, job->target.authz_id);

    job->chain = *bucket;
    *bucket = job;
    digest_link(v, job);
    v->jobs_n++;
}

void validator_retarget(struct validator *v, struct job *job, const struct val_target *target)
{
    digest_unlink(v, job);
    job->target = *target;
    digest_link(v, job);
}

void validator_job_free(struct job *job)
{
    buf_clear(&job->trail);
    mem_free(job);
}

void validator_drop(struct validator *v, struct job *job)
{
    struct job **link = validator_bucket(v->buckets, job->target.authz_id);

    validator_unlist(v, job);
    while (*link != job) {
        link = &(*link)->chain;
    }
    *link = job->chain;
    digest_unlink(v, job);
    v->jobs_n--;
    if (job->is_limited) {
        places_leave(&v->places, &job->target, job->is_local);
    }
    validator_job_free(job);
}
