/* CA certificates that bailiwick did not make: a second root, and the intermediate's name and key
 * signed by it. */
#ifndef TESTS_UNIT_CA_OTHER_ROOT_H
#define TESTS_UNIT_CA_OTHER_ROOT_H

#include "ca_fixture.h"

#include <time.h>

#include <openssl/pem.h>

#include "ca/ca_private.h"

#include "core/util/clock.h"

struct other_spec {
    const X509_NAME *subject;
    EVP_PKEY *key;                   /* of the subject; borrowed */
    const ASN1_OCTET_STRING *key_id; /* NULL: no key identifier */
    bool is_leaf;                    /* CA:FALSE */
    int64_t days;                    /* 0: ten years; negative: expired so long ago */
};

static inline void other_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    assert_int_equal(X509_add_ext(x, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static inline X509 *other_make(const struct other_spec *spec, const X509_NAME *issuer,
                               EVP_PKEY *issuer_key)
{
    X509 *x = X509_new();
    int64_t days = spec->days == 0 ? 3650 : spec->days;
    int64_t until = clock_unix_s() + days * 86400;

    assert_non_null(x);
    assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 4711), 1);
    assert_int_equal(X509_set_subject_name(x, spec->subject), 1);
    assert_int_equal(X509_set_issuer_name(x, issuer), 1);
    assert_int_equal(X509_set_pubkey(x, spec->key), 1);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(clock_unix_s() - 86400 * 900)));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), (time_t)until));
    other_extension(x, NID_basic_constraints,
                    spec->is_leaf ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (!spec->is_leaf) {
        other_extension(x, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    if (spec->key_id != NULL) {
        assert_int_equal(X509_add1_ext_i2d(x, NID_subject_key_identifier,
                                           (void *)(uintptr_t)spec->key_id, 0, X509V3_ADD_DEFAULT),
                         1);
    }
    assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
    return x;
}

static inline X509_NAME *other_name(const char *common_name)
{
    X509_NAME *name = X509_NAME_new();

    assert_int_equal(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                                (const unsigned char *)common_name, -1, -1, 0),
                     1);
    return name;
}

/* A self-signed root; *key is the caller's. */
static inline X509 *other_root(const char *common_name, EVP_PKEY **key)
{
    X509_NAME *name = other_name(common_name);

    *key = EVP_EC_gen("P-256");
    assert_non_null(*key);
    const struct other_spec spec = {.subject = name, .key = *key};
    X509 *x = other_make(&spec, name, *key);
    X509_NAME_free(name);
    return x;
}

/* ca's intermediate, cross-signed: the same name, key and key identifier. */
static inline X509 *other_cross(const struct ca *ca, const X509 *root, EVP_PKEY *root_key,
                                int64_t days)
{
    const struct other_spec spec = {
        .subject = X509_get_subject_name(ca->intermediate),
        .key = X509_get0_pubkey(ca->intermediate),
        .key_id = X509_get0_subject_key_id(ca->intermediate),
        .days = days,
    };

    return other_make(&spec, X509_get_subject_name(root), root_key);
}

/* PEM of one or two certificates; mem_free(). */
static inline char *other_pem(X509 *first, X509 *second)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_X509(bio, first), 1);
    if (second != NULL) {
        assert_int_equal(PEM_write_bio_X509(bio, second), 1);
    }
    long len = BIO_get_mem_data(bio, &text);
    char *copy = mem_strndup(text, (size_t)len);
    assert_non_null(copy);
    BIO_free(bio);
    return copy;
}

#endif
