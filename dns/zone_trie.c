#include "dns/zone_trie.h"

#include <string.h>

#include "core/util/mem.h"

#define BITS 5u
#define SLOT_MASK 31u

union slot {
    struct trie_node *node;
    struct zone_owner *owner;
};
struct trie_node {
    uint32_t used;   /* which of the 32 slots exist */
    uint32_t owners; /* which of those hold an owner */
    union slot slot[];
};

static uint64_t rotl(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[4])
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

static uint32_t slot_bit(uint64_t hash, unsigned shift)
{
    return (uint32_t)1 << ((hash >> shift) & SLOT_MASK);
}

static size_t count(uint32_t map)
{
    return (size_t)__builtin_popcount(map);
}

static bool is_name(const struct zone_owner *owner, uint64_t hash, const uint8_t *wire, size_t len)
{
    return owner->hash == hash && owner->wire_len == len && memcmp(owner->wire, wire, len) == 0;
}

const struct zone_owner *trie_find(const struct trie_node *root, uint64_t hash, const uint8_t *wire,
                                   size_t len)
{
    const struct trie_node *node = root;

    for (unsigned shift = 0; node != NULL; shift += BITS) {
        uint32_t bit = slot_bit(hash, shift);
        if ((node->used & bit) == 0) {
            return NULL;
        }
        const union slot *slot = &node->slot[count(node->used & (bit - 1))];
        if ((node->owners & bit) != 0) {
            return is_name(slot->owner, hash, wire, len) ? slot->owner : NULL;
        }
        node = slot->node;
    }
    return NULL;
}

static struct trie_node *new_node(struct trie_change *c, uint32_t used, uint32_t owners)
{
    struct trie_node *node = mem_zalloc(sizeof(*node) + count(used) * sizeof(union slot));

    if (node != NULL) {
        node->used = used;
        node->owners = owners;
        c->fresh[c->fresh_n++] = node;
    }
    return node;
}

static void set_stale(struct trie_change *c, void *p)
{
    c->stale[c->stale_n++] = p;
}

/* A copy of `node` in which the slot of `bit` is `slot`, added when it was not there. */
static struct trie_node *copy_with(struct trie_change *c, struct trie_node *node, uint32_t bit,
                                   union slot slot, bool is_owner)
{
    uint32_t used = node->used | bit;
    uint32_t owners = is_owner ? node->owners | bit : node->owners & ~bit;
    struct trie_node *copy = new_node(c, used, owners);

    if (copy == NULL) {
        return NULL;
    }
    size_t at = count(used & (bit - 1));
    size_t from = at + ((node->used & bit) != 0 ? 1 : 0);
    memcpy(copy->slot, node->slot, at * sizeof(slot));
    copy->slot[at] = slot;
    memcpy(copy->slot + at + 1, node->slot + from, (count(node->used) - from) * sizeof(slot));
    set_stale(c, node);
    return copy;
}

static struct trie_node *copy_without(struct trie_change *c, struct trie_node *node, uint32_t bit)
{
    struct trie_node *copy = new_node(c, node->used & ~bit, node->owners & ~bit);

    if (copy == NULL) {
        return NULL;
    }
    size_t at = count(node->used & (bit - 1));
    memcpy(copy->slot, node->slot, at * sizeof(union slot));
    memcpy(copy->slot + at, node->slot + at + 1, (count(copy->used) - at) * sizeof(union slot));
    set_stale(c, node);
    return copy;
}

/* The smallest subtree from level `shift` down that holds both. Their hashes differ, so it ends. */
static struct trie_node *split(struct trie_change *c, unsigned shift, struct zone_owner *a,
                               struct zone_owner *b)
{
    uint32_t bit_a = slot_bit(a->hash, shift);
    uint32_t bit_b = slot_bit(b->hash, shift);

    if (bit_a == bit_b) {
        struct trie_node *below = split(c, shift + BITS, a, b);
        struct trie_node *node = below == NULL ? NULL : new_node(c, bit_a, 0);
        if (node != NULL) {
            node->slot[0].node = below;
        }
        return node;
    }
    struct trie_node *node = new_node(c, bit_a | bit_b, bit_a | bit_b);
    if (node != NULL) {
        node->slot[0].owner = bit_a < bit_b ? a : b;
        node->slot[1].owner = bit_a < bit_b ? b : a;
    }
    return node;
}

static struct trie_node *put(struct trie_change *c, struct trie_node *node, unsigned shift,
                             struct zone_owner *owner)
{
    uint32_t bit = slot_bit(owner->hash, shift);
    union slot slot = {.owner = owner};

    if ((node->used & bit) == 0) {
        return copy_with(c, node, bit, slot, true);
    }
    union slot old = node->slot[count(node->used & (bit - 1))];
    if ((node->owners & bit) == 0) {
        slot.node = put(c, old.node, shift + BITS, owner);
        return slot.node == NULL ? NULL : copy_with(c, node, bit, slot, false);
    }
    if (old.owner->hash == owner->hash) { /* the same name: trie_put() made sure */
        set_stale(c, old.owner);
        return copy_with(c, node, bit, slot, true);
    }
    slot.node = split(c, shift + BITS, old.owner, owner);
    return slot.node == NULL ? NULL : copy_with(c, node, bit, slot, false);
}

static bool has_hash_of_other(const struct trie_node *node, const struct zone_owner *owner)
{
    for (unsigned shift = 0; node != NULL; shift += BITS) {
        uint32_t bit = slot_bit(owner->hash, shift);
        if ((node->used & bit) == 0) {
            return false;
        }
        const union slot *slot = &node->slot[count(node->used & (bit - 1))];
        if ((node->owners & bit) != 0) {
            return slot->owner->hash == owner->hash &&
                   !is_name(slot->owner, owner->hash, owner->wire, owner->wire_len);
        }
        node = slot->node;
    }
    return false;
}

struct err trie_put(struct trie_change *change, struct trie_node *root, struct zone_owner *owner,
                    struct trie_node **out)
{
    struct trie_node *node = NULL;

    if (has_hash_of_other(root, owner)) {
        FAIL(ERR_CONFLICT,
             "zone: two names have the same 64-bit hash; a restart draws another key");
    }
    if (root == NULL) {
        uint32_t bit = slot_bit(owner->hash, 0);
        node = new_node(change, bit, bit);
        if (node != NULL) {
            node->slot[0].owner = owner;
        }
    } else {
        node = put(change, root, 0, owner);
    }
    if (node == NULL) {
        trie_change_drop(change);
        FAIL(ERR_NOMEM, "zone: out of memory for a trie node");
    }
    *out = node;
    return err_ok();
}

/* A fresh node that turned out not to be needed: always the newest one. */
static void unmake(struct trie_change *c, struct trie_node *node)
{
    c->fresh_n--;
    mem_free(node);
}

/* The node without the owner. Below the root a node holds at least two owners, so only the root can
 * become empty, and a node that would be left with a single owner gives it to its parent (the shape
 * depends on the contents only). NULL: out of memory. */
static struct trie_node *take_out(struct trie_change *c, struct trie_node *node, unsigned shift,
                                  const struct zone_owner *owner)
{
    uint32_t bit = slot_bit(owner->hash, shift);
    union slot slot = node->slot[count(node->used & (bit - 1))];

    if ((node->owners & bit) != 0) {
        set_stale(c, slot.owner);
        return copy_without(c, node, bit);
    }
    struct trie_node *below = take_out(c, slot.node, shift + BITS, owner);
    if (below == NULL) {
        return NULL;
    }
    if (below->used == below->owners && count(below->used) == 1) {
        slot.owner = below->slot[0].owner;
        unmake(c, below);
        return copy_with(c, node, bit, slot, true);
    }
    slot.node = below;
    return copy_with(c, node, bit, slot, false);
}

struct err trie_remove(struct trie_change *change, struct trie_node *root,
                       const struct zone_owner *owner, struct trie_node **out)
{
    struct trie_node *node = take_out(change, root, 0, owner);

    if (node == NULL) {
        trie_change_drop(change);
        FAIL(ERR_NOMEM, "zone: out of memory for a trie node");
    }
    if (node->used == 0) {
        unmake(change, node);
        node = NULL;
    }
    *out = node;
    return err_ok();
}

void trie_change_drop(struct trie_change *change)
{
    for (size_t i = 0; i < change->fresh_n; i++) {
        mem_free(change->fresh[i]);
    }
    change->fresh_n = 0;
    change->stale_n = 0;
}

void trie_free(struct trie_node *root)
{
    if (root == NULL) {
        return;
    }
    uint32_t left = root->used;
    for (size_t i = 0; left != 0; i++) {
        uint32_t bit = left & (~left + 1);
        if ((root->owners & bit) != 0) {
            mem_free(root->slot[i].owner);
        } else {
            trie_free(root->slot[i].node);
        }
        left &= ~bit;
    }
    mem_free(root);
}
