/* From query bytes to answer bytes: pure, no allocation, no lock, no I/O.
 *
 * RFC 1034, 1035, 2308, 6891 (EDNS, BADVERS), 4343 (case), 8020, 8482 (ANY: one RRset). Everything
 * about the packet is checked here; what is dropped without an answer is said below. Thread: any,
 * with that thread's snapshot. */
#ifndef DNS_ANSWER_H
#define DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/zone.h"

#define DNS_UDP_PLAIN_MAX 512u
#define DNS_UDP_EDNS_MAX 1232u /* the size we offer and the longest UDP answer we send */
#define DNS_TCP_MAX 65535u

/* Build the answer to `query` into out (out_cap bytes, at least 512; 65535 for TCP). Returns its
 * length, 0 when nothing may be sent: shorter than a header, QR set. A broken question is FORMERR
 * with the header only; unknown opcodes are NOTIMP; UPDATE and NOTIFY are NOTIMP until their
 * release; class other than IN is REFUSED (CHAOS included); names in no zone are REFUSED. */
size_t answer_build(const struct zone_snapshot *snap, const uint8_t *query, size_t query_len,
                    bool is_tcp, uint8_t *out, size_t out_cap);

#endif
