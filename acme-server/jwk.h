/* JSON Web Keys of ACME accounts: EC P-256/P-384/P-521, RSA 2048..4096, OKP Ed25519 (RFC 7517,
 * 7518, 8037).
 *
 * Checked: exact member lengths, point on curve, RSA modulus bits min_rsa_bits..4096, odd exponent
 * >= 65537 and <= 2^32, no private members ("d", "p", "k", ... are refused with a sentence), no
 * duplicate JSON keys (the caller's jansson flags). Thread: any; a jwk is immutable. */
#ifndef ACME_SERVER_JWK_H
#define ACME_SERVER_JWK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/problem.h"
#include "core/util/err.h"
#include "core/util/token.h"

enum jwk_alg { JWK_ES256, JWK_ES384, JWK_ES512, JWK_RS256, JWK_EDDSA };

struct jwk;
/* Parse the JSON text of a JWK. ERR_REJECTED: badPublicKey or malformed. */
MUST_USE struct err jwk_parse(const char *json, size_t len, unsigned min_rsa_bits, struct jwk **out,
                              struct problem *prob);
void jwk_free(struct jwk *key); /* drops a reference */
void jwk_freep(struct jwk **key);
struct jwk *jwk_ref(struct jwk *key);
/* RFC 7638 thumbprint, base64url, terminated; borrowed. */
const char *jwk_thumbprint(const struct jwk *key);
/* The same key, however its JSON was written. */
bool jwk_equal(const struct jwk *a, const struct jwk *b);
/* Canonical JSON (RFC 7638 §3 members, lexical order); borrowed. */
const char *jwk_json(const struct jwk *key);
/* DER SubjectPublicKeyInfo; borrowed. */
const uint8_t *jwk_spki(const struct jwk *key, size_t *len);
enum jwk_alg jwk_alg(const struct jwk *key);
const char *jwk_alg_name(enum jwk_alg alg); /* "ES256" */
/* Verify sig over data. ERR_DENIED: the signature is wrong or of wrong length. */
MUST_USE struct err jwk_verify(const struct jwk *key, const void *data, size_t len,
                               const uint8_t *sig, size_t sig_len);

#endif
