/* An issuer as PEM text: the issuing certificate, and behind it, for a cross-signed one, those that
 * signed it. Private to the ca library. Pure. */
#ifndef CA_ISSUER_H
#define CA_ISSUER_H

#include <stdint.h>

#include <openssl/x509.h>

#include "core/util/err.h"
#include "core/util/token.h"

#define ISSUER_PEM_MAX (64u * 1024u)
#define ISSUER_CHAIN_MAX 8

struct issuer {
    X509 *first;
    char *pem; /* as we write it: certificates only */
    /* Hex SHA-256 of the first one's subject and public key (DER): chains of equal ones can be
     * exchanged. */
    char name_key[2 * SHA256_LEN + 1];
    int64_t not_after; /* the earliest of all */
};
void issuer_clear(struct issuer *issuer);
/* Read and check: CA certificates, each signed by the next. ERR_MALFORMED. */
MUST_USE struct err issuer_read(const char *pem, struct issuer *out);
/* Does `leaf_der`, which an issuer of this name and key signed, verify under this one? Names, key
 * identifiers, key usage and signature (RFC 5280 §6.1.3). ERR_MALFORMED when not. */
MUST_USE struct err issuer_check_leaf(const struct issuer *issuer, const uint8_t *leaf_der,
                                      size_t leaf_der_len);

#endif
