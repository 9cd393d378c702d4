#include "web/trust_page.h"

#include <ctype.h>
#include <string.h>

#define FINGERPRINT_HEX_LEN 64u
#define PAGE_HEAD                                                                                  \
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"                            \
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"                   \
    "<title>%s</title>\n<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;"           \
    "margin:2rem auto;padding:0 1rem}pre{background:#f3f3f3;color:#111;padding:.7rem;"             \
    "overflow-x:auto}code{overflow-wrap:anywhere}h2{margin-top:1.6rem;font-size:1.1rem}"           \
    "</style></head><body>\n"
#define PAGE_TAIL "</body></html>\n"

static void put_html(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            buf_puts(out, "&amp;");
            break;
        case '<':
            buf_puts(out, "&lt;");
            break;
        case '>':
            buf_puts(out, "&gt;");
            break;
        case '"':
            buf_puts(out, "&quot;");
            break;
        case '\'':
            buf_puts(out, "&#39;");
            break;
        default: /* allow: a character, not an enum of ours */
            buf_putc(out, *text);
            break;
        }
    }
}

/* A heading, and below it commands in which each %R is the root's URL. */
static void put_recipe(struct buf *out, const char *title, const char *commands,
                       const char *root_url)
{
    buf_printf(out, "<h2>%s</h2>\n<pre>", title);
    for (const char *p = commands; *p != '\0'; p++) {
        if (p[0] == '%' && p[1] == 'R') {
            put_html(out, root_url);
            p++;
        } else {
            buf_putc(out, *p);
        }
    }
    buf_puts(out, "</pre>\n");
}

void trust_fingerprint(const char *fingerprint_hex, char out[TRUST_FINGERPRINT_LEN + 1])
{
    size_t o = 0;

    for (size_t i = 0; i < FINGERPRINT_HEX_LEN && fingerprint_hex[i] != '\0'; i++) {
        if (i > 0 && i % 2 == 0) {
            out[o++] = ':';
        }
        out[o++] = (char)toupper((unsigned char)fingerprint_hex[i]);
    }
    out[o] = '\0';
}

struct recipe {
    const char *title;
    const char *commands;
};

static const struct recipe RECIPES[] = {
    {"Fetch and check on the command line",
     "curl -fsSo bailiwick-root.pem %R\n"
     "openssl x509 -in bailiwick-root.pem -noout -fingerprint -sha256"},
    {"Debian, Ubuntu, Alpine",
     "sudo cp bailiwick-root.pem /usr/local/share/ca-certificates/bailiwick-root.crt\n"
     "sudo update-ca-certificates"},
    {"Fedora, RHEL, Rocky",
     "sudo cp bailiwick-root.pem /etc/pki/ca-trust/source/anchors/\nsudo update-ca-trust"},
    {"macOS", "sudo security add-trusted-cert -d -r trustRoot \\\n"
              "  -k /Library/Keychains/System.keychain bailiwick-root.pem"},
    {"Windows (as administrator)", "certutil -addstore -f Root bailiwick-root.pem"},
    {"Firefox (keeps a list of its own)",
     "Settings &rarr; Privacy &amp; Security &rarr; Certificates &rarr; View Certificates\n"
     "&rarr; Authorities &rarr; Import: bailiwick-root.pem, \"Trust this CA to identify "
     "websites\""},
    {"Programs with a list of their own",
     "SSL_CERT_FILE=bailiwick-root.pem           # lego, Traefik and other Go programs\n"
     "LEGO_CA_CERTIFICATES=bailiwick-root.pem    # lego needs both\n"
     "REQUESTS_CA_BUNDLE=bailiwick-root.pem      # certbot and other Python programs\n"
     "NODE_EXTRA_CA_CERTS=bailiwick-root.pem     # Node.js"},
};

void trust_page_put(struct buf *out, const char *public_url, const char *root_url,
                    const char *fingerprint_hex)
{
    char fingerprint[TRUST_FINGERPRINT_LEN + 1];

    trust_fingerprint(fingerprint_hex, fingerprint);
    buf_printf(out, PAGE_HEAD, "Trust this network's certificates");
    buf_puts(out, "<h1>Trust this network's certificates</h1>\n"
                  "<p>Install this root certificate once, and every certificate that this "
                  "appliance issues is trusted.</p>\n"
                  "<p><a href=\"/root.pem\">root.pem</a> (PEM) &middot; "
                  "<a href=\"/root.der\">root.der</a> (DER)</p>\n"
                  "<p>SHA-256 fingerprint:<br><code>");
    put_html(out, fingerprint);
    buf_puts(out, "</code></p>\n<p><strong>Compare it</strong> with what the appliance's "
                  "administrator reads from <code>bailiwick status</code>: this page may have "
                  "reached you over an unprotected connection.</p>\n");
    for (size_t i = 0; i < sizeof(RECIPES) / sizeof(RECIPES[0]); i++) {
        put_recipe(out, RECIPES[i].title, RECIPES[i].commands, root_url);
    }
    buf_puts(out, "<h2>ACME clients</h2>\n<p>Directory URL: <code>");
    put_html(out, public_url);
    buf_puts(out, "/acme/directory</code></p>\n" PAGE_TAIL);
}

void start_page_put(struct buf *out, const char *public_url)
{
    buf_printf(out, PAGE_HEAD, "Bailiwick");
    buf_puts(out, "<h1>Bailiwick</h1>\n<p>The certificate authority of this network.</p>\n"
                  "<p>ACME directory: <a href=\"/acme/directory\"><code>");
    put_html(out, public_url);
    buf_puts(out, "/acme/directory</code></a></p>\n"
                  "<p><a href=\"/trust\">Trust the root certificate</a> on this machine.</p>\n"
                  "<p>A client's credential, with blocks ready to paste for lego and Traefik: "
                  "<code>bailiwick client add NAME --name svc.test --name '*.svc.test'</code> on "
                  "the appliance.</p>\n" PAGE_TAIL);
}
