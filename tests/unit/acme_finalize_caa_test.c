/* What finalize waits for under `caa: enforce`: every name's look-ups at the same time, so that an
 * HTTP thread is gone for the time of one, however many names there are. */
#include <pthread.h>
#include <stdatomic.h>

#include "dns/lookup_int.h"
#include "tests/unit/acme_issue.h"
#include "tests/unit/acme_loop.h"

#define NAMES_N 4u
#define ASKED_FOR_ONE 3u /* a.far.test, far.test, test */
static const char *const NAMES[NAMES_N] = {"a.far.test", "b.far.test", "c.far.test", "d.far.test"};
static const char *const OWNERS[NAMES_N] = {
    "_acme-challenge.a.far.test.", "_acme-challenge.b.far.test.", "_acme-challenge.c.far.test.",
    "_acme-challenge.d.far.test."};
static const int64_t NINE_HOURS_MS = (int64_t)9 * 3600 * 1000; /* CAA counts for eight */

static int setup(void **state)
{
    *state = fx_loop_new("acme: {authorization_reuse: 24h, caa: enforce}\n");
    return 0;
}

static int teardown(void **state)
{
    fx_loop_free(*state);
    return 0;
}

/* fx_order() takes three names. */
static void order_all(struct fx *f, struct reply *out)
{
    struct buf payload = BUF_INIT(4096);

    for (size_t i = 0; i < NAMES_N; i++) {
        buf_printf(&payload, "%s{\"type\":\"dns\",\"value\":\"%s\"}",
                   i == 0 ? "{\"identifiers\":[" : ",", NAMES[i]);
    }
    buf_puts(&payload, "]}");
    fx_post(f, "/acme/new-order", buf_str(&payload), out);
    expect_status(out, 201);
    buf_clear(&payload);
}

static void prove_all(struct fx_loop *l, struct reply *order)
{
    struct reply authz = {0};
    struct reply reply = {0};
    char digest[TXT_VALUE_LEN + 1];
    char record[256];

    order_all(l->f, order);
    for (size_t i = 0; i < NAMES_N; i++) {
        fx_authz(l->f, order, i, &authz);
        digest_of(l->f, &authz, digest);
        (void)snprintf(record, sizeof(record), "%s 1 IN TXT \"%s\"", OWNERS[i], digest);
        fx_loop_say(l, i, OWNERS[i], record);
        fx_post(l->f, challenge_member(&authz, "url"), "{}", &reply);
        expect_status(&reply, 200);
    }
    fx_drive(l);
    fx_post(l->f, order->location, "", &reply);
    assert_string_equal(member(&reply, "status"), "ready");
    reply_clear(&authz);
    reply_clear(&reply);
}

struct finalizing {
    struct fx *f;
    const struct reply *order;
    const char *csr;
    struct reply reply;
    atomic_bool is_done;
    pthread_t thread;
};

static void *finalize(void *arg)
{
    struct finalizing *fin = arg;

    fx_post(fin->f, member(fin->order, "finalize"), fin->csr, &fin->reply);
    atomic_store(&fin->is_done, true);
    return NULL;
}

static void test_all_names_at_once(void **state)
{
    struct fx_loop *l = *state;
    struct reply order = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, NAMES, NAMES_N);

    prove_all(l, &order);
    clock_shift(NINE_HOURS_MS);
    l->dns.is_waiting = true;
    struct finalizing fin = {.f = l->f, .order = &order, .csr = csr};
    assert_int_equal(pthread_create(&fin.thread, NULL, finalize, &fin), 0);
    /* All questions are under way although none is answered. */
    while (l->f->acme->lookups->n < NAMES_N * ASKED_FOR_ONE && !atomic_load(&fin.is_done)) {
        (void)loop_run_once(l->f->acme->loop, 100);
    }
    assert_false(atomic_load(&fin.is_done));
    l->dns.is_waiting = false;
    clock_shift(LOOKUP_TRY_MS); /* they are asked again */
    while (!atomic_load(&fin.is_done)) {
        (void)loop_run_once(l->f->acme->loop, 100);
    }
    assert_int_equal(pthread_join(fin.thread, NULL), 0);
    clock_shift(-LOOKUP_TRY_MS - NINE_HOURS_MS);
    expect_status(&fin.reply, 200);
    assert_string_equal(member(&fin.reply, "status"), "valid");
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&fin.reply);
    reply_clear(&order);
}

/* One of them is forbidden: which one, and the order ends. */
static void test_one_of_them(void **state)
{
    struct fx_loop *l = *state;
    struct reply order = {0};
    struct reply reply = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, NAMES, NAMES_N);

    prove_all(l, &order);
    clock_shift(NINE_HOURS_MS);
    fx_loop_say(l, 0, "c.far.test.", "c.far.test. 1 IN CAA 0 issue \"other.test\"");
    must(loop_start(l->f->acme->loop));
    fx_post(l->f, member(&order, "finalize"), csr, &reply);
    clock_shift(-NINE_HOURS_MS);
    expect_problem(&reply, 403, "caa");
    assert_non_null(strstr(member(&reply, "detail"), "c.far.test"));
    fx_post(l->f, order.location, "", &reply);
    assert_string_equal(member(&reply, "status"), "invalid");
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&order);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_names_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_of_them, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
