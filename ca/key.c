#include "ca/key.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ec.h>
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
    int nid;
} CURVES[] = {
    {{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, 8, 32, NID_X9_62_prime256v1}, /* P-256 */
    {{0x2b, 0x81, 0x04, 0x00, 0x22}, 5, 48, NID_secp384r1},                          /* P-384 */
    {{0x2b, 0x81, 0x04, 0x00, 0x23}, 5, 66, NID_secp521r1},                          /* P-521 */
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

/* RFC 5480 §2.1.1: a named curve, never explicit parameters (decoding those has been a way to hang
 * or crash verifiers). */
static struct err vet_ec(const struct der_item *params, struct key_shape *key,
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
        /* RFC 5480 §2.2 */
        if (key->bits_len != 1 + 2 * c->field_len || key->bits[0] != POINT_UNCOMPRESSED) {
            return ca_refuse(refusal, true,
                             "The EC public key is not an uncompressed point of its curve's size; "
                             "make the key again with the uncompressed point form.");
        }
        key->curve = (int)i;
        return err_ok();
    }
    return ca_refuse(refusal, true, "The EC key's curve is not supported; %s.", ADVICE);
}

static struct err not_der(struct ca_refusal *refusal)
{
    return ca_refuse(refusal, true, "The public key is not valid DER; %s.", ADVICE);
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
static struct err vet_rsa(const struct der_item *params, const struct key_shape *key,
                          unsigned min_rsa_bits, struct ca_refusal *refusal)
{
    struct rd bits = rd_init(key->bits, key->bits_len);
    struct der_item pair;
    struct der_item modulus;
    struct der_item exponent;

    if (params->tag == DER_NULL && der_is_strict(key->bits, key->bits_len) &&
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

static struct err vet_ed25519(bool has_params, const struct key_shape *key,
                              struct ca_refusal *refusal)
{
    if (has_params || key->bits_len != 32) {
        return ca_refuse(refusal, true,
                         "The Ed25519 public key is not encoded as RFC 8410 wants; make the "
                         "request again with an up-to-date tool.");
    }
    return err_ok();
}

struct err key_vet(const uint8_t *spki, size_t len, unsigned min_rsa_bits, struct key_shape *out,
                   struct ca_refusal *refusal)
{
    struct rd outer = rd_init(spki, len);
    struct der_item info;
    struct der_item algorithm;
    struct der_item oid;
    struct der_item params = {0};
    struct der_item key;

    if (!der_is_strict(spki, len) || !der_expect(&outer, DER_SEQUENCE, &info)) {
        return not_der(refusal);
    }
    struct rd r = der_enter(&info);
    if (!der_expect(&r, DER_SEQUENCE, &algorithm) || !der_expect(&r, DER_BIT_STRING, &key) ||
        r.left != 0 || key.body[0] != 0) {
        return not_der(refusal);
    }
    struct rd a = der_enter(&algorithm);
    bool has_oid = der_expect(&a, DER_OID, &oid);
    bool has_params = has_oid && der_next(&a, &params);
    if (!has_oid || a.left != 0) {
        return not_der(refusal);
    }
    *out = (struct key_shape){
        .spki = spki, .spki_len = len, .bits = key.body + 1, .bits_len = key.len - 1};
    if (is_oid(&oid, OID_EC, sizeof(OID_EC))) {
        out->kind = KEY_EC;
        return vet_ec(&params, out, refusal);
    }
    if (is_oid(&oid, OID_RSA, sizeof(OID_RSA))) {
        out->kind = KEY_RSA;
        return vet_rsa(&params, out, min_rsa_bits, refusal);
    }
    if (is_oid(&oid, OID_ED25519, sizeof(OID_ED25519))) {
        out->kind = KEY_ED25519;
        return vet_ed25519(has_params, out, refusal);
    }
    return ca_refuse(refusal, true, "The public key's type is not supported; %s.", ADVICE);
}

static struct err not_valid(struct ca_refusal *refusal)
{
    ERR_clear_error();
    return ca_refuse(refusal, true,
                     "The public key is not a valid key of its type; make a new key with an "
                     "up-to-date tool.");
}

/* Keys without a point, one per curve, only ever copied: OpenSSL 3.0's general decoder takes 20
 * times as long. */
static EVP_PKEY *curve_keys[ARRAY_N(CURVES)];
static pthread_once_t curve_keys_once = PTHREAD_ONCE_INIT;

static void make_curve_keys(void)
{
    for (size_t i = 0; i < ARRAY_N(CURVES); i++) {
        AUTO(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
        if (ctx == NULL || EVP_PKEY_paramgen_init(ctx) != 1 ||
            EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, CURVES[i].nid) != 1 ||
            EVP_PKEY_paramgen(ctx, &curve_keys[i]) != 1) {
            ERR_clear_error();
        }
    }
}

struct err key_decode(const struct key_shape *shape, EVP_PKEY **out, struct ca_refusal *refusal)
{
    AUTO(evp_pkey_freep) EVP_PKEY *pkey = NULL;

    if (shape->kind == KEY_EC) {
        (void)pthread_once(&curve_keys_once, make_curve_keys);
        pkey = curve_keys[shape->curve] == NULL ? NULL : EVP_PKEY_dup(curve_keys[shape->curve]);
        if (pkey == NULL) {
            FAIL_OSSL("EVP_PKEY_dup");
        }
        if (EVP_PKEY_set1_encoded_public_key(pkey, shape->bits, shape->bits_len) != 1) {
            return not_valid(refusal);
        }
    } else {
        const unsigned char *p = shape->spki;
        pkey = d2i_PUBKEY(NULL, &p, (long)shape->spki_len);
        if (pkey == NULL) {
            return not_valid(refusal);
        }
    }
    *out = MOVE(pkey);
    return err_ok();
}

struct err key_public_check(const struct key_shape *shape, EVP_PKEY *pkey,
                            struct ca_refusal *refusal)
{
    AUTO(evp_pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    int ok = 0;

    TRY_PTR(ctx);
    /* On curves of cofactor 1, all of ours, every point but infinity has the full order: the long
     * check finds no more. */
    if (shape->kind == KEY_EC) {
        ok = EVP_PKEY_public_check_quick(ctx);
    } else {
        ok = EVP_PKEY_public_check(ctx);
    }
    return ok == 1 ? err_ok() : not_valid(refusal);
}
