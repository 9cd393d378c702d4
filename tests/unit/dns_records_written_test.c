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
        "*.ca.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "er.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "*.er.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "deep.er.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "*.deep.er.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "_acme-challenge.deep.er.svc.test.\t60\tIN\tCNAME\tdeep.er.svc.test.acme.svc.test.\n"
        "exact.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "*.exact.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "_acme-challenge.exact.svc.test.\t60\tIN\tCNAME\texact.svc.test.acme.svc.test.\n"
        "h.svc.test.\t300\tIN\tTXT\t\"t\"\n"
        "*.h.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "_acme-challenge.h.svc.test.\t60\tIN\tCNAME\th.svc.test.acme.svc.test.\n"
        "kid.svc.test.\t60\tIN\tNS\tca.svc.test.\n"
        "p.svc.test.\t60\tIN\tA\t192.0.2.9\n"
        "*.p.svc.test.\t60\tIN\tA\t192.0.2.9\n"
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
        "*.y.kid.svc.test.\t60\tIN\tA\t192.0.2.8\n"
        "x.y.kid.svc.test.\t300\tIN\tA\t10.0.0.1\n"
        "*.x.y.kid.svc.test.\t60\tIN\tA\t192.0.2.8\n"
        "_acme-challenge.x.y.kid.svc.test.\t60\tIN\tCNAME\tx.y.kid.svc.test.acme.svc.test.\n");
    buf_clear(&text);
    assert_int_equal(add_as(f, "", "x.y.plain.test", "A", "10.0.0.1"), 1);
    text = exported(f, "plain.test", true);
    assert_string_equal(body(&text), "plain.test.\t60\tIN\tNS\tca.svc.test.\n"
                                     "x.y.plain.test.\t300\tIN\tA\t10.0.0.1\n");
    buf_clear(&text);
}

/* --- below names that are there --------------------------------------------------------------------------- */

/* "TYPE data;" of each record at a name. */
static void records_of(const struct buf *text, const char *owner, char *out, size_t cap)
{
    size_t len = strlen(owner);

    out[0] = '\0';
    for (const char *p = buf_str(text); p != NULL && *p != '\0'; p = strchr(p, '\n') + 1) {
        char type[20];
        char data[200];
        if (strncmp(p, owner, len) == 0 && strncmp(p + len, ".\t", 2) == 0) {
            assert_int_equal(sscanf(p + len + 2, "%*u\tIN\t%19[^\t]\t%199[^\n]", type, data), 2);
            (void)snprintf(out + strlen(out), cap - strlen(out), "%s %s;", type, data);
        }
    }
}

static const struct {
    const char *owner, *type, *rdata; /* type NULL: known */
} BELOW_GIVEN[] = {
    {"order.svc.test", NULL, NULL},
    {"b.stored.svc.test", "TXT", "t"},
    {"own.svc.test", "A", "10.0.0.1"},
    {"*.own.svc.test", "A", "10.0.0.2"},
    {"*.bare.svc.test", "TXT", "t"},
    {"l.*.hollow.svc.test", "TXT", "t"},
    {"*.w.svc.test", "A", "10.0.0.3"},
    {"*.w.svc.test", "MX", "1 m."},
    {"y.w.svc.test", NULL, NULL},
    {"a.s.w.svc.test", "TXT", "t"},
    {"*.alias.svc.test", "CNAME", "own.svc.test."},
    {"x.alias.svc.test", NULL, NULL},
    {"cut.svc.test", "NS", "ns.cut.svc.test."},
    {"ns.cut.svc.test", "A", "10.0.0.4"},
    {"known.cut.svc.test", NULL, NULL},
    {"moved.svc.test", "DNAME", "d.test."},
    {"known.moved.svc.test", NULL, NULL},
    {"_sip._tcp.app.svc.test", "SRV", "1 2 3 own.svc.test."},
    {"a.b.x.svc.test", NULL, NULL},
};

#define INGRESS_A "A 192.0.2.9;"
static const struct {
    const char *owner, *wanted;
} BELOW_WANTED[] = {
    /* not below a cut, a DNAME or a label that is not a host's */
    {"cut.svc.test", "NS ns.cut.svc.test.;"},
    {"*.cut.svc.test", ""},
    {"*.ns.cut.svc.test", ""},
    {"*.known.cut.svc.test", ""},
    {"*.kid.svc.test", ""},
    {"*.acme.svc.test", ""},
    {"moved.svc.test", "DNAME d.test.;"},
    {"*.moved.svc.test", ""},
    {"*.known.moved.svc.test", ""},
    {"*._tcp.app.svc.test", ""},
    {"*._sip._tcp.app.svc.test", ""},
    {"*._acme-challenge.order.svc.test", ""},
    {"*.*.own.svc.test", ""},
    {"*.nobody.svc.test", ""},
    /* a wildcard without records, and names below it */
    {"*.hollow.svc.test", ""},
    {"hollow.svc.test", INGRESS_A},
    {"*.l.*.hollow.svc.test", ""},
    /* known, stored, empty non-terminals of both */
    {"order.svc.test", INGRESS_A},
    {"*.order.svc.test", INGRESS_A},
    {"*.exact.svc.test", INGRESS_A},
    {"*.stored.svc.test", INGRESS_A},
    {"*.b.stored.svc.test", INGRESS_A},
    {"*.app.svc.test", INGRESS_A},
    {"app.svc.test", INGRESS_A},
    {"*.x.svc.test", INGRESS_A},
    {"*.b.x.svc.test", INGRESS_A},
    {"*.a.b.x.svc.test", INGRESS_A},
    {"b.x.svc.test", INGRESS_A},
    {"*.ca.svc.test", INGRESS_A},
    /* with a wildcard of their own */
    {"own.svc.test", "A 10.0.0.1;"},
    {"*.own.svc.test", "A 10.0.0.2;"},
    {"bare.svc.test", INGRESS_A},
    {"*.bare.svc.test", "TXT \"t\";"},
    /* below a wildcard: known ones are under it, stored ones are not */
    {"w.svc.test", INGRESS_A},
    {"y.w.svc.test", "A 10.0.0.3;MX 1 m.;"},
    {"*.y.w.svc.test", "A 10.0.0.3;MX 1 m.;"},
    {"*.s.w.svc.test", INGRESS_A},
    {"*.a.s.w.svc.test", INGRESS_A},
    {"*.x.alias.svc.test", "CNAME own.svc.test.;"},
};

static void below_names(void **state)
{
    struct fixture *f = *state;
    char here[500];
    struct buf before = exported(f, "svc.test", true);

    for (size_t i = 0; i < ARRAY_N(BELOW_GIVEN); i++) {
        if (BELOW_GIVEN[i].type == NULL) {
            put_known(f, BELOW_GIVEN[i].owner);
        } else {
            assert_int_equal(
                add_as(f, "", BELOW_GIVEN[i].owner, BELOW_GIVEN[i].type, BELOW_GIVEN[i].rdata), 1);
        }
    }
    struct buf text = exported(f, "svc.test", true);
    for (size_t i = 0; i < ARRAY_N(BELOW_WANTED); i++) {
        records_of(&text, BELOW_WANTED[i].owner, here, sizeof(here));
        if (strcmp(here, BELOW_WANTED[i].wanted) != 0) {
            fail_msg("%s: %s instead of %s", BELOW_WANTED[i].owner, here, BELOW_WANTED[i].wanted);
        }
    }
    buf_clear(&text);
    /* What was stored goes, and with it what was made up below it. */
    for (size_t i = 0; i < ARRAY_N(BELOW_GIVEN); i++) {
        if (BELOW_GIVEN[i].type != NULL) {
            (void)edit_as(f, "", true, RECORD_REMOVE_NAME, BELOW_GIVEN[i].owner, "", NULL);
        }
    }
    text = exported(f, "svc.test", true);
    static const char *const GONE[] = {"stored", "b.stored", "own", "bare",    "hollow",
                                       "s.w",    "a.s.w",    "app", "_tcp.app"};
    for (size_t i = 0; i < ARRAY_N(GONE); i++) {
        char owner[100];
        (void)snprintf(owner, sizeof(owner), "%s.svc.test", GONE[i]);
        records_of(&text, owner, here, sizeof(here));
        assert_string_equal(here, "");
        (void)snprintf(owner, sizeof(owner), "*.%s.svc.test", GONE[i]);
        records_of(&text, owner, here, sizeof(here));
        assert_string_equal(here, "");
    }
    static const char *const STAY[] = {"*.y.w.svc.test", "*.x.alias.svc.test",
                                       "*.known.cut.svc.test", "*.known.moved.svc.test"};
    for (size_t i = 0; i < ARRAY_N(STAY); i++) {
        records_of(&text, STAY[i], here, sizeof(here));
        assert_string_equal(here, INGRESS_A); /* no wildcard, cut or DNAME above any longer */
    }
    assert_true(text.len > before.len);
    buf_clear(&text);
    buf_clear(&before);
}

/* Where there is no ingress, only stored wildcards stand below names. */
static void without_ingress(void **state)
{
    struct fixture *f = *state;
    char here[200];

    fixture_reopen(f, "zones:\n"
                      "  - {name: svc.test, transfer: {allow: [127.0.0.1]}}\n"
                      "delegate_zone: acme.svc.test\n");
    assert_int_equal(add_as(f, "", "h.svc.test", "A", "10.0.0.1"), 1);
    assert_int_equal(add_as(f, "", "*.w.svc.test", "A", "10.0.0.3"), 1);
    put_known(f, "x.w.svc.test");
    struct buf text = exported(f, "svc.test", true);
    records_of(&text, "*.svc.test", here, sizeof(here));
    assert_string_equal(here, "");
    records_of(&text, "*.h.svc.test", here, sizeof(here));
    assert_string_equal(here, "");
    records_of(&text, "*.x.w.svc.test", here, sizeof(here));
    assert_string_equal(here, "A 10.0.0.3;");
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
    import_many(f, 0, 8000); /* each with its _acme-challenge and its wildcard */
    uint32_t second = zone_serial_of(f->zones, "svc.test");
    import_many(f, 8000, 8000);
    assert_int_equal(journal_since(f, first), ERR_OK);
    import_many(f, 16000, 2000);
    assert_int_equal(journal_since(f, first), ERR_NOT_FOUND); /* the oldest went */
    assert_int_equal(journal_since(f, second), ERR_OK);
    must(records_zones(f->records, &infos, &n));
    assert_true(infos[0].is_transferred && infos[0].journal_n <= RECORDS_JOURNAL_ROWS_MAX);
    assert_int_equal(infos[0].records_n, 18000);
    assert_int_equal(infos[0].known_n, 1);
    mem_free(infos);
    /* One that is too long ends the journal: a whole transfer is shorter. */
    uint32_t third = zone_serial_of(f->zones, "svc.test");
    import_many(f, 30000, 9000);
    assert_int_equal(journal_since(f, third), ERR_NOT_FOUND);
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

/* A TTL alone is a change that secondaries get. */
static void ttl_alone(void **state)
{
    struct fixture *f = *state;
    struct edit_args args = {.f = f, .n = 1};

    assert_int_equal(add_as(f, "", "t.svc.test", "A", "10.0.0.1"), 1);
    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    args.edits[0].rr = rr_of("t.svc.test", "A", "10.0.0.1");
    args.edits[0].rr.ttl = 77;
    must(store_write(f->store, "test.edit", edit_args_tx, &args));
    rr_clear(&args.edits[0].rr);
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 1);
    struct buf text = exported(f, "svc.test", true);
    assert_non_null(strstr(buf_str(&text), "\nt.svc.test.\t77\tIN\tA\t10.0.0.1\n"));
    assert_null(strstr(buf_str(&text), "t.svc.test.\t300\t"));
    buf_clear(&text);
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

/* What nobody uses any more leaves the zone as it came, by a difference in the journal. */
static void known_names_end(void **state)
{
    struct fixture *f = *state;
    struct records_sweep at = {.len = 0};

    put_known(f, "stays.svc.test");
    assert_int_equal(add_as(f, "", "stored.deep.er.svc.test", "TXT", "t"), 1);
    struct buf before = exported(f, "svc.test", true);
    put_known(f, "x.w.svc.test");
    put_known(f, "deep.er.svc.test");
    put_known(f, "stored.deep.er.svc.test");
    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    assert_int_equal(sweep(f, "stays.svc.test", &at), 4); /* exact.svc.test, of a client, too */
    assert_int_equal(at.len, 0);                          /* all were looked at */
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 1);
    struct buf now = exported(f, "svc.test", true);
    assert_null(strstr(buf_str(&now), "exact.svc.test"));
    put_known(f, "exact.svc.test");
    buf_clear(&now);
    now = exported(f, "svc.test", true);
    assert_string_equal(body(&now), body(&before));
    buf_clear(&now);
    buf_clear(&before);
    assert_int_equal(sweep(f, "", &at), 2);
    serial = zone_serial_of(f->zones, "svc.test");
    assert_int_equal(sweep(f, "", &at), 0);
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial);
}

/* Other servers answer kid.svc.test, whose we cannot say: a secondary knows nothing of it. */
static void not_served_below(void **state)
{
    static const char *const ZONES_BELOW =
        "zones:\n"
        "  - {name: svc.test, ingress: [192.0.2.9], transfer: {allow: [127.0.0.1]}}\n"
        "  - {name: kid.svc.test, serve: false}\n"
        "delegate_zone: acme.svc.test\n";
    struct fixture *f = *state;

    fixture_reopen(f, ZONES_BELOW);
    put_known(f, "x.kid.svc.test");
    assert_int_equal(add_as(f, "", "kid.svc.test", "NS", "ns.example.org."), -1);
    struct buf text = exported(f, "svc.test", true);
    assert_null(strstr(buf_str(&text), "kid.svc.test"));
    assert_non_null(strstr(buf_str(&text), "\n*.svc.test.\t60\tIN\tA\t192.0.2.9\n"));
    buf_clear(&text);
}

/* A part at a time, however many there are. */
static void known_names_end_in_parts(void **state)
{
    struct fixture *f = *state;
    struct records_sweep at = {.len = 0};
    char name[40];
    size_t gone_n = 0;
    size_t rounds = 0;

    for (unsigned i = 0; i < 250; i++) {
        (void)snprintf(name, sizeof(name), "n%u.svc.test", i);
        put_known(f, name);
    }
    do {
        size_t n = sweep(f, "n77.svc.test", &at);
        assert_true(n <= RECORDS_SWEEP_GONE_MAX);
        gone_n += n;
        rounds++;
    } while (at.len != 0);
    assert_int_equal(gone_n, 250); /* but one, and exact.svc.test */
    assert_int_equal(rounds, 3);
    struct buf now = exported(f, "svc.test", true);
    assert_non_null(strstr(buf_str(&now), "_acme-challenge.n77.svc.test."));
    assert_null(strstr(buf_str(&now), "n78.svc.test."));
    buf_clear(&now);
    fixture_reopen(f, "zones: [other.test]\ndelegate_zone: acme.other.test\n");
    assert_int_equal(sweep(f, "", &at), 1); /* of a zone that is here no more */
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
    /* in the zone above as well, but for what is not written there */
    assert_int_equal(add_as(f, "", "kid.svc.test", "NS", "n."), 1);
    assert_int_equal(add_as(f, "", "other.kid.svc.test", "A", "10.0.0.1"), 1);
    (void)snprintf(wanted, sizeof(wanted), "0:%lu 3:%lu 1:%lu 0:%lu 1:%lu ",
                   (unsigned long)serial + 1, (unsigned long)serial + 1, (unsigned long)serial + 1,
                   (unsigned long)serial + 2, (unsigned long)serial + 2);
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
        cmocka_unit_test_setup_teardown(below_names, setup, teardown),
        cmocka_unit_test_setup_teardown(without_ingress, setup, teardown),
        cmocka_unit_test_setup_teardown(delegation, setup, teardown),
        cmocka_unit_test_setup_teardown(journal_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(ttl_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(known_names, setup, teardown),
        cmocka_unit_test_setup_teardown(known_names_end, setup, teardown),
        cmocka_unit_test_setup_teardown(not_served_below, setup, teardown),
        cmocka_unit_test_setup_teardown(known_names_end_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(serials_are_told, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
