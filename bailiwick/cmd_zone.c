/* bailiwick zone: whole zones. */
#include <stdio.h>
#include <string.h>

#include "bailiwick/ask.h"
#include "bailiwick/cli.h"
#include "bailiwick/offline.h"
#include "bailiwick/zone_check.h"
#include "core/util/file.h"
#include "core/util/mem.h"
#include "web/admin_records.h"

#define PATH_MAX_LEN 4096u
#define PROBLEMS_MAX (64u * 1024u)
#define ZONE_TIMEOUT_S 600 /* a million records take their time */

static const char HELP[] =
    "Usage: bailiwick zone list [--json] [--config PATH]\n"
    "       bailiwick zone import ZONE FILE [--replace] [--config PATH]\n"
    "       bailiwick zone export ZONE [--written-out] [--config PATH]\n"
    "       bailiwick zone check FILE ZONE [--config PATH]\n"
    "       bailiwick zone reload [--config PATH]\n\n"
    "list    prints the zones with their serial numbers.\n"
    "import  reads a zone file (RFC 1035) into the store: all of it or nothing. SOA and NS\n"
    "        records at the top of the zone are this server's and passed over. Again is fine:\n"
    "        what is there already stays.\n"
    "export  writes a zone as a zone file to standard output.\n"
    "check   reads a zone file without any change and prints its faults.\n"
    "reload  reads the files of the zones (zones: file:) again, as SIGHUP does.\n\n"
    "Without a running daemon, list, import and export work on the state directory.\n\n"
    "Options:\n"
    "  --replace        import: the zone's records in the store, those of clients included,\n"
    "                   go first; records from the zone's file stay\n"
    "  --written-out    export: as a secondary gets it, with the names that this server\n"
    "                   makes up\n"
    "  --json           list: print the answer as it is\n" CLI_CONFIG_HELP "\n"
    "Examples:\n"
    "  bailiwick zone import home.arpa ./home.arpa.zone\n"
    "  bailiwick zone export home.arpa --written-out | named-checkzone home.arpa "
    "/dev/stdin\n\n" CLI_EXIT_HELP;

static const struct cli_option OPTIONS[] = {
    {"replace", false}, {"written-out", false}, {"json", false}};

/* --- list ------------------------------------------------------------------------------------- */

static void print_zone(const json_t *zone)
{
    const char *file = ask_text(zone, "file");

    cli_print_safe(stdout, ask_text(zone, "name"));
    if (!json_is_true(json_object_get(zone, "served"))) {
        (void)puts(", not served here");
        return;
    }
    (void)printf(", serial %lld, %lld record%s", ask_number(zone, "serial"),
                 ask_number(zone, "records"), ask_number(zone, "records") == 1 ? "" : "s");
    if (json_is_true(json_object_get(zone, "delegate"))) {
        (void)fputs(", delegate zone", stdout);
    }
    if (json_is_true(json_object_get(zone, "plain"))) {
        (void)fputs(", plain", stdout);
    }
    if (json_is_true(json_object_get(zone, "transferred"))) {
        (void)printf(", transferred (%lld known names, %lld journal rows)",
                     ask_number(zone, "known"), ask_number(zone, "journal"));
    }
    if (file[0] != '\0') {
        (void)fputs(", file ", stdout);
        cli_print_safe(stdout, file);
    }
    (void)putchar('\n');
}

static struct err list_offline(const struct config *cfg, json_t **reply)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(ADMIN_ZONE_TEXT_MAX);
    struct app_offline *offline = NULL;

    TRY(offline_open_existing(cfg, &offline));
    struct err e = admin_zones_write(offline->records, &text);
    TRY(offline_close(offline, e));
    *reply = json_loadb((const char *)text.data, text.len, 0, NULL);
    TRY_PTR(*reply);
    return err_ok();
}

static int zone_list(struct config *cfg, const struct cli_args *args)
{
    AUTO(json_decrefp) json_t *reply = NULL;
    size_t i = 0;
    const json_t *zone = NULL;
    struct err e = control_request(cfg, "GET", "/api/v1/zones", NULL, &reply);

    if (e.code == ERR_NOT_FOUND) {
        e = list_offline(cfg, &reply);
    }
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    if (cli_value(args, "json") != NULL) {
        ask_print_json(reply);
        return CLI_OK;
    }
    json_array_foreach(reply, i, zone)
    {
        print_zone(zone);
    }
    return CLI_OK;
}

/* --- import and export ------------------------------------------------------------------------ */

/* As it stands in paths: lower case, no final dot; out: NAME_TEXT_MAX + 1. */
static struct err zone_name(const char *text, char *out)
{
    size_t n = strlen(text);
    const char *why = "";

    if (strcmp(text, ".") == 0) {
        memcpy(out, ".", 2);
        return err_ok();
    }
    n -= n > 1 && text[n - 1] == '.' ? 1 : 0;
    if (name_parse(text, n, out, &why).code != ERR_OK) {
        FAIL(ERR_MALFORMED, "'%.255s' is not a zone's name: %s", text, why);
    }
    return err_ok();
}

/* What "problems" of the answer holds, one per line. */
static size_t print_problems(const json_t *reply)
{
    size_t i = 0;
    const json_t *line = NULL;

    json_array_foreach(json_object_get(reply, "problems"), i, line)
    {
        cli_print_safe(stderr, json_is_string(line) ? json_string_value(line) : "");
        (void)fputc('\n', stderr);
    }
    return i;
}

static struct err import_online(const struct config *cfg, const char *zone, const char *label,
                                const struct buf *text, bool is_replacing, long long *n)
{
    AUTO(buf_clear) struct buf path = BUF_INIT(PATH_MAX_LEN);
    AUTO(buf_clear) struct buf answer = BUF_INIT(CONTROL_REPLY_MAX);
    long status = 0;

    buf_printf(&path, "/api/v1/zones/%s/import?%slabel=", zone, is_replacing ? "replace=1&" : "");
    control_escape(&path, label);
    TRY(buf_check(&path));
    const struct control_call call = {.method = "POST",
                                      .path = buf_str(&path),
                                      .content_type = "text/dns",
                                      .body = buf_str(text),
                                      .body_len = text->len,
                                      .timeout_s = ZONE_TIMEOUT_S};
    TRY(control_exchange(cfg, &call, &answer, &status));
    AUTO(json_decrefp)
    json_t *reply = json_loadb((const char *)answer.data, answer.len, 0, NULL);
    (void)print_problems(reply);
    if (status != 200) {
        return control_refused(&answer);
    }
    *n = ask_number(reply, "changed");
    return err_ok();
}

static struct err import_offline(const struct config *cfg, const char *zone, const char *label,
                                 const struct buf *text, bool is_replacing, long long *n)
{
    AUTO(buf_clear) struct buf problems = BUF_INIT(PROBLEMS_MAX);
    struct app_offline *offline = NULL;
    size_t records_n = 0;

    TRY(app_offline_open(cfg, &offline));
    struct err e = records_import(offline->records, zone, label, buf_str(text), text->len,
                                  is_replacing, &problems, &records_n);
    (void)fputs(buf_str(&problems), stderr);
    *n = (long long)records_n;
    return offline_close(offline, e);
}

/* The file's own name is label enough, and fits into a URL. */
static const char *label_of(const char *path)
{
    size_t n = strlen(path);

    return n > 200 ? path + n - 200 : path;
}

static int zone_import(struct config *cfg, const struct cli_args *args)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(ADMIN_ZONE_TEXT_MAX);
    const char *path = args->positionals[2];
    bool is_replacing = cli_value(args, "replace") != NULL;
    char zone[NAME_TEXT_MAX + 1];
    long long n = 0;
    struct err e = zone_name(args->positionals[1], zone);

    if (e.code == ERR_OK) {
        e = file_read(path, &text);
    }
    if (e.code == ERR_OK) {
        e = import_online(cfg, zone, label_of(path), &text, is_replacing, &n);
        if (e.code == ERR_NOT_FOUND) {
            e = import_offline(cfg, zone, label_of(path), &text, is_replacing, &n);
        }
    }
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    (void)printf("%s: %lld record%s changed\n", zone, n, n == 1 ? "" : "s");
    return CLI_OK;
}

static struct err export_online(const struct config *cfg, const char *zone, bool is_written_out,
                                struct buf *out)
{
    AUTO(buf_clear) struct buf path = BUF_INIT(PATH_MAX_LEN);
    long status = 0;

    buf_printf(&path, "/api/v1/zones/%s/export%s", zone, is_written_out ? "?written_out=1" : "");
    TRY(buf_check(&path));
    const struct control_call call = {
        .method = "GET", .path = buf_str(&path), .timeout_s = ZONE_TIMEOUT_S};
    TRY(control_exchange(cfg, &call, out, &status));
    return status == 200 ? err_ok() : control_refused(out);
}

static struct err export_offline(const struct config *cfg, const char *zone, bool is_written_out,
                                 struct buf *out)
{
    struct app_offline *offline = NULL;

    TRY(offline_open_existing(cfg, &offline));
    struct err e = records_export(offline->records, zone, is_written_out, out);
    return offline_close(offline, e);
}

static int zone_export(struct config *cfg, const struct cli_args *args)
{
    AUTO(buf_clear) struct buf out = BUF_INIT(ADMIN_ZONE_TEXT_MAX);
    bool is_written_out = cli_value(args, "written-out") != NULL;
    char zone[NAME_TEXT_MAX + 1];
    struct err e = zone_name(args->positionals[1], zone);

    if (e.code == ERR_OK) {
        e = export_online(cfg, zone, is_written_out, &out);
        if (e.code == ERR_NOT_FOUND) {
            e = export_offline(cfg, zone, is_written_out, &out);
        }
    }
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    return fputs(buf_str(&out), stdout) < 0 ? CLI_FAILED : CLI_OK;
}

/* --- check and reload ------------------------------------------------------------------------- */

static bool is_served_here(const struct config *cfg, const char *zone)
{
    bool is_found = false;

    for (size_t i = 0; i < cfg->zones_n; i++) {
        is_found = is_found || (cfg->zones[i].is_served && strcmp(cfg->zones[i].name, zone) == 0);
    }
    return is_found;
}

static int check(struct config *cfg, const struct cli_args *args)
{
    AUTO(buf_clear) struct buf problems = BUF_INIT(PROBLEMS_MAX);
    char zone[NAME_TEXT_MAX + 1];
    size_t n = 0;
    struct err e = zone_name(args->positionals[2], zone);

    if (e.code == ERR_OK && !is_served_here(cfg, zone)) {
        (void)fprintf(stderr, "note: '%s' is no zone that this server answers\n", zone);
    }
    if (e.code == ERR_OK) {
        e = zone_check(cfg, zone, args->positionals[1], &problems, &n);
    }
    if (problems.len > 0) {
        (void)fputs(buf_str(&problems), stderr);
        return CLI_FAILED;
    }
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    (void)printf("%s is good: %zu record%s\n", args->positionals[1], n, n == 1 ? "" : "s");
    return CLI_OK;
}

static int reload(struct config *cfg, const struct cli_args *args)
{
    AUTO(json_decrefp) json_t *reply = NULL;
    int code = ask_daemon(cfg, "zone reload", "POST", "/api/v1/zones/reload", NULL, &reply);

    (void)args;
    return code == CLI_OK && print_problems(reply) > 0 ? CLI_FAILED : code;
}

static const struct cli_sub COMMANDS[] = {
    {"list", 0, 0, zone_list}, {"import", 2, 2, zone_import}, {"export", 1, 1, zone_export},
    {"check", 2, 2, check},    {"reload", 0, 0, reload},
};

int cmd_zone(int argc, char **argv)
{
    struct cli_args args;
    int code = CLI_OK;

    if (!cli_begin(argc, argv, OPTIONS, ARRAY_N(OPTIONS), 1, 3, HELP, &args, &code)) {
        return code;
    }
    return cli_run_sub("zone", &args, COMMANDS, ARRAY_N(COMMANDS),
                       "'list', 'import ZONE FILE', 'export ZONE', 'check FILE ZONE' or 'reload'");
}
