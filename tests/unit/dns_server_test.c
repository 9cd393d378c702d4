#include "dns/forward.h"
#include "tests/unit/dns_server_world.h"

struct fixture {
    struct zone_db *db;
    struct dns_server *server;
    struct ip_endpoint ep;
};

/* With zones alone; as many threads for UDP as for TCP. */
static struct err open_with(struct zone_db *zones, const struct ip_endpoint *listen,
                            size_t listen_n, unsigned threads, struct dns_server **out)
{
    const struct dns_server_options options = {.zones = zones,
                                               .listen = listen,
                                               .listen_n = listen_n,
                                               .udp_threads = threads,
                                               .tcp_threads = threads};

    return dns_server_open(&options, out);
}

static struct fixture open_fixture(const char *listen)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    struct fixture f = {NULL, NULL, {{0, {0}}, 0}};

    assert_int_equal(zone_db_new(cfg, 100, &f.db).code, ERR_OK);
    assert_int_equal(ip_endpoint_parse(listen, 0, &f.ep).code, ERR_OK);
    assert_int_equal(open_with(f.db, &f.ep, 1, 2, &f.server).code, ERR_OK);
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

    assert_int_equal(ip_parse(to, &ep.addr).code, ERR_OK);
    socklen_t len = ip_endpoint_sockaddr(&ep, &sa);
    int fd = socket(sa.ss_family, type, 0);
    assert_true(fd >= 0);
    patience(fd, 10000);
    assert_int_equal(connect(fd, (const struct sockaddr *)&sa, len), 0);
    return fd;
}

static void test_port_in_use(void **state)
{
    struct fixture f = open_fixture("127.0.0.1:0");
    struct dns_server *second = NULL;

    (void)state;
    assert_int_equal(open_with(f.db, &f.ep, 1, 1, &second).code, ERR_BUSY);
    assert_non_null(strstr(err_trace()->text, "127.0.0.1:"));
    assert_null(second);
    close_fixture(&f);

    struct ip_endpoint foreign = f.ep; /* 192.0.2.0/24 is nobody's (RFC 5737 §3) */
    assert_int_equal(ip_parse("192.0.2.1", &foreign.addr).code, ERR_OK);
    struct config *cfg = make_config(MAKER_CONFIG);
    assert_int_equal(zone_db_new(cfg, 1, &f.db).code, ERR_OK);
    assert_int_equal(open_with(f.db, &foreign, 1, 1, &second).code, ERR_IO);
    assert_int_equal(open_with(f.db, &foreign, 0, 1, &second).code, ERR_CONFIG);
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
    } rows[] = {{{0, 0}, 2, 0}, /* no message */
                {{0xff, 0xff, 1}, 3, DNS_TCP_PARTIAL_S + 1},
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

/* A request's answer leaves from the address that was asked, whichever thread sends it. */
static void test_udp_request(void **state)
{
    static const struct {
        const char *listen, *ask;
    } rows[] = {{"127.0.0.1:0", "127.0.0.1"}, {"0.0.0.0:0", "127.0.0.77"}, {"[::]:0", "::1"}};
    uint8_t query[512];
    uint8_t out[2048];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct world *w = open_world(rows[i].listen, echo, NULL);
        int fd = dial_from(w, NULL, rows[i].ask, SOCK_DGRAM);
        open_gate(w);
        for (unsigned k = 0; k < 50; k++) {
            size_t n = make_update(k, query);
            assert_int_equal(send(fd, query, n, 0), (ssize_t)n);
            assert_int_equal(recv(fd, out, sizeof(out), 0), (ssize_t)n);
            assert_int_equal(out[1], k);
            assert_int_equal(out[2], 0xa8);
        }
        size_t n = make_query("svc.test", SOA, query); /* the batches before it are counted */
        assert_int_equal(send(fd, query, n, 0), (ssize_t)n);
        assert_true(recv(fd, out, sizeof(out), 0) > (ssize_t)n);
        assert_int_equal(count_of(w).work, 50);
        assert_int_equal(count_of(w).dropped, 0); /* who is answered later is not */
        (void)close(fd);
        dns_server_free(w->server); /* what is counted is counted */
        w->server = NULL;
        close_world(w);
    }
}

/* Answers are bounded by what the question offers. */
static void send_limits(void *ctx, struct dns_request *request)
{
    uint8_t message[DNS_UDP_EDNS_MAX + 1] = {0};
    size_t limit = dns_request_limit(request);

    (void)ctx;
    message[0] = (uint8_t)(limit >> 8);
    message[1] = (uint8_t)limit;
    message[2] = 0x80;
    assert_int_equal(dns_request_send(request, message, limit + 1).code, ERR_LIMIT);
    assert_int_equal(dns_request_send(request, message, limit).code, ERR_OK);
    assert_true(dns_request_wait(request, 0) || dns_request_is_tcp(request));
    struct ip_addr peer = dns_request_peer(request);
    assert_int_equal(peer.bytes[0], 127);
    dns_request_end(request);
}

static void test_udp_limits(void **state)
{
    static const struct {
        unsigned offer; /* 0: no EDNS */
        size_t limit;
    } rows[] = {{0, 512}, {100, 512}, {512, 512}, {900, 900}, {1232, 1232}, {4096, 1232}};
    struct world *w = open_world("127.0.0.1:0", send_limits, NULL);
    int fd = dial_from(w, NULL, "127.0.0.1", SOCK_DGRAM);
    uint8_t query[512];
    uint8_t out[2048];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        size_t n = make_update(1, query);
        if (rows[i].offer != 0) {
            n = make_edns(query, n, rows[i].offer, 0, 0);
        }
        assert_int_equal(send(fd, query, n, 0), (ssize_t)n);
        assert_int_equal(recv(fd, out, sizeof(out), 0), (ssize_t)rows[i].limit);
        assert_int_equal(out[0] << 8 | out[1], rows[i].limit);
    }
    (void)close(fd);
    close_world(w);
}

/* More than the queue holds: UDP is dropped, and leaves room for TCP, which then hears SERVFAIL. */
static void test_work_is_full(void **state)
{
    struct world *w = open_world("127.0.0.1:0", echo, NULL);
    int udp = dial_from(w, NULL, "127.0.0.1", SOCK_DGRAM);
    int tcp = dial_tcp(w);
    int others[(WORK_QUEUE_MAX - WORK_QUEUE_UDP_MAX) / DNS_TCP_UNDER_WAY_MAX];
    uint8_t query[512];
    uint8_t out[2048];
    size_t n = make_update(1, query);

    (void)state;
    for (uint64_t i = 0; count_of(w).work_full == 0; i++) {
        if (i == WORK_THREADS) {
            wait_until(w, &w->inside, WORK_THREADS); /* the queue is empty again */
        }
        assert_true(i <= WORK_THREADS + WORK_QUEUE_UDP_MAX);
        send_datagram(w, udp, query, n);
    }
    assert_int_equal(count_of(w).work, WORK_QUEUE_UDP_MAX + WORK_THREADS);
    for (size_t i = 0; i < ARRAY_N(others); i++) {
        others[i] = dial_tcp(w);
        for (unsigned k = 0; k < DNS_TCP_UNDER_WAY_MAX; k++) {
            send_framed(others[i], query, n);
        }
    }
    while (count_of(w).work < WORK_QUEUE_MAX + WORK_THREADS) {
        (void)sched_yield();
    }
    send_framed(tcp, query, n);
    assert_true(read_frame(tcp, out) >= 12);
    assert_int_equal(out[1], 1);
    assert_int_equal(out[3] & 15, 2);
    assert_serves(tcp);
    for (size_t i = 0; i < ARRAY_N(others); i++) {
        (void)close(others[i]);
    }
    (void)close(udp);
    (void)close(tcp);
    close_world(w);
}

/* --- forwarding: a forwarder that answers at once with what stands and its own address --------- */
static struct ip_addr forward_peer;

bool forward_is_allowed(const struct forward *forward, const struct ip_addr *peer)
{
    (void)forward;
    return peer->bytes[3] == 1;
}

void forward_ask(struct forward *forward, struct dns_request *request)
{
    size_t begun_len = 0;
    size_t *len = NULL;
    uint8_t answer[DNS_UDP_EDNS_MAX];
    const uint8_t *begun = dns_request_begun(request, &begun_len);
    const uint8_t *query = dns_request_bytes(request, &len);

    (void)forward;
    const uint8_t *cookie = dns_request_cookie(request);
    memcpy(answer, begun_len != 0 ? begun : query, begun_len != 0 ? begun_len : *len);
    answer[2] |= 0x80;
    answer[9] = begun_len != 0 ? 99 : 77; /* told from ours by this */
    answer[8] = cookie != NULL;
    if (cookie != NULL) {
        memcpy(answer + *len - 24, cookie, 24);
    }
    forward_peer = dns_request_peer(request);
    assert_int_equal(dns_request_send(request, answer, begun_len != 0 ? begun_len : *len).code,
                     ERR_OK);
    dns_request_end(request);
}

static void add_cname(struct zone_db *db)
{
    uint8_t owner[NAME_WIRE_MAX];
    uint8_t target[NAME_WIRE_MAX];
    size_t owner_len = make_name("out.svc.test", owner);
    size_t target_len = make_name("www.example.org", target);
    struct zone_rr rr = {5, 60, target, (uint16_t)target_len};
    struct zone_edit *edit = NULL;

    assert_int_equal(zone_edit_begin(db, &edit).code, ERR_OK);
    assert_int_equal(zone_edit_records(edit, owner, owner_len, &rr, 1).code, ERR_OK);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
}

/* Whoever brings a cookie is to get it with a server's half of ours. */
static void forward_with_cookie(const struct world *w)
{
    static const uint8_t option[28] = {0, 10, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8};
    int udp = dial_from(w, "127.0.0.1", "127.0.0.1", SOCK_DGRAM);
    int tcp = dial_from(w, "127.0.0.1", "127.0.0.1", SOCK_STREAM);
    uint8_t query[512];
    uint8_t out[2048];
    size_t n = make_query("www.example.org", A, query);

    n = make_edns(query, n, 1232, 0, 0);
    query[n - 1] = sizeof(option);
    memcpy(query + n, option, sizeof(option));
    n += sizeof(option);
    assert_int_equal(send(udp, query, n, 0), (ssize_t)n);
    assert_int_equal(recv(udp, out, sizeof(out), 0), (ssize_t)n);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(out[8], 1);
        assert_memory_equal(out + n - 24, option + 4, 8);
        assert_memory_equal(out + n - 16, "\1\0\0\0", 4); /* RFC 9018 §4 */
        assert_memory_not_equal(out + n - 8, option + 20, 8);
        if (i == 0) {
            send_framed(tcp, query, n);
            assert_int_equal(read_frame(tcp, out), n);
        }
    }
    (void)close(udp);
    (void)close(tcp);
}

static void test_forward(void **state)
{
    static const struct {
        const char *from, *name;
        unsigned marked, octet; /* marked: by the forwarder, 0: ours; octet: RA and RCODE */
    } rows[] = {
        {"127.0.0.1", "www.example.org", 77, 0}, {"127.0.0.2", "www.example.org", 0, 5},
        {"127.0.0.1", "out.svc.test", 99, 0},    {"127.0.0.2", "out.svc.test", 0, 0},
        {"127.0.0.1", "a.svc.test", 0, 0x80},    {"127.0.0.2", "a.svc.test", 0, 0},
    };
    int forwarder = 0; /* borrowed, never looked into */
    struct dns_server_options o = {
        .forward = (struct forward *)(void *)&forwarder, .has_cookies = true, .tcp_threads = 1};
    struct world *w = open_world("127.0.0.1:0", NULL, &o);
    uint8_t query[512];
    uint8_t out[2048];

    (void)state;
    add_cname(w->db);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        int udp = dial_from(w, rows[i].from, "127.0.0.1", SOCK_DGRAM);
        int tcp = dial_from(w, rows[i].from, "127.0.0.1", SOCK_STREAM);
        size_t n = make_query(rows[i].name, A, query);
        assert_int_equal(send(udp, query, n, 0), (ssize_t)n);
        assert_true(recv(udp, out, sizeof(out), 0) >= (ssize_t)n);
        assert_int_equal(out[9] >= 77 ? out[9] : 0, rows[i].marked);
        assert_int_equal(out[3], rows[i].octet);
        assert_int_equal(out[8], 0);
        send_framed(tcp, query, n);
        assert_true(read_frame(tcp, out) >= n);
        assert_int_equal(out[9] >= 77 ? out[9] : 0, rows[i].marked);
        assert_int_equal(out[3], rows[i].octet);
        (void)close(udp);
        (void)close(tcp);
    }
    forward_with_cookie(w);
    assert_int_equal(count_of(w).forwarded, 6);
    assert_int_equal(forward_peer.bytes[3], 1);
    close_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_in_use),   cmocka_unit_test(test_tcp_closes),
        cmocka_unit_test(test_udp),           cmocka_unit_test(test_publish_is_seen),
        cmocka_unit_test(test_tcp_pipelined), cmocka_unit_test(test_tcp_slow_reader),
        cmocka_unit_test(test_udp_request),   cmocka_unit_test(test_udp_limits),
        cmocka_unit_test(test_work_is_full),  cmocka_unit_test(test_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
