/* http-01 (RFC 8555 §8.3, RFC 8738 §4): the attempts. Each hop is dialled by val_dial and asked by
 * val_fetch; redirects are followed here, so that every hop's address is judged. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "acme-server/acme_impl.h"
#include "acme-server/val_dial.h"
#include "acme-server/val_fetch.h"
#include "acme-server/val_gate.h"
#include "acme-server/val_url.h"
#include "acme-server/val_words.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

#define SEEN_MAX 100u      /* of what a peer sent, in a detail */
#define SHOWN_URL_MAX 200u /* of a URL there */

enum probe_st { PROBE_DIALLING, PROBE_ASKING, PROBE_ENDED };

struct probe {
    struct probe *prev, *next;
    struct http01_state *state;
    struct val_attempt attempt;
    struct loop_timer timer; /* the deadline; when ended: at once */
    enum probe_st st;
    struct val_dial dial;
    struct val_turn turn;     /* https */
    struct val_dialed dialed; /* its fd: until a fetch takes it, else -1 */
    struct fetch *fetch;
    struct val_url url;
    unsigned redirects_n;
    struct val_result result;
};

struct http01_state {
    struct val_net *net;
    struct fetcher *fetcher;
    struct probe *first;
};

static void hang_up(struct probe *probe)
{
    val_gate_leave(probe->state->net->gate, &probe->turn);
    fetch_cancel(MOVE(probe->fetch));
    if (probe->dialed.fd >= 0) {
        (void)close(probe->dialed.fd);
        probe->dialed.fd = -1;
    }
}

static void free_probe(struct probe *probe)
{
    struct http01_state *state = probe->state;

    val_dial_cancel(&probe->dial);
    hang_up(probe);
    loop_timer_cancel(state->net->loop, &probe->timer);
    val_url_clear(&probe->url);
    if (probe->prev != NULL) {
        probe->prev->next = probe->next;
    } else {
        state->first = probe->next;
    }
    if (probe->next != NULL) {
        probe->next->prev = probe->prev;
    }
    mem_free(probe);
}

/* --- endings ----------------------------------------------------------------------------------- */

static void deliver(void *arg)
{
    struct probe *probe = arg;
    struct val_attempt attempt = probe->attempt;
    struct val_result result = probe->result;

    free_probe(probe);
    attempt.done(attempt.arg, &result);
}

/* `done` comes from the loop, not from here: an attempt may end while it starts. The timer is set
 * already, so that moving it needs no memory. */
static void end(struct probe *probe)
{
    probe->st = PROBE_ENDED;
    hang_up(probe);
    err_ignore(loop_timer_set(probe->state->net->loop, &probe->timer, 0, deliver, probe));
}

static void PRINTF_LIKE(3, 4)
    end_badly(struct probe *probe, enum problem_type type, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(probe->result.detail, sizeof(probe->result.detail), fmt, args);
    va_end(args);
    probe->result.type = type;
    end(probe);
}

static void end_ours(struct probe *probe, struct err e)
{
    end_badly(probe, PROBLEM_SERVER_INTERNAL,
              "http-01 could not be tried: this server failed (%s); try again later",
              err_name(e.code));
}

/* "URL (at ADDRESS)", for details. */
struct place {
    char text[SHOWN_URL_MAX + IP_TEXT_MAX + 20];
};
static struct place place_of(const struct probe *probe)
{
    struct place place;
    char url[SHOWN_URL_MAX];
    char peer[IP_TEXT_MAX + 10];

    val_printable(probe->url.text, strlen(probe->url.text), url, sizeof(url));
    ip_endpoint_text(&probe->dialed.peer, peer);
    (void)snprintf(place.text, sizeof(place.text), "%s (at %s)", url, peer);
    return place;
}

static void end_late(struct probe *probe)
{
    struct place place = place_of(probe);

    end_badly(probe, PROBLEM_CONNECTION,
              "%s took the connection but sent no whole answer in time; look at the web server "
              "there",
              place.text);
}

static void on_deadline(void *arg)
{
    struct probe *probe = arg;

    if (probe->st == PROBE_DIALLING && probe->dial.lookup != NULL) {
        val_trail(probe->attempt.trail, "no more time");
        end_badly(probe, PROBLEM_DNS,
                  "%.253s: its addresses were not found in time; look at the name servers of this "
                  "name",
                  probe->dial.host);
    } else if (probe->st == PROBE_DIALLING) {
        val_trail(probe->attempt.trail, "no more time");
        end_badly(
            probe, PROBLEM_CONNECTION,
            "port %u of %.253s did not answer in time (%.200s); is a web server running there "
            "and does the firewall let this server in?",
            (unsigned)probe->url.port, probe->dial.host, buf_str(&probe->dial.why));
    } else if (probe->st == PROBE_ASKING) {
        val_trail(probe->attempt.trail, "no whole answer in time");
        end_late(probe);
    }
    deliver(probe);
}

/* --- what an answer means ---------------------------------------------------------------------- */

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void judge_body(struct probe *probe, const uint8_t *body, size_t len)
{
    const struct val_target *target = probe->attempt.target;
    char wanted[ACME_TOKEN_LEN + SHA256_B64_LEN + 2];
    char seen[SEEN_MAX];

    int wanted_len = snprintf(wanted, sizeof(wanted), "%s.%s", target->token, target->thumbprint);
    while (len > 0 && is_space(body[len - 1])) { /* RFC 8555 §8.3 */
        len--;
    }
    if (len == (size_t)wanted_len && memcmp(body, wanted, len) == 0) {
        val_trail(probe->attempt.trail, "the key authorization");
        probe->result.is_valid = true;
        end(probe);
        return;
    }
    struct place place = place_of(probe);
    val_printable(body, len, seen, sizeof(seen));
    val_trail(probe->attempt.trail, "%zu bytes that are not the key authorization", len);
    end_badly(probe, PROBLEM_INCORRECT_RESPONSE,
              "%s answered '%s' (%zu bytes) instead of the key authorization '%s'; is this the web "
              "server that the ACME client prepares?",
              place.text, seen, len, wanted);
}

static void dial(struct probe *probe);

/* Credentials in a URL are somebody's secret: neither problem nor timeline shows them. */
static const char *without_secrets(const char *location)
{
    const char *host = strstr(location, "//");

    if (host != NULL && memchr(host + 2, '@', strcspn(host + 2, "/?#")) != NULL) {
        return "a URL with a user name (not shown)";
    }
    return location;
}

static void follow(struct probe *probe, const struct fetched *got)
{
    const char *location = without_secrets(got->location);
    struct val_url next = {0};
    char why[VAL_URL_WHY_MAX] = "";
    struct place place = place_of(probe);
    char shown[SHOWN_URL_MAX];

    val_printable(location, strlen(location), shown, sizeof(shown));
    val_trail(probe->attempt.trail, "redirected (%ld) to %s", got->status, shown);
    if (probe->redirects_n >= VAL_REDIRECTS_MAX) {
        end_badly(probe, PROBLEM_INCORRECT_RESPONSE,
                  "%s redirects once more after %u redirects, to %s; let the web server answer "
                  "challenges without a redirect",
                  place.text, VAL_REDIRECTS_MAX, shown);
        return;
    }
    struct err e = val_url_follow(&probe->url, got->location,
                                  acme_settings(probe->state->net->acme), &next, why);
    if (e.code == ERR_REJECTED) {
        end_badly(probe, PROBLEM_INCORRECT_RESPONSE,
                  "%s redirects to %s: %s; let the web server answer challenges without a redirect",
                  place.text, shown, why);
        return;
    }
    if (e.code != ERR_OK) {
        end_ours(probe, e);
        return;
    }
    val_url_clear(&probe->url);
    probe->url = next;
    probe->redirects_n++;
    dial(probe);
}

static void judge_fault(struct probe *probe, const struct fetched *got)
{
    struct place place = place_of(probe);
    char text[SEEN_MAX];

    val_printable(got->text, strlen(got->text), text, sizeof(text));
    val_trail(probe->attempt.trail, "no answer: %s", text);
    switch (got->fault) {
    case FETCH_LONG_HEADER:
        end_badly(probe, PROBLEM_INCORRECT_RESPONSE,
                  "%s answered with a header of more than %u bytes; the key authorization alone is "
                  "wanted",
                  place.text, VAL_HEADERS_MAX);
        break;
    case FETCH_LONG_BODY:
        end_badly(probe, PROBLEM_INCORRECT_RESPONSE,
                  "%s answered with more than %u bytes; the key authorization alone is wanted",
                  place.text, VAL_BODY_MAX);
        break;
    case FETCH_NO_HTTP:
        end_badly(probe, PROBLEM_INCORRECT_RESPONSE,
                  "%s did not answer in HTTP/1.1 (%s); is it a web server?", place.text, text);
        break;
    case FETCH_NO_TLS:
        end_badly(probe, PROBLEM_TLS,
                  "%s: TLS failed (%s); mend its TLS or answer challenges without a redirect to "
                  "https",
                  place.text, text);
        break;
    case FETCH_BROKEN:
        end_badly(probe, PROBLEM_CONNECTION,
                  "%s ended the connection before it had answered (%s); look at the web server "
                  "there",
                  place.text, text);
        break;
    case FETCH_OURS:
    case FETCH_OK:
        end_badly(probe, PROBLEM_SERVER_INTERNAL,
                  "http-01 could not be tried: this server is out of memory; try again later");
        break;
    }
}

static void on_fetched(void *arg, const struct fetched *got)
{
    struct probe *probe = arg;

    probe->fetch = NULL;
    val_gate_leave(probe->state->net->gate, &probe->turn);
    if (got->date_unix != 0) {
        val_skew(probe->attempt.trail, "its clock", got->date_unix);
    }
    if (got->fault != FETCH_OK) {
        judge_fault(probe, got);
    } else if (is_redirect(got->status) && got->location != NULL) {
        follow(probe, got);
    } else if (got->status != 200) {
        struct place place = place_of(probe);
        val_trail(probe->attempt.trail, "status %ld", got->status);
        end_badly(probe, PROBLEM_UNAUTHORIZED,
                  "%s answered with status %ld instead of 200; the ACME client has to put the key "
                  "authorization there",
                  place.text, got->status);
    } else {
        judge_body(probe, got->body, got->body_len);
    }
}

/* --- hops -------------------------------------------------------------------------------------- */

static void on_turn(void *arg)
{
    struct probe *probe = arg;
    struct err e = fetch_start(probe->state->fetcher, &probe->url, &probe->dialed, on_fetched,
                               probe, &probe->fetch);

    probe->dialed.fd = -1;
    if (e.code != ERR_OK) {
        end_ours(probe, e);
    }
}

static void on_turn_over(void *arg)
{
    struct probe *probe = arg;

    val_trail(probe->attempt.trail, "too slow while others wait");
    end_late(probe);
}

static void on_dialed(void *arg, const struct val_dialed *dialed)
{
    struct probe *probe = arg;

    if (dialed->problem == PROBLEM_DNS) {
        end_badly(probe, PROBLEM_DNS, "%.300s; http-01 needs an address record", dialed->why);
        return;
    }
    if (dialed->problem != PROBLEM_NONE) {
        end_badly(probe, dialed->problem,
                  "port %u of %.253s cannot be reached (%.200s); is a web server running there and "
                  "does the firewall let this server in?",
                  (unsigned)probe->url.port, probe->dial.host, dialed->why);
        return;
    }
    probe->dialed = *dialed;
    probe->st = PROBE_ASKING;
    if (!probe->url.is_https || val_gate_enter(probe->state->net->gate, &probe->turn)) {
        on_turn(probe);
    }
}

static void dial(struct probe *probe)
{
    char shown[SHOWN_URL_MAX];

    val_printable(probe->url.text, strlen(probe->url.text), shown, sizeof(shown));
    val_trail(probe->attempt.trail, "GET %s", shown);
    probe->st = PROBE_DIALLING;
    struct err e = val_dial_start(&probe->dial, probe->url.host, probe->url.port,
                                  probe->attempt.deadline_ms, on_dialed);
    if (e.code == ERR_MALFORMED) {
        end_badly(probe, PROBLEM_DNS, "'%.253s' is not a host name that can be looked up",
                  probe->url.host);
    } else if (e.code != ERR_OK) {
        end_ours(probe, e);
    }
}

struct err val_http01_start(struct val_net *net, const struct val_attempt *attempt)
{
    struct http01_state *state = net->http01;
    const struct config_acme *settings = acme_settings(net->acme);
    struct val_url url = {0};

    TRY(val_url_first(attempt->target, (uint16_t)settings->http_port, &url));
    struct probe *probe = mem_zalloc(sizeof(*probe));
    if (probe == NULL ||
        loop_timer_set(net->loop, &probe->timer, attempt->deadline_ms, on_deadline, probe).code !=
            ERR_OK) {
        mem_free(probe);
        val_url_clear(&url);
        FAIL(ERR_NOMEM, "http-01: out of memory");
    }
    probe->state = state;
    probe->attempt = *attempt;
    probe->url = url;
    probe->result.type = PROBLEM_CONNECTION;
    probe->turn.account_id = probe->attempt.target->account_id;
    probe->turn.begin = on_turn;
    probe->turn.over = on_turn_over;
    probe->turn.arg = probe;
    probe->dialed.fd = -1;
    probe->dial.net = net;
    probe->dial.trail = attempt->trail;
    probe->dial.arg = probe;
    probe->next = state->first;
    if (probe->next != NULL) {
        probe->next->prev = probe;
    }
    state->first = probe;
    dial(probe);
    return err_ok();
}

struct err http01_state_new(struct val_net *net, struct http01_state **out)
{
    struct http01_state *state = mem_zalloc(sizeof(*state));

    TRY_PTR(state);
    state->net = net;
    struct err e = fetcher_new(net, &state->fetcher);
    if (e.code != ERR_OK) {
        mem_free(state);
        return e;
    }
    *out = state;
    return err_ok();
}

void http01_state_free(struct http01_state *state)
{
    if (state == NULL) {
        return;
    }
    while (state->first != NULL) {
        free_probe(state->first);
    }
    fetcher_free(state->fetcher);
    mem_free(state);
}
