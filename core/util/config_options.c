/* The option table: one row per key, from which file, environment, defaults and reference are
 * read. */
#include "core/util/config_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DAY_S 86400

static const char *const KEY_ALGS[] = {"ecdsa-p256", "ecdsa-p384", "rsa-2048",
                                       "rsa-3072",   "rsa-4096",   NULL};
static const char *const CAA_MODES[] = {"report", "enforce", "off", NULL};
static const char *const USAGES[] = {"server-auth", "client-auth", NULL};
static const char *const KEY_TYPES[] = {"ec", "rsa", "ed25519", NULL};
static const char *const LOG_LEVELS[] = {"error", "warn", "info", "debug", NULL};
static const char *const LOG_FORMATS[] = {"text", "json", NULL};

#define AT(member) .offset = offsetof(struct config, member)
#define AT_LIST(member)                                                                            \
    .offset = offsetof(struct config, member), .n_offset = offsetof(struct config, member##_n)
#define AT_ZONE(member) .offset = offsetof(struct config_zone, member)
#define AT_ZONE_LIST(member)                                                                       \
    .offset = offsetof(struct config_zone, member),                                                \
    .n_offset = offsetof(struct config_zone, member##_n)
#define AT_CLIENT(member) .offset = offsetof(struct config_client, member)
#define AT_CLIENT_LIST(member)                                                                     \
    .offset = offsetof(struct config_client, member),                                              \
    .n_offset = offsetof(struct config_client, member##_n)
#define AT_PROFILE(member) .offset = offsetof(struct config_profile, member)
#define ROW(key_, scope_, type_, preset_, ...)                                                     \
    {                                                                                              \
        .key = (key_), .scope = (scope_), .type = (type_), .preset = (preset_), __VA_ARGS__        \
    }
#define OPTION(key_, type_, preset_, ...) ROW(key_, SCOPE_CONFIG, type_, preset_, __VA_ARGS__)
#define RELOADED(key_, type_, preset_, ...)                                                        \
    ROW(key_, SCOPE_CONFIG, type_, preset_, .reload = RELOAD_YES, __VA_ARGS__)
#define PROFILE(key_, type_, preset_, ...)                                                         \
    ROW(key_, SCOPE_PROFILE, type_, preset_, .reload = RELOAD_YES, __VA_ARGS__)
#define PER_HOUR(key_, preset_, ...)                                                               \
    RELOADED(key_, TYPE_INT, preset_, .min = 0, .max = 1000000, __VA_ARGS__)
#define ZONE(key_, type_, preset_, ...) ROW(key_, SCOPE_ZONE, type_, preset_, __VA_ARGS__)

const struct config_option CONFIG_OPTIONS[] = {
    OPTION("state_dir", TYPE_PATH, "/var/lib/bailiwick", AT(state_dir),
           .sentence = "Directory of the database, the keys and the control socket; at most 90 "
                       "characters."),
    OPTION("hostname", TYPE_NAME, "", AT(hostname),
           .shown = "the machine's host name; one without a dot is put below the first zone",
           .sentence = "Name of this server: in its own certificate, in the directory URL and as "
                       "the zones' name server."),
    OPTION("addresses", TYPE_IPS, "", AT_LIST(addresses),
           .shown = "the machine's addresses without loopback and link-local ones",
           .sentence = "Addresses that `hostname` and the zones' NS resolve to; give those that "
                       "clients reach, for example the published address of a container."),
    OPTION("public_url", TYPE_URL, "", AT(public_url),
           .shown = "`https://<hostname>`, with the port of the first HTTPS listener unless 443",
           .sentence =
               "Base of the URLs given to clients: https, a host, perhaps a port, no path."),
    OPTION("listen.https", TYPE_ENDPOINTS, "0.0.0.0:443,[::]:443", AT_LIST(listen_https),
           .sentence = "Addresses for ACME, the doors and the trust pages; at least one."),
    OPTION("listen.http", TYPE_ENDPOINTS, "0.0.0.0:80,[::]:80", AT_LIST(listen_http),
           .sentence = "Addresses for the root certificate and other public files over plain HTTP; "
                       "`[]` turns it off."),
    OPTION("listen.dns", TYPE_ENDPOINTS, "0.0.0.0:53,[::]:53", AT_LIST(listen_dns),
           .sentence = "Addresses for DNS, UDP and TCP; answers leave from the address that was "
                       "asked."),
    OPTION("zones", TYPE_ZONES, "", AT_LIST(zones), .shown = "one zone, `home.arpa` (RFC 8375)",
           .sentence = "DNS suffixes below which this server issues certificates and, unless "
                       "`serve: false`, answers DNS. An entry may be just the name; `\".\"` means "
                       "every name."),
    ZONE("zones.name", TYPE_ZONE_NAME, "", AT_ZONE(name), .shown = "none: required",
         .sentence = "The suffix, such as `svc.dev`."),
    ZONE("zones.ingress", TYPE_IPS, "", AT_ZONE_LIST(ingress),
         .sentence = "Addresses that answer A and AAAA for every name of the zone without a record "
                     "of its own: your reverse proxy."),
    ZONE("zones.serve", TYPE_BOOL, "true", AT_ZONE(is_served),
         .sentence = "With `false` other servers answer the zone; `bailiwick client cname NAME` "
                     "prints the CNAME they need per name."),
    ZONE("zones.plain", TYPE_BOOL, "false", AT_ZONE(is_plain),
         .sentence = "With `true` nothing is made up in the zone: no ingress, no `_acme-challenge` "
                     "names; a name without a record does not exist. For reverse zones and for "
                     "zones whose names get no certificates here."),
    ZONE("zones.file", TYPE_PATH, "", AT_ZONE(file), .reload = RELOAD_FILE,
         .sentence = "RFC 1035 master file with further records, read at the start and by "
                     "`bailiwick zone reload`; `$INCLUDE` is refused."),
    ZONE("zones.transfer.allow", TYPE_NETS, "", AT_ZONE_LIST(transfer_allow),
         .sentence = "Networks that may transfer the zone (AXFR, IXFR); with `key` as well, both "
                     "must be right."),
    ZONE("zones.transfer.notify", TYPE_ENDPOINTS, "", AT_ZONE_LIST(transfer_notify),
         .default_port = 53, .sentence = "Secondaries that are told of every change (NOTIFY)."),
    ZONE("zones.transfer.key", TYPE_CLIENT_NAME, "", AT_ZONE(transfer_key),
         .sentence = "Name of the client whose secret is the TSIG key of transfers and NOTIFY."),
    OPTION("delegate_zone", TYPE_NAME, "", AT(delegate_zone), .shown = "`acme.<first zone>`",
           .sentence = "Zone in which challenge TXT values live; its names are not available to "
                       "hosts. Required with `zones: [\".\"]`."),
    OPTION("clients", TYPE_CLIENTS, "", AT_LIST(clients),
           .sentence = "Parties that may publish challenge values. Those added with `bailiwick "
                       "client add` are kept in the state directory instead."),
    ROW("clients.name", SCOPE_CLIENT, TYPE_CLIENT_NAME, "", AT_CLIENT(name),
        .shown = "none: required",
        .sentence = "User name: letters, digits, `-`, `_` and `.`, at most 64."),
    ROW("clients.secret", SCOPE_CLIENT, TYPE_SECRET, "", AT_CLIENT(secret),
        .shown = "none: required, unless `secret_file`",
        .sentence = "Letters and digits, at least 32, the length a multiple of 4."),
    ROW("clients.secret_file", SCOPE_CLIENT, TYPE_SECRET_FILE, "", AT_CLIENT(secret),
        .sentence = "File that holds the secret, instead of `secret`."),
    ROW("clients.names", SCOPE_CLIENT, TYPE_PATTERNS, "", AT_CLIENT_LIST(names),
        .shown = "none: required",
        .sentence = "What the client may get and, in DNS, update: `x` is the name x only; `*.x` is "
                    "every name below x "
                    "and its wildcards, not x itself; `*` is everything. "
                    "`[]` is a client that is only a key, for transfers."),
    ROW("clients.networks", SCOPE_CLIENT, TYPE_NETS, "", AT_CLIENT_LIST(networks),
        .shown = "anywhere", .sentence = "Networks that the client may come from."),
    ROW("clients.preauthorized", SCOPE_CLIENT, TYPE_BOOL, "false", AT_CLIENT(is_preauthorized),
        .sentence = "With `true`, ACME accounts bound to the client (external account binding) get "
                    "certificates for its names without a challenge, from its networks: the secret "
                    "is the proof."),
    ROW("clients.limits", SCOPE_CLIENT, TYPE_BOOL, "true", AT_CLIENT(has_limits),
        .sentence = "With `false`, `acme.rate_limits` do not count for accounts bound to the "
                    "client."),
    ROW("clients.records", SCOPE_CLIENT, TYPE_BOOL, "true", AT_CLIENT(has_records),
        .sentence = "Whether the client may change ordinary DNS records of its names by dynamic "
                    "update (RFC 2136). Challenge values it may publish in any case."),
    OPTION("open", TYPE_BOOL, "false", AT(is_open),
           .sentence = "Lab mode: `open_networks` publish without a credential, but only values of "
                       "pending challenges."),
    OPTION("open_networks", TYPE_NETS,
           "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
           AT_LIST(open_networks), .sentence = "Networks that `open` is for."),
    OPTION("open_any_name", TYPE_BOOL, "false", AT(open_any_name),
           .sentence = "Confirms that `open` together with `zones: [\".\"]` is meant: anybody in "
                       "`open_networks` gets any name."),
    OPTION("trusted_proxies", TYPE_NETS, "", AT_LIST(trusted_proxies),
           .sentence = "Reverse proxies whose `X-Forwarded-For` counts as the peer's address."),
    OPTION("resolvers", TYPE_ENDPOINTS, "", AT_LIST(resolvers), .default_port = 53,
           .shown = "the system's (`/etc/resolv.conf`)",
           .sentence = "DNS servers asked for names that this server does not serve."),
    OPTION("tls.cert", TYPE_PATH, "", AT(tls_cert), .reload = RELOAD_FILE,
           .shown = "our own certificate, renewed by itself",
           .sentence = "PEM file with the HTTPS certificate chain; needs `tls.key`."),
    OPTION("tls.key", TYPE_PATH, "", AT(tls_key), .reload = RELOAD_FILE, .shown = "our own key",
           .sentence = "PEM file with the key of `tls.cert`."),
    RELOADED("validation.http_port", TYPE_INT, "80", AT(acme.http_port), .min = 1, .max = 65535,
             .sentence = "Port that http-01 validation asks first; clients expect 80."),
    RELOADED("validation.tls_port", TYPE_INT, "443", AT(acme.tls_port), .min = 1, .max = 65535,
             .sentence = "Port of tls-alpn-01 validation; clients expect 443."),
    RELOADED("validation.allow", TYPE_NETS, "", AT_LIST(acme.allow),
             .sentence = "Networks that http-01 and tls-alpn-01 may connect to although they are "
                         "refused otherwise: loopback, link-local and multicast addresses, and the "
                         "addresses and ports that this server itself listens on."),
    RELOADED("acme.terms_of_service", TYPE_URL, "", AT(acme.terms_of_service),
             .sentence = "URL of terms that new accounts must agree to."),
    RELOADED("acme.external_account_required", TYPE_BOOL, "false",
             AT(acme.external_account_required),
             .sentence = "Whether new accounts need an external account binding: a client's name "
                         "as key id and its secret as HMAC key."),
    RELOADED("acme.authorization_reuse", TYPE_DURATION, "24h", AT(acme.authorization_reuse_s),
             .min = 0, .max = 90 * DAY_S,
             .sentence = "How long a valid authorization serves further orders of the same account "
                         "for the same identifier; 0 = never; at most 90d."),
    RELOADED("acme.retry_after", TYPE_DURATION, "1s", AT(acme.retry_after_s), .min = 1, .max = 3600,
             .sentence = "`Retry-After` while an order or authorization is processed; 1s to 1h."),
    RELOADED("acme.orders_per_page", TYPE_INT, "50", AT(acme.orders_per_page), .min = 1,
             .max = 1000, .sentence = "Orders in one page of an account's list; 1 to 1000."),
    RELOADED("acme.min_rsa_bits", TYPE_INT, "2048", AT(acme.min_rsa_bits), .min = 2048, .max = 4096,
             .sentence = "Smallest RSA key in a certificate request; 2048 to 4096."),
    RELOADED("acme.blocked_names", TYPE_NAMES, "", AT_LIST(acme.blocked_names),
             .sentence = "Names that nobody gets, nor any name below them. A wildcard above such a "
                         "name is issued all the same: block that too where it matters."),
    RELOADED("acme.ip_networks", TYPE_NETS, "", AT_LIST(acme.ip_networks),
             .sentence = "Networks whose addresses every account may order as ip identifiers "
                         "(RFC 8738). An account that is bound to a client may order those in the "
                         "client's networks as well."),
    RELOADED("acme.caa", TYPE_CHOICE, "report", AT(acme.caa), .choices = CAA_MODES,
             .sentence = "What a CAA record (RFC 8659) that excludes this server does: it is "
                         "noted, it stops the order, or it is not looked up."),
    PER_HOUR("acme.rate_limits.new_accounts", "60", AT(acme.limit_new_accounts),
             .sentence = "New accounts per hour and network (/24, /48); 0 = unlimited. Rate limits "
                         "are off for loopback and for clients with `limits: false`."),
    PER_HOUR("acme.rate_limits.orders", "600", AT(acme.limit_orders),
             .sentence = "Orders per hour and account; 0 = unlimited; off for loopback and for "
                         "clients with `limits: false`."),
    PER_HOUR("acme.rate_limits.failed_validations", "60", AT(acme.limit_failed_validations),
             .sentence = "Failed validations per hour, account and name; 0 = unlimited; off for "
                         "loopback and for clients with `limits: false`."),
    PER_HOUR("acme.rate_limits.pending_validations", "100", AT(acme.limit_pending_validations),
             .sentence = "Validations under way at a time, per account; 0 = unlimited; off for "
                         "loopback and for clients with `limits: false`."),
    RELOADED("profiles", TYPE_PROFILES, "", AT_LIST(acme.profiles),
             .sentence = "Certificate profiles beside the built-in `default` (90 days), `month` "
                         "(30) and `short` (6). Clients choose one by name in the order or by the "
                         "directory URL `/acme/p/<name>/directory`."),
    PROFILE("profiles.name", TYPE_PROFILE_NAME, "", AT_PROFILE(name), .shown = "none: required",
            .sentence = "Letters, digits, `-` and `_`, at most 32; not a built-in one's."),
    PROFILE("profiles.description", TYPE_TEXT, "", AT_PROFILE(description),
            .shown = "made from the rest",
            .sentence = "What people read in the directory, one line."),
    PROFILE("profiles.lifetime", TYPE_DURATION, "", AT_PROFILE(lifetime_s), .min = 3600,
            .max = 825 * DAY_S, .shown = "none: required",
            .sentence = "Life of a certificate; 1h to 825d. Many clients assume 90 days unless "
                        "told otherwise: a shorter life needs one that asks for renewal "
                        "information (RFC 9773) or is told when to renew."),
    PROFILE("profiles.usages", TYPE_USAGES, "server-auth", AT_PROFILE(has_server_auth),
            .choices = USAGES, .sentence = "What the certificates are for."),
    PROFILE("profiles.key_types", TYPE_KEY_TYPES, "ec,rsa,ed25519", AT_PROFILE(key_types),
            .choices = KEY_TYPES, .sentence = "Kinds of keys that may be certified."),
    OPTION("dns.hmac_md5", TYPE_BOOL, "false", AT(dns.hmac_md5),
           .sentence = "Whether TSIG signatures by HMAC-MD5 are accepted. Leave it off unless a "
                       "client cannot do better."),
    OPTION("dns.rate_limit", TYPE_INT, "0", AT(dns.rate_limit), .min = 0, .max = 1000000,
           .sentence = "UDP answers per second to one network (/24, /56); of those above it every "
                       "second one is sent truncated, the rest is dropped; 0 = no limit. Clients "
                       "with a DNS cookie are not limited."),
    OPTION("dns.query_log", TYPE_BOOL, "false", AT(dns.query_log),
           .sentence = "Whether the query log, which is kept in memory, is on from the start; "
                       "`bailiwick dns log on` and `off` switch it."),
    OPTION("dns.forward.networks", TYPE_NETS, "", AT_LIST(dns.forward_networks), .shown = "nobody",
           .sentence = "Networks whose questions about names that are not ours are forwarded; all "
                       "others are refused."),
    OPTION("dns.forward.upstreams", TYPE_ENDPOINTS, "", AT_LIST(dns.upstreams), .default_port = 53,
           .sentence = "DNS servers that they are forwarded to."),
    OPTION("dns.forward.routes", TYPE_ROUTES, "", AT_LIST(dns.routes), .default_port = 53,
           .sentence = "Other servers for names at and below a suffix, as in `corp.example: "
                       "[10.0.0.1]`; the longest suffix counts. In the environment "
                       "`corp.example=10.0.0.1+10.0.0.2,b.example=10.0.0.3`."),
    OPTION("ca.key", TYPE_CHOICE, "ecdsa-p256", AT(ca_key), .choices = KEY_ALGS,
           .sentence = "Key type of the root and the issuing certificate; read once, when `init` "
                       "or the first start makes them."),
    RELOADED("log.level", TYPE_CHOICE, "info", AT(log_level), .choices = LOG_LEVELS,
             .sentence = "Least important level that is written."),
    OPTION("log.format", TYPE_CHOICE, "text", AT(log_format), .choices = LOG_FORMATS,
           .sentence = "Form of the log lines on standard error."),
};
const size_t CONFIG_OPTIONS_N = sizeof(CONFIG_OPTIONS) / sizeof(CONFIG_OPTIONS[0]);
_Static_assert(sizeof(CONFIG_OPTIONS) / sizeof(CONFIG_OPTIONS[0]) <= CONFIG_OPTIONS_MAX,
               "raise CONFIG_OPTIONS_MAX");
_Static_assert(sizeof(enum log_level) == sizeof(int) && sizeof(enum log_format) == sizeof(int) &&
                   sizeof(enum config_key_alg) == sizeof(int) &&
                   sizeof(enum config_caa) == sizeof(int),
               "TYPE_CHOICE stores an int");

const struct config_option *config_option_find(const char *key)
{
    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        if (strcmp(CONFIG_OPTIONS[i].key, key) == 0) {
            return &CONFIG_OPTIONS[i];
        }
    }
    return NULL;
}

bool config_option_has_things(const struct config_option *option)
{
    return option->type == TYPE_ZONES || option->type == TYPE_CLIENTS ||
           option->type == TYPE_PROFILES || option->type == TYPE_ROUTES;
}

bool config_option_is_group(const char *key)
{
    size_t n = strlen(key);

    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        if (strncmp(CONFIG_OPTIONS[i].key, key, n) == 0 && CONFIG_OPTIONS[i].key[n] == '.') {
            return true;
        }
    }
    return false;
}

/* Edit distance with one row; both texts are at most CONFIG_ENV_NAME_MAX characters, longer ones
 * are far away. */
size_t config_distance(const char *a, const char *b)
{
    size_t row[CONFIG_ENV_NAME_MAX + 1];
    size_t n = strlen(b);

    if (n > CONFIG_ENV_NAME_MAX || strlen(a) > CONFIG_ENV_NAME_MAX) {
        return CONFIG_ENV_NAME_MAX;
    }
    for (size_t j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
        }
    }
    return row[n];
}

const char *config_option_nearest(const char *key)
{
    const char *best = NULL;
    size_t best_distance = 3; /* two typing errors are still near */

    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        size_t distance = config_distance(key, CONFIG_OPTIONS[i].key);
        if (distance < best_distance && distance < strlen(key)) {
            best = CONFIG_OPTIONS[i].key;
            best_distance = distance;
        }
    }
    return best;
}

void config_env_name(const struct config_option *option, char out[CONFIG_ENV_NAME_MAX])
{
    (void)snprintf(out, CONFIG_ENV_NAME_MAX, CONFIG_ENV_PREFIX "%.*s", (int)CONFIG_KEY_MAX,
                   option->key);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
    }
}

static const char *type_text(const struct config_option *option)
{
    switch (option->type) {
    case TYPE_TEXT:
        return "text";
    case TYPE_PATH:
    case TYPE_SECRET_FILE:
        return "path";
    case TYPE_BOOL:
        return "boolean";
    case TYPE_INT:
        return "number";
    case TYPE_DURATION:
        return "duration";
    case TYPE_NAME:
    case TYPE_ZONE_NAME:
    case TYPE_CLIENT_NAME:
    case TYPE_PROFILE_NAME:
        return "name";
    case TYPE_SECRET:
        return "secret";
    case TYPE_URL:
        return "URL";
    case TYPE_CHOICE:
        return "choice";
    case TYPE_IPS:
        return "list of addresses";
    case TYPE_NETS:
        return "list of networks";
    case TYPE_ENDPOINTS:
        return "list of address:port";
    case TYPE_NAMES:
        return "list of names";
    case TYPE_PATTERNS:
        return "list of name patterns";
    case TYPE_USAGES:
    case TYPE_KEY_TYPES:
        return "list of choices";
    case TYPE_ZONES:
        return "list of zones";
    case TYPE_CLIENTS:
        return "list of clients";
    case TYPE_PROFILES:
        return "list of profiles";
    case TYPE_ROUTES:
        return "mapping of names to lists of address:port";
    }
    return "";
}

static bool is_list(const struct config_option *option)
{
    switch (option->type) {
    case TYPE_IPS:
    case TYPE_NETS:
    case TYPE_ENDPOINTS:
    case TYPE_NAMES:
    case TYPE_PATTERNS:
    case TYPE_USAGES:
    case TYPE_KEY_TYPES:
    case TYPE_ZONES:
    case TYPE_CLIENTS:
    case TYPE_PROFILES:
        return true;
    case TYPE_TEXT:
    case TYPE_PATH:
    case TYPE_SECRET_FILE:
    case TYPE_BOOL:
    case TYPE_INT:
    case TYPE_DURATION:
    case TYPE_NAME:
    case TYPE_ZONE_NAME:
    case TYPE_CLIENT_NAME:
    case TYPE_PROFILE_NAME:
    case TYPE_SECRET:
    case TYPE_URL:
    case TYPE_CHOICE:
    case TYPE_ROUTES:
        return false;
    }
    return false;
}

static void put_default(struct buf *out, const struct config_option *option)
{
    if (option->shown != NULL) {
        buf_puts(out, option->shown);
        return;
    }
    if (option->preset[0] == '\0') {
        buf_puts(out, is_list(option) ? "`[]`" : option->type == TYPE_ROUTES ? "`{}`" : "empty");
        return;
    }
    buf_putc(out, '`');
    for (const char *c = option->preset; *c != '\0'; c++) {
        if (*c == ',') {
            buf_puts(out, "`, `");
        } else {
            buf_putc(out, *c);
        }
    }
    buf_putc(out, '`');
}

static const char *reload_text(enum config_reload reload)
{
    switch (reload) {
    case RELOAD_NO:
        return "no";
    case RELOAD_YES:
        return "yes";
    case RELOAD_FILE:
        return "the file";
    }
    return "";
}

/* The compact form of zones has room for name and ingress. */
static bool is_in_environment(const struct config_option *option)
{
    return strcmp(option->key, "zones.name") == 0 || strcmp(option->key, "zones.ingress") == 0;
}

static void put_environment(struct buf *out, const struct config_option *option)
{
    char env[CONFIG_ENV_NAME_MAX];

    switch (option->scope) {
    case SCOPE_CONFIG:
    case SCOPE_ROUTE: /* its rows are not in the table */
        config_env_name(option, env);
        buf_printf(out, "`%s`", env);
        break;
    case SCOPE_ZONE:
        buf_puts(out, is_in_environment(option) ? "in `BAILIWICK_ZONES`" : "file only");
        break;
    case SCOPE_CLIENT:
        buf_puts(out, "in `BAILIWICK_CLIENTS`");
        break;
    case SCOPE_PROFILE:
        buf_puts(out, "in `BAILIWICK_PROFILES`");
        break;
    }
}

static void put_meaning(struct buf *out, const struct config_option *option)
{
    buf_puts(out, option->sentence);
    for (size_t c = 0; option->choices != NULL && option->choices[c] != NULL; c++) {
        const char *lead = c > 0 ? "," : is_list(option) ? " Of" : " One of";
        buf_printf(out, "%s `%s`", lead, option->choices[c]);
    }
    if (option->choices != NULL) {
        buf_putc(out, '.');
    }
}

void config_reference(struct buf *out)
{
    buf_puts(out, "| key | type | default | environment | SIGHUP | meaning |\n"
                  "| --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        const struct config_option *option = &CONFIG_OPTIONS[i];
        buf_printf(out, "| `%s` | %s | ", option->key, type_text(option));
        put_default(out, option);
        buf_puts(out, " | ");
        put_environment(out, option);
        buf_printf(out, " | %s | ", reload_text(option->reload));
        put_meaning(out, option);
        buf_puts(out, " |\n");
    }
}
