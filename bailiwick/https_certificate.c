#include "bailiwick/https_certificate.h"

#include <stdio.h>
#include <string.h>

#include "core/util/file.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define PEM_MAX (256u * 1024u)
#define PATH_LEN_MAX 4096u
#define WANTED_MAX 64u

/* What our own certificate must hold. */
struct wanted {
    struct ident names[3];
    size_t names_n;
    struct ip_addr ips[WANTED_MAX];
    size_t ips_n;
};

static void want_ip(struct wanted *w, const struct ip_addr *ip)
{
    for (size_t i = 0; i < w->ips_n; i++) {
        if (ip_equal(&w->ips[i], ip)) {
            return;
        }
    }
    if (w->ips_n < WANTED_MAX) {
        w->ips[w->ips_n++] = *ip;
    }
}

static void want_host(struct wanted *w, const char *host)
{
    struct ident id;
    struct ip_addr ip;

    if (ip_parse(host, &ip).code == ERR_OK) {
        want_ip(w, &ip);
        return;
    }
    if (ident_parse(host, strlen(host), &id, NULL).code != ERR_OK) {
        return;
    }
    for (size_t i = 0; i < w->names_n; i++) {
        if (ident_equal(&w->names[i], &id)) {
            return;
        }
    }
    if (w->names_n < ARRAY_N(w->names)) {
        w->names[w->names_n++] = id;
    }
}

/* The host of "https://host[:port]", brackets of an IPv6 literal removed. */
static void url_host(const char *url, char *out, size_t cap)
{
    const char *start = strstr(url, "://");
    start = start == NULL ? url : start + 3;
    bool is_v6 = *start == '[';
    start += is_v6 ? 1 : 0;
    size_t n = strcspn(start, is_v6 ? "]" : ":/");
    (void)snprintf(out, cap, "%.*s", (int)(n < cap ? n : cap - 1), start);
}

static void collect(const struct config *cfg, struct wanted *w)
{
    char host[NAME_TEXT_MAX + 1];

    memset(w, 0, sizeof(*w));
    want_host(w, cfg->hostname);
    want_host(w, "localhost");
    url_host(cfg->public_url, host, sizeof(host));
    want_host(w, host);
    want_host(w, "127.0.0.1");
    want_host(w, "::1");
    for (size_t i = 0; i < cfg->addresses_n; i++) {
        want_ip(w, &cfg->addresses[i]);
    }
}

static struct err read_text(const char *path, char **out)
{
    AUTO(buf_clear) struct buf text = BUF_INIT(PEM_MAX);

    TRY(file_read(path, &text));
    *out = buf_take(&text);
    TRY_PTR(*out);
    return err_ok();
}

static struct err read_pair(const char *cert_path, const char *key_path, struct http_tls *out)
{
    struct http_tls pair = {NULL, NULL};

    struct err e = read_text(cert_path, &pair.cert_pem);
    if (e.code == ERR_OK) {
        e = read_text(key_path, &pair.key_pem);
    }
    if (e.code != ERR_OK) {
        https_certificate_clear(&pair);
        return e;
    }
    *out = pair;
    return err_ok();
}

static void replace(struct http_tls *tls, struct http_tls *fresh, bool *changed)
{
    *changed = tls->cert_pem == NULL || strcmp(tls->cert_pem, fresh->cert_pem) != 0;
    https_certificate_clear(tls);
    *tls = *fresh;
    fresh->cert_pem = NULL;
    fresh->key_pem = NULL;
}

static struct err get_configured(const struct config *cfg, struct http_tls *tls, int64_t *not_after,
                                 bool *changed)
{
    AUTO(https_certificate_clear) struct http_tls pair = {NULL, NULL};

    TRY(read_pair(cfg->tls_cert, cfg->tls_key, &pair));
    if (ca_pem_not_after(pair.cert_pem, not_after).code != ERR_OK) {
        FAIL(ERR_CONFIG, "tls.cert: '%s' holds no PEM certificate: the leaf must come first",
             cfg->tls_cert);
    }
    replace(tls, &pair, changed);
    return err_ok();
}

static struct err issue_and_keep(const struct wanted *w, struct ca *ca, struct store *store,
                                 const char *cert_path, const char *key_path, struct http_tls *out,
                                 int64_t *not_after)
{
    struct http_tls pair = {NULL, NULL};

    TRY(ca_issue_own(ca, store, w->names, w->names_n, w->ips, w->ips_n, &pair.cert_pem,
                     &pair.key_pem, not_after));
    /* A crash between the two leaves a pair that does not belong together, which ca_own_is_usable()
     * sees at the next start. */
    struct err e = file_write_atomic(key_path, 0600, pair.key_pem, strlen(pair.key_pem));
    if (e.code == ERR_OK) {
        e = file_write_atomic(cert_path, 0644, pair.cert_pem, strlen(pair.cert_pem));
    }
    if (e.code != ERR_OK) {
        https_certificate_clear(&pair);
        return e;
    }
    *out = pair;
    log_ev(LOG_INFO, "https.certificate.issued", {"name", w->names[0].base},
           {"not_after_unix", log_int(*not_after)});
    return err_ok();
}

struct err https_certificate_get(const struct config *cfg, struct ca *ca, struct store *store,
                                 struct http_tls *tls, int64_t *not_after, bool *changed)
{
    char cert_path[PATH_LEN_MAX];
    char key_path[PATH_LEN_MAX];
    AUTO(https_certificate_clear) struct http_tls pair = {NULL, NULL};
    struct wanted w;

    if (cfg->tls_cert[0] != '\0') {
        return get_configured(cfg, tls, not_after, changed);
    }
    (void)snprintf(cert_path, sizeof(cert_path), "%s/keys/https.pem", cfg->state_dir);
    (void)snprintf(key_path, sizeof(key_path), "%s/keys/https.key", cfg->state_dir);
    collect(cfg, &w);
    struct err e = read_pair(cert_path, key_path, &pair);
    if (e.code != ERR_OK && e.code != ERR_NOT_FOUND) {
        return e;
    }
    const struct ca_own_pair kept = {
        .cert_pem = pair.cert_pem,
        .key_pem = pair.key_pem,
        .idents = w.names,
        .idents_n = w.names_n,
        .ips = w.ips,
        .ips_n = w.ips_n,
    };
    if (e.code == ERR_NOT_FOUND || !ca_own_is_usable(ca, &kept, not_after)) {
        https_certificate_clear(&pair);
        TRY(issue_and_keep(&w, ca, store, cert_path, key_path, &pair, not_after));
    }
    replace(tls, &pair, changed);
    return err_ok();
}

void https_certificate_clear(struct http_tls *tls)
{
    mem_free(tls->cert_pem);
    if (tls->key_pem != NULL) {
        mem_wipe(tls->key_pem, strlen(tls->key_pem));
    }
    mem_free(tls->key_pem);
    tls->cert_pem = NULL;
    tls->key_pem = NULL;
}
