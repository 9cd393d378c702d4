/* The test mode, from end to end: what a client's author meets. */
#include "tests/unit/acme_issue.h"

static const char *const NAMES[] = {"a.svc.test", "b.svc.test", "c.svc.test"};
#define TRIES 400

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 24h, rate_limits: {orders: 0}}\n");

    fx_register(f, &f->key, f->kid);
    f->is_chaos = true;
    fx_restart(f);
    assert_non_null(f->acme->chaos);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

/* As clients do: again while the nonce is refused. Returns how often it was. */
static unsigned post(struct fx *f, const char *url, const char *payload, struct reply *out)
{
    char kept[512];
    unsigned refused = 0;

    (void)snprintf(kept, sizeof(kept), "%s", url);
    for (;;) {
        fx_post(f, kept, payload, out);
        if (out->status != 400 || strcmp(member(out, "type"), URN "badNonce") != 0) {
            return refused;
        }
        assert_non_null(strstr(out->body, "Test mode"));
        assert_string_not_equal(out->nonce, "");
        refused++;
        assert_true(refused < 100);
    }
}

static void order(struct fx *f, struct reply *out)
{
    (void)post(f, "/acme/new-order",
               "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.svc.test\"},"
               "{\"type\":\"dns\",\"value\":\"b.svc.test\"},"
               "{\"type\":\"dns\",\"value\":\"c.svc.test\"}]}",
               out);
    expect_status(out, 201);
}

/* A share of good nonces is refused, and only that: the rest of the requests work. */
static void test_nonces(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    unsigned refused = 0;

    for (int i = 0; i < TRIES; i++) {
        refused += post(f, f->kid, "", &reply);
        expect_status(&reply, 200);
    }
    assert_in_range(refused, 1, TRIES / 4);
    reply_clear(&reply);
}

static const char *ident_of(const struct reply *authz)
{
    return json_string_value(json_object_get(json_object_get(authz->json, "identifier"), "value"));
}

/* The bit of the challenge that stands first; all must be there. */
static unsigned first_type(const struct reply *authz)
{
    const json_t *challenges = json_object_get(authz->json, "challenges");
    unsigned bit = 0;

    assert_int_equal(json_array_size(challenges), CHALLENGE_TYPES_N);
    for (int t = 0; t < CHALLENGE_TYPES_N; t++) {
        const json_t *c = challenge_typed(authz, (enum challenge_type)t);
        assert_non_null(c);
        bit |= json_array_get(challenges, 0) == c ? 1u << t : 0;
    }
    return bit;
}

/* Authorizations and challenges come in any order, all of them each time. */
static void test_shuffled(void **state)
{
    struct fx *f = *state;
    struct reply made = {0};
    struct reply authz = {0};
    unsigned first_seen = 0; /* bits: who stood first */
    unsigned type_seen = 0;

    order(f, &made);
    for (int i = 0; i < 60; i++) {
        (void)post(f, made.location, "", &made);
        const json_t *list = json_object_get(made.json, "authorizations");
        assert_int_equal(json_array_size(list), 3);
        unsigned all = 0;
        for (size_t k = 0; k < 3; k++) {
            (void)post(f, json_string_value(json_array_get(list, k)), "", &authz);
            unsigned bit = 1u << (ident_of(&authz)[0] - 'a');
            first_seen |= k == 0 ? bit : 0;
            all |= bit;
            type_seen |= first_type(&authz);
        }
        assert_int_equal(all, 7);
    }
    assert_int_equal(first_seen, 7);
    assert_int_equal(type_seen, (1u << CHALLENGE_TYPES_N) - 1);
    reply_clear(&made);
    reply_clear(&authz);
}

/* Nothing is valid at once; it is a little later. Then reuse comes and goes. */
static void test_late_and_sometimes_reused(void **state)
{
    struct fx *f = *state;
    struct reply made = {0};
    struct reply authz = {0};
    struct reply reply = {0};
    char digest[TXT_VALUE_LEN + 1];
    unsigned ready = 0;

    order(f, &made);
    const json_t *list = json_object_get(made.json, "authorizations");
    for (size_t i = 0; i < 3; i++) {
        (void)post(f, json_string_value(json_array_get(list, i)), "", &authz);
        digest_of(f, &authz, digest);
        fx_publish(f, "both", ident_of(&authz), digest);
        (void)post(f, challenge_member(&authz, "url"), "{}", &reply);
        assert_string_equal(member(&reply, "status"), "processing");
    }
    clock_shift(CHAOS_DELAY_MS_MAX + 1);
    while (validator_waiting(f->acme->validator) > 0) {
        assert_true(validator_run_due(f->acme->validator) > 0);
    }
    clock_shift(-(CHAOS_DELAY_MS_MAX + 1));
    (void)post(f, made.location, "", &reply);
    assert_string_equal(member(&reply, "status"), "ready");
    for (int i = 0; i < 40; i++) {
        order(f, &made);
        ready += strcmp(member(&made, "status"), "ready") == 0 ? 1 : 0;
    }
    assert_in_range(ready, 1, 39);
    reply_clear(&made);
    reply_clear(&authz);
    reply_clear(&reply);
}

/* Without the mode everything stands still. */
static void test_off(void **state)
{
    struct fx *f = *state;
    struct reply made = {0};
    struct reply again = {0};

    f->is_chaos = false;
    fx_restart(f);
    assert_null(f->acme->chaos);
    fx_order(f, NAMES, 3, &made);
    for (int i = 0; i < 20; i++) {
        fx_post(f, made.location, "", &again);
        expect_status(&again, 200);
        assert_true(json_equal(made.json, again.json));
    }
    reply_clear(&made);
    reply_clear(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nonces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shuffled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_and_sometimes_reused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_off, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
