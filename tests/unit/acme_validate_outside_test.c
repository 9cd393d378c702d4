/* What others see of a name of ours, before its dns-01 failure is stored: words in the timeline,
 * never the decision. */
#include <pthread.h>
#include <sched.h>

#include "tests/unit/acme_loop.h"
#include "tests/unit/acme_pieces.h"

#define LATE_MS (ACME_DNS01_WAIT_S * 1000 + 1)
#define OWNER "_acme-challenge.a.svc.test."

static const char *const NAME[] = {"a.svc.test"};
static const char *const FAR[] = {"a.far.test"};

static int setup(void **state)
{
    *state = fx_loop_new("acme: {authorization_reuse: 0, rate_limits: {orders: 0}}\n");
    return 0;
}

static int teardown(void **state)
{
    fx_loop_free(*state);
    return 0;
}

static int setup_threads(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 0}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown_threads(void **state)
{
    fx_free(*state);
    return 0;
}

static void must_see(struct fx *f, const struct pieces *p, const char *part)
{
    const char *text = timeline_of(f, p);

    if (strstr(text, part) == NULL) {
        fail_msg("no '%s' in: %s", part, text);
    }
}

/* The failure is the one that it would be without anybody outside. */
static void expect_missing(struct fx *f, struct pieces *p)
{
    expect_challenge(f, p, "invalid");
    const json_t *error = json_object_get(p->reply.json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "type")), URN "incorrectResponse");
    assert_null(strstr(json_string_value(json_object_get(error, "detail")), "asked"));
    assert_int_equal(validator_waiting(f->acme->validator), 0);
}

static void fail_late(struct fx_loop *l)
{
    clock_shift(LATE_MS);
    fx_drive(l);
}

/* --- tests ------------------------------------------------------------------------------------ */

/* Each resolver gets its phrase: no such name, another value, the value itself. */
static void test_every_resolver_is_told(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    struct script other, third;
    char record[300];
    char text[IP_TEXT_MAX + 10];
    char want[300];

    order_and_answer(l->f, NAME, &p);
    script_start(&other, l->f->acme->loop, l->rules);
    const struct rule right[] = {
        {OWNER, HONEST, LDNS_RCODE_NOERROR, {OWNER " 1 IN CNAME elsewhere.test.", record}},
        {"", HONEST, LDNS_RCODE_REFUSED, {NULL}}};
    script_start(&third, l->f->acme->loop, right);
    (void)snprintf(record, sizeof(record), "elsewhere.test. 1 IN TXT \"%s\"", p.digest);
    const struct ip_endpoint resolvers[] = {l->dns.at, other.at, third.at};
    l->f->resolve = (struct resolve_config){.resolvers = resolvers, .resolvers_n = 3};
    l->dns.is_failing = true;
    fx_loop_say(l, 0, OWNER, OWNER " 1 IN TXT \"something else\"");
    fail_late(l);
    expect_missing(l->f, &p);
    ip_endpoint_text(&l->dns.at, text);
    (void)snprintf(want, sizeof(want), "asked %s for TXT _acme-challenge.a.svc.test: SERVFAIL",
                   text);
    must_see(l->f, &p, want);
    ip_endpoint_text(&other.at, text);
    (void)snprintf(want, sizeof(want),
                   "asked %s for TXT _acme-challenge.a.svc.test: 1 TXT (the value is not among "
                   "them)",
                   text);
    must_see(l->f, &p, want);
    ip_endpoint_text(&third.at, text);
    (void)snprintf(want, sizeof(want),
                   "asked %s for TXT _acme-challenge.a.svc.test: CNAME elsewhere.test, 1 TXT (the "
                   "value is there)",
                   text);
    must_see(l->f, &p, want);
    assert_int_equal(l->dns.asked_n + other.asked_n + third.asked_n, 3);
    script_stop(&other);
    script_stop(&third);
    pieces_clear(&p);
}

/* Nobody answers: what is over after OUTSIDE_MS is decided then. */
static void test_silent_resolver(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    l->dns.is_silent = true; /* it moves the clock by one try */
    order_and_answer(l->f, NAME, &p);
    clock_shift(LATE_MS);
    int64_t from = clock_mono_ms();
    fx_drive(l);
    assert_int_equal(l->dns.asked_n, 1);
    assert_true(clock_mono_ms() - from >= OUTSIDE_MS);
    assert_true(LOOKUP_TRY_MS <= OUTSIDE_MS);
    expect_missing(l->f, &p);
    must_see(l->f, &p, "for TXT _acme-challenge.a.svc.test: no answer in time.");
    must_see(l->f, &p, "post the challenge again. Seen: asked ");
    pieces_clear(&p);
}

/* Own listeners are not asked, and no more than OUTSIDE_RESOLVERS_MAX others. */
static void test_which_resolvers(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    struct ip_endpoint many[OUTSIDE_RESOLVERS_MAX + 2];

    order_and_answer(l->f, NAME, &p);
    l->f->resolve.own = &l->dns.at;
    l->f->resolve.own_n = 1;
    fail_late(l);
    expect_missing(l->f, &p);
    assert_int_equal(l->dns.asked_n, 0);
    assert_null(strstr(timeline_of(l->f, &p), "asked 127"));
    pieces_clear(&p);
    for (size_t i = 0; i < ARRAY_N(many); i++) {
        many[i] = l->dns.at;
    }
    l->f->resolve = (struct resolve_config){.resolvers = many, .resolvers_n = ARRAY_N(many)};
    order_and_answer(l->f, NAME, &p);
    fail_late(l);
    expect_missing(l->f, &p);
    assert_int_equal(l->dns.asked_n, OUTSIDE_RESOLVERS_MAX);
    pieces_clear(&p);
}

/* Only a missing value makes us ask, and only while there is something to decide. */
static void test_when_nobody_is_asked(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    order_and_answer(l->f, NAME, &p);
    fx_publish(l->f, "both", NAME[0], p.digest);
    fx_drive(l);
    expect_challenge(l->f, &p, "valid");
    assert_null(strstr(timeline_of(l->f, &p), "for TXT"));
    pieces_clear(&p);
    l->dns.asked_n = 0; /* for CAA above our zone */
    order_and_answer(l->f, NAME, &p);
    fx_post(l->f,
            json_string_value(json_array_get(json_object_get(p.order.json, "authorizations"), 0)),
            "{\"status\":\"deactivated\"}", &p.reply);
    expect_status(&p.reply, 200);
    fail_late(l);
    assert_int_equal(validator_waiting(l->f->acme->validator), 0);
    assert_int_equal(l->dns.asked_n, 0);
    pieces_clear(&p);
    /* A name that others serve: the resolvers were asked already. */
    order_and_answer(l->f, FAR, &p);
    fx_drive(l);
    l->dns.asked_n = 0;
    fail_late(l);
    expect_challenge(l->f, &p, "invalid");
    assert_int_equal(l->dns.asked_n, 1);
    pieces_clear(&p);
}

/* Deactivated while others are asked: nothing is stored, nothing is left. */
static void test_ended_meanwhile(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    const struct acme *acme = l->f->acme;

    l->dns.is_waiting = true;
    order_and_answer(l->f, NAME, &p);
    clock_shift(LATE_MS);
    assert_int_equal(validator_run_due(acme->validator), 1);
    while (l->dns.asked_n == 0) {
        (void)loop_run_once(acme->loop, 100);
    }
    fx_publish(l->f, "both", NAME[0], p.digest); /* too late: the deadline is over */
    assert_true(fx_loop_is_busy(l));
    fx_post(l->f,
            json_string_value(json_array_get(json_object_get(p.order.json, "authorizations"), 0)),
            "{\"status\":\"deactivated\"}", &p.reply);
    expect_status(&p.reply, 200);
    clock_shift(OUTSIDE_MS);
    fx_drive(l);
    assert_int_equal(validator_waiting(acme->validator), 0);
    assert_null(strstr(timeline_of(l->f, &p), "asked 127"));
    pieces_clear(&p);
}

/* One job more than may ask: it is decided at once, the others OUTSIDE_MS later. */
static void test_very_many(void **state)
{
    struct fx_loop *l = *state;
    const struct acme *acme = l->f->acme;
    char name[64];
    const char *const names[] = {name};

    l->dns.is_waiting = true;
    for (unsigned i = 0; i <= OUTSIDE_JOBS_MAX; i++) {
        struct pieces p = {0};
        (void)snprintf(name, sizeof(name), "n%u.svc.test", i);
        order_and_answer(l->f, names, &p);
        pieces_clear(&p);
    }
    clock_shift(LATE_MS);
    assert_int_equal(validator_run_due(acme->validator), OUTSIDE_JOBS_MAX + 1);
    while (validator_waiting(acme->validator) > OUTSIDE_JOBS_MAX ||
           acme->validator->outside_n < OUTSIDE_JOBS_MAX) {
        (void)loop_run_once(acme->loop, 100);
        (void)validator_run_due(acme->validator);
    }
    while (loop_run_once(acme->loop, 0) > 0) {
    }
    assert_int_equal(validator_run_due(acme->validator), 0);
    assert_int_equal(validator_waiting(acme->validator), OUTSIDE_JOBS_MAX);
    clock_shift(OUTSIDE_MS);
    fx_drive(l);
    assert_int_equal(validator_waiting(acme->validator), 0);
    assert_int_equal(acme->validator->outside_n, 0);
}

/* The daemon stops while others are asked: the job is taken up again at the next start. */
static void test_stopped_meanwhile(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    l->dns.is_waiting = true;
    order_and_answer(l->f, NAME, &p);
    clock_shift(LATE_MS);
    assert_int_equal(validator_run_due(l->f->acme->validator), 1);
    while (l->dns.asked_n == 0) {
        (void)loop_run_once(l->f->acme->loop, 100);
    }
    fx_loop_end(l);
    fx_restart(l->f);
    expect_challenge(l->f, &p, "processing");
    fx_publish(l->f, "both", NAME[0], p.digest);
    must(acme_start(l->f->acme));
    while (validator_waiting(l->f->acme->validator) > 0) {
        (void)sched_yield();
    }
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

/* With all threads: the pool, the loop, the writer, and clients that post on. */
#define THREADED 40
static void test_threads(void **state)
{
    struct fx *f = *state; /* its resolver is a port where nobody is */
    static struct pieces all[THREADED];
    char name[64];
    const char *const names[] = {name};

    must(acme_start(f->acme));
    for (unsigned i = 0; i < THREADED; i++) {
        (void)snprintf(name, sizeof(name), "t%u.svc.test", i);
        order_and_answer(f, names, &all[i]);
    }
    clock_shift(LATE_MS);
    for (unsigned i = 0; i < THREADED; i++) {
        fx_post(f, all[i].url, "{}", &all[i].reply);
        expect_status(&all[i].reply, 200);
    }
    while (validator_waiting(f->acme->validator) > 0) {
        /* wakes the pool, which sleeps by a clock that is not moved */
        validator_account_changed(f->acme->validator, strrchr(f->kid, '/') + 1);
        (void)sched_yield();
    }
    for (unsigned i = 0; i < THREADED; i++) {
        expect_missing(f, &all[i]);
        must_see(f, &all[i], "nothing answers there (connection refused)");
        pieces_clear(&all[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_resolver_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent_resolver, setup, teardown),
        cmocka_unit_test_setup_teardown(test_which_resolvers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_when_nobody_is_asked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_very_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup_threads, teardown_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
