/* Edits of stored records: rules, owners, updates' silence, and what DNS answers afterwards. */
#include "records_fixture.h"

#define ZONES                                                                                      \
    "zones:\n"                                                                                     \
    "  - {name: svc.test, ingress: [192.0.2.9]}\n"                                                 \
    "  - {name: plain.test, plain: true}\n"                                                        \
    "  - {name: 2.0.192.in-addr.arpa, plain: true}\n"                                              \
    "  - {name: elsewhere.test, serve: false}\n"                                                   \
    "delegate_zone: acme.svc.test\n"

static int setup(void **state)
{
    *state = fixture_new(ZONES);
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *owner, *type, *rdata, *why;
    } CASES[] = {
        {"x.example", "A", "10.0.0.1", "no zone that this server answers for"},
        {"x.elsewhere.test", "A", "10.0.0.1", "no zone that this server answers for"},
        {"x.acme.svc.test", "TXT", "v", "delegate zone"},
        {"acme.svc.test", "NS", "x.", "delegate zone"},
        {"_acme-challenge.x.svc.test", "TXT", "v", "automatic"},
        {"_abcdefghijklmnop._acme-challenge.x.svc.test", "TXT", "v", "automatic"},
        {"below._acme-challenge.svc.test", "A", "10.0.0.1", "automatic"},
        {"_validation-persist.x.svc.test", "TXT", "v", "ACME accounts"},
        {"x.svc.test", "DNSKEY", "256 3 8 AQAB", "does not sign"},
        {"x.svc.test", "TYPE250", "\\# 1 00", "no type"},
        {"x.svc.test", "SOA", "a. b. 1 2 3 4 5", "name of its zone only"},
        {"svc.test", "CNAME", "a.", "cannot stand beside"},
        {"*.svc.test", "NS", "a.", "wildcard"},
        {"*.svc.test", "DNAME", "a.", "wildcard"},
        {"svc.test", "SOA", "a. b. 1 2 3 4 5", "newer"},
    };

    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        assert_int_equal(add_as(f, "", CASES[i].owner, CASES[i].type, CASES[i].rdata), -1);
        if (strstr(f->refusal.detail, CASES[i].why) == NULL) {
            fail_msg("%s %s: %s", CASES[i].owner, CASES[i].type, f->refusal.detail);
        }
    }
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial);
    /* Where nothing is automatic these are ordinary names. */
    assert_int_equal(add_as(f, "", "_acme-challenge.x.plain.test", "TXT", "v"), 1);
}

static void conflicts(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add_as(f, "", "a.svc.test", "A", "10.0.0.1"), 1);
    assert_int_equal(add_as(f, "", "a.svc.test", "CNAME", "b.svc.test."), -1);
    assert_int_equal(update_as(f, "", "a.svc.test", "CNAME", "b.svc.test."), 0);
    assert_int_equal(add_as(f, "", "c.svc.test", "CNAME", "b.svc.test."), 1);
    assert_int_equal(add_as(f, "", "c.svc.test", "A", "10.0.0.1"), -1);
    assert_int_equal(update_as(f, "", "c.svc.test", "A", "10.0.0.1"), 0);
    assert_int_equal(add_as(f, "", "c.svc.test", "CNAME", "d.svc.test."), -1);
    assert_non_null(strstr(f->refusal.detail, "only one"));
    /* In an update the CNAME is replaced. RFC 2136 §3.4.2.2 */
    assert_int_equal(update_as(f, "", "c.svc.test", "CNAME", "d.svc.test."), 2);
    assert_answer(f, "c.svc.test", "CNAME", "0|CNAME d.svc.test.");
    /* Not what somebody else has put there. */
    assert_int_equal(update_as(f, "client", "c.svc.test", "CNAME", "e.svc.test."), 0);
    assert_answer(f, "c.svc.test", "CNAME", "0|CNAME d.svc.test.");
    /* SOA elsewhere and CNAME at an apex: silence in updates. */
    assert_int_equal(update_as(f, "", "a.svc.test", "SOA", "a. b. 1 2 3 4 5"), 0);
    assert_int_equal(update_as(f, "", "svc.test", "CNAME", "a."), 0);
    assert_int_equal(update_as(f, "", "svc.test", "SOA", "a. b. 1 2 3 4 5"), 0);
}

static void cuts(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add_as(f, "", "x.sub.svc.test", "TXT", "t"), 1);
    assert_int_equal(add_as(f, "", "sub.svc.test", "NS", "ns.sub.svc.test."), -1);
    assert_non_null(strstr(f->refusal.detail, "x.sub.svc.test has records"));
    assert_int_equal(add_as(f, "", "sub.svc.test", "DNAME", "other.test."), -1);
    assert_int_equal(edit_as(f, "", false, RECORD_REMOVE_NAME, "x.sub.svc.test", "", NULL), 1);
    assert_int_equal(add_as(f, "", "sub.svc.test", "NS", "ns.sub.svc.test."), 1);
    assert_int_equal(add_as(f, "", "ns.sub.svc.test", "A", "10.0.0.1"), 1);
    assert_int_equal(add_as(f, "", "x.sub.svc.test", "TXT", "t"), -1);
    assert_non_null(strstr(f->refusal.detail, "delegate"));
    assert_int_equal(add_as(f, "", "sub.svc.test", "TXT", "t"), -1);
    assert_int_equal(add_as(f, "", "sub.svc.test", "DS", "1 8 2 00"), 1);
    assert_int_equal(add_as(f, "", "d.svc.test", "DNAME", "other.test."), 1);
    assert_int_equal(add_as(f, "", "d.svc.test", "A", "10.0.0.1"), 1);
    assert_int_equal(add_as(f, "", "x.d.svc.test", "A", "10.0.0.1"), -1);
    assert_non_null(strstr(f->refusal.detail, "DNAME"));
}

static void clients_remove_their_own(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(update_as(f, "one", "h.svc.test", "TXT", "one"), 1);
    assert_int_equal(update_as(f, "two", "h.svc.test", "TXT", "two"), 1);
    assert_int_equal(update_as(f, "two", "h.svc.test", "A", "10.0.0.2"), 1);
    assert_int_equal(update_as(f, "two", "h.svc.test", "A", "10.0.0.2"), 0); /* is there */
    assert_answer(f, "h.svc.test", "TXT", "0|TXT \"one\"|TXT \"two\"");
    assert_int_equal(edit_as(f, "one", true, RECORD_REMOVE, "h.svc.test", "TXT", "two"), 0);
    assert_int_equal(edit_as(f, "one", false, RECORD_REMOVE, "h.svc.test", "TXT", "two"), -1);
    assert_non_null(strstr(f->refusal.detail, "client two"));
    assert_int_equal(edit_as(f, "one", true, RECORD_REMOVE_SET, "h.svc.test", "TXT", NULL), 1);
    assert_answer(f, "h.svc.test", "TXT", "0|TXT \"two\"");
    assert_int_equal(edit_as(f, "one", true, RECORD_REMOVE_NAME, "h.svc.test", "", NULL), 0);
    assert_int_equal(edit_as(f, "", false, RECORD_REMOVE_NAME, "h.svc.test", "", NULL), 2);
    assert_int_equal(edit_as(f, "", false, RECORD_REMOVE_NAME, "h.svc.test", "", NULL), -1);
    assert_int_equal(edit_as(f, "", true, RECORD_REMOVE_NAME, "h.svc.test", "", NULL), 0);
    assert_int_equal(edit_as(f, "", true, RECORD_REMOVE, "x.example", "TXT", "t"), -1);
    assert_answer(f, "h.svc.test", "A", "0|A 192.0.2.9"); /* the ingress again */
}

static void apex(void **state)
{
    struct fixture *f = *state;
    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    char soa[100];
    char wanted[200];

    assert_int_equal(add_as(f, "", "svc.test", "MX", "10 m.svc.test."), 1);
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 1);
    assert_int_equal(zone_serial_of(f->zones, "plain.test"), serial);
    (void)snprintf(soa, sizeof(soa), "n.svc.test. h.svc.test. %lu 7 8 9 10",
                   (unsigned long)serial + 1000);
    assert_int_equal(update_as(f, "", "svc.test", "SOA", soa), 1);
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 1000);
    assert_int_equal(add_as(f, "", "svc.test", "NS", "n1.svc.test."), 1);
    assert_int_equal(update_as(f, "", "svc.test", "NS", "n2.svc.test."), 1);
    assert_answer(f, "svc.test", "NS", "0|NS n1.svc.test.|NS n2.svc.test.");
    (void)snprintf(wanted, sizeof(wanted), "0|SOA n.svc.test. h.svc.test. %lu 7 8 9 10",
                   (unsigned long)serial + 1002);
    assert_answer(f, "svc.test", "SOA", wanted);
    /* An update takes neither the SOA nor the last NS away. */
    assert_int_equal(edit_as(f, "", true, RECORD_REMOVE_SET, "svc.test", "NS", NULL), 0);
    assert_int_equal(edit_as(f, "", true, RECORD_REMOVE, "svc.test", "SOA", soa), 0);
    assert_int_equal(edit_as(f, "", true, RECORD_REMOVE, "svc.test", "NS", "n1.svc.test."), 1);
    assert_int_equal(edit_as(f, "", true, RECORD_REMOVE, "svc.test", "NS", "n2.svc.test."), 0);
    assert_int_equal(edit_as(f, "", true, RECORD_REMOVE_NAME, "svc.test", "", NULL), 1);
    assert_int_equal(edit_as(f, "", false, RECORD_REMOVE_NAME, "svc.test", "", NULL), 2);
    assert_answer(f, "svc.test", "NS", "0|NS ca.svc.test.");
    /* A serial does not go back by a restart, nor move. */
    serial = zone_serial_of(f->zones, "svc.test");
    fixture_reopen(f, NULL);
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial);
}

static void one_ttl_per_set(void **state)
{
    struct fixture *f = *state;
    struct edit_args args = {.f = f, .n = 2};

    assert_int_equal(add_as(f, "", "t.svc.test", "A", "10.0.0.1"), 1);
    args.edits[0].rr = rr_of("t.svc.test", "A", "10.0.0.2");
    args.edits[0].rr.ttl = 77;
    args.edits[1].rr = rr_of("u.svc.test", "A", "10.0.0.2");
    must(store_write(f->store, "test.edit", edit_args_tx, &args));
    assert_int_equal(args.changed_n, 2);
    rr_clear(&args.edits[0].rr);
    rr_clear(&args.edits[1].rr);
    struct buf text = exported(f, "svc.test", false);
    assert_non_null(strstr(buf_str(&text), "t.svc.test.\t77\tIN\tA\t10.0.0.1\n"));
    assert_non_null(strstr(buf_str(&text), "t.svc.test.\t77\tIN\tA\t10.0.0.2\n"));
    buf_clear(&text);
    /* All or nothing. */
    struct record_edit edits[2] = {{.rr = rr_of("v.svc.test", "A", "10.0.0.1")},
                                   {.rr = rr_of("x.example", "A", "10.0.0.1")}};
    assert_int_equal(records_edit_now(f->records, edits, 2, &f->refusal).code, ERR_REJECTED);
    assert_answer(f, "v.svc.test", "A", "0|A 192.0.2.9");
    must(records_edit_now(f->records, edits, 1, &f->refusal));
    assert_answer(f, "v.svc.test", "A", "0|A 10.0.0.1");
    rr_clear(&edits[0].rr);
    rr_clear(&edits[1].rr);
}

static void reverse(void **state)
{
    struct fixture *f = *state;

    assert_answer(f, "7.2.0.192.in-addr.arpa", "PTR", "3");
    assert_int_equal(add_as(f, "", "h.svc.test", "A", "192.0.2.7"), 1);
    assert_int_equal(add_as(f, "", "i.plain.test", "A", "192.0.2.7"), 1);
    assert_int_equal(add_as(f, "", "*.plain.test", "A", "192.0.2.7"), 1);
    assert_answer(f, "7.2.0.192.in-addr.arpa", "PTR", "0|PTR h.svc.test.|PTR i.plain.test.");
    assert_int_equal(
        edit_as(f, "", false, RECORD_REMOVE, "7.2.0.192.in-addr.arpa", "PTR", "h.svc.test."), -1);
    assert_non_null(strstr(f->refusal.detail, "address record"));
    assert_int_equal(edit_as(f, "", false, RECORD_REMOVE, "i.plain.test", "A", "192.0.2.7"), 1);
    assert_answer(f, "7.2.0.192.in-addr.arpa", "PTR", "0|PTR h.svc.test.");
    /* One's own wins. */
    assert_int_equal(add_as(f, "", "7.2.0.192.in-addr.arpa", "PTR", "own.svc.test."), 1);
    assert_answer(f, "7.2.0.192.in-addr.arpa", "PTR", "0|PTR own.svc.test.");
    assert_int_equal(edit_as(f, "", false, RECORD_REMOVE_NAME, "7.2.0.192.in-addr.arpa", "", NULL),
                     1);
    assert_answer(f, "7.2.0.192.in-addr.arpa", "PTR", "0|PTR h.svc.test.");
    /* A reverse zone that is new finds what is stored. */
    assert_int_equal(add_as(f, "", "j.svc.test", "AAAA", "2001:db8::7"), 1);
    fixture_reopen(f, ZONES "  # and one more\n");
    fixture_reopen(f, "zones:\n"
                      "  - {name: svc.test, ingress: [192.0.2.9]}\n"
                      "  - {name: 8.b.d.0.1.0.0.2.ip6.arpa, plain: true}\n"
                      "delegate_zone: acme.svc.test\n");
    assert_answer(f, "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
                  "PTR", "0|PTR j.svc.test.");
    assert_answer(f, "7.2.0.192.in-addr.arpa", "PTR", "5");
}

struct at_args {
    struct fixture *f;
    const char *owner;
    uint16_t type;
    struct buf *out;
    bool is_in_use;
};

static struct err at_tx(struct db *db, void *arg)
{
    struct at_args *a = arg;
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);

    TRY(name_to_wire(a->owner, wire, &len));
    TRY(records_at(a->f->records, db, wire, len, a->type, put_line, a->out));
    return records_name_in_use(a->f->records, db, wire, len, &a->is_in_use);
}

static void prerequisites(void **state)
{
    struct fixture *f = *state;
    struct buf out = BUF_INIT(10000);
    struct at_args args = {.f = f, .owner = "b.svc.test", .out = &out};

    must(store_read(f->store, "test.at", at_tx, &args));
    assert_int_equal(out.len, 0);
    assert_false(args.is_in_use); /* the ingress does not count */
    assert_int_equal(add_as(f, "", "a.b.svc.test", "A", "10.0.0.1"), 1);
    assert_int_equal(add_as(f, "", "a.b.svc.test", "TXT", "t"), 1);
    must(store_read(f->store, "test.at", at_tx, &args));
    assert_int_equal(out.len, 0);
    assert_true(args.is_in_use);
    args.owner = "a.b.svc.test";
    must(store_read(f->store, "test.at", at_tx, &args));
    assert_string_equal(buf_str(&out), "a.b.svc.test.\t300\tIN\tA\t10.0.0.1\n"
                                       "a.b.svc.test.\t300\tIN\tTXT\t\"t\"\n");
    buf_reset(&out);
    args.type = 16;
    must(store_read(f->store, "test.at", at_tx, &args));
    assert_string_equal(buf_str(&out), "a.b.svc.test.\t300\tIN\tTXT\t\"t\"\n");
    buf_reset(&out);
    args.owner = "svc.test";
    args.type = 2;
    must(store_read(f->store, "test.at", at_tx, &args));
    assert_string_equal(buf_str(&out), "svc.test.\t60\tIN\tNS\tca.svc.test.\n");
    assert_true(args.is_in_use);
    args.owner = "x.example";
    must(store_read(f->store, "test.at", at_tx, &args));
    assert_false(args.is_in_use);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(conflicts, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_remove_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(apex, setup, teardown),
        cmocka_unit_test_setup_teardown(one_ttl_per_set, setup, teardown),
        cmocka_unit_test_setup_teardown(reverse, setup, teardown),
        cmocka_unit_test_setup_teardown(prerequisites, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
