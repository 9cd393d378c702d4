/* Records that nobody stored: SOA, NS, and the addresses of name server and ingress. The same as
 * answers have. */
#include "dns/records_written.h"

#include <stdlib.h>
#include <string.h>

#include "core/util/mem.h"

#define HOSTMASTER "\12hostmaster"
#define NS_LABEL "\2ns"

struct err set_put(struct owner_set *out, uint16_t type, uint32_t ttl, const uint8_t *rdata,
                   size_t len)
{
    const struct row row = {
        .type = type, .rdata = rdata, .rdata_len = len, .source = RECORD_FROM_STORE, .ttl = ttl};

    return owner_set_add(out, &row);
}

static int compare_rrs(const void *a, const void *b)
{
    const struct zone_rr *x = a;
    const struct zone_rr *y = b;

    if (x->type != y->type) {
        return x->type < y->type ? -1 : 1;
    }
    return key_compare(x->rdata, x->rdata_len, y->rdata, y->rdata_len);
}

struct err set_sort(struct owner_set *set)
{
    TRY(buf_check(&set->data));
    for (size_t i = 0; i < set->n; i++) {
        set->rrs[i].rdata = set->data.data == NULL ? NULL : set->data.data + set->offsets[i];
    }
    if (set->n > 1) {
        qsort(set->rrs, set->n, sizeof(*set->rrs), compare_rrs);
    }
    size_t n = 0;
    for (size_t i = 0; i < set->n; i++) {
        if (n == 0 || compare_rrs(&set->rrs[n - 1], &set->rrs[i]) != 0) {
            set->rrs[n++] = set->rrs[i];
        }
    }
    set->n = n;
    return err_ok();
}

size_t synth_ns_name(const struct records *records, const struct records_zone *zone,
                     uint8_t out[NAME_WIRE_MAX])
{
    size_t label_len = sizeof(NS_LABEL) - 1;

    if (records->hostname_len > 0) {
        memcpy(out, records->hostname, records->hostname_len);
        return records->hostname_len;
    }
    if (zone->wire_len + label_len > NAME_WIRE_MAX) {
        return 0;
    }
    memcpy(out, NS_LABEL, label_len);
    memcpy(out + label_len, zone->wire, zone->wire_len);
    return zone->wire_len + label_len;
}

struct err synth_ns(const struct records *records, const struct records_zone *zone,
                    struct owner_set *out)
{
    uint8_t name[NAME_WIRE_MAX];
    size_t len = synth_ns_name(records, zone, name);

    return len == 0 ? err_ok() : set_put(out, LDNS_RR_TYPE_NS, ZONE_NS_TTL_S, name, len);
}

static struct err put_addresses(const struct ip_addr *list, size_t n, struct owner_set *out)
{
    for (size_t i = 0; i < n; i++) {
        bool is_v4 = list[i].family == 4;
        TRY(set_put(out, is_v4 ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA, ZONE_ADDRESS_TTL_S,
                    list[i].bytes, is_v4 ? 4 : 16));
    }
    return err_ok();
}

struct err synth_own(const struct records *records, struct owner_set *out)
{
    return put_addresses(records->cfg->addresses, records->cfg->addresses_n, out);
}

struct err synth_ingress(const struct records_zone *zone, struct owner_set *out)
{
    return zone->cfg == NULL ? err_ok()
                             : put_addresses(zone->cfg->ingress, zone->cfg->ingress_n, out);
}

static void put_serial(uint8_t *rdata, size_t len, uint32_t serial)
{
    wire_put32(rdata + len - DNS_SOA_NUMBERS_LEN, serial);
}

static struct err own_soa(const struct records *records, const struct records_zone *zone,
                          struct buf *out)
{
    uint8_t name[NAME_WIRE_MAX];
    size_t len = synth_ns_name(records, zone, name);

    if (len == 0) {
        FAIL(ERR_CONFIG, "zone %.100s: no room for the name of its server", zone->name);
    }
    buf_put(out, name, len);
    if (zone->wire_len + sizeof(HOSTMASTER) - 1 <= NAME_WIRE_MAX) {
        buf_put(out, HOSTMASTER, sizeof(HOSTMASTER) - 1);
    }
    buf_put(out, zone->wire, zone->wire_len);
    buf_u32(out, 0);
    buf_u32(out, ZONE_SOA_REFRESH_S);
    buf_u32(out, ZONE_SOA_RETRY_S);
    buf_u32(out, ZONE_SOA_EXPIRE_S);
    buf_u32(out, ZONE_SOA_MINIMUM_S);
    return buf_check(out);
}

struct err synth_soa(const struct records *records, struct db *db, int zone, uint32_t serial,
                     struct dns_rr *out)
{
    const struct records_zone *z = &records->list[zone];
    AUTO(owner_set_clear) struct owner_set set;
    AUTO(buf_clear) struct buf rdata = BUF_INIT(RR_RDATA_MAX);
    struct dns_rr rr = {.type = LDNS_RR_TYPE_SOA,
                        .class_ = DNS_CLASS_IN,
                        .ttl = ZONE_SOA_TTL_S,
                        .owner_len = z->wire_len};

    owner_set_init(&set);
    memcpy(rr.owner, z->wire, z->wire_len);
    TRY(owner_set_read(db, &z->key, &set));
    const struct zone_rr *stored = owner_set_find(&set, LDNS_RR_TYPE_SOA);
    if (stored != NULL && stored->rdata_len > DNS_SOA_NUMBERS_LEN) {
        buf_put(&rdata, stored->rdata, stored->rdata_len);
        rr.ttl = stored->ttl;
        TRY(buf_check(&rdata));
    } else {
        TRY(own_soa(records, z, &rdata));
    }
    put_serial(rdata.data, rdata.len, serial);
    rr.rdata = mem_dup(rdata.data, rdata.len);
    TRY_PTR(rr.rdata);
    rr.rdata_len = (uint16_t)rdata.len;
    *out = rr;
    return err_ok();
}
