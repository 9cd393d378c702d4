/* The acme-dns API: register, update, health. */
#include <string.h>

#include "core/util/mem.h"
#include "web/delegate_api_internal.h"

static struct err make_registration(const struct delegate_api *api, const struct http_req *req,
                                    struct delegate_who *who, struct delegate_allowfrom *allowfrom,
                                    struct delegate_registration *reg, struct delegate_fault *fault)
{
    const char *nets[DELEGATE_ALLOWFROM_MAX];
    struct delegate_refusal refusal;

    TRY(door_authenticate(api, req, DOOR_ACMEDNS, who, fault));
    TRY(delegate_register_parse(req->body, req->body_len, allowfrom, fault));
    for (size_t i = 0; i < allowfrom->n; i++) {
        nets[i] = allowfrom->nets[i];
    }
    struct err e = delegate_register(api->o.delegate, who, nets, allowfrom->n, reg, &refusal);
    return door_refused(e, &refusal, "invalid_allowfrom_cidr", fault);
}

void door_register(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct delegate_api *api = ctx;
    struct delegate_who who;
    struct delegate_allowfrom allowfrom;
    struct delegate_registration reg;
    struct delegate_fault fault = {500, "db_error", ""};

    struct err e = make_registration(api, req, &who, &allowfrom, &reg, &fault);
    if (e.code != ERR_OK) {
        door_fail(api, req, who.client, e, &fault, resp);
        return;
    }
    json_t *nets = json_array();
    for (size_t i = 0; i < allowfrom.n; i++) {
        (void)json_array_append_new(nets, json_string(allowfrom.nets[i]));
    }
    door_respond(resp, 201,
                 json_pack("{s:s, s:s, s:s, s:s, s:o}", "username", reg.username, "password",
                           reg.password, "fulldomain", reg.fulldomain, "subdomain", reg.subdomain,
                           "allowfrom", nets));
    mem_wipe(&reg, sizeof(reg));
}

static struct err update(const struct delegate_api *api, const struct http_req *req,
                         const char *user, struct delegate_update_body *body,
                         struct delegate_fault *fault)
{
    const char *key = http_header(req, "X-Api-Key");
    struct delegate_refusal refusal;

    if (user[0] == '\0' || key == NULL || key[0] == '\0') {
        return delegate_fault_set(fault, 401, "forbidden",
                                  "send the registration's username and password, or a client's "
                                  "name and secret, as X-Api-User and X-Api-Key");
    }
    TRY(delegate_update_parse(req->body, req->body_len, body, fault));
    struct err e = delegate_update(api->o.delegate, &req->peer, user, key, body->subdomain,
                                   body->txt, &refusal);
    return door_refused(e, &refusal, "bad_subdomain", fault);
}

void door_update(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct delegate_api *api = ctx;
    const char *header = http_header(req, "X-Api-User");
    const char *user = header == NULL ? "" : header;
    struct delegate_update_body body;
    struct delegate_fault fault = {500, "db_error", ""};

    struct err e = update(api, req, user, &body, &fault);
    if (e.code != ERR_OK) {
        door_fail(api, req, user, e, &fault, resp);
        return;
    }
    door_respond(resp, 200, json_pack("{s:s}", "txt", body.txt));
}

void door_health(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct delegate_api *api = ctx;
    AUTO(mem_freep) struct delegate_binding *none = NULL;
    struct delegate_fault fault = {500, "db_error", ""};
    size_t n = 0;

    /* No client has this name: a read of the store that finds nothing. */
    struct err e = delegate_bindings(api->o.delegate, "-", &none, &n);
    if (e.code != ERR_OK) {
        door_fail(api, req, "", e, &fault, resp);
        return;
    }
    door_respond(resp, 200, json_pack("{s:s}", "status", "ok"));
}
