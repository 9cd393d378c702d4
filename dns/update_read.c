/* The form of an update message. */
#include "dns/update_int.h"

#include <string.h>

#include "core/util/mem.h"

static void clear_list(struct update_rr **list, size_t *n)
{
    for (size_t i = 0; i < *n; i++) {
        rr_clear(&(*list)[i].rr);
    }
    mem_free(MOVE(*list));
    *n = 0;
}

void update_message_clear(struct update_message *message)
{
    clear_list(&message->prerequisites, &message->prerequisites_n);
    clear_list(&message->changes, &message->changes_n);
}

/* RFC 2136 §3.2.4, without the zone's class, which update_read() knows to be IN. */
static const char *check_prerequisite(const struct dns_rr *rr)
{
    if (rr->ttl != 0) {
        return "a prerequisite's TTL is not 0";
    }
    switch (rr->class_) {
    case DNS_CLASS_ANY:
    case DNS_CLASS_NONE:
        if (rr->rdata_len > 0) {
            return "a prerequisite of class ANY or NONE has RDATA";
        }
        return rr->type != DNS_TYPE_ANY && rr_kind(rr->type) == RR_META
                   ? "a prerequisite's type is one of queries only"
                   : NULL;
    case DNS_CLASS_IN:
        return rr_kind(rr->type) == RR_META ? "a prerequisite's type is one of queries only" : NULL;
    default: /* allow: a number from the packet */
        return "a prerequisite's class is not IN, ANY or NONE";
    }
}

/* RFC 2136 §3.4.1.3 */
static const char *check_change(const struct dns_rr *rr)
{
    bool is_meta = rr_kind(rr->type) == RR_META;

    switch (rr->class_) {
    case DNS_CLASS_IN:
        return is_meta ? "a record of a type for queries only cannot be added" : NULL;
    case DNS_CLASS_ANY:
        if (rr->ttl != 0 || rr->rdata_len > 0) {
            return "a deletion of a whole RRset has a TTL or RDATA";
        }
        return is_meta && rr->type != DNS_TYPE_ANY ? "a deletion's type is one of queries only"
                                                   : NULL;
    case DNS_CLASS_NONE:
        if (rr->ttl != 0) {
            return "a deletion has a TTL";
        }
        return is_meta ? "a deletion of one record names no type of records" : NULL;
    default: /* allow: a number from the packet */
        return "a change's class is not IN, ANY or NONE";
    }
}

static enum dns_rcode read_list(const uint8_t *packet, size_t len, size_t *pos, size_t n,
                                const char *(*check)(const struct dns_rr *),
                                struct update_rr **list, size_t *list_n, const char **why)
{
    *list = mem_array(n, sizeof(**list));
    if (*list == NULL) {
        *why = "out of memory";
        return RCODE_SERVFAIL;
    }
    for (size_t i = 0; i < n; i++) {
        struct update_rr *one = &(*list)[i];
        struct err e = rr_from_packet(packet, len, pos, &one->rr);
        if (e.code != ERR_OK) {
            *why = e.code == ERR_NOMEM ? "out of memory"
                                       : "a record is broken, or its RDATA is none of its type";
            return e.code == ERR_NOMEM ? RCODE_SERVFAIL : RCODE_FORMERR;
        }
        (*list_n)++;
        const char *fault = check(&one->rr);
        if (fault == NULL &&
            dns_name_read(one->rr.owner, one->rr.owner_len, &one->name) != one->rr.owner_len) {
            fault = "an owner name is broken";
        }
        if (fault != NULL) {
            *why = fault;
            return RCODE_FORMERR;
        }
    }
    return RCODE_NOERROR;
}

/* One SOA of class IN. RFC 2136 §3.1 */
static enum dns_rcode read_zone(const uint8_t *packet, size_t len, struct update_message *out,
                                const char **why)
{
    size_t used = 0;

    *why = "the zone section is not one name of type SOA";
    if (wire_get16(packet + 4) != 1) {
        return RCODE_FORMERR;
    }
    used = dns_name_read(packet + DNS_HEADER_LEN, len - DNS_HEADER_LEN, &out->zone);
    if (used == 0 || len - DNS_HEADER_LEN - used < 4) {
        return RCODE_FORMERR;
    }
    const uint8_t *p = packet + DNS_HEADER_LEN + used;
    out->zone_end = DNS_HEADER_LEN + used + 4;
    if (wire_get16(p) != DNS_TYPE_SOA) {
        return RCODE_FORMERR;
    }
    if (wire_get16(p + 2) != DNS_CLASS_IN) {
        *why = "there are zones of class IN only";
        return RCODE_NOTAUTH;
    }
    return RCODE_NOERROR;
}

enum dns_rcode update_read_head(const uint8_t *packet, size_t len, struct update_message *out,
                                const char **why)
{
    memset(out, 0, sizeof(*out));
    *why = "no whole header";
    if (len < DNS_HEADER_LEN) {
        return RCODE_FORMERR;
    }
    out->id = (uint16_t)wire_get16(packet);
    if ((packet[2] & FLAG_QR) != 0 || wire_opcode(packet) != OPCODE_UPDATE) {
        *why = "not an UPDATE request";
        return RCODE_NOTIMP;
    }
    return read_zone(packet, len, out, why);
}

enum dns_rcode update_read(const uint8_t *packet, size_t len, struct update_message *out,
                           const char **why)
{
    enum dns_rcode rcode = update_read_head(packet, len, out, why);

    if (rcode != RCODE_NOERROR) {
        return rcode;
    }
    const size_t prerequisites_n = wire_get16(packet + 6);
    const size_t changes_n = wire_get16(packet + 8);
    if (prerequisites_n > UPDATE_PREREQUISITES_MAX || changes_n > UPDATE_CHANGES_MAX) {
        *why = "more than 256 prerequisites or 1024 changes: send several messages";
        return RCODE_REFUSED;
    }
    size_t pos = out->zone_end;
    rcode = read_list(packet, len, &pos, prerequisites_n, check_prerequisite, &out->prerequisites,
                      &out->prerequisites_n, why);
    if (rcode != RCODE_NOERROR) {
        return rcode;
    }
    return read_list(packet, len, &pos, changes_n, check_change, &out->changes, &out->changes_n,
                     why);
}
