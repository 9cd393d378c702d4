/* The URLs of http-01: the first one and where redirects lead. */
#include "acme-server/val_url.h"

#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct config_acme SETTINGS = {.http_port = 5002, .tls_port = 5001};

static const struct {
    const char *location, *why;
} REFUSED[] = {
    {"", "empty"},
    {"ftp://a.test/", "not 'ftp'"},
    {"FILE:///etc/passwd", "not 'file'"},
    {"//user@a.test/", "user name"},
    {"http://@a.test/", "user name"},
    {"http://a.test:22/", "port 22"},
    {"http://a.test:81/", "port 81"},
    {"//a.test:08080/", "port 8080"},
    {"http://a.test:-80/", "no URL"},
    {"http://a.test:99999/", "no URL"},
    {"http://a b.test/", "no URL"},
    {"http://a%00b.test/", "no URL"},
    {"http://a%2fb.test/", "no URL"},
    {"http://a_b.t*st/", "its "},
    {"http://./", "host is missing"},
    {"http://[::1/", "no URL"},
    {"http://[fe80::1%25lo]/", "zone"},
    {"http://[1.2.3.4]/", "no URL"},
};

static void test_refused(void **state)
{
    struct val_url from = {.text = mem_strdup("http://a.test/x")};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(REFUSED); i++) {
        struct val_url next = {0};
        char why[VAL_URL_WHY_MAX] = "";
        struct err e = val_url_follow(&from, REFUSED[i].location, &SETTINGS, &next, why);
        if (e.code != ERR_REJECTED || strstr(why, REFUSED[i].why) == NULL) {
            fail_msg("'%s': %s '%s' %s", REFUSED[i].location, err_name(e.code), why,
                     next.text == NULL ? "" : next.text);
        }
        assert_null(next.text);
    }
    val_url_clear(&from);
}

static void test_too_long(void **state)
{
    struct val_url from = {.text = mem_strdup("http://a.test/x")};
    struct val_url next = {0};
    char location[VAL_URL_MAX + 2];
    char why[VAL_URL_WHY_MAX] = "";

    (void)state;
    memset(location, 'x', sizeof(location));
    location[0] = '/';
    location[sizeof(location) - 1] = '\0';
    assert_int_equal(val_url_follow(&from, location, &SETTINGS, &next, why).code, ERR_REJECTED);
    assert_non_null(strstr(why, "2000 characters"));
    location[VAL_URL_MAX] = '\0'; /* short enough, but not with the host before it */
    assert_int_equal(val_url_follow(&from, location, &SETTINGS, &next, why).code, ERR_REJECTED);
    location[VAL_URL_MAX - 13] = '\0';
    assert_int_equal(val_url_follow(&from, location, &SETTINGS, &next, why).code, ERR_OK);
    assert_int_equal(strlen(next.text), VAL_URL_MAX);
    val_url_clear(&next);
    (void)snprintf(location, sizeof(location), "http://%0254d.test/", 0);
    assert_int_equal(val_url_follow(&from, location, &SETTINGS, &next, why).code, ERR_REJECTED);
    assert_non_null(strstr(why, "253 characters"));
    val_url_clear(&from);
}

static const struct {
    const char *from, *location, *text, *host;
    uint16_t port;
    bool is_https;
} FOLLOWED[] = {
    {"http://a.test/x/y?q", "z", "http://a.test/x/z", "a.test", 80, false},
    {"http://a.test/x/y?q", "/z", "http://a.test/z", "a.test", 80, false},
    {"http://a.test/x/y?q", "?r", "http://a.test/x/y?r", "a.test", 80, false},
    {"http://a.test/x/y", "../../../z", "http://a.test/z", "a.test", 80, false},
    {"http://a.test:5002/x", "/z", "http://a.test:5002/z", "a.test", 5002, false},
    {"https://a.test/x", "//b.test/z", "https://b.test/z", "b.test", 443, true},
    {"http://a.test/x", "HTTPS://B.Test:443/Z#f", "https://B.Test:443/Z", "b.test", 443, true},
    {"http://a.test/x", "http://b.test.", "http://b.test./", "b.test", 80, false},
    {"http://a.test/x", "http://b_c.test:443", "http://b_c.test:443/", "b_c.test", 443, false},
    {"http://a.test/x", "https://[2001:db8::1]:5001/", "https://[2001:db8::1]:5001/", "2001:db8::1",
     5001, true},
    {"http://[::1]:5002/x", "y", "http://[::1]:5002/y", "::1", 5002, false},
    {"http://a.test/x", "http://0x7f.1/", "http://127.0.0.1/", "127.0.0.1", 80, false},
    {"http://a.test/x", "//12%37.1", "http://127.0.0.1/", "127.0.0.1", 80, false},
    {"http://a.test/x", "/a b\xc3\xa4", "http://a.test/a%20b%c3%a4", "a.test", 80, false},
};

static void test_followed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_N(FOLLOWED); i++) {
        struct val_url from = {.text = mem_strdup(FOLLOWED[i].from)};
        struct val_url next = {0};
        char why[VAL_URL_WHY_MAX] = "";
        if (val_url_follow(&from, FOLLOWED[i].location, &SETTINGS, &next, why).code != ERR_OK) {
            fail_msg("%s: %s", FOLLOWED[i].location, why);
        }
        assert_string_equal(next.text, FOLLOWED[i].text);
        assert_string_equal(next.host, FOLLOWED[i].host);
        assert_int_equal(next.port, FOLLOWED[i].port);
        assert_int_equal(next.is_https, FOLLOWED[i].is_https);
        val_url_clear(&next);
        val_url_clear(&from);
    }
}

static void test_the_first(void **state)
{
    static const struct {
        const char *name;
        uint16_t port;
        const char *text;
    } CASES[] = {
        {"a.test", 80, "http://a.test/.well-known/acme-challenge/t0k-n"},
        {"a.test", 5002, "http://a.test:5002/.well-known/acme-challenge/t0k-n"},
        {"10.0.0.1", 80, "http://10.0.0.1/.well-known/acme-challenge/t0k-n"},
        {"fd00::1", 5002, "http://[fd00::1]:5002/.well-known/acme-challenge/t0k-n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct val_target target = {.token = "t0k-n"};
        struct val_url url = {0};
        ident_from_stored(CASES[i].name, false, &target.ident);
        assert_int_equal(val_url_first(&target, CASES[i].port, &url).code, ERR_OK);
        assert_string_equal(url.text, CASES[i].text);
        assert_string_equal(url.host, CASES[i].name);
        assert_int_equal(url.port, CASES[i].port);
        assert_false(url.is_https);
        val_url_clear(&url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_followed),
        cmocka_unit_test(test_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
