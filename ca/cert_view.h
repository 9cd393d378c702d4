/* A certificate's DER taken apart without OpenSSL: what look-ups, revocation and renewal need of
 * bytes that a peer sent.
 *
 * Private to the ca library. Not checked: signatures, dates, what names and algorithms mean. Pure;
 * borrowed pointers into the input. RFC 5280 §4.1. */
#ifndef CA_CERT_VIEW_H
#define CA_CERT_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "ca/ca.h"
#include "ca/der.h"

#define CERT_VIEW_DER_MAX (64u * 1024u)
#define CERT_VIEW_SERIAL_MAX (CA_SERIAL_HEX_MAX / 2u) /* octets, without a sign octet */

struct cert_view {
    const uint8_t *serial; /* contents of the INTEGER; positive */
    size_t serial_len;
    struct der_item issuer, subject, spki;
    const uint8_t *issuer_key_id; /* authority's keyIdentifier; NULL when absent */
    size_t issuer_key_id_len;
    struct der_item names; /* subjectAltName's SEQUENCE; whole NULL when absent */
};
/* ERR_MALFORMED. */
MUST_USE struct err cert_view_read(const uint8_t *der, size_t len, struct cert_view *out);
/* Lower-case hex of a serial's contents without its sign octet. ERR_MALFORMED: not the contents of
 * a positive INTEGER in the fewest octets, or longer than RFC 5280 §4.1.2.2 allows. */
MUST_USE struct err cert_serial_hex(const uint8_t *serial, size_t len,
                                    char out[CA_SERIAL_HEX_MAX + 1]);
/* The names as identifiers; *out owned by the caller, NULL when *n is 0. ERR_MALFORMED: a name of
 * another kind, or none of ours. */
MUST_USE struct err cert_view_idents(const struct cert_view *view, struct ident **out, size_t *n);

#endif
