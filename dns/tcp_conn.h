/* One TCP connection: bytes in, messages, answers out; private to dns/. Its thread only. */
#ifndef DNS_TCP_CONN_H
#define DNS_TCP_CONN_H

#include "dns/server_internal.h"

#define TCP_IN_SCRATCH (20u * 1024u)
#define TCP_OUT_SCRATCH (128u * 1024u)

enum tcp_state {
    TCP_IDLE,
    TCP_PARTIAL,   /* a message began */
    TCP_UNDER_WAY, /* others work for it: no deadline */
    TCP_WRITING    /* octets wait for the peer to read */
};

/* Small, since thousands are idle: buffers are there while something is in them. */
struct tcp_conn {
    struct tcp_conn *older, *newer;
    struct tcp_link *link; /* made with its first request */
    struct tcp_queue out;
    uint8_t *in; /* what is not yet answered: less than a message, or held back */
    uint32_t in_len, in_cap;
    uint32_t out_at; /* octets of the first message that are gone */
    int fd;          /* -1: closed, waits on the dead list for the end of the event batch */
    int64_t deadline_ms;
    uint32_t events; /* watched for */
    uint16_t under_way, share;
    enum tcp_state state;
    bool is_eof;                /* the peer has said all */
    bool has_read, has_written; /* a whole message, since the last look */
    struct ip_addr peer;
};

/* Both: false when the connection is to be closed. */
bool tcp_conn_step(struct dns_tcp *tcp, struct tcp_conn *c, uint32_t events);
/* Requests ended, messages came from other threads. */
bool tcp_conn_mail(struct dns_tcp *tcp, struct tcp_conn *c);
/* Frees the buffers and leaves the link. */
void tcp_conn_clear(struct dns_tcp *tcp, struct tcp_conn *c);

/* --- tcp.c: the list by last activity ----------------------------------------------------------- */
void tcp_conn_touch(struct dns_tcp *tcp, struct tcp_conn *c); /* it is the newest now */
/* A buffer of n octets more. False: too many in all, even after the connection that blocks most was
 * closed. */
bool tcp_reserve(struct dns_tcp *tcp, const struct tcp_conn *c, size_t n);

#endif
