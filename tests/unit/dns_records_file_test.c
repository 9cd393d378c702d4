/* Zone files, imports, exports, and what a start finds changed. */
#include "records_fixture.h"

#define ZONES                                                                                      \
    "zones:\n"                                                                                     \
    "  - {name: svc.test, ingress: [192.0.2.9], file: %s/zone}\n"                                  \
    "  - {name: kid.svc.test}\n"                                                                   \
    "  - {name: 2.0.192.in-addr.arpa, plain: true}\n"                                              \
    "delegate_zone: acme.svc.test\n"                                                               \
    "%s"

static const char *zones_of(const struct fixture *f, const char *more)
{
    static char yaml[1000];

    (void)snprintf(yaml, sizeof(yaml), ZONES, f->dir, more);
    return yaml;
}

static int setup(void **state)
{
    struct fixture *f = fixture_make();

    write_zone(f, "$TTL 60\nh A 192.0.2.7\nh TXT t\nc CNAME h\n");
    fixture_configure(f, zones_of(f, ""));
    must(fixture_open(f));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static void broken_files(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *why;
    } CASES[] = {
        {"h A x\n", "zone:1: 'x' is no IPv4"},
        {"\nh.kid A 10.0.0.1\n", "zone:2: h.kid.svc.test is in the zone kid.svc.test"},
        {"acme NS ns\n", "zone:1: acme.svc.test is in the delegate zone"},
        {"_acme-challenge.h TXT t\n", "zone:1: no record can be stored at _acme-challenge.h"},
        {"h A 10.0.0.1\nh CNAME b\n", "zone:1: h.svc.test has a CNAME and other records"},
        {"h CNAME a\nh CNAME b\n", "zone:1: h.svc.test has more than one CNAME"},
        {"h SOA a b 1 2 3 4 5\n", "zone:1: an SOA record stands at the name of its zone only"},
        {"@ SOA a b 1 2 3 4 5\n@ SOA a b 2 2 3 4 5\n", "zone:1: svc.test has more than one SOA"},
        {"b NS ns.b\nns.b A 10.0.0.1\nx.b TXT t\n", "zone:3: x.b.svc.test is below b.svc.test"},
        {"b NS ns.b\nb TXT t\n", "zone:1: b.svc.test is delegated"},
        {"x.d A 10.0.0.1\nd DNAME other.\n", "zone:1: x.d.svc.test is below the DNAME"},
        {"s.sub NS x.\n", "zone:1: x.s.sub.svc.test is below s.sub.svc.test"}, /* a stored one */
    };
    struct buf problems = BUF_INIT(10000);

    assert_int_equal(add_as(f, "", "x.s.sub.svc.test", "TXT", "stored"), 1);
    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        write_zone(f, CASES[i].text);
        buf_reset(&problems);
        must(records_reload(f->records, &problems));
        if (strstr(buf_str(&problems), CASES[i].why) == NULL) {
            fail_msg("'%s': %s", CASES[i].text, buf_str(&problems));
        }
        assert_answer(f, "h.svc.test", "A", "0|A 192.0.2.7"); /* the running zone stays */
        assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial);
    }
    buf_clear(&problems);
    /* A start says the same, and does not start. */
    fixture_close(f);
    assert_int_equal(fixture_open(f).code, ERR_CONFIG);
    assert_non_null(strstr(err_trace()->text, "zone:1: x.s.sub.svc.test is below"));
    fixture_close(f);
    write_zone(f, "h A x\n");
    assert_int_equal(fixture_open(f).code, ERR_CONFIG);
    assert_non_null(strstr(err_trace()->text, "zone:1: 'x' is no IPv4"));
    fixture_close(f);
    write_zone(f, "h A 10.0.0.1\n");
    must(fixture_open(f));
}

static void reload(void **state)
{
    struct fixture *f = *state;
    struct buf problems = BUF_INIT(10000);
    uint32_t serial = zone_serial_of(f->zones, "svc.test");

    assert_answer(f, "h.svc.test", "TXT", "0|TXT \"t\"");
    assert_answer(f, "7.2.0.192.in-addr.arpa", "PTR", "0|PTR h.svc.test.");
    /* Not another serial for the same file, now or after a restart. */
    must(records_reload(f->records, &problems));
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial);
    write_zone(f, "; the same\n$TTL 60\nh A 192.0.2.7\nh TXT t\nc CNAME h\n");
    must(records_reload(f->records, &problems));
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial);
    fixture_reopen(f, NULL);
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial);
    /* Records of the file cannot be edited; the same may be stored as well. */
    assert_int_equal(edit_as(f, "", false, RECORD_REMOVE, "h.svc.test", "TXT", "t"), -1);
    assert_non_null(strstr(f->refusal.detail, "/zone: remove it there"));
    assert_int_equal(edit_as(f, "", true, RECORD_REMOVE_NAME, "h.svc.test", "", NULL), 0);
    assert_int_equal(add_as(f, "", "h.svc.test", "TXT", "t"), 1);
    assert_answer(f, "h.svc.test", "TXT", "0|TXT \"t\"");
    assert_int_equal(update_as(f, "", "c.svc.test", "A", "10.0.0.1"), 0);
    assert_int_equal(add_as(f, "", "c.svc.test", "CNAME", "x."), -1);
    assert_non_null(strstr(f->refusal.detail, "edit the file"));
    serial = zone_serial_of(f->zones, "svc.test");
    write_zone(f, "$TTL 60\nh A 192.0.2.8\n");
    must(records_reload(f->records, &problems));
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 1);
    assert_answer(f, "h.svc.test", "A", "0|A 192.0.2.8");
    assert_answer(f, "h.svc.test", "TXT", "0|TXT \"t\""); /* stored */
    assert_answer(f, "c.svc.test", "A", "0|A 192.0.2.9");
    assert_answer(f, "7.2.0.192.in-addr.arpa", "PTR", "3");
    assert_answer(f, "8.2.0.192.in-addr.arpa", "PTR", "0|PTR h.svc.test.");
    /* A newer serial in the file is taken over. */
    uint32_t now = serial + 1;
    static const uint32_t AHEAD[] = {1000, 1, UINT32_MAX, 0}; /* UINT32_MAX: one behind */
    for (size_t i = 0; i < ARRAY_N(AHEAD); i++) {
        char soa[100];
        uint32_t wanted = now + AHEAD[i];
        (void)snprintf(soa, sizeof(soa), "$TTL 60\n@ SOA n h %lu 1 2 3 4\n", (unsigned long)wanted);
        write_zone(f, soa);
        must(records_reload(f->records, &problems));
        now = i < 2 ? wanted : now + 1; /* it moves, and never back. RFC 1982 */
        assert_int_equal(zone_serial_of(f->zones, "svc.test"), now);
    }
    assert_int_equal(problems.len, 0);
    buf_clear(&problems);
    /* No file any more: its records go. */
    fixture_reopen(f, "zones:\n  - {name: svc.test}\ndelegate_zone: acme.svc.test\n");
    assert_answer(f, "h.svc.test", "A", "0");
    assert_true(zone_serial_of(f->zones, "svc.test") != now);
}

static void serials_move_with_configuration(void **state)
{
    struct fixture *f = *state;
    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    uint32_t kid = zone_serial_of(f->zones, "kid.svc.test");

    assert_int_equal(zone_serial_of(f->zones, "acme.svc.test"), serial);
    fixture_reopen(f, zones_of(f, "dns: {query_log: true}\n"));
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial);
    char yaml[1000];
    (void)snprintf(yaml, sizeof(yaml),
                   "zones:\n"
                   "  - {name: svc.test, ingress: [192.0.2.10], file: %s/zone}\n"
                   "  - {name: kid.svc.test}\n"
                   "  - {name: 2.0.192.in-addr.arpa, plain: true}\n"
                   "delegate_zone: acme.svc.test\n",
                   f->dir);
    fixture_reopen(f, yaml);
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 1);
    assert_int_equal(zone_serial_of(f->zones, "kid.svc.test"), kid);
}

static void reopen_with(struct fixture *f, const char *ingress, uint8_t own)
{
    char yaml[400];

    (void)snprintf(yaml, sizeof(yaml),
                   "zones:\n"
                   "  - {name: svc.test, ingress: [%s]}\n"
                   "  - {name: 2.0.192.in-addr.arpa, plain: true}\n"
                   "delegate_zone: acme.svc.test\n",
                   ingress);
    fixture_close(f);
    config_free(f->cfg);
    fixture_configure(f, yaml);
    f->cfg->addresses[0].bytes[3] = own;
    must(fixture_open(f));
}

/* Which addresses are ours may change between two starts: a client's names there lose their PTR
 * records, and get them when the addresses are ours no more. */
static void reverse_of_clients_follows_the_configuration(void **state)
{
    static const char *const REVERSE = "2.0.192.in-addr.arpa";
    struct fixture *f = *state;

    reopen_with(f, "192.0.2.9", 1);
    assert_int_equal(add_as(f, "one", "h.svc.test", "A", "192.0.2.70"), 1);
    assert_answer(f, "70.2.0.192.in-addr.arpa", "PTR", "0|PTR h.svc.test.");
    for (unsigned is_own = 0; is_own < 2; is_own++) {
        const char *ingress = is_own ? "192.0.2.9" : "192.0.2.70";
        uint8_t own = is_own ? 70 : 1;
        uint32_t serial = zone_serial_of(f->zones, REVERSE);
        reopen_with(f, ingress, own);
        assert_answer(f, "70.2.0.192.in-addr.arpa", "PTR", "3");
        assert_true(zone_serial_of(f->zones, REVERSE) != serial);
        serial = zone_serial_of(f->zones, REVERSE);
        reopen_with(f, ingress, own); /* nothing changed: nothing is made anew */
        assert_int_equal(zone_serial_of(f->zones, REVERSE), serial);
        reopen_with(f, "192.0.2.9", 1);
        assert_answer(f, "70.2.0.192.in-addr.arpa", "PTR", "0|PTR h.svc.test.");
    }
}

static struct err import(struct fixture *f, const char *zone, const char *text, bool is_replacing,
                         struct buf *problems, size_t *n)
{
    buf_reset(problems);
    return records_import(f->records, zone, "in", text, strlen(text), is_replacing, problems, n);
}

static void imports(void **state)
{
    struct fixture *f = *state;
    struct buf problems = BUF_INIT(10000);
    size_t n = 0;

    assert_int_equal(import(f, "nowhere.test", "a A 10.0.0.1\n", false, &problems, &n).code,
                     ERR_NOT_FOUND);
    assert_int_equal(import(f, "acme.svc.test", "a A 10.0.0.1\n", false, &problems, &n).code,
                     ERR_NOT_FOUND);
    assert_int_equal(import(f, "svc.test", "a A 10.0.0.1\nb A x\n", false, &problems, &n).code,
                     ERR_MALFORMED);
    assert_non_null(strstr(buf_str(&problems), "in:2: "));
    assert_answer(f, "a.svc.test", "A", "0|A 192.0.2.9");
    /* Against the file's records and against stored ones. */
    assert_int_equal(import(f, "svc.test", "c A 10.0.0.1\n", false, &problems, &n).code,
                     ERR_MALFORMED);
    assert_non_null(strstr(buf_str(&problems), "in:1: c.svc.test has a CNAME"));
    must(import(f, "svc.test", "a A 10.0.0.1\na A 10.0.0.1\ns TXT t\n", false, &problems, &n));
    assert_int_equal(n, 2);
    assert_answer(f, "a.svc.test", "A", "0|A 10.0.0.1");
    assert_int_equal(import(f, "svc.test", "s CNAME x.\n", false, &problems, &n).code,
                     ERR_MALFORMED);
    must(import(f, "svc.test", "s CNAME x.\n", true, &problems, &n));
    assert_answer(f, "s.svc.test", "CNAME", "0|CNAME x.");
    assert_answer(f, "a.svc.test", "A", "0|A 192.0.2.9");
    assert_answer(f, "h.svc.test", "A", "0|A 192.0.2.7"); /* the file's */
    /* What was exported can be imported. */
    must(import(f, "kid.svc.test", "a A 10.0.0.1\n@ MX 10 a\n_x._tcp SRV 1 2 3 a\n", true,
                &problems, &n));
    struct buf text = exported(f, "kid.svc.test", false);
    char *first = buf_take(&text);
    must(import(f, "kid.svc.test", strchr(first, '\n') + 1, true, &problems, &n));
    text = exported(f, "kid.svc.test", false);
    assert_string_equal(strchr(buf_str(&text), '\n') + 1, strchr(first, '\n') + 1);
    buf_clear(&text);
    mem_free(first);
    buf_clear(&problems);
}

struct listing {
    size_t n, files_n, derived_n;
    char last[NAME_WIRE_MAX];
};

static bool list_row(void *arg, const char *zone, const struct record_row *row)
{
    struct listing *l = arg;

    assert_non_null(zone);
    l->n++;
    l->files_n += row->source == RECORD_FROM_FILE;
    l->derived_n += row->source == RECORD_DERIVED;
    return l->n < 4;
}

static void lists(void **state)
{
    struct fixture *f = *state;
    struct listing all = {.n = 0};
    struct zone_info *infos = NULL;
    size_t n = 0;

    assert_int_equal(records_list(f->records, "x.test", list_row, &all).code, ERR_NOT_FOUND);
    must(records_list(f->records, NULL, list_row, &all));
    assert_int_equal(all.n, 4);
    assert_int_equal(all.files_n, 3);
    assert_int_equal(all.derived_n, 1);
    struct listing one = {.n = 0};
    must(records_list(f->records, "2.0.192.in-addr.arpa", list_row, &one));
    assert_int_equal(one.n, 1);
    must(records_zones(f->records, &infos, &n));
    assert_int_equal(n, 4);
    assert_string_equal(infos[0].name, "svc.test");
    assert_int_equal(infos[0].records_n, 3);
    assert_non_null(strstr(infos[0].file, "/zone"));
    assert_int_equal(infos[0].serial, zone_serial_of(f->zones, "svc.test"));
    assert_true(infos[2].is_plain);
    assert_true(infos[3].is_delegate && !infos[3].is_transferred);
    mem_free(infos);
    assert_int_equal(records_export(f->records, "x.test", true, &(struct buf)BUF_INIT(10)).code,
                     ERR_NOT_FOUND);
}

/* The serial goes on where the delegate's of an older version stood. */
static struct err old_tx(struct db *db, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO delegate_serial (id, serial) VALUES (1, ?1)");
    AUTO(db_stmt_release) struct db_stmt *forget = db_prepare(db, "DELETE FROM record_zone");

    (void)arg;
    db_bind_int(q, 1, (clock_unix_s() + 1000000) & UINT32_MAX);
    TRY(db_run(q, NULL));
    return db_run(forget, NULL);
}

static void takes_over_serials(void **state)
{
    struct fixture *f = *state;
    uint32_t soon = (uint32_t)(clock_unix_s() + 1000000);

    must(store_write(f->store, "test.old", old_tx, NULL));
    fixture_reopen(f, NULL);
    assert_true(zone_serial_of(f->zones, "acme.svc.test") - soon < 10);
    assert_true(zone_serial_of(f->zones, "svc.test") - soon < 10);
}

/* Rows are written some at a time where nothing looks at single ones: no reverse zone, at a start. */
static void numbers_of_rows(void **state)
{
    static const unsigned NUMBERS[] = {1, 15, 16, 17, 32, 33, 100, 3};
    struct fixture *f = *state;
    struct buf text = BUF_INIT(100000);
    char zones[600], name[40], wanted[40];

    (void)snprintf(zones, sizeof(zones),
                   "zones:\n  - {name: svc.test, file: %s/zone}\n"
                   "delegate_zone: acme.svc.test\n",
                   f->dir);
    for (size_t k = 0; k < ARRAY_N(NUMBERS); k++) {
        buf_reset(&text);
        for (unsigned i = 0; i < NUMBERS[k]; i++) { /* others with each file, some TTLs alone */
            buf_printf(&text, "h%u %u A 10.0.%u.%u\n", i, 60 + (unsigned)k,
                       i % 3 == 0 ? 0 : (unsigned)k, i);
        }
        write_zone(f, buf_str(&text));
        fixture_reopen(f, zones);
        for (unsigned i = 0; i <= 100; i++) {
            (void)snprintf(name, sizeof(name), "h%u.svc.test", i);
            (void)snprintf(wanted, sizeof(wanted), "0|A 10.0.%u.%u", i % 3 == 0 ? 0 : (unsigned)k,
                           i);
            assert_answer(f, name, "A", i < NUMBERS[k] ? wanted : "0");
        }
    }
    buf_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(broken_files, setup, teardown),
        cmocka_unit_test_setup_teardown(reload, setup, teardown),
        cmocka_unit_test_setup_teardown(serials_move_with_configuration, setup, teardown),
        cmocka_unit_test_setup_teardown(reverse_of_clients_follows_the_configuration, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(imports, setup, teardown),
        cmocka_unit_test_setup_teardown(lists, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_over_serials, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_of_rows, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
