#include "core/http/exchange.h"
#include "core/http/internal.h"
#include "core/http/peers.h"
#include "core/http/tls.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Only touched pages of a stack cost memory; handlers run the store's SQL on it. */
#define STACK_LEN (512u * 1024u)
#define FULL_LOG_EVERY_MS 60000
#define PLAIN_THREADS 2u

/* --- what libmicrohttpd calls --- */

static void log_library(void *cls, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
static void log_library(void *cls, const char *fmt, va_list args)
{
    char text[256];

    (void)cls;
    if (!log_enabled(LOG_DEBUG)) {
        return;
    }
    (void)vsnprintf(text, sizeof(text), fmt, args);
    text[strcspn(text, "\n")] = '\0';
    log_ev(LOG_DEBUG, "http.library", {"msg", text});
}

/* The library's own limit is per listener and divided among its threads; this one holds for the
 * whole server. */
static enum MHD_Result accept_policy(void *cls, const struct sockaddr *addr, socklen_t addr_len)
{
    struct http_daemon *daemon = cls;
    struct http_server *server = daemon->server;

    (void)addr;
    (void)addr_len;
    if (daemon->listener == HTTP_ON_CONTROL) {
        return MHD_YES;
    }
    unsigned now_n = atomic_load(&server->connections);
    if (now_n >= HTTP_CONNECTIONS_MAX / 2) {
        (void)peers_shut_slow(server->peers);
    }
    if (now_n < HTTP_CONNECTIONS_MAX) {
        return MHD_YES;
    }
    int64_t now_ms = clock_mono_ms();
    int64_t last_ms = atomic_load(&server->full_logged_ms);
    if ((last_ms == 0 || now_ms - last_ms > FULL_LOG_EVERY_MS) &&
        atomic_compare_exchange_strong(&server->full_logged_ms, &last_ms, now_ms)) {
        log_ev(LOG_WARN, "http.full", {"connections", log_int(HTTP_CONNECTIONS_MAX)},
               {"msg", "new connections are refused until others end"});
    }
    return MHD_NO;
}

static struct tls_hold *hold_of(struct http_daemon *daemon, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        daemon->listener == HTTP_ON_TLS
            ? MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION)
            : NULL;

    return info == NULL ? NULL : tls_hold_new(daemon->server->tls, info->tls_session);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_daemon *daemon = cls;
    struct http_server *server = daemon->server;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        tls_hold_free(peers_remove(server->peers, *socket_context));
        *socket_context = NULL;
        if (daemon->listener != HTTP_ON_CONTROL) {
            atomic_fetch_sub(&server->connections, 1);
        }
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct peer *peer = info == NULL ? NULL : peers_add(server->peers, info->connect_fd);
    if (peer != NULL) { /* else: no hold, and its handshake fails */
        peer_keep(peer, hold_of(daemon, connection));
    }
    *socket_context = peer;
    if (daemon->listener != HTTP_ON_CONTROL) {
        atomic_fetch_add(&server->connections, 1);
    }
}

/* --- bind --- */

static const char *listener_name(enum http_listener listener)
{
    switch (listener) {
    case HTTP_ON_TLS:
        return "https";
    case HTTP_ON_PLAIN:
        return "http";
    case HTTP_ON_CONTROL:
        return "control";
    }
    return "http";
}

static struct err bind_one(const struct http_bind *bind, struct http_daemon *daemon)
{
    daemon->listener = bind->listener;
    if (bind->listener == HTTP_ON_CONTROL) {
        TRY(http_listen_unix(bind->unix_path, &daemon->fd));
        daemon->unix_path = mem_strdup(bind->unix_path);
        TRY_PTR(daemon->unix_path);
        return err_ok();
    }
    return http_listen_tcp(&bind->endpoint, listener_name(bind->listener), &daemon->fd,
                           &daemon->endpoint);
}

static void free_slot(struct http_server **server)
{
    http_server_free(*server);
}

struct err http_server_bind(const struct http_options *options, struct http_server **out)
{
    AUTO(free_slot) struct http_server *server = mem_zalloc(sizeof(*server));

    TRY_PTR(server);
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->none_running, NULL);
    server->threads = options->threads == 0 ? 1 : options->threads;
    server->on_error = options->on_error;
    server->on_error_ctx = options->on_error_ctx;
    server->trusted = mem_array(options->trusted_proxies_n, sizeof(struct ip_net));
    TRY_PTR(server->trusted);
    for (size_t i = 0; i < options->trusted_proxies_n; i++) {
        server->trusted[server->trusted_n++] = options->trusted_proxies[i];
    }
    TRY(http_router_new(options->routes, options->routes_n, &server->router));
    TRY(tls_box_new(&server->tls));
    TRY(peers_new(&server->peers));
    server->daemons = mem_array(options->binds_n, sizeof(struct http_daemon));
    TRY_PTR(server->daemons);
    for (size_t i = 0; i < options->binds_n; i++) {
        struct http_daemon *daemon = &server->daemons[server->daemons_n++];
        daemon->server = server;
        daemon->fd = -1;
        TRY(bind_one(&options->binds[i], daemon));
    }
    *out = MOVE(server);
    return err_ok();
}

/* --- start --- */

/* Plain HTTP serves a few pages from memory, the control socket one administrator. */
static unsigned threads_of(const struct http_daemon *daemon)
{
    switch (daemon->listener) {
    case HTTP_ON_TLS:
        return daemon->server->threads;
    case HTTP_ON_PLAIN:
        return daemon->server->threads < PLAIN_THREADS ? daemon->server->threads : PLAIN_THREADS;
    case HTTP_ON_CONTROL:
        return 1;
    }
    return 1;
}

static struct MHD_Daemon *start_mhd(struct http_daemon *daemon)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    unsigned threads = threads_of(daemon);
    struct MHD_OptionItem more[8] = {{MHD_OPTION_END, 0, NULL}};
    size_t n = EXCHANGE_OPTIONS_N;

    exchange_options(daemon, more);
    if (threads > 1) {
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL};
    }
    if (daemon->listener != HTTP_ON_CONTROL) {
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                                            HTTP_CONNECTIONS_PER_IP_MAX, NULL};
    }
    if (daemon->listener == HTTP_ON_TLS) {
        static char priorities[] = TLS_PRIORITIES;
        flags |= MHD_USE_TLS;
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities};
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, tls_callback()};
    }
    more[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(
        flags, 0, accept_policy, daemon, exchange_handle, daemon, MHD_OPTION_EXTERNAL_LOGGER,
        log_library, NULL, MHD_OPTION_LISTEN_SOCKET, daemon->fd, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, daemon, MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_PER_CONNECTION,
        MHD_OPTION_CONNECTION_TIMEOUT, HTTP_IDLE_TIMEOUT_S, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_LEN, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

struct err http_server_start(struct http_server *server, const struct http_tls *tls)
{
    sigset_t all;
    sigset_t before;
    size_t i = 0;

    if (tls != NULL) {
        TRY(tls_box_set(server->tls, tls));
    }
    for (size_t k = 0; k < server->daemons_n; k++) {
        if (server->daemons[k].listener == HTTP_ON_TLS && tls == NULL) {
            FAIL(ERR_CONFIG, "https needs a certificate");
        }
    }
    /* Signals are the main thread's. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; i < server->daemons_n; i++) {
        struct http_daemon *daemon = &server->daemons[i];
        if (daemon->fd < 0) {
            continue;
        }
        daemon->mhd = start_mhd(daemon);
        if (daemon->mhd == NULL) {
            break;
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (i < server->daemons_n) {
        FAIL(ERR_LIMIT,
             "the %s listener's threads cannot be started: check the limits on "
             "threads and open files",
             listener_name(server->daemons[i].listener));
    }
    return err_ok();
}

struct err http_tls_reload(struct http_server *server, const struct http_tls *tls)
{
    return tls_box_set(server->tls, tls);
}

struct ip_endpoint http_server_endpoint(const struct http_server *server, size_t i)
{
    struct ip_endpoint none = {{0, {0}}, 0};
    return i < server->daemons_n ? server->daemons[i].endpoint : none;
}

/* --- stop --- */

/* Let requests under way end, but not for ever: a peer may be reading one byte a minute. */
static void wait_for_running(struct http_server *server)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += HTTP_DRAIN_STOP_MS / 1000;
    (void)pthread_mutex_lock(&server->lock);
    while (server->running > 0 && pthread_cond_clockwait(&server->none_running, &server->lock,
                                                         CLOCK_MONOTONIC, &until) == 0) {
        continue;
    }
    (void)pthread_mutex_unlock(&server->lock);
}

void http_server_free(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    for (size_t i = 0; i < server->daemons_n; i++) {
        if (server->daemons[i].mhd != NULL) {
            (void)MHD_quiesce_daemon(server->daemons[i].mhd);
        }
    }
    wait_for_running(server);
    for (size_t i = 0; i < server->daemons_n; i++) {
        struct http_daemon *daemon = &server->daemons[i];
        if (daemon->mhd != NULL) {
            MHD_stop_daemon(daemon->mhd);
        }
        if (daemon->fd >= 0) {
            (void)close(daemon->fd);
        }
        if (daemon->unix_path != NULL) {
            (void)unlink(daemon->unix_path);
        }
        mem_free(daemon->unix_path);
    }
    mem_free(server->daemons);
    tls_box_free(server->tls);
    peers_free(server->peers);
    http_router_free(server->router);
    mem_free(server->trusted);
    (void)pthread_cond_destroy(&server->none_running);
    (void)pthread_mutex_destroy(&server->lock);
    mem_free(server);
}
