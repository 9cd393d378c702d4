/* Texts at _validation-persist names: what is refused, what a query gets. */
#include <ldns/ldns.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/util/mem.h"
#include "dns/answer.h"
#include "dns/zone_table.h"
#include "tests/unit/dns_maker.h"

#define TEXT_A "ca.svc.test; accounturi=https://ca.svc.test/acme/account/a"
#define TEXT_B "ca.svc.test; accounturi=https://ca.svc.test/acme/account/b; policy=wildcard"

static struct zone_db *new_db(const char *text)
{
    struct config *cfg = make_config(text);
    struct zone_db *db = NULL;

    assert_int_equal(zone_db_new(cfg, 100, &db).code, ERR_OK);
    config_free(cfg);
    return db;
}

/* Sends a TXT query; the texts of the answer, one a line, after its rcode and AA and TC. */
static void ask(struct zone_db *db, const char *name, unsigned type, bool is_tcp, struct buf *out)
{
    struct zone_reader *reader = NULL;
    uint8_t query[512];
    uint8_t *packet = mem_zalloc(DNS_TCP_MAX);
    ldns_pkt *pkt = NULL;

    buf_reset(out);
    assert_non_null(packet);
    assert_int_equal(zone_reader_new(db, &reader).code, ERR_OK);
    size_t n = make_query(name, type, query);
    size_t len = answer_build(zone_read_begin(reader), query, n, is_tcp, packet, DNS_TCP_MAX);
    zone_read_end(reader);
    zone_reader_free(reader);
    assert_int_equal(ldns_wire2pkt(&pkt, packet, len), LDNS_STATUS_OK);
    buf_printf(out, "%d%s%s", (int)ldns_pkt_get_rcode(pkt), ldns_pkt_aa(pkt) ? " aa" : "",
               ldns_pkt_tc(pkt) ? " tc" : "");
    for (size_t i = 0; i < ldns_pkt_ancount(pkt); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_answer(pkt), i);
        assert_int_equal(ldns_rr_get_type(rr), LDNS_RR_TYPE_TXT);
        assert_int_equal(ldns_rr_ttl(rr), ZONE_TXT_TTL_S);
        buf_putc(out, '\n');
        for (size_t k = 0; k < ldns_rr_rd_count(rr); k++) {
            const ldns_rdf *string = ldns_rr_rdf(rr, k);
            buf_printf(out, "%s%.*s", k == 0 ? "" : "|", (int)ldns_rdf_size(string) - 1,
                       (const char *)ldns_rdf_data(string) + 1);
        }
    }
    ldns_pkt_free(pkt);
    mem_free(packet);
    assert_false(out->failed);
}

static void test_refused(void **state)
{
    static const char *const bases[] = {"",
                                        ".",
                                        "*.svc.test",
                                        "a_b.svc.test",
                                        "-a.svc.test",
                                        "a..svc.test",
                                        "acme.svc.test",
                                        "x.acme.svc.test",
                                        "a.other.test",
                                        "example.org",
                                        "_acme-challenge.svc.test"};
    const char *texts[ZONE_PERSIST_MAX + 1];
    struct zone_db *db = new_db(MAKER_CONFIG);
    char *longest = mem_zalloc(ZONE_PERSIST_TEXT_MAX + 2);
    char base[NAME_TEXT_MAX + 2] = "";

    (void)state;
    assert_non_null(longest);
    for (size_t i = 0; i <= ZONE_PERSIST_MAX; i++) {
        texts[i] = TEXT_A;
    }
    for (size_t i = 0; i < ARRAY_N(bases); i++) {
        assert_false(zone_has_persist(db, bases[i]));
        assert_int_equal(zone_persist_put(db, bases[i], texts, 1, 101).code, ERR_NOT_FOUND);
        assert_int_equal(zone_persist_put(db, bases[i], NULL, 0, 101).code, ERR_NOT_FOUND);
    }
    for (size_t i = 0; i < 7; i++) { /* 20 characters go before it */
        memset(base + 32 * i, 'a', 31);
        base[32 * i + 31] = '.';
    }
    memcpy(base + 224, "svc.test", 9);
    assert_true(zone_has_persist(db, base));
    memcpy(base + 224, "aa.svc.test", 12);
    assert_false(zone_has_persist(db, base));
    memset(base, 'a', sizeof(base) - 1);
    assert_false(zone_has_persist(db, base));

    assert_int_equal(zone_persist_put(db, "svc.test", texts, ZONE_PERSIST_MAX + 1, 101).code,
                     ERR_LIMIT);
    texts[1] = "";
    assert_int_equal(zone_persist_put(db, "svc.test", texts, 2, 101).code, ERR_MALFORMED);
    memset(longest, 'x', ZONE_PERSIST_TEXT_MAX + 1);
    texts[1] = longest;
    assert_int_equal(zone_persist_put(db, "svc.test", texts, 2, 101).code, ERR_MALFORMED);
    longest[ZONE_PERSIST_TEXT_MAX] = '\0';
    for (size_t i = 0; i < ZONE_PERSIST_MAX; i++) {
        texts[i] = longest;
    }
    assert_int_equal(zone_persist_put(db, "svc.test", texts, ZONE_PERSIST_MAX, 101).code,
                     ERR_LIMIT); /* together more than an answer holds */
    assert_int_equal(zone_serial(db), 100);
    mem_free(longest);
    zone_db_free(db);
}

static void test_life(void **state)
{
    const char *const texts[] = {TEXT_A, TEXT_B};
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct buf got = BUF_INIT(4096);

    (void)state;
    ask(db, "_validation-persist.x.svc.test", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "0 aa");
    assert_int_equal(zone_persist_put(db, "x.svc.test", NULL, 0, 101).code, ERR_OK);
    assert_int_equal(zone_serial(db), 100); /* nothing there, nothing changed */
    assert_int_equal(zone_persist_put(db, "X.svc.TEST", texts, 1, 101).code, ERR_OK);
    ask(db, "_Validation-Persist.x.SVC.test", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "0 aa\n" TEXT_A);
    assert_int_equal(zone_persist_put(db, "x.svc.test", texts, 2, 102).code, ERR_OK);
    ask(db, "_validation-persist.x.svc.test", LDNS_RR_TYPE_ANY, false, &got);
    assert_string_equal(buf_str(&got), "0 aa\n" TEXT_A "\n" TEXT_B);
    ask(db, "_validation-persist.x.svc.test", LDNS_RR_TYPE_CAA, false, &got);
    assert_string_equal(buf_str(&got), "0 aa");
    ask(db, "_validation-persist.y.svc.test", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "0 aa");
    assert_int_equal(zone_persist_put(db, "svc.test", texts + 1, 1, 103).code, ERR_OK);
    assert_int_equal(zone_persist_put(db, "x.svc.test", NULL, 0, 104).code, ERR_OK);
    ask(db, "_validation-persist.x.svc.test", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "0 aa");
    ask(db, "_validation-persist.svc.test", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "0 aa\n" TEXT_B);
    assert_int_equal(zone_serial(db), 104);
    buf_clear(&got);
    zone_db_free(db);
}

/* A served zone's serial moves with its texts, and with nothing else's. */
static void test_serials(void **state)
{
    const char *const texts[] = {TEXT_A};
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct zone_reader *reader = NULL;
    struct zone_value v = make_value(1, "a");

    (void)state;
    assert_int_equal(zone_reader_new(db, &reader).code, ERR_OK);
    assert_int_equal(zone_value_add(db, "x.svc.test.acme.svc.test", &v, 105).code, ERR_OK);
    assert_int_equal(zone_persist_put(db, "x.svc.test", texts, 1, 106).code, ERR_OK);
    const struct zone_snapshot *snap = zone_read_begin(reader);
    assert_int_equal(snap->states[0].serial, 106);
    assert_int_equal(snap->states[1].serial, 100);
    assert_int_equal(zone_state_of(snap, snap->table->delegate)->serial, 105);
    zone_read_end(reader);
    assert_int_equal(zone_value_remove(db, "x.svc.test.acme.svc.test", NULL, NULL, 107).code,
                     ERR_OK);
    snap = zone_read_begin(reader);
    assert_int_equal(zone_state_of(snap, snap->table->delegate)->serial, 107);
    assert_int_equal(snap->states[0].serial, 106);
    zone_read_end(reader);
    assert_int_equal(zone_serial(db), 107);
    assert_int_equal(zone_serial_of(db, "acme.svc.test"), 107);
    assert_int_equal(zone_serial_of(db, "svc.test"), 106);
    assert_int_equal(zone_serial_of(db, "SIX.test"), 100);
    assert_int_equal(zone_serial_of(db, "x.six.test"), 0);
    assert_int_equal(zone_serial_of(db, "."), 0);
    assert_int_equal(zone_serial_of(db, ""), 0);
    zone_reader_free(reader);
    zone_db_free(db);
}

/* Character-strings of at most 255 octets; a set that UDP cannot hold comes over TCP, whole. */
static void test_sizes(void **state)
{
    static const size_t lens[] = {1, 254, 255, 256, 510, 511, 1020, 1023, 1024};
    struct zone_db *db = new_db(MAKER_CONFIG);
    struct buf got = BUF_INIT(65536);
    char text[ZONE_PERSIST_TEXT_MAX + 1];
    const char *const one[] = {text};
    const char *many[ZONE_PERSIST_MAX];
    char texts[47][ZONE_PERSIST_TEXT_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(lens); i++) {
        struct buf want = BUF_INIT(4096);
        memset(text, 'a' + (int)i, lens[i]);
        text[lens[i]] = '\0';
        assert_int_equal(zone_persist_put(db, "x.svc.test", one, 1, 101).code, ERR_OK);
        ask(db, "_validation-persist.x.svc.test", LDNS_RR_TYPE_TXT, true, &got);
        buf_puts(&want, "0 aa\n");
        for (size_t left = lens[i]; left > 0; left -= left < 255 ? left : 255) {
            buf_printf(&want, "%.*s%s", left < 255 ? (int)left : 255, text, left > 255 ? "|" : "");
        }
        assert_string_equal(buf_str(&got), buf_str(&want));
        assert_int_equal(zone_persist_wire_len(text), 12 + lens[i] + (lens[i] + 254) / 255);
        buf_clear(&want);
    }
    ask(db, "_validation-persist.x.svc.test", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "0 aa tc");
    for (size_t i = 0; i < ARRAY_N(texts); i++) { /* 47 * 1041 = 48,927 octets */
        memset(texts[i], 'A' + (int)i, ZONE_PERSIST_TEXT_MAX);
        texts[i][ZONE_PERSIST_TEXT_MAX] = '\0';
        many[i] = texts[i];
    }
    assert_int_equal(zone_persist_put(db, "x.svc.test", many, 47, 102).code, ERR_OK);
    ask(db, "_validation-persist.x.svc.test", LDNS_RR_TYPE_TXT, true, &got);
    assert_int_equal(got.len, 4 + 47 * (1 + ZONE_PERSIST_TEXT_MAX + 4));
    many[47] = "z";
    assert_int_equal(zone_persist_put(db, "x.svc.test", many, 48, 103).code, ERR_OK);
    for (size_t i = 0; i < ZONE_PERSIST_MAX; i++) {
        (void)snprintf(texts[i % 47] + (i / 47) * 100, 100, "text %zu", i);
        many[i] = texts[i % 47] + (i / 47) * 100;
    }
    assert_int_equal(zone_persist_put(db, "x.svc.test", many, ZONE_PERSIST_MAX, 104).code, ERR_OK);
    ask(db, "_validation-persist.x.svc.test", LDNS_RR_TYPE_TXT, true, &got);
    assert_non_null(strstr(buf_str(&got), "\ntext 0\n"));
    assert_non_null(strstr(buf_str(&got), "\ntext 63"));
    buf_clear(&got);
    zone_db_free(db);
}

/* In zone "." every top-level label is an apex; the root has no name. */
static void test_every_name(void **state)
{
    const char *const texts[] = {TEXT_A};
    struct zone_db *db = new_db("state_dir: /tmp\nhostname: ca.own.test\nzones: [\".\", {name: "
                                "own.test, serve: false}]\ndelegate_zone: d.own.test\n");
    struct buf got = BUF_INIT(4096);

    (void)state;
    assert_false(zone_has_persist(db, "."));
    assert_false(zone_has_persist(db, "a.own.test"));
    assert_false(zone_has_persist(db, "a.d.own.test"));
    assert_int_equal(zone_persist_put(db, "net", texts, 1, 101).code, ERR_OK);
    assert_int_equal(zone_persist_put(db, "a.example.org", texts, 1, 102).code, ERR_OK);
    ask(db, "_validation-persist.net", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "0 aa\n" TEXT_A);
    ask(db, "_validation-persist.a.example.org", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "0 aa\n" TEXT_A);
    ask(db, "_validation-persist.example.org", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "0 aa");
    ask(db, "_validation-persist", LDNS_RR_TYPE_TXT, false, &got);
    assert_string_equal(buf_str(&got), "5");
    buf_clear(&got);
    zone_db_free(db);
}

/* A reader and a writer at once: an answer has one text or the other two (ASan and TSan watch the
 * rest). */
struct race {
    struct zone_db *db;
    _Atomic bool is_over;
    _Atomic unsigned rounds;
};

static void *read_on(void *arg)
{
    struct race *race = arg;
    struct zone_reader *reader = NULL;
    uint8_t query[512], out[1232];
    size_t n = make_query("_validation-persist.x.svc.test", LDNS_RR_TYPE_TXT, query);
    bool is_torn = false;

    if (zone_reader_new(race->db, &reader).code != ERR_OK) {
        return arg;
    }
    while (!atomic_load(&race->is_over)) {
        size_t len = answer_build(zone_read_begin(reader), query, n, true, out, sizeof(out));
        zone_read_end(reader);
        bool has_a = memmem(out, len, TEXT_A, strlen(TEXT_A)) != NULL;
        bool has_b = memmem(out, len, TEXT_B, strlen(TEXT_B)) != NULL;
        unsigned want = out[7] == 1 ? 1 : 2;
        is_torn = is_torn || (has_a ? 1u : 0u) + (has_b ? 1u : 0u) != want;
        atomic_fetch_add(&race->rounds, 1);
    }
    zone_reader_free(reader);
    return is_torn ? arg : NULL;
}

static void test_reader_and_writer(void **state)
{
    const char *const texts[] = {TEXT_A, TEXT_B};
    struct race race = {.db = new_db(MAKER_CONFIG)};
    pthread_t thread;
    void *torn = NULL;

    (void)state;
    assert_int_equal(zone_persist_put(race.db, "x.svc.test", texts, 2, 1).code, ERR_OK);
    assert_int_equal(pthread_create(&thread, NULL, read_on, &race), 0);
    for (unsigned i = 0; i < 1000 || atomic_load(&race.rounds) < 1000; i++) {
        struct zone_value v = make_value(i % 8, "a");
        assert_int_equal(zone_persist_put(race.db, "x.svc.test", texts, 1, 2).code, ERR_OK);
        assert_int_equal(zone_value_add(race.db, "x.svc.test.acme.svc.test", &v, 3).code, ERR_OK);
        assert_int_equal(zone_persist_put(race.db, "x.svc.test", texts, 2, 4).code, ERR_OK);
    }
    atomic_store(&race.is_over, true);
    assert_int_equal(pthread_join(thread, &torn), 0);
    assert_null(torn);
    zone_db_free(race.db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_life),
        cmocka_unit_test(test_serials),    cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_every_name), cmocka_unit_test(test_reader_and_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
