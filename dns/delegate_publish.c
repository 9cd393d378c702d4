/* The one function in which all doors end: where a value belongs, who may put it there, and the
 * transaction. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

struct publish_job {
    struct delegate *d;
    const struct delegate_who *who;
    char object[DELEGATE_OBJECT_MAX + 1]; /* for the audit row */
    const char *value;
    bool is_cleanup;
    struct delegate_target target;
    bool is_expected;
    struct expectation expected; /* whose challenge the value answers */
    struct zone_publisher by;
    struct delegate_refusal *refusal;
    struct change_set *changes; /* during the transaction */
    enum err_code visible;      /* what the on-commit hook met */
};

static const char *actor_of(const struct delegate_who *who)
{
    return who->is_open ? ACCESS_OPEN_NAME : who->client;
}

static const char *door_text(enum delegate_door door)
{
    switch (door) {
    case DOOR_HTTPREQ:
        return "httpreq";
    case DOOR_ACMEDNS:
        return "acme-dns";
    case DOOR_STORAGE:
        return "HTTP storage";
    case DOOR_ADMIN:
        return "the admin API";
    case DOOR_PREAUTHORIZED:
        return "no door: the client is preauthorized";
    }
    return "an unknown door";
}

/* --- refusals --------------------------------------------------------------------------------- */

struct refused_job {
    const struct delegate_who *who;
    const char *object;
    const char *detail;
};

static struct err refused_tx(struct db *db, void *arg)
{
    const struct refused_job *job = arg;
    const char *actor = actor_of(job->who);
    const struct audit_row row = {"delegate.refused", actor, job->object, &job->who->peer,
                                  job->detail};

    return audit_write(db, &row);
}

/* A peer that is refused in a loop must not fill the disk or the writer's queue. */
static bool may_audit_refusal(struct delegate *d)
{
    int64_t second = clock_mono_ms() / 1000;

    (void)pthread_mutex_lock(&d->refused_lock);
    if (d->refused_second != second) {
        d->refused_second = second;
        d->refused_n = 0;
    }
    bool is_in = d->refused_n < DELEGATE_REFUSED_PER_S;
    d->refused_n += is_in ? 1u : 0u;
    (void)pthread_mutex_unlock(&d->refused_lock);
    return is_in;
}

static bool is_policy(const struct delegate_who *who, enum delegate_reason reason)
{
    switch (reason) {
    case DELEGATE_FORBIDDEN:
    case DELEGATE_UNAUTHORIZED:
    case DELEGATE_FULL:
        return true;
    case DELEGATE_BAD_NAME:
        return who->is_open;
    case DELEGATE_BAD_TXT:
    case DELEGATE_THROTTLED:
        return false;
    }
    return false;
}

struct err delegate_audit_refused(struct delegate *d, const struct delegate_who *who,
                                  const char *object, const struct delegate_refusal *refusal,
                                  struct err e)
{
    char peer[IP_TEXT_MAX + 1];

    if (e.code != ERR_REJECTED) {
        return e;
    }
    ip_text(&who->peer, peer);
    log_ev(LOG_DEBUG, "delegate.refused", {"actor", actor_of(who)}, {"name", object},
           {"peer", peer}, {"door", door_text(who->door)}, {"msg", refusal->detail});
    if (is_policy(who, refusal->reason) && may_audit_refusal(d)) {
        struct refused_job job = {who, object, refusal->detail};
        struct err written = store_write(d->store, "delegate.refused", refused_tx, &job);
        if (written.code != ERR_OK) {
            log_err(LOG_ERROR, "delegate.audit", written);
        }
    }
    return e;
}

/* --- policy ----------------------------------------------------------------------------------- */

struct err delegate_check_txt(const char *value, struct delegate_refusal *refusal)
{
    size_t len = strnlen(value, TXT_VALUE_LEN + 1);

    if (len != TXT_VALUE_LEN || !is_base64url(value, len)) {
        return delegate_refuse(refusal, DELEGATE_BAD_TXT,
                               "a challenge value is 43 characters of A-Z a-z 0-9 - _ (the "
                               "base64url of a SHA-256 digest): send it without quotes or padding");
    }
    return err_ok();
}

struct err delegate_check_who(struct delegate *d, const struct delegate_who *who,
                              struct delegate_refusal *refusal)
{
    char peer[IP_TEXT_MAX + 1];

    ip_text(&who->peer, peer);
    if (who->is_open) {
        if (access_is_open_for(d->access, &who->peer)) {
            return err_ok();
        }
        return delegate_refuse(refusal, DELEGATE_UNAUTHORIZED,
                               "%s may not publish without a credential: give a client's name and "
                               "secret, or widen open_networks",
                               peer);
    }
    if (!access_exists(d->access, who->client)) {
        return delegate_refuse(refusal, DELEGATE_UNAUTHORIZED,
                               "client '%s' does not exist (any more): give the credential of "
                               "another one",
                               who->client);
    }
    if (!access_network_ok(d->access, who->client, &who->peer)) {
        return delegate_refuse(refusal, DELEGATE_FORBIDDEN,
                               "client %s may not act from %s: add that address to its networks",
                               who->client, peer);
    }
    return err_ok();
}

static struct err refuse_ident(struct publish_job *job)
{
    char text[IDENT_TEXT_MAX + 1];

    ident_text(&job->expected.id, text);
    return delegate_refuse(job->refusal, DELEGATE_FORBIDDEN,
                           "client %s may not have %.120s: add it to the client's names",
                           job->by.client, text);
}

static struct err refuse_not_pending(struct publish_job *job, const char *name)
{
    return delegate_refuse(job->refusal, DELEGATE_BAD_NAME,
                           "the value matches no pending challenge%s%.120s: order the certificate "
                           "first, publish with a client's credential under a name, or check that "
                           "the ACME client uses this server's directory",
                           name[0] == '\0' ? "" : " for ", name);
}

static struct err check_name(struct publish_job *job)
{
    const char *base = job->target.base;
    bool is_for_name = job->is_expected && strcmp(job->expected.id.base, base) == 0;

    if (job->who->is_open) {
        return is_for_name ? err_ok() : refuse_not_pending(job, base);
    }
    if (!access_may_publish(job->d->access, job->by.client, base)) {
        return delegate_refuse(job->refusal, DELEGATE_FORBIDDEN,
                               "client %s may not publish for %.100s: add %.100s (or the wildcard "
                               "that covers it) to the client's names",
                               job->by.client, base, base);
    }
    if (is_for_name && !access_may(job->d->access, job->by.client, &job->expected.id)) {
        return refuse_ident(job);
    }
    return err_ok();
}

/* --- the transaction -------------------------------------------------------------------------- */

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

static struct err check_room(struct publish_job *job, struct db *db, const char *owner,
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

static struct err put_value(struct publish_job *job, struct db *db, const char *owner,
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
    return changes_add(job->changes, true, owner, &value);
}

static struct err put_at_name(struct publish_job *job, struct db *db, const char *label,
                              const char *name)
{
    char owner[NAME_TEXT_MAX + 1];

    TRY(delegate_owner(job->d, label, name, owner));
    return put_value(job, db, owner, name);
}

/* A name bound earlier; the client may have lost it since. */
static struct err put_at_bound(void *ctx, struct db *db, const char *name)
{
    struct publish_job *job = ctx;

    if (!access_may_publish(job->d->access, job->by.client, name)) {
        return err_ok();
    }
    return put_at_name(job, db, "", name);
}

static struct err put_late_bound(struct publish_job *job, struct db *db)
{
    char rival[CLIENT_NAME_MAX + 1];
    const char *name = job->expected.id.base;

    if (!access_may(job->d->access, job->by.client, &job->expected.id)) {
        return refuse_ident(job);
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

static struct err put_registration(struct publish_job *job, struct db *db)
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
        return refuse_not_pending(job, "");
    }
    TRY(put_value(job, db, job->target.owner, ""));
    TRY(registration_touch(db, label, clock_unix_s()));
    if (job->by.is_open) {
        return err_ok();
    }
    return job->is_expected ? put_late_bound(job, db)
                            : bindings_each_name(db, label, put_at_bound, job);
}

static struct err remove_values(struct publish_job *job, struct db *db)
{
    const char *owner = job->target.kind == TARGET_DIGEST ? NULL : job->target.owner;

    return values_drop(db, owner, job->value, job->by.client, job->changes);
}

static struct err audit(const struct publish_job *job, struct db *db)
{
    char detail[DELEGATE_DETAIL_MAX];
    const struct ip_addr *peer = job->who->peer.family == 0 ? NULL : &job->who->peer;
    const struct audit_row row = {job->is_cleanup ? "delegate.cleanup" : "delegate.publish",
                                  actor_of(job->who), job->object, peer, detail};
    const char *late =
        job->target.kind == TARGET_LABEL && job->is_expected ? job->expected.id.base : "";

    delegate_say(detail, sizeof(detail), "value %.8s... %s through %s%s%s%s%.120s", job->value,
                 job->is_cleanup ? "removed" : "published", door_text(job->who->door),
                 job->by.registration[0] == '\0' ? "" : " by registration ", job->by.registration,
                 late[0] == '\0' ? "" : ", answers the challenge of ", late);
    return audit_write(db, &row);
}

/* A client that was removed earlier in this batch must not leave a value behind. */
static struct err check_alive(struct publish_job *job, struct db *db)
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

static struct err put_all(struct publish_job *job, struct db *db)
{
    TRY(check_alive(job, db));
    if (job->target.kind == TARGET_LABEL) {
        return put_registration(job, db);
    }
    return put_value(job, db, job->target.owner, job->target.base);
}

static struct err publish_tx(struct db *db, void *arg)
{
    struct publish_job *job = arg;
    AUTO(changes_freep) struct change_set *changes = NULL;

    TRY(changes_new(job->d, &changes));
    job->changes = changes;
    TRY(job->is_cleanup ? remove_values(job, db) : put_all(job, db));
    if (changes_n(changes) == 0) {
        return err_ok();
    }
    TRY(audit(job, db));
    return changes_commit(&changes, db, &job->visible);
}

static struct err run(struct publish_job *job)
{
    TRY(store_write(job->d->store, "delegate.publish", publish_tx, job));
    if (job->visible != ERR_OK) {
        FAIL(job->visible, "the value is stored, but not served until the next start");
    }
    return err_ok();
}

/* --- the entries ------------------------------------------------------------------------------ */

static struct err resolve_digest(struct publish_job *job)
{
    const struct expectation *x = &job->expected;

    if (!job->is_expected) {
        return refuse_not_pending(job, "");
    }
    memcpy(job->target.label, x->label, sizeof(x->label));
    return delegate_name_target(job->d, x->id.base, strlen(x->id.base), &job->target, job->refusal);
}

/* The label of a registration, published to with a client's own credential or anonymously. */
static struct err check_label(struct publish_job *job)
{
    if (strcmp(job->target.reg.client, job->by.client) != 0) {
        return delegate_refuse(job->refusal, DELEGATE_FORBIDDEN,
                               "registration %s belongs to another client: publish with its own "
                               "password",
                               job->target.reg.label);
    }
    memcpy(job->by.registration, job->target.reg.label, sizeof(job->target.reg.label));
    return err_ok();
}

static struct err prepare(struct publish_job *job, const char *fqdn)
{
    TRY(delegate_check_txt(job->value, job->refusal));
    TRY(delegate_check_who(job->d, job->who, job->refusal));
    job->is_expected = expectations_find(job->d->expected, job->value, &job->expected);
    if (fqdn != NULL) {
        struct err e = delegate_find_target(job->d, fqdn, &job->target, job->refusal);
        /* Nothing can be at a label of the delegate zone that is not known (any more). */
        bool is_gone = job->is_cleanup && e.code == ERR_REJECTED && job->target.owner[0] != '\0';
        TRY(is_gone ? err_ok() : e);
        job->target.kind = is_gone ? TARGET_LABEL : job->target.kind;
    } else if (!job->is_cleanup) {
        TRY(resolve_digest(job));
    }
    if (job->is_cleanup) {
        return err_ok();
    }
    return job->target.kind == TARGET_LABEL ? check_label(job) : check_name(job);
}

/* What the value is for: the host name, the dns-account-01 name, or the label it lies at. */
static void set_object(struct publish_job *job)
{
    const struct delegate_target *t = &job->target;

    if (t->base[0] == '\0') {
        delegate_say(job->object, sizeof(job->object), "%s", t->owner);
    } else if (t->label[0] == '\0') {
        delegate_say(job->object, sizeof(job->object), "%s", t->base);
    } else {
        delegate_say(job->object, sizeof(job->object), "%s.%s.%s", t->label, ACME_LABEL, t->base);
    }
}

static void set_publisher(struct publish_job *job, const struct delegate_who *who)
{
    job->who = who;
    job->by.is_open = who->is_open;
    if (!who->is_open) {
        memcpy(job->by.client, who->client, sizeof(job->by.client));
    }
}

struct err delegate_publish(struct delegate *delegate, const struct delegate_who *who,
                            const char *fqdn, const char *value, bool is_cleanup,
                            struct delegate_refusal *refusal)
{
    struct publish_job job;
    const char *object = fqdn == NULL ? "" : fqdn;

    memset(&job, 0, sizeof(job));
    job.d = delegate;
    job.value = value;
    job.is_cleanup = is_cleanup;
    job.refusal = refusal;
    set_publisher(&job, who);
    struct err e = prepare(&job, fqdn);
    if (e.code == ERR_OK) {
        set_object(&job);
        e = run(&job);
    }
    return delegate_audit_refused(delegate, who, object, refusal, e);
}

static struct err put_account(struct publish_job *job, struct db *db)
{
    AUTO(changes_freep) struct change_set *changes = NULL;

    TRY(changes_new(job->d, &changes));
    job->changes = changes;
    struct err e = put_all(job, db);
    if (e.code == ERR_OK) {
        TRY(audit(job, db));
    }
    if (e.code == ERR_OK || e.code == ERR_REJECTED) { /* expired values went in any case */
        TRY(changes_commit(&changes, db, NULL));
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

static struct err prepare_account(struct publish_job *job, const struct ident *id,
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
    set_object(job);
    return err_ok();
}

struct err delegate_account_put(struct delegate *delegate, struct db *db, const struct ident *id,
                                const char *label, const char digest[TXT_VALUE_LEN + 1],
                                const struct zone_publisher *by)
{
    struct delegate_refusal refusal;
    struct delegate_who who;
    struct publish_job job;

    memset(&refusal, 0, sizeof(refusal));
    memset(&who, 0, sizeof(who));
    who.door = DOOR_PREAUTHORIZED;
    who.is_open = by->is_open;
    memcpy(who.client, by->client, sizeof(who.client));
    memset(&job, 0, sizeof(job));
    job.d = delegate;
    job.value = digest;
    job.refusal = &refusal;
    job.who = &who;
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
    struct publish_job job;

    memset(&job, 0, sizeof(job));
    job.d = d;
    job.value = value;
    job.refusal = refusal;
    set_publisher(&job, who);
    job.target.kind = TARGET_LABEL;
    job.target.reg = *reg;
    memcpy(job.by.registration, reg->label, sizeof(reg->label));
    TRY(delegate_check_txt(value, refusal));
    TRY(delegate_check_who(d, who, refusal));
    TRY(name_delegate(reg->label, d->cfg->delegate_zone, job.target.owner));
    set_object(&job);
    job.is_expected = expectations_find(d->expected, value, &job.expected);
    return run(&job);
}
