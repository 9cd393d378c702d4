/* Limits and gauges: the window of one key, the table of keys, and both behind their lock. */
#include "acme-server/limits.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "acme-server/limits_internal.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

#define HOUR_MS (INT64_C(1000) * LIMITS_WINDOW_S)

/* --- the window ------------------------------------------------------------------------------- */

static void a_burst_leaves_together(void **state)
{
    struct window w = {0};

    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(0, window_wait_s(&w, 100, 60));
        window_add(&w, 100);
    }
    assert_int_equal(3600, window_wait_s(&w, 100, 60));
    assert_int_equal(3600, window_wait_s(&w, 100, 1)); /* the limit was lowered */
    assert_int_equal(0, window_wait_s(&w, 100, 61));
    assert_int_equal(1, window_wait_s(&w, 3699, 60));
    assert_int_equal(0, window_wait_s(&w, 3700, 60));
    window_add(&w, 3700);
    assert_int_equal(1, w.steps_n);
    assert_int_equal(0, window_wait_s(&w, 3700, 2));
    assert_int_equal(3600, window_wait_s(&w, 3700, 1));
}

/* Events a minute or more apart are told apart to the second. */
static void spaced_events_leave_one_by_one(void **state)
{
    struct window w = {0};

    (void)state;
    window_add(&w, 0);
    window_add(&w, 1000);
    window_add(&w, 2000);
    assert_int_equal(3600 - 2000, window_wait_s(&w, 2000, 3));
    assert_int_equal(4600 - 2000, window_wait_s(&w, 2000, 2));
    assert_int_equal(5600 - 2000, window_wait_s(&w, 2000, 1));
    assert_int_equal(0, window_wait_s(&w, 2000, 4));
    assert_int_equal(0, window_wait_s(&w, 3600, 3));
    window_add(&w, 3600);
    assert_int_equal(1000, window_wait_s(&w, 3600, 3));
    assert_int_equal(0, window_wait_s(&w, 100000, 1));
}

static void a_window_counts_without_end(void **state)
{
    struct window w = {0};

    (void)state;
    window_add(&w, 5);
    w.steps[w.first].events_n = UINT32_MAX;
    window_add(&w, 5);
    assert_int_equal(UINT32_MAX, w.steps[w.first].events_n);
    assert_int_equal(3600, window_wait_s(&w, 5, UINT32_MAX));
    assert_int_equal(0, window_wait_s(&w, 5, INT64_MAX));
}

/* Against the exact count of a list of times: never more than max in an hour; refused at most a
 * minute longer than need be; and the wait that was named is true. */
static void never_more_than_max_in_an_hour(void **state)
{
    static const struct {
        uint32_t gap_s;
        int64_t max;
    } cases[] = {{1, 1},   {1, 60}, {7, 60},   {59, 60}, {60, 60},
                 {61, 59}, {61, 5}, {13, 600}, {600, 5}};
    static uint32_t times[40000];

    (void)state;
    for (size_t c = 0; c < ARRAY_N(cases); c++) {
        struct window w = {0};
        size_t n = 0;
        size_t first = 0; /* of those in the hour */
        uint32_t promised = 0;
        for (uint32_t now = 0; now < 20000; now += cases[c].gap_s) {
            while (first < n && now - times[first] >= LIMITS_WINDOW_S) {
                first++;
            }
            uint32_t wait_s = window_wait_s(&w, now, cases[c].max);
            if (wait_s == 0) {
                window_add(&w, now);
                times[n++] = now;
                assert_true((int64_t)(n - first) <= cases[c].max);
                promised = 0;
                continue;
            }
            assert_in_range(wait_s, 1, LIMITS_WINDOW_S);
            assert_true(promised == 0 || now + wait_s == promised);
            promised = now + wait_s;
            assert_int_equal(0, window_wait_s(&w, promised, cases[c].max));
            assert_int_not_equal(0, window_wait_s(&w, promised - 1, cases[c].max));
            uint32_t exact = times[n - (size_t)cases[c].max] + LIMITS_WINDOW_S;
            assert_true(promised < exact + WINDOW_STEP_S);
        }
        assert_true(w.steps_n <= WINDOW_STEPS_MAX);
    }
}

/* --- the table -------------------------------------------------------------------------------- */

static void the_table_keeps_its_order(void **state)
{
    struct key_table *t = NULL;

    (void)state;
    assert_int_equal(ERR_OK, key_table_new(3, &t).code);
    assert_int_equal(KEY_TABLE_NONE, key_table_find(t, "a"));
    assert_int_equal(KEY_TABLE_NONE, key_table_oldest(t));
    uint32_t a = key_table_add(t, "a");
    uint32_t b = key_table_add(t, "b");
    uint32_t c = key_table_add(t, "");
    assert_true(a < 3 && b < 3 && c < 3 && a != b && b != c && a != c);
    assert_int_equal(KEY_TABLE_NONE, key_table_add(t, "d"));
    assert_int_equal(a, key_table_find(t, "a"));
    assert_int_equal(c, key_table_find(t, ""));
    assert_int_equal(KEY_TABLE_NONE, key_table_find(t, "A"));
    assert_int_equal(a, key_table_oldest(t));
    key_table_touch(t, a);
    assert_int_equal(b, key_table_oldest(t));
    key_table_touch(t, c); /* in the middle */
    assert_int_equal(b, key_table_oldest(t));
    key_table_remove(t, b);
    assert_int_equal(a, key_table_oldest(t));
    assert_int_equal(KEY_TABLE_NONE, key_table_find(t, "b"));
    assert_int_equal(b, key_table_add(t, "d"));
    key_table_remove(t, a);
    key_table_remove(t, b);
    key_table_remove(t, c);
    assert_int_equal(KEY_TABLE_NONE, key_table_oldest(t));
    key_table_free(t);
    key_table_free(NULL);
}

static void long_keys_are_told_apart(void **state)
{
    struct key_table *t = NULL;
    char key[LIMITS_KEY_MAX + 1];

    (void)state;
    assert_int_equal(ERR_OK, key_table_new(8, &t).code);
    memset(key, 'x', LIMITS_KEY_MAX);
    key[LIMITS_KEY_MAX] = '\0';
    uint32_t place = key_table_add(t, key);
    key[LIMITS_KEY_MAX - 1] = 'y';
    assert_int_equal(KEY_TABLE_NONE, key_table_find(t, key));
    key[LIMITS_KEY_MAX - 1] = 'x';
    assert_int_equal(place, key_table_find(t, key));
    key_table_free(t);
}

/* --- limits ----------------------------------------------------------------------------------- */

static struct limits *fresh(void)
{
    struct limits *limits = NULL;

    assert_int_equal(ERR_OK, limits_new(&limits).code);
    return limits;
}

static int64_t seconds(void)
{
    return clock_mono_ms() / 1000;
}

static void max_pass_and_the_next_is_refused(void **state)
{
    struct limits *limits = fresh();
    int64_t retry_s = -1;

    (void)state;
    int64_t began_s = seconds();
    for (unsigned i = 0; i < 60; i++) {
        assert_true(limits_take(limits, LIMIT_NEW_ACCOUNTS, "10.0.0.0/24", 60, &retry_s));
    }
    assert_int_equal(-1, retry_s);
    assert_false(limits_take(limits, LIMIT_NEW_ACCOUNTS, "10.0.0.0/24", 60, &retry_s));
    int64_t ended_s = seconds();
    assert_true(retry_s >= began_s + LIMITS_WINDOW_S - ended_s - 1);
    assert_in_range(retry_s, 1, LIMITS_WINDOW_S);
    assert_false(limits_allow(limits, LIMIT_NEW_ACCOUNTS, "10.0.0.0/24", 60, &retry_s));
    assert_true(limits_allow(limits, LIMIT_NEW_ACCOUNTS, "10.0.0.0/24", 61, &retry_s));
    assert_true(limits_allow(limits, LIMIT_NEW_ACCOUNTS, "10.0.0.0/24", 0, &retry_s));
    assert_true(limits_take(limits, LIMIT_NEW_ACCOUNTS, "10.0.0.0/24", 0, &retry_s));
    assert_true(limits_take(limits, LIMIT_NEW_ACCOUNTS, "10.0.1.0/24", 60, &retry_s));
    assert_true(limits_take(limits, LIMIT_ORDERS, "10.0.0.0/24", 60, &retry_s));

    assert_false(limits_allow(limits, LIMIT_NEW_ACCOUNTS, "10.0.0.0/24", 60, &retry_s));
    clock_shift(retry_s * 1000);
    assert_true(limits_allow(limits, LIMIT_NEW_ACCOUNTS, "10.0.0.0/24", 60, &retry_s));
    limits_free(limits);
    limits_free(NULL);
}

static void asking_counts_nothing_and_counting_asks_nothing(void **state)
{
    struct limits *limits = fresh();
    int64_t retry_s = 0;

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        assert_true(limits_allow(limits, LIMIT_FAILED_VALIDATIONS, "1 a.test", 1, &retry_s));
    }
    for (unsigned i = 0; i < 3; i++) { /* under way at the same time, all failed */
        limits_count(limits, LIMIT_FAILED_VALIDATIONS, "1 a.test", 1);
    }
    assert_false(limits_allow(limits, LIMIT_FAILED_VALIDATIONS, "1 a.test", 3, &retry_s));
    assert_true(limits_allow(limits, LIMIT_FAILED_VALIDATIONS, "1 a.test", 4, &retry_s));
    assert_true(limits_allow(limits, LIMIT_FAILED_VALIDATIONS, "1 b.test", 1, &retry_s));
    limits_count(limits, LIMIT_ORDERS, "1", 0); /* no limit, nothing to remember */
    assert_true(limits_allow(limits, LIMIT_ORDERS, "1", 1, &retry_s));
    clock_shift(HOUR_MS);
    assert_true(limits_allow(limits, LIMIT_FAILED_VALIDATIONS, "1 a.test", 1, &retry_s));
    limits_free(limits);
}

/* Memory is bounded: the key that was quiet the longest makes room. */
static void quiet_keys_are_forgotten(void **state)
{
    struct limits *limits = fresh();
    int64_t retry_s = 0;
    char key[32];

    (void)state;
    for (unsigned i = 0; i < LIMITS_KEYS_MAX; i++) {
        (void)snprintf(key, sizeof(key), "account %u", i);
        assert_true(limits_take(limits, LIMIT_ORDERS, key, 2, &retry_s));
    }
    assert_true(limits_take(limits, LIMIT_ORDERS, "account 0", 2, &retry_s)); /* not quiet */
    assert_true(limits_take(limits, LIMIT_ORDERS, "one more", 1, &retry_s));
    assert_false(limits_allow(limits, LIMIT_ORDERS, "one more", 1, &retry_s));
    assert_false(limits_allow(limits, LIMIT_ORDERS, "account 0", 2, &retry_s));
    assert_true(limits_allow(limits, LIMIT_ORDERS, "account 1", 1, &retry_s));
    for (unsigned i = 2; i < LIMITS_KEYS_MAX; i++) {
        (void)snprintf(key, sizeof(key), "account %u", i);
        assert_false(limits_allow(limits, LIMIT_ORDERS, key, 1, &retry_s));
    }
    /* A forgotten key's place starts from nothing. */
    assert_true(limits_take(limits, LIMIT_ORDERS, "yet another", 2, &retry_s));
    assert_true(limits_allow(limits, LIMIT_ORDERS, "yet another", 2, &retry_s));
    limits_free(limits);
}

static void network_keys(void **state)
{
    static const struct {
        const char *peer;
        const char *key;
    } cases[] = {
        {"10.1.2.3", "10.1.2.0/24"},
        {"255.255.255.255", "255.255.255.0/24"},
        {"::ffff:10.1.2.3", "10.1.2.0/24"},
        {"fd00:1:2:3:4:5:6:7", "fd00:1:2::/48"},
        {"fd00:1:2::", "fd00:1:2::/48"},
        {"::1", "::/48"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff::/48"},
    };
    char key[IP_TEXT_MAX + 5];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct ip_addr ip = {0};
        assert_int_equal(ERR_OK, ip_parse(cases[i].peer, &ip).code);
        limits_network_key(&ip, key);
        assert_string_equal(cases[i].key, key);
    }
}

static void every_limit_has_a_name(void **state)
{
    (void)state;
    assert_string_equal("new accounts per network", limit_name(LIMIT_NEW_ACCOUNTS));
    assert_string_equal("orders per account", limit_name(LIMIT_ORDERS));
    assert_string_equal("failed validations per account and identifier",
                        limit_name(LIMIT_FAILED_VALIDATIONS));
}

/* --- gauges ----------------------------------------------------------------------------------- */

static struct gauge *fresh_gauge(void)
{
    struct gauge *gauge = NULL;

    assert_int_equal(ERR_OK, gauge_new(&gauge).code);
    return gauge;
}

static void a_gauge_is_exact(void **state)
{
    struct gauge *gauge = fresh_gauge();

    (void)state;
    gauge_leave(gauge, "a"); /* never entered */
    assert_true(gauge_enter(gauge, "a", 2));
    assert_true(gauge_enter(gauge, "a", 2));
    assert_false(gauge_enter(gauge, "a", 2));
    assert_true(gauge_enter(gauge, "b", 1));
    gauge_leave(gauge, "a");
    assert_true(gauge_enter(gauge, "a", 2));
    assert_false(gauge_enter(gauge, "a", 2));
    assert_true(gauge_enter(gauge, "a", 0)); /* unlimited, but counted */
    assert_false(gauge_enter(gauge, "a", 3));
    for (unsigned i = 0; i < 3; i++) {
        gauge_leave(gauge, "a");
    }
    gauge_leave(gauge, "a");
    assert_true(gauge_enter(gauge, "a", 1));
    gauge_free(gauge);
    gauge_free(NULL);
}

static void a_full_gauge_refuses_new_keys(void **state)
{
    struct gauge *gauge = fresh_gauge();
    char key[32];

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < LIMITS_KEYS_MAX; i++) {
            (void)snprintf(key, sizeof(key), "target %u", i);
            assert_true(gauge_enter(gauge, key, 2));
        }
        assert_false(gauge_enter(gauge, "one more", 2));
        assert_true(gauge_enter(gauge, "target 7", 2));
        gauge_leave(gauge, "target 7");
        gauge_leave(gauge, "target 9");
        assert_true(gauge_enter(gauge, "one more", 2));
        gauge_leave(gauge, "one more");
        assert_true(gauge_enter(gauge, "target 9", 2));
        for (unsigned i = 0; i < LIMITS_KEYS_MAX; i++) {
            (void)snprintf(key, sizeof(key), "target %u", i);
            gauge_leave(gauge, key);
        }
    }
    gauge_free(gauge);
}

/* --- threads ---------------------------------------------------------------------------------- */

#define THREADS 4u
#define TRIES 2000u

struct shared {
    struct limits *limits;
    struct gauge *gauge;
    unsigned taken_n, entered_n;
};

static void *take_many(void *arg)
{
    struct shared *s = arg;
    int64_t retry_s = 0;
    char key[32];

    for (unsigned i = 0; i < TRIES; i++) {
        s->taken_n += limits_take(s->limits, LIMIT_ORDERS, "shared", 1000, &retry_s) ? 1u : 0u;
        (void)snprintf(key, sizeof(key), "key %u", i % 16);
        if (gauge_enter(s->gauge, key, THREADS)) {
            s->entered_n++;
            gauge_leave(s->gauge, key);
        }
        limits_count(s->limits, LIMIT_FAILED_VALIDATIONS, key, 10);
    }
    return NULL;
}

static void nobody_takes_a_place_twice(void **state)
{
    struct limits *limits = fresh();
    struct gauge *gauge = fresh_gauge();
    struct shared args[THREADS] = {0};
    pthread_t threads[THREADS];
    unsigned taken_n = 0;

    (void)state;
    for (size_t i = 0; i < THREADS; i++) {
        args[i].limits = limits;
        args[i].gauge = gauge;
        assert_int_equal(0, pthread_create(&threads[i], NULL, take_many, &args[i]));
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(0, pthread_join(threads[i], NULL));
        taken_n += args[i].taken_n;
        assert_int_equal(TRIES, args[i].entered_n); /* a thread is in once, so all four fit */
    }
    assert_int_equal(1000, taken_n);
    limits_free(limits);
    gauge_free(gauge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_leaves_together),
        cmocka_unit_test(spaced_events_leave_one_by_one),
        cmocka_unit_test(a_window_counts_without_end),
        cmocka_unit_test(never_more_than_max_in_an_hour),
        cmocka_unit_test(the_table_keeps_its_order),
        cmocka_unit_test(long_keys_are_told_apart),
        cmocka_unit_test(max_pass_and_the_next_is_refused),
        cmocka_unit_test(asking_counts_nothing_and_counting_asks_nothing),
        cmocka_unit_test(quiet_keys_are_forgotten),
        cmocka_unit_test(network_keys),
        cmocka_unit_test(every_limit_has_a_name),
        cmocka_unit_test(a_gauge_is_exact),
        cmocka_unit_test(a_full_gauge_refuses_new_keys),
        cmocka_unit_test(nobody_takes_a_place_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
