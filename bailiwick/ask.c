#include "bailiwick/ask.h"

#include <stdio.h>

int ask_unreachable(const struct config *cfg, const char *command)
{
    (void)fprintf(stderr, "bailiwick %s: no daemon runs on %s: start it with 'bailiwick serve'\n",
                  command, cfg->state_dir);
    return CLI_UNREACHABLE;
}

int ask_daemon(const struct config *cfg, const char *command, const char *method, const char *path,
               const json_t *body, json_t **reply)
{
    struct err e = control_request(cfg, method, path, body, reply);

    if (e.code == ERR_NOT_FOUND) {
        return ask_unreachable(cfg, command);
    }
    return e.code == ERR_OK ? CLI_OK : cli_fail(e);
}

const char *ask_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));

    return text == NULL ? "" : text;
}

void ask_print_json(const json_t *reply)
{
    (void)json_dumpf(reply, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    (void)putchar('\n');
}

long long ask_number(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}
