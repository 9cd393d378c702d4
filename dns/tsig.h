/* TSIG (RFC 8945): finding, checking and making the signature record; keys are the clients of
 * core/access (key name = client name, case-insensitive).
 *
 * HMAC by OpenSSL over the bytes as they came. Checked: one TSIG, last in the additional section, class
 * ANY, TTL 0, nothing behind it (else FORMERR, §5.1); algorithm known and allowed, key known (BADKEY,
 * §5.2.1); MAC length (whole, or truncated to at least half and 10 octets: BADTRUNC, §5.2.2.1); MAC in
 * constant time (BADSIG); time within fudge, and not before the last one seen of that key where asked
 * (BADTIME, §5.2.3). Failures count towards access's throttle. Not checked: what the client may do.
 * Thread: any. */
#ifndef DNS_TSIG_H
#define DNS_TSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/access/access.h"
#include "core/util/err.h"

#define TSIG_MAC_MAX 64u
#define TSIG_FUDGE_S 300u
#define TSIG_RR_MAX 400u /* octets that tsig_sign() adds at most */
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
    char client[CLIENT_NAME_MAX + 1]; /* "" unless verified (or BADTIME) */
    enum tsig_alg alg;
    uint8_t key_name[256], alg_name[64]; /* wire */
    size_t key_name_len, alg_name_len;
    uint8_t key[ACCESS_KEY_MAX]; /* wiped by tsig_clear() */
    size_t key_len;
    uint8_t mac[TSIG_MAC_MAX]; /* the request's, then the last answer's */
    size_t mac_len;
    size_t mac_whole_len; /* what we sign with: as long as the request's */
    uint64_t time;        /* the request's, seconds; 48 bits */
    uint16_t original_id;
    uint16_t error;    /* 0 or TSIG_BAD... */
    bool is_continued; /* an answer was signed: later ones cover time and fudge only (§5.3.1) */
};
void tsig_clear(struct tsig *tsig);

enum tsig_verdict {
    TSIG_NONE,    /* no TSIG */
    TSIG_OK,      /* verified */
    TSIG_FORMERR, /* answer FORMERR, unsigned */
    TSIG_NOTAUTH /* answer NOTAUTH with a TSIG that carries tsig->error; tsig_sign() knows whether to
                     sign (BADTIME) or not */
};
struct tsig_options {
    struct access *access;
    bool is_md5_allowed; /* dns.hmac_md5 */
    const struct ip_addr *peer;
    int64_t now_unix;
};
/* Look at a whole request packet. *len shrinks by the TSIG record and ARCOUNT with it (packet is
 * changed so; the original id is put back), so that the rest can be read as if it had none. Logs each
 * failure in words (key name, peer, what to do: clock skew in seconds, unknown key), and the use of MD5
 * once a minute. MD5 when it is not allowed: BADKEY. */
enum tsig_verdict tsig_check(const struct tsig_options *options, uint8_t *packet, size_t *len,
                             struct tsig *tsig);
/* Append the TSIG record to an answer of *len octets in a buffer of cap; ARCOUNT grows. Signs with the
 * request's key and algorithm and chains MACs over a multi-message answer. ERR_LIMIT: no room. */
MUST_USE struct err tsig_sign(struct tsig *tsig, int64_t now_unix, uint8_t *packet, size_t *len,
                              size_t cap);
/* Sign a request of ours (NOTIFY) as `client`, HMAC-SHA256. ERR_NOT_FOUND: no such client. *tsig is then
 * ready for tsig_check_answer(). */
MUST_USE struct err tsig_sign_request(struct access *access, const char *client, int64_t now_unix,
                                      struct tsig *tsig, uint8_t *packet, size_t *len, size_t cap);
/* Is the answer to a request of ours signed by the same key? */
bool tsig_check_answer(struct tsig *tsig, int64_t now_unix, const uint8_t *packet, size_t len);
const char *tsig_alg_text(enum tsig_alg alg); /* "hmac-sha256" */

#endif
