#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "acme-server/challenge.h"
#include "core/util/mem.h"

static void test_names(void **state)
{
    static const char *const unknown[] = {"", "dns", "dns-02", "DNS-01", "dns-01 ", "http-01/"};
    static const char *const names[CHALLENGE_TYPES_N] = {"dns-01", "http-01", "tls-alpn-01",
                                                         "dns-account-01", "dns-persist-01"};
    enum challenge_type type = CHALLENGE_TYPES_N;
    (void)state;

    for (size_t i = 0; i < ARRAY_N(unknown); i++) {
        assert_int_equal(challenge_find(unknown[i], &type).code, ERR_NOT_FOUND);
        assert_int_equal(type, CHALLENGE_TYPES_N);
    }
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        assert_int_equal(challenge_find(names[i], &type).code, ERR_OK);
        assert_int_equal(type, i); /* stored: never another number */
        assert_string_equal(challenge_name(type), names[i]);
    }
}

/* RFC 8555 §7.1.3, RFC 8738 §7: a wildcard has dns-* alone, an address what connects to it. */
static void test_fits(void **state)
{
    static const struct {
        bool plain, wildcard, ip, token;
    } rows[CHALLENGE_TYPES_N] = {
        [CHALLENGE_DNS01] = {true, true, false, true},
        [CHALLENGE_HTTP01] = {true, false, true, true},
        [CHALLENGE_TLSALPN01] = {true, false, true, true},
        [CHALLENGE_DNSACCOUNT01] = {true, true, false, true},
        [CHALLENGE_DNSPERSIST01] = {true, true, false, false},
    };
    const struct ident plain = {.base = "a.svc.test"};
    const struct ident wildcard = {.is_wildcard = true, .base = "svc.test"};
    const struct ident ip = {.is_ip = true, .base = "192.0.2.1"};
    (void)state;

    for (int t = 0; t < CHALLENGE_TYPES_N; t++) {
        enum challenge_type type = (enum challenge_type)t;
        assert_int_equal(challenge_fits(type, &plain), rows[t].plain);
        assert_int_equal(challenge_fits(type, &wildcard), rows[t].wildcard);
        assert_int_equal(challenge_fits(type, &ip), rows[t].ip);
        assert_int_equal(challenge_has_token(type), rows[t].token);
    }
}

/* What stands before the name must fit as well: 253 characters in all. */
static void test_long_names(void **state)
{
    const struct {
        enum challenge_type type;
        size_t longest;
    } rows[] = {
        {CHALLENGE_DNSACCOUNT01, 253 - strlen("_1234567890123456._acme-challenge.")},
        {CHALLENGE_DNSPERSIST01, 253 - strlen("_validation-persist.")},
        {CHALLENGE_DNS01, 253},
        {CHALLENGE_HTTP01, 253},
        {CHALLENGE_TLSALPN01, 253},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct ident ident = {.base = ""};
        for (size_t n = 0; n < rows[i].longest; n++) {
            ident.base[n] = n % 50 == 49 ? '.' : 'a';
        }
        assert_true(challenge_fits(rows[i].type, &ident));
        ident.is_wildcard = rows[i].type != CHALLENGE_HTTP01 && rows[i].type != CHALLENGE_TLSALPN01;
        assert_true(challenge_fits(rows[i].type, &ident));
        if (rows[i].longest < NAME_TEXT_MAX) {
            ident.base[rows[i].longest] = 'a';
            assert_false(challenge_fits(rows[i].type, &ident));
            ident.is_wildcard = false;
            assert_false(challenge_fits(rows[i].type, &ident));
        }
    }
}

/* Nobody learns one type's token from another's, and another seed gives other tokens. */
static void test_tokens(void **state)
{
    uint8_t seed[ACME_SEED_LEN] = {1};
    char tokens[2 * CHALLENGE_TYPES_N][ACME_TOKEN_LEN + 1];
    char again[ACME_TOKEN_LEN + 1];
    (void)state;

    for (size_t i = 0; i < ARRAY_N(tokens); i++) {
        seed[ACME_SEED_LEN - 1] = i < CHALLENGE_TYPES_N ? 0 : 1;
        enum challenge_type type = (enum challenge_type)(i % CHALLENGE_TYPES_N);
        assert_int_equal(challenge_token(seed, type, tokens[i]).code, ERR_OK);
        assert_int_equal(challenge_token(seed, type, again).code, ERR_OK);
        assert_string_equal(tokens[i], again);
        assert_int_equal(strlen(tokens[i]), ACME_TOKEN_LEN);
        assert_true(is_base64url(tokens[i], ACME_TOKEN_LEN));
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(tokens[i], tokens[k]);
        }
    }
    /* HMAC-SHA256 with 32 zero bytes as key over "dns-01", by another program. */
    memset(seed, 0, sizeof(seed));
    assert_int_equal(challenge_token(seed, CHALLENGE_DNS01, again).code, ERR_OK);
    assert_string_equal(again, "tchHpAJ6aGBBU5CfmU_fxcBxyBhs_U_PVTVa7wLnTBI");
}

static void test_digest(void **state)
{
    static const char token[] = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
    static const char thumbprint[] =
        "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"; /* RFC 8555 §8.1 */
    char digest[CHALLENGE_DIGEST_LEN + 1] = "";
    (void)state;

    assert_int_equal(challenge_digest("short", thumbprint, digest).code, ERR_INTERNAL);
    assert_int_equal(challenge_digest(token, "", digest).code, ERR_INTERNAL);
    assert_string_equal(digest, "");
    assert_int_equal(challenge_digest(token, thumbprint, digest).code, ERR_OK);
    assert_string_equal(digest, "lCM7cZyQXcVHK2nnW3jjAhNT3Fvm18UN-kWZZknKoYM");
}

/* The example of draft-ietf-acme-dns-account-label §3.2. */
static void test_account_label(void **state)
{
    char label[ZONE_ACCOUNT_LABEL_LEN + 1];
    (void)state;

    assert_int_equal(
        challenge_account_label("https://example.com/acme/acct/ExampleAccount", label).code,
        ERR_OK);
    assert_string_equal(label, "_ujmmovf2vn55tgye");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_fits),
        cmocka_unit_test(test_long_names), cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_digest),     cmocka_unit_test(test_account_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
