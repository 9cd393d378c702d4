/* The name data DNS answers from: an immutable snapshot of zones, delegate values and stored
 * records.
 *
 * Automatic names, for every well-formed name x of a served zone, whatever is stored:
 * `_acme-challenge.x` (dns-01) is a CNAME to the delegate name of x, `L._acme-challenge.x`
 * (dns-account-01: L is "_" and 16 characters of base32) one to L below that delegate name, and
 * `_validation-persist.x` (dns-persist-01) exists, with the texts put there.
 *
 * Readers (DNS threads, the validator) enter with zone_read_begin() and see one consistent snapshot
 * without lock or allocation; a writer builds a new snapshot that shares every untouched node with
 * the old one (persistent hash trie, O(log n) copies), publishes it with one atomic store, and
 * frees replaced nodes once no reader can hold them (per-reader epochs). Writers are serialised by
 * a mutex; in the daemon they are the store's on-commit hooks. Each zone has a serial number, which
 * moves when a change says so; `serial_start` comes from the store so that it never goes back.
 *
 * In a plain zone nothing is made up; nor is it below a stored delegation or DNAME: no automatic
 * name, no `_validation-persist`. */
#ifndef DNS_ZONE_H
#define DNS_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/config.h"
#include "core/util/err.h"
#include "core/util/name.h"

#define TXT_VALUE_LEN 43u
#define ZONE_VALUES_MAX 256u /* TXT values at one name */
#define ZONE_SOA_TTL_S 5u
#define ZONE_SOA_REFRESH_S 60u
#define ZONE_SOA_RETRY_S 60u
#define ZONE_SOA_EXPIRE_S 604800u
#define ZONE_SOA_MINIMUM_S 5u
#define ZONE_TXT_TTL_S 1u
#define ZONE_ADDRESS_TTL_S 60u
#define ZONE_CNAME_TTL_S 60u
#define ZONE_NS_TTL_S 60u
#define ZONE_READERS_MAX 256u
#define ZONE_REGISTRATION_MAX 36u
#define ZONE_ACCOUNT_LABEL_LEN 17u /* "_" and 16 characters of base32 */
#define ZONE_PERSIST_LABEL "_validation-persist"
#define ZONE_PERSIST_MAX 64u         /* texts at one name */
#define ZONE_PERSIST_TEXT_MAX 1024u  /* characters of one */
#define ZONE_PERSIST_WIRE_MAX 49152u /* their records together, so that an answer can hold them */

/* Who published a value: policy is asked again with this at validation time. */
struct zone_publisher {
    bool is_open;                     /* anonymous, in open mode */
    char client[CLIENT_NAME_MAX + 1]; /* "" when is_open */
    /* subdomain label of the acme-dns registration, or "" */
    char registration[ZONE_REGISTRATION_MAX + 1];
};

struct zone_value {
    char txt[TXT_VALUE_LEN + 1];
    struct zone_publisher by;
};

struct zone_db;
/* cfg: zones, delegate_zone, hostname, addresses are copied. */
MUST_USE struct err zone_db_new(const struct config *cfg, uint32_t serial_start,
                                struct zone_db **out);
/* No reader may be active. */
void zone_db_free(struct zone_db *db);

/* Add a value at text name `owner` (a name in the delegate zone, lower case). The same (txt,
 * client, registration) again is a no-op. ERR_LIMIT at ZONE_VALUES_MAX, ERR_NOMEM; on failure
 * nothing changes. serial: the delegate zone's new serial. */
MUST_USE struct err zone_value_add(struct zone_db *db, const char *owner,
                                   const struct zone_value *value, uint32_t serial);
/* Remove every value at owner with this txt (NULL: any) published by this client/open and
 * registration (by NULL: anybody). */
MUST_USE struct err zone_value_remove(struct zone_db *db, const char *owner, const char *txt,
                                      const struct zone_publisher *by, uint32_t serial);
/* The newest serial that any change was given. */
uint32_t zone_serial(const struct zone_db *db);

/* Is there a `_validation-persist.<base>` here: base is a well-formed name in a served zone that is
 * neither plain nor the delegate zone, and short enough? (Stored cuts are not looked at.) Thread: any. */
bool zone_has_persist(const struct zone_db *db, const char *base);
/* The texts at `_validation-persist.<base>` are these from now on (n 0: none), each a TXT record of
 * character-strings of up to 255 octets. Equal texts must not be given twice (RFC 2181 §5).
 * ERR_NOT_FOUND unless zone_has_persist(); ERR_MALFORMED for a text that is empty or longer than
 * ZONE_PERSIST_TEXT_MAX; ERR_LIMIT at ZONE_PERSIST_MAX or ZONE_PERSIST_WIRE_MAX; ERR_NOMEM. On
 * failure nothing changes. serial: the new serial of its zone. */
MUST_USE struct err zone_persist_put(struct zone_db *db, const char *base, const char *const *texts,
                                     size_t n, uint32_t serial);
/* The octets that this text's record takes of ZONE_PERSIST_WIRE_MAX. */
size_t zone_persist_wire_len(const char *text);
/* "_" and 16 characters of lower-case base32? (draft-ietf-acme-dns-account-label) */
bool zone_is_account_label(const char *label, size_t len);

/* --- stored records, and several changes at once ---------------------------------------------- */
/* One record of an owner, as rr.h keeps RDATA. */
struct zone_rr {
    uint16_t type;
    uint32_t ttl;
    const uint8_t *rdata;
    uint16_t rdata_len;
};
#define ZONE_RRSET_WIRE_MAX 60000u /* RRs of one type at one owner, with their heads: fits TCP */

/* Changes that become visible together, by one atomic store. The caller is the only writer until
 * zone_edit_commit() or _dropp(): no other change, zone_reader_new() or zone_reader_free() by this
 * thread meanwhile. Nodes made by an edit are changed in place by its further calls, so that loading
 * n records costs O(n). A call that fails with ERR_MALFORMED, ERR_NOT_FOUND or ERR_LIMIT changed
 * nothing, and the edit can go on; after any other failure every further call and the commit fail
 * with the same code. Thread: one. */
struct zone_edit;
MUST_USE struct err zone_edit_begin(struct zone_db *db, struct zone_edit **out);
/* As zone_value_add(), and zone_value_remove() of this text by this publisher; no serial moves. */
MUST_USE struct err zone_edit_value(struct zone_edit *edit, bool is_add, const char *owner,
                                    const struct zone_value *value);
/* The records at `owner` (wire; in a served zone that is not the delegate zone) are these from now
 * on, each given once: n 0 takes the name out; empty non-terminals above it come and go by
 * themselves. RRs of one type share the first one's TTL (RFC 2181 §5.2). CNAME, DNAME and delegation
 * rules are the caller's (zone_records.h); SOA's serial is replaced by the zone's in answers.
 * ERR_MALFORMED: no name of such a zone, or one of ours (`_validation-persist.x`); ERR_LIMIT:
 * ZONE_RRSET_WIRE_MAX. rrs: borrowed during the call. */
MUST_USE struct err zone_edit_records(struct zone_edit *edit, const uint8_t *owner,
                                      size_t owner_len, const struct zone_rr *rrs, size_t n);
/* As zone_persist_put(); no serial moves. */
MUST_USE struct err zone_edit_persist(struct zone_edit *edit, const char *base,
                                      const char *const *texts, size_t n);
/* The serial of one zone (text name as configured, "." included; the delegate zone's too).
 * ERR_NOT_FOUND: no such zone. */
MUST_USE struct err zone_edit_serial(struct zone_edit *edit, const char *zone, uint32_t serial);
/* Publishes; takes *edit, on failure too (then nothing is changed). Nothing changed: no new snapshot. */
MUST_USE struct err zone_edit_commit(struct zone_edit **take_edit);
void zone_edit_dropp(struct zone_edit **edit); /* for AUTO() */

/* The serial of a zone by its text name; 0 when there is no such zone. */
uint32_t zone_serial_of(const struct zone_db *db, const char *zone);

/* Readers. One per thread that reads; at most ZONE_READERS_MAX (ERR_LIMIT). */
struct zone_reader;
struct zone_snapshot;
MUST_USE struct err zone_reader_new(struct zone_db *db, struct zone_reader **out);
void zone_reader_free(struct zone_reader *reader);
/* Wait-free. Not nestable per reader. The snapshot is valid until zone_read_end(). */
const struct zone_snapshot *zone_read_begin(struct zone_reader *reader);
void zone_read_end(struct zone_reader *reader);

/* The validator's view: follow `_acme-challenge.<base>` exactly as a TXT answer does (synthesised
 * CNAME, delegate name), calling fn for each value until it returns true. Returns true when fn did.
 * *target (optional, NAME_TEXT_MAX + 1) receives the delegate name. */
typedef bool (*zone_value_fn)(void *arg, const struct zone_value *value);
bool zone_challenge_values(const struct zone_snapshot *snap, const char *base, zone_value_fn fn,
                           void *arg, char *target);
/* Values at exactly this owner name of the delegate zone. */
bool zone_owner_values(const struct zone_snapshot *snap, const char *owner, zone_value_fn fn,
                       void *arg);
/* Values at any name, as a TXT question for it is answered: one with an automatic CNAME
 * (`_acme-challenge.x`, `L._acme-challenge.x`) is followed, and *target (optional, NAME_TEXT_MAX +
 * 1) then receives where to; else it is an owner name, and *target "". */
bool zone_name_values(const struct zone_snapshot *snap, const char *name, zone_value_fn fn,
                      void *arg, char *target);
/* Is there an automatic CNAME at `_acme-challenge.<base>`: the name lies in a served zone that is not
 * plain, and not below a stored delegation or DNAME? */
bool zone_has_own_challenge(const struct zone_snapshot *snap, const char *base);
/* Is there none because `_acme-challenge.<base>` lies below a stored delegation or DNAME, whose name
 * cut receives? */
bool zone_challenge_cut(const struct zone_snapshot *snap, const char *base,
                        char cut[NAME_TEXT_MAX + 1], bool *is_dname);
/* Is `name` answered by us: in a served zone or the delegate zone, not at or below a stored
 * delegation? */
bool zone_is_served(const struct zone_snapshot *snap, const char *name);

#endif
