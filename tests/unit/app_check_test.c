/* What `bailiwick check` says of clients, profiles and settings. */
#include "bailiwick/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/util/mem.h"

#define SECRET "0123456789abcdefghijABCDEFGHIJ0123456789abcd"

static char said[16384];

static int run(const char *path)
{
    char check[] = "check";
    char option[] = "--config";
    char file[64];
    char *argv[] = {check, option, file, NULL};

    (void)snprintf(file, sizeof(file), "%s", path);
    return cmd_check(3, argv);
}

/* Its standard output is in `said` afterwards. */
static int check(const char *yaml)
{
    char path[] = "/tmp/bw-check-XXXXXX";
    int fd = mkstemp(path);
    FILE *out = tmpfile();
    int kept = dup(STDOUT_FILENO);

    assert_true(fd >= 0 && kept >= 0 && out != NULL);
    assert_int_equal(write(fd, yaml, strlen(yaml)), strlen(yaml));
    assert_int_equal(close(fd), 0);
    assert_int_equal(fflush(stdout), 0);
    assert_true(dup2(fileno(out), STDOUT_FILENO) >= 0);
    int code = run(path);
    (void)fflush(stdout);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    (void)close(kept);
    rewind(out);
    size_t n = fread(said, 1, sizeof(said) - 1, out);
    said[n] = '\0';
    assert_int_equal(fclose(out), 0);
    assert_int_equal(unlink(path), 0);
    return code;
}

static void must_say(const char *part)
{
    if (strstr(said, part) == NULL) {
        fail_msg("no '%s' in:\n%s", part, said);
    }
}

static void must_not_say(const char *part)
{
    if (strstr(said, part) != NULL) {
        fail_msg("'%s' in:\n%s", part, said);
    }
}

static void test_defaults(void **state)
{
    (void)state;
    assert_int_equal(check("zones: [svc.test]\n"
                           "acme: {caa: report, authorization_reuse: 1440m}\n"
                           "validation: {allow: []}\n"),
                     CLI_OK);
    must_say("configuration ok\n");
    must_say("\n  profiles       default: 90 days, what every client");
    must_say("\n                 month: 30 days\n                 short: 6 days");
    must_not_say("\n  acme ");
    must_not_say("\n  validation ");
    must_not_say("preauthorized");
}

static void test_settings(void **state)
{
    static const struct {
        const char *yaml, *line;
    } CASES[] = {
        {"acme: {terms_of_service: 'https://a.test/t'}", "acme           terms_of_service: "
                                                         "https://a.test/t"},
        {"acme: {external_account_required: true}",
         "acme           external_account_required: true"},
        {"acme: {authorization_reuse: 0}", "acme           authorization_reuse: 0"},
        {"acme: {authorization_reuse: 90m}", "acme           authorization_reuse: 90m"},
        {"acme: {authorization_reuse: 48h}", "acme           authorization_reuse: 2d"},
        {"acme: {retry_after: 7s}", "acme           retry_after: 7s"},
        {"acme: {orders_per_page: 7}", "acme           orders_per_page: 7"},
        {"acme: {min_rsa_bits: 3072}", "acme           min_rsa_bits: 3072"},
        {"acme: {blocked_names: [a.svc.test, b.svc.test]}",
         "acme           blocked_names: a.svc.test b.svc.test"},
        {"acme: {ip_networks: [10.0.0.0/8, 'fd00::/8']}",
         "acme           ip_networks: 10.0.0.0/8 fd00::/8"},
        {"acme: {caa: enforce}", "acme           caa: enforce"},
        {"acme: {caa: off}", "acme           caa: off"},
        {"acme: {caa: enforce, rate_limits: {new_accounts: 1, orders: 0}}",
         "acme           caa: enforce\n"
         "                 rate_limits.new_accounts: 1\n"
         "                 rate_limits.orders: 0"},
        {"acme: {rate_limits: {failed_validations: 1, pending_validations: 2}}",
         "acme           rate_limits.failed_validations: 1\n"
         "                 rate_limits.pending_validations: 2"},
        {"validation: {http_port: 8080, tls_port: 8443, allow: [127.0.0.0/8]}",
         "validation     http_port: 8080\n"
         "                 tls_port: 8443\n"
         "                 allow: 127.0.0.0/8"},
        {"profiles: [{name: week, lifetime: 7d}]", "               week: 7"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        char yaml[512];
        char line[512];
        (void)snprintf(yaml, sizeof(yaml), "zones: [svc.test]\n%s\n", CASES[i].yaml);
        assert_int_equal(check(yaml), CLI_OK);
        (void)snprintf(line, sizeof(line), "\n  %s", CASES[i].line);
        must_say(line);
    }
}

static void test_preauthorized(void **state)
{
    (void)state;
    assert_int_equal(
        check("zones: [svc.test]\n"
              "clients:\n"
              "  - {name: plain, secret: " SECRET ", names: [svc.test]}\n"
              "  - {name: near, secret: " SECRET ", names: [svc.test], preauthorized: true,"
              " networks: [10.0.0.0/8, 'fd00::/8']}\n"
              "  - {name: far, secret: " SECRET ", names: [svc.test], preauthorized: true}\n"),
        CLI_OK);
    must_say(
        "\n  preauthorized  near gets its names without a challenge, from 10.0.0.0/8 fd00::/8\n"
        "  preauthorized  far gets its names without a challenge, from anywhere\n");
    must_say("warning: client 'far' is preauthorized without networks");
    must_not_say("client 'near'");
    must_not_say("plain");
    must_not_say(SECRET);
}

static void test_dns(void **state)
{
    static const struct {
        const char *yaml, *line;
    } CASES[] = {
        {"zones: [{name: 10.in-addr.arpa, plain: true}]\n",
         "  zone           10.in-addr.arpa, served plain, ingress none\n"},
        {"zones: [{name: a.test, file: /dev/null}]\n", "                 file /dev/null\n"},
        {"zones: [{name: a.test, transfer: {allow: [10.0.0.0/8], notify: [10.0.0.1]}}]\n",
         "                 transfer to 10.0.0.0/8, telling 10.0.0.1:53\n"},
        {"zones: [{name: a.test, transfer: {allow: [10.0.0.0/8], key: ns2}}]\n",
         "                 transfer to 10.0.0.0/8 with the key of ns2\n"},
        {"zones: [{name: a.test, transfer: {key: ns2}}]\n",
         "note: zone 'a.test' is transferred with the key of 'ns2', which is no client here"},
        {"zones: [{name: a.test, transfer: {allow: ['::/0']}}]\n",
         "warning: anybody may transfer zone 'a.test'\n"},
        {"dns: {rate_limit: 20}\n", "  rate limit     20 UDP answers a second to one network\n"},
        {"dns: {query_log: true}\n", "  query log      on\n"},
        {"dns: {hmac_md5: true}\n", "warning: dns.hmac_md5: true; TSIG by HMAC-MD5"},
        {"dns: {forward: {networks: [10.0.0.0/8], upstreams: [9.9.9.9]}}\n",
         "  forwarding     for 10.0.0.0/8, to 9.9.9.9:53\n"},
        {"dns: {forward: {networks: [10.0.0.0/8], routes: {b.test: 10.0.0.1}}}\n",
         "  forwarding     for 10.0.0.0/8\n                 b.test to 10.0.0.1:53\n"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        assert_int_equal(check(CASES[i].yaml), CLI_OK);
        must_say(CASES[i].line);
    }
    assert_int_equal(check("zones: [{name: a.test, transfer: {key: NS2, allow: ['::/0']}}]\n"
                           "clients: [{name: ns2, secret: " SECRET ", names: []}]\n"),
                     CLI_OK);
    must_not_say("no client here");
    must_not_say("anybody");
    must_not_say("outside the zones");
    must_not_say("forwarding");
    assert_int_equal(check("zones: [{name: a.test, file: /nonexistent/x}]\n"), CLI_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_preauthorized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
