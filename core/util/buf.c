#include "core/util/buf.h"

#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

#define BUF_FIRST 256u

/* Leaves doubling and the terminator room before the end of size_t. */
#define BUF_MOST (SIZE_MAX / 4)

void buf_init(struct buf *b, size_t max)
{
    memset(b, 0, sizeof(*b));
    b->max = max;
}

void buf_clear(struct buf *b)
{
    size_t max = b->max;
    mem_free(b->data);
    buf_init(b, max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data != NULL) {
        b->data[0] = 0;
    }
}

static bool reserve(struct buf *b, size_t more)
{
    if (b->failed) {
        return false;
    }
    if (more > b->max || b->len > b->max - more || b->len + more > BUF_MOST) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + more + 1;
    if (need <= b->cap) {
        return true;
    }
    size_t cap = b->cap == 0 ? BUF_FIRST : b->cap * 2;
    while (cap < need) {
        cap *= 2;
    }
    if (cap - 1 > b->max) {
        cap = b->max + 1; /* never below need: the checks above keep that within the bound */
    }
    uint8_t *grown = mem_resize(b->data, cap);
    if (grown == NULL) {
        b->failed = true;
        return false;
    }
    b->data = grown;
    b->cap = cap;
    return true;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
    if (!reserve(b, len)) {
        return;
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    b->data[b->len] = 0;
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
    uint8_t w[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    buf_put(b, w, sizeof(w));
}

void buf_u32(struct buf *b, uint32_t v)
{
    uint8_t w[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    buf_put(b, w, sizeof(w));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list args)
{
    va_list again;
    char probe[1];

    va_copy(again, args);
    int want = vsnprintf(probe, 0, fmt, args);
    if (want < 0 || !reserve(b, (size_t)want)) {
        b->failed = true;
        va_end(again);
        return;
    }
    (void)vsnprintf((char *)b->data + b->len, (size_t)want + 1, fmt, again);
    b->len += (size_t)want;
    va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_vprintf(b, fmt, args);
    va_end(args);
}

const char *buf_str(const struct buf *b)
{
    return b->data == NULL ? "" : (const char *)b->data;
}

struct err buf_check(const struct buf *b)
{
    if (b->failed) {
        FAIL(ERR_LIMIT, "text longer than %zu bytes, or out of memory", b->max);
    }
    return err_ok();
}

char *buf_take(struct buf *b)
{
    char *text = NULL;

    if (!b->failed && reserve(b, 0)) {
        text = (char *)b->data;
        text[b->len] = '\0';
        b->data = NULL;
    }
    buf_clear(b);
    return text;
}

const uint8_t *rd_bytes(struct rd *r, size_t n)
{
    if (r->failed || n > r->left) {
        r->failed = true;
        return NULL;
    }
    static const uint8_t nothing[1];
    if (n == 0) {
        return r->p == NULL ? nothing : r->p; /* NULL means failure */
    }
    const uint8_t *p = r->p;
    r->p += n;
    r->left -= n;
    return p;
}

uint8_t rd_u8(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 1);
    return p == NULL ? 0 : p[0];
}

uint16_t rd_u16(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 2);
    return p == NULL ? 0 : (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

uint32_t rd_u32(struct rd *r)
{
    const uint8_t *p = rd_bytes(r, 4);
    return p == NULL ? 0 : (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
