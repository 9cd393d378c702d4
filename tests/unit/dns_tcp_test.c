/* Connections one by one; dns_tcp_crowd_test.c has many of them. */
#include "tests/unit/dns_server_world.h"

/* Questions are answered while a request of the same connection is under way. */
static void test_out_of_order(void **state)
{
    struct world *w = open_world("127.0.0.1:0", echo, NULL);
    int fd = dial_tcp(w);
    uint8_t query[512];
    uint8_t stream[64 * 100];
    uint8_t out[2048];
    size_t len = 0;

    (void)state;
    size_t n = make_update(0x1234, query);
    len = frame(query, n, stream);
    for (unsigned i = 0; i < 99; i++) {
        n = make_query("a.svc.test", A, query);
        query[1] = (uint8_t)i;
        len += frame(query, n, stream + len);
    }
    send_all(fd, stream, len); /* 100 in one segment */
    for (unsigned i = 0; i < 99; i++) {
        assert_true(read_frame(fd, out) > 12);
        assert_int_equal(out[0], 0xbe);
        assert_int_equal(out[1], i);
    }
    open_gate(w);
    assert_int_equal(read_frame(fd, out), make_update(0x1234, query));
    assert_int_equal(out[0] << 8 | out[1], 0x1234);
    assert_serves(fd);
    (void)close(fd);
    close_world(w);
}

/* No more than so many requests of one connection at a time; the rest waits and is answered. */
static void test_under_way_limit(void **state)
{
    enum { N = 300 };
    struct world *w = open_world("127.0.0.1:0", echo, NULL);
    int fd = dial_tcp(w);
    int other = dial_tcp(w);
    uint8_t query[512];
    uint8_t stream[N * 64];
    uint8_t out[2048];
    bool seen[N] = {false};
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < N; i++) {
        len += frame(query, make_update(i, query), stream + len);
    }
    send_all(fd, stream, len);
    while (count_of(w).work < DNS_TCP_UNDER_WAY_MAX) {
        (void)sched_yield();
    }
    for (unsigned i = 0; i < 20; i++) {
        assert_serves(other); /* the thread goes on */
    }
    assert_int_equal(count_of(w).work, DNS_TCP_UNDER_WAY_MAX);
    clock_shift(60 * 1000); /* who is worked for is not idle */
    for (unsigned i = 0; i < 3; i++) {
        int late = dial_tcp(w);
        assert_serves(late);
        (void)close(late);
    }
    open_gate(w);
    for (unsigned i = 0; i < N; i++) {
        assert_true(read_frame(fd, out) > 12);
        size_t id = (size_t)out[0] << 8 | out[1];
        assert_true(id < N && !seen[id]);
        seen[id] = true;
    }
    assert_serves(fd);
    (void)close(fd);
    (void)close(other);
    close_world(w);
}

static void reset(int fd)
{
    struct linger now = {1, 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    (void)close(fd);
}

/* A connection that is gone swallows the answer. */
static void test_closed_under_way(void **state)
{
    struct world *w = open_world("127.0.0.1:0", echo, NULL);
    int fd = dial_tcp(w);
    uint8_t query[512];

    (void)state;
    send_framed(fd, query, make_update(1, query));
    wait_until(w, &w->inside, 1);
    reset(fd);
    while (count_of(w).tcp_connections != 0) {
        (void)sched_yield();
    }
    open_gate(w);
    wait_until(w, &w->ended, 1);
    assert_int_equal(w->sent, ERR_NOT_FOUND);
    fd = dial_tcp(w);
    assert_serves(fd);
    (void)close(fd);
    close_world(w);
}

/* A peer that has said all still hears its answers, then the connection ends. */
static void test_half_closed(void **state)
{
    struct world *w = open_world("127.0.0.1:0", echo, NULL);
    int fd = dial_tcp(w);
    uint8_t query[512];
    uint8_t out[2048];

    (void)state;
    send_framed(fd, query, make_update(1, query));
    send_framed(fd, query, make_query("svc.test", SOA, query));
    send_all(fd, (const uint8_t *)"\0", 1); /* and a message that never comes */
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(read_frame(fd, out) > 12);
    wait_until(w, &w->inside, 1);
    open_gate(w);
    assert_true(read_frame(fd, out) > 12);
    assert_int_equal(out[1], 1);
    assert_int_equal(recv(fd, out, 1, 0), 0);
    (void)close(fd);
    close_world(w);
}

/* The server goes while requests are under way: they end without it. */
static void test_server_goes_first(void **state)
{
    struct world *w = open_world("127.0.0.1:0", echo, NULL);
    int fd = dial_tcp(w);
    int udp = dial_from(w, NULL, "127.0.0.1", SOCK_DGRAM);
    uint8_t query[512];
    uint8_t out[512];
    size_t n = make_update(1, query);

    (void)state;
    send_framed(fd, query, n);
    wait_until(w, &w->inside, 1);
    assert_int_equal(send(udp, query, n, 0), (ssize_t)n);
    wait_until(w, &w->inside, 2);
    dns_server_free(w->server);
    w->server = NULL;
    assert_true(recv(fd, out, sizeof(out), 0) <= 0);
    open_gate(w);
    wait_until(w, &w->ended, 2);
    assert_int_equal(recv(udp, out, sizeof(out), 0), (ssize_t)n); /* UDP answers are kept */
    (void)close(fd);
    (void)close(udp);
    close_world(w);
}

/* 65,535 octets in and out, in every portion. */
static void test_longest_message(void **state)
{
    static const size_t portions[] = {1 << 20, 40000, 5000, 97};
    struct world *w = open_world("127.0.0.1:0", echo, NULL);
    uint8_t *message = mem_zalloc(2 + DNS_TCP_MAX);
    uint8_t *out = mem_zalloc(DNS_TCP_MAX);
    int fd = dial_tcp(w);

    (void)state;
    assert_non_null(message);
    assert_non_null(out);
    open_gate(w);
    message[0] = message[1] = 0xff;
    for (size_t i = make_update(7, message + 2); i < DNS_TCP_MAX; i++) {
        message[2 + i] = (uint8_t)(i * 31);
    }
    for (size_t i = 0; i < ARRAY_N(portions); i++) {
        for (size_t at = 0; at < 2 + DNS_TCP_MAX;) {
            size_t left = 2 + DNS_TCP_MAX - at;
            size_t n = left < portions[i] ? left : portions[i];
            send_all(fd, message + at, n);
            at += n;
        }
        assert_int_equal(read_frame(fd, out), DNS_TCP_MAX);
        out[2] &= 0x7f;
        assert_memory_equal(out, message + 2, DNS_TCP_MAX);
        assert_serves(fd);
    }
    mem_free(message);
    mem_free(out);
    (void)close(fd);
    close_world(w);
}

enum { PARTS = 200, PART_LEN = 60000 };

/* Many long messages: the sender waits for the peer. */
static void transfer(void *ctx, struct dns_request *request)
{
    struct world *w = ctx;

    for (unsigned i = 0; i < PARTS; i++) {
        w->echo[0] = (uint8_t)i;
        if (dns_request_send(request, w->echo, PART_LEN).code != ERR_OK ||
            !dns_request_wait(request, PART_LEN)) {
            break;
        }
    }
    dns_request_end(request);
    (void)pthread_mutex_lock(&w->lock);
    w->ended++;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

static void test_transfer(void **state)
{
    struct world *w = open_world("127.0.0.1:0", transfer, NULL);
    int fd = dial_tcp(w);
    uint8_t query[512];
    uint8_t *out = mem_zalloc(DNS_TCP_MAX);

    (void)state;
    assert_non_null(out);
    send_framed(fd, query, make_update(1, query));
    for (unsigned i = 0; i < PARTS; i++) {
        assert_int_equal(read_frame(fd, out), PART_LEN);
        assert_int_equal(out[0], i);
    }
    assert_serves(fd);
    send_framed(fd, query, make_update(1, query)); /* cut in the middle */
    assert_int_equal(read_frame(fd, out), PART_LEN);
    reset(fd);
    wait_until(w, &w->ended, 2);
    mem_free(out);
    close_world(w);
}

/* One that does not wait for a peer that does not read. */
static void flood(void *ctx, struct dns_request *request)
{
    struct world *w = ctx;
    struct err e = err_ok();

    for (unsigned i = 0; i < 10000 && e.code == ERR_OK; i++) {
        e = dns_request_send(request, w->echo, DNS_TCP_MAX);
    }
    dns_request_end(request);
    (void)pthread_mutex_lock(&w->lock);
    w->sent = e.code;
    w->ended++;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

static void test_sender_that_does_not_wait(void **state)
{
    struct world *w = open_world("127.0.0.1:0", flood, NULL);
    int fd = dial_tcp(w);
    uint8_t query[512];

    (void)state;
    send_framed(fd, query, make_update(1, query));
    wait_until(w, &w->ended, 1);
    assert_int_equal(w->sent, ERR_NOT_FOUND);
    while (count_of(w).tcp_connections != 0) {
        (void)sched_yield();
    }
    (void)close(fd);
    close_world(w);
}

/* Until the server has closed: nothing is read, so that nothing moves. */
static void wait_closed(struct world *w)
{
    while (count_of(w).tcp_connections != 0) {
        (void)sched_yield();
    }
}

/* An octet now and then does not keep a connection. */
static void test_octet_a_second(void **state)
{
    static const size_t lengths[] = {100, 60000};
    struct world *w = open_world("127.0.0.1:0", NULL, NULL);

    (void)state;
    for (size_t i = 0; i < ARRAY_N(lengths); i++) {
        int fd = dial_tcp(w);
        const uint8_t head[2] = {(uint8_t)(lengths[i] >> 8), (uint8_t)lengths[i]};
        uint8_t byte = 0;
        unsigned sent = 0;
        ssize_t got = -1;
        assert_serves(fd);
        send_all(fd, head, sizeof(head));
        patience(fd, 300); /* longer than the server's tick */
        while (got < 0 && errno != ECONNRESET) {
            assert_true(sent < 30);
            sent += send(fd, &byte, 1, MSG_NOSIGNAL) == 1;
            clock_shift(2000);
            errno = 0;
            got = recv(fd, &byte, 1, 0);
        }
        assert_true(got <= 0);
        (void)close(fd);
    }
    close_world(w);
}

/* A peer that asks and does not read: held back, and closed when it took no whole answer in time. */
static void test_no_reader(void **state)
{
    struct world *w = open_world("127.0.0.1:0", NULL, NULL);
    int fd = dial_tcp(w);
    uint8_t query[512];
    uint8_t framed[514];
    size_t n = make_query("x.svc.test.acme.svc.test", TXT, query);

    (void)state;
    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        struct zone_value v = make_value(i, "a");
        assert_int_equal(zone_value_add(w->db, "x.svc.test.acme.svc.test", &v, i).code, ERR_OK);
    }
    n = frame(query, n, framed);
    for (size_t at = 0;;) { /* until neither side's buffers take more */
        ssize_t got = send(fd, framed + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (got < 0) {
            break;
        }
        at = (at + (size_t)got) % n;
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(count_of(w).tcp_connections, 1);
    clock_shift((DNS_TCP_WRITE_S + 1) * 1000);
    wait_closed(w);
    (void)close(fd);
    close_world(w);
}

static void test_idle(void **state)
{
    struct world *w = open_world("127.0.0.1:0", NULL, NULL);
    int fd = dial_tcp(w);

    (void)state;
    clock_shift((DNS_TCP_IDLE_S - 5) * 1000);
    assert_serves(fd); /* and again from the beginning */
    clock_shift((DNS_TCP_IDLE_S - 5) * 1000);
    assert_serves(fd);
    clock_shift((DNS_TCP_IDLE_S + 1) * 1000);
    wait_closed(w);
    (void)close(fd);
    close_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_under_way_limit),
        cmocka_unit_test(test_closed_under_way),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_server_goes_first),
        cmocka_unit_test(test_longest_message),
        cmocka_unit_test(test_transfer),
        cmocka_unit_test(test_sender_that_does_not_wait),
        cmocka_unit_test(test_octet_a_second),
        cmocka_unit_test(test_no_reader),
        cmocka_unit_test(test_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
