/* What the packet and the server's settings decide: verdicts, header bits, EDNS, cookies, extended
 * errors, forwarding. */
#include "dns/answer_int.h"
#include "dns/cookie.h"
#include "tests/unit/dns_answer_world.h"

#define CONFIG                                                                                     \
    "state_dir: /tmp\n"                                                                            \
    "hostname: ca.svc.test\n"                                                                      \
    "addresses: [192.0.2.1]\n"                                                                     \
    "zones:\n"                                                                                     \
    "  - {name: svc.test, ingress: [192.0.2.80]}\n"                                                \
    "  - {name: p.test, plain: true}\n"                                                            \
    "  - {name: other.test, serve: false}\n"                                                       \
    "delegate_zone: acme.svc.test\n"
#define EVERY_CONFIG                                                                               \
    "state_dir: /tmp\n"                                                                            \
    "hostname: ca.corp.test\n"                                                                     \
    "addresses: [192.0.2.1]\n"                                                                     \
    "zones: [{name: \".\", ingress: [192.0.2.80]}]\n"                                              \
    "delegate_zone: acme.corp.test\n"

static const char *const records[] = {
    "out.svc.test. 300 CNAME www.example.org.",
    "in.svc.test. 300 CNAME www.p.test.",
    "hop.svc.test. 300 CNAME out.svc.test.",
    "www.p.test. 300 A 192.0.2.10",
};
static const char *const every_records[] = {
    "www.net. 300 A 192.0.2.10",
    "alias.net. 300 CNAME elsewhere.org.",
    "*.wild.net. 300 A 192.0.2.11",
};

/* 192.0.2.0/24 may have its questions forwarded. */
static bool may_forward(const void *ctx, const struct ip_addr *peer)
{
    assert_ptr_equal(ctx, records);
    return peer->family == 4 && peer->bytes[0] == 192;
}

static const struct ip_addr friend = {4, {192, 0, 2, 7}};
static const struct ip_addr stranger = {4, {198, 51, 100, 100}};
static const struct answer_env nothing = {.has_work = false};
static const struct answer_env everything = {
    .may_forward = may_forward,
    .forward_ctx = records,
    .has_work = true,
    .has_cookies = true,
    .cookie_secret = {{0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e,
                       0x37, 0xbf, 0xcf}}};

enum { A = 1, NS = 2, SOA = 6, TXT = 16, ANY = 255, IXFR = 251, AXFR = 252 };

/* --- packets ---------------------------------------------------------------------------------- */

static size_t put_options(uint8_t *query, size_t n, const uint8_t *options, size_t len)
{
    n = make_edns(query, n, 1232, 0, 0);
    query[n - 1] = (uint8_t)len;
    memcpy(query + n, options, len);
    return n + len;
}

static size_t put_tsig(uint8_t *query, size_t n)
{
    static const uint8_t tsig[] = {3, 'k', 'e', 'y', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 2, 9, 9};

    memcpy(query + n, tsig, sizeof(tsig));
    query[11]++;
    return n + sizeof(tsig);
}

/* The extended error of an answer; -1: none. All OPT records are last and have known options. */
static int ede_of(const uint8_t *out, size_t len)
{
    static const uint8_t head[] = {0, 0, 41, 1232 >> 8, 1232 & 0xff};
    size_t at = 0;

    for (size_t i = 12; i + 11 <= len && out[11] != 0; i++) {
        at = memcmp(out + i, head, sizeof(head)) == 0 ? i : at;
    }
    for (size_t i = at + 11; at != 0 && i + 4 <= len;) {
        size_t n = (size_t)out[i + 2] << 8 | out[i + 3];
        if (out[i + 1] == 15) {
            assert_int_equal(n, 2);
            return out[i + 4] << 8 | out[i + 5];
        }
        i += 4 + n;
    }
    return -1;
}

/* --- verdicts --------------------------------------------------------------------------------- */

enum { WITH_EDNS = 1, WITH_TSIG = 2, BY_TCP = 4, NO_RD = 8, FROM_FRIEND = 16, NO_ENV = 32 };
struct verdict_row {
    const char *name;
    unsigned type;
    unsigned opcode, flags;
    enum answer_verdict verdict;
    int rcode, ede; /* -1: does not matter, none */
    enum answer_reason reason;
};

static void check_verdict(const struct world *w, const struct verdict_row *row)
{
    uint8_t query[512];
    uint8_t out[DNS_TCP_MAX];
    struct answer_info info;
    size_t len = 0;
    size_t n = make_query(row->name, row->type, query);

    query[2] = (uint8_t)(row->opcode << 3 | ((row->flags & NO_RD) != 0 ? 0u : 1u));
    n = (row->flags & WITH_EDNS) != 0 ? make_edns(query, n, 1232, 0, 0) : n;
    n = (row->flags & WITH_TSIG) != 0 ? put_tsig(query, n) : n;
    uint8_t *exact = mem_dup(query, n);
    assert_non_null(exact);
    struct answer_in in = {.env = (row->flags & NO_ENV) != 0 ? &nothing : &everything,
                           .snap = w->snap,
                           .query = exact,
                           .query_len = n,
                           .is_tcp = (row->flags & BY_TCP) != 0,
                           .peer = (row->flags & FROM_FRIEND) != 0 ? &friend : &stranger};
    enum answer_verdict verdict = answer(&in, out, sizeof(out), &len, &info);
    mem_free(exact);
    if (verdict != row->verdict || info.reason != row->reason) {
        fail_msg("%s %u opcode %u flags %u: verdict %d, reason %d", row->name, row->type,
                 row->opcode, row->flags, (int)verdict, (int)info.reason);
    }
    assert_int_equal(info.opcode, row->opcode);
    if (verdict != ANSWER_SEND) {
        return;
    }
    assert_true(len >= 12);
    assert_int_equal(out[2] >> 3 & 15, row->opcode);
    /* RD comes back with QUERY only; RA, Z, AD and CD never do. */
    assert_int_equal(out[2] & 1, row->opcode == 0 && (row->flags & NO_RD) == 0);
    assert_int_equal(out[3] & 0xf0, 0);
    if ((out[3] & 15) != row->rcode || ede_of(out, len) != row->ede) {
        fail_msg("%s %u opcode %u flags %u: rcode %d, ede %d", row->name, row->type, row->opcode,
                 row->flags, out[3] & 15, ede_of(out, len));
    }
    assert_int_equal(info.rcode, row->rcode);
}

static void test_verdicts(void **state)
{
    static const struct verdict_row rows[] = {
        /* opcodes */
        {"svc.test", SOA, 1, 0, ANSWER_SEND, 4, -1, ANSWER_BROKEN},
        {"svc.test", SOA, 2, 0, ANSWER_SEND, 4, -1, ANSWER_BROKEN},
        {"svc.test", SOA, 4, 0, ANSWER_SEND, 4, -1, ANSWER_BROKEN},
        {"svc.test", SOA, 4, WITH_TSIG, ANSWER_SEND, 4, -1, ANSWER_BROKEN},
        {"svc.test", SOA, 6, WITH_EDNS, ANSWER_SEND, 4, -1, ANSWER_BROKEN},
        {"svc.test", SOA, 15, 0, ANSWER_SEND, 4, -1, ANSWER_BROKEN},
        {"svc.test", SOA, 5, NO_ENV, ANSWER_SEND, 4, -1, ANSWER_BROKEN},
        {"svc.test", SOA, 5, 0, ANSWER_WORK, 0, -1, ANSWER_BROKEN},
        {"example.org", SOA, 5, WITH_TSIG | BY_TCP, ANSWER_WORK, 0, -1, ANSWER_BROKEN},
        /* signed questions */
        {"svc.test", SOA, 0, WITH_TSIG, ANSWER_WORK, 0, -1, ANSWER_NODATA},
        {"example.org", SOA, 0, WITH_TSIG | WITH_EDNS, ANSWER_WORK, 0, -1, ANSWER_NODATA},
        {"svc.test", SOA, 0, WITH_TSIG | NO_ENV, ANSWER_SEND, 0, -1, ANSWER_APEX},
        /* transfers */
        {"svc.test", AXFR, 0, BY_TCP, ANSWER_WORK, 0, -1, ANSWER_APEX},
        {"acme.svc.test", AXFR, 0, BY_TCP, ANSWER_WORK, 0, -1, ANSWER_APEX},
        {"p.test", IXFR, 0, 0, ANSWER_WORK, 0, -1, ANSWER_APEX},
        {"svc.test", AXFR, 0, 0, ANSWER_SEND, 1, -1, ANSWER_BROKEN},
        {"svc.test", AXFR, 0, BY_TCP | NO_ENV | WITH_EDNS, ANSWER_SEND, 5, 21, ANSWER_NOT_OURS},
        {"x.svc.test", AXFR, 0, BY_TCP | WITH_EDNS, ANSWER_SEND, 5, 20, ANSWER_NOT_OURS},
        {"other.test", AXFR, 0, BY_TCP | WITH_EDNS, ANSWER_SEND, 5, 20, ANSWER_NOT_OURS},
        {"example.org", IXFR, 0, FROM_FRIEND | WITH_EDNS, ANSWER_SEND, 5, 20, ANSWER_NOT_OURS},
        /* names that are not ours */
        {"example.org", A, 0, 0, ANSWER_SEND, 5, -1, ANSWER_NOT_OURS},
        {"example.org", A, 0, WITH_EDNS, ANSWER_SEND, 5, 18, ANSWER_NOT_OURS},
        {"example.org", A, 0, WITH_EDNS | NO_RD, ANSWER_SEND, 5, 20, ANSWER_NOT_OURS},
        {"example.org", A, 0, WITH_EDNS | NO_ENV, ANSWER_SEND, 5, 20, ANSWER_NOT_OURS},
        {"example.org", A, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_NOT_OURS},
        {"example.org", ANY, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_NOT_OURS},
        {".", NS, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_NOT_OURS},
        {"x.other.test", A, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_NOT_OURS},
        {"example.org", A, 0, FROM_FRIEND | NO_RD | WITH_EDNS, ANSWER_SEND, 5, 20, ANSWER_NOT_OURS},
        {"example.org", 250, 0, FROM_FRIEND, ANSWER_SEND, 5, -1, ANSWER_NOT_OURS},
        {"example.org", 0, 0, FROM_FRIEND, ANSWER_SEND, 5, -1, ANSWER_NOT_OURS},
        /* names of ours are never forwarded */
        {"missing.p.test", A, 0, FROM_FRIEND, ANSWER_SEND, 3, -1, ANSWER_NXDOMAIN},
        {"_x.svc.test", A, 0, FROM_FRIEND, ANSWER_SEND, 3, -1, ANSWER_NXDOMAIN},
        {"x.svc.test", A, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_INGRESS},
        {"x.svc.test", TXT, 0, 0, ANSWER_SEND, 0, -1, ANSWER_NODATA},
        {"_acme-challenge.x.svc.test", TXT, 0, 0, ANSWER_SEND, 0, -1, ANSWER_CHALLENGE},
        {"ca.svc.test", A, 0, 0, ANSWER_SEND, 0, -1, ANSWER_NAME_SERVER},
        {"www.p.test", A, 0, 0, ANSWER_SEND, 0, -1, ANSWER_RECORD},
        /* a CNAME that leads out of our zones */
        {"in.svc.test", A, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_CNAME},
        {"out.svc.test", A, 0, 0, ANSWER_SEND, 0, -1, ANSWER_CNAME},
        {"out.svc.test", A, 0, FROM_FRIEND | NO_RD, ANSWER_SEND, 0, -1, ANSWER_CNAME},
        {"out.svc.test", 5, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_CNAME},
        {"out.svc.test", A, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_CNAME},
        /* questions that mean nothing here */
        {"svc.test", 0, 0, 0, ANSWER_SEND, 0, -1, ANSWER_NODATA},
        {"svc.test", 41, 0, 0, ANSWER_SEND, 0, -1, ANSWER_NODATA},
        {"svc.test", 46, 0, 0, ANSWER_SEND, 0, -1, ANSWER_NODATA},
        {"svc.test", 249, 0, 0, ANSWER_SEND, 0, -1, ANSWER_NODATA},
        {"svc.test", 253, 0, 0, ANSWER_SEND, 0, -1, ANSWER_NODATA},
        {"svc.test", 666, 0, 0, ANSWER_SEND, 0, -1, ANSWER_NODATA},
    };
    struct world w = world_open(CONFIG, records, ARRAY_N(records));

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct verdict_row row = rows[i];
        row.reason = row.type == 5 && row.reason == ANSWER_CNAME ? ANSWER_RECORD : row.reason;
        check_verdict(&w, &row);
    }
    world_close(&w);
}

/* Zone ".": what is stored or automatic is answered, everything else is somebody else's. */
static void test_every_name(void **state)
{
    static const struct verdict_row rows[] = {
        {"www.net", A, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_RECORD},
        {"www.net", TXT, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_NODATA},
        {"x.wild.net", A, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_WILDCARD},
        {"net", SOA, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_APEX},
        {"net", NS, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_APEX},
        {"ca.corp.test", A, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_NAME_SERVER},
        {"_acme-challenge.x.net", TXT, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_CHALLENGE},
        {"x.net.acme.corp.test", TXT, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_NODATA},
        {"net", A, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_NOT_OURS},
        {"x.net", A, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_NOT_OURS},
        {"_x.net", TXT, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_NOT_OURS},
        {"wild.net", A, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_NOT_OURS},
        {"x.net", 250, 0, FROM_FRIEND, ANSWER_SEND, 0, -1, ANSWER_NODATA},
        {"alias.net", A, 0, FROM_FRIEND, ANSWER_FORWARD, 0, -1, ANSWER_CNAME},
        {"alias.net", A, 0, 0, ANSWER_SEND, 0, -1, ANSWER_CNAME},
        {"x.net", A, 0, 0, ANSWER_SEND, 0, -1, ANSWER_INGRESS},
        {"_x.net", A, 0, 0, ANSWER_SEND, 3, -1, ANSWER_NXDOMAIN},
        {"net", AXFR, 0, BY_TCP, ANSWER_SEND, 5, -1, ANSWER_NOT_OURS},
    };
    struct world w = world_open(EVERY_CONFIG, every_records, ARRAY_N(every_records));

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        check_verdict(&w, &rows[i]);
    }
    world_close(&w);
}

/* What stands when the rest is to be forwarded: header, question, CNAMEs; no OPT. */
static void test_forward_begun(void **state)
{
    struct world w = world_open(CONFIG, records, ARRAY_N(records));
    struct buf text = BUF_INIT(4096);
    struct answer_info info;
    uint8_t query[512];
    uint8_t out[512];
    size_t len = 1;

    (void)state;
    size_t n = make_edns(query, make_query("hop.svc.test", A, query), 1232, 0, 0);
    struct answer_in in = {
        .env = &everything, .snap = w.snap, .query = query, .query_len = n, .peer = &friend};
    assert_int_equal(answer(&in, out, sizeof(out), &len, &info), ANSWER_FORWARD);
    render(out, len, &text);
    assert_string_equal(buf_str(&text), "NOERROR aa; hop.svc.test 300 CNAME out.svc.test.; "
                                        "out.svc.test 300 CNAME www.example.org.");
    assert_int_equal(out[11], 0);
    assert_int_equal(info.zone, 0);
    assert_int_equal(info.question_end, 12 + 14 + 4);
    in.query_len = make_query("example.org", A, query);
    assert_int_equal(answer(&in, out, sizeof(out), &len, NULL), ANSWER_FORWARD);
    assert_int_equal(len, 0);
    /* An unknown peer is nobody's friend. */
    in.peer = NULL;
    assert_int_equal(answer(&in, out, sizeof(out), &len, NULL), ANSWER_SEND);
    buf_clear(&text);
    world_close(&w);
}

/* --- cookies ---------------------------------------------------------------------------------- */

#define CLIENT 0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57
static const uint8_t fresh[] = {CLIENT, 1,    0,    0,    0,    0x5c, 0xf7, 0x9f, 0x11,
                                0x1f,   0x81, 0x30, 0xc3, 0xee, 0xe2, 0x94, 0x80};

static void test_cookies(void **state)
{
    static const uint8_t alone[] = {0, 10, 0, 8, CLIENT};
    static const uint8_t short_[] = {0, 10, 0, 7, 1, 2, 3, 4, 5, 6, 7};
    static const uint8_t between[] = {0, 10, 0, 12, CLIENT, 1, 2, 3, 4};
    static const uint8_t empty[] = {0, 10, 0, 0};
    static const uint8_t second[] = {0, 100, 0, 1, 7, 0, 10, 0, 8, CLIENT, 0, 10, 0, 1, 9};
    uint8_t good[28] = {0, 10, 0, 24};
    uint8_t bad[28] = {0, 10, 0, 24};
    memcpy(good + 4, fresh, sizeof(fresh));
    memcpy(bad + 4, fresh, sizeof(fresh));
    bad[27]++;
    const struct {
        const uint8_t *option;
        size_t len;
        bool has_question, is_good;
        int rcode;
    } rows[] = {
        {empty, sizeof(empty), true, false, 1},     {short_, sizeof(short_), true, false, 1},
        {between, sizeof(between), true, false, 1}, {between, sizeof(between), false, false, 1},
        {alone, sizeof(alone), true, false, 0},     {second, sizeof(second), true, false, 0},
        {bad, sizeof(bad), true, false, 0},         {good, sizeof(good), true, true, 0},
        {alone, sizeof(alone), false, false, 0},    {bad, sizeof(bad), false, false, 23},
        {good, sizeof(good), false, true, 0}};
    struct world w = world_open(CONFIG, records, ARRAY_N(records));
    uint8_t query[512];
    uint8_t out[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct answer_info info;
        size_t len = 0;
        size_t n = make_query("svc.test", SOA, query);
        if (!rows[i].has_question) {
            n = 12;
            query[5] = 0;
        }
        n = put_options(query, n, rows[i].option, rows[i].len);
        struct answer_in in = {.env = &everything,
                               .snap = w.snap,
                               .query = query,
                               .query_len = n,
                               .peer = &stranger,
                               .now_unix = 1559731985};
        assert_int_equal(answer(&in, out, sizeof(out), &len, &info), ANSWER_SEND);
        assert_int_equal(info.rcode, rows[i].rcode);
        assert_int_equal(info.has_good_cookie, rows[i].is_good);
        assert_int_equal(out[3] & 15, rows[i].rcode & 15);
        if (rows[i].rcode == 1) { /* OPT was understood: it stands in the answer. RFC 6891 §6.1.1 */
            size_t question_end = rows[i].has_question ? make_query("svc.test", SOA, query) : 12;
            assert_int_equal(len, question_end + 11);
            assert_memory_equal(out + question_end, "\0\0\51\4\320\0\0\0\0\0\0", 11);
            assert_int_equal(out[5], rows[i].has_question ? 1 : 0);
            assert_int_equal(out[11], 1);
            continue;
        }
        /* the OPT is last: 11 octets, the option's head, the cookie */
        assert_true(len >= 12 + 11 + 28);
        assert_memory_equal(out + len - 24, fresh, 24);
        assert_memory_equal(out + len - 30, "\0\34\0\12\0\30", 6);
        assert_int_equal(out[len - 28 - 6], rows[i].rcode >> 4);
        assert_int_equal(out[5], rows[i].has_question ? 1 : 0);
        assert_int_equal(out[7], rows[i].has_question ? 1 : 0);
        assert_int_equal(info.reason, rows[i].has_question  ? ANSWER_APEX
                                      : rows[i].rcode == 23 ? ANSWER_BAD_COOKIE
                                                            : ANSWER_NODATA);
        /* Without cookies the option is one of those that nobody knows. */
        in.env = &nothing;
        assert_int_equal(answer(&in, out, sizeof(out), &len, &info), ANSWER_SEND);
        assert_false(info.has_good_cookie);
        assert_int_equal(out[3] & 15, rows[i].has_question ? 0 : 1);
    }
    world_close(&w);
}

/* A cookie goes with an answer that fills the limit, and never beyond it. */
static void test_limits(void **state)
{
    static const uint8_t alone[] = {0, 10, 0, 8, CLIENT};
    static const uint8_t set_owner[] = "\3set\1p\4test";
    struct world w = world_open(CONFIG, records, ARRAY_N(records));
    uint8_t query[512];
    uint8_t out[1300];
    bool was_cut = false;

    (void)state;
    for (unsigned len_of_text = 1; len_of_text <= 255; len_of_text++) {
        uint8_t text[256];
        struct zone_rr rrs[2] = {{TXT, 300, text, (uint16_t)(len_of_text + 1)},
                                 {TXT, 300, text, 2}};
        struct zone_edit *edit = NULL;
        memset(text, 'x', sizeof(text));
        text[0] = (uint8_t)len_of_text;
        if (len_of_text > 1) { /* the second one has the same length octet, other octets */
            text[1] = 'y';
        }
        uint8_t other[256];
        memset(other, 'z', sizeof(other));
        other[0] = (uint8_t)len_of_text;
        rrs[1].rdata = other;
        rrs[1].rdata_len = (uint16_t)(len_of_text + 1);
        zone_read_end(w.reader);
        assert_int_equal(zone_edit_begin(w.db, &edit).code, ERR_OK);
        assert_int_equal(zone_edit_records(edit, set_owner, sizeof(set_owner), rrs, 2).code,
                         ERR_OK);
        assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
        w.snap = zone_read_begin(w.reader);
        size_t len = 0;
        size_t n = make_query("set.p.test", TXT, query);
        n = put_options(query, n, alone, sizeof(alone));
        query[n - sizeof(alone) - 11 + 3] = 2; /* 512 octets offered */
        query[n - sizeof(alone) - 11 + 4] = 0;
        struct answer_in in = {
            .env = &everything, .snap = w.snap, .query = query, .query_len = n, .peer = &stranger};
        struct answer_info info;
        memset(out, 0xaa, sizeof(out));
        assert_int_equal(answer(&in, out, sizeof(out), &len, &info), ANSWER_SEND);
        assert_true(len <= 512);
        assert_int_equal(out[512], 0xaa);
        assert_int_equal(info.is_cut, (out[2] & 2) != 0);
        size_t whole = 12 + 16 + 2 * (12 + (size_t)len_of_text + 1) + 11 + 28;
        assert_int_equal(info.is_cut, whole > 512);
        assert_int_equal(len, whole > 512 ? 12 + 16 + 11 + 28 : whole);
        was_cut = was_cut || info.is_cut;
    }
    assert_true(was_cut);
    world_close(&w);
}

static void test_bounded(void **state)
{
    uint8_t out[16] = {0xbe, 0xef, 0x85, 0x00, 0, 1, 0, 2, 0, 3, 0, 4};

    (void)state;
    assert_int_equal(reply_bounded(out, 600, 600), 600);
    assert_int_equal(out[7], 2);
    assert_int_equal(reply_bounded(out, 601, 600), 12);
    assert_memory_equal(out, "\xbe\xef\x81\x02\0\0\0\0\0\0\0\0", 12);
}

/* --- errors made later ------------------------------------------------------------------------ */

static void test_error(void **state)
{
    static const uint8_t prerequisite[] = {0xc0, 12, 0, 255, 0, 255, 0, 0, 0, 0, 0, 0};
    uint8_t query[512];
    uint8_t out[512];

    (void)state;
    size_t n = make_edns(query, make_query("svc.test", SOA, query), 1232, 0, 0x8000);
    assert_int_equal(answer_error(query, 11, 2, 0, out, sizeof(out)), 0);
    query[2] |= 0x80;
    assert_int_equal(answer_error(query, n, 2, 0, out, sizeof(out)), 0);
    query[2] &= 0x7f;
    size_t len = answer_error(query, n, 2, 23, out, sizeof(out));
    assert_int_equal(len, 12 + 14 + 11 + 6);
    assert_memory_equal(out, "\xbe\xef\x81\x02\0\1\0\0\0\0\0\1", 12);
    assert_memory_equal(out + 12, query + 12, 14);
    assert_int_equal(ede_of(out, len), 23);
    assert_int_equal(out[12 + 14 + 7], 0x80); /* DO */
    len = answer_error(query, n, 16, 0, out, sizeof(out));
    assert_int_equal(len, 12 + 14 + 11);
    assert_int_equal(out[3], 0);
    assert_int_equal(out[12 + 14 + 5], 1);
    /* no EDNS, no extended error */
    n = make_query("svc.test", SOA, query);
    assert_int_equal(answer_error(query, n, 5, 18, out, sizeof(out)), 12 + 14);
    assert_int_equal(out[3], 5);
    /* what cannot be read is not repeated */
    assert_int_equal(answer_error(query, n - 1, 1, 18, out, sizeof(out)), 12);
    query[2] = 4 << 3;
    assert_int_equal(answer_error(query, n, 4, 0, out, sizeof(out)), 12);
    assert_int_equal(out[2], 0x80 | 4 << 3);
    /* an update's zone section comes back */
    query[2] = 5 << 3 | 1;
    memcpy(query + n, prerequisite, sizeof(prerequisite));
    query[7] = 1;
    n = make_edns(query, n + sizeof(prerequisite), 1232, 0, 0);
    len = answer_error(query, n, 9, 18, out, sizeof(out));
    assert_int_equal(len, 12 + 14 + 11 + 6);
    assert_memory_equal(out, "\xbe\xef\xa8\x09\0\1\0\0\0\0\0\1", 12);
    assert_int_equal(ede_of(out, len), 18);
    query[5] = 2;
    assert_int_equal(answer_error(query, n, 1, 0, out, sizeof(out)), 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),      cmocka_unit_test(test_every_name),
        cmocka_unit_test(test_forward_begun), cmocka_unit_test(test_cookies),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
