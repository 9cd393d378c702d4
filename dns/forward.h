/* Forwarding: names that are not ours, for allow-listed networks, to the configured upstreams.
 *
 * dns.forward.networks says who may ask (nobody by default), upstreams and routes (longest suffix wins)
 * whom we ask; resolving, caching (bounded, TTLs and negative TTLs honoured), fail-over and the checks of
 * RFC 5452 are libunbound's in forwarding mode. A CNAME that leads back into our zones is continued from
 * our snapshot, and one of ours that leads out is continued here. Upstreams that are our own listeners
 * are left out; a question that comes back to us is detected and answered SERVFAIL. Not checked: DNSSEC
 * (AD is never set). Thread: said at each. */
#ifndef DNS_FORWARD_H
#define DNS_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "dns/request.h"
#include "dns/zone.h"

#define FORWARD_PENDING_MAX 2000u /* questions under way; more: SERVFAIL */
#define FORWARD_PENDING_PER_PEER_MAX 200u
#define FORWARD_TIMEOUT_MS 8000 /* then SERVFAIL, RFC 8767 is not done */
#define FORWARD_CACHE_BYTES (8u * 1024u * 1024u)

struct forward_options {
    const struct config *cfg;
    struct zone_db *zones;
    const struct ip_endpoint *own; /* our DNS listeners, filled before forward_start() */
    size_t own_n;
};
struct forward;
/* *out is NULL when dns.forward has no networks or neither upstreams nor routes. Borrows the options'
 * pointers. */
MUST_USE struct err forward_new(const struct forward_options *options, struct forward **out);
MUST_USE struct err forward_start(struct forward *forward);
void forward_free(struct forward *forward);
/* May this peer ask through us? NULL forward: no. Any thread, no lock. */
bool forward_is_allowed(const struct forward *forward, const struct ip_addr *peer);
/* Answer the request later; takes it. Any thread. */
void forward_ask(struct forward *forward, struct dns_request *request);
/* For `dns trace`: which servers are asked about this name, in words ("route corp.example: 10.0.0.1:53"),
 * then what the answer was; blocks up to FORWARD_TIMEOUT_MS. Any thread. */
MUST_USE struct err forward_explain(struct forward *forward, const char *name, uint16_t type,
                                    struct buf *out);
struct forward_counters {
    uint64_t asked, answered, failed, refused, timeouts;
};
void forward_count(struct forward *forward, struct forward_counters *out);

#endif
