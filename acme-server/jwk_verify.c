/* Signature verification: RFC 7518 §3.3 (RS256), §3.4 (ES*), RFC 8037 §3.1 (EdDSA). */
#include "acme-server/jwk.h"

#include <pthread.h>

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "acme-server/jwk_internal.h"
#include "core/util/mem.h"

/* SEQUENCE of two INTEGERs of at most 1 + 66 bytes each. */
#define ECDSA_DER_MAX 160u

static pthread_once_t digests_once = PTHREAD_ONCE_INIT;
static struct {
    EVP_MD *sha256, *sha384, *sha512;
} digests;

static void fetch_digests(void)
{
    digests.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    digests.sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
    digests.sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
}

static const EVP_MD *digest_of(enum jwk_alg alg)
{
    (void)pthread_once(&digests_once, fetch_digests);
    switch (alg) {
    case JWK_ES256:
    case JWK_RS256:
        return digests.sha256;
    case JWK_ES384:
        return digests.sha384;
    case JWK_ES512:
        return digests.sha512;
    case JWK_EDDSA:
        return NULL; /* hashes by itself */
    }
    return NULL;
}

static void pkey_ctx_freep(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static void md_ctx_freep(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

static void ecdsa_sig_freep(ECDSA_SIG **sig)
{
    ECDSA_SIG_free(*sig);
}

struct err jwk_verify_prepare(struct jwk *key)
{
    const EVP_MD *digest = digest_of(key->alg);

    if (key->alg == JWK_EDDSA) {
        return err_ok();
    }
    TRY_PTR(digest);
    key->verify_template = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    TRY_PTR(key->verify_template);
    TRY_OSSL(EVP_PKEY_verify_init(key->verify_template));
    if (key->alg == JWK_RS256) {
        TRY_OSSL(EVP_PKEY_CTX_set_rsa_padding(key->verify_template, RSA_PKCS1_PADDING));
    }
    TRY_OSSL(EVP_PKEY_CTX_set_signature_md(key->verify_template, digest));
    return err_ok();
}

/* r || s -> DER, because OpenSSL verifies only that. */
static struct err ecdsa_der(const uint8_t *sig, size_t coord_len, uint8_t *der, size_t *der_len)
{
    AUTO(ecdsa_sig_freep) ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig, (int)coord_len, NULL);
    BIGNUM *s = BN_bin2bn(sig + coord_len, (int)coord_len, NULL);

    if (pair == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        FAIL_OSSL("ECDSA_SIG_set0");
    }
    int len = i2d_ECDSA_SIG(pair, NULL);
    if (len <= 0 || (size_t)len > ECDSA_DER_MAX) {
        FAIL_OSSL("i2d_ECDSA_SIG");
    }
    len = i2d_ECDSA_SIG(pair, &der);
    if (len <= 0) {
        FAIL_OSSL("i2d_ECDSA_SIG");
    }
    *der_len = (size_t)len;
    return err_ok();
}

static struct err verify_digest(const struct jwk *key, const void *data, size_t len,
                                const uint8_t *sig, size_t sig_len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    AUTO(pkey_ctx_freep) EVP_PKEY_CTX *ctx = NULL;

    TRY_OSSL(EVP_Digest(data, len, digest, &digest_len, digest_of(key->alg), NULL));
    ctx = EVP_PKEY_CTX_dup(key->verify_template);
    if (ctx == NULL) {
        FAIL_OSSL("EVP_PKEY_CTX_dup");
    }
    if (EVP_PKEY_verify(ctx, sig, sig_len, digest, digest_len) != 1) {
        ERR_clear_error();
        FAIL(ERR_DENIED, "%s signature does not verify", jwk_alg_name(key->alg));
    }
    return err_ok();
}

static struct err verify_ed25519(const struct jwk *key, const void *data, size_t len,
                                 const uint8_t *sig, size_t sig_len)
{
    AUTO(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    TRY_PTR(ctx);
    TRY_OSSL(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey));
    if (EVP_DigestVerify(ctx, sig, sig_len, data, len) != 1) {
        ERR_clear_error();
        FAIL(ERR_DENIED, "EdDSA signature does not verify");
    }
    return err_ok();
}

static size_t expected_len(const struct jwk *key)
{
    size_t coord_len = jwk_coord_len(key->alg);

    if (coord_len > 0) {
        return 2 * coord_len;
    }
    return (size_t)EVP_PKEY_get_size(key->pkey); /* RSA: the modulus; Ed25519: 64 */
}

struct err jwk_verify(const struct jwk *key, const void *data, size_t len, const uint8_t *sig,
                      size_t sig_len)
{
    uint8_t der[ECDSA_DER_MAX];
    size_t der_len = 0;
    size_t coord_len = jwk_coord_len(key->alg);

    if (sig_len != expected_len(key)) {
        FAIL(ERR_DENIED, "%s signature of %zu bytes, expected %zu", jwk_alg_name(key->alg), sig_len,
             expected_len(key));
    }
    if (key->alg == JWK_EDDSA) {
        return verify_ed25519(key, data, len, sig, sig_len);
    }
    if (coord_len == 0) {
        return verify_digest(key, data, len, sig, sig_len);
    }
    TRY(ecdsa_der(sig, coord_len, der, &der_len));
    return verify_digest(key, data, len, der, der_len);
}
