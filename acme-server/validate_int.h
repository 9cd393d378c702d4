/* The inside of struct validator: validate.c (when a job runs), validate_step.c (what it does then),
 * validate_outside.c (what others see of a name of ours), validate_list.c (lists and tables). */
#ifndef ACME_SERVER_VALIDATE_INT_H
#define ACME_SERVER_VALIDATE_INT_H

#include <pthread.h>

#include "acme-server/acme_impl.h"
#include "acme-server/validate_places.h"
#include "acme-server/validate_job.h"

#define VALIDATE_BUCKETS 1024u

enum job_list { LIST_NONE, LIST_READY, LIST_SLEEPING };

/* What a job needs next. */
enum job_step {
    STEP_LOOK,    /* into our own zones; a pool thread */
    STEP_NET,     /* one attempt; the loop */
    STEP_CAA,     /* the value is there, CAA must be asked for; the loop */
    STEP_CHECK,   /* it failed: is it still to be decided, under the same key? A pool thread */
    STEP_OUTSIDE, /* what others see, for the timeline; the loop */
    STEP_DECIDE   /* its result is final; a pool thread */
};

/* Behind its deadline, a job waits that long for the row that says "processing". */
#define VALIDATE_START_MS 15000
/* STEP_OUTSIDE: at most, for the resolvers that are asked, jobs at a time. */
#define OUTSIDE_MS 2000
#define OUTSIDE_RESOLVERS_MAX 4u
#define OUTSIDE_JOBS_MAX 64u

struct job {
    struct validator *v;
    struct val_target target;
    enum job_step step;
    bool is_local;
    bool is_counted; /* its failure counts for the rate limit */
    bool is_limited; /* it has a place in the gauges */
    bool is_begun;   /* validator_wake() came; its patience counts from then */
    bool is_away;    /* a thread or the loop works on it: nobody else touches it */
    bool is_woken;   /* its value arrived while it was away */
    bool is_asked;   /* it was added again: whoever did that will store "processing" */
    bool is_stale;   /* its account changed: the target must be made anew */
    bool is_shown;   /* what others see was asked for */
    size_t asking_n; /* resolvers that have not answered that */
    int64_t deadline_ms;
    int64_t not_before_ms; /* of the test mode */
    int64_t next_ms;       /* when it wakes, LIST_SLEEPING */
    size_t place;          /* in v->sleeping, LIST_SLEEPING */
    struct val_result result;
    struct buf trail;
    struct val_attempt attempt;
    enum job_list list;
    struct job *chain;        /* of its authorization's bucket */
    struct job *digest_chain; /* of its digest's bucket */
    struct job *prev, *next;  /* LIST_READY */
};

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
    struct list ready;
    struct job **sleeping; /* a binary heap by next_ms, room for VALIDATE_JOBS_MAX */
    size_t sleeping_n;
    struct job *buckets[VALIDATE_BUCKETS];
    struct job *digests[VALIDATE_BUCKETS];
    size_t jobs_n;
    struct places places;
    size_t outside_n; /* jobs in STEP_OUTSIDE; the loop's thread only */
};

enum outcome {
    OUTCOME_DONE,
    OUTCOME_LEFT, /* nobody stored that it began */
    OUTCOME_WAIT, /* for its value */
    OUTCOME_AGAIN,
    OUTCOME_RETRY,
    OUTCOME_AWAY /* it is the loop's, or was given back already */
};
/* Run a job that is away until it waits for something; without the lock, on a pool thread. */
enum outcome validator_run(struct validator *v, struct job *job, bool is_stale);
/* What a job begins with. */
enum job_step validator_first_step(const struct job *job);
/* The loop gives a job back. until_ms 0: it is ready. */
void validator_give_back(struct job *job, enum job_step step, int64_t until_ms);
/* STEP_OUTSIDE: ask, and give the job back for STEP_DECIDE in OUTSIDE_MS at the latest. Never changes
 * its result. On the loop. */
void validator_ask_outside(struct job *job);

/* All with the lock held. */
void validator_push_ready(struct validator *v, struct job *job);
void validator_push_sleeping(struct validator *v, struct job *job, int64_t until_ms);
/* Off what it waits on, if anything. */
void validator_unlist(struct validator *v, struct job *job);
struct job **validator_bucket(struct job **buckets, const char *key);
struct job *validator_find(struct validator *v, const struct val_target *target);
/* Into the tables, by its target. */
void validator_link(struct validator *v, struct job *job);
/* Another target of the same challenge. */
void validator_retarget(struct validator *v, struct job *job, const struct val_target *target);
/* Forget it, its places and its memory. */
void validator_drop(struct validator *v, struct job *job);
void validator_job_free(struct job *job);
/* Wake what is due; the milliseconds until the next one, -1 when nothing sleeps. */
int64_t validator_promote(struct validator *v);

#endif
