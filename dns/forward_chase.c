/* The chase of one question between other servers' names and ours, its ends, its time. All of it on the
 * loop's thread but what says otherwise. */
#include "dns/forward_int.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/query.h"

#define LOOP_NOTE_MS 10000
#define NAME_ESCAPED_MAX 1024u

/* --- ends ------------------------------------------------------------------------------------- */

/* The asker's socket may be gone: nothing can be done then. */
static void send_to(struct dns_request *request, const uint8_t *message, size_t len)
{
    err_ignore(dns_request_send(request, message, len));
}

void forward_send_error(struct dns_request *request, unsigned rcode, unsigned ede)
{
    uint8_t out[DNS_UDP_PLAIN_MAX];
    size_t *len = NULL;
    const uint8_t *query = dns_request_bytes(request, &len);
    const uint8_t *cookie = dns_request_cookie(request);
    struct dns_query q;
    size_t n = answer_error(query, *len, rcode, ede, out, sizeof(out));

    if (n > 0) {
        if (cookie != NULL && query_parse(query, *len, &q) == QUERY_OK && q.has_edns) {
            n = q.question_end +
                forward_put_cookie(out + q.question_end, n - q.question_end, cookie);
        }
        out[3] |= FLAG_RA | (query[3] & FLAG_CD); /* RFC 4035 §3.2.2 */
        send_to(request, out, n);
    }
}

void forward_explain_done(struct forward_explained *explained, const uint8_t *message, size_t len,
                          bool is_timeout)
{
    (void)pthread_mutex_lock(&explained->lock);
    if (message != NULL) {
        buf_put(&explained->message, message, len);
    }
    explained->is_timeout = is_timeout;
    explained->is_done = true;
    (void)pthread_cond_signal(&explained->cond);
    (void)pthread_mutex_unlock(&explained->lock);
}

void forward_give_places(struct forward *forward, uint16_t slot)
{
    (void)atomic_fetch_sub(&forward->peers[slot], 1);
    (void)atomic_fetch_sub(&forward->pending_n, 1);
}

/* Whatever was to be said has been said. */
void forward_question_free(struct forward_question *question)
{
    struct forward *forward = question->owner;

    if (question->request != NULL) {
        dns_request_end(question->request);
        forward_give_places(forward, question->slot);
    }
    forward_draft_clear(&question->draft);
    mem_free(question);
}

void forward_question_detach(struct forward_question *question)
{
    struct forward *forward = question->owner;

    forward_ub_cancel(forward->ub, &question->call);
    *(question->prev != NULL ? &question->prev->next : &forward->first) = question->next;
    *(question->next != NULL ? &question->next->prev : &forward->last) = question->prev;
}

static void finish_error(struct forward_question *question, unsigned rcode, unsigned ede)
{
    struct forward *forward = question->owner;

    forward_add(rcode == RCODE_REFUSED ? &forward->refused : &forward->failed);
    if (question->request != NULL) {
        forward_send_error(question->request, rcode, ede);
    } else {
        forward_explain_done(question->explained, NULL, 0, false);
    }
    forward_question_detach(question);
    forward_question_free(question);
}

static void finish(struct forward_question *question)
{
    struct forward *forward = question->owner;
    const uint8_t *message = NULL;
    size_t len = 0;

    struct err e = forward_draft_finish(&question->draft, &message, &len);
    if (e.code != ERR_OK) {
        finish_error(question, RCODE_SERVFAIL, 0);
        return;
    }
    forward_add(&forward->answered);
    if (question->request != NULL) {
        send_to(question->request, message, len);
    } else {
        forward_explain_done(question->explained, message, len, false);
    }
    forward_question_detach(question);
    forward_question_free(question);
}

/* --- names of ours ---------------------------------------------------------------------------- */

static bool may_forward(const void *ctx, const struct ip_addr *peer)
{
    (void)ctx;
    (void)peer;
    return true;
}

/* What we say ourselves about (name, type), over the snapshot that is being read. */
static enum answer_verdict ask_ourselves(struct forward *forward, const struct forward_name *name,
                                         uint16_t type, size_t *len)
{
    static const struct answer_env env = {.may_forward = may_forward};
    static const struct ip_addr nobody = {.family = 4};
    uint8_t query[FORWARD_QUESTION_MAX];
    const struct answer_in in = {.env = &env,
                                 .snap = forward->snap,
                                 .query = query,
                                 .query_len = forward_question(name, type, query),
                                 .is_tcp = true,
                                 .peer = &nobody};

    *len = 0;
    return answer(&in, forward->scratch, DNS_TCP_MAX, len, NULL);
}

static bool is_ours(void *arg, const struct forward_name *name)
{
    struct forward_question *question = arg;
    size_t len = 0;
    enum answer_verdict verdict = ask_ourselves(question->owner, name, question->draft.type, &len);

    return verdict != ANSWER_FORWARD || len > 0;
}

/* As far as names of ours lead. FORWARD_DONE; FORWARD_OURS: others are to be asked about draft.name. */
static enum forward_step walk_ours(struct forward_question *question)
{
    struct forward *forward = question->owner;
    struct forward_draft *draft = &question->draft;
    struct forward_said said = {.packet = forward->scratch};

    forward->snap = zone_read_begin(forward->reader);
    enum answer_verdict verdict = ask_ourselves(forward, &draft->name, draft->type, &said.len);
    enum forward_step step = FORWARD_BROKEN;
    if (verdict == ANSWER_FORWARD) {
        /* A CNAME of ours may lead out: its records are all that is said. */
        step = said.len > 0 ? forward_draft_take(draft, &said) : FORWARD_OURS;
        step = step == FORWARD_DONE ? FORWARD_OURS : step;
    } else if (verdict == ANSWER_SEND) {
        step = forward_draft_take(draft, &said);
    }
    zone_read_end(forward->reader);
    forward->snap = NULL;
    return step;
}

/* --- the chase -------------------------------------------------------------------------------- */

static void ask_others(struct forward_question *question, uint16_t type)
{
    struct forward *forward = question->owner;
    const struct forward_name *name = &question->draft.name;
    char text[NAME_ESCAPED_MAX + 2];

    if (name_from_wire(name->octets, name->len, text, NAME_ESCAPED_MAX).code != ERR_OK) {
        finish_error(question, RCODE_SERVFAIL, 0);
        return;
    }
    for (char *p = text; *p != '\0'; p++) {
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    if (forward_route_of(&forward->routes, text)->servers_n == 0) {
        finish_error(question, RCODE_REFUSED, EDE_PROHIBITED);
        return;
    }
    size_t len = strlen(text);
    if (name->len > 1) {
        memcpy(text + len, ".", 2);
    }
    struct err e = forward_ub_ask(forward->ub, &question->call, text, type);
    if (e.code != ERR_OK) {
        log_err(LOG_WARN, "dns.forward.ask", e);
        finish_error(question, RCODE_SERVFAIL, EDE_NETWORK);
    }
}

static void go_on(struct forward_question *question)
{
    switch (walk_ours(question)) {
    case FORWARD_DONE:
        finish(question);
        break;
    case FORWARD_OURS:
        question->is_alias_try = false;
        ask_others(question, question->draft.type);
        break;
    case FORWARD_BROKEN:
    case FORWARD_NO_MEMORY:
        finish_error(question, RCODE_SERVFAIL, 0);
        break;
    }
}

/* The library follows CNAMEs by itself, and one that leads to a name of ours may lead it nowhere: the
 * question's other half, the CNAME alone, says whether that is why it failed. */
static void try_alias(struct forward_question *question)
{
    uint16_t type = question->draft.type;

    if (question->is_alias_try || type == DNS_TYPE_CNAME || type == DNS_TYPE_ANY) {
        finish_error(question, RCODE_SERVFAIL, EDE_NO_AUTHORITY);
        return;
    }
    question->is_alias_try = true;
    ask_others(question, DNS_TYPE_CNAME);
}

static void on_answer(struct forward_call *call, const uint8_t *packet, size_t len)
{
    struct forward_question *question = (struct forward_question *)call;
    struct forward *forward = question->owner;
    const struct forward_said said = {
        .packet = packet, .len = len, .is_ours = is_ours, .arg = question};
    enum forward_step step = FORWARD_BROKEN;

    if (packet == NULL) {
        finish_error(question, RCODE_SERVFAIL, EDE_NETWORK);
        return;
    }
    forward->snap = zone_read_begin(forward->reader);
    step = question->is_alias_try ? forward_draft_take_alias(&question->draft, &said)
                                  : forward_draft_take(&question->draft, &said);
    zone_read_end(forward->reader);
    forward->snap = NULL;
    switch (step) {
    case FORWARD_DONE:
        finish(question);
        break;
    case FORWARD_OURS:
        go_on(question);
        break;
    case FORWARD_BROKEN:
        try_alias(question);
        break;
    case FORWARD_NO_MEMORY:
        finish_error(question, RCODE_SERVFAIL, 0);
        break;
    }
}

/* --- coming in, and running out of time -------------------------------------------------------- */

static void on_timer(void *arg)
{
    struct forward *forward = arg;
    int64_t now_ms = clock_mono_ms();

    while (forward->first != NULL && forward->first->deadline_ms <= now_ms) {
        struct forward_question *question = forward->first;
        forward_add(&forward->timeouts);
        if (question->explained != NULL) {
            forward_explain_done(question->explained, NULL, 0, true);
        } else {
            forward_send_error(question->request, RCODE_SERVFAIL, EDE_NO_AUTHORITY);
        }
        forward_question_detach(question);
        forward_question_free(question);
    }
    if (forward->first != NULL) {
        err_ignore(loop_timer_set(forward->loop, &forward->timer, forward->first->deadline_ms,
                                  on_timer, forward));
    }
}

/* A question that is under way comes back from somebody whom we ask: they ask us. */
static bool is_loop(struct forward *forward, const struct forward_question *question)
{
    const struct forward_draft *draft = &question->draft;

    if (question->request == NULL || !forward_routes_have(&forward->routes, &question->peer)) {
        return false;
    }
    for (const struct forward_question *q = forward->first; q != NULL; q = q->next) {
        if (q->draft.type == draft->type && q->draft.name.len == draft->name.len &&
            memcmp(q->draft.name.octets, draft->name.octets, draft->name.len) == 0 &&
            !ip_equal(&q->peer, &question->peer)) {
            return true;
        }
    }
    return false;
}

static void say_loop(struct forward *forward, const struct forward_question *question)
{
    int64_t now_ms = clock_mono_ms();
    char peer[IP_TEXT_MAX + 1];

    if (forward->loop_noted_ms != 0 && now_ms - forward->loop_noted_ms < LOOP_NOTE_MS) {
        return;
    }
    forward->loop_noted_ms = now_ms;
    ip_text(&question->peer, peer);
    log_ev(LOG_WARN, "dns.forward.loop", {"server", peer},
           {"msg",
            "a question that we forwarded came back from this server: it forwards to us. Give "
            "it other upstreams, or take it out of dns.forward"});
}

static void accept_question(struct forward *forward, struct forward_question *question)
{
    bool is_back = is_loop(forward, question);

    question->deadline_ms = clock_mono_ms() + FORWARD_TIMEOUT_MS;
    question->prev = forward->last;
    question->next = NULL;
    *(forward->last != NULL ? &forward->last->next : &forward->first) = question;
    forward->last = question;
    if (is_back) {
        say_loop(forward, question);
        finish_error(question, RCODE_SERVFAIL, 0);
        return;
    }
    if (!forward->timer.is_set &&
        loop_timer_set(forward->loop, &forward->timer, question->deadline_ms, on_timer, forward)
                .code != ERR_OK) {
        finish_error(question, RCODE_SERVFAIL, 0);
        return;
    }
    go_on(question);
}

struct forward_question *forward_take_in(struct forward *forward)
{
    (void)pthread_mutex_lock(&forward->lock);
    struct forward_question *first = forward->in_first;
    forward->in_first = forward->in_last = NULL;
    (void)pthread_mutex_unlock(&forward->lock);
    return first;
}

static void drain(void *arg)
{
    struct forward *forward = arg;
    struct forward_question *question = forward_take_in(forward);

    while (question != NULL) {
        struct forward_question *next = question->next;
        accept_question(forward, question);
        question = next;
    }
}

/* False: the loop takes no more. */
bool forward_hand_over(struct forward *forward, struct forward_question *question)
{
    (void)pthread_mutex_lock(&forward->lock);
    bool was_empty = forward->in_first == NULL;
    bool is_taken = !was_empty || loop_post(forward->loop, drain, forward).code == ERR_OK;
    if (is_taken) {
        *(was_empty ? &forward->in_first : &forward->in_last->next) = question;
        forward->in_last = question;
    }
    (void)pthread_mutex_unlock(&forward->lock);
    return is_taken;
}

struct forward_question *forward_question_new(struct forward *forward,
                                              const struct forward_query *query)
{
    AUTO(mem_freep) struct forward_question *question = mem_zalloc(sizeof(*question));

    if (question == NULL) {
        return NULL;
    }
    question->owner = forward;
    question->call.fn = on_answer;
    if (forward_draft_begin(query, &question->draft).code != ERR_OK) {
        forward_draft_clear(&question->draft);
        return NULL;
    }
    return MOVE(question);
}
