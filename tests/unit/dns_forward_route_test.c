/* Who is asked about a name, and what the library is told. */
#include "dns_maker.h"

#include "core/util/mem.h"
#include "dns/forward_int.h"

#define FORWARD                                                                                    \
    "dns: {forward: {networks: [10.0.0.0/8], upstreams: [10.0.0.1, \"[2001:db8::1]:5353\"], "      \
    "routes: {corp.example: [10.0.0.2], lab.corp.example: [10.0.0.3, 10.0.0.4], x: [10.0.0.5], "   \
    "localhost: [10.0.0.6]}}}\n"

struct made {
    struct config *cfg;
    struct forward_routes routes;
};

static struct made make_routes(const char *text, const struct ip_endpoint *own, size_t own_n)
{
    struct made made = {.cfg = make_config(text)};
    const struct forward_options options = {.cfg = made.cfg, .own = own, .own_n = own_n};

    assert_int_equal(forward_routes_make(&options, &made.routes).code, ERR_OK);
    return made;
}

static void made_clear(struct made *made)
{
    forward_routes_clear(&made->routes);
    config_free(made->cfg);
}

static void test_longest_suffix(void **state)
{
    static const struct {
        const char *name, *route;
    } rows[] = {
        {".", "."},
        {"example", "."},
        {"corp.example.net", "."},
        {"xcorp.example", "."},
        {"a\\046corp.example", "."}, /* one label with a dot in it */
        {"corp.example", "corp.example"},
        {"www.corp.example", "corp.example"},
        {"lab.corp.example", "lab.corp.example"},
        {"a.b.lab.corp.example", "lab.corp.example"},
        {"x", "x"},
        {"y.x", "x"},
    };
    struct made made = make_routes(MAKER_CONFIG FORWARD, NULL, 0);
    struct ip_addr ip;
    (void)state;

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        assert_string_equal(forward_route_of(&made.routes, rows[i].name)->name, rows[i].route);
    }
    assert_int_equal(ip_parse("10.0.0.4", &ip).code, ERR_OK);
    assert_true(forward_routes_have(&made.routes, &ip));
    assert_int_equal(ip_parse("10.0.0.7", &ip).code, ERR_OK);
    assert_false(forward_routes_have(&made.routes, &ip));
    made_clear(&made);
}

static void test_own_are_left_out(void **state)
{
    struct ip_endpoint own[2];
    (void)state;

    assert_int_equal(ip_endpoint_parse("10.0.0.3:53", 0, &own[0]).code, ERR_OK);
    assert_int_equal(ip_endpoint_parse("10.0.0.2:54", 0, &own[1]).code, ERR_OK);
    struct made made = make_routes(MAKER_CONFIG FORWARD, own, ARRAY_N(own));
    const struct forward_route *lab = forward_route_of(&made.routes, "lab.corp.example");
    assert_int_equal(lab->servers_n, 1);
    assert_int_equal(lab->servers[0].addr.bytes[3], 4);
    assert_int_equal(forward_route_of(&made.routes, "corp.example")->servers_n, 1);
    made_clear(&made);

    /* every local address with that port */
    assert_int_equal(ip_endpoint_parse("0.0.0.0:53", 0, &own[0]).code, ERR_OK);
    made = make_routes(MAKER_CONFIG "dns: {forward: {networks: [10.0.0.0/8], upstreams: "
                                    "[127.0.0.1, \"127.0.0.1:54\", 192.0.2.99]}}\n",
                       own, 1);
    assert_int_equal(forward_route_of(&made.routes, "a.example")->servers_n, 2);
    made_clear(&made);
}

static void test_configuration(void **state)
{
    static const char *const parts[] = {
        "forward-zone:\n  name: \".\"\n  forward-addr: 10.0.0.1@53\n"
        "  forward-addr: 2001:db8::1@5353\n",
        "forward-zone:\n  name: \"corp.example.\"\n  forward-addr: 10.0.0.2@53\n",
        "forward-zone:\n  name: \"lab.corp.example.\"\n  forward-addr: 10.0.0.3@53\n"
        "  forward-addr: 10.0.0.4@53\n",
        "  module-config: \"iterator\"\n",
        "  do-not-query-localhost: no\n",
        "  local-zone: \"home.arpa.\" nodefault\n",
        "  local-zone: \"localhost.\" nodefault\n", /* there is a route */
        "  msg-cache-size: 2097152\n  rrset-cache-size: 5242880\n",
    };
    struct made made = make_routes(MAKER_CONFIG FORWARD, NULL, 0);
    struct buf conf = BUF_INIT(65536);
    (void)state;

    forward_routes_write(&made.routes, &conf);
    assert_int_equal(buf_check(&conf).code, ERR_OK);
    for (size_t i = 0; i < ARRAY_N(parts); i++) {
        if (strstr(buf_str(&conf), parts[i]) == NULL) {
            fail_msg("no '%s' in %s", parts[i], buf_str(&conf));
        }
    }
    assert_null(strstr(buf_str(&conf), "\"invalid.\" nodefault"));
    struct forward_ub *ub = NULL;
    assert_int_equal(forward_ub_new(&conf, &ub).code, ERR_OK); /* the library knows every word */
    forward_ub_free(ub);
    made_clear(&made);

    /* no upstreams: nobody is asked, not even the root's servers */
    made = make_routes(MAKER_CONFIG "dns: {forward: {networks: [10.0.0.0/8], routes: "
                                    "{corp.example: [10.0.0.2]}}}\n",
                       NULL, 0);
    buf_reset(&conf);
    forward_routes_write(&made.routes, &conf);
    assert_non_null(strstr(buf_str(&conf), "name: \".\"\n  forward-addr: 0.0.0.1\n"));
    assert_int_equal(forward_route_of(&made.routes, "example")->servers_n, 0);
    made_clear(&made);
    buf_clear(&conf);
}

static void test_refused_configuration(void **state)
{
    struct buf conf = BUF_INIT(4096);
    struct forward_ub *ub = NULL;
    (void)state;

    buf_puts(&conf, "server:\n  no-such-option: yes\n");
    assert_int_equal(forward_ub_new(&conf, &ub).code, ERR_INTERNAL);
    assert_null(ub);
    buf_clear(&conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longest_suffix),
        cmocka_unit_test(test_own_are_left_out),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_refused_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
