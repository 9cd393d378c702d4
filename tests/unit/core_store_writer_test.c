/* Group commit: many callers share one commit, each keeps its own outcome; kill -9 loses nothing
 * acknowledged. */
#include "core/store/driver.h"
#include "core/store/migrate.h"
#include "core/store/store.h"
#include "core/store/writer.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const STEPS[] = {
    "CREATE TABLE t (id INTEGER PRIMARY KEY, pad BLOB NOT NULL DEFAULT x'') STRICT"};
static const struct store_module MODULES[] = {{"test", STEPS, 1}};

struct fixture {
    char dir[64];
    char path[96];
    struct writer *writer;
};

static void must(struct err e)
{
    if (e.code != ERR_OK) {
        fail_msg("%s", err_trace()->text);
    }
}

static void open_writer(struct fixture *f)
{
    struct db *db = NULL;
    int fd = open(f->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    (void)close(fd);
    must(drv_open(f->path, DRV_WRITER, &db));
    must(migrate_run(db, MODULES, ARRAY_N(MODULES)));
    must(writer_start(db, &f->writer));
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));

    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/store-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/test.db", f->dir);
    open_writer(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const SUFFIXES[] = {"", "-wal", "-shm"};

    writer_stop(f->writer);
    for (size_t i = 0; i < ARRAY_N(SUFFIXES); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s%s", f->path, SUFFIXES[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    mem_free(f);
    return 0;
}

/* --- the journal of hooks: what ran, in which order, on the writer thread --- */

#define EVENTS_MAX 4096
static struct {
    int64_t ran[EVENTS_MAX];
    size_t ran_n;
    _Atomic size_t freed_n;
} journal;

static void note_ran(void *arg)
{
    journal.ran[journal.ran_n++] = *(int64_t *)arg;
}

static void note_freed(void *arg)
{
    atomic_fetch_add(&journal.freed_n, 1);
    mem_free(arg);
}

struct insert {
    int64_t id;
    int64_t pad; /* bytes */
    bool fails;
    bool has_hook;
};

static struct err insert_row(struct db *db, void *arg)
{
    const struct insert *in = arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO t (id, pad) VALUES (?1, zeroblob(?2))");

    if (in->has_hook) {
        int64_t *copy = mem_dup(&in->id, sizeof(in->id));
        TRY_PTR(copy);
        TRY(db_on_commit(db, note_ran, note_freed, copy));
    }
    db_bind_int(q, 1, in->id);
    db_bind_int(q, 2, in->pad);
    TRY(db_run(q, NULL));
    if (in->fails) {
        FAIL(ERR_DENIED, "row %lld is not wanted", (long long)in->id);
    }
    return err_ok();
}

static struct err count_rows(struct db *db, void *arg)
{
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, "SELECT count(*) FROM t");

    if (db_step(q)) {
        *(int64_t *)arg = db_col_int(q, 0);
    }
    return db_finish(q);
}

static int64_t rows(struct fixture *f)
{
    int64_t n = -1;
    assert_int_equal(writer_run(f->writer, "count", count_rows, &n).code, ERR_OK);
    return n;
}

/* --- a batch whose members are known: the writer is held inside a function while they queue up  */

struct gate {
    sem_t entered;
    sem_t open;
};

static struct err wait_at_gate(struct db *db, void *arg)
{
    struct gate *gate = arg;

    (void)db;
    (void)sem_post(&gate->entered);
    while (sem_wait(&gate->open) != 0) {
        continue;
    }
    return err_ok();
}

struct caller {
    pthread_t thread;
    struct writer *writer;
    store_fn fn;
    void *arg;
    struct err_trace outcome;
};

static void *caller_main(void *arg)
{
    struct caller *c = arg;
    struct err e = writer_run(c->writer, "test", c->fn, c->arg);

    if (e.code != ERR_OK) {
        c->outcome = *err_trace();
    }
    c->outcome.code = e.code;
    return NULL;
}

static void caller_start(struct caller *c, struct writer *writer, store_fn fn, void *arg)
{
    memset(c, 0, sizeof(*c));
    c->writer = writer;
    c->fn = fn;
    c->arg = arg;
    assert_int_equal(pthread_create(&c->thread, NULL, caller_main, c), 0);
}

#define BATCH 40

/* Run n inserts that share one batch. */
static void run_batch(struct fixture *f, struct insert *inserts, struct caller *callers, size_t n)
{
    struct gate gate;
    struct caller holder;

    (void)sem_init(&gate.entered, 0, 0);
    (void)sem_init(&gate.open, 0, 0);
    caller_start(&holder, f->writer, wait_at_gate, &gate);
    while (sem_wait(&gate.entered) != 0) {
        continue;
    }
    for (size_t i = 0; i < n; i++) {
        caller_start(&callers[i], f->writer, insert_row, &inserts[i]);
    }
    while (writer_queued(f->writer) < n) {
        (void)sched_yield();
    }
    (void)sem_post(&gate.open);
    for (size_t i = 0; i < n; i++) {
        (void)pthread_join(callers[i].thread, NULL);
    }
    (void)pthread_join(holder.thread, NULL);
    (void)sem_destroy(&gate.entered);
    (void)sem_destroy(&gate.open);
}

static void test_failure_rolls_back_alone(void **state)
{
    struct fixture *f = *state;
    struct insert inserts[BATCH] = {{0}};
    struct caller callers[BATCH];

    memset(&journal, 0, sizeof(journal));
    for (size_t i = 0; i < BATCH; i++) {
        inserts[i] = (struct insert){.id = (int64_t)i + 1, .fails = i % 4 == 1, .has_hook = true};
        if (i % 4 == 2) {
            inserts[i].id = -7; /* all but the first of these break the primary key */
        }
    }
    run_batch(f, inserts, callers, BATCH);
    struct writer_stats stats;
    writer_stats(f->writer, &stats);
    int64_t durable = 0;
    int conflicts = 0;
    for (size_t i = 0; i < BATCH; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "row %lld is not wanted", (long long)inserts[i].id);
        durable += callers[i].outcome.code == ERR_OK ? 1 : 0;
        conflicts += callers[i].outcome.code == ERR_CONFLICT ? 1 : 0;
        if (inserts[i].fails) {
            assert_int_equal(callers[i].outcome.code, ERR_DENIED);
            assert_string_equal(callers[i].outcome.text, text);
        }
    }
    assert_int_equal(conflicts, BATCH / 4 - 1);
    assert_int_equal(durable, BATCH / 2 + 1);
    assert_int_equal(rows(f), durable);
    assert_int_equal(journal.ran_n, durable);
    assert_int_equal(atomic_load(&journal.freed_n), BATCH);
    assert_int_equal(stats.writes, durable + 1);
    assert_int_equal(stats.batches, 2); /* the gate alone, then everything */
    assert_int_equal(stats.failed_batches, 0);
}

static struct err limit_pages(struct db *db, void *arg)
{
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, "PRAGMA max_page_count = 100");

    (void)arg;
    (void)db_step(q);
    return db_finish(q);
}

/* Full disk in mid-batch rolls the whole transaction back: each function then runs alone, the small
 * ones succeed. */
static void test_failed_batch_is_retried_alone(void **state)
{
    struct fixture *f = *state;
    struct insert inserts[BATCH] = {{0}};
    struct caller callers[BATCH];
    struct writer_stats stats;

    memset(&journal, 0, sizeof(journal));
    must(writer_run(f->writer, "limit", limit_pages, NULL));
    for (size_t i = 0; i < BATCH; i++) {
        inserts[i] = (struct insert){
            .id = (int64_t)i + 1, .pad = i % 10 == 5 ? 1000000 : 10, .has_hook = true};
    }
    run_batch(f, inserts, callers, BATCH);
    for (size_t i = 0; i < BATCH; i++) {
        assert_int_equal(callers[i].outcome.code, i % 10 == 5 ? ERR_IO : ERR_OK);
    }
    assert_int_equal(rows(f), BATCH - BATCH / 10);
    assert_int_equal(journal.ran_n, BATCH - BATCH / 10);
    /* Those of the first attempt were freed as well. */
    assert_true(atomic_load(&journal.freed_n) > BATCH);
    writer_stats(f->writer, &stats);
    assert_int_equal(stats.failed_batches, 1);
}

#define WRITERS 32
#define EACH 40

struct load {
    pthread_t thread;
    struct writer *writer;
    int64_t base;
    int failures;
};

static void *load_main(void *arg)
{
    struct load *load = arg;

    for (int64_t i = 0; i < EACH; i++) {
        struct insert in = {.id = load->base + i, .pad = 100, .has_hook = true};
        struct err e = writer_run(load->writer, "load", insert_row, &in);
        load->failures += e.code == ERR_OK ? 0 : 1;
    }
    return NULL;
}

static void test_many_writers_share_commits(void **state)
{
    struct fixture *f = *state;
    struct load loads[WRITERS] = {{0}};
    struct writer_stats stats;

    memset(&journal, 0, sizeof(journal));
    for (size_t i = 0; i < WRITERS; i++) {
        loads[i] = (struct load){.writer = f->writer, .base = (int64_t)i * EACH + 1};
        assert_int_equal(pthread_create(&loads[i].thread, NULL, load_main, &loads[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        (void)pthread_join(loads[i].thread, NULL);
        assert_int_equal(loads[i].failures, 0);
    }
    writer_stats(f->writer, &stats);
    assert_int_equal(rows(f), WRITERS * EACH);
    assert_int_equal(stats.writes, WRITERS * EACH);
    assert_true(stats.batches < stats.writes);
    assert_int_equal(journal.ran_n, WRITERS * EACH);
    assert_int_equal(atomic_load(&journal.freed_n), WRITERS * EACH);
    /* One thread's hooks ran in the order of its writes. */
    int64_t next[WRITERS] = {0};
    for (size_t i = 0; i < journal.ran_n; i++) {
        size_t writer = (size_t)(journal.ran[i] - 1) / EACH;
        assert_int_equal((journal.ran[i] - 1) % EACH, next[writer]);
        next[writer]++;
    }
}

/* A hook has run before its caller goes on. */
static void test_hook_before_caller(void **state)
{
    struct fixture *f = *state;

    memset(&journal, 0, sizeof(journal));
    for (int64_t i = 1; i <= 20; i++) {
        struct insert in = {.id = i, .has_hook = true};
        assert_int_equal(writer_run(f->writer, "hook", insert_row, &in).code, ERR_OK);
        assert_int_equal(journal.ran_n, i);
        assert_int_equal(journal.ran[i - 1], i);
    }
}

static void test_hook_needs_a_write(void **state)
{
    struct fixture *f = *state;
    struct db *db = NULL;
    int64_t *value = mem_zalloc(sizeof(*value));

    memset(&journal, 0, sizeof(journal));
    must(drv_open(f->path, DRV_READER, &db));
    assert_int_equal(db_on_commit(db, note_ran, note_freed, value).code, ERR_INTERNAL);
    drv_close(db);
    assert_int_equal(journal.ran_n, 0);
    assert_int_equal(atomic_load(&journal.freed_n), 1);
}

/* Stop runs what is queued. */
static void test_stop_drains(void **state)
{
    struct fixture *f = *state;
    struct insert inserts[BATCH] = {{0}};
    struct caller callers[BATCH];

    for (size_t i = 0; i < BATCH; i++) {
        inserts[i].id = (int64_t)i + 1;
    }
    run_batch(f, inserts, callers, BATCH);
    writer_stop(f->writer);
    writer_stop(NULL);
    open_writer(f);
    assert_int_equal(rows(f), BATCH);
}

/* --- SIGKILL --- */

static _Noreturn void child_main(const char *path, int out)
{
    const struct store_options options = {.path = path, .readers_max = 1};
    struct store *store = NULL;

    if (store_open(&options, MODULES, 1, &store).code != ERR_OK) {
        _exit(1);
    }
    for (int64_t id = 1;; id++) {
        struct insert in = {.id = id, .pad = 200};
        if (store_write(store, "kill", insert_row, &in).code != ERR_OK ||
            write(out, &id, sizeof(id)) != (ssize_t)sizeof(id)) {
            _exit(1);
        }
    }
}

static void test_killed_process_keeps_its_word(void **state)
{
    struct fixture *f = *state;
    int pipe_fds[2];
    int64_t acknowledged = 0;

    writer_stop(f->writer);
    f->writer = NULL;
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)close(pipe_fds[0]);
        child_main(f->path, pipe_fds[1]);
    }
    (void)close(pipe_fds[1]);
    int64_t id = 0;
    while (read(pipe_fds[0], &id, sizeof(id)) == (ssize_t)sizeof(id)) {
        acknowledged = id;
        if (id == 50) {
            assert_int_equal(kill(child, SIGKILL), 0);
        }
    }
    (void)close(pipe_fds[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    open_writer(f);
    assert_true(acknowledged >= 50);
    assert_true(rows(f) == acknowledged || rows(f) == acknowledged + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_failure_rolls_back_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_batch_is_retried_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_writers_share_commits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hook_before_caller, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hook_needs_a_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_drains, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_process_keeps_its_word, setup, teardown),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
