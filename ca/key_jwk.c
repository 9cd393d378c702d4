/* A certificate's key as account keys are named, so that the two can be compared. */
#include "ca/key.h"

#include "ca/der.h"

#include "core/util/mem.h"

#define MODULUS_MAX (KEY_RSA_BITS_MAX / 8u)
#define JWK_MAX 1024u

static const char *const CURVE_NAMES[] = {"P-256", "P-384", "P-521"}; /* in the order of key.c */

static void put_value(struct buf *out, const uint8_t *bytes, size_t len)
{
    char text[BASE64URL_LEN(MODULUS_MAX) + 1];

    base64url_encode(bytes, len, text);
    buf_puts(out, text);
}

/* Without the zero octet that DER puts before a first bit that is set (RFC 7518 §6.3.1). */
static void put_number(struct buf *out, const struct der_item *number)
{
    size_t skip = number->len > 1 && number->body[0] == 0 ? 1 : 0;

    put_value(out, number->body + skip, number->len - skip);
}

static struct err put_ec(const struct key_shape *key, struct buf *out)
{
    size_t coord = (key->bits_len - 1) / 2;

    if ((size_t)key->curve >= ARRAY_N(CURVE_NAMES) || coord > MODULUS_MAX) {
        FAIL(ERR_INTERNAL, "curve %d has no name", key->curve);
    }
    buf_printf(out, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", CURVE_NAMES[key->curve]);
    put_value(out, key->bits + 1, coord);
    buf_puts(out, "\",\"y\":\"");
    put_value(out, key->bits + 1 + coord, coord);
    buf_puts(out, "\"}");
    return err_ok();
}

static struct err put_rsa(const struct key_shape *key, struct buf *out)
{
    struct rd bits = rd_init(key->bits, key->bits_len);
    struct der_item pair = {0};
    struct der_item modulus = {0};
    struct der_item exponent = {0};

    if (!der_expect(&bits, DER_SEQUENCE, &pair)) {
        FAIL(ERR_INTERNAL, "a vetted RSA key is no SEQUENCE");
    }
    struct rd r = der_enter(&pair);
    if (!der_expect(&r, DER_INTEGER, &modulus) || !der_expect(&r, DER_INTEGER, &exponent) ||
        modulus.len > MODULUS_MAX + 1 || exponent.len > MODULUS_MAX) {
        FAIL(ERR_INTERNAL, "a vetted RSA key is no pair of numbers");
    }
    buf_puts(out, "{\"e\":\"");
    put_number(out, &exponent);
    buf_puts(out, "\",\"kty\":\"RSA\",\"n\":\"");
    put_number(out, &modulus);
    buf_puts(out, "\"}");
    return err_ok();
}

struct err key_thumbprint(const struct key_shape *key, char out[SHA256_B64_LEN + 1])
{
    AUTO(buf_clear) struct buf jwk = BUF_INIT(JWK_MAX);
    uint8_t digest[SHA256_LEN];

    switch (key->kind) {
    case KEY_EC:
        TRY(put_ec(key, &jwk));
        break;
    case KEY_RSA:
        TRY(put_rsa(key, &jwk));
        break;
    case KEY_ED25519:
        buf_puts(&jwk, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"");
        put_value(&jwk, key->bits, key->bits_len);
        buf_puts(&jwk, "\"}");
        break;
    }
    TRY(buf_check(&jwk));
    TRY(sha256(buf_str(&jwk), jwk.len, digest));
    base64url_encode(digest, sizeof(digest), out);
    return err_ok();
}
