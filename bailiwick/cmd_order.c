/* bailiwick order: what happened to an order, in plain words. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bailiwick/ask.h"
#include "bailiwick/cli.h"

#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/token.h"

static const char HELP[] =
    "Usage: bailiwick order list [--json] [--config PATH]\n"
    "       bailiwick order show ID [--json] [--config PATH]\n\n"
    "list prints the newest orders. show prints what happened to one: who ordered what,\n"
    "what was looked up where and what came back, what was decided and why. ID is an\n"
    "order's id, or what stands at the end of a problem document's \"instance\".\n"
    "The running daemon is asked over control.sock.\n\n"
    "Options:\n"
    "  --json           print the daemon's answer as it is\n" CLI_CONFIG_HELP "\n"
    "Example:\n"
    "  bailiwick order show 91u6EE7rAHpWl7h1_kNMYQ\n\n" CLI_EXIT_HELP;

static const struct cli_option OPTIONS[] = {{"json", false}};

static void print_names(const json_t *order)
{
    const json_t *names = json_object_get(order, "identifiers");

    for (size_t i = 0; i < json_array_size(names); i++) {
        (void)fputs(i == 0 ? "" : ", ", stdout);
        cli_print_safe(stdout, json_string_value(json_array_get(names, i)));
    }
}

static void print_problem(const char *label, const json_t *problem)
{
    if (problem != NULL) {
        (void)printf("%s ", label);
        cli_print_safe(stdout, ask_text(problem, "detail"));
        (void)printf("\n            (");
        cli_print_safe(stdout, ask_text(problem, "type"));
        (void)printf(")\n");
    }
}

static void print_order(const json_t *order)
{
    if (order == NULL) {
        (void)printf("It belongs to no order.\n");
        return;
    }
    (void)printf("order       %s: %s\n", ask_text(order, "id"), ask_text(order, "status"));
    (void)printf("names       ");
    print_names(order);
    (void)printf("\naccount     %s\nprofile     %s\n", ask_text(order, "account"),
                 ask_text(order, "profile"));
    if (ask_text(order, "certificate")[0] != '\0') {
        (void)printf("certificate %s\n", ask_text(order, "certificate"));
    }
    print_problem("error      ", json_object_get(order, "error"));
}

static void print_timeline(const json_t *timeline)
{
    (void)printf("\n");
    for (size_t i = 0; i < json_array_size(timeline); i++) {
        const json_t *row = json_array_get(timeline, i);
        const char *time = ask_text(row, "time");
        (void)printf("%.19s.%03" PRId64 "Z  ", time,
                     (int64_t)json_integer_value(json_object_get(row, "millisecond")));
        cli_print_safe(stdout, ask_text(row, "text"));
        (void)printf("\n");
    }
}

static void print_show(const json_t *reply)
{
    const json_t *problem = json_object_get(reply, "problem");

    if (problem != NULL) {
        (void)printf("refused     at %s\n", ask_text(problem, "time"));
    }
    print_problem("reason     ", problem);
    print_order(json_object_get(reply, "order"));
    print_timeline(json_object_get(reply, "timeline"));
}

static void print_list(const json_t *reply)
{
    if (json_array_size(reply) == 0) {
        (void)printf("There are no orders yet.\n");
    }
    for (size_t i = 0; i < json_array_size(reply); i++) {
        const json_t *order = json_array_get(reply, i);
        (void)printf("%s  %-8s ", ask_text(order, "id"), ask_text(order, "status"));
        print_names(order);
        (void)printf("\n");
    }
}

static int ask(const struct cli_args *args, const char *id)
{
    AUTO(config_freep) struct config *cfg = NULL;
    AUTO(json_decrefp) json_t *reply = NULL;
    char path[64] = "/api/v1/orders";
    int code = cli_load_config(args, &cfg);

    if (code != CLI_OK) {
        return code;
    }
    log_setup(LOG_ERROR, cfg->log_format);
    if (id != NULL) {
        (void)snprintf(path, sizeof(path), "/api/v1/orders/%s", id);
    }
    code = ask_daemon(cfg, "order", "GET", path, NULL, &reply);
    if (code != CLI_OK) {
        return code;
    }
    if (cli_value(args, "json") != NULL) {
        ask_print_json(reply);
    } else if (id == NULL) {
        print_list(reply);
    } else {
        print_show(reply);
    }
    return CLI_OK;
}

int cmd_order(int argc, char **argv)
{
    struct cli_args args;
    int code = CLI_OK;

    if (!cli_begin(argc, argv, OPTIONS, ARRAY_N(OPTIONS), 1, 2, HELP, &args, &code)) {
        return code;
    }
    const char *command = args.positionals[0];
    if (strcmp(command, "list") == 0 && args.positionals_n == 1) {
        return ask(&args, NULL);
    }
    if (strcmp(command, "show") != 0 || args.positionals_n != 2) {
        (void)fprintf(stderr, "bailiwick order: 'list', or 'show ID'\n\n%s", HELP);
        return CLI_USAGE;
    }
    const char *id = strrchr(args.positionals[1], '/'); /* a whole instance URL will do */
    id = id == NULL ? args.positionals[1] : id + 1;
    if (strlen(id) != OBJECT_ID_LEN || !is_base64url(id, OBJECT_ID_LEN)) {
        (void)fprintf(stderr,
                      "bailiwick order show: '%.80s' is no id: it has %u letters, digits, '-' "
                      "and '_'\n",
                      args.positionals[1], OBJECT_ID_LEN);
        return CLI_FAILED;
    }
    return ask(&args, id);
}
