/* Inside core/access only: the client entry, the failure table, and the module's SQL.
 *
 * A client entry is immutable; the table of them changes by linking and unlinking entries under the
 * lock, which needs no memory and so cannot fail in an on-commit hook. Readers hold a reference. */
#ifndef CORE_ACCESS_ACCESS_INT_H
#define CORE_ACCESS_ACCESS_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/access/access.h"
#include "core/util/token.h"

#define CLIENT_BUCKETS 1024u
#define CLIENT_TEXT_MAX (64u * 1024u + 4096u) /* all patterns of a client as text */
#define REMOVE_HOOKS_MAX 8u
#define THROTTLE_WINDOW_MS 60000
#define THROTTLE_SETS 512u
#define THROTTLE_WAYS 8u /* 4,096 addresses in all */

struct client {
    struct client *next; /* bucket chain, under the table's lock */
    _Atomic unsigned refs;
    struct access *access;
    bool is_from_config;
    char name[CLIENT_NAME_MAX + 1];
    uint8_t secret_hash[SHA256_LEN];
    uint8_t key[ACCESS_KEY_MAX]; /* the secret, decoded; wiped with the entry */
    size_t key_len;
    struct name_pattern *patterns;
    size_t patterns_n;
    struct ip_net *networks;
    size_t networks_n;
    bool is_preauthorized;
    bool has_limits;
    bool has_records;
    int64_t created_unix;
};

/* client.c: entries. */
MUST_USE struct err client_from_config(const struct config_client *cfg, struct client **out);
/* names and networks: comma separated, "" is none. ERR_MALFORMED or ERR_LIMIT with a sentence. */
MUST_USE struct err client_from_text(const char *name, const char *secret, const char *names,
                                     const char *networks, struct client **out);
struct client *client_ref(struct client *client);
void client_unref(struct client *client); /* NULL is fine */
void client_unrefp(struct client **client);
MUST_USE struct err client_names_text(const struct client *client, struct buf *out);
MUST_USE struct err client_networks_text(const struct client *client, struct buf *out);

/* Is base one of its names, not by a wildcard? */
bool client_is_named(const struct client *client, const char *base);

/* throttle.c: failures per address (IPv6: per /64) and minute, in a bounded table that forgets the
 * oldest. Thread: any. */
struct throttle;
MUST_USE struct err throttle_new(struct throttle **out);
void throttle_free(struct throttle *throttle);
void throttle_count(struct throttle *throttle, const struct ip_addr *peer, int64_t now_ms);
bool throttle_is_over(struct throttle *throttle, const struct ip_addr *peer, int64_t now_ms);

/* access_store.c: SQL. */
typedef struct err (*client_row_fn)(void *ctx, struct client *take_client);
MUST_USE struct err client_rows_load(struct db *db, client_row_fn fn, void *ctx);
MUST_USE struct err client_row_insert(struct db *db, const struct client *client,
                                      const char *secret);
MUST_USE struct err client_row_delete(struct db *db, const char *name, bool *was_there);
MUST_USE struct err client_row_exists(struct db *db, const char *name, bool *is_there);

#endif
