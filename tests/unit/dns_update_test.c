/* Updates as clients send them: what they change, who may, prerequisites, all or nothing. */
#include "update_maker.h"

#include <pthread.h>
#include <stdatomic.h>

#include "dns/update_int.h"

#define CHALLENGE "_acme-challenge."
#define WWW_OWNER "www.svc.test.acme.svc.test"

static char v1[TXT_VALUE_LEN + 1], v2[TXT_VALUE_LEN + 1], v3[TXT_VALUE_LEN + 1];

struct world {
    struct fixture *f;
    struct update *update;
};

static int send_as(struct world *w, const char *client, const char *script)
{
    return send_script(w->update, client, "svc.test", script);
}

static int send_value(struct world *w, const char *client, const char *verb, const char *name,
                      const char *value)
{
    char line[600];

    (void)snprintf(line, sizeof(line), "update %s %s TXT%s%s", verb, name,
                   *value == '\0' ? "" : " ", value);
    return send_as(w, client, line);
}

struct row {
    const char *what, *client, *script;
    int rcode;
};

static void run_rows(struct world *w, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rcode = send_as(w, rows[i].client, rows[i].script);
        if (rcode != rows[i].rcode) {
            fail_msg("%s: RCODE %d instead of %d", rows[i].what, rcode, rows[i].rcode);
        }
    }
}

/* --- who may ---------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    static const struct row ROWS[] = {
        {"unsigned", NULL, "update add www.svc.test A 10.0.0.1", REFUSED},
        {"unsigned, nothing to do", NULL, "", REFUSED},
        {"removed client", "nobody", "update add www.svc.test A 10.0.0.1", REFUSED},
        {"a client from elsewhere", "inside", "update add www.svc.test A 10.0.0.1", REFUSED},
        {"not its name", "apex", "update add www.svc.test A 10.0.0.1", REFUSED},
        {"not its name, removal", "apex", "update delete www.svc.test", REFUSED},
        {"not the apex", "wild", "update add svc.test MX 10 mail.svc.test.", REFUSED},
        {"not the apex's services", "wild", "update add _sip._tcp.svc.test TXT x", REFUSED},
        {"not the wildcard", "apex", "update add *.svc.test A 10.0.0.1", REFUSED},
        {"not the wildcard of its services", "one", "update add *._tcp.one.svc.test TXT x",
         REFUSED},
        {"another zone's client", "public", "update add www.svc.test A 10.0.0.1", REFUSED},
        {"no records", "values", "update add www.svc.test A 10.0.0.1", REFUSED},
        {"no records, removal", "values", "update delete www.svc.test A", REFUSED},
        {"our own name", "both", "update add ca.svc.test A 10.0.0.1", REFUSED},
        {"our own name, removal", "both", "update delete ca.svc.test", REFUSED},
        {"our own name's services", "both", "update add _443._tcp.ca.svc.test TXT x", REFUSED},
        {"a zone's SOA", "both", "update add svc.test SOA a. b. 9 9 9 9 9", REFUSED},
        {"two SOAs of a zone", "both",
         "update add svc.test SOA a. b. 9 9 9 9 9\n"
         "update add svc.test SOA a. b. 10 9 9 9 9",
         REFUSED},
        {"a zone's SOA, removal", "both", "update delete svc.test SOA", REFUSED},
        {"a zone's NS", "both", "update add svc.test NS ns.example.org.", REFUSED},
        {"a DNAME above our own name", "both", "update add svc.test DNAME example.org.", REFUSED},
        {"a delegation of one name only", "one", "update add one.svc.test NS ns.example.org.",
         REFUSED},
        {"signatures", "both", "update delete www.svc.test RRSIG", REFUSED},
        {"the delegate zone itself", "both", "update add acme.svc.test A 10.0.0.1", REFUSED},
        {"not a value's name", "both", "update add a_b.acme.svc.test A 10.0.0.1", REFUSED},
        {"persistent texts", "both", "update add _validation-persist.www.svc.test TXT x", REFUSED},
        {"persistent texts, removal", "both", "update delete _validation-persist.www.svc.test",
         REFUSED},
        {"below a challenge name", "both", "update add x._acme-challenge.www.svc.test TXT x",
         REFUSED},
        {"a challenge name of a wildcard", "both", "update add _acme-challenge.*.svc.test TXT x",
         REFUSED},
    };
    struct world *w = *state;

    run_rows(w, ROWS, ARRAY_N(ROWS));
    assert_records(w->f, "www.svc.test", "A", "");
    assert_true(audit_n(w->f, "dns.refused") > 0);
    assert_int_equal(audit_n(w->f, "dns.update"), 0);
}

static void test_allowed(void **state)
{
    static const struct row ROWS[] = {
        {"nothing to do", "both", "", NOERROR},
        {"the apex", "apex", "update add svc.test MX 10 mail.svc.test.", NOERROR},
        {"a service of the apex", "apex", "update add _sip._tcp.svc.test SRV 1 2 3 x.svc.test.",
         NOERROR},
        {"a wildcard", "wild", "update add *.svc.test TXT wild", NOERROR},
        {"one name", "one", "update add one.svc.test AAAA fd00::1", NOERROR},
        {"a service", "one", "update add _443._tcp.one.svc.test TXT x", NOERROR},
        {"a delegation", "wild", "update add sub.svc.test NS ns.example.org.", NOERROR},
        {"what is not there, removed", "both", "update delete nix.svc.test", NOERROR},
        {"the same", "both", "update delete nix.svc.test A 10.0.0.1", NOERROR},
        {"where no value can be", "both", "update delete a_b.acme.svc.test TXT", NOERROR},
        {"a type nobody knows", "both", "update add odd.svc.test TYPE65400 \\# 2 0102", NOERROR},
    };
    struct world *w = *state;

    run_rows(w, ROWS, ARRAY_N(ROWS));
    assert_records(w->f, "svc.test", "MX", "10 mail.svc.test.");
    assert_records(w->f, "one.svc.test", "AAAA", "fd00::1");
    assert_records(w->f, "sub.svc.test", "NS", "ns.example.org.");
    assert_int_equal(audit_n(w->f, "dns.refused"), 0);
    assert_int_equal(audit_n(w->f, "dns.update"), 7);
}

static void test_below_a_delegation(void **state)
{
    struct world *w = *state;

    assert_int_equal(send_as(w, "both", "update add sub.svc.test NS ns.example.org."), NOERROR);
    assert_int_equal(send_value(w, "both", "add", CHALLENGE "sub.svc.test", v1), REFUSED);
    assert_int_equal(send_value(w, "both", "add", CHALLENGE "x.sub.svc.test", v1), REFUSED);
    assert_int_equal(send_as(w, "both", "prereq nxdomain " CHALLENGE "x.sub.svc.test"), NOERROR);
    assert_int_equal(send_as(w, "both", "update delete sub.svc.test NS"), NOERROR);
    assert_int_equal(send_value(w, "both", "add", CHALLENGE "x.sub.svc.test", v1), NOERROR);
}

static void test_inside_its_networks(void **state)
{
    struct world *w = *state;
    struct maker m;

    maker_script(&m, "svc.test", "update add www.svc.test A 10.0.0.1");
    assert_int_equal(send_bytes(w->update, "inside", "192.0.2.1", m.data.data, m.data.len),
                     REFUSED);
    assert_int_equal(send_bytes(w->update, "inside", "10.1.2.3", m.data.data, m.data.len), NOERROR);
    assert_records(w->f, "www.svc.test", "A", "10.0.0.1");
    buf_clear(&m.data);
}

static struct err forget_client_tx(struct db *db, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "DELETE FROM client WHERE name = ?1");

    db_bind_text(q, 1, arg);
    return db_run(q, NULL);
}

/* A client that goes between the look at policy and the transaction changes nothing any more. */
static void test_removed_meanwhile(void **state)
{
    static const char *const NAMES[] = {"*.svc.test"};
    const struct access_new_client guest = {.name = "guest", .patterns = NAMES, .patterns_n = 1};
    struct world *w = *state;
    char secret[CLIENT_SECRET_MAX + 1];
    char name[] = "guest";

    must(access_client_create(w->f->access, &guest, secret));
    assert_int_equal(send_as(w, name, "update add www.svc.test A 10.0.0.1"), NOERROR);
    must(store_write(w->f->store, "test.forget", forget_client_tx, name));
    assert_int_equal(send_as(w, name, "update add www.svc.test A 10.0.0.2"), REFUSED);
    assert_int_equal(send_as(w, name, "update delete www.svc.test A"), REFUSED);
    assert_int_equal(send_value(w, name, "add", CHALLENGE "www.svc.test", v1), REFUSED);
    assert_records(w->f, "www.svc.test", "A", "10.0.0.1");
    assert_int_equal(values_at(w->f, WWW_OWNER), 0);
}

/* --- ordinary records ------------------------------------------------------------------------- */

static void test_records_come_and_go(void **state)
{
    struct world *w = *state;

    assert_int_equal(send_as(w, "both",
                             "update add www.svc.test A 10.0.0.1\n"
                             "update add www.svc.test A 10.0.0.2\n"
                             "update add www.svc.test TXT \"a b\" c"),
                     NOERROR);
    assert_records(w->f, "www.svc.test", "A", "10.0.0.1|10.0.0.2");
    assert_int_equal(send_as(w, "both", "update delete www.svc.test A 10.0.0.1"), NOERROR);
    assert_records(w->f, "www.svc.test", "A", "10.0.0.2");
    assert_int_equal(send_as(w, "both",
                             "update delete www.svc.test A\n"
                             "update add www.svc.test A 10.0.0.3"),
                     NOERROR);
    assert_records(w->f, "www.svc.test", "A", "10.0.0.3");
    assert_int_equal(send_as(w, "both", "update delete www.svc.test"), NOERROR);
    assert_records(w->f, "www.svc.test", "A", "");
    assert_records(w->f, "www.svc.test", "TXT", "");
    assert_int_equal(audit_n(w->f, "dns.update"), 4);
}

static void test_the_same_again(void **state)
{
    struct world *w = *state;
    uint32_t serial;

    assert_int_equal(send_as(w, "both", "update add www.svc.test A 10.0.0.1"), NOERROR);
    serial = zone_serial_of(w->f->zones, "svc.test");
    for (int i = 0; i < 3; i++) { /* a retransmission */
        assert_int_equal(send_as(w, "both", "update add www.svc.test A 10.0.0.1"), NOERROR);
    }
    assert_int_equal(zone_serial_of(w->f->zones, "svc.test"), serial);
    assert_records(w->f, "www.svc.test", "A", "10.0.0.1");
    assert_int_equal(audit_n(w->f, "dns.update"), 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_value(w, "both", "add", CHALLENGE "www.svc.test", v1), NOERROR);
    }
    assert_int_equal(values_at(w->f, WWW_OWNER), 1);
}

static void test_all_or_nothing(void **state)
{
    struct world *w = *state;
    char script[400];

    assert_int_equal(send_as(w, "both",
                             "update add half.svc.test A 10.0.0.1\n"
                             "update add _acme-challenge.half.svc.test A 10.0.0.1"),
                     REFUSED);
    assert_int_equal(send_as(w, "both",
                             "update add half.svc.test A 10.0.0.1\n"
                             "update add other.example.org A 10.0.0.1"),
                     NOTZONE);
    (void)snprintf(script, sizeof(script),
                   "prereq yxdomain nix.svc.test\n"
                   "update add half.svc.test A 10.0.0.1\n"
                   "update add " CHALLENGE "half.svc.test TXT %s",
                   v1);
    assert_int_equal(send_as(w, "both", script), NXDOMAIN);
    assert_records(w->f, "half.svc.test", "A", "");
    assert_int_equal(values_at(w->f, "half.svc.test.acme.svc.test"), 0);
    assert_int_equal(audit_n(w->f, "delegate.publish"), 0);
    assert_int_equal(send_as(w, "both", strchr(script, '\n') + 1), NOERROR);
    assert_records(w->f, "half.svc.test", "A", "10.0.0.1");
    assert_int_equal(values_at(w->f, "half.svc.test.acme.svc.test"), 1);
}

/* --- prerequisites ---------------------------------------------------------------------------- */

static void test_prerequisites(void **state)
{
    static const struct row ROWS[] = {
        {"in use", "both", "prereq yxdomain www.svc.test", NOERROR},
        {"in use, but not", "both", "prereq nxdomain www.svc.test", YXDOMAIN},
        {"not in use", "both", "prereq nxdomain nix.svc.test", NOERROR},
        {"not in use, wanted", "both", "prereq yxdomain nix.svc.test", NXDOMAIN},
        {"an empty non-terminal is not in use", "both", "prereq yxdomain deep.svc.test", NXDOMAIN},
        {"there", "both", "prereq yxrrset www.svc.test A", NOERROR},
        {"there, but not", "both", "prereq nxrrset www.svc.test A", YXRRSET},
        {"not there", "both", "prereq nxrrset www.svc.test AAAA", NOERROR},
        {"not there, wanted", "both", "prereq yxrrset www.svc.test AAAA", NXRRSET},
        {"these", "both",
         "prereq yxrrset www.svc.test A 10.0.0.2\nprereq yxrrset www.svc.test A 10.0.0.1", NOERROR},
        {"these, one twice", "both",
         "prereq yxrrset www.svc.test A 10.0.0.2\nprereq yxrrset www.svc.test A 10.0.0.1\n"
         "prereq yxrrset www.svc.test A 10.0.0.2",
         NOERROR},
        {"not all", "both", "prereq yxrrset www.svc.test A 10.0.0.1", NXRRSET},
        {"more", "both",
         "prereq yxrrset www.svc.test A 10.0.0.1\nprereq yxrrset www.svc.test A 10.0.0.2\n"
         "prereq yxrrset www.svc.test A 10.0.0.3",
         NXRRSET},
        {"others", "both",
         "prereq yxrrset www.svc.test A 10.0.0.1\nprereq yxrrset www.svc.test A 10.0.0.3", NXRRSET},
        {"of a name without any", "both", "prereq yxrrset nix.svc.test A 10.0.0.1", NXRRSET},
        {"the second does not hold", "both",
         "prereq yxdomain www.svc.test\nprereq nxrrset www.svc.test TXT", YXRRSET},
        {"the apex has a SOA", "both", "prereq yxrrset svc.test SOA", NOERROR},
        {"outside the zone", "both", "prereq yxdomain www.example.org", NOTZONE},
        {"before permission", "apex",
         "prereq nxdomain www.svc.test\nupdate add www.svc.test A 10.0.0.9", YXDOMAIN},
        {"and then permission", "apex",
         "prereq yxdomain www.svc.test\nupdate add www.svc.test A 10.0.0.9", REFUSED},
    };
    struct world *w = *state;

    assert_int_equal(send_as(w, "both",
                             "update add www.svc.test A 10.0.0.1\n"
                             "update add www.svc.test A 10.0.0.2\n"
                             "update add www.svc.test TXT x\n"
                             "update add x.deep.svc.test TXT x"),
                     NOERROR);
    run_rows(w, ROWS, ARRAY_N(ROWS));
    assert_int_equal(audit_n(w->f, "dns.update"), 1);
}

/* RFC 2136 sees the target's TXT RRset at a challenge name, and no CNAME. */
static void test_prerequisites_at_challenge_names(void **state)
{
    static const char *const NAMES[] = {CHALLENGE "www.svc.test", WWW_OWNER,
                                        CHALLENGE "WWW.svc.TEST"};
    struct world *w = *state;
    const struct {
        const char *line; /* %s: the name; two values: both */
        int rcode;
    } rows[] = {
        {"prereq yxdomain %s", NOERROR},          {"prereq nxdomain %s", YXDOMAIN},
        {"prereq yxrrset %s TXT", NOERROR},       {"prereq nxrrset %s TXT", YXRRSET},
        {"prereq yxrrset %s CNAME", NXRRSET},     {"prereq nxrrset %s CNAME", NOERROR},
        {"prereq nxrrset %s A", NOERROR},         {"prereq yxrrset %s TXT %s", NXRRSET},
        {"prereq yxrrset %s TXT other", NXRRSET},
    };
    char script[1000];

    for (size_t k = 0; k < ARRAY_N(NAMES); k++) { /* nothing there yet */
        (void)snprintf(script, sizeof(script), "prereq nxdomain %s\nprereq nxrrset %s TXT",
                       NAMES[k], NAMES[k]);
        assert_int_equal(send_as(w, "both", script), NOERROR);
        (void)snprintf(script, sizeof(script), "prereq yxdomain %s", NAMES[k]);
        assert_int_equal(send_as(w, "both", script), NXDOMAIN);
    }
    assert_int_equal(send_value(w, "both", "add", NAMES[0], v1), NOERROR);
    assert_int_equal(send_value(w, "both", "add", NAMES[0], v2), NOERROR);
    for (size_t k = 0; k < ARRAY_N(NAMES); k++) {
        for (size_t i = 0; i < ARRAY_N(rows); i++) {
            size_t n = (size_t)(strstr(rows[i].line, "%s") - rows[i].line);
            const char *rest = rows[i].line + n + 2;
            bool has_value = strstr(rest, "%s") != NULL;
            (void)snprintf(script, sizeof(script), "%.*s%s%.*s%s", (int)n, rows[i].line, NAMES[k],
                           has_value ? 5 : 200, rest, has_value ? v1 : "");
            int rcode = send_as(w, "both", script);
            if (rcode != rows[i].rcode) {
                fail_msg("%s: RCODE %d", script, rcode);
            }
        }
        (void)snprintf(script, sizeof(script), "prereq yxrrset %s TXT %s\nprereq yxrrset %s TXT %s",
                       NAMES[k], v2, NAMES[k], v1);
        assert_int_equal(send_as(w, "both", script), NOERROR);
    }
    clock_shift((DELEGATE_VALUE_TTL_S + 1) * INT64_C(1000)); /* expired ones are not there */
    assert_int_equal(send_as(w, "both", "prereq nxdomain " CHALLENGE "www.svc.test"), NOERROR);
}

/* --- challenge values ------------------------------------------------------------------------- */

static void test_a_value_lands_at_the_delegate_name(void **state)
{
    struct world *w = *state;
    uint32_t serial = zone_serial_of(w->f->zones, "acme.svc.test");
    char detail[400];
    char script[600];

    expect_for(w->f, "www.svc.test", v1);
    assert_int_equal(send_value(w, "both", "add", CHALLENGE "WWW.svc.test", v1), NOERROR);
    assert_int_equal(values_at(w->f, WWW_OWNER), 1);
    assert_int_equal(check_of(w->f, "www.svc.test", v1, detail), DELEGATE_FOUND);
    assert_true(zone_serial_of(w->f->zones, "acme.svc.test") > serial);
    assert_int_equal(audit_n(w->f, "delegate.publish"), 1);
    assert_int_equal(audit_n(w->f, "dns.update"), 0);
    /* lego: the set away and the new one in, in one message */
    (void)snprintf(script, sizeof(script),
                   "update delete " CHALLENGE "www.svc.test TXT\nupdate add " CHALLENGE
                   "www.svc.test TXT %s",
                   v2);
    assert_int_equal(send_as(w, "both", script), NOERROR);
    assert_int_equal(values_at(w->f, WWW_OWNER), 1);
    assert_int_equal(check_of(w->f, "www.svc.test", v1, detail), DELEGATE_MISSING);
    assert_int_equal(check_of(w->f, "www.svc.test", v2, detail), DELEGATE_FOUND);
    /* by its own name, in the zone that answers SOA for it, or in the zone above */
    (void)snprintf(script, sizeof(script), "update add " WWW_OWNER " TXT %s", v3);
    assert_int_equal(send_script(w->update, "both", "acme.svc.test", script), NOERROR);
    assert_int_equal(send_as(w, "both", script), NOERROR);
    assert_int_equal(values_at(w->f, WWW_OWNER), 2);
    assert_int_equal(send_value(w, "both", "delete", WWW_OWNER, v3), NOERROR);
    assert_int_equal(send_value(w, "both", "delete", CHALLENGE "www.svc.test", v3), NOERROR);
    assert_int_equal(values_at(w->f, WWW_OWNER), 1);
}

static void test_an_accounts_label_and_long_names(void **state)
{
#define LABEL "_abcdefghijklmnop"
#define L60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    struct world *w = *state;
    const char *base = L60 "." L60 "." L60 ".svc.test";
    char name[300];
    char owner[NAME_TEXT_MAX + 1];

    assert_int_equal(send_value(w, "both", "add", LABEL "." CHALLENGE "www.svc.test", v1), NOERROR);
    assert_int_equal(values_at(w->f, LABEL "." WWW_OWNER), 1);
    assert_int_equal(values_at(w->f, WWW_OWNER), 0);
    (void)snprintf(name, sizeof(name), CHALLENGE "%s", base);
    assert_int_equal(send_value(w, "both", "add", name, v1), NOERROR);
    must(name_delegate(base, "acme.svc.test", owner));
    assert_int_equal(values_at(w->f, owner), 1);
    assert_int_equal(send_value(w, "both", "delete", owner, ""), NOERROR);
    assert_int_equal(values_at(w->f, owner), 0);
}

static void test_only_values_at_challenge_names(void **state)
{
    static const struct row ROWS[] = {
        {"A", "both", "update add _acme-challenge.www.svc.test A 10.0.0.1", REFUSED},
        {"CNAME", "both", "update add _acme-challenge.www.svc.test CNAME x.svc.test.", REFUSED},
        {"CNAME, removal", "both", "update delete _acme-challenge.www.svc.test CNAME", REFUSED},
        {"short", "both", "update add _acme-challenge.www.svc.test TXT short", REFUSED},
        {"two strings", "both", "update add _acme-challenge.www.svc.test TXT a b", REFUSED},
        {"not base64url", "both",
         "update add _acme-challenge.www.svc.test TXT "
         "\"!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!\"",
         REFUSED},
        {"another type at a delegate name", "both",
         "update add www.svc.test.acme.svc.test A 10.0.0.1", REFUSED},
        {"an unknown hashed name", "both",
         "update add h-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.acme.svc.test TXT "
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         REFUSED},
        {"cleaning up there", "both",
         "update delete h-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.acme.svc.test TXT",
         NOERROR},
    };
    struct world *w = *state;

    run_rows(w, ROWS, ARRAY_N(ROWS));
    assert_int_equal(values_at(w->f, WWW_OWNER), 0);
}

static void test_values_policy(void **state)
{
    struct world *w = *state;

    assert_int_equal(send_value(w, "apex", "add", CHALLENGE "www.svc.test", v1), REFUSED);
    assert_int_equal(send_value(w, "apex", "add", WWW_OWNER, v1), REFUSED);
    assert_int_equal(send_value(w, "inside", "add", CHALLENGE "www.svc.test", v1), REFUSED);
    assert_int_equal(send_value(w, "nobody", "add", CHALLENGE "www.svc.test", v1), REFUSED);
    assert_int_equal(send_value(w, NULL, "add", CHALLENGE "www.svc.test", v1), REFUSED);
    assert_true(audit_n(w->f, "delegate.refused") >= 2);
    assert_int_equal(values_at(w->f, WWW_OWNER), 0);
    /* records: false is about ordinary ones; the wildcard of a name is proved at the name */
    assert_int_equal(send_value(w, "values", "add", CHALLENGE "www.svc.test", v1), NOERROR);
    assert_int_equal(send_value(w, "wild", "add", CHALLENGE "svc.test", v1), NOERROR);
    /* what another challenge expects is not put by who may not have it */
    expect_for(w->f, "svc.test", v2);
    assert_int_equal(send_value(w, "wild", "add", CHALLENGE "svc.test", v2), REFUSED);
    assert_int_equal(send_value(w, "apex", "add", CHALLENGE "svc.test", v2), NOERROR);
}

/* Row 8 of the regression matrix: cleaning up takes what the same client added. */
static void test_deletions_by_two_clients(void **state)
{
    struct world *w = *state;
    const char *name = CHALLENGE "www.svc.test";

    assert_int_equal(send_value(w, "both", "add", name, v1), NOERROR);
    assert_int_equal(send_value(w, "both", "add", name, v2), NOERROR);
    assert_int_equal(send_value(w, "wild", "add", name, v2), NOERROR);
    assert_int_equal(send_value(w, "wild", "add", name, v3), NOERROR);
    must(publish_as(w->f, "wild", "_acme-challenge.www.svc.test", v1)); /* another door */
    assert_int_equal(values_at(w->f, WWW_OWNER), 5);
    assert_int_equal(send_value(w, "both", "delete", name, v3), NOERROR); /* not its own */
    assert_int_equal(values_at(w->f, WWW_OWNER), 5);
    assert_int_equal(send_value(w, "wild", "delete", name, v2), NOERROR);
    assert_int_equal(values_at(w->f, WWW_OWNER), 4);
    assert_int_equal(send_value(w, "wild", "delete", name, ""), NOERROR);
    assert_int_equal(values_at(w->f, WWW_OWNER), 2);
    assert_int_equal(send_as(w, "both", "update delete " CHALLENGE "www.svc.test"), NOERROR);
    assert_int_equal(values_at(w->f, WWW_OWNER), 0);
    assert_int_equal(send_as(w, "both", "update delete " CHALLENGE "www.svc.test"), NOERROR);
    assert_int_equal(audit_n(w->f, "delegate.cleanup"), 3);
}

static void test_a_full_name(void **state)
{
    struct world *w = *state;
    char value[TXT_VALUE_LEN + 1];
    char script[400];

    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        must(publish_as(w->f, "both", CHALLENGE "www.svc.test", digest_n(100 + i, value)));
    }
    (void)snprintf(script, sizeof(script),
                   "update add www.svc.test A 10.0.0.1\nupdate add " CHALLENGE "www.svc.test TXT "
                   "%s",
                   v1);
    assert_int_equal(send_as(w, "both", script), REFUSED);
    assert_records(w->f, "www.svc.test", "A", "");
    assert_int_equal(values_at(w->f, WWW_OWNER), ZONE_VALUES_MAX);
}

static void on_value(void *ctx, const char digest[TXT_VALUE_LEN + 1])
{
    memcpy(ctx, digest, TXT_VALUE_LEN + 1);
}

static void test_a_value_wakes_the_validator(void **state)
{
    struct world *w = *state;
    char woken[TXT_VALUE_LEN + 1] = "";

    delegate_on_value(w->f->delegate, on_value, woken);
    assert_int_equal(send_value(w, "both", "add", CHALLENGE "www.svc.test", v1), NOERROR);
    assert_string_equal(woken, ""); /* nobody waits for it */
    expect_for(w->f, "www.svc.test", v2);
    assert_int_equal(send_value(w, "both", "add", CHALLENGE "www.svc.test", v2), NOERROR);
    assert_string_equal(woken, v2);
    delegate_on_value(w->f->delegate, NULL, NULL);
}

static void test_refusals_are_bounded(void **state)
{
    struct world *w = *state;

    clock_hold(true);
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(send_as(w, "apex", "update add www.svc.test A 10.0.0.1"), REFUSED);
    }
    clock_hold(false);
    assert_int_equal(audit_n(w->f, "dns.refused"), UPDATE_REFUSED_PER_S);
}

#define THREADS 8
#define ROUNDS 6

/* --- the same message again ------------------------------------------------------------------- */

static int send_again(struct world *w, unsigned mac_n, const char *script)
{
    struct maker m;

    maker_script(&m, "svc.test", script);
    int rcode = send_signed(w->update, "both", "127.0.0.1", m.data.data, m.data.len, mac_n);
    buf_clear(&m.data);
    return rcode;
}

/* What somebody sends who listened, or a client that heard nothing: answered as before, not done again. */
static void test_a_repeat_is_answered_and_not_applied(void **state)
{
    static const char *const add = "update add www.svc.test A 10.0.0.1";
    static const char *const first =
        "prereq nxdomain www.svc.test\nupdate add www.svc.test A 10.0.0.2";
    struct world *w = *state;

    assert_int_equal(send_again(w, 1, add), NOERROR);
    assert_int_equal(send_again(w, 2, first), YXDOMAIN);
    assert_int_equal(send_again(w, 3, "update delete www.svc.test"), NOERROR);
    int64_t rows_n = audit_n(w->f, "dns.update");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(send_again(w, 1, add), NOERROR);
        assert_int_equal(send_again(w, 2, first), YXDOMAIN); /* though it would hold now */
        assert_records(w->f, "www.svc.test", "A", "");
    }
    assert_int_equal(audit_n(w->f, "dns.update"), rows_n);
    assert_int_equal(send_again(w, 4, add), NOERROR); /* signed anew */
    assert_records(w->f, "www.svc.test", "A", "10.0.0.1");
    assert_int_equal(send_again(w, 3, "update delete www.svc.test"), NOERROR);
    assert_records(w->f, "www.svc.test", "A", "10.0.0.1");
    /* Refusals too; a fault of the form is found before. */
    assert_int_equal(send_again(w, 5, "update add svc.test NS a."), REFUSED);
    assert_int_equal(send_again(w, 5, "update add svc.test NS a."), REFUSED);
}

/* While the first of two is under way there is nothing that could be said to the other. */
static void test_a_twin_under_way(void **state)
{
    struct world *w = *state;
    enum dns_rcode rcode = RCODE_NOERROR;
    const unsigned mac_n = 7;
    struct tsig tsig = {.mac_len = 32};

    memcpy(tsig.mac, &mac_n, sizeof(mac_n));
    assert_int_equal(update_seen_begin(w->update->seen, &tsig, &rcode), UPDATE_NEW);
    assert_int_equal(send_again(w, mac_n, "update add www.svc.test A 10.0.0.1"), -1);
    update_seen_end(w->update->seen, &tsig, RCODE_SERVFAIL);
    assert_records(w->f, "www.svc.test", "A", "");
    assert_int_equal(send_again(w, mac_n, "update add www.svc.test A 10.0.0.1"), NOERROR);
    assert_records(w->f, "www.svc.test", "A", "10.0.0.1");
}

struct twins {
    struct world *w;
    _Atomic unsigned done_n, silent_n, wrong_n;
};

static void *twin_thread(void *arg)
{
    struct twins *twins = arg;
    char script[200];

    for (unsigned i = 0; i < ROUNDS; i++) { /* done twice, the second would be YXDOMAIN */
        (void)snprintf(script, sizeof(script),
                       "prereq nxdomain n%u.svc.test\nupdate add n%u.svc.test A 10.0.0.1", i, i);
        int rcode = send_again(twins->w, 100 + i, script);
        atomic_fetch_add(rcode == NOERROR ? &twins->done_n
                         : rcode == -1    ? &twins->silent_n
                                          : &twins->wrong_n,
                         1);
    }
    return NULL;
}

/* --- threads ---------------------------------------------------------------------------------- */

struct race {
    struct world *w;
    _Atomic unsigned won_n;
};

static void *race_thread(void *arg)
{
    struct race *race = arg;
    char script[200];

    for (unsigned i = 0; i < ROUNDS; i++) {
        (void)snprintf(script, sizeof(script),
                       "prereq nxdomain n%u.svc.test\nupdate add n%u.svc.test A 10.0.0.1", i, i);
        int rcode = send_as(race->w, "both", script);
        if (rcode == NOERROR) {
            atomic_fetch_add(&race->won_n, 1);
        } else if (rcode != YXDOMAIN) {
            atomic_fetch_add(&race->won_n, 1000);
        }
    }
    return NULL;
}

static void test_only_one_of_many_is_first(void **state)
{
    struct race race = {*state, 0};
    pthread_t threads[THREADS];
    char woken[TXT_VALUE_LEN + 1] = "";

    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, race_thread, &race), 0);
    }
    for (unsigned i = 0; i < 200; i++) { /* as ACME starts and stops meanwhile */
        delegate_on_value(race.w->f->delegate, i % 2 == 0 ? on_value : NULL, woken);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&race.won_n), ROUNDS);
}

/* The same message on many threads at once: done once, and nobody hears anything else than its RCODE. */
static void test_twins(void **state)
{
    struct twins twins = {.w = *state};
    pthread_t threads[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, twin_thread, &twins), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&twins.wrong_n), 0);
    assert_int_equal(twins.done_n + twins.silent_n, THREADS * ROUNDS);
    assert_true(twins.done_n >= ROUNDS); /* each at least once */
    assert_int_equal(audit_n(twins.w->f, "dns.update"), ROUNDS);
}

/* --- life ------------------------------------------------------------------------------------- */

/* In a plain zone what proves a name is an ordinary record: x and *.x are both needed for it. And what
 * decides about names below, or would hide our own. */
static void test_proofs_in_a_plain_zone(void **state)
{
    static const struct {
        const char *client, *zone, *script;
        int rcode;
    } rows[] = {
        {"host", "plain.test", "update add host.plain.test A 10.0.0.1", 0},
        {"host", "plain.test", "update add _acme-challenge.host.plain.test CNAME a.b.", REFUSED},
        {"host", "plain.test", "update add _acme-challenge.host.plain.test TXT x", REFUSED},
        {"host", "plain.test", "update add _ACME-Challenge.HOST.plain.test CNAME a.b.", REFUSED},
        {"host", "plain.test",
         "update add _aaaaaaaaaaaaaaaa._acme-challenge.host.plain.test CNAME a.b.", REFUSED},
        {"host", "plain.test", "update add _validation-persist.host.plain.test TXT x", REFUSED},
        {"host", "plain.test", "update delete _acme-challenge.host.plain.test", REFUSED},
        {"below", "plain.test", "update add *.w.plain.test A 10.0.0.1", 0},
        {"below", "plain.test", "update add *.plain.test CNAME a.b.", REFUSED},
        {"below", "plain.test", "update add _acme-challenge.plain.test CNAME a.b.", REFUSED},
        {"below", "plain.test", "update add _acme-challenge.w.plain.test CNAME a.b.", 0},
        {"whole", "plain.test", "update add _acme-challenge.v.plain.test CNAME a.b.", 0},
        {"host", "plain.test", "update add host.plain.test CAA 0 issue \";\"", REFUSED},
        {"whole", "plain.test", "update add v.plain.test CAA 0 issue \";\"", 0},
        {"both", "svc.test", "update add infra.svc.test NS ns.example.org.", REFUSED},
        {"both", "svc.test", "update add infra.svc.test DNAME example.org.", REFUSED},
        {"both", "svc.test", "update add other.svc.test NS ns.example.org.", 0},
        {"both", "svc.test", "update add svc.test CAA 0 issue \"svc.test\"", 0},
    };
    struct fixture *f = fixture_new_with(
        "  - name: svc.test\n  - {name: plain.test, plain: true}\n", "acme.infra.svc.test",
        "  - {name: host, secret: " SECRET_B ", names: [host.plain.test]}\n"
        "  - {name: below, secret: " SECRET_B ", names: ['*.plain.test']}\n"
        "  - {name: whole, secret: " SECRET_B ", names: [v.plain.test, '*.v.plain.test']}\n");
    struct update *update = update_of(f);

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        int rcode = send_script(update, rows[i].client, rows[i].zone, rows[i].script);
        if (rcode != rows[i].rcode) {
            fail_msg("%s: RCODE %d instead of %d", rows[i].script, rcode, rows[i].rcode);
        }
    }
    update_free(update);
    fixture_free(f);
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    assert_non_null(w);
    w->f = fixture_new("  - {name: one, secret: " SECRET_B ", names: [one.svc.test]}\n"
                       "  - {name: values, secret: " SECRET_B
                       ", names: ['*.svc.test'], records: false}\n");
    w->update = update_of(w->f);
    digest_n(1, v1);
    digest_n(2, v2);
    digest_n(3, v3);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proofs_in_a_plain_zone),
        TEST(test_refused),
        TEST(test_allowed),
        TEST(test_below_a_delegation),
        TEST(test_inside_its_networks),
        TEST(test_removed_meanwhile),
        TEST(test_records_come_and_go),
        TEST(test_the_same_again),
        TEST(test_all_or_nothing),
        TEST(test_prerequisites),
        TEST(test_prerequisites_at_challenge_names),
        TEST(test_a_value_lands_at_the_delegate_name),
        TEST(test_an_accounts_label_and_long_names),
        TEST(test_only_values_at_challenge_names),
        TEST(test_values_policy),
        TEST(test_deletions_by_two_clients),
        TEST(test_a_full_name),
        TEST(test_a_value_wakes_the_validator),
        TEST(test_refusals_are_bounded),
        TEST(test_only_one_of_many_is_first),
        TEST(test_a_repeat_is_answered_and_not_applied),
        TEST(test_a_twin_under_way),
        TEST(test_twins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
