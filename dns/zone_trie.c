#include "dns/zone_trie.h"

#include <string.h>

#include "core/util/mem.h"

#define BITS 6u
#define SLOT_MASK 63u
#define LEVELS 11u              /* of six bits in 64 */
#define STALE_MAX (LEVELS + 1u) /* of one change: the path and an owner */

union slot {
    struct trie_node *node;
    struct zone_owner *owner;
};
struct trie_node {
    uint64_t used;   /* which of the 64 slots exist */
    uint64_t owners; /* which of those hold an owner */
    uint64_t edit;   /* that made it */
    union slot slot[];
};

static inline uint64_t rotl(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

__attribute__((always_inline)) static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

uint64_t trie_hash(const uint64_t key[2], const uint8_t *wire, size_t len)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    size_t whole = len & ~(size_t)7;
    uint64_t word = 0;

    for (size_t i = 0; i < whole; i += 8) {
        memcpy(&word, wire + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)len << 56;
    for (size_t i = whole; i < len; i++) {
        word |= (uint64_t)wire[i] << (8 * (i - whole));
    }
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint64_t slot_bit(uint64_t hash, unsigned shift)
{
    return (uint64_t)1 << ((hash >> shift) & SLOT_MASK);
}

/* Bits set. (The compiler's own is a call where the processor's instruction may not be assumed.) */
static inline size_t count(uint64_t map)
{
    map -= (map >> 1) & 0x5555555555555555u;
    map = (map & 0x3333333333333333u) + ((map >> 2) & 0x3333333333333333u);
    return (((map + (map >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u) >> 56;
}

static bool is_name(const struct zone_owner *owner, uint64_t hash, const uint8_t *wire, size_t len)
{
    return owner->hash == hash && owner->wire_len == len && memcmp(owner->wire, wire, len) == 0;
}

static union slot *slot_of(struct trie_node *node, uint64_t bit)
{
    return &node->slot[count(node->used & (bit - 1))];
}

/* The owner's lines are asked for together: its RRs lie behind its name. */
static void prefetch(const struct zone_owner *owner)
{
    __builtin_prefetch((const char *)owner + 64);
    __builtin_prefetch((const char *)owner + 128);
}

/* The only owner that can have this hash. */
static struct zone_owner *find_hash(const struct trie_node *root, uint64_t hash)
{
    const struct trie_node *node = root;

    for (unsigned shift = 0; node != NULL; shift += BITS) {
        uint64_t bit = slot_bit(hash, shift);
        if ((node->used & bit) == 0) {
            return NULL;
        }
        const union slot *slot = &node->slot[count(node->used & (bit - 1))];
        if ((node->owners & bit) != 0) {
            return slot->owner;
        }
        node = slot->node;
    }
    return NULL;
}

const struct zone_owner *trie_find(const struct trie_node *root, uint64_t hash, const uint8_t *wire,
                                   size_t len)
{
    const struct zone_owner *owner = find_hash(root, hash);

    if (owner == NULL) {
        return NULL;
    }
    prefetch(owner);
    return is_name(owner, hash, wire, len) ? owner : NULL;
}

struct zone_owner *trie_find_fresh(const struct trie_edit *edit, uint64_t hash, const uint8_t *wire,
                                   size_t len)
{
    struct zone_owner *owner = find_hash(edit->root, hash);

    return owner != NULL && owner->edit == edit->id && is_name(owner, hash, wire, len) ? owner
                                                                                       : NULL;
}

/* --- changing ---------------------------------------------------------------------------------- */

static size_t node_size(size_t slots_n)
{
    return sizeof(struct trie_node) + slots_n * sizeof(union slot);
}

static struct trie_node *new_node(const struct trie_edit *edit, uint64_t used, uint64_t owners)
{
    struct trie_node *node = mem_zalloc(node_size(count(used)));

    if (node != NULL) {
        node->used = used;
        node->owners = owners;
        node->edit = edit->id;
    }
    return node;
}

/* Room in the list for all that one change can make stale. */
static bool reserve(struct trie_edit *edit)
{
    if (edit->stale_cap - edit->stale_n >= STALE_MAX) {
        return true;
    }
    size_t cap = 2 * edit->stale_cap + STALE_MAX;
    void **bigger =
        cap > SIZE_MAX / sizeof(void *) ? NULL : mem_resize(edit->stale, cap * sizeof(void *));
    if (bigger == NULL) {
        return false;
    }
    edit->stale = bigger;
    edit->stale_cap = cap;
    return true;
}

/* Makes the node in this place the edit's own. False: out of memory. */
static bool own(struct trie_edit *edit, struct trie_node **at)
{
    struct trie_node *node = *at;

    if (node->edit == edit->id) {
        return true;
    }
    struct trie_node *copy = mem_dup(node, node_size(count(node->used)));
    if (copy == NULL) {
        return false;
    }
    copy->edit = edit->id;
    edit->stale[edit->stale_n++] = node;
    *at = copy;
    return true;
}

static void discard(struct trie_edit *edit, struct zone_owner *owner)
{
    if (owner->edit == edit->id) {
        mem_free(owner);
    } else {
        edit->stale[edit->stale_n++] = owner;
    }
}

/* One more slot in a node of the edit's own. */
static bool add_owner(struct trie_node **at, uint64_t bit, struct zone_owner *owner)
{
    size_t n = count((*at)->used);
    struct trie_node *node = mem_resize(*at, node_size(n + 1));

    if (node == NULL) {
        return false;
    }
    *at = node;
    union slot *slot = slot_of(node, bit);
    memmove(slot + 1, slot, (n - (size_t)(slot - node->slot)) * sizeof(*slot));
    slot->owner = owner;
    node->used |= bit;
    node->owners |= bit;
    return true;
}

static void remove_slot(struct trie_node **at, uint64_t bit)
{
    struct trie_node *node = *at;
    union slot *slot = slot_of(node, bit);
    size_t left = count(node->used) - 1;

    memmove(slot, slot + 1, (left - (size_t)(slot - node->slot)) * sizeof(*slot));
    node->used &= ~bit;
    node->owners &= ~bit;
    struct trie_node *smaller = mem_resize(node, node_size(left));
    if (smaller != NULL) { /* else it keeps a slot too many */
        *at = smaller;
    }
}

/* What split() made so far: its owners are others'. */
static void free_chain(struct trie_node *node)
{
    while (node != NULL) {
        struct trie_node *below = node->owners == 0 ? node->slot[0].node : NULL;
        mem_free(node);
        node = below;
    }
}

/* The smallest subtree from level `shift` down that holds both. Their hashes differ, so it ends. */
static struct trie_node *split(const struct trie_edit *edit, unsigned shift, struct zone_owner *a,
                               struct zone_owner *b)
{
    uint64_t bit_a = slot_bit(a->hash, shift);
    uint64_t bit_b = slot_bit(b->hash, shift);

    if (bit_a == bit_b) {
        struct trie_node *below = split(edit, shift + BITS, a, b);
        struct trie_node *node = below == NULL ? NULL : new_node(edit, bit_a, 0);
        if (node != NULL) {
            node->slot[0].node = below;
        } else {
            free_chain(below);
        }
        return node;
    }
    struct trie_node *node = new_node(edit, bit_a | bit_b, bit_a | bit_b);
    if (node != NULL) {
        node->slot[0].owner = bit_a < bit_b ? a : b;
        node->slot[1].owner = bit_a < bit_b ? b : a;
    }
    return node;
}

/* The slot of `bit` in *at, a node of the edit's own, holds an owner: it is replaced by the new one,
 * or both go a level down. */
static struct err put_beside(struct trie_edit *edit, struct trie_node *node, unsigned shift,
                             struct zone_owner *owner)
{
    uint64_t bit = slot_bit(owner->hash, shift);
    union slot *slot = slot_of(node, bit);

    if (slot->owner->hash == owner->hash) {
        if (!is_name(slot->owner, owner->hash, owner->wire, owner->wire_len)) {
            FAIL(ERR_CONFLICT,
                 "zone: two names have the same 64-bit hash; a restart draws another key");
        }
        discard(edit, slot->owner);
        slot->owner = owner;
        return err_ok();
    }
    struct trie_node *below = split(edit, shift + BITS, slot->owner, owner);
    TRY_PTR(below);
    slot->node = below;
    node->owners &= ~bit;
    return err_ok();
}

struct err trie_put(struct trie_edit *edit, struct zone_owner *owner)
{
    struct trie_node **at = &edit->root;

    if (!reserve(edit)) {
        FAIL(ERR_NOMEM, "zone: out of memory for a list");
    }
    owner->edit = edit->id;
    if (*at == NULL) {
        uint64_t bit = slot_bit(owner->hash, 0);
        *at = new_node(edit, bit, bit);
        TRY_PTR(*at);
        (*at)->slot[0].owner = owner;
        return err_ok();
    }
    for (unsigned shift = 0;; shift += BITS) {
        uint64_t bit = slot_bit(owner->hash, shift);
        if (!own(edit, at)) {
            FAIL(ERR_NOMEM, "zone: out of memory for a trie node");
        }
        if (((*at)->used & bit) == 0) {
            if (!add_owner(at, bit, owner)) {
                FAIL(ERR_NOMEM, "zone: out of memory for a trie node");
            }
            return err_ok();
        }
        if (((*at)->owners & bit) != 0) {
            return put_beside(edit, *at, shift, owner);
        }
        at = &slot_of(*at, bit)->node;
    }
}

/* Below the root a node holds at least two owners: one that is left with a single owner gives it to
 * its parent, and only the root can become empty (the shape depends on the contents only). path: the
 * places of the nodes from the root down. */
static void collapse(struct trie_node **const *path, size_t depth, uint64_t hash)
{
    for (; depth > 0; depth--) {
        struct trie_node *node = *path[depth];
        if (node->used != node->owners || count(node->used) != 1) {
            return;
        }
        struct trie_node *parent = *path[depth - 1];
        uint64_t bit = slot_bit(hash, (unsigned)(depth - 1) * BITS);
        slot_of(parent, bit)->owner = node->slot[0].owner;
        parent->owners |= bit;
        mem_free(node);
    }
    if ((*path[0])->used == 0) {
        mem_freep(path[0]);
    }
}

struct err trie_remove(struct trie_edit *edit, const struct zone_owner *owner)
{
    uint64_t hash = owner->hash;
    struct trie_node **path[LEVELS];
    struct trie_node **at = &edit->root;

    if (!reserve(edit)) {
        FAIL(ERR_NOMEM, "zone: out of memory for a list");
    }
    for (unsigned depth = 0; depth < LEVELS; depth++) {
        uint64_t bit = slot_bit(hash, depth * BITS);
        if (*at == NULL || ((*at)->used & bit) == 0) {
            break;
        }
        if (!own(edit, at)) {
            FAIL(ERR_NOMEM, "zone: out of memory for a trie node");
        }
        path[depth] = at;
        union slot *slot = slot_of(*at, bit);
        if (((*at)->owners & bit) == 0) {
            at = &slot->node;
            continue;
        }
        if (slot->owner != owner) {
            break;
        }
        discard(edit, slot->owner);
        remove_slot(at, bit);
        collapse(path, depth, hash);
        return err_ok();
    }
    FAIL(ERR_INTERNAL, "zone: an owner to remove is not in the trie");
}

static void free_fresh(struct trie_node *node, uint64_t id)
{
    if (node == NULL || node->edit != id) {
        return; /* nor is anything below it */
    }
    uint64_t left = node->used;
    for (size_t i = 0; left != 0; i++) {
        uint64_t bit = left & (~left + 1);
        if ((node->owners & bit) == 0) {
            free_fresh(node->slot[i].node, id);
        } else if (node->slot[i].owner->edit == id) {
            mem_free(node->slot[i].owner);
        }
        left &= ~bit;
    }
    mem_free(node);
}

void trie_edit_drop(struct trie_edit *edit)
{
    free_fresh(edit->root, edit->id);
    edit->root = NULL;
    mem_freep(&edit->stale);
    edit->stale_n = 0;
    edit->stale_cap = 0;
}

void trie_free(struct trie_node *root)
{
    if (root == NULL) {
        return;
    }
    uint64_t left = root->used;
    for (size_t i = 0; left != 0; i++) {
        uint64_t bit = left & (~left + 1);
        if ((root->owners & bit) != 0) {
            mem_free(root->slot[i].owner);
        } else {
            trie_free(root->slot[i].node);
        }
        left &= ~bit;
    }
    mem_free(root);
}
