/* The client's answer out of other servers' answers: what is taken, what is not, and how it is written. */
#include "dns_maker.h"

#include <ldns/ldns.h>

#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/forward_int.h"

/* A server's answer in words: records in presentation format. */
struct reply {
    const char *question; /* with its last dot */
    unsigned type, rcode;
    const char *answers[6], *authority[3];
};

static void push_all(ldns_pkt *pkt, ldns_pkt_section section, const char *const *texts, size_t max)
{
    for (size_t i = 0; i < max && texts[i] != NULL; i++) {
        ldns_rr *rr = NULL;
        assert_int_equal(ldns_rr_new_frm_str(&rr, texts[i], 0, NULL, NULL), LDNS_STATUS_OK);
        assert_true(ldns_pkt_push_rr(pkt, section, rr));
    }
}

static size_t make_reply(const struct reply *reply, uint8_t *out)
{
    ldns_pkt *pkt = ldns_pkt_new();
    uint8_t *wire = NULL;
    size_t len = 0;
    ldns_rr *question = ldns_rr_new();

    ldns_rr_set_question(question, true);
    ldns_rr_set_owner(question, ldns_dname_new_frm_str(reply->question));
    ldns_rr_set_type(question, (ldns_rr_type)reply->type);
    ldns_rr_set_class(question, LDNS_RR_CLASS_IN);
    assert_true(ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, question));
    ldns_pkt_set_qr(pkt, true);
    ldns_pkt_set_aa(pkt, true);
    ldns_pkt_set_ad(pkt, true);
    ldns_pkt_set_rcode(pkt, (uint8_t)reply->rcode);
    push_all(pkt, LDNS_SECTION_ANSWER, reply->answers, ARRAY_N(reply->answers));
    push_all(pkt, LDNS_SECTION_AUTHORITY, reply->authority, ARRAY_N(reply->authority));
    assert_int_equal(ldns_pkt2wire(&wire, pkt, &len), LDNS_STATUS_OK);
    memcpy(out, wire, len);
    LDNS_FREE(wire);
    ldns_pkt_free(pkt);
    return len;
}

/* Names at and below svc.test. */
static bool is_ours(void *arg, const struct forward_name *name)
{
    char text[1024];

    (void)arg;
    assert_int_equal(name_from_wire(name->octets, name->len, text, sizeof(text)).code, ERR_OK);
    for (char *p = text; *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    return name_is_below_or_equal(text, "svc.test");
}

/* "flags: record; | record;" as ldns reads it. */
static const char *text_of(const uint8_t *message, size_t len)
{
    static char text[8192];
    struct buf b = BUF_INIT(sizeof(text) - 1);
    ldns_pkt *pkt = NULL;

    assert_int_equal(ldns_wire2pkt(&pkt, message, len), LDNS_STATUS_OK);
    assert_true(ldns_pkt_qr(pkt) && ldns_pkt_ra(pkt) && !ldns_pkt_ad(pkt) && !ldns_pkt_cd(pkt));
    buf_printf(&b, "%d%s%s:", ldns_pkt_get_rcode(pkt), ldns_pkt_aa(pkt) ? " aa" : "",
               ldns_pkt_tc(pkt) ? " tc" : "");
    for (int section = 0; section < 2; section++) {
        const ldns_rr_list *list = section == 0 ? ldns_pkt_answer(pkt) : ldns_pkt_authority(pkt);
        buf_puts(&b, section == 1 && ldns_rr_list_rr_count(list) > 0 ? " |" : "");
        for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
            char *rr = ldns_rr2str(ldns_rr_list_rr(list, i));
            rr[strcspn(rr, "\n")] = '\0';
            for (char *p = rr; *p != '\0'; p++) {
                *p = *p == '\t' ? ' ' : *p;
            }
            buf_printf(&b, " %s;", rr);
            LDNS_FREE(rr);
        }
    }
    if (ldns_pkt_edns(pkt)) {
        buf_printf(&b, " edns %u%s", ldns_pkt_edns_udp_size(pkt),
                   ldns_pkt_edns_do(pkt) ? " do" : "");
    }
    ldns_pkt_free(pkt);
    (void)snprintf(text, sizeof(text), "%s", buf_str(&b));
    buf_clear(&b);
    return text;
}

#define SOA "example.net. 60 IN SOA ns.example.net. h.example.net. 1 2 3 4 5"
#define SIG                                                                                        \
    "www.example.net. 60 IN RRSIG A 8 3 60 20300101000000 20200101000000 1 example.net. AAAA"
#define NSEC_READ "example.net. 60 IN NSEC b.example.net. A RRSIG " /* as ldns writes it */
#define NSEC "example.net. 60 IN NSEC b.example.net. A RRSIG"

static const struct {
    const char *name;
    unsigned type;
    unsigned flags; /* EDNS: 1 with, 0x8000 with DO */
    struct reply reply;
    enum forward_step step;
    const char *want;
} TAKEN[] = {
    /* no answer to this question */
    {"www.example.net",
     1,
     0,
     {"xww.example.net.", 1, 0, {"xww.example.net. 1 IN A 192.0.2.1"}, {NULL}},
     FORWARD_BROKEN,
     NULL},
    {"www.example.net", 1, 0, {"www.example.net.", 28, 0, {NULL}, {SOA}}, FORWARD_BROKEN, NULL},
    {"www.example.net", 1, 0, {"www.example.net.", 1, 2, {NULL}, {NULL}}, FORWARD_BROKEN, NULL},
    {"www.example.net", 1, 0, {"www.example.net.", 1, 5, {NULL}, {NULL}}, FORWARD_BROKEN, NULL},
    {"www.example.net",
     1,
     0,
     {"www.example.net.",
      1,
      0,
      {"www.example.net. 1 IN CNAME b.example.net.", "b.example.net. 1 IN CNAME www.example.net."},
      {NULL}},
     FORWARD_BROKEN,
     NULL},
    /* names of ours are never believed, and where they begin it ends */
    {"www.example.net",
     1,
     0,
     {"www.example.net.",
      1,
      0,
      {"www.example.net. 60 IN CNAME X.Svc.Test.", "x.svc.test. 60 IN A 192.0.2.66"},
      {NULL}},
     FORWARD_OURS,
     "0: www.example.net. 60 IN CNAME X.Svc.Test.;"},
    {"www.example.net",
     1,
     0,
     {"www.example.net.",
      1,
      3,
      {"www.example.net. 60 IN CNAME b.example.net.", "b.example.net. 60 IN CNAME svc.test."},
      {SOA}},
     FORWARD_OURS,
     "0: www.example.net. 60 IN CNAME b.example.net.; b.example.net. 60 IN CNAME svc.test.;"},
    /* neither are records of other names, classes and types */
    {"www.example.net",
     1,
     0,
     {"www.example.net.",
      1,
      0,
      {"a.svc.test. 60 IN A 192.0.2.66", "www.example.net. 60 CH A 192.0.2.66",
       "www.example.net. 60 IN TXT \"x\"", "bank.example. 60 IN A 192.0.2.66",
       "www.example.net. 60 IN A 192.0.2.1"},
      {"svc.test. 60 IN NS evil.example."}},
     FORWARD_DONE,
     "0: www.example.net. 60 IN A 192.0.2.1;"},
    {"www.example.net",
     1,
     0,
     {"www.example.net.",
      1,
      0,
      {NULL},
      {"other.net. 60 IN SOA a. b. 1 2 3 4 5", "svc.test. 60 IN SOA a. b. 1 2 3 4 5"}},
     FORWARD_DONE,
     "0:"},
    /* answers */
    {"wWw.Example.net",
     1,
     1,
     {"www.example.net.",
      1,
      0,
      {"www.example.net. 60 IN A 192.0.2.1", "www.example.net. 60 IN A 192.0.2.2"},
      {"example.net. 60 IN NS ns.example.net."}},
     FORWARD_DONE,
     "0: wWw.Example.net. 60 IN A 192.0.2.1; wWw.Example.net. 60 IN A 192.0.2.2; edns 1232"},
    {"www.example.net",
     15,
     0,
     {"www.example.net.", 15, 0, {"www.example.net. 60 IN MX 5 Mail.example.org."}, {NULL}},
     FORWARD_DONE,
     "0: www.example.net. 60 IN MX 5 Mail.example.org.;"},
    {"www.example.net",
     65400,
     0,
     {"www.example.net.", 65400, 0, {"www.example.net. 60 IN TYPE65400 \\# 3 c00cff"}, {NULL}},
     FORWARD_DONE,
     "0: www.example.net. 60 IN TYPE65400 \\# 3 c00cff;"},
    {"www.example.net",
     5,
     0,
     {"www.example.net.", 5, 0, {"www.example.net. 60 IN CNAME x.svc.test."}, {NULL}},
     FORWARD_DONE,
     "0: www.example.net. 60 IN CNAME x.svc.test.;"},
    {"www.example.net",
     255,
     0,
     {"www.example.net.",
      255,
      0,
      {"www.example.net. 60 IN A 192.0.2.1", "www.example.net. 60 IN TXT \"x\""},
      {NULL}},
     FORWARD_DONE,
     "0: www.example.net. 60 IN A 192.0.2.1; www.example.net. 60 IN TXT \"x\";"},
    /* records in any order; two CNAMEs at a name are one */
    {"www.example.net",
     1,
     0,
     {"www.example.net.",
      1,
      0,
      {"c.example.org. 60 IN A 192.0.2.1", "b.example.net. 60 IN CNAME c.example.org.",
       "www.example.net. 60 IN CNAME b.example.net.",
       "www.example.net. 60 IN CNAME d.example.net."},
      {NULL}},
     FORWARD_DONE,
     "0: www.example.net. 60 IN CNAME b.example.net.; b.example.net. 60 IN CNAME "
     "c.example.org.; c.example.org. 60 IN A 192.0.2.1;"},
    {"www.example.net",
     1,
     0,
     {"www.example.net.",
      1,
      0,
      {"example.net. 60 IN DNAME example.org.", "www.example.net. 60 IN CNAME www.example.org.",
       "www.example.org. 60 IN A 192.0.2.7"},
      {NULL}},
     FORWARD_DONE,
     "0: example.net. 60 IN DNAME example.org.; www.example.net. 60 IN CNAME www.example.org.; "
     "www.example.org. 60 IN A 192.0.2.7;"},
    /* negative */
    {"www.example.net",
     1,
     1,
     {"www.example.net.", 1, 3, {NULL}, {SOA}},
     FORWARD_DONE,
     "3: | " SOA "; edns 1232"},
    {"www.example.net",
     1,
     0,
     {"www.example.net.", 1, 0, {NULL}, {SOA, NSEC}},
     FORWARD_DONE,
     "0: | " SOA ";"},
    {"www.example.net",
     1,
     0,
     {"www.example.net.", 1, 3, {"www.example.net. 60 IN CNAME b.example.net."}, {SOA}},
     FORWARD_DONE,
     "3: www.example.net. 60 IN CNAME b.example.net.; | " SOA ";"},
    /* signatures are for those who ask for them */
    {"www.example.net",
     1,
     1,
     {"www.example.net.", 1, 0, {"www.example.net. 60 IN A 192.0.2.1", SIG}, {NULL}},
     FORWARD_DONE,
     "0: www.example.net. 60 IN A 192.0.2.1; edns 1232"},
    {"www.example.net",
     1,
     0x8000,
     {"www.example.net.", 1, 0, {"www.example.net. 60 IN A 192.0.2.1", SIG}, {NULL}},
     FORWARD_DONE,
     "0: www.example.net. 60 IN A 192.0.2.1; " SIG "; edns 1232 do"},
    {"www.example.net",
     1,
     0x8000,
     {"www.example.net.", 1, 0, {NULL}, {SOA, NSEC, "x.svc.test. 60 IN NSEC y.svc.test. A"}},
     FORWARD_DONE,
     "0: | " SOA "; " NSEC_READ "; edns 1232 do"},
};

static void test_take(void **state)
{
    (void)state;

    for (size_t i = 0; i < ARRAY_N(TAKEN); i++) {
        uint8_t octets[512], packet[4096];
        size_t len = make_query(TAKEN[i].name, TAKEN[i].type, octets);
        if (TAKEN[i].flags != 0) {
            len = make_edns(octets, len, 4096, 0, TAKEN[i].flags & 0x8000u);
        }
        const struct forward_query query = {.octets = octets, .len = len, .limit = 1232};
        const struct forward_said said = {
            .packet = packet, .len = make_reply(&TAKEN[i].reply, packet), .is_ours = is_ours};
        struct forward_draft draft;
        const uint8_t *message = NULL;
        assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_OK);
        assert_int_equal(forward_draft_take(&draft, &said), TAKEN[i].step);
        if (TAKEN[i].want != NULL) {
            assert_int_equal(forward_draft_finish(&draft, &message, &len).code, ERR_OK);
            assert_string_equal(text_of(message, len), TAKEN[i].want);
            assert_memory_equal(message, "\xbe\xef", 2);
        }
        forward_draft_clear(&draft);
    }
}

/* Every prefix of an answer is broken, and none is believed. */
static void test_cut_off(void **state)
{
    static const struct reply reply = {
        "www.example.net.",
        1,
        0,
        {"www.example.net. 60 IN CNAME b.example.net.", "b.example.net. 60 IN A 192.0.2.1"},
        {NULL}};
    uint8_t octets[512], packet[4096];
    const struct forward_query query = {
        .octets = octets, .len = make_query("www.example.net", 1, octets), .limit = 512};
    size_t whole = make_reply(&reply, packet);
    (void)state;

    for (size_t len = 0; len < whole; len++) {
        uint8_t *part =
            mem_dup(packet, len + 1); /* its end is the allocation's, for the sanitiser */
        const struct forward_said said = {.packet = part, .len = len, .is_ours = is_ours};
        struct forward_draft draft;
        assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_OK);
        assert_int_equal(forward_draft_take(&draft, &said), FORWARD_BROKEN);
        forward_draft_clear(&draft);
        mem_free(part);
    }
}

static void test_bad_pointers(void **state)
{
    /* the owner of the only record, at offset 33 */
    static const uint8_t owners[][2] = {
        {0xc0, 33}, {0xc0, 34}, {0xff, 0xff}, {0x40, 0}, {0x80, 12}};
    static const struct reply reply = {
        "www.example.net.", 1, 0, {"www.example.net. 60 IN A 192.0.2.1"}, {NULL}};
    uint8_t octets[512], packet[4096];
    const struct forward_query query = {
        .octets = octets, .len = make_query("www.example.net", 1, octets), .limit = 512};
    (void)state;

    for (size_t i = 0; i < ARRAY_N(owners); i++) {
        const struct forward_said said = {.packet = packet, .len = make_reply(&reply, packet)};
        struct forward_draft draft;
        memcpy(packet + 33, owners[i], 2);
        assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_OK);
        assert_int_equal(forward_draft_take(&draft, &said), FORWARD_BROKEN);
        forward_draft_clear(&draft);
    }
}

/* --- the part that stands already -------------------------------------------------------------- */

static void test_begun(void **state)
{
    static const struct reply begun = {
        "www.svc.test.",
        1,
        0,
        {"www.svc.test. 7 IN CNAME b.svc.test.", "b.svc.test. 8 IN CNAME host.example.net."},
        {NULL}};
    static const struct reply reply = {
        "host.example.net.", 1, 0, {"host.example.net. 60 IN A 192.0.2.1"}, {NULL}};
    uint8_t octets[512], stands[512], packet[512];
    const struct forward_query query = {.octets = octets,
                                        .len = make_query("Www.svc.test", 1, octets),
                                        .begun = stands,
                                        .begun_len = make_reply(&begun, stands),
                                        .limit = 512};
    const struct forward_said said = {
        .packet = packet, .len = make_reply(&reply, packet), .is_ours = is_ours};
    struct forward_draft draft;
    const uint8_t *message = NULL;
    size_t len = 0;
    (void)state;

    assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_OK);
    assert_int_equal(draft.name.len, 18);
    assert_int_equal(forward_draft_take(&draft, &said), FORWARD_DONE);
    assert_int_equal(forward_draft_finish(&draft, &message, &len).code, ERR_OK);
    assert_string_equal(text_of(message, len),
                        "0 aa: Www.svc.test. 7 IN CNAME b.svc.test.; b.svc.test. 8 IN CNAME "
                        "host.example.net.; host.example.net. 60 IN A 192.0.2.1;");
    forward_draft_clear(&draft);
}

static void test_bad_begun(void **state)
{
    static const struct reply rows[] = {
        {"other.svc.test.", 1, 0, {"other.svc.test. 7 IN CNAME a.example."}, {NULL}},
        {"www.svc.test.", 1, 0, {NULL}, {NULL}},
        {"www.svc.test.", 1, 2, {"www.svc.test. 7 IN CNAME a.example."}, {NULL}},
    };
    uint8_t octets[512], stands[512];
    struct forward_query query = {
        .octets = octets, .len = make_query("www.svc.test", 1, octets), .limit = 512};
    struct forward_draft draft;
    (void)state;

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        query.begun = stands;
        query.begun_len = make_reply(&rows[i], stands);
        assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_MALFORMED);
        forward_draft_clear(&draft);
    }
}

static void test_bad_queries(void **state)
{
    uint8_t octets[512];
    struct forward_query query = {.octets = octets, .limit = 512};
    struct forward_draft draft;
    (void)state;

    size_t whole = make_query("www.example.net", 1, octets);
    for (query.len = 0; query.len < whole; query.len++) {
        assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_MALFORMED);
        forward_draft_clear(&draft);
    }
    octets[whole - 1] = 3; /* CHAOS */
    assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_MALFORMED);
    forward_draft_clear(&draft);
}

/* --- sizes ------------------------------------------------------------------------------------- */

static void test_limit(void **state)
{
    uint8_t octets[512], packet[8192];
    size_t at = make_query("www.example.net", 16, packet);
    const struct forward_query plain = {
        .octets = octets, .len = make_query("www.example.net", 16, octets), .limit = 512};
    struct forward_draft draft;
    const uint8_t *message = NULL;
    size_t len = 0;
    (void)state;

    packet[2] |= 0x80;
    packet[7] = 1; /* one TXT record of just so many octets */
    memcpy(packet + at, "\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c", 10);
    for (unsigned over = 0; over < 2; over++) {
        size_t data_len = 512 - at - 12 + over;
        const struct forward_said said = {.packet = packet, .len = at + 12 + data_len};
        memset(packet + at + 12, 0, data_len); /* empty character-strings */
        packet[at + 10] = (uint8_t)(data_len >> 8);
        packet[at + 11] = (uint8_t)data_len;
        assert_int_equal(forward_draft_begin(&plain, &draft).code, ERR_OK);
        assert_int_equal(forward_draft_take(&draft, &said), FORWARD_DONE);
        assert_int_equal(forward_draft_finish(&draft, &message, &len).code, ERR_OK);
        assert_int_equal(len, over == 0 ? 512 : plain.len);
        assert_int_equal((message[2] & 0x02) != 0, over);
        assert_int_equal(message[7], 1 - over);
        forward_draft_clear(&draft);
    }
}

/* --- the header ------------------------------------------------------------------------------- */

/* CD comes back (RFC 4035 §3.2.2), and of the query's other bits RD alone. */
static void test_checking_disabled(void **state)
{
    static const struct reply reply = {
        "www.example.net.", 1, 0, {"www.example.net. 60 IN A 192.0.2.1"}, {NULL}};
    static const struct {
        uint8_t octet2, octet3, want2, want3;
    } rows[] = {{0x01, 0x00, 0x81, 0x80}, {0x01, 0x10, 0x81, 0x90}, {0x07, 0xf0, 0x81, 0x90}};
    uint8_t octets[512], packet[512];
    const struct forward_query query = {
        .octets = octets, .len = make_query("www.example.net", 1, octets), .limit = 512};
    const struct forward_said said = {
        .packet = packet, .len = make_reply(&reply, packet), .is_ours = is_ours};
    (void)state;

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct forward_draft draft;
        const uint8_t *message = NULL;
        size_t len = 0;
        octets[2] = rows[i].octet2;
        octets[3] = rows[i].octet3;
        assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_OK);
        assert_int_equal(forward_draft_take(&draft, &said), FORWARD_DONE);
        assert_int_equal(forward_draft_finish(&draft, &message, &len).code, ERR_OK);
        assert_int_equal(message[2], rows[i].want2);
        assert_int_equal(message[3], rows[i].want3);
        forward_draft_clear(&draft);
    }
}

/* The cookie goes with the answer, whole or cut, and into its limit; nowhere without an OPT record. */
static void test_cookie(void **state)
{
    static const uint8_t cookie[24] = {1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0, 0,
                                       9, 9, 9, 9, 7, 7, 7, 7, 7, 7, 7, 7};
    uint8_t octets[512], packet[1024];
    size_t at = make_query("www.example.net", 16, packet);
    (void)state;

    packet[2] |= 0x80;
    packet[7] = 1; /* one TXT record of just so many octets */
    memcpy(packet + at, "\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c", 10);
    for (unsigned i = 0; i < 3; i++) {
        bool has_edns = i < 2;
        size_t len = make_query("www.example.net", 16, octets);
        size_t opt_len = has_edns ? 11 + 28 : 0;
        size_t data_len = 512 - len - 12 - opt_len + (i == 1 ? 1 : 0);
        const struct forward_query query = {.octets = octets,
                                            .len =
                                                has_edns ? make_edns(octets, len, 512, 0, 0) : len,
                                            .cookie = cookie,
                                            .limit = 512};
        const struct forward_said said = {.packet = packet, .len = at + 12 + data_len};
        struct forward_draft draft;
        const uint8_t *message = NULL;
        size_t n = 0;
        memset(packet + at + 12, 0, data_len);
        packet[at + 10] = (uint8_t)(data_len >> 8);
        packet[at + 11] = (uint8_t)data_len;
        assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_OK);
        assert_int_equal(forward_draft_take(&draft, &said), FORWARD_DONE);
        assert_int_equal(forward_draft_finish(&draft, &message, &n).code, ERR_OK);
        assert_int_equal(n, i == 1 ? len + opt_len : 512);
        assert_int_equal((message[2] & 0x02) != 0, i == 1);
        assert_int_equal(message[11], has_edns);
        if (has_edns) {
            assert_memory_equal(message + n - 39, "\0\0\51\4\320\0\0\0\0\0\34\0\12\0\30", 15);
            assert_memory_equal(message + n - 24, cookie, 24);
        }
        forward_draft_clear(&draft);
    }
}

/* --- the CNAME alone --------------------------------------------------------------------------- */

static void test_take_alias(void **state)
{
    static const struct {
        struct reply reply;
        enum forward_step step;
    } rows[] = {
        {{"www.example.net.", 5, 0, {"www.example.net. 60 IN CNAME x.svc.test."}, {NULL}},
         FORWARD_OURS},
        {{"www.example.net.", 5, 0, {"www.example.net. 60 IN CNAME x.example."}, {NULL}},
         FORWARD_BROKEN},
        {{"www.example.net.", 5, 0, {NULL}, {SOA}}, FORWARD_BROKEN},
        {{"www.example.net.", 1, 0, {"www.example.net. 60 IN CNAME x.svc.test."}, {NULL}},
         FORWARD_BROKEN},
    };
    uint8_t octets[512], packet[512];
    const struct forward_query query = {
        .octets = octets, .len = make_query("www.example.net", 1, octets), .limit = 512};
    (void)state;

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        const struct forward_said said = {
            .packet = packet, .len = make_reply(&rows[i].reply, packet), .is_ours = is_ours};
        struct forward_draft draft;
        assert_int_equal(forward_draft_begin(&query, &draft).code, ERR_OK);
        assert_int_equal(forward_draft_take_alias(&draft, &said), rows[i].step);
        assert_int_equal(draft.answer_n, rows[i].step == FORWARD_OURS ? 1 : draft.answer_n);
        forward_draft_clear(&draft);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_bad_pointers),
        cmocka_unit_test(test_begun),
        cmocka_unit_test(test_bad_begun),
        cmocka_unit_test(test_bad_queries),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_take_alias),
        cmocka_unit_test(test_checking_disabled),
        cmocka_unit_test(test_cookie),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
