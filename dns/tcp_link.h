/* Between a TCP connection, which is its thread's alone, and the requests that others answer: a queue
 * of messages with a lock, and a mailbox by which the thread is told; private to dns/.
 *
 * References are counted, so that either side may go first: a connection that closed swallows
 * messages, a mailbox whose thread ended takes none. Locks: link before mailbox. */
#ifndef DNS_TCP_LINK_H
#define DNS_TCP_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/util/err.h"

#define TCP_FRAME_LEN 2u

/* One message with its length before it, or several. */
struct tcp_out {
    struct tcp_out *next;
    size_t len;
    uint8_t data[];
};
struct tcp_queue {
    struct tcp_out *first, *last;
    size_t octets;
};
void tcp_queue_put(struct tcp_queue *queue, struct tcp_out *take_out);
/* Everything of `from`, behind what is there. */
void tcp_queue_move(struct tcp_queue *queue, struct tcp_queue *from);
void tcp_queue_clear(struct tcp_queue *queue);

/* --- the mailbox: one per TCP thread ------------------------------------------------------------ */
struct tcp_mail;
struct tcp_link;
MUST_USE struct err tcp_mail_new(struct tcp_mail **out);
int tcp_mail_fd(
    const struct tcp_mail *mail);          /* readable: something waits, or the thread was woken */
void tcp_mail_wake(struct tcp_mail *mail); /* any thread */
/* The next link with news, NULL: none; the caller's reference now. */
struct tcp_link *tcp_mail_next(struct tcp_mail *mail);
void tcp_mail_drain(struct tcp_mail *mail); /* not readable until the next news */
/* No more mail: drops the thread's reference. NULL is fine. */
void tcp_mail_close(struct tcp_mail *mail);

/* --- the connection's side: its thread only ----------------------------------------------------- */
struct tcp_conn;
/* NULL: out of memory. */
struct tcp_link *tcp_link_new(struct tcp_mail *mail, struct tcp_conn *conn);
struct tcp_conn *tcp_link_conn(const struct tcp_link *link); /* NULL: closed */
/* Moves the messages behind *queue; *ended: how many requests ended since the last time. False: a
 * message did not fit and was lost, so that the connection must be closed. */
bool tcp_link_take(struct tcp_link *link, struct tcp_queue *queue, unsigned *ended);
/* Tell senders that wait how many octets are still to be written. */
void tcp_link_left(struct tcp_link *link, size_t octets);
/* The connection is gone; drops its reference. NULL is fine. */
void tcp_link_close(struct tcp_link *link);

/* --- the requests' side: any thread ------------------------------------------------------------- */
void tcp_link_ref(struct tcp_link *link);
void tcp_link_unref(struct tcp_link *link);
MUST_USE struct err tcp_link_send(struct tcp_link *link, const uint8_t *message, size_t len);
bool tcp_link_wait(struct tcp_link *link, size_t octets);
void tcp_link_end(struct tcp_link *link); /* one request is done; its reference stays */

#endif
