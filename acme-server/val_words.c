#include "acme-server/val_words.h"

#include <stdarg.h>
#include <stdio.h>

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
