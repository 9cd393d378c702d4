/* Text form of RFC 9773 §4.1's certificate identifier. Private to the ca library. Pure. */
#ifndef CA_RENEWAL_H
#define CA_RENEWAL_H

#include "ca/ca.h"

/* The serial (lower-case hex) that a renewal identifier names; text needs no more than its own
 * terminator. ERR_MALFORMED. Whether the key identifier is the right one is for the caller to see,
 * by comparing the whole text with ca_renewal_id() of what it finds. */
MUST_USE struct err renewal_id_serial(const char *text, char serial[CA_SERIAL_HEX_MAX + 1]);

#endif
