#include "web/admin_reply.h"

#include <stdlib.h>
#include <string.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "web/admin_api.h"

void admin_reply_json(struct http_resp *resp, int status, const json_t *value)
{
    char *text = value == NULL ? NULL : json_dumps(value, JSON_COMPACT);

    if (text == NULL) {
        admin_problem(resp, 500, "out of memory");
        return;
    }
    http_resp_text(resp, status, "application/json", text);
    free(text); /* allow: jansson's allocation */
}

static const char *title_of(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    default: /* allow: HTTP status, not an enum of ours */
        return "Internal Server Error";
    }
}

void admin_problem(struct http_resp *resp, int status, const char *detail)
{
    AUTO(json_decrefp)
    json_t *doc = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
                            title_of(status), "status", status, "detail", detail);
    char *text = doc == NULL ? NULL : json_dumps(doc, JSON_COMPACT);

    if (text == NULL) {
        http_resp_text(resp, 500, "application/problem+json", "{\"status\":500}");
        return;
    }
    http_resp_text(resp, status, "application/problem+json", text);
    free(text); /* allow: jansson's allocation */
}

void admin_reply_err(struct http_resp *resp, struct err e, const char *event)
{
    int status = 500;

    switch (e.code) {
    case ERR_NOT_FOUND:
        status = 404;
        break;
    case ERR_CONFLICT:
    case ERR_REJECTED:
        status = 409;
        break;
    case ERR_DENIED:
        status = 403;
        break;
    case ERR_MALFORMED:
    case ERR_LIMIT:
    case ERR_CONFIG:
        status = 400;
        break;
    case ERR_OK:
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_TIMEOUT:
    case ERR_BUSY:
    case ERR_BAD_STATE:
    case ERR_CRYPTO:
    case ERR_DB:
    case ERR_INTERNAL:
        break;
    }
    log_err(status == 500 ? LOG_ERROR : LOG_INFO, event, e);
    /* Whoever reads this owns the state directory: the cause itself is the most useful answer. */
    admin_problem(resp, status, err_trace()->text);
}

json_t *admin_time(int64_t unix_s)
{
    char text[CLOCK_RFC3339_LEN + 1];

    if (unix_s == 0) {
        return json_null();
    }
    clock_rfc3339(unix_s, text);
    return json_string(text);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The n characters at `text`, decoded. */
static bool decode(const char *text, size_t n, char *out, size_t cap)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = n - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = n - i > 2 ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = high * 16 + low;
            i += 2;
        }
        if (c < ' ' || c == 0x7f || len + 1 >= cap) {
            return false;
        }
        out[len++] = (char)c;
    }
    out[len] = '\0';
    return true;
}

/* What stands behind "key=", still encoded, *n characters long; NULL when the key is not there. */
static const char *find_value(const char *query, const char *key, size_t *n)
{
    size_t key_len = strlen(key);

    while (*query != '\0') {
        size_t len = strcspn(query, "&");
        if (len > key_len && strncmp(query, key, key_len) == 0 && query[key_len] == '=') {
            *n = len - key_len - 1;
            return query + key_len + 1;
        }
        query += len + (query[len] == '&' ? 1 : 0);
    }
    return NULL;
}

bool admin_query_value(const char *query, const char *key, char *out, size_t cap)
{
    size_t n = 0;
    const char *value = find_value(query, key, &n);

    return value != NULL && decode(value, n, out, cap);
}

struct err admin_query_number(const char *query, const char *key, size_t preset, size_t max,
                              size_t *out)
{
    char text[12];
    size_t n = 0;

    if (find_value(query, key, &n) == NULL) {
        *out = preset;
        return err_ok();
    }
    n = 0;
    bool is_good = admin_query_value(query, key, text, sizeof(text)) && text[0] != '\0' &&
                   text[strspn(text, "0123456789")] == '\0';
    for (const char *c = text; is_good && *c != '\0'; c++) {
        n = n * 10 + (size_t)(*c - '0');
        is_good = n <= max;
    }
    if (!is_good) {
        FAIL(ERR_MALFORMED, "%s: a whole number of at most %zu was expected", key, max);
    }
    *out = n;
    return err_ok();
}
