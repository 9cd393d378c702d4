/* The written-out zone and its journal, inside dns/records_*.c and zone_change.c only.
 *
 * Of a transferred zone the table record_written holds every record that a secondary has, SOA left out.
 * A change finds the names whose records it may concern, makes their records anew, and the difference
 * to the table goes into the table and the journal: so both always agree. */
#ifndef DNS_RECORDS_WRITTEN_H
#define DNS_RECORDS_WRITTEN_H

#include "dns/records_int.h"

/* --- records_synth.c: what we make up ------------------------------------------------------------- */
/* The zone's name server's name, "ns.<zone>" or our hostname; length 0: there is no room for it. */
size_t synth_ns_name(const struct records *records, const struct records_zone *zone,
                     uint8_t out[NAME_WIRE_MAX]);
MUST_USE struct err synth_ns(const struct records *records, const struct records_zone *zone,
                             struct owner_set *out);
/* Our own addresses; the ingress of a zone. */
MUST_USE struct err synth_own(const struct records *records, struct owner_set *out);
MUST_USE struct err synth_ingress(const struct records_zone *zone, struct owner_set *out);
/* The SOA as answers have it. rr_clear() it. */
MUST_USE struct err synth_soa(const struct records *records, struct db *db, int zone,
                              uint32_t serial, struct dns_rr *out);
MUST_USE struct err set_put(struct owner_set *out, uint16_t type, uint32_t ttl,
                            const uint8_t *rdata, size_t len);
/* By type and RDATA. */
MUST_USE struct err set_sort(struct owner_set *set);

/* --- records_keys.c: sets of keys ------------------------------------------------------------------ */
struct key_list {
    struct buf data; /* per key: length (2 octets), octets */
    size_t *at;
    size_t n, cap;
};
void key_list_init(struct key_list *list);
void key_list_clear(struct key_list *list);
MUST_USE struct err key_list_add(struct key_list *list, const struct name_key *key);
/* Sorted, each once. */
void key_list_sort(struct key_list *list);
/* The same, but `*.x` directly behind x, before all else that is below x. */
void key_list_sort_stars(struct key_list *list);
void key_list_get(const struct key_list *list, size_t i, struct name_key *out);

/* --- records_names.c: which names ------------------------------------------------------------------- */
/* Every name that may have written-out records at or below a name of a zone, and those above it. */
MUST_USE struct err written_names(const struct records *records, struct db *db, int zone,
                                  const struct name_key *key, struct key_list *out);
/* The names that rows changed at a name concern, in its zone. */
MUST_USE struct err written_concerned(const struct records *records, struct db *db, int zone,
                                      const struct name_key *key, struct key_list *out);
/* Delegation and glue for a zone of ours directly below. */
MUST_USE struct err written_delegation(const struct records *records, struct db *db, int child,
                                       struct key_list *out);
MUST_USE struct err known_has(struct db *db, const struct name_key *key, bool *out);
MUST_USE struct err known_put(struct db *db, const struct name_key *key, bool *is_new);

/* --- records_written.c ------------------------------------------------------------------------------ */
/* The records at a name of the written-out zone; has_below: others are below it there, or for `*.x`:
 * x is there without it. */
MUST_USE struct err written_at(const struct records *records, struct db *db, int zone,
                               const struct name_key *key, bool has_below, struct owner_set *out);

/* One change's difference of one zone. */
struct delta {
    int64_t id; /* 0: not begun */
    size_t rows_n;
    bool has_journal; /* keep the rows */
};
/* Make these names anew (sorted here); *d counts, and has the journal rows. */
MUST_USE struct err written_refresh(const struct records *records, struct db *db, int zone,
                                    struct key_list *names, struct delta *d);
/* Every name anew; *changed_n: records that came or went. */
MUST_USE struct err written_rebuild(const struct records *records, struct db *db, int zone,
                                    size_t *changed_n);
/* As records_write_out(), but made anew whatever the table says. */
MUST_USE struct err written_anew(struct records *records, struct db *db, int zone, record_fn fn,
                                 void *arg);
MUST_USE struct err written_drop(struct db *db, int64_t zone_id);

/* --- records_journal.c ------------------------------------------------------------------------------- */
MUST_USE struct err journal_add(struct db *db, int64_t zone_id, struct delta *d, bool is_add,
                                const struct name_key *key, const struct zone_rr *rr);
/* With the serials; older differences go. */
MUST_USE struct err journal_end(struct db *db, int64_t zone_id, struct delta *d, uint32_t from,
                                uint32_t to);
MUST_USE struct err journal_drop(struct db *db, int64_t zone_id);

#endif
