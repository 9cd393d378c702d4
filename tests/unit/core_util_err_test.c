/* Results and traces. */
#include "core/util/err.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/evp.h>

static struct err deep(int value)
{
    FAIL(ERR_LIMIT, "value %d is too large", value);
}

static struct err middle(int value)
{
    TRY(deep(value));
    return err_ok();
}

static struct err want_memory(const void *p)
{
    TRY_PTR(p);
    return err_ok();
}

static struct err want_one(int result)
{
    TRY_OSSL(result);
    return err_ok();
}

static void test_trace_names_the_origin(void **state)
{
    (void)state;
    assert_int_equal(middle(7).code, ERR_LIMIT);
    assert_int_equal(err_trace()->code, ERR_LIMIT);
    assert_string_equal(err_trace()->text, "value 7 is too large");
    assert_non_null(strstr(err_trace()->file, "core_util_err_test.c"));
    assert_true(err_trace()->line > 0);
}

static void test_guards(void **state)
{
    int x = 0;

    (void)state;
    assert_int_equal(want_memory(NULL).code, ERR_NOMEM);
    assert_int_equal(want_memory(&x).code, ERR_OK);
    assert_int_equal(want_one(0).code, ERR_CRYPTO);
    assert_int_equal(want_one(-1).code, ERR_CRYPTO);
    assert_int_equal(want_one(2).code, ERR_CRYPTO);
    assert_int_equal(want_one(1).code, ERR_OK);
}

static void test_ossl_queue_is_drained(void **state)
{
    (void)state;
    assert_null(EVP_MD_fetch(NULL, "no-such-digest", NULL));
    assert_int_equal(want_one(0).code, ERR_CRYPTO);
    assert_non_null(strstr(err_trace()->text, "unsupported"));
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(want_one(0).code, ERR_CRYPTO);
    assert_non_null(strstr(err_trace()->text, "no reason given"));
}

/* Wrapping a sentence around the newest one reads and writes the same trace. */
static void test_text_of_text(void **state)
{
    (void)state;
    assert_int_equal(middle(1).code, ERR_LIMIT);
    struct err e =
        err_set(ERR_IO, "f.c", 1, "outer (%s), again (%s)", err_trace()->text, err_trace()->text);
    assert_int_equal(e.code, ERR_IO);
    assert_string_equal(err_trace()->text,
                        "outer (value 1 is too large), again (value 1 is too large)");
    for (int i = 0; i < 20; i++) {
        e = err_set(ERR_IO, "f.c", 1, "%s %s", err_trace()->text, err_trace()->text);
    }
    assert_int_equal(strlen(err_trace()->text), ERR_TEXT_MAX - 1);
}

static void *fail_elsewhere(void *arg)
{
    assert_int_equal(err_trace()->code, ERR_OK); /* a new thread starts clean */
    assert_int_equal(deep(9).code, ERR_LIMIT);
    *(struct err_trace *)arg = *err_trace();
    return NULL;
}

static void test_traces_cross_threads_by_copy(void **state)
{
    struct err_trace trace;
    pthread_t thread;

    (void)state;
    assert_int_equal(middle(1).code, ERR_LIMIT);
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, &trace), 0);
    (void)pthread_join(thread, NULL);
    assert_string_equal(err_trace()->text, "value 1 is too large");
    assert_int_equal(err_restore(&trace).code, ERR_LIMIT);
    assert_string_equal(err_trace()->text, "value 9 is too large");
    assert_int_equal(err_restore(err_trace()).code, ERR_LIMIT); /* itself */
    assert_string_equal(err_trace()->text, "value 9 is too large");
}

static void test_names(void **state)
{
    (void)state;
    for (int a = ERR_OK; a <= ERR_INTERNAL; a++) {
        assert_string_not_equal(err_name((enum err_code)a), "unknown");
        for (int b = a + 1; b <= ERR_INTERNAL; b++) {
            assert_string_not_equal(err_name((enum err_code)a), err_name((enum err_code)b));
        }
    }
    assert_string_equal(err_name((enum err_code)(ERR_INTERNAL + 1)), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_names_the_origin),       cmocka_unit_test(test_guards),
        cmocka_unit_test(test_ossl_queue_is_drained),        cmocka_unit_test(test_text_of_text),
        cmocka_unit_test(test_traces_cross_threads_by_copy), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
