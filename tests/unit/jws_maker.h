/* For tests: account keys of every accepted kind, their JWKs, and signed flattened JWS bodies. Any
 * failure aborts. */
#ifndef TESTS_UNIT_JWS_MAKER_H
#define TESTS_UNIT_JWS_MAKER_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "acme-server/jwk.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define MAKER __attribute__((unused)) static
#define MAKER_CHECK(ok)                                                                            \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #ok);                         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct maker {
    enum jwk_alg alg;
    EVP_PKEY *pkey;
    char jwk[1600];
};

MAKER size_t maker_coord_len(enum jwk_alg alg)
{
    return alg == JWK_ES256 ? 32 : alg == JWK_ES384 ? 48 : 66;
}

MAKER EVP_PKEY *maker_generate(enum jwk_alg alg, unsigned rsa_bits)
{
    switch (alg) {
    case JWK_ES256:
        return EVP_EC_gen("P-256");
    case JWK_ES384:
        return EVP_EC_gen("P-384");
    case JWK_ES512:
        return EVP_EC_gen("P-521");
    case JWK_RS256:
        return EVP_RSA_gen(rsa_bits);
    case JWK_EDDSA:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
    return NULL;
}

MAKER void maker_bn_text(EVP_PKEY *pkey, const char *param, size_t width, char *out)
{
    BIGNUM *n = NULL;
    uint8_t raw[512];

    MAKER_CHECK(EVP_PKEY_get_bn_param(pkey, param, &n) == 1);
    size_t len = width == 0 ? (size_t)BN_num_bytes(n) : width;
    MAKER_CHECK(len <= sizeof(raw) && BN_bn2binpad(n, raw, (int)len) == (int)len);
    BN_free(n);
    base64url_encode(raw, len, out);
}

MAKER void maker_jwk(struct maker *m)
{
    char a[700];
    char b[700];

    if (m->alg == JWK_RS256) {
        maker_bn_text(m->pkey, OSSL_PKEY_PARAM_RSA_N, 0, a);
        maker_bn_text(m->pkey, OSSL_PKEY_PARAM_RSA_E, 0, b);
        (void)snprintf(m->jwk, sizeof(m->jwk), "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%.690s\"}", b,
                       a);
    } else if (m->alg == JWK_EDDSA) {
        uint8_t raw[32];
        size_t len = sizeof(raw);
        MAKER_CHECK(EVP_PKEY_get_raw_public_key(m->pkey, raw, &len) == 1);
        base64url_encode(raw, len, a);
        (void)snprintf(m->jwk, sizeof(m->jwk), "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}",
                       a);
    } else {
        size_t width = maker_coord_len(m->alg);
        maker_bn_text(m->pkey, OSSL_PKEY_PARAM_EC_PUB_X, width, a);
        maker_bn_text(m->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, width, b);
        (void)snprintf(m->jwk, sizeof(m->jwk),
                       "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%.100s\",\"y\":\"%.100s\"}",
                       width == 32   ? "P-256"
                       : width == 48 ? "P-384"
                                     : "P-521",
                       a, b);
    }
}

MAKER struct maker maker_new(enum jwk_alg alg, unsigned rsa_bits)
{
    struct maker m = {alg, maker_generate(alg, rsa_bits), ""};

    MAKER_CHECK(m.pkey != NULL);
    maker_jwk(&m);
    return m;
}

MAKER void maker_clear(struct maker *m)
{
    EVP_PKEY_free(m->pkey);
    m->pkey = NULL;
}

/* The signature in JOSE's form. Returns its length. */
MAKER size_t maker_sign(const struct maker *m, const void *data, size_t len, uint8_t out[512])
{
    static const char *const digests[] = {[JWK_ES256] = "SHA256",
                                          [JWK_ES384] = "SHA384",
                                          [JWK_ES512] = "SHA512",
                                          [JWK_RS256] = "SHA256",
                                          [JWK_EDDSA] = NULL};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t raw[512];
    size_t raw_len = sizeof(raw);

    MAKER_CHECK(ctx != NULL);
    MAKER_CHECK(EVP_DigestSignInit_ex(ctx, NULL, digests[m->alg], NULL, NULL, m->pkey, NULL) == 1);
    MAKER_CHECK(EVP_DigestSign(ctx, raw, &raw_len, data, len) == 1);
    EVP_MD_CTX_free(ctx);
    if (m->alg == JWK_RS256 || m->alg == JWK_EDDSA) {
        memcpy(out, raw, raw_len);
        return raw_len;
    }
    const uint8_t *der = raw;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)raw_len);
    size_t width = maker_coord_len(m->alg);
    MAKER_CHECK(pair != NULL);
    MAKER_CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, (int)width) == (int)width);
    MAKER_CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + width, (int)width) == (int)width);
    ECDSA_SIG_free(pair);
    return 2 * width;
}

/* base64url on the heap. */
MAKER char *maker_b64(const void *data, size_t len)
{
    char *text = mem_zalloc(BASE64URL_LEN(len) + 1);

    MAKER_CHECK(text != NULL);
    base64url_encode(data, len, text);
    return text;
}

/* {"protected","payload","signature"} over the two texts; freed with mem_free(). */
MAKER char *maker_jws(const struct maker *m, const char *header, const char *payload)
{
    char *protected_text = maker_b64(header, strlen(header));
    char *payload_text = maker_b64(payload, strlen(payload));
    struct buf b = BUF_INIT(1024 * 1024);
    uint8_t sig[512];

    buf_printf(&b, "%s.%s", protected_text, payload_text);
    size_t sig_len = maker_sign(m, b.data, b.len, sig);
    char *sig_text = maker_b64(sig, sig_len);
    buf_reset(&b);
    buf_printf(&b, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}", protected_text,
               payload_text, sig_text);
    mem_free(protected_text);
    mem_free(payload_text);
    mem_free(sig_text);
    return buf_take(&b);
}

#endif
