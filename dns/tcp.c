/* One TCP thread: an epoll loop over shared listeners, its own connections and the mail that other
 * threads leave for them. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/tcp_conn.h"

#include "core/util/mem.h"

#define TICK_MS 250
#define EVENTS_MAX 64
#define LOOK_MAX 64u /* so many connections are looked at for one that nobody works for */

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

void tcp_conn_touch(struct dns_tcp *tcp, struct tcp_conn *c)
{
    if (tcp->newest != c) {
        unlink_conn(tcp, c);
        link_newest(tcp, c);
    }
}

static void close_conn(struct dns_tcp *tcp, struct tcp_conn *c)
{
    struct dns_shared *shared = tcp->shared;

    (void)close(c->fd);
    c->fd = -1;
    tcp_conn_clear(tcp, c);
    unlink_conn(tcp, c);
    c->newer = tcp->dead;
    tcp->dead = c;
    atomic_fetch_sub(&shared->shares[c->share], 1);
    atomic_fetch_sub(&shared->connections_n, 1);
    atomic_fetch_sub(&tcp->connections_n, 1);
}

static void give_way(struct dns_tcp *tcp, struct tcp_conn *c)
{
    dns_count(&tcp->asker.count.given_way, 1);
    close_conn(tcp, c);
}

static void free_dead(struct dns_tcp *tcp)
{
    while (tcp->dead != NULL) {
        struct tcp_conn *c = tcp->dead;
        tcp->dead = c->newer;
        mem_free(c);
    }
}

/* The connection that was quiet for longest, if possible one that nobody works for. NULL: none. */
static struct tcp_conn *quietest(const struct dns_tcp *tcp)
{
    struct tcp_conn *c = tcp->oldest;

    for (unsigned i = 0; c != NULL && c->under_way > 0 && i < LOOK_MAX; i++) {
        c = c->newer;
    }
    return c != NULL && c->under_way == 0 ? c : tcp->oldest;
}

static bool is_same_network(const struct ip_addr *a, const struct ip_addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, a->family == 4 ? 4 : 8) == 0;
}

bool tcp_reserve(struct dns_tcp *tcp, const struct tcp_conn *c, size_t n)
{
    size_t max = DNS_TCP_BUFFERED_MAX / tcp->shared->tcp_n;

    while (tcp->buffered + n > max) {
        struct tcp_conn *most = NULL;
        size_t most_octets = 0;
        for (struct tcp_conn *o = tcp->oldest; o != NULL; o = o->newer) {
            size_t octets = o->in_cap + o->out.octets;
            if (o != c && octets > most_octets) {
                most = o;
                most_octets = octets;
            }
        }
        if (most == NULL || most_octets < c->in_cap + c->out.octets) {
            return false; /* the asker itself holds most */
        }
        give_way(tcp, most);
    }
    return true;
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

/* All threads together hold too many: the one with most gives one up. */
static void make_room(struct dns_tcp *tcp)
{
    struct dns_shared *shared = tcp->shared;
    struct dns_tcp *most = tcp;

    for (size_t i = 0; i < shared->tcp_n; i++) {
        if (atomic_load(&shared->tcp[i].connections_n) > atomic_load(&most->connections_n)) {
            most = &shared->tcp[i];
        }
    }
    if (most != tcp) {
        atomic_fetch_add(&most->give_way_n, 1);
        tcp_mail_wake(most->mail);
    } else if (tcp->oldest != NULL) {
        give_way(tcp, quietest(tcp));
    }
}

/* One address has a quarter of the places when half of them are taken: its own quietest connection
 * gives way, if this thread has one. False: refused. */
static bool has_share(struct dns_tcp *tcp, const struct ip_addr *peer, size_t share)
{
    const struct dns_shared *shared = tcp->shared;

    if (atomic_load(&shared->connections_n) < DNS_TCP_CONNECTIONS_MAX / 2 ||
        atomic_load(&shared->shares[share]) < DNS_TCP_CONNECTIONS_MAX / 4) {
        return true;
    }
    for (struct tcp_conn *c = tcp->oldest; c != NULL; c = c->newer) {
        if (is_same_network(&c->peer, peer)) {
            give_way(tcp, c);
            return true;
        }
    }
    return false;
}

static size_t share_of(const struct dns_shared *shared, const struct ip_addr *peer)
{
    uint64_t h = 0;

    for (size_t i = 0; i < (peer->family == 4 ? 4 : 8); i++) {
        h = h << 8 | peer->bytes[i];
    }
    h = (h ^ shared->share_seed) * UINT64_C(0x9e3779b97f4a7c15);
    return (h ^ h >> 32) % DNS_TCP_SHARES_N;
}

/* Takes the socket. */
static void add_conn(struct dns_tcp *tcp, int fd, const struct ip_addr *peer)
{
    struct dns_shared *shared = tcp->shared;
    size_t share = share_of(shared, peer);
    struct tcp_conn *c = has_share(tcp, peer, share) ? mem_zalloc(sizeof(struct tcp_conn)) : NULL;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

    if (c == NULL || epoll_ctl(tcp->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
        mem_free(c);
        (void)close(fd);
        return;
    }
    if (atomic_fetch_add(&shared->connections_n, 1) >= DNS_TCP_CONNECTIONS_MAX) {
        make_room(tcp); /* one for each that is too many */
    }
    atomic_fetch_add(&tcp->connections_n, 1);
    atomic_fetch_add(&shared->shares[share], 1);
    c->fd = fd;
    c->peer = *peer;
    c->share = (uint16_t)share;
    c->events = EPOLLIN;
    c->state = TCP_IDLE;
    c->deadline_ms = tcp->asker.now_ms + DNS_TCP_IDLE_S * INT64_C(1000);
    link_newest(tcp, c);
    dns_count(&tcp->asker.count.accepted, 1);
}

static void accept_some(struct dns_tcp *tcp, int listener)
{
    for (unsigned i = 0; i < EVENTS_MAX; i++) {
        struct sockaddr_storage sa;
        socklen_t sa_len = sizeof(sa);
        int fd = accept4(listener, (struct sockaddr *)&sa, &sa_len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct ip_addr peer = ip_from_sockaddr((const struct sockaddr *)&sa);
            add_conn(tcp, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            if (tcp->oldest != NULL) {
                give_way(tcp, quietest(tcp));
            }
            listen_to(tcp, false); /* the listener stays readable: do not spin */
        }
        return;
    }
}

static void close_late(struct dns_tcp *tcp)
{
    struct tcp_conn *c = tcp->oldest;

    while (c != NULL) {
        struct tcp_conn *next = c->newer;
        if (c->deadline_ms <= tcp->asker.now_ms) {
            close_conn(tcp, c);
        }
        c = next;
    }
}

static void read_mail(struct dns_tcp *tcp)
{
    tcp_mail_drain(tcp->mail);
    for (uint32_t n = atomic_exchange(&tcp->give_way_n, 0); n > 0 && tcp->oldest != NULL; n--) {
        give_way(tcp, quietest(tcp));
    }
    for (struct tcp_link *link = tcp_mail_next(tcp->mail); link != NULL;
         link = tcp_mail_next(tcp->mail)) {
        struct tcp_conn *c = tcp_link_conn(link);
        if (c != NULL && !tcp_conn_mail(tcp, c)) {
            close_conn(tcp, c);
        }
        tcp_link_unref(link);
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

static void handle(struct dns_tcp *tcp, const struct epoll_event *ev)
{
    if (ev->data.ptr == tcp->mail) {
        read_mail(tcp);
        return;
    }
    if (is_listener(tcp, ev->data.ptr)) {
        if (!tcp->is_paused) {
            accept_some(tcp, *(const int *)ev->data.ptr);
        }
        return;
    }
    struct tcp_conn *c = ev->data.ptr;
    if (c->fd >= 0 && !tcp_conn_step(tcp, c, ev->events)) {
        close_conn(tcp, c);
    }
}

void *dns_tcp_main(void *arg)
{
    struct dns_tcp *tcp = arg;
    struct epoll_event events[EVENTS_MAX];
    int64_t tick_ms = 0;

    while (!atomic_load_explicit(&tcp->shared->is_stopping, memory_order_acquire)) {
        bool is_ticking = tcp->oldest != NULL || tcp->is_paused;
        int n = epoll_wait(tcp->epoll_fd, events, EVENTS_MAX, is_ticking ? TICK_MS : -1);
        dns_asker_tick(&tcp->asker);
        for (int i = 0; i < n; i++) {
            handle(tcp, &events[i]);
        }
        if (is_ticking && tcp->asker.now_ms >= tick_ms) {
            tick_ms = tcp->asker.now_ms + TICK_MS;
            close_late(tcp);
            if (tcp->is_paused) {
                listen_to(tcp, true);
            }
        }
        free_dead(tcp);
    }
    return NULL;
}

struct err dns_tcp_init(struct dns_tcp *tcp, struct dns_shared *shared, int *listeners,
                        size_t listeners_n)
{
    tcp->shared = shared;
    tcp->listeners = listeners;
    tcp->listeners_n = listeners_n;
    TRY(dns_asker_init(&tcp->asker, shared));
    TRY(tcp_mail_new(&tcp->mail));
    tcp->in = mem_zalloc(TCP_IN_SCRATCH);
    TRY_PTR(tcp->in);
    tcp->out = mem_zalloc(TCP_OUT_SCRATCH);
    TRY_PTR(tcp->out);
    tcp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = tcp->mail};
    if (tcp->epoll_fd < 0 ||
        epoll_ctl(tcp->epoll_fd, EPOLL_CTL_ADD, tcp_mail_fd(tcp->mail), &ev) != 0) {
        FAIL(ERR_IO, "dns: epoll: %s", err_errno_text(errno));
    }
    listen_to(tcp, true);
    return err_ok();
}

void dns_tcp_wake(struct dns_tcp *tcp)
{
    tcp_mail_wake(tcp->mail);
}

void dns_tcp_clear(struct dns_tcp *tcp)
{
    while (tcp->oldest != NULL) {
        close_conn(tcp, tcp->oldest);
    }
    free_dead(tcp);
    if (tcp->epoll_fd >= 0) {
        (void)close(tcp->epoll_fd);
        tcp->epoll_fd = -1;
    }
    tcp_mail_close(MOVE(tcp->mail));
    mem_freep(&tcp->in);
    mem_freep(&tcp->out);
    dns_asker_clear(&tcp->asker);
}
