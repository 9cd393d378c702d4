/* The single writer: a queue of functions, one thread, group commit.
 *
 * Internal to core/store. Thread rule: writer_run() any thread but the writer's own; a job lives on
 * its caller's stack until the caller is woken. */
#ifndef CORE_STORE_WRITER_H
#define CORE_STORE_WRITER_H

#include "core/store/store.h"

#define WRITER_BATCH_MAX 256u /* functions that share one commit */

struct writer;
/* Takes the connection over, also on failure. */
MUST_USE struct err writer_start(struct db *take_db, struct writer **out);
MUST_USE struct err writer_run(struct writer *writer, const char *what, store_fn fn, void *arg);
/* Runs what is queued, ends the thread, closes the connection. NULL is fine. */
void writer_stop(struct writer *writer);
/* Functions that wait for the next batch. */
size_t writer_queued(struct writer *writer);
struct writer_stats {
    uint64_t writes;  /* functions committed */
    uint64_t batches; /* commits, that is fsyncs */
    uint64_t failed_batches;
};
void writer_stats(const struct writer *writer, struct writer_stats *out);
/* True on the writer's own thread: a store call from there would wait for itself. */
bool writer_is_self(const struct writer *writer);

#endif
