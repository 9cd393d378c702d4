#include "ca_fixture.h"

static void unknown_profiles_are_not_found(void **state)
{
    static const char *const NAMES[] = {"Default", "default ", "90d", "shortest"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(NAMES); i++) {
        assert_null(ca_profile_find(NAMES[i]));
    }
}

static void built_in_profiles_have_their_lifetime(void **state)
{
    static const struct {
        const char *asked, *name;
        int64_t days;
    } rows[] = {{NULL, "default", 90},
                {"", "default", 90},
                {"default", "default", 90},
                {"month", "month", 30},
                {"short", "short", 6}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        const struct ca_profile *p = ca_profile_find(rows[i].asked);
        assert_non_null(p);
        assert_string_equal(p->name, rows[i].name);
        assert_int_equal(p->lifetime_s, rows[i].days * 86400);
        assert_true(strlen(p->description) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_profiles_are_not_found),
        cmocka_unit_test(built_in_profiles_have_their_lifetime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
