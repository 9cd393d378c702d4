/* The certificate of a tls-alpn-01 answer. Pure; any thread. RFC 8737 §3, RFC 8738 §6.
 *
 * Asked for: one subjectAltName extension with one entry, the identifier; one acmeIdentifier
 * extension, critical, with the digest; issued and signed by itself. Validity times, key usage and
 * names elsewhere mean nothing here. */
#ifndef ACME_SERVER_TLSALPN_CERT_H
#define ACME_SERVER_TLSALPN_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/problem.h"
#include "core/util/name.h"
#include "core/util/token.h"

#define TLSALPN_CERT_MAX 16384u /* bytes of DER */
#define TLSALPN_WHY_MAX 200u

/* digest: SHA-256 of the key authorization. False: *type (unauthorized when it is no answer to a
 * challenge at all, incorrectResponse when it is a wrong one) and a phrase in why. */
bool tlsalpn_cert_ok(const uint8_t *der, size_t len, const struct ident *ident,
                     const uint8_t digest[SHA256_LEN], enum problem_type *type,
                     char why[TLSALPN_WHY_MAX]);

#endif
