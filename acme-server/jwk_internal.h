/* Inside acme-server: what jwk.c, jwk_verify.c, jws.c, eab.c and key_change.c share. Not for other
 * libraries (jansson and OpenSSL types). */
#ifndef ACME_SERVER_JWK_INTERNAL_H
#define ACME_SERVER_JWK_INTERNAL_H

#include "acme-server/jwk.h"

#include <stdatomic.h>

#include <jansson.h>
#include <openssl/evp.h>

#define JWK_EC_COORD_MAX 66u /* P-521 */
#define JWK_RSA_BYTES_MAX 512u
#define JWK_JSON_MAX 1024u

struct jwk {
    atomic_uint refs;
    enum jwk_alg alg;
    EVP_PKEY *pkey;
    /* Verify context with everything set; each verification works on a duplicate, which costs far
     * less than fetching the algorithm by name again. NULL for Ed25519, which verifies in one call
     * over the message. */
    EVP_PKEY_CTX *verify_template;
    char thumbprint[SHA256_B64_LEN + 1];
    char json[JWK_JSON_MAX];
    uint8_t *spki;
    size_t spki_len;
};

/* Bytes of r and of s; 0 for algorithms that are not ECDSA. */
size_t jwk_coord_len(enum jwk_alg alg);
/* The same as jwk_parse() for a member of an object that is parsed already. */
MUST_USE struct err jwk_from_json(const json_t *object, unsigned min_rsa_bits, struct jwk **out,
                                  struct problem *prob);
/* jwk_verify.c: prepare key->verify_template. */
MUST_USE struct err jwk_verify_prepare(struct jwk *key);
/* jws_json.c: parse a JSON object; `what` names it in details ("the request body"). */
MUST_USE struct err jws_json_parse(const char *what, const char *text, size_t len, json_t **out,
                                   struct problem *prob);
/* jws.c: which of ACME's three kinds of flattened JWS it is. */
enum jws_form {
    JWS_REQUEST, /* a request's body: nonce; jwk or kid */
    JWS_INNER,   /* keyChange (RFC 8555 §7.3.5): no nonce; jwk */
    JWS_BINDING, /* external account (RFC 8555 §7.3.4): no nonce; kid; a MAC, see jws.mac_bits */
};
struct jws;
MUST_USE struct err jws_from_json(json_t *object, enum jws_form form, unsigned min_rsa_bits,
                                  struct jws *out, struct problem *prob);

#endif
