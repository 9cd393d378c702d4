#include "ca_fixture.h"

#include "ca/ca_private.h"

#define ALL_KEYS ((unsigned)CONFIG_KEYS_EC | CONFIG_KEYS_RSA | CONFIG_KEYS_ED25519)

/* The texts are config.c's to own; here they stand in the program. */
static struct config_profile configured[] = {
    {"weekly", (char *)(uintptr_t) "seven days", 7 * 86400, true, false, ALL_KEYS},
    {"device", (char *)(uintptr_t) "for devices", 3600, false, true, CONFIG_KEYS_EC},
};
static const struct config_acme acme = {.profiles = configured, .profiles_n = 2};

static void unknown_profiles_are_not_found(void **state)
{
    static const char *const NAMES[] = {"Default", "default ", "90d", "shortest", "Weekly", "wee"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(NAMES); i++) {
        struct ca_profile out = {0};
        assert_null(ca_profile_find(NAMES[i]));
        assert_int_equal(ca_profile_choose(&acme, NAMES[i], &out).code, ERR_NOT_FOUND);
        assert_int_equal(ca_profile_choose(NULL, NAMES[i], &out).code, ERR_NOT_FOUND);
        assert_null(out.name);
    }
}

static void a_configured_profile_is_not_built_in(void **state)
{
    struct ca_profile out = {0};

    (void)state;
    assert_null(ca_profile_find("weekly"));
    assert_int_equal(ca_profile_choose(NULL, "weekly", &out).code, ERR_NOT_FOUND);
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
        struct ca_profile chosen = {0};
        assert_non_null(p);
        assert_string_equal(p->name, rows[i].name);
        assert_int_equal(p->lifetime_s, rows[i].days * 86400);
        assert_true(strlen(p->description) > 0);
        assert_true(p->has_server_auth);
        assert_false(p->has_client_auth);
        assert_int_equal(p->key_types, ALL_KEYS);
        assert_ok(ca_profile_choose(&acme, rows[i].asked, &chosen));
        assert_string_equal(chosen.name, rows[i].name);
        assert_int_equal(chosen.lifetime_s, p->lifetime_s);
    }
}

static void configured_profiles_are_chosen_as_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(configured); i++) {
        const struct config_profile *want = &configured[i];
        struct ca_profile p = {0};
        assert_ok(ca_profile_choose(&acme, want->name, &p));
        assert_string_equal(p.name, want->name);
        assert_string_equal(p.description, want->description);
        assert_int_equal(p.lifetime_s, want->lifetime_s);
        assert_int_equal(p.has_server_auth, want->has_server_auth);
        assert_int_equal(p.has_client_auth, want->has_client_auth);
        assert_int_equal(p.key_types, want->key_types);
    }
}

struct listed {
    char names[128];
};

static void list(void *ctx, const struct ca_profile *profile)
{
    struct listed *l = ctx;
    size_t at = strlen(l->names);

    assert_true(strlen(profile->description) > 0);
    (void)snprintf(l->names + at, sizeof(l->names) - at, "%s ", profile->name);
}

static void each_goes_through_all(void **state)
{
    struct listed with = {""};
    struct listed without = {""};

    (void)state;
    ca_profile_each(&acme, list, &with);
    ca_profile_each(NULL, list, &without);
    assert_string_equal(with.names, "default month short weekly device ");
    assert_string_equal(without.names, "default month short ");
}

static void key_types_have_a_text(void **state)
{
    static const char *const TEXTS[] = {"",
                                        "EC",
                                        "RSA",
                                        "EC or RSA",
                                        "Ed25519",
                                        "EC or Ed25519",
                                        "RSA or Ed25519",
                                        "EC or RSA or Ed25519"};
    char text[PROFILE_KEYS_TEXT_MAX + 1];

    (void)state;
    for (unsigned mask = 0; mask < ARRAY_N(TEXTS); mask++) {
        profile_keys_text(mask, text);
        assert_string_equal(text, TEXTS[mask]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_profiles_are_not_found),
        cmocka_unit_test(a_configured_profile_is_not_built_in),
        cmocka_unit_test(built_in_profiles_have_their_lifetime),
        cmocka_unit_test(configured_profiles_are_chosen_as_written),
        cmocka_unit_test(each_goes_through_all),
        cmocka_unit_test(key_types_have_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
