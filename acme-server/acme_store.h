/* The ACME tables: accounts, orders, authorizations, challenges.
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

#include "acme-server/challenge.h"
#include "acme-server/state.h"
#include "ca/ca.h"
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
    char thumbprint[SHA256_B64_LEN + 1]; /* of jwk (RFC 7638) */
    char client[CLIENT_NAME_MAX + 1];    /* bound by EAB, "" when it is not */
    char *jwk;                           /* canonical JSON */
    char *contact; /* JSON array of checked mailto: URLs: safe to print as it is */
    char *eab;     /* the externalAccountBinding of newAccount as JSON, or "" */
};
void account_row_clear(struct account_row *row);

/* A challenge that was never started has no row: it is pending. */
struct challenge_row {
    enum challenge_st status;
    int64_t validated_unix;
    char *error; /* problem document or "" */
};
struct authz_row {
    char id[OBJECT_ID_LEN + 1];
    char account_id[OBJECT_ID_LEN + 1];
    struct ident ident;
    enum authz_st status;
    int64_t expires_unix;
    bool is_preauthorized; /* valid from the start, without a challenge; for its account's client */
    enum challenge_type method; /* when valid: what proved it */
    uint8_t seed[ACME_SEED_LEN];
    char thumbprint[SHA256_B64_LEN + 1]; /* of its account's key, now */
    char client[CLIENT_NAME_MAX + 1];    /* that its account is bound to, or "" */
    struct challenge_row challenges[CHALLENGE_TYPES_N];
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
    int64_t not_before, not_after;        /* 0 = not asked for */
    char profile[ACME_PROFILE_MAX + 1];   /* "" = not asked for */
    char replaces[CA_RENEWAL_ID_MAX + 1]; /* RFC 9773 §5, or "" */
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

/* What proves a name of an order, for the policy check at finalize. */
struct order_proof {
    struct ident ident;
    char authz_id[OBJECT_ID_LEN + 1];
    bool is_valid;     /* the authorization is valid and not expired */
    bool is_published; /* through one of our doors, by: */
    struct zone_publisher by;
    bool is_preauthorized;
    enum challenge_type method;
    int64_t decided_unix;
};
/* *out owned by the caller (mem_free), order->names_n entries in their order. */
MUST_USE struct err acme_db_order_proofs(struct db *db, const struct order_row *order,
                                         struct order_proof **out);

/* The newest valid authorization of this account for exactly `ident`, decided after since_unix or
 * made by newAuthz, which is for later orders whatever the reuse. ERR_NOT_FOUND. */
struct authz_reusable {
    char id[OBJECT_ID_LEN + 1];
    bool is_published;
    struct zone_publisher by;
    bool is_preauthorized;
};
MUST_USE struct err acme_db_authz_reusable(struct db *db, const char *account_id,
                                           const struct ident *ident, int64_t since_unix,
                                           struct authz_reusable *out);

/* Ids of the account's orders that are not invalid, in id order, after `after` ("" = from the
 * start); at most max. */
MUST_USE struct err acme_db_orders_list(struct db *db, const char *account_id, const char *after,
                                        size_t max, char (*ids)[OBJECT_ID_LEN + 1], size_t *n);

/* Ids of the newest orders of everybody, newest first; at most max. */
MUST_USE struct err acme_db_orders_newest(struct db *db, size_t max, char (*ids)[OBJECT_ID_LEN + 1],
                                          size_t *n);

struct acme_db_counts {
    int64_t accounts, orders_pending, orders_valid, authz_pending;
};
MUST_USE struct err acme_db_count(struct db *db, struct acme_db_counts *out);

/* Is there an order, not invalid, that replaces this certificate? (RFC 9773 §5) is_tried (may be
 * NULL): is there any, however it ended? */
MUST_USE struct err acme_db_is_replaced(struct db *db, const char *renewal_id, bool *is_replaced,
                                        bool *is_tried);

/* Calls fn for every pending authorization, unexpired. */
struct waiting_row {
    char authz_id[OBJECT_ID_LEN + 1];
    char account_id[OBJECT_ID_LEN + 1];
    struct ident ident;
    uint8_t seed[ACME_SEED_LEN];
    char thumbprint[SHA256_B64_LEN + 1];
    char client[CLIENT_NAME_MAX + 1];
    int64_t expires_unix;
    bool is_processing[CHALLENGE_TYPES_N];
};
MUST_USE struct err acme_db_waiting(struct db *db,
                                    struct err (*fn)(void *ctx, const struct waiting_row *row),
                                    void *ctx);

/* Run a conditional update that must hit exactly one row: ERR_BAD_STATE when it hits none. */
MUST_USE struct err acme_db_run_one(struct db_stmt *q, const char *what);

/* --- writing ---------------------------------------------------------------------------------- */
/* Insert row unless its key has an account: then *row becomes that one and *is_new false. */
MUST_USE struct err acme_db_account_insert(struct db *db, struct account_row *row, bool *is_new);
/* keyChange (RFC 8555 §7.3.5): the account goes on under another key, the digests of its pending
 * challenges with it. ERR_CONFLICT: that key has an account, *holder (OBJECT_ID_LEN + 1) says
 * which; ERR_BAD_STATE: the account is not valid or has another key than `from` by now. */
MUST_USE struct err acme_db_account_rekey(struct db *db, struct delegate *delegate,
                                          const struct account_row *to, const char *from,
                                          char *holder);
MUST_USE struct err acme_db_account_contact(struct db *db, const char *id, const char *contact);
/* ERR_BAD_STATE when it is not valid. Its unfinished orders become invalid with error_json, its
 * authorizations deactivated. */
MUST_USE struct err acme_db_account_deactivate(struct db *db, struct delegate *delegate,
                                               const char *id, const char *error_json);

struct order_new_name {
    struct ident ident;
    char reuse_id[OBJECT_ID_LEN + 1]; /* "" = a new authorization */
    char authz_id[OBJECT_ID_LEN + 1]; /* of the new one: */
    uint8_t seed[ACME_SEED_LEN];
    bool is_preauthorized; /* valid at once, for this client: */
    char client[CLIENT_NAME_MAX + 1];
};
/* Insert the order and what its names need; an authorization that can no longer be reused is
 * replaced by the new one. order: id, account, dates and profile are given; status, expiry and
 * names[i].authz_id are set (names has names_n entries). New digests are expected by delegate on
 * commit. ERR_BAD_STATE: the account is not valid any more; ERR_CONFLICT: what it replaces is
 * replaced already. */
MUST_USE struct err acme_db_order_insert(struct db *db, struct delegate *delegate,
                                         const struct order_new_name *names,
                                         struct order_row *order);

/* newAuthz (RFC 8555 §7.4.1). ERR_BAD_STATE as above. */
MUST_USE struct err acme_db_authz_insert(struct db *db, struct delegate *delegate,
                                         const char *account_id, const struct order_new_name *name);

/* The client answered the challenge and it could not be decided at once: pending -> processing.
 * ERR_BAD_STATE. */
MUST_USE struct err acme_db_challenge_start(struct db *db, const char *authz_id,
                                            enum challenge_type type);

struct authz_decision {
    char authz_id[OBJECT_ID_LEN + 1];
    enum challenge_type type;
    struct ident ident;
    char digest[TXT_VALUE_LEN + 1]; /* of its dns-01 challenge, or "" */
    bool is_valid;
    bool is_published;
    struct zone_publisher by;
    bool is_preauthorized;  /* what proved it is there because its account's client is */
    const char *error_json; /* "" when valid */
    int64_t reuse_s;        /* a valid authorization lives at least this long, */
    int64_t until_unix;     /* and not past this (dns-persist-01's persistUntil); 0 = no such end */
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
/* The next client in order, "" after the last, that published for an authorization still stored, or
 * that an account is bound to. */
MUST_USE struct err acme_db_client_next(struct db *db, const char *after,
                                        char client[CLIENT_NAME_MAX + 1]);
/* The same for every valid authorization that this client published. */
MUST_USE struct err acme_db_client_withdraw(struct db *db, const char *client,
                                            const char *error_json);

/* Calls fn for every valid account that is bound to the client; fn may write. */
MUST_USE struct err acme_db_client_accounts(struct db *db, const char *client,
                                            struct err (*fn)(void *ctx, struct db *db,
                                                             const char *account_id),
                                            void *ctx);

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
