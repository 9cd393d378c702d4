/* Issuer rows: alternates and their chains, plans to change an issuer, rows from before there were
 * any. */
#include "ca_other_root.h"

#include "core/util/token.h"

static struct fixture f;
static struct ca *ca;
static struct store *store;
static EVP_PKEY *root_key;
static X509 *root;

static int setup(void **state)
{
    (void)state;
    fixture_make(&f);
    assert_ok(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "Test", &ca));
    root = other_root("Other Root", &root_key);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    X509_free(root);
    EVP_PKEY_free(root_key);
    ca_close(ca);
    fixture_remove(&f);
    return 0;
}

static void open_store(const char *name, const struct store_module *module)
{
    const struct store_options options = {.path = fixture_path(&f, name), .readers_max = 2};

    assert_ok(store_open(&options, module, 1, &store));
}

static void close_store(void)
{
    store_close(store);
    store = NULL;
}

struct job {
    const char *id;
    const struct ca_leaf *leaf;
    const char *pem;
    size_t index;
    char *chain;
    char account[OBJECT_ID_LEN + 1];
    size_t n;
    int64_t when, count;
    struct ca_cert_info info;
};

static struct err put(struct db *db, void *arg)
{
    const struct job *job = arg;

    return ca_leaf_store(db, job->leaf, job->id, "account", "order", "default");
}

static struct err get(struct db *db, void *arg)
{
    struct job *job = arg;

    return ca_chain_load_alternate(db, job->id, job->index, &job->chain, job->account, &job->n);
}

static struct err add(struct db *db, void *arg)
{
    const struct job *job = arg;

    return ca_issuer_add_alternate(db, job->pem);
}

static struct err renew(struct db *db, void *arg)
{
    struct job *job = arg;

    return ca_issuer_renew_by(db, job->pem, job->when, &job->count);
}

static struct err look(struct db *db, void *arg)
{
    struct job *job = arg;

    return ca_cert_load(db, job->id, &job->info);
}

static struct err mark_revoked(struct db *db, void *arg)
{
    const struct job *job = arg;

    return ca_cert_revoke(db, job->id, 0);
}

static struct err forget_name_keys(struct db *db, void *arg)
{
    (void)arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE issuer SET name_key = '', not_after = 0");
    return db_run(q, NULL);
}

static struct err damage_issuers(struct db *db, void *arg)
{
    (void)arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE issuer SET name_key = '', pem = 'nothing'");
    return db_run(q, NULL);
}

/* Issue and store under `id`. */
static void issue(const char *id, const char *profile, struct ca_leaf *leaf)
{
    const struct ident name = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &name);
    const struct ca_leaf_request request = {
        .profile = ca_profile_find(profile), .idents = &name, .idents_n = 1};
    struct ca_refusal refusal = {0};
    struct job job = {.id = id, .leaf = leaf};

    assert_ok(ca_issue(ca, csr, &request, leaf, &refusal));
    assert_ok(store_write(store, "test.put", put, &job));
    ca_csr_free(csr);
}

static enum err_code add_pem(const char *pem)
{
    struct job job = {.pem = pem};

    return store_write(store, "test.add", add, &job).code;
}

/* Chain `index` of `id`, whose count is `n`; NULL when it is not there. */
static char *chain_of(const char *id, size_t index, size_t n)
{
    struct job job = {.id = id, .index = index, .n = 99};
    struct err e = store_read(store, "test.get", get, &job);

    assert_int_equal(job.n, n);
    assert_int_equal(e.code, index < n ? ERR_OK : ERR_NOT_FOUND);
    if (e.code == ERR_OK) {
        assert_string_equal(job.account, "account");
    }
    return job.chain;
}

static void alternates_need_an_issuer_in_use(void **state)
{
    struct ca_leaf leaf = {0};
    X509 *cross = other_cross(ca, root, root_key, 0);
    X509 *expired = other_cross(ca, root, root_key, -1);
    const struct other_spec no_id = {.subject = X509_get_subject_name(ca->intermediate),
                                     .key = X509_get0_pubkey(ca->intermediate)};
    ASN1_OCTET_STRING *wrong = ASN1_OCTET_STRING_new();
    assert_int_equal(ASN1_OCTET_STRING_set(wrong, (const unsigned char *)"12345678", 8), 1);
    struct other_spec wrong_id = no_id;
    wrong_id.key_id = wrong;
    X509 *unlike = other_make(&wrong_id, X509_get_subject_name(root), root_key);
    char *cross_pem = other_pem(cross, NULL);
    char *expired_pem = other_pem(expired, NULL);
    char *root_pem = other_pem(root, NULL);
    char *unlike_pem = other_pem(unlike, NULL);

    (void)state;
    open_store("refused.db", &CA_STORE_MODULE);
    assert_int_equal(add_pem(cross_pem), ERR_NOT_FOUND); /* nothing is issued yet */
    issue("a", NULL, &leaf);
    assert_int_equal(add_pem(root_pem), ERR_NOT_FOUND);
    assert_int_equal(add_pem(expired_pem), ERR_MALFORMED);
    assert_int_equal(add_pem(unlike_pem), ERR_MALFORMED); /* the leaf names another key id */
    assert_int_equal(add_pem("nothing"), ERR_MALFORMED);
    assert_null(chain_of("a", 1, 1));
    close_store();
    mem_free(cross_pem);
    mem_free(expired_pem);
    mem_free(root_pem);
    mem_free(unlike_pem);
    ASN1_OCTET_STRING_free(wrong);
    X509_free(cross);
    X509_free(expired);
    X509_free(unlike);
    ca_leaf_clear(&leaf);
}

static void unknown_certificates_have_no_chain(void **state)
{
    struct job job = {.id = "nothing", .n = 99};

    (void)state;
    open_store("unknown.db", &CA_STORE_MODULE);
    assert_int_equal(store_read(store, "test.get", get, &job).code, ERR_NOT_FOUND);
    assert_int_equal(job.n, 0);
    assert_null(job.chain);
    close_store();
}

/* openssl verify trusts `trusted` alone. */
static int verify(const char *chain, const char *trusted)
{
    char chain_path[256];
    char trusted_path[256];

    fixture_write(&f, "chain.pem", chain, strlen(chain));
    (void)snprintf(chain_path, sizeof(chain_path), "%s", f.path);
    fixture_write(&f, "trusted.pem", trusted, strlen(trusted));
    (void)snprintf(trusted_path, sizeof(trusted_path), "%s", f.path);
    const char *const argv[] = {"openssl",    "verify",   "-purpose",   "sslserver",
                                "-no-CApath", "-CAfile",  trusted_path, "-untrusted",
                                chain_path,   chain_path, NULL};
    return fixture_run(argv);
}

static void alternates_come_in_the_order_they_were_added(void **state)
{
    struct ca_leaf leaf = {0};
    EVP_PKEY *third_key = NULL;
    X509 *third = other_root("Third Root", &third_key);
    X509 *crosses[] = {other_cross(ca, root, root_key, 0), other_cross(ca, third, third_key, 100)};
    char *pems[] = {other_pem(crosses[0], NULL), other_pem(crosses[1], third)};
    char *roots[] = {other_pem(root, NULL), other_pem(third, NULL)};

    (void)state;
    open_store("alternates.db", &CA_STORE_MODULE);
    issue("a", NULL, &leaf);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(add_pem(pems[i]), ERR_OK);
        assert_int_equal(add_pem(pems[i]), ERR_OK); /* twice is once */
    }
    char *first = chain_of("a", 0, 3);
    assert_string_equal(first, leaf.chain_pem);
    assert_int_equal(verify(first, ca_root_pem(ca)), 0);
    assert_int_not_equal(verify(first, roots[0]), 0);
    mem_free(first);
    for (size_t i = 0; i < 2; i++) {
        char *chain = chain_of("a", i + 1, 3);
        const char *after = strstr(chain, "-----END CERTIFICATE-----\n");
        assert_non_null(after);
        assert_string_equal(after + strlen("-----END CERTIFICATE-----\n"), pems[i]);
        assert_int_equal(verify(chain, roots[i]), 0);
        assert_int_not_equal(verify(chain, ca_root_pem(ca)), 0);
        mem_free(chain);
    }
    assert_null(chain_of("a", 3, 3));
    assert_null(chain_of("a", SIZE_MAX, 3));
    clock_shift((int64_t)101 * 86400 * 1000); /* the second one expires */
    assert_null(chain_of("a", 2, 2));
    clock_shift((int64_t)-101 * 86400 * 1000);
    close_store();
    for (size_t i = 0; i < 2; i++) {
        mem_free(pems[i]);
        mem_free(roots[i]);
        X509_free(crosses[i]);
    }
    X509_free(third);
    EVP_PKEY_free(third_key);
    ca_leaf_clear(&leaf);
}

static void an_issuer_in_use_can_be_an_alternate_too(void **state)
{
    struct ca_leaf leaf = {0};
    struct ca_leaf moved = {0};
    X509 *cross = other_cross(ca, root, root_key, 0);
    char *pem = other_pem(cross, NULL);

    (void)state;
    open_store("both.db", &CA_STORE_MODULE);
    issue("a", NULL, &leaf);
    assert_int_equal(add_pem(ca_intermediate_pem(ca)), ERR_OK);
    assert_null(chain_of("a", 1, 1)); /* its own issuer is no alternate */
    assert_int_equal(add_pem(pem), ERR_OK);
    /* As if the cross-signed certificate had been the issuer's from then on. */
    char *own_chain = NULL;
    issue("spare", NULL, &moved);
    own_chain = moved.chain_pem;
    const char *after = strstr(own_chain, "-----END CERTIFICATE-----\n");
    size_t leaf_len = (size_t)(after - own_chain) + strlen("-----END CERTIFICATE-----\n");
    size_t size = leaf_len + strlen(pem) + 1;
    char *chain = mem_zalloc(size);
    (void)snprintf(chain, size, "%.*s%s", (int)leaf_len, own_chain, pem);
    moved.chain_pem = chain;
    moved.serial[0] = 'f'; /* the spare row has the true one */
    struct job job = {.id = "b", .leaf = &moved};
    assert_ok(store_write(store, "test.put", put, &job));
    char *got = chain_of("b", 0, 2);
    assert_string_equal(got, chain);
    mem_free(got);
    got = chain_of("b", 1, 2);
    assert_non_null(strstr(got, ca_intermediate_pem(ca)));
    mem_free(got);
    close_store();
    mem_free(own_chain);
    mem_free(pem);
    X509_free(cross);
    ca_leaf_clear(&leaf);
    ca_leaf_clear(&moved);
}

/* What a database holds that was made before there were alternates. */
static void rows_from_before_are_completed(void **state)
{
    const struct store_module old = {CA_STORE_MODULE.name, CA_STORE_MODULE.steps, 1};
    X509 *cross = other_cross(ca, root, root_key, 0);
    char *pem = other_pem(cross, NULL);
    struct ca_leaf leaf = {0};
    struct job job = {.id = "a"};

    (void)state;
    open_store("old.db", &old);
    close_store();
    open_store("old.db", &CA_STORE_MODULE);
    issue("a", NULL, &leaf);
    assert_ok(store_write(store, "test.forget", forget_name_keys, NULL));
    assert_null(chain_of("a", 1, 1));
    assert_int_equal(add_pem(pem), ERR_OK);
    char *chain = chain_of("a", 1, 2);
    assert_non_null(strstr(chain, pem));
    mem_free(chain);
    assert_ok(store_read(store, "test.look", look, &job));
    assert_int_equal(job.info.revoked_unix, 0);
    assert_int_equal(job.info.renew_by_unix, 0);
    ca_cert_info_clear(&job.info);
    assert_ok(store_write(store, "test.damage", damage_issuers, NULL));
    assert_int_equal(add_pem(pem), ERR_DB);
    close_store();
    mem_free(pem);
    X509_free(cross);
    ca_leaf_clear(&leaf);
}

static int64_t planned(const char *id)
{
    struct job job = {.id = id};

    assert_ok(store_read(store, "test.look", look, &job));
    int64_t when = job.info.renew_by_unix;
    ca_cert_info_clear(&job.info);
    return when;
}

static void a_plan_moves_what_is_still_valid(void **state)
{
    struct ca_leaf leaves[3] = {{{0}, 0, 0, NULL, 0, NULL}};
    X509 *cross = other_cross(ca, root, root_key, 0);
    char *pem = other_pem(cross, NULL);
    struct job broken = {.pem = "nothing"};
    struct job unused = {.pem = pem, .when = 5, .count = 99};
    struct job job = {.pem = ca_intermediate_pem(ca), .when = clock_unix_s() + 86400};
    struct job gone = {.id = "revoked"};

    (void)state;
    open_store("plan.db", &CA_STORE_MODULE);
    issue("long", NULL, &leaves[0]);
    issue("short", "short", &leaves[1]);
    issue("revoked", NULL, &leaves[2]);
    assert_ok(store_write(store, "test.revoke", mark_revoked, &gone));
    assert_int_equal(store_write(store, "test.renew", renew, &broken).code, ERR_MALFORMED);
    assert_ok(store_write(store, "test.renew", renew, &unused));
    assert_int_equal(unused.count, 0);
    assert_ok(store_write(store, "test.renew", renew, &job));
    assert_int_equal(job.count, 2);
    assert_int_equal(planned("long"), job.when);
    assert_int_equal(planned("short"), job.when);
    assert_int_equal(planned("revoked"), 0);
    clock_shift((int64_t)7 * 86400 * 1000); /* the short one expires */
    struct job withdrawn = {.pem = job.pem, .when = 0};
    assert_ok(store_write(store, "test.renew", renew, &withdrawn));
    assert_int_equal(withdrawn.count, 1);
    assert_int_equal(planned("long"), 0);
    assert_int_equal(planned("short"), job.when);
    clock_shift((int64_t)-7 * 86400 * 1000);
    close_store();
    for (size_t i = 0; i < 3; i++) {
        ca_leaf_clear(&leaves[i]);
    }
    mem_free(pem);
    X509_free(cross);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alternates_need_an_issuer_in_use),
        cmocka_unit_test(unknown_certificates_have_no_chain),
        cmocka_unit_test(alternates_come_in_the_order_they_were_added),
        cmocka_unit_test(an_issuer_in_use_can_be_an_alternate_too),
        cmocka_unit_test(rows_from_before_are_completed),
        cmocka_unit_test(a_plan_moves_what_is_still_valid),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
