/* The records of our zones in the store: rules, sources, serial numbers, the written-out zone and its
 * journal.
 *
 * The store is the truth, the zone snapshot (zone.h) its mirror, changed by on-commit hooks. A record
 * comes from a zone file (read-only here), from the store (added by a client through UPDATE, or by the
 * administrator), or is derived (PTR in a reverse zone of ours for a stored A or AAAA); the same
 * record may come from several. Rules: CNAME alone at its name, one SOA, CNAME and DNAME; nothing but
 * glue below a delegation, nothing below a DNAME; nothing at `_acme-challenge.x`, at
 * `_validation-persist.x` (zones that are not plain) or in the delegate zone: refused with a sentence.
 *
 * The written-out zone is what a secondary gets: stored records; the ingress as `*` and at the apex;
 * NS of ours and delegations (with glue) to zones of ours below it; and for every known name (one with
 * a record, order, certificate or exact client entry) that the automatic CNAME stands at, an explicit
 * `_acme-challenge` CNAME with, where the name itself has no record, copies of what it is answered
 * (ingress or wildcard). A name that is there hides the wildcards above it from those below it (RFC
 * 4592): each such x of host labels, empty non-terminals too, has what we answer below it as `*.x`,
 * unless that is stored or x is a delegation or DNAME, or below one. The delegate zone is written out
 * as its TXT values. Its differences are the journal (IXFR), kept for zones whose transfer: is set.
 * Thread: any, unless said; functions with a struct db inside store_write()/store_read(). */
#ifndef DNS_ZONE_RECORDS_H
#define DNS_ZONE_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/access/access.h"
#include "core/store/store.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "dns/rr.h"
#include "dns/zone.h"

#define RECORDS_PER_NAME_MAX 4096u
/* Stored ones that one client may have, in all zones; the administrator and files have no such limit. */
#define RECORDS_PER_CLIENT_MAX 10000u
#define RECORDS_DEFAULT_TTL_S 300u
#define RECORDS_JOURNAL_ROWS_MAX 50000u /* per zone; older differences go */

extern const struct store_module RECORDS_STORE_MODULE;

struct records;
/* Reads the zones' files (unchanged ones are not read again: SHA-256), fills the snapshot, moves the
 * serial of each zone whose written-out form changed since the last run. ERR_CONFIG with "FILE:LINE: what
 * was expected" for a broken file. zones' delegate values are loaded by delegate_open(), later.
 * Borrows all; registers nothing. */
MUST_USE struct err records_open(const struct config *cfg, struct store *store,
                                 struct zone_db *zones, struct records **out);
void records_close(struct records *records);
/* Read the zone files again (SIGHUP, `bailiwick zone reload`). A broken one changes nothing of its
 * zone: its line is appended to problems ("FILE:LINE: ..."), the others are loaded. Blocks. */
MUST_USE struct err records_reload(struct records *records, struct buf *problems);

/* --- one transaction --------------------------------------------------------------------------- */
/* What a write transaction changes in DNS: collected, then on commit published as ONE snapshot
 * together with the serials, journal and notifications. Used by the delegate's doors as well. */
struct zone_change;
MUST_USE struct err zone_change_new(struct records *records, struct zone_change **out);
void zone_change_freep(struct zone_change **change); /* for AUTO() */
/* A delegate value comes or goes (the row is the caller's). */
MUST_USE struct err zone_change_value(struct zone_change *change, bool is_add, const char *owner,
                                      const struct zone_value *value);
/* The persistent texts of a base name are these; also the zone's written-out form changes: that is looked
 * at when the transaction's changes are complete. */
MUST_USE struct err zone_change_persist(struct zone_change *change, const char *base,
                                        const char *const *texts, size_t n);
size_t zone_change_n(const struct zone_change *change);
/* Called on the writer thread after the snapshot of this change is published. */
typedef void (*zone_applied_fn)(void *arg, const struct zone_change *change);
void zone_change_then(struct zone_change *change, zone_applied_fn fn, void *arg);
/* The values that were added, for that function: calls fn for each. */
void zone_change_each_added(const struct zone_change *change,
                            void (*fn)(void *arg, const struct zone_value *value), void *arg);
/* Write serials and journal, register the hook. Nothing to do when empty. visible: optional, receives
 * the code of a snapshot change that failed, must live until store_write() returns. Takes it always. */
MUST_USE struct err zone_change_commit(struct zone_change **take_change, struct db *db,
                                       enum err_code *visible);

enum record_op {
    RECORD_ADD,
    RECORD_REMOVE,     /* this record */
    RECORD_REMOVE_SET, /* RRs of rr.type at rr.owner */
    RECORD_REMOVE_NAME /* RRs of every type at rr.owner */
};
struct record_edit {
    enum record_op op;
    struct dns_rr rr;
};
/* Who edits. A client removes only what it added; the administrator (client "") all but file records. */
struct record_who {
    char client[CLIENT_NAME_MAX + 1];
    /* RFC 2136 §3.4.2: what conflicts (CNAME beside other types, an SOA that is not newer, the last NS
     * of an apex) is passed over in silence, and removing what is not there is fine; else it is refused */
    bool is_update;
};
struct record_refusal {
    char detail[400]; /* a sentence */
};
/* Edits of one name count in their order; the rules, and RECORDS_PER_CLIENT_MAX, for what they come to
 * together. An RRset has one TTL: that of the newest record, except where a client adds to records of
 * others: then theirs.
 * In the caller's write transaction: all edits or, on ERR_REJECTED (refusal filled), none that count
 * (the caller returns the error, and the savepoint is rolled back). Policy by client is the caller's.
 * Owners must lie in served zones that are not the delegate zone. *changed (optional): rows changed. */
MUST_USE struct err records_edit(struct records *records, struct db *db,
                                 const struct record_who *who, const struct record_edit *edits,
                                 size_t n, struct zone_change *change, size_t *changed,
                                 struct record_refusal *refusal);
/* The records at owner with this type (0: all), as they stand inside this transaction; fn returns false
 * to stop. Synthesised ones are not among them, apex NS and SOA of ours are. */
typedef bool (*record_fn)(void *arg, const struct dns_rr *rr);
MUST_USE struct err records_at(struct records *records, struct db *db, const uint8_t *owner,
                               size_t owner_len, uint16_t type, record_fn fn, void *arg);

/* In the caller's write transaction: these base names (of identifiers) have orders, certificates or
 * client entries now: where their zone is transferred and they are new, they are written out. */
MUST_USE struct err records_known_put(struct records *records, struct db *db,
                                      const char *const *names, size_t n);

/* The same for the exact names of every client there is; a transaction of its own. Called at start and
 * when a client was added. Nothing to do when no zone is transferred. */
MUST_USE struct err records_known_access(struct records *records, struct access *access);
/* In the caller's write transaction: looks at the next RECORDS_SWEEP_MAX known names behind `after`
 * (zeroed: from the first), and those that nobody uses any more, RECORDS_SWEEP_GONE_MAX at most, are
 * known no longer: without a record of their own they leave the written-out zones. *next: where to go
 * on, zeroed after the last name. fn: is the name in use? */
#define RECORDS_SWEEP_MAX 100u
#define RECORDS_SWEEP_GONE_MAX 100u
struct records_sweep {
    size_t len;
    uint8_t key[2 * NAME_WIRE_MAX + 2];
};
typedef struct err (*records_used_fn)(void *arg, struct db *db, const char *name, bool *is_used);
MUST_USE struct err records_known_sweep(struct records *records, struct db *db,
                                        const struct records_sweep *after, records_used_fn fn,
                                        void *arg, struct records_sweep *next, size_t *gone_n);
/* Is any zone transferred, so that known names matter? */
bool records_is_any_transferred(const struct records *records);

/* --- administration ---------------------------------------------------------------------------- */
enum record_source { RECORD_FROM_STORE = 0, RECORD_FROM_FILE = 1, RECORD_DERIVED = 2 };
struct record_row {
    struct dns_rr rr; /* borrowed by the callback */
    enum record_source source;
    /* "": administrator or file; of a derived one: who added its address */
    char client[CLIENT_NAME_MAX + 1];
};
/* The records of a zone, in canonical order of names; zone NULL: of all. ERR_NOT_FOUND. */
MUST_USE struct err
records_list(struct records *records, const char *zone,
             bool (*fn)(void *arg, const char *zone, const struct record_row *row), void *arg);
/* Edit as the administrator, durable and visible on return, one audit row. */
MUST_USE struct err records_edit_now(struct records *records, const struct record_edit *edits,
                                     size_t n, struct record_refusal *refusal);
/* A master file's text into the store (bailiwick zone import): all of it or nothing; is_replacing: the
 * stored (not file) records of the zone go first. problems: "LABEL:LINE: what was expected" per fault. */
MUST_USE struct err records_import(struct records *records, const char *zone, const char *label,
                                   const char *text, size_t len, bool is_replacing,
                                   struct buf *problems, size_t *n_out);
/* The zone as a master file: is_written_out: as a secondary gets it, else what is stored, with SOA. */
MUST_USE struct err records_export(struct records *records, const char *zone, bool is_written_out,
                                   struct buf *out);
struct zone_info {
    char name[NAME_TEXT_MAX + 1];
    bool is_delegate, is_served, is_plain, is_transferred;
    uint32_t serial;
    size_t records_n, known_n, journal_n;
    const char *file; /* borrowed from the configuration; "" */
};
MUST_USE struct err records_zones(struct records *records, struct zone_info **out, size_t *out_n);

/* --- what transfers use ------------------------------------------------------------------------ */
/* Index of a served zone by its wire name (transfers name it so), -1: none. Its text name. */
int records_zone_index(const struct records *records, const uint8_t *wire, size_t len);
const char *records_zone_name(const struct records *records, int zone);
/* The configuration whose transfer: block counts: its own; for the delegate zone that of the zone that
 * holds it, else of the first zone. NULL: none is set. */
const struct config_zone *records_transfer_of(const struct records *records, int zone);
/* The zone written out at one serial, SOA first and last not included; *soa: owned by the caller.
 * fn returns false to stop (ERR_LIMIT then); NULL: *soa alone. In a store_read(). */
MUST_USE struct err records_write_out(struct records *records, struct db *db, int zone,
                                      struct dns_rr *soa, record_fn fn, void *arg);
/* The differences since `serial`, oldest first: fn(arg, from, to) begins one, then its records, removed
 * ones first. ERR_NOT_FOUND: not in the journal (a whole transfer must follow). *soa: the newest. */
struct journal_fns {
    bool (*begin)(void *arg, uint32_t from, uint32_t to);
    bool (*record)(void *arg, bool is_add, const struct dns_rr *rr);
    void *arg;
};
MUST_USE struct err records_journal(struct records *records, struct db *db, int zone,
                                    uint32_t serial, struct dns_rr *soa,
                                    const struct journal_fns *fns);
/* fn is called on the writer thread, after the snapshot with the new serial is published and before any
 * caller of store_write() is woken. Register before threads start; one. It must not block. */
void records_on_serial(struct records *records, void (*fn)(void *ctx, int zone, uint32_t serial),
                       void *ctx);

#endif
