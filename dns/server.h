/* The DNS listeners: UDP threads (one per CPU and address, SO_REUSEPORT, recvmmsg) and TCP threads
 * (epoll). They answer what the snapshot answers; the rest becomes a request (request.h) for the work
 * threads or the forwarder.
 *
 * Answers leave from the address that was asked (IP_PKTINFO / IPV6_RECVPKTINFO). TCP (RFC 7766): at
 * most DNS_TCP_CONNECTIONS_MAX connections, of which one address (/64) gets at most a quarter once
 * half of them are taken; at the limit the quietest gives way. Pipelining, answers in any order, at
 * most DNS_TCP_UNDER_WAY_MAX requests under way per connection. Idle connections are closed after
 * DNS_TCP_IDLE_S, a partial message after DNS_TCP_PARTIAL_S, a peer that does not read
 * DNS_TCP_WRITE_S after the last message that it took whole. What waits to be read or written takes
 * at most DNS_TCP_BUFFERED_MAX octets in all. */
#ifndef DNS_SERVER_H
#define DNS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"
#include "core/util/name.h"
#include "dns/zone.h"

#define DNS_TCP_CONNECTIONS_MAX 4096u
#define DNS_TCP_IDLE_S 10u
#define DNS_TCP_PARTIAL_S 5u
#define DNS_TCP_WRITE_S 5u
#define DNS_TCP_UNDER_WAY_MAX 64u
#define DNS_TCP_BUFFERED_MAX (32u * 1024u * 1024u)
#define DNS_UDP_BATCH 16u

struct dns_server;
struct dns_counters {
    uint64_t udp_queries, udp_answers, tcp_queries, tcp_answers;
    uint64_t dropped;                     /* neither answered nor handed on */
    uint64_t rate_limited, slipped;       /* not sent; sent truncated and empty (rrl.h) */
    uint64_t work, forwarded;             /* handed to the work threads, to the forwarder */
    uint64_t work_full;                   /* not handed on: the queue was full */
    uint64_t tcp_accepted, tcp_given_way; /* connections; closed early to make room */
    uint64_t tcp_connections;             /* now */
};
/* What the listeners work with; all borrowed, optional ones NULL or 0. */
struct forward;
struct watch;
struct work;
struct rrl;
struct dns_server_options {
    struct zone_db *zones;
    const struct ip_endpoint *listen;
    size_t listen_n;
    unsigned udp_threads, tcp_threads; /* 0 = one per CPU */
    struct forward *forward;
    struct work *work;
    struct watch *watch;
    struct rrl *rrl;
    bool has_cookies;
};
/* Bind all sockets, both protocols; nothing is answered yet. ERR_CONFIG: no address, or too many;
 * ERR_BUSY, ERR_DENIED and ERR_IO name the address. */
MUST_USE struct err dns_server_open(const struct dns_server_options *options,
                                    struct dns_server **out);
/* Starts the threads, once. ERR_LIMIT, ERR_NOMEM: some may run already, dns_server_free() ends them. */
MUST_USE struct err dns_server_start(struct dns_server *server);
/* Where number i of options.listen is bound: with the port picked for port 0. Thread: any. */
struct ip_endpoint dns_server_endpoint(const struct dns_server *server, size_t i);
/* The sums of all threads, which count on meanwhile. Thread: any. */
void dns_server_counters(const struct dns_server *server, struct dns_counters *out);
/* Stops the threads, closes, frees. NULL is fine. Requests may outlive the server (their UDP sockets
 * stay open until then), so this comes first, and nothing new is handed on; then work_free() and
 * forward_free(); then whatever else was borrowed, rrl and watch among it. */
void dns_server_free(struct dns_server *server);

#endif
