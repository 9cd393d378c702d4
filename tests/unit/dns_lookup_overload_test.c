/* A look-up that fails because this server has nothing left to ask with says so: it is no word about
 * the name. */
#include <sys/resource.h>

#include "dns_lookup_world.h"

/* Not one socket more than there are; the limit as it was before. */
static struct rlimit take_sockets(void)
{
    struct rlimit before;
    int next = dup(STDIN_FILENO);

    assert_true(next >= 0);
    (void)close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return before;
}

static void give_sockets(const struct rlimit *before)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, before), 0);
}

static void test_no_sockets(void **state)
{
    struct world *w = world_new();
    (void)state;

    const struct rlimit before = take_sockets();
    enum lookup_status ours = ask(w, "www.svc.test", LOOKUP_A); /* needs none */
    enum lookup_status status = ask(w, "direct.ext", LOOKUP_TXT);
    give_sockets(&before);
    assert_int_equal(ours, LOOKUP_FOUND);
    assert_int_equal(status, LOOKUP_FAILED);
    assert_true(w->result.is_unasked);
    assert_int_equal(w->server.asked_n, 0);
    must_say(w, "no more sockets");
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FOUND);
    assert_false(w->result.is_unasked);
    world_free(w);
}

/* Cut over UDP, and there is no socket for TCP. */
static void test_no_socket_for_tcp(void **state)
{
    struct world *w = world_new();
    (void)state;

    (void)start(w, "cut.ext", LOOKUP_TXT);
    while (w->server.asked_n == 0) {
        (void)loop_run_once(w->loop, 1000); /* its answer is on its way */
    }
    const struct rlimit before = take_sockets();
    struct rlimit none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &none), 0);
    none.rlim_cur--; /* its own UDP socket is closed first */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run(w);
    give_sockets(&before);
    assert_int_equal(w->result.status, LOOKUP_FAILED);
    assert_true(w->result.is_unasked);
    world_free(w);
}

/* What others did wrong is no fault of ours. */
static void test_others(void **state)
{
    static const char *const NAMES[] = {"fail.ext",  "refused.ext", "silent.ext", "lies.ext",
                                        "close.ext", "loop.ext",    "empty.ext",  "twice.ext"};
    struct world *w = world_new();
    (void)state;

    for (size_t i = 0; i < ARRAY_N(NAMES); i++) {
        assert_int_equal(ask(w, NAMES[i], LOOKUP_TXT), LOOKUP_FAILED);
        if (w->result.is_unasked) {
            fail_msg("%s: %s", NAMES[i], buf_str(&w->trail));
        }
    }
    const struct ip_endpoint nobody = {w->server.at.addr, 1};
    w->config.resolvers = &nobody;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    assert_false(w->result.is_unasked);
    w->config.resolvers_n = 0;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    assert_false(w->result.is_unasked);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_sockets),
        cmocka_unit_test(test_no_socket_for_tcp),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
