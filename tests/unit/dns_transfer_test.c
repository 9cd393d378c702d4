/* Transfers: who may, what is sent, message by message as ldns reads it. */
#include <ldns/ldns.h>

#include "transfer_fixture.h"

#include "core/util/buf.h"
#include "dns/transfer_int.h"

#define MESSAGES_MAX 4096
#define ID 0x4711
#define ZONES_KEY "  - {name: svc.test, transfer: {key: second}}\n"
#define ZONES_NET "  - {name: svc.test, transfer: {allow: [10.1.0.0/16, 'fd00::/8']}}\n"

/* --- in place of the server's ------------------------------------------------------------------- */

struct dns_request {
    bool is_tcp;
    struct ip_addr peer;
    size_t limit;
    uint8_t *messages[MESSAGES_MAX];
    size_t lens[MESSAGES_MAX];
    size_t n, gone_after;             /* the connection ends before this message; 0: never */
    bool is_gone;                     /* before its turn came */
    size_t waits_n, stops_reading_at; /* wait number at which the connection ends; 0: never */
};

bool dns_request_is_tcp(const struct dns_request *request)
{
    return request->is_tcp;
}

struct ip_addr dns_request_peer(const struct dns_request *request)
{
    return request->peer;
}

size_t dns_request_limit(const struct dns_request *request)
{
    return request->limit;
}

struct err dns_request_send(struct dns_request *request, const uint8_t *message, size_t len)
{
    assert_true(len <= request->limit);
    assert_true(request->n < MESSAGES_MAX);
    if (request->gone_after != 0 && request->n + 1 >= request->gone_after) {
        FAIL(ERR_NOT_FOUND, "gone");
    }
    request->messages[request->n] = mem_dup(message, len);
    request->lens[request->n++] = len;
    return err_ok();
}

bool dns_request_wait(struct dns_request *request, size_t octets)
{
    if (octets == SIZE_MAX) { /* is it there at all? */
        return !request->is_gone;
    }
    assert_true(octets < 1024 * 1024);
    request->waits_n++;
    return request->stops_reading_at == 0 || request->waits_n < request->stops_reading_at;
}

/* --- asking ------------------------------------------------------------------------------------- */

struct ask {
    const char *zone; /* as spelled in the question */
    uint16_t type, class_;
    uint32_t serial;               /* IXFR */
    const char *peer, *peer_later; /* peer_later: when the signature is checked already */
    const char *client;            /* signs; NULL: nobody */
    bool has_opt, has_rd, is_udp;
    size_t limit; /* UDP */
};

static void put_name(struct buf *out, const char *text)
{
    while (*text != '\0') {
        size_t n = strcspn(text, ".");
        buf_u8(out, (uint8_t)n);
        buf_put(out, text, n);
        text += n + (text[n] == '.');
    }
    buf_u8(out, 0);
}

static void build_query(const struct ask *ask, struct buf *out)
{
    buf_u16(out, ID);
    buf_u16(out, ask->has_rd ? 0x0100 : 0);
    buf_u16(out, 1);
    buf_u16(out, 0);
    buf_u16(out, ask->type == DNS_TYPE_IXFR ? 1 : 0);
    buf_u16(out, ask->has_opt ? 1 : 0);
    put_name(out, ask->zone);
    buf_u16(out, ask->type);
    buf_u16(out, ask->class_ == 0 ? 1 : ask->class_);
    if (ask->type == DNS_TYPE_IXFR) {
        buf_u16(out, 0xc00c);
        buf_u16(out, DNS_TYPE_SOA);
        buf_u16(out, 1);
        buf_u32(out, 0);
        buf_u16(out, 22);
        buf_u16(out, 0); /* two root names */
        buf_u32(out, ask->serial);
        for (unsigned i = 0; i < 4; i++) {
            buf_u32(out, i);
        }
    }
    if (ask->has_opt) {
        buf_put(out, "\0\0\x29\x10\0\0\0\x80\0\0\0", 11);
    }
}

struct reply {
    struct dns_request request;
    struct tsig client; /* the asking side's */
};

static struct reply *ask_it(struct fixture *f, const struct ask *ask, struct reply *reply)
{
    struct buf query = BUF_INIT(2048);
    uint8_t packet[2048];
    struct tsig tsig = {0};

    build_query(ask, &query);
    must(buf_check(&query));
    size_t len = query.len;
    memcpy(packet, query.data, len);
    buf_clear(&query);
    reply->request.is_tcp = !ask->is_udp;
    reply->request.limit = ask->is_udp ? (ask->limit == 0 ? 1232 : ask->limit) : 65535;
    reply->request.peer = ip_of(ask->peer == NULL ? "10.1.2.3" : ask->peer);
    if (ask->client != NULL) {
        must(tsig_sign_request(f->access, ask->client, clock_unix_s(), &reply->client, packet, &len,
                               sizeof(packet)));
        const struct tsig_options options = {.access = f->access,
                                             .is_tcp = true,
                                             .peer = &reply->request.peer,
                                             .now_unix = clock_unix_s()};
        assert_int_equal(tsig_check(&options, packet, &len, &tsig), TSIG_OK);
    }
    if (ask->peer_later != NULL) {
        reply->request.peer = ip_of(ask->peer_later);
    }
    transfer_handle(f->transfer, &reply->request, packet, len, &tsig);
    tsig_clear(&tsig);
    return reply;
}

static struct reply *reply_new(void)
{
    struct reply *reply = mem_zalloc(sizeof(*reply));

    assert_non_null(reply);
    return reply;
}

static void reply_reset(struct reply *reply)
{
    for (size_t i = 0; i < reply->request.n; i++) {
        mem_free(reply->request.messages[i]);
    }
    tsig_clear(&reply->client);
    memset(reply, 0, sizeof(*reply));
}

static void reply_free(struct reply *reply)
{
    reply_reset(reply);
    mem_free(reply);
}

static unsigned rcode_of(const struct reply *reply)
{
    assert_int_equal(reply->request.n, 1);
    return reply->request.messages[0][3] & 0x0fu;
}

/* --- reading ------------------------------------------------------------------------------------ */

static ldns_pkt *packet_of(const struct reply *reply, size_t i)
{
    ldns_pkt *pkt = NULL;

    assert_int_equal(ldns_wire2pkt(&pkt, reply->request.messages[i], reply->request.lens[i]),
                     LDNS_STATUS_OK);
    return pkt;
}

/* Every message's head; the records of all together as text, "owner ttl type rdata" each. */
static size_t records_of(const struct reply *reply, struct buf *out)
{
    size_t n = 0;

    buf_reset(out);
    for (size_t i = 0; i < reply->request.n; i++) {
        ldns_pkt *pkt = packet_of(reply, i);
        assert_int_equal(ldns_pkt_id(pkt), ID);
        assert_true(ldns_pkt_qr(pkt) && ldns_pkt_aa(pkt));
        assert_false(ldns_pkt_tc(pkt) || ldns_pkt_ra(pkt));
        assert_int_equal(ldns_pkt_get_rcode(pkt), 0);
        assert_int_equal(ldns_pkt_qdcount(pkt), 1);
        assert_int_equal(ldns_pkt_nscount(pkt), 0);
        ldns_rr_list *list = ldns_pkt_answer(pkt);
        assert_true(ldns_rr_list_rr_count(list) > 0);
        for (size_t at = 0; at < ldns_rr_list_rr_count(list); at++) {
            char *text = ldns_rr2str(ldns_rr_list_rr(list, at));
            buf_puts(out, text);
            free(text); /* allow: ldns allocates with malloc() */
            n++;
        }
        ldns_pkt_free(pkt);
    }
    must(buf_check(out));
    return n;
}

/* The text between tabs, so that a test can be read: "www.svc.test. 60 IN A 10.0.0.1" a line. */
static const char *plain_records(const struct reply *reply, struct buf *out)
{
    (void)records_of(reply, out);
    for (size_t i = 0; i < out->len; i++) {
        out->data[i] = out->data[i] == '\t' ? ' ' : out->data[i];
    }
    return buf_str(out);
}

#define SOA_LINE(serial)                                                                           \
    "svc.test. 5 IN SOA ca.svc.test. hostmaster.svc.test. " #serial " 60 60 604800 5\n"

/* Each message is signed, over the one before it. */
static void must_be_signed(const struct reply *reply)
{
    uint8_t mac[2 + TSIG_MAC_MAX] = {0};

    mac[1] = (uint8_t)reply->client.mac_len;
    memcpy(mac + 2, reply->client.mac, reply->client.mac_len);
    ldns_rdf *last =
        ldns_rdf_new_frm_data(LDNS_RDF_TYPE_INT16_DATA, 2 + reply->client.mac_len, mac);
    for (size_t i = 0; i < reply->request.n; i++) {
        ldns_pkt *pkt = packet_of(reply, i);
        assert_non_null(ldns_pkt_tsig(pkt));
        ldns_rdf *next = ldns_rdf_clone(ldns_rr_rdf(ldns_pkt_tsig(pkt), 3));
        assert_true(ldns_pkt_tsig_verify_next(pkt, reply->request.messages[i],
                                              reply->request.lens[i], "second.", SECRET_A, last,
                                              i > 0));
        ldns_rdf_deep_free(last);
        last = next;
        ldns_pkt_free(pkt);
    }
    ldns_rdf_deep_free(last);
}

/* --- who may ------------------------------------------------------------------------------------ */

static void test_who_may(void **state)
{
    static const char *const NOBODY = "  - {name: svc.test}\n";
    static const char *const BOTH =
        "  - {name: svc.test, transfer: {allow: [10.1.0.0/16], key: second}}\n";
    static const char *const FAR = "  - {name: svc.test, transfer: {key: far}}\n";
    static const struct {
        const char *zones, *zone, *peer, *client;
        unsigned want;
    } ROWS[] = {
        {NOBODY, "svc.test", "10.1.2.3", "second", RCODE_REFUSED},
        {NOBODY, "svc.test", "127.0.0.1", NULL, RCODE_REFUSED},
        {NOBODY, "other.test", "127.0.0.1", NULL, RCODE_NOTAUTH},
        {ZONES_NET, "www.svc.test", "10.1.2.3", NULL, RCODE_NOTAUTH},
        {ZONES_NET, "svc.test", "10.2.2.3", NULL, RCODE_REFUSED},
        {ZONES_NET, "svc.test", "10.2.2.3", "second", RCODE_REFUSED},
        {ZONES_NET, "svc.test", "fe80::1", NULL, RCODE_REFUSED},
        {ZONES_NET, "unset.test", "10.1.2.3", NULL, RCODE_REFUSED},
        {ZONES_KEY, "svc.test", "10.1.2.3", NULL, RCODE_REFUSED},
        {ZONES_KEY, "svc.test", "10.1.2.3", "third", RCODE_REFUSED},
        {BOTH, "svc.test", "10.1.2.3", NULL, RCODE_REFUSED},
        {BOTH, "svc.test", "10.2.2.3", "second", RCODE_REFUSED},
        {BOTH, "svc.test", "10.1.2.3", "third", RCODE_REFUSED},
        {ZONES_NET, "svc.test", "10.1.2.3", NULL, 0},
        {ZONES_NET, "svc.test", "10.1.2.3", "third", 0},
        {ZONES_NET, "SVC.Test", "fd00::1", NULL, 0},
        {ZONES_KEY, "svc.test", "203.0.113.1", "second", 0},
        {BOTH, "svc.test", "10.1.2.3", "SECOND", 0},
        {FAR, "svc.test", "10.9.2.3", "far", 0},
    };
    struct reply *reply = reply_new();
    (void)state;

    for (size_t i = 0; i < ARRAY_N(ROWS); i++) {
        struct fixture f;
        fixture_begin(&f, ROWS[i].zones);
        fake_zone(&f.records, "svc.test", "svc.test");
        fake_zone(&f.records, "unset.test", NULL);
        fixture_transfer(&f);
        for (unsigned type = DNS_TYPE_IXFR; type <= DNS_TYPE_AXFR; type++) {
            const struct ask ask = {.zone = ROWS[i].zone,
                                    .type = (uint16_t)type,
                                    .peer = ROWS[i].peer,
                                    .client = ROWS[i].client};
            (void)ask_it(&f, &ask, reply);
            if (rcode_of(reply) != ROWS[i].want) {
                fail_msg("row %zu: %u, not %u", i, rcode_of(reply), ROWS[i].want);
            }
            /* What was asked signed is answered signed, refusals too. */
            assert_int_equal(reply->request.messages[0][11] != 0, ROWS[i].client != NULL);
            reply_reset(reply);
        }
        fixture_end(&f);
    }
    reply_free(reply);
}

/* What the address alone says, before anybody looks at signatures. */
static void test_may_come(void **state)
{
    static const char *const NOBODY = "  - {name: svc.test}\n";
    static const char *const BOTH =
        "  - {name: svc.test, transfer: {allow: [10.1.0.0/16], key: second}}\n";
    static const struct {
        const char *zones, *zone, *peer;
        bool may;
    } ROWS[] = {
        {NOBODY, "svc.test", "127.0.0.1", false},
        {NOBODY, "other.test", "127.0.0.1", false},
        {ZONES_NET, "www.svc.test", "10.1.2.3", false},
        {ZONES_NET, "unset.test", "10.1.2.3", false},
        {ZONES_NET, "svc.test", "10.2.2.3", false},
        {ZONES_NET, "svc.test", "fe80::1", false},
        {BOTH, "svc.test", "10.2.2.3", false},
        {ZONES_NET, "svc.test", "10.1.2.3", true},
        {ZONES_NET, "svc.test", "fd00::1", true},
        {ZONES_KEY, "svc.test", "203.0.113.1", true},
        {BOTH, "svc.test", "10.1.2.3", true},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(ROWS); i++) {
        struct ip_addr peer = ip_of(ROWS[i].peer);
        uint8_t wire[NAME_WIRE_MAX];
        size_t len = sizeof(wire);
        struct fixture f;
        fixture_begin(&f, ROWS[i].zones);
        fake_zone(&f.records, "svc.test", "svc.test");
        fake_zone(&f.records, "unset.test", NULL);
        fixture_transfer(&f);
        must(name_to_wire(ROWS[i].zone, wire, &len));
        if (transfer_may_come(f.transfer, wire, len, &peer) != ROWS[i].may) {
            fail_msg("row %zu", i);
        }
        fixture_end(&f);
    }
}

/* And what the signature says, before it waits for its turn. */
static void test_may(void **state)
{
    static const struct {
        const char *zones, *zone, *client, *peer;
        bool may;
    } ROWS[] = {
        {ZONES_KEY, "svc.test", "", "203.0.113.1", false},
        {ZONES_KEY, "svc.test", "nobody", "203.0.113.1", false},
        {ZONES_KEY, "other.test", "second", "203.0.113.1", false},
        {ZONES_KEY, "svc.test", "second", "203.0.113.1", true},
        {ZONES_KEY, "svc.test", "SECOND", "203.0.113.1", true},
        {ZONES_NET, "svc.test", "second", "10.2.2.3", false},
        {ZONES_NET, "svc.test", "", "10.1.2.3", true},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_N(ROWS); i++) {
        struct ip_addr peer = ip_of(ROWS[i].peer);
        struct tsig tsig = {.is_verified = ROWS[i].client[0] != '\0'};
        uint8_t wire[NAME_WIRE_MAX];
        size_t len = sizeof(wire);
        struct fixture f;
        fixture_begin(&f, ROWS[i].zones);
        fake_zone(&f.records, "svc.test", "svc.test");
        fixture_transfer(&f);
        (void)snprintf(tsig.client, sizeof(tsig.client), "%s", ROWS[i].client);
        must(name_to_wire(ROWS[i].zone, wire, &len));
        if (transfer_may(f.transfer, wire, len, &peer, &tsig) != ROWS[i].may) {
            fail_msg("row %zu", i);
        }
        fixture_end(&f);
    }
}

/* The signature is right, but that client may not come from there. */
static void test_the_clients_networks_count(void **state)
{
    struct reply *reply = reply_new();
    struct fixture f;
    (void)state;

    fixture_begin(&f, "  - {name: svc.test, transfer: {key: far}}\n");
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    const struct ask ask = {.zone = "svc.test",
                            .type = DNS_TYPE_AXFR,
                            .peer = "10.9.0.1",
                            .peer_later = "10.8.0.1",
                            .client = "far"};
    assert_int_equal(rcode_of(ask_it(&f, &ask, reply)), RCODE_REFUSED);
    reply_free(reply);
    fixture_end(&f);
}

/* --- broken requests ---------------------------------------------------------------------------- */

static void test_broken_requests(void **state)
{
    static const struct {
        uint16_t at; /* octet that is changed in a good request */
        uint8_t to;
        int more; /* octets behind (or, below 0, missing) */
        unsigned want;
    } ROWS[] = {
        {2, 0x80, 0, RCODE_FORMERR},  /* a response */
        {2, 0x20, 0, RCODE_FORMERR},  /* another opcode */
        {5, 0, 0, RCODE_FORMERR},     /* no question */
        {5, 2, 0, RCODE_FORMERR},     /* two */
        {7, 1, 0, RCODE_FORMERR},     /* an answer */
        {9, 0, 0, RCODE_FORMERR},     /* IXFR without SOA */
        {9, 2, 0, RCODE_FORMERR},     /* with two */
        {11, 0, 0, RCODE_FORMERR},    /* octets behind the end */
        {11, 2, 0, RCODE_FORMERR},    /* a record that is not there */
        {12, 0xc0, 0, RCODE_FORMERR}, /* a pointer in the question */
        {12, 64, 0, RCODE_FORMERR},   /* a label that is too long */
        {12, 4, 0, RCODE_FORMERR},    /* another name than there is */
        {23, 1, 0, RCODE_FORMERR},    /* type A */
        {25, 3, 0, RCODE_REFUSED},    /* class CHAOS */
        {27, 13, 0, RCODE_FORMERR},   /* another owner than the zone */
        {29, 1, 0, RCODE_FORMERR},    /* A instead of SOA */
        {31, 3, 0, RCODE_FORMERR},    /* SOA of class CHAOS */
        {37, 21, 0, RCODE_FORMERR},   /* an SOA that is too short */
        {60, 1, 0, RCODE_FORMERR},    /* OPT with an owner */
        {0, 0, 1, RCODE_FORMERR},
        {0, 0, -1, RCODE_FORMERR},
        {0, 0, -11, RCODE_FORMERR},
        {0, 0, -40, RCODE_FORMERR},
        {0, 0, -60, RCODE_FORMERR},
        {0, 0, 0, 0},
        {13, 'S', 0, 0},
    };
    const struct ask ask = {
        .zone = "svc.test", .type = DNS_TYPE_IXFR, .serial = 77, .has_opt = true, .has_rd = true};
    struct buf query = BUF_INIT(2048);
    (void)state;

    build_query(&ask, &query);
    assert_int_equal(query.len, 71);
    for (size_t i = 0; i < ARRAY_N(ROWS); i++) {
        struct transfer_query out;
        size_t len = (size_t)((int)query.len + ROWS[i].more);
        uint8_t *packet = mem_zalloc(len);
        assert_non_null(packet);
        memcpy(packet, query.data, len < query.len ? len : query.len);
        if (ROWS[i].at > 0) {
            packet[ROWS[i].at] = ROWS[i].to;
        }
        unsigned got = transfer_query_read(packet, len, &out);
        if (got != ROWS[i].want) {
            fail_msg("row %zu: %u, not %u", i, got, ROWS[i].want);
        }
        if (got == 0) {
            assert_int_equal(out.serial, 77);
            assert_true(out.is_ixfr && out.has_opt && out.has_rd && out.has_do);
            assert_int_equal(out.zone_len, 10);
            assert_memory_equal(out.zone, "\3svc\4test", 10);
            assert_int_equal(out.is_lower, ROWS[i].at == 0);
        }
        mem_free(packet);
    }
    buf_clear(&query);
}

static void test_broken_requests_are_answered(void **state)
{
    struct reply *reply = reply_new();
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_NET);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    static const struct ask ASKS[] = {
        {.zone = "svc.test", .type = DNS_TYPE_AXFR, .is_udp = true}, /* RFC 5936 §4.2 */
        {.zone = "svc.test", .type = 1},
    };
    for (size_t i = 0; i < ARRAY_N(ASKS); i++) {
        (void)ask_it(&f, &ASKS[i], reply);
        assert_int_equal(rcode_of(reply), RCODE_FORMERR);
        reply_reset(reply);
    }
    const struct ask chaos = {.zone = "svc.test", .type = DNS_TYPE_AXFR, .class_ = 3};
    assert_int_equal(rcode_of(ask_it(&f, &chaos, reply)), RCODE_REFUSED);
    reply_reset(reply);
    /* Our own failure. */
    f.records.fails = (struct err_trace){.code = ERR_DB, .file = "x", .text = "a disk"};
    const struct ask good = {.zone = "svc.test", .type = DNS_TYPE_AXFR};
    assert_int_equal(rcode_of(ask_it(&f, &good, reply)), RCODE_SERVFAIL);
    reply_free(reply);
    fixture_end(&f);
}

/* --- whole zones -------------------------------------------------------------------------------- */

static void test_whole_zone(void **state)
{
    struct reply *reply = reply_new();
    struct buf text = BUF_INIT(65536);
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_NET);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    /* Nothing in it. */
    struct ask ask = {.zone = "svc.test", .type = DNS_TYPE_AXFR};
    assert_string_equal(plain_records(ask_it(&f, &ask, reply), &text), SOA_LINE(100) SOA_LINE(100));
    assert_int_equal(reply->request.messages[0][2], 0x84);
    assert_int_equal(reply->request.messages[0][11], 0);
    reply_reset(reply);

    fake_rr(&f.records, "@ 60 NS ca.svc.test.");
    fake_rr(&f.records, "*.svc.test. 60 A 10.0.0.1");
    fake_rr(&f.records, "a.b.svc.test. 300 MX 10 mail.svc.test.");
    fake_rr(&f.records, "a.b.svc.test. 300 TXT \"one\" \"two\"");
    fake_rr(&f.records, "b.svc.test. 300 AAAA fd00::1");
    fake_rr(&f.records, "_acme-challenge.b.svc.test. 60 CNAME b.svc.test.acme.svc.test.");
    fake_rr(&f.records, "x.svc.test. 1 TYPE65400 \\# 0");
    static const char WANT[] = SOA_LINE(100) "svc.test. 60 IN NS ca.svc.test.\n"
                                             "*.svc.test. 60 IN A 10.0.0.1\n"
                                             "a.b.svc.test. 300 IN MX 10 mail.svc.test.\n"
                                             "a.b.svc.test. 300 IN TXT \"one\" \"two\"\n"
                                             "b.svc.test. 300 IN AAAA fd00::1\n"
                                             "_acme-challenge.b.svc.test. 60 IN CNAME "
                                             "b.svc.test.acme.svc.test.\n"
                                             "x.svc.test. 1 IN TYPE65400 \\# 0\n" SOA_LINE(100);
    ask.has_opt = true;
    ask.has_rd = true;
    assert_string_equal(plain_records(ask_it(&f, &ask, reply), &text), WANT);
    ldns_pkt *pkt = packet_of(reply, 0);
    assert_true(ldns_pkt_edns(pkt) && ldns_pkt_edns_do(pkt) && ldns_pkt_rd(pkt));
    assert_int_equal(ldns_pkt_edns_udp_size(pkt), 1232);
    ldns_pkt_free(pkt);
    size_t lower_len = reply->request.lens[0];
    reply_reset(reply);

    /* RFC 5936 §3.4: names keep their spelling, however the question spells them. */
    ask.zone = "SvC.tEsT";
    assert_string_equal(plain_records(ask_it(&f, &ask, reply), &text), WANT);
    assert_memory_equal(reply->request.messages[0] + 12, "\3SvC\4tEsT", 10);
    assert_true(reply->request.lens[0] > lower_len && reply->request.lens[0] < lower_len + 12);
    reply_free(reply);
    buf_clear(&text);
    fixture_end(&f);
}

#define MANY 6000

/* Thousands of records in tens of messages, each signed over the one before. */
static void test_many_messages(void **state)
{
    struct reply *reply = reply_new();
    struct buf text = BUF_INIT(8u * 1024u * 1024u), want = BUF_INIT(8u * 1024u * 1024u);
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_KEY);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    buf_puts(&want, SOA_LINE(100));
    for (unsigned i = 0; i < MANY; i++) {
        char line[200];
        (void)snprintf(line, sizeof(line), "host%u.rack%u.svc.test. 60 A 10.%u.%u.%u", i, i / 40,
                       i >> 16, (i >> 8) & 255, i & 255);
        fake_rr(&f.records, line);
        (void)snprintf(line, sizeof(line), "host%u.rack%u.svc.test. 60 IN A 10.%u.%u.%u\n", i,
                       i / 40, i >> 16, (i >> 8) & 255, i & 255);
        buf_puts(&want, line);
    }
    buf_puts(&want, SOA_LINE(100));
    for (unsigned i = 0; i < 2; i++) {
        const struct ask ask = {.zone = i == 0 ? "svc.test" : "svc.TEST",
                                .type = DNS_TYPE_AXFR,
                                .client = "second",
                                .has_opt = true};
        assert_string_equal(plain_records(ask_it(&f, &ask, reply), &text), buf_str(&want));
        assert_true(reply->request.n > MANY * 25 / 16384 && reply->request.n < MANY * 35 / 16384);
        size_t octets = 0;
        for (size_t at = 0; at < reply->request.n; at++) {
            assert_true(reply->request.lens[at] <= 16384);
            assert_true(at + 1 == reply->request.n || reply->request.lens[at] > 16000);
            octets += reply->request.lens[at];
            ldns_pkt *pkt = packet_of(reply, at);
            assert_int_equal(ldns_pkt_edns(pkt), at == 0);
            ldns_pkt_free(pkt);
        }
        assert_true(octets < MANY * 30);
        assert_int_equal(reply->request.waits_n, reply->request.n - 1);
        must_be_signed(reply);
        reply_reset(reply);
    }
    reply_free(reply);
    buf_clear(&text);
    buf_clear(&want);
    fixture_end(&f);
}

/* One record may be longer than a message should be. */
static void test_long_records(void **state)
{
    struct reply *reply = reply_new();
    struct buf text = BUF_INIT(1024u * 1024u);
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_NET);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    for (unsigned i = 0; i < 3; i++) {
        fake_rr(&f.records, "x.svc.test. 1 TYPE65400 \\# 0");
        struct dns_rr *rr = &f.records.rrs[i];
        rr->rdata = mem_zalloc(60000);
        rr->rdata_len = i == 1 ? 60000 : 100;
    }
    const struct ask ask = {.zone = "svc.test", .type = DNS_TYPE_AXFR};
    assert_int_equal(records_of(ask_it(&f, &ask, reply), &text), 5);
    assert_int_equal(reply->request.n, 3);
    assert_true(reply->request.lens[1] > 60000);
    reply_reset(reply);
    /* One that no message can hold: said, and not sent half. */
    rr_clear(&f.records.rrs[1]);
    f.records.rrs[1] = rr_of("a.b.c.d.e.f.svc.test. 1 TYPE65400 \\# 0");
    f.records.rrs[1].rdata = mem_zalloc(65535);
    f.records.rrs[1].rdata_len = 65535;
    (void)ask_it(&f, &ask, reply);
    assert_int_equal(reply->request.n, 1);
    reply_free(reply);
    buf_clear(&text);
    fixture_end(&f);
}

/* --- differences -------------------------------------------------------------------------------- */

static void journal(struct records *records)
{
    fake_begin(records, 97, 98);
    fake_diff(records, true, "a 60 A 10.0.0.1");
    fake_begin(records, 98, 99);
    fake_diff(records, false, "a 60 A 10.0.0.1");
    fake_diff(records, false, "b 60 A 10.0.0.2");
    fake_diff(records, true, "a 60 A 10.0.0.3");
    fake_begin(records, 99, 100);
    fake_diff(records, false, "c 60 A 10.0.0.4");
}

#define DIFF_97 SOA_LINE(97) SOA_LINE(98) "a.svc.test. 60 IN A 10.0.0.1\n"
#define DIFF_98                                                                                    \
    SOA_LINE(98)                                                                                   \
    "a.svc.test. 60 IN A 10.0.0.1\nb.svc.test. 60 IN A 10.0.0.2\n" SOA_LINE(                       \
        99) "a.svc.test. 60 IN A 10.0.0.3\n"
#define DIFF_99 SOA_LINE(99) "c.svc.test. 60 IN A 10.0.0.4\n" SOA_LINE(100)

static void test_differences(void **state)
{
    static const struct {
        uint32_t serial;
        const char *want;
    } ROWS[] = {
        {97, SOA_LINE(100) DIFF_97 DIFF_98 DIFF_99 SOA_LINE(100)},
        {98, SOA_LINE(100) DIFF_98 DIFF_99 SOA_LINE(100)},
        {99, SOA_LINE(100) DIFF_99 SOA_LINE(100)},
        {100, SOA_LINE(100)},                /* the same */
        {101, SOA_LINE(100)},                /* newer */
        {100u + 0x7fffffffu, SOA_LINE(100)}, /* RFC 1982 */
        {96, SOA_LINE(100) "z.svc.test. 60 IN A 10.0.0.9\n" SOA_LINE(100)},
        {101u + 0x7fffffffu, SOA_LINE(100) "z.svc.test. 60 IN A 10.0.0.9\n" SOA_LINE(100)},
        {0, SOA_LINE(100) "z.svc.test. 60 IN A 10.0.0.9\n" SOA_LINE(100)},
    };
    struct reply *reply = reply_new();
    struct buf text = BUF_INIT(65536);
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_KEY);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    fake_rr(&f.records, "z 60 A 10.0.0.9");
    journal(&f.records);
    for (size_t i = 0; i < 2 * ARRAY_N(ROWS); i++) {
        const struct ask ask = {.zone = i % 2 == 0 ? "svc.test" : "Svc.test",
                                .type = DNS_TYPE_IXFR,
                                .serial = ROWS[i / 2].serial,
                                .client = "second"};
        assert_string_equal(plain_records(ask_it(&f, &ask, reply), &text), ROWS[i / 2].want);
        must_be_signed(reply);
        reply_reset(reply);
    }
    reply_free(reply);
    buf_clear(&text);
    fixture_end(&f);
}

/* A difference that is longer than the zone. */
static void test_the_shorter_one_is_sent(void **state)
{
    struct reply *reply = reply_new();
    struct buf text = BUF_INIT(8u * 1024u * 1024u);
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_NET);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    fake_begin(&f.records, 99, 100);
    char line[100];
    for (unsigned i = 0; i < 4000; i++) {
        (void)snprintf(line, sizeof(line), "h%u 60 A 10.0.%u.%u", i, i >> 8, i & 255);
        fake_diff(&f.records, i % 2 == 0, line);
        if (i % 8 == 0) {
            fake_rr(&f.records, line);
        }
    }
    const struct ask ask = {.zone = "svc.test", .type = DNS_TYPE_IXFR, .serial = 99};
    assert_int_equal(records_of(ask_it(&f, &ask, reply), &text), 502);
    reply_reset(reply);
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(line, sizeof(line), "g%u 60 A 10.1.%u.%u", i, i >> 8, i & 255);
        fake_rr(&f.records, line);
    }
    /* With its four SOAs. */
    assert_int_equal(records_of(ask_it(&f, &ask, reply), &text), 4004);
    assert_true(reply->request.n > 4);
    reply_free(reply);
    buf_clear(&text);
    fixture_end(&f);
}

static void test_udp(void **state)
{
    struct reply *reply = reply_new();
    struct buf text = BUF_INIT(65536);
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_KEY);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    journal(&f.records);
    struct ask ask = {.zone = "svc.test",
                      .type = DNS_TYPE_IXFR,
                      .serial = 98,
                      .client = "second",
                      .is_udp = true};
    assert_string_equal(plain_records(ask_it(&f, &ask, reply), &text),
                        SOA_LINE(100) DIFF_98 DIFF_99 SOA_LINE(100));
    assert_int_equal(reply->request.n, 1);
    must_be_signed(reply);
    reply_reset(reply);
    /* Not all of it fits: the SOA alone, and never a part. */
    for (ask.limit = 512; ask.limit > 256; ask.limit -= 16) {
        assert_string_equal(plain_records(ask_it(&f, &ask, reply), &text), SOA_LINE(100));
        assert_int_equal(reply->request.n, 1);
        must_be_signed(reply);
        reply_reset(reply);
    }
    /* Not even that. */
    ask.limit = 150;
    (void)ask_it(&f, &ask, reply);
    assert_int_equal(reply->request.n, 1);
    assert_int_equal(reply->request.messages[0][2], 0x86);
    assert_int_equal(reply->request.messages[0][7], 0);
    reply_reset(reply);
    /* Not in the journal: by TCP only. */
    ask.limit = 1232;
    ask.serial = 5;
    for (unsigned i = 0; i < 100; i++) {
        fake_rr(&f.records, "z 60 A 10.0.0.9");
    }
    assert_string_equal(plain_records(ask_it(&f, &ask, reply), &text), SOA_LINE(100));
    reply_reset(reply);
    /* Differences that no datagram holds. */
    ask.serial = 98;
    f.records.changes_again = 1000;
    assert_string_equal(plain_records(ask_it(&f, &ask, reply), &text), SOA_LINE(100));
    assert_int_equal(f.records.written_n, 0); /* the sender may be forged: no zone is read for it */
    reply_free(reply);
    buf_clear(&text);
    fixture_end(&f);
}

/* --- peers that go, memory that ends ------------------------------------------------------------ */

static void test_peers_that_go(void **state)
{
    struct reply *reply = reply_new();
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_NET);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    for (unsigned i = 0; i < 5000; i++) {
        char line[100];
        (void)snprintf(line, sizeof(line), "h%u 60 A 10.0.%u.%u", i, i >> 8, i & 255);
        fake_rr(&f.records, line);
    }
    const struct ask ask = {.zone = "svc.test", .type = DNS_TYPE_AXFR};
    (void)ask_it(&f, &ask, reply);
    assert_true(reply->request.n > 5);
    reply_reset(reply);
    for (size_t at = 1; at < 5; at++) {
        reply->request.gone_after = at;
        assert_int_equal(ask_it(&f, &ask, reply)->request.n, at - 1);
        reply_reset(reply);
        reply->request.stops_reading_at = at;
        assert_int_equal(ask_it(&f, &ask, reply)->request.n, at);
        reply_reset(reply);
    }
    size_t written_n = f.records.written_n;
    reply->request.is_gone = true;
    assert_int_equal(ask_it(&f, &ask, reply)->request.n, 0);
    assert_int_equal(f.records.written_n, written_n); /* nothing is read for nobody */
    reply_free(reply);
    fixture_end(&f);
}

static void test_memory_is_bounded(void **state)
{
    _Atomic size_t shared = TRANSFER_MEMORY_MAX - 300000;
    struct transfer_rows rows, others;
    struct dns_rr rr = rr_of("h 60 TXT \"some text\"");
    size_t n = 0;
    (void)state;

    transfer_rows_init(&rows, &shared);
    transfer_rows_init(&others, &shared);
    assert_true(transfer_rows_put(&others, ROW_RECORD, &rr));
    while (transfer_rows_put(&rows, ROW_RECORD, &rr)) {
        n++;
    }
    assert_true(rows.is_over && n == rows.n && n > 100);
    assert_false(transfer_rows_put(&rows, ROW_RECORD, &rr));
    assert_true(shared <= TRANSFER_MEMORY_MAX);
    /* Every row is there. */
    struct rows_cursor cursor = {0};
    struct transfer_row row;
    while (transfer_rows_next(&rows, &cursor, &row)) {
        assert_int_equal(row.type, 16);
        assert_int_equal(row.owner_len, rr.owner_len);
        assert_memory_equal(row.owner, rr.owner, rr.owner_len);
        assert_memory_equal(row.rdata, rr.rdata, rr.rdata_len);
        n--;
    }
    assert_int_equal(n, 0);
    transfer_rows_clear(&rows);
    transfer_rows_clear(&others);
    assert_int_equal(shared, TRANSFER_MEMORY_MAX - 300000);
    rr_clear(&rr);
}

/* A TXT record that takes 60,000 octets. */
static void make_long(struct dns_rr *rr)
{
    mem_free(rr->rdata);
    rr->rdata_len = 60000;
    rr->rdata = mem_zalloc(rr->rdata_len);
    assert_non_null(rr->rdata);
}

/* Differences that take more memory than there is for all transfers: the zone instead. A zone that does as
 * well: SERVFAIL. Either way the memory is there again afterwards. */
static void test_more_than_the_memory(void **state)
{
    enum { TOO_MANY = TRANSFER_MEMORY_MAX / 60000 };
    struct reply *reply = reply_new();
    struct buf text = BUF_INIT(65536);
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_KEY);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    fake_rr(&f.records, "www 60 A 10.0.0.1");
    fake_begin(&f.records, 99, 100);
    fake_diff(&f.records, true, "www 60 TXT long");
    make_long(&f.records.journal[1].rr);
    const struct ask ixfr = {
        .zone = "svc.test", .type = DNS_TYPE_IXFR, .serial = 99, .client = "second"};
    const struct ask axfr = {.zone = "svc.test", .type = DNS_TYPE_AXFR, .client = "second"};
    const char *whole = SOA_LINE(100) "www.svc.test. 60 IN A 10.0.0.1\n" SOA_LINE(100);

    f.records.changes_again = TOO_MANY;
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(plain_records(ask_it(&f, &ixfr, reply), &text), whole);
        must_be_signed(reply);
        reply_reset(reply);
    }
    fake_rr(&f.records, "www 60 TXT long");
    make_long(&f.records.rrs[1]);
    f.records.rrs_again = TOO_MANY;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rcode_of(ask_it(&f, i == 0 ? &ixfr : &axfr, reply)), RCODE_SERVFAIL);
        must_be_signed(reply);
        reply_reset(reply);
    }
    f.records.rrs_again = 0;
    f.records.rrs_n = 1;
    assert_string_equal(plain_records(ask_it(&f, &axfr, reply), &text), whole);
    f.records.rrs_n = 2;
    reply_free(reply);
    buf_clear(&text);
    fixture_end(&f);
}

/* Our own failure is said, whichever of the two is read: nothing is sent in its place. */
static void test_a_store_that_fails(void **state)
{
    struct reply *reply = reply_new();
    struct fixture f;
    (void)state;

    fixture_begin(&f, ZONES_NET);
    fake_zone(&f.records, "svc.test", "svc.test");
    fixture_transfer(&f);
    fake_begin(&f.records, 99, 100);
    for (unsigned i = 0; i < 2; i++) { /* more than what is sent without looking at the zone */
        fake_diff(&f.records, true, "www 60 TXT long");
        make_long(&f.records.journal[1 + i].rr);
    }
    const struct ask ixfr = {.zone = "svc.test", .type = DNS_TYPE_IXFR, .serial = 99};
    f.records.fails = (struct err_trace){.code = ERR_DB, .file = "x", .text = "a disk"};
    assert_int_equal(rcode_of(ask_it(&f, &ixfr, reply)), RCODE_SERVFAIL);
    reply_reset(reply);
    f.records.journal_fails = f.records.fails;
    f.records.fails.code = ERR_OK;
    assert_int_equal(rcode_of(ask_it(&f, &ixfr, reply)), RCODE_SERVFAIL);
    reply_free(reply);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_may),
        cmocka_unit_test(test_may_come),
        cmocka_unit_test(test_may),
        cmocka_unit_test(test_the_clients_networks_count),
        cmocka_unit_test(test_broken_requests),
        cmocka_unit_test(test_broken_requests_are_answered),
        cmocka_unit_test(test_whole_zone),
        cmocka_unit_test(test_many_messages),
        cmocka_unit_test(test_long_records),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_the_shorter_one_is_sent),
        cmocka_unit_test(test_udp),
        cmocka_unit_test(test_peers_that_go),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_more_than_the_memory),
        cmocka_unit_test(test_a_store_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
