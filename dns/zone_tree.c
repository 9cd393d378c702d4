/* Stored owners in an edit, with the empty non-terminals above them and the zones' counters. */
#include <string.h>

#include "dns/zone_int.h"

#include "core/util/mem.h"

const struct zone_owner *zone_tree_find(const struct zone_edit *edit, const uint8_t *wire,
                                        size_t len)
{
    return edit->trie.root == NULL
               ? NULL
               : trie_find(edit->trie.root, trie_hash(edit->db->table->key, wire, len), wire, len);
}

/* Adds what the owner is to the zone's counters; sign UINT32_MAX takes it off again. */
static void tally(struct zone_state *state, const struct zone_owner *owner, uint32_t sign)
{
    if (owner == NULL || !zone_owner_is_stored(owner)) {
        return;
    }
    if (owner->wire_len > 1 && memcmp(owner->wire, "\1*", 2) == 0) {
        state->wildcards_n += sign;
    }
    state->owners_n += sign;
    if (owner->is_persist || owner->sets_n == 0) {
        return;
    }
    state->cuts_n += (owner->is_delegation ? sign : 0) + (owner->has_dname ? sign : 0);
    for (size_t i = 0; i < owner->sets_n; i++) {
        state->records_n += owner->sets[i].rr_n * sign;
    }
}

/* How many children an owner has; makes or takes out one that is nothing else. *did_turn: it was not
 * stored before, or is not any more. */
static struct err set_children(struct zone_edit *edit, struct zone_state *state,
                               const uint8_t *wire, size_t len, bool is_more, bool *did_turn)
{
    const struct zone_owner *old = zone_tree_find(edit, wire, len);
    bool was_stored = old != NULL && zone_owner_is_stored(old);
    AUTO(mem_freep) struct zone_owner *made = NULL;
    struct zone_owner *owner = NULL;

    if (!is_more && (old == NULL || old->children_n == 0)) {
        FAIL(ERR_INTERNAL, "zone: a stored name has no parent");
    }
    tally(state, old, UINT32_MAX);
    *did_turn = false;
    if (!is_more && old->children_n == 1 && old->sets_n == 0) {
        *did_turn = true;
        return trie_remove(&edit->trie, old);
    }
    if (old == NULL) {
        TRY(zone_owner_of_records(edit->db->table, wire, len, NULL, 0, &made));
        owner = made;
    } else {
        owner = trie_find_fresh(&edit->trie, old->hash, wire, len);
    }
    if (owner == NULL) {
        made = zone_owner_copy(old);
        TRY_PTR(made);
        owner = made;
    }
    owner->children_n += is_more ? 1 : UINT32_MAX;
    *did_turn = was_stored != zone_owner_is_stored(owner);
    tally(state, owner, 1);
    if (made != NULL) {
        TRY(trie_put(&edit->trie, made));
        made = NULL;
    }
    return err_ok();
}

/* The name came to be (is_more) or is gone: so may its ancestors, up to the apex. */
static struct err set_ancestors(struct zone_edit *edit, const struct dns_name *name,
                                const struct zone_match *match, bool is_more)
{
    struct zone_state *state = &edit->next->states[match->zone->index];
    bool did_turn = true;

    for (unsigned i = 1; did_turn && i < name->labels_n && name->off[i - 1] < match->apex; i++) {
        size_t off = name->off[i];
        TRY(set_children(edit, state, name->wire + off, name->len - off, is_more, &did_turn));
    }
    return err_ok();
}

struct err zone_tree_put(struct zone_edit *edit, const struct dns_name *name,
                         const struct zone_match *match, const struct zone_owner *old,
                         struct zone_owner **add)
{
    struct zone_state *state = &edit->next->states[match->zone->index];
    bool was_stored = old != NULL && zone_owner_is_stored(old);
    bool is_stored = *add != NULL && zone_owner_is_stored(*add);

    edit->is_changed = true;
    tally(state, old, UINT32_MAX);
    tally(state, *add, 1);
    if (*add != NULL) {
        TRY(trie_put(&edit->trie, *add));
        *add = NULL;
    } else {
        TRY(trie_remove(&edit->trie, old));
    }
    if (was_stored == is_stored || match->zone->is_delegate) {
        return err_ok();
    }
    return set_ancestors(edit, name, match, is_stored);
}

struct err zone_tree_pin(struct zone_edit *edit, const struct dns_name *name,
                         const struct zone_match *match)
{
    edit->is_changed = true;
    return set_ancestors(edit, name, match, true);
}
