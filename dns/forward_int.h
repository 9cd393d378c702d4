/* Inside dns/forward*.c only: who is asked, the library that asks, the client's answer in the making.
 *
 * forward.c lets questions in, forward_chase.c answers them; forward_route.c (pure but for looking at our own
 * addresses) knows who is asked about a name and writes the library's configuration; forward_ub.c is all
 * that sees libunbound; forward_draft.c (pure) turns its answers into the client's. */
#ifndef DNS_FORWARD_INT_H
#define DNS_FORWARD_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/util/loop.h"
#include "dns/forward.h"
#include "dns/wire.h"

/* --- forward_route.c -------------------------------------------------------------------------- */
struct forward_route {
    char name[NAME_TEXT_MAX + 1]; /* "." for the upstreams */
    struct ip_endpoint *servers;  /* without our own listeners */
    size_t servers_n;             /* 0: nobody is asked about these names */
};
struct forward_routes {
    struct forward_route *list; /* "." comes last, and is always there */
    size_t n;
};
/* Says in the log which servers are left out. ERR_NOMEM. */
MUST_USE struct err forward_routes_make(const struct forward_options *options,
                                        struct forward_routes *out);
void forward_routes_clear(struct forward_routes *routes);
/* The longest suffix wins. name: text, lower case, "." for the root. */
const struct forward_route *forward_route_of(const struct forward_routes *routes, const char *name);
bool forward_routes_have(const struct forward_routes *routes, const struct ip_addr *server);
/* unbound.conf(5) text. */
void forward_routes_write(const struct forward_routes *routes, struct buf *out);

/* --- forward_ub.c ----------------------------------------------------------------------------- */
/* One question to the library; embedded in its owner, zeroed before its first use. */
struct forward_call {
    /* packet: borrowed; NULL when there is no answer. It may ask again. */
    void (*fn)(struct forward_call *call, const uint8_t *packet, size_t len);
    int id;
    bool is_pending;
};
struct forward_ub;
MUST_USE struct err forward_ub_new(const struct buf *conf, struct forward_ub **out);
/* Questions under way end without their fn. NULL is fine. */
void forward_ub_free(struct forward_ub *ub);
/* The rest: one thread. Readable when there are results. */
int forward_ub_fd(struct forward_ub *ub);
/* Calls the fn of every question that is answered. */
void forward_ub_process(struct forward_ub *ub);
/* name: text with escapes, ending in a dot. fn is never called from inside. ERR_NOMEM, ERR_IO. */
MUST_USE struct err forward_ub_ask(struct forward_ub *ub, struct forward_call *call,
                                   const char *name, uint16_t type);
/* Its fn is not called. Not pending: nothing happens. */
void forward_ub_cancel(struct forward_ub *ub, struct forward_call *call);

/* --- forward_draft.c -------------------------------------------------------------------------- */
#define FORWARD_HOPS_MAX 16u
#define FORWARD_NAMES_MAX 32u /* owners that later ones may point to */

struct forward_name {
    uint8_t octets[NAME_WIRE_MAX]; /* uncompressed */
    size_t len;
};
struct forward_draft {
    struct buf message; /* header, question, records; OPT comes at the end */
    uint8_t tail[64];   /* the OPT record */
    size_t tail_len;
    size_t limit, question_end;
    uint16_t answer_n, authority_n;
    uint8_t rcode;
    uint8_t cd_bit; /* the query's */
    bool is_authoritative, is_dnssec_ok;
    uint16_t type;
    struct forward_name name; /* where the CNAMEs so far lead: to be asked now */
    unsigned hops;
    uint16_t names[FORWARD_NAMES_MAX]; /* offsets of uncompressed names in the message */
    size_t names_n;
};
struct forward_query {
    const uint8_t *octets;
    size_t len;
    const uint8_t *begun; /* dns_request_begun(); NULL: none */
    size_t begun_len;
    const uint8_t *cookie; /* dns_request_cookie() */
    size_t limit;
};
/* The COOKIE option into the OPT record of len octets, which has room. Returns the record's length. */
size_t forward_put_cookie(uint8_t *opt, size_t len, const uint8_t *cookie);
/* ERR_MALFORMED: no question of class IN that can be forwarded, or no such begun part. Then too *out is
 * for forward_draft_clear(). */
MUST_USE struct err forward_draft_begin(const struct forward_query *query,
                                        struct forward_draft *out);
void forward_draft_clear(struct forward_draft *draft);

/* What a server said about draft->name and draft->type. Names in RDATA are compressed in the types of
 * RFC 1035 only, as RFC 3597 §4 rules: libunbound and our own answer path write no others. */
struct forward_said {
    const uint8_t *packet;
    size_t len;
    bool (*is_ours)(void *arg, const struct forward_name *name); /* NULL: nothing is */
    void *arg;
};
enum forward_step {
    FORWARD_DONE, /* the end of the chain, and what was said about it */
    FORWARD_OURS, /* a CNAME leads to draft->name, which is ours; nothing behind it was believed */
    FORWARD_BROKEN, /* no answer to this question, a loop, or an RCODE of failure */
    FORWARD_NO_MEMORY
};
enum forward_step forward_draft_take(struct forward_draft *draft, const struct forward_said *said);
/* Only the CNAME at draft->name: FORWARD_OURS when there is one that leads to a name of ours, else
 * FORWARD_BROKEN. For what the library could not follow. */
enum forward_step forward_draft_take_alias(struct forward_draft *draft,
                                           const struct forward_said *said);
/* The whole message, at most `limit` octets: when the records do not fit, TC and none of them. Valid until
 * the draft is cleared. ERR_NOMEM. */
MUST_USE struct err forward_draft_finish(struct forward_draft *draft, const uint8_t **message,
                                         size_t *len);
/* Bytes of a question for (name, type), RD set; out: FORWARD_QUESTION_MAX. Returns the length. */
#define FORWARD_QUESTION_MAX (DNS_HEADER_LEN + NAME_WIRE_MAX + DNS_QUESTION_TAIL_LEN)
size_t forward_question(const struct forward_name *name, uint16_t type, uint8_t *out);

/* --- questions: forward.c, forward_chase.c, forward_explain.c ---------------------------------- */
#define FORWARD_PEERS 4096u /* a keyed hash tells peers apart: two of them may share a count */

/* What forward_explain() waits for. */
struct forward_explained {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_done; /* under lock, as the rest */
    bool is_timeout;
    struct buf message; /* empty: no answer */
};

struct forward_question {
    struct forward_call call; /* first: the library gives it back */
    struct forward *owner;
    struct forward_question *prev, *next;
    struct dns_request *request;         /* NULL: */
    struct forward_explained *explained; /* this one waits */
    struct forward_draft draft;
    int64_t deadline_ms;
    struct ip_addr peer;
    uint16_t slot;
    bool is_alias_try; /* the CNAME alone is asked for */
};

struct forward {
    struct forward_options options;
    struct forward_routes routes; /* and ub: since forward_start() */
    struct loop *loop;
    struct zone_reader *reader; /* the loop's thread */
    const struct zone_snapshot *snap;
    struct forward_ub *ub;
    struct loop_fd watch;
    struct loop_timer timer;
    atomic_bool is_started;
    uint8_t *scratch;                      /* an answer of ours: DNS_TCP_MAX */
    struct forward_question *first, *last; /* under way, oldest first */
    int64_t loop_noted_ms;

    pthread_mutex_t lock; /* guards what comes in */
    struct forward_question *in_first, *in_last;

    uint8_t seed[16];
    atomic_uint pending_n;
    atomic_uint peers[FORWARD_PEERS];
    atomic_ullong asked, answered, failed, refused, timeouts;
};

static inline void forward_add(atomic_ullong *counter)
{
    (void)atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* NULL: no memory, or no question that can be forwarded. Any thread. */
struct forward_question *forward_question_new(struct forward *forward,
                                              const struct forward_query *query);
/* Takes the question. False: the loop takes no more, and it stays the caller's. Any thread. */
bool forward_hand_over(struct forward *forward, struct forward_question *question);
/* What was handed over and not yet begun. */
struct forward_question *forward_take_in(struct forward *forward);
/* Out of the list of those under way. */
void forward_question_detach(struct forward_question *question);
/* Ends the request, whatever was to be said has been said. */
void forward_question_free(struct forward_question *question);
void forward_give_places(struct forward *forward, uint16_t slot);
void forward_send_error(struct dns_request *request, unsigned rcode, unsigned ede);
/* message NULL: there is none. */
void forward_explain_done(struct forward_explained *explained, const uint8_t *message, size_t len,
                          bool is_timeout);

#endif
