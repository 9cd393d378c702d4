/* Server cookies: RFC 9018 Appendix A, and what is not accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"
#include "dns/cookie.h"

#define OLD_KEY "dd3bdf9344b678b185a6f5cb60fca715"
#define NEW_KEY "445536bcd2513298075a5d379663c962"
#define FIRST_KEY "e5e973e5a6b2a43f48e7dc849e37bfcf"

static size_t from_hex(const char *text, uint8_t *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(text) / 2;

    for (size_t i = 0; i < n; i++) {
        const char *high = strchr(digits, text[2 * i]);
        const char *low = strchr(digits, text[2 * i + 1]);
        assert_non_null(high);
        assert_non_null(low);
        out[i] = (uint8_t)((high - digits) << 4 | (low - digits));
    }
    return n;
}

struct row {
    const char *keys[2];
    const char *peer;
    uint32_t now;
    const char *option;
    enum cookie_state state;
    const char *answer; /* NULL: not looked at */
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t keys[2][COOKIE_KEY_LEN];
        uint8_t option[64];
        uint8_t got[COOKIE_LEN];
        uint8_t want[COOKIE_LEN];
        struct ip_addr peer;
        (void)from_hex(rows[i].keys[0], keys[0]);
        (void)from_hex(rows[i].keys[1], keys[1]);
        assert_int_equal(ip_parse(rows[i].peer, &peer).code, ERR_OK);
        size_t len = from_hex(rows[i].option, option);
        assert_true(cookie_is_length(len));
        uint8_t *exact = mem_dup(option, len);
        assert_non_null(exact);
        enum cookie_state state = cookie_answer((const uint8_t(*)[COOKIE_KEY_LEN])keys, 2, &peer,
                                                rows[i].now, exact, len, got);
        mem_free(exact);
        if (state != rows[i].state) {
            fail_msg("row %zu: state %d", i, (int)state);
        }
        assert_memory_equal(got, option, COOKIE_CLIENT_LEN);
        if (rows[i].answer != NULL) {
            assert_int_equal(from_hex(rows[i].answer, want), COOKIE_LEN);
            assert_memory_equal(got, want, COOKIE_LEN);
        }
    }
}

#define A1 "2464c4abcf10c957010000005cf79f111f8130c3eee29480"
static void test_bad(void **state)
{
    static const struct row rows[] = {
        /* another address, family, key, client's cookie, version, reserved octets, time, hash */
        {{FIRST_KEY, NEW_KEY}, "198.51.100.101", 1559731985, A1, COOKIE_BAD, NULL},
        {{FIRST_KEY, NEW_KEY}, "2001:db8::1", 1559731985, A1, COOKIE_BAD, NULL},
        {{OLD_KEY, NEW_KEY}, "198.51.100.100", 1559731985, A1, COOKIE_BAD, NULL},
        {{FIRST_KEY, NEW_KEY},
         "198.51.100.100",
         1559731985,
         "2464c4abcf10c958010000005cf79f111f8130c3eee29480",
         COOKIE_BAD,
         NULL},
        {{FIRST_KEY, NEW_KEY},
         "198.51.100.100",
         1559731985,
         "2464c4abcf10c957020000005cf79f111f8130c3eee29480",
         COOKIE_BAD,
         NULL},
        {{FIRST_KEY, NEW_KEY},
         "198.51.100.100",
         1559731985,
         "2464c4abcf10c957010000015cf79f111f8130c3eee29480",
         COOKIE_BAD,
         NULL},
        {{FIRST_KEY, NEW_KEY},
         "198.51.100.100",
         1559731985,
         "2464c4abcf10c957010000005cf79f121f8130c3eee29480",
         COOKIE_BAD,
         NULL},
        {{FIRST_KEY, NEW_KEY},
         "198.51.100.100",
         1559731985,
         "2464c4abcf10c957010000005cf79f111f8130c3eee29481",
         COOKIE_BAD,
         A1},
        /* of another make */
        {{FIRST_KEY, NEW_KEY},
         "198.51.100.100",
         1559731985,
         "2464c4abcf10c9570100000000000000",
         COOKIE_BAD,
         A1},
        {{FIRST_KEY, NEW_KEY},
         "198.51.100.100",
         1559731985,
         "2464c4abcf10c957010000005cf79f111f8130c3eee2948000",
         COOKIE_BAD,
         A1},
        {{FIRST_KEY, NEW_KEY},
         "198.51.100.100",
         1559731985,
         A1 "0000000000000000"
            "0000000000000000",
         COOKIE_BAD,
         A1},
        /* an hour is long enough; five minutes ahead are an honest clock */
        {{FIRST_KEY, NEW_KEY}, "198.51.100.100", 1559731985 + 3601, A1, COOKIE_BAD, NULL},
        {{FIRST_KEY, NEW_KEY}, "198.51.100.100", 1559731985 + 3600, A1, COOKIE_GOOD, NULL},
        {{FIRST_KEY, NEW_KEY}, "198.51.100.100", 1559731985 - 300, A1, COOKIE_GOOD, NULL},
        {{FIRST_KEY, NEW_KEY}, "198.51.100.100", 1559731985 - 301, A1, COOKIE_BAD, NULL},
    };

    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
    for (size_t len = 0; len < 64; len++) {
        assert_int_equal(cookie_is_length(len), len == 8 || (len >= 16 && len <= 40));
    }
}

static void test_rfc9018(void **state)
{
    static const struct row rows[] = {
        /* A.1: a new one; for half an hour it stays the same */
        {{FIRST_KEY, NEW_KEY}, "198.51.100.100", 1559731985, "2464c4abcf10c957", COOKIE_ALONE, A1},
        {{FIRST_KEY, NEW_KEY}, "198.51.100.100", 1559731985, A1, COOKIE_GOOD, A1},
        {{FIRST_KEY, NEW_KEY}, "198.51.100.100", 1559731985 + 1800, A1, COOKIE_GOOD, A1},
        /* A.2: renewed */
        {{FIRST_KEY, NEW_KEY},
         "198.51.100.100",
         1559734385,
         A1,
         COOKIE_GOOD,
         "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"},
        /* A.3: with reserved octets; good while it was young, replaced in any case */
        {{FIRST_KEY, NEW_KEY},
         "203.0.113.203",
         1559734700,
         "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
         COOKIE_BAD,
         "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"},
        {{FIRST_KEY, NEW_KEY},
         "203.0.113.203",
         1559727985 + 60,
         "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
         COOKIE_GOOD,
         "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"},
        /* A.4: the secret rolled over */
        {{NEW_KEY, OLD_KEY},
         "2001:db8:220:1:59de:d0f4:8769:82b8",
         1559741961,
         "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
         COOKIE_GOOD,
         "22681ab97d52c298010000005cf7c609a6bb79d16625507a"},
    };

    (void)state;
    check(rows, sizeof(rows) / sizeof(rows[0]));
}

/* For half an hour the same one, a second later a new one, which is good as it is. RFC 9018 §4.3 */
static void test_renewed_after_half_an_hour(void **state)
{
    uint8_t keys[2][COOKIE_KEY_LEN];
    uint8_t option[COOKIE_LEN];
    uint8_t got[COOKIE_LEN];
    uint8_t again[COOKIE_LEN];
    const uint8_t(*k)[COOKIE_KEY_LEN] = (const uint8_t(*)[COOKIE_KEY_LEN])keys;
    const uint32_t made = 1559731985;
    struct ip_addr peer;

    (void)state;
    (void)from_hex(FIRST_KEY, keys[0]);
    (void)from_hex(NEW_KEY, keys[1]);
    (void)from_hex(A1, option);
    assert_int_equal(ip_parse("198.51.100.100", &peer).code, ERR_OK);
    for (uint32_t age = 1799; age <= 1802; age++) {
        uint32_t now = made + age;
        assert_int_equal(cookie_answer(k, 2, &peer, now, option, sizeof(option), got), COOKIE_GOOD);
        assert_int_equal(memcmp(got, option, sizeof(got)) == 0, age <= COOKIE_RENEW_S);
        assert_int_equal(cookie_answer(k, 2, &peer, now, got, sizeof(got), again), COOKIE_GOOD);
        assert_memory_equal(again, got, sizeof(got));
    }
    assert_int_equal(COOKIE_RENEW_S, 1800);
}

/* The vectors of the SipHash paper's reference: key 00..0f, message 00..n-1. */
static void test_siphash(void **state)
{
    static const struct {
        size_t len;
        uint64_t want;
    } rows[] = {{0, 0x726fdb47dd0e0e31u}, {1, 0x74f839c593dc67fdu},  {7, 0xab0200f58b01d137u},
                {8, 0x93f5f5799a932462u}, {15, 0xa129ca6149be45e5u}, {63, 0x958a324ceb064572u}};
    uint8_t key[COOKIE_KEY_LEN];
    uint8_t data[64];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)i;
    }
    memcpy(key, data, sizeof(key));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(cookie_siphash(key, data, rows[i].len) == rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_rfc9018),
        cmocka_unit_test(test_renewed_after_half_an_hour),
        cmocka_unit_test(test_siphash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
