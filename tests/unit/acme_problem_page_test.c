/* "instance" of problem documents: who may read what happened. */
#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 0}\n");

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

/* The URL of a reply's instance, which must be one of ours and new each time. */
static void instance_of(const json_t *problem, char out[512])
{
    const char *text = json_string_value(json_object_get(problem, "instance"));

    assert_non_null(text);
    assert_int_equal(strncmp(text, BASE "/acme/problem/", strlen(BASE "/acme/problem/")), 0);
    assert_int_equal(strlen(id_of(text)), OBJECT_ID_LEN);
    (void)snprintf(out, 512, "%s", text);
}

static bool timeline_says(const struct reply *reply, const char *what)
{
    const json_t *list = json_object_get(reply->json, "timeline");

    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strstr(json_string_value(json_object_get(json_array_get(list, i), "text")), what) !=
            NULL) {
            return true;
        }
    }
    return false;
}

/* An authorization that failed: its error's page tells its owner the order's whole story. */
static void failed(struct fx *f, struct reply *order, char url[512])
{
    struct reply authz = {0};
    struct reply reply = {0};

    fx_order(f, APEX, 1, order);
    fx_authz(f, order, 0, &authz);
    fx_post(f, challenge_member(&authz, "url"), "{}", &reply);
    clock_shift(ACME_DNS01_WAIT_S * 1000 + 1);
    (void)validator_run_due(f->acme->validator);
    clock_shift(-(ACME_DNS01_WAIT_S * 1000 + 1));
    fx_post(f, order->location, "", &reply);
    assert_string_equal(member(&reply, "status"), "invalid");
    instance_of(json_object_get(reply.json, "error"), url);
    reply_clear(&authz);
    reply_clear(&reply);
}

static void expect_page(const struct reply *reply, const char *order_id)
{
    expect_status(reply, 200);
    assert_string_equal(reply->type, "application/json");
    const json_t *order = json_object_get(reply->json, "order");
    assert_string_equal(json_string_value(json_object_get(order, "id")), order_id);
    assert_string_equal(json_string_value(json_object_get(order, "status")), "invalid");
    assert_string_equal(json_string_value(json_array_get(json_object_get(order, "identifiers"), 0)),
                        "svc.test");
    assert_non_null(json_object_get(order, "error"));
    assert_true(timeline_says(reply, "newOrder from 192.0.2.1"));
    assert_true(timeline_says(reply, "dns-01 of svc.test: invalid."));
}

static void test_a_failed_order(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    struct who other = who_new(f);
    char url[512];

    failed(f, &order, url);
    who_post(f, &other, url, "", &reply);
    expect_problem(&reply, 403, "unauthorized");
    assert_null(strstr(reply.body, "svc.test is"));
    assert_null(json_object_get(reply.json, "timeline"));
    fx_post(f, url, "{}", &reply);
    expect_problem(&reply, 400, "malformed");
    fx_get(f, HTTP_GET, path_of(url), &reply);
    expect_problem(&reply, 405, "malformed");
    fx_post(f, url, "", &reply);
    expect_page(&reply, id_of(order.location));
    fx_restart(f); /* it is stored */
    fx_post(f, url, "", &reply);
    expect_page(&reply, id_of(order.location));
    fx_change(f, "DELETE FROM acme_order", NULL); /* gone, and so is the story */
    fx_post(f, url, "", &reply);
    expect_status(&reply, 200);
    assert_null(json_object_get(reply.json, "order"));
    who_clear(&other);
    reply_clear(&order);
    reply_clear(&reply);
}

static void test_unknown(void **state)
{
    static const char *const paths[] = {"/acme/problem/AAAAAAAAAAAAAAAAAAAAAA",
                                        "/acme/problem/short", "/acme/problem/",
                                        "/acme/problem/AAAAAAAAAAAAAAAAAAAAAA/x"};
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(paths); i++) {
        fx_post(f, paths[i], "", &reply);
        expect_problem(&reply, 404, "malformed");
    }
    reply_clear(&reply);
}

/* A refusal is remembered in memory, for the account that was refused. */
static void test_a_refusal(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct who other = who_new(f);
    char url[512];
    char second[512];

    fx_post(f, "/acme/new-order", "{}", &reply);
    expect_problem(&reply, 400, "malformed");
    instance_of(reply.json, url);
    fx_post(f, "/acme/new-order", "{}", &reply);
    instance_of(reply.json, second);
    assert_string_not_equal(url, second);
    who_post(f, &other, url, "", &reply);
    expect_problem(&reply, 403, "unauthorized");
    fx_post(f, url, "", &reply);
    expect_status(&reply, 200);
    const json_t *problem = json_object_get(reply.json, "problem");
    assert_string_equal(json_string_value(json_object_get(problem, "type")), URN "malformed");
    assert_non_null(strstr(json_string_value(json_object_get(problem, "detail")), "identifiers"));
    assert_null(json_object_get(reply.json, "order"));
    /* One about an order leads to it. */
    fx_order(f, APEX, 1, &reply);
    (void)snprintf(second, sizeof(second), "%s", member(&reply, "finalize"));
    fx_post(f, second, "{\"csr\":\"AAAA\"}", &reply);
    expect_problem(&reply, 403, "orderNotReady");
    instance_of(reply.json, url);
    fx_post(f, url, "", &reply);
    expect_status(&reply, 200);
    assert_non_null(json_object_get(reply.json, "order"));
    assert_true(timeline_says(&reply, "newOrder"));
    who_clear(&other);
    reply_clear(&reply);
}

/* Whose signature does not verify is a stranger, whatever kid it claims; strangers do not push out
 * what accounts were told, and nobody reads what strangers were told. */
static void test_strangers(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct who liar = {.key = maker_new(JWK_ES256, 0)};
    char mine[512];
    char url[512];

    memcpy(liar.kid, f->kid, sizeof(liar.kid));
    fx_post(f, "/acme/new-order", "{}", &reply);
    instance_of(reply.json, mine);
    for (int i = 0; i < 1100; i++) {
        who_post(f, &liar, "/acme/new-order", "{}", &reply);
        assert_int_equal(reply.status, 400);
    }
    instance_of(reply.json, url);
    fx_post(f, url, "", &reply);
    expect_problem(&reply, 403, "unauthorized");
    fx_post(f, mine, "", &reply);
    expect_status(&reply, 200);
    who_clear(&liar);
    reply_clear(&reply);
}

/* The administrator reads everything, by the order's or the document's id. */
static void test_describe(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct buf json = BUF_INIT(65536);
    struct buf again = BUF_INIT(65536);
    char url[512];

    failed(f, &order, url);
    assert_int_equal(acme_describe(f->acme, "", &json).code, ERR_NOT_FOUND);
    assert_int_equal(acme_describe(f->acme, "x", &json).code, ERR_NOT_FOUND);
    assert_int_equal(acme_describe(f->acme, "AAAAAAAAAAAAAAAAAAAAAA", &json).code, ERR_NOT_FOUND);
    assert_int_equal(acme_describe(f->acme, "AAAAAAAAAAAAAAAAAAAAA/", &json).code, ERR_NOT_FOUND);
    assert_int_equal(json.len, 0);
    must(acme_describe(f->acme, id_of(order.location), &json));
    must(acme_describe(f->acme, id_of(url), &again));
    assert_string_equal(buf_str(&json), buf_str(&again));
    assert_non_null(strstr(buf_str(&json), "newOrder from 192.0.2.1"));
    assert_non_null(strstr(buf_str(&json), id_of(f->kid)));
    buf_reset(&json);
    must(acme_orders_describe(f->acme, 10, &json));
    assert_non_null(strstr(buf_str(&json), id_of(order.location)));
    buf_reset(&json);
    must(acme_orders_describe(f->acme, 0, &json));
    assert_string_equal(buf_str(&json), "[]");
    buf_clear(&json);
    buf_clear(&again);
    reply_clear(&order);
}

/* Nothing of a key, a token's digest or a JWS stands in the story of a whole issuance. */
static void test_no_secrets(void **state)
{
    struct fx *f = *state;
    struct buf json = BUF_INIT(65536);
    struct cert c = fx_issue(f, APEX, 1);
    struct reply authz = {0};
    struct reply list = {0};
    char path[600];

    (void)snprintf(path, sizeof(path), "%s/orders", f->kid);
    fx_post(f, path, "", &list);
    const char *url = json_string_value(json_array_get(json_object_get(list.json, "orders"), 0));
    fx_post(f, url, "", &authz);
    must(acme_describe(f->acme, id_of(url), &json));
    assert_non_null(strstr(buf_str(&json), "published by client both"));
    assert_non_null(strstr(buf_str(&json), "issued, serial"));
    assert_null(strstr(buf_str(&json), SECRET));
    assert_null(strstr(buf_str(&json), "BEGIN"));
    assert_null(strstr(buf_str(&json), "\"x\":"));
    buf_clear(&json);
    cert_clear(&c);
    reply_clear(&authz);
    reply_clear(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_failed_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_refusal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_describe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_secrets, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
