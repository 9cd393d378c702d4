/* What the admin API's files share: answers, and reading a query string.
 *
 * Thread: HTTP threads. */
#ifndef WEB_ADMIN_REPLY_H
#define WEB_ADMIN_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "core/http/http.h"
#include "core/util/err.h"

/* value: borrowed; NULL is answered 500. */
void admin_reply_json(struct http_resp *resp, int status, const json_t *value);
/* The failure that just happened in this thread, logged as `event`, with its sentence. */
void admin_reply_err(struct http_resp *resp, struct err e, const char *event);
/* RFC 3339 text, or null for 0. */
json_t *admin_time(int64_t unix_s);
/* The value of `key` in "a=1&b=x%20y", percent escapes decoded, '+' as it stands; out: cap octets
 * with the terminator. false: not there, too long, a broken escape or a control character. */
bool admin_query_value(const char *query, const char *key, char *out, size_t cap);
/* A whole number up to max; absent is preset. ERR_MALFORMED with a sentence. */
MUST_USE struct err admin_query_number(const char *query, const char *key, size_t preset,
                                       size_t max, size_t *out);

#endif
