/* Several challenges of one authorization: what is shown, what is tried, who decides. */
#include <sched.h>

#include "tests/unit/acme_issue.h"
#include "tests/unit/acme_loop.h"

#define FAR "a.far.test"
#define FAR_OWNER "_acme-challenge." FAR "."
static const char *const NAME[] = {FAR};
static const char *const WILD[] = {"*.svc.test"};

struct world {
    struct fx_loop *l;
    struct fx *f;
    struct web web;
    struct reply order, authz, reply;
    char authz_url[512];
    char http_url[512], dns_url[512];
    char digest[TXT_VALUE_LEN + 1];
};

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    w->l = fx_loop_new("validation: {allow: [127.0.0.0/8]}\n"
                       "acme: {authorization_reuse: 0, ip_networks: [127.0.0.0/8]}\n");
    w->f = w->l->f;
    web_start(&w->web, w->l);
    fx_loop_say(w->l, 0, FAR ".", FAR ". 1 IN A 127.0.0.1");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    reply_clear(&w->order);
    reply_clear(&w->authz);
    reply_clear(&w->reply);
    web_stop(&w->web);
    fx_loop_free(w->l);
    mem_free(w);
    return 0;
}

static const char *part(const struct reply *authz, enum challenge_type type, const char *name)
{
    const char *text = json_string_value(json_object_get(challenge_typed(authz, type), name));

    return text == NULL ? "" : text;
}

static void begin(struct world *w, const char *const *names)
{
    fx_order(w->f, names, 1, &w->order);
    expect_status(&w->order, 201);
    fx_authz(w->f, &w->order, 0, &w->authz);
    (void)snprintf(
        w->authz_url, sizeof(w->authz_url), "%s",
        json_string_value(json_array_get(json_object_get(w->order.json, "authorizations"), 0)));
    (void)snprintf(w->http_url, sizeof(w->http_url), "%s",
                   part(&w->authz, CHALLENGE_HTTP01, "url"));
    (void)snprintf(w->dns_url, sizeof(w->dns_url), "%s", part(&w->authz, CHALLENGE_DNS01, "url"));
    digest_of(w->f, &w->authz, w->digest);
}

/* What an http-01 server of f->key's account has to say. */
static void key_authorization(const struct world *w, char *out, size_t cap)
{
    struct problem prob = {0};
    struct jwk *jwk = NULL;

    must(jwk_parse(w->f->key.jwk, strlen(w->f->key.jwk), 2048, &jwk, &prob));
    (void)snprintf(out, cap, "%s.%s", part(&w->authz, CHALLENGE_HTTP01, "token"),
                   jwk_thumbprint(jwk));
    jwk_free(jwk);
}

struct authz_load {
    const char *id;
    struct authz_row *row;
};

static struct err authz_load_fn(struct db *db, void *arg)
{
    const struct authz_load *load = arg;
    return acme_db_authz_load(db, load->id, load->row);
}

static void authz_of(struct world *w, struct authz_row *out)
{
    struct authz_load load = {id_of(w->authz_url), out};

    must(store_read(w->f->store, "t", authz_load_fn, &load));
}

static void publish(struct world *w)
{
    char record[256];

    (void)snprintf(record, sizeof(record), FAR_OWNER " 1 IN TXT \"%s\"", w->digest);
    fx_loop_say(w->l, 1, FAR_OWNER, record);
}

static void post(struct world *w, const char *url, const char *status)
{
    fx_post(w->f, url, "{}", &w->reply);
    expect_status(&w->reply, 200);
    assert_string_equal(member(&w->reply, "status"), status);
}

static void expect_authz(struct world *w, const char *status, size_t shown)
{
    fx_post(w->f, w->authz_url, "", &w->authz);
    expect_status(&w->authz, 200);
    assert_string_equal(member(&w->authz, "status"), status);
    assert_int_equal(json_array_size(json_object_get(w->authz.json, "challenges")), shown);
}

static void expect_order(struct world *w, const char *status)
{
    fx_post(w->f, w->order.location, "", &w->reply);
    assert_string_equal(member(&w->reply, "status"), status);
}

/* --- what is shown ---------------------------------------------------------------------------- */

static void test_of_a_name(void **state)
{
    struct world *w = *state;
    char url[600];

    begin(w, NAME);
    expect_authz(w, "pending", CHALLENGE_TYPES_N);
    for (int t = 0; t < CHALLENGE_TYPES_N; t++) {
        enum challenge_type type = (enum challenge_type)t;
        (void)snprintf(url, sizeof(url), BASE "/acme/challenge/%s/%s", id_of(w->authz_url),
                       challenge_name(type));
        assert_string_equal(part(&w->authz, type, "url"), url);
        assert_string_equal(part(&w->authz, type, "status"), "pending");
        fx_post(w->f, url, "", &w->reply);
        expect_status(&w->reply, 200);
        assert_true(json_equal(w->reply.json, challenge_typed(&w->authz, type)));
        for (int u = 0; u < t; u++) {
            assert_string_not_equal(part(&w->authz, type, "token"),
                                    part(&w->authz, (enum challenge_type)u, "token"));
        }
    }
    const json_t *persist = challenge_typed(&w->authz, CHALLENGE_DNSPERSIST01);
    assert_null(json_object_get(persist, "token"));
    assert_string_equal(part(&w->authz, CHALLENGE_DNSPERSIST01, "accounturi"), w->f->kid);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(persist, "issuer-domain-names"), 0)),
        "ca.svc.test");
}

static void test_of_a_wildcard(void **state)
{
    struct world *w = *state;
    char url[700];

    begin(w, WILD);
    expect_authz(w, "pending", 3);
    assert_non_null(challenge_typed(&w->authz, CHALLENGE_DNS01));
    assert_non_null(challenge_typed(&w->authz, CHALLENGE_DNSACCOUNT01));
    assert_non_null(challenge_typed(&w->authz, CHALLENGE_DNSPERSIST01));
    static const char *const missing[] = {"http-01", "tls-alpn-01", "dns-02", "", "dns-01/"};
    for (size_t i = 0; i < ARRAY_N(missing); i++) {
        (void)snprintf(url, sizeof(url), BASE "/acme/challenge/%s/%s", id_of(w->authz_url),
                       missing[i]);
        fx_post(w->f, url, "{}", &w->reply);
        expect_problem(&w->reply, 404, "malformed");
    }
    assert_int_equal(validator_waiting(w->f->acme->validator), 0);
}

static void test_of_an_address(void **state)
{
    struct world *w = *state;
    char key[200];

    fx_post(w->f, "/acme/new-order",
            "{\"identifiers\":[{\"type\":\"ip\",\"value\":\"127.0.0.1\"}]}", &w->order);
    expect_status(&w->order, 201);
    fx_authz(w->f, &w->order, 0, &w->authz);
    (void)snprintf(
        w->authz_url, sizeof(w->authz_url), "%s",
        json_string_value(json_array_get(json_object_get(w->order.json, "authorizations"), 0)));
    expect_authz(w, "pending", 2);
    const json_t *ident = json_object_get(w->authz.json, "identifier");
    assert_string_equal(json_string_value(json_object_get(ident, "type")), "ip");
    assert_string_equal(json_string_value(json_object_get(ident, "value")), "127.0.0.1");
    assert_non_null(challenge_typed(&w->authz, CHALLENGE_HTTP01));
    assert_non_null(challenge_typed(&w->authz, CHALLENGE_TLSALPN01));
    key_authorization(w, key, sizeof(key));
    (void)snprintf(w->web.body, sizeof(w->web.body), "%s", key);
    post(w, part(&w->authz, CHALLENGE_HTTP01, "url"), "processing");
    fx_drive(w->l);
    expect_authz(w, "valid", 1);
    expect_order(w, "ready");
}

/* --- who decides ------------------------------------------------------------------------------ */

/* One that fails ends the authorization, whatever else is under way (RFC 8555 §7.1.6). */
static void test_a_failure_ends_it(void **state)
{
    struct world *w = *state;

    begin(w, NAME);
    post(w, w->dns_url, "processing");
    fx_drive(w->l); /* not there yet: it waits */
    (void)snprintf(w->web.body, sizeof(w->web.body), "something else");
    post(w, w->http_url, "processing");
    assert_int_equal(validator_waiting(w->f->acme->validator), 2);
    fx_drive(w->l);
    assert_int_equal(w->web.asked_n, 1);
    assert_int_equal(validator_waiting(w->f->acme->validator), 0); /* nobody asks for it any more */
    expect_authz(w, "invalid", 1);
    assert_string_equal(part(&w->authz, CHALLENGE_HTTP01, "status"), "invalid");
    const json_t *error = json_object_get(challenge_typed(&w->authz, CHALLENGE_HTTP01), "error");
    assert_string_equal(json_string_value(json_object_get(error, "type")), URN "incorrectResponse");
    assert_int_equal(strncmp(json_string_value(json_object_get(error, "instance")),
                             BASE "/acme/problem/", strlen(BASE "/acme/problem/")),
                     0);
    expect_order(w, "invalid");
    assert_true(json_equal(json_object_get(w->reply.json, "error"), error));
    /* The value comes after all: nothing changes, and its job goes. */
    publish(w);
    clock_shift(VALIDATE_POLL_MS + 1);
    fx_drive(w->l);
    clock_shift(-(VALIDATE_POLL_MS + 1));
    expect_authz(w, "invalid", 1);
    assert_int_equal(validator_waiting(w->f->acme->validator), 0);
    /* it was never decided; whoever polls it hears that nobody will */
    fx_post(w->f, w->dns_url, "{}", &w->reply);
    expect_status(&w->reply, 200);
    assert_string_equal(json_string_value(json_object_get(w->reply.json, "status")), "invalid");
}

/* The first success wins; what was under way beside it changes nothing any more. */
static void test_the_first_success_wins(void **state)
{
    struct world *w = *state;

    begin(w, NAME);
    post(w, w->http_url, "processing"); /* the web server says nothing */
    assert_int_equal(validator_run_due(w->f->acme->validator), 1);
    while (w->web.asked_n == 0) {
        (void)loop_run_once(w->f->acme->loop, 100);
    }
    publish(w);
    post(w, w->dns_url, "processing");
    while (strcmp(member(&w->authz, "status"), "valid") != 0) {
        (void)validator_run_due(w->f->acme->validator);
        (void)loop_run_once(w->f->acme->loop, 10);
        fx_post(w->f, w->authz_url, "", &w->authz);
    }
    expect_authz(w, "valid", 1);
    assert_string_equal(part(&w->authz, CHALLENGE_DNS01, "status"), "valid");
    expect_order(w, "ready");
    assert_int_equal(validator_waiting(w->f->acme->validator), 1);
    web_hang_up(&w->web); /* http-01 fails now, too late */
    fx_drive(w->l);
    assert_int_equal(validator_waiting(w->f->acme->validator), 0);
    expect_authz(w, "valid", 1);
    expect_order(w, "ready");
}

static void test_http01(void **state)
{
    struct world *w = *state;

    begin(w, NAME);
    key_authorization(w, w->web.body, sizeof(w->web.body));
    post(w, w->http_url, "processing");
    assert_string_equal(w->reply.retry, "1");
    fx_drive(w->l);
    fx_post(w->f, w->http_url, "", &w->reply);
    assert_string_equal(member(&w->reply, "status"), "valid");
    assert_string_not_equal(member(&w->reply, "validated"), "");
    expect_authz(w, "valid", 1);
    expect_order(w, "ready");
    assert_int_equal(fx_number(w->f, "SELECT method FROM acme_authz", NULL), CHALLENGE_HTTP01);
    struct cert c = fx_finalize(w->f, &w->order, EVP_EC_gen("P-256"), NAME, 1);
    cert_clear(&c);
}

/* The same value, one label further down that is the account's own. */
static void test_dns_account01(void **state)
{
    struct world *w = *state;
    char label[64];
    char owner[200];
    char record[400];
    struct val_target target;
    struct authz_row row = {0};

    begin(w, NAME);
    must(challenge_account_label(w->f->kid, label));
    (void)snprintf(owner, sizeof(owner), "%s.%s", label, FAR_OWNER);
    authz_of(w, &row);
    must(validate_target(&row, CHALLENGE_DNSACCOUNT01, BASE, &target));
    assert_string_equal(target.token, part(&w->authz, CHALLENGE_DNSACCOUNT01, "token"));
    (void)snprintf(record, sizeof(record), "%s 1 IN TXT \"%s\"", owner, target.digest);
    fx_loop_say(w->l, 1, owner, record);
    post(w, part(&w->authz, CHALLENGE_DNSACCOUNT01, "url"), "processing");
    fx_drive(w->l);
    expect_authz(w, "valid", 1);
    assert_string_equal(part(&w->authz, CHALLENGE_DNSACCOUNT01, "status"), "valid");
    authz_row_clear(&row);
}

/* A record that lasts; the authorization does not outlive it. */
static void test_dns_persist01(void **state)
{
    struct world *w = *state;
    char record[600];
    int64_t until = clock_unix_s() + 3600;

    begin(w, NAME);
    (void)snprintf(record, sizeof(record),
                   "_validation-persist." FAR
                   ". 1 IN TXT \"ca.svc.test; accounturi=%s; persistUntil=%lld\"",
                   w->f->kid, (long long)until);
    fx_loop_say(w->l, 1, "_validation-persist." FAR ".", record);
    post(w, part(&w->authz, CHALLENGE_DNSPERSIST01, "url"), "processing");
    fx_drive(w->l);
    expect_authz(w, "valid", 1);
    assert_int_equal(fx_number(w->f, "SELECT expires_unix FROM acme_authz", NULL), until);
    expect_order(w, "ready");
    clock_shift((int64_t)3601 * 1000);
    expect_authz(w, "expired", 1);
    clock_shift(-(int64_t)3601 * 1000);
}

/* What was under way goes on after a restart, each type of it. */
static void test_resumed(void **state)
{
    struct world *w = *state;
    const struct ip_endpoint nobody = {.addr = {4, {127, 0, 0, 1}}, .port = 1};
    char far_url[512];

    begin(w, NAME);
    memcpy(far_url, w->authz_url, sizeof(far_url));
    post(w, w->dns_url, "processing");
    begin(w, WILD);
    post(w, w->dns_url, "processing");
    web_stop(&w->web);
    fx_loop_end(w->l);
    w->f->resolve.resolvers = &nobody;
    fx_restart(w->f);
    must(acme_start(w->f->acme));
    clock_shift(ACME_DNS01_WAIT_S * 1000 + 1);
    while (validator_waiting(w->f->acme->validator) > 0) {
        (void)validator_run_due(w->f->acme->validator);
        (void)sched_yield();
    }
    expect_authz(w, "invalid", 1);
    memcpy(w->authz_url, far_url, sizeof(far_url));
    expect_authz(w, "invalid", 1);
    assert_string_equal(part(&w->authz, CHALLENGE_DNS01, "status"), "invalid");
    clock_shift(-(ACME_DNS01_WAIT_S * 1000 + 1));
}

/* --- deactivation ----------------------------------------------------------------------------- */

static void test_deactivated_meanwhile(void **state)
{
    struct world *w = *state;

    begin(w, NAME);
    key_authorization(w, w->web.body, sizeof(w->web.body));
    post(w, w->http_url, "processing");
    fx_post(w->f, w->f->kid, "{\"status\":\"deactivated\"}", &w->reply);
    expect_status(&w->reply, 200);
    fx_drive(w->l);
    assert_int_equal(validator_waiting(w->f->acme->validator), 0);
    assert_int_equal(fx_number(w->f, "SELECT status FROM acme_authz", NULL), AUTHZ_DEACTIVATED);
    assert_int_equal(fx_number(w->f, "SELECT status FROM acme_order", NULL), ORDER_INVALID);
    fx_post(w->f, w->authz_url, "", &w->reply);
    expect_problem(&w->reply, 401, "unauthorized");
}

/* --- limits ----------------------------------------------------------------------------------- */

static int setup_limited(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    w->l =
        fx_loop_new("  - {name: free, secret: " SECRET ", names: ['*.far.test'], limits: false}\n"
                    "validation: {allow: [127.0.0.0/8]}\n"
                    "acme: {authorization_reuse: 0, rate_limits: {failed_validations: 2}}\n");
    w->f = w->l->f;
    web_start(&w->web, w->l);
    fx_loop_say(w->l, 0, FAR ".", FAR ". 1 IN A 127.0.0.1");
    *state = w;
    return 0;
}

static void fail_once(struct world *w)
{
    (void)snprintf(w->web.body, sizeof(w->web.body), "wrong");
    begin(w, NAME);
    post(w, w->http_url, "processing");
    fx_drive(w->l);
    expect_authz(w, "invalid", 1);
}

static void test_failed_validations(void **state)
{
    struct world *w = *state;
    static const char *const other[] = {"b.far.test"};

    fail_once(w);
    fail_once(w);
    begin(w, NAME);
    fx_post(w->f, w->dns_url, "{}", &w->reply);
    expect_problem(&w->reply, 429, "rateLimited");
    assert_non_null(strstr(w->reply.body, limit_name(LIMIT_FAILED_VALIDATIONS)));
    assert_true(strtol(w->reply.retry, NULL, 10) > 3000);
    fx_post(w->f, w->dns_url, "", &w->reply); /* reading is free, and nothing was started */
    assert_string_equal(member(&w->reply, "status"), "pending");
    w->f->peer = "127.0.0.1";
    post(w, w->dns_url, "processing");
    w->f->peer = NULL;
    begin(w, other); /* another name has its own count */
    post(w, w->dns_url, "processing");
    struct who bound = who_bound(w->f, "free");
    who_swap(w->f, &bound);
    for (int i = 0; i < 4; i++) {
        fail_once(w);
    }
    who_swap(w->f, &bound);
    who_clear(&bound);
    clock_shift((int64_t)(LIMITS_WINDOW_S + 60) * 1000);
    begin(w, NAME);
    post(w, w->dns_url, "processing");
    clock_shift(-(int64_t)(LIMITS_WINDOW_S + 60) * 1000);
}

static void test_pending_validations(void **state)
{
    struct world *w = *state;
    static const char *const other[] = {"b.far.test"};

    w->f->cfg->acme.limit_pending_validations = 1;
    begin(w, NAME);
    post(w, w->http_url, "processing");
    post(w, w->http_url, "processing"); /* it has its place */
    begin(w, other);
    fx_post(w->f, w->dns_url, "{}", &w->reply);
    expect_problem(&w->reply, 429, "rateLimited");
    assert_non_null(strstr(w->reply.body, "pending_validations"));
    assert_string_not_equal(w->reply.retry, "");
    assert_int_equal(validator_waiting(w->f->acme->validator), 1);
    w->f->peer = "::1";
    post(w, w->dns_url, "processing");
    w->f->peer = NULL;
    begin(w, WILD); /* a look into our own zones costs nothing */
    post(w, w->dns_url, "processing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_of_a_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_a_wildcard, setup, teardown),
        cmocka_unit_test_setup_teardown(test_of_an_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failure_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_first_success_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http01, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dns_account01, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dns_persist01, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resumed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deactivated_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_validations, setup_limited, teardown),
        cmocka_unit_test_setup_teardown(test_pending_validations, setup_limited, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
