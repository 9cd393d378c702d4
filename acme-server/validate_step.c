/* What a job of the validator does when it runs: on a pool thread, or as callbacks on the loop. While
 * it runs it is away, and whoever runs it has it alone. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_store.h"
#include "acme-server/validate_int.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

enum job_step validator_first_step(const struct job *job)
{
    return job->is_local ? STEP_LOOK : STEP_NET;
}

static bool is_dns(const struct job *job)
{
    return job->target.type != CHALLENGE_HTTP01 && job->target.type != CHALLENGE_TLSALPN01;
}

static enum job_step last_steps(const struct val_result *result)
{
    return result->is_valid ? STEP_DECIDE : STEP_CHECK;
}

/* --- on the loop ------------------------------------------------------------------------------ */

void validator_give_back(struct job *job, enum job_step step, int64_t until_ms)
{
    struct validator *v = job->v;

    (void)pthread_mutex_lock(&v->lock);
    job->is_away = false;
    job->step = step;
    /* What it was told while it was away must not wait until then. */
    if (until_ms == 0 || job->is_woken || job->is_stale) {
        validator_push_ready(v, job);
    } else {
        validator_push_sleeping(v, job, until_ms);
    }
    (void)pthread_mutex_unlock(&v->lock);
}

/* The next look of what is asked for again and again. */
static int64_t next_poll(const struct job *job, int64_t now)
{
    return now + VALIDATE_POLL_MS < job->deadline_ms ? now + VALIDATE_POLL_MS : job->deadline_ms;
}

/* We could not ask for CAA, by our own fault: that must not pass for "no records" under `enforce`. */
static void caa_failed(struct job *job)
{
    int64_t now = clock_mono_ms();

    if (acme_settings(job->v->acme)->caa != CONFIG_CAA_ENFORCE) {
        validator_give_back(job, last_steps(&job->result), 0);
        return;
    }
    if (now < job->deadline_ms) {
        validator_give_back(job, STEP_CAA, next_poll(job, now));
        return;
    }
    job->result = (struct val_result){.type = PROBLEM_SERVER_INTERNAL};
    (void)snprintf(
        job->result.detail, sizeof(job->result.detail),
        "The proof for %.255s is right, but its CAA records could not be asked for: this "
        "server has too much to do; try again later.",
        job->target.ident.base);
    validator_give_back(job, STEP_CHECK, 0);
}

static void caa_done(void *arg, enum caa_verdict verdict, const char *detail)
{
    struct job *job = arg;

    switch (verdict) {
    case CAA_UNKNOWN:
        caa_failed(job);
        return;
    case CAA_FORBIDDEN:
        caa_forbids(job->v->acme, &job->target, detail, &job->result);
        break;
    case CAA_ALLOWED:
        break;
    }
    validator_give_back(job, last_steps(&job->result), 0);
}

static void caa_begin(struct job *job)
{
    const struct caa_question question = caa_question_of(&job->target);
    struct err e = caa_start(job->v->acme->net, &question, clock_mono_ms() + VALIDATE_CAA_MS,
                             &job->trail, caa_done, job);

    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.caa", e);
        caa_failed(job);
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
        validator_give_back(job, STEP_NET, next_poll(job, now));
    } else {
        validator_give_back(job, last_steps(result), 0);
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

/* No attempt could begin: again, until there is no time left. A name that cannot be asked for stays
 * so. */
static void net_failed(struct job *job, struct err e)
{
    struct val_result *result = &job->result;
    const char *name = challenge_name(job->target.type);
    int64_t now = clock_mono_ms();

    if (e.code != ERR_MALFORMED) {
        log_err(LOG_ERROR, "acme.validate", e);
    }
    if (e.code != ERR_MALFORMED && now < job->deadline_ms) {
        validator_give_back(job, STEP_NET, next_poll(job, now));
        return;
    }
    *result = (struct val_result){.type = PROBLEM_SERVER_INTERNAL};
    if (e.code == ERR_MALFORMED) {
        result->type = PROBLEM_DNS;
        (void)snprintf(result->detail, sizeof(result->detail),
                       "%.250s is too long to be asked for with what %s puts before it: use a "
                       "shorter name.",
                       job->target.ident.base, name);
    } else {
        (void)snprintf(result->detail, sizeof(result->detail),
                       "%s could not be tried: this server failed (%s); try again later.", name,
                       err_name(e.code));
    }
    validator_give_back(job, STEP_CHECK, 0);
}

static void loop_main(void *arg)
{
    struct job *job = arg;

    if (job->step == STEP_CAA) {
        caa_begin(job);
        return;
    }
    if (job->step == STEP_OUTSIDE) {
        validator_ask_outside(job);
        return;
    }
    struct err e = net_start(job);
    if (e.code != ERR_OK) {
        net_failed(job, e);
    }
}

/* --- on the pool ------------------------------------------------------------------------------ */

static enum outcome job_look(struct acme *acme, struct job *job)
{
    struct err e = val_dns01_local(acme, &job->target, &job->result);

    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.validate", e);
        return OUTCOME_RETRY;
    }
    if (!job->result.is_valid) {
        job->step = STEP_CHECK;
        return clock_mono_ms() < job->deadline_ms ? OUTCOME_WAIT : OUTCOME_AGAIN;
    }
    job->step = caa_look(acme, &job->target, &job->result) ? last_steps(&job->result) : STEP_CAA;
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
        job->step = validator_first_step(job);
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

static struct err retarget(struct acme *acme, struct job *job, const struct authz_row *row,
                           const struct val_target *target)
{
    if (target->type == CHALLENGE_DNSACCOUNT01) {
        delegate_forget(acme->delegate, job->target.digest);
        TRY(validate_expect_account(acme, target, row->expires_unix));
    }
    (void)pthread_mutex_lock(&job->v->lock);
    validator_retarget(job->v, job, target);
    (void)pthread_mutex_unlock(&job->v->lock);
    return err_ok();
}

/* The target under its account's key of today. ERR_BAD_STATE, ERR_NOT_FOUND: it ended. */
static struct err refresh(struct acme *acme, struct job *job, bool *is_started, bool *is_changed)
{
    AUTO(target_load_clear) struct target_load load = {.authz_id = job->target.authz_id};
    char base[VALIDATE_ACCOUNT_URL_MAX + 1];
    struct val_target target;

    TRY(store_read(acme->store, "acme.validate.refresh", target_load_fn, &load));
    enum challenge_st status = load.row.challenges[job->target.type].status;
    if (load.row.status != AUTHZ_PENDING ||
        (status != CHALLENGE_PENDING && status != CHALLENGE_PROCESSING)) {
        FAIL(ERR_BAD_STATE, "the authorization ended");
    }
    memcpy(base, job->target.account_url, sizeof(base));
    char *path = strstr(base, "/acme/account/");
    if (path != NULL) {
        *path = '\0';
    }
    TRY(validate_target(&load.row, job->target.type, base, &target));
    *is_started = status == CHALLENGE_PROCESSING;
    *is_changed = strcmp(target.digest, job->target.digest) != 0;
    return *is_changed ? retarget(acme, job, &load.row, &target) : err_ok();
}

/* What failed under a key that the account no longer has is tried again, unless an attempt at a peer
 * would have no time. */
static enum outcome job_freshen(struct acme *acme, struct job *job, bool *is_started)
{
    bool is_changed = false;
    struct err e = refresh(acme, job, is_started, &is_changed);

    if (e.code == ERR_BAD_STATE || e.code == ERR_NOT_FOUND) {
        return OUTCOME_DONE;
    }
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.validate", e);
        return OUTCOME_RETRY;
    }
    if (is_changed && !job->result.is_valid &&
        (is_dns(job) || clock_mono_ms() < job->deadline_ms)) {
        job->step = validator_first_step(job);
    }
    return OUTCOME_AGAIN;
}

/* Its value is missing in a zone of ours: what do others see there? */
static bool is_for_outside(const struct acme *acme, const struct job *job)
{
    return job->is_local && !job->is_shown && acme->lookups != NULL &&
           job->result.type == PROBLEM_INCORRECT_RESPONSE;
}

/* A failure is stored only where "processing" is, which may still be on its way; and the key is
 * looked at once more: it may have changed between the load of the target and validator_add(). */
static enum outcome job_check(struct acme *acme, struct job *job)
{
    bool is_started = false;
    enum outcome outcome = job_freshen(acme, job, &is_started);

    if (outcome != OUTCOME_AGAIN) {
        return outcome;
    }
    if (!is_started) {
        if (is_dns(job)) {
            job->step = validator_first_step(job); /* its value may come meanwhile */
        }
        return clock_mono_ms() < job->deadline_ms + VALIDATE_START_MS ? OUTCOME_RETRY
                                                                      : OUTCOME_LEFT;
    }
    if (job->step == STEP_CHECK && is_for_outside(acme, job)) {
        job->is_shown = true;
        job->step = STEP_OUTSIDE;
    } else if (job->step == STEP_CHECK) {
        job->step = STEP_DECIDE;
    }
    return OUTCOME_AGAIN;
}

/* Once it is posted, the job may be given back, decided and gone before we are back here. */
static enum outcome job_post(struct acme *acme, struct job *job)
{
    if (acme->loop != NULL && loop_post(acme->loop, loop_main, job).code == ERR_OK) {
        return OUTCOME_AWAY;
    }
    if (job->step != STEP_OUTSIDE) {
        return OUTCOME_RETRY;
    }
    job->step = STEP_DECIDE;
    return OUTCOME_AGAIN;
}

static enum outcome job_step(struct acme *acme, struct job *job)
{
    switch (job->step) {
    case STEP_LOOK:
        return job_look(acme, job);
    case STEP_CHECK:
        return job_check(acme, job);
    case STEP_DECIDE:
        return job_decide(acme, job);
    case STEP_NET:
    case STEP_CAA:
    case STEP_OUTSIDE:
        break;
    }
    return job_post(acme, job);
}

enum outcome validator_run(struct validator *v, struct job *job, bool is_stale)
{
    struct acme *acme = v->acme;
    bool is_started = false;
    enum outcome outcome = is_stale ? job_freshen(acme, job, &is_started) : OUTCOME_AGAIN;

    while (outcome == OUTCOME_AGAIN) {
        outcome = job_step(acme, job);
    }
    return outcome;
}
