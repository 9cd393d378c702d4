/* The pool, and names that others serve: a small DNS server of our own answers for them. */
#include <pthread.h>
#include <sched.h>

#include "tests/unit/acme_loop.h"
#include "tests/unit/acme_pieces.h"

static int setup(void **state)
{
    *state = fx_loop_new("  - {name: far, secret: " SECRET ", names: ['*.far.test']}\n"
                         "acme: {authorization_reuse: 0}\n");
    return 0;
}

static int teardown(void **state)
{
    fx_loop_free(*state);
    return 0;
}

static int setup_pool(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 0}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int setup_places(void **state)
{
    *state = fx_new("acme: {rate_limits: {pending_validations: 20}}\n");
    return 0;
}

static int teardown_pool(void **state)
{
    fx_free(*state);
    return 0;
}

static const char *const FAR[] = {"a.far.test"};
#define FAR_OWNER "_acme-challenge.a.far.test."

/* --- tests ------------------------------------------------------------------------------------ */

/* No resolver answers: the error is dns and says what was asked. */
static void test_silent_resolver(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    l->dns.is_failing = true;
    order_one(l->f, FAR, &p);
    fx_post(l->f, p.url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    fx_drive(l);
    expect_challenge(l->f, &p, "processing");
    clock_shift(ACME_DNS01_WAIT_S * 1000 + 1);
    fx_drive(l);
    clock_shift(-(ACME_DNS01_WAIT_S * 1000 + 1));
    expect_challenge(l->f, &p, "invalid");
    const json_t *error = json_object_get(p.reply.json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "type")), URN "dns");
    assert_non_null(
        strstr(json_string_value(json_object_get(error, "detail")), "_acme-challenge.a.far.test"));
    assert_int_equal(validator_waiting(l->f->acme->validator), 0);
    pieces_clear(&p);
}

/* The CNAME leads into our delegate zone: the value there, and its publisher, decide. Its arrival
 * wakes the job, no poll is waited for. */
static void test_cname_to_us(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    fx_loop_say(l, 0, FAR_OWNER, FAR_OWNER " 1 IN CNAME a.far.test.acme.svc.test.");
    order_one(l->f, FAR, &p);
    fx_post(l->f, p.url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    fx_drive(l);
    assert_int_equal(validator_run_due(l->f->acme->validator), 0);
    expect_challenge(l->f, &p, "processing");
    fx_publish(l->f, "far", "a.far.test", p.digest);
    fx_drive(l);
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

/* A plain TXT in the other server's zone; it is polled every second. */
static void test_txt_elsewhere(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, FAR, 1);
    char record[256];

    fx_loop_say(l, 0, FAR_OWNER, FAR_OWNER " 1 IN TXT \"something else\"");
    order_one(l->f, FAR, &p);
    fx_post(l->f, p.url, "{}", &p.reply);
    fx_drive(l);
    expect_challenge(l->f, &p, "processing");
    (void)snprintf(record, sizeof(record), FAR_OWNER " 1 IN TXT \"%s\"", p.digest);
    fx_loop_say(l, 0, FAR_OWNER, record);
    clock_shift(VALIDATE_POLL_MS + 1);
    fx_drive(l);
    clock_shift(-(VALIDATE_POLL_MS + 1));
    expect_challenge(l->f, &p, "valid");
    /* It has no publisher: nothing to ask about at finalize. */
    fx_post(l->f, member(&p.order, "finalize"), csr, &p.reply);
    expect_status(&p.reply, 200);
    EVP_PKEY_free(key);
    mem_free(csr);
    pieces_clear(&p);
}

static struct val_job job_n(unsigned n, bool is_limited, const char *name)
{
    struct val_job job = {.is_limited = is_limited, .target = {.type = CHALLENGE_DNS01}};

    (void)snprintf(job.target.authz_id, sizeof(job.target.authz_id), "%022u", n);
    (void)snprintf(job.target.account_id, sizeof(job.target.account_id), "%022u", 1u);
    (void)snprintf(job.target.digest, sizeof(job.target.digest), "%043u", n);
    (void)snprintf(job.target.ident.base, sizeof(job.target.ident.base), "%s", name);
    return job;
}

static void test_limit(void **state)
{
    struct fx *f = *state;
    struct validator *v = NULL;
    const char *why = NULL;

    must(validator_new(f->acme, &v));
    for (unsigned i = 0; i <= VALIDATE_JOBS_MAX; i++) {
        const struct val_job job = job_n(i, false, "svc.test");
        assert_int_equal(validator_add(v, &job, &why).code,
                         i < VALIDATE_JOBS_MAX ? ERR_OK : ERR_LIMIT);
    }
    assert_string_equal(why, "validations under way");
    const struct val_job known = job_n(7, false, "svc.test");
    assert_int_equal(validator_add(v, &known, &why).code, ERR_OK);
    assert_int_equal(validator_waiting(v), VALIDATE_JOBS_MAX);
    validator_free(v);
}

/* Numbers per account, per account and identifier, per host that is connected to; what looks at home
 * has its own, and what is not limited has none. A place is free again with its job. */
static void test_places(void **state)
{
    struct fx *f = *state;
    struct validator *v = NULL;
    const char *why = NULL;
    struct val_job job;
    char name[64];
    unsigned n = 0;

    must(validator_new(f->acme, &v));
    for (unsigned i = 0; i < 3; i++) {
        job = job_n(n++, true, "svc.test"); /* 0, 2, 4 */
        must(validator_add(v, &job, &why));
        job = job_n(n++, false, "a.far.test");
        must(validator_add(v, &job, &why));
    }
    for (unsigned i = 0; i < PLACES_PER_IDENTIFIER; i++) {
        job = job_n(n++, true, "a.far.test"); /* 6 is the first */
        must(validator_add(v, &job, &why));
    }
    job = job_n(n, true, "a.far.test");
    assert_int_equal(validator_add(v, &job, &why).code, ERR_LIMIT);
    assert_non_null(strstr(why, "identifier"));
    for (unsigned i = PLACES_PER_IDENTIFIER; i < 20; i++) { /* pending_validations: 20 */
        (void)snprintf(name, sizeof(name), "n%u.far.test", i);
        job = job_n(n++, true, name);
        must(validator_add(v, &job, &why));
    }
    job = job_n(n, true, "b.far.test");
    assert_int_equal(validator_add(v, &job, &why).code, ERR_LIMIT);
    assert_non_null(strstr(why, "pending_validations"));
    memset(job.target.account_id, 'o', OBJECT_ID_LEN);
    must(validator_add(v, &job, &why)); /* somebody else's */
    job = job_n(6, true, "a.far.test");
    validator_decided(v, job.target.authz_id);
    job = job_n(++n, true, "a.far.test");
    must(validator_add(v, &job, &why));
    validator_free(v);
}

/* Many accounts together cannot have more than so many connections to one host under way. */
static void test_places_of_a_host(void **state)
{
    struct fx *f = *state;
    struct validator *v = NULL;
    const char *why = NULL;
    struct val_job job;

    must(validator_new(f->acme, &v));
    for (unsigned i = 0; i <= PLACES_PER_HOST; i++) {
        job = job_n(i, true, "a.far.test");
        job.target.type = CHALLENGE_HTTP01;
        (void)snprintf(job.target.account_id, sizeof(job.target.account_id), "%022u", i);
        assert_int_equal(validator_add(v, &job, &why).code,
                         i < PLACES_PER_HOST ? ERR_OK : ERR_LIMIT);
    }
    assert_string_not_equal(why, "");
    job.target.type = CHALLENGE_DNS01; /* which connects to nobody */
    must(validator_add(v, &job, &why));
    validator_free(v);
}

/* The store fails while deciding: the job stays and tries again. */
static struct err rename_table(struct db *db, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = *(const bool *)arg
                            ? db_prepare(db, "ALTER TABLE acme_challenge RENAME TO away")
                            : db_prepare(db, "ALTER TABLE away RENAME TO acme_challenge");
    return db_run(q, NULL);
}

static void test_store_failure(void **state)
{
    static const char *const NAME[] = {"svc.test"};
    struct fx *f = *state;
    struct pieces p = {0};
    bool is_away = true;

    order_one(f, NAME, &p);
    fx_post(f, p.url, "{}", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "processing");
    fx_publish(f, "both", "svc.test", p.digest);
    must(store_write(f->store, "t", rename_table, &is_away));
    log_setup((enum log_level) - 1, LOG_TEXT);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    log_setup(LOG_WARN, LOG_TEXT);
    assert_int_equal(validator_waiting(f->acme->validator), 1);
    is_away = false;
    must(store_write(f->store, "t", rename_table, &is_away));
    clock_shift(VALIDATE_POLL_MS + 1);
    assert_int_equal(validator_run_due(f->acme->validator), 1);
    clock_shift(-(VALIDATE_POLL_MS + 1));
    expect_challenge(f, &p, "valid");
    pieces_clear(&p);
}

#define ROUNDS 12

struct worker {
    struct fx *f;
    unsigned n;
};

/* Challenge first and value second, or the other way round: each ends valid. */
static void *work(void *arg)
{
    const struct worker *w = arg;
    char name[64];
    const char *const names[] = {name};

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct pieces p = {0};
        int64_t end = clock_mono_ms() + 10000;
        (void)snprintf(name, sizeof(name), "n%u-%u.svc.test", w->n, i);
        order_one(w->f, names, &p);
        if (i % 2 == 0) {
            fx_publish(w->f, "both", name, p.digest);
        }
        fx_post(w->f, p.url, "{}", &p.reply);
        if (i % 2 == 1) {
            fx_publish(w->f, "both", name, p.digest);
        }
        while (strcmp(member(&p.reply, "status"), "valid") != 0 && clock_mono_ms() < end) {
            (void)sched_yield();
            fx_post(w->f, p.url, "", &p.reply);
        }
        expect_challenge(w->f, &p, "valid");
        pieces_clear(&p);
    }
    return NULL;
}

static void test_pool(void **state)
{
    struct fx *f = *state;
    struct worker workers[4];
    pthread_t threads[4];

    must(acme_start(f->acme));
    for (unsigned i = 0; i < ARRAY_N(workers); i++) {
        workers[i] = (struct worker){f, i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < ARRAY_N(workers); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_silent_resolver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cname_to_us, setup, teardown),
        cmocka_unit_test_setup_teardown(test_txt_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup_pool, teardown_pool),
        cmocka_unit_test_setup_teardown(test_places, setup_places, teardown_pool),
        cmocka_unit_test_setup_teardown(test_places_of_a_host, setup_places, teardown_pool),
        cmocka_unit_test_setup_teardown(test_store_failure, setup_pool, teardown_pool),
        cmocka_unit_test_setup_teardown(test_pool, setup_pool, teardown_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
