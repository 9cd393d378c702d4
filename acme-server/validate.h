/* Validation: the checks themselves, and the pool that repeats them until a value arrives or the
 * time is over.
 *
 * A job is a challenge in "processing". Its row in the store is the truth; the pool's memory is
 * rebuilt at start. A job sleeps until delegate says that its value arrived, until its next poll
 * (names that others serve), or until its deadline, and is then run by one thread. No lock and no
 * transaction is held while a peer is asked. Thread: any. RFC 8555 §7.5.1, §8.4. */
#ifndef ACME_SERVER_VALIDATE_H
#define ACME_SERVER_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/base_url.h"
#include "acme-server/challenge.h"
#include "acme-server/problem.h"
#include "core/util/err.h"
#include "core/util/name.h"
#include "core/util/token.h"
#include "dns/zone.h"

#define VALIDATE_JOBS_MAX 65536u
#define VALIDATE_POLL_MS 1000    /* names that others serve */
#define VALIDATE_ATTEMPT_MS 5000 /* at most, for one look at them */
#define VALIDATE_DETAIL_MAX 600u

struct acme;

#define VALIDATE_ACCOUNT_URL_MAX (BASE_URL_MAX + sizeof("/acme/account/") + OBJECT_ID_LEN)
struct val_target {
    char authz_id[OBJECT_ID_LEN + 1];
    char account_id[OBJECT_ID_LEN + 1];
    enum challenge_type type;
    struct ident ident;
    char token[ACME_TOKEN_LEN + 1];
    char thumbprint[SHA256_B64_LEN + 1]; /* of the account key; token "." thumbprint is the key
                                          * authorization (RFC 8555 §8.1) */
    char digest[TXT_VALUE_LEN + 1];      /* base64url of its SHA-256 */
    /* as the client knows it: dns-account-01's label, dns-persist-01's accounturi */
    char account_url[VALIDATE_ACCOUNT_URL_MAX + 1];
};
struct val_result {
    bool is_valid;
    bool is_published; /* by somebody of ours: */
    struct zone_publisher by;
    enum problem_type type; /* when it is not valid: what to say if it stays so */
    char detail[VALIDATE_DETAIL_MAX];
};

/* dns-01 (val_dns01.c). Is the name answered by us, so that one look into the snapshot decides? */
bool val_dns01_is_local(const struct acme *acme, const struct ident *ident);
MUST_USE struct err val_dns01_local(struct acme *acme, const struct val_target *target,
                                    struct val_result *out);
/* Asks resolvers; blocks up to deadline_ms. */
MUST_USE struct err val_dns01_remote(struct acme *acme, const struct val_target *target,
                                     int64_t deadline_ms, struct val_result *out);

/* Store the decision. ERR_BAD_STATE: decided or ended already; ERR_BUSY: the publisher was removed
 * meanwhile, look again. Any thread but the store's writer. */
MUST_USE struct err validate_decide(struct acme *acme, const struct val_target *target,
                                    const struct val_result *result);

struct validator;
MUST_USE struct err validator_new(struct acme *acme, struct validator **out);
MUST_USE struct err validator_start(struct validator *v, unsigned threads);
/* Stops and joins. NULL is fine. */
void validator_free(struct validator *v);
/* Watch the target for ACME_DNS01_WAIT_S from now; is_local ones sleep until their value arrives,
 * others are looked at at once. Adding one that is there is ERR_OK. ERR_LIMIT when
 * VALIDATE_JOBS_MAX are waiting. */
MUST_USE struct err validator_add(struct validator *v, const struct val_target *target,
                                  bool is_local);
/* For delegate_on_value(): ctx is the validator. On the writer thread. */
void validator_on_value(void *ctx, const char digest[TXT_VALUE_LEN + 1]);
/* For tests, which start no pool: run everything that is due now in this thread. Returns how many
 * ran. */
size_t validator_run_due(struct validator *v);
size_t validator_waiting(struct validator *v);

#endif
