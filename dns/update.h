/* Dynamic updates (RFC 2136): prerequisites and changes of one message, all or nothing, one commit,
 * then the answer.
 *
 * Only signed updates (TSIG) are taken, from the client's networks. The zone section is a served zone
 * or the delegate zone; a name that lies in another one of ours, or in none, is NOTZONE (names of the
 * delegate zone are taken under a zone above it as well).
 * At a name with an automatic CNAME ([_label.]_acme-challenge.x) there seems to be the target's TXT
 * RRset and no CNAME, in prerequisites and changes: a TXT lands at the delegate name through the same
 * policy, table, caps and audit as every door (delegate.h); the client must be allowed to publish for x,
 * whatever the target is called. The names of the delegate zone are the same RRsets. There, other types
 * and TXT that are not one string of 43 base64url characters are REFUSED, and a deletion of the whole
 * RRset takes what the same client added.
 * Ordinary records need the client's `records: true` and its names: of the owner, leading labels that
 * begin with "_" are left out (_443._tcp.x is x's), and `*.x` needs the wildcard. NS, DS and DNAME, which
 * decide about all names below, need both x and `*.x`. REFUSED for every client: the SOA and NS of an
 * apex, the name server's own name with its services and what would hide it, DNSSEC's signatures and
 * denials, `_validation-persist` names, challenge names below a delegation. What conflicts (RFC 2136 §3.4.2) is passed over, by
 * records_edit().
 * A repeat of a signed message (the same MAC, while its signature is good) is answered as the first
 * one was and not applied again; while that one is under way it is not answered at all: who listens in
 * cannot bring back what was removed since, and a client that heard no answer hears one. The last
 * 65,536 messages are remembered (about: sets of four), not beyond a restart; all clients share the
 * table. SERVFAIL is not remembered.
 * Thread: any (it blocks: work threads). */
#ifndef DNS_UPDATE_H
#define DNS_UPDATE_H

#include <stddef.h>
#include <stdint.h>

#include "core/access/access.h"
#include "core/store/store.h"
#include "dns/delegate.h"
#include "dns/tsig.h"
#include "dns/zone_records.h"

#define UPDATE_CHANGES_MAX 1024u
#define UPDATE_PREREQUISITES_MAX 256u
#define UPDATE_REFUSED_PER_S 5u /* audit rows for refusals of ordinary records; others are logged */
#define UPDATE_LOGS_PER_S 20u   /* log lines for refusals */

struct update_options {
    const struct config *cfg;
    struct store *store;
    struct access *access;
    struct delegate *delegate;
    struct records *records;
    struct zone_db *zones;
};
struct update;
/* Borrows what is in options; free it before zones. */
MUST_USE struct err update_new(const struct update_options *options, struct update **out);
/* No update_handle() may be under way. NULL is fine. */
void update_free(struct update *update);
/* packet: without its TSIG (tsig_check() was TSIG_OK, or TSIG_NONE: REFUSED). Writes the answer (header,
 * zone section, no TSIG) into out (at least 512 octets); returns its length, 0 when there is no whole
 * header, or nothing to be said (above). The RCODEs of RFC 2136 §3: FORMERR, NOTZONE, NOTAUTH,
 * NXDOMAIN, YXDOMAIN, NXRRSET, YXRRSET, REFUSED (also: more than the limits above), SERVFAIL. NOERROR:
 * durable, and visible to queries. Each refusal is a log line with a sentence and, where policy said no,
 * an audit row. */
size_t update_handle(struct update *update, const uint8_t *packet, size_t len,
                     const struct tsig *tsig, const struct ip_addr *peer, uint8_t *out);

#endif
