/* The client's answer, record by record out of other servers' answers. Records are copied rather than
 * parsed and printed again: names keep their spelling, types that nobody knows their octets. */
#include "dns/forward_int.h"

#include <string.h>

#include "dns/answer.h"
#include "dns/cookie.h"
#include "dns/query.h"

/* One record may pass the end before that is seen. */
#define MESSAGE_MAX (3u * DNS_TCP_MAX)

/* --- names ------------------------------------------------------------------------------------ */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* Length octets are below 'A', so whole names compare octet by octet. RFC 4343 §3 */
static bool is_same_octets(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

static bool is_same_name(const struct forward_name *a, const struct forward_name *b)
{
    return a->len == b->len && is_same_octets(a->octets, b->octets, a->len);
}

static bool is_below(const struct forward_name *name, const struct forward_name *above)
{
    for (size_t at = 0; name->len - at > above->len;) {
        at += name->octets[at] + 1u;
        if (name->len - at == above->len &&
            is_same_octets(name->octets + at, above->octets, above->len)) {
            return true;
        }
    }
    return false;
}

/* The name at *pos, which moves behind it; pointers lead backwards only. */
static bool read_name(const uint8_t *packet, size_t len, size_t *pos, struct forward_name *out)
{
    size_t at = *pos;
    size_t lowest = at;
    bool has_jumped = false;

    for (out->len = 0; at < len;) {
        uint8_t octet = packet[at];
        if ((octet & DNS_POINTER_BITS) == DNS_POINTER_BITS) {
            size_t to = at + 1 < len ? wire_get16(packet + at) & DNS_POINTER_MAX : len;
            *pos = has_jumped ? *pos : at + 2;
            if (to >= lowest) {
                return false;
            }
            lowest = at = to;
            has_jumped = true;
            continue;
        }
        if (octet > LABEL_MAX || octet + 1u > len - at ||
            octet + 1u > sizeof(out->octets) - out->len) {
            return false;
        }
        memcpy(out->octets + out->len, packet + at, octet + 1u);
        out->len += octet + 1u;
        at += octet + 1u;
        if (octet == 0) {
            *pos = has_jumped ? *pos : at;
            return true;
        }
    }
    return false;
}

/* --- records ---------------------------------------------------------------------------------- */

struct record {
    struct forward_name owner;
    unsigned type, class_;
    size_t head; /* offset of TYPE */
    size_t data, data_len;
};

static bool read_record(const uint8_t *packet, size_t len, size_t *pos, struct record *out)
{
    if (!read_name(packet, len, pos, &out->owner) || len - *pos < DNS_RR_HEAD_LEN) {
        return false;
    }
    out->head = *pos;
    out->type = wire_get16(packet + *pos);
    out->class_ = wire_get16(packet + *pos + 2);
    out->data_len = wire_get16(packet + *pos + 8);
    out->data = *pos + DNS_RR_HEAD_LEN;
    if (out->data_len > len - out->data) {
        return false;
    }
    *pos = out->data + out->data_len;
    return true;
}

/* Where names stand in the RDATA of the types that may be compressed. RFC 1035 §3.3, RFC 3597 §4 */
struct layout {
    uint8_t type, skip, names_n;
};
static const struct layout LAYOUTS[] = {
    {2, 0, 1},  /* NS */
    {3, 0, 1},  /* MD */
    {4, 0, 1},  /* MF */
    {5, 0, 1},  /* CNAME */
    {6, 0, 2},  /* SOA */
    {7, 0, 1},  /* MB */
    {8, 0, 1},  /* MG */
    {9, 0, 1},  /* MR */
    {12, 0, 1}, /* PTR */
    {14, 0, 2}, /* MINFO */
    {15, 2, 1}, /* MX */
    {39, 0, 1}, /* DNAME: never compressed, but it is a name that we look at */
};

/* RDATA without compression. */
static bool put_data(struct buf *out, const uint8_t *packet, size_t len,
                     const struct record *record)
{
    const struct layout *layout = NULL;
    size_t at = record->data;
    size_t end = record->data + record->data_len;
    struct forward_name name;

    for (size_t i = 0; i < sizeof(LAYOUTS) / sizeof(LAYOUTS[0]); i++) {
        layout = LAYOUTS[i].type == record->type ? &LAYOUTS[i] : layout;
    }
    if (layout != NULL) {
        if (record->data_len < layout->skip) {
            return false;
        }
        buf_put(out, packet + at, layout->skip);
        at += layout->skip;
        for (unsigned n = 0; n < layout->names_n; n++) {
            if (!read_name(packet, len, &at, &name) || at > end) {
                return false;
            }
            buf_put(out, name.octets, name.len);
        }
    }
    buf_put(out, packet + at, end - at);
    return true;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void remember(struct forward_draft *draft, size_t at)
{
    if (draft->names_n < FORWARD_NAMES_MAX && at <= DNS_POINTER_MAX) {
        draft->names[draft->names_n++] = (uint16_t)at;
    }
}

/* A pointer where the whole name stands already; a client's own spelling of the question so comes back
 * with the records. */
static void put_owner(struct forward_draft *draft, const struct forward_name *owner)
{
    const struct buf *message = &draft->message;

    for (size_t i = 0; i < draft->names_n; i++) {
        size_t at = draft->names[i];
        if (message->len - at >= owner->len &&
            is_same_octets(message->data + at, owner->octets, owner->len)) {
            buf_u16(&draft->message, (uint16_t)(DNS_POINTER | at));
            return;
        }
    }
    remember(draft, message->len);
    buf_put(&draft->message, owner->octets, owner->len);
}

/* False: RDATA that is none of its type's. */
static bool put_record(struct forward_draft *draft, const struct forward_said *said,
                       const struct record *record)
{
    struct buf *message = &draft->message;

    if (message->len > DNS_TCP_MAX) {
        return true; /* it will be cut anyway */
    }
    put_owner(draft, &record->owner);
    buf_put(message, said->packet + record->head, DNS_RR_HEAD_LEN);
    size_t data = message->len;
    if (!put_data(message, said->packet, said->len, record)) {
        return false;
    }
    if (message->failed) {
        return true;
    }
    if (message->len - data > UINT16_MAX) {
        return false;
    }
    wire_put16(message->data + data - 2, message->len - data);
    if (record->type == DNS_TYPE_CNAME) {
        remember(draft, data);
    }
    return true;
}

/* --- reading answers -------------------------------------------------------------------------- */

static bool is_question_of(const struct forward_draft *draft, const struct forward_said *said,
                           size_t *pos)
{
    struct forward_name name;

    *pos = DNS_HEADER_LEN;
    return said->len >= DNS_HEADER_LEN && (said->packet[2] & FLAG_QR) != 0 &&
           wire_get16(said->packet + 4) == 1 && read_name(said->packet, said->len, pos, &name) &&
           is_same_name(&name, &draft->name) && said->len - *pos >= DNS_QUESTION_TAIL_LEN &&
           wire_get16(said->packet + *pos) == draft->type;
}

struct hop {
    struct forward_name target;
    bool is_alias, has_found;
};

static bool is_wanted(const struct forward_draft *draft, unsigned type)
{
    return type == draft->type || type == DNS_TYPE_CNAME || draft->type == DNS_TYPE_ANY ||
           (type == DNS_TYPE_RRSIG && draft->is_dnssec_ok);
}

/* One record of the answer section: belongs it to draft->name? */
static bool take_record(struct forward_draft *draft, const struct forward_said *said,
                        const struct record *record, struct hop *hop)
{
    bool is_at = is_same_name(&record->owner, &draft->name) && is_wanted(draft, record->type);
    bool is_above = record->type == DNS_TYPE_DNAME && is_below(&draft->name, &record->owner);

    if (record->class_ != DNS_CLASS_IN || (!is_at && !is_above)) {
        return true;
    }
    if (is_at && record->type == DNS_TYPE_CNAME && draft->type != DNS_TYPE_CNAME &&
        draft->type != DNS_TYPE_ANY) {
        size_t at = record->data;
        if (hop->is_alias) {
            return true; /* one CNAME at a name. RFC 2181 §10.1 */
        }
        if (!read_name(said->packet, said->len, &at, &hop->target)) {
            return false;
        }
        hop->is_alias = true;
    } else if (is_at && record->type != DNS_TYPE_RRSIG) {
        hop->has_found = true;
    }
    draft->answer_n++;
    return put_record(draft, said, record);
}

/* The records at draft->name. */
static bool take_hop(struct forward_draft *draft, const struct forward_said *said, size_t pos,
                     struct hop *hop)
{
    unsigned n = wire_get16(said->packet + 6);
    struct record record;

    for (unsigned i = 0; i < n; i++) {
        if (!read_record(said->packet, said->len, &pos, &record) ||
            !take_record(draft, said, &record, hop)) {
            return false;
        }
    }
    return true;
}

/* The SOA of a negative answer (RFC 2308 §3), and its proof for those who want one. */
static bool take_authority(struct forward_draft *draft, const struct forward_said *said, size_t pos,
                           bool is_negative)
{
    unsigned answer_n = wire_get16(said->packet + 6);
    unsigned n = answer_n + wire_get16(said->packet + 8);
    struct record record;

    for (unsigned i = 0; i < n; i++) {
        if (!read_record(said->packet, said->len, &pos, &record)) {
            return false;
        }
        bool is_soa =
            record.type == DNS_TYPE_SOA && is_negative &&
            (is_same_name(&draft->name, &record.owner) || is_below(&draft->name, &record.owner));
        bool is_proof =
            draft->is_dnssec_ok && (record.type == DNS_TYPE_RRSIG || record.type == DNS_TYPE_NSEC ||
                                    record.type == DNS_TYPE_NSEC3);
        if (i < answer_n || record.class_ != DNS_CLASS_IN || (!is_soa && !is_proof) ||
            (is_proof && said->is_ours != NULL && said->is_ours(said->arg, &record.owner))) {
            continue;
        }
        draft->authority_n++;
        if (!put_record(draft, said, &record)) {
            return false;
        }
    }
    return true;
}

static enum forward_step stepped(const struct forward_draft *draft, enum forward_step step)
{
    return draft->message.failed ? FORWARD_NO_MEMORY : step;
}

enum forward_step forward_draft_take(struct forward_draft *draft, const struct forward_said *said)
{
    size_t pos;

    if (!is_question_of(draft, said, &pos)) {
        return FORWARD_BROKEN;
    }
    pos += DNS_QUESTION_TAIL_LEN;
    for (;;) {
        struct hop hop = {.is_alias = false};
        if (!take_hop(draft, said, pos, &hop)) {
            return stepped(draft, FORWARD_BROKEN);
        }
        if (!hop.is_alias) {
            draft->rcode = said->packet[3] & RCODE_BITS;
            bool is_answer = draft->rcode == 0 || draft->rcode == RCODE_NXDOMAIN;
            bool is_read = is_answer && take_authority(draft, said, pos, !hop.has_found);
            return stepped(draft, is_read ? FORWARD_DONE : FORWARD_BROKEN);
        }
        if (++draft->hops > FORWARD_HOPS_MAX) {
            return FORWARD_BROKEN;
        }
        draft->name = hop.target;
        if (said->is_ours != NULL && said->is_ours(said->arg, &draft->name)) {
            return stepped(draft, FORWARD_OURS);
        }
    }
}

enum forward_step forward_draft_take_alias(struct forward_draft *draft,
                                           const struct forward_said *said)
{
    struct forward_draft asked = {.name = draft->name, .type = DNS_TYPE_CNAME};
    struct hop hop = {.is_alias = false};
    size_t pos;

    if (!is_question_of(&asked, said, &pos) ||
        !take_hop(draft, said, pos + DNS_QUESTION_TAIL_LEN, &hop) || !hop.is_alias ||
        ++draft->hops > FORWARD_HOPS_MAX) {
        return stepped(draft, FORWARD_BROKEN);
    }
    draft->name = hop.target;
    return stepped(draft, said->is_ours != NULL && said->is_ours(said->arg, &draft->name)
                              ? FORWARD_OURS
                              : FORWARD_BROKEN);
}

/* --- the OPT record --------------------------------------------------------------------------- */

size_t forward_put_cookie(uint8_t *opt, size_t len, const uint8_t *cookie)
{
    wire_put16(opt + len, EDNS_OPTION_COOKIE);
    wire_put16(opt + len + 2, COOKIE_LEN);
    memcpy(opt + len + EDNS_OPTION_HEAD_LEN, cookie, COOKIE_LEN);
    len += EDNS_OPTION_HEAD_LEN + COOKIE_LEN;
    wire_put16(opt + DNS_OPT_LEN - 2, len - DNS_OPT_LEN);
    return len;
}

/* --- beginning and end ------------------------------------------------------------------------ */

/* The records that stand already; the last CNAME says what is to be asked. */
static bool take_begun(struct forward_draft *draft, const struct forward_query *query)
{
    const struct forward_said said = {.packet = query->begun, .len = query->begun_len};

    if (forward_draft_take(draft, &said) != FORWARD_DONE || draft->hops == 0) {
        return false;
    }
    draft->is_authoritative = (query->begun[2] & FLAG_AA) != 0;
    return true;
}

struct err forward_draft_begin(const struct forward_query *query, struct forward_draft *out)
{
    struct dns_query parsed;
    uint8_t empty[DNS_UDP_PLAIN_MAX];

    *out = (struct forward_draft){.message = BUF_INIT(MESSAGE_MAX), .limit = query->limit};
    size_t empty_len = answer_error(query->octets, query->len, 0, 0, empty, sizeof(empty));
    if (empty_len == 0 || query_parse(query->octets, query->len, &parsed) != QUERY_OK ||
        !parsed.has_question || parsed.class_ != DNS_CLASS_IN) {
        FAIL(ERR_MALFORMED, "forwarding: there is no question of class IN in the message");
    }
    out->question_end = parsed.question_end;
    out->type = parsed.type;
    out->cd_bit = query->octets[3] & FLAG_CD;
    out->is_dnssec_ok = parsed.is_dnssec_ok;
    memcpy(out->name.octets, parsed.name.wire, parsed.name.len);
    out->name.len = parsed.name.len;
    if (empty_len < out->question_end || empty_len - out->question_end > DNS_OPT_LEN) {
        FAIL(ERR_INTERNAL, "forwarding: an empty answer of %zu octets", empty_len);
    }
    out->tail_len = empty_len - out->question_end;
    memcpy(out->tail, empty + out->question_end, out->tail_len);
    if (query->cookie != NULL && out->tail_len > 0) {
        out->tail_len = forward_put_cookie(out->tail, out->tail_len, query->cookie);
    }
    buf_put(&out->message, empty, out->question_end);
    remember(out, DNS_HEADER_LEN);
    if (query->begun != NULL && query->begun_len > 0 && !take_begun(out, query)) {
        FAIL(ERR_MALFORMED, "forwarding: the part of the answer that stands is broken");
    }
    return buf_check(&out->message);
}

void forward_draft_clear(struct forward_draft *draft)
{
    buf_clear(&draft->message);
}

struct err forward_draft_finish(struct forward_draft *draft, const uint8_t **message, size_t *len)
{
    struct buf *b = &draft->message;

    TRY(buf_check(b));
    bool is_cut = b->len + draft->tail_len > draft->limit;
    if (is_cut) { /* never a part of an RRset. RFC 2181 §9 */
        b->len = draft->question_end;
        draft->answer_n = draft->authority_n = 0;
    }
    buf_put(b, draft->tail, draft->tail_len);
    TRY(buf_check(b));
    uint8_t *head = b->data;
    head[2] =
        (uint8_t)((head[2] & ~(FLAG_AA | FLAG_TC)) |
                  (draft->is_authoritative && !is_cut ? FLAG_AA : 0) | (is_cut ? FLAG_TC : 0));
    /* CD comes back, RFC 4035 §3.2.2; neither Z nor AD: nothing is validated here. */
    head[3] = (uint8_t)(FLAG_RA | draft->cd_bit | draft->rcode);
    wire_put16(head + 6, draft->answer_n);
    wire_put16(head + 8, draft->authority_n);
    wire_put16(head + 10, draft->tail_len > 0 ? 1 : 0);
    *message = b->data;
    *len = b->len;
    return err_ok();
}

size_t forward_question(const struct forward_name *name, uint16_t type, uint8_t *out)
{
    memset(out, 0, DNS_HEADER_LEN);
    out[2] = FLAG_RD;
    out[5] = 1;
    memcpy(out + DNS_HEADER_LEN, name->octets, name->len);
    wire_put16(out + DNS_HEADER_LEN + name->len, type);
    wire_put16(out + DNS_HEADER_LEN + name->len + 2, DNS_CLASS_IN);
    return DNS_HEADER_LEN + name->len + DNS_QUESTION_TAIL_LEN;
}
