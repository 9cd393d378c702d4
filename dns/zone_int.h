/* The snapshot's writer, private to zone*.c. */
#ifndef DNS_ZONE_INT_H
#define DNS_ZONE_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/zone_table.h"

/* What a change replaced, with the epoch that ended then: freed when every active reader began in a
 * later one. */
struct zone_retired {
    struct zone_retired *next;
    uint64_t epoch;
    struct zone_snapshot *snap;
    void **blocks;
    size_t n;
};

struct zone_serial {
    _Atomic uint32_t value;
};
struct zone_db {
    _Atomic(struct zone_snapshot *) snap;
    _Atomic uint64_t epoch; /* from 1 */
    _Atomic uint32_t serial;
    struct zone_serial *serials; /* by zone_entry.index */
    struct zone_table *table;
    pthread_mutex_t lock; /* guards what follows, and makes writers take turns */
    uint64_t edits_n;
    struct zone_reader *readers[ZONE_READERS_MAX];
    struct zone_retired *oldest, *newest;
};

struct zone_edit {
    struct zone_db *db;
    struct zone_snapshot *next;   /* the working copy; its owners are set at the end */
    struct zone_retired *retired; /* room for what the commit leaves behind */
    struct trie_edit trie;
    uint32_t serial; /* the newest one given */
    bool is_changed;
    enum err_code broken; /* a change may have stopped half way: never published */
};

/* The lock is held: next is seen by readers from now on, and what it replaced goes when it can. */
void zone_publish(struct zone_edit *edit);

/* --- zone_owner.c: blocks. NULL: out of memory --- */
/* n > 0 values, copied. */
struct zone_owner *zone_owner_of_values(const struct zone_table *table, const struct dns_name *name,
                                        const struct zone_value *values, size_t n);
/* ERR_LIMIT as zone_edit_records(). n 0: an empty non-terminal. is_delegation is the
 * caller's to set. */
MUST_USE struct err zone_owner_of_records(const struct zone_table *table, const uint8_t *wire,
                                          size_t wire_len, const struct zone_rr *rrs, size_t n,
                                          struct zone_owner **out);
/* A copy of one that has no values. */
struct zone_owner *zone_owner_copy(const struct zone_owner *owner);
bool zone_owner_equal(const struct zone_owner *a, const struct zone_owner *b);

/* --- zone_tree.c: stored owners with their ancestors, and counts --- */
/* An owner where `old` (or NULL) is: takes *add; NULL takes it out. Empty non-terminals and the zone's
 * counters follow. On failure the edit must not be published. */
MUST_USE struct err zone_tree_put(struct zone_edit *edit, const struct dns_name *name,
                                  const struct zone_match *match, const struct zone_owner *old,
                                  struct zone_owner **add);
/* The names above this one exist for good, down from the apex (where it starts in the name). */
MUST_USE struct err zone_tree_pin(struct zone_edit *edit, const struct dns_name *name,
                                  const struct zone_match *match);
const struct zone_owner *zone_tree_find(const struct zone_edit *edit, const uint8_t *wire,
                                        size_t len);

#endif
