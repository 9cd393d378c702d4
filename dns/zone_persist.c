/* Texts at _validation-persist.<name> (draft-ietf-acme-dns-persist) as records. */
#include <string.h>

#include "dns/zone_int.h"

#include "core/util/mem.h"

#define STRING_MAX 255u /* of one character-string. RFC 1035 §3.3 */
#define TEXT_HEAD_LEN (DNS_POINTER_LEN + DNS_RR_HEAD_LEN) /* its owner points at the question */

static size_t rdata_len(size_t text_len)
{
    return text_len + (text_len + STRING_MAX - 1) / STRING_MAX;
}

size_t zone_persist_wire_len(const char *text)
{
    return TEXT_HEAD_LEN + rdata_len(strlen(text));
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

struct err zone_persist_owner(const struct zone_table *table, const struct dns_name *name,
                              const char *const *texts, size_t n, struct zone_owner **out)
{
    size_t wire_len = 0;

    if (n > ZONE_PERSIST_MAX) {
        FAIL(ERR_LIMIT, "zone: more than %u texts at one name", ZONE_PERSIST_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (texts[i][0] == '\0' || strlen(texts[i]) > ZONE_PERSIST_TEXT_MAX) {
            FAIL(ERR_MALFORMED, "zone: a text has 1 to %u characters", ZONE_PERSIST_TEXT_MAX);
        }
        wire_len += zone_persist_wire_len(texts[i]);
    }
    if (wire_len > ZONE_PERSIST_WIRE_MAX) {
        FAIL(ERR_LIMIT, "zone: the texts at one name take more than %u octets",
             ZONE_PERSIST_WIRE_MAX);
    }
    TRY(owner_of_texts(table, name, texts, n, out));
    (*out)->is_persist = true;
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
