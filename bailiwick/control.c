#include "bailiwick/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "core/util/buf.h"
#include "core/util/mem.h"

#define CONTROL_PATH_MAX 8192u /* as long as the server takes */

static void easy_cleanup(CURL **curl)
{
    curl_easy_cleanup(*curl);
}

static void slist_free(struct curl_slist **list)
{
    curl_slist_free_all(*list);
}

/* Request and answer may hold a secret. */
static void wipe_buf(struct buf *b)
{
    if (b->data != NULL) {
        mem_wipe(b->data, b->len);
    }
    buf_clear(b);
}

static void wipe_text(char **text)
{
    if (*text != NULL) {
        mem_wipe(*text, strlen(*text));
    }
    free(*text); /* allow: jansson's allocation */
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
    struct buf *b = arg;

    buf_put(b, data, size * n);
    return b->failed ? 0 : size * n;
}

/* PATH_AS_IS: the zone of every name is a single dot. */
static struct err set_options(CURL *curl, const char *socket_path, const char *url, long timeout_s,
                              struct buf *answer)
{
    bool is_set = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_TIMEOUT, timeout_s) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer) == CURLE_OK;

    if (!is_set) {
        FAIL(ERR_INTERNAL, "control socket: libcurl refuses an option");
    }
    return err_ok();
}

static struct err set_body(CURL *curl, const struct control_call *call,
                           const struct curl_slist *headers)
{
    bool is_set = curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method) == CURLE_OK;

    if (call->body != NULL) {
        is_set = is_set &&
                 curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len) ==
                     CURLE_OK &&
                 curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body) == CURLE_OK &&
                 curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK;
    }
    if (!is_set) {
        FAIL(ERR_INTERNAL, "control socket: libcurl refuses an option");
    }
    return err_ok();
}

static struct err perform(CURL *curl, const char *socket_path)
{
    long os_errno = 0;
    CURLcode code = curl_easy_perform(curl);

    if (code == CURLE_OK) {
        return err_ok();
    }
    (void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
    if (code == CURLE_COULDNT_CONNECT && (os_errno == ENOENT || os_errno == ECONNREFUSED)) {
        FAIL(ERR_NOT_FOUND, "no daemon listens on %s; start it with 'bailiwick serve'",
             socket_path);
    }
    FAIL(ERR_IO, "the daemon's control socket %s cannot be used: %s", socket_path,
         code == CURLE_COULDNT_CONNECT && os_errno != 0 ? err_errno_text((int)os_errno)
                                                        : curl_easy_strerror(code));
}

/* No Expect: the server takes the body in any case, and waiting for its leave costs a second. */
static struct err make_headers(const struct control_call *call, struct curl_slist **out)
{
    AUTO(buf_clear) struct buf type = BUF_INIT(256);

    buf_printf(&type, "Content-Type: %s", call->content_type);
    TRY(buf_check(&type));
    *out = curl_slist_append(NULL, buf_str(&type));
    TRY_PTR(*out);
    TRY_PTR(curl_slist_append(*out, "Expect:"));
    return err_ok();
}

struct err control_exchange(const struct config *cfg, const struct control_call *call,
                            struct buf *answer, long *status)
{
    AUTO(buf_clear) struct buf socket_path = BUF_INIT(CONTROL_PATH_MAX);
    AUTO(buf_clear) struct buf url = BUF_INIT(CONTROL_PATH_MAX);
    AUTO(slist_free) struct curl_slist *headers = NULL;
    AUTO(easy_cleanup) CURL *curl = NULL;

    buf_printf(&socket_path, "%s/control.sock", cfg->state_dir);
    buf_printf(&url, "http://localhost%s", call->path);
    TRY(buf_check(&socket_path));
    TRY(buf_check(&url));
    if (call->body != NULL) {
        TRY(make_headers(call, &headers));
    }
    curl = curl_easy_init();
    TRY_PTR(curl);
    TRY(set_options(curl, buf_str(&socket_path), buf_str(&url),
                    call->timeout_s == 0 ? CONTROL_TIMEOUT_S : call->timeout_s, answer));
    TRY(set_body(curl, call, headers));
    TRY(perform(curl, buf_str(&socket_path)));
    if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status) != CURLE_OK) {
        FAIL(ERR_INTERNAL, "control socket: no status");
    }
    return err_ok();
}

struct err control_refused(const struct buf *answer)
{
    AUTO(json_decrefp)
    json_t *doc = json_loadb((const char *)answer->data, answer->len, JSON_REJECT_DUPLICATES, NULL);
    const char *detail = json_string_value(json_object_get(doc, "detail"));

    FAIL(ERR_REJECTED, "%s", detail == NULL ? "the daemon refused without a reason" : detail);
}

static struct err read_answer(const struct buf *answer, long status, json_t **reply)
{
    AUTO(json_decrefp) json_t *doc = NULL;

    if (answer->len > 0) {
        doc = json_loadb((const char *)answer->data, answer->len, JSON_REJECT_DUPLICATES, NULL);
        if (doc == NULL) {
            FAIL(ERR_MALFORMED, "the daemon's answer (HTTP %ld) is not JSON", status);
        }
    }
    if (status < 200 || status > 299) {
        return control_refused(answer);
    }
    *reply = MOVE(doc);
    return err_ok();
}

struct err control_request(const struct config *cfg, const char *method, const char *path,
                           const json_t *body, json_t **reply)
{
    struct control_call call = {.method = method, .path = path, .content_type = "application/json"};
    AUTO(wipe_buf) struct buf answer = BUF_INIT(CONTROL_REPLY_MAX);
    AUTO(wipe_text) char *text = NULL;
    long status = 0;

    if (body != NULL) {
        text = json_dumps(body, JSON_COMPACT);
        TRY_PTR(text);
        call.body = text;
        call.body_len = strlen(text);
    }
    TRY(control_exchange(cfg, &call, &answer, &status));
    return read_answer(&answer, status, reply);
}

void control_escape(struct buf *out, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_.~";

    for (const char *c = text; *c != '\0'; c++) {
        if (strchr(plain, *c) != NULL) {
            buf_putc(out, *c);
        } else {
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*c);
        }
    }
}
