#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/util/mem.h"
#include "dns/rr.h"
#include "rr_maker.h"

static void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s: %s (%s:%d)", err_name(e.code), err_trace()->text, err_trace()->file,
                 err_trace()->line);
    }
}

static void bad_text(void **state)
{
    static const struct {
        const char *owner, *origin, *type, *rdata, *why;
    } CASES[] = {
        {"", "svc.dev.", "A", "10.0.0.1", "empty name"},
        {"@", NULL, "A", "10.0.0.1", "origin"},
        {"a..b", "svc.dev.", "A", "10.0.0.1", "empty label"},
        {".a", "svc.dev.", "A", "10.0.0.1", "empty label"},
        {"a\\25", "svc.dev.", "A", "10.0.0.1", "escape"},
        {"a\\256", "svc.dev.", "A", "10.0.0.1", "escape"},
        {"a\\", "svc.dev.", "A", "10.0.0.1", "escape"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "svc.dev.", "A",
         "10.0.0.1", "63"},
        {"a", "svc.dev.", "B", "10.0.0.1", "record type"},
        {"a", "svc.dev.", "", "10.0.0.1", "record type"},
        {"a", "svc.dev.", "TYPE65536", "\\# 0", "record type"},
        {"a", "svc.dev.", "TYPE12x", "\\# 0", "record type"},
        {"a", "svc.dev.", "TYPE+1", "\\# 0", "record type"},
        {"a", "svc.dev.", "IPSECKEY", "10 1 2 192.0.2.38 AQID", "RFC 3597"},
        {"a", "svc.dev.", "A", "10.0.0", "IPv4"},
        {"a", "svc.dev.", "A", "\"10.0.0.1\"", "IPv4"},
        {"a", "svc.dev.", "A", "10.0.0.1 10.0.0.2", "more"},
        {"a", "svc.dev.", "A", "", "missing"},
        {"a", "svc.dev.", "AAAA", "10.0.0.1", "IPv6"},
        {"a", "svc.dev.", "MX", "10", "missing"},
        {"a", "svc.dev.", "MX", "65536 mail", "65535"},
        {"a", "svc.dev.", "MX", "-1 mail", "65535"},
        {"a", "svc.dev.", "MX", "10 mail more", "more"},
        {"a", "svc.dev.", "SRV", "1 2 mail", "number"},
        {"a", "svc.dev.", "SOA", "ns h 4294967296 1h 1h 1h 1h", "4294967295"},
        {"a", "svc.dev.", "SOA", "ns h 1 1y 1h 1h 1h", "time"},
        {"a", "svc.dev.", "TXT", "\"open", "not closed"},
        {"a", "svc.dev.", "TXT", "v=x;p=y", "quotes"},
        {"a", "svc.dev.", "TXT", "(x)", "quotes"},
        {"a", "svc.dev.", "TXT", "a\nb", "control"},
        {"a", "svc.dev.", "TXT", "", "missing"},
        {"a", "svc.dev.", "TXT", "\\999", "escape"},
        {"a", "svc.dev.", "CAA", "0 iss-ue \"x\"", "type"},
        {"a", "svc.dev.", "CAA", "256 issue \"x\"", "255"},
        {"a", "svc.dev.", "TLSA", "3 1 256 00", "255"},
        {"a", "svc.dev.", "TLSA", "3 1 1 0", "odd"},
        {"a", "svc.dev.", "TLSA", "3 1 1 xy", "hexadecimal"},
        {"a", "svc.dev.", "TLSA", "3 1 1", "missing"},
        {"a", "svc.dev.", "DS", "1 FOO 2 00", "number"},
        {"a", "svc.dev.", "OPENPGPKEY", "a!", "base64"},
        {"a", "svc.dev.", "SSHFP", "1 300 00", "255"},
        {"a", "svc.dev.", "DS", "70000 8 2 00", "65535"},
        {"a", "svc.dev.", "HTTPS", "70000 .", "65535"},
        {"a", "svc.dev.", "HTTPS", "1 . nonsense=1", "HTTPS"},
        {"a", "svc.dev.", "TYPE65400", "10.0.0.1", "RFC 3597"},
        {"a", "svc.dev.", "TYPE65400", "\\# 2 00", "octets"},
        {"a", "svc.dev.", "TYPE65400", "\\# 1 0", "odd"},
        {"a", "svc.dev.", "TYPE65400", "\\# 1 0g", "hexadecimal"},
        {"a", "svc.dev.", "TYPE65400", "\\# 65536", "65535"},
        {"a", "svc.dev.", "A", "\\# 3 0a0000", "type"},
        {"a", "svc.dev.", "A", "\\# 5 0a00000000", "longer"},
        {"a", "svc.dev.", "NS", "\\# 2 c000", "backwards"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct dns_rr rr = {0};
        char why[200] = "";
        struct err e = rr_from_text(CASES[i].owner, CASES[i].origin, 60, CASES[i].type,
                                    CASES[i].rdata, &rr, why, sizeof(why));
        if (e.code != ERR_MALFORMED || strstr(why, CASES[i].why) == NULL) {
            fail_msg("%s %s '%s': code %d, '%s'", CASES[i].owner, CASES[i].type, CASES[i].rdata,
                     (int)e.code, why);
        }
        assert_null(rr.rdata);
    }
    struct dns_rr rr = {0};
    char why[10];
    assert_int_equal(
        rr_from_text("a", NULL, RR_TTL_MAX + 1u, "A", "10.0.0.1", &rr, why, sizeof(why)).code,
        ERR_MALFORMED);
    assert_string_equal(why, "a TTL is ");
}

/* Text to record to text; the record again from its packet form. */
static void good_text(void **state)
{
    static const struct {
        const char *owner, *type, *rdata, *line;
    } CASES[] = {
        {"@", "A", "10.0.0.1", "svc.dev.\t60\tIN\tA\t10.0.0.1\n"},
        {"WWW", "a", " 10.0.0.1\t", "www.svc.dev.\t60\tIN\tA\t10.0.0.1\n"},
        {"x.", "AAAA", "FD00:0::7", "x.\t60\tIN\tAAAA\tfd00::7\n"},
        {".", "NS", "a.root.", ".\t60\tIN\tNS\ta.root.\n"},
        {"*.a\\.b", "CNAME", "@", "*.a\\046b.svc.dev.\t60\tIN\tCNAME\tsvc.dev.\n"},
        {"a", "MX", "10 Mail", "a.svc.dev.\t60\tIN\tMX\t10 mail.svc.dev.\n"},
        {"a", "MX", "0 .", "a.svc.dev.\t60\tIN\tMX\t0 .\n"},
        {"a", "SRV", "1 2 65535 b.c.", "a.svc.dev.\t60\tIN\tSRV\t1 2 65535 b.c.\n"},
        {"a", "SOA", "ns h 4294967295 1h30m 900 1w 1d",
         "a.svc.dev.\t60\tIN\tSOA\tns.svc.dev. h.svc.dev. 4294967295 5400 900 604800 86400\n"},
        {"a", "TXT", "one \"two; three\"\"\" \\\"\\\\\\007",
         "a.svc.dev.\t60\tIN\tTXT\t\"one\" \"two; three\" \"\" \"\\\"\\\\\\007\"\n"},
        {"a", "CAA", "0 issue \"ca.svc.dev; x=y\"",
         "a.svc.dev.\t60\tIN\tCAA\t0 issue \"ca.svc.dev; x=y\"\n"},
        {"a", "CAA", "0 issue \"\"", "a.svc.dev.\t60\tIN\tCAA\t0 issue \"\"\n"},
        {"a", "TLSA", "3 1 1 AB cd", "a.svc.dev.\t60\tIN\tTLSA\t3 1 1 abcd\n"},
        {"a", "SSHFP", "4 2 abcd", "a.svc.dev.\t60\tIN\tSSHFP\t4 2 abcd\n"},
        {"a", "DS", "1 RSASHA256 2 AB cd", "a.svc.dev.\t60\tIN\tDS\t1 8 2 abcd\n"},
        {"a", "CERT", "pkix 0 RSASHA256 AQ ID", "a.svc.dev.\t60\tIN\tCERT\t1 0 8 AQID\n"},
        {"a", "DS", "1 8 2 abcd", "a.svc.dev.\t60\tIN\tDS\t1 8 2 abcd\n"},
        {"a", "NAPTR", "1 2 \"s\" \"SIP+D2U\" \"\" _sip._udp",
         "a.svc.dev.\t60\tIN\tNAPTR\t1 2 \"s\" \"SIP+D2U\" \"\" _sip._udp.svc.dev.\n"},
        {"a", "URI", "1 2 \"https://x/\"", "a.svc.dev.\t60\tIN\tURI\t1 2 \"https://x/\"\n"},
        {"a", "DNAME", "b", "a.svc.dev.\t60\tIN\tDNAME\tb.svc.dev.\n"},
        {"a", "HTTPS", "1 . alpn=h2,h3 port=8443 ipv4hint=10.0.0.1",
         "a.svc.dev.\t60\tIN\tHTTPS\t1 . alpn=h2,h3 port=8443 ipv4hint=10.0.0.1\n"},
        {"a", "SVCB", "0 b", "a.svc.dev.\t60\tIN\tSVCB\t0 b.svc.dev.\n"},
        {"a", "LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", NULL},
        {"a", "TYPE65400", "\\# 3 0a 0B0c", "a.svc.dev.\t60\tIN\tTYPE65400\t\\# 3 0a0b0c\n"},
        {"a", "TYPE65400", "\\# 0", "a.svc.dev.\t60\tIN\tTYPE65400\t\\# 0\n"},
        {"a", "TYPE1", "\\# 4 0a000001", "a.svc.dev.\t60\tIN\tA\t10.0.0.1\n"},
        {"a", "APL", "1:10.0.0.0/8 !2:fd00::/8", NULL},
        {"a", "OPENPGPKEY", "AQID", NULL},
        {"a", "IPSECKEY", "\\# 10 0a0102c0000226010203",
         "a.svc.dev.\t60\tIN\tIPSECKEY\t\\# 10 0a0102c0000226010203\n"},
        {"a", "CERT", "PKIX 0 0 AQID", NULL},
        {"a", "EUI48", "00-00-5e-00-53-2a", NULL},
        {"a", "RP", "h @", NULL},
        {"a", "HINFO", "\"x y\" z", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct dns_rr rr = {0};
        struct dns_rr again = {0};
        char why[200] = "";
        struct buf text = BUF_INIT(4096);
        struct buf wire = BUF_INIT(4096);
        struct buf rdata = BUF_INIT(4096);
        struct err e = rr_from_text(CASES[i].owner, "svc.dev", 60, CASES[i].type, CASES[i].rdata,
                                    &rr, why, sizeof(why));
        if (e.code != ERR_OK) {
            fail_msg("%s '%s': %s", CASES[i].type, CASES[i].rdata, err_trace()->text);
        }
        must(rr_text(&rr, &text));
        if (CASES[i].line != NULL) {
            assert_string_equal(buf_str(&text), CASES[i].line);
        }
        size_t pos = 3;
        buf_put(&wire, "abc", 3);
        rr_put(&wire, &rr);
        must(rr_from_packet(wire.data, wire.len, &pos, &again));
        assert_int_equal(pos, wire.len);
        assert_true(rr_equal(&rr, &again));
        assert_int_equal(again.ttl, 60);
        assert_int_equal(again.class_, DNS_CLASS_IN);
        rr_clear(&again);
        /* Every shorter packet is cut off. */
        for (size_t n = 0; n < wire.len; n++) {
            pos = 3;
            assert_int_equal(rr_from_packet(wire.data, n, &pos, &again).code, ERR_MALFORMED);
            assert_int_equal(pos, 3);
        }
        must(rr_rdata_text(rr.type, rr.rdata, rr.rdata_len, &rdata));
        char type[RR_TYPE_TEXT_MAX + 1];
        rr_type_text(rr.type, type);
        must(rr_from_text("A", "svc.dev.", 1, type, buf_str(&rdata), &again, why, sizeof(why)));
        assert_int_equal(again.rdata_len, rr.rdata_len);
        assert_true(rr.rdata_len == 0 || memcmp(again.rdata, rr.rdata, rr.rdata_len) == 0);
        rr_clear(&again);
        rr_clear(&rr);
        buf_clear(&rdata);
        buf_clear(&wire);
        buf_clear(&text);
    }
}

#define PACKET(bytes) (const uint8_t *)(bytes), sizeof(bytes) - 1

static void bad_packets(void **state)
{
    static const struct {
        const uint8_t *packet;
        size_t len, pos;
        const char *why;
    } CASES[] = {
        {PACKET("\300\000"), 0, "backwards"},
        {PACKET("\300\005\0\1\0\1\0\0\0\0\0\0"), 0, "backwards"},
        {PACKET("\1a\300\0\0\1\0\1\0\0\0\0\0\4\1\2\3\4"), 0, "backwards"},
        {PACKET("\100a"), 0, "cut off"},
        {PACKET("\0\0\1\0\1\0\0\0\0\0\5\1\2\3\4"), 0, "cut off"},
        {PACKET("\0\0\1\0\1\0\0\0\0\0\5\1\2\3\4\5"), 0, "longer"},
        {PACKET("\0\0\1\0\1\0\0\0\0\0\3\1\2\3"), 0, "type"},
        {PACKET("\0\0\1\0\1\0\0\0\0\0\0"), 0, "type"},
        {PACKET("\0\0\1\0\376\0\0\0\0\0\3\1\2\3"), 0, "type"},  /* class NONE */
        {PACKET("\0\0\17\0\1\0\0\0\0\0\2\0\12"), 0, "cut off"}, /* MX without name */
        {PACKET("\0\0\20\0\1\0\0\0\0\0\0"), 0, "type"},         /* TXT without string */
        {PACKET("\0\0\20\0\1\0\0\0\0\0\2\2a"), 0, "type"},      /* string too long */
        {PACKET("\1a\0\0\101\0\1\0\0\0\0\0\4\0\1\300\0"), 0, "allows no compression"},
        {PACKET("\0\0\101\0\1\0\0\0\0\0\14\0\1\0\0\4\0\0\0\0\0\0\0"), 0,
         "type"}, /* keys not rising */
        {PACKET("\0\0\101\0\1\0\0\0\0\0\6\0\1\0\0\4\0"), 0, "type"},
        {PACKET("\0\0\44\0\1\0\0\0\0\0\0"), 0, "type"}, /* KX */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        struct dns_rr rr = {0};
        size_t pos = CASES[i].pos;
        struct err e = rr_from_packet(CASES[i].packet, CASES[i].len, &pos, &rr);
        if (e.code != ERR_MALFORMED || strstr(err_trace()->text, CASES[i].why) == NULL) {
            fail_msg("case %zu: %d %s", i, (int)e.code, err_trace()->text);
        }
        assert_int_equal(pos, CASES[i].pos);
    }
}

static void good_packets(void **state)
{
    /* svc.dev at 0; mail + pointer; MX with a pointer in its data, in upper case. */
    static const char MX[] = "\3Svc\3dev\0\4MAIL\300\0\0\17\0\1\377\0\0\0\0\11\0\12\4Mail\300\0";
    static const char ANY[] = "\0\0\1\0\377\0\0\0\0\0\0";
    static const char NONE[] = "\0\0\1\0\376\0\0\0\0\0\4\1\2\3\4";
    static const char APL[] = "\0\0\52\0\1\0\0\0\7\0\0";
    static const char UNKNOWN[] = "\0\377\170\0\1\0\0\0\7\0\2\300\0";
    struct dns_rr rr = {0};
    struct buf text = BUF_INIT(1000);
    size_t pos = 9;

    (void)state;
    must(rr_from_packet(PACKET(MX), &pos, &rr));
    assert_int_equal(pos, sizeof(MX) - 1);
    assert_int_equal(rr.ttl, 0); /* above RR_TTL_MAX */
    must(rr_text(&rr, &text));
    assert_string_equal(buf_str(&text), "mail.svc.dev.\t0\tIN\tMX\t10 mail.svc.dev.\n");
    rr_clear(&rr);
    pos = 0;
    must(rr_from_packet(PACKET(ANY), &pos, &rr));
    assert_int_equal(rr.class_, DNS_CLASS_ANY);
    assert_null(rr.rdata);
    pos = 0;
    must(rr_from_packet(PACKET(NONE), &pos, &rr));
    assert_int_equal(rr.class_, DNS_CLASS_NONE);
    assert_int_equal(rr.rdata_len, 4);
    rr_clear(&rr);
    pos = 0;
    must(rr_from_packet(PACKET(APL), &pos, &rr)); /* may be empty */
    assert_int_equal(rr.rdata_len, 0);
    pos = 0;
    must(rr_from_packet(PACKET(UNKNOWN), &pos, &rr)); /* a pointer is no name there */
    assert_int_equal(rr.rdata_len, 2);
    buf_reset(&text);
    must(rr_text(&rr, &text));
    assert_string_equal(buf_str(&text), ".\t7\tIN\tTYPE65400\t\\# 2 c000\n");
    rr_clear(&rr);
    /* What is no data of its type is printed as RFC 3597 says. */
    buf_reset(&text);
    must(rr_rdata_text(1, (const uint8_t *)"abc", 3, &text));
    assert_string_equal(buf_str(&text), "\\# 3 616263");
    buf_clear(&text);
}

static void types(void **state)
{
    uint16_t type = 7;
    char text[RR_TYPE_TEXT_MAX + 1];
    static const struct {
        uint16_t type;
        const char *text;
        enum rr_kind kind;
    } CASES[] = {
        {1, "A", RR_ORDINARY},         {43, "DS", RR_ORDINARY},   {64, "SVCB", RR_ORDINARY},
        {65, "HTTPS", RR_ORDINARY},    {257, "CAA", RR_ORDINARY}, {65400, "TYPE65400", RR_ORDINARY},
        {41, "OPT", RR_META},          {250, "TSIG", RR_META},    {251, "IXFR", RR_META},
        {252, "AXFR", RR_META},        {255, "ANY", RR_META},     {128, "TYPE128", RR_META},
        {46, "RRSIG", RR_DNSSEC},      {47, "NSEC", RR_DNSSEC},   {50, "NSEC3", RR_DNSSEC},
        {51, "NSEC3PARAM", RR_DNSSEC}, {48, "DNSKEY", RR_DNSSEC}, {65535, "TYPE65535", RR_META},
    };

    (void)state;
    assert_int_equal(rr_kind(0), RR_META);
    assert_false(rr_type_parse("", &type));
    assert_false(rr_type_parse("TYPE", &type));
    assert_false(rr_type_parse("TYPE99999999999999", &type));
    assert_int_equal(type, 7);
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        rr_type_text(CASES[i].type, text);
        assert_string_equal(text, CASES[i].text);
        assert_true(rr_type_parse(text, &type));
        assert_int_equal(type, CASES[i].type);
        assert_int_equal(rr_kind(type), CASES[i].kind);
    }
    assert_true(rr_type_parse("type1", &type));
    assert_int_equal(type, 1);
    assert_true(rr_is_singleton(5) && rr_is_singleton(6) && rr_is_singleton(39));
    assert_false(rr_is_singleton(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_text),     cmocka_unit_test(good_text), cmocka_unit_test(bad_packets),
        cmocka_unit_test(good_packets), cmocka_unit_test(types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
