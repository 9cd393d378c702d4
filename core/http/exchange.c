#include "core/http/exchange.h"

#include "core/http/peers.h"

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#include <stdio.h>
#include <string.h>

/* One request, from its request line to the end of its answer. */
struct exchange {
    struct http_daemon *daemon;
    struct MHD_Connection *connection;
    char *uri; /* as sent; cut at '?' by begin() */
    const char *query;
    char id[HTTP_REQUEST_ID_LEN + 1];
    int64_t started_ms;
    bool is_begun;
    enum http_method method; /* 0: one that we do not know */
    const char *method_text;
    struct ip_addr peer;
    const struct http_route *route;
    const char *tail;
    struct buf body;
    size_t receive_max;
    size_t received; /* body bytes, those that were thrown away included */
    int fault;       /* status that the server answers by itself, or 0 */
    const char *detail;
    unsigned allow;
    bool must_close; /* the framing cannot be trusted, or the body is not worth reading */
};

static struct peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info == NULL ? NULL : info->socket_context;
}

static void *exchange_new(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct http_daemon *daemon = cls;
    struct exchange *x = mem_zalloc(sizeof(*x));

    (void)pthread_mutex_lock(&daemon->server->lock);
    daemon->server->running++;
    (void)pthread_mutex_unlock(&daemon->server->lock);
    if (x == NULL) {
        return NULL;
    }
    x->daemon = daemon;
    x->connection = connection;
    x->query = x->tail = "";
    x->started_ms = clock_mono_ms();
    x->uri = mem_strndup(uri, strnlen(uri, HTTP_URI_MAX + 1));
    uint8_t raw[HTTP_REQUEST_ID_LEN / 4 * 3] = {0};
    err_ignore(random_bytes(raw, sizeof(raw))); /* an id of zeros still tells lines apart */
    base64url_encode(raw, sizeof(raw), x->id);
    return x;
}

static void exchange_end(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode toe)
{
    struct http_daemon *daemon = cls;
    struct exchange *x = *con_cls;

    (void)toe;
    *con_cls = NULL;
    peers_waiting(daemon->server->peers, peer_of(connection));
    if (x != NULL) {
        buf_clear(&x->body);
        mem_free(x->uri);
        mem_free(x);
    }
    (void)pthread_mutex_lock(&daemon->server->lock);
    daemon->server->running--;
    if (daemon->server->running == 0) {
        (void)pthread_cond_broadcast(&daemon->server->none_running);
    }
    (void)pthread_mutex_unlock(&daemon->server->lock);
}

static void set_fault(struct exchange *x, int status, const char *detail)
{
    if (x->fault == 0) {
        x->fault = status;
        x->detail = detail;
    }
}

/* --- headers --- */

struct header_scan {
    unsigned n;
    unsigned hosts;
    unsigned lengths;
    const char *length;
    bool is_chunked;
    bool has_control;      /* a control character or a NUL, which would cut the value short */
    const char *forwarded; /* the last line: proxies append */
};

static enum MHD_Result scan_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                   size_t key_len, const char *value, size_t value_len)
{
    struct header_scan *scan = cls;

    (void)kind;
    scan->n++;
    if (value == NULL) {
        value = "";
        value_len = 0;
    }
    if (strlen(key) != key_len) {
        scan->has_control = true;
    }
    for (size_t i = 0; i < value_len; i++) {
        unsigned char c = (unsigned char)value[i];
        scan->has_control = scan->has_control || (c < ' ' && c != '\t') || c == 0x7f;
    }
    if (strcasecmp(key, "Host") == 0) {
        scan->hosts++;
    } else if (strcasecmp(key, "Content-Length") == 0) {
        scan->lengths++;
        scan->length = value;
    } else if (strcasecmp(key, "Transfer-Encoding") == 0) {
        scan->is_chunked = true;
    } else if (strcasecmp(key, "X-Forwarded-For") == 0) {
        scan->forwarded = value;
    }
    return MHD_YES;
}

/* Decimal digits only, saturating. */
static bool read_length(const char *text, size_t *out)
{
    size_t n = strspn(text, "0123456789");

    if (n == 0 || text[n] != '\0') {
        return false;
    }
    *out = SIZE_MAX;
    if (n <= 15) {
        *out = 0;
        for (size_t i = 0; i < n; i++) {
            *out = *out * 10 + (size_t)(text[i] - '0');
        }
    }
    return true;
}

/* Two readings of where the body ends are how requests get smuggled past a proxy
 * (RFC 9112 §6.3). */
static void check_headers(struct exchange *x, const struct header_scan *scan)
{
    size_t length = 0;

    if (scan->lengths > 1 || (scan->lengths > 0 && scan->is_chunked) ||
        (scan->lengths > 0 && !read_length(scan->length, &length))) {
        x->must_close = true;
        set_fault(x, 400,
                  "The request's Content-Length and Transfer-Encoding headers contradict "
                  "each other.");
    }
    if (scan->n > HTTP_REQUEST_HEADERS_MAX) {
        set_fault(x, 400, "The request has more than 64 headers.");
    }
    if (scan->has_control) {
        set_fault(x, 400, "A header of the request holds a control character.");
    }
    if (scan->hosts > 1) {
        set_fault(x, 400, "The request has more than one Host header.");
    }
    size_t body_max = x->route == NULL ? HTTP_DRAIN_MAX : x->route->body_max;
    if (length > body_max) {
        set_fault(x, 413, "The request's body is longer than this address takes.");
    }
    x->receive_max = body_max > HTTP_DRAIN_MAX ? body_max : HTTP_DRAIN_MAX;
    if (length > x->receive_max) {
        x->must_close = true;
    }
}

static void find_peer(struct exchange *x, const char *forwarded)
{
    const struct http_server *server = x->daemon->server;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (x->daemon->listener == HTTP_ON_CONTROL || info == NULL || info->client_addr == NULL) {
        return;
    }
    x->peer = ip_from_sockaddr(info->client_addr);
    if (forwarded != NULL && ip_nets_contain(server->trusted, server->trusted_n, &x->peer)) {
        (void)http_last_hop(forwarded, &x->peer);
    }
}

/* The headers are there: decide who answers, and whether the body is worth reading. */
static void begin(struct exchange *x, const char *method)
{
    struct header_scan scan = {0};
    int status = 400;

    x->is_begun = true;
    peers_busy(x->daemon->server->peers, peer_of(x->connection));
    x->method = http_method_of(method);
    x->method_text = method;
    (void)MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, scan_header, &scan);
    find_peer(x, scan.forwarded);
    if (strlen(x->uri) > HTTP_URI_MAX) {
        set_fault(x, 400, "The request's URL is longer than 8192 characters.");
    }
    char *mark = strchr(x->uri, '?');
    if (mark != NULL) {
        *mark = '\0';
        x->query = mark + 1;
    }
    x->route = http_router_find(x->daemon->server->router, x->daemon->listener, x->method, x->uri,
                                &x->tail, &status, &x->allow);
    if (x->route == NULL) {
        const char *fault = http_path_fault(x->uri);
        set_fault(x, status,
                  fault != NULL   ? fault
                  : status == 404 ? "There is nothing at this address."
                                  : "This address does not take this method.");
    }
    buf_init(&x->body, x->route == NULL ? 0 : x->route->body_max);
    check_headers(x, &scan);
}

/* --- the answer --- */

static void fill_request(const struct exchange *x, struct http_req *req)
{
    memset(req, 0, sizeof(*req));
    req->method = x->method;
    req->path = x->uri;
    req->tail = x->tail;
    req->query = x->query;
    req->body = x->body.data == NULL ? (const uint8_t *)"" : x->body.data;
    req->body_len = x->body.len;
    req->peer = x->peer;
    req->listener = x->daemon->listener;
    req->id = x->id;
    req->connection = x->connection;
    req->host = http_header(req, "Host");
    req->content_type = http_header(req, "Content-Type");
    req->host = req->host == NULL ? "" : req->host;
    req->content_type = req->content_type == NULL ? "" : req->content_type;
}

static void fill_error(const struct exchange *x, const struct http_req *req, int status,
                       const char *detail, struct http_resp *resp)
{
    const struct http_server *server = x->daemon->server;

    http_resp_clear(resp);
    http_resp_init(resp);
    resp->status = status;
    if (server->on_error != NULL) {
        server->on_error(server->on_error_ctx, req, status, detail, resp);
        resp->status = status;
    } else {
        http_resp_text(resp, status, "text/plain; charset=utf-8", detail);
    }
    if (status == 405) {
        char allow[64];
        http_allow_text(x->allow, allow);
        http_resp_header(resp, "Allow", allow);
    }
}

/* What was served is debug; what was changed, refused or broke is info. */
static void log_access(const struct exchange *x, int status)
{
    bool is_read = x->method == HTTP_GET || x->method == HTTP_HEAD;
    enum log_level level = is_read && status < 400 ? LOG_DEBUG : LOG_INFO;
    char peer[IP_TEXT_MAX + 1] = "control";

    if (!log_enabled(level)) {
        return;
    }
    if (x->daemon->listener != HTTP_ON_CONTROL) {
        ip_text(&x->peer, peer);
    }
    log_ev(level, "http.request", {"method", x->method_text}, {"path", x->uri},
           {"status", log_int(status)}, {"ms", log_int(clock_mono_ms() - x->started_ms)},
           {"peer", peer});
}

static bool add_headers(struct MHD_Response *out, const struct exchange *x,
                        const struct http_resp *resp)
{
    bool has_cache = false;
    bool is_ok = true;

    for (unsigned i = 0; i < resp->headers_n; i++) {
        has_cache = has_cache || strcasecmp(resp->headers[i].name, "Cache-Control") == 0;
        is_ok = MHD_add_response_header(out, resp->headers[i].name, resp->headers[i].value) ==
                    MHD_YES &&
                is_ok;
    }
    if (resp->content_type != NULL) {
        is_ok =
            MHD_add_response_header(out, "Content-Type", resp->content_type) == MHD_YES && is_ok;
    }
    if (!has_cache) {
        is_ok = MHD_add_response_header(out, "Cache-Control", "no-store") == MHD_YES && is_ok;
    }
    if (x->must_close) {
        is_ok = MHD_add_response_header(out, "Connection", "close") == MHD_YES && is_ok;
    }
    return MHD_add_response_header(out, "X-Content-Type-Options", "nosniff") == MHD_YES &&
           MHD_add_response_header(out, "X-Request-Id", x->id) == MHD_YES && is_ok;
}

static enum MHD_Result send_response(const struct exchange *x, struct http_resp *resp)
{
    struct MHD_Response *out = NULL;
    size_t len = resp->body.len;
    char *data = buf_take(&resp->body);

    if (data == NULL) {
        return MHD_NO;
    }
    out = MHD_create_response_from_buffer_with_free_callback(len, data, mem_free);
    if (out == NULL) {
        mem_free(data);
        return MHD_NO;
    }
    enum MHD_Result done = MHD_NO;
    if (add_headers(out, x, resp)) {
        done = MHD_queue_response(x->connection, (unsigned)resp->status, out);
    }
    MHD_destroy_response(out);
    return done;
}

static enum MHD_Result answer(struct exchange *x)
{
    AUTO(http_resp_clear) struct http_resp resp;
    struct http_req req;

    http_resp_init(&resp);
    fill_request(x, &req);
    log_scope(x->id);
    if (x->fault != 0) {
        fill_error(x, &req, x->fault, x->detail, &resp);
    } else {
        x->route->handler(x->route->ctx, &req, &resp);
    }
    if (resp.failed || resp.body.failed || resp.status < 200 || resp.status > 599) {
        log_ev(LOG_ERROR, "http.bad_response", {"path", x->uri},
               {"msg", "a header or the body of the response was too long or malformed"});
        fill_error(x, &req, 500, "The server could not put its answer together.", &resp);
    }
    log_access(x, resp.status);
    log_scope(NULL);
    return send_response(x, &resp);
}

/* Keep what fits; of a body that is refused anyway read as much as keeps the connection usable. */
static enum MHD_Result take_body(struct exchange *x, const char *data, size_t *len)
{
    if (clock_mono_ms() - x->started_ms > (int64_t)HTTP_IDLE_TIMEOUT_S * 1000) {
        return MHD_NO; /* fed byte by byte */
    }
    x->received += *len;
    if (x->received > x->receive_max) {
        return MHD_NO;
    }
    if (x->fault == 0 && *len > x->body.max - x->body.len) {
        set_fault(x, 413, "The request's body is longer than this address takes.");
        buf_clear(&x->body);
    }
    if (x->fault == 0) {
        buf_put(&x->body, data, *len);
    }
    *len = 0;
    return x->body.failed ? MHD_NO : MHD_YES;
}

enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *upload_data,
                                size_t *upload_data_len, void **con_cls)
{
    struct exchange *x = *con_cls;

    (void)cls;
    (void)connection;
    (void)url;
    (void)version;
    if (x == NULL || x->uri == NULL) {
        return MHD_NO;
    }
    if (!x->is_begun) {
        begin(x, method);
        /* An answer before the body makes libmicrohttpd close the connection. */
        return x->must_close ? answer(x) : MHD_YES;
    }
    if (*upload_data_len > 0) {
        return take_body(x, upload_data, upload_data_len);
    }
    return answer(x);
}

/* Paths are taken as sent. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strlen(text);
}

void exchange_options(struct http_daemon *daemon, struct MHD_OptionItem out[EXCHANGE_OPTIONS_N])
{
    const struct MHD_OptionItem items[EXCHANGE_OPTIONS_N] = {
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)exchange_new, daemon},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)exchange_end, daemon},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
    };
    memcpy(out, items, sizeof(items));
}
