/* The validator's view of a snapshot. */
#include <string.h>

#include "dns/zone_table.h"

#include "core/util/token.h"

/* _acme-challenge.<name>, which may be too long for a name */
#define CHALLENGE_TEXT_MAX (sizeof(ACME_LABEL) + NAME_TEXT_MAX)

static bool each_value(const struct zone_owner *owner, zone_value_fn fn, void *arg)
{
    for (size_t i = 0; owner != NULL && i < owner->values_n; i++) {
        if (fn(arg, &owner->values[i])) {
            return true;
        }
    }
    return false;
}

static bool follow(const struct zone_snapshot *snap, const struct dns_name *name, zone_value_fn fn,
                   void *arg, char *target)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t suffix = 0;
    size_t len = zone_challenge_target(snap->table, name, wire, &suffix);

    if (len == 0) {
        return false;
    }
    if (target != NULL) {
        err_ignore(name_from_wire(wire, len, target, NAME_TEXT_MAX + 1));
    }
    return each_value(zone_owner_find(snap, wire, len), fn, arg);
}

static bool read_challenge(const struct zone_snapshot *snap, const char *text,
                           struct dns_name *name)
{
    struct zone_match match;
    struct zone_cut cut;

    return dns_name_parse(text, name) && zone_find(snap->table, name, &match) &&
           zone_has_challenge(name, &match) && !zone_cut_find(snap, name, &match, &cut);
}

/* `_acme-challenge.<base>`; false: no name. */
static bool challenge_text(const char *base, char text[CHALLENGE_TEXT_MAX + 1])
{
    if (base[0] == '\0' || strlen(base) > NAME_TEXT_MAX) {
        return false;
    }
    memcpy(text, ACME_LABEL ".", sizeof(ACME_LABEL));
    memcpy(text + sizeof(ACME_LABEL), base, strlen(base) + 1);
    return true;
}

/* Longer than a DNS name may be: nobody can ask for it, so it is not there. */
static bool read_base(const struct zone_snapshot *snap, const char *base, struct dns_name *name)
{
    char text[CHALLENGE_TEXT_MAX + 1];

    return challenge_text(base, text) && read_challenge(snap, text, name);
}

bool zone_has_own_challenge(const struct zone_snapshot *snap, const char *base)
{
    struct dns_name name;

    return read_base(snap, base, &name);
}

bool zone_challenge_cut(const struct zone_snapshot *snap, const char *base,
                        char cut[NAME_TEXT_MAX + 1], bool *is_dname)
{
    char text[CHALLENGE_TEXT_MAX + 1];
    struct dns_name name;
    struct zone_match match;
    struct zone_cut found;

    if (!challenge_text(base, text) || !dns_name_parse(text, &name) ||
        !zone_find(snap->table, &name, &match) || !zone_has_challenge(&name, &match) ||
        !zone_cut_find(snap, &name, &match, &found)) {
        return false;
    }
    *is_dname = found.kind == ZONE_CUT_DNAME;
    return name_from_wire(name.wire + found.off, name.len - found.off, cut, NAME_TEXT_MAX + 1)
               .code == ERR_OK;
}

bool zone_challenge_values(const struct zone_snapshot *snap, const char *base, zone_value_fn fn,
                           void *arg, char *target)
{
    struct dns_name name;

    if (target != NULL) {
        target[0] = '\0';
    }
    return read_base(snap, base, &name) && follow(snap, &name, fn, arg, target);
}

bool zone_owner_values(const struct zone_snapshot *snap, const char *owner, zone_value_fn fn,
                       void *arg)
{
    struct dns_name name;

    return dns_name_parse(owner, &name) &&
           each_value(zone_owner_find(snap, name.wire, name.len), fn, arg);
}

bool zone_name_values(const struct zone_snapshot *snap, const char *name, zone_value_fn fn,
                      void *arg, char *target)
{
    struct dns_name parsed;

    if (target != NULL) {
        target[0] = '\0';
    }
    return read_challenge(snap, name, &parsed) ? follow(snap, &parsed, fn, arg, target)
                                               : zone_owner_values(snap, name, fn, arg);
}

bool zone_is_served(const struct zone_snapshot *snap, const char *name)
{
    struct dns_name parsed;
    struct zone_match match;
    struct zone_cut cut;

    return dns_name_parse(name, &parsed) && zone_find(snap->table, &parsed, &match) &&
           !(zone_cut_find(snap, &parsed, &match, &cut) && cut.kind == ZONE_CUT_DELEGATION);
}
