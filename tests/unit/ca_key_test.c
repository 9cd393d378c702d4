/* Weak RSA moduli; the other key rules are rows of tests/data/csr/index.txt (ca_csr_test). */
#include "ca_fixture.h"

#include "ca/key.h"

#include <openssl/core_names.h>

static enum rsa_weakness weakness_of(const BIGNUM *n)
{
    uint8_t bytes[512];
    enum rsa_weakness w = RSA_SOUND;
    int len = BN_bn2bin(n, bytes);

    assert_true(len > 0);
    assert_ok(rsa_weakness_find(bytes, (size_t)len, &w));
    return w;
}

static void close_primes_are_found_up_to_the_rounds(void **state)
{
    static const struct {
        unsigned long gap_rounds; /* a - sqrt(n) is about this, for primes p and p + d */
        enum rsa_weakness want;
    } rows[] = {{1, RSA_CLOSE_PRIMES}, {60, RSA_CLOSE_PRIMES}, {40000, RSA_SOUND}};
    BN_CTX *ctx = BN_CTX_new();

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        BIGNUM *p = BN_new();
        BIGNUM *q = BN_new();
        BIGNUM *n = BN_new();
        assert_int_equal(BN_generate_prime_ex(p, 256, 0, NULL, NULL, NULL), 1);
        /* a - sqrt(n) = d^2 / (8p), so d is the power of two at or below sqrt(8 * rounds * p). */
        assert_int_equal(BN_set_word(q, rows[i].gap_rounds * 8), 1);
        assert_int_equal(BN_mul(q, q, p, ctx), 1);
        int bits = BN_num_bits(q) / 2;
        BN_zero(q);
        assert_int_equal(BN_set_bit(q, bits - 1), 1);
        assert_int_equal(BN_add(q, q, p), 1);
        if (!BN_is_odd(q)) {
            assert_int_equal(BN_add_word(q, 1), 1);
        }
        do {
            assert_int_equal(BN_add_word(q, 2), 1);
        } while (BN_check_prime(q, ctx, NULL) != 1);
        assert_int_equal(BN_mul(n, p, q, ctx), 1);
        assert_int_equal(weakness_of(n), rows[i].want);
        BN_free(p);
        BN_free(q);
        BN_free(n);
    }
    BN_CTX_free(ctx);
}

static void small_and_even_moduli_are_found(void **state)
{
    static const struct {
        const char *n;
        enum rsa_weakness want;
    } rows[] = {
        {"340282366920938463463374607431768211456", RSA_EVEN}, /* 2^128 */
        {"751", RSA_SMALL_FACTOR},
        {"564001", RSA_SMALL_FACTOR}, /* 751^2 */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        BIGNUM *n = NULL;
        assert_true(BN_dec2bn(&n, rows[i].n) > 0);
        assert_int_equal(weakness_of(n), rows[i].want);
        BN_free(n);
    }
}

static void openssls_keys_are_sound(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        EVP_PKEY *key = EVP_RSA_gen(1024);
        BIGNUM *n = NULL;
        assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n), 1);
        assert_int_equal(weakness_of(n), RSA_SOUND);
        BN_free(n);
        EVP_PKEY_free(key);
    }
}

static void a_long_sentence_is_cut(void **state)
{
    struct ca_refusal refusal = {0};
    char text[1000];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(ca_refuse(&refusal, true, "%s", text).code, ERR_REJECTED);
    assert_int_equal(strlen(refusal.detail), sizeof(refusal.detail) - 1);
    assert_true(refusal.is_bad_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close_primes_are_found_up_to_the_rounds),
        cmocka_unit_test(small_and_even_moduli_are_found),
        cmocka_unit_test(openssls_keys_are_sound),
        cmocka_unit_test(a_long_sentence_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
