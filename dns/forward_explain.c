/* `dns trace` for names that are not ours. */
#include "dns/forward_int.h"

#include <string.h>

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/query.h"
#include "dns/rr.h"

static void say_servers(const struct forward_route *route, struct buf *out)
{
    char text[IP_TEXT_MAX + 10];

    if (strcmp(route->name, ".") == 0) {
        buf_puts(out, "upstreams:");
    } else {
        buf_printf(out, "route %s:", route->name);
    }
    for (size_t i = 0; i < route->servers_n; i++) {
        ip_endpoint_text(&route->servers[i], text);
        buf_printf(out, "%s %s", i > 0 ? "," : "", text);
    }
    buf_puts(out, route->servers_n > 0 ? "\n" : " nobody is asked about this name\n");
}

static struct err ask(struct forward *forward, const struct forward_query *query,
                      struct forward_explained *explained)
{
    struct forward_question *question = forward_question_new(forward, query);

    TRY_PTR(question);
    question->explained = explained;
    if (!forward_hand_over(forward, question)) {
        forward_question_free(question);
        FAIL(ERR_BAD_STATE, "forwarding is stopping");
    }
    forward_add(&forward->asked);
    (void)pthread_mutex_lock(&explained->lock);
    while (!explained->is_done) { /* at the latest when the question's time runs out */
        (void)pthread_cond_wait(&explained->cond, &explained->lock);
    }
    (void)pthread_mutex_unlock(&explained->lock);
    return err_ok();
}

static struct err say_records(const struct buf *message, size_t pos, struct buf *out)
{
    unsigned n = wire_get16(message->data + 6);

    for (unsigned i = 0; i < n; i++) {
        AUTO(rr_clear) struct dns_rr rr = {.rdata = NULL};
        TRY(rr_from_packet(message->data, message->len, &pos, &rr));
        TRY(rr_text(&rr, out));
    }
    return err_ok();
}

static struct err say_answer(const struct forward_explained *explained, size_t question_end,
                             int64_t took_ms, struct buf *out)
{
    const struct buf *message = &explained->message;

    if (explained->is_timeout) {
        buf_printf(out, "no answer within %d s: SERVFAIL\n", FORWARD_TIMEOUT_MS / 1000);
        return err_ok();
    }
    TRY(buf_check(message));
    if (message->len < question_end) {
        buf_printf(out, "failed after %lld ms: nobody gave a usable answer\n", (long long)took_ms);
        return err_ok();
    }
    unsigned n = wire_get16(message->data + 6);
    const char *rcode = wire_rcode_text(message->data[3] & RCODE_BITS);
    buf_printf(out, "answer after %lld ms: %s, %u record%s\n", (long long)took_ms,
               rcode == NULL ? "an unusual RCODE" : rcode, n, n == 1 ? "" : "s");
    return say_records(message, question_end, out);
}

static void explained_clear(struct forward_explained *explained)
{
    buf_clear(&explained->message);
    (void)pthread_cond_destroy(&explained->cond);
    (void)pthread_mutex_destroy(&explained->lock);
}

struct err forward_explain(struct forward *forward, const char *name, uint16_t type,
                           struct buf *out)
{
    AUTO(explained_clear)
    struct forward_explained explained = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .cond = PTHREAD_COND_INITIALIZER,
        .message = BUF_INIT(DNS_TCP_MAX),
    };
    struct forward_name wire = {.len = sizeof(wire.octets)};
    uint8_t octets[FORWARD_QUESTION_MAX];
    char text[1024];

    if (!atomic_load(&forward->is_started)) {
        FAIL(ERR_BAD_STATE, "forwarding is not running yet");
    }
    TRY(name_to_wire(name, wire.octets, &wire.len));
    TRY(name_from_wire(wire.octets, wire.len, text, sizeof(text)));
    const struct forward_query query = {
        .octets = octets, .len = forward_question(&wire, type, octets), .limit = DNS_TCP_MAX};
    const struct forward_route *route = forward_route_of(&forward->routes, text);
    say_servers(route, out);
    if (route->servers_n > 0) {
        int64_t begun_ms = clock_mono_ms();
        TRY(ask(forward, &query, &explained));
        TRY(say_answer(&explained, query.len, clock_mono_ms() - begun_ms, out));
    }
    return buf_check(out);
}
