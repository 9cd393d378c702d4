/* Walking a packet to its TSIG record: lengths, places and counts of RFC 8945 §4.2 and §5.1. */
#include <string.h>

#include "core/util/buf.h"
#include "dns/query.h"
#include "dns/tsig_int.h"

struct walk {
    const uint8_t *packet;
    size_t len;
    size_t pos;
};

/* Step over a name; what its pointer, if any, leads to is not looked at. */
static bool skip_name(struct walk *w)
{
    size_t name_len = 0;

    while (w->pos < w->len) {
        uint8_t n = w->packet[w->pos];
        if ((n & DNS_POINTER_BITS) == DNS_POINTER_BITS) {
            w->pos += 2;
            return w->pos <= w->len;
        }
        if ((n & DNS_POINTER_BITS) != 0) {
            return false;
        }
        name_len += n + 1u;
        w->pos += n + 1u;
        if (name_len > NAME_WIRE_MAX) {
            return false;
        }
        if (n == 0) {
            return w->pos <= w->len;
        }
    }
    return false;
}

static void put_folded(uint8_t *out, const uint8_t *label, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = label[i] >= 'A' && label[i] <= 'Z' ? (uint8_t)(label[i] - 'A' + 'a') : label[i];
    }
}

/* The name at `pos` in full, in lower case; pointers lead backwards only, so that it ends. */
static bool read_name(const struct walk *w, size_t pos, uint8_t out[NAME_WIRE_MAX], size_t *out_len)
{
    size_t n_out = 0;
    size_t lowest = pos;

    while (pos < w->len) {
        uint8_t n = w->packet[pos];
        if ((n & DNS_POINTER_BITS) == DNS_POINTER_BITS) {
            if (pos + 2 > w->len) {
                return false;
            }
            pos = wire_get16(w->packet + pos) & DNS_POINTER_MAX;
            if (pos >= lowest || pos < DNS_HEADER_LEN) {
                return false;
            }
            lowest = pos;
            continue;
        }
        if ((n & DNS_POINTER_BITS) != 0 || pos + 1u + n > w->len ||
            n_out + 1u + n > NAME_WIRE_MAX) {
            return false;
        }
        out[n_out] = n;
        put_folded(out + n_out + 1, w->packet + pos + 1, n);
        n_out += n + 1u;
        pos += n + 1u;
        if (n == 0) {
            *out_len = n_out;
            return true;
        }
    }
    return false;
}

/* Algorithm names are not compressed (RFC 3597 §4). */
static bool read_plain_name(struct rd *r, uint8_t out[NAME_WIRE_MAX], size_t *out_len)
{
    size_t n_out = 0;

    for (;;) {
        uint8_t n = rd_u8(r);
        const uint8_t *label = n > LABEL_MAX ? NULL : rd_bytes(r, n);
        if (r->failed || label == NULL || n_out + 1u + n > NAME_WIRE_MAX) {
            return false;
        }
        out[n_out] = n;
        put_folded(out + n_out + 1, label, n);
        n_out += n + 1u;
        if (n == 0) {
            *out_len = n_out;
            return true;
        }
    }
}

static bool read_rdata(const uint8_t *rdata, size_t len, struct tsig_rr *out)
{
    struct rd r = rd_init(rdata, len);

    if (!read_plain_name(&r, out->alg_name, &out->alg_name_len)) {
        return false;
    }
    out->time = (uint64_t)rd_u16(&r) << 32;
    out->time |= rd_u32(&r);
    out->fudge = rd_u16(&r);
    out->mac_len = rd_u16(&r);
    out->mac = rd_bytes(&r, out->mac_len);
    out->original_id = rd_u16(&r);
    out->error = rd_u16(&r);
    out->other_len = rd_u16(&r);
    out->other = rd_bytes(&r, out->other_len);
    return !r.failed && r.left == 0;
}

struct rr_head {
    size_t start;
    uint16_t type, class_;
    uint32_t ttl;
    const uint8_t *rdata;
    size_t rdata_len;
};

static bool skip_rr(struct walk *w, struct rr_head *head)
{
    head->start = w->pos;
    if (!skip_name(w) || w->len - w->pos < DNS_RR_HEAD_LEN) {
        return false;
    }
    const uint8_t *p = w->packet + w->pos;
    head->type = (uint16_t)wire_get16(p);
    head->class_ = (uint16_t)wire_get16(p + 2);
    head->ttl = wire_get32(p + 4);
    head->rdata_len = wire_get16(p + 8);
    head->rdata = p + DNS_RR_HEAD_LEN;
    w->pos += DNS_RR_HEAD_LEN;
    if (w->len - w->pos < head->rdata_len) {
        return false;
    }
    w->pos += head->rdata_len;
    return true;
}

static bool skip_questions(struct walk *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!skip_name(w) || w->len - w->pos < DNS_QUESTION_TAIL_LEN) {
            return false;
        }
        w->pos += DNS_QUESTION_TAIL_LEN;
    }
    return true;
}

enum tsig_find tsig_find(const uint8_t *packet, size_t len, struct tsig_rr *out)
{
    struct walk w = {packet, len, DNS_HEADER_LEN};
    struct rr_head head;

    if (len < DNS_HEADER_LEN || !skip_questions(&w, wire_get16(packet + 4))) {
        return TSIG_FIND_BROKEN;
    }
    const unsigned additional_n = wire_get16(packet + 10);
    const unsigned n = wire_get16(packet + 6) + wire_get16(packet + 8) + additional_n;
    for (unsigned i = 0; i < n; i++) {
        if (!skip_rr(&w, &head)) {
            return TSIG_FIND_BROKEN;
        }
        if (head.type != DNS_TYPE_TSIG) {
            continue;
        }
        memset(out, 0, sizeof(*out));
        out->start = head.start;
        bool is_right_there = additional_n > 0 && i + 1 == n && w.pos == w.len &&
                              head.class_ == DNS_CLASS_ANY && head.ttl == 0;
        return is_right_there && read_name(&w, head.start, out->key_name, &out->key_name_len) &&
                       read_rdata(head.rdata, head.rdata_len, out)
                   ? TSIG_FIND_ONE
                   : TSIG_FIND_BROKEN;
    }
    return TSIG_FIND_NONE;
}
