#include "ca/cert.h"

#include <string.h>
#include <time.h>

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

/* SubjectPublicKeyInfo taken apart: algorithm and BIT STRING (RFC 5280 §4.1). */
static struct err split_spki(const uint8_t *spki, size_t len, struct der_item *algorithm,
                             struct der_item *bits)
{
    struct der_item info;
    struct rd outer = rd_init(spki, len);

    if (der_expect(&outer, DER_SEQUENCE, &info)) {
        struct rd r = der_enter(&info);
        if (der_expect(&r, DER_SEQUENCE, algorithm) && der_expect(&r, DER_BIT_STRING, bits) &&
            bits->len > 1) {
            return err_ok();
        }
    }
    FAIL(ERR_INTERNAL, "a public key that is not DER");
}

struct err cert_key_id(const uint8_t *spki, size_t len, uint8_t out[CERT_KEY_ID_LEN])
{
    struct der_item algorithm;
    struct der_item bits;
    uint8_t digest[SHA256_LEN];

    TRY(split_spki(spki, len, &algorithm, &bits));
    TRY(sha256(bits.body + 1, bits.len - 1, digest));
    memcpy(out, digest, CERT_KEY_ID_LEN);
    return err_ok();
}

/* The bytes go in as they are: X509_set_pubkey() encodes and decodes the key again, which costs ten
 * signatures. */
static struct err set_key(X509 *x, const uint8_t *spki, size_t len)
{
    struct der_item algorithm;
    struct der_item bits;
    const ASN1_OBJECT *oid = NULL;
    const void *value = NULL;
    int type = V_ASN1_UNDEF;

    TRY(split_spki(spki, len, &algorithm, &bits));
    const unsigned char *p = algorithm.whole;
    AUTO(x509_algor_freep) X509_ALGOR *parsed = d2i_X509_ALGOR(NULL, &p, (long)algorithm.whole_len);
    TRY_PTR(parsed);
    X509_ALGOR_get0(&oid, &type, &value, parsed);
    /* EC keys name their curve; RSA has NULL and Ed25519 nothing. */
    ASN1_OBJECT *params = type == V_ASN1_OBJECT ? OBJ_dup(value) : NULL;
    unsigned char *copy = OPENSSL_memdup(bits.body + 1, bits.len - 1);
    if (copy == NULL || X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(x), OBJ_dup(oid), type, params,
                                               copy, (int)bits.len - 1) != 1) {
        OPENSSL_free(copy);
        ASN1_OBJECT_free(params);
        FAIL_OSSL("X509_PUBKEY_set0_param");
    }
    return err_ok();
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

static struct err add_extended_usage(X509 *x, const struct cert_spec *spec)
{
    AUTO(extended_key_usage_freep) EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();

    if (!spec->has_server_auth && !spec->has_client_auth) {
        return err_ok();
    }
    TRY_PTR(usage);
    /* Static table entries: freeing them is a no-op, so the stack may own them. */
    if ((spec->has_server_auth && sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_server_auth)) <= 0) ||
        (spec->has_client_auth && sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_client_auth)) <= 0)) {
        FAIL_OSSL("sk_ASN1_OBJECT_push");
    }
    return add_extension(x, NID_ext_key_usage, usage, false);
}

static struct err add_key_ids(X509 *x, const struct cert_spec *spec)
{
    uint8_t own[CERT_KEY_ID_LEN];
    AUTO(asn1_octet_string_freep) ASN1_OCTET_STRING *subject = ASN1_OCTET_STRING_new();
    AUTO(authority_keyid_freep) AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();

    TRY_PTR(subject);
    TRY_PTR(authority);
    TRY(cert_key_id(spec->spki, spec->spki_len, own));
    TRY_OSSL(ASN1_OCTET_STRING_set(subject, own, sizeof(own)));
    authority->keyid = ASN1_OCTET_STRING_new();
    TRY_PTR(authority->keyid);
    TRY_OSSL(ASN1_OCTET_STRING_set(authority->keyid,
                                   spec->issuer_key_id == NULL ? own : spec->issuer_key_id,
                                   CERT_KEY_ID_LEN));
    TRY(add_extension(x, NID_subject_key_identifier, subject, false));
    return add_extension(x, NID_authority_key_identifier, authority, false);
}

static struct err add_names(X509 *x, const struct cert_spec *spec)
{
    if (spec->names == NULL) {
        return err_ok();
    }
    /* RFC 5280 §4.2.1.6: critical exactly when the subject is empty. */
    return add_extension(x, NID_subject_alt_name, spec->names, spec->common_name == NULL);
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
    const union {
        const X509_ALGOR *got;
        X509_ALGOR *settable;
    } inside = {X509_get0_tbs_sigalg(x)};
    AUTO(x509_algor_freep) X509_ALGOR *algorithm = d2i_X509_ALGOR(NULL, &der, (long)len);

    TRY_PTR(algorithm);
    TRY_OSSL(X509_ALGOR_copy(inside.settable, algorithm));
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
    TRY(set_key(x, spec->spki, spec->spki_len));
    TRY(add_constraints(x, spec));
    TRY(add_key_usage(x, spec->key_usage));
    TRY(add_extended_usage(x, spec));
    TRY(add_names(x, spec));
    TRY(add_key_ids(x, spec));
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

struct err cert_verifier(struct signer *signer, enum signer_issuer issuer, EVP_MD_CTX **out)
{
    const uint8_t *spki = NULL;
    const uint8_t *alg = NULL;
    const ASN1_OBJECT *oid = NULL;
    size_t spki_len = 0;
    size_t alg_len = 0;
    int digest = NID_undef;
    AUTO(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    TRY_PTR(ctx);
    TRY(signer_spki(signer, issuer, &spki, &spki_len));
    TRY(signer_algorithm(signer, issuer, &alg, &alg_len));
    AUTO(evp_pkey_freep) EVP_PKEY *key = d2i_PUBKEY(NULL, &spki, (long)spki_len);
    AUTO(x509_algor_freep) X509_ALGOR *algorithm = d2i_X509_ALGOR(NULL, &alg, (long)alg_len);
    if (key == NULL || algorithm == NULL) {
        FAIL_OSSL("reading an issuer's public key");
    }
    X509_ALGOR_get0(&oid, NULL, NULL, algorithm);
    TRY_OSSL(OBJ_find_sigid_algs(OBJ_obj2nid(oid), &digest, NULL));
    TRY_OSSL(EVP_DigestVerifyInit_ex(ctx, NULL, OBJ_nid2sn(digest), NULL, NULL, key, NULL));
    *out = MOVE(ctx);
    return err_ok();
}

/* What leaves is what a stranger would accept: taken apart from the final bytes and verified with
 * the public key. */
static struct err self_check(const struct buf *der, const EVP_MD_CTX *verifier)
{
    struct der_item whole;
    struct der_item tbs;
    struct der_item alg;
    struct der_item sig;
    struct rd outer = rd_init(der->data, der->len);
    AUTO(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    TRY_PTR(ctx);
    if (!der_is_strict(der->data, der->len) || !der_expect(&outer, DER_SEQUENCE, &whole)) {
        FAIL(ERR_INTERNAL, "the new certificate is not DER");
    }
    struct rd r = der_enter(&whole);
    if (!der_expect(&r, DER_SEQUENCE, &tbs) || !der_expect(&r, DER_SEQUENCE, &alg) ||
        !der_expect(&r, DER_BIT_STRING, &sig) || r.left != 0) {
        FAIL(ERR_INTERNAL, "the new certificate has not three parts");
    }
    TRY_OSSL(EVP_MD_CTX_copy_ex(ctx, verifier));
    EVP_MD_CTX_set_flags(ctx, EVP_MD_CTX_FLAG_FINALISE);
    TRY_OSSL(EVP_DigestVerify(ctx, sig.body + 1, sig.len - 1, tbs.whole, tbs.whole_len));
    return err_ok();
}

struct err cert_make(const struct cert_spec *spec, struct signer *signer, enum signer_issuer issuer,
                     const EVP_MD_CTX *verifier, uint8_t **der, size_t *der_len)
{
    const uint8_t *alg = NULL;
    size_t alg_len = 0;
    uint8_t sig[SIGNER_SIG_MAX];
    size_t sig_len = sizeof(sig);
    AUTO(x509_freep) X509 *x = NULL;
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
    TRY(self_check(&all, verifier));
    *der_len = all.len;
    *der = (uint8_t *)buf_take(&all);
    TRY_PTR(*der);
    return err_ok();
}

struct err cert_time(const ASN1_TIME *when, int64_t *out)
{
    struct tm parts;

    TRY_OSSL(ASN1_TIME_to_tm(when, &parts));
    *out = (int64_t)timegm(&parts);
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
