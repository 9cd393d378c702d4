/* bailiwick client add */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bailiwick/cli.h"
#include "bailiwick/control.h"
#include "bailiwick/offline.h"
#include "bailiwick/snippets.h"
#include "core/util/file.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define SECRET_FILE_MAX 1024u
#define ROOT_PEM_MAX 65536u

static const char HELP[] =
    "Usage: bailiwick client add NAME --name PATTERN [--name PATTERN ...]\n"
    "                            [--network CIDR ...] [--preauthorized] [--no-limits]\n"
    "                            [--no-records] [--secret-file FILE] [--quiet]\n"
    "       bailiwick client add NAME --key-only [--network CIDR ...] [...]\n\n"
    "Add a client and print its secret, once, with blocks to paste for lego, Traefik and\n"
    "DNS updates (RFC 2136), and with what other ACME clients need for external account\n"
    "binding. Without --secret-file a secret of 64 letters and digits is made.\n\n"
    "Options:\n"
    "  --name PATTERN   what the client may get: 'x' is the name x only; '*.x' is every\n"
    "                   name below x and its wildcards, not x itself; '*' is everything\n"
    "  --network CIDR   where the client may come from (default: anywhere)\n"
    "  --preauthorized  ACME accounts bound to the client get certificates for its names\n"
    "                   without a challenge: the secret is the proof. Give --network too\n"
    "                   where the client's addresses are known\n"
    "  --no-limits      rate limits do not count for it\n"
    "  --no-records     it may publish challenge values, but not change other DNS records\n"
    "                   of its names by dynamic update\n"
    "  --key-only       no names: its secret signs zone transfers (zones: transfer: key:)\n"
    "  --secret-file F  read the secret from file F, '-' is standard input: letters and\n"
    "                   digits, at least 32, the length a multiple of 4\n"
    "  --quiet          print the secret only\n" CLI_CONFIG_HELP "\n"
    "Examples:\n"
    "  bailiwick client add traefik --name svc.test --name '*.svc.test'\n"
    "  bailiwick client add nas --name nas.home.arpa --network 10.0.0.7\n"
    "  bailiwick client add caddy --name '*.svc.test' --preauthorized\n"
    "  bailiwick client add ns2 --key-only\n"
    "  openssl rand -hex 24 | bailiwick client add ci --name '*.ci.test' --secret-file -\n\n"
    "Exit codes: 0 added, 1 failed (the name exists, a pattern is wrong), 2 wrong usage,\n"
    "3 wrong configuration.\n";

struct job {
    const struct config *cfg;
    const char *name;
    const char *secret; /* given, or NULL */
    const char *names[ACCESS_NAMES_MAX];
    size_t names_n;
    struct name_pattern patterns[ACCESS_NAMES_MAX];
    const char *networks[ACCESS_NETWORKS_MAX];
    size_t networks_n;
    bool is_preauthorized;
    bool has_no_limits, has_no_records, is_key_only;
    char secret_out[CLIENT_SECRET_MAX + 1];
    char fingerprint[2 * SHA256_LEN + 1]; /* "" when not known */
};

static void wipe_job(struct job *job)
{
    mem_wipe(job->secret_out, sizeof(job->secret_out));
}

/* Check what can be checked before anything is asked or changed. */
static struct err check_job(struct job *job)
{
    if (!config_client_name_ok(job->name)) {
        FAIL(ERR_MALFORMED,
             "'%.80s' is not a client name; write 1 to %u letters, digits, '-', '_' or '.', "
             "beginning with a letter or digit",
             job->name, CLIENT_NAME_MAX);
    }
    for (size_t i = 0; i < job->names_n; i++) {
        const char *why = "";
        if (name_pattern_parse(job->names[i], strlen(job->names[i]), &job->patterns[i], &why)
                .code != ERR_OK) {
            FAIL(ERR_MALFORMED, "--name '%.80s' is not a name, *.name or *: %s", job->names[i],
                 why);
        }
    }
    for (size_t i = 0; i < job->networks_n; i++) {
        struct ip_net net;
        TRY(ip_net_parse(job->networks[i], &net));
    }
    return err_ok();
}

/* Is there a zone that the pattern's names lie in, or that lies below it? */
static bool has_zone(const struct config *cfg, const struct name_pattern *pattern)
{
    bool is_found = pattern->base[0] == '\0' || config_zone_of(cfg, pattern->base) != NULL;

    for (size_t i = 0; i < cfg->zones_n && !is_found; i++) {
        is_found = pattern->is_below && name_is_below_or_equal(cfg->zones[i].name, pattern->base);
    }
    return is_found;
}

/* Allowed, because values there may serve another CA; more often it is a slip. */
static void warn_outside(const struct job *job)
{
    for (size_t i = 0; i < job->names_n; i++) {
        if (!has_zone(job->cfg, &job->patterns[i])) {
            (void)fprintf(stderr,
                          "note: '%.255s' is in none of this server's zones, so it issues nothing "
                          "for it\n",
                          job->names[i]);
        }
    }
}

static struct err collect(const struct cli_args *args, struct job *job)
{
    job->name = args->positionals[0];
    job->names_n = cli_values(args, "name", job->names, ARRAY_N(job->names));
    job->networks_n = cli_values(args, "network", job->networks, ARRAY_N(job->networks));
    job->is_preauthorized = cli_value(args, "preauthorized") != NULL;
    job->has_no_limits = cli_value(args, "no-limits") != NULL;
    job->has_no_records = cli_value(args, "no-records") != NULL;
    job->is_key_only = cli_value(args, "key-only") != NULL;
    if (job->names_n > ARRAY_N(job->names) || job->networks_n > ARRAY_N(job->networks)) {
        FAIL(ERR_MALFORMED, "at most %u --name and %u --network", ACCESS_NAMES_MAX,
             ACCESS_NETWORKS_MAX);
    }
    return check_job(job);
}

/* out: SECRET_FILE_MAX + 1 bytes. The first line counts. */
static struct err read_secret(const char *path, char *out)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 1;
    const char *why = "";

    if (fd < 0) {
        FAIL(ERR_IO, "cannot read '%.200s': %s", path, err_errno_text(errno));
    }
    while (len < SECRET_FILE_MAX && n > 0) {
        n = read(fd, out + len, SECRET_FILE_MAX - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (!is_stdin) {
        (void)close(fd);
    }
    out[len] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    if (n < 0) {
        FAIL(ERR_IO, "cannot read '%.200s': %s", path, err_errno_text(errno));
    }
    if (!config_secret_ok(out, &why)) {
        FAIL(ERR_MALFORMED, "'%.200s' does not hold a secret: %s", path, why);
    }
    return err_ok();
}

static json_t *text_array(const char *const *texts, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n && list != NULL; i++) {
        (void)json_array_append_new(list, json_string(texts[i]));
    }
    return list;
}

static struct err ask_daemon(struct job *job)
{
    AUTO(json_decrefp) json_t *reply = NULL;
    AUTO(json_decrefp) json_t *status = NULL;
    AUTO(json_decrefp)
    json_t *body = json_pack("{s:s, s:o, s:o, s:b, s:b, s:b, s:b, s:s*}", "name", job->name,
                             "names", text_array(job->names, job->names_n), "networks",
                             text_array(job->networks, job->networks_n), "preauthorized",
                             job->is_preauthorized ? 1 : 0, "limits", job->has_no_limits ? 0 : 1,
                             "records", job->has_no_records ? 0 : 1, "key_only",
                             job->is_key_only ? 1 : 0, "secret", job->secret);

    TRY_PTR(body);
    TRY(control_request(job->cfg, "POST", "/api/v1/clients", body, &reply));
    const char *secret = json_string_value(json_object_get(reply, "secret"));
    if (secret == NULL || !config_secret_ok(secret, NULL)) {
        FAIL(ERR_MALFORMED, "the daemon added the client, but its answer holds no secret; remove "
                            "the client and add it again");
    }
    (void)snprintf(job->secret_out, sizeof(job->secret_out), "%s", secret);
    if (control_request(job->cfg, "GET", "/api/v1/status", NULL, &status).code == ERR_OK) {
        const char *hex = json_string_value(json_object_get(status, "root_fingerprint"));
        (void)snprintf(job->fingerprint, sizeof(job->fingerprint), "%s", hex == NULL ? "" : hex);
    }
    return err_ok();
}

/* SHA-256 of the root's DER, read from its PEM file; nothing when `init` has not run yet. */
static struct err read_fingerprint(struct job *job)
{
    AUTO(buf_clear) struct buf path = BUF_INIT(512);
    AUTO(buf_clear) struct buf pem = BUF_INIT(ROOT_PEM_MAX);
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    uint8_t digest[SHA256_LEN];
    size_t n = 0;

    buf_printf(&path, "%s/keys/root.pem", job->cfg->state_dir);
    TRY(file_read(buf_str(&path), &pem));
    const char *at = strstr(buf_str(&pem), begin);
    const char *end = at == NULL ? NULL : strstr(at, "-----END");
    AUTO(mem_freep) char *base64 = mem_zalloc(pem.len + 1);
    AUTO(mem_freep) uint8_t *der = mem_zalloc(pem.len + 1);
    TRY_PTR(base64);
    TRY_PTR(der);
    if (end == NULL) {
        FAIL(ERR_MALFORMED, "%s holds no certificate", buf_str(&path));
    }
    for (const char *c = at + sizeof(begin) - 1; c < end; c++) {
        if (*c != '\n' && *c != '\r') {
            base64[n++] = *c;
        }
    }
    size_t der_len = pem.len;
    TRY(base64_decode_any(base64, n, der, &der_len));
    TRY(sha256(der, der_len, digest));
    hex_encode(digest, sizeof(digest), job->fingerprint);
    return err_ok();
}

static struct err add_offline(struct job *job)
{
    struct app_offline *offline = NULL;
    const struct access_new_client client = {.name = job->name,
                                             .secret = job->secret,
                                             .patterns = job->names,
                                             .patterns_n = job->names_n,
                                             .networks = job->networks,
                                             .networks_n = job->networks_n,
                                             .is_preauthorized = job->is_preauthorized,
                                             .has_no_limits = job->has_no_limits,
                                             .has_no_records = job->has_no_records,
                                             .is_key_only = job->is_key_only};

    TRY(app_offline_open(job->cfg, &offline));
    struct err e = access_client_create(offline->access, &client, job->secret_out);
    TRY(offline_close(offline, e));
    if (read_fingerprint(job).code != ERR_OK) {
        job->fingerprint[0] = '\0'; /* a hint only */
    }
    return err_ok();
}

static int print_result(const struct job *job, bool is_quiet)
{
    struct buf out = BUF_INIT(SNIPPETS_MAX);
    struct snippet_facts facts = {.cfg = job->cfg,
                                  .client = job->name,
                                  .secret = job->secret_out,
                                  .names = job->patterns,
                                  .names_n = job->names_n,
                                  .is_preauthorized = job->is_preauthorized,
                                  .is_key_only = job->is_key_only};

    facts.root_fingerprint = job->fingerprint[0] == '\0' ? NULL : job->fingerprint;

    if (is_quiet) {
        buf_printf(&out, "%s\n", job->secret_out);
    } else {
        buf_printf(&out,
                   "# Client '%s' is added. Its secret, shown this once:\n# %s\n"
                   "%s\n",
                   job->name, job->secret_out,
                   job->is_key_only
                       ? "# It has no names: the key is for zone transfers.\n"
                       : "# Each block below is a complete shell script for one client; the "
                         "last one tells\n# what others need.\n");
        snippets_write(&facts, &out);
    }
    bool is_good =
        buf_check(&out).code == ERR_OK && fputs(buf_str(&out), stdout) >= 0 && fflush(stdout) == 0;
    if (out.data != NULL) {
        mem_wipe(out.data, out.len);
    }
    buf_clear(&out);
    return is_good ? CLI_OK : CLI_FAILED;
}

static int add(const struct cli_args *args, struct job *job)
{
    char secret[SECRET_FILE_MAX + 1];
    const char *path = cli_value(args, "secret-file");
    struct err e = path == NULL ? err_ok() : read_secret(path, secret);

    if (e.code == ERR_OK) {
        job->secret = path == NULL ? NULL : secret;
        e = ask_daemon(job);
        if (e.code == ERR_NOT_FOUND) {
            e = add_offline(job);
        }
    }
    job->secret = NULL;
    mem_wipe(secret, sizeof(secret));
    return e.code == ERR_OK ? print_result(job, cli_value(args, "quiet") != NULL) : cli_fail(e);
}

int cmd_client_add(int argc, char **argv)
{
    static const struct cli_option options[] = {
        {"name", true},        {"network", true},   {"preauthorized", false}, {"no-limits", false},
        {"no-records", false}, {"key-only", false}, {"secret-file", true},    {"quiet", false}};
    struct cli_args args;
    AUTO(config_freep) struct config *cfg = NULL;
    AUTO(wipe_job) struct job job;
    int code = CLI_OK;

    memset(&job, 0, sizeof(job));
    if (!cli_begin(argc, argv, options, ARRAY_N(options), 1, 1, HELP, &args, &code)) {
        return code;
    }
    bool is_key_only = cli_value(&args, "key-only") != NULL;
    if (is_key_only == (cli_value(&args, "name") != NULL)) {
        (void)fprintf(stderr, "bailiwick client add: %s\nTry '--help'.\n",
                      is_key_only ? "a client with --key-only has no --name: leave one of them out"
                                  : "give at least one --name: without one the client could get "
                                    "nothing (--key-only makes a key for transfers)");
        return CLI_USAGE;
    }
    struct err e = collect(&args, &job);
    if (e.code != ERR_OK) {
        return cli_fail(e);
    }
    code = cli_load_config(&args, &cfg);
    if (code != CLI_OK) {
        return code;
    }
    log_setup(LOG_ERROR, cfg->log_format);
    job.cfg = cfg;
    warn_outside(&job);
    return add(&args, &job);
}
