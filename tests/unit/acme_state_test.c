/* Every (state, event) pair of every object against RFC 8555 §7.1.6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "acme-server/state.h"

#define NO (-1)

static void test_account(void **state)
{
    static const int want[2][1] = {
        [ACCOUNT_VALID] = {ACCOUNT_DEACTIVATED},
        [ACCOUNT_DEACTIVATED] = {NO},
    };

    (void)state;
    for (int from = 0; from < 2; from++) {
        enum account_st to = ACCOUNT_VALID;
        struct err e = account_next((enum account_st)from, ACCOUNT_EV_DEACTIVATE, &to);
        assert_int_equal(e.code, want[from][0] == NO ? ERR_BAD_STATE : ERR_OK);
        assert_int_equal(to, want[from][0] == NO ? ACCOUNT_VALID : want[from][0]);
    }
}

static void test_order(void **state)
{
    /* AUTHORIZED, ISSUED, FAILED, EXPIRED; 2 is no state */
    static const int want[5][4] = {
        [ORDER_PENDING] = {ORDER_READY, NO, ORDER_INVALID, ORDER_INVALID},
        [ORDER_READY] = {NO, ORDER_VALID, ORDER_INVALID, ORDER_INVALID},
        [2] = {NO, NO, NO, NO},
        [ORDER_VALID] = {NO, NO, NO, NO},
        [ORDER_INVALID] = {NO, NO, NO, NO},
    };

    (void)state;
    for (int from = 0; from < 5; from++) {
        for (int event = 0; event < 4; event++) {
            enum order_st to = ORDER_PENDING;
            struct err e = order_next((enum order_st)from, (enum order_ev)event, &to);
            assert_int_equal(e.code, want[from][event] == NO ? ERR_BAD_STATE : ERR_OK);
            assert_int_equal(to, want[from][event] == NO ? ORDER_PENDING : want[from][event]);
        }
    }
}

static void test_authz(void **state)
{
    /* SUCCEEDED, FAILED, DEACTIVATED, EXPIRED, WITHDRAWN */
    static const int want[5][5] = {
        [AUTHZ_PENDING] = {AUTHZ_VALID, AUTHZ_INVALID, AUTHZ_DEACTIVATED, AUTHZ_INVALID, NO},
        [AUTHZ_VALID] = {NO, NO, AUTHZ_DEACTIVATED, AUTHZ_EXPIRED, AUTHZ_INVALID},
        [AUTHZ_INVALID] = {NO, NO, NO, NO, NO},
        [AUTHZ_DEACTIVATED] = {NO, NO, NO, NO, NO},
        [AUTHZ_EXPIRED] = {NO, NO, NO, NO, NO},
    };

    (void)state;
    for (int from = 0; from < 5; from++) {
        for (int event = 0; event < 5; event++) {
            enum authz_st to = AUTHZ_PENDING;
            struct err e = authz_next((enum authz_st)from, (enum authz_ev)event, &to);
            assert_int_equal(e.code, want[from][event] == NO ? ERR_BAD_STATE : ERR_OK);
            assert_int_equal(to, want[from][event] == NO ? AUTHZ_PENDING : want[from][event]);
        }
    }
}

static void test_challenge(void **state)
{
    /* STARTED, SUCCEEDED, FAILED */
    static const int want[4][3] = {
        [CHALLENGE_PENDING] = {CHALLENGE_PROCESSING, CHALLENGE_VALID, NO},
        [CHALLENGE_PROCESSING] = {NO, CHALLENGE_VALID, CHALLENGE_INVALID},
        [CHALLENGE_VALID] = {NO, NO, NO},
        [CHALLENGE_INVALID] = {NO, NO, NO},
    };

    (void)state;
    for (int from = 0; from < 4; from++) {
        for (int event = 0; event < 3; event++) {
            enum challenge_st to = CHALLENGE_PENDING;
            struct err e = challenge_next((enum challenge_st)from, (enum challenge_ev)event, &to);
            assert_int_equal(e.code, want[from][event] == NO ? ERR_BAD_STATE : ERR_OK);
            assert_int_equal(to, want[from][event] == NO ? CHALLENGE_PENDING : want[from][event]);
        }
    }
}

static void test_words(void **state)
{
    (void)state;
    assert_string_equal(account_status(ACCOUNT_VALID), "valid");
    assert_string_equal(account_status(ACCOUNT_DEACTIVATED), "deactivated");
    assert_string_equal(order_status(ORDER_PENDING), "pending");
    assert_string_equal(order_status(ORDER_READY), "ready");
    assert_string_equal(order_status(ORDER_VALID), "valid");
    assert_string_equal(order_status(ORDER_INVALID), "invalid");
    assert_string_equal(authz_status(AUTHZ_PENDING), "pending");
    assert_string_equal(authz_status(AUTHZ_VALID), "valid");
    assert_string_equal(authz_status(AUTHZ_INVALID), "invalid");
    assert_string_equal(authz_status(AUTHZ_DEACTIVATED), "deactivated");
    assert_string_equal(authz_status(AUTHZ_EXPIRED), "expired");
    assert_string_equal(challenge_status(CHALLENGE_PENDING), "pending");
    assert_string_equal(challenge_status(CHALLENGE_PROCESSING), "processing");
    assert_string_equal(challenge_status(CHALLENGE_VALID), "valid");
    assert_string_equal(challenge_status(CHALLENGE_INVALID), "invalid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_account), cmocka_unit_test(test_order),
        cmocka_unit_test(test_authz),   cmocka_unit_test(test_challenge),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
