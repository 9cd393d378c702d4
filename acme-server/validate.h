/* Validation: the pool that looks for dns-01 values in our own zones, hands everything else to the
 * network loop (validate_net.h), asks CAA, and stores the decision.
 *
 * A job is a challenge in "processing". Its row in the store is the truth; the memory here is
 * rebuilt at start. A job sleeps until delegate says that its value arrived, until its next poll
 * (dns-* at names that others serve), or until its deadline. What blocks (the store) runs on the
 * pool's threads, what waits for peers runs on the loop's. Thread: any. RFC 8555 §7.5.1, §8. */
#ifndef ACME_SERVER_VALIDATE_H
#define ACME_SERVER_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/base_url.h"
#include "acme-server/challenge.h"
#include "acme-server/limits.h"
#include "acme-server/problem.h"
#include "core/util/err.h"
#include "core/util/name.h"
#include "core/util/token.h"
#include "dns/zone.h"

#define VALIDATE_JOBS_MAX 65536u
#define VALIDATE_POLL_MS 1000     /* dns-* that one look into our own zones cannot decide */
#define VALIDATE_ATTEMPT_MS 5000  /* at most, for one such look */
#define VALIDATE_CONNECT_MS 12000 /* http-01 and tls-alpn-01, redirects included */
#define VALIDATE_CAA_MS 4000
#define VALIDATE_TRAIL_MAX 8192u
#define VALIDATE_DETAIL_MAX 600u

struct acme;

#define VALIDATE_ACCOUNT_URL_MAX (BASE_URL_MAX + sizeof("/acme/account/") + OBJECT_ID_LEN)
struct val_target {
    char authz_id[OBJECT_ID_LEN + 1];
    char account_id[OBJECT_ID_LEN + 1];
    char client[CLIENT_NAME_MAX + 1]; /* that the account is bound to, or "" */
    enum challenge_type type;
    struct ident ident;
    char token[ACME_TOKEN_LEN + 1];
    char thumbprint[SHA256_B64_LEN + 1];  /* of the account key; token "." thumbprint is the key
                                          * authorization (RFC 8555 §8.1) */
    char digest[TXT_VALUE_LEN + 1];       /* base64url of its SHA-256 */
    char dns01_digest[TXT_VALUE_LEN + 1]; /* the same of the dns-01 token, which delegate expects */
    /* as the client knows it: dns-account-01's label, dns-persist-01's accounturi */
    char account_url[VALIDATE_ACCOUNT_URL_MAX + 1];
};
struct val_result {
    bool is_valid;
    bool is_published; /* by somebody of ours: */
    struct zone_publisher by;
    bool is_preauthorized; /* by a record that our DNS has because the account's client is */
    int64_t until_unix;    /* 0, or what the proof may not outlive: dns-persist-01's persistUntil */
    enum problem_type type; /* when it is not valid: what to say if it stays so */
    char detail[VALIDATE_DETAIL_MAX];
};

/* dns-01 (val_dns01.c). Is the name's _acme-challenge made up by us, so that one look into the snapshot
 * decides? */
bool val_dns01_is_local(struct acme *acme, const struct ident *ident);
MUST_USE struct err val_dns01_local(struct acme *acme, const struct val_target *target,
                                    struct val_result *out);

/* How one challenge is to be watched. */
struct val_job {
    struct val_target target;
    bool is_limited; /* the per-account and per-target numbers count, and so do its failures */
};
/* Look once, without waiting for anybody: *is_valid when the value is there, everybody who may say
 * no was asked, and the decision is stored; words go into the timeline with it. ERR_BAD_STATE:
 * decided or ended meanwhile. Any thread but the store's writer. */
MUST_USE struct err validate_now(struct acme *acme, const struct val_target *target,
                                 const char *words, bool *is_valid);
/* Fill target from the row, for the challenge `type` of it. base: "https://authority". */
struct authz_row;
MUST_USE struct err validate_target(const struct authz_row *authz, enum challenge_type type,
                                    const char *base, struct val_target *out);

/* Tell delegate what a started dns-account-01 challenge waits for: its value then wakes the job, and
 * finds its name by digest. */
MUST_USE struct err validate_expect_account(struct acme *acme, const struct val_target *target,
                                            int64_t expires_unix);
/* The key of LIMIT_FAILED_VALIDATIONS. */
void validate_failure_key(const char *account_id, const struct ident *ident,
                          char key[LIMITS_KEY_MAX]);

struct validator;
/* Without acme->net nothing but local dns-01 can be decided (unit tests). */
MUST_USE struct err validator_new(struct acme *acme, struct validator **out);
MUST_USE struct err validator_start(struct validator *v, unsigned threads);
/* End the threads; the loop has stopped before. NULL is fine. */
void validator_stop(struct validator *v);
/* Stops first. The network's attempts are gone by then: their trails are the jobs'. */
void validator_free(struct validator *v);
/* Watch the target from now on (validator_wake() begins to ask the network). Adding one that is
 * there is ERR_OK. Its failure is stored only once the challenge's row says "processing"; one whose
 * row never does is forgotten some time after its deadline. ERR_LIMIT when VALIDATE_JOBS_MAX are
 * waiting, or a number of validate_places.h is reached (*why then says which, static). */
MUST_USE struct err validator_add(struct validator *v, const struct val_job *job, const char **why);
/* Begin to work on one that was added: until then only its deadline or its value wakes it, and its
 * patience counts from here. Again: look at once (RFC 8555 §8.2). */
void validator_wake(struct validator *v, const struct val_target *target);
/* The authorization is decided or ended: nothing more is begun for it. Any thread. */
void validator_decided(struct validator *v, const char *authz_id);
/* The account has another key or is no longer valid: what is watched for it is loaded again before
 * the next look. Any thread. */
void validator_account_changed(struct validator *v, const char *account_id);
/* For delegate_on_value(): ctx is the validator. On the writer thread. */
void validator_on_value(void *ctx, const char digest[TXT_VALUE_LEN + 1]);
/* For tests, which start no pool: run everything that is due now in this thread. Returns how many
 * ran. */
size_t validator_run_due(struct validator *v);
size_t validator_waiting(struct validator *v);

#endif
