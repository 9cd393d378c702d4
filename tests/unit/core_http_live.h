/* For the live tests of core/http: a server on loopback with every kind of listener, and clients
 * that say exactly what they are told. */
#ifndef TESTS_UNIT_CORE_HTTP_LIVE_H
#define TESTS_UNIT_CORE_HTTP_LIVE_H

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

static inline void echo(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    http_resp_body(resp, 200, "application/octet-stream", req->body, req->body_len);
}

/* What the handler was told, as text. */
static inline void describe(void *ctx, const struct http_req *req, struct http_resp *resp)
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

static inline void no_content(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    (void)req;
    resp->status = 204;
}

static inline void broken(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    (void)req;
    http_resp_header(resp, "X-Split", "a\r\nb");
}

static inline void on_error(void *ctx, const struct http_req *req, int status, const char *detail,
                            struct http_resp *resp)
{
    char text[256];

    (void)ctx;
    (void)snprintf(text, sizeof(text), "error %d on %.80s: %s", status, req->path, detail);
    http_resp_text(resp, status, "text/plain", text);
}

/* Of a body that is longer than answers are: its length and last octet. */
static inline void measure(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    resp->content_type = "text/plain";
    buf_printf(&resp->body, "len=%zu last=%d.", req->body_len,
               req->body_len == 0 ? -1 : (int)req->body[req->body_len - 1]);
}

#define LONG_MAX_BODY (3u * HTTP_DRAIN_MAX)
#define NETWORK (HTTP_ON_TLS | HTTP_ON_PLAIN)
static const struct http_route ROUTES[] = {
    {HTTP_POST, NETWORK, "/echo", ECHO_MAX, echo, NULL},
    {HTTP_GET, NETWORK | HTTP_ON_CONTROL, "/tell/*", 0, describe, NULL},
    {HTTP_DELETE, NETWORK, "/gone", 0, no_content, NULL},
    {HTTP_GET, NETWORK, "/broken", 0, broken, NULL},
    {HTTP_POST, HTTP_ON_CONTROL, "/admin", ECHO_MAX, echo, NULL},
    {HTTP_POST, HTTP_ON_CONTROL, "/long", LONG_MAX_BODY, measure, NULL},
};

/* --- the client --- */

static inline int dial(uint16_t port)
{
    struct ip_endpoint endpoint = {{4, {127, 0, 0, 1}}, port};
    struct sockaddr_storage sa;
    socklen_t len = ip_endpoint_sockaddr(&endpoint, &sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&sa, len), 0);
    return fd;
}

static inline void put(int fd, const char *data, size_t len)
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

static inline void say(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

/* Read until `until` has occurred `times` times, or the end, or a long while has passed. */
static inline void hear(int fd, char out[ANSWER_MAX], const char *until, int times)
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

static inline void has(const char *answer, const char *want)
{
    if (strstr(answer, want) == NULL) {
        fail_msg("'%s' is not in: %s", want, answer);
    }
}

static inline void has_not(const char *answer, const char *unwanted)
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

static inline char *bio_text(BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = mem_strndup(data, (size_t)len);

    BIO_free(bio);
    return text;
}

/* A self-signed P-256 certificate with this serial number. */
static inline struct pair make_pair(long serial)
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

static inline void free_pair(struct pair *pair)
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

static inline int setup_with(void **state, bool trusts_loopback)
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

static inline int setup(void **state)
{
    return setup_with(state, false);
}

static inline int setup_trusting(void **state)
{
    return setup_with(state, true);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;

    http_server_free(f->server);
    assert_int_equal(access(f->control, F_OK), -1);
    free_pair(&f->first);
    mem_free(f);
    return 0;
}

/* Send one request on a connection of its own; the answer to the end of the connection. */
static inline void ask(struct fixture *f, const char *request, char out[ANSWER_MAX])
{
    int fd = dial(f->port);

    say(fd, request);
    (void)shutdown(fd, SHUT_WR);
    hear(fd, out, TO_END, 1);
    (void)close(fd);
}

/* Bind one listener only. */
static inline enum err_code bind_only(const struct http_bind *bind, struct http_server **out)
{
    const struct http_options options = {
        .binds = bind, .binds_n = 1, .routes = ROUTES, .routes_n = ARRAY_N(ROUTES), .threads = 1};

    return http_server_bind(&options, out).code;
}

#endif
