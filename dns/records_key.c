/* Owner names as keys. */
#include "dns/records_int.h"

#include <string.h>

#define LABEL_END 0u
#define ESCAPE 1u
#define KEY_ROOT_BEHIND 0xffu

static void put_label(const uint8_t *label, size_t n, struct name_key *key)
{
    for (size_t i = 0; i < n; i++) {
        if (label[i] <= ESCAPE) {
            key->data[key->len++] = ESCAPE;
            key->data[key->len++] = (uint8_t)(label[i] + 1);
        } else {
            key->data[key->len++] = label[i];
        }
    }
    key->data[key->len++] = LABEL_END;
}

void key_of(const uint8_t *wire, struct name_key *out)
{
    uint8_t off[NAME_LABELS_MAX];
    size_t n = 0;

    for (size_t o = 0; wire[o] != 0; o += (size_t)wire[o] + 1) {
        off[n++] = (uint8_t)o;
    }
    out->len = 0;
    for (; n > 0; n--) {
        put_label(wire + off[n - 1] + 1, wire[off[n - 1]], out);
    }
}

void key_behind(const struct name_key *key, struct name_key *out)
{
    if (key->len == 0) {
        memset(out->data, KEY_ROOT_BEHIND, LABEL_MAX + 1); /* no label is that long */
        out->len = LABEL_MAX + 1;
        return;
    }
    memcpy(out->data, key->data, key->len);
    out->len = key->len;
    out->data[key->len - 1] = LABEL_END + 1;
}

/* Where the last label of key[0 .. len) begins. */
static size_t last_label(const uint8_t *key, size_t len)
{
    size_t at = len - 1;

    while (at > 0 && key[at - 1] != LABEL_END) {
        at--;
    }
    return at;
}

bool key_wire(const uint8_t *key, size_t len, uint8_t wire[NAME_WIRE_MAX], size_t *wire_len)
{
    size_t o = 0;

    if (len > KEY_MAX || (len > 0 && key[len - 1] != LABEL_END)) {
        return false;
    }
    while (len > 0) {
        size_t at = last_label(key, len);
        size_t n = 0;
        size_t head = o;
        for (size_t i = at; i < len - 1; i++) {
            uint8_t c = key[i];
            if (c == ESCAPE) {
                c = (uint8_t)(key[++i] - 1);
            }
            if (n == LABEL_MAX || head + n + 2 >= NAME_WIRE_MAX || i >= len - 1) {
                return false;
            }
            wire[head + ++n] = c;
        }
        if (n == 0) {
            return false;
        }
        wire[head] = (uint8_t)n;
        o = head + n + 1;
        len = at;
    }
    wire[o++] = 0;
    *wire_len = o;
    return true;
}

int key_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len;
    int order = n == 0 ? 0 : memcmp(a, b, n);

    if (order != 0) {
        return order;
    }
    return a_len < b_len ? -1 : a_len > b_len;
}

bool key_up(struct name_key *key)
{
    if (key->len == 0) {
        return false;
    }
    key->len = last_label(key->data, key->len);
    return true;
}

bool key_down(const struct name_key *key, const char *label, struct name_key *out)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = 0;
    size_t n = strlen(label);

    if (!key_wire(key->data, key->len, wire, &wire_len) || wire_len + n + 1 > NAME_WIRE_MAX) {
        return false;
    }
    *out = *key;
    put_label((const uint8_t *)label, n, out);
    return true;
}

bool key_star_base(const struct name_key *key, struct name_key *base)
{
    *base = *key;
    return key_up(base) && key->len == base->len + 2 && key->data[base->len] == '*';
}

bool wire_is_host(const uint8_t *wire, size_t len)
{
    struct dns_name name;

    return dns_name_read(wire, len, &name) == len && name.first == LABEL_LDH && name.is_rest_ldh;
}
