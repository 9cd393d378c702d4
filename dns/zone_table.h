/* What the configuration says, ready for answering: zones, delegate zone, addresses; private to
 * dns/. Immutable.
 *
 * A zone's name server is `hostname` when that lies in a served zone, else "ns.<zone>": either way
 * a name that we answer with our own addresses, because ACME clients resolve the NS host and ask it
 * on port 53.
 * Thread: any. */
#ifndef DNS_ZONE_TABLE_H
#define DNS_ZONE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/config.h"
#include "dns/wire.h"
#include "dns/zone_trie.h"

#define NAME_LABELS_MAX 127u

/* How a name begins. */
enum label_kind {
    LABEL_LDH,
    LABEL_ACME, /* _acme-challenge */
    LABEL_STAR,
    LABEL_ACCOUNT,           /* an account's label (dns-account-01) ... */
    LABEL_ACCOUNT_CHALLENGE, /* ... and _acme-challenge */
    LABEL_PERSIST,           /* _validation-persist */
    LABEL_OTHER
};

/* A name taken apart. Only the first off_n entries of off are set. */
struct dns_name {
    uint8_t wire[NAME_WIRE_MAX]; /* lower case, root label included */
    uint8_t len;
    uint8_t labels_n;              /* without the root */
    uint8_t off[NAME_LABELS_MAX];  /* of each label's length octet */
    enum label_kind first;         /* LABEL_OTHER for the root */
    bool is_rest_ldh, is_last_ldh; /* every label behind what `first` says; the top-level one */
};
/* Reads an uncompressed name from p. Octets used, 0 when broken: too long, cut off, or
 * compressed. */
size_t dns_name_read(const uint8_t *p, size_t left, struct dns_name *out);
/* The same from a text name. */
bool dns_name_parse(const char *text, struct dns_name *out);

struct zone_entry {
    uint8_t wire[NAME_WIRE_MAX];
    uint8_t len, labels_n;
    uint16_t index;                      /* in zone_table.entries and zone_snapshot.states */
    bool is_served, is_delegate, is_any; /* is_any: zone "." */
    bool is_plain;                       /* nothing is made up in it */
    bool is_ns_below;                    /* hostname ends in this zone's name ... */
    uint8_t ns_head_len;                 /* ... behind this many octets */
    uint32_t hash;
    struct zone_rrs a, aaaa; /* ingress */
    char name[NAME_TEXT_MAX + 1];
};

struct zone_table {
    struct zone_entry *entries; /* the configuration's zones in its order, then the delegate zone */
    size_t entries_n;
    uint16_t *slots; /* open addressing over hash; entry + 1, 0 = free */
    uint32_t mask;
    unsigned labels_max; /* of the deepest zone */
    const struct zone_entry *delegate, *any;
    uint64_t key[2];
    uint8_t hostname[NAME_WIRE_MAX];
    uint8_t hostname_len;
    bool is_hostname_ns;
    struct zone_rrs a, aaaa; /* our own */
};

MUST_USE struct err zone_table_new(const struct config *cfg, struct zone_table **out);
void zone_table_free(struct zone_table *table);
void zone_table_freep(struct zone_table **table);

/* The zone of this text name, whether we serve it or not; NULL: none. */
const struct zone_entry *zone_entry_find(const struct zone_table *table, const char *text);

struct zone_match {
    const struct zone_entry *zone;
    uint8_t apex; /* where the zone's apex starts in the name; for "." its top-level label */
};
/* The longest zone above or at the name. False: none, or one that others serve. */
bool zone_find(const struct zone_table *table, const struct dns_name *name, struct zone_match *out);
/* Is it the name server's name of the zone found? */
bool zone_is_ns(const struct zone_table *table, const struct dns_name *name,
                const struct zone_match *match);
/* Does the zone found have an automatic CNAME at this name (_acme-challenge.<well-formed name>, an
 * account's label before it or not; never in a plain zone)? Only where zone_cut_find() finds no cut:
 * nothing is made up below a delegation or DNAME. */
bool zone_has_challenge(const struct dns_name *name, const struct zone_match *match);
/* The CNAME's target; out: NAME_WIRE_MAX octets. Returns its length; *suffix: where the delegate
 * zone starts in it. 0: an account's label does not fit before a hashed name in a delegate zone
 * whose own name is that long, so there is no CNAME. */
size_t zone_challenge_target(const struct zone_table *table, const struct dns_name *name,
                             uint8_t *out, size_t *suffix);

/* --- zone_persist.c --- */
/* The wire name `_validation-persist.<base>`; false where zone_has_persist() is. */
bool zone_persist_name(const struct zone_table *table, const char *base, struct dns_name *name,
                       struct zone_match *match);
/* An owner with these texts (n > 0); the results of zone_persist_put(). */
MUST_USE struct err zone_persist_owner(const struct zone_table *table, const struct dns_name *name,
                                       const char *const *texts, size_t n, struct zone_owner **out);

/* What changes about a zone. Counted: stored records and, in the delegate zone, values' records, not
 * the texts at _validation-persist. */
struct zone_state {
    uint32_t serial;
    uint32_t owners_n;    /* stored names, empty non-terminals among them */
    uint32_t records_n;   /* RRs */
    uint32_t cuts_n;      /* delegations, and DNAMEs (one at the apex is one) */
    uint32_t wildcards_n; /* stored names that begin with "*" */
};
struct zone_snapshot {
    const struct zone_table *table;
    struct trie_node *owners;
    struct zone_state states[]; /* by zone_entry.index */
};
/* What is stored at exactly this name, in whatever zone: records, values, texts, or an empty
 * non-terminal. NULL: nothing. */
static inline const struct zone_owner *zone_owner_find(const struct zone_snapshot *snap,
                                                       const uint8_t *wire, size_t len)
{
    if (snap->owners == NULL) {
        return NULL;
    }
    return trie_find(snap->owners, trie_hash(snap->table->key, wire, len), wire, len);
}
static inline const struct zone_state *zone_state_of(const struct zone_snapshot *snap,
                                                     const struct zone_entry *zone)
{
    return &snap->states[zone->index];
}

/* --- zone_search.c: from the apex down to the name, as far as names are stored --- */
enum zone_cut_kind { ZONE_CUT_NONE, ZONE_CUT_DELEGATION, ZONE_CUT_DNAME };
struct zone_cut {
    enum zone_cut_kind kind;
    uint8_t off; /* where the cut's name starts in the name asked for; 0: it is that name */
    const struct zone_owner *owner;
};
/* The topmost delegation at the name or above it (below the apex), or DNAME above it (the apex's
 * too), in the zone found. False, kind NONE: there is none. At a delegation itself (off 0) a question
 * for DS is the parent's to answer; the caller knows the type. Costs nothing in a zone without cuts. */
bool zone_cut_find(const struct zone_snapshot *snap, const struct dns_name *name,
                   const struct zone_match *match, struct zone_cut *out);
/* The wildcard that answers for a name at which nothing is stored: `*` below its closest encloser
 * (RFC 4592 §3.3.1). It may be an empty non-terminal (then NODATA). NULL: there is none. *encloser:
 * where that starts in the name (the apex where nothing longer is stored); set in either case, but
 * not in a zone without wildcards. */
const struct zone_owner *zone_wildcard_find(const struct zone_snapshot *snap,
                                            const struct dns_name *name,
                                            const struct zone_match *match, uint8_t *encloser);

#endif
