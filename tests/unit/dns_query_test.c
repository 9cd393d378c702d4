/* The form of packets: what is a question, what is not, and which records count. */
#include "dns/query.h"

#include "core/util/mem.h"
#include "tests/unit/dns_maker.h"

#define TSIG 3, 'k', 'e', 'y', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 2, 9, 9
#define OPT 0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0
#define A_RR 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1
#define COOKIE 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8

static enum query_verdict parse(const uint8_t *packet, size_t len, bool is_update,
                                struct dns_query *out)
{
    uint8_t *exact = mem_dup(packet, len); /* ASan sees a read past the end */

    assert_non_null(exact);
    enum query_verdict verdict =
        is_update ? query_parse_update(exact, len, out) : query_parse(exact, len, out);
    if (verdict == QUERY_OK && out->cookie != NULL) {
        assert_in_range(out->cookie - exact, 12, len - out->cookie_len);
    }
    mem_free(exact);
    return verdict;
}

struct row {
    uint8_t counts[3]; /* records by section */
    uint8_t data[64];  /* behind the question */
    size_t len;
    unsigned type;
    enum query_verdict want;
    bool has_tsig, has_edns;
    uint16_t cookie_len;
};
#define DATA(...) {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

static void test_records(void **state)
{
    static const struct row rows[] = {
        /* TSIG: one, last, additional */
        {{0, 0, 2}, DATA(TSIG, OPT), 1, QUERY_FORMERR, false, false, 0},
        {{0, 0, 2}, DATA(TSIG, TSIG), 1, QUERY_FORMERR, false, false, 0},
        {{0, 1, 0}, DATA(TSIG), 251, QUERY_FORMERR, false, false, 0},
        {{0, 0, 2}, DATA(OPT, OPT), 1, QUERY_FORMERR, false, false, 0},
        {{1, 0, 0}, DATA(A_RR), 1, QUERY_FORMERR, false, false, 0},
        {{0, 1, 0}, DATA(A_RR), 1, QUERY_FORMERR, false, false, 0},
        {{0, 0, 1}, DATA(OPT, 0), 1, QUERY_FORMERR, false, false, 0},
        {{0, 0, 2}, DATA(OPT), 1, QUERY_FORMERR, false, false, 0},
        {{0, 0, 1}, DATA(TSIG), 1, QUERY_OK, true, false, 0},
        {{0, 0, 2}, DATA(OPT, TSIG), 1, QUERY_OK, true, true, 0},
        {{0, 0, 2}, DATA(A_RR, TSIG), 1, QUERY_OK, true, false, 0},
        {{0, 0, 1}, DATA(OPT), 1, QUERY_OK, false, true, 0},
        {{0, 0, 1}, DATA(A_RR), 1, QUERY_OK, false, false, 0},
        {{0, 1, 0}, DATA(A_RR), 251, QUERY_OK, false, false, 0},
        {{0, 1, 2}, DATA(A_RR, OPT, TSIG), 251, QUERY_OK, true, true, 0},
        {{0, 0, 1}, DATA(COOKIE), 1, QUERY_OK, false, true, 8},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t packet[512];
        struct dns_query q;
        size_t n = make_query("Svc.test", rows[i].type, packet);
        packet[7] = rows[i].counts[0];
        packet[9] = rows[i].counts[1];
        packet[11] = rows[i].counts[2];
        memcpy(packet + n, rows[i].data, rows[i].len);
        if (parse(packet, n + rows[i].len, false, &q) != rows[i].want) {
            fail_msg("row %zu", i);
        }
        if (rows[i].want != QUERY_OK) {
            continue;
        }
        assert_true(q.has_question);
        assert_int_equal(q.question_end, n);
        assert_int_equal(q.type, rows[i].type);
        assert_int_equal(q.has_tsig, rows[i].has_tsig);
        assert_int_equal(q.has_edns, rows[i].has_edns);
        assert_int_equal(q.cookie == NULL ? 0 : q.cookie_len, rows[i].cookie_len);
        for (size_t len = 0; len < n + rows[i].len; len++) { /* cut anywhere */
            assert_int_equal(parse(packet, len, false, &q), len < 12 ? QUERY_DROP : QUERY_FORMERR);
        }
    }
}

static void test_without_question(void **state)
{
    static const uint8_t cookie[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, COOKIE};
    static const uint8_t opt[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, OPT};
    static const uint8_t with_authority[] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, A_RR, COOKIE};
    struct dns_query q;

    (void)state;
    assert_int_equal(parse(opt, sizeof(opt), false, &q), QUERY_FORMERR);
    assert_int_equal(parse(with_authority, sizeof(with_authority), false, &q), QUERY_FORMERR);
    assert_int_equal(parse(cookie, sizeof(cookie) - 1, false, &q), QUERY_FORMERR);
    assert_int_equal(parse(cookie, sizeof(cookie), false, &q), QUERY_OK);
    assert_false(q.has_question);
    assert_int_equal(q.question_end, 12);
    assert_int_equal(q.cookie_len, 8);
}

static void test_opcodes(void **state)
{
    uint8_t packet[512];
    struct dns_query q;

    (void)state;
    size_t n = make_query("svc.test", 6, packet);
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        packet[2] = (uint8_t)(opcode << 3);
        assert_int_equal(parse(packet, n, false, &q), opcode == 0   ? QUERY_OK
                                                      : opcode == 5 ? QUERY_UPDATE
                                                                    : QUERY_NOTIMP);
        packet[2] |= 0x80;
        assert_int_equal(parse(packet, n, false, &q), QUERY_DROP);
    }
    /* An update's sections: any number of records before the additional ones. */
    static const uint8_t sections[] = {A_RR, A_RR, OPT, TSIG};
    packet[2] = 5 << 3;
    packet[7] = 1;
    packet[9] = 1;
    packet[11] = 2;
    memcpy(packet + n, sections, sizeof(sections));
    assert_int_equal(parse(packet, n + sizeof(sections), true, &q), QUERY_OK);
    assert_true(q.has_tsig && q.has_edns && q.is_dnssec_ok);
    assert_int_equal(q.type, 6);
    assert_int_equal(parse(packet, n + sizeof(sections) - 1, true, &q), QUERY_FORMERR);
    assert_int_equal(parse(packet, n - 1, true, &q), QUERY_FORMERR);
    assert_int_equal(parse(packet, 4, true, &q), QUERY_FORMERR);
    packet[5] = 2;
    assert_int_equal(parse(packet, n + sizeof(sections), true, &q), QUERY_FORMERR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_without_question),
        cmocka_unit_test(test_opcodes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
