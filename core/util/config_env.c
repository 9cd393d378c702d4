/* The environment: BAILIWICK_ + the key's path in upper case, lists separated by commas, zones,
 * clients, profiles and routes in their compact forms, and for each variable a twin with _FILE that
 * names a file holding the value. */
#include "core/util/config_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

#define ENV_VALUE_MAX 65536u

/* Kubernetes and Docker links put these beside a service called "bailiwick"; they are not meant for
 * us. A trailing '_' stands for everything that begins so. */
static const char *const FOREIGN[] = {"BAILIWICK_SERVICE_", "BAILIWICK_PORT_", "BAILIWICK_PORT",
                                      "BAILIWICK_CONFIG"};

static bool is_foreign(const char *name)
{
    for (size_t i = 0; i < ARRAY_N(FOREIGN); i++) {
        size_t n = strlen(FOREIGN[i]);
        bool is_prefix = FOREIGN[i][n - 1] == '_';
        if (is_prefix ? strncmp(name, FOREIGN[i], n) == 0 : strcmp(name, FOREIGN[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const struct config_option *find_variable(const char *name, bool *is_file)
{
    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        char env[CONFIG_ENV_NAME_MAX];
        config_env_name(&CONFIG_OPTIONS[i], env);
        size_t n = strlen(env);
        if (CONFIG_OPTIONS[i].scope == SCOPE_CONFIG && strncmp(name, env, n) == 0 &&
            (name[n] == '\0' || strcmp(name + n, "_FILE") == 0)) {
            *is_file = name[n] != '\0';
            return &CONFIG_OPTIONS[i];
        }
    }
    return NULL;
}

static void unknown_variable(struct config_loader *loader, const char *name)
{
    struct config_where where = {.source = SOURCE_ENV, .variable = name};
    char nearest[CONFIG_ENV_NAME_MAX] = "";
    size_t best = 3;

    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        char env[CONFIG_ENV_NAME_MAX];
        config_env_name(&CONFIG_OPTIONS[i], env);
        size_t distance = config_distance(name, env);
        if (CONFIG_OPTIONS[i].scope == SCOPE_CONFIG && distance < best) {
            best = distance;
            (void)snprintf(nearest, sizeof(nearest), "%s", env);
        }
    }
    config_problem(loader, &where, NULL, "unknown variable%s%s%s",
                   nearest[0] == '\0' ? "" : "; did you mean ", nearest,
                   nearest[0] == '\0' ? "" : "?");
}

/* Cut `text` at each `separator` in place; *out (mem_free) points into it. "" is no item at all. */
static struct err split(char *text, char separator, const struct config_where *where,
                        struct config_item **out, size_t *out_n)
{
    size_t n = text[0] == '\0' ? 0 : 1;

    for (const char *c = text; *c != '\0'; c++) {
        n += *c == separator ? 1 : 0;
    }
    struct config_item *items = mem_array(n, sizeof(*items));
    TRY_PTR(items);
    char *at = text;
    for (size_t i = 0; i < n; i++) {
        char *end = at + strcspn(at, (const char[]){separator, '\0'});
        char *next = *end == '\0' ? end : end + 1;
        at += strspn(at, " \t\r\n");
        while (end > at && strchr(" \t\r\n", end[-1]) != NULL) {
            end--;
        }
        *end = '\0';
        items[i].text = at;
        items[i].where = *where;
        at = next;
    }
    *out = items;
    *out_n = n;
    return err_ok();
}

/* Split a list value and set it. */
static struct err set_split(struct config_loader *loader, void *base, const char *key, char *text,
                            char separator, const struct config_where *where)
{
    AUTO(mem_freep) struct config_item *items = NULL;
    struct config_value v = {SHAPE_LIST, NULL, 0, *where};

    TRY(split(text, separator, where, &items, &v.n));
    v.items = items;
    return config_set(loader, base, config_option_find(key), &v);
}

static struct err set_scalar(struct config_loader *loader, void *base, const char *key,
                             const char *text, const struct config_where *where)
{
    struct config_item item = {text, *where};
    struct config_value v = {SHAPE_SCALAR, &item, 1, *where};

    return config_set(loader, base, config_option_find(key), &v);
}

/* name[=address[+address...]] */
static struct err read_zone(struct config_loader *loader, char *text,
                            const struct config_where *where)
{
    struct config_zone *zone = NULL;
    char *equals = strchr(text, '=');

    TRY(config_zone_new(loader, where, &zone));
    if (zone == NULL) {
        return err_ok();
    }
    if (equals != NULL) {
        *equals = '\0';
        TRY(set_split(loader, zone, "zones.ingress", equals + 1, '+', where));
    }
    TRY(set_scalar(loader, zone, "zones.name", text, where));
    config_zone_finish(loader, zone);
    return err_ok();
}

/* The words behind a client's name. */
static void read_client_words(struct config_loader *loader, struct config_client *client,
                              char *words, const struct config_where *where, bool *has_names)
{
    while (words != NULL) {
        char *next = strchr(words, '+');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (strcmp(words, "preauthorized") == 0) {
            client->is_preauthorized = true;
        } else if (strcmp(words, "no-limits") == 0) {
            client->has_limits = false;
        } else if (strcmp(words, "no-records") == 0) {
            client->has_records = false;
        } else if (strcmp(words, "no-names") == 0) {
            *has_names = false;
        } else {
            config_problem(loader, where, "clients",
                           "'%.80s' is not preauthorized, no-limits, no-records or no-names, which "
                           "may follow a client's name",
                           words);
        }
        words = next;
    }
}

/* No names at all may be a slip (an empty variable); the word says that it is meant. */
static struct err read_client_names(struct config_loader *loader, struct config_client *client,
                                    char *names, bool has_names, const struct config_where *where)
{
    if (has_names ? names[0] == '\0' : names[0] != '\0') {
        config_problem(loader, where, "clients",
                       has_names
                           ? "client '%s' has no names, so it could get nothing; list at "
                             "least one, or write %s+no-names if it is a key for transfers "
                             "only"
                           : "client '%s' has no-names behind its name, and names; remove one "
                             "of them",
                       client->name, client->name);
        return err_ok();
    }
    return set_split(loader, client, "clients.names", names, '+', where);
}

/* name[+preauthorized][+no-limits][+no-records][+no-names]:secret:pattern[+pattern...]
 * [:network[+network...]]; networks come last because IPv6 has colons. */
static struct err read_client(struct config_loader *loader, char *text,
                              const struct config_where *where)
{
    struct config_client *client = NULL;
    bool has_names = true;
    char *secret = strchr(text, ':');
    char *names = secret == NULL ? NULL : strchr(secret + 1, ':');

    if (names == NULL) {
        config_problem(loader, where, "clients",
                       "a client is written name:secret:names[:networks], with + between several");
        return err_ok();
    }
    TRY(config_client_new(loader, where, &client));
    if (client == NULL) {
        return err_ok();
    }
    char *networks = strchr(names + 1, ':');
    *secret = '\0';
    *names = '\0';
    char *words = strchr(text, '+');
    if (words != NULL) {
        *words++ = '\0';
        read_client_words(loader, client, words, where, &has_names);
    }
    if (networks != NULL) {
        *networks = '\0';
        TRY(set_split(loader, client, "clients.networks", networks + 1, '+', where));
    }
    TRY(set_scalar(loader, client, "clients.name", text, where));
    TRY(set_scalar(loader, client, "clients.secret", secret + 1, where));
    TRY(read_client_names(loader, client, names + 1, has_names, where));
    config_client_finish(loader, client);
    return err_ok();
}

/* name=lifetime[:[usage+usage]][:key type[+key type...]] */
static struct err read_profile(struct config_loader *loader, char *text,
                               const struct config_where *where)
{
    struct config_profile *profile = NULL;
    char *lifetime = strchr(text, '=');

    if (lifetime == NULL) {
        config_problem(loader, where, "profiles",
                       "a profile is written name=lifetime[:usages[:key_types]], with + between "
                       "several");
        return err_ok();
    }
    TRY(config_profile_new(loader, where, &profile));
    if (profile == NULL) {
        return err_ok();
    }
    *lifetime++ = '\0';
    char *usages = strchr(lifetime, ':');
    char *key_types = usages == NULL ? NULL : strchr(usages + 1, ':');
    if (usages != NULL) {
        *usages++ = '\0';
    }
    if (key_types != NULL) {
        *key_types++ = '\0';
        TRY(set_split(loader, profile, "profiles.key_types", key_types, '+', where));
    }
    if (usages != NULL && usages[0] != '\0') {
        TRY(set_split(loader, profile, "profiles.usages", usages, '+', where));
    }
    TRY(set_scalar(loader, profile, "profiles.name", text, where));
    TRY(set_scalar(loader, profile, "profiles.lifetime", lifetime, where));
    return config_profile_finish(loader, profile);
}

/* name=server[+server...] */
static struct err read_route(struct config_loader *loader, char *text,
                             const struct config_where *where)
{
    AUTO(mem_freep) struct config_item *items = NULL;
    struct config_item name = {text, *where};
    struct config_value v = {SHAPE_LIST, NULL, 0, *where};
    char *equals = strchr(text, '=');

    if (equals == NULL) {
        config_problem(loader, where, where->option->key,
                       "a route is written name=server, with + between several servers");
        return err_ok();
    }
    *equals = '\0';
    TRY(split(equals + 1, '+', where, &items, &v.n));
    v.items = items;
    return config_route_add(loader, &name, &v);
}

static void clear_things(struct config_loader *loader, enum config_type type)
{
    if (type == TYPE_ZONES) {
        config_zones_clear(loader);
    } else if (type == TYPE_CLIENTS) {
        config_clients_clear(loader);
    } else if (type == TYPE_ROUTES) {
        config_routes_clear(loader);
    } else {
        config_profiles_clear(loader);
    }
}

static struct err read_things(struct config_loader *loader, const struct config_option *option,
                              char *text, const struct config_where *where)
{
    AUTO(mem_freep) struct config_item *items = NULL;
    size_t n = 0;

    TRY(split(text, ',', where, &items, &n));
    if (n > CONFIG_LIST_MAX) {
        config_problem(loader, where, option->key, "the list has more than %u entries",
                       CONFIG_LIST_MAX);
        return err_ok();
    }
    loader->where[option - CONFIG_OPTIONS] = *where;
    clear_things(loader, option->type);
    for (size_t i = 0; i < n; i++) {
        char *at = text + (items[i].text - text); /* the writable way to the item */
        if (option->type == TYPE_ZONES) {
            TRY(read_zone(loader, at, where));
        } else if (option->type == TYPE_CLIENTS) {
            TRY(read_client(loader, at, where));
        } else if (option->type == TYPE_ROUTES) {
            TRY(read_route(loader, at, where));
        } else {
            TRY(read_profile(loader, at, where));
        }
    }
    return err_ok();
}

static struct err set_variable(struct config_loader *loader, const struct config_option *option,
                               char *text, const struct config_where *where)
{
    switch (option->type) {
    case TYPE_ZONES:
    case TYPE_CLIENTS:
    case TYPE_PROFILES:
    case TYPE_ROUTES:
        return read_things(loader, option, text, where);
    case TYPE_IPS:
    case TYPE_NETS:
    case TYPE_ENDPOINTS:
    case TYPE_NAMES:
    case TYPE_PATTERNS:
    case TYPE_USAGES:
    case TYPE_KEY_TYPES:
        return set_split(loader, loader->cfg, option->key, text, ',', where);
    case TYPE_TEXT:
    case TYPE_PATH:
    case TYPE_BOOL:
    case TYPE_INT:
    case TYPE_DURATION:
    case TYPE_NAME:
    case TYPE_ZONE_NAME:
    case TYPE_CLIENT_NAME:
    case TYPE_PROFILE_NAME:
    case TYPE_SECRET:
    case TYPE_SECRET_FILE:
    case TYPE_URL:
    case TYPE_CHOICE:
        break;
    }
    return set_scalar(loader, loader->cfg, option->key, text, where);
}

static bool has_control(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return true;
        }
    }
    return false;
}

static struct err read_value_file(struct config_loader *loader, const char *path,
                                  const struct config_where *where, char **out)
{
    size_t len = 0;

    if (config_read_file(path, ENV_VALUE_MAX, out, &len).code != ERR_OK) {
        config_problem(loader, where, where->option->key, "%s", err_trace()->text);
        return err_ok();
    }
    while (len > 0 && strchr(" \t\r\n", (*out)[len - 1]) != NULL) {
        (*out)[--len] = '\0';
    }
    return err_ok();
}

static struct err read_variable(struct config_loader *loader, const struct config_option *option,
                                bool is_file, const char *value)
{
    struct config_where where = {.source = is_file ? SOURCE_ENV_FILE : SOURCE_ENV,
                                 .option = option};
    char *text = NULL;

    if (strlen(value) > ENV_VALUE_MAX) {
        config_problem(loader, &where, option->key, "the value is longer than %u characters",
                       ENV_VALUE_MAX);
        return err_ok();
    }
    const struct config_where *before = &loader->where[option - CONFIG_OPTIONS];
    if (before->source == SOURCE_ENV || before->source == SOURCE_ENV_FILE) {
        config_problem(loader, &where, option->key,
                       "the variable is set twice; set it with or without _FILE, once");
        return err_ok();
    }
    if (is_file) {
        TRY(read_value_file(loader, value, &where, &text));
    } else {
        text = mem_strdup(value);
        TRY_PTR(text);
    }
    if (text == NULL) {
        return err_ok();
    }
    size_t len = strlen(text);
    struct err e = err_ok();
    if (has_control(text)) {
        config_problem(loader, &where, option->key,
                       "a control character or line break stands in the value");
    } else {
        e = set_variable(loader, option, text, &where);
    }
    mem_wipe(text, len);
    mem_free(text);
    return e;
}

struct err config_env_read(struct config_loader *loader, char **environ_)
{
    static const size_t prefix_len = sizeof(CONFIG_ENV_PREFIX) - 1;

    for (char **entry = environ_; entry != NULL && *entry != NULL; entry++) {
        const char *equals = strchr(*entry, '=');
        bool is_file = false;
        if (equals == NULL || strncmp(*entry, CONFIG_ENV_PREFIX, prefix_len) != 0) {
            continue;
        }
        AUTO(mem_freep) char *name = mem_strndup(*entry, (size_t)(equals - *entry));
        TRY_PTR(name);
        if (is_foreign(name)) {
            continue;
        }
        const struct config_option *option = find_variable(name, &is_file);
        if (option == NULL) {
            unknown_variable(loader, name);
            continue;
        }
        TRY(read_variable(loader, option, is_file, equals + 1));
    }
    return err_ok();
}
