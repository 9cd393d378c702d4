/* bailiwick client cname */
#include <stdio.h>
#include <string.h>

#include "bailiwick/cli.h"
#include "bailiwick/control.h"
#include "core/util/buf.h"
#include "core/util/mem.h"

static const char HELP[] =
    "Usage: bailiwick client cname NAME [--config PATH]\n\n"
    "Print the record that the administrator of a zone with 'serve: false' adds for\n"
    "NAME, so that its challenges end in the delegate zone. A wildcard needs the same\n"
    "record as its name. It depends on the configuration only and never changes.\n\n"
    "Options:\n" CLI_CONFIG_HELP "\n"
    "Example:\n"
    "  bailiwick client cname www.example.org >> zonefile\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration.\n";

/* A running daemon is asked, because it notes which name a hashed delegate name stands for. */
static struct err print_cname(const struct config *cfg, const char *base)
{
    char target[NAME_TEXT_MAX + 1];
    AUTO(json_decrefp) json_t *reply = NULL;
    AUTO(buf_clear) struct buf path = BUF_INIT(NAME_TEXT_MAX + 32);

    buf_printf(&path, "/api/v1/cname/%s", base);
    TRY(buf_check(&path));
    struct err e = control_request(cfg, "GET", buf_str(&path), NULL, &reply);
    const char *line = json_string_value(json_object_get(reply, "cname"));
    if (e.code == ERR_OK) {
        if (line == NULL) {
            FAIL(ERR_MALFORMED, "the daemon's answer holds no \"cname\"");
        }
        (void)printf("%s\n", line);
        return err_ok();
    }
    if (e.code != ERR_NOT_FOUND) {
        return e;
    }
    TRY(name_delegate(base, cfg->delegate_zone, target));
    (void)printf("_acme-challenge.%s. CNAME %s.\n", base, target);
    return err_ok();
}

int cmd_client_cname(int argc, char **argv)
{
    struct cli_args args;
    AUTO(config_freep) struct config *cfg = NULL;
    struct ident id;
    const char *why = "";
    int code = CLI_OK;

    if (!cli_begin(argc, argv, NULL, 0, 1, 1, HELP, &args, &code)) {
        return code;
    }
    const char *name = args.positionals[0];
    if (ident_parse(name, strlen(name), &id, &why).code != ERR_OK) {
        (void)fprintf(stderr, "bailiwick client cname: '%.80s' is not a DNS name: %s\n", name, why);
        return CLI_FAILED;
    }
    code = cli_load_config(&args, &cfg);
    if (code != CLI_OK) {
        return code;
    }
    const struct config_zone *zone = config_zone_of(cfg, id.base);
    if (zone != NULL && zone->is_served) {
        (void)fprintf(stderr,
                      "note: '%s' lies in zone '%s', which this server answers itself; it needs no "
                      "record\n",
                      id.base, zone->name);
    }
    if (zone == NULL) {
        (void)fprintf(stderr,
                      "note: '%s' is in none of this server's zones, so it issues nothing for it\n",
                      id.base);
    }
    struct err e = print_cname(cfg, id.base);
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}
