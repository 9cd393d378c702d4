#include "acme-server/jwk.h"

#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "acme-server/jwk_internal.h"
#include "ca/ca.h"
#include "core/util/mem.h"

#define RSA_BITS_MIN 2048u
#define RSA_BITS_MAX 4096u
#define RSA_EXPONENT_MIN 65537u

struct curve {
    const char *crv;
    const char *group; /* OpenSSL's name */
    enum jwk_alg alg;
};

static const struct curve CURVES[] = {
    {"P-256", "P-256", JWK_ES256},
    {"P-384", "P-384", JWK_ES384},
    {"P-521", "P-521", JWK_ES512},
};

static const char *const PRIVATE_MEMBERS[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

size_t jwk_coord_len(enum jwk_alg alg)
{
    switch (alg) {
    case JWK_ES256:
        return 32;
    case JWK_ES384:
        return 48;
    case JWK_ES512:
        return JWK_EC_COORD_MAX;
    case JWK_RS256:
    case JWK_EDDSA:
        return 0;
    }
    return 0;
}

const char *jwk_alg_name(enum jwk_alg alg)
{
    switch (alg) {
    case JWK_ES256:
        return "ES256";
    case JWK_ES384:
        return "ES384";
    case JWK_ES512:
        return "ES512";
    case JWK_RS256:
        return "RS256";
    case JWK_EDDSA:
        return "EdDSA";
    }
    return "unknown";
}

static void pkey_ctx_freep(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static void params_freep(OSSL_PARAM **params)
{
    OSSL_PARAM_free(*params);
}

static void params_build_freep(OSSL_PARAM_BLD **build)
{
    OSSL_PARAM_BLD_free(*build);
}

static void bn_freep(BIGNUM **n)
{
    BN_free(*n);
}

/* A member that must be a string; *text borrowed from the object. */
static struct err get_text(const json_t *object, const char *name, const char **text, size_t *len,
                           struct problem *prob)
{
    const json_t *member = json_object_get(object, name);

    if (!json_is_string(member)) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The account key (jwk) lacks the member \"%s\" as a string (RFC 7518 section 6).",
               name);
    }
    *text = json_string_value(member);
    *len = json_string_length(member);
    return err_ok();
}

/* A base64url member; *len is in: capacity, out: bytes. */
static struct err get_bytes(const json_t *object, const char *name, uint8_t *bytes, size_t *len,
                            const char **text, struct problem *prob)
{
    size_t text_len = 0;

    TRY(get_text(object, name, text, &text_len, prob));
    if (base64url_decode(*text, text_len, bytes, len).code != ERR_OK) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The member \"%s\" of the account key (jwk) is not base64url without padding, or is "
               "too long for its kind of key.",
               name);
    }
    return err_ok();
}

static struct err refuse_private(const json_t *object, struct problem *prob)
{
    for (size_t i = 0; i < ARRAY_N(PRIVATE_MEMBERS); i++) {
        if (json_object_get(object, PRIVATE_MEMBERS[i]) != NULL) {
            REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
                   "The account key (jwk) holds the private member \"%s\". Send public members "
                   "only, and make a new key: this one has left its owner.",
                   PRIVATE_MEMBERS[i]);
        }
    }
    return err_ok();
}

static struct err pkey_from_params(const char *type, OSSL_PARAM *params, EVP_PKEY **out)
{
    AUTO(pkey_ctx_freep)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    TRY_PTR(ctx);
    TRY_OSSL(EVP_PKEY_fromdata_init(ctx));
    TRY_OSSL(EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params));
    return err_ok();
}

static struct err parse_ec(const json_t *object, struct jwk *key, struct problem *prob)
{
    const struct curve *curve = NULL;
    const char *crv = NULL;
    const char *text[2] = {NULL, NULL};
    uint8_t point[1 + 2 * JWK_EC_COORD_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    size_t crv_len = 0;

    TRY(get_text(object, "crv", &crv, &crv_len, prob));
    for (size_t i = 0; i < ARRAY_N(CURVES); i++) {
        if (strcmp(CURVES[i].crv, crv) == 0) {
            curve = &CURVES[i];
        }
    }
    if (curve == NULL) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The account key's curve \"%.20s\" is not supported: use P-256, P-384 or P-521.",
               crv);
    }
    key->alg = curve->alg;
    size_t coord_len = jwk_coord_len(curve->alg);
    for (size_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "x" : "y";
        size_t len = coord_len;
        TRY(get_bytes(object, name, point + 1 + i * coord_len, &len, &text[i], prob));
        if (len != coord_len) {
            REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
                   "The member \"%s\" of the account key has %zu bytes; %s wants exactly %zu, "
                   "leading zeros included (RFC 7518 section 6.2.1.2).",
                   name, len, crv, coord_len);
        }
    }
    char group[8];
    (void)snprintf(group, sizeof(group), "%s", curve->group);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * coord_len),
        OSSL_PARAM_construct_end(),
    };
    /* Importing checks that the point lies on the curve; these curves have cofactor 1, so that is
     * all there is to check. */
    if (pkey_from_params("EC", params, &key->pkey).code != ERR_OK) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The account key's x and y are not a point on the curve %s.", crv);
    }
    (void)snprintf(key->json, sizeof(key->json),
                   "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", crv, text[0],
                   text[1]);
    return err_ok();
}

/* Modulus and exponent as RFC 7518 §6.3.1 writes them: the fewest octets that hold the value. */
static struct err check_rsa(const uint8_t *n, size_t n_len, const uint8_t *e, size_t e_len,
                            unsigned min_bits, struct problem *prob)
{
    if (n_len == 0 || e_len == 0 || n[0] == 0 || e[0] == 0) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The account key's n or e is empty or starts with a zero octet, which RFC 7518 "
               " section 6.3.1 forbids.");
    }
    size_t bits = n_len * 8;
    for (unsigned mask = 0x80; (n[0] & mask) == 0; mask >>= 1) {
        bits--;
    }
    if (bits < min_bits || bits > RSA_BITS_MAX) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The account key is RSA with %zu bits; %u to %u bits are accepted here (an ECDSA "
               "P-256 key is the better choice).",
               bits, min_bits, RSA_BITS_MAX);
    }
    uint64_t exponent = 0;
    for (size_t i = 0; i < e_len; i++) {
        exponent = exponent << 8 | e[i];
    }
    if ((n[n_len - 1] & 1) == 0 || (exponent & 1) == 0 || exponent < RSA_EXPONENT_MIN) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The account key's RSA modulus is even, or its exponent is even or below 65537: "
               "make a new key.");
    }
    return err_ok();
}

static struct err build_rsa(const uint8_t *n, size_t n_len, const uint8_t *e, size_t e_len,
                            EVP_PKEY **out)
{
    AUTO(bn_freep) BIGNUM *modulus = BN_bin2bn(n, (int)n_len, NULL);
    AUTO(bn_freep) BIGNUM *exponent = BN_bin2bn(e, (int)e_len, NULL);
    AUTO(params_build_freep) OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();

    TRY_PTR(modulus);
    TRY_PTR(exponent);
    TRY_PTR(build);
    TRY_OSSL(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus));
    TRY_OSSL(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent));
    AUTO(params_freep) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    TRY_PTR(params);
    return pkey_from_params("RSA", params, out);
}

static struct err parse_rsa(const json_t *object, unsigned min_rsa_bits, struct jwk *key,
                            struct problem *prob)
{
    uint8_t n[JWK_RSA_BYTES_MAX];
    uint8_t e[4]; /* an odd exponent up to 2^32 */
    size_t n_len = sizeof(n);
    size_t e_len = sizeof(e);
    const char *n_text = NULL;
    const char *e_text = NULL;

    TRY(get_bytes(object, "n", n, &n_len, &n_text, prob));
    TRY(get_bytes(object, "e", e, &e_len, &e_text, prob));
    TRY(check_rsa(n, n_len, e, e_len, min_rsa_bits < RSA_BITS_MIN ? RSA_BITS_MIN : min_rsa_bits,
                  prob));
    bool is_weak = false;
    if (min_rsa_bits > 0) { /* 0: a key that we stored */
        TRY(ca_rsa_is_weak(n, n_len, &is_weak));
    }
    if (is_weak) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The account key's RSA modulus is weak (it can be factored): make a new key with "
               "other software.");
    }
    TRY(build_rsa(n, n_len, e, e_len, &key->pkey));
    key->alg = JWK_RS256;
    (void)snprintf(key->json, sizeof(key->json), "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}",
                   e_text, n_text);
    return err_ok();
}

static struct err parse_okp(const json_t *object, struct jwk *key, struct problem *prob)
{
    uint8_t x[32];
    size_t len = sizeof(x);
    const char *crv = NULL;
    const char *text = NULL;
    size_t crv_len = 0;

    TRY(get_text(object, "crv", &crv, &crv_len, prob));
    if (strcmp(crv, "Ed25519") != 0) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The account key's curve \"%.20s\" is not supported: use Ed25519.", crv);
    }
    TRY(get_bytes(object, "x", x, &len, &text, prob));
    if (len != sizeof(x)) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The member \"x\" of the account key has %zu bytes; Ed25519 wants 32.", len);
    }
    key->alg = JWK_EDDSA;
    key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x));
    if (key->pkey == NULL) {
        FAIL_OSSL("EVP_PKEY_new_raw_public_key");
    }
    (void)snprintf(key->json, sizeof(key->json),
                   "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", text);
    return err_ok();
}

static struct err parse_members(const json_t *object, unsigned min_rsa_bits, struct jwk *key,
                                struct problem *prob)
{
    const char *kty = NULL;
    size_t kty_len = 0;

    TRY(get_text(object, "kty", &kty, &kty_len, prob));
    if (strcmp(kty, "oct") == 0) {
        REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
               "The account key (jwk) is a symmetric key: ACME wants a public key (EC, RSA or "
               "Ed25519).");
    }
    TRY(refuse_private(object, prob));
    if (strcmp(kty, "EC") == 0) {
        return parse_ec(object, key, prob);
    }
    if (strcmp(kty, "RSA") == 0) {
        return parse_rsa(object, min_rsa_bits, key, prob);
    }
    if (strcmp(kty, "OKP") == 0) {
        return parse_okp(object, key, prob);
    }
    REJECT(prob, PROBLEM_BAD_PUBLIC_KEY, 0,
           "The account key's type (kty) \"%.20s\" is not supported: use EC, RSA or OKP.", kty);
}

static struct err derive(struct jwk *key)
{
    uint8_t digest[SHA256_LEN];
    unsigned char *der = NULL;

    /* The strict decoder leaves one text per value, so the members as sent are the canonical ones.
     * */
    TRY(sha256(key->json, strlen(key->json), digest));
    base64url_encode(digest, sizeof(digest), key->thumbprint);
    int len = i2d_PUBKEY(key->pkey, &der);
    if (len <= 0) {
        FAIL_OSSL("i2d_PUBKEY");
    }
    key->spki = mem_dup(der, (size_t)len);
    key->spki_len = (size_t)len;
    OPENSSL_free(der);
    TRY_PTR(key->spki);
    return jwk_verify_prepare(key);
}

struct err jwk_from_json(const json_t *object, unsigned min_rsa_bits, struct jwk **out,
                         struct problem *prob)
{
    AUTO(jwk_freep) struct jwk *key = mem_zalloc(sizeof(*key));

    TRY_PTR(key);
    atomic_init(&key->refs, 1);
    if (!json_is_object(object)) {
        REJECT(prob, PROBLEM_MALFORMED, 0, "The account key (jwk) is not a JSON object.");
    }
    TRY(parse_members(object, min_rsa_bits, key, prob));
    TRY(derive(key));
    *out = MOVE(key);
    return err_ok();
}

struct err jwk_parse(const char *json, size_t len, unsigned min_rsa_bits, struct jwk **out,
                     struct problem *prob)
{
    AUTO(json_decrefp) json_t *object = NULL;

    TRY(jws_json_parse("The account key (jwk)", json, len, &object, prob));
    return jwk_from_json(object, min_rsa_bits, out, prob);
}

void jwk_free(struct jwk *key)
{
    if (key == NULL || atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    EVP_PKEY_CTX_free(key->verify_template);
    EVP_PKEY_free(key->pkey);
    mem_free(key->spki);
    mem_free(key);
}

void jwk_freep(struct jwk **key)
{
    jwk_free(*key);
    *key = NULL;
}

struct jwk *jwk_ref(struct jwk *key)
{
    (void)atomic_fetch_add_explicit(&key->refs, 1, memory_order_relaxed);
    return key;
}

const char *jwk_thumbprint(const struct jwk *key)
{
    return key->thumbprint;
}

bool jwk_equal(const struct jwk *a, const struct jwk *b)
{
    return strcmp(a->json, b->json) == 0;
}

const char *jwk_json(const struct jwk *key)
{
    return key->json;
}

const uint8_t *jwk_spki(const struct jwk *key, size_t *len)
{
    *len = key->spki_len;
    return key->spki;
}

enum jwk_alg jwk_alg(const struct jwk *key)
{
    return key->alg;
}
