/* One TCP thread: an epoll loop over shared listeners and its own connections.
 *
 * A connection is either reading (its answer buffer is empty) or writing (an answer waits for the
 * peer; nothing is read meanwhile, so a peer that pipelines without reading is held back). Each
 * state has one deadline; it moves only when a whole message went through, so that a byte now and
 * then does not keep a connection. At the limit of connections the one that was quiet for longest
 * goes. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/answer.h"
#include "dns/server_internal.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

#define QUERY_MAX 4096u          /* a longer message closes the connection */
#define ANSWER_MAX (32u * 1024u) /* holds 256 TXT values, and 1,024 IPv6 addresses */
#define TICK_MS 250
#define EVENTS_MAX 64
#define FRAME_LEN 2u

enum conn_state { CONN_IDLE, CONN_PARTIAL, CONN_WRITING };

struct tcp_conn {
    struct tcp_conn *older, *newer;
    int fd; /* -1: closed, waits on the dead list for the end of the event batch */
    enum conn_state state;
    int64_t deadline_ms;
    size_t in_len;
    size_t out_at, out_len;
    uint8_t in[FRAME_LEN + QUERY_MAX];
    uint8_t out[FRAME_LEN + ANSWER_MAX];
};

static void unlink_conn(struct dns_tcp *tcp, struct tcp_conn *c)
{
    if (c->older != NULL) {
        c->older->newer = c->newer;
    } else {
        tcp->oldest = c->newer;
    }
    if (c->newer != NULL) {
        c->newer->older = c->older;
    } else {
        tcp->newest = c->older;
    }
    c->older = NULL;
    c->newer = NULL;
}

static void link_newest(struct dns_tcp *tcp, struct tcp_conn *c)
{
    c->older = tcp->newest;
    if (tcp->newest != NULL) {
        tcp->newest->newer = c;
    } else {
        tcp->oldest = c;
    }
    tcp->newest = c;
}

static void close_conn(struct dns_tcp *tcp, struct tcp_conn *c)
{
    (void)close(c->fd);
    c->fd = -1;
    unlink_conn(tcp, c);
    c->newer = tcp->dead;
    tcp->dead = c;
    atomic_fetch_sub(tcp->connections_n, 1);
}

static void free_dead(struct dns_tcp *tcp)
{
    while (tcp->dead != NULL) {
        struct tcp_conn *c = tcp->dead;
        tcp->dead = c->newer;
        mem_free(c);
    }
}

static void enter(struct dns_tcp *tcp, struct tcp_conn *c, enum conn_state state)
{
    int64_t allowed_s = state == CONN_IDLE ? DNS_TCP_IDLE_S : DNS_TCP_PARTIAL_S;
    bool was_writing = c->state == CONN_WRITING;
    bool is_writing = state == CONN_WRITING;

    c->state = state;
    c->deadline_ms = clock_mono_ms() + allowed_s * 1000;
    unlink_conn(tcp, c);
    link_newest(tcp, c);
    if (was_writing != is_writing) {
        struct epoll_event ev = {.events = is_writing ? EPOLLOUT : EPOLLIN, .data.ptr = c};
        (void)epoll_ctl(tcp->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
    }
}

/* Sends what waits. False: the connection is dead. */
static bool flush(struct tcp_conn *c, bool has_more)
{
    while (c->out_at < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
                         MSG_NOSIGNAL | (has_more ? MSG_MORE : 0));
        if (n < 0 && errno == EAGAIN) {
            return true;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
        c->out_at += n > 0 ? (size_t)n : 0;
    }
    c->out_at = 0;
    c->out_len = 0;
    return true;
}

/* The length of the whole message at `at`, 0 when it is not there yet, more than QUERY_MAX when it
 * is too long. */
static size_t message_at(const struct tcp_conn *c, size_t at)
{
    if (c->in_len - at < FRAME_LEN) {
        return 0;
    }
    size_t len = (size_t)c->in[at] << 8 | c->in[at + 1];
    if (len > QUERY_MAX || len == 0) {
        return QUERY_MAX + 1;
    }
    return c->in_len - at - FRAME_LEN >= len ? len : 0;
}

static bool answer_one(struct dns_tcp *tcp, struct tcp_conn *c, size_t at, size_t len)
{
    const struct zone_snapshot *snap = zone_read_begin(tcp->reader);
    size_t n = answer_build(snap, c->in + at, len, true, c->out + FRAME_LEN, ANSWER_MAX);
    zone_read_end(tcp->reader);

    dns_count(&tcp->count.queries, 1);
    if (n == 0) { /* not a query: this peer is broken or hostile */
        dns_count(&tcp->count.dropped, 1);
        return false;
    }
    c->out[0] = (uint8_t)(n >> 8);
    c->out[1] = (uint8_t)n;
    c->out_at = 0;
    c->out_len = FRAME_LEN + n;
    dns_count(&tcp->count.answers, 1);
    return true;
}

/* Answers every whole message in the buffer, until one answer cannot be sent at once. False: to be
 * closed. */
static bool work(struct dns_tcp *tcp, struct tcp_conn *c)
{
    size_t at = 0;
    bool is_partial_new = c->state != CONN_PARTIAL;

    for (size_t len = message_at(c, at); len != 0 && c->out_len == 0; len = message_at(c, at)) {
        if (len > QUERY_MAX || !answer_one(tcp, c, at + FRAME_LEN, len)) {
            return false;
        }
        at += FRAME_LEN + len;
        is_partial_new = true;
        if (!flush(c, message_at(c, at) != 0)) {
            return false;
        }
    }
    c->in_len -= at;
    memmove(c->in, c->in + at, c->in_len);
    if (c->out_len != 0) {
        enter(tcp, c, CONN_WRITING);
    } else if (c->in_len == 0) {
        enter(tcp, c, CONN_IDLE);
    } else if (is_partial_new) {
        enter(tcp, c, CONN_PARTIAL);
    }
    return true;
}

/* One event: what it leads to. False: to be closed. */
static bool step(struct dns_tcp *tcp, struct tcp_conn *c)
{
    if (c->state == CONN_WRITING) {
        if (!flush(c, false)) {
            return false;
        }
        return c->out_len != 0 || work(tcp, c);
    }
    ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, 0);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    c->in_len += (size_t)n;
    return n != 0 && work(tcp, c);
}

static void listen_to(struct dns_tcp *tcp, bool is_on)
{
    for (size_t i = 0; i < tcp->listeners_n; i++) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                 .data.ptr = &tcp->listeners[i]};
        if (tcp->listeners[i] >= 0) {
            (void)epoll_ctl(tcp->epoll_fd, is_on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, tcp->listeners[i],
                            &ev);
        }
    }
    tcp->is_paused = !is_on;
}

/* Takes the socket. */
static void add_conn(struct dns_tcp *tcp, int fd)
{
    uint32_t before = atomic_fetch_add(tcp->connections_n, 1);
    if (before >= DNS_TCP_CONNECTIONS_MAX && tcp->oldest != NULL) {
        close_conn(tcp, tcp->oldest);
        before--;
    }
    struct tcp_conn *c =
        before < DNS_TCP_CONNECTIONS_MAX ? mem_zalloc(sizeof(struct tcp_conn)) : NULL;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (c == NULL || epoll_ctl(tcp->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
        mem_free(c);
        (void)close(fd);
        atomic_fetch_sub(tcp->connections_n, 1);
        return;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    c->fd = fd;
    link_newest(tcp, c);
    enter(tcp, c, CONN_IDLE);
}

static void accept_some(struct dns_tcp *tcp, int listener)
{
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            add_conn(tcp, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            if (tcp->oldest != NULL) {
                close_conn(tcp, tcp->oldest);
            }
            listen_to(tcp, false); /* the listener stays readable: do not spin */
        }
        return;
    }
}

static void close_late(struct dns_tcp *tcp, int64_t now_ms)
{
    struct tcp_conn *c = tcp->oldest;

    while (c != NULL) {
        struct tcp_conn *next = c->newer;
        if (c->deadline_ms <= now_ms) {
            close_conn(tcp, c);
        }
        c = next;
    }
}

static bool is_listener(const struct dns_tcp *tcp, const void *tag)
{
    for (size_t i = 0; i < tcp->listeners_n; i++) {
        if (tag == &tcp->listeners[i]) {
            return true;
        }
    }
    return false;
}

/* False: time to stop. */
static bool handle(struct dns_tcp *tcp, const struct epoll_event *ev)
{
    if (ev->data.ptr == &tcp->stop_fd) {
        return false;
    }
    if (is_listener(tcp, ev->data.ptr)) {
        if (!tcp->is_paused) {
            accept_some(tcp, *(const int *)ev->data.ptr);
        }
        return true;
    }
    struct tcp_conn *c = ev->data.ptr;
    if (c->fd >= 0 && !step(tcp, c)) {
        close_conn(tcp, c);
    }
    return true;
}

void *dns_tcp_main(void *arg)
{
    struct dns_tcp *tcp = arg;
    struct epoll_event events[EVENTS_MAX];
    int64_t tick_ms = 0;

    for (bool is_running = true; is_running;) {
        bool is_ticking = tcp->oldest != NULL || tcp->is_paused;
        int n = epoll_wait(tcp->epoll_fd, events, EVENTS_MAX, is_ticking ? TICK_MS : -1);
        for (int i = 0; i < n && is_running; i++) {
            is_running = handle(tcp, &events[i]);
        }
        int64_t now_ms = clock_mono_ms();
        if (is_ticking && now_ms >= tick_ms) {
            tick_ms = now_ms + TICK_MS;
            close_late(tcp, now_ms);
            if (tcp->is_paused) {
                listen_to(tcp, true);
            }
        }
        free_dead(tcp);
    }
    return NULL;
}

struct err dns_tcp_init(struct dns_tcp *tcp, struct zone_db *zones, int *listeners,
                        size_t listeners_n, _Atomic uint32_t *connections_n)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &tcp->stop_fd};

    tcp->listeners = listeners;
    tcp->listeners_n = listeners_n;
    tcp->connections_n = connections_n;
    TRY(zone_reader_new(zones, &tcp->reader));
    tcp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    tcp->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (tcp->epoll_fd < 0 || tcp->stop_fd < 0 ||
        epoll_ctl(tcp->epoll_fd, EPOLL_CTL_ADD, tcp->stop_fd, &ev) != 0) {
        FAIL(ERR_IO, "dns: epoll: %s", err_errno_text(errno));
    }
    listen_to(tcp, true);
    return err_ok();
}

void dns_tcp_wake(struct dns_tcp *tcp)
{
    uint64_t one = 1;

    (void)!write(tcp->stop_fd, &one, sizeof(one));
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void dns_tcp_clear(struct dns_tcp *tcp)
{
    while (tcp->oldest != NULL) {
        close_conn(tcp, tcp->oldest);
    }
    free_dead(tcp);
    close_fd(&tcp->epoll_fd);
    close_fd(&tcp->stop_fd);
    zone_reader_free(MOVE(tcp->reader));
}
