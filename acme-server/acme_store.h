/* The ACME tables: accounts, orders, authorizations, challenges. All SQL of this library.
 *
 * Every function runs inside one store_read() or store_write() call and does nothing but SQL and
 * arithmetic; functions that move a state ask acme-server/state.h first and repeat the old state in
 * SQL. Expiry counts from the clock, not from maintenance: what is past its time reads as invalid
 * or expired at once. Not checked here: who may see or change an object.
 * Thread: the connection's. Rows own their heap members; *_clear() accepts a zeroed row. */
#ifndef ACME_SERVER_ACME_STORE_H
#define ACME_SERVER_ACME_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/state.h"
#include "core/store/store.h"
#include "core/util/name.h"
#include "core/util/token.h"
#include "dns/delegate.h"

#define ACME_PROFILE_MAX 32u
#define ACME_ERROR_JSON_MAX (16u * 1024u)

struct account_row {
    char id[OBJECT_ID_LEN + 1];
    enum account_st status;
    bool terms_agreed;
    int64_t created_unix;
    char *jwk;     /* canonical JSON */
    char *contact; /* JSON array of checked mailto: URLs: safe to print as it is */
};
void account_row_clear(struct account_row *row);

struct challenge_row {
    char id[OBJECT_ID_LEN + 1];
    char authz_id[OBJECT_ID_LEN + 1];
    enum challenge_st status;
    char token[ACME_TOKEN_LEN + 1];
    char digest[TXT_VALUE_LEN + 1];
    int64_t validated_unix;
    char *error; /* problem document or "" */
};
struct authz_row {
    char id[OBJECT_ID_LEN + 1];
    char account_id[OBJECT_ID_LEN + 1];
    struct ident ident;
    enum authz_st status;
    int64_t expires_unix;
    struct challenge_row dns01;
};
void authz_row_clear(struct authz_row *row);

struct order_name {
    struct ident ident;
    char authz_id[OBJECT_ID_LEN + 1];
};
struct order_row {
    char id[OBJECT_ID_LEN + 1];
    char account_id[OBJECT_ID_LEN + 1];
    enum order_st status;
    int64_t expires_unix;
    int64_t not_before, not_after;      /* 0 = not asked for */
    char profile[ACME_PROFILE_MAX + 1]; /* "" = not asked for */
    char certificate_id[OBJECT_ID_LEN + 1];
    bool has_csr;
    uint8_t csr_hash[SHA256_LEN];
    char *error; /* problem document or "" */
    struct order_name *names;
    size_t names_n;
};
void order_row_clear(struct order_row *row);

/* --- reading; ERR_NOT_FOUND ------------------------------------------------------------------- */
MUST_USE struct err acme_db_account_load(struct db *db, const char *id, struct account_row *out);
MUST_USE struct err acme_db_account_find(struct db *db, const char *thumbprint,
                                         struct account_row *out);
MUST_USE struct err acme_db_order_load(struct db *db, const char *id, struct order_row *out);
MUST_USE struct err acme_db_authz_load(struct db *db, const char *id, struct authz_row *out);
/* The authorization that holds this challenge. */
MUST_USE struct err acme_db_challenge_load(struct db *db, const char *challenge_id,
                                           struct authz_row *out);

/* What proves a name of an order, for the policy check at finalize. */
struct order_proof {
    struct ident ident;
    char authz_id[OBJECT_ID_LEN + 1];
    bool is_valid;     /* the authorization is valid and not expired */
    bool is_published; /* through one of our doors, by: */
    struct zone_publisher by;
};
/* *out owned by the caller (mem_free), order->names_n entries in their order. */
MUST_USE struct err acme_db_order_proofs(struct db *db, const struct order_row *order,
                                         struct order_proof **out);

/* The newest valid authorization of this account for exactly `ident`, decided after since_unix.
 * ERR_NOT_FOUND. */
struct authz_reusable {
    char id[OBJECT_ID_LEN + 1];
    bool is_published;
    struct zone_publisher by;
};
MUST_USE struct err acme_db_authz_reusable(struct db *db, const char *account_id,
                                           const struct ident *ident, int64_t since_unix,
                                           struct authz_reusable *out);

/* Ids of the account's orders that are not invalid, in id order, after `after` ("" = from the
 * start); at most max. */
MUST_USE struct err acme_db_orders_list(struct db *db, const char *account_id, const char *after,
                                        size_t max, char (*ids)[OBJECT_ID_LEN + 1], size_t *n);

struct acme_db_counts {
    int64_t accounts, orders_pending, orders_valid, authz_pending;
};
MUST_USE struct err acme_db_count(struct db *db, struct acme_db_counts *out);

/* Calls fn for every challenge that waits for its value, unexpired. */
struct waiting_row {
    char challenge_id[OBJECT_ID_LEN + 1];
    char authz_id[OBJECT_ID_LEN + 1];
    struct ident ident;
    char digest[TXT_VALUE_LEN + 1];
    int64_t expires_unix;
    bool is_processing;
};
MUST_USE struct err acme_db_waiting(struct db *db,
                                    struct err (*fn)(void *ctx, const struct waiting_row *row),
                                    void *ctx);

/* Run a conditional update that must hit exactly one row: ERR_BAD_STATE when it hits none. */
MUST_USE struct err acme_db_run_one(struct db_stmt *q, const char *what);

/* --- writing ---------------------------------------------------------------------------------- */
/* Insert row (its id and created_unix are given) unless the key has an account: then *row becomes
 * that one and *is_new false. */
MUST_USE struct err acme_db_account_insert(struct db *db, const char *thumbprint,
                                           struct account_row *row, bool *is_new);
MUST_USE struct err acme_db_account_contact(struct db *db, const char *id, const char *contact);
/* ERR_BAD_STATE when it is not valid. Its unfinished orders become invalid with error_json, its
 * authorizations deactivated. */
MUST_USE struct err acme_db_account_deactivate(struct db *db, struct delegate *delegate,
                                               const char *id, const char *error_json);

struct order_new_name {
    struct ident ident;
    char reuse_id[OBJECT_ID_LEN + 1]; /* "" = a new authorization */
    char authz_id[OBJECT_ID_LEN + 1]; /* of the new one, with its challenge: */
    char challenge_id[OBJECT_ID_LEN + 1];
    char token[ACME_TOKEN_LEN + 1];
    char digest[TXT_VALUE_LEN + 1];
};
/* Insert the order and what its names need; an authorization that can no longer be reused is
 * replaced by the new one. order: id, account, dates and profile are given; status, expiry and
 * names[i].authz_id are set (names has names_n entries). New digests are expected by delegate on
 * commit. */
MUST_USE struct err acme_db_order_insert(struct db *db, struct delegate *delegate,
                                         const struct order_new_name *names,
                                         struct order_row *order);

/* The client answered the challenge and no value was there: pending -> processing.
 * ERR_BAD_STATE. */
MUST_USE struct err acme_db_challenge_start(struct db *db, const struct authz_row *authz);

struct authz_decision {
    char challenge_id[OBJECT_ID_LEN + 1];
    char authz_id[OBJECT_ID_LEN + 1];
    struct ident ident;
    char digest[TXT_VALUE_LEN + 1];
    bool is_valid;
    bool is_published;
    struct zone_publisher by;
    const char *error_json; /* "" when valid */
    int64_t reuse_s;        /* a valid authorization lives at least this long */
};
/* Challenge, authorization, its orders and the delegate zone's values in one go. ERR_BAD_STATE:
 * decided or ended already. */
MUST_USE struct err acme_db_authz_decide(struct db *db, struct delegate *delegate,
                                         const struct authz_decision *decision);
/* ERR_BAD_STATE. Its pending and ready orders become invalid with error_json. */
MUST_USE struct err acme_db_authz_deactivate(struct db *db, struct delegate *delegate,
                                             const struct authz_row *authz, const char *error_json);
/* Policy changed: valid -> invalid, and the orders that build on it. Nothing to do is ERR_OK. */
MUST_USE struct err acme_db_authz_withdraw(struct db *db, const char *authz_id,
                                           const char *error_json);
/* The next client in order, "" after the last, that ever published for an authorization still
 * stored. */
MUST_USE struct err acme_db_client_next(struct db *db, const char *after,
                                        char client[CLIENT_NAME_MAX + 1]);
/* The same for every valid authorization that this client published. */
MUST_USE struct err acme_db_client_withdraw(struct db *db, const char *client,
                                            const char *error_json);

/* ready -> valid. ERR_BAD_STATE when it is not ready any more. The certificate row is the caller's,
 * in the same transaction. */
MUST_USE struct err acme_db_order_issued(struct db *db, const char *id, const char *certificate_id,
                                         const uint8_t csr_hash[SHA256_LEN], int64_t not_after);
/* pending or ready -> invalid. ERR_BAD_STATE. */
MUST_USE struct err acme_db_order_fail(struct db *db, const char *id, const char *error_json);

/* Maintenance: expire and delete at most `max` orders and `max` authorizations that are due. */
MUST_USE struct err acme_db_maintain(struct db *db, size_t max, const char *error_json,
                                     size_t *changed_n);

#endif
