/* The one source of time. */
#include "core/util/clock.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_rfc3339(void **state)
{
    static const struct {
        int64_t unix_s;
        const char *want;
    } CASES[] = {
        {INT64_MIN, "0000-01-01T00:00:00Z"},
        {-62167219201, "0000-01-01T00:00:00Z"},
        {253402300800, "9999-12-31T23:59:59Z"},
        {INT64_MAX, "9999-12-31T23:59:59Z"},
        {-62135596800, "0001-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {0, "1970-01-01T00:00:00Z"},
        {951782399, "2000-02-28T23:59:59Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {1767323045, "2026-01-02T03:04:05Z"},
        {4107542400, "2100-03-01T00:00:00Z"},
        {253402300799, "9999-12-31T23:59:59Z"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        char text[CLOCK_RFC3339_LEN + 1];
        clock_rfc3339(CASES[i].unix_s, text);
        assert_string_equal(text, CASES[i].want);
    }
}

static void test_shift_moves_both_clocks(void **state)
{
    int64_t unix_s = clock_unix_s();
    int64_t unix_ms = clock_unix_ms();
    int64_t mono_ms = clock_mono_ms();
    int64_t mono_ns = clock_mono_ns();

    (void)state;
    assert_true(unix_s > 1700000000 && unix_ms / 1000 - unix_s <= 1);
    clock_shift(3600000);
    assert_true(clock_unix_s() - unix_s >= 3600 && clock_unix_s() - unix_s < 3660);
    assert_true(clock_unix_ms() - unix_ms >= 3600000);
    assert_true(clock_mono_ms() - mono_ms >= 3600000);
    assert_true(clock_mono_ns() - mono_ns < 60000000000); /* measuring is not moved */
    clock_shift(-3600000);
    assert_true(clock_unix_s() - unix_s < 60);
    assert_true(clock_mono_ms() >= mono_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc3339),
        cmocka_unit_test(test_shift_moves_both_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
