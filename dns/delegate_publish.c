/* The function in which all doors end. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/mem.h"

static struct err publish_tx(struct db *db, void *arg)
{
    struct delegate_job *job = arg;
    AUTO(zone_change_freep) struct zone_change *changes = NULL;

    TRY(delegate_change_new(job->d, &changes));
    job->changes = changes;
    TRY(delegate_job_apply(job, db));
    return zone_change_commit(&changes, db, &job->visible);
}

static struct err run(struct delegate_job *job)
{
    TRY(store_write(job->d->store, "delegate.publish", publish_tx, job));
    if (job->visible != ERR_OK) {
        FAIL(job->visible, "the value is stored, but not served until the next start");
    }
    return err_ok();
}

struct err delegate_publish(struct delegate *delegate, const struct delegate_who *who,
                            const char *fqdn, const char *value, bool is_cleanup,
                            struct delegate_refusal *refusal)
{
    struct delegate_job job;
    const char *object = fqdn == NULL ? "" : fqdn;

    delegate_job_init(&job, delegate, who, refusal);
    job.value = value;
    job.is_cleanup = is_cleanup;
    struct err e = delegate_job_prepare(&job, fqdn);
    if (e.code == ERR_OK) {
        delegate_job_object(&job);
        e = run(&job);
    }
    return delegate_audit_refused(delegate, who, object, refusal, e);
}

static struct err put_account(struct delegate_job *job, struct db *db)
{
    AUTO(zone_change_freep) struct zone_change *changes = NULL;

    TRY(delegate_change_new(job->d, &changes));
    job->changes = changes;
    struct err e = delegate_job_apply(job, db);
    if (e.code == ERR_OK || e.code == ERR_REJECTED) { /* expired values went in any case */
        TRY(zone_change_commit(&changes, db, NULL));
    }
    return e;
}

/* A refusal that no peer will read. */
static struct err refused_inside(const struct delegate_refusal *refusal)
{
    if (refusal->reason == DELEGATE_FULL) {
        FAIL(ERR_LIMIT, "%s", refusal->detail);
    }
    if (refusal->reason == DELEGATE_BAD_NAME || refusal->reason == DELEGATE_BAD_TXT) {
        FAIL(ERR_MALFORMED, "%s", refusal->detail);
    }
    FAIL(ERR_DENIED, "%s", refusal->detail);
}

static struct err prepare_account(struct delegate_job *job, const struct ident *id,
                                  const char *label)
{
    TRY(delegate_check_txt(job->value, job->refusal));
    if (id->is_ip || !zone_is_account_label(label, strlen(label))) {
        return delegate_refuse(job->refusal, DELEGATE_BAD_NAME,
                               "dns-account-01 takes a name and an account's label");
    }
    memcpy(job->target.label, label, ZONE_ACCOUNT_LABEL_LEN);
    TRY(delegate_name_target(job->d, id->base, strlen(id->base), &job->target, job->refusal));
    if (!delegate_publisher_may(job->d, &job->by, id)) {
        return delegate_refuse(job->refusal, DELEGATE_FORBIDDEN, "client %s may not have %s%.200s",
                               job->by.client, id->is_wildcard ? "*." : "", id->base);
    }
    delegate_job_object(job);
    return err_ok();
}

struct err delegate_account_put(struct delegate *delegate, struct db *db, const struct ident *id,
                                const char *label, const char digest[TXT_VALUE_LEN + 1],
                                const struct zone_publisher *by)
{
    struct delegate_refusal refusal;
    struct delegate_who who;
    struct delegate_job job;

    memset(&refusal, 0, sizeof(refusal));
    memset(&who, 0, sizeof(who));
    who.door = DOOR_PREAUTHORIZED;
    who.is_open = by->is_open;
    memcpy(who.client, by->client, sizeof(who.client));
    delegate_job_init(&job, delegate, &who, &refusal);
    job.value = digest;
    job.by = *by;
    struct err e = prepare_account(&job, id, label);
    if (e.code == ERR_OK) {
        e = put_account(&job, db);
    }
    return e.code == ERR_REJECTED ? refused_inside(&refusal) : e;
}

struct err delegate_publish_registration(struct delegate *d, const struct registration *reg,
                                         const struct delegate_who *who, const char *value,
                                         struct delegate_refusal *refusal)
{
    struct delegate_job job;

    delegate_job_init(&job, d, who, refusal);
    job.value = value;
    job.target.kind = TARGET_LABEL;
    job.target.reg = *reg;
    memcpy(job.by.registration, reg->label, sizeof(reg->label));
    TRY(delegate_check_txt(value, refusal));
    TRY(delegate_check_who(d, who, refusal));
    TRY(name_delegate(reg->label, d->cfg->delegate_zone, job.target.owner));
    delegate_job_object(&job);
    job.is_expected = expectations_find(d->expected, value, &job.expected);
    return run(&job);
}
