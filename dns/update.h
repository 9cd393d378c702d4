/* Dynamic updates (RFC 2136): prerequisites and changes of one message, all or nothing, one commit,
 * then the answer.
 *
 * Only signed updates (TSIG) are taken; the client's names decide (names_of_update below); its networks
 * count. At a name with an automatic CNAME ([_label.]_acme-challenge.x) there seems to be the target's
 * TXT RRset and no CNAME, in prerequisites and changes: a TXT lands at the delegate name through the
 * same policy, table, caps and audit as every door (delegate.h). There, other types and TXT that are not
 * 43 base64url characters are REFUSED. The zone section may name the zone or, for its own names, the
 * delegate zone. Ordinary records need the client's `records: true`.
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

struct update_options {
    const struct config *cfg;
    struct store *store;
    struct access *access;
    struct delegate *delegate;
    struct records *records;
    struct zone_db *zones;
};
struct update;
MUST_USE struct err update_new(const struct update_options *options, struct update **out);
void update_free(struct update *update);
/* packet: without its TSIG (tsig_check() was TSIG_OK, or TSIG_NONE: REFUSED). Writes the answer (header,
 * zone section, no TSIG) into out (at least 512 octets); returns its length. The RCODEs of RFC 2136 §3:
 * FORMERR, NOTZONE, NOTAUTH, NXDOMAIN, YXDOMAIN, NXRRSET, YXRRSET, REFUSED, SERVFAIL. Each refusal is a
 * log line with a sentence and, where policy said no, an audit row. */
size_t update_handle(struct update *update, const uint8_t *packet, size_t len,
                     const struct tsig *tsig, const struct ip_addr *peer, uint8_t *out);

#endif
