/* bailiwick client remove */
#include <stdio.h>

#include "bailiwick/cli.h"
#include "bailiwick/control.h"
#include "bailiwick/offline.h"
#include "core/util/log.h"
#include "core/util/mem.h"

static const char HELP[] =
    "Usage: bailiwick client remove NAME [--config PATH]\n\n"
    "Remove a client that was added with 'client add'. Its published values and its\n"
    "registrations go with it. Clients of the configuration are removed there.\n\n"
    "Options:\n" CLI_CONFIG_HELP "\n"
    "Example:\n"
    "  bailiwick client remove traefik\n\n"
    "Exit codes: 0 removed, 1 failed (no such client), 2 wrong usage, 3 wrong\n"
    "configuration.\n";

static struct err remove_offline(const struct config *cfg, const char *name)
{
    struct app_offline *offline = NULL;

    TRY(offline_open_existing(cfg, &offline));
    struct err e = access_client_remove(offline->access, name);
    return offline_close(offline, e);
}

int cmd_client_remove(int argc, char **argv)
{
    struct cli_args args;
    AUTO(config_freep) struct config *cfg = NULL;
    AUTO(json_decrefp) json_t *reply = NULL;
    AUTO(buf_clear) struct buf path = BUF_INIT(256);
    int code = CLI_OK;

    if (!cli_begin(argc, argv, NULL, 0, 1, 1, HELP, &args, &code)) {
        return code;
    }
    const char *name = args.positionals[0];
    if (!config_client_name_ok(name)) { /* it goes into a URL */
        (void)fprintf(stderr, "bailiwick client remove: '%.80s' is not a client name\n", name);
        return CLI_FAILED;
    }
    code = cli_load_config(&args, &cfg);
    if (code != CLI_OK) {
        return code;
    }
    log_setup(LOG_ERROR, cfg->log_format);
    buf_printf(&path, "/api/v1/clients/%s", name);
    struct err e = control_request(cfg, "DELETE", buf_str(&path), NULL, &reply);
    if (e.code == ERR_NOT_FOUND) {
        e = remove_offline(cfg, name);
    }
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    (void)printf("removed: %s\n", name);
    return CLI_OK;
}
