#include "core/http/internal.h"

#include "core/util/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define VALUE_MAX 2048u

void http_resp_init(struct http_resp *resp)
{
    memset(resp, 0, sizeof(*resp));
    resp->status = 200;
    buf_init(&resp->body, HTTP_RESPONSE_MAX);
}

void http_resp_clear(struct http_resp *resp)
{
    for (unsigned i = 0; i < resp->headers_n; i++) {
        mem_free(resp->headers[i].name);
        mem_free(resp->headers[i].value);
    }
    resp->headers_n = 0;
    buf_clear(&resp->body);
}

/* RFC 9110 §5.6.2; the framing headers are the server's own. */
static bool is_name_ok(const char *name)
{
    static const char *const OURS[] = {"Content-Length", "Transfer-Encoding", "Connection"};
    size_t len = strlen(name);

    for (size_t i = 0; i < ARRAY_N(OURS); i++) {
        if (strcasecmp(OURS[i], name) == 0) {
            return false;
        }
    }
    return len > 0 &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

static bool is_value_ok(const char *value)
{
    size_t len = strnlen(value, VALUE_MAX + 1);

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        if (c < ' ' || c == 0x7f) {
            return false;
        }
    }
    return len <= VALUE_MAX;
}

void http_resp_header(struct http_resp *resp, const char *name, const char *value)
{
    if (resp->failed || resp->headers_n >= HTTP_HEADERS_MAX || !is_name_ok(name) ||
        !is_value_ok(value)) {
        resp->failed = true;
        return;
    }
    char *name_copy = mem_strdup(name);
    char *value_copy = mem_strdup(value);
    if (name_copy == NULL || value_copy == NULL) {
        mem_free(name_copy);
        mem_free(value_copy);
        resp->failed = true;
        return;
    }
    resp->headers[resp->headers_n].name = name_copy;
    resp->headers[resp->headers_n].value = value_copy;
    resp->headers_n++;
}

void http_resp_headerf(struct http_resp *resp, const char *name, const char *fmt, ...)
{
    char value[VALUE_MAX + 1];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(value)) {
        resp->failed = true;
        return;
    }
    http_resp_header(resp, name, value);
}

void http_resp_body(struct http_resp *resp, int status, const char *content_type, const void *data,
                    size_t len)
{
    resp->status = status;
    resp->content_type = content_type;
    buf_reset(&resp->body);
    buf_put(&resp->body, data, len);
}

void http_resp_text(struct http_resp *resp, int status, const char *content_type, const char *text)
{
    http_resp_body(resp, status, content_type, text, strlen(text));
}

void http_allow_text(unsigned mask, char out[64])
{
    static const struct {
        unsigned bit;
        const char *text;
    } METHODS[] = {{HTTP_GET, "GET"},
                   {HTTP_HEAD, "HEAD"},
                   {HTTP_POST, "POST"},
                   {HTTP_PUT, "PUT"},
                   {HTTP_DELETE, "DELETE"}};
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < ARRAY_N(METHODS); i++) {
        if ((mask & METHODS[i].bit) != 0) {
            int n = snprintf(out + used, 64 - used, "%s%s", used == 0 ? "" : ", ", METHODS[i].text);
            used += n > 0 ? (size_t)n : 0;
        }
    }
}
