/* Configuration: defaults, then the YAML file, then environment, into one struct.
 *
 * One option table (config_options.c) gives each key its type, default, range and sentence; it
 * drives the file reader, the environment (BAILIWICK_ + path), the defaults and the generated
 * reference docs/configuration.md. The file is YAML 1.1 read through document nodes; booleans are
 * exactly true/false; aliases, duplicate and unknown keys, wrong types and out-of-range values are
 * errors that name file, line, column and what was expected. Cross-checks (delegate zone, zones
 * ["."], open_any_name, secrets' shape, duplicate clients) happen here too.
 * Thread: load once; the result is read-only afterwards. */
#ifndef CORE_UTIL_CONFIG_H
#define CORE_UTIL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"
#include "core/util/err.h"
#include "core/util/log.h"
#include "core/util/name.h"

#define CONFIG_LIST_MAX 1024u
#define CONFIG_FILE_MAX (1024u * 1024u)
#define CLIENT_NAME_MAX 64u /* letters, digits, '-', '_', '.'; starts with a letter or digit */
#define CLIENT_SECRET_MIN 32u
#define CLIENT_SECRET_MAX 128u

struct config_zone {
    char name[NAME_TEXT_MAX + 1]; /* "." for every name */
    struct ip_addr *ingress;
    size_t ingress_n;
    bool is_served; /* serve: */
    /* plain: nothing is made up in the zone: no ingress, no _acme-challenge names; what is not
     * stored is NXDOMAIN */
    bool is_plain;
    char *file; /* RFC 1035 master file, or "" */
    /* transfer: */
    struct ip_net *transfer_allow;
    size_t transfer_allow_n;
    struct ip_endpoint *transfer_notify; /* default port 53 */
    size_t transfer_notify_n;
    char transfer_key[CLIENT_NAME_MAX + 1]; /* a client's name, or "" */
};

/* dns.forward.routes: who is asked about names at and below a suffix. */
struct config_route {
    char name[NAME_TEXT_MAX + 1];
    struct ip_endpoint *servers;
    size_t servers_n;
};

struct config_dns {
    bool hmac_md5;
    int64_t rate_limit; /* UDP answers per second and network; 0 = no limit */
    bool query_log;     /* on at start */
    struct ip_net *forward_networks;
    size_t forward_networks_n;
    struct ip_endpoint *upstreams;
    size_t upstreams_n;
    struct config_route *routes;
    size_t routes_n;
};

struct config_client {
    char name[CLIENT_NAME_MAX + 1];
    char *secret; /* letters and digits; wiped by config_free() */
    struct name_pattern *names;
    size_t names_n;
    struct ip_net *networks; /* none = anywhere */
    size_t networks_n;
    bool is_preauthorized; /* preauthorized: */
    bool has_limits;       /* limits: */
    bool has_records;      /* records: may update ordinary DNS records of its names; default true */
};

enum config_key_alg {
    CONFIG_KEY_ECDSA_P256,
    CONFIG_KEY_ECDSA_P384,
    CONFIG_KEY_RSA_2048,
    CONFIG_KEY_RSA_3072,
    CONFIG_KEY_RSA_4096
};

enum config_caa { CONFIG_CAA_REPORT, CONFIG_CAA_ENFORCE, CONFIG_CAA_OFF };

/* Key types of a certificate profile, a mask. */
enum config_key_types { CONFIG_KEYS_EC = 1, CONFIG_KEYS_RSA = 2, CONFIG_KEYS_ED25519 = 4 };
#define CONFIG_PROFILE_NAME_MAX 32u
struct config_profile {
    char name[CONFIG_PROFILE_NAME_MAX + 1]; /* letters, digits, '-', '_'; not a built-in one's */
    char *description;                      /* one line; made from the rest when none is written */
    int64_t lifetime_s;
    bool has_server_auth, has_client_auth; /* usages: extended key usages; default server-auth */
    unsigned key_types;                    /* of enum config_key_types; default all */
};

/* The blocks acme:, validation: and profiles:. acme-server reads them through a pointer that a
 * reload replaces; everything else in struct config is read once. */
struct config_acme {
    char *terms_of_service; /* URL or "" */
    bool external_account_required;
    int64_t authorization_reuse_s;
    int64_t retry_after_s;
    int64_t orders_per_page;
    int64_t min_rsa_bits;
    char **blocked_names; /* names and everything below them are rejectedIdentifier */
    size_t blocked_names_n;
    struct ip_net *ip_networks; /* ip identifiers that every account may order; default none */
    size_t ip_networks_n;
    enum config_caa caa;
    /* rate_limits: events per hour, 0 = unlimited */
    int64_t limit_new_accounts;        /* per network: /24, /48 */
    int64_t limit_orders;              /* per account */
    int64_t limit_failed_validations;  /* per account and name */
    int64_t limit_pending_validations; /* at a time, per account */
    int64_t http_port, tls_port;       /* validation: */
    struct ip_net *allow;              /* networks otherwise refused as targets */
    size_t allow_n;
    struct config_profile *profiles; /* beside the built-in ones */
    size_t profiles_n;
};

struct config {
    char *path; /* of the file that was read, or NULL */
    char *state_dir;
    /* default: the machine's; one without a dot is put below the first zone */
    char hostname[NAME_TEXT_MAX + 1];
    /* default: the machine's non-loopback addresses, loopback if it has none */
    struct ip_addr *addresses;
    size_t addresses_n;
    char *public_url; /* "https://host[:port]", no trailing slash */
    struct ip_endpoint *listen_https, *listen_http, *listen_dns;
    size_t listen_https_n, listen_http_n, listen_dns_n;
    struct config_zone *zones;
    size_t zones_n;
    bool zones_are_default; /* none configured: the one zone is home.arpa (RFC 8375) */
    char delegate_zone[NAME_TEXT_MAX + 1]; /* default acme.<first zone> */
    struct config_client *clients;
    size_t clients_n;
    bool is_open;
    struct ip_net *open_networks; /* default loopback, RFC 1918, ULA */
    size_t open_networks_n;
    bool open_any_name;
    struct ip_net *trusted_proxies;
    size_t trusted_proxies_n;
    struct ip_endpoint *resolvers; /* default: the system's (/etc/resolv.conf) */
    size_t resolvers_n;
    struct config_acme acme;
    struct config_dns dns;
    enum config_key_alg ca_key;
    char *tls_cert, *tls_key; /* "" = our own certificate */
    enum log_level log_level;
    enum log_format log_format;
};

/* path NULL: /etc/bailiwick/bailiwick.yaml if it exists, else defaults and environment only.
 * `environ_` is a NULL-ended list of "KEY=value" (pass environ). On ERR_CONFIG `problems` (a buf
 * the caller owns) holds one line per fault, ready to print: "FILE:LINE:COLUMN: key: what is wrong;
 * what was expected". *out owned by the caller. */
MUST_USE struct err config_load(const char *path, char **environ_, struct buf *problems,
                                struct config **out);
/* The pure part, for tests and fuzzing: YAML text of `len` bytes under the name `label`. No
 * environment, no files read. */
MUST_USE struct err config_parse(const char *label, const char *text, size_t len,
                                 struct buf *problems, struct config **out);
void config_free(struct config *cfg);
void config_freep(struct config **cfg); /* for AUTO() */
/* Do two loaded configurations differ in what is read once, at the start? Appends the keys that do
 * to `keys`, as in "listen.dns, zones"; of zones and clients only these words. What SIGHUP reads
 * again (acme, validation, profiles, log.level, the files of tls.cert and tls.key) is not looked
 * at. Defaults that were made from other keys or from the machine count with their value. */
bool config_differs_elsewhere(const struct config *a, const struct config *b, struct buf *keys);
/* Append the reference (Markdown table rows: key, type, default, environment name, whether SIGHUP
 * reads it, sentence) generated from the table. */
void config_reference(struct buf *out);
/* A client name / secret as product.md rules; why (optional) gets a static phrase. */
bool config_client_name_ok(const char *name);
bool config_secret_ok(const char *secret, const char **why);
/* The longest configured zone that holds `name` (equal or above), or NULL. */
const struct config_zone *config_zone_of(const struct config *cfg, const char *name);

#endif
