/* Names on the wire: taking them apart, and where an _acme-challenge name points. */
#include "dns/zone_table.h"

#include <string.h>

#include "core/util/token.h"

#define ACME_LEN (sizeof(ACME_LABEL) - 1)
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

static enum label_kind kind_of(const uint8_t *label, size_t n, bool is_ldh)
{
    if (is_ldh) {
        return LABEL_LDH;
    }
    if (n == ACME_LEN && memcmp(label, ACME_LABEL, ACME_LEN) == 0) {
        return LABEL_ACME;
    }
    return n == 1 && label[0] == '*' ? LABEL_STAR : LABEL_OTHER;
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
        } else {
            out->is_rest_ldh = out->is_rest_ldh && is_ldh;
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
    return name->first == LABEL_ACME && name->is_rest_ldh && !match->zone->is_delegate;
}

/* "h-" and the base32 SHA-256 of the text name, as name_delegate() has it, without its allocations.
 * Returns 55. */
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
    const uint8_t *base = name->wire + ACME_LEN + 1;
    size_t base_len = name->len - (ACME_LEN + 1) - 1; /* without the root label */
    size_t zone_len = table->delegate->len;

    if (base_len + zone_len <= NAME_WIRE_MAX) {
        memcpy(out, base, base_len);
    } else {
        base_len = hashed_label(base, base_len, out);
    }
    memcpy(out + base_len, table->delegate->wire, zone_len);
    *suffix = base_len;
    return base_len + zone_len;
}
