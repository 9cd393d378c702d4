#include "acme-server/val_fetch.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <linux/tcp.h> /* the C library's struct tcp_info is older */

#include "core/util/clock.h"
#include "core/util/mem.h"

#include <curl/curl.h>

/* The least that libcurl takes: a thousand silent peers cost little. */
#define RECEIVE_BUFFER 1024L
#define SEND_BUFFER 16384L
/* Bytes that a peer may send in all, with room for chunks and a TLS handshake. libcurl would keep
 * 100 KiB of a line that does not end, and then call that a lack of memory. */
#define RECEIVED_MAX 65536u
/* No finite-field key exchange: its cost is the peer's choice. */
#define TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:@SECLEVEL=1"
#define TLS_GROUPS "X25519:P-256:P-384:P-521"

struct fetcher {
    struct val_net *net;
    CURLM *multi;
    struct curl_slist *headers;
    struct loop_timer timer;
};

struct fetch {
    struct fetcher *fetcher;
    CURL *easy;
    struct curl_slist *connect_to;
    int fd; /* until libcurl takes it; -1 */
    struct ip_endpoint peer;
    size_t header_len;
    struct buf body;
    enum fetch_fault cut; /* why a callback ended the transfer */
    bool is_enough;       /* the status says it all */
    bool is_https;
    bool is_flood; /* more than RECEIVED_MAX */
    struct loop_timer broken;
    fetch_fn fn;
    void *arg;
    char text[CURL_ERROR_SIZE];
};

struct sock {
    struct fetcher *fetcher;
    struct fetch *fetch;
    struct loop_fd watch;
};

/* --- endings ----------------------------------------------------------------------------------- */

static void free_fetch(struct fetch *fetch)
{
    if (fetch->easy != NULL) {
        (void)curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
        curl_easy_cleanup(fetch->easy);
    }
    loop_timer_cancel(fetch->fetcher->net->loop, &fetch->broken);
    curl_slist_free_all(fetch->connect_to);
    if (fetch->fd >= 0) {
        (void)close(fetch->fd);
    }
    buf_clear(&fetch->body);
    mem_free(fetch);
}

void fetch_cancel(struct fetch *fetch)
{
    if (fetch != NULL) {
        free_fetch(fetch);
    }
}

static enum fetch_fault fault_of(const struct fetch *fetch, CURLcode code)
{
    if (fetch->cut != FETCH_OK) {
        return fetch->cut;
    }
    if (code == CURLE_OK || fetch->is_enough) {
        return FETCH_OK;
    }
    if (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CIPHER ||
        code == CURLE_PEER_FAILED_VERIFICATION) {
        return FETCH_NO_TLS;
    }
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY) {
        return FETCH_NO_HTTP;
    }
    if (code == CURLE_OUT_OF_MEMORY) {
        return fetch->is_flood ? FETCH_LONG_HEADER : FETCH_OURS;
    }
    return FETCH_BROKEN;
}

static int64_t date_of(const struct fetch *fetch)
{
    struct curl_header *date = NULL;
    time_t at = -1;

    if (curl_easy_header(fetch->easy, "Date", 0, CURLH_HEADER, -1, &date) == CURLHE_OK) {
        at = curl_getdate(date->value, NULL);
    }
    return at > 0 ? at : 0;
}

static void end(struct fetch *fetch, CURLcode code)
{
    struct fetched fetched = {.fault = fault_of(fetch, code),
                              .body = (const uint8_t *)buf_str(&fetch->body),
                              .body_len = fetch->body.len,
                              .date_unix = date_of(fetch),
                              .text =
                                  fetch->text[0] != '\0' ? fetch->text : curl_easy_strerror(code)};
    struct curl_header *location = NULL;

    (void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &fetched.status);
    if (curl_easy_header(fetch->easy, "Location", 0, CURLH_HEADER, -1, &location) == CURLHE_OK) {
        fetched.location = location->value;
    }
    fetch->fn(fetch->arg, &fetched);
    free_fetch(fetch);
}

/* After every call that may have ended a transfer; never from inside libcurl's callbacks. */
static void end_those_done(struct fetcher *fetcher)
{
    int left = 0;

    for (CURLMsg *msg = curl_multi_info_read(fetcher->multi, &left); msg != NULL;
         msg = curl_multi_info_read(fetcher->multi, &left)) {
        struct fetch *fetch = NULL;
        CURLcode code = msg->data.result;
        if (msg->msg == CURLMSG_DONE &&
            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &fetch) == CURLE_OK) {
            end(fetch, code);
        }
    }
}

static void on_broken(void *arg)
{
    end(arg, CURLE_OUT_OF_MEMORY);
}

/* --- libcurl on the loop ----------------------------------------------------------------------- */

static void arm(struct fetcher *fetcher, long wait_ms);

static void on_timer(void *arg)
{
    struct fetcher *fetcher = arg;
    int running = 0;
    long wait_ms = -1;

    (void)curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    end_those_done(fetcher);
    /* it keeps its own time: having fired too early (the clock was moved), it would not ask again */
    if (!fetcher->timer.is_set && curl_multi_timeout(fetcher->multi, &wait_ms) == CURLM_OK &&
        wait_ms >= 0) {
        arm(fetcher, wait_ms > 0 ? wait_ms : 1);
    }
}

static void arm(struct fetcher *fetcher, long wait_ms)
{
    /* without memory the attempts end by their deadlines */
    err_ignore(loop_timer_set(fetcher->net->loop, &fetcher->timer, clock_mono_ms() + wait_ms,
                              on_timer, fetcher));
}

static int on_timeout_wanted(CURLM *multi, long wait_ms, void *arg)
{
    struct fetcher *fetcher = arg;

    (void)multi;
    if (wait_ms < 0) {
        loop_timer_cancel(fetcher->net->loop, &fetcher->timer);
    } else {
        arm(fetcher, wait_ms);
    }
    return 0;
}

static bool has_flooded(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
           info.tcpi_bytes_received > RECEIVED_MAX;
}

static void on_socket(void *arg, uint32_t events)
{
    struct sock *sock = arg;
    struct fetcher *fetcher = sock->fetcher;
    int mask = 0;
    int running = 0;

    if (has_flooded(sock->watch.fd)) {
        if (sock->fetch->is_flood && !sock->fetch->is_https) { /* it has read on, in vain */
            sock->fetch->cut = FETCH_LONG_HEADER;
            end(sock->fetch, CURLE_OK);
            return;
        }
        sock->fetch->is_flood = true;
    }
    mask |= (events & (EPOLLIN | EPOLLHUP)) != 0 ? CURL_CSELECT_IN : 0;
    mask |= (events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
    mask |= (events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0;
    (void)curl_multi_socket_action(fetcher->multi, sock->watch.fd, mask, &running);
    end_those_done(fetcher); /* sock may be gone */
}

static struct err watch_socket(struct fetch *fetch, curl_socket_t fd, uint32_t events,
                               struct sock *sock)
{
    struct fetcher *fetcher = fetch->fetcher;

    if (sock != NULL) {
        return loop_fd_change(fetcher->net->loop, &sock->watch, events);
    }
    sock = mem_zalloc(sizeof(*sock));
    TRY_PTR(sock);
    sock->fetcher = fetcher;
    sock->fetch = fetch;
    struct err e = loop_fd_add(fetcher->net->loop, &sock->watch, fd, events, on_socket, sock);
    if (e.code != ERR_OK) {
        mem_free(sock);
        return e;
    }
    (void)curl_multi_assign(fetcher->multi, fd, sock);
    return err_ok();
}

/* Never says that it failed: libcurl would give up all transfers, not this one. */
static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct fetcher *fetcher = arg;
    struct sock *sock = socket_arg;
    struct fetch *fetch = NULL;

    if (what == CURL_POLL_REMOVE) {
        if (sock != NULL) {
            loop_fd_remove(fetcher->net->loop, &sock->watch);
            mem_free(sock);
        }
        return 0;
    }
    uint32_t events =
        ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0U) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0U);
    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &fetch) == CURLE_OK && fetch != NULL &&
        watch_socket(fetch, fd, events, sock).code != ERR_OK) {
        err_ignore(loop_timer_set(fetcher->net->loop, &fetch->broken, 0, on_broken, fetch));
    }
    return 0;
}

/* --- one transfer ------------------------------------------------------------------------------ */

/* Instead of socket(): the one that is connected, once, and only to where it is connected. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct fetch *fetch = arg;
    struct sockaddr_storage address = {0};
    struct ip_endpoint wanted;
    const char *why = NULL;
    curl_socket_t fd = fetch->fd;

    if (purpose != CURLSOCKTYPE_IPCXN || fd < 0 || to->addrlen > sizeof(address)) {
        return CURL_SOCKET_BAD;
    }
    memcpy(&address, (const void *)&to->addr, to->addrlen);
    wanted.addr = ip_from_sockaddr((const struct sockaddr *)&address);
    wanted.port = fetch->peer.port;
    if (!ip_equal(&wanted.addr, &fetch->peer.addr) ||
        !val_target_allowed(fetch->fetcher->net, &wanted, &why)) {
        return CURL_SOCKET_BAD;
    }
    fetch->fd = -1;
    return fd;
}

static int on_opened(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg;
    (void)fd;
    (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct fetch *fetch = arg;

    (void)data;
    fetch->header_len += size * n;
    if (fetch->header_len > VAL_HEADERS_MAX) {
        fetch->cut = FETCH_LONG_HEADER;
        return 0;
    }
    return size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct fetch *fetch = arg;
    long status = 0;

    if (curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK ||
        status != 200) {
        fetch->is_enough = true;
        return 0;
    }
    if (fetch->body.len + size * n > VAL_BODY_MAX) {
        fetch->cut = FETCH_LONG_BODY;
        return 0;
    }
    buf_put(&fetch->body, data, size * n);
    if (fetch->body.failed) {
        fetch->cut = FETCH_OURS;
        return 0;
    }
    return size * n;
}

/* What an administrator's environment or a peer could otherwise change is said explicitly. */
static bool set_limits(CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER) == CURLE_OK;
}

/* No verification, so no list of authorities either: reading it would cost megabytes each time. */
static bool set_tls(CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, TLS12_CIPHERS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_EC_CURVES, TLS_GROUPS) == CURLE_OK;
}

static bool set_callbacks(CURL *easy, struct fetch *fetch)
{
    return curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->text) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, fetch) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_opened) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch) == CURLE_OK;
}

static struct err begin(struct fetch *fetch, const struct val_url *url)
{
    char peer[IP_TEXT_MAX + 10];
    char to[IP_TEXT_MAX + 16];

    ip_endpoint_text(&fetch->peer, peer);
    (void)snprintf(to, sizeof(to), "::%s", peer); /* whatever the host and port of the URL */
    fetch->easy = curl_easy_init();
    TRY_PTR(fetch->easy);
    fetch->connect_to = curl_slist_append(NULL, to);
    TRY_PTR(fetch->connect_to);
    CURL *easy = fetch->easy;
    if (!set_limits(easy) || !set_tls(easy) || !set_callbacks(easy, fetch) ||
        curl_easy_setopt(easy, CURLOPT_CONNECT_TO, fetch->connect_to) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, fetch->fetcher->headers) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "Bailiwick/" BW_VERSION) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_URL, url->text) != CURLE_OK) {
        FAIL(ERR_INTERNAL, "http-01: libcurl refuses an option");
    }
    CURLMcode code = curl_multi_add_handle(fetch->fetcher->multi, easy);
    if (code != CURLM_OK) {
        FAIL(ERR_NOMEM, "http-01: %s", curl_multi_strerror(code));
    }
    return err_ok();
}

struct err fetch_start(struct fetcher *fetcher, const struct val_url *url,
                       const struct val_dialed *to, fetch_fn fn, void *arg, struct fetch **out)
{
    struct fetch *fetch = mem_zalloc(sizeof(*fetch));

    if (fetch == NULL) {
        (void)close(to->fd);
        FAIL(ERR_NOMEM, "http-01: out of memory");
    }
    fetch->fetcher = fetcher;
    fetch->fd = to->fd;
    fetch->peer = to->peer;
    fetch->is_https = url->is_https;
    fetch->fn = fn;
    fetch->arg = arg;
    buf_init(&fetch->body, VAL_BODY_MAX);
    struct err e = begin(fetch, url);
    if (e.code != ERR_OK) {
        free_fetch(fetch);
        return e;
    }
    *out = fetch;
    return err_ok();
}

/* --- all of them ------------------------------------------------------------------------------- */

struct err fetcher_new(struct val_net *net, struct fetcher **out)
{
    struct fetcher *fetcher = mem_zalloc(sizeof(*fetcher));

    TRY_PTR(fetcher);
    fetcher->net = net;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        mem_free(fetcher);
        FAIL(ERR_INTERNAL, "libcurl cannot be initialised");
    }
    fetcher->multi = curl_multi_init();
    fetcher->headers = curl_slist_append(NULL, "Connection: close");
    if (fetcher->multi == NULL || fetcher->headers == NULL ||
        curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted) != CURLM_OK ||
        curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher) != CURLM_OK ||
        curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted) != CURLM_OK ||
        curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher) != CURLM_OK) {
        fetcher_free(fetcher);
        FAIL(ERR_NOMEM, "http-01: libcurl cannot be set up");
    }
    *out = fetcher;
    return err_ok();
}

void fetcher_free(struct fetcher *fetcher)
{
    if (fetcher == NULL) {
        return;
    }
    if (fetcher->multi != NULL) {
        (void)curl_multi_cleanup(fetcher->multi);
    }
    loop_timer_cancel(fetcher->net->loop, &fetcher->timer);
    curl_slist_free_all(fetcher->headers);
    mem_free(fetcher);
    curl_global_cleanup();
}
