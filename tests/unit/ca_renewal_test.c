/* Renewal identifiers and windows. */
#include "ca_fixture.h"

#include <openssl/pem.h>

#include "ca/renewal.h"

#define HOUR_S ((int64_t)3600)
#define DAY_S ((int64_t)86400)
#define FROM ((int64_t)1767225600)

static void broken_identifiers_are_refused(void **state)
{
    static const char *const TEXTS[] = {
        "",
        ".",
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ",
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.",
        ".AIdlQyE",
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE.",
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ..AIdlQyE",
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE=",
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ=.AIdlQyE",
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AId lQyE",
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyF", /* trailing bits */
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.+/dlQyE",
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.h2VDIQ",                       /* negative */
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AAdlQyE",                      /* a needless sign octet */
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AQEBAQEBAQEBAQEBAQEBAQEBAQEB", /* 21 octets */
        "aYhba4dGQEHhs3uEe6CuLN4ByNQ."
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBA"
        "QEB",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(TEXTS); i++) {
        char serial[CA_SERIAL_HEX_MAX + 1] = "";
        /* An exact-size copy, so that a sanitizer sees a read past the end. */
        char *exact = mem_strdup(TEXTS[i]);
        assert_non_null(exact);
        assert_int_equal(renewal_id_serial(exact, serial).code, ERR_MALFORMED);
        mem_free(exact);
    }
}

static void a_serial_comes_out_of_an_identifier(void **state)
{
    static const struct {
        const char *text, *serial;
    } rows[] = {
        {"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", "87654321"}, /* RFC 9773 §4.1 */
        {"AA.AQ", "01"},
        {"AA.AA", "00"},
        {"AA.AQEBAQEBAQEBAQEBAQEBAQEBAQE", "0101010101010101010101010101010101010101"},
        {"AA.AP__________________________", "ffffffffffffffffffffffffffffffffffffffff"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        char serial[CA_SERIAL_HEX_MAX + 1] = "";
        assert_ok(renewal_id_serial(rows[i].text, serial));
        assert_string_equal(serial, rows[i].serial);
    }
}

/* RFC 9773 appendix A: its certificate's authority key identifier and serial. */
static void the_example_of_the_rfc_has_its_identifier(void **state)
{
    static const char PEM[] = "-----BEGIN CERTIFICATE-----\n"
                              "MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
                              "cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
                              "BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
                              "7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
                              "qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
                              "yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
                              "+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
                              "-----END CERTIFICATE-----\n";
    char id[CA_RENEWAL_ID_MAX + 1];
    char *name = NULL;
    char *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    BIO *bio = BIO_new_mem_buf(PEM, -1);

    (void)state;
    assert_int_equal(PEM_read_bio(bio, &name, &header, &der, &len), 1);
    assert_ok(ca_renewal_id(der, (size_t)len, id));
    assert_string_equal(id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    BIO_free(bio);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
}

static struct ca_cert_info make_info(const char *id, int64_t life)
{
    struct ca_cert_info info = {.not_before = FROM, .not_after = FROM + life - 1};

    (void)snprintf(info.id, sizeof(info.id), "%s", id);
    return info;
}

static void windows_lie_at_two_thirds_of_the_life(void **state)
{
    static const int64_t LIVES[] = {HOUR_S,      2 * HOUR_S,      12 * HOUR_S, DAY_S,
                                    6 * DAY_S,   30 * DAY_S,      90 * DAY_S,  398 * DAY_S,
                                    825 * DAY_S, 20 * 365 * DAY_S};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(LIVES); i++) {
        int64_t life = LIVES[i];
        for (int n = 0; n < 200; n++) {
            char id[OBJECT_ID_LEN + 1];
            int64_t start = 0;
            int64_t end = 0;
            int64_t again_start = 0;
            int64_t again_end = 0;
            (void)snprintf(id, sizeof(id), "certificate-%d", n);
            const struct ca_cert_info info = make_info(id, life);
            ca_renewal_window(&info, FROM + n, &start, &end);
            assert_true(start >= FROM + life * 2 / 3 - 1);
            assert_true(start < end);
            assert_true(end <= FROM + life * 2 / 3 + life * 4 / 100);
            assert_true(end < info.not_after);
            ca_renewal_window(&info, FROM + life - n, &again_start, &again_end);
            assert_int_equal(again_start, start);
            assert_int_equal(again_end, end);
        }
    }
}

static void a_fleet_is_spread(void **state)
{
    int64_t first = INT64_MAX;
    int64_t last = 0;

    (void)state;
    for (int n = 0; n < 200; n++) {
        char id[OBJECT_ID_LEN + 1];
        int64_t start = 0;
        int64_t end = 0;
        (void)snprintf(id, sizeof(id), "certificate-%d", n);
        const struct ca_cert_info info = make_info(id, 90 * DAY_S);
        ca_renewal_window(&info, FROM, &start, &end);
        first = start < first ? start : first;
        last = start > last ? start : last;
    }
    assert_true(last - first > DAY_S);
}

static void what_should_go_has_a_window_in_the_past(void **state)
{
    static const int64_t LIVES[] = {1, 2, HOUR_S, 90 * DAY_S, 825 * DAY_S};
    /* Seconds after notBefore. */
    static const int64_t TIMES[] = {1, 2, 1800, HOUR_S, 45 * DAY_S, 1000 * DAY_S};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(LIVES); i++) {
        for (size_t k = 0; k < ARRAY_N(TIMES); k++) {
            int64_t now = FROM + TIMES[k];
            struct ca_cert_info revoked = make_info("revoked", LIVES[i]);
            struct ca_cert_info ahead = make_info("ahead", LIVES[i]);
            struct ca_cert_info due = make_info("due", LIVES[i]);
            struct ca_cert_info *const all[] = {&revoked, &ahead, &due};
            revoked.revoked_unix = FROM + 1;
            ahead.revoked_unix = now + 500; /* the clock went back */
            due.renew_by_unix = now;
            for (size_t n = 0; n < ARRAY_N(all); n++) {
                int64_t start = 0;
                int64_t end = 0;
                ca_renewal_window(all[n], now, &start, &end);
                assert_true(start < end);
                assert_true(end < now);
                assert_true(end <= all[n]->not_after);
            }
        }
    }
}

static void a_planned_change_ends_the_window(void **state)
{
    struct ca_cert_info info = make_info("planned", 90 * DAY_S);
    int64_t now = FROM + 10 * DAY_S;
    int64_t plain_start = 0;
    int64_t plain_end = 0;
    int64_t start = 0;
    int64_t end = 0;

    (void)state;
    ca_renewal_window(&info, now, &plain_start, &plain_end);
    info.renew_by_unix = FROM + 20 * DAY_S;
    ca_renewal_window(&info, now, &start, &end);
    assert_int_equal(end, info.renew_by_unix);
    assert_true(start < end && start > now);
    info.renew_by_unix = FROM + 80 * DAY_S; /* after it should be renewed anyway */
    ca_renewal_window(&info, now, &start, &end);
    assert_int_equal(start, plain_start);
    assert_int_equal(end, plain_end);
}

static void impossible_rows_give_a_window_all_the_same(void **state)
{
    static const struct {
        int64_t not_before, not_after, renew_by, revoked;
    } rows[] = {{0, 0, 0, 0},
                {FROM, FROM, 0, 0},
                {FROM, FROM - 5, 0, 0},
                {FROM, FROM + 1, 1, 0},
                {FROM, FROM + 1, 1, 1},
                {0, (int64_t)1 << 45, 0, 0},
                {INT64_MIN, INT64_MAX, 0, 0},
                {INT64_MIN, INT64_MAX, INT64_MIN, INT64_MIN},
                {INT64_MAX, FROM, INT64_MAX, INT64_MAX},
                {FROM, FROM + DAY_S, -5, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        const struct ca_cert_info info = {.not_before = rows[i].not_before,
                                          .not_after = rows[i].not_after,
                                          .renew_by_unix = rows[i].renew_by,
                                          .revoked_unix = rows[i].revoked};
        int64_t start = 0;
        int64_t end = 0;
        ca_renewal_window(&info, FROM, &start, &end);
        assert_true(start < end);
        assert_true(end <= info.not_after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_identifiers_are_refused),
        cmocka_unit_test(a_serial_comes_out_of_an_identifier),
        cmocka_unit_test(the_example_of_the_rfc_has_its_identifier),
        cmocka_unit_test(windows_lie_at_two_thirds_of_the_life),
        cmocka_unit_test(a_fleet_is_spread),
        cmocka_unit_test(what_should_go_has_a_window_in_the_past),
        cmocka_unit_test(a_planned_change_ends_the_window),
        cmocka_unit_test(impossible_rows_give_a_window_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
