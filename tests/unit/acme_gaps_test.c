/* Checks at finalize, at the decision, at revokeCert and of numbers, each of which nothing else would
 * notice if it went missing. */
#include "acme-server/tlsalpn_cert.h"
#include "acme-server/validate_job.h"
#include "acme-server/validate_places.h"
#include "tests/unit/acme_issue.h"
#include "tests/unit/acme_loop.h"
#include "tests/unit/tlsalpn_maker.h"

#define HOUR_MS ((int64_t)3600 * 1000)
#define FAR "a.far.test"
static const char *const A[] = {"a.svc.test"};
static const char *const PRE[] = {"pre.svc.test"};

static int setup(void **state)
{
    struct fx *f =
        fx_new("  - {name: pre, secret: " SECRET ", names: ['*.pre.svc.test', pre.svc.test],\n"
               "     networks: [192.0.2.0/24], preauthorized: true}\n"
               "acme: {authorization_reuse: 24h}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static int setup_loop(void **state)
{
    *state = fx_loop_new("  - {name: pre, secret: " SECRET ", names: ['*.far.test'],\n"
                         "     preauthorized: true}\n"
                         "acme: {authorization_reuse: 24h, caa: enforce}\n");
    return 0;
}

static int teardown_loop(void **state)
{
    fx_loop_free(*state);
    return 0;
}

static void expect_order(struct fx *f, const struct reply *order, const char *status)
{
    struct reply reply = {0};

    fx_post(f, order->location, "", &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), status);
    reply_clear(&reply);
}

static int64_t certificates(struct fx *f)
{
    return fx_number(f, "SELECT COUNT(*) FROM certificate", NULL);
}

/* --- finalize --------------------------------------------------------------------------------- */

struct load {
    const char *id;
    struct authz_row row;
};

static struct err load_fn(struct db *db, void *arg)
{
    struct load *load = arg;

    return acme_db_authz_load(db, load->id, &load->row);
}

/* As val_dns.c decides about a dns-persist-01 record with persistUntil. */
static void prove_until(struct fx *f, const struct reply *order, int64_t until_unix)
{
    const json_t *list = json_object_get(order->json, "authorizations");
    struct load load = {.id = id_of(json_string_value(json_array_get(list, 0)))};
    const struct val_result result = {.is_valid = true, .until_unix = until_unix};
    struct val_target target;

    must(store_read(f->store, "t", load_fn, &load));
    must(validate_target(&load.row, CHALLENGE_DNSPERSIST01, BASE, &target));
    must(validate_decide(f->acme, &target, &result, "seen"));
    authz_row_clear(&load.row);
}

/* The authorization ends before the order that it made ready. */
static void test_expired_under_a_ready_order(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, A, 1);

    fx_order(f, A, 1, &order);
    expect_status(&order, 201);
    prove_until(f, &order, clock_unix_s() + 3600);
    clock_shift(2 * HOUR_MS);
    expect_order(f, &order, "ready");
    fx_post(f, member(&order, "finalize"), csr, &reply);
    expect_order(f, &order, "invalid");
    clock_shift(-2 * HOUR_MS);
    expect_problem(&reply, 403, "unauthorized");
    assert_non_null(strstr(member(&reply, "detail"), A[0]));
    assert_int_equal(certificates(f), 0);
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&order);
    reply_clear(&reply);
}

/* Nobody's account key becomes a certificate's, whoever asks. */
static void test_key_of_another_account(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    struct who other = who_new(f);
    char *csr = csr_payload(other.key.pkey, A, 1);

    fx_order(f, A, 1, &order);
    fx_prove(f, &order, "both");
    fx_post(f, member(&order, "finalize"), csr, &reply);
    expect_problem(&reply, 400, "badPublicKey");
    assert_int_equal(certificates(f), 0);
    expect_order(f, &order, "ready"); /* with a key of its own it ends well */
    struct cert c = fx_finalize(f, &order, EVP_EC_gen("P-256"), A, 1);
    cert_clear(&c);
    mem_free(csr);
    who_clear(&other);
    reply_clear(&order);
    reply_clear(&reply);
}

/* Nobody asked for CAA when a preauthorized name became valid: finalize does, however new it is. */
static void test_caa_of_a_preauthorized_name(void **state)
{
    static const char *const names[] = {FAR};
    struct fx_loop *l = *state;
    struct fx *f = l->f;
    struct reply order = {0};
    struct reply reply = {0};
    struct who bound = who_bound(f, "pre");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, names, 1);

    fx_loop_say(l, 0, "far.test.", "far.test. 1 IN CAA 0 issue \"other.test\"");
    who_swap(f, &bound);
    fx_order(f, names, 1, &order);
    expect_status(&order, 201);
    assert_string_equal(member(&order, "status"), "ready");
    assert_int_equal(l->dns.asked_n, 0);
    must(loop_start(f->acme->loop));
    fx_post(f, member(&order, "finalize"), csr, &reply);
    expect_problem(&reply, 403, "caa");
    assert_non_null(strstr(member(&reply, "detail"), "far.test"));
    expect_order(f, &order, "invalid");
    assert_int_equal(certificates(f), 0);
    who_swap(f, &bound);
    who_clear(&bound);
    EVP_PKEY_free(key);
    mem_free(csr);
    reply_clear(&order);
    reply_clear(&reply);
}

/* --- the decision ----------------------------------------------------------------------------- */

struct attempt {
    struct reply order, reply;
    char url[512];
};

/* Order a name of our own zone, publish its value and answer dns-01. */
static void answer(struct fx *f, const char *name, struct attempt *a)
{
    struct reply authz = {0};
    char digest[TXT_VALUE_LEN + 1];

    fx_order(f, &name, 1, &a->order);
    expect_status(&a->order, 201);
    fx_authz(f, &a->order, 0, &authz);
    digest_of(f, &authz, digest);
    fx_publish(f, "both", name, digest);
    (void)snprintf(a->url, sizeof(a->url), "%s", challenge_member(&authz, "url"));
    fx_post(f, a->url, "{}", &a->reply);
    expect_status(&a->reply, 200);
    reply_clear(&authz);
}

static void expect_forbidden(struct fx_loop *l, struct attempt *a)
{
    fx_drive(l);
    fx_post(l->f, a->url, "", &a->reply);
    assert_string_equal(member(&a->reply, "status"), "invalid");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(a->reply.json, "error"), "type")),
        URN "caa");
    expect_order(l->f, &a->order, "invalid");
    reply_clear(&a->order);
    reply_clear(&a->reply);
}

/* The value is there when the client answers, and CAA is known to say no: the first look must not
 * call it valid, and the failure must be stored. */
static void test_caa_known_at_the_first_look(void **state)
{
    struct fx_loop *l = *state;
    struct attempt first = {0};
    struct attempt second = {0};

    fx_loop_say(l, 0, "test.", "test. 3600 IN CAA 0 issue \"other.test\"");
    answer(l->f, "a.svc.test", &first); /* nobody knows yet */
    assert_string_equal(member(&first.reply, "status"), "processing");
    expect_forbidden(l, &first);
    unsigned asked_n = l->dns.asked_n;
    answer(l->f, "b.svc.test", &second);
    assert_string_equal(member(&second.reply, "status"), "processing");
    expect_forbidden(l, &second);
    assert_int_equal(l->dns.asked_n, asked_n); /* it was known */
}

/* --- revokeCert ------------------------------------------------------------------------------- */

static void set_client(struct fx *f, bool is_preauthorized, size_t names_n)
{
    fx_stop(f);
    for (size_t i = 0; i < f->cfg->clients_n; i++) {
        if (strcmp(f->cfg->clients[i].name, "pre") == 0) {
            f->cfg->clients[i].is_preauthorized = is_preauthorized;
            f->cfg->clients[i].names_n = names_n;
        }
    }
    fx_start(f);
}

static void expect_may_not_revoke(struct fx *f, const char *payload)
{
    struct reply reply = {0};

    fx_post(f, "/acme/revoke-cert", payload, &reply);
    expect_problem(&reply, 403, "unauthorized");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM certificate WHERE revoked_unix > 0", NULL),
                     0);
    reply_clear(&reply);
}

/* An account whose authorization came from its client's preauthorization may revoke another's
 * certificate only as long as the client is good for the name. */
static void test_revoke_after_preauthorization(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, PRE, 1);
    struct who bound = who_bound(f, "pre");
    struct buf payload = BUF_INIT(65536);
    char *text = maker_b64(c.der, (size_t)c.der_len);

    buf_printf(&payload, "{\"certificate\":\"%s\"}", text);
    who_swap(f, &bound);
    expect_may_not_revoke(f, buf_str(&payload)); /* it has no authorization yet */
    fx_order(f, PRE, 1, &reply);
    assert_string_equal(member(&reply, "status"), "ready");
    set_client(f, false, 2);
    expect_may_not_revoke(f, buf_str(&payload));
    set_client(f, true, 1); /* *.pre.svc.test only */
    expect_may_not_revoke(f, buf_str(&payload));
    set_client(f, true, 2);
    f->peer = "198.51.100.1"; /* not from its networks */
    expect_may_not_revoke(f, buf_str(&payload));
    f->peer = NULL;
    fx_post(f, "/acme/revoke-cert", buf_str(&payload), &reply);
    expect_status(&reply, 200);
    who_swap(f, &bound);
    who_clear(&bound);
    buf_clear(&payload);
    mem_free(text);
    cert_clear(&c);
    reply_clear(&reply);
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Whatever a validation took is there again after it: as many as there are places, and one more. */
static void test_places_come_back(void **state)
{
    static const enum challenge_type types[] = {CHALLENGE_HTTP01, CHALLENGE_TLSALPN01};
    struct fx *f = *state;
    struct places places;
    const char *why = "";

    must(places_init(&places, f->acme));
    for (unsigned i = 0; i < 256 + 1; i++) {
        struct val_target t = {.type = types[i % ARRAY_N(types)], .ident = {.base = "a.svc.test"}};
        (void)snprintf(t.account_id, sizeof(t.account_id), "%022u", i);
        must(places_take(&places, &t, false, &why));
        places_leave(&places, &t, false);
    }
    places_clear(&places);
}

/* Eight wait for CAA at a time, so that finalizing never takes all threads of the web server. */
static void test_ninth_waiter(void **state)
{
    struct fx_loop *l = *state;
    struct acme *acme = l->f->acme;
    const struct caa_question question = {.method = "dns-01", .ident = {.base = FAR}};
    char detail[VALIDATE_DETAIL_MAX];
    size_t forbidden = 0;

    must(loop_start(acme->loop));
    atomic_store(&acme->caa_waiters, 8);
    assert_int_equal(caa_wait(acme, &question, 1, &forbidden, detail).code, ERR_BUSY);
    atomic_store(&acme->caa_waiters, 7);
    must(caa_wait(acme, &question, 1, &forbidden, detail));
    assert_int_equal(forbidden, 1); /* none is */
    assert_int_equal(atomic_load(&acme->caa_waiters), 7);
    atomic_store(&acme->caa_waiters, 0);
}

/* --- tls-alpn-01 ------------------------------------------------------------------------------ */

static const uint8_t DIGEST[SHA256_LEN] = "0123456789abcdef0123456789abcde";

/* A right certificate with `pad` octets of an extension that nobody looks at. RSA: all signatures
 * have one length. */
static int padded_der(EVP_PKEY *key, size_t pad, uint8_t **der)
{
    static const uint8_t zeros[32768];
    const struct cert_spec right = {0};
    X509 *cert = make_tlsalpn_cert(&right, key, "DNS:a.test", DIGEST);
    ASN1_OCTET_STRING *raw = ASN1_OCTET_STRING_new();

    assert_true(pad <= sizeof(zeros));
    assert_int_equal(ASN1_OCTET_STRING_set(raw, zeros, (int)pad), 1);
    X509_EXTENSION *ext = X509_EXTENSION_create_by_NID(NULL, NID_netscape_comment, 0, raw);
    assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    *der = NULL;
    int len = i2d_X509(cert, der);
    assert_true(len > 0);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(raw);
    X509_free(cert);
    return len;
}

/* Nothing is wrong with it but its size: 16,384 octets are the most. */
static void test_large_certificate(void **state)
{
    static const struct {
        size_t len;
        bool is_ok;
    } rows[] = {{32000, false}, {16385, false}, {16384, true}};
    struct ident ident;
    EVP_PKEY *key = EVP_RSA_gen(2048);
    uint8_t *der = NULL;

    (void)state;
    must(ident_parse("a.test", 6, &ident, NULL));
    size_t rest = (size_t)padded_der(key, 10000, &der) - 10000;
    OPENSSL_free(der);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        enum problem_type type = PROBLEM_NONE;
        char why[TLSALPN_WHY_MAX] = "";
        int len = padded_der(key, rows[i].len - rest, &der);
        assert_int_equal(len, rows[i].len);
        assert_int_equal(tlsalpn_cert_ok(der, (size_t)len, &ident, DIGEST, &type, why),
                         rows[i].is_ok);
        assert_int_equal(type, rows[i].is_ok ? PROBLEM_NONE : PROBLEM_INCORRECT_RESPONSE);
        assert_true(rows[i].is_ok || strstr(why, "16384") != NULL);
        OPENSSL_free(der);
    }
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_expired_under_a_ready_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_of_another_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_caa_of_a_preauthorized_name, setup_loop,
                                        teardown_loop),
        cmocka_unit_test_setup_teardown(test_caa_known_at_the_first_look, setup_loop,
                                        teardown_loop),
        cmocka_unit_test_setup_teardown(test_revoke_after_preauthorization, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ninth_waiter, setup_loop, teardown_loop),
        cmocka_unit_test(test_large_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
