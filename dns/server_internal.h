/* What the listeners share; private to dns/. */
#ifndef DNS_SERVER_INTERNAL_H
#define DNS_SERVER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/answer.h"
#include "dns/request_internal.h"
#include "dns/server.h"
#include "dns/tcp_link.h"
#include "dns/wire.h"

#define DNS_STACK_BYTES (256u * 1024u)
#define DNS_TCP_SHARES_N 4096u /* counters of connections per address; a power of two */

/* Written by one thread, read by any; padded so that two threads never write one cache line. */
struct dns_thread_counters {
    uint8_t before[64];
    _Atomic uint64_t queries, answers, dropped;
    _Atomic uint64_t limited, slipped, work, work_full, forwarded, accepted, given_way;
    uint8_t behind[64];
};
static inline void dns_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline uint64_t dns_counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct dns_tcp;
/* What all threads of one server look at. */
struct dns_shared {
    struct zone_db *zones;
    struct forward *forward;
    struct work *work;
    struct watch *watch;
    struct rrl *rrl;
    bool has_cookies;
    pthread_mutex_t cookie_lock; /* leaf: the secrets */
    uint8_t cookie_secret[2][COOKIE_KEY_LEN];
    _Atomic int64_t cookie_until_ms;
    _Atomic uint32_t cookie_generation;
    struct dns_tcp *tcp; /* all of them */
    size_t tcp_n;
    _Atomic uint32_t connections_n;
    uint64_t share_seed;
    _Atomic uint16_t shares[DNS_TCP_SHARES_N];
    _Atomic bool is_stopping;
};
/* Fresh cookie secrets; shared: zeroed. ERR_CRYPTO: no random octets; to be cleared then too. */
MUST_USE struct err dns_shared_init(struct dns_shared *shared,
                                    const struct dns_server_options *options);
/* Behind every thread's dns_asker_clear(). */
void dns_shared_clear(struct dns_shared *shared);

/* One answering thread's tools. */
struct dns_asker {
    struct dns_shared *shared;
    struct zone_reader *reader;
    struct watch_thread *watch; /* NULL: off */
    struct answer_env env;
    uint32_t cookie_generation; /* of env */
    const struct zone_snapshot *snap;
    int64_t now_ms;
    uint32_t now_unix;
    struct dns_thread_counters count;
};
/* Before the thread runs; asker: zeroed. ERR_NOMEM. */
MUST_USE struct err dns_asker_init(struct dns_asker *asker, struct dns_shared *shared);
/* When the thread has ended; also after a failed dns_asker_init(). */
void dns_asker_clear(struct dns_asker *asker);
/* Once per batch: the time, and the cookie secrets, which the first thread that finds them old
 * replaces. RFC 9018 §5 */
void dns_asker_tick(struct dns_asker *asker);
/* answer() with this thread's tools, counted; between zone_read_begin() and _end(). */
enum answer_verdict dns_ask(struct dns_asker *asker, struct answer_in *in, uint8_t *out, size_t cap,
                            size_t *len, struct answer_info *info);
/* Give a request to whom the verdict (ANSWER_WORK, ANSWER_FORWARD) names. False: the queue is full, or
 * request is NULL; it is ended. */
bool dns_hand_over(struct dns_asker *asker, enum answer_verdict verdict,
                   struct dns_request *take_request);

struct dns_udp {
    struct dns_socket *socket;
    bool is_wildcard; /* bound to every address: answers must name the one that was asked */
    bool is_started;
    struct dns_udp *mates; /* the threads of this endpoint, itself among them */
    size_t mates_n, next_mate;
    pthread_t thread;
    struct udp_batch *batch;
    struct dns_asker asker;
};
/* Takes the bound socket fd, also on failure. */
MUST_USE struct err dns_udp_init(struct dns_udp *udp, struct dns_shared *shared, int fd,
                                 bool is_wildcard);
void *dns_udp_main(void *arg); /* arg: its struct dns_udp */
/* Make the thread see is_stopping. */
void dns_udp_wake(struct dns_udp *udp);
/* When the thread has ended; one that was never started is fine. */
void dns_udp_clear(struct dns_udp *udp);

struct tcp_conn;
struct dns_tcp {
    struct dns_shared *shared;
    int epoll_fd;
    struct tcp_mail *mail;
    int *listeners; /* of the server; -1: a protocol family that this machine lacks */
    size_t listeners_n;
    bool is_paused; /* no descriptors left: not accepting until the next tick */
    bool is_started;
    _Atomic uint32_t connections_n;   /* its own */
    _Atomic uint32_t give_way_n;      /* so many shall be closed: another thread has a new one */
    struct tcp_conn *oldest, *newest; /* by last activity */
    struct tcp_conn *dead;
    size_t buffered;   /* octets in the connections' buffers */
    uint8_t *in, *out; /* scratch, used within one event */
    size_t out_len;
    pthread_t thread;
    struct dns_asker asker;
};
/* Needs epoll_fd -1 (as dns_tcp_clear() leaves it). */
MUST_USE struct err dns_tcp_init(struct dns_tcp *tcp, struct dns_shared *shared, int *listeners,
                                 size_t listeners_n);
void *dns_tcp_main(void *arg); /* arg: its struct dns_tcp */
/* Make the thread see is_stopping, or its mail. */
void dns_tcp_wake(struct dns_tcp *tcp);
/* When the thread has ended; one that was never started is fine. Closes its connections. */
void dns_tcp_clear(struct dns_tcp *tcp);

#endif
