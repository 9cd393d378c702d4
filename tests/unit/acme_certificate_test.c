/* Certificate download and alternate chains (RFC 8555 §7.4.2). */
#include "tests/unit/ca_other_root.h"

#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    struct fx *f = fx_new("");

    fx_register(f, &f->key, f->kid);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static const char *const APEX[] = {"svc.test"};

static void test_refused(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);
    struct who other = who_new(f);
    static const char *const tails[] = {"/1", "/2",  "/99", "/100", "/0",  "/01",
                                        "/x", "/1x", "/-1", "/1/1", "//1", "/"};
    char url[600];

    for (size_t i = 0; i < ARRAY_N(tails); i++) {
        (void)snprintf(url, sizeof(url), "%s%s", c.url, tails[i]);
        fx_post(f, url, "", &reply);
        if (reply.status != 404) {
            print_message("%s\n", tails[i]);
        }
        expect_problem(&reply, 404, "malformed");
    }
    fx_post(f, BASE "/acme/certificate/AAAAAAAAAAAAAAAAAAAAAA", "", &reply);
    expect_problem(&reply, 404, "malformed");
    fx_post(f, BASE "/acme/certificate/short", "", &reply);
    expect_problem(&reply, 404, "malformed");
    fx_post(f, c.url, "{}", &reply);
    expect_problem(&reply, 400, "malformed");
    who_post(f, &other, c.url, "", &reply);
    expect_problem(&reply, 403, "unauthorized");
    assert_null(strstr(reply.body, "BEGIN"));
    fx_get(f, HTTP_GET, path_of(c.url), &reply);
    expect_problem(&reply, 405, "malformed");
    who_clear(&other);
    cert_clear(&c);
    reply_clear(&reply);
}

static void test_one_chain(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);

    fx_post(f, c.url, "", &reply);
    expect_status(&reply, 200);
    assert_string_equal(reply.type, "application/pem-certificate-chain");
    assert_int_equal(reply.alternates_n, 0);
    assert_non_null(strstr(reply.body, ca_intermediate_pem(f->ca)));
    cert_clear(&c);
    reply_clear(&reply);
}

static struct err add_fn(struct db *db, void *arg)
{
    return ca_issuer_add_alternate(db, arg);
}

/* A cross-signed intermediate: the same leaf under another root, each chain naming the other. */
static void test_alternates(void **state)
{
    struct fx *f = *state;
    struct reply first = {0};
    struct reply second = {0};
    struct reply reply = {0};
    struct cert c = fx_issue(f, APEX, 1);
    EVP_PKEY *key = NULL;
    X509 *root = other_root("Other Root", &key);
    X509 *cross = other_cross(f->ca, root, key, 0);
    char *pem = other_pem(cross, NULL);
    char url[600];
    char link[700];

    must(store_write(f->store, "t", add_fn, pem));
    (void)snprintf(url, sizeof(url), "%s/1", c.url);
    fx_post(f, c.url, "", &first);
    expect_status(&first, 200);
    assert_int_equal(first.alternates_n, 1);
    (void)snprintf(link, sizeof(link), "<%s>;rel=\"alternate\"", url);
    assert_string_equal(first.alternate, link);
    fx_post(f, url, "", &second);
    expect_status(&second, 200);
    assert_string_equal(second.type, "application/pem-certificate-chain");
    assert_int_equal(second.alternates_n, 1);
    (void)snprintf(link, sizeof(link), "<%s>;rel=\"alternate\"", c.url);
    assert_string_equal(second.alternate, link);
    assert_non_null(strstr(second.body, pem));
    assert_null(strstr(second.body, ca_intermediate_pem(f->ca)));
    size_t leaf_len = (size_t)(strstr(first.body, "-----END") - first.body);
    assert_memory_equal(first.body, second.body, leaf_len);
    (void)snprintf(url, sizeof(url), "%s/2", c.url);
    fx_post(f, url, "", &reply);
    expect_problem(&reply, 404, "malformed");
    mem_free(pem);
    X509_free(cross);
    X509_free(root);
    EVP_PKEY_free(key);
    cert_clear(&c);
    reply_clear(&first);
    reply_clear(&second);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_alternates, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
