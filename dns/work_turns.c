/* Rounds: in each, every address that waits has one turn. */
#include "dns/work_turns.h"

#include <string.h>

static void set_state(struct turns *turns, struct turn *turn, enum turn_st st)
{
    turns->count[turn->st]--;
    turns->count[st]++;
    turn->st = st;
}

/* Behind what the address has waiting already; never in the round that runs, or an address that comes
 * again and again would stand before all others. */
static uint64_t round_for(const struct turns *turns, const struct ip_addr *peer)
{
    uint64_t round = turns->round;

    for (size_t i = 0; i < turns->n; i++) {
        const struct turn *t = &turns->list[i];
        if (t->st == TURN_READY && t->round > round && ip_equal(&t->peer, peer)) {
            round = t->round;
        }
    }
    return round + 1;
}

static size_t of_peer(const struct turns *turns, const struct ip_addr *peer, bool is_running)
{
    size_t n = 0;

    for (size_t i = 0; i < turns->n; i++) {
        const struct turn *t = &turns->list[i];
        n += (t->st == TURN_RUNNING) == is_running && ip_equal(&t->peer, peer);
    }
    return n;
}

static bool has_udp_place(const struct turns *turns, const struct ip_addr *peer)
{
    size_t all = 0;
    size_t own = 0;

    for (size_t i = 0; i < turns->n; i++) {
        const struct turn *t = &turns->list[i];
        all += t->is_udp;
        own += t->is_udp && ip_equal(&t->peer, peer);
    }
    return all < WORK_TRANSFER_UDP_MAX && own < WORK_TRANSFER_UDP_PEER_MAX;
}

bool turns_put(struct turns *turns, struct dns_request *request, const struct ip_addr *peer,
               bool is_udp, enum turn_st st)
{
    if (turns->n - turns->count[TURN_RUNNING] >= WORK_TRANSFER_QUEUE_MAX ||
        of_peer(turns, peer, false) >= WORK_TRANSFER_PEER_MAX ||
        (is_udp && !has_udp_place(turns, peer))) {
        return false;
    }
    turns->list[turns->n] = (struct turn){.request = request,
                                          .peer = *peer,
                                          .is_udp = is_udp,
                                          .st = st,
                                          .ticket = ++turns->last_ticket,
                                          .round = round_for(turns, peer)};
    turns->n++;
    turns->count[st]++;
    return true;
}

bool turns_next_check(struct turns *turns, struct turn *out)
{
    if (turns->count[TURN_ARRIVED] == 0 || turns->count[TURN_CHECKING] >= WORK_CHECKS_MAX) {
        return false;
    }
    size_t i = 0;
    while (turns->list[i].st != TURN_ARRIVED) {
        i++;
    }
    set_state(turns, &turns->list[i], TURN_CHECKING);
    *out = turns->list[i];
    return true;
}

_Static_assert(2 * WORK_TRANSFERS_PEER_MAX > WORK_TRANSFERS_MAX, "at most one address is full");

/* The address that has as many under way as it may; NULL: none. */
static const struct ip_addr *full_peer(const struct turns *turns)
{
    if (turns->count[TURN_RUNNING] < WORK_TRANSFERS_PEER_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < turns->n; i++) {
        const struct turn *t = &turns->list[i];
        if (t->st == TURN_RUNNING && of_peer(turns, &t->peer, true) >= WORK_TRANSFERS_PEER_MAX) {
            return &t->peer;
        }
    }
    return NULL;
}

bool turns_next(struct turns *turns, struct turn *out)
{
    struct turn *next = NULL;

    if (turns->count[TURN_READY] == 0 || turns->count[TURN_RUNNING] >= WORK_TRANSFERS_MAX) {
        return false;
    }
    const struct ip_addr *full = full_peer(turns);
    for (size_t i = 0; i < turns->n; i++) {
        struct turn *t = &turns->list[i];
        if (t->st == TURN_READY && (next == NULL || t->round < next->round) &&
            (full == NULL || !ip_equal(&t->peer, full))) {
            next = t;
        }
    }
    if (next == NULL) {
        return false;
    }
    turns->round = next->round > turns->round ? next->round : turns->round;
    set_state(turns, next, TURN_RUNNING);
    *out = *next;
    return true;
}

static size_t find(const struct turns *turns, uint64_t ticket)
{
    size_t i = 0;

    while (i < turns->n && turns->list[i].ticket != ticket) {
        i++;
    }
    return i;
}

void turns_ready(struct turns *turns, uint64_t ticket)
{
    size_t i = find(turns, ticket);

    if (i < turns->n) {
        turns->list[i].round = round_for(turns, &turns->list[i].peer);
        set_state(turns, &turns->list[i], TURN_READY);
    }
}

void turns_end(struct turns *turns, uint64_t ticket)
{
    size_t i = find(turns, ticket);

    if (i < turns->n) {
        turns->count[turns->list[i].st]--;
        turns->n--;
        memmove(&turns->list[i], &turns->list[i + 1], (turns->n - i) * sizeof(turns->list[0]));
    }
}
