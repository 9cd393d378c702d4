/* Records as master files have them: RFC 1035 §5.1, RFC 3597 §5. */
#include "dns/rr_int.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"
#include "core/util/token.h"

#define LDNS_TEXT_MAX 60000u /* of RDATA that ldns parses: it drops silently what is longer */
#define STRING_MAX 255u

/* --- RDATA from text -------------------------------------------------------------------------- */

static bool read_number(const struct rr_word *word, uint64_t most, uint32_t *out)
{
    uint64_t value = 0;

    if (word->len == 0 || word->is_quoted) {
        return false;
    }
    for (size_t i = 0; i < word->len; i++) {
        if (!rr_is_digit(word->p[i])) {
            return false;
        }
        value = value * 10 + (uint64_t)(word->p[i] - '0');
        if (value > most) {
            return false;
        }
    }
    *out = (uint32_t)value;
    return true;
}

static struct err put_string(const struct rr_word *word, size_t most, bool has_length,
                             struct buf *out)
{
    uint8_t octets[STRING_MAX];
    const char *p = word->p;
    const char *end = word->p + word->len;
    size_t n = 0;
    uint8_t c = 0;
    bool was_escaped = false;

    while (p < end) {
        if (!rr_unescape(&p, end, &c, &was_escaped)) {
            FAIL(ERR_MALFORMED, "a broken escape; \\DDD has three digits up to 255");
        }
        if (n == most) {
            FAIL(ERR_MALFORMED,
                 "a character-string of more than %zu octets; split it into several "
                 "quoted ones",
                 most);
        }
        if (!has_length) {
            buf_u8(out, c);
        } else {
            octets[n] = c;
        }
        n++;
    }
    if (has_length) {
        buf_u8(out, (uint8_t)n);
        buf_put(out, octets, n);
    }
    return err_ok();
}

static struct err put_address(const struct rr_word *word, int family, struct buf *out)
{
    char text[IP_TEXT_MAX + 1];
    uint8_t octets[16];
    struct rr_shown shown;
    bool is_v4 = family == AF_INET;

    if (word->len <= IP_TEXT_MAX && !word->is_quoted) {
        memcpy(text, word->p, word->len);
        text[word->len] = '\0';
        if (strlen(text) == word->len && inet_pton(family, text, octets) == 1) {
            buf_put(out, octets, is_v4 ? 4 : 16);
            return err_ok();
        }
    }
    FAIL(ERR_MALFORMED, "'%s' is no %s address; one like %s was expected",
         rr_word_show(word, &shown), is_v4 ? "IPv4" : "IPv6", is_v4 ? "10.8.10.7" : "fd00::7");
}

static struct err put_number(const struct rr_word *word, enum rr_field field, struct buf *out)
{
    uint64_t most = field == FIELD_U8 ? UINT8_MAX : field == FIELD_U16 ? UINT16_MAX : UINT32_MAX;
    uint32_t value = 0;
    struct rr_shown shown;

    bool is_number = field == FIELD_PERIOD ? rr_ttl_parse(word->p, word->len, &value)
                                           : read_number(word, most, &value);
    if (!is_number) {
        FAIL(ERR_MALFORMED, "'%s' is no number from 0 to %llu%s", rr_word_show(word, &shown),
             (unsigned long long)most, field == FIELD_PERIOD ? ", or a time like 1h30m" : "");
    }
    for (uint64_t octet = most; octet > 0; octet >>= 8) {
        unsigned shift = 0;
        for (uint64_t rest = octet >> 8; rest > 0; rest >>= 8) {
            shift += 8;
        }
        buf_u8(out, (uint8_t)(value >> shift));
    }
    return err_ok();
}

/* A number, or its name in one of ldns's tables. */
static struct err put_named(const struct rr_word *word, enum rr_field field,
                            ldns_lookup_table *table, struct buf *out)
{
    struct rr_shown name;

    if (word->len > 0 && word->len < sizeof(name.text) && !rr_is_digit(word->p[0])) {
        const ldns_lookup_table *found = ldns_lookup_by_name(table, rr_word_show(word, &name));
        if (found != NULL && field == FIELD_U8) {
            buf_u8(out, (uint8_t)found->id);
            return err_ok();
        }
        if (found != NULL) {
            buf_u16(out, (uint16_t)found->id);
            return err_ok();
        }
    }
    return put_number(word, field, out);
}

static struct err put_field(const struct rr_word *word, enum rr_field field, const uint8_t *origin,
                            struct buf *out)
{
    uint8_t name[NAME_WIRE_MAX];
    size_t name_len = 0;

    switch (field) {
    case FIELD_NAME:
        TRY(rr_name_from_text(word->p, word->len, origin, name, &name_len));
        buf_put(out, name, name_len);
        return err_ok();
    case FIELD_U8:
    case FIELD_U16:
    case FIELD_U32:
    case FIELD_PERIOD:
        return put_number(word, field, out);
    case FIELD_A:
        return put_address(word, AF_INET, out);
    case FIELD_AAAA:
        return put_address(word, AF_INET6, out);
    case FIELD_STRING:
    case FIELD_TAG:
        return put_string(word, STRING_MAX, true, out);
    case FIELD_REST:
        return put_string(word, RR_RDATA_MAX, false, out);
    case FIELD_ALGORITHM:
        return put_named(word, FIELD_U8, ldns_algorithms, out);
    case FIELD_CERT:
        return put_named(word, FIELD_U16, ldns_cert_algorithms, out);
    case FIELD_HEX: /* they go to the end */
    case FIELD_BASE64:
    case FIELD_OTHER:
        break;
    }
    FAIL(ERR_INTERNAL, "rr: a field that is not simple");
}

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c);

    return at == NULL ? -1 : (int)(at - digits);
}

/* Hexadecimal digits to the end of the line. */
static struct err put_hex(struct rr_words *w, struct buf *out)
{
    struct rr_word word;
    int high = -1;

    while (rr_words_left(w)) {
        TRY(rr_word_take(w, &word));
        for (size_t i = 0; i < word.len || word.is_quoted; i++) {
            int digit = word.is_quoted ? -1 : hex_value(word.p[i]);
            if (digit < 0) {
                FAIL(ERR_MALFORMED, "hexadecimal digits were expected up to the end of the line");
            }
            if (high >= 0) {
                buf_u8(out, (uint8_t)(high << 4 | digit));
            }
            high = high >= 0 ? -1 : digit;
        }
    }
    if (high >= 0) {
        FAIL(ERR_MALFORMED, "an odd number of hexadecimal digits");
    }
    return err_ok();
}

static struct err put_base64(struct rr_words *w, struct buf *out)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(2u * RR_RDATA_MAX);
    AUTO(mem_freep) uint8_t *octets = mem_zalloc(RR_RDATA_MAX);
    size_t len = RR_RDATA_MAX;
    struct rr_word word;

    TRY_PTR(octets);
    while (rr_words_left(w)) {
        TRY(rr_word_take(w, &word));
        buf_put(&text, word.p, word.len);
    }
    TRY(buf_check(&text));
    bool is_base64 = text.len > 0 &&
                     base64_decode_any(buf_str(&text), text.len, octets, &len).code == ERR_OK &&
                     len > 0;
    if (!is_base64) {
        FAIL(ERR_MALFORMED, "base64 was expected up to the end of the line");
    }
    buf_put(out, octets, len);
    return err_ok();
}

static struct err parse_simple(const ldns_rr_descriptor *descriptor, struct rr_words *w,
                               const uint8_t *origin, struct buf *out)
{
    size_t least = ldns_rr_descriptor_minimum(descriptor);
    size_t most = ldns_rr_descriptor_maximum(descriptor);
    struct rr_word word;
    struct rr_shown shown;
    size_t i = 0;

    while (rr_words_left(w)) {
        enum rr_field next =
            i == most ? FIELD_OTHER : rr_field_of(ldns_rr_descriptor_field_type(descriptor, i));
        if (next == FIELD_HEX || next == FIELD_BASE64) {
            TRY(next == FIELD_HEX ? put_hex(w, out) : put_base64(w, out));
            i++;
            continue;
        }
        TRY(rr_word_take(w, &word));
        if (i == most) {
            FAIL(ERR_MALFORMED, "'%s' is more than this type has; the end of the line was expected",
                 rr_word_show(&word, &shown));
        }
        TRY(put_field(&word, next, origin, out));
        i++;
    }
    if (i < least) {
        FAIL(ERR_MALFORMED,
             "the RDATA is not whole: %zu of the %zu values of this type are missing", least - i,
             least);
    }
    return buf_check(out);
}

/* `\# LENGTH HEX...`. RFC 3597 §5 */
static struct err parse_generic(struct rr_words *w, struct buf *out)
{
    struct rr_word word;
    uint32_t want = 0;

    if (!rr_words_left(w)) {
        FAIL(ERR_MALFORMED, "\\# is followed by a length and hexadecimal digits");
    }
    TRY(rr_word_take(w, &word));
    if (!read_number(&word, RR_RDATA_MAX, &want)) {
        FAIL(ERR_MALFORMED, "\\# is followed by a length from 0 to %u", RR_RDATA_MAX);
    }
    TRY(put_hex(w, out));
    if (out->len != want) {
        FAIL(ERR_MALFORMED, "\\# %lu is not followed by that many octets", (unsigned long)want);
    }
    return buf_check(out);
}

static void rr_freep(ldns_rr **rr)
{
    ldns_rr_free(*rr);
}

static void rdf_freep(ldns_rdf **rdf)
{
    ldns_rdf_deep_free(*rdf);
}

/* ldns does not look at the size of numbers. */
static struct err check_numbers(const ldns_rr_descriptor *descriptor, struct rr_words w)
{
    struct rr_word word;
    struct rr_shown shown;
    uint32_t value = 0;

    for (size_t i = 0; i < ldns_rr_descriptor_minimum(descriptor) && rr_words_left(&w); i++) {
        enum rr_field field = rr_field_of(ldns_rr_descriptor_field_type(descriptor, i));
        uint64_t most = field == FIELD_U8 ? UINT8_MAX : UINT16_MAX;
        TRY(rr_word_take(&w, &word));
        if ((field == FIELD_U8 || field == FIELD_U16) && !read_number(&word, most, &value)) {
            FAIL(ERR_MALFORMED, "'%s' is no number from 0 to %llu", rr_word_show(&word, &shown),
                 (unsigned long long)most);
        }
    }
    return err_ok();
}

static struct err put_rdfs(const ldns_rr *rr, struct buf *out)
{
    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *rdf = ldns_rr_rdf(rr, i);
        buf_put(out, ldns_rdf_data(rdf), ldns_rdf_size(rdf));
    }
    return buf_check(out);
}

static struct err parse_by_ldns(uint16_t type, struct rr_words w, const uint8_t *origin,
                                struct buf *out)
{
    static const uint8_t ROOT[1] = {0};
    AUTO(buf_clear) struct buf line = BUF_INIT(LDNS_TEXT_MAX + 64u);
    AUTO(buf_clear) struct buf raw = BUF_INIT(RR_RDATA_MAX);
    AUTO(rr_freep) ldns_rr *rr = NULL;
    const uint8_t *base = origin == NULL ? ROOT : origin;
    AUTO(rdf_freep)
    ldns_rdf *suffix = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, rr_name_len(base), base);
    char type_text[RR_TYPE_TEXT_MAX + 1];

    TRY_PTR(suffix);
    if ((size_t)(w.end - w.p) > LDNS_TEXT_MAX) {
        FAIL(ERR_MALFORMED, "data longer than %u characters", LDNS_TEXT_MAX);
    }
    TRY(check_numbers(ldns_rr_descript(type), w));
    rr_type_text(type, type_text);
    buf_printf(&line, ". 0 IN %s ", type_text);
    buf_put(&line, w.p, (size_t)(w.end - w.p));
    TRY(buf_check(&line));
    ldns_status status = ldns_rr_new_frm_str(&rr, buf_str(&line), 0, suffix, NULL);
    if (status != LDNS_STATUS_OK) {
        rr = NULL;
        FAIL(ERR_MALFORMED, "no data of type %s: %s", type_text, ldns_get_errorstr_by_id(status));
    }
    TRY(put_rdfs(rr, &raw));
    return rr_rdata_check(type, raw.data, raw.len, out);
}

struct err rr_rdata_from_text(uint16_t type, const char *text, size_t len, const uint8_t *origin,
                              struct buf *out)
{
    const ldns_rr_descriptor *descriptor = ldns_rr_descript(type);
    struct rr_words w = {text, text + len};

    if (rr_words_left(&w) && w.end - w.p >= 2 && memcmp(w.p, "\\#", 2) == 0 &&
        (w.end - w.p == 2 || rr_is_blank(w.p[2]))) {
        AUTO(buf_clear) struct buf raw = BUF_INIT(RR_RDATA_MAX);
        w.p += 2;
        TRY(parse_generic(&w, &raw));
        return rr_rdata_check(type, raw.data, raw.len, out);
    }
    /* ldns 1.8.3 does not free what it read of a faulty IPSECKEY. */
    if (descriptor->_type != type || type == LDNS_RR_TYPE_IPSECKEY ||
        ldns_rr_descriptor_field_type(descriptor, 0) == LDNS_RDF_TYPE_UNKNOWN) {
        char type_text[RR_TYPE_TEXT_MAX + 1];
        rr_type_text(type, type_text);
        FAIL(ERR_MALFORMED, "data of type %s is written as \\# LENGTH HEX (RFC 3597)", type_text);
    }
    if (!rr_is_simple(descriptor)) {
        return parse_by_ldns(type, w, origin, out);
    }
    TRY(parse_simple(descriptor, &w, origin, out));
    if (type == LDNS_RR_TYPE_CAA && out->len > 1) { /* its tag */
        AUTO(buf_clear) struct buf checked = BUF_INIT(RR_RDATA_MAX);
        return rr_rdata_check(type, out->data, out->len, &checked);
    }
    return err_ok();
}

static struct err from_text(const char *owner, const char *origin, uint32_t ttl, const char *type,
                            const char *rdata, struct dns_rr *out)
{
    AUTO(buf_clear) struct buf data = BUF_INIT(RR_RDATA_MAX);
    uint8_t origin_wire[NAME_WIRE_MAX];
    size_t origin_len = 0;
    size_t owner_len = 0;
    struct dns_rr rr = {.class_ = DNS_CLASS_IN, .ttl = ttl};

    if (origin != NULL) {
        TRY(rr_name_from_text(origin, strlen(origin), NULL, origin_wire, &origin_len));
    }
    const uint8_t *base = origin == NULL ? NULL : origin_wire;
    TRY(rr_name_from_text(owner, strlen(owner), base, rr.owner, &owner_len));
    rr.owner_len = (uint8_t)owner_len;
    if (!rr_type_parse(type, &rr.type)) {
        FAIL(ERR_MALFORMED, "'%.20s' is no record type; one like A, TXT or TYPE65400 was expected",
             type);
    }
    if (ttl > RR_TTL_MAX) {
        FAIL(ERR_MALFORMED, "a TTL is a number from 0 to %u", RR_TTL_MAX);
    }
    TRY(rr_rdata_from_text(rr.type, rdata, strlen(rdata), base, &data));
    rr.rdata_len = (uint16_t)data.len;
    if (data.len > 0) {
        rr.rdata = mem_dup(data.data, data.len);
        TRY_PTR(rr.rdata);
    }
    *out = rr;
    return err_ok();
}

struct err rr_from_text(const char *owner, const char *origin, uint32_t ttl, const char *type,
                        const char *rdata, struct dns_rr *out, char *why, size_t cap)
{
    struct err e = from_text(owner, origin, ttl, type, rdata, out);

    if (e.code == ERR_MALFORMED && why != NULL && cap > 0) {
        (void)snprintf(why, cap, "%s", err_trace()->text);
    }
    return e;
}
