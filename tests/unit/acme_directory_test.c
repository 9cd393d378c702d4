/* The directory, pinned directories and profiles, settings that change while it runs. */
#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 24h}\n"
                          "profiles:\n"
                          "  - {name: devices, description: 'For printers', lifetime: 10d,\n"
                          "     usages: [client-auth], key_types: [rsa]}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static const char *const APEX[] = {"svc.test"};
#define ORDER "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"svc.test\"}]"

static void test_members(void **state)
{
    static const char *const paths[][2] = {
        {"newNonce", "new-nonce"},      {"newAccount", "new-account"}, {"newOrder", "new-order"},
        {"newAuthz", "new-authz"},      {"revokeCert", "revoke-cert"}, {"keyChange", "key-change"},
        {"renewalInfo", "renewal-info"}};
    struct fx *f = *state;
    struct reply reply = {0};
    char url[256];

    fx_get(f, HTTP_GET, "/acme/directory", &reply);
    expect_status(&reply, 200);
    for (size_t i = 0; i < ARRAY_N(paths); i++) {
        (void)snprintf(url, sizeof(url), BASE "/acme/%s", paths[i][1]);
        assert_string_equal(member(&reply, paths[i][0]), url);
    }
    const json_t *meta = json_object_get(reply.json, "meta");
    assert_true(json_is_false(json_object_get(meta, "externalAccountRequired")));
    assert_null(json_object_get(meta, "termsOfService"));
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(meta, "caaIdentities"), 0)),
        "ca.svc.test");
    const json_t *profiles = json_object_get(meta, "profiles");
    assert_int_equal(json_object_size(profiles), 4);
    assert_string_equal(json_string_value(json_object_get(profiles, "devices")), "For printers");
    assert_non_null(json_object_get(profiles, "default"));
    assert_non_null(json_object_get(profiles, "month"));
    assert_non_null(json_object_get(profiles, "short"));
    reply_clear(&reply);
}

/* Only newOrder differs: nonces, accounts and orders are one server's. */
static void test_pinned_directory(void **state)
{
    static const char *const missing[] = {
        "/acme/p/nope/directory",
        "/acme/p//directory",
        "/acme/p/",
        "/acme/p/short",
        "/acme/p/short/",
        "/acme/p/short/directory/",
        "/acme/p/short/new-order",
        "/acme/p/SHORT/directory",
        "/acme/p/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/directory"};
    struct fx *f = *state;
    struct reply usual = {0};
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(missing); i++) {
        fx_get(f, HTTP_GET, missing[i], &reply);
        expect_problem(&reply, 404, "malformed");
    }
    fx_get(f, HTTP_GET, "/acme/directory", &usual);
    fx_get(f, HTTP_GET, "/acme/p/short/directory", &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "newOrder"), BASE "/acme/p/short/new-order");
    assert_int_equal(
        json_object_set_new(reply.json, "newOrder", json_string(BASE "/acme/new-order")), 0);
    assert_true(json_equal(reply.json, usual.json));
    reply_clear(&usual);
    reply_clear(&reply);
}

static void test_pinned_orders(void **state)
{
    static const struct {
        const char *path, *payload;
        int status;
        const char *expected; /* profile, or problem type */
    } rows[] = {
        {"/acme/p/nope/new-order", ORDER "}", 404, "malformed"},
        {"/acme/p/short/new-authz", ORDER "}", 404, "malformed"},
        {"/acme/p/short/new-order/", ORDER "}", 404, "malformed"},
        {"/acme/p/short/new-order", ORDER ",\"profile\":\"month\"}", 400, "invalidProfile"},
        {"/acme/p/short/new-order", ORDER ",\"profile\":1}", 400, "malformed"},
        {"/acme/new-order", ORDER ",\"profile\":\"nope\"}", 400, "invalidProfile"},
        {"/acme/new-order", ORDER ",\"profile\":\"Short\"}", 400, "invalidProfile"},
        {"/acme/p/short/new-order", ORDER "}", 201, "short"},
        {"/acme/p/short/new-order", ORDER ",\"profile\":\"short\"}", 201, "short"},
        {"/acme/p/short/new-order", ORDER ",\"profile\":null}", 201, "short"},
        {"/acme/p/devices/new-order", ORDER "}", 201, "devices"},
        {"/acme/new-order", ORDER ",\"profile\":\"devices\"}", 201, "devices"},
        {"/acme/new-order", ORDER ",\"profile\":\"default\"}", 201, "default"},
        {"/acme/new-order", ORDER ",\"profile\":\"\"}", 201, "default"},
        {"/acme/new-order", ORDER "}", 201, "default"},
    };
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        fx_post(f, rows[i].path, rows[i].payload, &reply);
        if (reply.status != rows[i].status) {
            print_message("row %zu: %s %s\n", i, rows[i].path, rows[i].payload);
        }
        if (rows[i].status == 201) {
            expect_status(&reply, 201);
            assert_string_equal(member(&reply, "profile"), rows[i].expected);
        } else {
            expect_problem(&reply, rows[i].status, rows[i].expected);
        }
    }
    reply_clear(&reply);
}

static void prove_and_read(struct fx *f, struct reply *order)
{
    char url[512];

    expect_status(order, 201);
    (void)snprintf(url, sizeof(url), "%s", order->location);
    fx_prove(f, order, "both");
    fx_post(f, url, "", order);
    assert_string_equal(member(order, "status"), "ready");
}

/* The administrator's profile: lifetime, usages and key types are its own. A key that it does not
 * take leaves the order ready. */
static void test_own_profile(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    EVP_PKEY *wrong = EVP_EC_gen("P-256");
    char *csr = csr_payload(wrong, APEX, 1);

    fx_post(f, "/acme/p/devices/new-order", ORDER "}", &order);
    prove_and_read(f, &order);
    fx_post(f, member(&order, "finalize"), csr, &reply);
    expect_problem(&reply, 400, "badPublicKey");
    struct cert c = fx_finalize(f, &order, EVP_RSA_gen(2048), APEX, 1);
    const uint8_t *at = c.der;
    X509 *x = d2i_X509(NULL, &at, c.der_len);
    int days = 0;
    int seconds = 0;
    assert_int_equal(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(x), X509_get0_notAfter(x)),
                     1);
    assert_int_equal(days * 86400 + seconds, 10 * 86400 - 1);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_CLIENT);
    X509_free(x);
    cert_clear(&c);
    EVP_PKEY_free(wrong);
    mem_free(csr);
    reply_clear(&order);
    reply_clear(&reply);
}

/* A reload replaces what acme: says: terms, binding, limits, profiles. What was ordered under a
 * profile that is gone ends at finalize. */
static void test_reload(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    struct maker fresh = maker_new(JWK_ES256, 0);
    EVP_PKEY *key = EVP_RSA_gen(2048);
    char *csr = csr_payload(key, APEX, 1);
    struct config_acme settings = f->cfg->acme;
    char terms[] = "https://ca.svc.test/terms";

    fx_post(f, "/acme/p/devices/new-order", ORDER "}", &order);
    prove_and_read(f, &order);
    settings.terms_of_service = terms;
    settings.external_account_required = true;
    settings.limit_orders = 1;
    settings.profiles = NULL;
    settings.profiles_n = 0;
    settings.retry_after_s = 7;
    acme_reload(f->acme, &settings);
    fx_get(f, HTTP_GET, "/acme/directory", &reply);
    const json_t *meta = json_object_get(reply.json, "meta");
    assert_true(json_is_true(json_object_get(meta, "externalAccountRequired")));
    assert_string_equal(json_string_value(json_object_get(meta, "termsOfService")), terms);
    assert_int_equal(json_object_size(json_object_get(meta, "profiles")), 3);
    who_post_new(f, &fresh, "/acme/new-account", "{}", &reply);
    expect_problem(&reply, 403, "userActionRequired");
    assert_non_null(strstr(reply.terms, terms));
    who_post_new(f, &fresh, "/acme/new-account", "{\"termsOfServiceAgreed\":true}", &reply);
    expect_problem(&reply, 403, "externalAccountRequired");
    fx_post(f, "/acme/new-order", ORDER "}", &reply);
    expect_problem(&reply, 429, "rateLimited");
    fx_post(f, "/acme/p/devices/new-order", ORDER "}", &reply);
    expect_problem(&reply, 404, "malformed");
    fx_post(f, member(&order, "finalize"), csr, &reply);
    expect_problem(&reply, 400, "invalidProfile");
    fx_post(f, order.location, "", &order);
    assert_string_equal(member(&order, "status"), "invalid");
    /* And back. */
    acme_reload(f->acme, &f->cfg->acme);
    fx_post(f, "/acme/p/devices/new-order", ORDER "}", &reply);
    expect_status(&reply, 201);
    maker_clear(&fresh);
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&order);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_members, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pinned_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pinned_orders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_profile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
