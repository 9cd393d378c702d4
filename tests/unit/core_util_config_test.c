/* The file: positions and sentences of faults, then what good files become. */
#include "core/util/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"

#define SECRET "aaaaBBBBccccDDDDeeeeFFFF00001111"
#define PROBLEMS_MAX 65536u

struct bad_case {
    const char *text;
    const char *line; /* a whole line of the problem list, or its beginning */
};

static const struct bad_case SYNTAX[] = {
    {"open: fasle\n", "t.yaml:1:7: open: 'fasle' is not a boolean; write true or false"},
    {"# x\n\nopen: yes\n", "t.yaml:3:7: open: 'yes' is not a boolean"},
    {"open: [true]\n", "t.yaml:1:7: open: expects one value, not a list"},
    {"open: {a: 1}\n", "t.yaml:1:7: open: expects one value, not a mapping"},
    {"open:\n", "t.yaml:1:6: open: has no value"},
    {"open: ~\n", "t.yaml:1:7: open: has no value"},
    {"stat_dir: /x\n", "t.yaml:1:1: stat_dir: unknown key; did you mean state_dir?"},
    {"acme:\n  retry_aftr: 1s\n",
     "t.yaml:2:3: acme.retry_aftr: unknown key; did you mean acme.retry_after?"},
    {"quite_else: 1\n", "t.yaml:1:1: quite_else: unknown key\n"},
    {"op\xc3\x8f: 1\n", "t.yaml:1:1: op?"},
    {"zones.name: x\n", "t.yaml:1:1: zones.name: unknown key"},
    {"acme.retry_after: 1s\n", "t.yaml:1:1: acme.retry_after: unknown key"},
    {"zones: [{transfer.key: x}]\n", "t.yaml:1:10: zones.transfer.key: unknown key"},
    {"zones: [{transfer.key: \"\"}]\n", "t.yaml:1:10: zones.transfer.key: unknown key"},
    {"open: false\nopen: false\n", "t.yaml:2:1: open: the key is written twice"},
    {"log: {level: info}\nlog: {level: info}\n", "t.yaml:2:1: log: the key is written twice"},
    {"log: info\n", "t.yaml:1:6: log: expects a mapping of keys to values"},
    {"- a\n", "t.yaml:1:1: expects a mapping of keys to values"},
    {"just text\n", "t.yaml:1:1: expects a mapping of keys to values"},
    {"[a]: 1\n", "t.yaml:1:1: expects one value here, not a list"},
    {"a: &x 1\nb: *x\n", "t.yaml:2:4: aliases (*name) are not allowed"},
    {"open: !!bool true\n", "t.yaml:1:7: tags (!name) are not allowed"},
    {"%YAML 1.1\n---\nopen: false\n", "t.yaml:1:1: directives (%NAME) are not allowed"},
    {"open: false\n---\nopen: false\n", "t.yaml:2:1: only one document is allowed; remove '---'"},
    {"open: false\n...\n", "t.yaml:2:1: only one document is allowed; remove '...'"},
    {"listen:\n\thttps: []\n", "t.yaml:2:1: not YAML: "},
    {"open: 'x\n", "t.yaml:2:1: not YAML: "},
    {"open: \"\\x01\"\n", "t.yaml:1:7: open: a control character or line break"},
    {"hostname: \xff\xfe\n", "t.yaml:1:11: not YAML: "},
};

static const struct bad_case VALUES[] = {
    {"hostname: a_b.test\n", "t.yaml:1:11: hostname: 'a_b.test' is not a DNS name: only letters"},
    {"hostname: x.test.\n",
     "t.yaml:1:11: hostname: 'x.test.' is not a DNS name: the name ends with a dot"},
    {"addresses: 10.0.0.1\n", "t.yaml:1:12: addresses: expects a list"},
    {"addresses: [10.0.0.1, 10.0.0.256]\n",
     "t.yaml:1:23: addresses: '10.0.0.256' is not an IPv4 or IPv6 address"},
    {"addresses: [[10.0.0.1]]\n", "t.yaml:1:13: addresses: expects one value here, not a list"},
    {"public_url: ftp://x\n", "t.yaml:1:13: public_url: 'ftp://x' is not a URL"},
    {"public_url: http://ca.test\n", "t.yaml:1:13: public_url: 'http://ca.test' is not https://"},
    {"public_url: https://ca.test/acme\n", "t.yaml:1:13: public_url: "},
    {"public_url: https://u@ca.test\n", "t.yaml:1:13: public_url: "},
    {"public_url: https://ca.test:0\n", "t.yaml:1:13: public_url: "},
    {"public_url: https://ca.test:65536\n", "t.yaml:1:13: public_url: "},
    {"public_url: 'https://ca.test:'\n", "t.yaml:1:13: public_url: "},
    {"public_url: https://\n", "t.yaml:1:13: public_url: "},
    {"public_url: 'https://a b'\n", "t.yaml:1:13: public_url: 'https://a b' holds a space"},
    {"public_url: 'https://fd00::1'\n", "t.yaml:1:13: public_url: "},
    {"listen: {dns: [10.0.0.1]}\n", "t.yaml:1:16: listen.dns: '10.0.0.1' lacks a port"},
    {"listen: {dns: ['0.0.0.0:0']}\n", "t.yaml:1:16: listen.dns: '0.0.0.0:0': port 0"},
    {"listen: {dns: ['0.0.0.0:99999']}\n", "t.yaml:1:16: listen.dns: port 99999 is above 65535"},
    {"listen: {https: []}\n", "t.yaml:1:17: listen.https: at least one address is needed"},
    {"listen: {https: ['[::1]:8080'], http: ['[::1]:8080']}\n",
     "t.yaml:1:39: listen.http: [::1]:8080 is in listen.https as well"},
    {"open_networks: [10.0.0.1/8]\n",
     "t.yaml:1:17: open_networks: '10.0.0.1/8' has bits set behind its prefix"},
    {"acme: {retry_after: 1x}\n", "t.yaml:1:21: acme.retry_after: '1x' is not a duration"},
    {"acme: {retry_after: 0}\n", "t.yaml:1:21: acme.retry_after: '0' is out of range"},
    {"acme: {retry_after: -1s}\n", "t.yaml:1:21: acme.retry_after: '-1s' is not a duration"},
    {"acme: {authorization_reuse: 91d}\n",
     "t.yaml:1:29: acme.authorization_reuse: '91d' is out of range"},
    {"acme: {authorization_reuse: 99999999999d}\n",
     "t.yaml:1:29: acme.authorization_reuse: '99999999999d' is not a duration"},
    {"acme: {orders_per_page: 0}\n",
     "t.yaml:1:25: acme.orders_per_page: '0' is not a whole number from 1 to 1000"},
    {"acme: {min_rsa_bits: 1024}\n", "t.yaml:1:22: acme.min_rsa_bits: '1024' is not a whole"},
    {"acme: {blocked_names: ['*.x']}\n", "t.yaml:1:24: acme.blocked_names: '*.x' is not a DNS"},
    {"acme: {terms_of_service: terms}\n", "t.yaml:1:26: acme.terms_of_service: 'terms' is not a"},
    {"ca: {key: rsa}\n", "t.yaml:1:11: ca.key: 'rsa' is not one of ecdsa-p256, ecdsa-p384, rsa-2"},
    {"log: {level: INFO}\n", "t.yaml:1:14: log.level: 'INFO' is not one of error, warn, info, deb"},
    {"tls: {cert: /x}\n", "t.yaml:1:13: tls.cert: tls.key is missing; set both or none"},
    {"tls: {key: /x}\n", "t.yaml:1:12: tls.key: tls.cert is missing; set both or none"},
    {"state_dir: ''\n", "t.yaml:1:12: state_dir: the path is empty"},
    {"validation: {http_port: 0}\n",
     "t.yaml:1:25: validation.http_port: '0' is not a whole number from 1 to 65535"},
    {"validation: {tls_port: 65536}\n", "t.yaml:1:24: validation.tls_port: '65536' is not a who"},
    {"validation: {allow: 127.0.0.0/8}\n", "t.yaml:1:21: validation.allow: expects a list"},
    {"validation: {allow: [localhost]}\n", "t.yaml:1:22: validation.allow: 'localhost' is not"},
    {"validation: {allow: [127.0.0.1/8]}\n", "t.yaml:1:22: validation.allow: '127.0.0.1/8' has"},
    {"acme: {caa: strict}\n", "t.yaml:1:13: acme.caa: 'strict' is not one of report, enforce, off"},
    {"acme: {caa: false}\n", "t.yaml:1:13: acme.caa: 'false' is not one of"},
    {"acme: {external_account_required: yes}\n",
     "t.yaml:1:35: acme.external_account_required: 'yes' is not a boolean"},
    {"acme: {ip_networks: [10.0.0.0/33]}\n", "t.yaml:1:22: acme.ip_networks: '10.0.0.0/33'"},
    {"acme: {rate_limits: []}\n", "t.yaml:1:21: acme.rate_limits: expects a mapping"},
    {"acme: {rate_limits: {a: 1}}\n", "t.yaml:1:22: acme.rate_limits.a: unknown key"},
    {"acme: {rate_limits: {order: 1}}\n",
     "t.yaml:1:22: acme.rate_limits.order: unknown key; did you mean acme.rate_limits.orders?"},
    {"acme: {rate_limits: {orders: -1}}\n",
     "t.yaml:1:30: acme.rate_limits.orders: '-1' is not a whole number from 0 to 1000000"},
    {"acme: {rate_limits: {new_accounts: 60/h}}\n",
     "t.yaml:1:36: acme.rate_limits.new_accounts: '60/h' is not a whole number"},
    {"acme: {rate_limits: {failed_validations: 1.5}}\n",
     "t.yaml:1:42: acme.rate_limits.failed_validations: '1.5' is not a whole"},
    {"acme: {rate_limits: {pending_validations: 1000001}}\n",
     "t.yaml:1:43: acme.rate_limits.pending_validations: '1000001' is not a whole"},
};

static const struct bad_case DNS[] = {
    {"zones: [{name: a.test, plain: yes}]\n", "t.yaml:1:31: zones.plain: 'yes' is not a boolean"},
    {"zones: [{name: a.test, plain: true, ingress: [10.0.0.1]}]\n",
     "t.yaml:1:9: zones: zone 'a.test' is plain, so its ingress would answer nothing; remove"},
    {"zones: [{name: a.test, plain: true, serve: false}]\n",
     "t.yaml:1:9: zones: zone 'a.test' has serve: false, and plain says how a zone is served"},
    {"zones: [{name: a.test, serve: false, file: /x}]\n",
     "t.yaml:1:9: zones: zone 'a.test' has serve: false, so nobody could see the records"},
    {"zones: [{name: a.test, serve: false, transfer: {allow: [10.0.0.0/8]}}]\n",
     "t.yaml:1:9: zones: zone 'a.test' has serve: false, so there is nothing to transfer"},
    {"zones: [{name: a.test, serve: false, transfer: {key: a}}]\n",
     "t.yaml:1:9: zones: zone 'a.test' has serve: false, so there is nothing to transfer"},
    {"zones: [{name: a.test, serve: false, transfer: {notify: [10.0.0.1]}}]\n",
     "t.yaml:1:9: zones: zone 'a.test' has serve: false, so there is nothing to transfer"},
    {"delegate_zone: d.test\nzones: [{name: ., transfer: {allow: [10.0.0.0/8]}}]\n",
     "t.yaml:2:9: zones: '.' stands for every name and is no zone that could be transferred"},
    {"delegate_zone: d.test\nzones: [{name: ., plain: true, transfer: {key: a}}]\n",
     "t.yaml:2:9: zones: '.' stands for every name and is no zone that could be transferred"},
    {"delegate_zone: d.test\nzones: [{name: ., transfer: {notify: [10.0.0.1]}}]\n",
     "t.yaml:2:9: zones: '.' stands for every name and is no zone that could be transferred"},
    {"zones: [{name: a.test, transfer: {notify: [10.0.0.1]}}]\n",
     "t.yaml:1:9: zones: zone 'a.test' notifies servers that may not transfer it"},
    {"zones: [{name: a.test, transfer: {allow: [10.0.0.1/8]}}]\n",
     "t.yaml:1:43: zones.transfer.allow: '10.0.0.1/8' has bits set"},
    {"zones: [{name: a.test, transfer: {allow: [10.0.0.0/8], notify: ['10.0.0.1:0']}}]\n",
     "t.yaml:1:65: zones.transfer.notify: '10.0.0.1:0': port 0 cannot be used"},
    {"zones: [{name: a.test, transfer: {key: a b}}]\n",
     "t.yaml:1:40: zones.transfer.key: 'a b' is not a client name"},
    {"zones: [{name: a.test, transfer: [10.0.0.1]}]\n",
     "t.yaml:1:34: zones.transfer: expects a mapping"},
    {"dns: {hmac_md5: 1}\n", "t.yaml:1:17: dns.hmac_md5: '1' is not a boolean"},
    {"dns: {rate_limit: 1000001}\n",
     "t.yaml:1:19: dns.rate_limit: '1000001' is not a whole number from 0 to 1000000"},
    {"dns: {query_log: on}\n", "t.yaml:1:18: dns.query_log: 'on' is not a boolean"},
    {"dns: {forward: {networks: [10.0.0.0/8]}}\n",
     "t.yaml:1:27: dns.forward.networks: there is no server to forward to; list some in"},
    {"dns: {forward: {upstreams: [1.1.1.1]}}\n",
     "t.yaml:1:28: dns.forward.upstreams: nobody may ask through this server; list who may in"},
    {"dns: {forward: {routes: {a.test: [1.1.1.1]}}}\n",
     "t.yaml:1:25: dns.forward.routes: nobody may ask through this server"},
    {"dns: {forward: {routes: [a.test]}}\n",
     "t.yaml:1:25: dns.forward.routes: expects a mapping of names to servers"},
    {"dns: {forward: {routes: a.test}}\n", "t.yaml:1:25: dns.forward.routes: expects a mapping"},
    {"dns: {forward: {routes: {a.test: b}}}\n",
     "t.yaml:1:34: dns.forward.routes: 'b' is not an IPv4 or IPv6 address"},
    {"dns: {forward: {routes: {a.test: {b: c}}}}\n",
     "t.yaml:1:34: dns.forward.routes: expects one value here, not a mapping"},
    {"dns: {forward: {routes: {a.test: []}}}\n",
     "t.yaml:1:26: dns.forward.routes: the route for 'a.test' has no servers; write at least"},
    {"dns: {forward: {routes: {a.test: }}}\n", "t.yaml:1:34: dns.forward.routes: has no value"},
    {"dns: {forward: {routes: {a_b.test: [1.1.1.1]}}}\n",
     "t.yaml:1:26: dns.forward.routes: 'a_b.test' is not a DNS name"},
    {"dns: {forward: {routes: {'': [1.1.1.1]}}}\n",
     "t.yaml:1:26: dns.forward.routes: '' is not a DNS name"},
    {"dns: {forward: {routes: {'.': [1.1.1.1]}}}\n",
     "t.yaml:1:26: dns.forward.routes: a route for every name is what dns.forward.upstreams is"},
    {"dns: {forward: {routes: {? [a] : [1.1.1.1]}}}\n",
     "t.yaml:1:28: dns.forward.routes: expects one value here, not a list"},
    {"dns: {forward: {routes: {a.test: [1.1.1.1], A.test: 1.1.1.1}}}\n",
     "t.yaml:1:45: dns.forward.routes: 'a.test' is listed twice"},
};

static const struct bad_case THINGS[] = {
    {"zones: svc.test\n", "t.yaml:1:8: zones: expects a list"},
    {"zones: [{ingress: [10.0.0.1]}]\n", "t.yaml:1:9: zones: the zone has no name"},
    {"zones: [a.test, A.test]\n", "t.yaml:1:17: zones: zone 'a.test' is listed twice"},
    {"zones: ['.']\n", "t.yaml: delegate_zone: zones: [\".\"] has no name to derive it from"},
    {"zones: ['.']\ndelegate_zone: acme.a.test\nopen: true\n",
     "t.yaml:3:7: open: with zones: [\".\"] anybody in open_networks could get any name; set "},
    {"zones: [a.test]\ndelegate_zone: a.test\n",
     "t.yaml:2:16: delegate_zone: 'a.test' is a zone itself"},
    {"zones: [a.test, x.acme.a.test]\n",
     "t.yaml: delegate_zone: zone 'x.acme.a.test' lies inside the delegate zone"},
    {"zones: [a.test]\nhostname: ca.acme.a.test\n",
     "t.yaml:2:11: hostname: 'ca.acme.a.test' lies inside the delegate zone"},
    {"clients: [traefik]\n", "t.yaml:1:11: clients: expects a mapping with name, secret and names"},
    {"clients: [{secret: " SECRET ", names: [x]}]\n", "t.yaml:1:11: clients: the client has no na"},
    {"clients: [{name: a, names: [x]}]\n", "t.yaml:1:11: clients: client 'a' has no secret"},
    {"clients: [{name: a, secret: " SECRET "}]\n", "t.yaml:1:11: clients: client 'a' has no names"},
    {"clients: [{name: a b, secret: " SECRET ", names: [x]}]\n",
     "t.yaml:1:18: clients.name: 'a b' is not a client name"},
    {"clients: [{name: a, secret: short, names: [x]}]\n",
     "t.yaml:1:29: clients.secret: not a secret: it must have at least 32 characters"},
    {"clients: [{name: a, secret: " SECRET "x, names: [x]}]\n",
     "t.yaml:1:29: clients.secret: not a secret: its length must be a multiple of 4"},
    {"clients: [{name: a, secret: '" SECRET "----', names: [x]}]\n",
     "t.yaml:1:29: clients.secret: not a secret: only letters and digits"},
    {"clients: [{name: a, secret: " SECRET ", names: ['*.*.x']}]\n",
     "t.yaml:1:71: clients.names: '*.*.x' is not a name, *.name or *: "},
    {"clients: [{name: a, secret: " SECRET ", secret_file: /x, names: [x]}]\n",
     "t.yaml:1:76: clients.secret_file: files are not read here"},
    {"clients:\n- {name: a, secret: " SECRET ", names: [x]}\n"
     "- {name: a, secret: " SECRET ", names: [y]}\n",
     "t.yaml:3:3: clients: client 'a' is listed twice"},
    {"clients: [{name: a, secret: " SECRET ", names: [x], preauthorized: 1}]\n",
     "t.yaml:1:90: clients.preauthorized: '1' is not a boolean"},
    {"clients: [{name: a, secret: " SECRET ", preauthorized: true}]\n",
     "t.yaml:1:11: clients: client 'a' is preauthorized, but has no names"},
    {"clients: [{name: a, secret: " SECRET ", names: [x], limits: 100}]\n",
     "t.yaml:1:83: clients.limits: '100' is not a boolean"},
};

static const struct bad_case PROFILES[] = {
    {"profiles: {name: week}\n", "t.yaml:1:11: profiles: expects a list"},
    {"profiles: [week]\n", "t.yaml:1:12: profiles: expects a mapping with name and lifetime"},
    {"profiles: [{lifetime: 7d}]\n", "t.yaml:1:12: profiles: the profile has no name"},
    {"profiles: [{name: week}]\n",
     "t.yaml:1:12: profiles: profile 'week' has no lifetime; write one"},
    {"profiles: [{name: '', lifetime: 7d}]\n",
     "t.yaml:1:19: profiles.name: '' is not a profile name; write 1 to 32 letters"},
    {"profiles: [{name: a/b, lifetime: 7d}]\n", "t.yaml:1:19: profiles.name: 'a/b' is not a"},
    {"profiles: [{name: aaaaaaaabbbbbbbbccccccccdddddddde, lifetime: 7d}]\n",
     "t.yaml:1:19: profiles.name: 'aaaaaaaabbbbbbbbccccccccdddddddde' is not a profile name"},
    {"profiles: [{name: default, lifetime: 7d}]\n",
     "t.yaml:1:19: profiles.name: 'default' is built in and cannot be replaced; choose another"},
    {"profiles: [{name: Month, lifetime: 7d}]\n", "t.yaml:1:19: profiles.name: 'Month' is built"},
    {"profiles: [{name: short, lifetime: 7d}]\n", "t.yaml:1:19: profiles.name: 'short' is built"},
    {"profiles: [{name: a, lifetime: 59m}]\n",
     "t.yaml:1:32: profiles.lifetime: '59m' is out of range; from 1h to 825d is allowed"},
    {"profiles: [{name: a, lifetime: 826d}]\n", "t.yaml:1:32: profiles.lifetime: '826d' is out"},
    {"profiles: [{name: a, lifetime: 0}]\n", "t.yaml:1:32: profiles.lifetime: '0' is out of"},
    {"profiles: [{name: a, lifetime: 7}]\n", "t.yaml:1:32: profiles.lifetime: '7' is not a dur"},
    {"profiles: [{name: a, lifetime: 7d, usages: server-auth}]\n",
     "t.yaml:1:44: profiles.usages: expects a list"},
    {"profiles: [{name: a, lifetime: 7d, usages: []}]\n",
     "t.yaml:1:44: profiles.usages: the list is empty; name at least one"},
    {"profiles: [{name: a, lifetime: 7d, usages: [code-signing]}]\n",
     "t.yaml:1:45: profiles.usages: 'code-signing' is not one of server-auth, client-auth"},
    {"profiles: [{name: a, lifetime: 7d, key_types: [ec, dsa]}]\n",
     "t.yaml:1:52: profiles.key_types: 'dsa' is not one of ec, rsa, ed25519"},
    {"profiles: [{name: a, lifetime: 7d, key_types: []}]\n",
     "t.yaml:1:47: profiles.key_types: the list is empty"},
    {"profiles: [{name: a, lifetime: 7d, description: \"x\\ny\"}]\n",
     "t.yaml:1:49: profiles.description: a control character or line break"},
    {"profiles: [{name: a, lifetime: 7d, keys: [ec]}]\n", "t.yaml:1:36: profiles.keys: unknown"},
    {"profiles:\n- {name: a, lifetime: 7d}\n- {name: A, lifetime: 8d}\n",
     "t.yaml:3:3: profiles: profile 'A' is listed twice"},
};

/* Does a line of `text` begin with `line`? */
static bool has_line(const char *text, const char *line)
{
    const char *at = strstr(text, line);

    return at != NULL && (at == text || at[-1] == '\n');
}

static void check_bad(const struct bad_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct buf problems = BUF_INIT(PROBLEMS_MAX);
        AUTO(config_freep) struct config *cfg = NULL;
        struct err e =
            config_parse("t.yaml", cases[i].text, strlen(cases[i].text), &problems, &cfg);
        if (e.code != ERR_CONFIG || !has_line(buf_str(&problems), cases[i].line)) {
            print_error("for:\n%swanted: %s\ngot: %s %s\n", cases[i].text, cases[i].line,
                        err_name(e.code), buf_str(&problems));
            fail();
        }
        assert_null(cfg);
        assert_null(strstr(buf_str(&problems), SECRET));
        buf_clear(&problems);
    }
}

static void refuses_syntax(void **state)
{
    (void)state;
    check_bad(SYNTAX, ARRAY_N(SYNTAX));
}

static void refuses_values(void **state)
{
    (void)state;
    check_bad(VALUES, ARRAY_N(VALUES));
}

static void refuses_dns_settings(void **state)
{
    (void)state;
    check_bad(DNS, ARRAY_N(DNS));
}

static void refuses_zones_and_clients(void **state)
{
    (void)state;
    check_bad(THINGS, ARRAY_N(THINGS));
}

static void refuses_profiles(void **state)
{
    (void)state;
    check_bad(PROFILES, ARRAY_N(PROFILES));
}

static void reports_all_faults_and_stops_counting(void **state)
{
    static const char text[] = "open: a\nopen_any_name: b\nnope: 1\n";
    struct buf problems = BUF_INIT(PROBLEMS_MAX);
    struct buf many = BUF_INIT(PROBLEMS_MAX);
    struct config *cfg = NULL;

    (void)state;
    assert_int_equal(config_parse("t.yaml", text, sizeof(text) - 1, &problems, &cfg).code,
                     ERR_CONFIG);
    assert_true(has_line(buf_str(&problems), "t.yaml:1:7: open:"));
    assert_true(has_line(buf_str(&problems), "t.yaml:2:16: open_any_name:"));
    assert_true(has_line(buf_str(&problems), "t.yaml:3:1: nope:"));

    for (int i = 0; i < 200; i++) {
        buf_printf(&many, "nope%d: 1\n", i);
    }
    buf_reset(&problems);
    assert_int_equal(config_parse("t.yaml", buf_str(&many), many.len, &problems, &cfg).code,
                     ERR_CONFIG);
    size_t lines = 0;
    for (const char *c = buf_str(&problems); *c != '\0'; c++) {
        lines += *c == '\n' ? 1 : 0;
    }
    assert_int_equal(lines, 51);
    buf_clear(&many);
    buf_clear(&problems);
}

static void bounds_lists(void **state)
{
    struct buf text = BUF_INIT(1u << 20);
    struct buf problems = BUF_INIT(PROBLEMS_MAX);
    struct config *cfg = NULL;

    (void)state;
    buf_puts(&text, "zones:\n");
    for (int i = 0; i < 1030; i++) {
        buf_printf(&text, "- z%d.test\n", i);
    }
    assert_int_equal(config_parse("t.yaml", buf_str(&text), text.len, &problems, &cfg).code,
                     ERR_CONFIG);
    assert_string_equal(buf_str(&problems),
                        "t.yaml:1026:3: zones: the list has more than 1024 entries\n");
    buf_reset(&text);
    buf_reset(&problems);
    buf_puts(&text, "addresses: [10.0.0.1");
    for (int i = 0; i < 1024; i++) {
        buf_puts(&text, ", 10.0.0.1");
    }
    buf_puts(&text, "]\n");
    assert_int_equal(config_parse("t.yaml", buf_str(&text), text.len, &problems, &cfg).code,
                     ERR_CONFIG);
    assert_string_equal(buf_str(&problems),
                        "t.yaml:1:12: addresses: the list has more than 1024 entries\n");
    buf_clear(&text);
    buf_clear(&problems);
}

static struct config *parse(const char *text)
{
    struct buf problems = BUF_INIT(PROBLEMS_MAX);
    struct config *cfg = NULL;
    struct err e = config_parse("t.yaml", text, strlen(text), &problems, &cfg);

    if (e.code != ERR_OK) {
        print_error("%s%s\n", buf_str(&problems), err_trace()->text);
    }
    assert_int_equal(e.code, ERR_OK);
    assert_int_equal(problems.len, 0);
    buf_clear(&problems);
    return cfg;
}

static void empty_file_gives_defaults(void **state)
{
    AUTO(config_freep) struct config *cfg = parse("");

    (void)state;
    assert_string_equal(cfg->state_dir, "/var/lib/bailiwick");
    assert_int_equal(cfg->zones_n, 1);
    assert_true(cfg->zones_are_default);
    assert_string_equal(cfg->zones[0].name, "home.arpa");
    assert_true(cfg->zones[0].is_served);
    assert_string_equal(cfg->delegate_zone, "acme.home.arpa");
    assert_string_equal(cfg->hostname, "ca.home.arpa");
    assert_string_equal(cfg->public_url, "https://ca.home.arpa");
    assert_int_equal(cfg->listen_https_n, 2);
    assert_int_equal(cfg->listen_https[1].port, 443);
    assert_int_equal(cfg->listen_dns[0].port, 53);
    assert_false(cfg->is_open);
    assert_int_equal(cfg->open_networks_n, 6);
    assert_int_equal(cfg->clients_n, 0);
    assert_int_equal(cfg->addresses_n, 1);
    assert_int_equal(cfg->acme.authorization_reuse_s, 86400);
    assert_int_equal(cfg->acme.retry_after_s, 1);
    assert_int_equal(cfg->acme.orders_per_page, 50);
    assert_int_equal(cfg->acme.min_rsa_bits, 2048);
    assert_false(cfg->acme.external_account_required);
    assert_int_equal(cfg->acme.ip_networks_n, 0);
    assert_int_equal(cfg->acme.caa, CONFIG_CAA_REPORT);
    assert_int_equal(cfg->acme.limit_new_accounts, 60);
    assert_int_equal(cfg->acme.limit_orders, 600);
    assert_int_equal(cfg->acme.limit_failed_validations, 60);
    assert_int_equal(cfg->acme.limit_pending_validations, 100);
    assert_int_equal(cfg->acme.http_port, 80);
    assert_int_equal(cfg->acme.tls_port, 443);
    assert_int_equal(cfg->acme.allow_n, 0);
    assert_int_equal(cfg->acme.profiles_n, 0);
    assert_int_equal(cfg->ca_key, CONFIG_KEY_ECDSA_P256);
    assert_int_equal(cfg->log_level, LOG_INFO);
    assert_int_equal(cfg->log_format, LOG_TEXT);
    assert_string_equal(cfg->tls_cert, "");
}

/* Every key once. */
static const char FULL[] =
    "---\n"
    "state_dir: /srv/bw\n"
    "hostname: CA.svc.dev\n"
    "addresses: [10.8.10.253, 'fd00::1']\n"
    "public_url: https://ca.svc.dev:8443/\n"
    "listen:\n  https: ['127.0.0.1:8443']\n  http: []\n  dns: ['127.0.0.1:5353', '[::1]:5353']\n"
    "zones:\n  - name: svc.dev\n    ingress: [10.8.10.252]\n    serve: false\n    file: \"\"\n"
    "    transfer: {allow: [], notify: [], key: \"\"}\n"
    "  - home.arpa\n  - a.svc.dev\n  - \".\"\n"
    "delegate_zone: acme.svc.dev\n"
    "clients:\n  - name: traefik\n    secret: " SECRET
    "\n    names: [svc.dev, \"*.svc.dev\", '*']\n"
    "    networks: [10.8.10.0/24, 'fd00::/8']\n    preauthorized: true\n    limits: false\n"
    "  - {name: two, secret: " SECRET ", names: [x.svc.dev], preauthorized: false, limits: true}\n"
    "open: true\nopen_networks: []\nopen_any_name: true\ntrusted_proxies: [10.0.0.1]\n"
    "resolvers: ['10.8.10.1:53', 10.8.10.2]\n"
    "tls: {cert: \"\", key: \"\"}\n"
    "validation: {http_port: 8080, tls_port: 8443, allow: [127.0.0.0/8, '::1']}\n"
    "acme:\n  terms_of_service: https://ca.svc.dev/terms\n  external_account_required: true\n"
    "  authorization_reuse: 0\n  retry_after: 2m\n  orders_per_page: 7\n  min_rsa_bits: 3072\n"
    "  blocked_names: [X.svc.dev]\n  ip_networks: [10.8.0.0/16]\n  caa: enforce\n"
    "  rate_limits: {new_accounts: 1, orders: 2, failed_validations: 3, pending_validations: 0}\n"
    "profiles:\n  - {name: Two_Weeks, lifetime: 14d, description: \"half \\xe4 month\"}\n"
    "  - name: mtls\n    lifetime: 36h\n    usages: [client-auth, server-auth]\n"
    "    key_types: [ec, ed25519]\n"
    "  - {name: c, lifetime: 1h, usages: [client-auth], key_types: [rsa]}\n"
    "dns: {hmac_md5: false, rate_limit: 0, forward: {networks: [], upstreams: [], routes: {}}}\n"
    "ca: {key: rsa-3072}\nlog: {level: debug, format: json}\n";

static void full_file_is_read(void **state)
{
    AUTO(config_freep) struct config *cfg = parse(FULL);

    (void)state;
    assert_string_equal(cfg->hostname, "ca.svc.dev");
    assert_string_equal(cfg->public_url, "https://ca.svc.dev:8443");
    assert_int_equal(cfg->listen_http_n, 0);
    assert_int_equal(cfg->listen_dns_n, 2);
    assert_int_equal(cfg->zones_n, 4);
    assert_false(cfg->zones[0].is_served);
    assert_int_equal(cfg->zones[0].ingress_n, 1);
    assert_false(cfg->zones_are_default);
    assert_int_equal(cfg->clients_n, 2);
    assert_true(cfg->clients[0].is_preauthorized);
    assert_false(cfg->clients[0].has_limits);
    assert_false(cfg->clients[1].is_preauthorized);
    assert_true(cfg->clients[1].has_limits);
    assert_string_equal(cfg->clients[0].secret, SECRET);
    assert_int_equal(cfg->clients[0].names_n, 3);
    assert_true(cfg->clients[0].names[1].is_below);
    assert_int_equal(cfg->clients[0].networks_n, 2);
    assert_true(cfg->is_open);
    assert_int_equal(cfg->open_networks_n, 0);
    assert_int_equal(cfg->resolvers[1].port, 53);
    assert_int_equal(cfg->acme.authorization_reuse_s, 0);
    assert_int_equal(cfg->acme.retry_after_s, 120);
    assert_string_equal(cfg->acme.blocked_names[0], "x.svc.dev");
    assert_int_equal(cfg->ca_key, CONFIG_KEY_RSA_3072);
    assert_int_equal(cfg->log_level, LOG_DEBUG);
    assert_int_equal(cfg->log_format, LOG_JSON);
}

static void dns_settings_are_read(void **state)
{
    AUTO(config_freep)
    struct config *cfg =
        parse("zones:\n  - name: a.test\n    file: /etc/bailiwick/a.zone\n    transfer: {allow: "
              "[10.0.0.0/8, 'fd00::/8'], notify: [10.0.0.1, '[fd00::1]:5353'], key: ns2}\n"
              "  - {name: 10.in-addr.arpa, plain: true, transfer: {key: \"\"}}\n"
              "clients:\n  - {name: ns2, secret: " SECRET ", names: []}\n"
              "  - {name: b, secret: " SECRET ", names: [b.a.test], records: false}\n"
              "dns:\n  hmac_md5: true\n  rate_limit: 1000000\n  query_log: true\n  forward:\n"
              "    networks: [10.0.0.0/8]\n    upstreams: [1.1.1.1, '9.9.9.9:5353']\n"
              "    routes:\n      Corp.example: [10.0.0.1, '[fd00::1]']\n"
              "      10.in-addr.arpa: 10.0.0.2:54\n");
    const struct config_dns *dns = &cfg->dns;
    const struct config_zone *zone = &cfg->zones[0];

    (void)state;
    assert_string_equal(zone->file, "/etc/bailiwick/a.zone");
    assert_false(zone->is_plain);
    assert_int_equal(zone->transfer_allow_n, 2);
    assert_int_equal(zone->transfer_allow[1].prefix_len, 8);
    assert_int_equal(zone->transfer_notify_n, 2);
    assert_int_equal(zone->transfer_notify[0].port, 53);
    assert_int_equal(zone->transfer_notify[1].port, 5353);
    assert_string_equal(zone->transfer_key, "ns2");
    assert_true(cfg->zones[1].is_plain);
    assert_string_equal(cfg->zones[1].file, "");
    assert_string_equal(cfg->zones[1].transfer_key, "");
    assert_int_equal(cfg->clients[0].names_n, 0);
    assert_true(cfg->clients[0].has_records);
    assert_false(cfg->clients[1].has_records);
    assert_true(dns->hmac_md5 && dns->query_log);
    assert_int_equal(dns->rate_limit, 1000000);
    assert_int_equal(dns->forward_networks_n, 1);
    assert_int_equal(dns->upstreams_n, 2);
    assert_int_equal(dns->upstreams[0].port, 53);
    assert_int_equal(dns->upstreams[1].port, 5353);
    assert_int_equal(dns->routes_n, 2);
    assert_string_equal(dns->routes[0].name, "corp.example");
    assert_int_equal(dns->routes[0].servers_n, 2);
    assert_int_equal(dns->routes[0].servers[1].addr.family, 6);
    assert_int_equal(dns->routes[0].servers[1].port, 53);
    assert_string_equal(dns->routes[1].name, "10.in-addr.arpa");
    assert_int_equal(dns->routes[1].servers_n, 1);
    assert_int_equal(dns->routes[1].servers[0].port, 54);
}

static void dns_settings_have_defaults(void **state)
{
    AUTO(config_freep) struct config *cfg = parse("zones: [a.test]\n");
    const struct config_dns *dns = &cfg->dns;

    (void)state;
    assert_false(dns->hmac_md5 || dns->query_log || cfg->zones[0].is_plain);
    assert_int_equal(dns->rate_limit, 0);
    assert_int_equal(dns->forward_networks_n + dns->upstreams_n + dns->routes_n, 0);
    assert_string_equal(cfg->zones[0].file, "");
    assert_string_equal(cfg->zones[0].transfer_key, "");
    assert_int_equal(cfg->zones[0].transfer_allow_n + cfg->zones[0].transfer_notify_n, 0);
}

static void acme_settings_are_read(void **state)
{
    AUTO(config_freep) struct config *cfg = parse(FULL);
    const struct config_acme *acme = &cfg->acme;

    (void)state;
    assert_int_equal(acme->http_port, 8080);
    assert_int_equal(acme->tls_port, 8443);
    assert_int_equal(acme->allow_n, 2);
    assert_int_equal(acme->allow[1].prefix_len, 128);
    assert_true(acme->external_account_required);
    assert_int_equal(acme->ip_networks_n, 1);
    assert_int_equal(acme->ip_networks[0].prefix_len, 16);
    assert_int_equal(acme->caa, CONFIG_CAA_ENFORCE);
    assert_int_equal(acme->limit_new_accounts, 1);
    assert_int_equal(acme->limit_orders, 2);
    assert_int_equal(acme->limit_failed_validations, 3);
    assert_int_equal(acme->limit_pending_validations, 0);
}

static void profiles_are_read(void **state)
{
    static const struct {
        const char *name, *description;
        int64_t lifetime_s;
        bool has_server_auth, has_client_auth;
        unsigned key_types;
    } wanted[] = {
        {"Two_Weeks", "half \xc3\xa4 month", 14 * 86400, true, false, 7},
        {"mtls", "36h, for servers and clients, EC and Ed25519 keys only", 36 * 3600, true, true,
         CONFIG_KEYS_EC | CONFIG_KEYS_ED25519},
        {"c", "1h, for clients, RSA keys only", 3600, false, true, CONFIG_KEYS_RSA},
    };
    AUTO(config_freep) struct config *cfg = parse(FULL);

    (void)state;
    assert_int_equal(cfg->acme.profiles_n, ARRAY_N(wanted));
    for (size_t i = 0; i < ARRAY_N(wanted); i++) {
        const struct config_profile *got = &cfg->acme.profiles[i];
        assert_string_equal(got->name, wanted[i].name);
        assert_string_equal(got->description, wanted[i].description);
        assert_int_equal(got->lifetime_s, wanted[i].lifetime_s);
        assert_int_equal(got->has_server_auth, wanted[i].has_server_auth);
        assert_int_equal(got->has_client_auth, wanted[i].has_client_auth);
        assert_int_equal(got->key_types, wanted[i].key_types);
    }
}

static void longest_zone_wins(void **state)
{
    AUTO(config_freep) struct config *cfg = parse(FULL);
    AUTO(config_freep) struct config *one = parse("zones: [svc.dev]\n");

    (void)state;
    assert_string_equal(config_zone_of(cfg, "x.a.svc.dev")->name, "a.svc.dev");
    assert_string_equal(config_zone_of(cfg, "a.svc.dev")->name, "a.svc.dev");
    assert_string_equal(config_zone_of(cfg, "ba.svc.dev")->name, "svc.dev");
    assert_string_equal(config_zone_of(cfg, "dev")->name, ".");
    assert_null(config_zone_of(one, "dev"));
    assert_null(config_zone_of(one, "xsvc.dev"));
}

static void group_without_keys_is_empty(void **state)
{
    AUTO(config_freep) struct config *cfg = parse("acme:\n# retry_after: 5s\nlog:\n");

    (void)state;
    assert_int_equal(cfg->acme.retry_after_s, 1);
}

static void client_names_and_secrets_have_a_shape(void **state)
{
    const char *why = NULL;

    (void)state;
    assert_false(config_client_name_ok(""));
    assert_false(config_client_name_ok("-a"));
    assert_false(config_client_name_ok("a:b"));
    assert_false(config_client_name_ok("a/b"));
    assert_true(config_client_name_ok("Traefik-1.home_2"));
    assert_false(config_secret_ok("", &why));
    assert_string_equal(why, "it must have at least 32 characters");
    assert_false(config_secret_ok(SECRET "!!!!", NULL));
    assert_true(config_secret_ok(SECRET, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_syntax),
        cmocka_unit_test(refuses_values),
        cmocka_unit_test(refuses_dns_settings),
        cmocka_unit_test(refuses_zones_and_clients),
        cmocka_unit_test(refuses_profiles),
        cmocka_unit_test(reports_all_faults_and_stops_counting),
        cmocka_unit_test(bounds_lists),
        cmocka_unit_test(empty_file_gives_defaults),
        cmocka_unit_test(full_file_is_read),
        cmocka_unit_test(dns_settings_are_read),
        cmocka_unit_test(dns_settings_have_defaults),
        cmocka_unit_test(acme_settings_are_read),
        cmocka_unit_test(profiles_are_read),
        cmocka_unit_test(longest_zone_wins),
        cmocka_unit_test(group_without_keys_is_empty),
        cmocka_unit_test(client_names_and_secrets_have_a_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
