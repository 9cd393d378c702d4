/* Inside the transaction: rows, caps, late binding, and the audit row. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/clock.h"

/* Does the name begin with an account's label? Host names cannot. */
static bool is_labelled(const char *owner)
{
    return zone_is_account_label(owner, strcspn(owner, "."));
}

static struct err note_hashed(struct db *db, const char *base, const char *owner)
{
    char label[LABEL_MAX + 1];

    owner += is_labelled(owner) ? ZONE_ACCOUNT_LABEL_LEN + 1 : 0;
    size_t n = strcspn(owner, ".");
    if (base[0] == '\0' || n != DELEGATE_HASHED_LEN || strncmp(base, owner, n) == 0) {
        return err_ok();
    }
    memcpy(label, owner, n);
    label[n] = '\0';
    return hashed_put(db, label, base);
}

static struct err check_room(struct delegate_job *job, struct db *db, const char *owner,
                             const char *base)
{
    size_t n = 0;

    TRY(values_count(db, owner, &n));
    if (n >= ZONE_VALUES_MAX) {
        return delegate_refuse(job->refusal, DELEGATE_FULL,
                               "%.120s holds %u values already: clean up, or wait until they "
                               "expire (one hour after publishing)",
                               owner, ZONE_VALUES_MAX);
    }
    if (!is_labelled(owner)) {
        return err_ok();
    }
    /* There are more labels than any table could hold. */
    TRY(values_count_base(db, base, clock_unix_s(), &n));
    if (n >= DELEGATE_BASE_VALUES_MAX) {
        return delegate_refuse(job->refusal, DELEGATE_FULL,
                               "%.120s has %u values already, under all accounts' labels: clean "
                               "up, or wait until they expire (one hour after publishing)",
                               base, DELEGATE_BASE_VALUES_MAX);
    }
    return err_ok();
}

static struct err put_value(struct delegate_job *job, struct db *db, const char *owner,
                            const char *base)
{
    struct zone_value value;
    bool is_there = false;
    int64_t now = clock_unix_s();

    memset(&value, 0, sizeof(value));
    memcpy(value.txt, job->value, TXT_VALUE_LEN);
    value.by = job->by;
    TRY(values_drop_expired_at(db, owner, now, job->changes));
    TRY(value_exists(db, owner, &value, &is_there));
    if (!is_there) {
        TRY(check_room(job, db, owner, base));
    }
    TRY(value_put(db, owner, base, &value, now));
    TRY(note_hashed(db, base, owner));
    return zone_change_value(job->changes, true, owner, &value);
}

static struct err put_at_name(struct delegate_job *job, struct db *db, const char *label,
                              const char *name)
{
    char owner[NAME_TEXT_MAX + 1];

    TRY(delegate_owner(job->d, label, name, owner));
    return put_value(job, db, owner, name);
}

/* A name bound earlier; the client may have lost it since. */
static struct err put_at_bound(void *ctx, struct db *db, const char *name)
{
    struct delegate_job *job = ctx;

    if (!access_may_publish(job->d->access, job->by.client, name)) {
        return err_ok();
    }
    return put_at_name(job, db, "", name);
}

static struct err put_late_bound(struct delegate_job *job, struct db *db)
{
    char rival[CLIENT_NAME_MAX + 1];
    const char *name = job->expected.id.base;

    if (!access_may(job->d->access, job->by.client, &job->expected.id)) {
        return delegate_refuse_ident(job);
    }
    TRY(binding_rival(db, name, job->by.client, rival));
    if (rival[0] != '\0') {
        return delegate_refuse(job->refusal, DELEGATE_FORBIDDEN,
                               "%.100s is bound to a registration of client %s: release it with "
                               "'bailiwick client release %.100s', or publish with client %s's own "
                               "name and secret",
                               name, rival, name, job->by.client);
    }
    return put_at_name(job, db, job->expected.label, name);
}

static struct err put_registration(struct delegate_job *job, struct db *db)
{
    struct registration now_there;
    const char *label = job->target.reg.label;
    struct err e = registration_get(db, BY_LABEL, label, &now_there);

    if (e.code == ERR_NOT_FOUND) {
        return delegate_refuse(job->refusal, DELEGATE_UNAUTHORIZED,
                               "the registration was removed: register again");
    }
    TRY(e);
    if (job->by.is_open && !job->is_expected) {
        return delegate_refuse_not_pending(job, "");
    }
    TRY(put_value(job, db, job->target.owner, ""));
    TRY(registration_touch(db, label, clock_unix_s()));
    if (job->by.is_open) {
        return err_ok();
    }
    return job->is_expected ? put_late_bound(job, db)
                            : bindings_each_name(db, label, put_at_bound, job);
}

static struct err remove_values(struct delegate_job *job, struct db *db)
{
    const char *owner = job->target.kind == TARGET_DIGEST ? NULL : job->target.owner;

    return values_drop(db, owner, job->value, job->by.client, job->changes);
}

static struct err audit(const struct delegate_job *job, struct db *db)
{
    char detail[DELEGATE_DETAIL_MAX];
    char what[24];
    const struct ip_addr *peer = job->who->peer.family == 0 ? NULL : &job->who->peer;
    const struct audit_row row = {job->is_cleanup ? "delegate.cleanup" : "delegate.publish",
                                  delegate_actor(job->who), job->object, peer, detail};
    const char *late =
        job->target.kind == TARGET_LABEL && job->is_expected ? job->expected.id.base : "";

    if (job->value == NULL) {
        delegate_say(what, sizeof(what), "all its values");
    } else {
        delegate_say(what, sizeof(what), "value %.8s...", job->value);
    }
    delegate_say(detail, sizeof(detail), "%s %s through %s%s%s%s%.120s", what,
                 job->is_cleanup ? "removed" : "published", delegate_door_text(job->who->door),
                 job->by.registration[0] == '\0' ? "" : " by registration ", job->by.registration,
                 late[0] == '\0' ? "" : ", answers the challenge of ", late);
    return audit_write(db, &row);
}

/* A client that was removed earlier in this batch must not leave a value behind. */
static struct err check_alive(struct delegate_job *job, struct db *db)
{
    bool is_there = true;

    if (!job->by.is_open) {
        TRY(access_exists_tx(job->d->access, db, job->by.client, &is_there));
    }
    if (!is_there) {
        return delegate_refuse(job->refusal, DELEGATE_UNAUTHORIZED,
                               "client '%s' does not exist (any more): give the credential of "
                               "another one",
                               job->by.client);
    }
    return err_ok();
}

static struct err put_all(struct delegate_job *job, struct db *db)
{
    TRY(check_alive(job, db));
    if (job->target.kind == TARGET_LABEL) {
        return put_registration(job, db);
    }
    return put_value(job, db, job->target.owner, job->target.base);
}

struct err delegate_job_apply(struct delegate_job *job, struct db *db)
{
    size_t before = zone_change_n(job->changes);

    TRY(job->is_cleanup ? remove_values(job, db) : put_all(job, db));
    return zone_change_n(job->changes) == before ? err_ok() : audit(job, db);
}
