/* External account binding against a real table of clients. */
#include "acme-server/eab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "jws_maker.h"

#define URL "https://ca.test/acme/new-account"
#define SECRET_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SECRET_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CLIENTS                                                                                    \
    "zones: [{name: svc.test}]\n"                                                                  \
    "clients:\n"                                                                                   \
    "  - {name: Traefik, secret: " SECRET_A ", names: ['*.svc.test']}\n"                           \
    "  - {name: short, secret: " SECRET_B ", names: ['*.svc.test']}\n"

static struct {
    char dir[64];
    struct config *cfg;
    struct store *store;
    struct access *access;
    struct maker account, other;
    struct jwk *key;
    struct ip_addr peer;
    json_t *binding; /* a good one */
} f;

static void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s", err_name(e.code), err_trace()->text);
    }
}

/* --- making bindings -------------------------------------------------------------------------- */

/* What a client does: base64url texts, HMAC under the decoded secret. */
static json_t *make_binding(const char *header, const char *payload, const char *secret,
                            const char *digest)
{
    AUTO(mem_freep) char *protected_text = maker_b64(header, strlen(header));
    AUTO(mem_freep) char *payload_text = maker_b64(payload, strlen(payload));
    AUTO(buf_clear) struct buf input = BUF_INIT(64 * 1024);
    uint8_t key[CLIENT_SECRET_MAX];
    uint8_t mac[64];
    size_t key_len = sizeof(key);
    size_t mac_len = 0;

    must(base64_decode_any(secret, strlen(secret), key, &key_len));
    buf_printf(&input, "%s.%s", protected_text, payload_text);
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, key, key_len, input.data, input.len,
                              mac, sizeof(mac), &mac_len));
    AUTO(mem_freep) char *mac_text = maker_b64(mac, mac_len);
    json_t *binding = json_pack("{s:s,s:s,s:s}", "protected", protected_text, "payload",
                                payload_text, "signature", mac_text);
    assert_non_null(binding);
    return binding;
}

static json_t *bind_good(const char *alg, const char *digest, const char *kid, const char *secret)
{
    char header[512];

    (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%s\",\"url\":\"" URL "\"}",
                   alg, kid);
    return make_binding(header, f.account.jwk, secret, digest);
}

static int setup(void **state)
{
    struct buf problems = BUF_INIT(4096);
    struct problem prob = {0};
    char path[96];

    (void)state;
    log_setup(LOG_ERROR, LOG_TEXT);
    (void)snprintf(f.dir, sizeof(f.dir), "/tmp/bw-eab-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    (void)snprintf(path, sizeof(path), "%s/t.db", f.dir);
    if (config_parse("t.yaml", CLIENTS, strlen(CLIENTS), &problems, &f.cfg).code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    buf_clear(&problems);
    const struct store_options options = {.path = path, .readers_max = 2};
    must(store_open(&options, &ACCESS_STORE_MODULE, 1, &f.store));
    must(access_open(f.cfg, f.store, &f.access));
    f.account = maker_new(JWK_ES256, 0);
    f.other = maker_new(JWK_ES256, 0);
    must(jwk_parse(f.account.jwk, strlen(f.account.jwk), 2048, &f.key, &prob));
    must(ip_parse("192.0.2.1", &f.peer));
    f.binding = bind_good("HS256", "SHA256", "Traefik", SECRET_A);
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"t.db", "t.db-wal", "t.db-shm"};
    char path[96];

    (void)state;
    json_decref(f.binding);
    jwk_free(f.key);
    maker_clear(&f.account);
    maker_clear(&f.other);
    store_close(f.store);
    access_close(f.access);
    config_free(f.cfg);
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", f.dir, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(0, rmdir(f.dir));
    return 0;
}

/* Failures of one test do not count in the next. */
static int new_minute(void **state)
{
    (void)state;
    clock_shift(60000);
    return 0;
}

/* --- refusals --------------------------------------------------------------------------------- */

static void expect_refusal(const char *name, json_t *take_binding, enum problem_type type,
                           const char *says)
{
    AUTO(problem_clear) struct problem prob = {0};
    char client[CLIENT_NAME_MAX + 1] = "untouched";

    struct err e = eab_verify(f.access, take_binding, URL, f.key, &f.peer, client, &prob);
    if (e.code != ERR_REJECTED || prob.type != type || strstr(prob.detail, says) == NULL) {
        fail_msg("%s: %s, %s: %s", name, err_name(e.code), problem_urn(prob.type), prob.detail);
    }
    assert_int_equal(type == PROBLEM_UNAUTHORIZED ? 403 : 400, prob.status);
    assert_string_equal("untouched", client);
    assert_null(strstr(prob.detail, SECRET_A));
    json_decref(take_binding);
}

static void refuses_what_is_no_binding(void **state)
{
    static const struct {
        const char *name, *json, *says;
    } cases[] = {
        {"null", "null", "flattened"},
        {"text", "\"e30.e30.AAAA\"", "flattened"},
        {"array", "[{}]", "flattened"},
        {"empty", "{}", "lacks \"protected\""},
        {"no payload", "{\"protected\":\"e30\",\"signature\":\"AAAA\"}", "lacks \"payload\""},
        {"no signature", "{\"protected\":\"e30\",\"payload\":\"e30\"}", "lacks \"signature\""},
        {"payload object", "{\"protected\":\"e30\",\"payload\":{},\"signature\":\"AAAA\"}",
         "must be a string"},
        {"unprotected header",
         "{\"protected\":\"e30\",\"payload\":\"e30\",\"signature\":\"AAAA\",\"header\":{}}",
         "\"header\""},
        {"general form", "{\"payload\":\"e30\",\"signatures\":[]}", "\"signatures\""},
        {"empty MAC", "{\"protected\":\"e30\",\"payload\":\"e30\",\"signature\":\"\"}",
         "\"signature\""},
        {"padded", "{\"protected\":\"e30=\",\"payload\":\"e30\",\"signature\":\"AAAA\"}",
         "\"protected\""},
        {"header array", "{\"protected\":\"W10\",\"payload\":\"e30\",\"signature\":\"AAAA\"}",
         "JSON object"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        json_t *binding = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        assert_non_null(binding);
        expect_refusal(cases[i].name, binding, PROBLEM_MALFORMED, cases[i].says);
    }
}

static void refuses_bad_headers(void **state)
{
    static const struct {
        const char *name, *header;
        enum problem_type type;
        const char *says;
    } cases[] = {
        {"duplicate kid",
         "{\"alg\":\"HS256\",\"kid\":\"short\",\"kid\":\"Traefik\",\"url\":\"" URL "\"}",
         PROBLEM_MALFORMED, "duplicate"},
        {"duplicate alg, escaped",
         "{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\",\"kid\":\"Traefik\",\"url\":\"" URL "\"}",
         PROBLEM_MALFORMED, "duplicate"},
        {"no alg", "{\"kid\":\"Traefik\",\"url\":\"" URL "\"}", PROBLEM_MALFORMED, "\"alg\""},
        {"alg none", "{\"alg\":\"none\",\"kid\":\"Traefik\",\"url\":\"" URL "\"}",
         PROBLEM_BAD_SIGNATURE_ALGORITHM, "HS256, HS384 or HS512"},
        {"alg of a signature", "{\"alg\":\"ES256\",\"kid\":\"Traefik\",\"url\":\"" URL "\"}",
         PROBLEM_BAD_SIGNATURE_ALGORITHM, "ES256"},
        {"alg HS1", "{\"alg\":\"HS1\",\"kid\":\"Traefik\",\"url\":\"" URL "\"}",
         PROBLEM_BAD_SIGNATURE_ALGORITHM, "HS1"},
        {"no kid", "{\"alg\":\"HS256\",\"url\":\"" URL "\"}", PROBLEM_MALFORMED, "no \"kid\""},
        {"kid number", "{\"alg\":\"HS256\",\"kid\":7,\"url\":\"" URL "\"}", PROBLEM_MALFORMED,
         "\"kid\""},
        {"kid empty", "{\"alg\":\"HS256\",\"kid\":\"\",\"url\":\"" URL "\"}", PROBLEM_MALFORMED,
         "\"kid\""},
        {"jwk too", "{\"alg\":\"HS256\",\"kid\":\"Traefik\",\"jwk\":{},\"url\":\"" URL "\"}",
         PROBLEM_MALFORMED, "both"},
        {"jwk instead", "{\"alg\":\"HS256\",\"jwk\":{},\"url\":\"" URL "\"}", PROBLEM_MALFORMED,
         "no \"kid\""},
        {"nonce", "{\"alg\":\"HS256\",\"kid\":\"Traefik\",\"nonce\":\"AAAA\",\"url\":\"" URL "\"}",
         PROBLEM_MALFORMED, "\"nonce\""},
        {"nonce null", "{\"alg\":\"HS256\",\"kid\":\"Traefik\",\"nonce\":null,\"url\":\"" URL "\"}",
         PROBLEM_MALFORMED, "\"nonce\""},
        {"crit", "{\"alg\":\"HS256\",\"kid\":\"Traefik\",\"crit\":[\"url\"],\"url\":\"" URL "\"}",
         PROBLEM_MALFORMED, "\"crit\""},
        {"b64", "{\"alg\":\"HS256\",\"kid\":\"Traefik\",\"b64\":true,\"url\":\"" URL "\"}",
         PROBLEM_MALFORMED, "\"b64\""},
        {"no url", "{\"alg\":\"HS256\",\"kid\":\"Traefik\"}", PROBLEM_MALFORMED, "\"url\""},
        {"another url", "{\"alg\":\"HS256\",\"kid\":\"Traefik\",\"url\":\"" URL "/\"}",
         PROBLEM_MALFORMED, "another URL"},
        {"url of another CA",
         "{\"alg\":\"HS256\",\"kid\":\"Traefik\",\"url\":\"https://ca.example/acme/new-account\"}",
         PROBLEM_MALFORMED, "another URL"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) { /* MACs are good */
        expect_refusal(cases[i].name,
                       make_binding(cases[i].header, f.account.jwk, SECRET_A, "SHA256"),
                       cases[i].type, cases[i].says);
    }
}

/* A binding that was copied, or made for another key, binds nobody: the MAC is good. */
static void refuses_other_payloads(void **state)
{
    static const char header[] = "{\"alg\":\"HS256\",\"kid\":\"Traefik\",\"url\":\"" URL "\"}";
    char wide[2000];

    (void)state;
    expect_refusal("another key", make_binding(header, f.other.jwk, SECRET_A, "SHA256"),
                   PROBLEM_MALFORMED, "another key");
    expect_refusal("nothing", make_binding(header, "", SECRET_A, "SHA256"), PROBLEM_MALFORMED,
                   "valid JSON");
    expect_refusal("text", make_binding(header, "\"x\"", SECRET_A, "SHA256"), PROBLEM_MALFORMED,
                   "payload");
    expect_refusal("no key", make_binding(header, "{}", SECRET_A, "SHA256"), PROBLEM_BAD_PUBLIC_KEY,
                   "kty");
    (void)snprintf(wide, sizeof(wide), "{\"d\":\"AAAA\",%.1900s", f.account.jwk + 1);
    expect_refusal("private key", make_binding(header, wide, SECRET_A, "SHA256"),
                   PROBLEM_BAD_PUBLIC_KEY, "private");
    (void)snprintf(wide, sizeof(wide), "{\"kty\":\"EC\",%.1900s", f.account.jwk + 1);
    expect_refusal("duplicate", make_binding(header, wide, SECRET_A, "SHA256"), PROBLEM_MALFORMED,
                   "duplicate");
    (void)snprintf(wide, sizeof(wide), "%.1900s{}", f.account.jwk);
    expect_refusal("two values", make_binding(header, wide, SECRET_A, "SHA256"), PROBLEM_MALFORMED,
                   "valid JSON");
}

static void refuses_what_is_too_long(void **state)
{
    static char filler[EAB_JSON_MAX + 1];

    (void)state;
    memset(filler, 'A', EAB_JSON_MAX);
    json_t *binding = json_deep_copy(f.binding);
    assert_int_equal(0, json_object_set_new(binding, "payload", json_string(filler)));
    expect_refusal("payload", binding, PROBLEM_MALFORMED, "longer");
    binding = json_deep_copy(f.binding);
    filler[512 * 4 / 3 + 2] = '\0';
    assert_int_equal(0, json_object_set_new(binding, "signature", json_string(filler)));
    expect_refusal("MAC", binding, PROBLEM_MALFORMED, "\"signature\"");
}

/* Unknown client, another client's secret, MAC of another length: one sentence for all. */
static void wrong_macs_are_all_alike(void **state)
{
    struct problem first = {0};
    struct problem prob = {0};
    char client[CLIENT_NAME_MAX + 1];
    char long_name[CLIENT_NAME_MAX * 4];

    (void)state;
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    json_t *bindings[] = {
        bind_good("HS256", "SHA256", "nobody", SECRET_A),
        bind_good("HS256", "SHA256", "Traefik", SECRET_B),
        bind_good("HS256", "SHA256", "short", SECRET_A),
        bind_good("HS512", "SHA256", "Traefik", SECRET_A),
        bind_good("HS256", "SHA384", "Traefik", SECRET_A),
        bind_good("HS256", "SHA256", long_name, SECRET_A),
        bind_good("HS256", "SHA256", "open", SECRET_A),
    };
    for (size_t i = 0; i < ARRAY_N(bindings); i++) {
        assert_int_equal(ERR_REJECTED, eab_verify(f.access, bindings[i], URL, f.key, &f.peer,
                                                  client, i == 0 ? &first : &prob)
                                           .code);
        if (i > 0) {
            assert_int_equal(PROBLEM_UNAUTHORIZED, prob.type);
            assert_string_equal(first.detail, prob.detail);
        }
        json_decref(bindings[i]);
    }
}

/* Every bit of the MAC and of the covered text counts. */
static void every_change_is_noticed(void **state)
{
    static const char *const members[] = {"protected", "payload", "signature"};
    char client[CLIENT_NAME_MAX + 1];

    (void)state;
    for (size_t m = 0; m < ARRAY_N(members); m++) {
        const char *good = json_string_value(json_object_get(f.binding, members[m]));
        for (size_t i = 0; i < strlen(good); i += 3) {
            AUTO(mem_freep) char *text = mem_strdup(good);
            AUTO(json_decrefp) json_t *binding = json_deep_copy(f.binding);
            AUTO(problem_clear) struct problem prob = {0};
            text[i] = text[i] == 'A' ? 'E' : 'A';
            assert_int_equal(0, json_object_set_new(binding, members[m], json_string(text)));
            struct err e = eab_verify(f.access, binding, URL, f.key, &f.peer, client, &prob);
            assert_int_equal(ERR_REJECTED, e.code);
            clock_shift(60000);
        }
    }
}

static void too_many_failures_are_throttled(void **state)
{
    AUTO(json_decrefp) json_t *wrong = bind_good("HS256", "SHA256", "Traefik", SECRET_B);
    struct problem prob = {0};
    struct ip_addr elsewhere = {0};
    char client[CLIENT_NAME_MAX + 1] = "untouched";

    (void)state;
    must(ip_parse("192.0.2.2", &elsewhere));
    for (unsigned i = 0; i < ACCESS_FAILURES_PER_MINUTE; i++) {
        assert_int_equal(ERR_REJECTED,
                         eab_verify(f.access, wrong, URL, f.key, &f.peer, client, &prob).code);
    }
    assert_int_equal(ERR_LIMIT,
                     eab_verify(f.access, wrong, URL, f.key, &f.peer, client, &prob).code);
    assert_int_equal(ERR_LIMIT,
                     eab_verify(f.access, f.binding, URL, f.key, &f.peer, client, &prob).code);
    assert_string_equal("untouched", client);
    must(eab_verify(f.access, f.binding, URL, f.key, &elsewhere, client, &prob));
    assert_string_equal("Traefik", client);
    clock_shift(60000);
    must(eab_verify(f.access, f.binding, URL, f.key, &f.peer, client, &prob));
}

/* --- good ones -------------------------------------------------------------------------------- */

static void accepts_every_mac(void **state)
{
    static const struct {
        const char *alg, *digest, *kid, *secret, *client;
    } cases[] = {
        {"HS256", "SHA256", "Traefik", SECRET_A, "Traefik"},
        {"HS384", "SHA384", "Traefik", SECRET_A, "Traefik"},
        {"HS512", "SHA512", "Traefik", SECRET_A, "Traefik"},
        {"HS256", "SHA256", "short", SECRET_B, "short"},
        {"HS256", "SHA256", "tRAEFIK", SECRET_A, "Traefik"}, /* the stored spelling comes back */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        AUTO(json_decrefp)
        json_t *binding = bind_good(cases[i].alg, cases[i].digest, cases[i].kid, cases[i].secret);
        char client[CLIENT_NAME_MAX + 1] = "";
        struct problem prob = {0};
        must(eab_verify(f.access, binding, URL, f.key, &f.peer, client, &prob));
        assert_string_equal(cases[i].client, client);
        /* One client, several accounts; each with a binding of its own. */
        must(eab_verify(f.access, binding, URL, f.key, &f.peer, client, &prob));
    }
}

/* Header members that nobody knows are ignored (RFC 7515 §4), and so are the key's (RFC 7517 §4);
 * the order of members is free. */
static void accepts_what_says_nothing(void **state)
{
    static const char header[] =
        "{\"url\":\"" URL "\",\"typ\":\"JWT\",\"kid\":\"Traefik\",\"alg\":\"HS256\"}";
    struct problem prob = {0};
    char client[CLIENT_NAME_MAX + 1] = "";
    char payload[2000];

    (void)state;
    (void)snprintf(payload, sizeof(payload), " {\"use\":\"sig\",\"kid\":\"mine\",%.1800s\n",
                   f.account.jwk + 1);
    AUTO(json_decrefp) json_t *binding = make_binding(header, payload, SECRET_A, "SHA256");
    must(eab_verify(f.access, binding, URL, f.key, &f.peer, client, &prob));
    assert_string_equal("Traefik", client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(refuses_what_is_no_binding, new_minute),
        cmocka_unit_test_setup(refuses_bad_headers, new_minute),
        cmocka_unit_test_setup(refuses_other_payloads, new_minute),
        cmocka_unit_test_setup(refuses_what_is_too_long, new_minute),
        cmocka_unit_test_setup(wrong_macs_are_all_alike, new_minute),
        cmocka_unit_test_setup(every_change_is_noticed, new_minute),
        cmocka_unit_test_setup(too_many_failures_are_throttled, new_minute),
        cmocka_unit_test_setup(accepts_every_mac, new_minute),
        cmocka_unit_test_setup(accepts_what_says_nothing, new_minute),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
