#include "core/http/internal.h"

#include "core/util/mem.h"

#include <stdlib.h>
#include <string.h>

struct http_router {
    struct http_route *routes; /* most specific first; routes of one path are neighbours */
    size_t n;
};

const char *http_path_fault(const char *path)
{
    size_t len = strnlen(path, HTTP_PATH_MAX + 1);

    if (path[0] != '/') {
        return "The request's path must start with a slash.";
    }
    if (len > HTTP_PATH_MAX) {
        return "The request's path is longer than 1024 characters.";
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c <= ' ' || c >= 0x7f) {
            return "The request's path holds a character that must not stand in a URL.";
        }
    }
    if (strstr(path, "..") != NULL) {
        return "The request's path must not hold two dots in a row.";
    }
    return NULL;
}

static bool is_star(const char *path)
{
    size_t len = strlen(path);
    return len >= 2 && path[len - 1] == '*' && path[len - 2] == '/';
}

static int compare(const void *left, const void *right)
{
    const struct http_route *a = left;
    const struct http_route *b = right;
    size_t a_len = strlen(a->path);
    size_t b_len = strlen(b->path);

    if (is_star(a->path) != is_star(b->path)) {
        return is_star(a->path) ? 1 : -1;
    }
    if (a_len != b_len) {
        return a_len > b_len ? -1 : 1;
    }
    return strcmp(a->path, b->path);
}

static struct err check_route(const struct http_route *r)
{
    const char *star = r->path == NULL ? NULL : strchr(r->path, '*');

    if (r->path == NULL || http_path_fault(r->path) != NULL ||
        (star != NULL && (star[1] != '\0' || !is_star(r->path)))) {
        FAIL(ERR_INTERNAL, "route '%.80s' is not a path", r->path == NULL ? "" : r->path);
    }
    if (r->methods == 0 || r->listeners == 0 || r->handler == NULL) {
        FAIL(ERR_INTERNAL, "route '%.80s' has no method, listener or handler", r->path);
    }
    size_t max = r->listeners == HTTP_ON_CONTROL ? HTTP_CONTROL_BODY_MAX : HTTP_BODY_MAX;
    if (r->body_max > max) {
        FAIL(ERR_INTERNAL, "route '%.80s' takes a body of more than %zu bytes", r->path, max);
    }
    return err_ok();
}

static struct err check_unique(const struct http_router *router)
{
    for (size_t i = 0; i < router->n; i++) {
        const struct http_route *a = &router->routes[i];
        for (size_t j = i + 1; j < router->n; j++) {
            const struct http_route *b = &router->routes[j];
            if (strcmp(a->path, b->path) == 0 && (a->methods & b->methods) != 0 &&
                (a->listeners & b->listeners) != 0) {
                FAIL(ERR_INTERNAL, "route '%.80s' is there twice", a->path);
            }
        }
    }
    return err_ok();
}

static void free_slot(struct http_router **router)
{
    http_router_free(*router);
}

struct err http_router_new(const struct http_route *routes, size_t n, struct http_router **out)
{
    AUTO(free_slot) struct http_router *router = mem_zalloc(sizeof(*router));
    TRY_PTR(router);
    router->routes = mem_array(n, sizeof(*routes));
    TRY_PTR(router->routes);
    for (size_t i = 0; i < n; i++) {
        TRY(check_route(&routes[i]));
        router->routes[i] = routes[i];
        router->routes[i].path = mem_strdup(routes[i].path);
        router->n++;
        TRY_PTR(router->routes[i].path);
    }
    if (n > 1) {
        qsort(router->routes, n, sizeof(*routes), compare);
    }
    TRY(check_unique(router));
    *out = MOVE(router);
    return err_ok();
}

void http_router_free(struct http_router *router)
{
    if (router == NULL) {
        return;
    }
    for (size_t i = 0; i < router->n; i++) {
        mem_freep(&router->routes[i].path);
    }
    mem_free(router->routes);
    mem_free(router);
}

/* The part of path that the star stands for ("" for an exact route), or NULL. */
static const char *match(const struct http_route *route, const char *path)
{
    if (!is_star(route->path)) {
        return strcmp(route->path, path) == 0 ? "" : NULL;
    }
    size_t prefix_len = strlen(route->path) - 1;
    return strncmp(route->path, path, prefix_len) == 0 ? path + prefix_len : NULL;
}

const struct http_route *http_router_find(const struct http_router *router,
                                          enum http_listener listener, enum http_method method,
                                          const char *path, const char **tail, int *status,
                                          unsigned *allow)
{
    const struct http_route *first = NULL; /* of the most specific path that matches */
    const struct http_route *get = NULL;   /* stands in for HEAD */

    *tail = "";
    *allow = 0;
    *status = 400;
    if (http_path_fault(path) != NULL) {
        return NULL;
    }
    for (size_t i = 0; i < router->n; i++) {
        const struct http_route *route = &router->routes[i];
        const char *rest = match(route, path);
        if (rest == NULL || (route->listeners & (unsigned)listener) == 0) {
            continue;
        }
        if (first != NULL && strcmp(first->path, route->path) != 0) {
            break;
        }
        first = route;
        *tail = rest;
        *allow |= route->methods | ((route->methods & HTTP_GET) != 0 ? HTTP_HEAD : 0u);
        if ((route->methods & (unsigned)method) != 0) {
            *status = 200;
            return route;
        }
        if (method == HTTP_HEAD && (route->methods & HTTP_GET) != 0) {
            get = route;
        }
    }
    *status = get != NULL ? 200 : first != NULL ? 405 : 404;
    return get;
}
