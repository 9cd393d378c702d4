/* Inside dns/lookup*.c only: the question and the reading of its answer (pure), the chase over
 * CNAMEs, one look-up in flight. */
#ifndef DNS_LOOKUP_INT_H
#define DNS_LOOKUP_INT_H

#include "dns/lookup.h"
#include "dns/wire.h"

/* --- lookup_answer.c: pure -------------------------------------------------------------------- */
#define LOOKUP_QUERY_MAX 300u
struct lookup_question {
    char name[LOOKUP_END_MAX + 1]; /* lower case, no trailing dot */
    enum lookup_type type;
    uint16_t id;
};
const char *lookup_type_name(enum lookup_type type);
/* RD set, EDNS with our size. ERR_MALFORMED for a name without a wire form. */
MUST_USE struct err lookup_query_build(const struct lookup_question *question,
                                       uint8_t out[LOOKUP_QUERY_MAX], size_t *out_len);

enum lookup_reading {
    READ_ANSWER = 1,
    READ_OTHER, /* not the answer to this question: wait on */
    READ_CUT,   /* truncated, nothing else was looked at */
    READ_BROKEN
};
struct lookup_answer {
    unsigned rcode;
    /* the CNAME targets from the question's name on, in order; a chain longer than this is cut */
    char hops[LOOKUP_HOPS_MAX + 1][LOOKUP_END_MAX + 1];
    size_t hops_n;
    bool is_lost;   /* the next CNAME names something that cannot be asked for */
    size_t found_n; /* records of the type at the end of the chain, kept or not */
    struct lookup_rdata rdata[LOOKUP_RDATA_MAX];
    size_t rdata_n;
};
/* Is it the answer to `question`, and what does it say? *out is written with READ_ANSWER only;
 * lookup_answer_clear(). why: a static phrase with READ_BROKEN. RFC 5452 §9.1 */
enum lookup_reading lookup_read(const struct lookup_question *question, const uint8_t *data,
                                size_t len, struct lookup_answer *out, const char **why);
void lookup_answer_clear(struct lookup_answer *answer);
/* "SERVFAIL (...)"; NULL for the two that are answers: NOERROR and NXDOMAIN. */
const char *lookup_rcode_phrase(unsigned rcode);

/* --- lookup_chase.c --------------------------------------------------------------------------- */
struct lookup_chase {
    struct zone_reader *reader; /* NULL: nothing is ours */
    struct buf *trail;          /* NULL: none */
    enum lookup_type type;
    enum lookup_status status;
    bool is_unasked; /* somebody was not asked, or not understood, by our own fault */
    char end[LOOKUP_END_MAX + 1];
    char *seen[LOOKUP_HOPS_MAX + 1]; /* owned */
    size_t seen_n;
};
enum chase_step { CHASE_DONE, CHASE_ASK };

/* reader, trail and type are set. ERR_MALFORMED, ERR_NOMEM. */
MUST_USE struct err chase_begin(struct lookup_chase *chase, const char *name);
void chase_clear(struct lookup_chase *chase);
/* As far as names of ours lead. CHASE_DONE: status and *answer; CHASE_ASK: others serve `end`. */
enum chase_step chase_own(struct lookup_chase *chase, struct lookup_answer *answer);
/* What a server said about `end`; as chase_own(), but CHASE_ASK may lead to a name of ours. */
enum chase_step chase_take(struct lookup_chase *chase, const struct lookup_answer *answer);
/* Begin a phrase in the trail. */
void chase_say(struct lookup_chase *chase, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Continue it. */
void chase_add(struct lookup_chase *chase, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool chase_is_ours(const struct lookup_chase *chase);
/* Hands the records over. */
void chase_result(const struct lookup_chase *chase, struct lookup_answer *answer,
                  struct lookup_result *out);

/* --- lookup.c and lookup_ask.c ---------------------------------------------------------------- */
struct lookups {
    struct loop *loop;
    const struct resolve_config *config;
    struct zone_reader *reader; /* NULL without zones */
    struct lookup *first;
    size_t n;
};

/* One question to one server. */
struct lookup_try {
    struct ip_endpoint server;
    struct lookup_question question;
    struct loop_fd watch;
    int fd; /* -1: none */
    bool is_tcp;
    unsigned ignored_n;                  /* datagrams that were no answer to it */
    uint8_t query[2 + LOOKUP_QUERY_MAX]; /* behind its length, as over TCP */
    size_t query_len;                    /* with the two octets */
    size_t sent;
    uint8_t prefix[2];
    uint8_t *data; /* TCP: the answer, once its length is known */
    size_t have;   /* octets read, prefix included */
};

struct lookup {
    struct lookups *owner;
    struct lookup *prev, *next;
    lookup_fn fn;
    void *arg;
    int64_t deadline_ms;
    struct loop_timer timer;
    struct lookup_chase chase;
    struct lookup_try try;
    bool is_at;            /* of lookup_start_at(), */
    struct ip_endpoint at; /* for this server */
    size_t resolver;       /* the next one */
    unsigned round;
    bool was_silent; /* somebody in this round */
    size_t asked_n;
};

/* Ask the resolvers for chase.end, in order; calls one of the two below, now or later. */
void lookup_ask(struct lookup *lookup);
void lookup_ask_stop(struct lookup *lookup);
/* A usable answer came; the lookup may be gone afterwards. answer: borrowed. */
void lookup_answered(struct lookup *lookup, struct lookup_answer *answer);
void lookup_failed(struct lookup *lookup);

#endif
