/* The way in: the packet is judged, header and OPT are put around what was found. */
#include <string.h>

#include "dns/answer_int.h"
#include "dns/cookie.h"

#define OPTION_EDE 15u
#define EDE_LEN 2u

/* A cookie to go into the OPT record. */
struct cookie {
    bool is_there;
    enum cookie_state state;
    uint8_t octets[COOKIE_LEN];
};

/* --- the OPT record --------------------------------------------------------------------------- */

static size_t put_option(uint8_t *p, unsigned code, const uint8_t *data, size_t len)
{
    wire_put16(p, code);
    wire_put16(p + 2, len);
    memcpy(p + EDNS_OPTION_HEAD_LEN, data, len);
    return EDNS_OPTION_HEAD_LEN + len;
}

/* What is known in both directions: no option or flag comes back but these. RFC 6891 §6.1.4 */
static size_t put_opt(uint8_t *p, const struct dns_query *q, unsigned rcode, unsigned ede,
                      const struct cookie *cookie)
{
    size_t len = DNS_OPT_LEN;

    p[0] = 0;
    wire_put16(p + 1, DNS_TYPE_OPT);
    wire_put16(p + 3, DNS_UDP_EDNS_MAX);
    p[5] = (uint8_t)(rcode >> 4);
    p[6] = 0;
    wire_put16(p + 7, q->is_dnssec_ok ? EDNS_DO : 0);
    if (cookie != NULL && cookie->is_there) {
        len += put_option(p + len, EDNS_OPTION_COOKIE, cookie->octets, COOKIE_LEN);
    }
    if (ede != 0) {
        uint8_t info[EDE_LEN];
        wire_put16(info, ede);
        len += put_option(p + len, OPTION_EDE, info, EDE_LEN);
    }
    wire_put16(p + 9, len - DNS_OPT_LEN);
    return len;
}

/* --- answers without records ------------------------------------------------------------------ */

/* RD means something with QUERY only. RFC 2136 §2.2 */
static size_t header_only(const uint8_t *query, unsigned rcode, uint8_t *out)
{
    unsigned kept = wire_opcode(query) == OPCODE_QUERY ? OPCODE_BITS | FLAG_RD : OPCODE_BITS;

    memset(out, 0, DNS_HEADER_LEN);
    memcpy(out, query, 2);
    out[2] = (uint8_t)(FLAG_QR | (query[2] & kept));
    out[3] = (uint8_t)(rcode & RCODE_BITS);
    return DNS_HEADER_LEN;
}

size_t answer_error(const uint8_t *query, size_t query_len, unsigned rcode, unsigned ede,
                    uint8_t *out, size_t cap)
{
    UNCLEARED struct dns_query q;
    enum query_verdict verdict = query_parse(query, query_len, &q);

    if (verdict == QUERY_DROP || cap < DNS_UDP_PLAIN_MAX) {
        return 0;
    }
    if (verdict == QUERY_UPDATE) {
        verdict = query_parse_update(query, query_len, &q);
    }
    size_t len = header_only(query, rcode, out);
    if (verdict != QUERY_OK) {
        return len;
    }
    if (q.has_question) {
        memcpy(out + len, query + len, q.question_end - len);
        wire_put16(out + 4, 1);
        len = q.question_end;
    }
    if (q.has_edns) {
        len += put_opt(out + len, &q, rcode, ede, NULL);
        wire_put16(out + 10, 1);
    }
    return len;
}

/* --- cookies ---------------------------------------------------------------------------------- */

/* False: the option has a length that none has (RFC 7873 §5.2.2). A wrong server cookie is no error:
 * the answer carries the right one, and what is limited for want of it is the server's to say. */
static bool read_cookie(const struct answer_in *in, const struct dns_query *q, struct cookie *out)
{
    out->is_there = false;
    out->state = COOKIE_ALONE;
    if (q->cookie == NULL || in->env == NULL || !in->env->has_cookies || in->peer == NULL) {
        return true;
    }
    if (!cookie_is_length(q->cookie_len)) {
        return false;
    }
    out->is_there = true;
    out->state = cookie_answer(in->env->cookie_secret, 2, in->peer, in->now_unix, q->cookie,
                               q->cookie_len, out->octets);
    return true;
}

/* --- a whole answer --------------------------------------------------------------------------- */

static size_t size_allowed(const struct dns_query *q, bool is_tcp, size_t cap)
{
    size_t limit = DNS_UDP_PLAIN_MAX;

    if (is_tcp) {
        limit = DNS_TCP_MAX;
    } else if (q->has_edns && q->edns_size > DNS_UDP_PLAIN_MAX) {
        limit = q->edns_size < DNS_UDP_EDNS_MAX ? q->edns_size : DNS_UDP_EDNS_MAX;
    }
    return limit < cap ? limit : cap;
}

/* Header, counts and OPT around what was found. */
static size_t finish(struct reply *r, const struct cookie *cookie)
{
    uint8_t *out = r->out;
    /* Who goes on resolving puts an OPT of its own. */
    bool has_opt = r->q->has_edns && r->verdict == ANSWER_SEND;

    /* Never a part of an RRset: the question alone, ask again over TCP. RFC 2181 §9 */
    if (r->is_full) {
        r->len = r->q->question_end;
        r->answer_n = r->authority_n = r->additional_n = 0;
    }
    out[2] = (uint8_t)(FLAG_QR | (out[2] & FLAG_RD) | (r->is_authoritative ? FLAG_AA : 0) |
                       (r->is_full ? FLAG_TC : 0));
    out[3] = r->rcode & RCODE_BITS;
    wire_put16(out + 6, r->answer_n);
    wire_put16(out + 8, r->authority_n);
    wire_put16(out + 10, r->additional_n + (has_opt ? 1u : 0u));
    if (has_opt) {
        r->len += put_opt(out + r->len, r->q, r->rcode, r->ede, cookie);
    }
    return r->len;
}

/* RFC 7873 §5.4: a question for a cookie alone. */
static void solve_cookie(struct reply *r, const struct cookie *cookie)
{
    bool is_bad = cookie->state == COOKIE_BAD;

    r->reason = is_bad ? ANSWER_BAD_COOKIE : ANSWER_NODATA;
    r->rcode = is_bad ? RCODE_BADCOOKIE : RCODE_NOERROR;
}

static void solve(struct reply *r, const struct cookie *cookie)
{
    const struct answer_env *env = r->in->env;

    if (r->q->has_tsig && env != NULL && env->has_work) {
        r->verdict = ANSWER_WORK;
    } else if (r->q->edns_version != 0) {
        r->reason = ANSWER_BROKEN;
        r->rcode = RCODE_BADVERS;
    } else if (r->q->has_question) {
        solve_question(r);
    } else {
        solve_cookie(r, cookie);
    }
    if (r->is_full) { /* truncated: whatever was to come is asked for again */
        r->verdict = ANSWER_SEND;
    }
}

static enum answer_verdict answer_query(const struct answer_in *in, const struct dns_query *q,
                                        struct reply *r, size_t cap, size_t *len,
                                        struct answer_info *info)
{
    UNCLEARED struct cookie cookie;
    size_t allowed = size_allowed(q, in->is_tcp, cap);

    info->type = q->has_question ? q->type : 0;
    info->question_end = q->question_end;
    if (!read_cookie(in, q, &cookie) || (!q->has_question && !cookie.is_there)) {
        info->rcode = RCODE_FORMERR;
        /* With its OPT record: FORMERR without one says that there is no EDNS here. RFC 6891 §7 */
        *len = answer_error(in->query, in->query_len, RCODE_FORMERR, 0, r->out, cap);
        return ANSWER_SEND;
    }
    info->has_good_cookie = cookie.is_there && cookie.state == COOKIE_GOOD;
    r->len = q->question_end;
    r->limit = allowed - (q->has_edns ? DNS_OPT_LEN : 0) -
               (cookie.is_there ? EDNS_OPTION_HEAD_LEN + COOKIE_LEN : 0);
    memcpy(r->out, in->query, q->question_end);
    solve(r, &cookie);
    info->reason = r->reason == ANSWER_REASONS_N ? ANSWER_NODATA : r->reason;
    info->rcode = r->rcode;
    info->zone = r->zone;
    info->is_cut = r->is_full;
    if (r->verdict == ANSWER_WORK || (r->verdict == ANSWER_FORWARD && r->answer_n == 0)) {
        return r->verdict;
    }
    size_t whole = finish(r, &cookie);
    *len = reply_bounded(r->out, whole, allowed);
    if (*len != whole) {
        info->rcode = RCODE_SERVFAIL;
        return ANSWER_SEND;
    }
    return r->verdict;
}

enum answer_verdict answer_traced(const struct answer_in *in, uint8_t *out, size_t cap, size_t *len,
                                  struct answer_info *info, struct buf *trace)
{
    UNCLEARED struct dns_query q;
    struct reply r = {.in = in,
                      .snap = in->snap,
                      .q = &q,
                      .out = out,
                      .verdict = ANSWER_SEND,
                      .reason = ANSWER_REASONS_N,
                      .zone = -1,
                      .trace = trace};
    bool has_work = in->env != NULL && in->env->has_work;

    *info = (struct answer_info){.reason = ANSWER_BROKEN, .zone = -1};
    *len = 0;
    enum query_verdict verdict = query_parse(in->query, in->query_len, &q);
    if (verdict == QUERY_DROP || cap < DNS_UDP_PLAIN_MAX) {
        return ANSWER_DROP;
    }
    info->opcode = (uint8_t)wire_opcode(in->query);
    switch (verdict) {
    case QUERY_DROP:
    case QUERY_FORMERR:
        info->rcode = RCODE_FORMERR;
        break;
    case QUERY_UPDATE:
        if (has_work) {
            return ANSWER_WORK;
        }
        info->rcode = RCODE_NOTIMP;
        break;
    case QUERY_NOTIMP:
        info->rcode = RCODE_NOTIMP;
        break;
    case QUERY_OK:
        return answer_query(in, &q, &r, cap, len, info);
    }
    *len = header_only(in->query, info->rcode, out);
    return ANSWER_SEND;
}

enum answer_verdict answer(const struct answer_in *in, uint8_t *out, size_t cap, size_t *len,
                           struct answer_info *info)
{
    struct answer_info unused;

    return answer_traced(in, out, cap, len, info == NULL ? &unused : info, NULL);
}

size_t answer_build(const struct zone_snapshot *snap, const uint8_t *query, size_t query_len,
                    bool is_tcp, uint8_t *out, size_t out_cap)
{
    const struct answer_in in = {
        .snap = snap, .query = query, .query_len = query_len, .is_tcp = is_tcp};
    size_t len = 0;

    return answer(&in, out, out_cap, &len, NULL) == ANSWER_SEND ? len : 0;
}
