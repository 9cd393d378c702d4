/* How many validations may be under way: the numbers one by one, and that nothing is lost or kept
 * when one of them says no. */
#include "acme-server/validate_places.h"
#include "tests/unit/acme_support.h"

#define PENDING_MAX 20 /* acme.rate_limits.pending_validations below */

struct world {
    struct fx *f;
    struct places places;
};

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    w->f = fx_new("acme: {rate_limits: {pending_validations: 20}}\n");
    must(places_init(&w->places, w->f->acme));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    places_clear(&w->places);
    fx_free(w->f);
    mem_free(w);
    return 0;
}

static struct val_target target(unsigned account, enum challenge_type type, const char *base)
{
    struct val_target t = {.type = type};

    (void)snprintf(t.account_id, sizeof(t.account_id), "%022u", account);
    (void)snprintf(t.ident.base, sizeof(t.ident.base), "%s", base);
    return t;
}

static void expect(struct world *w, const struct val_target *t, bool is_local, const char *refusal)
{
    const char *why = "";
    struct err e = places_take(&w->places, t, is_local, &why);

    if (e.code != (refusal == NULL ? ERR_OK : ERR_LIMIT)) {
        fail_msg("%s of %s: %s", t->ident.base, t->account_id, err_name(e.code));
    }
    if (refusal != NULL && strstr(why, refusal) == NULL) {
        fail_msg("not \"%s\": %s", refusal, why);
    }
}

/* Four of one account for a name; another account's are not in its way: strangers who order the same
 * name do not keep its owner out. */
static void test_identifier(void **state)
{
    struct world *w = *state;
    const struct val_target own = target(1, CHALLENGE_HTTP01, "a.svc.test");
    const struct val_target strange = target(2, CHALLENGE_HTTP01, "a.svc.test");

    for (int i = 0; i < PLACES_PER_IDENTIFIER; i++) {
        expect(w, &strange, false, NULL);
    }
    expect(w, &strange, false, "identifier");
    for (int i = 0; i < PLACES_PER_IDENTIFIER; i++) {
        expect(w, &own, false, NULL);
    }
    expect(w, &own, false, "identifier");
    places_leave(&w->places, &own, false);
    expect(w, &strange, false, "identifier");
    expect(w, &own, false, NULL);
}

static void test_account(void **state)
{
    struct world *w = *state;
    char name[64];
    struct val_target t;

    for (unsigned i = 0; i < PENDING_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%u.far.test", i);
        t = target(1, CHALLENGE_DNS01, name);
        expect(w, &t, false, NULL);
    }
    t = target(1, CHALLENGE_DNS01, "more.far.test");
    expect(w, &t, false, "pending_validations");
    expect(w, &t, true, NULL); /* what one look decides has a number of its own */
    t = target(2, CHALLENGE_DNS01, "more.far.test");
    expect(w, &t, false, NULL);
    t = target(1, CHALLENGE_DNS01, "n0.far.test");
    places_leave(&w->places, &t, false);
    expect(w, &t, false, NULL);
}

/* Connections to one host, whoever makes them; look-ups connect to nobody. */
static void test_host(void **state)
{
    struct world *w = *state;
    const enum challenge_type connecting[] = {CHALLENGE_HTTP01, CHALLENGE_TLSALPN01};
    const enum challenge_type asking[] = {CHALLENGE_DNS01, CHALLENGE_DNSACCOUNT01,
                                          CHALLENGE_DNSPERSIST01};
    struct val_target t;

    for (unsigned i = 0; i < PLACES_PER_HOST; i++) {
        t = target(i, connecting[i % 2], "a.svc.test");
        expect(w, &t, false, NULL);
    }
    for (unsigned i = 0; i < ARRAY_N(connecting); i++) {
        t = target(PLACES_PER_HOST + i, connecting[i], "a.svc.test");
        expect(w, &t, false, "one host");
    }
    for (unsigned i = 0; i < ARRAY_N(asking); i++) {
        t = target(PLACES_PER_HOST + i, asking[i], "a.svc.test");
        expect(w, &t, false, NULL);
    }
    t = target(9999, CHALLENGE_HTTP01, "b.svc.test");
    expect(w, &t, false, NULL);
}

/* A number that says no takes nothing: neither of the account nor of the identifier. */
static void test_refused_takes_nothing(void **state)
{
    struct world *w = *state;
    struct val_target t;
    char name[64];

    for (unsigned i = 0; i < PLACES_PER_HOST; i++) {
        t = target(100 + i, CHALLENGE_HTTP01, "full.svc.test");
        expect(w, &t, false, NULL);
    }
    t = target(1, CHALLENGE_HTTP01, "full.svc.test");
    for (int i = 0; i < 2 * PENDING_MAX; i++) {
        expect(w, &t, false, "one host");
    }
    t.type = CHALLENGE_DNS01;
    for (int i = 0; i < PLACES_PER_IDENTIFIER; i++) {
        expect(w, &t, false, NULL);
    }
    for (int i = 0; i < 2 * PENDING_MAX; i++) {
        expect(w, &t, false, "identifier");
    }
    for (unsigned i = PLACES_PER_IDENTIFIER; i < PENDING_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%u.svc.test", i);
        t = target(1, CHALLENGE_HTTP01, name);
        expect(w, &t, false, NULL);
    }
    expect(w, &t, false, "pending_validations");
}

/* Our own zones: per account, and not the whole queue. */
static void test_own_zones(void **state)
{
    struct world *w = *state;
    struct val_target t = target(1, CHALLENGE_DNS01, "a.svc.test");

    for (int i = 0; i < PLACES_OWN_ZONES; i++) {
        expect(w, &t, true, NULL);
    }
    expect(w, &t, true, "2,000");
    t = target(2, CHALLENGE_DNS01, "a.svc.test");
    expect(w, &t, true, NULL);
    t = target(1, CHALLENGE_DNS01, "a.svc.test");
    places_leave(&w->places, &t, true);
    expect(w, &t, true, NULL);
    expect(w, &t, true, "2,000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identifier, setup, teardown),
        cmocka_unit_test_setup_teardown(test_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_takes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_zones, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
