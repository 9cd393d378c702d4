/* How names begin, and where their automatic CNAMEs point. */
#include "core/util/mem.h"
#include "dns/zone_table.h"
#include "tests/unit/dns_maker.h"

#define L "_ujmmovf2vn55tgye"

static void test_kinds(void **state)
{
    static const struct {
        const char *name;
        enum label_kind first;
        bool is_rest_ldh;
    } rows[] = {
        {".", LABEL_OTHER, true},
        {"_", LABEL_OTHER, true},
        {"_x.test", LABEL_OTHER, true},
        {"-x.test", LABEL_OTHER, true},
        {"ujmmovf2vn55tgye0", LABEL_LDH, true},
        {"_ujmmovf2vn55tgy.test", LABEL_OTHER, true},
        {"_ujmmovf2vn55tgyee.test", LABEL_OTHER, true},
        {"_ujmmovf2vn55tgy0.test", LABEL_OTHER, true},
        {"_ujmmovf2vn55tgy1.test", LABEL_OTHER, true},
        {"_ujmmovf2vn55tgy8.test", LABEL_OTHER, true},
        {"_ujmmovf2vn55tgy9.test", LABEL_OTHER, true},
        {"_ujmmovf2vn55tg-e.test", LABEL_OTHER, true},
        {"_ujmmovf2vn55tg_e.test", LABEL_OTHER, true},
        {"_ujmmovf2vn55tg\xe1"
         "e.test",
         LABEL_OTHER, true},
        {"_acme-challeng.test", LABEL_OTHER, true},
        {"_acme-challenge_.test", LABEL_OTHER, true},
        {"_validation-persis.test", LABEL_OTHER, true},
        {"_validation-persist_.test", LABEL_OTHER, true},
        {"__ujmmovf2vn55tgy._acme-challenge.test", LABEL_OTHER, false},
        {"a._acme-challenge.test", LABEL_LDH, false},
        {"*._acme-challenge.test", LABEL_STAR, false},
        {"_acme-challenge." L ".test", LABEL_ACME, false},
        {L "." L "._acme-challenge.test", LABEL_ACCOUNT, false},
        {L ".a._acme-challenge.test", LABEL_ACCOUNT, false},
        {L "._acme-challenge._acme-challenge.test", LABEL_ACCOUNT_CHALLENGE, false},
        {L "._acme-challenge.a._b.test", LABEL_ACCOUNT_CHALLENGE, false},
        {L "._acme-challenge.*.test", LABEL_ACCOUNT_CHALLENGE, false},
        {"_validation-persist._acme-challenge.test", LABEL_PERSIST, false},
        {"a.b.test", LABEL_LDH, true},
        {"*.test", LABEL_STAR, true},
        {"_acme-challenge.a.test", LABEL_ACME, true},
        {"_VALIDATION-Persist.a.test", LABEL_PERSIST, true},
        {L ".a.test", LABEL_ACCOUNT, true},
        {"_UJMMovf2vn55tgyE.a.test", LABEL_ACCOUNT, true},
        {"_aaaaaaaaaaaaaaaa.a.test", LABEL_ACCOUNT, true},
        {"_zzzzzzzz22334567", LABEL_ACCOUNT, true},
        {L "._acme-challenge", LABEL_ACCOUNT_CHALLENGE, true},
        {L "._ACME-CHALLENGE.A.test", LABEL_ACCOUNT_CHALLENGE, true},
    };
    struct dns_name name;
    uint8_t wire[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        size_t n = make_name(rows[i].name, wire);
        assert_int_equal(dns_name_read(wire, sizeof(wire), &name), n);
        if (name.first != rows[i].first || name.is_rest_ldh != rows[i].is_rest_ldh) {
            fail_msg("%s: %d %d", rows[i].name, (int)name.first, name.is_rest_ldh);
        }
    }
}

static void test_account_labels(void **state)
{
    static const char *const not_labels[] = {"",
                                             "_",
                                             "_ujmmovf2vn55tgy",
                                             "_ujmmovf2vn55tgyee",
                                             "_UJMMOVF2VN55TGYE",
                                             "aujmmovf2vn55tgye",
                                             "_ujmmovf2vn55tgy1",
                                             "_ujmmovf2vn55tgy.",
                                             "_acme-challenge",
                                             "_ujmmovf2vn55tgy\xff"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(not_labels); i++) {
        assert_false(zone_is_account_label(not_labels[i], strlen(not_labels[i])));
    }
    assert_true(zone_is_account_label(L, strlen(L)));
    assert_true(zone_is_account_label(L ".x", strlen(L))); /* len says where it ends */
}

/* "bbb....<c>.svc.test" of len characters. */
static void make_long(char *name, size_t len)
{
    size_t o = 0;

    while (len - 9 - o > 64) {
        memset(name + o, 'b', 63);
        name[o + 63] = '.';
        o += 64;
    }
    if (len - 9 - o == 64) { /* no label may be that long */
        memcpy(name + o, "c.", 2);
        o += 2;
    }
    memset(name + o, 'c', len - 9 - o);
    memcpy(name + len - 9, ".svc.test", 10);
}

/* Whether an account's label before it makes a hashed name necessary, and whether there is room for
 * one. */
static void test_targets_of_long_names(void **state)
{
    enum want { NOTHING, PLAIN, HASHED };
    static const struct {
        size_t zone_len, base_len;
        enum want want;
    } rows[] = {{181, 54, NOTHING}, {198, 37, NOTHING}, {198, 219, NOTHING}, {181, 53, PLAIN},
                {198, 36, PLAIN},   {180, 54, PLAIN},   {180, 55, HASHED},   {180, 219, HASHED},
                {33, 201, PLAIN},   {33, 202, HASHED},  {33, 219, HASHED},   {15, 219, PLAIN},
                {16, 219, HASHED}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct config *cfg = make_config(MAKER_CONFIG);
        char base[NAME_TEXT_MAX + 1], text[300], got[NAME_TEXT_MAX + 1];
        char want[3 * NAME_TEXT_MAX], hashed[NAME_TEXT_MAX + 1];
        struct zone_table *table = NULL;
        struct dns_name name;
        uint8_t out[NAME_WIRE_MAX];
        size_t suffix = 0;

        make_long(cfg->delegate_zone, rows[i].zone_len);
        make_long(base, rows[i].base_len);
        assert_int_equal(zone_table_new(cfg, &table).code, ERR_OK);
        (void)snprintf(text, sizeof(text), L "._acme-challenge.%s", base);
        assert_true(dns_name_parse(text, &name));
        size_t len = zone_challenge_target(table, &name, out, &suffix);
        assert_int_equal(len == 0, rows[i].want == NOTHING);
        if (len != 0) {
            assert_int_equal(name_from_wire(out, len, got, sizeof(got)).code, ERR_OK);
            char *zone = cfg->delegate_zone;
            (void)snprintf(want, sizeof(want), L ".%s.%s", base, zone);
            if (rows[i].want == HASHED) { /* in that long a zone every name of ours would be */
                char long_zone[NAME_TEXT_MAX + 1];
                make_long(long_zone, 198);
                assert_int_equal(name_delegate(base, long_zone, hashed).code, ERR_OK);
                (void)snprintf(want, sizeof(want), L ".%.54s.%s", hashed, zone);
            }
            assert_string_equal(got, want);
            assert_int_equal(out[suffix], table->delegate->wire[0]);
            assert_int_equal(len - suffix, table->delegate->len);
        }
        zone_table_free(table);
        config_free(cfg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_account_labels),
        cmocka_unit_test(test_targets_of_long_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
