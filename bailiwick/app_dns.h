/* The DNS side of the daemon: listeners, work threads, updates, transfers, forwarding, and what watches
 * them, opened, started and stopped in the one order that works.
 *
 * Thread: main only. */
#ifndef BAILIWICK_APP_DNS_H
#define BAILIWICK_APP_DNS_H

#include <stddef.h>

#include "core/access/access.h"
#include "core/store/store.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "dns/delegate.h"
#include "dns/forward.h"
#include "dns/rrl.h"
#include "dns/server.h"
#include "dns/service.h"
#include "dns/transfer.h"
#include "dns/update.h"
#include "dns/watch.h"
#include "dns/work.h"
#include "dns/zone_records.h"

struct app_dns {
    struct watch *watch;
    struct rrl *rrl; /* NULL: no limit */
    struct update *update;
    struct transfer *transfer;
    struct forward *forward; /* NULL: off */
    struct dns_service *service;
    struct work *work;
    struct dns_server *server;
    struct ip_endpoint *own; /* the listeners, with the ports that were picked */
    size_t own_n;
};
struct app_dns_options { /* borrowed */
    const struct config *cfg;
    struct store *store;
    struct access *access;
    struct zone_db *zones;
    struct records *records;
    struct delegate *delegate;
};
/* Make everything but the sockets. *dns: zeroed; app_dns_close() also after a failure. */
MUST_USE struct err app_dns_open(struct app_dns *dns, const struct app_dns_options *options);
/* Bind the sockets; nothing is answered yet. */
MUST_USE struct err app_dns_bind(struct app_dns *dns, const struct app_dns_options *options);
/* Answer. */
MUST_USE struct err app_dns_start(struct app_dns *dns);
void app_dns_close(struct app_dns *dns);

#endif
