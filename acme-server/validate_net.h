/* The validation methods that ask the network, as callbacks on one loop: http-01, tls-alpn-01, and
 * dns-* at names that others serve; and CAA.
 *
 * Each *_start() begins one attempt and calls `done` exactly once, never from inside the call and
 * never after val_net_free(), which comes after loop_stop(). An attempt ends by deadline_ms at the
 * latest. Everything it saw goes into attempt->trail, a phrase per step, without secrets. Nothing is
 * stored here. Thread: the loop's, except val_net_new(), val_net_free() and caa_now(). */
#ifndef ACME_SERVER_VALIDATE_NET_H
#define ACME_SERVER_VALIDATE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "acme-server/base_url.h"
#include "acme-server/validate.h"
#include "core/util/buf.h"
#include "core/util/err.h"
#include "core/util/loop.h"
#include "dns/lookup.h"

#define VAL_BODY_MAX 8192u     /* bytes of an http-01 answer; more is an incorrect response */
#define VAL_HEADERS_MAX 16384u /* bytes of its header */
#define VAL_REDIRECTS_MAX 10u
#define VAL_CONNECT_MS 4000  /* one address; the next one is tried after that */
#define VAL_ADDRESSES_MAX 8u /* of one name: IPv6 first */
#define VAL_TRAIL_MAX 8192u

struct val_net_options {
    struct acme *acme; /* for its settings, zones, delegate and base URLs */
    struct loop *loop;
    struct lookups *lookups;
    /* where we listen ourselves: never a target unless in validation.allow */
    const struct ip_endpoint *own;
    size_t own_n;
};
struct val_net;
MUST_USE struct err val_net_new(const struct val_net_options *options, struct val_net **out);
/* After loop_stop(): drop every attempt without its callback, free. NULL is fine. */
void val_net_free(struct val_net *net);

typedef void (*val_done_fn)(void *arg, const struct val_result *result);
struct val_attempt {
    const struct val_target *target; /* borrowed until done */
    int64_t deadline_ms;
    struct buf *trail; /* borrowed until done */
    val_done_fn done;
    void *arg;
};
/* dns-01, dns-account-01, dns-persist-01 (RFC 8555 §8.4; drafts of the ACME working group). */
MUST_USE struct err val_dns_start(struct val_net *net, const struct val_attempt *attempt);
/* RFC 8555 §8.3, RFC 8738 §4. */
MUST_USE struct err val_http01_start(struct val_net *net, const struct val_attempt *attempt);
/* RFC 8737, RFC 8738 §6. */
MUST_USE struct err val_tlsalpn01_start(struct val_net *net, const struct val_attempt *attempt);

/* --- which targets are allowed (val_target.c) -------------------------------------------------- */
/* May we connect to this address and port? Not: loopback, link-local, multicast, unspecified,
 * broadcast, IPv4 inside 6to4 or Teredo or NAT64 of those, our own listeners (any local address at
 * a wildcard listener's port) - unless in validation.allow. why: a static phrase. Any thread. */
bool val_target_allowed(const struct val_net *net, const struct ip_endpoint *target,
                        const char **why);
/* Addresses to try for a host: an ip identifier's own; else AAAA then A, our own zones first.
 * Calls done once. addresses are filtered by nothing: val_target_allowed() is asked per connect. */
struct val_addresses {
    struct ip_addr list[VAL_ADDRESSES_MAX];
    size_t n;
};
typedef void (*val_addresses_fn)(void *arg, const struct val_addresses *found);
struct val_address_lookup;
MUST_USE struct err val_addresses_start(struct val_net *net, const char *host, int64_t deadline_ms,
                                        struct buf *trail, val_addresses_fn fn, void *arg,
                                        struct val_address_lookup **out);
void val_addresses_cancel(struct val_address_lookup *lookup);

/* --- CAA (RFC 8659, RFC 8657; caa.c) ----------------------------------------------------------- */
enum caa_verdict {
    CAA_ALLOWED = 1,
    CAA_FORBIDDEN,
    CAA_UNKNOWN /* caa_now(): a name above is not ours and not in the cache; caa_start(): we could not
                 * ask, by our own fault */
};
struct caa_question {
    struct ident ident;
    char account_id[OBJECT_ID_LEN + 1];
    const char *method; /* "dns-01", "http-01", ..., static */
};
/* From our own zones and the cache, at once. detail gets a sentence when it is forbidden. Any
 * thread. ip identifiers are always allowed. */
enum caa_verdict caa_now(struct val_net *net, const struct caa_question *question,
                         char detail[VALIDATE_DETAIL_MAX]);
/* The whole climb; look-ups that fail (SERVFAIL, NXDOMAIN, time) count as "no CAA here", those that
 * we could not make (LOOKUPS_MAX, sockets, memory) do not. Results are cached, at most CAA_CACHE_MAX
 * names, CAA_CACHE_S. */
#define CAA_CACHE_MAX 4096u
#define CAA_CACHE_S 300
typedef void (*caa_fn)(void *arg, enum caa_verdict verdict, const char *detail);
MUST_USE struct err caa_start(struct val_net *net, const struct caa_question *question,
                              int64_t deadline_ms, struct buf *trail, caa_fn fn, void *arg);
/* The decision itself, pure: does this RRset (wire rdata) let us issue? issuer: our domain names in
 * caaIdentities. Malformed and unknown critical records forbid (RFC 8659 §4.1). An accounturi names
 * the account when base_url_path(urls, uri) is "/acme/account/<id>". */
bool caa_rrset_allows(const struct lookup_rdata *rdata, size_t rdata_n, const char *const *issuers,
                      size_t issuers_n, const struct base_urls *urls,
                      const struct caa_question *question, char detail[VALIDATE_DETAIL_MAX]);

#endif
