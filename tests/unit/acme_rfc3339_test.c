#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "acme-server/rfc3339.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

static void test_bad(void **state)
{
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-01-02",
                                      "2026-01-02T03:04:05",
                                      "2026-01-02 03:04:05Z",
                                      "2026-01-02T03:04Z",
                                      "2026-1-2T03:04:05Z",
                                      "2026-00-02T03:04:05Z",
                                      "2026-13-02T03:04:05Z",
                                      "2026-02-29T03:04:05Z",
                                      "2100-02-29T03:04:05Z",
                                      "2026-04-31T03:04:05Z",
                                      "2026-01-00T03:04:05Z",
                                      "2026-01-02T24:00:00Z",
                                      "2026-01-02T03:60:05Z",
                                      "2026-01-02T03:04:60Z",
                                      "2026-01-02T03:04:05.Z",
                                      "2026-01-02T03:04:05Zx",
                                      "2026-01-02T03:04:05+0100",
                                      "2026-01-02T03:04:05+24:00",
                                      "1969-12-31T23:59:59Z",
                                      "-026-01-02T03:04:05Z",
                                      "99999-01-02T03:04:05Z"};
    int64_t out = 77;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        assert_int_equal(rfc3339_parse(bad[i], &out).code, ERR_MALFORMED);
        assert_int_equal(out, 77);
    }
}

static void test_good(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } rows[] = {{"1970-01-01T00:00:00Z", 0},
                {"2000-02-29T12:00:00Z", 951825600},
                {"2026-01-02T03:04:05Z", 1767323045},
                {"2026-01-02t03:04:05z", 1767323045},
                {"2026-01-02T03:04:05.123456789Z", 1767323045},
                {"2026-01-02T04:34:05+01:30", 1767323045},
                {"2026-01-01T22:04:05-05:00", 1767323045},
                {"9999-12-31T23:59:59Z", 253402300799}};
    int64_t out = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        assert_int_equal(rfc3339_parse(rows[i].text, &out).code, ERR_OK);
        assert_int_equal(out, rows[i].want);
    }
}

/* What the clock prints is read back. */
static void test_round_trip(void **state)
{
    char text[CLOCK_RFC3339_LEN + 1];
    int64_t out = 0;

    (void)state;
    for (int64_t t = 1; t < 253402300799; t += 86400 * 97 + 12345) {
        clock_rfc3339(t, text);
        assert_int_equal(rfc3339_parse(text, &out).code, ERR_OK);
        assert_int_equal(out, t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
