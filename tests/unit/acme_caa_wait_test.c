/* CAA at the decision and at finalize, where a thread waits for the loop. */
#include "acme-server/validate_job.h"
#include "tests/unit/acme_issue.h"
#include "tests/unit/acme_loop.h"

#define FAR "a.far.test"
#define FAR_OWNER "_acme-challenge." FAR "."
static const char *const NAME[] = {FAR};

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

static struct caa_question about(const char *name)
{
    struct caa_question question = {.method = "dns-01"};

    (void)snprintf(question.ident.base, sizeof(question.ident.base), "%s", name);
    memset(question.account_id, 'A', OBJECT_ID_LEN);
    return question;
}

struct answer {
    size_t forbidden;
    char detail[VALIDATE_DETAIL_MAX];
};

static struct answer ask_all(struct fx_loop *l, const char *const *names, size_t n)
{
    struct caa_question questions[8];
    struct answer a = {.forbidden = 99};

    for (size_t i = 0; i < n; i++) {
        questions[i] = about(names[i]);
    }
    must(caa_wait(l->f->acme, questions, n, &a.forbidden, a.detail));
    assert_int_equal(atomic_load(&l->f->acme->caa_waiters), 0);
    return a;
}

static void expect_allowed(struct fx_loop *l, const char *name)
{
    assert_int_equal(ask_all(l, &name, 1).forbidden, 1);
}

static void test_without_network(void **state)
{
    struct fx *f = fx_new("acme: {caa: enforce}\n");
    const struct caa_question question = about(FAR);
    struct answer a = {0};
    (void)state;

    must(caa_wait(f->acme, &question, 1, &a.forbidden, a.detail));
    assert_int_equal(a.forbidden, 1);
    fx_free(f);
}

static void test_answers(void **state)
{
    static const char *const names[] = {"none.far.test", "good.far.test", "x.bad.far.test",
                                        "fresh.far.test", "bad.far.test"};
    struct fx_loop *l = *state;

    fx_loop_say(l, 0, "bad.far.test.", "bad.far.test. 1 IN CAA 0 issue \"other.test\"");
    fx_loop_say(l, 1, "good.far.test.", "good.far.test. 1 IN CAA 0 issue \"ca.svc.test\"");
    fx_loop_say(l, 2, "fresh.far.test.", "fresh.far.test. 1 IN CAA 0 issue \";\"");
    assert_int_equal(ask_all(l, names, 0).forbidden, 0); /* nobody runs the loop: not asked */
    assert_int_equal(l->dns.asked_n, 0);
    must(loop_start(l->f->acme->loop));
    expect_allowed(l, "none.far.test");
    expect_allowed(l, "good.far.test");
    expect_allowed(l, "x.svc.test");
    struct answer a = ask_all(l, names, ARRAY_N(names)); /* the first one that is not allowed */
    assert_int_equal(a.forbidden, 2);
    assert_non_null(strstr(a.detail, "bad.far.test"));
    a = ask_all(l, names + 3, 2);
    assert_int_equal(a.forbidden, 0);
    assert_non_null(strstr(a.detail, "fresh.far.test"));
    assert_int_equal(ask_all(l, names, 2).forbidden, 2);
}

/* A private name is not blocked by a server that does not answer. */
static void test_failing_server(void **state)
{
    struct fx_loop *l = *state;

    l->dns.is_failing = true;
    must(loop_start(l->f->acme->loop));
    expect_allowed(l, FAR);
}

static void test_too_many_wait(void **state)
{
    struct fx_loop *l = *state;
    const struct caa_question question = about(FAR);
    struct answer a = {0};

    atomic_store(&l->f->acme->caa_waiters, CAA_WAITERS_MAX);
    assert_int_equal(caa_wait(l->f->acme, &question, 1, &a.forbidden, a.detail).code, ERR_BUSY);
    assert_int_equal(atomic_load(&l->f->acme->caa_waiters), CAA_WAITERS_MAX);
    atomic_store(&l->f->acme->caa_waiters, 0);
}

/* What cannot be asked is no answer. */
static void test_stopped_loop(void **state)
{
    struct fx_loop *l = *state;
    const struct caa_question question = about(FAR);
    struct answer a = {0};

    loop_stop(l->f->acme->loop);
    assert_int_equal(caa_wait(l->f->acme, &question, 1, &a.forbidden, a.detail).code, ERR_BUSY);
    assert_int_equal(atomic_load(&l->f->acme->caa_waiters), 0);
}

struct pieces {
    struct reply order, authz, reply;
    char url[512];
};

/* Order FAR, with its value published by the other DNS server, and let it be looked at. */
static void prove(struct fx_loop *l, struct pieces *p)
{
    char digest[TXT_VALUE_LEN + 1];
    char record[256];

    fx_order(l->f, NAME, 1, &p->order);
    expect_status(&p->order, 201);
    fx_authz(l->f, &p->order, 0, &p->authz);
    digest_of(l->f, &p->authz, digest);
    (void)snprintf(record, sizeof(record), FAR_OWNER " 1 IN TXT \"%s\"", digest);
    fx_loop_say(l, 0, FAR_OWNER, record);
    (void)snprintf(p->url, sizeof(p->url), "%s", challenge_member(&p->authz, "url"));
    fx_post(l->f, p->url, "{}", &p->reply);
    fx_drive(l);
    fx_post(l->f, p->url, "", &p->reply);
}

static void pieces_clear(struct pieces *p)
{
    reply_clear(&p->order);
    reply_clear(&p->authz);
    reply_clear(&p->reply);
}

/* The value is there, but CAA says no: the challenge fails with that. */
static void test_at_the_decision(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    fx_loop_say(l, 1, "far.test.", "far.test. 1 IN CAA 0 issue \"other.test\"");
    fx_loop_say(l, 0, FAR_OWNER, "");
    prove(l, &p);
    assert_string_equal(member(&p.reply, "status"), "invalid");
    const json_t *error = json_object_get(p.reply.json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "type")), URN "caa");
    assert_non_null(strstr(json_string_value(json_object_get(error, "detail")), "far.test"));
    pieces_clear(&p);
}

/* Under `report` it is told in the log only. */
static void test_only_reported(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    l->f->cfg->acme.caa = CONFIG_CAA_REPORT;
    log_setup((enum log_level) - 1, LOG_TEXT);
    fx_loop_say(l, 1, "far.test.", "far.test. 1 IN CAA 0 issue \"other.test\"");
    prove(l, &p);
    log_setup(LOG_WARN, LOG_TEXT);
    assert_string_equal(member(&p.reply, "status"), "valid");
    pieces_clear(&p);
}

/* Asked again at finalize once the proof is old: the order ends. */
static void test_at_finalize(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, NAME, 1);
    const int64_t nine_hours_ms = (int64_t)9 * 3600 * 1000;

    prove(l, &p);
    assert_string_equal(member(&p.reply, "status"), "valid");
    fx_loop_say(l, 1, "far.test.", "far.test. 1 IN CAA 0 issue \"other.test\"");
    clock_shift(nine_hours_ms);
    must(loop_start(l->f->acme->loop));
    fx_post(l->f, member(&p.order, "finalize"), csr, &p.reply);
    clock_shift(-nine_hours_ms);
    expect_problem(&p.reply, 403, "caa");
    fx_post(l->f, p.order.location, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "invalid");
    EVP_PKEY_free(key);
    mem_free(csr);
    pieces_clear(&p);
}

/* Too many wait already: the client is asked to come again, the order stays. */
static void test_busy_finalize(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, NAME, 1);
    const int64_t nine_hours_ms = (int64_t)9 * 3600 * 1000;

    prove(l, &p);
    clock_shift(nine_hours_ms);
    atomic_store(&l->f->acme->caa_waiters, CAA_WAITERS_MAX);
    fx_post(l->f, member(&p.order, "finalize"), csr, &p.reply);
    atomic_store(&l->f->acme->caa_waiters, 0);
    expect_problem(&p.reply, 429, "rateLimited");
    assert_string_not_equal(p.reply.retry, "");
    must(loop_start(l->f->acme->loop));
    fx_post(l->f, member(&p.order, "finalize"), csr, &p.reply);
    clock_shift(-nine_hours_ms);
    expect_status(&p.reply, 200);
    EVP_PKEY_free(key);
    mem_free(csr);
    pieces_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_network),
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_at_the_decision, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(test_at_finalize, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy_finalize, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
