/* Answers in words. */
#include "tests/unit/dns_answer_world.h"

#define CONFIG                                                                                     \
    "state_dir: /tmp\n"                                                                            \
    "hostname: ca.svc.test\n"                                                                      \
    "addresses: [192.0.2.1]\n"                                                                     \
    "zones:\n"                                                                                     \
    "  - {name: svc.test, ingress: [192.0.2.80]}\n"                                                \
    "  - {name: p.test, plain: true}\n"                                                            \
    "delegate_zone: acme.svc.test\n"
#define SOA_LINE                                                                                   \
    "  authority p.test.\t5\tIN\tSOA\tca.svc.test. hostmaster.p.test. 100 60 60 604800 5\n"

static const char *const records[] = {
    "alias.svc.test. 300 CNAME www.p.test.", "out.svc.test. 300 CNAME www.example.org.",
    "www.p.test. 300 A 192.0.2.10",          "www.p.test. 300 TXT \"www\"",
    "sub.p.test. 300 NS ns.example.org.",    "d.p.test. 300 DNAME www.p.test.",
    "*.w.p.test. 300 A 192.0.2.12",          "a.b.c.p.test. 300 A 192.0.2.13",
};

struct row {
    const char *name;
    uint16_t type;
    const char *want; /* is in the text */
};

static void test_names(void **state)
{
    static const char *const bad[] = {
        "", "a..b", ".a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    struct world w = world_open(CONFIG, records, ARRAY_N(records));
    struct buf text = BUF_INIT(65536);

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        struct err e = answer_explain(w.snap, bad[i], 1, &text);
        if (e.code != ERR_MALFORMED) {
            fail_msg("%s: %d %s", bad[i], (int)e.code, buf_str(&text));
        }
    }
    buf_clear(&text);
    world_close(&w);
}

static void test_words(void **state)
{
    static const struct row rows[] = {
        {"example.org", 1,
         "example.org: in no zone that is served here: forwarded where dns.forward lets the asker, "
         "else the answer ends here\nanswer: REFUSED: not a name of ours\n"},
        {"alias.svc.test", 1,
         "alias.svc.test: in zone svc.test: stored here: CNAME\n"
         "www.p.test: in zone p.test (plain): stored here: A, TXT\n"
         "answer: NOERROR, authoritative: a stored CNAME\n"
         "  answer alias.svc.test.\t300\tIN\tCNAME\twww.p.test.\n"
         "  answer www.p.test.\t300\tIN\tA\t192.0.2.10\n"},
        {"out.svc.test", 1, "\nwww.example.org: in no zone that is served here: "},
        {"sub.p.test", 1, "delegated to other servers at sub.p.test\n"},
        {"x.sub.p.test", 1, "answer: NOERROR: a delegation to other servers\n"},
        {"x.d.p.test", 1,
         "x.d.p.test: in zone p.test (plain): redirected by the DNAME at d.p.test\n"},
        {"x.w.p.test", 1, "covered by the wildcard *.w.p.test, which has: A\n"},
        {"b.c.p.test", 1, "b.c.p.test: in zone p.test (plain): the name exists, but has no record"},
        {"none.p.test", 1,
         "none.p.test: in zone p.test (plain): nothing stored\n"
         "answer: NXDOMAIN, authoritative: there is no such name\n" SOA_LINE},
        {"_x.svc.test", 1, "nothing stored, and no host name: nothing is made up for it\n"},
        {"X.svc.test", 1,
         "x.svc.test: in zone svc.test: nothing stored: the ingress answers for addresses\n"
         "answer: NOERROR, authoritative: the zone's ingress\n"
         "  answer x.svc.test.\t60\tIN\tA\t192.0.2.80\n"},
        {"x.svc.test", 16, "answer: NOERROR, authoritative: the name has no such record\n"},
        {"ca.svc.test", 1, "the name of this server: its own addresses\n"},
        {"_acme-challenge.x.svc.test", 16,
         "automatic CNAME to the delegate name x.svc.test.acme.svc.test, which holds 1 value(s)\n"
         "answer: NOERROR, authoritative: the automatic CNAME of a challenge\n"},
        {"x.svc.test.acme.svc.test", 16,
         "x.svc.test.acme.svc.test: in the delegate zone acme.svc.test: 1 value(s) published "
         "here\nanswer: NOERROR, authoritative: a value in the delegate zone\n"},
        {"_validation-persist.x.svc.test", 16, "a persistent validation name with 0 text(s)\n"},
        {"p.test.", 6, "answer: NOERROR, authoritative: SOA or NS of a zone of ours\n"},
    };
    struct world w = world_open(CONFIG, records, ARRAY_N(records));
    struct buf text = BUF_INIT(65536);
    struct zone_value value = make_value(1, "a");

    (void)state;
    zone_read_end(w.reader);
    assert_int_equal(zone_value_add(w.db, "x.svc.test.acme.svc.test", &value, 101).code, ERR_OK);
    w.snap = zone_read_begin(w.reader);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        buf_reset(&text);
        assert_int_equal(answer_explain(w.snap, rows[i].name, rows[i].type, &text).code, ERR_OK);
        if (strstr(buf_str(&text), rows[i].want) == NULL) {
            fail_msg("%s %u\n%s", rows[i].name, (unsigned)rows[i].type, buf_str(&text));
        }
    }
    buf_clear(&text);
    world_close(&w);
}

static void test_reasons(void **state)
{
    (void)state;
    for (int i = 0; i < ANSWER_REASONS_N; i++) {
        const char *text = answer_reason_text((enum answer_reason)i);
        assert_true(strlen(text) > 5);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(text, answer_reason_text((enum answer_reason)k));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_reasons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
