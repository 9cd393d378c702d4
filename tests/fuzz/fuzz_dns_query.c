/* A query packet into answer_build(), over UDP and TCP: whatever comes in, what goes out is a DNS
 * message that keeps the rules. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ldns/ldns.h>

#include "core/util/config.h"
#include "dns/answer.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two servers: ordinary zones with their hostname inside, and zone "." with it outside. */
static const char *const configs[2] = {
    "state_dir: /tmp\nhostname: ca.svc.test\naddresses: [192.0.2.1, \"2001:db8::1\"]\n"
    "zones: [{name: svc.test, ingress: [192.0.2.80]}, {name: other.test, serve: false}]\n"
    "delegate_zone: acme.svc.test\n",
    "state_dir: /tmp\nhostname: ca.own.test\naddresses: [192.0.2.1]\n"
    "zones: [{name: \".\", ingress: [\"2001:db8::80\"]}, {name: own.test, serve: false}]\n"
    "delegate_zone: d.own.test\n"};
static struct zone_reader *readers[2];

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
    for (size_t i = 0; i < 2; i++) {
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

static void check_answer(const uint8_t *query, size_t query_len, const uint8_t *out, size_t len,
                         size_t limit)
{
    ldns_pkt *pkt = NULL;

    CHECK(len >= 12 && len <= limit);
    CHECK(query_len >= 12 && (query[2] & 0x80) == 0);
    CHECK(memcmp(out, query, 2) == 0);
    CHECK((out[2] & 0x80) != 0);                 /* QR */
    CHECK((out[2] & 0x79) == (query[2] & 0x79)); /* opcode, RD */
    CHECK((out[3] & 0xf0) == 0);                 /* no RA, Z, AD, CD */
    CHECK(ldns_wire2pkt(&pkt, out, len) == LDNS_STATUS_OK);
    size_t records_n = ldns_pkt_ancount(pkt) + ldns_pkt_nscount(pkt);
    if (ldns_pkt_qdcount(pkt) == 0) {
        CHECK(len == 12 && records_n == 0);
    } else {
        size_t n = 12;
        while (query[n] != 0) {
            n += query[n] + 1u;
        }
        CHECK(memcmp(out + 12, query + 12, n + 5 - 12) == 0); /* the question, octet for octet */
    }
    CHECK(!ldns_pkt_tc(pkt) || records_n == 0);
    CHECK(ldns_pkt_get_rcode(pkt) != LDNS_RCODE_NXDOMAIN || !must_exist(query + 12));
    ldns_pkt_rcode rcode = ldns_pkt_get_rcode(pkt);
    bool is_negative =
        rcode == LDNS_RCODE_NXDOMAIN || (rcode == LDNS_RCODE_NOERROR && ldns_pkt_ancount(pkt) == 0);
    CHECK(rcode == LDNS_RCODE_NOERROR || rcode == LDNS_RCODE_NXDOMAIN || !ldns_pkt_aa(pkt));
    CHECK(!is_negative || ldns_pkt_tc(pkt) || ldns_pkt_edns_extended_rcode(pkt) != 0 ||
          ldns_pkt_nscount(pkt) == 1); /* the SOA */
    ldns_pkt_free(pkt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[DNS_TCP_MAX];

    if (readers[0] == NULL) {
        set_up();
    }
    for (size_t i = 0; i < 2; i++) {
        const struct zone_snapshot *snap = zone_read_begin(readers[i]);
        size_t len = answer_build(snap, data, size, false, out, DNS_UDP_EDNS_MAX);
        if (len != 0) {
            check_answer(data, size, out, len, DNS_UDP_EDNS_MAX);
        }
        size_t tcp_len = answer_build(snap, data, size, true, out, sizeof(out));
        CHECK((len == 0) == (tcp_len == 0) && tcp_len >= len);
        if (tcp_len != 0) {
            check_answer(data, size, out, tcp_len, sizeof(out));
            CHECK((out[2] & 2) == 0); /* everything fits there */
        }
        zone_read_end(readers[i]);
    }
    return 0;
}
