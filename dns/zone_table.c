#include "dns/zone_table.h"

#include <string.h>

#include "core/util/mem.h"
#include "core/util/token.h"

#define DELEGATE_ZONE_TEXT_MAX (NAME_TEXT_MAX - 2 - 52 - 1) /* "h-", base32 of SHA-256, dot */
#define A_LEN 14u                                           /* TYPE to the end of RDATA */
#define AAAA_LEN 26u

/* Zone names are the operator's, so a plain FNV-1a will do. It grows leftwards, a label at a time:
 * one walk over a name gives the hash of every suffix. */
#define HASH_START 2166136261u
static uint32_t hash_label(uint32_t hash, const uint8_t *label)
{
    for (size_t i = 0; i <= label[0]; i++) {
        hash = (hash ^ label[i]) * 16777619u;
    }
    return hash;
}

static uint32_t hash_name(const struct dns_name *name)
{
    uint32_t hash = HASH_START;

    for (unsigned i = name->labels_n; i > 0; i--) {
        hash = hash_label(hash, name->wire + name->off[i - 1]);
    }
    return hash;
}

static bool is_before(const struct ip_addr *list, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (ip_equal(&list[k], &list[i])) {
            return true;
        }
    }
    return false;
}

/* The addresses of one family as RRs, each once (RFC 2181 §5: an RRset has no duplicates). */
static struct err encode_addresses(const struct ip_addr *list, size_t n, unsigned family,
                                   struct zone_rrs *out)
{
    size_t address_len = family == 4 ? 4 : 16;
    size_t rr_len = family == 4 ? A_LEN : AAAA_LEN;
    uint8_t *data = mem_array(n, rr_len);
    uint16_t rr_n = 0;

    TRY_PTR(data);
    for (size_t i = 0; i < n && i < CONFIG_LIST_MAX; i++) {
        if (list[i].family != family || is_before(list, i)) {
            continue;
        }
        uint8_t *p = data + rr_n * rr_len;
        p[1] = (uint8_t)(family == 4 ? DNS_TYPE_A : DNS_TYPE_AAAA);
        p[3] = DNS_CLASS_IN;
        p[7] = ZONE_ADDRESS_TTL_S;
        p[9] = (uint8_t)address_len;
        memcpy(p + 10, list[i].bytes, address_len);
        rr_n++;
    }
    out->data = data;
    out->rr_n = rr_n;
    out->rr_len = (uint16_t)rr_len;
    return err_ok();
}

static struct err read_text(const char *text, struct dns_name *out)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);

    TRY(name_to_wire(text, wire, &len));
    if (dns_name_read(wire, len, out) != len) {
        FAIL(ERR_INTERNAL, "zone: %s does not survive its wire form", text);
    }
    return err_ok();
}

static const struct zone_entry *lookup(const struct zone_table *t, uint32_t hash,
                                       const uint8_t *wire, size_t len)
{
    for (uint32_t at = hash & t->mask; t->slots[at] != 0; at = (at + 1) & t->mask) {
        const struct zone_entry *e = &t->entries[t->slots[at] - 1];
        if (e->hash == hash && e->len == len && memcmp(e->wire, wire, len) == 0) {
            return e;
        }
    }
    return NULL;
}

static struct err add_entry(struct zone_table *t, const char *text, struct zone_entry **out)
{
    struct dns_name name;

    TRY(read_text(text, &name));
    uint32_t hash = hash_name(&name);
    if (lookup(t, hash, name.wire, name.len) != NULL) {
        FAIL(ERR_CONFIG, "zone %s is configured twice, or is also the delegate zone", text);
    }
    struct zone_entry *e = &t->entries[t->entries_n];
    memcpy(e->wire, name.wire, name.len);
    e->len = name.len;
    e->labels_n = name.labels_n;
    e->hash = hash;
    e->index = (uint16_t)t->entries_n;
    memcpy(e->name, text, strlen(text)); /* a name: not longer than NAME_TEXT_MAX */
    uint32_t at = hash & t->mask;
    while (t->slots[at] != 0) {
        at = (at + 1) & t->mask;
    }
    t->entries_n++;
    t->slots[at] = (uint16_t)t->entries_n;
    if (name.labels_n > t->labels_max) {
        t->labels_max = name.labels_n;
    }
    *out = e;
    return err_ok();
}

static struct err add_zones(struct zone_table *t, const struct config *cfg)
{
    struct zone_entry *e = NULL;

    for (size_t i = 0; i < cfg->zones_n; i++) {
        const struct config_zone *zone = &cfg->zones[i];
        TRY(add_entry(t, zone->name, &e));
        e->is_served = zone->is_served;
        e->is_any = e->labels_n == 0;
        e->is_plain = zone->is_plain;
        TRY(encode_addresses(zone->ingress, zone->ingress_n, 4, &e->a));
        TRY(encode_addresses(zone->ingress, zone->ingress_n, 6, &e->aaaa));
        if (e->is_any) {
            t->any = e;
        }
    }
    if (cfg->delegate_zone[0] == '\0' && cfg->zones_n == 0) {
        return err_ok();
    }
    if (strlen(cfg->delegate_zone) > DELEGATE_ZONE_TEXT_MAX || cfg->delegate_zone[0] == '\0' ||
        strcmp(cfg->delegate_zone, ".") == 0) {
        FAIL(ERR_CONFIG, "delegate_zone must be a name of at most %u characters",
             DELEGATE_ZONE_TEXT_MAX);
    }
    TRY(add_entry(t, cfg->delegate_zone, &e));
    e->is_served = true;
    e->is_delegate = true;
    t->delegate = e;
    return err_ok();
}

/* Whose name the NS records carry: hostname where we answer it, else ns.<zone> (see the header). */
static struct err set_hostname(struct zone_table *t, const char *hostname)
{
    struct dns_name name;
    struct zone_match match;

    if (hostname[0] == '\0') {
        return err_ok();
    }
    TRY(read_text(hostname, &name));
    t->is_hostname_ns = name.first == LABEL_LDH && name.is_rest_ldh && zone_find(t, &name, &match);
    memcpy(t->hostname, name.wire, name.len);
    t->hostname_len = name.len;
    for (size_t i = 0; i < t->entries_n; i++) {
        struct zone_entry *e = &t->entries[i];
        if (e->labels_n == 0 || e->labels_n > name.labels_n) {
            continue;
        }
        uint8_t head = name.labels_n == e->labels_n ? 0 : name.off[name.labels_n - e->labels_n];
        if (name.len - head == e->len && memcmp(name.wire + head, e->wire, e->len) == 0) {
            e->is_ns_below = true;
            e->ns_head_len = head;
        }
    }
    return err_ok();
}

struct err zone_table_new(const struct config *cfg, struct zone_table **out)
{
    AUTO(zone_table_freep) struct zone_table *t = mem_zalloc(sizeof(*t));
    size_t slots_n = 4;

    TRY_PTR(t);
    if (cfg->zones_n > CONFIG_LIST_MAX) {
        FAIL(ERR_LIMIT, "more than %u zones", CONFIG_LIST_MAX);
    }
    while (slots_n < 2 * (cfg->zones_n + 1)) {
        slots_n *= 2;
    }
    t->mask = (uint32_t)slots_n - 1;
    t->slots = mem_array(slots_n, sizeof(*t->slots));
    TRY_PTR(t->slots);
    t->entries = mem_array(cfg->zones_n + 1, sizeof(*t->entries));
    TRY_PTR(t->entries);
    TRY(random_bytes(t->key, sizeof(t->key)));
    TRY(add_zones(t, cfg));
    TRY(set_hostname(t, cfg->hostname));
    TRY(encode_addresses(cfg->addresses, cfg->addresses_n, 4, &t->a));
    TRY(encode_addresses(cfg->addresses, cfg->addresses_n, 6, &t->aaaa));
    *out = MOVE(t);
    return err_ok();
}

static void free_rrs(struct zone_rrs *rrs)
{
    mem_freep(&rrs->data);
}

void zone_table_free(struct zone_table *table)
{
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; table->entries != NULL && i < table->entries_n; i++) {
        free_rrs(&table->entries[i].a);
        free_rrs(&table->entries[i].aaaa);
    }
    free_rrs(&table->a);
    free_rrs(&table->aaaa);
    mem_free(table->entries);
    mem_free(table->slots);
    mem_free(table);
}

void zone_table_freep(struct zone_table **table)
{
    zone_table_free(*table);
    *table = NULL;
}

const struct zone_entry *zone_entry_find(const struct zone_table *table, const char *text)
{
    struct dns_name name;

    return dns_name_parse(text, &name) ? lookup(table, hash_name(&name), name.wire, name.len)
                                       : NULL;
}

bool zone_find(const struct zone_table *table, const struct dns_name *name, struct zone_match *out)
{
    const struct zone_entry *found = table->any;
    unsigned n = name->labels_n;
    uint32_t hash = HASH_START;

    out->apex = n == 0 ? 0 : name->off[n - 1];
    for (unsigned depth = 1; depth <= n && depth <= table->labels_max; depth++) {
        uint8_t off = name->off[n - depth];
        hash = hash_label(hash, name->wire + off);
        const struct zone_entry *e = lookup(table, hash, name->wire + off, name->len - off);
        if (e != NULL) {
            found = e;
            out->apex = off;
        }
        if (e != NULL && e->is_delegate) {
            break; /* nothing can be configured inside it */
        }
    }
    out->zone = found;
    if (found == NULL || !found->is_served) {
        return false;
    }
    /* In zone "." each top-level label is an apex: the root and malformed ones are not. */
    return !found->is_any || name->is_last_ldh;
}
