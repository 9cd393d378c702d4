/* A whole CA below HTTP for the ACME tests: real store, access, zones, delegate and ca; requests
 * are signed and routed in-process. */
#ifndef TESTS_UNIT_ACME_SUPPORT_H
#define TESTS_UNIT_ACME_SUPPORT_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "acme-server/acme.h"
#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "tests/unit/jws_maker.h"

#define SUPPORT __attribute__((unused)) static
#define URN "urn:ietf:params:acme:error:"
#define BASE "https://ca.svc.test"
#define SECRET "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct fx {
    char dir[64];
    struct config *cfg;
    struct store *store;
    struct access *access;
    struct zone_db *zones;
    struct records *records;
    struct delegate *delegate;
    struct ca *ca;
    struct acme *acme;
    struct resolve_config resolve;
    struct http_router *router;
    struct maker key;
    char kid[256];    /* of key's account */
    const char *peer; /* of the requests; NULL: 192.0.2.1 */
    bool is_chaos;    /* from the next start on */
};

struct reply {
    int status;
    char body[32768];
    json_t *json; /* NULL when the body is no JSON */
    char nonce[128], location[512], up[512], next[512], index[512], terms[512], retry[32];
    char alternate[512]; /* the last one */
    char type[64];
    unsigned links_n, alternates_n;
};

/* What a test wants other than usual; all optional. */
struct odd {
    const char *url, *nonce, *content_type, *host, *query, *kid, *raw_body;
};

SUPPORT void must_at(struct err e, int line)
{
    if (e.code != ERR_OK) {
        fail_msg("line %d: %s: %s (%s:%d)", line, err_name(e.code), err_trace()->text,
                 err_trace()->file, err_trace()->line);
    }
}
#define must(e) must_at((e), __LINE__)

/* --- life ------------------------------------------------------------------------------------- */

SUPPORT void fx_start(struct fx *f)
{
    const struct store_module modules[] = {ACCESS_STORE_MODULE, RECORDS_STORE_MODULE,
                                           DELEGATE_STORE_MODULE, CA_STORE_MODULE,
                                           ACME_STORE_MODULE};
    struct http_route routes[32];
    size_t n = 0;
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/bailiwick.db", f->dir);
    const struct store_options options = {.path = path, .readers_max = 4};
    must(ca_open(f->dir, CONFIG_KEY_ECDSA_P256, "Test", &f->ca));
    must(store_open(&options, modules, 5, &f->store));
    must(access_open(f->cfg, f->store, &f->access));
    must(zone_db_new(f->cfg, 1, &f->zones));
    must(records_open(f->cfg, f->store, f->zones, &f->records));
    must(delegate_open(f->cfg, f->store, f->access, f->zones, f->records, &f->delegate));
    const struct acme_options acme = {.cfg = f->cfg,
                                      .store = f->store,
                                      .access = f->access,
                                      .ca = f->ca,
                                      .zones = f->zones,
                                      .delegate = f->delegate,
                                      .records = f->records,
                                      .https_port = 443,
                                      .resolve = &f->resolve,
                                      .is_chaos = f->is_chaos};
    must(acme_new(&acme, &f->acme));
    must(acme_routes(f->acme, routes, ARRAY_N(routes), &n));
    must(http_router_new(routes, n, &f->router));
}

SUPPORT void fx_stop(struct fx *f)
{
    http_router_free(f->router);
    acme_free(f->acme);
    store_close(f->store);
    ca_close(f->ca);
    delegate_close(f->delegate);
    records_close(f->records);
    zone_db_free(f->zones);
    access_close(f->access);
}

SUPPORT void fx_configure(struct fx *f, const char *extra_yaml)
{
    struct buf problems = BUF_INIT(4096);
    char yaml[4096];

    config_free(f->cfg);
    (void)snprintf(yaml, sizeof(yaml),
                   "state_dir: %s\n"
                   "hostname: ca.svc.test\n"
                   "public_url: https://ca.svc.test\n"
                   "addresses: [192.0.2.7, '2001:db8::7']\n"
                   "resolvers: ['127.0.0.1:1']\n"
                   "zones:\n"
                   "  - {name: svc.test, ingress: [192.0.2.9]}\n"
                   "  - {name: far.test, serve: false}\n"
                   "delegate_zone: acme.svc.test\n"
                   "clients:\n"
                   "  - {name: both, secret: " SECRET ", names: [svc.test, '*.svc.test']}\n"
                   "  - {name: apex, secret: " SECRET ", names: [svc.test]}\n"
                   "%s",
                   f->dir, extra_yaml);
    struct err e = config_parse("test.yaml", yaml, strlen(yaml), &problems, &f->cfg);
    if (e.code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    buf_clear(&problems);
    f->resolve =
        (struct resolve_config){.resolvers = f->cfg->resolvers, .resolvers_n = f->cfg->resolvers_n};
}

SUPPORT struct fx *fx_new(const char *extra_yaml)
{
    struct fx *f = mem_zalloc(sizeof(*f));

    assert_non_null(f);
    log_setup(LOG_WARN, LOG_TEXT);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/bw-acme-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    fx_configure(f, extra_yaml);
    fx_start(f);
    f->key = maker_new(JWK_ES256, 0);
    return f;
}

SUPPORT void fx_restart(struct fx *f)
{
    fx_stop(f);
    fx_start(f);
}

SUPPORT int fx_remove_entry(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st;
    (void)flag;
    (void)walk;
    return remove(path);
}

SUPPORT void fx_free(struct fx *f)
{
    fx_stop(f);
    assert_int_equal(nftw(f->dir, fx_remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    config_free(f->cfg);
    maker_clear(&f->key);
    mem_free(f);
}

/* --- requests --------------------------------------------------------------------------------- */

SUPPORT void reply_clear(struct reply *reply)
{
    json_decref(reply->json);
    *reply = (struct reply){0};
}

SUPPORT void keep_header(struct reply *out, const char *name, const char *value)
{
    if (strcmp(name, "Replay-Nonce") == 0) {
        (void)snprintf(out->nonce, sizeof(out->nonce), "%s", value);
    } else if (strcmp(name, "Location") == 0) {
        (void)snprintf(out->location, sizeof(out->location), "%s", value);
    } else if (strcmp(name, "Retry-After") == 0) {
        (void)snprintf(out->retry, sizeof(out->retry), "%s", value);
    } else if (strcmp(name, "Link") == 0) {
        char *slot = strstr(value, "\"up\"") != NULL                 ? out->up
                     : strstr(value, "\"next\"") != NULL             ? out->next
                     : strstr(value, "\"alternate\"") != NULL        ? out->alternate
                     : strstr(value, "\"terms-of-service\"") != NULL ? out->terms
                                                                     : out->index;
        (void)snprintf(slot, sizeof(out->up), "%s", value);
        out->links_n++;
        out->alternates_n += slot == out->alternate ? 1 : 0;
    }
}

SUPPORT void take_reply(struct http_resp *resp, struct reply *out)
{
    assert_false(resp->failed);
    assert_true(resp->body.len < sizeof(out->body));
    out->status = resp->status;
    (void)snprintf(out->body, sizeof(out->body), "%s", buf_str(&resp->body));
    (void)snprintf(out->type, sizeof(out->type), "%s",
                   resp->content_type == NULL ? "" : resp->content_type);
    out->json = json_loads(out->body, JSON_REJECT_DUPLICATES, NULL);
    for (unsigned i = 0; i < resp->headers_n; i++) {
        keep_header(out, resp->headers[i].name, resp->headers[i].value);
        mem_free(resp->headers[i].name);
        mem_free(resp->headers[i].value);
    }
    buf_clear(&resp->body);
}

/* Route and run one request as the HTTP server would. */
SUPPORT void fx_http(struct fx *f, struct http_req *req, struct reply *out)
{
    struct http_resp resp = {.status = 200, .body = BUF_INIT(HTTP_RESPONSE_MAX)};
    unsigned allow = 0;
    int status = 0;

    reply_clear(out);
    req->listener = HTTP_ON_TLS;
    req->id = "req000000001";
    req->host = req->host == NULL ? "ca.svc.test" : req->host;
    req->query = req->query == NULL ? "" : req->query;
    req->content_type = req->content_type == NULL ? "" : req->content_type;
    must(ip_parse(f->peer == NULL ? "192.0.2.1" : f->peer, &req->peer));
    const struct http_route *route = http_router_find(f->router, HTTP_ON_TLS, req->method,
                                                      req->path, &req->tail, &status, &allow);
    if (route == NULL) {
        acme_on_http_error(f->acme, req, status, "The server says no.", &resp);
    } else {
        route->handler(route->ctx, req, &resp);
    }
    take_reply(&resp, out);
}

SUPPORT void fx_get(struct fx *f, enum http_method method, const char *path, struct reply *out)
{
    struct http_req req = {.method = method, .path = path};

    fx_http(f, &req, out);
}

SUPPORT const char *path_of(const char *url)
{
    const char *path = strchr(strstr(url, "://") + 3, '/');

    assert_non_null(path);
    return path;
}

/* POST `payload` to url (or path), signed by key: with kid, or with the JWK when kid is NULL. */
SUPPORT void fx_post_odd(struct fx *f, const struct maker *key, const char *kid, const char *url,
                         const char *payload, const struct odd *odd, struct reply *out)
{
    const char *path = url[0] == '/' ? url : path_of(url);
    char target[1024];
    char header[4096];
    char nonce[128];
    struct reply fresh = {0};

    fx_get(f, HTTP_HEAD, "/acme/new-nonce", &fresh);
    (void)snprintf(nonce, sizeof(nonce), "%s", odd->nonce == NULL ? fresh.nonce : odd->nonce);
    reply_clear(&fresh);
    (void)snprintf(target, sizeof(target), BASE "%s%s%s", path, odd->query == NULL ? "" : "?",
                   odd->query == NULL ? "" : odd->query);
    const char *account = odd->kid == NULL ? kid : odd->kid;
    (void)snprintf(header, sizeof(header),
                   "{\"alg\":\"%s\",\"nonce\":\"%s\",\"url\":\"%s\",\"%s\":%s%s%s}",
                   jwk_alg_name(key->alg), nonce, odd->url == NULL ? target : odd->url,
                   account == NULL ? "jwk" : "kid", account == NULL ? "" : "\"",
                   account == NULL ? key->jwk : account, account == NULL ? "" : "\"");
    char *body = maker_jws(key, header, payload);
    const char *sent = odd->raw_body == NULL ? body : odd->raw_body;
    struct http_req req = {.method = HTTP_POST,
                           .path = path,
                           .query = odd->query,
                           .host = odd->host,
                           .content_type = odd->content_type == NULL ? "application/jose+json"
                                                                     : odd->content_type,
                           .body = (const uint8_t *)sent,
                           .body_len = strlen(sent)};
    fx_http(f, &req, out);
    mem_free(body);
}

/* As f->key's account. */
SUPPORT void fx_post(struct fx *f, const char *url, const char *payload, struct reply *out)
{
    const struct odd usual = {0};
    char kept[1024]; /* url may stand in *out */

    (void)snprintf(kept, sizeof(kept), "%s", url);
    fx_post_odd(f, &f->key, f->kid, kept, payload, &usual, out);
}

SUPPORT const char *member(const struct reply *reply, const char *name)
{
    const char *text = json_string_value(json_object_get(reply->json, name));

    return text == NULL ? "" : text;
}

SUPPORT void expect_status_at(const struct reply *reply, int status, int line)
{
    if (reply->status != status) {
        fail_msg("line %d: status %d, not %d: %s", line, reply->status, status, reply->body);
    }
}
#define expect_status(reply, status) expect_status_at((reply), (status), __LINE__)

/* A problem document with everything a client relies on. */
SUPPORT void expect_problem_at(const struct reply *reply, int status, const char *type, int line)
{
    expect_status_at(reply, status, line);
    assert_string_equal(reply->type, "application/problem+json");
    if (strncmp(member(reply, "type"), URN, strlen(URN)) != 0 ||
        strcmp(member(reply, "type") + strlen(URN), type) != 0) {
        fail_msg("line %d: not %s: %s", line, type, reply->body);
    }
    assert_int_equal(json_integer_value(json_object_get(reply->json, "status")), status);
    assert_true(strlen(member(reply, "detail")) > 15);
    assert_string_not_equal(reply->nonce, "");
    assert_string_equal(reply->index, "<" BASE "/acme/directory>;rel=\"index\"");
}
#define expect_problem(reply, status, type) expect_problem_at((reply), (status), (type), __LINE__)

/* Register `key`; kid gets its URL. */
SUPPORT void fx_register(struct fx *f, const struct maker *key, char kid[256])
{
    const struct odd usual = {0};
    struct reply reply = {0};

    fx_post_odd(f, key, NULL, "/acme/new-account", "{\"termsOfServiceAgreed\":true}", &usual,
                &reply);
    expect_status(&reply, 201);
    (void)snprintf(kid, 256, "%.255s", reply.location);
    reply_clear(&reply);
}

/* newOrder for up to three names. */
SUPPORT void fx_order(struct fx *f, const char *const *names, size_t n, struct reply *out)
{
    char payload[2048] = "{\"identifiers\":[";

    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(payload);
        (void)snprintf(payload + used, sizeof(payload) - used,
                       "%s{\"type\":\"dns\",\"value\":\"%s\"}", i == 0 ? "" : ",", names[i]);
    }
    size_t used = strlen(payload);
    (void)snprintf(payload + used, sizeof(payload) - used, "]}");
    fx_post(f, "/acme/new-order", payload, out);
}

/* The i-th authorization of an order reply. */
SUPPORT void fx_authz(struct fx *f, const struct reply *order, size_t i, struct reply *out)
{
    const json_t *list = json_object_get(order->json, "authorizations");

    assert_true(i < json_array_size(list));
    fx_post(f, json_string_value(json_array_get(list, i)), "", out);
    expect_status(out, 200);
}

/* The challenge of this type, NULL when the authorization does not show one. */
SUPPORT const json_t *challenge_typed(const struct reply *authz, enum challenge_type type)
{
    const json_t *list = json_object_get(authz->json, "challenges");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        if (strcmp(json_string_value(json_object_get(entry, "type")), challenge_name(type)) == 0) {
            return entry;
        }
    }
    return NULL;
}

SUPPORT const json_t *challenge_of(const struct reply *authz)
{
    return challenge_typed(authz, CHALLENGE_DNS01);
}

SUPPORT const char *challenge_member(const struct reply *authz, const char *name)
{
    const char *text = json_string_value(json_object_get(challenge_of(authz), name));

    return text == NULL ? "" : text;
}

/* The TXT value that proves an authorization for f->key. */
SUPPORT void digest_of(const struct fx *f, const struct reply *authz, char out[TXT_VALUE_LEN + 1])
{
    struct problem prob = {0};
    struct jwk *jwk = NULL;
    char text[256];
    uint8_t hash[SHA256_LEN];

    must(jwk_parse(f->key.jwk, strlen(f->key.jwk), 2048, &jwk, &prob));
    (void)snprintf(text, sizeof(text), "%s.%s", challenge_member(authz, "token"),
                   jwk_thumbprint(jwk));
    jwk_free(jwk);
    must(sha256(text, strlen(text), hash));
    base64url_encode(hash, sizeof(hash), out);
}

SUPPORT void fx_publish(struct fx *f, const char *client, const char *base, const char *value)
{
    struct delegate_who who = {.door = DOOR_HTTPREQ};
    struct delegate_refusal refusal = {0};
    char fqdn[300];

    must(ip_parse("192.0.2.1", &who.peer));
    (void)snprintf(who.client, sizeof(who.client), "%s", client);
    (void)snprintf(fqdn, sizeof(fqdn), ACME_LABEL ".%s.", base);
    must(delegate_publish(f->delegate, &who, fqdn, value, false, &refusal));
}

/* Publish as `client` and answer every challenge of the order; each must become valid at once. */
SUPPORT void fx_prove(struct fx *f, const struct reply *order, const char *client)
{
    size_t n = json_array_size(json_object_get(order->json, "authorizations"));

    for (size_t i = 0; i < n; i++) {
        struct reply authz = {0};
        struct reply challenge = {0};
        char digest[TXT_VALUE_LEN + 1];
        fx_authz(f, order, i, &authz);
        if (strcmp(member(&authz, "status"), "valid") != 0) {
            digest_of(f, &authz, digest);
            fx_publish(f, client,
                       json_string_value(
                           json_object_get(json_object_get(authz.json, "identifier"), "value")),
                       digest);
            fx_post(f, challenge_member(&authz, "url"), "{}", &challenge);
            expect_status(&challenge, 200);
            assert_string_equal(member(&challenge, "status"), "valid");
        }
        reply_clear(&authz);
        reply_clear(&challenge);
    }
}

/* {"csr":…} for names, signed by key; freed with mem_free(). */
SUPPORT char *csr_payload(EVP_PKEY *key, const char *const *names, size_t n)
{
    char san[1024] = "";
    unsigned char *der = NULL;
    X509_REQ *req = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();

    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(san);
        struct ip_addr ip;
        (void)snprintf(san + used, sizeof(san) - used, "%s%s:%s", i == 0 ? "" : ",",
                       ip_parse(names[i], &ip).code == ERR_OK ? "IP" : "DNS", names[i]);
    }
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
    assert_non_null(ext);
    assert_true(sk_X509_EXTENSION_push(extensions, ext) > 0);
    assert_int_equal(X509_REQ_add_extensions(req, extensions), 1);
    assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
    assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
    int len = i2d_X509_REQ(req, &der);
    assert_true(len > 0);
    char *text = maker_b64(der, (size_t)len);
    struct buf b = BUF_INIT(65536);
    buf_printf(&b, "{\"csr\":\"%s\"}", text);
    mem_free(text);
    OPENSSL_free(der);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(req);
    return buf_take(&b);
}

#endif
