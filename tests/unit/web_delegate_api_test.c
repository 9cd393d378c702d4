/* The doors over real HTTP, against a real store, access, delegate and zone. */
#include "web/delegate_api.h"

#include "delegate_fixture.h"
#include "http_talk.h"

#include <jansson.h>

#define VALUE_1 "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0"
#define VALUE_2 "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
#define UUID_NOBODY "d420c923-bbd7-4056-ab64-c3ca54c9b3cf"
#define FQDN "{\"fqdn\":\"_acme-challenge.svc.test.\",\"value\":\""
#define OWNER "svc.test.acme.svc.test"

struct world {
    struct fixture *f;
    struct delegate_api *api;
    struct talk talk;
};

static void world_start(struct world *w, const char *extra_yaml)
{
    struct http_route routes[16];
    size_t n = 0;

    memset(w, 0, sizeof(*w));
    w->f = fixture_new(extra_yaml);
    const struct delegate_api_options options = {w->f->cfg, w->f->access, w->f->delegate};
    must(delegate_api_new(&options, &w->api));
    size_t none = ARRAY_N(routes);
    assert_int_equal(ERR_LIMIT, delegate_api_routes(w->api, routes, ARRAY_N(routes), &none).code);
    must(delegate_api_routes(w->api, routes, ARRAY_N(routes), &n));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(HTTP_ON_TLS, routes[i].listeners);
    }
    talk_start(&w->talk, routes, n, HTTP_ON_TLS);
}

static void world_stop(struct world *w)
{
    talk_stop(&w->talk);
    delegate_api_free(w->api);
    fixture_free(w->f);
}

/* One request; the reply must have this status and hold this text. */
static void expect(struct world *w, int status, const char *says, const char *method,
                   const char *path, const char *headers, const char *body)
{
    int got = talk(&w->talk, method, path, headers, body);

    if (got != status || !talk_has(&w->talk, says)) {
        fail_msg("%s %s: expected %d with %s, got %s", method, path, status, says,
                 buf_str(&w->talk.reply));
    }
    if (status >= 400) {
        json_t *reply = json_loads(w->talk.body, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_string_length(json_object_get(reply, "error")) > 0);
        assert_true(json_string_length(json_object_get(reply, "detail")) > 10);
        json_decref(reply);
    }
    if (status == 401) {
        assert_true(talk_has(&w->talk, "WWW-Authenticate: Basic realm=\"bailiwick\""));
    }
}

/* A string member of the last reply, copied into a ring. */
static const char *member(const struct world *w, const char *name)
{
    static char ring[8][300];
    static unsigned next;
    json_t *reply = json_loads(w->talk.body, JSON_REJECT_DUPLICATES, NULL);
    const char *text = json_string_value(json_object_get(reply, name));
    char *out = ring[next++ % ARRAY_N(ring)];

    if (text == NULL) {
        fail_msg("no %s in %s", name, w->talk.body);
    }
    (void)snprintf(out, sizeof(ring[0]), "%s", text);
    json_decref(reply);
    return out;
}

static const struct {
    const char *user, *pass;
    const char *path;
    const char *body;
    int status;
    const char *says;
} HTTPREQ_BAD[] = {
    {NULL, NULL, "/httpreq/present", FQDN VALUE_1 "\"}", 401, "Basic"},
    {"both", "wrong", "/httpreq/present", FQDN VALUE_1 "\"}", 401, "wrong"},
    {"nobody", SECRET_A, "/httpreq/cleanup", FQDN VALUE_1 "\"}", 401, "wrong"},
    {"inside", SECRET_B, "/httpreq/present", FQDN VALUE_1 "\"}", 403, "networks"},
    {"both", SECRET_A, "/httpreq/present", "{", 400, "malformed_json_payload"},
    {"both", SECRET_A, "/httpreq/present", "", 400, "malformed_json_payload"},
    {"both", SECRET_A, "/httpreq/present", FQDN "short\"}", 400, "bad_txt"},
    {"both", SECRET_A, "/httpreq/present",
     "{\"fqdn\":\"_acme-challenge.a_b.test.\",\"value\":\"" VALUE_1 "\"}", 400, "bad_name"},
    {"both", SECRET_A, "/httpreq/present",
     "{\"fqdn\":\"_acme-challenge.\\u00e4\\u00f6.test\",\"value\":\"" VALUE_1 "\"}", 400,
     "bad_name"},
    {"both", SECRET_A, "/httpreq/present",
     "{\"fqdn\":\"_acme-challenge.example.org\",\"value\":\"" VALUE_1 "\"}", 403, "names"},
    {"public", SECRET_B, "/httpreq/present", FQDN VALUE_1 "\"}", 403, "public"},
};

static void httpreq_refusals(void **state)
{
    struct world w;

    (void)state;
    world_start(&w, "");
    for (size_t i = 0; i < ARRAY_N(HTTPREQ_BAD); i++) {
        expect(&w, HTTPREQ_BAD[i].status, HTTPREQ_BAD[i].says, "POST", HTTPREQ_BAD[i].path,
               HTTPREQ_BAD[i].user == NULL ? ""
                                           : talk_basic(HTTPREQ_BAD[i].user, HTTPREQ_BAD[i].pass),
               HTTPREQ_BAD[i].body);
    }
    expect(&w, 401, "forbidden", "POST", "/httpreq/present", "Authorization: Basic !!!\r\n", "{}");
    expect(&w, 401, "forbidden", "POST", "/httpreq/present",
           "Authorization: Basic bm9jb2xvbg==\r\n", "{}");
    assert_int_equal(405, talk(&w.talk, "GET", "/httpreq/present", "", NULL));
    assert_int_equal(404, talk(&w.talk, "POST", "/httpreq/other", "", "{}"));
    assert_int_equal(0, values_at(w.f, OWNER));
    world_stop(&w);
}

static void httpreq_publishes_and_cleans_up(void **state)
{
    struct world w;
    char auth[512];

    (void)state;
    (void)snprintf(auth, sizeof(auth), "%s", talk_basic("both", SECRET_A));
    world_start(&w, "");
    expect(&w, 200, "{}", "POST", "/httpreq/cleanup", auth, FQDN VALUE_1 "\"}");
    expect(&w, 200, "application/json", "POST", "/httpreq/present", auth, FQDN VALUE_1 "\"}");
    expect(&w, 200, "{}", "POST", "/httpreq/present", auth,
           "{\"fqdn\":\"svc.test.acme.svc.test.\",\"value\":\"" VALUE_2 "\"}");
    assert_int_equal(2, values_at(w.f, OWNER));
    expect(&w, 200, "{}", "POST", "/httpreq/present", auth,
           "{\"domain\":\"*.svc.test\",\"token\":\"token\",\"keyAuth\":\"token." VALUE_2 "\"}");
    assert_int_equal(3, values_at(w.f, OWNER));
    /* Another client's cleanup finds nothing of its own. */
    expect(&w, 200, "{}", "POST", "/httpreq/cleanup", talk_basic("public", SECRET_B),
           FQDN VALUE_1 "\"}");
    assert_int_equal(3, values_at(w.f, OWNER));
    expect(&w, 200, "{}", "POST", "/httpreq/cleanup", auth, FQDN VALUE_1 "\"}");
    expect(&w, 200, "{}", "POST", "/httpreq/cleanup", auth,
           "{\"domain\":\"svc.test\",\"token\":\"token\",\"keyAuth\":\"token." VALUE_2 "\"}");
    assert_int_equal(1, values_at(w.f, OWNER));
    world_stop(&w);
}

static void a_full_name_is_a_conflict(void **state)
{
    struct world w;
    char body[200];
    char digest[TXT_VALUE_LEN + 1];

    (void)state;
    world_start(&w, "");
    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        must(publish_as(w.f, "both", "_acme-challenge.svc.test", digest_n(i, digest)));
    }
    (void)snprintf(body, sizeof(body), FQDN "%s\"}", digest_n(ZONE_VALUES_MAX, digest));
    expect(&w, 409, "\"full\"", "POST", "/httpreq/present", talk_basic("both", SECRET_A), body);
    world_stop(&w);
}

static void open_mode_wants_a_pending_challenge(void **state)
{
    struct world w;

    (void)state;
    world_start(&w, "open: true\n");
    expect(&w, 400, "pending", "POST", "/httpreq/present", "", FQDN VALUE_1 "\"}");
    expect_for(w.f, "*.svc.test", VALUE_1);
    expect(&w, 200, "{}", "POST", "/httpreq/present", "", FQDN VALUE_1 "\"}");
    assert_int_equal(1, values_at(w.f, OWNER));
    /* A wrong credential is not taken for none. */
    expect(&w, 401, "wrong", "POST", "/httpreq/present", talk_basic("both", "wrong"),
           FQDN VALUE_1 "\"}");
    expect(&w, 201, "{\"username\":", "POST", "/acme-dns/register", "", "null\n");
    expect(&w, 200, "\"username\":\"open\"", "GET", "/acme-dns/storage/svc.test", "", NULL);
    expect(&w, 200, "{}", "GET", "/acme-dns/storage", "", NULL);
    world_stop(&w);

    world_start(&w, "open: true\nopen_networks: [10.0.0.0/8]\n");
    expect(&w, 401, "open_networks", "POST", "/httpreq/present", "", FQDN VALUE_1 "\"}");
    world_stop(&w);
}

static void wrong_credentials_are_throttled(void **state)
{
    struct world w;

    (void)state;
    world_start(&w, "");
    for (unsigned i = 0; i < ACCESS_FAILURES_PER_MINUTE; i++) {
        expect(&w, 401, "forbidden", "POST", "/acme-dns/register", talk_basic("both", "no"), "");
    }
    expect(&w, 429, "Retry-After: 60", "POST", "/acme-dns/register", talk_basic("both", SECRET_A),
           "");
    expect(&w, 429, "throttled", "POST", "/acme-dns/update",
           "X-Api-User: both\r\nX-Api-Key: " SECRET_A "\r\n",
           "{\"subdomain\":\"x\",\"txt\":\"" VALUE_1 "\"}");
    clock_shift(61000);
    expect(&w, 201, "username", "POST", "/acme-dns/register", talk_basic("both", SECRET_A), "");
    world_stop(&w);
}

static const struct {
    const char *headers;
    const char *body;
    int status;
    const char *says;
} UPDATE_BAD[] = {
    {"", "{}", 401, "X-Api-User"},
    {"X-Api-User: " UUID_NOBODY "\r\n", "{}", 401, "X-Api-Key"},
    {"X-Api-User: " UUID_NOBODY "\r\nX-Api-Key: k\r\n", "nonsense", 400, "malformed_json_payload"},
    {"X-Api-User: " UUID_NOBODY "\r\nX-Api-Key: k\r\n", "{\"subdomain\":\"a\",\"txt\":\"t\"}", 400,
     "bad_txt"},
    {"X-Api-User: " UUID_NOBODY "\r\nX-Api-Key: k\r\n",
     "{\"subdomain\":\"a b\",\"txt\":\"" VALUE_1 "\"}", 400, "bad_subdomain"},
    {"X-Api-User: " UUID_NOBODY "\r\nX-Api-Key: k\r\n",
     "{\"subdomain\":\"a\",\"txt\":\"" VALUE_1 "\"}", 401, "forbidden"},
    {"X-Api-User: both\r\nX-Api-Key: " SECRET_B "\r\n",
     "{\"subdomain\":\"a\",\"txt\":\"" VALUE_1 "\"}", 401, "forbidden"},
    {"X-Api-User: inside\r\nX-Api-Key: " SECRET_B "\r\n",
     "{\"subdomain\":\"a\",\"txt\":\"" VALUE_1 "\"}", 403, "forbidden"},
    {"X-Api-User: both\r\nX-Api-Key: " SECRET_A "\r\n",
     "{\"subdomain\":\"a\",\"txt\":\"" VALUE_1 "\"}", 400, "pending"},
};

static void acmedns_refusals(void **state)
{
    struct world w;

    (void)state;
    world_start(&w, "");
    for (size_t i = 0; i < ARRAY_N(UPDATE_BAD); i++) {
        expect(&w, UPDATE_BAD[i].status, UPDATE_BAD[i].says, "POST", "/acme-dns/update",
               UPDATE_BAD[i].headers, UPDATE_BAD[i].body);
    }
    expect(&w, 401, "Basic", "POST", "/acme-dns/register", "", "");
    expect(&w, 400, "malformed_json_payload", "POST", "/acme-dns/register",
           talk_basic("both", SECRET_A), "[1]");
    expect(&w, 400, "invalid_allowfrom_cidr", "POST", "/acme-dns/register",
           talk_basic("both", SECRET_A), "{\"allowfrom\":[\"10.0.0.0/33\"]}");
    expect(&w, 403, "forbidden", "POST", "/acme-dns/register", talk_basic("inside", SECRET_B), "");
    world_stop(&w);
}

static void update_with(struct world *w, int status, const char *user, const char *key,
                        const char *subdomain, const char *value, const char *path)
{
    char headers[400];
    char body[400];

    (void)snprintf(headers, sizeof(headers),
                   "X-Api-User: %s\r\nX-Api-Key: %s\r\n"
                   "Content-Type: application/x-www-form-urlencoded\r\n",
                   user, key);
    (void)snprintf(body, sizeof(body), "{\"subdomain\":\"%s\", \"txt\": \"%s\"}", subdomain, value);
    expect(w, status, status == 200 ? "{\"txt\":\"" : "forbidden", "POST", path, headers, body);
    if (status == 200) {
        assert_string_equal(value, member(w, "txt"));
    }
}

static void acmedns_registers_and_updates(void **state)
{
    static const char *const bodies[] = {
        NULL, "", "null\n", "{}", "{\"allowfrom\":[]}", "{\"allowfrom\":[\"127.0.0.0/8\"]}"};
    struct world w;
    char auth[512];

    (void)state;
    (void)snprintf(auth, sizeof(auth), "%s", talk_basic("both", SECRET_A));
    world_start(&w, "");
    for (size_t i = 0; i < ARRAY_N(bodies); i++) {
        expect(&w, 201, "\"allowfrom\":[", "POST", "/acme-dns/register", auth, bodies[i]);
        assert_int_equal('{', w.talk.body[0]);
        assert_null(strchr(w.talk.body, '\n'));
    }
    assert_true(talk_has(&w.talk, "\"allowfrom\":[\"127.0.0.0/8\"]"));
    const char *user = member(&w, "username");
    const char *password = member(&w, "password");
    const char *subdomain = member(&w, "subdomain");
    char owner[NAME_TEXT_MAX + 1];
    assert_int_equal(UUID_TEXT_LEN, strlen(user));
    assert_int_equal(DELEGATE_PASSWORD_LEN, strlen(password));
    (void)snprintf(owner, sizeof(owner), "%.200s.acme.svc.test", subdomain);
    assert_string_equal(owner, member(&w, "fulldomain"));

    update_with(&w, 200, user, password, subdomain, VALUE_1, "/acme-dns/update");
    update_with(&w, 200, user, password, subdomain, VALUE_2, "/acme-dns//update");
    assert_int_equal(2, values_at(w.f, owner));
    update_with(&w, 401, user, password, UUID_NOBODY, VALUE_2, "/acme-dns/update");
    update_with(&w, 401, user, "wrong", subdomain, VALUE_2, "/acme-dns/update");
    /* The client's own credential, where the digest names the challenge. */
    expect_for(w.f, "svc.test", VALUE_1);
    update_with(&w, 200, "both", SECRET_A, "whatever", VALUE_1, "/acme-dns/update");
    assert_int_equal(1, values_at(w.f, OWNER));
    expect(&w, 200, "ok", "GET", "/acme-dns/health", "", NULL);
    world_stop(&w);
}

static void an_allowfrom_elsewhere_refuses(void **state)
{
    struct world w;

    (void)state;
    world_start(&w, "");
    expect(&w, 201, "10.0.0.0/8", "POST", "/acme-dns/register", talk_basic("both", SECRET_A),
           "{\"allowfrom\":[\"10.0.0.0/8\"]}");
    update_with(&w, 401, member(&w, "username"), member(&w, "password"), member(&w, "subdomain"),
                VALUE_1, "/acme-dns/update");
    world_stop(&w);
}

static void storage_refusals(void **state)
{
    struct world w;
    const char *path = "/acme-dns/storage/svc.test";

    (void)state;
    world_start(&w, "");
    expect(&w, 401, "Basic", "GET", path, "", NULL);
    expect(&w, 401, "forbidden", "GET", "/acme-dns/storage", "", NULL);
    expect(&w, 401, "forbidden", "GET", path, talk_basic("both", SECRET_B), NULL);
    expect(&w, 403, "names", "GET", path, talk_basic("public", SECRET_B), NULL);
    expect(&w, 403, "names", "POST", path, talk_basic("public", SECRET_B), "{}");
    expect(&w, 403, "networks", "GET", path, talk_basic("inside", SECRET_B), NULL);
    expect(&w, 400, "bad_name", "GET", "/acme-dns/storage/a_b", talk_basic("both", SECRET_A), NULL);
    expect(&w, 400, "bad_name", "GET", "/acme-dns/storage/a/b", talk_basic("both", SECRET_A), NULL);
    expect(&w, 400, "bad_name", "POST", "/acme-dns/storage/", talk_basic("both", SECRET_A), "{}");
    expect(&w, 400, "malformed_json_payload", "POST", path, talk_basic("both", SECRET_A), "x");
    world_stop(&w);
}

static void storage_accounts(void **state)
{
    struct world w;
    const char *path = "/acme-dns/storage/svc.test";
    const char *auth = talk_basic("both", SECRET_A);

    (void)state;
    world_start(&w, "");
    expect(&w, 200, "\"fulldomain\":\"" OWNER "\"", "GET", path, auth, NULL);
    char *first = mem_strdup(w.talk.body);
    assert_string_equal("https://ca.svc.test/acme-dns", member(&w, "server_url"));
    assert_string_equal("both", member(&w, "username"));
    assert_string_equal("svc.test", member(&w, "subdomain"));
    const char *password = member(&w, "password");
    assert_true(talk_has(&w.talk, "\"allowfrom\":[]"));
    expect(&w, 200, first, "GET", path, auth, NULL);
    mem_free(first);
    expect(&w, 201, "server_url", "POST", path, auth, "{\"fulldomain\":\"x\"}");

    update_with(&w, 200, "both", password, "svc.test", VALUE_1, "/acme-dns/update");
    assert_int_equal(1, values_at(w.f, OWNER));
    update_with(&w, 401, "both", password, "other.svc.test", VALUE_1, "/acme-dns/update");

    /* Exact names only, and only this client's. */
    static const char *const lists[] = {"/acme-dns/storage", "/acme-dns/storage/"};
    for (size_t i = 0; i < ARRAY_N(lists); i++) {
        expect(&w, 200, "{\"svc.test\":{\"fulldomain\":", "GET", lists[i], auth, NULL);
        json_t *map = json_loads(w.talk.body, 0, NULL);
        assert_int_equal(1, json_object_size(map));
        json_decref(map);
    }
    expect(&w, 200, "\r\n\r\n{}", "GET", "/acme-dns/storage", talk_basic("wild", SECRET_B), NULL);
    expect(&w, 200, "a.svc.test.acme", "GET", "/acme-dns/storage/a.svc.test",
           talk_basic("wild", SECRET_B), NULL);
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(httpreq_refusals),
        cmocka_unit_test(acmedns_refusals),
        cmocka_unit_test(storage_refusals),
        cmocka_unit_test(httpreq_publishes_and_cleans_up),
        cmocka_unit_test(a_full_name_is_a_conflict),
        cmocka_unit_test(open_mode_wants_a_pending_challenge),
        cmocka_unit_test(acmedns_registers_and_updates),
        cmocka_unit_test(an_allowfrom_elsewhere_refuses),
        cmocka_unit_test(storage_accounts),
        cmocka_unit_test(wrong_credentials_are_throttled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
