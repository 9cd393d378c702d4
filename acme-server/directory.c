/* The directory and nonces: the two resources that are read without a signature. RFC 8555 §7.1.1,
 * §7.2. */
#include <jansson.h>

#include "acme-server/acme_impl.h"
#include "acme-server/handlers.h"
#include "core/util/log.h"
#include "core/util/mem.h"

static int put_json(const char *text, size_t len, void *out)
{
    buf_put(out, text, len);
    return 0;
}

static json_t *meta_json(const struct acme *acme)
{
    static const char *const NAMES[] = {"default", "month", "short"};
    json_t *meta = json_pack("{s:s+}", "website", "https://", acme->base_urls.authority);
    json_t *profiles = json_object();
    const char *terms = acme->cfg->acme.terms_of_service;

    if (terms != NULL && terms[0] != '\0') {
        (void)json_object_set_new(meta, "termsOfService", json_string(terms));
    }
    for (size_t i = 0; i < ARRAY_N(NAMES); i++) {
        const struct ca_profile *profile = ca_profile_find(NAMES[i]);
        if (profile != NULL) {
            (void)json_object_set_new(profiles, profile->name, json_string(profile->description));
        }
    }
    (void)json_object_set_new(meta, "profiles", profiles);
    return meta;
}

void acme_directory(void *ctx, const struct http_req *http, struct http_resp *resp)
{
    const struct acme *acme = ctx;
    char base[BASE_URL_MAX + 1];

    base_url_of(&acme->base_urls, http->host, base);
    json_t *doc = json_pack("{s:s+, s:s+, s:s+, s:o}", "newNonce", base, "/acme/new-nonce",
                            "newAccount", base, "/acme/new-account", "newOrder", base,
                            "/acme/new-order", "meta", meta_json(acme));
    if (doc == NULL || json_dump_callback(doc, put_json, &resp->body, JSON_COMPACT) != 0) {
        resp->status = 500;
    } else {
        resp->status = 200;
        resp->content_type = "application/json";
    }
    json_decref(doc);
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
