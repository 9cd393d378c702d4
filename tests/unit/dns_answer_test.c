#include <ldns/ldns.h>

#include "core/util/mem.h"
#include "dns/answer.h"
#include "tests/unit/dns_answer_world.h"
#include "tests/unit/dns_maker.h"

#define SVC_SOA "svc.test 5 SOA ca.svc.test. hostmaster.svc.test. 100 60 60 604800 5"
#define ACME_SOA "acme.svc.test 5 SOA ca.svc.test. hostmaster.acme.svc.test. 105 60 60 604800 5"
#define V1 "\"0000000000000000000000000000000000000000001\""
#define V2 "\"0000000000000000000000000000000000000000002\""
#define LABEL "_ujmmovf2vn55tgye"

struct fixture {
    struct zone_db *db;
    struct zone_reader *reader;
    const struct zone_snapshot *snap;
};

static struct fixture open_fixture(const char *config)
{
    struct config *cfg = make_config(config);
    struct fixture f = {NULL, NULL, NULL};
    char owner[NAME_TEXT_MAX + 32];

    assert_int_equal(zone_db_new(cfg, 100, &f.db).code, ERR_OK);
    for (unsigned i = 0; i < 4;
         i++) { /* two values at x, the first of two publishers; one at a label */
        struct zone_value v = make_value(i == 2 ? 2 : 1, i == 1 ? "b" : "a");
        (void)snprintf(owner, sizeof(owner), "%s.%s", i == 3 ? "label" : "x.svc.test",
                       cfg->delegate_zone);
        assert_int_equal(zone_value_add(f.db, owner, &v, 102 + i).code, ERR_OK);
    }
    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        struct zone_value v = make_value(i, "a");
        (void)snprintf(owner, sizeof(owner), "full.svc.test.%s", cfg->delegate_zone);
        assert_int_equal(zone_value_add(f.db, owner, &v, 105).code, ERR_OK);
    }
    (void)snprintf(owner, sizeof(owner), LABEL ".x.svc.test.%s", cfg->delegate_zone);
    struct zone_value v = make_value(2, "a");
    assert_int_equal(zone_value_add(f.db, owner, &v, 105).code, ERR_OK);
    assert_int_equal(zone_reader_new(f.db, &f.reader).code, ERR_OK);
    f.snap = zone_read_begin(f.reader);
    config_free(cfg);
    return f;
}

static void close_fixture(struct fixture *f)
{
    zone_read_end(f->reader);
    zone_reader_free(f->reader);
    zone_db_free(f->db);
}

struct row {
    const char *name;
    unsigned type;
    const char *want;
};

static void check_rows(const char *config, const struct row *rows, size_t n)
{
    struct fixture f = open_fixture(config);
    struct buf text = BUF_INIT(65536);
    uint8_t query[512];
    uint8_t out[DNS_TCP_MAX];

    for (size_t i = 0; i < n; i++) {
        size_t query_len = make_query(rows[i].name, rows[i].type, query);
        size_t len = answer_build(f.snap, query, query_len, false, out, sizeof(out));
        assert_in_range(len, 12, DNS_UDP_PLAIN_MAX);
        assert_memory_equal(out + 12, query + 12, query_len - 12); /* the question, case included */
        assert_int_equal(out[2] & 1, 1);                           /* RD copied */
        render(out, len, &text);
        if (strcmp(buf_str(&text), rows[i].want) != 0) {
            fail_msg("%s %u\n  got  %s\n  want %s", rows[i].name, rows[i].type, buf_str(&text),
                     rows[i].want);
        }
    }
    buf_clear(&text);
    close_fixture(&f);
}

enum { A = 1, NS = 2, CNAME = 5, SOA = 6, MX = 15, TXT = 16, AAAA = 28, ANY = 255, AXFR = 252 };

static void test_negative(void **state)
{
    static const struct row rows[] = {
        {"example.org", A, "REFUSED"},
        {".", NS, "REFUSED"},
        {"test", SOA, "REFUSED"},
        {"xsvc.test", A, "REFUSED"},
        {"other.test", SOA, "REFUSED"},
        {"_acme-challenge.a.other.test", TXT, "REFUSED"},
        {"svc.test", AXFR, "REFUSED"},
        {"acme.svc.test", 251, "REFUSED"},
        {"_foo.svc.test", A, "NXDOMAIN aa; A:" SVC_SOA},
        {"a._tcp.svc.test", A, "NXDOMAIN aa; A:" SVC_SOA},
        {"a._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        /* nearly an account's label */
        {"ujmmovf2vn55tgye._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_ujmmovf2vn55tgy._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_ujmmovf2vn55tgyee._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_ujmmovf2vn55tgy1._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_ujmmovf2vn55tg-e._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_ujmmovf2vn55tg\xc3\xa4._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        /* a label, elsewhere */
        {LABEL ".x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {LABEL ".svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"a." LABEL "._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {LABEL "." LABEL "._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {LABEL ".x._acme-challenge.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {LABEL "._acme-challenge._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {LABEL "._acme-challenge.*.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {LABEL "._acme-challenge.a_b.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {LABEL "._acme-challenge.-b.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {LABEL "._acme-challenge.x.acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {LABEL "._acme-challenge.acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {LABEL ".acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {LABEL "._x.acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {"a." LABEL ".x.acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {LABEL "." LABEL ".x.acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {LABEL "._acme-challenge.a.other.test", TXT, "REFUSED"},
        /* _validation-persist, elsewhere */
        {"_validation-persist.*.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_validation-persist.a_b.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_validation-persist._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"a._validation-persist.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_validation-persists.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_validation-persist.x.acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {"_validation-persist.acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {"_validation-persist.a.other.test", TXT, "REFUSED"},
        {"_validation-persist.svc.test", TXT, "NOERROR aa; A:" SVC_SOA},
        {"_validation-persist.a.b.svc.test", TXT, "NOERROR aa; A:" SVC_SOA},
        {"_validation-persist.ca.svc.test", A, "NOERROR aa; A:" SVC_SOA},
        {"_Validation-PERSIST.a.svc.test", CNAME, "NOERROR aa; A:" SVC_SOA},
        {"_validation-persist.a.svc.test", ANY, "NOERROR aa; A:" SVC_SOA},
        {LABEL ".a.acme.svc.test", TXT, "NOERROR aa; A:" ACME_SOA},
        {LABEL ".a.b.svc.test.acme.svc.test", A, "NOERROR aa; A:" ACME_SOA},
        {"_acme-challenge._acme-challenge.x.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"_acme-challenge.*.svc.test", TXT, "NXDOMAIN aa; A:" SVC_SOA},
        {"a.*.svc.test", A, "NXDOMAIN aa; A:" SVC_SOA},
        {"-a.svc.test", A, "NXDOMAIN aa; A:" SVC_SOA},
        {"a-.svc.test", A, "NXDOMAIN aa; A:" SVC_SOA},
        {"a b.svc.test", A, "NXDOMAIN aa; A:" SVC_SOA},
        {"\xc3\xa4.svc.test", A, "NXDOMAIN aa; A:" SVC_SOA},
        {"_acme-challenge.acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {"_acme-challenge.x.acme.svc.test", TXT, "NXDOMAIN aa; A:" ACME_SOA},
        {"*.acme.svc.test", A, "NXDOMAIN aa; A:" ACME_SOA},
        {"_x.acme.svc.test", A, "NXDOMAIN aa; A:" ACME_SOA},
        {"a.svc.test", AAAA, "NOERROR aa; A:" SVC_SOA},
        {"a.svc.test", MX, "NOERROR aa; A:" SVC_SOA},
        {"a.svc.test", SOA, "NOERROR aa; A:" SVC_SOA},
        {"a.svc.test", NS, "NOERROR aa; A:" SVC_SOA},
        {"svc.test", TXT, "NOERROR aa; A:" SVC_SOA},
        {"ca.svc.test", TXT, "NOERROR aa; A:" SVC_SOA},
        {"acme.svc.test", TXT, "NOERROR aa; A:" ACME_SOA},
        {"a.acme.svc.test", TXT, "NOERROR aa; A:" ACME_SOA},
        {"x.svc.test.acme.svc.test", A, "NOERROR aa; A:" ACME_SOA},
        {"svc.test.acme.svc.test", ANY, "NOERROR aa; A:" ACME_SOA},
        {"a.bare.svc.test", A,
         "NOERROR aa; A:bare.svc.test 5 SOA ca.svc.test. hostmaster.bare.svc.test. 100 60 60 "
         "604800 5"},
    };

    (void)state;
    check_rows(MAKER_CONFIG, rows, ARRAY_N(rows));
}

#define CNAME_OF(owner, base) owner " 60 CNAME " base ".acme.svc.test."
static void test_positive(void **state)
{
    static const struct row rows[] = {
        {"svc.test", SOA, "NOERROR aa; " SVC_SOA},
        {"SVC.test", SOA,
         "NOERROR aa; SVC.test 5 SOA ca.SVC.test. hostmaster.SVC.test. 100 60 60 604800 5"},
        {"acme.svc.test", SOA, "NOERROR aa; " ACME_SOA},
        {"svc.test", NS,
         "NOERROR aa; svc.test 60 NS ca.svc.test.; +:ca.svc.test 60 A 192.0.2.1; +:ca.svc.test 60 "
         "AAAA 2001:db8::1"},
        {"six.test", NS,
         "NOERROR aa; six.test 60 NS ca.svc.test.; +:ca.svc.test 60 A 192.0.2.1; +:ca.svc.test 60 "
         "AAAA 2001:db8::1"},
        {"acme.svc.test", NS,
         "NOERROR aa; acme.svc.test 60 NS ca.svc.test.; +:ca.svc.test 60 A 192.0.2.1; "
         "+:ca.svc.test 60 AAAA 2001:db8::1"},
        {"ca.svc.test", A, "NOERROR aa; ca.svc.test 60 A 192.0.2.1"},
        {"ca.svc.test", AAAA, "NOERROR aa; ca.svc.test 60 AAAA 2001:db8::1"},
        {"svc.test", A, "NOERROR aa; svc.test 60 A 192.0.2.80; svc.test 60 A 192.0.2.81"},
        {"a.B.svc.test", A,
         "NOERROR aa; a.B.svc.test 60 A 192.0.2.80; a.B.svc.test 60 A 192.0.2.81"},
        {"*.svc.test", A, "NOERROR aa; *.svc.test 60 A 192.0.2.80; *.svc.test 60 A 192.0.2.81"},
        {"a.six.test", AAAA, "NOERROR aa; a.six.test 60 AAAA 2001:db8::80"},
        {"a.six.test", ANY, "NOERROR aa; a.six.test 60 AAAA 2001:db8::80"},
        {"svc.test", ANY, "NOERROR aa; " SVC_SOA},
        {"_acme-challenge.x.svc.test", TXT,
         "NOERROR aa; " CNAME_OF("_acme-challenge.x.svc.test", "x.svc.test") //
         "; x.svc.test.acme.svc.test 1 TXT " V1 "; x.svc.test.acme.svc.test 1 TXT " V2},
        {"_ACME-Challenge.X.svc.TEST", TXT,
         "NOERROR aa; " CNAME_OF("_ACME-Challenge.X.svc.TEST", "x.svc.test") //
         "; x.svc.test.acme.svc.test 1 TXT " V1 "; x.svc.test.acme.svc.test 1 TXT " V2},
        {"_acme-challenge.svc.test", TXT,
         "NOERROR aa; " CNAME_OF("_acme-challenge.svc.test", "svc.test") "; A:" ACME_SOA},
        {"_acme-challenge.ca.svc.test", TXT,
         "NOERROR aa; " CNAME_OF("_acme-challenge.ca.svc.test", "ca.svc.test") "; A:" ACME_SOA},
        {"_acme-challenge.a.six.test", SOA,
         "NOERROR aa; " CNAME_OF("_acme-challenge.a.six.test", "a.six.test") "; A:" ACME_SOA},
        {"_acme-challenge.x.svc.test", AAAA,
         "NOERROR aa; " CNAME_OF("_acme-challenge.x.svc.test", "x.svc.test") "; A:" ACME_SOA},
        {"_acme-challenge.x.svc.test", CNAME,
         "NOERROR aa; " CNAME_OF("_acme-challenge.x.svc.test", "x.svc.test")},
        {"_acme-challenge.x.svc.test", ANY,
         "NOERROR aa; " CNAME_OF("_acme-challenge.x.svc.test", "x.svc.test")},
        {LABEL "._acme-challenge.x.svc.test", TXT,
         "NOERROR aa; " CNAME_OF(LABEL "._acme-challenge.x.svc.test", LABEL ".x.svc.test") //
         "; " LABEL ".x.svc.test.acme.svc.test 1 TXT " V2},
        {"_UjmmovF2vn55tgyE._ACME-Challenge.X.svc.TEST", TXT,
         "NOERROR aa; " CNAME_OF("_UjmmovF2vn55tgyE._ACME-Challenge.X.svc.TEST",
                                 LABEL ".x.svc.test") //
         "; " LABEL ".x.svc.test.acme.svc.test 1 TXT " V2},
        {"_aaaaaaaaaaaaaaaa._acme-challenge.x.svc.test", TXT,
         "NOERROR aa; " CNAME_OF("_aaaaaaaaaaaaaaaa._acme-challenge.x.svc.test",
                                 "_aaaaaaaaaaaaaaaa.x.svc.test") "; A:" ACME_SOA},
        {LABEL "._acme-challenge.svc.test", A,
         "NOERROR aa; " CNAME_OF(LABEL "._acme-challenge.svc.test", LABEL ".svc.test") //
         "; A:" ACME_SOA},
        {LABEL "._acme-challenge.a.six.test", CNAME,
         "NOERROR aa; " CNAME_OF(LABEL "._acme-challenge.a.six.test", LABEL ".a.six.test")},
        {LABEL "._acme-challenge.x.svc.test", ANY,
         "NOERROR aa; " CNAME_OF(LABEL "._acme-challenge.x.svc.test", LABEL ".x.svc.test")},
        {"_Ujmmovf2vn55tgye.x.svc.test.Acme.svc.test", TXT,
         "NOERROR aa; _Ujmmovf2vn55tgye.x.svc.test.Acme.svc.test 1 TXT " V2},
        {"x.svc.test.acme.svc.test", TXT,
         "NOERROR aa; x.svc.test.acme.svc.test 1 TXT " V1 "; x.svc.test.acme.svc.test 1 TXT " V2},
        {"Label.Acme.svc.test", TXT, "NOERROR aa; Label.Acme.svc.test 1 TXT " V1},
        {"label.acme.svc.test", ANY, "NOERROR aa; label.acme.svc.test 1 TXT " V1},
    };

    (void)state;
    check_rows(MAKER_CONFIG, rows, ARRAY_N(rows));
}

static void test_hostname_elsewhere(void **state)
{
    static const struct row rows[] = {
        {"svc.test", NS, "NOERROR aa; svc.test 60 NS ns.svc.test.; +:ns.svc.test 60 A 192.0.2.1"},
        {"svc.test", SOA,
         "NOERROR aa; svc.test 5 SOA ns.svc.test. hostmaster.svc.test. 100 60 60 604800 5"},
        {"ns.svc.test", A, "NOERROR aa; ns.svc.test 60 A 192.0.2.1"},
        {"ns.acme.svc.test", A, "NOERROR aa; ns.acme.svc.test 60 A 192.0.2.1"},
        {"a.ns.svc.test", A, "NOERROR aa; a.ns.svc.test 60 A 192.0.2.80"},
        {"acme.svc.test", NS,
         "NOERROR aa; acme.svc.test 60 NS ns.acme.svc.test.; +:ns.acme.svc.test 60 A 192.0.2.1"},
        {"laptop", A, "REFUSED"},
    };

    (void)state;
    check_rows("state_dir: /tmp\nhostname: laptop\naddresses: [192.0.2.1]\n"
               "zones: [{name: svc.test, ingress: [192.0.2.80]}]\n",
               rows, ARRAY_N(rows));
}

static void test_every_name(void **state)
{
    static const struct row rows[] = {
        {".", SOA, "REFUSED"},
        {"_acme-challenge", TXT, "REFUSED"},
        {"*", A, "REFUSED"},
        {"a.-b", A, "REFUSED"},
        {"net", SOA, "NOERROR aa; net 5 SOA ca.corp.test. hostmaster.net. 100 60 60 604800 5"},
        {"net", NS, "NOERROR aa; net 60 NS ca.corp.test.; +:ca.corp.test 60 A 192.0.2.1"},
        {"a.net", NS, "NOERROR aa; A:net 5 SOA ca.corp.test. hostmaster.net. 100 60 60 604800 5"},
        {"a.b.net", A, "NOERROR aa; a.b.net 60 A 192.0.2.80"},
        {"ca.corp.test", A, "NOERROR aa; ca.corp.test 60 A 192.0.2.1"},
        {"_x.net", A, "NXDOMAIN aa; A:net 5 SOA ca.corp.test. hostmaster.net. 100 60 60 604800 5"},
        {"_acme-challenge.x.svc.test", TXT,
         "NOERROR aa; _acme-challenge.x.svc.test 60 CNAME x.svc.test.d.corp.test.; "
         "x.svc.test.d.corp.test 1 TXT " V1 "; x.svc.test.d.corp.test 1 TXT " V2},
        {"_acme-challenge.net", CNAME, "NOERROR aa; _acme-challenge.net 60 CNAME net.d.corp.test."},
        {"own.test", NS, "NOERROR aa; own.test 60 NS ca.corp.test.; +:ca.corp.test 60 A 192.0.2.1"},
        {"a.own.test", A,
         "NOERROR aa; A:own.test 5 SOA ca.corp.test. hostmaster.own.test. 100 60 60 604800 5"},
        {"a.unserved.test", A, "REFUSED"},
    };

    (void)state;
    check_rows("state_dir: /tmp\nhostname: ca.corp.test\naddresses: [192.0.2.1]\n"
               "zones: [{name: \".\", ingress: [192.0.2.80]}, own.test, {name: unserved.test, "
               "serve: false}]\ndelegate_zone: d.corp.test\n",
               rows, ARRAY_N(rows));
}

/* Sizes: 256 values fit TCP; over UDP never a part of an RRset. */
static void test_sizes(void **state)
{
    static const struct {
        unsigned edns_size; /* 0: no OPT */
        size_t at_most;
    } rows[] = {{0, 512},   {0x1ff, 512}, {100, 512},  {512, 512},
                {800, 800}, {1232, 1232}, {4096, 1232}};
    struct fixture f = open_fixture(MAKER_CONFIG);
    uint8_t query[512];
    uint8_t *out = mem_zalloc(DNS_TCP_MAX);

    (void)state;
    assert_non_null(out);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        size_t n = make_query("_acme-challenge.full.svc.test", TXT, query);
        size_t question = n;
        if (rows[i].edns_size != 0) {
            n = make_edns(query, n, rows[i].edns_size, 0, 0x8000);
        }
        size_t len = answer_build(f.snap, query, n, false, out, DNS_TCP_MAX);
        assert_int_equal(len, rows[i].edns_size == 0 ? question : question + 11);
        assert_int_equal(out[2] & 2, 2); /* TC */
        assert_int_equal(out[7] + out[9], 0);
        assert_int_equal(out[11], rows[i].edns_size == 0 ? 0 : 1);
        if (rows[i].edns_size != 0) { /* DO copied, 1232 offered */
            const uint8_t opt[11] = {0, 0, 41, 1232 >> 8, 1232 & 0xff, 0, 0, 0x80, 0, 0, 0};
            assert_memory_equal(out + len - 11, opt, sizeof(opt));
        }
        n = make_query("label.acme.svc.test", TXT, query);
        n = rows[i].edns_size == 0 ? n : make_edns(query, n, rows[i].edns_size, 0, 0);
        len = answer_build(f.snap, query, n, false, out, DNS_TCP_MAX);
        assert_int_equal(out[2] & 2, 0);
        assert_true(len <= rows[i].at_most);
    }
    size_t n = make_query("_acme-challenge.full.svc.test", TXT, query);
    size_t len = answer_build(f.snap, query, n, true, out, DNS_TCP_MAX);
    assert_int_equal(out[2] & 2, 0);
    assert_int_equal(out[6] << 8 | out[7], ZONE_VALUES_MAX + 1);
    ldns_pkt *pkt = NULL;
    assert_int_equal(ldns_wire2pkt(&pkt, out, len), LDNS_STATUS_OK);
    ldns_pkt_free(pkt);
    /* A small buffer is respected over TCP as well. */
    assert_int_equal(answer_build(f.snap, query, n, true, out, 512), n);
    mem_free(out);
    close_fixture(&f);
}

/* Packets that are not what they should be: a good query for svc.test SOA, 26 octets, and its OPT,
 * 11, with one octet changed or the length. */
#define WHOLE 37
static const struct {
    size_t at;
    uint8_t value;
    size_t len;
    int want; /* rcode, -1: no answer */
} broken_rows[] = {
    {2, 0x81, WHOLE, -1},                                               /* QR */
    {2, 0x01, 0, -1},      {2, 0x01, 11, -1},                           /* not a header */
    {2, 0x01, 12, 1},                                                   /* nothing but a header */
    {2, 0x01, 20, 1},                                                   /* name cut off */
    {2, 0x01, 22, 1},                                                   /* no QTYPE */
    {2, 0x01, 25, 1},                                                   /* half a QCLASS */
    {2, 0x09, WHOLE, 4},                                                /* IQUERY */
    {2, 0x11, WHOLE, 4},                                                /* STATUS */
    {2, 0x21, WHOLE, 4},                                                /* NOTIFY */
    {2, 0x29, WHOLE, 4},                                                /* UPDATE */
    {2, 0x79, WHOLE, 4},                                                /* 15 */
    {5, 0, WHOLE, 1},                                                   /* QDCOUNT 0 */
    {5, 2, WHOLE, 1},                                                   /* QDCOUNT 2 */
    {4, 1, WHOLE, 1},                                                   /* QDCOUNT 257 */
    {7, 1, WHOLE, 1},                                                   /* ANCOUNT */
    {9, 1, WHOLE, 1},                                                   /* NSCOUNT */
    {11, 0, WHOLE, 1},                                                  /* trailing bytes */
    {11, 2, WHOLE, 1},                                                  /* a record is missing */
    {10, 0xff, WHOLE, 1},                                               /* 65,281 are */
    {11, 1, WHOLE + 1, 1}, {11, 1, WHOLE - 1, 1}, {12, 0xc0, WHOLE, 1}, /* compressed question */
    {12, 0x40, WHOLE, 1},                      /* label types that do not exist */
    {12, 0x80, WHOLE, 1},  {26, 3, WHOLE, 1},  /* OPT elsewhere than at the root */
    {36, 1, WHOLE, 1},                         /* its data cut off */
    {35, 1, WHOLE, 1},     {32, 1, WHOLE, 16}, /* EDNS version 1: BADVERS */
    {32, 255, WHOLE, 16},  {25, 3, WHOLE, 5},  /* CHAOS */
    {25, 255, WHOLE, 5},                       /* class ANY */
    {23, 250, WHOLE, 0},                       /* QTYPE TSIG: no such data */
    {2, 0x07, WHOLE, 0},                       /* AA and TC mean nothing in a query */
    {3, 0xf0, WHOLE, 0},                       /* nor do RA, Z, AD, CD to us */
};
static void test_broken(void **state)
{
    struct fixture f = open_fixture(MAKER_CONFIG);
    uint8_t query[512];
    uint8_t out[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(broken_rows); i++) {
        memset(query, 0, sizeof(query));
        size_t n = make_query("svc.test", SOA, query);
        assert_int_equal(make_edns(query, n, 1232, 0, 0), WHOLE);
        query[broken_rows[i].at] = broken_rows[i].value;
        uint8_t *exact = mem_dup(query, broken_rows[i].len); /* ASan sees a read past the end */
        assert_non_null(exact);
        size_t len = answer_build(f.snap, exact, broken_rows[i].len, false, out, sizeof(out));
        mem_free(exact);
        int got = len == 0 ? -1 : out[3] & 0x0f;
        if (len > 12 && out[11] != 0) {
            got |= out[len - 6] << 4;
        }
        if (got != broken_rows[i].want) {
            fail_msg("row %zu: rcode %d, not %d", i, got, broken_rows[i].want);
        }
        if (got == 1 || got == 4) {
            assert_int_equal(len, 12);
        }
        if (len != 0) {
            assert_memory_equal(out, "\xbe\xef", 2);
            assert_int_equal(out[2] & 0x80, 0x80);
            assert_int_equal(out[3] & 0xf0, 0);
        }
    }
    close_fixture(&f);
}

/* More in the additional section than ours: what is whole is stepped over, a second OPT is not. */
static void test_additional(void **state)
{
    static const uint8_t tsig[] = {3,   'k', 'e', 'y', 0xc0, 12, 0, 250, 0,
                                   255, 0,   0,   0,   0,    0,  2, 9,   9};
    static const uint8_t loop[] = {0xc0, 26, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0};
    static const uint8_t option[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 5, 0, 10, 0, 1, 7};
    static const uint8_t broken[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 5, 0, 10, 0, 2, 7};
    static const uint8_t opts[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0,
                                   0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
    static const struct {
        const uint8_t *data;
        size_t len;
        uint8_t records_n, want;
    } rows[] = {{tsig, sizeof(tsig), 1, 0},
                {loop, sizeof(loop), 1, 0},
                {option, sizeof(option), 1, 0},
                {broken, sizeof(broken), 1, 1},
                {opts, sizeof(opts), 2, 1},
                {tsig, sizeof(tsig) - 1, 1, 1},
                {tsig, 5, 1, 1}};
    struct fixture f = open_fixture(MAKER_CONFIG);
    uint8_t query[512];
    uint8_t out[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        size_t n = make_query("svc.test", SOA, query);
        memcpy(query + n, rows[i].data, rows[i].len);
        query[11] = rows[i].records_n;
        size_t len = answer_build(f.snap, query, n + rows[i].len, false, out, sizeof(out));
        assert_true(len >= 12);
        assert_int_equal(out[3], rows[i].want);
    }
    /* RFC 1995 §3: the client's SOA stands in the authority section. */
    size_t n = make_query("svc.test", 251, query);
    memcpy(query + n, loop, sizeof(loop));
    query[9] = 1;
    assert_true(answer_build(f.snap, query, n + sizeof(loop), true, out, sizeof(out)) > 12);
    assert_int_equal(out[3], 5);
    close_fixture(&f);
}

/* The longest name there is, and one octet more; its target is too long for <name>.<delegate
 * zone>. */
static void test_long_names(void **state)
{
    struct fixture f = open_fixture("state_dir: /tmp\nhostname: ca.svc.test\nzones: [svc.test]\n"
                                    "delegate_zone: a-very-long.acme.svc.test\n");
    struct buf text = BUF_INIT(65536);
    char name[300] = "";
    char target[NAME_TEXT_MAX + 1];
    uint8_t query[512];
    uint8_t out[1232];

    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        size_t o = (size_t)snprintf(name, sizeof(name), "_acme-challenge.");
        for (size_t i = 0; i < 3; i++) {
            memset(name + o, 'b', 63);
            name[o + 63] = '.';
            o += 64;
        }
        memset(name + o, 'c', 36 + extra); /* 16 + 192 + 36 + 9 = 253 characters */
        o += 36 + extra;
        (void)snprintf(name + o, sizeof(name) - o, ".svc.test");
        size_t n = make_query(name, TXT, query);
        size_t len = answer_build(f.snap, query, n, true, out, sizeof(out));
        if (extra == 1) {
            assert_int_equal(len, 12);
            assert_int_equal(out[3], 1);
            continue;
        }
        assert_int_equal(name_delegate(name + 16, "a-very-long.acme.svc.test", target).code,
                         ERR_OK);
        render(out, len, &text);
        assert_non_null(strstr(buf_str(&text), target));
        assert_non_null(strstr(buf_str(&text), " CNAME h-"));
        assert_non_null(strstr(buf_str(&text), "; A:a-very-long.acme.svc.test 5 SOA "));
    }
    buf_clear(&text);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken),     cmocka_unit_test(test_additional),
        cmocka_unit_test(test_negative),   cmocka_unit_test(test_positive),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_hostname_elsewhere),
        cmocka_unit_test(test_every_name), cmocka_unit_test(test_long_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
