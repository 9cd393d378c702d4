#include "acme-server/chaos.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 20000u

static void without_chaos_nothing_happens(void **state)
{
    uint8_t order[256];

    (void)state;
    memset(order, 0xff, sizeof(order));
    chaos_shuffle(NULL, order, 3);
    assert_int_equal(0xff, order[3]); /* nothing behind n */
    chaos_shuffle(NULL, order, sizeof(order));
    for (size_t i = 0; i < sizeof(order); i++) {
        assert_int_equal(i, order[i]);
    }
    for (unsigned i = 0; i < 1000; i++) {
        assert_false(chaos_rejects_nonce(NULL));
        assert_int_equal(0, chaos_delay_ms(NULL));
        assert_true(chaos_reuses(NULL));
    }
    chaos_free(NULL);
}

static struct chaos *fresh(void)
{
    struct chaos *chaos = NULL;

    assert_int_equal(ERR_OK, chaos_new(&chaos).code);
    return chaos;
}

/* Bounds that a fair source misses about once in 10^40 runs: more than 13 standard deviations of a
 * binomial count. */
static void shares_are_what_they_say(void **state)
{
    struct chaos *chaos = fresh();
    unsigned rejected_n = 0;
    unsigned reused_n = 0;
    int64_t least_ms = INT64_MAX;
    int64_t most_ms = 0;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        int64_t delay_ms = chaos_delay_ms(chaos);
        assert_in_range(delay_ms, 0, CHAOS_DELAY_MS_MAX);
        least_ms = delay_ms < least_ms ? delay_ms : least_ms;
        most_ms = delay_ms > most_ms ? delay_ms : most_ms;
        rejected_n += chaos_rejects_nonce(chaos) ? 1u : 0u;
        reused_n += chaos_reuses(chaos) ? 1u : 0u;
    }
    assert_in_range(rejected_n, ROUNDS * CHAOS_NONCE_PERCENT / 100 - 500,
                    ROUNDS * CHAOS_NONCE_PERCENT / 100 + 500);
    assert_in_range(reused_n, ROUNDS * CHAOS_REUSE_PERCENT / 100 - 1000,
                    ROUNDS * CHAOS_REUSE_PERCENT / 100 + 1000);
    assert_in_range(least_ms, 0, CHAOS_DELAY_MS_MAX / 10);
    assert_in_range(most_ms, CHAOS_DELAY_MS_MAX - CHAOS_DELAY_MS_MAX / 10, CHAOS_DELAY_MS_MAX);
    chaos_free(chaos);
}

static void assert_permutation(const uint8_t *order, size_t n)
{
    bool seen[256] = {false};

    for (size_t i = 0; i < n; i++) {
        assert_true(order[i] < n);
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
    }
}

static void shuffles_give_every_permutation(void **state)
{
    struct chaos *chaos = fresh();
    unsigned seen_n[27] = {0}; /* by the digits in base 3 */
    uint8_t order[257];

    (void)state;
    memset(order, 0xee, sizeof(order));
    for (size_t n = 0; n <= 256; n++) {
        chaos_shuffle(chaos, order, n);
        assert_permutation(order, n);
        assert_int_equal(0xee, order[n]);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        chaos_shuffle(chaos, order, 3);
        seen_n[order[0] * 9u + order[1] * 3u + order[2]]++;
    }
    for (size_t i = 0; i < 27; i++) {
        size_t a = i / 9;
        size_t b = i / 3 % 3;
        size_t c = i % 3;
        if (a != b && b != c && a != c) {
            assert_in_range(seen_n[i], ROUNDS / 6 - 750, ROUNDS / 6 + 750);
        } else {
            assert_int_equal(0, seen_n[i]);
        }
    }
    chaos_free(chaos);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_chaos_nothing_happens),
        cmocka_unit_test(shares_are_what_they_say),
        cmocka_unit_test(shuffles_give_every_permutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
