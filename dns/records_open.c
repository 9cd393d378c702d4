/* The start: what changed since the last one, and the snapshot. */
#include "dns/records_load.h"

#include <stdio.h>
#include <string.h>

#include "core/util/clock.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#define WRITTEN_FORM 1u /* counts up when this program writes zones out in another way */

/* --- what a zone is made from ------------------------------------------------------------------------ */

static void put_addresses(struct buf *b, const char *what, const struct ip_addr *list, size_t n)
{
    char text[IP_TEXT_MAX + 1];

    buf_printf(b, "%s", what);
    for (size_t i = 0; i < n; i++) {
        ip_text(&list[i], text);
        buf_printf(b, " %s", text);
    }
    buf_putc(b, '\n');
}

struct err records_zone_digest(const struct records *records, int zone, uint8_t out[SHA256_LEN])
{
    const struct records_zone *z = &records->list[zone];
    const struct config *cfg = records->cfg;
    AUTO(buf_clear) struct buf b = BUF_INIT(RECORDS_BUF_MAX);

    buf_printf(&b, "%u %s %d %d %s %s\n", WRITTEN_FORM, z->name, z->is_plain, z->is_transferred,
               cfg->delegate_zone, records->hostname_len > 0 ? cfg->hostname : "");
    put_addresses(&b, "addresses", cfg->addresses, cfg->addresses_n);
    if (z->cfg != NULL) {
        put_addresses(&b, "ingress", z->cfg->ingress, z->cfg->ingress_n);
    }
    for (size_t i = 0; i < records->n; i++) {
        if (records->list[i].parent == zone) {
            buf_printf(&b, "%s %d\n", records->list[i].name, records->list[i].is_served);
        }
    }
    TRY(buf_check(&b));
    return sha256(b.data, b.len, out);
}

/* What the PTR records depend on: the zones, and which addresses are ours. */
static struct err all_zones_digest(const struct records *records, uint8_t out[SHA256_LEN])
{
    AUTO(buf_clear) struct buf b = BUF_INIT(RECORDS_BUF_MAX);

    put_addresses(&b, "addresses", records->cfg->addresses, records->cfg->addresses_n);
    for (size_t i = 0; i < records->n; i++) {
        const struct records_zone *z = &records->list[i];
        buf_printf(&b, "%s %d\n", z->name, z->is_served);
        if (z->cfg != NULL) {
            put_addresses(&b, "ingress", z->cfg->ingress, z->cfg->ingress_n);
        }
    }
    TRY(buf_check(&b));
    return sha256(b.data, b.len, out);
}

/* --- the transaction ------------------------------------------------------------------------------------ */

struct opening {
    struct records *records;
    struct file_load *loads; /* one per zone */
    struct zone_row *rows;   /* one per zone */
    struct buf *problems;
};

/* A serial that no secondary has seen, for a zone that is new here. */
static struct err new_zone(struct db *db, const char *name)
{
    uint32_t serial = (uint32_t)clock_unix_s();
    uint32_t old = 0;

    TRY(old_serial(db, &old));
    if (old != 0 && !serial_is_newer(serial, old + 1)) {
        serial = old + 1;
    }
    return zone_row_new(db, name, serial == 0 ? 1 : serial);
}

static struct err find_rows(struct opening *o, struct db *db)
{
    struct records *records = o->records;

    TRY(table_exists(db, "delegate_value", &records->has_delegate));
    TRY(table_exists(db, "delegate_persist", &records->has_persist));
    for (size_t i = 0; i < records->n; i++) {
        struct records_zone *z = &records->list[i];
        struct err e = zone_row_get(db, z->name, &o->rows[i]);
        if (e.code == ERR_NOT_FOUND) {
            TRY(zone_row_new(db, z->name, 1));
            TRY(zone_row_get(db, z->name, &o->rows[i]));
        } else {
            TRY(e);
        }
        z->id = o->rows[i].id;
    }
    return err_ok();
}

static struct err prepare_tx(struct db *db, void *arg)
{
    struct opening *o = arg;

    for (size_t i = 0; i < o->records->n; i++) {
        struct err e = zone_row_get(db, o->records->list[i].name, &o->rows[i]);
        if (e.code == ERR_NOT_FOUND) {
            TRY(new_zone(db, o->records->list[i].name));
        } else {
            TRY(e);
        }
    }
    return find_rows(o, db);
}

/* Also when the zone has no file any more: then its rows go. */
static struct err apply_file(struct opening *o, struct db *db, int zone, bool *is_changed)
{
    struct file_load *load = &o->loads[zone];
    const struct load_target target = {
        .records = o->records, .db = db, .zone = zone, .source = RECORD_FROM_FILE};
    size_t changed_n = 0;

    if (!load->is_new) {
        return err_ok();
    }
    TRY(load_check(o->records, db, zone, o->records->list[zone].cfg->file, &load->rows,
                   RECORD_FROM_FILE, o->problems));
    TRY(load_apply(&target, &load->rows, &changed_n));
    memcpy(o->rows[zone].file_digest, load->digest, SHA256_LEN);
    *is_changed = changed_n > 0;
    return err_ok();
}

static struct err apply_reverse(struct opening *o, struct db *db, bool *is_rebuilt)
{
    uint8_t digest[SHA256_LEN];
    uint8_t last[SHA256_LEN];

    TRY(all_zones_digest(o->records, digest));
    TRY(reverse_get(db, last));
    *is_rebuilt = memcmp(digest, last, SHA256_LEN) != 0; /* allow: public digests */
    if (!*is_rebuilt) {
        return err_ok();
    }
    TRY(ptr_rebuild(o->records, db));
    return reverse_set(db, digest);
}

/* Bring the table of a transferred zone in step; drop that of another. */
static struct err settle_written(struct opening *o, struct db *db, int zone, bool is_dirty,
                                 size_t *changed_n)
{
    const struct records_zone *z = &o->records->list[zone];
    struct zone_row *row = &o->rows[zone];

    if (!z->is_transferred) {
        if (row->is_written) {
            TRY(written_drop(db, z->id));
            TRY(journal_drop(db, z->id));
        }
        row->is_written = false;
        return err_ok();
    }
    if (is_dirty || !row->is_written) {
        TRY(written_rebuild(o->records, db, zone, changed_n));
    }
    row->is_written = true;
    return err_ok();
}

static struct err settle_serial(struct opening *o, struct db *db, int zone)
{
    uint32_t wanted = 0;
    struct zone_row *row = &o->rows[zone];

    TRY(journal_drop(db, row->id));
    TRY(serial_move(db, row->id, &row->serial));
    if (load_soa_serial(o->records, zone, &o->loads[zone].rows, &wanted) &&
        serial_is_newer(wanted, row->serial)) {
        row->serial = wanted;
        TRY(serial_set(db, row->id, wanted));
    }
    return err_ok();
}

static struct err settle(struct opening *o, struct db *db, const bool *has_changed, bool is_dirty)
{
    struct records *records = o->records;

    for (size_t i = 0; i < records->n; i++) {
        struct zone_row *row = &o->rows[i];
        uint8_t digest[SHA256_LEN];
        size_t changed_n = 0;
        TRY(records_zone_digest(records, (int)i, digest));
        bool is_other = memcmp(digest, row->digest, SHA256_LEN) != 0; /* allow: public digests */
        TRY(settle_written(o, db, (int)i, is_dirty || is_other, &changed_n));
        if (is_other || has_changed[i] || changed_n > 0) {
            TRY(settle_serial(o, db, (int)i));
        }
        memcpy(row->digest, digest, SHA256_LEN);
        TRY(zone_row_set(db, row));
    }
    return err_ok();
}

static struct err open_tx(struct db *db, void *arg)
{
    struct opening *o = arg;
    struct records *records = o->records;
    AUTO(mem_freep) bool *has_changed = mem_array(records->n, sizeof(*has_changed));
    bool is_dirty = false;

    TRY_PTR(has_changed);
    buf_reset(o->problems);
    TRY(find_rows(o, db));
    for (size_t i = 0; i < records->n; i++) {
        TRY(apply_file(o, db, (int)i, &has_changed[i]));
        is_dirty = is_dirty || has_changed[i];
    }
    bool is_rebuilt = false;
    TRY(apply_reverse(o, db, &is_rebuilt));
    for (size_t i = 0; i < records->n; i++) {
        const struct records_zone *z = &records->list[i];
        has_changed[i] = has_changed[i] || (z->is_reverse && (is_rebuilt || is_dirty));
    }
    TRY(records_known_clients(records, db, &is_dirty));
    return settle(o, db, has_changed, is_dirty || is_rebuilt);
}

/* --- the snapshot --------------------------------------------------------------------------------------- */

struct filling {
    struct zone_edit *edit;
    size_t skipped_n;
};

static struct err fill_owner(void *arg, const struct name_key *key, const struct owner_set *set)
{
    struct filling *f = arg;
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = 0;

    if (!key_wire(key->data, key->len, wire, &wire_len)) {
        FAIL(ERR_DB, "records: a broken owner in the database");
    }
    struct err e = zone_edit_records(f->edit, wire, wire_len, set->rrs, set->n);
    if (e.code == ERR_MALFORMED || e.code == ERR_LIMIT) {
        f->skipped_n++; /* stored under another configuration */
        return err_ok();
    }
    return e;
}

static struct err fill_tx(struct db *db, void *arg)
{
    struct records *records = arg;
    AUTO(zone_edit_dropp) struct zone_edit *edit = NULL;
    uint32_t serial = 0;

    TRY(zone_edit_begin(records->zones, &edit));
    struct filling f = {.edit = edit};
    for (size_t i = 0; i < records->n; i++) {
        const struct records_zone *z = &records->list[i];
        if (z->is_served && !z->is_delegate) {
            TRY(owners_scan_zone(records, db, (int)i, fill_owner, &f));
        }
        TRY(serial_get(db, z->id, &serial));
        TRY(zone_edit_serial(edit, z->name, serial));
    }
    if (f.skipped_n > 0) {
        log_ev(LOG_WARN, "records.skipped",
               {"msg", "stored records at names that cannot have any under this configuration are "
                       "not served"});
    }
    return zone_edit_commit(&edit);
}

/* --- all of it -------------------------------------------------------------------------------------------- */

/* Every fault is a line of the log; the first one is why we do not start. */
static struct err refuse_start(const struct buf *problems)
{
    const char *text = (const char *)problems->data;
    size_t first = 0;
    char line[ERR_TEXT_MAX];

    for (size_t at = 0; at < problems->len;) {
        const char *end = memchr(text + at, '\n', problems->len - at);
        size_t n = end == NULL ? problems->len - at : (size_t)(end - text) - at;
        (void)snprintf(line, sizeof(line), "%.*s", (int)(n < sizeof(line) ? n : sizeof(line) - 1),
                       text + at);
        log_ev(LOG_ERROR, "records.file", {"msg", line});
        first = at == 0 ? n : first;
        at += n + 1;
    }
    FAIL(ERR_CONFIG, "%.*s", (int)(first < ERR_TEXT_MAX ? first : ERR_TEXT_MAX - 1), text);
}

static struct err load_files(struct opening *o)
{
    struct records *records = o->records;
    bool is_broken = false;

    for (size_t i = 0; i < records->n; i++) {
        if (records->list[i].is_delegate || !records->list[i].is_served) {
            continue;
        }
        struct err e =
            load_file(records, (int)i, o->rows[i].file_digest, &o->loads[i], o->problems);
        if (e.code != ERR_OK && e.code != ERR_CONFIG) {
            return e;
        }
        is_broken = is_broken || e.code != ERR_OK;
    }
    return is_broken ? refuse_start(o->problems) : err_ok();
}

static void opening_clear(struct opening *o)
{
    for (size_t i = 0; o->loads != NULL && i < o->records->n; i++) {
        file_rows_clear(&o->loads[i].rows);
    }
    mem_free(o->loads);
    mem_free(o->rows);
}

static struct err open_all(struct records *records, struct buf *problems)
{
    AUTO(opening_clear) struct opening o = {.records = records, .problems = problems};

    o.loads = mem_array(records->n, sizeof(*o.loads));
    o.rows = mem_array(records->n, sizeof(*o.rows));
    TRY_PTR(o.loads);
    TRY_PTR(o.rows);
    for (size_t i = 0; i < records->n; i++) {
        file_rows_init(&o.loads[i].rows);
        o.loads[i].zone = (int)i;
    }
    TRY(store_write(records->store, "records.prepare", prepare_tx, &o));
    TRY(load_files(&o));
    struct err e = store_write(records->store, "records.open", open_tx, &o);
    if (e.code == ERR_MALFORMED && problems->len > 0) {
        return refuse_start(problems);
    }
    TRY(e);
    return store_read(records->store, "records.fill", fill_tx, records);
}

static void records_closep(struct records **records)
{
    records_close(*records);
}

struct err records_open(const struct config *cfg, struct store *store, struct zone_db *zones,
                        struct records **out)
{
    AUTO(records_closep) struct records *records = NULL;
    AUTO(buf_clear) struct buf problems = BUF_INIT(65536);

    TRY(records_new(cfg, store, zones, &records));
    TRY(open_all(records, &problems));
    *out = MOVE(records);
    return err_ok();
}
