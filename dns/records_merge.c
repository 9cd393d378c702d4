/* The records of a name, from rows of several sources. */
#include "dns/records_int.h"

#include <string.h>

#include "core/util/mem.h"

void owner_set_init(struct owner_set *set)
{
    memset(set, 0, sizeof(*set));
    buf_init(&set->data, RECORDS_BUF_MAX);
}

void owner_set_clear(struct owner_set *set)
{
    mem_free(set->rrs);
    mem_free(set->sources);
    mem_free(set->offsets);
    buf_clear(&set->data);
    owner_set_init(set);
}

void owner_set_reset(struct owner_set *set)
{
    set->n = 0;
    buf_reset(&set->data);
}

static struct err grow(struct owner_set *set)
{
    size_t cap = set->cap == 0 ? 8 : set->cap * 2;
    struct zone_rr *rrs = mem_resize(set->rrs, cap * sizeof(*rrs));

    TRY_PTR(rrs);
    set->rrs = rrs;
    uint8_t *sources = mem_resize(set->sources, cap);
    TRY_PTR(sources);
    set->sources = sources;
    size_t *offsets = mem_resize(set->offsets, cap * sizeof(*offsets));
    TRY_PTR(offsets);
    set->offsets = offsets;
    set->cap = cap;
    return err_ok();
}

/* A file's TTL counts before a stored one's, that before a derived one's. */
static unsigned rank(unsigned source)
{
    return source == RECORD_FROM_FILE ? 0 : source == RECORD_FROM_STORE ? 1 : 2;
}

struct err owner_set_add(struct owner_set *set, const struct row *row)
{
    struct zone_rr *last = set->n == 0 ? NULL : &set->rrs[set->n - 1];

    if (last != NULL && last->type == row->type && last->rdata_len == row->rdata_len &&
        (row->rdata_len == 0 ||
         memcmp(set->data.data + set->offsets[set->n - 1], row->rdata, row->rdata_len) == 0)) {
        if (rank(row->source) < rank(set->sources[set->n - 1])) {
            set->sources[set->n - 1] = (uint8_t)row->source;
            last->ttl = row->ttl;
        }
        return err_ok();
    }
    if (row->rdata_len > RR_RDATA_MAX) {
        FAIL(ERR_LIMIT, "records: data of %zu octets in a record", row->rdata_len);
    }
    if (set->n >= RECORDS_RRS_MAX) {
        FAIL(ERR_LIMIT, "records: more than %u records at one name", RECORDS_RRS_MAX);
    }
    if (set->n == set->cap || set->rrs == NULL) {
        TRY(grow(set));
    }
    set->offsets[set->n] = set->data.len;
    set->sources[set->n] = (uint8_t)row->source;
    set->rrs[set->n++] =
        (struct zone_rr){.type = row->type, .ttl = row->ttl, .rdata_len = (uint16_t)row->rdata_len};
    buf_put(&set->data, row->rdata, row->rdata_len);
    return buf_check(&set->data);
}

/* Derived records give way to others of their type, and to a CNAME. */
static void drop_derived(struct owner_set *set)
{
    bool gives_way = false;
    size_t n = 0;

    for (size_t i = 0; i < set->n; i++) {
        gives_way = gives_way ||
                    (set->sources[i] != RECORD_DERIVED && (set->rrs[i].type == LDNS_RR_TYPE_PTR ||
                                                           set->rrs[i].type == LDNS_RR_TYPE_CNAME));
    }
    for (size_t i = 0; i < set->n && gives_way; i++) {
        if (set->sources[i] != RECORD_DERIVED) {
            set->rrs[n] = set->rrs[i];
            set->offsets[n] = set->offsets[i];
            set->sources[n++] = set->sources[i];
        }
    }
    set->n = gives_way ? n : set->n;
}

struct err owner_set_finish(struct owner_set *set)
{
    TRY(buf_check(&set->data));
    drop_derived(set);
    for (size_t i = 0; i < set->n; i++) {
        set->rrs[i].rdata = set->data.data == NULL ? NULL : set->data.data + set->offsets[i];
        if (i > 0 && set->rrs[i].type == set->rrs[i - 1].type) {
            set->rrs[i].ttl = set->rrs[i - 1].ttl;
        }
    }
    return err_ok();
}

static struct err add_row(void *arg, const struct row *row)
{
    return owner_set_add(arg, row);
}

struct err owner_set_read(struct db *db, const struct name_key *key, struct owner_set *set)
{
    owner_set_reset(set);
    TRY(rows_at(db, key, add_row, set));
    return owner_set_finish(set);
}

const struct zone_rr *owner_set_find(const struct owner_set *set, uint16_t type)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->rrs[i].type == type) {
            return &set->rrs[i];
        }
    }
    return NULL;
}

/* --- whole zones ---------------------------------------------------------------------------------- */

struct grouping {
    owner_fn fn;
    void *arg;
    struct name_key key;
    struct owner_set set;
};

static struct err flush(struct grouping *g)
{
    if (g->set.n == 0) {
        return err_ok();
    }
    TRY(owner_set_finish(&g->set));
    TRY(g->fn(g->arg, &g->key, &g->set));
    owner_set_reset(&g->set);
    return err_ok();
}

static struct err group_row(void *arg, const struct row *row)
{
    struct grouping *g = arg;

    if (key_compare(row->key, row->key_len, g->key.data, g->key.len) != 0) {
        TRY(flush(g));
        if (row->key_len > KEY_MAX) {
            FAIL(ERR_DB, "records: an owner of %zu octets in the database", row->key_len);
        }
        memcpy(g->key.data, row->key, row->key_len);
        g->key.len = row->key_len;
    }
    return owner_set_add(&g->set, row);
}

static void grouping_clear(struct grouping *g)
{
    owner_set_clear(&g->set);
}

struct err owners_scan_zone(const struct records *records, struct db *db, int zone, owner_fn fn,
                            void *arg)
{
    AUTO(grouping_clear) struct grouping g = {.fn = fn, .arg = arg};

    owner_set_init(&g.set);
    TRY(rows_scan_zone(records, db, zone, group_row, &g));
    return flush(&g);
}
