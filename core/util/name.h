/* DNS names as identifiers, name patterns, wire form, delegate names; IP addresses and networks.
 *
 * Text names here are lower case, ASCII LDH, without a trailing dot, at most 253 characters, labels
 * 1 to 63 characters that neither start nor end with a hyphen.  A-labels are opaque: IDNA is not
 * checked.
 * Thread rule: any; pure. */
#ifndef CORE_UTIL_NAME_H
#define CORE_UTIL_NAME_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/util/err.h"

#define NAME_TEXT_MAX 253u
#define NAME_WIRE_MAX 255u
#define LABEL_MAX 63u
#define ACME_LABEL "_acme-challenge"

/* An identifier (RFC 8555 §7.1.3): a dns name with its wildcard flag, or an IP address (RFC 8738)
 * as its canonical text (dotted decimal; RFC 5952 §4). */
struct ident {
    bool is_wildcard;
    bool is_ip;
    char base[NAME_TEXT_MAX + 1]; /* without "*." */
};

/* Parse an identifier or a name; upper case is folded.  *why (optional) receives a static phrase
 * such as "a label is longer than 63 characters" on failure.  ERR_MALFORMED.
 * Refused: empty, trailing dot, "*" alone, "*" anywhere but as the whole first label, underscores,
 * IP addresses, more than NAME_TEXT_MAX characters. A single label ("localhost") is accepted. */
MUST_USE struct err ident_parse(const char *text, size_t len, struct ident *out, const char **why);
/* The same without wildcards. out: NAME_TEXT_MAX + 1 bytes. */
MUST_USE struct err name_parse(const char *text, size_t len, char *out, const char **why);
/* An ip identifier. Only the canonical text is accepted (RFC 8738 §3), IPv4-mapped IPv6 addresses,
 * zone indices and the unspecified address are not. ERR_MALFORMED. */
MUST_USE struct err ident_ip_parse(const char *text, size_t len, struct ident *out,
                                   const char **why);
/* What a base that we stored is: no dns identifier's text is an IP address. */
void ident_from_stored(const char *base, bool is_wildcard, struct ident *out);
/* "*.base" or "base"; out: NAME_TEXT_MAX + 3 bytes. */
#define IDENT_TEXT_MAX (NAME_TEXT_MAX + 2u)
void ident_text(const struct ident *id, char out[IDENT_TEXT_MAX + 1]);
bool ident_equal(const struct ident *a, const struct ident *b);

/* name equals zone or ends in ".zone"; zone "." contains everything. */
bool name_is_below_or_equal(const char *name, const char *zone);

/* A name pattern of product.md: "x" covers the identifier x only; "*.x" covers every name below x
 * and the wildcards "*.x" and "*.y.x", not x itself; "*" covers every dns identifier. Patterns never
 * cover IP addresses. */
struct name_pattern {
    bool is_below;                /* "*.x" */
    char base[NAME_TEXT_MAX + 1]; /* "" with is_below: everything */
};
MUST_USE struct err name_pattern_parse(const char *text, size_t len, struct name_pattern *out,
                                       const char **why);
bool name_pattern_covers(const struct name_pattern *p, const struct ident *id);

/* Text name -> uncompressed lower-case wire form; *out_len in: capacity (255 suffices). "." gives
 * the root. Underscore labels are accepted here. ERR_MALFORMED. */
MUST_USE struct err name_to_wire(const char *text, uint8_t *out, size_t *out_len);
/* Wire (uncompressed) -> text without trailing dot ("." for the root); out: 1024 bytes suffice;
 * bytes that are not LDH or '_' or '*' are escaped \DDD. ERR_MALFORMED when the wire form is
 * broken. */
MUST_USE struct err name_from_wire(const uint8_t *wire, size_t wire_len, char *out, size_t out_cap);

/* The delegate name of base name `name`: "<name>.<delegate_zone>", or "h-<base32 of
 * SHA-256(name)>.<delegate_zone>" where the former would be longer than 255 octets of wire form.
 * out: NAME_TEXT_MAX + 1. ERR_LIMIT when even the short form does not fit. */
MUST_USE struct err name_delegate(const char *name, const char *delegate_zone, char *out);

/* An IPv4 or IPv6 address; IPv4-mapped IPv6 is stored as IPv4. */
struct ip_addr {
    uint8_t family; /* 4 or 6; 0 = none */
    uint8_t bytes[16];
};
/* The address of an ip identifier; family 0 when it is none. */
struct ip_addr ident_ip(const struct ident *id);
struct ip_net {
    struct ip_addr addr;
    uint8_t prefix_len; /* bits */
};
#define IP_TEXT_MAX 46u
MUST_USE struct err ip_parse(const char *text, struct ip_addr *out);
void ip_text(const struct ip_addr *ip, char out[IP_TEXT_MAX + 1]);
struct ip_addr ip_from_sockaddr(const struct sockaddr *sa);
bool ip_equal(const struct ip_addr *a, const struct ip_addr *b);
/* "10.0.0.0/8", "fd00::/8" or a single address. Host bits set are refused with a sentence. */
MUST_USE struct err ip_net_parse(const char *text, struct ip_net *out);
/* Does it lie in the network? False across families and for family 0. */
bool ip_net_contains(const struct ip_net *net, const struct ip_addr *ip);
/* In any of the n networks? */
bool ip_nets_contain(const struct ip_net *nets, size_t n, const struct ip_addr *ip);
void ip_net_text(const struct ip_net *net, char out[IP_TEXT_MAX + 5]);

/* "addr:port" or "[v6]:port" with sockaddr; also ":port"-less with default_port > 0. */
struct ip_endpoint {
    struct ip_addr addr;
    uint16_t port;
};
MUST_USE struct err ip_endpoint_parse(const char *text, uint16_t default_port,
                                      struct ip_endpoint *out);
void ip_endpoint_text(const struct ip_endpoint *ep, char out[IP_TEXT_MAX + 10]);
socklen_t ip_endpoint_sockaddr(const struct ip_endpoint *ep, struct sockaddr_storage *out);

#endif
