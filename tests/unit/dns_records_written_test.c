/* The zone as a secondary gets it, its serials and the journal's bounds. */
#include "records_written.h"

/* Behind the SOA's line. */
static const char *body(const struct buf *text)
{
    const char *end = strchr(buf_str(text), '\n');

    assert_non_null(end);
    return end + 1;
}

static void small_zone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(add_as(f, "", "h.svc.test", "TXT", "t"), 1);
    put_known(f, "deep.er.svc.test");
    put_text(f, true, "p.svc.test", "issuer; x=y");
    put_value(f, true, "h.acme.svc.test", "one", VALUE);
    struct buf text = exported(f, "svc.test", true);
    assert_string_equal(
        body(&text),
        "svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "svc.test.\t60\tIN\tNS\tca.svc.test.\n"
        "*.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "_acme-challenge.svc.test.\t60\tIN\tCNAME\tsvc.test.acme.svc.test.\n"
        "acme.svc.test.\t60\tIN\tNS\tca.svc.test.\n"
        "ca.svc.test.\t60\tIN\tA\t192.0.2.1\n"
        "er.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "deep.er.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "_acme-challenge.deep.er.svc.test.\t60\tIN\tCNAME\tdeep.er.svc.test.acme.svc.test.\n"
        "exact.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "_acme-challenge.exact.svc.test.\t60\tIN\tCNAME\texact.svc.test.acme.svc.test.\n"
        "h.svc.test.\t300\tIN\tTXT\t\"t\"\n"
        "_acme-challenge.h.svc.test.\t60\tIN\tCNAME\th.svc.test.acme.svc.test.\n"
        "kid.svc.test.\t60\tIN\tNS\tca.svc.test.\n"
        "p.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "_validation-persist.p.svc.test.\t1\tIN\tTXT\t\"issuer; x=y\"\n");
    buf_clear(&text);
    text = exported(f, "acme.svc.test", true);
    assert_string_equal(body(&text), "acme.svc.test.\t60\tIN\tNS\tca.svc.test.\n"
                                     "h.acme.svc.test.\t1\tIN\tTXT\t\"" VALUE "\"\n");
    buf_clear(&text);
    /* A zone that is not transferred, and one in which nothing is made up. */
    assert_int_equal(add_as(f, "", "x.y.kid.svc.test", "A", "10.0.0.1"), 1);
    text = exported(f, "kid.svc.test", true);
    assert_string_equal(
        body(&text),
        "kid.svc.test.\t60\tIN\tA\t192.0.2.8\n"
        "kid.svc.test.\t60\tIN\tNS\tca.svc.test.\n"
        "*.kid.svc.test.\t60\tIN\tA\t192.0.2.8\n"
        "_acme-challenge.kid.svc.test.\t60\tIN\tCNAME\tkid.svc.test.acme.svc.test.\n"
        "y.kid.svc.test.\t60\tIN\tA\t192.0.2.8\n"
        "x.y.kid.svc.test.\t300\tIN\tA\t10.0.0.1\n"
        "_acme-challenge.x.y.kid.svc.test.\t60\tIN\tCNAME\tx.y.kid.svc.test.acme.svc.test.\n");
    buf_clear(&text);
    assert_int_equal(add_as(f, "", "x.y.plain.test", "A", "10.0.0.1"), 1);
    text = exported(f, "plain.test", true);
    assert_string_equal(body(&text), "plain.test.\t60\tIN\tNS\tca.svc.test.\n"
                                     "x.y.plain.test.\t300\tIN\tA\t10.0.0.1\n");
    buf_clear(&text);
}

/* What a zone of ours below has for name servers is in the zone above. */
static void delegation(void **state)
{
    struct fixture *f = *state;
    uint32_t serial = zone_serial_of(f->zones, "svc.test");

    assert_int_equal(add_as(f, "", "kid.svc.test", "NS", "ns.kid.svc.test."), 1);
    assert_int_equal(add_as(f, "", "ns.kid.svc.test", "A", "10.0.0.1"), 1);
    assert_int_equal(add_as(f, "", "kid.svc.test", "NS", "out.test."), 1);
    assert_int_equal(add_as(f, "", "other.kid.svc.test", "A", "10.0.0.1"), 1);
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 3);
    struct buf text = exported(f, "svc.test", true);
    assert_non_null(strstr(buf_str(&text), "\nkid.svc.test.\t300\tIN\tNS\tns.kid.svc.test.\n"
                                           "kid.svc.test.\t300\tIN\tNS\tout.test.\n"
                                           "ns.kid.svc.test.\t300\tIN\tA\t10.0.0.1\n"));
    assert_null(strstr(buf_str(&text), "other.kid"));
    buf_clear(&text);
    assert_int_equal(edit_as(f, "", false, RECORD_REMOVE_SET, "kid.svc.test", "NS", NULL), 2);
    text = exported(f, "svc.test", true);
    assert_non_null(strstr(buf_str(&text), "\nkid.svc.test.\t60\tIN\tNS\tca.svc.test.\n"));
    assert_null(strstr(buf_str(&text), "ns.kid"));
    buf_clear(&text);
}

/* --- the journal's bounds --------------------------------------------------------------------------------- */

static void import_many(struct fixture *f, unsigned from, unsigned n)
{
    struct buf text = BUF_INIT(8u << 20);
    struct buf problems = BUF_INIT(4096);
    size_t changed_n = 0;

    for (unsigned i = from; i < from + n; i++) {
        buf_printf(&text, "n%u A 10.0.0.1\n", i);
    }
    must(records_import(f->records, "svc.test", "in", buf_str(&text), text.len, false, &problems,
                        &changed_n));
    assert_int_equal(changed_n, n);
    buf_clear(&text);
    buf_clear(&problems);
}

static bool any_begin(void *arg, uint32_t from, uint32_t to)
{
    (void)from;
    *(uint32_t *)arg = to;
    return true;
}

static bool any_record(void *arg, bool is_add, const struct dns_rr *rr)
{
    (void)arg;
    (void)rr;
    return is_add;
}

struct since_args {
    struct fixture *f;
    uint32_t serial, to;
};

static struct err since_tx(struct db *db, void *arg)
{
    struct since_args *a = arg;
    const struct journal_fns fns = {any_begin, any_record, &a->to};
    struct dns_rr soa = {.ttl = 0};

    TRY(records_journal(a->f->records, db, zone_index(a->f, "svc.test"), a->serial, &soa, &fns));
    rr_clear(&soa);
    return err_ok();
}

static enum err_code journal_since(struct fixture *f, uint32_t serial)
{
    struct since_args args = {.f = f, .serial = serial};
    struct err e = store_read(f->store, "test.since", since_tx, &args);

    if (e.code == ERR_OK) {
        assert_int_equal(args.to == 0 ? serial : args.to, zone_serial_of(f->zones, "svc.test"));
    }
    return e.code;
}

static void journal_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct zone_info *infos = NULL;
    size_t n = 0;
    uint32_t first = zone_serial_of(f->zones, "svc.test");

    assert_int_equal(journal_since(f, first), ERR_OK);
    assert_int_equal(journal_since(f, first - 1), ERR_NOT_FOUND);
    import_many(f, 0, 10000); /* each with its _acme-challenge */
    uint32_t second = zone_serial_of(f->zones, "svc.test");
    import_many(f, 10000, 10000);
    assert_int_equal(journal_since(f, first), ERR_OK);
    import_many(f, 20000, 8000);
    assert_int_equal(journal_since(f, first), ERR_NOT_FOUND); /* the oldest went */
    assert_int_equal(journal_since(f, second), ERR_OK);
    must(records_zones(f->records, &infos, &n));
    assert_true(infos[0].is_transferred && infos[0].journal_n <= RECORDS_JOURNAL_ROWS_MAX);
    assert_int_equal(infos[0].records_n, 28000);
    assert_int_equal(infos[0].known_n, 1);
    mem_free(infos);
    /* One that is too long ends the journal: a whole transfer is shorter. */
    import_many(f, 30000, 13000);
    assert_int_equal(journal_since(f, second), ERR_NOT_FOUND);
    assert_int_equal(journal_since(f, zone_serial_of(f->zones, "svc.test")), ERR_OK);
    /* So does another SOA, which the differences do not hold. */
    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    char soa[100];
    assert_int_equal(add_as(f, "", "x.svc.test", "A", "10.0.0.1"), 1);
    assert_int_equal(journal_since(f, serial), ERR_OK);
    (void)snprintf(soa, sizeof(soa), "n. h. %lu 1 2 3 4", (unsigned long)serial + 100);
    assert_int_equal(add_as(f, "", "svc.test", "SOA", soa), 1);
    assert_int_equal(journal_since(f, serial), ERR_NOT_FOUND);
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 100);
}

/* Known names count where somebody else serves the zone; ours are automatic. */
static void known_names(void **state)
{
    struct fixture *f = *state;
    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    uint32_t kid = zone_serial_of(f->zones, "kid.svc.test");

    put_known(f, "new.svc.test");
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 1);
    put_known(f, "new.svc.test");
    put_known(f, "x.kid.svc.test");
    put_known(f, "x.acme.svc.test");
    put_known(f, "x.elsewhere.example");
    put_known(f, "192.0.2.1");
    put_known(f, "_no.svc.test");
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 1);
    assert_int_equal(zone_serial_of(f->zones, "kid.svc.test"), kid);
}

static void note_serial(void *ctx, int zone, uint32_t serial)
{
    struct buf *out = ctx;

    buf_printf(out, "%d:%lu ", zone, (unsigned long)serial);
}

static void serials_are_told(void **state)
{
    struct fixture *f = *state;
    struct buf told = BUF_INIT(1000);
    char wanted[100];
    uint32_t serial = zone_serial_of(f->zones, "svc.test");

    records_on_serial(f->records, note_serial, &told);
    assert_int_equal(add_as(f, "", "x.svc.test", "A", "10.0.0.1"), 1);
    put_value(f, true, "h.acme.svc.test", "one", VALUE);
    assert_int_equal(add_as(f, "", "kid.svc.test", "NS", "n."), 1); /* and in the zone above */
    (void)snprintf(wanted, sizeof(wanted), "0:%lu 3:%lu 1:%lu 0:%lu ", (unsigned long)serial + 1,
                   (unsigned long)serial + 1, (unsigned long)serial + 1, (unsigned long)serial + 2);
    assert_string_equal(buf_str(&told), wanted);
    buf_clear(&told);
    assert_int_equal(records_transfer_of(f->records, 0) == &f->cfg->zones[0], 1);
    assert_null(records_transfer_of(f->records, 1));
    assert_ptr_equal(records_transfer_of(f->records, 3), &f->cfg->zones[0]);
    assert_string_equal(records_zone_name(f->records, 3), "acme.svc.test");
    assert_int_equal(zone_index(f, "svc"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_zone, setup, teardown),
        cmocka_unit_test_setup_teardown(delegation, setup, teardown),
        cmocka_unit_test_setup_teardown(journal_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(known_names, setup, teardown),
        cmocka_unit_test_setup_teardown(serials_are_told, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
