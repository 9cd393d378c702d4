#include "dns/lookup_int.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

struct err lookups_new(struct loop *loop, const struct resolve_config *config,
                       struct zone_db *zones, struct lookups **out)
{
    AUTO(mem_freep) struct lookups *lookups = mem_zalloc(sizeof(*lookups));

    TRY_PTR(lookups);
    lookups->loop = loop;
    lookups->config = config;
    if (zones != NULL) {
        TRY(zone_reader_new(zones, &lookups->reader));
    }
    *out = MOVE(lookups);
    return err_ok();
}

/* Nothing of it remains in the loop or in the list. */
static void detach(struct lookup *lookup)
{
    struct lookups *lookups = lookup->owner;

    lookup_ask_stop(lookup);
    loop_timer_cancel(lookups->loop, &lookup->timer);
    if (lookup->prev == NULL) {
        lookups->first = lookup->next;
    } else {
        lookup->prev->next = lookup->next;
    }
    if (lookup->next != NULL) {
        lookup->next->prev = lookup->prev;
    }
    lookups->n--;
}

void lookup_cancel(struct lookup *lookup)
{
    if (lookup == NULL) {
        return;
    }
    detach(lookup);
    chase_clear(&lookup->chase);
    mem_free(lookup);
}

void lookups_free(struct lookups *lookups)
{
    if (lookups == NULL) {
        return;
    }
    while (lookups->first != NULL) {
        lookup_cancel(lookups->first);
    }
    zone_reader_free(lookups->reader);
    mem_free(lookups);
}

void lookup_result_clear(struct lookup_result *result)
{
    for (size_t i = 0; i < result->rdata_n; i++) {
        mem_free(result->rdata[i].data);
    }
    result->rdata_n = 0;
}

/* The look-up is gone before fn runs, which may begin and cancel others. */
static void finish(struct lookup *lookup, struct lookup_answer *answer)
{
    AUTO(lookup_result_clear) struct lookup_result result = {0};
    lookup_fn fn = lookup->fn;
    void *arg = lookup->arg;

    chase_result(&lookup->chase, answer, &result);
    lookup_cancel(lookup);
    fn(arg, &result);
}

void lookup_failed(struct lookup *lookup)
{
    struct lookup_answer none = {0};

    lookup->chase.status = LOOKUP_FAILED;
    finish(lookup, &none);
}

static void go_on(struct lookup *lookup)
{
    struct lookup_answer answer = {0};

    if (chase_own(&lookup->chase, &answer) == CHASE_DONE) {
        finish(lookup, &answer);
    } else {
        lookup_ask(lookup);
    }
}

void lookup_answered(struct lookup *lookup, struct lookup_answer *answer)
{
    if (chase_take(&lookup->chase, answer) == CHASE_DONE) {
        finish(lookup, answer);
    } else {
        lookup_answer_clear(answer); /* what a stranger says about a name of ours */
        go_on(lookup);
    }
}

static void on_start(void *arg)
{
    go_on(arg);
}

/* Without names of ours: the caller sets them before the loop's first step. */
static struct err start(struct lookups *lookups, const struct lookup_at *at, lookup_fn fn,
                        void *arg, struct lookup **out)
{
    AUTO(mem_freep) struct lookup *lookup = NULL;

    if (lookups->n >= LOOKUPS_MAX) {
        FAIL(ERR_LIMIT, "look-up: %u are in flight already", LOOKUPS_MAX);
    }
    lookup = mem_zalloc(sizeof(*lookup));
    TRY_PTR(lookup);
    lookup->owner = lookups;
    lookup->fn = fn;
    lookup->arg = arg;
    lookup->deadline_ms = at->deadline_ms;
    lookup->try.fd = -1;
    lookup->chase.trail = at->trail;
    lookup->chase.type = at->type;
    TRY(chase_begin(&lookup->chase, at->name));
    /* The first step is the loop's: fn never runs inside this call. */
    struct err e = loop_timer_set(lookups->loop, &lookup->timer, clock_mono_ms(), on_start, lookup);
    if (e.code != ERR_OK) {
        chase_clear(&lookup->chase);
        return e;
    }
    lookup->next = lookups->first;
    if (lookups->first != NULL) {
        lookups->first->prev = lookup;
    }
    lookups->first = lookup;
    lookups->n++;
    *out = MOVE(lookup);
    return err_ok();
}

struct err lookup_start(struct lookups *lookups, const char *name, enum lookup_type type,
                        int64_t deadline_ms, struct buf *trail, lookup_fn fn, void *arg,
                        struct lookup **out)
{
    const struct lookup_at question = {
        .name = name, .type = type, .deadline_ms = deadline_ms, .trail = trail};
    struct lookup *lookup = NULL;

    TRY(start(lookups, &question, fn, arg, &lookup));
    lookup->chase.reader = lookups->reader;
    *out = lookup;
    return err_ok();
}

struct err lookup_start_at(struct lookups *lookups, const struct lookup_at *at, lookup_fn fn,
                           void *arg, struct lookup **out)
{
    struct lookup *lookup = NULL;
    struct ip_endpoint server;

    if (!lookup_resolver(lookups->config, at->index, &server)) {
        FAIL(ERR_NOT_FOUND, "look-up: there are not %zu resolvers", at->index + 1);
    }
    TRY(start(lookups, at, fn, arg, &lookup));
    lookup->is_at = true;
    lookup->at = server;
    *out = lookup;
    return err_ok();
}

struct err lookup_own(struct zone_reader *reader, const char *name, enum lookup_type type,
                      struct lookup_result *out)
{
    AUTO(chase_clear) struct lookup_chase chase = {.reader = reader, .type = type};
    struct lookup_answer answer = {0};

    TRY(chase_begin(&chase, name));
    enum chase_step step = chase_own(&chase, &answer);
    chase_result(&chase, &answer, out);
    if (step != CHASE_DONE) {
        FAIL(ERR_NOT_FOUND, "look-up: %s is served elsewhere", out->end);
    }
    return err_ok();
}
