#include "acme-server/jws.h"

#include <string.h>

#include "acme-server/jwk_internal.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define ALGORITHMS "ES256, ES384, ES512, RS256 or EdDSA"

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
static struct err decode_member(const char *name, const char *text, size_t text_len, char **out,
                                size_t *out_len, struct problem *prob)
{
    size_t cap = text_len / 4 * 3 + 3;
    AUTO(mem_freep) char *bytes = mem_zalloc(cap + 1);

    TRY_PTR(bytes);
    if (base64url_decode(text, text_len, (uint8_t *)bytes, &cap).code != ERR_OK) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "\"%s\" of the JWS is not base64url without padding (RFC 7515 section 2).", name);
    }
    bytes[cap] = '\0';
    *out_len = cap;
    *out = MOVE(bytes);
    return err_ok();
}

/* Printable ASCII without spaces: what a URL is made of. */
static struct err copy_url(const char *name, const char *text, size_t len, char **out,
                           struct problem *prob)
{
    if (len == 0 || len > JWS_URL_MAX) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "\"%s\" in the protected header must be a URL of 1 to %u characters.", name,
               JWS_URL_MAX);
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f) {
            REJECT(prob, PROBLEM_MALFORMED, 0,
                   "\"%s\" in the protected header holds a character that no URL has.", name);
        }
    }
    *out = mem_strndup(text, len);
    TRY_PTR(*out);
    return err_ok();
}

static struct err take_alg(const json_t *header, struct jws *jws, struct problem *prob)
{
    static const enum jwk_alg known[] = {JWK_ES256, JWK_ES384, JWK_ES512, JWK_RS256, JWK_EDDSA};
    const char *text = NULL;
    size_t len = 0;

    TRY(get_text(header, "protected header", "alg", &text, &len, prob));
    for (size_t i = 0; i < ARRAY_N(known); i++) {
        if (strcmp(text, jwk_alg_name(known[i])) == 0) {
            jws->alg = known[i];
            return err_ok();
        }
    }
    REJECT(prob, PROBLEM_BAD_SIGNATURE_ALGORITHM, 0,
           "The signature algorithm \"%.20s\" is not accepted: sign with " ALGORITHMS
           ", whichever fits the account key.",
           text);
}

static struct err take_nonce(const json_t *header, struct jws *jws, struct problem *prob)
{
    const char *text = NULL;
    size_t len = 0;

    if (json_object_get(header, "nonce") == NULL) {
        REJECT(prob, PROBLEM_BAD_NONCE, 0,
               "The protected header lacks \"nonce\": use the Replay-Nonce of this reply.");
    }
    TRY(get_text(header, "protected header", "nonce", &text, &len, prob));
    if (len == 0 || !is_base64url(text, len)) { /* RFC 8555 §6.5.2 */
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "\"nonce\" in the protected header is not base64url: use a Replay-Nonce of this "
               "server as it was sent.");
    }
    if (len > JWS_NONCE_MAX) {
        REJECT(prob, PROBLEM_BAD_NONCE, 0,
               "The nonce is not from this server: use the Replay-Nonce of this reply.");
    }
    memcpy(jws->nonce, text, len + 1);
    return err_ok();
}

static struct err take_key(const json_t *header, unsigned min_rsa_bits, struct jws *jws,
                           struct problem *prob)
{
    const json_t *jwk = json_object_get(header, "jwk");
    const json_t *kid = json_object_get(header, "kid");
    const char *text = NULL;
    size_t len = 0;

    if ((jwk == NULL) == (kid == NULL)) { /* RFC 8555 §6.2 */
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "The protected header must have exactly one of \"jwk\" (newAccount, revocation by "
               "certificate key) and \"kid\" (the account's URL, everything else); it has %s.",
               jwk == NULL ? "neither" : "both");
    }
    if (jwk != NULL) {
        return jwk_from_json(jwk, min_rsa_bits, &jws->jwk, prob);
    }
    TRY(get_text(header, "protected header", "kid", &text, &len, prob));
    return copy_url("kid", text, len, &jws->kid, prob);
}

static struct err refuse_extensions(const json_t *header, struct problem *prob)
{
    static const char *const refused[] = {"crit", "b64"};

    for (size_t i = 0; i < ARRAY_N(refused); i++) {
        if (json_object_get(header, refused[i]) != NULL) {
            REJECT(prob, PROBLEM_MALFORMED, 0,
                   "The protected header's \"%s\" is not supported: ACME requests need no JWS "
                   "extension.",
                   refused[i]);
        }
    }
    return err_ok();
}

static struct err take_header(const char *text, size_t len, unsigned min_rsa_bits, struct jws *jws,
                              struct problem *prob)
{
    AUTO(mem_freep) char *json = NULL;
    AUTO(json_decrefp) json_t *header = NULL;
    size_t json_len = 0;
    const char *url = NULL;
    size_t url_len = 0;

    TRY(decode_member("protected", text, len, &json, &json_len, prob));
    TRY(jws_json_parse("The JWS's protected header", json, json_len, &header, prob));
    TRY(refuse_extensions(header, prob));
    TRY(take_alg(header, jws, prob));
    TRY(get_text(header, "protected header", "url", &url, &url_len, prob));
    TRY(copy_url("url", url, url_len, &jws->url, prob));
    TRY(take_nonce(header, jws, prob));
    return take_key(header, min_rsa_bits, jws, prob);
}

static struct err check_members(json_t *object, struct problem *prob)
{
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach(object, name, value)
    {
        if (strcmp(name, "protected") != 0 && strcmp(name, "payload") != 0 &&
            strcmp(name, "signature") != 0) {
            REJECT(prob, PROBLEM_MALFORMED, 0,
                   "The JWS has the member \"%.30s\": send the flattened form with \"protected\", "
                   "\"payload\" and \"signature\" only (RFC 8555 section 6.2).",
                   name);
        }
    }
    return err_ok();
}

static struct err take_signature(const json_t *object, struct jws *jws, struct problem *prob)
{
    const char *text = NULL;
    size_t len = 0;

    TRY(get_text(object, "JWS", "signature", &text, &len, prob));
    jws->sig_len = sizeof(jws->sig);
    if (len == 0 || base64url_decode(text, len, jws->sig, &jws->sig_len).code != ERR_OK) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "\"signature\" of the JWS is empty, longer than %zu bytes, or not base64url without "
               "padding.",
               sizeof(jws->sig));
    }
    return err_ok();
}

static struct err parse_members(json_t *object, unsigned min_rsa_bits, struct jws *jws,
                                struct problem *prob)
{
    const char *header = NULL;
    const char *payload = NULL;
    size_t header_len = 0;
    size_t payload_len = 0;

    TRY(check_members(object, prob));
    TRY(get_text(object, "JWS", "protected", &header, &header_len, prob));
    TRY(get_text(object, "JWS", "payload", &payload, &payload_len, prob));
    TRY(take_signature(object, jws, prob));
    TRY(take_header(header, header_len, min_rsa_bits, jws, prob));
    TRY(decode_member("payload", payload, payload_len, &jws->payload, &jws->payload_len, prob));
    jws->is_post_as_get = payload_len == 0;
    jws->signing_input = mem_zalloc(header_len + 1 + payload_len + 1);
    TRY_PTR(jws->signing_input);
    memcpy(jws->signing_input, header, header_len);
    jws->signing_input[header_len] = '.';
    memcpy(jws->signing_input + header_len + 1, payload, payload_len);
    jws->signing_input_len = header_len + 1 + payload_len;
    return err_ok();
}

struct err jws_parse(const uint8_t *body, size_t len, unsigned min_rsa_bits, struct jws *out,
                     struct problem *prob)
{
    AUTO(jws_clear) struct jws jws = {0};
    AUTO(json_decrefp) json_t *object = NULL;

    if (len == 0) {
        REJECT(prob, PROBLEM_MALFORMED, 0,
               "The request body is empty: send a JWS (RFC 8555 section 6.2); to fetch an object, "
               "one with "
               "an empty payload (POST-as-GET, section 6.3).");
    }
    TRY(jws_json_parse("The request body", (const char *)body, len, &object, prob));
    TRY(parse_members(object, min_rsa_bits, &jws, prob));
    *out = jws;
    memset(&jws, 0, sizeof(jws)); /* handed over */
    return err_ok();
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
