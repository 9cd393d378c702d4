/* Forwarding: names that are not ours, for allow-listed networks, to the configured upstreams.
 *
 * dns.forward.networks says who may ask (nobody by default), upstreams and routes (longest suffix wins)
 * whom we ask. Resolving, caching (bounded, TTLs and negative TTLs honoured), fail-over and the checks of
 * RFC 5452 are libunbound's: with a configuration of forward zones it does just that, on one thread of its
 * own, opens no files and starts no process, and coalesces equal questions. What it does not do is done
 * here: limits, time, EDNS and size of the client's answer, extended errors (RFC 8914), and our own names:
 * what others say of them is never believed, a CNAME that leads into our zones is continued from our
 * snapshot, and one of ours that leads out is continued here.
 * Loops: upstreams that are our own listeners are left out, with a line in the log. A question that comes
 * from an upstream's address while the same one is under way for somebody else is answered SERVFAIL; one
 * that comes back from another address joins the one under way, so that it ends when that one's time
 * does. Not checked: DNSSEC (AD is never set; who sets DO gets the upstream's signatures, as they are).
 * `localhost`, `invalid` and `onion` are not forwarded unless there is a route (RFC 6761, RFC 7686).
 * Thread: said at each. */
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
/* Reads options.own; what is asked before is answered SERVFAIL. libunbound's thread starts with the first
 * question. */
MUST_USE struct err forward_start(struct forward *forward);
/* Requests under way end without an answer. Nobody may ask any more; before what requests belong to is
 * freed. NULL is fine. */
void forward_free(struct forward *forward);
/* May this peer ask through us? NULL forward: no. Any thread, no lock. */
bool forward_is_allowed(const struct forward *forward, const struct ip_addr *peer);
/* Answer the request later; takes it. Any thread. */
void forward_ask(struct forward *forward, struct dns_request *request);
/* For `dns trace`: which servers are asked about this name, in words ("route corp.example: 10.0.0.1:53"),
 * then what the answer was; blocks up to FORWARD_TIMEOUT_MS. Any thread. */
MUST_USE struct err forward_explain(struct forward *forward, const char *name, uint16_t type,
                                    struct buf *out);
/* asked: the sum of the others, and what is under way. */
struct forward_counters {
    uint64_t asked, answered, failed, refused, timeouts;
};
void forward_count(struct forward *forward, struct forward_counters *out);

#endif
