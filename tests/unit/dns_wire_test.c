/* Numbers of DNS messages: network order, serial number arithmetic at its edges, names of RCODEs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"
#include "dns/wire.h"

/* RFC 1982 §3.2 with SERIAL_BITS 32. */
static void test_serials_have_no_largest_one(void **state)
{
    static const struct {
        uint32_t a, b;
        bool is_newer; /* a than b */
    } CASES[] = {
        {0, 0, false},
        {UINT32_MAX, UINT32_MAX, false},
        {1, 0, true},
        {0, 1, false},
        {0, UINT32_MAX, true},
        {UINT32_MAX, 0, false},
        {0x7fffffff, 0, true}, /* the longest step forward */
        {0, 0x7fffffff, false},
        {0x80000000, 0, false}, /* half the space apart: not defined, so newer to nobody */
        {0, 0x80000000, false},
        {0x80000001, 0, false}, /* shorter the other way round */
        {0, 0x80000001, true},
        {2026112200, 2026112199, true},
        {2026112199, 2026112200, false},
        {0xfffffff0 + 0x7fffffff, 0xfffffff0, true}, /* the same steps across the end */
        {0xfffffff0 + 0x80000000, 0xfffffff0, false},
        {0xfffffff0, 0xfffffff0 + 0x80000000, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        if (serial_is_newer(CASES[i].a, CASES[i].b) != CASES[i].is_newer) {
            fail_msg("is %u newer than %u?", (unsigned)CASES[i].a, (unsigned)CASES[i].b);
        }
    }
}

/* Never both; neither for the same and for the opposite one only. */
static void test_serials_are_newer_one_way(void **state)
{
    (void)state;
    for (uint64_t step = 0; step <= UINT32_MAX; step += 65521) {
        uint32_t a = (uint32_t)step * 2654435761u;
        uint32_t b = a + (uint32_t)step;
        bool is_defined = step != 0 && step != UINT32_C(0x80000000);
        assert_int_equal(serial_is_newer(a, b) + serial_is_newer(b, a), is_defined ? 1 : 0);
    }
}

static void test_numbers_are_in_network_order(void **state)
{
    static const uint8_t WANT[] = {0xee, 0x01, 0x02, 0xfe, 0xdc, 0xba, 0x98, 0xee};
    uint8_t out[sizeof(WANT)];

    (void)state;
    memset(out, 0xee, sizeof(out));
    wire_put16(out + 1, 0x0102);
    wire_put32(out + 3, 0xfedcba98);
    assert_memory_equal(out, WANT, sizeof(out));
    assert_int_equal(wire_get16(out + 1), 0x0102);
    assert_int_equal(wire_get16(out + 3), 0xfedc);
    assert_int_equal(wire_get32(out + 3), 0xfedcba98);
    wire_put16(out + 1, 0xabc0304); /* the low 16 bits */
    assert_int_equal(wire_get16(out + 1), 0x0304);
    assert_memory_equal(out + 3, WANT + 3, sizeof(out) - 3);
}

static void test_serial_of_an_soa_stands_before_its_times(void **state)
{
    uint8_t rdata[2 + DNS_SOA_NUMBERS_LEN] = {0, 0, 0xff, 0xfe, 0xfd, 0xfc, 9, 9, 9, 9};

    (void)state;
    assert_int_equal(wire_soa_serial(rdata, sizeof(rdata)), 0xfffefdfc);
    assert_int_equal(wire_soa_serial(rdata + 2, DNS_SOA_NUMBERS_LEN), 0xfffefdfc);
    assert_int_equal(wire_soa_serial(rdata + 2, DNS_SOA_NUMBERS_LEN - 1), 0);
    assert_int_equal(wire_soa_serial(NULL, 0), 0);
}

static void test_opcode_stands_between_the_flags(void **state)
{
    const uint8_t query[DNS_HEADER_LEN] = {0, 0, FLAG_QR | FLAG_AA | FLAG_TC | FLAG_RD, 0xff};
    const uint8_t notify[DNS_HEADER_LEN] = {0xff, 0xff, OPCODE_NOTIFY << OPCODE_SHIFT | FLAG_AA};
    const uint8_t update[DNS_HEADER_LEN] = {0, 0, 0x28};
    const uint8_t last[DNS_HEADER_LEN] = {0, 0, OPCODE_BITS};

    (void)state;
    assert_int_equal(wire_opcode(query), OPCODE_QUERY);
    assert_int_equal(wire_opcode(notify), OPCODE_NOTIFY);
    assert_int_equal(wire_opcode(update), OPCODE_UPDATE);
    assert_int_equal(wire_opcode(last), 15);
}

static void test_rcodes_have_names(void **state)
{
    (void)state;
    assert_string_equal(wire_rcode_text(RCODE_NOERROR), "NOERROR");
    assert_string_equal(wire_rcode_text(RCODE_NOTZONE), "NOTZONE");
    assert_null(wire_rcode_text(RCODE_NOTZONE + 1));
    assert_string_equal(wire_rcode_text(RCODE_BADVERS), "BADVERS");
    assert_string_equal(wire_rcode_text(RCODE_BADCOOKIE), "BADCOOKIE");
    assert_null(wire_rcode_text(RCODE_BADCOOKIE + 1));
    assert_null(wire_rcode_text(UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serials_have_no_largest_one),
        cmocka_unit_test(test_serials_are_newer_one_way),
        cmocka_unit_test(test_numbers_are_in_network_order),
        cmocka_unit_test(test_serial_of_an_soa_stands_before_its_times),
        cmocka_unit_test(test_opcode_stands_between_the_flags),
        cmocka_unit_test(test_rcodes_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
