#include "acme-server/alabel.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PREFIX "xn--"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
/* RFC 3492 §5 */
#define BASE 36u
#define T_MIN 1u
#define T_MAX 26u
#define SKEW 38u
#define DAMP 700u
#define INITIAL_BIAS 72u
#define INITIAL_N 128u

#define CODE_POINT_MAX 0x10ffffu

/* RFC 3492 §6.1 */
static uint32_t adapt(uint32_t delta, uint32_t points_n, bool is_first)
{
    uint32_t k = 0;

    delta = is_first ? delta / DAMP : delta / 2;
    delta += delta / points_n;
    while (delta > (BASE - T_MIN) * T_MAX / 2) {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

static uint32_t digit(char c)
{
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a');
    }
    return c >= '0' && c <= '9' ? (uint32_t)(c - '0') + 26 : BASE;
}

static uint32_t threshold(uint32_t k, uint32_t bias)
{
    if (k <= bias + T_MIN) {
        return T_MIN;
    }
    return k >= bias + T_MAX ? T_MAX : k - bias;
}

/* One number of variable length, added to *i; NULL when it does not end, or is too large. */
static const char *take_number(const char *p, const char *end, uint32_t bias, uint32_t *i)
{
    uint64_t sum = *i;
    uint64_t weight = 1;

    for (uint32_t k = BASE; p < end; k += BASE) {
        uint32_t d = digit(*p++);
        uint32_t t = threshold(k, bias);
        sum += d * weight;
        if (d >= BASE || sum > UINT32_MAX) {
            return NULL;
        }
        if (d < t) {
            *i = (uint32_t)sum;
            return p;
        }
        weight *= BASE - t;
        if (weight > UINT32_MAX) {
            return NULL;
        }
    }
    return NULL;
}

/* RFC 3492 §6.2, without the text that comes out. */
static bool punycode_ok(const char *p, const char *end)
{
    uint32_t n = INITIAL_N;
    uint32_t i = 0;
    uint32_t bias = INITIAL_BIAS;
    uint32_t points_n = 0;

    for (const char *c = p; c < end; c++) {
        if (*c == '-' && c > p) {
            points_n = (uint32_t)(c - p); /* of the last hyphen in the end */
        }
    }
    p += points_n == 0 ? 0 : points_n + 1;
    if (p >= end) {
        return false; /* nothing beyond ASCII */
    }
    while (p < end) {
        uint32_t old = i;
        p = take_number(p, end, bias, &i);
        if (p == NULL) {
            return false;
        }
        points_n++;
        bias = adapt(i - old, points_n, old == 0);
        if (i / points_n > CODE_POINT_MAX - n) {
            return false;
        }
        n += i / points_n;
        if (n >= 0xd800 && n <= 0xdfff) { /* surrogates are no characters */
            return false;
        }
        i = i % points_n + 1;
    }
    return true;
}

bool alabels_ok(const char *name)
{
    while (*name != '\0') {
        size_t len = strcspn(name, ".");
        if (len >= PREFIX_LEN && memcmp(name, PREFIX, PREFIX_LEN) == 0 &&
            !punycode_ok(name + PREFIX_LEN, name + len)) {
            return false;
        }
        name += len;
        name += *name == '.' ? 1 : 0;
    }
    return true;
}
