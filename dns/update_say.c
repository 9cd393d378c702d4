/* Refusals in words, bounded: peers can cause them at will. */
#include "dns/update_int.h"

#include <stdio.h>
#include <string.h>

#include "core/util/log.h"

void update_name_text(const struct dns_name *name, char *out, size_t cap)
{
    char text[4 * NAME_WIRE_MAX + 4];

    if (name_from_wire(name->wire, name->len, text, sizeof(text)).code != ERR_OK) {
        memcpy(text, "?", 2);
    }
    (void)snprintf(out, cap, "%s", text);
}

void update_summary(const struct update_job *job, char *out, size_t cap)
{
    char name[NAME_TEXT_MAX + 1];
    char type[RR_TYPE_TEXT_MAX + 1];
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < job->edits_n && used + 1 < cap; i++) {
        const struct update_rr *one = update_edited(job, i);
        const struct dns_rr *rr = &one->rr;
        update_name_text(&one->name, name, sizeof(name));
        rr_type_text(rr->type, type);
        int n = snprintf(out + used, cap - used, "%s%s %s %s", i == 0 ? "" : ", ",
                         rr->class_ == DNS_CLASS_IN     ? "added"
                         : rr->class_ == DNS_CLASS_NONE ? "removed one"
                                                        : "removed",
                         name, type);
        used += n < 0 ? 0 : (size_t)n;
    }
}

/* --- refusals --------------------------------------------------------------------------------- */

struct refused_row {
    const struct update_job *job;
    const char *object;
};

static struct err refused_tx(struct db *db, void *arg)
{
    const struct refused_row *r = arg;
    const struct audit_row row = {"dns.refused", r->job->who.client, r->object, &r->job->who.peer,
                                  r->job->refusal.detail};

    return audit_write(db, &row);
}

static void audit_refused(struct update_job *job, const char *object)
{
    struct refused_row row = {job, object};

    if (job->is_delegate_refusal) {
        delegate_note_refusal(job->u->with.delegate, &job->who, object, &job->refusal);
        return;
    }
    if (quota_take(&job->u->audit_rows, UPDATE_REFUSED_PER_S, 1000)) {
        struct err e = store_write(job->u->with.store, "dns.refused", refused_tx, &row);
        if (e.code != ERR_OK) {
            log_err(LOG_ERROR, "dns.update.audit", e);
        }
    }
}

static bool is_about_prerequisites(enum dns_rcode rcode)
{
    return rcode == RCODE_NXDOMAIN || rcode == RCODE_YXDOMAIN || rcode == RCODE_NXRRSET ||
           rcode == RCODE_YXRRSET;
}

void update_say_refused(struct update_job *job)
{
    char name[NAME_TEXT_MAX + 1] = "";
    char type[RR_TYPE_TEXT_MAX + 1] = "";
    char peer[IP_TEXT_MAX + 1];
    /* That a prerequisite does not hold is what it was sent for. */
    enum log_level level = is_about_prerequisites(job->rcode) ? LOG_DEBUG : LOG_WARN;

    if (job->refused != NULL) {
        update_name_text(&job->refused->name, name, sizeof(name));
        rr_type_text(job->refused->rr.type, type);
    }
    if (log_enabled(level) && quota_take(&job->u->log_lines, UPDATE_LOGS_PER_S, 1000)) {
        ip_text(&job->who.peer, peer);
        log_ev(level, "dns.update.refused", {"rcode", wire_rcode_text(job->rcode)},
               {"client", job->who.client}, {"peer", peer}, {"name", name}, {"type", type},
               {"msg", job->refusal.detail});
    }
    if (job->is_policy) {
        audit_refused(job, name);
    }
}
