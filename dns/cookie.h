/* DNS cookies, the server's half (RFC 7873), made interoperable (RFC 9018): version 1, SipHash-2-4 over
 * client cookie, version, reserved octets, time and client address.
 *
 * Nothing is stored: a cookie proves that its bearer received an answer of ours at this address, within
 * the last hour. Thread: any; pure. */
#ifndef DNS_COOKIE_H
#define DNS_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/name.h"

#define COOKIE_CLIENT_LEN 8u
#define COOKIE_SERVER_LEN 16u /* of ours */
#define COOKIE_LEN (COOKIE_CLIENT_LEN + COOKIE_SERVER_LEN)
#define COOKIE_KEY_LEN 16u
#define COOKIE_OLD_S 3600u   /* RFC 9018 §4.3 */
#define COOKIE_RENEW_S 1800u /* an older one is replaced */
#define COOKIE_FUTURE_S 300u /* clocks differ */

enum cookie_state {
    COOKIE_ALONE, /* a client's cookie without a server's */
    COOKIE_GOOD,
    COOKIE_BAD /* another server's, another address's, too old, or from the future */
};

/* SipHash-2-4 with 64 bits. */
uint64_t cookie_siphash(const uint8_t key[COOKIE_KEY_LEN], const uint8_t *data, size_t len);
/* May a COOKIE option have this length (RFC 7873 §5.2.2)? */
bool cookie_is_length(size_t len);
/* The cookie to send back: out (COOKIE_LEN) is the client's with a server cookie made with keys[0]; a
 * good one of less than COOKIE_RENEW_S comes back unchanged. option: the client's, of a good length. */
enum cookie_state cookie_answer(const uint8_t (*keys)[COOKIE_KEY_LEN], size_t keys_n,
                                const struct ip_addr *peer, uint32_t now_unix,
                                const uint8_t *option, size_t len, uint8_t *out);

#endif
