#include "ca_fixture.h"

#include "ca/der.h"

#include "core/util/buf.h"

#define BYTES(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void what_is_not_der_is_refused(void **state)
{
    static const struct {
        const char *what;
        uint8_t der[24];
        size_t len;
    } rows[] = {
        {"nothing", {0}, 0},
        {"tag alone", BYTES(0x30)},
        {"body missing", BYTES(0x04, 0x02, 0x01)},
        {"trailing octet", BYTES(0x05, 0x00, 0x00)},
        {"end of contents", BYTES(0x00, 0x00)},
        {"high tag number", BYTES(0x1f, 0x01, 0x00)},
        {"indefinite length", BYTES(0x30, 0x80, 0x00, 0x00)},
        {"long form for a short length", BYTES(0x04, 0x81, 0x01, 0x00)},
        {"leading zero in a length", BYTES(0x04, 0x82, 0x00, 0x80)},
        {"four length octets", BYTES(0x04, 0x84, 0x01, 0x00, 0x00, 0x00)},
        {"reserved length", BYTES(0x04, 0xff, 0x00)},
        {"child longer than its parent", BYTES(0x30, 0x03, 0x04, 0x02, 0x01)},
        {"broken second child", BYTES(0x30, 0x03, 0x05, 0x00, 0x30)},
        {"constructed string", BYTES(0x24, 0x03, 0x04, 0x01, 0x00)},
        {"empty integer", BYTES(0x02, 0x00)},
        {"integer with a spare zero", BYTES(0x02, 0x02, 0x00, 0x7f)},
        {"integer with a spare sign", BYTES(0x02, 0x02, 0xff, 0x80)},
        {"boolean of 1", BYTES(0x01, 0x01, 0x01)},
        {"long boolean", BYTES(0x01, 0x02, 0xff, 0xff)},
        {"null with contents", BYTES(0x05, 0x01, 0x00)},
        {"empty bit string", BYTES(0x03, 0x00)},
        {"eight unused bits", BYTES(0x03, 0x02, 0x08, 0x00)},
        {"unused bits of nothing", BYTES(0x03, 0x01, 0x01)},
        {"unused bit set", BYTES(0x03, 0x02, 0x05, 0xb0)},
        {"only unused bits set", BYTES(0x03, 0x03, 0x07, 0x80, 0x01)},
        {"empty oid", BYTES(0x06, 0x00)},
        {"cut oid", BYTES(0x06, 0x02, 0x2a, 0x86)},
        {"thirteen levels",
         BYTES(0x30, 0x16, 0x30, 0x14, 0x30, 0x12, 0x30, 0x10, 0x30, 0x0e, 0x30, 0x0c, 0x30, 0x0a,
               0x30, 0x08, 0x30, 0x06, 0x30, 0x04, 0x30, 0x02, 0x30, 0x00)},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        uint8_t *exact = mem_dup(rows[i].der, rows[i].len);
        if (der_is_strict(exact, rows[i].len)) {
            fail_msg("%s: taken for DER", rows[i].what);
        }
        mem_free(exact);
    }
}

static void der_is_accepted(void **state)
{
    static const struct {
        uint8_t der[16];
        size_t len;
    } rows[] = {
        {BYTES(0x05, 0x00)},
        {BYTES(0x30, 0x00)},
        {BYTES(0x02, 0x02, 0x00, 0x80)},
        {BYTES(0x02, 0x02, 0xff, 0x7f)},
        {BYTES(0x01, 0x01, 0xff)},
        {BYTES(0x03, 0x01, 0x00)},
        {BYTES(0x03, 0x02, 0x05, 0xa0)},
        {BYTES(0x03, 0x03, 0x07, 0x01, 0x80)},
        {BYTES(0x31, 0x05, 0xa0, 0x03, 0x02, 0x01, 0x05)},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        assert_true(der_is_strict(rows[i].der, rows[i].len));
    }
}

static void a_reader_stays_failed(void **state)
{
    const uint8_t der[] = {0x04, 0x01, 0x07, 0x05, 0x00, 0x05, 0x00};
    struct rd r = rd_init(der, sizeof(der));
    struct der_item item;

    (void)state;
    assert_true(der_expect(&r, 0x04, &item));
    assert_int_equal(item.len, 1);
    assert_int_equal(item.body[0], 7);
    assert_int_equal(item.whole_len, 3);
    assert_false(der_expect(&r, DER_OID, &item));
    assert_false(der_next(&r, &item));
}

static void what_is_written_reads_back(void **state)
{
    static const size_t LENGTHS[] = {0, 1, 127, 128, 255, 256, 65535, 65536};
    static uint8_t body[65536];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(LENGTHS); i++) {
        struct buf out = BUF_INIT(70000);
        struct der_item item;
        der_put(&out, 0x04, body, LENGTHS[i]);
        assert_ok(buf_check(&out));
        struct rd r = rd_init(out.data, out.len);
        assert_true(der_expect(&r, 0x04, &item));
        assert_int_equal(item.len, LENGTHS[i]);
        assert_int_equal(r.left, 0);
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_der_is_refused),
        cmocka_unit_test(der_is_accepted),
        cmocka_unit_test(a_reader_stays_failed),
        cmocka_unit_test(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
