/* dns.forward: routes to other servers, and whether the block is whole. */
#include "core/util/config_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/util/mem.h"

#define ROUTES_KEY "dns.forward.routes"

/* How the two halves of a route are read. They are no rows of the table: the suffix is the key. */
static const struct config_option NAME = {.key = ROUTES_KEY,
                                          .scope = SCOPE_ROUTE,
                                          .type = TYPE_ZONE_NAME,
                                          .offset = offsetof(struct config_route, name)};
static const struct config_option SERVERS = {.key = ROUTES_KEY,
                                             .scope = SCOPE_ROUTE,
                                             .type = TYPE_ENDPOINTS,
                                             .default_port = 53,
                                             .offset = offsetof(struct config_route, servers),
                                             .n_offset = offsetof(struct config_route, servers_n)};

void config_routes_clear(struct config_loader *loader)
{
    struct config_dns *dns = &loader->cfg->dns;

    for (size_t i = 0; i < dns->routes_n; i++) {
        mem_free(dns->routes[i].servers);
    }
    mem_freep(&dns->routes);
    mem_freep(&loader->route_where);
    dns->routes_n = 0;
}

static void check_route(struct config_loader *loader, const struct config_route *route,
                        const struct config_where *where)
{
    const struct config_dns *dns = &loader->cfg->dns;

    if (strcmp(route->name, ".") == 0) {
        config_problem(loader, where, ROUTES_KEY,
                       "a route for every name is what dns.forward.upstreams is; write the servers "
                       "there");
    } else if (route->servers_n == 0) {
        config_problem(loader, where, ROUTES_KEY,
                       "the route for '%s' has no servers; write at least one, as in [10.0.0.1]",
                       route->name);
    }
    for (const struct config_route *other = dns->routes; other < route; other++) {
        if (strcmp(other->name, route->name) == 0) {
            config_problem(loader, where, ROUTES_KEY, "'%s' is listed twice", route->name);
            return;
        }
    }
}

struct err config_route_add(struct config_loader *loader, const struct config_item *name,
                            const struct config_value *servers)
{
    struct config_dns *dns = &loader->cfg->dns;
    struct config_value name_value = {SHAPE_SCALAR, name, 1, name->where};
    void *list = dns->routes;
    size_t problems_n = loader->problems_n;

    if (dns->routes_n >= CONFIG_LIST_MAX) {
        config_problem(loader, &name->where, ROUTES_KEY, "the mapping has more than %u entries",
                       CONFIG_LIST_MAX);
        return err_ok();
    }
    TRY(config_grow(&list, sizeof(*dns->routes), &loader->route_where, dns->routes_n));
    dns->routes = list;
    loader->route_where[dns->routes_n] = name->where;
    struct config_route *route = &dns->routes[dns->routes_n++];
    TRY(config_set(loader, route, &NAME, &name_value));
    TRY(config_set(loader, route, &SERVERS, servers));
    if (loader->problems_n == problems_n) {
        check_route(loader, route, &name->where);
    }
    return err_ok();
}

void config_routes_check(struct config_loader *loader)
{
    const struct config_dns *dns = &loader->cfg->dns;
    bool has_servers = dns->upstreams_n > 0 || dns->routes_n > 0;
    const char *key = dns->upstreams_n > 0          ? "dns.forward.upstreams"
                      : dns->routes_n > 0           ? ROUTES_KEY
                      : dns->forward_networks_n > 0 ? "dns.forward.networks"
                                                    : NULL;

    if (key == NULL || loader->problems_n > 0 || has_servers == (dns->forward_networks_n > 0)) {
        return; /* off, broken (said already) or whole */
    }
    const struct config_where *where = &loader->where[config_option_find(key) - CONFIG_OPTIONS];
    config_problem(loader, where, key,
                   has_servers ? "nobody may ask through this server; list who may in "
                                 "dns.forward.networks"
                               : "there is no server to forward to; list some in "
                                 "dns.forward.upstreams or dns.forward.routes");
}
