/* bailiwick serve */
#include "bailiwick/app.h"
#include "bailiwick/cli.h"
#include "core/util/log.h"
#include "core/util/mem.h"

static const char HELP[] =
    "Usage: bailiwick serve [--config PATH] [--chaos]\n\n"
    "Run the appliance: ACME and the doors on HTTPS, the root certificate on plain\n"
    "HTTP, and DNS. State directory, database and certificate authority are made at\n"
    "the first start. It stays in the foreground, logs to standard error, and stops\n"
    "on SIGTERM or SIGINT. SIGHUP reads the configuration and the\n"
    "files of tls.cert and tls.key again; the log names what needs a restart.\n\n"
    "Options:\n" CLI_CONFIG_HELP
    "  --chaos          test mode for authors of ACME clients: rejects a share of good\n"
    "                   nonces, shuffles and delays; on a state directory of its own\n\n"
    "Examples:\n"
    "  bailiwick serve\n"
    "  BAILIWICK_ZONES=svc.test=10.0.0.2 BAILIWICK_STATE_DIR=./state \\\n"
    "  BAILIWICK_LISTEN_HTTPS=127.0.0.1:8443 BAILIWICK_LISTEN_HTTP=127.0.0.1:8080 \\\n"
    "  BAILIWICK_LISTEN_DNS=127.0.0.1:5353 bailiwick serve\n\n"
    "Exit codes: 0 stopped by a signal, 1 could not start (port in use, state\n"
    "directory in use or not writable), 2 wrong usage, 3 wrong configuration.\n";

static const struct cli_option OPTIONS[] = {{"chaos", false}};

int cmd_serve(int argc, char **argv)
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
    log_setup(cfg->log_level, cfg->log_format);
    if (cfg->zones_are_default) {
        log_ev(LOG_WARN, "config.zones.default",
               {"msg", "no zones are configured: serving home.arpa (RFC 8375); set zones"});
    }
    struct err e = app_run(cfg, cli_value(&args, "chaos") != NULL);
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "app.failed", e);
        return e.code == ERR_CONFIG ? CLI_CONFIG : CLI_FAILED;
    }
    return CLI_OK;
}
