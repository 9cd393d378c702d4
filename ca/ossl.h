/* Cleanup functions for OpenSSL objects, for AUTO(), and what else its callers share. Private to the ca library. */
#ifndef CA_OSSL_H
#define CA_OSSL_H

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define OSSL_FREEP(type, name, release)                                                            \
    static inline void name(type **object)                                                         \
    {                                                                                              \
        release(*object);                                                                          \
        *object = NULL;                                                                            \
    }

OSSL_FREEP(X509, x509_freep, X509_free)
OSSL_FREEP(X509_NAME, x509_name_freep, X509_NAME_free)
OSSL_FREEP(X509_ALGOR, x509_algor_freep, X509_ALGOR_free)
OSSL_FREEP(EVP_PKEY, evp_pkey_freep, EVP_PKEY_free)
OSSL_FREEP(EVP_PKEY_CTX, evp_pkey_ctx_freep, EVP_PKEY_CTX_free)
OSSL_FREEP(EVP_MD_CTX, evp_md_ctx_freep, EVP_MD_CTX_free)
OSSL_FREEP(BIGNUM, bn_freep, BN_free)
OSSL_FREEP(BN_CTX, bn_ctx_freep, BN_CTX_free)
OSSL_FREEP(BIO, bio_freep, BIO_free_all)
OSSL_FREEP(GENERAL_NAME, general_name_freep, GENERAL_NAME_free)
OSSL_FREEP(GENERAL_NAMES, general_names_freep, GENERAL_NAMES_free)
OSSL_FREEP(BASIC_CONSTRAINTS, basic_constraints_freep, BASIC_CONSTRAINTS_free)
OSSL_FREEP(AUTHORITY_KEYID, authority_keyid_freep, AUTHORITY_KEYID_free)
OSSL_FREEP(EXTENDED_KEY_USAGE, extended_key_usage_freep, EXTENDED_KEY_USAGE_free)
OSSL_FREEP(ASN1_BIT_STRING, asn1_bit_string_freep, ASN1_BIT_STRING_free)
OSSL_FREEP(ASN1_OCTET_STRING, asn1_octet_string_freep, ASN1_OCTET_STRING_free)

/* For PEM_read_bio_*(): OpenSSL would otherwise ask for a passphrase on the terminal. */
static inline int ossl_no_passphrase(char *buf, int size, int for_writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)for_writing;
    (void)arg;
    return -1;
}

/* What i2d_*() allocated. */
static inline void ossl_bytes_freep(unsigned char **bytes)
{
    OPENSSL_free(*bytes);
    *bytes = NULL;
}

static inline void extensions_freep(STACK_OF(X509_EXTENSION) * *list)
{
    sk_X509_EXTENSION_pop_free(*list, X509_EXTENSION_free);
    *list = NULL;
}

#endif
