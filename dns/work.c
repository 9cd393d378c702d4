/* Three queues, because a transfer may keep its thread for minutes: at most WORK_TRANSFERS_MAX threads
 * take from the second one, the rest is always there for updates. Those who may not transfer wait in the
 * third one, for a free thread only: strangers never stand before secondaries, nor before updates. */
#include "dns/work.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/server_internal.h"
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
    work_may_fn may_transfer; /* NULL: all may */
    void *ctx;
    pthread_mutex_t lock; /* leaf: what follows */
    pthread_cond_t changed;
    struct queue plain, transfers, refusals;
    unsigned transfers_busy;
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

void work_gate(struct work *work, work_may_fn may_transfer)
{
    work->may_transfer = may_transfer;
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

static bool has_room_for_transfer(const struct queue *queue, const struct ip_addr *peer)
{
    unsigned of_peer = 0;

    if (queue->n >= WORK_TRANSFER_QUEUE_MAX) {
        return false;
    }
    for (size_t i = 0; i < queue->n; i++) {
        struct ip_addr other = dns_request_peer(queue->slots[(queue->first + i) % WORK_QUEUE_MAX]);
        of_peer += ip_equal(&other, peer);
    }
    return of_peer < WORK_TRANSFER_PEER_MAX;
}

static struct queue *queue_for(struct work *work, struct dns_request *request)
{
    if (!work_is_transfer(request)) {
        return &work->plain;
    }
    bool may = work->may_transfer == NULL || work->may_transfer(work->ctx, request);
    return may ? &work->transfers : &work->refusals;
}

static bool is_transfer_next(const struct work *work)
{
    return work->transfers.n > 0 && work->transfers_busy < WORK_TRANSFERS_MAX;
}

bool work_put(struct work *work, struct dns_request *request)
{
    struct queue *queue = queue_for(work, request);
    struct ip_addr peer = dns_request_peer(request);

    (void)pthread_mutex_lock(&work->lock);
    bool has_room =
        queue == &work->plain ? queue->n < WORK_QUEUE_MAX : has_room_for_transfer(queue, &peer);
    has_room = has_room && !work->is_stopping;
    if (has_room) {
        push(queue, request);
        (void)pthread_cond_signal(&work->changed);
    }
    (void)pthread_mutex_unlock(&work->lock);
    return has_room;
}

/* Whose turn it is, NULL: nobody's. */
static struct queue *next_queue(struct work *work)
{
    if (is_transfer_next(work)) {
        return &work->transfers;
    }
    if (work->plain.n > 0) {
        return &work->plain;
    }
    return work->refusals.n > 0 ? &work->refusals : NULL;
}

static void *work_main(void *arg)
{
    struct work *work = arg;

    (void)pthread_mutex_lock(&work->lock);
    while (!work->is_stopping) {
        struct queue *queue = next_queue(work);
        if (queue == NULL) {
            (void)pthread_cond_wait(&work->changed, &work->lock);
            continue;
        }
        bool is_for_transfer = queue == &work->transfers;
        struct dns_request *request = pop(queue);
        work->transfers_busy += is_for_transfer;
        (void)pthread_mutex_unlock(&work->lock);
        work->fn(work->ctx, request);
        (void)pthread_mutex_lock(&work->lock);
        work->transfers_busy -= is_for_transfer; /* this thread looks again at once */
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
    end_all(&work->transfers);
    end_all(&work->refusals);
    (void)pthread_cond_destroy(&work->changed);
    (void)pthread_mutex_destroy(&work->lock);
    mem_free(work);
}
