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

#define ATTRIBUTES_TAG 0xa0u
#define DER_SET 0x31u

static const struct signature_kind {
    const char *digest; /* NULL: part of the algorithm */
    enum key_kind key;
    uint8_t oid_len;
    uint8_t oid[9];
} SIGNATURES[] = {
    {"SHA256", KEY_EC, 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}},
    {"SHA384", KEY_EC, 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}},
    {"SHA512", KEY_EC, 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04}},
    {"SHA256", KEY_RSA, 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b}},
    {"SHA384", KEY_RSA, 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c}},
    {"SHA512", KEY_RSA, 9, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d}},
    {NULL, KEY_ED25519, 3, {0x2b, 0x65, 0x70}},
};

/* extensionRequest (RFC 2985 §5.4.2) and Microsoft's older name for it. */
static const uint8_t OID_EXTENSION_REQUEST[] = {0x2a, 0x86, 0x48, 0x86, 0xf7,
                                                0x0d, 0x01, 0x09, 0x0e};
static const uint8_t OID_MS_EXTENSION_REQUEST[] = {0x2b, 0x06, 0x01, 0x04, 0x01,
                                                   0x82, 0x37, 0x02, 0x01, 0x0e};

/* The CSR's fields; borrowed. attributes.whole is NULL when they are left out. */
struct parts {
    struct der_item info, subject, spki, attributes, algorithm, signature;
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

/* RFC 2986 §4.1: SEQUENCE { version, subject, subjectPKInfo, [0] attributes }; some clients leave
 * empty attributes out. */
static bool split_info(struct parts *out)
{
    struct der_item version;
    struct rd r = der_enter(&out->info);

    if (!der_expect(&r, DER_INTEGER, &version) || version.len != 1 ||
        version.body[0] > VERSION_MAX || !der_expect(&r, DER_SEQUENCE, &out->subject) ||
        !der_expect(&r, DER_SEQUENCE, &out->spki)) {
        return false;
    }
    return r.left == 0 || (der_expect(&r, ATTRIBUTES_TAG, &out->attributes) && r.left == 0);
}

static struct err not_a_csr(struct ca_refusal *refusal)
{
    return ca_refuse(refusal, false,
                     "The csr field does not hold one DER-encoded PKCS#10 request (RFC 2986) and "
                     "nothing else; send the request in DER form, base64url-encoded.");
}

/* RFC 2986 §4: SEQUENCE { CertificationRequestInfo, signatureAlgorithm, signature }. */
static struct err split(const uint8_t *der, size_t len, struct parts *out,
                        struct ca_refusal *refusal)
{
    struct der_item request;
    struct rd outer = rd_init(der, len);

    if (len > 0 && len <= CA_CSR_MAX && der_is_strict(der, len) &&
        der_expect(&outer, DER_SEQUENCE, &request)) {
        struct rd r = der_enter(&request);
        if (der_expect(&r, DER_SEQUENCE, &out->info) &&
            der_expect(&r, DER_SEQUENCE, &out->algorithm) &&
            der_expect(&r, DER_BIT_STRING, &out->signature) && r.left == 0 &&
            out->signature.body[0] == 0 && split_info(out)) {
            return err_ok();
        }
    }
    return not_a_csr(refusal);
}

/* What the CSR asks for must be in the order. */
static struct err mark(struct wanted *w, const struct ident *id, const char *shown)
{
    for (size_t i = 0; i < w->n; i++) {
        if (ident_equal(id, &w->idents[i])) {
            w->seen[i] = true;
            return err_ok();
        }
    }
    return ca_refuse(w->refusal, false,
                     "The CSR asks for \"%s\", which is not in the order. Make a CSR with exactly "
                     "the names of the order, or a new order with this name.",
                     shown);
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
    return mark(w, &id, shown);
}

/* A DNS name, or the canonical text of an IP address. */
static struct err add_common_name(struct wanted *w, const unsigned char *text, size_t len)
{
    struct ident id;

    if (ident_ip_parse((const char *)text, len, &id, NULL).code != ERR_OK) {
        return add_name(w, text, len);
    }
    w->names_n++;
    return mark(w, &id, id.base);
}

/* RFC 8738 §3; RFC 5280 §4.2.1.6: four octets or sixteen, in network order. */
static struct err add_address(struct wanted *w, const uint8_t *octets, size_t len)
{
    static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct ident id = {.is_ip = true};
    struct ip_addr ip = {.family = len == 4 ? 4 : 6};

    w->names_n++;
    if (len != 4 && len != 16) {
        return ca_refuse(w->refusal, false,
                         "The CSR's subjectAltName holds an IP address of %zu octets; an IPv4 "
                         "address has 4, an IPv6 address 16, and networks are not issued for.",
                         len);
    }
    if (len == 16 && memcmp(octets, MAPPED, sizeof(MAPPED)) == 0) {
        return ca_refuse(w->refusal, false,
                         "The CSR asks for an IPv4 address mapped into IPv6; put it into "
                         "subjectAltName as the four octets of the IPv4 address.");
    }
    memcpy(ip.bytes, octets, len);
    ip_text(&ip, id.base);
    return mark(w, &id, id.base);
}

/* RFC 8555 §7.4: names may stand in the common name, in subjectAltName, or in both. */
static struct err add_common_names(struct wanted *w, const struct der_item *item)
{
    const unsigned char *p = item->whole;
    AUTO(x509_name_freep) X509_NAME *subject = d2i_X509_NAME(NULL, &p, (long)item->whole_len);

    if (subject == NULL) {
        ERR_clear_error();
        return not_a_csr(w->refusal);
    }
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
            TRY(add_common_name(w, text, (size_t)len));
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
        if (name->type != GEN_DNS && name->type != GEN_IPADD) {
            return ca_refuse(w->refusal, false,
                             "The CSR asks for an alternative name that is neither a DNS name nor "
                             "an IP address (an e-mail or URI); leave it out.");
        }
        const ASN1_STRING *value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
        const uint8_t *data = ASN1_STRING_get0_data(value);
        size_t len = (size_t)ASN1_STRING_length(value);
        TRY(name->type == GEN_DNS ? add_name(w, data, len) : add_address(w, data, len));
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

static bool is_oid(const struct der_item *item, const uint8_t *oid, size_t len)
{
    return item->len == len && memcmp(item->body, oid, len) == 0;
}

static struct err bad_attributes(struct ca_refusal *refusal)
{
    ERR_clear_error();
    return ca_refuse(refusal, false,
                     "The CSR's extension request is broken or stands there twice; make the "
                     "request again with an up-to-date tool.");
}

/* Attribute ::= SEQUENCE { type, SET OF value }; an extension request has one value
 * (RFC 2985 §5.4.2). *value stays untouched for other attributes. */
static bool read_attribute(const struct der_item *attribute, struct der_item *value)
{
    struct der_item type;
    struct der_item set;
    struct rd r = der_enter(attribute);

    if (!der_expect(&r, DER_OID, &type) || !der_expect(&r, DER_SET, &set) || r.left != 0) {
        return false;
    }
    if (!is_oid(&type, OID_EXTENSION_REQUEST, sizeof(OID_EXTENSION_REQUEST)) &&
        !is_oid(&type, OID_MS_EXTENSION_REQUEST, sizeof(OID_MS_EXTENSION_REQUEST))) {
        return true;
    }
    struct rd values = der_enter(&set);
    return value->whole == NULL && der_expect(&values, DER_SEQUENCE, value) && values.left == 0;
}

static struct err vet_attributes(struct wanted *w, const struct der_item *attributes)
{
    struct der_item attribute;
    struct der_item value = {0};
    struct rd r = der_enter(attributes);

    while (r.left > 0) {
        if (!der_expect(&r, DER_SEQUENCE, &attribute) || !read_attribute(&attribute, &value)) {
            return bad_attributes(w->refusal);
        }
    }
    if (value.whole == NULL) {
        return err_ok();
    }
    const unsigned char *p = value.whole;
    AUTO(extensions_freep)
    STACK_OF(X509_EXTENSION) *list = d2i_X509_EXTENSIONS(NULL, &p, (long)value.whole_len);
    if (list == NULL) {
        return bad_attributes(w->refusal);
    }
    return vet_extensions(w, list);
}

static struct err vet_names(struct wanted *w, const struct parts *parts)
{
    char text[IDENT_TEXT_MAX + 1];

    if (parts->attributes.whole != NULL) {
        TRY(vet_attributes(w, &parts->attributes));
    }
    TRY(add_common_names(w, &parts->subject));
    if (w->names_n == 0) {
        return ca_refuse(w->refusal, false,
                         "The CSR names no host; put the order's names and addresses into its "
                         "subjectAltName extension.");
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

/* RSA signatures carry NULL (or, from some clients, nothing) as parameters, the others nothing. */
static const struct signature_kind *find_signature(const struct der_item *algorithm)
{
    struct der_item oid;
    struct der_item params;
    struct rd r = der_enter(algorithm);

    if (!der_expect(&r, DER_OID, &oid)) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_N(SIGNATURES); i++) {
        const struct signature_kind *kind = &SIGNATURES[i];
        if (is_oid(&oid, kind->oid, kind->oid_len)) {
            bool is_fine = r.left == 0 || (kind->key == KEY_RSA &&
                                           der_expect(&r, DER_NULL, &params) && r.left == 0);
            return is_fine ? kind : NULL;
        }
    }
    return NULL;
}

static struct err vet_signature(const struct parts *parts, enum key_kind key, EVP_PKEY *pkey,
                                struct ca_refusal *refusal)
{
    const struct signature_kind *kind = find_signature(&parts->algorithm);
    AUTO(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    TRY_PTR(ctx);
    if (kind == NULL) {
        return ca_refuse(refusal, false,
                         "The CSR's signature algorithm is not accepted; sign it with ECDSA or "
                         "RSA (PKCS #1 v1.5) and SHA-256, SHA-384 or SHA-512, or with Ed25519.");
    }
    EVP_MD_CTX_set_flags(ctx, EVP_MD_CTX_FLAG_FINALISE);
    if (kind->key != key ||
        EVP_DigestVerifyInit_ex(ctx, NULL, kind->digest, NULL, NULL, pkey, NULL) != 1 ||
        EVP_DigestVerify(ctx, parts->signature.body + 1, parts->signature.len - 1,
                         parts->info.whole, parts->info.whole_len) != 1) {
        ERR_clear_error();
        return ca_refuse(refusal, false,
                         "The CSR's signature does not fit its public key; make the request again "
                         "and send it unchanged.");
    }
    return err_ok();
}

static struct err make_csr(const struct key_shape *key, struct ca_csr **out)
{
    AUTO(ca_csr_freep) struct ca_csr *csr = mem_zalloc(sizeof(*csr));

    TRY_PTR(csr);
    csr->kind = key->kind;
    TRY(key_thumbprint(key, csr->thumbprint));
    csr->spki_len = key->spki_len;
    csr->spki = mem_dup(key->spki, key->spki_len);
    TRY_PTR(csr->spki);
    *out = MOVE(csr);
    return err_ok();
}

struct err ca_csr_vet(const uint8_t *der, size_t der_len, const struct ident *idents,
                      size_t idents_n, unsigned min_rsa_bits, const uint8_t *account_spki,
                      size_t account_spki_len, struct ca_csr **out, struct ca_refusal *refusal)
{
    struct parts parts = {0};
    struct key_shape key = {0};
    struct wanted w = {.idents = idents, .n = idents_n, .refusal = refusal};
    AUTO(evp_pkey_freep) EVP_PKEY *pkey = NULL;

    if (idents_n > CA_NAMES_MAX) {
        FAIL(ERR_INTERNAL, "an order of %zu names", idents_n);
    }
    TRY(split(der, der_len, &parts, refusal));
    TRY(key_vet(parts.spki.whole, parts.spki.whole_len, min_rsa_bits, &key, refusal));
    /* The encoding of an accepted key is canonical, so comparing bytes compares keys. */
    if (key.spki_len == account_spki_len && memcmp(key.spki, account_spki, account_spki_len) == 0) {
        return ca_refuse(refusal, true,
                         "The CSR uses the account's own key (RFC 8555 section 11.1); make a "
                         "separate key for the certificate.");
    }
    TRY(vet_names(&w, &parts));
    TRY(key_decode(&key, &pkey, refusal));
    TRY(vet_signature(&parts, key.kind, pkey, refusal));
    TRY(key_public_check(&key, pkey, refusal));
    return make_csr(&key, out);
}

unsigned ca_csr_key_type(const struct ca_csr *csr)
{
    switch (csr->kind) {
    case KEY_EC:
        return CONFIG_KEYS_EC;
    case KEY_RSA:
        return CONFIG_KEYS_RSA;
    case KEY_ED25519:
        return CONFIG_KEYS_ED25519;
    }
    return 0;
}

const char *ca_csr_thumbprint(const struct ca_csr *csr)
{
    return csr->thumbprint;
}

void ca_csr_free(struct ca_csr *csr)
{
    if (csr != NULL) {
        mem_free(csr->spki);
        mem_free(csr);
    }
}

void ca_csr_freep(struct ca_csr **csr)
{
    ca_csr_free(*csr);
    *csr = NULL;
}
