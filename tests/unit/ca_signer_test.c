#include "ca_fixture.h"

#include "ca/cert.h"
#include "ca/signer.h"

#include <pthread.h>

static void missing_keys_are_not_made_unasked(void **state)
{
    struct fixture f;
    struct signer *s = NULL;

    (void)state;
    fixture_make(&f);
    assert_int_equal(signer_open(f.dir, CONFIG_KEY_ECDSA_P256, false, &s).code, ERR_CONFIG);
    assert_null(s);
    assert_int_equal(signer_open(fixture_path(&f, "none"), CONFIG_KEY_ECDSA_P256, true, &s).code,
                     ERR_NOT_FOUND);
    assert_int_not_equal(access(fixture_path(&f, "root.key"), F_OK), 0);
    fixture_remove(&f);
}

static void bad_key_files_are_refused(void **state)
{
    static const struct {
        const char *text, *says;
        mode_t mode;
    } rows[] = {
        {"", "not an unencrypted PEM private key", 0600},
        {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not an unencrypted",
         0600},
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
         "not an unencrypted", 0600},
        /* an Ed25519 key (RFC 8410 §10.3) */
        {"-----BEGIN PRIVATE KEY-----\n"
         "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
         "-----END PRIVATE KEY-----\n",
         "neither an EC key", 0600},
        {"x", "chmod 600", 0640},
        {"x", "chmod 600", 0604},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct fixture f;
        struct signer *s = NULL;
        fixture_make(&f);
        fixture_write(&f, "root.key", rows[i].text, strlen(rows[i].text));
        assert_int_equal(chmod(f.path, rows[i].mode), 0);
        assert_int_equal(signer_open(f.dir, CONFIG_KEY_ECDSA_P256, true, &s).code, ERR_CONFIG);
        assert_non_null(strstr(err_trace()->text, rows[i].says));
        assert_null(s);
        fixture_remove(&f);
    }
}

static void links_and_open_directories_are_refused(void **state)
{
    struct fixture f;
    struct signer *s = NULL;

    (void)state;
    fixture_make(&f);
    assert_int_equal(symlink("/dev/null", fixture_path(&f, "root.key")), 0);
    assert_int_equal(signer_open(f.dir, CONFIG_KEY_ECDSA_P256, true, &s).code, ERR_CONFIG);
    assert_int_equal(unlink(f.path), 0);
    assert_int_equal(chmod(f.dir, 0777), 0);
    assert_int_equal(signer_open(f.dir, CONFIG_KEY_ECDSA_P256, true, &s).code, ERR_CONFIG);
    assert_non_null(strstr(err_trace()->text, "chmod 700"));
    fixture_remove(&f);
}

static void keys_of_each_kind_survive_and_sign(void **state)
{
    static const struct {
        enum config_key_alg alg;
        int bits;
    } rows[] = {
        {CONFIG_KEY_ECDSA_P256, 256}, {CONFIG_KEY_ECDSA_P384, 384}, {CONFIG_KEY_RSA_2048, 2048}};
    static const uint8_t TBS[] = "to be signed";

    (void)state;
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct fixture f;
        struct stat st;
        struct signer *s = NULL;
        struct signer *again = NULL;
        const uint8_t *spki = NULL;
        const uint8_t *other = NULL;
        size_t len = 0;
        size_t other_len = 0;
        uint8_t sig[SIGNER_SIG_MAX];
        size_t sig_len = sizeof(sig);
        EVP_MD_CTX *verifier = NULL;
        fixture_make(&f);
        assert_ok(signer_open(f.dir, rows[i].alg, true, &s));
        assert_int_equal(stat(fixture_path(&f, "intermediate.key"), &st), 0);
        assert_int_equal(st.st_mode & 07777u, 0600);
        /* Another algorithm does not replace keys that exist. */
        assert_ok(signer_open(f.dir, CONFIG_KEY_RSA_4096, true, &again));
        assert_ok(signer_spki(s, SIGNER_ROOT, &spki, &len));
        assert_ok(signer_spki(again, SIGNER_ROOT, &other, &other_len));
        assert_int_equal(len, other_len);
        assert_memory_equal(spki, other, len);
        EVP_PKEY *key = d2i_PUBKEY(NULL, &spki, (long)len);
        assert_int_equal(EVP_PKEY_get_bits(key), rows[i].bits);
        EVP_PKEY_free(key);
        assert_ok(signer_sign(again, SIGNER_ROOT, TBS, sizeof(TBS), sig, &sig_len));
        assert_ok(cert_verifier(s, SIGNER_ROOT, &verifier));
        assert_int_equal(EVP_DigestVerify(verifier, sig, sig_len, TBS, sizeof(TBS)), 1);
        sig_len = 10;
        assert_int_equal(signer_sign(s, SIGNER_ROOT, TBS, sizeof(TBS), sig, &sig_len).code,
                         ERR_LIMIT);
        EVP_MD_CTX_free(verifier);
        signer_close(again);
        signer_close(s);
        fixture_remove(&f);
    }
}

static void *sign_often(void *arg)
{
    struct signer *s = arg;
    uint8_t sig[SIGNER_SIG_MAX];

    for (int i = 0; i < 200; i++) {
        size_t sig_len = sizeof(sig);
        if (signer_sign(s, SIGNER_INTERMEDIATE, (const uint8_t *)"x", 1, sig, &sig_len).code !=
            ERR_OK) {
            return arg;
        }
    }
    return NULL;
}

static void threads_sign_at_once(void **state)
{
    struct fixture f;
    struct signer *s = NULL;
    pthread_t threads[4];

    (void)state;
    fixture_make(&f);
    assert_ok(signer_open(f.dir, CONFIG_KEY_ECDSA_P256, true, &s));
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, sign_often, s), 0);
    }
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        void *failed = s;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    signer_close(s);
    fixture_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_keys_are_not_made_unasked),
        cmocka_unit_test(bad_key_files_are_refused),
        cmocka_unit_test(links_and_open_directories_are_refused),
        cmocka_unit_test(keys_of_each_kind_survive_and_sign),
        cmocka_unit_test(threads_sign_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
