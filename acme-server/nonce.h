/* Replay nonces (RFC 8555 §6.5) that cost no database row: counter + issue time + truncated HMAC
 * under a per-process key, and a bitmap of the last NONCE_WINDOW counters. Memory is fixed. A
 * restart makes old ones badNonce, which clients retry. Thread: any. */
#ifndef ACME_SERVER_NONCE_H
#define ACME_SERVER_NONCE_H

#include <stdint.h>

#include "acme-server/problem.h"
#include "core/util/err.h"

#define NONCE_WINDOW (1u << 18)
#define NONCE_TTL_S 3600
#define NONCE_LEN 43u /* at most; text without terminator */

struct nonce_box;
MUST_USE struct err nonce_box_new(struct nonce_box **out);
void nonce_box_free(struct nonce_box *box);
/* A fresh nonce, base64url, terminated. */
MUST_USE struct err nonce_issue(struct nonce_box *box, char out[NONCE_LEN + 1]);
/* ERR_REJECTED badNonce: foreign, stale (older than NONCE_TTL_S or out of the window), or used
 * before. */
MUST_USE struct err nonce_consume(struct nonce_box *box, const char *nonce, struct problem *prob);

#endif
