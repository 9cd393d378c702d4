/* For tests of handlers: the routes on a real server (plain, loopback, any port) and a client that
 * says exactly what it is told. */
#ifndef TESTS_UNIT_HTTP_TALK_H
#define TESTS_UNIT_HTTP_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/http/http.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define TALK_REPLY_MAX (256u * 1024u)

struct talk {
    struct http_server *server;
    struct ip_endpoint endpoint;
    struct buf reply;
    int status;
    const char *body; /* borrowed from reply */
};

static inline void talk_on_error(void *ctx, const struct http_req *req, int status,
                                 const char *detail, struct http_resp *resp)
{
    (void)ctx;
    (void)req;
    http_resp_text(resp, status, "text/plain", detail);
}

/* listener: whose routes to serve, on a plain socket. */
static inline void talk_start(struct talk *t, const struct http_route *routes, size_t n,
                              enum http_listener listener)
{
    struct http_route *mine = mem_array(n, sizeof(*mine));
    struct http_bind bind = {.listener = HTTP_ON_PLAIN};
    size_t mine_n = 0;

    memset(t, 0, sizeof(*t));
    buf_init(&t->reply, TALK_REPLY_MAX);
    assert_non_null(mine);
    assert_int_equal(ERR_OK, ip_parse("127.0.0.1", &bind.endpoint.addr).code);
    for (size_t i = 0; i < n; i++) {
        if ((routes[i].listeners & (unsigned)listener) != 0) {
            mine[mine_n] = routes[i];
            mine[mine_n].listeners = HTTP_ON_PLAIN;
            if (mine[mine_n].body_max > HTTP_BODY_MAX) {
                mine[mine_n].body_max = HTTP_BODY_MAX; /* the control socket's may be longer */
            }
            mine_n++;
        }
    }
    const struct http_options options = {.binds = &bind,
                                         .binds_n = 1,
                                         .routes = mine,
                                         .routes_n = mine_n,
                                         .threads = 2,
                                         .on_error = talk_on_error};
    struct err e = http_server_bind(&options, &t->server);
    if (e.code == ERR_OK) {
        e = http_server_start(t->server, NULL);
    }
    if (e.code != ERR_OK) {
        fail_msg("%s: %s", err_name(e.code), err_trace()->text);
    }
    t->endpoint = http_server_endpoint(t->server, 0);
    mem_free(mine);
}

static inline void talk_stop(struct talk *t)
{
    http_server_free(t->server);
    buf_clear(&t->reply);
}

/* headers: complete lines with CRLF. body NULL: none, and no Content-Length. Returns the status. */
static inline int talk(struct talk *t, const char *method, const char *path, const char *headers,
                       const char *body)
{
    struct sockaddr_storage address;
    struct buf request = BUF_INIT(TALK_REPLY_MAX);
    char part[4096];

    socklen_t len = ip_endpoint_sockaddr(&t->endpoint, &address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(0, connect(fd, (struct sockaddr *)&address, len));
    buf_printf(&request, "%s %s HTTP/1.1\r\nHost: ca.svc.test\r\nConnection: close\r\n%s", method,
               path, headers);
    if (body != NULL) {
        buf_printf(&request, "Content-Length: %zu\r\n", strlen(body));
    }
    buf_printf(&request, "\r\n%s", body == NULL ? "" : body);
    assert_int_equal(request.len, write(fd, request.data, request.len));
    buf_clear(&request);

    buf_reset(&t->reply);
    ssize_t got = read(fd, part, sizeof(part));
    while (got > 0) {
        buf_put(&t->reply, part, (size_t)got);
        got = read(fd, part, sizeof(part));
    }
    (void)close(fd);
    const char *text = buf_str(&t->reply);
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL || sscanf(text, "HTTP/1.1 %d", &t->status) != 1) {
        fail_msg("%s %s: no reply: %s", method, path, text);
    }
    t->body = end == NULL ? "" : end + 4;
    return t->status;
}

/* An Authorization header line. */
static inline const char *talk_basic(const char *user, const char *pass)
{
    static _Thread_local char line[512];
    char pair[256];
    struct buf b = BUF_INIT(400);

    (void)snprintf(pair, sizeof(pair), "%s:%s", user, pass);
    base64_encode(&b, pair, strlen(pair));
    (void)snprintf(line, sizeof(line), "Authorization: Basic %s\r\n", buf_str(&b));
    buf_clear(&b);
    return line;
}

/* Is this text in the reply's head or body? */
static inline int talk_has(const struct talk *t, const char *text)
{
    return strcasestr(buf_str(&t->reply), text) != NULL;
}

#endif
