/* First start, restart, interrupted start, damaged state. */
#include "ca_fixture.h"

#include "ca/ca_private.h"

#include <openssl/pem.h>

static void make_file(struct fixture *f, const char *name)
{
    fixture_write(f, name, "x", 1);
    assert_int_equal(chmod(f->path, 0600), 0);
}

static void remove_root_key(struct fixture *f)
{
    assert_int_equal(unlink(fixture_path(f, "keys/root.key")), 0);
}

static void remove_root_certificate(struct fixture *f)
{
    assert_int_equal(unlink(fixture_path(f, "keys/root.pem")), 0);
}

static void break_intermediate(struct fixture *f)
{
    fixture_write(f, "keys/intermediate.pem", "junk", 4);
}

static void loosen_key(struct fixture *f)
{
    assert_int_equal(chmod(fixture_path(f, "keys/intermediate.key"), 0644), 0);
}

static void loosen_directory(struct fixture *f)
{
    assert_int_equal(chmod(fixture_path(f, "keys"), 0770), 0);
}

static void copy(struct fixture *f, const char *from, const char *to)
{
    uint8_t text[8192];
    size_t len = read_whole(fixture_path(f, from), text, sizeof(text));

    fixture_write(f, to, text, len);
}

static void swap_certificates(struct fixture *f)
{
    copy(f, "keys/root.pem", "keys/intermediate.pem");
}

static void swap_keys(struct fixture *f)
{
    copy(f, "keys/intermediate.key", "keys/root.key");
}

static void keep_only_a_stranger(struct fixture *f)
{
    const char *const argv[] = {"rm", "-r", fixture_path(f, "keys"), NULL};

    assert_int_equal(fixture_run(argv), 0);
    assert_int_equal(mkdir(fixture_path(f, "keys"), 0700), 0);
    make_file(f, "keys/other");
}

static void damage_is_told_and_nothing_is_replaced(void **state)
{
    static const struct {
        void (*damage)(struct fixture *f);
        const char *says;
    } rows[] = {
        {remove_root_key, "restore it from a backup"},
        {remove_root_certificate, "root.pem is missing"},
        {break_intermediate, "intermediate.pem is not a PEM certificate"},
        {loosen_key, "chmod 600"},
        {loosen_directory, "chmod 700"},
        {swap_certificates, "does not belong to the key"},
        {swap_keys, "does not belong to the key"},
        {keep_only_a_stranger, "root.key is missing"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct fixture f;
        struct ca *ca = NULL;
        fixture_make(&f);
        assert_ok(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "Test", &ca));
        ca_close(ca);
        ca = NULL;
        rows[i].damage(&f);
        assert_int_equal(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "Test", &ca).code, ERR_CONFIG);
        if (strstr(err_trace()->text, rows[i].says) == NULL) {
            fail_msg("row %zu said: %s", i, err_trace()->text);
        }
        assert_null(ca);
        fixture_remove(&f);
    }
}

static void a_name_that_is_not_text_is_refused(void **state)
{
    struct fixture f;
    struct ca *ca = NULL;

    (void)state;
    fixture_make(&f);
    assert_int_equal(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "a\nb", &ca).code, ERR_CONFIG);
    assert_int_not_equal(access(fixture_path(&f, "keys"), F_OK), 0);
    fixture_remove(&f);
}

static void check_modes(struct fixture *f)
{
    static const struct {
        const char *name;
        mode_t mode;
    } rows[] = {{"keys", 0700},
                {"keys/root.key", 0600},
                {"keys/intermediate.key", 0600},
                {"keys/root.pem", 0644},
                {"keys/intermediate.pem", 0644}};

    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct stat st;
        assert_int_equal(stat(fixture_path(f, rows[i].name), &st), 0);
        assert_int_equal(st.st_mode & 07777u, rows[i].mode);
    }
    assert_int_not_equal(access(fixture_path(f, ".keys.new"), F_OK), 0);
}

static void a_restart_finds_the_same_authority(void **state)
{
    static const enum config_key_alg ALGS[] = {CONFIG_KEY_ECDSA_P256, CONFIG_KEY_ECDSA_P384,
                                               CONFIG_KEY_RSA_2048};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(ALGS); i++) {
        struct fixture f;
        struct ca *ca = NULL;
        char fingerprint[65];
        size_t len = 0;
        fixture_make(&f);
        assert_ok(ca_open(f.dir, ALGS[i], "Test", &ca));
        assert_int_equal(strlen(ca_root_fingerprint(ca)), 64);
        memcpy(fingerprint, ca_root_fingerprint(ca), sizeof(fingerprint));
        assert_true(ca_root_der(ca, &len)[0] == 0x30 && len > 100);
        ca_close(ca);
        check_modes(&f);
        assert_ok(ca_open(f.dir, ALGS[i], "Other", &ca));
        assert_string_equal(ca_root_fingerprint(ca), fingerprint);
        ca_close(ca);
        fixture_remove(&f);
    }
}

static void an_interrupted_start_leaves_no_trace(void **state)
{
    struct fixture f;
    struct ca *ca = NULL;

    (void)state;
    fixture_make(&f);
    assert_int_equal(mkdir(fixture_path(&f, ".keys.new"), 0700), 0);
    make_file(&f, ".keys.new/root.key");
    make_file(&f, ".keys.new/root.pem");
    /* An empty directory, such as a fresh volume, is not a CA yet. */
    assert_int_equal(mkdir(fixture_path(&f, "keys"), 0700), 0);
    assert_ok(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, "Test", &ca));
    ca_close(ca);
    check_modes(&f);
    fixture_remove(&f);
}

static X509 *read_pem(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    assert_non_null(x);
    assert_true(BIO_eof(bio));
    BIO_free(bio);
    return x;
}

static void both_levels_say_what_they_are(void **state)
{
    struct fixture f;
    struct ca *ca = NULL;
    char root_name[80];
    char intermediate_name[80];
    const char long_name[] = "a very long name that does not fit into a common name at all";

    (void)state;
    fixture_make(&f);
    assert_ok(ca_open(f.dir, CONFIG_KEY_ECDSA_P256, long_name, &ca));
    X509 *root = read_pem(ca_root_pem(ca));
    X509 *intermediate = read_pem(ca_intermediate_pem(ca));
    assert_int_equal(X509_get_key_usage(root), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(X509_get_key_usage(intermediate), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(X509_get_pathlen(root), -1);
    assert_int_equal(X509_get_pathlen(intermediate), 0);
    assert_int_equal(X509_check_issued(root, intermediate), X509_V_OK);
    assert_int_equal(X509_check_issued(root, root), X509_V_OK);
    assert_int_equal(X509_get_ext_count(root), 4);
    assert_true(X509_get_ext_by_critical(root, 1, -1) >= 0);
    assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(intermediate),
                                           X509_get0_subject_key_id(root)),
                     0);
    assert_true(X509_cmp_time(X509_get0_notAfter(root), NULL) > 0);
    assert_true(ASN1_TIME_compare(X509_get0_notAfter(root), X509_get0_notAfter(intermediate)) > 0);
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(root), NID_commonName, root_name,
                                          sizeof(root_name)) <= 64);
    assert_int_equal(X509_NAME_get_text_by_NID(X509_get_subject_name(intermediate), NID_commonName,
                                               intermediate_name, sizeof(intermediate_name)),
                     64);
    assert_non_null(strstr(root_name, " Root CA "));
    assert_non_null(strstr(intermediate_name, " Intermediate CA "));
    X509_free(root);
    X509_free(intermediate);
    ca_close(ca);
    fixture_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_told_and_nothing_is_replaced),
        cmocka_unit_test(a_name_that_is_not_text_is_refused),
        cmocka_unit_test(a_restart_finds_the_same_authority),
        cmocka_unit_test(an_interrupted_start_leaves_no_trace),
        cmocka_unit_test(both_levels_say_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
