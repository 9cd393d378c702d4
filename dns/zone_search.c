/* Cuts and wildcards: what is stored between a zone's apex and a name. Every ancestor of a stored name
 * is stored (empty non-terminals are), so a walk down ends where the first one is missing. */
#include <string.h>

#include "dns/zone_table.h"

/* The index of the label at which the apex starts. */
static unsigned apex_label(const struct dns_name *name, const struct zone_match *match)
{
    unsigned i = 0;

    while (i < name->labels_n && name->off[i] < match->apex) {
        i++;
    }
    return i;
}

static const struct zone_owner *owner_at(const struct zone_snapshot *snap,
                                         const struct dns_name *name, size_t off)
{
    return zone_owner_find(snap, name->wire + off, name->len - off);
}

bool zone_cut_find(const struct zone_snapshot *snap, const struct dns_name *name,
                   const struct zone_match *match, struct zone_cut *out)
{
    out->kind = ZONE_CUT_NONE;
    if (zone_state_of(snap, match->zone)->cuts_n == 0) {
        return false;
    }
    for (unsigned i = apex_label(name, match) + 1; i > 0; i--) {
        uint8_t off = name->off[i - 1];
        const struct zone_owner *owner = owner_at(snap, name, off);
        if (owner == NULL || !zone_owner_is_stored(owner)) {
            return false;
        }
        if (owner->is_delegation) {
            out->kind = ZONE_CUT_DELEGATION;
        } else if (owner->has_dname && i > 1) {
            out->kind = ZONE_CUT_DNAME;
        }
        if (out->kind != ZONE_CUT_NONE) {
            out->off = off;
            out->owner = owner;
            return true;
        }
    }
    return false;
}

const struct zone_owner *zone_wildcard_find(const struct zone_snapshot *snap,
                                            const struct dns_name *name,
                                            const struct zone_match *match, uint8_t *encloser)
{
    uint8_t wire[NAME_WIRE_MAX];

    if (zone_state_of(snap, match->zone)->wildcards_n == 0) {
        return NULL;
    }
    *encloser = match->apex;
    unsigned apex = apex_label(name, match);
    if (apex == 0) {
        return NULL; /* the apex itself always exists */
    }
    for (unsigned i = apex; i > 1; i--) {
        const struct zone_owner *owner = owner_at(snap, name, name->off[i - 1]);
        if (owner == NULL || !zone_owner_is_stored(owner)) {
            break;
        }
        *encloser = name->off[i - 1];
    }
    size_t len = (size_t)name->len - *encloser; /* shorter than the name by a label: "*" fits */
    memcpy(wire, "\1*", 2);
    memcpy(wire + 2, name->wire + *encloser, len);
    return zone_owner_find(snap, wire, len + 2);
}
