/* The failure table: per address, per minute, bounded. */
#include "core/access/access_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct ip_addr ip_of(const char *text)
{
    struct ip_addr ip = {0, {0}};

    assert_int_equal(ip_parse(text, &ip).code, ERR_OK);
    return ip;
}

static struct throttle *fresh(void)
{
    struct throttle *t = NULL;

    assert_int_equal(throttle_new(&t).code, ERR_OK);
    return t;
}

static void count(struct throttle *t, const char *peer, unsigned n, int64_t now_ms)
{
    struct ip_addr ip = ip_of(peer);

    for (unsigned i = 0; i < n; i++) {
        throttle_count(t, &ip, now_ms);
    }
}

static bool is_over(struct throttle *t, const char *peer, int64_t now_ms)
{
    struct ip_addr ip = ip_of(peer);

    return throttle_is_over(t, &ip, now_ms);
}

static void test_ten_in_a_minute(void **state)
{
    struct throttle *t = fresh();
    (void)state;

    count(t, "192.0.2.1", ACCESS_FAILURES_PER_MINUTE - 1, 1000);
    assert_false(is_over(t, "192.0.2.1", 1000));
    count(t, "192.0.2.1", 1, 60999);
    assert_true(is_over(t, "192.0.2.1", 60999));
    assert_false(is_over(t, "192.0.2.2", 60999));
    assert_false(is_over(t, "192.0.2.1", 61000));
    count(t, "192.0.2.1", 1, 61000); /* a new minute starts from nothing */
    assert_false(is_over(t, "192.0.2.1", 61000));
    throttle_free(t);
}

static void test_ipv6_counts_per_64(void **state)
{
    struct throttle *t = fresh();
    (void)state;

    for (unsigned i = 0; i < ACCESS_FAILURES_PER_MINUTE; i++) {
        char peer[40];
        (void)snprintf(peer, sizeof(peer), "2001:db8:1:2::%x", i);
        count(t, peer, 1, 0);
    }
    assert_true(is_over(t, "2001:db8:1:2:ffff::1", 1));
    assert_false(is_over(t, "2001:db8:1:3::1", 1));
    throttle_free(t);
}

static void test_a_flood_of_addresses_stays_bounded(void **state)
{
    struct throttle *t = fresh();
    unsigned over_n = 0;
    (void)state;

    for (unsigned i = 0; i < 100000; i++) {
        char peer[20];
        (void)snprintf(peer, sizeof(peer), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        count(t, peer, ACCESS_FAILURES_PER_MINUTE, (int64_t)(i / 10));
    }
    for (unsigned i = 0; i < 100000; i++) {
        char peer[20];
        (void)snprintf(peer, sizeof(peer), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        over_n += is_over(t, peer, 10000) ? 1u : 0u;
    }
    assert_true(over_n > THROTTLE_SETS * THROTTLE_WAYS / 2); /* the newest are still known */
    assert_true(over_n <= THROTTLE_SETS * THROTTLE_WAYS);
    assert_true(is_over(t, "10.1.134.159", 10000)); /* the very last */
    throttle_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ten_in_a_minute),
        cmocka_unit_test(test_ipv6_counts_per_64),
        cmocka_unit_test(test_a_flood_of_addresses_stays_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
