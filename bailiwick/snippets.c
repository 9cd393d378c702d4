#include "bailiwick/snippets_int.h"

#include "core/util/mem.h"

#include <stdio.h>
#include <string.h>

void snippets_quote(struct buf *out, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_@%+=:,./-";

    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        buf_puts(out, text);
        return;
    }
    buf_putc(out, '\'');
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '\'') {
            buf_puts(out, "'\\''");
        } else {
            buf_putc(out, *c);
        }
    }
    buf_putc(out, '\'');
}

/* The listener as a client sees it: a wildcard address becomes one of ours, of the same family
 * where there is one. */
static void reachable(const struct config *cfg, const struct ip_endpoint *list, size_t n,
                      char out[IP_TEXT_MAX + 10], struct ip_endpoint *endpoint)
{
    static const struct ip_addr any4 = {4, {0}};
    static const struct ip_addr any6 = {6, {0}};

    out[0] = '\0';
    if (n == 0) {
        return;
    }
    struct ip_endpoint chosen = list[0];
    if (ip_equal(&chosen.addr, &any4) || ip_equal(&chosen.addr, &any6)) {
        uint8_t family = chosen.addr.family;
        chosen.addr = cfg->addresses[0];
        for (size_t i = cfg->addresses_n; i > 0; i--) {
            if (cfg->addresses[i - 1].family == family) {
                chosen.addr = cfg->addresses[i - 1];
            }
        }
    }
    ip_endpoint_text(&chosen, out);
    *endpoint = chosen;
}

static bool may(const struct snippet_facts *facts, const struct ident *id)
{
    for (size_t i = 0; i < facts->names_n; i++) {
        if (name_pattern_covers(&facts->names[i], id)) {
            return true;
        }
    }
    return false;
}

/* The first pattern's name with its wildcard, as far as the client may have them. */
static void choose_domains(struct snippet_view *v)
{
    const struct snippet_facts *facts = v->facts;
    const struct config *cfg = facts->cfg;
    struct ident id = {.base = ""};
    const char *base = facts->names_n == 0 ? "" : facts->names[0].base;

    for (size_t i = 0; base[0] == '\0' && i < cfg->zones_n; i++) {
        base = strcmp(cfg->zones[i].name, ".") == 0 ? "" : cfg->zones[i].name;
    }
    (void)snprintf(id.base, sizeof(id.base), "%s", base[0] == '\0' ? "example.test" : base);
    (void)snprintf(v->email, sizeof(v->email), "hostmaster@%s", id.base);
    for (int i = 0; i < 2; i++) {
        id.is_wildcard = i == 1;
        if (may(facts, &id)) {
            ident_text(&id, v->domains[v->domains_n++]);
        }
    }
}

static bool is_served(const struct snippet_view *v)
{
    const char *name = v->domains_n == 0 ? "" : v->domains[0];
    const struct config_zone *zone =
        config_zone_of(v->facts->cfg, name[0] == '*' ? name + 2 : name);

    return zone != NULL && zone->is_served;
}

/* NAME=VALUE, exported. */
void snippets_put_export(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "export %s=", name);
    snippets_quote(out, value);
    buf_putc(out, '\n');
}

/* A URL below public_url, with the client's credential as userinfo if asked for. */
static void put_export_url(struct buf *out, const char *name, const struct snippet_view *v,
                           bool has_credential, const char *path)
{
    struct buf url = BUF_INIT(2048);

    buf_puts(&url, "https://");
    if (has_credential) {
        buf_printf(&url, "%s:%s@", v->facts->client, v->facts->secret);
    }
    buf_printf(&url, "%s%s", v->host, path);
    snippets_put_export(out, name, buf_str(&url));
    mem_wipe(url.data, url.len);
    buf_clear(&url);
}

static void put_fingerprint(struct buf *out, const char *hex)
{
    if (hex == NULL) {
        buf_puts(out, "the root SHA-256 line of 'bailiwick status'");
        return;
    }
    for (size_t i = 0; hex[i] != '\0'; i++) {
        char c = hex[i];
        if (i > 0 && i % 2 == 0) {
            buf_putc(out, ':');
        }
        buf_putc(out, c >= 'a' && c <= 'f' ? (char)(c - 'a' + 'A') : c);
    }
}

/* Fetch the root; what it must be stands beside it, because the fetch itself proves nothing. */
void snippets_put_root(struct buf *out, const struct snippet_view *v)
{
    if (v->http[0] != '\0') {
        buf_printf(out, "curl -fsS -o root.pem http://%s/root.pem\n", v->http);
    } else {
        buf_printf(out, "curl -fsSk -o root.pem https://%s/root.pem\n", v->host);
    }
    buf_puts(out, "# compare: openssl x509 -in root.pem -noout -fingerprint -sha256\n# with:    ");
    put_fingerprint(out, v->facts->root_fingerprint);
    buf_putc(out, '\n');
}

void snippets_put_root_env(struct buf *out)
{
    buf_puts(out, "# LEGO_CA_CERTIFICATES is for the ACME server, SSL_CERT_FILE for the provider.\n"
                  "export LEGO_CA_CERTIFICATES=\"$PWD/root.pem\"\n"
                  "export SSL_CERT_FILE=\"$PWD/root.pem\"\n");
}

static void put_httpreq_env(struct buf *out, const struct snippet_view *v)
{
    put_export_url(out, "HTTPREQ_ENDPOINT", v, false, "/httpreq");
    snippets_put_export(out, "HTTPREQ_USERNAME", v->facts->client);
    snippets_put_export(out, "HTTPREQ_PASSWORD", v->facts->secret);
}

static void put_acmedns_env(struct buf *out, const struct snippet_view *v)
{
    put_export_url(out, "ACME_DNS_API_BASE", v, true, "/acme-dns");
    put_export_url(out, "ACME_DNS_STORAGE_BASE_URL", v, true, "/acme-dns/storage");
}

/* lego 5 wants options behind the command, older ones before it; --dns.disable-cp was renamed with
 * it. */
void snippets_put_lego(struct buf *out, const struct snippet_view *v, const char *provider)
{
    buf_printf(out,
               "set -- --accept-tos --email %s \\\n  --server https://%s/acme/directory --dns %s",
               v->email, v->host, provider);
    if (v->dns[0] != '\0' && is_served(v)) {
        buf_puts(out, " \\\n  --dns.resolvers ");
        snippets_quote(out, v->dns);
    }
    for (size_t i = 0; i < v->domains_n; i++) {
        buf_printf(out, "%s --domains ", i == 0 ? " \\\n " : "");
        snippets_quote(out, v->domains[i]);
    }
    buf_putc(out, '\n');
    if (!v->is_dns_53) {
        buf_puts(out, "# Our DNS is not on port 53, where lego would look for the value before it\n"
                      "# asks for the certificate, so that check is off.\n");
    }
    buf_printf(out,
               "if lego run --help 2>&1 | grep -q -e --server; then\n"
               "  lego run \"$@\"%s\n"
               "else\n"
               "  lego \"$@\"%s run\n"
               "fi\n",
               v->is_dns_53 ? "" : " --dns.propagation.disable-ans",
               v->is_dns_53 ? "" : " --dns.disable-cp");
}

static void put_traefik_dns(struct buf *out, const struct snippet_view *v, const char *provider)
{
    buf_printf(out,
               "      dnsChallenge:\n"
               "        provider: %s\n",
               provider);
    if (v->dns[0] != '\0' && is_served(v)) {
        buf_printf(out, "        resolvers: [\"%s\"]\n", v->dns);
    }
    if (!v->is_dns_53) {
        buf_puts(out, "        propagation: # our DNS is not on port 53, where Traefik would look\n"
                      "          disableANSChecks: true\n");
    }
}

/* `provider` NULL: external account binding instead of a DNS challenge. Some challenge must be
 * named; it is never asked for. */
static void put_traefik_static(struct buf *out, const struct snippet_view *v, const char *provider)
{
    buf_printf(out,
               "cat > traefik.yml <<'EOF'\n"
               "entryPoints:\n"
               "  websecure:\n"
               "    address: \":443\"\n"
               "providers:\n"
               "  file:\n"
               "    filename: dynamic.yml\n"
               "certificatesResolvers:\n"
               "  bailiwick:\n"
               "    acme:\n"
               "      email: \"%s\"\n"
               "      storage: acme.json\n"
               "      caServer: \"https://%s/acme/directory\"\n"
               "      caCertificates: [root.pem]\n",
               v->email, v->host);
    if (provider != NULL) {
        put_traefik_dns(out, v, provider);
    } else {
        buf_printf(out,
                   "      eab:\n"
                   "        kid: \"%s\"\n"
                   "        hmacEncoded: \"%s\"\n"
                   "      tlsChallenge: {} # must be there, is not used\n",
                   v->facts->client, v->facts->secret);
    }
    buf_puts(out, "EOF\n");
}

/* One router makes Traefik ask for the certificate at once; replace its service by yours. */
static void put_traefik_dynamic(struct buf *out, const struct snippet_view *v)
{
    buf_printf(out,
               "cat > dynamic.yml <<'EOF'\n"
               "http:\n"
               "  routers:\n"
               "    first:\n"
               "      rule: \"PathPrefix(`/`)\"\n"
               "      entryPoints: [websecure]\n"
               "      service: noop@internal # replace by your service\n"
               "      tls:\n"
               "        certResolver: bailiwick\n"
               "        domains:\n"
               "          - main: \"%s\"\n",
               v->domains_n == 0 ? "" : v->domains[0]);
    if (v->domains_n > 1) {
        buf_printf(out, "            sans: [\"%s\"]\n", v->domains[1]);
    }
    buf_puts(out, "EOF\n"
                  "traefik --configFile=traefik.yml\n");
}

static void put_caddy_binding(struct buf *out, const struct snippet_view *v)
{
    buf_printf(out, "\tacme_eab {\n\t\tkey_id %s\n\t\tmac_key %s\n\t}\n", v->facts->client,
               v->facts->secret);
}

static void put_caddy_update(struct buf *out, const struct snippet_view *v)
{
    buf_printf(out,
               "\tacme_dns rfc2136 {\n"
               "\t\tkey_name %s\n"
               "\t\tkey_alg hmac-sha256\n"
               "\t\tkey %s\n"
               "\t\tserver %s\n"
               "\t}\n",
               v->facts->client, v->facts->secret, v->dns);
}

void snippets_put_caddy(struct buf *out, const struct snippet_view *v, bool is_update)
{
    buf_printf(out,
               "cat > Caddyfile <<'EOF'\n"
               "{\n"
               "\temail %s\n"
               "\tacme_ca https://%s/acme/directory\n"
               "\tacme_ca_root root.pem\n",
               v->email, v->host);
    (is_update ? put_caddy_update : put_caddy_binding)(out, v);
    buf_puts(out, "}\n\n");
    for (size_t i = 0; i < v->domains_n; i++) {
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", v->domains[i]);
    }
    buf_puts(out, " {\n");
    if (is_update && is_served(v)) { /* where it looks for its values before it says ready */
        buf_printf(out, "\ttls {\n\t\tresolvers %s\n\t}\n", v->dns);
    }
    buf_puts(out, "\trespond \"Hello from Caddy\" # replace by your site\n"
                  "}\n"
                  "EOF\n"
                  "caddy run --config Caddyfile\n");
}

static void put_preauthorized(struct buf *out, const struct snippet_view *v)
{
    buf_puts(out, "# --- Caddy, preauthorized: no challenge ---\n");
    snippets_put_root(out, v);
    snippets_put_caddy(out, v, false);
    buf_puts(out, "\n# --- Traefik, preauthorized: no challenge ---\n"
                  "# Traefik before 2.10.2 refuses wildcard names without a DNS challenge.\n");
    snippets_put_root(out, v);
    snippets_put_root_env(out);
    put_traefik_static(out, v, NULL);
    put_traefik_dynamic(out, v);
    buf_putc(out, '\n');
}

/* All comments, so that the block does nothing when it is run with the others. The secret's text is
 * the base64url of the MAC key, which is the form that RFC 8555 clients ask for. */
static void put_eab(struct buf *out, const struct snippet_view *v)
{
    const char *name = v->facts->client;
    const char *key = v->facts->secret;

    buf_printf(out,
               "\n# --- ACME external account binding ---\n"
               "# An ACME account that is made with this key belongs to the client%s.\n"
               "# key id:   %s\n"
               "# HMAC key: %s\n"
               "#   (base64url without padding, as every client below takes it)\n",
               v->facts->is_preauthorized ? " and needs no challenges" : "", name, key);
    buf_printf(out, "# certbot:  certbot register --server https://%s/acme/directory \\\n",
               v->host);
    buf_printf(out, "#             --eab-kid %s --eab-hmac-key %s\n", name, key);
    buf_printf(out,
               "# acme.sh:  acme.sh --register-account --server https://%s/acme/directory \\\n",
               v->host);
    buf_printf(out, "#             --eab-kid %s --eab-hmac-key %s\n", name, key);
    buf_printf(out, "# lego 5:   --eab --eab.kid %s --eab.hmac %s\n", name, key);
    buf_printf(out, "# lego 4:   --eab --kid %s --hmac %s\n", name, key);
    buf_printf(out,
               "# Caddyfile, among the global options:\n"
               "#   acme_eab {\n#     key_id %s\n#     mac_key %s\n#   }\n",
               name, key);
    buf_printf(out,
               "# Traefik, beside caServer:\n"
               "#   eab:\n#     kid: \"%s\"\n#     hmacEncoded: \"%s\"\n",
               name, key);
}

void snippets_write(const struct snippet_facts *facts, struct buf *out)
{
    static const struct {
        const char *title;
        const char *provider;
        void (*put_env)(struct buf *out, const struct snippet_view *v);
        bool is_traefik;
    } blocks[] = {
        {"lego, httpreq", "httpreq", put_httpreq_env, false},
        {"lego 4.22 or newer, acme-dns with HTTP storage", "acme-dns", put_acmedns_env, false},
        {"Traefik, httpreq", "httpreq", put_httpreq_env, true},
        {"Traefik, acme-dns with HTTP storage", "acme-dns", put_acmedns_env, true},
    };
    struct snippet_view v;

    memset(&v, 0, sizeof(v));
    v.facts = facts;
    v.host = facts->cfg->public_url + strlen("https://");
    v.is_dns_53 = facts->cfg->listen_dns_n > 0 && facts->cfg->listen_dns[0].port == 53;
    struct ip_endpoint http;
    reachable(facts->cfg, facts->cfg->listen_http, facts->cfg->listen_http_n, v.http, &http);
    reachable(facts->cfg, facts->cfg->listen_dns, facts->cfg->listen_dns_n, v.dns, &v.dns_endpoint);
    if (facts->is_key_only) {
        snippets_put_transfer_key(out, &v);
        return;
    }
    choose_domains(&v);
    if (facts->is_preauthorized) {
        put_preauthorized(out, &v);
    }
    for (size_t i = 0; i < ARRAY_N(blocks); i++) {
        buf_printf(out, "%s# --- %s ---\n", i == 0 ? "" : "\n", blocks[i].title);
        snippets_put_root(out, &v);
        snippets_put_root_env(out);
        blocks[i].put_env(out, &v);
        if (blocks[i].is_traefik) {
            put_traefik_static(out, &v, blocks[i].provider);
            put_traefik_dynamic(out, &v);
        } else {
            snippets_put_lego(out, &v, blocks[i].provider);
        }
    }
    snippets_put_updates(out, &v);
    put_eab(out, &v);
}
