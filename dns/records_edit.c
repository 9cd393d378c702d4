/* Edits by clients and the administrator, name by name. RFC 2136 §3.4.2 where they come as an update. */
#include "dns/records_int.h"

#include <stdlib.h>
#include <string.h>

#include "core/util/mem.h"

/* A row at the name at hand: what the edits so far made of it. */
struct kept_row {
    uint16_t type;
    uint16_t rdata_len;
    size_t rdata_at;
    uint32_t ttl, stored_ttl;
    enum record_source source;
    bool is_stored, is_gone;
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

static struct err keep(struct row_list *list, const struct row *row, bool is_stored)
{
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
                              .stored_ttl = row->ttl,
                              .source = row->source,
                              .is_stored = is_stored};
    memcpy(kept->client, row->client, client_len);
    buf_put(&list->data, row->rdata, row->rdata_len);
    return buf_check(&list->data);
}

static struct err keep_row(void *arg, const struct row *row)
{
    return keep(arg, row, true);
}

/* The edits of an update are taken name by name, each name's in their order: its rows are read once,
 * changed in memory, and the difference is written. The rules are looked at when all is written. */
struct editing {
    struct records *records;
    struct db *db;
    const struct record_who *who;
    struct zone_change *change;
    struct record_refusal *refusal;
    size_t changed_n;
    bool is_any_added;
    const struct record_edit *edit; /* at hand */
    /* of the name at hand */
    int zone;
    bool is_apex, is_changed, is_added;
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
    e->is_changed = true;
    return is_soa ? zone_change_whole(e->change, e->zone, false) : err_ok();
}

static struct err remove_row(struct editing *e, struct kept_row *kept)
{
    kept->is_gone = true;
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
    return wire_soa_serial(rr->rdata, rr->rdata_len);
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
        struct kept_row *row = &e->at.rows[i];
        if (row->is_gone || row->type != e->edit->rr.type || is_same(e, row)) {
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
        if (!row->is_gone && row->source != RECORD_DERIVED &&
            is_cname != (row->type == LDNS_RR_TYPE_CNAME)) {
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

/* The stored row that the edit would add; NULL. */
static struct kept_row *find_same(struct editing *e)
{
    for (size_t i = 0; i < e->at.n; i++) {
        struct kept_row *row = &e->at.rows[i];
        if (row->source == RECORD_FROM_STORE && !row->is_gone && is_same(e, row)) {
            return row;
        }
    }
    return NULL;
}

/* One RRset, one TTL (RFC 2181 §5.2): the newest counts, unless a row of somebody else is among them,
 * which only the administrator changes. */
static uint32_t ttl_of_set(const struct editing *e)
{
    for (size_t i = 0; i < e->at.n; i++) {
        const struct kept_row *row = &e->at.rows[i];
        if (row->source == RECORD_FROM_STORE && !row->is_gone && row->type == e->edit->rr.type &&
            !may_remove(e, row)) {
            return row->ttl;
        }
    }
    return e->edit->rr.ttl;
}

/* Does any row have another one now? */
static bool set_ttl(struct editing *e, uint32_t ttl)
{
    bool is_other = false;

    for (size_t i = 0; i < e->at.n; i++) {
        struct kept_row *row = &e->at.rows[i];
        if (row->source == RECORD_FROM_STORE && !row->is_gone && row->type == e->edit->rr.type) {
            is_other = is_other || row->ttl != ttl;
            row->ttl = ttl;
        }
    }
    return is_other;
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
    if (rr->class_ != DNS_CLASS_IN || rr->ttl > RR_TTL_MAX) {
        return records_refuse(e->refusal, "a record has class IN and a TTL of at most %u",
                              RR_TTL_MAX);
    }
    const struct kept_row *same = find_same(e);
    uint32_t ttl = ttl_of_set(e);
    if (same == NULL || same->ttl != ttl) {
        TRY(check_add(e, &go));
    }
    if (!go) {
        return err_ok();
    }
    bool is_other_ttl = set_ttl(e, ttl);
    if (same != NULL && !is_other_ttl) {
        return err_ok();
    }
    if (same == NULL) {
        const struct row row = {.type = rr->type,
                                .rdata = rr->rdata,
                                .rdata_len = rr->rdata_len,
                                .source = RECORD_FROM_STORE,
                                .ttl = ttl,
                                .client = e->who->client};
        TRY(keep(&e->at, &row, false));
        e->is_any_added = true;
    }
    e->is_added = true;
    return note_change(e, rr->type == LDNS_RR_TYPE_SOA);
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
        n += e->at.rows[i].type == type && !e->at.rows[i].is_gone;
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
        struct kept_row *row = &e->at.rows[i];
        if (row->is_gone || !is_meant(e, row)) {
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

/* --- what the edits of a name come to ------------------------------------------------------------- */

static struct err write_removed(struct editing *e)
{
    size_t n = 0;

    for (size_t i = 0; i < e->at.n; i++) {
        const struct kept_row *kept = &e->at.rows[i];
        if (kept->is_stored && kept->is_gone) {
            const struct row row = row_of(e, kept);
            TRY(row_remove(e->db, &row, NULL, &n));
            TRY(ptr_follow(e->records, e->db, false, &row, e->change));
        }
    }
    return err_ok();
}

static struct err write_added(struct editing *e)
{
    for (size_t i = 0; i < e->at.n; i++) {
        const struct kept_row *kept = &e->at.rows[i];
        if (!kept->is_stored && !kept->is_gone) {
            const struct row row = row_of(e, kept);
            TRY(row_put(e->db, &row));
            TRY(ptr_follow(e->records, e->db, true, &row, e->change));
        }
    }
    return err_ok();
}

/* Once per type: the stored rows of one have one TTL. */
static struct err write_ttls(struct editing *e)
{
    for (size_t i = 0; i < e->at.n; i++) {
        const struct kept_row *kept = &e->at.rows[i];
        if (!kept->is_stored || kept->is_gone || kept->ttl == kept->stored_ttl) {
            continue;
        }
        TRY(rows_set_ttl(e->db, &e->key, kept->type, kept->ttl));
        for (size_t j = i; j < e->at.n; j++) {
            if (e->at.rows[j].type == kept->type) {
                e->at.rows[j].stored_ttl = e->at.rows[j].ttl;
            }
        }
    }
    return err_ok();
}

/* --- name by name --------------------------------------------------------------------------------- */

/* Edits of one name are linked in their order. */
struct link {
    size_t next;
    bool is_first, is_last, is_checked;
};

static int compare_owners(const void *a, const void *b, void *arg)
{
    const struct record_edit *edits = arg;
    size_t i = *(const size_t *)a;
    size_t j = *(const size_t *)b;
    const struct dns_rr *x = &edits[i].rr;
    const struct dns_rr *y = &edits[j].rr;
    int order = x->owner_len != y->owner_len ? x->owner_len - y->owner_len
                                             : memcmp(x->owner, y->owner, x->owner_len);

    return order != 0 ? order : (i > j) - (i < j);
}

static struct err link_edits(const struct record_edit *edits, size_t n, struct link *links)
{
    AUTO(mem_freep) size_t *sorted = mem_array(n + 1, sizeof(*sorted));
    union {
        const struct record_edit *in;
        void *out;
    } arg = {.in = edits}; /* compare_owners() takes it as const */

    TRY_PTR(sorted);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = i;
    }
    qsort_r(sorted, n, sizeof(*sorted), compare_owners, arg.out);
    for (size_t i = 0; i < n; i++) {
        const struct dns_rr *rr = &edits[sorted[i]].rr;
        const struct dns_rr *last = i == 0 ? NULL : &edits[sorted[i - 1]].rr;
        struct link *link = &links[sorted[i]];
        link->is_last = true;
        link->is_first = last == NULL || last->owner_len != rr->owner_len ||
                         memcmp(last->owner, rr->owner, rr->owner_len) != 0;
        if (!link->is_first) {
            links[sorted[i - 1]].next = sorted[i];
            links[sorted[i - 1]].is_last = false;
        }
    }
    return err_ok();
}

static struct err edit_one(struct editing *e)
{
    const struct dns_rr *rr = &e->edit->rr;
    struct name_words words;

    if (e->zone < 0 || !e->records->list[e->zone].is_served ||
        e->records->list[e->zone].is_delegate) {
        if (e->edit->op == RECORD_ADD) {
            return rules_name(e->records, rr, &e->zone, e->refusal);
        }
        return records_refuse(e->refusal, "%s is in no zone whose records are kept here",
                              wire_words(rr->owner, rr->owner_len, &words));
    }
    return e->edit->op == RECORD_ADD ? add(e) : remove_meant(e);
}

static struct err edit_name(struct editing *e, const struct record_edit *edits, struct link *links,
                            size_t first)
{
    const struct dns_rr *rr = &edits[first].rr;

    e->zone = records_zone_at(e->records, rr->owner, rr->owner_len);
    e->is_apex =
        e->zone >= 0 && records_is_apex(&e->records->list[e->zone], rr->owner, rr->owner_len);
    e->is_changed = e->is_added = false;
    key_of(rr->owner, &e->key);
    e->at.n = 0;
    buf_reset(&e->at.data);
    TRY(rows_at(e->db, &e->key, keep_row, &e->at));
    for (size_t i = first;; i = links[i].next) {
        e->edit = &edits[i];
        TRY(edit_one(e));
        if (links[i].is_last) {
            break;
        }
    }
    links[first].is_checked = e->is_added;
    if (!e->is_changed) {
        return err_ok();
    }
    TRY(write_removed(e));
    TRY(write_added(e));
    TRY(write_ttls(e));
    return zone_change_touch(e->change, &e->key);
}

/* The rules concern names above and below as well: only when all is written. */
static struct err check_name(struct editing *e, const struct dns_rr *rr)
{
    struct name_key key;

    key_of(rr->owner, &key);
    return rules_check(e->records, e->db, records_zone_at(e->records, rr->owner, rr->owner_len),
                       &key, e->refusal);
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
    AUTO(mem_freep) struct link *links = mem_array(n + 1, sizeof(*links));

    buf_init(&e.at.data, RECORDS_BUF_MAX);
    TRY_PTR(links);
    TRY(link_edits(edits, n, links));
    for (size_t i = 0; i < n; i++) {
        if (links[i].is_first) {
            TRY(edit_name(&e, edits, links, i));
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (links[i].is_checked) {
            TRY(check_name(&e, &edits[i].rr));
        }
    }
    if (e.is_any_added) {
        TRY(room_check(records, db, who->client, n, refusal));
    }
    if (changed != NULL) {
        *changed = e.changed_n;
    }
    return err_ok();
}
