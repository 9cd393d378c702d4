#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util/file.h"
#include "core/util/mem.h"

static char dir[] = "/tmp/bw-file-XXXXXX";

static void path_in(char *out, size_t cap, const char *name)
{
    (void)snprintf(out, cap, "%s/%s", dir, name);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static void test_read_refuses(void **state)
{
    char path[256];
    AUTO(buf_clear) struct buf text = BUF_INIT(8);

    (void)state;
    path_in(path, sizeof(path), "missing");
    assert_int_equal(file_read(path, &text).code, ERR_NOT_FOUND);
    assert_int_equal(file_read(dir, &text).code, ERR_IO);
    path_in(path, sizeof(path), "large");
    assert_int_equal(file_write_atomic(path, 0600, "123456789", 9).code, ERR_OK);
    assert_int_equal(file_read(path, &text).code, ERR_LIMIT);
    assert_int_equal(unlink(path), 0);
}

static void test_write_fails_cleanly(void **state)
{
    char path[256];

    (void)state;
    path_in(path, sizeof(path), "no-such-folder/file");
    assert_int_equal(file_write_atomic(path, 0600, "x", 1).code, ERR_IO);
}

static void test_round_trip_and_mode(void **state)
{
    char path[256];
    struct stat st;
    AUTO(buf_clear) struct buf text = BUF_INIT(64);

    (void)state;
    path_in(path, sizeof(path), "key");
    assert_int_equal(file_write_atomic(path, 0600, "old content", 11).code, ERR_OK);
    assert_int_equal(file_write_atomic(path, 0600, "new", 3).code, ERR_OK);
    assert_int_equal(file_read(path, &text).code, ERR_OK);
    assert_string_equal(buf_str(&text), "new");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(unlink(path), 0);
    /* Nothing is left beside it: the folder can be removed by remove_dir(). */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_refuses),
        cmocka_unit_test(test_write_fails_cleanly),
        cmocka_unit_test(test_round_trip_and_mode),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
