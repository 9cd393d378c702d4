/* Reading zone files, at the start and again. */
#include "dns/records_load.h"

#include <stdio.h>
#include <string.h>

#include "core/access/access.h"
#include "core/util/file.h"
#include "core/util/log.h"
#include "core/util/mem.h"
#include "dns/zone_file.h"

#define FILE_FORM 1u /* counts up when this program reads files in another way */

static struct err file_digest(const struct records *records, int zone, const struct buf *text,
                              uint8_t out[SHA256_LEN])
{
    const struct records_zone *z = &records->list[zone];
    AUTO(buf_clear) struct buf b = BUF_INIT(RECORDS_BUF_MAX);
    uint8_t digest[SHA256_LEN];

    TRY(sha256(text->len == 0 ? "" : (const void *)text->data, text->len, digest));
    buf_put(&b, digest, sizeof(digest));
    buf_printf(&b, "%u %s %d\n", FILE_FORM, z->name, z->is_plain);
    for (size_t i = 0; i < records->n; i++) {
        if (records->list[i].parent == zone) {
            buf_printf(&b, "%s\n", records->list[i].name);
        }
    }
    TRY(buf_check(&b));
    return sha256(b.data, b.len, out);
}

struct err load_file(const struct records *records, int zone,
                     const uint8_t stored_digest[SHA256_LEN], struct file_load *out,
                     struct buf *problems)
{
    static const uint8_t NONE[SHA256_LEN] = {0};
    AUTO(buf_clear) struct buf text = BUF_INIT(ZONE_FILE_MAX);
    const struct records_zone *z = &records->list[zone];
    const char *path = z->cfg->file == NULL ? "" : z->cfg->file;

    memset(out->digest, 0, sizeof(out->digest));
    if (path[0] != '\0') {
        struct err e = file_read(path, &text);
        if (e.code != ERR_OK) {
            buf_printf(problems, "%s:1: the file of zone %s cannot be read: %s\n", path, z->name,
                       err_trace()->text);
            FAIL(ERR_CONFIG, "%s: the file of zone %s cannot be read", path, z->name);
        }
        TRY(file_digest(records, zone, &text, out->digest));
    }
    out->is_new = memcmp(out->digest, stored_digest, SHA256_LEN) != 0; /* allow: public digests */
    if (!out->is_new || memcmp(out->digest, NONE, SHA256_LEN) == 0) {  /* allow: public digests */
        return err_ok();
    }
    struct err e = load_parse(records, zone, path, text.len == 0 ? "" : (const char *)text.data,
                              text.len, &out->rows, problems);
    if (e.code == ERR_MALFORMED) {
        FAIL(ERR_CONFIG, "%s has faults", path);
    }
    return e;
}

bool load_soa_serial(const struct records *records, int zone, const struct file_rows *rows,
                     uint32_t *out)
{
    const struct name_key *apex = &records->list[zone].key;
    struct row row;
    unsigned line = 0;

    for (size_t i = 0; i < rows->n; i++) {
        file_rows_get(rows, i, &row, &line);
        if (key_compare(row.key, row.key_len, apex->data, apex->len) != 0) {
            break; /* the apex comes first */
        }
        if (row.type == LDNS_RR_TYPE_SOA && row.rdata_len >= 22) {
            *out = wire_soa_serial(row.rdata, row.rdata_len);
            return true;
        }
    }
    return false;
}

/* --- again ---------------------------------------------------------------------------------------------- */

struct reload_job {
    struct records *records;
    struct zone_row *rows;
    struct file_load *loads;
    struct buf *problems;
    struct buf *local; /* of this run of the transaction */
    enum err_code visible;
};

static void job_clear(struct reload_job *job)
{
    for (size_t i = 0; job->loads != NULL && i < job->records->n; i++) {
        file_rows_clear(&job->loads[i].rows);
    }
    mem_free(job->loads);
    mem_free(job->rows);
}

static struct err read_rows_tx(struct db *db, void *arg)
{
    struct reload_job *job = arg;

    for (size_t i = 0; i < job->records->n; i++) {
        TRY(zone_row_get(db, job->records->list[i].name, &job->rows[i]));
    }
    return err_ok();
}

static struct err reload_zone(struct reload_job *job, struct db *db, int zone,
                              struct zone_change *change)
{
    const struct file_load *load = &job->loads[zone];
    const struct load_target target = {.records = job->records,
                                       .db = db,
                                       .zone = zone,
                                       .source = RECORD_FROM_FILE,
                                       .change = change};
    struct zone_row row;
    size_t changed_n = 0;
    uint32_t serial = 0;

    struct err e = load_check(job->records, db, zone, job->records->list[zone].cfg->file,
                              &load->rows, RECORD_FROM_FILE, job->local);
    if (e.code == ERR_MALFORMED) {
        return err_ok(); /* said in problems; the zone stays as it is */
    }
    TRY(e);
    TRY(load_apply(&target, &load->rows, &changed_n));
    if (changed_n > 0 && load_soa_serial(job->records, zone, &load->rows, &serial)) {
        TRY(zone_change_serial(change, zone, serial));
    }
    TRY(zone_row_get(db, job->records->list[zone].name, &row));
    memcpy(row.file_digest, load->digest, SHA256_LEN);
    return zone_row_set(db, &row);
}

static struct err reload_tx(struct db *db, void *arg)
{
    struct reload_job *job = arg;
    AUTO(zone_change_freep) struct zone_change *change = NULL;

    buf_reset(job->local);
    TRY(zone_change_new(job->records, &change));
    for (size_t i = 0; i < job->records->n; i++) {
        if (job->loads[i].is_new) {
            TRY(reload_zone(job, db, (int)i, change));
        }
    }
    return zone_change_commit(&change, db, &job->visible);
}

struct err records_reload(struct records *records, struct buf *problems)
{
    AUTO(buf_clear) struct buf local = BUF_INIT(65536);
    AUTO(job_clear)
    struct reload_job job = {.records = records, .problems = problems, .local = &local};

    job.loads = mem_array(records->n, sizeof(*job.loads));
    job.rows = mem_array(records->n, sizeof(*job.rows));
    TRY_PTR(job.loads);
    TRY_PTR(job.rows);
    for (size_t i = 0; i < records->n; i++) {
        file_rows_init(&job.loads[i].rows);
    }
    TRY(store_read(records->store, "records.reload", read_rows_tx, &job));
    for (size_t i = 0; i < records->n; i++) {
        const struct records_zone *z = &records->list[i];
        if (z->is_delegate || !z->is_served) {
            continue;
        }
        struct err e = load_file(records, (int)i, job.rows[i].file_digest, &job.loads[i], problems);
        if (e.code == ERR_CONFIG) {
            job.loads[i].is_new = false;
        } else {
            TRY(e);
        }
    }
    TRY(store_write(records->store, "records.reload", reload_tx, &job));
    buf_put(problems, local.data, local.len);
    if (job.visible != ERR_OK) {
        FAIL(job.visible, "records: stored, but not visible to queries before a restart");
    }
    return err_ok();
}

/* --- import ------------------------------------------------------------------------------------------------ */

struct import_job {
    struct records *records;
    int zone;
    const char *label;
    const struct file_rows *rows;
    bool is_replacing;
    struct buf *problems;
    size_t changed_n;
    enum err_code visible;
};

static struct err import_tx(struct db *db, void *arg)
{
    struct import_job *job = arg;
    AUTO(zone_change_freep) struct zone_change *change = NULL;
    char detail[100];
    uint32_t serial = 0;
    const struct audit_row audit = {.event = "records.import",
                                    .actor = "admin",
                                    .object = job->records->list[job->zone].name,
                                    .detail = detail};

    buf_reset(job->problems);
    TRY(zone_change_new(job->records, &change));
    const struct load_target target = {.records = job->records,
                                       .db = db,
                                       .zone = job->zone,
                                       .source = RECORD_FROM_STORE,
                                       .is_keeping = !job->is_replacing,
                                       .change = change};
    TRY(load_apply(&target, job->rows, &job->changed_n));
    TRY(load_check(job->records, db, job->zone, job->label, job->rows, RECORD_DERIVED,
                   job->problems));
    if (load_soa_serial(job->records, job->zone, job->rows, &serial) && job->changed_n > 0) {
        TRY(zone_change_serial(change, job->zone, serial));
    }
    (void)snprintf(detail, sizeof(detail), "%zu records changed", job->changed_n);
    TRY(audit_write(db, &audit));
    return zone_change_commit(&change, db, &job->visible);
}

struct err records_import(struct records *records, const char *zone, const char *label,
                          const char *text, size_t len, bool is_replacing, struct buf *problems,
                          size_t *n_out)
{
    AUTO(file_rows_clear) struct file_rows rows;
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = sizeof(wire);

    file_rows_init(&rows);
    TRY(name_to_wire(zone, wire, &wire_len));
    int index = records_zone_index(records, wire, wire_len);
    if (index < 0 || records->list[index].is_delegate) {
        FAIL(ERR_NOT_FOUND, "%.250s is no zone whose records are kept here", zone);
    }
    TRY(load_parse(records, index, label, text, len, &rows, problems));
    struct import_job job = {.records = records,
                             .zone = index,
                             .label = label,
                             .rows = &rows,
                             .is_replacing = is_replacing,
                             .problems = problems};
    TRY(store_write(records->store, "records.import", import_tx, &job));
    if (job.visible != ERR_OK) {
        FAIL(job.visible, "records: stored, but not visible to queries before a restart");
    }
    *n_out = job.changed_n;
    return err_ok();
}
