#include "ca/der.h"

#define DEPTH_MAX 12
#define DER_BOOLEAN 0x01u
#define DER_ENUMERATED 0x0au
#define DER_SET 0x31u
#define CONSTRUCTED 0x20u
#define CLASS_MASK 0xc0u

static bool fail(struct rd *r)
{
    r->failed = true;
    return false;
}

/* X.690 §10.1: the definite form in the fewest octets. */
static bool read_length(struct rd *r, size_t *len)
{
    uint8_t first = rd_u8(r);
    size_t value = 0;

    if (first < 0x80u) {
        *len = first;
        return !r->failed;
    }
    unsigned octets = first & 0x7fu;
    if (octets == 0 || octets > 3) {
        return fail(r);
    }
    for (unsigned i = 0; i < octets; i++) {
        uint8_t octet = rd_u8(r);
        if (i == 0 && octet == 0) {
            return fail(r);
        }
        value = value << 8 | octet;
    }
    if (r->failed || value < 0x80u) {
        return fail(r);
    }
    *len = value;
    return true;
}

bool der_next(struct rd *r, struct der_item *out)
{
    const uint8_t *start = r->p;
    size_t len = 0;

    if (r->failed || r->left == 0) {
        return false;
    }
    uint8_t tag = rd_u8(r);
    if ((tag & 0x1fu) == 0x1fu || tag == 0) {
        return fail(r);
    }
    if (!read_length(r, &len)) {
        return false;
    }
    const uint8_t *body = rd_bytes(r, len);
    if (body == NULL) {
        return fail(r);
    }
    out->tag = tag;
    out->body = body;
    out->len = len;
    out->whole = start;
    out->whole_len = (size_t)(body - start) + len;
    return true;
}

bool der_expect(struct rd *r, uint8_t tag, struct der_item *out)
{
    if (!der_next(r, out)) {
        return false;
    }
    return out->tag == tag || fail(r);
}

struct rd der_enter(const struct der_item *item)
{
    return rd_init(item->body, item->len);
}

static bool is_minimal_integer(const struct der_item *item)
{
    if (item->len == 0) {
        return false;
    }
    if (item->len == 1) {
        return true;
    }
    return !(item->body[0] == 0x00 && item->body[1] < 0x80u) &&
           !(item->body[0] == 0xff && item->body[1] >= 0x80u);
}

/* X.690 §11.2.1: bits that are not used are zero. */
static bool is_strict_bits(const struct der_item *item)
{
    if (item->len == 0 || item->body[0] > 7 || (item->len == 1 && item->body[0] != 0)) {
        return false;
    }
    return (item->body[item->len - 1] & ((1u << item->body[0]) - 1u)) == 0;
}

static bool is_strict_primitive(const struct der_item *item)
{
    switch (item->tag) {
    case DER_BOOLEAN:
        return item->len == 1 && (item->body[0] == 0x00 || item->body[0] == 0xff);
    case DER_INTEGER:
    case DER_ENUMERATED:
        return is_minimal_integer(item);
    case DER_BIT_STRING:
        return is_strict_bits(item);
    case DER_NULL:
        return item->len == 0;
    case DER_OID:
        return item->len >= 1 && (item->body[item->len - 1] & 0x80u) == 0;
    default:
        return true;
    }
}

/* Walks one level per entry of `stack`, so that the depth is bounded without recursion. */
bool der_is_strict(const uint8_t *der, size_t len)
{
    struct rd stack[DEPTH_MAX];
    int depth = 0;
    struct der_item item;
    struct rd top = rd_init(der, len);

    if (!der_next(&top, &item) || top.left != 0) {
        return false;
    }
    stack[0] = rd_init(der, len);
    while (depth >= 0) {
        struct rd *r = &stack[depth];
        if (r->left == 0) {
            depth--;
            continue;
        }
        if (!der_next(r, &item)) {
            return false;
        }
        if ((item.tag & CONSTRUCTED) == 0) {
            if (!is_strict_primitive(&item)) {
                return false;
            }
            continue;
        }
        /* DER knows no constructed strings (X.690 §10.2). */
        if ((item.tag & CLASS_MASK) == 0 && item.tag != DER_SEQUENCE && item.tag != DER_SET) {
            return false;
        }
        depth++;
        if (depth == DEPTH_MAX) {
            return false;
        }
        stack[depth] = der_enter(&item);
    }
    return true;
}

void der_put(struct buf *out, uint8_t tag, const void *body, size_t len)
{
    buf_u8(out, tag);
    if (len < 0x80u) {
        buf_u8(out, (uint8_t)len);
    } else if (len <= 0xffu) {
        buf_u8(out, 0x81);
        buf_u8(out, (uint8_t)len);
    } else if (len <= 0xffffu) {
        buf_u8(out, 0x82);
        buf_u16(out, (uint16_t)len);
    } else if (len <= 0xffffffu) {
        buf_u8(out, 0x83);
        buf_u8(out, (uint8_t)(len >> 16));
        buf_u16(out, (uint16_t)len);
    } else {
        out->failed = true;
    }
    buf_put(out, body, len);
}
