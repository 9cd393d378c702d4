/* Turns for what takes memory: at most VAL_TURNS_MAX attempts speak TLS at a time (some 60 KiB
 * each), so that a thousand peers that never answer cost little.
 *
 * Who comes when all turns are taken waits. The accounts that wait get turns one after the other,
 * round and round, each account's own in the order in which they came: an account with a thousand
 * attempts is no longer in the way than one with a single attempt. While somebody waits, a turn that
 * has lasted for VAL_TURN_MS is over: a peer that works needs a fraction of it. Nothing is ever taken
 * away while nobody waits. Thread: the loop's. */
#ifndef ACME_SERVER_VAL_GATE_H
#define ACME_SERVER_VAL_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"
#include "core/util/loop.h"

#define VAL_TURNS_MAX 128u
#define VAL_TURN_MS 2000

/* Embedded in an attempt; zeroed, then the first four are set. */
struct val_turn {
    const char *account_id;   /* for whom; borrowed as long as it waits */
    void (*begin)(void *arg); /* the turn has come, after waiting for it */
    void (*over)(void *arg); /* it has lasted long enough; it ends here, without val_gate_leave() */
    void *arg;
    /* --- its own --- */
    struct val_turn *prev, *next;           /* in its line, unless it is TURN_BEHIND */
    struct val_turn *ring_prev, *ring_next; /* the account's that wait, the first one included */
    enum { TURN_NONE = 0, TURN_FIRST /* waits in the line */, TURN_BEHIND, TURN_IS } st;
    int64_t since_ms;
};
struct val_gate;
MUST_USE struct err val_gate_new(struct loop *loop, struct val_gate **out);
void val_gate_free(struct val_gate *gate); /* NULL is fine */

/* True: it is this one's turn at once. False: begin(arg) is called when it is, later. */
bool val_gate_enter(struct val_gate *gate, struct val_turn *turn);
/* Neither waiting nor in its turn: nothing happens. Calls nothing back. */
void val_gate_leave(struct val_gate *gate, struct val_turn *turn);

#endif
