/* Rate limits and the number of validations under way, in bounded memory.
 *
 * A sliding count per key and hour: new accounts per network (/24, /48), orders per account, failed
 * validations per account and identifier; and gauges for validations
 * under way (validate_places.h). Tables forget the keys that were quiet the longest when they are full; nothing is
 * stored. Who is exempt (loopback, clients with limits: false) is the caller's to ask.
 * Thread: any; leaf lock. */
#ifndef ACME_SERVER_LIMITS_H
#define ACME_SERVER_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"
#include "core/util/name.h"

#define LIMITS_KEYS_MAX 8192u /* of each kind */
#define LIMITS_KEY_MAX 320u   /* characters */
#define LIMITS_WINDOW_S 3600

enum limit_kind { LIMIT_NEW_ACCOUNTS, LIMIT_ORDERS, LIMIT_FAILED_VALIDATIONS, LIMIT_KINDS_N };
/* "new accounts per network", ...: for problem details. */
const char *limit_name(enum limit_kind kind);

struct limits;
MUST_USE struct err limits_new(struct limits **out);
void limits_free(struct limits *limits);
/* Is another event of this key within max (0 = unlimited) per hour? *retry_after_s: when not, in
 * how many seconds it will be (at least 1). Counts nothing. */
bool limits_allow(struct limits *limits, enum limit_kind kind, const char *key, int64_t max,
                  int64_t *retry_after_s);
void limits_count(struct limits *limits, enum limit_kind kind, const char *key, int64_t max);
/* Both in one step, so that two requests cannot take the last place. */
bool limits_take(struct limits *limits, enum limit_kind kind, const char *key, int64_t max,
                 int64_t *retry_after_s);
/* The key of a peer's network: "10.1.2.0/24", "fd00:1:2::/48". */
void limits_network_key(const struct ip_addr *peer, char out[IP_TEXT_MAX + 5]);

/* Gauges, exact while fewer than LIMITS_KEYS_MAX keys are in use (then gauge_enter refuses). */
struct gauge;
MUST_USE struct err gauge_new(struct gauge **out);
void gauge_free(struct gauge *gauge);
bool gauge_enter(struct gauge *gauge, const char *key, int64_t max);
void gauge_leave(struct gauge *gauge, const char *key);

#endif
