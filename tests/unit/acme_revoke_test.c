/* revokeCert (RFC 8555 §7.6). */
#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 24h}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static const char *const BOTH[] = {"svc.test", "*.svc.test"};
static const char *const APEX[] = {"svc.test"};
#define URL "/acme/revoke-cert"

/* {"certificate":…,"reason":…}; reason "" = none; freed with mem_free(). */
static char *payload_of(const uint8_t *der, int len, const char *reason)
{
    struct buf b = BUF_INIT(65536);
    char *text = maker_b64(der, (size_t)len);

    buf_printf(&b, "{\"certificate\":\"%s\"%s%s}", text,
               reason[0] == '\0' ? "" : ",\"reason\":", reason);
    mem_free(text);
    return buf_take(&b);
}

static char *payload_for(const struct cert *c)
{
    return payload_of(c->der, c->der_len, "");
}

static void expect_revoked(struct fx *f, const struct cert *c, bool is_revoked)
{
    assert_int_equal(
        fx_number(f, "SELECT revoked_unix > 0 FROM certificate WHERE id = ?1", id_of(c->url)),
        is_revoked);
}

static void test_refused_forms(void **state)
{
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"certificate\":null}",
                                      "{\"certificate\":\"\"}",
                                      "{\"certificate\":1}",
                                      "{\"certificate\":\"AA==\"}",
                                      "{\"certificate\":\"AA\\u0000A\"}",
                                      "{\"certificate\":\"-----BEGIN CERTIFICATE-----\"}",
                                      "{\"certificate\":\"AAAA\"}"};
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        fx_post(f, URL, bad[i], &reply);
        expect_problem(&reply, 400, "malformed");
        who_post_new(f, &f->key, URL, bad[i], &reply);
        expect_problem(&reply, 400, "malformed");
    }
    reply_clear(&reply);
}

static void test_refused_reasons(void **state)
{
    static const struct {
        const char *reason, *type;
    } bad[] = {{"2", "badRevocationReason"},
               {"6", "badRevocationReason"},
               {"7", "badRevocationReason"},
               {"8", "badRevocationReason"},
               {"9", "badRevocationReason"},
               {"10", "badRevocationReason"},
               {"-1", "badRevocationReason"},
               {"11", "badRevocationReason"},
               {"4294967297", "badRevocationReason"},
               {"\"1\"", "malformed"},
               {"1.0", "malformed"},
               {"true", "malformed"},
               {"[]", "malformed"}};
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);

    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        char *payload = payload_of(c.der, c.der_len, bad[i].reason);
        fx_post(f, URL, payload, &reply);
        expect_problem(&reply, 400, bad[i].type);
        mem_free(payload);
    }
    expect_revoked(f, &c, false);
    cert_clear(&c);
    reply_clear(&reply);
}

/* By its owner, with every reason that a subscriber may give; a second time it is known. */
static void test_by_the_owner(void **state)
{
    static const char *const reasons[] = {"", "0", "1", "3", "4", "5", "null"};
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(reasons); i++) {
        struct cert c = fx_issue(f, APEX, 1);
        char *payload = payload_of(c.der, c.der_len, reasons[i]);
        fx_post(f, URL, payload, &reply);
        expect_status(&reply, 200);
        assert_string_equal(reply.body, "");
        assert_string_not_equal(reply.nonce, "");
        expect_revoked(f, &c, true);
        fx_post(f, URL, payload, &reply);
        expect_problem(&reply, 400, "alreadyRevoked");
        fx_post(f, c.url, "", &reply); /* it can be fetched all the same */
        expect_status(&reply, 200);
        mem_free(payload);
        cert_clear(&c);
    }
    assert_int_equal(
        fx_number(f, "SELECT COUNT(*) FROM audit WHERE event = 'certificate.revoke'", NULL),
        ARRAY_N(reasons));
    reply_clear(&reply);
}

static void test_by_its_key(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, BOTH, 2);
    struct maker wrong = maker_new(JWK_ES256, 0);
    struct maker right = {.alg = JWK_ES256, .pkey = c.key};
    char *payload = payload_for(&c);

    maker_jwk(&right);
    who_post_new(f, &wrong, URL, payload, &reply);
    expect_problem(&reply, 403, "unauthorized");
    who_post_new(f, &f->key, URL, payload, &reply); /* the account's key, not as an account */
    expect_problem(&reply, 403, "unauthorized");
    expect_revoked(f, &c, false);
    who_post_new(f, &right, URL, payload, &reply);
    expect_status(&reply, 200);
    expect_revoked(f, &c, true);
    who_post_new(f, &right, URL, payload, &reply);
    expect_problem(&reply, 400, "alreadyRevoked");
    maker_clear(&wrong);
    mem_free(payload);
    cert_clear(&c);
    reply_clear(&reply);
}

/* Another account needs a valid authorization for every one of its names. */
static void test_by_another_account(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    struct cert c = fx_issue(f, BOTH, 2);
    struct who other = who_new(f);
    char *payload = payload_for(&c);

    who_post(f, &other, URL, payload, &reply);
    expect_problem(&reply, 403, "unauthorized");
    who_swap(f, &other);
    fx_order(f, APEX, 1, &order);
    fx_prove(f, &order, "both");
    fx_post(f, URL, payload, &reply); /* the wildcard is another identifier */
    expect_problem(&reply, 403, "unauthorized");
    fx_order(f, BOTH + 1, 1, &order);
    fx_post(f, URL, payload, &reply); /* pending is not enough */
    expect_problem(&reply, 403, "unauthorized");
    fx_prove(f, &order, "both");
    clock_shift((int64_t)8 * 86400 * 1000); /* nor is what is over */
    fx_post(f, URL, payload, &reply);
    expect_problem(&reply, 403, "unauthorized");
    clock_shift(-(int64_t)8 * 86400 * 1000);
    expect_revoked(f, &c, false);
    fx_post(f, URL, payload, &reply);
    expect_status(&reply, 200);
    expect_revoked(f, &c, true);
    who_swap(f, &other);
    mem_free(payload);
    who_clear(&other);
    cert_clear(&c);
    reply_clear(&order);
    reply_clear(&reply);
}

/* The authorization counts while its publisher may have the name, as everywhere. */
static void test_narrowed_publisher(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);
    struct who other = who_new(f);
    char *payload = payload_for(&c);

    who_swap(f, &other);
    fx_order(f, APEX, 1, &order);
    fx_prove(f, &order, "apex");
    fx_stop(f);
    for (size_t i = 0; i < f->cfg->clients_n; i++) {
        if (strcmp(f->cfg->clients[i].name, "apex") == 0) {
            f->cfg->clients[i].names_n = 0;
        }
    }
    fx_start(f);
    fx_post(f, URL, payload, &reply);
    expect_problem(&reply, 403, "unauthorized");
    expect_revoked(f, &c, false);
    who_swap(f, &other);
    mem_free(payload);
    who_clear(&other);
    cert_clear(&c);
    reply_clear(&order);
    reply_clear(&reply);
}

/* A certificate of the same key and names that we did not issue; one of ours with other bytes. */
static void test_foreign(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);
    struct maker own = {.alg = JWK_ES256, .pkey = c.key};
    const uint8_t *at = c.der;
    X509 *x = d2i_X509(NULL, &at, c.der_len);
    uint8_t *der = NULL;

    maker_jwk(&own);
    assert_true(X509_sign(x, c.key, EVP_sha256()) > 0);
    int len = i2d_X509(x, &der);
    assert_true(len > 0);
    char *payload = payload_of(der, len, "");
    fx_post(f, URL, payload, &reply);
    expect_problem(&reply, 404, "malformed");
    who_post_new(f, &own, URL, payload, &reply);
    expect_problem(&reply, 404, "malformed");
    expect_revoked(f, &c, false);
    mem_free(payload);
    /* Trailing bytes make it no certificate. */
    uint8_t *longer = mem_zalloc((size_t)c.der_len + 1);
    memcpy(longer, c.der, (size_t)c.der_len);
    payload = payload_of(longer, c.der_len + 1, "");
    fx_post(f, URL, payload, &reply);
    expect_problem(&reply, 400, "malformed");
    expect_revoked(f, &c, false);
    mem_free(longer);
    mem_free(payload);
    OPENSSL_free(der);
    X509_free(x);
    cert_clear(&c);
    reply_clear(&reply);
}

/* Nothing signed by a deactivated account counts; its certificate's key goes on counting. */
static void test_deactivated_account(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);
    struct maker own = {.alg = JWK_ES256, .pkey = c.key};
    char *payload = payload_for(&c);

    maker_jwk(&own);
    fx_post(f, f->kid, "{\"status\":\"deactivated\"}", &reply);
    expect_status(&reply, 200);
    fx_post(f, URL, payload, &reply);
    expect_problem(&reply, 401, "unauthorized");
    who_post_new(f, &own, URL, payload, &reply);
    expect_status(&reply, 200);
    mem_free(payload);
    cert_clear(&c);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_reasons, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_the_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_its_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_another_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_narrowed_publisher, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deactivated_account, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
