#include "dns/zone.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "dns/zone_table.h"

#include "core/util/mem.h"
#include "core/util/token.h"

/* What a change replaced, with the epoch that ended then: freed when every active reader began in a
 * later one. */
struct retired {
    struct retired *next;
    uint64_t epoch;
    size_t n;
    void *blocks[TRIE_CHANGE_MAX + 1];
};

struct zone_reader {
    _Atomic uint64_t epoch; /* in which the current read began; 0 = not reading */
    struct zone_db *db;
    uint8_t pad[112]; /* neighbours on the heap share no cache line with it */
};

struct zone_db {
    _Atomic(struct zone_snapshot *) snap;
    _Atomic uint64_t epoch; /* from 1 */
    _Atomic uint32_t serial;
    struct zone_table *table;
    pthread_mutex_t lock; /* guards what follows, and makes writers take turns */
    struct zone_reader *readers[ZONE_READERS_MAX];
    struct retired *oldest, *newest;
};

struct err zone_db_new(const struct config *cfg, uint32_t serial_start, struct zone_db **out)
{
    AUTO(zone_table_freep) struct zone_table *table = NULL;
    AUTO(mem_freep) struct zone_snapshot *snap = mem_zalloc(sizeof(*snap));
    AUTO(mem_freep) struct zone_db *db = mem_zalloc(sizeof(*db));

    TRY_PTR(snap);
    TRY_PTR(db);
    TRY(zone_table_new(cfg, &table));
    if (pthread_mutex_init(&db->lock, NULL) != 0) {
        FAIL(ERR_NOMEM, "zone: mutex");
    }
    snap->table = table;
    snap->serial = serial_start;
    snap->zones_serial = serial_start;
    atomic_init(&db->snap, MOVE(snap));
    atomic_init(&db->epoch, 1);
    atomic_init(&db->serial, serial_start);
    db->table = MOVE(table);
    *out = MOVE(db);
    return err_ok();
}

static void free_retired(struct retired *r)
{
    for (size_t i = 0; i < r->n; i++) {
        mem_free(r->blocks[i]);
    }
    mem_free(r);
}

void zone_db_free(struct zone_db *db)
{
    if (db == NULL) {
        return;
    }
    while (db->oldest != NULL) {
        struct retired *r = db->oldest;
        db->oldest = r->next;
        free_retired(r);
    }
    for (size_t i = 0; i < ZONE_READERS_MAX; i++) {
        mem_free(db->readers[i]);
    }
    struct zone_snapshot *snap = atomic_load(&db->snap);
    trie_free(snap->owners);
    mem_free(snap);
    zone_table_free(db->table);
    (void)pthread_mutex_destroy(&db->lock);
    mem_free(db);
}

uint32_t zone_serial(const struct zone_db *db)
{
    return atomic_load(&db->serial);
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
        struct retired *r = db->oldest;
        db->oldest = r->next;
        free_retired(r);
    }
    if (db->oldest == NULL) {
        db->newest = NULL;
    }
}

static void retire(struct zone_db *db, struct retired *r)
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

/* Put `add` (it may replace one of the same name) or, when NULL, take `gone` out, and publish.
 * Takes *add on success. is_zones: it lies in another zone than the delegate zone. */
static struct err publish(struct zone_db *db, struct zone_owner **add,
                          const struct zone_owner *gone, bool is_zones, uint32_t serial)
{
    AUTO(mem_freep) struct zone_snapshot *next = mem_zalloc(sizeof(*next));
    AUTO(mem_freep) struct retired *retired = mem_zalloc(sizeof(*retired));
    struct zone_snapshot *now = atomic_load(&db->snap);
    struct trie_change change = {.fresh_n = 0, .stale_n = 0};

    TRY_PTR(next);
    TRY_PTR(retired);
    *next = *now;
    next->serial = serial;
    if (is_zones) {
        next->zones_serial = serial;
    }
    if (*add != NULL) {
        TRY(trie_put(&change, now->owners, *add, &next->owners));
        *add = NULL;
    } else {
        TRY(trie_remove(&change, now->owners, gone, &next->owners));
    }
    memcpy(retired->blocks, change.stale, change.stale_n * sizeof(change.stale[0]));
    retired->blocks[change.stale_n] = now;
    retired->n = change.stale_n + 1;
    atomic_store(&db->snap, MOVE(next));
    atomic_store(&db->serial, serial);
    retire(db, MOVE(retired));
    return err_ok();
}

static bool is_same_publisher(const struct zone_publisher *a, const struct zone_publisher *b)
{
    return a->is_open == b->is_open && strcmp(a->client, b->client) == 0 &&
           strcmp(a->registration, b->registration) == 0;
}

#define TXT_RR_LEN (10u + 1u + TXT_VALUE_LEN)
static void encode_txt(const char *txt, uint8_t *p)
{
    p[1] = DNS_TYPE_TXT;
    p[3] = DNS_CLASS_IN;
    p[7] = ZONE_TXT_TTL_S;
    p[9] = TXT_VALUE_LEN + 1;
    p[10] = TXT_VALUE_LEN;
    memcpy(p + 11, txt, TXT_VALUE_LEN);
}

static bool is_seen(const struct zone_value *values, size_t n, const char *txt)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(values[i].txt, txt) == 0) {
            return true;
        }
    }
    return false;
}

/* One block holds it all; `values` (n > 0) are copied. NULL: out of memory. */
static struct zone_owner *make_owner(const struct zone_db *db, const uint8_t *wire, size_t wire_len,
                                     const struct zone_value *values, size_t n)
{
    struct zone_owner *owner =
        mem_zalloc(sizeof(*owner) + wire_len + n * TXT_RR_LEN + n * sizeof(*values));
    if (owner == NULL) {
        return NULL;
    }
    uint8_t *name = (uint8_t *)(owner + 1);
    uint8_t *rrs = name + wire_len;
    memcpy(name, wire, wire_len);
    for (size_t i = 0; i < n; i++) {
        if (!is_seen(values, i, values[i].txt)) {
            encode_txt(values[i].txt, rrs + owner->txt.rr_n * TXT_RR_LEN);
            owner->txt.rr_n++;
        }
    }
    memcpy(rrs + n * TXT_RR_LEN, values, n * sizeof(*values));
    owner->hash = trie_hash(db->table->key, wire, wire_len);
    owner->wire = name;
    owner->wire_len = (uint8_t)wire_len;
    owner->txt.data = rrs;
    owner->txt.rr_len = TXT_RR_LEN;
    owner->values =
        (const struct zone_value *)(rrs + n * TXT_RR_LEN); /* octets only: no alignment */
    owner->values_n = (uint16_t)n;
    return owner;
}

static bool read_owner(const struct zone_table *table, const char *text, struct dns_name *name)
{
    struct zone_match match;

    return dns_name_parse(text, name) && zone_find(table, name, &match) &&
           match.zone->is_delegate && match.apex != 0;
}

static struct err add_locked(struct zone_db *db, const struct dns_name *name,
                             const struct zone_value *value, uint32_t serial)
{
    const struct zone_owner *old = zone_owner_find(atomic_load(&db->snap), name->wire, name->len);
    size_t n = old == NULL ? 0 : old->values_n;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(old->values[i].txt, value->txt) == 0 &&
            is_same_publisher(&old->values[i].by, &value->by)) {
            return err_ok();
        }
    }
    if (n >= ZONE_VALUES_MAX) {
        FAIL(ERR_LIMIT, "zone: %u values live at one name already", ZONE_VALUES_MAX);
    }
    AUTO(mem_freep) struct zone_value *values = mem_array(n + 1, sizeof(*values));
    TRY_PTR(values);
    if (n > 0) {
        memcpy(values, old->values, n * sizeof(*values));
    }
    values[n] = *value;
    AUTO(mem_freep) struct zone_owner *owner = make_owner(db, name->wire, name->len, values, n + 1);
    TRY_PTR(owner);
    return publish(db, &owner, NULL, false, serial);
}

struct err zone_value_add(struct zone_db *db, const char *owner, const struct zone_value *value,
                          uint32_t serial)
{
    struct dns_name name;

    if (!read_owner(db->table, owner, &name)) {
        FAIL(ERR_MALFORMED, "zone: %.253s is not a name below the delegate zone", owner);
    }
    if (!is_base64url(value->txt, TXT_VALUE_LEN) || value->txt[TXT_VALUE_LEN] != '\0') {
        FAIL(ERR_MALFORMED, "zone: a value is %u base64url characters", TXT_VALUE_LEN);
    }
    (void)pthread_mutex_lock(&db->lock);
    struct err e = add_locked(db, &name, value, serial);
    (void)pthread_mutex_unlock(&db->lock);
    return e;
}

static struct err remove_locked(struct zone_db *db, const struct dns_name *name, const char *txt,
                                const struct zone_publisher *by, uint32_t serial)
{
    const struct zone_snapshot *snap = atomic_load(&db->snap);
    const struct zone_owner *old = zone_owner_find(snap, name->wire, name->len);
    size_t n = 0;

    if (old == NULL) {
        return err_ok();
    }
    AUTO(mem_freep) struct zone_value *kept = mem_array(old->values_n, sizeof(*kept));
    TRY_PTR(kept);
    for (size_t i = 0; i < old->values_n; i++) {
        const struct zone_value *v = &old->values[i];
        bool is_gone = (txt == NULL || strcmp(v->txt, txt) == 0) &&
                       (by == NULL || is_same_publisher(&v->by, by));
        if (!is_gone) {
            kept[n++] = *v;
        }
    }
    if (n == old->values_n) {
        return err_ok();
    }
    AUTO(mem_freep) struct zone_owner *owner = NULL;
    if (n > 0) {
        owner = make_owner(db, name->wire, name->len, kept, n);
        TRY_PTR(owner);
    }
    return publish(db, &owner, old, false, serial);
}

struct err zone_value_remove(struct zone_db *db, const char *owner, const char *txt,
                             const struct zone_publisher *by, uint32_t serial)
{
    struct dns_name name;

    if (!read_owner(db->table, owner, &name)) {
        return err_ok(); /* nothing can be there */
    }
    (void)pthread_mutex_lock(&db->lock);
    struct err e = remove_locked(db, &name, txt, by, serial);
    (void)pthread_mutex_unlock(&db->lock);
    return e;
}

/* --- _validation-persist ---------------------------------------------------------------------- */

bool zone_has_persist(const struct zone_db *db, const char *base)
{
    struct dns_name name;

    return zone_persist_name(db->table, base, &name);
}

struct err zone_persist_put(struct zone_db *db, const char *base, const char *const *texts,
                            size_t n, uint32_t serial)
{
    AUTO(mem_freep) struct zone_owner *owner = NULL;
    struct dns_name name;
    struct err e = err_ok();

    if (!zone_persist_name(db->table, base, &name)) {
        FAIL(ERR_NOT_FOUND, "%.253s is no name of a zone that is served here", base);
    }
    if (n > 0) {
        TRY(zone_persist_owner(db->table, &name, texts, n, &owner));
    }
    (void)pthread_mutex_lock(&db->lock);
    const struct zone_owner *old = zone_owner_find(atomic_load(&db->snap), name.wire, name.len);
    if (owner != NULL || old != NULL) {
        e = publish(db, &owner, old, true, serial);
    }
    (void)pthread_mutex_unlock(&db->lock);
    return e;
}

/* --- the validator's view --------------------------------------------------------------------- */

static bool each_value(const struct zone_owner *owner, zone_value_fn fn, void *arg)
{
    for (size_t i = 0; owner != NULL && i < owner->values_n; i++) {
        if (fn(arg, &owner->values[i])) {
            return true;
        }
    }
    return false;
}

static bool follow(const struct zone_snapshot *snap, const struct dns_name *name, zone_value_fn fn,
                   void *arg, char *target)
{
    uint8_t wire[NAME_WIRE_MAX];
    size_t suffix = 0;
    size_t len = zone_challenge_target(snap->table, name, wire, &suffix);

    if (len == 0) {
        return false;
    }
    if (target != NULL) {
        err_ignore(name_from_wire(wire, len, target, NAME_TEXT_MAX + 1));
    }
    return each_value(zone_owner_find(snap, wire, len), fn, arg);
}

static bool read_challenge(const struct zone_snapshot *snap, const char *text,
                           struct dns_name *name)
{
    struct zone_match match;

    return dns_name_parse(text, name) && zone_find(snap->table, name, &match) &&
           zone_has_challenge(name, &match);
}

bool zone_challenge_values(const struct zone_snapshot *snap, const char *base, zone_value_fn fn,
                           void *arg, char *target)
{
    char text[sizeof(ACME_LABEL) + NAME_TEXT_MAX + 1] = ACME_LABEL ".";
    struct dns_name name;

    if (target != NULL) {
        target[0] = '\0';
    }
    if (base[0] == '\0' || strlen(base) > NAME_TEXT_MAX) {
        return false;
    }
    memcpy(text + sizeof(ACME_LABEL), base, strlen(base) + 1);
    /* Longer than a DNS name may be: nobody can ask for it, so nothing is there. */
    return read_challenge(snap, text, &name) && follow(snap, &name, fn, arg, target);
}

bool zone_owner_values(const struct zone_snapshot *snap, const char *owner, zone_value_fn fn,
                       void *arg)
{
    struct dns_name name;

    return dns_name_parse(owner, &name) &&
           each_value(zone_owner_find(snap, name.wire, name.len), fn, arg);
}

bool zone_name_values(const struct zone_snapshot *snap, const char *name, zone_value_fn fn,
                      void *arg, char *target)
{
    struct dns_name parsed;

    if (target != NULL) {
        target[0] = '\0';
    }
    return read_challenge(snap, name, &parsed) ? follow(snap, &parsed, fn, arg, target)
                                               : zone_owner_values(snap, name, fn, arg);
}

bool zone_is_served(const struct zone_snapshot *snap, const char *name)
{
    struct dns_name parsed;
    struct zone_match match;

    return dns_name_parse(name, &parsed) && zone_find(snap->table, &parsed, &match);
}
