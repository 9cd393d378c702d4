/* For the tests of http-01 and tls-alpn-01: a validator's network half over one zone of ours, and
 * servers on loopback that do what they are told. Everything runs on one loop in one thread. */
#ifndef TESTS_UNIT_VAL_WORLD_H
#define TESTS_UNIT_VAL_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "acme-server/acme_impl.h"
#include "acme-server/validate_net_int.h"

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "dns_maker.h"

#define WORLD_CONFIG                                                                               \
    "state_dir: /tmp\n"                                                                            \
    "hostname: ca.svc.test\n"                                                                      \
    "addresses: [192.0.2.1]\n"                                                                     \
    "zones:\n"                                                                                     \
    "  - {name: svc.test, ingress: [127.0.0.1]}\n"                                                 \
    "  - {name: both.test, ingress: [\"::1\", 127.0.0.1]}\n"                                       \
    "  - {name: bare.test}\n"                                                                      \
    "  - {name: link.test, ingress: [169.254.7.7]}\n"                                              \
    "validation: {allow: [127.0.0.0/8, \"::1/128\"]}\n"
#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
#define THUMBPRINT "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
#define KEY_AUTHORIZATION TOKEN "." THUMBPRINT
#define DEADLINE_MS 30000

/* --- servers ----------------------------------------------------------------------------------- */

struct server;
/* What to send for a whole request (or, with a NULL request, for a connection). */
typedef void (*answer_fn)(struct server *server, const char *request, struct buf *out);

struct conn {
    struct conn *next;
    struct server *server;
    struct loop_fd watch;
    struct loop_timer timer;
    int fd; /* -1: closed */
    SSL *ssl;
    struct buf in, out;
    size_t sent;
    bool is_answered;
};
struct server {
    struct loop *loop;
    struct loop_fd watch;
    int fd;
    uint16_t port;
    struct conn *conns;
    size_t accepted_n, requests_n;
    char request[2048]; /* the newest */
    /* --- behaviour --- */
    answer_fn answer; /* NULL: silent */
    const char *text; /* for answer_text() */
    bool keeps_open;  /* after the answer */
    bool is_endless;  /* repeats what it sends */
    bool drips;       /* a byte in 100 ms */
    bool closes_at_once;
    bool answers_anything; /* not only a whole request */
    SSL_CTX *tls;
};

static inline void conn_close(struct conn *c)
{
    loop_fd_remove(c->server->loop, &c->watch);
    loop_timer_cancel(c->server->loop, &c->timer);
    if (c->ssl != NULL) {
        (void)SSL_shutdown(c->ssl);
        SSL_free(MOVE(c->ssl));
        ERR_clear_error();
    }
    if (c->fd >= 0) {
        (void)close(c->fd);
        c->fd = -1;
    }
}

static inline ssize_t conn_write(struct conn *c, const void *data, size_t len)
{
    if (c->ssl == NULL) {
        return send(c->fd, data, len, MSG_NOSIGNAL);
    }
    int n = SSL_write(c->ssl, data, (int)len);
    errno = SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ ? EAGAIN : EPIPE;
    return n > 0 ? n : -1;
}

static inline void conn_send(void *arg)
{
    struct conn *c = arg;

    while (c->sent < c->out.len) {
        ssize_t n =
            conn_write(c, c->out.data + c->sent, c->server->drips ? 1 : c->out.len - c->sent);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n < 0) {
            conn_close(c);
            return;
        }
        c->sent += (size_t)n;
        if (c->server->is_endless && c->sent == c->out.len) {
            c->sent = 0;
        }
        if (c->server->drips && c->sent < c->out.len) {
            assert_int_equal(
                loop_timer_set(c->server->loop, &c->timer, clock_mono_ms() + 100, conn_send, c)
                    .code,
                ERR_OK);
            return;
        }
    }
    if (c->is_answered && !c->server->keeps_open) {
        conn_close(c);
    }
}

static inline ssize_t conn_read(struct conn *c, char *data, size_t cap)
{
    if (c->ssl == NULL) {
        return recv(c->fd, data, cap, 0);
    }
    int n = SSL_read(c->ssl, data, (int)cap); /* does the handshake, too */
    int error = SSL_get_error(c->ssl, n);
    ERR_clear_error();
    if (n > 0) {
        return n;
    }
    errno = EAGAIN;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

static inline void conn_ready(void *arg, uint32_t events)
{
    struct conn *c = arg;
    struct server *s = c->server;
    char data[1024];

    (void)events;
    ssize_t n = conn_read(c, data, sizeof(data));
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        conn_close(c);
        return;
    }
    buf_put(&c->in, data, n > 0 ? (size_t)n : 0);
    bool is_whole = s->answers_anything || strstr(buf_str(&c->in), "\r\n\r\n") != NULL;
    if (!c->is_answered && s->answer != NULL && c->in.len > 0 && is_whole) {
        s->requests_n++;
        (void)snprintf(s->request, sizeof(s->request), "%s", buf_str(&c->in));
        s->answer(s, buf_str(&c->in), &c->out);
        assert_false(c->out.failed);
        c->is_answered = true;
        assert_int_equal(
            loop_fd_change(s->loop, &c->watch, EPOLLIN | (s->is_endless ? EPOLLOUT : 0U)).code,
            ERR_OK);
    }
    if (c->is_answered && !s->drips) {
        conn_send(c);
    } else if (c->is_answered && c->sent == 0) {
        conn_send(c);
    }
}

static inline void server_accept(void *arg, uint32_t events)
{
    struct server *s = arg;
    int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)events;
    if (fd < 0) {
        return;
    }
    s->accepted_n++;
    if (s->closes_at_once) {
        (void)close(fd);
        return;
    }
    struct conn *c = mem_zalloc(sizeof(*c));
    assert_non_null(c);
    c->server = s;
    c->fd = fd;
    buf_init(&c->in, 65536);
    buf_init(&c->out, 1048576);
    c->next = s->conns;
    s->conns = c;
    if (s->tls != NULL) {
        c->ssl = SSL_new(s->tls);
        assert_int_equal(SSL_set_fd(c->ssl, fd), 1);
        SSL_set_accept_state(c->ssl);
    }
    assert_int_equal(loop_fd_add(s->loop, &c->watch, fd, EPOLLIN, conn_ready, c).code, ERR_OK);
}

static inline uint16_t listen_on(const char *address, uint16_t port, int *fd)
{
    struct sockaddr_storage sa;
    struct ip_endpoint ep;
    socklen_t len = sizeof(sa);
    int on = 1;

    assert_int_equal(ip_endpoint_parse(address, 1, &ep).code, ERR_OK);
    ep.port = port;
    len = ip_endpoint_sockaddr(&ep, &sa);
    *fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(*fd >= 0);
    (void)setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(*fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(*fd, 4096), 0);
    len = sizeof(sa);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&sa, &len), 0);
    return sa.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&sa)->sin_port)
                                   : ntohs(((struct sockaddr_in6 *)&sa)->sin6_port);
}

static inline void server_open(struct server *s, struct loop *loop, const char *address)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop;
    s->port = listen_on(address, 0, &s->fd);
    assert_int_equal(loop_fd_add(loop, &s->watch, s->fd, EPOLLIN, server_accept, s).code, ERR_OK);
}

static inline void server_close(struct server *s)
{
    while (s->conns != NULL) {
        struct conn *c = s->conns;
        s->conns = c->next;
        conn_close(c);
        buf_clear(&c->in);
        buf_clear(&c->out);
        mem_free(c);
    }
    loop_fd_remove(s->loop, &s->watch);
    if (s->fd >= 0) {
        (void)close(s->fd);
        s->fd = -1;
    }
    SSL_CTX_free(MOVE(s->tls));
}

static inline void answer_text(struct server *s, const char *request, struct buf *out)
{
    (void)request;
    buf_puts(out, s->text);
}

/* --- the world --------------------------------------------------------------------------------- */

struct world {
    struct config *cfg;
    struct zone_db *zones;
    struct resolve_config resolve;
    struct loop *loop;
    struct lookups *lookups;
    struct acme acme;
    struct val_net *net;
    struct server web, tls; /* at http_port and tls_port of 127.0.0.1 */
};

static inline int world_make(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    assert_non_null(w);
    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    w->cfg = make_config(WORLD_CONFIG);
    w->acme.cfg = w->cfg;
    w->acme.settings = &w->cfg->acme;
    assert_int_equal(zone_db_new(w->cfg, 1, &w->zones).code, ERR_OK);
    assert_int_equal(loop_new(&w->loop).code, ERR_OK);
    assert_int_equal(lookups_new(w->loop, &w->resolve, w->zones, &w->lookups).code, ERR_OK);
    const struct val_net_options options = {
        .acme = &w->acme, .loop = w->loop, .lookups = w->lookups};
    assert_int_equal(val_net_new(&options, &w->net).code, ERR_OK);
    server_open(&w->web, w->loop, "127.0.0.1");
    server_open(&w->tls, w->loop, "127.0.0.1");
    w->cfg->acme.http_port = w->web.port;
    w->cfg->acme.tls_port = w->tls.port;
    *state = w;
    return 0;
}

static inline int world_free(void **state)
{
    struct world *w = *state;

    val_net_free(w->net);
    lookups_free(w->lookups);
    server_close(&w->web);
    server_close(&w->tls);
    loop_free(w->loop);
    zone_db_free(w->zones);
    config_free(w->cfg);
    mem_free(w);
    return 0;
}

/* --- attempts ---------------------------------------------------------------------------------- */

struct trial {
    struct val_target target;
    struct buf trail;
    struct val_result result;
    unsigned done_n;
    int64_t more_ms; /* beyond DEADLINE_MS */
};

static inline void on_done(void *arg, const struct val_result *result)
{
    struct trial *trial = arg;

    trial->result = *result;
    trial->done_n++;
}

static inline void trial_init(struct trial *trial, const char *name, enum challenge_type type)
{
    struct val_target *target = &trial->target;

    memset(trial, 0, sizeof(*trial));
    buf_init(&trial->trail, VAL_TRAIL_MAX);
    target->type = type;
    if (ident_ip_parse(name, strlen(name), &target->ident, NULL).code != ERR_OK) {
        assert_int_equal(ident_parse(name, strlen(name), &target->ident, NULL).code, ERR_OK);
    }
    (void)snprintf(target->token, sizeof(target->token), "%s", TOKEN);
    (void)snprintf(target->thumbprint, sizeof(target->thumbprint), "%s", THUMBPRINT);
    uint8_t digest[SHA256_LEN];
    assert_int_equal(sha256(KEY_AUTHORIZATION, strlen(KEY_AUTHORIZATION), digest).code, ERR_OK);
    base64url_encode(digest, sizeof(digest), target->digest);
}

static inline void trial_start(struct world *w, struct trial *trial)
{
    const struct val_attempt attempt = {.target = &trial->target,
                                        .deadline_ms =
                                            clock_mono_ms() + DEADLINE_MS + trial->more_ms,
                                        .trail = &trial->trail,
                                        .done = on_done,
                                        .arg = trial};
    struct err e = trial->target.type == CHALLENGE_HTTP01 ? val_http01_start(w->net, &attempt)
                                                          : val_tlsalpn01_start(w->net, &attempt);

    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(trial->done_n, 0); /* never from inside the call */
}

static inline void trial_wait(struct world *w, struct trial *trial)
{
    while (trial->done_n == 0) {
        (void)loop_run_once(w->loop, 1000);
    }
    (void)loop_run_once(w->loop, 0);
    assert_int_equal(trial->done_n, 1);
}

static inline void trial_run(struct world *w, struct trial *trial, const char *name,
                             enum challenge_type type)
{
    trial_init(trial, name, type);
    trial_start(w, trial);
    trial_wait(w, trial);
}

#define MANY 1000
#define MANY_MEMORY_MAX (25u * 1024 * 1024)

static inline bool is_sanitised(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
    return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
    return false;
#endif
}

static inline size_t memory_now(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
    assert_int_equal(fclose(file), 0);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* `server` listens, but nobody ever accepts: every attempt hangs, and all end at the deadline. */
static inline void expect_many_to_end(struct world *w, struct server *server,
                                      enum challenge_type type)
{
    struct rlimit files = {0};
    struct trial *trials = mem_array(MANY, sizeof(*trials));

    assert_non_null(trials);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    loop_fd_remove(w->loop, &server->watch);
    for (size_t i = 0; i < MANY; i++) {
        trial_init(&trials[i], "web.svc.test", type);
    }
    size_t before = memory_now();
    for (size_t i = 0; i < MANY; i++) {
        trial_start(w, &trials[i]);
    }
    for (unsigned quiet = 0; quiet < 3;) { /* until all have connected and asked */
        quiet = loop_run_once(w->loop, 20) == 0 ? quiet + 1 : 0;
    }
    size_t used = memory_now() - before;
    print_message("[   INFO   ] %d silent targets: %zu KiB\n", MANY, used / 1024);
    if (!is_sanitised()) { /* their shadows are no figure */
        assert_true(used < MANY_MEMORY_MAX);
    }
    clock_shift(DEADLINE_MS);
    for (size_t i = 0; i < MANY; i++) {
        while (trials[i].done_n == 0) {
            (void)loop_run_once(w->loop, 1000);
        }
    }
    for (unsigned quiet = 0; quiet < 3;) {
        quiet = loop_run_once(w->loop, 1) == 0 ? quiet + 1 : 0;
    }
    clock_shift(-DEADLINE_MS);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(trials[i].done_n, 1);
        assert_false(trials[i].result.is_valid);
        assert_int_equal(trials[i].result.type, PROBLEM_CONNECTION);
        assert_non_null(strstr(trials[i].result.detail, "in time"));
        buf_clear(&trials[i].trail);
    }
    mem_free(trials);
}

static inline void expect_valid(struct trial *trial)
{
    if (!trial->result.is_valid) {
        fail_msg("not valid: %s\n%s", trial->result.detail, buf_str(&trial->trail));
    }
    assert_string_equal(trial->result.detail, "");
    buf_clear(&trial->trail);
}

/* why: a part of the detail. */
static inline void expect_problem(struct trial *trial, enum problem_type type, const char *why)
{
    if (trial->result.is_valid || trial->result.type != type ||
        strstr(trial->result.detail, why) == NULL) {
        fail_msg("%d, type %d: %s\n%s", trial->result.is_valid, (int)trial->result.type,
                 trial->result.detail, buf_str(&trial->trail));
    }
    for (const char *c = trial->result.detail; *c != '\0'; c++) {
        assert_true(*c >= 0x20 && *c < 0x7f);
    }
    assert_true(trial->trail.len > 0);
    buf_clear(&trial->trail);
}

#endif
