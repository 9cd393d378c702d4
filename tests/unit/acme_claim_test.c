/* One finalize at a time per order, and nobody stands behind it for long. */
#include "acme-server/claim.h"

#include <sched.h>
#include <stdatomic.h>

#include "tests/unit/acme_issue.h"

#define ONE "AAAAAAAAAAAAAAAAAAAAAA"
#define TWO "BBBBBBBBBBBBBBBBBBBBBB"
#define THREADS_N 4

static int setup(void **state)
{
    struct claim_table *table = mem_zalloc(sizeof(*table));

    claim_table_init(table);
    *state = table;
    return 0;
}

static int teardown(void **state)
{
    struct claim_table *table = *state;

    assert_null(table->held);
    claim_table_clear(table);
    mem_free(table);
    return 0;
}

/* Whoever holds it does not let go: the second one must not stand there for ever. */
static void test_held(void **state)
{
    struct claim_table *table = *state;
    struct claim first;
    struct claim second;
    struct claim other;

    must(claim_take(table, ONE, &first));
    assert_int_equal(claim_take(table, ONE, &second).code, ERR_BUSY);
    assert_ptr_equal(table->held, &first); /* it left nothing behind */
    must(claim_take(table, TWO, &other));  /* another order is free */
    claim_drop(table, &first);
    must(claim_take(table, ONE, &second));
    claim_drop(table, &other);
    claim_drop(table, &second);
}

/* So many wait already that one more would be a thread too many: it hears so at once. */
static void test_too_many_wait(void **state)
{
    struct claim_table *table = *state;
    struct claim first;
    struct claim second;
    struct claim other;

    must(claim_take(table, ONE, &first));
    table->waiting_n = CLAIM_WAITERS_MAX;
    for (int i = 0; i < 10000; i++) { /* hours, if it waited */
        assert_int_equal(claim_take(table, ONE, &second).code, ERR_BUSY);
    }
    must(claim_take(table, TWO, &other)); /* what is free needs nobody's patience */
    claim_drop(table, &other);
    claim_drop(table, &first);
    must(claim_take(table, ONE, &second));
    claim_drop(table, &second);
    assert_int_equal(table->waiting_n, CLAIM_WAITERS_MAX);
    table->waiting_n = 0;
}

struct taker {
    struct claim_table *table;
    atomic_int *inside, *most;
    struct err result;
};

static void *take_and_drop(void *arg)
{
    struct taker *taker = arg;
    struct claim claim;

    taker->result = claim_take(taker->table, ONE, &claim);
    if (taker->result.code != ERR_OK) {
        return NULL;
    }
    int n = atomic_fetch_add(taker->inside, 1) + 1;
    if (n > atomic_load(taker->most)) {
        atomic_store(taker->most, n);
    }
    (void)sched_yield();
    (void)atomic_fetch_sub(taker->inside, 1);
    claim_drop(taker->table, &claim);
    return NULL;
}

/* Those who come while it is held get it one after the other. */
static void test_in_turn(void **state)
{
    struct claim_table *table = *state;
    struct taker takers[THREADS_N];
    pthread_t threads[THREADS_N];
    atomic_int inside = 0;
    atomic_int most = 0;
    struct claim first;
    size_t served = 0;

    must(claim_take(table, ONE, &first));
    for (size_t i = 0; i < THREADS_N; i++) {
        takers[i] = (struct taker){table, &inside, &most, {ERR_OK}};
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, &takers[i]), 0);
    }
    claim_drop(table, &first);
    for (size_t i = 0; i < THREADS_N; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        served += takers[i].result.code == ERR_OK ? 1 : 0;
    }
    assert_true(served >= 1); /* all, unless the machine stood still for CLAIM_WAIT_MS */
    assert_int_equal(atomic_load(&most), 1);
}

/* The client that comes second hears that it is to come again, and its order is not hurt. */
static void test_finalize_of_a_claimed_order(void **state)
{
    static const char *const names[] = {"a.svc.test"};
    struct fx *f = fx_new("acme: {authorization_reuse: 0}\n");
    struct reply order = {0};
    struct reply reply = {0};
    struct claim claim;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, names, 1);
    (void)state;

    fx_register(f, &f->key, f->kid);
    fx_order(f, names, 1, &order);
    fx_prove(f, &order, "both");
    must(claim_take(&f->acme->claims, id_of(order.location), &claim));
    fx_post(f, member(&order, "finalize"), csr, &reply);
    expect_problem(&reply, 429, "rateLimited");
    assert_true(strtol(reply.retry, NULL, 10) >= 1);
    fx_post(f, order.location, "", &reply); /* reading it does not wait */
    assert_string_equal(member(&reply, "status"), "ready");
    claim_drop(&f->acme->claims, &claim);
    fx_post(f, member(&order, "finalize"), csr, &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), "valid");
    assert_null(f->acme->claims.held);
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&order);
    reply_clear(&reply);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_held, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_in_turn, setup, teardown),
        cmocka_unit_test(test_finalize_of_a_claimed_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
