/* Any bytes as method, listener and path: what is found is what was asked for, what is refused has
 * its reason. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/http/internal.h"
#include "core/util/mem.h"

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void nothing(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    (void)req;
    (void)resp;
}

#define ANYWHERE (HTTP_ON_TLS | HTTP_ON_PLAIN | HTTP_ON_CONTROL)
static const struct http_route ROUTES[] = {
    {HTTP_GET, ANYWHERE, "/", 0, nothing, NULL},
    {HTTP_GET, HTTP_ON_TLS, "/acme/directory", 0, nothing, NULL},
    {HTTP_POST, HTTP_ON_TLS, "/acme/*", 10, nothing, NULL},
    {HTTP_GET | HTTP_POST, HTTP_ON_TLS, "/acme-dns/storage/*", 10, nothing, NULL},
    {HTTP_GET, HTTP_ON_TLS, "/acme-dns/storage", 0, nothing, NULL},
    {HTTP_GET, HTTP_ON_PLAIN | HTTP_ON_TLS, "/crl/*", 0, nothing, NULL},
    {HTTP_PUT | HTTP_DELETE, HTTP_ON_CONTROL, "/api/v1/*", 0, nothing, NULL},
};

static void check_found(const struct http_route *route, const char *path, const char *tail,
                        enum http_listener listener, enum http_method method)
{
    size_t len = strlen(route->path);
    bool is_star = route->path[len - 1] == '*';
    unsigned methods = route->methods | ((route->methods & HTTP_GET) != 0 ? HTTP_HEAD : 0u);

    CHECK((methods & (unsigned)method) != 0 && (route->listeners & (unsigned)listener) != 0);
    if (is_star) {
        CHECK(strncmp(path, route->path, len - 1) == 0 && tail == path + len - 1);
    } else {
        CHECK(strcmp(path, route->path) == 0 && tail[0] == '\0');
    }
}

static void check_path(const struct http_router *router, enum http_listener listener,
                       enum http_method method, const char *path)
{
    const char *tail = NULL;
    int status = 0;
    unsigned allow = 0;
    const char *fault = http_path_fault(path);
    const struct http_route *route =
        http_router_find(router, listener, method, path, &tail, &status, &allow);

    CHECK(tail != NULL);
    CHECK((fault != NULL) == (status == 400));
    CHECK((route != NULL) == (status == 200));
    if (fault != NULL) {
        return;
    }
    CHECK(path[0] == '/' && strlen(path) <= HTTP_PATH_MAX && strstr(path, "..") == NULL);
    if (route != NULL) {
        check_found(route, path, tail, listener, method);
    } else {
        CHECK(status == 404 ? allow == 0 : (status == 405 && allow != 0));
        CHECK((allow & (unsigned)method) == 0);
    }
}

/* The same bytes as header values. */
static void check_headers(const char *text)
{
    char user[HTTP_BASIC_MAX];
    char pass[HTTP_BASIC_MAX];
    struct ip_addr ip = {0, {0}};

    if (http_basic_parse(text, user, pass).code == ERR_OK) {
        CHECK(strlen(user) < HTTP_BASIC_MAX && strlen(pass) < HTTP_BASIC_MAX);
        CHECK(strchr(user, ':') == NULL);
    }
    if (http_last_hop(text, &ip)) {
        CHECK(ip.family == 4 || ip.family == 6);
    }
    CHECK(http_method_of(text) == 0 || strlen(text) <= 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_router *router;

    if (router == NULL && http_router_new(ROUTES, ARRAY_N(ROUTES), &router).code != ERR_OK) {
        return 0;
    }
    if (size == 0) {
        return 0;
    }
    /* First octet: which listener, which method. */
    enum http_listener listener = (enum http_listener)(1u << (data[0] % 3));
    enum http_method method =
        (enum http_method)((data[0] & 0x70) == 0x70 ? 0u : 1u << ((data[0] >> 4 & 7) % 5));
    AUTO(mem_freep) char *text = mem_strndup((const char *)data + 1, size - 1);
    if (text != NULL) {
        check_path(router, listener, method, text);
        check_headers(text);
    }
    return 0;
}
