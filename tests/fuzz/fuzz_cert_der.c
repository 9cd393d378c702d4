/* Fuzz target: certificates as DER from a peer: the reading part of ca_cert_find(), ca_cert_spki(),
 * ca_renewal_id(), the names.
 * More than "no crash": all agree on what a certificate is, a renewal identifier leads back to the
 * serial, names are names, and OpenSSL, where it reads the bytes too, sees the same serial and
 * key. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "ca/cert_view.h"
#include "ca/renewal.h"

#include "core/util/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_inside(const uint8_t *data, size_t size, const uint8_t *part, size_t len)
{
    check(part >= data && len <= size && (size_t)(part - data) <= size - len);
}

static void check_names(const struct cert_view *view)
{
    struct ident *idents = NULL;
    size_t n = 0;
    char text[IDENT_TEXT_MAX + 1];
    struct ident again;
    struct err e = cert_view_idents(view, &idents, &n);

    check(e.code == ERR_OK || (e.code == ERR_MALFORMED && idents == NULL && n == 0));
    for (size_t i = 0; i < n; i++) {
        const struct ip_addr ip = ident_ip(&idents[i]);
        if (idents[i].is_ip) {
            check(ip.family == 4 || ip.family == 6);
            continue;
        }
        ident_text(&idents[i], text);
        e = ident_parse(text, strlen(text), &again, NULL);
        check(e.code == ERR_OK && ident_equal(&again, &idents[i]));
    }
    mem_free(idents);
}

static void compare_with_openssl(const uint8_t *data, size_t size, const struct cert_view *view)
{
    const unsigned char *p = data;
    unsigned char *bytes = NULL;
    X509 *x = d2i_X509(NULL, &p, (long)size);

    if (x != NULL) {
        int len = i2d_ASN1_INTEGER(X509_get_serialNumber(x), &bytes);
        check(len > 2 && (size_t)len == view->serial_len + 2);
        check(memcmp(bytes + 2, view->serial, view->serial_len) == 0);
        OPENSSL_free(bytes);
        bytes = NULL;
        len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &bytes);
        check(len > 0 && (size_t)len == view->spki.whole_len);
        check(memcmp(bytes, view->spki.whole, (size_t)len) == 0);
        OPENSSL_free(bytes);
        X509_free(x);
    }
    ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cert_view view;
    uint8_t *spki = NULL;
    size_t spki_len = 0;
    char id[CA_RENEWAL_ID_MAX + 1];
    char serial[CA_SERIAL_HEX_MAX + 1];
    char from_id[CA_SERIAL_HEX_MAX + 1];
    struct err e = cert_view_read(data, size, &view);
    struct err of_spki = ca_cert_spki(data, size, &spki, &spki_len);
    struct err of_id = ca_renewal_id(data, size, id);

    if (e.code != ERR_OK) {
        check(e.code == ERR_MALFORMED && of_spki.code == ERR_MALFORMED);
        check(of_id.code == ERR_MALFORMED);
        return 0;
    }
    check_inside(data, size, view.serial, view.serial_len);
    check_inside(data, size, view.spki.whole, view.spki.whole_len);
    check_inside(data, size, view.subject.whole, view.subject.whole_len);
    check(cert_serial_hex(view.serial, view.serial_len, serial).code == ERR_OK);
    check(of_spki.code == ERR_OK && spki_len == view.spki.whole_len);
    check(memcmp(spki, view.spki.whole, spki_len) == 0);
    mem_free(spki);
    check(of_id.code == ERR_OK || of_id.code == ERR_MALFORMED);
    if (of_id.code == ERR_OK) {
        check_inside(data, size, view.issuer_key_id, view.issuer_key_id_len);
        check(strlen(id) <= CA_RENEWAL_ID_MAX);
        check(renewal_id_serial(id, from_id).code == ERR_OK);
        check(strcmp(from_id, serial) == 0);
    }
    check_names(&view);
    compare_with_openssl(data, size, &view);
    return 0;
}
