/* Whose turn it is: requests are never looked into, so any pointer stands for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"
#include "dns/work_turns.h"

static char requests[TURNS_MAX];

static struct ip_addr host(unsigned n)
{
    return (struct ip_addr){4, {192, 0, 2, (uint8_t)n}};
}

static bool put(struct turns *turns, unsigned from, enum turn_st st)
{
    struct ip_addr peer = host(from);

    return turns_put(turns, (struct dns_request *)&requests[turns->n], &peer, false, st);
}

static bool put_udp(struct turns *turns, unsigned from)
{
    struct ip_addr peer = host(from);

    return turns_put(turns, (struct dns_request *)&requests[turns->n], &peer, true, TURN_READY);
}

/* The host whose turn it is, which is over at once; 0: nobody's. */
static unsigned next(struct turns *turns)
{
    struct turn turn;

    if (!turns_next(turns, &turn)) {
        return 0;
    }
    turns_end(turns, turn.ticket);
    return turn.peer.bytes[3];
}

static int setup(void **state)
{
    *state = mem_zalloc(sizeof(struct turns));
    return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    mem_free(*state);
    return 0;
}

static void test_rounds(void **state)
{
    struct turns *turns = *state;

    assert_int_equal(next(turns), 0);
    for (unsigned i = 0; i < WORK_TRANSFER_PEER_MAX; i++) {
        assert_true(put(turns, 1, TURN_READY));
    }
    assert_false(put(turns, 1, TURN_READY));
    assert_int_equal(next(turns), 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(put(turns, 2, TURN_READY));
    }
    assert_true(put(turns, 3, TURN_READY));
    static const unsigned WANT[] = {1, 2, 3, 1, 2, 1, 2, 1, 1};
    for (size_t i = 0; i < ARRAY_N(WANT); i++) {
        assert_int_equal(next(turns), WANT[i]);
    }
    /* Who comes again and again has every second turn, not all. */
    assert_true(put(turns, 4, TURN_READY));
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(next(turns), 1);
        assert_int_equal(next(turns), 4);
        assert_true(put(turns, 4, TURN_READY));
    }
}

static void test_bounds(void **state)
{
    struct turns *turns = *state;
    struct turn running[WORK_TRANSFERS_MAX];
    struct turn more;

    for (unsigned i = 0; i < WORK_TRANSFER_QUEUE_MAX; i++) {
        assert_true(put(turns, 1 + i / WORK_TRANSFER_PEER_MAX, TURN_READY));
    }
    assert_false(put(turns, 200, TURN_READY));
    for (unsigned i = 0; i < WORK_TRANSFERS_MAX; i++) {
        assert_true(turns_next(turns, &running[i]));
        assert_int_equal(running[i].peer.bytes[3], 1 + i);
        assert_true(put(turns, 200, TURN_READY)); /* what runs does not wait */
    }
    assert_false(turns_next(turns, &more));
    assert_false(put(turns, 200, TURN_READY));
    turns_end(turns, running[0].ticket);
    assert_true(turns_next(turns, &more));
    assert_int_equal(more.peer.bytes[3], WORK_TRANSFERS_MAX + 1);
}

/* Whoever forges addresses takes neither one address's places nor all. */
static void test_datagrams_leave_places(void **state)
{
    struct turns *turns = *state;
    unsigned taken = 0;
    struct turn turn;

    for (unsigned from = 1; from <= 20; from++) {
        unsigned own = 0;
        for (unsigned i = 0; i < WORK_TRANSFER_PEER_MAX; i++) {
            own += put_udp(turns, from);
        }
        assert_true(own <= WORK_TRANSFER_UDP_PEER_MAX);
        taken += own;
    }
    assert_int_equal(taken, WORK_TRANSFER_UDP_MAX);
    for (unsigned i = WORK_TRANSFER_UDP_PEER_MAX; i < WORK_TRANSFER_PEER_MAX; i++) {
        assert_true(put(turns, 1, TURN_READY));
    }
    assert_false(put(turns, 1, TURN_READY));
    assert_true(turns_next(turns, &turn));
    assert_false(put_udp(turns, 30)); /* also while it is under way */
    turns_end(turns, turn.ticket);
    assert_true(put_udp(turns, 30));
}

static void test_one_address_is_not_all(void **state)
{
    struct turns *turns = *state;
    struct turn running[WORK_TRANSFERS_MAX];

    for (unsigned i = 0; i < WORK_TRANSFER_PEER_MAX; i++) {
        assert_true(put(turns, 1, TURN_READY));
    }
    for (unsigned i = 0; i < WORK_TRANSFERS_PEER_MAX; i++) {
        assert_true(turns_next(turns, &running[i]));
    }
    assert_int_equal(next(turns), 0);
    assert_true(put(turns, 2, TURN_READY));
    assert_true(put(turns, 2, TURN_READY));
    assert_int_equal(next(turns), 2);
    assert_int_equal(next(turns), 2);
    assert_int_equal(next(turns), 0);
    turns_end(turns, running[1].ticket);
    turns_end(turns, running[1].ticket); /* not a second time */
    assert_int_equal(next(turns), 1);
    assert_int_equal(turns->count[TURN_RUNNING], WORK_TRANSFERS_PEER_MAX - 1);
}

static void test_looked_at_first(void **state)
{
    struct turns *turns = *state;
    struct turn looked[WORK_CHECKS_MAX];
    struct turn more;

    assert_false(turns_next_check(turns, &more));
    for (unsigned i = 0; i <= WORK_CHECKS_MAX; i++) {
        assert_true(put(turns, 1 + i, TURN_ARRIVED));
    }
    assert_int_equal(next(turns), 0);
    for (unsigned i = 0; i < WORK_CHECKS_MAX; i++) {
        assert_true(turns_next_check(turns, &looked[i]));
        assert_int_equal(looked[i].peer.bytes[3], 1 + i);
    }
    assert_false(turns_next_check(turns, &more));
    turns_end(turns, looked[0].ticket); /* may not */
    turns_ready(turns, looked[2].ticket);
    turns_ready(turns, looked[1].ticket);
    assert_true(turns_next_check(turns, &more));
    assert_int_equal(more.peer.bytes[3], 1 + WORK_CHECKS_MAX);
    assert_int_equal(next(turns), 2);
    assert_int_equal(next(turns), 3);
    assert_int_equal(next(turns), 0);
    turns_ready(turns, looked[0].ticket); /* gone: nothing */
    assert_int_equal(turns->n, WORK_CHECKS_MAX - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_datagrams_leave_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_address_is_not_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_looked_at_first, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
