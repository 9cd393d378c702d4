/* The HTML of / and /trust: texts in, text out. */
#ifndef WEB_TRUST_PAGE_H
#define WEB_TRUST_PAGE_H

#include "core/util/buf.h"

#define TRUST_PAGE_MAX (64u * 1024u)
#define TRUST_FINGERPRINT_LEN 95u /* "AB:CD:..." of 32 bytes */

/* root_url: where root.pem is fetched without trust ("http://host/root.pem", or https with its
 * checks off). fingerprint_hex: 64 lower-case hex digits. Every value is escaped. */
void trust_page_put(struct buf *out, const char *public_url, const char *root_url,
                    const char *fingerprint_hex);
void start_page_put(struct buf *out, const char *public_url);
/* Upper case with colons, as openssl and browsers show it. */
void trust_fingerprint(const char *fingerprint_hex, char out[TRUST_FINGERPRINT_LEN + 1]);

#endif
