#include "ca/issuer.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "ca/cert.h"
#include "ca/cert_view.h"
#include "ca/ossl.h"

#include "core/util/buf.h"
#include "core/util/mem.h"

struct chain {
    X509 *certs[ISSUER_CHAIN_MAX];
    size_t n;
};

/* One PEM object. */
struct object {
    char *name, *header;
    unsigned char *data;
    long len;
};

static void object_clear(struct object *object)
{
    OPENSSL_free(object->name);
    OPENSSL_free(object->header);
    OPENSSL_free(object->data);
}

static void chain_clear(struct chain *chain)
{
    for (size_t i = 0; i < chain->n; i++) {
        X509_free(chain->certs[i]);
    }
}

void issuer_clear(struct issuer *issuer)
{
    X509_free(issuer->first);
    mem_free(issuer->pem);
    memset(issuer, 0, sizeof(*issuer));
}

static struct err set_name_key(struct issuer *issuer, const uint8_t *der, size_t len)
{
    struct cert_view view;
    uint8_t digest[SHA256_LEN];
    AUTO(buf_clear) struct buf both = BUF_INIT(CERT_VIEW_DER_MAX);

    TRY(cert_view_read(der, len, &view));
    buf_put(&both, view.subject.whole, view.subject.whole_len);
    buf_put(&both, view.spki.whole, view.spki.whole_len);
    TRY(buf_check(&both));
    TRY(sha256(both.data, both.len, digest));
    hex_encode(digest, sizeof(digest), issuer->name_key);
    return err_ok();
}

/* Adds the certificate and its text. */
static struct err take(struct chain *chain, const struct object *object, struct issuer *issuer,
                       struct buf *pem)
{
    struct cert_view view;
    const unsigned char *p = object->data;
    int64_t not_after = 0;

    if (strcmp(object->name, PEM_STRING_X509) != 0 || chain->n == ISSUER_CHAIN_MAX) {
        FAIL(ERR_MALFORMED, "an issuer's file holds one to %d certificates and nothing else",
             ISSUER_CHAIN_MAX);
    }
    TRY(cert_view_read(object->data, (size_t)object->len, &view));
    X509 *cert = d2i_X509(NULL, &p, object->len);
    if (cert == NULL) {
        ERR_clear_error();
        FAIL(ERR_MALFORMED, "certificate %zu of an issuer's file cannot be read", chain->n + 1);
    }
    chain->certs[chain->n] = cert;
    chain->n++;
    TRY(cert_time(X509_get0_notAfter(cert), &not_after));
    if (chain->n == 1) {
        TRY(set_name_key(issuer, object->data, (size_t)object->len));
    }
    if (chain->n == 1 || not_after < issuer->not_after) {
        issuer->not_after = not_after;
    }
    cert_pem(pem, object->data, (size_t)object->len);
    return buf_check(pem);
}

static struct err read_all(const char *text, struct chain *chain, struct issuer *issuer,
                           struct buf *pem)
{
    AUTO(bio_freep) BIO *bio = BIO_new_mem_buf(text, -1);

    TRY_PTR(bio);
    for (;;) {
        AUTO(object_clear) struct object object = {0};
        if (PEM_read_bio(bio, &object.name, &object.header, &object.data, &object.len) != 1) {
            /* Nothing more begins: the end, unless something had begun. */
            bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            ERR_clear_error();
            if (!is_end || chain->n == 0) {
                FAIL(ERR_MALFORMED, "an issuer's file is not PEM certificates to its end");
            }
            return err_ok();
        }
        TRY(take(chain, &object, issuer, pem));
    }
}

static struct err check_chain(const struct chain *chain)
{
    for (size_t i = 0; i < chain->n; i++) {
        X509 *cert = chain->certs[i];
        bool is_good = X509_check_ca(cert) == 1;
        if (is_good && i + 1 < chain->n) {
            X509 *next = chain->certs[i + 1];
            is_good = X509_check_issued(next, cert) == X509_V_OK &&
                      X509_verify(cert, X509_get0_pubkey(next)) == 1;
        }
        ERR_clear_error();
        if (!is_good) {
            FAIL(ERR_MALFORMED,
                 "certificate %zu of an issuer's file is not a CA certificate signed by the next",
                 i + 1);
        }
    }
    return err_ok();
}

struct err issuer_read(const char *pem, struct issuer *out)
{
    AUTO(chain_clear) struct chain chain = {0};
    AUTO(issuer_clear) struct issuer issuer = {0};
    AUTO(buf_clear) struct buf text = BUF_INIT(ISSUER_PEM_MAX);

    if (strnlen(pem, ISSUER_PEM_MAX + 1) > ISSUER_PEM_MAX) {
        FAIL(ERR_MALFORMED, "an issuer's file is longer than %u bytes", ISSUER_PEM_MAX);
    }
    TRY(read_all(pem, &chain, &issuer, &text));
    TRY(check_chain(&chain));
    issuer.pem = buf_take(&text);
    TRY_PTR(issuer.pem);
    TRY_OSSL(X509_up_ref(chain.certs[0]));
    issuer.first = chain.certs[0];
    *out = issuer;
    memset(&issuer, 0, sizeof(issuer));
    return err_ok();
}

struct err issuer_check_leaf(const struct issuer *issuer, const uint8_t *leaf_der,
                             size_t leaf_der_len)
{
    const unsigned char *p = leaf_der;
    AUTO(x509_freep) X509 *leaf = d2i_X509(NULL, &p, (long)leaf_der_len);
    bool is_good = leaf != NULL && X509_check_issued(issuer->first, leaf) == X509_V_OK &&
                   X509_verify(leaf, X509_get0_pubkey(issuer->first)) == 1;

    ERR_clear_error();
    if (!is_good) {
        FAIL(ERR_MALFORMED, "certificates issued so far do not verify under this issuer");
    }
    return err_ok();
}
