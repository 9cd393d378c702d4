/* Routes, credentials, refusals, and lego's httpreq. */
#include "web/delegate_api.h"

#include <stdio.h>
#include <string.h>

#include "core/util/log.h"
#include "core/util/mem.h"
#include "web/delegate_api_internal.h"

/* --- credentials ------------------------------------------------------------------------------ */

static struct err no_credential(const struct delegate_api *api, const struct http_req *req,
                                struct delegate_who *who, struct delegate_fault *fault)
{
    char peer[IP_TEXT_MAX + 1];

    if (access_is_open_for(api->o.access, &req->peer)) {
        who->is_open = true;
        return err_ok();
    }
    if (access_is_open(api->o.access)) {
        ip_text(&req->peer, peer);
        return delegate_fault_set(fault, 401, "forbidden",
                                  "%s is not in open_networks: send a client's name and secret as "
                                  "HTTP Basic credential, or widen open_networks",
                                  peer);
    }
    return delegate_fault_set(fault, 401, "forbidden",
                              "send a client's name and secret as HTTP Basic credential "
                              "('bailiwick client add' makes one)");
}

static struct err check_credential(const struct delegate_api *api, const struct http_req *req,
                                   const char *user, const char *pass, struct delegate_who *who,
                                   struct delegate_fault *fault)
{
    bool is_network = false;
    struct err e =
        access_authenticate(api->o.access, user, pass, &req->peer, who->client, &is_network);

    if (e.code != ERR_OK && access_exists(api->o.access, user)) {
        (void)snprintf(who->client, sizeof(who->client), "%s", user); /* for the log line only */
    }
    if (e.code == ERR_LIMIT) {
        return delegate_fault_set(fault, 429, "throttled", "%.380s", err_trace()->text);
    }
    if (e.code == ERR_DENIED) {
        return delegate_fault_set(fault, is_network ? 403 : 401, "forbidden", "%.380s",
                                  err_trace()->text);
    }
    return e;
}

struct err door_authenticate(const struct delegate_api *api, const struct http_req *req,
                             enum delegate_door door, struct delegate_who *who,
                             struct delegate_fault *fault)
{
    char user[HTTP_BASIC_MAX] = "";
    char pass[HTTP_BASIC_MAX] = "";

    memset(who, 0, sizeof(*who));
    who->door = door;
    who->peer = req->peer;
    struct err e = http_basic(req, user, pass);
    switch (e.code) {
    case ERR_OK:
        e = check_credential(api, req, user, pass, who, fault);
        break;
    case ERR_NOT_FOUND:
        e = no_credential(api, req, who, fault);
        break;
    case ERR_MALFORMED:
    case ERR_LIMIT:
        e = delegate_fault_set(fault, 401, "forbidden",
                               "the Authorization header is not a readable HTTP Basic credential "
                               "of a client's name and secret");
        break;
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_TIMEOUT:
    case ERR_BUSY:
    case ERR_CONFLICT:
    case ERR_DENIED:
    case ERR_BAD_STATE:
    case ERR_CRYPTO:
    case ERR_DB:
    case ERR_CONFIG:
    case ERR_REJECTED:
    case ERR_INTERNAL:
        break;
    }
    mem_wipe(pass, sizeof(pass));
    return e;
}

/* --- failures --------------------------------------------------------------------------------- */

struct err door_refused(struct err e, const struct delegate_refusal *refusal, const char *bad_name,
                        struct delegate_fault *fault)
{
    if (e.code != ERR_REJECTED) {
        return e;
    }
    switch (refusal->reason) {
    case DELEGATE_BAD_TXT:
        return delegate_fault_set(fault, 400, "bad_txt", "%s", refusal->detail);
    case DELEGATE_BAD_NAME:
        return delegate_fault_set(fault, 400, bad_name, "%s", refusal->detail);
    case DELEGATE_FORBIDDEN:
        return delegate_fault_set(fault, 403, "forbidden", "%s", refusal->detail);
    case DELEGATE_UNAUTHORIZED:
        return delegate_fault_set(fault, 401, "forbidden", "%s", refusal->detail);
    case DELEGATE_THROTTLED:
        return delegate_fault_set(fault, 429, "throttled", "%s", refusal->detail);
    case DELEGATE_FULL:
        return delegate_fault_set(fault, 409, "full", "%s", refusal->detail);
    }
    FAIL(ERR_INTERNAL, "delegate refused without a reason");
}

static int append_json(const char *text, size_t len, void *arg)
{
    buf_put(arg, text, len);
    return 0;
}

void door_respond(struct http_resp *resp, int status, json_t *take_value)
{
    AUTO(json_decrefp) json_t *value = take_value;
    struct buf text;

    buf_init(&text, HTTP_RESPONSE_MAX);
    if (value == NULL || json_dump_callback(value, append_json, &text, JSON_COMPACT) != 0 ||
        buf_check(&text).code != ERR_OK) {
        http_resp_text(resp, 500, "application/json", "{\"error\":\"out_of_memory\"}");
    } else {
        http_resp_body(resp, status, "application/json", text.data, text.len);
    }
    if (text.data != NULL) {
        mem_wipe(text.data, text.cap); /* it may have held a password */
    }
    buf_clear(&text);
}

/* A name that a stranger claims may be a secret in the wrong field: only names that exist are
 * logged. */
static const char *loggable(const struct delegate_api *api, const char *user)
{
    if (user[0] == '\0') {
        return "none";
    }
    return access_exists(api->o.access, user) ? user : "unknown";
}

/* A detail may quote what a peer sent, cut anywhere: printable ASCII is left, which every JSON
 * encoder takes. */
static void make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~') {
            *text = '?';
        }
    }
}

void door_fail(const struct delegate_api *api, const struct http_req *req, const char *user,
               struct err e, struct delegate_fault *fault, struct http_resp *resp)
{
    char peer[IP_TEXT_MAX + 1];

    if (e.code != ERR_REJECTED) {
        log_err(LOG_ERROR, "door.failed", e);
        (void)delegate_fault_set(fault, 500, "db_error",
                                 e.code == ERR_IO ? "the server cannot read or write its state "
                                                    "directory (request %s): its log says why"
                                                  : "the server failed (request %s): its log says "
                                                    "why",
                                 req->id == NULL ? "" : req->id);
    } else {
        ip_text(&req->peer, peer);
        log_ev(LOG_WARN, "door.refused", {"path", req->path}, {"client", loggable(api, user)},
               {"peer", peer}, {"status", log_int(fault->status)}, {"msg", fault->detail});
    }
    make_printable(fault->detail);
    if (fault->status == 401) {
        http_resp_header(resp, "WWW-Authenticate", "Basic realm=\"bailiwick\"");
    }
    if (fault->status == 429) {
        http_resp_headerf(resp, "Retry-After", "%d", DELEGATE_RETRY_AFTER_S);
    }
    door_respond(resp, fault->status,
                 json_pack("{s:s, s:s}", "error", fault->error, "detail", fault->detail));
}

/* --- httpreq ---------------------------------------------------------------------------------- */

static struct err httpreq(const struct delegate_api *api, const struct http_req *req,
                          bool is_cleanup, struct delegate_who *who, struct delegate_fault *fault)
{
    struct delegate_httpreq wanted;
    struct delegate_refusal refusal;

    /* The credential first: a stranger learns nothing from the rest. */
    TRY(door_authenticate(api, req, DOOR_HTTPREQ, who, fault));
    TRY(delegate_httpreq_parse(req->body, req->body_len, &wanted, fault));
    struct err e =
        delegate_publish(api->o.delegate, who, wanted.fqdn, wanted.value, is_cleanup, &refusal);
    return door_refused(e, &refusal, "bad_name", fault);
}

static void answer_httpreq(const struct delegate_api *api, const struct http_req *req,
                           bool is_cleanup, struct http_resp *resp)
{
    struct delegate_who who;
    struct delegate_fault fault = {500, "db_error", ""};
    struct err e = httpreq(api, req, is_cleanup, &who, &fault);

    if (e.code != ERR_OK) {
        door_fail(api, req, who.client, e, &fault, resp);
        return;
    }
    door_respond(resp, 200, json_object());
}

static void present(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    answer_httpreq(ctx, req, false, resp);
}

static void cleanup(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    answer_httpreq(ctx, req, true, resp);
}

/* --- the API ---------------------------------------------------------------------------------- */

static void api_freep(struct delegate_api **api)
{
    delegate_api_free(*api);
}

struct err delegate_api_new(const struct delegate_api_options *options, struct delegate_api **out)
{
    AUTO(api_freep) struct delegate_api *api = mem_zalloc(sizeof(*api));
    struct buf url = BUF_INIT(4096);

    TRY_PTR(api);
    api->o = *options;
    buf_printf(&url, "%s/acme-dns", options->cfg->public_url);
    api->server_url = buf_take(&url);
    TRY_PTR(api->server_url);
    *out = MOVE(api);
    return err_ok();
}

void delegate_api_free(struct delegate_api *api)
{
    if (api != NULL) {
        mem_free(api->server_url);
        mem_free(api);
    }
}

struct err delegate_api_routes(struct delegate_api *api, struct http_route *routes, size_t cap,
                               size_t *n)
{
    static const struct http_route own[] = {
        {HTTP_POST, HTTP_ON_TLS, "/httpreq/present", DELEGATE_BODY_MAX, present, NULL},
        {HTTP_POST, HTTP_ON_TLS, "/httpreq/cleanup", DELEGATE_BODY_MAX, cleanup, NULL},
        {HTTP_POST, HTTP_ON_TLS, "/acme-dns/register", DELEGATE_BODY_MAX, door_register, NULL},
        {HTTP_POST, HTTP_ON_TLS, "/acme-dns/update", DELEGATE_BODY_MAX, door_update, NULL},
        /* libdns concatenates server_url, which may end in a slash, and "/update". */
        {HTTP_POST, HTTP_ON_TLS, "/acme-dns//update", DELEGATE_BODY_MAX, door_update, NULL},
        {HTTP_GET, HTTP_ON_TLS, "/acme-dns/health", 0, door_health, NULL},
        {HTTP_GET, HTTP_ON_TLS, "/acme-dns/storage", 0, door_storage_list, NULL},
        {HTTP_GET | HTTP_POST, HTTP_ON_TLS, "/acme-dns/storage/*", DELEGATE_BODY_MAX, door_storage,
         NULL},
    };

    if (*n > cap || cap - *n < ARRAY_N(own)) {
        FAIL(ERR_LIMIT, "no room for the doors' routes");
    }
    for (size_t i = 0; i < ARRAY_N(own); i++) {
        routes[*n] = own[i];
        routes[*n].ctx = api;
        (*n)++;
    }
    return err_ok();
}
