/* Answers from stored records: an ordinary zone with its ingress, a plain one, and what leads from one
 * to the other. */
#include "tests/unit/dns_answer_world.h"

#define CONFIG                                                                                     \
    "state_dir: /tmp\n"                                                                            \
    "hostname: ca.svc.test\n"                                                                      \
    "addresses: [192.0.2.1]\n"                                                                     \
    "zones:\n"                                                                                     \
    "  - {name: svc.test, ingress: [192.0.2.80]}\n"                                                \
    "  - {name: p.test, plain: true}\n"                                                            \
    "  - {name: child.svc.test, plain: true}\n"                                                    \
    "  - {name: stored.test, ingress: [192.0.2.90]}\n"                                             \
    "delegate_zone: acme.svc.test\n"
#define SVC_SOA "svc.test 5 SOA ca.svc.test. hostmaster.svc.test. 100 60 60 604800 5"
#define P_SOA "p.test 5 SOA ca.svc.test. hostmaster.p.test. 100 60 60 604800 5"
#define ACME_SOA "acme.svc.test 5 SOA ca.svc.test. hostmaster.acme.svc.test. 100 60 60 604800 5"
#define CHILD_SOA "child.svc.test 5 SOA ca.svc.test. hostmaster.child.svc.test. 100 60 60 604800 5"
/* MINIMUM 20 is below the TTL; the serial in answers is the zone's. */
#define STORED_SOA_OF(ttl) "stored.test " ttl " SOA ns.stored.test. who.stored.test. 100 1 2 3 20"
#define L50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char *const records[] = {
    /* a zone with its ingress */
    "svc.test. 300 MX 10 mail.svc.test.",
    "svc.test. 300 TXT \"apex\"",
    "mail.svc.test. 300 A 192.0.2.2",
    "mail.svc.test. 300 AAAA 2001:db8::2",
    "text.svc.test. 300 TXT \"text\"",
    "a.b.svc.test. 300 TXT \"deep\"",
    "_ldap._tcp.svc.test. 300 SRV 0 0 389 web.svc.test.",
    "*.wild.svc.test. 300 A 192.0.2.3",
    "x.wild.svc.test. 300 TXT \"x\"",
    "alias.svc.test. 300 CNAME mail.svc.test.",
    "to-ingress.svc.test. 300 CNAME whatever.svc.test.",
    "to-challenge.svc.test. 300 CNAME _acme-challenge.x.svc.test.",
    "to-delegate.svc.test. 300 CNAME x.svc.test.acme.svc.test.",
    "to-plain.svc.test. 300 CNAME www.p.test.",
    "to-missing.svc.test. 300 CNAME missing.p.test.",
    "to-sub.svc.test. 300 CNAME host.sub.p.test.",
    "*.cw.svc.test. 300 CNAME mail.svc.test.",
    "out.svc.test. 300 CNAME www.example.org.",
    "loop1.svc.test. 300 CNAME loop2.svc.test.",
    "loop2.svc.test. 300 CNAME loop1.svc.test.",
    "self.svc.test. 300 CNAME self.svc.test.",
    "sub.svc.test. 300 NS ns.sub.svc.test.",
    "ns.sub.svc.test. 300 A 192.0.2.5",
    "d.svc.test. 300 DNAME p.test.",
    "two.svc.test. 300 NS ns1.example.org.",
    "two.svc.test. 300 DS 1 13 2 "
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ca.svc.test. 300 TXT \"the name server's name has a record\"",
    /* a plain one */
    "p.test. 300 MX 10 mail.svc.test.",
    "p.test. 300 MX 20 none.p.test.",
    "www.p.test. 300 A 192.0.2.10",
    "www.p.test. 300 TXT \"www\"",
    "www.p.test. 300 MX 0 www.p.test.",
    "nothere.p.test. 300 CNAME missing.p.test.",
    "nodata.p.test. 300 CNAME ent.p.test.",
    "host.ent.p.test. 300 A 192.0.2.11",
    "*.w.p.test. 300 MX 5 www.p.test.",
    "*.w.p.test. 300 A 192.0.2.12",
    "*.star.w.p.test. 300 TXT \"inner\"",
    "a.*.only.p.test. 300 TXT \"below a star\"",
    "mx.p.test. 300 MX 5 any.w.p.test.",
    "srv.p.test. 300 SRV 0 0 80 www.p.test.",
    "srv.p.test. 300 SRV 1 0 80 www.p.test.",
    "srv.p.test. 300 SRV 2 0 80 glue.sub.p.test.",
    "srv.p.test. 300 SRV 3 0 80 www.example.org.",
    "https.p.test. 300 HTTPS 1 www.p.test. alpn=h2",
    "svcb.p.test. 300 SVCB 1 . alpn=h2",
    "mxcname.p.test. 300 MX 5 nothere.p.test.",
    "sub.p.test. 300 NS ns.sub.p.test.",
    "sub.p.test. 300 NS www.p.test.",
    "sub.p.test. 300 NS ns.example.org.",
    "ns.sub.p.test. 300 A 192.0.2.13",
    "ns.sub.p.test. 300 AAAA 2001:db8::13",
    "glue.sub.p.test. 300 A 192.0.2.14",
    "dn.p.test. 200 DNAME www.p.test.",
    "dn.p.test. 200 TXT \"at the DNAME\"",
    "dt.p.test. 200 DNAME ent.p.test.",
    "grow.p.test. 200 DNAME x.grow.p.test.",
    "long.p.test. 200 DNAME " L50 "." L50 "." L50 "." L50 ".p.test.",
    "_acme-challenge.p.test. 300 TXT \"plain zones have ordinary ones\"",
    "caa.p.test. 300 CAA 0 issue \"ca.svc.test\"",
    "odd.p.test. 300 TYPE65400 \\# 3 010203",
    /* stored SOA and NS */
    "stored.test. 300 SOA ns.stored.test. who.stored.test. 7 1 2 3 20",
    "stored.test. 300 NS ns.stored.test.",
    "stored.test. 300 NS ns.example.org.",
    "stored.test. 300 AAAA 2001:db8::90",
    "ns.stored.test. 300 A 192.0.2.91",
};

struct row {
    const char *name;
    unsigned type;
    const char *want;
};
enum {
    A = 1,
    NS = 2,
    CNAME = 5,
    SOA = 6,
    MX = 15,
    TXT = 16,
    AAAA = 28,
    SRV = 33,
    DNAME = 39,
    DS = 43,
    RRSIG = 46,
    NSEC = 47,
    SVCB = 64,
    HTTPS = 65,
    ANY = 255,
    CAA = 257
};

static void check_rows(const struct row *rows, size_t n)
{
    struct world w = world_open(CONFIG, records, ARRAY_N(records));
    struct buf text = BUF_INIT(65536);
    uint8_t query[512];
    uint8_t out[DNS_TCP_MAX];

    for (size_t i = 0; i < n; i++) {
        size_t query_len = make_query(rows[i].name, rows[i].type, query);
        query_len = make_edns(query, query_len, 1232, 0, 0);
        size_t len = answer_build(w.snap, query, query_len, false, out, sizeof(out));
        assert_in_range(len, 12, DNS_UDP_EDNS_MAX);
        assert_memory_equal(out + 12, query + 12, query_len - 12 - 11);
        render(out, len, &text);
        if (strcmp(buf_str(&text), rows[i].want) != 0) {
            fail_msg("%s %u\n  got  %s\n  want %s", rows[i].name, rows[i].type, buf_str(&text),
                     rows[i].want);
        }
    }
    buf_clear(&text);
    world_close(&w);
}

static void test_negative(void **state)
{
    static const struct row rows[] = {
        /* a name with a record has no ingress */
        {"text.svc.test", A, "NOERROR aa; A:" SVC_SOA},
        {"mail.svc.test", MX, "NOERROR aa; A:" SVC_SOA},
        {"svc.test", SRV, "NOERROR aa; A:" SVC_SOA},
        {"x.wild.svc.test", A, "NOERROR aa; A:" SVC_SOA},
        {"any.wild.svc.test", AAAA, "NOERROR aa; A:" SVC_SOA},
        {"ca.svc.test", A, "NOERROR aa; A:" SVC_SOA},
        {"mail.svc.test", RRSIG, "NOERROR aa; A:" SVC_SOA},
        {"alias.svc.test", RRSIG, "NOERROR aa; A:" SVC_SOA},
        {"alias.svc.test", NSEC, "NOERROR aa; A:" SVC_SOA},
        /* an empty non-terminal that is no host name; below it nothing is made up */
        {"_tcp.svc.test", A, "NOERROR aa; A:" SVC_SOA},
        {"_other.svc.test", A, "NXDOMAIN aa; A:" SVC_SOA},
        {"x._tcp.svc.test", A, "NXDOMAIN aa; A:" SVC_SOA},
        /* plain: what is not there is not there. RFC 8020 */
        {"missing.p.test", A, "NXDOMAIN aa; A:" P_SOA},
        {"_acme-challenge.www.p.test", TXT, "NXDOMAIN aa; A:" P_SOA},
        {"_acme-challenge.x.p.test", CNAME, "NXDOMAIN aa; A:" P_SOA},
        {"_validation-persist.www.p.test", TXT, "NXDOMAIN aa; A:" P_SOA},
        {"x.www.p.test", A, "NXDOMAIN aa; A:" P_SOA},
        {"p.test", A, "NOERROR aa; A:" P_SOA},
        {"p.test", TXT, "NOERROR aa; A:" P_SOA},
        {"ent.p.test", A, "NOERROR aa; A:" P_SOA},
        {"ent.p.test", ANY, "NOERROR aa; A:" P_SOA},
        {"www.p.test", AAAA, "NOERROR aa; A:" P_SOA},
        {"www.p.test", DS, "NOERROR aa; A:" P_SOA},
        {"child.svc.test", DS, "NOERROR aa; A:" CHILD_SOA},
        {"x.child.svc.test", A, "NXDOMAIN aa; A:" CHILD_SOA},
        /* RFC 4592 */
        {"x.ent.p.test", A, "NXDOMAIN aa; A:" P_SOA},
        {"w.p.test", A, "NOERROR aa; A:" P_SOA},
        {"x.w.p.test", TXT, "NOERROR aa; A:" P_SOA},
        {"star.w.p.test", A, "NOERROR aa; A:" P_SOA},
        {"x.star.w.p.test", A, "NOERROR aa; A:" P_SOA},
        {"x.*.w.p.test", A, "NXDOMAIN aa; A:" P_SOA},
        {"x.only.p.test", TXT, "NOERROR aa; A:" P_SOA}, /* the wildcard is an empty non-terminal */
        /* below a delegation, also where names are made up elsewhere */
        {"_acme-challenge.sub.svc.test", TXT,
         "NOERROR; A:sub.svc.test 300 NS ns.sub.svc.test.; +:ns.sub.svc.test 300 A 192.0.2.5"},
        {"a.b.sub.svc.test", DS,
         "NOERROR; A:sub.svc.test 300 NS ns.sub.svc.test.; +:ns.sub.svc.test 300 A 192.0.2.5"},
        {"sub.svc.test", DS, "NOERROR aa; A:" SVC_SOA},
        /* the end of a chain says so. RFC 2308 §2.1 */
        {"to-missing.svc.test", A,
         "NXDOMAIN aa; to-missing.svc.test 300 CNAME missing.p.test.; A:" P_SOA},
        {"nothere.p.test", A, "NXDOMAIN aa; nothere.p.test 300 CNAME missing.p.test.; A:" P_SOA},
        {"nodata.p.test", A, "NOERROR aa; nodata.p.test 300 CNAME ent.p.test.; A:" P_SOA},
        {"x.dt.p.test", A,
         "NXDOMAIN aa; dt.p.test 200 DNAME ent.p.test.; x.dt.p.test 200 CNAME x.ent.p.test.; "
         "A:" P_SOA},
        {"self.svc.test", A, "NOERROR aa; self.svc.test 300 CNAME self.svc.test."},
        {"loop1.svc.test", A,
         "NOERROR aa; loop1.svc.test 300 CNAME loop2.svc.test.; loop2.svc.test 300 CNAME "
         "loop1.svc.test."},
        {"x." L50 ".long.p.test", A,
         "YXDOMAIN aa; long.p.test 200 DNAME " L50 "." L50 "." L50 "." L50 ".p.test."},
        {"stored.test", TXT, "NOERROR aa; A:" STORED_SOA_OF("20")},
        {"x.stored.test", AAAA, "NOERROR aa; A:" STORED_SOA_OF("20")},
    };

    (void)state;
    check_rows(rows, ARRAY_N(rows));
}

#define MAIL_ADDRESSES "+:mail.svc.test 300 A 192.0.2.2; +:mail.svc.test 300 AAAA 2001:db8::2"
static void test_records(void **state)
{
    static const struct row rows[] = {
        {"MAIL.svc.test", A, "NOERROR aa; MAIL.svc.test 300 A 192.0.2.2"},
        {"svc.test", MX, "NOERROR aa; svc.test 300 MX 10 mail.svc.test.; " MAIL_ADDRESSES},
        {"svc.test", TXT, "NOERROR aa; svc.test 300 TXT \"apex\""},
        /* beside MX and TXT the ingress answers at the apex, and at an empty non-terminal */
        {"svc.test", A, "NOERROR aa; svc.test 60 A 192.0.2.80"},
        {"svc.test", SOA, "NOERROR aa; " SVC_SOA},
        {"svc.test", NS, "NOERROR aa; svc.test 60 NS ca.svc.test.; +:ca.svc.test 60 A 192.0.2.1"},
        {"svc.test", ANY, "NOERROR aa; svc.test 300 MX 10 mail.svc.test.; " MAIL_ADDRESSES},
        {"b.svc.test", A, "NOERROR aa; b.svc.test 60 A 192.0.2.80"},
        {"x.mail.svc.test", A, "NOERROR aa; x.mail.svc.test 60 A 192.0.2.80"},
        {"_acme-challenge.mail.svc.test", CNAME,
         "NOERROR aa; _acme-challenge.mail.svc.test 60 CNAME mail.svc.test.acme.svc.test."},
        {"any.wild.svc.test", A, "NOERROR aa; any.wild.svc.test 300 A 192.0.2.3"},
        {"_acme-challenge.any.wild.svc.test", CNAME,
         "NOERROR aa; _acme-challenge.any.wild.svc.test 60 CNAME "
         "any.wild.svc.test.acme.svc.test."},
        {"_x.wild.svc.test", A, "NOERROR aa; _x.wild.svc.test 300 A 192.0.2.3"},
        {"wild.svc.test", A, "NOERROR aa; wild.svc.test 60 A 192.0.2.80"},
        {"*.wild.svc.test", A, "NOERROR aa; *.wild.svc.test 300 A 192.0.2.3"},
        {"_ldap._tcp.svc.test", SRV,
         "NOERROR aa; _ldap._tcp.svc.test 300 SRV 0 0 389 web.svc.test.; +:web.svc.test 60 A "
         "192.0.2.80"},
        {"www.p.test", ANY, "NOERROR aa; www.p.test 300 A 192.0.2.10"},
        {"www.p.test", TXT, "NOERROR aa; www.p.test 300 TXT \"www\""},
        {"www.p.test", MX,
         "NOERROR aa; www.p.test 300 MX 0 www.p.test.; +:www.p.test 300 A 192.0.2.10"},
        {"p.test", SOA, "NOERROR aa; " P_SOA},
        {"p.test", NS, "NOERROR aa; p.test 60 NS ca.svc.test.; +:ca.svc.test 60 A 192.0.2.1"},
        {"p.test", MX,
         "NOERROR aa; p.test 300 MX 10 mail.svc.test.; p.test 300 MX 20 none.p.test.; " //
         MAIL_ADDRESSES},
        {"mx.p.test", MX,
         "NOERROR aa; mx.p.test 300 MX 5 any.w.p.test.; +:any.w.p.test 300 A 192.0.2.12"},
        {"mxcname.p.test", MX, "NOERROR aa; mxcname.p.test 300 MX 5 nothere.p.test."},
        {"srv.p.test", SRV, /* each target once, glue too, nobody else's */
         "NOERROR aa; srv.p.test 300 SRV 0 0 80 www.p.test.; srv.p.test 300 SRV 1 0 80 "
         "www.p.test.; srv.p.test 300 SRV 2 0 80 glue.sub.p.test.; srv.p.test 300 SRV 3 0 80 "
         "www.example.org.; +:www.p.test 300 A 192.0.2.10; +:glue.sub.p.test 300 A 192.0.2.14"},
        {"svcb.p.test", SVCB, "NOERROR aa; svcb.p.test 300 SVCB 1 . alpn=h2"},
        {"https.p.test", HTTPS,
         "NOERROR aa; https.p.test 300 HTTPS 1 www.p.test. alpn=h2; +:www.p.test 300 A "
         "192.0.2.10"},
        {"caa.p.test", CAA, "NOERROR aa; caa.p.test 300 CAA 0 issue \"ca.svc.test\""},
        {"odd.p.test", 65400, "NOERROR aa; odd.p.test 300 TYPE65400 \\# 3 010203"},
        {"_acme-challenge.p.test", TXT,
         "NOERROR aa; _acme-challenge.p.test 300 TXT \"plain zones have ordinary ones\""},
        {"a.b.w.p.test", A, "NOERROR aa; a.b.w.p.test 300 A 192.0.2.12"},
        {"a.w.p.test", MX,
         "NOERROR aa; a.w.p.test 300 MX 5 www.p.test.; +:www.p.test 300 A 192.0.2.10"},
        {"x.star.w.p.test", TXT, "NOERROR aa; x.star.w.p.test 300 TXT \"inner\""},
        {"stored.test", SOA, "NOERROR aa; " STORED_SOA_OF("300")},
        {"stored.test", NS,
         "NOERROR aa; stored.test 300 NS ns.stored.test.; stored.test 300 NS ns.example.org.; "
         "+:ns.stored.test 300 A 192.0.2.91"},
        {"stored.test", AAAA, "NOERROR aa; stored.test 300 AAAA 2001:db8::90"},
        {"stored.test", ANY,
         "NOERROR aa; stored.test 300 NS ns.stored.test.; stored.test 300 NS ns.example.org.; "
         "+:ns.stored.test 300 A 192.0.2.91"},
        {"x.stored.test", A, "NOERROR aa; x.stored.test 60 A 192.0.2.90"},
    };

    (void)state;
    check_rows(rows, ARRAY_N(rows));
}

#define P_REFERRAL                                                                                 \
    "A:sub.p.test 300 NS ns.sub.p.test.; A:sub.p.test 300 NS www.p.test.; "                        \
    "A:sub.p.test 300 NS ns.example.org.; +:ns.sub.p.test 300 A 192.0.2.13; "                      \
    "+:ns.sub.p.test 300 AAAA 2001:db8::13; +:www.p.test 300 A 192.0.2.10"
static void test_referrals(void **state)
{
    static const struct row rows[] = {
        {"sub.p.test", A, "NOERROR; " P_REFERRAL},
        {"sub.p.test", NS, "NOERROR; " P_REFERRAL},
        {"sub.p.test", ANY, "NOERROR; " P_REFERRAL},
        {"x.y.sub.p.test", A, "NOERROR; " P_REFERRAL},
        {"ns.sub.p.test", A, "NOERROR; " P_REFERRAL},
        {"to-sub.svc.test", A,
         "NOERROR aa; to-sub.svc.test 300 CNAME host.sub.p.test.; " P_REFERRAL},
        {"two.svc.test", A, "NOERROR; A:two.svc.test 300 NS ns1.example.org."},
        {"two.svc.test", DS,
         "NOERROR aa; two.svc.test 300 DS 1 13 2 "
         "0000000000000000000000000000000000000000000000000000000000000000"},
    };

    (void)state;
    check_rows(rows, ARRAY_N(rows));
}

static void test_chains(void **state)
{
    static const struct row rows[] = {
        {"alias.svc.test", A,
         "NOERROR aa; alias.svc.test 300 CNAME mail.svc.test.; mail.svc.test 300 A 192.0.2.2"},
        {"alias.svc.test", CNAME, "NOERROR aa; alias.svc.test 300 CNAME mail.svc.test."},
        {"alias.svc.test", ANY, "NOERROR aa; alias.svc.test 300 CNAME mail.svc.test."},
        {"x.cw.svc.test", A,
         "NOERROR aa; x.cw.svc.test 300 CNAME mail.svc.test.; mail.svc.test 300 A 192.0.2.2"},
        {"to-ingress.svc.test", A,
         "NOERROR aa; to-ingress.svc.test 300 CNAME whatever.svc.test.; whatever.svc.test 60 A "
         "192.0.2.80"},
        {"to-plain.svc.test", A,
         "NOERROR aa; to-plain.svc.test 300 CNAME www.p.test.; www.p.test 300 A 192.0.2.10"},
        {"to-challenge.svc.test", TXT,
         "NOERROR aa; to-challenge.svc.test 300 CNAME _acme-challenge.x.svc.test.; "
         "_acme-challenge.x.svc.test 60 CNAME x.svc.test.acme.svc.test.; A:" ACME_SOA},
        {"to-delegate.svc.test", TXT,
         "NOERROR aa; to-delegate.svc.test 300 CNAME x.svc.test.acme.svc.test.; A:" ACME_SOA},
        {"out.svc.test", A, "NOERROR aa; out.svc.test 300 CNAME www.example.org."},
        {"dn.p.test", TXT, "NOERROR aa; dn.p.test 200 TXT \"at the DNAME\""},
        {"dn.p.test", DNAME, "NOERROR aa; dn.p.test 200 DNAME www.p.test."},
        {"www.d.svc.test", A,
         "NOERROR aa; d.svc.test 300 DNAME p.test.; www.d.svc.test 300 CNAME www.p.test.; "
         "www.p.test 300 A 192.0.2.10"},
        {"WWW.d.svc.test", CNAME,
         "NOERROR aa; d.svc.test 300 DNAME p.test.; WWW.d.svc.test 300 CNAME www.p.test."},
        {"_acme-challenge.x.d.svc.test", TXT,
         "NXDOMAIN aa; d.svc.test 300 DNAME p.test.; _acme-challenge.x.d.svc.test 300 CNAME "
         "_acme-challenge.x.p.test.; A:" P_SOA},
        {"_acme-challenge.d.svc.test", TXT,
         "NOERROR aa; d.svc.test 300 DNAME p.test.; _acme-challenge.d.svc.test 300 CNAME "
         "_acme-challenge.p.test.; _acme-challenge.p.test 300 TXT \"plain zones have ordinary "
         "ones\""},
    };

    (void)state;
    check_rows(rows, ARRAY_N(rows));
}

/* As far as ANSWER_HOPS_MAX, the DNAME itself once. */
static void test_many_hops(void **state)
{
    struct world w = world_open(CONFIG, records, ARRAY_N(records));
    uint8_t query[512];
    uint8_t out[DNS_TCP_MAX];
    ldns_pkt *pkt = NULL;

    (void)state;
    size_t n = make_query("a.grow.p.test", A, query);
    size_t len = answer_build(w.snap, query, n, true, out, sizeof(out));
    assert_int_equal(ldns_wire2pkt(&pkt, out, len), LDNS_STATUS_OK);
    assert_int_equal(ldns_pkt_ancount(pkt), 1 + 1 + 16);
    assert_int_equal(ldns_pkt_nscount(pkt), 0);
    ldns_pkt_free(pkt);
    world_close(&w);
}

/* --- room ------------------------------------------------------------------------------------- */

#define MANY 1500u
static void put_many(struct zone_db *db, const char *owner, unsigned type, unsigned n,
                     size_t (*make)(unsigned i, uint8_t *out))
{
    struct zone_rr *rrs = mem_array(n, sizeof(*rrs));
    uint8_t *data = mem_array(n, 64);
    uint8_t wire[NAME_WIRE_MAX];
    struct zone_edit *edit = NULL;

    assert_non_null(rrs);
    assert_non_null(data);
    for (unsigned i = 0; i < n; i++) {
        rrs[i] = (struct zone_rr){(uint16_t)type, 300, data + (size_t)64 * i, 0};
        rrs[i].rdata_len = (uint16_t)make(i, data + (size_t)64 * i);
    }
    assert_int_equal(zone_edit_begin(db, &edit).code, ERR_OK);
    assert_int_equal(zone_edit_records(edit, wire, make_name(owner, wire), rrs, n).code, ERR_OK);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
    mem_free(rrs);
    mem_free(data);
}

/* All to one name but the last ten, which stand far behind what pointers reach. */
static size_t make_mx(unsigned i, uint8_t *out)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "h%u.w.p.test", i < MANY - 10 ? 0 : i);
    out[0] = (uint8_t)(i >> 8);
    out[1] = (uint8_t)i;
    return 2 + make_name(name, out + 2);
}

static size_t make_ns(unsigned i, uint8_t *out)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "ns%u.sub.p.test", i);
    return make_name(name, out);
}

static size_t make_sibling(unsigned i, uint8_t *out)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "ns%u.w.p.test", i);
    return make_name(name, out);
}

static size_t make_a(unsigned i, uint8_t *out)
{
    memcpy(out, "\300\0\2", 3);
    out[3] = (uint8_t)i;
    return 4;
}

static void check_room(const struct world *w, const char *name, unsigned type, size_t edns,
                       int is_cut, unsigned answer_n, unsigned authority_n, unsigned additional_n)
{
    uint8_t query[512];
    uint8_t *out = mem_zalloc(DNS_TCP_MAX);
    ldns_pkt *pkt = NULL;

    assert_non_null(out);
    size_t n = make_query(name, type, query);
    if (edns != 0 && edns != DNS_TCP_MAX) {
        n = make_edns(query, n, (unsigned)edns, 0, 0);
    }
    size_t len = answer_build(w->snap, query, n, edns == DNS_TCP_MAX, out, DNS_TCP_MAX);
    assert_int_equal(ldns_wire2pkt(&pkt, out, len), LDNS_STATUS_OK);
    assert_true(len <= (edns == 0 ? 512 : edns));
    if (ldns_pkt_tc(pkt) != is_cut || ldns_pkt_ancount(pkt) != answer_n ||
        ldns_pkt_nscount(pkt) != authority_n ||
        ldns_rr_list_rr_count(ldns_pkt_additional(pkt)) != additional_n) {
        fail_msg("%s %zu: tc %d, %u, %u, %zu", name, edns, ldns_pkt_tc(pkt), ldns_pkt_ancount(pkt),
                 ldns_pkt_nscount(pkt), ldns_rr_list_rr_count(ldns_pkt_additional(pkt)));
    }
    ldns_pkt_free(pkt);
    mem_free(out);
}

static void test_room(void **state)
{
    struct world w = world_open(CONFIG, records, ARRAY_N(records));

    (void)state;
    zone_read_end(w.reader);
    put_many(w.db, "mx.p.test", MX, MANY, make_mx);
    put_many(w.db, "few.p.test", MX, 1, make_mx);
    put_many(w.db, "h0.w.p.test", A, 40, make_a);
    put_many(w.db, "sub.p.test", NS, 12, make_ns);
    put_many(w.db, "sib.p.test", NS, 12, make_sibling);
    for (unsigned i = 0; i < 12; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "ns%u.sub.p.test", i);
        put_many(w.db, name, A, 1, make_a);
    }
    w.snap = zone_read_begin(w.reader);
    /* 40 of the first name, one of the wildcard for each of the others */
    check_room(&w, "mx.p.test", MX, DNS_TCP_MAX, 0, MANY, 0, 40 + 10);
    check_room(&w, "mx.p.test", MX, 1232, 1, 0, 0, 0);
    /* a courtesy is left out, and nobody is told */
    check_room(&w, "few.p.test", MX, 0, 0, 1, 0, 0);
    check_room(&w, "few.p.test", MX, 1232, 0, 1, 0, 40);
    check_room(&w, "sib.p.test", A, 512, 0, 0, 12, 9);
    check_room(&w, "sib.p.test", A, 1232, 0, 0, 12, 12);
    /* glue that is needed is not. RFC 9471 */
    check_room(&w, "sub.p.test", A, 0, 1, 0, 0, 0);
    check_room(&w, "sub.p.test", A, 512, 1, 0, 0, 0);
    check_room(&w, "sub.p.test", A, 1232, 0, 0, 12, 12);
    world_close(&w);
}

/* Targets in the delegate zone: names there have values and no addresses, but for the name server's when no zone
 * of ours holds the host's name. */
static void test_targets_in_the_delegate_zone(void **state)
{
    static const char *const lines[] = {
        "value.svc.test. 300 MX 5 x.svc.test.acme.svc.test.",
        "apex.svc.test. 300 MX 5 acme.svc.test.",
        "ns.svc.test. 300 MX 5 ns.acme.svc.test.",
        "below.svc.test. 300 SRV 0 0 80 x.ns.acme.svc.test.",
    };
    static const struct {
        const char *name;
        unsigned type;
        const char *additional;
    } rows[] = {
        {"value.svc.test", MX, ""},
        {"apex.svc.test", MX, ""},
        {"below.svc.test", SRV, ""},
        {"ns.svc.test", MX,
         "; +:ns.acme.svc.test 60 A 192.0.2.1; +:ns.acme.svc.test 60 AAAA 2001:db8::1"},
    };
    struct world w = world_open("state_dir: /tmp\n"
                                "hostname: ca.example.org\n"
                                "addresses: [192.0.2.1, \"2001:db8::1\"]\n"
                                "zones: [{name: svc.test, ingress: [192.0.2.80]}]\n"
                                "delegate_zone: acme.svc.test\n",
                                lines, ARRAY_N(lines));
    struct buf text = BUF_INIT(65536);
    uint8_t query[512];
    uint8_t out[DNS_TCP_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        size_t n = make_query(rows[i].name, rows[i].type, query);
        render(out, answer_build(w.snap, query, n, true, out, sizeof(out)), &text);
        const char *additional = strstr(buf_str(&text), "; +:");
        if (strcmp(additional == NULL ? "" : additional, rows[i].additional) != 0) {
            fail_msg("%s: %s", rows[i].name, buf_str(&text));
        }
    }
    buf_clear(&text);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets_in_the_delegate_zone),
        cmocka_unit_test(test_negative),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_referrals),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_many_hops),
        cmocka_unit_test(test_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
