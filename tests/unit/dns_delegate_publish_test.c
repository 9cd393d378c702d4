/* The publishing policy: x against *.x, networks, open mode, limits, names, audit. */
#include "delegate_fixture.h"

#define APEX_OWNER "svc.test.acme.svc.test"

static void test_bad_values_are_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        "short",
        "0123456789012345678901234567890123456789012",  /* 43: fine length, see below */
        "01234567890123456789012345678901234567890123", /* 44 */
        "012345678901234567890123456789012345678901",   /* 42 */
        "012345678901234567890123456789012345678901=",  /* padding */
        "012345678901234567890123456789012345678901\"", /* quote */
        "01234567890123456789012345678901234567890\xc3\xa9",
        " 12345678901234567890123456789012345678901 ",
    };
    struct fixture *f = fixture_new("");
    (void)state;

    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        int want = i == 2 ? 0 : (int)DELEGATE_BAD_TXT;
        assert_int_equal(reason_of(f, publish_as(f, "both", "_acme-challenge.svc.test.", BAD[i])),
                         want);
    }
    assert_int_equal(values_at(f, APEX_OWNER), 1);
    fixture_free(f);
}

static void test_bad_names_are_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        ".",
        "svc.test",
        "svc.test.",
        "_acme-challenge",
        "_acme-challenge.",
        "_acme-challenge..svc.test",
        "_acme-challenge.-x.svc.test",
        "_acme-challenge.a_b.svc.test",
        "_acme-challenge.x.acme.svc.test",
        "_acme-challenge.acme.svc.test",
        "acme.svc.test",
        ".acme.svc.test",
        "x..acme.svc.test",
        "*.acme.acme.svc.test.acme.svc.test",
        "_acme-challenge.1.2.3.4",
        "h-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.acme.svc.test",
        "01234567-89ab-4cde-8f01-23456789abcd.acme.svc.test",
    };
    struct fixture *f = fixture_new("");
    char digest[TXT_VALUE_LEN + 1];
    char longest[600];
    (void)state;

    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    (void)digest_n(1, digest);
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        if (reason_of(f, publish_as(f, "both", BAD[i], digest)) != (int)DELEGATE_BAD_NAME) {
            fail_msg("'%s' was not refused", BAD[i]);
        }
    }
    assert_int_equal(reason_of(f, publish_as(f, "both", longest, digest)), DELEGATE_BAD_NAME);
    fixture_free(f);
}

static void test_policy_matrix(void **state)
{
    static const struct {
        const char *client, *fqdn,
            *expected; /* expected: the identifier whose challenge it answers */
        int want;
    } CASES[] = {
        {"nobody", "_acme-challenge.svc.test", NULL, DELEGATE_UNAUTHORIZED},
        {"apex", "_acme-challenge.x.svc.test", NULL, DELEGATE_FORBIDDEN},
        {"apex", "_acme-challenge.other.test", NULL, DELEGATE_FORBIDDEN},
        {"apex", "_acme-challenge.svc.test", "*.svc.test", DELEGATE_FORBIDDEN},
        {"wild", "_acme-challenge.svc.test", "svc.test", DELEGATE_FORBIDDEN},
        {"public", "_acme-challenge.svc.test", NULL, DELEGATE_FORBIDDEN},
        {"public", "_acme-challenge.example.net", NULL, DELEGATE_FORBIDDEN},
        {"inside", "_acme-challenge.x.svc.test", NULL, DELEGATE_FORBIDDEN}, /* network */
        {"apex", "_acme-challenge.svc.test", "svc.test", 0},
        {"apex", "_acme-challenge.svc.test", NULL, 0},
        {"apex", "_acme-challenge.svc.test", "x.svc.test",
         0}, /* another name's digest: just a value */
        {"wild", "_acme-challenge.svc.test", "*.svc.test", 0},
        {"wild", "_acme-challenge.svc.test", NULL, 0},
        {"wild", "_acme-challenge.a.b.svc.test", "*.a.b.svc.test", 0},
        {"wild", "_acme-challenge.a.b.svc.test", "a.b.svc.test", 0},
        {"both", "_acme-challenge.svc.test", "svc.test", 0},
        {"both", "_acme-challenge.svc.test", "*.svc.test", 0},
        {"both", "_ACME-Challenge.SVC.test.", "*.svc.test", 0},
        {"both", "svc.test.acme.svc.test.", "*.svc.test", 0},
        {"both", "Svc.Test.Acme.svc.test", "svc.test", 0},
        {"public", "_acme-challenge.www.example.org", NULL, 0}, /* a delegate for any other CA */
        {"public", "www.example.org.acme.svc.test", NULL, 0},
    };
    struct fixture *f = fixture_new("");
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    clock_hold(true); /* refusals are counted by the second */
    for (unsigned i = 0; i < ARRAY_N(CASES); i++) {
        (void)digest_n(i, digest);
        if (CASES[i].expected != NULL) {
            expect_for(f, CASES[i].expected, digest);
        }
        int got = reason_of(f, publish_as(f, CASES[i].client, CASES[i].fqdn, digest));
        if (got != CASES[i].want) {
            fail_msg("case %u: %d instead of %d: %s", i, got, CASES[i].want, f->refusal.detail);
        }
    }
    assert_int_equal(audit_n(f, "delegate.publish"), 14);
    assert_int_equal(audit_n(f, "delegate.refused"), 5); /* the rate bound */
    clock_shift(1000);
    assert_int_equal(reason_of(f, publish_as(f, "nobody", CASES[0].fqdn, digest)),
                     DELEGATE_UNAUTHORIZED);
    assert_int_equal(audit_n(f, "delegate.refused"), 6);
    clock_hold(false);
    assert_int_equal(values_at(f, "www.example.org.acme.svc.test"), 2);
    fixture_free(f);
}

static void test_refusals_say_what_to_add(void **state)
{
    struct fixture *f = fixture_new("");
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    expect_for(f, "*.svc.test", digest_n(1, digest));
    assert_int_equal(reason_of(f, publish_as(f, "apex", "_acme-challenge.svc.test", digest)),
                     DELEGATE_FORBIDDEN);
    assert_string_equal(f->refusal.detail,
                        "client apex may not have *.svc.test: add it to the client's names");
    assert_int_equal(reason_of(f, publish_as(f, "inside", "_acme-challenge.x.svc.test", digest)),
                     DELEGATE_FORBIDDEN);
    assert_non_null(strstr(f->refusal.detail, "127.0.0.1"));
    assert_non_null(strstr(f->refusal.detail, "networks"));
    fixture_free(f);
}

static void test_both_values_live_together_and_are_checked(void **state)
{
    struct fixture *f = fixture_new("");
    char apex[TXT_VALUE_LEN + 1], wildcard[TXT_VALUE_LEN + 1], stray[TXT_VALUE_LEN + 1];
    char detail[400];
    (void)state;

    expect_for(f, "svc.test", digest_n(1, apex));
    expect_for(f, "*.svc.test", digest_n(2, wildcard));
    assert_int_equal(check_of(f, "svc.test", apex, detail), DELEGATE_MISSING);
    assert_non_null(strstr(detail, "_acme-challenge.svc.test (CNAME svc.test.acme.svc.test)"));
    assert_non_null(strstr(detail, "post the challenge again"));
    must(publish_as(f, "both", "_acme-challenge.svc.test.", apex));
    must(publish_as(f, "both", "_acme-challenge.svc.test.", wildcard));
    assert_int_equal(values_at(f, APEX_OWNER), 2);
    assert_int_equal(check_of(f, "svc.test", apex, detail), DELEGATE_FOUND);
    assert_int_equal(check_of(f, "*.svc.test", wildcard, detail), DELEGATE_FOUND);
    assert_int_equal(check_of(f, "x.svc.test", apex, detail), DELEGATE_MISSING);
    /* There, but from somebody who may not have the identifier. */
    must(publish_as(f, "wild", "_acme-challenge.svc.test", digest_n(3, stray)));
    assert_int_equal(check_of(f, "svc.test", stray, detail), DELEGATE_NOT_ALLOWED);
    assert_non_null(strstr(detail, "client wild, which may not have svc.test: add svc.test"));
    fixture_free(f);
}

static void test_cleanup_removes_only_its_own(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_who both = who_of("both", "127.0.0.1");
    struct delegate_who wild = who_of("wild", "127.0.0.1");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    (void)state;

    (void)digest_n(1, one);
    (void)digest_n(2, two);
    must(publish_as(f, "both", "_acme-challenge.svc.test", one));
    must(publish_as(f, "both", "_acme-challenge.svc.test", one)); /* again: the same value */
    must(publish_as(f, "both", "_acme-challenge.svc.test", two));
    must(publish_as(f, "wild", "_acme-challenge.svc.test", one));
    assert_int_equal(values_at(f, APEX_OWNER), 3);
    must(delegate_publish(f->delegate, &wild, "_acme-challenge.svc.test", two, true, &f->refusal));
    must(
        delegate_publish(f->delegate, &both, "_acme-challenge.x.svc.test", one, true, &f->refusal));
    assert_int_equal(values_at(f, APEX_OWNER), 3);
    must(delegate_publish(f->delegate, &both, "svc.test.acme.svc.test.", one, true, &f->refusal));
    assert_int_equal(values_at(f, APEX_OWNER), 2);
    must(delegate_publish(f->delegate, &both, NULL, two, true, &f->refusal));
    assert_int_equal(values_at(f, APEX_OWNER), 1);
    /* What is not there is removed already; what is no name is still refused. */
    must(delegate_publish(f->delegate, &both, "01234567-89ab-4cde-8f01-23456789abcd.acme.svc.test",
                          two, true, &f->refusal));
    assert_int_equal(reason_of(f, delegate_publish(f->delegate, &both, "_acme-challenge.a b", two,
                                                   true, &f->refusal)),
                     DELEGATE_BAD_NAME);
    assert_int_equal(audit_n(f, "delegate.cleanup"), 2);
    fixture_free(f);
}

static void test_digest_decides_the_name(void **state)
{
    struct fixture *f = fixture_new("");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    (void)state;

    expect_for(f, "svc.test", digest_n(1, one));
    assert_int_equal(reason_of(f, publish_as(f, "both", NULL, digest_n(2, two))),
                     DELEGATE_BAD_NAME);
    assert_int_equal(reason_of(f, publish_as(f, "wild", NULL, one)), DELEGATE_FORBIDDEN);
    must(publish_as(f, "both", NULL, one));
    assert_int_equal(values_at(f, APEX_OWNER), 1);
    clock_shift(601 * 1000); /* the expectation is over */
    assert_int_equal(reason_of(f, publish_as(f, "both", NULL, one)), DELEGATE_BAD_NAME);
    fixture_free(f);
}

static void test_256_values_and_nothing_evicted(void **state)
{
    struct fixture *f = fixture_new("");
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        must(publish_as(f, "both", "_acme-challenge.svc.test", digest_n(i, digest)));
    }
    assert_int_equal(
        reason_of(f, publish_as(f, "both", "_acme-challenge.svc.test", digest_n(999, digest))),
        DELEGATE_FULL);
    assert_int_equal(values_at(f, APEX_OWNER), ZONE_VALUES_MAX);
    must(publish_as(f, "both", "_acme-challenge.svc.test", digest_n(0, digest))); /* known: fine */
    must(publish_as(f, "both", "_acme-challenge.x.svc.test", digest_n(999, digest)));
    /* Expired ones make room at once, without waiting for maintenance. */
    clock_shift((DELEGATE_VALUE_TTL_S + 1) * 1000);
    must(publish_as(f, "both", "_acme-challenge.svc.test", digest_n(999, digest)));
    assert_int_equal(values_at(f, APEX_OWNER), 1);
    fixture_free(f);
}

static void test_open_mode(void **state)
{
    struct fixture *f = fixture_new("open: true\nopen_networks: [127.0.0.0/8]\n");
    struct delegate_who outside = who_of(NULL, "8.8.8.8");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1], detail[400];
    (void)state;

    expect_for(f, "svc.test", digest_n(1, one));
    (void)digest_n(2, two);
    assert_int_equal(
        reason_of(f, delegate_publish(f->delegate, &outside, "_acme-challenge.svc.test", one, false,
                                      &f->refusal)),
        DELEGATE_UNAUTHORIZED);
    assert_int_equal(reason_of(f, publish_as(f, NULL, "_acme-challenge.svc.test", two)),
                     DELEGATE_BAD_NAME);
    assert_int_equal(reason_of(f, publish_as(f, NULL, "_acme-challenge.x.svc.test", one)),
                     DELEGATE_BAD_NAME);
    assert_int_equal(values_at(f, APEX_OWNER), 0);
    must(publish_as(f, NULL, "_acme-challenge.svc.test", one));
    assert_int_equal(check_of(f, "svc.test", one, detail), DELEGATE_FOUND);
    must(publish_as(f, "both", "_acme-challenge.svc.test", two)); /* clients as ever */
    fixture_free(f);
}

static void test_open_off_refuses_anonymous(void **state)
{
    struct fixture *f = fixture_new("");
    char one[TXT_VALUE_LEN + 1];
    (void)state;

    expect_for(f, "svc.test", digest_n(1, one));
    assert_int_equal(reason_of(f, publish_as(f, NULL, "_acme-challenge.svc.test", one)),
                     DELEGATE_UNAUTHORIZED);
    assert_int_equal(audit_n(f, "delegate.refused"), 1);
    fixture_free(f);
}

static void test_long_names_are_hashed(void **state)
{
    struct fixture *f = fixture_new_in("acme-challenges.svc.test", "");
    char name[NAME_TEXT_MAX + 1] = "";
    char fqdn[300], target[NAME_TEXT_MAX + 1], one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    char detail[400];
    (void)state;

    for (int i = 0; i < 56; i++) {
        memcpy(name + strlen(name), "ab1.", 5);
    }
    memcpy(name + strlen(name), "svc.test", 9); /* 232 characters: a challenge name still exists */
    must(name_delegate(name, "acme-challenges.svc.test", target));
    assert_int_equal(target[0], 'h');
    assert_int_equal(reason_of(f, publish_as(f, "both", target, digest_n(1, one))),
                     DELEGATE_BAD_NAME); /* nobody told us what it stands for */
    expect_for(f, name, digest_n(2, two));
    must(publish_as(f, "both", target, two)); /* the expectation did */
    assert_int_equal(check_of(f, name, two, detail), DELEGATE_FOUND);
    delegate_forget(f->delegate, two);
    fixture_restart(f);
    assert_int_equal(values_at(f, target), 1);
    must(publish_as(f, "both", target, one)); /* recorded by the first publish */
    assert_int_equal(reason_of(f, publish_as(f, "apex", target, one)), DELEGATE_FORBIDDEN);
    (void)snprintf(fqdn, sizeof(fqdn), "_acme-challenge.%s", name);
    must(publish_as(f, "both", fqdn, one));
    assert_int_equal(values_at(f, target), 2);
    fixture_free(f);
}

static void add_record(struct fixture *f, const char *owner, const char *type, const char *rdata)
{
    struct record_edit edit = {.op = RECORD_ADD};
    struct record_refusal refusal;
    char why[200] = "";

    must(rr_from_text(owner, NULL, 300, type, rdata, &edit.rr, why, sizeof(why)));
    must(records_edit_now(f->records, &edit, 1, &refusal));
    rr_clear(&edit.rr);
}

/* Below NS and DNAME records of ours nobody asks us: what to do instead is said. A CNAME record there
 * can lead to the delegate name, so that is open; and what was published before can be removed. */
static void test_below_a_cut_nobody_would_see_it(void **state)
{
    static const struct {
        const char *client, *fqdn;
        int want;
    } CASES[] = {
        {"both", "_acme-challenge.x.sub.svc.test", DELEGATE_BAD_NAME},
        {"both", "_ACME-challenge.A.x.SUB.svc.test.", DELEGATE_BAD_NAME},
        {"both", "_acme-challenge.sub.svc.test", DELEGATE_BAD_NAME},
        {"both", "_aaaaaaaaaaaaaaaa._acme-challenge.x.sub.svc.test", DELEGATE_BAD_NAME},
        {"both", "_acme-challenge.x.moved.svc.test", DELEGATE_BAD_NAME},
        {"both", "_acme-challenge.moved.svc.test", DELEGATE_BAD_NAME},
        {"apex", "_acme-challenge.x.sub.svc.test", DELEGATE_FORBIDDEN}, /* policy comes first */
        {"both", "x.sub.svc.test.acme.svc.test", 0},
        {"both", "_acme-challenge.xsub.svc.test", 0},
        {"both", "_acme-challenge.svc.test", 0},
        {"public", "_acme-challenge.x.example.org", 0},
    };
    struct fixture *f = fixture_new("");
    struct delegate_who who = who_of("both", "127.0.0.1");
    char early[TXT_VALUE_LEN + 1];
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    must(publish_as(f, "both", "_acme-challenge.x.sub.svc.test", digest_n(100, early)));
    add_record(f, "sub.svc.test", "NS", "ns.example.org.");
    add_record(f, "moved.svc.test", "DNAME", "example.org.");
    for (unsigned i = 0; i < ARRAY_N(CASES); i++) {
        int got = reason_of(f, publish_as(f, CASES[i].client, CASES[i].fqdn, digest_n(i, digest)));
        if (got != CASES[i].want) {
            fail_msg("case %u: %d instead of %d: %s", i, got, CASES[i].want, f->refusal.detail);
        }
    }
    assert_int_equal(values_at(f, "x.sub.svc.test.acme.svc.test"), 2); /* early, and by that name */

    (void)publish_as(f, "both", CASES[0].fqdn, digest);
    assert_string_equal(f->refusal.detail,
                        "_acme-challenge.x.sub.svc.test is below sub.svc.test, which NS records "
                        "delegate to another server: publish the value there, or have that server "
                        "answer with a CNAME to x.sub.svc.test.acme.svc.test and publish at that");
    (void)publish_as(f, "both", CASES[4].fqdn, digest);
    assert_string_equal(f->refusal.detail,
                        "_acme-challenge.x.moved.svc.test is below moved.svc.test, whose DNAME "
                        "record leads to other names: publish the value for the name it leads to");

    must(delegate_publish(f->delegate, &who, CASES[0].fqdn, early, true, &f->refusal));
    assert_int_equal(values_at(f, "x.sub.svc.test.acme.svc.test"), 1);
    expect_for(f, "y.sub.svc.test", early); /* the digest decides: the CNAME record may be there */
    must(publish_as(f, "both", NULL, early));
    assert_int_equal(values_at(f, "y.sub.svc.test.acme.svc.test"), 1);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_below_a_cut_nobody_would_see_it),
        cmocka_unit_test(test_bad_values_are_refused),
        cmocka_unit_test(test_bad_names_are_refused),
        cmocka_unit_test(test_policy_matrix),
        cmocka_unit_test(test_refusals_say_what_to_add),
        cmocka_unit_test(test_both_values_live_together_and_are_checked),
        cmocka_unit_test(test_cleanup_removes_only_its_own),
        cmocka_unit_test(test_digest_decides_the_name),
        cmocka_unit_test(test_256_values_and_nothing_evicted),
        cmocka_unit_test(test_open_mode),
        cmocka_unit_test(test_open_off_refuses_anonymous),
        cmocka_unit_test(test_long_names_are_hashed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
