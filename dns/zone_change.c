/* What one transaction changes in DNS: collected, then published as one snapshot by its on-commit
 * hook. */
#include "dns/records_written.h"

#include <string.h>

#include "core/util/log.h"
#include "core/util/mem.h"

struct value_change {
    bool is_add;
    char owner[NAME_TEXT_MAX + 1];
    struct zone_value value;
};

struct persist_change {
    char base[NAME_TEXT_MAX + 1];
    struct buf texts; /* each with its terminator */
    size_t n;
};

struct zone_serial {
    int zone;
    uint32_t least; /* a stored SOA's; only where has_least */
    bool has_least;
    bool has_no_journal; /* it goes */
    bool is_whole;       /* every name is looked at */
    bool is_moved;       /* else only if the written-out zone differs */
    uint32_t serial;     /* the new one; once moved */
};

struct zone_change {
    struct records *records;
    struct value_change *values;
    size_t values_n, values_cap;
    struct persist_change *persists;
    size_t persists_n;
    struct key_list touched, known;
    struct zone_serial *serials;
    size_t serials_n;
    struct buf owners; /* what the snapshot has at the touched names from now on */
    struct zone_rr *scratch;
    size_t scratch_n;
    zone_applied_fn then;
    void *then_arg;
    enum err_code *visible;
};

struct err zone_change_new(struct records *records, struct zone_change **out)
{
    struct zone_change *change = mem_zalloc(sizeof(*change));

    TRY_PTR(change);
    change->records = records;
    key_list_init(&change->touched);
    key_list_init(&change->known);
    buf_init(&change->owners, RECORDS_BUF_MAX);
    *out = change;
    return err_ok();
}

static void change_free(void *arg)
{
    struct zone_change *change = arg;

    if (change == NULL) {
        return;
    }
    for (size_t i = 0; i < change->persists_n; i++) {
        buf_clear(&change->persists[i].texts);
    }
    mem_free(change->persists);
    mem_free(change->values);
    mem_free(change->serials);
    mem_free(change->scratch);
    key_list_clear(&change->touched);
    key_list_clear(&change->known);
    buf_clear(&change->owners);
    mem_free(change);
}

void zone_change_freep(struct zone_change **change)
{
    change_free(MOVE(*change));
}

/* --- collecting ---------------------------------------------------------------------------------- */

static struct err serial_of(struct zone_change *change, int zone, struct zone_serial **out)
{
    for (size_t i = 0; i < change->serials_n; i++) {
        if (change->serials[i].zone == zone) {
            *out = &change->serials[i];
            return err_ok();
        }
    }
    struct zone_serial *grown =
        mem_resize(change->serials, (change->serials_n + 1) * sizeof(*grown));
    TRY_PTR(grown);
    change->serials = grown;
    *out = &grown[change->serials_n++];
    **out = (struct zone_serial){.zone = zone};
    return err_ok();
}

static struct err move_serial(struct zone_change *change, int zone)
{
    struct zone_serial *serial = NULL;

    if (zone >= 0) {
        TRY(serial_of(change, zone, &serial));
        serial->is_moved = true;
    }
    return err_ok();
}

static int delegate_zone(const struct records *records)
{
    return records->n > 0 && records->list[records->n - 1].is_delegate ? (int)records->n - 1 : -1;
}

struct err zone_change_value(struct zone_change *change, bool is_add, const char *owner,
                             const struct zone_value *value)
{
    size_t len = strnlen(owner, NAME_TEXT_MAX + 1);

    if (len > NAME_TEXT_MAX) {
        FAIL(ERR_INTERNAL, "zone change: an owner name that is too long");
    }
    if (change->values_n == change->values_cap) {
        size_t cap = change->values_cap == 0 ? 4 : change->values_cap * 2;
        struct value_change *grown = mem_resize(change->values, cap * sizeof(*grown));
        TRY_PTR(grown);
        change->values = grown;
        change->values_cap = cap;
    }
    TRY(move_serial(change, delegate_zone(change->records)));
    struct value_change *v = &change->values[change->values_n++];
    memset(v, 0, sizeof(*v));
    v->is_add = is_add;
    memcpy(v->owner, owner, len);
    v->value = *value;
    return err_ok();
}

struct err zone_change_persist(struct zone_change *change, const char *base,
                               const char *const *texts, size_t n)
{
    size_t len = strnlen(base, NAME_TEXT_MAX + 1);
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = sizeof(wire);

    if (len > NAME_TEXT_MAX || n > ZONE_PERSIST_MAX) {
        FAIL(ERR_INTERNAL, "zone change: a name that is too long, or too many texts");
    }
    TRY(name_to_wire(base, wire, &wire_len));
    struct persist_change *grown =
        mem_resize(change->persists, (change->persists_n + 1) * sizeof(*grown));
    TRY_PTR(grown);
    change->persists = grown;
    struct persist_change *p = &grown[change->persists_n];
    memset(p, 0, sizeof(*p));
    memcpy(p->base, base, len);
    buf_init(&p->texts, ZONE_PERSIST_WIRE_MAX);
    change->persists_n++;
    for (size_t i = 0; i < n; i++) {
        buf_put(&p->texts, texts[i], strlen(texts[i]) + 1);
    }
    p->n = n;
    TRY(buf_check(&p->texts));
    int zone = records_zone_at(change->records, wire, wire_len);
    return zone >= 0 && change->records->list[zone].is_served ? move_serial(change, zone)
                                                              : err_ok();
}

struct err zone_change_touch(struct zone_change *change, const struct name_key *key)
{
    int zone = records_zone_of_key(change->records, key->data, key->len);

    TRY(key_list_add(&change->touched, key));
    return move_serial(change, zone);
}

struct err zone_change_known(struct zone_change *change, const struct name_key *key)
{
    return key_list_add(&change->known, key);
}

struct err zone_change_serial(struct zone_change *change, int zone, uint32_t serial)
{
    struct zone_serial *s = NULL;

    TRY(serial_of(change, zone, &s));
    if (!s->has_least || serial_is_newer(serial, s->least)) {
        s->least = serial;
    }
    s->has_least = true;
    s->is_moved = true;
    return err_ok();
}

struct err zone_change_whole(struct zone_change *change, int zone, bool is_every_name)
{
    struct zone_serial *s = NULL;

    TRY(serial_of(change, zone, &s));
    s->has_no_journal = true;
    s->is_whole = s->is_whole || is_every_name;
    s->is_moved = true;
    return err_ok();
}

size_t zone_change_n(const struct zone_change *change)
{
    return change->values_n + change->persists_n + change->touched.n + change->known.n;
}

void zone_change_then(struct zone_change *change, zone_applied_fn fn, void *arg)
{
    change->then = fn;
    change->then_arg = arg;
}

void zone_change_each_added(const struct zone_change *change,
                            void (*fn)(void *arg, const struct zone_value *value), void *arg)
{
    for (size_t i = 0; i < change->values_n; i++) {
        if (change->values[i].is_add) {
            fn(arg, &change->values[i].value);
        }
    }
}

/* --- the transaction's end ------------------------------------------------------------------------- */

static struct err put_owner(struct zone_change *change, const struct name_key *key,
                            const struct owner_set *set)
{
    struct buf *out = &change->owners;
    uint8_t wire[NAME_WIRE_MAX];
    size_t wire_len = 0;

    if (!key_wire(key->data, key->len, wire, &wire_len)) {
        FAIL(ERR_INTERNAL, "zone change: a broken key");
    }
    buf_u8(out, (uint8_t)wire_len);
    buf_put(out, wire, wire_len);
    buf_u32(out, (uint32_t)set->n);
    for (size_t i = 0; i < set->n; i++) {
        buf_u16(out, set->rrs[i].type);
        buf_u32(out, set->rrs[i].ttl);
        buf_u16(out, set->rrs[i].rdata_len);
        buf_put(out, set->rrs[i].rdata, set->rrs[i].rdata_len);
    }
    if (set->n > change->scratch_n) {
        change->scratch_n = set->n;
    }
    return buf_check(out);
}

/* What stands at the touched names now, for the hook. */
static struct err read_owners(struct zone_change *change, struct db *db)
{
    AUTO(owner_set_clear) struct owner_set set;
    struct name_key key;

    owner_set_init(&set);
    key_list_sort(&change->touched);
    for (size_t i = 0; i < change->touched.n; i++) {
        key_list_get(&change->touched, i, &key);
        TRY(owner_set_read(db, &key, &set));
        TRY(put_owner(change, &key, &set));
    }
    change->scratch = mem_array(change->scratch_n, sizeof(*change->scratch));
    TRY_PTR(change->scratch);
    return err_ok();
}

/* The names of a transferred zone whose written-out records the change concerns. */
static struct err concern_rows(const struct zone_change *change, struct db *db, int zone,
                               struct key_list *out)
{
    const struct records *records = change->records;
    struct name_key key;

    for (size_t i = 0; i < change->touched.n; i++) {
        key_list_get(&change->touched, i, &key);
        int at = records_zone_of_key(records, key.data, key.len);
        if (at == zone) {
            TRY(written_concerned(records, db, zone, &key, out));
        } else if (at >= 0 && records->list[at].parent == zone) {
            TRY(written_delegation(records, db, at, out));
        }
    }
    for (size_t i = 0; i < change->known.n; i++) {
        key_list_get(&change->known, i, &key);
        if (records_zone_of_key(records, key.data, key.len) == zone) {
            TRY(written_names(records, db, zone, &key, out));
        }
    }
    return err_ok();
}

static struct err concern_texts(const struct zone_change *change, struct db *db, int zone,
                                struct key_list *out)
{
    const struct records *records = change->records;
    uint8_t wire[NAME_WIRE_MAX];
    struct name_key key;

    for (size_t i = 0; i < change->persists_n; i++) {
        size_t len = sizeof(wire);
        struct name_key persist;
        TRY(name_to_wire(change->persists[i].base, wire, &len));
        key_of(wire, &key);
        if (records_zone_at(records, wire, len) == zone &&
            key_down(&key, ZONE_PERSIST_LABEL, &persist)) {
            TRY(written_names(records, db, zone, &persist, out));
        }
    }
    for (size_t i = 0; i < change->values_n && records->list[zone].is_delegate; i++) {
        size_t len = sizeof(wire);
        TRY(name_to_wire(change->values[i].owner, wire, &len));
        key_of(wire, &key);
        TRY(key_list_add(out, &key));
    }
    return err_ok();
}

static void lists_clear(struct key_list *list)
{
    key_list_clear(list);
}

/* Bring one zone's serial, written-out form and journal up to date. */
static struct err finish_zone(struct zone_change *change, struct db *db, int zone)
{
    const struct records *records = change->records;
    const struct records_zone *z = &records->list[zone];
    struct delta d = {.has_journal = true};
    struct zone_serial *s = NULL;
    uint32_t from = 0;

    TRY(serial_of(change, zone, &s));
    if (z->is_transferred) {
        AUTO(lists_clear) struct key_list names;
        key_list_init(&names);
        if (s->is_whole) {
            TRY(written_names(records, db, zone, &z->key, &names));
        } else {
            TRY(concern_rows(change, db, zone, &names));
            TRY(concern_texts(change, db, zone, &names));
        }
        d.has_journal = !s->has_no_journal;
        TRY(written_refresh(records, db, zone, &names, &d));
    }
    if (!s->is_moved && d.rows_n == 0) {
        return err_ok();
    }
    s->is_moved = true;
    if (s->has_least || z->is_transferred) {
        TRY(serial_get(db, z->id, &from));
    }
    TRY(serial_move(db, z->id, &s->serial));
    if (s->has_least && serial_is_newer(s->least, s->serial)) {
        s->serial = s->least;
        TRY(serial_set(db, z->id, s->serial));
    }
    if (!z->is_transferred) {
        return err_ok();
    }
    return journal_end(db, z->id, &d, from, s->serial);
}

/* A change in a zone is one of the zone above, when its delegation is written there. */
static struct err add_parents(struct zone_change *change)
{
    const struct records *records = change->records;
    struct zone_serial *s = NULL;
    size_t n = change->touched.n > 0 ? change->serials_n : 0;

    for (size_t i = 0; i < n; i++) {
        int parent = records->list[change->serials[i].zone].parent;
        if (parent >= 0 && records->list[parent].is_transferred) {
            TRY(serial_of(change, parent, &s));
        }
    }
    for (size_t i = 0; i < change->known.n; i++) {
        struct name_key key;
        key_list_get(&change->known, i, &key);
        TRY(serial_of(change, records_zone_of_key(records, key.data, key.len), &s));
    }
    return err_ok();
}

/* --- the hook: one snapshot, then those who wait for it --------------------------------------------- */

static void keep_failure(struct zone_change *change, struct err e)
{
    if (e.code != ERR_OK) {
        log_err(LOG_ERROR, "dns.snapshot", e);
        if (change->visible != NULL) {
            *change->visible = e.code;
        }
    }
}

static struct err show_persist(struct zone_edit *edit, const struct persist_change *p)
{
    const char *texts[ZONE_PERSIST_MAX];
    size_t at = 0;

    for (size_t i = 0; i < p->n; i++) {
        texts[i] = (const char *)p->texts.data + at;
        at += strlen(texts[i]) + 1;
    }
    return zone_edit_persist(edit, p->base, texts, p->n);
}

static void show_owners(struct zone_change *change, struct zone_edit *edit)
{
    struct rd r = rd_init(change->owners.data, change->owners.len);

    while (r.left > 0 && !r.failed) {
        size_t wire_len = rd_u8(&r);
        const uint8_t *wire = rd_bytes(&r, wire_len);
        size_t n = rd_u32(&r);
        for (size_t i = 0; i < n; i++) {
            struct zone_rr *rr = &change->scratch[i];
            rr->type = rd_u16(&r);
            rr->ttl = rd_u32(&r);
            rr->rdata_len = rd_u16(&r);
            rr->rdata = rd_bytes(&r, rr->rdata_len);
        }
        keep_failure(change, zone_edit_records(edit, wire, wire_len, change->scratch, n));
    }
}

static void show(struct zone_change *change)
{
    const struct records *records = change->records;
    AUTO(zone_edit_dropp) struct zone_edit *edit = NULL;
    struct err e = zone_edit_begin(records->zones, &edit);

    if (e.code != ERR_OK) {
        keep_failure(change, e);
        return;
    }
    for (size_t i = 0; i < change->values_n; i++) {
        const struct value_change *v = &change->values[i];
        keep_failure(change, zone_edit_value(edit, v->is_add, v->owner, &v->value));
    }
    for (size_t i = 0; i < change->persists_n; i++) {
        keep_failure(change, show_persist(edit, &change->persists[i]));
    }
    if (change->owners.len > 0) {
        show_owners(change, edit);
    }
    for (size_t i = 0; i < change->serials_n; i++) {
        const struct zone_serial *s = &change->serials[i];
        if (s->is_moved) {
            keep_failure(change, zone_edit_serial(edit, records->list[s->zone].name, s->serial));
        }
    }
    keep_failure(change, zone_edit_commit(&edit));
}

static void apply(void *arg)
{
    struct zone_change *change = arg;
    const struct records *records = change->records;

    show(change);
    if (change->then != NULL) {
        change->then(change->then_arg, change);
    }
    for (size_t i = 0; i < change->serials_n && records->on_serial != NULL; i++) {
        const struct zone_serial *s = &change->serials[i];
        if (s->is_moved) {
            records->on_serial(records->on_serial_ctx, s->zone, s->serial);
        }
    }
}

struct err zone_change_commit(struct zone_change **take_change, struct db *db,
                              enum err_code *visible)
{
    AUTO(zone_change_freep) struct zone_change *change = MOVE(*take_change);

    if (zone_change_n(change) == 0 && change->serials_n == 0) {
        return err_ok();
    }
    if (change->touched.n > 0) {
        TRY(read_owners(change, db));
    }
    TRY(add_parents(change));
    for (size_t i = 0; i < change->serials_n; i++) {
        TRY(finish_zone(change, db, change->serials[i].zone));
    }
    change->visible = visible;
    return db_on_commit(db, apply, change_free, MOVE(change));
}
