/* Authorizations proved by a client that left the configuration while the daemon was off, or is
 * removed in mid-validation. */
#include "acme-server/validate_job.h"
#include "tests/unit/acme_support.h"

static const char *const NAMES[] = {"a.svc.test"};

static const char *status_now(struct fx *f, const struct reply *order, struct reply *reply)
{
    char url[512];

    (void)snprintf(url, sizeof(url), "%s", order->location);
    fx_post(f, url, "", reply);
    return member(reply, "status");
}

static void test_a_namesake_inherits_no_authorization(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 24h}\n");
    struct reply order = {0};
    struct reply reply = {0};
    (void)state;

    fx_register(f, &f->key, f->kid);
    fx_order(f, NAMES, 1, &order);
    fx_prove(f, &order, "both");
    assert_string_equal(status_now(f, &order, &reply), "ready");
    fx_restart(f);
    must(acme_start(f->acme));
    assert_string_equal(status_now(f, &order, &reply), "ready"); /* it is still there */
    fx_stop(f);
    for (size_t i = 0; i < f->cfg->clients_n; i++) {
        if (strcmp(f->cfg->clients[i].name, "both") == 0) {
            memcpy(f->cfg->clients[i].name, "newcomer", 9);
        }
    }
    fx_start(f);
    must(acme_start(f->acme));
    fx_stop(f);
    fx_configure(f, "acme: {authorization_reuse: 24h}\n");
    fx_start(f);
    assert_string_equal(status_now(f, &order, &reply), "invalid");
    fx_order(f, NAMES, 1, &reply);
    assert_string_equal(member(&reply, "status"), "pending");
    reply_clear(&order);
    reply_clear(&reply);
    fx_free(f);
}

/* Removed between the look at its value and the decision: what came too late must not prove
 * anything. */
static void test_a_removed_publisher_proves_nothing(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 24h}\n");
    struct reply order = {0};
    struct reply authz = {0};
    struct val_target target = {.ident = {.base = "a.svc.test"}, .type = CHALLENGE_DNS01};
    struct val_result result = {.is_valid = true, .is_published = true, .by = {.client = "ghost"}};
    (void)state;

    fx_register(f, &f->key, f->kid);
    fx_order(f, NAMES, 1, &order);
    fx_authz(f, &order, 0, &authz);
    digest_of(f, &authz, target.digest);
    memcpy(target.dns01_digest, target.digest, sizeof(target.digest));
    memcpy(target.account_id, strrchr(f->kid, '/') + 1, OBJECT_ID_LEN);
    const char *url =
        json_string_value(json_array_get(json_object_get(order.json, "authorizations"), 0));
    memcpy(target.authz_id, url + strlen(url) - OBJECT_ID_LEN, OBJECT_ID_LEN);
    assert_int_equal(validate_decide(f->acme, &target, &result, "").code, ERR_BUSY);
    fx_authz(f, &order, 0, &authz);
    assert_string_equal(member(&authz, "status"), "pending");
    memcpy(result.by.client, "both", 5);
    must(validate_decide(f->acme, &target, &result, "looked"));
    fx_authz(f, &order, 0, &authz);
    assert_string_equal(member(&authz, "status"), "valid");
    reply_clear(&order);
    reply_clear(&authz);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_namesake_inherits_no_authorization),
        cmocka_unit_test(test_a_removed_publisher_proves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
