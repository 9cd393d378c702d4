/* Vetting a CSR: cheap looks at the bytes first, decoding next, public-key arithmetic last. */
#include "ca/ca_private.h"

#include <string.h>

#include <openssl/err.h>

#include "ca/der.h"
#include "ca/ossl.h"

#include "core/util/mem.h"

#define SHOWN_NAME_MAX 80u
/* RFC 2986 §4.1 knows version 0 only; older clients in use write 2, and nothing depends on it. */
#define VERSION_MAX 2

static const int SIGNATURES[] = {
    NID_ecdsa_with_SHA256,
    NID_ecdsa_with_SHA384,
    NID_ecdsa_with_SHA512,
    NID_sha256WithRSAEncryption,
    NID_sha384WithRSAEncryption,
    NID_sha512WithRSAEncryption,
    NID_ED25519,
};

struct wanted {
    const struct ident *idents;
    size_t n;
    size_t names_n; /* in the CSR */
    bool seen[CA_NAMES_MAX];
    struct ca_refusal *refusal;
};

/* A peer's text, fit for a sentence. */
static void show(const unsigned char *text, size_t len, char out[SHOWN_NAME_MAX + 1])
{
    size_t n = len < SHOWN_NAME_MAX ? len : SHOWN_NAME_MAX;

    for (size_t i = 0; i < n; i++) {
        out[i] = (char)(text[i] > ' ' && text[i] <= '~' && text[i] != '"' ? text[i] : '?');
    }
    out[n] = '\0';
}

static struct err not_a_csr(struct ca_refusal *refusal)
{
    return ca_refuse(refusal, false,
                     "The csr field does not hold one DER-encoded PKCS#10 request (RFC 2986) and "
                     "nothing else; send the request in DER form, base64url-encoded.");
}

/* RFC 2986 §4: SEQUENCE { SEQUENCE { version, subject, subjectPKInfo, [0] attributes }, algorithm, signature }. */
static struct err find_spki(const uint8_t *der, size_t len, struct der_item *spki,
                            struct ca_refusal *refusal)
{
    struct der_item request;
    struct der_item info;
    struct der_item skipped;
    struct rd outer = rd_init(der, len);

    if (len > 0 && len <= CA_CSR_MAX && der_is_strict(der, len) &&
        der_expect(&outer, DER_SEQUENCE, &request)) {
        struct rd r = der_enter(&request);
        if (der_expect(&r, DER_SEQUENCE, &info)) {
            struct rd fields = der_enter(&info);
            if (der_expect(&fields, DER_INTEGER, &skipped) &&
                der_expect(&fields, DER_SEQUENCE, &skipped) &&
                der_expect(&fields, DER_SEQUENCE, spki)) {
                return err_ok();
            }
        }
    }
    return not_a_csr(refusal);
}

static struct err add_name(struct wanted *w, const unsigned char *text, size_t len)
{
    struct ident id;
    const char *why = "it is not a name";
    char shown[SHOWN_NAME_MAX + 1];

    show(text, len, shown);
    w->names_n++;
    if (ident_parse((const char *)text, len, &id, &why).code != ERR_OK) {
        return ca_refuse(w->refusal, false,
                         "The CSR asks for \"%s\", which is not a DNS name: %s. Make a CSR with "
                         "exactly the names of the order.",
                         shown, why);
    }
    for (size_t i = 0; i < w->n; i++) {
        if (ident_equal(&id, &w->idents[i])) {
            w->seen[i] = true;
            return err_ok();
        }
    }
    return ca_refuse(w->refusal, false,
                     "The CSR asks for \"%s\", which is not in the order. Make a CSR with exactly "
                     "the names of the order, or a new order with this name.",
                     shown);
}

/* RFC 8555 §7.4: names may stand in the common name, in subjectAltName, or in both. */
static struct err add_common_names(struct wanted *w, const X509_NAME *subject)
{
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

    while (at >= 0) {
        AUTO(ossl_bytes_freep) unsigned char *text = NULL;
        int len =
            ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        if (len < 0) {
            ERR_clear_error();
            return ca_refuse(w->refusal, false,
                             "The CSR's common name is not valid text; leave it out.");
        }
        if (len > 0) {
            TRY(add_name(w, text, (size_t)len));
        }
        at = X509_NAME_get_index_by_NID(subject, NID_commonName, at);
    }
    return err_ok();
}

static struct err add_alternative_names(struct wanted *w, const GENERAL_NAMES *names)
{
    int n = sk_GENERAL_NAME_num(names);

    if (n > (int)(2 * CA_NAMES_MAX)) {
        return ca_refuse(w->refusal, false,
                         "The CSR asks for %d names; a certificate holds at most %u.", n,
                         CA_NAMES_MAX);
    }
    for (int i = 0; i < n; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) {
            return ca_refuse(w->refusal, false,
                             "The CSR asks for an alternative name that is not a DNS name (an "
                             "address, e-mail or URI); leave it out.");
        }
        TRY(add_name(w, ASN1_STRING_get0_data(name->d.dNSName),
                     (size_t)ASN1_STRING_length(name->d.dNSName)));
    }
    return err_ok();
}

/* The extension `nid` decoded, NULL when absent; twice, broken or not DER is refused. */
static struct err get_extension(const STACK_OF(X509_EXTENSION) * list, int nid, void **out,
                                struct ca_refusal *refusal)
{
    int at = X509v3_get_ext_by_NID(list, nid, -1);

    *out = NULL;
    if (at < 0) {
        return err_ok();
    }
    X509_EXTENSION *ext = X509v3_get_ext(list, at);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(ext);
    if (X509v3_get_ext_by_NID(list, nid, at) < 0 &&
        der_is_strict(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value))) {
        *out = X509V3_EXT_d2i(ext);
    }
    if (*out == NULL) {
        ERR_clear_error();
        return ca_refuse(refusal, false,
                         "The CSR's %s extension is broken or stands there twice; make the "
                         "request again with an up-to-date tool.",
                         OBJ_nid2ln(nid));
    }
    return err_ok();
}

static struct err vet_extensions(struct wanted *w, const STACK_OF(X509_EXTENSION) * list)
{
    AUTO(basic_constraints_freep) BASIC_CONSTRAINTS *constraints = NULL;
    AUTO(general_names_freep) GENERAL_NAMES *names = NULL;
    void *value = NULL;

    TRY(get_extension(list, NID_basic_constraints, &value, w->refusal));
    constraints = value;
    if (constraints != NULL && constraints->ca != 0) {
        return ca_refuse(w->refusal, false,
                         "The CSR asks for a CA certificate (CA:TRUE); this CA issues server "
                         "certificates only. Leave basicConstraints out.");
    }
    TRY(get_extension(list, NID_subject_alt_name, &value, w->refusal));
    names = value;
    return names == NULL ? err_ok() : add_alternative_names(w, names);
}

/* RFC 2986 §4.1 and RFC 2985 §5.4.2: extensions stand in one extensionRequest attribute. */
static struct err vet_attributes(struct wanted *w, X509_REQ *req)
{
    static const int REQUESTS[] = {NID_ext_req, NID_ms_ext_req};
    AUTO(extensions_freep) STACK_OF(X509_EXTENSION) *list = NULL;
    int found = 0;

    for (size_t i = 0; i < ARRAY_N(REQUESTS); i++) {
        int at = X509_REQ_get_attr_by_NID(req, REQUESTS[i], -1);
        while (at >= 0) {
            found++;
            at = X509_REQ_get_attr_by_NID(req, REQUESTS[i], at);
        }
    }
    if (found == 0) {
        return err_ok();
    }
    if (found == 1) {
        list = X509_REQ_get_extensions(req);
    }
    if (list == NULL) {
        ERR_clear_error();
        return ca_refuse(w->refusal, false,
                         "The CSR's extension request is broken or stands there twice; make the "
                         "request again with an up-to-date tool.");
    }
    return vet_extensions(w, list);
}

static struct err vet_names(struct wanted *w, X509_REQ *req)
{
    char text[IDENT_TEXT_MAX + 1];

    TRY(vet_attributes(w, req));
    TRY(add_common_names(w, X509_REQ_get_subject_name(req)));
    if (w->names_n == 0) {
        return ca_refuse(w->refusal, false,
                         "The CSR names no host; put the order's names into its subjectAltName "
                         "extension.");
    }
    for (size_t i = 0; i < w->n; i++) {
        if (!w->seen[i]) {
            ident_text(&w->idents[i], text);
            return ca_refuse(w->refusal, false,
                             "The order contains \"%.80s\", but the CSR does not ask for it. Make "
                             "a CSR with exactly the names of the order.",
                             text);
        }
    }
    return err_ok();
}

static struct err vet_signature(X509_REQ *req, EVP_PKEY *pkey, struct ca_refusal *refusal)
{
    int nid = X509_REQ_get_signature_nid(req);
    bool is_known = false;

    for (size_t i = 0; i < ARRAY_N(SIGNATURES); i++) {
        is_known = is_known || SIGNATURES[i] == nid;
    }
    if (!is_known) {
        return ca_refuse(refusal, false,
                         "The CSR's signature algorithm is not accepted; sign it with ECDSA or "
                         "RSA (PKCS #1 v1.5) and SHA-256, SHA-384 or SHA-512, or with Ed25519.");
    }
    if (X509_REQ_verify(req, pkey) != 1) {
        ERR_clear_error();
        return ca_refuse(refusal, false,
                         "The CSR's signature does not fit its public key; make the request again "
                         "and send it unchanged.");
    }
    return err_ok();
}

static struct err decode(const uint8_t *der, size_t len, X509_REQ **out, EVP_PKEY **pkey,
                         struct ca_refusal *refusal)
{
    const unsigned char *p = der;
    AUTO(x509_req_freep) X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)len);

    if (req == NULL || p != der + len || X509_REQ_get_version(req) < 0 ||
        X509_REQ_get_version(req) > VERSION_MAX) {
        ERR_clear_error();
        return not_a_csr(refusal);
    }
    *pkey = X509_REQ_get_pubkey(req);
    if (*pkey == NULL) {
        ERR_clear_error();
        return ca_refuse(refusal, true,
                         "The CSR's public key is not a valid key of its type; make a new key "
                         "with an up-to-date tool.");
    }
    *out = MOVE(req);
    return err_ok();
}

struct err ca_csr_vet(const uint8_t *der, size_t der_len, const struct ident *idents,
                      size_t idents_n, unsigned min_rsa_bits, const uint8_t *account_spki,
                      size_t account_spki_len, struct ca_csr **out, struct ca_refusal *refusal)
{
    struct der_item spki;
    struct wanted w = {.idents = idents, .n = idents_n, .refusal = refusal};
    AUTO(ca_csr_freep) struct ca_csr *csr = mem_zalloc(sizeof(*csr));
    AUTO(x509_req_freep) X509_REQ *req = NULL;

    TRY_PTR(csr);
    if (idents_n > CA_NAMES_MAX) {
        FAIL(ERR_INTERNAL, "an order of %zu names", idents_n);
    }
    TRY(find_spki(der, der_len, &spki, refusal));
    TRY(key_vet(spki.whole, spki.whole_len, min_rsa_bits, &csr->kind, refusal));
    /* The encoding of an accepted key is canonical, so comparing bytes compares keys. */
    if (spki.whole_len == account_spki_len &&
        memcmp(spki.whole, account_spki, account_spki_len) == 0) {
        return ca_refuse(refusal, true,
                         "The CSR uses the account's own key (RFC 8555 section 11.1); make a "
                         "separate key for the certificate.");
    }
    TRY(decode(der, der_len, &req, &csr->pkey, refusal));
    TRY(vet_names(&w, req));
    TRY(vet_signature(req, csr->pkey, refusal));
    TRY(key_public_check(csr->pkey, refusal));
    *out = MOVE(csr);
    return err_ok();
}

void ca_csr_free(struct ca_csr *csr)
{
    if (csr != NULL) {
        EVP_PKEY_free(csr->pkey);
        mem_free(csr);
    }
}

void ca_csr_freep(struct ca_csr **csr)
{
    ca_csr_free(*csr);
    *csr = NULL;
}
