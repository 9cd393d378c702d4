/* Refusals at the doors: the audit row, bounded, and the log line. */
#include "dns/delegate_int.h"

#include "core/util/log.h"

const char *delegate_actor(const struct delegate_who *who)
{
    return who->is_open ? ACCESS_OPEN_NAME : who->client;
}

const char *delegate_door_text(enum delegate_door door)
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
    case DOOR_UPDATE:
        return "a DNS update";
    case DOOR_PREAUTHORIZED:
        return "no door: the client is preauthorized";
    }
    return "an unknown door";
}

struct refused_job {
    const struct delegate_who *who;
    const char *object;
    const char *detail;
};

static struct err refused_tx(struct db *db, void *arg)
{
    const struct refused_job *job = arg;
    const char *actor = delegate_actor(job->who);
    const struct audit_row row = {"delegate.refused", actor, job->object, &job->who->peer,
                                  job->detail};

    return audit_write(db, &row);
}

/* A peer that is refused in a loop must not fill the disk or the writer's queue. */
static bool may_audit_refusal(struct delegate *d)
{
    return quota_take(&d->refused_rows, DELEGATE_REFUSED_PER_S, 1000);
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
    log_ev(LOG_DEBUG, "delegate.refused", {"actor", delegate_actor(who)}, {"name", object},
           {"peer", peer}, {"door", delegate_door_text(who->door)}, {"msg", refusal->detail});
    if (is_policy(who, refusal->reason) && may_audit_refusal(d)) {
        struct refused_job job = {who, object, refusal->detail};
        struct err written = store_write(d->store, "delegate.refused", refused_tx, &job);
        if (written.code != ERR_OK) {
            log_err(LOG_ERROR, "delegate.audit", written);
        }
    }
    return e;
}

void delegate_note_refusal(struct delegate *delegate, const struct delegate_who *who,
                           const char *object, const struct delegate_refusal *refusal)
{
    const struct err refused = {ERR_REJECTED};

    err_ignore(delegate_audit_refused(delegate, who, object, refusal, refused));
}
