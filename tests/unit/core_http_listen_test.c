/* Listening sockets: the control socket, addresses in use, both families. */
#include "core_http_live.h"

/* --- sockets --- */

static void test_control_socket(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct stat st;
    char answer[ANSWER_MAX];

    assert_int_equal(stat(f->control, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    memcpy(sa.sun_path, f->control, strlen(f->control));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
    say(fd, "POST /admin HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            "GET /tell/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n");
    hear(fd, answer, "basic=", 1);
    has(answer, "\r\n\r\nabc");
    has(answer, "peer=none on=4");
    (void)close(fd);
}

/* A zone as text is longer than anything a network peer may send. */
static void test_long_bodies_on_the_control_socket(void **state)
{
    struct fixture *f = *state;
    static const struct {
        size_t len;
        const char *says;
    } cases[] = {
        {HTTP_DRAIN_MAX, "len=1048576 last=7."},
        {HTTP_DRAIN_MAX + 1, "len=1048577 last=7."},
        {LONG_MAX_BODY, "len=3145728 last=7."},
        {LONG_MAX_BODY + 1, "HTTP/1.1 413 "},
    };
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    memcpy(sa.sun_path, f->control, strlen(f->control));
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        char answer[ANSWER_MAX];
        char head[128];
        AUTO(mem_freep) char *body = mem_zalloc(cases[i].len);
        assert_non_null(body);
        body[cases[i].len - 1] = 7;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
        (void)snprintf(head, sizeof(head),
                       "POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                       cases[i].len);
        say(fd, head);
        put(fd, body, cases[i].len);
        hear(fd, answer, cases[i].says, 1);
        has(answer, cases[i].says);
        (void)close(fd);
    }
}

static void test_address_in_use(void **state)
{
    struct fixture *f = *state;
    const struct http_bind same_port = {HTTP_ON_PLAIN, {{4, {127, 0, 0, 1}}, f->port}, NULL};
    const struct http_bind same_socket = {HTTP_ON_CONTROL, {{0, {0}}, 0}, f->control};
    const struct http_bind elsewhere = {HTTP_ON_PLAIN, {{4, {192, 0, 2, 77}}, 0}, NULL};
    const struct http_bind file = {HTTP_ON_CONTROL, {{0, {0}}, 0}, "/etc/passwd"};
    char want[32];
    char long_path[200];
    struct http_server *server = NULL;

    (void)snprintf(want, sizeof(want), "127.0.0.1:%u", (unsigned)f->port);
    assert_int_equal(bind_only(&same_port, &server), ERR_BUSY);
    has(err_trace()->text, want);
    assert_int_equal(bind_only(&same_socket, &server), ERR_BUSY);
    has(err_trace()->text, f->control);
    assert_int_equal(bind_only(&elsewhere, &server), ERR_CONFIG);
    has(err_trace()->text, "192.0.2.77");
    assert_int_equal(bind_only(&file, &server), ERR_BUSY);
    memset(long_path, 'x', sizeof(long_path));
    long_path[0] = '/';
    long_path[sizeof(long_path) - 1] = '\0';
    const struct http_bind too_long = {HTTP_ON_CONTROL, {{0, {0}}, 0}, long_path};
    assert_int_equal(bind_only(&too_long, &server), ERR_CONFIG);
    assert_null(server);
}

/* A control socket that nobody answers is replaced; both families share a port; stop without
 * start. */
static void test_stale_socket_and_families(void **state)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct http_server *server = NULL;

    (void)state;
    (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "/tmp/http-stale-%d.sock", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
    (void)close(fd);
    const struct http_bind control = {HTTP_ON_CONTROL, {{0, {0}}, 0}, sa.sun_path};
    assert_int_equal(bind_only(&control, &server), ERR_OK);
    http_server_free(server);
    assert_int_equal(access(sa.sun_path, F_OK), -1);

    const struct http_bind four = {HTTP_ON_PLAIN, {{4, {0}}, 0}, NULL};
    assert_int_equal(bind_only(&four, &server), ERR_OK);
    uint16_t port = http_server_endpoint(server, 0).port;
    assert_true(port != 0);
    assert_int_equal(http_server_endpoint(server, 1).port, 0);
    struct http_server *other = NULL;
    const struct http_bind six = {HTTP_ON_PLAIN, {{6, {0}}, port}, NULL};
    assert_int_equal(bind_only(&six, &other), ERR_OK);
    http_server_free(other);
    http_server_free(server);
    http_server_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_control_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_bodies_on_the_control_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_in_use, setup, teardown),
        cmocka_unit_test(test_stale_socket_and_families),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
