/* acme-dns registrations, late binding and pins, HTTP storage accounts, credentials. */
#include "delegate_fixture.h"

#define APEX_OWNER "svc.test.acme.svc.test"

static struct delegate_registration register_as(struct fixture *f, const char *client)
{
    struct delegate_who who = who_of(client, "127.0.0.1");
    struct delegate_registration reg;

    must(delegate_register(f->delegate, &who, NULL, 0, &reg, &f->refusal));
    return reg;
}

static struct err update_reg(struct fixture *f, const struct delegate_registration *reg,
                             const char *value)
{
    return update_as(f, reg->username, reg->password, reg->subdomain, value);
}

static void add_client(struct fixture *f, const char *name, const char *pattern)
{
    char secret[CLIENT_SECRET_MAX + 1];

    const struct access_new_client client = {
        .name = name, .secret = SECRET_B, .patterns = &pattern, .patterns_n = 1};
    must(access_client_create(f->access, &client, secret));
}

static void test_wrong_credentials(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration reg = register_as(f, "both");
    struct delegate_registration other = register_as(f, "both");
    char one[TXT_VALUE_LEN + 1], sentence[400];
    const struct {
        const char *user, *key, *subdomain;
    } BAD[] = {
        {"01234567-89ab-4cde-8f01-23456789abcd", reg.password, reg.subdomain},
        {reg.username, other.password, reg.subdomain},
        {reg.username, "", reg.subdomain},
        {"nobody", SECRET_A, "svc.test"},
        {"both", SECRET_B, "svc.test"},
        {"", "", ""},
        {"open", SECRET_A, "svc.test"},
    };
    (void)state;

    (void)digest_n(1, one);
    clock_hold(true); /* refusals are counted by the second */
    assert_int_equal(reason_of(f, update_as(f, BAD[0].user, BAD[0].key, BAD[0].subdomain, one)),
                     DELEGATE_UNAUTHORIZED);
    memcpy(sentence, f->refusal.detail, sizeof(sentence));
    for (size_t i = 1; i < ARRAY_N(BAD); i++) {
        assert_int_equal(reason_of(f, update_as(f, BAD[i].user, BAD[i].key, BAD[i].subdomain, one)),
                         DELEGATE_UNAUTHORIZED);
        if (i < 3) {
            assert_string_equal(f->refusal.detail, sentence);
        }
    }
    assert_int_equal(reason_of(f, update_as(f, reg.username, reg.password, other.subdomain, one)),
                     DELEGATE_UNAUTHORIZED);
    assert_int_equal(reason_of(f, update_reg(f, &reg, "nonsense")), DELEGATE_BAD_TXT);
    assert_int_equal(audit_n(f, "delegate.refused"), 5);
    clock_hold(false);
    fixture_free(f);
}

static void test_ten_failures_a_minute(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration reg = register_as(f, "both");
    char one[TXT_VALUE_LEN + 1];
    (void)state;

    (void)digest_n(1, one);
    for (unsigned i = 0; i < ACCESS_FAILURES_PER_MINUTE; i++) {
        assert_int_equal(reason_of(f, update_as(f, reg.username, "x", reg.subdomain, one)),
                         DELEGATE_UNAUTHORIZED);
    }
    assert_int_equal(reason_of(f, update_reg(f, &reg, one)), DELEGATE_THROTTLED);
    assert_int_equal(reason_of(f, update_as(f, "both", SECRET_A, "x", one)), DELEGATE_THROTTLED);
    clock_shift(60001);
    must(update_reg(f, &reg, one));
    fixture_free(f);
}

static void test_late_binding(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration reg = register_as(f, "both");
    struct delegate_binding *list = NULL;
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1], stray[TXT_VALUE_LEN + 1], detail[400];
    size_t n = 0;
    (void)state;

    must(update_reg(f, &reg, digest_n(3, stray))); /* matches nothing: served at the label only */
    assert_int_equal(values_at(f, reg.fulldomain), 1);
    expect_for(f, "svc.test", digest_n(1, one));
    expect_for(f, "*.svc.test", digest_n(2, two));
    must(update_reg(f, &reg, one));
    must(update_reg(f, &reg, two));
    assert_int_equal(values_at(f, reg.fulldomain), 3);
    assert_int_equal(values_at(f, APEX_OWNER), 2);
    assert_int_equal(check_of(f, "svc.test", one, detail), DELEGATE_FOUND);
    assert_int_equal(check_of(f, "*.svc.test", two, detail), DELEGATE_FOUND);
    must(delegate_bindings(f->delegate, NULL, &list, &n));
    assert_int_equal(n, 0); /* not before the challenge is valid */
    decide(f, "*.svc.test", two, false);
    decide(f, "svc.test", one, true);
    decide(f, "svc.test", one, true);
    must(delegate_bindings(f->delegate, "both", &list, &n));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].name, "svc.test");
    assert_string_equal(list[0].registration, reg.subdomain);
    mem_free(list);
    assert_int_equal(audit_n(f, "delegate.bind"), 1);
    /* Bound: a value for any other CA is served at the name too. */
    must(update_reg(f, &reg, digest_n(4, stray)));
    assert_int_equal(values_at(f, APEX_OWNER), 3);
    must(delegate_release(f->delegate, "svc.test"));
    must(update_reg(f, &reg, digest_n(5, stray)));
    assert_int_equal(values_at(f, APEX_OWNER), 3);
    assert_int_equal(delegate_release(f->delegate, "svc.test").code, ERR_NOT_FOUND);
    fixture_free(f);
}

static void test_late_binding_obeys_policy(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration wild = register_as(f, "wild");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    (void)state;

    expect_for(f, "svc.test", digest_n(1, one));
    expect_for(f, "*.svc.test", digest_n(2, two));
    assert_int_equal(reason_of(f, update_reg(f, &wild, one)), DELEGATE_FORBIDDEN);
    assert_non_null(strstr(f->refusal.detail, "wild may not have svc.test"));
    assert_int_equal(values_at(f, wild.fulldomain), 0); /* nothing of it stayed */
    must(update_reg(f, &wild, two));
    assert_int_equal(values_at(f, APEX_OWNER), 1);
    fixture_free(f);
}

static void test_pins(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration first = register_as(f, "both");
    struct delegate_registration second = register_as(f, "both");
    struct delegate_registration rival = register_as(f, "wild");
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    expect_for(f, "*.svc.test", digest_n(1, digest));
    must(update_reg(f, &first, digest));
    decide(f, "*.svc.test", digest, true);
    expect_for(f, "*.svc.test", digest_n(2, digest));
    assert_int_equal(reason_of(f, update_reg(f, &rival, digest)), DELEGATE_FORBIDDEN);
    assert_non_null(strstr(f->refusal.detail, "bailiwick client release svc.test"));
    must(update_reg(f, &second, digest)); /* the same client shares */
    /* The pin is for unnamed registrations; whoever names the name and may have it is not
     * blocked. */
    must(publish_as(f, "wild", "_acme-challenge.svc.test", digest));
    must(update_as(f, "wild", SECRET_B, "whatever", digest));
    decide(f, "*.svc.test", digest, true);
    must(delegate_release(f->delegate, "svc.test"));
    expect_for(f, "*.svc.test", digest_n(3, digest));
    must(update_reg(f, &rival, digest));
    fixture_free(f);
}

static void test_open_registrations_never_bind(void **state)
{
    struct fixture *f = fixture_new("open: true\nopen_networks: [127.0.0.0/8]\n");
    struct delegate_registration reg = register_as(f, NULL);
    struct delegate_binding *list = NULL;
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    size_t n = 1;
    (void)state;

    expect_for(f, "svc.test", digest_n(1, one));
    assert_int_equal(reason_of(f, update_reg(f, &reg, digest_n(2, two))), DELEGATE_BAD_NAME);
    must(update_reg(f, &reg, one));
    assert_int_equal(values_at(f, reg.fulldomain), 1);
    assert_int_equal(values_at(f, APEX_OWNER), 0);
    decide(f, "svc.test", one, true);
    must(delegate_bindings(f->delegate, NULL, &list, &n));
    assert_int_equal(n, 0);
    mem_free(list);
    fixture_free(f);
}

static void test_allowfrom(void **state)
{
    static const char *const BAD[] = {
        "10.0.0.0/33", "nonsense", "10.0.0.1/8", "", "::1/200", "10.0.0.0/8,10.0.0.0/8"};
    static const char *const ELSEWHERE[] = {"10.0.0.0/8", "fd00::/8"};
    static const char *const HERE[] = {"10.0.0.0/8", "127.0.0.1/32"};
    const char *many[DELEGATE_ALLOWFROM_MAX + 1];
    struct fixture *f = fixture_new("");
    struct delegate_who who = who_of("both", "127.0.0.1");
    struct delegate_registration reg;
    char one[TXT_VALUE_LEN + 1];
    (void)state;

    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        struct err e = delegate_register(f->delegate, &who, &BAD[i], 1, &reg, &f->refusal);
        assert_int_equal(reason_of(f, e), DELEGATE_BAD_NAME);
        assert_int_equal(strncmp(f->refusal.detail, "invalid_allowfrom_cidr", 22), 0);
    }
    for (size_t i = 0; i < ARRAY_N(many); i++) {
        many[i] = "10.0.0.0/8";
    }
    struct err e = delegate_register(f->delegate, &who, many, ARRAY_N(many), &reg, &f->refusal);
    assert_int_equal(reason_of(f, e), DELEGATE_BAD_NAME);
    must(delegate_register(f->delegate, &who, many, ARRAY_N(many) - 1, &reg, &f->refusal));
    (void)digest_n(1, one);
    must(delegate_register(f->delegate, &who, ELSEWHERE, 2, &reg, &f->refusal));
    assert_int_equal(reason_of(f, update_reg(f, &reg, one)), DELEGATE_UNAUTHORIZED);
    must(delegate_register(f->delegate, &who, HERE, 2, &reg, &f->refusal));
    must(update_reg(f, &reg, one));
    /* allowfrom only narrows: the client's networks stand. */
    struct delegate_who inside = who_of("inside", "10.1.2.3");
    must(delegate_register(f->delegate, &inside, HERE, 2, &reg, &f->refusal));
    assert_int_equal(reason_of(f, update_reg(f, &reg, one)), DELEGATE_FORBIDDEN);
    struct delegate_who outside = who_of("inside", "127.0.0.1");
    e = delegate_register(f->delegate, &outside, NULL, 0, &reg, &f->refusal);
    assert_int_equal(reason_of(f, e), DELEGATE_FORBIDDEN);
    struct delegate_who nobody = who_of(NULL, "127.0.0.1");
    e = delegate_register(f->delegate, &nobody, NULL, 0, &reg, &f->refusal);
    assert_int_equal(reason_of(f, e), DELEGATE_UNAUTHORIZED);
    fixture_free(f);
}

static void test_registration_limits(void **state)
{
    struct fixture *f = fixture_new("open: true\nopen_networks: [10.0.0.0/8, 'fd00::/8']\n");
    struct delegate_registration reg;
    struct delegate_who who = who_of(NULL, "10.1.1.1");
    struct delegate_who same_net = who_of(NULL, "10.1.1.250");
    struct delegate_who other_net = who_of(NULL, "10.1.2.1");
    struct delegate_who six = who_of(NULL, "fd00:1:2:3::1");
    size_t removed_n = 0;
    (void)state;

    for (int i = 0; i < DELEGATE_REGISTRATIONS_PER_NETWORK; i++) {
        must(delegate_register(f->delegate, &who, NULL, 0, &reg, &f->refusal));
    }
    assert_int_equal(
        reason_of(f, delegate_register(f->delegate, &same_net, NULL, 0, &reg, &f->refusal)),
        DELEGATE_FULL);
    must(delegate_register(f->delegate, &other_net, NULL, 0, &reg, &f->refusal));
    must(delegate_register(f->delegate, &six, NULL, 0, &reg, &f->refusal));
    for (int i = 0; i < DELEGATE_REGISTRATIONS_PER_CLIENT; i++) {
        reg = register_as(f, "both");
    }
    struct delegate_who client = who_of("both", "127.0.0.1");
    assert_int_equal(
        reason_of(f, delegate_register(f->delegate, &client, NULL, 0, &reg, &f->refusal)),
        DELEGATE_FULL);
    clock_shift((DELEGATE_REGISTRATION_UNUSED_S + 1) * INT64_C(1000));
    must(delegate_maintain(f->delegate, &removed_n));
    assert_int_equal(removed_n,
                     DELEGATE_REGISTRATIONS_PER_NETWORK + 2 + DELEGATE_REGISTRATIONS_PER_CLIENT);
    must(delegate_register(f->delegate, &client, NULL, 0, &reg, &f->refusal));
    fixture_free(f);
}

static void test_storage_accounts(void **state)
{
    struct fixture *f = fixture_new("open: true\nopen_networks: [127.0.0.0/8]\n");
    struct delegate_who both = who_of("both", "127.0.0.1");
    struct delegate_who apex = who_of("apex", "127.0.0.1");
    struct delegate_who anonymous = who_of(NULL, "127.0.0.1");
    struct delegate_registration a, b, c;
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    (void)state;

    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    memset(&c, 0, sizeof(c));
    must(delegate_storage_account(f->delegate, &both, "svc.test", &a, &f->refusal));
    must(delegate_storage_account(f->delegate, &both, "*.SVC.test.", &b, &f->refusal));
    assert_memory_equal(&a, &b, sizeof(a));
    assert_string_equal(a.username, "both");
    assert_string_equal(a.subdomain, "svc.test");
    assert_string_equal(a.fulldomain, APEX_OWNER);
    must(delegate_storage_account(f->delegate, &apex, "svc.test", &c, &f->refusal));
    assert_string_not_equal(a.password, c.password);
    assert_int_equal(
        reason_of(f, delegate_storage_account(f->delegate, &apex, "x.svc.test", &c, &f->refusal)),
        DELEGATE_FORBIDDEN);
    assert_int_equal(
        reason_of(f, delegate_storage_account(f->delegate, &both, "a b", &c, &f->refusal)),
        DELEGATE_BAD_NAME);
    must(update_reg(f, &a, digest_n(1, one))); /* no pending challenge is needed */
    assert_int_equal(values_at(f, APEX_OWNER), 1);
    assert_int_equal(reason_of(f, update_as(f, "both", a.password, "x.svc.test", one)),
                     DELEGATE_UNAUTHORIZED);
    must(delegate_storage_account(f->delegate, &anonymous, "svc.test", &c, &f->refusal));
    assert_string_equal(c.username, "open");
    assert_int_equal(reason_of(f, update_reg(f, &c, digest_n(2, two))), DELEGATE_BAD_NAME);
    expect_for(f, "svc.test", two);
    must(update_reg(f, &c, two));
    assert_int_equal(values_at(f, APEX_OWNER), 2);
    fixture_restart(f);
    must(delegate_storage_account(f->delegate, &both, "svc.test", &b, &f->refusal));
    assert_string_equal(a.password, b.password);
    assert_int_equal(values_at(f, APEX_OWNER), 2);
    fixture_free(f);
}

static void test_client_credential_as_account(void **state)
{
    struct fixture *f = fixture_new("");
    char one[TXT_VALUE_LEN + 1], two[TXT_VALUE_LEN + 1];
    (void)state;

    expect_for(f, "*.svc.test", digest_n(1, one));
    assert_int_equal(reason_of(f, update_as(f, "apex", SECRET_B, "any", one)), DELEGATE_FORBIDDEN);
    assert_int_equal(reason_of(f, update_as(f, "both", SECRET_A, "any", digest_n(2, two))),
                     DELEGATE_BAD_NAME);
    assert_non_null(strstr(f->refusal.detail, "pending challenge"));
    assert_int_equal(reason_of(f, update_as(f, "inside", SECRET_B, "any", one)),
                     DELEGATE_FORBIDDEN);
    must(update_as(f, "both", SECRET_A, "any", one));
    assert_int_equal(values_at(f, APEX_OWNER), 1);
    fixture_free(f);
}

static void test_label_with_client_credential(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration reg = register_as(f, "both");
    char one[TXT_VALUE_LEN + 1];
    (void)state;

    (void)digest_n(1, one);
    assert_int_equal(reason_of(f, publish_as(f, "wild", reg.fulldomain, one)), DELEGATE_FORBIDDEN);
    must(publish_as(f, "both", reg.fulldomain, one));
    assert_int_equal(values_at(f, reg.fulldomain), 1);
    fixture_free(f);
}

static void test_removed_client_takes_all_with_it(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration reg;
    struct delegate_binding *list = NULL;
    char one[TXT_VALUE_LEN + 1], detail[400];
    size_t n = 1;
    (void)state;

    add_client(f, "guest", "*.guest.test");
    reg = register_as(f, "guest");
    expect_for(f, "www.guest.test", digest_n(1, one));
    must(update_reg(f, &reg, one));
    decide(f, "www.guest.test", one, true);
    assert_int_equal(values_at(f, "www.guest.test.acme.svc.test"), 1);
    struct ident id = ident_of("www.guest.test");
    struct zone_publisher by = {false, "guest", ""};
    assert_true(delegate_publisher_may(f->delegate, &by, &id));
    must(access_client_remove(f->access, "guest"));
    assert_false(delegate_publisher_may(f->delegate, &by, &id));
    assert_int_equal(values_at(f, "www.guest.test.acme.svc.test"), 0);
    assert_int_equal(values_at(f, reg.fulldomain), 0);
    must(delegate_bindings(f->delegate, NULL, &list, &n));
    assert_int_equal(n, 0);
    assert_int_equal(reason_of(f, update_reg(f, &reg, one)), DELEGATE_UNAUTHORIZED);
    assert_int_equal(reason_of(f, publish_as(f, "guest", "_acme-challenge.www.guest.test", one)),
                     DELEGATE_UNAUTHORIZED);
    assert_int_equal(check_of(f, "www.guest.test", one, detail), DELEGATE_MISSING);
    fixture_restart(f);
    assert_int_equal(values_at(f, "www.guest.test.acme.svc.test"), 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_credentials),
        cmocka_unit_test(test_ten_failures_a_minute),
        cmocka_unit_test(test_late_binding),
        cmocka_unit_test(test_late_binding_obeys_policy),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_open_registrations_never_bind),
        cmocka_unit_test(test_allowfrom),
        cmocka_unit_test(test_registration_limits),
        cmocka_unit_test(test_storage_accounts),
        cmocka_unit_test(test_client_credential_as_account),
        cmocka_unit_test(test_label_with_client_credential),
        cmocka_unit_test(test_removed_client_takes_all_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
