/* bailiwick client list */
#include <stdio.h>
#include <string.h>

#include "bailiwick/cli.h"
#include "bailiwick/control.h"
#include "bailiwick/offline.h"
#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

static const char HELP[] =
    "Usage: bailiwick client list [--config PATH]\n\n"
    "Print the clients with the names they may get, the networks they may come from,\n"
    "whether they are preauthorized (certificates without a challenge), whether rate\n"
    "limits count for them and whether they may change DNS records, and the DNS names\n"
    "that are bound to an acme-dns registration. Secrets are never shown.\n\n"
    "Options:\n" CLI_CONFIG_HELP "\n"
    "Example:\n"
    "  bailiwick client list\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration.\n";

static void print_list(const char *items)
{
    for (const char *c = items; *c != '\0'; c++) {
        const char one[2] = {*c, '\0'};
        cli_print_safe(stdout, *c == ',' ? ", " : one);
    }
}

struct shown {
    const char *name, *source, *names, *networks, *created; /* lists comma separated */
    bool is_preauthorized, has_limits, has_records;
};

static void print_client(const struct shown *client)
{
    (void)fputs(client->name, stdout);
    (void)fputs("\n  names          ", stdout);
    print_list(client->names[0] == '\0' ? "none; a key only" : client->names);
    (void)fputs("\n  networks       ", stdout);
    print_list(client->networks[0] == '\0' ? "anywhere" : client->networks);
    (void)printf("\n  preauthorized  %s\n  limits         %s\n  records        %s\n"
                 "  from           %s%s%s\n",
                 client->is_preauthorized ? "yes" : "no", client->has_limits ? "yes" : "no",
                 client->has_records ? "yes" : "no", client->source,
                 client->created[0] == '\0' ? "" : ", ", client->created);
}

static void print_binding(const char *name, const char *client, const char *registration)
{
    (void)fputs("bound: ", stdout);
    cli_print_safe(stdout, name);
    (void)fputs(" to registration ", stdout);
    cli_print_safe(stdout, registration);
    (void)fputs(" of client ", stdout);
    cli_print_safe(stdout, client);
    (void)putchar('\n');
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

/* ["a","b"] -> "a,b", as access_list() has it. */
static void join(const json_t *list, struct buf *out)
{
    size_t i = 0;
    const json_t *text = NULL;

    json_array_foreach(list, i, text)
    {
        buf_printf(out, "%s%s", i == 0 ? "" : ",",
                   json_is_string(text) ? json_string_value(text) : "");
    }
}

static void print_reply(const json_t *reply)
{
    size_t i = 0;
    const json_t *one = NULL;

    json_array_foreach(json_object_get(reply, "clients"), i, one)
    {
        AUTO(buf_clear) struct buf names = BUF_INIT(1u << 20);
        AUTO(buf_clear) struct buf networks = BUF_INIT(1u << 20);
        join(json_object_get(one, "names"), &names);
        join(json_object_get(one, "networks"), &networks);
        const struct shown client = {text_of(one, "name"),
                                     text_of(one, "source"),
                                     buf_str(&names),
                                     buf_str(&networks),
                                     text_of(one, "created"),
                                     json_is_true(json_object_get(one, "preauthorized")),
                                     !json_is_false(json_object_get(one, "limits")),
                                     !json_is_false(json_object_get(one, "records"))};
        print_client(&client);
    }
    json_array_foreach(json_object_get(reply, "bindings"), i, one)
    {
        print_binding(text_of(one, "name"), text_of(one, "client"), text_of(one, "registration"));
    }
}

static struct err print_offline(struct app_offline *offline)
{
    struct access_client_info *clients = NULL;
    AUTO(mem_freep) struct delegate_binding *bindings = NULL;
    size_t n = 0;

    TRY(access_list(offline->access, &clients, &n));
    for (size_t i = 0; i < n; i++) {
        char created[CLOCK_RFC3339_LEN + 1] = "";
        if (clients[i].created_unix != 0) {
            clock_rfc3339(clients[i].created_unix, created);
        }
        const struct shown client = {clients[i].name,
                                     clients[i].is_from_config ? "configuration" : "store",
                                     clients[i].names,
                                     clients[i].networks,
                                     created,
                                     clients[i].is_preauthorized,
                                     clients[i].has_limits,
                                     clients[i].has_records};
        print_client(&client);
    }
    access_list_free(clients, n);
    TRY(delegate_bindings(offline->delegate, NULL, &bindings, &n));
    for (size_t i = 0; i < n; i++) {
        print_binding(bindings[i].name, bindings[i].client, bindings[i].registration);
    }
    return err_ok();
}

static struct err list_offline(const struct config *cfg)
{
    struct app_offline *offline = NULL;

    TRY(offline_open_existing(cfg, &offline));
    struct err e = print_offline(offline);
    return offline_close(offline, e);
}

int cmd_client_list(int argc, char **argv)
{
    struct cli_args args;
    AUTO(config_freep) struct config *cfg = NULL;
    AUTO(json_decrefp) json_t *reply = NULL;
    int code = CLI_OK;

    if (!cli_begin(argc, argv, NULL, 0, 0, 0, HELP, &args, &code)) {
        return code;
    }
    code = cli_load_config(&args, &cfg);
    if (code != CLI_OK) {
        return code;
    }
    log_setup(LOG_ERROR, cfg->log_format);
    struct err e = control_request(cfg, "GET", "/api/v1/clients", NULL, &reply);
    if (e.code == ERR_OK) {
        print_reply(reply);
    } else if (e.code == ERR_NOT_FOUND) {
        e = list_offline(cfg);
    }
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}
