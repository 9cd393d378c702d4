/* Moves that lose a race, maintenance, and rows that nobody of ours wrote. */
#include "tests/unit/acme_issue.h"

static int setup(void **state)
{
    struct fx *f = fx_new("acme: {authorization_reuse: 0}\n");

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

struct call {
    struct fx *f;
    const char *id;
    struct authz_row authz;
    struct order_row order;
    struct authz_decision decision;
    struct order_new_name name;
    uint8_t hash[SHA256_LEN];
};

static struct err load_authz(struct db *db, void *arg)
{
    struct call *c = arg;
    return acme_db_authz_load(db, c->id, &c->authz);
}

static struct err load_order(struct db *db, void *arg)
{
    struct call *c = arg;
    order_row_clear(&c->order);
    return acme_db_order_load(db, c->id, &c->order);
}

static struct err start(struct db *db, void *arg)
{
    const struct call *c = arg;
    return acme_db_challenge_start(db, c->decision.authz_id, c->decision.type);
}

static struct err decide(struct db *db, void *arg)
{
    const struct call *c = arg;
    return acme_db_authz_decide(db, c->f->delegate, &c->decision);
}

static struct err deactivate(struct db *db, void *arg)
{
    const struct call *c = arg;
    return acme_db_authz_deactivate(db, c->f->delegate, &c->authz, "{}");
}

static struct err issued(struct db *db, void *arg)
{
    const struct call *c = arg;
    return acme_db_order_issued(db, c->id, "certificateAAAAAAAAAAA", c->hash, clock_unix_s() + 100);
}

static struct err fail_order(struct db *db, void *arg)
{
    const struct call *c = arg;
    return acme_db_order_fail(db, c->id, "{}");
}

static struct err account_end(struct db *db, void *arg)
{
    const struct call *c = arg;
    return acme_db_account_deactivate(db, c->f->delegate, c->id, "{}");
}

static struct err insert(struct db *db, void *arg)
{
    struct call *c = arg;
    return acme_db_order_insert(db, c->f->delegate, &c->name, &c->order);
}

/* Order the apex; c->authz and c->decision become its authorization's. */
static void begin(struct call *c, struct reply *order, char authz_id[OBJECT_ID_LEN + 1])
{
    struct val_target target;

    fx_order(c->f, APEX, 1, order);
    const json_t *list = json_object_get(order->json, "authorizations");
    (void)snprintf(authz_id, OBJECT_ID_LEN + 1, "%s",
                   id_of(json_string_value(json_array_get(list, 0))));
    c->id = authz_id;
    must(store_read(c->f->store, "t", load_authz, c));
    memcpy(c->decision.authz_id, authz_id, sizeof(c->decision.authz_id));
    must(validate_target(&c->authz, CHALLENGE_DNS01, BASE, &target));
    memcpy(c->decision.digest, target.digest, sizeof(c->decision.digest));
    c->decision.ident = c->authz.ident;
    c->decision.type = CHALLENGE_DNS01;
}

static struct err insert_authz(struct db *db, void *arg)
{
    struct call *c = arg;
    return acme_db_authz_insert(db, c->f->delegate, c->order.account_id, &c->name);
}

#define expect_code(e, want) assert_int_equal((e).code, (want))

/* Every move twice, and moves from states that do not allow them. */
static void test_lost_races(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct call c = {.f = f};
    char authz_id[OBJECT_ID_LEN + 1];
    char order_id[OBJECT_ID_LEN + 1];

    begin(&c, &order, authz_id);
    (void)snprintf(order_id, sizeof(order_id), "%s", id_of(order.location));
    c.decision.error_json = "{}";
    c.id = order_id;
    expect_code(store_write(f->store, "t", issued, &c), ERR_BAD_STATE); /* pending */
    c.decision.is_valid = false;
    expect_code(store_write(f->store, "t", decide, &c), ERR_BAD_STATE); /* nobody asked yet */
    must(store_write(f->store, "t", start, &c));
    expect_code(store_write(f->store, "t", start, &c), ERR_BAD_STATE);
    c.decision.is_valid = true;
    c.decision.error_json = "";
    must(store_write(f->store, "t", decide, &c));
    expect_code(store_write(f->store, "t", decide, &c), ERR_BAD_STATE);
    c.decision.is_valid = false;
    expect_code(store_write(f->store, "t", decide, &c), ERR_BAD_STATE);
    expect_code(store_write(f->store, "t", start, &c), ERR_BAD_STATE);
    /* c.authz still says pending: the SQL knows better. */
    expect_code(store_write(f->store, "t", deactivate, &c), ERR_BAD_STATE);
    must(store_write(f->store, "t", issued, &c));
    expect_code(store_write(f->store, "t", issued, &c), ERR_BAD_STATE);
    expect_code(store_write(f->store, "t", fail_order, &c), ERR_BAD_STATE);
    must(store_read(f->store, "t", load_order, &c));
    assert_int_equal(c.order.status, ORDER_VALID);
    assert_true(c.order.has_csr);
    c.id = id_of(f->kid);
    must(store_write(f->store, "t", account_end, &c));
    expect_code(store_write(f->store, "t", account_end, &c), ERR_BAD_STATE);
    c.id = "nothing";
    expect_code(store_read(f->store, "t", load_order, &c), ERR_NOT_FOUND);
    expect_code(store_read(f->store, "t", load_authz, &c), ERR_NOT_FOUND);
    order_row_clear(&c.order);
    authz_row_clear(&c.authz);
    reply_clear(&order);
}

/* The account ended between its request's check and the transaction: nothing new is made for it. */
static void test_no_orders_of_an_ended_account(void **state)
{
    struct fx *f = *state;
    struct order_name made = {0};
    struct call c = {.f = f, .id = id_of(f->kid), .name = {.ident = {.base = "svc.test"}}};

    must(random_id(c.name.authz_id));
    must(random_id(c.order.id));
    (void)snprintf(c.order.account_id, sizeof(c.order.account_id), "%s", c.id);
    c.order.names = &made;
    c.order.names_n = 1;
    must(store_write(f->store, "t", account_end, &c));
    expect_code(store_write(f->store, "t", insert, &c), ERR_BAD_STATE);
    expect_code(store_write(f->store, "t", insert_authz, &c), ERR_BAD_STATE);
    memset(c.order.account_id, 'x', OBJECT_ID_LEN);
    expect_code(store_write(f->store, "t", insert, &c), ERR_BAD_STATE);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_order", NULL), 0);
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_authz", NULL), 0);
}

/* A decision that comes after the account ended changes nothing, in none of the tables. */
static void test_rolled_back(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct call c = {.f = f};
    char authz_id[OBJECT_ID_LEN + 1];

    begin(&c, &order, authz_id);
    c.decision.error_json = "";
    c.decision.is_valid = true;
    c.id = id_of(f->kid);
    must(store_write(f->store, "t", account_end, &c));
    expect_code(store_write(f->store, "t", decide, &c), ERR_BAD_STATE);
    authz_row_clear(&c.authz);
    c.id = authz_id;
    must(store_read(f->store, "t", load_authz, &c));
    assert_int_equal(c.authz.status, AUTHZ_DEACTIVATED);
    assert_int_equal(c.authz.challenges[CHALLENGE_DNS01].status, CHALLENGE_PENDING);
    authz_row_clear(&c.authz);
    reply_clear(&order);
}

/* Expiry counts from the clock: nothing is decided, reused or issued past it, maintained or not. */
static void test_past_expiry(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct call c = {.f = f, .decision = {.is_valid = true, .error_json = ""}};
    struct order_name made = {0};
    char authz_id[OBJECT_ID_LEN + 1];
    const int64_t late_ms = (int64_t)(ACME_ORDER_LIFETIME_S + 1) * 1000;

    begin(&c, &order, authz_id);
    clock_shift(late_ms);
    expect_code(store_write(f->store, "t", decide, &c), ERR_BAD_STATE);
    clock_shift(-late_ms);
    must(store_write(f->store, "t", decide, &c));
    clock_shift(late_ms);
    c.id = id_of(order.location);
    expect_code(store_write(f->store, "t", issued, &c), ERR_BAD_STATE);
    c.name.ident = c.authz.ident;
    memcpy(c.name.reuse_id, authz_id, sizeof(authz_id));
    must(random_id(c.name.authz_id));
    must(random_id(c.order.id));
    memcpy(c.order.account_id, c.authz.account_id, sizeof(c.order.account_id));
    c.order.names = &made;
    c.order.names_n = 1;
    must(store_write(f->store, "t", insert, &c));
    clock_shift(-late_ms);
    assert_int_equal(c.order.status, ORDER_PENDING);
    assert_string_equal(made.authz_id, c.name.authz_id);
    authz_row_clear(&c.authz);
    reply_clear(&order);
}

static size_t maintain(struct fx *f)
{
    size_t n = 0;

    must(acme_maintain(f->acme, &n));
    return n;
}

/* Unfinished objects expire, then go; an issued order stays as long as its certificate. */
static void test_maintenance(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};
    struct acme_counts counts;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char *csr = csr_payload(key, APEX, 1);
    const int64_t week_ms = (int64_t)7 * 86400 * 1000;

    fx_order(f, APEX, 1, &order);
    fx_prove(f, &order, "both");
    fx_post(f, member(&order, "finalize"), csr, &reply);
    expect_status(&reply, 200);
    char done[512];
    (void)snprintf(done, sizeof(done), "%s", order.location);
    fx_order(f, APEX, 1, &order);
    expect_status(&order, 201);
    assert_int_equal(maintain(f), 0);
    clock_shift(week_ms + 1000);
    /* The pending order, its authorization, and the valid authorization. */
    assert_int_equal(maintain(f), 3);
    assert_int_equal(maintain(f), 0);
    fx_post(f, order.location, "", &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), "invalid");
    assert_non_null(json_object_get(reply.json, "error"));
    must(acme_count(f->acme, &counts));
    assert_int_equal(counts.orders_valid, 1);
    assert_int_equal(counts.authorizations_pending, 0);
    clock_shift(week_ms + 1000);
    assert_int_equal(maintain(f), 3);
    fx_post(f, order.location, "", &reply);
    expect_problem(&reply, 404, "malformed");
    fx_post(f, done, "", &reply);
    expect_status(&reply, 200);
    clock_shift((int64_t)91 * 86400 * 1000);
    assert_int_equal(maintain(f), 1);
    fx_post(f, done, "", &reply);
    expect_problem(&reply, 404, "malformed");
    clock_shift(-(2 * (week_ms + 1000) + (int64_t)91 * 86400 * 1000));
    mem_free(csr);
    EVP_PKEY_free(key);
    reply_clear(&order);
    reply_clear(&reply);
}

/* More than one batch: every call does a bounded part. */
static void test_maintenance_in_parts(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    size_t total = 0;
    size_t calls = 0;

    for (int i = 0; i < 300; i++) {
        fx_order(f, APEX, 1, &order);
        expect_status(&order, 201);
    }
    clock_shift((int64_t)(ACME_ORDER_LIFETIME_S + 1) * 1000);
    for (size_t n = maintain(f); n > 0; n = maintain(f)) {
        assert_true(n <= 512);
        total += n;
        calls++;
    }
    clock_shift(-(int64_t)(ACME_ORDER_LIFETIME_S + 1) * 1000);
    assert_int_equal(total, 600);
    assert_int_equal(calls, 2);
    reply_clear(&order);
}

static struct err spoil(struct db *db, void *arg)
{
    (void)arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE acme_order SET status = 77, profile = "
                                       "'a profile that is far longer than any that we know of'");
    return db_run(q, NULL);
}

static struct err spoil_status(struct db *db, void *arg)
{
    (void)arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE acme_order SET profile = ''");
    return db_run(q, NULL);
}

/* The database is hostile input as well: too long is a failure, an unknown state the final one. */
static void test_spoilt_rows(void **state)
{
    struct fx *f = *state;
    struct reply order = {0};
    struct reply reply = {0};

    fx_order(f, APEX, 1, &order);
    must(store_write(f->store, "t", spoil, NULL));
    log_setup((enum log_level) - 1, LOG_TEXT);
    fx_post(f, order.location, "", &reply);
    expect_problem(&reply, 500, "serverInternal");
    log_setup(LOG_WARN, LOG_TEXT);
    must(store_write(f->store, "t", spoil_status, NULL));
    fx_post(f, order.location, "", &reply);
    expect_status(&reply, 200);
    assert_string_equal(member(&reply, "status"), "invalid");
    reply_clear(&order);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lost_races, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_orders_of_an_ended_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rolled_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_past_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_maintenance, setup, teardown),
        cmocka_unit_test_setup_teardown(test_maintenance_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spoilt_rows, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
