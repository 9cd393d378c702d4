/* One resource record outside any packet: to and from packets, master file text, and the rules of
 * types.
 *
 * RDATA is kept in wire form without compression and in the canonical form of RFC 4034 §6.2 (names
 * inside it in lower case), so that two records are the same when their octets are. Formats are
 * ldns's; what it accepts too lightly (lengths, trailing octets, names longer than 255) is checked
 * here. Thread: any; pure. */
#ifndef DNS_RR_H
#define DNS_RR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"
#include "core/util/err.h"
#include "core/util/name.h"
#include "dns/wire.h"

#define RR_TTL_MAX 2147483647u /* RFC 2181 §8 */
#define RR_RDATA_MAX 65535u

struct dns_rr {
    uint8_t owner[NAME_WIRE_MAX]; /* lower case, root label included */
    uint8_t owner_len;
    uint16_t type, class_;
    uint32_t ttl;
    uint8_t *rdata; /* owned; NULL when rdata_len is 0 */
    uint16_t rdata_len;
};
void rr_clear(struct dns_rr *rr); /* a zeroed one is fine */
/* Same owner, type and RDATA (class and TTL are not looked at)? */
bool rr_equal(const struct dns_rr *a, const struct dns_rr *b);

/* The record at packet[*pos]; *pos moves behind it. RDATA of length 0 is read as such for class ANY
 * and NONE (RFC 2136). ERR_MALFORMED: cut off, a pointer that does not lead backwards, RDATA that is
 * none of its type's. */
MUST_USE struct err rr_from_packet(const uint8_t *packet, size_t len, size_t *pos,
                                   struct dns_rr *out);
/* From parts, for the command line and the admin API: owner a text name (relative to origin unless it
 * ends in a dot; "@" is origin; origin NULL: every name is whole), type "TXT" or "TYPE65400", rdata as
 * in a master file. why (cap bytes): a sentence on ERR_MALFORMED. */
MUST_USE struct err rr_from_text(const char *owner, const char *origin, uint32_t ttl,
                                 const char *type, const char *rdata, struct dns_rr *out, char *why,
                                 size_t cap);
/* The RDATA as in a master file ("10 mail.svc.dev."); RFC 3597 form where the type is unknown or the
 * octets do not fit it. */
MUST_USE struct err rr_rdata_text(uint16_t type, const uint8_t *rdata, size_t len, struct buf *out);
/* A whole master file line with '\n'. */
MUST_USE struct err rr_text(const struct dns_rr *rr, struct buf *out);
/* "A", "TYPE65400"; out: RR_TYPE_TEXT_MAX + 1. */
#define RR_TYPE_TEXT_MAX 16u
void rr_type_text(uint16_t type, char out[RR_TYPE_TEXT_MAX + 1]);
bool rr_type_parse(const char *text, uint16_t *out);

enum rr_kind {
    RR_ORDINARY, /* may stand in a zone */
    RR_META,     /* OPT, TSIG, ANY, AXFR ... and type 0: never in a zone. RFC 6895 §3.1 */
    RR_DNSSEC    /* signatures and denial: this server does not sign (DS is ordinary) */
};
enum rr_kind rr_kind(uint16_t type);
/* One RR per owner: SOA, CNAME, DNAME. */
bool rr_is_singleton(uint16_t type);

#endif
