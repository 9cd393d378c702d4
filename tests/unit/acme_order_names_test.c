/* What may be ordered by whom: addresses, accounts bound to a client, preauthorized names. */
#include "acme-server/withdraw.h"
#include "tests/unit/acme_issue.h"

#define CONFIG_REST                                                                                \
    "  - {name: few, secret: " SECRET ", names: ['*.few.svc.test', few.svc.test]}\n"               \
    "  - {name: net, secret: " SECRET ", names: ['*.svc.test'],\n"                                 \
    "     networks: [192.0.2.0/24, 'fd00:1::/32', 198.51.100.7/32]}\n"

static int setup(void **state)
{
    struct fx *f =
        fx_new(CONFIG_REST
               "  - {name: pre, secret: " SECRET ", names: ['*.pre.svc.test', pre.svc.test],\n"
               "     preauthorized: true}\n"
               "  - {name: prenet, secret: " SECRET ", names: ['*.svc.test'],\n"
               "     networks: [192.0.2.0/24], preauthorized: true}\n"
               "acme: {authorization_reuse: 24h, ip_networks: [203.0.113.0/24, 'fd00:2::/32']}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int setup_required(void **state)
{
    *state = fx_new(CONFIG_REST "acme: {external_account_required: true}\n");
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

#define IP(value) "{\"type\":\"ip\",\"value\":\"" value "\"}"
#define DNS(value) "{\"type\":\"dns\",\"value\":\"" value "\"}"

static void order(struct fx *f, const char *list, struct reply *out)
{
    char payload[1024];

    (void)snprintf(payload, sizeof(payload), "{\"identifiers\":[%s]}", list);
    fx_post(f, "/acme/new-order", payload, out);
}

static const char *first_challenge(const struct reply *authz, const char *name)
{
    const json_t *list = json_object_get(authz->json, "challenges");
    const char *text = json_string_value(json_object_get(json_array_get(list, 0), name));

    return text == NULL ? "" : text;
}

/* --- addresses -------------------------------------------------------------------------------- */

static void test_addresses_refused(void **state)
{
    static const struct {
        const char *list, *type;
    } rows[] = {
        {IP("192.0.2.1"), "rejectedIdentifier"}, {IP("203.0.112.255"), "rejectedIdentifier"},
        {IP("fd00:3::1"), "rejectedIdentifier"}, {IP(""), "malformed"},
        {IP("203.0.113"), "malformed"},          {IP("203.0.113.1/32"), "malformed"},
        {IP("203.0.113.01"), "malformed"},       {IP(" 203.0.113.1"), "malformed"},
        {IP("[fd00:2::1]"), "malformed"},        {IP("fd00:2::1%eth0"), "malformed"},
        {IP("FD00:2::1"), "malformed"}, /* RFC 8738 §3: RFC 5952's form */
        {IP("fd00:2:0:0:0:0:0:1"), "malformed"}, {IP("::ffff:203.0.113.1"), "malformed"},
        {IP("host.svc.test"), "malformed"},      {IP("*.203.0.113.1"), "malformed"},
        {DNS("203.0.113.1"), "malformed"},
    };
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        order(f, rows[i].list, &reply);
        if (reply.status != 400) {
            print_message("row %zu\n", i);
        }
        expect_problem(&reply, 400, rows[i].type);
    }
    reply_clear(&reply);
}

static void expect_address(struct fx *f, const char *list, const char *canonical)
{
    struct reply made = {0};
    struct reply authz = {0};

    order(f, list, &made);
    expect_status(&made, 201);
    fx_authz(f, &made, 0, &authz);
    const json_t *ident = json_object_get(authz.json, "identifier");
    assert_string_equal(json_string_value(json_object_get(ident, "type")), "ip");
    assert_string_equal(json_string_value(json_object_get(ident, "value")), canonical);
    assert_int_equal(json_array_size(json_object_get(authz.json, "challenges")), 2);
    assert_non_null(challenge_typed(&authz, CHALLENGE_HTTP01));
    assert_non_null(challenge_typed(&authz, CHALLENGE_TLSALPN01));
    reply_clear(&made);
    reply_clear(&authz);
}

/* By the configuration for everybody, by a client's networks for the accounts bound to it. */
static void test_addresses_allowed(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct who bound = who_bound(f, "net");
    struct who anywhere = who_bound(f, "few");

    expect_address(f, IP("203.0.113.1"), "203.0.113.1");
    expect_address(f, IP("fd00:2::1"), "fd00:2::1");
    who_swap(f, &bound);
    expect_address(f, IP("203.0.113.1"), "203.0.113.1");
    expect_address(f, IP("198.51.100.7"), "198.51.100.7");
    expect_address(f, IP("fd00:1::9"), "fd00:1::9");
    order(f, IP("198.51.100.8"), &reply);
    expect_problem(&reply, 400, "rejectedIdentifier");
    who_swap(f, &bound);
    who_swap(f, &anywhere); /* no networks are not all networks */
    order(f, IP("198.51.100.7"), &reply);
    expect_problem(&reply, 400, "rejectedIdentifier");
    who_swap(f, &anywhere);
    who_clear(&anywhere);
    who_clear(&bound);
    reply_clear(&reply);
}

/* --- bound accounts --------------------------------------------------------------------------- */

static void test_binding_required(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct maker stranger = maker_new(JWK_ES256, 0);

    fx_get(f, HTTP_GET, "/acme/directory", &reply);
    assert_true(json_is_true(
        json_object_get(json_object_get(reply.json, "meta"), "externalAccountRequired")));
    who_post_new(f, &stranger, "/acme/new-account", "{\"termsOfServiceAgreed\":true}", &reply);
    expect_problem(&reply, 403, "externalAccountRequired");
    who_post_new(f, &stranger, "/acme/new-account", "{\"externalAccountBinding\":null}", &reply);
    expect_problem(&reply, 403, "externalAccountRequired");
    char *payload = bound_payload(f, &stranger, "nobody");
    who_post_new(f, &stranger, "/acme/new-account", payload, &reply);
    expect_problem(&reply, 403, "unauthorized");
    mem_free(payload);
    payload = bound_payload(f, &stranger, "net");
    f->peer = "192.0.3.1"; /* not from its networks */
    who_post_new(f, &stranger, "/acme/new-account", payload, &reply);
    expect_problem(&reply, 403, "unauthorized");
    assert_non_null(strstr(reply.body, "192.0.3.1"));
    f->peer = NULL;
    who_post_new(f, &f->key, "/acme/new-account", payload, &reply); /* bound to another key */
    expect_problem(&reply, 400, "malformed");
    mem_free(payload);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_account", NULL), 0);
    struct who who = who_bound(f, "net");
    assert_int_equal(
        fx_number(f, "SELECT COUNT(*) FROM audit WHERE event = 'acme.account.bound'", NULL), 1);
    who_post(f, &who, who.kid, "", &reply);
    assert_non_null(json_object_get(reply.json, "externalAccountBinding"));
    /* It is there: asked for once more it needs no binding. */
    who_post_new(f, &who.key, "/acme/new-account", "{}", &reply);
    expect_status(&reply, 200);
    who_clear(&who);
    maker_clear(&stranger);
    reply_clear(&reply);
}

/* The client's names and networks are the account's, at newOrder, newAuthz and finalize. */
static void test_bound_account(void **state)
{
    static const char *const mine[] = {"few.svc.test", "*.few.svc.test"};
    struct fx *f = *state;
    struct reply made = {0};
    struct reply reply = {0};
    struct who few = who_bound(f, "few");
    struct who net = who_bound(f, "net");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, mine, 2);

    who_swap(f, &few);
    order(f, DNS("svc.test"), &reply);
    expect_problem(&reply, 400, "rejectedIdentifier");
    order(f, DNS("x.svc.test") "," DNS("few.svc.test"), &reply);
    expect_problem(&reply, 400, "rejectedIdentifier");
    fx_post(f, "/acme/new-authz", "{\"identifier\":" DNS("x.svc.test") "}", &reply);
    expect_problem(&reply, 403, "rejectedIdentifier");
    fx_order(f, mine, 2, &made);
    expect_status(&made, 201);
    fx_prove(f, &made, "few");
    for (size_t i = 0; i < f->cfg->clients_n; i++) { /* narrowed before finalize */
        if (strcmp(f->cfg->clients[i].name, "few") == 0) {
            f->cfg->clients[i].names_n = 1;
        }
    }
    fx_restart(f);
    fx_post(f, member(&made, "finalize"), csr, &reply);
    expect_problem(&reply, 400, "rejectedIdentifier");
    fx_post(f, made.location, "", &reply);
    assert_string_equal(member(&reply, "status"), "invalid");
    who_swap(f, &few);
    f->peer = "192.0.3.1";
    who_post(f, &net, net.kid, "", &reply);
    expect_problem(&reply, 403, "unauthorized");
    who_post(f, &net, "/acme/new-order", "{\"identifiers\":[" DNS("a.svc.test") "]}", &reply);
    expect_problem(&reply, 403, "unauthorized");
    f->peer = NULL;
    who_post(f, &net, net.kid, "", &reply);
    expect_status(&reply, 200);
    who_clear(&few);
    who_clear(&net);
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&made);
    reply_clear(&reply);
}

/* With the client go the orders and the valid authorizations of its accounts. */
static void test_client_removed(void **state)
{
    static const char *const patterns[] = {"*.svc.test"};
    static const char *const one[] = {"one.svc.test"};
    static const char *const two[] = {"two.svc.test"};
    const struct access_new_client client = {
        .name = "stored", .patterns = patterns, .patterns_n = 1};
    struct fx *f = *state;
    struct reply made = {0};
    struct reply pending = {0};
    struct reply reply = {0};
    char secret[CLIENT_SECRET_MAX + 1];

    must(access_client_create(f->access, &client, secret));
    struct who bound = who_bound(f, "stored");
    who_swap(f, &bound);
    fx_order(f, one, 1, &made);
    fx_prove(f, &made, "both"); /* another client's value: it goes all the same */
    fx_order(f, two, 1, &pending);
    expect_status(&pending, 201);
    who_swap(f, &bound);
    must(access_client_remove(f->access, "stored"));
    assert_int_equal(
        fx_number(f, "SELECT status FROM acme_order WHERE id = ?1", id_of(made.location)),
        ORDER_INVALID);
    assert_int_equal(
        fx_number(f, "SELECT status FROM acme_order WHERE id = ?1", id_of(pending.location)),
        ORDER_INVALID);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_authz WHERE status = 1", NULL), 0);
    who_post(f, &bound, bound.kid, "", &reply); /* the account ended with its client, */
    expect_problem(&reply, 401, "unauthorized");
    must(access_client_create(f->access, &client, secret)); /* for good */
    who_post(f, &bound, bound.kid, "", &reply);
    expect_problem(&reply, 401, "unauthorized");
    who_clear(&bound);
    reply_clear(&made);
    reply_clear(&pending);
    reply_clear(&reply);
}

/* --- preauthorized clients -------------------------------------------------------------------- */

static int64_t audits(struct fx *f)
{
    return fx_number(f, "SELECT COUNT(*) FROM audit WHERE event = 'acme.authz.preauthorized'",
                     NULL);
}

static void test_preauthorized(void **state)
{
    static const char *const names[] = {"pre.svc.test", "*.pre.svc.test"};
    struct fx *f = *state;
    struct reply made = {0};
    struct reply authz = {0};
    struct who bound = who_bound(f, "pre");

    who_swap(f, &bound);
    fx_order(f, names, 2, &made);
    expect_status(&made, 201);
    assert_string_equal(member(&made, "status"), "ready");
    for (size_t i = 0; i < 2; i++) {
        fx_authz(f, &made, i, &authz);
        assert_string_equal(member(&authz, "status"), "valid");
        assert_int_equal(json_array_size(json_object_get(authz.json, "challenges")), 1);
        assert_string_equal(first_challenge(&authz, "type"), "dns-01");
        assert_string_equal(first_challenge(&authz, "status"), "valid");
        assert_string_not_equal(first_challenge(&authz, "validated"), "");
        assert_string_not_equal(first_challenge(&authz, "token"), "");
    }
    assert_int_equal(audits(f), 2);
    struct cert c = fx_finalize(f, &made, EVP_EC_gen("P-256"), names, 2);
    cert_clear(&c);
    fx_order(f, names, 2, &made); /* reused: no further row */
    assert_string_equal(member(&made, "status"), "ready");
    assert_int_equal(audits(f), 2);
    order(f, DNS("x.svc.test"), &made); /* for its own names only */
    expect_problem(&made, 400, "rejectedIdentifier");
    fx_post(f, "/acme/new-authz", "{\"identifier\":" DNS("a.pre.svc.test") "}", &authz);
    expect_status(&authz, 201);
    assert_string_equal(member(&authz, "status"), "valid");
    assert_int_equal(audits(f), 3);
    who_swap(f, &bound);
    fx_order(f, names, 2, &made); /* for accounts bound to it only */
    assert_string_equal(member(&made, "status"), "pending");
    who_clear(&bound);
    reply_clear(&made);
    reply_clear(&authz);
}

/* Never an address: the client's networks say where it may come from, not what it is. */
static void test_no_preauthorized_address(void **state)
{
    struct fx *f = *state;
    struct reply made = {0};
    struct reply authz = {0};
    struct who bound = who_bound(f, "prenet");

    who_swap(f, &bound);
    order(f, DNS("a.svc.test"), &made);
    expect_status(&made, 201);
    assert_string_equal(member(&made, "status"), "ready");
    order(f, DNS("a.svc.test") "," IP("192.0.2.80"), &made);
    expect_status(&made, 201);
    assert_string_equal(member(&made, "status"), "pending");
    fx_authz(f, &made, 1, &authz);
    assert_string_equal(member(&authz, "status"), "pending");
    fx_post(f, "/acme/new-authz", "{\"identifier\":" IP("192.0.2.80") "}", &authz);
    expect_status(&authz, 201);
    assert_string_equal(member(&authz, "status"), "pending");
    who_swap(f, &bound);
    who_clear(&bound);
    reply_clear(&made);
    reply_clear(&authz);
}

static void set_preauthorized(struct fx *f, const char *client, bool is_preauthorized)
{
    for (size_t i = 0; i < f->cfg->clients_n; i++) {
        if (strcmp(f->cfg->clients[i].name, client) == 0) {
            f->cfg->clients[i].is_preauthorized = is_preauthorized;
        }
    }
    fx_restart(f);
}

/* The flag is looked at again at finalize; without it nothing that it made is used. */
static void test_flag_taken_away(void **state)
{
    static const char *const names[] = {"pre.svc.test"};
    struct fx *f = *state;
    struct reply first = {0};
    struct reply second = {0};
    struct reply reply = {0};
    struct who bound = who_bound(f, "pre");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, names, 1);

    who_swap(f, &bound);
    fx_order(f, names, 1, &first);
    fx_order(f, names, 1, &second);
    assert_string_equal(member(&second, "status"), "ready");
    set_preauthorized(f, "pre", false);
    fx_order(f, names, 1, &reply);
    assert_string_equal(member(&reply, "status"), "pending");
    fx_post(f, member(&first, "finalize"), csr, &reply);
    expect_problem(&reply, 403, "unauthorized");
    assert_non_null(strstr(reply.body, "preauthorized"));
    fx_post(f, first.location, "", &reply);
    assert_string_equal(member(&reply, "status"), "invalid");
    fx_post(f, second.location, "", &reply); /* its authorization is withdrawn */
    assert_string_equal(member(&reply, "status"), "invalid");
    set_preauthorized(f, "pre", true);
    fx_order(f, names, 1, &reply);
    assert_string_equal(member(&reply, "status"), "ready");
    who_swap(f, &bound);
    who_clear(&bound);
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&first);
    reply_clear(&second);
    reply_clear(&reply);
}

/* The client left the configuration while the daemon was off. */
static void test_client_gone(void **state)
{
    static const char *const names[] = {"pre.svc.test"};
    struct fx *f = *state;
    struct reply made = {0};
    struct reply reply = {0};
    struct who bound = who_bound(f, "pre");

    who_swap(f, &bound);
    fx_order(f, names, 1, &made);
    assert_string_equal(member(&made, "status"), "ready");
    fx_stop(f);
    fx_configure(f, CONFIG_REST);
    fx_start(f);
    must(acme_forget_gone(f->acme));
    assert_int_equal(fx_number(f, "SELECT status FROM acme_order", NULL), ORDER_INVALID);
    assert_int_equal(fx_number(f, "SELECT status FROM acme_authz", NULL), AUTHZ_DEACTIVATED);
    assert_int_equal(fx_number(f, "SELECT status FROM acme_account WHERE client IS NOT NULL", NULL),
                     ACCOUNT_DEACTIVATED);
    fx_post(f, made.location, "", &reply);
    expect_problem(&reply, 401, "unauthorized");
    who_swap(f, &bound);
    who_clear(&bound);
    reply_clear(&made);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_addresses_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_addresses_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_binding_required, setup_required, teardown),
        cmocka_unit_test_setup_teardown(test_bound_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_preauthorized, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_preauthorized_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flag_taken_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_gone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
