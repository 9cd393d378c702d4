/* The validator's lists and tables. */
#include <string.h>

#include "acme-server/validate_int.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

static void list_put_after(struct validator *v, enum job_list which, struct job *after,
                           struct job *job)
{
    struct list *list = &v->lists[which];

    job->list = which;
    job->prev = after;
    job->next = after == NULL ? list->first : after->next;
    if (job->prev == NULL) {
        list->first = job;
    } else {
        job->prev->next = job;
    }
    if (job->next == NULL) {
        list->last = job;
    } else {
        job->next->prev = job;
    }
}

void validator_push_ready(struct validator *v, struct job *job)
{
    list_put_after(v, LIST_READY, v->lists[LIST_READY].last, job);
    (void)pthread_cond_signal(&v->work);
}

void validator_unlist(struct validator *v, struct job *job)
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

/* Most sleep equally long, so that the place is near the end. */
void validator_push_sleeping(struct validator *v, struct job *job, int64_t until_ms)
{
    struct job *after = v->lists[LIST_SLEEPING].last;

    job->next_ms = until_ms;
    while (after != NULL && after->next_ms > until_ms) {
        after = after->prev;
    }
    list_put_after(v, LIST_SLEEPING, after, job);
    if (after == NULL) {
        (void)pthread_cond_broadcast(&v->work); /* a new first deadline */
    }
}

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

/* Wake what is due; returns the milliseconds until the next one, -1 when nothing sleeps. */
int64_t validator_promote(struct validator *v)
{
    struct list *list = &v->lists[LIST_SLEEPING];
    int64_t now = clock_mono_ms();

    while (list->first != NULL && list->first->next_ms <= now) {
        struct job *job = list->first;
        validator_unlist(v, job);
        validator_push_ready(v, job);
    }
    return list->first == NULL ? -1 : list->first->next_ms - now;
}
