/* The keys of recently seen accounts: kid -> {key, state}, so that a request costs no SQL to
 * verify.
 *
 * Fixed memory: `max` entries, the least recently used goes first. Entries are dropped by on-commit
 * hooks; a reader that loaded an account before such a hook ran must not put the old state back: it
 * hands in the generation it saw. Thread: any; leaf lock. */
#ifndef ACME_SERVER_ACCOUNT_CACHE_H
#define ACME_SERVER_ACCOUNT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/jwk.h"
#include "acme-server/state.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "core/util/token.h"

struct account_cache;
MUST_USE struct err account_cache_new(size_t max, struct account_cache **out);
void account_cache_free(struct account_cache *cache);
/* What a request needs to know of an account. */
struct account_seen {
    struct jwk *key; /* a reference of the holder's */
    enum account_st status;
    char client[CLIENT_NAME_MAX + 1]; /* bound by EAB, or "" */
};
/* true: *out, with a reference for the caller. false: *generation to hand to
 * account_cache_put(). */
bool account_cache_get(struct account_cache *cache, const char id[OBJECT_ID_LEN + 1],
                       struct account_seen *out, uint64_t *generation);
/* Takes its own reference of the key. Nothing happens when an entry was dropped since
 * `generation`. */
void account_cache_put(struct account_cache *cache, const char id[OBJECT_ID_LEN + 1],
                       const struct account_seen *seen, uint64_t generation);
void account_cache_drop(struct account_cache *cache, const char id[OBJECT_ID_LEN + 1]);

#endif
