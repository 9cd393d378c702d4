/* Thousands of connections, and what each of them may hold. As many as this process may have. */
#include "dns/tcp_conn.h"
#include "tests/unit/dns_server_world.h"

#define SPARE 100u /* descriptors for everything else */

struct crowd {
    int *fds;
    size_t n, max;
    int64_t now_ms; /* time stands still: nobody is idle for too long on a slow machine */
};

static struct crowd make_crowd(size_t max)
{
    /* Both ends are ours. */
    size_t n = (descriptors(2 * max + SPARE) - SPARE) / 2;
    struct crowd c = {.fds = mem_array(n, sizeof(int)), .max = n, .now_ms = clock_mono_ms()};

    assert_non_null(c.fds);
    assert_true(n > 100);
    return c;
}

static void wait_accepted(const struct world *w, uint64_t n)
{
    while (count_of(w).tcp_accepted < n) {
        (void)sched_yield();
    }
}

static int join(struct crowd *c, const struct world *w, const char *from)
{
    assert_true(c->n < c->max);
    if (c->n % 50 == 0) {
        wait_accepted(w, c->n); /* none waits for a retransmission */
        clock_shift(c->now_ms - clock_mono_ms());
    }
    return c->fds[c->n++] = dial_from(w, from, "127.0.0.1", SOCK_STREAM);
}

static void leave(struct crowd *c)
{
    for (size_t i = 0; i < c->n; i++) {
        (void)close(c->fds[i]);
    }
    mem_free(c->fds);
}

static const char *address(size_t i)
{
    static char text[8][IP_TEXT_MAX];

    (void)snprintf(text[i % 8], IP_TEXT_MAX, "127.0.1.%u", (unsigned)(i % 8 + 1));
    return text[i % 8];
}

/* 2,000 that say nothing: they keep their places, and cost nothing that others need. */
static void test_idle_crowd(void **state)
{
    struct dns_server_options two = {.tcp_threads = 2};
    struct world *w = open_world("127.0.0.1:0", NULL, &two);
    struct crowd c = make_crowd(2001);

    (void)state;
    assert_true(sizeof(struct tcp_conn) <= 192);
    while (c.n + 1 < c.max) {
        (void)join(&c, w, address(c.n));
    }
    wait_accepted(w, c.n);
    int honest = join(&c, w, "127.0.0.1");
    for (unsigned i = 0; i < 50; i++) {
        assert_serves(honest);
    }
    assert_int_equal(count_of(w).tcp_connections, c.n);
    assert_int_equal(count_of(w).tcp_given_way, 0);
    for (size_t i = 0; i < c.n; i += 97) {
        assert_serves(c.fds[i]); /* they are all there */
    }
    leave(&c);
    close_world(w);
}

/* One address takes all it can get: others keep theirs, and its own quietest ones give way. */
static void test_share_per_address(void **state)
{
    enum { EXTRA = 150 };
    struct world *w = open_world("127.0.0.1:0", NULL, NULL);
    struct crowd c = make_crowd(DNS_TCP_CONNECTIONS_MAX / 2 + EXTRA + 1);

    (void)state;
    int honest = join(&c, w, "127.0.2.1");
    assert_serves(honest);
    while (c.n < c.max) {
        (void)join(&c, w, "127.0.2.2");
    }
    wait_accepted(w, c.n);
    size_t over = c.n > DNS_TCP_CONNECTIONS_MAX / 2 ? c.n - DNS_TCP_CONNECTIONS_MAX / 2 : 0;
    assert_int_equal(count_of(w).tcp_given_way, over);
    assert_int_equal(count_of(w).tcp_connections, c.n - over);
    assert_serves(honest); /* the quietest of all, but not of that address */
    assert_serves(c.fds[c.n - 1]);
    leave(&c);
    close_world(w);
}

/* A full table: the quietest gives way, whichever thread has it; who is busy stays. */
static void test_full_table(void **state)
{
    enum { EXTRA = 50 };
    struct dns_server_options two = {.tcp_threads = 2};
    struct world *w = open_world("127.0.0.1:0", NULL, &two);
    struct crowd c = make_crowd(DNS_TCP_CONNECTIONS_MAX + EXTRA);

    (void)state;
    while (c.n < c.max) {
        int fd = join(&c, w, address(c.n));
        if (c.n % 500 == 1) {
            assert_serves(fd);
        }
    }
    wait_accepted(w, c.n);
    size_t over = c.n > DNS_TCP_CONNECTIONS_MAX ? c.n - DNS_TCP_CONNECTIONS_MAX : 0;
    while (count_of(w).tcp_connections > c.n - over) { /* another thread may have to do it */
        (void)sched_yield();
    }
    assert_int_equal(count_of(w).tcp_given_way, over);
    assert_int_equal(count_of(w).tcp_connections, c.n - over);
    assert_serves(c.fds[c.n - 1]);
    leave(&c);
    close_world(w);
}

/* Long messages that never end: what they hold is bounded, and somebody else's long one gets through. */
static void test_buffers_are_bounded(void **state)
{
    enum { N = 700, PART = 60000 };
    struct world *w = open_world("127.0.0.1:0", echo, NULL);
    struct crowd c = make_crowd(N + 1);
    uint8_t *message = mem_zalloc(2 + DNS_TCP_MAX);
    uint8_t *out = mem_zalloc(DNS_TCP_MAX);

    (void)state;
    assert_non_null(message);
    assert_non_null(out);
    open_gate(w);
    message[0] = message[1] = 0xff;
    (void)make_update(7, message + 2);
    while (c.n + 1 < c.max) {
        int fd = join(&c, w, address(c.n));
        for (size_t at = 0; at < PART;) { /* some are closed while they send */
            ssize_t n = send(fd, message + at, PART - at, MSG_NOSIGNAL);
            if (n <= 0) {
                break;
            }
            at += (size_t)n;
        }
    }
    int honest = join(&c, w, "127.0.2.1");
    send_all(honest, message, 2 + DNS_TCP_MAX);
    assert_int_equal(read_frame(honest, out), DNS_TCP_MAX);
    if (c.n > N) {
        assert_true(count_of(w).tcp_given_way > 0);
    }
    mem_free(message);
    mem_free(out);
    leave(&c);
    close_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_crowd),
        cmocka_unit_test(test_share_per_address),
        cmocka_unit_test(test_full_table),
        cmocka_unit_test(test_buffers_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
