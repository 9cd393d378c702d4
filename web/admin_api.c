#include "web/admin_api.h"

#include <string.h>

#include <jansson.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "web/admin_dns.h"
#include "web/admin_orders.h"
#include "web/admin_records.h"
#include "web/admin_reply.h"

#define ADMIN_BODY_MAX (64u * 1024u)

struct admin_api {
    struct admin_api_options o;
    int64_t started_ms;
};

/* "a,b" -> ["a","b"]; NULL when memory is exhausted. */
static json_t *split_list(const char *text)
{
    json_t *list = json_array();

    while (list != NULL && *text != '\0') {
        size_t n = strcspn(text, ",");
        if (json_array_append_new(list, json_stringn(text, n)) != 0) {
            json_decref(list);
            return NULL;
        }
        text += n + (text[n] == ',' ? 1 : 0);
    }
    return list;
}

static struct err clients_json(struct admin_api *api, json_t **out)
{
    struct access_client_info *info = NULL;
    size_t n = 0;

    TRY(access_list(api->o.access, &info, &n));
    json_t *list = json_array();
    for (size_t i = 0; i < n && list != NULL; i++) {
        json_t *one = json_pack(
            "{s:s, s:s, s:o, s:o, s:b, s:b, s:b, s:o}", "name", info[i].name, "source",
            info[i].is_from_config ? "configuration" : "store", "names", split_list(info[i].names),
            "networks", split_list(info[i].networks), "preauthorized",
            info[i].is_preauthorized ? 1 : 0, "limits", info[i].has_limits ? 1 : 0, "records",
            info[i].has_records ? 1 : 0, "created", admin_time(info[i].created_unix));
        if (one == NULL || json_array_append_new(list, one) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    access_list_free(info, n);
    TRY_PTR(list);
    *out = list;
    return err_ok();
}

static struct err bindings_json(struct admin_api *api, json_t **out)
{
    AUTO(mem_freep) struct delegate_binding *bindings = NULL;
    size_t n = 0;

    TRY(delegate_bindings(api->o.delegate, NULL, &bindings, &n));
    AUTO(json_decrefp) json_t *list = json_array();
    TRY_PTR(list);
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_pack("{s:s, s:s, s:s, s:o}", "name", bindings[i].name, "client",
                                bindings[i].client, "registration", bindings[i].registration,
                                "bound", admin_time(bindings[i].bound_unix));
        if (one == NULL || json_array_append_new(list, one) != 0) {
            FAIL(ERR_NOMEM, "bindings: out of memory");
        }
    }
    *out = MOVE(list);
    return err_ok();
}

static struct err list_json(struct admin_api *api, json_t **out)
{
    AUTO(json_decrefp) json_t *clients = NULL;
    AUTO(json_decrefp) json_t *bindings = NULL;

    TRY(clients_json(api, &clients));
    TRY(bindings_json(api, &bindings));
    *out = json_pack("{s:O, s:O}", "clients", clients, "bindings", bindings);
    TRY_PTR(*out);
    return err_ok();
}

static void handle_list(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    AUTO(json_decrefp) json_t *body = NULL;

    (void)req;
    struct err e = list_json(ctx, &body);
    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.client.list");
        return;
    }
    admin_reply_json(resp, 200, body);
}

/* Texts of a JSON array member; absent counts as empty. Borrowed from `doc`. */
static struct err text_list(const json_t *doc, const char *key, const char **out, size_t max,
                            size_t *n)
{
    const json_t *list = json_object_get(doc, key);

    *n = 0;
    if (list == NULL || json_is_null(list)) {
        return err_ok();
    }
    if (!json_is_array(list) || json_array_size(list) > max) {
        FAIL(ERR_MALFORMED, "%s: a list of at most %zu texts was expected", key, max);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL) {
            FAIL(ERR_MALFORMED, "%s: entry %zu is not a text", key, i + 1);
        }
        out[(*n)++] = text;
    }
    return err_ok();
}

/* A JSON boolean member; `out` stays as it is when the member is absent. */
static struct err flag(const json_t *doc, const char *key, bool *out)
{
    const json_t *value = json_object_get(doc, key);

    if (value == NULL || json_is_null(value)) {
        return err_ok();
    }
    if (!json_is_boolean(value)) {
        FAIL(ERR_MALFORMED, "%s: true or false was expected", key);
    }
    *out = json_is_true(value);
    return err_ok();
}

static struct err add_client(struct admin_api *api, const struct http_req *req, json_t **out)
{
    const char *names[ACCESS_NAMES_MAX];
    const char *networks[ACCESS_NETWORKS_MAX];
    struct access_new_client client = {.patterns = names, .networks = networks};
    bool has_limits = true;
    bool has_records = true;
    char secret[CLIENT_SECRET_MAX + 1];
    AUTO(json_decrefp)
    json_t *doc = json_loadb((const char *)req->body, req->body_len, JSON_REJECT_DUPLICATES, NULL);

    client.name = json_string_value(json_object_get(doc, "name"));
    client.secret = json_string_value(json_object_get(doc, "secret"));
    if (client.name == NULL) {
        FAIL(ERR_MALFORMED, "a JSON object with a client \"name\" was expected");
    }
    TRY(text_list(doc, "names", names, ARRAY_N(names), &client.patterns_n));
    TRY(text_list(doc, "networks", networks, ARRAY_N(networks), &client.networks_n));
    TRY(flag(doc, "preauthorized", &client.is_preauthorized));
    TRY(flag(doc, "limits", &has_limits));
    TRY(flag(doc, "records", &has_records));
    TRY(flag(doc, "key_only", &client.is_key_only));
    client.has_no_limits = !has_limits;
    client.has_no_records = !has_records;
    TRY(access_client_create(api->o.access, &client, secret));
    *out = json_pack("{s:s, s:s, s:b, s:b, s:b}", "name", client.name, "secret", secret,
                     "preauthorized", client.is_preauthorized ? 1 : 0, "limits", has_limits ? 1 : 0,
                     "records", has_records ? 1 : 0);
    mem_wipe(secret, sizeof(secret));
    TRY_PTR(*out);
    log_ev(LOG_INFO, "admin.client.add", {"client", client.name});
    struct err e = records_known_access(api->o.records, api->o.access);
    if (e.code != ERR_OK) { /* the client is there; its names are written out at the next start */
        log_err(LOG_ERROR, "admin.client.known", e);
    }
    return err_ok();
}

static void handle_add(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    AUTO(json_decrefp) json_t *body = NULL;
    struct err e = add_client(ctx, req, &body);

    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.client.add");
        return;
    }
    admin_reply_json(resp, 201, body);
}

static void handle_remove(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    struct admin_api *api = ctx;
    struct err e = access_client_remove(api->o.access, req->tail);

    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.client.remove");
        return;
    }
    log_ev(LOG_INFO, "admin.client.remove", {"client", req->tail});
    http_resp_body(resp, 204, NULL, NULL, 0);
}

static void handle_release(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    struct admin_api *api = ctx;
    struct err e = delegate_release(api->o.delegate, req->tail);

    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.client.release");
        return;
    }
    log_ev(LOG_INFO, "admin.client.release", {"name", req->tail});
    http_resp_body(resp, 204, NULL, NULL, 0);
}

static void handle_cname(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    struct admin_api *api = ctx;
    AUTO(buf_clear) struct buf line = BUF_INIT(2048);
    struct err e = delegate_cname(api->o.delegate, req->tail, &line);

    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.cname");
        return;
    }
    AUTO(json_decrefp) json_t *body = json_pack("{s:s}", "cname", buf_str(&line));
    admin_reply_json(resp, 200, body);
}

struct cert_counts {
    int64_t total;
    int64_t valid;
};

static struct err count_certificates(struct db *db, void *arg)
{
    struct cert_counts *counts = arg;
    return ca_count(db, &counts->total, &counts->valid);
}

/* An address that does not fit into memory is left out: the state was asked for, not the list. */
static json_t *zones_json(const struct config *cfg, const struct zone_db *db)
{
    json_t *zones = json_array();

    for (size_t i = 0; i < cfg->zones_n; i++) {
        const struct config_zone *zone = &cfg->zones[i];
        json_t *ingress = json_array();
        for (size_t k = 0; k < zone->ingress_n; k++) {
            char text[IP_TEXT_MAX + 1];
            ip_text(&zone->ingress[k], text);
            (void)json_array_append_new(ingress, json_string(text));
        }
        (void)json_array_append_new(
            zones, json_pack("{s:s, s:b, s:b, s:I, s:o}", "name", zone->name, "served",
                             zone->is_served ? 1 : 0, "plain", zone->is_plain ? 1 : 0, "serial",
                             (json_int_t)zone_serial_of(db, zone->name), "ingress", ingress));
    }
    return zones;
}

static struct err status_json(struct admin_api *api, json_t **out)
{
    struct cert_counts certs = {0, 0};
    struct acme_counts acme = {0, 0, 0, 0};
    struct dns_counters dns;
    struct access_client_info *clients = NULL;
    size_t clients_n = 0;
    AUTO(buf_clear) struct buf url = BUF_INIT(1024);

    TRY(store_read(api->o.store, "admin.status", count_certificates, &certs));
    TRY(acme_count(api->o.acme, &acme));
    TRY(access_list(api->o.access, &clients, &clients_n));
    access_list_free(clients, clients_n);
    dns_server_counters(api->o.dns, &dns);
    buf_printf(&url, "%s/acme/directory", api->o.cfg->public_url);
    *out = json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, "
                     "s:{s:I, s:I, s:I}, s:s, s:o}",
                     "version", BW_VERSION, "hostname", api->o.cfg->hostname, "public_url",
                     api->o.cfg->public_url, "directory", buf_str(&url), "uptime_s",
                     (json_int_t)((clock_mono_ms() - api->started_ms) / 1000), "zones",
                     zones_json(api->o.cfg, api->o.zones), "delegate_zone",
                     api->o.cfg->delegate_zone, "dns_serial", (json_int_t)zone_serial(api->o.zones),
                     "certificates", (json_int_t)certs.total, "certificates_valid",
                     (json_int_t)certs.valid, "orders_pending", (json_int_t)acme.orders_pending,
                     "accounts", (json_int_t)acme.accounts, "clients", (json_int_t)clients_n, "dns",
                     "udp_queries", (json_int_t)dns.udp_queries, "tcp_queries",
                     (json_int_t)dns.tcp_queries, "dropped", (json_int_t)dns.dropped,
                     "root_fingerprint", ca_root_fingerprint(api->o.ca),
                     "own_certificate_not_after", admin_time(atomic_load(api->o.https_not_after)));
    TRY_PTR(*out);
    return err_ok();
}

static void handle_status(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    AUTO(json_decrefp) json_t *body = NULL;

    (void)req;
    struct err e = status_json(ctx, &body);
    if (e.code != ERR_OK) {
        admin_reply_err(resp, e, "admin.status");
        return;
    }
    admin_reply_json(resp, 200, body);
}

struct err admin_api_new(const struct admin_api_options *options, struct admin_api **out)
{
    struct admin_api *api = mem_zalloc(sizeof(*api));

    TRY_PTR(api);
    api->o = *options;
    api->started_ms = clock_mono_ms();
    *out = api;
    return err_ok();
}

void admin_api_free(struct admin_api *api)
{
    mem_free(api);
}

struct err admin_api_routes(struct admin_api *api, struct http_route *routes, size_t cap, size_t *n)
{
    struct records *records = api->o.records;
    const struct http_route mine[] = {
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/clients", 0, handle_list, api},
        {HTTP_POST, HTTP_ON_CONTROL, "/api/v1/clients", ADMIN_BODY_MAX, handle_add, api},
        {HTTP_DELETE, HTTP_ON_CONTROL, "/api/v1/clients/*", 0, handle_remove, api},
        {HTTP_DELETE, HTTP_ON_CONTROL, "/api/v1/bindings/*", 0, handle_release, api},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/cname/*", 0, handle_cname, api},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/status", 0, handle_status, api},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/orders", 0, admin_orders_list, api->o.acme},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/orders/*", 0, admin_orders_show, api->o.acme},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/zones", 0, admin_zones_list, records},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/zones/*", 0, admin_zones_show, records},
        {HTTP_POST, HTTP_ON_CONTROL, "/api/v1/zones/*", ADMIN_ZONE_TEXT_MAX, admin_zones_import,
         records},
        {HTTP_POST, HTTP_ON_CONTROL, "/api/v1/zones/reload", 0, admin_zones_reload, records},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/records", 0, admin_records_list, records},
        {HTTP_POST, HTTP_ON_CONTROL, "/api/v1/records", ADMIN_EDITS_BODY_MAX, admin_records_post,
         records},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/dns/trace", 0, admin_dns_trace, &api->o},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/dns/counters", 0, admin_dns_counters, &api->o},
        {HTTP_GET | HTTP_PUT, HTTP_ON_CONTROL, "/api/v1/dns/log", ADMIN_BODY_MAX, admin_dns_log,
         &api->o},
        {HTTP_GET, HTTP_ON_CONTROL, "/api/v1/dns/transfers", 0, admin_dns_transfers, &api->o},
    };

    if (cap - *n < ARRAY_N(mine)) {
        FAIL(ERR_LIMIT, "route table: no room for the admin API");
    }
    memcpy(routes + *n, mine, sizeof(mine));
    *n += ARRAY_N(mine);
    return err_ok();
}
