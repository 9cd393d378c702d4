/* The store as its callers see it: errors, isolation, group commit, migrations. */
#include "core/store/store.h"
#include "core/util/log.h"
#include "core/util/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MODULE_SQL                                                                                 \
    "CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER NOT NULL, b BLOB) STRICT;"                      \
    "CREATE TABLE child (k TEXT NOT NULL REFERENCES t(k)) STRICT"
static const char *const STEPS[] = {MODULE_SQL, "ALTER TABLE t ADD COLUMN note TEXT"};
static const struct store_module MODULES[] = {{"test", STEPS, 2}};

struct fixture {
    char dir[64];
    char path[96];
    struct store *store;
};

static void open_store(struct fixture *f)
{
    const struct store_options options = {.path = f->path, .readers_max = 3};
    struct err e = store_open(&options, MODULES, 1, &f->store);

    if (e.code != ERR_OK) {
        fail_msg("%s", err_trace()->text);
    }
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));

    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/store-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/test.db", f->dir);
    open_store(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const SUFFIXES[] = {"", "-wal", "-shm", "-journal"};

    store_close(f->store);
    for (size_t i = 0; i < ARRAY_N(SUFFIXES); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s%s", f->path, SUFFIXES[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    mem_free(f);
    return 0;
}

/* --- store functions --- */

struct row {
    const char *k;
    int64_t v;
    bool fails_after;
};

static struct err put_row(struct db *db, void *arg)
{
    const struct row *row = arg;
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO t (k, v) VALUES (?1, ?2)");

    db_bind_text(q, 1, row->k);
    db_bind_int(q, 2, row->v);
    TRY(db_run(q, NULL));
    if (row->fails_after) {
        FAIL(ERR_DENIED, "row %s is not wanted", row->k);
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
    assert_int_equal(store_read(f->store, "count", count_rows, &n).code, ERR_OK);
    return n;
}

static enum err_code put(struct fixture *f, const char *k, int64_t v)
{
    struct row row = {k, v, false};
    return store_write(f->store, "put", put_row, &row).code;
}

struct sql {
    const char *text;
};

static struct err run_sql(struct db *db, void *arg)
{
    const struct sql *sql = arg;
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, sql->text);

    while (db_step(q)) {
        continue;
    }
    return db_finish(q);
}

static enum err_code run(struct fixture *f, const char *text)
{
    struct sql sql = {text};
    return store_write(f->store, "sql", run_sql, &sql).code;
}

/* --- failures --- */

static void test_bad_sql(void **state)
{
    struct fixture *f = *state;
    static const char *const BAD[] = {
        "SELEC 1",
        "SELECT nothing FROM t",
        "",
        "  ; ",
        "INSERT INTO t (k, v) VALUES ('a', 1); DELETE FROM t",
        "INSERT INTO t (k, v) VALUES ('a', \"1\")", /* double quotes are no string */
        "INSERT INTO t (k, v) VALUES ('a', 'text')",
        "INSERT INTO t (k, v) VALUES ('a', NULL)",
        "INSERT INTO child (k) VALUES ('nobody')",
    };

    for (size_t i = 0; i < ARRAY_N(BAD); i++) {
        enum err_code code = run(f, BAD[i]);
        assert_int_not_equal(code, ERR_OK);
        assert_int_equal(code, err_trace()->code);
        assert_true(strlen(err_trace()->text) > 10);
    }
    assert_int_equal(rows(f), 0);
}

static void test_read_cannot_write(void **state)
{
    struct fixture *f = *state;
    struct row row = {"a", 1, false};

    assert_int_equal(store_read(f->store, "w", put_row, &row).code, ERR_IO);
    assert_int_equal(rows(f), 0);
}

static void test_constraint_is_conflict(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f, "a", 1), ERR_OK);
    assert_int_equal(put(f, "a", 2), ERR_CONFLICT);
    assert_non_null(strstr(err_trace()->text, "t.k"));
    assert_int_equal(rows(f), 1);
    /* The cached statement is good again. */
    assert_int_equal(put(f, "b", 2), ERR_OK);
}

static void test_failed_function_rolls_back(void **state)
{
    struct fixture *f = *state;
    struct row row = {"a", 1, true};

    assert_int_equal(store_write(f->store, "put", put_row, &row).code, ERR_DENIED);
    assert_string_equal(err_trace()->text, "row a is not wanted");
    assert_non_null(strstr(err_trace()->file, "core_store_store_test.c"));
    assert_int_equal(rows(f), 0);
}

/* A function that ignores a failed statement is no success. */
static struct err ignore_failure(struct db *db, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO t (k, v) VALUES (?1, 1)");

    db_bind_text(q, 1, arg);
    (void)db_step(q);
    return err_ok();
}

static void test_unseen_failure(void **state)
{
    struct fixture *f = *state;
    char key[] = "a";

    assert_int_equal(store_write(f->store, "x", ignore_failure, key).code, ERR_OK);
    assert_int_equal(store_write(f->store, "x", ignore_failure, key).code, ERR_CONFLICT);
    assert_int_equal(rows(f), 1);
}

static struct err nested(struct db *db, void *arg)
{
    struct fixture *f = arg;
    int64_t n = 0;

    (void)db;
    assert_int_equal(store_read(f->store, "n", count_rows, &n).code, ERR_INTERNAL);
    return store_write(f->store, "n", count_rows, &n);
}

static void test_nested_call_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(store_write(f->store, "outer", nested, f).code, ERR_INTERNAL);
    assert_int_equal(store_read(f->store, "outer", nested, f).code, ERR_INTERNAL);
    assert_int_equal(put(f, "a", 1), ERR_OK);
}

static struct err put_big(struct db *db, void *arg)
{
    AUTO(db_stmt_release)
    struct db_stmt *q = db_prepare(db, "INSERT INTO t (k, v, b) VALUES (?1, 1, zeroblob(100000))");

    db_bind_text(q, 1, arg);
    return db_run(q, NULL);
}

static void test_disk_full(void **state)
{
    struct fixture *f = *state;
    char key[] = "big";

    assert_int_equal(run(f, "PRAGMA max_page_count = 12"), ERR_OK);
    assert_int_equal(store_write(f->store, "big", put_big, key).code, ERR_IO);
    assert_non_null(strstr(err_trace()->text, "the disk of the state directory is full"));
    assert_non_null(strstr(err_trace()->text, f->path));
    assert_int_equal(rows(f), 0);
    assert_int_equal(put(f, "small", 1), ERR_OK);
    assert_int_equal(rows(f), 1);
}

/* As an ordinary user, because root may write everywhere. */
static void test_read_only_directory(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(chmod(f->dir, 0555), 0);
    pid_t child = fork();
    if (child == 0) {
        char path[128];
        struct store *store = NULL;
        (void)snprintf(path, sizeof(path), "%s/new.db", f->dir);
        const struct store_options options = {.path = path, .readers_max = 1};
        bool is_user = geteuid() != 0 || setuid(65534) == 0;
        struct err e = store_open(&options, MODULES, 1, &store);
        bool is_said = strstr(err_trace()->text, "this user may write in it") != NULL;
        _exit(is_user && e.code == ERR_IO && is_said && store == NULL ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(status, 0);
}

static void test_open_refusals(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct store *store = NULL;

    (void)snprintf(path, sizeof(path), "%s/nowhere/test.db", f->dir);
    struct store_options options = {.path = path, .readers_max = 1};
    assert_int_equal(store_open(&options, MODULES, 1, &store).code, ERR_IO);
    options.path = f->dir;
    assert_int_equal(store_open(&options, MODULES, 1, &store).code, ERR_IO);

    (void)snprintf(path, sizeof(path), "%s/noise", f->dir);
    options.path = path;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 2000; i++) {
        (void)fputs("not a database at all\n", file);
    }
    (void)fclose(file);
    assert_int_equal(store_open(&options, MODULES, 1, &store).code, ERR_DB);
    assert_non_null(strstr(err_trace()->text, "restore a backup"));
    assert_null(store);
    (void)unlink(path);
}

/* --- migrations --- */

static void reopen_with(struct fixture *f, const struct store_module *modules, size_t n,
                        enum err_code want)
{
    const struct store_options options = {.path = f->path, .readers_max = 1};

    store_close(f->store);
    f->store = NULL;
    assert_int_equal(store_open(&options, modules, n, &f->store).code, want);
}

static void test_newer_schema_refused(void **state)
{
    struct fixture *f = *state;
    static const struct store_module FEWER[] = {{"test", STEPS, 1}};
    static const struct store_module OTHER[] = {{"other", STEPS, 2}};

    reopen_with(f, FEWER, 1, ERR_DB);
    assert_non_null(strstr(err_trace()->text, "newer version"));
    reopen_with(f, OTHER, 1, ERR_DB);
    assert_non_null(strstr(err_trace()->text, "newer version"));
    reopen_with(f, MODULES, 1, ERR_OK);
    assert_int_equal(put(f, "a", 1), ERR_OK);
}

static void test_failed_migration_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const BROKEN[] = {MODULE_SQL, "ALTER TABLE t ADD COLUMN note TEXT",
                                         "CREATE TABLE third (a INTEGER) STRICT",
                                         "CREATE TABLE t (again TEXT) STRICT"};
    static const char *const GOOD[] = {MODULE_SQL, "ALTER TABLE t ADD COLUMN note TEXT",
                                       "CREATE TABLE third (a INTEGER) STRICT"};
    static const struct store_module BAD_MODULE[] = {{"test", BROKEN, 4}};
    static const struct store_module GOOD_MODULES[] = {{"test", GOOD, 3}, {"late", GOOD + 2, 0}};

    assert_int_equal(put(f, "a", 1), ERR_OK);
    reopen_with(f, BAD_MODULE, 1, ERR_DB);
    reopen_with(f, GOOD_MODULES, 2, ERR_OK);
    assert_int_equal(rows(f), 1);
    assert_int_equal(run(f, "INSERT INTO third (a) VALUES (1)"), ERR_OK);
}

static void test_damaged_migration_table(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "DELETE FROM migration WHERE step = 1"), ERR_OK);
    reopen_with(f, MODULES, 1, ERR_DB);
    assert_non_null(strstr(err_trace()->text, "damaged"));
}

/* --- statements --- */

static struct err all_types(struct db *db, void *arg)
{
    static const uint8_t BYTES[] = {0, 1, 0, 255};
    AUTO(db_stmt_release)
    struct db_stmt *put = db_prepare(db, "INSERT INTO t (k, v, b, note) VALUES (?1, ?2, ?3, ?4)");
    AUTO(db_stmt_release)
    struct db_stmt *get = db_prepare(db, "SELECT k, v, b, note FROM t ORDER BY k");
    char text[6];
    size_t len = 99;
    int64_t changes = 0;

    (void)arg;
    db_bind_textn(put, 1, "abcdefgh", 3);
    db_bind_int(put, 2, INT64_MIN);
    db_bind_blob(put, 3, BYTES, sizeof(BYTES));
    db_bind_null(put, 4);
    TRY(db_run(put, &changes));
    assert_int_equal(changes, 1);
    db_bind_text(put, 1, "b"); /* the same statement again; the other bindings stay */
    db_bind_blob(put, 3, NULL, 0);
    db_bind_text(put, 4, NULL);
    TRY(db_run(put, &changes));
    assert_int_equal(db_last_rowid(db), 2);

    assert_true(db_col_is_null(get, 0)); /* before the first row */
    assert_string_equal(db_col_text(get, 0, &len), "");
    assert_int_equal(len, 0);
    assert_true(db_step(get));
    assert_string_equal(db_col_text(get, 0, &len), "abc");
    assert_int_equal(len, 3);
    assert_true(db_col_int(get, 1) == INT64_MIN);
    assert_memory_equal(db_col_blob(get, 2, &len), BYTES, sizeof(BYTES));
    assert_int_equal(len, sizeof(BYTES));
    assert_true(db_col_is_null(get, 3));
    assert_string_equal(db_col_text(get, 3, NULL), "");
    assert_true(db_col_is_null(get, 17));
    db_col_copy(get, 0, text, sizeof(text));
    assert_string_equal(text, "abc");
    assert_true(db_step(get));
    assert_false(db_col_is_null(get, 2)); /* an empty blob is a value */
    assert_null(db_col_blob(get, 2, &len));
    assert_int_equal(len, 0);
    assert_false(db_step(get));
    assert_false(db_step(get)); /* the end stays the end */
    TRY(db_finish(get));
    assert_true(db_step(get)); /* and begins anew after db_finish() */
    return db_finish(get);
}

static void test_statement_values(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(store_write(f->store, "types", all_types, NULL).code, ERR_OK);
}

struct copy_case {
    const char *sql;
    size_t cap;
    enum err_code want;
};

static struct err copy_text(struct db *db, void *arg)
{
    const struct copy_case *c = arg;
    char out[8];
    AUTO(db_stmt_release) struct db_stmt *q = db_prepare(db, c->sql);

    memset(out, 'x', sizeof(out));
    while (db_step(q)) {
        db_col_copy(q, 0, out, c->cap);
        assert_int_equal(out[7], 'x');
    }
    return db_finish(q);
}

static void test_copy_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct copy_case cases[] = {
        {"SELECT 'abcd'", 4, ERR_DB}, {"SELECT 'ab' || char(0) || 'c'", 7, ERR_DB},
        {"SELECT 'abcd'", 1, ERR_DB}, {"SELECT 'abc'", 4, ERR_OK},
        {"SELECT ''", 1, ERR_OK},     {"SELECT NULL", 1, ERR_OK},
        {"SELECT 123", 4, ERR_OK},
    };

    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        assert_int_equal(store_read(f->store, "copy", copy_text, &cases[i]).code, cases[i].want);
    }
}

static struct err same_twice(struct db *db, void *arg)
{
    static const char SQL[] = "SELECT k FROM t ORDER BY k";
    AUTO(db_stmt_release) struct db_stmt *outer = db_prepare(db, SQL);
    int seen = 0;

    while (db_step(outer)) {
        AUTO(db_stmt_release) struct db_stmt *inner = db_prepare(db, SQL);
        while (db_step(inner)) {
            seen++;
        }
        TRY(db_finish(inner));
    }
    *(int *)arg = seen;
    return db_finish(outer);
}

static void test_one_statement_nested_in_itself(void **state)
{
    struct fixture *f = *state;
    int seen = 0;

    assert_int_equal(put(f, "a", 1), ERR_OK);
    assert_int_equal(put(f, "b", 1), ERR_OK);
    assert_int_equal(put(f, "c", 1), ERR_OK);
    assert_int_equal(store_read(f->store, "twice", same_twice, &seen).code, ERR_OK);
    assert_int_equal(seen, 9);
}

static void test_file_mode(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char path[128];

    assert_int_equal(put(f, "a", 1), ERR_OK);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)snprintf(path, sizeof(path), "%s-wal", f->path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(stat(path, &st), -1); /* closing leaves one file */
    open_store(f);
    assert_int_equal(rows(f), 1);
}

#define READERS 16

struct view {
    struct fixture *f;
    _Atomic int64_t acknowledged;
    _Atomic bool is_over;
    _Atomic int wrong;
};

static void *reader_main(void *arg)
{
    struct view *view = arg;

    while (!atomic_load(&view->is_over)) {
        int64_t before = atomic_load(&view->acknowledged);
        int64_t n = -1;
        struct err e = store_read(view->f->store, "count", count_rows, &n);
        if (e.code != ERR_OK || n < before) {
            atomic_fetch_add(&view->wrong, 1);
        }
    }
    return NULL;
}

/* More readers than connections, each of which sees everything that was acknowledged before it
 * began. */
static void test_read_view_is_current(void **state)
{
    struct fixture *f = *state;
    struct view view = {.f = f};
    pthread_t threads[READERS];

    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, reader_main, &view), 0);
    }
    for (int i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(put(f, key, i), ERR_OK);
        atomic_store(&view.acknowledged, i + 1);
    }
    atomic_store(&view.is_over, true);
    for (size_t i = 0; i < READERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&view.wrong), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bad_sql, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_cannot_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_constraint_is_conflict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_function_rolls_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unseen_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nested_call_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_schema_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_migration_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_migration_table, setup, teardown),
        cmocka_unit_test_setup_teardown(test_statement_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copy_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_statement_nested_in_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_view_is_current, setup, teardown),
    };
    log_setup(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
