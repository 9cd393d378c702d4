/* Any bytes as a JWK: what is accepted has a canonical form that is the same key, and never
 * verifies a signature of zeros. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "acme-server/jwk.h"
#include "core/util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zeros[512];
    AUTO(jwk_freep) struct jwk *key = NULL;
    AUTO(jwk_freep) struct jwk *again = NULL;
    AUTO(problem_clear) struct problem prob = {0};

    struct err e = jwk_parse((const char *)data, size, 2048, &key, &prob);
    if (e.code != ERR_OK) {
        must(e.code == ERR_REJECTED && prob.detail[0] != '\0' && key == NULL);
        return 0;
    }
    must(jwk_parse(jwk_json(key), strlen(jwk_json(key)), 2048, &again, &prob).code == ERR_OK);
    must(strcmp(jwk_json(key), jwk_json(again)) == 0);
    must(strcmp(jwk_thumbprint(key), jwk_thumbprint(again)) == 0);
    size_t len = 0;
    size_t again_len = 0;
    const uint8_t *spki = jwk_spki(key, &len);
    must(len > 0 && spki != NULL && jwk_spki(again, &again_len) != NULL && len == again_len);
    if (jwk_alg(key) !=
        JWK_EDDSA) { /* a small-order Ed25519 key can make zeros valid: its owner's loss */
        must(jwk_verify(key, "x", 1, zeros, 64).code == ERR_DENIED);
        must(jwk_verify(key, "x", 1, zeros, 256).code == ERR_DENIED);
    }
    return 0;
}
