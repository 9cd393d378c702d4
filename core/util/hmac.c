#include "core/util/hmac.h"

#include <pthread.h>
#include <stdbool.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "core/util/mem.h"

struct hmac {
    EVP_MAC_CTX *ctx;
    size_t out_len;
    bool has_failed;
};

static pthread_once_t mac_once = PTHREAD_ONCE_INIT;
static EVP_MAC *mac_hmac; /* fetched once: a fetch per packet costs more than the hashing */

static void fetch_mac(void)
{
    mac_hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

size_t hmac_len(enum hmac_alg alg)
{
    switch (alg) {
    case HMAC_ALG_MD5:
        return 16;
    case HMAC_ALG_SHA1:
        return 20;
    case HMAC_ALG_SHA224:
        return 28;
    case HMAC_ALG_SHA256:
        return 32;
    case HMAC_ALG_SHA384:
        return 48;
    case HMAC_ALG_SHA512:
        return 64;
    }
    return 0;
}

static const char *digest_name(enum hmac_alg alg)
{
    switch (alg) {
    case HMAC_ALG_MD5:
        return "MD5";
    case HMAC_ALG_SHA1:
        return "SHA1";
    case HMAC_ALG_SHA224:
        return "SHA224";
    case HMAC_ALG_SHA256:
        return "SHA256";
    case HMAC_ALG_SHA384:
        return "SHA384";
    case HMAC_ALG_SHA512:
        return "SHA512";
    }
    return "";
}

void hmac_freep(struct hmac **hmac)
{
    if (*hmac != NULL) {
        EVP_MAC_CTX_free((*hmac)->ctx); /* wipes the key */
        mem_free(*hmac);
        *hmac = NULL;
    }
}

struct err hmac_begin(enum hmac_alg alg, const void *key, size_t key_len, struct hmac **out)
{
    AUTO(hmac_freep) struct hmac *hmac = mem_zalloc(sizeof(*hmac));
    static const uint8_t NOTHING[1] = {0};
    char name[8] = "";

    TRY_PTR(hmac);
    if (key_len > HMAC_KEY_LEN_MAX) {
        FAIL(ERR_LIMIT, "HMAC key of %zu bytes", key_len);
    }
    (void)pthread_once(&mac_once, fetch_mac);
    TRY_PTR(mac_hmac);
    hmac->out_len = hmac_len(alg);
    hmac->ctx = EVP_MAC_CTX_new(mac_hmac);
    TRY_PTR(hmac->ctx);
    for (size_t i = 0; digest_name(alg)[i] != '\0'; i++) { /* OSSL_PARAM wants it writable */
        name[i] = digest_name(alg)[i];
    }
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    /* A NULL key would mean "the one from before". */
    TRY_OSSL(EVP_MAC_init(hmac->ctx, key_len == 0 ? NOTHING : key, key_len, params));
    *out = MOVE(hmac);
    return err_ok();
}

void hmac_put(struct hmac *hmac, const void *data, size_t len)
{
    if (len > 0 && !hmac->has_failed) {
        hmac->has_failed = EVP_MAC_update(hmac->ctx, data, len) != 1;
    }
}

void hmac_put_u16(struct hmac *hmac, uint16_t v)
{
    const uint8_t bytes[2] = {(uint8_t)(v >> 8), (uint8_t)(v & 0xff)};

    hmac_put(hmac, bytes, sizeof(bytes));
}

struct err hmac_end(struct hmac *hmac, uint8_t out[HMAC_LEN_MAX])
{
    size_t len = 0;

    if (hmac->has_failed) {
        FAIL_OSSL("EVP_MAC_update");
    }
    TRY_OSSL(EVP_MAC_final(hmac->ctx, out, &len, HMAC_LEN_MAX));
    if (len != hmac->out_len) {
        FAIL(ERR_INTERNAL, "HMAC of %zu bytes instead of %zu", len, hmac->out_len);
    }
    return err_ok();
}
