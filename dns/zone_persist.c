/* Texts at _validation-persist.<name> (draft-ietf-acme-dns-persist) as records. */
#include "dns/zone_table.h"

#include <string.h>

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

/* Returns the octets written. */
static size_t encode_text(const char *text, uint8_t *p)
{
    size_t left = strlen(text);
    size_t len = rdata_len(left);
    const uint8_t head[RR_HEAD_LEN] = {QNAME_POINTER >> 8,
                                       QNAME_POINTER & 0xff,
                                       0,
                                       DNS_TYPE_TXT,
                                       0,
                                       DNS_CLASS_IN,
                                       0,
                                       0,
                                       0,
                                       ZONE_TXT_TTL_S,
                                       (uint8_t)(len >> 8),
                                       (uint8_t)len};
    uint8_t *at = p + RR_HEAD_LEN;

    memcpy(p, head, RR_HEAD_LEN);
    while (left > 0) {
        size_t n = left < STRING_MAX ? left : STRING_MAX;
        *at++ = (uint8_t)n;
        memcpy(at, text, n);
        at += n;
        text += n;
        left -= n;
    }
    return RR_HEAD_LEN + len;
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
    struct zone_owner *owner = mem_zalloc(sizeof(*owner) + name->len + whole_len);
    TRY_PTR(owner);
    uint8_t *wire = (uint8_t *)(owner + 1);
    uint8_t *p = wire + name->len;
    memcpy(wire, name->wire, name->len);
    owner->hash = trie_hash(table->key, name->wire, name->len);
    owner->wire = wire;
    owner->wire_len = name->len;
    owner->whole = p;
    owner->whole_len = (uint32_t)whole_len;
    owner->whole_n = (uint16_t)n;
    for (size_t i = 0; i < n; i++) {
        p += encode_text(texts[i], p);
    }
    *out = owner;
    return err_ok();
}

bool zone_persist_name(const struct zone_table *table, const char *base, struct dns_name *name)
{
    char text[sizeof(ZONE_PERSIST_LABEL) + NAME_TEXT_MAX + 1] = ZONE_PERSIST_LABEL ".";
    size_t n = strnlen(base, NAME_TEXT_MAX + 1);
    struct zone_match match;

    if (n == 0 || n > NAME_TEXT_MAX) {
        return false;
    }
    memcpy(text + sizeof(ZONE_PERSIST_LABEL), base, n + 1);
    return dns_name_parse(text, name) && name->first == LABEL_PERSIST && name->is_rest_ldh &&
           zone_find(table, name, &match) && !match.zone->is_delegate && !match.zone->is_plain;
}
