/* An answer in the making; private to dns/answer*.c.
 *
 * answer.c reads the query and puts header and OPT around; answer_solve.c finds what stands at a name and
 * follows CNAMEs; answer_more.c has referrals and additional addresses; answer_write.c the octets. */
#ifndef DNS_ANSWER_INT_H
#define DNS_ANSWER_INT_H

#include "dns/answer.h"
#include "dns/query.h"
#include "dns/wire.h"
#include "dns/zone_table.h"

#define QNAME_AT DNS_HEADER_LEN
/* Large, and written before it is read: not to be cleared on the way to every answer. */
#define UNCLEARED __attribute__((uninitialized))
#define ANSWER_HOPS_MAX 16u /* CNAMEs that one answer follows */

struct reply {
    const struct answer_in *in;
    const struct zone_snapshot *snap;
    const struct dns_query *q;
    uint8_t *out;
    size_t len, limit; /* limit leaves room for the OPT record and a cookie */
    enum answer_verdict verdict;
    enum answer_reason reason; /* ANSWER_REASONS_N: not known yet */
    uint16_t answer_n, authority_n, additional_n;
    uint16_t rcode, ede;
    int16_t zone;
    bool is_authoritative, is_full;
    uint16_t next_at;                  /* where the CNAME leads: its RDATA; 0: the end */
    const struct zone_owner *dname;    /* the last one written */
    const struct zone_rrset *pointing; /* its names want their addresses ... */
    size_t pointing_at;                /* ... and it stands here */
    struct buf *trace;                 /* answer_explain(): NULL when answering */
};

/* A name on the way: the question's, or a CNAME's target. It stands uncompressed at `at`. */
struct cursor {
    const struct dns_name *name;
    struct zone_match match;
    unsigned at;
};

/* What stands at a name of a zone (not the delegate zone). */
enum node_kind {
    NODE_REFERRAL,  /* owner: the delegation, off: where its name starts */
    NODE_DNAME,     /* owner, off */
    NODE_CHALLENGE, /* the automatic CNAME */
    NODE_PERSIST,   /* owner: its texts or NULL */
    NODE_OWNER,     /* owner */
    NODE_NAME_SERVER,
    NODE_WILDCARD, /* owner */
    NODE_INGRESS,
    NODE_EMPTY, /* the name exists, without records */
    NODE_NONE
};
struct node {
    enum node_kind kind;
    uint8_t off;
    const struct zone_owner *owner;
};

/* --- answer_write.c --- */
/* The RDLENGTH of a stored RR. */
static inline size_t rr_data_len(const uint8_t *rr)
{
    return wire_get16(rr + 8);
}
/* Octets of an uncompressed name. */
static inline size_t name_len(const uint8_t *name)
{
    size_t len = 1;

    for (; *name != 0; name += *name + 1u) {
        len += *name + 1u;
    }
    return len;
}
/* Owner (as a pointer where one reaches), type, class, TTL and length of one record; returns where its
 * data goes. NULL: it does not fit, and the answer is to be truncated. */
uint8_t *reply_take_record(struct reply *r, unsigned owner_at, unsigned type, uint32_t ttl,
                           size_t data_len);
/* A set, whole or not at all (false: the answer is to be truncated). */
bool reply_put_rrs(struct reply *r, unsigned owner_at, const struct zone_rrs *rrs, uint16_t *count);
bool reply_put_set(struct reply *r, unsigned owner_at, const struct zone_rrset *set,
                   uint16_t *count);
/* The zone's SOA, apex_at: where the zone's name stands. is_negative: with the TTL of RFC 2308 §3. */
bool reply_put_soa(struct reply *r, const struct cursor *c, unsigned apex_at, bool is_negative);
/* The delegate zone's, for an answer that ends there. */
bool reply_put_delegate_soa(struct reply *r, unsigned apex_at);
/* Our own NS record and the addresses of that name. */
void reply_put_own_ns(struct reply *r, const struct cursor *c);
/* Owner of the apex that a name lies below; NULL: nothing is stored there. */
const struct zone_owner *apex_owner(const struct zone_snapshot *snap, const struct dns_name *name,
                                    const struct zone_match *match);
/* An answer that is longer than allowed is a fault of ours: SERVFAIL, header only. Returns the length. */
size_t reply_bounded(uint8_t *out, size_t len, size_t allowed);

/* --- answer_solve.c --- */
void solve_question(struct reply *r);
/* type: what is asked for; it matters at an apex and at a delegation. */
void find_node(const struct zone_snapshot *snap, const struct dns_name *name,
               const struct zone_match *match, unsigned type, struct node *out);
bool is_meta_type(unsigned type);

/* --- answer_more.c --- */
void put_referral(struct reply *r, const struct cursor *c, const struct node *node);
/* Addresses for the names in r->pointing; what does not fit is left out. */
void put_additional(struct reply *r);

/* --- answer.c, answer_explain.c --- */
/* answer() with a trace. */
enum answer_verdict answer_traced(const struct answer_in *in, uint8_t *out, size_t cap, size_t *len,
                                  struct answer_info *info, struct buf *trace);
void trace_node(const struct reply *r, const struct cursor *c, const struct node *node);
void trace_delegate(const struct reply *r, const struct cursor *c);
void trace_outside(const struct reply *r, unsigned at);

#endif
