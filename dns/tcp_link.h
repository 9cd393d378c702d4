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
/* Behind what is there. Thread: the queue's owner, as for the next two. */
void tcp_queue_put(struct tcp_queue *queue, struct tcp_out *take_out);
/* Everything of `from`, behind what is there; `from` is empty then. */
void tcp_queue_move(struct tcp_queue *queue, struct tcp_queue *from);
/* Frees the messages. */
void tcp_queue_clear(struct tcp_queue *queue);

/* --- the mailbox: one per TCP thread ------------------------------------------------------------ */
struct tcp_mail;
struct tcp_link;
/* *out: end it with tcp_mail_close(). ERR_NOMEM; ERR_IO: no descriptor to be had. */
MUST_USE struct err tcp_mail_new(struct tcp_mail **out);
/* For epoll: readable when something waits, or the thread was woken. The mailbox keeps it. */
int tcp_mail_fd(const struct tcp_mail *mail);
/* Makes it readable. Thread: any that holds a reference; no lock. */
void tcp_mail_wake(struct tcp_mail *mail);
/* The next link with news, NULL: none; the caller's reference now, to be unref'd. Thread: the mailbox's. */
struct tcp_link *tcp_mail_next(struct tcp_mail *mail);
/* Not readable until the next news: before tcp_mail_next(), so that none is missed. */
void tcp_mail_drain(struct tcp_mail *mail);
/* No more mail: drops the thread's reference. NULL is fine. */
void tcp_mail_close(struct tcp_mail *mail);

/* --- the connection's side: its thread only ----------------------------------------------------- */
struct tcp_conn;
/* The caller has its one reference, until tcp_link_close(). NULL: out of memory. */
struct tcp_link *tcp_link_new(struct tcp_mail *mail, struct tcp_conn *conn);
/* What tcp_link_new() was given; NULL: closed. */
struct tcp_conn *tcp_link_conn(const struct tcp_link *link);
/* Moves the messages behind *queue; *ended: how many requests ended since the last time. False: a
 * message did not fit and was lost, so that the connection must be closed. */
bool tcp_link_take(struct tcp_link *link, struct tcp_queue *queue, unsigned *ended);
/* Tell senders that wait how many octets are still to be written. */
void tcp_link_left(struct tcp_link *link, size_t octets);
/* The connection is gone; drops its reference. NULL is fine. */
void tcp_link_close(struct tcp_link *link);

/* --- the requests' side: any thread ------------------------------------------------------------- */
/* One more reference, and one less: the last one frees. */
void tcp_link_ref(struct tcp_link *link);
void tcp_link_unref(struct tcp_link *link);
/* Queues a copy of the message (len at most 65535) with its length before it; never blocks on the peer.
 * ERR_NOT_FOUND: the connection is gone, or closed now because its peer does not read; ERR_NOMEM. */
MUST_USE struct err tcp_link_send(struct tcp_link *link, const uint8_t *message, size_t len);
/* Blocks until at most `octets` are still to be written. False: the connection is gone. Not for the
 * connection's own thread, which writes them. */
bool tcp_link_wait(struct tcp_link *link, size_t octets);
/* One request is done; its reference stays. The connection's thread is told. */
void tcp_link_end(struct tcp_link *link);

#endif
