/* The server over real sockets on loopback: framing, limits, TLS rotation, the control socket, ports in use. */
#include "core/http/internal.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define ECHO_MAX 100
#define WAIT_MS 10000
#define ANSWER_MAX 16384

/* --- handlers --- */

static void echo(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    http_resp_body(resp, 200, "application/octet-stream", req->body, req->body_len);
}

/* What the handler was told, as text. */
static void describe(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    char peer[IP_TEXT_MAX + 1] = "none";
    char user[HTTP_BASIC_MAX] = "";
    char pass[HTTP_BASIC_MAX] = "";

    (void)ctx;
    if (req->peer.family != 0) {
        ip_text(&req->peer, peer);
    }
    enum err_code basic = http_basic(req, user, pass).code;
    assert_string_equal(log_scope_get(), req->id);
    http_resp_header(resp, "Cache-Control", "max-age=5");
    resp->content_type = "text/plain";
    buf_printf(&resp->body,
               "m=%d path=%s tail=%s q=%s host=%s type=%s peer=%s on=%d basic=%s:%s:%s",
               (int)req->method, req->path, req->tail, req->query, req->host, req->content_type,
               peer, (int)req->listener, err_name(basic), user, pass);
}

static void no_content(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    (void)req;
    resp->status = 204;
}

static void broken(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    (void)req;
    http_resp_header(resp, "X-Split", "a\r\nb");
}

static void on_error(void *ctx, const struct http_req *req, int status, const char *detail,
                     struct http_resp *resp)
{
    char text[256];

    (void)ctx;
    (void)snprintf(text, sizeof(text), "error %d on %.80s: %s", status, req->path, detail);
    http_resp_text(resp, status, "text/plain", text);
}

#define NETWORK (HTTP_ON_TLS | HTTP_ON_PLAIN)
static const struct http_route ROUTES[] = {
    {HTTP_POST, NETWORK, "/echo", ECHO_MAX, echo, NULL},
    {HTTP_GET, NETWORK | HTTP_ON_CONTROL, "/tell/*", 0, describe, NULL},
    {HTTP_DELETE, NETWORK, "/gone", 0, no_content, NULL},
    {HTTP_GET, NETWORK, "/broken", 0, broken, NULL},
    {HTTP_POST, HTTP_ON_CONTROL, "/admin", ECHO_MAX, echo, NULL},
};

/* --- the client --- */

static int dial(uint16_t port)
{
    struct ip_endpoint endpoint = {{4, {127, 0, 0, 1}}, port};
    struct sockaddr_storage sa;
    socklen_t len = ip_endpoint_sockaddr(&endpoint, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&sa, len), 0);
    return fd;
}

static void put(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* closed by the server: what it answered is looked at */
        }
        data += n;
        len -= (size_t)n;
    }
}

static void say(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

/* Read until `until` has occurred `times` times, or the end, or a long while has passed. */
static void hear(int fd, char out[ANSWER_MAX], const char *until, int times)
{
    size_t len = 0;

    out[0] = '\0';
    while (len < ANSWER_MAX - 1) {
        struct pollfd wait = {fd, POLLIN, 0};
        if (poll(&wait, 1, WAIT_MS) != 1) {
            fail_msg("the server does not answer; so far: %s", out);
        }
        ssize_t n = recv(fd, out + len, ANSWER_MAX - 1 - len, 0);
        if (n <= 0) {
            return;
        }
        len += (size_t)n;
        out[len] = '\0';
        int seen = 0;
        for (const char *at = strstr(out, until); at != NULL; at = strstr(at + 1, until)) {
            seen++;
        }
        if (seen >= times) {
            return;
        }
    }
}

#define TO_END "\x01never" /* hear() to the end of the connection */

static void has(const char *answer, const char *want)
{
    if (strstr(answer, want) == NULL) {
        fail_msg("'%s' is not in: %s", want, answer);
    }
}

static void has_not(const char *answer, const char *unwanted)
{
    if (strstr(answer, unwanted) != NULL) {
        fail_msg("'%s' is in: %s", unwanted, answer);
    }
}

/* --- certificates --- */

struct pair {
    char *cert;
    char *key;
};

static char *bio_text(BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = mem_strndup(data, (size_t)len);

    BIO_free(bio);
    return text;
}

/* A self-signed P-256 certificate with this serial number. */
static struct pair make_pair(long serial)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    BIO *cert_bio = BIO_new(BIO_s_mem());
    BIO *key_bio = BIO_new(BIO_s_mem());

    assert_true(key != NULL && cert != NULL);
    assert_int_equal(X509_set_version(cert, 2), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -60));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(cert_bio, cert), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    return (struct pair){bio_text(cert_bio), bio_text(key_bio)};
}

static void free_pair(struct pair *pair)
{
    mem_freep(&pair->cert);
    mem_freep(&pair->key);
}

/* --- fixture: TLS, plain and control listeners --- */

struct fixture {
    struct http_server *server;
    uint16_t tls_port;
    uint16_t port;
    char control[64];
    struct pair first;
};

static int setup_with(void **state, bool trusts_loopback)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    const struct ip_net loopback = {{4, {127, 0, 0, 0}}, 8};

    (void)snprintf(f->control, sizeof(f->control), "/tmp/http-test-%d.sock", (int)getpid());
    const struct http_bind binds[] = {
        {HTTP_ON_TLS, {{4, {127, 0, 0, 1}}, 0}, NULL},
        {HTTP_ON_PLAIN, {{4, {127, 0, 0, 1}}, 0}, NULL},
        {HTTP_ON_CONTROL, {{0, {0}}, 0}, f->control},
    };
    const struct http_options options = {
        .binds = binds,
        .binds_n = ARRAY_N(binds),
        .routes = ROUTES,
        .routes_n = ARRAY_N(ROUTES),
        .threads = 2,
        .trusted_proxies = &loopback,
        .trusted_proxies_n = trusts_loopback ? 1 : 0,
        .on_error = on_error,
    };
    f->first = make_pair(1);
    const struct http_tls tls = {f->first.cert, f->first.key};
    if (http_server_bind(&options, &f->server).code != ERR_OK ||
        http_server_start(f->server, &tls).code != ERR_OK) {
        fail_msg("%s", err_trace()->text);
    }
    f->tls_port = http_server_endpoint(f->server, 0).port;
    f->port = http_server_endpoint(f->server, 1).port;
    assert_true(f->port != 0 && f->tls_port != 0);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, false);
}

static int setup_trusting(void **state)
{
    return setup_with(state, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    http_server_free(f->server);
    assert_int_equal(access(f->control, F_OK), -1);
    free_pair(&f->first);
    mem_free(f);
    return 0;
}

/* Send one request on a connection of its own; the answer to the end of the connection. */
static void ask(struct fixture *f, const char *request, char out[ANSWER_MAX])
{
    int fd = dial(f->port);

    say(fd, request);
    (void)shutdown(fd, SHUT_WR);
    hear(fd, out, TO_END, 1);
    (void)close(fd);
}

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

/* --- TLS --- */

struct tls_client {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

/* The serial number of the server's certificate; -1 when the handshake fails. */
static long tls_open(struct tls_client *c, uint16_t port, int max_version, const char *ciphers)
{
    memset(c, 0, sizeof(*c));
    c->ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(c->ctx);
    assert_int_equal(SSL_CTX_set_max_proto_version(c->ctx, max_version), 1);
    if (ciphers != NULL) {
        SSL_CTX_set_security_level(c->ctx, 0);
        assert_int_equal(SSL_CTX_set_cipher_list(c->ctx, ciphers), 1);
    }
    c->fd = dial(port);
    c->ssl = SSL_new(c->ctx);
    assert_int_equal(SSL_set_fd(c->ssl, c->fd), 1);
    if (SSL_connect(c->ssl) != 1) {
        return -1;
    }
    X509 *cert = SSL_get1_peer_certificate(c->ssl);
    assert_non_null(cert);
    long serial = ASN1_INTEGER_get(X509_get0_serialNumber(cert));
    X509_free(cert);
    return serial;
}

static void tls_close(struct tls_client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    (void)close(c->fd);
}

static void tls_ask(struct tls_client *c)
{
    static const char REQUEST[] = "GET /tell/x HTTP/1.1\r\nHost: a\r\n\r\n";
    char answer[4096];

    assert_true(SSL_write(c->ssl, REQUEST, (int)strlen(REQUEST)) > 0);
    size_t len = 0;
    answer[0] = '\0';
    while (strstr(answer, "basic=") == NULL) {
        int n = SSL_read(c->ssl, answer + len, (int)(sizeof(answer) - 1 - len));
        assert_true(n > 0);
        len += (size_t)n;
        answer[len] = '\0';
    }
    has(answer, "HTTP/1.1 200 ");
    has(answer, " on=1 ");
}

static void test_tls_versions(void **state)
{
    struct fixture *f = *state;
    struct tls_client c;

    assert_int_equal(tls_open(&c, f->tls_port, TLS1_1_VERSION, "ALL:@SECLEVEL=0"), -1);
    tls_close(&c);
    assert_int_equal(tls_open(&c, f->tls_port, TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA"), -1);
    tls_close(&c);
    assert_int_equal(tls_open(&c, f->tls_port, TLS1_2_VERSION, NULL), 1);
    assert_string_equal(SSL_get_cipher_name(c.ssl), "ECDHE-ECDSA-AES128-GCM-SHA256");
    tls_ask(&c);
    tls_close(&c);
    assert_int_equal(tls_open(&c, f->tls_port, TLS1_3_VERSION, NULL), 1);
    assert_string_equal(SSL_get_version(c.ssl), "TLSv1.3");
    tls_ask(&c);
    tls_ask(&c); /* kept alive */
    tls_close(&c);
}

static void test_tls_reload(void **state)
{
    struct fixture *f = *state;
    struct tls_client old;
    struct tls_client new;
    AUTO(free_pair) struct pair second = make_pair(2);
    const struct http_tls good = {second.cert, second.key};
    const struct http_tls mixed = {second.cert, f->first.key};
    char nothing[] = "";
    char noise[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const struct http_tls empty = {nothing, second.key};
    const struct http_tls broken_cert = {noise, second.key};
    const struct http_tls no_key = {second.cert, nothing};

    assert_int_equal(tls_open(&old, f->tls_port, TLS1_3_VERSION, NULL), 1);
    assert_int_equal(http_tls_reload(f->server, &mixed).code, ERR_CONFIG);
    has(err_trace()->text, "does not belong");
    assert_int_equal(http_tls_reload(f->server, &empty).code, ERR_CONFIG);
    assert_int_equal(http_tls_reload(f->server, &broken_cert).code, ERR_CONFIG);
    assert_int_equal(http_tls_reload(f->server, &no_key).code, ERR_CONFIG);
    assert_int_equal(tls_open(&new, f->tls_port, TLS1_3_VERSION, NULL), 1); /* the old one stays */
    tls_close(&new);

    assert_int_equal(http_tls_reload(f->server, &good).code, ERR_OK);
    assert_int_equal(tls_open(&new, f->tls_port, TLS1_3_VERSION, NULL), 2);
    tls_ask(&new);
    tls_ask(&old);
    tls_close(&new);
    tls_close(&old);
}

static void test_tls_noise(void **state)
{
    struct fixture *f = *state;
    struct tls_client c;
    char answer[ANSWER_MAX];
    int fd = dial(f->tls_port);

    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)shutdown(fd, SHUT_WR);
    hear(fd, answer, TO_END, 1);
    has_not(answer, "HTTP/1.1 200");
    (void)close(fd);
    assert_int_equal(tls_open(&c, f->tls_port, TLS1_3_VERSION, NULL), 1);
    tls_close(&c);
}

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

/* Bind one listener only. */
static enum err_code bind_only(const struct http_bind *bind, struct http_server **out)
{
    const struct http_options options = {
        .binds = bind, .binds_n = 1, .routes = ROUTES, .routes_n = ARRAY_N(ROUTES), .threads = 1};

    return http_server_bind(&options, out).code;
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

/* A control socket that nobody answers is replaced; both families share a port; stop without start. */
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

static void test_tls_needs_certificate(void **state)
{
    const struct http_bind bind = {HTTP_ON_TLS, {{4, {127, 0, 0, 1}}, 0}, NULL};
    struct http_server *server = NULL;

    (void)state;
    assert_int_equal(bind_only(&bind, &server), ERR_OK);
    assert_int_equal(http_server_start(server, NULL).code, ERR_CONFIG);
    http_server_free(server);
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
        cmocka_unit_test_setup_teardown(test_tls_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_reload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls_noise, setup, teardown),
        cmocka_unit_test_setup_teardown(test_control_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_address_in_use, setup, teardown),
        cmocka_unit_test(test_stale_socket_and_families),
        cmocka_unit_test(test_tls_needs_certificate),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
