/* bailiwick dns: what DNS does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bailiwick/ask.h"
#include "bailiwick/cli.h"
#include "core/util/mem.h"

#define PATH_MAX_LEN 4096u

static const char HELP[] =
    "Usage: bailiwick dns trace NAME [TYPE] [--config PATH]\n"
    "       bailiwick dns counters [--json] [--config PATH]\n"
    "       bailiwick dns log [on|off|-n N] [--json] [--config PATH]\n"
    "       bailiwick dns transfers [--json] [--config PATH]\n\n"
    "trace      explains how the answer to a question comes about; TYPE is A unless given.\n"
    "counters   prints what was asked, by zone, type and outcome.\n"
    "log        prints the newest 50 entries of the query log, or N of the 4,096 that are\n"
    "           kept in memory; on and off switch it.\n"
    "transfers  prints what each secondary was told, and what it said.\n\n"
    "The running daemon is asked over control.sock.\n\n"
    "Options:\n"
    "  --json           print the daemon's answer as it is\n" CLI_CONFIG_HELP "\n"
    "Examples:\n"
    "  bailiwick dns trace _acme-challenge.www.home.arpa TXT\n"
    "  bailiwick dns log on\n"
    "  bailiwick dns log -n 200\n\n" CLI_EXIT_HELP;

static const struct cli_option OPTIONS[] = {{"json", false}};

/* One question to the daemon, and how its answer is printed. */
static int show(const struct config *cfg, const struct cli_args *args, const char *path,
                void (*print)(const json_t *reply))
{
    AUTO(json_decrefp) json_t *reply = NULL;
    int code = ask_daemon(cfg, "dns", "GET", path, NULL, &reply);

    if (code != CLI_OK) {
        return code;
    }
    if (cli_value(args, "json") != NULL) {
        ask_print_json(reply);
    } else {
        print(reply);
    }
    return CLI_OK;
}

static void print_trace(const json_t *reply)
{
    const char *text = ask_text(reply, "text");

    while (*text != '\0') {
        char line[1024];
        size_t n = strcspn(text, "\n");
        (void)snprintf(line, sizeof(line), "%.*s", (int)(n < 1023 ? n : 1023), text);
        for (char *tab = strchr(line, '\t'); tab != NULL; tab = strchr(tab, '\t')) {
            *tab = ' '; /* records are written with them */
        }
        cli_print_safe(stdout, line);
        (void)putchar('\n');
        text += n + (text[n] == '\n' ? 1 : 0);
    }
}

static int trace(struct config *cfg, const struct cli_args *args)
{
    AUTO(buf_clear) struct buf path = BUF_INIT(PATH_MAX_LEN);

    buf_puts(&path, "/api/v1/dns/trace?name=");
    control_escape(&path, args->positionals[1]);
    if (args->positionals_n > 2) {
        buf_puts(&path, "&type=");
        control_escape(&path, args->positionals[2]);
    }
    struct err e = buf_check(&path);
    return e.code == ERR_OK ? show(cfg, args, buf_str(&path), print_trace) : cli_fail(e);
}

static void print_counters(const json_t *reply)
{
    const json_t *forward = json_object_get(reply, "forward");
    const json_t *one = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(reply, "counts"), i, one)
    {
        const char *zone = ask_text(one, "zone");
        (void)printf("%12lld  %-10s %-10s ", ask_number(one, "n"), ask_text(one, "type"),
                     ask_text(one, "rcode"));
        cli_print_safe(stdout, zone[0] == '\0' ? "(no zone of ours)" : zone);
        (void)putchar('\n');
    }
    if (i == 0) {
        (void)puts("Nothing was asked yet.");
    }
    if (json_is_object(forward)) {
        (void)printf("forwarded: %lld asked, %lld answered, %lld failed, %lld refused, %lld timed "
                     "out\n",
                     ask_number(forward, "asked"), ask_number(forward, "answered"),
                     ask_number(forward, "failed"), ask_number(forward, "refused"),
                     ask_number(forward, "timeouts"));
    }
}

static int counters(struct config *cfg, const struct cli_args *args)
{
    return show(cfg, args, "/api/v1/dns/counters", print_counters);
}

static void print_log(const json_t *reply)
{
    bool is_on = json_is_true(json_object_get(reply, "on"));
    const json_t *one = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(reply, "entries"), i, one)
    {
        (void)printf("%.19s.%03lldZ %s %s ", ask_text(one, "time"), ask_number(one, "millisecond"),
                     ask_text(one, "peer"), ask_text(one, "transport"));
        cli_print_safe(stdout, ask_text(one, "name"));
        (void)printf(" %s %s, %s (%s)\n", ask_text(one, "type"), ask_text(one, "rcode"),
                     ask_text(one, "verdict"), ask_text(one, "reason"));
    }
    if (!is_on) {
        (void)puts("The query log is off; 'bailiwick dns log on' switches it on.");
    } else if (i == 0) {
        (void)puts("The query log is on and empty.");
    }
}

static int switch_log(const struct config *cfg, bool is_on)
{
    AUTO(json_decrefp) json_t *body = json_pack("{s:b}", "on", is_on ? 1 : 0);
    AUTO(json_decrefp) json_t *reply = NULL;

    return ask_daemon(cfg, "dns", "PUT", "/api/v1/dns/log", body, &reply);
}

static int query_log(struct config *cfg, const struct cli_args *args)
{
    AUTO(buf_clear) struct buf path = BUF_INIT(PATH_MAX_LEN);
    const char *word = args->positionals_n > 1 ? args->positionals[1] : "";
    bool is_switch = strcmp(word, "on") == 0 || strcmp(word, "off") == 0;
    bool is_number = strcmp(word, "-n") == 0;

    if (is_switch && args->positionals_n == 2) {
        return switch_log(cfg, strcmp(word, "on") == 0);
    }
    if (is_switch || (word[0] != '\0' && !is_number) || (is_number && args->positionals_n != 3)) {
        (void)fprintf(stderr, "bailiwick dns log: 'on', 'off' or '-n N'\nTry '--help'.\n");
        return CLI_USAGE;
    }
    buf_puts(&path, "/api/v1/dns/log");
    if (is_number) {
        buf_puts(&path, "?n=");
        control_escape(&path, args->positionals[2]);
    }
    struct err e = buf_check(&path);
    return e.code == ERR_OK ? show(cfg, args, buf_str(&path), print_log) : cli_fail(e);
}

static void print_transfers(const json_t *reply)
{
    const json_t *one = NULL;
    size_t i = 0;

    json_array_foreach(reply, i, one)
    {
        const char *at = ask_text(one, "answered_at");
        cli_print_safe(stdout, ask_text(one, "zone"));
        (void)printf(" -> %s: told serial %lld", ask_text(one, "server"),
                     ask_number(one, "notified"));
        if (at[0] != '\0') {
            (void)printf(", answered for %lld at %s", ask_number(one, "answered"), at);
        }
        (void)fputs("; ", stdout);
        cli_print_safe(stdout, ask_text(one, "last"));
        (void)putchar('\n');
    }
    if (i == 0) {
        (void)puts("No secondary is told of changes (zones: transfer: notify:).");
    }
}

static int transfers(struct config *cfg, const struct cli_args *args)
{
    return show(cfg, args, "/api/v1/dns/transfers", print_transfers);
}

static const struct cli_sub COMMANDS[] = {
    {"trace", 1, 2, trace},
    {"counters", 0, 0, counters},
    {"log", 0, 2, query_log},
    {"transfers", 0, 0, transfers},
};

int cmd_dns(int argc, char **argv)
{
    struct cli_args args;
    int code = CLI_OK;

    if (!cli_begin(argc, argv, OPTIONS, ARRAY_N(OPTIONS), 1, 3, HELP, &args, &code)) {
        return code;
    }
    return cli_run_sub("dns", &args, COMMANDS, ARRAY_N(COMMANDS),
                       "'trace NAME [TYPE]', 'counters', 'log' or 'transfers'");
}
