/* The maintenance thread: expiry and clean-up every few seconds, renewal of our own HTTPS
 * certificate.
 *
 * Thread: start and stop from main; poke from any. */
#ifndef BAILIWICK_MAINTENANCE_H
#define BAILIWICK_MAINTENANCE_H

#include <stdatomic.h>
#include <stdint.h>

#include "acme-server/acme.h"
#include "ca/ca.h"
#include "core/http/http.h"
#include "core/store/store.h"
#include "core/util/config.h"
#include "dns/delegate.h"

#define MAINTENANCE_PERIOD_MS 5000
#define MAINTENANCE_CERTIFICATE_PERIOD_MS 60000

struct maintenance_options {
    const struct config *cfg;
    struct store *store;
    struct ca *ca;
    struct delegate *delegate;
    struct acme *acme;
    struct http_server *http;
    struct http_tls *tls; /* the certificate in use; the thread owns it while it runs */
    _Atomic int64_t *https_not_after;
};

struct maintenance;
MUST_USE struct err maintenance_start(const struct maintenance_options *options,
                                      struct maintenance **out);
/* Look at the HTTPS certificate now (SIGHUP). */
void maintenance_poke(struct maintenance *m);
/* NULL is fine. */
void maintenance_stop(struct maintenance *m);

#endif
