/* The daemon's own HTTPS certificate. */
#include "ca/ca_private.h"

#include <openssl/ec.h>
#include <openssl/pem.h>

#include "ca/ossl.h"

#include "core/util/mem.h"
#include "core/util/token.h"

struct row {
    const struct ca_leaf *leaf;
    const char *id;
    const char *profile;
};

static struct err write_row(struct db *db, void *arg)
{
    const struct row *row = arg;

    return ca_leaf_store(db, row->leaf, row->id, "", "", row->profile);
}

static struct err key_text(EVP_PKEY *pkey, char **out)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());

    TRY_PTR(bio);
    int ok = PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
    long len = BIO_get_mem_data(bio, &text);
    *out = ok == 1 ? mem_strndup(text, (size_t)len) : NULL;
    if (len > 0) {
        mem_wipe(text, (size_t)len);
    }
    BIO_free_all(bio);
    if (ok != 1) {
        FAIL_OSSL("PEM_write_bio_PKCS8PrivateKey");
    }
    TRY_PTR(*out);
    return err_ok();
}

struct err ca_issue_own(struct ca *ca, struct store *store, const struct ident *idents,
                        size_t idents_n, const struct ip_addr *ips, size_t ips_n, char **cert_pem,
                        char **key_pem, int64_t *not_after)
{
    char id[OBJECT_ID_LEN + 1];
    struct ca_refusal refusal;
    AUTO(evp_pkey_freep) EVP_PKEY *pkey = EVP_EC_gen("P-256");
    AUTO(ca_leaf_clear) struct ca_leaf leaf = {0};
    AUTO(ossl_bytes_freep) unsigned char *spki = NULL;
    const struct ca_leaf_request request = {
        .profile = ca_profile_find(NULL),
        .idents = idents,
        .idents_n = idents_n,
        .ips = ips,
        .ips_n = ips_n,
    };
    struct row row = {&leaf, id, request.profile->name};

    if (pkey == NULL) {
        FAIL_OSSL("EVP_EC_gen");
    }
    int spki_len = i2d_PUBKEY(pkey, &spki);
    if (spki_len <= 0) {
        FAIL_OSSL("i2d_PUBKEY");
    }
    const struct ca_csr csr = {.kind = KEY_EC, .spki = spki, .spki_len = (size_t)spki_len};
    TRY(random_id(id));
    TRY(ca_issue(ca, &csr, &request, &leaf, &refusal));
    TRY(store_write(store, "ca.own", write_row, &row));
    TRY(key_text(pkey, key_pem));
    *cert_pem = MOVE(leaf.chain_pem);
    *not_after = leaf.not_after;
    return err_ok();
}
