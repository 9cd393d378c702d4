/* Shared by the config*.c files only: the option table's shape, values with their position, and the
 * problem list.
 *
 * Both sources (YAML nodes, environment) turn what they read into a struct config_value and hand it
 * to config_set(), so that a key means the same wherever it comes from.  A fault of the
 * administrator is a line in the problem list and ERR_OK; an error code is our own failure. */
#ifndef CORE_UTIL_CONFIG_INTERNAL_H
#define CORE_UTIL_CONFIG_INTERNAL_H

#include "core/util/config.h"

#define CONFIG_KEY_MAX 64u       /* characters of a key path */
#define CONFIG_VALUE_MAX 4096u   /* characters of one value */
#define CONFIG_PROBLEMS_MAX 50u  /* lines; a summary line follows */
#define CONFIG_MAPPING_MAX 256u  /* keys in one mapping */
#define CONFIG_STATE_DIR_MAX 90u /* so that <state_dir>/control.sock fits a sockaddr_un */
#define CONFIG_DEFAULT_PATH "/etc/bailiwick/bailiwick.yaml"
#define CONFIG_DEFAULT_ZONE "home.arpa" /* RFC 8375 */
#define CONFIG_ENV_PREFIX "BAILIWICK_"

enum config_type {
    TYPE_TEXT,
    TYPE_PATH,
    TYPE_BOOL,
    TYPE_INT,
    TYPE_DURATION,
    TYPE_NAME,      /* char[NAME_TEXT_MAX + 1]; "" = default */
    TYPE_ZONE_NAME, /* the same, "." allowed */
    TYPE_CLIENT_NAME,
    TYPE_PROFILE_NAME,
    TYPE_SECRET,
    TYPE_SECRET_FILE,
    TYPE_URL,
    TYPE_CHOICE,
    TYPE_IPS,
    TYPE_NETS,
    TYPE_ENDPOINTS,
    TYPE_NAMES,
    TYPE_PATTERNS,
    TYPE_USAGES,    /* choices: has_server_auth and has_client_auth of a profile */
    TYPE_KEY_TYPES, /* choices: a mask of enum config_key_types */
    TYPE_ZONES,
    TYPE_CLIENTS,
    TYPE_PROFILES,
    TYPE_ROUTES
};
enum config_scope { SCOPE_CONFIG, SCOPE_ZONE, SCOPE_CLIENT, SCOPE_PROFILE, SCOPE_ROUTE };
/* What SIGHUP does for a key. */
enum config_reload {
    RELOAD_NO,
    RELOAD_YES,
    RELOAD_FILE /* the file at the path that was read at the start is read again */
};

struct config_option {
    const char *key; /* full path */
    enum config_scope scope;
    enum config_type type;
    enum config_reload reload;
    const char *preset; /* as it would be written; lists comma separated */
    const char *shown;  /* the default as the reference words it, when preset does not say it */
    size_t offset;
    size_t n_offset; /* of lists */
    int64_t min, max;
    int64_t default_port;
    const char *const *choices; /* NULL-ended; the enum's values in order */
    const char *sentence;
};
extern const struct config_option CONFIG_OPTIONS[];
extern const size_t CONFIG_OPTIONS_N;
#define CONFIG_OPTIONS_MAX 96u

enum config_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENV, SOURCE_ENV_FILE };
struct config_where {
    enum config_source source;
    const struct config_option *option; /* environment: whose variable */
    const char *variable;               /* the same, when the variable is unknown; borrowed */
    size_t line, column;                /* file: from 1 */
};
struct config_item {
    const char *text; /* borrowed, terminated */
    struct config_where where;
};
enum config_shape { SHAPE_SCALAR, SHAPE_LIST, SHAPE_MAP };
struct config_value {
    enum config_shape shape;
    const struct config_item *items; /* SHAPE_MAP: none, only n */
    size_t n;
    struct config_where where;
};

struct config_loader {
    struct config *cfg;
    struct buf *problems;
    size_t problems_n;
    const char *label; /* file name or label; NULL without a file */
    bool may_read_files;
    struct config_where where[CONFIG_OPTIONS_MAX]; /* where each option was set last */
    struct config_where *zone_where;               /* parallel to cfg->zones */
    struct config_where *client_where;             /* parallel to cfg->clients */
    struct config_where *profile_where;            /* parallel to cfg->acme.profiles */
    struct config_where *route_where;              /* parallel to cfg->dns.routes */
    size_t thing_problems_n; /* problems_n when the newest zone, client or profile began */
};

/* What the default values need to know about the machine. */
struct config_machine {
    char hostname[NAME_TEXT_MAX + 1]; /* "" when it has none that is a DNS name */
    struct ip_addr *addresses;
    size_t addresses_n;
    struct ip_endpoint *resolvers;
    size_t resolvers_n;
};

/* --- config_options.c */
const struct config_option *config_option_find(const char *key);
/* Is `key` the parent of options ("acme")? */
bool config_option_is_group(const char *key);
/* The sibling key nearest to `key` (a full path), or NULL when nothing is near. */
const char *config_option_nearest(const char *key);
/* "BAILIWICK_LISTEN_DNS"; out: CONFIG_KEY_MAX + 20. */
#define CONFIG_ENV_NAME_MAX (CONFIG_KEY_MAX + 20u)
void config_env_name(const struct config_option *option, char out[CONFIG_ENV_NAME_MAX]);
size_t config_distance(const char *a, const char *b);

/* Is its value a mapping or list of mappings that the sources walk themselves? */
bool config_option_has_things(const struct config_option *option);

/* --- config_value.c */
void config_problem(struct config_loader *loader, const struct config_where *where, const char *key,
                    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* base: the struct config, config_zone, config_client, config_profile or config_route that
 * option->offset refers to. */
MUST_USE struct err config_set(struct config_loader *loader, void *base,
                               const struct config_option *option, const struct config_value *v);
/* The number of item's text among option->choices, or -1 with a problem line. */
int config_choose(struct config_loader *loader, const struct config_option *option,
                  const struct config_item *item);
/* "7d", "36h": seconds in the greatest unit that fits. */
#define CONFIG_DURATION_MAX 24u
void config_duration_text(int64_t seconds, char out[CONFIG_DURATION_MAX]);
/* file_read() into text of its own, terminated; *out owned by the caller, who wipes secrets. */
MUST_USE struct err config_read_file(const char *path, size_t max, char **out, size_t *out_len);

/* --- config_things.c: zones and clients, one by one */
/* Room for one more in a list and in the list of positions beside it, doubling. The lists start
 * empty and n counts both. */
MUST_USE struct err config_grow(void **list, size_t size, struct config_where **where, size_t n);
/* Forget what an earlier source said, then let the caller add. */
void config_zones_clear(struct config_loader *loader);
void config_clients_clear(struct config_loader *loader);
/* Append one with its defaults; NULL with a problem line at CONFIG_LIST_MAX. */
MUST_USE struct err config_zone_new(struct config_loader *loader, const struct config_where *where,
                                    struct config_zone **out);
MUST_USE struct err config_client_new(struct config_loader *loader,
                                      const struct config_where *where, struct config_client **out);
/* Check that the newest one is whole. */
void config_zone_finish(struct config_loader *loader, const struct config_zone *zone);
void config_client_finish(struct config_loader *loader, const struct config_client *client);

/* --- config_profile.c: the same for certificate profiles */
void config_profiles_clear(struct config_loader *loader);
MUST_USE struct err config_profile_new(struct config_loader *loader,
                                       const struct config_where *where,
                                       struct config_profile **out);
/* Also makes the description when none is written. */
MUST_USE struct err config_profile_finish(struct config_loader *loader,
                                          struct config_profile *profile);
/* TYPE_PROFILE_NAME, TYPE_USAGES, TYPE_KEY_TYPES. */
void config_profile_set(struct config_loader *loader, struct config_profile *profile,
                        const struct config_option *option, const struct config_value *v);

/* --- config_route.c: dns.forward.routes */
void config_routes_clear(struct config_loader *loader);
/* Append a route: a suffix and the servers (SHAPE_SCALAR or SHAPE_LIST) asked about it. */
MUST_USE struct err config_route_add(struct config_loader *loader, const struct config_item *name,
                                     const struct config_value *servers);
/* Forwarding is whole: who may ask and whom we ask. */
void config_routes_check(struct config_loader *loader);

/* --- the sources */
MUST_USE struct err config_yaml_read(struct config_loader *loader, const char *text, size_t len);
MUST_USE struct err config_env_read(struct config_loader *loader, char **environ_);
MUST_USE struct err config_machine_read(struct config_machine *out);
/* Fixed facts ("ca", 127.0.0.1), for the pure part. */
MUST_USE struct err config_machine_fixed(struct config_machine *out);
void config_machine_clear(struct config_machine *machine);

/* --- config_check.c: computed defaults, then every rule that spans several keys */
MUST_USE struct err config_finish(struct config_loader *loader, struct config_machine *machine);

#endif
