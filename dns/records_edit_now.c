/* Edits by the administrator: a transaction of their own, with an audit row. */
#include <stdio.h>

#include "core/access/access.h"
#include "core/util/mem.h"
#include "dns/records_int.h"

struct edit_job {
    struct records *records;
    const struct record_edit *edits;
    size_t n;
    struct record_refusal *refusal;
    enum err_code visible;
};

static struct err audit_edits(struct db *db, const struct edit_job *job, size_t changed_n)
{
    struct name_words words;
    char detail[100];
    const struct dns_rr *rr = &job->edits[0].rr;

    (void)snprintf(detail, sizeof(detail), "%zu records changed", changed_n);
    const struct audit_row row = {.event = "records.edit",
                                  .actor = "admin",
                                  .object = wire_words(rr->owner, rr->owner_len, &words),
                                  .detail = detail};
    return audit_write(db, &row);
}

static struct err edit_tx(struct db *db, void *arg)
{
    struct edit_job *job = arg;
    AUTO(zone_change_freep) struct zone_change *change = NULL;
    const struct record_who who = {.client = "", .is_update = false};
    size_t changed_n = 0;

    TRY(zone_change_new(job->records, &change));
    TRY(records_edit(job->records, db, &who, job->edits, job->n, change, &changed_n, job->refusal));
    if (changed_n > 0) {
        TRY(audit_edits(db, job, changed_n));
    }
    return zone_change_commit(&change, db, &job->visible);
}

struct err records_edit_now(struct records *records, const struct record_edit *edits, size_t n,
                            struct record_refusal *refusal)
{
    struct edit_job job = {records, edits, n, refusal, ERR_OK};

    if (n == 0) {
        return err_ok();
    }
    TRY(store_write(records->store, "records.edit", edit_tx, &job));
    if (job.visible != ERR_OK) {
        FAIL(job.visible, "records: stored, but not visible to queries before a restart");
    }
    return err_ok();
}
