#include "acme-server/base_url.h"

#include <stdio.h>
#include <string.h>

#include "core/util/name.h"

#define SCHEME "https://"
#define SCHEME_LEN (sizeof(SCHEME) - 1)
#define HTTPS_PORT 443u

struct authority {
    char host[NAME_TEXT_MAX + 3]; /* lower case; an IPv6 address in brackets */
    struct ip_addr ip;            /* family 0 for a name */
    unsigned port;
};

static bool parse_port(const char *text, size_t len, unsigned *out)
{
    unsigned port = 0;

    if (len == 0 || len > 5) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    *out = port;
    return port >= 1 && port <= 65535;
}

static bool parse_address(const char *text, size_t len, struct authority *out)
{
    char plain[IP_TEXT_MAX + 1];
    char canonical[IP_TEXT_MAX + 1];
    bool is_v6 = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    size_t plain_len = is_v6 ? len - 2 : len;

    if (plain_len == 0 || plain_len >= sizeof(plain)) {
        return false;
    }
    memcpy(plain, is_v6 ? text + 1 : text, plain_len);
    plain[plain_len] = '\0';
    if ((strchr(plain, ':') != NULL) != is_v6 || ip_parse(plain, &out->ip).code != ERR_OK) {
        return false;
    }
    ip_text(&out->ip, canonical);
    (void)snprintf(out->host, sizeof(out->host), is_v6 ? "[%s]" : "%s", canonical);
    return true;
}

/* "host", "host:port", "[v6]" or "[v6]:port"; user names, percent escapes and anything else are
 * refused. */
static bool parse_authority(const char *text, size_t len, struct authority *out)
{
    struct authority a = {.port = HTTPS_PORT};
    const char *close = memchr(text, ']', len);
    const char *from = close == NULL ? text : close;
    const char *colon = memchr(from, ':', len - (size_t)(from - text));
    size_t host_len = colon == NULL ? len : (size_t)(colon - text);

    if (colon != NULL && !parse_port(colon + 1, len - host_len - 1, &a.port)) {
        return false;
    }
    if (!parse_address(text, host_len, &a)) {
        a.ip = (struct ip_addr){0};
        if (name_parse(text, host_len, a.host, NULL).code != ERR_OK) {
            return false;
        }
    }
    *out = a;
    return true;
}

static void authority_text(const struct authority *a, char out[BASE_AUTHORITY_MAX + 1])
{
    if (a->port == HTTPS_PORT) {
        (void)snprintf(out, BASE_AUTHORITY_MAX + 1, "%s", a->host);
    } else {
        (void)snprintf(out, BASE_AUTHORITY_MAX + 1, "%s:%u", a->host, a->port);
    }
}

struct err base_urls_init(struct base_urls *urls, const struct config *cfg, uint16_t https_port)
{
    const char *url = cfg->public_url;
    struct authority a = {.port = https_port == 0 ? HTTPS_PORT : https_port};

    *urls = (struct base_urls){.cfg = cfg};
    if (url == NULL || url[0] == '\0') {
        (void)snprintf(a.host, sizeof(a.host), "%s", cfg->hostname);
        authority_text(&a, urls->authority);
        return err_ok();
    }
    if (strncmp(url, SCHEME, SCHEME_LEN) != 0 ||
        !parse_authority(url + SCHEME_LEN, strlen(url + SCHEME_LEN), &a)) {
        FAIL(ERR_CONFIG, "public_url \"%s\" must be https://host or https://host:port", url);
    }
    authority_text(&a, urls->authority);
    return err_ok();
}

static bool is_ours(const struct base_urls *urls, const struct authority *a)
{
    char text[BASE_AUTHORITY_MAX + 1];

    authority_text(a, text);
    if (strcmp(text, urls->authority) == 0 || strcmp(a->host, "localhost") == 0 ||
        strcmp(a->host, urls->cfg->hostname) == 0) {
        return true;
    }
    for (size_t i = 0; a->ip.family != 0 && i < urls->cfg->addresses_n; i++) {
        if (ip_equal(&a->ip, &urls->cfg->addresses[i])) {
            return true;
        }
    }
    return false;
}

void base_url_of(const struct base_urls *urls, const char *host, char out[BASE_URL_MAX + 1])
{
    struct authority a = {0};
    char text[BASE_AUTHORITY_MAX + 1];

    if (parse_authority(host, strlen(host), &a) && is_ours(urls, &a)) {
        authority_text(&a, text);
        (void)snprintf(out, BASE_URL_MAX + 1, SCHEME "%s", text);
        return;
    }
    (void)snprintf(out, BASE_URL_MAX + 1, SCHEME "%s", urls->authority);
}

/* Split "https://authority/path"; the path starts with its slash. */
static bool split(const char *url, struct authority *a, const char **path)
{
    if (strncmp(url, SCHEME, SCHEME_LEN) != 0) {
        return false;
    }
    const char *authority = url + SCHEME_LEN;
    const char *slash = strchr(authority, '/');
    if (slash == NULL || !parse_authority(authority, (size_t)(slash - authority), a)) {
        return false;
    }
    *path = slash;
    return true;
}

bool base_url_matches(const char *base, const char *url, const char *path, const char *query)
{
    struct authority a = {0};
    const char *rest = NULL;
    char text[BASE_AUTHORITY_MAX + 1];
    size_t path_len = strlen(path);

    if (!split(url, &a, &rest)) {
        return false;
    }
    authority_text(&a, text);
    if (strcmp(text, base + SCHEME_LEN) != 0 || strncmp(rest, path, path_len) != 0) {
        return false;
    }
    rest += path_len;
    if (query[0] == '\0') {
        return rest[0] == '\0';
    }
    return rest[0] == '?' && strcmp(rest + 1, query) == 0;
}

const char *base_url_path(const struct base_urls *urls, const char *url)
{
    struct authority a = {0};
    const char *path = NULL;

    return split(url, &a, &path) && is_ours(urls, &a) ? path : NULL;
}
