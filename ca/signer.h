/* The narrow interface to the private keys: message-sized, so that the signer can become its own
 * process.
 *
 * Nothing outside signer.c ever sees an issuing private key. Requests are fixed-shape: an issuer
 * and the exact bytes to sign. */
#ifndef CA_SIGNER_H
#define CA_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/config.h"
#include "core/util/err.h"

#define SIGNER_TBS_MAX (64u * 1024u)
#define SIGNER_SIG_MAX 1024u

enum signer_issuer { SIGNER_ROOT, SIGNER_INTERMEDIATE };
struct signer;
/* Load <keys_dir>/root.key and intermediate.key (PKCS#8 PEM, mode 0600, owned by us); with alg make
 * what does not exist when may_create. */
MUST_USE struct err signer_open(const char *keys_dir, enum config_key_alg alg, bool may_create,
                                struct signer **out);
void signer_close(struct signer *signer);
void signer_closep(struct signer **signer); /* for AUTO() */
/* DER SubjectPublicKeyInfo of an issuer key; borrowed for the signer's life. */
MUST_USE struct err signer_spki(struct signer *signer, enum signer_issuer issuer,
                                const uint8_t **der, size_t *len);
/* DER AlgorithmIdentifier that a TBS signed by this issuer must carry; borrowed. */
MUST_USE struct err signer_algorithm(struct signer *signer, enum signer_issuer issuer,
                                     const uint8_t **der, size_t *len);
/* Sign tbs (DER). *sig_len in: capacity, out: bytes. Thread: any. */
MUST_USE struct err signer_sign(struct signer *signer, enum signer_issuer issuer,
                                const uint8_t *tbs, size_t tbs_len, uint8_t *sig, size_t *sig_len);

#endif
