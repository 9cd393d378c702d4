/* What the files of core/http share. Not for other libraries. */
#ifndef CORE_HTTP_INTERNAL_H
#define CORE_HTTP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/http/http.h"

#define HTTP_DRAIN_MAX                                                                             \
    (1024u * 1024u) /* bytes of a refused body that are read for a clean answer */
#define HTTP_MEMORY_PER_CONNECTION (16u * 1024u) /* request line, headers, read buffer */
#define HTTP_REQUEST_HEADERS_MAX 64u
#define HTTP_URI_MAX 8192u
#define HTTP_DRAIN_STOP_MS 3000 /* what a stop waits for requests under way */

struct MHD_Daemon;
struct tls_box;
struct peers;

/* One listening socket and the libmicrohttpd daemon on it. */
struct http_daemon {
    struct http_server *server;
    enum http_listener listener;
    struct ip_endpoint endpoint;
    char *unix_path;
    int fd; /* -1: not bound (this machine has no IPv6) */
    struct MHD_Daemon *mhd;
};

struct http_server {
    struct http_router *router;
    struct http_daemon *daemons;
    size_t daemons_n;
    unsigned threads;
    struct ip_net *trusted;
    size_t trusted_n;
    void (*on_error)(void *ctx, const struct http_req *req, int status, const char *detail,
                     struct http_resp *resp);
    void *on_error_ctx;
    struct tls_box *tls;
    struct peers *peers;
    _Atomic unsigned connections; /* of the network listeners */
    _Atomic int64_t full_logged_ms;
    pthread_mutex_t lock; /* guards running; leaf */
    pthread_cond_t none_running;
    unsigned running; /* requests between request line and the end of the answer */
};

/* router.c: NULL, or the sentence that says why this path is refused (400). */
const char *http_path_fault(const char *path);

/* request.c: the pure parts. */
MUST_USE struct err http_basic_parse(const char *header, char user[HTTP_BASIC_MAX],
                                     char pass[HTTP_BASIC_MAX]);
/* The last hop of an X-Forwarded-For value; false when it is no address. */
bool http_last_hop(const char *value, struct ip_addr *out);
enum http_method http_method_of(const char *text); /* 0 when unknown */

/* response.c */
void http_resp_init(struct http_resp *resp);
void http_resp_clear(struct http_resp *resp);
/* "GET, HEAD" of a mask; out: 64 bytes. */
void http_allow_text(unsigned mask, char out[64]);

/* listen.c: bound and listening, non-blocking. */
MUST_USE struct err http_listen_tcp(const struct ip_endpoint *endpoint, const char *what, int *fd,
                                    struct ip_endpoint *bound);
MUST_USE struct err http_listen_unix(const char *path, int *fd);

#endif
