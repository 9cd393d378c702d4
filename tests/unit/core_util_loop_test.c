/* The event loop: order of posts, timers and watches that change inside callbacks, stopping. */
#include "core/util/clock.h"
#include "core/util/loop.h"
#include "core/util/mem.h"

#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define LONG_MS 3600000

static struct loop *new_loop(void)
{
    struct loop *loop = NULL;

    assert_int_equal(loop_new(&loop).code, ERR_OK);
    return loop;
}

/* What callbacks did, in order. */
static char journal[256];

static void note(const char *what)
{
    size_t len = strlen(journal);

    (void)snprintf(journal + len, sizeof(journal) - len, "%s ", what);
}

static int setup(void **state)
{
    *state = new_loop();
    journal[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    loop_free(*state);
    return 0;
}

/* --- posts ------------------------------------------------------------------------------------- */

static void note_fn(void *arg)
{
    note(arg);
}

static void test_posts_run_in_order_and_only_when_driven(void **state)
{
    struct loop *loop = *state;
    char a[] = "a";
    char b[] = "b";

    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(loop_post(loop, note_fn, a).code, ERR_OK);
    assert_int_equal(loop_post(loop, note_fn, b).code, ERR_OK);
    assert_int_equal(loop_post(loop, note_fn, a).code, ERR_OK);
    assert_string_equal(journal, "");
    assert_int_equal(loop_run_once(loop, 0), 3);
    assert_string_equal(journal, "a b a ");
    assert_int_equal(loop_run_once(loop, 1), 0);
}

struct chain {
    struct loop *loop;
    int left;
};

static void post_again(void *arg)
{
    struct chain *chain = arg;

    if (--chain->left > 0) {
        assert_int_equal(loop_post(chain->loop, post_again, chain).code, ERR_OK);
    }
}

static void test_a_post_from_a_post_runs_in_the_next_round(void **state)
{
    struct chain chain = {*state, 3};

    assert_int_equal(loop_post(chain.loop, post_again, &chain).code, ERR_OK);
    for (int left = 2; left >= 0; left--) {
        assert_int_equal(loop_run_once(chain.loop, 0), 1);
        assert_int_equal(chain.left, left);
    }
    assert_int_equal(loop_run_once(chain.loop, 0), 0);
}

#define POSTERS 4
#define POSTS 500
struct poster {
    struct loop *loop;
    int next; /* which post is expected, on the loop's thread only */
    struct numbered {
        struct poster *owner;
        int number;
    } posts[POSTS];
};
static sem_t all_ran;
static int ran_n; /* the loop's thread only */

static void ran_numbered(void *arg)
{
    struct numbered *post = arg;

    assert_int_equal(post->number, post->owner->next++);
    if (++ran_n == POSTERS * POSTS) {
        (void)sem_post(&all_ran);
    }
}

static void *post_many(void *arg)
{
    struct poster *poster = arg;

    for (int i = 0; i < POSTS; i++) {
        poster->posts[i].owner = poster;
        poster->posts[i].number = i;
        assert_int_equal(loop_post(poster->loop, ran_numbered, &poster->posts[i]).code, ERR_OK);
    }
    return NULL;
}

static void test_posts_of_several_threads(void **state)
{
    static struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    struct loop *loop = *state;

    ran_n = 0;
    assert_int_equal(sem_init(&all_ran, 0, 0), 0);
    for (size_t i = 0; i < POSTERS; i++) {
        posters[i].loop = loop;
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
        if (i == 1) { /* half of them before the thread runs */
            assert_int_equal(loop_start(loop).code, ERR_OK);
        }
    }
    assert_int_equal(loop_start(loop).code, ERR_BAD_STATE);
    assert_int_equal(sem_wait(&all_ran), 0);
    for (size_t i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    loop_stop(loop);
    for (size_t i = 0; i < POSTERS; i++) {
        assert_int_equal(posters[i].next, POSTS);
    }
    (void)sem_destroy(&all_ran);
}

/* --- timers ------------------------------------------------------------------------------------ */

static void test_timers_fire_in_order_of_time(void **state)
{
    struct loop *loop = *state;
    struct loop_timer timers[100] = {{0}};
    char names[100][8];
    int64_t now_ms = clock_mono_ms();

    for (size_t i = 0; i < 100; i++) { /* a scattered order */
        size_t at = i * 37 % 100;
        (void)snprintf(names[at], sizeof(names[at]), "%zu", at);
        assert_int_equal(loop_timer_set(loop, &timers[at], now_ms + LONG_MS + (int64_t)at * 60000,
                                        note_fn, names[at])
                             .code,
                         ERR_OK);
    }
    assert_int_equal(loop_run_once(loop, 0), 0);
    for (size_t i = 10; i < 100; i++) {
        loop_timer_cancel(loop, &timers[i * 53 % 90 + 10]);
    }
    assert_int_equal(loop_timer_set(loop, &timers[3], now_ms + 2 * LONG_MS, note_fn, names[3]).code,
                     ERR_OK);
    assert_int_equal(loop_timer_set(loop, &timers[9], now_ms, note_fn, names[9]).code, ERR_OK);
    clock_shift(3 * LONG_MS);
    assert_int_equal(loop_run_once(loop, 0), 10);
    assert_string_equal(journal, "9 0 1 2 4 5 6 7 8 3 ");
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_false(timers[0].is_set);
    loop_timer_cancel(loop, &timers[0]);
    clock_shift(-3 * LONG_MS);
}

struct pair {
    struct loop *loop;
    struct loop_timer *own, *other;
    int fired;
};

static void cancel_other(void *arg)
{
    struct pair *pair = arg;

    pair->fired++;
    loop_timer_cancel(pair->loop, pair->other);
    loop_timer_cancel(pair->loop, pair->own); /* not set while it fires */
}

static void test_a_timer_cancelled_by_another_never_fires(void **state)
{
    struct loop *loop = *state;
    struct loop_timer *a = mem_zalloc(sizeof(*a));
    struct loop_timer *b = mem_zalloc(sizeof(*b));
    struct pair of_a = {loop, a, b, 0};
    struct pair of_b = {loop, b, a, 0};

    assert_int_equal(loop_timer_set(loop, a, 1, cancel_other, &of_a).code, ERR_OK);
    assert_int_equal(loop_timer_set(loop, b, 1, cancel_other, &of_b).code, ERR_OK);
    assert_int_equal(loop_run_once(loop, 0), 1);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(of_a.fired + of_b.fired, 1);
    mem_free(a);
    mem_free(b);
}

static void free_own(void *arg)
{
    struct pair *pair = arg;

    pair->fired++;
    mem_free(pair->own);
    pair->own = NULL;
}

static void set_again(void *arg)
{
    struct pair *pair = arg;

    if (++pair->fired < 3) {
        assert_int_equal(loop_timer_set(pair->loop, pair->own, 1, set_again, pair).code, ERR_OK);
    }
    loop_timer_cancel(pair->loop, pair->other);
    assert_int_equal(
        loop_timer_set(pair->loop, pair->other, clock_mono_ms() + LONG_MS, set_again, pair).code,
        ERR_OK);
}

static void test_timers_free_and_move_themselves(void **state)
{
    struct loop *loop = *state;
    struct loop_timer again = {0};
    struct loop_timer later = {0};
    struct pair gone = {loop, mem_zalloc(sizeof(struct loop_timer)), NULL, 0};
    struct pair back = {loop, &again, &later, 0};

    assert_int_equal(loop_timer_set(loop, gone.own, 0, free_own, &gone).code, ERR_OK);
    assert_int_equal(loop_timer_set(loop, &again, 1, set_again, &back).code, ERR_OK);
    assert_int_equal(loop_timer_set(loop, &later, 1, set_again, &back).code, ERR_OK);
    assert_true(loop_run_once(loop, 0) <=
                3); /* one that is always due ends the round all the same */
    while (loop_run_once(loop, 0) > 0) {
    }
    assert_int_equal(gone.fired, 1);
    assert_null(gone.own);
    assert_int_equal(back.fired, 3);
    assert_true(later.is_set && !again.is_set);
    loop_timer_cancel(loop, &later);
}

/* --- descriptors ------------------------------------------------------------------------------- */

struct ends {
    int own, peer;
};

static struct ends new_ends(void)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    return (struct ends){fds[0], fds[1]};
}

static void close_ends(struct ends ends)
{
    (void)close(ends.own);
    (void)close(ends.peer);
}

struct watcher {
    struct loop *loop;
    struct loop_fd watch;
    struct watcher *victim; /* removed and freed when this one fires */
    struct ends ends;
    uint32_t seen;
    int fired;
};

static void count_event(void *arg, uint32_t events)
{
    struct watcher *w = arg;

    w->fired++;
    w->seen = events;
}

static void watch_ends(struct watcher *w, struct loop *loop, uint32_t events,
                       void (*fn)(void *arg, uint32_t events))
{
    w->loop = loop;
    w->ends = new_ends();
    assert_int_equal(loop_fd_add(loop, &w->watch, w->ends.own, events, fn, w).code, ERR_OK);
}

static void test_watches_change(void **state)
{
    struct loop *loop = *state;
    struct watcher w = {0};
    char byte = 'x';

    assert_int_equal(loop_fd_change(loop, &w.watch, EPOLLIN).code, ERR_BAD_STATE);
    assert_int_equal(loop_fd_add(loop, &w.watch, -1, EPOLLIN, count_event, &w).code, ERR_IO);
    loop_fd_remove(loop, &w.watch);
    watch_ends(&w, loop, EPOLLIN, count_event);
    assert_int_equal(loop_fd_add(loop, &w.watch, w.ends.own, EPOLLIN, count_event, &w).code,
                     ERR_BAD_STATE);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(write(w.ends.peer, &byte, 1), 1);
    assert_int_equal(loop_run_once(loop, 1000), 1);
    assert_int_equal(w.seen, EPOLLIN);
    assert_int_equal(loop_fd_change(loop, &w.watch, EPOLLOUT).code, ERR_OK);
    assert_int_equal(loop_run_once(loop, 0), 1);
    assert_int_equal(w.seen, EPOLLOUT);
    loop_fd_remove(loop, &w.watch);
    loop_fd_remove(loop, &w.watch);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(w.fired, 2);
    close_ends(w.ends);
}

static void remove_both(void *arg, uint32_t events)
{
    struct watcher *w = arg;

    (void)events;
    note("fired");
    for (struct watcher *gone = w->victim; gone != NULL; gone = gone == w ? NULL : w) {
        loop_fd_remove(gone->loop, &gone->watch);
        close_ends(gone->ends);
        if (gone != w) {
            mem_free(gone);
        }
    }
    mem_free(w);
}

/* Both are ready in one batch; whichever comes first frees both: the other's event must be gone. */
static void test_a_watch_removed_in_the_same_batch_never_fires(void **state)
{
    struct loop *loop = *state;
    struct watcher *a = mem_zalloc(sizeof(*a));
    struct watcher *b = mem_zalloc(sizeof(*b));

    watch_ends(a, loop, EPOLLOUT, remove_both);
    watch_ends(b, loop, EPOLLOUT, remove_both);
    a->victim = b;
    b->victim = a;
    assert_int_equal(loop_run_once(loop, 0), 1);
    assert_string_equal(journal, "fired ");
    assert_int_equal(loop_run_once(loop, 0), 0);
}

static void replace_other(void *arg, uint32_t events)
{
    struct watcher *w = arg;
    struct watcher *other = w->victim;

    (void)events;
    w->fired++;
    loop_fd_remove(w->loop, &w->watch);
    if (other->fired == 0) { /* the same struct, another descriptor that is not ready */
        loop_fd_remove(other->loop, &other->watch);
        close_ends(other->ends);
        watch_ends(other, w->loop, EPOLLIN, count_event);
    }
}

static void test_a_watch_used_again_in_the_same_batch_gets_no_old_event(void **state)
{
    struct loop *loop = *state;
    struct watcher a = {0};
    struct watcher b = {0};

    watch_ends(&a, loop, EPOLLOUT, replace_other);
    watch_ends(&b, loop, EPOLLOUT, replace_other);
    a.victim = &b;
    b.victim = &a;
    assert_int_equal(loop_run_once(loop, 0), 1);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(a.fired + b.fired, 1);
    loop_fd_remove(loop, &a.watch);
    loop_fd_remove(loop, &b.watch);
    close_ends(a.ends);
    close_ends(b.ends);
}

static void quieten_other(void *arg, uint32_t events)
{
    struct watcher *w = arg;

    (void)events;
    w->fired++;
    assert_int_equal(loop_fd_change(w->loop, &w->victim->watch, EPOLLIN).code, ERR_OK);
    assert_int_equal(loop_fd_change(w->loop, &w->watch, EPOLLIN).code, ERR_OK);
}

static void test_a_watch_changed_in_the_same_batch_gets_no_old_event(void **state)
{
    struct loop *loop = *state;
    struct watcher a = {0};
    struct watcher b = {0};

    watch_ends(&a, loop, EPOLLOUT, quieten_other);
    watch_ends(&b, loop, EPOLLOUT, quieten_other);
    a.victim = &b;
    b.victim = &a;
    assert_int_equal(loop_run_once(loop, 0), 1);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(a.fired + b.fired, 1);
    loop_fd_remove(loop, &a.watch);
    loop_fd_remove(loop, &b.watch);
    close_ends(a.ends);
    close_ends(b.ends);
}

static void remove_own(void *arg, uint32_t events)
{
    struct watcher *w = arg;

    (void)events;
    w->fired++;
    loop_fd_remove(w->loop, &w->watch);
}

/* More than one batch holds. */
static void test_many_watches(void **state)
{
    static struct watcher many[200];
    struct loop *loop = *state;
    size_t ran = 0;

    memset(many, 0, sizeof(many));
    for (size_t i = 0; i < ARRAY_N(many); i++) {
        watch_ends(&many[i], loop, EPOLLOUT, remove_own);
    }
    for (size_t n = loop_run_once(loop, 0); n > 0; n = loop_run_once(loop, 0)) {
        ran += n;
    }
    assert_int_equal(ran, ARRAY_N(many));
    for (size_t i = 0; i < ARRAY_N(many); i++) {
        assert_int_equal(many[i].fired, 1);
        close_ends(many[i].ends);
    }
}

/* --- the clock, stopping ----------------------------------------------------------------------- */

static void post_sem(void *arg)
{
    (void)sem_post(arg);
}

struct setter {
    struct loop *loop;
    struct loop_timer timer;
    sem_t is_set, has_fired;
};

static void set_long_timer(void *arg)
{
    struct setter *s = arg;

    assert_int_equal(
        loop_timer_set(s->loop, &s->timer, clock_mono_ms() + LONG_MS, post_sem, &s->has_fired).code,
        ERR_OK);
    (void)sem_post(&s->is_set);
}

static void test_a_waiting_thread_notices_a_shifted_clock(void **state)
{
    struct setter s = {.loop = *state};

    assert_int_equal(sem_init(&s.is_set, 0, 0), 0);
    assert_int_equal(sem_init(&s.has_fired, 0, 0), 0);
    assert_int_equal(loop_start(s.loop).code, ERR_OK);
    assert_int_equal(loop_post(s.loop, set_long_timer, &s).code, ERR_OK);
    assert_int_equal(sem_wait(&s.is_set), 0);
    assert_int_equal(sem_trywait(&s.has_fired), -1);
    clock_shift(2 * LONG_MS);
    assert_int_equal(sem_wait(&s.has_fired), 0); /* within a slice, not after an hour */
    loop_stop(s.loop);
    clock_shift(-2 * LONG_MS);
    (void)sem_destroy(&s.is_set);
    (void)sem_destroy(&s.has_fired);
}

struct busy {
    sem_t entered, may_leave;
    _Atomic int late; /* callbacks that ran after the one during which stop was asked */
    struct loop *loop;
    struct loop_timer due;
    struct watcher ready;
};

static void count_late(void *arg)
{
    struct busy *busy = arg;

    atomic_fetch_add(&busy->late, 1);
}

static void count_late_event(void *arg, uint32_t events)
{
    (void)events;
    count_late(arg);
}

static void hold(void *arg)
{
    struct busy *busy = arg;

    busy->ready.ends = new_ends();
    assert_int_equal(loop_timer_set(busy->loop, &busy->due, 1, count_late, busy).code, ERR_OK);
    assert_int_equal(loop_fd_add(busy->loop, &busy->ready.watch, busy->ready.ends.own, EPOLLOUT,
                                 count_late_event, busy)
                         .code,
                     ERR_OK);
    (void)sem_post(&busy->entered);
    (void)sem_wait(&busy->may_leave);
}

static void *stop_it(void *arg)
{
    loop_stop(arg);
    return NULL;
}

static void test_stop_with_things_pending(void **state)
{
    struct busy busy = {.loop = *state};
    pthread_t stopper;

    assert_int_equal(sem_init(&busy.entered, 0, 0), 0);
    assert_int_equal(sem_init(&busy.may_leave, 0, 0), 0);
    assert_int_equal(loop_post(busy.loop, hold, &busy).code, ERR_OK);
    assert_int_equal(loop_post(busy.loop, count_late, &busy).code, ERR_OK);
    assert_int_equal(loop_start(busy.loop).code, ERR_OK);
    assert_int_equal(sem_wait(&busy.entered), 0);
    assert_int_equal(pthread_create(&stopper, NULL, stop_it, busy.loop), 0);
    while (loop_post(busy.loop, count_late, &busy).code == ERR_OK) { /* until stop is under way */
    }
    (void)sem_post(&busy.may_leave);
    loop_stop(busy.loop); /* both wait for the end */
    assert_int_equal(atomic_load(&busy.late), 0);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    loop_stop(busy.loop);
    assert_int_equal(loop_post(busy.loop, count_late, &busy).code, ERR_BAD_STATE);
    assert_int_equal(loop_start(busy.loop).code, ERR_BAD_STATE);
    assert_int_equal(loop_run_once(busy.loop, 1000), 0);
    assert_int_equal(atomic_load(&busy.late), 0);
    loop_fd_remove(busy.loop, &busy.ready.watch); /* owners tidy up afterwards */
    loop_timer_cancel(busy.loop, &busy.due);
    close_ends(busy.ready.ends);
    (void)sem_destroy(&busy.entered);
    (void)sem_destroy(&busy.may_leave);
}

static void test_free_without_a_thread(void **state)
{
    struct loop *loop = new_loop();
    char never[] = "never";

    (void)state;
    assert_int_equal(loop_post(loop, note_fn, never).code, ERR_OK);
    loop_stop(loop);
    loop_free(loop);
    loop_free(NULL);
    assert_string_equal(journal, "");
}

int main(void)
{
#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_LOOP(test_posts_run_in_order_and_only_when_driven),
        ON_LOOP(test_a_post_from_a_post_runs_in_the_next_round),
        ON_LOOP(test_posts_of_several_threads),
        ON_LOOP(test_timers_fire_in_order_of_time),
        ON_LOOP(test_a_timer_cancelled_by_another_never_fires),
        ON_LOOP(test_timers_free_and_move_themselves),
        ON_LOOP(test_watches_change),
        ON_LOOP(test_a_watch_removed_in_the_same_batch_never_fires),
        ON_LOOP(test_a_watch_used_again_in_the_same_batch_gets_no_old_event),
        ON_LOOP(test_a_watch_changed_in_the_same_batch_gets_no_old_event),
        ON_LOOP(test_many_watches),
        ON_LOOP(test_a_waiting_thread_notices_a_shifted_clock),
        ON_LOOP(test_stop_with_things_pending),
        cmocka_unit_test(test_free_without_a_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
