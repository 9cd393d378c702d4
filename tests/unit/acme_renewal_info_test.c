/* Renewal information and "replaces" (RFC 9773). */
#include <pthread.h>

#include "acme-server/rfc3339.h"
#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 0, rate_limits: {orders: 20}}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static const char *const APEX[] = {"svc.test"};
#define DAY_S 86400

static void ask(struct fx *f, const char *id, struct reply *out)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "/acme/renewal-info/%s", id);
    fx_get(f, HTTP_GET, path, out);
}

static int64_t edge(const struct reply *reply, const char *name)
{
    int64_t at = 0;
    const char *text =
        json_string_value(json_object_get(json_object_get(reply->json, "suggestedWindow"), name));

    assert_non_null(text);
    must(rfc3339_parse(text, &at));
    return at;
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"x", ".", "a.", ".b", "a.b.c", "AAAA", "a+b.AAAA", "AA==.AA"};
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);
    char other[CA_RENEWAL_ID_MAX + 1];

    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        ask(f, bad[i], &reply);
        if (reply.status != 400) {
            print_message("%s\n", bad[i]);
        }
        expect_problem(&reply, 400, "malformed");
    }
    ask(f, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", &reply); /* RFC 9773 §4.1's */
    expect_problem(&reply, 404, "malformed");
    /* Its serial under another authority's key identifier. */
    (void)snprintf(other, sizeof(other), "aYhba4dGQEHhs3uEe6CuLN4ByNQ%s",
                   strchr(c.renewal_id, '.'));
    ask(f, other, &reply);
    expect_problem(&reply, 404, "malformed");
    cert_clear(&c);
    reply_clear(&reply);
}

/* The window lies in the last third of the life; revocation puts it into the past. */
static void test_window(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);
    int64_t now = clock_unix_s();

    ask(f, c.renewal_id, &reply);
    expect_status(&reply, 200);
    assert_string_equal(reply.type, "application/json");
    assert_true(strtol(reply.retry, NULL, 10) >= 60);
    assert_true(edge(&reply, "start") < edge(&reply, "end"));
    assert_in_range(edge(&reply, "start"), now + 58 * DAY_S, now + 63 * DAY_S);
    assert_in_range(edge(&reply, "end"), now + 58 * DAY_S, now + 65 * DAY_S);
    fx_change(f, "UPDATE certificate SET revoked_unix = 1", NULL);
    ask(f, c.renewal_id, &reply);
    expect_status(&reply, 200);
    assert_true(edge(&reply, "end") < now);
    assert_string_not_equal(reply.retry, "");
    cert_clear(&c);
    reply_clear(&reply);
}

struct plan {
    const char *pem;
    int64_t at;
    int64_t n;
};

static struct err plan_fn(struct db *db, void *arg)
{
    struct plan *p = arg;
    return ca_issuer_renew_by(db, p->pem, p->at, &p->n);
}

/* Before an issuer changes everybody is asked to come earlier. */
static void test_issuer_change(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);
    int64_t now = clock_unix_s();
    struct plan plan = {.pem = ca_intermediate_pem(f->ca), .at = now + 10 * DAY_S};

    must(store_write(f->store, "t", plan_fn, &plan));
    assert_int_equal(plan.n, 1);
    ask(f, c.renewal_id, &reply);
    expect_status(&reply, 200);
    assert_true(edge(&reply, "end") <= now + 10 * DAY_S);
    assert_true(edge(&reply, "start") > now);
    cert_clear(&c);
    reply_clear(&reply);
}

/* --- replaces --------------------------------------------------------------------------------- */

static void order(struct fx *f, const char *name, const char *replaces, struct reply *out)
{
    char payload[600];

    (void)snprintf(payload, sizeof(payload),
                   "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"%s\"}],\"replaces\":\"%s\"}",
                   name, replaces);
    fx_post(f, "/acme/new-order", payload, out);
}

static void test_replaces_refused(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);
    struct who other = who_new(f);
    char long_id[300];

    memset(long_id, 'A', sizeof(long_id) - 1);
    long_id[sizeof(long_id) - 1] = '\0';
    order(f, "svc.test", "nonsense", &reply);
    expect_problem(&reply, 400, "malformed");
    order(f, "svc.test", "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", &reply);
    expect_problem(&reply, 400, "malformed");
    order(f, "svc.test", long_id, &reply);
    expect_problem(&reply, 400, "malformed");
    fx_post(f, "/acme/new-order",
            "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"svc.test\"}],\"replaces\":1}", &reply);
    expect_problem(&reply, 400, "malformed");
    order(f, "a.svc.test", c.renewal_id, &reply); /* no name in common */
    expect_problem(&reply, 400, "malformed");
    order(f, "*.svc.test", c.renewal_id, &reply);
    expect_problem(&reply, 400, "malformed");
    who_swap(f, &other);
    order(f, "svc.test", c.renewal_id, &reply);
    expect_problem(&reply, 403, "unauthorized");
    who_swap(f, &other);
    order(f, "svc.test", "", &reply); /* absent and empty are the same */
    expect_status(&reply, 201);
    assert_null(json_object_get(reply.json, "replaces"));
    who_clear(&other);
    cert_clear(&c);
    reply_clear(&reply);
}

static void deactivate_authz(struct fx *f, const struct reply *made, struct reply *reply)
{
    const json_t *list = json_object_get(made->json, "authorizations");

    fx_post(f, json_string_value(json_array_get(list, 0)), "{\"status\":\"deactivated\"}", reply);
    expect_status(reply, 200);
}

/* One order replaces a certificate; when it ends badly the next one may. */
static void test_replaced_once(void **state)
{
    struct fx *f = *state;
    struct reply made = {0};
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);

    order(f, "svc.test", c.renewal_id, &made);
    expect_status(&made, 201);
    assert_string_equal(member(&made, "replaces"), c.renewal_id);
    fx_post(f, made.location, "", &reply);
    assert_true(json_equal(made.json, reply.json));
    order(f, "svc.test", c.renewal_id, &reply);
    expect_problem(&reply, 409, "alreadyReplaced");
    deactivate_authz(f, &made, &reply); /* the order is invalid now */
    order(f, "svc.test", c.renewal_id, &made);
    expect_status(&made, 201);
    clock_shift((int64_t)(ACME_ORDER_LIFETIME_S + 1) * 1000); /* expired is as good */
    order(f, "svc.test", c.renewal_id, &made);
    expect_status(&made, 201);
    fx_prove(f, &made, "both");
    struct cert next = fx_finalize(f, &made, EVP_EC_gen("P-256"), APEX, 1);
    order(f, "svc.test", c.renewal_id, &reply);
    expect_problem(&reply, 409, "alreadyReplaced");
    order(f, "svc.test", next.renewal_id, &reply); /* the next link of the chain */
    expect_status(&reply, 201);
    clock_shift(-(int64_t)(ACME_ORDER_LIFETIME_S + 1) * 1000);
    cert_clear(&next);
    cert_clear(&c);
    reply_clear(&made);
    reply_clear(&reply);
}

#define RACERS 4

struct racer {
    struct fx *f;
    const char *replaces;
    int status;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct reply reply = {0};

    order(r->f, "svc.test", r->replaces, &reply);
    r->status = reply.status;
    reply_clear(&reply);
    return NULL;
}

static void test_replaced_at_once(void **state)
{
    struct fx *f = *state;
    struct cert c = fx_issue(f, APEX, 1);
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    size_t made = 0;

    for (size_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){f, c.renewal_id, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(racers[i].status == 201 || racers[i].status == 409);
        made += racers[i].status == 201 ? 1 : 0;
    }
    assert_int_equal(made, 1);
    cert_clear(&c);
}

/* Renewals whose time has come do not count as orders; others do. */
static void test_limits(void **state)
{
    struct fx *f = *state;
    struct reply made = {0};
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);

    for (int i = 1; i < 20; i++) {
        fx_order(f, APEX, 1, &made);
        expect_status(&made, 201);
    }
    order(f, "svc.test", c.renewal_id, &reply); /* much too early */
    expect_problem(&reply, 429, "rateLimited");
    assert_non_null(strstr(reply.body, limit_name(LIMIT_ORDERS)));
    assert_true(strtol(reply.retry, NULL, 10) > 3000);
    fx_change(f, "UPDATE certificate SET revoked_unix = 1", NULL);
    order(f, "svc.test", c.renewal_id, &reply);
    expect_status(&reply, 201);
    f->peer = "127.0.0.1";
    fx_order(f, APEX, 1, &made);
    expect_status(&made, 201);
    f->peer = NULL;
    fx_order(f, APEX, 1, &made);
    expect_problem(&made, 429, "rateLimited");
    clock_shift((int64_t)(LIMITS_WINDOW_S + 60) * 1000);
    fx_order(f, APEX, 1, &made);
    expect_status(&made, 201);
    clock_shift(-(int64_t)(LIMITS_WINDOW_S + 60) * 1000);
    cert_clear(&c);
    reply_clear(&made);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_issuer_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaces_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaced_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaced_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
