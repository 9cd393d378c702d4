/* bailiwick record: DNS records of the zones, kept in the store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bailiwick/ask.h"
#include "bailiwick/cli.h"
#include "bailiwick/offline.h"
#include "bailiwick/record_words.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "web/admin_records.h"

#define PATH_MAX_LEN 4096u

static const char HELP[] =
    "Usage: bailiwick record add NAME [TTL] TYPE DATA... [--config PATH]\n"
    "       bailiwick record remove NAME [TYPE [DATA...]] [--config PATH]\n"
    "       bailiwick record list [ZONE|NAME] [--json] [--config PATH]\n\n"
    "Add, remove and list the DNS records of the zones that this server answers. NAME is\n"
    "always a whole name. DATA is written as in a zone file; each word behind TXT is one\n"
    "text, quoted for you. Without a TTL a record lives 300 s. remove without DATA takes\n"
    "every record of the type, without TYPE every record at the name. Records from a zone's\n"
    "file are changed in the file. A running daemon is asked over control.sock; without\n"
    "one the state directory is changed directly.\n\n"
    "Options:\n"
    "  --json           list: print the answer as it is\n"
    "  --               what follows is no option, though it may begin with --\n" CLI_CONFIG_HELP
    "\n"
    "Examples:\n"
    "  bailiwick record add nas.home.arpa A 10.0.0.7\n"
    "  bailiwick record add home.arpa 3600 MX 10 mail.home.arpa\n"
    "  bailiwick record add home.arpa TXT 'v=spf1 -all'\n"
    "  bailiwick record remove nas.home.arpa A\n"
    "  bailiwick record list nas.home.arpa\n\n" CLI_EXIT_HELP;

static const struct cli_option OPTIONS[] = {{"json", false}};

/* "300" and nothing else: no type looks so. */
static bool is_ttl(const char *word)
{
    size_t n = strlen(word);

    return n >= 1 && n <= 10 && strspn(word, "0123456789") == n;
}

/* {"edits": [...]} of the words behind the command. */
static struct err make_edit(const char *op, const char *const *words, size_t n, json_t **out)
{
    AUTO(buf_clear) struct buf data = BUF_INIT(ADMIN_EDITS_BODY_MAX);
    bool is_add = strcmp(op, "add") == 0;
    bool has_ttl = is_add && n >= 2 && is_ttl(words[1]);
    json_int_t ttl = RECORDS_DEFAULT_TTL_S;
    size_t at = has_ttl ? 2 : 1;
    const char *type = at < n ? words[at] : NULL;

    for (const char *c = has_ttl ? words[1] : ""; *c != '\0'; c++) {
        ttl = (c == words[1] ? 0 : ttl) * 10 + (*c - '0');
    }
    if (is_add && at + 1 >= n) {
        FAIL(ERR_MALFORMED, "%.255s: a record needs a type and its data, as in A 10.0.0.1",
             words[0]);
    }
    if (at + 1 < n) {
        record_words_join(type, words + at + 1, n - at - 1, &data);
        TRY(buf_check(&data));
    }
    *out = json_pack("{s:[{s:s, s:s, s:s*, s:s*, s:I}]}", "edits", "op", op, "name", words[0],
                     "type", type, "rdata", data.len == 0 ? NULL : buf_str(&data), "ttl", ttl);
    if (*out == NULL) {
        FAIL(ERR_MALFORMED,
             "%.255s: name and data must be text in UTF-8; write other octets as "
             "\\DDD",
             words[0]);
    }
    return err_ok();
}

static struct err edit_offline(const struct config *cfg, const json_t *body)
{
    struct app_offline *offline = NULL;
    char *text = json_dumps(body, JSON_COMPACT);
    size_t n = 0;

    TRY_PTR(text);
    struct err e = app_offline_open(cfg, &offline);
    if (e.code == ERR_OK) {
        e = admin_records_edit(offline->records, text, strlen(text), &n);
        e = offline_close(offline, e);
    }
    free(text); /* allow: jansson's allocation */
    return e;
}

static struct err edit(const struct config *cfg, const char *op, const char *const *words, size_t n)
{
    AUTO(json_decrefp) json_t *body = NULL;
    AUTO(json_decrefp) json_t *reply = NULL;

    TRY(make_edit(op, words, n, &body));
    struct err e = control_request(cfg, "POST", "/api/v1/records", body, &reply);
    return e.code == ERR_NOT_FOUND ? edit_offline(cfg, body) : e;
}

/* A line as in a zone file; where it is from stands behind it, as a comment. */
static void print_record(const json_t *record)
{
    const char *source = ask_text(record, "source");
    const char *client = ask_text(record, "client");
    const char *name = ask_text(record, "name");

    cli_print_safe(stdout, name);
    (void)printf("%s %lld %s ", strcmp(name, ".") == 0 ? "" : ".", ask_number(record, "ttl"),
                 ask_text(record, "type"));
    cli_print_safe(stdout, ask_text(record, "rdata"));
    if (strcmp(source, "file") == 0) {
        (void)fputs(" ; from the zone's file", stdout);
    } else if (strcmp(source, "derived") == 0) {
        (void)fputs(" ; made from an address", stdout);
    } else if (client[0] != '\0') {
        (void)fputs(" ; by client ", stdout);
        cli_print_safe(stdout, client);
    }
    (void)putchar('\n');
}

static void print_records(const json_t *reply)
{
    size_t i = 0;
    const json_t *record = NULL;

    json_array_foreach(json_object_get(reply, "records"), i, record)
    {
        print_record(record);
    }
    if (i == 0) {
        (void)puts("There are no records here.");
    }
    if (json_is_true(json_object_get(reply, "more"))) {
        (void)puts("; more are not shown: 'bailiwick zone export ZONE' writes all");
    }
}

static struct err list_offline(const struct config *cfg, const char *what, json_t **reply)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(ADMIN_ZONE_TEXT_MAX);
    struct app_offline *offline = NULL;

    TRY(offline_open_existing(cfg, &offline));
    struct err e = admin_records_find(offline->records, what, &text);
    TRY(offline_close(offline, e));
    *reply = json_loadb((const char *)text.data, text.len, 0, NULL);
    TRY_PTR(*reply);
    return err_ok();
}

static struct err list(const struct config *cfg, const char *what, bool is_json)
{
    AUTO(buf_clear) struct buf path = BUF_INIT(PATH_MAX_LEN);
    AUTO(json_decrefp) json_t *reply = NULL;

    buf_puts(&path, "/api/v1/records");
    if (what != NULL) {
        buf_puts(&path, "?name=");
        control_escape(&path, what);
    }
    TRY(buf_check(&path));
    struct err e = control_request(cfg, "GET", buf_str(&path), NULL, &reply);
    if (e.code == ERR_NOT_FOUND) {
        e = list_offline(cfg, what, &reply);
    }
    TRY(e);
    if (is_json) {
        ask_print_json(reply);
    } else {
        print_records(reply);
    }
    return err_ok();
}

static bool is_usage(const struct cli_args *args, bool is_list)
{
    const char *command = args->positionals[0];

    if (is_list) {
        return args->positionals_n <= 2;
    }
    return (strcmp(command, "add") == 0 || strcmp(command, "remove") == 0) &&
           args->positionals_n >= 2 && cli_value(args, "json") == NULL;
}

int cmd_record(int argc, char **argv)
{
    struct cli_args args;
    AUTO(config_freep) struct config *cfg = NULL;
    int code = CLI_OK;

    if (!cli_begin(argc, argv, OPTIONS, ARRAY_N(OPTIONS), 1, CLI_POSITIONALS_MAX, HELP, &args,
                   &code)) {
        return code;
    }
    bool is_list = strcmp(args.positionals[0], "list") == 0;
    if (!is_usage(&args, is_list)) {
        (void)fprintf(stderr, "bailiwick record: 'add NAME TYPE DATA', 'remove NAME', or 'list'\n"
                              "Try '--help'.\n");
        return CLI_USAGE;
    }
    code = cli_load_config(&args, &cfg);
    if (code != CLI_OK) {
        return code;
    }
    log_setup(LOG_ERROR, cfg->log_format);
    const char *what = args.positionals_n > 1 ? args.positionals[1] : NULL;
    struct err e =
        is_list ? list(cfg, what, cli_value(&args, "json") != NULL)
                : edit(cfg, args.positionals[0], args.positionals + 1, args.positionals_n - 1);
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}
