#include "tests/unit/acme_support.h"

static const char *const BOTH[] = {"svc.test", "*.svc.test"};

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

/* An order of apex and wildcard, proved. */
static void ready_order(struct fx *f, struct reply *order)
{
    fx_order(f, BOTH, 2, order);
    expect_status(order, 201);
    assert_string_equal(member(order, "status"), "pending");
    fx_prove(f, order, "both");
    char url[512];
    (void)snprintf(url, sizeof(url), "%s", order->location);
    fx_post(f, url, "", order);
    assert_string_equal(member(order, "status"), "ready");
}

static void test_whole_path(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply done = {0};
    struct reply chain = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, BOTH, 2);

    ready_order(f, &order);
    fx_post(f, member(&order, "finalize"), csr, &done);
    expect_status(&done, 200);
    assert_string_equal(member(&done, "status"), "valid");
    assert_string_equal(done.location, order.location);
    fx_post(f, member(&done, "certificate"), "", &chain);
    expect_status(&chain, 200);
    assert_string_equal(chain.type, "application/pem-certificate-chain");
    assert_non_null(strstr(chain.body, "-----BEGIN CERTIFICATE-----"));
    assert_non_null(strstr(strstr(chain.body, "-----BEGIN CERTIFICATE-----") + 10,
                           "-----BEGIN CERTIFICATE-----"));
    mem_free(csr);
    EVP_PKEY_free(key);
    reply_clear(&order);
    reply_clear(&done);
    reply_clear(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole_path, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
