#include "bailiwick/app.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "acme-server/acme.h"
#include "bailiwick/app_dns.h"
#include "bailiwick/https_certificate.h"
#include "bailiwick/maintenance.h"
#include "bailiwick/privileges.h"
#include "bailiwick/reload.h"
#include "bailiwick/state_dir.h"
#include "ca/ca.h"
#include "core/http/http.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/lookup.h"
#include "dns/zone_records.h"
#include "web/admin_api.h"
#include "web/delegate_api.h"
#include "web/public_pages.h"

#define APP_ROUTES_MAX 64u
#define APP_BINDS_MAX 64u
#define APP_STORE_READERS 8u
#define APP_HTTP_THREADS 48u
#define APP_PATH_MAX 4096u

/* Every long-lived object of the daemon. */
struct app {
    const struct config *cfg;
    int lock_fd;
    struct store *store;
    struct ca *ca;
    struct access *access;
    struct zone_db *zones;
    struct records *records;
    struct delegate *delegate;
    struct app_dns dns;
    struct ip_endpoint *own; /* every listener: what validation does not connect to */
    size_t own_n;
    bool is_chaos;
    struct reload *reloads; /* configurations read again; they live as long as acme */
    struct resolve_config resolve;
    struct acme *acme;
    struct delegate_api *delegate_api;
    struct public_pages *public_pages;
    struct admin_api *admin;
    struct http_server *http;
    struct http_tls tls;
    _Atomic int64_t https_not_after;
    struct maintenance *maintenance;
};

static const struct store_module *const MODULES[] = {&ACCESS_STORE_MODULE, &RECORDS_STORE_MODULE,
                                                     &DELEGATE_STORE_MODULE, &CA_STORE_MODULE,
                                                     &ACME_STORE_MODULE};

static struct err open_store(const struct config *cfg, struct store **out)
{
    char path[APP_PATH_MAX];
    struct store_module modules[ARRAY_N(MODULES)];

    int n = snprintf(path, sizeof(path), "%s/bailiwick.db", cfg->state_dir);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        FAIL(ERR_CONFIG, "state_dir is too long");
    }
    for (size_t i = 0; i < ARRAY_N(MODULES); i++) {
        modules[i] = *MODULES[i];
    }
    const struct store_options options = {path, APP_STORE_READERS};
    return store_open(&options, modules, ARRAY_N(modules), out);
}

static struct err start_state(struct app *app)
{
    TRY(privileges_enter(app->cfg->state_dir));
    TRY(state_dir_open(app->cfg->state_dir, &app->lock_fd));
    return state_dir_chaos(app->cfg->state_dir, app->is_chaos);
}

static void stop_state(struct app *app)
{
    if (app->lock_fd >= 0) {
        (void)close(app->lock_fd);
    }
}

static struct err start_store(struct app *app)
{
    return open_store(app->cfg, &app->store);
}

static void stop_store(struct app *app)
{
    store_close(app->store);
}

static struct err start_ca(struct app *app)
{
    return ca_open(app->cfg->state_dir, app->cfg->ca_key, "Bailiwick", &app->ca);
}

static void stop_ca(struct app *app)
{
    ca_close(app->ca);
}

static struct err start_access(struct app *app)
{
    return access_open(app->cfg, app->store, &app->access);
}

static void stop_access(struct app *app)
{
    access_close(app->access);
}

static struct err start_zones(struct app *app)
{
    TRY(zone_db_new(app->cfg, 1, &app->zones)); /* the serials come with the records */
    return records_open(app->cfg, app->store, app->zones, &app->records);
}

static void stop_zones(struct app *app)
{
    records_close(app->records);
    zone_db_free(app->zones);
}

static struct err start_delegate(struct app *app)
{
    return delegate_open(app->cfg, app->store, app->access, app->zones, app->records,
                         &app->delegate);
}

static void stop_delegate(struct app *app)
{
    delegate_close(app->delegate);
}

static struct err bind_dns(struct app *app)
{
    const struct app_dns_options options = {.cfg = app->cfg,
                                            .store = app->store,
                                            .access = app->access,
                                            .zones = app->zones,
                                            .records = app->records,
                                            .delegate = app->delegate};

    TRY(app_dns_open(&app->dns, &options));
    TRY(privileges_raise());
    struct err e = app_dns_bind(&app->dns, &options);
    TRY(privileges_enter(app->cfg->state_dir));
    TRY(e);
    app->resolve = (struct resolve_config){app->cfg->resolvers, app->cfg->resolvers_n, app->dns.own,
                                           app->dns.own_n};
    return err_ok();
}

static void stop_dns(struct app *app)
{
    app_dns_close(&app->dns);
}

static struct err start_acme(struct app *app)
{
    const struct config *cfg = app->cfg;

    app->own_n = cfg->listen_https_n + cfg->listen_http_n + cfg->listen_dns_n;
    app->own = mem_array(app->own_n == 0 ? 1 : app->own_n, sizeof(*app->own));
    TRY_PTR(app->own);
    const struct acme_options options = {
        .cfg = app->cfg,
        .store = app->store,
        .access = app->access,
        .ca = app->ca,
        .zones = app->zones,
        .delegate = app->delegate,
        .records = app->records,
        .https_port = app->cfg->listen_https_n > 0 ? app->cfg->listen_https[0].port : 443,
        .resolve = &app->resolve,
        .own = app->own,
        .own_n = app->own_n,
        .is_chaos = app->is_chaos,
    };
    return acme_new(&options, &app->acme);
}

static void stop_acme(struct app *app)
{
    acme_free(app->acme);
    mem_free(app->own);
    reload_free(app->reloads);
}

/* Ready means: what an order needs is there, asked for real. */
static bool is_ready(void *ctx)
{
    struct app *app = ctx;
    struct acme_counts counts;
    struct err e = acme_count(app->acme, &counts);

    return e.code == ERR_OK;
}

static struct err start_web(struct app *app)
{
    const struct delegate_api_options doors = {app->cfg, app->access, app->delegate};
    const struct public_pages_options pages = {
        .cfg = app->cfg,
        .ca = app->ca,
        .is_ready = is_ready,
        .is_ready_ctx = app,
    };
    const struct admin_api_options admin = {
        .cfg = app->cfg,
        .store = app->store,
        .access = app->access,
        .delegate = app->delegate,
        .zones = app->zones,
        .ca = app->ca,
        .acme = app->acme,
        .records = app->records,
        .dns = app->dns.server,
        .forward = app->dns.forward,
        .watch = app->dns.watch,
        .transfer = app->dns.transfer,
        .https_not_after = &app->https_not_after,
    };

    TRY(delegate_api_new(&doors, &app->delegate_api));
    TRY(public_pages_new(&pages, &app->public_pages));
    return admin_api_new(&admin, &app->admin);
}

static void stop_web(struct app *app)
{
    admin_api_free(app->admin);
    public_pages_free(app->public_pages);
    delegate_api_free(app->delegate_api);
}

static void on_http_error(void *ctx, const struct http_req *req, int status, const char *detail,
                          struct http_resp *resp)
{
    struct app *app = ctx;

    if (req->listener == HTTP_ON_TLS && strncmp(req->path, "/acme/", 6) == 0) {
        acme_on_http_error(app->acme, req, status, detail, resp);
        return;
    }
    admin_problem(resp, status, detail);
}

static size_t collect_binds(const struct config *cfg, const char *control, struct http_bind *binds)
{
    size_t n = 0;

    for (size_t i = 0; i < cfg->listen_https_n; i++) {
        binds[n++] = (struct http_bind){HTTP_ON_TLS, cfg->listen_https[i], NULL};
    }
    for (size_t i = 0; i < cfg->listen_http_n; i++) {
        binds[n++] = (struct http_bind){HTTP_ON_PLAIN, cfg->listen_http[i], NULL};
    }
    binds[n++] = (struct http_bind){.listener = HTTP_ON_CONTROL, .unix_path = control};
    return n;
}

/* With the ports that the system picked. */
static void collect_own(struct app *app)
{
    size_t web_n = app->cfg->listen_https_n + app->cfg->listen_http_n;

    for (size_t i = 0; i < web_n; i++) {
        app->own[i] = http_server_endpoint(app->http, i);
    }
    for (size_t i = 0; i < app->cfg->listen_dns_n; i++) {
        app->own[web_n + i] = app->dns.own[i];
    }
}

static struct err bind_http(struct app *app)
{
    struct http_route routes[APP_ROUTES_MAX];
    struct http_bind binds[APP_BINDS_MAX];
    char control[APP_PATH_MAX];
    size_t routes_n = 0;

    if (app->cfg->listen_https_n + app->cfg->listen_http_n > ARRAY_N(binds) - 1) {
        FAIL(ERR_CONFIG, "listen.https and listen.http have more than %zu addresses together",
             ARRAY_N(binds) - 1);
    }
    (void)snprintf(control, sizeof(control), "%s/control.sock", app->cfg->state_dir);
    TRY(acme_routes(app->acme, routes, ARRAY_N(routes), &routes_n));
    TRY(delegate_api_routes(app->delegate_api, routes, ARRAY_N(routes), &routes_n));
    TRY(public_pages_routes(app->public_pages, routes, ARRAY_N(routes), &routes_n));
    TRY(admin_api_routes(app->admin, routes, ARRAY_N(routes), &routes_n));
    const struct http_options options = {
        .binds = binds,
        .binds_n = collect_binds(app->cfg, control, binds),
        .routes = routes,
        .routes_n = routes_n,
        .threads = APP_HTTP_THREADS,
        .trusted_proxies = app->cfg->trusted_proxies,
        .trusted_proxies_n = app->cfg->trusted_proxies_n,
        .on_error = on_http_error,
        .on_error_ctx = app,
    };
    TRY(privileges_raise());
    TRY(http_server_bind(&options, &app->http));
    collect_own(app);
    return err_ok();
}

static void stop_http(struct app *app)
{
    http_server_free(app->http);
    https_certificate_clear(&app->tls);
}

/* Everything is bound: root is not needed any more. */
static struct err drop_root(struct app *app)
{
    (void)app;
    return privileges_drop();
}

static struct err load_certificate(struct app *app)
{
    int64_t not_after = 0;
    bool changed = false;

    TRY(https_certificate_get(app->cfg, app->ca, app->store, &app->tls, &not_after, &changed));
    atomic_store(&app->https_not_after, not_after);
    return err_ok();
}

/* Said before anybody is served. */
static void warn_of_modes(const struct app *app)
{
    if (app->is_chaos) {
        log_ev(LOG_WARN, "app.chaos",
               {"msg", "--chaos -- test mode for authors of clients: requests fail on purpose"});
    }
    if (app->cfg->is_open) {
        log_ev(LOG_WARN, "app.open",
               {"msg", "open: true -- anybody in open_networks may prove any name in the zones; "
                       "for labs only"});
    }
}

static struct err serve_all(struct app *app)
{
    warn_of_modes(app);
    TRY(delegate_forget_gone(app->delegate));
    TRY(records_known_access(app->records, app->access));
    TRY(acme_start(app->acme));
    TRY(app_dns_start(&app->dns));
    return http_server_start(app->http, &app->tls);
}

static struct err start_maintenance(struct app *app)
{
    const struct maintenance_options options = {
        .cfg = app->cfg,
        .store = app->store,
        .ca = app->ca,
        .delegate = app->delegate,
        .acme = app->acme,
        .http = app->http,
        .tls = &app->tls,
        .https_not_after = &app->https_not_after,
    };
    return maintenance_start(&options, &app->maintenance);
}

static void stop_maintenance(struct app *app)
{
    maintenance_stop(app->maintenance);
}

static void stop_nothing(struct app *app)
{
    (void)app;
}

/* Started downwards, stopped upwards; stop also runs for a step whose start failed. */
static const struct step {
    const char *name;
    struct err (*start)(struct app *app);
    void (*stop)(struct app *app);
} STEPS[] = {
    {"state directory", start_state, stop_state},
    {"store", start_store, stop_store},
    {"certificate authority", start_ca, stop_ca},
    {"clients", start_access, stop_access},
    {"zones", start_zones, stop_zones},
    {"delegate zone", start_delegate, stop_delegate},
    {"DNS sockets", bind_dns, stop_dns},
    {"ACME", start_acme, stop_acme},
    {"web", start_web, stop_web},
    {"HTTP sockets", bind_http, stop_http},
    {"privileges", drop_root, stop_nothing},
    {"HTTPS certificate", load_certificate, stop_nothing},
    {"listeners", serve_all, stop_nothing},
    {"maintenance", start_maintenance, stop_maintenance},
};

static struct err start_all(struct app *app, size_t *started)
{
    for (size_t i = 0; i < ARRAY_N(STEPS); i++) {
        *started = i + 1;
        struct err e = STEPS[i].start(app);
        if (e.code != ERR_OK) {
            return e;
        }
        log_ev(LOG_DEBUG, "app.step", {"step", STEPS[i].name});
    }
    return err_ok();
}

/* No request may run on objects that are going away: HTTP stops first, then what it used. */
static void stop_all(struct app *app, size_t started)
{
    for (size_t i = started; i > 0; i--) {
        STEPS[i - 1].stop(app);
    }
}

static void announce(const struct app *app)
{
    const struct config *cfg = app->cfg;

    log_ev(LOG_INFO, "app.ready", {"version", BW_VERSION}, {"public_url", cfg->public_url},
           {"zone", cfg->zones[0].name}, {"delegate_zone", cfg->delegate_zone},
           {"root_sha256", ca_root_fingerprint(app->ca)});
}

/* A configuration that is wrong changes nothing. */
static void on_hangup(struct app *app)
{
    reload_zones(
        app->records); /* first: the configuration's line in the log says that all is done */
    struct err e = reload_config(app->cfg, app->acme, &app->reloads);

    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "config.reload", e);
    }
    maintenance_poke(app->maintenance);
}

struct err app_run(const struct config *cfg, bool is_chaos)
{
    struct app app = {.cfg = cfg, .lock_fd = -1, .is_chaos = is_chaos};
    size_t started = 0;
    sigset_t signals;
    int got = 0;

    /* Threads inherit the mask, so that only sigwait() below sees these. */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    TRY(privileges_harden());
    struct err e = start_all(&app, &started);
    if (e.code != ERR_OK) {
        struct err_trace why = *err_trace();
        stop_all(&app, started);
        return err_restore(&why);
    }
    announce(&app);
    while (sigwait(&signals, &got) == 0 && got == SIGHUP) {
        on_hangup(&app);
    }
    log_ev(LOG_INFO, "app.stopping", {"signal", log_int(got)});
    stop_all(&app, started);
    return err_ok();
}

struct err app_init(const struct config *cfg, bool is_chaos)
{
    struct app app = {.cfg = cfg, .lock_fd = -1, .is_chaos = is_chaos};
    static const size_t until = 3; /* state directory, store, certificate authority */
    size_t started = 0;
    struct err e = err_ok();

    TRY(privileges_harden());
    for (; started < until && e.code == ERR_OK; started++) {
        e = STEPS[started].start(&app);
    }
    if (e.code == ERR_OK) {
        e = load_certificate(&app);
    }
    struct err_trace why = *err_trace();
    stop_all(&app, started);
    https_certificate_clear(&app.tls);
    return e.code == ERR_OK ? e : err_restore(&why);
}

/* A client command may come before the first start: the keys are made whole, or not at all, by the
 * CA alone. */
static struct err make_ca(const struct config *cfg)
{
    struct ca *ca = NULL;

    TRY(ca_open(cfg->state_dir, cfg->ca_key, "Bailiwick", &ca));
    ca_close(ca);
    return err_ok();
}

static struct err offline_start(struct app_offline *offline)
{
    TRY(privileges_enter(offline->cfg->state_dir));
    TRY(state_dir_open(offline->cfg->state_dir, &offline->lock_fd));
    TRY(open_store(offline->cfg, &offline->store));
    TRY(make_ca(offline->cfg));
    TRY(access_open(offline->cfg, offline->store, &offline->access));
    TRY(zone_db_new(offline->cfg, 1, &offline->zones));
    TRY(records_open(offline->cfg, offline->store, offline->zones, &offline->records));
    return delegate_open(offline->cfg, offline->store, offline->access, offline->zones,
                         offline->records, &offline->delegate);
}

struct err app_offline_open(const struct config *cfg, struct app_offline **out)
{
    struct app_offline *offline = mem_zalloc(sizeof(*offline));

    TRY_PTR(offline);
    offline->cfg = cfg;
    offline->lock_fd = -1;
    struct err e = offline_start(offline);
    if (e.code != ERR_OK) {
        struct err_trace why = *err_trace();
        app_offline_close(offline);
        return err_restore(&why);
    }
    *out = offline;
    return err_ok();
}

void app_offline_close(struct app_offline *offline)
{
    if (offline == NULL) {
        return;
    }
    delegate_close(offline->delegate);
    records_close(offline->records);
    zone_db_free(offline->zones);
    access_close(offline->access);
    store_close(offline->store);
    if (offline->lock_fd >= 0) {
        (void)close(offline->lock_fd);
    }
    mem_free(offline);
}
