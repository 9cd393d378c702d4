/* From a host and a port to a connected socket, for the challenges that ask by TCP.
 *
 * The addresses come from val_addresses_start() and are tried one after the other, each for at most
 * VAL_CONNECT_MS. val_target_allowed() judges each address just before the very same bytes go to
 * connect(): what a name says at another time changes nothing. Thread: the loop's. */
#ifndef ACME_SERVER_VAL_DIAL_H
#define ACME_SERVER_VAL_DIAL_H

#include <stddef.h>
#include <stdint.h>

#include "acme-server/validate_net_int.h"

#define VAL_DIAL_WHY_MAX 400u

/* problem PROBLEM_NONE: fd is connected to peer and the callee's; else fd is -1 and `why` is a
 * phrase, valid during the call. */
struct val_dialed {
    int fd;
    struct ip_endpoint peer;
    enum problem_type problem;
    const char *why;
};
typedef void (*val_dialed_fn)(void *arg, const struct val_dialed *dialed);

/* Embedded in an attempt; zeroed, then net, trail and arg are set. */
struct val_dial {
    struct val_net *net;
    struct buf *trail;
    void *arg;
    /* --- its own --- */
    val_dialed_fn fn; /* NULL while idle */
    struct val_address_lookup *lookup;
    struct val_addresses found;
    size_t next; /* in found */
    uint16_t port;
    int fd; /* -1: none under way */
    struct loop_fd watch;
    struct loop_timer timer;
    struct buf why;
    char host[NAME_TEXT_MAX + 1];
};

/* fn is called once, never from inside this call, unless the dial is cancelled before; the dial is
 * idle then and may be started again or freed. host: a name or an address without brackets.
 * deadline_ms is the look-up's: the caller cancels when its own time is over. */
MUST_USE struct err val_dial_start(struct val_dial *dial, const char *host, uint16_t port,
                                   int64_t deadline_ms, val_dialed_fn fn);
/* Idle: nothing happens. */
void val_dial_cancel(struct val_dial *dial);

#endif
