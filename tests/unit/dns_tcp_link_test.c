/* The way back from work threads to a TCP thread: who sends waits for the peer to read. */
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "dns/tcp_link.h"

#define PATIENCE_MS 20000
#define ANSWER 1000u                            /* less than what wakes the thread by itself */
#define WAITING (2u * (ANSWER + TCP_FRAME_LEN)) /* two of them */

struct waiter {
    struct tcp_mail *mail;
    struct tcp_link *link;
    pthread_t thread;
    size_t octets;
    atomic_bool may_return; /* set by the test before it lets the waiter go */
    bool was_allowed, is_there;
};

static void setup(struct waiter *w, size_t octets)
{
    uint8_t answer[ANSWER] = {0};

    *w = (struct waiter){.octets = octets};
    assert_int_equal(tcp_mail_new(&w->mail).code, ERR_OK);
    w->link = tcp_link_new(w->mail, NULL);
    assert_non_null(w->link);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(tcp_link_send(w->link, answer, sizeof(answer)).code, ERR_OK);
    }
}

static bool is_woken(const struct waiter *w, int ms)
{
    struct pollfd poll_fd = {.fd = tcp_mail_fd(w->mail), .events = POLLIN};

    return poll(&poll_fd, 1, ms) == 1;
}

/* As the TCP thread takes it: the octets are the connection's from now on. */
static void take(struct waiter *w, size_t want)
{
    struct tcp_queue queue = {NULL, NULL, 0};
    unsigned ended = 0;

    if (!is_woken(w, PATIENCE_MS)) {
        fail_msg("who waits did not wake the thread");
    }
    tcp_mail_drain(w->mail);
    struct tcp_link *link = tcp_mail_next(w->mail);
    assert_ptr_equal(link, w->link);
    assert_true(tcp_link_take(link, &queue, &ended));
    assert_int_equal(queue.octets, want);
    assert_int_equal(ended, 0);
    tcp_queue_clear(&queue);
    tcp_link_unref(link);
}

static void *wait_main(void *arg)
{
    struct waiter *w = arg;

    w->is_there = tcp_link_wait(w->link, w->octets);
    w->was_allowed = atomic_load(&w->may_return);
    return NULL;
}

static void begin_wait(struct waiter *w)
{
    assert_int_equal(pthread_create(&w->thread, NULL, wait_main, w), 0);
}

/* Somebody who returned too early has said so by now, most likely. */
static void let_it_run(void)
{
    (void)poll(NULL, 0, 20);
}

static void end_wait(struct waiter *w, bool is_there)
{
    assert_int_equal(pthread_join(w->thread, NULL), 0);
    assert_true(w->was_allowed);
    assert_int_equal(w->is_there, is_there);
}

static void teardown(struct waiter *w)
{
    tcp_mail_close(w->mail);
    tcp_link_close(w->link);
}

/* What is queued counts, and what the connection has still to write. */
static void test_waits_for_the_peer(void **state)
{
    struct waiter w;

    (void)state;
    setup(&w, 500);
    assert_false(is_woken(&w, 0)); /* a little does not wake anybody */
    begin_wait(&w);
    take(&w, WAITING);
    let_it_run();
    tcp_link_left(w.link, 501);
    let_it_run();
    atomic_store(&w.may_return, true);
    tcp_link_left(w.link, 500);
    end_wait(&w, true);
    teardown(&w);
}

/* Both together are more than either: what comes after the thread took the first. */
static void test_counts_both(void **state)
{
    uint8_t answer[ANSWER] = {0};
    struct waiter w;

    (void)state;
    setup(&w, WAITING + 100);
    assert_true(tcp_link_wait(w.link, WAITING)); /* no more than that: at once, nobody is woken */
    assert_false(is_woken(&w, 0));
    atomic_store(&w.may_return, true);
    begin_wait(&w);
    end_wait(&w, true);
    atomic_store(&w.may_return, false);
    w.octets = 10;
    begin_wait(&w);
    take(&w, WAITING);
    assert_int_equal(tcp_link_send(w.link, answer, sizeof(answer)).code, ERR_OK);
    tcp_link_left(w.link, 0); /* the one just sent waits still */
    take(&w, ANSWER + TCP_FRAME_LEN);
    let_it_run();
    atomic_store(&w.may_return, true);
    tcp_link_left(w.link, 0);
    end_wait(&w, true);
    teardown(&w);
}

/* The connection is closed while somebody waits for it, and before. */
static void test_closed(void **state)
{
    struct waiter w;

    (void)state;
    setup(&w, 0);
    begin_wait(&w);
    take(&w, WAITING);
    atomic_store(&w.may_return, true);
    tcp_link_ref(w.link);
    tcp_link_close(w.link);
    end_wait(&w, false);
    assert_false(tcp_link_wait(w.link, SIZE_MAX));
    assert_int_equal(tcp_link_send(w.link, (const uint8_t *)"x", 1).code, ERR_NOT_FOUND);
    tcp_mail_close(w.mail);
    tcp_link_unref(w.link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits_for_the_peer),
        cmocka_unit_test(test_counts_both),
        cmocka_unit_test(test_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
