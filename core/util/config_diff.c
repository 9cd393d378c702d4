/* What a reload cannot apply: comparing two loaded configurations by the option table. */
#include "core/util/config_internal.h"

#include <string.h>

#include "core/util/token.h"

static const void *field(const void *base, size_t offset)
{
    return (const uint8_t *)base + offset;
}

static bool text_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return ct_equal(a, strlen(a), b, strlen(b)); /* secrets are among them */
}

static bool net_equal(const struct ip_net *a, const struct ip_net *b)
{
    return a->prefix_len == b->prefix_len && ip_equal(&a->addr, &b->addr);
}

static bool endpoint_equal(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
    return a->port == b->port && ip_equal(&a->addr, &b->addr);
}

static bool route_equal(const struct config_route *a, const struct config_route *b)
{
    bool is_equal = strcmp(a->name, b->name) == 0 && a->servers_n == b->servers_n;

    for (size_t i = 0; is_equal && i < a->servers_n; i++) {
        is_equal = endpoint_equal(&a->servers[i], &b->servers[i]);
    }
    return is_equal;
}

static bool pattern_equal(const struct name_pattern *a, const struct name_pattern *b)
{
    return a->is_below == b->is_below && strcmp(a->base, b->base) == 0;
}

/* Do two options' fields hold the same? */
static bool option_equal(const struct config_option *option, const void *a, const void *b);

/* The options of one zone or client, those that a reload reads again included: they name what. */
static bool thing_equal(enum config_scope scope, const void *a, const void *b)
{
    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        const struct config_option *option = &CONFIG_OPTIONS[i];
        if (option->scope == scope && !option_equal(option, a, b)) {
            return false;
        }
    }
    return true;
}

static bool element_equal(enum config_type type, const void *a, const void *b, size_t i)
{
    switch (type) {
    case TYPE_IPS:
        return ip_equal((const struct ip_addr *)a + i, (const struct ip_addr *)b + i);
    case TYPE_NETS:
        return net_equal((const struct ip_net *)a + i, (const struct ip_net *)b + i);
    case TYPE_ENDPOINTS:
        return endpoint_equal((const struct ip_endpoint *)a + i, (const struct ip_endpoint *)b + i);
    case TYPE_PATTERNS:
        return pattern_equal((const struct name_pattern *)a + i,
                             (const struct name_pattern *)b + i);
    case TYPE_NAMES:
        return text_equal(((char *const *)a)[i], ((char *const *)b)[i]);
    case TYPE_ZONES:
        return thing_equal(SCOPE_ZONE, (const struct config_zone *)a + i,
                           (const struct config_zone *)b + i);
    case TYPE_CLIENTS:
        return thing_equal(SCOPE_CLIENT, (const struct config_client *)a + i,
                           (const struct config_client *)b + i);
    case TYPE_ROUTES:
        return route_equal((const struct config_route *)a + i, (const struct config_route *)b + i);
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
    case TYPE_PROFILES:
        break;
    }
    return false; /* no list that is read once */
}

static bool list_equal(const struct config_option *option, const void *a, const void *b)
{
    const void *const *list_a = field(a, option->offset);
    const void *const *list_b = field(b, option->offset);
    size_t n = *(const size_t *)field(a, option->n_offset);

    if (n != *(const size_t *)field(b, option->n_offset)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!element_equal(option->type, *list_a, *list_b, i)) {
            return false;
        }
    }
    return true;
}

static bool option_equal(const struct config_option *option, const void *a, const void *b)
{
    const void *in_a = field(a, option->offset);
    const void *in_b = field(b, option->offset);

    switch (option->type) {
    case TYPE_TEXT:
    case TYPE_PATH:
    case TYPE_URL:
    case TYPE_SECRET:
    case TYPE_SECRET_FILE: /* the secret that was read from it */
        return text_equal(*(char *const *)in_a, *(char *const *)in_b);
    case TYPE_BOOL:
        return *(const bool *)in_a == *(const bool *)in_b;
    case TYPE_INT:
    case TYPE_DURATION:
        return *(const int64_t *)in_a == *(const int64_t *)in_b;
    case TYPE_NAME:
    case TYPE_ZONE_NAME:
    case TYPE_CLIENT_NAME:
        return strcmp(in_a, in_b) == 0;
    case TYPE_CHOICE:
        return *(const int *)in_a == *(const int *)in_b;
    case TYPE_IPS:
    case TYPE_NETS:
    case TYPE_ENDPOINTS:
    case TYPE_NAMES:
    case TYPE_PATTERNS:
    case TYPE_ZONES:
    case TYPE_CLIENTS:
    case TYPE_ROUTES:
        return list_equal(option, a, b);
    case TYPE_PROFILE_NAME:
    case TYPE_USAGES:
    case TYPE_KEY_TYPES:
    case TYPE_PROFILES:
        break;
    }
    return true; /* a reload takes it */
}

bool config_differs_elsewhere(const struct config *a, const struct config *b, struct buf *keys)
{
    bool differs = false;

    for (size_t i = 0; i < CONFIG_OPTIONS_N; i++) {
        const struct config_option *option = &CONFIG_OPTIONS[i];
        if (option->scope == SCOPE_CONFIG && option->reload != RELOAD_YES &&
            !option_equal(option, a, b)) {
            buf_printf(keys, "%s%s", differs ? ", " : "", option->key);
            differs = true;
        }
    }
    return differs;
}
