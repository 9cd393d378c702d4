/* Bounded growing buffers (writer) and bounded byte readers, both with a sticky failure.
 *
 * After the first failure every further call is a no-op, so that a builder or parser reads as a
 * list of steps and is checked once at its end.  Nothing here logs.  Thread rule: one owner at a
 * time. */
#ifndef CORE_UTIL_BUF_H
#define CORE_UTIL_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"

struct buf {
    uint8_t *data; /* always NUL-terminated past len once anything was written */
    size_t len;
    size_t cap;
    size_t max; /* bytes; an append past it fails */
    bool failed;
};

#define BUF_INIT(max_len)                                                                          \
    {                                                                                              \
        NULL, 0, 0, (max_len), false                                                               \
    }
void buf_init(struct buf *b, size_t max);
void buf_clear(struct buf *b);
/* Forget the contents and the failure, keep the memory. */
void buf_reset(struct buf *b);
void buf_put(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v); /* big-endian */
void buf_u32(struct buf *b, uint32_t v); /* big-endian */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list args) PRINTF_LIKE(2, 0);
/* The text written so far, "" if none; valid until the next append. */
const char *buf_str(const struct buf *b);
/* ERR_LIMIT or ERR_NOMEM if any append failed. */
MUST_USE struct err buf_check(const struct buf *b);
/* Hand the NUL-terminated text over (caller frees with mem_free); NULL when failed; the buffer is
 * emptied. */
char *buf_take(struct buf *b);

/* Reader: borrowed bytes. */
struct rd {
    const uint8_t *p;
    size_t left;
    bool failed;
};
static inline struct rd rd_init(const void *data, size_t len)
{
    struct rd r = {(const uint8_t *)data, len, false};
    return r;
}
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
/* A borrowed pointer to the next n bytes, NULL (and failed) if fewer are left. */
const uint8_t *rd_bytes(struct rd *r, size_t n);

#endif
