#include "web/public_pages.h"

#include <string.h>

#include "core/util/mem.h"
#include "web/trust_page.h"

#define HTML "text/html; charset=utf-8"
#define TEXT "text/plain; charset=utf-8"
/* No script, no frame, nothing from elsewhere. */
#define PAGE_POLICY                                                                                \
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "         \
    "frame-ancestors 'none'"

struct public_pages {
    struct public_pages_options o;
    char *trust;
    char *start;
};

static void answer_html(struct http_resp *resp, const char *page)
{
    http_resp_header(resp, "Content-Security-Policy", PAGE_POLICY);
    http_resp_header(resp, "Referrer-Policy", "no-referrer");
    http_resp_text(resp, 200, HTML, page);
}

static void root_pem(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct public_pages *pages = ctx;

    (void)req;
    http_resp_header(resp, "Content-Disposition", "attachment; filename=\"bailiwick-root.pem\"");
    http_resp_text(resp, 200, "application/x-pem-file", ca_root_pem(pages->o.ca));
}

static void root_der(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct public_pages *pages = ctx;
    size_t len = 0;
    const uint8_t *der = ca_root_der(pages->o.ca, &len);

    (void)req;
    http_resp_header(resp, "Content-Disposition", "attachment; filename=\"bailiwick-root.crt\"");
    http_resp_body(resp, 200, "application/pkix-cert", der, len);
}

static void trust(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct public_pages *pages = ctx;

    (void)req;
    answer_html(resp, pages->trust);
}

static void start(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct public_pages *pages = ctx;

    (void)req;
    answer_html(resp, pages->start);
}

static void healthz(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    (void)ctx;
    (void)req;
    http_resp_text(resp, 200, TEXT, "ok\n");
}

static void readyz(void *ctx, const struct http_req *req, struct http_resp *resp)
{
    const struct public_pages *pages = ctx;

    (void)req;
    if (pages->o.is_ready == NULL || pages->o.is_ready(pages->o.is_ready_ctx)) {
        http_resp_text(resp, 200, TEXT, "ready\n");
        return;
    }
    http_resp_header(resp, "Retry-After", "5");
    http_resp_text(resp, 503, TEXT, "not ready: the log says why\n");
}

/* Where a machine that trusts nothing yet fetches the root: plain HTTP if there is any. */
static void put_root_url(struct buf *out, const struct config *cfg)
{
    if (cfg->listen_http_n == 0) {
        buf_printf(out, "-k %s/root.pem", cfg->public_url);
        return;
    }
    buf_printf(out, "http://%s", cfg->hostname);
    if (cfg->listen_http[0].port != 80) {
        buf_printf(out, ":%u", (unsigned)cfg->listen_http[0].port);
    }
    buf_puts(out, "/root.pem");
}

static struct err build_pages(struct public_pages *pages)
{
    struct buf url = BUF_INIT(4096);
    struct buf page = BUF_INIT(TRUST_PAGE_MAX);

    put_root_url(&url, pages->o.cfg);
    trust_page_put(&page, pages->o.cfg->public_url, buf_str(&url),
                   ca_root_fingerprint(pages->o.ca));
    buf_clear(&url);
    pages->trust = buf_take(&page);
    start_page_put(&page, pages->o.cfg->public_url);
    pages->start = buf_take(&page);
    TRY_PTR(pages->trust);
    TRY_PTR(pages->start);
    return err_ok();
}

static void pages_freep(struct public_pages **pages)
{
    public_pages_free(*pages);
}

struct err public_pages_new(const struct public_pages_options *options, struct public_pages **out)
{
    AUTO(pages_freep) struct public_pages *pages = mem_zalloc(sizeof(*pages));

    TRY_PTR(pages);
    pages->o = *options;
    TRY(build_pages(pages));
    *out = MOVE(pages);
    return err_ok();
}

void public_pages_free(struct public_pages *pages)
{
    if (pages != NULL) {
        mem_free(pages->trust);
        mem_free(pages->start);
        mem_free(pages);
    }
}

struct err public_pages_routes(struct public_pages *pages, struct http_route *routes, size_t cap,
                               size_t *n)
{
    static const struct http_route own[] = {
        {HTTP_GET, HTTP_ON_TLS | HTTP_ON_PLAIN, "/root.pem", 0, root_pem, NULL},
        {HTTP_GET, HTTP_ON_TLS | HTTP_ON_PLAIN, "/root.der", 0, root_der, NULL},
        {HTTP_GET, HTTP_ON_TLS | HTTP_ON_PLAIN, "/trust", 0, trust, NULL},
        {HTTP_GET, HTTP_ON_TLS, "/", 0, start, NULL},
        {HTTP_GET, HTTP_ON_TLS, "/healthz", 0, healthz, NULL},
        {HTTP_GET, HTTP_ON_TLS, "/readyz", 0, readyz, NULL},
    };

    if (*n > cap || cap - *n < ARRAY_N(own)) {
        FAIL(ERR_LIMIT, "no room for the public pages' routes");
    }
    for (size_t i = 0; i < ARRAY_N(own); i++) {
        routes[*n] = own[i];
        routes[*n].ctx = pages;
        (*n)++;
    }
    return err_ok();
}
