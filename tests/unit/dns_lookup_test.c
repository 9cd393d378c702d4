/* Look-ups against scripted servers on loopback: every broken answer, in words; names of ours
 * in-process; cancelling in every phase. Servers and look-ups share one loop without a thread. */
#include "dns/lookup.h"
#include "core/util/mem.h"
#include "dns_script.h"

#define DIGITS70 "0123456789012345678901234567890123456789012345678901234567890123456789"
#define STRING70 "\"" DIGITS70 "\" "
#define STRINGS15                                                                                  \
    STRING70 STRING70 STRING70 STRING70 STRING70 STRING70 STRING70 STRING70 STRING70 STRING70      \
        STRING70 STRING70 STRING70 STRING70 STRING70

static const struct rule RULES[] = {
    {"direct.ext.", HONEST, LDNS_RCODE_NOERROR, {"direct.ext. 1 IN TXT \"one\" \"two\""}},
    {"case.ext.", HONEST, LDNS_RCODE_NOERROR, {"CASE.Ext. 1 IN TXT \"mixed\""}},
    {"chain.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"chain.ext. 1 IN CNAME B.ext.", "b.ext. 1 IN CNAME direct.ext."}},
    {"whole.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"w.ext. 1 IN TXT \"w\"", "whole.ext. 1 IN CNAME w.ext."}},
    {"nodata.ext.", HONEST, LDNS_RCODE_NOERROR, {NULL}},
    {"stray.ext.", HONEST, LDNS_RCODE_NOERROR, {"other.ext. 1 IN TXT \"poison\""}},
    {"chaos.ext.", HONEST, LDNS_RCODE_NOERROR, {"chaos.ext. 1 CH TXT \"poison\""}},
    {"gone.ext.", HONEST, LDNS_RCODE_NXDOMAIN, {NULL}},
    {"dangling.ext.", HONEST, LDNS_RCODE_NXDOMAIN, {"dangling.ext. 1 IN CNAME gone.ext."}},
    {"loop.ext.", HONEST, LDNS_RCODE_NOERROR, {"loop.ext. 1 IN CNAME loop2.ext."}},
    {"loop2.ext.", HONEST, LDNS_RCODE_NOERROR, {"loop2.ext. 1 IN CNAME loop.ext."}},
    {"ring.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"ring.ext. 1 IN CNAME ring2.ext.", "ring2.ext. 1 IN CNAME ring.ext."}},
    {"self.ext.", HONEST, LDNS_RCODE_NOERROR, {"self.ext. 1 IN CNAME self.ext."}},
    {"odd.ext.", HONEST, LDNS_RCODE_NOERROR, {"odd.ext. 1 IN CNAME a\\000b.ext."}},
    {"dot.ext.", HONEST, LDNS_RCODE_NOERROR, {"dot.ext. 1 IN CNAME direct\\.ext."}},
    {"root.ext.", HONEST, LDNS_RCODE_NOERROR, {"root.ext. 1 IN CNAME ."}},
    {"long.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"long.ext. 1 IN TXT " STRINGS15, "long.ext. 1 IN TXT \"fits\"",
      "long.ext. 1 IN TXT \"bell\\007\"", "long.ext. 1 IN TXT \"\""}},
    {"fail.ext.", HONEST, LDNS_RCODE_SERVFAIL, {NULL}},
    {"refused.ext.", HONEST, LDNS_RCODE_REFUSED, {NULL}},
    {"formerr.ext.", HEADER_ONLY, LDNS_RCODE_FORMERR, {NULL}},
    {"notimp.ext.", HONEST, LDNS_RCODE_NOTIMPL, {NULL}},
    {"yx.ext.", HONEST, LDNS_RCODE_YXRRSET, {NULL}},
    {"bare.ext.", HEADER_ONLY, LDNS_RCODE_NOERROR, {NULL}},
    {"silent.ext.", SILENT, LDNS_RCODE_NOERROR, {NULL}},
    {"id.ext.", WRONG_ID, LDNS_RCODE_NOERROR, {"id.ext. 1 IN TXT \"true\""}},
    {"question.ext.", WRONG_QUESTION, LDNS_RCODE_NOERROR, {"question.ext. 1 IN TXT \"x\""}},
    {"lies.ext.", LIES_ONLY, LDNS_RCODE_NOERROR, {"lies.ext. 1 IN TXT \"x\""}},
    {"noqr.ext.", NO_QR, LDNS_RCODE_NOERROR, {"noqr.ext. 1 IN TXT \"x\""}},
    {"garbage.ext.", GARBAGE, LDNS_RCODE_NOERROR, {NULL}},
    {"short.ext.", SHORT, LDNS_RCODE_NOERROR, {NULL}},
    {"cut.ext.", CUT, LDNS_RCODE_NOERROR, {"cut.ext. 1 IN TXT \"over tcp\""}},
    {"close.ext.", CUT_AND_CLOSE, LDNS_RCODE_NOERROR, {NULL}},
    {"lie.ext.", CUT_AND_LIE, LDNS_RCODE_NOERROR, {"lie.ext. 1 IN TXT \"x\""}},
    {"mush.ext.", CUT_AND_GARBAGE, LDNS_RCODE_NOERROR, {NULL}},
    {"twice.ext.", CUT_TWICE, LDNS_RCODE_NOERROR, {NULL}},
    {"empty.ext.", CUT_AND_EMPTY, LDNS_RCODE_NOERROR, {NULL}},
    {"hang.ext.", CUT_AND_HANG, LDNS_RCODE_NOERROR, {"hang.ext. 1 IN TXT \"x\""}},
    {"many.ext.", MANY_TXT, LDNS_RCODE_NOERROR, {NULL}},
    {"ours.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"ours.ext. 1 IN CNAME X.svc.test.acme.svc.test.",
      "x.svc.test.acme.svc.test. 1 IN TXT \"poison\""}},
    {"inner.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"inner.ext. 1 IN CNAME _acme-challenge.y.svc.test."}},
    {"host.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"host.ext. 1 IN A 192.0.2.7", "host.ext. 1 IN AAAA 2001:db8::7",
      "host.ext. 1 IN CAA 128 issue \"ca.svc.test\""}},
    {"", MANY_CNAME, LDNS_RCODE_NOERROR, {NULL}},
};

/* --- one look-up ------------------------------------------------------------------------------ */

struct world {
    struct config *cfg;
    struct zone_db *zones;
    struct zone_reader *reader;
    struct loop *loop;
    struct resolve_config config;
    struct lookups *lookups;
    struct buf trail;
    struct script server;
    /* of the last look-up */
    unsigned called_n;
    struct lookup_result result; /* its records copied into first */
    char first[LOOKUP_RDATA_LEN_MAX + 1];
};

static struct world *world_new(void)
{
    struct world *w = mem_zalloc(sizeof(*w));

    assert_non_null(w);
    w->cfg = make_config(MAKER_CONFIG);
    assert_int_equal(zone_db_new(w->cfg, 1, &w->zones).code, ERR_OK);
    assert_int_equal(zone_reader_new(w->zones, &w->reader).code, ERR_OK);
    assert_int_equal(loop_new(&w->loop).code, ERR_OK);
    script_start(&w->server, w->loop, RULES);
    w->config = (struct resolve_config){&w->server.at, 1, NULL, 0};
    assert_int_equal(lookups_new(w->loop, &w->config, w->zones, &w->lookups).code, ERR_OK);
    buf_init(&w->trail, 65536);
    return w;
}

static void world_free(struct world *w)
{
    lookups_free(w->lookups);
    script_stop(&w->server);
    loop_free(w->loop);
    zone_reader_free(w->reader);
    zone_db_free(w->zones);
    config_free(w->cfg);
    buf_clear(&w->trail);
    mem_free(w);
}

static void on_result(void *arg, const struct lookup_result *result)
{
    struct world *w = arg;

    w->called_n++;
    w->result = *result;
    if (result->rdata_n > 0) {
        assert_true(result->rdata[0].len <= LOOKUP_RDATA_LEN_MAX);
        memcpy(w->first, result->rdata[0].data, result->rdata[0].len);
        w->first[result->rdata[0].len] = '\0';
    }
}

static struct lookup *start(struct world *w, const char *name, enum lookup_type type)
{
    struct lookup *lookup = NULL;

    buf_reset(&w->trail);
    w->called_n = 0;
    memset(&w->result, 0, sizeof(w->result));
    struct err e = lookup_start(w->lookups, name, type, clock_mono_ms() + 15000, &w->trail,
                                on_result, w, &lookup);
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(w->called_n, 0);
    return lookup;
}

static void run(struct world *w)
{
    while (w->called_n == 0) {
        (void)loop_run_once(w->loop, 1000);
    }
    assert_int_equal(w->called_n, 1);
}

static enum lookup_status ask(struct world *w, const char *name, enum lookup_type type)
{
    (void)start(w, name, type);
    run(w);
    return w->result.status;
}

static void must_say(const struct world *w, const char *part)
{
    if (strstr(buf_str(&w->trail), part) == NULL) {
        fail_msg("no '%s' in: %s", part, buf_str(&w->trail));
    }
}

static void test_names_without_a_wire_form(void **state)
{
    static const char *const NAMES[] = {"",    ".",       "a..b", ".a",
                                        "a b", "a\\000b", "a\nb", "\303\244"};
    struct world *w = world_new();
    struct lookup *lookup = NULL;
    char text[400];
    (void)state;

    for (size_t i = 0; i < ARRAY_N(NAMES); i++) {
        struct err e = lookup_start(w->lookups, NAMES[i], LOOKUP_A, clock_mono_ms() + 100,
                                    &w->trail, on_result, w, &lookup);
        assert_int_equal(e.code, ERR_MALFORMED);
        struct lookup_result own;
        assert_int_equal(lookup_own(w->reader, NAMES[i], LOOKUP_A, &own).code, ERR_MALFORMED);
    }
    memset(text, 'a', sizeof(text));
    for (size_t n = 63; n < sizeof(text); n += 64) {
        text[n] = '.';
    }
    text[254] = '\0';
    assert_int_equal(lookup_start(w->lookups, text, LOOKUP_A, clock_mono_ms() + 100, &w->trail,
                                  on_result, w, &lookup)
                         .code,
                     ERR_MALFORMED);
    memset(text, 'a', sizeof(text));
    text[399] = '\0';
    assert_int_equal(lookup_start(w->lookups, text, LOOKUP_A, clock_mono_ms() + 100, &w->trail,
                                  on_result, w, &lookup)
                         .code,
                     ERR_MALFORMED);
    assert_int_equal(loop_run_once(w->loop, 0), 0);
    lookup_cancel(NULL);
    lookups_free(NULL);
    world_free(w);
}

static void test_every_answer(void **state)
{
    static const struct {
        const char *name;
        enum lookup_status want;
        const char *trail; /* a part of it */
        const char *end;
        const char *txt; /* the first value */
    } CASES[] = {
        {"nodata.ext", LOOKUP_NODATA, "no TXT and no CNAME there", "nodata.ext", NULL},
        {"stray.ext", LOOKUP_NODATA, "no TXT and no CNAME there", "stray.ext", NULL},
        {"chaos.ext", LOOKUP_NODATA, "no TXT and no CNAME there", "chaos.ext", NULL},
        {"gone.ext", LOOKUP_NXDOMAIN, "NXDOMAIN", "gone.ext", NULL},
        {"dangling.ext", LOOKUP_NXDOMAIN, "CNAME gone.ext, NXDOMAIN", "gone.ext", NULL},
        {"loop.ext", LOOKUP_FAILED, "CNAME loop.ext (the CNAMEs form a loop", "loop.ext", NULL},
        {"ring.ext", LOOKUP_FAILED, "CNAME ring.ext (the CNAMEs form a loop", "ring.ext", NULL},
        {"self.ext", LOOKUP_FAILED, "CNAME self.ext (the CNAMEs form a loop", "self.ext", NULL},
        {"c1.ext", LOOKUP_FAILED, "more than 16 CNAMEs", "c18.ext", NULL},
        {"odd.ext", LOOKUP_FAILED, "cannot be followed", "odd.ext", NULL},
        {"dot.ext", LOOKUP_FAILED, "cannot be followed", "dot.ext", NULL},
        {"root.ext", LOOKUP_FAILED, "cannot be followed", "root.ext", NULL},
        {"fail.ext", LOOKUP_FAILED, "SERVFAIL", "fail.ext", NULL},
        {"refused.ext", LOOKUP_FAILED, "REFUSED", "refused.ext", NULL},
        {"formerr.ext", LOOKUP_FAILED, "FORMERR", "formerr.ext", NULL},
        {"notimp.ext", LOOKUP_FAILED, "NOTIMP", "notimp.ext", NULL},
        {"yx.ext", LOOKUP_FAILED, "an unusual error code", "yx.ext", NULL},
        {"lies.ext", LOOKUP_FAILED, "only answers to other questions", "lies.ext", NULL},
        {"garbage.ext", LOOKUP_FAILED, "an answer that cannot be read", "garbage.ext", NULL},
        {"short.ext", LOOKUP_FAILED, "only answers to other questions", "short.ext", NULL},
        {"noqr.ext", LOOKUP_FAILED, "only answers to other questions", "noqr.ext", NULL},
        {"silent.ext", LOOKUP_FAILED, "no answer in time", "silent.ext", NULL},
        {"close.ext", LOOKUP_FAILED, "(TCP) for TXT close.ext: the connection was closed",
         "close.ext", NULL},
        {"lie.ext", LOOKUP_FAILED, "an answer to another question", "lie.ext", NULL},
        {"mush.ext", LOOKUP_FAILED, "an answer that cannot be read", "mush.ext", NULL},
        {"twice.ext", LOOKUP_FAILED, "cut even over TCP", "twice.ext", NULL},
        {"empty.ext", LOOKUP_FAILED, "an empty answer", "empty.ext", NULL},
        {"hang.ext", LOOKUP_FAILED, "(TCP) for TXT hang.ext: no answer in time", "hang.ext", NULL},
        {"direct.ext.", LOOKUP_FOUND, "for TXT direct.ext: 1 TXT", "direct.ext", "onetwo"},
        {"DIRECT.ext", LOOKUP_FOUND, "1 TXT", "direct.ext", "onetwo"},
        {"case.ext", LOOKUP_FOUND, "1 TXT", "case.ext", "mixed"},
        {"chain.ext", LOOKUP_FOUND, "CNAME b.ext, CNAME direct.ext; asked", "direct.ext", "onetwo"},
        {"whole.ext", LOOKUP_FOUND, "CNAME w.ext, 1 TXT", "w.ext", "w"},
        {"id.ext", LOOKUP_FOUND, "1 TXT", "id.ext", "true"},
        {"question.ext", LOOKUP_FOUND, "1 TXT", "question.ext", "x"},
        {"cut.ext", LOOKUP_FOUND, "(TCP) for TXT cut.ext: 1 TXT", "cut.ext", "over tcp"},
        {"long.ext", LOOKUP_FOUND, "4 TXT", "long.ext", "fits"},
        {"many.ext", LOOKUP_FOUND, "100 TXT", "many.ext", "value 0"},
    };
    struct world *w = world_new();
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        enum lookup_status got = ask(w, CASES[i].name, LOOKUP_TXT);
        if (got != CASES[i].want || strstr(buf_str(&w->trail), CASES[i].trail) == NULL) {
            fail_msg("%s: %d, trail: %s", CASES[i].name, (int)got, buf_str(&w->trail));
        }
        assert_false(w->result.is_ours);
        assert_string_equal(w->result.end, CASES[i].end);
        assert_int_equal(w->result.rdata_n > 0, CASES[i].txt != NULL);
        assert_int_equal(w->result.is_cut, strcmp(CASES[i].name, "long.ext") == 0 ||
                                               strcmp(CASES[i].name, "many.ext") == 0);
        if (CASES[i].txt != NULL) {
            assert_string_equal(w->first, CASES[i].txt);
        }
    }
    assert_int_equal(w->result.rdata_n, LOOKUP_RDATA_MAX);
    /* 16 CNAMEs are followed, the 17th is not. */
    assert_int_equal(ask(w, "c24.ext", LOOKUP_TXT), LOOKUP_FOUND);
    assert_string_equal(w->result.end, "c40.ext");
    assert_int_equal(ask(w, "c23.ext", LOOKUP_TXT), LOOKUP_FAILED);
    assert_string_equal(w->result.end, "c40.ext");
    world_free(w);
}

static void test_every_type(void **state)
{
    static const char CAA[] = "\200\5issueca.svc.test";
    static const struct {
        enum lookup_type type;
        const char *data;
        size_t len;
        const char *trail;
    } CASES[] = {
        {LOOKUP_A, "\300\0\2\7", 4, "for A host.ext: 1 A"},
        {LOOKUP_AAAA, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7", 16, "for AAAA host.ext: 1 AAAA"},
        {LOOKUP_CAA, CAA, sizeof(CAA) - 1, "for CAA host.ext: 1 CAA"},
    };
    struct world *w = world_new();
    (void)state;

    assert_int_equal(ask(w, "host.ext", LOOKUP_TXT), LOOKUP_NODATA);
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        assert_int_equal(ask(w, "host.ext", CASES[i].type), LOOKUP_FOUND);
        assert_int_equal(w->result.rdata_n, 1);
        assert_int_equal(w->result.rdata[0].len, CASES[i].len);
        assert_memory_equal(w->first, CASES[i].data, CASES[i].len);
        must_say(w, CASES[i].trail);
    }
    world_free(w);
}

/* --- names of ours ---------------------------------------------------------------------------- */

static void add_value(struct world *w, const char *owner)
{
    struct zone_value v = make_value(7, "alice");

    assert_int_equal(zone_value_add(w->zones, owner, &v, 2).code, ERR_OK);
}

static void test_names_of_ours(void **state)
{
    struct world *w = world_new();
    struct zone_value v = make_value(7, "alice");
    (void)state;

    add_value(w, "y.svc.test.acme.svc.test");
    assert_int_equal(ask(w, "_acme-challenge.Y.svc.test", LOOKUP_TXT), LOOKUP_FOUND);
    assert_true(w->result.is_ours);
    assert_string_equal(w->result.end, "y.svc.test.acme.svc.test");
    assert_string_equal(w->first, v.txt);
    must_say(w, "_acme-challenge.y.svc.test is served here: CNAME y.svc.test.acme.svc.test, 1 TXT");
    assert_int_equal(ask(w, "_acme-challenge.z.svc.test", LOOKUP_TXT), LOOKUP_NODATA);
    assert_true(w->result.is_ours);
    assert_string_equal(w->result.end, "z.svc.test.acme.svc.test");
    assert_int_equal(ask(w, "a_b.svc.test", LOOKUP_TXT), LOOKUP_NXDOMAIN);
    assert_true(w->result.is_ours);
    assert_int_equal(ask(w, "www.svc.test", LOOKUP_A), LOOKUP_FOUND);
    assert_int_equal(w->result.rdata_n, 2);
    assert_memory_equal(w->first, "\300\0\2\120", 4);
    assert_int_equal(ask(w, "www.svc.test", LOOKUP_AAAA), LOOKUP_NODATA);
    assert_int_equal(ask(w, "www.svc.test", LOOKUP_CAA), LOOKUP_NODATA);
    assert_int_equal(w->server.asked_n, 0);
    world_free(w);
}

static void test_a_chase_into_our_zone(void **state)
{
    struct world *w = world_new();
    struct zone_value v = make_value(7, "alice");
    (void)state;

    /* What the other server says about our name is not believed. */
    assert_int_equal(ask(w, "ours.ext", LOOKUP_TXT), LOOKUP_NODATA);
    assert_true(w->result.is_ours);
    assert_string_equal(w->result.end, "x.svc.test.acme.svc.test");
    add_value(w, "x.svc.test.acme.svc.test");
    assert_int_equal(ask(w, "ours.ext", LOOKUP_TXT), LOOKUP_FOUND);
    assert_int_equal(w->result.rdata_n, 1);
    assert_string_equal(w->first, v.txt);
    must_say(w, "CNAME x.svc.test.acme.svc.test; x.svc.test.acme.svc.test is served here: 1 TXT");
    assert_int_equal(ask(w, "inner.ext", LOOKUP_TXT), LOOKUP_NODATA);
    assert_string_equal(w->result.end, "y.svc.test.acme.svc.test");
    assert_int_equal(w->server.asked_n, 3);
    /* Without zones nothing is ours. */
    lookups_free(w->lookups);
    assert_int_equal(lookups_new(w->loop, &w->config, NULL, &w->lookups).code, ERR_OK);
    assert_int_equal(ask(w, "ours.ext", LOOKUP_TXT), LOOKUP_FOUND);
    assert_false(w->result.is_ours);
    assert_string_equal(w->first, "poison");
    world_free(w);
}

static void test_in_process_only(void **state)
{
    struct world *w = world_new();
    struct lookup_result result;
    (void)state;

    add_value(w, "y.svc.test.acme.svc.test");
    assert_int_equal(lookup_own(w->reader, "host.ext", LOOKUP_A, &result).code, ERR_NOT_FOUND);
    assert_string_equal(result.end, "host.ext");
    assert_int_equal(lookup_own(w->reader, "a.other.test", LOOKUP_A, &result).code, ERR_NOT_FOUND);
    assert_int_equal(lookup_own(w->reader, "_acme-challenge.y.svc.test.", LOOKUP_TXT, &result).code,
                     ERR_OK);
    assert_int_equal(result.status, LOOKUP_FOUND);
    assert_true(result.is_ours);
    assert_int_equal(result.rdata_n, 1);
    assert_int_equal(result.rdata[0].len, TXT_VALUE_LEN);
    lookup_result_clear(&result);
    assert_int_equal(lookup_own(w->reader, "svc.test", LOOKUP_CAA, &result).code, ERR_OK);
    assert_int_equal(result.status, LOOKUP_NODATA);
    lookup_result_clear(&result);
    for (unsigned i = 100; i < 100 + ZONE_VALUES_MAX - 1; i++) {
        struct zone_value v = make_value(i, "alice");
        assert_int_equal(zone_value_add(w->zones, "y.svc.test.acme.svc.test", &v, 3).code, ERR_OK);
    }
    assert_int_equal(lookup_own(w->reader, "_acme-challenge.y.svc.test", LOOKUP_TXT, &result).code,
                     ERR_OK);
    assert_int_equal(result.rdata_n, LOOKUP_RDATA_MAX);
    assert_true(result.is_cut);
    lookup_result_clear(&result);
    world_free(w);
}

/* --- which resolver, how long ----------------------------------------------------------------- */

static void test_the_next_resolver_is_asked(void **state)
{
    struct world *w = world_new();
    struct script silent, failing;
    (void)state;

    script_start(&silent, w->loop, RULES);
    script_start(&failing, w->loop, RULES);
    silent.is_silent = true;
    failing.is_failing = true;
    const struct ip_endpoint resolvers[] = {silent.at, failing.at, w->server.at};
    w->config.resolvers = resolvers;
    w->config.resolvers_n = 3;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FOUND);
    assert_string_equal(w->first, "onetwo");
    must_say(w, "no answer in time");
    must_say(w, "SERVFAIL");
    assert_int_equal(silent.asked_n, 1);
    assert_int_equal(failing.asked_n, 1);
    /* Two rounds when somebody was silent, one when nobody was. */
    w->config.resolvers_n = 2;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    assert_int_equal(silent.asked_n, 3);
    assert_int_equal(failing.asked_n, 3);
    w->config.resolvers = &failing.at;
    w->config.resolvers_n = 1;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    assert_int_equal(failing.asked_n, 4);
    /* Nobody there at all: said, and not waited for. */
    const struct ip_endpoint nobody = {w->server.at.addr, 1};
    w->config.resolvers = &nobody;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    must_say(w, "connection refused");
    const struct ip_endpoint unreachable = {{4, {255, 255, 255, 255}}, 53};
    w->config.resolvers = &unreachable;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    must_say(w, "a socket error");
    script_stop(&silent);
    script_stop(&failing);
    world_free(w);
}

static void test_deadline(void **state)
{
    struct world *w = world_new();
    struct lookup *lookup = NULL;
    (void)state;

    /* Over before it began: nobody is asked, names of ours answer nevertheless. */
    static const struct {
        const char *name;
        enum lookup_status want;
    } LATE[] = {{"direct.ext", LOOKUP_FAILED}, {"www.svc.test", LOOKUP_FOUND}};
    for (size_t i = 0; i < ARRAY_N(LATE); i++) {
        w->called_n = 0;
        assert_int_equal(lookup_start(w->lookups, LATE[i].name, LOOKUP_A, clock_mono_ms() - 1, NULL,
                                      on_result, w, &lookup)
                             .code,
                         ERR_OK);
        run(w);
        assert_int_equal(w->result.status, LATE[i].want);
    }
    assert_int_equal(w->server.asked_n, 0);
    /* Between tries, and shorter than one. */
    w->server.is_silent = true;
    for (int64_t left = 1000; left <= 3000; left += 2000) {
        buf_reset(&w->trail);
        w->called_n = 0;
        w->server.asked_n = 0;
        int64_t until = clock_mono_ms() + left;
        assert_int_equal(lookup_start(w->lookups, "direct.ext", LOOKUP_TXT, until, &w->trail,
                                      on_result, w, &lookup)
                             .code,
                         ERR_OK);
        run(w);
        assert_int_equal(w->result.status, LOOKUP_FAILED);
        assert_int_equal(w->server.asked_n, left < LOOKUP_TRY_MS ? 1 : 2);
        must_say(w, "no time is left");
    }
    world_free(w);
}

static void test_own_addresses_are_skipped(void **state)
{
    struct world *w = world_new();
    struct ip_endpoint any4 = {{4, {0}}, w->server.at.port};
    struct ip_endpoint any6 = {{6, {0}}, w->server.at.port};
    struct ip_endpoint other = {{4, {0}}, (uint16_t)(w->server.at.port + 1)};
    (void)state;

    w->config = (struct resolve_config){NULL, 0, NULL, 0};
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    must_say(w, "set 'resolvers'");
    w->config = (struct resolve_config){&w->server.at, 1, &w->server.at, 1};
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    must_say(w, "set 'resolvers'");
    w->config.own = &any4;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FAILED);
    assert_int_equal(w->server.asked_n, 0);
    w->config.own = &any6;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FOUND);
    w->config.own = &other;
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FOUND);
    world_free(w);
}

/* --- many, and none --------------------------------------------------------------------------- */

static void test_cancel(void **state)
{
    static const char *const NAMES[] = {"direct.ext",   "cut.ext",  "chain.ext", "hang.ext",
                                        "www.svc.test", "ours.ext", "id.ext",    "silent.ext"};
    struct world *w = world_new();
    (void)state;

    for (size_t i = 0; i < ARRAY_N(NAMES); i++) {
        /* After so many rounds of the loop, until one ends by itself. */
        for (int rounds = 0;; rounds++) {
            struct lookup *lookup = start(w, NAMES[i], LOOKUP_TXT);
            for (int n = 0; n < rounds && w->called_n == 0; n++) {
                (void)loop_run_once(w->loop, 1000);
            }
            if (w->called_n > 0) {
                assert_true(rounds > 0);
                break;
            }
            lookup_cancel(lookup);
            while (loop_run_once(w->loop, 0) > 0) {
            }
            assert_int_equal(w->called_n, 0);
        }
    }
    /* Several in flight when everything ends. */
    w->server.is_waiting = true;
    (void)start(w, "direct.ext", LOOKUP_TXT);
    (void)start(w, "cut.ext", LOOKUP_TXT);
    (void)loop_run_once(w->loop, 1000);
    (void)start(w, "www.svc.test", LOOKUP_TXT);
    world_free(w);
}

struct pair {
    struct world *w;
    struct lookup *other;
    unsigned called_n;
};

static void on_pair(void *arg, const struct lookup_result *result)
{
    struct pair *p = arg;

    assert_int_equal(result->status, LOOKUP_FOUND);
    p->called_n++;
    lookup_cancel(p->other); /* in its sibling's callback */
    p->other = NULL;
    if (p->called_n == 1) {
        struct lookup *again = NULL;
        assert_int_equal(lookup_start(p->w->lookups, "direct.ext", LOOKUP_TXT,
                                      clock_mono_ms() + 1000, NULL, on_pair, p, &again)
                             .code,
                         ERR_OK);
    }
}

static void test_callbacks_begin_and_cancel(void **state)
{
    struct world *w = world_new();
    struct pair p = {w, NULL, 0};
    struct lookup *first = NULL;
    (void)state;

    assert_int_equal(lookup_start(w->lookups, "direct.ext", LOOKUP_TXT, clock_mono_ms() + 15000,
                                  NULL, on_pair, &p, &first)
                         .code,
                     ERR_OK);
    assert_int_equal(lookup_start(w->lookups, "silent.ext", LOOKUP_TXT, clock_mono_ms() + 15000,
                                  NULL, on_pair, &p, &p.other)
                         .code,
                     ERR_OK);
    while (p.called_n < 2) {
        (void)loop_run_once(w->loop, 1000);
    }
    while (loop_run_once(w->loop, 0) > 0) {
    }
    assert_int_equal(p.called_n, 2);
    world_free(w);
}

static void on_failed(void *arg, const struct lookup_result *result)
{
    unsigned *n = arg;

    assert_int_equal(result->status, LOOKUP_FAILED);
    (*n)++;
}

static void test_a_thousand_to_a_silent_server(void **state)
{
    struct world *w = world_new();
    struct lookup *lookup = NULL;
    int64_t until = clock_mono_ms() + 1000;
    unsigned n = 0;
    (void)state;

    w->server.is_waiting = true;
    for (unsigned i = 0; i < 1000; i++) {
        struct err e =
            lookup_start(w->lookups, "direct.ext", LOOKUP_TXT, until, NULL, on_failed, &n, &lookup);
        assert_int_equal(e.code, ERR_OK);
    }
    while (loop_run_once(w->loop, 0) > 0) {
    }
    assert_int_equal(n, 0);
    assert_true(w->server.asked_n > 0); /* the kernel may drop some of a thousand */
    clock_shift(1001);
    while (n < 1000) {
        assert_true(loop_run_once(w->loop, 1000) > 0);
    }
    assert_int_equal(n, 1000);
    world_free(w);
}

static void test_limit(void **state)
{
    struct world *w = world_new();
    struct lookup *lookup = NULL;
    unsigned n = 0;
    (void)state;

    for (unsigned i = 0; i <= LOOKUPS_MAX; i++) {
        struct err e = lookup_start(w->lookups, "direct.ext", LOOKUP_TXT, clock_mono_ms() - 1, NULL,
                                    on_failed, &n, &lookup);
        assert_int_equal(e.code, i < LOOKUPS_MAX ? ERR_OK : ERR_LIMIT);
    }
    while (n < LOOKUPS_MAX) {
        (void)loop_run_once(w->loop, 1000);
    }
    assert_int_equal(ask(w, "direct.ext", LOOKUP_TXT), LOOKUP_FOUND);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_without_a_wire_form),
        cmocka_unit_test(test_every_answer),
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_names_of_ours),
        cmocka_unit_test(test_a_chase_into_our_zone),
        cmocka_unit_test(test_in_process_only),
        cmocka_unit_test(test_the_next_resolver_is_asked),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_own_addresses_are_skipped),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_callbacks_begin_and_cancel),
        cmocka_unit_test(test_a_thousand_to_a_silent_server),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
