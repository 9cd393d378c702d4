/* Which signed updates were here before. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "dns/update_int.h"

#define PLACES (64u * 1024u)

static struct tsig signed_by(unsigned n, size_t mac_len)
{
    struct tsig tsig = {.is_present = true, .is_verified = true, .time = 1000, .mac_len = mac_len};

    memset(tsig.mac, 0x5a, sizeof(tsig.mac));
    memcpy(tsig.mac + 12, &n, sizeof(n)); /* the last octets that all MACs have */
    return tsig;
}

static enum update_again begin(struct update_seen *seen, const struct tsig *tsig,
                               enum dns_rcode *rcode)
{
    *rcode = RCODE_NOTIMP;
    return update_seen_begin(seen, tsig, rcode);
}

static struct update_seen *new_table(void)
{
    struct update_seen *seen = NULL;

    assert_int_equal(update_seen_new(&seen).code, ERR_OK);
    return seen;
}

static void test_one(void **state)
{
    struct update_seen *seen = new_table();
    const struct tsig first = signed_by(1, 32);
    const struct tsig other = signed_by(2, 32);
    struct tsig cut = signed_by(1, 16);
    enum dns_rcode rcode;

    (void)state;
    assert_int_equal(begin(seen, &first, &rcode), UPDATE_NEW);
    assert_int_equal(begin(seen, &first, &rcode), UPDATE_UNDER_WAY);
    assert_int_equal(rcode, RCODE_NOTIMP);
    assert_int_equal(begin(seen, &other, &rcode), UPDATE_NEW);
    update_seen_end(seen, &first, RCODE_YXRRSET);
    assert_int_equal(begin(seen, &first, &rcode), UPDATE_ANSWERED);
    assert_int_equal(rcode, RCODE_YXRRSET);
    assert_int_equal(begin(seen, &other, &rcode), UPDATE_UNDER_WAY);
    update_seen_end(seen, &other, RCODE_NOERROR);
    assert_int_equal(begin(seen, &other, &rcode), UPDATE_ANSWERED);
    assert_int_equal(rcode, RCODE_NOERROR);
    memset(cut.mac + 16, 0,
           sizeof(cut.mac) - 16); /* somebody cut it on the way: as good as whole */
    assert_int_equal(begin(seen, &cut, &rcode), UPDATE_ANSWERED);
    assert_int_equal(rcode, RCODE_YXRRSET);
    update_seen_free(seen);
    update_seen_free(NULL);
}

/* Our own failure is tried again, and so is what is not signed. */
static void test_not_remembered(void **state)
{
    struct update_seen *seen = new_table();
    const struct tsig failed = signed_by(1, 32);
    const struct tsig none = signed_by(2, 0);
    enum dns_rcode rcode;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(begin(seen, &failed, &rcode), UPDATE_NEW);
        update_seen_end(seen, &failed, RCODE_SERVFAIL);
        assert_int_equal(begin(seen, &none, &rcode), UPDATE_NEW);
        update_seen_end(seen, &none, RCODE_NOERROR);
    }
    update_seen_free(seen);
}

/* Many more than there are places: none that is under way is forgotten before it ends, however many come; of
 * those that are answered the ones go whose signature ends first. */
static void test_full(void **state)
{
    struct update_seen *seen = new_table();
    const struct tsig under_way = signed_by(0, 32);
    enum dns_rcode rcode;
    unsigned late_n = 0;

    (void)state;
    assert_int_equal(begin(seen, &under_way, &rcode), UPDATE_NEW);
    for (unsigned i = 1; i <= 4 * PLACES; i++) {
        struct tsig tsig = signed_by(i, 32);
        tsig.time = i % 8 == 0 ? 2000 : 1000;
        assert_int_equal(begin(seen, &tsig, &rcode), UPDATE_NEW);
        update_seen_end(seen, &tsig, RCODE_REFUSED);
    }
    assert_int_equal(begin(seen, &under_way, &rcode), UPDATE_UNDER_WAY);
    for (unsigned i = 8; i <= 4 * PLACES; i += 8) {
        const struct tsig tsig = signed_by(i, 32);
        late_n += begin(seen, &tsig, &rcode) == UPDATE_ANSWERED;
        update_seen_end(seen, &tsig, RCODE_SERVFAIL); /* its place is free again */
    }
    assert_true(late_n > PLACES / 2 * 9 / 10); /* as many as half of the places: nearly all */
    update_seen_end(seen, &under_way, RCODE_NOERROR);
    assert_int_equal(begin(seen, &under_way, &rcode), UPDATE_ANSWERED);
    update_seen_free(seen);
}

/* All places of a set under way: what comes more is done, and not remembered. */
static void test_all_under_way(void **state)
{
    struct update_seen *seen = new_table();
    enum dns_rcode rcode;
    unsigned known_n = 0;

    (void)state;
    for (unsigned i = 0; i < 4 * PLACES; i++) {
        struct tsig tsig = signed_by(i, 32);
        assert_int_equal(begin(seen, &tsig, &rcode), UPDATE_NEW);
    }
    for (unsigned i = 0; i < 4 * PLACES; i++) {
        struct tsig tsig = signed_by(i, 32);
        known_n += begin(seen, &tsig, &rcode) == UPDATE_UNDER_WAY;
        update_seen_end(seen, &tsig, RCODE_NOERROR); /* also of those that have no place */
    }
    assert_true(known_n > PLACES * 9 / 10);
    update_seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_not_remembered),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_all_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
