/* SHA256_Init() and its kin are deprecated in OpenSSL 3, and the only form of the digest that
 * allocates nothing. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "core/util/token.h"

#include <openssl/sha.h>

void sha256_plain(const void *data, size_t len, uint8_t out[SHA256_LEN])
{
    SHA256_CTX sha;

    (void)SHA256_Init(&sha);
    (void)SHA256_Update(&sha, data, len);
    (void)SHA256_Final(out, &sha);
}
