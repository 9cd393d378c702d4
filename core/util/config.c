/* Loading: defaults, file, environment, then the rules; and the little that others ask of a loaded
 * configuration. */
#include "core/util/config.h"

#include "core/util/config_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

static void loader_clear(struct config_loader *loader)
{
    mem_freep(&loader->zone_where);
    mem_freep(&loader->client_where);
    mem_freep(&loader->profile_where);
    mem_freep(&loader->route_where);
    config_freep(&loader->cfg);
}

static struct err set_default(struct config_loader *loader, const struct config_option *option)
{
    struct config_where where = {.source = SOURCE_DEFAULT};
    struct config_item items[16];
    struct config_value v = {SHAPE_SCALAR, items, 1, where};
    AUTO(mem_freep) char *text = mem_strdup(option->preset);

    TRY_PTR(text);
    items[0] = (struct config_item){text, where};
    if (option->n_offset != 0) {
        v.shape = SHAPE_LIST;
        v.n = 0;
        for (char *at = text; *at != '\0' && v.n < ARRAY_N(items);) {
            size_t n = strcspn(at, ",");
            items[v.n++] = (struct config_item){at, where};
            at += n;
            if (*at == ',') {
                *at++ = '\0';
            }
        }
    }
    return config_set(loader, loader->cfg, option, &v);
}

static struct err set_defaults(struct config_loader *loader)
{
    loader->cfg = mem_zalloc(sizeof(*loader->cfg));
    TRY_PTR(loader->cfg);
    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        const struct config_option *option = &CONFIG_OPTIONS[i];
        if (option->scope == SCOPE_CONFIG && !config_option_has_things(option)) {
            TRY(set_default(loader, option));
        }
    }
    return err_ok();
}

/* The last step of both entries: give the result out, or say how many faults there are. */
static struct err conclude(struct config_loader *loader, struct config_machine *machine,
                           struct config **out)
{
    struct err e = config_finish(loader, machine);

    config_machine_clear(machine);
    TRY(e);
    if (loader->problems_n > 0) {
        FAIL(ERR_CONFIG, "the configuration has %zu problem%s", loader->problems_n,
             loader->problems_n == 1 ? "" : "s");
    }
    *out = MOVE(loader->cfg);
    return err_ok();
}

struct err config_parse(const char *label, const char *text, size_t len, struct buf *problems,
                        struct config **out)
{
    AUTO(loader_clear) struct config_loader loader;
    struct config_machine machine;

    memset(&loader, 0, sizeof(loader));
    memset(&machine, 0, sizeof(machine));
    loader.problems = problems;
    loader.label = label;
    TRY(set_defaults(&loader));
    TRY(config_yaml_read(&loader, text, len));
    TRY(config_machine_fixed(&machine));
    return conclude(&loader, &machine, out);
}

static const char *env_value(char **environ_, const char *name)
{
    size_t n = strlen(name);

    for (char **entry = environ_; entry != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, name, n) == 0 && (*entry)[n] == '=') {
            return *entry + n + 1;
        }
    }
    return NULL;
}

/* A file that was named must be there; the default one may be missing. */
static struct err read_config_file(struct config_loader *loader, const char *path, bool is_named)
{
    struct config_where where = {.source = SOURCE_DEFAULT};
    char *text = NULL;
    size_t len = 0;
    struct err e = config_read_file(path, CONFIG_FILE_MAX, &text, &len);

    if (e.code == ERR_NOT_FOUND && !is_named) {
        return err_ok();
    }
    loader->label = path;
    if (e.code == ERR_NOMEM) {
        return e;
    }
    if (e.code != ERR_OK) {
        config_problem(loader, &where, NULL, "%s", err_trace()->text);
        return err_ok();
    }
    e = config_yaml_read(loader, text, len);
    mem_wipe(text, len);
    mem_free(text);
    TRY(e);
    loader->cfg->path = mem_strdup(path);
    TRY_PTR(loader->cfg->path);
    return err_ok();
}

struct err config_load(const char *path, char **environ_, struct buf *problems, struct config **out)
{
    AUTO(loader_clear) struct config_loader loader;
    struct config_machine machine;
    const char *named = path != NULL ? path : env_value(environ_, "BAILIWICK_CONFIG");

    memset(&loader, 0, sizeof(loader));
    memset(&machine, 0, sizeof(machine));
    loader.problems = problems;
    loader.may_read_files = true;
    if (named != NULL && named[0] == '\0') {
        named = NULL;
    }
    TRY(set_defaults(&loader));
    TRY(read_config_file(&loader, named == NULL ? CONFIG_DEFAULT_PATH : named, named != NULL));
    TRY(config_env_read(&loader, environ_));
    struct err e = config_machine_read(&machine);
    if (e.code != ERR_OK) {
        config_machine_clear(&machine);
        return e;
    }
    return conclude(&loader, &machine, out);
}

void config_free(struct config *cfg)
{
    if (cfg == NULL) {
        return;
    }
    struct config_loader lists;
    memset(&lists, 0, sizeof(lists));
    lists.cfg = cfg;
    config_zones_clear(&lists);
    config_clients_clear(&lists);
    config_profiles_clear(&lists);
    config_routes_clear(&lists);
    for (size_t i = 0; i < cfg->acme.blocked_names_n; i++) {
        mem_free(cfg->acme.blocked_names[i]);
    }
    mem_free(cfg->acme.blocked_names);
    mem_free(cfg->path);
    mem_free(cfg->state_dir);
    mem_free(cfg->addresses);
    mem_free(cfg->public_url);
    mem_free(cfg->listen_https);
    mem_free(cfg->listen_http);
    mem_free(cfg->listen_dns);
    mem_free(cfg->open_networks);
    mem_free(cfg->trusted_proxies);
    mem_free(cfg->resolvers);
    mem_free(cfg->dns.forward_networks);
    mem_free(cfg->dns.upstreams);
    mem_free(cfg->acme.terms_of_service);
    mem_free(cfg->acme.ip_networks);
    mem_free(cfg->acme.allow);
    mem_free(cfg->tls_cert);
    mem_free(cfg->tls_key);
    mem_free(cfg);
}

void config_freep(struct config **cfg)
{
    config_free(*cfg);
    *cfg = NULL;
}

const struct config_zone *config_zone_of(const struct config *cfg, const char *name)
{
    const struct config_zone *best = NULL;

    for (size_t i = 0; i < cfg->zones_n; i++) {
        const struct config_zone *zone = &cfg->zones[i];
        bool is_longer =
            best == NULL || strcmp(best->name, ".") == 0 || strlen(zone->name) > strlen(best->name);
        if (name_is_below_or_equal(name, zone->name) && is_longer) {
            best = zone;
        }
    }
    return best;
}
