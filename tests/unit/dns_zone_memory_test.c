/* An edit that runs out of memory at each of its allocations in turn changes nothing: the writer's
 * files are compiled into this test with allocators that fail on demand. */
#include "core/util/mem.h"
#include "tests/unit/dns_maker.h"

static long allocations_left = -1; /* -1: as many as you like */

static bool may_allocate(void)
{
    if (allocations_left == 0) {
        return false;
    }
    allocations_left -= allocations_left > 0 ? 1 : 0;
    return true;
}

static inline void *scarce_zalloc(size_t n)
{
    return may_allocate() ? mem_zalloc(n) : NULL;
}

static inline void *scarce_array(size_t n, size_t size)
{
    return may_allocate() ? mem_array(n, size) : NULL;
}

static inline void *scarce_resize(void *p, size_t n)
{
    return may_allocate() ? mem_resize(p, n) : NULL;
}

static inline void *scarce_dup(const void *p, size_t n)
{
    return may_allocate() ? mem_dup(p, n) : NULL;
}

#define mem_zalloc scarce_zalloc
#define mem_array scarce_array
#define mem_resize scarce_resize
#define mem_dup scarce_dup
#include "dns/zone.c"
#include "dns/zone_edit.c"
#include "dns/zone_owner.c"
#include "dns/zone_persist.c"
#include "dns/zone_tree.c"
#include "dns/zone_trie.c"

#define FILL_N 200u

static struct err put_a(struct zone_edit *edit, const char *name, uint8_t last)
{
    const uint8_t address[4] = {192, 0, 2, last};
    const struct zone_rr rr = {DNS_TYPE_A, 60, address, 4};
    uint8_t wire[128];

    return zone_edit_records(edit, wire, make_name(name, wire), &rr, last == 0 ? 0 : 1);
}

static void fill(struct zone_db *zones)
{
    struct zone_edit *edit = NULL;
    struct zone_value v = make_value(1, "a");
    char name[64];

    assert_int_equal(zone_edit_begin(zones, &edit).code, ERR_OK);
    for (unsigned i = 0; i < FILL_N; i++) {
        (void)snprintf(name, sizeof(name), "h%u.deep.er.svc.test", i);
        assert_int_equal(put_a(edit, name, (uint8_t)(1 + i)).code, ERR_OK);
    }
    assert_int_equal(put_a(edit, "alone.in.here.svc.test", 7).code, ERR_OK);
    assert_int_equal(zone_edit_value(edit, true, "x.svc.test.acme.svc.test", &v).code, ERR_OK);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
}

/* A little of everything, by a caller that does not look at every result: the commit does. */
static struct err change(struct zone_db *zones)
{
    const char *const texts[] = {"text"};
    struct zone_value v = make_value(2, "a");
    AUTO(zone_edit_dropp) struct zone_edit *edit = NULL;
    char name[64];

    TRY(zone_edit_begin(zones, &edit));
    err_ignore(put_a(edit, "alone.in.here.svc.test", 0));
    err_ignore(put_a(edit, "new.in.there.svc.test", 9));
    for (unsigned i = 0; i < 12; i++) {
        (void)snprintf(name, sizeof(name), "h%u.deep.er.svc.test", i * 16);
        err_ignore(put_a(edit, name, (uint8_t)(i % 2 == 0 ? 0 : 99)));
    }
    err_ignore(put_a(edit, "h0.deep.er.svc.test", 77));
    err_ignore(zone_edit_value(edit, true, "x.svc.test.acme.svc.test", &v));
    err_ignore(zone_edit_value(edit, false, "x.svc.test.acme.svc.test", &v));
    err_ignore(zone_edit_persist(edit, "x.svc.test", texts, 1));
    err_ignore(put_a(edit, "below._validation-persist.x.svc.test", 9));
    err_ignore(zone_edit_persist(edit, "x.svc.test", NULL, 0));
    err_ignore(zone_edit_serial(edit, "svc.test", 101));
    return zone_edit_commit(&edit);
}

/* Every owner is found, under its parent. */
static void expect_filled(const struct zone_snapshot *snap)
{
    unsigned found_n = 0;
    char name[64];
    uint8_t wire[128];

    for (unsigned i = 0; i < FILL_N; i++) {
        (void)snprintf(name, sizeof(name), "h%u.deep.er.svc.test", i);
        const struct zone_owner *owner = zone_owner_find(snap, wire, make_name(name, wire));
        found_n += owner != NULL && owner->sets[0].data[13] == (uint8_t)(1 + i) ? 1 : 0;
    }
    assert_int_equal(found_n, FILL_N);
    const struct zone_owner *parent =
        zone_owner_find(snap, wire, make_name("deep.er.svc.test", wire));
    assert_non_null(parent);
    assert_int_equal(parent->children_n, FILL_N);
    assert_non_null(zone_owner_find(snap, wire, make_name("in.here.svc.test", wire)));
    assert_null(zone_owner_find(snap, wire, make_name("in.there.svc.test", wire)));
    assert_int_equal(snap->states[0].records_n, FILL_N + 1);
    assert_int_equal(snap->states[0].serial, 100);
}

static void test_every_allocation(void **state)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    struct err e = {ERR_NOMEM};
    long n = 0;

    (void)state;
    for (; e.code != ERR_OK; n++) {
        struct zone_db *zones = NULL;
        assert_int_equal(zone_db_new(cfg, 100, &zones).code, ERR_OK);
        fill(zones);
        const struct zone_snapshot *before = atomic_load(&zones->snap);
        allocations_left = n;
        e = change(zones);
        allocations_left = -1;
        if (e.code != ERR_OK) {
            assert_int_equal(e.code, ERR_NOMEM);
            assert_ptr_equal(atomic_load(&zones->snap), before);
            expect_filled(before);
            assert_int_equal(zone_serial_of(zones, "svc.test"), 100);
            assert_int_equal(change(zones).code, ERR_OK); /* and then it works */
        }
        const struct zone_state *now = &atomic_load(&zones->snap)->states[0];
        assert_int_equal(now->records_n, FILL_N + 1 - 5 - 1 + 2); /* h0 is back, two are new */
        assert_int_equal(now->serial, 101);
        zone_db_free(zones);
    }
    assert_true(n > 50); /* it was refused that often */
    config_free(cfg);
}

static void test_new_db(void **state)
{
    struct config *cfg = make_config("state_dir: /tmp\nhostname: ca.a.b.svc.test\nzones: [svc.test,"
                                     " in.the.deep.svc.test]\ndelegate_zone: acme.svc.test\n");
    struct err e = {ERR_NOMEM};

    (void)state;
    for (long n = 0; e.code != ERR_OK; n++) {
        struct zone_db *zones = NULL;
        allocations_left = n;
        e = zone_db_new(cfg, 100, &zones);
        allocations_left = -1;
        assert_int_equal(zones == NULL, e.code != ERR_OK);
        assert_true(e.code == ERR_OK || e.code == ERR_NOMEM);
        assert_true(e.code == ERR_OK || n < 100);
        zone_db_free(zones);
    }
    config_free(cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_new_db),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
