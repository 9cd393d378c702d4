/* Results: what a function says when it cannot do its work.
 *
 * Every function that can fail returns `struct err`, which the compiler forces the caller to look
 * at.  The sentence, file and line of the deepest failure stay in a thread-local, so that one log
 * line at the top of a request or job can name the origin.  ERR_REJECTED means that the peer is at
 * fault and that the function's problem out-parameter says how; every other code is our own
 * failure.
 * Thread rule: the trace belongs to the calling thread; a worker copies it and hands it on with
 * err_restore(). */
#ifndef CORE_UTIL_ERR_H
#define CORE_UTIL_ERR_H

#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err_code {
    ERR_OK = 0,
    ERR_NOMEM,     /* memory is exhausted */
    ERR_IO,        /* a file, socket or disk failed (disk full and read-only included) */
    ERR_TIMEOUT,   /* a peer or a deadline ran out */
    ERR_BUSY,      /* somebody else holds the resource (port in use, state directory locked) */
    ERR_LIMIT,     /* a configured or built-in bound is reached */
    ERR_MALFORMED, /* bytes that do not follow their format */
    ERR_NOT_FOUND, /* no such object */
    ERR_CONFLICT,  /* the object exists already, or changed meanwhile */
    ERR_DENIED,    /* credentials or policy say no */
    ERR_BAD_STATE, /* the object's state does not allow this event */
    ERR_CRYPTO,    /* OpenSSL or GnuTLS failed */
    ERR_DB,        /* the store failed in any other way than ERR_IO */
    ERR_CONFIG,    /* the configuration is wrong */
    ERR_REJECTED,  /* the peer is at fault; the problem out-parameter is filled */
    ERR_INTERNAL   /* an invariant of ours does not hold */
};

struct err {
    enum err_code code;
};

#define ERR_TEXT_MAX 512
struct err_trace {
    enum err_code code;
    const char *file; /* static */
    int line;
    char text[ERR_TEXT_MAX];
};

/* The success value. */
static inline struct err err_ok(void)
{
    struct err ok = {ERR_OK};
    return ok;
}

/* Record a failure in this thread's trace and return it; use FAIL(). */
struct err err_set(enum err_code code, const char *file, int line, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Like err_set(), with the OpenSSL error queue drained into the text; use TRY_OSSL() or
 * FAIL_OSSL(). */
struct err err_set_ossl(const char *file, int line, const char *what);

/* The short stable name of a code, such as "malformed"; never NULL. */
const char *err_name(enum err_code code);

/* This thread's newest trace; valid until the next failure in this thread. */
const struct err_trace *err_trace(void);

/* Make `trace` this thread's newest trace and return its code: for results that cross threads. */
struct err err_restore(const struct err_trace *trace);

/* The text of an errno value, such as "No space left on device"; static, never NULL. */
const char *err_errno_text(int errno_value);

/* Say that a failure is deliberately dropped (clean-up on a path that already failed, best
 * effort). */
static inline void err_ignore(struct err e)
{
    (void)e;
}

/* FAIL() builds its result in place, so that compilers and analysers see that it is a failure. */
#define FAIL(fail_code, ...)                                                                       \
    do {                                                                                           \
        const struct err fail_err_ = {(fail_code)};                                                \
        (void)err_set(fail_err_.code, __FILE__, __LINE__, __VA_ARGS__);                            \
        return fail_err_;                                                                          \
    } while (0)
#define FAIL_OSSL(what)                                                                            \
    do {                                                                                           \
        const struct err fail_err_ = {ERR_CRYPTO};                                                 \
        (void)err_set_ossl(__FILE__, __LINE__, (what));                                            \
        return fail_err_;                                                                          \
    } while (0)
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        struct err try_err_ = (expr);                                                              \
        if (try_err_.code != ERR_OK) {                                                             \
            return try_err_;                                                                       \
        }                                                                                          \
    } while (0)
/* OpenSSL calls succeed with exactly 1. */
#define TRY_OSSL(expr)                                                                             \
    do {                                                                                           \
        if ((expr) != 1) {                                                                         \
            FAIL_OSSL(#expr);                                                                      \
        }                                                                                          \
    } while (0)
/* Allocation-like calls fail with NULL. */
#define TRY_PTR(ptr)                                                                               \
    do {                                                                                           \
        if ((ptr) == NULL) {                                                                       \
            FAIL(ERR_NOMEM, "%s: out of memory", #ptr);                                            \
        }                                                                                          \
    } while (0)

#endif
