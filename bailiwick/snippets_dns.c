/* The printed blocks for DNS: updates signed with the client's key, and keys for secondaries. The
 * secret's text is the base64 of the key, as each of these programs wants it. */
#include "bailiwick/snippets_int.h"

#include "core/util/mem.h"

/* NAME.key, in the form of BIND's tools, readable by its owner only. */
static void put_key_file(struct buf *out, const struct snippet_view *v)
{
    const char *name = v->facts->client;

    buf_printf(out,
               "(umask 077 && cat > %s.key <<'EOF'\n"
               "key \"%s\" {\n"
               "\talgorithm hmac-sha256;\n"
               "\tsecret \"%s\";\n"
               "};\n"
               "EOF\n"
               ")\n",
               name, name, v->facts->secret);
}

static void put_nsupdate(struct buf *out, const struct snippet_view *v)
{
    char ip[IP_TEXT_MAX + 1];
    const char *name = v->domains_n == 0 ? "host.example.test" : v->domains[0];

    ip_text(&v->dns_endpoint.addr, ip);
    buf_puts(out, "\n# --- nsupdate, RFC 2136 ---\n");
    put_key_file(out, v);
    buf_printf(out,
               "# nsupdate -k %s.key <<'EOF'\n"
               "# server %s %u\n"
               "# update add %s. 300 A 10.0.0.7\n"
               "# send\n"
               "# EOF\n",
               v->facts->client, ip, (unsigned)v->dns_endpoint.port,
               name[0] == '*' ? name + 2 : name);
}

static void put_lego(struct buf *out, const struct snippet_view *v)
{
    buf_puts(out, "\n# --- lego, rfc2136 ---\n");
    snippets_put_root(out, v);
    snippets_put_root_env(out);
    snippets_put_export(out, "RFC2136_NAMESERVER", v->dns);
    snippets_put_export(out, "RFC2136_TSIG_ALGORITHM", "hmac-sha256.");
    snippets_put_export(out, "RFC2136_TSIG_KEY", v->facts->client);
    snippets_put_export(out, "RFC2136_TSIG_SECRET", v->facts->secret);
    /* It proves one name after the other and would rest a minute between them. */
    snippets_put_export(out, "RFC2136_SEQUENCE_INTERVAL", "1");
    snippets_put_lego(out, v, "rfc2136");
}

static void put_domains(struct buf *out, const struct snippet_view *v)
{
    for (size_t i = 0; i < v->domains_n; i++) {
        buf_puts(out, " -d ");
        snippets_quote(out, v->domains[i]);
    }
}

static void put_certbot(struct buf *out, const struct snippet_view *v)
{
    char ip[IP_TEXT_MAX + 1];

    ip_text(&v->dns_endpoint.addr, ip);
    buf_puts(out, "\n# --- certbot, dns-rfc2136 ---\n");
    snippets_put_root(out, v);
    buf_printf(out,
               "export REQUESTS_CA_BUNDLE=\"$PWD/root.pem\"\n"
               "(umask 077 && cat > rfc2136.ini <<'EOF'\n"
               "dns_rfc2136_server = %s\n"
               "dns_rfc2136_port = %u\n"
               "dns_rfc2136_name = %s\n"
               "dns_rfc2136_secret = %s\n"
               "dns_rfc2136_algorithm = HMAC-SHA256\n"
               "EOF\n"
               ")\n"
               "certbot certonly --non-interactive --agree-tos --email %s \\\n"
               "  --server https://%s/acme/directory \\\n"
               "  --dns-rfc2136 --dns-rfc2136-credentials rfc2136.ini \\\n"
               "  --dns-rfc2136-propagation-seconds 0",
               ip, (unsigned)v->dns_endpoint.port, v->facts->client, v->facts->secret, v->email,
               v->host);
    put_domains(out, v);
    buf_putc(out, '\n');
}

/* It would ask public resolvers for twenty minutes whether the value is there: --dnssleep. */
static void put_acme_sh(struct buf *out, const struct snippet_view *v)
{
    char ip[IP_TEXT_MAX + 1];

    ip_text(&v->dns_endpoint.addr, ip);
    buf_puts(out, "\n# --- acme.sh, dns_nsupdate ---\n");
    snippets_put_root(out, v);
    put_key_file(out, v);
    snippets_put_export(out, "NSUPDATE_SERVER", ip);
    buf_printf(out, "export NSUPDATE_SERVER_PORT=%u\n", (unsigned)v->dns_endpoint.port);
    buf_printf(out, "export NSUPDATE_KEY=\"$PWD/%s.key\"\n", v->facts->client);
    buf_printf(out,
               "acme.sh --issue --server https://%s/acme/directory --ca-bundle \"$PWD/root.pem\" "
               "\\\n  --dns dns_nsupdate --dnssleep 2",
               v->host);
    put_domains(out, v);
    buf_putc(out, '\n');
}

static void put_caddy(struct buf *out, const struct snippet_view *v)
{
    buf_puts(out, "\n# --- Caddy, rfc2136 ---\n"
                  "# Caddy with a module: xcaddy build --with github.com/caddy-dns/rfc2136\n");
    snippets_put_root(out, v);
    snippets_put_caddy(out, v, true);
}

void snippets_put_updates(struct buf *out, const struct snippet_view *v)
{
    if (v->dns[0] != '\0') {
        put_nsupdate(out, v);
        put_lego(out, v);
        put_certbot(out, v);
        put_acme_sh(out, v);
        put_caddy(out, v);
    }
}

void snippets_put_transfer_key(struct buf *out, const struct snippet_view *v)
{
    const char *name = v->facts->client;
    const char *secret = v->facts->secret;

    buf_puts(out, "# --- TSIG key for a secondary ---\n"
                  "# Here: the zone's transfer: key: is the client's name. There, for BIND:\n");
    put_key_file(out, v);
    buf_printf(out,
               "# Knot, under key:\n"
               "#   - id: %s\n#     algorithm: hmac-sha256\n#     secret: %s\n"
               "# NSD, under key:\n"
               "#   name: \"%s\"\n#   algorithm: hmac-sha256\n#   secret: \"%s\"\n",
               name, secret, name, secret);
}
