/* Before the transaction: where a value belongs and who may put it there. */
#include "dns/delegate_int.h"

#include <string.h>

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

struct err delegate_refuse_ident(struct delegate_job *job)
{
    char text[IDENT_TEXT_MAX + 1];

    ident_text(&job->expected.id, text);
    return delegate_refuse(job->refusal, DELEGATE_FORBIDDEN,
                           "client %s may not have %.120s: add it to the client's names",
                           job->by.client, text);
}

struct err delegate_refuse_not_pending(struct delegate_job *job, const char *name)
{
    return delegate_refuse(job->refusal, DELEGATE_BAD_NAME,
                           "the value matches no pending challenge%s%.120s: order the certificate "
                           "first, publish with a client's credential under a name, or check that "
                           "the ACME client uses this server's directory",
                           name[0] == '\0' ? "" : " for ", name);
}

static struct err check_name(struct delegate_job *job)
{
    const char *base = job->target.base;
    bool is_for_name = job->is_expected && strcmp(job->expected.id.base, base) == 0;

    if (job->who->is_open) {
        return is_for_name ? err_ok() : delegate_refuse_not_pending(job, base);
    }
    if (!access_may_publish(job->d->access, job->by.client, base)) {
        return delegate_refuse(job->refusal, DELEGATE_FORBIDDEN,
                               "client %s may not publish for %.100s: add %.100s (or the wildcard "
                               "that covers it) to the client's names",
                               job->by.client, base, base);
    }
    if (is_for_name && !access_may(job->d->access, job->by.client, &job->expected.id)) {
        return delegate_refuse_ident(job);
    }
    return err_ok();
}

static struct err resolve_digest(struct delegate_job *job)
{
    const struct expectation *x = &job->expected;

    if (!job->is_expected) {
        return delegate_refuse_not_pending(job, "");
    }
    memcpy(job->target.label, x->label, sizeof(x->label));
    return delegate_name_target(job->d, x->id.base, strlen(x->id.base), &job->target, job->refusal);
}

/* The label of a registration, published to with a client's own credential or anonymously. */
static struct err check_label(struct delegate_job *job)
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

struct err delegate_job_may(struct delegate_job *job)
{
    return job->target.kind == TARGET_LABEL ? check_label(job) : check_name(job);
}

static bool find_cut(struct delegate *d, const char *base, char cut[NAME_TEXT_MAX + 1],
                     bool *is_dname)
{
    (void)pthread_mutex_lock(&d->reader_lock);
    bool is_cut = zone_challenge_cut(zone_read_begin(d->reader), base, cut, is_dname);
    zone_read_end(d->reader);
    (void)pthread_mutex_unlock(&d->reader_lock);
    return is_cut;
}

/* Where other servers answer, nobody would ask us. A value at its target is fine: a CNAME record there
 * may lead to it. */
static struct err check_cut(struct delegate_job *job)
{
    const struct delegate_target *t = &job->target;
    char cut[NAME_TEXT_MAX + 1];
    bool is_dname = false;

    if (!t->is_challenge || !find_cut(job->d, t->base, cut, &is_dname)) {
        return err_ok();
    }
    if (is_dname) {
        return delegate_refuse(job->refusal, DELEGATE_BAD_NAME,
                               "%s.%.80s is below %.80s, whose DNAME record leads to other names: "
                               "publish the value for the name it leads to",
                               ACME_LABEL, t->base, cut);
    }
    return delegate_refuse(job->refusal, DELEGATE_BAD_NAME,
                           "%s.%.80s is below %.80s, which NS records delegate to another server: "
                           "publish the value there, or have that server answer with a CNAME to "
                           "%.100s and publish at that",
                           ACME_LABEL, t->base, cut, t->owner);
}

struct err delegate_job_prepare(struct delegate_job *job, const char *fqdn)
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
    TRY(delegate_job_may(job));
    return check_cut(job);
}

/* What the value is for: the host name, the dns-account-01 name, or the label it lies at. */
void delegate_job_object(struct delegate_job *job)
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

void delegate_job_init(struct delegate_job *job, struct delegate *d, const struct delegate_who *who,
                       struct delegate_refusal *refusal)
{
    memset(job, 0, sizeof(*job));
    job->d = d;
    job->who = who;
    job->refusal = refusal;
    job->by.is_open = who->is_open;
    if (!who->is_open) {
        memcpy(job->by.client, who->client, sizeof(job->by.client));
    }
}
