/* Inside the transaction: prerequisites, changes, the audit row. It may run twice: what it finds out
 * about the message starts anew each time. */
#include "dns/update_int.h"

#include <string.h>

#include "core/util/mem.h"

/* --- prerequisites (RFC 2136 §3.2) ------------------------------------------------------------ */

struct look {
    const struct update_job *job;
    const struct update_rr *one;
    size_t found_n;
    bool is_counting;  /* all of them, else the first one will do */
    bool is_different; /* one was found that the message does not have */
};

/* Is this record among the message's prerequisites of class IN? */
static bool is_wanted(const struct look *look, uint16_t type, const uint8_t *rdata, size_t len)
{
    const struct update_message *m = &look->job->message;

    for (size_t i = 0; i < m->prerequisites_n; i++) {
        const struct dns_rr *rr = &m->prerequisites[i].rr;
        if (rr->class_ == DNS_CLASS_IN && rr->type == type && rr->rdata_len == len &&
            rr->owner_len == look->one->rr.owner_len &&
            memcmp(rr->owner, look->one->rr.owner, rr->owner_len) == 0 &&
            (len == 0 || memcmp(rr->rdata, rdata, len) == 0)) {
            return true;
        }
    }
    return false;
}

static bool see_record(void *arg, const struct dns_rr *rr)
{
    struct look *look = arg;

    look->found_n++;
    look->is_different =
        look->is_different ||
        (look->is_counting && !is_wanted(look, rr->type, rr->rdata, rr->rdata_len));
    return look->is_counting && !look->is_different;
}

static bool see_value(void *arg, const char *value)
{
    struct look *look = arg;
    uint8_t rdata[TXT_VALUE_LEN + 1];

    rdata[0] = TXT_VALUE_LEN;
    memcpy(rdata + 1, value, TXT_VALUE_LEN);
    look->found_n++;
    look->is_different =
        look->is_different ||
        (look->is_counting && !is_wanted(look, DNS_TYPE_TXT, rdata, sizeof(rdata)));
    return look->is_counting && !look->is_different;
}

/* type ANY: of every type. */
static struct err look_at(struct look *look, struct db *db, const struct update_target *target)
{
    const struct dns_rr *rr = &look->one->rr;
    uint16_t type = rr->type == DNS_TYPE_ANY ? 0 : rr->type;

    switch (target->kind) {
    case UPDATE_PLACE:
        if (target->place == NULL || (type != 0 && type != DNS_TYPE_TXT)) {
            return err_ok(); /* as if it owned TXT alone */
        }
        return delegate_place_each(target->place, db, see_value, look);
    case UPDATE_ORDINARY:
        return records_at(look->job->u->with.records, db, rr->owner, rr->owner_len, type,
                          see_record, look);
    case UPDATE_CLOSED:
    case UPDATE_DELEGATED:
        break;
    }
    return err_ok();
}

/* Classes ANY and NONE: is there something? */
static struct err check_existence(struct update_job *job, struct db *db, size_t i)
{
    const struct update_rr *one = &job->message.prerequisites[i];
    struct look look = {job, one, 0, false, false};
    bool is_name = one->rr.type == DNS_TYPE_ANY;
    bool is_wanted_there = one->rr.class_ == DNS_CLASS_ANY;

    TRY(look_at(&look, db, update_target_of(job, false, i)));
    if ((look.found_n > 0) == is_wanted_there) {
        return err_ok();
    }
    if (is_name) {
        return update_reject(job, is_wanted_there ? RCODE_NXDOMAIN : RCODE_YXDOMAIN, one,
                             "prerequisite: the name is %s",
                             is_wanted_there ? "not in use" : "in use");
    }
    return update_reject(job, is_wanted_there ? RCODE_NXRRSET : RCODE_YXRRSET, one,
                         "prerequisite: the RRset %s",
                         is_wanted_there ? "does not exist" : "exists");
}

static bool is_same_set(const struct dns_rr *a, const struct dns_rr *b)
{
    return a->class_ == b->class_ && a->type == b->type && a->owner_len == b->owner_len &&
           memcmp(a->owner, b->owner, a->owner_len) == 0;
}

/* Class IN: the whole RRset is what the message says; asked at the first of its records. */
static struct err check_equality(struct update_job *job, struct db *db, size_t first)
{
    const struct update_message *m = &job->message;
    const struct update_rr *one = &m->prerequisites[first];
    struct look look = {job, one, 0, true, false};
    size_t wanted_n = 0;

    for (size_t i = 0; i < m->prerequisites_n; i++) {
        bool is_new = is_same_set(&m->prerequisites[i].rr, &one->rr);
        if (is_new && i < first) {
            return err_ok(); /* done then */
        }
        for (size_t k = first; k < i && is_new; k++) {
            is_new = !(is_same_set(&m->prerequisites[k].rr, &one->rr) &&
                       rr_equal(&m->prerequisites[k].rr, &m->prerequisites[i].rr));
        }
        wanted_n += is_new ? 1u : 0u;
    }
    TRY(look_at(&look, db, update_target_of(job, false, first)));
    if (look.is_different || look.found_n != wanted_n) {
        return update_reject(job, RCODE_NXRRSET, one,
                             "prerequisite: the RRset does not exist with these values");
    }
    return err_ok();
}

struct err update_prerequisites(struct update_job *job, struct db *db)
{
    const struct update_message *m = &job->message;

    for (size_t i = 0; i < m->prerequisites_n; i++) {
        if (m->prerequisites[i].rr.class_ != DNS_CLASS_IN) {
            TRY(check_existence(job, db, i));
        }
    }
    for (size_t i = 0; i < m->prerequisites_n; i++) {
        if (m->prerequisites[i].rr.class_ == DNS_CLASS_IN) {
            TRY(check_equality(job, db, i));
        }
    }
    return err_ok();
}

struct err update_only_prerequisites(struct db *db, void *arg)
{
    return update_prerequisites(arg, db);
}

/* --- changes (RFC 2136 §3.4.2) ---------------------------------------------------------------- */

static struct err change_value(struct update_job *job, struct db *db, size_t i,
                               struct zone_change *change)
{
    const struct update_rr *one = &job->message.changes[i];
    struct delegate_place *place = update_target_of(job, true, i)->place;
    char value[TXT_VALUE_LEN + 1];

    if (one->rr.class_ == DNS_CLASS_ANY) {
        return delegate_place_remove(place, db, NULL, change);
    }
    memcpy(value, one->rr.rdata + 1, TXT_VALUE_LEN); /* its form was checked */
    value[TXT_VALUE_LEN] = '\0';
    if (one->rr.class_ == DNS_CLASS_NONE) {
        return delegate_place_remove(place, db, value, change);
    }
    struct err e = delegate_place_put(place, db, value, change, &job->refusal);
    if (e.code == ERR_REJECTED) {
        job->rcode = RCODE_REFUSED;
        job->refused = one;
        job->is_policy = true;
        job->is_delegate_refusal = true;
    }
    return e;
}

static struct err change_values(struct update_job *job, struct db *db, struct zone_change *change)
{
    for (size_t i = 0; i < job->message.changes_n; i++) {
        if (update_target_of(job, true, i)->kind == UPDATE_PLACE) {
            TRY(change_value(job, db, i, change));
        }
    }
    return err_ok();
}

/* A client that was removed earlier in this batch changes nothing any more. */
static struct err check_alive(struct update_job *job, struct db *db)
{
    bool is_there = false;

    TRY(access_exists_tx(job->u->with.access, db, job->who.client, &is_there));
    if (!is_there) {
        job->is_policy = true;
        return update_reject(job, RCODE_REFUSED, NULL,
                             "client '%s' does not exist (any more): use another one's key",
                             job->who.client);
    }
    return err_ok();
}

static struct err change_records(struct update_job *job, struct db *db, struct zone_change *change)
{
    struct record_who who = {.is_update = true};
    struct record_refusal refusal;
    char summary[UPDATE_SUMMARY_MAX];
    char object[NAME_TEXT_MAX + 1] = "";
    size_t changed = 0;

    if (job->edits_n == 0) {
        return err_ok();
    }
    memcpy(who.client, job->who.client, sizeof(who.client));
    memset(&refusal, 0, sizeof(refusal));
    struct err e = records_edit(job->u->with.records, db, &who, job->edits, job->edits_n, change,
                                &changed, &refusal);
    if (e.code == ERR_REJECTED) {
        return update_reject(job, RCODE_REFUSED, update_edited(job, 0), "%s", refusal.detail);
    }
    TRY(e);
    if (changed == 0) {
        return err_ok();
    }
    update_summary(job, summary, sizeof(summary));
    update_name_text(&update_edited(job, 0)->name, object, sizeof(object));
    const struct audit_row row = {"dns.update", job->who.client, object, &job->who.peer, summary};
    return audit_write(db, &row);
}

struct err update_apply(struct db *db, void *arg)
{
    struct update_job *job = arg;
    AUTO(zone_change_freep) struct zone_change *change = NULL;

    job->rcode = RCODE_NOERROR;
    job->visible = ERR_OK;
    job->is_policy = false;
    job->is_delegate_refusal = false;
    TRY(update_prerequisites(job, db));
    TRY(check_alive(job, db));
    TRY(zone_change_new(job->u->with.records, &change));
    TRY(change_values(job, db, change));
    TRY(change_records(job, db, change));
    return zone_change_commit(&change, db, &job->visible);
}
