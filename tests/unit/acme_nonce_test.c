#include "acme-server/nonce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "core/util/token.h"

static struct nonce_box *box;

static int setup(void **state)
{
    (void)state;
    return nonce_box_new(&box).code == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    nonce_box_free(box);
    box = NULL;
    return 0;
}

static void assert_bad(const char *nonce, const char *says)
{
    struct problem prob = {0};

    assert_int_equal(ERR_REJECTED, nonce_consume(box, nonce, &prob).code);
    assert_int_equal(PROBLEM_BAD_NONCE, prob.type);
    assert_int_equal(400, prob.status);
    assert_non_null(strstr(prob.detail, says));
}

static void assert_good(const char *nonce)
{
    struct problem prob = {0};

    assert_int_equal(ERR_OK, nonce_consume(box, nonce, &prob).code);
    assert_int_equal(PROBLEM_NONE, prob.type);
}

static void garbage_is_refused(void **state)
{
    static const char *const garbage[] = {
        "",
        "A",
        "=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "__________________________________________8",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
        "a nonce with spaces that is 43 characters ok",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(garbage); i++) {
        assert_bad(garbage[i], "not from this server");
    }
}

static void every_changed_character_is_refused(void **state)
{
    char nonce[NONCE_LEN + 1];

    (void)state;
    assert_int_equal(ERR_OK, nonce_issue(box, nonce).code);
    for (size_t i = 0; i < strlen(nonce); i++) {
        char kept = nonce[i];
        nonce[i] = kept == 'A' ? 'E' : 'A';
        assert_bad(nonce, "not from this server");
        nonce[i] = kept;
    }
    assert_good(nonce);
}

static void foreign_nonces_are_refused(void **state)
{
    struct nonce_box *other = NULL;
    char nonce[NONCE_LEN + 1];

    (void)state;
    assert_int_equal(ERR_OK, nonce_box_new(&other).code);
    assert_int_equal(ERR_OK, nonce_issue(other, nonce).code);
    assert_bad(nonce, "restarted");
    nonce_box_free(other);
}

static void a_nonce_is_good_once(void **state)
{
    char a[NONCE_LEN + 1];
    char b[NONCE_LEN + 1];

    (void)state;
    assert_int_equal(ERR_OK, nonce_issue(box, a).code);
    assert_int_equal(ERR_OK, nonce_issue(box, b).code);
    assert_string_not_equal(a, b);
    assert_true(is_base64url(a, strlen(a)) && strlen(a) <= NONCE_LEN);
    assert_good(b);
    assert_good(a);
    assert_bad(a, "used before");
    assert_bad(b, "used before");
}

static void stale_nonces_are_refused(void **state)
{
    char early[NONCE_LEN + 1];
    char later[NONCE_LEN + 1];

    (void)state;
    assert_int_equal(ERR_OK, nonce_issue(box, early).code);
    clock_shift(2000);
    assert_int_equal(ERR_OK, nonce_issue(box, later).code);
    clock_shift(NONCE_TTL_S * 1000 - 1000);
    assert_bad(early, "too old");
    assert_good(later);
}

static void the_window_slides_and_wraps(void **state)
{
    char first[NONCE_LEN + 1];
    char second[NONCE_LEN + 1];
    char nonce[NONCE_LEN + 1];

    (void)state;
    assert_int_equal(ERR_OK, nonce_issue(box, first).code);
    assert_int_equal(ERR_OK, nonce_issue(box, second).code);
    /* first is now 0, second 1: issue until first leaves the window and second is its oldest. */
    for (unsigned i = 0; i < NONCE_WINDOW - 1; i++) {
        assert_int_equal(ERR_OK, nonce_issue(box, nonce).code);
    }
    assert_bad(first, "too old");
    assert_good(second);
    assert_bad(second, "used before");
    /* nonce shares first's bit, one round later. */
    assert_good(nonce);
    assert_bad(nonce, "used before");
    assert_bad(first, "too old");
    /* The next one clears the bit that second had set, and is usable itself. */
    assert_int_equal(ERR_OK, nonce_issue(box, nonce).code);
    assert_bad(second, "too old");
    assert_good(nonce);
}

#define RACERS 4
#define ROUNDS 500
static char raced[ROUNDS][NONCE_LEN + 1];

static void *race(void *arg)
{
    unsigned *wins = arg;
    char own[NONCE_LEN + 1];
    struct problem prob = {0};

    for (unsigned i = 0; i < ROUNDS; i++) {
        *wins += nonce_consume(box, raced[i], &prob).code == ERR_OK;
        if (nonce_issue(box, own).code != ERR_OK || nonce_consume(box, own, &prob).code != ERR_OK ||
            nonce_consume(box, own, &prob).code != ERR_REJECTED) {
            *wins += 1000000; /* an own nonce must be good exactly once, whatever the others do */
        }
    }
    return NULL;
}

static void exactly_one_thread_wins(void **state)
{
    pthread_t threads[RACERS];
    unsigned wins[RACERS] = {0};
    unsigned sum = 0;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        assert_int_equal(ERR_OK, nonce_issue(box, raced[i]).code);
    }
    for (unsigned i = 0; i < RACERS; i++) {
        assert_int_equal(0, pthread_create(&threads[i], NULL, race, &wins[i]));
    }
    for (unsigned i = 0; i < RACERS; i++) {
        assert_int_equal(0, pthread_join(threads[i], NULL));
        sum += wins[i];
    }
    assert_int_equal(ROUNDS, sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(garbage_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(every_changed_character_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_nonces_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_nonce_is_good_once, setup, teardown),
        cmocka_unit_test_setup_teardown(stale_nonces_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_window_slides_and_wraps, setup, teardown),
        cmocka_unit_test_setup_teardown(exactly_one_thread_wins, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
