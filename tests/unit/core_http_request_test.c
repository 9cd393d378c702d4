/* The pure parts of reading a request: methods, Basic credentials, X-Forwarded-For. */
#include "core/http/internal.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct basic_case {
    const char *header;
    enum err_code want;
    const char *user;
    const char *pass;
};

static const struct basic_case BASIC[] = {
    {"", ERR_NOT_FOUND, NULL, NULL},
    {"Bas", ERR_NOT_FOUND, NULL, NULL},
    {"Bearer YTpi", ERR_NOT_FOUND, NULL, NULL},
    {"BasicYTpi", ERR_NOT_FOUND, NULL, NULL},
    {"Basic", ERR_MALFORMED, NULL, NULL},
    {"Basic ", ERR_MALFORMED, NULL, NULL},
    {"Basic YWI=", ERR_MALFORMED, NULL, NULL},      /* "ab": no colon */
    {"Basic YTpi!", ERR_MALFORMED, NULL, NULL},     /* alphabet */
    {"Basic Y", ERR_MALFORMED, NULL, NULL},         /* impossible length */
    {"Basic YTpi YTpi", ERR_MALFORMED, NULL, NULL}, /* two */
    {"Basic YTpi\tx", ERR_MALFORMED, NULL, NULL},   /* tab */
    {"Basic YQA6Yg==", ERR_MALFORMED, NULL, NULL},  /* "a\0:b" */
    {"Basic YTpiAGM=", ERR_MALFORMED, NULL, NULL},  /* "a:b\0c" */
    {"Basic YQo6Yg==", ERR_MALFORMED, NULL, NULL},  /* "a\n:b" */
    {"Basic YTpifw==", ERR_MALFORMED, NULL, NULL},  /* "a:b\x7f" */
    {"Basic ====", ERR_MALFORMED, NULL, NULL},
    {"Basic YTpi", ERR_OK, "a", "b"},
    {"basic   YTpi  ", ERR_OK, "a", "b"},
    {"BASIC YTpiOmM=", ERR_OK, "a", "b:c"},
    {"Basic YTpiOmM", ERR_OK, "a", "b:c"}, /* without padding */
    {"Basic Og==", ERR_OK, "", ""},
    {"Basic w6Q6w7w=", ERR_OK, "\xc3\xa4", "\xc3\xbc"},
    {"Basic Pz8/Oj8_", ERR_OK, "???", "??"}, /* both alphabets */
};

static void test_basic(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(BASIC); i++) {
        char user[HTTP_BASIC_MAX] = "untouched";
        char pass[HTTP_BASIC_MAX] = "untouched";
        enum err_code code = http_basic_parse(BASIC[i].header, user, pass).code;
        if (code != BASIC[i].want) {
            fail_msg("case %zu (%s): %s", i, BASIC[i].header, err_name(code));
        }
        assert_string_equal(user, code == ERR_OK ? BASIC[i].user : "untouched");
        assert_string_equal(pass, code == ERR_OK ? BASIC[i].pass : "untouched");
    }
}

/* user and password of u and p characters. */
static enum err_code basic_of(size_t u, size_t p)
{
    AUTO(buf_clear) struct buf plain = BUF_INIT(100000);
    AUTO(buf_clear) struct buf header = BUF_INIT(200000);
    char user[HTTP_BASIC_MAX];
    char pass[HTTP_BASIC_MAX];

    for (size_t i = 0; i < u; i++) {
        buf_putc(&plain, 'u');
    }
    buf_putc(&plain, ':');
    for (size_t i = 0; i < p; i++) {
        buf_putc(&plain, 'p');
    }
    buf_puts(&header, "Basic ");
    base64_encode(&header, plain.data, plain.len);
    enum err_code code = http_basic_parse(buf_str(&header), user, pass).code;
    if (code == ERR_OK) {
        assert_int_equal(strlen(user), u);
        assert_int_equal(strlen(pass), p);
    }
    return code;
}

static void test_basic_lengths(void **state)
{
    (void)state;
    assert_int_equal(basic_of(256, 1), ERR_MALFORMED);
    assert_int_equal(basic_of(1, 256), ERR_MALFORMED);
    assert_int_equal(basic_of(0, 60000), ERR_MALFORMED);
    assert_int_equal(basic_of(255, 255), ERR_OK);
    assert_int_equal(basic_of(0, 255), ERR_OK);
}

static void test_no_connection(void **state)
{
    const struct http_req req = {.path = "/"};
    char user[HTTP_BASIC_MAX];
    char pass[HTTP_BASIC_MAX];

    (void)state;
    assert_null(http_header(&req, "Authorization"));
    assert_int_equal(http_basic(&req, user, pass).code, ERR_NOT_FOUND);
}

static void test_last_hop(void **state)
{
    static const struct {
        const char *value;
        const char *want; /* NULL: refused */
    } CASES[] = {
        {"", NULL},
        {",", NULL},
        {"10.0.0.1,", NULL},
        {"unknown", NULL},
        {"10.0.0.1, _hidden", NULL},
        {"10.0.0.1 10.0.0.2", NULL},
        {"10.0.0.256", NULL},
        {"10.0.0.1:99999", NULL},
        {"[::1", NULL},
        {"1111111111111111111111111111111111111111111111111111111111111111111111111", NULL},
        {"10.0.0.1", "10.0.0.1"},
        {"evil, 10.0.0.1", "10.0.0.1"},
        {"1.1.1.1,2.2.2.2 , 3.3.3.3  ", "3.3.3.3"},
        {"10.0.0.1:4711", "10.0.0.1"},
        {"fd00::1", "fd00::1"},
        {"[fd00::1]", "fd00::1"},
        {"[fd00::1]:4711", "fd00::1"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct ip_addr ip = {0, {0}};
        char text[IP_TEXT_MAX + 1] = "";
        bool is_read = http_last_hop(CASES[i].value, &ip);
        if (is_read != (CASES[i].want != NULL)) {
            fail_msg("case %zu: %s", i, CASES[i].value);
        }
        if (is_read) {
            ip_text(&ip, text);
            assert_string_equal(text, CASES[i].want);
        } else {
            assert_int_equal(ip.family, 0);
        }
    }
}

static void test_methods(void **state)
{
    static const char *const UNKNOWN[] = {"", "get", "GETX", "PATCH", "OPTIONS", "TRACE"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(UNKNOWN); i++) {
        assert_int_equal(http_method_of(UNKNOWN[i]), 0);
    }
    assert_int_equal(http_method_of("GET"), HTTP_GET);
    assert_int_equal(http_method_of("HEAD"), HTTP_HEAD);
    assert_int_equal(http_method_of("POST"), HTTP_POST);
    assert_int_equal(http_method_of("PUT"), HTTP_PUT);
    assert_int_equal(http_method_of("DELETE"), HTTP_DELETE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basic),         cmocka_unit_test(test_basic_lengths),
        cmocka_unit_test(test_no_connection), cmocka_unit_test(test_last_hop),
        cmocka_unit_test(test_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
