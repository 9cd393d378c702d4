/* Certificate profiles: growing the list, defaults of an entry, and what an entry must hold. */
#include "core/util/config_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/util/mem.h"

/* Those of ca/profile.c; whoever orders one of them gets what the documentation promises. */
static const char *const BUILT_IN[] = {"default", "month", "short"};

/* In the order of the option's choices. */
enum usage { USAGE_SERVER_AUTH = 1, USAGE_CLIENT_AUTH = 2 };

_Static_assert(CONFIG_KEYS_EC == 1 && CONFIG_KEYS_RSA == 2 && CONFIG_KEYS_ED25519 == 4,
               "the bits follow the order of the option's choices");

void config_profiles_clear(struct config_loader *loader)
{
    struct config_acme *acme = &loader->cfg->acme;

    for (size_t i = 0; i < acme->profiles_n; i++) {
        mem_free(acme->profiles[i].description);
    }
    mem_freep(&acme->profiles);
    mem_freep(&loader->profile_where);
    acme->profiles_n = 0;
}

struct err config_profile_new(struct config_loader *loader, const struct config_where *where,
                              struct config_profile **out)
{
    struct config_acme *acme = &loader->cfg->acme;
    void *list = acme->profiles;

    *out = NULL;
    loader->thing_problems_n = loader->problems_n;
    if (acme->profiles_n >= CONFIG_LIST_MAX) {
        config_problem(loader, where, "profiles", "the list has more than %u entries",
                       CONFIG_LIST_MAX);
        return err_ok();
    }
    TRY(config_grow(&list, sizeof(*acme->profiles), &loader->profile_where, acme->profiles_n));
    acme->profiles = list;
    loader->profile_where[acme->profiles_n] = *where;
    *out = &acme->profiles[acme->profiles_n++];
    (*out)->has_server_auth = true;
    (*out)->key_types = CONFIG_KEYS_EC | CONFIG_KEYS_RSA | CONFIG_KEYS_ED25519;
    return err_ok();
}

/* It stands in URLs and in the directory. */
static bool is_name(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t n = strlen(text);

    return n >= 1 && n <= CONFIG_PROFILE_NAME_MAX && strspn(text, plain) == n;
}

static void set_name(struct config_loader *loader, struct config_profile *profile,
                     const struct config_option *option, const struct config_item *item)
{
    if (!is_name(item->text)) {
        config_problem(loader, &item->where, option->key,
                       "'%.80s' is not a profile name; write 1 to %u letters, digits, '-' or '_'",
                       item->text, CONFIG_PROFILE_NAME_MAX);
        return;
    }
    for (size_t i = 0; i < ARRAY_N(BUILT_IN); i++) {
        if (strcasecmp(item->text, BUILT_IN[i]) == 0) {
            config_problem(loader, &item->where, option->key,
                           "'%s' is built in and cannot be replaced; choose another name",
                           item->text);
            return;
        }
    }
    (void)snprintf(profile->name, sizeof(profile->name), "%s", item->text);
}

/* One bit for each choice that is listed; 0 with a problem line. */
static unsigned read_mask(struct config_loader *loader, const struct config_option *option,
                          const struct config_value *v)
{
    unsigned mask = 0;

    for (size_t i = 0; i < v->n; i++) {
        int choice = config_choose(loader, option, &v->items[i]);
        if (choice < 0) {
            return 0;
        }
        mask |= 1u << choice;
    }
    if (v->n == 0) {
        config_problem(loader, &v->where, option->key, "the list is empty; name at least one");
    }
    return mask;
}

void config_profile_set(struct config_loader *loader, struct config_profile *profile,
                        const struct config_option *option, const struct config_value *v)
{
    if (option->type == TYPE_PROFILE_NAME) {
        set_name(loader, profile, option, v->items);
        return;
    }
    unsigned mask = read_mask(loader, option, v);
    if (mask == 0) {
        return;
    }
    if (option->type == TYPE_KEY_TYPES) {
        profile->key_types = mask;
        return;
    }
    profile->has_server_auth = (mask & USAGE_SERVER_AUTH) != 0;
    profile->has_client_auth = (mask & USAGE_CLIENT_AUTH) != 0;
}

/* "7d, for servers and clients, EC keys only" */
static struct err describe(struct config_profile *profile)
{
    static const char *const keys[] = {"",
                                       ", EC keys only",
                                       ", RSA keys only",
                                       ", EC and RSA keys only",
                                       ", Ed25519 keys only",
                                       ", EC and Ed25519 keys only",
                                       ", RSA and Ed25519 keys only",
                                       ""};
    AUTO(buf_clear) struct buf text = BUF_INIT(256);
    char lifetime[CONFIG_DURATION_MAX];
    bool is_both = profile->has_server_auth && profile->has_client_auth;

    config_duration_text(profile->lifetime_s, lifetime);
    buf_printf(&text, "%s, for %s%s%s%s", lifetime, profile->has_server_auth ? "servers" : "",
               is_both ? " and " : "", profile->has_client_auth ? "clients" : "",
               keys[profile->key_types]);
    TRY(buf_check(&text));
    mem_free(profile->description);
    profile->description = buf_take(&text);
    TRY_PTR(profile->description);
    return err_ok();
}

struct err config_profile_finish(struct config_loader *loader, struct config_profile *profile)
{
    const struct config_acme *acme = &loader->cfg->acme;
    const struct config_where *where = &loader->profile_where[profile - acme->profiles];

    for (const struct config_profile *other = acme->profiles; other < profile; other++) {
        if (profile->name[0] != '\0' && strcasecmp(profile->name, other->name) == 0) {
            config_problem(loader, where, "profiles", "profile '%s' is listed twice",
                           profile->name);
            break;
        }
    }
    if (loader->problems_n == loader->thing_problems_n) {
        /* else what is missing may be what was wrong */
        if (profile->name[0] == '\0') {
            config_problem(loader, where, "profiles", "the profile has no name");
        }
        if (profile->lifetime_s == 0) {
            config_problem(loader, where, "profiles",
                           "profile '%s' has no lifetime; write one, as in lifetime: 30d",
                           profile->name);
        }
    }
    if (profile->description == NULL || profile->description[0] == '\0') {
        return describe(profile);
    }
    return err_ok();
}
