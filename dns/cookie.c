#include "dns/cookie.h"
#include "dns/wire.h"

#include <string.h>

#include "core/util/token.h"

#define SERVER_LEN_MAX 32u
#define VERSION 1u
#define TIME_OFFSET 12u /* behind the client's, the version and the reserved octets */
#define HASH_OFFSET 16u
#define HASH_LEN 8u

static uint64_t rotl(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

static uint64_t get_le64(const uint8_t *p, size_t n)
{
    uint64_t word = 0;

    for (size_t i = 0; i < n; i++) {
        word |= (uint64_t)p[i] << (8 * i);
    }
    return word;
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

uint64_t cookie_siphash(const uint8_t key[COOKIE_KEY_LEN], const uint8_t *data, size_t len)
{
    uint64_t k0 = get_le64(key, 8);
    uint64_t k1 = get_le64(key + 8, 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    size_t whole = len & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8) {
        absorb(v, get_le64(data + i, 8));
    }
    absorb(v, (uint64_t)len << 56 | get_le64(data + whole, len - whole));
    v[2] ^= 0xff;
    for (unsigned i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

bool cookie_is_length(size_t len)
{
    return len == COOKIE_CLIENT_LEN ||
           (len >= COOKIE_LEN - 8 && len <= COOKIE_CLIENT_LEN + SERVER_LEN_MAX);
}

/* The hash over a cookie's first HASH_OFFSET octets and the address. RFC 9018 §4.4 */
static void hash(const uint8_t *key, const uint8_t *cookie, const struct ip_addr *peer,
                 uint8_t out[HASH_LEN])
{
    uint8_t input[HASH_OFFSET + sizeof(peer->bytes)];
    size_t address_len = peer->family == 4 ? 4 : 16;

    memcpy(input, cookie, HASH_OFFSET);
    memcpy(input + HASH_OFFSET, peer->bytes, address_len);
    uint64_t h = cookie_siphash(key, input, HASH_OFFSET + address_len);
    for (unsigned i = 0; i < HASH_LEN; i++) {
        out[i] = (uint8_t)(h >> (8 * i));
    }
}

static void make(const uint8_t *key, const struct ip_addr *peer, uint32_t now_unix,
                 const uint8_t *client, uint8_t *out)
{
    memcpy(out, client, COOKIE_CLIENT_LEN);
    memset(out + COOKIE_CLIENT_LEN, 0, 4);
    out[COOKIE_CLIENT_LEN] = VERSION;
    for (unsigned i = 0; i < 4; i++) {
        out[TIME_OFFSET + i] = (uint8_t)(now_unix >> (24 - 8 * i));
    }
    hash(key, out, peer, out + HASH_OFFSET);
}

static bool is_of(const uint8_t *key, const struct ip_addr *peer, const uint8_t *cookie)
{
    uint8_t want[HASH_LEN];

    hash(key, cookie, peer, want);
    return ct_equal(want, HASH_LEN, cookie + HASH_OFFSET, HASH_LEN);
}

enum cookie_state cookie_answer(const uint8_t (*keys)[COOKIE_KEY_LEN], size_t keys_n,
                                const struct ip_addr *peer, uint32_t now_unix,
                                const uint8_t *option, size_t len, uint8_t *out)
{
    enum cookie_state state = len == COOKIE_CLIENT_LEN ? COOKIE_ALONE : COOKIE_BAD;
    uint32_t age = 0;
    size_t key = keys_n;

    if (len == COOKIE_LEN && option[COOKIE_CLIENT_LEN] == VERSION) {
        age = now_unix - wire_get32(option + TIME_OFFSET);
        /* Serial number arithmetic: a time in the future has an age near 2^32. RFC 9018 §4.3 */
        bool is_in_time = age <= COOKIE_OLD_S || age >= 0u - COOKIE_FUTURE_S;
        for (size_t i = 0; is_in_time && state != COOKIE_GOOD && i < keys_n; i++) {
            if (is_of(keys[i], peer, option)) {
                state = COOKIE_GOOD;
                key = i;
            }
        }
    }
    if (state == COOKIE_GOOD && key == 0 && age <= COOKIE_RENEW_S) {
        memcpy(out, option, COOKIE_LEN);
    } else {
        make(keys[0], peer, now_unix, option, out);
    }
    return state;
}
