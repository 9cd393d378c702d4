/* What work threads do with a request; updates and transfers themselves are stood in for. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/request_internal.h"
#include "dns/service.h"
#include "dns/tcp_link.h"
#include "tests/unit/dns_maker.h"

enum { A = 1, SOA = 6, TXT = 16, IXFR = 251, AXFR = 252 };
enum { QUERY = 0, NOTIFY = 4, UPDATE = 5 };
enum { NOERROR = 0, FORMERR = 1, NOTIMP = 4, REFUSED = 5, YXDOMAIN = 6, NOTAUTH = 9 };

#define SECRET "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define CLIENTS "clients: [{name: both, secret: " SECRET ", names: [\"*.svc.test\"]}]\n"
#define CLIENT_PORTION 512u

/* A socket pair in place of UDP, a mailbox that the test reads in place of a TCP thread. */
struct fixture {
    char dir[64];
    struct config *cfg;
    struct store *store;
    struct access *access;
    struct zone_db *zones;
    struct watch *watch;
    struct dns_service *service;
    struct dns_socket *socket;
    int far;
    struct tcp_mail *mail;
    struct tcp_link *link;
};

/* --- stand-ins -------------------------------------------------------------------------------- */
static struct {
    unsigned updates, transfers;
    bool is_verified;
    char client[CLIENT_NAME_MAX + 1];
    size_t packet_len, answer_len;
    uint8_t rcode;
} seen;

static size_t make_answer(const uint8_t *packet, size_t len, uint8_t *out)
{
    size_t n = seen.answer_len != 0 ? seen.answer_len : len;

    memset(out, 0, n);
    memcpy(out, packet, len < n ? len : n);
    out[2] |= 0x80;
    out[3] = seen.rcode;
    memset(out + 6, 0, 6);
    return n;
}

size_t update_handle(struct update *update, const uint8_t *packet, size_t len,
                     const struct tsig *tsig, const struct ip_addr *peer, uint8_t *out)
{
    assert_null(update);
    assert_int_equal(peer->bytes[3], 1);
    seen.updates++;
    seen.is_verified = tsig->is_verified;
    seen.packet_len = len;
    memcpy(seen.client, tsig->client, sizeof(seen.client));
    return make_answer(packet, len, out);
}

void transfer_handle(struct transfer *transfer, struct dns_request *request, const uint8_t *packet,
                     size_t len, struct tsig *tsig)
{
    uint8_t out[1024];

    assert_null(transfer);
    seen.transfers++;
    seen.is_verified = tsig->is_verified;
    for (unsigned i = 0; i < (dns_request_is_tcp(request) ? 3 : 1); i++) {
        size_t n = make_answer(packet, len, out);
        assert_int_equal(tsig_sign(tsig, clock_unix_s(), out, &n, sizeof(out)).code, ERR_OK);
        assert_int_equal(dns_request_send(request, out, n).code, ERR_OK);
    }
}

/* Allowed: svc.test from 10.x. */
bool transfer_may_come(const struct transfer *transfer, const uint8_t *zone, size_t zone_len,
                       const struct ip_addr *peer)
{
    assert_null(transfer);
    return zone_len == 10 && memcmp(zone, "\3svc\4test", 10) == 0 && peer->bytes[0] == 10;
}

/* The same, and signed by client one. */
bool transfer_may(const struct transfer *transfer, const uint8_t *zone, size_t zone_len,
                  const struct ip_addr *peer, const struct tsig *tsig)
{
    return transfer_may_come(transfer, zone, zone_len, peer) && tsig->is_verified;
}

static void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s", err_name(e.code), err_trace()->text);
    }
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    const struct store_module modules[] = {ACCESS_STORE_MODULE};
    char path[96];
    int fds[2];

    assert_non_null(f);
    log_setup(LOG_ERROR, LOG_TEXT);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/bw-service-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(path, sizeof(path), "%s/bailiwick.db", f->dir);
    const struct store_options options = {.path = path, .readers_max = 2};
    f->cfg = make_config(MAKER_CONFIG CLIENTS);
    must(store_open(&options, modules, 1, &f->store));
    must(access_open(f->cfg, f->store, &f->access));
    must(zone_db_new(f->cfg, 100, &f->zones));
    must(watch_new(f->zones, &f->watch));
    const struct dns_service_options o = {
        .cfg = f->cfg, .access = f->access, .zones = f->zones, .watch = f->watch};
    must(dns_service_new(&o, &f->service));
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    f->socket = dns_socket_new(fds[0], NULL);
    assert_non_null(f->socket);
    f->far = fds[1];
    must(tcp_mail_new(&f->mail));
    f->link = tcp_link_new(f->mail, NULL);
    assert_non_null(f->link);
    memset(&seen, 0, sizeof(seen));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[96];

    tcp_mail_close(f->mail);
    tcp_link_close(f->link);
    assert_int_equal(f->socket->refs, 1); /* every request was ended */
    dns_socket_unref(f->socket);
    (void)close(f->far);
    dns_service_free(f->service);
    dns_service_free(NULL);
    watch_free(f->watch);
    store_close(f->store);
    access_close(f->access);
    zone_db_free(f->zones);
    config_free(f->cfg);
    static const char *const files[] = {"bailiwick.db", "bailiwick.db-wal", "bailiwick.db-shm"};
    for (size_t i = 0; i < ARRAY_N(files); i++) {
        (void)snprintf(command, sizeof(command), "%s/%s", f->dir, files[i]);
        (void)unlink(command);
    }
    (void)rmdir(f->dir);
    mem_free(f);
    return 0;
}

/* --- asking ----------------------------------------------------------------------------------- */
struct message {
    uint8_t data[DNS_TCP_MAX];
    size_t len;
};

static void make_message(struct message *m, unsigned opcode, const char *name, unsigned type)
{
    m->len = make_query(name, type, m->data);
    m->data[2] = (uint8_t)(opcode << 3);
}

static void sign(const struct fixture *f, struct message *m, int64_t late_s, struct tsig *tsig)
{
    must(tsig_sign_request(f->access, "both", clock_unix_s() - late_s, tsig, m->data, &m->len,
                           sizeof(m->data)));
}

/* The service's answer to m over UDP. */
static void ask(struct fixture *f, const struct message *m, struct message *answer)
{
    struct sockaddr_in6 nobody;
    const struct ip_addr peer = {4, {127, 0, 0, 1}};
    const struct msghdr from = {.msg_name = &nobody, .msg_namelen = 0};
    const struct dns_request_bytes bytes = {.packet = m->data, .len = m->len, .peer = &peer};
    struct dns_request *request = dns_request_new_udp(f->socket, &from, &bytes);

    assert_non_null(request);
    dns_service_handle(f->service, request);
    ssize_t got = recv(f->far, answer->data, sizeof(answer->data), MSG_DONTWAIT);
    assert_true(got >= 12);
    answer->len = (size_t)got;
    assert_int_equal(recv(f->far, &nobody, 1, MSG_DONTWAIT), -1); /* one answer */
    assert_memory_equal(answer->data, m->data, 2);
    assert_int_equal(answer->data[2] & 0xf8, 0x80 | (m->data[2] & 0x78));
}

/* The same over TCP: the messages with their lengths. */
static void ask_tcp(struct fixture *f, const struct message *m, struct tcp_queue *answers)
{
    const struct ip_addr peer = {4, {127, 0, 0, 1}};
    const struct dns_request_bytes bytes = {.packet = m->data, .len = m->len, .peer = &peer};
    struct dns_request *request = dns_request_new_tcp(f->link, &bytes);
    unsigned ended = 0;

    assert_non_null(request);
    dns_service_handle(f->service, request);
    memset(answers, 0, sizeof(*answers));
    struct tcp_link *link = tcp_mail_next(f->mail); /* as the thread does: posted once, read once */
    assert_ptr_equal(link, f->link);
    assert_true(tcp_link_take(link, answers, &ended));
    assert_int_equal(ended, 1);
    tcp_link_unref(link);
}

static unsigned rcode_of(const struct message *m)
{
    return m->data[3] & 15;
}

static uint64_t counted(const struct fixture *f, const char *zone, uint16_t type, uint16_t rcode)
{
    struct watch_count *counts = NULL;
    uint64_t found = 0;
    size_t n = 0;

    must(watch_counts(f->watch, &counts, &n));
    for (size_t i = 0; i < n; i++) {
        if (strcmp(counts[i].zone, zone) == 0 && counts[i].type == type &&
            counts[i].rcode == rcode) {
            found = counts[i].n;
        }
    }
    mem_free(counts);
    return found;
}

/* --- signatures that fail --------------------------------------------------------------------- */
/* The error of the answer's TSIG record, which is its end: error, other length, other data. */
static unsigned tsig_error(const struct message *m, size_t other_len)
{
    const uint8_t *p = m->data + m->len - other_len - 4;

    assert_int_equal(m->data[11], 1);
    assert_int_equal(p[2] << 8 | p[3], other_len);
    return (unsigned)p[0] << 8 | p[1];
}

static void test_bad_signatures(void **state)
{
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct message *answer = mem_zalloc(sizeof(*answer));
    struct tsig tsig;

    assert_non_null(m);
    assert_non_null(answer);
    make_message(m, UPDATE, "svc.test", SOA); /* no such key */
    size_t at = m->len;
    sign(f, m, 0, &tsig);
    m->data[at + 1] = 'x';
    ask(f, m, answer);
    assert_int_equal(rcode_of(answer), NOTAUTH);
    assert_int_equal(tsig_error(answer, 0), TSIG_BADKEY);
    assert_false(tsig_check_answer(&tsig, clock_unix_s(), answer->data, answer->len));

    make_message(m, UPDATE, "svc.test", SOA); /* something changed on the way */
    sign(f, m, 0, &tsig);
    m->data[13] = 'S';
    ask(f, m, answer);
    assert_int_equal(rcode_of(answer), NOTAUTH);
    assert_int_equal(tsig_error(answer, 0), TSIG_BADSIG);

    make_message(m, QUERY, "svc.test", AXFR); /* yesterday's; the answer is signed */
    sign(f, m, 24 * 3600, &tsig);
    ask(f, m, answer);
    assert_int_equal(rcode_of(answer), NOTAUTH);
    assert_int_equal(tsig_error(answer, 6), TSIG_BADTIME);

    make_message(m, UPDATE, "svc.test", SOA); /* two of them */
    sign(f, m, 0, &tsig);
    sign(f, m, 0, &tsig);
    ask(f, m, answer);
    assert_int_equal(rcode_of(answer), FORMERR);
    assert_int_equal(answer->data[11], 0);

    assert_int_equal(seen.updates, 0);
    assert_int_equal(seen.transfers, 0);
    assert_int_equal(counted(f, "svc.test", SOA, NOTAUTH), 2);
    assert_int_equal(counted(f, "svc.test", SOA, FORMERR), 1);
    assert_int_equal(counted(f, "svc.test", 252, NOTAUTH), 1);
    mem_free(m);
    mem_free(answer);
}

/* --- updates ---------------------------------------------------------------------------------- */
static void test_updates(void **state)
{
    static const struct {
        bool is_signed;
        uint8_t rcode;
    } rows[] = {{false, REFUSED}, {true, NOERROR}, {true, YXDOMAIN}};
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct message *answer = mem_zalloc(sizeof(*answer));

    assert_non_null(m);
    assert_non_null(answer);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct tsig tsig = {.is_present = false};
        make_message(m, UPDATE, "svc.test", SOA);
        size_t len = m->len;
        seen.rcode = rows[i].rcode;
        if (rows[i].is_signed) {
            sign(f, m, 0, &tsig);
        }
        ask(f, m, answer);
        assert_int_equal(seen.updates, i + 1);
        assert_int_equal(seen.is_verified, rows[i].is_signed);
        assert_string_equal(seen.client, rows[i].is_signed ? "both" : "");
        assert_int_equal(seen.packet_len, len);
        assert_int_equal(rcode_of(answer), rows[i].rcode);
        assert_int_equal(answer->data[11], rows[i].is_signed);
        if (rows[i].is_signed) {
            assert_true(tsig_check_answer(&tsig, clock_unix_s(), answer->data, answer->len));
        }
        assert_int_equal(counted(f, "svc.test", SOA, rows[i].rcode), 1);
    }
    mem_free(m);
    mem_free(answer);
}

/* An answer that leaves no room for its signature shrinks, truncated, and is signed. RFC 8945 §5.3 */
static void test_too_long(void **state)
{
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct message *answer = mem_zalloc(sizeof(*answer));
    struct tsig tsig;

    assert_non_null(m);
    assert_non_null(answer);
    make_message(m, UPDATE, "svc.test", SOA);
    size_t len = m->len;
    sign(f, m, 0, &tsig);
    seen.answer_len = CLIENT_PORTION;
    ask(f, m, answer);
    assert_true(answer->len <= CLIENT_PORTION);
    assert_int_equal(answer->data[2] & 2, 2);
    assert_int_equal(answer->data[5], 1);
    assert_memory_equal(answer->data + 12, m->data + 12, len - 12);
    assert_true(tsig_check_answer(&tsig, clock_unix_s(), answer->data, answer->len));
    /* To the octet: what fits with its signature is whole; unsigned, all of the limit is its own. */
    size_t room = m->len - len;
    for (size_t n = CLIENT_PORTION - room - 2; n <= CLIENT_PORTION + 1; n++) {
        bool fits = n + room <= CLIENT_PORTION;
        seen.answer_len = n;
        ask(f, m, answer);
        assert_int_equal(answer->len, (fits ? n : len) + room);
        assert_int_equal(answer->data[2] & 2, fits ? 0 : 2);
        assert_int_equal(answer->data[11], 1);
        assert_true(fits || /* the stand-in's octets are no records */
                    tsig_check_answer(&tsig, clock_unix_s(), answer->data, answer->len));
    }
    make_message(m, UPDATE, "svc.test", SOA);
    for (size_t n = CLIENT_PORTION - 1; n <= CLIENT_PORTION + 1; n++) {
        seen.answer_len = n;
        ask(f, m, answer);
        assert_int_equal(answer->len, n <= CLIENT_PORTION ? n : len);
    }
    mem_free(m);
    mem_free(answer);
}

/* --- everything else -------------------------------------------------------------------------- */
static void test_notify(void **state)
{
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct message *answer = mem_zalloc(sizeof(*answer));
    struct tsig tsig;

    assert_non_null(m);
    assert_non_null(answer);
    make_message(m, NOTIFY, "svc.test", SOA);
    ask(f, m, answer);
    assert_int_equal(rcode_of(answer), NOTIMP);
    assert_int_equal(answer->data[11], 0);
    sign(f, m, 0, &tsig);
    ask(f, m, answer);
    assert_int_equal(rcode_of(answer), NOTIMP);
    assert_true(tsig_check_answer(&tsig, clock_unix_s(), answer->data, answer->len));
    mem_free(m);
    mem_free(answer);
}

static void test_transfers(void **state)
{
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct tcp_queue answers;
    struct tsig tsig;

    assert_non_null(m);
    for (unsigned i = 0; i < 2; i++) {
        make_message(m, QUERY, "svc.test", i == 0 ? AXFR : IXFR);
        sign(f, m, 0, &tsig);
        seen.rcode = i == 0 ? NOERROR : REFUSED;
        ask_tcp(f, m, &answers);
        size_t n = 0;
        for (const struct tcp_out *o = answers.first; o != NULL; o = o->next) {
            n++;
            assert_int_equal(o->data[0] << 8 | o->data[1], o->len - 2);
            if (n == 1) {
                assert_true(tsig_check_answer(&tsig, clock_unix_s(), o->data + 2, o->len - 2));
            }
        }
        assert_int_equal(n, 3);
        assert_int_equal(seen.transfers, i + 1);
        assert_true(seen.is_verified);
        tcp_queue_clear(&answers);
    }
    assert_int_equal(counted(f, "svc.test", AXFR, NOERROR), 1);
    assert_int_equal(counted(f, "svc.test", IXFR, REFUSED), 1);
    mem_free(m);
}

static void test_may_transfer(void **state)
{
    static const struct {
        uint8_t net;
        const char *name;
        size_t cut;
        bool may;
    } rows[] = {{127, "svc.test", 0, false},
                {10, "a.svc.test", 0, false},
                {10, "svc.test", 5, false},  /* the name ends in the middle */
                {10, "svc.test", 14, false}, /* a header alone */
                {10, "SVC.test", 0, true}};
    struct fixture *f = *state;
    struct sockaddr_in6 nobody;
    const struct msghdr from = {.msg_name = &nobody, .msg_namelen = 0};
    struct message *m = mem_zalloc(sizeof(*m));

    assert_non_null(m);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        const struct ip_addr peer = {4, {rows[i].net, 0, 0, 1}};
        make_message(m, QUERY, rows[i].name, AXFR);
        const struct dns_request_bytes bytes = {
            .packet = m->data, .len = m->len - rows[i].cut, .peer = &peer};
        struct dns_request *request = dns_request_new_udp(f->socket, &from, &bytes);
        assert_non_null(request);
        assert_int_equal(dns_service_may_transfer(f->service, request), rows[i].may);
        dns_request_end(request);
    }
    mem_free(m);
}

static struct dns_request *arrive(struct fixture *f, const struct message *m)
{
    struct sockaddr_in6 nobody;
    const struct ip_addr peer = {4, {10, 0, 0, 1}};
    const struct msghdr from = {.msg_name = &nobody, .msg_namelen = 0};
    const struct dns_request_bytes bytes = {.packet = m->data, .len = m->len, .peer = &peer};
    struct dns_request *request = dns_request_new_udp(f->socket, &from, &bytes);

    assert_non_null(request);
    return request;
}

/* A transfer that may waits as it came, however long, and is allowed when its turn has come. */
static void test_allowed_transfers_wait(void **state)
{
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct tsig tsig;
    uint8_t out[512];
    size_t *len = NULL;

    assert_non_null(m);
    clock_hold(true);
    make_message(m, QUERY, "svc.test", AXFR);
    sign(f, m, 0, &tsig);
    struct dns_request *request = arrive(f, m);
    assert_true(dns_service_is_transfer_allowed(f->service, request));
    const uint8_t *packet = dns_request_bytes(request, &len);
    assert_int_equal(*len, m->len);
    assert_memory_equal(packet, m->data, m->len);
    assert_int_equal(recv(f->far, out, sizeof(out), MSG_DONTWAIT), -1);
    assert_int_equal(counted(f, "svc.test", AXFR, NOERROR), 0);
    clock_shift(3600 * INT64_C(1000)); /* longer than a signature is good for */
    dns_service_handle(f->service, request);
    assert_int_equal(seen.transfers, 1);
    assert_true(seen.is_verified);
    assert_int_equal(counted(f, "svc.test", AXFR, NOERROR), 1);
    assert_true(recv(f->far, out, sizeof(out), MSG_DONTWAIT) > 12);
    clock_hold(false);
    mem_free(m);
}

/* One that may not is refused at once, and once. */
static void test_others_do_not_wait(void **state)
{
    static const struct {
        bool is_signed, is_late;
        unsigned rcode, transfers; /* refusing is transfer_handle()'s */
    } rows[] = {{false, false, REFUSED, 1}, {true, true, NOTAUTH, 1}};
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct tsig tsig;
    uint8_t out[512];

    assert_non_null(m);
    seen.rcode = REFUSED;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        make_message(m, QUERY, "svc.test", AXFR);
        if (rows[i].is_signed) {
            sign(f, m, rows[i].is_late ? 3600 : 0, &tsig);
        }
        assert_false(dns_service_is_transfer_allowed(f->service, arrive(f, m)));
        assert_true(recv(f->far, out, sizeof(out), MSG_DONTWAIT) > 11);
        assert_int_equal(out[3] & 15, rows[i].rcode);
        assert_int_equal(recv(f->far, out, sizeof(out), MSG_DONTWAIT), -1);
        assert_int_equal(seen.transfers, rows[i].transfers);
        assert_int_equal(counted(f, "svc.test", AXFR, (uint16_t)rows[i].rcode), 1);
    }
    mem_free(m);
}

/* The query log has a transfer or update once, as one of a zone of ours. */
static void test_query_log(void **state)
{
    static const struct {
        unsigned opcode, type;
        const char *name;
        enum answer_reason reason;
    } rows[] = {{QUERY, AXFR, "nobodys.example", ANSWER_NOT_OURS},
                {UPDATE, SOA, "nobodys.example", ANSWER_NOT_OURS},
                {QUERY, AXFR, "a.svc.test", ANSWER_NODATA},
                {QUERY, AXFR, "svc.test", ANSWER_APEX},
                {QUERY, IXFR, "svc.test", ANSWER_APEX},
                {UPDATE, SOA, "svc.test", ANSWER_APEX}};
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct watch_entry *entries = NULL;
    struct tcp_queue answers;
    size_t n = 0;

    assert_non_null(m);
    watch_log_set(f->watch, true);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct tsig tsig;
        make_message(m, rows[i].opcode, rows[i].name, rows[i].type);
        sign(f, m, 0, &tsig);
        ask_tcp(f, m, &answers);
        tcp_queue_clear(&answers);
    }
    must(watch_log(f->watch, 2 * ARRAY_N(rows), &entries, &n));
    assert_int_equal(n, ARRAY_N(rows));
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(entries[i].name, rows[i].name);
        assert_int_equal(entries[i].type, rows[i].type);
        assert_int_equal(entries[i].reason, rows[i].reason);
        assert_int_equal(entries[i].verdict, ANSWER_WORK);
    }
    mem_free(entries);
    mem_free(m);
}

static void test_signed_questions(void **state)
{
    static const struct {
        const char *name;
        unsigned type, rcode, answers_n;
    } rows[] = {{"a.svc.test", A, NOERROR, 2},
                {"svc.test", SOA, NOERROR, 1},
                {"_acme-challenge.a.svc.test", TXT, NOERROR, 1},
                {"nobodys.example", A, REFUSED, 0}};
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct message *answer = mem_zalloc(sizeof(*answer));
    struct tsig tsig;

    assert_non_null(m);
    assert_non_null(answer);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        make_message(m, QUERY, rows[i].name, rows[i].type);
        m->data[2] |= 1; /* RD: nobody forwards for a signature */
        sign(f, m, 0, &tsig);
        ask(f, m, answer);
        assert_int_equal(rcode_of(answer), rows[i].rcode);
        assert_int_equal(answer->data[7], rows[i].answers_n);
        assert_true(tsig_check_answer(&tsig, clock_unix_s(), answer->data, answer->len));
        assert_int_equal(counted(f, rows[i].rcode == REFUSED ? "" : "svc.test",
                                 (uint16_t)rows[i].type, (uint16_t)rows[i].rcode),
                         1);
    }
    mem_free(m);
    mem_free(answer);
}

/* As long as UDP holds it with its signature, then truncated; whole over TCP. */
static void test_signed_long_answers(void **state)
{
    static const unsigned offers[] = {0, 512, 700, 1000, 1232, 4096};
    struct fixture *f = *state;
    struct message *m = mem_zalloc(sizeof(*m));
    struct message *answer = mem_zalloc(sizeof(*answer));
    struct tcp_queue answers;
    struct tsig tsig;

    assert_non_null(m);
    assert_non_null(answer);
    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        struct zone_value v = make_value(i, "a");
        must(zone_value_add(f->zones, "x.svc.test.acme.svc.test", &v, i));
        for (size_t k = 0; k < (i < 40 ? ARRAY_N(offers) : 0); k++) {
            size_t limit = offers[k] < 512 ? 512 : offers[k] > 1232 ? 1232 : offers[k];
            make_message(m, QUERY, "x.svc.test.acme.svc.test", TXT);
            m->len = offers[k] != 0 ? make_edns(m->data, m->len, offers[k], 0, 0) : m->len;
            sign(f, m, 0, &tsig);
            ask(f, m, answer);
            assert_true(answer->len <= limit);
            assert_int_equal((answer->data[2] & 2) != 0, answer->data[7] != i + 1);
            assert_true(answer->data[7] == i + 1 || answer->data[7] == 0);
            assert_true(tsig_check_answer(&tsig, clock_unix_s(), answer->data, answer->len));
        }
    }
    make_message(m, QUERY, "x.svc.test.acme.svc.test", TXT);
    sign(f, m, 0, &tsig);
    ask_tcp(f, m, &answers);
    assert_int_equal(answers.first->data[2 + 6] << 8 | answers.first->data[2 + 7], ZONE_VALUES_MAX);
    assert_true(
        tsig_check_answer(&tsig, clock_unix_s(), answers.first->data + 2, answers.first->len - 2));
    tcp_queue_clear(&answers);
    mem_free(m);
    mem_free(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad_signatures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_updates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notify, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transfers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_may_transfer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_allowed_transfers_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_do_not_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_query_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signed_questions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signed_long_answers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
