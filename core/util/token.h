/* Text codings (base64url, base64, hex, base32), random values, SHA-256, HMAC-SHA256, constant-time
 * compare.
 *
 * Decoders take a length and never read past it; they refuse padding, white space and other
 * alphabets unless said.
 * Thread rule: any; no I/O beyond the system's random source. */
#ifndef CORE_UTIL_TOKEN_H
#define CORE_UTIL_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/buf.h"
#include "core/util/err.h"

#define SHA256_LEN 32u
#define SHA256_B64_LEN 43u /* base64url of a SHA-256 digest, no padding */
#define OBJECT_ID_LEN 22u  /* base64url of 128 random bits */
#define UUID_TEXT_LEN 36u
#define BASE64URL_LEN(n) (((n)*4u + 2u) / 3u)

/* base64url without padding (RFC 4648 §5).  out needs BASE64URL_LEN(len) + 1 bytes; terminated. */
void base64url_encode(const void *data, size_t len, char *out);
/* Strict: no padding, no white space, canonical trailing bits.  *out_len is in: capacity, out:
 * bytes written. ERR_MALFORMED, ERR_LIMIT when out is too small. */
MUST_USE struct err base64url_decode(const char *text, size_t len, uint8_t *out, size_t *out_len);
/* Either alphabet (RFC 4648 §4 or §5), padding accepted: HTTP Basic, EAB and TSIG secrets. */
MUST_USE struct err base64_decode_any(const char *text, size_t len, uint8_t *out, size_t *out_len);
/* RFC 4648 §4 with padding; appended to b. */
void base64_encode(struct buf *b, const void *data, size_t len);
/* Lower-case hex; out needs 2 * len + 1 bytes. */
void hex_encode(const void *data, size_t len, char *out);
/* Lower-case base32 (RFC 4648 §6 alphabet) without padding; out needs (len * 8 + 4) / 5 + 1
 * bytes. */
void base32_encode(const void *data, size_t len, char *out);

/* Cryptographically strong random bytes; ERR_CRYPTO if the system cannot give them. */
MUST_USE struct err random_bytes(void *out, size_t len);
/* A random object id: OBJECT_ID_LEN base64url characters, terminated. */
MUST_USE struct err random_id(char out[OBJECT_ID_LEN + 1]);
/* A random version 4 UUID in text form (RFC 9562 §5.4). */
MUST_USE struct err random_uuid(char out[UUID_TEXT_LEN + 1]);
/* Random letters and digits, n characters plus terminator. */
MUST_USE struct err random_alnum(char *out, size_t n);

MUST_USE struct err sha256(const void *data, size_t len, uint8_t out[SHA256_LEN]);
/* The same without allocation and without failure, for the DNS query path; slower on long
 * inputs. */
void sha256_plain(const void *data, size_t len, uint8_t out[SHA256_LEN]);
MUST_USE struct err hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                                uint8_t out[SHA256_LEN]);
/* Equal length and content, in time that depends on the length only. */
bool ct_equal(const void *a, size_t a_len, const void *b, size_t b_len);
/* n characters, all in [A-Za-z0-9_-]. */
bool is_base64url(const char *s, size_t n);

#endif
