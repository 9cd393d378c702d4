/* A forwarder between upstreams on loopback, each with a thread of its own, and requests that are made
 * up here: dns_request_*() of request.h stand in this file. Everything is static but those. */
#ifndef TESTS_UNIT_DNS_FORWARD_WORLD_H
#define TESTS_UNIT_DNS_FORWARD_WORLD_H

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/forward.h"
#include "dns_maker.h"

/* --- requests --------------------------------------------------------------------------------- */

struct dns_request {
    uint8_t octets[600], begun[600];
    size_t len, begun_len, limit;
    bool is_tcp;
    const uint8_t *cookie;
    struct ip_addr peer;
    uint8_t answer[65535];
    size_t answer_len;
    unsigned sent_n, ended_n; /* under lock, as the answer */
    pthread_mutex_t lock;
    pthread_cond_t cond;
};

uint8_t *dns_request_bytes(struct dns_request *request, size_t **len)
{
    *len = &request->len;
    return request->octets;
}

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

const uint8_t *dns_request_begun(const struct dns_request *request, size_t *len)
{
    *len = request->begun_len;
    return request->begun;
}

const uint8_t *dns_request_cookie(const struct dns_request *request)
{
    return request->cookie;
}

struct err dns_request_send(struct dns_request *request, const uint8_t *message, size_t len)
{
    (void)pthread_mutex_lock(&request->lock);
    bool fits = len <= request->limit;
    if (fits) {
        memcpy(request->answer, message, len);
        request->answer_len = len;
        request->sent_n++;
    }
    (void)pthread_mutex_unlock(&request->lock);
    return fits ? err_ok() : err_set(ERR_LIMIT, __FILE__, __LINE__, "too long");
}

void dns_request_end(struct dns_request *request)
{
    (void)pthread_mutex_lock(&request->lock);
    request->ended_n++;
    (void)pthread_cond_signal(&request->cond);
    (void)pthread_mutex_unlock(&request->lock);
}

/* --- upstreams -------------------------------------------------------------------------------- */

enum trick {
    HONEST,
    SILENT,
    WRONG_ID,   /* forged answers before the true one */
    WRONG_NAME, /* another question, the first time; then the truth */
    DOUBLE,     /* the answer twice, and a late lie */
    CUT,        /* TC over UDP, whole over TCP */
    GARBAGE,
    HELD, /* nothing until upstream_release() */
    HALF  /* cut off in the middle, without TC */
};
struct rule {
    const char *name; /* with its last dot; NULL ends the list */
    enum trick trick;
    unsigned rcode;
    const char *answers[4];
    const char *authority;
};

struct upstream {
    const struct rule *rules;
    struct ip_endpoint at;
    int udp, tcp, stop[2];
    pthread_t thread;
    bool is_running, has_lied;
    uint8_t held[1500]; /* the last answer that waits */
    size_t held_len;
    struct sockaddr_storage held_for;
    pthread_mutex_t lock; /* guards held */
    atomic_uint asked_n, asked_tcp_n, held_n;
};

static inline ldns_rr *make_rr(const char *text)
{
    ldns_rr *rr = NULL;

    if (ldns_rr_new_frm_str(&rr, text, 0, NULL, NULL) != LDNS_STATUS_OK) {
        (void)fprintf(stderr, "not a record: %s\n", text);
        abort();
    }
    return rr;
}

/* Records for a question of type CNAME are the CNAMEs at the name itself. */
static inline void push_answers(ldns_pkt *pkt, const struct rule *rule, const ldns_rr *question)
{
    for (size_t i = 0; i < 4 && rule->answers[i] != NULL; i++) {
        ldns_rr *rr = make_rr(rule->answers[i]);
        bool is_wanted = ldns_rr_get_type(question) != LDNS_RR_TYPE_CNAME ||
                         (ldns_rr_get_type(rr) == LDNS_RR_TYPE_CNAME &&
                          ldns_dname_compare(ldns_rr_owner(rr), ldns_rr_owner(question)) == 0);
        if (is_wanted) {
            (void)ldns_pkt_push_rr(pkt, LDNS_SECTION_ANSWER, rr);
        } else {
            ldns_rr_free(rr);
        }
    }
}

static inline const struct rule *compose(const struct upstream *u, const uint8_t *query, size_t len,
                                         uint8_t **wire, size_t *wire_len)
{
    static const struct rule refused = {.rcode = LDNS_RCODE_REFUSED};
    ldns_pkt *asked = NULL;

    if (ldns_wire2pkt(&asked, query, len) != LDNS_STATUS_OK) {
        abort();
    }
    ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(asked), 0);
    char *name = ldns_rdf2str(ldns_rr_owner(question));
    const struct rule *rule = u->rules;
    while (rule->name != NULL && strcasecmp(rule->name, name) != 0) {
        rule++;
    }
    rule = rule->name == NULL ? &refused : rule;
    ldns_pkt *pkt = ldns_pkt_new();
    ldns_pkt_set_id(pkt, ldns_pkt_id(asked));
    ldns_pkt_set_qr(pkt, true);
    ldns_pkt_set_rd(pkt, true);
    ldns_pkt_set_ra(pkt, true);
    ldns_pkt_set_rcode(pkt, (uint8_t)(rule->rcode == LDNS_RCODE_NXDOMAIN &&
                                              ldns_rr_get_type(question) == LDNS_RR_TYPE_CNAME &&
                                              rule->answers[0] != NULL
                                          ? 0
                                          : rule->rcode));
    (void)ldns_pkt_push_rr(pkt, LDNS_SECTION_QUESTION, ldns_rr_clone(question));
    push_answers(pkt, rule, question);
    if (rule->authority != NULL) {
        (void)ldns_pkt_push_rr(pkt, LDNS_SECTION_AUTHORITY, make_rr(rule->authority));
    }
    if (ldns_pkt2wire(wire, pkt, wire_len) != LDNS_STATUS_OK) {
        abort();
    }
    LDNS_FREE(name);
    ldns_pkt_free(pkt);
    ldns_pkt_free(asked);
    return rule;
}

static inline void answer_udp(struct upstream *u)
{
    uint8_t query[1500];
    struct sockaddr_storage from;
    socklen_t from_len = sizeof(from);
    uint8_t *wire = NULL;
    size_t len = 0;
    ssize_t n = recvfrom(u->udp, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);

    if (n <= 0) {
        return;
    }
    (void)atomic_fetch_add(&u->asked_n, 1);
    const struct rule *rule = compose(u, query, (size_t)n, &wire, &len);
    if (rule->trick == HELD) {
        (void)pthread_mutex_lock(&u->lock);
        memcpy(u->held, wire, len);
        u->held_len = len;
        u->held_for = from;
        (void)pthread_mutex_unlock(&u->lock);
        (void)atomic_fetch_add(&u->held_n, 1);
    } else if (rule->trick != SILENT) {
        uint8_t lie[1500];
        size_t lie_len = len < sizeof(lie) ? len : sizeof(lie);
        memcpy(lie, wire, lie_len);
        lie[lie_len - 1] ^= 0xff; /* the last octet of an address */
        if (rule->trick == WRONG_ID) {
            lie[0] ^= 0x55;
        } else if (rule->trick == WRONG_NAME) {
            lie[13] ^= 0x01;
        }
        bool is_lying = rule->trick == WRONG_ID || (rule->trick == WRONG_NAME && !u->has_lied);
        for (int i = 0; is_lying && i < 3; i++) {
            (void)sendto(u->udp, lie, lie_len, 0, (struct sockaddr *)&from, from_len);
        }
        if (is_lying && rule->trick == WRONG_NAME) {
            len = 0;
            u->has_lied = true;
        }
        if (rule->trick == CUT) {
            wire[2] |= 0x02;
            len = 12;
        } else if (rule->trick == GARBAGE) {
            memset(wire + 12, 0xc0, len - 12);
        } else if (rule->trick == HALF) {
            len -= 3;
        }
        if (len > 0) {
            (void)sendto(u->udp, wire, len, 0, (struct sockaddr *)&from, from_len);
        }
        if (rule->trick == DOUBLE) {
            (void)sendto(u->udp, wire, len, 0, (struct sockaddr *)&from, from_len);
            (void)sendto(u->udp, lie, lie_len, 0, (struct sockaddr *)&from, from_len);
        }
    }
    LDNS_FREE(wire);
}

static inline void upstream_release(struct upstream *u)
{
    (void)pthread_mutex_lock(&u->lock);
    (void)sendto(u->udp, u->held, u->held_len, 0, (struct sockaddr *)&u->held_for,
                 sizeof(struct sockaddr_in));
    (void)pthread_mutex_unlock(&u->lock);
}

static inline void answer_tcp(struct upstream *u)
{
    uint8_t query[1500], prefix[2];
    uint8_t *wire = NULL;
    size_t len = 0;
    int fd = accept(u->tcp, NULL, NULL);

    if (fd < 0 || recv(fd, prefix, 2, MSG_WAITALL) != 2) {
        (void)close(fd);
        return;
    }
    size_t want = (size_t)prefix[0] << 8 | prefix[1];
    if (want <= sizeof(query) && recv(fd, query, want, MSG_WAITALL) == (ssize_t)want) {
        (void)atomic_fetch_add(&u->asked_tcp_n, 1);
        (void)compose(u, query, want, &wire, &len);
        prefix[0] = (uint8_t)(len >> 8);
        prefix[1] = (uint8_t)len;
        (void)send(fd, prefix, 2, MSG_NOSIGNAL);
        (void)send(fd, wire, len, MSG_NOSIGNAL);
        LDNS_FREE(wire);
    }
    (void)close(fd);
}

static inline void *upstream_main(void *arg)
{
    struct upstream *u = arg;

    for (;;) {
        struct pollfd fds[3] = {{u->udp, POLLIN, 0}, {u->tcp, POLLIN, 0}, {u->stop[0], POLLIN, 0}};
        (void)poll(fds, 3, -1);
        if (fds[2].revents != 0) {
            return NULL;
        }
        if (fds[0].revents != 0) {
            answer_udp(u);
        }
        if (fds[1].revents != 0) {
            answer_tcp(u);
        }
    }
}

/* UDP and TCP on one port of loopback. */
static inline void upstream_bind(struct upstream *u)
{
    for (int tries = 0; tries < 100; tries++) {
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(sa);
        u->udp = socket(AF_INET, SOCK_DGRAM, 0);
        u->tcp = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(u->udp, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
            getsockname(u->udp, (struct sockaddr *)&sa, &len) == 0 &&
            bind(u->tcp, (struct sockaddr *)&sa, sizeof(sa)) == 0 && listen(u->tcp, 8) == 0) {
            u->at.addr = ip_from_sockaddr((struct sockaddr *)&sa);
            u->at.port = ntohs(sa.sin_port);
            return;
        }
        (void)close(u->udp);
        (void)close(u->tcp);
    }
    fail_msg("no free port");
}

/* rules NULL: the port is bound, and nobody reads. */
static inline void upstream_start(struct upstream *u, const struct rule *rules)
{
    memset(u, 0, sizeof(*u));
    u->rules = rules;
    (void)pthread_mutex_init(&u->lock, NULL);
    upstream_bind(u);
    assert_int_equal(pipe(u->stop), 0);
    u->is_running = rules != NULL;
    if (u->is_running) {
        assert_int_equal(pthread_create(&u->thread, NULL, upstream_main, u), 0);
    }
}

static inline void upstream_stop(struct upstream *u)
{
    assert_int_equal(write(u->stop[1], "x", 1), 1);
    if (u->is_running) {
        (void)pthread_join(u->thread, NULL);
    }
    (void)pthread_mutex_destroy(&u->lock);
    (void)close(u->stop[0]);
    (void)close(u->stop[1]);
    (void)close(u->udp);
    (void)close(u->tcp);
}

/* --- the forwarder ---------------------------------------------------------------------------- */

#define UPSTREAMS_MAX 2u
struct world {
    struct config *cfg;
    struct zone_db *zones;
    struct upstream up[UPSTREAMS_MAX]; /* of the root */
    size_t up_n;
    struct upstream corp; /* of corp.example */
    struct forward *forward;
};

static inline struct config *world_config(const struct world *w)
{
    char text[2048], upstreams[256] = "", one[IP_TEXT_MAX + 10];

    for (size_t i = 0; i < w->up_n; i++) {
        size_t n = strlen(upstreams);
        ip_endpoint_text(&w->up[i].at, one);
        (void)snprintf(upstreams + n, sizeof(upstreams) - n, "%s\"%s\"", i > 0 ? ", " : "", one);
    }
    ip_endpoint_text(&w->corp.at, one);
    (void)snprintf(text, sizeof(text),
                   MAKER_CONFIG "dns: {forward: {networks: [10.0.0.0/8], upstreams: [%s], "
                                "routes: {corp.example: [\"%s\"]}}}\n",
                   upstreams, one);
    return make_config(text);
}

/* rules[i] NULL: a server that never answers. */
static inline struct world *world_new(const struct rule *const *rules, size_t up_n,
                                      const struct rule *corp)
{
    struct world *w = mem_zalloc(sizeof(*w));

    assert_non_null(w);
    for (size_t i = 0; i < up_n; i++) {
        upstream_start(&w->up[i], rules[i]);
    }
    w->up_n = up_n;
    upstream_start(&w->corp, corp);
    w->cfg = world_config(w);
    assert_int_equal(zone_db_new(w->cfg, 1, &w->zones).code, ERR_OK);
    const struct forward_options options = {.cfg = w->cfg, .zones = w->zones};
    assert_int_equal(forward_new(&options, &w->forward).code, ERR_OK);
    assert_non_null(w->forward);
    assert_int_equal(forward_start(w->forward).code, ERR_OK);
    return w;
}

static inline void world_free(struct world *w)
{
    forward_free(w->forward);
    for (size_t i = 0; i < w->up_n; i++) {
        upstream_stop(&w->up[i]);
    }
    upstream_stop(&w->corp);
    zone_db_free(w->zones);
    config_free(w->cfg);
    mem_free(w);
}

/* --- asking ----------------------------------------------------------------------------------- */

/* A query for name and type; edns: its size, 0 without. */
static inline struct dns_request *request_new(const char *name, unsigned type, unsigned edns)
{
    struct dns_request *r = mem_zalloc(sizeof(*r));
    uint8_t *p = r->octets;

    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->cond, NULL);
    p[0] = 0x12;
    p[1] = 0x34;
    p[2] = 0x01;
    p[5] = 1;
    p[11] = edns > 0;
    r->len = 12 + make_name(name, p + 12);
    p[r->len + 1] = (uint8_t)type;
    p[r->len] = (uint8_t)(type >> 8);
    p[r->len + 3] = 1;
    r->len += 4;
    if (edns > 0) {
        p[r->len + 2] = 41;
        p[r->len + 3] = (uint8_t)(edns >> 8);
        p[r->len + 4] = (uint8_t)edns;
        r->len += 11;
    }
    r->limit = edns >= 512 ? edns : 512;
    assert_int_equal(ip_parse("10.1.2.3", &r->peer).code, ERR_OK);
    return r;
}

static inline void request_free(struct dns_request *r)
{
    (void)pthread_cond_destroy(&r->cond);
    (void)pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

static inline void request_wait(struct dns_request *r)
{
    (void)pthread_mutex_lock(&r->lock);
    while (r->ended_n == 0) {
        (void)pthread_cond_wait(&r->cond, &r->lock);
    }
    assert_int_equal(r->ended_n, 1);
    assert_int_equal(r->sent_n, 1);
    (void)pthread_mutex_unlock(&r->lock);
}

static inline void ask(struct world *w, struct dns_request *r)
{
    forward_ask(w->forward, r);
    request_wait(r);
}

/* "RCODE aa tc: record; record | authority record", what ldns reads of the answer; for comparing. */
static inline const char *answer_text(const struct dns_request *r)
{
    static char text[8192];
    struct buf b = BUF_INIT(sizeof(text) - 1);
    ldns_pkt *pkt = NULL;

    assert_int_equal(ldns_wire2pkt(&pkt, r->answer, r->answer_len), LDNS_STATUS_OK);
    assert_true(ldns_pkt_qr(pkt));
    assert_true(ldns_pkt_ra(pkt));
    assert_false(ldns_pkt_ad(pkt));
    assert_int_equal(ldns_pkt_id(pkt), 0x1234);
    char *rcode = ldns_pkt_rcode2str(ldns_pkt_get_rcode(pkt));
    buf_printf(&b, "%s%s%s:", rcode, ldns_pkt_aa(pkt) ? " aa" : "", ldns_pkt_tc(pkt) ? " tc" : "");
    LDNS_FREE(rcode);
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
        buf_printf(&b, " edns %u", ldns_pkt_edns_udp_size(pkt));
    }
    ldns_pkt_free(pkt);
    (void)snprintf(text, sizeof(text), "%s", buf_str(&b));
    buf_clear(&b);
    return text;
}

#endif
