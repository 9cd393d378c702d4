/* Response rate limiting for UDP: answers per second to one network (/24, /56), so that we are no
 * amplifier. Every second answer above the limit is sent truncated and empty (slip 2), so that an honest
 * client comes back over TCP; the rest is dropped. Clients with a good cookie are not limited. One table
 * of atomics for all threads, fixed size, no lock, no allocation after rrl_new(). Networks that share a word
 * of it share what they may. Thread: any. */
#ifndef DNS_RRL_H
#define DNS_RRL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/util/err.h"
#include "core/util/name.h"

enum rrl_verdict { RRL_SEND, RRL_SLIP, RRL_DROP };
struct rrl;
/* per_second 1 to 1,000,000 (else ERR_CONFIG); a network may save up one second's worth. ERR_NOMEM,
 * ERR_CRYPTO: no random octets. */
MUST_USE struct err rrl_new(uint32_t per_second, struct rrl **out);
/* No rrl_check() may be under way. NULL is fine. */
void rrl_free(struct rrl *rrl);
/* What becomes of one answer to peer; RRL_SEND is counted against its network. now_ms: of clock_mono_ms(),
 * a batch may share one. */
enum rrl_verdict rrl_check(struct rrl *rrl, const struct ip_addr *peer, int64_t now_ms);

#endif
