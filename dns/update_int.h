/* Inside dns/update*.c only: one message on its way. */
#ifndef DNS_UPDATE_INT_H
#define DNS_UPDATE_INT_H

#include <pthread.h>

#include "core/util/quota.h"
#include "dns/query.h"
#include "dns/rr.h"
#include "dns/update.h"
#include "dns/wire.h"
#include "dns/zone_table.h"

struct update_seen;
struct update {
    struct update_options with;
    struct update_seen *seen;
    struct zone_table *table;
    pthread_mutex_t reader_lock; /* leaf: the reader, for looks at the snapshot */
    struct zone_reader *reader;
    struct quota log_lines, audit_rows;
};

/* --- update_read.c: the message's form. Pure. --- */
struct update_rr {
    struct dns_rr rr;
    struct dns_name name; /* its owner, taken apart */
};
struct update_message {
    uint16_t id;
    struct dns_name zone;
    size_t zone_end; /* where the zone section ends in the packet; 0: it could not be read */
    struct update_rr *prerequisites, *changes;
    size_t prerequisites_n, changes_n;
};
/* RFC 2136 §2, and what §3.2 and §3.4.1 say of classes, TTLs, types and empty RDATA. Result
 * RCODE_NOERROR, _FORMERR, _NOTIMP (no UPDATE), _NOTAUTH (no class of ours), _REFUSED (more than the
 * limits) or _SERVFAIL (no memory); out is to be cleared in every case. why: a static phrase. */
enum dns_rcode update_read(const uint8_t *packet, size_t len, struct update_message *out,
                           const char **why);
/* The header and the zone section alone: what may cost nothing, for messages that are not signed. */
enum dns_rcode update_read_head(const uint8_t *packet, size_t len, struct update_message *out,
                                const char **why);
void update_message_clear(struct update_message *message);

/* --- one message --- */
#define UPDATE_SUMMARY_MAX 400u
enum update_kind {
    UPDATE_PLACE,    /* values live there: through delegate_place_...() */
    UPDATE_ORDINARY, /* records */
    UPDATE_CLOSED,   /* neither: nothing is there, and nothing may come */
    UPDATE_DELEGATED /* a challenge name below a delegation or DNAME: other servers' */
};
struct update_place { /* one per owner */
    const struct update_rr *of;
    struct delegate_place *place;
};
struct update_target {
    enum update_kind kind;
    struct zone_match match;      /* the zone it lies in */
    struct delegate_place *place; /* borrowed from update_job.places; NULL: nothing can be there */
};
struct update_job {
    struct update *u;
    struct update_message message;
    struct delegate_who who;
    struct update_target *targets; /* of the prerequisites, then of the changes */
    struct update_place *places;
    size_t places_n;
    enum dns_rcode rcode;
    const struct update_rr *refused; /* at which record, or NULL */
    bool is_silent;                  /* its twin is under way, and will be answered */
    bool is_policy;                  /* the refusal is one of policy: audited */
    bool is_delegate_refusal;        /* ... by delegate.c, whose row it is */
    struct delegate_refusal refusal; /* the sentence */
    size_t *edited;                  /* the changes that `edits` stands for */
    struct record_edit *edits;       /* ordinary changes; RDATA borrowed from message */
    size_t edits_n;
    enum err_code visible;
};
/* The change behind an edit. */
static inline const struct update_rr *update_edited(const struct update_job *job, size_t i)
{
    return &job->message.changes[job->edited[i]];
}
void update_job_clear(struct update_job *job);
static inline struct update_target *update_target_of(const struct update_job *job, bool is_change,
                                                     size_t i)
{
    return &job->targets[is_change ? job->message.prerequisites_n + i : i];
}
/* Sets rcode and sentence. Returns ERR_REJECTED. */
struct err update_reject(struct update_job *job, enum dns_rcode rcode, const struct update_rr *at,
                         const char *fmt, ...) PRINTF_LIKE(4, 5);

/* --- update_policy.c: before the transaction --- */
/* The zone section, where each name belongs, and what the client may. ERR_REJECTED: job->rcode. Zone
 * faults come first; prerequisites' targets are set whenever rcode is not NOTAUTH or NOTZONE. */
MUST_USE struct err update_judge(struct update_job *job);

/* --- update_apply.c: inside the transaction --- */
/* RFC 2136 §3.2. ERR_REJECTED: job->rcode. */
MUST_USE struct err update_prerequisites(struct update_job *job, struct db *db);
/* store_fn: prerequisites, changes, audit row, commit hook; arg: the job. */
MUST_USE struct err update_apply(struct db *db, void *arg);
/* store_fn: the prerequisites alone. */
MUST_USE struct err update_only_prerequisites(struct db *db, void *arg);

/* --- update_seen.c: what was signed and answered before. Thread: any. --- */
MUST_USE struct err update_seen_new(struct update_seen **out);
void update_seen_free(struct update_seen *seen); /* NULL is fine */
enum update_again {
    UPDATE_NEW,       /* under way from now on, until update_seen_end() */
    UPDATE_UNDER_WAY, /* another thread works for the same message */
    UPDATE_ANSWERED   /* with *rcode */
};
/* tsig: of a message that was verified, not yet answered. */
enum update_again update_seen_begin(struct update_seen *seen, const struct tsig *tsig,
                                    enum dns_rcode *rcode);
/* SERVFAIL is forgotten: who sends again wants it tried again. */
void update_seen_end(struct update_seen *seen, const struct tsig *tsig, enum dns_rcode rcode);

/* --- update_say.c --- */
void update_say_refused(struct update_job *job);
/* A sentence's worth of what the message changes: "svc.test: +www.svc.test A, ...". */
void update_summary(const struct update_job *job, char *out, size_t cap);
/* The name as text, cut to cap. */
void update_name_text(const struct dns_name *name, char *out, size_t cap);

#endif
