/* Clients that left the configuration, or lost names in it, while the daemon was off. */
#include "delegate_fixture.h"

#define BOTH 0 /* its place in the fixture's configuration */

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

static size_t bindings_n(struct fixture *f)
{
    struct delegate_binding *list = NULL;
    size_t n = 0;

    must(delegate_bindings(f->delegate, NULL, &list, &n));
    mem_free(list);
    return n;
}

/* Bound to svc.test, with a value at its label. */
static struct delegate_registration bound_as(struct fixture *f, const char *client)
{
    struct delegate_registration reg = register_as(f, client);
    char digest[TXT_VALUE_LEN + 1];

    expect_for(f, "svc.test", digest_n(1, digest));
    must(update_reg(f, &reg, digest));
    decide(f, "svc.test", digest, true);
    assert_int_equal(bindings_n(f), 1);
    assert_int_equal(values_at(f, reg.fulldomain), 1);
    return reg;
}

static void test_who_stays_keeps_everything(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration reg = bound_as(f, "both");
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    fixture_restart(f);
    must(delegate_forget_gone(f->delegate));
    assert_int_equal(bindings_n(f), 1);
    assert_int_equal(values_at(f, reg.fulldomain), 1);
    must(update_reg(f, &reg, digest_n(2, digest)));
    assert_int_equal(audit_n(f, "client.gone"), 0);
    fixture_free(f);
}

/* A later client of the same name inherits nothing. */
static void test_namesakes_inherit_nothing(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration reg = bound_as(f, "both");
    char digest[TXT_VALUE_LEN + 1];
    char saved[CLIENT_NAME_MAX + 1];
    (void)state;

    fixture_stop(f);
    memcpy(saved, f->cfg->clients[BOTH].name, sizeof(saved));
    memcpy(f->cfg->clients[BOTH].name, "newcomer", 9);
    fixture_start(f);
    must(delegate_forget_gone(f->delegate));
    assert_int_equal(audit_n(f, "client.gone"), 1);
    assert_int_equal(bindings_n(f), 0);
    fixture_stop(f);
    memcpy(f->cfg->clients[BOTH].name, saved, sizeof(saved));
    fixture_start(f);
    assert_int_equal(values_at(f, reg.fulldomain), 0);
    assert_int_equal(reason_of(f, update_reg(f, &reg, digest_n(2, digest))), DELEGATE_UNAUTHORIZED);
    fixture_free(f);
}

static void test_lost_names_are_released(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration reg = bound_as(f, "apex");
    struct delegate_registration rival = register_as(f, "both");
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    fixture_stop(f);
    memcpy(f->cfg->clients[1].names[0].base, "other.test", 11);
    fixture_start(f);
    must(delegate_forget_gone(f->delegate));
    assert_int_equal(bindings_n(f), 0);
    assert_int_equal(audit_n(f, "delegate.release"), 1);
    must(update_reg(f, &reg, digest_n(2, digest))); /* the registration itself stays */
    expect_for(f, "svc.test", digest_n(3, digest));
    must(update_reg(f, &rival, digest));
    fixture_free(f);
}

/* Also before the binding is released: nothing is at the name, an update stays at its label. */
static void test_lost_names_get_nothing(void **state)
{
    struct fixture *f = fixture_new("");
    struct delegate_registration reg = bound_as(f, "apex");
    char owner[NAME_TEXT_MAX + 1];
    char digest[TXT_VALUE_LEN + 1];
    (void)state;

    must(name_delegate("svc.test", f->cfg->delegate_zone, owner));
    size_t before = values_at(f, owner);
    must(update_reg(f, &reg, digest_n(2, digest)));
    assert_int_equal(values_at(f, owner), before + 1);
    fixture_stop(f);
    memcpy(f->cfg->clients[1].names[0].base, "other.test", 11);
    fixture_start(f);
    assert_int_equal(bindings_n(f), 1);
    must(update_reg(f, &reg, digest_n(3, digest)));
    assert_int_equal(values_at(f, owner), 0);
    assert_int_equal(values_at(f, reg.fulldomain), 3);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_stays_keeps_everything),
        cmocka_unit_test(test_namesakes_inherit_nothing),
        cmocka_unit_test(test_lost_names_are_released),
        cmocka_unit_test(test_lost_names_get_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
