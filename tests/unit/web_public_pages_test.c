#include "web/public_pages.h"

#include "ca_fixture.h"
#include "http_talk.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/util/log.h"
#include "web/trust_page.h"

struct world {
    struct fixture files;
    struct config *cfg;
    struct ca *ca;
    struct public_pages *pages;
    struct talk tls, plain;
};

static bool ready;

static bool is_ready(void *ctx)
{
    return *(const bool *)ctx;
}

static int start(void **state)
{
    static const char yaml[] = "hostname: ca.svc.test\naddresses: [127.0.0.1]\n"
                               "public_url: https://ca.svc.test:8443\n"
                               "listen: {http: ['127.0.0.1:8080']}\n"
                               "zones:\n  - name: svc.test\n";
    static struct world w;
    struct buf problems = BUF_INIT(4096);
    struct http_route routes[8];
    size_t n = 0;

    memset(&w, 0, sizeof(w));
    log_setup(LOG_ERROR, LOG_TEXT);
    fixture_make(&w.files);
    if (config_parse("test.yaml", yaml, strlen(yaml), &problems, &w.cfg).code != ERR_OK) {
        fail_msg("%s", buf_str(&problems));
    }
    assert_ok(ca_open(w.files.dir, CONFIG_KEY_ECDSA_P256, "Test", &w.ca));
    const struct public_pages_options options = {w.cfg, w.ca, is_ready, &ready};
    assert_ok(public_pages_new(&options, &w.pages));
    size_t full = ARRAY_N(routes);
    assert_int_equal(ERR_LIMIT, public_pages_routes(w.pages, routes, ARRAY_N(routes), &full).code);
    assert_ok(public_pages_routes(w.pages, routes, ARRAY_N(routes), &n));
    talk_start(&w.tls, routes, n, HTTP_ON_TLS);
    talk_start(&w.plain, routes, n, HTTP_ON_PLAIN);
    buf_clear(&problems);
    *state = &w;
    return 0;
}

static int stop(void **state)
{
    struct world *w = *state;

    talk_stop(&w->tls);
    talk_stop(&w->plain);
    public_pages_free(w->pages);
    ca_close(w->ca);
    config_free(w->cfg);
    fixture_remove(&w->files);
    return 0;
}

static void plain_http_has_trust_pages_only(void **state)
{
    struct world *w = *state;
    static const char *const hidden[] = {"/", "/healthz", "/readyz", "/trust/", "/root.PEM"};
    static const char *const shown[] = {"/trust", "/root.pem", "/root.der"};

    for (size_t i = 0; i < ARRAY_N(hidden); i++) {
        assert_int_equal(404, talk(&w->plain, "GET", hidden[i], "", NULL));
    }
    for (size_t i = 0; i < ARRAY_N(shown); i++) {
        assert_int_equal(200, talk(&w->plain, "GET", shown[i], "", NULL));
        assert_int_equal(200, talk(&w->tls, "GET", shown[i], "", NULL));
        assert_int_equal(405, talk(&w->plain, "POST", shown[i], "", ""));
    }
}

static void the_root_in_both_forms(void **state)
{
    struct world *w = *state;
    size_t der_len = 0;
    const uint8_t *der = ca_root_der(w->ca, &der_len);

    assert_int_equal(200, talk(&w->plain, "GET", "/root.pem", "", NULL));
    assert_true(talk_has(&w->plain, "Content-Type: application/x-pem-file\r\n"));
    assert_string_equal(ca_root_pem(w->ca), w->plain.body);
    BIO *bio = BIO_new_mem_buf(w->plain.body, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(cert);
    X509_free(cert);
    BIO_free(bio);

    assert_int_equal(200, talk(&w->plain, "GET", "/root.der", "", NULL));
    assert_true(talk_has(&w->plain, "Content-Type: application/pkix-cert\r\n"));
    size_t head = (size_t)(w->plain.body - buf_str(&w->plain.reply));
    assert_int_equal(der_len, w->plain.reply.len - head);
    assert_memory_equal(der, w->plain.body, der_len);
}

static void the_trust_page(void **state)
{
    struct world *w = *state;
    char fingerprint[TRUST_FINGERPRINT_LEN + 1];

    trust_fingerprint(ca_root_fingerprint(w->ca), fingerprint);
    assert_int_equal(TRUST_FINGERPRINT_LEN, strlen(fingerprint));
    assert_int_equal(200, talk(&w->plain, "GET", "/trust", "", NULL));
    assert_true(talk_has(&w->plain, "Content-Type: text/html"));
    assert_true(talk_has(&w->plain, "Content-Security-Policy: default-src 'none'"));
    assert_true(talk_has(&w->plain, fingerprint));
    assert_true(
        talk_has(&w->plain, "curl -fsSo bailiwick-root.pem http://ca.svc.test:8080/root.pem"));
    assert_true(talk_has(&w->plain, "https://ca.svc.test:8443/acme/directory"));
    assert_false(talk_has(&w->plain, "%R"));
    assert_false(talk_has(&w->plain, "<script"));
}

static void values_are_escaped(void **state)
{
    struct buf page = BUF_INIT(TRUST_PAGE_MAX);

    (void)state;
    trust_page_put(&page, "https://a/?x=\"<b>'&", "http://<u>", "<f>");
    start_page_put(&page, "https://<c>");
    assert_int_equal(ERR_OK, buf_check(&page).code);
    assert_non_null(strstr(buf_str(&page), "https://a/?x=&quot;&lt;b&gt;&#39;&amp;/acme"));
    assert_non_null(strstr(buf_str(&page), "http://&lt;u&gt;"));
    assert_null(strstr(buf_str(&page), "<b>"));
    assert_null(strstr(buf_str(&page), "<u>"));
    assert_null(strstr(buf_str(&page), "<f>"));
    assert_null(strstr(buf_str(&page), "<c>"));
    buf_clear(&page);
}

static void start_page_and_probes(void **state)
{
    struct world *w = *state;

    assert_int_equal(200, talk(&w->tls, "GET", "/", "", NULL));
    assert_true(talk_has(&w->tls, "https://ca.svc.test:8443/acme/directory"));
    assert_true(talk_has(&w->tls, "href=\"/trust\""));
    assert_int_equal(200, talk(&w->tls, "GET", "/healthz", "", NULL));
    assert_string_equal("ok\n", w->tls.body);
    ready = false;
    assert_int_equal(503, talk(&w->tls, "GET", "/readyz", "", NULL));
    assert_true(talk_has(&w->tls, "Retry-After: 5"));
    ready = true;
    assert_int_equal(200, talk(&w->tls, "GET", "/readyz", "", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_http_has_trust_pages_only), cmocka_unit_test(values_are_escaped),
        cmocka_unit_test(the_root_in_both_forms),          cmocka_unit_test(the_trust_page),
        cmocka_unit_test(start_page_and_probes),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
