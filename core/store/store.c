#include "core/store/store.h"

#include "core/store/driver.h"
#include "core/store/migrate.h"
#include "core/store/writer.h"
#include "core/util/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

struct store {
    char *path;
    struct writer *writer;
    pthread_mutex_t lock; /* guards the three below */
    pthread_cond_t returned;
    struct db **idle; /* readers_max slots */
    unsigned idle_n;
    unsigned open_n;
    unsigned readers_max;
};

/* A call inside a call could wait for the connection or the thread that it occupies itself. */
static _Thread_local bool is_inside;

/* SQLite would create the file with the umask's mode; its -wal and -shm files take over the mode of
 * this one. */
static struct err create_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        return err_ok();
    }
    if (fd < 0) {
        FAIL(ERR_IO,
             "%s: cannot be created (%s): check that the state directory exists and that "
             "this user may write in it",
             path, err_errno_text(errno));
    }
    int synced = fsync(fd);
    (void)close(fd);
    AUTO(mem_freep) char *copy = mem_strdup(path);
    TRY_PTR(copy);
    char *slash = strrchr(copy, '/');
    if (slash != NULL) {
        slash[1] = '\0';
    }
    int dir = open(slash == NULL ? "." : copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        synced |= fsync(dir);
        (void)close(dir);
    }
    if (synced != 0) {
        FAIL(ERR_IO, "%s: cannot be synced to disk: %s", path, err_errno_text(errno));
    }
    return err_ok();
}

static void free_slot(struct store **store)
{
    store_close(*store);
}

struct err store_open(const struct store_options *options, const struct store_module *modules,
                      size_t modules_n, struct store **out)
{
    AUTO(free_slot) struct store *store = mem_zalloc(sizeof(*store));
    struct db *db = NULL;

    TRY_PTR(store);
    (void)pthread_mutex_init(&store->lock, NULL);
    (void)pthread_cond_init(&store->returned, NULL);
    store->readers_max = options->readers_max == 0 ? 1 : options->readers_max;
    store->path = mem_strdup(options->path);
    TRY_PTR(store->path);
    store->idle = mem_array(store->readers_max, sizeof(struct db *));
    TRY_PTR(store->idle);
    TRY(create_file(store->path));
    TRY(drv_open(store->path, DRV_WRITER, &db));
    struct err e = migrate_run(db, modules, modules_n);
    if (e.code != ERR_OK) {
        drv_close(db);
        return e;
    }
    TRY(writer_start(db, &store->writer));
    *out = MOVE(store);
    return err_ok();
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    /* Readers first: the last connection to close moves the log into the database file. */
    while (store->idle_n > 0) {
        drv_close(store->idle[--store->idle_n]);
    }
    writer_stop(store->writer);
    (void)pthread_cond_destroy(&store->returned);
    (void)pthread_mutex_destroy(&store->lock);
    mem_free(store->idle);
    mem_free(store->path);
    mem_free(store);
}

struct err store_write(struct store *store, const char *what, store_fn fn, void *arg)
{
    if (is_inside || writer_is_self(store->writer)) {
        FAIL(ERR_INTERNAL, "%s: a store call inside a store function", what);
    }
    return writer_run(store->writer, what, fn, arg);
}

static struct err reader_take(struct store *store, struct db **out)
{
    struct db *db = NULL;

    (void)pthread_mutex_lock(&store->lock);
    while (store->idle_n == 0 && store->open_n >= store->readers_max) {
        (void)pthread_cond_wait(&store->returned, &store->lock);
    }
    if (store->idle_n > 0) {
        db = store->idle[--store->idle_n];
    } else {
        store->open_n++;
    }
    (void)pthread_mutex_unlock(&store->lock);
    if (db == NULL) {
        struct err e = drv_open(store->path, DRV_READER, &db);
        if (e.code != ERR_OK) {
            (void)pthread_mutex_lock(&store->lock);
            store->open_n--;
            (void)pthread_cond_signal(&store->returned);
            (void)pthread_mutex_unlock(&store->lock);
            return e;
        }
    }
    *out = db;
    return err_ok();
}

static void reader_return(struct store *store, struct db *db)
{
    (void)pthread_mutex_lock(&store->lock);
    store->idle[store->idle_n++] = db;
    (void)pthread_cond_signal(&store->returned);
    (void)pthread_mutex_unlock(&store->lock);
}

struct err store_read(struct store *store, const char *what, store_fn fn, void *arg)
{
    struct db *db = NULL;

    if (is_inside || writer_is_self(store->writer)) {
        FAIL(ERR_INTERNAL, "%s: a store call inside a store function", what);
    }
    TRY(reader_take(store, &db));
    struct err e = drv_begin(db);
    if (e.code == ERR_OK) {
        is_inside = true;
        e = drv_call(db, fn, arg);
        is_inside = false;
    }
    if (e.code == ERR_OK) {
        drv_rollback(db);
        reader_return(store, db);
        return e;
    }
    struct err_trace trace = *err_trace();
    drv_rollback(db);
    reader_return(store, db);
    trace.code = e.code;
    return err_restore(&trace);
}
