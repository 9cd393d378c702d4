/* `bailiwick record`, `zone` and `dns` without a daemon: on the state directory, or saying that one
 * is needed. */
#include "bailiwick/cli.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/util/mem.h"

#define WORDS_MAX 12

static char dir[] = "/tmp/bw-commands-XXXXXX";
static char config_path[64], zone_path[64];
static char said[65536]; /* standard output and standard error of the last command */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    char yaml[512];

    (void)state;
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    (void)snprintf(config_path, sizeof(config_path), "%s/c.yaml", dir);
    (void)snprintf(zone_path, sizeof(zone_path), "%s/zone", dir);
    (void)snprintf(yaml, sizeof(yaml),
                   "state_dir: %s/state\nhostname: ca.a.test\naddresses: [10.0.0.53]\n"
                   "zones: [{name: a.test, ingress: [10.0.0.80]}]\n",
                   dir);
    write_file(config_path, yaml);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const FILES[] = {
        "c.yaml",
        "zone",
        "state/bailiwick.db",
        "state/bailiwick.db-wal",
        "state/bailiwick.db-shm",
        "state/lock",
        "state/keys/installation.key",
        "state/keys/root.key",
        "state/keys/root.pem",
        "state/keys/intermediate.key",
        "state/keys/intermediate.pem",
        "state/keys",
        "state",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(FILES); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, FILES[i]);
        (void)remove(path);
    }
    return rmdir(dir);
}

static int dispatch(int argc, char **argv)
{
    if (strcmp(argv[0], "record") == 0) {
        return cmd_record(argc, argv);
    }
    return strcmp(argv[0], "zone") == 0 ? cmd_zone(argc, argv) : cmd_dns(argc, argv);
}

/* The exit code of the words as a command line; NULL ends them. */
static int run(const char *const words[WORDS_MAX])
{
    char *argv[WORDS_MAX + 3] = {NULL};
    FILE *out = tmpfile();
    int kept[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    int argc = 0;

    assert_non_null(out);
    argv[argc++] = mem_strdup(words[0]);
    argv[argc++] = mem_strdup("--config");
    argv[argc++] = mem_strdup(config_path);
    for (size_t i = 1; i < WORDS_MAX && words[i] != NULL; i++) {
        argv[argc++] = mem_strdup(words[i]);
    }
    (void)fflush(stdout);
    (void)fflush(stderr);
    assert_true(dup2(fileno(out), STDOUT_FILENO) >= 0 && dup2(fileno(out), STDERR_FILENO) >= 0);
    int code = dispatch(argc, argv);
    (void)fflush(stdout);
    (void)fflush(stderr);
    assert_true(dup2(kept[0], STDOUT_FILENO) >= 0 && dup2(kept[1], STDERR_FILENO) >= 0);
    (void)close(kept[0]);
    (void)close(kept[1]);
    rewind(out);
    said[fread(said, 1, sizeof(said) - 1, out)] = '\0';
    assert_int_equal(fclose(out), 0);
    for (int i = 0; i < argc; i++) {
        mem_free(argv[i]);
    }
    return code;
}

struct step {
    const char *words[WORDS_MAX];
    int code;
    const char *says; /* NULL: nothing at all */
};

static void run_steps(const struct step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int code = run(steps[i].words);
        bool is_as_wanted =
            steps[i].says == NULL ? said[0] == '\0' : strstr(said, steps[i].says) != NULL;
        if (code != steps[i].code || !is_as_wanted) {
            fail_msg("step %zu, %s %s: code %d, said: %s", i, steps[i].words[0], steps[i].words[1],
                     code, said);
        }
    }
}

static void wrong_usage_is_told(void **state)
{
    static const struct step steps[] = {
        {{"record"}, CLI_USAGE, "an argument is missing"},
        {{"record", "change", "x"}, CLI_USAGE, "'add NAME TYPE DATA'"},
        {{"record", "add"}, CLI_USAGE, "'add NAME TYPE DATA'"},
        {{"record", "list", "a", "b"}, CLI_USAGE, "'add NAME TYPE DATA'"},
        {{"record", "remove", "a", "--json"}, CLI_USAGE, "'add NAME TYPE DATA'"},
        {{"record", "list", "--nope"}, CLI_USAGE, "unknown option '--nope'"},
        {{"zone", "list", "x"}, CLI_USAGE, "'list', 'import ZONE FILE'"},
        {{"zone", "import", "x"}, CLI_USAGE, "'list', 'import ZONE FILE'"},
        {{"zone", "nope"}, CLI_USAGE, "'list', 'import ZONE FILE'"},
        {{"dns", "trace"}, CLI_USAGE, "'trace NAME [TYPE]'"},
        {{"dns", "log", "maybe"}, CLI_USAGE, "'on', 'off' or '-n N'"},
        {{"dns", "log", "-n"}, CLI_USAGE, "'on', 'off' or '-n N'"},
        {{"dns", "log", "on", "off"}, CLI_USAGE, "'on', 'off' or '-n N'"},
        {{"dns", "trace", "--help"}, CLI_OK, "Usage: bailiwick dns trace NAME"},
        {{"zone", "--help"}, CLI_OK, "Usage: bailiwick zone list"},
        {{"record", "--help"}, CLI_OK, "Usage: bailiwick record add NAME"},
    };

    (void)state;
    run_steps(steps, ARRAY_N(steps));
}

static void a_daemon_is_asked_for(void **state)
{
    static const struct step steps[] = {
        {{"dns", "trace", "x.a.test"}, CLI_UNREACHABLE, "no daemon runs on"},
        {{"dns", "counters"}, CLI_UNREACHABLE, "no daemon runs on"},
        {{"dns", "log", "on"}, CLI_UNREACHABLE, "no daemon runs on"},
        {{"dns", "log", "-n", "5"}, CLI_UNREACHABLE, "no daemon runs on"},
        {{"dns", "transfers"}, CLI_UNREACHABLE, "no daemon runs on"},
        {{"zone", "reload"}, CLI_UNREACHABLE, "no daemon runs on"},
    };

    (void)state;
    run_steps(steps, ARRAY_N(steps));
}

static void records_on_the_state_directory(void **state)
{
    static const struct step steps[] = {
        {{"record", "list"}, CLI_FAILED, "there is no database in"},
        {{"zone", "list"}, CLI_FAILED, "there is no database in"},
        {{"record", "add", "x.a.test", "A"}, CLI_FAILED, "x.a.test: a record needs a type and its"},
        {{"record", "add", "x.a.test", "300", "A"}, CLI_FAILED, "x.a.test: a record needs a type"},
        {{"record", "add", "x.a.test", "A", "10.0.0"}, CLI_FAILED, "x.a.test A: "},
        {{"record", "add", "x.a.test", "99999999999", "A", "10.0.0.1"}, CLI_FAILED, "99999999999"},
        {{"record", "add", "x.a.test", "4294967295", "A", "10.0.0.1"}, CLI_FAILED, "ttl is not"},
        {{"record", "add", "x.z.test", "A", "10.0.0.1"}, CLI_FAILED, "x.z.test"},
        {{"record", "add", "_acme-challenge.a.test", "TXT", "x"}, CLI_FAILED, "_acme-challenge"},
        {{"record", "add", "\xff.a.test", "A", "10.0.0.1"}, CLI_FAILED, "UTF-8"},
        {{"record", "add", "x.a.test", "A", "10.0.0.1"}, CLI_OK, NULL},
        {{"record", "add", "x.a.test.", "60", "txt", "v=spf1 -all", "b;c"}, CLI_OK, NULL},
        {{"record", "add", "a.test", "CAA", "0", "issue", ";"}, CLI_OK, NULL},
        {{"record", "add", "y.a.test", "TXT", "--", "--x"}, CLI_OK, NULL},
        {{"record", "list", "x.a.test"}, CLI_OK, "x.a.test. 300 A 10.0.0.1\n"},
        {{"record", "list"}, CLI_OK, "x.a.test. 60 TXT \"v=spf1 -all\" \"b;c\"\n"},
        {{"record", "list", "A.test."}, CLI_OK, "a.test. 300 CAA 0 issue \";\"\n"},
        {{"record", "list", "y.a.test", "--json"}, CLI_OK, "\"rdata\": \"\\\"--x\\\"\""},
        {{"record", "list", "z.test"}, CLI_FAILED, "'z.test' is in no zone served here"},
        {{"record", "list", "nothing.a.test"}, CLI_OK, "There are no records here."},
        {{"record", "remove", "x.a.test", "A", "10.0.0.9"}, CLI_FAILED, "x.a.test"},
        {{"record", "remove", "x.a.test", "TXT"}, CLI_OK, NULL},
        {{"record", "remove", "x.a.test"}, CLI_OK, NULL},
        {{"record", "list", "x.a.test"}, CLI_OK, "There are no records here."},
    };

    (void)state;
    run_steps(steps, ARRAY_N(steps));
}

static void zones_on_the_state_directory(void **state)
{
    const struct step bad[] = {
        {{"zone", "check", zone_path, "a.test"}, CLI_FAILED, "/zone:2: "},
        {{"zone", "import", "a.test", zone_path}, CLI_FAILED, "/zone:2: "},
        {{"zone", "import", "no_zone", zone_path}, CLI_FAILED, "'no_zone' is not a zone's name"},
        {{"zone", "import", "a.test", "/nonexistent/x"}, CLI_FAILED, "/nonexistent/x"},
        {{"zone", "check", "/nonexistent/x", "a.test"}, CLI_FAILED, "/nonexistent/x"},
        {{"zone", "export", "z.test"}, CLI_FAILED, "z.test"},
    };
    const struct step good[] = {
        {{"zone", "check", zone_path, "a.test"}, CLI_OK, "is good: 2 records"},
        {{"zone", "check", zone_path, "other.test"}, CLI_OK, "note: 'other.test' is no zone that"},
        {{"zone", "import", "A.test.", zone_path}, CLI_OK, "a.test: 2 records changed\n"},
        {{"zone", "import", "a.test", zone_path}, CLI_OK, "a.test: 0 records changed\n"},
        {{"zone", "list"}, CLI_OK, "a.test, serial "},
        {{"zone", "list", "--json"}, CLI_OK, "\"name\": \"acme.a.test\""},
        {{"zone", "export", "a.test"}, CLI_OK, "one.a.test.\t77\tIN\tA\t10.0.0.1\n"},
        {{"zone", "export", "a.test", "--written-out"}, CLI_OK, "_acme-challenge.one.a.test."},
    };

    (void)state;
    write_file(zone_path, "good A 10.0.0.1\nbad A x\n");
    run_steps(bad, ARRAY_N(bad));
    write_file(zone_path, "$TTL 77\none A 10.0.0.1\ntwo CNAME one\n");
    run_steps(good, ARRAY_N(good));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage_is_told),
        cmocka_unit_test(a_daemon_is_asked_for),
        cmocka_unit_test(records_on_the_state_directory),
        cmocka_unit_test(zones_on_the_state_directory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
