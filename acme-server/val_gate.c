#include "acme-server/val_gate.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

struct line {
    struct val_turn *first, *last;
};
struct val_gate {
    struct loop *loop;
    struct line in;      /* the longest there first */
    struct line waiting; /* the first of each account, the next one to come first */
    size_t in_n;
    struct loop_timer timer;
};

struct err val_gate_new(struct loop *loop, struct val_gate **out)
{
    struct val_gate *gate = mem_zalloc(sizeof(*gate));

    TRY_PTR(gate);
    gate->loop = loop;
    *out = gate;
    return err_ok();
}

void val_gate_free(struct val_gate *gate)
{
    if (gate != NULL) {
        loop_timer_cancel(gate->loop, &gate->timer);
        mem_free(gate);
    }
}

static void join(struct line *line, struct val_turn *turn)
{
    turn->prev = line->last;
    turn->next = NULL;
    if (line->last != NULL) {
        line->last->next = turn;
    } else {
        line->first = turn;
    }
    line->last = turn;
}

static void quit(struct line *line, struct val_turn *turn)
{
    if (turn->prev != NULL) {
        turn->prev->next = turn->next;
    } else {
        line->first = turn->next;
    }
    if (turn->next != NULL) {
        turn->next->prev = turn->prev;
    } else {
        line->last = turn->prev;
    }
}

/* --- those who wait --------------------------------------------------------------------------- */

static void wait_in_line(struct val_gate *gate, struct val_turn *turn)
{
    struct val_turn *first = gate->waiting.first;

    while (first != NULL && strcmp(first->account_id, turn->account_id) != 0) {
        first = first->next;
    }
    if (first == NULL) {
        turn->st = TURN_FIRST;
        turn->ring_prev = turn;
        turn->ring_next = turn;
        join(&gate->waiting, turn);
        return;
    }
    turn->st = TURN_BEHIND; /* the account's last one */
    turn->ring_prev = first->ring_prev;
    turn->ring_next = first;
    turn->ring_prev->ring_next = turn;
    first->ring_prev = turn;
}

/* Whatever becomes of it, its account's next one is behind all other accounts now. */
static void wait_no_more(struct val_gate *gate, struct val_turn *turn)
{
    struct val_turn *heir = turn->ring_next;

    turn->ring_prev->ring_next = heir;
    heir->ring_prev = turn->ring_prev;
    if (turn->st == TURN_BEHIND) {
        return;
    }
    quit(&gate->waiting, turn);
    if (heir != turn) {
        heir->st = TURN_FIRST;
        join(&gate->waiting, heir);
    }
}

/* --- turns ------------------------------------------------------------------------------------ */

static void let_in(struct val_gate *gate, struct val_turn *turn)
{
    turn->st = TURN_IS;
    turn->since_ms = clock_mono_ms();
    join(&gate->in, turn);
    gate->in_n++;
}

static void work(void *arg);

/* Somebody waits: look again when a turn is free, or when the longest one is over. Without memory
 * for the timer the attempts that wait end by their deadlines. */
static void plan(struct val_gate *gate)
{
    if (gate->waiting.first == NULL) {
        loop_timer_cancel(gate->loop, &gate->timer);
        return;
    }
    int64_t at_ms = gate->in_n < VAL_TURNS_MAX ? 0 : gate->in.first->since_ms + VAL_TURN_MS;
    err_ignore(loop_timer_set(gate->loop, &gate->timer, at_ms, work, gate));
}

/* One step, as the callbacks change everything; more of them in the next rounds. */
static void work(void *arg)
{
    struct val_gate *gate = arg;
    struct val_turn *oldest = gate->in.first;
    struct val_turn *next = gate->waiting.first;
    void (*fn)(void *arg) = NULL;
    void *fn_arg = NULL;

    if (gate->in_n < VAL_TURNS_MAX && next != NULL) {
        wait_no_more(gate, next);
        let_in(gate, next);
        fn = next->begin;
        fn_arg = next->arg;
    } else if (next != NULL && clock_mono_ms() - oldest->since_ms >= VAL_TURN_MS) {
        fn = oldest->over;
        fn_arg = oldest->arg;
        val_gate_leave(gate, oldest);
    }
    plan(gate);
    if (fn != NULL) {
        fn(fn_arg);
    }
}

bool val_gate_enter(struct val_gate *gate, struct val_turn *turn)
{
    if (gate->in_n < VAL_TURNS_MAX && gate->waiting.first == NULL) {
        let_in(gate, turn);
        return true;
    }
    wait_in_line(gate, turn);
    plan(gate);
    return false;
}

void val_gate_leave(struct val_gate *gate, struct val_turn *turn)
{
    switch (turn->st) {
    case TURN_NONE:
        return;
    case TURN_FIRST:
    case TURN_BEHIND:
        wait_no_more(gate, turn);
        break;
    case TURN_IS:
        quit(&gate->in, turn);
        gate->in_n--;
        break;
    }
    turn->st = TURN_NONE;
    plan(gate);
}
