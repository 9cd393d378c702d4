/* What everybody may read: the root certificate and how to trust it (also on plain HTTP), the start
 * page, liveness and readiness.
 *
 * The pages hold nothing secret; they are built once and served from memory. Plain HTTP carries the
 * trust pages only; their reader is told to compare the fingerprint. Thread: handlers on HTTP
 * threads; ca and cfg are borrowed for the object's life. */
#ifndef WEB_PUBLIC_PAGES_H
#define WEB_PUBLIC_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "ca/ca.h"
#include "core/http/http.h"
#include "core/util/config.h"
#include "core/util/err.h"

struct public_pages_options {
    const struct config *cfg;
    const struct ca *ca;
    /* Is the daemon able to work (store readable, zones loaded)? NULL: always. Asked by /readyz;
     * any thread. */
    bool (*is_ready)(void *ctx);
    void *is_ready_ctx;
};

struct public_pages;
MUST_USE struct err public_pages_new(const struct public_pages_options *options,
                                     struct public_pages **out);
void public_pages_free(struct public_pages *pages);
/* Append the routes. ERR_LIMIT when they do not fit. */
MUST_USE struct err public_pages_routes(struct public_pages *pages, struct http_route *routes,
                                        size_t cap, size_t *n);

#endif
