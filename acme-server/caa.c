/* The climb: from the identifier up to, but not including, the root; the first name with CAA
 * records decides. RFC 8659 §3. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/caa_cache.h"
#include "acme-server/issuer.h"
#include "acme-server/validate_net_int.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

enum step_state { STEP_ASKED, STEP_NONE, STEP_FOUND, STEP_FAILED /* by our own fault */ };

/* One name. All of them are asked at once, so that a silent resolver costs its time only once. */
struct step {
    struct caa_climb *climb;
    const char *name; /* into the question's */
    struct lookup *lookup;
    enum step_state state;
    enum caa_verdict verdict; /* with STEP_FOUND */
    char *detail;             /* with CAA_FORBIDDEN; owned */
};

struct caa_climb {
    struct val_net *net;
    struct caa_climb *prev, *next;
    struct caa_question question;
    int64_t deadline_ms;
    struct buf *trail;
    caa_fn fn;
    void *arg;
    struct loop_timer timer;
    struct step *steps; /* the identifier itself first */
    size_t steps_n;
};

/* --- the decision for one name ---------------------------------------------------------------- */

static enum caa_verdict judge(const struct val_net *net, const struct caa_question *question,
                              const char *name, const struct lookup_result *result,
                              char detail[VALIDATE_DETAIL_MAX])
{
    const struct base_urls *urls = &net->acme->base_urls;
    struct issuer_names issuers;
    char why[VALIDATE_DETAIL_MAX] = "There are too many CAA records, or too long ones.";

    issuer_names(urls, &issuers);
    if (!result->is_cut && caa_rrset_allows(result->rdata, result->rdata_n, issuers.list, issuers.n,
                                            urls, question, why)) {
        return CAA_ALLOWED;
    }
    (void)snprintf(detail, VALIDATE_DETAIL_MAX, "%.300s They stand at %s.", why, name);
    return CAA_FORBIDDEN;
}

static const char *parent_of(const char *name)
{
    const char *dot = strchr(name, '.');

    return dot == NULL ? NULL : dot + 1;
}

/* --- at once ---------------------------------------------------------------------------------- */

/* False: neither our own zones nor the cache know. */
static bool look(struct val_net *net, struct zone_reader *reader, const char *name,
                 struct lookup_result *out)
{
    return lookup_own(reader, name, LOOKUP_CAA, out).code == ERR_OK ||
           caa_cache_get(net->caa, name, out);
}

static enum caa_verdict climb_now(struct val_net *net, struct zone_reader *reader,
                                  const struct caa_question *question,
                                  char detail[VALIDATE_DETAIL_MAX])
{
    for (const char *name = question->ident.base; name != NULL; name = parent_of(name)) {
        AUTO(lookup_result_clear) struct lookup_result result = {0};
        if (!look(net, reader, name, &result)) {
            return CAA_UNKNOWN;
        }
        if (result.status == LOOKUP_FOUND) {
            return judge(net, question, name, &result, detail);
        }
    }
    return CAA_ALLOWED;
}

enum caa_verdict caa_now(struct val_net *net, const struct caa_question *question,
                         char detail[VALIDATE_DETAIL_MAX])
{
    struct zone_reader *reader = NULL;

    if (question->ident.is_ip) {
        return CAA_ALLOWED;
    }
    if (acme_reader_take(net->acme, &reader).code != ERR_OK) {
        return CAA_UNKNOWN;
    }
    enum caa_verdict verdict = climb_now(net, reader, question, detail);
    acme_reader_give(net->acme, reader);
    return verdict;
}

/* --- with look-ups ---------------------------------------------------------------------------- */

static void drop(struct caa_climb *climb)
{
    for (size_t i = 0; i < climb->steps_n; i++) {
        lookup_cancel(climb->steps[i].lookup);
        mem_free(climb->steps[i].detail);
    }
    loop_timer_cancel(climb->net->loop, &climb->timer);
    if (climb->prev == NULL) {
        climb->net->climbs = climb->next;
    } else {
        climb->prev->next = climb->next;
    }
    if (climb->next != NULL) {
        climb->next->prev = climb->prev;
    }
    mem_free(climb->steps);
    mem_free(climb);
}

void caa_clear(struct val_net *net)
{
    while (net->climbs != NULL) {
        drop(net->climbs);
    }
}

static void finish(struct caa_climb *climb, enum caa_verdict verdict, const char *why)
{
    char detail[VALIDATE_DETAIL_MAX];
    caa_fn fn = climb->fn;
    void *arg = climb->arg;

    (void)snprintf(detail, sizeof(detail), "%s", why);
    drop(climb);
    fn(arg, verdict, detail);
}

/* As soon as the nearest name with records is known. What we could not even ask for may hide
 * records that forbid: unlike an answer of DNS, it is no "none". */
static void decide(struct caa_climb *climb)
{
    for (size_t i = 0; i < climb->steps_n; i++) {
        const struct step *step = &climb->steps[i];
        if (step->state == STEP_ASKED) {
            return;
        }
        if (step->state == STEP_FAILED) {
            buf_printf(climb->trail, "%sthis server could not ask for the CAA records of %s",
                       climb->trail->len == 0 ? "" : "; ", step->name);
            finish(climb, CAA_UNKNOWN, "");
            return;
        }
        if (step->state == STEP_FOUND) {
            bool is_allowed = step->verdict == CAA_ALLOWED;
            buf_printf(climb->trail, "%sthe CAA records at %s %s this",
                       climb->trail->len == 0 ? "" : "; ", step->name,
                       is_allowed ? "allow" : "forbid");
            finish(climb, step->verdict, step->detail == NULL ? "" : step->detail);
            return;
        }
    }
    buf_printf(climb->trail, "%sno CAA records for %s", climb->trail->len == 0 ? "" : "; ",
               climb->question.ident.base);
    finish(climb, CAA_ALLOWED, "");
}

static void take(struct step *step, const struct lookup_result *result)
{
    char detail[VALIDATE_DETAIL_MAX] = "";
    const struct caa_climb *climb = step->climb;

    if (result->status != LOOKUP_FOUND) {
        step->state = STEP_NONE;
        return;
    }
    step->state = STEP_FOUND;
    step->verdict = judge(climb->net, &climb->question, step->name, result, detail);
    step->detail = step->verdict == CAA_FORBIDDEN ? mem_strdup(detail) : NULL;
}

static void on_found(void *arg, const struct lookup_result *result)
{
    struct step *step = arg;

    step->lookup = NULL;
    if (result->is_unasked) {
        step->state = STEP_FAILED;
        decide(step->climb);
        return;
    }
    /* A name of ours is looked at anew each time. */
    if (!result->is_ours || strcmp(result->end, step->name) != 0) {
        caa_cache_put(step->climb->net->caa, step->name, result);
    }
    take(step, result);
    decide(step->climb);
}

static void ask(struct step *step)
{
    struct caa_climb *climb = step->climb;
    AUTO(lookup_result_clear) struct lookup_result result = {0};

    if (caa_cache_get(climb->net->caa, step->name, &result)) {
        take(step, &result);
        return;
    }
    struct err e = lookup_start(climb->net->lookups, step->name, LOOKUP_CAA, climb->deadline_ms,
                                climb->trail, on_found, step, &step->lookup);
    if (e.code != ERR_OK) {
        step->state = STEP_FAILED;
    }
}

static void on_start(void *arg)
{
    struct caa_climb *climb = arg;
    bool is_over = false;

    for (size_t i = 0; i < climb->steps_n; i++) {
        if (is_over) {
            climb->steps[i].state = STEP_NONE;
            continue;
        }
        ask(&climb->steps[i]);
        is_over = climb->steps[i].state == STEP_FOUND || climb->steps[i].state == STEP_FAILED;
    }
    decide(climb);
}

static struct err begin(struct caa_climb *climb)
{
    size_t n = 0;
    const char *base = climb->question.ident.base;

    if (!climb->question.ident.is_ip) {
        for (const char *name = base; name != NULL; name = parent_of(name)) {
            n++;
        }
    }
    climb->steps = mem_array(n == 0 ? 1 : n, sizeof(*climb->steps));
    TRY_PTR(climb->steps);
    for (const char *name = base; climb->steps_n < n; name = parent_of(name)) {
        struct step *step = &climb->steps[climb->steps_n++];
        step->climb = climb;
        step->name = name;
    }
    return loop_timer_set(climb->net->loop, &climb->timer, clock_mono_ms(), on_start, climb);
}

struct err caa_start(struct val_net *net, const struct caa_question *question, int64_t deadline_ms,
                     struct buf *trail, caa_fn fn, void *arg)
{
    struct caa_climb *climb = mem_zalloc(sizeof(*climb));

    TRY_PTR(climb);
    climb->net = net;
    climb->question = *question;
    climb->deadline_ms = deadline_ms;
    climb->trail = trail;
    climb->fn = fn;
    climb->arg = arg;
    climb->next = net->climbs;
    if (net->climbs != NULL) {
        net->climbs->prev = climb;
    }
    net->climbs = climb;
    struct err e = begin(climb);
    if (e.code != ERR_OK) {
        drop(climb);
    }
    return e;
}
