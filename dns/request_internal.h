/* How requests are made and where their answers go; private to dns/. */
#ifndef DNS_REQUEST_INTERNAL_H
#define DNS_REQUEST_INTERNAL_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "dns/cookie.h"
#include "dns/request.h"
#include "dns/rrl.h"

#define DNS_CONTROL_MAX 64u /* a control message with the address that was asked */

/* A UDP socket: open until its thread and all its requests are done. */
struct dns_socket {
    _Atomic uint32_t refs;
    int fd;
    struct rrl *rrl;                            /* NULL: no limit */
    _Atomic uint64_t answers, slipped, limited; /* of requests */
};
/* Takes fd. NULL: out of memory, fd is the caller's. */
struct dns_socket *dns_socket_new(int fd, struct rrl *rrl);
/* Drops one reference; the last one closes. */
void dns_socket_unref(struct dns_socket *socket);

struct tcp_link;

struct dns_request {
    struct dns_socket *socket; /* UDP; or */
    struct tcp_link *link;     /* TCP */
    struct ip_addr peer;
    size_t limit, len, begun_at, begun_len;
    struct sockaddr_in6 to; /* large enough for both families */
    socklen_t to_len;
    int64_t checked_unix; /* its signature was good then; 0: not looked at */
    uint8_t rcode;        /* of the last message sent */
    bool has_cookie;
    uint8_t cookie[COOKIE_LEN];
    size_t control_len;
    _Alignas(struct cmsghdr) uint8_t control[DNS_CONTROL_MAX];
    uint8_t data[]; /* the packet, then what is begun */
};

/* What came in, and the answer that stands already (begun_len 0: none). Copied. */
struct dns_request_bytes {
    const uint8_t *packet, *begun;
    size_t len, begun_len;
    const struct ip_addr *peer;
};
/* NULL: out of memory. from: its name and control message are the way back. */
struct dns_request *dns_request_new_udp(struct dns_socket *socket, const struct msghdr *from,
                                        const struct dns_request_bytes *bytes);
struct dns_request *dns_request_new_tcp(struct tcp_link *link,
                                        const struct dns_request_bytes *bytes);

#endif
