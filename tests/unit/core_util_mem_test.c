/* Checked memory, ownership helpers, secrets. */
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_impossible_sizes(void **state)
{
    /* volatile: the compiler would warn about a size that it can see */
    volatile size_t huge = SIZE_MAX;

    (void)state;
    assert_null(mem_array(huge, 2));
    assert_null(mem_array(huge / 2, 3));
    assert_null(mem_strndup("x", huge));
}

static void test_zero_sizes(void **state)
{
    AUTO(mem_freep) void *a = mem_zalloc(0);
    AUTO(mem_freep) void *b = mem_array(0, 8);
    AUTO(mem_freep) void *c = mem_array(8, 0);
    AUTO(mem_freep) void *d = mem_dup(NULL, 0);
    AUTO(mem_freep) char *e = mem_strndup("abc", 0);

    (void)state;
    assert_true(a != NULL && b != NULL && c != NULL && d != NULL);
    assert_string_equal(e, "");
    mem_free(NULL);
    mem_wipe(a, 0);
}

static void test_copies(void **state)
{
    static const uint8_t ZERO[64];
    AUTO(mem_freep) uint8_t *zeros = mem_array(8, 8);
    AUTO(mem_freep) char *part = mem_strndup("abcdef", 3);
    AUTO(mem_freep) char *whole = mem_strdup("abcdef");
    AUTO(mem_freep) char *bytes = mem_dup("a\0b", 3);

    (void)state;
    assert_memory_equal(zeros, ZERO, sizeof(ZERO));
    assert_string_equal(part, "abc");
    assert_string_equal(whole, "abcdef");
    assert_memory_equal(bytes, "a\0b", 3);
    char *grown = mem_resize(MOVE(whole), 100);
    assert_non_null(grown);
    assert_string_equal(grown, "abcdef");
    whole = grown;
}

static void test_move(void **state)
{
    AUTO(mem_freep) char *from = mem_strdup("x");
    AUTO(mem_freep) char *to = MOVE(from);

    (void)state;
    assert_null(from);
    assert_string_equal(to, "x");
}

static void test_wipe(void **state)
{
    static const uint8_t ZERO[16];
    uint8_t key[16];

    (void)state;
    memset(key, 7, sizeof(key));
    mem_wipe(key, sizeof(key));
    assert_memory_equal(key, ZERO, sizeof(key));
}

static void test_secret(void **state)
{
    struct secret s = {NULL, 0};

    (void)state;
    secret_clear(&s); /* nothing there is fine */
    assert_int_equal(secret_set(&s, "first", 5).code, ERR_OK);
    assert_int_equal(secret_set(&s, "second!", 7).code, ERR_OK);
    assert_int_equal(s.len, 7);
    assert_memory_equal(s.data, "second!", 7);
    assert_int_equal(secret_set(&s, s.data + 3, 3).code, ERR_OK); /* from itself */
    assert_memory_equal(s.data, "ond", 3);
    secret_clear(&s);
    assert_null(s.data);
    assert_int_equal(s.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_impossible_sizes),
        cmocka_unit_test(test_zero_sizes),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
