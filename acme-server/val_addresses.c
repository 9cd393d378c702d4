/* The addresses of a name: AAAA and A, asked at once; IPv6 stands first. */
#include <string.h>

#include "acme-server/validate_net_int.h"
#include "core/util/clock.h"
#include "core/util/mem.h"

#define KINDS 2u
/* When a name has more addresses than fit, this many places are the other family's. */
#define RESERVED (VAL_ADDRESSES_MAX / 2)

struct val_address_lookup {
    struct val_net *net;
    struct val_address_lookup *prev, *next;
    val_addresses_fn fn;
    void *arg;
    struct loop_timer timer; /* a literal address: fn is not called at once */
    struct {
        struct lookup *lookup; /* NULL: nothing is awaited */
        struct val_addresses found;
    } kinds[KINDS];
};

static const struct {
    enum lookup_type type;
    uint8_t family, len;
} KIND[KINDS] = {{LOOKUP_AAAA, 6, 16}, {LOOKUP_A, 4, 4}};

void val_addresses_cancel(struct val_address_lookup *lookup)
{
    if (lookup == NULL) {
        return;
    }
    for (size_t k = 0; k < KINDS; k++) {
        lookup_cancel(lookup->kinds[k].lookup);
    }
    loop_timer_cancel(lookup->net->loop, &lookup->timer);
    if (lookup->prev == NULL) {
        lookup->net->addresses = lookup->next;
    } else {
        lookup->prev->next = lookup->next;
    }
    if (lookup->next != NULL) {
        lookup->next->prev = lookup->prev;
    }
    mem_free(lookup);
}

void val_addresses_clear(struct val_net *net)
{
    while (net->addresses != NULL) {
        val_addresses_cancel(net->addresses);
    }
}

/* Once each: an AAAA record may hold an IPv4 address that an A record names too. */
static void put(struct val_addresses *out, const struct ip_addr *ip)
{
    for (size_t i = 0; i < out->n; i++) {
        if (ip_equal(&out->list[i], ip)) {
            return;
        }
    }
    if (out->n < VAL_ADDRESSES_MAX) {
        out->list[out->n++] = *ip;
    }
}

static void finish(void *arg)
{
    struct val_address_lookup *lookup = arg;
    const struct val_addresses *six = &lookup->kinds[0].found;
    const struct val_addresses *four = &lookup->kinds[1].found;
    size_t reserved = four->n < RESERVED ? four->n : RESERVED;
    struct val_addresses out = {.n = 0};
    val_addresses_fn fn = lookup->fn;
    void *fn_arg = lookup->arg;

    for (size_t i = 0; i < six->n && out.n + reserved < VAL_ADDRESSES_MAX; i++) {
        put(&out, &six->list[i]);
    }
    for (size_t i = 0; i < four->n; i++) {
        put(&out, &four->list[i]);
    }
    val_addresses_cancel(lookup);
    fn(fn_arg, &out);
}

static struct ip_addr address_of(const uint8_t *data, uint8_t family)
{
    struct ip_addr ip = {.family = family};
    struct sockaddr_storage sa;

    memcpy(ip.bytes, data, family == 4 ? 4 : 16);
    /* The one form of an IPv4-mapped address is IPv4. */
    const struct ip_endpoint endpoint = {ip, 0};
    (void)ip_endpoint_sockaddr(&endpoint, &sa);
    return ip_from_sockaddr((const struct sockaddr *)&sa);
}

static void on_found(struct val_address_lookup *lookup, size_t kind,
                     const struct lookup_result *result)
{
    lookup->kinds[kind].lookup = NULL;
    for (size_t i = 0; i < result->rdata_n; i++) {
        if (result->rdata[i].len == KIND[kind].len) {
            struct ip_addr ip = address_of(result->rdata[i].data, KIND[kind].family);
            put(&lookup->kinds[kind].found, &ip);
        }
    }
    if (lookup->kinds[0].lookup == NULL && lookup->kinds[1].lookup == NULL) {
        finish(lookup);
    }
}

static void on_aaaa(void *arg, const struct lookup_result *result)
{
    on_found(arg, 0, result);
}

static void on_a(void *arg, const struct lookup_result *result)
{
    on_found(arg, 1, result);
}

static struct err begin(struct val_address_lookup *lookup, const char *host, int64_t deadline_ms,
                        struct buf *trail)
{
    static const lookup_fn FN[KINDS] = {on_aaaa, on_a};
    struct ip_addr literal;

    if (ip_parse(host, &literal).code == ERR_OK) {
        put(&lookup->kinds[0].found, &literal);
        return loop_timer_set(lookup->net->loop, &lookup->timer, clock_mono_ms(), finish, lookup);
    }
    for (size_t k = 0; k < KINDS; k++) {
        TRY(lookup_start(lookup->net->lookups, host, KIND[k].type, deadline_ms, trail, FN[k],
                         lookup, &lookup->kinds[k].lookup));
    }
    return err_ok();
}

struct err val_addresses_start(struct val_net *net, const char *host, int64_t deadline_ms,
                               struct buf *trail, val_addresses_fn fn, void *arg,
                               struct val_address_lookup **out)
{
    struct val_address_lookup *lookup = mem_zalloc(sizeof(*lookup));

    TRY_PTR(lookup);
    lookup->net = net;
    lookup->fn = fn;
    lookup->arg = arg;
    lookup->next = net->addresses;
    if (net->addresses != NULL) {
        net->addresses->prev = lookup;
    }
    net->addresses = lookup;
    struct err e = begin(lookup, host, deadline_ms, trail);
    if (e.code != ERR_OK) {
        val_addresses_cancel(lookup);
        return e;
    }
    *out = lookup;
    return err_ok();
}
