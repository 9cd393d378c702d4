/* Which addresses a validation may connect to. A validator asks on behalf of strangers: it must not
 * reach what only this machine can reach, nor the daemon itself (RFC 8555 §10.2, §10.4). */
#include <ifaddrs.h>
#include <pthread.h>
#include <string.h>

#include "acme-server/acme_impl.h"
#include "acme-server/validate_net_int.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

#define LOCALS_MS 3000  /* how long a reading of the machine's addresses is good */
#define FORMS_MAX 3u    /* an address and the IPv4 addresses inside it */
#define LOCALS_MAX 4096 /* addresses of this machine that are remembered */

struct val_locals {
    pthread_mutex_t lock;
    struct ip_addr *list;
    size_t n;
    int64_t until_ms;
};

struct err val_locals_new(struct val_locals **out)
{
    struct val_locals *locals = mem_zalloc(sizeof(*locals));

    TRY_PTR(locals);
    (void)pthread_mutex_init(&locals->lock, NULL);
    *out = locals;
    return err_ok();
}

void val_locals_free(struct val_locals *locals)
{
    if (locals != NULL) {
        (void)pthread_mutex_destroy(&locals->lock);
        mem_free(locals->list);
        mem_free(locals);
    }
}

/* Under the lock. False: they cannot be read; the old ones stay. */
static bool read_locals(struct val_locals *locals)
{
    struct ifaddrs *first = NULL;
    size_t n = 0;

    if (getifaddrs(&first) != 0) {
        return false;
    }
    for (const struct ifaddrs *one = first; one != NULL && n < LOCALS_MAX; one = one->ifa_next) {
        n++;
    }
    struct ip_addr *list = mem_array(n, sizeof(*list));
    size_t at = 0;
    for (const struct ifaddrs *one = first; list != NULL && one != NULL && at < n;
         one = one->ifa_next) {
        if (one->ifa_addr != NULL) { /* other families become family 0 */
            list[at++] = ip_from_sockaddr(one->ifa_addr);
        }
    }
    freeifaddrs(first);
    if (list == NULL) {
        return false;
    }
    mem_free(locals->list);
    locals->list = list;
    locals->n = at;
    return true;
}

/* What cannot be found out counts as ours. */
static bool is_local(struct val_locals *locals, const struct ip_addr *ip)
{
    int64_t now_ms = clock_mono_ms();
    bool is_found = false;

    (void)pthread_mutex_lock(&locals->lock);
    if (now_ms >= locals->until_ms) {
        is_found = !read_locals(locals);
        locals->until_ms = is_found ? 0 : now_ms + LOCALS_MS;
    }
    for (size_t i = 0; i < locals->n && !is_found; i++) {
        is_found = ip_equal(&locals->list[i], ip);
    }
    (void)pthread_mutex_unlock(&locals->lock);
    return is_found;
}

static bool is_wildcard(const struct ip_addr *ip)
{
    static const uint8_t ZEROS[16];

    return memcmp(ip->bytes, ZEROS, ip->family == 4 ? 4 : 16) == 0;
}

/* Our wildcard listeners take one family each (IPV6_V6ONLY). */
static bool is_own(const struct val_net *net, const struct ip_addr *ip, uint16_t port)
{
    for (size_t i = 0; i < net->own_n; i++) {
        const struct ip_endpoint *own = &net->own[i];
        if (own->port == port && own->addr.family == ip->family &&
            (ip_equal(&own->addr, ip) || (is_wildcard(&own->addr) && is_local(net->locals, ip)))) {
            return true;
        }
    }
    return false;
}

/* RFC 6890 and its registries, as far as such an address never names another machine. */
static const struct {
    struct ip_net net;
    const char *why;
} REFUSED[] = {
    {{{4, {0}}, 8}, "it is an unspecified address"},
    {{{4, {127}}, 8}, "it is a loopback address"},
    {{{4, {169, 254}}, 16}, "it is a link-local address"},
    {{{4, {224}}, 4}, "it is a multicast address"},
    {{{4, {255, 255, 255, 255}}, 32}, "it is the broadcast address"},
    {{{6, {0}}, 128}, "it is an unspecified address"},
    {{{6, {[15] = 1}}, 128}, "it is a loopback address"},
    {{{6, {0xfe, 0x80}}, 10}, "it is a link-local address"},
    {{{6, {0xff}}, 8}, "it is a multicast address"},
};

static const char *refused_because(const struct ip_addr *ip)
{
    for (size_t i = 0; i < ARRAY_N(REFUSED); i++) {
        if (ip_net_contains(&REFUSED[i].net, ip)) {
            return REFUSED[i].why;
        }
    }
    return NULL;
}

static struct ip_addr ipv4_at(const struct ip_addr *ip, size_t at, uint8_t flip)
{
    struct ip_addr inner = {.family = 4};

    for (size_t i = 0; i < 4; i++) {
        inner.bytes[i] = ip->bytes[at + i] ^ flip;
    }
    return inner;
}

/* The address itself and every IPv4 address that it leads to: 6to4 (RFC 3056 §2), Teredo with its
 * server and its client (RFC 4380 §4), NAT64 (RFC 6052 §2.2, RFC 8215), IPv4-compatible (RFC 4291
 * §2.5.5.1). */
static size_t forms_of(const struct ip_addr *ip, struct ip_addr forms[FORMS_MAX])
{
    static const uint8_t TEREDO[4] = {0x20, 0x01, 0, 0};
    static const uint8_t NAT64[12] = {0, 0x64, 0xff, 0x9b};
    static const uint8_t NAT64_LOCAL[6] = {0, 0x64, 0xff, 0x9b, 0, 1};
    static const uint8_t ZEROS[12];
    size_t n = 0;

    forms[n++] = *ip;
    if (ip->family != 6) {
        return n;
    }
    if (ip->bytes[0] == 0x20 && ip->bytes[1] == 0x02) {
        forms[n++] = ipv4_at(ip, 2, 0);
    } else if (memcmp(ip->bytes, TEREDO, sizeof(TEREDO)) == 0) {
        forms[n++] = ipv4_at(ip, 4, 0);
        forms[n++] = ipv4_at(ip, 12, 0xff);
    } else if (memcmp(ip->bytes, NAT64, sizeof(NAT64)) == 0 ||
               memcmp(ip->bytes, ZEROS, sizeof(ZEROS)) == 0) {
        forms[n++] = ipv4_at(ip, 12, 0);
    } else if (memcmp(ip->bytes, NAT64_LOCAL, sizeof(NAT64_LOCAL)) == 0) {
        struct ip_addr split = {.family = 4,
                                .bytes = {ip->bytes[6], ip->bytes[7], ip->bytes[9], ip->bytes[10]}};
        struct ip_addr tail = ipv4_at(ip, 12, 0);
        if (split.bytes[0] != 0) { /* a /48 of it; else it is longer */
            forms[n++] = split;
        }
        if (tail.bytes[0] != 0) { /* a /96 of it */
            forms[n++] = tail;
        }
    }
    return n;
}

bool val_target_allowed(const struct val_net *net, const struct ip_endpoint *target,
                        const char **why)
{
    const struct config_acme *settings = acme_settings(net->acme);
    struct ip_addr forms[FORMS_MAX];

    if (ip_nets_contain(settings->allow, settings->allow_n, &target->addr)) {
        return true;
    }
    size_t n = forms_of(&target->addr, forms);
    for (size_t i = 0; i < n; i++) {
        const char *because = refused_because(&forms[i]);
        if (because == NULL && is_own(net, &forms[i], target->port)) {
            because = "this server listens there itself";
        }
        if (because != NULL || forms[i].family == 0) {
            *why = because != NULL ? because : "it is no IP address";
            return false;
        }
    }
    return true;
}
