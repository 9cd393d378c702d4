/* Bounded buffers and readers with a sticky failure. */
#include "core/util/buf.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_bound_is_exact(void **state)
{
    static const size_t MAXES[] = {0, 1, 255, 256, 257, 1000};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(MAXES); i++) {
        AUTO(buf_clear) struct buf b = BUF_INIT(MAXES[i]);
        for (size_t k = 0; k < MAXES[i]; k++) {
            buf_putc(&b, 'x');
        }
        assert_int_equal(buf_check(&b).code, ERR_OK);
        assert_int_equal(b.len, MAXES[i]);
        assert_int_equal(strlen(buf_str(&b)), MAXES[i]);
        assert_true(b.cap <= MAXES[i] + 1);
        buf_putc(&b, 'y');
        assert_int_equal(buf_check(&b).code, ERR_LIMIT);
        assert_int_equal(b.len, MAXES[i]);
    }
}

static void test_failure_is_sticky(void **state)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(4);

    (void)state;
    buf_puts(&b, "abc");
    buf_puts(&b, "too long");
    buf_putc(&b, 'd');
    buf_u16(&b, 1);
    buf_printf(&b, "%d", 1);
    assert_true(b.failed);
    assert_string_equal(buf_str(&b), "abc");
    assert_null(buf_take(&b));
    assert_false(b.failed); /* emptied: usable again, same bound */
    buf_puts(&b, "abcd");
    assert_int_equal(buf_check(&b).code, ERR_OK);
    buf_puts(&b, "e");
    buf_reset(&b);
    assert_int_equal(buf_check(&b).code, ERR_OK);
    assert_string_equal(buf_str(&b), "");
}

static void test_printf_bound(void **state)
{
    AUTO(buf_clear) struct buf b = BUF_INIT(10);

    (void)state;
    buf_printf(&b, "%s", "0123456789a");
    assert_true(b.failed);
    buf_reset(&b);
    buf_printf(&b, "%s-%d", "01234567", 9);
    assert_false(b.failed);
    assert_string_equal(buf_str(&b), "01234567-9");
}

static void test_huge_bounds(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, SIZE_MAX);
    buf_puts(&b, "x");
    buf_put(&b, "", SIZE_MAX);
    assert_true(b.failed);
    assert_string_equal(buf_str(&b), "x");
    buf_clear(&b);
}

static void test_numbers_and_take(void **state)
{
    static const uint8_t WANT[] = {1, 0, 2, 0xff, 0xfe, 0xfd, 0xfc};
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    assert_string_equal(buf_str(&b), "");
    buf_put(&b, NULL, 0);
    buf_u8(&b, 1);
    buf_u16(&b, 2);
    buf_u32(&b, 0xfffefdfcu);
    assert_int_equal(b.len, sizeof(WANT));
    assert_memory_equal(b.data, WANT, sizeof(WANT));
    buf_clear(&b);
    char *text = buf_take(&b); /* of an empty buffer: an empty text */
    assert_string_equal(text, "");
    mem_free(text);
    buf_puts(&b, "mine");
    text = buf_take(&b);
    assert_string_equal(text, "mine");
    assert_null(b.data);
    mem_free(text);
}

static void test_reader(void **state)
{
    static const uint8_t DATA[] = {1, 0, 2, 0xff, 0xfe, 0xfd, 0xfc, 9};
    struct rd r = rd_init(DATA, sizeof(DATA));

    (void)state;
    assert_int_equal(rd_u8(&r), 1);
    assert_int_equal(rd_u16(&r), 2);
    assert_true(rd_u32(&r) == 0xfffefdfcu);
    assert_ptr_equal(rd_bytes(&r, 0), DATA + 7);
    assert_null(rd_bytes(&r, 2));
    assert_true(r.failed);
    assert_null(rd_bytes(&r, 1)); /* sticky */
    assert_int_equal(rd_u8(&r), 0);
    assert_int_equal(rd_u16(&r), 0);
    assert_int_equal(rd_u32(&r), 0);

    r = rd_init(NULL, 0);
    assert_non_null(rd_bytes(&r, 0));
    assert_false(r.failed);
    assert_null(rd_bytes(&r, SIZE_MAX));
    assert_true(r.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound_is_exact),   cmocka_unit_test(test_failure_is_sticky),
        cmocka_unit_test(test_printf_bound),     cmocka_unit_test(test_huge_bounds),
        cmocka_unit_test(test_numbers_and_take), cmocka_unit_test(test_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
