/* The command line: what is refused, then what options become. */
#include "bailiwick/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"

#define ARGS_MAX 8

static const struct cli_option OPTIONS[] = {{"name", true}, {"quiet", false}};

static int count(char *const *argv)
{
    int n = 0;

    while (n < ARGS_MAX && argv[n] != NULL) {
        n++;
    }
    return n;
}

static const struct {
    const char *argv[ARGS_MAX];
    const char *sentence;
} BAD[] = {
    {{"add"}, "an argument is missing"},
    {{"add", "a", "b"}, "unexpected argument 'b'"},
    {{"add", "a", "--", "--quiet"}, "unexpected argument '--quiet'"},
    {{"add", "a", "--nothing"}, "unknown option '--nothing'"},
    {{"add", "a", "--nam", "x"}, "unknown option '--nam'"},
    {{"add", "a", "--names=x"}, "unknown option '--names'"},
    {{"add", "a", "--secret", "x"}, "unknown option '--secret'"},
    {{"add", "a", "--name"}, "option '--name' needs a value"},
    {{"add", "a", "--config"}, "option '--config' needs a value"},
    {{"add", "a", "--quiet=yes"}, "option '--quiet' takes no value"},
    {{"add", "a", "--help=1"}, "option '--help' takes no value"},
};

static void refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        struct cli_args args;
        char *argv[ARGS_MAX + 1] = {NULL};
        for (size_t k = 0; k < ARGS_MAX && BAD[i].argv[k] != NULL; k++) {
            argv[k] = mem_strdup(BAD[i].argv[k]);
            assert_non_null(argv[k]);
        }
        struct err e = cli_parse(count(argv), argv, OPTIONS, ARRAY_N(OPTIONS), 1, 1, &args);
        assert_int_equal(e.code, ERR_MALFORMED);
        assert_string_equal(err_trace()->text, BAD[i].sentence);
        for (size_t k = 0; k < ARGS_MAX; k++) {
            mem_free(argv[k]);
        }
    }
}

static void too_many_options_are_refused(void **state)
{
    static char word[] = "--name=x";
    static char first[] = "add";
    char *argv[CLI_GIVEN_MAX + 2];
    struct cli_args args;

    (void)state;
    argv[0] = first;
    for (size_t i = 1; i < ARRAY_N(argv); i++) {
        argv[i] = word;
    }
    assert_int_equal(
        cli_parse((int)ARRAY_N(argv) - 1, argv, OPTIONS, ARRAY_N(OPTIONS), 0, 1, &args).code,
        ERR_OK);
    assert_int_equal(
        cli_parse((int)ARRAY_N(argv), argv, OPTIONS, ARRAY_N(OPTIONS), 0, 1, &args).code,
        ERR_MALFORMED);
}

static void options_stand_anywhere(void **state)
{
    char words[][16] = {"add", "--name=x", "traefik", "--quiet", "--name", "*.x", "--config", "/c"};
    char *argv[ARGS_MAX];
    const char *names[1];
    struct cli_args args;

    (void)state;
    for (size_t i = 0; i < ARGS_MAX; i++) {
        argv[i] = words[i];
    }
    struct err e = cli_parse(ARGS_MAX, argv, OPTIONS, ARRAY_N(OPTIONS), 1, 1, &args);
    assert_int_equal(e.code, ERR_OK);
    assert_string_equal(args.positionals[0], "traefik");
    assert_string_equal(args.config_path, "/c");
    assert_string_equal(cli_value(&args, "name"), "*.x");
    assert_string_equal(cli_value(&args, "quiet"), "");
    assert_null(cli_value(&args, "nothing"));
    assert_int_equal(cli_values(&args, "name", names, ARRAY_N(names)), 2);
    assert_string_equal(names[0], "x");
}

static void values_and_names_may_begin_with_a_dash(void **state)
{
    char words[][16] = {"add", "--name", "--quiet", "--", "--x"};
    char dash[][4] = {"add", "-"};
    char *argv[5];
    struct cli_args args;

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        argv[i] = words[i];
    }
    assert_int_equal(cli_parse(5, argv, OPTIONS, ARRAY_N(OPTIONS), 1, 1, &args).code, ERR_OK);
    assert_string_equal(cli_value(&args, "name"), "--quiet");
    assert_string_equal(args.positionals[0], "--x");
    argv[0] = dash[0];
    argv[1] = dash[1];
    assert_int_equal(cli_parse(2, argv, OPTIONS, ARRAY_N(OPTIONS), 1, 1, &args).code, ERR_OK);
    assert_string_equal(args.positionals[0], "-");
}

static void help_needs_no_arguments(void **state)
{
    char words[][8] = {"add", "-h"};
    char *argv[] = {words[0], words[1]};
    struct cli_args args;

    (void)state;
    assert_int_equal(cli_parse(2, argv, OPTIONS, ARRAY_N(OPTIONS), 1, 1, &args).code, ERR_OK);
    assert_true(args.wants_help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(too_many_options_are_refused),
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(values_and_names_may_begin_with_a_dash),
        cmocka_unit_test(help_needs_no_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
