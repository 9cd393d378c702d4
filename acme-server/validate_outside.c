/* A dns-01 challenge fails because its value is not in our zone: before that is stored, what do the
 * configured resolvers say about the name? The client's value may be at a server that we are not, or
 * the delegation to us may be broken. The answers are words for the timeline and nothing else. */
#include <stdio.h>
#include <string.h>

#include "acme-server/validate_int.h"
#include "core/util/clock.h"

static bool has_value(const struct lookup_result *result, const char *digest)
{
    for (size_t i = 0; i < result->rdata_n; i++) {
        const struct lookup_rdata *txt = &result->rdata[i];
        if (txt->len == TXT_VALUE_LEN && memcmp(txt->data, digest, TXT_VALUE_LEN) == 0) {
            return true;
        }
    }
    return false;
}

static void end(struct job *job)
{
    job->v->outside_n--;
    validator_give_back(job, STEP_DECIDE, 0);
}

/* The look-up has just written its phrase. */
static void on_seen(void *arg, const struct lookup_result *result)
{
    struct job *job = arg;

    if (result->status == LOOKUP_FOUND) {
        buf_puts(&job->trail, has_value(result, job->target.digest)
                                  ? " (the value is there)"
                                  : " (the value is not among them)");
    }
    job->asking_n--;
    if (job->asking_n == 0) {
        end(job);
    }
}

void validator_ask_outside(struct job *job)
{
    char name[LOOKUP_END_MAX + 1];
    struct lookup_at at = {.name = name,
                           .type = LOOKUP_TXT,
                           .deadline_ms = clock_mono_ms() + OUTSIDE_MS,
                           .trail = &job->trail};
    struct lookup *lookup = NULL; /* it ends by itself, or with all the others */
    struct validator *v = job->v;

    (void)snprintf(name, sizeof(name), ACME_LABEL ".%s", job->target.ident.base);
    job->asking_n = 0;
    for (; at.index < OUTSIDE_RESOLVERS_MAX && v->outside_n < OUTSIDE_JOBS_MAX; at.index++) {
        if (lookup_start_at(v->acme->lookups, &at, on_seen, job, &lookup).code != ERR_OK) {
            break;
        }
        job->asking_n++;
    }
    v->outside_n++;
    if (job->asking_n == 0) {
        end(job);
    }
}
