/* Many random edits against a simple model, and edits beside readers. */
#include <pthread.h>
#include <stdatomic.h>

#include "core/util/mem.h"
#include "dns/zone_table.h"
#include "tests/unit/dns_maker.h"

/* The names of a zone as a tree of three children each, the apex at 0: labels a, b and *, four
 * levels. */
#define NAMES_N 121u
#define ZONES_N 2u
static const char *const ZONES[ZONES_N] = {"svc.test", "bare.svc.test"};
enum { HAS_A = 1, HAS_NS = 2, HAS_DNAME = 4, HAS_CNAME = 8, KINDS_N = 16 };

struct model {
    uint8_t kind[ZONES_N][NAMES_N]; /* HAS_ bits; 0: no record */
    uint8_t address[ZONES_N][NAMES_N];
    bool has_text[ZONES_N][NAMES_N]; /* at _validation-persist.<name> */
    uint32_t serial[ZONES_N];
};

struct world {
    struct zone_db *db;
    struct zone_reader *reader[2];
    uint32_t random;
};

static uint32_t random_below(struct world *w, uint32_t n)
{
    w->random = w->random * 1664525u + 1013904223u; /* the same on every run */
    return (w->random >> 8) % n;
}

static void name_of(size_t zone, size_t i, char *out, size_t cap)
{
    char *to = out;

    *to = '\0';
    for (; i > 0; i = (i - 1) / 3) {
        *to++ = "ab*"[(i - 1) % 3];
        *to++ = '.';
    }
    (void)snprintf(to, cap - (size_t)(to - out), "%s", ZONES[zone]);
}

static void edit_records(struct zone_edit *edit, struct world *w, struct model *m)
{
    size_t zone = random_below(w, ZONES_N), i = random_below(w, NAMES_N), n = 0;
    uint8_t kind = (uint8_t)(random_below(w, 3) == 0 ? random_below(w, KINDS_N) : 0);
    uint8_t address[4] = {192, 0, 2, (uint8_t)random_below(w, 256)};
    char name[64];
    uint8_t wire[64];
    struct zone_rr rrs[5];

    if ((kind & HAS_CNAME) != 0) {
        rrs[n++] = (struct zone_rr){DNS_TYPE_CNAME, 60, (const uint8_t *)"", 1};
    }
    if ((kind & HAS_A) != 0) {
        rrs[n++] = (struct zone_rr){DNS_TYPE_A, 60, address, 4};
        rrs[n++] = (struct zone_rr){DNS_TYPE_A, 60, (const uint8_t[]){192, 0, 2, 0}, 4};
    }
    if ((kind & HAS_DNAME) != 0) {
        rrs[n++] = (struct zone_rr){DNS_TYPE_DNAME, 60, (const uint8_t *)"", 1};
    }
    if ((kind & HAS_NS) != 0) {
        rrs[n++] = (struct zone_rr){DNS_TYPE_NS, 60, (const uint8_t *)"", 1};
    }
    name_of(zone, i, name, sizeof(name));
    assert_int_equal(zone_edit_records(edit, wire, make_name(name, wire), rrs, n).code, ERR_OK);
    m->kind[zone][i] = kind;
    m->address[zone][i] = address[3];
}

static void edit_one(struct zone_edit *edit, struct world *w, struct model *m)
{
    static const char *const texts[] = {"one", "two"};
    size_t zone = random_below(w, ZONES_N), i = random_below(w, NAMES_N);
    char name[64];

    switch (random_below(w, 8)) {
    case 0:
        m->serial[zone] = random_below(w, 1000);
        assert_int_equal(zone_edit_serial(edit, ZONES[zone], m->serial[zone]).code, ERR_OK);
        break;
    case 1:
        name_of(zone, i, name, sizeof(name));
        if (strchr(name, '*') == NULL) {
            bool has_text = random_below(w, 2) == 0;
            assert_int_equal(zone_edit_persist(edit, name, texts, has_text ? 2 : 0).code, ERR_OK);
            m->has_text[zone][i] = has_text;
        }
        break;
    default:
        edit_records(edit, w, m);
        break;
    }
}

static const struct zone_owner *owner_of(const struct zone_snapshot *snap, const char *name)
{
    uint8_t wire[128];

    return zone_owner_find(snap, wire, make_name(name, wire));
}

static unsigned bits(unsigned v)
{
    return (v & 1) + (v >> 1 & 1) + (v >> 2 & 1) + (v >> 3 & 1);
}

/* Adds what the model has at this name to `want`. */
static void expect_owner(const struct zone_snapshot *snap, const struct model *m, size_t zone,
                         size_t i, unsigned children_n, struct zone_state *want)
{
    uint8_t kind = m->kind[zone][i];
    char name[64];

    name_of(zone, i, name, sizeof(name));
    const struct zone_owner *owner = owner_of(snap, name);
    if ((owner != NULL) != (kind != 0 || children_n > 0)) {
        fail_msg("%s %s", name, owner == NULL ? "is missing" : "should not be there");
    }
    if (owner == NULL) {
        return;
    }
    want->owners_n++;
    assert_int_equal(owner->children_n, children_n);
    assert_int_equal(owner->sets_n, bits(kind));
    assert_int_equal(owner->is_delegation, (kind & HAS_NS) != 0 && i > 0);
    assert_int_equal(owner->has_dname, (kind & HAS_DNAME) != 0);
    assert_int_equal(owner->has_cname, (kind & HAS_CNAME) != 0);
    const struct zone_rrset *set = zone_rrset_find(owner, DNS_TYPE_A);
    assert_int_equal(set != NULL, (kind & HAS_A) != 0);
    if (set != NULL) {
        assert_int_equal(set->rr_n, 2);
        assert_int_equal(set->data[13], m->address[zone][i]);
    }
    want->records_n += bits(kind) + ((kind & HAS_A) != 0 ? 1 : 0);
    want->cuts_n += (owner->is_delegation ? 1u : 0u) + (owner->has_dname ? 1u : 0u);
    want->wildcards_n += name[0] == '*' ? 1 : 0;
}

static void expect_text(const struct zone_snapshot *snap, const struct model *m, size_t zone,
                        size_t i)
{
    char name[96] = "_validation-persist.";

    name_of(zone, i, name + 20, sizeof(name) - 20);
    const struct zone_owner *owner = owner_of(snap, name);
    assert_int_equal(owner != NULL, m->has_text[zone][i]);
    if (owner != NULL) {
        assert_true(owner->is_persist);
        assert_int_equal(owner->sets[0].rr_n, 2);
    }
}

static void expect_model(const struct zone_snapshot *snap, const struct model *m)
{
    for (size_t zone = 0; zone < ZONES_N; zone++) {
        struct zone_state want = {.serial = m->serial[zone]};
        unsigned children_n[NAMES_N] = {0};
        for (size_t i = NAMES_N; i-- > 0;) {
            if (i > 0 && (m->kind[zone][i] != 0 || children_n[i] > 0)) {
                children_n[(i - 1) / 3]++;
            }
            expect_owner(snap, m, zone, i, children_n[i], &want);
            expect_text(snap, m, zone, i);
        }
        const struct zone_state *got =
            zone_state_of(snap, zone_entry_find(snap->table, ZONES[zone]));
        assert_memory_equal(got, &want, sizeof(want));
    }
}

static void test_random_edits(void **state)
{
    struct model now, then, next;
    struct world w = {.random = 4};
    struct config *cfg = make_config(MAKER_CONFIG);

    (void)state;
    memset(&now, 0, sizeof(now));
    assert_int_equal(zone_db_new(cfg, 0, &w.db).code, ERR_OK);
    config_free(cfg);
    assert_int_equal(zone_reader_new(w.db, &w.reader[0]).code, ERR_OK);
    assert_int_equal(zone_reader_new(w.db, &w.reader[1]).code, ERR_OK);
    const struct zone_snapshot *old = zone_read_begin(w.reader[1]);
    then = now;
    for (unsigned round = 0; round < 1500; round++) {
        struct zone_edit *edit = NULL;
        next = now;
        assert_int_equal(zone_edit_begin(w.db, &edit).code, ERR_OK);
        for (uint32_t n = random_below(&w, round % 50 == 0 ? 400 : 12); n > 0; n--) {
            edit_one(edit, &w, &next);
        }
        if (random_below(&w, 6) == 0) {
            zone_edit_dropp(&edit);
        } else {
            assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
            now = next;
        }
        expect_model(zone_read_begin(w.reader[0]), &now);
        zone_read_end(w.reader[0]);
        if (round % 40 == 0) { /* an old snapshot is what it was, 40 edits later */
            expect_model(old, &then);
            zone_read_end(w.reader[1]);
            old = zone_read_begin(w.reader[1]);
            then = now;
        }
    }
    zone_read_end(w.reader[1]);
    zone_reader_free(w.reader[0]);
    zone_reader_free(w.reader[1]);
    zone_db_free(w.db);
}

/* An edit moves a record from one name to another, both with ancestors of their own, and writes the
 * serial into it: a reader sees one of them, whole (ASan and TSan watch the rest). */
struct race {
    struct zone_db *db;
    _Atomic bool is_over;
    _Atomic unsigned rounds;
};

static bool is_whole(const struct zone_snapshot *snap)
{
    const struct zone_owner *one = owner_of(snap, "x.a.svc.test");
    const struct zone_owner *two = owner_of(snap, "x.b.svc.test");
    const struct zone_owner *it = one != NULL ? one : two;
    const struct zone_state *state = &snap->states[0];
    uint32_t serial = 0;

    if ((one != NULL) == (two != NULL) || state->owners_n != 3 || state->records_n != 1 ||
        (owner_of(snap, "a.svc.test") != NULL) != (one != NULL) ||
        (owner_of(snap, "b.svc.test") != NULL) != (two != NULL)) {
        return false;
    }
    memcpy(&serial, it->sets[0].data + 10, sizeof(serial));
    return serial == state->serial;
}

static void *read_on(void *arg)
{
    struct race *race = arg;
    struct zone_reader *reader = NULL;
    bool is_torn = false;

    if (zone_reader_new(race->db, &reader).code != ERR_OK) {
        return arg;
    }
    while (!atomic_load(&race->is_over)) {
        is_torn = !is_whole(zone_read_begin(reader)) || is_torn;
        zone_read_end(reader);
        (void)zone_serial_of(race->db, "svc.test");
        atomic_fetch_add(&race->rounds, 1);
    }
    zone_reader_free(reader);
    return is_torn ? arg : NULL;
}

static void move(struct zone_db *db, uint32_t serial)
{
    const struct zone_rr rr = {DNS_TYPE_A, 60, (const uint8_t *)&serial, 4};
    struct zone_edit *edit = NULL;
    uint8_t wire[64];

    assert_int_equal(zone_edit_begin(db, &edit).code, ERR_OK);
    for (uint32_t i = 0; i < 2; i++) {
        size_t len = make_name(i == 0 ? "x.a.svc.test" : "x.b.svc.test", wire);
        size_t n = serial % 2 == i ? 1 : 0;
        assert_int_equal(zone_edit_records(edit, wire, len, &rr, n).code, ERR_OK);
    }
    assert_int_equal(zone_edit_serial(edit, "svc.test", serial).code, ERR_OK);
    assert_int_equal(zone_edit_commit(&edit).code, ERR_OK);
}

static void test_readers_and_editor(void **state)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    struct race race = {.db = NULL};
    pthread_t threads[3];
    void *torn = NULL;

    (void)state;
    assert_int_equal(zone_db_new(cfg, 0, &race.db).code, ERR_OK);
    config_free(cfg);
    move(race.db, 1);
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &race), 0);
    }
    for (uint32_t i = 2; i < 3000 || atomic_load(&race.rounds) < 3000; i++) {
        move(race.db, i);
    }
    atomic_store(&race.is_over, true);
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &torn), 0);
        assert_null(torn);
    }
    zone_db_free(race.db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_edits),
        cmocka_unit_test(test_readers_and_editor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
