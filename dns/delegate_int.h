/* Inside dns/delegate*.c only: expectations in memory, what one value's way in goes through, and SQL.
 * What a transaction changes is collected in a struct zone_change (zone_records.h), which carries it
 * into the snapshot once it is durable. */
#ifndef DNS_DELEGATE_INT_H
#define DNS_DELEGATE_INT_H

#include <pthread.h>

#include "core/util/quota.h"
#include "dns/delegate.h"
#include "dns/zone_records.h"

#define DELEGATE_EXPECT_MAX 100000u
#define DELEGATE_KEY_LEN 32u
#define DELEGATE_AUDIT_KEEP 10000u   /* newest rows kept per event of this module */
#define DELEGATE_REFUSED_PER_S 5u    /* audit rows for refusals; further ones are only logged */
#define DELEGATE_MAINTAIN_BATCH 2000 /* rows per transaction */
#define DELEGATE_ALLOWFROM_TEXT_MAX (DELEGATE_ALLOWFROM_MAX * 64u)
#define DELEGATE_DETAIL_MAX 400u
#define DELEGATE_HASHED_LEN 54u /* "h-" and the base32 of a SHA-256 digest */
#define DELEGATE_OBJECT_MAX (ZONE_ACCOUNT_LABEL_LEN + 1 + sizeof(ACME_LABEL) + NAME_TEXT_MAX)

struct expectations;
/* A pending challenge. */
struct expectation {
    struct ident id;
    char label[ZONE_ACCOUNT_LABEL_LEN + 1]; /* dns-account-01's, else "" */
};

struct delegate {
    const struct config *cfg;
    struct store *store;
    struct access *access;
    struct zone_db *zones;
    struct records *records;
    uint8_t key[DELEGATE_KEY_LEN];
    struct expectations *expected;
    pthread_mutex_t reader_lock; /* leaf: reader */
    struct zone_reader *reader;
    pthread_mutex_t on_value_lock; /* before the validator's lock: the two below, and their call */
    void (*on_value)(void *ctx, const char digest[TXT_VALUE_LEN + 1]);
    void *on_value_ctx;
    struct quota refused_rows;
};

/* Fill the refusal and return ERR_REJECTED. */
struct err delegate_refuse(struct delegate_refusal *refusal, enum delegate_reason reason,
                           const char *fmt, ...) PRINTF_LIKE(3, 4);
/* A change set that wakes whoever waits for a value (delegate_on_value()). */
MUST_USE struct err delegate_change_new(struct delegate *d, struct zone_change **out);
/* The same for one that somebody else made. */
void delegate_change_watch(struct delegate *d, struct zone_change *change);
/* snprintf() for sentences: what does not fit is cut. */
void delegate_say(char *out, size_t cap, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* --- delegate_key.c --- */
MUST_USE struct err delegate_key_load(const char *state_dir, uint8_t key[DELEGATE_KEY_LEN]);

/* --- delegate_expect.c: thread: any, leaf lock --- */
MUST_USE struct err expectations_new(struct expectations **out);
void expectations_free(struct expectations *x);
/* Is digest expected now? out: optional. */
bool expectations_find(struct expectations *x, const char *digest, struct expectation *out);
/* The base name whose delegate label, with an account's before it or not, is the hashed `label`,
 * when it is expected now. */
bool expectations_hashed(struct expectations *x, const char *label, char base[NAME_TEXT_MAX + 1]);
size_t expectations_sweep(struct expectations *x);

/* --- delegate_store.c: values --- */
MUST_USE struct err values_load(struct db *db, int64_t now,
                                struct err (*fn)(void *ctx, const char *owner, const char *base,
                                                 const struct zone_value *value),
                                void *ctx);
MUST_USE struct err value_put(struct db *db, const char *owner, const char *base,
                              const struct zone_value *value, int64_t now);
MUST_USE struct err value_exists(struct db *db, const char *owner, const struct zone_value *value,
                                 bool *is_there);
MUST_USE struct err values_count(struct db *db, const char *owner, size_t *n);
/* Values for one host name that live now, whatever labels are before it. */
MUST_USE struct err values_count_base(struct db *db, const char *base, int64_t now, size_t *n);
/* The following delete rows and note them in the set. */
MUST_USE struct err values_drop_expired_at(struct db *db, const char *owner, int64_t now,
                                           struct zone_change *change);
MUST_USE struct err values_drop_expired(struct db *db, int64_t now, struct zone_change *change);
/* owner NULL: at every name. txt NULL: all (then owner is given). client "": anonymous. */
MUST_USE struct err values_drop(struct db *db, const char *owner, const char *txt,
                                const char *client, struct zone_change *change);
/* The different values that live now at owner; fn returns false to stop. */
MUST_USE struct err values_each(struct db *db, const char *owner, int64_t now,
                                bool (*fn)(void *arg, const char *txt), void *arg);
MUST_USE struct err values_drop_client(struct db *db, const char *client,
                                       struct zone_change *change);
MUST_USE struct err values_shorten(struct db *db, const char *txt, int64_t expires);
/* Long names: label "h-..." and what it stands for. */
MUST_USE struct err hashed_put(struct db *db, const char *label, const char *name);
MUST_USE struct err hashed_get(struct db *db, const char *label, char name[NAME_TEXT_MAX + 1]);

/* --- delegate_reg_store.c: registrations and bindings --- */
struct registration {
    char username[UUID_TEXT_LEN + 1];
    char label[UUID_TEXT_LEN + 1];
    uint8_t password_hash[SHA256_LEN];
    char client[CLIENT_NAME_MAX + 1]; /* "": open mode */
    char network[IP_TEXT_MAX + 5];    /* open mode: the /24 or /48 it was made from */
    char allowfrom[DELEGATE_ALLOWFROM_TEXT_MAX + 1];
};
MUST_USE struct err registration_insert(struct db *db, const struct registration *reg, int64_t now);
enum registration_key { BY_USERNAME, BY_LABEL };
/* ERR_NOT_FOUND. */
MUST_USE struct err registration_get(struct db *db, enum registration_key by, const char *text,
                                     struct registration *out);
/* Rows of this client, or (client "") of this network. */
MUST_USE struct err registrations_count(struct db *db, const char *client, const char *network,
                                        size_t *n);
MUST_USE struct err registration_touch(struct db *db, const char *label, int64_t now);
MUST_USE struct err registrations_drop_unused(struct db *db, int64_t before, size_t *n);
MUST_USE struct err registrations_drop_client(struct db *db, const char *client);

MUST_USE struct err binding_put(struct db *db, const char *name, const char *label,
                                const char *client, int64_t now, bool *is_new);
/* The client, other than `client`, to which name is bound: "" when none. */
MUST_USE struct err binding_rival(struct db *db, const char *name, const char *client,
                                  char rival[CLIENT_NAME_MAX + 1]);
MUST_USE struct err bindings_each_name(struct db *db, const char *label,
                                       struct err (*fn)(void *ctx, struct db *db, const char *name),
                                       void *ctx);
MUST_USE struct err binding_drop(struct db *db, const char *name, const char *label);
MUST_USE struct err bindings_drop(struct db *db, const char *name, size_t *n);
MUST_USE struct err bindings_list(struct db *db, const char *client, struct delegate_binding **out,
                                  size_t *out_n);
/* Registrations of clients that published txt for this host name; calls fn for each. */
MUST_USE struct err value_registrations(struct db *db, const char *base, const char *txt,
                                        struct err (*fn)(void *ctx, struct db *db,
                                                         const char *label, const char *client),
                                        void *ctx);

/* --- delegate_persist.c: dns-persist-01's texts --- */
/* Into the snapshot, at start. */
MUST_USE struct err persist_load(struct db *db, struct zone_edit *edit);
/* Remove expired ones of at most DELEGATE_PERSIST_BATCH names; *n: rows. */
#define DELEGATE_PERSIST_BATCH 100u
MUST_USE struct err persist_drop_expired(struct db *db, struct delegate *d, size_t *n);

/* --- delegate_target.c --- */
enum target_kind { TARGET_DIGEST, TARGET_NAME, TARGET_LABEL };
struct delegate_target {
    enum target_kind kind;
    bool is_challenge;                      /* named by `_acme-challenge.<base>` itself */
    char label[ZONE_ACCOUNT_LABEL_LEN + 1]; /* TARGET_NAME: an account's, or "" */
    char base[NAME_TEXT_MAX + 1];           /* TARGET_NAME */
    char owner[NAME_TEXT_MAX + 1];          /* all but TARGET_DIGEST */
    struct registration reg;                /* TARGET_LABEL */
};
/* Lower-case UUID text? */
bool delegate_is_uuid(const char *text, size_t len);
/* Fold and check a base name; the delegate zone's own names are refused. */
MUST_USE struct err delegate_parse_base(const struct delegate *d, const char *text, size_t len,
                                        char base[NAME_TEXT_MAX + 1],
                                        struct delegate_refusal *refusal);
/* The same from a person's or a storage client's text: "*." and a trailing dot are stripped. */
MUST_USE struct err delegate_parse_domain(const struct delegate *d, const char *domain,
                                          char base[NAME_TEXT_MAX + 1],
                                          struct delegate_refusal *refusal);
/* Where the values of `base` live, below an account's label or (label "") not; as the automatic
 * CNAMEs say it. ERR_LIMIT: no room for an account's label in a delegate zone with that long a
 * name. */
MUST_USE struct err delegate_owner(const struct delegate *d, const char *label, const char *base,
                                   char owner[NAME_TEXT_MAX + 1]);
/* "h-..." of a name. */
void delegate_hash(const char *base, char out[DELEGATE_HASHED_LEN + 1]);
/* target->label is set already. */
MUST_USE struct err delegate_name_target(const struct delegate *d, const char *text, size_t len,
                                         struct delegate_target *target,
                                         struct delegate_refusal *refusal);
/* fqdn in any of the forms of delegate_publish(). */
MUST_USE struct err delegate_find_target(struct delegate *d, const char *fqdn,
                                         struct delegate_target *target,
                                         struct delegate_refusal *refusal);

/* --- one value's way in ----------------------------------------------------------------------- */
struct delegate_job {
    struct delegate *d;
    const struct delegate_who *who;
    char object[DELEGATE_OBJECT_MAX + 1]; /* for the audit row */
    const char *value; /* NULL (with is_cleanup): all that this client has at the owner */
    bool is_cleanup;
    struct delegate_target target;
    bool is_expected;
    struct expectation expected; /* whose challenge the value answers */
    struct zone_publisher by;
    struct delegate_refusal *refusal;
    struct zone_change *changes; /* during the transaction */
    enum err_code visible;       /* what the on-commit hook met */
};

/* --- delegate_policy.c: before the transaction --- */
void delegate_job_init(struct delegate_job *job, struct delegate *d, const struct delegate_who *who,
                       struct delegate_refusal *refusal);
/* Value, publisher, target and policy. */
MUST_USE struct err delegate_job_prepare(struct delegate_job *job, const char *fqdn);
/* May the job's publisher put its value, or any (value NULL), at its target? */
MUST_USE struct err delegate_job_may(struct delegate_job *job);
void delegate_job_object(struct delegate_job *job);
struct err delegate_refuse_ident(struct delegate_job *job);
struct err delegate_refuse_not_pending(struct delegate_job *job, const char *name);
/* Client exists and peer is in its networks; or peer may publish anonymously. */
MUST_USE struct err delegate_check_who(struct delegate *d, const struct delegate_who *who,
                                       struct delegate_refusal *refusal);
MUST_USE struct err delegate_check_txt(const char *value, struct delegate_refusal *refusal);

/* --- delegate_put.c: inside the transaction --- */
/* Rows, and what they change, into job->changes; the audit row when there is something. */
MUST_USE struct err delegate_job_apply(struct delegate_job *job, struct db *db);

/* --- delegate_refuse.c --- */
const char *delegate_actor(const struct delegate_who *who);
const char *delegate_door_text(enum delegate_door door);
/* After a refusal: one audit row (rate bounded) and one log line. Returns e. */
struct err delegate_audit_refused(struct delegate *d, const struct delegate_who *who,
                                  const char *object, const struct delegate_refusal *refusal,
                                  struct err e);

/* --- delegate_publish.c --- */
/* Publish through a registration whose holder was authenticated: at its label, and late-bound or
 * bound names. */
MUST_USE struct err delegate_publish_registration(struct delegate *d,
                                                  const struct registration *reg,
                                                  const struct delegate_who *who, const char *value,
                                                  struct delegate_refusal *refusal);

#endif
