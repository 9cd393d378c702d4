/* The delegate zone's contents: the doors, which all end in one policy and one table, the acme-dns
 * registrations, late binding, and what the validator asks.
 *
 * A value is 43 base64url characters (the digest of a key authorization, RFC 8555 §8.4). It lives
 * in the store and, by an on-commit hook, in the zone snapshot: when a call returns ERR_OK the
 * value is durable and visible to queries. acme-server tells this module which digests are expected
 * (delegate_expect) so that a value can name its challenge. The values of dns-account-01 lie one
 * account's label below the delegate name (draft-ietf-acme-dns-account-label); the texts of
 * dns-persist-01 (draft-ietf-acme-dns-persist) come from acme-server alone.
 * Thread: any, unless said. The peer's mistakes come back as ERR_REJECTED with `delegate_refusal`
 * filled. */
#ifndef DNS_DELEGATE_H
#define DNS_DELEGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/access/access.h"
#include "core/store/store.h"
#include "core/util/err.h"
#include "core/util/name.h"
#include "core/util/token.h"
#include "dns/zone.h"
#include "dns/zone_records.h"

#define DELEGATE_VALUE_TTL_S 3600  /* a value's life after publishing */
#define DELEGATE_DECIDED_TTL_S 600 /* and after its authorization is decided */
#define DELEGATE_REGISTRATIONS_PER_CLIENT 1000
#define DELEGATE_REGISTRATIONS_PER_NETWORK 100 /* open mode: per /24 or /48 */
#define DELEGATE_REGISTRATION_UNUSED_S 86400
#define DELEGATE_PASSWORD_LEN 40u
#define DELEGATE_ALLOWFROM_MAX 64u
#define DELEGATE_BASE_VALUES_MAX 1024u /* one host name's, where an account's label adds to them */
#define DELEGATE_ACCOUNT_ID_MAX 64u

extern const struct store_module DELEGATE_STORE_MODULE;

enum delegate_door {
    DOOR_HTTPREQ,
    DOOR_ACMEDNS,
    DOOR_STORAGE,
    DOOR_ADMIN,
    DOOR_UPDATE,       /* RFC 2136, signed */
    DOOR_PREAUTHORIZED /* no door: acme-server, for a preauthorized client */
};

enum delegate_reason {
    DELEGATE_BAD_TXT = 1, /* 400: not 43 base64url characters */
    /* 400: not a name, or digest matches no pending challenge where one is needed */
    DELEGATE_BAD_NAME,
    DELEGATE_FORBIDDEN,    /* 403: name, wildcard, network or pin says no */
    DELEGATE_UNAUTHORIZED, /* 401: unknown registration or wrong password */
    DELEGATE_THROTTLED,    /* 429 */
    DELEGATE_FULL          /* 409: too many values at this name, or registrations */
};
struct delegate_refusal {
    enum delegate_reason reason;
    char detail[400]; /* a sentence: what was wrong and what to do; no secrets */
};

struct delegate;
/* Opens the module, after records_open(): loads values into zones, registrations stay in the store, reads or makes the
 * installation key <state_dir>/keys/installation.key (0600). Registers with access_on_remove().
 * Borrows everything. */
MUST_USE struct err delegate_open(const struct config *cfg, struct store *store,
                                  struct access *access, struct zone_db *zones,
                                  struct records *records, struct delegate **out);
void delegate_close(struct delegate *delegate);
/* Once, when the daemon starts: remove the values and registrations of clients that exist no
 * longer, and the bindings of clients that lost the name. */
MUST_USE struct err delegate_forget_gone(struct delegate *delegate);

/* --- what acme-server tells us ---------------------------------------------------------------- */
/* Expect `digest` for the dns-01 challenge of `id` until expires_unix. Memory only: acme-server
 * calls it from its on-commit hook and again for every pending challenge at start. Idempotent. */
void delegate_expect(struct delegate *delegate, const struct ident *id,
                     const char digest[TXT_VALUE_LEN + 1], int64_t expires_unix);
/* The same for the dns-account-01 challenge of the account with this label (ZONE_ACCOUNT_LABEL_LEN
 * characters): where the digest decides the name, the value goes to that label. */
void delegate_expect_account(struct delegate *delegate, const struct ident *id, const char *label,
                             const char digest[TXT_VALUE_LEN + 1], int64_t expires_unix);
void delegate_forget(struct delegate *delegate, const char digest[TXT_VALUE_LEN + 1]);
/* Called (on the store's writer thread, so: quick, no store call) whenever a value for a pending
 * challenge becomes visible. fn NULL: nobody any more, and no call is under way on return. */
void delegate_on_value(struct delegate *delegate,
                       void (*fn)(void *ctx, const char digest[TXT_VALUE_LEN + 1]), void *ctx);
/* In the caller's write transaction: the authorization of `id` was decided (is_valid or not):
 * shortens the life of the values with this digest to DELEGATE_DECIDED_TTL_S and, when valid, binds
 * the registration that published it to id->base (with an audit row). */
MUST_USE struct err delegate_decided(struct delegate *delegate, struct db *db,
                                     const struct ident *id, const char digest[TXT_VALUE_LEN + 1],
                                     bool is_valid);
/* In the caller's write transaction: publish `digest` for the dns-account-01 challenge of `id` and
 * the account with this label, as `by` would through a door: same table, same caps, one audit row.
 * ERR_MALFORMED (an IP address, no label, no digest), ERR_DENIED (by may not have id, or is being
 * removed), ERR_LIMIT (the name is full); after those nothing was changed, and the transaction can
 * go on. */
MUST_USE struct err delegate_account_put(struct delegate *delegate, struct db *db,
                                         const struct ident *id, const char *label,
                                         const char digest[TXT_VALUE_LEN + 1],
                                         const struct zone_publisher *by);
/* In the caller's write transaction: `text` is what the account has at
 * `_validation-persist.<base_name>` until expires_unix; one that it had there is replaced. The
 * caller has checked that the account may, and writes the audit row. text: 1 to
 * ZONE_PERSIST_TEXT_MAX printable ASCII characters. ERR_NOT_FOUND: the name is in no zone that is
 * served here; ERR_MALFORMED: no name, text or account, or expired already; ERR_LIMIT:
 * ZONE_PERSIST_MAX accounts have one there, or the texts would not fit an answer; after those
 * nothing was changed, and the transaction can go on. */
MUST_USE struct err delegate_persist_put(struct delegate *delegate, struct db *db,
                                         const char *base_name, const char *account_id,
                                         const char *text, int64_t expires_unix);
/* In the caller's write transaction: remove all that the account has. */
MUST_USE struct err delegate_persist_remove_account(struct delegate *delegate, struct db *db,
                                                    const char *account_id);

/* --- what the validator asks ------------------------------------------------------------------ */
enum delegate_verdict {
    DELEGATE_FOUND = 1, /* published by somebody who may have this identifier now; *who filled */
    DELEGATE_MISSING,   /* no such value at the name */
    /* there, but no publisher of it may have this identifier (detail says who and why) */
    DELEGATE_NOT_ALLOWED
};
/* Look `digest` up for `id` in the very snapshot that answers DNS. owner NULL: at the name's own
 * _acme-challenge; else at this name: one of the delegate zone (where a CNAME chase ended), or
 * [<label>.]_acme-challenge.<name>, whose automatic CNAME is followed. detail (cap 400)
 * gets a sentence: what was asked, where, what was there, what to do. */
enum delegate_verdict delegate_check(struct delegate *delegate, struct zone_reader *reader,
                                     const struct ident *id, const char *owner,
                                     const char digest[TXT_VALUE_LEN + 1],
                                     struct zone_publisher *who, char detail[400]);
/* Policy alone, for finalize: may this publisher have `id` at this moment? */
bool delegate_publisher_may(struct delegate *delegate, const struct zone_publisher *who,
                            const struct ident *id);

/* --- the doors -------------------------------------------------------------------------------- */
struct delegate_who {
    enum delegate_door door;
    struct ip_addr peer;
    bool is_open; /* anonymous, allowed by access_is_open_for(peer) */
    /* authenticated client, "" when is_open or for a registration */
    char client[CLIENT_NAME_MAX + 1];
};
/* Publish or (is_cleanup) remove `value`. `fqdn` as clients send it, trailing dot optional, any
 * case: _acme-challenge.<name>, <name>.<delegate zone>, h-...<delegate zone>, each of these with an
 * account's label before it, or a registration label in the delegate zone. With fqdn NULL the digest
 * decides the name. `_acme-challenge.<name>` below a stored delegation or DNAME is ERR_REJECTED: nobody
 * would ask us there. Removing what is not there is ERR_OK. */
MUST_USE struct err delegate_publish(struct delegate *delegate, const struct delegate_who *who,
                                     const char *fqdn, const char *value, bool is_cleanup,
                                     struct delegate_refusal *refusal);

/* Several changes in a transaction of the caller (dynamic updates): places are found and policy asked
 * outside of it, the same caps, checks and audit rows hold inside. */
struct delegate_place;
/* Where `fqdn` (any form of delegate_publish()) keeps its values. Asks no policy. ERR_REJECTED: no place
 * for values. who is copied. */
MUST_USE struct err delegate_place_new(struct delegate *delegate, const struct delegate_who *who,
                                       const char *fqdn, struct delegate_place **out,
                                       struct delegate_refusal *refusal);
void delegate_place_freep(struct delegate_place **place); /* for AUTO() */
/* May who change values there (exists, network, name), and publish this one (NULL: any)? ERR_REJECTED. */
MUST_USE struct err delegate_place_may(struct delegate_place *place, const char *value,
                                       struct delegate_refusal *refusal);
/* In the caller's write transaction, after delegate_place_may(): publish value; remove value, or (NULL)
 * all that this client has there, whatever door they came through. ERR_REJECTED: the place is full, or
 * the client was removed meanwhile; the transaction must then fail. change: of zone_change_new(); the
 * caller commits it. */
MUST_USE struct err delegate_place_put(struct delegate_place *place, struct db *db,
                                       const char *value, struct zone_change *change,
                                       struct delegate_refusal *refusal);
MUST_USE struct err delegate_place_remove(struct delegate_place *place, struct db *db,
                                          const char *value, struct zone_change *change);
/* The different values there, in a transaction; fn returns false to stop. */
MUST_USE struct err delegate_place_each(const struct delegate_place *place, struct db *db,
                                        bool (*fn)(void *arg, const char *value), void *arg);
/* A refusal's audit row (rate bounded) and log line, as every door writes them. */
void delegate_note_refusal(struct delegate *delegate, const struct delegate_who *who,
                           const char *object, const struct delegate_refusal *refusal);

struct delegate_registration {
    /* a UUID; of a storage account the client's name or "open" */
    char username[CLIENT_NAME_MAX + 1];
    char password[64]; /* wiped by the caller */
    char subdomain[NAME_TEXT_MAX + 1];
    char fulldomain[NAME_TEXT_MAX + 1];
};
/* acme-dns register. allowfrom: CIDR texts (checked by delegate: ERR_REJECTED BAD_NAME
 * "invalid_allowfrom_cidr"). Stored. */
MUST_USE struct err delegate_register(struct delegate *delegate, const struct delegate_who *who,
                                      const char *const *allowfrom, size_t allowfrom_n,
                                      struct delegate_registration *out,
                                      struct delegate_refusal *refusal);
/* acme-dns update by a registration (or storage account, or a client's own name and secret):
 * authenticates, then publishes. */
MUST_USE struct err delegate_update(struct delegate *delegate, const struct ip_addr *peer,
                                    const char *user, const char *key, const char *subdomain,
                                    const char *value, struct delegate_refusal *refusal);
/* HTTP storage: the account of `domain` for who, the same every time; nothing is stored. */
MUST_USE struct err delegate_storage_account(struct delegate *delegate,
                                             const struct delegate_who *who, const char *domain,
                                             struct delegate_registration *out,
                                             struct delegate_refusal *refusal);

/* --- administration --------------------------------------------------------------------------- */
struct delegate_binding {
    char registration[UUID_TEXT_LEN + 1];
    char client[CLIENT_NAME_MAX + 1];
    char name[NAME_TEXT_MAX + 1];
    int64_t bound_unix;
};
/* client NULL: all. *out owned by the caller (mem_free). */
MUST_USE struct err delegate_bindings(struct delegate *delegate, const char *client,
                                      struct delegate_binding **out, size_t *out_n);
/* Release the binding of `name`. ERR_NOT_FOUND. */
MUST_USE struct err delegate_release(struct delegate *delegate, const char *name);
/* The CNAME line an administrator of a zone with serve: false adds for `name`:
 * "_acme-challenge.<name>. CNAME <delegate name>." */
MUST_USE struct err delegate_cname(struct delegate *delegate, const char *name, struct buf *out);
/* Maintenance: remove expired values and persistent texts, unused registrations, old expectations.
 * Returns how many rows went. */
MUST_USE struct err delegate_maintain(struct delegate *delegate, size_t *removed_n);

#endif
