#include "acme-server/jws.h"

#include <string.h>

#include "acme-server/jwk_internal.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define ALGORITHMS "ES256, ES384, ES512, RS256 or EdDSA"
#define MAC_ALGORITHMS "HS256, HS384 or HS512"

/* How details name the parts. */
static const struct names {
    const char *jws;
    const char *header;
    const char *header_whole;
} NAMES[] = {
    [JWS_REQUEST] = {"JWS", "protected header", "The JWS's protected header"},
    [JWS_INNER] = {"inner JWS", "inner JWS's protected header", "The inner JWS's protected header"},
    [JWS_BINDING] = {"external account binding", "external account binding's protected header",
                     "The external account binding's protected header"},
};

struct parse {
    enum jws_form form;
    unsigned min_rsa_bits;
    const struct names *names;
    struct jws *jws;
    struct problem *prob;
};

/* A member that must be a string. */
static struct err get_text(const json_t *object, const char *where, const char *name,
                           const char **text, size_t *len, struct problem *prob)
{
    const json_t *member = json_object_get(object, name);

    if (member == NULL) {
        REJECT(prob, PROBLEM_MALFORMED, 0, "The %s lacks \"%s\".", where, name);
    }
    if (!json_is_string(member)) {
        REJECT(prob, PROBLEM_MALFORMED, 0, "\"%s\" in the %s must be a string.", name, where);
    }
    *text = json_string_value(member);
    *len = json_string_length(member);
    return err_ok();
}

/* base64url into fresh memory, NUL-terminated. */
static struct err decode_member(const struct parse *p, const char *name, const char *text,
                                size_t text_len, char **out, size_t *out_len)
{
    size_t cap = text_len / 4 * 3 + 3;
    AUTO(mem_freep) char *bytes = mem_zalloc(cap + 1);

    TRY_PTR(bytes);
    if (base64url_decode(text, text_len, (uint8_t *)bytes, &cap).code != ERR_OK) {
        REJECT(p->prob, PROBLEM_MALFORMED, 0,
               "\"%s\" of the %s is not base64url without padding (RFC 7515 section 2).", name,
               p->names->jws);
    }
    bytes[cap] = '\0';
    *out_len = cap;
    *out = MOVE(bytes);
    return err_ok();
}

/* Printable ASCII without spaces: what a URL is made of. */
static struct err copy_url(const struct parse *p, const char *name, const char *text, size_t len,
                           char **out)
{
    if (len == 0 || len > JWS_URL_MAX) {
        REJECT(p->prob, PROBLEM_MALFORMED, 0, "\"%s\" in the %s must have 1 to %u characters.",
               name, p->names->header, JWS_URL_MAX);
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f) {
            REJECT(p->prob, PROBLEM_MALFORMED, 0,
                   "\"%s\" in the %s holds a character that it cannot have.", name,
                   p->names->header);
        }
    }
    *out = mem_strndup(text, len);
    TRY_PTR(*out);
    return err_ok();
}

static struct err take_mac_alg(const struct parse *p, const char *text)
{
    static const struct {
        const char *name;
        unsigned bits;
    } known[] = {{"HS256", 256}, {"HS384", 384}, {"HS512", 512}};

    for (size_t i = 0; i < ARRAY_N(known); i++) {
        if (strcmp(text, known[i].name) == 0) {
            p->jws->mac_bits = known[i].bits;
            return err_ok();
        }
    }
    REJECT(p->prob, PROBLEM_BAD_SIGNATURE_ALGORITHM, 0,
           "The external account binding's algorithm \"%.20s\" is not accepted: use " MAC_ALGORITHMS
           " with the client's secret.",
           text);
}

static struct err take_alg(const struct parse *p, const json_t *header)
{
    static const enum jwk_alg known[] = {JWK_ES256, JWK_ES384, JWK_ES512, JWK_RS256, JWK_EDDSA};
    const char *text = NULL;
    size_t len = 0;

    TRY(get_text(header, p->names->header, "alg", &text, &len, p->prob));
    if (p->form == JWS_BINDING) {
        return take_mac_alg(p, text);
    }
    for (size_t i = 0; i < ARRAY_N(known); i++) {
        if (strcmp(text, jwk_alg_name(known[i])) == 0) {
            p->jws->alg = known[i];
            return err_ok();
        }
    }
    REJECT(p->prob, PROBLEM_BAD_SIGNATURE_ALGORITHM, 0,
           "The signature algorithm \"%.20s\" is not accepted: sign with " ALGORITHMS
           ", whichever fits the account key.",
           text);
}

static struct err take_nonce(const struct parse *p, const json_t *header)
{
    const char *text = NULL;
    size_t len = 0;

    if (p->form != JWS_REQUEST) {
        if (json_object_get(header, "nonce") != NULL) {
            REJECT(p->prob, PROBLEM_MALFORMED, 0,
                   "The %s has a \"nonce\": only the outer JWS may have one.", p->names->header);
        }
        return err_ok();
    }
    if (json_object_get(header, "nonce") == NULL) {
        REJECT(p->prob, PROBLEM_BAD_NONCE, 0,
               "The protected header lacks \"nonce\": use the Replay-Nonce of this reply.");
    }
    TRY(get_text(header, p->names->header, "nonce", &text, &len, p->prob));
    if (len == 0 || !is_base64url(text, len)) { /* RFC 8555 §6.5.2 */
        REJECT(p->prob, PROBLEM_MALFORMED, 0,
               "\"nonce\" in the protected header is not base64url: use a Replay-Nonce of this "
               "server as it was sent.");
    }
    if (len > JWS_NONCE_MAX) {
        REJECT(p->prob, PROBLEM_BAD_NONCE, 0,
               "The nonce is not from this server: use the Replay-Nonce of this reply.");
    }
    memcpy(p->jws->nonce, text, len + 1);
    return err_ok();
}

static struct err check_key_members(const struct parse *p, bool has_jwk, bool has_kid)
{
    switch (p->form) {
    case JWS_REQUEST: /* RFC 8555 §6.2 */
        if (has_jwk == has_kid) {
            REJECT(p->prob, PROBLEM_MALFORMED, 0,
                   "The protected header must have exactly one of \"jwk\" (newAccount, revocation "
                   "by certificate key) and \"kid\" (the account's URL, everything else); it has "
                   "%s.",
                   has_jwk ? "both" : "neither");
        }
        return err_ok();
    case JWS_INNER: /* RFC 8555 §7.3.5 */
        if (!has_jwk || has_kid) {
            REJECT(p->prob, PROBLEM_MALFORMED, 0,
                   "The inner JWS's protected header must have the new key as \"jwk\", and no "
                   "\"kid\"; it has %s.",
                   has_jwk ? "both" : "no \"jwk\"");
        }
        return err_ok();
    case JWS_BINDING: /* RFC 8555 §7.3.4 */
        if (!has_kid || has_jwk) {
            REJECT(p->prob, PROBLEM_MALFORMED, 0,
                   "The external account binding's protected header must have the client's name as "
                   "\"kid\", and no \"jwk\"; it has %s.",
                   has_kid ? "both" : "no \"kid\"");
        }
        return err_ok();
    }
    FAIL(ERR_INTERNAL, "jws: no such form");
}

static struct err take_key(const struct parse *p, const json_t *header)
{
    const json_t *jwk = json_object_get(header, "jwk");
    const json_t *kid = json_object_get(header, "kid");
    const char *text = NULL;
    size_t len = 0;

    TRY(check_key_members(p, jwk != NULL, kid != NULL));
    if (jwk != NULL) {
        return jwk_from_json(jwk, p->min_rsa_bits, &p->jws->jwk, p->prob);
    }
    TRY(get_text(header, p->names->header, "kid", &text, &len, p->prob));
    return copy_url(p, "kid", text, len, &p->jws->kid);
}

static struct err refuse_extensions(const struct parse *p, const json_t *header)
{
    static const char *const refused[] = {"crit", "b64"};

    for (size_t i = 0; i < ARRAY_N(refused); i++) {
        if (json_object_get(header, refused[i]) != NULL) {
            REJECT(p->prob, PROBLEM_MALFORMED, 0,
                   "\"%s\" in the %s is not supported: ACME requests need no JWS extension.",
                   refused[i], p->names->header);
        }
    }
    return err_ok();
}

static struct err take_header(const struct parse *p, const char *text, size_t len)
{
    AUTO(mem_freep) char *json = NULL;
    AUTO(json_decrefp) json_t *header = NULL;
    size_t json_len = 0;
    const char *url = NULL;
    size_t url_len = 0;

    TRY(decode_member(p, "protected", text, len, &json, &json_len));
    TRY(jws_json_parse(p->names->header_whole, json, json_len, &header, p->prob));
    TRY(refuse_extensions(p, header));
    TRY(take_alg(p, header));
    TRY(get_text(header, p->names->header, "url", &url, &url_len, p->prob));
    TRY(copy_url(p, "url", url, url_len, &p->jws->url));
    TRY(take_nonce(p, header));
    return take_key(p, header);
}

static struct err check_members(const struct parse *p, json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach(object, name, value)
    {
        if (strcmp(name, "protected") != 0 && strcmp(name, "payload") != 0 &&
            strcmp(name, "signature") != 0) {
            REJECT(p->prob, PROBLEM_MALFORMED, 0,
                   "The %s has the member \"%.30s\": send the flattened form with \"protected\", "
                   "\"payload\" and \"signature\" only (RFC 8555 section 6.2).",
                   p->names->jws, name);
        }
    }
    return err_ok();
}

static struct err take_signature(const struct parse *p, const json_t *object)
{
    struct jws *jws = p->jws;
    const char *text = NULL;
    size_t len = 0;

    TRY(get_text(object, p->names->jws, "signature", &text, &len, p->prob));
    jws->sig_len = sizeof(jws->sig);
    if (len == 0 || base64url_decode(text, len, jws->sig, &jws->sig_len).code != ERR_OK) {
        REJECT(p->prob, PROBLEM_MALFORMED, 0,
               "\"signature\" of the %s is empty, longer than %zu bytes, or not base64url without "
               "padding.",
               p->names->jws, sizeof(jws->sig));
    }
    return err_ok();
}

static struct err parse_members(const struct parse *p, json_t *object)
{
    struct jws *jws = p->jws;
    const char *header = NULL;
    const char *payload = NULL;
    size_t header_len = 0;
    size_t payload_len = 0;

    TRY(check_members(p, object));
    TRY(get_text(object, p->names->jws, "protected", &header, &header_len, p->prob));
    TRY(get_text(object, p->names->jws, "payload", &payload, &payload_len, p->prob));
    TRY(take_signature(p, object));
    TRY(take_header(p, header, header_len));
    TRY(decode_member(p, "payload", payload, payload_len, &jws->payload, &jws->payload_len));
    jws->is_post_as_get = payload_len == 0;
    jws->signing_input = mem_zalloc(header_len + 1 + payload_len + 1);
    TRY_PTR(jws->signing_input);
    memcpy(jws->signing_input, header, header_len);
    jws->signing_input[header_len] = '.';
    memcpy(jws->signing_input + header_len + 1, payload, payload_len);
    jws->signing_input_len = header_len + 1 + payload_len;
    return err_ok();
}

struct err jws_from_json(json_t *object, enum jws_form form, unsigned min_rsa_bits, struct jws *out,
                         struct problem *prob)
{
    AUTO(jws_clear) struct jws jws = {0};
    const struct parse p = {form, min_rsa_bits, &NAMES[form], &jws, prob};

    TRY(parse_members(&p, object));
    *out = jws;
    memset(&jws, 0, sizeof(jws)); /* handed over */
    return err_ok();
}

struct err jws_parse(const uint8_t *body, size_t len, unsigned min_rsa_bits, struct jws *out,
                     struct problem *prob)
{
    AUTO(json_decrefp) json_t *object = NULL;

    if (len == 0) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "The request body is empty: send a JWS (RFC 8555 section 6.2); to fetch an object, "
               "one with "
               "an empty payload (POST-as-GET, section 6.3).");
    }
    TRY(jws_json_parse("The request body", (const char *)body, len, &object, prob));
    return jws_from_json(object, JWS_REQUEST, min_rsa_bits, out, prob);
}

struct err jws_parse_inner(const uint8_t *payload, size_t len, unsigned min_rsa_bits,
                           struct jws *out, struct problem *prob)
{
    AUTO(json_decrefp) json_t *object = NULL;

    if (len == 0) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "The request's payload is empty: it must be a JWS that is signed by the new key "
               "(RFC 8555 section 7.3.5).");
    }
    TRY(jws_json_parse("The request's payload", (const char *)payload, len, &object, prob));
    return jws_from_json(object, JWS_INNER, min_rsa_bits, out, prob);
}

struct err jws_verify(const struct jws *jws, const struct jwk *key, struct problem *prob)
{
    if (jws->alg != jwk_alg(key)) {
        REJECT(prob, PROBLEM_BAD_SIGNATURE_ALGORITHM, 0,
               "The JWS says alg %s, but this account key signs with %s.", jwk_alg_name(jws->alg),
               jwk_alg_name(jwk_alg(key)));
    }
    struct err e =
        jwk_verify(key, jws->signing_input, jws->signing_input_len, jws->sig, jws->sig_len);
    if (e.code == ERR_DENIED) {
        REJECT(prob, PROBLEM_MALFORMED, 400,
               "The JWS signature does not verify with %s: sign \"protected\".\"payload\" exactly "
               "as sent, with %s.",
               jws->jwk != NULL ? "the jwk in the request" : "the account's key",
               jwk_alg_name(jws->alg));
    }
    return e;
}

void jws_clear(struct jws *jws)
{
    if (jws == NULL) {
        return;
    }
    mem_free(jws->url);
    mem_free(jws->kid);
    jwk_free(jws->jwk);
    mem_free(jws->signing_input);
    mem_free(jws->payload);
    memset(jws, 0, sizeof(*jws));
}
