#include "dns/service.h"

#include <pthread.h>
#include <string.h>

#include "dns/request_internal.h"
#include "dns/wire.h"
#include "dns/zone_table.h"

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

/* What one thread works with at a time: given out and taken back, so that the threads need no tools of
 * their own. */
struct seat {
    struct seat *next;
    struct zone_reader *reader;
    struct watch_thread *watch; /* NULL: off */
    uint8_t out[DNS_TCP_MAX];
};

struct dns_service {
    struct dns_service_options o;
    pthread_mutex_t lock; /* leaf: the list */
    struct seat *seats;   /* nobody's now */
};

/* One request while it is worked for. */
struct job {
    struct dns_service *service;
    struct dns_request *request;
    struct seat *seat;
    struct tsig tsig;
    struct ip_addr peer;
    uint8_t *packet; /* without its TSIG record */
    size_t *len;
    struct answer_in in;
    struct answer_info info;
    bool is_arrival; /* a transfer that is looked at and, if it may, kept for its turn */
    bool is_kept;
};

static void seat_free(struct seat *seat)
{
    if (seat != NULL) {
        zone_reader_free(seat->reader);
        mem_free(seat);
    }
}

static struct err seat_new(const struct dns_service_options *o, struct seat **out)
{
    struct seat *seat = mem_zalloc(sizeof(*seat));

    TRY_PTR(seat);
    struct err e = zone_reader_new(o->zones, &seat->reader);
    if (e.code == ERR_OK && o->watch != NULL) {
        e = watch_thread_new(o->watch, &seat->watch);
    }
    if (e.code != ERR_OK) {
        seat_free(seat);
        return e;
    }
    *out = seat;
    return err_ok();
}

struct err dns_service_new(const struct dns_service_options *options, struct dns_service **out)
{
    struct dns_service *service = mem_zalloc(sizeof(*service));

    TRY_PTR(service);
    service->o = *options;
    (void)pthread_mutex_init(&service->lock, NULL);
    *out = service;
    return err_ok();
}

void dns_service_free(struct dns_service *service)
{
    if (service == NULL) {
        return;
    }
    while (service->seats != NULL) {
        struct seat *seat = service->seats;
        service->seats = seat->next;
        seat_free(seat);
    }
    (void)pthread_mutex_destroy(&service->lock);
    mem_free(service);
}

static struct err take_seat(struct dns_service *service, struct seat **out)
{
    (void)pthread_mutex_lock(&service->lock);
    struct seat *seat = service->seats;
    if (seat != NULL) {
        service->seats = seat->next;
    }
    (void)pthread_mutex_unlock(&service->lock);
    if (seat == NULL) {
        return seat_new(&service->o, out);
    }
    *out = seat;
    return err_ok();
}

static void leave_seat(struct dns_service *service, struct seat *seat)
{
    (void)pthread_mutex_lock(&service->lock);
    seat->next = service->seats;
    service->seats = seat;
    (void)pthread_mutex_unlock(&service->lock);
}

/* Sends the answer of len octets in the seat's buffer, signed if the request was; what UDP does not
 * hold shrinks to its question, truncated. RFC 8945 §5.3 */
static void send_answer(struct job *job, size_t len, bool is_signed)
{
    uint8_t *out = job->seat->out;
    size_t limit = dns_request_limit(job->request);
    size_t room = is_signed ? tsig_room(&job->tsig) : 0;

    if (len == 0) {
        return;
    }
    if (len + room > limit) {
        size_t question_end = job->info.question_end;
        len = question_end >= DNS_HEADER_LEN && question_end + room <= limit ? question_end
                                                                             : DNS_HEADER_LEN;
        out[2] |= FLAG_TC;
        memset(out + 4, 0, 8);
        out[5] = len > DNS_HEADER_LEN;
    }
    struct err e = is_signed ? tsig_sign(&job->tsig, clock_unix_s(), out, &len, limit) : err_ok();
    if (e.code == ERR_OK) {
        e = dns_request_send(job->request, out, len);
    }
    if (e.code != ERR_OK && e.code != ERR_NOT_FOUND) { /* not: the peer has gone */
        log_err(LOG_WARN, "dns.answer.lost", e);
    }
}

/* Counts and logs what was answered. */
static void note(struct job *job, unsigned rcode)
{
    job->info.rcode = (uint16_t)rcode;
    if (job->seat->watch != NULL) {
        watch_note(job->seat->watch, &job->in, &job->info, ANSWER_WORK);
    }
}

static void send_error(struct job *job, unsigned rcode, bool is_signed)
{
    size_t len =
        answer_error(job->packet, *job->len, rcode, 0, job->seat->out, sizeof(job->seat->out));

    send_answer(job, len, is_signed);
    note(job, rcode);
}

/* What the question or zone section names, for counting and the log; nothing when it is broken. */
static void read_question(struct job *job)
{
    struct dns_name name;
    struct zone_match match;
    const uint8_t *p = job->packet;
    size_t left =
        *job->len - DNS_HEADER_LEN; /* DNS threads hand on nothing shorter than a header */
    size_t used = dns_name_read(p + DNS_HEADER_LEN, left, &name);

    if (used == 0 || left - used < 4) {
        return;
    }
    p += DNS_HEADER_LEN + used;
    job->info.type = (uint16_t)wire_get16(p);
    job->info.question_end = DNS_HEADER_LEN + used + 4;
    const struct zone_snapshot *snap = zone_read_begin(job->seat->reader);
    if (zone_find(snap->table, &name, &match)) {
        job->info.zone = (int16_t)match.zone->index;
        job->info.reason = match.apex == 0 ? ANSWER_APEX : ANSWER_NODATA;
    }
    zone_read_end(job->seat->reader);
}

static void update(struct job *job)
{
    const struct dns_service_options *o = &job->service->o;
    size_t len =
        update_handle(o->update, job->packet, *job->len, &job->tsig, &job->peer, job->seat->out);

    if (len > 3) { /* else its twin, which is under way, is answered */
        send_answer(job, len, job->tsig.is_verified);
        note(job, job->seat->out[3] & RCODE_BITS);
    } else if (dns_request_is_tcp(job->request)) { /* nobody sends again by itself here */
        send_error(job, RCODE_SERVFAIL, job->tsig.is_verified);
    }
}

/* A plain question that was signed: answered as the DNS threads do it, from what we have ourselves. */
static void question(struct job *job)
{
    size_t limit = dns_request_limit(job->request);
    size_t room = tsig_room(&job->tsig);
    size_t cap = limit >= DNS_UDP_PLAIN_MAX + room ? limit - room : DNS_UDP_PLAIN_MAX;
    size_t len = 0;

    job->in.snap = zone_read_begin(job->seat->reader);
    enum answer_verdict verdict = answer(&job->in, job->seat->out, cap, &len, &job->info);
    zone_read_end(job->seat->reader);
    job->in.snap = NULL;
    if (verdict == ANSWER_SEND) {
        send_answer(job, len, job->tsig.is_verified);
        note(job, job->info.rcode);
    }
}

static bool may_transfer(const struct job *job)
{
    struct dns_name name;

    return dns_name_read(job->packet + DNS_HEADER_LEN, *job->len - DNS_HEADER_LEN, &name) != 0 &&
           transfer_may(job->service->o.transfer, name.wire, name.len, &job->peer, &job->tsig);
}

static void work(struct job *job)
{
    unsigned opcode = wire_opcode(job->packet);

    job->info.opcode = (uint8_t)opcode;
    if (opcode == OPCODE_UPDATE) {
        update(job);
    } else if (opcode != OPCODE_QUERY) {
        send_error(job, RCODE_NOTIMP, job->tsig.is_verified);
    } else if (job->is_arrival && may_transfer(job)) {
        job->is_kept = true;
    } else if (job->info.type == DNS_TYPE_AXFR || job->info.type == DNS_TYPE_IXFR) {
        transfer_handle(job->service->o.transfer, job->request, job->packet, *job->len, &job->tsig);
        note(job, job->request->rcode);
    } else {
        question(job);
    }
}

static void check(struct job *job)
{
    const struct dns_service_options *o = &job->service->o;
    const struct tsig_options options = {
        .access = o->access,
        .is_md5_allowed = o->cfg->dns.hmac_md5,
        .is_tcp = job->in.is_tcp,
        .peer = &job->peer,
        .now_unix = job->request->checked_unix != 0 ? job->request->checked_unix : clock_unix_s()};

    read_question(job);
    enum tsig_verdict verdict = tsig_check(&options, job->packet, job->len, &job->tsig);
    job->in.query_len = *job->len;
    switch (verdict) {
    case TSIG_FORMERR:
        send_error(job, RCODE_FORMERR, false);
        break;
    case TSIG_NOTAUTH:
        send_error(job, RCODE_NOTAUTH, true);
        break;
    case TSIG_NONE:
    case TSIG_OK:
        work(job);
        break;
    }
    tsig_clear(&job->tsig);
}

/* Nothing to work with. */
static void send_servfail(struct job *job)
{
    uint8_t out[DNS_UDP_PLAIN_MAX];
    size_t len = answer_error(job->packet, *job->len, RCODE_SERVFAIL, 0, out, sizeof(out));

    if (len != 0 && dns_request_send(job->request, out, len).code != ERR_OK) {
        log_ev(LOG_DEBUG, "dns.answer.lost", {"msg", "the peer has gone"});
    }
}

bool dns_service_may_transfer(void *ctx, struct dns_request *request)
{
    const struct dns_service *service = ctx;
    struct ip_addr peer = dns_request_peer(request);
    struct dns_name name;
    size_t *len = NULL;
    const uint8_t *p = dns_request_bytes(request, &len);

    return *len > DNS_HEADER_LEN &&
           dns_name_read(p + DNS_HEADER_LEN, *len - DNS_HEADER_LEN, &name) != 0 &&
           transfer_may_come(service->o.transfer, name.wire, name.len, &peer);
}

/* A transfer that may is left as it came: the signature goes out of the packet when it is read. */
static void look(struct job *job)
{
    size_t len = *job->len;
    AUTO(mem_freep) uint8_t *packet = mem_dup(job->packet, len);

    if (packet == NULL) {
        send_servfail(job);
        return;
    }
    check(job);
    if (job->is_kept) {
        memcpy(job->packet, packet, len);
        *job->len = len;
        job->request->checked_unix = clock_unix_s();
    }
}

/* True: the request is kept. */
static bool handle(struct dns_service *service, struct dns_request *request, bool is_arrival)
{
    struct job job = {.service = service,
                      .request = request,
                      .peer = dns_request_peer(request),
                      .info = {.reason = ANSWER_NOT_OURS, .zone = -1},
                      .is_arrival = is_arrival};

    job.packet = dns_request_bytes(request, &job.len);
    job.in = (struct answer_in){.query = job.packet,
                                .query_len = *job.len,
                                .is_tcp = dns_request_is_tcp(request),
                                .peer = &job.peer};
    struct err e = take_seat(job.service, &job.seat);
    if (e.code != ERR_OK) {
        log_err(LOG_WARN, "dns.work", e);
        send_servfail(&job);
    } else {
        if (is_arrival) {
            look(&job);
        } else {
            check(&job);
        }
        leave_seat(job.service, job.seat);
    }
    if (!job.is_kept) {
        dns_request_end(request);
    }
    return job.is_kept;
}

void dns_service_handle(void *ctx, struct dns_request *request)
{
    (void)handle(ctx, request, false);
}

bool dns_service_is_transfer_allowed(void *ctx, struct dns_request *request)
{
    return handle(ctx, request, true);
}
