/* Codings, random values, digests. */
#include "core/util/token.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_base64url_refusals(void **state)
{
    static const struct {
        const char *text;
        size_t cap;
        enum err_code want;
    } CASES[] = {
        {"A", 9, ERR_MALFORMED},
        {"AAAAA", 9, ERR_MALFORMED},
        {"Zg==", 9, ERR_MALFORMED},
        {"Zg=", 9, ERR_MALFORMED},
        {"Z g", 9, ERR_MALFORMED},
        {"Zm9\n", 9, ERR_MALFORMED},
        {"+/+/", 9, ERR_MALFORMED},
        {"Zh", 9, ERR_MALFORMED},
        {"Zm9vYh", 9, ERR_MALFORMED},
        {"Zm9", 9, ERR_MALFORMED},
        {"\xff\xff", 9, ERR_MALFORMED},
        {"Zm9v", 2, ERR_LIMIT},
        {"Zg", 0, ERR_LIMIT},
        {"", 0, ERR_OK},
        {"Zm9v", 3, ERR_OK},
        {"Zm8", 2, ERR_OK},
        {"-_-_", 3, ERR_OK},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        uint8_t out[16];
        size_t len = CASES[i].cap;
        enum err_code code = base64url_decode(CASES[i].text, strlen(CASES[i].text), out, &len).code;
        if (code != CASES[i].want) {
            fail_msg("case %zu (%s): %s", i, CASES[i].text, err_name(code));
        }
        if (code != ERR_OK) {
            assert_int_equal(len, CASES[i].cap);
        }
    }
}

static void test_base64_any(void **state)
{
    static const struct {
        const char *text;
        const char *want; /* NULL: malformed */
    } CASES[] = {
        {"=", ""},       {"Zg===", NULL}, {"Z=g=", NULL},         {"=Zg", NULL},   {"Zg==", "f"},
        {"Zg", "f"},     {"Zm8=", "fo"},  {"Zm9v", "foo"},        {"Pz8_", "???"}, {"Pz8/", "???"},
        {"Pj4+", ">>>"}, {"Pj4-", ">>>"}, {"Zm9vYmFy", "foobar"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        uint8_t out[16];
        size_t len = sizeof(out);
        enum err_code code =
            base64_decode_any(CASES[i].text, strlen(CASES[i].text), out, &len).code;
        if ((code == ERR_OK) != (CASES[i].want != NULL)) {
            fail_msg("case %zu (%s): %s", i, CASES[i].text, err_name(code));
        }
        if (code == ERR_OK) {
            assert_int_equal(len, strlen(CASES[i].want));
            assert_memory_equal(out, CASES[i].want, len);
        }
    }
}

/* RFC 4648 §10. */
static void test_known_codings(void **state)
{
    static const struct {
        const char *plain;
        const char *b64url;
        const char *b64;
        const char *b32;
        const char *hex;
    } CASES[] = {
        {"", "", "", "", ""},
        {"f", "Zg", "Zg==", "my", "66"},
        {"fo", "Zm8", "Zm8=", "mzxq", "666f"},
        {"foo", "Zm9v", "Zm9v", "mzxw6", "666f6f"},
        {"foob", "Zm9vYg", "Zm9vYg==", "mzxw6yq", "666f6f62"},
        {"fooba", "Zm9vYmE", "Zm9vYmE=", "mzxw6ytb", "666f6f6261"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy", "mzxw6ytboi", "666f6f626172"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        size_t len = strlen(CASES[i].plain);
        char out[32];
        AUTO(buf_clear) struct buf b = BUF_INIT(32);
        base64url_encode(CASES[i].plain, len, out);
        assert_string_equal(out, CASES[i].b64url);
        assert_int_equal(strlen(out), BASE64URL_LEN(len));
        base64_encode(&b, CASES[i].plain, len);
        assert_string_equal(buf_str(&b), CASES[i].b64);
        base32_encode(CASES[i].plain, len, out);
        assert_string_equal(out, CASES[i].b32);
        hex_encode(CASES[i].plain, len, out);
        assert_string_equal(out, CASES[i].hex);
    }
}

static void test_round_trip(void **state)
{
    uint8_t data[70];
    uint8_t back[70];
    char text[BASE64URL_LEN(70) + 1];

    (void)state;
    for (size_t n = 0; n <= sizeof(data); n++) {
        size_t len = n; /* exactly what is needed */
        assert_int_equal(random_bytes(data, n).code, ERR_OK);
        base64url_encode(data, n, text);
        assert_true(is_base64url(text, strlen(text)));
        assert_int_equal(base64url_decode(text, strlen(text), back, &len).code, ERR_OK);
        assert_int_equal(len, n);
        assert_memory_equal(back, data, n);
    }
}

static void test_random_texts(void **state)
{
    char a[UUID_TEXT_LEN + 1];
    char b[UUID_TEXT_LEN + 1];

    (void)state;
    assert_int_equal(random_id(a).code, ERR_OK);
    assert_int_equal(random_id(b).code, ERR_OK);
    assert_int_equal(strlen(a), OBJECT_ID_LEN);
    assert_true(is_base64url(a, OBJECT_ID_LEN));
    assert_string_not_equal(a, b);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(random_uuid(a).code, ERR_OK);
        assert_int_equal(strlen(a), UUID_TEXT_LEN);
        assert_int_equal(strspn(a, "0123456789abcdef-"), UUID_TEXT_LEN);
        assert_true(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-');
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
    }
    for (size_t n = 0; n <= 200; n += 40) {
        char text[201];
        memset(text, '!', sizeof(text));
        assert_int_equal(random_alnum(text, n).code, ERR_OK);
        assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789"),
                         n);
        assert_int_equal(text[n], '\0');
    }
    assert_int_equal(random_bytes(a, (size_t)INT32_MAX + 1).code, ERR_LIMIT);
}

/* FIPS 180-4 example; RFC 4231 §4.2 and §4.3. */
static void test_digests(void **state)
{
    uint8_t out[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    uint8_t key[20];

    (void)state;
    assert_int_equal(sha256("abc", 3, out).code, ERR_OK);
    hex_encode(out, sizeof(out), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(sha256(NULL, 0, out).code, ERR_OK);
    hex_encode(out, sizeof(out), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    memset(key, 0x0b, sizeof(key));
    assert_int_equal(hmac_sha256(key, sizeof(key), "Hi There", 8, out).code, ERR_OK);
    hex_encode(out, sizeof(out), hex);
    assert_string_equal(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out).code, ERR_OK);
    hex_encode(out, sizeof(out), hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(hmac_sha256(NULL, 0, "", 0, out).code, ERR_OK);
    hex_encode(out, sizeof(out), hex);
    assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    assert_int_equal(hmac_sha256(key, (size_t)INT32_MAX + 1, "", 0, out).code, ERR_LIMIT);
}

static void test_compare(void **state)
{
    (void)state;
    assert_false(ct_equal("abc", 3, "abd", 3));
    assert_false(ct_equal("abc", 3, "abcd", 4));
    assert_false(ct_equal("", 0, "a", 1));
    assert_true(ct_equal("abc", 3, "abc", 3));
    assert_true(ct_equal("a\0b", 3, "a\0b", 3));
    assert_true(ct_equal("", 0, "", 0));
    assert_false(is_base64url("ab+", 3));
    assert_false(is_base64url("ab=", 3));
    assert_false(is_base64url("a\0b", 3));
    assert_true(is_base64url("aZ09-_", 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64url_refusals),
        cmocka_unit_test(test_base64_any),
        cmocka_unit_test(test_known_codings),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_random_texts),
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
