/* Many rows at once: a zone file's, or an import's. */
#include "dns/records_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/util/mem.h"
#include "dns/zone_file.h"

#define ROW_HEAD_LEN 14u

void file_rows_init(struct file_rows *rows)
{
    memset(rows, 0, sizeof(*rows));
    buf_init(&rows->data, 2u * RECORDS_BUF_MAX);
}

void file_rows_clear(struct file_rows *rows)
{
    buf_clear(&rows->data);
    mem_free(rows->at);
    file_rows_init(rows);
}

static struct err add_row(struct file_rows *rows, unsigned line, const struct row *row)
{
    uint8_t head[ROW_HEAD_LEN] = {(uint8_t)(line >> 24),          (uint8_t)(line >> 16),
                                  (uint8_t)(line >> 8),           (uint8_t)line,
                                  (uint8_t)(row->ttl >> 24),      (uint8_t)(row->ttl >> 16),
                                  (uint8_t)(row->ttl >> 8),       (uint8_t)row->ttl,
                                  (uint8_t)(row->type >> 8),      (uint8_t)row->type,
                                  (uint8_t)(row->key_len >> 8),   (uint8_t)row->key_len,
                                  (uint8_t)(row->rdata_len >> 8), (uint8_t)row->rdata_len};

    if (rows->n == rows->cap) {
        size_t cap = rows->cap == 0 ? 64 : rows->cap * 2;
        size_t *grown = mem_resize(rows->at, cap * sizeof(*grown));
        TRY_PTR(grown);
        rows->at = grown;
        rows->cap = cap;
    }
    rows->at[rows->n++] = rows->data.len;
    buf_put(&rows->data, head, sizeof(head));
    buf_put(&rows->data, row->key, row->key_len);
    buf_put(&rows->data, row->rdata, row->rdata_len);
    return buf_check(&rows->data);
}

struct err file_rows_add(struct file_rows *rows, unsigned line, const struct dns_rr *rr)
{
    struct name_key key;

    key_of(rr->owner, &key);
    const struct row row = {.key = key.data,
                            .key_len = key.len,
                            .type = rr->type,
                            .rdata = rr->rdata,
                            .rdata_len = rr->rdata_len,
                            .ttl = rr->ttl};
    return add_row(rows, line, &row);
}

static void row_at(const uint8_t *p, struct row *out, unsigned *line)
{
    *line = wire_get32(p);
    out->ttl = wire_get32(p + 4);
    out->type = (uint16_t)wire_get16(p + 8);
    out->key_len = wire_get16(p + 10);
    out->rdata_len = wire_get16(p + 12);
    out->key = p + ROW_HEAD_LEN;
    out->rdata = out->key + out->key_len;
    out->source = RECORD_FROM_FILE;
    out->client = "";
}

void file_rows_get(const struct file_rows *rows, size_t i, struct row *out, unsigned *line)
{
    row_at(rows->data.data + rows->at[i], out, line);
}

static int compare_rows(const struct row *a, const struct row *b)
{
    int order = key_compare(a->key, a->key_len, b->key, b->key_len);

    if (order != 0) {
        return order;
    }
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    return key_compare(a->rdata, a->rdata_len, b->rdata, b->rdata_len);
}

static int compare_at(const void *a, const void *b, void *arg)
{
    const uint8_t *data = arg;
    struct row x, y;
    unsigned x_line = 0;
    unsigned y_line = 0;

    row_at(data + *(const size_t *)a, &x, &x_line);
    row_at(data + *(const size_t *)b, &y, &y_line);
    int order = compare_rows(&x, &y);
    return order != 0 ? order : (x_line > y_line) - (x_line < y_line);
}

static bool is_sorted(const struct file_rows *rows)
{
    for (size_t i = 1; i < rows->n; i++) {
        if (compare_at(&rows->at[i - 1], &rows->at[i], rows->data.data) > 0) {
            return false;
        }
    }
    return true;
}

void file_rows_sort(struct file_rows *rows)
{
    size_t n = 0;
    struct row last, row;
    unsigned line = 0;

    if (rows->n < 2) {
        return;
    }
    if (!is_sorted(rows)) {
        qsort_r(rows->at, rows->n, sizeof(*rows->at), compare_at, rows->data.data);
    }
    for (size_t i = 0; i < rows->n; i++) {
        file_rows_get(rows, i, &row, &line);
        if (n == 0 || compare_rows(&last, &row) != 0) {
            rows->at[n++] = rows->at[i];
            last = row;
        }
    }
    rows->n = n;
}

/* --- from text --------------------------------------------------------------------------------------- */

struct parsing {
    const struct records *records;
    int zone;
    const char *label;
    struct file_rows *rows;
    struct buf *problems;
    unsigned faults_n;
};

static void say(struct parsing *p, unsigned line, const char *sentence)
{
    if (p->faults_n++ < ZONE_FILE_FAULTS_MAX) {
        buf_printf(p->problems, "%s:%u: %s\n", p->label, line, sentence);
    }
}

static struct err take_rr(void *arg, unsigned line, const struct dns_rr *rr)
{
    struct parsing *p = arg;
    struct record_refusal refusal = {""};
    struct name_words words;
    int zone = -1;

    struct err e = rules_name(p->records, rr, &zone, &refusal);
    if (e.code == ERR_REJECTED) {
        say(p, line, refusal.detail);
        return err_ok();
    }
    TRY(e);
    if (zone != p->zone) {
        (void)snprintf(refusal.detail, sizeof(refusal.detail),
                       "%.150s is in the zone %.150s, which this server has as well: its records "
                       "belong there",
                       wire_words(rr->owner, rr->owner_len, &words), p->records->list[zone].name);
        say(p, line, refusal.detail);
        return err_ok();
    }
    return file_rows_add(p->rows, line, rr);
}

struct err load_parse(const struct records *records, int zone, const char *label, const char *text,
                      size_t len, struct file_rows *rows, struct buf *problems)
{
    struct parsing p = {records, zone, label, rows, problems, 0};

    struct err e = zone_file_parse(label, text, len, records->list[zone].name,
                                   RECORDS_DEFAULT_TTL_S, take_rr, &p, problems);
    TRY(e);
    if (p.faults_n > 0) {
        FAIL(ERR_MALFORMED, "%s has faults", label);
    }
    file_rows_sort(rows);
    return err_ok();
}

/* --- the rules, over all names in order ------------------------------------------------------------------ */

struct checking {
    struct parsing p;
    const struct records_zone *zone;
    struct owner_set set;
    struct name_key key;        /* of set */
    unsigned line;              /* the first of its rows that is from the file; 0: none */
    struct name_key cut, dname; /* the delegation or DNAME that reaches to here; ended by others */
    unsigned cut_line, dname_line;
    bool has_cut, has_dname;
};

static bool is_below(const struct name_key *key, const struct name_key *head)
{
    return key->len > head->len &&
           (head->len == 0 || memcmp(key->data, head->data, head->len) == 0);
}

static void fault(struct checking *c, unsigned other_line, const char *sentence)
{
    if (c->line != 0 || other_line != 0) { /* else it has nothing to do with this file */
        say(&c->p, c->line != 0 ? c->line : other_line, sentence);
    }
}

static bool has_only_glue(const struct owner_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->rrs[i].type != LDNS_RR_TYPE_A && set->rrs[i].type != LDNS_RR_TYPE_AAAA) {
            return false;
        }
    }
    return true;
}

static void check_above(struct checking *c)
{
    char sentence[500];
    struct name_words name, above;

    c->has_cut = c->has_cut && is_below(&c->key, &c->cut);
    c->has_dname = c->has_dname && is_below(&c->key, &c->dname);
    if (c->has_dname) {
        (void)snprintf(sentence, sizeof(sentence),
                       "%.150s is below the DNAME at %.150s; nothing was expected there",
                       key_words(&c->key, &name), key_words(&c->dname, &above));
        fault(c, c->dname_line, sentence);
    }
    if (c->has_cut && !has_only_glue(&c->set)) {
        (void)snprintf(sentence, sizeof(sentence),
                       "%.150s is below %.150s, which NS records delegate; only addresses of name "
                       "servers (A, AAAA) were expected there",
                       key_words(&c->key, &name), key_words(&c->cut, &above));
        fault(c, c->cut_line, sentence);
    }
}

static struct err check_name(struct checking *c)
{
    struct rules_set_words words;
    bool is_apex = c->key.len == c->zone->key.len;

    if (c->set.n == 0) {
        return err_ok();
    }
    TRY(owner_set_finish(&c->set));
    const char *why = rules_set(is_apex, &c->key, &c->set, &words);
    if (why != NULL) {
        fault(c, 0, why);
    }
    check_above(c);
    if (!c->has_cut && !is_apex && owner_set_find(&c->set, LDNS_RR_TYPE_NS) != NULL) {
        c->cut = c->key;
        c->cut_line = c->line;
        c->has_cut = true;
    }
    if (!c->has_dname && owner_set_find(&c->set, LDNS_RR_TYPE_DNAME) != NULL) {
        c->dname = c->key;
        c->dname_line = c->line;
        c->has_dname = true;
    }
    owner_set_reset(&c->set);
    return err_ok();
}

static struct err check_row(struct checking *c, const struct row *row, unsigned line)
{
    if (key_compare(row->key, row->key_len, c->key.data, c->key.len) != 0) {
        TRY(check_name(c));
        memcpy(c->key.data, row->key, row->key_len);
        c->key.len = row->key_len;
        c->line = 0;
    }
    c->line = c->line == 0 ? line : c->line;
    return owner_set_add(&c->set, row);
}

struct others {
    struct file_rows rows;
    enum record_source except;
};

static struct err take_other(void *arg, const struct row *row)
{
    struct others *o = arg;

    return row->source == o->except || row->source == RECORD_DERIVED ? err_ok()
                                                                     : add_row(&o->rows, 0, row);
}

static struct err check_merged(struct checking *c, const struct file_rows *rows,
                               const struct file_rows *others)
{
    struct row a = {.key = NULL};
    struct row b = {.key = NULL};
    unsigned line = 0;
    unsigned none = 0;
    size_t i = 0;
    size_t k = 0;

    while (i < rows->n || k < others->n) {
        int order = i < rows->n ? -1 : 1;
        if (i < rows->n) {
            file_rows_get(rows, i, &a, &line);
        }
        if (k < others->n) {
            file_rows_get(others, k, &b, &none);
            b.source = RECORD_FROM_STORE;
        }
        if (i < rows->n && k < others->n) {
            order = compare_rows(&a, &b);
        }
        TRY(order <= 0 ? check_row(c, &a, line) : check_row(c, &b, 0));
        if (order == 0) {
            TRY(check_row(c, &b, 0));
        }
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    return check_name(c);
}

static void checking_clear(struct checking *c)
{
    owner_set_clear(&c->set);
}

static void others_clear(struct others *o)
{
    file_rows_clear(&o->rows);
}

struct err load_check(const struct records *records, struct db *db, int zone, const char *label,
                      const struct file_rows *rows, enum record_source except, struct buf *problems)
{
    AUTO(checking_clear)
    struct checking c = {
        .p = {.records = records, .zone = zone, .label = label, .problems = problems},
        .zone = &records->list[zone]};
    AUTO(others_clear) struct others others = {.except = except};

    owner_set_init(&c.set);
    file_rows_init(&others.rows);
    TRY(rows_scan_zone(records, db, zone, take_other, &others));
    TRY(check_merged(&c, rows, &others.rows));
    if (c.p.faults_n > 0) {
        FAIL(ERR_MALFORMED, "%s has faults", label);
    }
    return err_ok();
}

/* --- into the store ------------------------------------------------------------------------------------ */

#define PUT_ONE "(?, ?, ?, ?, ?, '')"
#define PUT_4 PUT_ONE ", " PUT_ONE ", " PUT_ONE ", " PUT_ONE
#define PUT_16 PUT_4 ", " PUT_4 ", " PUT_4 ", " PUT_4
#define PUT_INTO "INSERT INTO record (owner, type, rdata, source, ttl, client) VALUES "
#define PUT_OVER " ON CONFLICT (owner, type, rdata, source) DO UPDATE SET ttl = excluded.ttl"
#define PUT_MANY 16u /* rows of one statement: a step costs more than a row */

struct applying {
    const struct load_target *t;
    struct db_stmt *put, *put_many, *drop;
    struct row waiting[PUT_MANY];
    unsigned waiting_n;
    bool has_soa; /* among what comes: then a stored one goes */
    size_t changed_n;
};

static struct err tell(struct applying *a, const struct row *row)
{
    struct name_key key;

    a->changed_n++;
    if (a->t->change == NULL) {
        return err_ok();
    }
    memcpy(key.data, row->key, row->key_len);
    key.len = row->key_len;
    TRY(zone_change_touch(a->t->change, &key));
    return row->type == LDNS_RR_TYPE_SOA ? zone_change_whole(a->t->change, a->t->zone, false)
                                         : err_ok();
}

static bool is_address(const struct row *row)
{
    return row->type == LDNS_RR_TYPE_A || row->type == LDNS_RR_TYPE_AAAA;
}

static void bind_row(struct db_stmt *q, unsigned i, const struct applying *a, const struct row *row)
{
    int at = (int)(5 * i);

    db_bind_blob(q, at + 1, row->key, row->key_len);
    db_bind_int(q, at + 2, row->type);
    db_bind_blob(q, at + 3, row->rdata, row->rdata_len);
    db_bind_int(q, at + 4, a->t->source);
    db_bind_int(q, at + 5, row->ttl);
}

static struct err put_waiting(struct applying *a)
{
    unsigned n = a->waiting_n;

    a->waiting_n = 0;
    for (unsigned i = 0; i < n; i++) {
        bind_row(n == PUT_MANY ? a->put_many : a->put, n == PUT_MANY ? i : 0, a, &a->waiting[i]);
        if (n < PUT_MANY) {
            TRY(db_run(a->put, NULL));
        }
    }
    return n == PUT_MANY ? db_run(a->put_many, NULL) : err_ok();
}

/* Rows wait for each other unless something follows that looks at them. */
static struct err put(struct applying *a, struct row *row)
{
    bool is_looked_at = a->t->change != NULL || a->t->records->has_reverse;

    a->waiting[a->waiting_n++] = *row;
    if (is_looked_at || a->waiting_n == PUT_MANY) {
        TRY(put_waiting(a));
    }
    row->source = a->t->source;
    if (is_address(row)) {
        TRY(ptr_follow(a->t->records, a->t->db, true, row, a->t->change));
    }
    return tell(a, row);
}

static struct err drop(struct applying *a, struct row *row)
{
    TRY(put_waiting(a));
    db_bind_blob(a->drop, 1, row->key, row->key_len);
    db_bind_int(a->drop, 2, row->type);
    db_bind_blob(a->drop, 3, row->rdata, row->rdata_len);
    db_bind_int(a->drop, 4, a->t->source);
    TRY(db_run(a->drop, NULL));
    row->source = a->t->source;
    if (is_address(row)) {
        TRY(ptr_follow(a->t->records, a->t->db, false, row, a->t->change));
    }
    return tell(a, row);
}

struct keeping {
    struct file_rows rows;
    enum record_source source;
};

static struct err take_own(void *arg, const struct row *row)
{
    struct keeping *k = arg;

    return row->source == k->source ? add_row(&k->rows, 0, row) : err_ok();
}

static void keeping_clear(struct keeping *k)
{
    file_rows_clear(&k->rows);
}

static struct err apply_merged(struct applying *a, const struct file_rows *old,
                               const struct file_rows *new)
{
    struct row x = {.key = NULL};
    struct row y = {.key = NULL};
    unsigned line = 0;
    size_t i = 0;
    size_t k = 0;

    while (i < old->n || k < new->n) {
        int order = i < old->n ? -1 : 1;
        if (i < old->n) {
            file_rows_get(old, i, &x, &line);
        }
        if (k < new->n) {
            file_rows_get(new, k, &y, &line);
        }
        if (i < old->n && k < new->n) {
            order = compare_rows(&x, &y);
        }
        bool is_gone = !a->t->is_keeping || (x.type == LDNS_RR_TYPE_SOA && a->has_soa);
        if (order < 0 && is_gone) {
            TRY(drop(a, &x));
        }
        if (order > 0 || (order == 0 && x.ttl != y.ttl)) {
            TRY(put(a, &y));
        }
        i += order <= 0 ? 1 : 0;
        k += order >= 0 ? 1 : 0;
    }
    return put_waiting(a);
}

struct err load_apply(const struct load_target *target, const struct file_rows *rows,
                      size_t *changed_n)
{
    struct db *db = target->db;
    AUTO(keeping_clear) struct keeping old = {.source = target->source};
    AUTO(db_stmt_release)
    struct db_stmt *put_row = db_prepare(db, PUT_INTO PUT_ONE PUT_OVER);
    AUTO(db_stmt_release)
    struct db_stmt *put_rows = db_prepare(db, PUT_INTO PUT_16 PUT_OVER);
    AUTO(db_stmt_release)
    struct db_stmt *drop_row = db_prepare(db, "DELETE FROM record WHERE owner = ?1 AND type = ?2 "
                                              "AND rdata = ?3 AND source = ?4");
    uint32_t serial = 0;
    struct applying a = {.t = target,
                         .put = put_row,
                         .put_many = put_rows,
                         .drop = drop_row,
                         .has_soa = load_soa_serial(target->records, target->zone, rows, &serial)};

    file_rows_init(&old.rows);
    TRY(rows_scan_zone(target->records, db, target->zone, take_own, &old));
    TRY(apply_merged(&a, &old.rows, rows));
    if (target->change != NULL && a.changed_n > RECORDS_JOURNAL_ROWS_MAX / 2) {
        TRY(zone_change_whole(target->change, target->zone, true));
    }
    *changed_n = a.changed_n;
    return err_ok();
}
