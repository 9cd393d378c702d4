/* What the files of the ca library share and nobody else sees. */
#ifndef CA_CA_PRIVATE_H
#define CA_CA_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include "ca/ca.h"
#include "ca/cert.h"
#include "ca/key.h"
#include "ca/signer.h"

/* Read-only after ca_open(). */
struct ca {
    struct signer *signer;
    X509 *root, *intermediate;
    EVP_MD_CTX *verifier; /* of the intermediate's signatures */
    uint8_t intermediate_key_id[CERT_KEY_ID_LEN];
    int64_t intermediate_not_after;
    uint8_t *root_der;
    size_t root_der_len;
    char *root_pem, *intermediate_pem;
    char root_fingerprint[65];
};

struct ca_csr {
    enum key_kind kind;
    uint8_t *spki;
    size_t spki_len;
    char thumbprint[SHA256_B64_LEN + 1];
};

/* The row of the issuer with exactly this PEM; made on first use, in the caller's write
 * transaction. */
MUST_USE struct err issuer_row(struct db *db, const char *pem, int64_t *id);

/* "EC or RSA" of a mask of enum config_key_types. */
#define PROFILE_KEYS_TEXT_MAX 32u
void profile_keys_text(unsigned key_types, char out[PROFILE_KEYS_TEXT_MAX + 1]);

/* Make <state_dir>/keys with both keys and certificates, or nothing. */
MUST_USE struct err bootstrap_create(const char *state_dir, const char *keys_dir,
                                     enum config_key_alg alg, const char *prefix);
/* Fill ca from keys_dir; everything is checked against everything else. */
MUST_USE struct err bootstrap_load(const char *keys_dir, enum config_key_alg alg, struct ca *ca);

#endif
