/* The daemon: owns every long-lived object, starts them in order, stops them backwards.
 *
 * Thread: main only. */
#ifndef BAILIWICK_APP_H
#define BAILIWICK_APP_H

#include <stdbool.h>

#include "core/access/access.h"
#include "core/store/store.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "dns/delegate.h"
#include "dns/zone.h"
#include "dns/zone_records.h"

/* Run until SIGTERM or SIGINT. ERR_BUSY: another process holds the state directory or an address;
 * ERR_CONFIG; ERR_IO. SIGHUP reads the configuration and the tls: files again; what can change while
 * running does, the rest is named in the log. is_chaos: acme-server/chaos.h. */
MUST_USE struct err app_run(const struct config *cfg, bool is_chaos);

/* Create state directory, database, CA and our own certificate without serving. Nothing is changed
 * where they exist. */
MUST_USE struct err app_init(const struct config *cfg, bool is_chaos);

/* The store of a daemon that does not run, under the state directory's lock: for `bailiwick
 * client`, `record` and `zone`. ERR_BUSY when it runs. */
struct app_offline {
    const struct config *cfg;
    int lock_fd;
    struct store *store;
    struct access *access;
    struct zone_db *zones;
    struct records *records;
    struct delegate *delegate;
};
MUST_USE struct err app_offline_open(const struct config *cfg, struct app_offline **out);
void app_offline_close(struct app_offline *offline);

#endif
