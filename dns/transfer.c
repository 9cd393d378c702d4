#include "dns/transfer.h"

#include <string.h>
#include <strings.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/quota.h"
#include "dns/answer.h"
#include "dns/notify.h"
#include "dns/transfer_int.h"

#define WAITING_MAX (128u * 1024u) /* octets on their way before the next message is made */
/* Nothing is read that no datagram holds: its sender may be forged. Names shrink on the way. */
#define UDP_OCTETS_MAX (8u * 1024u)
#define COMPARE_FROM (64u * 1024u) /* shorter differences are not compared with the zone */
#define REFUSED_LINES_PER_MINUTE 60u

struct transfer {
    struct transfer_options options;
    struct notify *notify;
    _Atomic size_t memory; /* of all transfers under way */
    struct quota refused_lines;
};

/* One request. */
struct job {
    struct transfer *transfer;
    struct dns_request *request;
    struct tsig *tsig;
    const uint8_t *packet;
    size_t packet_len;
    struct transfer_query query;
    struct ip_addr peer;
    char peer_text[IP_TEXT_MAX + 1];
    bool is_tcp;
    int zone;
    const char *zone_name;
    enum transfer_kind kind;
    struct dns_rr soa;
    struct transfer_rows rows;
    struct transfer_writer writer;
    bool is_gone; /* the peer closed */
    int64_t started_ms;
    size_t messages_n, octets;
};

struct err transfer_new(const struct transfer_options *options, struct transfer **out)
{
    struct transfer *transfer = mem_zalloc(sizeof(*transfer));

    TRY_PTR(transfer);
    transfer->options = *options;
    const struct notify_options notify = {options->cfg, options->store, options->access,
                                          options->records};
    struct err e = notify_new(&notify, &transfer->notify);
    if (e.code != ERR_OK) {
        mem_free(transfer);
        return e;
    }
    records_on_serial(options->records, notify_on_serial, transfer->notify);
    *out = transfer;
    return err_ok();
}

struct err transfer_start(struct transfer *transfer)
{
    return notify_start(transfer->notify);
}

void transfer_free(struct transfer *transfer)
{
    if (transfer == NULL) {
        return;
    }
    records_on_serial(transfer->options.records, NULL, NULL);
    notify_free(transfer->notify);
    mem_free(transfer);
}

struct err transfer_list(struct transfer *transfer, struct transfer_info **out, size_t *out_n)
{
    return notify_list(transfer->notify, out, out_n);
}

/* --- refusals ----------------------------------------------------------------------------------- */

/* The request's TSIG is answered with one. False: the answer cannot be sent. */
static bool send_signed(struct job *job, uint8_t *message, size_t len, size_t cap)
{
    if (job->tsig->is_verified &&
        tsig_sign(job->tsig, clock_unix_s(), message, &len, cap).code != ERR_OK) {
        log_ev(LOG_ERROR, "dns.transfer.unsigned", {"peer", job->peer_text},
               {"msg", "an answer could not be signed, and was not sent"});
        return false;
    }
    struct err e = dns_request_send(job->request, message, len);
    if (e.code != ERR_OK) {
        job->is_gone = e.code == ERR_NOT_FOUND;
        return false;
    }
    job->messages_n++;
    job->octets += len;
    return true;
}

static size_t signature_room(const struct job *job)
{
    return job->tsig->is_verified ? tsig_room(job->tsig) : 0;
}

static void send_error(struct job *job, unsigned rcode, unsigned ede)
{
    uint8_t message[DNS_UDP_EDNS_MAX];
    size_t limit = dns_request_limit(job->request);

    limit = limit < sizeof(message) ? limit : sizeof(message);
    size_t len = answer_error(job->packet, job->packet_len, rcode, ede, message,
                              limit - signature_room(job));
    if (len > 0) {
        (void)send_signed(job, message, len, limit);
    }
}

/* Strangers can ask as often as they like; the log does not grow with them. */
static bool may_log_refusal(struct transfer *transfer)
{
    return quota_take(&transfer->refused_lines, REFUSED_LINES_PER_MINUTE, 60000);
}

static const char *asked_text(const struct job *job)
{
    return job->query.is_ixfr ? "IXFR" : "AXFR";
}

static void refuse(struct job *job, unsigned rcode, unsigned ede, const char *why)
{
    char zone[4 * NAME_WIRE_MAX + 1] = "?";

    if (may_log_refusal(job->transfer)) {
        if (job->query.zone_len > 0 &&
            name_from_wire(job->query.zone, job->query.zone_len, zone, sizeof(zone)).code !=
                ERR_OK) {
            zone[0] = '\0';
        }
        log_ev(LOG_WARN, "dns.transfer.refused", {"zone", zone}, {"peer", job->peer_text},
               {"asked", asked_text(job)},
               {"client", job->tsig->is_verified ? job->tsig->client : NULL}, {"msg", why});
    }
    send_error(job, rcode, ede);
}

/* --- who may ------------------------------------------------------------------------------------ */

static bool is_open(const struct config_zone *zone)
{
    return zone != NULL && (zone->transfer_allow_n > 0 || zone->transfer_key[0] != '\0');
}

static bool is_address_allowed(const struct config_zone *zone, const struct ip_addr *peer)
{
    return zone->transfer_allow_n == 0 ||
           ip_nets_contain(zone->transfer_allow, zone->transfer_allow_n, peer);
}

bool transfer_may_come(const struct transfer *transfer, const uint8_t *zone, size_t zone_len,
                       const struct ip_addr *peer)
{
    const struct records *records = transfer->options.records;
    int index = records_zone_index(records, zone, zone_len);

    if (index < 0) {
        return false;
    }
    const struct config_zone *options = records_transfer_of(records, index);
    return is_open(options) && is_address_allowed(options, peer);
}

struct asking {
    const char *zone_name, *peer_text;
    const struct ip_addr *peer;
    const struct tsig *tsig;
};

/* "" when the peer may; else what is wrong and what to do. */
static void may_not(const struct transfer *transfer, const struct asking *by,
                    const struct config_zone *zone, struct buf *why)
{
    const struct tsig *tsig = by->tsig;
    const char *name = by->zone_name;

    if (!is_open(zone)) {
        buf_printf(why,
                   "nobody may transfer %s: set transfer.allow (networks) or transfer.key (a "
                   "client) of zone %s",
                   name, zone == NULL ? name : zone->name);
        return;
    }
    if (!is_address_allowed(zone, by->peer)) {
        buf_printf(why, "%s is not in transfer.allow of zone %s: add its network there",
                   by->peer_text, zone->name);
        return;
    }
    if (zone->transfer_key[0] == '\0') {
        return;
    }
    if (!tsig->is_verified) {
        buf_printf(why,
                   "the request is not signed: have the secondary sign with the key of client %s "
                   "(transfer.key of zone %s)",
                   zone->transfer_key, zone->name);
    } else if (strcasecmp(tsig->client, zone->transfer_key) != 0) {
        buf_printf(why,
                   "the request is signed by client %s, but transfer.key of zone %s is %s: use "
                   "that client's key",
                   tsig->client, zone->name, zone->transfer_key);
    } else if (!access_network_ok(transfer->options.access, tsig->client, by->peer)) {
        buf_printf(why, "client %s may not come from %s: add that network to the client's networks",
                   tsig->client, by->peer_text);
    }
}

bool transfer_may(const struct transfer *transfer, const uint8_t *zone, size_t zone_len,
                  const struct ip_addr *peer, const struct tsig *tsig)
{
    const struct records *records = transfer->options.records;
    const struct asking by = {.zone_name = "", .peer_text = "", .peer = peer, .tsig = tsig};
    struct buf why = BUF_INIT(1024);
    int index = records_zone_index(records, zone, zone_len);

    if (index < 0) {
        return false;
    }
    may_not(transfer, &by, records_transfer_of(records, index), &why);
    bool may = why.len == 0 && !why.failed;
    buf_clear(&why);
    return may;
}

/* --- the read view ------------------------------------------------------------------------------ */

static bool take_record(void *arg, const struct dns_rr *rr)
{
    struct job *job = arg;

    return transfer_rows_put(&job->rows, ROW_RECORD, rr);
}

static bool take_difference(void *arg, uint32_t from, uint32_t to)
{
    struct job *job = arg;

    return transfer_rows_difference(&job->rows, from, to);
}

/* The SOAs of a difference are written from its serials. */
static bool take_change(void *arg, bool is_add, const struct dns_rr *rr)
{
    struct job *job = arg;

    return rr->type == DNS_TYPE_SOA ||
           transfer_rows_put(&job->rows, is_add ? ROW_ADDED : ROW_REMOVED, rr);
}

static struct err whole_zone(struct job *job, struct db *db, size_t stop_at)
{
    rr_clear(&job->soa);
    transfer_rows_clear(&job->rows);
    job->rows.stop_at = stop_at;
    job->kind = TRANSFER_WHOLE;
    TRY(records_write_out(job->transfer->options.records, db, job->zone, &job->soa, take_record,
                          job));
    return err_ok();
}

/* A difference longer than the zone helps nobody: the shorter one is sent. */
static struct err shorter(struct job *job, struct db *db)
{
    struct transfer_rows differences = job->rows;
    struct dns_rr soa = job->soa;

    transfer_rows_init(&job->rows, &job->transfer->memory);
    memset(&job->soa, 0, sizeof(job->soa));
    struct err e = whole_zone(job, db, differences.octets);
    if (e.code == ERR_OK) {
        transfer_rows_clear(&differences);
        rr_clear(&soa);
        return e;
    }
    transfer_rows_clear(&job->rows);
    rr_clear(&job->soa);
    job->rows = differences;
    job->soa = soa;
    job->kind = TRANSFER_DIFFERENCES;
    return e.code == ERR_LIMIT ? err_ok() : e;
}

/* All that can be said by UDP when the differences do not fit or are not there. */
static struct err soa_alone(struct job *job, struct db *db)
{
    rr_clear(&job->soa);
    transfer_rows_clear(&job->rows);
    job->kind = TRANSFER_SOA_ALONE;
    return records_write_out(job->transfer->options.records, db, job->zone, &job->soa, NULL, NULL);
}

static struct err gather(struct db *db, void *arg)
{
    struct job *job = arg;
    const struct journal_fns fns = {take_difference, take_change, job};

    if (!job->query.is_ixfr) {
        return whole_zone(job, db, 0);
    }
    job->rows.stop_at = job->is_tcp ? 0 : UDP_OCTETS_MAX;
    struct err e = records_journal(job->transfer->options.records, db, job->zone, job->query.serial,
                                   &job->soa, &fns);
    if (e.code == ERR_OK) {
        job->kind = job->rows.first == NULL ? TRANSFER_SOA_ALONE : TRANSFER_DIFFERENCES;
        return job->rows.octets > COMPARE_FROM ? shorter(job, db) : e;
    }
    bool is_too_much = job->rows.is_over || (e.code == ERR_LIMIT && !job->is_tcp);
    if (e.code != ERR_NOT_FOUND && !is_too_much) {
        return e;
    }
    if (!job->is_tcp) {
        return soa_alone(job, db);
    }
    TRY(whole_zone(job, db, 0));
    const uint32_t serial = wire_soa_serial(job->soa.rdata, job->soa.rdata_len);
    if (job->query.serial == serial || serial_is_newer(job->query.serial, serial)) {
        job->kind = TRANSFER_SOA_ALONE;
    }
    return err_ok();
}

/* --- sending ------------------------------------------------------------------------------------ */

static bool flush_tcp(void *arg, bool is_last)
{
    struct job *job = arg;

    if (!send_signed(job, job->writer.data, job->writer.len, TRANSFER_MESSAGE_MAX)) {
        return false;
    }
    if (!is_last && !dns_request_wait(job->request, WAITING_MAX)) {
        job->is_gone = true;
        return false;
    }
    return true;
}

/* A datagram that is not the whole answer is not sent at all. */
static bool flush_udp(void *arg, bool is_last)
{
    struct job *job = arg;

    return is_last &&
           send_signed(job, job->writer.data, job->writer.len, dns_request_limit(job->request));
}

static bool write_all(struct job *job, size_t *records_n)
{
    struct transfer_send send = {.writer = &job->writer,
                                 .soa = &job->soa,
                                 .rows = &job->rows,
                                 .flush = job->is_tcp ? flush_tcp : flush_udp,
                                 .arg = job};
    bool is_done = transfer_write(&send, job->kind);

    *records_n = send.records_n;
    if (send.is_too_long && job->is_tcp) {
        log_ev(LOG_ERROR, "dns.transfer.record", {"zone", job->zone_name},
               {"msg", "a record is too long for a message: remove it"});
    }
    return is_done;
}

/* The differences if they fit, else the SOA alone, so that the peer comes again by TCP (RFC 1995
 * §2); where even that does not fit, an answer that is cut. */
static bool write_udp(struct job *job, size_t *records_n)
{
    job->writer.soft = dns_request_limit(job->request) - signature_room(job);
    job->writer.hard = job->writer.soft;
    if (write_all(job, records_n) || job->messages_n > 0 || job->is_gone) {
        return job->messages_n > 0;
    }
    job->kind = TRANSFER_SOA_ALONE;
    if (write_all(job, records_n) || job->messages_n > 0 || job->is_gone) {
        return job->messages_n > 0;
    }
    transfer_message_begin(&job->writer, false);
    job->writer.data[2] |= FLAG_TC;
    transfer_message_end(&job->writer);
    return flush_udp(job, true);
}

static void log_end(const struct job *job, bool is_done, size_t records_n)
{
    static const char *const KINDS[] = {"AXFR", "IXFR", "SOA"};
    uint32_t serial = wire_soa_serial(job->soa.rdata, job->soa.rdata_len);
    bool is_soa = job->kind == TRANSFER_SOA_ALONE;
    bool is_ahead = is_soa && job->is_tcp && job->query.serial != serial;
    const char *msg = NULL;

    if (!is_done) {
        msg = job->is_gone ? "the peer closed the connection before the end"
                           : "the transfer could not be completed";
    } else if (is_ahead) {
        msg = "the secondary's serial is newer than ours: have it transfer the whole zone again";
    }
    log_ev(msg != NULL ? LOG_WARN : (is_soa ? LOG_DEBUG : LOG_INFO),
           is_done ? "dns.transfer.done" : "dns.transfer.cut", {"zone", job->zone_name},
           {"peer", job->peer_text}, {"client", job->tsig->is_verified ? job->tsig->client : NULL},
           {"asked", asked_text(job)}, {"sent", KINDS[job->kind]}, {"serial", log_int(serial)},
           {"since", job->query.is_ixfr ? log_int(job->query.serial) : NULL},
           {"records", log_int((int64_t)records_n)}, {"octets", log_int((int64_t)job->octets)},
           {"ms", log_int(clock_mono_ms() - job->started_ms)}, {"msg", msg});
}

static void answer_transfer(struct job *job)
{
    AUTO(mem_freep) uint8_t *message = mem_zalloc(TRANSFER_MESSAGE_MAX);
    size_t records_n = 0;

    if (!dns_request_wait(job->request, SIZE_MAX)) {
        return; /* it waited for its turn longer than the peer for it */
    }
    struct err e = message == NULL
                       ? err_set(ERR_NOMEM, __FILE__, __LINE__, "a transfer's message")
                       : store_read(job->transfer->options.store, "dns.transfer", gather, job);
    if (e.code != ERR_OK) {
        if (job->rows.is_over) {
            log_ev(LOG_ERROR, "dns.transfer.memory", {"zone", job->zone_name},
                   {"peer", job->peer_text},
                   {"msg", "too many transfers of large zones at a time: let secondaries come one "
                           "after the other"});
        } else {
            log_err(LOG_ERROR, "dns.transfer.failed", e);
        }
        send_error(job, RCODE_SERVFAIL, EDE_NONE);
        return;
    }
    job->writer.query = &job->query;
    job->writer.data = message;
    job->writer.soft = TRANSFER_MESSAGE_SOFT - signature_room(job);
    job->writer.hard = TRANSFER_MESSAGE_MAX - signature_room(job);
    bool is_done = job->is_tcp ? write_all(job, &records_n) : write_udp(job, &records_n);
    log_end(job, is_done, records_n);
    if (!is_done && !job->is_gone && job->messages_n == 0) {
        send_error(job, RCODE_SERVFAIL, EDE_NONE);
    }
}

/* --- one request -------------------------------------------------------------------------------- */

static void handle(struct job *job)
{
    struct records *records = job->transfer->options.records;
    struct buf why = BUF_INIT(1024);

    unsigned rcode = transfer_query_read(job->packet, job->packet_len, &job->query);
    if (rcode == 0 && !job->query.is_ixfr && !job->is_tcp) {
        rcode = RCODE_FORMERR; /* RFC 5936 §4.2 */
    }
    if (rcode != 0) {
        refuse(job, rcode, EDE_NONE, "the request is broken");
        return;
    }
    job->zone = records_zone_index(records, job->query.zone, job->query.zone_len);
    if (job->zone < 0) {
        refuse(job, RCODE_NOTAUTH, EDE_NOT_AUTHORITATIVE,
               "no zone of this server: name one of zones: (served) or the delegate zone");
        return;
    }
    job->zone_name = records_zone_name(records, job->zone);
    const struct asking by = {job->zone_name, job->peer_text, &job->peer, job->tsig};
    may_not(job->transfer, &by, records_transfer_of(records, job->zone), &why);
    if (why.len > 0 || why.failed) {
        refuse(job, RCODE_REFUSED, EDE_PROHIBITED, buf_str(&why));
    } else {
        answer_transfer(job);
    }
    buf_clear(&why);
}

void transfer_handle(struct transfer *transfer, struct dns_request *request, const uint8_t *packet,
                     size_t len, struct tsig *tsig)
{
    struct job job = {.transfer = transfer,
                      .request = request,
                      .tsig = tsig,
                      .packet = packet,
                      .packet_len = len,
                      .peer = dns_request_peer(request),
                      .is_tcp = dns_request_is_tcp(request),
                      .started_ms = clock_mono_ms()};

    ip_text(&job.peer, job.peer_text);
    transfer_rows_init(&job.rows, &transfer->memory);
    handle(&job);
    transfer_rows_clear(&job.rows);
    rr_clear(&job.soa);
}
