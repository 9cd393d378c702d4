/* Flattened JSON JWS as ACME wants it (RFC 8555 §6.2): parse, check the protected header, verify.
 *
 * Two steps, so that the caller can look the account key up between them: jws_parse() (pure) and
 * jws_verify(). The nonce is consumed by the caller after the signature is good. Refused: more than
 * JWS_BODY_MAX bytes, nesting deeper than JWS_DEPTH_MAX, duplicate keys, unknown top-level members
 * ("header", "signatures"), `crit`, `b64`, alg none or MAC, both or neither of jwk and kid, members
 * of wrong type. */
#ifndef ACME_SERVER_JWS_H
#define ACME_SERVER_JWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/jwk.h"
#include "acme-server/problem.h"

#define JWS_BODY_MAX (128u * 1024u)
#define JWS_DEPTH_MAX 8u
#define JWS_NONCE_MAX 128u
#define JWS_URL_MAX 2048u

struct jws {
    enum jwk_alg alg;
    char nonce[JWS_NONCE_MAX + 1];
    char *url;
    char *kid;       /* NULL when jwk is given */
    struct jwk *jwk; /* NULL when kid is given */
    char *signing_input;
    size_t signing_input_len;
    uint8_t sig[512];
    size_t sig_len;
    unsigned mac_bits; /* external account binding: 256, 384 or 512, and alg says nothing; else 0 */
    char *payload;     /* decoded, NUL-terminated, may hold any bytes */
    size_t payload_len;
    bool is_post_as_get; /* the payload is the empty string (RFC 8555 §6.3) */
};
/* ERR_REJECTED: malformed, badSignatureAlgorithm (with "algorithms" named in the detail),
 * badPublicKey. */
MUST_USE struct err jws_parse(const uint8_t *body, size_t len, unsigned min_rsa_bits,
                              struct jws *out, struct problem *prob);
/* A JWS inside another one (keyChange, RFC 8555 §7.3.5): the same strictness, but "nonce" must be
 * absent (out->nonce is "") and "jwk" must be there. */
MUST_USE struct err jws_parse_inner(const uint8_t *payload, size_t len, unsigned min_rsa_bits,
                                    struct jws *out, struct problem *prob);
/* key: the account's, or jws->jwk. alg must be the key's. ERR_REJECTED: malformed with "signature"
 * in the detail (RFC 8555 leaves the type open; status 400), badSignatureAlgorithm when alg and key
 * differ. */
MUST_USE struct err jws_verify(const struct jws *jws, const struct jwk *key, struct problem *prob);
void jws_clear(struct jws *jws);

/* Payload helpers: a JSON object without duplicate keys, at most JWS_DEPTH_MAX deep. Returns a
 * jansson object as void* so that no third-party type stands in this header; freed with json_decref
 * by those who include jansson. */
MUST_USE struct err json_object_parse(const char *text, size_t len, void **out_json,
                                      struct problem *prob);

#endif
