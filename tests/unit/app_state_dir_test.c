#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bailiwick/state_dir.h"
#include "core/util/err.h"

static char root[] = "/tmp/bw-state-XXXXXX";

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int remove_root(void **state)
{
    char path[256];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/state/lock", root);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/state", root);
    (void)rmdir(path);
    return rmdir(root);
}

static void test_refusals(void **state)
{
    char path[256];
    int fd = -1;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/a/b", root);
    assert_int_equal(state_dir_open(path, &fd).code, ERR_IO);
    (void)snprintf(path, sizeof(path), "%s/file", root);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    (void)close(file);
    assert_int_equal(state_dir_open(path, &fd).code, ERR_IO);
    (void)unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(state_dir_open(path, &fd).code, ERR_CONFIG);
    assert_int_equal(fd, -1);
    assert_int_equal(rmdir(path), 0);
}

static void test_one_holder(void **state)
{
    char path[256];
    struct stat st;
    int first = -1;
    int second = -1;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/state", root);
    assert_int_equal(state_dir_open(path, &first).code, ERR_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(state_dir_open(path, &second).code, ERR_BUSY);
    assert_non_null(strstr(err_trace()->text, "another bailiwick"));
    (void)close(first);
    assert_int_equal(state_dir_open(path, &second).code, ERR_OK);
    (void)close(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_one_holder),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
