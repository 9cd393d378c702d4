/* What is stored, for people and for prerequisites. */
#include "dns/records_load.h"

#include <string.h>

#include "core/util/mem.h"

/* --- one name --------------------------------------------------------------------------------------- */

struct giving {
    record_fn fn;
    void *arg;
    uint16_t type; /* 0: all */
    struct dns_rr rr;
    bool is_over;
};

static void give(struct giving *g, const struct zone_rr *rr)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } rdata = {.in = rr->rdata}; /* fn gets it as const */

    if (g->is_over || (g->type != 0 && g->type != rr->type)) {
        return;
    }
    g->rr.type = rr->type;
    g->rr.class_ = DNS_CLASS_IN;
    g->rr.ttl = rr->ttl;
    g->rr.rdata = rr->rdata_len == 0 ? NULL : rdata.out;
    g->rr.rdata_len = rr->rdata_len;
    g->is_over = !g->fn(g->arg, &g->rr);
}

/* The SOA with the serial that answers have, and NS where none is stored. */
static struct err give_apex(const struct records *records, struct db *db, int zone,
                            const struct owner_set *set, struct giving *g)
{
    const struct records_zone *z = &records->list[zone];
    AUTO(owner_set_clear) struct owner_set ns;
    AUTO(rr_clear) struct dns_rr soa = {.ttl = 0};
    uint32_t serial = 0;

    owner_set_init(&ns);
    TRY(serial_get(db, z->id, &serial));
    TRY(synth_soa(records, db, zone, serial, &soa));
    const struct zone_rr rr = {LDNS_RR_TYPE_SOA, soa.ttl, soa.rdata, soa.rdata_len};
    give(g, &rr);
    if (owner_set_find(set, LDNS_RR_TYPE_NS) == NULL) {
        TRY(synth_ns(records, z, &ns));
        TRY(set_sort(&ns));
        for (size_t i = 0; i < ns.n; i++) {
            give(g, &ns.rrs[i]);
        }
    }
    return err_ok();
}

struct err records_at(struct records *records, struct db *db, const uint8_t *owner,
                      size_t owner_len, uint16_t type, record_fn fn, void *arg)
{
    struct giving g = {.fn = fn, .arg = arg, .type = type};
    AUTO(owner_set_clear) struct owner_set set;
    struct name_key key;
    int zone = records_zone_at(records, owner, owner_len);

    owner_set_init(&set);
    if (zone < 0 || !records->list[zone].is_served) {
        return err_ok();
    }
    memcpy(g.rr.owner, owner, owner_len);
    g.rr.owner_len = (uint8_t)owner_len;
    key_of(owner, &key);
    if (!records->list[zone].is_delegate) {
        TRY(owner_set_read(db, &key, &set));
    }
    if (records_is_apex(&records->list[zone], owner, owner_len)) {
        TRY(give_apex(records, db, zone, &set, &g));
    }
    for (size_t i = 0; i < set.n; i++) {
        if (set.rrs[i].type != LDNS_RR_TYPE_SOA) {
            give(&g, &set.rrs[i]);
        }
    }
    return err_ok();
}

/* --- zones -------------------------------------------------------------------------------------------- */

struct list_job {
    struct records *records;
    int zone; /* -1: all */
    bool (*fn)(void *arg, const char *zone, const struct record_row *row);
    void *arg;
    int at;
    bool is_over;
};

static struct err list_row(void *arg, const struct row *row)
{
    struct list_job *job = arg;
    struct record_row out = {.source = row->source};
    size_t owner_len = 0;
    size_t client_len = strnlen(row->client, CLIENT_NAME_MAX + 1);
    union {
        const uint8_t *in;
        uint8_t *out;
    } rdata = {.in = row->rdata}; /* fn gets it as const */

    if (job->is_over) {
        return err_ok();
    }
    if (!key_wire(row->key, row->key_len, out.rr.owner, &owner_len) ||
        client_len > CLIENT_NAME_MAX || row->rdata_len > RR_RDATA_MAX) {
        FAIL(ERR_DB, "records: a broken row in the database");
    }
    out.rr.owner_len = (uint8_t)owner_len;
    out.rr.type = row->type;
    out.rr.class_ = DNS_CLASS_IN;
    out.rr.ttl = row->ttl;
    out.rr.rdata = row->rdata_len == 0 ? NULL : rdata.out;
    out.rr.rdata_len = (uint16_t)row->rdata_len;
    memcpy(out.client, row->client, client_len);
    job->is_over = !job->fn(job->arg, job->records->list[job->at].name, &out);
    return err_ok();
}

static struct err list_tx(struct db *db, void *arg)
{
    struct list_job *job = arg;

    for (size_t i = 0; i < job->records->n && !job->is_over; i++) {
        const struct records_zone *z = &job->records->list[i];
        if (z->is_served && !z->is_delegate && (job->zone < 0 || job->zone == (int)i)) {
            job->at = (int)i;
            TRY(rows_scan_zone(job->records, db, (int)i, list_row, job));
        }
    }
    return err_ok();
}

static struct err find_zone(const struct records *records, const char *name, int *out)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t len = sizeof(wire);

    if (name_to_wire(name, wire, &len).code == ERR_OK) {
        int zone = records_zone_index(records, wire, len);
        if (zone >= 0) {
            *out = zone;
            return err_ok();
        }
    }
    FAIL(ERR_NOT_FOUND, "%.250s is no zone that is served here", name);
}

struct err records_list(struct records *records, const char *zone,
                        bool (*fn)(void *arg, const char *zone, const struct record_row *row),
                        void *arg)
{
    struct list_job job = {.records = records, .zone = -1, .fn = fn, .arg = arg};

    if (zone != NULL) {
        TRY(find_zone(records, zone, &job.zone));
    }
    return store_read(records->store, "records.list", list_tx, &job);
}

/* --- as a master file ------------------------------------------------------------------------------------ */

struct export_job {
    struct records *records;
    int zone;
    bool is_written_out;
    struct buf *out;
    struct buf body;
};

static bool put_line(void *arg, const struct dns_rr *rr)
{
    struct export_job *job = arg;

    return rr_text(rr, &job->body).code == ERR_OK;
}

static struct err put_owner(void *arg, const struct name_key *key, const struct owner_set *set)
{
    struct export_job *job = arg;
    struct giving g = {.fn = put_line, .arg = job};
    size_t owner_len = 0;

    if (!key_wire(key->data, key->len, g.rr.owner, &owner_len)) {
        FAIL(ERR_DB, "records: a broken owner in the database");
    }
    g.rr.owner_len = (uint8_t)owner_len;
    for (size_t i = 0; i < set->n; i++) {
        if (set->rrs[i].type != LDNS_RR_TYPE_SOA && set->sources[i] != RECORD_DERIVED) {
            give(&g, &set->rrs[i]);
        }
    }
    return buf_check(&job->body);
}

/* What a zone needs to be one: NS and the server's addresses, where none are stored. */
static struct err put_needed(struct export_job *job, struct db *db)
{
    const struct records *records = job->records;
    const struct records_zone *z = &records->list[job->zone];
    AUTO(owner_set_clear) struct owner_set set;
    AUTO(owner_set_clear) struct owner_set made;
    struct giving g = {.fn = put_line, .arg = job};
    struct name_key key;

    owner_set_init(&set);
    owner_set_init(&made);
    TRY(owner_set_read(db, &z->key, &set));
    if (owner_set_find(&set, LDNS_RR_TYPE_NS) != NULL) {
        return err_ok();
    }
    memcpy(g.rr.owner, z->wire, z->wire_len);
    g.rr.owner_len = z->wire_len;
    TRY(synth_ns(records, z, &made));
    TRY(set_sort(&made));
    for (size_t i = 0; i < made.n; i++) {
        give(&g, &made.rrs[i]);
    }
    size_t len = synth_ns_name(records, z, g.rr.owner);
    if (len == 0 || records_zone_at(records, g.rr.owner, len) != job->zone) {
        return err_ok();
    }
    g.rr.owner_len = (uint8_t)len;
    key_of(g.rr.owner, &key);
    TRY(owner_set_read(db, &key, &set));
    owner_set_reset(&made);
    if (set.n == 0 || key.len == z->key.len) {
        TRY(synth_own(records, &made));
    }
    TRY(set_sort(&made));
    for (size_t i = 0; i < made.n; i++) {
        give(&g, &made.rrs[i]);
    }
    return err_ok();
}

static struct err export_tx(struct db *db, void *arg)
{
    struct export_job *job = arg;
    struct records *records = job->records;
    AUTO(rr_clear) struct dns_rr soa = {.ttl = 0};
    uint32_t serial = 0;

    buf_reset(&job->body);
    if (job->is_written_out) {
        struct err e = records_write_out(records, db, job->zone, &soa, put_line, job);
        TRY(e.code == ERR_LIMIT ? buf_check(&job->body) : e);
        TRY(e);
    } else {
        TRY(serial_get(db, records->list[job->zone].id, &serial));
        TRY(synth_soa(records, db, job->zone, serial, &soa));
        if (!records->list[job->zone].is_delegate) {
            TRY(put_needed(job, db));
            TRY(owners_scan_zone(records, db, job->zone, put_owner, job));
        }
    }
    TRY(rr_text(&soa, job->out));
    buf_put(job->out, job->body.data, job->body.len);
    return buf_check(job->out);
}

static void job_clear(struct export_job *job)
{
    buf_clear(&job->body);
}

struct err records_export(struct records *records, const char *zone, bool is_written_out,
                          struct buf *out)
{
    AUTO(job_clear)
    struct export_job job = {.records = records, .is_written_out = is_written_out, .out = out};

    buf_init(&job.body, out->max);
    TRY(find_zone(records, zone, &job.zone));
    return store_read(records->store, "records.export", export_tx, &job);
}

/* --- the list of zones ------------------------------------------------------------------------------------- */

struct zones_job {
    struct records *records;
    struct zone_info *infos;
};

static struct err zones_tx(struct db *db, void *arg)
{
    struct zones_job *job = arg;
    struct records *records = job->records;

    for (size_t i = 0; i < records->n; i++) {
        const struct records_zone *z = &records->list[i];
        struct zone_info *info = &job->infos[i];
        struct zone_row row;
        TRY(zone_row_get(db, z->name, &row));
        memcpy(info->name, z->name, sizeof(info->name));
        info->is_delegate = z->is_delegate;
        info->is_served = z->is_served;
        info->is_plain = z->is_plain;
        info->is_transferred = z->is_transferred;
        info->serial = row.serial;
        info->journal_n = row.journal_n;
        info->file = z->cfg == NULL || z->cfg->file == NULL ? "" : z->cfg->file;
        TRY(count_zone(records, db, (int)i, &info->records_n, &info->known_n));
    }
    return err_ok();
}

struct err records_zones(struct records *records, struct zone_info **out, size_t *out_n)
{
    AUTO(mem_freep) struct zone_info *infos = mem_array(records->n, sizeof(*infos));
    struct zones_job job = {records, infos};

    TRY_PTR(infos);
    TRY(store_read(records->store, "records.zones", zones_tx, &job));
    *out = MOVE(infos);
    *out_n = records->n;
    return err_ok();
}
