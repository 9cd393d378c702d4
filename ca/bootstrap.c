/* The first start makes the two CA levels; every start loads and checks them. */
#include "ca/ca_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "ca/keyfile.h"
#include "ca/ossl.h"

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define SHORT_ID_BYTES 4u
#define PREFIX_MAX 39 /* leaves room for " Intermediate CA <id>" in the 64 characters of a CN */
#define COMMON_NAME_MAX 64u
#define DAY_S ((int64_t)86400)
#define ROOT_PEM "root.pem"
#define INTERMEDIATE_PEM "intermediate.pem"

static const char *const KEYS_FILES[] = {"root.key", "intermediate.key", ROOT_PEM,
                                         INTERMEDIATE_PEM};

static struct err issuer_key(struct signer *signer, enum signer_issuer issuer, EVP_PKEY **out)
{
    const uint8_t *spki = NULL;
    size_t len = 0;

    TRY(signer_spki(signer, issuer, &spki, &len));
    *out = d2i_PUBKEY(NULL, &spki, (long)len);
    if (*out == NULL) {
        FAIL_OSSL("d2i_PUBKEY");
    }
    return err_ok();
}

/* Random, so that the authorities of two installations never share a name. */
static struct err common_name(const char *prefix, const char *level, char out[COMMON_NAME_MAX + 1])
{
    uint8_t id[SHORT_ID_BYTES];
    char hex[2 * SHORT_ID_BYTES + 1];

    TRY(random_bytes(id, sizeof(id)));
    hex_encode(id, sizeof(id), hex);
    (void)snprintf(out, COMMON_NAME_MAX + 1, "%.*s %s CA %s", PREFIX_MAX, prefix, level, hex);
    return err_ok();
}

static struct err write_pem(int dir, const char *name, const uint8_t *der, size_t len)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(KEYFILE_MAX);

    cert_pem(&pem, der, len);
    TRY(buf_check(&pem));
    return keyfile_write(dir, name, pem.data, pem.len, false);
}

static struct err make_root(int dir, struct signer *signer, const EVP_MD_CTX *verifier,
                            const char *prefix, X509 **out)
{
    char name[COMMON_NAME_MAX + 1];
    AUTO(mem_freep) uint8_t *der = NULL;
    size_t len = 0;
    struct cert_spec spec = {
        .common_name = name,
        .is_ca = true,
        .pathlen = CERT_PATHLEN_NONE,
        .key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN,
    };

    TRY(signer_spki(signer, SIGNER_ROOT, &spec.spki, &spec.spki_len));
    TRY(common_name(prefix, "Root", name));
    TRY(cert_serial(spec.serial));
    spec.not_before = clock_unix_s() - CA_BACKDATE_S;
    spec.not_after = spec.not_before + CA_ROOT_DAYS * DAY_S - 1;
    TRY(cert_make(&spec, signer, SIGNER_ROOT, verifier, &der, &len));
    const unsigned char *p = der;
    *out = d2i_X509(NULL, &p, (long)len);
    if (*out == NULL) {
        FAIL_OSSL("d2i_X509");
    }
    return write_pem(dir, ROOT_PEM, der, len);
}

static struct err make_intermediate(int dir, struct signer *signer, const EVP_MD_CTX *verifier,
                                    const X509 *root, const char *prefix)
{
    char name[COMMON_NAME_MAX + 1];
    uint8_t root_key_id[CERT_KEY_ID_LEN];
    const uint8_t *root_spki = NULL;
    size_t root_spki_len = 0;
    AUTO(mem_freep) uint8_t *der = NULL;
    size_t len = 0;
    struct cert_spec spec = {
        .issuer = X509_get_subject_name(root),
        .common_name = name,
        .is_ca = true,
        .pathlen = 0,
        .key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN,
        .issuer_key_id = root_key_id,
    };

    TRY(signer_spki(signer, SIGNER_INTERMEDIATE, &spec.spki, &spec.spki_len));
    TRY(signer_spki(signer, SIGNER_ROOT, &root_spki, &root_spki_len));
    TRY(cert_key_id(root_spki, root_spki_len, root_key_id));
    TRY(common_name(prefix, "Intermediate", name));
    TRY(cert_serial(spec.serial));
    spec.not_before = clock_unix_s() - CA_BACKDATE_S;
    spec.not_after = spec.not_before + CA_INTERMEDIATE_DAYS * DAY_S - 1;
    TRY(cert_make(&spec, signer, SIGNER_ROOT, verifier, &der, &len));
    return write_pem(dir, INTERMEDIATE_PEM, der, len);
}

static struct err fill_directory(const char *path, enum config_key_alg alg, const char *prefix)
{
    AUTO(keyfile_dir_closep) int dir = -1;
    AUTO(signer_closep) struct signer *signer = NULL;
    AUTO(evp_md_ctx_freep) EVP_MD_CTX *verifier = NULL;
    AUTO(x509_freep) X509 *root = NULL;

    TRY(keyfile_dir_open(path, &dir));
    TRY(signer_open(path, alg, true, &signer));
    TRY(cert_verifier(signer, SIGNER_ROOT, &verifier));
    TRY(make_root(dir, signer, verifier, prefix, &root));
    TRY(make_intermediate(dir, signer, verifier, root, prefix));
    return keyfile_sync(dir);
}

/* What a crash in the middle of an earlier start left. */
static struct err clear_leftovers(const char *path)
{
    AUTO(keyfile_dir_closep) int dir = -1;
    struct err e = keyfile_dir_open(path, &dir);

    if (e.code == ERR_NOT_FOUND) {
        return err_ok();
    }
    TRY(e);
    for (size_t i = 0; i < ARRAY_N(KEYS_FILES); i++) {
        if (unlinkat(dir, KEYS_FILES[i], 0) != 0 && errno != ENOENT) {
            FAIL(ERR_IO, "%s/%s, left by an interrupted start, cannot be removed: %m", path,
                 KEYS_FILES[i]);
        }
    }
    if (rmdir(path) != 0) {
        FAIL(ERR_IO, "%s, left by an interrupted start, cannot be removed: %m", path);
    }
    return err_ok();
}

struct err bootstrap_create(const char *state_dir, const char *keys_dir, enum config_key_alg alg,
                            const char *prefix)
{
    AUTO(keyfile_dir_closep) int state = -1;
    AUTO(buf_clear) struct buf path = BUF_INIT(4096);

    buf_printf(&path, "%s/.keys.new", state_dir);
    TRY(buf_check(&path));
    TRY(keyfile_dir_open(state_dir, &state));
    TRY(clear_leftovers(buf_str(&path)));
    if (mkdir(buf_str(&path), 0700) != 0) {
        FAIL(ERR_IO, "%s cannot be made: %m", buf_str(&path));
    }
    TRY(fill_directory(buf_str(&path), alg, prefix));
    if (rename(buf_str(&path), keys_dir) != 0) {
        FAIL(ERR_IO, "%s cannot be renamed to %s: %m", buf_str(&path), keys_dir);
    }
    return keyfile_sync(state);
}

static struct err load_certificate(int dir, const char *name, X509 **out)
{
    AUTO(secret_clear) struct secret text = {0};
    struct err e = keyfile_read(dir, name, false, &text);

    if (e.code == ERR_NOT_FOUND) {
        FAIL(ERR_CONFIG, "%s is missing beside its key: restore it from a backup", name);
    }
    TRY(e);
    AUTO(bio_freep) BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    TRY_PTR(bio);
    AUTO(x509_freep) X509 *x = PEM_read_bio_X509(bio, NULL, ossl_no_passphrase, NULL);
    if (x == NULL) {
        err_ignore(err_set_ossl(__FILE__, __LINE__, name));
        FAIL(ERR_CONFIG, "%s is not a PEM certificate: restore it from a backup", name);
    }
    *out = MOVE(x);
    return err_ok();
}

/* Fills OpenSSL's extension cache as well, before other threads see the certificate. */
static struct err check_certificate(const char *name, X509 *x, X509 *issuer, EVP_PKEY *key)
{
    if (X509_check_private_key(x, key) != 1) {
        err_ignore(err_set_ossl(__FILE__, __LINE__, name));
        FAIL(ERR_CONFIG, "%s does not belong to the key beside it: restore both from one backup",
             name);
    }
    if (X509_check_ca(x) != 1 || X509_check_issued(issuer, x) != X509_V_OK ||
        X509_verify(x, X509_get0_pubkey(issuer)) != 1) {
        err_ignore(err_set_ossl(__FILE__, __LINE__, name));
        FAIL(ERR_CONFIG, "%s is not a CA certificate signed by the root: restore it from a backup",
             name);
    }
    return err_ok();
}

static struct err pem_of(const uint8_t *der, size_t len, char **out)
{
    AUTO(buf_clear) struct buf pem = BUF_INIT(KEYFILE_MAX);

    cert_pem(&pem, der, len);
    TRY(buf_check(&pem));
    *out = buf_take(&pem);
    return err_ok();
}

/* What callers ask for often, in the form in which they ask for it. */
static struct err derive(struct ca *ca)
{
    uint8_t digest[SHA256_LEN];
    AUTO(ossl_bytes_freep) unsigned char *root = NULL;
    AUTO(ossl_bytes_freep) unsigned char *intermediate = NULL;
    int root_len = i2d_X509(ca->root, &root);
    int intermediate_len = i2d_X509(ca->intermediate, &intermediate);
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(ca->intermediate);

    if (root_len <= 0 || intermediate_len <= 0) {
        FAIL_OSSL("i2d_X509");
    }
    if (id == NULL || ASN1_STRING_length(id) != CERT_KEY_ID_LEN) {
        FAIL(ERR_CONFIG, "%s has no usable subject key identifier", INTERMEDIATE_PEM);
    }
    memcpy(ca->intermediate_key_id, ASN1_STRING_get0_data(id), CERT_KEY_ID_LEN);
    TRY(cert_time(X509_get0_notAfter(ca->intermediate), &ca->intermediate_not_after));
    ca->root_der = mem_dup(root, (size_t)root_len);
    TRY_PTR(ca->root_der);
    ca->root_der_len = (size_t)root_len;
    TRY(sha256(root, (size_t)root_len, digest));
    hex_encode(digest, sizeof(digest), ca->root_fingerprint);
    TRY(pem_of(root, (size_t)root_len, &ca->root_pem));
    return pem_of(intermediate, (size_t)intermediate_len, &ca->intermediate_pem);
}

struct err bootstrap_load(const char *keys_dir, enum config_key_alg alg, struct ca *ca)
{
    AUTO(keyfile_dir_closep) int dir = -1;
    AUTO(evp_pkey_freep) EVP_PKEY *root_key = NULL;
    AUTO(evp_pkey_freep) EVP_PKEY *intermediate_key = NULL;

    TRY(keyfile_dir_open(keys_dir, &dir));
    TRY(signer_open(keys_dir, alg, false, &ca->signer));
    TRY(issuer_key(ca->signer, SIGNER_ROOT, &root_key));
    TRY(issuer_key(ca->signer, SIGNER_INTERMEDIATE, &intermediate_key));
    TRY(load_certificate(dir, ROOT_PEM, &ca->root));
    TRY(load_certificate(dir, INTERMEDIATE_PEM, &ca->intermediate));
    TRY(check_certificate(ROOT_PEM, ca->root, ca->root, root_key));
    TRY(check_certificate(INTERMEDIATE_PEM, ca->intermediate, ca->root, intermediate_key));
    TRY(cert_verifier(ca->signer, SIGNER_INTERMEDIATE, &ca->verifier));
    return derive(ca);
}
