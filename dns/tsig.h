/* TSIG (RFC 8945): finding, checking and making the signature record; keys are the clients of
 * core/access (key name = client name, case-insensitive).
 *
 * HMAC by OpenSSL over the bytes as they came. Checked: one TSIG, last in the additional section, class
 * ANY, TTL 0, nothing behind it (else FORMERR, §5.1); algorithm known and allowed, key known, peer in
 * the client's networks (BADKEY, §5.2.1: a key that is not for this peer is no key here; the log line
 * says which it was); MAC length (longer than the hash, or shorter than half of it or 10 octets:
 * FORMERR, §5.2.2.1); MAC in constant time (BADSIG); time within fudge, at most TSIG_FUDGE_S (BADTIME, §5.2.3); truncation
 * to less than TSIG_MAC_MIN octets (BADTRUNC, §5.2.4).
 * Failures over TCP count towards access's throttle. Those over UDP do not: its source addresses can
 * be forged, and a flood in somebody's name must not lock that somebody out. For the same reason a
 * right MAC is taken whatever the throttle says: a MAC key has at least 192 bits and is not found by
 * trying.
 * Not checked: what the client may do; that times of one key only grow (§5.2.3, a SHOULD): programs
 * that share a key, and UDP, reorder. update.h knows a repeated update by its MAC instead.
 * Thread: any. */
#ifndef DNS_TSIG_H
#define DNS_TSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/access/access.h"
#include "core/util/err.h"
#include "core/util/name.h"

#define TSIG_MAC_MAX 64u
#define TSIG_MAC_MIN 16u /* what we take of a truncated MAC (local policy): 128 bits */
#define TSIG_FUDGE_S 300u
#define TSIG_RR_MAX 560u /* octets that tsig_sign() adds at most; see tsig_room() */
#define TSIG_BADSIG 16u
#define TSIG_BADKEY 17u
#define TSIG_BADTIME 18u
#define TSIG_BADTRUNC 22u

enum tsig_alg {
    TSIG_HMAC_MD5 = 1,
    TSIG_HMAC_SHA1,
    TSIG_HMAC_SHA224,
    TSIG_HMAC_SHA256,
    TSIG_HMAC_SHA384,
    TSIG_HMAC_SHA512
};

/* Everything an answer needs to know of the request's TSIG. */
struct tsig {
    bool is_present;
    bool is_verified;                 /* the client below signed it, just now */
    char client[CLIENT_NAME_MAX + 1]; /* "" unless verified (or BADTIME, BADTRUNC) */
    enum tsig_alg alg;                /* 0: unknown */
    uint8_t key_name[NAME_WIRE_MAX], alg_name[NAME_WIRE_MAX]; /* wire, lower case */
    size_t key_name_len, alg_name_len;
    uint8_t key[ACCESS_KEY_MAX]; /* wiped by tsig_clear() */
    size_t key_len;
    uint8_t mac[TSIG_MAC_MAX]; /* the request's, then the last answer's */
    size_t mac_len;
    size_t mac_whole_len; /* what we sign with: as long as the request's */
    uint64_t time;        /* the request's, seconds; 48 bits */
    uint16_t fudge;       /* the request's */
    uint16_t error;       /* 0 or TSIG_BAD... */
    bool is_continued;    /* an answer was signed: later ones cover time and fudge only (§5.3.1) */
};
void tsig_clear(struct tsig *tsig);

enum tsig_verdict {
    TSIG_NONE,    /* no TSIG */
    TSIG_OK,      /* verified */
    TSIG_FORMERR, /* answer FORMERR, unsigned */
    TSIG_NOTAUTH /* answer NOTAUTH with a TSIG that carries tsig->error; tsig_sign() knows whether to
                     sign (BADTIME, BADTRUNC) or not */
};
struct tsig_options {
    struct access *access;
    bool is_md5_allowed; /* dns.hmac_md5 */
    bool is_tcp;         /* the peer's address is its own: failures count */
    const struct ip_addr *peer;
    int64_t now_unix;
};
/* Look at a whole request packet. With a TSIG that can be read (TSIG_OK, TSIG_NOTAUTH) *len shrinks by
 * that record and ARCOUNT with it, so that the rest can be read as if it had none; the id stays as it
 * came (a forwarder's answer goes to the forwarder, §5.5), the MAC is over the original one. Logs each
 * failure in words (key name, peer, what to do: clock skew in seconds, unknown key), at most
 * TSIG_LOGS_PER_S a second, and the use of MD5 once a minute. MD5 when it is not allowed: BADKEY. A
 * packet whose records cannot be walked is TSIG_FORMERR. */
#define TSIG_LOGS_PER_S 10
enum tsig_verdict tsig_check(const struct tsig_options *options, uint8_t *packet, size_t *len,
                             struct tsig *tsig);
/* The octets that the next tsig_sign() will add; 0 when there was no TSIG. */
size_t tsig_room(const struct tsig *tsig);
/* Append the TSIG record to an answer of *len octets in a buffer of cap; ARCOUNT grows; nothing when the
 * request had none. Signs with the request's key and algorithm and chains MACs over a multi-message
 * answer. ERR_LIMIT: no room. */
MUST_USE struct err tsig_sign(struct tsig *tsig, int64_t now_unix, uint8_t *packet, size_t *len,
                              size_t cap);
/* Sign a request of ours (NOTIFY) as `client`, HMAC-SHA256. ERR_NOT_FOUND: no such client. *tsig is then
 * ready for tsig_check_answer(). */
MUST_USE struct err tsig_sign_request(struct access *access, const char *client, int64_t now_unix,
                                      struct tsig *tsig, uint8_t *packet, size_t *len, size_t cap);
/* Is the answer to a request of ours signed by the same key? */
bool tsig_check_answer(struct tsig *tsig, int64_t now_unix, const uint8_t *packet, size_t len);

#endif
