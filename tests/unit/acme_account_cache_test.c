#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "acme-server/account_cache.h"
#include "tests/unit/jws_maker.h"

#define MAX 8u

struct fixture {
    struct account_cache *cache;
    struct jwk *key;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    struct maker m = maker_new(JWK_ES256, 0);
    struct problem prob = {0};

    assert_int_equal(account_cache_new(MAX, &f->cache).code, ERR_OK);
    assert_int_equal(jwk_parse(m.jwk, strlen(m.jwk), 2048, &f->key, &prob).code, ERR_OK);
    maker_clear(&m);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    account_cache_free(f->cache);
    jwk_free(f->key);
    mem_free(f);
    return 0;
}

static const char *id_n(unsigned n, char out[OBJECT_ID_LEN + 1])
{
    (void)snprintf(out, OBJECT_ID_LEN + 1, "%022u", n);
    return out;
}

static bool has(struct fixture *f, unsigned n, uint64_t *generation)
{
    char id[OBJECT_ID_LEN + 1];
    struct account_seen seen = {.status = ACCOUNT_DEACTIVATED};
    bool found = account_cache_get(f->cache, id_n(n, id), &seen, generation);

    if (found) {
        assert_ptr_equal(seen.key, f->key);
        assert_int_equal(seen.status, ACCOUNT_VALID);
        assert_string_equal(seen.client, "traefik");
    }
    jwk_free(seen.key);
    return found;
}

static struct account_seen seen_of(const struct fixture *f)
{
    return (struct account_seen){.key = f->key, .status = ACCOUNT_VALID, .client = "traefik"};
}

static void put(struct fixture *f, unsigned n)
{
    char id[OBJECT_ID_LEN + 1];
    uint64_t generation = 0;
    const struct account_seen seen = seen_of(f);

    assert_false(has(f, n, &generation));
    account_cache_put(f->cache, id_n(n, id), &seen, generation);
}

/* A drop between the look and the put wins: the old state is not put back. */
static void test_stale_put(void **state)
{
    struct fixture *f = *state;
    char id[OBJECT_ID_LEN + 1];
    uint64_t generation = 0;
    const struct account_seen seen = seen_of(f);

    assert_false(has(f, 1, &generation));
    account_cache_drop(f->cache, id_n(1, id));
    account_cache_put(f->cache, id, &seen, generation);
    assert_false(has(f, 1, &generation));
}

static void test_least_recent_goes(void **state)
{
    struct fixture *f = *state;
    uint64_t generation = 0;

    for (unsigned n = 0; n < MAX; n++) {
        put(f, n);
    }
    assert_true(has(f, 0, &generation)); /* now the newest */
    put(f, 100);
    assert_true(has(f, 0, &generation));
    assert_false(has(f, 1, &generation));
    for (unsigned n = 2; n < MAX; n++) {
        assert_true(has(f, n, &generation));
    }
    for (unsigned n = 200; n < 200 + 5 * MAX; n++) {
        put(f, n);
        assert_true(has(f, n, &generation));
    }
}

static void test_drop(void **state)
{
    struct fixture *f = *state;
    char id[OBJECT_ID_LEN + 1];
    uint64_t generation = 0;

    for (unsigned n = 0; n < MAX; n++) {
        put(f, n);
    }
    for (unsigned n = 0; n < MAX; n += 2) {
        account_cache_drop(f->cache, id_n(n, id));
        account_cache_drop(f->cache, id_n(n, id));
    }
    for (unsigned n = 0; n < MAX; n++) {
        assert_int_equal(has(f, n, &generation), n % 2 == 1);
    }
    for (unsigned n = 0; n < MAX; n += 2) {
        put(f, n);
        assert_true(has(f, n, &generation));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stale_put, setup, teardown),
        cmocka_unit_test_setup_teardown(test_least_recent_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
