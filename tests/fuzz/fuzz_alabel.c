/* A-labels: whatever the encoder of RFC 3492 §6.3 makes is taken, alone and inside a name; a name is as good as its worst label. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme-server/alabel.h"

#define POINTS_MAX 40u
#define TEXT_MAX 600u
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t adapt(uint32_t delta, uint32_t n, int is_first)
{
    uint32_t k = 0;

    delta = is_first ? delta / 700 : delta / 2;
    for (delta += delta / n; delta > 455; delta /= 35) {
        k += 36;
    }
    return k + 36 * delta / (delta + 38);
}

static size_t put_delta(char *out, uint32_t delta, uint32_t bias)
{
    static const char DIGITS[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t n = 0;

    for (uint32_t k = 36;; k += 36) {
        uint32_t t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
        if (delta < t) {
            out[n++] = DIGITS[delta];
            return n;
        }
        out[n++] = DIGITS[t + (delta - t) % (36 - t)];
        delta = (delta - t) / (36 - t);
    }
}

/* RFC 3492 §6.3. out holds TEXT_MAX. */
static void encode(const uint32_t *points, uint32_t points_n, char *out)
{
    uint32_t n = 128;
    uint32_t bias = 72;
    uint32_t delta = 0;
    uint32_t done = 0;
    size_t len = 4;

    memcpy(out, "xn--", 4);
    for (uint32_t i = 0; i < points_n; i++) {
        if (points[i] < 128) {
            out[len++] = (char)points[i];
            done++;
        }
    }
    uint32_t basic = done;
    if (basic > 0) {
        out[len++] = '-';
    }
    while (done < points_n) {
        uint32_t least = UINT32_MAX;
        for (uint32_t i = 0; i < points_n; i++) {
            least = points[i] >= n && points[i] < least ? points[i] : least;
        }
        delta += (least - n) * (done + 1);
        n = least;
        for (uint32_t i = 0; i < points_n; i++) {
            delta += points[i] < n ? 1 : 0;
            if (points[i] == n) {
                len += put_delta(out + len, delta, bias);
                bias = adapt(delta, done + 1, done == basic);
                delta = 0;
                done++;
            }
        }
        delta++;
        n++;
    }
    out[len] = '\0';
}

/* Three bytes are a code point; ASCII ones become letters, and one beyond it is always there. */
static void check_encoded(const uint8_t *data, size_t size)
{
    uint32_t points[POINTS_MAX];
    uint32_t n = 0;
    char label[TEXT_MAX];
    char name[TEXT_MAX + 20];

    for (size_t i = 0; i + 3 <= size && n + 1 < POINTS_MAX; i += 3) {
        uint32_t point =
            ((uint32_t)data[i] << 16 | (uint32_t)data[i + 1] << 8 | data[i + 2]) % 0x110000;
        points[n++] =
            point < 128 || (point >= 0xd800 && point <= 0xdfff) ? 'a' + point % 26 : point;
    }
    points[n++] = 0xfc;
    encode(points, n, label);
    CHECK(alabels_ok(label));
    (void)snprintf(name, sizeof(name), "www.%s.svc.test", label);
    CHECK(alabels_ok(name));
}

static void check_text(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX];
    char name[TEXT_MAX + 20];
    size_t len = size < TEXT_MAX - 1 ? size : TEXT_MAX - 1;

    memcpy(text, data, len);
    text[len] = '\0';
    int is_ok = alabels_ok(text);
    (void)snprintf(name, sizeof(name), "a.%s.b", text);
    CHECK(alabels_ok(name) == is_ok);
    (void)snprintf(name, sizeof(name), "xn--b.%s", text);
    CHECK(!alabels_ok(name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text(data, size);
    check_encoded(data, size);
    return 0;
}
