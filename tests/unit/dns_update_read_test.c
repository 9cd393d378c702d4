/* The form of update messages: RFC 2136 §2, §3.1, §3.2.4, §3.4.1; zones; limits; cut anywhere. */
#include "update_maker.h"

#include "dns/update_int.h"

struct world {
    struct fixture *f;
    struct update *update;
};

struct form {
    const char *what;
    bool is_prerequisite;
    unsigned type, class_;
    uint32_t ttl;
    const char *rdata;
    size_t rdata_len;
    int rcode;
};

static void test_records(void **state)
{
    static const struct form ROWS[] = {
        {"prerequisite with a TTL", true, 1, 255, 1, "", 0, FORMERR},
        {"prerequisite NONE with a TTL", true, 1, 254, 1, "", 0, FORMERR},
        {"prerequisite IN with a TTL", true, 1, 1, 1, "\1\2\3\4", 4, FORMERR},
        {"prerequisite ANY with RDATA", true, 1, 255, 0, "\1\2\3\4", 4, FORMERR},
        {"prerequisite NONE with RDATA", true, 1, 254, 0, "\1\2\3\4", 4, FORMERR},
        {"prerequisite of class CHAOS", true, 1, 3, 0, "\1\2\3\4", 4, FORMERR},
        {"prerequisite IN of type ANY", true, 255, 1, 0, "", 0, FORMERR},
        {"prerequisite of type AXFR", true, 252, 255, 0, "", 0, FORMERR},
        {"prerequisite: broken RDATA", true, 1, 1, 0, "\1\2\3", 3, FORMERR},
        {"addition of type ANY", false, 255, 1, 60, "", 0, FORMERR},
        {"addition of type AXFR", false, 252, 1, 60, "", 0, FORMERR},
        {"addition of type MAILA", false, 254, 1, 60, "", 0, FORMERR},
        {"addition of an OPT", false, 41, 1, 60, "", 0, FORMERR},
        {"addition of class CHAOS", false, 1, 3, 60, "\1\2\3\4", 4, FORMERR},
        {"addition: broken RDATA", false, 1, 1, 60, "\1\2\3\4\5", 5, FORMERR},
        {"addition without RDATA", false, 1, 1, 60, "", 0, FORMERR},
        {"deletion of a set with a TTL", false, 1, 255, 60, "", 0, FORMERR},
        {"deletion of a set with RDATA", false, 1, 255, 0, "\1\2\3\4", 4, FORMERR},
        {"deletion of type AXFR", false, 252, 255, 0, "", 0, FORMERR},
        {"deletion of one record with a TTL", false, 1, 254, 60, "\1\2\3\4", 4, FORMERR},
        {"deletion of one record of type ANY", false, 255, 254, 0, "", 0, FORMERR},
        {"deletion of one record: broken RDATA", false, 1, 254, 0, "\1\2\3", 3, FORMERR},
        {"prerequisite", true, 1, 254, 0, "", 0, NOERROR},
        {"addition", false, 1, 1, 60, "\1\2\3\4", 4, NOERROR},
        {"deletion of a set", false, 1, 255, 0, "", 0, NOERROR},
        {"deletion of a name", false, 255, 255, 0, "", 0, NOERROR},
        {"deletion of one record", false, 1, 254, 0, "\1\2\3\4", 4, NOERROR},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(ROWS); i++) {
        const struct form *row = &ROWS[i];
        struct maker m;
        maker_start(&m, "svc.test");
        put_rr(&m, "nix.svc.test", row->type, row->class_, row->ttl, row->rdata, row->rdata_len);
        m.prerequisites_n = row->is_prerequisite ? 1 : 0;
        m.changes_n = row->is_prerequisite ? 0 : 1;
        set_counts(&m);
        int rcode = send_bytes(w->update, "both", "127.0.0.1", m.data.data, m.data.len);
        buf_clear(&m.data);
        if (rcode != row->rcode) {
            fail_msg("%s: RCODE %d", row->what, rcode);
        }
    }
}

static void test_header_and_zone_section(void **state)
{
    static const struct {
        const char *what;
        size_t pos;
        uint8_t value;
        int rcode;
    } ROWS[] = {
        {"a response", 2, 0xa8, NOTIMP},
        {"a query", 2, 0x00, NOTIMP},
        {"a notification", 2, 0x20, NOTIMP},
        {"no zone", 5, 0, FORMERR},
        {"two zones", 5, 2, FORMERR},
        {"a compressed zone name", 12, 0xc0, FORMERR},
        {"a label of an unknown type", 12, 0x43, FORMERR},
        {"type A", 12 + 10 + 1, 1, FORMERR},
        {"class CHAOS", 12 + 10 + 3, 3, NOTAUTH},
        {"more changes than there are", 9, 2, FORMERR},
        {"a prerequisite that is not there", 7, 1, FORMERR},
        {"flags nobody reads", 3, 0xff, NOERROR},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(ROWS); i++) {
        struct maker m;
        maker_script(&m, "svc.test", "update delete nix.svc.test A");
        m.data.data[ROWS[i].pos] = ROWS[i].value;
        int rcode = send_bytes(w->update, "both", "127.0.0.1", m.data.data, m.data.len);
        buf_clear(&m.data);
        if (rcode != ROWS[i].rcode) {
            fail_msg("%s: RCODE %d", ROWS[i].what, rcode);
        }
    }
}

static void test_zones(void **state)
{
    static const struct {
        const char *zone, *name;
        int rcode;
    } ROWS[] = {
        {"example.org", "x.example.org", NOTAUTH},
        {"example.org", "x.svc.test", NOTAUTH},
        {"sub.svc.test", "x.sub.svc.test", NOTAUTH},
        {"test", "x.svc.test", NOTAUTH},
        {".", "x.svc.test", NOTAUTH},
        {"elsewhere.test", "x.elsewhere.test", NOTAUTH}, /* serve: false */
        {"www.svc.test.acme.svc.test", "www.svc.test.acme.svc.test", NOTAUTH},
        {"svc.test", "x.example.org", NOTZONE},
        {"svc.test", "test", NOTZONE},
        {"svc.test", "xsvc.test", NOTZONE},
        {"svc.test", "x.inner.svc.test", NOTZONE}, /* a zone of its own */
        {"inner.svc.test", "x.svc.test", NOTZONE},
        {"acme.svc.test", "x.svc.test", NOTZONE},
        {"acme.svc.test", "_acme-challenge.x.svc.test", NOTZONE},
        {"inner.svc.test", "x.inner.svc.test", NOERROR},
        {"SVC.test", "X.svc.TEST", NOERROR},
    };
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_N(ROWS); i++) {
        char line[400];
        (void)snprintf(line, sizeof(line), "update delete %s A", ROWS[i].name);
        int rcode = send_script(w->update, "both", ROWS[i].zone, line);
        if (rcode != ROWS[i].rcode) {
            fail_msg("%s in %s: RCODE %d", ROWS[i].name, ROWS[i].zone, rcode);
        }
        (void)snprintf(line, sizeof(line), "prereq nxrrset %s A", ROWS[i].name);
        assert_int_equal(send_script(w->update, "both", ROWS[i].zone, line), ROWS[i].rcode);
    }
}

static void test_cut_anywhere(void **state)
{
    struct world *w = *state;
    struct maker m;
    uint8_t out[512];
    struct ip_addr peer = ip_of("127.0.0.1");
    struct tsig tsig;

    memset(&tsig, 0, sizeof(tsig));
    maker_script(&m, "svc.test",
                 "prereq yxrrset www.svc.test A 10.0.0.1\n"
                 "update add www.svc.test MX 10 mail.svc.test.\nupdate delete www.svc.test TXT x");
    for (size_t n = 0; n < m.data.len; n++) {
        AUTO(mem_freep) uint8_t *copy = mem_dup(m.data.data, n == 0 ? 1 : n);
        assert_non_null(copy);
        if (n < 12) {
            assert_int_equal(update_handle(w->update, copy, n, &tsig, &peer, out), 0);
        } else {
            assert_int_equal(send_bytes(w->update, "both", "127.0.0.1", copy, n), FORMERR);
        }
    }
    assert_int_equal(send_bytes(w->update, "both", "127.0.0.1", m.data.data, m.data.len), NXRRSET);
    buf_clear(&m.data);
}

static void test_limits(void **state)
{
    struct world *w = *state;
    struct maker m;

    for (unsigned i = 0; i < 2; i++) {
        maker_start(&m, "svc.test");
        for (; m.changes_n < UPDATE_CHANGES_MAX + i; m.changes_n++) {
            put_rr(&m, "nix.svc.test", 1, 255, 0, "", 0);
        }
        set_counts(&m);
        assert_int_equal(send_bytes(w->update, "both", "127.0.0.1", m.data.data, m.data.len),
                         i == 0 ? NOERROR : REFUSED);
        buf_clear(&m.data);
        maker_start(&m, "svc.test");
        for (; m.prerequisites_n < UPDATE_PREREQUISITES_MAX + i; m.prerequisites_n++) {
            put_rr(&m, "nix.svc.test", 255, 254, 0, "", 0);
        }
        set_counts(&m);
        assert_int_equal(send_bytes(w->update, "both", "127.0.0.1", m.data.data, m.data.len),
                         i == 0 ? NOERROR : REFUSED);
        buf_clear(&m.data);
    }
}

/* What is read is what was sent. */
static void test_read(void **state)
{
    struct update_message message;
    struct maker m;
    const char *why = NULL;
    (void)state;

    maker_script(&m, "SVC.test", "prereq nxdomain A.svc.test\nupdate add B.svc.test A 10.0.0.1");
    assert_int_equal(update_read(m.data.data, m.data.len, &message, &why), RCODE_NOERROR);
    assert_int_equal(message.id, 0x1234);
    assert_int_equal(message.zone_end, 12 + 10 + 4);
    assert_memory_equal(message.zone.wire, "\3svc\4test", 10);
    assert_int_equal(message.prerequisites_n, 1);
    assert_int_equal(message.changes_n, 1);
    assert_memory_equal(message.changes[0].name.wire, "\1b\3svc\4test", 12);
    assert_memory_equal(message.changes[0].rr.rdata, "\12\0\0\1", 4);
    assert_int_equal(message.changes[0].rr.ttl, UPDATE_TTL);
    update_message_clear(&message);
    buf_clear(&m.data);
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    assert_non_null(w);
    w->f = fixture_new_with("  - name: svc.test\n"
                            "  - name: inner.svc.test\n"
                            "  - {name: elsewhere.test, serve: false}\n",
                            "acme.svc.test", "");
    w->update = update_of(w->f);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    update_free(w->update);
    fixture_free(w->f);
    mem_free(w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records), cmocka_unit_test(test_header_and_zone_section),
        cmocka_unit_test(test_zones),   cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_read),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
