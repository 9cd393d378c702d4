/* Edits by clients and the administrator. RFC 2136 §3.4.2 where they come as an update. */
#include "dns/records_int.h"

#include <stdio.h>
#include <string.h>

#include "core/access/access.h"
#include "core/util/mem.h"

struct kept_row {
    uint16_t type;
    uint16_t rdata_len;
    size_t rdata_at;
    uint32_t ttl;
    enum record_source source;
    char client[CLIENT_NAME_MAX + 1];
};
struct row_list {
    struct kept_row *rows;
    size_t n, cap;
    struct buf data;
};

static void list_clear(struct row_list *list)
{
    mem_free(list->rows);
    buf_clear(&list->data);
}

static struct err keep_row(void *arg, const struct row *row)
{
    struct row_list *list = arg;
    size_t client_len = strnlen(row->client, CLIENT_NAME_MAX + 1);

    if (client_len > CLIENT_NAME_MAX || row->rdata_len > RR_RDATA_MAX) {
        FAIL(ERR_DB, "records: a broken row in the database");
    }
    if (list->n == list->cap) {
        size_t cap = list->cap == 0 ? 8 : list->cap * 2;
        struct kept_row *grown = mem_resize(list->rows, cap * sizeof(*grown));
        TRY_PTR(grown);
        list->rows = grown;
        list->cap = cap;
    }
    struct kept_row *kept = &list->rows[list->n++];
    *kept = (struct kept_row){.type = row->type,
                              .rdata_len = (uint16_t)row->rdata_len,
                              .rdata_at = list->data.len,
                              .ttl = row->ttl,
                              .source = row->source};
    memcpy(kept->client, row->client, client_len);
    buf_put(&list->data, row->rdata, row->rdata_len);
    return buf_check(&list->data);
}

struct editing {
    struct records *records;
    struct db *db;
    const struct record_who *who;
    struct zone_change *change;
    struct record_refusal *refusal;
    size_t changed_n;
    /* of the edit at hand */
    const struct record_edit *edit;
    int zone;
    bool is_apex;
    struct name_key key;
    struct row_list at;
};

static const uint8_t *rdata_of(const struct editing *e, const struct kept_row *row)
{
    return e->at.data.data == NULL ? NULL : e->at.data.data + row->rdata_at;
}

static bool is_same(const struct editing *e, const struct kept_row *row)
{
    const struct dns_rr *rr = &e->edit->rr;

    return row->type == rr->type && row->rdata_len == rr->rdata_len &&
           (rr->rdata_len == 0 || memcmp(rdata_of(e, row), rr->rdata, rr->rdata_len) == 0);
}

static bool may_remove(const struct editing *e, const struct kept_row *row)
{
    return row->source == RECORD_FROM_STORE &&
           (e->who->client[0] == '\0' || strcmp(e->who->client, row->client) == 0);
}

static struct row row_of(const struct editing *e, const struct kept_row *kept)
{
    return (struct row){.key = e->key.data,
                        .key_len = e->key.len,
                        .type = kept->type,
                        .rdata = rdata_of(e, kept),
                        .rdata_len = kept->rdata_len,
                        .source = kept->source,
                        .ttl = kept->ttl,
                        .client = kept->client};
}

static struct err note_change(struct editing *e, bool is_soa)
{
    e->changed_n++;
    TRY(zone_change_touch(e->change, &e->key));
    return is_soa ? zone_change_whole(e->change, e->zone, false) : err_ok();
}

static struct err remove_row(struct editing *e, const struct kept_row *kept)
{
    const struct row row = row_of(e, kept);
    size_t n = 0;

    TRY(row_remove(e->db, &row, NULL, &n));
    TRY(ptr_follow(e->records, e->db, false, &row, e->change));
    return note_change(e, kept->type == LDNS_RR_TYPE_SOA);
}

/* --- adding -------------------------------------------------------------------------------------- */

/* In an update what conflicts is passed over, else it is refused. *go: carry on. */
static struct err conflict(struct editing *e, const char *sentence, bool *go)
{
    struct name_words words;

    *go = false;
    if (e->who->is_update) {
        return err_ok();
    }
    return records_refuse(e->refusal, "%s %s", key_words(&e->key, &words), sentence);
}

static uint32_t soa_serial(const struct dns_rr *rr)
{
    const uint8_t *p = rr->rdata + rr->rdata_len - 20;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static struct err check_soa(struct editing *e, bool *go)
{
    uint32_t now = 0;

    TRY(serial_get(e->db, e->records->list[e->zone].id, &now));
    if (e->edit->rr.rdata_len < 22 || !serial_is_newer(soa_serial(&e->edit->rr), now)) {
        return conflict(e, "has an SOA whose serial is not older: give a newer one", go);
    }
    TRY(zone_change_serial(e->change, e->zone, soa_serial(&e->edit->rr)));
    return zone_change_whole(e->change, e->zone, false);
}

/* A type of which there is one: the one that stands there goes, if it may. */
static struct err replace_singleton(struct editing *e, bool *go)
{
    for (size_t i = 0; i < e->at.n && *go; i++) {
        const struct kept_row *row = &e->at.rows[i];
        if (row->type != e->edit->rr.type || is_same(e, row)) {
            continue;
        }
        bool is_replaced =
            may_remove(e, row) && (e->who->is_update || row->type == LDNS_RR_TYPE_SOA);
        if (!is_replaced) {
            TRY(conflict(
                e,
                row->source == RECORD_FROM_FILE
                    ? "has a record of this type in the zone file, and can have only one: "
                      "edit the file"
                    : "has a record of this type, and can have only one: remove that first",
                go));
        } else {
            TRY(remove_row(e, row));
        }
    }
    return err_ok();
}

/* RFC 2136 §3.4.2.2 */
static struct err check_neighbours(struct editing *e, bool *go)
{
    bool is_cname = e->edit->rr.type == LDNS_RR_TYPE_CNAME;

    for (size_t i = 0; i < e->at.n; i++) {
        const struct kept_row *row = &e->at.rows[i];
        if (row->source != RECORD_DERIVED && is_cname != (row->type == LDNS_RR_TYPE_CNAME)) {
            return conflict(e,
                            is_cname ? "has other records: a CNAME stands alone; remove them first"
                                     : "has a CNAME, which stands alone: remove it first",
                            go);
        }
    }
    return err_ok();
}

static struct err check_add(struct editing *e, bool *go)
{
    *go = true;
    TRY(check_neighbours(e, go));
    if (*go && e->edit->rr.type == LDNS_RR_TYPE_SOA) {
        TRY(check_soa(e, go));
    }
    if (*go && rr_is_singleton(e->edit->rr.type)) {
        TRY(replace_singleton(e, go));
    }
    return err_ok();
}

/* Is the row there already, with this TTL, as all stored ones of its type? */
static bool is_there(const struct editing *e)
{
    bool is_found = false;

    for (size_t i = 0; i < e->at.n; i++) {
        const struct kept_row *row = &e->at.rows[i];
        if (row->source != RECORD_FROM_STORE || row->type != e->edit->rr.type) {
            continue;
        }
        if (row->ttl != e->edit->rr.ttl) {
            return false;
        }
        is_found = is_found || is_same(e, row);
    }
    return is_found;
}

/* An SOA elsewhere than at an apex is no conflict that the names rule knows. */
static bool is_ignored(const struct editing *e)
{
    const struct dns_rr *rr = &e->edit->rr;

    return e->who->is_update && ((rr->type == LDNS_RR_TYPE_SOA && !e->is_apex) ||
                                 (rr->type == LDNS_RR_TYPE_CNAME && e->is_apex));
}

static struct err add(struct editing *e)
{
    const struct dns_rr *rr = &e->edit->rr;
    bool go = true;

    if (is_ignored(e)) {
        return err_ok();
    }
    TRY(rules_name(e->records, rr, &e->zone, e->refusal));
    if (rr->class_ != RR_CLASS_IN || rr->ttl > RR_TTL_MAX) {
        return records_refuse(e->refusal, "a record has class IN and a TTL of at most %u",
                              RR_TTL_MAX);
    }
    if (is_there(e)) {
        return err_ok();
    }
    TRY(check_add(e, &go));
    if (!go) {
        return err_ok();
    }
    const struct row row = {.key = e->key.data,
                            .key_len = e->key.len,
                            .type = rr->type,
                            .rdata = rr->rdata,
                            .rdata_len = rr->rdata_len,
                            .source = RECORD_FROM_STORE,
                            .ttl = rr->ttl,
                            .client = e->who->client};
    TRY(row_put(e->db, &row));
    TRY(rows_set_ttl(e->db, &e->key, rr->type, rr->ttl));
    TRY(ptr_follow(e->records, e->db, true, &row, e->change));
    TRY(note_change(e, rr->type == LDNS_RR_TYPE_SOA));
    return rules_check(e->records, e->db, e->zone, &e->key, e->refusal);
}

/* --- removing ------------------------------------------------------------------------------------ */

static bool is_meant(const struct editing *e, const struct kept_row *row)
{
    switch (e->edit->op) {
    case RECORD_REMOVE:
        return is_same(e, row);
    case RECORD_REMOVE_SET:
        return row->type == e->edit->rr.type;
    case RECORD_REMOVE_NAME:
        return true;
    case RECORD_ADD:
        break;
    }
    return false;
}

static size_t count_type(const struct editing *e, uint16_t type)
{
    size_t n = 0;

    for (size_t i = 0; i < e->at.n; i++) {
        n += e->at.rows[i].type == type;
    }
    return n;
}

/* An update takes neither the SOA nor the last NS of a zone away. RFC 2136 §3.4.2.3, §3.4.2.4 */
static bool is_protected(const struct editing *e, const struct kept_row *row)
{
    if (!e->who->is_update || !e->is_apex) {
        return false;
    }
    return row->type == LDNS_RR_TYPE_SOA ||
           (row->type == LDNS_RR_TYPE_NS &&
            (e->edit->op != RECORD_REMOVE || count_type(e, LDNS_RR_TYPE_NS) == 1));
}

static struct err say_nothing_removed(struct editing *e, const struct kept_row *in_the_way)
{
    struct name_words words;
    const char *name = key_words(&e->key, &words);

    if (e->who->is_update) {
        return err_ok();
    }
    if (in_the_way == NULL) {
        return records_refuse(e->refusal, "%s has no such record", name);
    }
    switch (in_the_way->source) {
    case RECORD_FROM_FILE:
        return records_refuse(e->refusal,
                              "the record at %s is from the zone file %s: remove it there", name,
                              e->records->list[e->zone].cfg->file);
    case RECORD_DERIVED:
        return records_refuse(
            e->refusal, "the PTR at %s belongs to an address record: it goes with that", name);
    case RECORD_FROM_STORE:
        break;
    }
    return records_refuse(e->refusal, "the record at %s was added by client %s, who can remove it",
                          name, in_the_way->client);
}

static struct err remove_meant(struct editing *e)
{
    const struct kept_row *in_the_way = NULL;
    size_t before = e->changed_n;

    for (size_t i = 0; i < e->at.n; i++) {
        const struct kept_row *row = &e->at.rows[i];
        if (!is_meant(e, row)) {
            continue;
        }
        if (may_remove(e, row) && !is_protected(e, row)) {
            TRY(remove_row(e, row));
        } else {
            in_the_way = row;
        }
    }
    return e->changed_n > before ? err_ok() : say_nothing_removed(e, in_the_way);
}

/* --- one after the other -------------------------------------------------------------------------- */

static struct err edit_one(struct editing *e)
{
    const struct dns_rr *rr = &e->edit->rr;
    struct name_words words;

    e->zone = records_zone_at(e->records, rr->owner, rr->owner_len);
    if (e->zone < 0 || !e->records->list[e->zone].is_served ||
        e->records->list[e->zone].is_delegate) {
        if (e->edit->op == RECORD_ADD) {
            return rules_name(e->records, rr, &e->zone, e->refusal);
        }
        return records_refuse(e->refusal, "%s is in no zone whose records are kept here",
                              wire_words(rr->owner, rr->owner_len, &words));
    }
    e->is_apex = records_is_apex(&e->records->list[e->zone], rr->owner, rr->owner_len);
    key_of(rr->owner, &e->key);
    e->at.n = 0;
    buf_reset(&e->at.data);
    TRY(rows_at(e->db, &e->key, keep_row, &e->at));
    return e->edit->op == RECORD_ADD ? add(e) : remove_meant(e);
}

static void editing_clear(struct editing *e)
{
    list_clear(&e->at);
}

struct err records_edit(struct records *records, struct db *db, const struct record_who *who,
                        const struct record_edit *edits, size_t n, struct zone_change *change,
                        size_t *changed, struct record_refusal *refusal)
{
    AUTO(editing_clear)
    struct editing e = {
        .records = records, .db = db, .who = who, .change = change, .refusal = refusal};

    buf_init(&e.at.data, RECORDS_BUF_MAX);
    for (size_t i = 0; i < n; i++) {
        e.edit = &edits[i];
        TRY(edit_one(&e));
    }
    if (changed != NULL) {
        *changed = e.changed_n;
    }
    return err_ok();
}

/* --- reading ------------------------------------------------------------------------------------- */

struct err records_name_in_use(struct records *records, struct db *db, const uint8_t *owner,
                               size_t owner_len, bool *out)
{
    struct name_key key;
    int zone = records_zone_at(records, owner, owner_len);

    if (zone < 0) {
        *out = false;
        return err_ok();
    }
    if (records_is_apex(&records->list[zone], owner, owner_len)) {
        *out = true; /* SOA and NS */
        return err_ok();
    }
    key_of(owner, &key);
    TRY(rows_has(db, &key, out));
    return *out ? err_ok() : rows_has_below(records, db, zone, &key, out);
}

/* --- the administrator ---------------------------------------------------------------------------- */

struct edit_job {
    struct records *records;
    const struct record_edit *edits;
    size_t n;
    struct record_refusal *refusal;
    enum err_code visible;
};

static struct err audit_edits(struct db *db, const struct edit_job *job, size_t changed_n)
{
    struct name_words words;
    char detail[100];
    const struct dns_rr *rr = &job->edits[0].rr;

    (void)snprintf(detail, sizeof(detail), "%zu records changed", changed_n);
    const struct audit_row row = {.event = "records.edit",
                                  .actor = "admin",
                                  .object = wire_words(rr->owner, rr->owner_len, &words),
                                  .detail = detail};
    return audit_write(db, &row);
}

static struct err edit_tx(struct db *db, void *arg)
{
    struct edit_job *job = arg;
    AUTO(zone_change_freep) struct zone_change *change = NULL;
    const struct record_who who = {.client = "", .is_update = false};
    size_t changed_n = 0;

    TRY(zone_change_new(job->records, &change));
    TRY(records_edit(job->records, db, &who, job->edits, job->n, change, &changed_n, job->refusal));
    if (changed_n > 0) {
        TRY(audit_edits(db, job, changed_n));
    }
    return zone_change_commit(&change, db, &job->visible);
}

struct err records_edit_now(struct records *records, const struct record_edit *edits, size_t n,
                            struct record_refusal *refusal)
{
    struct edit_job job = {records, edits, n, refusal, ERR_OK};

    if (n == 0) {
        return err_ok();
    }
    TRY(store_write(records->store, "records.edit", edit_tx, &job));
    if (job.visible != ERR_OK) {
        FAIL(job.visible, "records: stored, but not visible to queries before a restart");
    }
    return err_ok();
}
