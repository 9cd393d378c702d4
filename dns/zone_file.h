/* RFC 1035 master files: text in, records out.
 *
 * $ORIGIN and $TTL work, $INCLUDE and other directives are refused, so are classes other than IN,
 * names outside the zone, DNSSEC's signatures, and lines longer than ZONE_FILE_LINE_MAX. Every fault is
 * one line "LABEL:LINE: what is wrong; what was expected" (at most ZONE_FILE_FAULTS_MAX of them).
 * Thread: any; pure. */
#ifndef DNS_ZONE_FILE_H
#define DNS_ZONE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"
#include "core/util/err.h"
#include "dns/rr.h"

#define ZONE_FILE_MAX (512u * 1024u * 1024u)
#define ZONE_FILE_LINE_MAX 65536u
#define ZONE_FILE_FAULTS_MAX 20u

/* fn's failure ends the reading and is returned. rr: borrowed by fn. ERR_MALFORMED when there were
 * faults (problems filled; fn may have been called for the good ones). */
MUST_USE struct err zone_file_parse(const char *label, const char *text, size_t len,
                                    const char *origin, uint32_t default_ttl,
                                    struct err (*fn)(void *arg, unsigned line,
                                                     const struct dns_rr *rr),
                                    void *arg, struct buf *problems);

#endif
