/* bailiwick status */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bailiwick/cli.h"
#include "bailiwick/control.h"
#include "core/util/mem.h"

static const char HELP[] =
    "Usage: bailiwick status [--json] [--config PATH]\n\n"
    "Ask the running daemon, over control.sock in the state directory, for its version,\n"
    "addresses, zones with their serial numbers, counters and the root certificate's SHA-256 "
    "fingerprint.\n\n"
    "Options:\n"
    "  --json           print the daemon's answer as JSON\n" CLI_CONFIG_HELP "\n"
    "Examples:\n"
    "  bailiwick status\n"
    "  bailiwick status --json | jq -r .root_fingerprint\n\n" CLI_EXIT_HELP;

static const struct {
    const char *key;
    const char *label;
} LINES[] = {
    {"version", "version"},
    {"hostname", "hostname"},
    {"directory", "directory"},
    {"delegate_zone", "delegate zone"},
    {"dns_serial", "its serial"},
    {"clients", "clients"},
    {"accounts", "accounts"},
    {"orders_pending", "orders pending"},
    {"certificates", "certificates"},
    {"certificates_valid", "of them valid"},
    {"own_certificate_not_after", "own cert until"},
    {"root_fingerprint", "root SHA-256"},
};

static void print_value(const json_t *value)
{
    if (json_is_integer(value)) {
        (void)printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else {
        cli_print_safe(stdout, json_is_string(value) ? json_string_value(value) : "-");
    }
}

static void print_uptime(int64_t s)
{
    (void)printf("%-16s%" PRId64 "d %02" PRId64 ":%02" PRId64 ":%02" PRId64 "\n", "uptime",
                 s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
}

static void print_zones(const json_t *zones)
{
    size_t i = 0;
    size_t k = 0;
    const json_t *zone = NULL;
    const json_t *ip = NULL;

    json_array_foreach(zones, i, zone)
    {
        (void)printf("%-16s", "zone");
        print_value(json_object_get(zone, "name"));
        if (json_is_true(json_object_get(zone, "served"))) {
            (void)printf(", served%s, serial %" JSON_INTEGER_FORMAT,
                         json_is_true(json_object_get(zone, "plain")) ? " plain" : "",
                         json_integer_value(json_object_get(zone, "serial")));
        } else {
            (void)fputs(", not served here", stdout);
        }
        json_array_foreach(json_object_get(zone, "ingress"), k, ip)
        {
            (void)fputs(k == 0 ? ", ingress " : " ", stdout);
            print_value(ip);
        }
        (void)putchar('\n');
    }
}

static void print_status(const json_t *status)
{
    const json_t *dns = json_object_get(status, "dns");

    for (size_t i = 0; i < ARRAY_N(LINES); i++) {
        const json_t *value = json_object_get(status, LINES[i].key);
        if (value != NULL) {
            (void)printf("%-16s", LINES[i].label);
            print_value(value);
            (void)putchar('\n');
        }
    }
    print_uptime(json_integer_value(json_object_get(status, "uptime_s")));
    print_zones(json_object_get(status, "zones"));
    (void)printf("%-16sUDP %" JSON_INTEGER_FORMAT ", TCP %" JSON_INTEGER_FORMAT
                 ", dropped %" JSON_INTEGER_FORMAT "\n",
                 "DNS queries", json_integer_value(json_object_get(dns, "udp_queries")),
                 json_integer_value(json_object_get(dns, "tcp_queries")),
                 json_integer_value(json_object_get(dns, "dropped")));
}

int cmd_status(int argc, char **argv)
{
    static const struct cli_option options[] = {{"json", false}};
    struct cli_args args;
    AUTO(config_freep) struct config *cfg = NULL;
    AUTO(json_decrefp) json_t *status = NULL;
    int code = CLI_OK;

    if (!cli_begin(argc, argv, options, ARRAY_N(options), 0, 0, HELP, &args, &code)) {
        return code;
    }
    code = cli_load_config(&args, &cfg);
    if (code != CLI_OK) {
        return code;
    }
    struct err e = control_request(cfg, "GET", "/api/v1/status", NULL, &status);
    if (e.code != ERR_OK) {
        code = cli_fail(e);
        return e.code == ERR_REJECTED ? code : CLI_UNREACHABLE;
    }
    if (cli_value(&args, "json") != NULL) {
        (void)json_dumpf(status, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    } else {
        print_status(status);
    }
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}
