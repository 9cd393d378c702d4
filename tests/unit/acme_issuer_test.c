/* issue-value to the letter of its grammar, our names, URIs of ours. */
#include "acme-server/issuer.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool parse(const char *text, struct issue_value *out)
{
    return issue_value_parse((const uint8_t *)text, strlen(text), out);
}

static void test_malformed_values(void **state)
{
    static const char *const BAD[] = {
        ".",           "a..b",      ".a",           "a.",        "-a.b",       "a-.b",
        "a b",         "a.b c=d",   "a.b; c",       "a.b; =d",   "a.b; c=d;",  "a.b; c=d ;",
        "a.b;; c=d",   "a.b; ;",    "a.b; c=d; ;",  "a.b; -c=d", "a.b; c-=d",  "a.b; c=d e=f",
        "a.b; c=\x7f", "a.b; c=\1", "a.b; c=\xc3",  "a_b",       "a.b; c_d=e", "\xe2\x98\x83.b",
        "a.b; c=d; e", "a/b",       "\"a.b\"",      "a.b, c=d",  "a.b\n",      "a.b; c=d\r",
        "*.a.b",       "a.b; c:d",  "a.b; c=d; =e", "a.b:443",
    };
    char text[400];
    struct issue_value v;
    (void)state;

    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        if (parse(BAD[i], &v)) {
            fail_msg("accepted: %s", BAD[i]);
        }
    }
    assert_false(issue_value_parse((const uint8_t *)"a\0b", 3, &v));
    /* One parameter too many. */
    for (size_t n = ISSUE_PARAMS_MAX; n <= ISSUE_PARAMS_MAX + 1; n++) {
        size_t len = (size_t)snprintf(text, sizeof(text), "a.b");
        for (size_t i = 0; i < n; i++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, ";c=d");
        }
        assert_int_equal(parse(text, &v), n == ISSUE_PARAMS_MAX);
    }
}

static void test_values(void **state)
{
    static const struct {
        const char *text, *name;
        size_t params_n;
        const char *tag, *value; /* the last one */
    } GOOD[] = {
        {"", "", 0, NULL, NULL},
        {" \t ", "", 0, NULL, NULL},
        {";", "", 0, NULL, NULL},
        {" ; ", "", 0, NULL, NULL},
        {"a", "a", 0, NULL, NULL},
        {" ca.Example.net\t", "ca.Example.net", 0, NULL, NULL},
        {"a--b.1", "a--b.1", 0, NULL, NULL},
        {"ca.example.net;", "ca.example.net", 0, NULL, NULL},
        {"ca.example.net; account=230123", "ca.example.net", 1, "account", "230123"},
        {"ca.example.net;account=", "ca.example.net", 1, "account", ""},
        {"; a-b = c", "", 1, "a-b", "c"},
        {"x;a=1 ; b\t=\t2 ", "x", 2, "b", "2"},
        {"x; a=https://h/p?q=r&s=!~", "x", 1, "a", "https://h/p?q=r&s=!~"},
        {"x; a==b", "x", 1, "a", "=b"},
    };
    struct issue_value v;
    (void)state;

    for (size_t i = 0; i < ARRAY_N(GOOD); i++) {
        if (!parse(GOOD[i].text, &v)) {
            fail_msg("refused: %s", GOOD[i].text);
        }
        assert_int_equal(v.name.len, strlen(GOOD[i].name));
        assert_memory_equal(v.name.at, GOOD[i].name, v.name.len);
        assert_int_equal(v.params_n, GOOD[i].params_n);
        if (GOOD[i].tag != NULL) {
            const struct issue_param *last = &v.params[v.params_n - 1];
            assert_true(issue_text_is(&last->tag, GOOD[i].tag));
            assert_int_equal(last->value.len, strlen(GOOD[i].value));
            assert_memory_equal(last->value.at, GOOD[i].value, last->value.len);
        }
    }
    bool is_twice = false;
    assert_true(parse("x; a=1; B=2; b=3", &v));
    assert_null(issue_param_find(&v, "c", &is_twice));
    assert_false(is_twice);
    assert_null(issue_param_find(&v, "b", &is_twice));
    assert_true(is_twice);
    assert_int_equal(issue_param_find(&v, "A", &is_twice)->len, 1);
    assert_false(is_twice);
}

static void configure(struct config *cfg, const char *hostname, const char *url,
                      struct base_urls *urls)
{
    static char text[300];

    (void)snprintf(cfg->hostname, sizeof(cfg->hostname), "%s", hostname);
    (void)snprintf(text, sizeof(text), "%s", url);
    cfg->public_url = text;
    assert_int_equal(base_urls_init(urls, cfg, 443).code, ERR_OK);
}

static void test_our_names(void **state)
{
    static const struct {
        const char *hostname, *url, *second;
    } CASES[] = {
        {"ca.svc.test", "", NULL},
        {"ca.svc.test", "https://ca.svc.test", NULL},
        {"ca.svc.test", "https://CA.svc.test:8443", NULL},
        {"ca.svc.test", "https://192.0.2.1:8443", NULL},
        {"ca.svc.test", "https://[2001:db8::1]", NULL},
        {"ca.svc.test", "https://acme.Example:8443", "acme.example"},
        {"ca.svc.test", "https://acme.example", "acme.example"},
    };
    static const char *const OTHERS[] = {"", "svc.test", "xca.svc.test", "ca.svc.test.test"};
    struct config cfg = {0};
    struct base_urls urls;
    struct issuer_names names;
    struct issue_value v;
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        configure(&cfg, CASES[i].hostname, CASES[i].url, &urls);
        issuer_names(&urls, &names);
        assert_int_equal(names.n, CASES[i].second == NULL ? 1 : 2);
        assert_string_equal(names.list[0], CASES[i].hostname);
        if (CASES[i].second != NULL) {
            assert_string_equal(names.list[1], CASES[i].second);
        }
    }
    assert_true(parse("CA.svc.TEST; a=b", &v));
    assert_true(issue_name_is_one_of(&v, names.list, names.n));
    assert_true(parse("acme.example", &v));
    assert_true(issue_name_is_one_of(&v, names.list, names.n));
    assert_false(issue_name_is_one_of(&v, names.list, 0));
    for (size_t i = 0; i < ARRAY_N(OTHERS); i++) {
        assert_true(parse(OTHERS[i], &v));
        assert_false(issue_name_is_one_of(&v, names.list, names.n));
    }
}

static void test_account_uris(void **state)
{
    static const struct {
        const char *uri;
        bool is_account;
    } CASES[] = {
        {"", false},
        {"/acme/account/abc", false},
        {"http://ca.svc.test/acme/account/abc", false},
        {"https://ca.svc.test/acme/account/", false},
        {"https://ca.svc.test/acme/account/abcd", false},
        {"https://ca.svc.test/acme/account/ab", false},
        {"https://ca.svc.test/acme/account/abc/", false},
        {"https://ca.svc.test/acme/account/abc?x", false},
        {"https://ca.svc.test/acme/Account/abc", false},
        {"https://ca.svc.test/acme/order/abc", false},
        {"https://other.test/acme/account/abc", false},
        {"https://ca.svc.test@other.test/acme/account/abc", false},
        {"https://ca.svc.test/acme/account/abc", true},
        {"https://CA.svc.test:8443/acme/account/abc", true},
        {"https://acme.example:8443/acme/account/abc", true},
        {"https://localhost/acme/account/abc", true},
    };
    struct config cfg = {0};
    struct base_urls urls;
    char lengthy[ISSUE_URI_MAX + 40];
    char path[ISSUE_URI_MAX + 1];
    (void)state;

    configure(&cfg, "ca.svc.test", "https://acme.example:8443", &urls);
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        const struct issue_text uri = {CASES[i].uri, strlen(CASES[i].uri)};
        if (issue_uri_is_account(&urls, &uri, "abc") != CASES[i].is_account) {
            fail_msg("%s", CASES[i].uri);
        }
        assert_false(issue_uri_is_account(&urls, &uri, ""));
    }
    memset(lengthy, 'a', sizeof(lengthy));
    memcpy(lengthy, "https://ca.svc.test/", 20);
    struct issue_text uri = {lengthy, ISSUE_URI_MAX + 1};
    issue_uri_path(&urls, &uri, path);
    assert_string_equal(path, "");
    uri.len = ISSUE_URI_MAX;
    issue_uri_path(&urls, &uri, path);
    assert_int_equal(strlen(path), ISSUE_URI_MAX - 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_values),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_our_names),
        cmocka_unit_test(test_account_uris),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
