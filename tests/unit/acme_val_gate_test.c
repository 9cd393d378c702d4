/* Turns: how many, in which order, and when one is over. */
#include "acme-server/val_gate.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct guest {
    struct val_turn turn;
    struct val_gate *gate;
    bool leaves_at_once;
    unsigned begun_n, over_n;
};
#define LATE_N 1000
struct house {
    struct loop *loop;
    struct val_gate *gate;
    struct guest in[VAL_TURNS_MAX];
    struct guest late[LATE_N];
};
#define MANY "AAAAAAAAAAAAAAAAAAAAAA" /* the account with many attempts */

static void on_begin(void *arg)
{
    struct guest *guest = arg;

    guest->begun_n++;
    if (guest->leaves_at_once) {
        val_gate_leave(guest->gate, &guest->turn);
    }
}

static void on_over(void *arg)
{
    struct guest *guest = arg;

    guest->over_n++;
    val_gate_leave(guest->gate, &guest->turn); /* as an attempt that ends does: nothing happens */
}

static bool come_as(struct house *house, struct guest *guest, const char *account_id)
{
    guest->turn.account_id = account_id;
    guest->turn.begin = on_begin;
    guest->turn.over = on_over;
    guest->turn.arg = guest;
    guest->gate = house->gate;
    return val_gate_enter(house->gate, &guest->turn);
}

static bool come(struct house *house, struct guest *guest)
{
    return come_as(house, guest, MANY);
}

static int setup(void **state)
{
    struct house *house = mem_zalloc(sizeof(*house));

    assert_int_equal(loop_new(&house->loop).code, ERR_OK);
    assert_int_equal(val_gate_new(house->loop, &house->gate).code, ERR_OK);
    for (size_t i = 0; i < VAL_TURNS_MAX; i++) {
        assert_true(come(house, &house->in[i]));
    }
    *state = house;
    return 0;
}

static int teardown(void **state)
{
    struct house *house = *state;

    val_gate_free(house->gate);
    loop_free(house->loop);
    mem_free(house);
    return 0;
}

static void run(struct house *house)
{
    while (loop_run_once(house->loop, 0) > 0) {
    }
}

static void test_who_waits_comes_when_one_leaves(void **state)
{
    struct house *house = *state;
    struct guest *late = house->late;

    late[0].leaves_at_once = true;
    for (size_t i = 0; i < 3; i++) {
        assert_false(come(house, &late[i]));
    }
    run(house);
    assert_int_equal(late[0].begun_n, 0);
    val_gate_leave(house->gate, &house->in[7].turn);
    val_gate_leave(house->gate, &house->in[7].turn);
    assert_int_equal(late[0].begun_n, 0); /* nothing is called from inside */
    run(house);
    assert_int_equal(late[0].begun_n, 1); /* the first one, gone again: so the second, too */
    assert_int_equal(late[1].begun_n, 1);
    assert_int_equal(late[2].begun_n, 0);
    val_gate_leave(house->gate, &late[2].turn); /* it waits no more */
    val_gate_leave(house->gate, &house->in[8].turn);
    run(house);
    assert_int_equal(late[2].begun_n, 0);
    assert_true(come(house, &late[2])); /* a free turn and nobody before it */
}

static void test_a_turn_ends_only_while_others_wait(void **state)
{
    struct house *house = *state;
    struct guest *late = house->late;

    clock_shift(10 * VAL_TURN_MS);
    run(house);
    for (size_t i = 0; i < VAL_TURNS_MAX; i++) {
        assert_int_equal(house->in[i].over_n, 0);
    }
    assert_false(come(house, &late[0]));
    run(house);
    assert_int_equal(house->in[0].over_n, 1); /* the oldest, and it alone */
    assert_int_equal(house->in[1].over_n, 0);
    assert_int_equal(late[0].begun_n, 1);
    clock_shift(-10 * VAL_TURN_MS);
}

/* The clock is put back meanwhile, so that a slow machine ends no turn. */
#define LONG_MS 3600000

static void test_a_turn_lasts_long_enough(void **state)
{
    struct house *house = *state;
    struct guest *late = house->late;

    clock_shift(LONG_MS);
    for (size_t i = 0; i < VAL_TURNS_MAX; i++) {
        val_gate_leave(house->gate, &house->in[(i + 1) % VAL_TURNS_MAX].turn);
        assert_true(come(house, &house->in[(i + 1) % VAL_TURNS_MAX])); /* 1 first, 0 last */
    }
    clock_shift(-LONG_MS);
    assert_false(come(house, &late[0]));
    run(house);
    assert_int_equal(late[0].begun_n, 0);
    clock_shift(LONG_MS + VAL_TURN_MS);
    run(house);
    assert_int_equal(late[0].begun_n, 1);
    assert_int_equal(house->in[0].over_n, 0);
    assert_int_equal(house->in[1].over_n, 1);
    clock_shift(-LONG_MS - VAL_TURN_MS);
}

/* One account's thousand peers never answer; another account's attempt comes last of all and waits
 * for about one turn. The clock is put back first, so that a slow machine ends none. */
static void test_one_account_is_not_in_the_way(void **state)
{
    struct house *house = *state;
    struct guest honest = {.leaves_at_once = true};

    for (size_t i = 0; i < LATE_N; i++) {
        assert_false(come(house, &house->late[i]));
    }
    assert_false(come_as(house, &honest, "honest"));
    clock_shift(-LONG_MS);
    run(house);
    assert_int_equal(honest.begun_n, 0);
    clock_shift(LONG_MS + VAL_TURN_MS); /* all turns have lasted long enough: one by one they end */
    while (house->in[1].over_n == 0) {
        (void)loop_run_once(house->loop, 0);
    }
    (void)loop_run_once(house->loop, 0);
    (void)loop_run_once(house->loop, 0);
    assert_int_equal(house->late[0].begun_n, 1);
    assert_int_equal(honest.begun_n, 1); /* the second one of all */
    assert_int_equal(house->late[2].begun_n, 0);
    clock_shift(-VAL_TURN_MS);
}

/* Round and round, in the order in which the accounts came; each one's own in the order of theirs. */
static void test_round_and_round(void **state)
{
    static const struct {
        size_t guest;
        const char *account_id;
    } LINE[] = {{0, MANY}, {1, MANY}, {2, "b"}, {3, MANY}, {4, "c"}, {5, "b"}};
    static const size_t ORDER[] = {0, 2, 4, 1, 5, 3};
    struct house *house = *state;

    for (size_t i = 0; i < ARRAY_N(LINE); i++) {
        assert_false(come_as(house, &house->late[LINE[i].guest], LINE[i].account_id));
    }
    for (size_t i = 0; i < ARRAY_N(ORDER); i++) {
        val_gate_leave(house->gate, &house->in[i].turn);
        run(house);
        for (size_t k = 0; k < ARRAY_N(ORDER); k++) {
            assert_int_equal(house->late[ORDER[k]].begun_n, k <= i ? 1 : 0);
        }
    }
}

/* Whoever goes while waiting, first or behind, takes nobody with it. */
static void test_who_waits_goes(void **state)
{
    struct house *house = *state;
    struct guest *late = house->late;
    static const size_t GOING[] = {0, 2, 5};

    for (size_t i = 0; i < 6; i++) {
        assert_false(come_as(house, &late[i], i < 4 ? MANY : "b"));
    }
    for (size_t i = 0; i < ARRAY_N(GOING); i++) {
        val_gate_leave(house->gate, &late[GOING[i]].turn);
        val_gate_leave(house->gate, &late[GOING[i]].turn);
    }
    for (size_t i = 0; i < 4; i++) {
        val_gate_leave(house->gate, &house->in[i].turn);
    }
    run(house);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(late[i].begun_n, i == 1 || i == 3 || i == 4 ? 1 : 0);
    }
    assert_true(come(house, &late[0])); /* nobody waits, a turn is free */
}

int main(void)
{
#define ON_HOUSE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_HOUSE(test_who_waits_comes_when_one_leaves),
        ON_HOUSE(test_a_turn_ends_only_while_others_wait),
        ON_HOUSE(test_a_turn_lasts_long_enough),
        ON_HOUSE(test_one_account_is_not_in_the_way),
        ON_HOUSE(test_round_and_round),
        ON_HOUSE(test_who_waits_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
