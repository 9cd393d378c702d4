/* External account binding (RFC 8555 §7.3.4) and the inner JWS of keyChange (§7.3.5): what stands
 * inside another JWS.
 *
 * Both are parsed with the strictness of jws.h: exact members, no "crit", no unprotected header, no
 * duplicate keys, base64url without padding, bounded sizes. Pure but for access's key look-up and
 * failure count. Thread: any. */
#ifndef ACME_SERVER_EAB_H
#define ACME_SERVER_EAB_H

#include <jansson.h>

#include "acme-server/jwk.h"
#include "acme-server/problem.h"
#include "core/access/access.h"
#include "core/util/err.h"

#define EAB_JSON_MAX 8192u

/* Check "externalAccountBinding" (an object, already parsed) against the key that signs newAccount:
 * alg HS256, HS384 or HS512; kid a client's name; url equal to the outer one; no nonce; payload the
 * outer JWK, member for member (those of RFC 7638 §3.2; others than private ones say nothing, RFC
 * 7517 §4); MAC under the client's key. client_out: the stored spelling.
 * ERR_REJECTED: malformed (form, or another key), badSignatureAlgorithm (alg), badPublicKey (a
 * payload that is no JWK we know), unauthorized (unknown client or wrong MAC: one sentence for
 * both, the same time). ERR_LIMIT: too many failures from this address. Wrong MACs count with
 * access_count_failure(). Policy (networks) is not checked here.
 * Replay and double use: the MAC covers the account's key and the URL, and the outer JWS its own
 * nonce, so that a binding that somebody copied is of use to the owner of that key only. A client
 * may bind any number of accounts. */
MUST_USE struct err eab_verify(struct access *access, const json_t *eab, const char *outer_url,
                               const struct jwk *outer_key, const struct ip_addr *peer,
                               char client_out[CLIENT_NAME_MAX + 1], struct problem *prob);

/* keyChange's payload: an inner JWS with jwk (the new key), the outer url, no nonce, and the
 * payload {"account": URL, "oldKey": JWK}. The signature of the inner one is verified. *new_key
 * owned by the caller. ERR_REJECTED: malformed unless the RFC names another type
 * (badSignatureAlgorithm, badPublicKey); status 409 when the new key is the old one, where the
 * caller adds the account's Location. Not checked: that the new key has no other account, that the
 * account is valid. */
struct key_change {
    const char *outer_url;
    const char *account_url;   /* the outer kid, exactly */
    const struct jwk *old_key; /* of the account */
    unsigned min_rsa_bits;
};
MUST_USE struct err key_change_verify(const void *payload, size_t payload_len,
                                      const struct key_change *expected, struct jwk **new_key,
                                      struct problem *prob);

#endif
