/* Building a response: headers that cannot be split, bounds. */
#include "core/http/internal.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_bad_headers(void **state)
{
    static const struct {
        const char *name;
        const char *value;
    } BAD[] = {
        {"", "x"},
        {"A B", "x"},
        {"A:", "x"},
        {"A\r\nB", "x"},
        {"A", "x\r\nB: y"},
        {"A", "x\n"},
        {"A", "\x7f"},
        {"A", "\x01"},
        {"Content-Length", "1"},
        {"connection", "x"},
        {"Transfer-Encoding", "chunked"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        struct http_resp resp;
        http_resp_init(&resp);
        http_resp_header(&resp, BAD[i].name, BAD[i].value);
        assert_true(resp.failed);
        assert_int_equal(resp.headers_n, 0);
        http_resp_clear(&resp);
    }
}

static void test_bounds(void **state)
{
    char value[2100];
    struct http_resp resp;

    (void)state;
    memset(value, 'x', sizeof(value));
    value[2049] = '\0';
    http_resp_init(&resp);
    http_resp_header(&resp, "A", value);
    assert_true(resp.failed);
    resp.failed = false;
    http_resp_headerf(&resp, "A", "%s", value);
    assert_true(resp.failed);
    resp.failed = false;
    value[2048] = '\0';
    for (unsigned i = 0; i < HTTP_HEADERS_MAX; i++) {
        http_resp_headerf(&resp, "A", "%s", value);
    }
    assert_false(resp.failed);
    http_resp_header(&resp, "B", "one too many");
    assert_true(resp.failed);
    assert_int_equal(resp.headers_n, HTTP_HEADERS_MAX);
    http_resp_clear(&resp);
    assert_int_equal(resp.headers_n, 0);
}

static void test_body(void **state)
{
    struct http_resp resp;

    (void)state;
    http_resp_init(&resp);
    assert_int_equal(resp.status, 200);
    buf_puts(&resp.body, "earlier");
    http_resp_text(&resp, 404, "text/plain", "gone");
    assert_int_equal(resp.status, 404);
    assert_string_equal(buf_str(&resp.body), "gone");
    assert_string_equal(resp.content_type, "text/plain");
    http_resp_headerf(&resp, "Retry-After", "%d", 5);
    assert_string_equal(resp.headers[0].value, "5");
    http_resp_clear(&resp);
}

static void test_allow(void **state)
{
    char text[64];

    (void)state;
    http_allow_text(0, text);
    assert_string_equal(text, "");
    http_allow_text(HTTP_POST, text);
    assert_string_equal(text, "POST");
    http_allow_text(HTTP_GET | HTTP_HEAD | HTTP_POST | HTTP_PUT | HTTP_DELETE, text);
    assert_string_equal(text, "GET, HEAD, POST, PUT, DELETE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_allow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
