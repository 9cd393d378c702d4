/* The inside of struct acme, for this library only. */
#ifndef ACME_SERVER_ACME_IMPL_H
#define ACME_SERVER_ACME_IMPL_H

#include <pthread.h>

#include "acme-server/account_cache.h"
#include "acme-server/acme.h"
#include "acme-server/base_url.h"
#include "acme-server/claim.h"
#include "acme-server/nonce.h"
#include "acme-server/request.h"
#include "acme-server/validate.h"

#define ACME_ENDPOINTS 8u

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
    const struct resolve_config *resolve;
    struct base_urls base_urls;
    struct nonce_box *nonces;
    struct account_cache *accounts;
    struct validator *validator;
    struct claim_table claims;
    struct reader_pool readers;
    struct acme_endpoint endpoints[ACME_ENDPOINTS];
};

MUST_USE struct err acme_reader_take(struct acme *acme, struct zone_reader **out);
void acme_reader_give(struct acme *acme, struct zone_reader *reader);

#endif
