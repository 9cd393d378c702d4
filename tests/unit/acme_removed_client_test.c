/* A client is removed: what was bound to it is over for good, whoever has its name afterwards. */
#include "acme-server/withdraw.h"
#include "tests/unit/acme_issue.h"

#define STORED "stored"
static const char *const PATTERNS[] = {"*.svc.test"};
static const char *const A[] = {"a.svc.test"};
static const char *const B[] = {"b.svc.test"};

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 24h}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static void create(struct fx *f)
{
    const struct access_new_client client = {
        .name = STORED, .patterns = PATTERNS, .patterns_n = 1, .is_preauthorized = true};
    char secret[CLIENT_SECRET_MAX + 1];

    must(access_client_create(f->access, &client, secret));
}

static void expect_dead(struct fx *f, const struct who *who, const struct reply *order)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, A, 1);
    const struct {
        const char *url, *payload;
    } posts[] = {
        {who->kid, ""},
        {order->location, ""},
        {"/acme/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"victim.svc.test\"}]}"},
        {"/acme/new-authz", "{\"identifier\":{\"type\":\"dns\",\"value\":\"victim.svc.test\"}}"},
        {member(order, "finalize"), csr},
        {who->kid, "{\"status\":\"deactivated\"}"},
    };
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(posts); i++) {
        who_post(f, who, posts[i].url, posts[i].payload, &reply);
        if (reply.status != 401) {
            print_message("%s\n", posts[i].url);
        }
        expect_problem(&reply, 401, "unauthorized");
    }
    who_post_new(f, &who->key, "/acme/new-account", "{\"onlyReturnExisting\":true}", &reply);
    expect_problem(&reply, 401, "unauthorized");
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&reply);
}

/* Somebody had its secret; its administrator removes it and adds it again with another one. */
static void test_added_again(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};

    create(f);
    struct who thief = who_bound(f, STORED);
    who_swap(f, &thief);
    fx_order(f, A, 1, &order);
    assert_string_equal(member(&order, "status"), "ready"); /* and its account is in the cache */
    who_swap(f, &thief);
    must(access_client_remove(f->access, STORED));
    expect_dead(f, &thief, &order);
    create(f);
    expect_dead(f, &thief, &order);
    char *payload = bound_payload(f, &thief.key, STORED); /* nor does a new binding raise it */
    who_post_new(f, &thief.key, "/acme/new-account", payload, &reply);
    expect_problem(&reply, 401, "unauthorized");
    fx_restart(f);
    expect_dead(f, &thief, &order);
    struct who fresh = who_bound(f, STORED);
    who_swap(f, &fresh);
    fx_order(f, A, 1, &reply);
    assert_string_equal(member(&reply, "status"), "ready");
    who_swap(f, &fresh);
    mem_free(payload);
    who_clear(&fresh);
    who_clear(&thief);
    reply_clear(&order);
    reply_clear(&reply);
}

/* All accounts of the client, and nobody else's. */
static void test_whose(void **state)
{
    struct fx *f = *state;
    struct reply own = {0};
    struct reply orders[3] = {{0}};
    struct reply reply = {0};
    struct who ended[3];

    create(f);
    struct who other = who_bound(f, "both");
    fx_order(f, B, 1, &own);
    for (size_t i = 0; i < ARRAY_N(ended); i++) {
        ended[i] = who_bound(f, STORED);
        who_swap(f, &ended[i]);
        fx_order(f, A, 1, &orders[i]);
        who_swap(f, &ended[i]);
    }
    must(access_client_remove(f->access, STORED));
    for (size_t i = 0; i < ARRAY_N(ended); i++) {
        expect_dead(f, &ended[i], &orders[i]);
        who_clear(&ended[i]);
        reply_clear(&orders[i]);
    }
    who_post(f, &other, other.kid, "", &reply);
    assert_string_equal(member(&reply, "status"), "valid");
    fx_post(f, own.location, "", &reply);
    assert_string_equal(member(&reply, "status"), "pending");
    fx_prove(f, &own, "both");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_account WHERE status = 0", NULL), 2);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_order WHERE status IN (0, 1)", NULL),
                     1);
    who_clear(&other);
    reply_clear(&own);
    reply_clear(&reply);
}

/* What it published for others goes with it, their accounts do not. */
static void test_published_for_others(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};

    create(f);
    fx_order(f, A, 1, &order);
    fx_prove(f, &order, STORED);
    must(access_client_remove(f->access, STORED));
    fx_post(f, order.location, "", &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), "invalid");
    fx_order(f, A, 1, &order);
    assert_string_equal(member(&order, "status"), "pending");
    reply_clear(&order);
    reply_clear(&reply);
}

/* A value for an account that ends while it is looked for decides nothing. */
static void test_in_mid_validation(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply authz = {0};
    struct reply reply = {0};
    char digest[TXT_VALUE_LEN + 1];
    const struct access_new_client plain = {.name = "plain", .patterns = PATTERNS, .patterns_n = 1};
    char secret[CLIENT_SECRET_MAX + 1];

    must(access_client_create(f->access, &plain, secret));
    struct who bound = who_bound(f, "plain");
    who_swap(f, &bound);
    fx_order(f, A, 1, &order);
    fx_authz(f, &order, 0, &authz);
    digest_of(f, &authz, digest);
    fx_post(f, challenge_member(&authz, "url"), "{}", &reply);
    assert_string_equal(member(&reply, "status"), "processing");
    who_swap(f, &bound);
    must(access_client_remove(f->access, "plain"));
    (void)validator_run_due(f->acme->validator);
    assert_int_equal(validator_waiting(f->acme->validator), 0);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_authz WHERE status = 1", NULL), 0);
    assert_int_equal(
        fx_number(f, "SELECT status FROM acme_order WHERE id = ?1", id_of(order.location)),
        ORDER_INVALID);
    expect_dead(f, &bound, &order);
    who_clear(&bound);
    reply_clear(&order);
    reply_clear(&authz);
    reply_clear(&reply);
}

/* It left the configuration while the daemon was off, and is there again at the next start. */
static void test_gone_and_back(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct who bound = who_bound(f, "both");

    who_swap(f, &bound);
    fx_order(f, A, 1, &order);
    who_swap(f, &bound);
    fx_restart(f);
    must(acme_forget_gone(f->acme)); /* it is there: nothing happens */
    assert_int_equal(
        fx_number(f, "SELECT COUNT(*) FROM acme_account WHERE client = 'both' AND status = 0",
                  NULL),
        1);
    fx_stop(f);
    for (size_t i = 0; i < f->cfg->clients_n; i++) {
        if (strcmp(f->cfg->clients[i].name, "both") == 0) {
            memcpy(f->cfg->clients[i].name, "away", 5);
        }
    }
    fx_start(f);
    must(acme_forget_gone(f->acme));
    must(acme_forget_gone(f->acme)); /* an account that ended is not found again */
    fx_stop(f);
    fx_configure(f, "");
    fx_start(f);
    must(acme_forget_gone(f->acme));
    expect_dead(f, &bound, &order);
    who_clear(&bound);
    reply_clear(&order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_added_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whose, setup, teardown),
        cmocka_unit_test_setup_teardown(test_published_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_mid_validation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_and_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
