/* lego's HTTP storage: the account of a name exists as soon as its client may have the name, so
 * nothing has to be stored. */
#include <string.h>

#include "core/util/mem.h"
#include "web/delegate_api_internal.h"

static json_t *account_json(const struct delegate_api *api, const struct delegate_registration *reg)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:[]}", "fulldomain", reg->fulldomain, "subdomain",
                     reg->subdomain, "username", reg->username, "password", reg->password,
                     "server_url", api->server_url, "allowfrom");
}

static struct err account(const struct delegate_api *api, const struct http_req *req,
                          struct delegate_who *who, json_t **out, struct delegate_fault *fault)
{
    struct delegate_registration reg;
    struct delegate_refusal refusal;

    TRY(door_authenticate(api, req, DOOR_STORAGE, who, fault));
    if (req->method == HTTP_POST) {
        TRY(delegate_storage_parse(req->body, req->body_len, fault));
    }
    struct err e = delegate_storage_account(api->o.delegate, who, req->tail, &reg, &refusal);
    TRY(door_refused(e, &refusal, "bad_name", fault));
    *out = account_json(api, &reg);
    mem_wipe(&reg, sizeof(reg));
    return err_ok();
}

void door_storage(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct delegate_api *api = ctx;
    struct delegate_who who;
    struct delegate_fault fault = {500, "db_error", ""};
    json_t *value = NULL;

    if (req->tail[0] == '\0' && req->method != HTTP_POST) {
        door_storage_list(ctx, req, resp);
        return;
    }
    struct err e = account(api, req, &who, &value, &fault);
    if (e.code != ERR_OK) {
        door_fail(api, req, who.client, e, &fault, resp);
        return;
    }
    /* 201 tells lego that the CNAME is there already; what it posted is not needed. */
    door_respond(resp, req->method == HTTP_POST ? 201 : 200, value);
}

/* Append the accounts of the exact names in a comma separated list of patterns. */
static struct err add_accounts(const struct delegate_api *api, const struct delegate_who *who,
                               const char *patterns, json_t *map)
{
    const char *at = patterns;

    while (*at != '\0') {
        char name[IDENT_TEXT_MAX + 1];
        struct delegate_registration reg;
        struct delegate_refusal refusal;
        at += strspn(at, ", ");
        size_t len = strcspn(at, ", ");
        if (len > 0 && len < sizeof(name) && at[0] != '*') {
            memcpy(name, at, len);
            name[len] = '\0';
            struct err e = delegate_storage_account(api->o.delegate, who, name, &reg, &refusal);
            if (e.code == ERR_OK) {
                int failed = json_object_set_new(map, name, account_json(api, &reg));
                mem_wipe(&reg, sizeof(reg));
                TRY_PTR(failed == 0 ? map : NULL);
            } else if (e.code != ERR_REJECTED) { /* refused: a name inside the delegate zone */
                return e;
            }
        }
        at += len;
    }
    return err_ok();
}

static struct err list_accounts(const struct delegate_api *api, const struct http_req *req,
                                struct delegate_who *who, json_t *map, struct delegate_fault *fault)
{
    struct access_client_info *clients = NULL;
    size_t n = 0;
    struct err e = err_ok();

    TRY(door_authenticate(api, req, DOOR_STORAGE, who, fault));
    if (who->is_open) {
        return err_ok(); /* nobody owns names in open mode */
    }
    TRY(access_list(api->o.access, &clients, &n));
    for (size_t i = 0; i < n && e.code == ERR_OK; i++) {
        if (strcmp(clients[i].name, who->client) == 0) {
            e = add_accounts(api, who, clients[i].names, map);
        }
    }
    access_list_free(clients, n);
    return e;
}

void door_storage_list(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct delegate_api *api = ctx;
    struct delegate_who who;
    struct delegate_fault fault = {500, "db_error", ""};
    AUTO(json_decrefp) json_t *map = json_object();

    struct err e = list_accounts(api, req, &who, map, &fault);
    if (e.code != ERR_OK) {
        door_fail(api, req, who.client, e, &fault, resp);
        return;
    }
    door_respond(resp, 200, MOVE(map));
}
