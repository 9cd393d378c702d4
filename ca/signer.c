#include "ca/signer.h"

#include <string.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "ca/keyfile.h"
#include "ca/ossl.h"

#include "core/util/mem.h"

#define ISSUERS_N 2
#define RSA_BITS_MIN 2048

static const char *const KEY_FILES[ISSUERS_N] = {"root.key", "intermediate.key"};

/* AlgorithmIdentifiers, RFC 5758 §3.2 and RFC 4055 §5. */
static const uint8_t ALG_ECDSA_SHA256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                           0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t ALG_ECDSA_SHA384[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                           0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
static const uint8_t ALG_RSA_SHA256[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                         0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};

struct signer_key {
    EVP_PKEY *pkey;
    /* Initialised once and only ever copied: fetching algorithms per signature costs more than a
     * P-256 signature. */
    EVP_MD_CTX *ready;
    const uint8_t *algorithm;
    size_t algorithm_len;
    unsigned char *spki;
    size_t spki_len;
};

struct signer {
    struct signer_key keys[ISSUERS_N];
};

static void bio_wiped_freep(BIO **bio)
{
    char *text = NULL;
    long len = *bio == NULL ? 0 : BIO_get_mem_data(*bio, &text);

    if (len > 0) {
        mem_wipe(text, (size_t)len);
    }
    BIO_free_all(*bio);
    *bio = NULL;
}

static EVP_PKEY *make_key(enum config_key_alg alg)
{
    switch (alg) {
    case CONFIG_KEY_ECDSA_P256:
        return EVP_EC_gen("P-256");
    case CONFIG_KEY_ECDSA_P384:
        return EVP_EC_gen("P-384");
    case CONFIG_KEY_RSA_2048:
        return EVP_RSA_gen(2048);
    case CONFIG_KEY_RSA_3072:
        return EVP_RSA_gen(3072);
    case CONFIG_KEY_RSA_4096:
        return EVP_RSA_gen(4096);
    }
    return NULL;
}

static struct err create(int dir, const char *name, enum config_key_alg alg, EVP_PKEY **out)
{
    char *text = NULL;
    AUTO(evp_pkey_freep) EVP_PKEY *pkey = make_key(alg);
    AUTO(bio_wiped_freep) BIO *bio = BIO_new(BIO_s_mem());

    if (pkey == NULL) {
        FAIL_OSSL("key generation");
    }
    TRY_PTR(bio);
    TRY_OSSL(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL));
    long len = BIO_get_mem_data(bio, &text);
    TRY(keyfile_write(dir, name, text, (size_t)len, true));
    *out = MOVE(pkey);
    return err_ok();
}

static struct err load(int dir, const char *name, EVP_PKEY **out)
{
    AUTO(secret_clear) struct secret text = {0};

    TRY(keyfile_read(dir, name, true, &text));
    AUTO(bio_freep) BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    TRY_PTR(bio);
    AUTO(evp_pkey_freep)
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, ossl_no_passphrase, NULL);
    if (pkey == NULL) {
        struct err e = err_set_ossl(__FILE__, __LINE__, name);
        err_ignore(e);
        FAIL(ERR_CONFIG, "%s is not an unencrypted PEM private key: restore it from a backup",
             name);
    }
    *out = MOVE(pkey);
    return err_ok();
}

static struct err choose_algorithm(struct signer_key *key, const char *name, const char **digest)
{
    char group[32] = "";

    if (EVP_PKEY_is_a(key->pkey, "EC") &&
        EVP_PKEY_get_group_name(key->pkey, group, sizeof(group), NULL) == 1) {
        if (strcmp(group, "prime256v1") == 0) {
            key->algorithm = ALG_ECDSA_SHA256;
            key->algorithm_len = sizeof(ALG_ECDSA_SHA256);
            *digest = "SHA256";
            return err_ok();
        }
        if (strcmp(group, "secp384r1") == 0) {
            key->algorithm = ALG_ECDSA_SHA384;
            key->algorithm_len = sizeof(ALG_ECDSA_SHA384);
            *digest = "SHA384";
            return err_ok();
        }
    }
    if (EVP_PKEY_is_a(key->pkey, "RSA") && EVP_PKEY_get_bits(key->pkey) >= RSA_BITS_MIN) {
        key->algorithm = ALG_RSA_SHA256;
        key->algorithm_len = sizeof(ALG_RSA_SHA256);
        *digest = "SHA256";
        return err_ok();
    }
    FAIL(ERR_CONFIG, "%s holds neither an EC key on P-256 or P-384 nor an RSA key of %d bits", name,
         RSA_BITS_MIN);
}

static struct err prepare(struct signer_key *key, const char *name)
{
    const char *digest = NULL;

    TRY(choose_algorithm(key, name, &digest));
    int len = i2d_PUBKEY(key->pkey, &key->spki);
    if (len <= 0) {
        FAIL_OSSL("i2d_PUBKEY");
    }
    key->spki_len = (size_t)len;
    key->ready = EVP_MD_CTX_new();
    TRY_PTR(key->ready);
    TRY_OSSL(EVP_DigestSignInit_ex(key->ready, NULL, digest, NULL, NULL, key->pkey, NULL));
    return err_ok();
}

struct err signer_open(const char *keys_dir, enum config_key_alg alg, bool may_create,
                       struct signer **out)
{
    AUTO(keyfile_dir_closep) int dir = -1;
    AUTO(signer_closep) struct signer *signer = mem_zalloc(sizeof(*signer));

    TRY_PTR(signer);
    TRY(keyfile_dir_open(keys_dir, &dir));
    for (int i = 0; i < ISSUERS_N; i++) {
        struct signer_key *key = &signer->keys[i];
        struct err e = load(dir, KEY_FILES[i], &key->pkey);
        if (e.code == ERR_NOT_FOUND && may_create) {
            e = create(dir, KEY_FILES[i], alg, &key->pkey);
        } else if (e.code == ERR_NOT_FOUND) {
            FAIL(ERR_CONFIG,
                 "%s/%s is missing: restore it from a backup, or move %s away to begin "
                 "with a new CA",
                 keys_dir, KEY_FILES[i], keys_dir);
        }
        TRY(e);
        TRY(prepare(key, KEY_FILES[i]));
    }
    *out = MOVE(signer);
    return err_ok();
}

void signer_closep(struct signer **signer)
{
    signer_close(*signer);
    *signer = NULL;
}

void signer_close(struct signer *signer)
{
    if (signer == NULL) {
        return;
    }
    for (int i = 0; i < ISSUERS_N; i++) {
        EVP_MD_CTX_free(signer->keys[i].ready);
        EVP_PKEY_free(signer->keys[i].pkey);
        OPENSSL_free(signer->keys[i].spki);
    }
    mem_free(signer);
}

struct err signer_spki(struct signer *signer, enum signer_issuer issuer, const uint8_t **der,
                       size_t *len)
{
    *der = signer->keys[issuer].spki;
    *len = signer->keys[issuer].spki_len;
    return err_ok();
}

struct err signer_algorithm(struct signer *signer, enum signer_issuer issuer, const uint8_t **der,
                            size_t *len)
{
    *der = signer->keys[issuer].algorithm;
    *len = signer->keys[issuer].algorithm_len;
    return err_ok();
}

struct err signer_sign(struct signer *signer, enum signer_issuer issuer, const uint8_t *tbs,
                       size_t tbs_len, uint8_t *sig, size_t *sig_len)
{
    const struct signer_key *key = &signer->keys[issuer];
    AUTO(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (tbs_len > SIGNER_TBS_MAX || *sig_len < (size_t)EVP_PKEY_get_size(key->pkey)) {
        FAIL(ERR_LIMIT, "%zu bytes to sign, room for a signature of %zu", tbs_len, *sig_len);
    }
    TRY_PTR(ctx);
    TRY_OSSL(EVP_MD_CTX_copy_ex(ctx, key->ready));
    EVP_MD_CTX_set_flags(ctx, EVP_MD_CTX_FLAG_FINALISE);
    TRY_OSSL(EVP_DigestSign(ctx, sig, sig_len, tbs, tbs_len));
    return err_ok();
}
