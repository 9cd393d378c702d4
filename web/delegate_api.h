/* The doors for TXT values over HTTPS: lego httpreq, acme-dns, lego's HTTP storage. Each checks a
 * client's credential (or open mode) and ends in delegate_publish(), delegate_update(),
 * delegate_register() or delegate_storage_account(), which apply policy.
 *
 * Errors are 4xx/5xx JSON {"error": <acme-dns's word>, "detail": <sentence>} and one warning in the
 * log, without secrets. Thread: handlers on HTTP threads; the options' objects are borrowed for the
 * API's life. */
#ifndef WEB_DELEGATE_API_H
#define WEB_DELEGATE_API_H

#include <stddef.h>

#include "core/access/access.h"
#include "core/http/http.h"
#include "core/util/config.h"
#include "core/util/err.h"
#include "dns/delegate.h"

struct delegate_api_options {
    const struct config *cfg;
    struct access *access;
    struct delegate *delegate;
};

struct delegate_api;
MUST_USE struct err delegate_api_new(const struct delegate_api_options *options,
                                     struct delegate_api **out);
void delegate_api_free(struct delegate_api *api);
/* Append the routes (HTTP_ON_TLS only). ERR_LIMIT when they do not fit. */
MUST_USE struct err delegate_api_routes(struct delegate_api *api, struct http_route *routes,
                                        size_t cap, size_t *n);

#endif
