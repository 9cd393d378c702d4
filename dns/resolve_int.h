/* Inside dns/resolve*.c only: one question to one server. */
#ifndef DNS_RESOLVE_INT_H
#define DNS_RESOLVE_INT_H

#include <ldns/ldns.h>

#include "dns/resolve.h"

/* Ask `server` for the TXT records of `name` (recursion desired), over UDP and, when the answer is
 * cut, TCP. The answer's id, question and peer were checked; its RCODE was not. *why receives a
 * phrase when it fails. ERR_TIMEOUT, ERR_IO, ERR_MALFORMED. *out: ldns_pkt_free(). */
MUST_USE struct err resolve_ask(const struct ip_endpoint *server, const char *name,
                                int64_t deadline_ms, ldns_pkt **out, const char **why);

#endif
