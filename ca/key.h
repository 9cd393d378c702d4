/* Which public keys get a certificate: type, size, curve, and the known kinds of weak RSA keys.
 *
 * Private to the ca library. Works on the DER SubjectPublicKeyInfo, before OpenSSL decodes it.
 * Pure; any thread. RFC 5280 §4.1.2.7; RFC 5480; RFC 8410; RFC 8017. */
#ifndef CA_KEY_H
#define CA_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "ca/ca.h"

#define KEY_RSA_BITS_MAX 4096u

enum key_kind { KEY_EC, KEY_RSA, KEY_ED25519 };

/* A vetted SubjectPublicKeyInfo; borrowed bytes. */
struct key_shape {
    enum key_kind kind;
    int curve; /* EC: its place in key.c's table */
    const uint8_t *spki;
    size_t spki_len;
    const uint8_t *bits; /* the key's BIT STRING without the octet of unused bits */
    size_t bits_len;
};

/* Fill refusal with a sentence and give ERR_REJECTED. */
MUST_USE struct err ca_refuse(struct ca_refusal *refusal, bool is_bad_key, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Type, size, curve, exponent, weak moduli. ERR_REJECTED fills refusal. */
MUST_USE struct err key_vet(const uint8_t *spki, size_t len, unsigned min_rsa_bits,
                            struct key_shape *out, struct ca_refusal *refusal);
/* The key itself. ERR_REJECTED when its type's own checks (point on the curve, modulus composite)
 * fail. */
MUST_USE struct err key_decode(const struct key_shape *shape, EVP_PKEY **out,
                               struct ca_refusal *refusal);
/* OpenSSL's check of a decoded key; expensive for RSA, so it comes after the signature.
 * ERR_REJECTED. */
MUST_USE struct err key_public_check(const struct key_shape *shape, EVP_PKEY *pkey,
                                     struct ca_refusal *refusal);

/* RFC 7638 thumbprint of a vetted key (key_jwk.c), by which account keys are found. */
MUST_USE struct err key_thumbprint(const struct key_shape *key, char out[SHA256_B64_LEN + 1]);

enum rsa_weakness { RSA_SOUND, RSA_EVEN, RSA_SMALL_FACTOR, RSA_ROCA, RSA_CLOSE_PRIMES };
/* modulus: big-endian. */
MUST_USE struct err rsa_weakness_find(const uint8_t *modulus, size_t len, enum rsa_weakness *out);

#endif
