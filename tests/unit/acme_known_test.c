/* Names that orders made known for secondaries: how long they stay written out. */
#include "acme-server/handlers.h"
#include "tests/unit/acme_issue.h"

/* The usual appliance, whose zone svc.test is transferred. */
static int setup(void **state)
{
    struct fx *f = fx_new("");

    fx_stop(f);
    (void)snprintf(f->cfg->zones[0].transfer_key, sizeof(f->cfg->zones[0].transfer_key), "both");
    fx_start(f);
    fx_register(f, &f->key, f->kid);
    clock_hold(true);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    clock_hold(false);
    fx_free(*state);
    return 0;
}

static bool is_written(struct fx *f, const char *name)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(1u << 20);
    char wanted[300];

    must(records_export(f->records, "svc.test", true, &text));
    (void)snprintf(wanted, sizeof(wanted), "\n_acme-challenge.%s.", name);
    return strstr(buf_str(&text), wanted) != NULL;
}

/* What maintenance.c calls every few seconds; until nothing is due. */
static void maintain(struct fx *f)
{
    size_t n = 0;

    for (unsigned i = 0; i < 4;
         i++) { /* an order ends, is deleted, its authorization too; its name */
        must(acme_maintain(f->acme, &n));
    }
}

static void days(struct fx *f, int64_t n)
{
    clock_shift(n * 86400 * INT64_C(1000));
    maintain(f);
}

static void test_an_order_that_came_to_nothing(void **state)
{
    static const char *const NAMES[] = {"nothing.svc.test", "*.app.svc.test"};
    struct fx *f = *state;
    struct reply *order = mem_zalloc(sizeof(*order));

    assert_non_null(order);
    maintain(f);
    fx_order(f, NAMES, 2, order);
    assert_true(is_written(f, "nothing.svc.test") && is_written(f, "app.svc.test"));
    days(f, 1);
    assert_true(is_written(f, "nothing.svc.test") && is_written(f, "app.svc.test"));
    days(f, ACME_ORDER_LIFETIME_S / 86400); /* it expired, and is kept for a while */
    assert_true(is_written(f, "nothing.svc.test"));
    uint32_t serial = zone_serial_of(f->zones, "svc.test");
    days(f, ACME_KEEP_DECIDED_S / 86400 + 1);
    assert_false(is_written(f, "nothing.svc.test"));
    assert_false(is_written(f, "app.svc.test"));
    assert_true(is_written(f, "svc.test")); /* of a client */
    assert_int_equal(zone_serial_of(f->zones, "svc.test"), serial + 1);
    reply_clear(order);
    mem_free(order);
}

static void test_a_certificates_name_stays_as_long_as_it(void **state)
{
    static const char *const NAMES[] = {"held.svc.test"};
    struct fx *f = *state;
    struct cert cert = fx_issue(f, NAMES, 1);

    cert_clear(&cert);
    days(f, 60);
    days(f, 29);
    assert_true(is_written(f, "held.svc.test"));
    days(f, 1 + ACME_KEEP_DECIDED_S / 86400);
    days(f, 1);
    assert_false(is_written(f, "held.svc.test"));
    cert = fx_issue(f, NAMES, 1); /* and comes again */
    cert_clear(&cert);
    assert_true(is_written(f, "held.svc.test"));
}

/* Not at every call. */
static void test_once_a_day(void **state)
{
    struct fx *f = *state;
    size_t gone_n = 0;

    fx_change(f, "INSERT INTO record_known (owner) VALUES (CAST(?1 AS BLOB))", "test");
    must(acme_sweep_known(f->acme, &gone_n));
    assert_int_equal(gone_n, 1);
    fx_change(f, "INSERT INTO record_known (owner) VALUES (CAST(?1 AS BLOB))", "test");
    must(acme_sweep_known(f->acme, &gone_n));
    assert_int_equal(gone_n, 0);
    clock_shift((ACME_SWEEP_S - 1) * INT64_C(1000));
    must(acme_sweep_known(f->acme, &gone_n));
    assert_int_equal(gone_n, 0);
    clock_shift(1000);
    must(acme_sweep_known(f->acme, &gone_n));
    assert_int_equal(gone_n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_order_that_came_to_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_certificates_name_stays_as_long_as_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_once_a_day, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
