/* newAuthz (RFC 8555 §7.4.1): authorizations before any order. */
#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 0, blocked_names: [secret.svc.test],\n"
                          "       rate_limits: {orders: 4}}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

#define DNS(value) "{\"identifier\":{\"type\":\"dns\",\"value\":\"" value "\"}}"

static const char *const APEX[] = {"svc.test"};

static void test_refused(void **state)
{
    static const struct {
        const char *payload, *type;
        int status;
    } rows[] = {
        {"", "malformed", 400},
        {"[]", "malformed", 400},
        {"{}", "malformed", 400},
        {"{\"identifier\":null}", "malformed", 400},
        {"{\"identifier\":[]}", "malformed", 400},
        {"{\"identifier\":\"svc.test\"}", "malformed", 400},
        {"{\"identifier\":{\"type\":\"dns\"}}", "malformed", 400},
        {"{\"identifier\":{\"type\":\"dns\",\"value\":1}}", "malformed", 400},
        {"{\"identifier\":{\"type\":\"mail\",\"value\":\"svc.test\"}}", "unsupportedIdentifier",
         403},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"svc.test\"}]}", "malformed", 400},
        {DNS("*.svc.test"), "malformed", 400},
        {DNS("svc..test"), "malformed", 400},
        {DNS("192.0.2.1"), "malformed", 400},
        {DNS("evil.test"), "rejectedIdentifier", 403},
        {DNS("x.acme.svc.test"), "rejectedIdentifier", 403},
        {DNS("secret.svc.test"), "rejectedIdentifier", 403},
        {"{\"identifier\":{\"type\":\"ip\",\"value\":\"192.0.2.1\"}}", "rejectedIdentifier", 403},
        {"{\"identifier\":{\"type\":\"ip\",\"value\":\"192.0.2.1/32\"}}", "malformed", 400},
    };
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        fx_post(f, "/acme/new-authz", rows[i].payload, &reply);
        if (reply.status != rows[i].status) {
            print_message("row %zu\n", i);
        }
        expect_problem(&reply, rows[i].status, rows[i].type);
    }
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_authz", NULL), 0);
    fx_get(f, HTTP_GET, "/acme/new-authz", &reply);
    expect_problem(&reply, 405, "malformed");
    reply_clear(&reply);
}

/* A later order is built on it, whatever authorization_reuse says; an order's own are not. */
static void test_a_later_order_uses_it(void **state)
{
    struct fx *f = *state;
    struct reply authz = {0};
    struct reply order = {0};
    struct reply reply = {0};
    char url[512];
    char digest[TXT_VALUE_LEN + 1];

    fx_post(f, "/acme/new-authz", DNS("SVC.test"), &authz);
    expect_status(&authz, 201);
    (void)snprintf(url, sizeof(url), "%s", authz.location);
    assert_string_equal(member(&authz, "status"), "pending");
    assert_string_not_equal(authz.retry, "");
    fx_post(f, url, "", &reply);
    expect_status(&reply, 200);
    assert_true(json_equal(reply.json, authz.json));
    fx_order(f, APEX, 1, &order); /* it is not valid yet */
    assert_string_equal(member(&order, "status"), "pending");
    digest_of(f, &authz, digest);
    fx_publish(f, "both", "svc.test", digest);
    fx_post(f, challenge_member(&authz, "url"), "{}", &reply);
    assert_string_equal(member(&reply, "status"), "valid");
    for (int i = 0; i < 2; i++) {
        fx_order(f, APEX, 1, &order);
        expect_status(&order, 201);
        assert_string_equal(member(&order, "status"), "ready");
        const json_t *list = json_object_get(order.json, "authorizations");
        assert_string_equal(json_string_value(json_array_get(list, 0)), url);
    }
    struct cert c = fx_finalize(f, &order, EVP_EC_gen("P-256"), APEX, 1);
    cert_clear(&c);
    /* The fifth of four: a newAuthz counts as an order. */
    fx_post(f, "/acme/new-authz", DNS("a.svc.test"), &reply);
    expect_problem(&reply, 429, "rateLimited");
    assert_string_not_equal(reply.retry, "");
    assert_non_null(strstr(reply.body, limit_name(LIMIT_ORDERS)));
    reply_clear(&authz);
    reply_clear(&order);
    reply_clear(&reply);
}

/* It ends as others do: by its time, by deactivation, by its publisher's end. */
static void test_it_ends(void **state)
{
    struct fx *f = *state;
    struct reply authz = {0};
    struct reply order = {0};
    struct reply reply = {0};
    char digest[TXT_VALUE_LEN + 1];

    fx_post(f, "/acme/new-authz", DNS("svc.test"), &authz);
    digest_of(f, &authz, digest);
    fx_publish(f, "both", "svc.test", digest);
    fx_post(f, challenge_member(&authz, "url"), "{}", &reply);
    clock_shift((int64_t)(ACME_AUTHZ_PENDING_S + 1) * 1000);
    fx_order(f, APEX, 1, &order);
    assert_string_equal(member(&order, "status"), "pending");
    clock_shift(-(int64_t)(ACME_AUTHZ_PENDING_S + 1) * 1000);
    fx_order(f, APEX, 1, &order);
    assert_string_equal(member(&order, "status"), "ready");
    fx_post(f, authz.location, "{\"status\":\"deactivated\"}", &reply);
    expect_status(&reply, 200);
    fx_order(f, APEX, 1, &order);
    assert_string_equal(member(&order, "status"), "pending");
    reply_clear(&authz);
    reply_clear(&order);
    reply_clear(&reply);
}

static void test_another_account(void **state)
{
    struct fx *f = *state;
    struct reply authz = {0};
    struct reply reply = {0};
    struct who other = who_new(f);

    fx_post(f, "/acme/new-authz", DNS("svc.test"), &authz);
    who_post(f, &other, authz.location, "", &reply);
    expect_problem(&reply, 403, "unauthorized");
    who_post(f, &other, challenge_member(&authz, "url"), "{}", &reply);
    expect_problem(&reply, 403, "unauthorized");
    who_clear(&other);
    reply_clear(&authz);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_later_order_uses_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_account, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
