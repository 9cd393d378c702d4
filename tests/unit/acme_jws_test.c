#include "acme-server/jws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <jansson.h>

#include "jws_maker.h"

#define URL "https://ca.test/acme/new-order"
#define KID "https://ca.test/acme/account/1"
#define NONCE "oFvnlFP1wIhRlYS2jTaXbA"

static struct maker es256;

static int setup(void **state)
{
    (void)state;
    es256 = maker_new(JWK_ES256, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    maker_clear(&es256);
    return 0;
}

static void expect_refusal(const char *name, const char *body, size_t len, enum problem_type type,
                           const char *says)
{
    struct jws jws = {0};
    struct problem prob = {0};
    struct err e = jws_parse((const uint8_t *)body, len, 2048, &jws, &prob);

    if (e.code != ERR_REJECTED || prob.type != type || strstr(prob.detail, says) == NULL) {
        fail_msg("%s: %s, %s: %s", name, err_name(e.code), problem_urn(prob.type), prob.detail);
    }
    assert_null(jws.url); /* outputs are written only on success */
    assert_null(jws.payload);
    problem_clear(&prob);
}

static const struct {
    const char *name;
    const char *body;
    const char *says;
} BAD_BODIES[] = {
    {"empty", "", "empty"},
    {"text", "hello", "not valid JSON"},
    {"array", "[]", "JSON object"},
    {"null", "null", "not valid JSON"},
    {"truncated", "{\"protected\":\"e30\",\"payload\":\"", "not valid JSON"},
    {"invalid UTF-8", "{\"protected\":\"\xff\xfe\"}", "not valid JSON"},
    {"NUL escape", "{\"protected\":\"\\u0000\"}", "not valid JSON"},
    {"two values", "{}{}", "not valid JSON"},
    {"duplicate", "{\"payload\":\"\",\"payload\":\"e30\"}", "duplicate"},
    {"nothing", "{}", "lacks \"protected\""},
    {"compact", "\"e30.e30.AAAA\"", "not valid JSON"},
    {"general form", "{\"payload\":\"\",\"signatures\":[]}", "\"signatures\""},
    {"unprotected header",
     "{\"protected\":\"e30\",\"header\":{},\"payload\":\"\",\"signature\":\"AAAA\"}", "\"header\""},
    {"crit in an unprotected header",
     "{\"protected\":\"e30\",\"header\":{\"crit\":[\"exp\"]},\"payload\":\"\",\"signature\":"
     "\"AAAA\"}",
     "\"header\""},
    {"header null",
     "{\"protected\":\"e30\",\"header\":null,\"payload\":\"\",\"signature\":\"AAAA\"}",
     "\"header\""},
    {"protected twice, escaped",
     "{\"protected\":\"e30\",\"\\u0070rotected\":\"e30\",\"payload\":\"\",\"signature\":\"AAAA\"}",
     "duplicate"},
    {"unknown member", "{\"protected\":\"e30\",\"payload\":\"\",\"signature\":\"AAAA\",\"x\":1}",
     "\"x\""},
    {"protected number", "{\"protected\":1,\"payload\":\"\",\"signature\":\"AAAA\"}",
     "must be a string"},
    {"payload missing", "{\"protected\":\"e30\",\"signature\":\"AAAA\"}", "lacks \"payload\""},
    {"payload object", "{\"protected\":\"e30\",\"payload\":{},\"signature\":\"AAAA\"}",
     "must be a string"},
    {"signature missing", "{\"protected\":\"e30\",\"payload\":\"\"}", "lacks \"signature\""},
    {"signature empty", "{\"protected\":\"e30\",\"payload\":\"\",\"signature\":\"\"}",
     "\"signature\""},
    {"signature base64", "{\"protected\":\"e30\",\"payload\":\"\",\"signature\":\"A+/A\"}",
     "\"signature\""},
    {"protected padded", "{\"protected\":\"e30=\",\"payload\":\"\",\"signature\":\"AAAA\"}",
     "\"protected\""},
    {"protected empty", "{\"protected\":\"\",\"payload\":\"\",\"signature\":\"AAAA\"}",
     "protected header"},
    {"protected array", "{\"protected\":\"W10\",\"payload\":\"\",\"signature\":\"AAAA\"}",
     "JSON object"},
};

static void refuses_bad_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD_BODIES); i++) {
        expect_refusal(BAD_BODIES[i].name, BAD_BODIES[i].body, strlen(BAD_BODIES[i].body),
                       PROBLEM_MALFORMED, BAD_BODIES[i].says);
    }
}

#define REST ",\"url\":\"" URL "\",\"nonce\":\"" NONCE "\",\"kid\":\"" KID "\"}"

static const struct {
    const char *name;
    const char *header;
    enum problem_type type;
    const char *says;
} BAD_HEADERS[] = {
    {"not JSON", "{", PROBLEM_MALFORMED, "protected header is not valid JSON"},
    {"duplicate alg", "{\"alg\":\"ES256\",\"alg\":\"ES256\"" REST, PROBLEM_MALFORMED, "duplicate"},
    {"deep", "{\"alg\":\"ES256\",\"a\":[[[[[[[[]]]]]]]]" REST, PROBLEM_MALFORMED, "deeper"},
    {"no alg", "{\"x\":1" REST, PROBLEM_MALFORMED, "\"alg\""},
    {"alg number", "{\"alg\":256" REST, PROBLEM_MALFORMED, "\"alg\""},
    {"alg none", "{\"alg\":\"none\"" REST, PROBLEM_BAD_SIGNATURE_ALGORITHM, "ES256"},
    {"alg MAC", "{\"alg\":\"HS256\"" REST, PROBLEM_BAD_SIGNATURE_ALGORITHM, "EdDSA"},
    {"alg PSS", "{\"alg\":\"PS256\"" REST, PROBLEM_BAD_SIGNATURE_ALGORITHM, "RS256"},
    {"alg case", "{\"alg\":\"es256\"" REST, PROBLEM_BAD_SIGNATURE_ALGORITHM, "es256"},
    {"crit", "{\"alg\":\"ES256\",\"crit\":[\"exp\"]" REST, PROBLEM_MALFORMED, "\"crit\""},
    {"b64", "{\"alg\":\"ES256\",\"b64\":false" REST, PROBLEM_MALFORMED, "\"b64\""},
    {"crit empty", "{\"alg\":\"ES256\",\"crit\":[]" REST, PROBLEM_MALFORMED, "\"crit\""},
    {"crit null", "{\"alg\":\"ES256\",\"crit\":null" REST, PROBLEM_MALFORMED, "\"crit\""},
    {"crit understood", "{\"alg\":\"ES256\",\"crit\":[\"url\",\"nonce\"]" REST, PROBLEM_MALFORMED,
     "\"crit\""},
    {"b64 true", "{\"alg\":\"ES256\",\"b64\":true" REST, PROBLEM_MALFORMED, "\"b64\""},
    {"duplicate alg, escaped", "{\"alg\":\"ES256\",\"\\u0061lg\":\"none\"" REST, PROBLEM_MALFORMED,
     "duplicate"},
    {"duplicate url", "{\"alg\":\"ES256\",\"url\":\"" URL "\"" REST, PROBLEM_MALFORMED,
     "duplicate"},
    {"duplicate nonce", "{\"alg\":\"ES256\",\"nonce\":\"" NONCE "\"" REST, PROBLEM_MALFORMED,
     "duplicate"},
    {"duplicate kid", "{\"alg\":\"ES256\",\"kid\":\"" KID "\"" REST, PROBLEM_MALFORMED,
     "duplicate"},
    {"duplicate in what is ignored", "{\"alg\":\"ES256\",\"x\":{\"a\":1,\"a\":1}" REST,
     PROBLEM_MALFORMED, "duplicate"},
    {"no url", "{\"alg\":\"ES256\",\"nonce\":\"" NONCE "\",\"kid\":\"" KID "\"}", PROBLEM_MALFORMED,
     "\"url\""},
    {"empty url", "{\"alg\":\"ES256\",\"url\":\"\",\"nonce\":\"" NONCE "\",\"kid\":\"" KID "\"}",
     PROBLEM_MALFORMED, "\"url\""},
    {"url with a line end",
     "{\"alg\":\"ES256\",\"url\":\"a\\nb\",\"nonce\":\"" NONCE "\",\"kid\":\"" KID "\"}",
     PROBLEM_MALFORMED, "\"url\""},
    {"no nonce", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"kid\":\"" KID "\"}", PROBLEM_BAD_NONCE,
     "Replay-Nonce"},
    {"nonce not base64url",
     "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"a+b\",\"kid\":\"" KID "\"}",
     PROBLEM_MALFORMED, "\"nonce\""},
    {"nonce empty", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"\",\"kid\":\"" KID "\"}",
     PROBLEM_MALFORMED, "\"nonce\""},
    {"nonce number", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":5,\"kid\":\"" KID "\"}",
     PROBLEM_MALFORMED, "\"nonce\""},
    {"neither key", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"" NONCE "\"}",
     PROBLEM_MALFORMED, "neither"},
    {"both keys", "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\"}" REST, PROBLEM_MALFORMED, "both"},
    {"kid number", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"" NONCE "\",\"kid\":1}",
     PROBLEM_MALFORMED, "\"kid\""},
    {"jwk text", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"" NONCE "\",\"jwk\":\"x\"}",
     PROBLEM_MALFORMED, "jwk"},
    {"jwk null", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"" NONCE "\",\"jwk\":null}",
     PROBLEM_MALFORMED, "jwk"},
    {"jwk with a duplicate",
     "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"" NONCE
     "\",\"jwk\":{\"kty\":\"EC\",\"kty\":\"oct\"}}",
     PROBLEM_MALFORMED, "duplicate"},
    {"kid null", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"" NONCE "\",\"kid\":null}",
     PROBLEM_MALFORMED, "\"kid\""},
    {"kid empty", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"" NONCE "\",\"kid\":\"\"}",
     PROBLEM_MALFORMED, "\"kid\""},
    {"jwk bad", "{\"alg\":\"ES256\",\"url\":\"" URL "\",\"nonce\":\"" NONCE "\",\"jwk\":{}}",
     PROBLEM_BAD_PUBLIC_KEY, "\"kty\""},
};

static void refuses_bad_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD_HEADERS); i++) {
        char *body = maker_jws(&es256, BAD_HEADERS[i].header, "{}");
        expect_refusal(BAD_HEADERS[i].name, body, strlen(body), BAD_HEADERS[i].type,
                       BAD_HEADERS[i].says);
        mem_free(body);
    }
}

static void refuses_what_is_too_long(void **state)
{
    struct buf b = BUF_INIT(1024 * 1024);
    char filler[JWS_URL_MAX + 2];

    (void)state;
    memset(filler, 'a', sizeof(filler) - 1);
    filler[sizeof(filler) - 1] = '\0';
    buf_printf(&b, "{\"alg\":\"ES256\",\"url\":\"%s\",\"nonce\":\"" NONCE "\",\"kid\":\"k\"}",
               filler);
    char *body = maker_jws(&es256, buf_str(&b), "");
    expect_refusal("url", body, strlen(body), PROBLEM_MALFORMED, "\"url\"");
    mem_free(body);

    buf_reset(&b);
    buf_printf(&b, "{\"alg\":\"ES256\",\"url\":\"u\",\"nonce\":\"%s\",\"kid\":\"k\"}",
               filler + sizeof(filler) - 2 - JWS_NONCE_MAX);
    body = maker_jws(&es256, buf_str(&b), "");
    expect_refusal("nonce", body, strlen(body), PROBLEM_BAD_NONCE, "not from this server");
    mem_free(body);

    buf_reset(&b);
    while (b.len <= JWS_BODY_MAX) {
        buf_putc(&b, ' ');
    }
    expect_refusal("body", buf_str(&b), b.len, PROBLEM_MALFORMED, "longer");
    buf_clear(&b);
}

static char *header_with_jwk(const struct maker *m)
{
    struct buf b = BUF_INIT(4096);

    buf_printf(&b, "{\"alg\":\"%s\",\"jwk\":%s,\"nonce\":\"" NONCE "\",\"url\":\"" URL "\"}",
               jwk_alg_name(m->alg), m->jwk);
    return buf_take(&b);
}

static void accepts_every_algorithm(void **state)
{
    static const struct {
        enum jwk_alg alg;
        unsigned bits;
    } kinds[] = {{JWK_ES256, 0},    {JWK_ES384, 0},    {JWK_ES512, 0},
                 {JWK_RS256, 2048}, {JWK_RS256, 4096}, {JWK_EDDSA, 0}};
    static const char payload[] = "{\"termsOfServiceAgreed\":true}";

    (void)state;
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        struct maker m = maker_new(kinds[i].alg, kinds[i].bits);
        AUTO(mem_freep) char *header = header_with_jwk(&m);
        AUTO(mem_freep) char *body = maker_jws(&m, header, payload);
        AUTO(jws_clear) struct jws jws = {0};
        struct problem prob = {0};
        assert_int_equal(ERR_OK, jws_parse((uint8_t *)body, strlen(body), 2048, &jws, &prob).code);
        assert_int_equal(m.alg, jws.alg);
        assert_string_equal(URL, jws.url);
        assert_string_equal(NONCE, jws.nonce);
        assert_null(jws.kid);
        assert_false(jws.is_post_as_get);
        assert_int_equal(strlen(payload), jws.payload_len);
        assert_string_equal(payload, jws.payload);
        assert_int_equal(ERR_OK, jws_verify(&jws, jws.jwk, &prob).code);

        jws.signing_input[jws.signing_input_len - 1] ^= 1;
        assert_int_equal(ERR_REJECTED, jws_verify(&jws, jws.jwk, &prob).code);
        assert_int_equal(PROBLEM_MALFORMED, prob.type);
        assert_int_equal(400, prob.status);
        assert_non_null(strstr(prob.detail, "signature"));
        maker_clear(&m);
    }
}

static void an_account_key_by_kid(void **state)
{
    static const char header[] = "{\"alg\":\"ES256\",\"typ\":\"JWS\",\"kid\":\"" KID
                                 "\",\"nonce\":\"" NONCE "\",\"url\":\"" URL "\"}";
    AUTO(mem_freep) char *body = maker_jws(&es256, header, "");
    AUTO(jws_clear) struct jws jws = {0};
    AUTO(jwk_freep) struct jwk *key = NULL;
    struct problem prob = {0};

    (void)state;
    assert_int_equal(ERR_OK, jwk_parse(es256.jwk, strlen(es256.jwk), 2048, &key, &prob).code);
    assert_int_equal(ERR_OK, jws_parse((uint8_t *)body, strlen(body), 2048, &jws, &prob).code);
    assert_true(jws.is_post_as_get);
    assert_int_equal(0, jws.payload_len);
    assert_string_equal("", jws.payload);
    assert_string_equal(KID, jws.kid);
    assert_null(jws.jwk);
    assert_int_equal(ERR_OK, jws_verify(&jws, key, &prob).code);

    struct maker other = maker_new(JWK_ES256, 0);
    struct maker wide = maker_new(JWK_ES384, 0);
    AUTO(jwk_freep) struct jwk *other_key = NULL;
    AUTO(jwk_freep) struct jwk *wide_key = NULL;
    assert_int_equal(ERR_OK, jwk_parse(other.jwk, strlen(other.jwk), 0, &other_key, &prob).code);
    assert_int_equal(ERR_OK, jwk_parse(wide.jwk, strlen(wide.jwk), 0, &wide_key, &prob).code);
    assert_int_equal(ERR_REJECTED, jws_verify(&jws, other_key, &prob).code);
    assert_int_equal(PROBLEM_MALFORMED, prob.type);
    assert_int_equal(ERR_REJECTED, jws_verify(&jws, wide_key, &prob).code);
    assert_int_equal(PROBLEM_BAD_SIGNATURE_ALGORITHM, prob.type);
    maker_clear(&other);
    maker_clear(&wide);
}

/* The inner JWS of keyChange has no nonce and always its key; a request has a nonce. Neither passes
 * for the other. */
static void an_inner_jws_is_no_request(void **state)
{
    struct buf b = BUF_INIT(4096);
    struct problem prob = {0};
    struct jws none = {0};

    (void)state;
    buf_printf(&b, "{\"alg\":\"ES256\",\"jwk\":%s,\"url\":\"" URL "\"}", es256.jwk);
    AUTO(mem_freep) char *inner = maker_jws(&es256, buf_str(&b), "{}");
    AUTO(mem_freep) char *header = header_with_jwk(&es256);
    AUTO(mem_freep) char *request = maker_jws(&es256, header, "{}");
    buf_clear(&b);
    expect_refusal("inner", inner, strlen(inner), PROBLEM_BAD_NONCE, "\"nonce\"");
    assert_int_equal(ERR_REJECTED,
                     jws_parse_inner((uint8_t *)request, strlen(request), 2048, &none, &prob).code);
    assert_int_equal(PROBLEM_MALFORMED, prob.type);
    assert_non_null(strstr(prob.detail, "\"nonce\""));
    assert_null(none.url);
    assert_int_equal(ERR_REJECTED,
                     jws_parse_inner((const uint8_t *)"", 0, 2048, &none, &prob).code);
    assert_non_null(strstr(prob.detail, "signed by the new key"));

    AUTO(jws_clear) struct jws jws = {0};
    assert_int_equal(ERR_OK,
                     jws_parse_inner((uint8_t *)inner, strlen(inner), 2048, &jws, &prob).code);
    assert_string_equal("", jws.nonce);
    assert_string_equal(URL, jws.url);
    assert_null(jws.kid);
    assert_int_equal(0, jws.mac_bits);
    assert_int_equal(ERR_OK, jws_verify(&jws, jws.jwk, &prob).code);
}

/* A key as big as the body allows costs nobody the work of a signature. */
static void oversized_keys_are_refused(void **state)
{
    static const struct {
        const char *name, *start, *end;
    } cases[] = {
        {"RSA modulus", "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"", "\"}"},
        {"RSA exponent", "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"", "\"}"},
        {"EC coordinate", "{\"kty\":\"EC\",\"crv\":\"P-521\",\"y\":\"AA\",\"x\":\"", "\"}"},
        {"curve", "{\"kty\":\"EC\",\"x\":\"AA\",\"y\":\"AA\",\"crv\":\"", "\"}"},
        {"key type", "{\"kty\":\"", "\"}"},
        {"Ed25519", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"", "\"}"},
    };
    struct buf b = BUF_INIT(JWS_BODY_MAX);

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        buf_reset(&b);
        buf_puts(&b, "{\"alg\":\"RS256\",\"nonce\":\"" NONCE "\",\"url\":\"" URL "\",\"jwk\":");
        buf_puts(&b, cases[i].start);
        while (b.len < 64u * 1024u) {
            buf_puts(&b, "BBBB");
        }
        buf_puts(&b, cases[i].end);
        buf_putc(&b, '}');
        AUTO(mem_freep) char *body = maker_jws(&es256, buf_str(&b), "");
        expect_refusal(cases[i].name, body, strlen(body), PROBLEM_BAD_PUBLIC_KEY, "");
    }
    buf_clear(&b);
}

/* A JWS cut anywhere is refused, and nothing is read behind its end (AddressSanitizer watches the
 * exact copies). */
static void every_truncation_is_refused(void **state)
{
    AUTO(mem_freep) char *header = header_with_jwk(&es256);
    AUTO(mem_freep) char *body = maker_jws(&es256, header, "{}");

    (void)state;
    for (size_t len = 0; len < strlen(body); len++) {
        uint8_t *cut = mem_dup(body, len);
        struct jws jws = {0};
        struct problem prob = {0};
        assert_int_equal(ERR_REJECTED, jws_parse(cut, len, 2048, &jws, &prob).code);
        assert_int_equal(PROBLEM_MALFORMED, prob.type);
        mem_free(cut);
    }
}

static void payload_objects(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {
        {"", false},
        {"[]", false},
        {"\"x\"", false},
        {"{\"a\":1,\"a\":2}", false},
        {"{\"a\":{\"b\":1,\"b\":2}}", false},
        {"{\"a\":[[[[[[[[]]]]]]]]}", false},
        {"{\"a\":1}}", false},
        {"{\"a\":\"]]]]]]]]]]]]\\\"{{{{{{{{{{{{\"}", true},
        {"{\"a\":[[[[[[[]]]]]]]}", true},
        {"{}", true},
        {" {\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"}]}\r\n", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        void *object = NULL;
        struct problem prob = {0};
        struct err e = json_object_parse(cases[i].text, strlen(cases[i].text), &object, &prob);
        if (e.code != (cases[i].is_good ? ERR_OK : ERR_REJECTED)) {
            fail_msg("%s: %s %s", cases[i].text, err_name(e.code), prob.detail);
        }
        assert_int_equal(cases[i].is_good, object != NULL);
        if (!cases[i].is_good) {
            assert_int_equal(PROBLEM_MALFORMED, prob.type);
        }
        json_decref(object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_bodies),
        cmocka_unit_test(refuses_bad_headers),
        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(payload_objects),
        cmocka_unit_test(accepts_every_algorithm),
        cmocka_unit_test(an_account_key_by_kid),
        cmocka_unit_test(an_inner_jws_is_no_request),
        cmocka_unit_test(oversized_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
