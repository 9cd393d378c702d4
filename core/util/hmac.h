/* HMAC (RFC 2104) over OpenSSL: at once or piece by piece.
 *
 * MD5 and SHA-1 are here for protocols that still name them (RFC 8945 §6); whether they are allowed is
 * the caller's decision. Compare results with ct_equal() (token.h). Thread: any; one owner per
 * calculation. */
#ifndef CORE_UTIL_HMAC_H
#define CORE_UTIL_HMAC_H

#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"

#define HMAC_LEN_MAX 64u
#define HMAC_KEY_LEN_MAX 4096u

enum hmac_alg {
    HMAC_ALG_MD5 = 1,
    HMAC_ALG_SHA1,
    HMAC_ALG_SHA224,
    HMAC_ALG_SHA256,
    HMAC_ALG_SHA384,
    HMAC_ALG_SHA512
};
/* Octets of the whole result. */
size_t hmac_len(enum hmac_alg alg);
/* Piece by piece. A failure of hmac_put() is kept and comes out of hmac_end(). */
struct hmac;
/* The key is not kept. ERR_CRYPTO; ERR_LIMIT for a key longer than HMAC_KEY_LEN_MAX; ERR_NOMEM. */
MUST_USE struct err hmac_begin(enum hmac_alg alg, const void *key, size_t key_len,
                               struct hmac **out);
void hmac_put(struct hmac *hmac, const void *data, size_t len);
void hmac_put_u16(struct hmac *hmac, uint16_t v); /* big-endian */
/* out: hmac_len(alg) octets. Nothing may be put afterwards. */
MUST_USE struct err hmac_end(struct hmac *hmac, uint8_t out[HMAC_LEN_MAX]);
void hmac_freep(struct hmac **hmac); /* for AUTO() */

#endif
