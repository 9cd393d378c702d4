#include "bailiwick/app_dns.h"

#include "core/util/mem.h"

static struct err open_forward(struct app_dns *dns, const struct app_dns_options *options)
{
    dns->own_n = options->cfg->listen_dns_n;
    dns->own = mem_array(dns->own_n, sizeof(*dns->own)); /* filled by app_dns_bind() */
    TRY_PTR(dns->own);
    const struct forward_options forward = {options->cfg, options->zones, dns->own, dns->own_n};
    return forward_new(&forward, &dns->forward);
}

static struct err open_service(struct app_dns *dns, const struct app_dns_options *o)
{
    const struct update_options update = {.cfg = o->cfg,
                                          .store = o->store,
                                          .access = o->access,
                                          .delegate = o->delegate,
                                          .records = o->records,
                                          .zones = o->zones};
    const struct transfer_options transfer = {o->cfg, o->store, o->access, o->records};

    TRY(update_new(&update, &dns->update));
    TRY(transfer_new(&transfer, &dns->transfer));
    const struct dns_service_options service = {.cfg = o->cfg,
                                                .access = o->access,
                                                .zones = o->zones,
                                                .update = dns->update,
                                                .transfer = dns->transfer,
                                                .watch = dns->watch};
    TRY(dns_service_new(&service, &dns->service));
    TRY(work_new(dns_service_handle, dns->service, &dns->work));
    work_gate(dns->work, dns_service_may_transfer, dns_service_is_transfer_allowed);
    return err_ok();
}

struct err app_dns_open(struct app_dns *dns, const struct app_dns_options *options)
{
    TRY(watch_new(options->zones, &dns->watch));
    watch_log_set(dns->watch, options->cfg->dns.query_log);
    if (options->cfg->dns.rate_limit > 0) {
        TRY(rrl_new((uint32_t)options->cfg->dns.rate_limit, &dns->rrl));
    }
    TRY(open_forward(dns, options));
    return open_service(dns, options);
}

struct err app_dns_bind(struct app_dns *dns, const struct app_dns_options *options)
{
    const struct dns_server_options server = {.zones = options->zones,
                                              .listen = options->cfg->listen_dns,
                                              .listen_n = options->cfg->listen_dns_n,
                                              .tcp_threads = 1,
                                              .forward = dns->forward,
                                              .work = dns->work,
                                              .watch = dns->watch,
                                              .rrl = dns->rrl,
                                              .has_cookies = true};

    TRY(dns_server_open(&server, &dns->server));
    for (size_t i = 0; i < dns->own_n; i++) {
        dns->own[i] = dns_server_endpoint(dns->server, i);
    }
    return err_ok();
}

struct err app_dns_start(struct app_dns *dns)
{
    TRY(work_start(dns->work));
    TRY(transfer_start(dns->transfer));
    if (dns->forward != NULL) {
        TRY(forward_start(dns->forward));
    }
    return dns_server_start(dns->server);
}

void app_dns_close(struct app_dns *dns)
{
    dns_server_free(dns->server); /* nothing new comes in; then those who still answer end */
    work_free(dns->work);
    forward_free(dns->forward);
    transfer_free(dns->transfer);
    dns_service_free(dns->service);
    update_free(dns->update);
    rrl_free(dns->rrl);
    watch_free(dns->watch);
    mem_free(dns->own);
    *dns = (struct app_dns){.own_n = 0};
}
