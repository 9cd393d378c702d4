#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 0, blocked_names: [secret.svc.test]}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int setup_reuse(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 1h}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

#define DNS(value) "{\"type\":\"dns\",\"value\":\"" value "\"}"
#define ONE(value) "{\"identifiers\":[" DNS(value) "]}"
#define L60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct refused_order {
    const char *payload;
    const char *type;
    size_t subs;
} REFUSED[] = {
    {"", "malformed", 0},
    {"null", "malformed", 0},
    {"{}", "malformed", 0},
    {"{\"identifiers\":[]}", "malformed", 0},
    {"{\"identifiers\":{}}", "malformed", 0},
    {"{\"identifiers\":\"a.svc.test\"}", "malformed", 0},
    {"{\"identifiers\":[1]}", "malformed", 0},
    {"{\"identifiers\":[null]}", "malformed", 0},
    {"{\"identifiers\":[\"a.svc.test\"]}", "malformed", 0},
    {"{\"identifiers\":[{}]}", "malformed", 0},
    {"{\"identifiers\":[{\"type\":\"dns\"}]}", "malformed", 0},
    {"{\"identifiers\":[{\"value\":\"a.svc.test\"}]}", "malformed", 0},
    {"{\"identifiers\":[{\"type\":1,\"value\":\"a.svc.test\"}]}", "malformed", 0},
    {"{\"identifiers\":[{\"type\":\"dns\",\"value\":1}]}", "malformed", 0},
    {"{\"identifiers\":[{\"type\":\"ip\",\"value\":\"192.0.2.1\"}]}", "rejectedIdentifier", 0},
    {"{\"identifiers\":[{\"type\":\"DNS\",\"value\":\"a.svc.test\"}]}", "unsupportedIdentifier", 0},
    {ONE(""), "malformed", 0},
    {ONE("."), "malformed", 0},
    {ONE("*"), "malformed", 0},
    {ONE("*."), "malformed", 0},
    {ONE("*.*.svc.test"), "malformed", 0},
    {ONE("a.*.svc.test"), "malformed", 0},
    {ONE("a*.svc.test"), "malformed", 0},
    {ONE("a.svc.test."), "malformed", 0},
    {ONE(".svc.test"), "malformed", 0},
    {ONE("a..svc.test"), "malformed", 0},
    {ONE("-a.svc.test"), "malformed", 0},
    {ONE("a-.svc.test"), "malformed", 0},
    {ONE("a_b.svc.test"), "malformed", 0},
    {ONE("a b.svc.test"), "malformed", 0},
    {ONE("a\\u0000.svc.test"), "malformed", 0},
    {ONE("\\u00e4.svc.test"), "malformed", 0},
    {ONE("192.0.2.1"), "malformed", 0},
    {ONE("2001:db8::1"), "malformed", 0},
    {ONE("https://a.svc.test"), "malformed", 0},
    {ONE(L60 "aaaa.svc.test"), "malformed", 0},
    {ONE(L60 "." L60 "." L60 "." L60 "." L60 ".svc.test"), "malformed", 0},
    {ONE(L60 "." L60 "." L60 "." L60 ".svc.test"), "rejectedIdentifier", 0},
    {ONE("test"), "rejectedIdentifier", 0},
    {ONE("*.test"), "rejectedIdentifier", 0},
    {ONE("svc.test.evil.test"), "rejectedIdentifier", 0},
    {ONE("xsvc.test"), "rejectedIdentifier", 0},
    {ONE("acme.svc.test"), "rejectedIdentifier", 0},
    {ONE("*.acme.svc.test"), "rejectedIdentifier", 0},
    {ONE("x.acme.svc.test"), "rejectedIdentifier", 0},
    {ONE("secret.svc.test"), "rejectedIdentifier", 0},
    {ONE("*.secret.svc.test"), "rejectedIdentifier", 0},
    {ONE("x.SECRET.svc.test"), "rejectedIdentifier", 0},
    {"{\"identifiers\":[" DNS("a.svc.test") "," DNS("a.evil.test") "]}", "rejectedIdentifier", 1},
    {"{\"identifiers\":[" DNS("b.evil.test") "," DNS("a.evil.test") "]}", "rejectedIdentifier", 2},
    {"{\"identifiers\":[" DNS("*") "," DNS("a.evil.test") "," DNS("a.svc.test") "]}", "malformed",
     2},
    {"{\"identifiers\":[" DNS("a.svc.test") "],\"profile\":\"nope\"}", "invalidProfile", 0},
    {"{\"identifiers\":[" DNS("a.svc.test") "],\"profile\":1}", "malformed", 0},
    {"{\"identifiers\":[" DNS("a.svc.test") "],\"notBefore\":\"tomorrow\"}", "malformed", 0},
    {"{\"identifiers\":[" DNS("a.svc.test") "],\"notBefore\":1}", "malformed", 0},
    {"{\"identifiers\":[" DNS("a.svc.test") "],\"notBefore\":\"2020-01-01T00:00:00Z\"}",
     "malformed", 0},
    {"{\"identifiers\":[" DNS("a.svc.test") "],\"notAfter\":\"9999-01-01T00:00:00Z\"}", "malformed",
     0},
    {"{\"identifiers\":[" DNS("a.svc.test") "],\"notAfter\":\"2020-01-01T00:00:00Z\"}", "malformed",
     0},
};

static void test_refused(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct acme_counts counts;

    for (size_t i = 0; i < ARRAY_N(REFUSED); i++) {
        fx_post(f, "/acme/new-order", REFUSED[i].payload, &reply);
        if (reply.status != 400) {
            print_message("row %zu: %s\n", i, REFUSED[i].payload);
        }
        expect_problem(&reply, 400, REFUSED[i].type);
        assert_int_equal(json_array_size(json_object_get(reply.json, "subproblems")),
                         REFUSED[i].subs);
    }
    must(acme_count(f->acme, &counts));
    assert_int_equal(counts.orders_pending, 0);
    reply_clear(&reply);
}

/* Subproblems name their identifiers. */
static void test_subproblems(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};

    fx_post(f, "/acme/new-order",
            "{\"identifiers\":[" DNS("a.svc.test") "," DNS("a.evil.test") "," DNS("*") "]}",
            &reply);
    expect_problem(&reply, 400, "malformed");
    const json_t *subs = json_object_get(reply.json, "subproblems");
    const json_t *first = json_array_get(subs, 0);
    assert_int_equal(json_array_size(subs), 2);
    assert_string_equal(json_string_value(json_object_get(first, "type")),
                        URN "rejectedIdentifier");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(first, "identifier"), "value")),
        "a.evil.test");
    reply_clear(&reply);
}

static void test_too_many(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct buf b = BUF_INIT(65536);

    for (unsigned n = ACME_IDENTIFIERS_MAX; n <= ACME_IDENTIFIERS_MAX + 1; n++) {
        buf_reset(&b);
        buf_puts(&b, "{\"identifiers\":[");
        for (unsigned i = 0; i < n; i++) {
            buf_printf(&b, "%s{\"type\":\"dns\",\"value\":\"n%u.svc.test\"}", i == 0 ? "" : ",", i);
        }
        buf_puts(&b, "]}");
        fx_post(f, "/acme/new-order", buf_str(&b), &reply);
        if (n <= ACME_IDENTIFIERS_MAX) {
            expect_status(&reply, 201);
            assert_int_equal(json_array_size(json_object_get(reply.json, "authorizations")), n);
        } else {
            expect_problem(&reply, 400, "malformed");
        }
    }
    buf_clear(&b);
    reply_clear(&reply);
}

/* The reply to newOrder equals a later read, member for member (client-contract §2.11). */
static void test_object(void **state)
{
    struct fx *f = *state;
    struct reply made = {0};
    struct reply read = {0};
    char dates[2][CLOCK_RFC3339_LEN + 1];
    char payload[512];

    clock_rfc3339(clock_unix_s() + 3600, dates[0]);
    clock_rfc3339(clock_unix_s() + 7200, dates[1]);
    (void)snprintf(payload, sizeof(payload),
                   "{\"identifiers\":[" DNS("*.Svc.Test") "," DNS("svc.test") "," DNS(
                       "SVC.test") "],\"notBefore\":\"%s\",\"notAfter\":\"%s\",\"profile\":"
                                   "\"short\",\"x\":null}",
                   dates[0], dates[1]);
    fx_post(f, "/acme/new-order", payload, &made);
    expect_status(&made, 201);
    assert_string_equal(made.type, "application/json");
    assert_string_equal(member(&made, "status"), "pending");
    assert_string_equal(member(&made, "notBefore"), dates[0]);
    assert_string_equal(member(&made, "notAfter"), dates[1]);
    assert_string_equal(member(&made, "profile"), "short");
    assert_string_not_equal(member(&made, "expires"), "");
    assert_null(json_object_get(made.json, "certificate"));
    assert_null(json_object_get(made.json, "error"));
    const json_t *names = json_object_get(made.json, "identifiers");
    assert_int_equal(json_array_size(names), 2); /* duplicates are folded, order is kept */
    assert_string_equal(json_string_value(json_object_get(json_array_get(names, 0), "value")),
                        "*.svc.test");
    assert_int_equal(json_array_size(json_object_get(made.json, "authorizations")), 2);
    fx_post(f, made.location, "", &read);
    expect_status(&read, 200);
    assert_true(json_equal(made.json, read.json));
    fx_post(f, made.location, "{}", &read);
    expect_problem(&read, 400, "malformed");
    reply_clear(&made);
    reply_clear(&read);
}

static void test_other_account(void **state)
{
    static const char *const NAME[] = {"a.svc.test"};
    struct fx *f = *state;
    struct maker other = maker_new(JWK_ES256, 0);
    const struct odd usual = {0};
    struct reply order = {0};
    struct reply authz = {0};
    struct reply reply = {0};
    char kid[256];

    fx_register(f, &other, kid);
    fx_order(f, NAME, 1, &order);
    fx_authz(f, &order, 0, &authz);
    const char *const urls[] = {
        order.location, member(&order, "finalize"),
        json_string_value(json_array_get(json_object_get(order.json, "authorizations"), 0)),
        challenge_member(&authz, "url")};
    for (size_t i = 0; i < ARRAY_N(urls); i++) {
        fx_post_odd(f, &other, kid, urls[i], i == 1 ? "{\"csr\":\"AAAA\"}" : "", &usual, &reply);
        expect_problem(&reply, 403, "unauthorized");
        assert_null(strstr(reply.body, "svc.test\"}"));
    }
    fx_post_odd(f, &other, kid, urls[3], "{}", &usual, &reply);
    expect_problem(&reply, 403, "unauthorized");
    fx_post_odd(f, &other, kid, urls[2], "{\"status\":\"deactivated\"}", &usual, &reply);
    expect_problem(&reply, 403, "unauthorized");
    maker_clear(&other);
    reply_clear(&order);
    reply_clear(&authz);
    reply_clear(&reply);
}

static void test_expiry(void **state)
{
    static const char *const NAME[] = {"a.svc.test"};
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};

    fx_order(f, NAME, 1, &order);
    clock_shift((int64_t)(ACME_ORDER_LIFETIME_S + 1) * 1000);
    fx_post(f, order.location, "", &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), "invalid");
    clock_shift(-(int64_t)(ACME_ORDER_LIFETIME_S + 1) * 1000);
    reply_clear(&order);
    reply_clear(&reply);
}

/* Valid authorizations are reused for exactly the same identifier, within the window, while the
 * publisher may have it. */
static void test_reuse(void **state)
{
    static const char *const APEX[] = {"svc.test"};
    static const char *const WILD[] = {"*.svc.test"};
    struct fx *f = *state;
    struct reply first = {0};
    struct reply again = {0};
    struct reply authz = {0};

    fx_order(f, APEX, 1, &first);
    fx_prove(f, &first, "both");
    fx_order(f, WILD, 1, &again);
    assert_string_equal(member(&again, "status"), "pending");
    fx_order(f, APEX, 1, &again);
    expect_status(&again, 201);
    assert_string_equal(member(&again, "status"), "ready");
    assert_true(json_equal(json_object_get(again.json, "authorizations"),
                           json_object_get(first.json, "authorizations")));
    fx_authz(f, &again, 0, &authz);
    assert_string_equal(member(&authz, "status"), "valid");
    clock_shift(3601 * 1000);
    fx_order(f, APEX, 1, &again);
    assert_string_equal(member(&again, "status"), "pending");
    clock_shift(-3601 * 1000);
    reply_clear(&first);
    reply_clear(&again);
    reply_clear(&authz);
}

static void test_no_reuse(void **state)
{
    static const char *const APEX[] = {"svc.test"};
    struct fx *f = *state;
    struct reply order = {0};

    fx_order(f, APEX, 1, &order);
    fx_prove(f, &order, "both");
    fx_order(f, APEX, 1, &order);
    assert_string_equal(member(&order, "status"), "pending");
    reply_clear(&order);
}

static int setup_limited(void **state)
{
    struct fx *f =
        fx_new("  - {name: free, secret: " SECRET ", names: ['*.svc.test'], limits: false}\n"
               "acme: {rate_limits: {orders: 2}}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

/* Orders are counted per account, refused ones not; loopback and clients without limits are free. */
static void test_limit(void **state)
{
    static const char *const name[] = {"a.svc.test"};
    struct fx *f = *state;
    struct reply reply = {0};
    struct who other = who_new(f);
    struct who bound = who_bound(f, "free");

    fx_post(f, "/acme/new-order", ONE("evil.test"), &reply);
    expect_problem(&reply, 400, "rejectedIdentifier");
    for (int i = 0; i < 2; i++) {
        fx_order(f, name, 1, &reply);
        expect_status(&reply, 201);
    }
    fx_order(f, name, 1, &reply);
    expect_problem(&reply, 429, "rateLimited");
    assert_non_null(strstr(reply.body, limit_name(LIMIT_ORDERS)));
    assert_in_range(strtol(reply.retry, NULL, 10), 3000, LIMITS_WINDOW_S + 60);
    f->peer = "::1";
    fx_order(f, name, 1, &reply);
    expect_status(&reply, 201);
    f->peer = NULL;
    who_swap(f, &other);
    fx_order(f, name, 1, &reply);
    expect_status(&reply, 201);
    who_swap(f, &other);
    who_swap(f, &bound);
    for (int i = 0; i < 4; i++) {
        fx_order(f, name, 1, &reply);
        expect_status(&reply, 201);
    }
    who_swap(f, &bound);
    f->cfg->acme.limit_orders = 0; /* no limit at all */
    fx_order(f, name, 1, &reply);
    expect_status(&reply, 201);
    who_clear(&other);
    who_clear(&bound);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_subproblems, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reuse, setup_reuse, teardown),
        cmocka_unit_test_setup_teardown(test_no_reuse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup_limited, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
