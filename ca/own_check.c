/* Is a certificate of the daemon's own still good? */
#include "ca/ca.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "ca/cert.h"
#include "ca/ossl.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

static struct err parse_leaf(const char *pem, X509 **out)
{
    AUTO(bio_freep) BIO *bio = BIO_new_mem_buf(pem, -1);

    TRY_PTR(bio);
    X509 *cert = PEM_read_bio_X509(bio, NULL, ossl_no_passphrase, NULL);
    if (cert == NULL) {
        FAIL_OSSL("no certificate in the PEM file");
    }
    *out = cert;
    return err_ok();
}

static bool holds_ip(X509 *cert, const struct ip_addr *ip)
{
    return X509_check_ip(cert, ip->bytes, ip->family == 4 ? 4 : 16, 0) == 1;
}

static bool holds_all(X509 *cert, const struct ca_own_pair *pair)
{
    for (size_t i = 0; i < pair->idents_n; i++) {
        const struct ident *id = &pair->idents[i];
        const struct ip_addr ip = ident_ip(id);
        if (id->is_ip ? !holds_ip(cert, &ip) : X509_check_host(cert, id->base, 0, 0, NULL) != 1) {
            return false;
        }
    }
    for (size_t i = 0; i < pair->ips_n; i++) {
        if (!holds_ip(cert, &pair->ips[i])) {
            return false;
        }
    }
    return true;
}

static bool is_pair(X509 *cert, const char *key_pem)
{
    AUTO(bio_freep) BIO *bio = BIO_new_mem_buf(key_pem, -1);
    AUTO(evp_pkey_freep)
    EVP_PKEY *key =
        bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, ossl_no_passphrase, NULL);

    return key != NULL && X509_check_private_key(cert, key) == 1;
}

bool ca_own_is_usable(const struct ca *ca, const struct ca_own_pair *pair, int64_t *not_after)
{
    AUTO(x509_freep) X509 *cert = NULL;
    int64_t from = 0;
    int64_t until = 0;

    bool is_good = strstr(pair->cert_pem, ca_intermediate_pem(ca)) != NULL &&
                   parse_leaf(pair->cert_pem, &cert).code == ERR_OK &&
                   cert_time(X509_get0_notBefore(cert), &from).code == ERR_OK &&
                   cert_time(X509_get0_notAfter(cert), &until).code == ERR_OK &&
                   until - clock_unix_s() > (until - from) / 3 && holds_all(cert, pair) &&
                   is_pair(cert, pair->key_pem);
    ERR_clear_error(); /* what did not match is no failure of the next call */
    if (is_good) {
        *not_after = until;
    }
    return is_good;
}

struct err ca_pem_not_after(const char *pem, int64_t *not_after)
{
    AUTO(x509_freep) X509 *cert = NULL;

    TRY(parse_leaf(pem, &cert));
    return cert_time(X509_get0_notAfter(cert), not_after);
}
