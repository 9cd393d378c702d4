#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/mem.h"
#include "dns/request_internal.h"
#include "dns/server_internal.h"
#include "dns/tcp_link.h"
#include "dns/work.h"
#include "tests/unit/dns_maker.h"

enum { A = 1, IXFR = 251, AXFR = 252 };

/* A socket pair in place of the network: requests answer into far. */
struct fixture {
    struct tcp_mail *mail;
    struct tcp_link *link;
    struct dns_socket *socket;
    int far;
    struct work *work;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned transfers, transfers_most, others, refused, ended;
    bool is_open; /* transfers may end */
};

static void handle(void *ctx, struct dns_request *request)
{
    struct fixture *f = ctx;
    size_t *len = NULL;
    const uint8_t *p = dns_request_bytes(request, &len);
    bool is_transfer = p[*len - 3] >= IXFR && (p[2] & 0x78) == 0;

    (void)pthread_mutex_lock(&f->lock);
    if (is_transfer) {
        f->transfers++;
        f->transfers_most = f->transfers > f->transfers_most ? f->transfers : f->transfers_most;
        (void)pthread_cond_broadcast(&f->changed);
        while (!f->is_open) {
            (void)pthread_cond_wait(&f->changed, &f->lock);
        }
        f->transfers--;
    } else {
        f->others++;
    }
    f->ended++;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    dns_request_end(request);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    int fds[2];

    assert_non_null(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    f->socket = dns_socket_new(fds[0], NULL);
    assert_non_null(f->socket);
    f->far = fds[1];
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_cond_init(&f->changed, NULL);
    assert_int_equal(tcp_mail_new(&f->mail).code, ERR_OK);
    f->link = tcp_link_new(f->mail, NULL);
    assert_non_null(f->link);
    assert_int_equal(work_new(handle, f, &f->work).code, ERR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    work_free(f->work);
    work_free(NULL);
    tcp_link_close(f->link);
    tcp_mail_close(f->mail);
    assert_int_equal(f->socket->refs, 1); /* every request was ended */
    dns_socket_unref(f->socket);
    (void)close(f->far);
    (void)pthread_cond_destroy(&f->changed);
    (void)pthread_mutex_destroy(&f->lock);
    mem_free(f);
    return 0;
}

static bool is_transfer_type(unsigned type, unsigned opcode)
{
    return opcode == 0 && (type == AXFR || type == IXFR);
}

static struct dns_request *make_request_by(struct fixture *f, bool is_tcp, unsigned host,
                                           unsigned type, unsigned opcode)
{
    uint8_t query[512];
    struct sockaddr_in6 nobody;
    struct ip_addr peer = {4, {192, 0, 2, (uint8_t)host}};
    const struct msghdr from = {.msg_name = &nobody, .msg_namelen = 0};
    struct dns_request_bytes bytes = {.packet = query, .peer = &peer};

    bytes.len = make_query("svc.test", type, query);
    query[2] = (uint8_t)(opcode << 3);
    struct dns_request *request = is_tcp ? dns_request_new_tcp(f->link, &bytes)
                                         : dns_request_new_udp(f->socket, &from, &bytes);
    assert_non_null(request);
    return request;
}

/* Transfers come by TCP, the others by UDP. */
static struct dns_request *make_request_from(struct fixture *f, unsigned host, unsigned type,
                                             unsigned opcode)
{
    return make_request_by(f, is_transfer_type(type, opcode), host, type, opcode);
}

static struct dns_request *make_request(struct fixture *f, unsigned type, unsigned opcode)
{
    return make_request_from(f, 1, type, opcode);
}

/* Only hosts below 100 may transfer. */
static bool may_transfer(void *ctx, struct dns_request *request)
{
    struct ip_addr peer = dns_request_peer(request);

    assert_non_null(ctx);
    assert_true(work_is_transfer(request));
    return peer.bytes[3] < 100;
}

/* False: it was not taken, and is ended. */
static bool put(struct fixture *f, struct dns_request *request)
{
    bool is_taken = work_put(f->work, request);

    if (!is_taken) {
        dns_request_end(request);
    }
    return is_taken;
}

static void wait_for(struct fixture *f, const unsigned *what, unsigned n)
{
    (void)pthread_mutex_lock(&f->lock);
    while (*what < n) {
        (void)pthread_cond_wait(&f->changed, &f->lock);
    }
    (void)pthread_mutex_unlock(&f->lock);
}

/* Nobody works yet: the queue takes what it holds, and what is left there is ended. */
static void test_full(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < WORK_QUEUE_UDP_MAX; i++) {
        assert_true(work_put(f->work, make_request(f, A, i % 2 == 0 ? 0 : 5)));
    }
    assert_false(put(f, make_request(f, A, 5)));
    assert_true(put(f, make_request(f, AXFR, 0))); /* has a place of its own */
    assert_int_equal(f->ended, 0);
}

/* Transfers take no place of the others, whoever asks for them. */
static void test_transfers_are_bounded(void **state)
{
    struct fixture *f = *state;
    unsigned taken[2] = {0, 0};

    work_gate(f->work, may_transfer, NULL);
    for (unsigned host = 0; host < 200; host++) {
        unsigned of_host = 0;
        for (unsigned i = 0; i < 70; i++) {
            of_host += put(f, make_request_from(f, host, i % 2 == 0 ? AXFR : IXFR, 0));
        }
        assert_true(of_host <= (host < 100 ? WORK_TRANSFER_PEER_MAX : WORK_REFUSALS_PEER_MAX));
        assert_true(host > 0 || of_host == 64); /* a secondary of 64 zones */
        taken[host / 100] += of_host;
    }
    assert_int_equal(taken[0], WORK_TRANSFER_QUEUE_MAX);
    assert_int_equal(taken[1], WORK_REFUSALS_MAX);
    for (unsigned i = 0; i < WORK_QUEUE_UDP_MAX; i++) {
        assert_true(put(f, make_request(f, A, 5)));
    }
    assert_false(put(f, make_request(f, A, 5)));
}

/* The far end's next message: its RCODE, or -1 for none. */
static int next_rcode(struct fixture *f)
{
    uint8_t out[512];
    ssize_t n = recv(f->far, out, sizeof(out), MSG_DONTWAIT);

    assert_true(n == -1 || n >= 12);
    return n == -1 ? -1 : out[3] & 15;
}

/* A transfer by UDP that finds no place hears SERVFAIL at once; what else finds none is dropped. */
static void test_no_place(void **state)
{
    struct fixture *f = *state;
    struct dns_shared *shared = mem_zalloc(sizeof(*shared));
    struct dns_asker *asker = mem_zalloc(sizeof(*asker));

    assert_non_null(shared);
    assert_non_null(asker);
    shared->work = f->work;
    asker->shared = shared;
    for (unsigned i = 0; i < WORK_TRANSFER_UDP_PEER_MAX; i++) {
        assert_true(dns_hand_over(asker, ANSWER_WORK, make_request_by(f, false, 1, IXFR, 0)));
    }
    assert_int_equal(next_rcode(f), -1);
    assert_true(dns_hand_over(asker, ANSWER_WORK, make_request_by(f, false, 1, IXFR, 0)));
    assert_int_equal(next_rcode(f), 2);
    for (unsigned i = 0; i < WORK_QUEUE_UDP_MAX; i++) {
        assert_true(dns_hand_over(asker, ANSWER_WORK, make_request(f, A, 5)));
    }
    assert_false(dns_hand_over(asker, ANSWER_WORK, make_request(f, A, 5)));
    assert_false(dns_hand_over(asker, ANSWER_WORK, NULL));
    assert_int_equal(next_rcode(f), -1);
    assert_int_equal(dns_counted(&asker->count.work_full), 2);
    assert_int_equal(dns_counted(&asker->count.work),
                     WORK_QUEUE_UDP_MAX + WORK_TRANSFER_UDP_PEER_MAX);
    mem_free(asker);
    mem_free(shared);
}

static void test_what_is_a_transfer(void **state)
{
    static const struct {
        unsigned type, opcode, cut;
        bool is_transfer;
    } rows[] = {{A, 0, 0, false},   {AXFR, 5, 0, false}, {AXFR, 4, 0, false}, {AXFR, 0, 3, false},
                {253, 0, 0, false}, {AXFR, 0, 0, true},  {IXFR, 0, 0, true}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dns_request *request = make_request(*state, rows[i].type, rows[i].opcode);
        size_t *len = NULL;
        (void)dns_request_bytes(request, &len);
        *len -= rows[i].cut;
        assert_int_equal(work_is_transfer(request), rows[i].is_transfer);
        dns_request_end(request);
    }
}

static void test_all_are_handled(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(work_start(f->work).code, ERR_OK);
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < 500; i++) {
            assert_true(work_put(f->work, make_request(f, A, 5)));
        }
        wait_for(f, &f->others, round * 500);
    }
}

/* Transfers that take forever leave threads for updates. */
static void test_transfers_wait(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(work_start(f->work).code, ERR_OK);
    for (unsigned i = 0; i < 40; i++) {
        assert_true(work_put(f->work, make_request_from(f, i / 4, i % 2 == 0 ? AXFR : IXFR, 0)));
    }
    wait_for(f, &f->transfers, WORK_TRANSFERS_MAX);
    for (unsigned i = 0; i < 200; i++) { /* an UPDATE's "type" may be anything */
        assert_true(work_put(f->work, make_request(f, i % 2 == 0 ? AXFR : A, 5)));
    }
    wait_for(f, &f->others, 200);
    (void)pthread_mutex_lock(&f->lock);
    assert_int_equal(f->transfers, WORK_TRANSFERS_MAX);
    f->is_open = true;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    wait_for(f, &f->ended, 240);
    assert_int_equal(f->transfers_most, WORK_TRANSFERS_MAX);
}

static void handle_refusals(void *ctx, struct dns_request *request)
{
    struct fixture *f = ctx;

    if (dns_request_peer(request).bytes[3] < 100) {
        handle(ctx, request);
        return;
    }
    (void)pthread_mutex_lock(&f->lock);
    f->refused++;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    dns_request_end(request);
}

/* Who may not transfer is told so while slow readers hold every place for transfers. */
static void test_refusals_do_not_wait(void **state)
{
    struct fixture *f = *state;

    work_free(f->work);
    assert_int_equal(work_new(handle_refusals, f, &f->work).code, ERR_OK);
    work_gate(f->work, may_transfer, NULL);
    assert_int_equal(work_start(f->work).code, ERR_OK);
    for (unsigned i = 0; i < 2 * WORK_TRANSFERS_MAX; i++) {
        assert_true(put(f, make_request_from(f, i, AXFR, 0)));
    }
    wait_for(f, &f->transfers, WORK_TRANSFERS_MAX);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(put(f, make_request_from(f, 100 + i, AXFR, 0)));
        wait_for(f, &f->refused, i + 1);
    }
    (void)pthread_mutex_lock(&f->lock);
    assert_int_equal(f->transfers, WORK_TRANSFERS_MAX);
    f->is_open = true;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    wait_for(f, &f->ended, 2 * WORK_TRANSFERS_MAX);
}

/* Hosts from 50 on turn out to be strangers. */
static bool is_allowed(void *ctx, struct dns_request *request)
{
    struct fixture *f = ctx;
    bool is_stranger = dns_request_peer(request).bytes[3] >= 50;

    if (is_stranger) {
        (void)pthread_mutex_lock(&f->lock);
        f->refused++;
        (void)pthread_cond_broadcast(&f->changed);
        (void)pthread_mutex_unlock(&f->lock);
        dns_request_end(request);
    }
    return !is_stranger;
}

/* Strangers take no turns, though nothing but their signature says what they are: with every place for
 * transfers taken they are refused at once, as many as come, and secondaries wait on. */
static void test_strangers_take_no_turns(void **state)
{
    struct fixture *f = *state;

    work_gate(f->work, may_transfer, is_allowed);
    assert_int_equal(work_start(f->work).code, ERR_OK);
    for (unsigned i = 0; i < WORK_TRANSFERS_MAX; i++) {
        assert_true(put(f, make_request_from(f, i, AXFR, 0)));
    }
    wait_for(f, &f->transfers, WORK_TRANSFERS_MAX);
    for (unsigned i = 0; i < 2 * WORK_TRANSFER_QUEUE_MAX; i++) {
        assert_true(put(f, make_request_from(f, 50 + i % 50, AXFR, 0)));
        wait_for(f, &f->refused, i + 1);
    }
    for (unsigned i = 0; i < WORK_TRANSFER_QUEUE_MAX; i++) {
        assert_true(put(f, make_request_from(f, i % 20, AXFR, 0)));
    }
    (void)pthread_mutex_lock(&f->lock);
    assert_int_equal(f->transfers, WORK_TRANSFERS_MAX);
    f->is_open = true;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    wait_for(f, &f->ended, WORK_TRANSFERS_MAX + WORK_TRANSFER_QUEUE_MAX);
    assert_true(f->transfers_most <= WORK_TRANSFERS_MAX);
}

/* A slow reader of many zones leaves a place for others. */
static void test_one_address_leaves_a_place(void **state)
{
    struct fixture *f = *state;

    work_gate(f->work, may_transfer, is_allowed);
    assert_int_equal(work_start(f->work).code, ERR_OK);
    for (unsigned i = 0; i < WORK_TRANSFER_PEER_MAX; i++) {
        assert_true(put(f, make_request(f, AXFR, 0)));
    }
    wait_for(f, &f->transfers, WORK_TRANSFERS_PEER_MAX);
    assert_true(put(f, make_request_from(f, 2, AXFR, 0)));
    wait_for(f, &f->transfers, WORK_TRANSFERS_PEER_MAX + 1);
    (void)pthread_mutex_lock(&f->lock);
    f->is_open = true;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->lock);
    wait_for(f, &f->ended, WORK_TRANSFER_PEER_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transfers_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_a_transfer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_are_handled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transfers_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals_do_not_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers_take_no_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_address_leaves_a_place, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
