/* The inside of struct val_net, shared by the files behind validate_net.h: val_net.c, val_target.c,
 * val_addresses.c, val_dns.c, val_http01.c, val_tlsalpn01.c, caa.c.
 *
 * Attempts in flight hang in their file's list, so that val_net_free() can drop them. It runs after
 * loop_stop() and before lookups_free(): each *_clear() cancels the look-ups that it waits for. */
#ifndef ACME_SERVER_VALIDATE_NET_INT_H
#define ACME_SERVER_VALIDATE_NET_INT_H

#include "acme-server/validate_net.h"

struct caa_cache;          /* caa.c; its lock is a leaf */
struct caa_climb;          /* caa.c: one caa_start() */
struct val_dns;            /* val_dns.c: one val_dns_start() */
struct val_address_lookup; /* val_addresses.c: one val_addresses_start() */
struct val_locals;         /* val_target.c: this machine's addresses; its lock is a leaf */
struct val_gate;           /* val_gate.h */
struct http01_state;       /* val_http01.c */
struct tlsalpn01_state;    /* val_tlsalpn01.c */

struct val_net {
    struct acme *acme;
    struct loop *loop;
    struct lookups *lookups;
    struct ip_endpoint *own; /* a copy */
    size_t own_n;
    struct val_locals *locals;
    struct val_gate *gate; /* for TLS */
    struct caa_cache *caa;
    struct http01_state *http01;
    struct tlsalpn01_state *tlsalpn01;
    /* list heads; the loop's thread only */
    struct caa_climb *climbs;
    struct val_dns *dns;
    struct val_address_lookup *addresses;
};

MUST_USE struct err val_locals_new(struct val_locals **out);
void val_locals_free(struct val_locals *locals); /* NULL is fine */
MUST_USE struct err caa_cache_new(struct caa_cache **out);
void caa_cache_free(struct caa_cache *cache); /* NULL is fine */
MUST_USE struct err http01_state_new(struct val_net *net, struct http01_state **out);
void http01_state_free(struct http01_state *state); /* NULL is fine; drops its attempts */
MUST_USE struct err tlsalpn01_state_new(struct val_net *net, struct tlsalpn01_state **out);
void tlsalpn01_state_free(struct tlsalpn01_state *state); /* NULL is fine; drops its attempts */

/* Drop what is in flight, without its callback. The attempts of http-01 and tls-alpn-01 cancel their
 * own address look-ups first: call the two *_state_free() before val_addresses_clear(). */
void caa_clear(struct val_net *net);
void val_dns_clear(struct val_net *net);
void val_addresses_clear(struct val_net *net);

#endif
