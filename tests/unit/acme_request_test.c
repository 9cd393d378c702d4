/* What every request goes through before a handler sees it, the directory, and nonces. */
#include "tests/unit/acme_support.h"

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {terms_of_service: 'https://ca.svc.test/terms'}\n");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

#define ORDER "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.svc.test\"}]}"
#define UNKNOWN_ID "AAAAAAAAAAAAAAAAAAAAAA"

static const struct refused_request {
    struct odd odd;
    const char *path;
    int status;
    const char *type;
    bool is_jwk;
} REFUSED[] = {
    {{.content_type = "application/json"}, "/acme/new-order", 415, "malformed", false},
    {{.content_type = ""}, "/acme/new-order", 415, "malformed", false},
    {{.content_type = "application/jose+jsonx"}, "/acme/new-order", 415, "malformed", false},
    {{.raw_body = "{"}, "/acme/new-order", 400, "malformed", false},
    {{.raw_body = ""}, "/acme/new-order", 400, "malformed", false},
    {{.raw_body = "[]"}, "/acme/new-order", 400, "malformed", false},
    {{.url = BASE "/acme/new-account"}, "/acme/new-order", 403, "unauthorized", false},
    {{.url = BASE "/acme/new-order?x"}, "/acme/new-order", 403, "unauthorized", false},
    {{.url = "https://evil.test/acme/new-order"}, "/acme/new-order", 403, "unauthorized", false},
    {{.url = "http://ca.svc.test/acme/new-order"}, "/acme/new-order", 403, "unauthorized", false},
    {{.url = "https://localhost/acme/new-order"}, "/acme/new-order", 403, "unauthorized", false},
    {{.nonce = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
     "/acme/new-order",
     400,
     "badNonce",
     false},
    {{.nonce = "!"}, "/acme/new-order", 400, "malformed", false},
    {{.kid = BASE "/acme/account/" UNKNOWN_ID},
     "/acme/new-order",
     400,
     "accountDoesNotExist",
     false},
    {{.kid = "https://evil.test/acme/account/" UNKNOWN_ID},
     "/acme/new-order",
     400,
     "accountDoesNotExist",
     false},
    {{.kid = BASE "/acme/account/"}, "/acme/new-order", 400, "accountDoesNotExist", false},
    {{.kid = BASE "/acme/account/" UNKNOWN_ID "/orders"},
     "/acme/new-order",
     400,
     "accountDoesNotExist",
     false},
    {{.kid = "1"}, "/acme/new-order", 400, "accountDoesNotExist", false},
    {{.kid = NULL}, "/acme/new-order", 400, "malformed", true},
    {{.kid = NULL}, "/acme/new-account", 400, "malformed", false},
    {{.kid = NULL}, "/acme/order/" UNKNOWN_ID, 404, "malformed", false},
    {{.kid = NULL}, "/acme/order/short", 404, "malformed", false},
    {{.kid = NULL}, "/acme/order/", 404, "malformed", false},
    {{.kid = NULL}, "/acme/order/" UNKNOWN_ID "/finalise", 404, "malformed", false},
    {{.kid = NULL}, "/acme/authz/" UNKNOWN_ID, 404, "malformed", false},
    {{.kid = NULL}, "/acme/authz/" UNKNOWN_ID "/x", 404, "malformed", false},
    {{.kid = NULL}, "/acme/challenge/" UNKNOWN_ID, 404, "malformed", false},
    {{.kid = NULL}, "/acme/certificate/" UNKNOWN_ID, 404, "malformed", false},
    {{.kid = NULL}, "/acme/account/" UNKNOWN_ID, 403, "unauthorized", false},
    {{.kid = NULL}, "/acme/nothing", 404, "malformed", false},
};

static void test_refused(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(REFUSED); i++) {
        bool is_order = strcmp(REFUSED[i].path, "/acme/new-order") == 0;
        fx_post_odd(f, &f->key, REFUSED[i].is_jwk ? NULL : f->kid, REFUSED[i].path,
                    is_order ? ORDER : "", &REFUSED[i].odd, &reply);
        if (reply.status != REFUSED[i].status) {
            print_message("row %zu\n", i);
        }
        expect_problem(&reply, REFUSED[i].status, REFUSED[i].type);
    }
    reply_clear(&reply);
}

/* Signed by a stranger in another's name. A nonce of theirs is not burnt. */
static void test_foreign_signature(void **state)
{
    struct fx *f = *state;
    struct maker stranger = maker_new(JWK_ES256, 0);
    struct reply nonce = {0};
    struct reply reply = {0};

    fx_get(f, HTTP_HEAD, "/acme/new-nonce", &nonce);
    const struct odd odd = {.nonce = nonce.nonce};
    fx_post_odd(f, &stranger, f->kid, "/acme/new-order", ORDER, &odd, &reply);
    expect_problem(&reply, 400, "malformed");
    fx_post_odd(f, &f->key, f->kid, "/acme/new-order", ORDER, &odd, &reply);
    expect_status(&reply, 201);
    fx_post_odd(f, &f->key, f->kid, "/acme/new-order", ORDER, &odd, &reply);
    expect_problem(&reply, 400, "badNonce");
    /* The nonce that came with the refusal works. */
    char fresh[128];
    (void)snprintf(fresh, sizeof(fresh), "%s", reply.nonce);
    const struct odd retry = {.nonce = fresh};
    fx_post_odd(f, &f->key, f->kid, "/acme/new-order", ORDER, &retry, &reply);
    expect_status(&reply, 201);
    maker_clear(&stranger);
    reply_clear(&nonce);
    reply_clear(&reply);
}

static void test_other_algorithm(void **state)
{
    struct fx *f = *state;
    struct maker rsa = maker_new(JWK_RS256, 2048);
    const struct odd usual = {0};
    struct reply reply = {0};

    fx_post_odd(f, &rsa, f->kid, "/acme/new-order", ORDER, &usual, &reply);
    expect_problem(&reply, 400, "badSignatureAlgorithm");
    maker_clear(&rsa);
    reply_clear(&reply);
}

static void test_plain_methods(void **state)
{
    static const char *const paths[] = {"/acme/new-order", "/acme/order/" UNKNOWN_ID,
                                        "/acme/authz/" UNKNOWN_ID, "/acme/certificate/" UNKNOWN_ID};
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(paths); i++) {
        fx_get(f, HTTP_GET, paths[i], &reply);
        expect_problem(&reply, 405, "malformed");
    }
    fx_get(f, HTTP_HEAD, "/acme/new-nonce", &reply);
    assert_int_equal(reply.status, 200);
    assert_string_not_equal(reply.nonce, "");
    fx_get(f, HTTP_GET, "/acme/new-nonce", &reply);
    assert_int_equal(reply.status, 204);
    assert_string_not_equal(reply.nonce, "");
    assert_string_equal(reply.index, "<" BASE "/acme/directory>;rel=\"index\"");
    assert_string_equal(reply.body, "");
    reply_clear(&reply);
}

static void test_directory(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct http_req req = {
        .method = HTTP_GET, .path = "/acme/directory", .host = "LOCALHOST:14000"};

    fx_http(f, &req, &reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.type, "application/json");
    assert_string_equal(member(&reply, "newNonce"), "https://localhost:14000/acme/new-nonce");
    assert_string_equal(member(&reply, "newAccount"), "https://localhost:14000/acme/new-account");
    assert_string_equal(member(&reply, "newOrder"), "https://localhost:14000/acme/new-order");
    const json_t *meta = json_object_get(reply.json, "meta");
    assert_string_equal(json_string_value(json_object_get(meta, "termsOfService")),
                        "https://ca.svc.test/terms");
    assert_string_equal(json_string_value(json_object_get(meta, "website")), BASE);
    assert_int_equal(json_object_size(json_object_get(meta, "profiles")), 3);
    assert_int_equal(reply.links_n, 0);
    req.host = "evil.test";
    fx_http(f, &req, &reply);
    assert_string_equal(member(&reply, "newNonce"), BASE "/acme/new-nonce");
    reply_clear(&reply);
}

/* The same server under another of its names: URLs, JWS url and kid go with the Host. */
static void test_other_host(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    const struct odd odd = {.host = "192.0.2.7:14000",
                            .url = "https://192.0.2.7:14000/acme/new-order"};

    fx_post_odd(f, &f->key, f->kid, "/acme/new-order", ORDER, &odd, &reply);
    expect_status(&reply, 201);
    assert_int_equal(strncmp(reply.location, "https://192.0.2.7:14000/acme/order/", 35), 0);
    assert_string_equal(reply.index, "<https://192.0.2.7:14000/acme/directory>;rel=\"index\"");
    reply_clear(&reply);
}

/* The store fails: a 500 that tells nothing, and a nonce. */
static struct err drop_table(struct db *db, void *arg)
{
    (void)arg;
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, "DROP TABLE acme_order_name");
    return db_run(q, NULL);
}

static void test_store_failure(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};

    log_setup((enum log_level) - 1, LOG_TEXT);
    must(store_write(f->store, "test", drop_table, NULL));
    fx_post(f, "/acme/new-order", ORDER, &reply);
    expect_problem(&reply, 500, "serverInternal");
    assert_null(strstr(reply.body, "acme_order"));
    assert_non_null(strstr(reply.body, "req000000001"));
    log_setup(LOG_WARN, LOG_TEXT);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_signature, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_algorithm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_host, setup, teardown),
        cmocka_unit_test_setup_teardown(test_store_failure, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
