/* Problem documents (RFC 7807, RFC 8555 §6.7): what a client did wrong, in the protocol's own
 * terms.
 *
 * `detail` is a sentence that tells a person what to do; it never holds secrets, key material or
 * another account's data.
 * Thread: the owner's. */
#ifndef ACME_SERVER_PROBLEM_H
#define ACME_SERVER_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/http/http.h"
#include "core/util/err.h"
#include "core/util/name.h"

enum problem_type {
    PROBLEM_NONE = 0,
    PROBLEM_ACCOUNT_DOES_NOT_EXIST,
    PROBLEM_ALREADY_REVOKED,
    PROBLEM_BAD_CSR,
    PROBLEM_BAD_NONCE,
    PROBLEM_BAD_PUBLIC_KEY,
    PROBLEM_BAD_REVOCATION_REASON,
    PROBLEM_BAD_SIGNATURE_ALGORITHM,
    PROBLEM_CAA,
    PROBLEM_COMPOUND,
    PROBLEM_CONNECTION,
    PROBLEM_DNS,
    PROBLEM_EXTERNAL_ACCOUNT_REQUIRED,
    PROBLEM_INCORRECT_RESPONSE,
    PROBLEM_INVALID_CONTACT,
    PROBLEM_MALFORMED,
    PROBLEM_ORDER_NOT_READY,
    PROBLEM_RATE_LIMITED,
    PROBLEM_REJECTED_IDENTIFIER,
    PROBLEM_SERVER_INTERNAL,
    PROBLEM_TLS,
    PROBLEM_UNAUTHORIZED,
    PROBLEM_UNSUPPORTED_CONTACT,
    PROBLEM_UNSUPPORTED_IDENTIFIER,
    PROBLEM_USER_ACTION_REQUIRED,
    PROBLEM_INVALID_PROFILE,
    PROBLEM_ALREADY_REPLACED
};

#define PROBLEM_DETAIL_MAX 600u
#define PROBLEM_INSTANCE_MAX 320u
#define PROBLEM_SUBPROBLEMS_MAX 100u

struct problem_sub {
    enum problem_type type;
    char detail[300];
    char identifier[IDENT_TEXT_MAX + 1];
    bool is_ip; /* what problem_add_sub() leaves false */
};
struct problem {
    enum problem_type type;
    int status; /* HTTP */
    char detail[PROBLEM_DETAIL_MAX];
    /* "" or a whole Link header value (userActionRequired's terms-of-service) */
    char header_link[300];
    struct problem_sub *subs; /* owned; NULL when there are none */
    size_t subs_n;
    char instance[PROBLEM_INSTANCE_MAX + 1]; /* "" or a URL (record.h) */
    bool is_binding; /* the algorithms that are offered are those of external account bindings */
    int64_t retry_after_s; /* 0 = no Retry-After */
    /* "" or a URL: keyChange's conflicting account (RFC 8555 §7.3.5) */
    char location[PROBLEM_INSTANCE_MAX + 1];
};

/* Fill prob (status 0 = the type's usual status: badNonce 400, unauthorized 403,
 * accountDoesNotExist 400, malformed 400, orderNotReady 403, rateLimited 429, userActionRequired
 * 403, badCSR 400, serverInternal 500, rejectedIdentifier 400 ...) and return ERR_REJECTED. */
struct err problem_set(struct problem *prob, enum problem_type type, int status, const char *fmt,
                       ...) PRINTF_LIKE(4, 5);
MUST_USE struct err problem_add_sub(struct problem *prob, enum problem_type type,
                                    const char *identifier, const char *detail);
void problem_clear(struct problem *prob);
/* "urn:ietf:params:acme:error:malformed" */
const char *problem_urn(enum problem_type type);
/* The document as JSON text appended to out. */
void problem_json(const struct problem *prob, struct buf *out);
/* Status, application/problem+json and body into resp. Link "index" and Replay-Nonce are the
 * caller's. */
void problem_respond(const struct problem *prob, struct http_resp *resp);
/* Builds its result in place, like FAIL(), so that analysers see that it is a failure. */
#define REJECT(prob, type, status, ...)                                                            \
    do {                                                                                           \
        const struct err reject_err_ = {ERR_REJECTED};                                             \
        (void)problem_set((prob), (type), (status), __VA_ARGS__);                                  \
        return reject_err_;                                                                        \
    } while (0)

#endif
