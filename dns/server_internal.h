/* What the listeners share; private to dns/. */
#ifndef DNS_SERVER_INTERNAL_H
#define DNS_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/server.h"

#define DNS_STACK_BYTES (256u * 1024u)

/* Written by one thread, read by any; padded so that two threads never write one cache line. */
struct dns_thread_counters {
    uint8_t before[64];
    _Atomic uint64_t queries, answers, dropped;
    uint8_t behind[64];
};
static inline void dns_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

struct dns_udp {
    int fd;
    bool is_wildcard; /* bound to every address: answers must name the one that was asked */
    bool is_started;
    const _Atomic bool *is_stopping;
    pthread_t thread;
    struct zone_reader *reader;
    struct udp_batch *batch;
    struct dns_thread_counters count;
};
/* Takes the bound socket fd, also on failure. */
MUST_USE struct err dns_udp_init(struct dns_udp *udp, struct zone_db *zones, int fd,
                                 bool is_wildcard, const _Atomic bool *is_stopping);
void *dns_udp_main(void *arg); /* arg: its struct dns_udp */
/* Make the thread see *is_stopping. */
void dns_udp_wake(struct dns_udp *udp);
void dns_udp_clear(struct dns_udp *udp);

struct tcp_conn;
struct dns_tcp {
    int epoll_fd, stop_fd;
    int *listeners; /* of the server; -1: a protocol family that this machine lacks */
    size_t listeners_n;
    bool is_paused; /* no descriptors left: not accepting until the next tick */
    bool is_started;
    _Atomic uint32_t *connections_n;  /* of all threads */
    struct tcp_conn *oldest, *newest; /* by last activity */
    struct tcp_conn *dead;
    pthread_t thread;
    struct zone_reader *reader;
    struct dns_thread_counters count;
};
/* Needs epoll_fd and stop_fd -1 (as dns_tcp_clear() leaves them). */
MUST_USE struct err dns_tcp_init(struct dns_tcp *tcp, struct zone_db *zones, int *listeners,
                                 size_t listeners_n, _Atomic uint32_t *connections_n);
void *dns_tcp_main(void *arg); /* arg: its struct dns_tcp */
void dns_tcp_wake(struct dns_tcp *tcp);
void dns_tcp_clear(struct dns_tcp *tcp);

#endif
