/* The challenge types: names, which identifiers they prove, their tokens and digests.
 *
 * An authorization stores one random seed; the token of each type is derived from it, so that all
 * challenges cost one row. Pure. RFC 8555 §8, RFC 8737, RFC 8738, draft-ietf-acme-dns-account-label,
 * draft-ietf-acme-dns-persist. */
#ifndef ACME_SERVER_CHALLENGE_H
#define ACME_SERVER_CHALLENGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"
#include "core/util/name.h"
#include "core/util/token.h"
#include "dns/zone.h"

#define ACME_TOKEN_LEN 43u /* base64url of 32 bytes */
#define ACME_SEED_LEN 32u
#define CHALLENGE_DIGEST_LEN 43u

/* The numbers are stored: never changed, new ones are appended. */
enum challenge_type {
    CHALLENGE_DNS01 = 0,
    CHALLENGE_HTTP01 = 1,
    CHALLENGE_TLSALPN01 = 2,
    CHALLENGE_DNSACCOUNT01 = 3,
    CHALLENGE_DNSPERSIST01 = 4,
    CHALLENGE_TYPES_N
};

/* "dns-01", ...; static. */
const char *challenge_name(enum challenge_type type);
/* ERR_NOT_FOUND. */
MUST_USE struct err challenge_find(const char *name, enum challenge_type *out);
/* Wildcards: the dns-* types; IP addresses: http-01 and tls-alpn-01 (RFC 8738 §7). Not where the name
 * to look at would be longer than a name can be: dns-account-01, dns-persist-01. */
bool challenge_fits(enum challenge_type type, const struct ident *ident);
bool challenge_has_token(enum challenge_type type); /* all but dns-persist-01 */
/* base64url of HMAC-SHA256 under the seed. */
MUST_USE struct err challenge_token(const uint8_t seed[ACME_SEED_LEN], enum challenge_type type,
                                    char out[ACME_TOKEN_LEN + 1]);
/* base64url(SHA-256(token "." thumbprint)), RFC 8555 §8.1, §8.4. thumbprint: SHA256_B64_LEN. */
MUST_USE struct err challenge_digest(const char *token, const char *thumbprint,
                                     char out[CHALLENGE_DIGEST_LEN + 1]);
/* "_" and the lower-case base32 of the first 10 octets of SHA-256 of the account URL: the label
 * before "_acme-challenge" (draft-ietf-acme-dns-account-label). */
MUST_USE struct err challenge_account_label(const char *account_url,
                                            char out[ZONE_ACCOUNT_LABEL_LEN + 1]);

#endif
