/* CAA that we could not ask for, by our own fault, is not "no CAA records": under `enforce` nothing
 * is issued meanwhile. What DNS answers, or does not, never stands in the way of a private name. */
#include <sys/resource.h>

#include "acme-server/validate_job.h"
#include "dns/lookup_int.h"
#include "tests/unit/acme_issue.h"
#include "tests/unit/acme_loop.h"
#include "tests/unit/acme_pieces.h"

#define FAR "a.far.test"
#define FAR_OWNER "_acme-challenge." FAR "."
static const char *const NAME[] = {FAR};
static const int64_t NINE_HOURS_MS = (int64_t)9 * 3600 * 1000;

static int setup(void **state)
{
    *state = fx_loop_new("acme: {authorization_reuse: 24h, caa: enforce}\n");
    return 0;
}

static int setup_report(void **state)
{
    *state = fx_loop_new("acme: {authorization_reuse: 24h, caa: report}\n");
    return 0;
}

static int teardown(void **state)
{
    fx_loop_free(*state);
    return 0;
}

/* From now on there is room for this many more look-ups. */
static size_t leave_room(struct fx_loop *l, size_t n)
{
    struct lookups *lookups = l->f->acme->lookups;
    size_t kept = lookups->n;

    lookups->n = LOOKUPS_MAX - n;
    return kept;
}

/* --- the climb -------------------------------------------------------------------------------- */

struct verdict {
    bool is_done;
    enum caa_verdict verdict;
    struct buf trail;
};

static void on_verdict(void *arg, enum caa_verdict verdict, const char *detail)
{
    struct verdict *v = arg;

    assert_false(v->is_done);
    assert_non_null(detail);
    v->is_done = true;
    v->verdict = verdict;
}

/* room: how many of the names (a.b.far.test and those above it) can be asked for. */
static void expect_verdict(struct fx_loop *l, size_t room, enum caa_verdict want)
{
    const struct caa_question question = {.ident = {.base = "a.b.far.test"}, .method = "dns-01"};
    struct verdict v = {.trail = BUF_INIT(VALIDATE_TRAIL_MAX)};
    size_t kept = leave_room(l, room);

    must(caa_start(l->f->acme->net, &question, clock_mono_ms() + VALIDATE_CAA_MS, &v.trail,
                   on_verdict, &v));
    while (!v.is_done) {
        (void)loop_run_once(l->f->acme->loop, 100);
    }
    l->f->acme->lookups->n = kept;
    if (v.verdict != want) {
        fail_msg("room %zu: verdict %d: %s", room, (int)v.verdict, buf_str(&v.trail));
    }
    assert_int_equal(strstr(buf_str(&v.trail), "could not ask") != NULL, want == CAA_UNKNOWN);
    buf_clear(&v.trail);
}

static void test_no_room(void **state)
{
    struct fx_loop *l = *state;

    expect_verdict(l, 0, CAA_UNKNOWN);
    assert_int_equal(l->dns.asked_n, 0);
}

/* What is nearer than the name that could not be asked for decides without it. */
static void test_some_room(void **state)
{
    struct fx_loop *l = *state;

    expect_verdict(l, 1, CAA_UNKNOWN);
    expect_verdict(l, 1, CAA_UNKNOWN); /* a.b is in the cache: one more is asked for */
    fx_loop_say(l, 0, "c.far.test.", "c.far.test. 1 IN CAA 0 issue \"other.test\"");
    fx_loop_say(l, 1, "b.c.far.test.", "b.c.far.test. 1 IN CAA 0 issue \"ca.svc.test\"");
    expect_verdict(l, LOOKUPS_MAX, CAA_ALLOWED);
}

static void test_nearest_decides(void **state)
{
    struct fx_loop *l = *state;

    fx_loop_say(l, 0, "a.b.far.test.", "a.b.far.test. 1 IN CAA 0 issue \"other.test\"");
    expect_verdict(l, 1, CAA_FORBIDDEN);
    fx_loop_say(l, 0, "a.b.far.test.", "a.b.far.test. 1 IN CAA 0 issue \"ca.svc.test\"");
    expect_verdict(l, 0, CAA_FORBIDDEN); /* the cache needs no room */
}

/* DNS's own failures are answers. */
static void test_failing_dns(void **state)
{
    struct fx_loop *l = *state;

    l->dns.is_failing = true;
    expect_verdict(l, LOOKUPS_MAX, CAA_ALLOWED);
}

static void test_silent_dns(void **state)
{
    struct fx_loop *l = *state;

    l->dns.is_silent = true;
    expect_verdict(l, LOOKUPS_MAX, CAA_ALLOWED);
}

/* There is room for look-ups, but not a socket more. */
static void test_no_sockets(void **state)
{
    struct fx_loop *l = *state;
    struct rlimit before;
    int next = dup(STDIN_FILENO);

    assert_true(next >= 0);
    (void)close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    expect_verdict(l, LOOKUPS_MAX, CAA_UNKNOWN);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    fx_loop_say(l, 0, "far.test.", "far.test. 1 IN CAA 0 issue \"other.test\"");
    expect_verdict(l, LOOKUPS_MAX, CAA_FORBIDDEN); /* that is not in the cache */
}

/* --- a validation ----------------------------------------------------------------------------- */

static void say_value(struct fx_loop *l, const struct pieces *p)
{
    char record[256];

    (void)snprintf(record, sizeof(record), FAR_OWNER " 1 IN TXT \"%s\"", p->digest);
    fx_loop_say(l, 0, FAR_OWNER, record);
}

/* One round: what is due runs. */
static void step_clock(struct fx_loop *l, int64_t ms)
{
    clock_shift(ms);
    fx_drive(l);
}

/* One place is left: the look-up of the value has it, then one of the three that CAA needs. */
static void find_value_without_room(struct fx_loop *l, struct pieces *p)
{
    order_and_answer(l->f, NAME, p);
    say_value(l, p);
    (void)leave_room(l, 1);
    fx_drive(l);
}

static void free_room(struct fx_loop *l)
{
    size_t n = 0;

    for (const struct lookup *lookup = l->f->acme->lookups->first; lookup != NULL;
         lookup = lookup->next) {
        n++;
    }
    l->f->acme->lookups->n = n;
}

static void test_enforce_asks_again(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    find_value_without_room(l, &p);
    expect_challenge(l->f, &p, "processing");
    step_clock(l, VALIDATE_POLL_MS);
    expect_challenge(l->f, &p, "processing");
    free_room(l);
    step_clock(l, VALIDATE_POLL_MS);
    expect_challenge(l->f, &p, "valid");
    clock_shift(-2 * VALIDATE_POLL_MS);
    pieces_clear(&p);
}

/* What was hidden by the overload counts as soon as it is seen. */
static void test_enforce_forbids_later(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    fx_loop_say(l, 1, "far.test.", "far.test. 1 IN CAA 0 issue \"other.test\"");
    find_value_without_room(l, &p);
    expect_challenge(l->f, &p, "processing");
    free_room(l);
    step_clock(l, VALIDATE_POLL_MS);
    clock_shift(-VALIDATE_POLL_MS);
    expect_challenge(l->f, &p, "invalid");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(p.reply.json, "error"), "type")),
        URN "caa");
    pieces_clear(&p);
}

static void test_enforce_ends(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    const int64_t late_ms = ACME_DNS01_WAIT_S * 1000;

    find_value_without_room(l, &p);
    step_clock(l, late_ms);
    clock_shift(-late_ms);
    expect_challenge(l->f, &p, "invalid");
    const json_t *error = json_object_get(p.reply.json, "error");
    assert_string_equal(json_string_value(json_object_get(error, "type")), URN "serverInternal");
    assert_non_null(strstr(json_string_value(json_object_get(error, "detail")), "CAA"));
    assert_non_null(strstr(timeline_of(l->f, &p), "could not ask for the CAA records"));
    pieces_clear(&p);
}

static void test_report_goes_on(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};

    find_value_without_room(l, &p);
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

/* The value is in a zone of ours, and of the names that CAA is asked for one is not: "test". */
static void test_value_of_ours(void **state)
{
    static const char *const own[] = {"a.svc.test"};
    struct fx_loop *l = *state;
    struct pieces p = {0};

    order_one(l->f, own, &p);
    fx_publish(l->f, "both", own[0], p.digest);
    (void)leave_room(l, 0);
    fx_post(l->f, p.url, "{}", &p.reply);
    fx_drive(l);
    expect_challenge(l->f, &p, "processing");
    free_room(l);
    step_clock(l, VALIDATE_POLL_MS);
    clock_shift(-VALIDATE_POLL_MS);
    expect_challenge(l->f, &p, "valid");
    pieces_clear(&p);
}

/* --- finalize --------------------------------------------------------------------------------- */

/* The client comes again; its order is not hurt. */
static void test_finalize(void **state)
{
    struct fx_loop *l = *state;
    struct pieces p = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, NAME, 1);

    order_and_answer(l->f, NAME, &p);
    say_value(l, &p);
    fx_drive(l);
    expect_challenge(l->f, &p, "valid");
    clock_shift(NINE_HOURS_MS);
    (void)leave_room(l, 0);
    must(loop_start(l->f->acme->loop));
    fx_post(l->f, member(&p.order, "finalize"), csr, &p.reply);
    expect_problem(&p.reply, 429, "rateLimited");
    assert_string_not_equal(p.reply.retry, "");
    fx_post(l->f, p.order.location, "", &p.reply);
    assert_string_equal(member(&p.reply, "status"), "ready");
    loop_stop(l->f->acme->loop);
    free_room(l);
    clock_shift(-NINE_HOURS_MS);
    EVP_PKEY_free(key);
    mem_free(csr);
    pieces_clear(&p);
}

int main(void)
{
#define ENFORCED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ENFORCED(test_no_room),
        ENFORCED(test_some_room),
        ENFORCED(test_nearest_decides),
        ENFORCED(test_failing_dns),
        ENFORCED(test_silent_dns),
        ENFORCED(test_no_sockets),
        ENFORCED(test_enforce_asks_again),
        ENFORCED(test_enforce_forbids_later),
        ENFORCED(test_enforce_ends),
        cmocka_unit_test_setup_teardown(test_report_goes_on, setup_report, teardown),
        ENFORCED(test_value_of_ours),
        ENFORCED(test_finalize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
