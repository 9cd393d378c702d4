/* The owners of stored records as a persistent hash trie, private to dns/.
 *
 * Nodes and owners never change once a snapshot holds them: a change copies the path from the root
 * to one slot and shares the rest. What one edit made (it carries the edit's id) nobody else can see
 * yet: further changes of the same edit work on it in place, so that putting n owners costs O(n) and
 * leaves nothing behind. Keys are 64-bit keyed hashes of the lower-case wire name, six bits a level.
 * Nothing that a snapshot may hold is freed here: an edit lists it as stale, and zone.c decides when
 * nobody can hold it. Two names with one hash (about 1 in 10^9 at 100,000 names; the key is drawn at
 * start) cannot both be put: ERR_CONFLICT.
 * Thread: finding, any; changing, one writer at a time. */
#ifndef DNS_ZONE_TRIE_H
#define DNS_ZONE_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"
#include "dns/zone.h"

/* RRs of one type and size, encoded from TYPE to the end of RDATA: only the owner name is
 * missing. */
struct zone_rrs {
    const uint8_t *data; /* rr_n times rr_len bytes */
    uint16_t rr_n;
    uint16_t rr_len;
};

/* RRs of one type and any size, encoded the same way, one behind the other. */
struct zone_rrset {
    uint16_t type;
    uint16_t rr_n;
    uint32_t len; /* octets of data */
    const uint8_t *data;
};

/* What is stored at one name. One allocation: the struct, its RRsets' heads, wire name, RRs, then the
 * values with their publishers (read by the validator only). An owner without RRsets is an empty
 * non-terminal. In the delegate zone an owner has one RRset, TXT: each text once, whoever published
 * it. A `_validation-persist.x` owner (is_persist) has one TXT RRset too; it is not "stored"
 * (zone_owner_is_stored()): such names exist with texts or without, so it neither has a parent chain
 * nor stands in a wildcard's way, unless records below it make it an empty non-terminal as well. */
struct zone_owner {
    uint64_t hash;
    uint64_t edit; /* the edit that made it (zone.c) */
    const uint8_t *wire;
    const struct zone_value *values;
    uint32_t children_n; /* owners one label below that are stored */
    uint16_t sets_n;
    uint16_t values_n;
    uint8_t wire_len;
    bool is_persist;
    bool is_delegation; /* NS, and not the apex */
    bool has_cname, has_dname;
    struct zone_rrset sets[]; /* by type, ascending; none is empty */
};

/* Records, or an empty non-terminal? */
static inline bool zone_owner_is_stored(const struct zone_owner *owner)
{
    return (owner->sets_n > 0 && !owner->is_persist) || owner->children_n > 0;
}
/* NULL: no RRset of this type. */
static inline const struct zone_rrset *zone_rrset_find(const struct zone_owner *owner,
                                                       unsigned type)
{
    for (size_t i = 0; i < owner->sets_n && owner->sets[i].type <= type; i++) {
        if (owner->sets[i].type == type) {
            return &owner->sets[i];
        }
    }
    return NULL;
}

struct trie_node;
/* A root that is being changed. */
struct trie_edit {
    struct trie_node *root;
    uint64_t id;  /* never used before */
    void **stale; /* nodes and owners that were replaced, still held by snapshots */
    size_t stale_n, stale_cap;
};

/* SipHash-1-3 of a lower-case wire name. */
uint64_t trie_hash(const uint64_t key[2], const uint8_t *wire, size_t len);
/* NULL: no such owner. root may be NULL (empty). */
const struct zone_owner *trie_find(const struct trie_node *root, uint64_t hash, const uint8_t *wire,
                                   size_t len);
/* The same in the edit's root, when the edit made the owner: it may be changed in place. */
struct zone_owner *trie_find_fresh(const struct trie_edit *edit, uint64_t hash, const uint8_t *wire,
                                   size_t len);
/* Add or replace; the owner becomes the edit's. ERR_NOMEM, ERR_CONFLICT: nothing changed, and it stays
 * the caller's. */
MUST_USE struct err trie_put(struct trie_edit *edit, struct zone_owner *owner);
/* Take out an owner that trie_find() gave for the edit's root. ERR_NOMEM: nothing changed. */
MUST_USE struct err trie_remove(struct trie_edit *edit, const struct zone_owner *owner);
/* Undo: free what the edit made; the list of stale blocks goes, they stay. */
void trie_edit_drop(struct trie_edit *edit);
/* Free every node and owner below root. */
void trie_free(struct trie_node *root);

#endif
