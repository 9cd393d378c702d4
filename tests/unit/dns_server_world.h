/* A DNS server on the loopback interface with everything that it may borrow, and sockets to ask it, for
 * the tests of its listeners: everything is static. */
#ifndef TESTS_UNIT_DNS_SERVER_WORLD_H
#define TESTS_UNIT_DNS_SERVER_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/rrl.h"
#include "dns/server.h"
#include "dns/work.h"
#include "tests/unit/dns_maker.h"

enum { A = 1, SOA = 6, TXT = 16 };

/* Requests go through `handle`, which may wait at the gate. */
struct world {
    struct zone_db *db;
    struct dns_server *server;
    struct work *work;
    struct ip_endpoint ep;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;           /* the gate */
    unsigned inside, ended; /* requests */
    enum err_code sent;     /* how the last one's answer went */
    uint64_t datagrams;     /* sent by send_datagram() */
    uint8_t echo[DNS_TCP_MAX];
};

/* The request comes back as its own answer, after the gate has opened. */
static inline void echo(void *ctx, struct dns_request *request)
{
    struct world *w = ctx;
    size_t *len = NULL;
    uint8_t *p = dns_request_bytes(request, &len);

    (void)pthread_mutex_lock(&w->lock);
    w->inside++;
    (void)pthread_cond_broadcast(&w->changed);
    while (!w->is_open) {
        (void)pthread_cond_wait(&w->changed, &w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
    p[2] |= 0x80;
    struct err e = dns_request_send(request, p, *len);
    dns_request_end(request);
    (void)pthread_mutex_lock(&w->lock);
    w->sent = e.code;
    w->ended++;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

static inline void open_gate(struct world *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->is_open = true;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

static inline void wait_until(struct world *w, const unsigned *what, unsigned n)
{
    (void)pthread_mutex_lock(&w->lock);
    while (*what < n) {
        (void)pthread_cond_wait(&w->changed, &w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

/* options: what else than zones, addresses and work (fn NULL: none); 1 TCP thread unless said. */
static inline struct world *open_world(const char *listen, work_fn fn,
                                       const struct dns_server_options *options)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    struct world *w = mem_zalloc(sizeof(*w));
    struct dns_server_options o = {.tcp_threads = 1};

    assert_non_null(w);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    assert_int_equal(zone_db_new(cfg, 100, &w->db).code, ERR_OK);
    config_free(cfg);
    assert_int_equal(ip_endpoint_parse(listen, 0, &w->ep).code, ERR_OK);
    if (options != NULL) {
        o = *options;
    }
    if (fn != NULL) {
        assert_int_equal(work_new(fn, w, &w->work).code, ERR_OK);
        assert_int_equal(work_start(w->work).code, ERR_OK);
    }
    o.zones = w->db;
    o.listen = &w->ep;
    o.listen_n = 1;
    o.udp_threads = 1;
    o.work = w->work;
    assert_int_equal(dns_server_open(&o, &w->server).code, ERR_OK);
    assert_int_equal(dns_server_start(w->server).code, ERR_OK);
    w->ep = dns_server_endpoint(w->server, 0);
    return w;
}

static inline void close_world(struct world *w)
{
    open_gate(w);
    dns_server_free(w->server);
    work_free(w->work);
    zone_db_free(w->db);
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

static inline struct dns_counters count_of(const struct world *w)
{
    struct dns_counters count;

    dns_server_counters(w->server, &count);
    return count;
}

/* Sends a question; returns when the server is done with all of them. */
static inline void send_datagram(struct world *w, int fd, const uint8_t *query, size_t len)
{
    assert_int_equal(send(fd, query, len, 0), (ssize_t)len);
    w->datagrams++;
    while (count_of(w).udp_queries < w->datagrams) {
        (void)sched_yield();
    }
}

static inline void patience(int fd, int ms)
{
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
}

/* A connected socket from `from` (NULL: any) to `to`, at the server's port. */
static inline int dial_from(const struct world *w, const char *from, const char *to, int type)
{
    struct ip_endpoint ep = w->ep;
    struct ip_endpoint own = {.port = 0};
    struct sockaddr_storage sa;

    assert_int_equal(ip_parse(to, &ep.addr).code, ERR_OK);
    socklen_t len = ip_endpoint_sockaddr(&ep, &sa);
    int fd = socket(sa.ss_family, type, 0);
    assert_true(fd >= 0);
    if (from != NULL) {
        struct sockaddr_storage own_sa;
        assert_int_equal(ip_parse(from, &own.addr).code, ERR_OK);
        socklen_t own_len = ip_endpoint_sockaddr(&own, &own_sa);
        assert_int_equal(bind(fd, (const struct sockaddr *)&own_sa, own_len), 0);
    }
    patience(fd, 20000);
    assert_int_equal(connect(fd, (const struct sockaddr *)&sa, len), 0);
    return fd;
}

static inline int dial_tcp(const struct world *w)
{
    return dial_from(w, NULL, "127.0.0.1", SOCK_STREAM);
}

/* An UPDATE, as far as the listeners look: for the work threads. out: 512 octets. */
static inline size_t make_update(unsigned id, uint8_t *out)
{
    size_t n = make_query("svc.test", SOA, out);

    out[0] = (uint8_t)(id >> 8);
    out[1] = (uint8_t)id;
    out[2] = 0x28;
    return n;
}

static inline size_t frame(const uint8_t *query, size_t n, uint8_t *out)
{
    out[0] = (uint8_t)(n >> 8);
    out[1] = (uint8_t)n;
    memcpy(out + 2, query, n);
    return n + 2;
}

static inline void send_all(int fd, const uint8_t *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t sent = send(fd, p + at, n - at, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += (size_t)sent;
    }
}

static inline void send_framed(int fd, const uint8_t *query, size_t n)
{
    uint8_t framed[514];

    send_all(fd, framed, frame(query, n, framed));
}

static inline void read_all(int fd, uint8_t *out, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = recv(fd, out + at, n - at, 0);
        assert_true(got > 0);
        at += (size_t)got;
    }
}

/* One framed answer; returns its length. */
static inline size_t read_frame(int fd, uint8_t *out)
{
    uint8_t len[2];

    read_all(fd, len, 2);
    size_t n = (size_t)len[0] << 8 | len[1];
    read_all(fd, out, n);
    return n;
}

/* Ask for svc.test's SOA over TCP and hear the answer. */
static inline void assert_serves(int fd)
{
    uint8_t query[512];
    uint8_t out[2048];

    send_framed(fd, query, make_query("svc.test", SOA, query));
    assert_true(read_frame(fd, out) > 12);
    assert_int_equal(out[7], 1);
}

/* As many descriptors as this process may have, at most `n`. */
static inline size_t descriptors(size_t n)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur < n ? (size_t)limit.rlim_cur : n;
}

#endif
