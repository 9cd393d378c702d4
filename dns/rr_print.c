/* RDATA as text. */
#include "dns/rr_int.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/util/mem.h"
#include "core/util/token.h"

static void put_octets(struct buf *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] < ' ' || p[i] > '~') {
            buf_printf(out, "\\%03u", (unsigned)p[i]);
        } else {
            if (p[i] == '"' || p[i] == '\\') {
                buf_putc(out, '\\');
            }
            buf_putc(out, (char)p[i]);
        }
    }
}

static void put_quoted(struct buf *out, const uint8_t *p, size_t n)
{
    buf_putc(out, '"');
    put_octets(out, p, n);
    buf_putc(out, '"');
}

static void put_ip(struct buf *out, int family, const uint8_t *octets)
{
    char text[INET6_ADDRSTRLEN];

    if (inet_ntop(family, octets, text, sizeof(text)) == NULL) {
        out->failed = true;
        return;
    }
    buf_puts(out, text);
}

static void put_hex(struct buf *out, const uint8_t *p, size_t n)
{
    char hex[3];

    for (size_t i = 0; i < n; i++) {
        hex_encode(p + i, 1, hex);
        buf_puts(out, hex);
    }
}

/* One field of RDATA that was checked. */
static void put_field(struct buf *out, enum rr_field field, struct rd *r)
{
    size_t n = 0;

    switch (field) {
    case FIELD_NAME:
        rr_name_text(r->p, out);
        (void)rd_bytes(r, rr_name_len(r->p));
        break;
    case FIELD_U8:
    case FIELD_ALGORITHM:
        buf_printf(out, "%u", (unsigned)rd_u8(r));
        break;
    case FIELD_U16:
    case FIELD_CERT:
        buf_printf(out, "%u", (unsigned)rd_u16(r));
        break;
    case FIELD_U32:
    case FIELD_PERIOD:
        buf_printf(out, "%lu", (unsigned long)rd_u32(r));
        break;
    case FIELD_A:
        put_ip(out, AF_INET, rd_bytes(r, 4));
        break;
    case FIELD_AAAA:
        put_ip(out, AF_INET6, rd_bytes(r, 16));
        break;
    case FIELD_STRING:
        n = rd_u8(r);
        put_quoted(out, rd_bytes(r, n), n);
        break;
    case FIELD_TAG:
        n = rd_u8(r);
        put_octets(out, rd_bytes(r, n), n);
        break;
    case FIELD_REST:
        n = r->left;
        put_quoted(out, rd_bytes(r, n), n);
        break;
    case FIELD_HEX:
        n = r->left;
        put_hex(out, rd_bytes(r, n), n);
        break;
    case FIELD_BASE64:
        n = r->left;
        base64_encode(out, rd_bytes(r, n), n);
        break;
    case FIELD_OTHER:
        out->failed = true;
        break;
    }
}

static void print_simple(const ldns_rr_descriptor *descriptor, const uint8_t *rdata, size_t len,
                         struct buf *out)
{
    struct rd r = rd_init(rdata, len);
    size_t least = ldns_rr_descriptor_minimum(descriptor);

    for (size_t i = 0; i < least || r.left > 0; i++) {
        if (i > 0) {
            buf_putc(out, ' ');
        }
        put_field(out, rr_field_of(ldns_rr_descriptor_field_type(descriptor, i)), &r);
    }
}

static void rr_freep(ldns_rr **rr)
{
    ldns_rr_free(*rr);
}

static void buffer_freep(ldns_buffer **buffer)
{
    ldns_buffer_free(*buffer);
}

bool rr_ldns_text(uint16_t type, const uint8_t *rdata, size_t len, struct buf *out)
{
    AUTO(rr_freep) ldns_rr *rr = ldns_rr_new();
    AUTO(buffer_freep) ldns_buffer *text = ldns_buffer_new(LDNS_MIN_BUFLEN);
    AUTO(buf_clear) struct buf wire = BUF_INIT(RR_RDATA_MAX + 2u);
    size_t pos = 0;

    buf_u16(&wire, (uint16_t)len);
    buf_put(&wire, rdata, len);
    if (rr == NULL || text == NULL || wire.failed) {
        return false;
    }
    ldns_rr_set_type(rr, (ldns_rr_type)type);
    if (ldns_wire2rdf(rr, wire.data, wire.len, &pos) != LDNS_STATUS_OK) {
        return false;
    }
    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        if (i > 0) {
            ldns_buffer_printf(text, " ");
        }
        if (ldns_rdf2buffer_str(text, ldns_rr_rdf(rr, i)) != LDNS_STATUS_OK) {
            return false;
        }
    }
    if (ldns_buffer_status(text) != LDNS_STATUS_OK) {
        return false;
    }
    buf_put(out, ldns_buffer_begin(text), ldns_buffer_position(text));
    return !out->failed;
}

static void print_generic(const uint8_t *rdata, size_t len, struct buf *out)
{
    buf_printf(out, "\\# %zu%s", len, len > 0 ? " " : "");
    put_hex(out, rdata, len);
}

/* Does this text give the octets back? What ldns prints it does not always read. */
static bool is_read_back(uint16_t type, const struct buf *text, const uint8_t *rdata, size_t len)
{
    AUTO(buf_clear) struct buf again = BUF_INIT(RR_RDATA_MAX);
    struct err e = rr_rdata_from_text(type, buf_str(text), text->len, NULL, &again);

    return e.code == ERR_OK && again.len == len &&
           (len == 0 || memcmp(again.data, rdata, len) == 0);
}

/* RDATA from the caller need not be that of its type. */
static bool fits(uint16_t type, const uint8_t *rdata, size_t len)
{
    AUTO(buf_clear) struct buf same = BUF_INIT(RR_RDATA_MAX);

    return rr_rdata_check(type, rdata, len, &same).code == ERR_OK && same.len == len;
}

struct err rr_rdata_text(uint16_t type, const uint8_t *rdata, size_t len, struct buf *out)
{
    const ldns_rr_descriptor *descriptor = ldns_rr_descript(type);
    AUTO(buf_clear) struct buf text = BUF_INIT(8u * RR_RDATA_MAX);
    static const uint8_t EMPTY[1] = {0};
    const uint8_t *data = len == 0 ? EMPTY : rdata;

    bool is_typed = descriptor->_type == type && rr_kind(type) != RR_META && fits(type, data, len);
    if (is_typed && rr_is_simple(descriptor)) {
        print_simple(descriptor, data, len, out);
    } else if (is_typed && rr_ldns_text(type, data, len, &text) &&
               is_read_back(type, &text, data, len)) {
        buf_put(out, text.data, text.len);
    } else {
        print_generic(data, len, out);
    }
    return buf_check(out);
}

struct err rr_text(const struct dns_rr *rr, struct buf *out)
{
    char type[RR_TYPE_TEXT_MAX + 1];

    rr_type_text(rr->type, type);
    rr_name_text(rr->owner, out);
    buf_printf(out, "\t%lu\t", (unsigned long)rr->ttl);
    if (rr->class_ == DNS_CLASS_IN) {
        buf_puts(out, "IN");
    } else {
        buf_printf(out, "CLASS%u", (unsigned)rr->class_);
    }
    buf_printf(out, "\t%s\t", type);
    TRY(rr_rdata_text(rr->type, rr->rdata, rr->rdata_len, out));
    buf_putc(out, '\n');
    return buf_check(out);
}
