/* Thumbprints of certificate keys: the examples of RFC 7638 and RFC 8037, and what the account side makes of each kind of
 * key. */
#include "ca_fixture.h"

#include "ca/key.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "core/util/buf.h"

static void thumbprint_of(EVP_PKEY *pkey, char out[SHA256_B64_LEN + 1])
{
    struct key_shape shape = {0};
    struct ca_refusal refusal = {0};
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(pkey, &der);

    assert_true(len > 0);
    assert_ok(key_vet(der, (size_t)len, 1024, &shape, &refusal));
    assert_ok(key_thumbprint(&shape, out));
    OPENSSL_free(der);
}

/* RFC 7638 §3.1. */
static void the_rsa_example(void **state)
{
    static const char MODULUS[] = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86z"
                                  "wu1RK7aPFFxuhDR1L6tSoc_BJECPebWK"
                                  "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_"
                                  "RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic"
                                  "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"
                                  "bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3"
                                  "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    uint8_t bytes[256];
    size_t len = sizeof(bytes);
    char out[SHA256_B64_LEN + 1];

    (void)state;
    assert_ok(base64url_decode(MODULUS, sizeof(MODULUS) - 1, bytes, &len));
    BIGNUM *n = BN_bin2bn(bytes, (int)len, NULL);
    BIGNUM *e = BN_new();
    assert_int_equal(BN_set_word(e, 65537), 1);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    assert_int_equal(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n), 1);
    assert_int_equal(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e), 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *pkey = NULL;
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
    thumbprint_of(pkey, out);
    assert_string_equal(out, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    EVP_PKEY_free(pkey);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
}

/* RFC 8037 appendix A.3. */
static void the_ed25519_example(void **state)
{
    uint8_t bytes[32];
    size_t len = sizeof(bytes);
    char out[SHA256_B64_LEN + 1];

    (void)state;
    assert_ok(base64url_decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", 43, bytes, &len));
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, len);
    thumbprint_of(pkey, out);
    assert_string_equal(out, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    EVP_PKEY_free(pkey);
}

static void put_coordinate(struct buf *jwk, EVP_PKEY *pkey, const char *param, int len)
{
    BIGNUM *n = NULL;
    uint8_t bytes[66];
    char text[BASE64URL_LEN(sizeof(bytes)) + 1];

    assert_int_equal(EVP_PKEY_get_bn_param(pkey, param, &n), 1);
    assert_int_equal(BN_bn2binpad(n, bytes, len), len);
    base64url_encode(bytes, (size_t)len, text);
    buf_puts(jwk, text);
    BN_free(n);
}

/* The members as RFC 7518 §6.2.1 writes them, leading zeros included: of 200 keys some have one. */
static void keys_of_each_curve(void **state)
{
    static const struct {
        const char *group, *crv;
        int len;
    } rows[] = {{"P-256", "P-256", 32}, {"P-384", "P-384", 48}, {"P-521", "P-521", 66}};

    (void)state;
    for (size_t i = 0; i < 600; i++) {
        struct buf jwk = BUF_INIT(512);
        uint8_t digest[SHA256_LEN];
        char want[SHA256_B64_LEN + 1];
        char out[SHA256_B64_LEN + 1];
        size_t row = i % ARRAY_N(rows);
        EVP_PKEY *pkey = EVP_EC_gen(rows[row].group);

        assert_non_null(pkey);
        buf_printf(&jwk, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", rows[row].crv);
        put_coordinate(&jwk, pkey, OSSL_PKEY_PARAM_EC_PUB_X, rows[row].len);
        buf_puts(&jwk, "\",\"y\":\"");
        put_coordinate(&jwk, pkey, OSSL_PKEY_PARAM_EC_PUB_Y, rows[row].len);
        buf_puts(&jwk, "\"}");
        assert_ok(buf_check(&jwk));
        assert_ok(sha256(buf_str(&jwk), jwk.len, digest));
        base64url_encode(digest, sizeof(digest), want);
        thumbprint_of(pkey, out);
        assert_string_equal(out, want);
        EVP_PKEY_free(pkey);
        buf_clear(&jwk);
    }
}

static void what_was_not_vetted_is_our_fault(void **state)
{
    static const uint8_t JUNK[] = {0x02, 0x01, 0x05};
    const struct key_shape rsa = {.kind = KEY_RSA, .bits = JUNK, .bits_len = sizeof(JUNK)};
    const struct key_shape ec = {
        .kind = KEY_EC, .curve = 7, .bits = JUNK, .bits_len = sizeof(JUNK)};
    char out[SHA256_B64_LEN + 1];

    (void)state;
    assert_int_equal(key_thumbprint(&rsa, out).code, ERR_INTERNAL);
    assert_int_equal(key_thumbprint(&ec, out).code, ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_vetted_is_our_fault),
        cmocka_unit_test(the_rsa_example),
        cmocka_unit_test(the_ed25519_example),
        cmocka_unit_test(keys_of_each_curve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
