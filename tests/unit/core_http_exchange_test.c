/* Requests over real sockets on loopback: framing, body caps, answers. */
#include "core_http_live.h"

/* --- refusals --- */

static void test_errors(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request;
        const char *status;
        const char *also;
    } CASES[] = {
        {"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404",
         "error 404 on /nothing"},
        {"GET /admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404", "nothing at this"},
        {"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "405",
         "\r\nAllow: POST\r\n"},
        {"PATCH /tell/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "405",
         "\r\nAllow: GET, HEAD\r\n"},
        {"BREW /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404", "error 404"},
        {"GET /a/../echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "400", "two dots"},
        {"GET http://a/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "400", "slash"},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "400", "slash"},
        {"GET /tell/\x80 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "400", "character"},
        {"GET /tell/x HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", "400", "Host"},
        {"GET /tell/x HTTP/1.1\r\nHost: a\r\nX: \x01\r\nConnection: close\r\n\r\n", "400",
         "control"},
        {"GET /tell/x HTTP/1.1\r\n\r\n", "400", ""},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
         "400", ""},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n",
         "400", "Connection: close"},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: nine\r\n\r\n", "400", ""},
        {"DELETE /gone HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
         "413", "error 413"},
        {"GET /broken HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "500", "error 500"},
    };

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        char answer[ANSWER_MAX];
        char status[32];
        (void)snprintf(status, sizeof(status), "HTTP/1.1 %s ", CASES[i].status);
        ask(f, CASES[i].request, answer);
        has(answer, status);
        has(answer, CASES[i].also);
        has(answer, "\r\nContent-Length: ");
        has_not(answer, "X-Split");
    }
}

static void test_long_request_lines(void **state)
{
    struct fixture *f = *state;
    static const size_t LENGTHS[] = {HTTP_PATH_MAX, 9000, 40000};

    for (size_t i = 0; i < ARRAY_N(LENGTHS); i++) {
        AUTO(buf_clear) struct buf request = BUF_INIT(100000);
        char answer[ANSWER_MAX];
        buf_puts(&request, "GET /tell/");
        for (size_t k = 0; k < LENGTHS[i]; k++) {
            buf_putc(&request, 'x');
        }
        buf_puts(&request, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        ask(f, buf_str(&request), answer);
        has(answer, "HTTP/1.1 4");
    }
}

static void test_many_headers(void **state)
{
    struct fixture *f = *state;
    AUTO(buf_clear) struct buf request = BUF_INIT(100000);
    char answer[ANSWER_MAX];

    buf_puts(&request, "GET /tell/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    for (int i = 0; i < 70; i++) {
        buf_printf(&request, "X-%d: y\r\n", i);
    }
    buf_puts(&request, "\r\n");
    ask(f, buf_str(&request), answer);
    has(answer, "HTTP/1.1 400 ");
    has(answer, "more than 64 headers");
}

/* --- bodies --- */

static void put_post(struct buf *b, size_t len)
{
    buf_printf(b, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", len);
    for (size_t i = 0; i < len; i++) {
        buf_putc(b, (char)('a' + i % 26));
    }
}

static void test_body_caps(void **state)
{
    struct fixture *f = *state;
    static const size_t LENGTHS[] = {0, 1, ECHO_MAX, ECHO_MAX + 1, 100000, HTTP_DRAIN_MAX};
    int fd = dial(f->port);

    /* One connection for all of them: a refused body leaves it usable. */
    for (size_t i = 0; i < ARRAY_N(LENGTHS); i++) {
        AUTO(buf_clear) struct buf request = BUF_INIT(2 * HTTP_DRAIN_MAX);
        char answer[ANSWER_MAX];
        put_post(&request, LENGTHS[i]);
        assert_false(request.failed);
        put(fd, buf_str(&request), request.len);
        bool is_fine = LENGTHS[i] <= ECHO_MAX;
        const char *end = is_fine ? buf_str(&request) + request.len - LENGTHS[i] : "takes.";
        char until[ECHO_MAX + 5];
        (void)snprintf(until, sizeof(until), "%s%s", is_fine ? "\r\n\r\n" : "", end);
        hear(fd, answer, until, 1);
        has(answer, is_fine ? "HTTP/1.1 200 " : "HTTP/1.1 413 ");
        has(answer, until);
    }
    (void)close(fd);
}

static void test_huge_body_is_not_read(void **state)
{
    struct fixture *f = *state;
    char answer[ANSWER_MAX];
    int fd = dial(f->port);

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n");
    hear(fd, answer, TO_END, 1);
    has(answer, "HTTP/1.1 413 ");
    has(answer, "Connection: close");
    (void)close(fd);
}

static void test_chunked_bodies(void **state)
{
    struct fixture *f = *state;
    char answer[ANSWER_MAX];

    ask(f,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        answer);
    has(answer, "HTTP/1.1 200 ");
    has(answer, "\r\n\r\nhello world");

    AUTO(buf_clear) struct buf request = BUF_INIT(4 * HTTP_DRAIN_MAX);
    buf_puts(&request, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        buf_puts(&request, "a\r\n0123456789\r\n");
    }
    int fd = dial(f->port);
    buf_puts(&request, "0\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nagain");
    put(fd, buf_str(&request), request.len);
    hear(fd, answer, "\r\n\r\nagain", 1);
    has(answer, "HTTP/1.1 413 ");
    has(answer, "HTTP/1.1 200 ");
    (void)close(fd);

    /* Without an end: cut off after HTTP_DRAIN_MAX. */
    fd = dial(f->port);
    buf_reset(&request);
    buf_puts(&request, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < HTTP_DRAIN_MAX / 10 + 100; i++) {
        buf_puts(&request, "a\r\n0123456789\r\n");
    }
    put(fd, buf_str(&request), request.len);
    hear(fd, answer, TO_END, 1);
    has_not(answer, "200");
    (void)close(fd);
}

static void test_expect_continue(void **state)
{
    struct fixture *f = *state;
    char answer[ANSWER_MAX];
    int fd = dial(f->port);

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    hear(fd, answer, "\r\n\r\n", 1);
    has(answer, "HTTP/1.1 100 ");
    say(fd, "body");
    hear(fd, answer, "\r\n\r\nbody", 1);
    has(answer, "HTTP/1.1 200 ");
    (void)close(fd);
}

static void test_pipelined(void **state)
{
    struct fixture *f = *state;
    char answer[ANSWER_MAX];
    int fd = dial(f->port);

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecond");
    hear(fd, answer, "\r\n\r\nsecond", 1);
    const char *first = strstr(answer, "\r\n\r\nfirst");
    assert_non_null(first);
    assert_true(first < strstr(answer, "\r\n\r\nsecond"));
    (void)close(fd);
}

static void test_slow_body(void **state)
{
    struct fixture *f = *state;
    char answer[ANSWER_MAX];
    int fd = dial(f->port);

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n");
    hear(fd, answer, "100 Continue\r\n\r\n", 1);
    say(fd, "slow");
    say(fd, "body");
    hear(fd, answer, "slowbody", 1);
    has(answer, "HTTP/1.1 200 ");

    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n");
    hear(fd, answer, "100 Continue\r\n\r\n", 1);
    clock_shift((HTTP_IDLE_TIMEOUT_S + 1) * 1000);
    say(fd, "late");
    hear(fd, answer, TO_END, 1);
    assert_string_equal(answer, "");
    (void)close(fd);
}

/* A peer that goes away in mid-request leaves nothing behind (seen by the leak checker). */
static void test_broken_off(void **state)
{
    struct fixture *f = *state;
    static const char *const STARTS[] = {
        "",
        "G",
        "GET /tell/x HT",
        "GET /tell/x HTTP/1.1\r\nHo",
        "GET /tell/x HTTP/1.1\r\nno colon\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    const struct linger at_once = {1, 0};
    int fds[ARRAY_N(STARTS)];
    char answer[ANSWER_MAX];

    for (size_t i = 0; i < ARRAY_N(STARTS); i++) {
        fds[i] = dial(f->port);
        say(fds[i], STARTS[i]);
    }
    for (int i = 0; i < 4; i++) { /* meanwhile the server reads them, and serves others */
        ask(f, "GET /tell/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", answer);
        has(answer, "HTTP/1.1 200 ");
    }
    for (size_t i = 0; i < ARRAY_N(STARTS); i++) {
        (void)setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        (void)close(fds[i]);
    }
}

/* --- answers --- */

static void test_answer_headers(void **state)
{
    struct fixture *f = *state;
    char answer[ANSWER_MAX];

    ask(f,
        "GET /tell/a%2fb?x=%20&y HTTP/1.1\r\nHost: ca.test:99\r\nContent-Type: t/p\r\n"
        "Authorization: Basic YTpi\r\nX-Forwarded-For: 9.9.9.9\r\nConnection: close\r\n\r\n",
        answer);
    has(answer, "HTTP/1.1 200 ");
    has(answer, "\r\n\r\nm=1 path=/tell/a%2fb tail=a%2fb q=x=%20&y host=ca.test:99 type=t/p "
                "peer=127.0.0.1 on=2 basic=ok:a:b");
    has(answer, "\r\nX-Content-Type-Options: nosniff\r\n");
    has(answer, "\r\nContent-Type: text/plain\r\n");
    has(answer, "\r\nCache-Control: max-age=5\r\n");
    has_not(answer, "no-store");
    const char *id = strstr(answer, "\r\nX-Request-Id: ");
    assert_non_null(id);
    assert_int_equal(strspn(id + 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789-_"),
                     HTTP_REQUEST_ID_LEN);

    ask(f, "DELETE /gone HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", answer);
    has(answer, "HTTP/1.1 204 ");
    has(answer, "\r\nCache-Control: no-store\r\n");
}

static void test_head(void **state)
{
    struct fixture *f = *state;
    char answer[ANSWER_MAX];

    ask(f, "HEAD /tell/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", answer);
    has(answer, "HTTP/1.1 200 ");
    has(answer, "\r\nContent-Length: ");
    has_not(answer, "Content-Length: 0\r\n");
    has_not(answer, "path=");
    ask(f, "HEAD /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", answer);
    has(answer, "HTTP/1.1 404 ");
    has_not(answer, "error 404");
}

static void test_trusted_proxy(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *headers;
        const char *peer;
    } CASES[] = {
        {"", "peer=127.0.0.1 "},
        {"X-Forwarded-For: nonsense\r\n", "peer=127.0.0.1 "},
        {"X-Forwarded-For: 9.9.9.9\r\n", "peer=9.9.9.9 "},
        {"X-Forwarded-For: 8.8.8.8, 9.9.9.9\r\n", "peer=9.9.9.9 "},
        {"X-Forwarded-For: 8.8.8.8\r\nX-Forwarded-For: fd00::1\r\n", "peer=fd00::1 "},
    };

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        char request[512];
        char answer[ANSWER_MAX];
        (void)snprintf(request, sizeof(request),
                       "GET /tell/x HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
                       CASES[i].headers);
        ask(f, request, answer);
        has(answer, CASES[i].peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_request_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_caps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_huge_body_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunked_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expect_continue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelined, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_body, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answer_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trusted_proxy, setup_trusting, teardown),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
