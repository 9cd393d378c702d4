#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    *state = fx_new("acme: {orders_per_page: 2, authorization_reuse: 0}\n");
    return 0;
}

static int setup_terms(void **state)
{
    *state = fx_new("acme: {terms_of_service: 'https://ca.svc.test/terms'}\n");
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static void new_account(struct fx *f, const struct maker *key, const char *payload,
                        struct reply *out)
{
    const struct odd usual = {0};

    fx_post_odd(f, key, NULL, "/acme/new-account", payload, &usual, out);
}

static void test_refused(void **state)
{
    const struct {
        const char *payload;
        const char *type;
    } rows[] = {
        {"", "malformed"},
        {"[]", "malformed"},
        {"{\"contact\":\"mailto:a@b.test\"}", "malformed"},
        {"{\"contact\":[1]}", "malformed"},
        {"{\"contact\":[null]}", "malformed"},
        {"{\"contact\":[\"tel:+1\"]}", "unsupportedContact"},
        {"{\"contact\":[\"\"]}", "unsupportedContact"},
        {"{\"contact\":[\"a@b.test\"]}", "unsupportedContact"},
        {"{\"contact\":[\"mailto:\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:@b.test\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a@\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a@b.test,c@d.test\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a@b.test%2Cc@d.test\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a@b.test?subject=x\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a b@b.test\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a\\\"b@b.test\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a\\u0000@b.test\"]}", "malformed"},
        {"{\"contact\":[\"mailto:a@b.test\",\"mailto:a@-b.test\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a@b..test\"]}", "invalidContact"},
        {"{\"contact\":[\"mailto:a@b.t\",\"mailto:a@b.t\",\"mailto:a@b.t\",\"mailto:a@b.t\","
         "\"mailto:a@b.t\",\"mailto:a@b.t\",\"mailto:a@b.t\",\"mailto:a@b.t\",\"mailto:a@b.t\","
         "\"mailto:a@b.t\",\"mailto:a@b.t\"]}",
         "invalidContact"},
        {"{\"onlyReturnExisting\":1}", "malformed"},
        {"{\"onlyReturnExisting\":true}", "accountDoesNotExist"},
        {"{\"termsOfServiceAgreed\":\"yes\"}", "malformed"},
    };
    struct fx *f = *state;
    struct reply reply = {0};
    struct acme_counts counts;

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        new_account(f, &f->key, rows[i].payload, &reply);
        if (reply.status != 400) {
            print_message("row %zu\n", i);
        }
        expect_problem(&reply, 400, rows[i].type);
    }
    must(acme_count(f->acme, &counts));
    assert_int_equal(counts.accounts, 0);
    reply_clear(&reply);
}

static void test_new_and_again(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    char url[512];
    char orders[600];

    new_account(f, &f->key,
                "{\"contact\":[\"MailTo:a.b+c@B.test\",\"mailto:x@localhost\"],\"unknown\":{},"
                "\"externalAccountBinding\":null}",
                &reply);
    expect_status(&reply, 201);
    (void)snprintf(url, sizeof(url), "%s", reply.location);
    assert_string_equal(member(&reply, "status"), "valid");
    (void)snprintf(orders, sizeof(orders), "%s/orders", url);
    assert_string_equal(member(&reply, "orders"), orders);
    const json_t *contact = json_object_get(reply.json, "contact");
    assert_int_equal(json_array_size(contact), 2);
    assert_string_equal(json_string_value(json_array_get(contact, 0)), "MailTo:a.b+c@B.test");
    assert_string_not_equal(reply.nonce, "");
    new_account(f, &f->key, "{\"contact\":[\"mailto:other@b.test\"]}", &reply);
    expect_status(&reply, 200);
    assert_string_equal(reply.location, url);
    assert_int_equal(json_array_size(json_object_get(reply.json, "contact")), 2);
    new_account(f, &f->key, "{\"onlyReturnExisting\":true,\"contact\":null}", &reply);
    expect_status(&reply, 200);
    assert_string_equal(reply.location, url);
    fx_restart(f);
    new_account(f, &f->key, "{\"onlyReturnExisting\":true}", &reply);
    expect_status(&reply, 200);
    assert_string_equal(reply.location, url);
    reply_clear(&reply);
}

static void test_every_key_kind(void **state)
{
    static const enum jwk_alg kinds[] = {JWK_ES256, JWK_ES384, JWK_ES512, JWK_RS256, JWK_EDDSA};
    struct fx *f = *state;
    struct reply reply = {0};
    const struct odd usual = {0};
    char kid[256];

    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        struct maker key = maker_new(kinds[i], 2048);
        fx_register(f, &key, kid);
        fx_post_odd(f, &key, kid, kid, "", &usual, &reply);
        expect_status(&reply, 200);
        maker_clear(&key);
    }
    reply_clear(&reply);
}

static void test_update(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};

    fx_register(f, &f->key, f->kid);
    fx_post(f, f->kid, "{\"status\":\"revoked\"}", &reply); /* RFC 8555 §7.3.2: ignored */
    expect_status(&reply, 200);
    assert_string_equal(json_string_value(json_object_get(reply.json, "status")), "valid");
    fx_post(f, f->kid, "{\"status\":1}", &reply);
    expect_problem(&reply, 400, "malformed");
    fx_post(f, f->kid, "{\"contact\":[\"http://x\"]}", &reply);
    expect_problem(&reply, 400, "unsupportedContact");
    fx_post(f, f->kid, "{\"contact\":[\"mailto:new@b.test\"],\"orders\":\"x\"}", &reply);
    expect_status(&reply, 200);
    fx_post(f, f->kid, "{}", &reply);
    assert_int_equal(json_array_size(json_object_get(reply.json, "contact")), 1);
    fx_post(f, f->kid, "{\"contact\":[],\"status\":\"valid\"}", &reply);
    expect_status(&reply, 200);
    fx_post(f, f->kid, "", &reply);
    expect_status(&reply, 200);
    assert_int_equal(json_array_size(json_object_get(reply.json, "contact")), 0);
    reply_clear(&reply);
}

static void test_deactivation(void **state)
{
    static const char *const NAME[] = {"a.svc.test"};
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    struct acme_counts counts;

    fx_register(f, &f->key, f->kid);
    fx_order(f, NAME, 1, &order);
    expect_status(&order, 201);
    fx_post(f, f->kid, "{\"status\":\"deactivated\"}", &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), "deactivated");
    /* The cached key does not help. */
    fx_post(f, f->kid, "", &reply);
    expect_problem(&reply, 401, "unauthorized");
    fx_post(f, order.location, "", &reply);
    expect_problem(&reply, 401, "unauthorized");
    new_account(f, &f->key, "{}", &reply);
    expect_problem(&reply, 401, "unauthorized");
    new_account(f, &f->key, "{\"onlyReturnExisting\":true}", &reply);
    expect_problem(&reply, 401, "unauthorized");
    must(acme_count(f->acme, &counts));
    assert_int_equal(counts.accounts, 0);
    assert_int_equal(counts.orders_pending, 0);
    assert_int_equal(counts.authorizations_pending, 0);
    reply_clear(&order);
    reply_clear(&reply);
}

static void test_terms(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};

    new_account(f, &f->key, "{}", &reply);
    expect_problem(&reply, 403, "userActionRequired");
    assert_string_equal(reply.terms, "<https://ca.svc.test/terms>;rel=\"terms-of-service\"");
    new_account(f, &f->key, "{\"termsOfServiceAgreed\":false}", &reply);
    expect_problem(&reply, 403, "userActionRequired");
    new_account(f, &f->key, "{\"termsOfServiceAgreed\":true}", &reply);
    expect_status(&reply, 201);
    assert_true(json_is_true(json_object_get(reply.json, "termsOfServiceAgreed")));
    reply_clear(&reply);
}

static void test_other_account(void **state)
{
    struct fx *f = *state;
    struct maker other = maker_new(JWK_ES256, 0);
    struct reply reply = {0};
    char kid[256];
    char orders[300];

    fx_register(f, &f->key, f->kid);
    fx_register(f, &other, kid);
    fx_post(f, kid, "", &reply);
    expect_problem(&reply, 403, "unauthorized");
    fx_post(f, kid, "{\"status\":\"deactivated\"}", &reply);
    expect_problem(&reply, 403, "unauthorized");
    (void)snprintf(orders, sizeof(orders), "%s/orders", kid);
    fx_post(f, orders, "", &reply);
    expect_problem(&reply, 403, "unauthorized");
    maker_clear(&other);
    reply_clear(&reply);
}

/* The list in pages of two, each order once. */
static void test_orders_list(void **state)
{
    static const char *const NAME[] = {"a.svc.test"};
    struct fx *f = *state;
    struct reply reply = {0};
    char list[300];
    char query[64] = "";
    size_t seen = 0;

    fx_register(f, &f->key, f->kid);
    (void)snprintf(list, sizeof(list), "%s/orders", f->kid);
    fx_post(f, list, "", &reply);
    expect_status(&reply, 200);
    assert_int_equal(json_array_size(json_object_get(reply.json, "orders")), 0);
    fx_post(f, list, "{}", &reply);
    expect_problem(&reply, 400, "malformed");
    for (int i = 0; i < 5; i++) {
        fx_order(f, NAME, 1, &reply);
        expect_status(&reply, 201);
    }
    for (int page = 0; page < 3; page++) {
        const struct odd odd = {.query = query[0] == '\0' ? NULL : query};
        fx_post_odd(f, &f->key, f->kid, list, "", &odd, &reply);
        expect_status(&reply, 200);
        seen += json_array_size(json_object_get(reply.json, "orders"));
        assert_int_equal(reply.next[0] != '\0', page < 2);
        if (page < 2) {
            (void)snprintf(query, sizeof(query), "%.29s", strchr(reply.next, '?') + 1);
        }
    }
    assert_int_equal(seen, 5);
    const struct odd odd = {.query = "page=2"};
    fx_post_odd(f, &f->key, f->kid, list, "", &odd, &reply);
    expect_problem(&reply, 400, "malformed");
    reply_clear(&reply);
}

/* New accounts are counted per network; existing ones, loopback and clients without limits are
 * not. */
static void test_limit(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct maker keys[5];

    f->cfg->acme.limit_new_accounts = 2;
    for (size_t i = 0; i < ARRAY_N(keys); i++) {
        keys[i] = maker_new(JWK_ES256, 0);
    }
    new_account(f, &keys[0], "{}", &reply);
    expect_status(&reply, 201);
    new_account(f, &keys[1], "{\"contact\":[\"x\"]}", &reply); /* refused: not counted */
    expect_problem(&reply, 400, "unsupportedContact");
    new_account(f, &keys[1], "{}", &reply);
    expect_status(&reply, 201);
    f->peer = "192.0.2.200"; /* of the same /24 */
    new_account(f, &keys[2], "{}", &reply);
    expect_problem(&reply, 429, "rateLimited");
    assert_non_null(strstr(reply.body, limit_name(LIMIT_NEW_ACCOUNTS)));
    assert_non_null(strstr(reply.body, "192.0.2.0/24"));
    assert_true(strtol(reply.retry, NULL, 10) > 3000);
    new_account(f, &keys[0], "{}", &reply); /* it is there */
    expect_status(&reply, 200);
    f->peer = "192.0.3.1";
    new_account(f, &keys[2], "{}", &reply);
    expect_status(&reply, 201);
    f->peer = "127.9.9.9";
    new_account(f, &keys[3], "{}", &reply);
    expect_status(&reply, 201);
    f->peer = NULL;
    char *payload = bound_payload(f, &keys[4], "free");
    new_account(f, &keys[4], payload, &reply);
    expect_status(&reply, 201);
    mem_free(payload);
    for (size_t i = 0; i < ARRAY_N(keys); i++) {
        maker_clear(&keys[i]);
    }
    reply_clear(&reply);
}

static int setup_limit(void **state)
{
    *state = fx_new("  - {name: free, secret: " SECRET ", names: [svc.test], limits: false}\n");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_and_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_key_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deactivation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_terms, setup_terms, teardown),
        cmocka_unit_test_setup_teardown(test_other_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_orders_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup_limit, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
