/* What a look means: CAA, the decision and its row, the timeline's words. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/record.h"
#include "acme-server/validate_job.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define WORDS_MAX (VALIDATE_TRAIL_MAX + 2048u)
#define REPORTS_MAX 64 /* CAA look-ups whose outcome is only reported, at a time */

struct err validate_target(const struct authz_row *authz, enum challenge_type type,
                           const char *base, struct val_target *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->authz_id, authz->id, sizeof(out->authz_id));
    memcpy(out->account_id, authz->account_id, sizeof(out->account_id));
    memcpy(out->thumbprint, authz->thumbprint, sizeof(out->thumbprint));
    memcpy(out->client, authz->client, sizeof(out->client));
    out->type = type;
    out->ident = authz->ident;
    (void)snprintf(out->account_url, sizeof(out->account_url), "%s/acme/account/%s", base,
                   authz->account_id);
    TRY(challenge_token(authz->seed, CHALLENGE_DNS01, out->token));
    TRY(challenge_digest(out->token, out->thumbprint, out->dns01_digest));
    TRY(challenge_token(authz->seed, type, out->token));
    return challenge_digest(out->token, out->thumbprint, out->digest);
}

struct err validate_expect_account(struct acme *acme, const struct val_target *target,
                                   int64_t expires_unix)
{
    char label[ZONE_ACCOUNT_LABEL_LEN + 1];

    TRY(challenge_account_label(target->account_url, label));
    delegate_expect_account(acme->delegate, &target->ident, label, target->digest, expires_unix);
    return err_ok();
}

/* --- CAA -------------------------------------------------------------------------------------- */

struct caa_question caa_question_of(const struct val_target *target)
{
    struct caa_question question = {.ident = target->ident, .method = challenge_name(target->type)};

    memcpy(question.account_id, target->account_id, sizeof(question.account_id));
    return question;
}

void caa_forbids(struct acme *acme, const struct val_target *target, const char *detail,
                 struct val_result *result)
{
    char name[IDENT_TEXT_MAX + 1];

    ident_text(&target->ident, name);
    if (acme_settings(acme)->caa != CONFIG_CAA_ENFORCE) {
        log_ev(LOG_WARN, "acme.caa.report", {"authz", target->authz_id}, {"name", name},
               {"msg", detail});
        return;
    }
    *result = (struct val_result){.type = PROBLEM_CAA};
    (void)snprintf(result->detail, sizeof(result->detail), "%s", detail);
}

/* A look-up that nobody waits for: it fills the cache, and the log when CAA says no. */
struct caa_report {
    struct acme *acme;
    struct val_target target;
    struct buf trail;
    struct caa_report *next;
};

static void report_free(struct caa_report *report)
{
    buf_clear(&report->trail);
    mem_free(report);
}

void caa_reports_free(struct acme *acme)
{
    while (acme->reports != NULL) {
        struct caa_report *report = acme->reports;
        acme->reports = report->next;
        report_free(report);
    }
}

static void report_end(struct caa_report *report)
{
    struct acme *acme = report->acme;

    (void)pthread_mutex_lock(&acme->reports_lock);
    struct caa_report **link = &acme->reports;
    while (*link != report) {
        link = &(*link)->next;
    }
    *link = report->next;
    acme->reports_n--;
    (void)pthread_mutex_unlock(&acme->reports_lock);
    report_free(report);
}

static void report_done(void *arg, enum caa_verdict verdict, const char *detail)
{
    struct caa_report *report = arg;
    struct val_result unused = {0};

    if (verdict == CAA_FORBIDDEN) {
        caa_forbids(report->acme, &report->target, detail, &unused);
    }
    report_end(report);
}

static void report_begin(void *arg)
{
    struct caa_report *report = arg;
    const struct caa_question question = caa_question_of(&report->target);
    struct err e = caa_start(report->acme->net, &question, clock_mono_ms() + VALIDATE_CAA_MS,
                             &report->trail, report_done, report);

    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "acme.caa", e);
        report_end(report);
    }
}

static void report_later(struct acme *acme, const struct val_target *target)
{
    AUTO(mem_freep) struct caa_report *report = mem_zalloc(sizeof(*report));

    if (report == NULL) {
        return;
    }
    report->acme = acme;
    report->target = *target;
    buf_init(&report->trail, VALIDATE_TRAIL_MAX);
    (void)pthread_mutex_lock(&acme->reports_lock);
    bool is_room = acme->reports_n < REPORTS_MAX;
    if (is_room) {
        report->next = acme->reports;
        acme->reports = report;
        acme->reports_n++;
    }
    (void)pthread_mutex_unlock(&acme->reports_lock);
    if (!is_room) {
        return;
    }
    struct caa_report *posted = MOVE(report);
    if (loop_post(acme->loop, report_begin, posted).code != ERR_OK) {
        report_end(posted);
    }
}

bool caa_look(struct acme *acme, const struct val_target *target, struct val_result *result)
{
    enum config_caa mode = acme_settings(acme)->caa;
    const struct caa_question question = caa_question_of(target);
    char detail[VALIDATE_DETAIL_MAX] = "";

    if (mode == CONFIG_CAA_OFF || acme->net == NULL) {
        return true;
    }
    switch (caa_now(acme->net, &question, detail)) {
    case CAA_ALLOWED:
        return true;
    case CAA_FORBIDDEN:
        caa_forbids(acme, target, detail, result);
        return true;
    case CAA_UNKNOWN:
        break;
    }
    if (mode == CONFIG_CAA_ENFORCE) {
        return false;
    }
    report_later(acme, target);
    return true;
}

/* --- deciding --------------------------------------------------------------------------------- */

struct decide {
    struct acme *acme;
    const char *account_id;
    struct authz_decision decision;
    const char *words;
    char instance[OBJECT_ID_LEN + 1];
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
    TRY(acme_db_authz_decide(db, d->acme->delegate, &d->decision));
    TRY(record_add(db, d->decision.authz_id, d->words));
    return d->decision.is_valid
               ? err_ok()
               : record_instance(db, d->instance, d->account_id, d->decision.authz_id);
}

static void log_decision(const struct val_target *target, const struct val_result *result)
{
    char name[IDENT_TEXT_MAX + 1];
    const struct zone_publisher *by = &result->by;

    ident_text(&target->ident, name);
    if (result->is_valid) {
        log_ev(LOG_INFO, "acme.challenge.valid", {"authz", target->authz_id}, {"name", name},
               {"method", challenge_name(target->type)},
               {"client", by->client[0] == '\0' ? NULL : by->client},
               {"registration", by->registration[0] == '\0' ? NULL : by->registration},
               {"open", by->is_open ? "true" : NULL});
    } else {
        log_ev(LOG_INFO, "acme.challenge.invalid", {"authz", target->authz_id}, {"name", name},
               {"method", challenge_name(target->type)}, {"type", problem_urn(result->type)},
               {"msg", result->detail});
    }
}

/* What the timeline says. */
static void put_words(const struct val_target *target, const struct val_result *result,
                      const char *trail, struct buf *out)
{
    char name[IDENT_TEXT_MAX + 1];

    ident_text(&target->ident, name);
    buf_printf(out, "%s of %s: ", challenge_name(target->type), name);
    if (!result->is_valid) {
        size_t len = strlen(result->detail);
        bool is_ended = len > 0 && result->detail[len - 1] == '.';
        buf_printf(out, "invalid. %s%s", result->detail, is_ended || trail[0] == '\0' ? "" : ".");
    } else if (result->is_published) {
        buf_printf(out, "valid. The value is in our own zone, published by %s%s%s.",
                   result->by.is_open ? "an anonymous peer (open mode)" : "client ",
                   result->by.client,
                   result->by.registration[0] == '\0' ? "" : " through a registration");
    } else {
        buf_puts(out, "valid.");
    }
    if (trail[0] != '\0') {
        buf_printf(out, " Seen: %s.", trail);
    }
}

static struct err failure_text(struct decide *d, const struct val_result *result, char **out)
{
    struct problem prob = {0};

    err_ignore(problem_set(&prob, result->type, 0, "%s", result->detail));
    TRY(random_id(d->instance));
    (void)snprintf(prob.instance, sizeof(prob.instance), "https://%s" ACME_INSTANCE_PATH "%s",
                   d->acme->base_urls.authority, d->instance);
    return acme_problem_text(&prob, out);
}

struct err validate_decide(struct acme *acme, const struct val_target *target,
                           const struct val_result *result, const char *trail)
{
    struct decide d = {.acme = acme, .account_id = target->account_id};
    AUTO(mem_freep) char *error = NULL;
    AUTO(buf_clear) struct buf words = BUF_INIT(WORDS_MAX);

    d.decision.ident = target->ident;
    memcpy(d.decision.authz_id, target->authz_id, sizeof(target->authz_id));
    d.decision.type = target->type;
    memcpy(d.decision.digest, target->dns01_digest, sizeof(target->dns01_digest));
    d.decision.is_valid = result->is_valid;
    d.decision.is_published = result->is_published;
    d.decision.by = result->by;
    d.decision.is_preauthorized = result->is_preauthorized;
    d.decision.reuse_s = acme_settings(acme)->authorization_reuse_s;
    d.decision.until_unix = result->until_unix;
    d.decision.error_json = "";
    if (!result->is_valid) {
        TRY(failure_text(&d, result, &error));
        d.decision.error_json = error;
    }
    put_words(target, result, trail, &words);
    d.words = buf_str(&words);
    TRY(store_write(acme->store, "acme.challenge.decide", decide_fn, &d));
    validator_decided(acme->validator, target->authz_id);
    log_decision(target, result);
    return err_ok();
}

void validate_count_failure(struct acme *acme, const struct val_target *target)
{
    char key[LIMITS_KEY_MAX];

    validate_failure_key(target->account_id, &target->ident, key);
    limits_count(acme->limits, LIMIT_FAILED_VALIDATIONS, key,
                 acme_settings(acme)->limit_failed_validations);
}

void validate_failure_key(const char *account_id, const struct ident *ident,
                          char key[LIMITS_KEY_MAX])
{
    char name[IDENT_TEXT_MAX + 1];

    ident_text(ident, name);
    (void)snprintf(key, LIMITS_KEY_MAX, "%s %s", account_id, name);
}

struct err validate_now(struct acme *acme, const struct val_target *target, const char *words,
                        bool *is_valid)
{
    struct val_result result = {0};

    *is_valid = false;
    TRY(val_dns01_local(acme, target, &result));
    if (!result.is_valid || !caa_look(acme, target, &result) || !result.is_valid) {
        return err_ok();
    }
    TRY(validate_decide(acme, target, &result, words));
    *is_valid = true;
    return err_ok();
}
