#include "ca/ca_private.h"

#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

#define DAY_S ((int64_t)86400)
#define ALL_KEYS ((unsigned)CONFIG_KEYS_EC | CONFIG_KEYS_RSA | CONFIG_KEYS_ED25519)

static const struct ca_profile PROFILES[] = {
    {"default", "90 days, what every client's own renewal default assumes", 90 * DAY_S, true, false,
     ALL_KEYS},
    {"month", "30 days", 30 * DAY_S, true, false, ALL_KEYS},
    {"short", "6 days, for clients that renew by themselves every few days", 6 * DAY_S, true, false,
     ALL_KEYS},
};

const struct ca_profile *ca_profile_find(const char *name)
{
    if (name == NULL || name[0] == '\0') {
        return &PROFILES[0];
    }
    for (size_t i = 0; i < ARRAY_N(PROFILES); i++) {
        if (strcmp(PROFILES[i].name, name) == 0) {
            return &PROFILES[i];
        }
    }
    return NULL;
}

void profile_keys_text(unsigned key_types, char out[PROFILE_KEYS_TEXT_MAX + 1])
{
    const char *ec = (key_types & CONFIG_KEYS_EC) != 0 ? "EC" : "";
    const char *rsa = (key_types & CONFIG_KEYS_RSA) != 0 ? "RSA" : "";
    const char *ed25519 = (key_types & CONFIG_KEYS_ED25519) != 0 ? "Ed25519" : "";

    (void)snprintf(out, PROFILE_KEYS_TEXT_MAX + 1, "%s%s%s%s%s", ec,
                   ec[0] != '\0' && rsa[0] != '\0' ? " or " : "", rsa,
                   (ec[0] != '\0' || rsa[0] != '\0') && ed25519[0] != '\0' ? " or " : "", ed25519);
}

static struct ca_profile from_config(const struct config_profile *configured)
{
    return (struct ca_profile){
        .name = configured->name,
        .description = configured->description,
        .lifetime_s = configured->lifetime_s,
        .has_server_auth = configured->has_server_auth,
        .has_client_auth = configured->has_client_auth,
        .key_types = configured->key_types,
    };
}

struct err ca_profile_choose(const struct config_acme *acme, const char *name,
                             struct ca_profile *out)
{
    const struct ca_profile *built_in = ca_profile_find(name);

    if (built_in != NULL) {
        *out = *built_in;
        return err_ok();
    }
    for (size_t i = 0; acme != NULL && i < acme->profiles_n; i++) {
        if (strcmp(acme->profiles[i].name, name) == 0) {
            *out = from_config(&acme->profiles[i]);
            return err_ok();
        }
    }
    FAIL(ERR_NOT_FOUND, "no certificate profile has this name");
}

void ca_profile_each(const struct config_acme *acme,
                     void (*fn)(void *ctx, const struct ca_profile *profile), void *ctx)
{
    for (size_t i = 0; i < ARRAY_N(PROFILES); i++) {
        fn(ctx, &PROFILES[i]);
    }
    for (size_t i = 0; acme != NULL && i < acme->profiles_n; i++) {
        const struct ca_profile profile = from_config(&acme->profiles[i]);
        fn(ctx, &profile);
    }
}
