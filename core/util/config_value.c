/* Typed values: one text or a list of texts becomes a field, or a line in the problem list. */
#include "core/util/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/file.h"
#include "core/util/mem.h"

#define SHOWN_MAX 80 /* characters of a wrong value in a sentence */

/* Control characters and bytes above ASCII become '?': a line stays one line on every terminal. */
static void put_printable(struct buf *out, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        buf_putc(out, *c >= ' ' && *c <= '~' ? *c : '?');
    }
}

static void put_where(struct config_loader *loader, const struct config_where *where)
{
    char env[CONFIG_ENV_NAME_MAX];
    const char *label = loader->label == NULL ? "configuration" : loader->label;

    switch (where->source) {
    case SOURCE_DEFAULT:
        buf_printf(loader->problems, "%s: ", label);
        break;
    case SOURCE_FILE:
        buf_printf(loader->problems, "%s:%zu:%zu: ", label, where->line, where->column);
        break;
    case SOURCE_ENV:
    case SOURCE_ENV_FILE:
        buf_puts(loader->problems, "environment: ");
        if (where->option == NULL) {
            put_printable(loader->problems, where->variable);
        } else {
            config_env_name(where->option, env);
            buf_puts(loader->problems, env);
        }
        buf_puts(loader->problems, where->source == SOURCE_ENV_FILE ? "_FILE: " : ": ");
        break;
    }
}

void config_problem(struct config_loader *loader, const struct config_where *where, const char *key,
                    const char *fmt, ...)
{
    char text[1024];
    va_list args;

    loader->problems_n++;
    if (loader->problems_n > CONFIG_PROBLEMS_MAX) {
        if (loader->problems_n == CONFIG_PROBLEMS_MAX + 1) {
            buf_puts(loader->problems, "further problems are not shown\n");
        }
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    put_where(loader, where);
    /* The variable already says which key it is. */
    bool is_named = where->source == SOURCE_ENV || where->source == SOURCE_ENV_FILE;
    if (key != NULL &&
        !(is_named && where->option != NULL && strcmp(key, where->option->key) == 0)) {
        put_printable(loader->problems, key);
        buf_puts(loader->problems, ": ");
    }
    put_printable(loader->problems, text);
    buf_putc(loader->problems, '\n');
}

struct err config_read_file(const char *path, size_t max, char **out, size_t *out_len)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(max);
    struct err e = file_read(path, &text);
    size_t len = text.len;

    if (e.code != ERR_OK) {
        mem_wipe(text.data, len);
        return e;
    }
    *out = buf_take(&text);
    TRY_PTR(*out);
    *out_len = len;
    return err_ok();
}

/* The sentence of the failure that just happened in this thread. */
static void problem_from_trace(struct config_loader *loader, const struct config_item *item,
                               const char *key)
{
    config_problem(loader, &item->where, key, "%s", err_trace()->text);
}

static void *field(void *base, size_t offset)
{
    return (uint8_t *)base + offset;
}

static struct err set_text(void *base, const struct config_option *option, const char *text)
{
    char **out = field(base, option->offset);
    char *copy = mem_strdup(text);

    TRY_PTR(copy);
    mem_free(*out);
    *out = copy;
    return err_ok();
}

static void set_bool(struct config_loader *loader, void *base, const struct config_option *option,
                     const struct config_item *item)
{
    bool *out = field(base, option->offset);

    if (strcmp(item->text, "true") != 0 && strcmp(item->text, "false") != 0) {
        config_problem(loader, &item->where, option->key,
                       "'%.*s' is not a boolean; write true or false", SHOWN_MAX, item->text);
        return;
    }
    *out = item->text[0] == 't';
}

/* Up to 9 digits: no overflow in any unit. */
static bool parse_number(const char *text, size_t len, int64_t *out)
{
    int64_t n = 0;

    if (len == 0 || len > 9) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        n = n * 10 + (text[i] - '0');
    }
    *out = n;
    return true;
}

static void set_int(struct config_loader *loader, void *base, const struct config_option *option,
                    const struct config_item *item)
{
    int64_t n = 0;

    if (!parse_number(item->text, strlen(item->text), &n) || n < option->min || n > option->max) {
        config_problem(loader, &item->where, option->key,
                       "'%.*s' is not a whole number from %lld to %lld", SHOWN_MAX, item->text,
                       (long long)option->min, (long long)option->max);
        return;
    }
    *(int64_t *)field(base, option->offset) = n;
}

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 'd':
        return 86400;
    case 'h':
        return 3600;
    case 'm':
        return 60;
    case 's':
        return 1;
    default:
        return 0;
    }
}

void config_duration_text(int64_t seconds, char out[CONFIG_DURATION_MAX])
{
    static const char units[] = "dhms";
    size_t i = 0;

    while (units[i] != 's' && (seconds == 0 || seconds % unit_seconds(units[i]) != 0)) {
        i++;
    }
    (void)snprintf(out, CONFIG_DURATION_MAX, "%lld%c",
                   (long long)(seconds / unit_seconds(units[i])), units[i]);
}

static void set_duration(struct config_loader *loader, void *base,
                         const struct config_option *option, const struct config_item *item)
{
    size_t len = strlen(item->text);
    int64_t n = 0;
    bool is_zero = strcmp(item->text, "0") == 0;
    int64_t unit = len == 0 ? 0 : unit_seconds(item->text[len - 1]);

    if (!is_zero && (unit == 0 || !parse_number(item->text, len - 1, &n))) {
        config_problem(loader, &item->where, option->key,
                       "'%.*s' is not a duration; write a number with d, h, m or s, as in 90d, "
                       "1h, 15m or 1s",
                       SHOWN_MAX, item->text);
        return;
    }
    n *= is_zero ? 0 : unit;
    if (n < option->min || n > option->max) {
        char min[CONFIG_DURATION_MAX];
        char max[CONFIG_DURATION_MAX];
        config_duration_text(option->min, min);
        config_duration_text(option->max, max);
        config_problem(loader, &item->where, option->key,
                       "'%.*s' is out of range; from %s to %s is allowed", SHOWN_MAX, item->text,
                       min, max);
        return;
    }
    *(int64_t *)field(base, option->offset) = n;
}

static void set_name(struct config_loader *loader, void *base, const struct config_option *option,
                     const struct config_item *item)
{
    char *out = field(base, option->offset);
    const char *why = "";

    if (option->type == TYPE_ZONE_NAME && strcmp(item->text, ".") == 0) {
        memcpy(out, ".", 2);
        return;
    }
    if (item->text[0] == '\0' && option->type == TYPE_NAME) {
        out[0] = '\0';
        return;
    }
    if (name_parse(item->text, strlen(item->text), out, &why).code != ERR_OK) {
        config_problem(loader, &item->where, option->key, "'%.*s' is not a DNS name: %s", SHOWN_MAX,
                       item->text, why);
    }
}

static void set_client_name(struct config_loader *loader, void *base,
                            const struct config_option *option, const struct config_item *item)
{
    char *out = field(base, option->offset);

    if (item->text[0] == '\0' && option->scope == SCOPE_ZONE) {
        out[0] = '\0'; /* transfer.key: none */
        return;
    }
    if (!config_client_name_ok(item->text)) {
        config_problem(loader, &item->where, option->key,
                       "'%.*s' is not a client name; write 1 to %u letters, digits, '-', '_' or "
                       "'.', beginning with a letter or digit",
                       SHOWN_MAX, item->text, CLIENT_NAME_MAX);
        return;
    }
    (void)snprintf(out, CLIENT_NAME_MAX + 1, "%s", item->text);
}

/* The text never appears in the problem line: it may be most of a secret. */
static struct err set_secret(struct config_loader *loader, void *base,
                             const struct config_option *option, const struct config_where *where,
                             const char *text)
{
    char **out = field(base, option->offset);
    const char *why = "";

    if (*out != NULL) {
        config_problem(loader, where, option->key,
                       "the client has a secret already; write secret or secret_file, once");
        return err_ok();
    }
    if (!config_secret_ok(text, &why)) {
        config_problem(loader, where, option->key, "not a secret: %s", why);
        return err_ok();
    }
    return set_text(base, option, text);
}

static struct err set_secret_file(struct config_loader *loader, void *base,
                                  const struct config_option *option,
                                  const struct config_item *item)
{
    AUTO(mem_freep) char *text = NULL;
    size_t len = 0;

    if (!loader->may_read_files) {
        config_problem(loader, &item->where, option->key, "files are not read here");
        return err_ok();
    }
    if (config_read_file(item->text, CONFIG_VALUE_MAX, &text, &len).code != ERR_OK) {
        problem_from_trace(loader, item, option->key);
        return err_ok();
    }
    text[strcspn(text, "\r\n")] = '\0';
    struct err e = set_secret(loader, base, option, &item->where, text);
    mem_wipe(text, len);
    return e;
}

static struct err set_url(struct config_loader *loader, void *base,
                          const struct config_option *option, const struct config_item *item)
{
    if (item->text[0] != '\0' && strncmp(item->text, "https://", 8) != 0 &&
        strncmp(item->text, "http://", 7) != 0) {
        config_problem(loader, &item->where, option->key,
                       "'%.*s' is not a URL that begins with https://", SHOWN_MAX, item->text);
        return err_ok();
    }
    if (item->text[strcspn(item->text, " \"'<>\\`")] != '\0') {
        config_problem(loader, &item->where, option->key,
                       "'%.*s' holds a space, quote or bracket, which no URL may", SHOWN_MAX,
                       item->text);
        return err_ok();
    }
    return set_text(base, option, item->text);
}

int config_choose(struct config_loader *loader, const struct config_option *option,
                  const struct config_item *item)
{
    AUTO(buf_clear) struct buf all = BUF_INIT(256);

    for (int i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], item->text) == 0) {
            return i;
        }
        buf_printf(&all, "%s%s", i == 0 ? "" : ", ", option->choices[i]);
    }
    config_problem(loader, &item->where, option->key, "'%.*s' is not one of %s", SHOWN_MAX,
                   item->text, buf_str(&all));
    return -1;
}

static void set_choice(struct config_loader *loader, void *base, const struct config_option *option,
                       const struct config_item *item)
{
    int choice = config_choose(loader, option, item);

    if (choice >= 0) {
        *(int *)field(base, option->offset) = choice;
    }
}

/* Parse one element into out; ERR_MALFORMED leaves a sentence in the trace. */
static struct err parse_element(const struct config_option *option, const struct config_item *item,
                                void *out)
{
    const char *why = "";
    size_t len = strlen(item->text);
    char name[NAME_TEXT_MAX + 1];
    struct ip_endpoint *endpoint = out;

    switch (option->type) {
    case TYPE_IPS:
        return ip_parse(item->text, out);
    case TYPE_NETS:
        return ip_net_parse(item->text, out);
    case TYPE_ENDPOINTS:
        TRY(ip_endpoint_parse(item->text, (uint16_t)option->default_port, endpoint));
        if (endpoint->port == 0) {
            FAIL(ERR_MALFORMED, "'%.80s': port 0 cannot be used; write 1 to 65535", item->text);
        }
        return err_ok();
    case TYPE_PATTERNS:
        if (name_pattern_parse(item->text, len, out, &why).code != ERR_OK) {
            FAIL(ERR_MALFORMED, "'%.80s' is not a name, *.name or *: %s", item->text, why);
        }
        return err_ok();
    case TYPE_NAMES:
        if (name_parse(item->text, len, name, &why).code != ERR_OK) {
            FAIL(ERR_MALFORMED, "'%.80s' is not a DNS name: %s", item->text, why);
        }
        *(char **)out = mem_strdup(name);
        TRY_PTR(*(char **)out);
        return err_ok();
    case TYPE_TEXT:
    case TYPE_PATH:
    case TYPE_BOOL:
    case TYPE_INT:
    case TYPE_DURATION:
    case TYPE_NAME:
    case TYPE_ZONE_NAME:
    case TYPE_CLIENT_NAME:
    case TYPE_PROFILE_NAME:
    case TYPE_SECRET:
    case TYPE_SECRET_FILE:
    case TYPE_URL:
    case TYPE_CHOICE:
    case TYPE_USAGES:
    case TYPE_KEY_TYPES:
    case TYPE_ZONES:
    case TYPE_CLIENTS:
    case TYPE_PROFILES:
    case TYPE_ROUTES:
        break;
    }
    FAIL(ERR_INTERNAL, "%s: not a list of values", option->key);
}

static size_t element_size(enum config_type type)
{
    return type == TYPE_IPS         ? sizeof(struct ip_addr)
           : type == TYPE_NETS      ? sizeof(struct ip_net)
           : type == TYPE_ENDPOINTS ? sizeof(struct ip_endpoint)
           : type == TYPE_PATTERNS  ? sizeof(struct name_pattern)
                                    : sizeof(char *);
}

static void free_list(const struct config_option *option, void *list, size_t n)
{
    if (option->type == TYPE_NAMES && list != NULL) {
        char **names = list;
        for (size_t i = 0; i < n; i++) {
            mem_free(names[i]);
        }
    }
    mem_free(list);
}

static struct err set_list(struct config_loader *loader, void *base,
                           const struct config_option *option, const struct config_value *v)
{
    void **out = field(base, option->offset);
    size_t *out_n = field(base, option->n_offset);
    size_t size = element_size(option->type);
    size_t n = 0;

    if (v->n > CONFIG_LIST_MAX) {
        config_problem(loader, &v->where, option->key, "the list has more than %u entries",
                       CONFIG_LIST_MAX);
        return err_ok();
    }
    uint8_t *list = mem_array(v->n, size);
    TRY_PTR(list);
    for (size_t i = 0; i < v->n; i++) {
        struct err e = parse_element(option, &v->items[i], list + n * size);
        if (e.code == ERR_MALFORMED) {
            problem_from_trace(loader, &v->items[i], option->key);
        } else if (e.code != ERR_OK) {
            free_list(option, list, n);
            return e;
        } else {
            n++;
        }
    }
    free_list(option, *out, *out_n);
    *out = list;
    *out_n = n;
    return err_ok();
}

static bool is_list_type(enum config_type type)
{
    return type == TYPE_IPS || type == TYPE_NETS || type == TYPE_ENDPOINTS || type == TYPE_NAMES ||
           type == TYPE_PATTERNS || type == TYPE_USAGES || type == TYPE_KEY_TYPES;
}

static bool has_right_shape(struct config_loader *loader, const struct config_option *option,
                            const struct config_value *v)
{
    if (is_list_type(option->type)) {
        if (v->shape != SHAPE_LIST) {
            config_problem(loader, &v->where, option->key,
                           "expects a list; write it in brackets, as in [a, b]");
        }
        return v->shape == SHAPE_LIST;
    }
    if (v->shape != SHAPE_SCALAR) {
        config_problem(loader, &v->where, option->key, "expects one value, not a %s",
                       v->shape == SHAPE_LIST ? "list" : "mapping");
    }
    return v->shape == SHAPE_SCALAR;
}

struct err config_set(struct config_loader *loader, void *base, const struct config_option *option,
                      const struct config_value *v)
{
    if (!has_right_shape(loader, option, v)) {
        return err_ok();
    }
    if (option->scope == SCOPE_CONFIG) {
        loader->where[option - CONFIG_OPTIONS] = v->where;
    }
    const struct config_item *item = v->items;
    switch (option->type) {
    case TYPE_TEXT:
    case TYPE_PATH:
        return set_text(base, option, item->text);
    case TYPE_BOOL:
        set_bool(loader, base, option, item);
        return err_ok();
    case TYPE_INT:
        set_int(loader, base, option, item);
        return err_ok();
    case TYPE_DURATION:
        set_duration(loader, base, option, item);
        return err_ok();
    case TYPE_NAME:
    case TYPE_ZONE_NAME:
        set_name(loader, base, option, item);
        return err_ok();
    case TYPE_CLIENT_NAME:
        set_client_name(loader, base, option, item);
        return err_ok();
    case TYPE_SECRET:
        return set_secret(loader, base, option, &item->where, item->text);
    case TYPE_SECRET_FILE:
        return set_secret_file(loader, base, option, item);
    case TYPE_URL:
        return set_url(loader, base, option, item);
    case TYPE_CHOICE:
        set_choice(loader, base, option, item);
        return err_ok();
    case TYPE_IPS:
    case TYPE_NETS:
    case TYPE_ENDPOINTS:
    case TYPE_NAMES:
    case TYPE_PATTERNS:
        return set_list(loader, base, option, v);
    case TYPE_PROFILE_NAME:
    case TYPE_USAGES:
    case TYPE_KEY_TYPES:
        config_profile_set(loader, base, option, v);
        return err_ok();
    case TYPE_ZONES:
    case TYPE_CLIENTS:
    case TYPE_PROFILES:
    case TYPE_ROUTES:
        break;
    }
    FAIL(ERR_INTERNAL, "%s: no plain value", option->key);
}
