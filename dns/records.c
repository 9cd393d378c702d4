#include "dns/zone_records.h"

#include <stdlib.h>
#include <string.h>

#include "dns/records_load.h"

#include "core/util/mem.h"

/* --- zones by name ----------------------------------------------------------------------------------- */

static int compare_wire(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    if (a_len != b_len) {
        return a_len < b_len ? -1 : 1;
    }
    return memcmp(a, b, a_len);
}

static int compare_zones(const void *a, const void *b, void *arg)
{
    const struct records *records = arg;
    const struct records_zone *x = &records->list[*(const uint16_t *)a];
    const struct records_zone *y = &records->list[*(const uint16_t *)b];

    return compare_wire(x->wire, x->wire_len, y->wire, y->wire_len);
}

static int find_exact(const struct records *records, const uint8_t *wire, size_t len)
{
    size_t low = 0;
    size_t high = records->n;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct records_zone *z = &records->list[records->sorted[middle]];
        int order = compare_wire(wire, len, z->wire, z->wire_len);
        if (order == 0) {
            return records->sorted[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return -1;
}

int records_zone_at(const struct records *records, const uint8_t *wire, size_t len)
{
    for (size_t o = 0;; o += (size_t)wire[o] + 1) {
        int found = find_exact(records, wire + o, len - o);
        if (found >= 0 || wire[o] == 0) {
            return found;
        }
    }
}

int records_zone_of_key(const struct records *records, const uint8_t *key, size_t len)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = 0;

    return key_wire(key, len, wire, &wire_len) ? records_zone_at(records, wire, wire_len) : -1;
}

bool records_is_apex(const struct records_zone *zone, const uint8_t *wire, size_t len)
{
    return compare_wire(zone->wire, zone->wire_len, wire, len) == 0;
}

int records_zone_index(const struct records *records, const uint8_t *wire, size_t len)
{
    int found = find_exact(records, wire, len);

    return found >= 0 && records->list[found].is_served ? found : -1;
}

const char *records_zone_name(const struct records *records, int zone)
{
    return records->list[zone].name;
}

const struct config_zone *records_transfer_of(const struct records *records, int zone)
{
    return records->list[zone].transfer;
}

void records_on_serial(struct records *records, void (*fn)(void *ctx, int zone, uint32_t serial),
                       void *ctx)
{
    records->on_serial = fn;
    records->on_serial_ctx = ctx;
}

/* --- from the configuration ----------------------------------------------------------------------------- */

static bool has_transfer(const struct config_zone *zone)
{
    return zone != NULL && zone->is_served &&
           (zone->transfer_allow_n > 0 || zone->transfer_notify_n > 0 ||
            zone->transfer_key[0] != '\0');
}

static struct err name_zone(struct records_zone *z, const char *name)
{
    static const char *const REVERSE[] = {"in-addr.arpa", "ip6.arpa"};
    size_t len = sizeof(z->wire);

    TRY(name_to_wire(name, z->wire, &len));
    memcpy(z->name, name, strlen(name) + 1);
    z->wire_len = (uint8_t)len;
    for (size_t o = 0; z->wire[o] != 0; o += (size_t)z->wire[o] + 1) {
        z->labels_n++;
    }
    key_of(z->wire, &z->key);
    key_behind(&z->key, &z->behind);
    for (size_t i = 0; i < ARRAY_N(REVERSE); i++) {
        z->is_reverse = z->is_reverse || name_is_below_or_equal(name, REVERSE[i]);
    }
    return err_ok();
}

static struct err list_zones(struct records *records)
{
    const struct config *cfg = records->cfg;

    records->list = mem_array(cfg->zones_n + 1, sizeof(*records->list));
    TRY_PTR(records->list);
    records->sorted = mem_array(cfg->zones_n + 1, sizeof(*records->sorted));
    TRY_PTR(records->sorted);
    for (size_t i = 0; i < cfg->zones_n; i++) {
        struct records_zone *z = &records->list[records->n++];
        TRY(name_zone(z, cfg->zones[i].name));
        z->cfg = &cfg->zones[i];
        z->is_served = z->cfg->is_served;
        z->is_plain = z->cfg->is_plain;
        z->transfer = has_transfer(z->cfg) ? z->cfg : NULL;
        records->has_reverse = records->has_reverse || (z->is_reverse && z->is_served);
    }
    if (cfg->delegate_zone[0] != '\0') {
        struct records_zone *z = &records->list[records->n++];
        const struct config_zone *above = config_zone_of(cfg, cfg->delegate_zone);
        TRY(name_zone(z, cfg->delegate_zone));
        z->is_served = true;
        z->is_delegate = true;
        above = above == NULL && cfg->zones_n > 0 ? &cfg->zones[0] : above;
        z->transfer = has_transfer(above) ? above : NULL;
    }
    for (size_t i = 0; i < records->n; i++) {
        records->sorted[i] = (uint16_t)i;
    }
    qsort_r(records->sorted, records->n, sizeof(*records->sorted), compare_zones, records);
    return err_ok();
}

static void find_parents(struct records *records)
{
    for (size_t i = 0; i < records->n; i++) {
        struct records_zone *z = &records->list[i];
        z->parent = z->wire_len == 1 ? -1
                                     : records_zone_at(records, z->wire + z->wire[0] + 1,
                                                       (size_t)z->wire_len - z->wire[0] - 1u);
        z->is_transferred = z->transfer != NULL;
        records->is_any_transferred = records->is_any_transferred || z->is_transferred;
    }
}

/* As zone_table.c decides whose name the NS records carry. */
static struct err find_hostname(struct records *records)
{
    size_t len = sizeof(records->hostname);

    if (records->cfg->hostname[0] == '\0') {
        return err_ok();
    }
    TRY(name_to_wire(records->cfg->hostname, records->hostname, &len));
    int zone = records_zone_at(records, records->hostname, len);
    if (zone >= 0 && records->list[zone].is_served && wire_is_host(records->hostname, len)) {
        records->hostname_len = len;
    }
    return err_ok();
}

struct err records_new(const struct config *cfg, struct store *store, struct zone_db *zones,
                       struct records **out)
{
    struct records *records = mem_zalloc(sizeof(*records));

    TRY_PTR(records);
    *out = records; /* the caller closes it, whole or not */
    records->cfg = cfg;
    records->store = store;
    records->zones = zones;
    TRY(list_zones(records));
    find_parents(records);
    return find_hostname(records);
}

void records_close(struct records *records)
{
    if (records != NULL) {
        mem_free(records->list);
        mem_free(records->sorted);
        mem_free(records);
    }
}

/* --- known names ------------------------------------------------------------------------------------------- */

/* Is the name one that the written-out form of its zone cares for? */
static bool is_wanted(const struct records *records, const char *name, struct name_key *key)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);
    struct ident id;

    ident_from_stored(name, false, &id);
    if (id.is_ip || name_to_wire(name, wire, &len).code != ERR_OK || !wire_is_host(wire, len)) {
        return false;
    }
    int zone = records_zone_at(records, wire, len);
    if (zone < 0 || !records->list[zone].is_transferred || records->list[zone].is_delegate ||
        records->list[zone].is_plain) {
        return false;
    }
    key_of(wire, key);
    return true;
}

bool records_is_any_transferred(const struct records *records)
{
    return records->is_any_transferred;
}

struct err records_known_put(struct records *records, struct db *db, const char *const *names,
                             size_t n)
{
    AUTO(zone_change_freep) struct zone_change *change = NULL;
    struct name_key key;
    bool is_new = false;

    for (size_t i = 0; i < n && records->is_any_transferred; i++) {
        if (!is_wanted(records, names[i], &key)) {
            continue;
        }
        TRY(known_put(db, &key, &is_new));
        if (is_new && change == NULL) {
            TRY(zone_change_new(records, &change));
        }
        if (is_new) {
            TRY(zone_change_known(change, &key));
        }
    }
    return change == NULL ? err_ok() : zone_change_commit(&change, db, NULL);
}

struct err records_known_clients(struct records *records, struct db *db, bool *is_any_new)
{
    struct name_key key;
    bool is_new = false;

    for (size_t i = 0; i < records->cfg->clients_n; i++) {
        const struct config_client *client = &records->cfg->clients[i];
        for (size_t k = 0; k < client->names_n; k++) {
            const struct name_pattern *p = &client->names[k];
            if (!p->is_below && is_wanted(records, p->base, &key)) {
                TRY(known_put(db, &key, &is_new));
                *is_any_new = *is_any_new || is_new;
            }
        }
    }
    return err_ok();
}
