#include "ca/cert.h"

#include <string.h>

#include "ca/der.h"
#include "ca/ossl.h"

#include "core/util/mem.h"
#include "core/util/token.h"

#define CERT_DER_MAX (SIGNER_TBS_MAX + 2u * SIGNER_SIG_MAX)
#define PEM_LINE_BYTES 48u /* 64 characters, RFC 7468 §2 */

struct err cert_serial(uint8_t out[CERT_SERIAL_LEN])
{
    do {
        TRY(random_bytes(out, CERT_SERIAL_LEN));
        out[0] &= 0x7fu;
    } while (out[0] == 0);
    return err_ok();
}

static struct err key_id_of(const X509_PUBKEY *key, uint8_t out[CERT_KEY_ID_LEN])
{
    const unsigned char *bits = NULL;
    int len = 0;
    uint8_t digest[SHA256_LEN];

    TRY_OSSL(X509_PUBKEY_get0_param(NULL, &bits, &len, NULL, key));
    TRY(sha256(bits, (size_t)len, digest));
    memcpy(out, digest, CERT_KEY_ID_LEN);
    return err_ok();
}

static void x509_pubkey_freep(X509_PUBKEY **key)
{
    X509_PUBKEY_free(*key);
    *key = NULL;
}

struct err cert_key_id(EVP_PKEY *pkey, uint8_t out[CERT_KEY_ID_LEN])
{
    AUTO(x509_pubkey_freep) X509_PUBKEY *key = NULL;

    TRY_OSSL(X509_PUBKEY_set(&key, pkey));
    return key_id_of(key, out);
}

static struct err add_extension(X509 *x, int nid, void *value, bool is_critical)
{
    TRY_OSSL(X509_add1_ext_i2d(x, nid, value, is_critical ? 1 : 0, X509V3_ADD_DEFAULT));
    return err_ok();
}

static struct err add_constraints(X509 *x, const struct cert_spec *spec)
{
    AUTO(basic_constraints_freep) BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();

    TRY_PTR(constraints);
    constraints->ca = spec->is_ca ? 0xff : 0;
    if (spec->pathlen != CERT_PATHLEN_NONE) {
        constraints->pathlen = ASN1_INTEGER_new();
        TRY_PTR(constraints->pathlen);
        TRY_OSSL(ASN1_INTEGER_set(constraints->pathlen, spec->pathlen));
    }
    return add_extension(x, NID_basic_constraints, constraints, true);
}

static struct err add_key_usage(X509 *x, unsigned usage)
{
    AUTO(asn1_bit_string_freep) ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();

    TRY_PTR(bits);
    /* KU_* count from the first octet's low bit, a BIT STRING from its high bit. */
    for (int i = 0; i < 8; i++) {
        if ((usage & (0x80u >> (unsigned)i)) != 0) {
            TRY_OSSL(ASN1_BIT_STRING_set_bit(bits, i, 1));
        }
    }
    return add_extension(x, NID_key_usage, bits, true);
}

static struct err add_server_auth(X509 *x)
{
    AUTO(extended_key_usage_freep) EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();

    TRY_PTR(usage);
    /* Static table entries: freeing them is a no-op, so the stack may own them. */
    if (sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_server_auth)) <= 0) {
        FAIL_OSSL("sk_ASN1_OBJECT_push");
    }
    return add_extension(x, NID_ext_key_usage, usage, false);
}

static struct err add_key_ids(X509 *x, const uint8_t *issuer_key_id)
{
    uint8_t own[CERT_KEY_ID_LEN];
    AUTO(asn1_octet_string_freep) ASN1_OCTET_STRING *subject = ASN1_OCTET_STRING_new();
    AUTO(authority_keyid_freep) AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();

    TRY_PTR(subject);
    TRY_PTR(authority);
    TRY(key_id_of(X509_get_X509_PUBKEY(x), own));
    TRY_OSSL(ASN1_OCTET_STRING_set(subject, own, sizeof(own)));
    authority->keyid = ASN1_OCTET_STRING_new();
    TRY_PTR(authority->keyid);
    TRY_OSSL(ASN1_OCTET_STRING_set(authority->keyid, issuer_key_id == NULL ? own : issuer_key_id,
                                   CERT_KEY_ID_LEN));
    TRY(add_extension(x, NID_subject_key_identifier, subject, false));
    return add_extension(x, NID_authority_key_identifier, authority, false);
}

static struct err add_names(X509 *x, const struct cert_spec *spec)
{
    if (spec->names == NULL) {
        return err_ok();
    }
    TRY(add_server_auth(x));
    /* RFC 5280 §4.2.1.6: critical exactly when the subject is empty. */
    TRY_OSSL(X509_add1_ext_i2d(x, NID_subject_alt_name, (void *)(uintptr_t)spec->names,
                               spec->common_name == NULL ? 1 : 0, X509V3_ADD_DEFAULT));
    return err_ok();
}

static struct err set_names(X509 *x, const struct cert_spec *spec)
{
    AUTO(x509_name_freep) X509_NAME *subject = X509_NAME_new();

    TRY_PTR(subject);
    if (spec->common_name != NULL) {
        TRY_OSSL(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                            (const unsigned char *)spec->common_name, -1, -1, 0));
    }
    TRY_OSSL(X509_set_subject_name(x, subject));
    TRY_OSSL(X509_set_issuer_name(x, spec->issuer == NULL ? subject : spec->issuer));
    return err_ok();
}

static struct err set_serial(X509 *x, const uint8_t serial[CERT_SERIAL_LEN])
{
    AUTO(bn_freep) BIGNUM *number = BN_bin2bn(serial, CERT_SERIAL_LEN, NULL);

    TRY_PTR(number);
    TRY_PTR(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x)));
    return err_ok();
}

/* OpenSSL has a getter, but outside X509_sign() no setter, for the algorithm inside the TBS. */
static struct err set_algorithm(X509 *x, const uint8_t *der, size_t len)
{
    const X509_ALGOR *inside = X509_get0_tbs_sigalg(x);
    X509_ALGOR *target = NULL;
    AUTO(x509_algor_freep) X509_ALGOR *algorithm = d2i_X509_ALGOR(NULL, &der, (long)len);

    TRY_PTR(algorithm);
    memcpy(&target, &inside, sizeof(target));
    TRY_OSSL(X509_ALGOR_copy(target, algorithm));
    return err_ok();
}

static struct err build(const struct cert_spec *spec, const uint8_t *alg, size_t alg_len,
                        X509 **out)
{
    AUTO(x509_freep) X509 *x = X509_new();

    TRY_PTR(x);
    TRY_OSSL(X509_set_version(x, X509_VERSION_3));
    TRY(set_serial(x, spec->serial));
    TRY(set_algorithm(x, alg, alg_len));
    TRY(set_names(x, spec));
    TRY_PTR(ASN1_TIME_set(X509_getm_notBefore(x), (time_t)spec->not_before));
    TRY_PTR(ASN1_TIME_set(X509_getm_notAfter(x), (time_t)spec->not_after));
    TRY_OSSL(X509_set_pubkey(x, spec->pkey));
    TRY(add_constraints(x, spec));
    TRY(add_key_usage(x, spec->key_usage));
    TRY(add_names(x, spec));
    TRY(add_key_ids(x, spec->issuer_key_id));
    *out = MOVE(x);
    return err_ok();
}

/* RFC 5280 §4.1: SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }. */
static struct err assemble(const uint8_t *tbs, size_t tbs_len, const uint8_t *alg, size_t alg_len,
                           const uint8_t *sig, size_t sig_len, struct buf *out)
{
    uint8_t bits[1 + SIGNER_SIG_MAX] = {0}; /* no unused bits, then the signature */
    AUTO(buf_clear) struct buf body = BUF_INIT(CERT_DER_MAX);

    memcpy(bits + 1, sig, sig_len);
    buf_put(&body, tbs, tbs_len);
    buf_put(&body, alg, alg_len);
    der_put(&body, DER_BIT_STRING, bits, sig_len + 1);
    TRY(buf_check(&body));
    der_put(out, DER_SEQUENCE, body.data, body.len);
    return buf_check(out);
}

/* What leaves is what a stranger would accept: parsed from the final bytes and verified with the public key. */
static struct err self_check(const struct buf *der, EVP_PKEY *issuer_key, X509 **out)
{
    const unsigned char *p = der->data;
    AUTO(x509_freep) X509 *x = d2i_X509(NULL, &p, (long)der->len);

    if (x == NULL || p != der->data + der->len) {
        FAIL_OSSL("parsing the new certificate");
    }
    if (X509_verify(x, issuer_key) != 1) {
        FAIL_OSSL("verifying the new certificate's signature");
    }
    *out = MOVE(x);
    return err_ok();
}

struct err cert_make(const struct cert_spec *spec, struct signer *signer, enum signer_issuer issuer,
                     EVP_PKEY *issuer_key, uint8_t **der, size_t *der_len, X509 **parsed)
{
    const uint8_t *alg = NULL;
    size_t alg_len = 0;
    uint8_t sig[SIGNER_SIG_MAX];
    size_t sig_len = sizeof(sig);
    AUTO(x509_freep) X509 *x = NULL;
    AUTO(x509_freep) X509 *checked = NULL;
    AUTO(ossl_bytes_freep) unsigned char *tbs = NULL;
    AUTO(buf_clear) struct buf all = BUF_INIT(CERT_DER_MAX);

    TRY(signer_algorithm(signer, issuer, &alg, &alg_len));
    TRY(build(spec, alg, alg_len, &x));
    int tbs_len = i2d_re_X509_tbs(x, &tbs);
    if (tbs_len <= 0) {
        FAIL_OSSL("i2d_re_X509_tbs");
    }
    TRY(signer_sign(signer, issuer, tbs, (size_t)tbs_len, sig, &sig_len));
    TRY(assemble(tbs, (size_t)tbs_len, alg, alg_len, sig, sig_len, &all));
    TRY(self_check(&all, issuer_key, &checked));
    *der_len = all.len;
    *der = (uint8_t *)buf_take(&all);
    TRY_PTR(*der);
    if (parsed != NULL) {
        *parsed = MOVE(checked);
    }
    return err_ok();
}

void cert_pem(struct buf *out, const uint8_t *der, size_t len)
{
    buf_puts(out, "-----BEGIN CERTIFICATE-----\n");
    for (size_t at = 0; at < len; at += PEM_LINE_BYTES) {
        base64_encode(out, der + at, len - at < PEM_LINE_BYTES ? len - at : PEM_LINE_BYTES);
        buf_putc(out, '\n');
    }
    buf_puts(out, "-----END CERTIFICATE-----\n");
}
