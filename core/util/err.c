#include "core/util/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

static _Thread_local struct err_trace newest;

struct err err_set(enum err_code code, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    struct err e = {code};
    char text[ERR_TEXT_MAX]; /* an argument may be the text of the trace that this one replaces */

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    memcpy(newest.text, text, strlen(text) + 1);
    newest.code = code;
    newest.file = file;
    newest.line = line;
    return e;
}

struct err err_set_ossl(const char *file, int line, const char *what)
{
    char reason[256] = "no reason given";
    unsigned long code = ERR_peek_last_error();

    if (code != 0) {
        ERR_error_string_n(code, reason, sizeof(reason));
    }
    /* An undrained queue would be reported by the next, innocent request of this thread. */
    ERR_clear_error();
    return err_set(ERR_CRYPTO, file, line, "%s: %s", what, reason);
}

const char *err_name(enum err_code code)
{
    switch (code) {
    case ERR_OK:
        return "ok";
    case ERR_NOMEM:
        return "nomem";
    case ERR_IO:
        return "io";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_BUSY:
        return "busy";
    case ERR_LIMIT:
        return "limit";
    case ERR_MALFORMED:
        return "malformed";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_DENIED:
        return "denied";
    case ERR_BAD_STATE:
        return "state";
    case ERR_CRYPTO:
        return "crypto";
    case ERR_DB:
        return "db";
    case ERR_CONFIG:
        return "config";
    case ERR_REJECTED:
        return "rejected";
    case ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}

const char *err_errno_text(int errno_value)
{
    /* Unlike strerror(), documented as safe in any thread (glibc 2.32). */
    const char *text = strerrordesc_np(errno_value);
    return text == NULL ? "unknown system error" : text;
}

const struct err_trace *err_trace(void)
{
    return &newest;
}

struct err err_restore(const struct err_trace *trace)
{
    struct err e = {trace->code};

    if (trace != &newest) {
        newest = *trace;
    }
    return e;
}
