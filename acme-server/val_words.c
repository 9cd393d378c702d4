#include "acme-server/val_words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/util/clock.h"
#include "core/util/mem.h"

void val_trail(struct buf *trail, const char *fmt, ...)
{
    va_list args;

    if (trail->len > 0) {
        buf_puts(trail, "; ");
    }
    va_start(args, fmt);
    buf_vprintf(trail, fmt, args);
    va_end(args);
}

/* In the largest unit of which there are at least two. */
static void put_span(struct buf *out, int64_t seconds)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } UNITS[] = {{86400, "days"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    size_t i = 0;

    while (i + 1 < ARRAY_N(UNITS) && seconds < 2 * UNITS[i].seconds) {
        i++;
    }
    buf_printf(out, "%" PRId64 " %s", seconds / UNITS[i].seconds, UNITS[i].name);
}

void val_skew(struct buf *trail, const char *what, int64_t theirs_unix)
{
    int64_t now = clock_unix_s();
    bool is_ahead = theirs_unix > now;
    int64_t apart = is_ahead ? theirs_unix - now : now - theirs_unix;

    if (apart <= VAL_SKEW_S) {
        return;
    }
    val_trail(trail, "%s is ", what);
    put_span(trail, apart);
    buf_puts(trail, is_ahead ? " ahead of ours" : " behind ours");
}

void val_printable(const void *data, size_t len, char *out, size_t cap)
{
    const uint8_t *bytes = data;
    size_t room = cap - 1;
    size_t n = len <= room ? len : room - 3;

    for (size_t i = 0; i < n; i++) {
        bool is_plain = bytes[i] >= 0x20 && bytes[i] < 0x7f && bytes[i] != '"' && bytes[i] != '\\';
        out[i] = is_plain ? (char)bytes[i] : '?';
    }
    (void)snprintf(out + n, cap - n, "%s", n < len ? "..." : "");
}
