/* Inside web/delegate_*.c only. */
#ifndef WEB_DELEGATE_API_INTERNAL_H
#define WEB_DELEGATE_API_INTERNAL_H

#include <jansson.h>

#include "web/delegate_api.h"
#include "web/delegate_json.h"

#define DELEGATE_RETRY_AFTER_S 60 /* access's window for failures */

struct delegate_api {
    struct delegate_api_options o;
    char *server_url; /* of accounts: public_url + "/acme-dns" */
};

/* Basic credential, or nobody in open mode. */
MUST_USE struct err door_authenticate(const struct delegate_api *api, const struct http_req *req,
                                      enum delegate_door door, struct delegate_who *who,
                                      struct delegate_fault *fault);
/* Turn delegate's refusal into a fault; every other failure passes. bad_name: the word for
 * DELEGATE_BAD_NAME. */
MUST_USE struct err door_refused(struct err e, const struct delegate_refusal *refusal,
                                 const char *bad_name, struct delegate_fault *fault);
/* Answer a failure and log it, once; a failure of ours overwrites the fault. user: who asked, as
 * claimed, or "". */
void door_fail(const struct delegate_api *api, const struct http_req *req, const char *user,
               struct err e, struct delegate_fault *fault, struct http_resp *resp);
/* Takes value; NULL is answered as lack of memory. */
void door_respond(struct http_resp *resp, int status, json_t *take_value);

void door_register(void *ctx, const struct http_req *req, struct http_resp *resp);
void door_update(void *ctx, const struct http_req *req, struct http_resp *resp);
void door_health(void *ctx, const struct http_req *req, struct http_resp *resp);
void door_storage(void *ctx, const struct http_req *req, struct http_resp *resp);
void door_storage_list(void *ctx, const struct http_req *req, struct http_resp *resp);

#endif
