/* Look-ups: which resolver is asked, for how long; cancelling in every phase; very many. */
#include "dns_lookup_world.h"

/* --- which resolver, how long ----------------------------------------------------------------- */

static void test_the_next_resolver_is_asked(void **state)
{
    struct world *w = world_new();
    struct script silent, failing;
    (void)state;

    script_start(&silent, w->loop, RULES);
    script_start(&failing, w->loop, RULES);
    silent.is_silent = true;
    failing.is_failing = true;
    const struct ip_endpoint resolvers[] = {silent.at, failing.at, w->server.at};
    w->config.resolvers = resolvers;
    w->config.resolvers_n = 3;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FOUND);
    assert_string_equal(w->first, "onetwo");
    must_say(w, "no answer in time");
    must_say(w, "SERVFAIL");
    assert_int_equal(silent.asked_n, 1);
    assert_int_equal(failing.asked_n, 1);
    /* Two rounds when somebody was silent, one when nobody was. */
    w->config.resolvers_n = 2;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    assert_int_equal(silent.asked_n, 3);
    assert_int_equal(failing.asked_n, 3);
    w->config.resolvers = &failing.at;
    w->config.resolvers_n = 1;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    assert_int_equal(failing.asked_n, 4);
    /* Nobody there at all: said, and not waited for. */
    const struct ip_endpoint nobody = {w->server.at.addr, 1};
    w->config.resolvers = &nobody;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    must_say(w, "connection refused");
    const struct ip_endpoint unreachable = {{4, {255, 255, 255, 255}}, 53};
    w->config.resolvers = &unreachable;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    must_say(w, "a socket error");
    script_stop(&silent);
    script_stop(&failing);
    world_free(w);
}

static void test_deadline(void **state)
{
    struct world *w = world_new();
    struct lookup *lookup = NULL;
    (void)state;

    /* Over before it began: nobody is asked, names of ours answer nevertheless. */
    static const struct {
        const char *name;
        enum lookup_status want;
    } LATE[] = {{"direct.ext", LOOKUP_FAILED}, {"www.svc.test", LOOKUP_FOUND}};
    for (size_t i = 0; i < ARRAY_N(LATE); i++) {
        w->called_n = 0;
        assert_int_equal(lookup_start(w->lookups, LATE[i].name, LOOKUP_A, clock_mono_ms() - 1, NULL,
                                      on_result, w, &lookup)
                             .code,
                         ERR_OK);
        run(w);
        assert_int_equal(w->result.status, LATE[i].want);
    }
    assert_int_equal(w->server.asked_n, 0);
    /* Between tries, and shorter than one. */
    w->server.is_silent = true;
    for (int64_t left = 1000; left <= 3000; left += 2000) {
        buf_reset(&w->trail);
        w->called_n = 0;
        w->server.asked_n = 0;
        int64_t until = clock_mono_ms() + left;
        assert_int_equal(lookup_start(w->lookups, "direct.ext", LOOKUP_TXT, until, &w->trail,
                                      on_result, w, &lookup)
                             .code,
                         ERR_OK);
        run(w);
        assert_int_equal(w->result.status, LOOKUP_FAILED);
        assert_int_equal(w->server.asked_n, left < LOOKUP_TRY_MS ? 1 : 2);
        must_say(w, "no time is left");
    }
    world_free(w);
}

/* One resolver alone: once for each name, names of ours included, own listeners not counted. */
static enum lookup_status ask_at(struct world *w, size_t index, const char *name, int64_t until)
{
    const struct lookup_at at = {index, name, LOOKUP_TXT, until, &w->trail};
    struct lookup *lookup = NULL;

    buf_reset(&w->trail);
    w->called_n = 0;
    assert_int_equal(lookup_start_at(w->lookups, &at, on_result, w, &lookup).code, ERR_OK);
    assert_int_equal(w->called_n, 0);
    run(w);
    return w->result.status;
}

static void test_one_resolver_alone(void **state)
{
    struct world *w = world_new();
    struct script second;
    char want[200];
    char text[IP_TEXT_MAX + 10];
    (void)state;

    script_start(&second, w->loop, RULES);
    const struct ip_endpoint own = {{4, {127, 0, 0, 1}}, 1};
    const struct ip_endpoint resolvers[] = {own, w->server.at, own, second.at};
    w->config = (struct resolve_config){resolvers, ARRAY_N(resolvers), &own, 1};
    struct lookup_at at = {2, "direct.ext", LOOKUP_TXT, clock_mono_ms() + 2000, &w->trail};
    struct lookup *lookup = NULL;
    assert_int_equal(lookup_start_at(w->lookups, &at, on_result, w, &lookup).code, ERR_NOT_FOUND);
    at.index = 1;
    at.name = "a..b";
    assert_int_equal(lookup_start_at(w->lookups, &at, on_result, w, &lookup).code, ERR_MALFORMED);
    assert_null(lookup);
    int64_t until = clock_mono_ms() + 60000;
    /* A name of ours is asked for, and what is said about it counts. */
    assert_int_equal(ask_at(w, 1, "www.svc.test", until), LOOKUP_NODATA);
    assert_false(w->result.is_ours);
    ip_endpoint_text(&second.at, text);
    (void)snprintf(want, sizeof(want), "asked %s for TXT www.svc.test: no TXT and no CNAME there",
                   text);
    assert_string_equal(buf_str(&w->trail), want);
    assert_int_equal(second.asked_n, 1);
    assert_int_equal(ask_at(w, 1, "ours.ext", until), LOOKUP_FOUND);
    assert_string_equal(w->first, "poison");
    assert_int_equal(ask_at(w, 1, "inner.ext", until), LOOKUP_NODATA);
    must_say(w, "CNAME _acme-challenge.y.svc.test; asked");
    assert_string_equal(w->result.end, "_acme-challenge.y.svc.test");
    /* Who fails or says nothing is not asked again, and nobody else is. */
    second.asked_n = 0;
    assert_int_equal(ask_at(w, 1, "fail.ext", until), LOOKUP_FAILED);
    must_say(w, "SERVFAIL");
    assert_int_equal(second.asked_n, 1);
    assert_int_equal(ask_at(w, 1, "silent.ext", clock_mono_ms() + LOOKUP_TRY_MS), LOOKUP_FAILED);
    (void)snprintf(want, sizeof(want), "asked %s for TXT silent.ext: no answer in time", text);
    assert_string_equal(buf_str(&w->trail), want);
    assert_int_equal(second.asked_n, 2);
    assert_int_equal(ask_at(w, 1, "direct.ext", clock_mono_ms() - 1), LOOKUP_FAILED);
    must_say(w, "no time is left");
    assert_int_equal(second.asked_n, 2);
    assert_int_equal(w->server.asked_n, 0);
    script_stop(&second);
    world_free(w);
}

static void test_own_addresses_are_skipped(void **state)
{
    struct world *w = world_new();
    struct ip_endpoint any4 = {{4, {0}}, w->server.at.port};
    struct ip_endpoint any6 = {{6, {0}}, w->server.at.port};
    struct ip_endpoint other = {{4, {0}}, (uint16_t)(w->server.at.port + 1)};
    (void)state;

    w->config = (struct resolve_config){NULL, 0, NULL, 0};
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    must_say(w, "set 'resolvers'");
    w->config = (struct resolve_config){&w->server.at, 1, &w->server.at, 1};
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    must_say(w, "set 'resolvers'");
    w->config.own = &any4;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    assert_int_equal(w->server.asked_n, 0);
    w->config.own = &any6;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FOUND);
    w->config.own = &other;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FOUND);
    world_free(w);
}

/* --- many, and none --------------------------------------------------------------------------- */

static void test_cancel(void **state)
{
    static const char *const NAMES[] = {"direct.ext",   "cut.ext",  "chain.ext", "hang.ext",
                                        "www.svc.test", "ours.ext", "id.ext",    "silent.ext"};
    struct world *w = world_new();
    (void)state;

    for (size_t i = 0; i < ARRAY_N(NAMES); i++) {
        /* After so many rounds of the loop, until one ends by itself. */
        for (int rounds = 0;; rounds++) {
            struct lookup *lookup = start(w, NAMES[i], LOOKUP_TXT);
            for (int n = 0; n < rounds && w->called_n == 0; n++) {
                (void)loop_run_once(w->loop, 1000);
            }
            if (w->called_n > 0) {
                assert_true(rounds > 0);
                break;
            }
            lookup_cancel(lookup);
            while (loop_run_once(w->loop, 0) > 0) {
            }
            assert_int_equal(w->called_n, 0);
        }
    }
    /* Several in flight when everything ends. */
    w->server.is_waiting = true;
    (void)start(w, "direct.ext", LOOKUP_TXT);
    (void)start(w, "cut.ext", LOOKUP_TXT);
    (void)loop_run_once(w->loop, 1000);
    (void)start(w, "www.svc.test", LOOKUP_TXT);
    world_free(w);
}

struct pair {
    struct world *w;
    struct lookup *other;
    unsigned called_n;
};

static void on_pair(void *arg, const struct lookup_result *result)
{
    struct pair *p = arg;

    assert_int_equal(result->status, LOOKUP_FOUND);
    p->called_n++;
    lookup_cancel(p->other); /* in its sibling's callback */
    p->other = NULL;
    if (p->called_n == 1) {
        struct lookup *again = NULL;
        assert_int_equal(lookup_start(p->w->lookups, "direct.ext", LOOKUP_TXT,
                                      clock_mono_ms() + 1000, NULL, on_pair, p, &again)
                             .code,
                         ERR_OK);
    }
}

static void test_callbacks_begin_and_cancel(void **state)
{
    struct world *w = world_new();
    struct pair p = {w, NULL, 0};
    struct lookup *first = NULL;
    (void)state;

    assert_int_equal(lookup_start(w->lookups, "direct.ext", LOOKUP_TXT, clock_mono_ms() + 15000,
                                  NULL, on_pair, &p, &first)
                         .code,
                     ERR_OK);
    assert_int_equal(lookup_start(w->lookups, "silent.ext", LOOKUP_TXT, clock_mono_ms() + 15000,
                                  NULL, on_pair, &p, &p.other)
                         .code,
                     ERR_OK);
    while (p.called_n < 2) {
        (void)loop_run_once(w->loop, 1000);
    }
    while (loop_run_once(w->loop, 0) > 0) {
    }
    assert_int_equal(p.called_n, 2);
    world_free(w);
}

static void on_failed(void *arg, const struct lookup_result *result)
{
    unsigned *n = arg;

    assert_int_equal(result->status, LOOKUP_FAILED);
    (*n)++;
}

static void test_a_thousand_to_a_silent_server(void **state)
{
    struct world *w = world_new();
    struct lookup *lookup = NULL;
    int64_t until = clock_mono_ms() + 1000;
    unsigned n = 0;
    (void)state;

    w->server.is_waiting = true;
    for (unsigned i = 0; i < 1000; i++) {
        struct err e =
            lookup_start(w->lookups, "direct.ext", LOOKUP_TXT, until, NULL, on_failed, &n, &lookup);
        assert_int_equal(e.code, ERR_OK);
    }
    while (loop_run_once(w->loop, 0) > 0) {
    }
    assert_int_equal(n, 0);
    assert_true(w->server.asked_n > 0); /* the kernel may drop some of a thousand */
    clock_shift(1001);
    while (n < 1000) {
        assert_true(loop_run_once(w->loop, 1000) > 0);
    }
    assert_int_equal(n, 1000);
    world_free(w);
}

static void test_limit(void **state)
{
    struct world *w = world_new();
    struct lookup *lookup = NULL;
    unsigned n = 0;
    (void)state;

    for (unsigned i = 0; i <= LOOKUPS_MAX; i++) {
        struct err e = lookup_start(w->lookups, "direct.ext", LOOKUP_TXT, clock_mono_ms() - 1, NULL,
                                    on_failed, &n, &lookup);
        assert_int_equal(e.code, i < LOOKUPS_MAX ? ERR_OK : ERR_LIMIT);
    }
    while (n < LOOKUPS_MAX) {
        (void)loop_run_once(w->loop, 1000);
    }
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FOUND);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_resolver_is_asked),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_own_addresses_are_skipped),
        cmocka_unit_test(test_one_resolver_alone),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_callbacks_begin_and_cancel),
        cmocka_unit_test(test_a_thousand_to_a_silent_server),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
