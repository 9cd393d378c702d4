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

static void put(const char *dir, const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    (void)close(file);
}

static void take(const char *dir, const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(unlink(path), 0);
}

/* A directory is for the test mode from the start and for ever, or never. */
static void test_chaos(void **state)
{
    char path[128];
    char link[256];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/mode", root);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(state_dir_chaos(path, false).code, ERR_OK); /* leaves no mark */
    put(path, "bailiwick.db");
    assert_int_equal(state_dir_chaos(path, true).code, ERR_CONFIG);
    assert_non_null(strstr(err_trace()->text, "not made with --chaos"));
    assert_int_equal(state_dir_chaos(path, false).code, ERR_OK);
    take(path, "bailiwick.db");
    /* Somebody's link in the mark's place is no new directory's mark. */
    (void)snprintf(link, sizeof(link), "%s/chaos", path);
    assert_int_equal(symlink("/nowhere", link), 0);
    assert_int_equal(state_dir_chaos(path, false).code, ERR_CONFIG);
    take(path, "chaos");
    assert_int_equal(state_dir_chaos(path, true).code, ERR_OK);
    assert_int_equal(state_dir_chaos(path, false).code, ERR_CONFIG);
    assert_non_null(strstr(err_trace()->text, "--chaos"));
    put(path, "bailiwick.db");
    assert_int_equal(state_dir_chaos(path, true).code, ERR_OK);
    assert_int_equal(state_dir_chaos(path, false).code, ERR_CONFIG);
    take(path, "bailiwick.db");
    take(path, "chaos");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(state_dir_chaos(path, true).code, ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_one_holder),
        cmocka_unit_test(test_chaos),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
