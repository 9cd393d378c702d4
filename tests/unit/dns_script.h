/* A scripted DNS server on loopback, UDP and TCP, living on the loop of the test that asks it: no
 * thread, no sleep. Everything is static, so that each test includes it. */
#ifndef TESTS_UNIT_DNS_SCRIPT_H
#define TESTS_UNIT_DNS_SCRIPT_H

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/clock.h"
#include "core/util/loop.h"
#include "core/util/name.h"
#include "dns/lookup.h"
#include "dns_maker.h"

enum trick {
    HONEST,
    SILENT,         /* and the clock runs on past the try */
    WRONG_ID,       /* first a forged answer, then the true one */
    WRONG_QUESTION, /* first an answer to another name, then the true one */
    LIES_ONLY,      /* answers to another name, and again and again */
    NO_QR,          /* the same with queries */
    SHORT,          /* and with half a header */
    GARBAGE,
    HEADER_ONLY,
    CUT, /* TC over UDP, whole over TCP */
    CUT_AND_CLOSE,
    CUT_AND_LIE, /* TCP: another id */
    CUT_AND_GARBAGE,
    CUT_TWICE,
    CUT_AND_EMPTY, /* TCP: length 0 */
    CUT_AND_HANG,  /* TCP: half an answer, then silence */
    MANY_TXT,
    MANY_CNAME /* c<n> leads to c<n+1>, c40 has a TXT */
};

struct rule {
    const char *name; /* with its last dot; "" ends the list and is the rule of all other names */
    enum trick trick;
    ldns_pkt_rcode rcode;
    const char *answers[4]; /* presentation format */
};

struct script {
    struct loop *loop;
    const struct rule *rules;
    struct ip_endpoint at;
    struct loop_fd udp, tcp, peer;
    int udp_fd, tcp_fd, peer_fd; /* one TCP peer at a time */
    uint8_t query[1024];
    size_t query_len;
    unsigned asked_n, asked_tcp_n;
    bool is_silent;  /* whatever is asked; the clock runs on past the try */
    bool is_waiting; /* silent, and the clock stands */
    bool is_failing; /* SERVFAIL to everything */
};

struct script_reply {
    uint8_t data[2 + 65535]; /* behind its length */
    size_t len;
};

static inline const struct rule *script_rule(const struct script *s, const char *name)
{
    const struct rule *rule = s->rules;

    while (rule->name[0] != '\0' && strcasecmp(rule->name, name) != 0) {
        rule++;
    }
    return rule;
}

static inline void script_push(ldns_pkt *pkt, const char *text)
{
    ldns_rr *rr = NULL;

    if (ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL) != LDNS_STATUS_OK) {
        fail_msg("not a record: %s", text);
    }
    assert_true(ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr));
}

static inline void script_answers(ldns_pkt *pkt, const struct rule *rule, const char *name)
{
    char text[600];

    for (size_t i = 0; i < 4 && rule->answers[i] != NULL; i++) {
        script_push(pkt, rule->answers[i]);
    }
    for (unsigned i = 0; i < 100 && rule->trick == MANY_TXT; i++) {
        (void)snprintf(text, sizeof(text), "%s 1 IN TXT \"value %u\"", name, i);
        script_push(pkt, text);
    }
    if (rule->trick == MANY_CNAME && name[0] == 'c') {
        long n = strtol(name + 1, NULL, 10);
        (void)snprintf(text, sizeof(text), "%s 1 IN CNAME c%ld.ext.", name, n + 1);
        if (n == 40) {
            (void)snprintf(text, sizeof(text), "%s 1 IN TXT \"end\"", name);
        }
        script_push(pkt, text);
    }
}

/* The honest answer to a query. */
static inline const struct rule *script_compose(const struct script *s, const uint8_t *query,
                                                size_t len, struct script_reply *out)
{
    ldns_pkt *asked = NULL;
    uint8_t *wire = NULL;
    size_t wire_len = 0;

    assert_int_equal(ldns_wire2pkt(&asked, query, len), LDNS_STATUS_OK);
    assert_int_equal(ldns_pkt_edns_udp_size(asked), 1232);
    assert_true(ldns_pkt_rd(asked));
    ldns_pkt *pkt = ldns_pkt_new();
    ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(asked), 0);
    char *name = ldns_rdf2str(ldns_rr_owner(question));
    const struct rule *rule = script_rule(s, name);
    ldns_pkt_set_id(pkt, ldns_pkt_id(asked));
    ldns_pkt_set_qr(pkt, true);
    ldns_pkt_set_rcode(pkt, (uint8_t)(s->is_failing ? LDNS_RCODE_SERVFAIL : rule->rcode));
    assert_true(ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, ldns_rr_clone(question)));
    script_answers(pkt, rule, name);
    assert_int_equal(ldns_pkt2wire(&wire, pkt, &wire_len), LDNS_STATUS_OK);
    assert_true(wire_len <= 65535);
    memcpy(out->data + 2, wire, wire_len);
    out->data[0] = (uint8_t)(wire_len >> 8);
    out->data[1] = (uint8_t)wire_len;
    out->len = wire_len;
    LDNS_FREE(wire);
    LDNS_FREE(name);
    ldns_pkt_free(pkt);
    ldns_pkt_free(asked);
    return rule;
}

/* What goes out over UDP; false: nothing. */
static inline bool script_twist(enum trick trick, struct script_reply *r)
{
    uint8_t *p = r->data + 2;

    switch (trick) {
    case SILENT:
        clock_shift(LOOKUP_TRY_MS + 1);
        return false;
    case WRONG_ID:
        p[0] ^= 0xff;
        break;
    case WRONG_QUESTION:
    case LIES_ONLY:
        p[13] ^= 0x01;
        break;
    case NO_QR:
        p[2] &= 0x7f;
        break;
    case GARBAGE:
        memset(p + 6, 0xff, r->len - 6);
        break;
    case SHORT:
        r->len = 11;
        break;
    case HEADER_ONLY:
        memset(p + 4, 0, 8);
        r->len = 12;
        break;
    case CUT:
    case CUT_AND_CLOSE:
    case CUT_AND_LIE:
    case CUT_AND_GARBAGE:
    case CUT_TWICE:
    case CUT_AND_EMPTY:
    case CUT_AND_HANG:
    case MANY_TXT:
        p[2] |= 0x02;
        r->len = 12; /* a header alone, as rate limiters send it */
        break;
    case HONEST:
    case MANY_CNAME:
        break;
    }
    return true;
}

static inline void script_on_udp(void *arg, uint32_t events)
{
    struct script *s = arg;
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    static struct script_reply r;
    ssize_t n =
        recvfrom(s->udp_fd, s->query, sizeof(s->query), 0, (struct sockaddr *)&from, &from_len);
    (void)events;

    assert_true(n > 0);
    s->asked_n++;
    const struct rule *rule = script_compose(s, s->query, (size_t)n, &r);
    if (s->is_waiting) {
        return;
    }
    if (!script_twist(s->is_silent ? SILENT : rule->trick, &r)) {
        return;
    }
    bool is_many = rule->trick == LIES_ONLY || rule->trick == NO_QR || rule->trick == SHORT;
    for (int i = 0; i < (is_many ? 100 : 1); i++) {
        (void)sendto(s->udp_fd, r.data + 2, r.len, 0, (struct sockaddr *)&from, from_len);
    }
    if (rule->trick == WRONG_ID || rule->trick == WRONG_QUESTION) {
        (void)script_compose(s, s->query, (size_t)n, &r);
        (void)sendto(s->udp_fd, r.data + 2, r.len, 0, (struct sockaddr *)&from, from_len);
    }
}

static inline void script_hang_up(struct script *s)
{
    loop_fd_remove(s->loop, &s->peer);
    if (s->peer_fd >= 0) {
        (void)close(s->peer_fd);
    }
    s->peer_fd = -1;
}

static inline void script_answer_tcp(struct script *s)
{
    static struct script_reply r;
    const struct rule *rule = script_compose(s, s->query + 2, s->query_len - 2, &r);
    size_t len = r.len + 2;

    s->asked_tcp_n++;
    switch (rule->trick) {
    case CUT_AND_LIE:
        r.data[3] ^= 0x55;
        break;
    case CUT_AND_GARBAGE:
        memset(r.data + 2 + 12, 0xc0, r.len - 12);
        break;
    case CUT_TWICE:
        r.data[4] |= 0x02;
        break;
    case CUT_AND_EMPTY:
        memset(r.data, 0, 2);
        len = 2;
        break;
    case CUT_AND_CLOSE:
    case CUT_AND_HANG:
        len = r.len / 2;
        break;
    case HONEST:
    case SILENT:
    case WRONG_ID:
    case WRONG_QUESTION:
    case LIES_ONLY:
    case NO_QR:
    case GARBAGE:
    case SHORT:
    case HEADER_ONLY:
    case CUT:
    case MANY_TXT:
    case MANY_CNAME:
        break;
    }
    for (size_t at = 0; at < len;) { /* in pieces: the reader puts them together */
        size_t n = at == 0 ? 1 : len - at;
        ssize_t sent = send(s->peer_fd, r.data + at, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            break; /* the asker has gone */
        }
        at += (size_t)sent;
    }
    if (rule->trick == CUT_AND_HANG) {
        clock_shift(LOOKUP_TRY_MS + 1);
        loop_fd_remove(s->loop, &s->peer);
    } else {
        script_hang_up(s);
    }
}

static inline void script_on_peer(void *arg, uint32_t events)
{
    struct script *s = arg;
    ssize_t n =
        recv(s->peer_fd, s->query + s->query_len, sizeof(s->query) - s->query_len, MSG_DONTWAIT);
    (void)events;

    if (n <= 0) {
        script_hang_up(s);
        return;
    }
    s->query_len += (size_t)n;
    if (s->query_len >= 2 && s->query_len - 2 == ((size_t)s->query[0] << 8 | s->query[1])) {
        script_answer_tcp(s);
    }
}

static inline void script_on_tcp(void *arg, uint32_t events)
{
    struct script *s = arg;
    (void)events;

    script_hang_up(s);
    s->peer_fd = accept(s->tcp_fd, NULL, NULL);
    s->query_len = 0;
    if (s->peer_fd >= 0) {
        assert_int_equal(
            loop_fd_add(s->loop, &s->peer, s->peer_fd, EPOLLIN, script_on_peer, s).code, ERR_OK);
    }
}

/* UDP and TCP on one port of loopback. */
static inline void script_bind(struct script *s)
{
    for (int tries = 0; tries < 100; tries++) {
        struct sockaddr_in sa;
        socklen_t len = sizeof(sa);
        memset(&sa, 0, sizeof(sa));
        sa.sin_family = AF_INET;
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        s->udp_fd = socket(AF_INET, SOCK_DGRAM, 0);
        s->tcp_fd = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(s->udp_fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
            getsockname(s->udp_fd, (struct sockaddr *)&sa, &len) == 0 &&
            bind(s->tcp_fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(s->tcp_fd, 8) == 0) {
            s->at.addr = ip_from_sockaddr((struct sockaddr *)&sa);
            s->at.port = ntohs(sa.sin_port);
            return;
        }
        (void)close(s->udp_fd);
        (void)close(s->tcp_fd);
    }
    fail_msg("no free port");
}

static inline void script_start(struct script *s, struct loop *loop, const struct rule *rules)
{
    memset(s, 0, sizeof(*s));
    s->loop = loop;
    s->rules = rules;
    s->peer_fd = -1;
    script_bind(s);
    assert_int_equal(loop_fd_add(loop, &s->udp, s->udp_fd, EPOLLIN, script_on_udp, s).code, ERR_OK);
    assert_int_equal(loop_fd_add(loop, &s->tcp, s->tcp_fd, EPOLLIN, script_on_tcp, s).code, ERR_OK);
}

static inline void script_stop(struct script *s)
{
    script_hang_up(s);
    loop_fd_remove(s->loop, &s->udp);
    loop_fd_remove(s->loop, &s->tcp);
    (void)close(s->udp_fd);
    (void)close(s->tcp_fd);
}

#endif
