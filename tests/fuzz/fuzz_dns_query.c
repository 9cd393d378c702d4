/* A query packet into answer_build() and answer(), over UDP and TCP, zones with records of every kind
 * behind it: whatever comes in, what goes out is a DNS message that keeps the rules. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ldns/ldns.h>

#include "core/util/config.h"
#include "core/util/mem.h"
#include "dns/answer.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Three servers: ordinary zones with their hostname inside; zone "." with it outside; zones full of
 * stored records. */
#define SERVERS_N 3u
#define FULL 2u
static const char *const configs[SERVERS_N] = {
    "state_dir: /tmp\nhostname: ca.svc.test\naddresses: [192.0.2.1, \"2001:db8::1\"]\n"
    "zones: [{name: svc.test, ingress: [192.0.2.80]}, {name: other.test, serve: false}]\n"
    "delegate_zone: acme.svc.test\n",
    "state_dir: /tmp\nhostname: ca.own.test\naddresses: [192.0.2.1]\n"
    "zones: [{name: \".\", ingress: [\"2001:db8::80\"]}, {name: own.test, serve: false}]\n"
    "delegate_zone: d.own.test\n",
    "state_dir: /tmp\nhostname: ca.svc.test\naddresses: [192.0.2.1]\n"
    "zones: [{name: svc.test, ingress: [192.0.2.80]}, {name: p.svc.test, plain: true}, "
    "{name: p.test, plain: true}]\n"
    "delegate_zone: acme.svc.test\n"};
static struct zone_reader *readers[SERVERS_N];

#define L62 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SET "set.p.test. 300 TXT "
#define L250 L62 L62 L62 L62
/* An owner's lines stand together. */
static const char *const records[] = {
    "svc.test. 300 MX 10 mail.svc.test.",
    "mail.svc.test. 300 A 192.0.2.2",
    "mail.svc.test. 300 AAAA 2001:db8::2",
    "a.b.svc.test. 300 TXT \"deep\"",
    "_ldap._tcp.svc.test. 300 SRV 0 0 389 web.svc.test.",
    "*.w.svc.test. 300 A 192.0.2.3",
    "*.w.svc.test. 300 MX 3 x.w.svc.test.",
    "*.c.svc.test. 300 CNAME loop1.svc.test.",
    "loop1.svc.test. 300 CNAME loop2.svc.test.",
    "loop2.svc.test. 300 CNAME loop1.svc.test.",
    "to.svc.test. 300 CNAME _acme-challenge.x.svc.test.",
    "out.svc.test. 300 CNAME www.example.org.",
    "chain.svc.test. 300 CNAME a.x.d.svc.test.",
    "d.svc.test. 300 DNAME p.test.",
    "s.svc.test. 300 NS ns.s.svc.test.",
    "s.svc.test. 300 NS mail.svc.test.",
    "ns.s.svc.test. 300 A 192.0.2.5",
    "p.test. 300 SOA ns.p.test. who.p.test. 7 1 2 3 20",
    "p.test. 300 NS ns.p.test.",
    "p.test. 300 NS ns.example.org.",
    "ns.p.test. 300 A 192.0.2.6",
    "*.p.test. 300 CNAME x.grow.p.test.",
    "grow.p.test. 300 DNAME y.grow.p.test.",
    "long.p.test. 300 DNAME " L62 "." L62 "." L62 ".p.test.",
    "s.p.test. 300 NS ns.s.p.test.",
    "s.p.test. 300 DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000",
    "ns.s.p.test. 300 AAAA 2001:db8::6",
    "ent.e.p.test. 300 CAA 0 issue \"ca.svc.test\"",
    "*.star.e.p.test. 300 HTTPS 1 . alpn=h2",
    "https.p.test. 300 HTTPS 0 mail.svc.test.",
    "odd.p.test. 300 TYPE65400 \\# 3 010203",
    SET "\"1" L250 "\"",
    SET "\"2" L250 "\"",
    SET "\"3" L250 "\"",
    SET "\"4" L250 "\"",
    SET "\"5" L250 "\"",
};

static void put_line(struct zone_rr *out, const ldns_rr *rr)
{
    struct buf b = BUF_INIT(65535);

    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        buf_put(&b, ldns_rdf_data(ldns_rr_rdf(rr, i)), ldns_rdf_size(ldns_rr_rdf(rr, i)));
    }
    CHECK(!b.failed && b.len > 0);
    out->type = (uint16_t)ldns_rr_get_type(rr);
    out->ttl = ldns_rr_ttl(rr);
    out->rdata_len = (uint16_t)b.len;
    out->rdata = (const uint8_t *)mem_dup(b.data, b.len);
    CHECK(out->rdata != NULL);
    buf_clear(&b);
}

static void put_stored(struct zone_db *db)
{
    struct zone_edit *edit = NULL;

    CHECK(zone_edit_begin(db, &edit).code == ERR_OK);
    for (size_t i = 0; i < ARRAY_N(records);) {
        struct zone_rr rrs[8];
        uint8_t owner[NAME_WIRE_MAX];
        size_t owner_len = 0;
        size_t n = 0;
        size_t same = strcspn(records[i], " ") + 1;
        for (size_t first = i; i < ARRAY_N(records) && n < ARRAY_N(rrs) &&
                               strncmp(records[i], records[first], same) == 0;
             i++) {
            ldns_rr *rr = NULL;
            CHECK(ldns_rr_new_frm_str(&rr, records[i], 0, NULL, NULL) == LDNS_STATUS_OK);
            owner_len = ldns_rdf_size(ldns_rr_owner(rr));
            memcpy(owner, ldns_rdf_data(ldns_rr_owner(rr)), owner_len);
            put_line(&rrs[n++], rr);
            ldns_rr_free(rr);
        }
        CHECK(zone_edit_records(edit, owner, owner_len, rrs, n).code == ERR_OK);
        while (n > 0) {
            mem_freep(&rrs[--n].rdata);
        }
    }
    CHECK(zone_edit_commit(&edit).code == ERR_OK);
}

/* What the new kinds of names hold: a value below an account's label, and texts. */
static void put_records(struct zone_db *db, const char *delegate_zone)
{
    static char longest[ZONE_PERSIST_TEXT_MAX + 1];
    const char *const texts[] = {"ca.svc.test; accounturi=https://ca.svc.test/acme/account/a",
                                 longest};
    struct zone_value v;
    char owner[NAME_TEXT_MAX + 32];

    memset(&v, 0, sizeof(v));
    (void)snprintf(v.txt, sizeof(v.txt), "%043u", 7u);
    (void)snprintf(owner, sizeof(owner), "_ujmmovf2vn55tgye.x.svc.test.%s", delegate_zone);
    CHECK(zone_value_add(db, owner, &v, 300).code == ERR_OK);
    memset(longest, 'x', ZONE_PERSIST_TEXT_MAX);
    CHECK(zone_persist_put(db, "svc.test", texts, 2, 301).code == ERR_OK);
    CHECK(zone_persist_put(db, "x.svc.test", texts, 1, 302).code == ERR_OK);
}

static void set_up(void)
{
    for (size_t i = 0; i < SERVERS_N; i++) {
        struct buf problems = BUF_INIT(65536);
        struct config *cfg = NULL;
        struct zone_db *db = NULL;
        CHECK(config_parse("fuzz", configs[i], strlen(configs[i]), &problems, &cfg).code == ERR_OK);
        CHECK(zone_db_new(cfg, 1, &db).code == ERR_OK);
        for (unsigned k = 0; k < ZONE_VALUES_MAX; k++) {
            struct zone_value v;
            char owner[NAME_TEXT_MAX + 32];
            memset(&v, 0, sizeof(v));
            (void)snprintf(v.txt, sizeof(v.txt), "%043u", k);
            (void)snprintf(owner, sizeof(owner), "%s.%s", k < 3 ? "x.svc.test" : "full.svc.test",
                           cfg->delegate_zone);
            CHECK(zone_value_add(db, owner, &v, k).code == ERR_OK);
        }
        put_records(db, cfg->delegate_zone);
        if (i == FULL) {
            put_stored(db);
        }
        CHECK(zone_reader_new(db, &readers[i]).code ==
              ERR_OK); /* db lives as long as the process */
        config_free(cfg);
        buf_clear(&problems);
    }
}

static bool is_host_label(const uint8_t *label)
{
    bool is_ldh = label[1] != '-' && label[label[0]] != '-';

    for (size_t i = 1; is_ldh && i <= label[0]; i++) {
        is_ldh = memchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-", label[i],
                        63) != NULL;
    }
    return is_ldh;
}

static bool is_label(const uint8_t *label, const char *text)
{
    return label[0] == strlen(text) &&
           strncasecmp((const char *)label + 1, text, strlen(text)) == 0;
}

/* [<account's label>.]_acme-challenge.<x> or _validation-persist.<x>, x outside the delegate zones
 * (whose first labels are "acme" and "d"): such names exist. */
static bool must_exist(const uint8_t *name)
{
    if (name[0] == 17 && name[1] == '_' &&
        strspn((const char *)name + 2,
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ234567") >= 16 &&
        is_label(name + 18, ACME_LABEL)) {
        name += 18;
    } else if (!is_label(name, ACME_LABEL) && !is_label(name, ZONE_PERSIST_LABEL)) {
        return false;
    }
    for (name += name[0] + 1u; *name != 0; name += name[0] + 1u) {
        if (!is_host_label(name) || is_label(name, "acme") || is_label(name, "d")) {
            return false;
        }
    }
    return true;
}

static size_t count_type(const ldns_rr_list *list, ldns_rr_type type)
{
    size_t n = 0;

    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        n += ldns_rr_get_type(ldns_rr_list_rr(list, i)) == type ? 1 : 0;
    }
    return n;
}

static void check_sections(const ldns_pkt *pkt, const uint8_t *query, bool is_full_server)
{
    ldns_pkt_rcode rcode = ldns_pkt_get_rcode(pkt);
    size_t soa_n = count_type(ldns_pkt_authority(pkt), LDNS_RR_TYPE_SOA);
    size_t ns_n = count_type(ldns_pkt_authority(pkt), LDNS_RR_TYPE_NS);
    bool is_referral = rcode == LDNS_RCODE_NOERROR && ns_n > 0;
    bool is_negative =
        rcode == LDNS_RCODE_NXDOMAIN || (rcode == LDNS_RCODE_NOERROR && ldns_pkt_ancount(pkt) == 0);

    CHECK(ldns_pkt_nscount(pkt) == soa_n + ns_n && soa_n <= 1 && (soa_n == 0 || ns_n == 0));
    /* AA is for what we speak for: not a referral, unless a CNAME of ours led there */
    CHECK(!is_referral || ldns_pkt_aa(pkt) == (ldns_pkt_ancount(pkt) > 0));
    CHECK(!is_negative || soa_n == 1 || is_referral || ldns_pkt_qdcount(pkt) == 0);
    CHECK(rcode == LDNS_RCODE_NOERROR || rcode == LDNS_RCODE_NXDOMAIN ||
          rcode == LDNS_RCODE_YXDOMAIN || !ldns_pkt_aa(pkt));
    CHECK(is_full_server || (ns_n == 0 && rcode != LDNS_RCODE_YXDOMAIN));
    CHECK(is_full_server || rcode != LDNS_RCODE_NXDOMAIN || !must_exist(query + 12));
    /* Additional: addresses only (ldns keeps OPT apart). */
    const ldns_rr_list *additional = ldns_pkt_additional(pkt);
    CHECK(count_type(additional, LDNS_RR_TYPE_A) + count_type(additional, LDNS_RR_TYPE_AAAA) ==
          ldns_rr_list_rr_count(additional));
}

static void check_answer(const uint8_t *query, size_t query_len, const uint8_t *out, size_t len,
                         size_t limit, bool is_full_server)
{
    ldns_pkt *pkt = NULL;
    bool is_query = (query[2] & 0x78) == 0;

    CHECK(len >= 12 && len <= limit);
    CHECK(query_len >= 12 && (query[2] & 0x80) == 0);
    CHECK(memcmp(out, query, 2) == 0);
    CHECK((out[2] & 0x80) != 0);                          /* QR */
    CHECK((out[2] & 0x78) == (query[2] & 0x78));          /* opcode */
    CHECK((out[2] & 1) == (is_query ? query[2] & 1 : 0)); /* RD */
    CHECK((out[3] & 0xf0) == 0);                          /* no RA, Z, AD, CD */
    CHECK(ldns_wire2pkt(&pkt, out, len) == LDNS_STATUS_OK);
    size_t records_n = ldns_pkt_ancount(pkt) + ldns_pkt_nscount(pkt);
    if (ldns_pkt_qdcount(pkt) == 0) {
        CHECK(records_n == 0 && (len == 12 || (is_query && (query[4] | query[5]) == 0)));
    } else {
        size_t n = 12;
        while (query[n] != 0) {
            n += query[n] + 1u;
        }
        CHECK(memcmp(out + 12, query + 12, n + 5 - 12) == 0); /* the question, octet for octet */
    }
    CHECK(!ldns_pkt_tc(pkt) || records_n == 0);
    if (!ldns_pkt_tc(pkt) && ldns_pkt_edns_extended_rcode(pkt) == 0) {
        check_sections(pkt, query, is_full_server);
    }
    ldns_pkt_free(pkt);
}

/* Everybody may. */
static bool may_forward(const void *ctx, const struct ip_addr *peer)
{
    CHECK(ctx == NULL && peer->family == 4);
    return true;
}

/* The same with every service there is: what is answered keeps the same rules; what is handed on is
 * what may be. */
static void check_services(const struct zone_snapshot *snap, const uint8_t *data, size_t size,
                           bool is_tcp, bool is_full_server)
{
    static const struct answer_env env = {
        .may_forward = may_forward, .has_work = true, .has_cookies = true};
    static const struct ip_addr peer = {4, {192, 0, 2, 7}};
    static uint8_t out[DNS_TCP_MAX];
    struct answer_in in = {.env = &env,
                           .snap = snap,
                           .query = data,
                           .query_len = size,
                           .is_tcp = is_tcp,
                           .peer = &peer,
                           .now_unix = 1700000000};
    struct answer_info info;
    size_t len = 1;

    enum answer_verdict verdict = answer(&in, out, sizeof(out), &len, &info);
    CHECK(info.reason < ANSWER_REASONS_N && info.zone < 4);
    switch (verdict) {
    case ANSWER_DROP:
        CHECK(len == 0 && (size < 12 || (data[2] & 0x80) != 0));
        break;
    case ANSWER_SEND:
        check_answer(data, size, out, len, is_tcp ? sizeof(out) : DNS_UDP_EDNS_MAX, is_full_server);
        CHECK(info.is_cut == ((out[2] & 2) != 0));
        break;
    case ANSWER_WORK:
        CHECK(len == 0 && size >= 12);
        break;
    case ANSWER_FORWARD:
        CHECK((data[2] & 1) == 1 && (len == 0 || (out[6] | out[7]) != 0));
        if (len != 0) {
            check_answer(data, size, out, len, sizeof(out), true);
            CHECK((out[10] | out[11]) == 0);
        }
        break;
    }
    size_t error_len = answer_error(data, size, info.rcode, 23, out, DNS_UDP_PLAIN_MAX);
    CHECK((error_len == 0) == (verdict == ANSWER_DROP));
    CHECK(error_len <= DNS_UDP_PLAIN_MAX);
    if (error_len != 0) {
        ldns_pkt *pkt = NULL;
        CHECK(ldns_wire2pkt(&pkt, out, error_len) == LDNS_STATUS_OK);
        ldns_pkt_free(pkt);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[DNS_TCP_MAX];

    if (readers[0] == NULL) {
        set_up();
    }
    for (size_t i = 0; i < SERVERS_N; i++) {
        const struct zone_snapshot *snap = zone_read_begin(readers[i]);
        size_t len = answer_build(snap, data, size, false, out, DNS_UDP_EDNS_MAX);
        if (len != 0) {
            check_answer(data, size, out, len, DNS_UDP_EDNS_MAX, i == FULL);
        }
        size_t tcp_len = answer_build(snap, data, size, true, out, sizeof(out));
        CHECK((len == 0) == (tcp_len == 0) && tcp_len >= len);
        if (tcp_len != 0) {
            check_answer(data, size, out, tcp_len, sizeof(out), i == FULL);
            CHECK((out[2] & 2) == 0); /* everything fits there */
        }
        check_services(snap, data, size, false, i == FULL);
        check_services(snap, data, size, true, i == FULL);
        zone_read_end(readers[i]);
    }
    return 0;
}
