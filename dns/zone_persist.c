/* Texts at _validation-persist.<name> (draft-ietf-acme-dns-persist) as records. */
#include <string.h>

#include "dns/zone_int.h"

#include "core/util/mem.h"

#define STRING_MAX 255u /* of one character-string. RFC 1035 §3.3 */
#define RR_HEAD_LEN 12u /* the pointer to the question's name, then TYPE to RDLENGTH */
#define QNAME_POINTER 0xc00cu

static size_t rdata_len(size_t text_len)
{
    return text_len + (text_len + STRING_MAX - 1) / STRING_MAX;
}

size_t zone_persist_wire_len(const char *text)
{
    return RR_HEAD_LEN + rdata_len(strlen(text));
}

/* RDATA of one text; returns its length. */
static size_t encode_text(const char *text, uint8_t *p)
{
    size_t left = strlen(text);
    uint8_t *at = p;

    while (left > 0) {
        size_t n = left < STRING_MAX ? left : STRING_MAX;
        *at++ = (uint8_t)n;
        memcpy(at, text, n);
        at += n;
        text += n;
        left -= n;
    }
    return (size_t)(at - p);
}

static struct err owner_of_texts(const struct zone_table *table, const struct dns_name *name,
                                 const char *const *texts, size_t n, struct zone_owner **out)
{
    AUTO(mem_freep) uint8_t *rdata = mem_zalloc(ZONE_PERSIST_WIRE_MAX);
    struct zone_rr rrs[ZONE_PERSIST_MAX];
    uint8_t *p = rdata;

    TRY_PTR(rdata);
    for (size_t i = 0; i < n; i++) {
        size_t len = encode_text(texts[i], p);
        rrs[i] = (struct zone_rr){DNS_TYPE_TXT, ZONE_TXT_TTL_S, p, (uint16_t)len};
        p += len;
    }
    return zone_owner_of_records(table, name->wire, name->len, rrs, n, out);
}

/* The RRs with their owners, a pointer to the question, as answer.c sends them. */
static struct zone_owner *add_whole(const struct zone_owner *owner)
{
    const struct zone_rrset *set = &owner->sets[0];
    size_t whole_len = set->len + 2u * set->rr_n;
    struct zone_owner *copy = zone_owner_copy(owner, whole_len);

    if (copy == NULL) {
        return NULL;
    }
    uint8_t *whole = (uint8_t *)copy + ((set->data + set->len) - (const uint8_t *)owner);
    uint8_t *to = whole;
    for (const uint8_t *rr = set->data; rr < set->data + set->len;) {
        size_t len = 10u + ((size_t)rr[8] << 8 | rr[9]);
        to[0] = QNAME_POINTER >> 8;
        to[1] = QNAME_POINTER & 0xff;
        memcpy(to + 2, rr, len);
        to += 2 + len;
        rr += len;
    }
    copy->whole = whole;
    copy->whole_len = (uint32_t)whole_len;
    copy->whole_n = set->rr_n;
    copy->is_persist = true;
    return copy;
}

struct err zone_persist_owner(const struct zone_table *table, const struct dns_name *name,
                              const char *const *texts, size_t n, struct zone_owner **out)
{
    size_t whole_len = 0;

    if (n > ZONE_PERSIST_MAX) {
        FAIL(ERR_LIMIT, "zone: more than %u texts at one name", ZONE_PERSIST_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (texts[i][0] == '\0' || strlen(texts[i]) > ZONE_PERSIST_TEXT_MAX) {
            FAIL(ERR_MALFORMED, "zone: a text has 1 to %u characters", ZONE_PERSIST_TEXT_MAX);
        }
        whole_len += zone_persist_wire_len(texts[i]);
    }
    if (whole_len > ZONE_PERSIST_WIRE_MAX) {
        FAIL(ERR_LIMIT, "zone: the texts at one name take more than %u octets",
             ZONE_PERSIST_WIRE_MAX);
    }
    AUTO(mem_freep) struct zone_owner *owner = NULL;
    TRY(owner_of_texts(table, name, texts, n, &owner));
    *out = add_whole(owner);
    TRY_PTR(*out);
    return err_ok();
}

bool zone_persist_name(const struct zone_table *table, const char *base, struct dns_name *name,
                       struct zone_match *match)
{
    char text[sizeof(ZONE_PERSIST_LABEL) + NAME_TEXT_MAX + 1] = ZONE_PERSIST_LABEL ".";
    size_t n = strnlen(base, NAME_TEXT_MAX + 1);

    if (n == 0 || n > NAME_TEXT_MAX) {
        return false;
    }
    memcpy(text + sizeof(ZONE_PERSIST_LABEL), base, n + 1);
    return dns_name_parse(text, name) && name->first == LABEL_PERSIST && name->is_rest_ldh &&
           zone_find(table, name, match) && !match->zone->is_delegate && !match->zone->is_plain;
}
