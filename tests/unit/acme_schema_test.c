/* Migration: a database of the first release opens, keeps what is valid and ends what was under way. */
#include "tests/unit/acme_issue.h"

#define ACCOUNT "accountAAAAAAAAAAAAAAA"
#define AUTHZ_VALID_ID "authzValidAAAAAAAAAAAA"
#define AUTHZ_PENDING_ID "authzPendingAAAAAAAAAA"
#define ORDER_VALID_ID "orderValidAAAAAAAAAAAA"
#define ORDER_READY_ID "orderReadyAAAAAAAAAAAA"
#define ORDER_PENDING_ID "orderPendingAAAAAAAAAA"
#define ORDER_INVALID_ID "orderInvalidAAAAAAAAAA"

struct fill {
    const char *thumbprint, *jwk;
};

static struct err put_account(struct db *db, const struct fill *fill)
{
    AUTO(db_stmt_release)
    struct db_stmt *q =
        db_prepare(db, "INSERT INTO acme_account (id, thumbprint, jwk, status, contact,"
                       " terms_agreed, created_unix) VALUES ('" ACCOUNT "', ?1, ?2, 0,"
                       " '[\"mailto:a@b.test\"]', 1, 1700000000)");

    db_bind_text(q, 1, fill->thumbprint);
    db_bind_text(q, 2, fill->jwk);
    return db_run(q, NULL);
}

static struct err put_order(struct db *db, const char *id, int64_t status, const char *authz)
{
    int64_t now = clock_unix_s();
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "INSERT INTO acme_order (id, account_id, status, created_unix, expires_unix, due_unix,"
            " not_before, not_after, profile, certificate_id, error) VALUES (?1, '" ACCOUNT "',"
            " ?2, ?3, ?4, ?4, 0, 0, '', CASE WHEN ?2 = 3 THEN 'certificateAAAAAAAAAAA' ELSE '' END,"
            " CASE WHEN ?2 = 4 THEN '{\"old\":1}' ELSE '' END)");

    db_bind_text(q, 1, id);
    db_bind_int(q, 2, status);
    db_bind_int(q, 3, now - 100);
    db_bind_int(q, 4, now + 86400);
    TRY(db_run(q, NULL));
    AUTO(db_stmt_release)
    struct db_stmt *n = db_prepare(db, "INSERT INTO acme_order_name (order_id, seq, name,"
                                       " is_wildcard, authz_id) VALUES (?1, 0, 'svc.test', 1, ?2)");
    db_bind_text(n, 1, id);
    db_bind_text(n, 2, authz);
    return db_run(n, NULL);
}

static struct err put_authz(struct db *db, const char *id, int64_t status)
{
    int64_t now = clock_unix_s();
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "INSERT INTO acme_authz (id, account_id, name, is_wildcard, status, created_unix,"
            " expires_unix, due_unix, decided_unix, is_published, by_client) VALUES (?1,"
            " '" ACCOUNT "', 'svc.test', 1, ?2, ?3, ?4, ?4, CASE WHEN ?2 = 1 THEN ?3 ELSE 0 END,"
            " ?2, CASE WHEN ?2 = 1 THEN 'both' END)");

    db_bind_text(q, 1, id);
    db_bind_int(q, 2, status);
    db_bind_int(q, 3, now - 100);
    db_bind_int(q, 4, now + 86400);
    TRY(db_run(q, NULL));
    AUTO(db_stmt_release)
    struct db_stmt *c =
        db_prepare(db, "INSERT INTO acme_challenge (id, authz_id, type, status, token, digest)"
                       " VALUES ('c' || ?1, ?1, 'dns-01', ?2, 'token', 'digest')");
    db_bind_text(c, 1, id);
    db_bind_int(c, 2, status == 1 ? 2 : 1);
    return db_run(c, NULL);
}

static struct err fill_fn(struct db *db, void *arg)
{
    TRY(put_account(db, arg));
    TRY(put_authz(db, AUTHZ_VALID_ID, 1));
    TRY(put_authz(db, AUTHZ_PENDING_ID, 0));
    TRY(put_order(db, ORDER_VALID_ID, 3, AUTHZ_VALID_ID));
    TRY(put_order(db, ORDER_READY_ID, 1, AUTHZ_VALID_ID));
    TRY(put_order(db, ORDER_PENDING_ID, 0, AUTHZ_PENDING_ID));
    return put_order(db, ORDER_INVALID_ID, 4, AUTHZ_PENDING_ID);
}

/* f's directory with a database as the first release left it, for f->key's account. */
static void fill_old(struct fx *f)
{
    static const char *const files[] = {"bailiwick.db", "bailiwick.db-wal", "bailiwick.db-shm"};
    const struct store_module first = {ACME_STORE_MODULE.name, ACME_STORE_MODULE.steps, 1};
    const struct store_module modules[] = {ACCESS_STORE_MODULE, DELEGATE_STORE_MODULE,
                                           CA_STORE_MODULE, first};
    char path[128];
    struct store *store = NULL;
    struct problem prob = {0};
    struct jwk *jwk = NULL;

    for (size_t i = 0; i < ARRAY_N(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, files[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, files[0]);
    const struct store_options options = {.path = path, .readers_max = 1};
    must(jwk_parse(f->key.jwk, strlen(f->key.jwk), 2048, &jwk, &prob));
    struct fill fill = {jwk_thumbprint(jwk), jwk_json(jwk)};
    must(store_open(&options, modules, ARRAY_N(modules), &store));
    must(store_write(store, "test.fill", fill_fn, &fill));
    store_close(store);
    jwk_free(jwk);
    (void)snprintf(f->kid, sizeof(f->kid), BASE "/acme/account/" ACCOUNT);
}

static int setup(void **state)
{
    struct fx *f = fx_new("");

    fx_stop(f);
    fill_old(f);
    fx_start(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

static void read_order(struct fx *f, const char *id, struct reply *out)
{
    char url[128];

    (void)snprintf(url, sizeof(url), "/acme/order/%s", id);
    fx_post(f, url, "", out);
    expect_status(out, 200);
}

static void test_what_was_under_way_ends(void **state)
{
    static const char *const ended[] = {ORDER_READY_ID, ORDER_PENDING_ID};
    struct fx *f = *state;
    struct reply reply = {0};

    for (size_t i = 0; i < ARRAY_N(ended); i++) {
        read_order(f, ended[i], &reply);
        assert_string_equal(member(&reply, "status"), "invalid");
        const json_t *error = json_object_get(reply.json, "error");
        assert_string_equal(json_string_value(json_object_get(error, "type")),
                            URN "serverInternal");
        assert_non_null(
            strstr(json_string_value(json_object_get(error, "detail")), "make a new order"));
    }
    read_order(f, ORDER_INVALID_ID, &reply); /* its own error stays */
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(reply.json, "error"), "old")), 1);
    fx_post(f, "/acme/authz/" AUTHZ_PENDING_ID, "", &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), "invalid");
    reply_clear(&reply);
}

static void test_what_is_valid_stays(void **state)
{
    static const char *const names[] = {"*.svc.test"};
    struct fx *f = *state;
    struct reply reply = {0};
    struct reply order = {0};

    fx_post(f, f->kid, "", &reply);
    expect_status(&reply, 200);
    assert_int_equal(json_array_size(json_object_get(reply.json, "contact")), 1);
    assert_null(json_object_get(reply.json, "externalAccountBinding"));
    read_order(f, ORDER_VALID_ID, &reply);
    assert_string_equal(member(&reply, "status"), "valid");
    assert_string_equal(member(&reply, "certificate"),
                        BASE "/acme/certificate/certificateAAAAAAAAAAA");
    fx_post(f, "/acme/authz/" AUTHZ_VALID_ID, "", &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), "valid");
    assert_int_equal(json_array_size(json_object_get(reply.json, "challenges")), 1);
    assert_string_equal(challenge_member(&reply, "status"), "valid");
    assert_string_not_equal(challenge_member(&reply, "validated"), "");
    fx_order(f, names, 1, &order); /* and is reused */
    expect_status(&order, 201);
    assert_string_equal(member(&order, "status"), "ready");
    struct cert c = fx_finalize(f, &order, EVP_EC_gen("P-256"), names, 1);
    cert_clear(&c);
    reply_clear(&reply);
    reply_clear(&order);
}

/* The daemon's start and its maintenance take the old rows. */
static void test_it_runs_on(void **state)
{
    struct fx *f = *state;
    struct reply reply = {0};
    size_t n = 0;

    must(acme_start(f->acme));
    assert_int_equal(validator_waiting(f->acme->validator), 0);
    must(acme_maintain(f->acme, &n));
    assert_true(n > 0);
    read_order(f, ORDER_VALID_ID, &reply);
    reply_clear(&reply);
    fx_restart(f); /* once is enough */
    read_order(f, ORDER_VALID_ID, &reply);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_was_under_way_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_valid_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_runs_on, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
