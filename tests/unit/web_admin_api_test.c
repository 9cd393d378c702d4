/* The admin API's clients over real HTTP: what is refused, what is made, and how it is listed. */
#include "web/admin_api.h"

#include "delegate_fixture.h"
#include "http_talk.h"

#include <jansson.h>

#define CLIENTS "/api/v1/clients"

struct world {
    struct fixture *f;
    struct admin_api *api;
    struct talk talk;
};

static void world_start(struct world *w)
{
    struct http_route routes[32];
    size_t n = 0;

    memset(w, 0, sizeof(*w));
    w->f = fixture_new("");
    /* The status needs more than this; it is not asked for here. */
    const struct admin_api_options options = {.cfg = w->f->cfg,
                                              .store = w->f->store,
                                              .access = w->f->access,
                                              .delegate = w->f->delegate,
                                              .zones = w->f->zones,
                                              .records = w->f->records};
    must(admin_api_new(&options, &w->api));
    size_t none = ARRAY_N(routes);
    assert_int_equal(ERR_LIMIT, admin_api_routes(w->api, routes, ARRAY_N(routes), &none).code);
    must(admin_api_routes(w->api, routes, ARRAY_N(routes), &n));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(HTTP_ON_CONTROL, routes[i].listeners);
    }
    talk_start(&w->talk, routes, n, HTTP_ON_CONTROL);
}

static void world_stop(struct world *w)
{
    talk_stop(&w->talk);
    admin_api_free(w->api);
    fixture_free(w->f);
}

static void expect(struct world *w, int status, const char *says, const char *method,
                   const char *path, const char *body)
{
    int got = talk(&w->talk, method, path, "", body);

    if (got != status || !talk_has(&w->talk, says)) {
        fail_msg("%s %s %s: expected %d with %s, got %s", method, path, body, status, says,
                 buf_str(&w->talk.reply));
    }
}

static void refuses_bad_clients(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *says;
    } cases[] = {
        {"", 400, "a JSON object with a client"},
        {"[]", 400, "a JSON object with a client"},
        {"{\"name\":\"web\",\"name\":\"x\",\"names\":[\"x.test\"]}", 400, "a JSON object"},
        {"{\"names\":[\"x.test\"]}", 400, "a JSON object with a client"},
        {"{\"name\":\"web\"}", 400, "client web has no names"},
        {"{\"name\":\"web\",\"preauthorized\":true}", 400, "client web has no names"},
        {"{\"name\":\"web\",\"names\":\"x.test\"}", 400, "names: a list of at most 256 texts"},
        {"{\"name\":\"web\",\"names\":[1]}", 400, "names: entry 1 is not a text"},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"networks\":[\"x\"]}", 400, "'x'"},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"preauthorized\":\"yes\"}", 400,
         "preauthorized: true or false was expected"},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"limits\":0}", 400,
         "limits: true or false was expected"},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"records\":0}", 400,
         "records: true or false was expected"},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"key_only\":true}", 400,
         "client web is a key only and has names"},
        {"{\"name\":\"web\",\"names\":[],\"key_only\":true,\"preauthorized\":true}", 400,
         "client web is a key only and has a preauthorization"},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"secret\":\"short\"}", 400, "at least 32"},
        {"{\"name\":\"both\",\"names\":[\"x.test\"]}", 409, "client both exists already"},
    };
    struct world w;
    (void)state;

    world_start(&w);
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        expect(&w, cases[i].status, cases[i].says, "POST", CLIENTS, cases[i].body);
        assert_true(talk_has(&w.talk, "application/problem+json"));
    }
    assert_false(access_exists(w.f->access, "web"));
    expect(&w, 403, "client both is in the configuration", "DELETE", CLIENTS "/both", "");
    expect(&w, 404, "no client nobody", "DELETE", CLIENTS "/nobody", "");
    world_stop(&w);
}

/* Member `key` of the listed client `name`: 1, 0, or -1 when it is no boolean. */
static int listed(struct world *w, const char *name, const char *key)
{
    int value = -1;

    expect(w, 200, "\"bindings\":[]", "GET", CLIENTS, "");
    json_t *reply = json_loads(w->talk.body, JSON_REJECT_DUPLICATES, NULL);
    size_t i = 0;
    const json_t *one = NULL;
    json_array_foreach(json_object_get(reply, "clients"), i, one)
    {
        const json_t *found = json_object_get(one, key);
        if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0 &&
            json_is_boolean(found)) {
            value = json_is_true(found) ? 1 : 0;
        }
    }
    json_decref(reply);
    return value;
}

static void flags_are_taken_and_listed(void **state)
{
    static const struct {
        const char *body;
        const char *says;
        int preauthorized, limits, records;
    } cases[] = {
        {"{\"name\":\"web\",\"names\":[\"x.test\"]}", "\"preauthorized\":false,\"limits\":true", 0,
         1, 1},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"preauthorized\":null,\"limits\":null}",
         "\"preauthorized\":false,\"limits\":true,\"records\":true", 0, 1, 1},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"preauthorized\":true}",
         "\"preauthorized\":true,\"limits\":true", 1, 1, 1},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"preauthorized\":true,\"limits\":false}",
         "\"preauthorized\":true,\"limits\":false", 1, 0, 1},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"preauthorized\":false,\"limits\":false}",
         "\"preauthorized\":false,\"limits\":false", 0, 0, 1},
        {"{\"name\":\"web\",\"names\":[\"x.test\"],\"records\":false}", "\"records\":false", 0, 1,
         0},
        {"{\"name\":\"web\",\"key_only\":true}", "\"records\":true", 0, 1, 1},
    };
    struct world w;
    (void)state;

    world_start(&w);
    assert_int_equal(listed(&w, "both", "preauthorized"), 0);
    assert_int_equal(listed(&w, "both", "limits"), 1);
    assert_int_equal(listed(&w, "both", "records"), 1);
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        expect(&w, 201, cases[i].says, "POST", CLIENTS, cases[i].body);
        assert_int_equal(access_is_preauthorized(w.f->access, "web"), cases[i].preauthorized);
        assert_int_equal(access_has_limits(w.f->access, "web"), cases[i].limits);
        assert_int_equal(listed(&w, "web", "preauthorized"), cases[i].preauthorized);
        assert_int_equal(listed(&w, "web", "limits"), cases[i].limits);
        assert_int_equal(access_has_records(w.f->access, "web"), cases[i].records);
        assert_int_equal(listed(&w, "web", "records"), cases[i].records);
        assert_false(talk_has(&w.talk, "secret"));
        expect(&w, 204, "", "DELETE", CLIENTS "/web", "");
    }
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_clients),
        cmocka_unit_test(flags_are_taken_and_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
