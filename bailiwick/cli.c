#include "bailiwick/cli.h"

#include <string.h>
#include <unistd.h>

#include "core/util/log.h"
#include "core/util/mem.h"

#define PROBLEMS_MAX (256u * 1024u)

static const struct cli_option COMMON[] = {{"config", true}, {"help", false}};

static const struct cli_option *find_in(const struct cli_option *options, size_t n,
                                        const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static struct err keep(struct cli_args *args, const struct cli_option *option, const char *value)
{
    if (option == &COMMON[0]) {
        args->config_path = value;
    } else if (option == &COMMON[1]) {
        args->wants_help = true;
    } else if (args->given_n == CLI_GIVEN_MAX) {
        FAIL(ERR_MALFORMED, "more than %u options", CLI_GIVEN_MAX);
    } else {
        args->given[args->given_n++] = (struct cli_given){option->name, value};
    }
    return err_ok();
}

/* One "--name[=value]" at argv[*i]; may take argv[*i + 1] as its value. */
static struct err parse_option(int argc, char **argv, int *i, const struct cli_option *options,
                               size_t options_n, struct cli_args *args)
{
    const char *name = strcmp(argv[*i], "-h") == 0 ? "help" : argv[*i] + 2;
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    const struct cli_option *option = find_in(options, options_n, name, len);

    if (option == NULL) {
        option = find_in(COMMON, ARRAY_N(COMMON), name, len);
    }
    if (option == NULL) {
        FAIL(ERR_MALFORMED, "unknown option '--%.*s'", (int)(len > 60 ? 60 : len), name);
    }
    if (!option->has_value && value != NULL) {
        FAIL(ERR_MALFORMED, "option '--%s' takes no value", option->name);
    }
    if (option->has_value && value == NULL) {
        if (*i + 1 >= argc) {
            FAIL(ERR_MALFORMED, "option '--%s' needs a value", option->name);
        }
        value = argv[++*i];
    }
    return keep(args, option, value == NULL ? "" : value);
}

struct err cli_parse(int argc, char **argv, const struct cli_option *options, size_t options_n,
                     size_t min, size_t max, struct cli_args *out)
{
    bool is_over = false; /* "--" was seen */

    memset(out, 0, sizeof(*out));
    for (int i = 1; i < argc; i++) {
        if (!is_over && strcmp(argv[i], "--") == 0) {
            is_over = true;
        } else if (!is_over && (strncmp(argv[i], "--", 2) == 0 || strcmp(argv[i], "-h") == 0)) {
            TRY(parse_option(argc, argv, &i, options, options_n, out));
        } else if (out->positionals_n >= max || out->positionals_n == CLI_POSITIONALS_MAX) {
            FAIL(ERR_MALFORMED, "unexpected argument '%.60s'", argv[i]);
        } else {
            out->positionals[out->positionals_n++] = argv[i];
        }
    }
    if (out->positionals_n < min && !out->wants_help) {
        FAIL(ERR_MALFORMED, "an argument is missing");
    }
    return err_ok();
}

bool cli_begin(int argc, char **argv, const struct cli_option *options, size_t options_n,
               size_t min, size_t max, const char *help, struct cli_args *args, int *code)
{
    struct err e = cli_parse(argc, argv, options, options_n, min, max, args);

    if (e.code != ERR_OK) {
        (void)fprintf(stderr, "bailiwick %s: %s\nTry '--help'.\n", argv[0], err_trace()->text);
        *code = CLI_USAGE;
        return false;
    }
    if (args->wants_help) {
        *code = fputs(help, stdout) < 0 || fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
        return false;
    }
    return true;
}

const char *cli_value(const struct cli_args *args, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < args->given_n; i++) {
        if (strcmp(args->given[i].name, name) == 0) {
            value = args->given[i].value;
        }
    }
    return value;
}

size_t cli_values(const struct cli_args *args, const char *name, const char **out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < args->given_n; i++) {
        if (strcmp(args->given[i].name, name) == 0) {
            if (n < cap) {
                out[n] = args->given[i].value;
            }
            n++;
        }
    }
    return n;
}

int cli_load_config(const struct cli_args *args, struct config **out)
{
    AUTO(buf_clear) struct buf problems = BUF_INIT(PROBLEMS_MAX);
    struct err e = config_load(args->config_path, environ, &problems, out);

    if (e.code == ERR_OK) {
        return CLI_OK;
    }
    (void)fputs(buf_str(&problems), stderr);
    return cli_fail(e);
}

int cli_run_sub(const char *command, const struct cli_args *args, const struct cli_sub *subs,
                size_t subs_n, const char *usage)
{
    AUTO(config_freep) struct config *cfg = NULL;
    size_t words = args->positionals_n - 1;

    for (size_t i = 0; i < subs_n; i++) {
        if (strcmp(subs[i].name, args->positionals[0]) == 0 && words >= subs[i].min &&
            words <= subs[i].max) {
            int code = cli_load_config(args, &cfg);
            if (code != CLI_OK) {
                return code;
            }
            log_setup(LOG_ERROR, cfg->log_format);
            code = subs[i].run(cfg, args);
            return fflush(stdout) == 0 ? code : CLI_FAILED;
        }
    }
    (void)fprintf(stderr, "bailiwick %s: %s\nTry '--help'.\n", command, usage);
    return CLI_USAGE;
}

int cli_fail(struct err e)
{
    (void)fputs("bailiwick: ", stderr);
    cli_print_safe(stderr, err_trace()->text);
    (void)fputc('\n', stderr);
    return e.code == ERR_CONFIG ? CLI_CONFIG : CLI_FAILED;
}

void cli_print_safe(FILE *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        (void)fputc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, out);
    }
}
