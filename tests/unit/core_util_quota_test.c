/* At most so many in each period, also when threads take together. */
#include "core/util/quota.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

#define THREADS 4
#define EACH 60000
#define ROUNDS 10u
#define SHARED_MAX QUOTA_MAX

static int take_many(struct quota *q, unsigned max, int64_t period_ms, int n)
{
    int got = 0;

    for (int i = 0; i < n; i++) {
        got += quota_take(q, max, period_ms);
    }
    return got;
}

static void test_so_many_in_each_period(void **state)
{
    struct quota q = {0};
    (void)state;

    clock_hold(true);
    assert_int_equal(take_many(&q, 5, 1000, 20), 5);
    clock_shift(1000);
    assert_int_equal(take_many(&q, 5, 1000, 3), 3);
    assert_int_equal(take_many(&q, 5, 1000, 3), 2);
    clock_shift(3600000); /* what was not taken is not saved up */
    assert_int_equal(take_many(&q, 5, 1000, 20), 5);
    clock_hold(false);
}

static void test_one_and_the_largest(void **state)
{
    struct quota q = {0};
    struct quota one = {0};
    (void)state;

    clock_hold(true);
    assert_int_equal(take_many(&one, 1, 60000, 20), 1);
    assert_int_equal(take_many(&q, QUOTA_MAX, 60000, QUOTA_MAX + 100), QUOTA_MAX);
    clock_shift(60000);
    assert_int_equal(take_many(&q, QUOTA_MAX, 60000, 10), 10);
    clock_hold(false);
}

static struct quota shared;
static atomic_int taken;
static pthread_barrier_t together;

static void *taker(void *arg)
{
    (void)arg;
    (void)pthread_barrier_wait(&together);
    atomic_fetch_add(&taken, take_many(&shared, SHARED_MAX, 1000, EACH));
    return NULL;
}

static void test_threads_take_no_more(void **state)
{
    pthread_t threads[THREADS];
    (void)state;

    assert_int_equal(pthread_barrier_init(&together, NULL, THREADS), 0);
    clock_hold(true);
    for (unsigned round = 0; round < ROUNDS; round++) {
        clock_shift(1000);
        atomic_store(&taken, 0);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, taker, NULL), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            (void)pthread_join(threads[i], NULL);
        }
        assert_int_equal(atomic_load(&taken), SHARED_MAX);
    }
    clock_hold(false);
    (void)pthread_barrier_destroy(&together);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_many_in_each_period),
        cmocka_unit_test(test_one_and_the_largest),
        cmocka_unit_test(test_threads_take_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
