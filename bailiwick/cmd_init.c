/* bailiwick init */
#include "bailiwick/app.h"
#include "bailiwick/cli.h"
#include "core/util/log.h"
#include "core/util/mem.h"

static const char HELP[] =
    "Usage: bailiwick init [--config PATH] [--chaos]\n\n"
    "Create the state directory, the database, the root and issuing certificates and\n"
    "the server's own certificate, without serving. What exists is left alone, so it\n"
    "may be run again. 'bailiwick serve' does the same at its first start; use init to\n"
    "have the root certificate before.\n\n"
    "Options:\n" CLI_CONFIG_HELP
    "  --chaos          test mode for authors of ACME clients: rejects a share of good\n"
    "                   nonces, shuffles and delays; on a state directory of its own\n\n"
    "Example:\n"
    "  BAILIWICK_CA_KEY=ecdsa-p384 bailiwick init\n\n"
    "Exit codes: 0 done, 1 failed (state directory in use or not writable), 2 wrong\n"
    "usage, 3 wrong configuration.\n";

static const struct cli_option OPTIONS[] = {{"chaos", false}};

int cmd_init(int argc, char **argv)
{
    struct cli_args args;
    AUTO(config_freep) struct config *cfg = NULL;
    int code = CLI_OK;

    if (!cli_begin(argc, argv, OPTIONS, ARRAY_N(OPTIONS), 0, 0, HELP, &args, &code)) {
        return code;
    }
    code = cli_load_config(&args, &cfg);
    if (code != CLI_OK) {
        return code;
    }
    log_setup(LOG_WARN, cfg->log_format);
    struct err e = app_init(cfg, cli_value(&args, "chaos") != NULL);
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    (void)printf("ready: %s\n", cfg->state_dir);
    return CLI_OK;
}
