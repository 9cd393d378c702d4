/* Looking certificates up and revoking them. */
#include "ca_other_root.h"

#include "core/util/token.h"

static struct fixture f;
static struct ca *ca;
static struct store *store;
static struct ca_leaf leaf;
static char renewal_id[CA_RENEWAL_ID_MAX + 1];

static const char *const NAMES[] = {"svc.test", "*.svc.test", "192.0.2.7", "2001:db8::7"};

struct job {
    const char *id, *text;
    const struct ca_leaf *leaf;
    const uint8_t *der;
    size_t len;
    int reason;
    struct ca_cert_info info;
};

static struct err put(struct db *db, void *arg)
{
    const struct job *job = arg;

    return ca_leaf_store(db, job->leaf, job->id, "account", "order", "month");
}

static struct err find(struct db *db, void *arg)
{
    struct job *job = arg;

    return ca_cert_find(db, job->der, job->len, &job->info);
}

static struct err load(struct db *db, void *arg)
{
    struct job *job = arg;

    return ca_cert_load(db, job->id, &job->info);
}

static struct err find_renewal(struct db *db, void *arg)
{
    struct job *job = arg;

    return ca_cert_find_renewal(db, job->text, &job->info);
}

static struct err mark_revoked(struct db *db, void *arg)
{
    const struct job *job = arg;

    return ca_cert_revoke(db, job->id, job->reason);
}

static struct err revoke_and_fail(struct db *db, void *arg)
{
    TRY(mark_revoked(db, arg));
    FAIL(ERR_LIMIT, "the caller's own part failed");
}

static struct err damage(struct db *db, void *arg)
{
    const struct job *job = arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "UPDATE certificate SET der = x'3000' WHERE id = ?1");

    db_bind_text(q, 1, job->id);
    return db_run(q, NULL);
}

static void issue(struct ca_leaf *out)
{
    struct ident idents[ARRAY_N(NAMES)];
    for (size_t i = 0; i < ARRAY_N(NAMES); i++) {
        idents[i] = make_ident(NAMES[i]);
    }
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &idents[0]);
    const struct ca_leaf_request request = {
        .profile = ca_profile_find("month"), .idents = idents, .idents_n = ARRAY_N(NAMES)};
    struct ca_refusal refusal = {0};

    assert_ok(ca_issue(ca, csr, &request, out, &refusal));
    ca_csr_free(csr);
}

static void issue_and_store(const char *id, struct ca_leaf *out)
{
    struct job job = {.id = id, .leaf = out};

    issue(out);
    assert_ok(store_write(store, "test.put", put, &job));
}

static int setup(void **state)
{
    (void)state;
    fixture_make(&f);
    const struct store_options options = {.path = fixture_path(&f, "test.db"), .readers_max = 2};
    assert_ok(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "Test", &ca));
    assert_ok(store_open(&options, &CA_STORE_MODULE, 1, &store));
    issue_and_store("known", &leaf);
    assert_ok(ca_renewal_id(leaf.der, leaf.der_len, renewal_id));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ca_leaf_clear(&leaf);
    store_close(store);
    ca_close(ca);
    fixture_remove(&f);
    return 0;
}

static void what_is_no_certificate_is_malformed(void **state)
{
    static const uint8_t BYTES[][6] = {"", "x", {0x30, 0x00}, {0x30, 0x80, 0x00, 0x00}};
    static const size_t LENGTHS[] = {0, 1, 2, 4};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(LENGTHS); i++) {
        struct job job = {.der = BYTES[i], .len = LENGTHS[i]};
        uint8_t *spki = NULL;
        size_t spki_len = 0;
        char id[CA_RENEWAL_ID_MAX + 1];
        assert_int_equal(store_read(store, "test.find", find, &job).code, ERR_MALFORMED);
        assert_int_equal(ca_cert_spki(BYTES[i], LENGTHS[i], &spki, &spki_len).code, ERR_MALFORMED);
        assert_null(spki);
        assert_int_equal(ca_renewal_id(BYTES[i], LENGTHS[i], id).code, ERR_MALFORMED);
    }
}

/* Our own, but not exactly; somebody else's; never stored. */
static void other_certificates_are_not_found(void **state)
{
    struct ca_leaf unstored = {0};
    uint8_t *twin = mem_dup(leaf.der, leaf.der_len);
    EVP_PKEY *key = NULL;
    X509 *root = other_root("Other Root", &key);
    unsigned char *foreign = NULL;
    int foreign_len = i2d_X509(root, &foreign);

    (void)state;
    issue(&unstored);
    twin[leaf.der_len - 1] ^= 1u; /* the same serial, another signature */
    const struct {
        const uint8_t *der;
        size_t len;
    } rows[] = {
        {twin, leaf.der_len}, {unstored.der, unstored.der_len}, {foreign, (size_t)foreign_len}};
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct job job = {.der = rows[i].der, .len = rows[i].len};
        assert_int_equal(store_read(store, "test.find", find, &job).code, ERR_NOT_FOUND);
        assert_null(job.info.idents);
    }
    struct job unknown = {.id = "unknown"};
    assert_int_equal(store_read(store, "test.load", load, &unknown).code, ERR_NOT_FOUND);
    OPENSSL_free(foreign);
    EVP_PKEY_free(key);
    X509_free(root);
    mem_free(twin);
    ca_leaf_clear(&unstored);
}

static void other_renewal_identifiers_are_not_found(void **state)
{
    char other_key[CA_RENEWAL_ID_MAX + 1];
    char short_key[CA_RENEWAL_ID_MAX + 1];
    const char *dot = strchr(renewal_id, '.');

    (void)state;
    (void)snprintf(other_key, sizeof(other_key), "%s", renewal_id);
    other_key[0] = other_key[0] == 'A' ? 'B' : 'A';
    (void)snprintf(short_key, sizeof(short_key), "AA%s", dot);
    const struct {
        const char *text;
        enum err_code code;
    } rows[] = {{other_key, ERR_NOT_FOUND}, {short_key, ERR_NOT_FOUND},
                {"AA.AQ", ERR_NOT_FOUND},   {"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", ERR_NOT_FOUND},
                {"", ERR_MALFORMED},        {dot, ERR_MALFORMED},
                {"known", ERR_MALFORMED}};
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct job job = {.text = rows[i].text};
        assert_int_equal(store_read(store, "test.find", find_renewal, &job).code, rows[i].code);
        assert_null(job.info.idents);
    }
}

static void check_info(const struct ca_cert_info *info)
{
    assert_string_equal(info->id, "known");
    assert_string_equal(info->serial, leaf.serial);
    assert_string_equal(info->account_id, "account");
    assert_string_equal(info->order_id, "order");
    assert_string_equal(info->profile, "month");
    assert_int_equal(info->not_before, leaf.not_before);
    assert_int_equal(info->not_after, leaf.not_after);
    assert_int_equal(info->revoked_unix, 0);
    assert_int_equal(info->reason, 0);
    assert_int_equal(info->renew_by_unix, 0);
    assert_int_equal(info->idents_n, ARRAY_N(NAMES));
    for (size_t i = 0; i < ARRAY_N(NAMES); i++) {
        const struct ident want = make_ident(NAMES[i]);
        assert_true(ident_equal(&info->idents[i], &want));
    }
}

static void a_certificate_is_found_in_every_way(void **state)
{
    struct job by_der = {.der = leaf.der, .len = leaf.der_len};
    struct job by_id = {.id = "known"};
    struct job by_renewal = {.text = renewal_id};

    (void)state;
    assert_ok(store_read(store, "test.find", find, &by_der));
    assert_ok(store_read(store, "test.load", load, &by_id));
    assert_ok(store_read(store, "test.renewal", find_renewal, &by_renewal));
    check_info(&by_der.info);
    check_info(&by_id.info);
    check_info(&by_renewal.info);
    ca_cert_info_clear(&by_der.info);
    ca_cert_info_clear(&by_id.info);
    ca_cert_info_clear(&by_renewal.info);
    assert_null(by_id.info.idents);
}

static void the_key_comes_out_as_it_went_in(void **state)
{
    const unsigned char *p = leaf.der;
    X509 *x = d2i_X509(NULL, &p, (long)leaf.der_len);
    unsigned char *want = NULL;
    int want_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &want);
    uint8_t *spki = NULL;
    size_t len = 0;

    (void)state;
    assert_ok(ca_cert_spki(leaf.der, leaf.der_len, &spki, &len));
    assert_int_equal(len, want_len);
    assert_memory_equal(spki, want, len);
    mem_free(spki);
    OPENSSL_free(want);
    X509_free(x);
}

static void reasons_are_those_of_subscribers(void **state)
{
    static const int64_t BAD[] = {2,  6,  7,   8,         9,         10,
                                  11, -1, 256, INT64_MIN, INT64_MAX, (int64_t)1 << 32};
    static const int64_t GOOD[] = {0, 1, 3, 4, 5};
    struct job job = {.id = "known", .reason = 7};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        assert_false(ca_reason_ok(BAD[i]));
    }
    for (size_t i = 0; i < ARRAY_N(GOOD); i++) {
        assert_true(ca_reason_ok(GOOD[i]));
    }
    assert_int_equal(store_write(store, "test.revoke", mark_revoked, &job).code, ERR_INTERNAL);
}

static void a_certificate_is_revoked_once(void **state)
{
    struct ca_leaf mine = {0};
    struct job job = {.id = "revoked", .reason = 4};
    struct job again = {.id = "revoked", .reason = 1};
    struct job unknown = {.id = "unknown"};
    struct job look = {.id = "revoked"};
    struct job other = {.id = "known"};

    (void)state;
    issue_and_store("revoked", &mine);
    assert_int_equal(store_write(store, "test.revoke", mark_revoked, &unknown).code, ERR_NOT_FOUND);
    assert_int_equal(store_write(store, "test.revoke", revoke_and_fail, &job).code, ERR_LIMIT);
    assert_ok(store_read(store, "test.load", load, &look));
    assert_int_equal(look.info.revoked_unix, 0); /* rolled back with the caller */
    ca_cert_info_clear(&look.info);
    int64_t before = clock_unix_s();
    assert_ok(store_write(store, "test.revoke", mark_revoked, &job));
    int64_t after = clock_unix_s();
    clock_shift(5000);
    assert_int_equal(store_write(store, "test.revoke", mark_revoked, &again).code, ERR_CONFLICT);
    clock_shift(-5000);
    assert_ok(store_read(store, "test.load", load, &look));
    assert_true(look.info.revoked_unix >= before && look.info.revoked_unix <= after);
    assert_int_equal(look.info.reason, 4);
    ca_cert_info_clear(&look.info);
    assert_ok(store_read(store, "test.load", load, &other));
    assert_int_equal(other.info.revoked_unix, 0);
    ca_cert_info_clear(&other.info);
    ca_leaf_clear(&mine);
}

static void a_damaged_row_is_the_stores_fault(void **state)
{
    struct ca_leaf mine = {0};
    struct job job = {.id = "damaged"};

    (void)state;
    issue_and_store("damaged", &mine);
    assert_ok(store_write(store, "test.damage", damage, &job));
    assert_int_equal(store_read(store, "test.load", load, &job).code, ERR_DB);
    job.der = mine.der;
    job.len = mine.der_len;
    assert_int_equal(store_read(store, "test.find", find, &job).code, ERR_NOT_FOUND);
    ca_leaf_clear(&mine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_certificate_is_malformed),
        cmocka_unit_test(other_certificates_are_not_found),
        cmocka_unit_test(other_renewal_identifiers_are_not_found),
        cmocka_unit_test(a_certificate_is_found_in_every_way),
        cmocka_unit_test(the_key_comes_out_as_it_went_in),
        cmocka_unit_test(reasons_are_those_of_subscribers),
        cmocka_unit_test(a_certificate_is_revoked_once),
        cmocka_unit_test(a_damaged_row_is_the_stores_fault),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
