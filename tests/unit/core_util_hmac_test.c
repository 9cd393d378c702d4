#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/hmac.h"
#include "core/util/mem.h"
#include "core/util/token.h"

/* RFC 2202 §2, §3 and RFC 4231 §4: test cases 2 (short key), 6 (key longer than a block). */
static const struct {
    enum hmac_alg alg;
    size_t len;
    const char *short_key, *long_key;
} ROWS[] = {
    {HMAC_ALG_MD5, 16, "750c783e6ab0b503eaa86e310a5db738", "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
    {HMAC_ALG_SHA1, 20, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
     "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
    {HMAC_ALG_SHA224, 28, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
     "95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e"},
    {HMAC_ALG_SHA256, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {HMAC_ALG_SHA384, 48,
     "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab2"
     "1649",
     "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f4"
     "4952"},
    {HMAC_ALG_SHA512, 64,
     "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0"
     "e6fdcaeab1a34d4a6b4b636e070a38bce737",
     "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a"
     "1e5295e64f73f63f0aec8b915a985d786598"},
};

static struct err hmac_once(enum hmac_alg alg, const void *key, size_t key_len, const void *data,
                            size_t len, uint8_t out[HMAC_LEN_MAX])
{
    AUTO(hmac_freep) struct hmac *hmac = NULL;

    TRY(hmac_begin(alg, key, key_len, &hmac));
    hmac_put(hmac, data, len);
    return hmac_end(hmac, out);
}

static void check(enum hmac_alg alg, const void *key, size_t key_len, const char *data,
                  const char *want)
{
    uint8_t out[HMAC_LEN_MAX];
    char hex[2 * HMAC_LEN_MAX + 1];
    struct hmac *hmac = NULL;
    size_t len = strlen(data);

    assert_int_equal(hmac_once(alg, key, key_len, data, len, out).code, ERR_OK);
    hex_encode(out, hmac_len(alg), hex);
    assert_string_equal(hex, want);

    memset(out, 0, sizeof(out));
    assert_int_equal(hmac_begin(alg, key, key_len, &hmac).code, ERR_OK);
    hmac_put(hmac, data, 0);
    hmac_put(hmac, data, 3);
    hmac_put_u16(hmac, (uint16_t)((uint8_t)data[3] << 8 | (uint8_t)data[4]));
    hmac_put(hmac, data + 5, len - 5);
    assert_int_equal(hmac_end(hmac, out).code, ERR_OK);
    hmac_freep(&hmac);
    assert_null(hmac);
    hex_encode(out, hmac_len(alg), hex);
    assert_string_equal(hex, want);
}

static void test_known_answers(void **state)
{
    uint8_t long_key[131];

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        /* RFC 2202's long key has 80 octets, RFC 4231's 131. */
        size_t long_len = ROWS[i].len < 28 ? 80 : sizeof(long_key);
        memset(long_key, 0xaa, sizeof(long_key));
        assert_int_equal(hmac_len(ROWS[i].alg), ROWS[i].len);
        check(ROWS[i].alg, "Jefe", 4, "what do ya want for nothing?", ROWS[i].short_key);
        check(ROWS[i].alg, long_key, long_len,
              "Test Using Larger Than Block-Size Key - Hash Key First", ROWS[i].long_key);
    }
}

static void test_refused(void **state)
{
    static uint8_t key[HMAC_KEY_LEN_MAX + 1];
    uint8_t out[HMAC_LEN_MAX];

    (void)state;
    assert_int_equal(hmac_once(HMAC_ALG_SHA256, key, sizeof(key), "x", 1, out).code, ERR_LIMIT);
    assert_int_equal(hmac_once((enum hmac_alg)0, key, 1, "x", 1, out).code, ERR_CRYPTO);
    assert_int_equal(hmac_len((enum hmac_alg)0), 0);
}

static void test_empty(void **state)
{
    uint8_t out[HMAC_LEN_MAX];
    char hex[2 * HMAC_LEN_MAX + 1];

    (void)state;
    assert_int_equal(hmac_once(HMAC_ALG_SHA256, NULL, 0, NULL, 0, out).code, ERR_OK);
    hex_encode(out, 32, hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
