#include "acme-server/val_gate.h"
#include "acme-server/validate_net_int.h"

#include "core/util/mem.h"

static struct err fill(struct val_net *net, const struct val_net_options *options)
{
    net->acme = options->acme;
    net->loop = options->loop;
    net->lookups = options->lookups;
    if (options->own_n > 0) {
        net->own = mem_array(options->own_n, sizeof(*net->own));
        TRY_PTR(net->own);
        for (size_t i = 0; i < options->own_n; i++) {
            net->own[i] = options->own[i];
        }
        net->own_n = options->own_n;
    }
    TRY(val_locals_new(&net->locals));
    TRY(val_gate_new(options->loop, &net->gate));
    TRY(caa_cache_new(&net->caa));
    TRY(http01_state_new(net, &net->http01));
    return tlsalpn01_state_new(net, &net->tlsalpn01);
}

struct err val_net_new(const struct val_net_options *options, struct val_net **out)
{
    struct val_net *net = mem_zalloc(sizeof(*net));

    TRY_PTR(net);
    struct err e = fill(net, options);
    if (e.code != ERR_OK) {
        val_net_free(net);
        return e;
    }
    *out = net;
    return err_ok();
}

void val_net_free(struct val_net *net)
{
    if (net == NULL) {
        return;
    }
    http01_state_free(net->http01);
    tlsalpn01_state_free(net->tlsalpn01);
    val_dns_clear(net);
    caa_clear(net);
    val_addresses_clear(net);
    caa_cache_free(net->caa);
    val_gate_free(net->gate);
    val_locals_free(net->locals);
    mem_free(net->own);
    mem_free(net);
}
