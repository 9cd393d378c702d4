#include "dns/watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dns/zone_table.h"
#include "dns/wire.h"

#include "core/util/clock.h"
#include "core/util/mem.h"

/* What is counted by itself; everything else is WATCH_TYPE_OTHER. In order. */
static const uint16_t TYPES[] = {
    0,  1,  2,  5,  6,  12, 15,  16,  28,  33,  35,
    43, 44, 48, 52, 64, 65, 251, 252, 255, 257, WATCH_TYPE_OTHER,
};
#define TYPES_N ARRAY_N(TYPES)
static const uint16_t RCODES[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 23, 65535};
#define RCODES_N ARRAY_N(RCODES)
#define TYPE_MAP_N 258u
#define RCODE_MAP_N 24u

struct watch_thread {
    struct watch *watch;
    struct watch_thread *next;
    /* [zone + 1][type][rcode]; one thread writes, any reads. The padding keeps two threads off one
     * cache line. */
    uint8_t before[64];
    _Atomic uint64_t cells[];
};

struct watch {
    size_t zones_n;
    char (*zones)[NAME_TEXT_MAX + 1];
    uint8_t type_at[TYPE_MAP_N], rcode_at[RCODE_MAP_N];
    _Atomic bool is_on;
    pthread_mutex_t lock; /* leaf: what follows */
    struct watch_thread *threads;
    struct watch_entry *ring; /* made when the log is first switched on */
    uint64_t written;
};

static void fill_map(uint8_t *map, size_t map_n, const uint16_t *values, size_t values_n)
{
    memset(map, (int)values_n - 1, map_n); /* the last one: others */
    for (size_t i = 0; i + 1 < values_n; i++) {
        map[values[i]] = (uint8_t)i;
    }
}

static struct err copy_zones(struct watch *watch, const struct zone_table *table)
{
    watch->zones = mem_array(table->entries_n, sizeof(*watch->zones));
    TRY_PTR(watch->zones);
    for (size_t i = 0; i < table->entries_n; i++) {
        const struct zone_entry *entry = &table->entries[i];
        TRY(name_from_wire(entry->wire, entry->len, watch->zones[i], sizeof(watch->zones[i])));
    }
    watch->zones_n = table->entries_n;
    return err_ok();
}

struct err watch_new(struct zone_db *zones, struct watch **out)
{
    struct watch *watch = mem_zalloc(sizeof(*watch));
    struct zone_reader *reader = NULL;

    TRY_PTR(watch);
    (void)pthread_mutex_init(&watch->lock, NULL);
    fill_map(watch->type_at, TYPE_MAP_N, TYPES, TYPES_N);
    fill_map(watch->rcode_at, RCODE_MAP_N, RCODES, RCODES_N);
    struct err e = zone_reader_new(zones, &reader);
    if (e.code == ERR_OK) {
        e = copy_zones(watch, zone_read_begin(reader)->table);
        zone_read_end(reader);
    }
    zone_reader_free(reader);
    if (e.code != ERR_OK) {
        watch_free(watch);
        return e;
    }
    *out = watch;
    return err_ok();
}

void watch_free(struct watch *watch)
{
    if (watch == NULL) {
        return;
    }
    while (watch->threads != NULL) {
        struct watch_thread *thread = watch->threads;
        watch->threads = thread->next;
        mem_free(thread);
    }
    (void)pthread_mutex_destroy(&watch->lock);
    mem_free(watch->ring);
    mem_free(watch->zones);
    mem_free(watch);
}

static size_t cells_n(const struct watch *watch)
{
    return (watch->zones_n + 1) * TYPES_N * RCODES_N;
}

struct err watch_thread_new(struct watch *watch, struct watch_thread **out)
{
    struct watch_thread *thread =
        mem_zalloc(sizeof(*thread) + (cells_n(watch) + 8) * sizeof(thread->cells[0]));

    TRY_PTR(thread);
    thread->watch = watch;
    (void)pthread_mutex_lock(&watch->lock);
    thread->next = watch->threads;
    watch->threads = thread;
    (void)pthread_mutex_unlock(&watch->lock);
    *out = thread;
    return err_ok();
}

static void log_answer(struct watch *watch, const struct answer_in *in,
                       const struct answer_info *info, enum answer_verdict verdict)
{
    struct dns_name name;
    struct watch_entry entry = {.unix_ms = clock_unix_ms(),
                                .is_tcp = in->is_tcp,
                                .type = info->type,
                                .rcode = info->rcode,
                                .reason = info->reason,
                                .verdict = verdict};

    if (in->peer != NULL) {
        entry.peer = *in->peer;
    }
    if (in->query_len > DNS_HEADER_LEN &&
        dns_name_read(in->query + DNS_HEADER_LEN, in->query_len - DNS_HEADER_LEN, &name) != 0 &&
        name_from_wire(name.wire, name.len, entry.name, sizeof(entry.name)).code != ERR_OK) {
        entry.name[0] = '\0';
    }
    (void)pthread_mutex_lock(&watch->lock);
    if (watch->ring != NULL) {
        watch->ring[watch->written++ % WATCH_LOG_MAX] = entry;
    }
    (void)pthread_mutex_unlock(&watch->lock);
}

void watch_note(struct watch_thread *thread, const struct answer_in *in,
                const struct answer_info *info, enum answer_verdict verdict)
{
    struct watch *watch = thread->watch;

    if (verdict == ANSWER_SEND || verdict == ANSWER_WORK) {
        size_t zone =
            info->zone >= 0 && (size_t)info->zone < watch->zones_n ? (size_t)info->zone + 1 : 0;
        size_t type = info->type < TYPE_MAP_N ? watch->type_at[info->type] : TYPES_N - 1;
        size_t rcode = info->rcode < RCODE_MAP_N ? watch->rcode_at[info->rcode] : RCODES_N - 1;
        _Atomic uint64_t *cell = &thread->cells[(zone * TYPES_N + type) * RCODES_N + rcode];
        atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    }
    if (atomic_load_explicit(&watch->is_on, memory_order_relaxed) && verdict != ANSWER_DROP) {
        log_answer(watch, in, info, verdict);
    }
}

static int compare_counts(const void *a, const void *b)
{
    const struct watch_count *x = a;
    const struct watch_count *y = b;
    int by_zone = strcmp(x->zone, y->zone);

    if (by_zone != 0) {
        return by_zone;
    }
    return x->type != y->type ? (int)x->type - y->type : (int)x->rcode - y->rcode;
}

/* The sums of all threads; cells_n() of them. */
static void sum_up(struct watch *watch, uint64_t *sums)
{
    (void)pthread_mutex_lock(&watch->lock);
    for (const struct watch_thread *t = watch->threads; t != NULL; t = t->next) {
        for (size_t i = 0; i < cells_n(watch); i++) {
            sums[i] += atomic_load_explicit(&t->cells[i], memory_order_relaxed);
        }
    }
    (void)pthread_mutex_unlock(&watch->lock);
}

struct err watch_counts(struct watch *watch, struct watch_count **out, size_t *out_n)
{
    AUTO(mem_freep) uint64_t *sums = mem_array(cells_n(watch), sizeof(*sums));
    size_t n = 0;

    TRY_PTR(sums);
    sum_up(watch, sums);
    for (size_t i = 0; i < cells_n(watch); i++) {
        n += sums[i] != 0;
    }
    struct watch_count *counts = mem_array(n, sizeof(*counts));
    TRY_PTR(counts);
    n = 0;
    for (size_t i = 0; i < cells_n(watch); i++) {
        if (sums[i] == 0) {
            continue;
        }
        struct watch_count *count = &counts[n++];
        size_t zone = i / (TYPES_N * RCODES_N);
        if (zone != 0) {
            memcpy(count->zone, watch->zones[zone - 1], sizeof(count->zone));
        }
        count->type = TYPES[i / RCODES_N % TYPES_N];
        count->rcode = RCODES[i % RCODES_N];
        count->n = sums[i];
    }
    qsort(counts, n, sizeof(*counts), compare_counts);
    *out = counts;
    *out_n = n;
    return err_ok();
}

void watch_log_set(struct watch *watch, bool is_on)
{
    (void)pthread_mutex_lock(&watch->lock);
    if (is_on && watch->ring == NULL) {
        watch->ring = mem_array(WATCH_LOG_MAX, sizeof(*watch->ring));
    }
    atomic_store_explicit(&watch->is_on, is_on && watch->ring != NULL, memory_order_relaxed);
    (void)pthread_mutex_unlock(&watch->lock);
}

bool watch_log_is_on(const struct watch *watch)
{
    return atomic_load_explicit(&watch->is_on, memory_order_relaxed);
}

struct err watch_log(struct watch *watch, size_t max, struct watch_entry **out, size_t *out_n)
{
    size_t room = max < WATCH_LOG_MAX ? max : WATCH_LOG_MAX;
    struct watch_entry *entries = mem_array(room, sizeof(*entries));

    TRY_PTR(entries);
    (void)pthread_mutex_lock(&watch->lock);
    size_t n = watch->written < room ? (size_t)watch->written : room;
    for (size_t i = 0; i < n; i++) {
        entries[i] = watch->ring[(watch->written - n + i) % WATCH_LOG_MAX];
    }
    (void)pthread_mutex_unlock(&watch->lock);
    *out = entries;
    *out_n = n;
    return err_ok();
}
