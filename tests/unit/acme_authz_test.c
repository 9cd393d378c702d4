#include "tests/unit/acme_support.h"

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 0, retry_after: 2s}\n");

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
static const char *const WILD[] = {"*.svc.test"};

struct pieces {
    struct reply order, authz, reply;
    char digest[TXT_VALUE_LEN + 1];
    char authz_url[512], challenge_url[512];
};

static void order_one(struct fx *f, const char *const *name, struct pieces *p)
{
    fx_order(f, name, 1, &p->order);
    expect_status(&p->order, 201);
    fx_authz(f, &p->order, 0, &p->authz);
    digest_of(f, &p->authz, p->digest);
    (void)snprintf(p->challenge_url, sizeof(p->challenge_url), "%s",
                   challenge_member(&p->authz, "url"));
    (void)snprintf(
        p->authz_url, sizeof(p->authz_url), "%s",
        json_string_value(json_array_get(json_object_get(p->order.json, "authorizations"), 0)));
}

static void pieces_clear(struct pieces *p)
{
    reply_clear(&p->order);
    reply_clear(&p->authz);
    reply_clear(&p->reply);
}

static void expect_order(struct fx *f, struct pieces *p, const char *status)
{
    fx_post(f, p->order.location, "", &p->reply);
    assert_string_equal(member(&p->reply, "status"), status);
}

static void test_objects(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};

    order_one(f, WILD, &p);
    assert_string_equal(member(&p.authz, "status"), "pending");
    assert_string_equal(p.authz.retry, "2");
    assert_true(json_is_true(json_object_get(p.authz.json, "wildcard")));
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(p.authz.json, "identifier"), "value")),
        "svc.test");
    assert_string_equal(challenge_member(&p.authz, "type"), "dns-01");
    assert_string_equal(challenge_member(&p.authz, "status"), "pending");
    assert_int_equal(strlen(challenge_member(&p.authz, "token")), ACME_TOKEN_LEN);
    fx_post(f, p.challenge_url, "", &p.reply);
    expect_status(&p.reply, 200);
    assert_string_equal(member(&p.reply, "status"), "pending");
    assert_non_null(strstr(p.reply.up, p.authz_url));
    assert_true(json_equal(p.reply.json, challenge_of(&p.authz)));
    order_one(f, APEX, &p);
    assert_null(json_object_get(p.authz.json, "wildcard"));
    pieces_clear(&p);
}

static void test_bad_payloads(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};

    order_one(f, APEX, &p);
    fx_post(f, p.challenge_url, "[]", &p.reply);
    expect_problem(&p.reply, 400, "malformed");
    fx_post(f, p.challenge_url, "x", &p.reply);
    expect_problem(&p.reply, 400, "malformed");
    fx_post(f, p.authz_url, "{}", &p.reply);
    expect_problem(&p.reply, 400, "malformed");
    fx_post(f, p.authz_url, "{\"status\":\"valid\"}", &p.reply);
    expect_problem(&p.reply, 400, "malformed");
    fx_post(f, p.authz_url, "{\"status\":1}", &p.reply);
    expect_problem(&p.reply, 400, "malformed");
    fx_post(f, p.challenge_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "pending");
    pieces_clear(&p);
}

/* A value never validates by itself; the challenge POST finds it and says valid at once. */
static void test_fast_path(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};

    order_one(f, APEX, &p);
    fx_publish(f, "apex", "svc.test", p.digest);
    fx_post(f, p.challenge_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "pending");
    fx_post(f, p.challenge_url, "{\"keyAuthorization\":\"x\"}", &p.reply);
    expect_status(&p.reply, 200);
    assert_string_equal(member(&p.reply, "status"), "valid");
    assert_string_not_equal(member(&p.reply, "validated"), "");
    assert_string_equal(p.reply.retry, "");
    fx_authz(f, &p.order, 0, &p.authz);
    assert_string_equal(member(&p.authz, "status"), "valid");
    assert_string_equal(p.authz.retry, "");
    expect_order(f, &p, "ready");
    fx_post(f, p.challenge_url, "{}", &p.reply); /* once more: as it is */
    assert_string_equal(member(&p.reply, "status"), "valid");
    assert_int_equal(validator_waiting(f->acme->validator), 0);
    pieces_clear(&p);
}

static void test_waits_then_valid(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};

    order_one(f, APEX, &p);
    fx_post(f, p.challenge_url, "{}", &p.reply);
    expect_status(&p.reply, 200);
    assert_string_equal(member(&p.reply, "status"), "processing");
    assert_string_equal(p.reply.retry, "2");
    fx_post(f, p.challenge_url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    assert_int_equal(validator_waiting(f->acme->validator), 1);
    (void)validator_run_due(f->acme->validator); /* it is not there yet */
    fx_post(f, p.challenge_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    assert_int_equal(validator_run_due(f->acme->validator), 0); /* nothing to look at */
    fx_publish(f, "both", "svc.test", p.digest);
    assert_int_equal(validator_run_due(f->acme->validator), 1); /* woken */
    assert_int_equal(validator_waiting(f->acme->validator), 0);
    fx_post(f, p.challenge_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "valid");
    expect_order(f, &p, "ready");
    pieces_clear(&p);
}

/* The challenge's error says why, and so does the order's. */
static void test_times_out(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};

    order_one(f, APEX, &p);
    fx_post(f, p.challenge_url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    clock_shift(ACME_DNS01_WAIT_S * 1000 + 1);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    clock_shift(-(ACME_DNS01_WAIT_S * 1000 + 1));
    fx_post(f, p.challenge_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "invalid");
    const json_t *error = json_object_get(p.reply.json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "type")), URN "incorrectResponse");
    assert_non_null(
        strstr(json_string_value(json_object_get(error, "detail")), "_acme-challenge.svc.test"));
    fx_authz(f, &p.order, 0, &p.authz);
    assert_string_equal(member(&p.authz, "status"), "invalid");
    expect_order(f, &p, "invalid");
    assert_non_null(json_object_get(p.reply.json, "error"));
    /* Too late. */
    fx_publish(f, "both", "svc.test", p.digest);
    fx_post(f, p.challenge_url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "invalid");
    pieces_clear(&p);
}

/* The door refuses a value that it knows to be for a name that the client may not have; here it
 * does not know. */
static void publish_unknown(struct fx *f, const char *client, const struct pieces *p)
{
    const struct ident id = {.is_wildcard = true, .base = "svc.test"};

    delegate_forget(f->delegate, p->digest);
    fx_publish(f, client, "svc.test", p->digest);
    delegate_expect(f->delegate, &id, p->digest, clock_unix_s() + 600);
}

/* A publisher that may not have the wildcard does not prove it, and does not stop one that may. */
static void test_not_allowed(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};

    order_one(f, WILD, &p);
    publish_unknown(f, "apex", &p);
    fx_post(f, p.challenge_url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    (void)validator_run_due(f->acme->validator);
    fx_publish(f, "both", "svc.test", p.digest);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    fx_post(f, p.challenge_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "valid");

    order_one(f, WILD, &p);
    publish_unknown(f, "apex", &p);
    fx_post(f, p.challenge_url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    clock_shift(ACME_DNS01_WAIT_S * 1000 + 1);
    (void)validator_run_due(f->acme->validator);
    clock_shift(-(ACME_DNS01_WAIT_S * 1000 + 1));
    fx_post(f, p.challenge_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "invalid");
    const json_t *error = json_object_get(p.reply.json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "type")), URN "unauthorized");
    assert_non_null(strstr(json_string_value(json_object_get(error, "detail")), "apex"));
    pieces_clear(&p);
}

static void test_deactivation(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};

    order_one(f, APEX, &p);
    fx_post(f, p.challenge_url, "{}", &p.reply);
    fx_post(f, p.authz_url, "{\"status\":\"deactivated\"}", &p.reply);
    expect_status(&p.reply, 200);
    assert_string_equal(member(&p.reply, "status"), "deactivated");
    expect_order(f, &p, "invalid");
    fx_post(f, p.challenge_url, "", &p.reply); /* nobody is left to decide it */
    assert_string_equal(member(&p.reply, "status"), "invalid");
    fx_post(f, p.authz_url, "{\"status\":\"deactivated\"}", &p.reply);
    expect_problem(&p.reply, 400, "malformed");
    fx_publish(f, "both", "svc.test", p.digest);
    (void)validator_run_due(f->acme->validator);
    fx_post(f, p.authz_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "deactivated");

    order_one(f, APEX, &p);
    fx_publish(f, "both", "svc.test", p.digest);
    fx_post(f, p.challenge_url, "{}", &p.reply);
    expect_order(f, &p, "ready");
    fx_post(f, p.authz_url, "{\"status\":\"deactivated\"}", &p.reply);
    expect_status(&p.reply, 200);
    expect_order(f, &p, "invalid");
    pieces_clear(&p);
}

static void test_expiry(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};

    order_one(f, APEX, &p);
    clock_shift((int64_t)(ACME_AUTHZ_PENDING_S + 1) * 1000);
    fx_post(f, p.authz_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "invalid");
    fx_post(f, p.challenge_url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "invalid");
    clock_shift(-(int64_t)(ACME_AUTHZ_PENDING_S + 1) * 1000);
    pieces_clear(&p);
}

/* Jobs and expectations survive a restart. */
static void test_restart(void **state)
{
    struct fx *f = *state;
    struct pieces p = {0};
    struct pieces q = {0};

    order_one(f, APEX, &p);
    order_one(f, WILD, &q);
    fx_post(f, p.challenge_url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    fx_restart(f);
    must(acme_start(f->acme));
    assert_int_equal(validator_waiting(f->acme->validator), 1);
    fx_publish(f, "both", "svc.test", p.digest);
    (void)validator_run_due(f->acme->validator);
    while (validator_waiting(f->acme->validator) > 0) { /* a pool thread has it */
        (void)validator_run_due(f->acme->validator);
    }
    fx_post(f, p.challenge_url, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "valid");
    fx_publish(f, "both", "svc.test", q.digest);
    fx_post(f, q.challenge_url, "{}", &q.reply);
    assert_string_equal(member(&q.reply, "status"), "valid");
    pieces_clear(&p);
    pieces_clear(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_payloads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fast_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waits_then_valid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_times_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deactivation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
