#include <pthread.h>
#include <stdatomic.h>

#include "core/util/mem.h"
#include "dns/rrl.h"
#include "tests/unit/dns_maker.h"

static struct ip_addr ip_of(const char *text)
{
    struct ip_addr ip;

    assert_int_equal(ip_parse(text, &ip).code, ERR_OK);
    return ip;
}

static struct rrl *make(uint32_t per_second)
{
    struct rrl *rrl = NULL;

    assert_int_equal(rrl_new(per_second, &rrl).code, ERR_OK);
    return rrl;
}

static void test_bounds(void **state)
{
    struct rrl *rrl = NULL;

    (void)state;
    assert_int_equal(rrl_new(0, &rrl).code, ERR_CONFIG);
    assert_int_equal(rrl_new(1000001, &rrl).code, ERR_CONFIG);
    assert_null(rrl);
    rrl_free(NULL);
}

/* A second's worth at once, then every second one slips, then as fast as time goes. */
static void test_rate(void **state)
{
    static const uint32_t rates[] = {1, 3, 10, 7919, 1000000};
    struct ip_addr peer = ip_of("192.0.2.1");

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rates); i++) {
        struct rrl *rrl = make(rates[i]);
        int64_t now_ms = 123456789;
        for (uint32_t k = 0; k < rates[i]; k++) {
            assert_int_equal(rrl_check(rrl, &peer, now_ms), RRL_SEND);
        }
        for (unsigned k = 0; k < 6; k++) {
            assert_int_equal(rrl_check(rrl, &peer, now_ms), k % 2 == 0 ? RRL_SLIP : RRL_DROP);
        }
        uint32_t sent = 0;
        for (now_ms += 500; rrl_check(rrl, &peer, now_ms) == RRL_SEND; sent++) {
        }
        assert_true(sent <= rates[i] / 2 && sent + 1 + rates[i] / 100 >= rates[i] / 2);
        sent = 0;
        for (now_ms += 3600 * 1000; rrl_check(rrl, &peer, now_ms) == RRL_SEND; sent++) {
        }
        assert_int_equal(sent, rates[i]); /* no more is saved up */
        rrl_free(rrl);
    }
}

static void test_networks(void **state)
{
    static const struct {
        const char *first, *second;
        bool is_shared;
    } rows[] = {
        {"192.0.2.1", "192.0.2.255", true},
        {"192.0.2.1", "192.0.3.1", false},
        {"2001:db8::1", "2001:db8:0:ff:ffff::1", true},
        {"2001:db8::1", "2001:db8:0:100::1", false},
        {"0.0.0.0", "::1:0:0:0", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct rrl *rrl = make(1);
        struct ip_addr first = ip_of(rows[i].first);
        struct ip_addr second = ip_of(rows[i].second);
        assert_int_equal(rrl_check(rrl, &first, 1000), RRL_SEND);
        assert_int_equal(rrl_check(rrl, &second, 1000), rows[i].is_shared ? RRL_SLIP : RRL_SEND);
        rrl_free(rrl);
    }
}

static struct ip_addr network(uint32_t n)
{
    struct ip_addr ip = {4, {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 1}};

    return ip;
}

/* More networks than words: newcomers are served, and the one that floods is not forgotten. */
static void test_crowd(void **state)
{
    enum { FLOOD = 1000, NETWORKS = 200000 };
    struct rrl *rrl = make(100);
    struct ip_addr flooder = ip_of("203.0.113.5");

    (void)state;
    for (unsigned i = 0; i < FLOOD; i++) {
        assert_int_equal(rrl_check(rrl, &flooder, 1000) == RRL_SEND, i < 100);
    }
    unsigned refused = 0;
    for (uint32_t i = 0; i < NETWORKS; i++) {
        struct ip_addr peer = network(i);
        refused += rrl_check(rrl, &peer, 1000) != RRL_SEND;
    }
    assert_true(refused < NETWORKS / 1000); /* tags are 15 bits long */
    assert_int_not_equal(rrl_check(rrl, &flooder, 1000), RRL_SEND);
    rrl_free(rrl);
}

/* A newcomer takes the place of another network, not its debt: with one answer a second nobody has any left. */
static void test_no_debt_of_others(void **state)
{
    enum { NETWORKS = 200000 };
    struct rrl *rrl = make(1);
    unsigned refused = 0;

    (void)state;
    for (uint32_t i = 0; i < NETWORKS; i++) {
        struct ip_addr peer = network(i);
        refused += rrl_check(rrl, &peer, 1000) != RRL_SEND;
    }
    assert_true(refused < NETWORKS / 1000); /* tags are 15 bits long */
    rrl_free(rrl);
}

struct hammer {
    struct rrl *rrl;
    _Atomic unsigned sent;
};

static void *hammer_main(void *arg)
{
    struct hammer *h = arg;
    struct ip_addr peer = {4, {192, 0, 2, 1}};

    for (unsigned i = 0; i < 20000; i++) {
        if (rrl_check(h->rrl, &peer, 5000) == RRL_SEND) {
            atomic_fetch_add(&h->sent, 1);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct hammer h = {make(1000), 0};
    pthread_t threads[4];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hammer_main, &h), 0);
    }
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(h.sent, 1000);
    rrl_free(h.rrl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_no_debt_of_others),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
