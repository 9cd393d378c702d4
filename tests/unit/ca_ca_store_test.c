/* Certificate rows, the chain joined from them. */
#include "ca_fixture.h"

#include "core/util/clock.h"
#include "core/util/token.h"

static struct fixture f;
static struct ca *ca;
static struct store *store;

static int setup(void **state)
{
    (void)state;
    fixture_make(&f);
    const struct store_options options = {.path = fixture_path(&f, "test.db"), .readers_max = 2};
    assert_ok(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "Test", &ca));
    assert_ok(store_open(&options, &CA_STORE_MODULE, 1, &store));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(store);
    ca_close(ca);
    fixture_remove(&f);
    return 0;
}

struct job {
    const char *id;
    const struct ca_leaf *leaf;
    char *chain;
    char account[OBJECT_ID_LEN + 1];
    int64_t total, valid;
};

static struct err put(struct db *db, void *arg)
{
    const struct job *job = arg;

    return ca_leaf_store(db, job->leaf, job->id, "account", "order", "default");
}

static struct err get(struct db *db, void *arg)
{
    struct job *job = arg;

    return ca_chain_load(db, job->id, &job->chain, job->account);
}

static struct err count(struct db *db, void *arg)
{
    struct job *job = arg;

    return ca_count(db, &job->total, &job->valid);
}

static struct ca_leaf issue(void)
{
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    const struct ca_leaf_request request = {
        .profile = ca_profile_find("short"), .idents = &id, .idents_n = 1};
    struct ca_leaf leaf = {0};
    struct ca_refusal refusal = {0};

    assert_ok(ca_issue(ca, csr, &request, &leaf, &refusal));
    ca_csr_free(csr);
    return leaf;
}

static void an_unknown_certificate_is_not_found(void **state)
{
    struct job job = {.id = "nothing"};

    (void)state;
    assert_int_equal(store_read(store, "test.get", get, &job).code, ERR_NOT_FOUND);
    assert_null(job.chain);
}

static void serials_and_ids_stay_unique(void **state)
{
    struct ca_leaf leaf = issue();
    struct ca_leaf other = issue();
    struct job job = {.id = "first", .leaf = &leaf};
    struct job same_serial = {.id = "second", .leaf = &leaf};
    struct job same_id = {.id = "first", .leaf = &other};

    (void)state;
    assert_ok(store_write(store, "test.put", put, &job));
    assert_int_equal(store_write(store, "test.put", put, &same_serial).code, ERR_CONFLICT);
    assert_int_equal(store_write(store, "test.put", put, &same_id).code, ERR_CONFLICT);
    ca_leaf_clear(&leaf);
    ca_leaf_clear(&other);
}

static void a_stored_chain_comes_back_as_it_was(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        static const char *const IDS[] = {"a", "b", "c"};
        struct ca_leaf leaf = issue();
        struct job job = {.id = IDS[i], .leaf = &leaf};
        assert_ok(store_write(store, "test.put", put, &job));
        assert_ok(store_read(store, "test.get", get, &job));
        assert_string_equal(job.chain, leaf.chain_pem);
        assert_string_equal(job.account, "account");
        mem_free(job.chain);
        ca_leaf_clear(&leaf);
    }
}

static void the_count_knows_what_is_still_valid(void **state)
{
    struct ca_leaf leaf = issue();
    struct job before = {0};
    struct job after = {0};
    struct job later = {0};
    struct job job = {.id = "counted", .leaf = &leaf};

    (void)state;
    assert_ok(store_read(store, "test.count", count, &before));
    assert_ok(store_write(store, "test.put", put, &job));
    assert_ok(store_read(store, "test.count", count, &after));
    assert_int_equal(after.total, before.total + 1);
    assert_int_equal(after.valid, before.valid + 1);
    clock_shift((int64_t)7 * 86400 * 1000);
    assert_ok(store_read(store, "test.count", count, &later));
    assert_int_equal(later.total, after.total);
    assert_int_equal(later.valid, 0);
    clock_shift((int64_t)-7 * 86400 * 1000);
    ca_leaf_clear(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_certificate_is_not_found),
        cmocka_unit_test(serials_and_ids_stay_unique),
        cmocka_unit_test(a_stored_chain_comes_back_as_it_was),
        cmocka_unit_test(the_count_knows_what_is_still_valid),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
