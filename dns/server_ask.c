/* What UDP and TCP threads have in common: asking for the answer, and handing on what others answer. */
#include <string.h>

#include "dns/forward.h"
#include "dns/query.h"
#include "dns/request_internal.h"
#include "dns/server_internal.h"
#include "dns/watch.h"
#include "dns/work.h"

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "core/util/token.h"

/* A secret makes cookies for a day and is accepted for another one; RFC 7873 §7.1 wants at most 36
 * days. */
#define COOKIE_DAY_MS (24 * 3600 * INT64_C(1000))

struct err dns_shared_init(struct dns_shared *shared, const struct dns_server_options *options)
{
    shared->zones = options->zones;
    shared->forward = options->forward;
    shared->work = options->work;
    shared->watch = options->watch;
    shared->rrl = options->rrl;
    shared->has_cookies = options->has_cookies;
    (void)pthread_mutex_init(&shared->cookie_lock, NULL);
    TRY(random_bytes(shared->cookie_secret, sizeof(shared->cookie_secret)));
    TRY(random_bytes(&shared->share_seed, sizeof(shared->share_seed)));
    atomic_store(&shared->cookie_until_ms, clock_mono_ms() + COOKIE_DAY_MS);
    atomic_store(&shared->cookie_generation, 1);
    return err_ok();
}

void dns_shared_clear(struct dns_shared *shared)
{
    mem_wipe(shared->cookie_secret, sizeof(shared->cookie_secret));
    (void)pthread_mutex_destroy(&shared->cookie_lock);
}

static bool may_forward(const void *ctx, const struct ip_addr *peer)
{
    return forward_is_allowed(ctx, peer);
}

static void take_cookies(struct dns_asker *asker, uint32_t generation)
{
    struct dns_shared *shared = asker->shared;

    (void)pthread_mutex_lock(&shared->cookie_lock);
    memcpy(asker->env.cookie_secret, shared->cookie_secret, sizeof(shared->cookie_secret));
    (void)pthread_mutex_unlock(&shared->cookie_lock);
    asker->cookie_generation = generation;
}

static void turn_cookies(struct dns_shared *shared, int64_t now_ms)
{
    uint8_t fresh[COOKIE_KEY_LEN];

    if (random_bytes(fresh, sizeof(fresh)).code != ERR_OK) {
        log_ev(LOG_WARN, "dns.cookie.secret", {"msg", "no random bytes: the old secret stays"});
        return;
    }
    (void)pthread_mutex_lock(&shared->cookie_lock);
    if (now_ms >= atomic_load(&shared->cookie_until_ms)) { /* nobody was faster */
        memcpy(shared->cookie_secret[1], shared->cookie_secret[0], COOKIE_KEY_LEN);
        memcpy(shared->cookie_secret[0], fresh, COOKIE_KEY_LEN);
        atomic_store(&shared->cookie_until_ms, now_ms + COOKIE_DAY_MS);
        atomic_fetch_add(&shared->cookie_generation, 1);
    }
    (void)pthread_mutex_unlock(&shared->cookie_lock);
    mem_wipe(fresh, sizeof(fresh));
}

struct err dns_asker_init(struct dns_asker *asker, struct dns_shared *shared)
{
    asker->shared = shared;
    asker->env.may_forward = shared->forward != NULL ? may_forward : NULL;
    asker->env.forward_ctx = shared->forward;
    asker->env.has_work = shared->work != NULL;
    asker->env.has_cookies = shared->has_cookies;
    if (shared->watch != NULL) {
        TRY(watch_thread_new(shared->watch, &asker->watch));
    }
    return zone_reader_new(shared->zones, &asker->reader);
}

void dns_asker_clear(struct dns_asker *asker)
{
    zone_reader_free(MOVE(asker->reader));
    mem_wipe(&asker->env, sizeof(asker->env));
}

void dns_asker_tick(struct dns_asker *asker)
{
    struct dns_shared *shared = asker->shared;

    asker->now_ms = clock_mono_ms();
    if (!shared->has_cookies) {
        return;
    }
    asker->now_unix = (uint32_t)clock_unix_s();
    if (asker->now_ms >= atomic_load_explicit(&shared->cookie_until_ms, memory_order_relaxed)) {
        turn_cookies(shared, asker->now_ms);
    }
    uint32_t generation = atomic_load_explicit(&shared->cookie_generation, memory_order_acquire);
    if (generation != asker->cookie_generation) {
        take_cookies(asker, generation);
    }
}

enum answer_verdict dns_ask(struct dns_asker *asker, struct answer_in *in, uint8_t *out, size_t cap,
                            size_t *len, struct answer_info *info)
{
    in->env = &asker->env;
    in->snap = asker->snap;
    in->now_unix = asker->now_unix;
    *len = 0;
    enum answer_verdict verdict = answer(in, out, cap, len, info);
    /* Also with names of ours: it is said of the server, not of the name. RFC 1035 §4.1.1 */
    if (verdict == ANSWER_SEND && *len >= DNS_HEADER_LEN && asker->shared->forward != NULL &&
        forward_is_allowed(asker->shared->forward, in->peer)) {
        out[3] |= FLAG_RA;
    }
    /* What a work thread answers is counted by it, when the RCODE is known. */
    if (asker->watch != NULL && verdict != ANSWER_WORK) {
        watch_note(asker->watch, in, info, verdict);
    }
    return verdict;
}

/* A transfer by UDP that finds no place hears so at once, so that no secondary waits for nothing.
 * (By TCP the caller says it.) False: nothing was said. */
static bool say_full(struct dns_request *request)
{
    uint8_t out[DNS_UDP_PLAIN_MAX];
    size_t *len = NULL;
    const uint8_t *query = dns_request_bytes(request, &len);

    if (dns_request_is_tcp(request) || !work_is_transfer(request)) {
        return false;
    }
    size_t n = answer_error(query, *len, RCODE_SERVFAIL, 0, out, sizeof(out));
    return n != 0 && dns_request_send(request, out, n).code == ERR_OK;
}

/* Who sees a cookie in some answers and none in others asks again over TCP. RFC 7873 §5.2.3, §5.3 */
static void add_cookie(const struct dns_asker *asker, struct dns_request *request)
{
    struct dns_query q;

    if (asker->env.has_cookies && query_parse(request->data, request->len, &q) == QUERY_OK &&
        q.cookie != NULL && cookie_is_length(q.cookie_len)) {
        (void)cookie_answer(asker->env.cookie_secret, 2, &request->peer, asker->now_unix, q.cookie,
                            q.cookie_len, request->cookie);
        request->has_cookie = true;
    }
}

bool dns_hand_over(struct dns_asker *asker, enum answer_verdict verdict,
                   struct dns_request *take_request)
{
    struct dns_shared *shared = asker->shared;

    if (take_request == NULL) {
        return false;
    }
    if (verdict == ANSWER_FORWARD) {
        dns_count(&asker->count.forwarded, 1);
        add_cookie(asker, take_request);
        forward_ask(shared->forward, take_request);
        return true;
    }
    if (!work_put(shared->work, take_request)) {
        dns_count(&asker->count.work_full, 1);
        bool is_answered = say_full(take_request);
        dns_request_end(take_request);
        return is_answered;
    }
    dns_count(&asker->count.work, 1);
    return true;
}
