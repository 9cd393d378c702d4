/* finalize and certificate download. */
#include <pthread.h>

#include "tests/unit/acme_support.h"

static const char *const BOTH[] = {"svc.test", "*.svc.test"};
static const char *const APEX[] = {"svc.test"};

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 0}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

struct pieces {
    struct reply order, reply;
    EVP_PKEY *key;
    char *csr;
    char finalize[512];
};

static void pieces_new(struct fx *f, struct pieces *p, const char *const *names, size_t n)
{
    *p = (struct pieces){.key = EVP_EC_gen("P-256")};
    p->csr = csr_payload(p->key, names, n);
    fx_order(f, names, n, &p->order);
    expect_status(&p->order, 201);
    assert_string_equal(member(&p->order, "status"), "pending");
    (void)snprintf(p->finalize, sizeof(p->finalize), "%s", member(&p->order, "finalize"));
}

/* An order, proved. */
static void pieces_ready(struct fx *f, struct pieces *p, const char *const *names, size_t n)
{
    char url[512];

    pieces_new(f, p, names, n);
    fx_prove(f, &p->order, "both");
    (void)snprintf(url, sizeof(url), "%s", p->order.location);
    fx_post(f, url, "", &p->order);
    assert_string_equal(member(&p->order, "status"), "ready");
}

static void pieces_clear(struct pieces *p)
{
    reply_clear(&p->order);
    reply_clear(&p->reply);
    EVP_PKEY_free(p->key);
    mem_free(p->csr);
}

static void expect_order(struct fx *f, struct pieces *p, const char *status)
{
    fx_post(f, p->order.location, "", &p->reply);
    assert_string_equal(member(&p->reply, "status"), status);
}

static int64_t certificates(struct fx *f)
{
    struct acme_counts counts;

    must(acme_count(f->acme, &counts));
    return counts.orders_valid;
}

static void test_not_ready(void **state)
{
    struct fx *f = *state;
    struct pieces p;

    pieces_new(f, &p, APEX, 1);
    fx_post(f, p.finalize, p.csr, &p.reply);
    expect_problem(&p.reply, 403, "orderNotReady");
    expect_order(f, &p, "pending");
    pieces_clear(&p);
}

/* Every authorization must be valid, not only the last one that was decided. */
static void test_half_proved(void **state)
{
    struct fx *f = *state;
    struct pieces p;
    struct reply authz = {0};
    char digest[TXT_VALUE_LEN + 1];

    pieces_new(f, &p, BOTH, 2);
    for (size_t i = 0; i < 2; i++) {
        expect_order(f, &p, "pending");
        fx_post(f, p.finalize, p.csr, &p.reply);
        expect_problem(&p.reply, 403, "orderNotReady");
        fx_authz(f, &p.order, i, &authz);
        digest_of(f, &authz, digest);
        fx_publish(f, "both", "svc.test", digest);
        fx_post(f, challenge_member(&authz, "url"), "{}", &p.reply);
        assert_string_equal(member(&p.reply, "status"), "valid");
    }
    expect_order(f, &p, "ready");
    reply_clear(&authz);
    pieces_clear(&p);
}

/* A bad CSR leaves the order ready. */
static void test_bad_csr(void **state)
{
    static const char *const OTHER[] = {"svc.test", "evil.test"};
    struct fx *f = *state;
    struct pieces p;

    pieces_ready(f, &p, APEX, 1);
    char *other_names = csr_payload(p.key, OTHER, 2);
    char *account_key = csr_payload(f->key.pkey, APEX, 1);
    EVP_PKEY *weak = EVP_RSA_gen(1024);
    char *weak_key = csr_payload(weak, APEX, 1);
    const struct {
        const char *payload;
        const char *type;
    } rows[] = {
        {"", "malformed"},
        {"{}", "malformed"},
        {"{\"csr\":null}", "malformed"},
        {"{\"csr\":\"\"}", "malformed"},
        {"{\"csr\":1}", "malformed"},
        {"{\"csr\":\"AA==\"}", "malformed"},
        {"{\"csr\":\"A\\u0000A\"}", "malformed"},
        {"{\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\"}", "malformed"},
        {"{\"csr\":\"AAAA\"}", "badCSR"},
        {other_names, "badCSR"},
        {account_key, "badPublicKey"},
        {weak_key, "badPublicKey"},
    };
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        fx_post(f, p.finalize, rows[i].payload, &p.reply);
        if (p.reply.status != 400) {
            print_message("row %zu\n", i);
        }
        expect_problem(&p.reply, 400, rows[i].type);
    }
    struct buf large = BUF_INIT(100000);
    buf_puts(&large, "{\"csr\":\"");
    for (size_t i = 0; i < BASE64URL_LEN(CA_CSR_MAX) + 1; i++) {
        buf_putc(&large, 'A');
    }
    buf_puts(&large, "\"}");
    fx_post(f, p.finalize, buf_str(&large), &p.reply);
    expect_problem(&p.reply, 400, "badCSR");
    buf_clear(&large);
    expect_order(f, &p, "ready");
    fx_post(f, p.finalize, p.csr, &p.reply);
    expect_status(&p.reply, 200);
    mem_free(other_names);
    mem_free(account_key);
    mem_free(weak_key);
    EVP_PKEY_free(weak);
    pieces_clear(&p);
}

static X509 *leaf_of(const struct reply *chain)
{
    BIO *bio = BIO_new_mem_buf(chain->body, (int)strlen(chain->body));
    X509 *leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(leaf);
    return leaf;
}

static void test_whole_path(void **state)
{
    struct fx *f = *state;
    struct pieces p;
    struct reply chain = {0};

    pieces_ready(f, &p, BOTH, 2);
    fx_post(f, p.finalize, p.csr, &p.reply);
    expect_status(&p.reply, 200);
    assert_string_equal(member(&p.reply, "status"), "valid");
    assert_string_equal(p.reply.location, p.order.location);
    fx_post(f, member(&p.reply, "certificate"), "", &chain);
    expect_status(&chain, 200);
    assert_string_equal(chain.type, "application/pem-certificate-chain");
    X509 *leaf = leaf_of(&chain);
    assert_int_equal(X509_check_host(leaf, "svc.test", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(leaf, "x.svc.test", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(leaf, "svc.example", 0, 0, NULL), 0);
    X509_free(leaf);
    const char *second = strstr(chain.body + 10, "-----BEGIN CERTIFICATE-----");
    assert_non_null(second);
    fx_restart(f);
    fx_post(f, member(&p.reply, "certificate"), "", &chain);
    expect_status(&chain, 200);
    fx_post(f, member(&p.reply, "certificate"), "{}", &chain);
    expect_problem(&chain, 400, "malformed");
    struct maker other = maker_new(JWK_ES256, 0);
    const struct odd usual = {0};
    char kid[256];
    fx_register(f, &other, kid);
    fx_post_odd(f, &other, kid, member(&p.reply, "certificate"), "", &usual, &chain);
    expect_problem(&chain, 403, "unauthorized");
    maker_clear(&other);
    reply_clear(&chain);
    pieces_clear(&p);
}

static void test_dates(void **state)
{
    struct fx *f = *state;
    struct pieces p = {.key = EVP_EC_gen("P-256")};
    int64_t start = clock_unix_s() + 3600;
    char from[CLOCK_RFC3339_LEN + 1];
    char to[CLOCK_RFC3339_LEN + 1];
    char payload[400];
    struct reply chain = {0};

    clock_rfc3339(start, from);
    clock_rfc3339(start + 86400, to);
    (void)snprintf(
        payload, sizeof(payload),
        "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"svc.test\"}],\"notBefore\":\"%s\","
        "\"notAfter\":\"%s\"}",
        from, to);
    p.csr = csr_payload(p.key, APEX, 1);
    fx_post(f, "/acme/new-order", payload, &p.order);
    fx_prove(f, &p.order, "both");
    fx_post(f, member(&p.order, "finalize"), p.csr, &p.reply);
    expect_status(&p.reply, 200);
    fx_post(f, member(&p.reply, "certificate"), "", &chain);
    X509 *leaf = leaf_of(&chain);
    ASN1_TIME *want = ASN1_TIME_set(NULL, (time_t)start);
    assert_int_equal(ASN1_TIME_compare(X509_get0_notBefore(leaf), want), 0);
    ASN1_TIME_free(want);
    want = ASN1_TIME_set(NULL, (time_t)(start + 86400));
    assert_int_equal(ASN1_TIME_compare(X509_get0_notAfter(leaf), want), 0);
    ASN1_TIME_free(want);
    X509_free(leaf);
    reply_clear(&chain);
    pieces_clear(&p);
}

static void test_again(void **state)
{
    struct fx *f = *state;
    struct pieces p;
    struct reply first = {0};

    pieces_ready(f, &p, APEX, 1);
    fx_post(f, p.finalize, p.csr, &first);
    expect_status(&first, 200);
    fx_post(f, p.finalize, p.csr, &p.reply);
    expect_status(&p.reply, 200);
    assert_true(json_equal(first.json, p.reply.json));
    fx_post(f, p.order.location, "", &p.reply);
    assert_true(json_equal(first.json, p.reply.json));
    EVP_PKEY *other = EVP_EC_gen("P-256");
    char *csr = csr_payload(other, APEX, 1);
    fx_post(f, p.finalize, csr, &p.reply);
    expect_problem(&p.reply, 403, "orderNotReady");
    assert_int_equal(certificates(f), 1);
    EVP_PKEY_free(other);
    mem_free(csr);
    reply_clear(&first);
    pieces_clear(&p);
}

/* A client removed in mid-order: what it proved is gone. */
static void test_client_removed(void **state)
{
    static const char *const patterns[] = {"svc.test", "*.svc.test"};
    struct fx *f = *state;
    struct pieces p;
    char secret[CLIENT_SECRET_MAX + 1];

    const struct access_new_client guest = {.name = "guest", .patterns = patterns, .patterns_n = 2};
    must(access_client_create(f->access, &guest, secret));
    pieces_new(f, &p, APEX, 1);
    fx_prove(f, &p.order, "guest");
    expect_order(f, &p, "ready");
    must(access_client_remove(f->access, "guest"));
    expect_order(f, &p, "invalid");
    assert_non_null(json_object_get(p.reply.json, "error"));
    fx_post(f, p.finalize, p.csr, &p.reply);
    expect_problem(&p.reply, 403, "orderNotReady");
    assert_int_equal(certificates(f), 0);
    pieces_clear(&p);
}

/* Policy narrowed by a new configuration while the order was ready. */
static void test_policy_at_finalize(void **state)
{
    static const char *const names[] = {"a.svc.test"};
    struct fx *f = *state;
    struct pieces p;
    struct pieces q;

    pieces_ready(f, &p, names, 1);
    pieces_ready(f, &q, names, 1);
    fx_stop(f);
    fx_configure(f, "acme: {blocked_names: [a.svc.test]}\n");
    fx_start(f);
    fx_post(f, p.finalize, p.csr, &p.reply);
    expect_problem(&p.reply, 400, "rejectedIdentifier");
    expect_order(f, &p, "invalid");
    fx_stop(f);
    fx_configure(f, "");
    for (size_t i = 0; i < f->cfg->clients_n; i++) {
        f->cfg->clients[i].names_n = 1; /* svc.test only */
    }
    fx_start(f);
    fx_post(f, q.finalize, q.csr, &q.reply);
    expect_problem(&q.reply, 403, "unauthorized");
    expect_order(f, &q, "invalid");
    assert_int_equal(certificates(f), 0);
    pieces_clear(&p);
    pieces_clear(&q);
}

struct racer {
    struct fx *f;
    const struct pieces *p;
    const char *csr;
    struct reply reply;
};

static void *race(void *arg)
{
    struct racer *r = arg;

    fx_post(r->f, r->p->finalize, r->csr, &r->reply);
    return NULL;
}

/* Eight at the same moment, two CSRs: one certificate; whoever has its CSR sees it, the others
 * orderNotReady. */
static void test_at_once(void **state)
{
    struct fx *f = *state;
    struct pieces p;
    static struct racer racers[8];
    pthread_t threads[8];
    const char *certificate = NULL;
    const char *winner = NULL;

    pieces_ready(f, &p, APEX, 1);
    EVP_PKEY *other = EVP_EC_gen("P-256");
    char *csr = csr_payload(other, APEX, 1);
    for (size_t i = 0; i < ARRAY_N(racers); i++) {
        racers[i] = (struct racer){.f = f, .p = &p, .csr = i % 2 == 0 ? p.csr : csr};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_N(racers); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    for (size_t i = 0; i < ARRAY_N(racers); i++) {
        if (racers[i].reply.status == 200) {
            const char *mine = member(&racers[i].reply, "certificate");
            certificate = certificate == NULL ? mine : certificate;
            winner = winner == NULL ? racers[i].csr : winner;
            assert_string_equal(mine, certificate);
            assert_ptr_equal(racers[i].csr, winner);
        } else {
            expect_problem(&racers[i].reply, 403, "orderNotReady");
        }
    }
    assert_non_null(certificate);
    assert_int_equal(certificates(f), 1);
    for (size_t i = 0; i < ARRAY_N(racers); i++) {
        reply_clear(&racers[i].reply);
    }
    EVP_PKEY_free(other);
    mem_free(csr);
    pieces_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_not_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_proved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_csr, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policy_at_finalize, setup, teardown),
        cmocka_unit_test_setup_teardown(test_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
