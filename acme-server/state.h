/* The state machines of RFC 8555 §7.1.6 as tables: account, order, authorization, challenge.
 *
 * Pure. Handlers ask the table what an event does to the state they read; the SQL that stores the
 * move repeats the old state, so that two racing events cannot both win. The numbers are stored:
 * they are never changed, new ones are appended. */
#ifndef ACME_SERVER_STATE_H
#define ACME_SERVER_STATE_H

#include "core/util/err.h"

enum account_st { ACCOUNT_VALID = 0, ACCOUNT_DEACTIVATED = 1 };
enum account_ev { ACCOUNT_EV_DEACTIVATE };

enum order_st { ORDER_PENDING = 0, ORDER_READY = 1, ORDER_VALID = 3, ORDER_INVALID = 4 };
enum order_ev {
    ORDER_EV_AUTHORIZED, /* the last of its authorizations became valid */
    ORDER_EV_ISSUED,
    ORDER_EV_FAILED, /* an authorization failed or was withdrawn, or policy says no at finalize */
    ORDER_EV_EXPIRED
};

enum authz_st {
    AUTHZ_PENDING = 0,
    AUTHZ_VALID = 1,
    AUTHZ_INVALID = 2,
    AUTHZ_DEACTIVATED = 3,
    AUTHZ_EXPIRED = 4
};
enum authz_ev {
    AUTHZ_EV_SUCCEEDED,
    AUTHZ_EV_FAILED,
    AUTHZ_EV_DEACTIVATED,
    AUTHZ_EV_EXPIRED,
    AUTHZ_EV_WITHDRAWN /* its publisher may not have the identifier any longer */
};

enum challenge_st {
    CHALLENGE_PENDING = 0,
    CHALLENGE_PROCESSING = 1,
    CHALLENGE_VALID = 2,
    CHALLENGE_INVALID = 3
};
enum challenge_ev {
    CHALLENGE_EV_STARTED, /* the client answered; no value was there yet */
    CHALLENGE_EV_SUCCEEDED,
    CHALLENGE_EV_FAILED
};

/* The state after `event` in `from`; ERR_BAD_STATE for every pair that the table does not list. */
MUST_USE struct err account_next(enum account_st from, enum account_ev event, enum account_st *to);
MUST_USE struct err order_next(enum order_st from, enum order_ev event, enum order_st *to);
MUST_USE struct err authz_next(enum authz_st from, enum authz_ev event, enum authz_st *to);
MUST_USE struct err challenge_next(enum challenge_st from, enum challenge_ev event,
                                   enum challenge_st *to);

/* The status words of RFC 8555 §7.1. A number that is no state gives "invalid". */
const char *account_status(enum account_st st);
const char *order_status(enum order_st st);
const char *authz_status(enum authz_st st);
const char *challenge_status(enum challenge_st st);

#endif
