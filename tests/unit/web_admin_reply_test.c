/* Query strings of the admin API. */
#include "web/admin_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/log.h"
#include "core/util/mem.h"

static void bad_values_are_none(void **state)
{
    static const char *const queries[] = {
        "",
        "n",
        "name",
        "xname=a",
        "names=a",
        "a=name",
        "name",
        "name&x=1",
        "name=%",
        "name=a%2",
        "name=a%zz",
        "name=%00",
        "name=%0a",
        "name=a%7F",
        "name=a\tb",
        "name=abcdefghi",
        "name=%41%41%41%41%41%41%41%41%41",
    };
    char out[9];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(queries); i++) {
        if (admin_query_value(queries[i], "name", out, sizeof(out))) {
            fail_msg("%s", queries[i]);
        }
    }
}

static void values_are_decoded(void **state)
{
    static const struct {
        const char *query, *value;
    } cases[] = {
        {"name=", ""},           {"name=abcdefgh", "abcdefgh"}, {"x=1&name=a&name=b", "a"},
        {"name=a+b&x=%", "a+b"}, {"name=%2Ea%2e", ".a."},       {"name=%c3%A4", "\xc3\xa4"},
        {"&&name=%25&", "%"},    {"name=a=b", "a=b"},
    };
    char out[9];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        assert_true(admin_query_value(cases[i].query, "name", out, sizeof(out)));
        assert_string_equal(out, cases[i].value);
    }
}

static void numbers_have_a_range(void **state)
{
    static const char *const bad[] = {"n=",     "n=-1", "n=1a", "n=4097", "n=99999999999999999999",
                                      "n=%31%", "n= 1", "n=0x1"};
    static const struct {
        const char *query;
        size_t n;
    } good[] = {{"", 50}, {"m=1&no=2", 50}, {"n=0", 0}, {"n=4096", 4096}, {"a=b&n=%31%30", 10}};
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        if (admin_query_number(bad[i], "n", 50, 4096, &n).code != ERR_MALFORMED) {
            fail_msg("%s", bad[i]);
        }
        assert_non_null(strstr(err_trace()->text, "n: a whole number of at most 4096"));
    }
    for (size_t i = 0; i < ARRAY_N(good); i++) {
        assert_int_equal(admin_query_number(good[i].query, "n", 50, 4096, &n).code, ERR_OK);
        assert_int_equal(n, good[i].n);
    }
}

static void failures_have_their_status(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } cases[] = {
        {ERR_NOT_FOUND, 404}, {ERR_CONFLICT, 409},  {ERR_REJECTED, 409},
        {ERR_DENIED, 403},    {ERR_MALFORMED, 400}, {ERR_LIMIT, 400},
        {ERR_CONFIG, 400},    {ERR_IO, 500},        {ERR_INTERNAL, 500},
    };

    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct http_resp resp = {.body = BUF_INIT(4096)};
        const struct err e = err_set(cases[i].code, __FILE__, __LINE__, "it is so");
        admin_reply_err(&resp, e, "test.event");
        assert_int_equal(resp.status, cases[i].status);
        assert_non_null(strstr(buf_str(&resp.body), "\"detail\":\"it is so\""));
        buf_clear(&resp.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_values_are_none),
        cmocka_unit_test(values_are_decoded),
        cmocka_unit_test(numbers_have_a_range),
        cmocka_unit_test(failures_have_their_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
