/* NOTIFY: secondaries that answer, are silent, answer for others, or refuse. */
#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "transfer_fixture.h"

#include "core/util/buf.h"
#include "dns/notify.h"

#define PATIENCE_MS 20000

/* transfer_handle() is not called here. */
bool dns_request_is_tcp(const struct dns_request *request)
{
    return request != NULL;
}
struct ip_addr dns_request_peer(const struct dns_request *request)
{
    (void)request;
    return ip_of("127.0.0.1");
}
size_t dns_request_limit(const struct dns_request *request)
{
    return request == NULL ? 0 : 512;
}
struct err dns_request_send(struct dns_request *request, const uint8_t *message, size_t len)
{
    (void)request, (void)message, (void)len;
    FAIL(ERR_NOT_FOUND, "none");
}
bool dns_request_wait(struct dns_request *request, size_t octets)
{
    return request != NULL && octets > 0;
}

/* --- a secondary -------------------------------------------------------------------------------- */

struct second {
    int fd;
    uint16_t port;
    struct sockaddr_in from; /* of the message read last */
    uint8_t message[2048];
    size_t len;
};

static void second_open(struct second *s, const char *address)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof(sa);

    memset(s, 0, sizeof(*s));
    assert_int_equal(inet_pton(AF_INET, address, &sa.sin_addr), 1);
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &len), 0);
    s->port = ntohs(sa.sin_port);
}

static bool is_waiting(const struct second *s, int ms)
{
    struct pollfd poll_fd = {.fd = s->fd, .events = POLLIN};

    return poll(&poll_fd, 1, ms) == 1;
}

/* The next message, which must come. */
static void second_read(struct second *s)
{
    socklen_t len = sizeof(s->from);

    if (!is_waiting(s, PATIENCE_MS)) {
        fail_msg("no NOTIFY came");
    }
    ssize_t n =
        recvfrom(s->fd, s->message, sizeof(s->message), 0, (struct sockaddr *)&s->from, &len);
    assert_true(n >= 12);
    s->len = (size_t)n;
}

static void second_send(struct second *s, const uint8_t *data, size_t len)
{
    assert_int_equal(
        sendto(s->fd, data, len, 0, (const struct sockaddr *)&s->from, sizeof(s->from)), len);
}

/* An answer to the message read last: its header and question. */
static size_t make_answer(const struct second *s, unsigned rcode, uint8_t out[600])
{
    size_t len = 12;

    memcpy(out, s->message, 12);
    memset(out + 6, 0, 6);
    out[2] = (uint8_t)(out[2] | 0x80);
    out[3] = (uint8_t)rcode;
    while (s->message[len] != 0) {
        len += 1u + s->message[len];
    }
    len += 5;
    memcpy(out + 12, s->message + 12, len - 12);
    return len;
}

static void second_answer(struct second *s, unsigned rcode)
{
    uint8_t answer[600];

    second_send(s, answer, make_answer(s, rcode, answer));
}

/* The serial in the SOA of the message read last, and whether all else is as it must be. */
static uint32_t second_serial(const struct second *s, const char *zone)
{
    ldns_pkt *pkt = NULL;

    assert_int_equal(ldns_wire2pkt(&pkt, s->message, s->len), LDNS_STATUS_OK);
    assert_int_equal(ldns_pkt_get_opcode(pkt), LDNS_PACKET_NOTIFY);
    assert_true(ldns_pkt_aa(pkt) && !ldns_pkt_qr(pkt) && !ldns_pkt_rd(pkt));
    assert_int_equal(ldns_pkt_qdcount(pkt), 1);
    assert_int_equal(ldns_pkt_ancount(pkt), 1);
    const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(pkt), 0);
    assert_int_equal(ldns_rr_get_type(question), LDNS_RR_TYPE_SOA);
    char *owner = ldns_rdf2str(ldns_rr_owner(question));
    assert_true(strncmp(owner, zone, strlen(zone)) == 0);
    free(owner); /* allow: ldns allocates with malloc() */
    const ldns_rr *soa = ldns_rr_list_rr(ldns_pkt_answer(pkt), 0);
    assert_int_equal(ldns_rr_get_type(soa), LDNS_RR_TYPE_SOA);
    uint32_t serial = ldns_rdf2native_int32(ldns_rr_rdf(soa, 2));
    ldns_pkt_free(pkt);
    return serial;
}

static void must_serial(struct second *s, uint32_t serial)
{
    second_read(s);
    assert_int_equal(second_serial(s, "svc.test."), serial);
}

/* --- the world ---------------------------------------------------------------------------------- */

struct world {
    struct fixture f;
    struct second a, b;
};

static struct world *world_new_listening(const char *key, const char *listen)
{
    struct world *w = mem_zalloc(sizeof(*w));
    char yaml[512];

    assert_non_null(w);
    second_open(&w->a, "127.0.0.1");
    second_open(&w->b, "127.0.0.3");
    (void)snprintf(yaml, sizeof(yaml),
                   "  - {name: svc.test, transfer: {%s notify: ['127.0.0.1:%u', '127.0.0.3:%u']}}\n"
                   "  - {name: quiet.test}\n"
                   "delegate_zone: acme.svc.test\n"
                   "listen: {dns: [%s]}\n",
                   key, w->a.port, w->b.port, listen);
    fixture_begin(&w->f, yaml);
    fake_zone(&w->f.records, "svc.test", "svc.test");
    fake_zone(&w->f.records, "quiet.test", NULL);
    fixture_transfer(&w->f);
    return w;
}

static struct world *world_new(const char *key)
{
    return world_new_listening(key, "'0.0.0.0:53'");
}

static void world_free(struct world *w)
{
    fixture_end(&w->f);
    (void)close(w->a.fd);
    (void)close(w->b.fd);
    mem_free(w);
}

static void change(struct world *w, int zone, uint32_t serial)
{
    w->f.records.on_serial(w->f.records.on_serial_ctx, zone, serial);
}

static struct transfer_info info_of(struct world *w, uint16_t port)
{
    struct transfer_info *infos = NULL, out = {0};
    size_t n = 0;

    must(transfer_list(w->f.transfer, &infos, &n));
    for (size_t i = 0; i < n; i++) {
        if (infos[i].server.port == port && strcmp(infos[i].zone, "svc.test") == 0) {
            out = infos[i];
        }
    }
    mem_free(infos);
    assert_int_equal(out.server.port, port);
    return out;
}

/* Until the loop's thread has seen what was sent to it. */
static struct transfer_info wait_for(struct world *w, uint16_t port, const char *last)
{
    struct transfer_info info = {0};
    int64_t until = clock_mono_ns() / 1000000 + PATIENCE_MS;

    while (clock_mono_ns() / 1000000 < until) {
        info = info_of(w, port);
        if (strncmp(info.last, last, strlen(last)) == 0) {
            return info;
        }
        (void)poll(NULL, 0, 2);
    }
    fail_msg("'%s', not '%s'", info.last, last);
    return info;
}

static void start(struct world *w)
{
    must(transfer_start(w->f.transfer));
    must_serial(&w->a, 100);
    must_serial(&w->b, 100);
}

/* --- pure --------------------------------------------------------------------------------------- */

static void test_answers_are_told_apart(void **state)
{
    static const struct {
        uint8_t at, to; /* of a good answer */
        uint8_t len;    /* of its 26 octets */
        bool want;
    } ROWS[] = {
        {0, 0x48, 26, false}, /* another id */
        {2, 0x24, 26, false}, /* no answer */
        {2, 0x84, 26, false}, /* another opcode */
        {5, 2, 26, false},    /* two questions */
        {5, 0, 26, false},    /* none, and NOERROR */
        {13, 'x', 26, false}, /* another zone */
        {23, 2, 26, false},   /* another type */
        {25, 3, 26, false},   /* another class */
        {0, 0x47, 25, false}, /* cut */
        {0, 0x47, 11, false}, {0, 0x47, 0, false},
        {13, 'S', 26, true}, /* the case does not count */
        {3, 5, 26, true},    /* REFUSED */
        {0, 0x47, 26, true},
    };
    const struct notify_zone zone = {.name = "\3svc\4test", .name_len = 10};
    static const uint8_t GOOD[] = "\x47\x11\xa4\x00\0\1\0\0\0\0\0\0\3svc\4test\0\0\6\0\1";
    (void)state;

    for (size_t i = 0; i < ARRAY_N(ROWS); i++) {
        uint8_t packet[26];
        unsigned rcode = 99;
        memcpy(packet, GOOD, sizeof(packet));
        packet[ROWS[i].at] = ROWS[i].to;
        uint8_t *exact = mem_dup(packet, ROWS[i].len == 0 ? 1 : ROWS[i].len);
        if (notify_is_answer(&zone, 0x4711, exact, ROWS[i].len, &rcode) != ROWS[i].want) {
            fail_msg("row %zu", i);
        }
        assert_true(!ROWS[i].want || rcode == packet[3]);
        mem_free(exact);
    }
    uint8_t bare[12];
    unsigned rcode = 0;
    memcpy(bare, GOOD, 12);
    bare[3] = 4;
    bare[5] = 0;
    assert_true(notify_is_answer(&zone, 0x4711, bare, 12, &rcode));
    assert_int_equal(rcode, 4);
}

static void test_source_address(void **state)
{
    static const struct {
        const char *listen[3];
        const char *server, *want; /* NULL: the kernel's choice */
    } ROWS[] = {
        {{"0.0.0.0", "::"}, "10.0.0.2", NULL},
        {{"0.0.0.0", "10.0.0.1"}, "10.0.0.2", NULL},
        {{"fd00::1"}, "10.0.0.2", NULL},
        {{NULL}, "10.0.0.2", NULL},
        {{"127.0.0.1", "10.8.10.253"}, "10.8.10.2", "10.8.10.253"},
        {{"127.0.0.1", "10.8.10.253"}, "127.0.0.5", "127.0.0.1"},
        {{"10.8.9.1", "10.8.10.253", "fd00::1"}, "10.8.10.2", "10.8.10.253"},
        {{"::1", "fd00::1", "10.0.0.1"}, "fd00::2", "fd00::1"},
        {{"10.0.0.1", "0.0.0.0"}, "10.0.0.2", NULL},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(ROWS); i++) {
        struct ip_endpoint listen[3];
        size_t n = 0;
        while (n < 3 && ROWS[i].listen[n] != NULL) {
            listen[n].addr = ip_of(ROWS[i].listen[n]);
            listen[n++].port = 53;
        }
        const struct ip_addr server = ip_of(ROWS[i].server);
        struct ip_addr got = notify_source(listen, n, &server);
        if (ROWS[i].want == NULL) {
            assert_int_equal(got.family, 0);
        } else {
            const struct ip_addr want = ip_of(ROWS[i].want);
            assert_true(ip_equal(&got, &want));
        }
    }
}

/* --- answered ----------------------------------------------------------------------------------- */

static void test_every_change_is_told(void **state)
{
    struct world *w = world_new("allow: [127.0.0.0/8],");
    (void)state;

    assert_string_equal(info_of(w, w->a.port).last, "not notified yet");
    start(w);
    for (uint32_t serial = 101; serial < 140; serial++) {
        second_answer(&w->a, 0);
        second_answer(&w->b, 0);
        struct transfer_info info = wait_for(w, w->a.port, "answered NOERROR");
        (void)wait_for(w, w->b.port, "answered NOERROR");
        assert_int_equal(info.answered_serial, serial - 1);
        assert_int_equal(info.notified_serial, serial - 1);
        assert_true(info.answered_unix >= clock_unix_s() - 60);
        change(w, 1, 7); /* a zone that is not transferred */
        change(w, 0, serial);
        must_serial(&w->a, serial);
        must_serial(&w->b, serial);
    }
    assert_false(is_waiting(&w->a, 0));
    /* An older serial is no news. */
    second_answer(&w->a, 0);
    (void)wait_for(w, w->a.port, "answered NOERROR");
    change(w, 0, 120);
    assert_false(is_waiting(&w->a, 0));
    world_free(w);
}

/* Changes while an answer is awaited are told in one message afterwards. */
static void test_changes_meanwhile_are_one(void **state)
{
    struct world *w = world_new("allow: [127.0.0.0/8],");
    (void)state;

    start(w);
    second_answer(&w->b, 0);
    (void)wait_for(w, w->b.port, "answered");
    for (uint32_t serial = 101; serial <= 150; serial++) {
        change(w, 0, serial);
    }
    must_serial(&w->b, 101);
    assert_false(is_waiting(&w->a, 0));
    assert_false(is_waiting(&w->b, 0));
    second_answer(&w->a, 0);
    second_answer(&w->b, 0);
    must_serial(&w->a, 150);
    must_serial(&w->b, 150);
    second_answer(&w->a, 0);
    assert_int_equal(wait_for(w, w->a.port, "answered").answered_serial, 150);
    world_free(w);
}

#define CHANGES 3000u

static void *change_often(void *arg)
{
    struct world *w = arg;

    for (uint32_t i = 1; i <= CHANGES; i++) {
        change(w, 0, 100 + i);
    }
    return NULL;
}

/* Changes on one thread, answers on another, the list on this one: the last change is told. */
static void test_many_changes_under_way(void **state)
{
    struct world *w = world_new("allow: [127.0.0.0/8],");
    pthread_t writer;
    size_t messages_n = 0;
    uint32_t serial = 0;
    (void)state;

    start(w);
    second_answer(&w->a, 0);
    assert_int_equal(pthread_create(&writer, NULL, change_often, w), 0);
    while (serial < 100 + CHANGES) {
        second_read(&w->a);
        uint32_t next = second_serial(&w->a, "svc.test.");
        assert_true(next > serial);
        serial = next;
        second_answer(&w->a, 0);
        messages_n++;
        assert_true(info_of(w, w->a.port).notified_serial >= serial);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_true(messages_n <= CHANGES);
    int64_t until = clock_mono_ns() / 1000000 + PATIENCE_MS;
    while (info_of(w, w->a.port).answered_serial != serial && clock_mono_ns() / 1000000 < until) {
        (void)poll(NULL, 0, 2);
    }
    assert_int_equal(info_of(w, w->a.port).answered_serial, 100 + CHANGES);
    world_free(w);
}

/* --- silent ------------------------------------------------------------------------------------- */

static void test_repeats_then_gives_up(void **state)
{
    static const int WAITS_S[] = {1, 2, 4, 8, 16};
    struct world *w = world_new("allow: [127.0.0.0/8],");
    (void)state;

    start(w);
    second_answer(&w->b, 0);
    (void)wait_for(w, w->b.port, "answered");
    for (size_t i = 0; i < ARRAY_N(WAITS_S); i++) {
        uint16_t id = (uint16_t)(w->a.message[0] << 8 | w->a.message[1]);
        clock_shift(WAITS_S[i] * 1000 - 500);
        assert_false(is_waiting(&w->a, 150));
        clock_shift(500);
        must_serial(&w->a, 100);
        assert_true(id != (uint16_t)(w->a.message[0] << 8 | w->a.message[1]) || i > 0);
    }
    clock_shift(16000);
    struct transfer_info info = wait_for(w, w->a.port, "no answer, given up after 6 messages");
    assert_int_equal(info.answered_unix, 0);
    assert_false(is_waiting(&w->a, 150));
    /* The other one was not asked again, and hears of the next change at once. */
    assert_false(is_waiting(&w->b, 0));
    change(w, 0, 101);
    must_serial(&w->b, 101);
    must_serial(&w->a, 101);
    second_answer(&w->a, 0);
    assert_int_equal(wait_for(w, w->a.port, "answered NOERROR").answered_serial, 101);
    world_free(w);
}

/* The newest serial is what is repeated; and a server that is back hears of a change at once. */
static void test_newest_serial_in_the_end(void **state)
{
    struct world *w = world_new("allow: [127.0.0.0/8],");
    (void)state;

    start(w);
    change(w, 0, 101);
    assert_false(is_waiting(&w->a, 0));
    clock_shift(1000);
    must_serial(&w->a, 101);
    clock_shift(1500); /* of 2 s */
    change(w, 0, 102);
    must_serial(&w->a, 102);
    change(w, 0, 103); /* not twice within a second */
    assert_false(is_waiting(&w->a, 0));
    second_answer(&w->a, 0); /* of 102: 103 follows by itself */
    must_serial(&w->a, 103);
    second_answer(&w->a, 0);
    assert_int_equal(wait_for(w, w->a.port, "answered").answered_serial, 103);
    world_free(w);
}

/* --- wrong -------------------------------------------------------------------------------------- */

static void test_answers_of_others_do_not_count(void **state)
{
    struct world *w = world_new("allow: [127.0.0.0/8],");
    uint8_t answer[600];
    (void)state;

    start(w);
    size_t len = make_answer(&w->a, 0, answer);
    answer[0] ^= 0xffu; /* another id */
    second_send(&w->a, answer, len);
    answer[0] ^= 0xffu;
    answer[13] = 'x'; /* another zone */
    second_send(&w->a, answer, len);
    answer[13] = 's';
    w->b.from = w->a.from;
    second_send(&w->b, answer, len); /* another server */
    second_send(&w->a, answer, 11);
    answer[2] &= 0x7fu; /* no answer */
    second_send(&w->a, answer, len);
    /* All of that was read before this. */
    second_answer(&w->b, 0);
    (void)wait_for(w, w->b.port, "answered");
    assert_string_equal(info_of(w, w->a.port).last, "sent, no answer yet");
    assert_int_equal(info_of(w, w->a.port).answered_serial, 0);
    /* An answer that comes late, after the repetition, is another message's. */
    answer[2] |= 0x80u;
    clock_shift(1000);
    must_serial(&w->a, 100);
    second_send(&w->a, answer, len);
    second_answer(&w->a, 0);
    assert_int_equal(wait_for(w, w->a.port, "answered").answered_serial, 100);
    world_free(w);
}

static void test_refusals_end_the_round(void **state)
{
    struct world *w = world_new("allow: [127.0.0.0/8],");
    (void)state;

    start(w);
    second_answer(&w->a, 5);
    struct transfer_info info = wait_for(w, w->a.port, "answered REFUSED");
    assert_int_equal(info.answered_unix, 0);
    clock_shift(40000);
    must_serial(&w->b, 100);
    assert_false(is_waiting(&w->a, 150));
    change(w, 0, 101);
    must_serial(&w->a, 101);
    second_answer(&w->a, 15);
    (void)wait_for(w, w->a.port, "answered an error");
    change(w, 0, 102);
    must_serial(&w->a, 102);
    second_answer(&w->a, 0);
    assert_int_equal(wait_for(w, w->a.port, "answered NOERROR").answered_serial, 102);
    world_free(w);
}

/* --- signed ------------------------------------------------------------------------------------- */

static void test_signed(void **state)
{
    struct world *w = world_new("key: second,");
    struct ip_addr peer = ip_of("127.0.0.1");
    struct tsig tsig = {0};
    uint8_t answer[600];
    (void)state;

    start(w);
    const struct tsig_options options = {
        .access = w->f.access, .peer = &peer, .now_unix = clock_unix_s()};
    size_t len = w->a.len;
    assert_int_equal(tsig_check(&options, w->a.message, &len, &tsig), TSIG_OK);
    assert_string_equal(tsig.client, "Second");
    /* Not signed, then signed for another message: neither counts. */
    second_answer(&w->a, 0);
    (void)wait_for(w, w->a.port, "answered NOERROR, but not signed by client");
    struct tsig wrong = tsig;
    wrong.mac[0] ^= 1u;
    size_t answer_len = make_answer(&w->a, 0, answer);
    must(tsig_sign(&wrong, clock_unix_s(), answer, &answer_len, sizeof(answer)));
    second_send(&w->a, answer, answer_len);
    assert_int_equal(info_of(w, w->a.port).answered_unix, 0);
    answer_len = make_answer(&w->a, 0, answer);
    must(tsig_sign(&tsig, clock_unix_s(), answer, &answer_len, sizeof(answer)));
    second_send(&w->a, answer, answer_len);
    int64_t until = clock_mono_ns() / 1000000 + PATIENCE_MS;
    while (info_of(w, w->a.port).answered_unix == 0 && clock_mono_ns() / 1000000 < until) {
        (void)poll(NULL, 0, 2);
    }
    assert_int_equal(info_of(w, w->a.port).answered_serial, 100);
    assert_string_equal(info_of(w, w->a.port).last, "answered NOERROR");
    tsig_clear(&tsig);
    tsig_clear(&wrong);
    world_free(w);
}

/* An answer that the secondary signed to say that it did not take our signature is none that counts, whatever
 * its RCODE. RFC 8945 §5.3.2 */
static void test_signed_errors(void **state)
{
    static const uint16_t errors[] = {TSIG_BADTIME, TSIG_BADTRUNC, TSIG_BADKEY, TSIG_BADSIG, 1};
    struct world *w = world_new("key: second,");
    struct ip_addr peer = ip_of("127.0.0.1");
    struct tsig tsig = {0};
    uint8_t answer[600];
    (void)state;

    start(w);
    const struct tsig_options options = {
        .access = w->f.access, .peer = &peer, .now_unix = clock_unix_s()};
    size_t len = w->a.len;
    assert_int_equal(tsig_check(&options, w->a.message, &len, &tsig), TSIG_OK);
    for (size_t i = 0; i < 2 * ARRAY_N(errors); i++) {
        unsigned rcode = i % 2 == 0 ? 0 : 5; /* REFUSED is told apart in the list */
        struct tsig other = tsig;
        other.error = errors[i / 2];
        size_t answer_len = make_answer(&w->a, rcode, answer);
        must(tsig_sign(&other, clock_unix_s(), answer, &answer_len, sizeof(answer)));
        second_send(&w->a, answer, answer_len);
        (void)wait_for(w, w->a.port,
                       rcode == 0 ? "answered NOERROR, but not signed by client"
                                  : "answered REFUSED, but not signed by client");
        tsig_clear(&other);
    }
    assert_int_equal(info_of(w, w->a.port).answered_unix, 0);
    clock_shift(1000); /* and the round goes on */
    must_serial(&w->a, 100);
    tsig_clear(&tsig);
    world_free(w);
}

static void test_key_that_is_gone(void **state)
{
    struct world *w = world_new("key: nobody,");
    (void)state;

    must(transfer_start(w->f.transfer));
    assert_string_equal(info_of(w, w->a.port).last,
                        "not sent: there is no client nobody to sign with (transfer.key)");
    assert_false(is_waiting(&w->a, 0));
    world_free(w);
}

/* --- addresses ---------------------------------------------------------------------------------- */

static void test_leaves_from_the_listener(void **state)
{
    struct world *w = world_new_listening("allow: [127.0.0.0/8],",
                                          "'127.0.0.9:53', '127.0.0.2:53', '10.1.1.1:53'");
    (void)state;

    start(w);
    assert_int_equal(ntohl(w->a.from.sin_addr.s_addr), 0x7f000002);
    assert_int_equal(ntohl(w->b.from.sin_addr.s_addr), 0x7f000002);
    world_free(w);
}

static void test_bounds(void **state)
{
    struct fixture f;
    struct buf zones = BUF_INIT(1024u * 1024u);
    (void)state;

    /* Servers that cannot be reached cost a line in the list, nothing else. */
    fixture_begin(
        &f,
        "  - {name: svc.test, transfer: {allow: ['::/0', 0.0.0.0/0], notify: ['[2001:db8::1]:53', "
        "'255.255.255.255:53']}}\n");
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    must(transfer_start(f.transfer));
    struct transfer_info *infos = NULL;
    size_t n = 0;
    must(transfer_list(f.transfer, &infos, &n));
    assert_int_equal(n, 2);
    mem_free(infos);
    f.records.on_serial(f.records.on_serial_ctx, 0, 101);
    /* More than may be. */
    struct config_zone *zone = &f.cfg->zones[0];
    struct ip_endpoint *few = zone->transfer_notify;
    zone->transfer_notify = mem_array(NOTIFY_TARGETS_MAX + 1, sizeof(*few));
    assert_non_null(zone->transfer_notify);
    for (size_t i = 0; i <= NOTIFY_TARGETS_MAX; i++) {
        zone->transfer_notify[i] = few[1];
    }
    zone->transfer_notify_n = NOTIFY_TARGETS_MAX + 1;
    struct transfer *other = NULL;
    const struct transfer_options options = {f.cfg, f.store, f.access, &f.records};
    assert_int_equal(transfer_new(&options, &other).code, ERR_CONFIG);
    assert_null(other);
    mem_free(zone->transfer_notify);
    zone->transfer_notify = few;
    zone->transfer_notify_n = 2;
    buf_clear(&zones);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_are_told_apart),
        cmocka_unit_test(test_source_address),
        cmocka_unit_test(test_every_change_is_told),
        cmocka_unit_test(test_changes_meanwhile_are_one),
        cmocka_unit_test(test_many_changes_under_way),
        cmocka_unit_test(test_repeats_then_gives_up),
        cmocka_unit_test(test_newest_serial_in_the_end),
        cmocka_unit_test(test_answers_of_others_do_not_count),
        cmocka_unit_test(test_refusals_end_the_round),
        cmocka_unit_test(test_signed),
        cmocka_unit_test(test_signed_errors),
        cmocka_unit_test(test_key_that_is_gone),
        cmocka_unit_test(test_leaves_from_the_listener),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
