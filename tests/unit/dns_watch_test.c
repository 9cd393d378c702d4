#include <pthread.h>

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "dns/watch.h"
#include "tests/unit/dns_maker.h"

enum { A = 1, TXT = 16, CAA = 257, NSEC3 = 50 };

struct fixture {
    struct zone_db *db;
    struct watch *watch;
    struct watch_thread *thread;
};

static int setup(void **state)
{
    struct config *cfg = make_config(MAKER_CONFIG);
    struct fixture *f = mem_zalloc(sizeof(*f));

    assert_non_null(f);
    assert_int_equal(zone_db_new(cfg, 100, &f->db).code, ERR_OK);
    assert_int_equal(watch_new(f->db, &f->watch).code, ERR_OK);
    assert_int_equal(watch_thread_new(f->watch, &f->thread).code, ERR_OK);
    config_free(cfg);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    watch_free(f->watch);
    watch_free(NULL);
    zone_db_free(f->db);
    mem_free(f);
    return 0;
}

struct noted {
    int16_t zone;
    uint16_t type, rcode;
    enum answer_verdict verdict;
};

static void note(struct watch_thread *thread, const char *name, const struct noted *n)
{
    uint8_t query[512];
    struct ip_addr peer = {4, {192, 0, 2, 9}};
    struct answer_in in = {.query = query, .is_tcp = true, .peer = &peer};
    const struct answer_info info = {
        .zone = n->zone, .type = n->type, .rcode = n->rcode, .reason = ANSWER_INGRESS};

    in.query_len = name == NULL ? 3 : make_query(name, n->type, query);
    watch_note(thread, &in, &info, n->verdict);
}

static void test_counts(void **state)
{
    struct fixture *f = *state;
    static const struct noted noted[] = {
        {0, A, 0, ANSWER_SEND},
        {0, A, 0, ANSWER_SEND},
        {0, A, 3, ANSWER_SEND},
        {1, A, 0, ANSWER_SEND},
        {-1, TXT, 5, ANSWER_SEND},
        {-1, 0, 1, ANSWER_SEND},
        {0, NSEC3, 0, ANSWER_SEND},
        {0, 65280, 0, ANSWER_SEND},
        {0, CAA, 9, ANSWER_WORK},
        {0, A, 0, ANSWER_DROP},
        {0, A, 0, ANSWER_FORWARD},
        {4000, A, 4000, ANSWER_SEND},
        {0, WATCH_TYPE_OTHER, 23, ANSWER_SEND},
    };
    static const struct watch_count want[] = {
        {"", 0, 1, 1},
        {"", A, 65535, 1},
        {"", TXT, 5, 1},
        {"six.test", A, 0, 1},
        {"svc.test", A, 0, 2},
        {"svc.test", A, 3, 1},
        {"svc.test", CAA, 9, 1},
        {"svc.test", WATCH_TYPE_OTHER, 0, 2},
        {"svc.test", WATCH_TYPE_OTHER, 23, 1},
    };
    struct watch_count *got = NULL;
    struct watch_thread *other = NULL;
    size_t n = 1;

    assert_int_equal(watch_counts(f->watch, &got, &n).code, ERR_OK);
    assert_int_equal(n, 0);
    mem_free(got);
    assert_int_equal(watch_thread_new(f->watch, &other).code, ERR_OK);
    for (size_t i = 0; i < ARRAY_N(noted); i++) { /* the sums of all threads */
        note(i % 2 == 0 ? f->thread : other, "a.svc.test", &noted[i]);
    }
    assert_int_equal(watch_counts(f->watch, &got, &n).code, ERR_OK);
    assert_int_equal(n, ARRAY_N(want));
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(got[i].zone, want[i].zone);
        assert_int_equal(got[i].type, want[i].type);
        assert_int_equal(got[i].rcode, want[i].rcode);
        assert_int_equal(got[i].n, want[i].n);
    }
    mem_free(got);
}

static void test_log_is_off(void **state)
{
    struct fixture *f = *state;
    struct watch_entry *got = NULL;
    size_t n = 1;

    assert_false(watch_log_is_on(f->watch));
    note(f->thread, "a.svc.test", &(struct noted){0, A, 0, ANSWER_SEND});
    assert_int_equal(watch_log(f->watch, 10, &got, &n).code, ERR_OK);
    assert_int_equal(n, 0);
    mem_free(got);
}

static void test_log(void **state)
{
    struct fixture *f = *state;
    struct watch_entry *got = NULL;
    size_t n = 0;

    watch_log_set(f->watch, true);
    assert_true(watch_log_is_on(f->watch));
    note(f->thread, "a.svc.test", &(struct noted){0, A, 0, ANSWER_DROP}); /* nothing was answered */
    note(f->thread, "A b.svc.test", &(struct noted){0, A, 0, ANSWER_SEND});
    note(f->thread, NULL, &(struct noted){-1, 0, 1, ANSWER_SEND});
    note(f->thread, "x.test", &(struct noted){-1, TXT, 5, ANSWER_FORWARD});
    watch_log_set(f->watch, false);
    note(f->thread, "late.test", &(struct noted){-1, TXT, 5, ANSWER_SEND});
    assert_int_equal(watch_log(f->watch, 10, &got, &n).code, ERR_OK);
    assert_int_equal(n, 3);
    assert_string_equal(got[0].name, "a\\032b.svc.test");
    assert_int_equal(got[0].type, A);
    assert_true(got[0].is_tcp);
    assert_int_equal(got[0].peer.bytes[3], 9);
    assert_int_equal(got[0].reason, ANSWER_INGRESS);
    assert_true(got[0].unix_ms <= clock_unix_ms() && got[0].unix_ms > 0);
    assert_string_equal(got[1].name, "");
    assert_int_equal(got[1].rcode, 1);
    assert_int_equal(got[2].verdict, ANSWER_FORWARD);
    mem_free(got);
    assert_int_equal(watch_log(f->watch, 1, &got, &n).code, ERR_OK); /* the newest */
    assert_int_equal(n, 1);
    assert_string_equal(got[0].name, "x.test");
    mem_free(got);
}

static void test_log_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct watch_entry *got = NULL;
    char name[32];
    size_t n = 0;

    watch_log_set(f->watch, true);
    for (unsigned i = 0; i < WATCH_LOG_MAX + 100; i++) {
        (void)snprintf(name, sizeof(name), "n%u.svc.test", i);
        note(f->thread, name, &(struct noted){0, A, 0, ANSWER_SEND});
    }
    assert_int_equal(watch_log(f->watch, SIZE_MAX, &got, &n).code, ERR_OK);
    assert_int_equal(n, WATCH_LOG_MAX);
    assert_string_equal(got[0].name, "n100.svc.test");
    (void)snprintf(name, sizeof(name), "n%u.svc.test", WATCH_LOG_MAX + 99);
    assert_string_equal(got[n - 1].name, name);
    mem_free(got);
}

static void *noting_main(void *arg)
{
    for (unsigned i = 0; i < 2000; i++) {
        note(arg, "a.svc.test", &(struct noted){0, A, 0, ANSWER_SEND});
    }
    return NULL;
}

/* Counting, reading, logging and switching at the same time. */
static void test_threads(void **state)
{
    struct fixture *f = *state;
    struct watch_thread *other = NULL;
    pthread_t threads[2];

    assert_int_equal(watch_thread_new(f->watch, &other).code, ERR_OK);
    assert_int_equal(pthread_create(&threads[0], NULL, noting_main, f->thread), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, noting_main, other), 0);
    for (unsigned i = 0; i < 50; i++) {
        struct watch_count *counts = NULL;
        struct watch_entry *entries = NULL;
        size_t n = 0;
        watch_log_set(f->watch, i % 2 == 0);
        assert_int_equal(watch_counts(f->watch, &counts, &n).code, ERR_OK);
        assert_true(n <= 1);
        mem_free(counts);
        assert_int_equal(watch_log(f->watch, 5, &entries, &n).code, ERR_OK);
        mem_free(entries);
    }
    for (size_t i = 0; i < ARRAY_N(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    struct watch_count *counts = NULL;
    size_t n = 0;
    assert_int_equal(watch_counts(f->watch, &counts, &n).code, ERR_OK);
    assert_int_equal(n, 1);
    assert_int_equal(counts[0].n, 4000);
    mem_free(counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_is_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
