/* The validator's network below HTTP, for tests: zones and delegate of delegate_fixture.h, a loop
 * without a thread, a scripted resolver on it. */
#ifndef TESTS_UNIT_ACME_NET_H
#define TESTS_UNIT_ACME_NET_H

#include "acme-server/acme_impl.h"
#include "acme-server/validate_net_int.h"
#include "delegate_fixture.h"
#include "dns_script.h"

struct net {
    struct fixture *f;
    struct acme acme;
    struct loop *loop;
    struct script server;
    struct resolve_config resolve;
    struct lookups *lookups;
    struct val_net net;
    struct buf trail;
    bool is_done;
};

/* The fixture's clients, and one that may have names elsewhere. */
#define NET_YAML                                                                                   \
    "  - {name: led, secret: " SECRET_A ", names: [led.test]}\n"                                   \
    "  - {name: pre, secret: " SECRET_A ", names: ['*.svc.test'], preauthorized: true}\n"          \
    "public_url: https://acme.example:8443\n"                                                      \
    "resolvers: ['127.0.0.1:1']\n"

static inline struct net *net_new(const struct rule *rules)
{
    struct net *n = mem_zalloc(sizeof(*n));

    assert_non_null(n);
    n->f = fixture_new(NET_YAML);
    must(loop_new(&n->loop));
    script_start(&n->server, n->loop, rules);
    n->resolve = (struct resolve_config){&n->server.at, 1, NULL, 0};
    must(lookups_new(n->loop, &n->resolve, n->f->zones, &n->lookups));
    n->acme.cfg = n->f->cfg;
    n->acme.access = n->f->access;
    n->acme.zones = n->f->zones;
    n->acme.delegate = n->f->delegate;
    must(base_urls_init(&n->acme.base_urls, n->f->cfg, 0));
    assert_int_equal(pthread_mutex_init(&n->acme.readers.lock, NULL), 0);
    n->net.acme = &n->acme;
    n->net.loop = n->loop;
    n->net.lookups = n->lookups;
    must(caa_cache_new(&n->net.caa));
    buf_init(&n->trail, VAL_TRAIL_MAX);
    return n;
}

static inline void net_free(struct net *n)
{
    val_dns_clear(&n->net);
    caa_clear(&n->net);
    val_addresses_clear(&n->net);
    caa_cache_free(n->net.caa);
    lookups_free(n->lookups);
    script_stop(&n->server);
    loop_free(n->loop);
    for (size_t i = 0; i < n->acme.readers.free_n; i++) {
        zone_reader_free(n->acme.readers.free[i]);
    }
    (void)pthread_mutex_destroy(&n->acme.readers.lock);
    fixture_free(n->f);
    buf_clear(&n->trail);
    mem_free(n);
}

/* Until a callback of the test has set is_done. */
static inline void net_run(struct net *n)
{
    assert_false(n->is_done); /* never from inside the call */
    while (!n->is_done) {
        (void)loop_run_once(n->loop, 1000);
    }
    while (loop_run_once(n->loop, 0) > 0) {
    }
}

static inline void net_must_say(const struct net *n, const char *part)
{
    if (strstr(buf_str(&n->trail), part) == NULL) {
        fail_msg("no '%s' in: %s", part, buf_str(&n->trail));
    }
}

#endif
