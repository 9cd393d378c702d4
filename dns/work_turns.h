/* Transfers that wait, and those under way: whose turn it is. Every address has its turns, one after
 * the other with the other addresses', however many zones it asks for. Private to dns/work*.c; no
 * thread rule of its own: under the lock of work.c. */
#ifndef DNS_WORK_TURNS_H
#define DNS_WORK_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/name.h"
#include "dns/work.h"

#define TURNS_MAX (WORK_TRANSFER_QUEUE_MAX + WORK_TRANSFERS_MAX)

enum turn_st {
    TURN_ARRIVED,  /* waits to be looked at: may it? */
    TURN_CHECKING, /* is looked at */
    TURN_READY,    /* may, and waits for its turn */
    TURN_RUNNING,
    TURN_STATES
};
struct turn {
    struct dns_request *request;
    struct ip_addr peer;
    bool is_udp;
    enum turn_st st;
    uint64_t ticket; /* names it: requests' addresses come again */
    uint64_t round;  /* TURN_READY: lower ones come first */
};
struct turns {
    struct turn list[TURNS_MAX]; /* in the order in which they came */
    size_t n;
    size_t count[TURN_STATES];
    uint64_t last_ticket, round;
};

/* request and peer: what is to be kept, with st TURN_ARRIVED or TURN_READY. is_udp: its sender may be
 * forged, so such ones leave most places to the others. False: too many wait, or too many of this
 * address. */
bool turns_put(struct turns *turns, struct dns_request *request, const struct ip_addr *peer,
               bool is_udp, enum turn_st st);
/* The next one to look at (then TURN_CHECKING), to transfer (then TURN_RUNNING). False: none, or as many
 * as may be are under way, WORK_TRANSFERS_PEER_MAX of one address at most. */
bool turns_next_check(struct turns *turns, struct turn *out);
bool turns_next(struct turns *turns, struct turn *out);
/* What was looked at may: TURN_READY. */
void turns_ready(struct turns *turns, uint64_t ticket);
/* What was looked at or transferred is over. */
void turns_end(struct turns *turns, uint64_t ticket);

#endif
