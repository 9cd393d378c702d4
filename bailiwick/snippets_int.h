/* Shared by the snippets*.c files only. */
#ifndef BAILIWICK_SNIPPETS_INT_H
#define BAILIWICK_SNIPPETS_INT_H

#include "bailiwick/snippets.h"
#include "core/util/name.h"

/* What the blocks have in common, worked out once. */
struct snippet_view {
    const struct snippet_facts *facts;
    const char *host;                /* public_url's authority */
    char http[IP_TEXT_MAX + 10];     /* "10.0.0.1:80", "" when plain HTTP is off */
    char dns[IP_TEXT_MAX + 10];      /* "10.0.0.1:53", "" when DNS is off */
    struct ip_endpoint dns_endpoint; /* the same */
    bool is_dns_53;                  /* else clients cannot ask our authoritative port */
    /* of the example certificate: name, wildcard, or one of them */
    char domains[2][IDENT_TEXT_MAX + 1];
    size_t domains_n;
    char email[NAME_TEXT_MAX + 16];
};

/* snippets.c */
void snippets_put_export(struct buf *out, const char *name, const char *value);
/* Lines that fetch the root into root.pem. */
void snippets_put_root(struct buf *out, const struct snippet_view *v);
/* Lines that make Go programs trust it. */
void snippets_put_root_env(struct buf *out);
void snippets_put_lego(struct buf *out, const struct snippet_view *v, const char *provider);
/* A Caddyfile and its start: names proved by DNS updates, or none because the account is bound. */
void snippets_put_caddy(struct buf *out, const struct snippet_view *v, bool is_update);

/* snippets_dns.c: blocks for clients that send DNS updates (RFC 2136); none without DNS. */
void snippets_put_updates(struct buf *out, const struct snippet_view *v);
/* The only block of a client that is a key: for a secondary. */
void snippets_put_transfer_key(struct buf *out, const struct snippet_view *v);

#endif
