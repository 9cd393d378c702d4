/* The flight recorder's tables. */
#include "acme-server/record.h"
#include "tests/unit/acme_issue.h"

#define ORDER_A "orderAAAAAAAAAAAAAAAAA"
#define ORDER_B "orderBBBBBBBBBBBBBBBBB"
#define ORDER_C "orderCCCCCCCCCCCCCCCCC"
#define AUTHZ_1 "authz1111111111111111A"
#define AUTHZ_2 "authz2222222222222222A"
#define ACCOUNT "accountAAAAAAAAAAAAAAA"

static int setup(void **state)
{
    *state = fx_new("");
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

struct add {
    const char *subject, *text;
};

static struct err add_fn(struct db *db, void *arg)
{
    const struct add *a = arg;
    return record_add(db, a->subject, a->text);
}

static void add(struct fx *f, const char *subject, const char *text)
{
    struct add a = {subject, text};

    must(store_write(f->store, "t", add_fn, &a));
}

struct make {
    const char *order, *authz;
    int64_t created;
};

static struct err make_fn(struct db *db, void *arg)
{
    const struct make *m = arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(
        db, "INSERT INTO acme_order (id, account_id, status, created_unix, expires_unix, due_unix,"
            " not_before, not_after, profile) VALUES (?1, '" ACCOUNT "', 0, ?2, ?2, ?2, 0, 0, '')");

    db_bind_text(q, 1, m->order);
    db_bind_int(q, 2, m->created);
    TRY(db_run(q, NULL));
    AUTO(db_stmt_release)
    struct db_stmt *n = db_prepare(db, "INSERT INTO acme_order_name (order_id, seq, name,"
                                       " is_wildcard, authz_id) VALUES (?1, 0, 'a.test', 0, ?2)");
    db_bind_text(n, 1, m->order);
    db_bind_text(n, 2, m->authz);
    return db_run(n, NULL);
}

static void make(struct fx *f, const char *order, const char *authz, int64_t created)
{
    struct make m = {order, authz, created};

    must(store_write(f->store, "t", make_fn, &m));
}

struct seen {
    const char *order;
    char text[1024]; /* subject's 6th letter and text of each row, ";" behind */
    int64_t last_ms;
    size_t longest;
    bool fails;
};

static struct err see_row(void *ctx, const struct timeline_row *row)
{
    struct seen *s = ctx;
    size_t used = strlen(s->text);

    assert_true(row->at_ms >= s->last_ms);
    s->last_ms = row->at_ms;
    s->longest = strlen(row->text) > s->longest ? strlen(row->text) : s->longest;
    (void)snprintf(s->text + used, sizeof(s->text) - used, "%c:%.20s;", row->subject[5], row->text);
    if (s->fails) {
        FAIL(ERR_LIMIT, "enough");
    }
    return err_ok();
}

static struct err each_fn(struct db *db, void *arg)
{
    struct seen *s = arg;

    return record_each(db, s->order, see_row, s);
}

static void expect_timeline(struct fx *f, const char *order, const char *want)
{
    struct seen s = {.order = order};

    must(store_read(f->store, "t", each_fn, &s));
    assert_string_equal(s.text, want);
}

/* Rows of the order and of its authorizations in the order in which they came; of nobody else. */
static void test_timeline(void **state)
{
    struct fx *f = *state;

    make(f, ORDER_A, AUTHZ_1, 1);
    make(f, ORDER_B, AUTHZ_2, 2);
    expect_timeline(f, ORDER_A, "");
    expect_timeline(f, "unknown", "");
    add(f, ORDER_A, "first");
    add(f, ORDER_B, "not this");
    add(f, AUTHZ_1, "second");
    add(f, AUTHZ_2, "nor this");
    add(f, "", "nor that");
    add(f, ORDER_A, "");
    add(f, ORDER_A, "third");
    expect_timeline(f, ORDER_A, "A:first;1:second;A:third;");
    expect_timeline(f, ORDER_B, "B:not this;2:nor this;");
    struct seen s = {.order = ORDER_A, .fails = true};
    assert_int_equal(store_read(f->store, "t", each_fn, &s).code, ERR_LIMIT);
    assert_string_equal(s.text, "A:first;");
}

static void test_long_texts_are_cut(void **state)
{
    struct fx *f = *state;
    char *text = mem_zalloc(RECORD_TEXT_MAX + 100);
    struct seen s = {.order = ORDER_A};

    make(f, ORDER_A, AUTHZ_1, 1);
    memset(text, 'x', RECORD_TEXT_MAX + 99);
    add(f, ORDER_A, text);
    must(store_read(f->store, "t", each_fn, &s));
    assert_int_equal(s.longest, RECORD_TEXT_MAX);
    mem_free(text);
}

/* --- instances -------------------------------------------------------------------------------- */

struct instance {
    const char *id, *subject;
    char account[OBJECT_ID_LEN + 1], order[OBJECT_ID_LEN + 1];
};

static struct err instance_fn(struct db *db, void *arg)
{
    const struct instance *i = arg;
    return record_instance(db, i->id, ACCOUNT, i->subject);
}

static struct err find_fn(struct db *db, void *arg)
{
    struct instance *i = arg;
    return record_instance_find(db, i->id, i->account, i->order);
}

static void expect_instance(struct fx *f, const char *id, const char *subject, const char *order)
{
    struct instance i = {.id = id, .subject = subject};

    assert_int_equal(store_read(f->store, "t", find_fn, &i).code, ERR_NOT_FOUND);
    must(store_write(f->store, "t", instance_fn, &i));
    must(store_read(f->store, "t", find_fn, &i));
    assert_string_equal(i.account, ACCOUNT);
    assert_string_equal(i.order, order);
}

static void test_instances(void **state)
{
    struct fx *f = *state;

    make(f, ORDER_A, AUTHZ_1, 1);
    expect_instance(f, "i1", ORDER_A, ORDER_A);
    expect_instance(f, "i2", AUTHZ_1, ORDER_A);
    expect_instance(f, "i3", AUTHZ_2, ""); /* no order needs it yet */
    expect_instance(f, "i4", "", "");
    struct instance again = {.id = "i1", .subject = ORDER_A};
    assert_int_equal(store_write(f->store, "t", instance_fn, &again).code, ERR_CONFLICT);
}

/* --- pruning ---------------------------------------------------------------------------------- */

struct prune {
    int64_t keep;
    size_t max;
    int64_t removed;
};

static struct err prune_fn(struct db *db, void *arg)
{
    struct prune *p = arg;
    return record_prune(db, p->keep, p->max, &p->removed);
}

static int64_t prune(struct fx *f, int64_t keep, size_t max)
{
    struct prune p = {keep, max, -1};

    must(store_write(f->store, "t", prune_fn, &p));
    return p.removed;
}

/* What belongs to none of the newest goes, with the documents about it. */
static void test_prune(void **state)
{
    struct fx *f = *state;

    make(f, ORDER_A, AUTHZ_1, 1);
    add(f, ORDER_A, "a1");
    add(f, AUTHZ_1, "a2");
    expect_instance(f, "i1", ORDER_A, ORDER_A);
    expect_instance(f, "i2", AUTHZ_1, ORDER_A);
    make(f, ORDER_B, AUTHZ_2, 2);
    add(f, ORDER_B, "b1");
    expect_instance(f, "i3", ORDER_B, ORDER_B);
    make(f, ORDER_C, AUTHZ_2, 3);
    add(f, ORDER_C, "c1");
    add(f, ORDER_A, "a3"); /* late: later than the oldest that is kept */
    assert_int_equal(prune(f, 4, 100), 0);
    assert_int_equal(prune(f, 3, 100), 0);
    assert_int_equal(prune(f, 2, 1), 1); /* a bounded part at a time */
    assert_int_equal(prune(f, 2, 100), 1);
    assert_int_equal(prune(f, 2, 100), 0);
    expect_timeline(f, ORDER_A, "A:a3;");
    expect_timeline(f, ORDER_B, "B:b1;");
    expect_timeline(f, ORDER_C, "C:c1;");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_instance", NULL), 1);
    assert_int_equal(prune(f, 1, 100), 1);
    expect_timeline(f, ORDER_C, "C:c1;");
}

/* Orders of one second: those made last are kept, whatever their ids sort like. */
static void test_prune_in_one_second(void **state)
{
    static const char *const ids[] = {ORDER_C, ORDER_A, ORDER_B};
    struct fx *f = *state;

    for (size_t i = 0; i < ARRAY_N(ids); i++) {
        make(f, ids[i], AUTHZ_1, 7);
        add(f, ids[i], "x");
    }
    (void)prune(f, 2, 100);
    expect_timeline(f, ORDER_A, "A:x;");
    expect_timeline(f, ORDER_B, "B:x;");
    (void)prune(f, 1, 100);
    expect_timeline(f, ORDER_B, "B:x;");
}

/* Authorizations that no order needs leave rows as well: their number is bounded whatever the
 * orders are. */
static void test_prune_without_orders(void **state)
{
    struct fx *f = *state;

    fx_change(f,
              "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 + 10)"
              " INSERT INTO acme_record (subject, at_ms, text) SELECT 'x', i, 'y' FROM n",
              "100000");
    assert_int_equal(fx_number(f, "SELECT COUNT(*) FROM acme_record", NULL), RECORD_ROWS_MAX + 10);
    assert_int_equal(prune(f, 1000, 4), 4);
    assert_int_equal(prune(f, 1000, 100), 6);
    assert_int_equal(prune(f, 1000, 100), 0);
    assert_int_equal(fx_number(f, "SELECT MIN(at_ms) FROM acme_record", NULL), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timeline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_texts_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_instances, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prune, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prune_in_one_second, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prune_without_orders, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
