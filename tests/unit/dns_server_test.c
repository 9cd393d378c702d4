#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/server.h"
#include "tests/unit/dns_maker.h"

enum { A = 1, SOA = 6, TXT = 16 };

struct fixture {
    struct zone_db *db;
    struct dns_server *server;
    struct ip_endpoint ep;
};

static struct fixture open_fixture(const char *listen)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    struct fixture f = {NULL, NULL, {{0, {0}}, 0}};

    assert_int_equal(zone_db_new(cfg, 100, &f.db).code, ERR_OK);
    assert_int_equal(ip_endpoint_parse(listen, 0, &f.ep).code, ERR_OK);
    assert_int_equal(dns_server_bind(f.db, &f.ep, 1, 2, 2, &f.server).code, ERR_OK);
    assert_int_equal(dns_server_start(f.server).code, ERR_OK);
    f.ep = dns_server_endpoint(f.server, 0);
    assert_int_not_equal(f.ep.port, 0);
    config_free(cfg);
    return f;
}

static void close_fixture(struct fixture *f)
{
    dns_server_free(f->server);
    zone_db_free(f->db);
}

/* A connected socket to `to` (another address than the endpoint's when that is a wildcard). */
static int dial(const struct fixture *f, const char *to, int type)
{
    struct ip_endpoint ep = f->ep;
    struct sockaddr_storage sa;
    struct timeval patience = {10, 0};

    assert_int_equal(ip_parse(to, &ep.addr).code, ERR_OK);
    socklen_t len = ip_endpoint_sockaddr(&ep, &sa);
    int fd = socket(sa.ss_family, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&sa, len), 0);
    return fd;
}

static size_t frame(const uint8_t *query, size_t n, uint8_t *out)
{
    out[0] = (uint8_t)(n >> 8);
    out[1] = (uint8_t)n;
    memcpy(out + 2, query, n);
    return n + 2;
}

static void read_all(int fd, uint8_t *out, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = recv(fd, out + at, n - at, 0);
        assert_true(got > 0);
        at += (size_t)got;
    }
}

/* One framed answer; returns its length. */
static size_t read_frame(int fd, uint8_t *out)
{
    uint8_t len[2];

    read_all(fd, len, 2);
    size_t n = (size_t)len[0] << 8 | len[1];
    read_all(fd, out, n);
    return n;
}

static void test_port_in_use(void **state)
{
    struct fixture f = open_fixture("127.0.0.1:0");
    struct dns_server *second = NULL;

    (void)state;
    assert_int_equal(dns_server_bind(f.db, &f.ep, 1, 1, 1, &second).code, ERR_BUSY);
    assert_non_null(strstr(err_trace()->text, "127.0.0.1:"));
    assert_null(second);
    close_fixture(&f);

    struct ip_endpoint foreign = f.ep; /* 192.0.2.0/24 is nobody's (RFC 5737 §3) */
    assert_int_equal(ip_parse("192.0.2.1", &foreign.addr).code, ERR_OK);
    struct config *cfg = make_config(MAKER_CONFIG);
    assert_int_equal(zone_db_new(cfg, 1, &f.db).code, ERR_OK);
    assert_int_equal(dns_server_bind(f.db, &foreign, 1, 1, 1, &second).code, ERR_IO);
    assert_int_equal(dns_server_bind(f.db, &foreign, 0, 1, 1, &second).code, ERR_CONFIG);
    zone_db_free(f.db);
    config_free(cfg);
    dns_server_free(NULL);
}

static void test_udp(void **state)
{
    static const struct {
        const char *listen, *ask;
    } rows[] = {{"127.0.0.1:0", "127.0.0.1"},
                {"0.0.0.0:0", "127.0.0.1"},
                {"0.0.0.0:0", "127.0.0.77"}, /* a connected socket hears that address only */
                {"[::1]:0", "::1"},
                {"[::]:0", "::1"}};
    uint8_t query[512];
    uint8_t out[2048];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct fixture f = open_fixture(rows[i].listen);
        int fd = dial(&f, rows[i].ask, SOCK_DGRAM);
        /* Garbage first: a runt, a response, one too long to be a query. */
        memset(query, 0xff, sizeof(query));
        assert_int_equal(send(fd, query, 3, 0), 3);
        assert_int_equal(send(fd, query, 20, 0), 20);
        memset(out, 0, sizeof(out));
        uint8_t *huge = mem_zalloc(3000);
        assert_non_null(huge);
        assert_int_equal(send(fd, huge, 3000, 0), 3000);
        mem_free(huge);
        size_t n = make_query("a.svc.test", A, query);
        for (unsigned k = 0; k < 100; k++) {
            query[1] = (uint8_t)k;
            assert_int_equal(send(fd, query, n, 0), (ssize_t)n);
            ssize_t got = recv(fd, out, sizeof(out), 0);
            assert_int_equal(got, (ssize_t)n + 32);
            assert_memory_equal(out, query, 2);
        }
        struct dns_counters count;
        (void)close(fd);
        struct zone_db *db = f.db;
        dns_server_counters(f.server, &count);
        assert_true(count.udp_answers <= count.udp_queries);
        assert_true(count.udp_answers >= 99); /* the last one is counted after it was sent */
        assert_int_equal(count.dropped, 3);
        dns_server_free(f.server);
        zone_db_free(db);
    }
}

static void test_publish_is_seen(void **state)
{
    struct fixture f = open_fixture("127.0.0.1:0");
    int fd = dial(&f, "127.0.0.1", SOCK_DGRAM);
    uint8_t query[512];
    uint8_t out[2048];
    size_t n = make_query("_acme-challenge.x.svc.test", TXT, query);

    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        struct zone_value v = make_value(i, "a");
        const char *owner = "x.svc.test.acme.svc.test";
        assert_int_equal(zone_value_add(f.db, owner, &v, i).code, ERR_OK);
        assert_int_equal(send(fd, query, n, 0), (ssize_t)n);
        ssize_t got = recv(fd, out, sizeof(out), 0);
        assert_true(got > (ssize_t)n);
        assert_int_equal(out[7], 2); /* CNAME and the value, at once */
        assert_memory_equal(out + got - TXT_VALUE_LEN, v.txt, TXT_VALUE_LEN);
        assert_int_equal(zone_value_remove(f.db, owner, NULL, NULL, i).code, ERR_OK);
    }
    (void)close(fd);
    close_fixture(&f);
}

static void test_tcp_pipelined(void **state)
{
    enum { N = 200 };
    struct fixture f = open_fixture("127.0.0.1:0");
    int fd = dial(&f, "127.0.0.1", SOCK_STREAM);
    uint8_t query[512];
    uint8_t stream[N * 64];
    uint8_t out[2048];
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < N; i++) {
        size_t n = make_query("a.svc.test", A, query);
        query[1] = (uint8_t)i;
        len += frame(query, n, stream + len);
    }
    assert_int_equal(send(fd, stream, len - 5, 0), (ssize_t)(len - 5)); /* ends inside a message */
    for (unsigned i = 0; i < N; i++) {
        if (i == N - 1) {
            for (size_t k = len - 5; k < len; k++) { /* the rest, an octet at a time */
                assert_int_equal(send(fd, stream + k, 1, 0), 1);
            }
        }
        assert_true(read_frame(fd, out) > 12);
        assert_int_equal(out[1], i & 0xff);
        assert_int_equal(out[7], 2);
    }
    (void)close(fd);
    close_fixture(&f);
}

/* A peer that asks and asks and does not read: it is held back, and gets every answer in the
 * end. */
static void test_tcp_slow_reader(void **state)
{
    enum { N = 3000 };
    struct fixture f = open_fixture("127.0.0.1:0");
    int fd = dial(&f, "127.0.0.1", SOCK_STREAM);
    uint8_t query[512];
    uint8_t framed[514];
    uint8_t *out = mem_zalloc(DNS_TCP_MAX);
    size_t n = make_query("x.svc.test.acme.svc.test", TXT, query);
    unsigned sent = 0;

    (void)state;
    assert_non_null(out);
    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        struct zone_value v = make_value(i, "a");
        assert_int_equal(zone_value_add(f.db, "x.svc.test.acme.svc.test", &v, i).code, ERR_OK);
    }
    size_t len = frame(query, n, framed);
    while (sent < N) { /* 14 kB an answer: 43 MB in all, more than the socket buffers hold */
        ssize_t got = send(fd, framed, len, MSG_DONTWAIT);
        if (got < 0) {
            break;
        }
        assert_int_equal(got, (ssize_t)len);
        sent++;
    }
    assert_true(sent > 300);
    for (unsigned i = 0; i < sent; i++) {
        assert_true(read_frame(fd, out) > ZONE_VALUES_MAX * TXT_VALUE_LEN);
        assert_int_equal(out[6] << 8 | out[7], ZONE_VALUES_MAX);
    }
    mem_free(out);
    (void)close(fd);
    close_fixture(&f);
}

static void test_tcp_closes(void **state)
{
    static const struct {
        uint8_t bytes[20];
        size_t len;
        int64_t shift_s;
    } rows[] = {{{0, 0}, 2, 0},                /* no message */
                {{0xff, 0xff}, 2, 0},          /* longer than a query can be */
                {{0, 12, 1, 2, 0x80}, 14, 0},  /* a response */
                {{0, 5, 1, 2, 3, 4, 5}, 7, 0}, /* less than a header */
                {{0, 30, 1, 2}, 4, DNS_TCP_PARTIAL_S + 1},
                {{0}, 0, DNS_TCP_IDLE_S + 1}};
    struct fixture f = open_fixture("127.0.0.1:0");
    uint8_t query[512];
    uint8_t framed[514];
    uint8_t out[2048];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        int fd = dial(&f, "127.0.0.1", SOCK_STREAM);
        size_t n = frame(query, make_query("svc.test", SOA, query), framed);
        assert_int_equal(send(fd, framed, n, 0), (ssize_t)n);
        assert_true(read_frame(fd, out) > 12); /* in order before, so the connection is there */
        assert_int_equal(send(fd, rows[i].bytes, rows[i].len, 0), (ssize_t)rows[i].len);
        for (ssize_t got = -1; got < 0 && errno != ECONNRESET;) { /* until the server saw both */
            struct timeval moment = {0, 300000};
            uint8_t byte;
            clock_shift(rows[i].shift_s * 1000);
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof(moment));
            got = recv(fd, &byte, 1, 0);
            assert_true(got <= 0);
        }
        (void)close(fd);
    }
    close_fixture(&f);
}

static void test_tcp_connection_limit(void **state)
{
    enum { N = 1200 };
    struct config *cfg = make_config(MAKER_CONFIG);
    struct fixture f = {NULL, NULL, {{0, {0}}, 0}};
    int *fds = mem_array(N, sizeof(int));
    uint8_t query[512];
    uint8_t framed[514];
    uint8_t out[2048];

    (void)state;
    assert_non_null(fds);
    assert_int_equal(zone_db_new(cfg, 100, &f.db).code, ERR_OK);
    assert_int_equal(ip_endpoint_parse("127.0.0.1:0", 0, &f.ep).code, ERR_OK);
    assert_int_equal(dns_server_bind(f.db, &f.ep, 1, 1, 1, &f.server).code, ERR_OK);
    assert_int_equal(dns_server_start(f.server).code, ERR_OK);
    f.ep = dns_server_endpoint(f.server, 0);
    size_t n = frame(query, make_query("svc.test", SOA, query), framed);
    size_t open_n = 0;
    for (size_t i = 0; i < N; i++) { /* as many as this process may have; the newest is served */
        struct sockaddr_storage sa;
        socklen_t len = ip_endpoint_sockaddr(&f.ep, &sa);
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (fds[i] < 0) {
            break;
        }
        open_n = i + 1;
        assert_int_equal(connect(fds[i], (const struct sockaddr *)&sa, len), 0);
    }
    assert_true(open_n > 100);
    struct timeval patience = {10, 0};
    int last = fds[open_n - 1];
    assert_int_equal(setsockopt(last, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(send(last, framed, n, 0), (ssize_t)n);
    assert_true(read_frame(last, out) > 12);
    for (size_t i = 0; i < open_n; i++) {
        (void)close(fds[i]);
    }
    mem_free(fds);
    close_fixture(&f);
    config_free(cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_in_use),
        cmocka_unit_test(test_tcp_closes),
        cmocka_unit_test(test_udp),
        cmocka_unit_test(test_publish_is_seen),
        cmocka_unit_test(test_tcp_pipelined),
        cmocka_unit_test(test_tcp_slow_reader),
        cmocka_unit_test(test_tcp_connection_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
