/* struct acme's life, its routes, and what the HTTP server says on its own below /acme/. */
#include <stdio.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/acme_store.h"
#include "acme-server/handlers.h"
#include "acme-server/validate_job.h"
#include "acme-server/withdraw.h"
#include "core/util/log.h"
#include "core/util/mem.h"

struct route_row {
    const char *path;
    enum acme_key_mode key_mode;
    struct err (*handler)(struct acme_req *r);
};

static const struct route_row POSTS[] = {
    {"/acme/directory", ACME_KEY_ACCOUNT, acme_directory_as_get},
    {"/acme/new-nonce", ACME_KEY_ACCOUNT, acme_new_nonce_as_get},
    {"/acme/new-account", ACME_KEY_NEW, acme_new_account},
    {"/acme/account/*", ACME_KEY_ACCOUNT, acme_account},
    {"/acme/new-order", ACME_KEY_ACCOUNT, acme_new_order},
    {"/acme/order/*", ACME_KEY_ACCOUNT, acme_order},
    {"/acme/authz/*", ACME_KEY_ACCOUNT, acme_authz},
    {"/acme/challenge/*", ACME_KEY_ACCOUNT, acme_challenge},
    {"/acme/certificate/*", ACME_KEY_ACCOUNT, acme_certificate},
    {"/acme/new-authz", ACME_KEY_ACCOUNT, acme_new_authz},
    {"/acme/key-change", ACME_KEY_ACCOUNT, acme_key_change},
    {"/acme/revoke-cert", ACME_KEY_EITHER, acme_revoke},
    {"/acme/p/*", ACME_KEY_ACCOUNT, acme_pinned},
    {"/acme/problem/*", ACME_KEY_ACCOUNT, acme_problem_page},
};
_Static_assert(ARRAY_N(POSTS) <= ACME_ENDPOINTS, "endpoints");

static struct err parts_new(struct acme *acme, const struct acme_options *options)
{
    TRY(base_urls_init(&acme->base_urls, options->cfg, options->https_port));
    TRY(nonce_box_new(&acme->nonces));
    TRY(account_cache_new(ACME_ACCOUNT_CACHE, &acme->accounts));
    TRY(limits_new(&acme->limits));
    TRY(instances_new(&acme->instances));
    if (options->is_chaos) {
        TRY(chaos_new(&acme->chaos));
    }
    TRY(validator_new(acme, &acme->validator));
    TRY(access_on_remove(options->access, acme_client_removed, acme));
    delegate_on_value(options->delegate, validator_on_value, acme->validator);
    return err_ok();
}

struct err acme_new(const struct acme_options *options, struct acme **out)
{
    struct acme *acme = mem_zalloc(sizeof(*acme));

    TRY_PTR(acme);
    acme->cfg = options->cfg;
    acme->store = options->store;
    acme->access = options->access;
    acme->ca = options->ca;
    acme->zones = options->zones;
    acme->delegate = options->delegate;
    acme->records = options->records;
    acme->resolve = options->resolve;
    acme->own = options->own;
    acme->own_n = options->own_n;
    atomic_store(&acme->settings, &options->cfg->acme);
    (void)pthread_mutex_init(&acme->reports_lock, NULL);
    claim_table_init(&acme->claims);
    (void)pthread_mutex_init(&acme->readers.lock, NULL);
    struct err e = parts_new(acme, options);
    if (e.code != ERR_OK) {
        acme_free(acme);
        return e;
    }
    for (size_t i = 0; i < ARRAY_N(POSTS); i++) {
        acme->endpoints[i] = (struct acme_endpoint){acme, POSTS[i].key_mode, POSTS[i].handler};
    }
    *out = acme;
    return err_ok();
}

const struct config_acme *acme_settings(const struct acme *acme)
{
    return atomic_load_explicit(&acme->settings, memory_order_acquire);
}

void acme_reload(struct acme *acme, const struct config_acme *settings)
{
    atomic_store_explicit(&acme->settings, settings, memory_order_release);
}

static struct err resume_job(struct acme *acme, const struct authz_row *authz,
                             enum challenge_type type, const char *base)
{
    struct val_job job = {.is_limited = false};
    const char *why = "";

    TRY(validate_target(authz, type, base, &job.target));
    if (type == CHALLENGE_DNSACCOUNT01) {
        TRY(validate_expect_account(acme, &job.target, authz->expires_unix));
    }
    struct err e = validator_add(acme->validator, &job, &why);
    if (e.code != ERR_LIMIT) {
        TRY(e);
        validator_wake(acme->validator, &job.target);
        return err_ok();
    }
    /* Not a reason to stay down: its client's next POST takes it up again. */
    log_err(LOG_WARN, "acme.resume", e);
    return err_ok();
}

static struct err resume(void *ctx, const struct waiting_row *row)
{
    struct acme *acme = ctx;
    struct authz_row authz = {.ident = row->ident, .expires_unix = row->expires_unix};
    struct val_target dns01;
    char base[BASE_URL_MAX + 1];

    (void)snprintf(base, sizeof(base), "https://%s", acme->base_urls.authority);
    memcpy(authz.id, row->authz_id, sizeof(authz.id));
    memcpy(authz.account_id, row->account_id, sizeof(authz.account_id));
    memcpy(authz.seed, row->seed, sizeof(authz.seed));
    memcpy(authz.thumbprint, row->thumbprint, sizeof(authz.thumbprint));
    memcpy(authz.client, row->client, sizeof(authz.client));
    TRY(validate_target(&authz, CHALLENGE_DNS01, base, &dns01));
    if (!row->ident.is_ip) {
        delegate_expect(acme->delegate, &row->ident, dns01.digest, row->expires_unix);
    }
    for (int t = 0; t < CHALLENGE_TYPES_N; t++) {
        if (row->is_processing[t]) {
            TRY(resume_job(acme, &authz, (enum challenge_type)t, base));
        }
    }
    return err_ok();
}

static struct err resume_fn(struct db *db, void *arg)
{
    return acme_db_waiting(db, resume, arg);
}

static struct err net_new(struct acme *acme)
{
    TRY(loop_new(&acme->loop));
    TRY(lookups_new(acme->loop, acme->resolve, acme->zones, &acme->lookups));
    const struct val_net_options options = {acme, acme->loop, acme->lookups, acme->own,
                                            acme->own_n};
    return val_net_new(&options, &acme->net);
}

struct err acme_start(struct acme *acme)
{
    TRY(acme_forget_gone(acme));
    TRY(acme_tell_known(acme));
    TRY(net_new(acme));
    TRY(store_read(acme->store, "acme.resume", resume_fn, acme));
    TRY(loop_start(acme->loop));
    return validator_start(acme->validator, ACME_VALIDATORS);
}

void acme_free(struct acme *acme)
{
    if (acme == NULL) {
        return;
    }
    delegate_on_value(acme->delegate, NULL, NULL);
    if (acme->loop != NULL) {
        loop_stop(acme->loop);
    }
    validator_stop(acme->validator);
    val_net_free(acme->net);
    caa_reports_free(acme);
    lookups_free(acme->lookups);
    loop_free(acme->loop);
    validator_free(acme->validator);
    while (acme->readers.free_n > 0) {
        zone_reader_free(acme->readers.free[--acme->readers.free_n]);
    }
    (void)pthread_mutex_destroy(&acme->readers.lock);
    (void)pthread_mutex_destroy(&acme->reports_lock);
    claim_table_clear(&acme->claims);
    account_cache_free(acme->accounts);
    nonce_box_free(acme->nonces);
    limits_free(acme->limits);
    instances_free(acme->instances);
    chaos_free(acme->chaos);
    mem_free(acme);
}

struct err acme_reader_take(struct acme *acme, struct zone_reader **out)
{
    struct reader_pool *pool = &acme->readers;
    struct zone_reader *reader = NULL;

    (void)pthread_mutex_lock(&pool->lock);
    if (pool->free_n > 0) {
        reader = pool->free[--pool->free_n];
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (reader == NULL) {
        return zone_reader_new(acme->zones, out);
    }
    *out = reader;
    return err_ok();
}

void acme_reader_give(struct acme *acme, struct zone_reader *reader)
{
    struct reader_pool *pool = &acme->readers;

    (void)pthread_mutex_lock(&pool->lock);
    /* There are never more than ZONE_READERS_MAX of them. */
    pool->free[pool->free_n++] = reader;
    (void)pthread_mutex_unlock(&pool->lock);
}

static struct err route_add(struct http_route *routes, size_t cap, size_t *n,
                            const struct http_route *route)
{
    if (*n >= cap) {
        FAIL(ERR_LIMIT, "more than %zu routes", cap);
    }
    routes[*n] = *route;
    *n += 1;
    return err_ok();
}

struct err acme_routes(struct acme *acme, struct http_route *routes, size_t cap, size_t *n)
{
    const struct http_route directory = {HTTP_GET, HTTP_ON_TLS,    "/acme/directory",
                                         0,        acme_directory, acme};
    const struct http_route nonce = {HTTP_GET | HTTP_HEAD, HTTP_ON_TLS, "/acme/new-nonce", 0,
                                     acme_new_nonce,       acme};

    const struct http_route pinned = {HTTP_GET, HTTP_ON_TLS,           "/acme/p/*",
                                      0,        acme_pinned_directory, acme};
    const struct http_route renewal = {HTTP_GET, HTTP_ON_TLS,       "/acme/renewal-info/*",
                                       0,        acme_renewal_info, acme};

    TRY(route_add(routes, cap, n, &directory));
    TRY(route_add(routes, cap, n, &pinned));
    TRY(route_add(routes, cap, n, &renewal));
    TRY(route_add(routes, cap, n, &nonce));
    for (size_t i = 0; i < ARRAY_N(POSTS); i++) {
        const struct http_route post = {HTTP_POST,    HTTP_ON_TLS, POSTS[i].path,
                                        JWS_BODY_MAX, acme_post,   &acme->endpoints[i]};
        TRY(route_add(routes, cap, n, &post));
    }
    return err_ok();
}

void acme_on_http_error(struct acme *acme, const struct http_req *req, int status,
                        const char *detail, struct http_resp *resp)
{
    struct problem prob = {0};
    char base[BASE_URL_MAX + 1];
    enum problem_type type = PROBLEM_MALFORMED;

    if (status >= 500) {
        type = PROBLEM_SERVER_INTERNAL;
    } else if (status == 429) {
        type = PROBLEM_RATE_LIMITED;
    }
    err_ignore(problem_set(&prob, type, status, "%s", detail));
    problem_respond(&prob, resp);
    problem_clear(&prob);
    base_url_of(&acme->base_urls, req->host, base);
    acme_add_headers(acme, base, resp);
}
