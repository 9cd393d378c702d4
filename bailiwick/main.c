/* Dispatch to the subcommands. */
#include <stdio.h>
#include <string.h>

#include "bailiwick/cli.h"
#include "core/util/mem.h"

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} COMMANDS[] = {
    {"serve", "run the appliance until SIGTERM or SIGINT", cmd_serve},
    {"init", "create state directory, database and certificate authority", cmd_init},
    {"check", "check the configuration and say what it means", cmd_check},
    {"status", "ask the running daemon how it is", cmd_status},
    {"client", "add, list and remove clients; release names; print CNAMEs", cmd_client},
    {"record", "add, remove and list DNS records", cmd_record},
    {"zone", "list, import, export, check and reload DNS zones", cmd_zone},
    {"dns", "trace an answer; counters, query log, secondaries", cmd_dns},
    {"order", "list orders and show what happened to one", cmd_order},
    {"version", "print the versions of bailiwick and its libraries", cmd_version},
};

static void usage(FILE *out)
{
    (void)fputs("bailiwick: the certificate authority of a private network, with its own DNS\n\n"
                "Usage: bailiwick COMMAND [OPTIONS]\n\nCommands:\n",
                out);
    for (size_t i = 0; i < ARRAY_N(COMMANDS); i++) {
        (void)fprintf(out, "  %-9s%s\n", COMMANDS[i].name, COMMANDS[i].summary);
    }
    (void)fputs("\n'bailiwick COMMAND --help' explains a command. A first start:\n\n"
                "  export BAILIWICK_ZONES=svc.test=10.0.0.2\n"
                "  bailiwick check && bailiwick init\n"
                "  bailiwick client add traefik --name svc.test --name '*.svc.test'\n"
                "  bailiwick serve\n\n" CLI_EXIT_HELP,
                out);
}

int main(int argc, char **argv)
{
    const char *name = argc < 2 ? "" : argv[1];

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
    }
    if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    for (size_t i = 0; i < ARRAY_N(COMMANDS); i++) {
        if (strcmp(COMMANDS[i].name, name) == 0) {
            return COMMANDS[i].run(argc - 1, argv + 1);
        }
    }
    if (argc >= 2) {
        (void)fprintf(stderr, "bailiwick: unknown command '%.60s'\n\n", name);
    }
    usage(stderr);
    return CLI_USAGE;
}
