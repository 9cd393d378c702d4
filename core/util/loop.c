#include "core/util/loop.h"

#include "core/util/clock.h"
#include "core/util/mem.h"
#include "core/util/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_MAX 64
#define HEAP_FIRST 64u
/* While timers are set, a wait is at most this long: the test clock may jump meanwhile. */
#define SLICE_MS 100
/* What epoll reports without being asked. */
#define EVENTS_ALWAYS ((uint32_t)(EPOLLERR | EPOLLHUP))

struct post {
    void (*fn)(void *arg);
    void *arg;
    struct post *next;
};

struct loop {
    int epoll_fd;
    int wake_fd;
    _Atomic bool is_stopping;

    pthread_mutex_t lock; /* guards the queue; is_stopping changes under it */
    struct post *first, *last;

    pthread_mutex_t life; /* held while the thread is started or joined */
    pthread_t thread;
    bool is_started, is_joined;

    /* --- the loop's thread only --- */
    struct loop_timer **heap; /* the earliest first */
    size_t heap_n, heap_cap;
    struct epoll_event events[EVENTS_MAX]; /* the batch: a watch that goes is struck out here */
    int events_n;
};

static void wake(struct loop *loop)
{
    uint64_t one = 1;

    (void)!write(loop->wake_fd, &one, sizeof(one)); /* full: it is awake anyway */
}

struct err loop_new(struct loop **out)
{
    struct loop *loop = mem_zalloc(sizeof(*loop));

    TRY_PTR(loop);
    (void)pthread_mutex_init(&loop->lock, NULL);
    (void)pthread_mutex_init(&loop->life, NULL);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &loop->wake_fd};
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 ||
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &ev) != 0) {
        int error = errno;
        loop_free(loop);
        FAIL(ERR_IO, "event loop: %s", err_errno_text(error));
    }
    *out = loop;
    return err_ok();
}

/* --- functions from other threads -------------------------------------------------------------- */

struct err loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
    struct post *post = mem_zalloc(sizeof(*post));

    TRY_PTR(post);
    post->fn = fn;
    post->arg = arg;
    (void)pthread_mutex_lock(&loop->lock);
    bool is_taken = !loop->is_stopping;
    bool was_empty = loop->first == NULL;
    if (is_taken && was_empty) {
        loop->first = loop->last = post;
    } else if (is_taken) {
        loop->last->next = post;
        loop->last = post;
    }
    (void)pthread_mutex_unlock(&loop->lock);
    if (!is_taken) {
        mem_free(post);
        FAIL(ERR_BAD_STATE, "the event loop is stopping");
    }
    if (was_empty) {
        wake(loop);
    }
    return err_ok();
}

static void free_posts(struct post *first)
{
    while (first != NULL) {
        struct post *next = first->next;
        mem_free(first);
        first = next;
    }
}

/* What is posted meanwhile runs in the next round, so that events and timers get their turn. */
static size_t run_posts(struct loop *loop)
{
    size_t ran = 0;

    (void)pthread_mutex_lock(&loop->lock);
    struct post *first = loop->first;
    loop->first = loop->last = NULL;
    (void)pthread_mutex_unlock(&loop->lock);
    while (first != NULL && !loop->is_stopping) {
        struct post *post = first;
        first = post->next;
        post->fn(post->arg);
        mem_free(post);
        ran++;
    }
    free_posts(first);
    return ran;
}

/* --- timers ------------------------------------------------------------------------------------ */

static void heap_put(struct loop *loop, size_t at, struct loop_timer *timer)
{
    loop->heap[at] = timer;
    timer->heap_index = at;
}

/* `timer` belongs at `at` or nearer to the top. */
static void heap_up(struct loop *loop, size_t at, struct loop_timer *timer)
{
    while (at > 0 && loop->heap[(at - 1) / 2]->at_ms > timer->at_ms) {
        heap_put(loop, at, loop->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(loop, at, timer);
}

/* `timer` belongs at `at` or farther from the top. */
static void heap_down(struct loop *loop, size_t at, struct loop_timer *timer)
{
    for (size_t child = 2 * at + 1; child < loop->heap_n; child = 2 * at + 1) {
        if (child + 1 < loop->heap_n && loop->heap[child + 1]->at_ms < loop->heap[child]->at_ms) {
            child++;
        }
        if (loop->heap[child]->at_ms >= timer->at_ms) {
            break;
        }
        heap_put(loop, at, loop->heap[child]);
        at = child;
    }
    heap_put(loop, at, timer);
}

static void heap_place(struct loop *loop, size_t at, struct loop_timer *timer)
{
    if (at > 0 && loop->heap[(at - 1) / 2]->at_ms > timer->at_ms) {
        heap_up(loop, at, timer);
    } else {
        heap_down(loop, at, timer);
    }
}

static struct err heap_grow(struct loop *loop)
{
    if (loop->heap_n < loop->heap_cap) {
        return err_ok();
    }
    size_t cap = loop->heap_cap == 0 ? HEAP_FIRST : 2 * loop->heap_cap;
    struct loop_timer **heap = mem_resize(loop->heap, cap * sizeof(void *));
    TRY_PTR(heap);
    loop->heap = heap;
    loop->heap_cap = cap;
    return err_ok();
}

struct err loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_ms,
                          void (*fn)(void *arg), void *arg)
{
    if (!timer->is_set) {
        TRY(heap_grow(loop));
        timer->heap_index = loop->heap_n++;
    }
    timer->is_set = true;
    timer->at_ms = at_ms;
    timer->fn = fn;
    timer->arg = arg;
    heap_place(loop, timer->heap_index, timer);
    return err_ok();
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    if (!timer->is_set) {
        return;
    }
    timer->is_set = false;
    struct loop_timer *last = loop->heap[--loop->heap_n];
    if (last != timer) {
        heap_place(loop, timer->heap_index, last);
    }
}

/* No more than were set at the start, so that one that sets itself again at once holds nothing
 * up. */
static size_t run_timers(struct loop *loop)
{
    int64_t now_ms = clock_mono_ms();
    size_t ran = 0;

    for (size_t left = loop->heap_n; left > 0 && loop->heap_n > 0 && !loop->is_stopping; left--) {
        struct loop_timer *timer = loop->heap[0];
        if (timer->at_ms > now_ms) {
            break;
        }
        loop_timer_cancel(loop, timer);
        timer->fn(timer->arg); /* may free the timer */
        ran++;
    }
    return ran;
}

/* At most max_ms; -1: no limit. */
static int wait_time(const struct loop *loop, int max_ms)
{
    if (loop->heap_n == 0) {
        return max_ms;
    }
    int64_t left_ms = loop->heap[0]->at_ms - clock_mono_ms();
    int slice_ms = left_ms <= 0 ? 0 : left_ms < SLICE_MS ? (int)left_ms : SLICE_MS;
    return max_ms >= 0 && max_ms < slice_ms ? max_ms : slice_ms;
}

/* --- descriptors ------------------------------------------------------------------------------- */

struct err loop_fd_add(struct loop *loop, struct loop_fd *watch, int fd, uint32_t events,
                       void (*fn)(void *arg, uint32_t events), void *arg)
{
    struct epoll_event ev = {.events = events, .data.ptr = watch};

    if (watch->is_watched) {
        FAIL(ERR_BAD_STATE, "descriptor %d is watched already", watch->fd);
    }
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0) {
        FAIL(ERR_IO, "watch descriptor %d: %s", fd, err_errno_text(errno));
    }
    watch->fd = fd;
    watch->events = events;
    watch->fn = fn;
    watch->arg = arg;
    watch->is_watched = true;
    return err_ok();
}

struct err loop_fd_change(struct loop *loop, struct loop_fd *watch, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = watch};

    if (!watch->is_watched) {
        FAIL(ERR_BAD_STATE, "the descriptor is not watched");
    }
    if (watch->events == events) {
        return err_ok();
    }
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &ev) != 0) {
        FAIL(ERR_IO, "watch descriptor %d: %s", watch->fd, err_errno_text(errno));
    }
    watch->events = events;
    return err_ok();
}

void loop_fd_remove(struct loop *loop, struct loop_fd *watch)
{
    if (!watch->is_watched) {
        return;
    }
    watch->is_watched = false;
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    for (int i = 0; i < loop->events_n; i++) { /* its event may have been fetched already */
        if (loop->events[i].data.ptr == watch) {
            loop->events[i].data.ptr = NULL;
        }
    }
}

/* Looks at the batch anew each time: a callback may have struck out what follows. */
static size_t run_events(struct loop *loop)
{
    size_t ran = 0;

    for (int i = 0; i < loop->events_n && !loop->is_stopping; i++) {
        void *tag = loop->events[i].data.ptr;
        if (tag == &loop->wake_fd) {
            uint64_t count = 0;
            (void)!read(loop->wake_fd, &count, sizeof(count));
            continue;
        }
        struct loop_fd *watch = tag;
        uint32_t events =
            watch == NULL ? 0 : loop->events[i].events & (watch->events | EVENTS_ALWAYS);
        if (events != 0) { /* 0: struck out, or not asked for any more */
            watch->fn(watch->arg, events);
            ran++;
        }
    }
    loop->events_n = 0;
    return ran;
}

/* --- rounds ------------------------------------------------------------------------------------ */

static size_t run_round(struct loop *loop, int max_ms)
{
    int n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX, wait_time(loop, max_ms));

    loop->events_n = n > 0 ? n : 0;
    size_t ran = run_events(loop);
    ran += run_timers(loop);
    return ran + run_posts(loop);
}

size_t loop_run_once(struct loop *loop, int wait_ms)
{
    int64_t end_ns = clock_mono_ns() + (int64_t)wait_ms * 1000000;

    size_t ran = run_round(loop, 0);
    for (int64_t left_ns = end_ns - clock_mono_ns(); ran == 0 && left_ns > 0 && !loop->is_stopping;
         left_ns = end_ns - clock_mono_ns()) {
        ran = run_round(loop, (int)(left_ns / 1000000) + 1);
    }
    return ran;
}

static void *loop_main(void *arg)
{
    struct loop *loop = arg;

    while (!loop->is_stopping) {
        (void)run_round(loop, -1);
    }
    return NULL;
}

struct err loop_start(struct loop *loop)
{
    struct err e = err_ok();

    (void)pthread_mutex_lock(&loop->life);
    bool is_refused = loop->is_started || loop->is_stopping;
    if (!is_refused) {
        e = thread_start("event-loop", THREAD_STACK_USUAL, loop_main, loop, &loop->thread);
        loop->is_started = e.code == ERR_OK;
    }
    (void)pthread_mutex_unlock(&loop->life);
    if (is_refused) {
        FAIL(ERR_BAD_STATE, "the event loop was started before");
    }
    return e;
}

void loop_stop(struct loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    loop->is_stopping = true;
    (void)pthread_mutex_unlock(&loop->lock);
    wake(loop);
    (void)pthread_mutex_lock(&loop->life); /* a second caller waits for the join, too */
    if (loop->is_started && !loop->is_joined) {
        (void)pthread_join(loop->thread, NULL);
        loop->is_joined = true;
    }
    (void)pthread_mutex_unlock(&loop->life);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    loop_stop(loop);
    free_posts(loop->first);
    mem_free(loop->heap);
    if (loop->epoll_fd >= 0) {
        (void)close(loop->epoll_fd);
    }
    if (loop->wake_fd >= 0) {
        (void)close(loop->wake_fd);
    }
    (void)pthread_mutex_destroy(&loop->lock);
    (void)pthread_mutex_destroy(&loop->life);
    mem_free(loop);
}
