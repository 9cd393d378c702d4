#include "dns/zone.h"

#include <string.h>

#include "dns/zone_int.h"

#include "core/util/mem.h"

struct zone_reader {
    _Atomic uint64_t epoch; /* in which the current read began; 0 = not reading */
    struct zone_db *db;
    uint8_t pad[112]; /* neighbours on the heap share no cache line with it */
};

/* A name of ours that is in another zone of ours than the names above it (a zone's apex) or in no record
 * (the name server's): those above it exist, and are empty non-terminals. */
static struct err pin_above(struct zone_edit *edit, const uint8_t *wire, size_t len)
{
    struct dns_name name, above;
    struct zone_match match;

    if (dns_name_read(wire, len, &name) != len || name.labels_n < 2) {
        return err_ok();
    }
    size_t off = name.off[1];
    if (dns_name_read(wire + off, len - off, &above) == 0 ||
        !zone_find(edit->db->table, &above, &match) || match.apex == 0 || match.zone->is_delegate) {
        return err_ok();
    }
    match.apex = (uint8_t)(match.apex + off);
    return zone_tree_pin(edit, &name, &match);
}

static struct err pin_all(struct zone_db *db)
{
    const struct zone_table *table = db->table;
    AUTO(zone_edit_dropp) struct zone_edit *edit = NULL;

    TRY(zone_edit_begin(db, &edit));
    for (size_t i = 0; i < table->entries_n; i++) {
        TRY(pin_above(edit, table->entries[i].wire, table->entries[i].len));
    }
    if (table->is_hostname_ns) {
        TRY(pin_above(edit, table->hostname, table->hostname_len));
    }
    return zone_edit_commit(&edit);
}

static void db_freep(struct zone_db **db)
{
    zone_db_free(*db);
    *db = NULL;
}

struct err zone_db_new(const struct config *cfg, uint32_t serial_start, struct zone_db **out)
{
    AUTO(zone_table_freep) struct zone_table *table = NULL;
    TRY(zone_table_new(cfg, &table));
    size_t zones_n = table->entries_n;
    AUTO(mem_freep)
    struct zone_snapshot *snap = mem_zalloc(sizeof(*snap) + zones_n * sizeof(snap->states[0]));
    AUTO(mem_freep) struct zone_serial *serials = mem_array(zones_n, sizeof(*serials));
    AUTO(mem_freep) struct zone_db *blank = mem_zalloc(sizeof(*blank));

    TRY_PTR(snap);
    TRY_PTR(serials);
    TRY_PTR(blank);
    if (pthread_mutex_init(&blank->lock, NULL) != 0) {
        FAIL(ERR_NOMEM, "zone: mutex");
    }
    AUTO(db_freep) struct zone_db *db = MOVE(blank);
    for (size_t i = 0; i < zones_n; i++) {
        snap->states[i].serial = serial_start;
        atomic_init(&serials[i].value, serial_start);
    }
    snap->table = table;
    atomic_init(&db->snap, MOVE(snap));
    atomic_init(&db->epoch, 1);
    atomic_init(&db->serial, serial_start);
    db->serials = MOVE(serials);
    db->table = MOVE(table);
    TRY(pin_all(db));
    *out = MOVE(db);
    return err_ok();
}

static void free_retired(struct zone_retired *r)
{
    for (size_t i = 0; i < r->n; i++) {
        mem_free(r->blocks[i]);
    }
    mem_free(r->blocks);
    mem_free(r->snap);
    mem_free(r);
}

void zone_db_free(struct zone_db *db)
{
    if (db == NULL) {
        return;
    }
    while (db->oldest != NULL) {
        struct zone_retired *r = db->oldest;
        db->oldest = r->next;
        free_retired(r);
    }
    for (size_t i = 0; i < ZONE_READERS_MAX; i++) {
        mem_free(db->readers[i]);
    }
    struct zone_snapshot *snap = atomic_load(&db->snap);
    trie_free(snap->owners);
    mem_free(snap);
    mem_free(db->serials);
    zone_table_free(db->table);
    (void)pthread_mutex_destroy(&db->lock);
    mem_free(db);
}

uint32_t zone_serial(const struct zone_db *db)
{
    return atomic_load(&db->serial);
}

uint32_t zone_serial_of(const struct zone_db *db, const char *zone)
{
    const struct zone_entry *entry = zone_entry_find(db->table, zone);

    return entry == NULL ? 0 : atomic_load(&db->serials[entry->index].value);
}

bool zone_has_persist(const struct zone_db *db, const char *base)
{
    struct dns_name name;
    struct zone_match match;

    return zone_persist_name(db->table, base, &name, &match);
}

/* --- readers: all four accesses to snap and epoch are sequentially consistent. Either the reader's
 * store of its epoch comes before the writer looks at it, and the writer waits; or it comes after,
 * and the reader's load of snap sees the new snapshot. ---- */

struct err zone_reader_new(struct zone_db *db, struct zone_reader **out)
{
    AUTO(mem_freep) struct zone_reader *reader = mem_zalloc(sizeof(*reader));

    TRY_PTR(reader);
    reader->db = db;
    (void)pthread_mutex_lock(&db->lock);
    for (size_t i = 0; i < ZONE_READERS_MAX; i++) {
        if (db->readers[i] == NULL) {
            db->readers[i] = reader;
            *out = MOVE(reader);
            break;
        }
    }
    (void)pthread_mutex_unlock(&db->lock);
    if (reader != NULL) {
        FAIL(ERR_LIMIT, "zone: more than %u reading threads", ZONE_READERS_MAX);
    }
    return err_ok();
}

void zone_reader_free(struct zone_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    struct zone_db *db = reader->db;
    (void)pthread_mutex_lock(&db->lock);
    for (size_t i = 0; i < ZONE_READERS_MAX; i++) {
        if (db->readers[i] == reader) {
            db->readers[i] = NULL;
        }
    }
    (void)pthread_mutex_unlock(&db->lock);
    mem_free(reader);
}

const struct zone_snapshot *zone_read_begin(struct zone_reader *reader)
{
    atomic_store(&reader->epoch, atomic_load(&reader->db->epoch));
    return atomic_load(&reader->db->snap);
}

void zone_read_end(struct zone_reader *reader)
{
    atomic_store_explicit(&reader->epoch, 0, memory_order_release);
}

/* --- the writer; db->lock is held ------------------------------------------------------------- */

static void reclaim(struct zone_db *db)
{
    uint64_t oldest_read = UINT64_MAX;

    for (size_t i = 0; i < ZONE_READERS_MAX; i++) {
        uint64_t epoch = db->readers[i] == NULL ? 0 : atomic_load(&db->readers[i]->epoch);
        if (epoch != 0 && epoch < oldest_read) {
            oldest_read = epoch;
        }
    }
    while (db->oldest != NULL && db->oldest->epoch < oldest_read) {
        struct zone_retired *r = db->oldest;
        db->oldest = r->next;
        free_retired(r);
    }
    if (db->oldest == NULL) {
        db->newest = NULL;
    }
}

static void retire(struct zone_db *db, struct zone_retired *r)
{
    r->epoch = atomic_fetch_add(&db->epoch, 1);
    if (db->newest == NULL) {
        db->oldest = r;
    } else {
        db->newest->next = r;
    }
    db->newest = r;
    reclaim(db);
}

void zone_publish(struct zone_edit *edit)
{
    struct zone_db *db = edit->db;
    struct zone_retired *retired = MOVE(edit->retired);
    struct zone_snapshot *next = MOVE(edit->next);

    next->owners = MOVE(edit->trie.root);
    retired->snap = atomic_load(&db->snap);
    retired->blocks = MOVE(edit->trie.stale);
    retired->n = edit->trie.stale_n;
    for (size_t i = 0; i < db->table->entries_n; i++) {
        atomic_store_explicit(&db->serials[i].value, next->states[i].serial, memory_order_relaxed);
    }
    atomic_store(&db->serial, edit->serial);
    atomic_store(&db->snap, next);
    retire(db, retired);
}
