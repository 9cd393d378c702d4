/* From query bytes to answer bytes: pure, no allocation, no lock, no I/O.
 *
 * RFC 1034, 1035, 2308, 4343 (case), 4592 (wildcards), 6672 (DNAME), 6891 (EDNS, BADVERS), 7873 and 9018
 * (cookies), 8020, 8482 (ANY: one RRset), 8914 (extended errors). Everything about the packet is checked
 * here. Order of what a name of a zone is answered: below a delegation the referral; below a DNAME its
 * CNAME; the automatic CNAME; records at the name; our name server's addresses; a stored wildcard; the
 * ingress; NODATA. In a plain zone there is neither automatic CNAME nor ingress, and what is not there is
 * NXDOMAIN. A wrong server cookie is answered like none, with a fresh one; BADCOOKIE is for a question
 * that has nothing but a cookie. Names inside stored RDATA are never compressed. A CNAME chain is
 * followed for 16 hops. Thread: any, with that thread's snapshot. */
#ifndef DNS_ANSWER_H
#define DNS_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"
#include "core/util/name.h"
#include "dns/cookie.h"
#include "dns/zone.h"

#define DNS_UDP_PLAIN_MAX 512u
#define DNS_UDP_EDNS_MAX 1232u /* the size we offer and the longest UDP answer we send */
#define DNS_TCP_MAX 65535u

enum answer_verdict {
    ANSWER_DROP, /* nothing may be sent: shorter than a header, or a response */
    ANSWER_SEND, /* out holds the answer */
    ANSWER_WORK, /* UPDATE, AXFR, IXFR, or signed: for a work thread; out is untouched */
    ANSWER_FORWARD /* RD set, the peer may, and the name (or where its CNAME leads) is not ours; out holds
                      header, question and the CNAMEs that stand so far when *len is not 0 */
};

/* The server's standing settings; read-only. */
struct answer_env {
    bool (*may_forward)(const void *ctx, const struct ip_addr *peer); /* NULL: nobody */
    const void *forward_ctx;
    bool has_work; /* somebody takes ANSWER_WORK; else UPDATE is NOTIMP, transfers REFUSED, TSIG is
                      ignored */
    bool has_cookies;
    uint8_t cookie_secret[2][COOKIE_KEY_LEN]; /* [0] makes, both are accepted. RFC 9018 §5 */
};

struct answer_in {
    const struct answer_env *env; /* NULL: neither forwarding, work nor cookies */
    const struct zone_snapshot *snap;
    const uint8_t *query;
    size_t query_len;
    bool is_tcp;
    const struct ip_addr *peer; /* NULL: unknown (in-process) */
    uint32_t now_unix;          /* for cookies; once per batch is enough */
};

/* Why an answer is what it is: for counters, the query log and `dns trace`. */
enum answer_reason {
    ANSWER_BROKEN,   /* FORMERR, NOTIMP, BADVERS */
    ANSWER_NOT_OURS, /* REFUSED, or forwarded */
    ANSWER_APEX,     /* SOA or NS of ours */
    ANSWER_RECORD,   /* a stored record */
    ANSWER_WILDCARD, /* of a stored wildcard */
    ANSWER_CNAME,    /* a stored CNAME was followed */
    ANSWER_DNAME,
    ANSWER_REFERRAL,
    ANSWER_CHALLENGE, /* the automatic CNAME */
    ANSWER_DELEGATE,  /* a name of the delegate zone */
    ANSWER_PERSIST,
    ANSWER_NAME_SERVER, /* our own addresses */
    ANSWER_INGRESS,
    ANSWER_NODATA,
    ANSWER_NXDOMAIN,
    ANSWER_BAD_COOKIE,
    ANSWER_REASONS_N
};
struct answer_info {
    enum answer_reason reason; /* of the question's own name */
    uint16_t rcode, type;      /* type 0: no readable question */
    uint8_t opcode;
    int16_t zone; /* index in the table, -1: none */
    bool is_cut, has_good_cookie;
    size_t question_end;
};

/* The answer to in->query into out (cap octets: at least 512; DNS_TCP_MAX for TCP). *len: its length,
 * never above what the query allows (asserted). info: optional. */
enum answer_verdict answer(const struct answer_in *in, uint8_t *out, size_t cap, size_t *len,
                           struct answer_info *info);
/* The same with nothing but zones: 0 when nothing may be sent. */
size_t answer_build(const struct zone_snapshot *snap, const uint8_t *query, size_t query_len,
                    bool is_tcp, uint8_t *out, size_t out_cap);
/* A header-only or question-only answer to `query` with this RCODE, for those who work later; EDNS as in
 * the query, extended error ede when not 0 (RFC 8914). Returns its length, 0: nothing may be sent. */
size_t answer_error(const uint8_t *query, size_t query_len, unsigned rcode, unsigned ede,
                    uint8_t *out, size_t cap);
/* In words, a line per step, how the answer to (name, type) comes about: zone, record, wildcard, referral,
 * delegate name and its values, ingress, and the answer's records. ERR_MALFORMED: no name. */
MUST_USE struct err answer_explain(const struct zone_snapshot *snap, const char *name,
                                   uint16_t type, struct buf *out);
const char *answer_reason_text(enum answer_reason reason);

#endif
