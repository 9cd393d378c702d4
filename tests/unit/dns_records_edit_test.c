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

/* Two SOA records in one change: the second replaces the first, and the zone's serial is the newer one of both,
 * whichever came first. */
static void two_soa_in_one_change(void **state)
{
    struct fixture *f = *state;

    for (unsigned is_update = 0; is_update < 2; is_update++) {
        for (unsigned first = 0; first < 2; first++) {
            struct edit_args args = {.f = f, .n = 2, .who = {.is_update = is_update == 1}};
            uint32_t serial = zone_serial_of(f->zones, "svc.test");
            char wanted[200];
            for (unsigned i = 0; i < 2; i++) {
                char soa[100];
                (void)snprintf(soa, sizeof(soa), "n%u.svc.test. h.svc.test. %lu 7 8 9 10", i,
                               (unsigned long)serial + (i == first ? 200 : 100));
                args.edits[i].rr = rr_of("svc.test", "SOA", soa);
            }
            must(store_write(f->store, "test.edit", edit_args_tx, &args));
            rr_clear(&args.edits[0].rr);
            rr_clear(&args.edits[1].rr);
            assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 200);
            (void)snprintf(wanted, sizeof(wanted), "0|SOA n1.svc.test. h.svc.test. %lu 7 8 9 10",
                           (unsigned long)serial + 200);
            assert_answer(f, "svc.test", "SOA", wanted);
        }
    }
    /* One of them is not newer: an update passes it over, anybody else is told. */
    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    for (unsigned is_update = 0; is_update < 2; is_update++) {
        struct edit_args args = {.f = f, .n = 2, .who = {.is_update = is_update == 1}};
        char soa[100], wanted[200];
        (void)snprintf(soa, sizeof(soa), "n2.svc.test. h.svc.test. %lu 7 8 9 10",
                       (unsigned long)serial + 1);
        args.edits[0].rr = rr_of("svc.test", "SOA", soa);
        args.edits[1].rr = rr_of("svc.test", "SOA", "n3.svc.test. h.svc.test. 1 7 8 9 10");
        struct err e = store_write(f->store, "test.edit", edit_args_tx, &args);
        rr_clear(&args.edits[0].rr);
        rr_clear(&args.edits[1].rr);
        assert_int_equal(e.code, is_update == 1 ? ERR_OK : ERR_REJECTED);
        (void)snprintf(wanted, sizeof(wanted), "0|SOA n%u.svc.test. h.svc.test. %lu 7 8 9 10",
                       1 + is_update, (unsigned long)serial + is_update);
        assert_answer(f, "svc.test", "SOA", wanted);
    }
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

/* RFC 2317: a block of addresses is handed on by CNAMEs, whatever PTR records are derived there. */
static void cname_over_derived(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add_as(f, "", "h.svc.test", "A", "192.0.2.7"), 1);
    assert_int_equal(
        update_as(f, "", "7.2.0.192.in-addr.arpa", "CNAME", "7.0-31.2.0.192.in-addr.arpa."), 1);
    assert_answer(f, "7.2.0.192.in-addr.arpa", "CNAME", "0|CNAME 7.0-31.2.0.192.in-addr.arpa.");
    assert_int_equal(
        edit_as(f, "", true, RECORD_REMOVE_SET, "7.2.0.192.in-addr.arpa", "CNAME", NULL), 1);
    assert_answer(f, "7.2.0.192.in-addr.arpa", "PTR", "0|PTR h.svc.test.");
}

/* So many addresses at one name, in place of what the zone had. */
static enum err_code import_addresses(struct fixture *f, unsigned v4_n, unsigned v6_n,
                                      struct buf *problems)
{
    struct buf text = BUF_INIT(1u << 20);
    size_t changed_n = 0;

    for (unsigned i = 0; i < v4_n; i++) {
        buf_printf(&text, "full A 10.0.%u.%u\n", i / 256, i % 256);
    }
    for (unsigned i = 0; i < v6_n; i++) {
        buf_printf(&text, "full AAAA 2001:db8::%x\n", i);
    }
    buf_reset(problems);
    struct err e = records_import(f->records, "svc.test", "in", buf_str(&text), text.len, true,
                                  problems, &changed_n);
    assert_int_equal(e.code == ERR_OK ? changed_n > 0 : problems->len > 0, 1);
    buf_clear(&text);
    return e.code;
}

static void limits(void **state)
{
    const unsigned whole_n = ZONE_RRSET_WIRE_MAX / (12 + 4); /* A records that an answer holds */
    struct fixture *f = *state;
    struct buf problems = BUF_INIT(10000);
    struct buf text = BUF_INIT(10000);
    struct edit_args args = {.f = f, .n = 1};
    char out[2000];
    size_t n = 0;

    assert_int_equal(import_addresses(f, whole_n, 0, &problems), ERR_OK);
    assert_int_equal(import_addresses(f, whole_n + 1, 0, &problems), ERR_MALFORMED);
    assert_non_null(strstr(buf_str(&problems), "than an answer can hold"));
    assert_int_equal(import_addresses(f, 2048, RECORDS_PER_NAME_MAX - 2048, &problems), ERR_OK);
    assert_int_equal(import_addresses(f, 2048, RECORDS_PER_NAME_MAX - 2047, &problems),
                     ERR_MALFORMED);
    assert_non_null(strstr(buf_str(&problems), "than one name may have"));
    /* Of many names with one address so many are found from the address, and no more. */
    for (unsigned i = 0; i < 70; i++) {
        buf_printf(&text, "n%u A 192.0.2.9\n", i);
    }
    must(records_import(f->records, "plain.test", "in", buf_str(&text), text.len, true, &problems,
                        &n));
    ask(f, "9.2.0.192.in-addr.arpa", "PTR", out);
    n = 0;
    for (const char *p = strchr(out, '|'); p != NULL; p = strchr(p + 1, '|')) {
        n++;
    }
    assert_int_equal(n, 64);
    /* RFC 2181 §8 */
    args.edits[0].rr = rr_of("t.svc.test", "A", "10.0.0.2");
    args.edits[0].rr.ttl = RR_TTL_MAX + 1;
    assert_int_equal(store_write(f->store, "test.edit", edit_args_tx, &args).code, ERR_REJECTED);
    assert_non_null(strstr(f->refusal.detail, "TTL"));
    args.edits[0].rr.ttl = RR_TTL_MAX;
    must(store_write(f->store, "test.edit", edit_args_tx, &args));
    rr_clear(&args.edits[0].rr);
    buf_clear(&problems);
    buf_clear(&text);
}

struct at_args {
    struct fixture *f;
    const char *owner;
    uint16_t type;
    struct buf *out;
};

static struct err at_tx(struct db *db, void *arg)
{
    struct at_args *a = arg;
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);

    TRY(name_to_wire(a->owner, wire, &len));
    return records_at(a->f->records, db, wire, len, a->type, put_line, a->out);
}

static void prerequisites(void **state)
{
    struct fixture *f = *state;
    struct buf out = BUF_INIT(10000);
    struct at_args args = {.f = f, .owner = "b.svc.test", .out = &out};

    must(store_read(f->store, "test.at", at_tx, &args));
    assert_int_equal(out.len, 0);
    assert_int_equal(add_as(f, "", "a.b.svc.test", "A", "10.0.0.1"), 1);
    assert_int_equal(add_as(f, "", "a.b.svc.test", "TXT", "t"), 1);
    must(store_read(f->store, "test.at", at_tx, &args));
    assert_int_equal(out.len, 0);
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
    buf_reset(&out);
    args.owner = "x.example";
    must(store_read(f->store, "test.at", at_tx, &args));
    assert_int_equal(out.len, 0);
    buf_clear(&out);
}

/* --- limits of what one client can do -------------------------------------------------------------- */

#define MANY 1020u

struct many_args {
    struct fixture *f;
    struct record_who who;
    const struct record_edit *edits;
    size_t n, changed_n;
};

static struct err many_tx(struct db *db, void *arg)
{
    struct many_args *a = arg;
    AUTO(zone_change_freep) struct zone_change *change = NULL;

    TRY(zone_change_new(a->f->records, &change));
    TRY(records_edit(a->f->records, db, &a->who, a->edits, a->n, change, &a->changed_n,
                     &a->f->refusal));
    return zone_change_commit(&change, db, NULL);
}

/* A records 10.x.y.z at names under base (or at it), each with another TTL. */
static struct err add_many(struct fixture *f, const char *client, const char *base, size_t from,
                           bool is_one_name)
{
    static struct record_edit edits[MANY];
    struct many_args args = {.f = f, .who = {.is_update = true}, .edits = edits, .n = MANY};

    (void)snprintf(args.who.client, sizeof(args.who.client), "%s", client);
    for (size_t i = 0; i < MANY; i++) {
        char owner[100];
        char address[32];
        size_t n = from + i;
        (void)snprintf(owner, sizeof(owner), "h%zu.%s", n, base);
        (void)snprintf(address, sizeof(address), "10.%zu.%zu.%zu", n >> 16, n >> 8 & 255, n & 255);
        edits[i] = (struct record_edit){.rr = rr_of(is_one_name ? base : owner, "A", address)};
        edits[i].rr.ttl = (uint32_t)(1000 + n);
    }
    struct err e = store_write(f->store, "test.edit", many_tx, &args);
    for (size_t i = 0; i < MANY; i++) {
        rr_clear(&edits[i].rr);
    }
    assert_true(e.code != ERR_OK || args.changed_n == MANY);
    return e;
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) {
        n++;
    }
    return n;
}

static void many_at_one_name(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < 3; i++) {
        must(add_many(f, "one", "m.plain.test", i * MANY, true));
    }
    struct buf text = exported(f, "plain.test", false);
    assert_int_equal(count_of(buf_str(&text), "m.plain.test.\t4059\tIN\tA\t10."), 3 * MANY);
    buf_clear(&text);
    /* More than fit an answer: refused as a whole. */
    assert_int_equal(add_many(f, "one", "m.plain.test", 3 * MANY, true).code, ERR_REJECTED);
    text = exported(f, "plain.test", false);
    assert_int_equal(count_of(buf_str(&text), "m.plain.test."), 3 * MANY);
    buf_clear(&text);
}

static struct err edits_as(struct fixture *f, const char *client, const struct record_edit *edits,
                           size_t n, size_t *changed_n)
{
    struct many_args args = {.f = f, .who = {.is_update = true}, .edits = edits, .n = n};

    (void)snprintf(args.who.client, sizeof(args.who.client), "%s", client);
    struct err e = store_write(f->store, "test.edit", many_tx, &args);
    *changed_n = args.changed_n;
    return e;
}

/* Edits of one name count in their order, also when those of another stand between them. */
static void order_counts(void **state)
{
    struct fixture *f = *state;
    size_t changed_n = 0;
    struct record_edit edits[] = {
        {RECORD_ADD, rr_of("o.plain.test", "A", "10.0.0.1")},
        {RECORD_ADD, rr_of("p.plain.test", "A", "10.0.0.2")},
        {RECORD_REMOVE_SET, rr_of("o.plain.test", "A", "10.0.0.9")},
        {RECORD_ADD, rr_of("o.plain.test", "CNAME", "p.plain.test.")},
        {RECORD_ADD, rr_of("p.plain.test", "CNAME", "o.plain.test.")}, /* passed over */
        {RECORD_ADD, rr_of("o.plain.test", "TXT", "t")},               /* passed over */
        {RECORD_ADD, rr_of("o.plain.test", "CNAME", "q.plain.test.")},
        {RECORD_REMOVE, rr_of("o.plain.test", "CNAME", "p.plain.test.")}, /* not there */
    };

    must(edits_as(f, "one", edits, ARRAY_N(edits), &changed_n));
    assert_answer(f, "o.plain.test", "CNAME", "0|CNAME q.plain.test.");
    assert_answer(f, "p.plain.test", "A", "0|A 10.0.0.2");
    /* Gone and there again: whose it is now. */
    struct record_edit again[] = {
        {RECORD_REMOVE_NAME, rr_of("p.plain.test", "A", "10.0.0.2")},
        {RECORD_ADD, rr_of("p.plain.test", "A", "10.0.0.2")},
    };
    must(edits_as(f, "", again, 2, &changed_n));
    assert_int_equal(changed_n, 2);
    assert_int_equal(edit_as(f, "one", true, RECORD_REMOVE_NAME, "p.plain.test", "", NULL), 0);
    /* What stands below a name may go in the same update as the cut comes above it. */
    assert_int_equal(update_as(f, "", "x.cut.plain.test", "TXT", "t"), 1);
    struct record_edit cut[] = {
        {RECORD_REMOVE_NAME, rr_of("x.cut.plain.test", "TXT", "t")},
        {RECORD_ADD, rr_of("cut.plain.test", "NS", "ns.plain.test.")},
        {RECORD_ADD, rr_of("x.cut.plain.test", "TXT", "u")},
    };
    assert_int_equal(edits_as(f, "", cut, 3, &changed_n).code, ERR_REJECTED);
    must(edits_as(f, "", cut, 2, &changed_n));
    for (size_t i = 0; i < ARRAY_N(edits); i++) {
        rr_clear(&edits[i].rr);
    }
    for (size_t i = 0; i < 3; i++) {
        rr_clear(&cut[i].rr);
        rr_clear(i < 2 ? &again[i].rr : &cut[i].rr);
    }
}

static void client_cap(void **state)
{
    struct fixture *f = *state;
    size_t n = 0;

    for (; n + MANY <= RECORDS_PER_CLIENT_MAX; n += MANY) {
        must(add_many(f, "one", "plain.test", n, false));
    }
    assert_int_equal(add_many(f, "one", "plain.test", n, false).code, ERR_REJECTED);
    assert_non_null(strstr(f->refusal.detail, "remove"));
    assert_non_null(strstr(f->refusal.detail, "10000"));
    assert_int_equal(update_as(f, "one", "more.plain.test", "A", "10.0.0.1"), 1);
    must(add_many(f, "two", "svc.test", 0, false)); /* each has its own */
    must(add_many(f, "", "svc.test", n, false));
    assert_int_equal(edit_as(f, "one", true, RECORD_REMOVE_NAME, "h0.plain.test", "", NULL), 1);
}

/* A set that others have a part in keeps its TTL. RFC 2181 §5.2 */
static void ttl_of_others(void **state)
{
    struct fixture *f = *state;
    size_t changed_n = 0;
    struct record_edit edit = {RECORD_ADD, rr_of("t.plain.test", "A", "10.0.0.2")};
    struct record_edit mine = {RECORD_ADD, rr_of("t.plain.test", "A", "10.0.0.1")};

    assert_int_equal(update_as(f, "one", "t.plain.test", "A", "10.0.0.1"), 1);
    edit.rr.ttl = mine.rr.ttl = 5;
    must(edits_as(f, "two", &edit, 1, &changed_n));
    must(edits_as(f, "two", &mine, 1, &changed_n));
    assert_int_equal(changed_n, 0);
    struct buf text = exported(f, "plain.test", false);
    assert_int_equal(count_of(buf_str(&text), "t.plain.test.\t300\tIN\tA"), 2);
    buf_clear(&text);
    must(edits_as(f, "", &edit, 1, &changed_n)); /* the administrator */
    text = exported(f, "plain.test", false);
    assert_int_equal(count_of(buf_str(&text), "t.plain.test.\t5\tIN\tA"), 2);
    buf_clear(&text);
    rr_clear(&edit.rr);
    rr_clear(&mine.rr);
}

static void reverse_of_clients(void **state)
{
    struct fixture *f = *state;
    char owner[40];
    char answer[2000];

    /* Our own address and an ingress. */
    assert_int_equal(update_as(f, "one", "h.plain.test", "A", "192.0.2.1"), 1);
    assert_int_equal(update_as(f, "one", "h.plain.test", "A", "192.0.2.9"), 1);
    assert_answer(f, "1.2.0.192.in-addr.arpa", "PTR", "3");
    assert_answer(f, "9.2.0.192.in-addr.arpa", "PTR", "3");
    assert_int_equal(add_as(f, "", "i.plain.test", "A", "192.0.2.1"), 1);
    assert_answer(f, "1.2.0.192.in-addr.arpa", "PTR", "0|PTR i.plain.test.");
    for (unsigned i = 0; i < 70; i++) {
        (void)snprintf(owner, sizeof(owner), "c%u.plain.test", i);
        assert_int_equal(update_as(f, "one", owner, "A", "192.0.2.7"), 1);
    }
    assert_int_equal(count_of(ask(f, "7.2.0.192.in-addr.arpa", "PTR", answer), "PTR"), 8);
    assert_int_equal(update_as(f, "two", "d.plain.test", "A", "192.0.2.7"), 1);
    assert_int_equal(count_of(ask(f, "7.2.0.192.in-addr.arpa", "PTR", answer), "PTR"), 9);
    assert_int_equal(edit_as(f, "one", true, RECORD_REMOVE_NAME, "c1.plain.test", "", NULL), 1);
    assert_int_equal(count_of(ask(f, "7.2.0.192.in-addr.arpa", "PTR", answer), "PTR"), 8);
}

static struct err damage_tx(struct db *db, void *arg)
{
    static const char *const SQL[] = {
        "INSERT INTO record SELECT owner, type, zeroblob(65536), 0, 300, '' FROM record "
        "WHERE type = 16",
        "INSERT INTO record SELECT owner, 99999, rdata, 0, 300, '' FROM record WHERE type = 16",
        "INSERT INTO record SELECT owner, type, rdata, 7, 300, '' FROM record WHERE type = 16 "
        "AND source = 0",
        "INSERT INTO record SELECT CAST(owner || x'41' AS BLOB), type, rdata, 0, 300, '' FROM "
        "record "
        "WHERE type = 16 AND source = 0",
    };

    (void)arg;
    for (size_t i = 0; i < ARRAY_N(SQL); i++) {
        AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, SQL[i]);
        TRY(db_run(q, NULL));
    }
    return err_ok();
}

static void impossible_rows(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add_as(f, "", "h.plain.test", "TXT", "t"), 1);
    must(store_write(f->store, "test.damage", damage_tx, NULL));
    fixture_reopen(f, NULL);
    assert_answer(f, "h.plain.test", "TXT", "0|TXT \"t\"");
    assert_int_equal(add_as(f, "", "h.plain.test", "TXT", "u"), 1);
    assert_answer(f, "h.plain.test", "TXT", "0|TXT \"t\"|TXT \"u\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
        cmocka_unit_test_setup_teardown(conflicts, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_remove_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(apex, setup, teardown),
        cmocka_unit_test_setup_teardown(two_soa_in_one_change, setup, teardown),
        cmocka_unit_test_setup_teardown(one_ttl_per_set, setup, teardown),
        cmocka_unit_test_setup_teardown(reverse, setup, teardown),
        cmocka_unit_test_setup_teardown(cname_over_derived, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(prerequisites, setup, teardown),
        cmocka_unit_test_setup_teardown(many_at_one_name, setup, teardown),
        cmocka_unit_test_setup_teardown(order_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(client_cap, setup, teardown),
        cmocka_unit_test_setup_teardown(ttl_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(reverse_of_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(impossible_rows, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
