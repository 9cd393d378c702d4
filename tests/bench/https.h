/* A small HTTP/1.1 client over a kept TLS or plain connection, for the benchmark drivers. Blocking,
 * one thread each. */
#ifndef TESTS_BENCH_HTTPS_H
#define TESTS_BENCH_HTTPS_H

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "core/util/buf.h"
#include "core/util/err.h"
#include "core/util/mem.h"

#define URL_MAX 512u
#define BODY_MAX (256u * 1024u)
#define HEADER_MAX (16u * 1024u)

struct url {
    bool is_tls;
    char host[128], port[8], path[URL_MAX];
};

struct conn {
    SSL_CTX *tls;
    struct url peer; /* scheme, host and port of the kept connection */
    int fd;
    SSL *ssl;
    char in[16384];
    size_t in_at, in_len;
};

struct reply {
    int status;
    struct buf body;
    char nonce[128], location[URL_MAX];
    bool is_last; /* the peer closes the connection */
};

static inline struct err url_parse(const char *text, struct url *out)
{
    const char *rest = NULL;

    memset(out, 0, sizeof(*out));
    if (strncmp(text, "https://", 8) == 0) {
        out->is_tls = true;
        rest = text + 8;
    } else if (strncmp(text, "http://", 7) == 0) {
        rest = text + 7;
    } else {
        FAIL(ERR_MALFORMED, "not an http or https URL: %.100s", text);
    }
    size_t authority = strcspn(rest, "/");
    const char *colon = memchr(rest, ':', authority);
    size_t host_len = colon == NULL ? authority : (size_t)(colon - rest);
    size_t port_len = colon == NULL ? 0 : authority - host_len - 1;
    if (host_len == 0 || host_len >= sizeof(out->host) || port_len >= sizeof(out->port) ||
        strlen(rest + authority) >= sizeof(out->path)) {
        FAIL(ERR_MALFORMED, "cannot read the URL %.100s", text);
    }
    memcpy(out->host, rest, host_len);
    if (colon == NULL) {
        (void)snprintf(out->port, sizeof(out->port), "%s", out->is_tls ? "443" : "80");
    } else {
        memcpy(out->port, colon + 1, port_len);
    }
    (void)snprintf(out->path, sizeof(out->path), "%s",
                   rest[authority] == '\0' ? "/" : rest + authority);
    return err_ok();
}

static inline void conn_close(struct conn *c)
{
    SSL_free(c->ssl);
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    c->ssl = NULL;
    c->fd = -1;
    c->in_at = c->in_len = 0;
}

static inline struct err conn_tcp(struct conn *c)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int one = 1;

    if (getaddrinfo(c->peer.host, c->peer.port, &hints, &list) != 0) {
        FAIL(ERR_IO, "%s cannot be resolved", c->peer.host);
    }
    for (const struct addrinfo *ai = list; ai != NULL && c->fd < 0; ai = ai->ai_next) {
        c->fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, 0);
        if (c->fd >= 0 && connect(c->fd, ai->ai_addr, ai->ai_addrlen) != 0) {
            (void)close(c->fd);
            c->fd = -1;
        }
    }
    freeaddrinfo(list);
    if (c->fd < 0) {
        FAIL(ERR_IO, "no connection to %s port %s: %m", c->peer.host, c->peer.port);
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    /* A server that deadlocks (Pebble may) is a failure to count, not a reason to wait for ever. */
    const struct timeval patience = {.tv_sec = 10};
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return err_ok();
}

static inline struct err conn_open(struct conn *c, const struct url *url)
{
    bool is_same = c->fd >= 0 && c->peer.is_tls == url->is_tls &&
                   strcmp(c->peer.host, url->host) == 0 && strcmp(c->peer.port, url->port) == 0;

    if (is_same) {
        return err_ok();
    }
    conn_close(c);
    c->peer = *url;
    TRY(conn_tcp(c));
    if (!url->is_tls) {
        return err_ok();
    }
    c->ssl = SSL_new(c->tls);
    TRY_PTR(c->ssl);
    TRY_OSSL(SSL_set_tlsext_host_name(c->ssl, c->peer.host));
    TRY_OSSL(SSL_set1_host(c->ssl, url->host));
    TRY_OSSL(SSL_set_fd(c->ssl, c->fd));
    TRY_OSSL(SSL_connect(c->ssl));
    return err_ok();
}

static inline struct err conn_send(struct conn *c, const void *data, size_t len)
{
    if (c->ssl != NULL) {
        size_t sent = 0;
        TRY_OSSL(SSL_write_ex(c->ssl, data, len, &sent));
        return err_ok();
    }
    for (const char *p = data; len > 0;) {
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);
        if (n <= 0) {
            FAIL(ERR_IO, "send: %m");
        }
        p += n;
        len -= (size_t)n;
    }
    return err_ok();
}

static inline struct err conn_fill(struct conn *c)
{
    size_t got = 0;

    if (c->in_at < c->in_len) {
        return err_ok();
    }
    if (c->ssl != NULL) {
        if (SSL_read_ex(c->ssl, c->in, sizeof(c->in), &got) != 1) {
            FAIL_OSSL("the connection ended");
        }
    } else {
        ssize_t n = recv(c->fd, c->in, sizeof(c->in), 0);
        if (n <= 0) {
            FAIL(ERR_IO, "the connection ended");
        }
        got = (size_t)n;
    }
    c->in_at = 0;
    c->in_len = got;
    return err_ok();
}

static inline struct err conn_line(struct conn *c, char *out, size_t cap)
{
    for (size_t n = 0; n + 1 < cap;) {
        TRY(conn_fill(c));
        char ch = c->in[c->in_at++];
        if (ch == '\n') {
            out[n] = '\0';
            return err_ok();
        }
        if (ch != '\r') {
            out[n++] = ch;
        }
    }
    FAIL(ERR_MALFORMED, "a header line is too long");
}

static inline struct err conn_take(struct conn *c, struct buf *out, size_t len)
{
    while (len > 0) {
        TRY(conn_fill(c));
        size_t n = c->in_len - c->in_at < len ? c->in_len - c->in_at : len;
        buf_put(out, c->in + c->in_at, n);
        c->in_at += n;
        len -= n;
    }
    return buf_check(out);
}

static inline struct err conn_chunks(struct conn *c, struct buf *out)
{
    char line[128];

    for (;;) {
        TRY(conn_line(c, line, sizeof(line)));
        unsigned long len = strtoul(line, NULL, 16);
        if (len > BODY_MAX) {
            FAIL(ERR_LIMIT, "a chunk of %lu bytes", len);
        }
        TRY(conn_take(c, out, len));
        TRY(conn_line(c, line, sizeof(line)));
        if (len == 0) {
            return err_ok();
        }
    }
}

static inline bool header_is(const char *line, const char *name, const char **value)
{
    size_t len = strlen(name);

    if (strncasecmp(line, name, len) != 0 || line[len] != ':') {
        return false;
    }
    *value = line + len + 1 + strspn(line + len + 1, " ");
    return true;
}

static inline struct err conn_reply(struct conn *c, bool has_body, struct reply *r)
{
    char line[2048];
    const char *value = NULL;
    size_t length = 0;
    bool is_chunked = false;

    TRY(conn_line(c, line, sizeof(line)));
    if (strncmp(line, "HTTP/1.1 ", 9) != 0) {
        FAIL(ERR_MALFORMED, "not an HTTP/1.1 reply: %.60s", line);
    }
    r->status = (int)strtol(line + 9, NULL, 10);
    for (;;) {
        TRY(conn_line(c, line, sizeof(line)));
        if (line[0] == '\0') {
            break;
        }
        if (header_is(line, "Content-Length", &value)) {
            length = strtoul(value, NULL, 10);
        } else if (header_is(line, "Transfer-Encoding", &value)) {
            is_chunked = true;
        } else if (header_is(line, "Replay-Nonce", &value)) {
            (void)snprintf(r->nonce, sizeof(r->nonce), "%.120s", value);
        } else if (header_is(line, "Location", &value)) {
            (void)snprintf(r->location, sizeof(r->location), "%.500s", value);
        } else if (header_is(line, "Connection", &value)) {
            r->is_last = strcasecmp(value, "close") == 0;
        }
    }
    if (!has_body || r->status == 204) {
        return err_ok();
    }
    return is_chunked ? conn_chunks(c, &r->body) : conn_take(c, &r->body, length);
}

static inline struct err conn_try(struct conn *c, const struct url *url, const struct buf *head,
                                  bool has_body, struct reply *r)
{
    TRY(conn_open(c, url));
    TRY(conn_send(c, head->data, head->len));
    return conn_reply(c, has_body, r);
}

/* One request; a kept connection that the peer closed meanwhile is opened again once. type NULL: no
 * body. */
static inline struct err conn_request(struct conn *c, const char *method, const char *target,
                                      const char *extra, const char *type, const char *body,
                                      struct reply *r)
{
    struct url url;
    AUTO(buf_clear) struct buf head = BUF_INIT(BODY_MAX);

    TRY(url_parse(target, &url));
    buf_printf(&head, "%s %s HTTP/1.1\r\nHost: %s:%s\r\nUser-Agent: bench\r\n%s", method, url.path,
               url.host, url.port, extra == NULL ? "" : extra);
    if (type != NULL) {
        buf_printf(&head, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, strlen(body));
    }
    buf_puts(&head, "\r\n");
    buf_puts(&head, type == NULL ? "" : body);
    TRY(buf_check(&head));
    bool was_kept = c->fd >= 0;
    for (;;) {
        buf_clear(&r->body);
        buf_init(&r->body, BODY_MAX);
        r->nonce[0] = r->location[0] = '\0';
        r->is_last = false;
        struct err e = conn_try(c, &url, &head, strcmp(method, "HEAD") != 0, r);
        if (e.code == ERR_OK && !r->is_last) {
            return e;
        }
        conn_close(c);
        if (e.code == ERR_OK || !was_kept) {
            return e;
        }
        was_kept = false;
    }
}

#endif
