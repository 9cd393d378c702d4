/* The admin API's view of orders: what happened, for `bailiwick order`. On control.sock only.
 *
 * Handlers of core/http; ctx is struct acme. Thread: HTTP threads. */
#ifndef WEB_ADMIN_ORDERS_H
#define WEB_ADMIN_ORDERS_H

#include "core/http/http.h"

#define ADMIN_ORDERS_MAX 100u

/* GET /api/v1/orders: the newest ADMIN_ORDERS_MAX. */
void admin_orders_list(void *ctx, const struct http_req *req, struct http_resp *resp);
/* GET /api/v1/orders/<id of an order, or of a problem document's instance> */
void admin_orders_show(void *ctx, const struct http_req *req, struct http_resp *resp);

#endif
