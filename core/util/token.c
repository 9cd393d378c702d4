#include "core/util/token.h"

#include "core/util/mem.h"

#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

static const char ALPHABET_URL[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char ALPHABET_STD[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t encode64(const uint8_t *in, size_t len, char *out, const char *alphabet)
{
    size_t o = 0;
    size_t i = 0;

    for (; i + 2 < len; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        out[o++] = alphabet[v >> 18 & 63];
        out[o++] = alphabet[v >> 12 & 63];
        out[o++] = alphabet[v >> 6 & 63];
        out[o++] = alphabet[v & 63];
    }
    if (len - i == 1) {
        out[o++] = alphabet[in[i] >> 2];
        out[o++] = alphabet[(in[i] & 3) << 4];
    } else if (len - i == 2) {
        out[o++] = alphabet[in[i] >> 2];
        out[o++] = alphabet[(in[i] & 3) << 4 | in[i + 1] >> 4];
        out[o++] = alphabet[(in[i + 1] & 15) << 2];
    }
    return o;
}

void base64url_encode(const void *data, size_t len, char *out)
{
    out[encode64(data, len, out, ALPHABET_URL)] = '\0';
}

void base64_encode(struct buf *b, const void *data, size_t len)
{
    const uint8_t *in = data;
    char quad[4];

    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        size_t wrote = encode64(in + i, n, quad, ALPHABET_STD);
        while (wrote < sizeof(quad)) {
            quad[wrote++] = '=';
        }
        buf_put(b, quad, sizeof(quad));
    }
}

static int value64(char c, bool any)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '-' || (any && c == '+')) {
        return 62;
    }
    if (c == '_' || (any && c == '/')) {
        return 63;
    }
    return -1;
}

static struct err decode64(const char *text, size_t len, uint8_t *out, size_t *out_len, bool any)
{
    size_t cap = *out_len;
    size_t o = 0;
    uint32_t acc = 0;
    unsigned bits = 0;

    if (len % 4 == 1) {
        FAIL(ERR_MALFORMED, "base64: a length of %zu is impossible", len);
    }
    if (len / 4 * 3 + (len % 4 == 0 ? 0 : len % 4 - 1) > cap) {
        FAIL(ERR_LIMIT, "base64: %zu characters are more than the %zu bytes allowed", len, cap);
    }
    for (size_t i = 0; i < len; i++) {
        int v = value64(text[i], any);
        if (v < 0) {
            FAIL(ERR_MALFORMED, "base64: character %zu is not in the alphabet", i + 1);
        }
        acc = acc << 6 | (uint32_t)v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[o++] = (uint8_t)(acc >> bits);
            acc &= (1u << bits) - 1;
        }
    }
    if (acc != 0) {
        FAIL(ERR_MALFORMED, "base64: unused trailing bits are not zero");
    }
    *out_len = o;
    return err_ok();
}

struct err base64url_decode(const char *text, size_t len, uint8_t *out, size_t *out_len)
{
    return decode64(text, len, out, out_len, false);
}

struct err base64_decode_any(const char *text, size_t len, uint8_t *out, size_t *out_len)
{
    for (int pads = 0; pads < 2 && len > 0 && text[len - 1] == '='; pads++) {
        len--;
    }
    return decode64(text, len, out, out_len, true);
}

void hex_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = data;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    out[2 * len] = '\0';
}

void base32_encode(const void *data, size_t len, char *out)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    const uint8_t *in = data;
    uint32_t acc = 0;
    unsigned bits = 0;
    size_t o = 0;

    for (size_t i = 0; i < len; i++) {
        acc = (acc << 8 | in[i]) & 0xfffu;
        bits += 8;
        while (bits >= 5) {
            bits -= 5;
            out[o++] = digits[acc >> bits & 31];
        }
    }
    if (bits > 0) {
        out[o++] = digits[acc << (5 - bits) & 31];
    }
    out[o] = '\0';
}

struct err random_bytes(void *out, size_t len)
{
    if (len > INT32_MAX) {
        FAIL(ERR_LIMIT, "random: %zu bytes are too many", len);
    }
    TRY_OSSL(RAND_bytes(out, (int)len));
    return err_ok();
}

struct err random_id(char out[OBJECT_ID_LEN + 1])
{
    uint8_t raw[16];

    TRY(random_bytes(raw, sizeof(raw)));
    base64url_encode(raw, sizeof(raw), out);
    return err_ok();
}

struct err random_uuid(char out[UUID_TEXT_LEN + 1])
{
    uint8_t raw[16];
    char hex[33];

    TRY(random_bytes(raw, sizeof(raw)));
    raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40);
    raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
    hex_encode(raw, sizeof(raw), hex);
    size_t o = 0;
    for (size_t i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20) {
            out[o++] = '-';
        }
        out[o++] = hex[i];
    }
    out[o] = '\0';
    return err_ok();
}

struct err random_alnum(char *out, size_t n)
{
    /* 62 characters from bytes below 248 (4 * 62): no bias. */
    size_t o = 0;

    while (o < n) {
        uint8_t raw[64];
        TRY(random_bytes(raw, sizeof(raw)));
        for (size_t i = 0; i < sizeof(raw) && o < n; i++) {
            if (raw[i] < 248) {
                out[o++] = ALPHABET_STD[raw[i] % 62];
            }
        }
        mem_wipe(raw, sizeof(raw));
    }
    out[n] = '\0';
    return err_ok();
}

/* Fetching an algorithm by name on every call costs more than hashing a short input. */
static pthread_once_t digest_once = PTHREAD_ONCE_INIT;
static EVP_MD *digest_sha256;

static void fetch_digest(void)
{
    digest_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

struct err sha256(const void *data, size_t len, uint8_t out[SHA256_LEN])
{
    unsigned out_len = 0;

    (void)pthread_once(&digest_once, fetch_digest);
    TRY_PTR(digest_sha256);
    TRY_OSSL(EVP_Digest(data, len, out, &out_len, digest_sha256, NULL));
    return err_ok();
}

struct err hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                       uint8_t out[SHA256_LEN])
{
    unsigned out_len = 0;

    if (key_len > INT32_MAX) {
        FAIL(ERR_LIMIT, "HMAC key of %zu bytes", key_len);
    }
    (void)pthread_once(&digest_once, fetch_digest);
    TRY_PTR(digest_sha256);
    if (HMAC(digest_sha256, key, (int)key_len, data, len, out, &out_len) == NULL) {
        FAIL_OSSL("HMAC");
    }
    return err_ok();
}

bool ct_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}

bool is_base64url(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (value64(s[i], false) < 0) {
            return false;
        }
    }
    return true;
}
