#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/mem.h"
#include "dns/request_internal.h"
#include "dns/work.h"
#include "tests/unit/dns_maker.h"

enum { A = 1, IXFR = 251, AXFR = 252 };

/* A socket pair in place of the network: requests answer into far. */
struct fixture {
    struct dns_socket *socket;
    int far;
    struct work *work;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned transfers, transfers_most, others, ended;
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
    assert_int_equal(work_new(handle, f, &f->work).code, ERR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    work_free(f->work);
    work_free(NULL);
    assert_int_equal(f->socket->refs, 1); /* every request was ended */
    dns_socket_unref(f->socket);
    (void)close(f->far);
    (void)pthread_cond_destroy(&f->changed);
    (void)pthread_mutex_destroy(&f->lock);
    mem_free(f);
    return 0;
}

static struct dns_request *make_request(struct fixture *f, unsigned type, unsigned opcode)
{
    uint8_t query[512];
    struct sockaddr_in6 nobody;
    struct ip_addr peer = {4, {192, 0, 2, 1}};
    const struct msghdr from = {.msg_name = &nobody, .msg_namelen = 0};
    struct dns_request_bytes bytes = {.packet = query, .peer = &peer};

    bytes.len = make_query("svc.test", type, query);
    query[2] = (uint8_t)(opcode << 3);
    struct dns_request *request = dns_request_new_udp(f->socket, &from, &bytes);
    assert_non_null(request);
    return request;
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

    for (unsigned i = 0; i < WORK_QUEUE_MAX; i++) {
        assert_true(work_put(f->work, make_request(f, i % 2 == 0 ? A : AXFR, 0)));
    }
    struct dns_request *last = make_request(f, A, 5);
    assert_false(work_put(f->work, last));
    dns_request_end(last);
    assert_int_equal(f->ended, 0);
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
        assert_true(work_put(f->work, make_request(f, i % 2 == 0 ? AXFR : IXFR, 0)));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_are_handled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transfers_wait, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
