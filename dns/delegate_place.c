/* Values changed inside somebody else's transaction, several at a time: the door of dynamic updates. */
#include "dns/delegate_int.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

struct delegate_place {
    struct delegate *d;
    struct delegate_who who;
    struct delegate_target target;
    bool is_gone; /* a label of the delegate zone that is not known: nothing can be there */
};

void delegate_place_freep(struct delegate_place **place)
{
    mem_freep(place);
}

struct err delegate_place_new(struct delegate *delegate, const struct delegate_who *who,
                              const char *fqdn, struct delegate_place **out,
                              struct delegate_refusal *refusal)
{
    AUTO(delegate_place_freep) struct delegate_place *place = mem_zalloc(sizeof(*place));

    TRY_PTR(place);
    place->d = delegate;
    place->who = *who;
    struct err e = delegate_find_target(delegate, fqdn, &place->target, refusal);
    place->is_gone = e.code == ERR_REJECTED && place->target.owner[0] != '\0';
    TRY(place->is_gone ? err_ok() : e);
    place->target.kind = place->is_gone ? TARGET_LABEL : place->target.kind;
    *out = MOVE(place);
    return err_ok();
}

static void job_of(const struct delegate_place *place, const char *value, bool is_cleanup,
                   struct delegate_refusal *refusal, struct delegate_job *job)
{
    delegate_job_init(job, place->d, &place->who, refusal);
    job->target = place->target;
    job->value = value;
    job->is_cleanup = is_cleanup;
    if (!is_cleanup && value != NULL) {
        job->is_expected = expectations_find(place->d->expected, value, &job->expected);
    }
    if (place->target.kind == TARGET_LABEL) {
        memcpy(job->by.registration, place->target.reg.label, sizeof(place->target.reg.label));
    }
    delegate_job_object(job);
}

struct err delegate_place_may(struct delegate_place *place, const char *value,
                              struct delegate_refusal *refusal)
{
    struct delegate_job job;

    if (value != NULL) {
        TRY(delegate_check_txt(value, refusal));
    }
    TRY(delegate_check_who(place->d, &place->who, refusal));
    if (place->is_gone) {
        struct delegate_target none;
        memset(&none, 0, sizeof(none));
        return value == NULL ? err_ok()
                             : delegate_find_target(place->d, place->target.owner, &none, refusal);
    }
    job_of(place, value, false, refusal, &job);
    return delegate_job_may(&job);
}

struct err delegate_place_put(struct delegate_place *place, struct db *db, const char *value,
                              struct zone_change *change, struct delegate_refusal *refusal)
{
    struct delegate_job job;

    job_of(place, value, false, refusal, &job);
    job.changes = change;
    delegate_change_watch(place->d, change);
    return delegate_job_apply(&job, db);
}

struct err delegate_place_remove(struct delegate_place *place, struct db *db, const char *value,
                                 struct zone_change *change)
{
    struct delegate_refusal refusal; /* removing is not refused */
    struct delegate_job job;

    job_of(place, value, true, &refusal, &job);
    job.changes = change;
    return delegate_job_apply(&job, db);
}

struct err delegate_place_each(const struct delegate_place *place, struct db *db,
                               bool (*fn)(void *arg, const char *value), void *arg)
{
    return values_each(db, place->target.owner, clock_unix_s(), fn, arg);
}
