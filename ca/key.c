#include "ca/key.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "ca/der.h"
#include "ca/ossl.h"

#include "core/util/mem.h"

#define RSA_EXPONENT_MIN 65537u
#define RSA_EXPONENT_BITS_MAX 256u
#define POINT_UNCOMPRESSED 0x04u

static const uint8_t OID_EC[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t OID_RSA[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
static const uint8_t OID_ED25519[] = {0x2b, 0x65, 0x70};

static const struct curve {
    uint8_t oid[8];
    size_t oid_len;
    size_t field_len; /* octets */
} CURVES[] = {
    {{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, 8, 32}, /* P-256 */
    {{0x2b, 0x81, 0x04, 0x00, 0x22}, 5, 48},                   /* P-384 */
    {{0x2b, 0x81, 0x04, 0x00, 0x23}, 5, 66},                   /* P-521 */
};

static const char ADVICE[] =
    "use an EC key on P-256, P-384 or P-521, an RSA key of 2048 to 4096 bits, or Ed25519";

struct err ca_refuse(struct ca_refusal *refusal, bool is_bad_key, const char *fmt, ...)
{
    va_list args;

    refusal->is_bad_key = is_bad_key;
    va_start(args, fmt);
    (void)vsnprintf(refusal->detail, sizeof(refusal->detail), fmt, args);
    va_end(args);
    FAIL(ERR_REJECTED, "%s", refusal->detail);
}

static bool is_oid(const struct der_item *item, const uint8_t *oid, size_t len)
{
    return item->len == len && memcmp(item->body, oid, len) == 0;
}

/* RFC 5480 §2.1.1: a named curve, never explicit parameters (decoding those has been a way to hang or crash verifiers). */
static struct err vet_ec(const struct der_item *params, const struct der_item *key,
                         struct ca_refusal *refusal)
{
    if (params->tag != DER_OID) {
        return ca_refuse(refusal, true,
                         "The EC key spells out its curve parameters; make the key on a named "
                         "curve: P-256, P-384 or P-521.");
    }
    for (size_t i = 0; i < ARRAY_N(CURVES); i++) {
        const struct curve *c = &CURVES[i];
        if (!is_oid(params, c->oid, c->oid_len)) {
            continue;
        }
        /* One octet of unused bits, then the point (RFC 5480 §2.2). */
        if (key->len != 2 + 2 * c->field_len || key->body[0] != 0 ||
            key->body[1] != POINT_UNCOMPRESSED) {
            return ca_refuse(refusal, true,
                             "The EC public key is not an uncompressed point of its curve's size; "
                             "make the key again with the uncompressed point form.");
        }
        return err_ok();
    }
    return ca_refuse(refusal, true, "The EC key's curve is not supported; %s.", ADVICE);
}

static unsigned bit_length(const uint8_t *big_endian, size_t len)
{
    unsigned bits = 0;

    while (len > 0 && *big_endian == 0) {
        big_endian++;
        len--;
    }
    if (len == 0) {
        return 0;
    }
    for (uint8_t top = *big_endian; top != 0; top >>= 1) {
        bits++;
    }
    return bits + (unsigned)(len - 1) * 8u;
}

static struct err vet_exponent(const struct der_item *exponent, struct ca_refusal *refusal)
{
    unsigned bits = bit_length(exponent->body, exponent->len);
    bool is_odd = (exponent->body[exponent->len - 1] & 1u) != 0;

    /* 65537 is the smallest odd number of 17 bits. */
    if (!is_odd || bits < 17 || bits > RSA_EXPONENT_BITS_MAX) {
        return ca_refuse(refusal, true,
                         "The RSA key's public exponent must be odd, at least %u and below 2^%u; "
                         "make a new key with the usual exponent 65537.",
                         RSA_EXPONENT_MIN, RSA_EXPONENT_BITS_MAX);
    }
    return err_ok();
}

static struct err vet_modulus(const struct der_item *modulus, unsigned min_rsa_bits,
                              struct ca_refusal *refusal)
{
    unsigned bits = bit_length(modulus->body, modulus->len);
    enum rsa_weakness weakness = RSA_SOUND;

    if (bits < min_rsa_bits || bits > KEY_RSA_BITS_MAX) {
        return ca_refuse(refusal, true,
                         "The RSA key has %u bits; this CA accepts %u to %u. Make a new key, best "
                         "an EC key on P-256.",
                         bits, min_rsa_bits, KEY_RSA_BITS_MAX);
    }
    TRY(rsa_weakness_find(modulus->body, modulus->len, &weakness));
    switch (weakness) {
    case RSA_SOUND:
        return err_ok();
    case RSA_EVEN:
    case RSA_SMALL_FACTOR:
        return ca_refuse(refusal, true,
                         "The RSA key is broken: its modulus has a small factor. Make a new key "
                         "with an up-to-date tool.");
    case RSA_ROCA:
        return ca_refuse(refusal, true,
                         "The RSA key comes from a generator with the ROCA flaw (CVE-2017-15361) "
                         "and can be factored. Make a new key with other software or hardware.");
    case RSA_CLOSE_PRIMES:
        return ca_refuse(refusal, true,
                         "The RSA key's two primes are so close that it can be factored at once. "
                         "Make a new key with an up-to-date tool.");
    }
    FAIL(ERR_INTERNAL, "unknown weakness %d", (int)weakness);
}

/* RFC 3279 §2.3.1: parameters NULL; the BIT STRING holds SEQUENCE { modulus, publicExponent }. */
static struct err vet_rsa(const struct der_item *params, const struct der_item *key,
                          unsigned min_rsa_bits, struct ca_refusal *refusal)
{
    struct rd bits = rd_init(key->body, key->len);
    struct der_item pair;
    struct der_item modulus;
    struct der_item exponent;

    if (params->tag == DER_NULL && rd_u8(&bits) == 0 && der_is_strict(bits.p, bits.left) &&
        der_expect(&bits, DER_SEQUENCE, &pair)) {
        struct rd r = der_enter(&pair);
        if (der_expect(&r, DER_INTEGER, &modulus) && der_expect(&r, DER_INTEGER, &exponent) &&
            r.left == 0 && modulus.body[0] < 0x80u && exponent.body[0] < 0x80u) {
            TRY(vet_exponent(&exponent, refusal));
            return vet_modulus(&modulus, min_rsa_bits, refusal);
        }
    }
    return ca_refuse(refusal, true,
                     "The RSA public key is not encoded as RFC 3279 wants; make the request again "
                     "with an up-to-date tool.");
}

static struct err vet_ed25519(bool has_params, const struct der_item *key,
                              struct ca_refusal *refusal)
{
    if (has_params || key->len != 33 || key->body[0] != 0) {
        return ca_refuse(refusal, true,
                         "The Ed25519 public key is not encoded as RFC 8410 wants; make the "
                         "request again with an up-to-date tool.");
    }
    return err_ok();
}

struct err key_vet(const uint8_t *spki, size_t len, unsigned min_rsa_bits, enum key_kind *kind,
                   struct ca_refusal *refusal)
{
    struct rd outer = rd_init(spki, len);
    struct der_item info;
    struct der_item algorithm;
    struct der_item oid;
    struct der_item params = {0};
    struct der_item key;

    if (!der_is_strict(spki, len) || !der_expect(&outer, DER_SEQUENCE, &info)) {
        return ca_refuse(refusal, true, "The public key is not valid DER; %s.", ADVICE);
    }
    struct rd r = der_enter(&info);
    if (!der_expect(&r, DER_SEQUENCE, &algorithm) || !der_expect(&r, DER_BIT_STRING, &key) ||
        r.left != 0) {
        return ca_refuse(refusal, true, "The public key is not valid DER; %s.", ADVICE);
    }
    struct rd a = der_enter(&algorithm);
    bool has_oid = der_expect(&a, DER_OID, &oid);
    bool has_params = has_oid && der_next(&a, &params);
    if (!has_oid || a.left != 0) {
        return ca_refuse(refusal, true, "The public key is not valid DER; %s.", ADVICE);
    }
    if (is_oid(&oid, OID_EC, sizeof(OID_EC))) {
        *kind = KEY_EC;
        return vet_ec(&params, &key, refusal);
    }
    if (is_oid(&oid, OID_RSA, sizeof(OID_RSA))) {
        *kind = KEY_RSA;
        return vet_rsa(&params, &key, min_rsa_bits, refusal);
    }
    if (is_oid(&oid, OID_ED25519, sizeof(OID_ED25519))) {
        *kind = KEY_ED25519;
        return vet_ed25519(has_params, &key, refusal);
    }
    return ca_refuse(refusal, true, "The public key's type is not supported; %s.", ADVICE);
}

struct err key_public_check(EVP_PKEY *pkey, struct ca_refusal *refusal)
{
    AUTO(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    TRY_PTR(ctx);
    if (EVP_PKEY_public_check(ctx) != 1) {
        ERR_clear_error();
        return ca_refuse(refusal, true,
                         "The public key is not a valid key of its type; make a new key with an "
                         "up-to-date tool.");
    }
    return err_ok();
}
