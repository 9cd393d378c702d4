/* Look-ups: every broken answer, in words; names of ours in-process. */
#include "dns_lookup_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_without_a_wire_form),
        cmocka_unit_test(test_every_answer),
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_names_of_ours),
        cmocka_unit_test(test_a_chase_into_our_zone),
        cmocka_unit_test(test_in_process_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
