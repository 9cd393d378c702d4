#include "acme-server/validate_places.h"

#include <stdio.h>

#include "acme-server/acme_impl.h"

struct err places_init(struct places *places, struct acme *acme)
{
    places->acme = acme;
    TRY(gauge_new(&places->accounts));
    TRY(gauge_new(&places->identifiers));
    TRY(gauge_new(&places->hosts));
    return gauge_new(&places->own_zones);
}

void places_clear(struct places *places)
{
    gauge_free(places->accounts);
    gauge_free(places->identifiers);
    gauge_free(places->hosts);
    gauge_free(places->own_zones);
}

static void identifier_key(const struct val_target *target, char key[LIMITS_KEY_MAX])
{
    (void)snprintf(key, LIMITS_KEY_MAX, "%s %s", target->account_id, target->ident.base);
}

static bool connects(const struct val_target *target)
{
    return target->type == CHALLENGE_HTTP01 || target->type == CHALLENGE_TLSALPN01;
}

struct err places_take(struct places *places, const struct val_target *target, bool is_local,
                       const char **why)
{
    char key[LIMITS_KEY_MAX];
    int64_t max = acme_settings(places->acme)->limit_pending_validations;

    if (is_local) {
        *why = "2,000 per account";
        if (gauge_enter(places->own_zones, target->account_id, PLACES_OWN_ZONES)) {
            return err_ok();
        }
        FAIL(ERR_LIMIT, "validations under way: %s", *why);
    }
    *why = "pending validations per account, acme.rate_limits.pending_validations";
    if (!gauge_enter(places->accounts, target->account_id, max)) {
        FAIL(ERR_LIMIT, "validations under way: %s", *why);
    }
    identifier_key(target, key);
    *why = "4 per account and identifier";
    if (!gauge_enter(places->identifiers, key, PLACES_PER_IDENTIFIER)) {
        gauge_leave(places->accounts, target->account_id);
        FAIL(ERR_LIMIT, "validations under way: %s", *why);
    }
    *why = "256 that connect to one host";
    if (connects(target) && !gauge_enter(places->hosts, target->ident.base, PLACES_PER_HOST)) {
        gauge_leave(places->identifiers, key);
        gauge_leave(places->accounts, target->account_id);
        FAIL(ERR_LIMIT, "validations under way: %s", *why);
    }
    return err_ok();
}

void places_leave(struct places *places, const struct val_target *target, bool is_local)
{
    char key[LIMITS_KEY_MAX];

    if (is_local) {
        gauge_leave(places->own_zones, target->account_id);
        return;
    }
    identifier_key(target, key);
    gauge_leave(places->accounts, target->account_id);
    gauge_leave(places->identifiers, key);
    if (connects(target)) {
        gauge_leave(places->hosts, target->ident.base);
    }
}
