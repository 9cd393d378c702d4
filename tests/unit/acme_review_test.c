/* What a hostile review of the ACME server found, and what has no test of its own elsewhere. */
#include "acme-server/validate_job.h"
#include "tests/unit/acme_issue.h"

static const char *const A[] = {"a.svc.test"};
#define ORDERS_AN_HOUR 5

static int setup(void **state)
{
    struct fx *f = fx_new("  - {name: pre, secret: " SECRET ", names: ['*.svc.test', svc.test],\n"
                          "     preauthorized: true}\n"
                          "acme: {authorization_reuse: 24h, rate_limits: {orders: 5}}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static void set_preauthorized(struct fx *f, bool is_preauthorized)
{
    for (size_t i = 0; i < f->cfg->clients_n; i++) {
        if (strcmp(f->cfg->clients[i].name, "pre") == 0) {
            f->cfg->clients[i].is_preauthorized = is_preauthorized;
        }
    }
    fx_restart(f);
}

/* --- replaces --------------------------------------------------------------------------------- */

static void order_replacing(struct fx *f, const char *renewal_id, struct reply *out)
{
    char payload[600];

    (void)snprintf(payload, sizeof(payload),
                   "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.svc.test\"}],"
                   "\"replaces\":\"%s\"}",
                   renewal_id);
    fx_post(f, "/acme/new-order", payload, out);
}

static void end_order(struct fx *f, const struct reply *order)
{
    struct reply reply = {0};
    const json_t *list = json_object_get(order->json, "authorizations");

    fx_post(f, json_string_value(json_array_get(list, 0)), "{\"status\":\"deactivated\"}", &reply);
    expect_status(&reply, 200);
    reply_clear(&reply);
}

/* Renewals in their window do not count as orders. One such order for each certificate: whoever lets
 * it end badly pays for the next one like everybody. */
static void test_one_free_order_per_certificate(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct cert c = fx_issue(f, A, 1); /* the first order of this hour */

    for (int i = 1; i < ORDERS_AN_HOUR - 2; i++) {
        fx_order(f, A, 1, &order);
        expect_status(&order, 201);
    }
    fx_change(f, "UPDATE certificate SET revoked_unix = 1", NULL); /* its window is open */
    order_replacing(f, c.renewal_id, &order);                      /* free */
    expect_status(&order, 201);
    for (int i = 0; i < 2; i++) {
        end_order(f, &order);
        order_replacing(f, c.renewal_id, &order);
        expect_status(&order, 201);
    }
    end_order(f, &order);
    order_replacing(f, c.renewal_id, &order);
    expect_problem(&order, 429, "rateLimited");
    fx_order(f, A, 1, &order);
    expect_problem(&order, 429, "rateLimited");
    cert_clear(&c);
    reply_clear(&order);
}

/* --- proved by a record that our DNS has because the client is preauthorized -------------------- */

struct load {
    const char *id;
    struct authz_row row;
};

static struct err load_fn(struct db *db, void *arg)
{
    struct load *load = arg;

    return acme_db_authz_load(db, load->id, &load->row);
}

/* As val_dns.c decides: valid, for a client that is preauthorized at this moment. The order becomes
 * ready. */
static void prove_by_own_record(struct fx *f, const struct reply *order)
{
    const json_t *list = json_object_get(order->json, "authorizations");
    struct load load = {.id = id_of(json_string_value(json_array_get(list, 0)))};
    struct val_result result = {
        .is_valid = true, .is_preauthorized = true, .by = {.client = "pre"}};
    struct val_target target;
    struct reply reply = {0};

    must(store_read(f->store, "t", load_fn, &load));
    assert_string_equal(load.row.client, "pre"); /* whom the decision is about */
    must(validate_target(&load.row, CHALLENGE_DNSPERSIST01, BASE, &target));
    assert_string_equal(target.client, "pre");
    must(validate_decide(f->acme, &target, &result, "seen"));
    fx_post(f, order->location, "", &reply);
    assert_string_equal(member(&reply, "status"), "ready");
    assert_int_equal(fx_number(f, "SELECT is_preauthorized FROM acme_authz WHERE id = ?1", load.id),
                     1);
    authz_row_clear(&load.row);
    reply_clear(&reply);
}

/* An order made while the client is not preauthorized, proved while it is, finalized when it is not
 * any longer. */
static void test_flag_at_finalize(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    struct who bound = who_bound(f, "pre");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, A, 1);

    who_swap(f, &bound);
    set_preauthorized(f, false);
    fx_order(f, A, 1, &order);
    assert_string_equal(member(&order, "status"), "pending");
    set_preauthorized(f, true);
    prove_by_own_record(f, &order);
    set_preauthorized(f, false);
    fx_order(f, A, 1, &reply);
    assert_string_equal(member(&reply, "status"), "pending"); /* it is not used again */
    fx_post(f, member(&order, "finalize"), csr, &reply);
    expect_problem(&reply, 403, "unauthorized");
    assert_non_null(strstr(member(&reply, "detail"), "preauthorized"));
    fx_post(f, order.location, "", &reply);
    assert_string_equal(member(&reply, "status"), "invalid");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM certificate", NULL), 0);
    who_swap(f, &bound);
    who_clear(&bound);
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&order);
    reply_clear(&reply);
}

static void test_flag_is_still_there(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct who bound = who_bound(f, "pre");

    who_swap(f, &bound);
    set_preauthorized(f, false);
    fx_order(f, A, 1, &order);
    set_preauthorized(f, true);
    prove_by_own_record(f, &order);
    struct cert c = fx_finalize(f, &order, EVP_EC_gen("P-256"), A, 1);
    cert_clear(&c);
    who_swap(f, &bound);
    who_clear(&bound);
    reply_clear(&order);
}

/* A proof of one's own is none of the flag's business. */
static void test_own_proof_outlives_the_flag(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct who bound = who_bound(f, "pre");

    who_swap(f, &bound);
    set_preauthorized(f, false);
    fx_order(f, A, 1, &order);
    set_preauthorized(f, true);
    fx_prove(f, &order, "both");
    set_preauthorized(f, false);
    struct cert c = fx_finalize(f, &order, EVP_EC_gen("P-256"), A, 1);
    cert_clear(&c);
    who_swap(f, &bound);
    who_clear(&bound);
    reply_clear(&order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_free_order_per_certificate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flag_at_finalize, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flag_is_still_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_proof_outlives_the_flag, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
