/* A transfer may keep its thread for minutes: at most WORK_TRANSFERS_MAX threads are given to those whose
 * turn it is, the rest is always there for updates. Who may is found out before it waits for a turn, by
 * WORK_CHECKS_MAX threads; those who may not by their address alone wait in a queue of their own, for a
 * free thread only: strangers never stand before secondaries, nor before updates. */
#include "dns/work.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/server_internal.h"
#include "dns/work_turns.h"
#include "dns/zone_table.h"
#include "dns/wire.h"

#include "core/util/mem.h"
#include "core/util/thread.h"

struct queue {
    struct dns_request *slots[WORK_QUEUE_MAX];
    size_t first, n;
};

struct work {
    work_fn fn;
    work_may_fn may_come;     /* NULL: all may */
    work_check_fn is_allowed; /* NULL: all are */
    void *ctx;
    pthread_mutex_t lock; /* leaf: what follows */
    pthread_cond_t changed;
    struct queue plain, refusals;
    struct turns transfers;
    bool is_stopping;
    pthread_t threads[WORK_THREADS];
    size_t threads_n; /* started */
};

struct err work_new(work_fn fn, void *ctx, struct work **out)
{
    struct work *work = mem_zalloc(sizeof(*work));

    TRY_PTR(work);
    work->fn = fn;
    work->ctx = ctx;
    (void)pthread_mutex_init(&work->lock, NULL);
    (void)pthread_cond_init(&work->changed, NULL);
    *out = work;
    return err_ok();
}

void work_gate(struct work *work, work_may_fn may_come, work_check_fn is_allowed)
{
    work->may_come = may_come;
    work->is_allowed = is_allowed;
}

bool work_is_transfer(struct dns_request *request)
{
    size_t *len = NULL;
    const uint8_t *p = dns_request_bytes(request, &len);
    struct dns_name name;

    if (*len <= DNS_HEADER_LEN || (p[2] & OPCODE_BITS) != 0) {
        return false;
    }
    size_t used = dns_name_read(p + DNS_HEADER_LEN, *len - DNS_HEADER_LEN, &name);
    if (used == 0 || *len - DNS_HEADER_LEN - used < 2) {
        return false;
    }
    unsigned type = wire_get16(p + DNS_HEADER_LEN + used);
    return type == DNS_TYPE_AXFR || type == DNS_TYPE_IXFR;
}

static void push(struct queue *queue, struct dns_request *request)
{
    queue->slots[(queue->first + queue->n) % WORK_QUEUE_MAX] = request;
    queue->n++;
}

static struct dns_request *pop(struct queue *queue)
{
    struct dns_request *request = queue->slots[queue->first];

    queue->first = (queue->first + 1) % WORK_QUEUE_MAX;
    queue->n--;
    return request;
}

static bool has_room_for_refusal(const struct queue *queue, const struct ip_addr *peer)
{
    unsigned of_peer = 0;

    if (queue->n >= WORK_REFUSALS_MAX) {
        return false;
    }
    for (size_t i = 0; i < queue->n; i++) {
        struct ip_addr other = dns_request_peer(queue->slots[(queue->first + i) % WORK_QUEUE_MAX]);
        of_peer += ip_equal(&other, peer);
    }
    return of_peer < WORK_REFUSALS_PEER_MAX;
}

enum kind { KIND_PLAIN, KIND_TRANSFER, KIND_REFUSAL };

static enum kind kind_of(struct work *work, struct dns_request *request)
{
    if (!work_is_transfer(request)) {
        return KIND_PLAIN;
    }
    bool may = work->may_come == NULL || work->may_come(work->ctx, request);
    return may ? KIND_TRANSFER : KIND_REFUSAL;
}

/* Under the lock. */
static bool put(struct work *work, struct dns_request *request, enum kind kind)
{
    struct ip_addr peer = dns_request_peer(request);
    struct queue *queue = kind == KIND_PLAIN ? &work->plain : &work->refusals;
    bool has_room = false;

    switch (kind) {
    case KIND_PLAIN: /* datagrams, whoever sent them, leave room for who connects */
        has_room = queue->n < (dns_request_is_tcp(request) ? WORK_QUEUE_MAX : WORK_QUEUE_UDP_MAX);
        break;
    case KIND_TRANSFER:
        return turns_put(&work->transfers, request, &peer, !dns_request_is_tcp(request),
                         work->is_allowed == NULL ? TURN_READY : TURN_ARRIVED);
    case KIND_REFUSAL:
        has_room = has_room_for_refusal(queue, &peer);
        break;
    }
    if (has_room) {
        push(queue, request);
    }
    return has_room;
}

bool work_put(struct work *work, struct dns_request *request)
{
    enum kind kind = kind_of(work, request);

    (void)pthread_mutex_lock(&work->lock);
    bool is_taken = !work->is_stopping && put(work, request, kind);
    if (is_taken) {
        (void)pthread_cond_signal(&work->changed);
    }
    (void)pthread_mutex_unlock(&work->lock);
    return is_taken;
}

/* The following are called, and return, with the lock held. False: there was nothing to do. */
static bool do_check(struct work *work)
{
    struct turn turn;

    if (!turns_next_check(&work->transfers, &turn)) {
        return false;
    }
    (void)pthread_mutex_unlock(&work->lock);
    bool is_allowed = work->is_allowed(work->ctx, turn.request);
    (void)pthread_mutex_lock(&work->lock);
    if (is_allowed) {
        turns_ready(&work->transfers, turn.ticket);
        (void)pthread_cond_signal(&work->changed); /* this thread may be busy for minutes now */
    } else {
        turns_end(&work->transfers, turn.ticket);
    }
    return true;
}

static bool do_transfer(struct work *work)
{
    struct turn turn;

    if (!turns_next(&work->transfers, &turn)) {
        return false;
    }
    (void)pthread_mutex_unlock(&work->lock);
    work->fn(work->ctx, turn.request);
    (void)pthread_mutex_lock(&work->lock);
    turns_end(&work->transfers, turn.ticket);
    return true;
}

static bool do_queued(struct work *work)
{
    struct queue *queue = work->plain.n > 0 ? &work->plain : &work->refusals;

    if (queue->n == 0) {
        return false;
    }
    struct dns_request *request = pop(queue);
    (void)pthread_mutex_unlock(&work->lock);
    work->fn(work->ctx, request);
    (void)pthread_mutex_lock(&work->lock);
    return true;
}

static void *work_main(void *arg)
{
    struct work *work = arg;

    (void)pthread_mutex_lock(&work->lock);
    while (!work->is_stopping) {
        if (!do_check(work) && !do_transfer(work) && !do_queued(work)) {
            (void)pthread_cond_wait(&work->changed, &work->lock);
        }
    }
    (void)pthread_mutex_unlock(&work->lock);
    return NULL;
}

struct err work_start(struct work *work)
{
    while (work->threads_n < WORK_THREADS) {
        TRY(thread_start("dns-work", DNS_STACK_BYTES, work_main, work,
                         &work->threads[work->threads_n]));
        work->threads_n++;
    }
    return err_ok();
}

static void end_all(struct queue *queue)
{
    while (queue->n > 0) {
        dns_request_end(pop(queue));
    }
}

void work_free(struct work *work)
{
    if (work == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&work->lock);
    work->is_stopping = true;
    (void)pthread_cond_broadcast(&work->changed);
    (void)pthread_mutex_unlock(&work->lock);
    for (size_t i = 0; i < work->threads_n; i++) {
        (void)pthread_join(work->threads[i], NULL);
    }
    end_all(&work->plain);
    end_all(&work->refusals);
    for (size_t i = 0; i < work->transfers.n; i++) { /* no thread works for them any more */
        dns_request_end(work->transfers.list[i].request);
    }
    (void)pthread_cond_destroy(&work->changed);
    (void)pthread_mutex_destroy(&work->lock);
    mem_free(work);
}
