/* What DNS does, for the administrator: how an answer comes about, counters, the query log, and the
 * secondaries.
 *
 * Thread: HTTP threads; a trace that forwards waits up to FORWARD_TIMEOUT_MS. */
#ifndef WEB_ADMIN_DNS_H
#define WEB_ADMIN_DNS_H

#include "core/http/http.h"

#define ADMIN_LOG_DEFAULT 50u /* entries of the query log in one answer, unless asked otherwise */

/* Handlers; ctx is a const struct admin_api_options (admin_api.h). */
/* GET /api/v1/dns/trace?name=NAME[&type=TYPE]: {"text"} */
void admin_dns_trace(void *ctx, const struct http_req *req, struct http_resp *resp);
/* GET /api/v1/dns/counters: {"counts": [{"zone", "type", "rcode", "n"}], "forward": {...}}, null
 * when it is off */
void admin_dns_counters(void *ctx, const struct http_req *req, struct http_resp *resp);
/* GET /api/v1/dns/log[?n=N]: {"on", "entries": [...]}, oldest first. PUT {"on": true}. */
void admin_dns_log(void *ctx, const struct http_req *req, struct http_resp *resp);
/* GET /api/v1/dns/transfers: [{"zone", "server", "notified", "answered", "answered_at", "last"}] */
void admin_dns_transfers(void *ctx, const struct http_req *req, struct http_resp *resp);

#endif
