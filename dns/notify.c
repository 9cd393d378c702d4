#include "dns/notify_int.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define AGAIN_MS 1000 /* a change while a server is silent is told it, but not more often */
#define ANSWER_MAX 4096u
#define DATAGRAMS_MAX 64u /* read in one go */

static void lock(struct notify *notify)
{
    (void)pthread_mutex_lock(&notify->lock);
}

static void unlock(struct notify *notify)
{
    (void)pthread_mutex_unlock(&notify->lock);
}

/* --- making ------------------------------------------------------------------------------------- */

static struct err add_targets(struct notify *notify, size_t zone_at, const struct config_zone *cfg)
{
    struct notify_zone_state *zone = &notify->zones[zone_at];
    size_t n = notify->targets_n + cfg->transfer_notify_n;

    zone->first = notify->targets_n;
    zone->n = cfg->transfer_notify_n;
    if (n > NOTIFY_TARGETS_MAX) {
        FAIL(ERR_CONFIG,
             "transfer.notify: %u servers, counted for each zone, are the most there may be: let "
             "some secondaries transfer from other secondaries",
             NOTIFY_TARGETS_MAX);
    }
    if (cfg->transfer_notify_n == 0) {
        return err_ok();
    }
    struct notify_target *targets = mem_array(n, sizeof(*targets));
    TRY_PTR(targets);
    if (notify->targets_n > 0) {
        memcpy(targets, notify->targets, notify->targets_n * sizeof(*targets));
    }
    mem_free(notify->targets);
    notify->targets = targets;
    for (size_t i = 0; i < cfg->transfer_notify_n; i++) {
        struct notify_target *target = &targets[notify->targets_n++];
        target->zone_at = zone_at;
        target->server = cfg->transfer_notify[i];
        target->source = notify_source(notify->options.cfg->listen_dns,
                                       notify->options.cfg->listen_dns_n, &target->server.addr);
        ip_endpoint_text(&target->server, target->server_text);
        target->key = cfg->transfer_key;
        (void)snprintf(target->last, sizeof(target->last), "not notified yet");
    }
    return err_ok();
}

/* A zone whose name is not served has no index. */
static struct err add_zone(struct notify *notify, const char *name)
{
    struct notify_zone_state *zone = &notify->zones[notify->zones_n];

    zone->zone.name_len = sizeof(zone->zone.name);
    TRY(name_to_wire(name, zone->zone.name, &zone->zone.name_len));
    zone->index = records_zone_index(notify->options.records, zone->zone.name, zone->zone.name_len);
    const struct config_zone *cfg =
        zone->index < 0 ? NULL : records_transfer_of(notify->options.records, zone->index);
    if (cfg == NULL) {
        return err_ok();
    }
    (void)snprintf(zone->text, sizeof(zone->text), "%s", name);
    return add_targets(notify, notify->zones_n++, cfg);
}

static bool has_family(const struct notify *notify, uint8_t family)
{
    for (size_t i = 0; i < notify->targets_n; i++) {
        if (notify->targets[i].server.addr.family == family) {
            return true;
        }
    }
    return false;
}

static struct err open_socket(const struct notify *notify, uint8_t family, int *out)
{
    if (!has_family(notify, family)) {
        return err_ok();
    }
    *out = socket(family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*out < 0 && errno != EAFNOSUPPORT) {
        FAIL(ERR_IO, "a socket for NOTIFY: %s", err_errno_text(errno));
    }
    return err_ok();
}

static struct err fill(struct notify *notify)
{
    const struct config *cfg = notify->options.cfg;

    notify->zones = mem_array(cfg->zones_n + 1, sizeof(*notify->zones));
    TRY_PTR(notify->zones);
    for (size_t i = 0; i < cfg->zones_n; i++) {
        if (strcmp(cfg->zones[i].name, cfg->delegate_zone) != 0) {
            TRY(add_zone(notify, cfg->zones[i].name));
        }
    }
    TRY(add_zone(notify, cfg->delegate_zone));
    TRY(open_socket(notify, 4, &notify->fd4));
    TRY(open_socket(notify, 6, &notify->fd6));
    return loop_new(&notify->loop);
}

struct err notify_new(const struct notify_options *options, struct notify **out)
{
    struct notify *notify = mem_zalloc(sizeof(*notify));

    TRY_PTR(notify);
    (void)pthread_mutex_init(&notify->lock, NULL);
    notify->options = *options;
    notify->fd4 = -1;
    notify->fd6 = -1;
    struct err e = fill(notify);
    if (e.code != ERR_OK) {
        notify_free(notify);
        return e;
    }
    *out = notify;
    return e;
}

void notify_free(struct notify *notify)
{
    if (notify == NULL) {
        return;
    }
    loop_free(notify->loop);
    if (notify->fd4 >= 0) {
        (void)close(notify->fd4);
    }
    if (notify->fd6 >= 0) {
        (void)close(notify->fd6);
    }
    for (size_t i = 0; i < notify->targets_n; i++) {
        tsig_clear(&notify->targets[i].tsig);
    }
    (void)pthread_mutex_destroy(&notify->lock);
    mem_free(notify->targets);
    mem_free(notify->zones);
    mem_free(notify);
}

/* --- the loop's thread -------------------------------------------------------------------------- */

static void on_timer(void *arg);

/* The timer goes off when the first target is due. */
static void rearm(struct notify *notify)
{
    int64_t due_ms = INT64_MAX;

    lock(notify);
    for (size_t i = 0; i < notify->targets_n; i++) {
        const struct notify_target *target = &notify->targets[i];
        if (target->is_awaiting && target->due_ms < due_ms) {
            due_ms = target->due_ms;
        }
    }
    unlock(notify);
    if (due_ms == INT64_MAX) {
        loop_timer_cancel(notify->loop, &notify->timer);
    } else {
        struct err e = loop_timer_set(notify->loop, &notify->timer, due_ms, on_timer, notify);
        if (e.code != ERR_OK) {
            log_err(LOG_ERROR, "dns.notify.timer", e); /* the next change tries again */
        }
    }
}

/* What is logged once the lock is released: one line when a server's answers go wrong, one when
 * they are right again. */
struct outcome {
    bool is_bad, is_good;
    char zone[NAME_TEXT_MAX + 1], server[IP_TEXT_MAX + 10], why[NOTIFY_LAST_MAX];
    uint32_t serial;
};

static void note(struct notify *notify, struct notify_target *target, bool is_good,
                 struct outcome *out)
{
    out->is_good = is_good && target->is_failing;
    out->is_bad = !is_good && !target->is_failing;
    target->is_failing = !is_good;
    out->serial = target->sent;
    memcpy(out->zone, notify->zones[target->zone_at].text, sizeof(out->zone));
    memcpy(out->server, target->server_text, sizeof(out->server));
    memcpy(out->why, target->last, sizeof(out->why));
}

static void log_outcome(const struct outcome *outcome)
{
    if (outcome->is_bad) {
        log_ev(LOG_WARN, "dns.notify.failed", {"zone", outcome->zone}, {"server", outcome->server},
               {"serial", log_int(outcome->serial)}, {"why", outcome->why},
               {"msg",
                "this secondary does not take NOTIFY, it will see changes late: check that it "
                "runs, has the zone with this server as its primary, and the key"});
    } else if (outcome->is_good) {
        log_ev(LOG_INFO, "dns.notify.again", {"zone", outcome->zone}, {"server", outcome->server},
               {"serial", log_int(outcome->serial)}, {"msg", "this secondary takes NOTIFY again"});
    }
}

static void on_due(struct notify *notify, struct notify_target *target)
{
    struct outcome outcome = {0};

    lock(notify);
    if (target->is_awaiting && target->due_ms <= clock_mono_ms()) {
        if (target->sends_n <= NOTIFY_REPEATS) {
            notify_transmit(notify, target);
            notify_await(target);
        } else {
            if (strncmp(target->last, "sent", 4) == 0) {
                notify_say(target, "no answer, given up after %u messages until the next change",
                           target->sends_n);
            }
            note(notify, target, false, &outcome);
            notify_round_end(notify, target);
        }
    }
    unlock(notify);
    log_outcome(&outcome);
}

static void on_timer(void *arg)
{
    struct notify *notify = arg;

    for (size_t i = 0; i < notify->targets_n; i++) {
        on_due(notify, &notify->targets[i]);
    }
    rearm(notify);
}

static const char *rcode_text(unsigned rcode)
{
    const char *text = wire_rcode_text(rcode);

    return text == NULL ? "an error" : text;
}

/* An answer to this target's message? Answers that are not signed by its key do not count
 * (RFC 8945 §5.3), but are remembered for the log. */
static bool take_answer(struct notify *notify, struct notify_target *target, const uint8_t *packet,
                        size_t len, struct outcome *outcome)
{
    unsigned rcode = 0;

    if (!target->is_awaiting ||
        !notify_is_answer(&notify->zones[target->zone_at].zone, target->id, packet, len, &rcode)) {
        return false;
    }
    if (target->is_signed && !tsig_check_answer(&target->tsig, clock_unix_s(), packet, len)) {
        notify_say(target, "answered %s, but not signed by client %.40s", rcode_text(rcode),
                   target->key);
        return true;
    }
    notify_say(target, "answered %s", rcode_text(rcode));
    if (rcode == 0) {
        target->answered = target->sent;
        target->answered_unix = clock_unix_s();
    }
    note(notify, target, rcode == 0, outcome);
    notify_round_end(notify, target);
    return true;
}

static void take_datagram(struct notify *notify, const struct ip_addr *peer, uint16_t port,
                          const uint8_t *packet, size_t len)
{
    struct outcome outcome = {0};
    bool is_taken = false;

    lock(notify);
    for (size_t i = 0; i < notify->targets_n && !is_taken; i++) {
        struct notify_target *target = &notify->targets[i];
        if (target->server.port == port && ip_equal(&target->server.addr, peer)) {
            is_taken = take_answer(notify, target, packet, len, &outcome);
        }
    }
    unlock(notify);
    log_outcome(&outcome);
}

static void read_socket(struct notify *notify, int fd)
{
    uint8_t packet[ANSWER_MAX];

    for (unsigned i = 0; i < DATAGRAMS_MAX; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t sa_len = sizeof(sa);
        ssize_t n = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&sa, &sa_len);
        if (n < 0) {
            break; /* nothing more; a failure is a lost answer */
        }
        struct sockaddr_in6 in6;
        memcpy(&in6, &sa, sizeof(in6)); /* the port stands at the same place in both families */
        struct ip_addr peer = ip_from_sockaddr((const struct sockaddr *)&sa);
        take_datagram(notify, &peer, ntohs(in6.sin6_port), packet, (size_t)n);
    }
    rearm(notify);
}

static void on_readable4(void *arg, uint32_t events)
{
    struct notify *notify = arg;

    (void)events;
    read_socket(notify, notify->fd4);
}

static void on_readable6(void *arg, uint32_t events)
{
    struct notify *notify = arg;

    (void)events;
    read_socket(notify, notify->fd6);
}

static void on_poke(void *arg)
{
    struct notify *notify = arg;

    lock(notify);
    notify->is_poked = false;
    unlock(notify);
    rearm(notify);
}

static void on_start(void *arg)
{
    struct notify *notify = arg;
    struct err e = err_ok();

    if (notify->fd4 >= 0) {
        e = loop_fd_add(notify->loop, &notify->watch4, notify->fd4, EPOLLIN, on_readable4, notify);
    }
    if (notify->fd6 >= 0 && e.code == ERR_OK) {
        e = loop_fd_add(notify->loop, &notify->watch6, notify->fd6, EPOLLIN, on_readable6, notify);
    }
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "dns.notify.start", e);
    }
}

/* --- the writer's thread ------------------------------------------------------------------------ */

/* A change that is overtaken tells nothing new; the same one again is a wish to tell it again. */
static bool take_serial(struct notify_target *target, uint32_t serial)
{
    if (target->has_newest && serial != target->newest &&
        !serial_is_newer(serial, target->newest)) {
        return false;
    }
    target->has_newest = true;
    target->newest = serial;
    return true;
}

static void tell(struct notify *notify, struct notify_target *target, uint32_t serial)
{
    if (!take_serial(target, serial)) {
        return;
    }
    if (!target->is_awaiting) {
        notify_round_begin(notify, target);
    } else if (target->newest != target->sent && clock_mono_ms() - target->sent_ms >= AGAIN_MS) {
        notify_transmit(notify, target); /* the round goes on as it would have */
    }
}

static void poke(struct notify *notify)
{
    lock(notify);
    bool is_needed = !notify->is_poked;
    notify->is_poked = true;
    unlock(notify);
    if (is_needed && loop_post(notify->loop, on_poke, notify).code != ERR_OK) {
        lock(notify);
        notify->is_poked = false;
        unlock(notify);
    }
}

void notify_on_serial(void *ctx, int zone, uint32_t serial)
{
    struct notify *notify = ctx;
    bool is_told = false;

    for (size_t i = 0; i < notify->zones_n; i++) {
        const struct notify_zone_state *state = &notify->zones[i];
        if (state->index != zone || state->n == 0) {
            continue;
        }
        is_told = true;
        lock(notify);
        for (size_t at = state->first; at < state->first + state->n; at++) {
            tell(notify, &notify->targets[at], serial);
        }
        unlock(notify);
    }
    if (is_told) {
        poke(notify);
    }
}

/* --- the start and the list --------------------------------------------------------------------- */

struct soa_job {
    struct notify *notify;
    struct notify_zone_state *zone;
};

static bool take_soa(void *arg, const struct dns_rr *rr)
{
    struct soa_job *job = arg;
    struct notify_zone *zone = &job->zone->zone;

    if (rr->type == DNS_TYPE_SOA && rr->rdata_len >= DNS_SOA_NUMBERS_LEN &&
        rr->rdata_len <= sizeof(zone->soa)) {
        lock(job->notify);
        memcpy(zone->soa, rr->rdata, rr->rdata_len);
        zone->soa_len = rr->rdata_len;
        zone->soa_ttl = rr->ttl;
        unlock(job->notify);
    }
    return false;
}

static struct err read_soas(struct db *db, void *arg)
{
    struct notify *notify = arg;

    for (size_t i = 0; i < notify->zones_n; i++) {
        struct soa_job job = {notify, &notify->zones[i]};
        TRY(records_at(notify->options.records, db, job.zone->zone.name, job.zone->zone.name_len,
                       DNS_TYPE_SOA, take_soa, &job));
    }
    return err_ok();
}

struct err notify_start(struct notify *notify)
{
    AUTO(mem_freep) struct zone_info *infos = NULL;
    size_t n = 0;

    if (notify->targets_n == 0) {
        return err_ok();
    }
    TRY(store_read(notify->options.store, "dns.notify.start", read_soas, notify));
    TRY(records_zones(notify->options.records, &infos, &n));
    TRY(loop_post(notify->loop, on_start, notify));
    TRY(loop_start(notify->loop));
    for (size_t i = 0; i < notify->zones_n; i++) {
        for (size_t at = 0; at < n; at++) {
            if (strcmp(infos[at].name, notify->zones[i].text) == 0) {
                notify_on_serial(notify, notify->zones[i].index, infos[at].serial);
            }
        }
    }
    return err_ok();
}

struct err notify_list(struct notify *notify, struct transfer_info **out, size_t *out_n)
{
    struct transfer_info *infos = mem_array(notify->targets_n + 1, sizeof(*infos));

    TRY_PTR(infos);
    lock(notify);
    for (size_t i = 0; i < notify->targets_n; i++) {
        const struct notify_target *target = &notify->targets[i];
        memcpy(infos[i].zone, notify->zones[target->zone_at].text, sizeof(infos[i].zone));
        infos[i].server = target->server;
        infos[i].notified_serial = target->sent;
        infos[i].answered_serial = target->answered;
        infos[i].answered_unix = target->answered_unix;
        memcpy(infos[i].last, target->last, sizeof(infos[i].last));
    }
    unlock(notify);
    *out = infos;
    *out_n = notify->targets_n;
    return err_ok();
}
