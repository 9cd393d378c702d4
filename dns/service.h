/* What work threads do with a request: its TSIG is checked, then it is an update, a transfer or a plain
 * question that is answered as the DNS threads do, and the answer is signed.
 *
 * A failed TSIG is answered FORMERR, or NOTAUTH with the TSIG error (RFC 8945 §5.2, §5.3.2); NOTIFY is
 * NOTIMP (we are nobody's secondary), an unsigned UPDATE REFUSED. Signed questions are never forwarded:
 * what comes back could not be signed. Thread: work threads. */
#ifndef DNS_SERVICE_H
#define DNS_SERVICE_H

#include "core/access/access.h"
#include "core/util/config.h"
#include "dns/answer.h"
#include "dns/request.h"
#include "dns/transfer.h"
#include "dns/update.h"
#include "dns/watch.h"
#include "dns/zone.h"

struct dns_service_options {
    const struct config *cfg;
    struct access *access;
    struct zone_db *zones;
    struct update *update;
    struct transfer *transfer;
    struct watch *watch; /* NULL: off */
};
struct dns_service;
/* options: copied; what it points at outlives *out. ERR_NOMEM. */
MUST_USE struct err dns_service_new(const struct dns_service_options *options,
                                    struct dns_service **out);
/* No request may be under way: behind work_free(). NULL is fine. */
void dns_service_free(struct dns_service *service);
/* A work_fn (work.h): ctx is the struct dns_service. Ends the request. */
void dns_service_handle(void *ctx, struct dns_request *request);
/* A work_may_fn: false when the address alone says that the AXFR or IXFR will be refused. */
bool dns_service_may_transfer(void *ctx, struct dns_request *request);
/* A work_check_fn: true when it is allowed, its signature included; the request is then as it came, and
 * its signature's time counts as of now. False: it was refused, and ended. */
bool dns_service_is_transfer_allowed(void *ctx, struct dns_request *request);

#endif
