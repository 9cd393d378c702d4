/* How many validations may be under way at a time, so that nobody fills the queue or keeps a name's
 * owner out: per account, per account and identifier, and, of those that connect, per host.
 *
 * The number per host is so large that strangers, who have few places per account for one identifier,
 * need dozens of accounts to fill it. Thread: any; leaf locks. */
#ifndef ACME_SERVER_VALIDATE_PLACES_H
#define ACME_SERVER_VALIDATE_PLACES_H

#include "acme-server/limits.h"
#include "acme-server/validate.h"

#define PLACES_PER_IDENTIFIER 4 /* of one account */
#define PLACES_PER_HOST 256     /* of all accounts */
#define PLACES_OWN_ZONES 2000   /* of one account, of what one look into our zones decides */

struct places {
    struct acme *acme; /* for acme.rate_limits.pending_validations */
    struct gauge *accounts, *identifiers, *hosts, *own_zones;
};
MUST_USE struct err places_init(struct places *places, struct acme *acme);
void places_clear(struct places *places);
/* ERR_LIMIT: *why says which number, static. is_local: one look into our own zones decides it. */
MUST_USE struct err places_take(struct places *places, const struct val_target *target,
                                bool is_local, const char **why);
void places_leave(struct places *places, const struct val_target *target, bool is_local);

#endif
