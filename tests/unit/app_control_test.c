/* The control socket's client side against a server that says one thing. */
#include "bailiwick/control.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/util/mem.h"

static char dir[] = "/tmp/bw_control_XXXXXX";
static char socket_path[100];

struct server {
    int listener;
    const char *answer;
    char request[4096];
};

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(socket_path, sizeof(socket_path), "%s/control.sock", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    (void)unlink(socket_path);
    return rmdir(dir);
}

static int listen_here(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

/* One connection: read the head (and the little body behind it), answer, close. */
static void *serve_once(void *arg)
{
    struct server *server = arg;
    int fd = accept(server->listener, NULL, NULL);
    size_t len = 0;

    while (fd >= 0 && len < sizeof(server->request) - 1) {
        ssize_t n = read(fd, server->request + len, sizeof(server->request) - 1 - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
        const char *body = strstr(server->request, "\r\n\r\n");
        bool has_body = strstr(server->request, "Content-Length") != NULL;
        if (body != NULL && (!has_body || strchr(body, '}') != NULL)) {
            break;
        }
    }
    if (fd >= 0) {
        (void)!write(fd, server->answer, strlen(server->answer));
        (void)close(fd);
    }
    return NULL;
}

/* Ask a server that answers `answer`; server->request holds what it got. */
static struct err ask(struct server *server, const char *answer, const char *method,
                      const json_t *body, json_t **reply)
{
    struct config cfg = {.state_dir = dir};
    pthread_t thread;

    memset(server, 0, sizeof(*server));
    server->answer = answer;
    server->listener = listen_here();
    assert_int_equal(pthread_create(&thread, NULL, serve_once, server), 0);
    struct err e = control_request(&cfg, method, "/api/v1/clients", body, reply);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(close(server->listener), 0);
    assert_int_equal(unlink(socket_path), 0);
    return e;
}

static void no_daemon_is_not_found(void **state)
{
    struct config cfg = {.state_dir = dir};
    json_t *reply = NULL;

    (void)state;
    assert_int_equal(control_request(&cfg, "GET", "/x", NULL, &reply).code, ERR_NOT_FOUND);
    assert_int_equal(close(listen_here()), 0); /* a stale socket */
    assert_int_equal(control_request(&cfg, "GET", "/x", NULL, &reply).code, ERR_NOT_FOUND);
    assert_non_null(strstr(err_trace()->text, "bailiwick serve"));
    assert_int_equal(unlink(socket_path), 0);
    assert_null(reply);
}

static void other_failures_are_told_apart(void **state)
{
    struct server server;
    json_t *reply = NULL;

    (void)state;
    assert_int_equal(ask(&server, "nonsense\r\n\r\n", "GET", NULL, &reply).code, ERR_IO);
    assert_int_equal(ask(&server, "", "GET", NULL, &reply).code, ERR_IO);
    assert_int_equal(
        ask(&server, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{{{", "GET", NULL, &reply).code,
        ERR_MALFORMED);
    assert_int_equal(ask(&server,
                         "HTTP/1.1 409 Conflict\r\nContent-Length: 22\r\n\r\n"
                         "{\"detail\":\"it exists, twice\"}",
                         "GET", NULL, &reply)
                         .code,
                     ERR_MALFORMED); /* cut short */
    assert_int_equal(ask(&server,
                         "HTTP/1.1 409 Conflict\r\nContent-Length: 22\r\n\r\n"
                         "{\"detail\":\"it exists\"}",
                         "GET", NULL, &reply)
                         .code,
                     ERR_REJECTED);
    assert_string_equal(err_trace()->text, "it exists");
    assert_null(reply);
}

static void answers_come_back(void **state)
{
    struct server server;
    AUTO(json_decrefp) json_t *reply = NULL;
    AUTO(json_decrefp) json_t *nothing = NULL;
    AUTO(json_decrefp) json_t *body = json_pack("{s:s}", "name", "traefik");

    (void)state;
    struct err e =
        ask(&server, "HTTP/1.1 201 Created\r\nContent-Length: 14\r\n\r\n{\"secret\":\"x\"}", "POST",
            body, &reply);
    assert_int_equal(e.code, ERR_OK);
    assert_string_equal(json_string_value(json_object_get(reply, "secret")), "x");
    assert_non_null(strstr(server.request, "POST /api/v1/clients HTTP/1.1\r\n"));
    assert_non_null(strstr(server.request, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(server.request, "\r\n\r\n{\"name\":\"traefik\"}"));

    e = ask(&server, "HTTP/1.1 204 No Content\r\n\r\n", "DELETE", NULL, &nothing);
    assert_int_equal(e.code, ERR_OK);
    assert_null(nothing);
    assert_non_null(strstr(server.request, "DELETE /api/v1/clients HTTP/1.1\r\n"));
}

/* Bodies and answers that are no JSON. */
static void texts_come_and_go(void **state)
{
    struct config cfg = {.state_dir = dir};
    struct server server = {.answer = "HTTP/1.1 418 No\r\nContent-Length: 5\r\n\r\na\n\x80"
                                      "bc"};
    const struct control_call call = {.method = "POST",
                                      .path = "/api/v1/zones/./import?label=a",
                                      .content_type = "text/dns",
                                      .body = "x A 10.0.0.1 ; }",
                                      .body_len = 16,
                                      .timeout_s = 20};
    struct buf answer = BUF_INIT(5);
    struct buf small = BUF_INIT(4);
    pthread_t thread;
    long status = 0;

    (void)state;
    for (int i = 0; i < 2; i++) {
        memset(server.request, 0, sizeof(server.request));
        server.listener = listen_here();
        assert_int_equal(pthread_create(&thread, NULL, serve_once, &server), 0);
        struct err e = control_exchange(&cfg, &call, i == 0 ? &answer : &small, &status);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(close(server.listener), 0);
        assert_int_equal(unlink(socket_path), 0);
        assert_int_equal(e.code, i == 0 ? ERR_OK : ERR_IO);
    }
    assert_int_equal(status, 418);
    assert_string_equal(buf_str(&answer), "a\n\x80"
                                          "bc");
    assert_non_null(strstr(server.request, "POST /api/v1/zones/./import?label=a HTTP/1.1\r\n"));
    assert_non_null(strstr(server.request, "Content-Type: text/dns\r\n"));
    assert_null(strstr(server.request, "Expect"));
    assert_non_null(strstr(server.request, "\r\n\r\nx A 10.0.0.1 ; }"));
    assert_int_equal(control_refused(&answer).code, ERR_REJECTED);
    assert_string_equal(err_trace()->text, "the daemon refused without a reason");
    buf_clear(&answer);
    buf_clear(&small);
}

static void escaped_text_stands_in_a_query(void **state)
{
    struct buf out = BUF_INIT(256);

    (void)state;
    control_escape(&out, "a-Z_0.~ &=%\\\xc3\n");
    assert_string_equal(buf_str(&out), "a-Z_0.~%20%26%3D%25%5C%C3%0A");
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_daemon_is_not_found),
        cmocka_unit_test(other_failures_are_told_apart),
        cmocka_unit_test(answers_come_back),
        cmocka_unit_test(texts_come_and_go),
        cmocka_unit_test(escaped_text_stands_in_a_query),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
