/* What the process gives itself and gives up. Parts that change the user run in a child and only as
 * root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bailiwick/privileges.h"

#define NOBODY 65534

/* Every listener's limit of connections must be reachable: a peer that holds idle ones open would
 * otherwise leave the daemon without descriptors for the clients it works for. */
static void test_descriptors_suffice_for_all_connections(void **state)
{
    struct rlimit limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(privileges_harden().code, ERR_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t wanted =
        limit.rlim_max < PRIVILEGES_FILES_WANTED ? limit.rlim_max : PRIVILEGES_FILES_WANTED;
    assert_true(limit.rlim_cur >= wanted);
}

static void test_a_larger_limit_stays(void **state)
{
    struct rlimit before;
    struct rlimit after;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    before.rlim_cur = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(privileges_harden().code, ERR_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_true(after.rlim_cur == before.rlim_cur);
}

static void test_no_core_dumps(void **state)
{
    struct rlimit core;

    (void)state;
    assert_int_equal(privileges_harden().code, ERR_OK);
    assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
    assert_int_equal(core.rlim_max, 0);
}

/* Exit status of the child: which of the promises was broken. */
static int drop_in(const char *dir)
{
    char path[128];
    struct stat st;

    if (privileges_harden().code != ERR_OK || privileges_enter(dir).code != ERR_OK ||
        geteuid() != NOBODY) {
        return 1;
    }
    if (privileges_raise().code != ERR_OK || geteuid() != 0) {
        return 2;
    }
    (void)snprintf(path, sizeof(path), "%s/made", dir);
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_uid != NOBODY || st.st_gid != NOBODY) {
        return 3; /* what is made while ports are bound belongs to the owner ... */
    }
    if (open("/etc/shadow", O_RDONLY) >= 0) {
        return 4; /* ... and root's files stay out of reach */
    }
    if (privileges_drop().code != ERR_OK || geteuid() != NOBODY || getuid() != NOBODY ||
        getegid() != NOBODY) {
        return 5;
    }
    return setuid(0) == 0 || open("/etc/shadow", O_RDONLY) >= 0 ? 6 : 0;
}

/* Without root there is nothing to give up, and nobody to become. */
static void check_unprivileged(const char *dir)
{
    uid_t before = geteuid();

    assert_int_equal(privileges_enter(dir).code, ERR_OK);
    assert_int_equal(privileges_raise().code, ERR_OK);
    assert_int_equal(privileges_drop().code, ERR_OK);
    assert_int_equal(geteuid(), before);
}

static void test_root_becomes_the_owner_of_the_state_directory(void **state)
{
    char dir[] = "/tmp/bw-privileges-XXXXXX";
    char made[128];
    int status = -1;

    (void)state;
    assert_non_null(mkdtemp(dir));
    if (geteuid() != 0) {
        check_unprivileged(dir);
        (void)rmdir(dir);
        return;
    }
    assert_int_equal(chown(dir, NOBODY, NOBODY), 0);
    pid_t child = fork();
    if (child == 0) {
        _exit(drop_in(dir));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)snprintf(made, sizeof(made), "%s/made", dir);
    (void)unlink(made);
    (void)rmdir(dir);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors_suffice_for_all_connections),
        cmocka_unit_test(test_a_larger_limit_stays),
        cmocka_unit_test(test_no_core_dumps),
        cmocka_unit_test(test_root_becomes_the_owner_of_the_state_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
