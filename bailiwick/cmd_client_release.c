/* bailiwick client release */
#include <stdio.h>
#include <string.h>

#include "bailiwick/cli.h"
#include "bailiwick/control.h"
#include "bailiwick/offline.h"
#include "core/util/log.h"
#include "core/util/mem.h"

static const char HELP[] =
    "Usage: bailiwick client release NAME [--config PATH]\n\n"
    "Release the DNS name NAME from the acme-dns registration it was bound to by its\n"
    "first certificate, so that another registration may be bound to it.\n"
    "'bailiwick client list' shows what is bound.\n\n"
    "Options:\n" CLI_CONFIG_HELP "\n"
    "Example:\n"
    "  bailiwick client release nas.home.arpa\n\n"
    "Exit codes: 0 released, 1 failed (NAME is not bound), 2 wrong usage, 3 wrong\n"
    "configuration.\n";

static struct err release_offline(const struct config *cfg, const char *name)
{
    struct app_offline *offline = NULL;

    TRY(offline_open_existing(cfg, &offline));
    struct err e = delegate_release(offline->delegate, name);
    return offline_close(offline, e);
}

int cmd_client_release(int argc, char **argv)
{
    struct cli_args args;
    AUTO(config_freep) struct config *cfg = NULL;
    AUTO(json_decrefp) json_t *reply = NULL;
    AUTO(buf_clear) struct buf path = BUF_INIT(512);
    char name[NAME_TEXT_MAX + 1];
    const char *why = "";
    int code = CLI_OK;

    if (!cli_begin(argc, argv, NULL, 0, 1, 1, HELP, &args, &code)) {
        return code;
    }
    if (name_parse(args.positionals[0], strlen(args.positionals[0]), name, &why).code != ERR_OK) {
        (void)fprintf(stderr, "bailiwick client release: '%.80s' is not a DNS name: %s\n",
                      args.positionals[0], why);
        return CLI_FAILED;
    }
    code = cli_load_config(&args, &cfg);
    if (code != CLI_OK) {
        return code;
    }
    log_setup(LOG_ERROR, cfg->log_format);
    buf_printf(&path, "/api/v1/bindings/%s", name);
    struct err e = control_request(cfg, "DELETE", buf_str(&path), NULL, &reply);
    if (e.code == ERR_NOT_FOUND) {
        e = release_offline(cfg, name);
    }
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    (void)printf("released: %s\n", name);
    return CLI_OK;
}
