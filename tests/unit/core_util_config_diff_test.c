/* What differs between two configurations in keys that a reload does not take. */
#include "core/util/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"

#define SECRET "aaaaBBBBccccDDDDeeeeFFFF00001111"
#define OTHER_SECRET "aaaaBBBBccccDDDDeeeeFFFF00001112"
#define CLIENT "clients: [{name: a, secret: " SECRET ", names: [x.test, '*.x.test'], "

#define ROUTES "dns: {forward: {networks: [10.0.0.0/8], routes: "

static struct config *parse(const char *text)
{
    struct buf problems = BUF_INIT(65536);
    struct config *cfg = NULL;

    if (config_parse("t.yaml", text, strlen(text), &problems, &cfg).code != ERR_OK) {
        fail_msg("%s%s", text, buf_str(&problems));
    }
    buf_clear(&problems);
    return cfg;
}

/* What config_differs_elsewhere() says of the two, "" for no difference. */
static void check(const char *a, const char *b, const char *wanted)
{
    AUTO(config_freep) struct config *cfg_a = parse(a);
    AUTO(config_freep) struct config *cfg_b = parse(b);
    struct buf keys = BUF_INIT(4096);
    bool differs = config_differs_elsewhere(cfg_a, cfg_b, &keys);

    if (differs != (wanted[0] != '\0') || strcmp(buf_str(&keys), wanted) != 0) {
        fail_msg("%sand\n%swanted '%s', got '%s'", a, b, wanted, buf_str(&keys));
    }
    buf_clear(&keys);
}

static void tells_what_needs_a_restart(void **state)
{
    static const struct {
        const char *a, *b, *keys;
    } cases[] = {
        {"", "state_dir: /x\n", "state_dir"},
        {"hostname: a.home.arpa\npublic_url: https://x.test\n",
         "hostname: b.home.arpa\npublic_url: https://x.test\n", "hostname"},
        {"", "addresses: [127.0.0.2]\n", "addresses"},
        {"", "addresses: [127.0.0.1, '::1']\n", "addresses"},
        {"", "listen: {dns: ['0.0.0.0:54']}\n", "listen.dns"},
        {"listen: {http: ['127.0.0.1:80']}\n", "listen: {http: ['127.0.0.1:81']}\n", "listen.http"},
        {"zones: [a.test]\n", "zones: [{name: a.test, serve: false}]\n", "zones"},
        {"zones: [a.test]\n", "zones: [{name: a.test, ingress: [10.0.0.1]}]\n", "zones"},
        {"zones: [a.test]\n", "zones: [{name: a.test, plain: true}]\n", "zones"},
        {"zones: [a.test]\n", "zones: [{name: a.test, file: /x}]\n", "zones"},
        {"zones: [a.test]\n", "zones: [{name: a.test, transfer: {key: x}}]\n", "zones"},
        {"zones: [a.test]\n", "zones: [{name: a.test, transfer: {allow: [10.0.0.0/8]}}]\n",
         "zones"},
        {"zones: [{name: a.test, transfer: {key: x}}]\n",
         "zones: [{name: a.test, transfer: {key: x, notify: [10.0.0.1]}}]\n", "zones"},
        {"", "dns: {hmac_md5: true}\n", "dns.hmac_md5"},
        {"", "dns: {rate_limit: 1}\n", "dns.rate_limit"},
        {"", "dns: {query_log: true}\n", "dns.query_log"},
        {"", "dns: {forward: {networks: [10.0.0.0/8], upstreams: [10.0.0.1]}}\n",
         "dns.forward.networks, dns.forward.upstreams"},
        {ROUTES "{b.test: 10.0.0.1}}}\n", ROUTES "{a.test: 10.0.0.1}}}\n", "dns.forward.routes"},
        {ROUTES "{b.test: 10.0.0.1}}}\n", ROUTES "{b.test: 10.0.0.2}}}\n", "dns.forward.routes"},
        {ROUTES "{b.test: 10.0.0.1}}}\n", ROUTES "{b.test: [10.0.0.1, 10.0.0.2]}}}\n",
         "dns.forward.routes"},
        {"zones: [a.test]\n", "zones: [a.test, b.test]\n", "zones"},
        {"delegate_zone: x.test\n", "delegate_zone: y.test\n", "delegate_zone"},
        {"", CLIENT "}]\n", "clients"},
        {CLIENT "}]\n", CLIENT "preauthorized: true}]\n", "clients"},
        {CLIENT "}]\n", CLIENT "limits: false}]\n", "clients"},
        {CLIENT "}]\n", CLIENT "records: false}]\n", "clients"},
        {CLIENT "}]\n", CLIENT "networks: [10.0.0.0/8]}]\n", "clients"},
        {CLIENT "networks: [10.0.0.0/9]}]\n", CLIENT "networks: [10.0.0.0/8]}]\n", "clients"},
        {"clients: [{name: a, secret: " SECRET ", names: [x]}]\n",
         "clients: [{name: a, secret: " OTHER_SECRET ", names: [x]}]\n", "clients"},
        {"clients: [{name: a, secret: " SECRET ", names: [x]}]\n",
         "clients: [{name: a, secret: " SECRET ", names: ['*.x']}]\n", "clients"},
        {"", "open: true\n", "open"},
        {"", "open_networks: []\n", "open_networks"},
        {"", "trusted_proxies: [10.0.0.1]\n", "trusted_proxies"},
        {"", "resolvers: [10.0.0.1]\n", "resolvers"},
        {"", "tls: {cert: /a, key: /b}\n", "tls.cert, tls.key"},
        {"", "ca: {key: rsa-2048}\n", "ca.key"},
        {"", "log: {format: json, level: debug}\n", "log.format"},
        {"", "open: true\nacme: {caa: off}\nresolvers: [10.0.0.1]\n", "open, resolvers"},
        /* what is made from the zones counts with them */
        {"", "zones: [a.test]\n", "hostname, public_url, zones, delegate_zone"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        check(cases[i].a, cases[i].b, cases[i].keys);
        check(cases[i].b, cases[i].a, cases[i].keys);
    }
}

static void what_a_reload_takes_is_no_difference(void **state)
{
    static const char *const same[] = {
        "",
        "log: {level: debug}\n",
        "validation: {http_port: 81, tls_port: 444, allow: [127.0.0.0/8]}\n",
        "acme: {caa: enforce, blocked_names: [a.test], ip_networks: [10.0.0.0/8]}\n",
        "acme: {terms_of_service: 'https://a.test/t', retry_after: 9s, min_rsa_bits: 3072}\n",
        "acme: {rate_limits: {orders: 1, new_accounts: 0}}\n",
        "profiles: [{name: week, lifetime: 7d, usages: [client-auth], key_types: [ec]}]\n",
        "addresses: [127.0.0.1]\n", /* the default, written */
        "zones: [home.arpa]\n",
        "zones: [{name: home.arpa, plain: false, file: '', transfer: {allow: [], key: ''}}]\n",
        "dns: {hmac_md5: false, rate_limit: 0, forward: {networks: [], upstreams: []}}\n",
        "dns: {query_log: false, forward: {routes: {}}}\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(same); i++) {
        for (size_t k = 0; k < ARRAY_N(same); k++) {
            check(same[i], same[k], "");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_needs_a_restart),
        cmocka_unit_test(what_a_reload_takes_is_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
