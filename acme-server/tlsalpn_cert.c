#include "acme-server/tlsalpn_cert.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "acme-server/val_words.h"
#include "core/util/mem.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define ACME_IDENTIFIER "1.3.6.1.5.5.7.1.31" /* id-pe-acmeIdentifier, RFC 8737 §6.1 */
#define SHOWN_NAME_MAX 80u

static void x509_freep(X509 **cert)
{
    X509_free(*cert);
}

static void object_freep(ASN1_OBJECT **object)
{
    ASN1_OBJECT_free(*object);
}

static void general_names_freep(GENERAL_NAMES **names)
{
    GENERAL_NAMES_free(*names);
}

struct verdict {
    enum problem_type type;
    char *why;
};

static bool PRINTF_LIKE(3, 4)
    refuse(struct verdict *verdict, enum problem_type type, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(verdict->why, TLSALPN_WHY_MAX, fmt, args);
    va_end(args);
    verdict->type = type;
    return false;
}

static int count_of(const X509 *cert, const ASN1_OBJECT *object, X509_EXTENSION **first)
{
    int n = 0;

    for (int at = X509_get_ext_by_OBJ(cert, object, -1); at >= 0;
         at = X509_get_ext_by_OBJ(cert, object, at)) {
        *first = n == 0 ? X509_get_ext(cert, at) : *first;
        n++;
    }
    return n;
}

static bool check_acme_identifier(const X509 *cert, const uint8_t digest[SHA256_LEN],
                                  struct verdict *verdict)
{
    AUTO(object_freep) ASN1_OBJECT *object = OBJ_txt2obj(ACME_IDENTIFIER, 1);
    X509_EXTENSION *extension = NULL;
    uint8_t wanted[2 + SHA256_LEN] = {V_ASN1_OCTET_STRING, SHA256_LEN};

    int n = object == NULL ? 0 : count_of(cert, object, &extension);
    if (n == 0) {
        return refuse(verdict, PROBLEM_UNAUTHORIZED,
                      "it is an ordinary certificate without the acmeIdentifier extension");
    }
    if (n > 1) {
        return refuse(verdict, PROBLEM_INCORRECT_RESPONSE,
                      "it has %d acmeIdentifier extensions instead of one", n);
    }
    if (X509_EXTENSION_get_critical(extension) != 1) {
        return refuse(verdict, PROBLEM_INCORRECT_RESPONSE,
                      "its acmeIdentifier extension is not critical");
    }
    memcpy(wanted + 2, digest, SHA256_LEN);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    const uint8_t *bytes = ASN1_STRING_get0_data(value);
    if (ASN1_STRING_length(value) != (int)sizeof(wanted) || bytes[0] != wanted[0] ||
        bytes[1] != wanted[1]) {
        return refuse(verdict, PROBLEM_INCORRECT_RESPONSE,
                      "its acmeIdentifier extension is not an OCTET STRING of 32 bytes in DER");
    }
    if (memcmp(bytes, wanted, sizeof(wanted)) != 0) {
        return refuse(verdict, PROBLEM_INCORRECT_RESPONSE,
                      "its acmeIdentifier extension is for another key authorization (another "
                      "token or another account key)");
    }
    return true;
}

static bool is_entry(const GENERAL_NAME *name, const struct ident *ident)
{
    int kind = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);

    if (ident->is_ip) {
        struct ip_addr ip = ident_ip(ident);
        int len = ip.family == 4 ? 4 : 16;
        return kind == GEN_IPADD && ASN1_STRING_length(value) == len &&
               memcmp(ASN1_STRING_get0_data(value), ip.bytes, (size_t)len) == 0;
    }
    size_t len = strlen(ident->base);
    return kind == GEN_DNS && ASN1_STRING_length(value) == (int)len &&
           strncasecmp((const char *)ASN1_STRING_get0_data(value), ident->base, len) == 0;
}

static bool refuse_entry(const GENERAL_NAME *name, const struct ident *ident,
                         struct verdict *verdict)
{
    char shown[SHOWN_NAME_MAX] = "of another kind";
    int kind = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);

    if (kind == GEN_DNS) {
        val_printable(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value), shown,
                      sizeof(shown));
    } else if (kind == GEN_IPADD) {
        (void)snprintf(shown, sizeof(shown), "an IP address");
    }
    return refuse(verdict, PROBLEM_INCORRECT_RESPONSE,
                  "its subjectAltName is not the %s %.60s but %s",
                  ident->is_ip ? "iPAddress" : "dNSName", ident->base, shown);
}

static bool check_names(const X509 *cert, const struct ident *ident, struct verdict *verdict)
{
    X509_EXTENSION *extension = NULL;

    int n = count_of(cert, OBJ_nid2obj(NID_subject_alt_name), &extension);
    if (n != 1) {
        return refuse(verdict, PROBLEM_INCORRECT_RESPONSE,
                      "it has %d subjectAltName extensions instead of one", n);
    }
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    const uint8_t *at = ASN1_STRING_get0_data(value);
    const uint8_t *end = at + ASN1_STRING_length(value);
    AUTO(general_names_freep)
    GENERAL_NAMES *names = d2i_GENERAL_NAMES(NULL, &at, ASN1_STRING_length(value));
    if (names == NULL || at != end) {
        return refuse(verdict, PROBLEM_INCORRECT_RESPONSE, "its subjectAltName is malformed");
    }
    if (sk_GENERAL_NAME_num(names) != 1) {
        return refuse(verdict, PROBLEM_INCORRECT_RESPONSE,
                      "its subjectAltName has %d entries instead of one",
                      sk_GENERAL_NAME_num(names));
    }
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, 0);
    return is_entry(name, ident) || refuse_entry(name, ident, verdict);
}

/* RFC 8737 §3 has clients make a self-signed certificate; §4 leaves it to the server whether a
 * signature counts. It does here: who cannot sign as the key of the handshake made no such one. */
static bool check_self_signed(X509 *cert, struct verdict *verdict)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);

    if (X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) != 0 ||
        key == NULL || X509_verify(cert, key) != 1) {
        return refuse(verdict, PROBLEM_INCORRECT_RESPONSE, "it is not self-signed");
    }
    return true;
}

bool tlsalpn_cert_ok(const uint8_t *der, size_t len, const struct ident *ident,
                     const uint8_t digest[SHA256_LEN], enum problem_type *type,
                     char why[TLSALPN_WHY_MAX])
{
    struct verdict verdict = {PROBLEM_NONE, why};
    const uint8_t *at = der;
    AUTO(x509_freep)
    X509 *cert = len == 0 || len > TLSALPN_CERT_MAX ? NULL : d2i_X509(NULL, &at, (long)len);
    bool is_ok = false;

    if (cert == NULL || at != der + len) {
        (void)refuse(&verdict, PROBLEM_INCORRECT_RESPONSE,
                     "it cannot be read or has more than %u bytes", TLSALPN_CERT_MAX);
    } else {
        is_ok = check_acme_identifier(cert, digest, &verdict) &&
                check_names(cert, ident, &verdict) && check_self_signed(cert, &verdict);
    }
    ERR_clear_error(); /* what OpenSSL says about a peer's bytes is not our failure */
    *type = verdict.type;
    return is_ok;
}
