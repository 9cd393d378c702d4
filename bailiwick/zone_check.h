/* A zone file tried out: read as the daemon would read it, into a store of its own that goes away.
 *
 * Thread: main only. */
#ifndef BAILIWICK_ZONE_CHECK_H
#define BAILIWICK_ZONE_CHECK_H

#include <stddef.h>

#include "core/util/buf.h"
#include "core/util/config.h"
#include "core/util/err.h"

/* Is the file at `path` a file of this zone (text name, lower case)? By the configuration's rules
 * where it serves the zone, else by those of a zone that stands alone. cfg: its zones' files are
 * changed; it is good for nothing else afterwards. problems: "FILE:LINE: ..." per fault. *n: records of the zone.
 * ERR_OK with problems: the file has faults. */
MUST_USE struct err zone_check(struct config *cfg, const char *zone, const char *path,
                               struct buf *problems, size_t *n);

#endif
