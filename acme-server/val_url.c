#include "acme-server/val_url.h"

#include <stdio.h>
#include <string.h>

#include "core/util/buf.h"
#include "core/util/mem.h"

#include <curl/curl.h>

#define HTTP_PORT 80
#define HTTPS_PORT 443

static void url_handle_free(CURLU **url)
{
    curl_url_cleanup(*url);
}

static void curl_text_free(char **text)
{
    curl_free(*text);
}

void val_url_clear(struct val_url *url)
{
    mem_free(url->text);
    memset(url, 0, sizeof(*url));
}

struct err val_url_first(const struct val_target *target, uint16_t http_port, struct val_url *out)
{
    struct val_url url = {.port = http_port};
    AUTO(buf_clear) struct buf text = BUF_INIT(VAL_URL_MAX);
    bool is_v6 = ident_ip(&target->ident).family == 6;

    (void)snprintf(url.host, sizeof(url.host), "%s", target->ident.base);
    buf_printf(&text, is_v6 ? "http://[%s]" : "http://%s", url.host);
    if (http_port != HTTP_PORT) {
        buf_printf(&text, ":%u", (unsigned)http_port);
    }
    buf_printf(&text, "/.well-known/acme-challenge/%s", target->token);
    TRY(buf_check(&text));
    url.text = buf_take(&text);
    TRY_PTR(url.text);
    *out = url;
    return err_ok();
}

#define REFUSE(why, ...)                                                                           \
    do {                                                                                           \
        const struct err refused_ = {ERR_REJECTED};                                                \
        (void)snprintf((why), VAL_URL_WHY_MAX, __VA_ARGS__);                                       \
        return refused_;                                                                           \
    } while (0)

/* NULL in *out: the part is not there. */
static struct err get(CURLU *url, CURLUPart part, unsigned flags, char **out)
{
    CURLUcode code = curl_url_get(url, part, out, flags);

    if (code == CURLUE_OUT_OF_MEMORY) {
        FAIL(ERR_NOMEM, "URL: out of memory");
    }
    if (code != CURLUE_OK) {
        *out = NULL;
    }
    return err_ok();
}

static struct err check_scheme(CURLU *url, struct val_url *out, char why[VAL_URL_WHY_MAX])
{
    AUTO(curl_text_free) char *scheme = NULL;

    TRY(get(url, CURLUPART_SCHEME, 0, &scheme));
    out->is_https = scheme != NULL && strcmp(scheme, "https") == 0;
    if (!out->is_https && (scheme == NULL || strcmp(scheme, "http") != 0)) {
        REFUSE(why, "only http and https are followed, not '%.20s'", scheme == NULL ? "" : scheme);
    }
    return err_ok();
}

static struct err check_user(CURLU *url, char why[VAL_URL_WHY_MAX])
{
    AUTO(curl_text_free) char *user = NULL;
    AUTO(curl_text_free) char *password = NULL;
    AUTO(curl_text_free) char *zone = NULL;

    TRY(get(url, CURLUPART_USER, 0, &user));
    TRY(get(url, CURLUPART_PASSWORD, 0, &password));
    TRY(get(url, CURLUPART_ZONEID, 0, &zone));
    if (user != NULL || password != NULL) {
        REFUSE(why, "a URL with a user name is not followed");
    }
    if (zone != NULL) {
        REFUSE(why, "an address with a zone index is not followed");
    }
    return err_ok();
}

static bool is_host_char(char c, bool is_v6)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
           (is_v6 && c == ':');
}

static struct err check_host(CURLU *url, struct val_url *out, char why[VAL_URL_WHY_MAX])
{
    AUTO(curl_text_free) char *host = NULL;

    TRY(get(url, CURLUPART_HOST, 0, &host));
    size_t len = host == NULL ? 0 : strlen(host);
    bool is_v6 = len > 2 && host[0] == '[' && host[len - 1] == ']';
    const char *start = is_v6 ? host + 1 : host;
    len -= is_v6 ? 2 : 0;
    if (!is_v6 && len > 0 && start[len - 1] == '.') { /* the same name */
        len--;
    }
    if (len == 0 || len > NAME_TEXT_MAX) {
        REFUSE(why, "its host is missing or has more than %u characters", NAME_TEXT_MAX);
    }
    for (size_t i = 0; i < len; i++) {
        char c = start[i] >= 'A' && start[i] <= 'Z' ? (char)(start[i] - 'A' + 'a') : start[i];
        if (!is_host_char(c, is_v6)) {
            REFUSE(why, "its host has characters that no host name has");
        }
        out->host[i] = c;
    }
    out->host[len] = '\0';
    return err_ok();
}

static struct err check_port(CURLU *url, const struct config_acme *settings, struct val_url *out,
                             char why[VAL_URL_WHY_MAX])
{
    AUTO(curl_text_free) char *text = NULL;
    int64_t port = 0;

    TRY(get(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, &text));
    for (const char *c = text; c != NULL && *c >= '0' && *c <= '9' && port <= UINT16_MAX; c++) {
        port = port * 10 + (*c - '0');
    }
    if (port != HTTP_PORT && port != HTTPS_PORT && port != settings->http_port &&
        port != settings->tls_port) {
        REFUSE(why, "port %.8s is not followed, only 80 and 443", text == NULL ? "" : text);
    }
    out->port = (uint16_t)port;
    return err_ok();
}

static struct err take_text(CURLU *url, struct val_url *out, char why[VAL_URL_WHY_MAX])
{
    AUTO(curl_text_free) char *text = NULL;

    if (curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK) {
        FAIL(ERR_INTERNAL, "URL: the fragment stays");
    }
    TRY(get(url, CURLUPART_URL, 0, &text));
    if (text == NULL || strlen(text) > VAL_URL_MAX) {
        REFUSE(why, "the URL has more than %u characters", VAL_URL_MAX);
    }
    out->text = mem_strdup(text);
    TRY_PTR(out->text);
    return err_ok();
}

static struct err set(CURLU *url, const char *text, char why[VAL_URL_WHY_MAX])
{
    CURLUcode code =
        curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE);

    if (code == CURLUE_OUT_OF_MEMORY) {
        FAIL(ERR_NOMEM, "URL: out of memory");
    }
    if (code != CURLUE_OK) {
        REFUSE(why, "its Location is no URL (%s)", curl_url_strerror(code));
    }
    return err_ok();
}

static struct err parse(CURLU *url, const char *base, const char *location,
                        char why[VAL_URL_WHY_MAX])
{
    AUTO(curl_text_free) char *text = NULL;

    if (location[0] == '\0' || strlen(location) > VAL_URL_MAX) {
        REFUSE(why, "its Location is empty or has more than %u characters", VAL_URL_MAX);
    }
    TRY(set(url, base, why));
    TRY(set(url, location, why));
    /* Once more, as libcurl will read it: a host that was percent-encoded may now be an address. */
    TRY(get(url, CURLUPART_URL, 0, &text));
    return set(url, text == NULL ? "" : text, why);
}

struct err val_url_follow(const struct val_url *from, const char *location,
                          const struct config_acme *settings, struct val_url *out,
                          char why[VAL_URL_WHY_MAX])
{
    AUTO(url_handle_free) CURLU *url = curl_url();
    struct val_url next = {0};

    TRY_PTR(url);
    TRY(parse(url, from->text, location, why));
    TRY(check_scheme(url, &next, why));
    TRY(check_user(url, why));
    TRY(check_host(url, &next, why));
    TRY(check_port(url, settings, &next, why));
    TRY(take_text(url, &next, why));
    *out = next;
    return err_ok();
}
