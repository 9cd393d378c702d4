#include "bailiwick/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "core/util/buf.h"
#include "core/util/mem.h"

#define CONTROL_PATH_MAX 512u

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

static struct err set_options(CURL *curl, const char *socket_path, const char *url,
                              struct buf *answer)
{
    bool is_set = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)CONTROL_TIMEOUT_S) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
                  curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer) == CURLE_OK;

    if (!is_set) {
        FAIL(ERR_INTERNAL, "control socket: libcurl refuses an option");
    }
    return err_ok();
}

static struct err set_body(CURL *curl, const char *method, const char *text,
                           const struct curl_slist *headers)
{
    bool is_set = curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;

    if (text != NULL) {
        is_set = is_set && curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text) == CURLE_OK &&
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

static struct err read_answer(CURL *curl, const struct buf *answer, json_t **reply)
{
    long status = 0;
    AUTO(json_decrefp) json_t *doc = NULL;

    if (curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK) {
        FAIL(ERR_INTERNAL, "control socket: no status");
    }
    if (answer->len > 0) {
        doc = json_loadb((const char *)answer->data, answer->len, JSON_REJECT_DUPLICATES, NULL);
        if (doc == NULL) {
            FAIL(ERR_MALFORMED, "the daemon's answer (HTTP %ld) is not JSON", status);
        }
    }
    if (status < 200 || status > 299) {
        const char *detail = json_string_value(json_object_get(doc, "detail"));
        FAIL(ERR_REJECTED, "%s", detail == NULL ? "the daemon refused without a reason" : detail);
    }
    *reply = MOVE(doc);
    return err_ok();
}

struct err control_request(const struct config *cfg, const char *method, const char *path,
                           const json_t *body, json_t **reply)
{
    AUTO(buf_clear) struct buf socket_path = BUF_INIT(CONTROL_PATH_MAX);
    AUTO(buf_clear) struct buf url = BUF_INIT(CONTROL_PATH_MAX);
    AUTO(wipe_buf) struct buf answer = BUF_INIT(CONTROL_REPLY_MAX);
    AUTO(wipe_text) char *text = NULL;
    AUTO(slist_free) struct curl_slist *headers = NULL;
    AUTO(easy_cleanup) CURL *curl = NULL;

    buf_printf(&socket_path, "%s/control.sock", cfg->state_dir);
    buf_printf(&url, "http://localhost%s", path);
    TRY(buf_check(&socket_path));
    TRY(buf_check(&url));
    if (body != NULL) {
        text = json_dumps(body, JSON_COMPACT);
        TRY_PTR(text);
        headers = curl_slist_append(NULL, "Content-Type: application/json");
        TRY_PTR(headers);
    }
    curl = curl_easy_init();
    TRY_PTR(curl);
    TRY(set_options(curl, buf_str(&socket_path), buf_str(&url), &answer));
    TRY(set_body(curl, method, text, headers));
    TRY(perform(curl, buf_str(&socket_path)));
    return read_answer(curl, &answer, reply);
}
