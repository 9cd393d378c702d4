/* What a client downloads: leaf, then intermediate; the root is for it to trust, not to receive
 * (RFC 8555 §9.1). Private to the ca library. Pure. */
#ifndef CA_CHAIN_H
#define CA_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"

#define CHAIN_PEM_MAX (256u * 1024u)

/* *out owned by the caller. */
MUST_USE struct err chain_join(const uint8_t *leaf_der, size_t leaf_der_len, const char *issuer_pem,
                               char **out);

#endif
