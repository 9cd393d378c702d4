/* UDP threads of one endpoint answer for each other: what waits at the socket of a thread that does not run is
 * answered by the next one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dns/server_internal.h"
#include "tests/unit/dns_server_world.h"

#define SOCKETS 3
#define PEERS 64
#define ROUNDS_MAX 100

struct endpoint {
    struct dns_shared shared;
    struct zone_db *db;
    struct dns_udp udp[SOCKETS];
    struct sockaddr_in at;
};

static void open_endpoint(struct endpoint *e)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    socklen_t len = sizeof(e->at);
    int one = 1;

    memset(e, 0, sizeof(*e));
    assert_int_equal(zone_db_new(cfg, 100, &e->db).code, ERR_OK);
    config_free(cfg);
    const struct dns_server_options options = {.zones = e->db};
    assert_int_equal(dns_shared_init(&e->shared, &options).code, ERR_OK);
    e->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    for (size_t i = 0; i < SOCKETS; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&e->at, sizeof(e->at)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&e->at, &len), 0);
        assert_int_equal(dns_udp_init(&e->udp[i], &e->shared, fd, false).code, ERR_OK);
        e->udp[i].mates = e->udp;
        e->udp[i].mates_n = SOCKETS;
    }
}

static void close_endpoint(struct endpoint *e)
{
    for (size_t i = 0; i < SOCKETS; i++) {
        dns_udp_clear(&e->udp[i]);
    }
    dns_shared_clear(&e->shared);
    zone_db_free(e->db);
}

static bool is_answered(int fd)
{
    uint8_t answer[512];
    ssize_t n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

    return n > 12 && (answer[2] & 0x80) != 0;
}

/* Every peer asks again until it has its answer. A datagram for the thread's own socket makes it look at another,
 * so no number of rounds would do if it did not. */
static unsigned ask_until_answered(const struct endpoint *e, unsigned peers)
{
    static int fds[PEERS];
    static bool is_done[PEERS];
    uint8_t query[512];
    size_t n = make_query("a.svc.test", A, query);
    unsigned done = 0;

    memset(is_done, 0, sizeof(is_done));
    for (unsigned i = 0; i < peers; i++) {
        fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[i], (const struct sockaddr *)&e->at, sizeof(e->at)), 0);
    }
    for (unsigned round = 0; round < ROUNDS_MAX && done < peers; round++) {
        for (unsigned i = 0; i < peers; i++) {
            if (!is_done[i]) {
                assert_int_equal(send(fds[i], query, n, 0), (ssize_t)n);
            }
        }
        /* Somebody whose questions come to the running thread. */
        int knock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        for (unsigned i = 0; i < 2 * PEERS; i++) {
            (void)sendto(knock, query, n, 0, (const struct sockaddr *)&e->at, sizeof(e->at));
        }
        (void)close(knock);
        (void)usleep(10000);
        done = 0;
        for (unsigned i = 0; i < peers; i++) {
            is_done[i] = is_done[i] || is_answered(fds[i]);
            done += is_done[i];
        }
    }
    for (unsigned i = 0; i < peers; i++) {
        (void)close(fds[i]);
    }
    return done;
}

static void test_one_thread_answers_for_all(void **state)
{
    static struct endpoint e;
    struct dns_udp *running = &e.udp[1];

    (void)state;
    open_endpoint(&e);
    assert_int_equal(pthread_create(&running->thread, NULL, dns_udp_main, running), 0);
    assert_int_equal(ask_until_answered(&e, PEERS),
                     PEERS); /* the kernel spreads them over all three */
    atomic_store(&e.shared.is_stopping, true);
    dns_udp_wake(running);
    (void)pthread_join(running->thread, NULL);
    close_endpoint(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread_answers_for_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
