/* Who is asked about a name, and that as libunbound's configuration. */
#include "dns/forward_int.h"

#include <stdio.h>
#include <string.h>

#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/lookup.h"

/* The library would resolve from the root what no forward zone holds: nobody lives at this address
 * (RFC 791 §3.2), and it is not to be queried, so such names fail at once. */
#define NOBODY "0.0.0.1"

/* The caches together stay below FORWARD_CACHE_BYTES. */
#define MESSAGE_CACHE_BYTES (FORWARD_CACHE_BYTES / 4)
#define RRSET_CACHE_BYTES (FORWARD_CACHE_BYTES / 8 * 5)
#define INFRA_HOSTS 1000u

/* --- making ----------------------------------------------------------------------------------- */

static void say_left_out(const struct resolve_config *config, const struct forward_route *route)
{
    char text[IP_TEXT_MAX + 10];

    for (size_t i = 0; i < config->resolvers_n; i++) {
        struct resolve_config one = *config;
        struct ip_endpoint unused;
        one.resolvers = &config->resolvers[i];
        one.resolvers_n = 1;
        if (!lookup_resolver(&one, 0, &unused)) {
            ip_endpoint_text(&config->resolvers[i], text);
            log_ev(LOG_WARN, "dns.forward.own", {"server", text}, {"for", route->name},
                   {"msg", "this server is ourselves and is left out; remove it from dns.forward"});
        }
    }
}

static struct err make_route(const struct forward_options *options, const char *name,
                             const struct ip_endpoint *servers, size_t n, struct forward_route *out)
{
    const struct resolve_config config = {servers, n, options->own, options->own_n};

    (void)snprintf(out->name, sizeof(out->name), "%s", name);
    out->servers = mem_array(n, sizeof(*out->servers));
    TRY_PTR(out->servers);
    while (out->servers_n < n &&
           lookup_resolver(&config, out->servers_n, &out->servers[out->servers_n])) {
        out->servers_n++;
    }
    if (out->servers_n < n) {
        say_left_out(&config, out);
    }
    return err_ok();
}

struct err forward_routes_make(const struct forward_options *options, struct forward_routes *out)
{
    const struct config_dns *dns = &options->cfg->dns;
    AUTO(forward_routes_clear) struct forward_routes made = {NULL, 0};

    made.list = mem_array(dns->routes_n + 1, sizeof(*made.list));
    TRY_PTR(made.list);
    for (size_t i = 0; i < dns->routes_n; i++) {
        const struct config_route *route = &dns->routes[i];
        made.n++;
        TRY(make_route(options, route->name, route->servers, route->servers_n, &made.list[i]));
    }
    made.n++;
    TRY(make_route(options, ".", dns->upstreams, dns->upstreams_n, &made.list[made.n - 1]));
    *out = made;
    made = (struct forward_routes){NULL, 0};
    return err_ok();
}

void forward_routes_clear(struct forward_routes *routes)
{
    for (size_t i = 0; i < routes->n; i++) {
        mem_free(routes->list[i].servers);
    }
    mem_free(routes->list);
    *routes = (struct forward_routes){NULL, 0};
}

/* --- asking ----------------------------------------------------------------------------------- */

const struct forward_route *forward_route_of(const struct forward_routes *routes, const char *name)
{
    const struct forward_route *best = NULL;

    for (size_t i = 0; i + 1 < routes->n; i++) {
        const struct forward_route *route = &routes->list[i];
        if (name_is_below_or_equal(name, route->name) &&
            (best == NULL || strlen(route->name) > strlen(best->name))) {
            best = route;
        }
    }
    return best != NULL ? best : &routes->list[routes->n - 1];
}

bool forward_routes_have(const struct forward_routes *routes, const struct ip_addr *server)
{
    for (size_t i = 0; i < routes->n; i++) {
        for (size_t k = 0; k < routes->list[i].servers_n; k++) {
            if (ip_equal(&routes->list[i].servers[k].addr, server)) {
                return true;
            }
        }
    }
    return false;
}

/* --- the library's configuration -------------------------------------------------------------- */

/* What it answers by itself unless told otherwise: in a private network these names may exist.
 * `localhost`, `invalid` and `onion` stay as they are (RFC 6761 §6, RFC 7686 §2), unless there is a
 * route. */
static const char *const OPENED[] = {"home.arpa", "test", "resolver.arpa", "service.arpa"};
static const char *const CLOSED[] = {"localhost", "invalid", "onion", "127.in-addr.arpa"};

static void write_opened(const struct forward_routes *routes, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_N(OPENED); i++) {
        buf_printf(out, "  local-zone: \"%s.\" nodefault\n", OPENED[i]);
    }
    for (size_t i = 0; i < ARRAY_N(CLOSED); i++) {
        for (size_t k = 0; k + 1 < routes->n; k++) {
            if (name_is_below_or_equal(routes->list[k].name, CLOSED[i])) {
                buf_printf(out, "  local-zone: \"%s.\" nodefault\n", CLOSED[i]);
                break;
            }
        }
    }
}

static void write_route(const struct forward_route *route, struct buf *out)
{
    buf_printf(out, "forward-zone:\n  name: \"%s%s\"\n", route->name,
               strcmp(route->name, ".") == 0 ? "" : ".");
    for (size_t i = 0; i < route->servers_n; i++) {
        char text[IP_TEXT_MAX + 1];
        ip_text(&route->servers[i].addr, text);
        buf_printf(out, "  forward-addr: %s@%u\n", text, route->servers[i].port);
    }
    if (route->servers_n == 0) {
        buf_puts(out, "  forward-addr: " NOBODY "\n");
    }
}

/* Patience: a server that recurses may take a while, whatever its usual time is, so it is asked three
 * times two datagrams, twice as far apart each time, 250 ms or more. An unknown server's wait is above the
 * 400 ms by which the library takes servers for equal: one that kept silent is not tried again before an
 * unknown one, and a dead server costs the first answer 0.8 s. What is known of a server is forgotten
 * after 15 s, so that one that comes back is not passed over for long. */
void forward_routes_write(const struct forward_routes *routes, struct buf *out)
{
    buf_puts(out, "server:\n"
                  "  verbosity: 0\n"
                  "  module-config: \"iterator\"\n" /* no validator: a private network's names
                                                        are not signed */
                  "  do-not-query-localhost: no\n"
                  "  do-not-query-address: " NOBODY "\n"
                  "  use-caps-for-id: no\n"
                  "  qname-minimisation: no\n"
                  "  harden-below-nxdomain: no\n"
                  "  aggressive-nsec: no\n"
                  "  minimal-responses: yes\n"
                  "  prefetch: no\n"
                  "  serve-expired: no\n"
                  "  cache-max-ttl: 86400\n"
                  "  cache-max-negative-ttl: 3600\n"
                  "  unwanted-reply-threshold: 10000000\n"
                  "  outgoing-range: 512\n"
                  "  outgoing-num-tcp: 16\n"
                  "  incoming-num-tcp: 0\n"
                  "  msg-cache-slabs: 1\n"
                  "  rrset-cache-slabs: 1\n"
                  "  infra-cache-slabs: 1\n"
                  "  outbound-msg-retry: 3\n"
                  "  unknown-server-time-limit: 410\n"
                  "  infra-cache-min-rtt: 250\n"
                  "  infra-host-ttl: 15\n"
                  "  infra-keep-probing: yes\n"
                  "  unblock-lan-zones: yes\n");
    buf_printf(out, "  edns-buffer-size: %u\n", DNS_UDP_EDNS_MAX);
    buf_printf(out, "  msg-cache-size: %u\n  rrset-cache-size: %u\n  infra-cache-numhosts: %u\n",
               MESSAGE_CACHE_BYTES, RRSET_CACHE_BYTES, INFRA_HOSTS);
    write_opened(routes, out);
    for (size_t i = 0; i < routes->n; i++) {
        write_route(&routes->list[i], out);
    }
}
