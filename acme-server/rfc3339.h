/* RFC 3339 times as ACME objects carry them. Pure. */
#ifndef ACME_SERVER_RFC3339_H
#define ACME_SERVER_RFC3339_H

#include <stdint.h>

#include "core/util/err.h"

/* "2026-01-02T03:04:05Z", also with a fraction (dropped) and a numeric offset; years 1970 to 9999,
 * no leap second. ERR_MALFORMED. */
MUST_USE struct err rfc3339_parse(const char *text, int64_t *out_unix);

#endif
