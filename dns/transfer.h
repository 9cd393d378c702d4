/* Zone transfers out: AXFR (RFC 5936), IXFR (RFC 1995), and NOTIFY (RFC 1996) to the secondaries.
 *
 * Allowed is who comes from transfer.allow or, with transfer.key set, signs with that client's key; with
 * both set, both. Everybody else: REFUSED. IXFR over UDP is answered with the difference if it fits,
 * else with the SOA alone. A zone is read at one serial in one read view and rendered in memory, then
 * sent as the peer reads. NOTIFY goes out on the thread that committed, before the caller of the commit
 * is woken, once per server at a time; lost ones are repeated by the loop (1, 2, 4, 8, 16 s).
 * Thread: said at each. */
#ifndef DNS_TRANSFER_H
#define DNS_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/access/access.h"
#include "core/store/store.h"
#include "core/util/loop.h"
#include "dns/request.h"
#include "dns/tsig.h"
#include "dns/zone_records.h"

struct transfer_options {
    const struct config *cfg;
    struct store *store;
    struct access *access;
    struct records *records;
};
struct transfer;
/* Registers with records_on_serial(). options: copied; what it points at outlives *out. ERR_CONFIG: more
 * servers to notify than NOTIFY_TARGETS_MAX; ERR_NOMEM. */
MUST_USE struct err transfer_new(const struct transfer_options *options, struct transfer **out);
/* Makes the loop thread, if a zone has servers to notify, and notifies every one of every zone once (a
 * restart may have changed the zone). Once; not the writer thread. */
MUST_USE struct err transfer_start(struct transfer *transfer);
/* Takes itself off records_on_serial(). No transfer_handle() may be under way. NULL is fine. */
void transfer_free(struct transfer *transfer);
/* Answer an AXFR or IXFR query, packet without its TSIG; sends all messages, signed when the request
 * was; does not end the request. Blocks: work threads. */
void transfer_handle(struct transfer *transfer, struct dns_request *request, const uint8_t *packet,
                     size_t len, struct tsig *tsig);
/* Could the peer be allowed, as far as its address says? False: it stands not in the zone's
 * transfer.allow, nobody may transfer the zone, or it is none of ours (zone: wire, lower case). Says
 * nothing of signatures: transfer_handle() does. Any thread; cheap. */
bool transfer_may_come(const struct transfer *transfer, const uint8_t *zone, size_t zone_len,
                       const struct ip_addr *peer);
/* Will transfer_handle() allow it, as far as address and signature say? Work threads; cheap. */
bool transfer_may(const struct transfer *transfer, const uint8_t *zone, size_t zone_len,
                  const struct ip_addr *peer, const struct tsig *tsig);
struct transfer_info { /* per zone and server that is notified */
    char zone[NAME_TEXT_MAX + 1];
    struct ip_endpoint server;
    uint32_t notified_serial, answered_serial;
    int64_t answered_unix; /* 0: never */
    char last[100];        /* how the last NOTIFY ended, in words */
};
/* Any thread. *out: mem_free(). */
MUST_USE struct err transfer_list(struct transfer *transfer, struct transfer_info **out,
                                  size_t *out_n);

#endif
