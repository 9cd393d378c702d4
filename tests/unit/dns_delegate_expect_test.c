/* Expectations: idempotent, forgotten, expired, bounded. */
#include "delegate_fixture.h"

#include "dns/delegate_int.h"

static bool is_expected(struct fixture *f, const char *digest, const char *base)
{
    struct expectation what = {.label = ""};

    return expectations_find(f->delegate->expected, digest, &what) &&
           strcmp(what.id.base, base) == 0;
}

static void test_unknown_and_malformed(void **state)
{
    struct fixture *f = fixture_new("");
    struct ident id = ident_of("x.test");
    char digest[TXT_VALUE_LEN + 1], base[NAME_TEXT_MAX + 1];
    (void)state;

    assert_false(is_expected(f, digest_n(1, digest), "x.test"));
    delegate_forget(f->delegate, digest);
    digest[TXT_VALUE_LEN - 1] = '\0'; /* 42 characters */
    delegate_expect(f->delegate, &id, digest, clock_unix_s() + 60);
    assert_false(is_expected(f, digest, "x.test"));
    assert_false(expectations_hashed(f->delegate->expected, "h-x", base));
    fixture_free(f);
}

static void test_life(void **state)
{
    struct fixture *f = fixture_new("");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    (void)state;

    expect_for(f, "x.test", digest_n(1, one));
    expect_for(f, "x.test", one);
    expect_for(f, "y.test", digest_n(2, two));
    assert_true(is_expected(f, one, "x.test"));
    assert_true(is_expected(f, two, "y.test"));
    delegate_forget(f->delegate, one);
    assert_false(is_expected(f, one, "x.test")); /* said twice, kept once */
    clock_shift(601 * 1000);
    assert_false(is_expected(f, two, "y.test"));
    assert_int_equal(expectations_sweep(f->delegate->expected), 1);
    assert_int_equal(expectations_sweep(f->delegate->expected), 0);
    fixture_free(f);
}

static void test_account_labels(void **state)
{
    struct fixture *f = fixture_new("");
    struct ident id = ident_of("x.test");
    struct expectation what;
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    (void)state;

    /* What is no label is none: the value then goes to the name's own. */
    delegate_expect_account(f->delegate, &id, "_ujmmovf2vn55tgy1", digest_n(1, one),
                            clock_unix_s() + 60);
    assert_true(expectations_find(f->delegate->expected, one, &what));
    assert_string_equal(what.label, "");
    delegate_expect_account(f->delegate, &id, "_ujmmovf2vn55tgye", digest_n(2, two),
                            clock_unix_s() + 60);
    assert_true(expectations_find(f->delegate->expected, two, &what));
    assert_string_equal(what.label, "_ujmmovf2vn55tgye");
    assert_string_equal(what.id.base, "x.test");
    delegate_forget(f->delegate, two);
    assert_false(expectations_find(f->delegate->expected, two, &what));
    fixture_free(f);
}

static void test_bound(void **state)
{
    struct fixture *f = fixture_new("");
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    for (unsigned i = 0; i < DELEGATE_EXPECT_MAX; i++) {
        expect_for(f, "x.test", digest_n(i, digest));
    }
    expect_for(f, "y.test", digest_n(DELEGATE_EXPECT_MAX, digest));
    assert_false(is_expected(f, digest, "y.test"));
    assert_true(is_expected(f, digest_n(0, digest), "x.test")); /* nothing was evicted */
    clock_shift(601 * 1000);
    expect_for(f, "y.test", digest_n(DELEGATE_EXPECT_MAX, digest)); /* expired ones make room */
    assert_true(is_expected(f, digest, "y.test"));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_and_malformed),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_account_labels),
        cmocka_unit_test(test_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
