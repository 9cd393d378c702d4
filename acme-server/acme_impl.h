/* The inside of struct acme, for this library only. */
#ifndef ACME_SERVER_ACME_IMPL_H
#define ACME_SERVER_ACME_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "acme-server/account_cache.h"
#include "acme-server/acme.h"
#include "acme-server/base_url.h"
#include "acme-server/chaos.h"
#include "acme-server/claim.h"
#include "acme-server/limits.h"
#include "acme-server/nonce.h"
#include "acme-server/problem_page.h"
#include "acme-server/request.h"
#include "acme-server/validate.h"
#include "acme-server/validate_net.h"

#define ACME_INSTANCE_PATH "/acme/problem/"
#define ACME_ENDPOINTS 16u

/* Zone readers, lent to one thread at a time; made when all are out. */
struct reader_pool {
    pthread_mutex_t lock;
    struct zone_reader *free[ZONE_READERS_MAX];
    size_t free_n;
};

struct acme {
    const struct config *cfg;
    struct store *store;
    struct access *access;
    struct ca *ca;
    struct zone_db *zones;
    struct delegate *delegate;
    struct records *records;
    struct records_sweep swept; /* known names: where to go on; the maintenance thread's */
    int64_t sweep_due_unix;     /* not before */
    const struct resolve_config *resolve;
    _Atomic(const struct config_acme *) settings;
    const struct ip_endpoint *own;
    size_t own_n;
    struct base_urls base_urls;
    struct nonce_box *nonces;
    struct account_cache *accounts;
    struct validator *validator;
    struct limits *limits;
    struct instances *instances;
    struct chaos *chaos; /* NULL unless it is the test mode */
    struct loop *loop;
    struct lookups *lookups;
    struct val_net *net;
    pthread_mutex_t reports_lock; /* of CAA look-ups that are only reported */
    struct caa_report *reports;
    unsigned reports_n;
    _Atomic int caa_waiters;
    struct claim_table claims;
    struct reader_pool readers;
    struct acme_endpoint endpoints[ACME_ENDPOINTS];
};

/* The settings in force: valid for the life of acme, replaced by a reload. Any thread. */
const struct config_acme *acme_settings(const struct acme *acme);

MUST_USE struct err acme_reader_take(struct acme *acme, struct zone_reader **out);
void acme_reader_give(struct acme *acme, struct zone_reader *reader);

#endif
