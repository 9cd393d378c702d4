/* The CNAME chase against a scripted server on loopback: every broken answer, in words. */
#include "dns/resolve.h"
#include "core/util/clock.h"
#include "core/util/mem.h"
#include "dns_maker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ldns/ldns.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum trick {
    HONEST,
    SILENT,
    WRONG_ID,       /* first a forged answer, then the true one */
    WRONG_QUESTION, /* an answer to another name */
    NO_QR,
    GARBAGE,
    SHORT,
    CUT, /* TC over UDP, whole over TCP */
    CUT_AND_CLOSE,
    CUT_AND_LIE, /* TCP: another id */
    CUT_AND_GARBAGE,
    MANY_TXT,
    MANY_CNAME /* c<n> leads to c<n+1> */
};

struct rule {
    const char *name;
    enum trick trick;
    ldns_pkt_rcode rcode;
    const char *answers[3]; /* presentation format */
};

static const struct rule RULES[] = {
    {"direct.ext.", HONEST, LDNS_RCODE_NOERROR, {"direct.ext. 1 IN TXT \"one\" \"two\""}},
    {"case.ext.", HONEST, LDNS_RCODE_NOERROR, {"CASE.Ext. 1 IN TXT \"mixed\""}},
    {"ours.ext.", HONEST, LDNS_RCODE_NOERROR, {"ours.ext. 1 IN CNAME X.svc.test.acme.svc.test."}},
    {"chain.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"chain.ext. 1 IN CNAME b.ext.", "b.ext. 1 IN CNAME direct.ext."}},
    {"whole.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"w.ext. 1 IN TXT \"w\"", "whole.ext. 1 IN CNAME w.ext."}},
    {"nodata.ext.", HONEST, LDNS_RCODE_NOERROR, {NULL}},
    {"stray.ext.", HONEST, LDNS_RCODE_NOERROR, {"other.ext. 1 IN TXT \"poison\""}},
    {"gone.ext.", HONEST, LDNS_RCODE_NXDOMAIN, {NULL}},
    {"dangling.ext.", HONEST, LDNS_RCODE_NXDOMAIN, {"dangling.ext. 1 IN CNAME gone.ext."}},
    {"loop.ext.", HONEST, LDNS_RCODE_NOERROR, {"loop.ext. 1 IN CNAME loop2.ext."}},
    {"loop2.ext.", HONEST, LDNS_RCODE_NOERROR, {"loop2.ext. 1 IN CNAME loop.ext."}},
    {"self.ext.", HONEST, LDNS_RCODE_NOERROR, {"self.ext. 1 IN CNAME self.ext."}},
    {"odd.ext.", HONEST, LDNS_RCODE_NOERROR, {"odd.ext. 1 IN CNAME a\\000b.ext."}},
    {"root.ext.", HONEST, LDNS_RCODE_NOERROR, {"root.ext. 1 IN CNAME ."}},
    {"long.ext.",
     HONEST,
     LDNS_RCODE_NOERROR,
     {"long.ext. 1 IN TXT "
      "\"0123456789012345678901234567890123456789012345678901234567890123456789\" "
      "\"0123456789012345678901234567890123456789012345678901234567890123456789\" "
      "\"0123456789012345678901234567890123456789012345678901234567890123456789\" "
      "\"0123456789012345678901234567890123456789012345678901234567890123456789\"",
      "long.ext. 1 IN TXT \"fits\"", "long.ext. 1 IN TXT \"bell\\007\""}},
    {"fail.ext.", HONEST, LDNS_RCODE_SERVFAIL, {NULL}},
    {"refused.ext.", HONEST, LDNS_RCODE_REFUSED, {NULL}},
    {"silent.ext.", SILENT, LDNS_RCODE_NOERROR, {NULL}},
    {"id.ext.", WRONG_ID, LDNS_RCODE_NOERROR, {"id.ext. 1 IN TXT \"true\""}},
    {"question.ext.", WRONG_QUESTION, LDNS_RCODE_NOERROR, {"question.ext. 1 IN TXT \"x\""}},
    {"noqr.ext.", NO_QR, LDNS_RCODE_NOERROR, {"noqr.ext. 1 IN TXT \"x\""}},
    {"garbage.ext.", GARBAGE, LDNS_RCODE_NOERROR, {NULL}},
    {"short.ext.", SHORT, LDNS_RCODE_NOERROR, {NULL}},
    {"cut.ext.", CUT, LDNS_RCODE_NOERROR, {"cut.ext. 1 IN TXT \"over tcp\""}},
    {"close.ext.", CUT_AND_CLOSE, LDNS_RCODE_NOERROR, {NULL}},
    {"lie.ext.", CUT_AND_LIE, LDNS_RCODE_NOERROR, {"lie.ext. 1 IN TXT \"x\""}},
    {"mush.ext.", CUT_AND_GARBAGE, LDNS_RCODE_NOERROR, {NULL}},
    {"many.ext.", MANY_TXT, LDNS_RCODE_NOERROR, {NULL}},
    {"", MANY_CNAME, LDNS_RCODE_NOERROR, {NULL}},
};

/* --- the scripted server ---------------------------------------------------------------------- */

struct server {
    int udp, tcp, stop[2];
    struct ip_endpoint at;
    pthread_t thread;
    atomic_int asked_n;
    bool is_silent;  /* whatever is asked; the clock runs on past the try */
    bool is_failing; /* SERVFAIL to everything */
};

struct reply {
    uint8_t data[65536];
    size_t len;
};

static const struct rule *rule_of(const char *name)
{
    size_t i = 0;

    while (RULES[i].name[0] != '\0' && strcasecmp(RULES[i].name, name) != 0) {
        i++;
    }
    return &RULES[i];
}

static void push_text(ldns_pkt *pkt, const char *text)
{
    ldns_rr *rr = NULL;

    if (ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL) == LDNS_STATUS_OK) {
        (void)ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr);
    }
}

static void push_answers(ldns_pkt *pkt, const struct rule *rule, const char *name)
{
    char text[600];

    for (size_t i = 0; i < 3 && rule->answers[i] != NULL; i++) {
        push_text(pkt, rule->answers[i]);
    }
    for (unsigned i = 0; i < 100 && rule->trick == MANY_TXT; i++) {
        (void)snprintf(text, sizeof(text), "%s 1 IN TXT \"value %u\"", name, i);
        push_text(pkt, text);
    }
    if (rule->trick == MANY_CNAME && name[0] == 'c') {
        long n = strtol(name + 1, NULL, 10);
        (void)snprintf(text, sizeof(text), "%s 1 IN CNAME c%ld.ext.", name, n + 1);
        push_text(pkt, text);
    }
}

/* The honest answer to a query, or 0 octets. */
static const struct rule *compose(const struct server *s, const uint8_t *query, size_t len,
                                  struct reply *out)
{
    ldns_pkt *asked = NULL;
    uint8_t *wire = NULL;
    size_t wire_len = 0;

    out->len = 0;
    if (ldns_wire2pkt(&asked, query, len) != LDNS_STATUS_OK) {
        return NULL;
    }
    ldns_pkt *pkt = ldns_pkt_new();
    ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(asked), 0);
    char *name = ldns_rdf2str(ldns_rr_owner(question));
    const struct rule *rule = rule_of(name);
    ldns_pkt_set_id(pkt, ldns_pkt_id(asked));
    ldns_pkt_set_qr(pkt, true);
    ldns_pkt_set_rcode(pkt, (uint8_t)(s->is_failing ? LDNS_RCODE_SERVFAIL : rule->rcode));
    (void)ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, ldns_rr_clone(question));
    push_answers(pkt, rule, name);
    if (ldns_pkt2wire(&wire, pkt, &wire_len) == LDNS_STATUS_OK && wire_len <= sizeof(out->data)) {
        memcpy(out->data, wire, wire_len);
        out->len = wire_len;
    }
    LDNS_FREE(wire);
    LDNS_FREE(name);
    ldns_pkt_free(pkt);
    ldns_pkt_free(asked);
    return rule;
}

static void serve_udp(struct server *s)
{
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    uint8_t query[2048];
    static _Thread_local struct reply r;
    ssize_t n = recvfrom(s->udp, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);
    const struct rule *rule = n > 0 ? compose(s, query, (size_t)n, &r) : NULL;

    atomic_fetch_add(&s->asked_n, 1);
    if (s->is_silent || rule == NULL || rule->trick == SILENT) {
        clock_shift(RESOLVE_TRY_MS + 1);
        return;
    }
    switch (rule->trick) {
    case WRONG_ID:
        r.data[0] ^= 0xff;
        (void)sendto(s->udp, r.data, r.len, 0, (struct sockaddr *)&from, from_len);
        r.data[0] ^= 0xff;
        break;
    case WRONG_QUESTION:
        r.data[13] ^= 0x01;
        break;
    case NO_QR:
        r.data[2] &= 0x7f;
        clock_shift(RESOLVE_TRY_MS + 1);
        break;
    case GARBAGE:
        memset(r.data + 6, 0xff, r.len - 6);
        break;
    case SHORT:
        r.len = 11;
        clock_shift(RESOLVE_TRY_MS + 1);
        break;
    case CUT:
    case CUT_AND_CLOSE:
    case CUT_AND_LIE:
    case CUT_AND_GARBAGE:
    case MANY_TXT:
        r.data[2] |= 0x02;
        r.len = 12; /* a header alone, as rate limiters send it */
        break;
    case HONEST:
    case SILENT:
    case MANY_CNAME:
        break;
    }
    (void)sendto(s->udp, r.data, r.len, 0, (struct sockaddr *)&from, from_len);
}

static bool read_whole(int fd, uint8_t *data, size_t len)
{
    return recv(fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

static void serve_tcp(struct server *s)
{
    int fd = accept(s->tcp, NULL, NULL);
    uint8_t prefix[2];
    uint8_t query[2048];
    static _Thread_local struct reply r;

    if (fd >= 0 && read_whole(fd, prefix, 2)) {
        size_t len = (size_t)prefix[0] << 8 | prefix[1];
        const struct rule *rule =
            len <= sizeof(query) && read_whole(fd, query, len) ? compose(s, query, len, &r) : NULL;
        if (rule != NULL && rule->trick == CUT_AND_LIE) {
            r.data[1] ^= 0x55;
        }
        if (rule != NULL && rule->trick == CUT_AND_GARBAGE) {
            memset(r.data + 12, 0xc0, r.len - 12);
        }
        prefix[0] = (uint8_t)(r.len >> 8);
        prefix[1] = (uint8_t)r.len;
        if (rule != NULL) {
            (void)send(fd, prefix, 2, MSG_NOSIGNAL);
            size_t sent = rule->trick == CUT_AND_CLOSE ? r.len / 2 : r.len;
            (void)send(fd, r.data, sent, MSG_NOSIGNAL);
        }
    }
    (void)close(fd);
}

static void *serve(void *arg)
{
    struct server *s = arg;

    for (;;) {
        struct pollfd p[3] = {{s->udp, POLLIN, 0}, {s->tcp, POLLIN, 0}, {s->stop[0], POLLIN, 0}};
        if (poll(p, 3, -1) < 0 && errno != EINTR) {
            return NULL;
        }
        if (p[2].revents != 0) {
            return NULL;
        }
        if ((p[0].revents & POLLIN) != 0) {
            serve_udp(s);
        }
        if ((p[1].revents & POLLIN) != 0) {
            serve_tcp(s);
        }
    }
}

/* UDP and TCP on one port of loopback. */
static void bind_both(struct server *s)
{
    for (int tries = 0; tries < 100; tries++) {
        struct sockaddr_in sa;
        socklen_t len = sizeof(sa);
        memset(&sa, 0, sizeof(sa));
        sa.sin_family = AF_INET;
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        s->udp = socket(AF_INET, SOCK_DGRAM, 0);
        s->tcp = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(s->udp, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
            getsockname(s->udp, (struct sockaddr *)&sa, &len) == 0 &&
            bind(s->tcp, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(s->tcp, 8) == 0) {
            s->at.addr = ip_from_sockaddr((struct sockaddr *)&sa);
            s->at.port = ntohs(sa.sin_port);
            return;
        }
        (void)close(s->udp);
        (void)close(s->tcp);
    }
    fail_msg("no free port");
}

static void server_start(struct server *s)
{
    memset(s, 0, sizeof(*s));
    bind_both(s);
    assert_int_equal(pipe(s->stop), 0);
}

static void server_run(struct server *s)
{
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
    assert_int_equal(write(s->stop[1], "x", 1), 1);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    (void)close(s->udp);
    (void)close(s->tcp);
    (void)close(s->stop[0]);
    (void)close(s->stop[1]);
}

/* --- the tests -------------------------------------------------------------------------------- */

struct world {
    struct config *cfg;
    struct zone_db *zones;
    struct zone_reader *reader;
    struct buf trail;
    struct resolve_result result;
};

static struct world *world_new(void)
{
    struct world *w = mem_zalloc(sizeof(*w));

    assert_non_null(w);
    w->cfg = make_config(MAKER_CONFIG);
    assert_int_equal(zone_db_new(w->cfg, 1, &w->zones).code, ERR_OK);
    assert_int_equal(zone_reader_new(w->zones, &w->reader).code, ERR_OK);
    buf_init(&w->trail, 8192);
    return w;
}

static void world_free(struct world *w)
{
    zone_reader_free(w->reader);
    zone_db_free(w->zones);
    config_free(w->cfg);
    buf_clear(&w->trail);
    mem_free(w);
}

static enum err_code ask(struct world *w, const struct resolve_config *config, const char *name)
{
    buf_reset(&w->trail);
    return resolve_txt(config, w->reader, name, clock_mono_ms() + 15000, &w->trail, &w->result)
        .code;
}

static void test_every_answer(void **state)
{
    static const struct {
        const char *name;
        enum err_code want;
        const char *trail; /* a part of it */
        const char *txt;   /* the first value */
    } CASES[] = {
        {"", ERR_MALFORMED, "", NULL},
        {"a..b", ERR_MALFORMED, "", NULL},
        {"nodata.ext", ERR_NOT_FOUND, "no TXT and no CNAME there", NULL},
        {"stray.ext", ERR_NOT_FOUND, "no TXT and no CNAME there", NULL},
        {"gone.ext", ERR_NOT_FOUND, "NXDOMAIN", NULL},
        {"dangling.ext", ERR_NOT_FOUND, "CNAME gone.ext, NXDOMAIN", NULL},
        {"loop.ext", ERR_LIMIT, "loop at loop.ext", NULL},
        {"self.ext", ERR_LIMIT, "loop at self.ext", NULL},
        {"c1.ext", ERR_LIMIT, "more than 16 CNAMEs", NULL},
        {"odd.ext", ERR_MALFORMED, "not a name that can be followed", NULL},
        {"fail.ext", ERR_IO, "SERVFAIL", NULL},
        {"refused.ext", ERR_IO, "REFUSED", NULL},
        {"question.ext", ERR_MALFORMED, "an answer to another question", NULL},
        {"garbage.ext", ERR_MALFORMED, "an answer that cannot be read", NULL},
        {"short.ext", ERR_TIMEOUT, "no answer in time", NULL},
        {"noqr.ext", ERR_TIMEOUT, "no answer in time", NULL},
        {"silent.ext", ERR_TIMEOUT, "no answer in time", NULL},
        {"close.ext", ERR_IO, "closed before the whole answer", NULL},
        {"lie.ext", ERR_MALFORMED, "an answer to another question", NULL},
        {"mush.ext", ERR_MALFORMED, "an answer that cannot be read", NULL},
        {"direct.ext.", ERR_OK, "for TXT direct.ext: 1 TXT", "onetwo"},
        {"DIRECT.ext", ERR_OK, "1 TXT", "onetwo"},
        {"case.ext", ERR_OK, "1 TXT", "mixed"},
        {"chain.ext", ERR_OK, "CNAME b.ext, CNAME direct.ext; asked", "onetwo"},
        {"whole.ext", ERR_OK, "CNAME w.ext, 1 TXT", "w"},
        {"long.ext", ERR_OK, "3 TXT", "fits"},
        {"id.ext", ERR_OK, "1 TXT", "true"},
        {"cut.ext", ERR_OK, "1 TXT", "over tcp"},
        {"many.ext", ERR_OK, "100 TXT", "value 0"},
    };
    struct world *w = world_new();
    struct server s;
    (void)state;

    server_start(&s);
    server_run(&s);
    const struct resolve_config config = {&s.at, 1, NULL, 0};
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        enum err_code got = ask(w, &config, CASES[i].name);
        if (got != CASES[i].want || strstr(buf_str(&w->trail), CASES[i].trail) == NULL) {
            fail_msg("%s: %s, trail: %s", CASES[i].name, err_name(got), buf_str(&w->trail));
        }
        assert_false(w->result.is_ours);
        if (CASES[i].txt != NULL) {
            assert_string_equal(w->result.txt[0], CASES[i].txt);
        }
    }
    assert_int_equal(w->result.txt_n, RESOLVE_TXT_MAX);
    server_stop(&s);
    world_free(w);
}

static void test_the_chase_ends_at_our_names(void **state)
{
    struct world *w = world_new();
    struct server s;
    (void)state;

    server_start(&s);
    server_run(&s);
    const struct resolve_config config = {&s.at, 1, NULL, 0};
    assert_int_equal(ask(w, &config, "ours.ext"), ERR_OK);
    assert_true(w->result.is_ours);
    assert_string_equal(w->result.end, "x.svc.test.acme.svc.test");
    assert_non_null(strstr(buf_str(&w->trail), "(served here)"));
    assert_int_equal(atomic_load(&s.asked_n), 1);
    assert_int_equal(ask(w, &config, "_acme-challenge.x.svc.test"), ERR_OK);
    assert_true(w->result.is_ours);
    assert_int_equal(atomic_load(&s.asked_n), 1);
    server_stop(&s);
    world_free(w);
}

static void test_the_next_resolver_is_asked(void **state)
{
    struct world *w = world_new();
    struct server silent, failing, good;
    (void)state;

    server_start(&silent);
    server_start(&failing);
    server_start(&good);
    silent.is_silent = true;
    failing.is_failing = true;
    server_run(&silent);
    server_run(&failing);
    server_run(&good);
    const struct ip_endpoint resolvers[] = {silent.at, failing.at, good.at};
    const struct resolve_config config = {resolvers, 3, NULL, 0};
    assert_int_equal(ask(w, &config, "direct.ext"), ERR_OK);
    assert_string_equal(w->result.txt[0], "onetwo");
    assert_non_null(strstr(buf_str(&w->trail), "no answer in time"));
    assert_non_null(strstr(buf_str(&w->trail), "SERVFAIL"));
    assert_int_equal(atomic_load(&silent.asked_n), 1);
    /* Nobody there at all: said, and not waited for. */
    const struct ip_endpoint nobody = {good.at.addr, 1};
    const struct resolve_config refused = {&nobody, 1, NULL, 0};
    assert_int_equal(ask(w, &refused, "direct.ext"), ERR_IO);
    assert_non_null(strstr(buf_str(&w->trail), "connection refused"));
    server_stop(&silent);
    server_stop(&failing);
    server_stop(&good);
    world_free(w);
}

static void test_deadline(void **state)
{
    struct world *w = world_new();
    struct server s;
    (void)state;

    server_start(&s);
    s.is_silent = true;
    server_run(&s);
    const struct resolve_config config = {&s.at, 1, NULL, 0};
    struct err e = resolve_txt(&config, w->reader, "direct.ext", clock_mono_ms() + 1000, &w->trail,
                               &w->result);
    assert_int_equal(e.code, ERR_TIMEOUT);
    assert_int_equal(atomic_load(&s.asked_n), 1);
    e = resolve_txt(&config, w->reader, "direct.ext", clock_mono_ms() - 1, &w->trail, &w->result);
    assert_int_equal(e.code, ERR_TIMEOUT);
    assert_int_equal(atomic_load(&s.asked_n), 1);
    server_stop(&s);
    world_free(w);
}

static void test_own_addresses_are_skipped(void **state)
{
    struct world *w = world_new();
    struct server s;
    (void)state;

    server_start(&s);
    server_run(&s);
    struct ip_endpoint any4 = {{4, {0}}, s.at.port};
    struct ip_endpoint any6 = {{6, {0}}, s.at.port};
    struct ip_endpoint other = {{4, {0}}, (uint16_t)(s.at.port + 1)};
    const struct resolve_config none = {NULL, 0, NULL, 0};
    const struct resolve_config same = {&s.at, 1, &s.at, 1};
    const struct resolve_config wild = {&s.at, 1, &any4, 1};
    const struct resolve_config six = {&s.at, 1, &any6, 1};
    const struct resolve_config port = {&s.at, 1, &other, 1};
    assert_int_equal(ask(w, &none, "direct.ext"), ERR_IO);
    assert_non_null(strstr(buf_str(&w->trail), "set 'resolvers'"));
    assert_int_equal(ask(w, &same, "direct.ext"), ERR_IO);
    assert_int_equal(ask(w, &wild, "direct.ext"), ERR_IO);
    assert_int_equal(atomic_load(&s.asked_n), 0);
    assert_int_equal(ask(w, &six, "direct.ext"), ERR_OK);
    assert_int_equal(ask(w, &port, "direct.ext"), ERR_OK);
    server_stop(&s);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_answer),
        cmocka_unit_test(test_the_chase_ends_at_our_names),
        cmocka_unit_test(test_the_next_resolver_is_asked),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_own_addresses_are_skipped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
