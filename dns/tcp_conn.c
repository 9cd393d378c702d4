/* A connection reads as long as the peer takes its answers: with more than OUT_HIGH octets waiting, or
 * DNS_TCP_UNDER_WAY_MAX requests under way, nothing more is read until that changed. What comes in is
 * answered out of the thread's scratch buffer into another one, which goes out in one call per event;
 * only what is left over gets memory of its own.
 *
 * Each state has one deadline; it moves only when a whole message went through, so that an octet now
 * and then does not keep a connection. */
#include "dns/tcp_conn.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/util/mem.h"

#define OUT_HIGH (64u * 1024u)
#define SMALL_LEN 4096u /* up to here what is left over is copied into the scratch buffer again */
#define GROW_MIN 512u
#define IOV_MAX_N 16u

static void drop_in(struct dns_tcp *tcp, struct tcp_conn *c)
{
    tcp->buffered -= c->in_cap;
    mem_freep(&c->in);
    c->in_len = 0;
    c->in_cap = 0;
}

static bool grow_in(struct dns_tcp *tcp, struct tcp_conn *c, size_t cap)
{
    if (cap <= c->in_cap) {
        return true;
    }
    size_t more = cap - c->in_cap;
    if (!tcp_reserve(tcp, c, more)) {
        return false;
    }
    uint8_t *in = mem_resize(c->in, cap);
    if (in == NULL) {
        return false;
    }
    c->in = in;
    c->in_cap = (uint32_t)cap;
    tcp->buffered += more;
    return true;
}

/* Keeps what is not answered yet. data: not c->in. */
static bool keep(struct dns_tcp *tcp, struct tcp_conn *c, const uint8_t *data, size_t len)
{
    if (len == 0) {
        drop_in(tcp, c);
        return true;
    }
    if (!grow_in(tcp, c, len < GROW_MIN ? GROW_MIN : len)) {
        return false;
    }
    memcpy(c->in, data, len);
    c->in_len = (uint32_t)len;
    return true;
}

static bool queue_copy(struct dns_tcp *tcp, struct tcp_conn *c, const uint8_t *data, size_t len)
{
    struct tcp_out *out =
        tcp_reserve(tcp, c, len) ? mem_zalloc(sizeof(struct tcp_out) + len) : NULL;

    if (out == NULL) {
        return false;
    }
    out->len = len;
    memcpy(out->data, data, len);
    tcp_queue_put(&c->out, out);
    tcp->buffered += len;
    return true;
}

static size_t waiting(const struct tcp_conn *c)
{
    return c->out.octets - c->out_at;
}

/* What one call wrote. */
static void advance_out(struct dns_tcp *tcp, struct tcp_conn *c, size_t n)
{
    c->out_at += (uint32_t)n;
    while (c->out.first != NULL && c->out_at >= c->out.first->len) {
        struct tcp_out *done = c->out.first;
        c->out.first = done->next;
        c->out.last = done->next == NULL ? NULL : c->out.last;
        c->out.octets -= done->len;
        c->out_at -= (uint32_t)done->len;
        tcp->buffered -= done->len;
        c->has_written = true;
        mem_free(done);
    }
}

/* Writes of the queue what the socket takes. False: the connection is dead. */
static bool flush_queue(struct dns_tcp *tcp, struct tcp_conn *c)
{
    while (c->out.first != NULL) {
        struct iovec iov[IOV_MAX_N];
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = 0};
        size_t skip = c->out_at;
        for (struct tcp_out *o = c->out.first; o != NULL && m.msg_iovlen < IOV_MAX_N; o = o->next) {
            iov[m.msg_iovlen].iov_base = o->data + skip;
            iov[m.msg_iovlen].iov_len = o->len - skip;
            m.msg_iovlen++;
            skip = 0;
        }
        ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        advance_out(tcp, c, n > 0 ? (size_t)n : 0);
    }
    if (c->link != NULL) {
        tcp_link_left(c->link, waiting(c));
    }
    return true;
}

/* Sends the answers of the scratch buffer, and queues what the socket does not take. */
static bool flush_scratch(struct dns_tcp *tcp, struct tcp_conn *c)
{
    size_t at = 0;
    size_t len = tcp->out_len;

    tcp->out_len = 0;
    while (c->out.first == NULL && at < len) {
        ssize_t n = send(c->fd, tcp->out + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return at == len || queue_copy(tcp, c, tcp->out + at, len - at);
}

static bool may_read(const struct dns_tcp *tcp, const struct tcp_conn *c)
{
    return waiting(c) + tcp->out_len <= OUT_HIGH && c->under_way < DNS_TCP_UNDER_WAY_MAX;
}

/* The answer's frame is complete: n octets stand behind it. */
static void frame(struct dns_tcp *tcp, size_t n)
{
    uint8_t *out = tcp->out + tcp->out_len;

    out[0] = (uint8_t)(n >> 8);
    out[1] = (uint8_t)n;
    tcp->out_len += TCP_FRAME_LEN + n;
    dns_count(&tcp->asker.count.answers, 1);
}

/* Somebody else answers. False: it could not be handed on. */
static bool hand_over(struct dns_tcp *tcp, struct tcp_conn *c, enum answer_verdict verdict,
                      const struct dns_request_bytes *bytes)
{
    if (c->link == NULL) {
        c->link = tcp_link_new(tcp->mail, c);
    }
    struct dns_request *request = c->link != NULL ? dns_request_new_tcp(c->link, bytes) : NULL;
    if (request != NULL) {
        c->under_way++; /* also a refused one ends, by mail */
    }
    return dns_hand_over(&tcp->asker, verdict, request);
}

/* One whole message. False: the peer is broken or hostile. */
static bool answer_message(struct dns_tcp *tcp, struct tcp_conn *c, const uint8_t *query,
                           size_t query_len)
{
    struct answer_in in = {
        .query = query, .query_len = query_len, .is_tcp = true, .peer = &c->peer};
    struct answer_info info;
    size_t len = 0;

    if (TCP_OUT_SCRATCH - tcp->out_len < TCP_FRAME_LEN + DNS_TCP_MAX && !flush_scratch(tcp, c)) {
        return false;
    }
    uint8_t *out = tcp->out + tcp->out_len + TCP_FRAME_LEN;
    dns_count(&tcp->asker.count.queries, 1);
    enum answer_verdict verdict = dns_ask(&tcp->asker, &in, out, DNS_TCP_MAX, &len, &info);
    switch (verdict) {
    case ANSWER_DROP:
        dns_count(&tcp->asker.count.dropped, 1);
        return false;
    case ANSWER_SEND:
        frame(tcp, len);
        return true;
    case ANSWER_WORK:
        len = 0; /* nothing is begun */
        break;
    case ANSWER_FORWARD:
        break;
    }
    const struct dns_request_bytes bytes = {query, out, query_len, len, &c->peer};
    if (hand_over(tcp, c, verdict, &bytes)) {
        return true;
    }
    len = answer_error(query, query_len, RCODE_SERVFAIL, 0, out, DNS_TCP_MAX);
    if (len != 0) {
        frame(tcp, len);
    }
    return true;
}

/* The length of the whole message at p, with its frame; 0 when it is not there yet. */
static size_t whole_message(const uint8_t *p, size_t left)
{
    if (left < TCP_FRAME_LEN) {
        return 0;
    }
    size_t len = TCP_FRAME_LEN + wire_get16(p);
    return left >= len ? len : 0;
}

/* Answers the whole messages as far as may be; *used: their octets. False: to be closed. */
static bool answer_messages(struct dns_tcp *tcp, struct tcp_conn *c, const uint8_t *data,
                            size_t len, size_t *used)
{
    bool is_good = true;

    *used = 0;
    tcp->asker.snap = zone_read_begin(tcp->asker.reader);
    for (size_t n = whole_message(data, len); is_good && n != 0;
         n = whole_message(data + *used, len - *used)) {
        const uint8_t *p = data + *used;
        if (!may_read(tcp, c) && (!flush_scratch(tcp, c) || !may_read(tcp, c))) {
            break;
        }
        is_good = n > TCP_FRAME_LEN && answer_message(tcp, c, p + TCP_FRAME_LEN, n - TCP_FRAME_LEN);
        *used += n;
        c->has_read = true;
    }
    zone_read_end(tcp->asker.reader);
    return flush_scratch(tcp, c) && is_good;
}

/* The rest of a message that is longer than what is copied: into the connection's own buffer, which
 * grows as octets come and not as they are announced. */
static bool read_long(struct dns_tcp *tcp, struct tcp_conn *c)
{
    size_t whole = TCP_FRAME_LEN + wire_get16(c->in);
    size_t cap = c->in_len < c->in_cap ? c->in_cap : 2 * (size_t)c->in_cap;
    size_t used = 0;

    if (!grow_in(tcp, c, cap < whole ? cap : whole)) {
        return false;
    }
    size_t room = (whole < c->in_cap ? whole : c->in_cap) - c->in_len;
    ssize_t n = recv(c->fd, c->in + c->in_len, room, 0);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    c->is_eof = n == 0;
    c->in_len += (uint32_t)n;
    if (c->in_len < whole) {
        return true;
    }
    if (!answer_messages(tcp, c, c->in, c->in_len, &used)) {
        return false;
    }
    if (used == c->in_len) {
        drop_in(tcp, c);
    }
    return true;
}

static bool read_some(struct dns_tcp *tcp, struct tcp_conn *c)
{
    if (c->in_len > SMALL_LEN) {
        return read_long(tcp, c);
    }
    size_t before = c->in_len;
    size_t used = 0;
    if (before > 0) {
        memcpy(tcp->in, c->in, before);
    }
    ssize_t n = recv(c->fd, tcp->in + before, TCP_IN_SCRATCH - before, 0);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (n == 0) {
        c->is_eof = true;
        return true;
    }
    size_t len = before + (size_t)n;
    return answer_messages(tcp, c, tcp->in, len, &used) && keep(tcp, c, tcp->in + used, len - used);
}

/* What was held back. */
static bool answer_kept(struct dns_tcp *tcp, struct tcp_conn *c)
{
    size_t used = 0;

    if (whole_message(c->in, c->in_len) == 0 || !may_read(tcp, c)) {
        return true;
    }
    if (!answer_messages(tcp, c, c->in, c->in_len, &used)) {
        return false;
    }
    c->in_len -= (uint32_t)used;
    memmove(c->in, c->in + used, c->in_len);
    if (c->in_len == 0) {
        drop_in(tcp, c);
    }
    return true;
}

static enum tcp_state state_of(const struct dns_tcp *tcp, const struct tcp_conn *c)
{
    if (c->out.first != NULL) {
        return TCP_WRITING;
    }
    if (c->in_len > 0 && !c->is_eof && may_read(tcp, c)) {
        return TCP_PARTIAL;
    }
    return c->under_way > 0 ? TCP_UNDER_WAY : TCP_IDLE;
}

static void set_deadline(struct dns_tcp *tcp, struct tcp_conn *c)
{
    int64_t allowed_s = 0;

    switch (c->state) {
    case TCP_IDLE:
        allowed_s = DNS_TCP_IDLE_S;
        break;
    case TCP_PARTIAL:
        allowed_s = DNS_TCP_PARTIAL_S;
        break;
    case TCP_UNDER_WAY:
        c->deadline_ms = INT64_MAX;
        return;
    case TCP_WRITING:
        allowed_s = DNS_TCP_WRITE_S;
        break;
    }
    c->deadline_ms = tcp->asker.now_ms + allowed_s * 1000;
}

/* After an event: the state, its deadline and what is watched for. False: to be closed. */
static bool settle(struct dns_tcp *tcp, struct tcp_conn *c)
{
    enum tcp_state before = c->state;
    bool has_moved = c->has_written || c->has_read;

    if (c->is_eof && c->out.first == NULL && c->under_way == 0) {
        return false;
    }
    c->state = state_of(tcp, c);
    if (c->state == TCP_WRITING) {
        has_moved = c->has_written;
    } else if (c->state == TCP_PARTIAL) {
        has_moved = c->has_read;
    }
    if (c->state != before || has_moved) {
        set_deadline(tcp, c);
        tcp_conn_touch(tcp, c);
    }
    c->has_read = false;
    c->has_written = false;
    struct epoll_event ev = {.data.ptr = c};
    ev.events = (c->is_eof || !may_read(tcp, c) ? 0 : EPOLLIN) |
                (c->out.first != NULL ? (uint32_t)EPOLLOUT : 0);
    if (ev.events != c->events) {
        c->events = ev.events;
        (void)epoll_ctl(tcp->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
    }
    return true;
}

bool tcp_conn_step(struct dns_tcp *tcp, struct tcp_conn *c, uint32_t events)
{
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        return false;
    }
    if ((events & EPOLLOUT) != 0 && (!flush_queue(tcp, c) || !answer_kept(tcp, c))) {
        return false;
    }
    if ((events & EPOLLIN) != 0 && may_read(tcp, c) && !c->is_eof && !read_some(tcp, c)) {
        return false;
    }
    return settle(tcp, c);
}

bool tcp_conn_mail(struct dns_tcp *tcp, struct tcp_conn *c)
{
    struct tcp_queue news = {NULL, NULL, 0};
    unsigned ended = 0;
    bool is_whole = tcp_link_take(c->link, &news, &ended);

    for (const struct tcp_out *o = news.first; o != NULL; o = o->next) {
        dns_count(&tcp->asker.count.answers, 1);
    }
    tcp->buffered += news.octets;
    tcp_queue_move(&c->out, &news);
    c->under_way = (uint16_t)(c->under_way - ended);
    return is_whole && flush_queue(tcp, c) && answer_kept(tcp, c) && settle(tcp, c);
}

void tcp_conn_clear(struct dns_tcp *tcp, struct tcp_conn *c)
{
    tcp->buffered -= c->out.octets;
    tcp_queue_clear(&c->out);
    drop_in(tcp, c);
    tcp_link_close(MOVE(c->link));
}
