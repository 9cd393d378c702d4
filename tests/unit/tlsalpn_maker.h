/* Certificates for tls-alpn-01, right and wrong ones, made on the spot. */
#ifndef TESTS_UNIT_TLSALPN_MAKER_H
#define TESTS_UNIT_TLSALPN_MAKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/util/token.h"

#define NONE "-"

struct cert_spec {
    const char *san; /* as OpenSSL's configuration writes it, "DNS:a"; NULL: one for the identifier;
                           * NONE: none */
    const char *san_raw; /* instead: the extension's bytes, as a string */
    bool has_san_twice;
    bool has_no_identifier, has_identifier_twice;
    bool is_not_critical;
    bool is_other_digest;
    const uint8_t *value; /* instead of the DER OCTET STRING */
    size_t value_len;
    bool is_other_issuer; /* by name */
    bool is_other_signer; /* by key */
};

static inline EVP_PKEY *make_ec_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    assert_non_null(key);
    return key;
}

static inline void add_san(X509 *cert, const struct cert_spec *spec, const char *own_san)
{
    X509_EXTENSION *ext = NULL;

    if (spec->san_raw != NULL) {
        ASN1_OCTET_STRING *raw = ASN1_OCTET_STRING_new();
        assert_int_equal(ASN1_OCTET_STRING_set(raw, (const unsigned char *)spec->san_raw,
                                               (int)strlen(spec->san_raw)),
                         1);
        ext = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, raw);
        ASN1_OCTET_STRING_free(raw);
    } else {
        ext = X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name,
                                   spec->san != NULL ? spec->san : own_san);
    }
    assert_non_null(ext);
    for (int i = 0; i < (spec->has_san_twice ? 2 : 1); i++) {
        assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    }
    X509_EXTENSION_free(ext);
}

static inline void add_identifier(X509 *cert, const struct cert_spec *spec,
                                  const uint8_t digest[SHA256_LEN])
{
    uint8_t value[2 + SHA256_LEN] = {0x04, SHA256_LEN};
    ASN1_OBJECT *object = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    ASN1_OCTET_STRING *raw = ASN1_OCTET_STRING_new();

    memcpy(value + 2, digest, SHA256_LEN);
    value[33] ^= spec->is_other_digest ? 1 : 0;
    const uint8_t *bytes = spec->value != NULL ? spec->value : value;
    size_t len = spec->value != NULL ? spec->value_len : sizeof(value);
    assert_int_equal(ASN1_OCTET_STRING_set(raw, bytes, (int)len), 1);
    X509_EXTENSION *ext =
        X509_EXTENSION_create_by_OBJ(NULL, object, spec->is_not_critical ? 0 : 1, raw);
    assert_non_null(ext);
    for (int i = 0; i < (spec->has_identifier_twice ? 2 : 1); i++) {
        assert_int_equal(X509_add_ext(cert, ext, -1), 1);
    }
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(raw);
    ASN1_OBJECT_free(object);
}

/* own_san: "DNS:name" or "IP:address" of the identifier. */
static inline X509 *make_tlsalpn_cert(const struct cert_spec *spec, EVP_PKEY *key,
                                      const char *own_san, const uint8_t digest[SHA256_LEN])
{
    X509 *cert = X509_new();
    EVP_PKEY *other = make_ec_key();

    assert_non_null(cert);
    assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1), 1);
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    assert_int_equal(X509_set_pubkey(cert, key), 1);
    assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                                (const unsigned char *)"ACME Challenge", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(cert, X509_get_subject_name(cert)), 1);
    if (spec->is_other_issuer) {
        assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_issuer_name(cert), "O", MBSTRING_ASC,
                                                    (const unsigned char *)"Other", -1, -1, 0),
                         1);
    }
    if (spec->san == NULL || strcmp(spec->san, NONE) != 0) {
        add_san(cert, spec, own_san);
    }
    if (!spec->has_no_identifier) {
        add_identifier(cert, spec, digest);
    }
    assert_true(X509_sign(cert, spec->is_other_signer ? other : key, EVP_sha256()) > 0);
    EVP_PKEY_free(other);
    return cert;
}

#endif
