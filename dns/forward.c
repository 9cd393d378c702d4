/* The forwarder's questions: who may ask, how many at a time, how long, and the chase between other
 * servers' names and ours. Questions come from any thread through a list; everything else happens on the
 * loop's thread. */
#include "dns/forward.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/loop.h"
#include "core/util/mem.h"
#include "core/util/token.h"
#include "dns/answer.h"
#include "dns/forward_int.h"
#include "dns/rr.h"

/* --- life ------------------------------------------------------------------------------------- */

static bool is_on(const struct config_dns *dns)
{
    return dns->forward_networks_n > 0 && (dns->upstreams_n > 0 || dns->routes_n > 0);
}

static void forward_freep(struct forward **forward)
{
    forward_free(*forward);
}

struct err forward_new(const struct forward_options *options, struct forward **out)
{
    AUTO(forward_freep) struct forward *forward = NULL;

    *out = NULL;
    if (!is_on(&options->cfg->dns)) {
        return err_ok();
    }
    forward = mem_zalloc(sizeof(*forward));
    TRY_PTR(forward);
    (void)pthread_mutex_init(&forward->lock, NULL);
    forward->options = *options;
    forward->scratch = mem_zalloc(DNS_TCP_MAX);
    TRY_PTR(forward->scratch);
    TRY(random_bytes(forward->seed, sizeof(forward->seed)));
    TRY(zone_reader_new(options->zones, &forward->reader));
    TRY(loop_new(&forward->loop));
    *out = MOVE(forward);
    return err_ok();
}

static void on_readable(void *arg, uint32_t events)
{
    struct forward *forward = arg;

    (void)events;
    forward_ub_process(forward->ub);
}

static void begin(void *arg)
{
    struct forward *forward = arg;

    struct err e = loop_fd_add(forward->loop, &forward->watch, forward_ub_fd(forward->ub), EPOLLIN,
                               on_readable, forward);
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "dns.forward.start", e);
    }
}

struct err forward_start(struct forward *forward)
{
    AUTO(buf_clear) struct buf conf = BUF_INIT(1024u * 1024u);

    TRY(forward_routes_make(&forward->options, &forward->routes));
    forward_routes_write(&forward->routes, &conf);
    TRY(buf_check(&conf));
    TRY(forward_ub_new(&conf, &forward->ub));
    TRY(loop_post(forward->loop, begin, forward));
    TRY(loop_start(forward->loop));
    atomic_store(&forward->is_started, true);
    return err_ok();
}

void forward_count(struct forward *forward, struct forward_counters *out)
{
    out->asked = atomic_load_explicit(&forward->asked, memory_order_relaxed);
    out->answered = atomic_load_explicit(&forward->answered, memory_order_relaxed);
    out->failed = atomic_load_explicit(&forward->failed, memory_order_relaxed);
    out->refused = atomic_load_explicit(&forward->refused, memory_order_relaxed);
    out->timeouts = atomic_load_explicit(&forward->timeouts, memory_order_relaxed);
}

bool forward_is_allowed(const struct forward *forward, const struct ip_addr *peer)
{
    if (forward == NULL) {
        return false;
    }
    const struct config_dns *dns = &forward->options.cfg->dns;
    return ip_nets_contain(dns->forward_networks, dns->forward_networks_n, peer);
}

/* --- how many at a time ----------------------------------------------------------------------- */

/* FNV-1a behind a seed that nobody knows. */
static uint16_t slot_of(const struct forward *forward, const struct ip_addr *peer)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < sizeof(forward->seed); i++) {
        h = (h ^ forward->seed[i]) * 0x100000001b3u;
    }
    for (size_t i = 0; i < sizeof(peer->bytes); i++) {
        h = (h ^ peer->bytes[i]) * 0x100000001b3u;
    }
    return (uint16_t)((h ^ h >> 32) % FORWARD_PEERS);
}

static bool take_place(atomic_uint *counter, unsigned max)
{
    if (atomic_fetch_add(counter, 1) >= max) {
        (void)atomic_fetch_sub(counter, 1);
        return false;
    }
    return true;
}

static bool take_places(struct forward *forward, uint16_t slot)
{
    if (!take_place(&forward->pending_n, FORWARD_PENDING_MAX)) {
        return false;
    }
    if (!take_place(&forward->peers[slot], FORWARD_PENDING_PER_PEER_MAX)) {
        (void)atomic_fetch_sub(&forward->pending_n, 1);
        return false;
    }
    return true;
}

static void refuse(struct dns_request *request, atomic_ullong *counter, unsigned rcode,
                   unsigned ede)
{
    forward_add(counter);
    forward_send_error(request, rcode, ede);
    dns_request_end(request);
}

void forward_ask(struct forward *forward, struct dns_request *request)
{
    struct ip_addr peer = dns_request_peer(request);
    struct forward_query query = {.limit = dns_request_limit(request)};
    size_t *len = NULL;

    forward_add(&forward->asked);
    query.octets = dns_request_bytes(request, &len);
    query.len = *len;
    query.begun = dns_request_begun(request, &query.begun_len);
    query.cookie = dns_request_cookie(request);
    if (!forward_is_allowed(forward, &peer)) {
        refuse(request, &forward->refused, RCODE_REFUSED, EDE_PROHIBITED);
        return;
    }
    uint16_t slot = slot_of(forward, &peer);
    if (!atomic_load(&forward->is_started) || !take_places(forward, slot)) {
        refuse(request, &forward->failed, RCODE_SERVFAIL, 0);
        return;
    }
    struct forward_question *question = forward_question_new(forward, &query);
    if (question == NULL) {
        forward_give_places(forward, slot);
        refuse(request, &forward->failed, RCODE_SERVFAIL, 0);
        return;
    }
    question->request = request;
    question->peer = peer;
    question->slot = slot;
    if (question->draft.type != DNS_TYPE_ANY && rr_kind(question->draft.type) == RR_META) {
        forward_add(&forward->refused);
        forward_send_error(request, RCODE_NOTIMP, 0);
        forward_question_free(question);
    } else if (!forward_hand_over(forward, question)) {
        forward_question_free(question); /* we are stopping: no answer */
    }
}

/* Nobody asks any more. */
void forward_free(struct forward *forward)
{
    if (forward == NULL) {
        return;
    }
    if (forward->loop != NULL) {
        loop_stop(forward->loop);
    }
    for (struct forward_question *q = forward_take_in(forward), *next = NULL; q != NULL; q = next) {
        next = q->next;
        if (q->explained != NULL) {
            forward_explain_done(q->explained, NULL, 0, true);
        }
        forward_question_free(q);
    }
    while (forward->first != NULL) {
        struct forward_question *question = forward->first;
        if (question->explained != NULL) {
            forward_explain_done(question->explained, NULL, 0, true);
        }
        forward_question_detach(question);
        forward_question_free(question);
    }
    forward_ub_free(forward->ub);
    loop_free(forward->loop);
    if (forward->reader != NULL) {
        zone_reader_free(forward->reader);
    }
    forward_routes_clear(&forward->routes);
    mem_free(forward->scratch);
    (void)pthread_mutex_destroy(&forward->lock);
    mem_free(forward);
}
