/* The forwarder from the request to the answer: who may ask, servers that lie, die and fall silent, the
 * cache, routes, CNAMEs into and out of our zones, limits, stopping. */
#include "dns_forward_world.h"

#define SOA "example.net. 60 IN SOA ns.example.net. h.example.net. 1 60 60 60 30"

static const struct rule ROOT[] = {
    {"host.example.net.", HONEST, 0, {"host.example.net. 3600 IN A 198.51.100.1"}, NULL},
    {"mx.example.net.", HONEST, 0, {"mx.example.net. 60 IN MX 5 Mail.Example.ORG."}, NULL},
    {"forged.example.net.", WRONG_ID, 0, {"forged.example.net. 60 IN A 198.51.100.2"}, NULL},
    {"other.example.net.", WRONG_NAME, 0, {"other.example.net. 60 IN A 198.51.100.3"}, NULL},
    {"poison.example.net.",
     HONEST,
     0,
     {"poison.example.net. 60 IN A 198.51.100.4", "x.svc.test. 60 IN A 198.51.100.66",
      "www.bank.example. 60 IN A 198.51.100.66"},
     "svc.test. 60 IN NS evil.example."},
    {"double.example.net.", DOUBLE, 0, {"double.example.net. 60 IN A 198.51.100.5"}, NULL},
    {"cut.example.net.", CUT, 0, {"cut.example.net. 60 IN TXT \"over tcp\""}, NULL},
    {"fail.example.net.", HONEST, LDNS_RCODE_SERVFAIL, {NULL}, NULL},
    {"garbage.example.net.", GARBAGE, 0, {"garbage.example.net. 60 IN A 198.51.100.6"}, NULL},
    {"half.example.net.", HALF, 0, {"half.example.net. 60 IN A 198.51.100.7"}, NULL},
    {"gone.example.net.", HONEST, LDNS_RCODE_NXDOMAIN, {NULL}, SOA},
    {"empty.example.net.", HONEST, 0, {NULL}, SOA},
    {"silent.example.net.", SILENT, 0, {NULL}, NULL},
    {"quieter.example.net.", SILENT, 0, {NULL}, NULL},
    {"listen.example.net.", HONEST, 0, {"listen.example.net. 60 IN A 198.51.100.9"}, NULL},
    {"detour.example.net.", HONEST, 0, {"detour.example.net. 60 IN CNAME d1.svc.test."}, NULL},
    {"detours.example.net.", HONEST, 0, {"detours.example.net. 60 IN CNAME d2.svc.test."}, NULL},
    {"late.example.net.", HELD, 0, {"late.example.net. 60 IN A 198.51.100.8"}, NULL},
    {"alias.example.net.",
     HONEST,
     0,
     {"alias.example.net. 60 IN CNAME Host.example.net.",
      "host.example.net. 3600 IN A 198.51.100.1"},
     NULL},
    {"step.example.net.", HONEST, 0, {"step.example.net. 60 IN CNAME alias.example.net."}, NULL},
    {"dead-end.example.net.",
     HONEST,
     LDNS_RCODE_NXDOMAIN,
     {"dead-end.example.net. 60 IN CNAME gone.example.net."},
     SOA},
    {"ring.example.net.", HONEST, 0, {"ring.example.net. 60 IN CNAME ring2.example.net."}, NULL},
    {"ring2.example.net.", HONEST, 0, {"ring2.example.net. 60 IN CNAME ring.example.net."}, NULL},
    {"ours.example.net.",
     HONEST,
     0,
     {"ours.example.net. 60 IN CNAME X.svc.test.", "x.svc.test. 60 IN A 198.51.100.66"},
     NULL},
    {"denied.example.net.",
     HONEST,
     LDNS_RCODE_NXDOMAIN,
     {"denied.example.net. 60 IN CNAME x.svc.test."},
     "test. 60 IN SOA a. b. 1 2 3 4 5"},
    {"challenge.example.net.",
     HONEST,
     0,
     {"challenge.example.net. 60 IN CNAME _acme-challenge.x.svc.test."},
     NULL},
    {"many.example.net.",
     HONEST,
     0,
     {"many.example.net. 60 IN TXT \""
      "0123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789"
      "\"",
      "many.example.net. 60 IN TXT \""
      "1123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789"
      "\"",
      "many.example.net. 60 IN TXT \""
      "2123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789"
      "\"",
      "many.example.net. 60 IN TXT \""
      "3123456789012345678901234567890123456789012345678901234567890123456789"
      "0123456789012345678901234567890123456789012345678901234567890123456789"
      "\""},
     NULL},
    {"printer.home.arpa.", HONEST, 0, {"printer.home.arpa. 60 IN A 10.0.0.9"}, NULL},
    {"9.0.0.10.in-addr.arpa.",
     HONEST,
     0,
     {"9.0.0.10.in-addr.arpa. 60 IN PTR Printer.home.arpa."},
     NULL},
    {NULL, HONEST, 0, {NULL}, NULL},
};
static const struct rule CORP[] = {
    {"www.corp.example.", HONEST, 0, {"www.corp.example. 60 IN A 10.9.9.9"}, NULL},
    {"app.corp.example.", HONEST, 0, {"app.corp.example. 60 IN CNAME x.svc.test."}, NULL},
    {"out.corp.example.", HONEST, 0, {"out.corp.example. 60 IN CNAME host.example.net."}, NULL},
    {NULL, HONEST, 0, {NULL}, NULL},
};
static const struct rule *const ONE[] = {ROOT};

static void check_answer(struct world *w, struct dns_request *r, const char *want)
{
    ask(w, r);
    assert_string_equal(answer_text(r), want);
    request_free(r);
}

/* --- tables ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned type;
    const char *want;
} ANSWERS[] = {
    /* servers that fail, and lie */
    {"fail.example.net", 1, "SERVFAIL:"},
    {"unknown.example.net", 1, "SERVFAIL:"}, /* REFUSED */
    {"garbage.example.net", 1, "SERVFAIL:"},
    {"half.example.net", 1, "SERVFAIL:"},
    {"ring.example.net", 1, "SERVFAIL:"},
    {"forged.example.net", 1, "NOERROR: forged.example.net. 60 IN A 198.51.100.2;"},
    {"other.example.net", 1, "NOERROR: other.example.net. 60 IN A 198.51.100.3;"},
    {"poison.example.net", 1, "NOERROR: poison.example.net. 60 IN A 198.51.100.4;"},
    {"double.example.net", 1, "NOERROR: double.example.net. 60 IN A 198.51.100.5;"},
    {"double.example.net", 1, "NOERROR: double.example.net. 60 IN A 198.51.100.5;"},
    /* a route's server knows nothing of other names, and theirs nothing of its names */
    {"corp.example", 1, "SERVFAIL:"},
    {"www.corp.example", 1, "NOERROR: www.corp.example. 60 IN A 10.9.9.9;"},
    {"out.corp.example", 1,
     "NOERROR: out.corp.example. 60 IN CNAME host.example.net.; host.example.net. 3600 IN A "
     "198.51.100.1;"},
    /* negative */
    {"gone.example.net", 1,
     "NXDOMAIN: | example.net. 30 IN SOA ns.example.net. h.example.net. 1 60 60 60 30;"},
    {"empty.example.net", 28,
     "NOERROR: | example.net. 30 IN SOA ns.example.net. h.example.net. 1 60 60 60 30;"},
    {"dead-end.example.net", 1,
     "NXDOMAIN: dead-end.example.net. 60 IN CNAME gone.example.net.; | example.net. 30 IN SOA "
     "ns.example.net. h.example.net. 1 60 60 60 30;"},
    /* spelling: the question's in owners, the server's in data */
    {"Mx.eXample.net", 15, "NOERROR: Mx.eXample.net. 60 IN MX 5 Mail.Example.ORG.;"},
    {"ALIAS.example.net", 1,
     "NOERROR: ALIAS.example.net. 60 IN CNAME Host.example.net.; Host.example.net. 3600 IN A "
     "198.51.100.1;"},
    {"step.example.net", 1,
     "NOERROR: step.example.net. 60 IN CNAME alias.example.net.; alias.example.net. 60 IN "
     "CNAME Host.example.net.; Host.example.net. 3600 IN A 198.51.100.1;"},
    {"cut.example.net", 16, "NOERROR: cut.example.net. 60 IN TXT \"over tcp\";"},
    /* private names are asked for like all others */
    {"printer.home.arpa", 1, "NOERROR: printer.home.arpa. 60 IN A 10.0.0.9;"},
    {"9.0.0.10.in-addr.arpa", 12, "NOERROR: 9.0.0.10.in-addr.arpa. 60 IN PTR Printer.home.arpa.;"},
    /* into our zones: what others say of them is not believed */
    {"ours.example.net", 28,
     "NOERROR: ours.example.net. 60 IN CNAME X.svc.test.; | svc.test. 5 IN SOA ca.svc.test. "
     "hostmaster.svc.test. 1 60 60 604800 5;"},
    {"denied.example.net", 28,
     "NOERROR: denied.example.net. 60 IN CNAME x.svc.test.; | svc.test. 5 IN SOA ca.svc.test. "
     "hostmaster.svc.test. 1 60 60 604800 5;"},
    {"app.corp.example", 28,
     "NOERROR: app.corp.example. 60 IN CNAME x.svc.test.; | svc.test. 5 IN SOA ca.svc.test. "
     "hostmaster.svc.test. 1 60 60 604800 5;"},
    {"x.svc.test", 28,
     "NOERROR: | svc.test. 5 IN SOA ca.svc.test. hostmaster.svc.test. 1 60 60 604800 5;"},
};

static void test_answers(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    (void)state;

    for (size_t i = 0; i < ARRAY_N(ANSWERS); i++) {
        check_answer(w, request_new(ANSWERS[i].name, ANSWERS[i].type, 0), ANSWERS[i].want);
    }
    assert_int_equal(atomic_load(&w->up[0].asked_tcp_n), 1);
    world_free(w);
}

static void test_our_addresses_behind_a_cname(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    struct dns_request *r = request_new("ours.example.net", 1, 1232);
    (void)state;

    ask(w, r);
    assert_non_null(strstr(answer_text(r), "ours.example.net. 60 IN CNAME X.svc.test.; X.svc.test. "
                                           "60 IN A 192.0.2.8"));
    assert_null(strstr(answer_text(r), "198.51.100.66"));
    request_free(r);
    r = request_new("challenge.example.net", 16, 1232);
    ask(w, r);
    assert_non_null(strstr(
        answer_text(r), "NOERROR: challenge.example.net. 60 IN CNAME _acme-challenge.x.svc.test.; "
                        "_acme-challenge.x.svc.test. 60 IN CNAME x.svc.test.acme.svc.test.;"));
    request_free(r);
    world_free(w);
}

/* A CNAME of ours that leads out: the part that stands stays as it is. */
static void test_begun(void **state)
{
    static const uint8_t cname[] = {0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 7, 0, 18};
    struct world *w = world_new(ONE, 1, CORP);
    struct dns_request *r = request_new("Www.svc.test", 1, 1232);
    (void)state;

    size_t question_end = r->len - 11;
    memcpy(r->begun, r->octets, question_end);
    memcpy(r->begun + 2, "\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00", 10);
    memcpy(r->begun + question_end, cname, sizeof(cname));
    r->begun_len = question_end + sizeof(cname);
    r->begun_len += make_name("host.example.net", r->begun + r->begun_len);
    ask(w, r);
    assert_string_equal(answer_text(r), "NOERROR aa: Www.svc.test. 7 IN CNAME host.example.net.; "
                                        "host.example.net. 3600 IN A 198.51.100.1; edns 1232");
    request_free(r);
    world_free(w);
}

static void test_sizes(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    struct dns_request *r = request_new("many.example.net", 16, 0);
    (void)state;

    check_answer(w, r, "NOERROR tc:");
    r = request_new("many.example.net", 16, 512);
    check_answer(w, r, "NOERROR tc: edns 1232");
    r = request_new("many.example.net", 16, 1232);
    ask(w, r);
    assert_non_null(strstr(answer_text(r), "\"3123"));
    request_free(r);
    r = request_new("many.example.net", 16, 0);
    r->is_tcp = true;
    r->limit = 65535;
    ask(w, r);
    assert_non_null(strstr(answer_text(r), "\"0123"));
    request_free(r);
    world_free(w);
}

/* --- the cache -------------------------------------------------------------------------------- */

static void test_cache(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    (void)state;

    for (int i = 0; i < 5; i++) {
        struct dns_request *r = request_new("gone.example.net", 1, 0);
        ask(w, r);
        assert_int_equal(r->answer[3] & 0x0f, LDNS_RCODE_NXDOMAIN);
        request_free(r);
    }
    assert_int_equal(atomic_load(&w->up[0].asked_n), 1);
    /* The TTL goes down by itself within a second or two. */
    for (unsigned ttl = 3600; ttl == 3600;) {
        struct dns_request *r = request_new("host.example.net", 1, 0);
        ask(w, r);
        const uint8_t *p =
            r->answer + r->len + 6; /* the TTL behind question, pointer, type, class */
        ttl = (unsigned)p[0] << 24 | (unsigned)p[1] << 16 | (unsigned)p[2] << 8 | p[3];
        assert_true(ttl <= 3600 && ttl > 3500);
        request_free(r);
    }
    assert_int_equal(atomic_load(&w->up[0].asked_n), 2);
    world_free(w);
}

/* --- dead servers ------------------------------------------------------------------------------ */

static void test_dead_server(void **state)
{
    static const struct rule *const dead_first[] = {NULL, ROOT};
    (void)state;

    for (int i = 0; i < 3; i++) { /* the library picks among servers that it does not know */
        struct world *w = world_new(dead_first, 2, CORP);
        int64_t begun_ns = clock_mono_ns();
        check_answer(w, request_new("host.example.net", 1, 0),
                     "NOERROR: host.example.net. 3600 IN A 198.51.100.1;");
        print_message("dead server: %lld ms\n",
                      (long long)((clock_mono_ns() - begun_ns) / 1000000));
        world_free(w);
    }
}

static void wait_asked(struct upstream *u, unsigned n)
{
    while (atomic_load(&u->asked_n) < n) {
        (void)poll(NULL, 0, 1);
    }
}

static void test_timeout(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    struct dns_request *r = request_new("silent.example.net", 1, 1232);
    struct dns_request *other = request_new("host.example.net", 1, 0);
    struct forward_counters counters;
    (void)state;

    forward_ask(w->forward, r);
    wait_asked(&w->up[0], 1);
    clock_shift(FORWARD_TIMEOUT_MS + 1);
    ask(w, other); /* wakes the loop */
    request_wait(r);
    assert_string_equal(answer_text(r), "SERVFAIL: edns 1232");
    assert_int_equal(r->answer[r->answer_len - 1], 22); /* No Reachable Authority */
    forward_count(w->forward, &counters);
    assert_int_equal(counters.timeouts, 1);
    assert_int_equal(counters.asked, 2);
    assert_int_equal(counters.answered, 1);
    request_free(r);
    request_free(other);
    world_free(w);
}

/* An answer that comes when the asker has been told already: nobody hears of it twice. */
static void test_late_answer(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    struct dns_request *r = request_new("late.example.net", 1, 0);
    bool has_answer = false;
    (void)state;

    forward_ask(w->forward, r);
    while (atomic_load(&w->up[0].held_n) == 0) {
        (void)poll(NULL, 0, 1);
    }
    clock_shift(FORWARD_TIMEOUT_MS + 1);
    check_answer(w, request_new("host.example.net", 1, 0),
                 "NOERROR: host.example.net. 3600 IN A 198.51.100.1;");
    request_wait(r);
    assert_string_equal(answer_text(r), "SERVFAIL:");
    while (!has_answer) { /* the datagram that it answers may have been given up meanwhile */
        struct dns_request *again = request_new("late.example.net", 1, 0);
        forward_ask(w->forward, again);
        upstream_release(&w->up[0]);
        request_wait(again);
        has_answer = again->answer[3] == 0x80;
        request_free(again);
    }
    assert_int_equal(r->sent_n, 1);
    assert_int_equal(r->ended_n, 1);
    request_free(r);
    world_free(w);
}

/* --- who may, how many, loops ------------------------------------------------------------------ */

static void test_strangers(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    struct dns_request *r = request_new("host.example.net", 1, 1232);
    static const uint8_t cookie[24] = {1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 0, 0, 9};
    struct forward_counters counters;
    (void)state;

    assert_false(forward_is_allowed(NULL, &r->peer));
    assert_true(forward_is_allowed(w->forward, &r->peer));
    assert_int_equal(ip_parse("192.0.2.3", &r->peer).code, ERR_OK);
    assert_false(forward_is_allowed(w->forward, &r->peer));
    check_answer(w, r, "REFUSED: edns 1232");
    check_answer(w, request_new("host.example.net", 249, 0), "NOTIMPL:"); /* TKEY */
    r = request_new("host.example.net", 249, 0);
    r->octets[3] = 0x10; /* CD comes back. RFC 4035 §3.2.2 */
    forward_ask(w->forward, r);
    request_wait(r);
    assert_int_equal(r->answer[3], 0x94);
    request_free(r);
    r = request_new("host.example.net", 1, 1232);
    r->cookie = cookie;
    assert_int_equal(ip_parse("192.0.2.3", &r->peer).code, ERR_OK);
    forward_ask(w->forward, r);
    request_wait(r);
    assert_string_equal(answer_text(r), "REFUSED: edns 1232");
    assert_memory_equal(r->answer + r->answer_len - 28, "\0\12\0\30", 4); /* behind the reason */
    assert_memory_equal(r->answer + r->answer_len - 24, cookie, 24);
    request_free(r);
    forward_count(w->forward, &counters);
    assert_int_equal(counters.refused, 4);
    assert_int_equal(atomic_load(&w->up[0].asked_n), 0);
    world_free(w);
}

static void test_limit_per_peer(void **state)
{
    static struct dns_request *under_way[FORWARD_PENDING_PER_PEER_MAX];
    struct world *w = world_new(ONE, 1, CORP);
    struct dns_request *other = request_new("host.example.net", 1, 0);
    (void)state;

    for (size_t i = 0; i < ARRAY_N(under_way); i++) {
        under_way[i] = request_new("silent.example.net", 1, 0);
        forward_ask(w->forward, under_way[i]);
    }
    check_answer(w, request_new("host.example.net", 1, 0), "SERVFAIL:");
    assert_int_equal(ip_parse("10.9.9.1", &other->peer).code, ERR_OK);
    /* What is turned away takes no place from the others. */
    for (size_t i = 0; i < FORWARD_PENDING_MAX; i++) {
        struct dns_request *more = request_new("host.example.net", 1, 0);
        forward_ask(w->forward, more);
        assert_int_equal(more->ended_n, 1);
        request_free(more);
    }
    check_answer(w, other, "NOERROR: host.example.net. 3600 IN A 198.51.100.1;");
    world_free(w); /* stopped while they are under way */
    for (size_t i = 0; i < ARRAY_N(under_way); i++) {
        assert_int_equal(under_way[i]->ended_n, 1);
        assert_int_equal(under_way[i]->sent_n, 0);
        request_free(under_way[i]);
    }
}

/* The same question is asked once, whoever wants to know. */
static void test_same_question(void **state)
{
    static struct dns_request *requests[100];
    struct world *w = world_new(ONE, 1, CORP);
    (void)state;

    for (size_t i = 0; i < ARRAY_N(requests); i++) {
        requests[i] = request_new("host.example.net", 1, 0);
        forward_ask(w->forward, requests[i]);
    }
    for (size_t i = 0; i < ARRAY_N(requests); i++) {
        request_wait(requests[i]);
        assert_int_equal(requests[i]->answer[3] & 0x0f, 0);
        request_free(requests[i]);
    }
    assert_int_equal(atomic_load(&w->up[0].asked_n), 1);
    world_free(w);
}

static void test_loop(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    struct dns_request *first = request_new("silent.example.net", 1, 0);
    struct dns_request *back = request_new("silent.example.net", 1, 0);
    struct forward_counters counters;
    (void)state;

    forward_ask(w->forward, first);
    wait_asked(&w->up[0], 1);
    back->peer = w->up[0].at.addr; /* and the upstream asks us; it must be allowed to */
    struct ip_net *network = w->cfg->dns.forward_networks;
    assert_int_equal(ip_net_parse("127.0.0.0/8", network).code, ERR_OK);
    check_answer(w, back, "SERVFAIL:");
    forward_count(w->forward, &counters);
    assert_int_equal(counters.failed, 1); /* at once, and not when its time was over */
    assert_int_equal(counters.timeouts, 0);
    world_free(w);
    request_free(first);
}

static void is_unanswered(struct dns_request *r)
{
    (void)pthread_mutex_lock(&r->lock);
    assert_int_equal(r->sent_n, 0);
    assert_int_equal(r->ended_n, 0);
    (void)pthread_mutex_unlock(&r->lock);
}

/* What looks like a loop and is none: another name or type, somebody who is no upstream, the same asker again. */
static void test_no_loop(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    const struct ip_addr upstream = w->up[0].at.addr;
    struct dns_request *waiting[] = {
        request_new("silent.example.net", 1, 0),  request_new("silent.example.net", 28, 0),
        request_new("silent.example.net", 1, 0),  request_new("quieter.example.net", 1, 0),
        request_new("quieter.example.net", 1, 0),
    };
    struct dns_request *other = request_new("listen.example.net", 1, 0);
    (void)state;

    struct ip_net *network = w->cfg->dns.forward_networks;
    assert_int_equal(ip_net_parse("0.0.0.0/0", network).code, ERR_OK);
    waiting[1]->peer = upstream;    /* another type than waiting[0]'s */
    waiting[2]->peer.bytes[3] = 99; /* a neighbour */
    waiting[3]->peer = upstream;    /* twice from there, and from nobody else */
    waiting[4]->peer = upstream;
    for (size_t i = 0; i < ARRAY_N(waiting); i++) {
        forward_ask(w->forward, waiting[i]);
    }
    other->peer = upstream; /* another name, of the same length; behind all of these */
    check_answer(w, other, "NOERROR: listen.example.net. 60 IN A 198.51.100.9;");
    for (size_t i = 0; i < ARRAY_N(waiting); i++) {
        is_unanswered(waiting[i]);
    }
    world_free(w);
    for (size_t i = 0; i < ARRAY_N(waiting); i++) {
        request_free(waiting[i]);
    }
}

static void put_cname(struct world *w, const char *owner, const char *target)
{
    uint8_t wire[NAME_WIRE_MAX], rdata[NAME_WIRE_MAX];
    struct zone_edit *edit = NULL;
    const struct zone_rr rr = {5, 60, rdata, (uint16_t)make_name(target, rdata)};

    assert_int_equal(zone_edit_begin(w->zones, &edit).code, ERR_OK);
    assert_int_equal(zone_edit_records(edit, wire, make_name(owner, wire), &rr, 1).code, ERR_OK);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
}

/* Out, into our zone by a name that nobody else knows, out again: what is asked then is the question's own type,
 * and where that leads nowhere it is tried once more. */
static void test_through_our_zone_and_out(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    (void)state;

    put_cname(w, "d1.svc.test", "host.example.net");
    put_cname(w, "d2.svc.test", "detour.example.net");
    check_answer(w, request_new("detour.example.net", 1, 0),
                 "NOERROR: detour.example.net. 60 IN CNAME d1.svc.test.; d1.svc.test. 60 IN CNAME "
                 "host.example.net.; host.example.net. 3600 IN A 198.51.100.1;");
    check_answer(w, request_new("detours.example.net", 1, 0),
                 "NOERROR: detours.example.net. 60 IN CNAME d2.svc.test.; d2.svc.test. 60 IN CNAME "
                 "detour.example.net.; detour.example.net. 60 IN CNAME d1.svc.test.; d1.svc.test. "
                 "60 IN CNAME host.example.net.; host.example.net. 3600 IN A 198.51.100.1;");
    world_free(w);
}

static void test_own_listeners(void **state)
{
    struct ip_endpoint own = {.port = 53};
    struct forward *forward = NULL;
    struct config *cfg = make_config(
        MAKER_CONFIG "dns: {forward: {networks: [10.0.0.0/8], upstreams: [127.0.0.2]}}\n");
    struct zone_db *zones = NULL;
    struct dns_request *r = request_new("host.example.net", 1, 1232);
    struct dns_request *early = request_new("host.example.net", 1, 0);
    struct buf out = BUF_INIT(64);
    struct forward_options options = {.cfg = cfg, .own = &own, .own_n = 1};
    (void)state;

    assert_int_equal(zone_db_new(cfg, 1, &zones).code, ERR_OK);
    options.zones = zones;
    assert_int_equal(forward_new(&options, &forward).code, ERR_OK);
    forward_ask(forward, early);
    request_wait(early);
    assert_string_equal(answer_text(early), "SERVFAIL:");
    assert_int_equal(forward_explain(forward, "host.example.net", 1, &out).code, ERR_BAD_STATE);
    request_free(early);
    assert_int_equal(ip_parse("0.0.0.0", &own.addr).code, ERR_OK); /* bound meanwhile */
    assert_int_equal(forward_start(forward).code, ERR_OK);
    forward_ask(forward, r);
    request_wait(r);
    assert_string_equal(answer_text(r), "REFUSED: edns 1232");
    request_free(r);
    forward_free(forward);
    zone_db_free(zones);
    config_free(cfg);
}

/* Routes alone: other names are refused, a CNAME to one of them fails, one to a name of ours does not. */
static void test_routes_alone(void **state)
{
    struct world *w = world_new(NULL, 0, CORP);
    (void)state;

    check_answer(w, request_new("host.example.net", 1, 0), "REFUSED:");
    check_answer(w, request_new("www.corp.example", 1, 0),
                 "NOERROR: www.corp.example. 60 IN A 10.9.9.9;");
    check_answer(w, request_new("out.corp.example", 1, 0), "SERVFAIL:");
    check_answer(w, request_new("app.corp.example", 28, 0),
                 "NOERROR: app.corp.example. 60 IN CNAME x.svc.test.; | svc.test. 5 IN SOA "
                 "ca.svc.test. hostmaster.svc.test. 1 60 60 604800 5;");
    world_free(w);
}

static void test_off(void **state)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    struct forward *forward = (struct forward *)cfg;
    const struct forward_options options = {.cfg = cfg};
    (void)state;

    assert_int_equal(forward_new(&options, &forward).code, ERR_OK);
    assert_null(forward);
    forward_free(NULL);
    config_free(cfg);
}

/* --- words ------------------------------------------------------------------------------------- */

static void test_explain(void **state)
{
    struct world *w = world_new(ONE, 1, CORP);
    struct buf out = BUF_INIT(65536);
    char want[IP_TEXT_MAX + 64], at[IP_TEXT_MAX + 10];
    (void)state;

    assert_int_equal(forward_explain(w->forward, "two..dots", 1, &out).code, ERR_MALFORMED);
    ip_endpoint_text(&w->corp.at, at);
    (void)snprintf(want, sizeof(want), "route corp.example: %s\n", at);
    assert_int_equal(forward_explain(w->forward, "out.corp.example", 1, &out).code, ERR_OK);
    assert_non_null(strstr(buf_str(&out), want));
    assert_non_null(strstr(buf_str(&out), "NOERROR, 2 records\n"));
    assert_non_null(strstr(buf_str(&out), "198.51.100.1"));
    buf_reset(&out);
    ip_endpoint_text(&w->up[0].at, at);
    (void)snprintf(want, sizeof(want), "upstreams: %s\n", at);
    assert_int_equal(forward_explain(w->forward, "fail.example.net", 1, &out).code, ERR_OK);
    assert_non_null(strstr(buf_str(&out), want));
    assert_non_null(strstr(buf_str(&out), "nobody gave a usable answer"));
    buf_clear(&out);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),       cmocka_unit_test(test_our_addresses_behind_a_cname),
        cmocka_unit_test(test_begun),         cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_cache),         cmocka_unit_test(test_dead_server),
        cmocka_unit_test(test_timeout),       cmocka_unit_test(test_late_answer),
        cmocka_unit_test(test_strangers),     cmocka_unit_test(test_limit_per_peer),
        cmocka_unit_test(test_same_question), cmocka_unit_test(test_loop),
        cmocka_unit_test(test_no_loop),       cmocka_unit_test(test_through_our_zone_and_out),
        cmocka_unit_test(test_own_listeners), cmocka_unit_test(test_routes_alone),
        cmocka_unit_test(test_off),           cmocka_unit_test(test_explain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
