#include "acme-server/issuer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- our names -------------------------------------------------------------------------------- */

void issuer_names(const struct base_urls *urls, struct issuer_names *out)
{
    const char *authority = urls->authority;
    size_t len = strcspn(authority, ":");
    struct ip_addr ip;

    out->list[0] = urls->cfg->hostname;
    out->n = 1;
    out->host[0] = '\0';
    if (authority[0] == '[' || name_parse(authority, len, out->host, NULL).code != ERR_OK ||
        ip_parse(out->host, &ip).code == ERR_OK) {
        return;
    }
    if (strcmp(out->host, urls->cfg->hostname) != 0) {
        out->list[out->n++] = out->host;
    }
}

/* --- issue-value ------------------------------------------------------------------------------ */

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_value(char c)
{
    return c > 0x20 && c < 0x7f && c != ';';
}

struct scan {
    const char *at, *end;
};

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t')) {
        s->at++;
    }
}

static bool skip_char(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c) {
        return false;
    }
    s->at++;
    return true;
}

/* Letters and digits with hyphens between them: a label, and a parameter's tag. */
static bool take_word(struct scan *s, struct issue_text *out)
{
    out->at = s->at;
    while (s->at < s->end && (is_alnum(*s->at) || *s->at == '-')) {
        s->at++;
    }
    out->len = (size_t)(s->at - out->at);
    return out->len > 0 && out->at[0] != '-' && out->at[out->len - 1] != '-';
}

/* issuer-domain-name, which may be left out. */
static bool take_name(struct scan *s, struct issue_text *out)
{
    struct issue_text label;

    *out = (struct issue_text){s->at, 0};
    if (s->at == s->end || *s->at == ';') {
        return true;
    }
    do {
        if (!take_word(s, &label)) {
            return false;
        }
    } while (skip_char(s, '.'));
    out->len = (size_t)(s->at - out->at);
    return true;
}

static bool take_param(struct scan *s, struct issue_param *out)
{
    if (!take_word(s, &out->tag)) {
        return false;
    }
    skip_space(s);
    if (!skip_char(s, '=')) {
        return false;
    }
    skip_space(s);
    out->value.at = s->at;
    while (s->at < s->end && is_value(*s->at)) {
        s->at++;
    }
    out->value.len = (size_t)(s->at - out->value.at);
    skip_space(s);
    return true;
}

bool issue_value_parse(const uint8_t *data, size_t len, struct issue_value *out)
{
    struct scan s = {(const char *)data, (const char *)data + len};

    out->params_n = 0;
    skip_space(&s);
    if (!take_name(&s, &out->name)) {
        return false;
    }
    skip_space(&s);
    bool has_next = skip_char(&s, ';');
    skip_space(&s);
    /* A lone ';' is fine, one behind the last parameter is not. */
    while (has_next && (out->params_n > 0 || s.at < s.end)) {
        if (out->params_n == ISSUE_PARAMS_MAX || !take_param(&s, &out->params[out->params_n])) {
            return false;
        }
        out->params_n++;
        has_next = skip_char(&s, ';');
        skip_space(&s);
    }
    return s.at == s.end;
}

bool issue_text_is(const struct issue_text *text, const char *word)
{
    return strlen(word) == text->len && strncasecmp(text->at, word, text->len) == 0;
}

bool issue_name_is_one_of(const struct issue_value *value, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (value->name.len > 0 && issue_text_is(&value->name, names[i])) {
            return true;
        }
    }
    return false;
}

const struct issue_text *issue_param_find(const struct issue_value *value, const char *tag,
                                          bool *is_twice)
{
    const struct issue_text *found = NULL;

    *is_twice = false;
    for (size_t i = 0; i < value->params_n; i++) {
        if (issue_text_is(&value->params[i].tag, tag)) {
            *is_twice = *is_twice || found != NULL;
            found = &value->params[i].value;
        }
    }
    return *is_twice ? NULL : found;
}

/* --- URIs of ours ----------------------------------------------------------------------------- */

void issue_uri_path(const struct base_urls *urls, const struct issue_text *uri,
                    char out[ISSUE_URI_MAX + 1])
{
    char text[ISSUE_URI_MAX + 1];

    out[0] = '\0';
    if (uri->len > ISSUE_URI_MAX) {
        return;
    }
    memcpy(text, uri->at, uri->len);
    text[uri->len] = '\0';
    const char *path = base_url_path(urls, text);
    if (path != NULL) {
        (void)snprintf(out, ISSUE_URI_MAX + 1, "%s", path);
    }
}

bool issue_uri_is_account(const struct base_urls *urls, const struct issue_text *uri,
                          const char *account_id)
{
    char path[ISSUE_URI_MAX + 1];
    const size_t prefix_len = sizeof(ACCOUNT_PATH) - 1;

    issue_uri_path(urls, uri, path);
    return strncmp(path, ACCOUNT_PATH, prefix_len) == 0 && account_id[0] != '\0' &&
           strcmp(path + prefix_len, account_id) == 0;
}
