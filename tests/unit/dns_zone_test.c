#include <pthread.h>
#include <stdatomic.h>

#include "core/util/mem.h"
#include "dns/zone_table.h"
#include "tests/unit/dns_maker.h"

#define OWNER "x.svc.test.acme.svc.test"

static struct zone_db *new_db(const char *text)
{
    struct config *cfg = make_config(text);
    struct zone_db *db = NULL;

    assert_int_equal(zone_db_new(cfg, 100, &db).code, ERR_OK);
    config_free(cfg);
    return db;
}

struct seen {
    size_t n;
    char last[TXT_VALUE_LEN + 1];
};
static bool see(void *arg, const struct zone_value *value)
{
    struct seen *seen = arg;

    seen->n++;
    memcpy(seen->last, value->txt, sizeof(seen->last));
    return false;
}
static bool stop_at_first(void *arg, const struct zone_value *value)
{
    return see(arg, value) || true;
}

static size_t values_at(struct zone_reader *reader, const char *owner)
{
    struct seen seen = {0, ""};
    const struct zone_snapshot *snap = zone_read_begin(reader);

    assert_false(zone_owner_values(snap, owner, see, &seen));
    zone_read_end(reader);
    return seen.n;
}

static void test_refused_values(void **state)
{
    static const char *const owners[] = {
        "x.svc.test",       "acme.svc.test",  "",  "svc.test",  "test",
        "x..acme.svc.test", "xacme.svc.test", ".", "other.test"};
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_value v = make_value(1, "c");

    (void)state;
    for (size_t i = 0; i < ARRAY_N(owners); i++) {
        assert_int_equal(zone_value_add(db, owners[i], &v, 101).code, ERR_MALFORMED);
        assert_int_equal(zone_value_remove(db, owners[i], NULL, NULL, 101).code, ERR_OK);
    }
    v.txt[7] = '=';
    assert_int_equal(zone_value_add(db, OWNER, &v, 101).code, ERR_MALFORMED);
    v.txt[7] = '\0';
    assert_int_equal(zone_value_add(db, OWNER, &v, 101).code, ERR_MALFORMED);
    assert_int_equal(zone_serial(db), 100);
    zone_db_free(db);
}

static void test_refused_configurations(void **state)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    struct zone_db *db = NULL;
    char *delegate = cfg->delegate_zone;

    (void)state;
    (void)snprintf(delegate, sizeof(cfg->delegate_zone), "svc.test");
    assert_int_equal(zone_db_new(cfg, 1, &db).code, ERR_CONFIG); /* a zone already */
    delegate[0] = '\0';
    assert_int_equal(zone_db_new(cfg, 1, &db).code, ERR_CONFIG);
    for (size_t i = 0; i < 100; i++) { /* no room for h-<52 characters>.<zone> */
        memcpy(delegate + 2 * i, "a.", 2);
    }
    memcpy(delegate + 200, "b", 2);
    assert_int_equal(zone_db_new(cfg, 1, &db).code, ERR_CONFIG);
    assert_null(db);
    config_free(cfg);
}

static void test_add_remove(void **state)
{
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_reader *reader = NULL;
    struct zone_value a = make_value(1, "a");
    struct zone_value b = make_value(1, "b");
    struct zone_value registered = make_value(2, "a");

    (void)state;
    (void)snprintf(registered.by.registration, sizeof(registered.by.registration), "r1");
    assert_int_equal(zone_reader_new(db, &reader).code, ERR_OK);
    assert_int_equal(zone_value_add(db, OWNER, &a, 101).code, ERR_OK);
    assert_int_equal(zone_value_add(db, OWNER, &a, 102).code, ERR_OK); /* again: nothing changes */
    assert_int_equal(zone_serial(db), 101);
    assert_int_equal(zone_value_add(db, OWNER, &b, 103).code, ERR_OK);
    assert_int_equal(zone_value_add(db, OWNER, &registered, 104).code, ERR_OK);
    assert_int_equal(values_at(reader, OWNER), 3);
    assert_int_equal(values_at(reader, "X.Svc.test.ACME.svc.test"), 3);
    assert_int_equal(values_at(reader, "y.svc.test.acme.svc.test"), 0);

    /* The text alone, of one publisher; of a stranger; of a client through another registration. */
    struct zone_publisher stranger = make_value(1, "z").by;
    assert_int_equal(zone_value_remove(db, OWNER, a.txt, &stranger, 105).code, ERR_OK);
    assert_int_equal(zone_value_remove(db, OWNER, registered.txt, &a.by, 105).code, ERR_OK);
    assert_int_equal(zone_serial(db), 104);
    assert_int_equal(zone_value_remove(db, OWNER, a.txt, &b.by, 106).code, ERR_OK);
    assert_int_equal(values_at(reader, OWNER), 2);
    assert_int_equal(zone_value_remove(db, OWNER, NULL, &a.by, 107).code, ERR_OK);
    assert_int_equal(values_at(reader, OWNER), 1);
    assert_int_equal(zone_value_remove(db, OWNER, NULL, NULL, 108).code, ERR_OK);
    assert_int_equal(values_at(reader, OWNER), 0);
    assert_int_equal(zone_serial(db), 108);
    zone_reader_free(reader);
    zone_db_free(db);
}

static void test_value_limit(void **state)
{
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_reader *reader = NULL;

    (void)state;
    assert_int_equal(zone_reader_new(db, &reader).code, ERR_OK);
    for (unsigned i = 0; i < ZONE_VALUES_MAX; i++) {
        struct zone_value v = make_value(i, "");
        assert_int_equal(zone_value_add(db, OWNER, &v, 101 + i).code, ERR_OK);
    }
    struct zone_value one_more = make_value(9999, "");
    assert_int_equal(zone_value_add(db, OWNER, &one_more, 999).code, ERR_LIMIT);
    assert_int_equal(values_at(reader, OWNER), ZONE_VALUES_MAX);
    zone_reader_free(reader);
    zone_db_free(db);
}

static void test_readers_limit(void **state)
{
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_reader *readers[ZONE_READERS_MAX + 1] = {NULL};

    (void)state;
    for (size_t i = 0; i < ZONE_READERS_MAX; i++) {
        assert_int_equal(zone_reader_new(db, &readers[i]).code, ERR_OK);
    }
    assert_int_equal(zone_reader_new(db, &readers[ZONE_READERS_MAX]).code, ERR_LIMIT);
    zone_reader_free(readers[5]);
    assert_int_equal(zone_reader_new(db, &readers[5]).code, ERR_OK);
    for (size_t i = 0; i < ZONE_READERS_MAX; i++) {
        zone_reader_free(readers[i]);
    }
    zone_db_free(db);
}

static void test_snapshot_is_kept(void **state)
{
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_reader *reader = NULL;
    struct zone_value v = make_value(1, "a");
    struct seen seen = {0, ""};

    (void)state;
    assert_int_equal(zone_reader_new(db, &reader).code, ERR_OK);
    assert_int_equal(zone_value_add(db, OWNER, &v, 101).code, ERR_OK);
    const struct zone_snapshot *snap = zone_read_begin(reader);
    for (unsigned i = 0; i < 50; i++) { /* the old snapshot stays whole meanwhile (ASan watches) */
        assert_int_equal(zone_value_remove(db, OWNER, NULL, NULL, 102 + 2 * i).code, ERR_OK);
        assert_int_equal(zone_value_add(db, OWNER, &v, 103 + 2 * i).code, ERR_OK);
    }
    assert_int_equal(zone_value_remove(db, OWNER, NULL, NULL, 300).code, ERR_OK);
    assert_false(zone_owner_values(snap, OWNER, see, &seen));
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.last, v.txt);
    zone_read_end(reader);
    assert_int_equal(values_at(reader, OWNER), 0);
    zone_reader_free(reader);
    zone_db_free(db);
}

static void owner_text(unsigned i, char *out, size_t cap)
{
    (void)snprintf(out, cap, "n%u.svc.test.acme.svc.test", i);
}

/* A trie of many owners, taken apart again: each is found exactly as long as it is there. */
static void test_many_owners(void **state)
{
    enum { N = 3000 };
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_reader *reader = NULL;
    char owner[64];

    (void)state;
    assert_int_equal(zone_reader_new(db, &reader).code, ERR_OK);
    for (unsigned i = 0; i < N; i++) {
        struct zone_value v = make_value(i, "a");
        owner_text(i, owner, sizeof(owner));
        assert_int_equal(zone_value_add(db, owner, &v, i).code, ERR_OK);
    }
    for (unsigned i = 0; i < N; i += 2) {
        owner_text(i, owner, sizeof(owner));
        assert_int_equal(zone_value_remove(db, owner, NULL, NULL, N + i).code, ERR_OK);
    }
    for (unsigned i = 0; i < N; i++) {
        owner_text(i, owner, sizeof(owner));
        assert_int_equal(values_at(reader, owner), i % 2);
    }
    for (unsigned i = 1; i < N; i += 2) {
        owner_text(i, owner, sizeof(owner));
        assert_int_equal(zone_value_remove(db, owner, NULL, NULL, N + i).code, ERR_OK);
        assert_int_equal(values_at(reader, owner), 0);
    }
    const struct zone_snapshot *snap = zone_read_begin(reader);
    assert_null(snap->owners); /* removal leaves no husks */
    zone_read_end(reader);
    zone_reader_free(reader);
    zone_db_free(db);
}

/* The trie itself, with hashes that agree in all but the topmost bits: the deepest split there
 * is. */
static void test_trie_deep_split(void **state)
{
    static const uint8_t names[3][3] = {{1, 'a', 0}, {1, 'b', 0}, {1, 'c', 0}};
    static const uint64_t hashes[3] = {1, 1 | (uint64_t)1 << 63, 1};
    struct trie_edit edit = {.id = 1};
    struct zone_owner *owners[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        owners[i] = mem_zalloc(sizeof(*owners[i]));
        assert_non_null(owners[i]);
        owners[i]->hash = hashes[i];
        owners[i]->wire = names[i];
        owners[i]->wire_len = 3;
    }
    assert_int_equal(trie_put(&edit, owners[0]).code, ERR_OK);
    struct trie_node *first = edit.root; /* a snapshot holds it from now on */
    edit.id = 2;
    assert_int_equal(trie_put(&edit, owners[1]).code, ERR_OK);
    assert_int_equal(edit.stale_n, 1);
    assert_ptr_equal(edit.stale[0], first);
    assert_ptr_equal(trie_find(edit.root, hashes[0], names[0], 3), owners[0]);
    assert_ptr_equal(trie_find(edit.root, hashes[1], names[1], 3), owners[1]);
    assert_ptr_equal(trie_find(first, hashes[0], names[0], 3), owners[0]);
    assert_null(trie_find(first, hashes[1], names[1], 3));
    assert_null(trie_find(edit.root, hashes[0], names[2], 3));
    assert_null(trie_find_fresh(&edit, hashes[0], names[0], 3));
    assert_ptr_equal(trie_find_fresh(&edit, hashes[1], names[1], 3), owners[1]);
    assert_int_equal(trie_put(&edit, owners[2]).code, ERR_CONFLICT);
    assert_int_equal(trie_remove(&edit, owners[2]).code, ERR_INTERNAL);
    assert_int_equal(trie_remove(&edit, owners[0]).code, ERR_OK);
    assert_int_equal(edit.stale_n, 2); /* the new nodes are gone, and not listed */
    assert_ptr_equal(edit.stale[1], owners[0]);
    assert_ptr_equal(trie_find(edit.root, hashes[1], names[1], 3), owners[1]);
    assert_ptr_equal(trie_find(first, hashes[0], names[0], 3), owners[0]);
    trie_edit_drop(&edit); /* with owners[1] */
    trie_free(first);
    mem_free(owners[2]);
}

static void test_siphash(void **state)
{
    /* SipHash-1-3, key 00..0f, messages 00..(n-1): published by its users (Rust, Python). */
    static const struct {
        size_t len;
        uint64_t want;
    } rows[] = {{0, 0xabac0158050fc4dcu}, {1, 0xc9f49bf37d57ca93u}};
    uint8_t message[64];
    uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

    (void)state;
    for (size_t i = 0; i < sizeof(message); i++) {
        message[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        assert_int_equal(trie_hash(key, message, rows[i].len), rows[i].want);
    }
}

static void test_is_served(void **state)
{
    static const struct {
        const char *name;
        bool is_served;
    } rows[] = {{"other.test", false},
                {"a.other.test", false},
                {"test", false},
                {"xsvc.test", false},
                {".", false},
                {"a..svc.test", false},
                {"svc.test", true},
                {"_acme-challenge.a.svc.test", true},
                {"A.SVC.test", true},
                {"a.b.bare.svc.test", true},
                {"x.acme.svc.test", true}};
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_reader *reader = NULL;

    (void)state;
    assert_int_equal(zone_reader_new(db, &reader).code, ERR_OK);
    const struct zone_snapshot *snap = zone_read_begin(reader);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        assert_int_equal(zone_is_served(snap, rows[i].name), rows[i].is_served);
    }
    zone_read_end(reader);
    zone_reader_free(reader);
    zone_db_free(db);
}

static void test_challenge_values(void **state)
{
    static const char *const nothing_there[] = {
        "",           "other.test",  "a.acme.svc.test", "a_b.svc.test",
        "*.svc.test", "a..svc.test", "-a.svc.test",     "example.org"};
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_reader *reader = NULL;
    struct zone_value v = make_value(5, "a");
    struct seen seen = {0, ""};
    char target[NAME_TEXT_MAX + 1] = "";
    char expected[NAME_TEXT_MAX + 1] = "";
    char base[NAME_TEXT_MAX + 1] = "";

    (void)state;
    for (size_t i = 0; i < 3; i++) { /* 225 characters: too many for <name>.<delegate zone> */
        memset(base + 64 * i, 'a' + (int)i, 63);
        base[64 * i + 63] = '.';
    }
    memcpy(base + 192, "long-long-long-long-long.svc.test", 34);
    assert_int_equal(name_delegate(base, "a.very-long-delegate.acme.svc.test", expected).code,
                     ERR_OK);
    zone_db_free(db);
    db = new_db("state_dir: /tmp\nhostname: ca.svc.test\nzones: [svc.test, {name: other.test, "
                "serve: false}]\ndelegate_zone: a.very-long-delegate.acme.svc.test\n");
    assert_int_equal(zone_reader_new(db, &reader).code, ERR_OK);
    assert_int_equal(zone_value_add(db, expected, &v, 101).code, ERR_OK);
    const struct zone_snapshot *snap = zone_read_begin(reader);
    for (size_t i = 0; i < ARRAY_N(nothing_there); i++) {
        bool is_found = zone_challenge_values(snap, nothing_there[i], stop_at_first, &seen, target);
        assert_false(is_found);
    }
    assert_false(zone_challenge_values(snap, "a.svc.test", stop_at_first, &seen, target));
    assert_string_equal(target, "a.svc.test.a.very-long-delegate.acme.svc.test");
    assert_true(zone_challenge_values(snap, base, stop_at_first, &seen, target));
    assert_string_equal(target, expected);
    assert_int_equal(strncmp(target, "h-", 2), 0);
    assert_int_equal(seen.n, 1);
    assert_true(zone_challenge_values(snap, base, stop_at_first, &seen, NULL));
    zone_read_end(reader);
    zone_reader_free(reader);
    zone_db_free(db);
}

static void test_name_values(void **state)
{
    static const char *const nothing_there[] = {"",
                                                ".",
                                                "x.svc.test",
                                                "_acme-challenge.svc.test",
                                                "_aaaaaaaaaaaaaaaa._acme-challenge.x.svc.test",
                                                "_aaaaaaaaaaaaaaaa._acme-challenge.other.test",
                                                "_aaaaaaaaaaaaaaaa.x.svc.test.acme.svc.test",
                                                "_acme-challenge.x.acme.svc.test"};
    static const struct {
        const char *name, *target;
        unsigned value;
    } rows[] = {{OWNER, "", 1},
                {"_ACME-challenge.x.svc.test", OWNER, 1},
                {"_aaaaaaaaaaaaaaab._acme-challenge.X.svc.test", "_aaaaaaaaaaaaaaab." OWNER, 2},
                {"_aaaaaaaaaaaaaaab." OWNER, "", 2}};
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_reader *reader = NULL;
    struct zone_value one = make_value(1, "a");
    struct zone_value two = make_value(2, "a");
    char target[NAME_TEXT_MAX + 1];
    struct seen seen = {0, ""};

    (void)state;
    assert_int_equal(zone_reader_new(db, &reader).code, ERR_OK);
    const struct zone_snapshot *snap = zone_read_begin(reader);
    assert_false(zone_name_values(snap, rows[2].name, see, &seen, target));
    zone_read_end(reader);
    assert_int_equal(zone_value_add(db, OWNER, &one, 101).code, ERR_OK);
    assert_int_equal(zone_value_add(db, "_aaaaaaaaaaaaaaab." OWNER, &two, 102).code, ERR_OK);
    snap = zone_read_begin(reader);
    for (size_t i = 0; i < ARRAY_N(nothing_there); i++) {
        bool is_found = zone_name_values(snap, nothing_there[i], stop_at_first, &seen, target);
        assert_false(is_found);
    }
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        struct zone_value want = make_value(rows[i].value, "a");
        assert_true(zone_name_values(snap, rows[i].name, stop_at_first, &seen, target));
        assert_string_equal(target, rows[i].target);
        assert_string_equal(seen.last, want.txt);
        assert_true(zone_name_values(snap, rows[i].name, stop_at_first, &seen, NULL));
    }
    zone_read_end(reader);
    zone_reader_free(reader);
    zone_db_free(db);
}

/* Readers and a writer at once; the values at an owner always belong together (TSan and ASan watch
 * the rest). */
struct race {
    struct zone_db *db;
    _Atomic bool is_over;
    _Atomic unsigned rounds;
};
static bool check_pair(void *arg, const struct zone_value *value)
{
    struct seen *seen = arg;

    if (seen->n++ == 0) {
        memcpy(seen->last, value->txt, sizeof(seen->last));
    }
    return strcmp(seen->last, value->txt) != 0;
}
static void *read_on(void *arg)
{
    struct race *race = arg;
    struct zone_reader *reader = NULL;

    if (zone_reader_new(race->db, &reader).code != ERR_OK) {
        return arg;
    }
    bool is_torn = false;
    do {
        struct seen seen = {0, ""};
        const struct zone_snapshot *snap = zone_read_begin(reader);
        is_torn = zone_owner_values(snap, OWNER, check_pair, &seen) || is_torn;
        zone_read_end(reader);
        atomic_fetch_add(&race->rounds, 1);
    } while (!atomic_load(&race->is_over));
    zone_reader_free(reader);
    return is_torn ? arg : NULL;
}
static void test_readers_and_writer(void **state)
{
    struct race race = {.db = new_db(MAKER_CONFIG)};
    pthread_t threads[3];
    char other[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &race), 0);
    }
    unsigned i = 0;
    while (i < 2000 || atomic_load(&race.rounds) < 2000) {
        struct zone_value a = make_value(i, "a");
        owner_text(i % 64, other, sizeof(other));
        assert_int_equal(zone_value_remove(race.db, OWNER, NULL, NULL, 1).code, ERR_OK);
        assert_int_equal(zone_value_add(race.db, OWNER, &a, 2).code, ERR_OK);
        (void)snprintf(a.by.client, sizeof(a.by.client), "b");
        assert_int_equal(zone_value_add(race.db, OWNER, &a, 3).code, ERR_OK);
        assert_int_equal(zone_value_add(race.db, other, &a, 4).code, ERR_OK);
        if (i % 3 == 0) {
            assert_int_equal(zone_value_remove(race.db, other, NULL, NULL, 5).code, ERR_OK);
        } else {
            assert_int_equal(zone_value_remove(race.db, other, a.txt, NULL, 5).code, ERR_OK);
        }
        i++;
    }
    atomic_store(&race.is_over, true);
    for (size_t k = 0; k < ARRAY_N(threads); k++) {
        void *torn = NULL;
        assert_int_equal(pthread_join(threads[k], &torn), 0);
        assert_null(torn);
    }
    zone_db_free(race.db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_values),
        cmocka_unit_test(test_refused_configurations),
        cmocka_unit_test(test_add_remove),
        cmocka_unit_test(test_value_limit),
        cmocka_unit_test(test_readers_limit),
        cmocka_unit_test(test_snapshot_is_kept),
        cmocka_unit_test(test_many_owners),
        cmocka_unit_test(test_trie_deep_split),
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_is_served),
        cmocka_unit_test(test_challenge_values),
        cmocka_unit_test(test_name_values),
        cmocka_unit_test(test_readers_and_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
