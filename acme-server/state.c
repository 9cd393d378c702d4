#include "acme-server/state.h"

#include <stddef.h>

#include "core/util/mem.h"

struct transition {
    int from;
    int event;
    int to;
};

static const struct transition ACCOUNT_TABLE[] = {
    {ACCOUNT_VALID, ACCOUNT_EV_DEACTIVATE, ACCOUNT_DEACTIVATED},
};

/* "processing" is not here: finalize signs before it replies, so nobody ever sees an order in
 * between. */
static const struct transition ORDER_TABLE[] = {
    {ORDER_PENDING, ORDER_EV_AUTHORIZED, ORDER_READY},
    {ORDER_PENDING, ORDER_EV_FAILED, ORDER_INVALID},
    {ORDER_PENDING, ORDER_EV_EXPIRED, ORDER_INVALID},
    {ORDER_READY, ORDER_EV_ISSUED, ORDER_VALID},
    {ORDER_READY, ORDER_EV_FAILED, ORDER_INVALID},
    {ORDER_READY, ORDER_EV_EXPIRED, ORDER_INVALID},
};

static const struct transition AUTHZ_TABLE[] = {
    {AUTHZ_PENDING, AUTHZ_EV_SUCCEEDED, AUTHZ_VALID},
    {AUTHZ_PENDING, AUTHZ_EV_FAILED, AUTHZ_INVALID},
    {AUTHZ_PENDING, AUTHZ_EV_DEACTIVATED, AUTHZ_DEACTIVATED},
    {AUTHZ_PENDING, AUTHZ_EV_EXPIRED, AUTHZ_INVALID},
    {AUTHZ_VALID, AUTHZ_EV_DEACTIVATED, AUTHZ_DEACTIVATED},
    {AUTHZ_VALID, AUTHZ_EV_EXPIRED, AUTHZ_EXPIRED},
    {AUTHZ_VALID, AUTHZ_EV_WITHDRAWN, AUTHZ_INVALID},
};

static const struct transition CHALLENGE_TABLE[] = {
    {CHALLENGE_PENDING, CHALLENGE_EV_STARTED, CHALLENGE_PROCESSING},
    {CHALLENGE_PENDING, CHALLENGE_EV_SUCCEEDED, CHALLENGE_VALID}, /* the value was there already */
    {CHALLENGE_PROCESSING, CHALLENGE_EV_SUCCEEDED, CHALLENGE_VALID},
    {CHALLENGE_PROCESSING, CHALLENGE_EV_FAILED, CHALLENGE_INVALID},
};

static struct err next_state(const struct transition *table, size_t n, const char *object, int from,
                             int event, int *to)
{
    for (size_t i = 0; i < n; i++) {
        if (table[i].from == from && table[i].event == event) {
            *to = table[i].to;
            return err_ok();
        }
    }
    FAIL(ERR_BAD_STATE, "%s: event %d is not possible in state %d", object, event, from);
}

struct err account_next(enum account_st from, enum account_ev event, enum account_st *to)
{
    int next = 0;

    TRY(next_state(ACCOUNT_TABLE, ARRAY_N(ACCOUNT_TABLE), "account", (int)from, (int)event, &next));
    *to = (enum account_st)next;
    return err_ok();
}

struct err order_next(enum order_st from, enum order_ev event, enum order_st *to)
{
    int next = 0;

    TRY(next_state(ORDER_TABLE, ARRAY_N(ORDER_TABLE), "order", (int)from, (int)event, &next));
    *to = (enum order_st)next;
    return err_ok();
}

struct err authz_next(enum authz_st from, enum authz_ev event, enum authz_st *to)
{
    int next = 0;

    TRY(next_state(AUTHZ_TABLE, ARRAY_N(AUTHZ_TABLE), "authorization", (int)from, (int)event,
                   &next));
    *to = (enum authz_st)next;
    return err_ok();
}

struct err challenge_next(enum challenge_st from, enum challenge_ev event, enum challenge_st *to)
{
    int next = 0;

    TRY(next_state(CHALLENGE_TABLE, ARRAY_N(CHALLENGE_TABLE), "challenge", (int)from, (int)event,
                   &next));
    *to = (enum challenge_st)next;
    return err_ok();
}

const char *account_status(enum account_st st)
{
    switch (st) {
    case ACCOUNT_VALID:
        return "valid";
    case ACCOUNT_DEACTIVATED:
        return "deactivated";
    }
    return "invalid";
}

const char *order_status(enum order_st st)
{
    switch (st) {
    case ORDER_PENDING:
        return "pending";
    case ORDER_READY:
        return "ready";
    case ORDER_VALID:
        return "valid";
    case ORDER_INVALID:
        return "invalid";
    }
    return "invalid";
}

const char *authz_status(enum authz_st st)
{
    switch (st) {
    case AUTHZ_PENDING:
        return "pending";
    case AUTHZ_VALID:
        return "valid";
    case AUTHZ_INVALID:
        return "invalid";
    case AUTHZ_DEACTIVATED:
        return "deactivated";
    case AUTHZ_EXPIRED:
        return "expired";
    }
    return "invalid";
}

const char *challenge_status(enum challenge_st st)
{
    switch (st) {
    case CHALLENGE_PENDING:
        return "pending";
    case CHALLENGE_PROCESSING:
        return "processing";
    case CHALLENGE_VALID:
        return "valid";
    case CHALLENGE_INVALID:
        return "invalid";
    }
    return "invalid";
}
