/* One UDP thread: a batch in, a batch out, one snapshot and one look at the clock per batch; no other
 * system call, no allocation but for what becomes a request. Batches are small: what a thread holds when
 * the scheduler takes its CPU away nobody else can answer. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "dns/server_internal.h"

#include "core/util/mem.h"

/* Longer than what we offer by EDNS; a datagram that does not fit is dropped. The odd sizes keep
 * equal offsets of neighbours off one cache set. */
#define QUERY_MAX (2048u + 64u)
#define ANSWER_MAX (DNS_UDP_EDNS_MAX + 48u)

struct udp_batch {
    struct mmsghdr in[DNS_UDP_BATCH], out[DNS_UDP_BATCH];
    struct iovec in_iov[DNS_UDP_BATCH], out_iov[DNS_UDP_BATCH];
    struct sockaddr_in6 peer[DNS_UDP_BATCH]; /* large enough for both families */
    _Alignas(struct cmsghdr) uint8_t control[DNS_UDP_BATCH][DNS_CONTROL_MAX];
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
        m->msg_controllen = DNS_CONTROL_MAX;
    }
}

struct err dns_udp_init(struct dns_udp *udp, struct dns_shared *shared, int fd, bool is_wildcard)
{
    udp->is_wildcard = is_wildcard;
    udp->socket = dns_socket_new(fd, shared->rrl);
    if (udp->socket == NULL) {
        (void)close(fd);
    }
    TRY_PTR(udp->socket);
    TRY(dns_asker_init(&udp->asker, shared));
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
    dns_socket_unref(MOVE(udp->socket));
    dns_asker_clear(&udp->asker);
    mem_freep(&udp->batch);
}

/* Wakes a receiver that is blocked: it gets an empty datagram. ENOTCONN, the result on an
 * unconnected socket, is of no interest. */
void dns_udp_wake(struct dns_udp *udp)
{
    (void)shutdown(udp->socket->fd, SHUT_RD);
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

/* An answer above the limit shrinks to its question, truncated: who is honest comes back over TCP.
 * begun: the answer's header stands in out. Returns the length. */
static size_t slip(const uint8_t *query, const struct answer_info *info, bool is_begun,
                   uint8_t *out)
{
    size_t len = info->question_end >= DNS_HEADER_LEN ? info->question_end : DNS_HEADER_LEN;

    if (!is_begun) {
        memcpy(out, query, len);
        out[2] = (uint8_t)(FLAG_QR | (query[2] & (OPCODE_BITS | FLAG_RD)));
        out[3] = FLAG_RA;
    }
    out[2] |= FLAG_TC;
    memset(out + 4, 0, 8);
    out[5] = len > DNS_HEADER_LEN;
    return len;
}

static enum rrl_verdict check_rate(struct dns_udp *udp, const struct answer_in *in,
                                   const struct answer_info *info)
{
    if (udp->socket->rrl == NULL || info->has_good_cookie) {
        return RRL_SEND;
    }
    enum rrl_verdict verdict = rrl_check(udp->socket->rrl, in->peer, udp->asker.now_ms);
    dns_count(&udp->asker.count.slipped, verdict == RRL_SLIP);
    dns_count(&udp->asker.count.limited, verdict == RRL_DROP);
    return verdict;
}

/* Somebody else answers datagram i, with `len` octets of the answer standing. False: nobody will. */
static bool hand_over(struct dns_udp *udp, size_t i, const struct answer_in *in,
                      enum answer_verdict verdict, const uint8_t *begun, size_t len)
{
    struct dns_request_bytes bytes = {in->query, begun, in->query_len, len, in->peer};

    return dns_hand_over(&udp->asker, verdict,
                         dns_request_new_udp(udp->socket, &udp->batch->in[i].msg_hdr, &bytes));
}

/* The length of the answer to datagram i, 0: none now. *is_taken: somebody answers later. */
static size_t answer_one(struct dns_udp *udp, size_t i, uint8_t *out, bool *is_taken)
{
    struct udp_batch *b = udp->batch;
    struct ip_addr peer = ip_from_sockaddr((const struct sockaddr *)&b->peer[i]);
    struct answer_in in = {.query = b->query[i], .query_len = b->in[i].msg_len, .peer = &peer};
    struct answer_info info;
    size_t len = 0;
    enum answer_verdict verdict = dns_ask(&udp->asker, &in, out, ANSWER_MAX, &len, &info);

    if (verdict == ANSWER_DROP) {
        return 0;
    }
    if (verdict == ANSWER_WORK) { /* limited when it is answered: the signature may be a good one */
        *is_taken = hand_over(udp, i, &in, verdict, NULL, 0);
        return 0;
    }
    switch (check_rate(udp, &in, &info)) {
    case RRL_SEND:
        break;
    case RRL_SLIP:
        return slip(in.query, &info, len != 0, out);
    case RRL_DROP:
        return 0;
    }
    if (verdict == ANSWER_FORWARD) {
        *is_taken = hand_over(udp, i, &in, verdict, out, len);
        return 0;
    }
    return len;
}

/* Answers `n` datagrams of the batch; returns how many answers stand ready. *taken: how many others
 * answer. */
static size_t answer_all(struct dns_udp *udp, size_t n, size_t *taken)
{
    struct udp_batch *b = udp->batch;
    size_t ready = 0;

    dns_asker_tick(&udp->asker);
    udp->asker.snap = zone_read_begin(udp->asker.reader);
    for (size_t i = 0; i < n; i++) {
        struct msghdr *in = &b->in[i].msg_hdr;
        bool is_taken = false;
        if ((in->msg_flags & MSG_TRUNC) != 0) {
            continue;
        }
        if (udp->is_wildcard) {
            free_interface(in);
        }
        size_t len = answer_one(udp, i, b->answer[ready], &is_taken);
        *taken += is_taken;
        if (len == 0) {
            continue;
        }
        struct msghdr *out = &b->out[ready].msg_hdr;
        b->out_iov[ready].iov_base = b->answer[ready];
        b->out_iov[ready].iov_len = len;
        out->msg_name = &b->peer[i];
        out->msg_namelen = in->msg_namelen;
        if (udp->is_wildcard) {
            out->msg_control = in->msg_control;
            out->msg_controllen = in->msg_controllen;
        }
        ready++;
    }
    zone_read_end(udp->asker.reader);
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
        int got = sendmmsg(udp->socket->fd, udp->batch->out + at, (unsigned)(n - at),
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

/* Answers a batch of what waits at a socket of this endpoint. */
static void serve(struct dns_udp *udp, int fd, int flags)
{
    struct dns_thread_counters *count = &udp->asker.count;
    int got = recvmmsg(fd, udp->batch->in, DNS_UDP_BATCH, flags, NULL);

    if (got <= 0) {
        return; /* nothing, interrupted, or an ICMP error of an earlier answer */
    }
    size_t n = (size_t)got;
    size_t taken = 0;
    size_t sent = send_all(udp, answer_all(udp, n, &taken));
    dns_count(&count->queries, n);
    dns_count(&count->answers, sent);
    dns_count(&count->dropped, n - sent - taken);
    for (size_t i = 0; i < n; i++) {
        arm(udp, i);
    }
}

/* The kernel spreads peers over the sockets and threads over the CPUs, each without regard to the other: what
 * waits at one socket can wait for a whole time slice while other threads run. So each thread looks at another
 * socket after its own, in turn. Also when its own is never empty: that is when the others' wait is longest. */
static void serve_mate(struct dns_udp *udp)
{
    if (udp->mates_n > 1) {
        do {
            udp->next_mate = (udp->next_mate + 1) % udp->mates_n;
        } while (&udp->mates[udp->next_mate] == udp);
        serve(udp, udp->mates[udp->next_mate].socket->fd, MSG_DONTWAIT);
    }
}

void *dns_udp_main(void *arg)
{
    struct dns_udp *udp = arg;

    while (!atomic_load_explicit(&udp->asker.shared->is_stopping, memory_order_acquire)) {
        serve(udp, udp->socket->fd, MSG_WAITFORONE);
        serve_mate(udp);
    }
    return NULL;
}
