/* keyChange (RFC 8555 §7.3.5) from end to end; its form is key_change.c's own test. */
#include <pthread.h>

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

/* The outer payload: from f->key to `to`; freed with mem_free(). */
static char *change_payload(const struct fx *f, const struct maker *to)
{
    char header[4096];
    char payload[4096];

    (void)snprintf(header, sizeof(header),
                   "{\"alg\":\"%s\",\"jwk\":%s,\"url\":\"" BASE "/acme/key-change\"}",
                   jwk_alg_name(to->alg), to->jwk);
    (void)snprintf(payload, sizeof(payload), "{\"account\":\"%s\",\"oldKey\":%s}", f->kid,
                   f->key.jwk);
    return maker_jws(to, header, payload);
}

static void change(struct fx *f, const struct maker *to, struct reply *out)
{
    char *payload = change_payload(f, to);

    fx_post(f, "/acme/key-change", payload, out);
    mem_free(payload);
}

static void swap_key(struct fx *f, struct maker *key)
{
    struct maker mine = f->key;

    f->key = *key;
    *key = mine;
}

static void test_refused(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct who other = who_new(f);
    struct maker fresh = maker_new(JWK_ES256, 0);

    fx_post(f, "/acme/key-change", "", &reply);
    expect_problem(&reply, 400, "malformed");
    fx_post(f, "/acme/key-change", "{}", &reply);
    expect_problem(&reply, 400, "malformed");
    /* Somebody else's account in the payload. */
    char *payload = change_payload(f, &fresh);
    who_post(f, &other, "/acme/key-change", payload, &reply);
    expect_problem(&reply, 400, "malformed");
    /* The outer JWS must name the account. */
    who_post_new(f, &f->key, "/acme/key-change", payload, &reply);
    expect_problem(&reply, 400, "malformed");
    mem_free(payload);
    /* The key of another account: its URL is told. */
    change(f, &other.key, &reply);
    expect_problem(&reply, 409, "malformed");
    assert_string_equal(reply.location, other.kid);
    /* Its own key. */
    change(f, &f->key, &reply);
    expect_problem(&reply, 409, "malformed");
    assert_string_equal(reply.location, f->kid);
    fx_post(f, f->kid, "", &reply);
    expect_status(&reply, 200);
    maker_clear(&fresh);
    who_clear(&other);
    reply_clear(&reply);
}

/* After it only the new key signs, of whatever kind. */
static void test_change(void **state)
{
    static const enum jwk_alg kinds[] = {JWK_EDDSA, JWK_RS256, JWK_ES384};
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        struct maker other = maker_new(kinds[i], 2048);
        change(f, &other, &reply);
        expect_status(&reply, 200);
        assert_string_equal(reply.location, f->kid);
        assert_string_equal(member(&reply, "status"), "valid");
        fx_post(f, f->kid, "", &reply); /* the old key, under the account's URL */
        expect_problem(&reply, 400,
                       kinds[i] == JWK_EDDSA || i > 0 ? "badSignatureAlgorithm" : "malformed");
        who_post_new(f, &f->key, "/acme/new-account", "{\"onlyReturnExisting\":true}", &reply);
        expect_problem(&reply, 400, "accountDoesNotExist");
        swap_key(f, &other);
        fx_post(f, f->kid, "", &reply);
        expect_status(&reply, 200);
        who_post_new(f, &f->key, "/acme/new-account", "{\"onlyReturnExisting\":true}", &reply);
        expect_status(&reply, 200);
        assert_string_equal(reply.location, f->kid);
        maker_clear(&other);
    }
    fx_restart(f);
    fx_post(f, f->kid, "", &reply);
    expect_status(&reply, 200);
    reply_clear(&reply);
}

/* What is pending is proved with the new key from then on: the doors know the new value. */
static void test_pending_challenges_move(void **state)
{
    static const char *const names[] = {"svc.test", "*.svc.test"};
    struct fx *f = *state;
    struct reply order = {0};
    struct reply authz = {0};
    struct reply reply = {0};
    struct maker fresh = maker_new(JWK_ES256, 0);
    const struct delegate_who open = {.door = DOOR_HTTPREQ, .client = "both"};
    struct delegate_refusal refusal = {0};
    char old_digest[TXT_VALUE_LEN + 1];
    char digest[TXT_VALUE_LEN + 1];

    fx_order(f, names, 2, &order);
    fx_authz(f, &order, 0, &authz);
    digest_of(f, &authz, old_digest);
    change(f, &fresh, &reply);
    expect_status(&reply, 200);
    swap_key(f, &fresh);
    digest_of(f, &authz, digest);
    assert_string_not_equal(digest, old_digest);
    /* Without a name the digest decides: the old one means nothing any more. */
    assert_int_equal(delegate_publish(f->delegate, &open, NULL, old_digest, false, &refusal).code,
                     ERR_REJECTED);
    must(delegate_publish(f->delegate, &open, NULL, digest, false, &refusal));
    fx_post(f, challenge_member(&authz, "url"), "{}", &reply);
    assert_string_equal(member(&reply, "status"), "valid");
    fx_prove(f, &order, "both");
    struct cert c = fx_finalize(f, &order, EVP_EC_gen("P-256"), names, 2);
    cert_clear(&c);
    maker_clear(&fresh);
    reply_clear(&order);
    reply_clear(&authz);
    reply_clear(&reply);
}

/* A challenge that is processing is looked at with the new key as well: the value wakes it. */
static void test_processing_challenges_move(void **state)
{
    static const char *const names[] = {"svc.test"};
    struct fx *f = *state;
    struct reply order = {0};
    struct reply authz = {0};
    struct reply reply = {0};
    struct maker fresh = maker_new(JWK_ES256, 0);
    char digest[TXT_VALUE_LEN + 1];

    fx_order(f, names, 1, &order);
    fx_authz(f, &order, 0, &authz);
    fx_post(f, challenge_member(&authz, "url"), "{}", &reply);
    assert_string_equal(member(&reply, "status"), "processing");
    change(f, &fresh, &reply);
    expect_status(&reply, 200);
    swap_key(f, &fresh);
    digest_of(f, &authz, digest);
    fx_publish(f, "both", "svc.test", digest);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    assert_int_equal(validator_waiting(f->acme->validator), 0);
    fx_authz(f, &order, 0, &authz);
    assert_string_equal(member(&authz, "status"), "valid");
    maker_clear(&fresh);
    reply_clear(&order);
    reply_clear(&authz);
    reply_clear(&reply);
}

/* An account bound to a client stays bound. */
static void test_the_binding_stays(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct maker fresh = maker_new(JWK_ES256, 0);
    struct who bound = who_bound(f, "apex");
    static const char *const names[] = {"x.svc.test"};

    who_swap(f, &bound);
    change(f, &fresh, &reply);
    expect_status(&reply, 200);
    assert_non_null(json_object_get(reply.json, "externalAccountBinding"));
    swap_key(f, &fresh);
    fx_order(f, names, 1, &reply);
    expect_problem(&reply, 400, "rejectedIdentifier");
    who_clear(&bound);
    maker_clear(&fresh);
    reply_clear(&reply);
}

#define RACERS 4

struct racer {
    struct fx *f;
    struct maker key;
    int status;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct reply reply = {0};

    change(r->f, &r->key, &reply);
    r->status = reply.status;
    reply_clear(&reply);
    return NULL;
}

/* Several at once: one wins, the others' signatures are by a key that is not the account's. */
static void test_at_once(void **state)
{
    struct fx *f = *state;
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    size_t won = 0;
    size_t winner = 0;

    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){f, maker_new(JWK_ES256, 0), 0};
    }
    for (size_t i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(racers[i].status == 200 || racers[i].status == 400 || racers[i].status == 401 ||
                    racers[i].status == 403);
        if (racers[i].status == 200) {
            won++;
            winner = i;
        }
    }
    assert_int_equal(won, 1);
    swap_key(f, &racers[winner].key);
    struct reply reply = {0};
    fx_post(f, f->kid, "", &reply);
    expect_status(&reply, 200);
    reply_clear(&reply);
    for (size_t i = 0; i < RACERS; i++) {
        maker_clear(&racers[i].key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pending_challenges_move, setup, teardown),
        cmocka_unit_test_setup_teardown(test_processing_challenges_move, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_binding_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
