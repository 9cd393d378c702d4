/* Inside dns/tsig*.c only: reading the record out of a packet, and sentences. */
#ifndef DNS_TSIG_INT_H
#define DNS_TSIG_INT_H

#include "dns/tsig.h"
#include "dns/wire.h"

#define TSIG_OTHER_MAX 6u /* octets of other data that we send */

/* A TSIG record in its packet; the pointers borrow from it. */
struct tsig_rr {
    size_t start; /* offset of its owner: where the rest of the message ends */
    uint8_t key_name[NAME_WIRE_MAX];
    size_t key_name_len;
    uint8_t alg_name[NAME_WIRE_MAX];
    size_t alg_name_len;
    uint64_t time;
    uint16_t fudge;
    const uint8_t *mac;
    size_t mac_len;
    uint16_t original_id;
    uint16_t error;
    const uint8_t *other;
    size_t other_len;
};
enum tsig_find { TSIG_FIND_NONE, TSIG_FIND_ONE, TSIG_FIND_BROKEN };
/* BROKEN: records that cannot be walked, two of them, one that is not the last of the additional
 * section or has octets behind it, a wrong class, TTL or RDATA. RFC 8945 §5.1. */
enum tsig_find tsig_find(const uint8_t *packet, size_t len, struct tsig_rr *out);

/* 0: none of ours. */
enum tsig_alg tsig_alg_of(const uint8_t *wire, size_t len);
/* Uncompressed wire name of an algorithm. */
void tsig_alg_wire(enum tsig_alg alg, uint8_t out[NAME_WIRE_MAX], size_t *len);

/* tsig_say.c */
enum tsig_fault {
    TSIG_FAULT_KEY,     /* no such client */
    TSIG_FAULT_NETWORK, /* the client may not come from there */
    TSIG_FAULT_ALG,
    TSIG_FAULT_MD5, /* known, not allowed */
    TSIG_FAULT_MAC,
    TSIG_FAULT_TIME,
    TSIG_FAULT_TRUNC
};
void tsig_say_fault(const struct tsig_options *options, const struct tsig *tsig,
                    enum tsig_fault fault);
/* The packet's form; without names. */
void tsig_say_broken(const struct tsig_options *options);
/* A verified request by MD5. */
void tsig_say_md5(const struct tsig_options *options, const struct tsig *tsig);

#endif
