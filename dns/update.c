#include "dns/update.h"

#include <string.h>

#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/update_int.h"

struct err update_new(const struct update_options *options, struct update **out)
{
    AUTO(mem_freep) struct update *u = mem_zalloc(sizeof(*u));
    AUTO(zone_table_freep) struct zone_table *table = NULL;

    TRY_PTR(u);
    u->with = *options;
    TRY(zone_table_new(options->cfg, &table));
    TRY(zone_reader_new(options->zones, &u->reader));
    if (pthread_mutex_init(&u->reader_lock, NULL) != 0) {
        zone_reader_free(u->reader);
        FAIL(ERR_NOMEM, "update: no mutex");
    }
    struct err e = update_seen_new(&u->seen);
    if (e.code != ERR_OK) {
        zone_reader_free(u->reader);
        (void)pthread_mutex_destroy(&u->reader_lock);
        return e;
    }
    u->table = MOVE(table);
    *out = MOVE(u);
    return err_ok();
}

void update_free(struct update *update)
{
    if (update != NULL) {
        zone_reader_free(update->reader);
        zone_table_free(update->table);
        update_seen_free(update->seen);
        (void)pthread_mutex_destroy(&update->reader_lock);
        mem_free(update);
    }
}

void update_job_clear(struct update_job *job)
{
    for (size_t i = 0; i < job->places_n; i++) {
        delegate_place_freep(&job->places[i].place);
    }
    mem_free(job->places);
    mem_free(job->targets);
    mem_free(job->edits);
    mem_free(job->edited);
    update_message_clear(&job->message);
}

/* --- one message ------------------------------------------------------------------------------ */

/* The changes are refused already: a prerequisite that does not hold is said first (RFC 2136 §3.2 comes
 * before §3.3 and §3.4). */
static struct err refuse_behind_prerequisites(struct update_job *job, struct err refused)
{
    const struct delegate_refusal refusal = job->refusal;
    const struct update_rr *at = job->refused;
    const enum dns_rcode rcode = job->rcode;

    if (job->message.prerequisites_n == 0) {
        return refused;
    }
    struct err e =
        store_read(job->u->with.store, "dns.update.check", update_only_prerequisites, job);
    if (e.code == ERR_REJECTED) {
        job->is_policy = false;
    }
    if (e.code != ERR_OK) {
        return e;
    }
    job->refusal = refusal;
    job->refused = at;
    job->rcode = rcode;
    return refused;
}

static struct err run(struct update_job *job)
{
    struct store *store = job->u->with.store;
    struct err e = update_judge(job);

    if (e.code == ERR_REJECTED && job->rcode == RCODE_REFUSED) {
        return refuse_behind_prerequisites(job, e);
    }
    TRY(e);
    if (job->message.changes_n == 0) {
        return store_read(store, "dns.update.check", update_only_prerequisites, job);
    }
    TRY(store_write(store, "dns.update", update_apply, job));
    if (job->visible != ERR_OK) {
        FAIL(job->visible, "the update is stored, but not served until the next start");
    }
    return err_ok();
}

/* A repeat, of a client that heard no answer or of somebody who listened, is not applied again. */
static struct err run_once(struct update_job *job, const struct tsig *tsig)
{
    switch (update_seen_begin(job->u->seen, tsig, &job->rcode)) {
    case UPDATE_NEW:
        break;
    case UPDATE_UNDER_WAY:
        job->is_silent = true;
        return err_ok();
    case UPDATE_ANSWERED:
        return err_ok();
    }
    struct err e = run(job);
    bool is_decided = e.code == ERR_OK || e.code == ERR_REJECTED;
    update_seen_end(job->u->seen, tsig, is_decided ? job->rcode : RCODE_SERVFAIL);
    return e;
}

static void handle(struct update_job *job, const uint8_t *packet, size_t len,
                   const struct tsig *tsig)
{
    const char *why = "";
    struct err e = err_ok();

    /* Strangers make us look at the zone's name only: reading a record costs more than it does to send. */
    job->rcode = tsig->is_verified ? update_read(packet, len, &job->message, &why)
                                   : update_read_head(packet, len, &job->message, &why);
    if (job->rcode != RCODE_NOERROR) {
        e = update_reject(job, job->rcode, NULL, "%s", why);
    } else if (!tsig->is_verified) {
        e = update_reject(job, RCODE_REFUSED, NULL,
                          "the update is not signed: give the program a client's name and secret "
                          "as TSIG key (hmac-sha256)");
    } else {
        e = run_once(job, tsig);
    }
    if (e.code == ERR_REJECTED) {
        update_say_refused(job);
    } else if (e.code != ERR_OK) {
        job->rcode = RCODE_SERVFAIL;
        log_err(LOG_ERROR, "dns.update.failed", e);
    }
}

/* The header, and the zone section as it came. RFC 2136 §3.8 */
static size_t answer(const struct update_job *job, const uint8_t *packet, uint8_t *out)
{
    size_t len = job->message.zone_end == 0 ? DNS_HEADER_LEN : job->message.zone_end;

    memset(out, 0, DNS_HEADER_LEN);
    memcpy(out, packet, 2);
    out[2] = (uint8_t)(FLAG_QR | (packet[2] & OPCODE_BITS));
    out[3] = (uint8_t)job->rcode;
    out[5] = job->message.zone_end == 0 ? 0 : 1;
    memcpy(out + DNS_HEADER_LEN, packet + DNS_HEADER_LEN, len - DNS_HEADER_LEN);
    return len;
}

size_t update_handle(struct update *update, const uint8_t *packet, size_t len,
                     const struct tsig *tsig, const struct ip_addr *peer, uint8_t *out)
{
    AUTO(update_job_clear) struct update_job job = {.u = update};

    if (len < DNS_HEADER_LEN) {
        return 0;
    }
    job.who.door = DOOR_UPDATE;
    job.who.peer = *peer;
    if (tsig->is_verified) {
        memcpy(job.who.client, tsig->client, sizeof(job.who.client));
    }
    handle(&job, packet, len, tsig);
    return job.is_silent ? 0 : answer(&job, packet, out);
}
