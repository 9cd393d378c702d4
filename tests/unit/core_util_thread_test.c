#include "core/util/thread.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define STACK_BYTES (256u * 1024u)

struct seen {
    sigset_t mask;
    size_t stack_bytes;
};

static void *look(void *arg)
{
    struct seen *seen = arg;
    pthread_attr_t attr;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        (void)pthread_attr_getstacksize(&attr, &seen->stack_bytes);
        (void)pthread_attr_destroy(&attr);
    }
    return arg;
}

static void *wait_for_it(void *arg)
{
    (void)pthread_barrier_wait(arg);
    return NULL;
}

static void test_it_runs_without_signals(void **state)
{
    struct seen seen = {.stack_bytes = 0};
    sigset_t before;
    sigset_t after;
    pthread_t thread;
    void *result = NULL;

    (void)state;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_false(sigismember(&before, SIGTERM));
    assert_int_equal(thread_start("looker", THREAD_STACK_USUAL, look, &seen, &thread).code, ERR_OK);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &seen);
    assert_true(sigismember(&seen.mask, SIGTERM));
    assert_true(sigismember(&seen.mask, SIGHUP));
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < SIGRTMIN; signal++) { /* ours is as it was */
        assert_int_equal(sigismember(&after, signal), sigismember(&before, signal));
    }
}

static void test_its_stack_has_the_size(void **state)
{
    struct seen usual = {.stack_bytes = 0};
    struct seen small = {.stack_bytes = 0};
    pthread_t thread;

    (void)state;
    assert_int_equal(thread_start("usual", THREAD_STACK_USUAL, look, &usual, &thread).code, ERR_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(thread_start("small", STACK_BYTES, look, &small, &thread).code, ERR_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(small.stack_bytes, STACK_BYTES / 2, 2 * STACK_BYTES);
    assert_true(usual.stack_bytes > small.stack_bytes);
}

static void test_its_name_is_seen(void **state)
{
    static const char NAME[] = "fifteen-letters";
    char text[THREAD_NAME_MAX + 1] = "";
    pthread_barrier_t end;
    pthread_t thread;

    (void)state;
    assert_int_equal(sizeof(NAME), sizeof(text));
    assert_int_equal(pthread_barrier_init(&end, NULL, 2), 0);
    assert_int_equal(thread_start(NAME, STACK_BYTES, wait_for_it, &end, &thread).code, ERR_OK);
    assert_int_equal(pthread_getname_np(thread, text, sizeof(text)), 0);
    assert_string_equal(text, NAME);
    (void)pthread_barrier_wait(&end);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pthread_barrier_destroy(&end), 0);
}

/* More address space than there is: the system refuses, and out stays as it was. */
static void test_no_thread_to_be_had(void **state)
{
    struct seen seen = {.stack_bytes = 0};
    pthread_t thread = pthread_self();

    (void)state;
    assert_int_equal(thread_start("large", SIZE_MAX / 4, look, &seen, &thread).code, ERR_LIMIT);
    assert_true(pthread_equal(thread, pthread_self()));
    assert_non_null(strstr(err_trace()->text, "large"));
    assert_int_equal(seen.stack_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_runs_without_signals),
        cmocka_unit_test(test_its_stack_has_the_size),
        cmocka_unit_test(test_its_name_is_seen),
        cmocka_unit_test(test_no_thread_to_be_had),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
