/* Which addresses and ports a validation may connect to. */
#include "acme-server/acme_impl.h"
#include "acme-server/validate_net_int.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

#include <ifaddrs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct config_acme settings;
    struct acme acme;
    struct val_net net;
};

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));

    w->acme.settings = &w->settings;
    w->net.acme = &w->acme;
    assert_int_equal(val_locals_new(&w->net.locals).code, ERR_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    val_locals_free(w->net.locals);
    mem_free(w);
    return 0;
}

static struct ip_endpoint endpoint(const char *text)
{
    struct ip_endpoint ep;

    assert_int_equal(ip_endpoint_parse(text, 80, &ep).code, ERR_OK);
    return ep;
}

static const char *asked(const struct world *w, const char *text)
{
    struct ip_endpoint ep = endpoint(text);
    const char *why = "?";

    return val_target_allowed(&w->net, &ep, &why) ? "" : why;
}

static const struct {
    const char *target, *why; /* "": allowed */
} NETWORKS[] = {
    {"0.0.0.0", "unspecified"},
    {"0.1.2.3", "unspecified"},
    {"127.0.0.1", "loopback"},
    {"127.255.255.254", "loopback"},
    {"169.254.0.1", "link-local"},
    {"169.254.169.254", "link-local"},
    {"224.0.0.1", "multicast"},
    {"239.255.255.255", "multicast"},
    {"255.255.255.255", "broadcast"},
    {"[::]", "unspecified"},
    {"[::1]", "loopback"},
    {"[fe80::1]", "link-local"},
    {"[febf::1]", "link-local"},
    {"[ff02::1]", "multicast"},
    {"[::ffff:127.0.0.1]", "loopback"},
    {"[::127.0.0.1]", "loopback"},
    {"[2002:7f00:1::1]", "loopback"},
    {"[2002:a9fe:a9fe::]", "link-local"},
    {"[2001:0:7f00:1::]", "loopback"},             /* Teredo's server */
    {"[2001:0:a00:1:0:0:80ff:fffe]", "loopback"},  /* its client 127.0.0.1, flipped */
    {"[2001:0:a00:1:0:0:1fff:fffe]", "multicast"}, /* 224.0.0.1 */
    {"[64:ff9b::127.0.0.1]", "loopback"},
    {"[64:ff9b::a9fe:a9fe]", "link-local"},
    {"[64:ff9b:1::127.0.0.1]", "loopback"},
    {"[64:ff9b:1:7f00:0:100::]", "loopback"}, /* RFC 6052 §2.2, a /48 */
    {"10.0.0.1", ""},
    {"192.168.0.255", ""},
    {"1.1.1.1", ""},
    {"128.0.0.1", ""},
    {"126.255.255.255", ""},
    {"169.253.255.255", ""},
    {"223.255.255.255", ""},
    {"[fd00::1]", ""},
    {"[fec0::1]", ""},
    {"[2001:db8::1]", ""},
    {"[2002:a00:1::1]", ""},
    {"[2001:0:a00:1:0:0:f5ff:fffe]", ""},
    {"[64:ff9b::10.0.0.1]", ""},
    {"[64:ff9b:1:a00:0:100::]", ""},
    {"[64:ff9b:1::10.0.0.1]", ""},
    {"[64:ff9b:1:a00:0:100:a00:1]", ""},
};

static void test_networks(void **state)
{
    for (size_t i = 0; i < ARRAY_N(NETWORKS); i++) {
        const char *why = asked(*state, NETWORKS[i].target);
        if (NETWORKS[i].why[0] == '\0' ? why[0] != '\0' : strstr(why, NETWORKS[i].why) == NULL) {
            fail_msg("%s: '%s'", NETWORKS[i].target, why);
        }
    }
}

static void test_no_address_is_refused(void **state)
{
    const struct world *w = *state;
    const struct ip_endpoint none = {.port = 80};
    const char *why = NULL;

    assert_false(val_target_allowed(&w->net, &none, &why));
    assert_non_null(why);
}

static void test_what_the_configuration_allows(void **state)
{
    struct world *w = *state;
    struct ip_net allow[2];
    struct ip_endpoint own[] = {endpoint("127.0.0.1:443")};

    assert_int_equal(ip_net_parse("127.0.0.0/8", &allow[0]).code, ERR_OK);
    assert_int_equal(ip_net_parse("fe80::/64", &allow[1]).code, ERR_OK);
    w->settings.allow = allow;
    w->settings.allow_n = 2;
    w->net.own = own;
    w->net.own_n = 1;
    assert_string_equal(asked(w, "127.0.0.1"), "");
    assert_string_equal(asked(w, "127.0.0.1:443"), ""); /* ours, but said to be allowed */
    assert_string_equal(asked(w, "[::ffff:127.0.0.1]"), "");
    assert_string_equal(asked(w, "[fe80::7]"), "");
    assert_string_not_equal(asked(w, "[fe80:0:0:1::7]"), "");
    assert_string_not_equal(asked(w, "[::1]"), "");
    assert_string_not_equal(asked(w, "[2002:7f00:1::1]"), ""); /* another address is meant */
}

static void test_own_listeners(void **state)
{
    struct world *w = *state;
    struct ip_endpoint own[] = {endpoint("10.0.0.1:443"), endpoint("[2001:db8::1]:53")};

    w->net.own = own;
    w->net.own_n = 2;
    assert_non_null(strstr(asked(w, "10.0.0.1:443"), "listens"));
    assert_non_null(strstr(asked(w, "[2001:db8::1]:53"), "listens"));
    assert_non_null(strstr(asked(w, "[2002:a00:1::1]:443"), "listens"));
    assert_non_null(strstr(asked(w, "[64:ff9b::10.0.0.1]:443"), "listens"));
    assert_string_equal(asked(w, "10.0.0.1:80"), "");
    assert_string_equal(asked(w, "10.0.0.2:443"), "");
    assert_string_equal(asked(w, "[2001:db8::1]:443"), "");
}

/* An address of this machine that is no loopback one, if there is one. */
static bool own_address(int family, char out[IP_TEXT_MAX + 3])
{
    struct ifaddrs *first = NULL;
    bool is_found = false;

    assert_int_equal(getifaddrs(&first), 0);
    for (const struct ifaddrs *one = first; one != NULL && !is_found; one = one->ifa_next) {
        struct ip_addr ip = {0};
        char text[IP_TEXT_MAX + 1];
        if (one->ifa_addr != NULL && one->ifa_addr->sa_family == family) {
            ip = ip_from_sockaddr(one->ifa_addr);
        }
        bool is_plain = ip.family == 4 ? ip.bytes[0] != 127 && ip.bytes[0] != 169
                                       : ip.family == 6 && (ip.bytes[0] & 0xe0) == 0x20;
        if (is_plain) {
            ip_text(&ip, text);
            (void)snprintf(out, IP_TEXT_MAX + 3, ip.family == 4 ? "%s" : "[%s]", text);
            is_found = true;
        }
    }
    freeifaddrs(first);
    return is_found;
}

static void test_wildcard_listeners(void **state)
{
    static const struct {
        int family;
        const char *wildcard, *other, *foreign;
    } CASES[] = {
        {AF_INET, "0.0.0.0:7443", "[::]:7443", "203.0.113.77:7443"},
        {AF_INET6, "[::]:7443", "0.0.0.0:7443", "[2001:db8::4d]:7443"},
    };
    struct world *w = *state;
    struct ip_endpoint own;

    w->net.own = &own;
    w->net.own_n = 1;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        char address[IP_TEXT_MAX + 3];
        char target[IP_TEXT_MAX + 10];
        own = endpoint(CASES[i].wildcard);
        assert_string_equal(asked(w, CASES[i].foreign), "");
        if (!own_address(CASES[i].family, address)) {
            continue; /* a machine without such an address: what is local is shown below */
        }
        (void)snprintf(target, sizeof(target), "%s:7443", address);
        assert_non_null(strstr(asked(w, target), "listens"));
        own = endpoint(CASES[i].other); /* takes the other family only */
        assert_string_equal(asked(w, target), "");
        own = endpoint(CASES[i].wildcard);
        (void)snprintf(target, sizeof(target), "%s:7444", address);
        assert_string_equal(asked(w, target), "");
    }
}

/* The addresses of this machine are remembered for some seconds and then read again. */
static void test_local_addresses_later(void **state)
{
    struct world *w = *state;
    struct ip_endpoint own = endpoint("0.0.0.0:7443");
    char address[IP_TEXT_MAX + 3];
    char target[IP_TEXT_MAX + 10];

    w->net.own = &own;
    w->net.own_n = 1;
    bool has_address = own_address(AF_INET, address);
    (void)snprintf(target, sizeof(target), "%s:7443", has_address ? address : "203.0.113.77");
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(asked(w, target)[0] != '\0', has_address);
        assert_string_equal(asked(w, "203.0.113.78:7443"), "");
        clock_shift(2000);
    }
    clock_shift(-12000);
}

int main(void)
{
#define ON_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_WORLD(test_networks),
        ON_WORLD(test_no_address_is_refused),
        ON_WORLD(test_what_the_configuration_allows),
        ON_WORLD(test_own_listeners),
        ON_WORLD(test_wildcard_listeners),
        ON_WORLD(test_local_addresses_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
