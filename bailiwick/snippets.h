/* The ready blocks that `client add` prints: complete shell for lego, Traefik, DNS updates
 * (nsupdate, certbot, lego, acme.sh, Caddy) and, for preauthorized clients, Caddy and Traefik, to
 * be run as printed; and what external account binding needs, as comments. For a client that is
 * only a key: the key file of a secondary.
 *
 * Each block begins with a line "# --- TITLE ---" and ends before the next such line or the end of
 * the text. Pure: no I/O.
 * Not checked: that the client can reach the addresses. */
#ifndef BAILIWICK_SNIPPETS_H
#define BAILIWICK_SNIPPETS_H

#include "core/util/buf.h"
#include "core/util/config.h"

#define SNIPPETS_MAX (64u * 1024u)

struct snippet_facts {
    const struct config *cfg;
    const char *client;
    const char *secret;
    const struct name_pattern *names;
    size_t names_n;
    const char *root_fingerprint; /* lower-case hex SHA-256, or NULL when not known yet */
    bool is_preauthorized;
    bool is_key_only; /* no names: a key for transfers */
};

/* Append all blocks. The buffer holds the secret: the caller wipes it. */
void snippets_write(const struct snippet_facts *facts, struct buf *out);
/* Append `text` as one shell word. */
void snippets_quote(struct buf *out, const char *text);

#endif
