/* Leaf certificates: contents, dates, and that strangers (OpenSSL's verifier) accept the chain. */
#include "ca_fixture.h"

#include "ca/ca_private.h"
#include "core/util/clock.h"

#include <openssl/pem.h>

static struct fixture f;
static struct ca *ca;

static int setup(void **state)
{
    (void)state;
    fixture_make(&f);
    assert_ok(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "Test", &ca));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ca_close(ca);
    fixture_remove(&f);
    return 0;
}

static X509 *parse(const struct ca_leaf *leaf)
{
    const unsigned char *p = leaf->der;
    X509 *x = d2i_X509(NULL, &p, (long)leaf->der_len);

    assert_non_null(x);
    assert_ptr_equal(p, leaf->der + leaf->der_len);
    return x;
}

static void dates_outside_the_profile_are_refused(void **state)
{
    const struct ca_profile *profile = ca_profile_find("short");
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    int64_t now = clock_unix_s();
    const struct {
        int64_t not_before, not_after;
        const char *why;
    } rows[] = {
        {now - 3700, 0, "notBefore"},
        {now + profile->lifetime_s + 5, 0, "notBefore"},
        {INT64_MIN, 0, "notBefore"},
        {INT64_MAX, 0, "notBefore"},
        {0, now - 60, "notAfter"},
        {0, 1, "notAfter"},
        {0, INT64_MAX, "notAfter"},
        {0, INT64_MIN, "notAfter"},
        {0, now + profile->lifetime_s, "notAfter"},
        {now, now, "notAfter"},
        {now, now + profile->lifetime_s, "notAfter"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct ca_leaf leaf = {0};
        struct ca_refusal refusal = {0};
        const struct ca_leaf_request request = {.profile = profile,
                                                .idents = &id,
                                                .idents_n = 1,
                                                .not_before = rows[i].not_before,
                                                .not_after = rows[i].not_after};
        assert_int_equal(ca_issue(ca, csr, &request, &leaf, &refusal).code, ERR_REJECTED);
        assert_non_null(strstr(refusal.detail, rows[i].why));
        assert_false(refusal.is_bad_key);
        assert_null(leaf.der);
    }
    ca_csr_free(csr);
}

/* A profile of an hour: an hour back would mean issued and expired at once. */
static void nothing_is_issued_that_has_expired(void **state)
{
    const struct ca_profile profile = {"brief", "", 3600, true, false, CONFIG_KEYS_EC};
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    int64_t now = clock_unix_s();
    const struct {
        int64_t not_before;
        enum err_code code;
    } rows[] = {{now - 3600, ERR_REJECTED},
                {now - 3599, ERR_REJECTED},
                {now - 3500, ERR_OK},
                {now + 3500, ERR_OK},
                {now + 3700, ERR_REJECTED}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct ca_leaf leaf = {0};
        struct ca_refusal refusal = {0};
        const struct ca_leaf_request request = {
            .profile = &profile, .idents = &id, .idents_n = 1, .not_before = rows[i].not_before};
        assert_int_equal(ca_issue(ca, csr, &request, &leaf, &refusal).code, rows[i].code);
        if (rows[i].code == ERR_OK) {
            assert_int_equal(leaf.not_after, rows[i].not_before + 3599);
            assert_true(leaf.not_after > now);
        } else {
            assert_non_null(strstr(refusal.detail, "notBefore must lie between 2"));
        }
        ca_leaf_clear(&leaf);
    }
    ca_csr_free(csr);
}

static void a_profile_chooses_the_key_types(void **state)
{
    static const unsigned TYPES[] = {CONFIG_KEYS_EC, CONFIG_KEYS_RSA, CONFIG_KEYS_ED25519};
    static const char *const NAMES[] = {"EC", "RSA", "Ed25519"};
    const struct ident id = make_ident("svc.test");
    EVP_PKEY *keys[] = {EVP_EC_gen("P-384"), EVP_RSA_gen(2048),
                        EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(keys); i++) {
        struct ca_csr *csr = make_csr(keys[i], &id);
        char says[40];
        (void)snprintf(says, sizeof(says), "does not issue for %s keys", NAMES[i]);
        assert_int_equal(ca_csr_key_type(csr), TYPES[i]);
        for (unsigned mask = 0; mask < 8; mask++) {
            const struct ca_profile profile = {"keys", "", 86400, true, false, mask};
            const struct ca_leaf_request request = {
                .profile = &profile, .idents = &id, .idents_n = 1};
            struct ca_leaf leaf = {0};
            struct ca_refusal refusal = {0};
            struct err e = ca_issue(ca, csr, &request, &leaf, &refusal);
            if ((mask & TYPES[i]) != 0) {
                assert_ok(e);
                ca_leaf_clear(&leaf);
                continue;
            }
            assert_int_equal(e.code, ERR_REJECTED);
            assert_true(refusal.is_bad_key);
            assert_non_null(strstr(refusal.detail, says));
            assert_non_null(strstr(refusal.detail, "profile keys"));
            assert_null(leaf.der);
        }
        ca_csr_free(csr);
    }
}

static void dates_inside_the_profile_are_honoured(void **state)
{
    const struct ca_profile *profile = ca_profile_find("short");
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    int64_t now = clock_unix_s();
    const struct {
        int64_t not_before, not_after, want_after;
    } rows[] = {
        {now, now + 1, now + 1},
        {now - 1800, 0, now - 1800 + profile->lifetime_s - 1},
        {now + 3600, now + 7200, now + 7200},
        {now, now + profile->lifetime_s - 1, now + profile->lifetime_s - 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct ca_leaf leaf = {0};
        struct ca_refusal refusal = {0};
        const struct ca_leaf_request request = {.profile = profile,
                                                .idents = &id,
                                                .idents_n = 1,
                                                .not_before = rows[i].not_before,
                                                .not_after = rows[i].not_after};
        assert_ok(ca_issue(ca, csr, &request, &leaf, &refusal));
        X509 *x = parse(&leaf);
        time_t before = (time_t)rows[i].not_before;
        time_t after = (time_t)rows[i].want_after;
        assert_int_equal(leaf.not_before, rows[i].not_before);
        assert_int_equal(leaf.not_after, rows[i].want_after);
        assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), before), 0);
        assert_int_equal(ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), after), 0);
        X509_free(x);
        ca_leaf_clear(&leaf);
    }
    ca_csr_free(csr);
}

static void a_leaf_never_outlives_its_issuer(void **state)
{
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    const struct ca_leaf_request request = {
        .profile = ca_profile_find("default"), .idents = &id, .idents_n = 1};
    struct ca_leaf leaf = {0};
    struct ca_refusal refusal = {0};
    int64_t to_eve_ms = (ca->intermediate_not_after - 86400 - clock_unix_s()) * 1000;

    (void)state;
    clock_shift(to_eve_ms);
    assert_ok(ca_issue(ca, csr, &request, &leaf, &refusal));
    assert_int_equal(leaf.not_after, ca->intermediate_not_after);
    ca_leaf_clear(&leaf);
    const struct ca_leaf_request late = {.profile = ca_profile_find("default"),
                                         .idents = &id,
                                         .idents_n = 1,
                                         .not_before = ca->intermediate_not_after};
    assert_int_equal(ca_issue(ca, csr, &late, &leaf, &refusal).code, ERR_REJECTED);
    assert_non_null(strstr(refusal.detail, "notBefore"));
    assert_null(leaf.der);
    clock_shift((int64_t)2 * 86400 * 1000);
    assert_int_equal(ca_issue(ca, csr, &request, &leaf, &refusal).code, ERR_BAD_STATE);
    clock_shift(-to_eve_ms - (int64_t)2 * 86400 * 1000);
    ca_csr_free(csr);
}

static void check_extensions(X509 *x, bool is_rsa)
{
    static const struct {
        int nid;
        int is_critical;
    } want[] = {
        {NID_basic_constraints, 1},      {NID_key_usage, 1},
        {NID_ext_key_usage, 0},          {NID_subject_alt_name, 1},
        {NID_subject_key_identifier, 0}, {NID_authority_key_identifier, 0},
    };
    uint32_t usage = KU_DIGITAL_SIGNATURE | (is_rsa ? KU_KEY_ENCIPHERMENT : 0u);

    assert_int_equal(X509_get_ext_count(x), ARRAY_N(want));
    for (size_t i = 0; i < ARRAY_N(want); i++) {
        int at = X509_get_ext_by_NID(x, want[i].nid, -1);
        assert_true(at >= 0);
        assert_int_equal(X509_EXTENSION_get_critical(X509_get_ext(x, at)), want[i].is_critical);
    }
    assert_int_equal(X509_get_key_usage(x), usage);
    assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
    assert_int_equal(X509_check_ca(x), 0);
    assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(x)), 0);
    assert_int_equal(X509_get_version(x), X509_VERSION_3);
}

/* Does openssl accept the chain for `purpose` and, with an option and its value, for a name? */
static bool is_accepted(const struct ca_leaf *leaf, const char *purpose, const char *option,
                        const char *value)
{
    char root[256];
    char chain[256];

    fixture_write(&f, "root-copy.pem", ca_root_pem(ca), strlen(ca_root_pem(ca)));
    (void)snprintf(root, sizeof(root), "%s", f.path);
    fixture_write(&f, "chain.pem", leaf->chain_pem, strlen(leaf->chain_pem));
    (void)snprintf(chain, sizeof(chain), "%s", f.path);
    const char *const argv[] = {"openssl",    "verify",  "-x509_strict", "-purpose",   purpose,
                                "-no-CApath", "-CAfile", root,           "-untrusted", chain,
                                option,       value,     chain,          NULL};
    return fixture_run(argv) == 0;
}

static void each_kind_of_key_gets_a_certificate(void **state)
{
    const struct ident ids[] = {make_ident("*.svc.test"), make_ident("svc.test")};
    EVP_PKEY *keys[] = {EVP_EC_gen("P-256"), EVP_EC_gen("P-384"), EVP_EC_gen("P-521"),
                        EVP_RSA_gen(2048), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(keys); i++) {
        bool is_rsa = EVP_PKEY_is_a(keys[i], "RSA") == 1;
        struct ca_csr *csr = make_csr(keys[i], &ids[0]);
        const struct ca_leaf_request request = {
            .profile = ca_profile_find(NULL), .idents = ids, .idents_n = 2};
        struct ca_leaf leaf = {0};
        struct ca_refusal refusal = {0};
        assert_ok(ca_issue(ca, csr, &request, &leaf, &refusal));
        assert_int_equal(leaf.not_after - leaf.not_before, (int64_t)90 * 86400 - 1);
        X509 *x = parse(&leaf);
        check_extensions(x, is_rsa);
        assert_int_equal(X509_check_host(x, "svc.test", 0, 0, NULL), 1);
        assert_int_equal(X509_check_host(x, "b.svc.test", 0, 0, NULL), 1);
        assert_int_equal(X509_check_host(x, "c.b.svc.test", 0, 0, NULL), 0);
        unsigned char *spki = NULL;
        assert_int_equal(i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki), csr->spki_len);
        assert_memory_equal(spki, csr->spki, csr->spki_len);
        OPENSSL_free(spki);
        assert_true(is_accepted(&leaf, "sslserver", "-verify_hostname", "a.svc.test"));
        X509_free(x);
        ca_leaf_clear(&leaf);
        ca_csr_free(csr);
    }
}

static void a_profile_chooses_the_usages(void **state)
{
    static const struct {
        bool server, client;
        uint32_t want;
    } rows[] = {{true, false, XKU_SSL_SERVER},
                {false, true, XKU_SSL_CLIENT},
                {true, true, XKU_SSL_SERVER | XKU_SSL_CLIENT}};
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    const struct ca_profile none = {"none", "", 86400, false, false, CONFIG_KEYS_EC};
    const struct ca_leaf_request nothing = {.profile = &none, .idents = &id, .idents_n = 1};
    struct ca_leaf leaf = {0};
    struct ca_refusal refusal = {0};

    (void)state;
    assert_int_equal(ca_issue(ca, csr, &nothing, &leaf, &refusal).code, ERR_INTERNAL);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        const struct ca_profile profile = {"usage",       "", 86400, rows[i].server, rows[i].client,
                                           CONFIG_KEYS_EC};
        const struct ca_leaf_request request = {.profile = &profile, .idents = &id, .idents_n = 1};
        assert_ok(ca_issue(ca, csr, &request, &leaf, &refusal));
        X509 *x = parse(&leaf);
        assert_int_equal(X509_get_extended_key_usage(x), rows[i].want);
        assert_int_equal(leaf.not_after - leaf.not_before, 86399);
        X509_free(x);
        const char *option = "-verify_hostname";
        assert_int_equal(is_accepted(&leaf, "sslserver", option, "svc.test"), rows[i].server);
        assert_int_equal(is_accepted(&leaf, "sslclient", option, "svc.test"), rows[i].client);
        ca_leaf_clear(&leaf);
    }
    ca_csr_free(csr);
}

static void addresses_stand_beside_names(void **state)
{
    static const struct {
        const char *names[4];
        size_t n;
    } rows[] = {{{"192.0.2.7"}, 1},
                {{"2001:db8::7"}, 1},
                {{"svc.test", "192.0.2.7", "*.svc.test", "2001:db8::7"}, 4}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct ident idents[4];
        for (size_t k = 0; k < rows[i].n; k++) {
            idents[k] = make_ident(rows[i].names[k]);
        }
        struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &idents[0]);
        const struct ca_leaf_request request = {
            .profile = ca_profile_find(NULL), .idents = idents, .idents_n = rows[i].n};
        struct ca_leaf leaf = {0};
        struct ca_refusal refusal = {0};
        assert_ok(ca_issue(ca, csr, &request, &leaf, &refusal));
        X509 *x = parse(&leaf);
        check_extensions(x, false);
        GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
        assert_int_equal(sk_GENERAL_NAME_num(names), rows[i].n);
        for (size_t k = 0; k < rows[i].n; k++) {
            const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, (int)k);
            assert_int_equal(name->type, idents[k].is_ip ? GEN_IPADD : GEN_DNS);
            if (idents[k].is_ip) {
                const char *text = idents[k].base;
                assert_int_equal(X509_check_ip_asc(x, text, 0), 1);
                assert_int_equal(X509_check_host(x, text, 0, 0, NULL), 0);
                assert_true(is_accepted(&leaf, "sslserver", "-verify_ip", text));
            }
        }
        assert_int_equal(X509_check_ip_asc(x, "192.0.2.8", 0), 0);
        assert_int_equal(X509_check_ip_asc(x, "::ffff:192.0.2.7", 0), 0);
        assert_false(is_accepted(&leaf, "sslserver", "-verify_ip", "192.0.2.8"));
        GENERAL_NAMES_free(names);
        X509_free(x);
        ca_leaf_clear(&leaf);
        ca_csr_free(csr);
    }
}

static void an_identifier_that_is_no_address_is_our_fault(void **state)
{
    const struct ident id = make_ident("svc.test");
    const struct ident bad = {.is_ip = true, .base = "svc.test"};
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    const struct ca_leaf_request request = {
        .profile = ca_profile_find(NULL), .idents = &bad, .idents_n = 1};
    struct ca_leaf leaf = {0};
    struct ca_refusal refusal = {0};

    (void)state;
    assert_int_equal(ca_issue(ca, csr, &request, &leaf, &refusal).code, ERR_INTERNAL);
    assert_null(leaf.der);
    ca_csr_free(csr);
}

static void the_chain_is_leaf_then_intermediate(void **state)
{
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    const struct ca_leaf_request request = {
        .profile = ca_profile_find(NULL), .idents = &id, .idents_n = 1};
    struct ca_leaf leaf = {0};
    struct ca_refusal refusal = {0};

    (void)state;
    assert_ok(ca_issue(ca, csr, &request, &leaf, &refusal));
    BIO *bio = BIO_new_mem_buf(leaf.chain_pem, -1);
    X509 *first = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509 *second = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509 *alone = parse(&leaf);
    assert_int_equal(X509_cmp(first, alone), 0);
    assert_int_equal(X509_cmp(second, ca->intermediate), 0);
    assert_true(BIO_eof(bio));
    assert_int_equal(leaf.chain_pem[strlen(leaf.chain_pem) - 1], '\n');
    X509_free(first);
    X509_free(second);
    X509_free(alone);
    BIO_free(bio);
    ca_leaf_clear(&leaf);
    ca_csr_free(csr);
}

static void serials_are_128_bit_positive_and_new(void **state)
{
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    const struct ca_leaf_request request = {
        .profile = ca_profile_find(NULL), .idents = &id, .idents_n = 1};
    char last[CA_SERIAL_HEX_MAX + 1] = "";

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct ca_leaf leaf = {0};
        struct ca_refusal refusal = {0};
        assert_ok(ca_issue(ca, csr, &request, &leaf, &refusal));
        X509 *x = parse(&leaf);
        BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
        BIGNUM *text = NULL;
        assert_true(BN_hex2bn(&text, leaf.serial) == 32);
        assert_int_equal(BN_cmp(number, text), 0);
        assert_int_equal(BN_num_bytes(number), 16);
        assert_false(BN_is_negative(number));
        assert_string_not_equal(leaf.serial, last);
        memcpy(last, leaf.serial, sizeof(last));
        BN_free(number);
        BN_free(text);
        X509_free(x);
        ca_leaf_clear(&leaf);
    }
    ca_csr_free(csr);
}

static void a_certificate_without_a_name_is_our_fault(void **state)
{
    const struct ident id = make_ident("svc.test");
    struct ca_csr *csr = make_csr(EVP_EC_gen("P-256"), &id);
    const struct ca_leaf_request request = {.profile = ca_profile_find(NULL)};
    struct ca_leaf leaf = {0};
    struct ca_refusal refusal = {0};

    (void)state;
    assert_int_equal(ca_issue(ca, csr, &request, &leaf, &refusal).code, ERR_INTERNAL);
    ca_csr_free(csr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_outside_the_profile_are_refused),
        cmocka_unit_test(dates_inside_the_profile_are_honoured),
        cmocka_unit_test(nothing_is_issued_that_has_expired),
        cmocka_unit_test(a_profile_chooses_the_key_types),
        cmocka_unit_test(an_identifier_that_is_no_address_is_our_fault),
        cmocka_unit_test(a_certificate_without_a_name_is_our_fault),
        cmocka_unit_test(a_leaf_never_outlives_its_issuer),
        cmocka_unit_test(each_kind_of_key_gets_a_certificate),
        cmocka_unit_test(a_profile_chooses_the_usages),
        cmocka_unit_test(addresses_stand_beside_names),
        cmocka_unit_test(the_chain_is_leaf_then_intermediate),
        cmocka_unit_test(serials_are_128_bit_positive_and_new),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
