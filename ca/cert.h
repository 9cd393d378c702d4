/* Certificates of all three levels: what goes in (struct cert_spec), signed through ca/signer.h,
 * checked before use.
 *
 * Private to the ca library. Policy is not checked here. Any thread. RFC 5280 §4. */
#ifndef CA_CERT_H
#define CA_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "ca/signer.h"

#include "core/util/buf.h"

#define CERT_SERIAL_LEN 16u
#define CERT_KEY_ID_LEN 20u
#define CERT_PATHLEN_NONE (-1)

struct cert_spec {
    uint8_t serial[CERT_SERIAL_LEN];
    const X509_NAME *issuer; /* NULL: self-signed, the subject */
    const char *common_name; /* NULL: empty subject */
    const uint8_t *spki;     /* subject public key, DER SubjectPublicKeyInfo */
    size_t spki_len;
    int64_t not_before, not_after;
    bool is_ca;
    int pathlen;                           /* CERT_PATHLEN_NONE or the constraint */
    unsigned key_usage;                    /* KU_* of openssl/x509v3.h, first octet only */
    bool has_server_auth, has_client_auth; /* extended key usage; neither: no such extension */
    GENERAL_NAMES *names;                  /* subjectAltName; NULL: none */
    const uint8_t *issuer_key_id;          /* CERT_KEY_ID_LEN; NULL: self-signed, the subject's */
};

/* 128 bits: 120 and more of them random, positive, first octet not zero, so always 16 octets
 * (RFC 5280 §4.1.2.2). */
MUST_USE struct err cert_serial(uint8_t out[CERT_SERIAL_LEN]);
/* First 160 bits of SHA-256 of the public key's BIT STRING (RFC 7093 §2, method 1). */
MUST_USE struct err cert_key_id(const uint8_t *spki, size_t len, uint8_t out[CERT_KEY_ID_LEN]);
/* What cert_make() checks an issuer's signatures with: initialised once, then only copied. *out:
 * EVP_MD_CTX_free. */
MUST_USE struct err cert_verifier(struct signer *signer, enum signer_issuer issuer,
                                  EVP_MD_CTX **out);
/* Build, sign, and verify from the final bytes: a wrong signature (a fault, a bug) never leaves.
 * *der owned by the caller. */
MUST_USE struct err cert_make(const struct cert_spec *spec, struct signer *signer,
                              enum signer_issuer issuer, const EVP_MD_CTX *verifier, uint8_t **der,
                              size_t *der_len);
/* Unix seconds. */
MUST_USE struct err cert_time(const ASN1_TIME *when, int64_t *out);
/* Append PEM (RFC 7468) with its newline. */
void cert_pem(struct buf *out, const uint8_t *der, size_t len);

#endif
