/* HTTP/1.1 server over libmicrohttpd: HTTPS, plain HTTP and Unix-socket listeners, route table,
 * body caps.
 *
 * Handlers run on pool threads, may block on the store, never touch the network. Every response
 * carries Content-Length, "X-Content-Type-Options: nosniff" and Cache-Control: no-store unless the
 * handler sets its own Cache-Control. The server answers 404, 405 (with Allow), 413 and 400 by
 * itself through options.on_error. A HEAD request runs the GET (or HEAD) handler; its body is
 * dropped. Method, path and headers are checked for length; the path is taken as sent: percent
 * escapes are not decoded (none of our paths needs them) and a path with ".." or a control
 * character is 400. Only this library includes microhttpd.h and gnutls. Limits: HTTP_* below. */
#ifndef CORE_HTTP_HTTP_H
#define CORE_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"
#include "core/util/err.h"
#include "core/util/name.h"

#define HTTP_BODY_MAX (256u * 1024u) /* no route may ask for more ... */
#define HTTP_CONTROL_BODY_MAX                                                                      \
    (128u * 1024u * 1024u) /* ... unless it is on the control socket only */
#define HTTP_PATH_MAX 1024u
#define HTTP_RESPONSE_MAX (4u * 1024u * 1024u)
#define HTTP_HEADERS_MAX 16u
#define HTTP_REQUEST_ID_LEN 12u
#define HTTP_CONNECTIONS_MAX 2048u
#define HTTP_CONNECTIONS_PER_IP_MAX 512u
#define HTTP_IDLE_TIMEOUT_S 60u

enum http_method { HTTP_GET = 1, HTTP_HEAD = 2, HTTP_POST = 4, HTTP_PUT = 8, HTTP_DELETE = 16 };
enum http_listener { HTTP_ON_TLS = 1, HTTP_ON_PLAIN = 2, HTTP_ON_CONTROL = 4 };

struct http_req {
    enum http_method method;
    const char *path;         /* as sent, without query */
    const char *tail;         /* for a route that ends in "*": what the star matched, else "" */
    const char *query;        /* not parsed; "" when there is none */
    const char *host;         /* Host header, "" when absent */
    const char *content_type; /* "" when absent */
    const uint8_t *body;
    size_t body_len;
    /* the socket's, or the last X-Forwarded-For hop when that is a trusted proxy */
    struct ip_addr peer;
    enum http_listener listener;
    const char *id;         /* request id, the log scope */
    const void *connection; /* for http_header() */
};

struct http_resp {
    int status;               /* 200 unless set */
    const char *content_type; /* static; NULL = no body type */
    struct buf body;          /* bound HTTP_RESPONSE_MAX */
    struct {
        char *name;
        char *value;
    } headers[HTTP_HEADERS_MAX];
    unsigned headers_n;
    bool failed; /* a header could not be added: answered with 500 */
};

typedef void (*http_handler)(void *ctx, const struct http_req *req, struct http_resp *resp);

struct http_route {
    unsigned methods;   /* of enum http_method; HEAD is implied by GET */
    unsigned listeners; /* of enum http_listener */
    const char *path;   /* exact, or ending in a slash and a star: everything below the slash */
    size_t body_max;    /* bytes; 0 = a body is refused with 413 */
    http_handler handler;
    void *ctx;
};

struct http_bind {
    enum http_listener listener;
    struct ip_endpoint endpoint; /* for TLS and PLAIN; port 0 picks one */
    const char *unix_path;       /* for CONTROL; replaced if stale, mode 0600 */
};

/* A TLS certificate chain and its key as PEM. */
struct http_tls {
    char *cert_pem; /* leaf first, then intermediates; owned by the caller */
    char *key_pem;
};

struct http_options {
    const struct http_bind *binds;
    size_t binds_n;
    const struct http_route *routes; /* copied; more specific (longer) paths win */
    size_t routes_n;
    unsigned threads; /* per TLS bind, whose handlers block on the store; others take fewer */
    const struct ip_net *trusted_proxies;
    size_t trusted_proxies_n;
    /* Fills resp for an error the server found itself; `detail` is a sentence. */
    void (*on_error)(void *ctx, const struct http_req *req, int status, const char *detail,
                     struct http_resp *resp);
    void *on_error_ctx;
};

struct http_server;
/* Bind every socket (so that the caller may drop privileges), without answering yet. ERR_BUSY:
 * address in use or not permitted, with a sentence that names it. */
MUST_USE struct err http_server_bind(const struct http_options *options, struct http_server **out);
/* Start answering. tls may be NULL when no TLS bind exists. The server keeps its own copies. */
MUST_USE struct err http_server_start(struct http_server *server, const struct http_tls *tls);
/* Swap the certificate for new handshakes, without restart. Thread: any. On failure the old one
 * stays. */
MUST_USE struct err http_tls_reload(struct http_server *server, const struct http_tls *tls);
/* The bound endpoint of bind i (the port picked for port 0). */
struct ip_endpoint http_server_endpoint(const struct http_server *server, size_t i);
/* Stops accepting, finishes what runs, frees. NULL is fine. */
void http_server_free(struct http_server *server);

/* A request header (case-insensitive name) or NULL; borrowed for the request. */
const char *http_header(const struct http_req *req, const char *name);
/* HTTP Basic credentials: ERR_NOT_FOUND without the header, ERR_MALFORMED when it cannot be read.
 * user/pass are terminated copies; password is wiped by the caller (mem_wipe). */
#define HTTP_BASIC_MAX 256u
MUST_USE struct err http_basic(const struct http_req *req, char user[HTTP_BASIC_MAX],
                               char pass[HTTP_BASIC_MAX]);
/* Add a response header (copied). Control characters in the value make it fail. */
void http_resp_header(struct http_resp *resp, const char *name, const char *value);
void http_resp_headerf(struct http_resp *resp, const char *name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Set status, static content type and a copied body. */
void http_resp_body(struct http_resp *resp, int status, const char *content_type, const void *data,
                    size_t len);
void http_resp_text(struct http_resp *resp, int status, const char *content_type, const char *text);

/* For unit tests and fuzzing: the route table and path rules without sockets. Returns the route
 * that would run, with *tail set, or NULL with *status 404, 405 or 400 (and *allow: mask of allowed
 * methods). */
struct http_router;
MUST_USE struct err http_router_new(const struct http_route *routes, size_t n,
                                    struct http_router **out);
void http_router_free(struct http_router *router);
const struct http_route *http_router_find(const struct http_router *router,
                                          enum http_listener listener, enum http_method method,
                                          const char *path, const char **tail, int *status,
                                          unsigned *allow);

#endif
