#include "web/delegate_json.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "acme-server/jws.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define BAD_JSON "malformed_json_payload"
#define BAD_TXT_SENTENCE                                                                           \
    "a challenge value is 43 characters of A-Z a-z 0-9 - _ (the base64url of a SHA-256 digest): "  \
    "send it without quotes or padding"

struct err delegate_fault_set(struct delegate_fault *fault, int status, const char *error,
                              const char *fmt, ...)
{
    va_list args;

    fault->status = status;
    fault->error = error;
    va_start(args, fmt);
    (void)vsnprintf(fault->detail, sizeof(fault->detail), fmt, args);
    va_end(args);
    FAIL(ERR_REJECTED, "%s: %s", error, fault->detail);
}

static struct err parse_object(const uint8_t *body, size_t len, json_t **out,
                               struct delegate_fault *fault)
{
    AUTO(problem_clear) struct problem prob = {0};
    void *object = NULL;

    struct err e = json_object_parse((const char *)body, len, &object, &prob);
    if (e.code == ERR_REJECTED) {
        return delegate_fault_set(fault, 400, BAD_JSON, "%.380s", prob.detail);
    }
    TRY(e);
    *out = object;
    return err_ok();
}

/* A string member of 1 to max characters into a fixed array. `error` is what a member of another
 * kind is called. */
static struct err copy_text(const json_t *object, const char *name, const char *error, char *out,
                            size_t max, struct delegate_fault *fault)
{
    const json_t *member = json_object_get(object, name);

    if (!json_is_string(member)) {
        return delegate_fault_set(fault, 400, error, "the body lacks \"%s\" as a string", name);
    }
    size_t len = json_string_length(member);
    if (len == 0 || len > max) {
        return delegate_fault_set(fault, 400, error, "\"%s\" must have 1 to %zu characters", name,
                                  max);
    }
    memcpy(out, json_string_value(member), len + 1);
    return err_ok();
}

static struct err copy_value(const json_t *object, const char *name, char *out,
                             struct delegate_fault *fault)
{
    const json_t *member = json_object_get(object, name);
    size_t len = json_string_length(member);

    if (len != TXT_VALUE_LEN || !is_base64url(json_string_value(member), len)) {
        return delegate_fault_set(fault, 400, "bad_txt", "\"%s\": " BAD_TXT_SENTENCE, name);
    }
    memcpy(out, json_string_value(member), len + 1);
    return err_ok();
}

/* --- httpreq ---------------------------------------------------------------------------------- */

static bool is_key_authorization(const char *text, size_t len)
{
    const char *dot = memchr(text, '.', len);

    if (dot == NULL || dot == text) {
        return false;
    }
    size_t head = (size_t)(dot - text);
    return len - head - 1 == SHA256_B64_LEN && is_base64url(text, head) &&
           is_base64url(dot + 1, SHA256_B64_LEN);
}

static struct err parse_raw(const json_t *object, struct delegate_httpreq *out,
                            struct delegate_fault *fault)
{
    char domain[NAME_TEXT_MAX + 4];
    char key_auth[DELEGATE_KEY_AUTH_MAX + 1];
    uint8_t digest[SHA256_LEN];

    TRY(copy_text(object, "domain", BAD_JSON, domain, sizeof(domain) - 1, fault));
    TRY(copy_text(object, "keyAuth", BAD_JSON, key_auth, DELEGATE_KEY_AUTH_MAX, fault));
    if (!is_key_authorization(key_auth, strlen(key_auth))) {
        return delegate_fault_set(fault, 400, "bad_txt",
                                  "\"keyAuth\" is not a key authorization (token, dot, account key "
                                  "thumbprint; RFC 8555 section 8.1)");
    }
    const char *token = json_string_value(json_object_get(object, "token"));
    if (token != NULL &&
        (strncmp(token, key_auth, strlen(token)) != 0 || key_auth[strlen(token)] != '.')) {
        return delegate_fault_set(fault, 400, "bad_txt",
                                  "\"keyAuth\" does not begin with the \"token\" beside it");
    }
    TRY(sha256(key_auth, strlen(key_auth), digest));
    base64url_encode(digest, sizeof(digest), out->value);
    const char *base = strncmp(domain, "*.", 2) == 0 ? domain + 2 : domain;
    (void)snprintf(out->fqdn, sizeof(out->fqdn), "%s.%s", ACME_LABEL, base);
    return err_ok();
}

struct err delegate_httpreq_parse(const uint8_t *body, size_t len, struct delegate_httpreq *out,
                                  struct delegate_fault *fault)
{
    AUTO(json_decrefp) json_t *object = NULL;
    struct delegate_httpreq parsed = {"", ""};

    TRY(parse_object(body, len, &object, fault));
    bool is_raw = json_object_get(object, "keyAuth") != NULL;
    if (is_raw == (json_object_get(object, "value") != NULL)) {
        return delegate_fault_set(fault, 400, BAD_JSON,
                                  "send {\"fqdn\",\"value\"}, or in RAW mode "
                                  "{\"domain\",\"token\",\"keyAuth\"}");
    }
    if (is_raw) {
        TRY(parse_raw(object, &parsed, fault));
    } else {
        TRY(copy_text(object, "fqdn", BAD_JSON, parsed.fqdn, DELEGATE_FQDN_MAX, fault));
        TRY(copy_value(object, "value", parsed.value, fault));
    }
    *out = parsed;
    return err_ok();
}

/* --- acme-dns --------------------------------------------------------------------------------- */

/* acme.sh sends no body at all, goacmedns the JSON literal null. */
static bool is_nothing(const uint8_t *body, size_t len)
{
    while (len > 0 && strchr(" \t\r\n", body[0]) != NULL && body[0] != '\0') {
        body++;
        len--;
    }
    while (len > 0 && strchr(" \t\r\n", body[len - 1]) != NULL && body[len - 1] != '\0') {
        len--;
    }
    return len == 0 || (len == 4 && memcmp(body, "null", 4) == 0);
}

static struct err copy_nets(const json_t *list, struct delegate_allowfrom *out,
                            struct delegate_fault *fault)
{
    size_t n = json_array_size(list);

    if (n > DELEGATE_ALLOWFROM_MAX) {
        return delegate_fault_set(fault, 400, "invalid_allowfrom_cidr",
                                  "\"allowfrom\" may hold at most %u networks",
                                  DELEGATE_ALLOWFROM_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *net = json_array_get(list, i);
        size_t len = json_string_length(net);
        if (len == 0 || len > DELEGATE_CIDR_MAX) {
            return delegate_fault_set(fault, 400, "invalid_allowfrom_cidr",
                                      "entry %zu of \"allowfrom\" is not a network like "
                                      "\"10.0.0.0/8\" or \"fd00::/8\"",
                                      i + 1);
        }
        memcpy(out->nets[i], json_string_value(net), len + 1);
    }
    out->n = n;
    return err_ok();
}

struct err delegate_register_parse(const uint8_t *body, size_t len, struct delegate_allowfrom *out,
                                   struct delegate_fault *fault)
{
    AUTO(json_decrefp) json_t *object = NULL;

    out->n = 0;
    if (is_nothing(body, len)) {
        return err_ok();
    }
    TRY(parse_object(body, len, &object, fault));
    const json_t *list = json_object_get(object, "allowfrom");
    if (list == NULL || json_is_null(list)) {
        return err_ok();
    }
    if (!json_is_array(list)) {
        return delegate_fault_set(fault, 400, BAD_JSON,
                                  "\"allowfrom\" must be a list of networks, as in "
                                  "{\"allowfrom\": [\"10.0.0.0/8\"]}");
    }
    return copy_nets(list, out, fault);
}

static struct err copy_subdomain(const json_t *object, char *out, struct delegate_fault *fault)
{
    const json_t *member = json_object_get(object, "subdomain");
    size_t len = json_string_length(member);

    out[0] = '\0';
    if (member == NULL || json_is_null(member)) {
        return err_ok();
    }
    if (!json_is_string(member) || len > NAME_TEXT_MAX) {
        return delegate_fault_set(fault, 400, "bad_subdomain",
                                  "\"subdomain\" must be a string of at most %u characters",
                                  NAME_TEXT_MAX);
    }
    const char *text = json_string_value(member);
    if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*") != len) {
        return delegate_fault_set(fault, 400, "bad_subdomain",
                                  "\"subdomain\" holds a character that no name has: send the one "
                                  "from the registration");
    }
    memcpy(out, text, len + 1);
    return err_ok();
}

struct err delegate_update_parse(const uint8_t *body, size_t len, struct delegate_update_body *out,
                                 struct delegate_fault *fault)
{
    AUTO(json_decrefp) json_t *object = NULL;
    struct delegate_update_body parsed = {"", ""};

    TRY(parse_object(body, len, &object, fault));
    TRY(copy_subdomain(object, parsed.subdomain, fault));
    TRY(copy_value(object, "txt", parsed.txt, fault));
    *out = parsed;
    return err_ok();
}

struct err delegate_storage_parse(const uint8_t *body, size_t len, struct delegate_fault *fault)
{
    AUTO(json_decrefp) json_t *object = NULL;

    return parse_object(body, len, &object, fault);
}
