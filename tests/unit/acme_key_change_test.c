/* Account key rollover: what stands inside the request (RFC 8555 §7.3.5). */
#include "acme-server/eab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "jws_maker.h"

#define URL "https://ca.test/acme/key-change"
#define ACCOUNT "https://ca.test/acme/account/1"

static struct {
    struct maker old, fresh, other;
    struct jwk *old_key;
    struct key_change expected;
} f;

static int setup(void **state)
{
    struct problem prob = {0};

    (void)state;
    f.old = maker_new(JWK_ES256, 0);
    f.fresh = maker_new(JWK_ES256, 0);
    f.other = maker_new(JWK_ES256, 0);
    assert_int_equal(ERR_OK, jwk_parse(f.old.jwk, strlen(f.old.jwk), 2048, &f.old_key, &prob).code);
    f.expected = (struct key_change){URL, ACCOUNT, f.old_key, 2048};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    jwk_free(f.old_key);
    maker_clear(&f.old);
    maker_clear(&f.fresh);
    maker_clear(&f.other);
    return 0;
}

/* Texts with {N}, {O}, {X} for the new, the old and a third key. */
static char *fill(const char *template)
{
    struct buf b = BUF_INIT(64 * 1024);

    for (const char *p = template; *p != '\0'; p++) {
        if (p[0] == '{' && p[1] != '\0' && p[2] == '}') {
            buf_puts(&b, p[1] == 'N' ? f.fresh.jwk : p[1] == 'O' ? f.old.jwk : f.other.jwk);
            p += 2;
        } else {
            buf_putc(&b, *p);
        }
    }
    assert_int_equal(ERR_OK, buf_check(&b).code);
    return buf_take(&b);
}

static char *inner(const struct maker *signer, const char *header, const char *payload)
{
    AUTO(mem_freep) char *header_text = fill(header);
    AUTO(mem_freep) char *payload_text = fill(payload);

    return maker_jws(signer, header_text, payload_text);
}

static void expect_refusal(const char *name, const char *body, enum problem_type type,
                           const char *says)
{
    AUTO(problem_clear) struct problem prob = {0};
    struct jwk *key = NULL;

    struct err e = key_change_verify(body, strlen(body), &f.expected, &key, &prob);
    if (e.code != ERR_REJECTED || prob.type != type || strstr(prob.detail, says) == NULL) {
        fail_msg("%s: %s, %s: %s", name, err_name(e.code), problem_urn(prob.type), prob.detail);
    }
    assert_null(key);
}

#define HEADER "{\"alg\":\"ES256\",\"jwk\":{N},\"url\":\"" URL "\"}"
#define PAYLOAD "{\"account\":\"" ACCOUNT "\",\"oldKey\":{O}}"

static void refuses_what_is_no_jws(void **state)
{
    static const struct {
        const char *name, *body, *says;
    } cases[] = {
        {"empty", "", "empty"},
        {"text", "hello", "not valid JSON"},
        {"object", "{}", "inner JWS lacks \"protected\""},
        {"old draft", "{\"account\":\"" ACCOUNT "\",\"newKey\":{}}", "\"account\""},
        {"general form", "{\"payload\":\"\",\"signatures\":[]}", "\"signatures\""},
        {"unprotected header",
         "{\"protected\":\"e30\",\"header\":{\"alg\":\"ES256\"},\"payload\":\"\","
         "\"signature\":\"AAAA\"}",
         "\"header\""},
        {"duplicate", "{\"protected\":\"e30\",\"protected\":\"e30\"}", "duplicate"},
        {"no signature", "{\"protected\":\"e30\",\"payload\":\"\"}", "lacks \"signature\""},
        {"empty signature", "{\"protected\":\"e30\",\"payload\":\"\",\"signature\":\"\"}",
         "\"signature\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        expect_refusal(cases[i].name, cases[i].body, PROBLEM_MALFORMED, cases[i].says);
    }
}

/* All signed well by the new key, so that only what the name says is wrong. */
static const struct {
    const char *name, *header, *payload;
    enum problem_type type;
    const char *says;
} BAD[] = {
    {"nonce", "{\"alg\":\"ES256\",\"jwk\":{N},\"nonce\":\"AAAA\",\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_MALFORMED, "\"nonce\""},
    {"kid too", "{\"alg\":\"ES256\",\"jwk\":{N},\"kid\":\"" ACCOUNT "\",\"url\":\"" URL "\"}",
     PAYLOAD, PROBLEM_MALFORMED, "both"},
    {"kid instead", "{\"alg\":\"ES256\",\"kid\":\"" ACCOUNT "\",\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_MALFORMED, "no \"jwk\""},
    {"no key", "{\"alg\":\"ES256\",\"url\":\"" URL "\"}", PAYLOAD, PROBLEM_MALFORMED, "no \"jwk\""},
    {"jwk bad", "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\"},\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_BAD_PUBLIC_KEY, "\"crv\""},
    {"crit", "{\"alg\":\"ES256\",\"crit\":[\"url\"],\"jwk\":{N},\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_MALFORMED, "\"crit\""},
    {"b64", "{\"alg\":\"ES256\",\"b64\":false,\"jwk\":{N},\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_MALFORMED, "\"b64\""},
    {"alg none", "{\"alg\":\"none\",\"jwk\":{N},\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_BAD_SIGNATURE_ALGORITHM, "ES256"},
    {"alg MAC", "{\"alg\":\"HS256\",\"jwk\":{N},\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_BAD_SIGNATURE_ALGORITHM, "HS256"},
    {"alg of another key", "{\"alg\":\"ES384\",\"jwk\":{N},\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_BAD_SIGNATURE_ALGORITHM, "ES256"},
    {"signed by another", "{\"alg\":\"ES256\",\"jwk\":{X},\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_MALFORMED, "not signed by"},
    {"signed for the old key", "{\"alg\":\"ES256\",\"jwk\":{O},\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_MALFORMED, "not signed by"},
    {"duplicate in the key",
     "{\"alg\":\"ES256\",\"jwk\":{\"kty\":\"EC\",\"kty\":\"EC\"},\"url\":\"" URL "\"}", PAYLOAD,
     PROBLEM_MALFORMED, "duplicate"},
    {"no url", "{\"alg\":\"ES256\",\"jwk\":{N}}", PAYLOAD, PROBLEM_MALFORMED, "\"url\""},
    {"another url", "{\"alg\":\"ES256\",\"jwk\":{N},\"url\":\"https://ca.test/acme/new-order\"}",
     PAYLOAD, PROBLEM_MALFORMED, "another URL"},
    {"payload empty", HEADER, "", PROBLEM_MALFORMED, "payload is not valid JSON"},
    {"payload array", HEADER, "[]", PROBLEM_MALFORMED, "JSON object"},
    {"no account", HEADER, "{\"oldKey\":{O}}", PROBLEM_MALFORMED, "\"account\""},
    {"account number", HEADER, "{\"account\":1,\"oldKey\":{O}}", PROBLEM_MALFORMED, "\"account\""},
    {"account twice", HEADER,
     "{\"account\":\"" ACCOUNT "\",\"account\":\"" ACCOUNT "\",\"oldKey\":{O}}", PROBLEM_MALFORMED,
     "duplicate"},
    {"another account", HEADER, "{\"account\":\"https://ca.test/acme/account/2\",\"oldKey\":{O}}",
     PROBLEM_MALFORMED, "not the account"},
    {"account in other letters", HEADER,
     "{\"account\":\"https://CA.test/acme/account/1\",\"oldKey\":{O}}", PROBLEM_MALFORMED,
     "not the account"},
    {"account with more", HEADER, "{\"account\":\"" ACCOUNT "/\",\"oldKey\":{O}}",
     PROBLEM_MALFORMED, "not the account"},
    {"no old key", HEADER, "{\"account\":\"" ACCOUNT "\"}", PROBLEM_MALFORMED, "\"oldKey\""},
    {"old key a thumbprint", HEADER, "{\"account\":\"" ACCOUNT "\",\"oldKey\":\"AAAA\"}",
     PROBLEM_MALFORMED, "\"oldKey\""},
    {"old key bad", HEADER, "{\"account\":\"" ACCOUNT "\",\"oldKey\":{\"kty\":\"oct\"}}",
     PROBLEM_BAD_PUBLIC_KEY, "symmetric"},
    {"old key the new one", HEADER, "{\"account\":\"" ACCOUNT "\",\"oldKey\":{N}}",
     PROBLEM_MALFORMED, "\"oldKey\""},
    {"old key a third one", HEADER, "{\"account\":\"" ACCOUNT "\",\"oldKey\":{X}}",
     PROBLEM_MALFORMED, "\"oldKey\""},
};

static void refuses_bad_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        AUTO(mem_freep) char *body = inner(&f.fresh, BAD[i].header, BAD[i].payload);
        expect_refusal(BAD[i].name, body, BAD[i].type, BAD[i].says);
    }
}

/* 409, as for every key that has an account. */
static void the_new_key_is_new(void **state)
{
    AUTO(mem_freep)
    char *body = inner(&f.old, "{\"alg\":\"ES256\",\"jwk\":{O},\"url\":\"" URL "\"}", PAYLOAD);
    struct problem prob = {0};
    struct jwk *key = NULL;

    (void)state;
    assert_int_equal(ERR_REJECTED,
                     key_change_verify(body, strlen(body), &f.expected, &key, &prob).code);
    assert_int_equal(409, prob.status);
    assert_non_null(strstr(prob.detail, "make a new one"));
    assert_null(key);
}

static void every_truncation_is_refused(void **state)
{
    AUTO(mem_freep) char *body = inner(&f.fresh, HEADER, PAYLOAD);

    (void)state;
    for (size_t len = 0; len < strlen(body); len += 3) {
        uint8_t *cut = mem_dup(body, len);
        struct problem prob = {0};
        struct jwk *key = NULL;
        assert_int_equal(ERR_REJECTED, key_change_verify(cut, len, &f.expected, &key, &prob).code);
        mem_free(cut);
    }
}

static void accepts_every_kind_of_key(void **state)
{
    static const struct {
        enum jwk_alg alg;
        unsigned bits;
    } kinds[] = {{JWK_ES256, 0}, {JWK_ES384, 0}, {JWK_ES512, 0}, {JWK_RS256, 2048}, {JWK_EDDSA, 0}};
    char header[2000];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        struct maker m = maker_new(kinds[i].alg, kinds[i].bits);
        AUTO(jwk_freep) struct jwk *key = NULL;
        struct problem prob = {0};
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"jwk\":%s,\"url\":\"" URL "\"}",
                       jwk_alg_name(m.alg), m.jwk);
        AUTO(mem_freep)
        char *payload = fill("{\"oldKey\":{O},\"more\":1,\"account\":\"" ACCOUNT "\"}");
        AUTO(mem_freep) char *body = maker_jws(&m, header, payload);
        assert_int_equal(ERR_OK,
                         key_change_verify(body, strlen(body), &f.expected, &key, &prob).code);
        assert_string_equal(m.jwk, jwk_json(key));
        assert_false(jwk_equal(key, f.old_key));
        maker_clear(&m);
    }
}

/* min_rsa_bits is for the new key; the account may be older than the setting. */
static void a_weak_old_key_may_go(void **state)
{
    struct maker weak = maker_new(JWK_RS256, 2048);
    AUTO(jwk_freep) struct jwk *weak_key = NULL;
    AUTO(jwk_freep) struct jwk *key = NULL;
    struct problem prob = {0};
    char payload[2000];
    char header[2000];

    (void)state;
    assert_int_equal(ERR_OK, jwk_parse(weak.jwk, strlen(weak.jwk), 2048, &weak_key, &prob).code);
    (void)snprintf(payload, sizeof(payload), "{\"account\":\"" ACCOUNT "\",\"oldKey\":%s}",
                   weak.jwk);
    AUTO(mem_freep) char *body = inner(&f.fresh, HEADER, payload);
    const struct key_change from_weak = {URL, ACCOUNT, weak_key, 3072};
    assert_int_equal(ERR_OK, key_change_verify(body, strlen(body), &from_weak, &key, &prob).code);

    (void)snprintf(header, sizeof(header), "{\"alg\":\"RS256\",\"jwk\":%s,\"url\":\"" URL "\"}",
                   weak.jwk);
    AUTO(mem_freep) char *to_weak = inner(&weak, header, PAYLOAD);
    const struct key_change from_good = {URL, ACCOUNT, f.old_key, 3072};
    struct jwk *none = NULL;
    assert_int_equal(ERR_REJECTED,
                     key_change_verify(to_weak, strlen(to_weak), &from_good, &none, &prob).code);
    assert_int_equal(PROBLEM_BAD_PUBLIC_KEY, prob.type);
    assert_null(none);
    maker_clear(&weak);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_no_jws),    cmocka_unit_test(refuses_bad_changes),
        cmocka_unit_test(the_new_key_is_new),        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(accepts_every_kind_of_key), cmocka_unit_test(a_weak_old_key_may_go),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
