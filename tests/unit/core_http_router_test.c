/* The route table and the path rules. */
#include "core/http/internal.h"
#include "core/util/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void nothing(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    (void)req;
    (void)resp;
}

#define ANYWHERE (HTTP_ON_TLS | HTTP_ON_PLAIN | HTTP_ON_CONTROL)

enum { ROOT, A_GET, A_POST, A_STAR, AB, AB_STAR, TLS_ONLY, PLAIN_STAR, HEAD_OWN, HEAD_GET };
static const struct http_route ROUTES[] = {
    [ROOT] = {HTTP_GET, ANYWHERE, "/", 0, nothing, NULL},
    [A_GET] = {HTTP_GET, ANYWHERE, "/a", 0, nothing, NULL},
    [A_POST] = {HTTP_POST, ANYWHERE, "/a", 10, nothing, NULL},
    [A_STAR] = {HTTP_GET | HTTP_PUT, ANYWHERE, "/a/*", 0, nothing, NULL},
    [AB] = {HTTP_GET, ANYWHERE, "/a/b", 0, nothing, NULL},
    [AB_STAR] = {HTTP_DELETE, ANYWHERE, "/a/b/*", 0, nothing, NULL},
    [TLS_ONLY] = {HTTP_POST, HTTP_ON_TLS, "/s/x", 0, nothing, NULL},
    [PLAIN_STAR] = {HTTP_GET, HTTP_ON_PLAIN, "/s/*", 0, nothing, NULL},
    [HEAD_OWN] = {HTTP_HEAD, ANYWHERE, "/h", 0, nothing, NULL},
    [HEAD_GET] = {HTTP_GET, ANYWHERE, "/h", 0, nothing, NULL},
};

#define NOBODY 99
struct find_case {
    const char *path;
    enum http_listener listener;
    enum http_method method;
    int status;
    unsigned allow; /* checked for 405 */
    int route;      /* index, or NOBODY */
    const char *tail;
};

static const struct find_case CASES[] = {
    /* refused paths */
    {"", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"a", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"*", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"http://host/a", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"/..", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"/a/../b", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"/a/b..", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"/a b", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"/a\t", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"/a\r\n", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"/\x7f", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    {"/\xc3\xa4", HTTP_ON_TLS, HTTP_GET, 400, 0, NOBODY, ""},
    /* nobody there */
    {"/b", HTTP_ON_TLS, HTTP_GET, 404, 0, NOBODY, ""},
    {"//", HTTP_ON_TLS, HTTP_GET, 404, 0, NOBODY, ""},
    {"/A", HTTP_ON_TLS, HTTP_GET, 404, 0, NOBODY, ""},
    {"/ab", HTTP_ON_TLS, HTTP_GET, 404, 0, NOBODY, ""},
    {"/%61", HTTP_ON_TLS, HTTP_GET, 404, 0, NOBODY, ""},
    {"/s/x", HTTP_ON_CONTROL, HTTP_POST, 404, 0, NOBODY, ""},
    {"/s/y", HTTP_ON_TLS, HTTP_GET, 404, 0, NOBODY, ""},
    {"/b", HTTP_ON_TLS, (enum http_method)0, 404, 0, NOBODY, ""},
    /* wrong method */
    {"/a", HTTP_ON_TLS, HTTP_PUT, 405, HTTP_GET | HTTP_HEAD | HTTP_POST, NOBODY, ""},
    {"/a", HTTP_ON_TLS, (enum http_method)0, 405, HTTP_GET | HTTP_HEAD | HTTP_POST, NOBODY, ""},
    {"/a/b/c", HTTP_ON_TLS, HTTP_GET, 405, HTTP_DELETE, NOBODY, "c"},
    {"/s/x", HTTP_ON_TLS, HTTP_HEAD, 405, HTTP_POST, NOBODY, ""},
    /* found */
    {"/", HTTP_ON_TLS, HTTP_GET, 200, 0, ROOT, ""},
    {"/a", HTTP_ON_CONTROL, HTTP_GET, 200, 0, A_GET, ""},
    {"/a", HTTP_ON_TLS, HTTP_HEAD, 200, 0, A_GET, ""},
    {"/a", HTTP_ON_TLS, HTTP_POST, 200, 0, A_POST, ""},
    {"/a/", HTTP_ON_TLS, HTTP_GET, 200, 0, A_STAR, ""},
    {"/a/c", HTTP_ON_TLS, HTTP_PUT, 200, 0, A_STAR, "c"},
    {"/a/c/d/", HTTP_ON_TLS, HTTP_HEAD, 200, 0, A_STAR, "c/d/"},
    {"/a/%2e%2e", HTTP_ON_TLS, HTTP_GET, 200, 0, A_STAR, "%2e%2e"},
    {"/a/b", HTTP_ON_TLS, HTTP_GET, 200, 0, AB, ""},
    {"/a/b/c", HTTP_ON_TLS, HTTP_DELETE, 200, 0, AB_STAR, "c"},
    {"/s/x", HTTP_ON_TLS, HTTP_POST, 200, 0, TLS_ONLY, ""},
    {"/s/x", HTTP_ON_PLAIN, HTTP_GET, 200, 0, PLAIN_STAR, "x"},
    {"/h", HTTP_ON_TLS, HTTP_HEAD, 200, 0, HEAD_OWN, ""},
    {"/h", HTTP_ON_TLS, HTTP_GET, 200, 0, HEAD_GET, ""},
};

static void test_find(void **state)
{
    struct http_router *router = NULL;

    (void)state;
    assert_int_equal(http_router_new(ROUTES, ARRAY_N(ROUTES), &router).code, ERR_OK);
    for (size_t i = 0; i < ARRAY_N(CASES); i++) {
        const struct find_case *c = &CASES[i];
        const char *tail = NULL;
        int status = 0;
        unsigned allow = 99;
        const struct http_route *route =
            http_router_find(router, c->listener, c->method, c->path, &tail, &status, &allow);
        if (status != c->status || (route == NULL) != (c->route == NOBODY)) {
            fail_msg("case %zu (%s): status %d", i, c->path, status);
        }
        assert_string_equal(tail, c->tail);
        if (route != NULL) {
            assert_string_equal(route->path, ROUTES[c->route].path);
            assert_int_equal(route->methods, ROUTES[c->route].methods);
        }
        if (c->status == 405) {
            assert_int_equal(allow, c->allow);
        }
    }
    http_router_free(router);
    http_router_free(NULL);
}

static void test_long_path(void **state)
{
    char path[HTTP_PATH_MAX + 2];

    (void)state;
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[HTTP_PATH_MAX + 1] = '\0';
    assert_non_null(strstr(http_path_fault(path), "longer than 1024"));
    path[HTTP_PATH_MAX] = '\0';
    assert_null(http_path_fault(path));
}

static void test_bad_tables(void **state)
{
    static const struct http_route BAD[][2] = {
        {{HTTP_GET, ANYWHERE, NULL, 0, nothing, NULL}},
        {{HTTP_GET, ANYWHERE, "a", 0, nothing, NULL}},
        {{HTTP_GET, ANYWHERE, "/a*", 0, nothing, NULL}},
        {{HTTP_GET, ANYWHERE, "/*/a", 0, nothing, NULL}},
        {{HTTP_GET, ANYWHERE, "/a/../b", 0, nothing, NULL}},
        {{HTTP_GET, ANYWHERE, "/a", 0, NULL, NULL}},
        {{0, ANYWHERE, "/a", 0, nothing, NULL}},
        {{HTTP_GET, 0, "/a", 0, nothing, NULL}},
        {{HTTP_POST, ANYWHERE, "/a", HTTP_BODY_MAX + 1, nothing, NULL}},
        {{HTTP_POST, HTTP_ON_CONTROL, "/a", HTTP_CONTROL_BODY_MAX + 1, nothing, NULL}},
        {{HTTP_GET, ANYWHERE, "/a", 0, nothing, NULL},
         {HTTP_GET | HTTP_POST, HTTP_ON_TLS, "/a", 0, nothing, NULL}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        struct http_router *router = NULL;
        size_t n = BAD[i][1].path == NULL ? 1 : 2;
        assert_int_equal(http_router_new(BAD[i], n, &router).code, ERR_INTERNAL);
        assert_null(router);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_bad_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
