/* What keeps the UDP listeners from being anybody's amplifier. */
#include "dns/forward.h"
#include "tests/unit/dns_server_world.h"

bool forward_is_allowed(const struct forward *forward, const struct ip_addr *peer)
{
    (void)forward;
    return peer->bytes[3] == 1;
}

/* The question comes back as its own answer. */
void forward_ask(struct forward *forward, struct dns_request *request)
{
    size_t *len = NULL;
    uint8_t *p = dns_request_bytes(request, &len);

    (void)forward;
    p[2] |= 0x80;
    assert_int_equal(dns_request_send(request, p, *len).code, ERR_OK);
    dns_request_end(request);
}

struct heard {
    unsigned whole, slipped;
};

/* Sends n questions, then hears what came. */
static struct heard ask_many(struct world *w, int fd, const uint8_t *query, size_t len, unsigned n)
{
    struct heard heard = {0, 0};
    uint8_t out[2048];

    for (unsigned i = 0; i < n; i++) {
        send_datagram(w, fd, query, len);
    }
    for (;;) {
        ssize_t got = recv(fd, out, sizeof(out), MSG_DONTWAIT);
        if (got < 0) {
            return heard;
        }
        if ((out[2] & 2) == 0) {
            heard.whole++;
            continue;
        }
        heard.slipped++; /* the question alone */
        assert_true((size_t)got <= len);
        assert_int_equal(out[5], 1);
        for (size_t i = 6; i < 12; i++) {
            assert_int_equal(out[i], 0);
        }
    }
}

static void test_rate_limit(void **state)
{
    static const struct {
        const char *name;
        bool has_edns;
    } rows[] = {{"a.svc.test", false},
                {"a.svc.test", true},
                {"nobodys.example", false}, /* refusals count as well */
                {"www.example.org", true}}; /* forwarded */
    uint8_t query[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct dns_server_options o = {.tcp_threads = 1};
        int forwarder = 0;
        o.forward = i == 3 ? (struct forward *)(void *)&forwarder : NULL;
        assert_int_equal(rrl_new(1, &o.rrl).code, ERR_OK);
        struct world *w = open_world("127.0.0.1:0", NULL, &o);
        int fd = dial_from(w, "127.0.0.1", "127.0.0.1", SOCK_DGRAM);
        int tcp = dial_tcp(w);
        size_t n = make_query(rows[i].name, A, query);
        n = rows[i].has_edns ? make_edns(query, n, 1232, 0, 0) : n;
        struct heard heard = ask_many(w, fd, query, n, 30);
        struct dns_counters count = count_of(w);
        assert_true(heard.whole >= 1 && heard.whole < 30);
        assert_int_equal(count.slipped, heard.slipped);
        assert_int_equal(count.rate_limited, 30 - heard.whole - heard.slipped);
        assert_true(count.slipped - count.rate_limited <= 1); /* in turns, the first one slips */
        for (unsigned k = 0; k < 20; k++) {
            assert_serves(tcp); /* who connects is who he says */
        }
        (void)close(fd);
        (void)close(tcp);
        close_world(w);
        rrl_free(o.rrl);
    }
}

static void refuse(void *ctx, struct dns_request *request)
{
    size_t *len = NULL;
    uint8_t *p = dns_request_bytes(request, &len);
    bool is_error = p[1] == 1;

    (void)ctx;
    p[2] |= 0x80;
    p[3] = is_error ? 9 : 6; /* NOTAUTH; YXDOMAIN, which only a good signature gets */
    assert_int_equal(dns_request_send(request, p, *len).code, ERR_OK);
    dns_request_end(request);
}

/* What work threads refuse is limited, what a signature paid for is not. */
static void test_rate_limit_of_requests(void **state)
{
    struct dns_server_options o = {.tcp_threads = 1};
    uint8_t query[512];
    uint8_t out[512];

    (void)state;
    assert_int_equal(rrl_new(1, &o.rrl).code, ERR_OK);
    struct world *w = open_world("127.0.0.1:0", refuse, &o);
    int fd = dial_from(w, NULL, "127.0.0.1", SOCK_DGRAM);
    for (unsigned i = 0; i < 20; i++) {
        size_t n = make_update(2, query);
        assert_int_equal(send(fd, query, n, 0), (ssize_t)n);
        assert_int_equal(recv(fd, out, sizeof(out), 0), (ssize_t)n);
    }
    size_t n = make_update(1, query);
    for (uint64_t i = 21; count_of(w).rate_limited == 0; i++) {
        assert_true(i < 1000);
        assert_int_equal(send(fd, query, n, 0), (ssize_t)n);
        while (count_of(w).udp_answers + count_of(w).rate_limited < i) {
            (void)sched_yield();
        }
    }
    (void)close(fd);
    close_world(w);
    rrl_free(o.rrl);
}

/* --- cookies ---------------------------------------------------------------------------------- */
/* A question with a COOKIE option of cookie_len octets. RFC 7873 §4 */
static size_t make_cookie_query(const uint8_t *cookie, size_t cookie_len, uint8_t *query)
{
    size_t n = make_edns(query, make_query("a.svc.test", A, query), 1232, 0, 0);

    query[n - 1] = (uint8_t)(4 + cookie_len);
    query[n++] = 0;
    query[n++] = 10;
    query[n++] = 0;
    query[n++] = (uint8_t)cookie_len;
    memcpy(query + n, cookie, cookie_len);
    return n + cookie_len;
}

static void test_cookies(void **state)
{
    struct dns_server_options o = {.tcp_threads = 1, .has_cookies = true};
    uint8_t cookie[24] = "clientco";
    uint8_t old[24];
    uint8_t query[512];
    uint8_t out[512];

    (void)state;
    assert_int_equal(rrl_new(1, &o.rrl).code, ERR_OK);
    struct world *w = open_world("127.0.0.1:0", NULL, &o);
    int fd = dial_from(w, NULL, "127.0.0.1", SOCK_DGRAM);
    for (unsigned day = 0; day < 4; day++) {
        size_t n = make_cookie_query(cookie, 8, query);
        ssize_t got = -1;
        while (got < (ssize_t)sizeof(cookie) || (out[2] & 2) != 0) { /* not limited, for once */
            clock_shift(1500);
            send_datagram(w, fd, query, n);
            got = recv(fd, out, sizeof(out), MSG_DONTWAIT);
        }
        memcpy(cookie, out + got - 24, 24);
        assert_memory_equal(cookie, "clientco", 8);
        assert_true(day == 0 || memcmp(cookie, old, 24) != 0);
        n = make_cookie_query(cookie, 24, query);
        struct heard heard = ask_many(w, fd, query, n, 20);
        assert_int_equal(heard.whole, 20); /* with a good one there is no limit */
        memcpy(old, cookie, sizeof(old));
        clock_shift(24 * 3600 * INT64_C(1000)); /* another secret */
    }
    (void)close(fd);
    close_world(w);
    rrl_free(o.rrl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_rate_limit_of_requests),
        cmocka_unit_test(test_cookies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
