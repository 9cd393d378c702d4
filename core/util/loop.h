/* An event loop: one thread, epoll, timers, and functions posted from other threads.
 *
 * Everything that waits for peers on the network outside HTTP and DNS serving (look-ups, http-01,
 * tls-alpn-01) lives on one such thread as callbacks, so that a thousand silent peers cost memory
 * but no thread. Callbacks must not block and must not call the store. Watches and timers are
 * embedded in their owner's struct and are used on the loop's thread only; removing one inside any
 * callback is safe, its own included. */
#ifndef CORE_UTIL_LOOP_H
#define CORE_UTIL_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"

struct loop;

/* One watched descriptor; zeroed before its first use. */
struct loop_fd {
    int fd;
    uint32_t events; /* EPOLLIN, EPOLLOUT */
    void (*fn)(void *arg, uint32_t events);
    void *arg;
    bool is_watched;
};
/* One timer; zeroed before its first use. */
struct loop_timer {
    int64_t at_ms; /* clock_mono_ms() */
    void (*fn)(void *arg);
    void *arg;
    bool is_set;
    size_t heap_index;
};

MUST_USE struct err loop_new(struct loop **out);
/* Start the thread; before that loop_post() already queues. ERR_LIMIT. */
MUST_USE struct err loop_start(struct loop *loop);
/* Ask the thread to end after the callback that runs, and join it: afterwards its watches and
 * timers never fire, so their owners can be freed. Functions still queued do not run. Idempotent;
 * any thread but the loop's. */
void loop_stop(struct loop *loop);
/* Stops first. NULL is fine. */
void loop_free(struct loop *loop);
/* Run fn(arg) on the loop's thread, in order of posting. Any thread. ERR_NOMEM; ERR_BAD_STATE once
 * the loop is stopping. */
MUST_USE struct err loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);

/* --- on the loop's thread only ----------------------------------------------------------------- */
/* Watch fd; the caller owns and closes it, after loop_fd_remove(). */
MUST_USE struct err loop_fd_add(struct loop *loop, struct loop_fd *watch, int fd, uint32_t events,
                                void (*fn)(void *arg, uint32_t events), void *arg);
MUST_USE struct err loop_fd_change(struct loop *loop, struct loop_fd *watch, uint32_t events);
void loop_fd_remove(struct loop *loop, struct loop_fd *watch); /* not watched: nothing happens */
/* Fire once at at_ms; setting a set timer moves it. ERR_NOMEM. */
MUST_USE struct err loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_ms,
                                   void (*fn)(void *arg), void *arg);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);
/* For tests, on a loop without a thread: run what is queued, ready and due, waiting up to wait_ms
 * for something to happen. Returns how many callbacks ran. */
size_t loop_run_once(struct loop *loop, int wait_ms);

#endif
