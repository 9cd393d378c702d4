/* The directory and nonces: the two resources that are read without a signature. RFC 8555 §7.1.1,
 * §7.2. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/handlers.h"
#include "acme-server/issuer.h"
#include "acme-server/persist.h"
#include "core/util/log.h"
#include "core/util/mem.h"

static int put_json(const char *text, size_t len, void *out)
{
    buf_put(out, text, len);
    return 0;
}

static void put_profile(void *ctx, const struct ca_profile *profile)
{
    (void)json_object_set_new(ctx, profile->name, json_string(profile->description));
}

static json_t *issuer_list(const struct acme *acme)
{
    json_t *list = json_array();
    struct issuer_names issuers;

    issuer_names(&acme->base_urls, &issuers);
    for (size_t i = 0; i < issuers.n; i++) {
        (void)json_array_append_new(list, json_string(issuers.list[i]));
    }
    return list;
}

static json_t *meta_json(const struct acme *acme, const char *base)
{
    const struct config_acme *settings = acme_settings(acme);
    json_t *meta = json_pack("{s:s+, s:b, s:s+}", "website", "https://", acme->base_urls.authority,
                             "externalAccountRequired", settings->external_account_required,
                             "accountHashPrefix", base, PERSIST_HASH_PATH);
    json_t *profiles = json_object();
    const char *terms = settings->terms_of_service;

    if (terms != NULL && terms[0] != '\0') {
        (void)json_object_set_new(meta, "termsOfService", json_string(terms));
    }
    (void)json_object_set_new(meta, "caaIdentities", issuer_list(acme));
    (void)json_object_set_new(meta, "issuerDomainNames", issuer_list(acme));
    ca_profile_each(settings, put_profile, profiles);
    (void)json_object_set_new(meta, "profiles", profiles);
    return meta;
}

/* prefix: "/acme", or "/acme/p/<profile>" for newOrder alone: everything else is the same. */
static void reply(const struct acme *acme, const struct http_req *http, const char *prefix,
                  struct http_resp *resp)
{
    char base[BASE_URL_MAX + 1];

    base_url_of(&acme->base_urls, http->host, base);
    json_t *doc =
        json_pack("{s:s+, s:s+, s:s++, s:s+, s:s+, s:s+, s:s+, s:o}", "newNonce", base,
                  "/acme/new-nonce", "newAccount", base, "/acme/new-account", "newOrder", base,
                  prefix, "/new-order", "newAuthz", base, "/acme/new-authz", "revokeCert", base,
                  "/acme/revoke-cert", "keyChange", base, "/acme/key-change", "renewalInfo", base,
                  "/acme/renewal-info", "meta", meta_json(acme, base));
    if (doc == NULL || json_dump_callback(doc, put_json, &resp->body, JSON_COMPACT) != 0) {
        resp->status = 500;
    } else {
        resp->status = 200;
        resp->content_type = "application/json";
    }
    json_decref(doc);
}

void acme_directory(void *ctx, const struct http_req *http, struct http_resp *resp)
{
    reply(ctx, http, "/acme", resp);
}

struct err acme_directory_as_get(struct acme_req *r)
{
    TRY(acme_req_as_get(r));
    reply(r->acme, r->http, "/acme", r->resp);
    return err_ok();
}

/* Is the tail of /acme/p/... "<profile>/<rest>", with a profile that exists? */
static bool take_profile(const struct acme *acme, const char *tail, const char *rest,
                         char name[CONFIG_PROFILE_NAME_MAX + 1])
{
    size_t n = strcspn(tail, "/");
    struct ca_profile profile = {0};

    if (n == 0 || n > CONFIG_PROFILE_NAME_MAX || tail[n] == '\0' ||
        strcmp(tail + n + 1, rest) != 0) {
        return false;
    }
    memcpy(name, tail, n);
    name[n] = '\0';
    return ca_profile_choose(acme_settings(acme), name, &profile).code == ERR_OK;
}

static void reply_pinned(const struct acme *acme, const struct http_req *http, const char *profile,
                         struct http_resp *resp)
{
    char prefix[sizeof("/acme/p/") + CONFIG_PROFILE_NAME_MAX];

    (void)snprintf(prefix, sizeof(prefix), "/acme/p/%s", profile);
    reply(acme, http, prefix, resp);
}

void acme_pinned_directory(void *ctx, const struct http_req *http, struct http_resp *resp)
{
    struct acme *acme = ctx;
    char name[CONFIG_PROFILE_NAME_MAX + 1];

    if (!take_profile(acme, http->tail, "directory", name)) {
        acme_on_http_error(acme, http, 404,
                           "There is no directory at this URL: the profiles that "
                           "/acme/p/<profile>/directory knows are listed in the meta of "
                           "/acme/directory.",
                           resp);
        return;
    }
    reply_pinned(acme, http, name, resp);
}

struct err acme_pinned(struct acme_req *r)
{
    char name[CONFIG_PROFILE_NAME_MAX + 1];

    if (take_profile(r->acme, r->http->tail, "directory", name)) {
        TRY(acme_req_as_get(r));
        reply_pinned(r->acme, r->http, name, r->resp);
        return err_ok();
    }
    if (!take_profile(r->acme, r->http->tail, "new-order", r->pinned_profile)) {
        r->pinned_profile[0] = '\0';
        return acme_req_missing(r, "resource");
    }
    return acme_new_order(r);
}

void acme_new_nonce(void *ctx, const struct http_req *http, struct http_resp *resp)
{
    struct acme *acme = ctx;
    char base[BASE_URL_MAX + 1];

    base_url_of(&acme->base_urls, http->host, base);
    resp->status = http->method == HTTP_HEAD ? 200 : 204;
    http_resp_header(resp, "Cache-Control", "no-store");
    acme_add_headers(acme, base, resp);
}

struct err acme_new_nonce_as_get(struct acme_req *r)
{
    TRY(acme_req_as_get(r));
    r->resp->status = 204;
    http_resp_header(r->resp, "Cache-Control", "no-store");
    return err_ok();
}
