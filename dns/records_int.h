/* Inside dns/records_*.c and zone_change.c only.
 *
 * Rows are ordered by a key of their owner: its labels backwards, each ended by an octet 0 (octets 0
 * and 1 inside a label become 1,1 and 1,2). Keys compare as RFC 4034 §6.1 orders names, and what is
 * below a name is what begins with its key. */
#ifndef DNS_RECORDS_INT_H
#define DNS_RECORDS_INT_H

#include "dns/rr_int.h"
#include "dns/zone_records.h"
#include "dns/zone_table.h"
#include "dns/wire.h"

#define KEY_MAX (2u * NAME_WIRE_MAX + 2u)
#define RECORDS_RRS_MAX (RECORDS_PER_NAME_MAX * 3u) /* of one name, from all sources */
#define RECORDS_BUF_MAX (1024u * 1024u * 1024u)
#define RECORDS_PTR_MAX 64u       /* derived PTR records at one name */
#define RECORDS_PTR_CLIENT_MAX 8u /* of those, for addresses that one client added */

/* --- records_key.c ----------------------------------------------------------------------------- */
struct name_key {
    size_t len;
    uint8_t data[KEY_MAX];
};
void key_of(const uint8_t *wire, struct name_key *out);
/* The first key behind everything that is at or below this one. */
void key_behind(const struct name_key *key, struct name_key *out);
/* False: no key of ours (a damaged database). */
bool key_wire(const uint8_t *key, size_t len, uint8_t wire[NAME_WIRE_MAX], size_t *wire_len);
int key_compare(const void *a, size_t a_len, const void *b, size_t b_len);
/* The key of the name above, in place; false for the root. */
bool key_up(struct name_key *key);
/* "<label>.<name>": false when that is too long. */
bool key_down(const struct name_key *key, const char *label, struct name_key *out);
/* Is it `*.x`? *base: x. */
bool key_star_base(const struct name_key *key, struct name_key *base);
/* Every label letters, digits and inner hyphens, and at least one. */
bool wire_is_host(const uint8_t *wire, size_t len);

/* --- records.c ---------------------------------------------------------------------------------- */
struct records_zone {
    char name[NAME_TEXT_MAX + 1];
    uint8_t wire[NAME_WIRE_MAX];
    uint8_t wire_len, labels_n;
    struct name_key key, behind;
    const struct config_zone *cfg;      /* NULL: the delegate zone */
    const struct config_zone *transfer; /* whose transfer: counts; NULL */
    int64_t id;
    int parent; /* the next zone above it, served or not; -1 */
    bool is_served, is_delegate, is_plain, is_reverse, is_transferred;
};
/* How many records a client may still add before its rows are counted again: never more than it really
 * may. Counting takes as long as it has rows. Writer thread. */
struct client_room {
    char client[CLIENT_NAME_MAX + 1];
    size_t left;
};
#define CLIENT_ROOMS 64u
struct records {
    struct client_room rooms[CLIENT_ROOMS];
    size_t next_room;
    const struct config *cfg;
    struct store *store;
    struct zone_db *zones;
    struct records_zone *list; /* the configuration's zones in its order, then the delegate zone */
    uint16_t *sorted;          /* indices by wire name */
    size_t n;
    unsigned labels_max;
    bool has_reverse, is_any_transferred;
    bool has_delegate; /* the tables of delegate values and texts are in this database */
    bool has_persist;
    uint8_t hostname[NAME_WIRE_MAX];
    size_t hostname_len; /* 0: the zones' name servers are ns.<zone> */
    void (*on_serial)(void *ctx, int zone, uint32_t serial);
    void *on_serial_ctx;
};
/* The longest zone at or above the name, served or not; -1. */
int records_zone_at(const struct records *records, const uint8_t *wire, size_t len);
/* The same for a key; -1 for a damaged one too. */
int records_zone_of_key(const struct records *records, const uint8_t *key, size_t len);
bool records_is_apex(const struct records_zone *zone, const uint8_t *wire, size_t len);
MUST_USE struct err records_refuse(struct record_refusal *refusal, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

/* --- records_room.c: after edits_n edits of this client were written: RECORDS_PER_CLIENT_MAX. Writer
 * thread. */
MUST_USE struct err room_check(struct records *records, struct db *db, const char *client,
                               size_t edits_n, struct record_refusal *refusal);

/* --- records_store.c: SQL ------------------------------------------------------------------------ */
struct row {
    const uint8_t *key;
    size_t key_len;
    uint16_t type;
    const uint8_t *rdata;
    size_t rdata_len;
    enum record_source source;
    uint32_t ttl;
    const char *client;
};
typedef struct err (*row_fn)(void *arg, const struct row *row);
/* Rows with from <= owner < to, in the order of keys, types, RDATA and sources. Here and below rows
 * that cannot be (a damaged database) are left out, each with a line of the log, at most 20. */
MUST_USE struct err rows_scan(struct db *db, const struct name_key *from, const struct name_key *to,
                              row_fn fn, void *arg);
/* Rows of one zone: what belongs to zones below it is left out. */
MUST_USE struct err rows_scan_zone(const struct records *records, struct db *db, int zone,
                                   row_fn fn, void *arg);
MUST_USE struct err rows_at(struct db *db, const struct name_key *key, row_fn fn, void *arg);
/* Insert, or replace the TTL of the same (owner, type, RDATA, source). */
MUST_USE struct err row_put(struct db *db, const struct row *row);
/* client NULL: whoever added it. *n rows are added to. */
MUST_USE struct err row_remove(struct db *db, const struct row *row, const char *client, size_t *n);
/* One RRset, one TTL (RFC 2181 §5.2): stored rows of this type. */
MUST_USE struct err rows_set_ttl(struct db *db, const struct name_key *key, uint16_t type,
                                 uint32_t ttl);
/* What a client has stored. */
MUST_USE struct err rows_count_client(struct db *db, const char *client, size_t *out);
/* The first owner with from <= owner < to and a row; *is_there. out may be from. */
MUST_USE struct err rows_first(struct db *db, const struct name_key *from,
                               const struct name_key *to, struct name_key *out, bool *is_there);
/* Has the name a row of its own; a row below it in the same zone? */
MUST_USE struct err rows_has(struct db *db, const struct name_key *key, bool *out);
MUST_USE struct err rows_has_below(const struct records *records, struct db *db, int zone,
                                   const struct name_key *key, bool *out);
/* Has the zone a row with from <= owner < to? */
MUST_USE struct err rows_has_in(const struct records *records, struct db *db, int zone,
                                const struct name_key *from, const struct name_key *to, bool *out);
/* A row with from <= owner < to that is neither derived nor (is_glue_fine) A or AAAA. */
MUST_USE struct err rows_first_other(struct db *db, const struct name_key *from,
                                     const struct name_key *to, bool is_glue_fine,
                                     struct name_key *out, bool *is_there);
/* Of a name: is there NS, DNAME, CNAME? */
struct row_marks {
    bool has_ns, has_dname, has_cname;
};
MUST_USE struct err rows_marks(struct db *db, const struct name_key *key, struct row_marks *out);

MUST_USE struct err serial_get(struct db *db, int64_t zone_id, uint32_t *out);
MUST_USE struct err serial_move(struct db *db, int64_t zone_id, uint32_t *out);
MUST_USE struct err serial_set(struct db *db, int64_t zone_id, uint32_t serial);

/* --- records_merge.c: the records of a name from its rows ------------------------------------------ */
struct owner_set {
    struct zone_rr *rrs; /* by type and RDATA; rdata points into data */
    size_t n, cap;
    uint8_t *sources; /* of each, parallel to rrs */
    struct buf data;
    size_t *offsets;
};
void owner_set_init(struct owner_set *set);
void owner_set_clear(struct owner_set *set);
void owner_set_reset(struct owner_set *set);
MUST_USE struct err owner_set_add(struct owner_set *set, const struct row *row);
/* After the last row: duplicates go, one TTL per type, derived records give way. */
MUST_USE struct err owner_set_finish(struct owner_set *set);
/* rows_at() into the set, finished. */
MUST_USE struct err owner_set_read(struct db *db, const struct name_key *key,
                                   struct owner_set *set);
/* Calls fn per owner, in order, with its finished set. */
typedef struct err (*owner_fn)(void *arg, const struct name_key *key, const struct owner_set *set);
MUST_USE struct err owners_scan_zone(const struct records *records, struct db *db, int zone,
                                     owner_fn fn, void *arg);
/* The first record of a type; NULL. */
const struct zone_rr *owner_set_find(const struct owner_set *set, uint16_t type);

/* --- records_rules.c ------------------------------------------------------------------------------ */
/* May records be at this name at all, and of this type? *zone: its zone. */
MUST_USE struct err rules_name(const struct records *records, const struct dns_rr *rr, int *zone,
                               struct record_refusal *refusal);
/* Do the rows at this name go together, and with what is above and below? */
MUST_USE struct err rules_check(const struct records *records, struct db *db, int zone,
                                const struct name_key *key, struct record_refusal *refusal);
/* The first half of that: what is at the name alone. The sentence, or NULL. */
struct rules_set_words {
    char text[300];
};
const char *rules_set(bool is_apex, const struct name_key *key, const struct owner_set *set,
                      struct rules_set_words *words);

/* --- records_ptr.c --------------------------------------------------------------------------------- */
/* A row of type A or AAAA came (is_add) or went, whatever its source: PTR in step. A client's address
 * makes none where it is one of ours or an ingress, and only the first few per address do. */
MUST_USE struct err ptr_follow(struct records *records, struct db *db, bool is_add,
                               const struct row *row, struct zone_change *change);
/* All of them anew. */
MUST_USE struct err ptr_rebuild(struct records *records, struct db *db);

/* --- zone_change.c --------------------------------------------------------------------------------- */
/* The rows at this name changed. */
MUST_USE struct err zone_change_touch(struct zone_change *change, const struct name_key *key);
/* A known name came. */
MUST_USE struct err zone_change_known(struct zone_change *change, const struct name_key *key);
/* The zone's serial becomes at least this (a stored SOA's). */
MUST_USE struct err zone_change_serial(struct zone_change *change, int zone, uint32_t serial);
/* The zone's SOA changed, or (is_every_name) its written-out form all over: its journal goes. */
MUST_USE struct err zone_change_whole(struct zone_change *change, int zone, bool is_every_name);

/* The key's name as text without the final dot, for sentences. */
struct name_words {
    char text[4 * NAME_WIRE_MAX + 1];
};
const char *key_words(const struct name_key *key, struct name_words *out);
const char *wire_words(const uint8_t *wire, size_t len, struct name_words *out);

#endif
