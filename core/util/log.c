#include "core/util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/util/buf.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

#define LINE_MAX_LEN 8192u
#define LINE_END_LEN 2u /* kept free for the closing brace and the newline */
#define VALUE_MAX_LEN 2048u

static _Atomic int active_level = LOG_INFO;
static _Atomic int active_format = LOG_TEXT;
static _Thread_local const char *scope;

static const char *const LEVEL_NAMES[] = {"error", "warn", "info", "debug"};

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store(&active_level, (int)level);
    atomic_store(&active_format, (int)format);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&active_level, memory_order_relaxed);
}

void log_scope(const char *id)
{
    scope = id;
}

const char *log_scope_get(void)
{
    return scope;
}

const char *log_int(int64_t v)
{
    static _Thread_local char ring[8][24];
    static _Thread_local unsigned next;
    char *slot = ring[next++ % 8];

    (void)snprintf(slot, sizeof(ring[0]), "%" PRId64, v);
    return slot;
}

/* Control and non-ASCII bytes become \xNN (text) or \u00NN (JSON): a peer can neither break a line
 * nor forge one. */
static void put_quoted(struct buf *b, const char *value, bool is_json)
{
    size_t n = strnlen(value, VALUE_MAX_LEN);

    buf_putc(b, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c == '"' || c == '\\') {
            buf_putc(b, '\\');
            buf_putc(b, (char)c);
        } else if (c < 0x20 || c >= 0x7f) {
            if (is_json) {
                buf_printf(b, "\\u%04x", c);
            } else {
                buf_printf(b, "\\x%02x", c);
            }
        } else {
            buf_putc(b, (char)c);
        }
    }
    buf_putc(b, '"');
}

static bool is_plain(const char *value)
{
    size_t n = strnlen(value, VALUE_MAX_LEN);

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=') {
            return false;
        }
    }
    return n > 0;
}

static void put_pair(struct buf *b, const char *key, const char *value, bool is_json)
{
    if (value == NULL) {
        return;
    }
    if (b->len > (is_json ? 1u : 0u)) {
        buf_putc(b, is_json ? ',' : ' ');
    }
    if (is_json) {
        buf_printf(b, "\"%s\":", key);
        put_quoted(b, value, true);
        return;
    }
    buf_printf(b, "%s=", key);
    if (is_plain(value)) {
        buf_puts(b, value);
    } else {
        put_quoted(b, value, false);
    }
}

void log_write(enum log_level level, const char *event, const struct log_kv *kv, int n)
{
    char when[CLOCK_RFC3339_LEN + 1];
    bool is_json = atomic_load_explicit(&active_format, memory_order_relaxed) == LOG_JSON;
    int saved_errno = errno;
    AUTO(buf_clear) struct buf b = BUF_INIT(LINE_MAX_LEN);

    if (!log_enabled(level)) {
        return;
    }
    clock_rfc3339(clock_unix_s(), when);
    if (is_json) {
        buf_putc(&b, '{');
    }
    put_pair(&b, "time", when, is_json);
    put_pair(&b, "level", LEVEL_NAMES[level], is_json);
    put_pair(&b, "scope", scope, is_json);
    put_pair(&b, "ev", event, is_json);
    for (int i = 0; i < n; i++) {
        size_t before = b.len;
        put_pair(&b, kv[i].key, kv[i].value, is_json);
        if (b.failed) {
            /* Too long: drop this pair, keep the line well formed. */
            b.failed = false;
            b.len = before;
        }
    }
    b.max += LINE_END_LEN;
    if (is_json) {
        buf_putc(&b, '}');
    }
    buf_putc(&b, '\n');
    ssize_t wrote = write(STDERR_FILENO, b.data, b.len);
    (void)wrote; /* nobody is left to tell */
    errno = saved_errno;
}

void log_err(enum log_level level, const char *event, struct err e)
{
    const struct err_trace *trace = err_trace();
    char at[128];

    (void)snprintf(at, sizeof(at), "%s:%d", trace->file == NULL ? "?" : trace->file, trace->line);
    const struct log_kv kv[] = {{"err", err_name(e.code)}, {"at", at}, {"msg", trace->text}};
    log_write(level, event, kv, 3);
}
