#include "dns/request.h"

#include <string.h>
#include <unistd.h>

#include "dns/answer.h"
#include "dns/request_internal.h"
#include "dns/tcp_link.h"
#include "dns/zone_table.h"
#include "dns/wire.h"

#include "core/util/buf.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

struct dns_socket *dns_socket_new(int fd, struct rrl *rrl)
{
    struct dns_socket *socket = mem_zalloc(sizeof(*socket));

    if (socket != NULL) {
        atomic_init(&socket->refs, 1);
        socket->fd = fd;
        socket->rrl = rrl;
    }
    return socket;
}

void dns_socket_unref(struct dns_socket *socket)
{
    if (socket != NULL && atomic_fetch_sub(&socket->refs, 1) == 1) {
        (void)close(socket->fd);
        mem_free(socket);
    }
}

static void skip_name(struct rd *r)
{
    uint8_t n = rd_u8(r);

    while (!r->failed && n != 0 && n < DNS_POINTER_BITS) {
        (void)rd_bytes(r, n);
        n = rd_u8(r);
    }
    if (n >= DNS_POINTER_BITS) {
        (void)rd_u8(r);
    }
}

/* The size that the packet's OPT record offers, 0 without one. Everything that can be wrong with the
 * packet is somebody else's to refuse. */
static size_t offered_size(const uint8_t *packet, size_t len)
{
    struct rd r = rd_init(packet, len);
    size_t records_n = 0;

    (void)rd_u32(&r);
    unsigned questions_n = rd_u16(&r);
    for (unsigned i = 0; i < 3; i++) {
        records_n += rd_u16(&r);
    }
    for (unsigned i = 0; i < questions_n && !r.failed; i++) {
        skip_name(&r);
        (void)rd_u32(&r);
    }
    for (size_t i = 0; i < records_n && !r.failed; i++) {
        skip_name(&r);
        unsigned type = rd_u16(&r);
        unsigned class_ = rd_u16(&r);
        (void)rd_u32(&r);
        (void)rd_bytes(&r, rd_u16(&r));
        if (type == DNS_TYPE_OPT && !r.failed) {
            return class_;
        }
    }
    return 0;
}

static struct dns_request *request_new(const struct dns_request_bytes *bytes)
{
    struct dns_request *request = mem_zalloc(sizeof(*request) + bytes->len + bytes->begun_len + 1);

    if (request == NULL) {
        return NULL;
    }
    request->peer = *bytes->peer;
    request->len = bytes->len;
    request->begun_at = bytes->len; /* len may shrink later */
    request->begun_len = bytes->begun_len;
    memcpy(request->data, bytes->packet, bytes->len);
    if (bytes->begun_len != 0) {
        memcpy(request->data + bytes->len, bytes->begun, bytes->begun_len);
    }
    return request;
}

struct dns_request *dns_request_new_udp(struct dns_socket *socket, const struct msghdr *from,
                                        const struct dns_request_bytes *bytes)
{
    struct dns_request *request = request_new(bytes);

    if (request == NULL) {
        return NULL;
    }
    size_t size = offered_size(bytes->packet, bytes->len);
    request->limit = size < DNS_UDP_PLAIN_MAX  ? DNS_UDP_PLAIN_MAX
                     : size > DNS_UDP_EDNS_MAX ? DNS_UDP_EDNS_MAX
                                               : size;
    request->to_len =
        from->msg_namelen < sizeof(request->to) ? from->msg_namelen : sizeof(request->to);
    memcpy(&request->to, from->msg_name, request->to_len);
    if (from->msg_control != NULL && from->msg_controllen <= DNS_CONTROL_MAX) {
        request->control_len = from->msg_controllen;
        memcpy(request->control, from->msg_control, request->control_len);
    }
    request->socket = socket;
    atomic_fetch_add(&socket->refs, 1);
    return request;
}

struct dns_request *dns_request_new_tcp(struct tcp_link *link,
                                        const struct dns_request_bytes *bytes)
{
    struct dns_request *request = request_new(bytes);

    if (request != NULL) {
        request->limit = DNS_TCP_MAX;
        request->link = link;
        tcp_link_ref(link);
    }
    return request;
}

uint8_t *dns_request_bytes(struct dns_request *request, size_t **len)
{
    *len = &request->len;
    return request->data;
}

bool dns_request_is_tcp(const struct dns_request *request)
{
    return request->link != NULL;
}

struct ip_addr dns_request_peer(const struct dns_request *request)
{
    return request->peer;
}

size_t dns_request_limit(const struct dns_request *request)
{
    return request->limit;
}

const uint8_t *dns_request_begun(const struct dns_request *request, size_t *len)
{
    *len = request->begun_len;
    return request->data + request->begun_at;
}

/* Refusals that anybody can provoke with a forged source address; they are hardly longer than what
 * was asked, so that every second one above the limit may go out as it is. */
static bool is_held_back(struct dns_socket *socket, const struct ip_addr *peer,
                         const uint8_t *message, size_t len)
{
    unsigned rcode = len < DNS_HEADER_LEN ? 0 : message[3] & RCODE_BITS;

    if (socket->rrl == NULL || (rcode != RCODE_FORMERR && rcode != RCODE_NOTIMP &&
                                rcode != RCODE_REFUSED && rcode != RCODE_NOTAUTH)) {
        return false;
    }
    switch (rrl_check(socket->rrl, peer, clock_mono_ms())) {
    case RRL_SEND:
        break;
    case RRL_SLIP:
        atomic_fetch_add_explicit(&socket->slipped, 1, memory_order_relaxed);
        break;
    case RRL_DROP:
        atomic_fetch_add_explicit(&socket->limited, 1, memory_order_relaxed);
        return true;
    }
    return false;
}

static void send_datagram(struct dns_request *request, const uint8_t *message, size_t len)
{
    struct iovec iov = {.iov_base = NULL, .iov_len = len};
    struct msghdr m = {
        .msg_name = &request->to, .msg_namelen = request->to_len, .msg_iov = &iov, .msg_iovlen = 1};

    memcpy(&iov.iov_base, &message, sizeof(message)); /* sendmsg() does not write to it */
    if (request->control_len != 0) {
        m.msg_control = request->control;
        m.msg_controllen = request->control_len;
    }
    /* Never blocks: what the socket has no room for is lost, as with the threads' own answers. */
    if (sendmsg(request->socket->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
        atomic_fetch_add_explicit(&request->socket->answers, 1, memory_order_relaxed);
    }
}

struct err dns_request_send(struct dns_request *request, const uint8_t *message, size_t len)
{
    if (len > request->limit) {
        FAIL(ERR_LIMIT, "dns: an answer of %zu octets, at most %zu", len, request->limit);
    }
    request->rcode = len < DNS_HEADER_LEN ? 0 : message[3] & RCODE_BITS;
    if (request->link != NULL) {
        return tcp_link_send(request->link, message, len);
    }
    if (!is_held_back(request->socket, &request->peer, message, len)) {
        send_datagram(request, message, len);
    }
    return err_ok();
}

const uint8_t *dns_request_cookie(const struct dns_request *request)
{
    return request->has_cookie ? request->cookie : NULL;
}

bool dns_request_wait(struct dns_request *request, size_t octets)
{
    return request->link == NULL || tcp_link_wait(request->link, octets);
}

void dns_request_end(struct dns_request *request)
{
    if (request == NULL) {
        return;
    }
    if (request->link != NULL) {
        tcp_link_end(request->link);
        tcp_link_unref(request->link);
    }
    dns_socket_unref(request->socket);
    mem_free(request);
}
