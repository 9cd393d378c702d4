/* dns-persist-01's records: TXT at _validation-persist.<name> that names us, an account and what
 * it may have there (draft-ietf-acme-dns-persist-02).
 *
 * The account stands as the hashed URI of that draft, or as the account's URL (draft -01 and
 * earlier, which most clients follow). Pure, but for a digest. Not checked: whether the account
 * exists and is valid. Keys that the account had before are not known here: a hashed URI made with
 * one does not match. Thread: any. */
#ifndef ACME_SERVER_PERSIST_H
#define ACME_SERVER_PERSIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/base_url.h"
#include "acme-server/validate.h"
#include "core/util/err.h"
#include "core/util/name.h"
#include "dns/lookup.h"

/* accountHashPrefix of the directory: "https://<authority>" and this */
#define PERSIST_HASH_PATH "/acme/account-hash/"
#define PERSIST_HASH_ALG "sha-256"

/* In order of how near a record came. */
enum persist_verdict {
    PERSIST_OTHER_ISSUER = 1,
    PERSIST_MALFORMED,
    PERSIST_OTHER_ACCOUNT,
    PERSIST_ENDED, /* persistUntil is over */
    PERSIST_NO_WILDCARD,
    PERSIST_VALID
};
struct persist_question {
    const struct base_urls *urls;
    const struct ident *ident;
    const char *account_id;
    const char *account_url; /* as the client knows it */
    const char *thumbprint;  /* SHA256_B64_LEN */
    int64_t now_unix;
};
/* One record, its character-strings joined. *until_unix: 0 without persistUntil. */
enum persist_verdict persist_record(const struct persist_question *question,
                                    const struct lookup_rdata *record, int64_t *until_unix);
/* All of them: the best one counts, of valid ones the one that lasts longest. n 0 is
 * PERSIST_OTHER_ISSUER. detail gets a sentence unless it is PERSIST_VALID. */
enum persist_verdict persist_rrset(const struct persist_question *question,
                                   const struct lookup_rdata *records, size_t n,
                                   int64_t *until_unix, char detail[VALIDATE_DETAIL_MAX]);
/* base64url(SHA-256(length of domain, domain, thumbprint, account URL)), draft §4.1; domain: the
 * name, or "*". ERR_LIMIT for one of more than 255 octets. */
MUST_USE struct err persist_hash(const char *domain, const char *thumbprint,
                                 const char *account_url, char out[SHA256_B64_LEN + 1]);

#endif
