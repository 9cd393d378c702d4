/* Clients and policy: who may act, for which identifiers, from which networks.
 *
 * Clients come from the configuration (read-only) and from the store (`client add`). The in-memory
 * table holds immutable entries behind reference counts, linked and unlinked by on-commit hooks;
 * lookups take a short lock, never SQL. Client names differ in more than case; "open" is taken by
 * anonymous publishers. Secrets are compared in constant time; 10 failures a minute from one
 * address are answered ERR_LIMIT (HTTP 429) until the minute is over.
 * Thread: any, unless said. Not checked here: that an identifier lies in a zone. */
#ifndef CORE_ACCESS_ACCESS_H
#define CORE_ACCESS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/store.h"
#include "core/util/buf.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "core/util/name.h"

#define ACCESS_OPEN_NAME "open" /* who publishes without a credential; no client may have it */
#define ACCESS_FAILURES_PER_MINUTE 10u
/* Of a secret made by us: 48 octets of MAC key, a multiple of 16 because dehydrated 0.7 garbles
 * others. */
#define ACCESS_SECRET_LEN 64u
#define ACCESS_NAMES_MAX 256u
#define ACCESS_NETWORKS_MAX 64u

extern const struct store_module ACCESS_STORE_MODULE;

struct access;
/* Loads the store's clients; ERR_CONFIG with a sentence when a name is both in the configuration
 * and in the store. Borrows cfg and store for its lifetime. */
MUST_USE struct err access_open(const struct config *cfg, struct store *store, struct access **out);
void access_close(struct access *access);

/* Check a client's name and secret from `peer`.
 * ERR_OK; ERR_DENIED unknown name or wrong secret (same sentence for both, same time), or a peer
 * outside the client's networks (*is_network set); ERR_LIMIT too many failures from this address.
 * name_out: CLIENT_NAME_MAX + 1, the stored spelling. */
MUST_USE struct err access_authenticate(struct access *access, const char *name, const char *secret,
                                        const struct ip_addr *peer, char *name_out,
                                        bool *is_network);
/* Count a failed credential check made elsewhere (registrations) and tell whether the address is
 * over its limit. */
void access_count_failure(struct access *access, const struct ip_addr *peer);
bool access_is_throttled(struct access *access, const struct ip_addr *peer);

/* May client `name` have identifier `id`, wildcard flag included, at this moment? false for unknown
 * clients. */
bool access_may(struct access *access, const char *name, const struct ident *id);
/* May it publish at _acme-challenge.<base>, that is: may it have base, *.base, or both? */
bool access_may_publish(struct access *access, const char *name, const char *base);
/* Has a client this very name, not by a wildcard, among its names? base: lower case. Walks through all
 * of them. */
bool access_is_named(struct access *access, const char *base);
/* Is `peer` in the client's networks (none configured: anywhere)? */
bool access_network_ok(struct access *access, const char *name, const struct ip_addr *peer);
bool access_exists(struct access *access, const char *name);
/* The same inside a write transaction: a removal earlier in the same batch is seen, which the
 * in-memory table shows only after the commit. Writer thread. */
MUST_USE struct err access_exists_tx(struct access *access, struct db *db, const char *name,
                                     bool *is_there);
/* SHA-256 of the client's secret: an input of derived passwords. ERR_NOT_FOUND. */
MUST_USE struct err access_secret_hash(struct access *access, const char *name, uint8_t out[32]);
/* The client's MAC key, which is its secret's base64 decoding (external account binding, TSIG), and
 * its stored spelling. key: ACCESS_KEY_MAX bytes, wiped by the caller (mem_wipe). ERR_NOT_FOUND with
 * the sentence of a wrong credential; key is then a random one that no client has and name_out is
 * "", so that the caller can spend the time of a wrong MAC all the same. */
#define ACCESS_KEY_MAX (CLIENT_SECRET_MAX / 4u * 3u)
MUST_USE struct err access_key(struct access *access, const char *name, uint8_t *key,
                               size_t *key_len, char name_out[CLIENT_NAME_MAX + 1]);
/* preauthorized: true? false for unknown clients. */
bool access_is_preauthorized(struct access *access, const char *name);
/* May it update ordinary DNS records of its names (records: true)? false for unknown clients. */
bool access_has_records(struct access *access, const char *name);
/* Do rate limits count for it? true for unknown clients. */
bool access_has_limits(struct access *access, const char *name);
/* Do the client's networks name this address explicitly (none configured: no)? For ip
 * identifiers. */
bool access_network_names(struct access *access, const char *name, const struct ip_addr *ip);
/* Is anonymous publishing on for this peer (open: true and peer in open_networks)? */
bool access_is_open_for(const struct access *access, const struct ip_addr *peer);
bool access_is_open(const struct access *access);

/* Administration. */
struct access_client_info {
    char name[CLIENT_NAME_MAX + 1];
    bool is_from_config;
    char *names;    /* comma separated patterns; "" = it is a key only */
    char *networks; /* comma separated, "" = anywhere */
    bool is_preauthorized;
    bool has_limits;
    bool has_records;
    int64_t created_unix; /* 0 for configured ones */
};
/* What a stored client is made from. */
struct access_new_client {
    const char *name;
    const char *secret; /* NULL: one is made */
    const char *const *patterns;
    size_t patterns_n;
    const char *const *networks;
    size_t networks_n;
    bool is_preauthorized;
    bool has_no_limits;
    bool has_no_records;
    bool is_key_only; /* no names: its secret signs transfers; else names are needed */
};
/* Add a stored client. secret_out: CLIENT_SECRET_MAX + 1, wiped by the caller. ERR_CONFLICT when
 * the name exists, ERR_MALFORMED/ERR_LIMIT with a sentence for bad names, patterns, networks.
 * Durable on return. */
MUST_USE struct err access_client_create(struct access *access,
                                         const struct access_new_client *client, char *secret_out);
/* Remove a stored client; also calls every hook registered with access_on_remove() inside the same
 * transaction. ERR_NOT_FOUND; ERR_DENIED with a sentence for configured clients. */
MUST_USE struct err access_client_remove(struct access *access, const char *name);
/* Called inside the removing transaction, so that values, registrations and authorizations go with
 * the client. Register before threads start; at most 8. */
MUST_USE struct err access_on_remove(struct access *access,
                                     struct err (*fn)(void *ctx, struct db *db, const char *client),
                                     void *ctx);
/* All clients, sorted by name; *out owned by the caller (access_list_free). */
MUST_USE struct err access_list(struct access *access, struct access_client_info **out,
                                size_t *out_n);
void access_list_free(struct access_client_info *list, size_t n);

/* One audit row in the caller's transaction. All strings borrowed; detail is a sentence; empty
 * strings are fine. */
struct audit_row {
    const char *event;          /* "delegate.publish", "client.remove" */
    const char *actor;          /* client name, "open", "admin", "maintenance", account id */
    const char *object;         /* name, order id, registration */
    const struct ip_addr *peer; /* or NULL */
    const char *detail;
};
MUST_USE struct err audit_write(struct db *db, const struct audit_row *row);
/* Keep only the newest `keep` rows of `event`: for events that peers can cause at will. */
MUST_USE struct err audit_prune(struct db *db, const char *event, size_t keep, size_t *removed_n);

#endif
