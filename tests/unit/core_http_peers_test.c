#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "core/http/peers.h"
#include "core/util/clock.h"

/* 0 after the other end was shut, -1 while it is open (the socket does not block). */
static ssize_t read_end(int fd)
{
    char byte = 0;
    return recv(fd, &byte, 1, MSG_DONTWAIT);
}

static void make_pairs(int pairs[][2], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);
    }
}

static void close_pairs(int pairs[][2], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)close(pairs[i][0]);
        (void)close(pairs[i][1]);
    }
}

static void test_only_those_who_waited_too_long_are_shut(void **state)
{
    struct peers *peers = NULL;
    struct peer *peer[4];
    int pairs[4][2];

    (void)state;
    assert_int_equal(peers_new(&peers).code, ERR_OK);
    make_pairs(pairs, 4);
    for (size_t i = 0; i < 3; i++) {
        peer[i] = peers_add(peers, pairs[i][0]);
        assert_non_null(peer[i]);
    }
    peers_busy(peers, peer[1]);
    clock_shift(PEERS_PATIENCE_MS + 1);
    peer[3] = peers_add(peers, pairs[3][0]);
    peers_busy(peers, peer[2]);
    peers_waiting(peers, peer[2]); /* answered: its patience starts anew */
    assert_int_equal(peers_shut_slow(peers), 1);
    assert_int_equal(read_end(pairs[0][1]), 0);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(read_end(pairs[i][1]), -1);
    }
    assert_int_equal(peers_shut_slow(peers), 0);
    clock_shift(PEERS_PATIENCE_MS + 1);
    assert_int_equal(peers_shut_slow(peers), 2);
    assert_int_equal(read_end(pairs[1][1]), -1); /* busy all the time */
    for (size_t i = 0; i < 4; i++) {
        assert_null(peers_remove(peers, peer[i]));
    }
    peers_free(peers);
    close_pairs(pairs, 4);
}

static void test_a_removed_peer_is_never_shut(void **state)
{
    struct peers *peers = NULL;
    int pairs[1][2];
    int kept = 0;

    (void)state;
    assert_int_equal(peers_new(&peers).code, ERR_OK);
    make_pairs(pairs, 1);
    struct peer *peer = peers_add(peers, pairs[0][0]);
    peer_keep(peer, &kept);
    assert_ptr_equal(peers_remove(peers, peer), &kept);
    assert_null(peers_remove(peers, NULL));
    clock_shift(PEERS_PATIENCE_MS + 1);
    assert_int_equal(peers_shut_slow(peers), 0);
    assert_int_equal(read_end(pairs[0][1]), -1);
    peers_free(peers);
    close_pairs(pairs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_those_who_waited_too_long_are_shut),
        cmocka_unit_test(test_a_removed_peer_is_never_shut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
