/* What the commands share that speak to the daemon: asking, refusing in words, printing.
 *
 * Thread: main only. */
#ifndef BAILIWICK_ASK_H
#define BAILIWICK_ASK_H

#include <jansson.h>

#include "bailiwick/cli.h"
#include "bailiwick/control.h"

/* control_request() for a command that needs the daemon: prints what went wrong. CLI_OK,
 * CLI_FAILED or CLI_UNREACHABLE. */
int ask_daemon(const struct config *cfg, const char *command, const char *method, const char *path,
               const json_t *body, json_t **reply);
/* Say that the daemon is needed; CLI_UNREACHABLE. */
int ask_unreachable(const struct config *cfg, const char *command);
/* The member's text, or "". */
const char *ask_text(const json_t *object, const char *member);
/* The whole answer, for --json. */
void ask_print_json(const json_t *reply);
/* The member as a number, or 0. */
long long ask_number(const json_t *object, const char *member);

#endif
