/* Records in the snapshot: what an edit refuses, what stands where afterwards, and what it costs. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "dns/zone_table.h"
#include "tests/unit/dns_maker.h"

#define PLAIN_CONFIG                                                                               \
    "state_dir: /tmp\n"                                                                            \
    "hostname: ca.a.b.plain.test\n"                                                                \
    "zones: [{name: svc.test, ingress: [192.0.2.80]}, {name: plain.test, plain: true},"            \
    " {name: deep.in.svc.test}, {name: a.b.c.test}, {name: \".\"}]\n"                              \
    "delegate_zone: acme.corp.plain.test\n"

struct world {
    struct zone_db *db;
    struct zone_reader *reader;
    const struct zone_snapshot *snap;
};

static void open_world(struct world *w, const char *text)
{
    struct config *cfg = make_config(text);

    memset(w, 0, sizeof(*w));
    assert_int_equal(zone_db_new(cfg, 100, &w->db).code, ERR_OK);
    config_free(cfg);
    assert_int_equal(zone_reader_new(w->db, &w->reader).code, ERR_OK);
    w->snap = zone_read_begin(w->reader);
}

static void look_again(struct world *w)
{
    zone_read_end(w->reader);
    w->snap = zone_read_begin(w->reader);
}

static void close_world(struct world *w)
{
    zone_read_end(w->reader);
    zone_reader_free(w->reader);
    zone_db_free(w->db);
}

static struct zone_edit *begin_edit(const struct world *w)
{
    struct zone_edit *edit = NULL;

    assert_int_equal(zone_edit_begin(w->db, &edit).code, ERR_OK);
    return edit;
}

static struct err put_rrs(struct zone_edit *edit, const char *owner, const struct zone_rr *rrs,
                          size_t n)
{
    uint8_t wire[512];

    return zone_edit_records(edit, wire, make_name(owner, wire), rrs, n);
}

static const uint8_t FOUR[4] = {192, 0, 2, 7};
static const struct zone_rr ONE_A = {DNS_TYPE_A, 60, FOUR, 4};

/* One A record, or none, as an edit of its own. */
static void put_one(struct world *w, const char *owner, const struct zone_rr *rr)
{
    struct zone_edit *edit = begin_edit(w);

    assert_int_equal(put_rrs(edit, owner, rr, rr == NULL ? 0 : 1).code, ERR_OK);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
    assert_null(edit);
    look_again(w);
}

static const struct zone_owner *owner_of(const struct world *w, const char *name)
{
    uint8_t wire[512];

    return zone_owner_find(w->snap, wire, make_name(name, wire));
}

static const struct zone_state *state_of(const struct world *w, const char *zone)
{
    const struct zone_entry *entry = zone_entry_find(w->snap->table, zone);

    assert_non_null(entry);
    assert_string_equal(entry->name, zone);
    return zone_state_of(w->snap, entry);
}

static void test_refused(void **state)
{
    static const char *const owners[] = {".",
                                         "test",
                                         "other.test",
                                         "a.other.test",
                                         "example.org",
                                         "acme.svc.test",
                                         "x.acme.svc.test",
                                         "_validation-persist.svc.test",
                                         "_VALIDATION-persist.x.svc.test"};
    static uint8_t big[59989];
    const struct zone_rr limit[2] = {{99, 60, big, sizeof(big) - 1}, {99, 60, big, 0}};
    const struct zone_rr fits[2] = {{99, 60, big, sizeof(big) - 1}, ONE_A};
    static const uint8_t broken[] = {3, 's', 'v', 'c', 4, 't', 'e', 's', 't'};
    struct world w;

    (void)state;
    open_world(&w, MAKER_CONFIG);
    const struct zone_snapshot *before = w.snap;
    struct zone_edit *edit = begin_edit(&w);
    for (size_t i = 0; i < ARRAY_N(owners); i++) {
        assert_int_equal(put_rrs(edit, owners[i], &ONE_A, 1).code, ERR_MALFORMED);
        assert_int_equal(put_rrs(edit, owners[i], NULL, 0).code, ERR_MALFORMED);
    }
    assert_int_equal(zone_edit_records(edit, broken, sizeof(broken), &ONE_A, 1).code,
                     ERR_MALFORMED);
    assert_int_equal(zone_edit_records(edit, broken, 0, &ONE_A, 1).code, ERR_MALFORMED);
    assert_int_equal(put_rrs(edit, "x.svc.test", limit, 2).code, ERR_LIMIT);
    assert_int_equal(zone_edit_serial(edit, "example.org", 7).code, ERR_NOT_FOUND);
    assert_int_equal(zone_edit_serial(edit, "", 7).code, ERR_NOT_FOUND);
    assert_int_equal(zone_edit_persist(edit, "x.other.test", NULL, 0).code, ERR_NOT_FOUND);
    struct zone_value v = make_value(1, "a");
    assert_int_equal(zone_edit_value(edit, true, "x.svc.test", &v).code, ERR_MALFORMED);
    assert_int_equal(zone_edit_value(edit, false, "x.svc.test", &v).code, ERR_OK);
    assert_int_equal(zone_edit_value(edit, false, "x.acme.svc.test", &v).code, ERR_OK);
    assert_int_equal(put_rrs(edit, "x.svc.test", NULL, 0).code, ERR_OK);
    assert_int_equal(zone_edit_serial(edit, "svc.test", 100).code, ERR_OK);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
    look_again(&w);
    assert_ptr_equal(w.snap, before); /* nothing changed: no new snapshot */
    edit = begin_edit(&w);
    assert_int_equal(put_rrs(edit, "x.svc.test", fits, 2).code, ERR_OK);
    assert_int_equal(zone_edit_value(edit, true, "x.acme.svc.test", &v).code, ERR_OK);
    assert_int_equal(zone_edit_serial(edit, "svc.test", 101).code, ERR_OK);
    zone_edit_dropp(&edit);
    assert_null(edit);
    look_again(&w);
    assert_ptr_equal(w.snap, before);
    assert_int_equal(zone_serial_of(w.db, "svc.test"), 100);
    close_world(&w);
}

/* Types in order, RRs of one type together under one TTL, octet by octet. */
static void test_encoding(void **state)
{
    static const uint8_t mail[] = {0, 10, 1, 'm', 0};
    const struct zone_rr rrs[] = {{DNS_TYPE_TXT, 5, (const uint8_t *)"\1x", 2},
                                  {DNS_TYPE_A, 0x01020304, FOUR, 4},
                                  {65400, 9, NULL, 0},
                                  {DNS_TYPE_MX, 300, mail, sizeof(mail)},
                                  {DNS_TYPE_TXT, 7, (const uint8_t *)"\2yz", 3}};
    static const uint8_t a[] = {0, 1, 0, 1, 1, 2, 3, 4, 0, 4, 192, 0, 2, 7};
    static const uint8_t mx[] = {0, 15, 0, 1, 0, 0, 1, 44, 0, 5, 0, 10, 1, 'm', 0};
    static const uint8_t txt[] = {0,  16, 0, 1, 0, 0, 0, 5, 0, 2, 1,   'x', 0,
                                  16, 0,  1, 0, 0, 0, 5, 0, 3, 2, 'y', 'z'};
    static const uint8_t other[] = {0xff, 0x78, 0, 1, 0, 0, 0, 9, 0, 0};
    static const struct zone_rrset want[] = {{DNS_TYPE_A, 1, sizeof(a), a},
                                             {DNS_TYPE_MX, 1, sizeof(mx), mx},
                                             {DNS_TYPE_TXT, 2, sizeof(txt), txt},
                                             {65400, 1, sizeof(other), other}};
    struct world w;

    (void)state;
    open_world(&w, MAKER_CONFIG);
    struct zone_edit *edit = begin_edit(&w);
    assert_int_equal(put_rrs(edit, "X.Svc.TEST", rrs, ARRAY_N(rrs)).code, ERR_OK);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
    look_again(&w);
    const struct zone_owner *owner = owner_of(&w, "x.svc.test");
    assert_non_null(owner);
    assert_int_equal(owner->sets_n, ARRAY_N(want));
    for (size_t i = 0; i < ARRAY_N(want); i++) {
        const struct zone_rrset *set = zone_rrset_find(owner, want[i].type);
        assert_ptr_equal(set, &owner->sets[i]);
        assert_int_equal(set->rr_n, want[i].rr_n);
        assert_int_equal(set->len, want[i].len);
        assert_memory_equal(set->data, want[i].data, want[i].len);
    }
    assert_null(zone_rrset_find(owner, DNS_TYPE_AAAA));
    assert_null(zone_rrset_find(owner, 65535));
    assert_int_equal(state_of(&w, "svc.test")->records_n, 5);
    const struct zone_snapshot *before = w.snap;
    edit = begin_edit(&w);
    assert_int_equal(put_rrs(edit, "x.svc.test", rrs, ARRAY_N(rrs)).code, ERR_OK);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
    look_again(&w);
    assert_ptr_equal(w.snap, before); /* the same again */
    close_world(&w);
}

static void expect_node(const struct world *w, const char *name, unsigned sets_n,
                        unsigned children_n)
{
    const struct zone_owner *owner = owner_of(w, name);

    if (owner == NULL || owner->sets_n != sets_n || owner->children_n != children_n) {
        fail_msg("%s: %u RRsets and %u children, not %u and %u", name,
                 owner == NULL ? 0 : owner->sets_n, owner == NULL ? 0 : owner->children_n, sets_n,
                 children_n);
    }
}

static void test_empty_non_terminals(void **state)
{
    const char *const texts[] = {"text"};
    struct world w;

    (void)state;
    open_world(&w, MAKER_CONFIG);
    put_one(&w, "a.b.c.svc.test", &ONE_A);
    expect_node(&w, "a.b.c.svc.test", 1, 0);
    expect_node(&w, "b.c.svc.test", 0, 1);
    expect_node(&w, "c.svc.test", 0, 1);
    expect_node(&w, "svc.test", 0, 1);
    assert_null(owner_of(&w, "test"));
    put_one(&w, "z.b.c.svc.test", &ONE_A);
    put_one(&w, "b.c.svc.test", &ONE_A);
    expect_node(&w, "b.c.svc.test", 1, 2);
    expect_node(&w, "c.svc.test", 0, 1);
    assert_int_equal(state_of(&w, "svc.test")->owners_n, 5);
    put_one(&w, "b.c.svc.test", NULL);
    expect_node(&w, "b.c.svc.test", 0, 2);
    put_one(&w, "b.c.svc.test", NULL); /* an empty non-terminal cannot be taken out */
    put_one(&w, "a.b.c.svc.test", NULL);
    expect_node(&w, "b.c.svc.test", 0, 1);
    put_one(&w, "svc.test", &ONE_A);
    put_one(&w, "a.bare.svc.test", &ONE_A); /* another zone's */
    expect_node(&w, "svc.test", 1, 1);
    expect_node(&w, "bare.svc.test", 0, 1);
    put_one(&w, "z.b.c.svc.test", NULL);
    assert_null(owner_of(&w, "z.b.c.svc.test"));
    assert_null(owner_of(&w, "b.c.svc.test"));
    assert_null(owner_of(&w, "c.svc.test"));
    expect_node(&w, "svc.test", 1, 0);

    /* A text is no stored name: it makes none above it; but names below it do. */
    assert_int_equal(zone_persist_put(w.db, "x.y.svc.test", texts, 1, 101).code, ERR_OK);
    look_again(&w);
    expect_node(&w, "_validation-persist.x.y.svc.test", 1, 0);
    assert_null(owner_of(&w, "x.y.svc.test"));
    expect_node(&w, "svc.test", 1, 0);
    put_one(&w, "q._validation-persist.x.y.svc.test", &ONE_A);
    expect_node(&w, "_validation-persist.x.y.svc.test", 1, 1);
    expect_node(&w, "x.y.svc.test", 0, 1);
    assert_int_equal(zone_persist_put(w.db, "x.y.svc.test", NULL, 0, 102).code, ERR_OK);
    look_again(&w);
    expect_node(&w, "_validation-persist.x.y.svc.test", 0, 1);
    assert_int_equal(zone_persist_put(w.db, "x.y.svc.test", texts, 1, 103).code, ERR_OK);
    put_one(&w, "q._validation-persist.x.y.svc.test", NULL);
    expect_node(&w, "_validation-persist.x.y.svc.test", 1, 0);
    assert_null(owner_of(&w, "x.y.svc.test"));
    assert_int_equal(zone_persist_put(w.db, "x.y.svc.test", NULL, 0, 104).code, ERR_OK);
    put_one(&w, "svc.test", NULL);
    put_one(&w, "a.bare.svc.test", NULL);
    assert_null(w.snap->owners);
    close_world(&w);
}

/* Names of ours that no record names: what lies between them and their zone's apex exists. */
static void test_pinned_names(void **state)
{
    struct world w;

    (void)state;
    open_world(&w, PLAIN_CONFIG);
    expect_node(&w, "in.svc.test", 0, 1);
    expect_node(&w, "b.c.test", 0, 1); /* in zone ".", of which test is an apex */
    expect_node(&w, "a.b.plain.test", 0, 1);
    expect_node(&w, "corp.plain.test", 0, 1);
    assert_null(owner_of(&w, "deep.in.svc.test"));
    put_one(&w, "x.in.svc.test", &ONE_A);
    put_one(&w, "x.in.svc.test", NULL);
    put_one(&w, "in.svc.test", &ONE_A);
    put_one(&w, "in.svc.test", NULL);
    expect_node(&w, "in.svc.test", 0, 1);
    put_one(&w, "net", &ONE_A);
    put_one(&w, "a.b.net", &ONE_A);
    expect_node(&w, "net", 1, 1);
    assert_int_equal(state_of(&w, ".")->owners_n, 6);
    put_one(&w, "_validation-persist.x.plain.test", &ONE_A); /* a name like any other there */
    expect_node(&w, "x.plain.test", 0, 1);
    close_world(&w);
}

static const struct zone_rr AN_NS = {DNS_TYPE_NS, 60, (const uint8_t *)"\1n", 3};
static const struct zone_rr A_DNAME = {DNS_TYPE_DNAME, 60, (const uint8_t *)"\1d", 3};
static const struct zone_rr A_CNAME = {DNS_TYPE_CNAME, 60, (const uint8_t *)"\1c", 3};

static void test_cuts(void **state)
{
    static const struct {
        const char *name;
        enum zone_cut_kind kind;
        uint8_t off;
    } rows[] = {{"svc.test", ZONE_CUT_NONE, 0},
                {"x.svc.test", ZONE_CUT_NONE, 0},
                {"xsub.svc.test", ZONE_CUT_NONE, 0},
                {"sub.svc.test", ZONE_CUT_DELEGATION, 0},
                {"SUB.svc.test", ZONE_CUT_DELEGATION, 0},
                {"_acme-challenge.sub.svc.test", ZONE_CUT_DELEGATION, 16},
                {"a.in.sub.svc.test", ZONE_CUT_DELEGATION, 5}, /* the topmost one */
                {"dn.svc.test", ZONE_CUT_NONE, 0},
                {"a.b.dn.svc.test", ZONE_CUT_DNAME, 4},
                {"c.svc.test", ZONE_CUT_NONE, 0},
                {"a.c.svc.test", ZONE_CUT_NONE, 0},
                {"six.test", ZONE_CUT_NONE, 0},
                {"a.six.test", ZONE_CUT_DNAME, 2}, /* the apex's */
                {"bare.svc.test", ZONE_CUT_NONE, 0},
                {"x.bare.svc.test", ZONE_CUT_NONE, 0}};
    struct dns_name name;
    struct zone_match match;
    struct zone_cut cut;
    struct world w;

    (void)state;
    open_world(&w, MAKER_CONFIG);
    put_one(&w, "svc.test", &AN_NS); /* an apex's NS are no cut */
    put_one(&w, "c.svc.test", &A_CNAME);
    assert_int_equal(state_of(&w, "svc.test")->cuts_n, 0);
    assert_true(owner_of(&w, "c.svc.test")->has_cname);
    put_one(&w, "sub.svc.test", &AN_NS);
    put_one(&w, "in.sub.svc.test", &AN_NS);
    put_one(&w, "dn.svc.test", &A_DNAME);
    put_one(&w, "six.test", &A_DNAME);
    assert_int_equal(state_of(&w, "svc.test")->cuts_n, 3);
    assert_int_equal(state_of(&w, "six.test")->cuts_n, 1);
    assert_int_equal(state_of(&w, "bare.svc.test")->cuts_n, 0);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        assert_true(dns_name_parse(rows[i].name, &name));
        assert_true(zone_find(w.snap->table, &name, &match));
        bool is_cut = zone_cut_find(w.snap, &name, &match, &cut);
        if (is_cut != (rows[i].kind != ZONE_CUT_NONE) || cut.kind != rows[i].kind ||
            (is_cut && cut.off != rows[i].off)) {
            fail_msg("%s: %d at %u", rows[i].name, (int)cut.kind, cut.off);
        }
        assert_true(!is_cut || (cut.owner->wire_len == name.len - cut.off));
    }
    put_one(&w, "sub.svc.test", &ONE_A);
    put_one(&w, "dn.svc.test", NULL);
    assert_int_equal(state_of(&w, "svc.test")->cuts_n, 1);
    assert_false(owner_of(&w, "sub.svc.test")->is_delegation);
    close_world(&w);
}

static void test_wildcards(void **state)
{
    static const struct {
        const char *name, *owner;
        uint8_t encloser;
    } rows[] = {
        {"x.svc.test", "*.svc.test", 2},
        {"a.x.svc.test", "*.svc.test", 4},
        {"a.b.x.svc.test", "*.svc.test", 6},
        {"q.host.svc.test", NULL, 2}, /* host is stored: its children are not the wildcard's */
        {"q.q.host.svc.test", NULL, 4},
        {"q.ent.svc.test", NULL, 2},
        {"x.sub.svc.test", "*.sub.svc.test", 2},
        {"z.y.sub.svc.test", "*.sub.svc.test", 4},
        {"q.x.text.svc.test", "*.svc.test", 9}, /* a text is not in the way */
        {"q._validation-persist.host.svc.test", NULL, 22},
        {"a.*.svc.test", NULL, 2},
        {"x.e.svc.test", "*.e.svc.test", 2}, /* an empty non-terminal */
        {"svc.test", NULL, 0}};
    const char *const texts[] = {"text"};
    struct dns_name name;
    struct zone_match match;
    uint8_t encloser = 99;
    struct world w;

    (void)state;
    open_world(&w, MAKER_CONFIG);
    assert_true(dns_name_parse("x.svc.test", &name));
    assert_true(zone_find(w.snap->table, &name, &match));
    assert_null(zone_wildcard_find(w.snap, &name, &match, &encloser));
    assert_int_equal(encloser, 99);
    put_one(&w, "*.svc.test", &ONE_A);
    put_one(&w, "host.svc.test", &ONE_A);
    put_one(&w, "below.ent.svc.test", &ONE_A);
    put_one(&w, "*.sub.svc.test", &ONE_A);
    put_one(&w, "one.*.e.svc.test", &ONE_A);
    assert_int_equal(zone_persist_put(w.db, "x.text.svc.test", texts, 1, 101).code, ERR_OK);
    assert_int_equal(zone_persist_put(w.db, "host.svc.test", texts, 1, 102).code, ERR_OK);
    look_again(&w);
    assert_int_equal(state_of(&w, "svc.test")->wildcards_n, 3);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        encloser = 99;
        assert_true(dns_name_parse(rows[i].name, &name));
        assert_true(zone_find(w.snap->table, &name, &match));
        const struct zone_owner *want = rows[i].owner == NULL ? NULL : owner_of(&w, rows[i].owner);
        const struct zone_owner *got = zone_wildcard_find(w.snap, &name, &match, &encloser);
        if (got != want || encloser != rows[i].encloser) {
            fail_msg("%s: %s, encloser at %u", rows[i].name, got == NULL ? "none" : "one",
                     encloser);
        }
    }
    put_one(&w, "one.*.e.svc.test", NULL);
    put_one(&w, "*.svc.test", NULL);
    assert_int_equal(state_of(&w, "svc.test")->wildcards_n, 1);
    close_world(&w);
}

static bool see_value(void *arg, const struct zone_value *value)
{
    (void)value;
    *(unsigned *)arg += 1;
    return false;
}

/* Nothing is made up in a plain zone, nor below a cut. */
static void test_nothing_made_up(void **state)
{
    static const struct {
        const char *base, *owner;
        unsigned seen;
        bool is_served;
    } rows[] = {{"x.svc.test", "x.svc.test.acme.corp.plain.test", 1, true},
                {"sub.svc.test", "sub.svc.test.acme.corp.plain.test", 0, false},
                {"a.sub.svc.test", "a.sub.svc.test.acme.corp.plain.test", 0, false},
                {"a.dn.svc.test", "a.dn.svc.test.acme.corp.plain.test", 0, true},
                {"dn.svc.test", "dn.svc.test.acme.corp.plain.test", 0, true},
                {"x.plain.test", "x.plain.test.acme.corp.plain.test", 0, true}};
    const char *const texts[] = {"text"};
    struct zone_value v = make_value(1, "a");
    struct world w;

    (void)state;
    open_world(&w, PLAIN_CONFIG);
    put_one(&w, "sub.svc.test", &AN_NS);
    put_one(&w, "dn.svc.test", &A_DNAME);
    assert_false(zone_has_persist(w.db, "x.plain.test"));
    assert_true(zone_has_persist(w.db, "x.svc.test"));
    assert_int_equal(zone_persist_put(w.db, "x.plain.test", texts, 1, 101).code, ERR_NOT_FOUND);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        unsigned seen = 0;
        char challenge[NAME_TEXT_MAX + 1], target[NAME_TEXT_MAX + 1] = "?";
        assert_int_equal(zone_value_add(w.db, rows[i].owner, &v, 200).code, ERR_OK);
        look_again(&w);
        (void)snprintf(challenge, sizeof(challenge), "_acme-challenge.%s", rows[i].base);
        assert_int_equal(zone_has_own_challenge(w.snap, rows[i].base), rows[i].seen == 1);
        assert_int_equal(zone_is_served(w.snap, rows[i].base), rows[i].is_served);
        assert_false(zone_challenge_values(w.snap, rows[i].base, see_value, &seen, target));
        assert_int_equal(seen, rows[i].seen);
        assert_string_equal(target, seen == 0 ? "" : rows[i].owner);
        assert_false(zone_name_values(w.snap, challenge, see_value, &seen, target));
        assert_int_equal(seen, 2 * rows[i].seen);
        assert_false(zone_owner_values(w.snap, rows[i].owner, see_value, &seen));
        assert_int_equal(seen, 2 * rows[i].seen + 1);
    }
    assert_int_equal(zone_serial_of(w.db, "acme.corp.plain.test"), 200);
    assert_int_equal(zone_serial_of(w.db, "."), 100);
    struct zone_edit *edit = begin_edit(&w);
    assert_int_equal(zone_edit_serial(edit, ".", 7).code, ERR_OK);
    assert_int_equal(zone_edit_serial(edit, "PLAIN.test", 8).code, ERR_OK);
    assert_int_equal(zone_serial_of(w.db, "."), 100);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
    look_again(&w);
    assert_int_equal(zone_serial_of(w.db, "."), 7);
    assert_int_equal(state_of(&w, "plain.test")->serial, 8);
    assert_int_equal(state_of(&w, "svc.test")->serial, 100);
    close_world(&w);
}

/* What n records cost; BW_ZONE_LOAD_N for other numbers than 100,000. */
static void test_bulk_load(void **state)
{
    const char *wanted = getenv("BW_ZONE_LOAD_N");
    unsigned n = wanted == NULL ? 100000 : (unsigned)strtoul(wanted, NULL, 10);
    struct world w;
    char name[64];
    uint8_t wire[64], address[4];

    (void)state;
    open_world(&w, MAKER_CONFIG);
    struct mallinfo2 before = mallinfo2();
    int64_t start_ms = clock_mono_ms();
    struct zone_edit *edit = begin_edit(&w);
    for (unsigned i = 0; i < n; i++) {
        const struct zone_rr rr = {DNS_TYPE_A, 300, address, 4};
        memcpy(address, &i, sizeof(address));
        (void)snprintf(name, sizeof(name), "host-%u.%s", i,
                       i % 10 == 0 ? "lab.svc.test" : "svc.test");
        assert_int_equal(zone_edit_records(edit, wire, make_name(name, wire), &rr, 1).code, ERR_OK);
    }
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
    int64_t took_ms = clock_mono_ms() - start_ms;
    struct mallinfo2 after = mallinfo2();
    print_message(
        "%u records: %lld ms, %.1f octets each\n", n, (long long)took_ms,
        n == 0 ? 0.0
               : (double)(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / n);
    look_again(&w);
    assert_int_equal(state_of(&w, "svc.test")->records_n, n);
    unsigned found = 0;
    start_ms = clock_mono_ms();
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "host-%u.%s", i,
                       i % 10 == 0 ? "lab.svc.test" : "svc.test");
        const struct zone_owner *owner = owner_of(&w, name);
        found += owner != NULL && memcmp(owner->sets[0].data + 10, &i, 4) == 0 ? 1 : 0;
    }
    print_message("found again in %lld ms\n", (long long)(clock_mono_ms() - start_ms));
    assert_int_equal(found, n);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_encoding),
        cmocka_unit_test(test_empty_non_terminals),
        cmocka_unit_test(test_pinned_names),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_wildcards),
        cmocka_unit_test(test_nothing_made_up),
        cmocka_unit_test(test_bulk_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
