#include "web/admin_orders.h"

#include "acme-server/acme.h"
#include "core/util/log.h"
#include "web/admin_api.h"

static void reply(struct http_resp *resp, struct err e, const char *missing)
{
    if (e.code == ERR_OK) {
        resp->status = 200;
        resp->content_type = "application/json";
        return;
    }
    buf_reset(&resp->body);
    if (e.code == ERR_NOT_FOUND) {
        admin_problem(resp, 404, missing);
        return;
    }
    log_err(LOG_ERROR, "admin.orders", e);
    admin_problem(resp, 500, err_trace()->text);
}

void admin_orders_list(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)req;
    reply(resp, acme_orders_describe(ctx, ADMIN_ORDERS_MAX, &resp->body), "there is no order");
}

void admin_orders_show(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    reply(resp, acme_describe(ctx, req->tail, &resp->body),
          "there is no order and no problem document with this id: timelines are kept for the last "
          "1,000 orders, refusals outside orders in memory only");
}
