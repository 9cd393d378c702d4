#include "dns/tcp_link.h"
#include "dns/wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/util/mem.h"

/* The thread is woken for this much at once; for less when the request waits or ends, so that a
 * single answer costs one wake-up and not two. */
#define WAKE_OCTETS (16u * 1024u)
/* More than this for a peer that does not read is a sender that does not wait. */
#define LINK_OCTETS_MAX (1024u * 1024u)

struct tcp_mail {
    _Atomic uint32_t refs;
    int event_fd;
    pthread_mutex_t lock; /* leaf: what follows */
    struct tcp_link *first;
    bool is_closed;
};

struct tcp_link {
    _Atomic uint32_t refs;
    struct tcp_mail *mail;
    struct tcp_conn *conn; /* the TCP thread's */
    struct tcp_link *next; /* in the mailbox; under its lock */
    pthread_mutex_t lock;  /* what follows */
    pthread_cond_t changed;
    struct tcp_queue queue;
    size_t left; /* octets that the connection has still to write */
    unsigned ended;
    bool is_posted, is_gone;
};

void tcp_queue_put(struct tcp_queue *queue, struct tcp_out *take_out)
{
    take_out->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = take_out;
    } else {
        queue->first = take_out;
    }
    queue->last = take_out;
    queue->octets += take_out->len;
}

void tcp_queue_move(struct tcp_queue *queue, struct tcp_queue *from)
{
    if (from->first == NULL) {
        return;
    }
    if (queue->last != NULL) {
        queue->last->next = from->first;
    } else {
        queue->first = from->first;
    }
    queue->last = from->last;
    queue->octets += from->octets;
    memset(from, 0, sizeof(*from));
}

void tcp_queue_clear(struct tcp_queue *queue)
{
    while (queue->first != NULL) {
        struct tcp_out *out = queue->first;
        queue->first = out->next;
        mem_free(out);
    }
    memset(queue, 0, sizeof(*queue));
}

struct err tcp_mail_new(struct tcp_mail **out)
{
    struct tcp_mail *mail = mem_zalloc(sizeof(*mail));

    TRY_PTR(mail);
    mail->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mail->event_fd < 0) {
        int error = errno;
        mem_free(mail);
        FAIL(ERR_IO, "dns: eventfd: %s", err_errno_text(error));
    }
    atomic_init(&mail->refs, 1);
    (void)pthread_mutex_init(&mail->lock, NULL);
    *out = mail;
    return err_ok();
}

static void mail_unref(struct tcp_mail *mail)
{
    if (atomic_fetch_sub(&mail->refs, 1) == 1) {
        (void)close(mail->event_fd);
        (void)pthread_mutex_destroy(&mail->lock);
        mem_free(mail);
    }
}

int tcp_mail_fd(const struct tcp_mail *mail)
{
    return mail->event_fd;
}

void tcp_mail_wake(struct tcp_mail *mail)
{
    uint64_t one = 1;

    (void)!write(mail->event_fd, &one, sizeof(one));
}

void tcp_mail_drain(struct tcp_mail *mail)
{
    uint64_t n = 0;

    (void)!read(mail->event_fd, &n, sizeof(n));
}

struct tcp_link *tcp_mail_next(struct tcp_mail *mail)
{
    (void)pthread_mutex_lock(&mail->lock);
    struct tcp_link *link = mail->first;
    if (link != NULL) {
        mail->first = link->next;
        link->next = NULL;
    }
    (void)pthread_mutex_unlock(&mail->lock);
    return link;
}

void tcp_mail_close(struct tcp_mail *mail)
{
    if (mail == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&mail->lock);
    mail->is_closed = true;
    (void)pthread_mutex_unlock(&mail->lock);
    for (struct tcp_link *link = tcp_mail_next(mail); link != NULL; link = tcp_mail_next(mail)) {
        tcp_link_unref(link);
    }
    mail_unref(mail);
}

struct tcp_link *tcp_link_new(struct tcp_mail *mail, struct tcp_conn *conn)
{
    struct tcp_link *link = mem_zalloc(sizeof(*link));

    if (link == NULL) {
        return NULL;
    }
    atomic_init(&link->refs, 1);
    atomic_fetch_add(&mail->refs, 1);
    link->mail = mail;
    link->conn = conn;
    (void)pthread_mutex_init(&link->lock, NULL);
    (void)pthread_cond_init(&link->changed, NULL);
    return link;
}

struct tcp_conn *tcp_link_conn(const struct tcp_link *link)
{
    return link->conn;
}

void tcp_link_ref(struct tcp_link *link)
{
    atomic_fetch_add(&link->refs, 1);
}

void tcp_link_unref(struct tcp_link *link)
{
    if (atomic_fetch_sub(&link->refs, 1) != 1) {
        return;
    }
    tcp_queue_clear(&link->queue);
    mail_unref(link->mail);
    (void)pthread_cond_destroy(&link->changed);
    (void)pthread_mutex_destroy(&link->lock);
    mem_free(link);
}

/* Under the link's lock. */
static void post(struct tcp_link *link)
{
    struct tcp_mail *mail = link->mail;

    if (link->is_posted || link->is_gone) {
        return;
    }
    (void)pthread_mutex_lock(&mail->lock);
    bool was_empty = mail->first == NULL;
    if (!mail->is_closed) {
        tcp_link_ref(link);
        link->next = mail->first;
        mail->first = link;
        link->is_posted = true;
    }
    (void)pthread_mutex_unlock(&mail->lock);
    if (link->is_posted && was_empty) {
        tcp_mail_wake(mail);
    }
}

bool tcp_link_take(struct tcp_link *link, struct tcp_queue *queue, unsigned *ended)
{
    (void)pthread_mutex_lock(&link->lock);
    bool is_whole = !link->is_gone;
    *ended = link->ended;
    link->ended = 0;
    link->is_posted = false;
    link->left += link->queue.octets;
    tcp_queue_move(queue, &link->queue);
    (void)pthread_mutex_unlock(&link->lock);
    return is_whole;
}

void tcp_link_left(struct tcp_link *link, size_t octets)
{
    (void)pthread_mutex_lock(&link->lock);
    link->left = octets;
    (void)pthread_cond_broadcast(&link->changed);
    (void)pthread_mutex_unlock(&link->lock);
}

void tcp_link_close(struct tcp_link *link)
{
    if (link == NULL) {
        return;
    }
    link->conn = NULL;
    (void)pthread_mutex_lock(&link->lock);
    link->is_gone = true;
    tcp_queue_clear(&link->queue);
    (void)pthread_cond_broadcast(&link->changed);
    (void)pthread_mutex_unlock(&link->lock);
    tcp_link_unref(link);
}

struct err tcp_link_send(struct tcp_link *link, const uint8_t *message, size_t len)
{
    AUTO(mem_freep) struct tcp_out *out = mem_zalloc(sizeof(*out) + TCP_FRAME_LEN + len);

    TRY_PTR(out);
    out->len = TCP_FRAME_LEN + len;
    wire_put16(out->data, len);
    memcpy(out->data + TCP_FRAME_LEN, message, len);
    (void)pthread_mutex_lock(&link->lock);
    if (link->queue.octets + link->left > LINK_OCTETS_MAX) {
        post(link);
        link->is_gone = true; /* the thread closes it */
    }
    bool is_there = !link->is_gone;
    if (is_there) {
        tcp_queue_put(&link->queue, MOVE(out));
        if (link->queue.octets >= WAKE_OCTETS) {
            post(link);
        }
    }
    (void)pthread_mutex_unlock(&link->lock);
    if (!is_there) {
        FAIL(ERR_NOT_FOUND, "dns: the connection is gone, or its peer does not read");
    }
    return err_ok();
}

bool tcp_link_wait(struct tcp_link *link, size_t octets)
{
    (void)pthread_mutex_lock(&link->lock);
    while (!link->is_gone && link->queue.octets + link->left > octets) {
        if (link->queue.first != NULL) {
            post(link);
        }
        (void)pthread_cond_wait(&link->changed, &link->lock);
    }
    bool is_there = !link->is_gone;
    (void)pthread_mutex_unlock(&link->lock);
    return is_there;
}

void tcp_link_end(struct tcp_link *link)
{
    (void)pthread_mutex_lock(&link->lock);
    link->ended++;
    post(link);
    (void)pthread_mutex_unlock(&link->lock);
}
