/* Logging: one line per event, as text or JSON, to standard error.
 *
 * A line carries level, time, the thread's scope (request or job id), a stable event name and
 * key/value pairs. Values are escaped; what a peer sent is safe to pass.  Never pass keys,
 * passwords, tokens, Authorization headers or whole JWS: nothing here can tell.  Thread rule:
 * any. */
#ifndef CORE_UTIL_LOG_H
#define CORE_UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/util/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_kv {
    const char *key;
    const char *value; /* NULL is skipped */
};

/* Set once before threads start. */
void log_setup(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
/* Set this thread's scope; NULL clears it.  Borrowed: it must live until it is cleared. */
void log_scope(const char *id);
const char *log_scope_get(void);
void log_write(enum log_level level, const char *event, const struct log_kv *kv, int n);
/* A number as text in a small per-thread ring (8 values), for use inside one log call. */
const char *log_int(int64_t v);
/* Log a failure with its trace: err=<code> at=<file:line> msg=<text>, plus kv. */
void log_err(enum log_level level, const char *event, struct err e);

/* log_ev(LOG_INFO, "acme.order.new", {"order", id}, {"msg", "sentence"}); */
#define log_ev(level, event, ...)                                                                  \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_kv log_kv_[] = {__VA_ARGS__};                                         \
            log_write((level), (event), log_kv_, (int)(sizeof(log_kv_) / sizeof(log_kv_[0])));     \
        }                                                                                          \
    } while (0)

#endif
