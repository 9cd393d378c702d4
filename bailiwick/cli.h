/* The command line's common part: exit codes, options, loading the configuration, and the
 * subcommands.
 *
 * Each subcommand is one function in its own file; argv[0] is its name. Thread: main only, before
 * any other. */
#ifndef BAILIWICK_CLI_H
#define BAILIWICK_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/util/config.h"
#include "core/util/err.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_CONFIG = 3,
    CLI_UNREACHABLE = 4 /* no daemon answers on the control socket, and the command needs one */
};
#define CLI_EXIT_HELP                                                                              \
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration,\n"                        \
    "4 the daemon was needed and does not answer.\n"
#define CLI_CONFIG_HELP                                                                            \
    "  --config PATH    configuration file (default: $BAILIWICK_CONFIG, else\n"                    \
    "                   /etc/bailiwick/bailiwick.yaml if it exists)\n"                             \
    "  --help           show this text\n"

/* --config and --help are known to every command. Names are without "--". */
struct cli_option {
    const char *name;
    bool has_value;
};
#define CLI_POSITIONALS_MAX 128u /* the words of a record */
#define CLI_GIVEN_MAX 400u
struct cli_given {
    const char *name;  /* of the struct cli_option */
    const char *value; /* borrowed from argv; "" without a value */
};
struct cli_args {
    const char *config_path; /* or NULL */
    bool wants_help;
    const char *positionals[CLI_POSITIONALS_MAX];
    size_t positionals_n;
    struct cli_given given[CLI_GIVEN_MAX];
    size_t given_n;
};

/* Parse argv[1..]: "--name value", "--name=value", "--" ends options, options may follow
 * positionals; there are no short options but -h.
 * ERR_MALFORMED with a sentence, also unless the number of positionals is within min..max (--help
 * given: not checked). */
MUST_USE struct err cli_parse(int argc, char **argv, const struct cli_option *options,
                              size_t options_n, size_t min, size_t max, struct cli_args *out);
/* Parse, answer --help and usage faults. true: go on; false: leave with *code. */
bool cli_begin(int argc, char **argv, const struct cli_option *options, size_t options_n,
               size_t min, size_t max, const char *help, struct cli_args *args, int *code);
/* The last value of an option, or NULL. */
const char *cli_value(const struct cli_args *args, const char *name);
/* Every value of an option; returns how many, at most cap are stored. */
size_t cli_values(const struct cli_args *args, const char *name, const char **out, size_t cap);

/* Load the configuration; prints every problem to standard error. CLI_OK or CLI_CONFIG or
 * CLI_FAILED. */
int cli_load_config(const struct cli_args *args, struct config **out);
/* A command's own command: "list" of "bailiwick zone list". */
struct cli_sub {
    const char *name;
    size_t min, max;                                             /* positionals behind it */
    int (*run)(struct config *cfg, const struct cli_args *args); /* positionals[0]: name */
};
/* Run the one that the first positional names, with the configuration loaded and nothing logged but
 * errors. usage: what there is, printed if none fits. Returns its exit code; CLI_FAILED if standard
 * output does not take what it printed. */
int cli_run_sub(const char *command, const struct cli_args *args, const struct cli_sub *subs,
                size_t subs_n, const char *usage);
/* Print this thread's failure to standard error; returns CLI_FAILED, or CLI_CONFIG for
 * ERR_CONFIG. */
int cli_fail(struct err e);
/* Print text from a peer or the store: control bytes as '?'. */
void cli_print_safe(FILE *out, const char *text);

int cmd_serve(int argc, char **argv);
int cmd_init(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_order(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_zone(int argc, char **argv);
int cmd_dns(int argc, char **argv);
int cmd_client(int argc, char **argv);
int cmd_client_add(int argc, char **argv);
int cmd_client_list(int argc, char **argv);
int cmd_client_remove(int argc, char **argv);
int cmd_client_cname(int argc, char **argv);
int cmd_client_release(int argc, char **argv);

#endif
