/* What look-ups of CAA records found, per name: shared by the loop, which fills it, and by every
 * thread that finalizes. Bounded in names and octets; the oldest go first. The lock is a leaf.
 * Thread: any. */
#ifndef ACME_SERVER_CAA_CACHE_H
#define ACME_SERVER_CAA_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "acme-server/validate_net_int.h"

#define CAA_CACHE_FAILED_S 30 /* a look-up that failed is tried again sooner */
#define CAA_CACHE_BYTES_MAX (2u * 1024u * 1024u)

/* Remember a result under this name. Best effort. */
void caa_cache_put(struct caa_cache *cache, const char *name, const struct lookup_result *result);
/* False: not there. *out: lookup_result_clear(); FOUND, or NODATA for everything else. */
bool caa_cache_get(struct caa_cache *cache, const char *name, struct lookup_result *out);
size_t caa_cache_n(struct caa_cache *cache);

#endif
