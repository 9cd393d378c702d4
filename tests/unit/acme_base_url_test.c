#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "acme-server/base_url.h"
#include "core/util/mem.h"

static struct ip_addr addresses[2];
static char public_url[] = "https://CA.example.org:8443";
static struct config cfg = {
    .hostname = "ca.svc.test", .addresses = addresses, .addresses_n = 2, .public_url = public_url};

static int setup(void **state)
{
    (void)state;
    assert_int_equal(ip_parse("192.0.2.7", &addresses[0]).code, ERR_OK);
    assert_int_equal(ip_parse("2001:db8::7", &addresses[1]).code, ERR_OK);
    return 0;
}

static void test_public_url(void **state)
{
    static const char *const bad[] = {
        "http://ca.test", "https://",           "https://ca.test/acme",
        "https://a b",    "https://ca.test:0",  "https://ca.test:65536",
        "https://u@ca",   "https://ca.test:x1", "ca.test"};
    struct base_urls urls;
    struct config odd = cfg;
    char text[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++) {
        (void)snprintf(text, sizeof(text), "%s", bad[i]);
        odd.public_url = text;
        assert_int_equal(base_urls_init(&urls, &odd, 443).code, ERR_CONFIG);
    }
    odd.public_url = NULL;
    assert_int_equal(base_urls_init(&urls, &odd, 14000).code, ERR_OK);
    assert_string_equal(urls.authority, "ca.svc.test:14000");
    assert_int_equal(base_urls_init(&urls, &odd, 443).code, ERR_OK);
    assert_string_equal(urls.authority, "ca.svc.test");
    assert_int_equal(base_urls_init(&urls, &cfg, 443).code, ERR_OK);
    assert_string_equal(urls.authority, "ca.example.org:8443");
}

static void test_host(void **state)
{
    static const char *const FALLBACK = "https://ca.example.org:8443";
    const struct {
        const char *host, *base;
    } rows[] = {
        {"", FALLBACK},
        {"evil.test", FALLBACK},
        {"ca.example.org", FALLBACK}, /* another port is another authority */
        {"ca.svc.test.evil.test", FALLBACK},
        {"user@localhost", FALLBACK},
        {"localhost:99999", FALLBACK},
        {"localhost:", FALLBACK},
        {"localhost:1x", FALLBACK},
        {"localhost/x", FALLBACK},
        {"192.0.2.8", FALLBACK},
        {"[192.0.2.7]", FALLBACK},
        {"2001:db8::7", FALLBACK},
        {"[2001:db8::7", FALLBACK},
        {"[]", FALLBACK},
        {"ca.svc.test\r\nX: y", FALLBACK},
        {"CA.example.org:8443", "https://ca.example.org:8443"},
        {"ca.svc.test", "https://ca.svc.test"},
        {"Ca.Svc.Test:443", "https://ca.svc.test"},
        {"ca.svc.test:8443", "https://ca.svc.test:8443"},
        {"localhost:14000", "https://localhost:14000"},
        {"192.0.2.7:14000", "https://192.0.2.7:14000"},
        {"[2001:DB8:0::7]:14000", "https://[2001:db8::7]:14000"},
        {"[2001:db8::7]", "https://[2001:db8::7]"},
    };
    struct base_urls urls;
    char base[BASE_URL_MAX + 1];

    (void)state;
    assert_int_equal(base_urls_init(&urls, &cfg, 443).code, ERR_OK);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        base_url_of(&urls, rows[i].host, base);
        assert_string_equal(base, rows[i].base);
    }
}

static void test_matches(void **state)
{
    const struct {
        const char *url, *query;
        bool ok;
    } rows[] = {
        {"https://ca.svc.test/acme/new-order", "x=1", false},
        {"https://ca.svc.test/acme/new-order?x=2", "x=1", false},
        {"https://ca.svc.test/acme/new-order?x=1", "", false},
        {"https://ca.svc.test/acme/new-order/", "", false},
        {"https://ca.svc.test/acme/new-orde", "", false},
        {"https://ca.svc.test/acme/New-order", "", false},
        {"https://ca.svc.test", "", false},
        {"https://localhost/acme/new-order", "", false},
        {"https://ca.svc.test:8443/acme/new-order", "", false},
        {"http://ca.svc.test/acme/new-order", "", false},
        {"//ca.svc.test/acme/new-order", "", false},
        {"", "", false},
        {"https://ca.svc.test/acme/new-order#f", "", false},
        {"https://ca.svc.test/acme/new-order", "", true},
        {"https://CA.svc.test:443/acme/new-order", "", true},
        {"https://ca.svc.test/acme/new-order?x=1", "x=1", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        assert_int_equal(
            base_url_matches("https://ca.svc.test", rows[i].url, "/acme/new-order", rows[i].query),
            rows[i].ok);
    }
}

static void test_path(void **state)
{
    struct base_urls urls;

    (void)state;
    assert_int_equal(base_urls_init(&urls, &cfg, 443).code, ERR_OK);
    assert_null(base_url_path(&urls, "https://evil.test/acme/account/x"));
    assert_null(base_url_path(&urls, "http://localhost/acme/account/x"));
    assert_null(base_url_path(&urls, "https://localhost"));
    assert_null(base_url_path(&urls, "/acme/account/x"));
    assert_string_equal(base_url_path(&urls, "https://localhost:1/acme/account/x"),
                        "/acme/account/x");
    assert_string_equal(base_url_path(&urls, "https://ca.example.org:8443/"), "/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_url),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_path),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
