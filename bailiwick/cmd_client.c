/* bailiwick client: dispatch to its subcommands. */
#include <stdio.h>
#include <string.h>

#include "bailiwick/cli.h"
#include "core/util/mem.h"

static const char HELP[] =
    "Usage: bailiwick client add|list|remove|cname|release [OPTIONS]\n\n"
    "Clients are the parties that may publish challenge values: a name, a secret, the\n"
    "names they may get, the networks they may come from. Those written in the\n"
    "configuration cannot be changed here.\n\n"
    "  add NAME      add a client; prints its secret once, with ready blocks for lego,\n"
    "                Traefik and other ACME clients\n"
    "  list          print clients and bound names\n"
    "  remove NAME   remove a client with its values and registrations\n"
    "  cname NAME    print the CNAME that a zone with 'serve: false' needs for NAME\n"
    "  release NAME  release NAME from the registration it is bound to\n\n"
    "A running daemon is asked over control.sock; without one the state directory is\n"
    "changed directly. 'bailiwick client COMMAND --help' explains each.\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} COMMANDS[] = {
    {"add", cmd_client_add},     {"list", cmd_client_list},       {"remove", cmd_client_remove},
    {"cname", cmd_client_cname}, {"release", cmd_client_release},
};

int cmd_client(int argc, char **argv)
{
    const char *name = argc < 2 ? "" : argv[1];

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        return fputs(HELP, stdout) < 0 || fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
    }
    for (size_t i = 0; i < ARRAY_N(COMMANDS); i++) {
        if (strcmp(COMMANDS[i].name, name) == 0) {
            return COMMANDS[i].run(argc - 1, argv + 1);
        }
    }
    if (argc < 2) {
        (void)fprintf(stderr, "bailiwick client: a command is missing\n\n%s", HELP);
    } else {
        (void)fprintf(stderr, "bailiwick client: unknown command '%.40s'\n\n%s", name, HELP);
    }
    return CLI_USAGE;
}
