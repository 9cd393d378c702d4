/* Phrases, and what a peer sent, fit to print. */
#include "acme-server/val_words.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_printable(void **state)
{
    static const struct {
        const char *data;
        size_t len, cap;
        const char *want;
    } CASES[] = {
        {"", 0, 10, ""},
        {"abc", 3, 10, "abc"},
        {"a\0b", 3, 10, "a?b"},
        {"\"\\\x1b\x7f\xff\n", 6, 10,
         "??"
         "????"},
        {"123456789", 9, 10, "123456789"},
        {"1234567890", 10, 10, "123456..."},
        {"12345678901234567890", 20, 10, "123456..."},
        {"12345", 5, 5, "1..."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        char out[32];
        memset(out, 'X', sizeof(out));
        val_printable(CASES[i].data, CASES[i].len, out, CASES[i].cap);
        assert_string_equal(out, CASES[i].want);
        assert_int_equal(out[CASES[i].cap], 'X');
    }
}

static void test_trail(void **state)
{
    struct buf trail = BUF_INIT(20);

    (void)state;
    val_trail(&trail, "%s", "one");
    assert_string_equal(buf_str(&trail), "one");
    val_trail(&trail, "%d and %d", 2, 3);
    assert_string_equal(buf_str(&trail), "one; 2 and 3");
    val_trail(&trail, "more than fits in");
    assert_true(trail.failed && trail.len <= 20); /* what was there stays */
    assert_memory_equal(buf_str(&trail), "one; 2 and 3", 12);
    buf_clear(&trail);
}

static void test_skew(void **state)
{
    static const struct {
        int64_t ahead;
        const char *want;
    } CASES[] = {
        {0, ""},
        {30, ""},
        {-30, ""},
        {90, "its clock is 90 s ahead of ours"},
        {-90, "its clock is 90 s behind ours"},
        {-330, "its clock is 5 min behind ours"},
        {3600 + 30, "its clock is 60 min ahead of ours"},
        {-3 * 3600 - 30, "its clock is 3 h behind ours"},
        {86400 + 30, "its clock is 24 h ahead of ours"},
        {400 * 86400 + 30, "its clock is 400 days ahead of ours"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct buf trail = BUF_INIT(200);
        val_skew(&trail, "its clock", clock_unix_s() + CASES[i].ahead);
        assert_string_equal(buf_str(&trail), CASES[i].want);
        buf_clear(&trail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printable),
        cmocka_unit_test(test_trail),
        cmocka_unit_test(test_skew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
