/* What the ACME driver signs: JWS (RFC 7515, ES256) and CSRs (RFC 2986) with P-256 keys, from
 * prepared contexts. */
#ifndef TESTS_BENCH_CRYPTO_H
#define TESTS_BENCH_CRYPTO_H

#include <stdio.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/util/buf.h"
#include "core/util/err.h"
#include "core/util/mem.h"
#include "core/util/token.h"

#define POINT_LEN 65u

struct signing_key {
    EVP_PKEY *pkey;
    EVP_MD_CTX *ready; /* copied for each signature */
    unsigned char *spki;
    int spki_len;
    char jwk[256]; /* members in the order of RFC 7638 */
    char thumbprint[SHA256_B64_LEN + 1];
};

static inline void signing_key_clear(struct signing_key *k)
{
    EVP_MD_CTX_free(k->ready);
    EVP_PKEY_free(k->pkey);
    OPENSSL_free(k->spki);
    memset(k, 0, sizeof(*k));
}

static inline struct err signing_key_make(struct signing_key *k)
{
    unsigned char *point = NULL;
    char x[BASE64URL_LEN(32) + 1];
    char y[BASE64URL_LEN(32) + 1];
    uint8_t digest[SHA256_LEN];

    memset(k, 0, sizeof(*k));
    k->pkey = EVP_EC_gen("P-256");
    k->ready = EVP_MD_CTX_new();
    if (k->pkey == NULL || k->ready == NULL) {
        FAIL_OSSL("key generation");
    }
    TRY_OSSL(EVP_DigestSignInit_ex(k->ready, NULL, "SHA256", NULL, NULL, k->pkey, NULL));
    k->spki_len = i2d_PUBKEY(k->pkey, &k->spki);
    if (k->spki_len <= 0 || EVP_PKEY_get1_encoded_public_key(k->pkey, &point) != POINT_LEN) {
        OPENSSL_free(point);
        FAIL_OSSL("public key");
    }
    base64url_encode(point + 1, 32, x);
    base64url_encode(point + 33, 32, y);
    OPENSSL_free(point);
    (void)snprintf(k->jwk, sizeof(k->jwk),
                   "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
    TRY(sha256(k->jwk, strlen(k->jwk), digest));
    base64url_encode(digest, sizeof(digest), k->thumbprint);
    return err_ok();
}

static inline struct err sign_der(const struct signing_key *k, const void *data, size_t len,
                                  uint8_t *out, size_t *out_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = 0;

    TRY_PTR(ctx);
    if (EVP_MD_CTX_copy_ex(ctx, k->ready) == 1) {
        EVP_MD_CTX_set_flags(ctx, EVP_MD_CTX_FLAG_FINALISE);
        ok = EVP_DigestSign(ctx, out, out_len, data, len);
    }
    EVP_MD_CTX_free(ctx);
    TRY_OSSL(ok);
    return err_ok();
}

static inline struct err put_base64url(struct buf *out, const void *data, size_t len)
{
    char *text = mem_zalloc(BASE64URL_LEN(len) + 1);

    TRY_PTR(text);
    base64url_encode(data, len, text);
    buf_puts(out, text);
    mem_free(text);
    return buf_check(out);
}

/* RFC 7518 §3.4: r and s side by side. */
static inline struct err sign_es256(const struct signing_key *k, const void *data, size_t len,
                                    uint8_t out[64])
{
    uint8_t der[80];
    size_t der_len = sizeof(der);
    const unsigned char *p = der;

    TRY(sign_der(k, data, len, der, &der_len));
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
    if (sig == NULL) {
        FAIL_OSSL("d2i_ECDSA_SIG");
    }
    int ok = BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) == 32 &&
             BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) == 32;
    ECDSA_SIG_free(sig);
    TRY_OSSL(ok);
    return err_ok();
}

/* Flattened JSON (RFC 8555 §6.2); kid NULL: with the jwk; payload NULL: POST-as-GET. */
static inline struct err make_jws(const struct signing_key *k, const char *kid, const char *nonce,
                                  const char *url, const char *payload, struct buf *out)
{
    uint8_t sig[64];
    char header[1024];
    AUTO(buf_clear) struct buf signed_part = BUF_INIT(128u * 1024u);

    if (kid == NULL) {
        (void)snprintf(header, sizeof(header),
                       "{\"alg\":\"ES256\",\"jwk\":%s,\"nonce\":\"%s\",\"url\":\"%s\"}", k->jwk,
                       nonce, url);
    } else {
        (void)snprintf(header, sizeof(header),
                       "{\"alg\":\"ES256\",\"kid\":\"%s\",\"nonce\":\"%s\",\"url\":\"%s\"}", kid,
                       nonce, url);
    }
    TRY(put_base64url(&signed_part, header, strlen(header)));
    size_t header_len = signed_part.len;
    buf_putc(&signed_part, '.');
    if (payload != NULL) {
        TRY(put_base64url(&signed_part, payload, strlen(payload)));
    }
    TRY(buf_check(&signed_part));
    TRY(sign_es256(k, signed_part.data, signed_part.len, sig));
    buf_printf(out, "{\"protected\":\"%.*s\",\"payload\":\"%s\",\"signature\":\"", (int)header_len,
               buf_str(&signed_part), buf_str(&signed_part) + header_len + 1);
    TRY(put_base64url(out, sig, sizeof(sig)));
    buf_puts(out, "\"}");
    return buf_check(out);
}

/* body becomes tag, length, body. */
static inline void wrap(struct buf *body, uint8_t tag)
{
    struct buf whole = BUF_INIT(4096);

    buf_u8(&whole, tag);
    if (body->len > 0xffu) {
        buf_u8(&whole, 0x82);
        buf_u16(&whole, (uint16_t)body->len);
    } else {
        if (body->len > 0x7fu) {
            buf_u8(&whole, 0x81);
        }
        buf_u8(&whole, (uint8_t)body->len);
    }
    buf_put(&whole, body->data, body->len);
    buf_clear(body);
    *body = whole;
}

/* A CSR for one name, empty subject; by hand, because OpenSSL's way costs ten times the
 * signature. */
static inline struct err make_csr(const struct signing_key *k, const char *name, struct buf *out)
{
    static const uint8_t ECDSA_SHA256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                           0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    static const uint8_t SAN[] = {0x06, 0x03, 0x55, 0x1d, 0x11};
    static const uint8_t REQUEST[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                      0xf7, 0x0d, 0x01, 0x09, 0x0e};
    static const uint8_t START[] = {0x02, 0x01, 0x00, 0x30, 0x00}; /* version 0, empty subject */
    uint8_t sig[81] = {0};
    size_t sig_len = sizeof(sig) - 1;
    AUTO(buf_clear) struct buf names = BUF_INIT(4096);
    AUTO(buf_clear) struct buf list = BUF_INIT(4096);
    AUTO(buf_clear) struct buf info = BUF_INIT(4096);
    AUTO(buf_clear) struct buf bits = BUF_INIT(4096);

    buf_puts(&names, name);
    wrap(&names, 0x82); /* dNSName */
    wrap(&names, 0x30);
    wrap(&names, 0x04);
    buf_put(&list, SAN, sizeof(SAN));
    buf_put(&list, names.data, names.len);
    wrap(&list, 0x30);
    wrap(&list, 0x30);
    wrap(&list, 0x31);
    buf_reset(&names);
    buf_put(&names, REQUEST, sizeof(REQUEST));
    buf_put(&names, list.data, list.len);
    wrap(&names, 0x30);
    wrap(&names, 0xa0);
    buf_put(&info, START, sizeof(START));
    buf_put(&info, k->spki, (size_t)k->spki_len);
    buf_put(&info, names.data, names.len);
    wrap(&info, 0x30);
    TRY(buf_check(&info));
    TRY(sign_der(k, info.data, info.len, sig + 1, &sig_len));
    buf_put(&bits, sig, sig_len + 1);
    wrap(&bits, 0x03);
    buf_put(&info, ECDSA_SHA256, sizeof(ECDSA_SHA256));
    buf_put(&info, bits.data, bits.len);
    wrap(&info, 0x30);
    TRY(buf_check(&info));
    buf_put(out, info.data, info.len);
    return buf_check(out);
}

#endif
