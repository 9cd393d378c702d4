/* Identifiers, patterns, wire forms, delegate names, addresses and networks. */
#include "core/util/name.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define L63 "a23456789012345678901234567890123456789012345678901234567890123"
#define N253                                                                                       \
    L63 "." L63 "." L63 "."                                                                        \
        "a234567890123456789012345678901234567890123456789012345678901"

static void test_ident_refusals(void **state)
{
    static const char *const BAD[] = {
        "",
        ".",
        "*",
        "*.",
        "*.*",
        "*.*.x",
        "**.x",
        "*x.y",
        "x.*",
        "x.*.y",
        "*.x.*",
        "x.",
        "*.x.",
        ".x",
        "x..y",
        "-x.y",
        "x-.y",
        "x.-",
        "x_y.z",
        "_acme-challenge.x",
        "x y",
        "x\ty",
        "x/y",
        "x:y",
        "10.0.0.1",
        "1",
        "x.1",
        "*.10.0.0.1",
        "::1",
        "[::1]",
        "\xc3\xa4.test",
        "x\x80",
        L63 "4.test",
        N253 "x",
        "a." N253,
        "*." N253,
    };
    struct ident id;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        const char *why = NULL;
        if (ident_parse(BAD[i], strlen(BAD[i]), &id, &why).code != ERR_MALFORMED) {
            fail_msg("accepted: %s", BAD[i]);
        }
        assert_non_null(why);
        assert_true(strlen(why) > 10);
    }
    assert_int_equal(ident_parse("a\0b", 3, &id, NULL).code, ERR_MALFORMED);
}

static void test_ident(void **state)
{
    static const struct {
        const char *text;
        bool is_wildcard;
        const char *base;
    } GOOD[] = {
        {"svc.test", false, "svc.test"},   {"SVC.Test", false, "svc.test"},
        {"localhost", false, "localhost"}, {"*.svc.test", true, "svc.test"},
        {"*.test", true, "test"},          {"xn--bcher-kva.test", false, "xn--bcher-kva.test"},
        {"1.2.3.4a", false, "1.2.3.4a"},   {"3com.test", false, "3com.test"},
        {L63 ".test", false, L63 ".test"}, {N253, false, N253},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(GOOD); i++) {
        struct ident id;
        struct ident again;
        char text[IDENT_TEXT_MAX + 1];
        assert_int_equal(ident_parse(GOOD[i].text, strlen(GOOD[i].text), &id, NULL).code, ERR_OK);
        assert_int_equal(id.is_wildcard, GOOD[i].is_wildcard);
        assert_string_equal(id.base, GOOD[i].base);
        ident_text(&id, text);
        assert_int_equal(ident_parse(text, strlen(text), &again, NULL).code, ERR_OK);
        assert_true(ident_equal(&id, &again));
        again.is_wildcard = !again.is_wildcard;
        assert_false(ident_equal(&id, &again));
    }
}

static void test_below(void **state)
{
    static const struct {
        const char *name;
        const char *zone;
        bool want;
    } CASES[] = {
        {"svc.test", "svc.test", true},
        {"a.svc.test", "svc.test", true},
        {"a.b.svc.test", "svc.test", true},
        {"svc.test", ".", true},
        {"asvc.test", "svc.test", false},
        {"test", "svc.test", false},
        {"svc.test.x", "svc.test", false},
        {"svc.tests", "svc.test", false},
        {"", "svc.test", false},
        {".svc.test", "svc.test", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        if (name_is_below_or_equal(CASES[i].name, CASES[i].zone) != CASES[i].want) {
            fail_msg("%s in %s", CASES[i].name, CASES[i].zone);
        }
    }
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern;
        const char *ident;
        bool want;
    } CASES[] = {
        {"svc.test", "*.svc.test", false},
        {"svc.test", "a.svc.test", false},
        {"svc.test", "test", false},
        {"*.svc.test", "svc.test", false},
        {"*.svc.test", "asvc.test", false},
        {"*.svc.test", "*.test", false},
        {"*.svc.test", "*.asvc.test", false},
        {"*.svc.test", "test", false},
        {"svc.test", "svc.test", true},
        {"SVC.test", "svc.test", true},
        {"*.svc.test", "a.svc.test", true},
        {"*.svc.test", "a.b.svc.test", true},
        {"*.svc.test", "*.svc.test", true},
        {"*.svc.test", "*.a.svc.test", true},
        {"*", "svc.test", true},
        {"*", "*.test", true},
        {"*", "localhost", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct name_pattern p;
        struct ident id;
        assert_int_equal(
            name_pattern_parse(CASES[i].pattern, strlen(CASES[i].pattern), &p, NULL).code, ERR_OK);
        assert_int_equal(ident_parse(CASES[i].ident, strlen(CASES[i].ident), &id, NULL).code,
                         ERR_OK);
        if (name_pattern_covers(&p, &id) != CASES[i].want) {
            fail_msg("%s covers %s", CASES[i].pattern, CASES[i].ident);
        }
    }
    struct name_pattern p;
    const char *why = NULL;
    assert_int_equal(name_pattern_parse("*.*", 3, &p, &why).code, ERR_MALFORMED);
    assert_non_null(why);
    assert_int_equal(name_pattern_parse("", 0, &p, NULL).code, ERR_MALFORMED);
    assert_int_equal(name_pattern_parse("**", 2, &p, NULL).code, ERR_MALFORMED);
}

static void test_to_wire(void **state)
{
    static const char *const BAD[] = {"", "..", ".a", "a..b", L63 "4", N253 ".aa"};
    uint8_t wire[NAME_WIRE_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        size_t len = sizeof(wire);
        if (name_to_wire(BAD[i], wire, &len).code != ERR_MALFORMED) {
            fail_msg("accepted: %s", BAD[i]);
        }
    }
    size_t len = sizeof(wire);
    assert_int_equal(name_to_wire("_Acme-Challenge.x", wire, &len).code, ERR_OK);
    assert_int_equal(len, 19);
    assert_memory_equal(wire, "\x0f_acme-challenge\x01x", 19);
    assert_int_equal(name_to_wire("_acme-challenge.x", wire, &len).code, ERR_OK); /* just fits */
    len = 18;
    assert_int_equal(name_to_wire("_acme-challenge.x", wire, &len).code, ERR_MALFORMED);
    len = 1;
    assert_int_equal(name_to_wire(".", wire, &len).code, ERR_OK);
    assert_int_equal(len, 1);
    len = 0;
    assert_int_equal(name_to_wire(".", wire, &len).code, ERR_MALFORMED);
    len = sizeof(wire);
    assert_int_equal(name_to_wire(N253, wire, &len).code, ERR_OK);
    assert_int_equal(len, NAME_WIRE_MAX);
}

static void test_from_wire(void **state)
{
    static const struct {
        const char *wire;
        size_t len;
        const char *want; /* NULL: malformed */
    } CASES[] = {
        {"", 0, NULL},
        {"\x01", 1, NULL},
        {"\x02"
         "a",
         2, NULL},
        {"\x01"
         "a",
         2, NULL}, /* no root label */
        {"\x40", 66, NULL},
        {"\xc0\x0c", 2, NULL}, /* compressed */
        {"", 1, "."},
        {"\x01"
         "A\x02*b",
         6, "A.*b"},
        {"\x03"
         "a.b\x01_",
         7, "a\\046b._"},
        {"\x02\xff\\", 4, "\\255\\092"},
    };
    char text[1024];
    uint8_t wire[260] = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        uint8_t bytes[80] = {0};
        memcpy(bytes, CASES[i].wire, CASES[i].len < 10 ? CASES[i].len : 1);
        struct err e = name_from_wire(bytes, CASES[i].len, text, sizeof(text));
        assert_int_equal(e.code, CASES[i].want == NULL ? ERR_MALFORMED : ERR_OK);
        if (CASES[i].want != NULL) {
            assert_string_equal(text, CASES[i].want);
        }
    }
    /* 255 octets are the most: 127 labels of one octet and the root; one more is too long. */
    for (size_t i = 0; i < 256; i += 2) {
        wire[i] = 1;
        wire[i + 1] = 'x';
    }
    assert_int_equal(name_from_wire(wire, 257, text, sizeof(text)).code, ERR_MALFORMED);
    wire[254] = 0;
    assert_int_equal(name_from_wire(wire, 255, text, sizeof(text)).code, ERR_OK);
    assert_int_equal(strlen(text), NAME_TEXT_MAX);
    assert_int_equal(name_from_wire(wire, 255, text, NAME_TEXT_MAX).code, ERR_LIMIT);
    assert_int_equal(name_from_wire(wire, 255, text, 0).code, ERR_LIMIT);
    assert_int_equal(name_from_wire(wire, 255, text, NAME_TEXT_MAX + 1).code, ERR_OK);
}

static void test_delegate(void **state)
{
    char out[NAME_TEXT_MAX + 1];
    char zone[NAME_TEXT_MAX + 1];

    (void)state;
    assert_int_equal(name_delegate("svc.test", "acme.svc.test", out).code, ERR_OK);
    assert_string_equal(out, "svc.test.acme.svc.test");
    assert_int_equal(name_delegate(N253, "acme.test", out).code, ERR_OK);
    assert_int_equal(strlen(out), 2 + 52 + 1 + 9);
    assert_int_equal(strncmp(out, "h-", 2), 0);
    assert_string_equal(out + 54, ".acme.test");
    /* The longest that still fits, and one more. */
    memcpy(zone, N253, sizeof(zone));
    assert_int_equal(name_delegate("a", zone + 2, out).code, ERR_OK);
    assert_int_equal(strlen(out), NAME_TEXT_MAX);
    assert_int_equal(name_delegate("ab", zone + 2, out).code, ERR_LIMIT);
    assert_int_equal(name_delegate(N253, zone + 55, out).code, ERR_OK);
    assert_int_equal(strlen(out), NAME_TEXT_MAX);
    assert_int_equal(name_delegate(N253, zone + 54, out).code, ERR_LIMIT);
}

static void test_addresses(void **state)
{
    static const char *const BAD[] = {
        "",       "x",   "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.4/8",
        "::1%lo", ":::", "[::1]", " 1.2.3.4",  "1.2.3.4 ",  "0x1.2.3.4"};
    static const struct {
        const char *text;
        const char *want;
        uint8_t family;
    } GOOD[] = {
        {"10.0.0.1", "10.0.0.1", 4}, {"0.0.0.0", "0.0.0.0", 4},          {"::", "::", 6},
        {"FD00::1", "fd00::1", 6},   {"::ffff:10.0.0.1", "10.0.0.1", 4},
    };
    struct ip_addr ip;
    char text[IP_TEXT_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        assert_int_equal(ip_parse(BAD[i], &ip).code, ERR_MALFORMED);
    }
    for (size_t i = 0; i < ARRAY_N(GOOD); i++) {
        assert_int_equal(ip_parse(GOOD[i].text, &ip).code, ERR_OK);
        assert_int_equal(ip.family, GOOD[i].family);
        ip_text(&ip, text);
        assert_string_equal(text, GOOD[i].want);
        /* and through a socket address */
        const struct ip_endpoint endpoint = {ip, 853};
        struct sockaddr_storage sa;
        assert_true(ip_endpoint_sockaddr(&endpoint, &sa) > 0);
        struct ip_addr back = ip_from_sockaddr((const struct sockaddr *)&sa);
        assert_true(ip_equal(&ip, &back));
    }
    const struct ip_addr none = {0, {0}};
    ip_text(&none, text);
    assert_string_equal(text, "none");
    const struct sockaddr local = {.sa_family = AF_UNIX};
    assert_int_equal(ip_from_sockaddr(&local).family, 0);
}

static void test_networks(void **state)
{
    static const char *const BAD[] = {"",
                                      "/8",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.0/x",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/8 ",
                                      "10.0.0.0/0008",
                                      "10.0.0.1/8",
                                      "fd00::/129",
                                      "fd00::1/8",
                                      "10.0.0.0/8/8",
                                      "::ffff:10.0.0.0/104"};
    static const struct {
        const char *net;
        const char *ip;
        bool want;
        const char *text;
    } CASES[] = {
        {"10.0.0.0/8", "11.0.0.0", false, "10.0.0.0/8"},
        {"10.0.0.0/8", "9.255.255.255", false, "10.0.0.0/8"},
        {"10.0.0.0/8", "fd00::1", false, "10.0.0.0/8"},
        {"0.0.0.0/0", "::1", false, "0.0.0.0/0"},
        {"10.1.2.3", "10.1.2.4", false, "10.1.2.3/32"},
        {"fd00::/9", "fd80::", false, "fd00::/9"},
        {"10.0.0.0/8", "10.255.255.255", true, "10.0.0.0/8"},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true, "10.0.0.0/8"},
        {"10.1.2.3", "10.1.2.3", true, "10.1.2.3/32"},
        {"0.0.0.0/0", "255.255.255.255", true, "0.0.0.0/0"},
        {"10.128.0.0/9", "10.200.0.1", true, "10.128.0.0/9"},
        {"fd00::/9", "fd7f:ffff::", true, "fd00::/9"},
        {"::/0", "fe80::1", true, "::/0"},
        {"::1", "::1", true, "::1/128"},
    };
    struct ip_net net;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        if (ip_net_parse(BAD[i], &net).code != ERR_MALFORMED) {
            fail_msg("accepted: %s", BAD[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct ip_addr ip;
        char text[IP_TEXT_MAX + 5];
        assert_int_equal(ip_net_parse(CASES[i].net, &net).code, ERR_OK);
        assert_int_equal(ip_parse(CASES[i].ip, &ip).code, ERR_OK);
        if (ip_net_contains(&net, &ip) != CASES[i].want) {
            fail_msg("%s in %s", CASES[i].ip, CASES[i].net);
        }
        ip_net_text(&net, text);
        assert_string_equal(text, CASES[i].text);
    }
    const struct ip_addr none = {0, {0}};
    assert_false(ip_net_contains(&net, &none));
}

static void test_lists_of_networks(void **state)
{
    static const struct ip_net NETS[] = {{{4, {10}}, 8}, {{6, {0xfd}}, 8}, {{4, {10, 1}}, 16}};
    static const struct ip_addr IN4 = {4, {10, 1, 2, 3}};
    static const struct ip_addr IN6 = {6, {0xfd, 1}};
    static const struct ip_addr OUT = {4, {11}};

    (void)state;
    assert_true(ip_nets_contain(NETS, ARRAY_N(NETS), &IN4));
    assert_true(ip_nets_contain(NETS, ARRAY_N(NETS), &IN6));
    assert_false(ip_nets_contain(NETS, ARRAY_N(NETS), &OUT));
    assert_false(ip_nets_contain(NETS, 1, &IN6));
    assert_false(ip_nets_contain(NETS, 0, &IN4));
    assert_false(ip_nets_contain(NULL, 0, &IN4));
}

static void test_endpoints(void **state)
{
    static const char *const BAD[] = {"",
                                      ":53",
                                      "10.0.0.1",
                                      "10.0.0.1:",
                                      "10.0.0.1:x",
                                      "10.0.0.1:65536",
                                      "10.0.0.1:-1",
                                      "10.0.0.1:123456",
                                      "[::1",
                                      "[::1]x",
                                      "[::1]:",
                                      "[]:53",
                                      "host:53",
                                      "::1",
                                      "10.0.0.1:53:53"};
    static const struct {
        const char *text;
        uint16_t default_port;
        const char *want;
    } GOOD[] = {
        {"10.0.0.1:53", 0, "10.0.0.1:53"},   {"10.0.0.1:0", 0, "10.0.0.1:0"},
        {"10.0.0.1", 53, "10.0.0.1:53"},     {"[::1]:65535", 0, "[::1]:65535"},
        {"[::1]", 53, "[::1]:53"},           {"::1", 53, "[::1]:53"},
        {"[fd00::1]:53", 1, "[fd00::1]:53"},
    };
    struct ip_endpoint endpoint;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        if (ip_endpoint_parse(BAD[i], 0, &endpoint).code != ERR_MALFORMED) {
            fail_msg("accepted: %s", BAD[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_N(GOOD); i++) {
        char text[IP_TEXT_MAX + 10];
        assert_int_equal(ip_endpoint_parse(GOOD[i].text, GOOD[i].default_port, &endpoint).code,
                         ERR_OK);
        ip_endpoint_text(&endpoint, text);
        assert_string_equal(text, GOOD[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ident_refusals), cmocka_unit_test(test_ident),
        cmocka_unit_test(test_below),          cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_to_wire),        cmocka_unit_test(test_from_wire),
        cmocka_unit_test(test_delegate),       cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_networks),       cmocka_unit_test(test_lists_of_networks),
        cmocka_unit_test(test_endpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
