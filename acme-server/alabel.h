/* Internationalised names in identifiers (RFC 8555 §7.1.4): is a label that begins with "xn--"
 * properly encoded?
 *
 * Checked: the rest is Punycode (RFC 3492) of at least one code point beyond ASCII, and only of code
 * points that exist. Not checked: what IDNA allows of them; for everything else a label stays opaque.
 * Pure; any thread. */
#ifndef ACME_SERVER_ALABEL_H
#define ACME_SERVER_ALABEL_H

#include <stdbool.h>

/* name: a DNS name in lower case. True when it has no such label, or all of them are good. */
bool alabels_ok(const char *name);

#endif
