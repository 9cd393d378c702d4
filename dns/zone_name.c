/* Names on the wire: taking them apart, and where an _acme-challenge name points. */
#include "dns/zone_table.h"

#include <string.h>

#include "core/util/token.h"

#define ACME_LEN (sizeof(ACME_LABEL) - 1)
#define PERSIST_LEN (sizeof(ZONE_PERSIST_LABEL) - 1)
#define HASHED_WIRE_LEN 55u /* "h-", base32 of SHA-256, and the length octet */
#define LDH 1u
#define ALNUM 2u

static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

static unsigned class_of(uint8_t lower)
{
    if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9')) {
        return LDH | ALNUM;
    }
    return lower == '-' ? LDH : 0;
}

/* Folds one label into `to` and says whether it is a host name's (letters, digits, inner
 * hyphens). */
static bool fold_label(const uint8_t *from, size_t n, uint8_t *to)
{
    unsigned all = LDH;

    for (size_t i = 0; i < n; i++) {
        uint8_t c = is_upper(from[i]) ? from[i] | 0x20 : from[i];
        to[i] = c;
        all &= class_of(c);
    }
    return all != 0 && to[0] != '-' && to[n - 1] != '-';
}

static bool is_challenge(const uint8_t *label, size_t n)
{
    return n == ACME_LEN && memcmp(label, ACME_LABEL, ACME_LEN) == 0;
}

bool zone_is_account_label(const char *label, size_t len)
{
    bool is_base32 = len == ZONE_ACCOUNT_LABEL_LEN && label[0] == '_';

    for (size_t i = 1; is_base32 && i < len; i++) {
        is_base32 = (label[i] >= 'a' && label[i] <= 'z') || (label[i] >= '2' && label[i] <= '7');
    }
    return is_base32;
}

static enum label_kind kind_of(const uint8_t *label, size_t n, bool is_ldh)
{
    if (is_ldh) {
        return LABEL_LDH;
    }
    if (is_challenge(label, n)) {
        return LABEL_ACME;
    }
    if (zone_is_account_label((const char *)label, n)) {
        return LABEL_ACCOUNT;
    }
    if (n == PERSIST_LEN && memcmp(label, ZONE_PERSIST_LABEL, PERSIST_LEN) == 0) {
        return LABEL_PERSIST;
    }
    return n == 1 && label[0] == '*' ? LABEL_STAR : LABEL_OTHER;
}

/* A label behind the first that is not a host name's. */
static void note_other(struct dns_name *name, size_t at, size_t n)
{
    bool is_account_challenge = at == ZONE_ACCOUNT_LABEL_LEN + 1 && name->first == LABEL_ACCOUNT &&
                                is_challenge(name->wire + at + 1, n);

    if (is_account_challenge) {
        name->first = LABEL_ACCOUNT_CHALLENGE;
    } else {
        name->is_rest_ldh = false;
    }
}

size_t dns_name_read(const uint8_t *p, size_t left, struct dns_name *out)
{
    size_t o = 0;
    unsigned labels_n = 0;

    out->first = LABEL_OTHER;
    out->is_rest_ldh = true;
    out->is_last_ldh = false;
    while (o < left && p[o] != 0) {
        size_t n = p[o];
        if (n > LABEL_MAX || n >= left - o || o + n + 2 > NAME_WIRE_MAX) {
            return 0;
        }
        out->wire[o] = (uint8_t)n;
        bool is_ldh = fold_label(p + o + 1, n, out->wire + o + 1);
        if (labels_n == 0) {
            out->first = kind_of(out->wire + 1, n, is_ldh);
        } else if (!is_ldh) {
            note_other(out, o, n);
        }
        out->is_last_ldh = is_ldh;
        out->off[labels_n++] = (uint8_t)o;
        o += n + 1;
    }
    if (o >= left) {
        return 0;
    }
    out->wire[o++] = 0;
    out->len = (uint8_t)o;
    out->labels_n = (uint8_t)labels_n;
    return o;
}

bool dns_name_parse(const char *text, struct dns_name *out)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);
    struct err e = name_to_wire(text, wire, &len);

    return e.code == ERR_OK && dns_name_read(wire, len, out) == len;
}

bool zone_is_ns(const struct zone_table *table, const struct dns_name *name,
                const struct zone_match *match)
{
    if (table->is_hostname_ns) {
        return name->len == table->hostname_len &&
               memcmp(name->wire, table->hostname, name->len) == 0;
    }
    return match->apex == 3 && memcmp(name->wire, "\2ns", 3) == 0;
}

bool zone_has_challenge(const struct dns_name *name, const struct zone_match *match)
{
    return (name->first == LABEL_ACME || name->first == LABEL_ACCOUNT_CHALLENGE) &&
           name->is_rest_ldh && !match->zone->is_delegate && !match->zone->is_plain;
}

/* "h-" and the base32 SHA-256 of the text name, as name_delegate() has it, without its allocations.
 * Returns HASHED_WIRE_LEN. */
static size_t hashed_label(const uint8_t *base, size_t len, uint8_t *out)
{
    uint8_t name[NAME_WIRE_MAX];
    uint8_t digest[SHA256_LEN];
    char text[64];
    size_t name_len = 0;

    for (size_t o = 0; o < len; o += (size_t)base[o] + 1) {
        if (o > 0) {
            name[name_len++] = '.';
        }
        memcpy(name + name_len, base + o + 1, base[o]);
        name_len += base[o];
    }
    sha256_plain(name, name_len, digest);
    base32_encode(digest, sizeof(digest), text);
    size_t n = strlen(text);
    out[0] = (uint8_t)(n + 2);
    memcpy(out + 1, "h-", 2);
    memcpy(out + 3, text, n);
    return n + 3;
}

size_t zone_challenge_target(const struct zone_table *table, const struct dns_name *name,
                             uint8_t *out, size_t *suffix)
{
    size_t head = name->first == LABEL_ACCOUNT_CHALLENGE ? ZONE_ACCOUNT_LABEL_LEN + 1 : 0;
    const uint8_t *base = name->wire + head + ACME_LEN + 1;
    size_t base_len = name->len - head - (ACME_LEN + 1) - 1; /* without the root label */
    size_t zone_len = table->delegate->len;

    if (head > 0) {
        memcpy(out, name->wire, head);
    }
    if (head + base_len + zone_len <= NAME_WIRE_MAX) {
        memcpy(out + head, base, base_len);
    } else if (head + HASHED_WIRE_LEN + zone_len <= NAME_WIRE_MAX) {
        base_len = hashed_label(base, base_len, out + head);
    } else {
        return 0;
    }
    memcpy(out + head + base_len, table->delegate->wire, zone_len);
    *suffix = head + base_len;
    return head + base_len + zone_len;
}
