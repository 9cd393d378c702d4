#include "acme-server/jwk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>

#include <openssl/x509.h>

#include "core/util/mem.h"
#include "jws_maker.h"

/* The P-256 and RSA keys of RFC 7517 §A.1, the RSA key of RFC 7638 §3.1 and the Ed25519 key of RFC
 * 8037 §A.2. */
#define P256_X "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
#define P256_Y "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
#define RSA_N                                                                                      \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"      \
    "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"     \
    "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"            \
    "bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define RSA_1024_N                                                                                 \
    "tR_PxlsRvZvy0qpXsTjSYoO_rNUVkqnk2hNJWVTKmfWmXwWYHB4A5CMYSHwVWcBA6g3Jl0zQDqNVSsaKtNw5Zc8QfY8"  \
    "6YBzo1XgS3Q3UlWh5qRVfWHN3G1zuyKb0WyrYzsDZcbkaHhlJwqLLUqRhcKZ2rAYwPYiDjHvWWBvKJvE"
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

struct bad_case {
    const char *name;
    const char *json;
    enum problem_type type;
    const char *says;
};

static const struct bad_case BAD[] = {
    {"empty", "", PROBLEM_MALFORMED, "not valid JSON"},
    {"array", "[]", PROBLEM_MALFORMED, "JSON object"},
    {"truncated", "{\"kty\":\"EC\",", PROBLEM_MALFORMED, "not valid JSON"},
    {"duplicate", "{\"kty\":\"EC\",\"kty\":\"RSA\"}", PROBLEM_MALFORMED, "duplicate"},
    {"trailing", "{\"kty\":\"EC\"} x", PROBLEM_MALFORMED, "not valid JSON"},
    {"deep", "{\"a\":[[[[[[[[1]]]]]]]]}", PROBLEM_MALFORMED, "deeper"},
    {"no kty", "{}", PROBLEM_BAD_PUBLIC_KEY, "\"kty\""},
    {"kty number", "{\"kty\":7}", PROBLEM_BAD_PUBLIC_KEY, "\"kty\""},
    {"kty unknown", "{\"kty\":\"DSA\"}", PROBLEM_BAD_PUBLIC_KEY, "not supported"},
    {"symmetric", "{\"kty\":\"oct\",\"k\":\"AAAA\"}", PROBLEM_BAD_PUBLIC_KEY, "symmetric"},
    {"private d",
     "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\",\"d\":\"AAAA\"}",
     PROBLEM_BAD_PUBLIC_KEY, "private member \"d\""},
    {"private p", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\",\"p\":null}",
     PROBLEM_BAD_PUBLIC_KEY, "private member \"p\""},
    {"no crv", "{\"kty\":\"EC\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"}", PROBLEM_BAD_PUBLIC_KEY,
     "\"crv\""},
    {"crv secp256k1",
     "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"}",
     PROBLEM_BAD_PUBLIC_KEY, "use P-256"},
    {"no y", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\"}", PROBLEM_BAD_PUBLIC_KEY,
     "\"y\""},
    {"x short", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBC\",\"y\":\"" P256_Y "\"}",
     PROBLEM_BAD_PUBLIC_KEY, "exactly 32"},
    {"x long", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "AA\",\"y\":\"" P256_Y "\"}",
     PROBLEM_BAD_PUBLIC_KEY, "\"x\""},
    {"x padded", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "=\",\"y\":\"" P256_Y "\"}",
     PROBLEM_BAD_PUBLIC_KEY, "base64url"},
    {"x not canonical",
     "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D5\","
     "\"y\":\"" P256_Y "\"}",
     PROBLEM_BAD_PUBLIC_KEY, "base64url"},
    {"off curve", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_Y "\",\"y\":\"" P256_X "\"}",
     PROBLEM_BAD_PUBLIC_KEY, "not a point"},
    {"zero point",
     "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
     "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
     PROBLEM_BAD_PUBLIC_KEY, "not a point"},
    {"wrong curve", "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"}",
     PROBLEM_BAD_PUBLIC_KEY, "exactly 48"},
    {"rsa small", "{\"kty\":\"RSA\",\"n\":\"" RSA_1024_N "\",\"e\":\"AQAB\"}",
     PROBLEM_BAD_PUBLIC_KEY, "1024 bits"},
    {"rsa leading zero", "{\"kty\":\"RSA\",\"n\":\"AP__\",\"e\":\"AQAB\"}", PROBLEM_BAD_PUBLIC_KEY,
     "zero octet"},
    {"rsa e=3", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"Aw\"}", PROBLEM_BAD_PUBLIC_KEY,
     "65537"},
    {"rsa e=1", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}", PROBLEM_BAD_PUBLIC_KEY,
     "65537"},
    {"rsa e=0", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AA\"}", PROBLEM_BAD_PUBLIC_KEY,
     "zero octet"},
    {"rsa e=65535", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"__8\"}", PROBLEM_BAD_PUBLIC_KEY,
     "65537"},
    {"rsa n empty", "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", PROBLEM_BAD_PUBLIC_KEY, "empty"},
    {"rsa duplicate n", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}",
     PROBLEM_MALFORMED, "duplicate"},
    {"duplicate, escaped", "{\"kty\":\"EC\",\"\\u006bty\":\"oct\"}", PROBLEM_MALFORMED,
     "duplicate"},
    {"rsa e even", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAC\"}", PROBLEM_BAD_PUBLIC_KEY,
     "65537"},
    {"rsa e zero padded", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AAEAAQ\"}",
     PROBLEM_BAD_PUBLIC_KEY, "zero octet"},
    {"rsa e long", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAAAAE\"}",
     PROBLEM_BAD_PUBLIC_KEY, "\"e\""},
    {"rsa e empty", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"\"}", PROBLEM_BAD_PUBLIC_KEY,
     "empty"},
    {"rsa e number", "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":65537}", PROBLEM_BAD_PUBLIC_KEY,
     "\"e\""},
    {"okp ed448", "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" ED_X "\"}", PROBLEM_BAD_PUBLIC_KEY,
     "use Ed25519"},
    {"okp short", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", PROBLEM_BAD_PUBLIC_KEY,
     "wants 32"},
};

static void refuses_bad_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        struct jwk *key = NULL;
        struct problem prob = {0};
        struct err e = jwk_parse(BAD[i].json, strlen(BAD[i].json), 2048, &key, &prob);
        if (e.code != ERR_REJECTED || prob.type != BAD[i].type ||
            strstr(prob.detail, BAD[i].says) == NULL) {
            fail_msg("%s: %s, %s: %s", BAD[i].name, err_name(e.code), problem_urn(prob.type),
                     prob.detail);
        }
        assert_null(key);
        problem_clear(&prob);
    }
}

struct good_case {
    const char *json;
    const char *thumbprint; /* NULL: not published anywhere, only that there is one */
    const char *canonical;
    enum jwk_alg alg;
};

static const struct good_case GOOD[] = {
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N
     "\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
     "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
     "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}", JWK_RS256},
    {"{\"x\":\"" ED_X "\",\"crv\":\"Ed25519\",\"kty\":\"OKP\"}",
     "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
     "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"" ED_X "\"}", JWK_EDDSA},
    {" {\"kty\":\"EC\",\"use\":\"sig\",\"crv\":\"P-256\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y
     "\"}\n",
     NULL, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"}",
     JWK_ES256},
};

static void accepts_published_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(GOOD); i++) {
        AUTO(jwk_freep) struct jwk *key = NULL;
        struct problem prob = {0};
        assert_int_equal(ERR_OK,
                         jwk_parse(GOOD[i].json, strlen(GOOD[i].json), 0, &key, &prob).code);
        assert_string_equal(GOOD[i].canonical, jwk_json(key));
        assert_int_equal(GOOD[i].alg, jwk_alg(key));
        assert_int_equal(SHA256_B64_LEN, strlen(jwk_thumbprint(key)));
        if (GOOD[i].thumbprint != NULL) {
            assert_string_equal(GOOD[i].thumbprint, jwk_thumbprint(key));
        }
        /* What was made canonical is the same key again. */
        AUTO(jwk_freep) struct jwk *again = NULL;
        assert_int_equal(ERR_OK,
                         jwk_parse(jwk_json(key), strlen(jwk_json(key)), 2048, &again, &prob).code);
        assert_string_equal(jwk_thumbprint(key), jwk_thumbprint(again));
    }
}

static void min_rsa_bits_is_obeyed(void **state)
{
    AUTO(jwk_freep) struct jwk *key = NULL;
    struct problem prob = {0};

    (void)state;
    assert_int_equal(ERR_REJECTED,
                     jwk_parse(GOOD[0].json, strlen(GOOD[0].json), 3072, &key, &prob).code);
    assert_non_null(strstr(prob.detail, "3072"));
    assert_int_equal(400, prob.status);
}

/* A modulus of any size and lowest bit: 2048 to 4096 bits and odd, or none. */
static void rsa_moduli_of_odd_sizes(void **state)
{
    static const struct {
        size_t len;
        uint8_t first, last;
        const char *says;
    } cases[] = {
        {1, 0x03, 0x03, "2 bits"},      {255, 0xff, 0x01, "2040 bits"},
        {256, 0x7f, 0x01, "2047 bits"}, {256, 0x01, 0x01, "2041 bits"},
        {256, 0x80, 0x00, "even"},      {512, 0xff, 0xfe, "even"},
        {513, 0x01, 0x01, "too long"},  {1024, 0xff, 0x01, "too long"},
        {2048, 0xff, 0x01, "too long"},
    };
    uint8_t n[2048];
    char text[BASE64URL_LEN(sizeof(n)) + 1];
    char json[sizeof(text) + 64];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        struct jwk *key = NULL;
        struct problem prob = {0};
        memset(n, 0x5a, sizeof(n));
        n[cases[i].len - 1] = cases[i].last;
        n[0] = cases[i].first;
        base64url_encode(n, cases[i].len, text);
        (void)snprintf(json, sizeof(json), "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%s\"}", text);
        struct err e = jwk_parse(json, strlen(json), 0, &key, &prob);
        if (e.code != ERR_REJECTED || prob.type != PROBLEM_BAD_PUBLIC_KEY ||
            strstr(prob.detail, cases[i].says) == NULL) {
            fail_msg("%zu bytes: %s, %s", cases[i].len, err_name(e.code), prob.detail);
        }
        assert_null(key);
    }
}

static struct jwk *parsed(const char *json)
{
    struct jwk *key = NULL;
    struct problem prob = {0};

    assert_int_equal(ERR_OK, jwk_parse(json, strlen(json), 2048, &key, &prob).code);
    return key;
}

static void equal_keys(void **state)
{
    AUTO(jwk_freep)
    struct jwk *a = parsed("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\"}");
    AUTO(jwk_freep)
    struct jwk *same =
        parsed(" {\"x\":\"" ED_X "\", \"use\":\"sig\", \"crv\":\"Ed25519\",\"kty\":\"OKP\"}");
    AUTO(jwk_freep)
    struct jwk *other =
        parsed("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\"}");

    (void)state;
    assert_true(jwk_equal(a, a));
    assert_true(jwk_equal(a, same));
    assert_false(jwk_equal(a, other));
}

static void check_signatures(const struct maker *m)
{
    static const char data[] = "eyJhbGciOiJFUzI1NiJ9.e30";
    AUTO(jwk_freep) struct jwk *key = NULL;
    struct problem prob = {0};
    uint8_t sig[513];

    assert_int_equal(ERR_OK, jwk_parse(m->jwk, strlen(m->jwk), 2048, &key, &prob).code);
    assert_int_equal(m->alg, jwk_alg(key));
    assert_string_equal(m->jwk, jwk_json(key));
    size_t len = maker_sign(m, data, sizeof(data), sig);
    for (size_t cut = 1; cut <= len; cut += 7) {
        assert_int_equal(ERR_DENIED, jwk_verify(key, data, sizeof(data), sig, len - cut).code);
    }
    sig[len] = 0;
    assert_int_equal(ERR_DENIED, jwk_verify(key, data, sizeof(data), sig, len + 1).code);
    assert_int_equal(ERR_DENIED, jwk_verify(key, data, sizeof(data) - 1, sig, len).code);
    for (size_t i = 0; i < len; i += 5) {
        sig[i] ^= 1;
        assert_int_equal(ERR_DENIED, jwk_verify(key, data, sizeof(data), sig, len).code);
        sig[i] ^= 1;
    }
    assert_int_equal(ERR_OK, jwk_verify(key, data, sizeof(data), sig, len).code);
    memset(sig, 0, len);
    assert_int_equal(ERR_DENIED, jwk_verify(key, data, sizeof(data), sig, len).code);
    memset(sig, 0xff, len);
    assert_int_equal(ERR_DENIED, jwk_verify(key, data, sizeof(data), sig, len).code);

    unsigned char *der = NULL;
    int der_len = i2d_PUBKEY(m->pkey, &der);
    size_t spki_len = 0;
    const uint8_t *spki = jwk_spki(key, &spki_len);
    assert_int_equal(der_len, spki_len);
    assert_memory_equal(der, spki, spki_len);
    OPENSSL_free(der);
}

static void verifies_every_algorithm(void **state)
{
    static const struct {
        enum jwk_alg alg;
        unsigned bits;
    } kinds[] = {{JWK_ES256, 0},    {JWK_ES384, 0},    {JWK_ES512, 0},
                 {JWK_RS256, 2048}, {JWK_RS256, 3072}, {JWK_EDDSA, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        struct maker m = maker_new(kinds[i].alg, kinds[i].bits);
        check_signatures(&m);
        maker_clear(&m);
    }
}

/* A short r or s must be padded in JOSE and shortened in DER: many signatures meet every leading
 * byte. */
static void ecdsa_integers_of_any_size(void **state)
{
    struct maker m = maker_new(JWK_ES256, 0);
    AUTO(jwk_freep) struct jwk *key = NULL;
    struct problem prob = {0};
    uint8_t sig[512];
    unsigned short_ones = 0;

    (void)state;
    assert_int_equal(ERR_OK, jwk_parse(m.jwk, strlen(m.jwk), 2048, &key, &prob).code);
    for (uint32_t i = 0; i < 1500; i++) {
        size_t len = maker_sign(&m, &i, sizeof(i), sig);
        short_ones += sig[0] == 0 || sig[32] == 0;
        assert_int_equal(ERR_OK, jwk_verify(key, &i, sizeof(i), sig, len).code);
    }
    assert_in_range(short_ones, 1, 1500);
    maker_clear(&m);
}

struct shared {
    struct jwk *key;
    const struct maker *m;
    int failures;
};

static void *verify_many(void *arg)
{
    struct shared *s = arg;
    uint8_t sig[512];

    for (uint32_t i = 0; i < 200; i++) {
        struct jwk *mine = jwk_ref(s->key);
        size_t len = maker_sign(s->m, &i, sizeof(i), sig);
        s->failures += jwk_verify(mine, &i, sizeof(i), sig, len).code != ERR_OK;
        sig[3] ^= 4;
        s->failures += jwk_verify(mine, &i, sizeof(i), sig, len).code != ERR_DENIED;
        jwk_free(mine);
    }
    return NULL;
}

static void one_key_in_many_threads(void **state)
{
    struct maker m = maker_new(JWK_ES256, 0);
    AUTO(jwk_freep) struct jwk *key = NULL;
    struct problem prob = {0};
    pthread_t threads[4];
    struct shared args[4];

    (void)state;
    assert_int_equal(ERR_OK, jwk_parse(m.jwk, strlen(m.jwk), 2048, &key, &prob).code);
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        args[i] = (struct shared){key, &m, 0};
        assert_int_equal(0, pthread_create(&threads[i], NULL, verify_many, &args[i]));
    }
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(0, pthread_join(threads[i], NULL));
        assert_int_equal(0, args[i].failures);
    }
    maker_clear(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_keys),           cmocka_unit_test(min_rsa_bits_is_obeyed),
        cmocka_unit_test(accepts_published_keys),     cmocka_unit_test(verifies_every_algorithm),
        cmocka_unit_test(ecdsa_integers_of_any_size), cmocka_unit_test(one_key_in_many_threads),
        cmocka_unit_test(rsa_moduli_of_odd_sizes),    cmocka_unit_test(equal_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
