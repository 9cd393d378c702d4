/* Issuers as PEM text. */
#include "ca_other_root.h"

#include "ca/issuer.h"

static struct fixture f;
static struct ca *ca;
static EVP_PKEY *root_key;
static X509 *root, *cross, *leaf;
static char *cross_pem, *root_pem, *both_pem, *leaf_pem;

static int setup(void **state)
{
    (void)state;
    fixture_make(&f);
    assert_ok(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "Test", &ca));
    root = other_root("Other Root", &root_key);
    cross = other_cross(ca, root, root_key, 100);
    const struct other_spec spec = {
        .subject = X509_get_subject_name(cross), .key = root_key, .is_leaf = true};
    leaf = other_make(&spec, X509_get_subject_name(root), root_key);
    cross_pem = other_pem(cross, NULL);
    root_pem = other_pem(root, NULL);
    both_pem = other_pem(cross, root);
    leaf_pem = other_pem(leaf, NULL);
    return 0;
}

static int teardown(void **state)
{
    char *const texts[] = {cross_pem, root_pem, both_pem, leaf_pem};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(texts); i++) {
        mem_free(texts[i]);
    }
    X509_free(root);
    X509_free(cross);
    X509_free(leaf);
    EVP_PKEY_free(root_key);
    ca_close(ca);
    fixture_remove(&f);
    return 0;
}

static char *join(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 1;
    char *all = mem_zalloc(n);

    assert_non_null(all);
    (void)snprintf(all, n, "%s%s", a, b);
    return all;
}

static void other_texts_are_refused(void **state)
{
    char *wrong_order = join(root_pem, cross_pem);
    char *unrelated = join(cross_pem, ca_root_pem(ca));
    char *with_key =
        join(cross_pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    char *torn = mem_strndup(both_pem, strlen(both_pem) - 40);
    char *huge = mem_zalloc(ISSUER_PEM_MAX + 2);
    char *many = mem_strdup("");
    for (int i = 0; i <= ISSUER_CHAIN_MAX; i++) {
        char *more = join(many, root_pem);
        mem_free(many);
        many = more;
    }
    memset(huge, '\n', ISSUER_PEM_MAX + 1);
    const char *const texts[] = {"",
                                 "no certificate",
                                 wrong_order,
                                 unrelated,
                                 with_key,
                                 torn,
                                 huge,
                                 many,
                                 leaf_pem,
                                 "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                                 "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(texts); i++) {
        struct issuer issuer = {0};
        assert_int_equal(issuer_read(texts[i], &issuer).code, ERR_MALFORMED);
        assert_null(issuer.pem);
        assert_null(issuer.first);
    }
    mem_free(wrong_order);
    mem_free(unrelated);
    mem_free(with_key);
    mem_free(torn);
    mem_free(huge);
    mem_free(many);
}

static void our_own_intermediate_reads_as_it_is(void **state)
{
    struct issuer issuer = {0};

    (void)state;
    assert_ok(issuer_read(ca_intermediate_pem(ca), &issuer));
    assert_string_equal(issuer.pem, ca_intermediate_pem(ca));
    assert_int_equal(issuer.not_after, ca->intermediate_not_after);
    assert_int_equal(X509_cmp(issuer.first, ca->intermediate), 0);
    assert_int_equal(strlen(issuer.name_key), 2 * SHA256_LEN);
    issuer_clear(&issuer);
}

static void words_around_the_certificates_are_dropped(void **state)
{
    char *text = join("subject=Other\n\n", both_pem);
    char *longer = join(text, "\nthe end\n");
    struct issuer issuer = {0};

    (void)state;
    assert_ok(issuer_read(longer, &issuer));
    assert_string_equal(issuer.pem, both_pem);
    issuer_clear(&issuer);
    mem_free(text);
    mem_free(longer);
}

static void name_and_key_together_make_the_name_key(void **state)
{
    struct issuer own = {0};
    struct issuer crossed = {0};
    struct issuer chain = {0};
    struct issuer other = {0};
    struct issuer same_name = {0};
    const struct other_spec spec = {.subject = X509_get_subject_name(ca->intermediate),
                                    .key = root_key};
    X509 *other_key = other_make(&spec, X509_get_subject_name(root), root_key);
    char *other_key_pem = other_pem(other_key, NULL);

    (void)state;
    assert_ok(issuer_read(ca_intermediate_pem(ca), &own));
    assert_ok(issuer_read(cross_pem, &crossed));
    assert_ok(issuer_read(both_pem, &chain));
    assert_ok(issuer_read(root_pem, &other));
    assert_ok(issuer_read(other_key_pem, &same_name));
    assert_string_equal(own.name_key, crossed.name_key);
    assert_string_equal(own.name_key, chain.name_key);
    assert_string_not_equal(own.name_key, other.name_key);
    assert_string_not_equal(own.name_key, same_name.name_key);
    assert_string_not_equal(other.name_key, same_name.name_key);
    assert_true(chain.not_after == crossed.not_after && chain.not_after < other.not_after);
    issuer_clear(&own);
    issuer_clear(&crossed);
    issuer_clear(&chain);
    issuer_clear(&other);
    issuer_clear(&same_name);
    mem_free(other_key_pem);
    X509_free(other_key);
}

static void leaves_are_checked_against_an_issuer(void **state)
{
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    const struct ca_leaf_request request = {
        .profile = ca_profile_find(NULL), .idents = &id, .idents_n = 1};
    struct ca_leaf issued = {0};
    struct ca_refusal refusal = {0};
    struct issuer crossed = {0};
    struct issuer other = {0};

    (void)state;
    assert_ok(ca_issue(ca, csr, &request, &issued, &refusal));
    assert_ok(issuer_read(cross_pem, &crossed));
    assert_ok(issuer_read(root_pem, &other));
    assert_ok(issuer_check_leaf(&crossed, issued.der, issued.der_len));
    assert_int_equal(issuer_check_leaf(&other, issued.der, issued.der_len).code, ERR_MALFORMED);
    assert_int_equal(issuer_check_leaf(&crossed, (const uint8_t *)"x", 1).code, ERR_MALFORMED);
    issued.der[issued.der_len - 1] ^= 1u;
    assert_int_equal(issuer_check_leaf(&crossed, issued.der, issued.der_len).code, ERR_MALFORMED);
    issuer_clear(&crossed);
    issuer_clear(&other);
    ca_leaf_clear(&issued);
    ca_csr_free(csr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(our_own_intermediate_reads_as_it_is),
        cmocka_unit_test(words_around_the_certificates_are_dropped),
        cmocka_unit_test(name_and_key_together_make_the_name_key),
        cmocka_unit_test(leaves_are_checked_against_an_issuer),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
