/* Certificates of tls-alpn-01 answers: every wrong one, then the right ones. */
#include "acme-server/tlsalpn_cert.h"

#include "core/util/mem.h"

#include "tlsalpn_maker.h"

static const uint8_t DIGEST[SHA256_LEN] = "0123456789abcdef0123456789abcde";

static struct ident ident_of(const char *text)
{
    struct ident id;

    if (ident_ip_parse(text, strlen(text), &id, NULL).code != ERR_OK) {
        assert_int_equal(ident_parse(text, strlen(text), &id, NULL).code, ERR_OK);
    }
    return id;
}

static bool judge(X509 *cert, const char *name, enum problem_type *type, char *why)
{
    struct ident ident = ident_of(name);
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);

    assert_true(len > 0);
    bool is_ok = tlsalpn_cert_ok(der, (size_t)len, &ident, DIGEST, type, why);
    OPENSSL_free(der);
    return is_ok;
}

static const struct {
    const char *what, *name, *own_san;
    struct cert_spec spec;
    enum problem_type type;
    const char *why; /* a part of it */
} WRONG[] = {
    {"an ordinary certificate",
     "a.test",
     "DNS:a.test",
     {.has_no_identifier = true},
     PROBLEM_UNAUTHORIZED,
     "ordinary"},
    {"two",
     "a.test",
     "DNS:a.test",
     {.has_identifier_twice = true},
     PROBLEM_INCORRECT_RESPONSE,
     "2 acmeIdentifier"},
    {"not critical",
     "a.test",
     "DNS:a.test",
     {.is_not_critical = true},
     PROBLEM_INCORRECT_RESPONSE,
     "not critical"},
    {"another digest",
     "a.test",
     "DNS:a.test",
     {.is_other_digest = true},
     PROBLEM_INCORRECT_RESPONSE,
     "another key authorization"},
    {"no DER inside",
     "a.test",
     "DNS:a.test",
     {.value = DIGEST, .value_len = SHA256_LEN},
     PROBLEM_INCORRECT_RESPONSE,
     "OCTET STRING"},
    {"an empty value",
     "a.test",
     "DNS:a.test",
     {.value = DIGEST, .value_len = 0},
     PROBLEM_INCORRECT_RESPONSE,
     "OCTET STRING"},
    {"31 bytes",
     "a.test",
     "DNS:a.test",
     {.value = (const uint8_t *)"\x04\x1f"
                                "0123456789abcdef0123456789abcde",
      .value_len = 33},
     PROBLEM_INCORRECT_RESPONSE,
     "OCTET STRING"},
    {"a long form of the length",
     "a.test",
     "DNS:a.test",
     {.value = (const uint8_t *)"\x04\x81\x20"
                                "0123456789abcdef0123456789abcde",
      .value_len = 35},
     PROBLEM_INCORRECT_RESPONSE,
     "OCTET STRING"},
    {"a byte behind",
     "a.test",
     "DNS:a.test",
     {.value = (const uint8_t *)"\x04\x20"
                                "0123456789abcdef0123456789abcde\0x",
      .value_len = 35},
     PROBLEM_INCORRECT_RESPONSE,
     "OCTET STRING"},
    {"a UTF8String",
     "a.test",
     "DNS:a.test",
     {.value = (const uint8_t *)"\x0c\x20"
                                "0123456789abcdef0123456789abcde",
      .value_len = 34},
     PROBLEM_INCORRECT_RESPONSE,
     "OCTET STRING"},
    {"no names",
     "a.test",
     "DNS:a.test",
     {.san = NONE},
     PROBLEM_INCORRECT_RESPONSE,
     "0 subjectAltName"},
    {"two subjectAltNames",
     "a.test",
     "DNS:a.test",
     {.has_san_twice = true},
     PROBLEM_INCORRECT_RESPONSE,
     "2 subjectAltName"},
    {"two names",
     "a.test",
     "",
     {.san = "DNS:a.test,DNS:b.test"},
     PROBLEM_INCORRECT_RESPONSE,
     "2 entries"},
    {"the same name twice",
     "a.test",
     "",
     {.san = "DNS:a.test,DNS:a.test"},
     PROBLEM_INCORRECT_RESPONSE,
     "2 entries"},
    {"another name", "a.test", "", {.san = "DNS:b.test"}, PROBLEM_INCORRECT_RESPONSE, "b.test"},
    {"a wildcard", "a.test", "", {.san = "DNS:*.test"}, PROBLEM_INCORRECT_RESPONSE, "*.test"},
    {"a longer name",
     "a.test",
     "",
     {.san = "DNS:a.test.x"},
     PROBLEM_INCORRECT_RESPONSE,
     "a.test.x"},
    {"a mail address",
     "a.test",
     "",
     {.san = "email:a.test"},
     PROBLEM_INCORRECT_RESPONSE,
     "another kind"},
    {"a URI", "a.test", "", {.san = "URI:a.test"}, PROBLEM_INCORRECT_RESPONSE, "another kind"},
    {"an address for a name",
     "a.test",
     "",
     {.san = "IP:10.0.0.1"},
     PROBLEM_INCORRECT_RESPONSE,
     "an IP address"},
    {"a name for an address",
     "10.0.0.1",
     "",
     {.san = "DNS:10.0.0.1"},
     PROBLEM_INCORRECT_RESPONSE,
     "not the iPAddress"},
    {"another address",
     "10.0.0.1",
     "",
     {.san = "IP:10.0.0.2"},
     PROBLEM_INCORRECT_RESPONSE,
     "an IP address"},
    {"the mapped address",
     "10.0.0.1",
     "",
     {.san = "IP:::ffff:10.0.0.1"},
     PROBLEM_INCORRECT_RESPONSE,
     "an IP address"},
    {"another IPv6 address",
     "fd00::1",
     "",
     {.san = "IP:fd00::2"},
     PROBLEM_INCORRECT_RESPONSE,
     "an IP address"},
    {"broken names",
     "a.test",
     "",
     {.san_raw = "\x30\x08\x82\x07"
                 "a.test"},
     PROBLEM_INCORRECT_RESPONSE,
     "malformed"},
    {"bytes behind the names",
     "a.test",
     "",
     {.san_raw = "\x30\x08\x82\x06"
                 "a.testxx"},
     PROBLEM_INCORRECT_RESPONSE,
     "malformed"},
    {"another issuer's name",
     "a.test",
     "DNS:a.test",
     {.is_other_issuer = true},
     PROBLEM_INCORRECT_RESPONSE,
     "self-signed"},
    {"another issuer's key",
     "a.test",
     "DNS:a.test",
     {.is_other_signer = true},
     PROBLEM_INCORRECT_RESPONSE,
     "self-signed"},
};

static void test_wrong_certificates(void **state)
{
    EVP_PKEY *key = make_ec_key();

    (void)state;
    for (size_t i = 0; i < ARRAY_N(WRONG); i++) {
        enum problem_type type = PROBLEM_NONE;
        char why[TLSALPN_WHY_MAX] = "";
        X509 *cert = make_tlsalpn_cert(&WRONG[i].spec, key, WRONG[i].own_san, DIGEST);
        if (judge(cert, WRONG[i].name, &type, why) || type != WRONG[i].type ||
            strstr(why, WRONG[i].why) == NULL) {
            fail_msg("%s: type %d, '%s'", WRONG[i].what, (int)type, why);
        }
        X509_free(cert);
    }
    EVP_PKEY_free(key);
}

static void test_no_certificates(void **state)
{
    static uint8_t big[TLSALPN_CERT_MAX + 1];
    struct ident ident = ident_of("a.test");
    enum problem_type type = PROBLEM_NONE;
    char why[TLSALPN_WHY_MAX] = "";
    struct cert_spec right = {0};
    EVP_PKEY *key = make_ec_key();
    X509 *cert = make_tlsalpn_cert(&right, key, "DNS:a.test", DIGEST);
    uint8_t *der = NULL;

    (void)state;
    assert_false(tlsalpn_cert_ok(big, 0, &ident, DIGEST, &type, why));
    assert_int_equal(type, PROBLEM_INCORRECT_RESPONSE);
    assert_false(tlsalpn_cert_ok(big, sizeof(big), &ident, DIGEST, &type, why));
    int len = i2d_X509(cert, &der);
    assert_true(len > 0 && (size_t)len < sizeof(big));
    memcpy(big, der, (size_t)len);
    for (size_t n = 0; n < (size_t)len; n++) { /* every beginning */
        assert_false(tlsalpn_cert_ok(big, n, &ident, DIGEST, &type, why));
    }
    assert_true(tlsalpn_cert_ok(big, (size_t)len, &ident, DIGEST, &type, why));
    assert_false(tlsalpn_cert_ok(big, (size_t)len + 1, &ident, DIGEST, &type, why));
    big[len - 1] ^= 1; /* in the signature */
    assert_false(tlsalpn_cert_ok(big, (size_t)len, &ident, DIGEST, &type, why));
    OPENSSL_free(der);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void test_right_certificates(void **state)
{
    static const struct {
        const char *name, *own_san;
        struct cert_spec spec;
    } RIGHT[] = {
        {"a.test", "DNS:a.test", {0}},
        {"a.test", "", {.san = "DNS:A.Test"}}, /* RFC 8737 §3: names are compared without case */
        {"a.test", "", {.san = "critical,DNS:a.test"}},
        {"10.0.0.1", "IP:10.0.0.1", {0}},
        {"fd00::1", "IP:fd00::1", {0}},
    };
    EVP_PKEY *keys[] = {make_ec_key(), EVP_RSA_gen(2048)};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(RIGHT); i++) {
        for (size_t k = 0; k < ARRAY_N(keys); k++) {
            enum problem_type type = PROBLEM_NONE;
            char why[TLSALPN_WHY_MAX] = "";
            X509 *cert = make_tlsalpn_cert(&RIGHT[i].spec, keys[k], RIGHT[i].own_san, DIGEST);
            if (!judge(cert, RIGHT[i].name, &type, why)) {
                fail_msg("%s: '%s'", RIGHT[i].name, why);
            }
            X509_free(cert);
        }
    }
    EVP_PKEY_free(keys[0]);
    EVP_PKEY_free(keys[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_certificates),
        cmocka_unit_test(test_no_certificates),
        cmocka_unit_test(test_right_certificates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
