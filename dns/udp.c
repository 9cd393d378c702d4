/* One UDP thread: a batch in, a batch out, one snapshot per batch; no other system call. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dns/answer.h"
#include "dns/server_internal.h"

#include "core/util/mem.h"

/* Longer than what we offer by EDNS; a datagram that does not fit is dropped. The odd sizes keep
 * equal offsets of neighbours off one cache set. */
#define QUERY_MAX (2048u + 64u)
#define ANSWER_MAX (DNS_UDP_EDNS_MAX + 48u)
#define CONTROL_MAX 64u

struct udp_batch {
    struct mmsghdr in[DNS_UDP_BATCH], out[DNS_UDP_BATCH];
    struct iovec in_iov[DNS_UDP_BATCH], out_iov[DNS_UDP_BATCH];
    struct sockaddr_in6 peer[DNS_UDP_BATCH]; /* large enough for both families */
    _Alignas(struct cmsghdr) uint8_t control[DNS_UDP_BATCH][CONTROL_MAX];
    uint8_t query[DNS_UDP_BATCH][QUERY_MAX];
    uint8_t answer[DNS_UDP_BATCH][ANSWER_MAX];
};

static void arm(struct dns_udp *udp, size_t i)
{
    struct udp_batch *b = udp->batch;
    struct msghdr *m = &b->in[i].msg_hdr;

    m->msg_namelen = sizeof(b->peer[i]);
    m->msg_flags = 0;
    if (udp->is_wildcard) {
        m->msg_control = b->control[i];
        m->msg_controllen = CONTROL_MAX;
    }
}

struct err dns_udp_init(struct dns_udp *udp, struct zone_db *zones, int fd, bool is_wildcard,
                        const _Atomic bool *is_stopping)
{
    udp->fd = fd;
    udp->is_wildcard = is_wildcard;
    udp->is_stopping = is_stopping;
    TRY(zone_reader_new(zones, &udp->reader));
    udp->batch = mem_zalloc(sizeof(*udp->batch));
    TRY_PTR(udp->batch);
    struct udp_batch *b = udp->batch;
    for (size_t i = 0; i < DNS_UDP_BATCH; i++) {
        b->in_iov[i].iov_base = b->query[i];
        b->in_iov[i].iov_len = QUERY_MAX;
        b->in[i].msg_hdr.msg_iov = &b->in_iov[i];
        b->in[i].msg_hdr.msg_iovlen = 1;
        b->in[i].msg_hdr.msg_name = &b->peer[i];
        b->out[i].msg_hdr.msg_iov = &b->out_iov[i];
        b->out[i].msg_hdr.msg_iovlen = 1;
        arm(udp, i);
    }
    return err_ok();
}

void dns_udp_clear(struct dns_udp *udp)
{
    if (udp->fd >= 0) {
        (void)close(udp->fd);
        udp->fd = -1;
    }
    zone_reader_free(MOVE(udp->reader));
    mem_freep(&udp->batch);
}

/* Wakes a receiver that is blocked: it gets an empty datagram. ENOTCONN, the result on an
 * unconnected socket, is of no interest. */
void dns_udp_wake(struct dns_udp *udp)
{
    (void)shutdown(udp->fd, SHUT_RD);
}

/* The control message that came in names the address that was asked; it goes out again as the
 * source. The interface stays open to routing, except for link-local addresses, which mean nothing
 * without theirs. */
static void free_interface(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            info.ipi_ifindex = 0;
            memcpy(CMSG_DATA(c), &info, sizeof(info));
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) {
                info.ipi6_ifindex = 0;
            }
            memcpy(CMSG_DATA(c), &info, sizeof(info));
        }
    }
}

/* Answers `n` datagrams of the batch; returns how many answers stand ready. */
static size_t answer_all(struct dns_udp *udp, size_t n)
{
    struct udp_batch *b = udp->batch;
    size_t ready = 0;
    const struct zone_snapshot *snap = zone_read_begin(udp->reader);

    for (size_t i = 0; i < n; i++) {
        struct msghdr *in = &b->in[i].msg_hdr;
        size_t len = 0;
        if ((in->msg_flags & MSG_TRUNC) == 0) {
            len = answer_build(snap, b->query[i], b->in[i].msg_len, false, b->answer[ready],
                               ANSWER_MAX);
        }
        if (len == 0) {
            continue;
        }
        struct msghdr *out = &b->out[ready].msg_hdr;
        b->out_iov[ready].iov_base = b->answer[ready];
        b->out_iov[ready].iov_len = len;
        out->msg_name = &b->peer[i];
        out->msg_namelen = in->msg_namelen;
        if (udp->is_wildcard) {
            free_interface(in);
            out->msg_control = in->msg_control;
            out->msg_controllen = in->msg_controllen;
        }
        ready++;
    }
    zone_read_end(udp->reader);
    return ready;
}

/* Never blocks: answers to peers that do not exist wait in the kernel for their hardware address
 * and fill the socket's buffer; a thread that waited for room would leave everybody else without
 * answers. What does not fit is dropped. */
static size_t send_all(struct dns_udp *udp, size_t n)
{
    size_t at = 0;
    size_t sent = 0;

    while (at < n) {
        int got = sendmmsg(udp->fd, udp->batch->out + at, (unsigned)(n - at),
                           MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got > 0) {
            at += (size_t)got;
            sent += (size_t)got;
        } else if (errno != EINTR) {
            at++; /* this one cannot be sent (source port 0, no route, no room): others may */
        }
    }
    return sent;
}

void *dns_udp_main(void *arg)
{
    struct dns_udp *udp = arg;

    while (!atomic_load_explicit(udp->is_stopping, memory_order_acquire)) {
        int got = recvmmsg(udp->fd, udp->batch->in, DNS_UDP_BATCH, MSG_WAITFORONE, NULL);
        if (got <= 0) {
            continue; /* interrupted, or an ICMP error of an earlier answer */
        }
        size_t n = (size_t)got;
        size_t sent = send_all(udp, answer_all(udp, n));
        dns_count(&udp->count.queries, n);
        dns_count(&udp->count.answers, sent);
        dns_count(&udp->count.dropped, n - sent);
        for (size_t i = 0; i < n; i++) {
            arm(udp, i);
        }
    }
    return NULL;
}
