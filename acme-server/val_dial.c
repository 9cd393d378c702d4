#include "acme-server/val_dial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acme-server/val_words.h"
#include "core/util/clock.h"

static void drop_socket(struct val_dial *dial)
{
    loop_fd_remove(dial->net->loop, &dial->watch);
    loop_timer_cancel(dial->net->loop, &dial->timer);
    if (dial->fd >= 0) {
        (void)close(dial->fd);
        dial->fd = -1;
    }
}

void val_dial_cancel(struct val_dial *dial)
{
    if (dial->fn == NULL) {
        return;
    }
    dial->fn = NULL;
    if (dial->lookup != NULL) {
        val_addresses_cancel(dial->lookup);
        dial->lookup = NULL;
    }
    drop_socket(dial);
    buf_clear(&dial->why);
}

static void end(struct val_dial *dial, struct val_dialed *dialed)
{
    val_dialed_fn fn = dial->fn;
    struct buf why = dial->why; /* outlives the dial, which fn may free */

    buf_init(&dial->why, VAL_DIAL_WHY_MAX);
    dial->fn = NULL;
    drop_socket(dial);
    dialed->why = buf_str(&why);
    fn(dial->arg, dialed);
    buf_clear(&why);
}

static void end_badly(struct val_dial *dial, enum problem_type problem)
{
    struct val_dialed dialed = {.fd = -1, .problem = problem};

    end(dial, &dialed);
}

/* The address `dial->next - 1` did not work. */
static void note_failure(struct val_dial *dial, const struct ip_endpoint *peer, const char *reason)
{
    char text[IP_TEXT_MAX + 10];

    ip_endpoint_text(peer, text);
    val_trail(dial->trail, "%s: %s", text, reason);
    buf_printf(&dial->why, "%s%s: %s", dial->why.len > 0 ? ", " : "", text, reason);
}

static void try_next(struct val_dial *dial);

static void give_up_address(struct val_dial *dial, const char *reason)
{
    struct ip_endpoint peer = {dial->found.list[dial->next - 1], dial->port};

    drop_socket(dial);
    note_failure(dial, &peer, reason);
    try_next(dial);
}

static void on_slow(void *arg)
{
    give_up_address(arg, "no answer to the connection attempt in time");
}

static void on_connected(void *arg, uint32_t events)
{
    struct val_dial *dial = arg;
    int error = 0;
    socklen_t len = sizeof(error);

    (void)events;
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error != 0) {
        give_up_address(dial, err_errno_text(error));
        return;
    }
    struct val_dialed dialed = {.fd = dial->fd,
                                .peer = {dial->found.list[dial->next - 1], dial->port}};
    char text[IP_TEXT_MAX + 10];
    ip_endpoint_text(&dialed.peer, text);
    val_trail(dial->trail, "connected to %s", text);
    loop_fd_remove(dial->net->loop, &dial->watch);
    dial->fd = -1; /* the callee's now */
    end(dial, &dialed);
}

/* NULL: under way. */
static const char *begin_connect(struct val_dial *dial, const struct ip_endpoint *peer)
{
    struct sockaddr_storage to;
    const char *why = NULL;

    if (!val_target_allowed(dial->net, peer, &why)) {
        return why;
    }
    socklen_t len = ip_endpoint_sockaddr(peer, &to);
    dial->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (dial->fd < 0) {
        return err_errno_text(errno);
    }
    if (connect(dial->fd, (const struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS) {
        return err_errno_text(errno);
    }
    struct err e = loop_timer_set(dial->net->loop, &dial->timer, clock_mono_ms() + VAL_CONNECT_MS,
                                  on_slow, dial);
    if (e.code == ERR_OK) {
        e = loop_fd_add(dial->net->loop, &dial->watch, dial->fd, EPOLLOUT, on_connected, dial);
    }
    return e.code == ERR_OK ? NULL : "this server is out of memory";
}

/* Until one is under way or none is left; never recursive, as begin_connect() calls nothing back. */
static void try_next(struct val_dial *dial)
{
    while (dial->next < dial->found.n) {
        struct ip_endpoint peer = {dial->found.list[dial->next++], dial->port};
        const char *reason = begin_connect(dial, &peer);
        if (reason == NULL) {
            return;
        }
        drop_socket(dial);
        note_failure(dial, &peer, reason);
    }
    end_badly(dial, PROBLEM_CONNECTION);
}

static void on_found(void *arg, const struct val_addresses *found)
{
    struct val_dial *dial = arg;

    dial->lookup = NULL;
    dial->found = *found;
    dial->next = 0;
    if (found->n == 0) {
        buf_printf(&dial->why, "no IPv4 or IPv6 address of %s was found", dial->host);
        end_badly(dial, PROBLEM_DNS);
        return;
    }
    try_next(dial);
}

struct err val_dial_start(struct val_dial *dial, const char *host, uint16_t port,
                          int64_t deadline_ms, val_dialed_fn fn)
{
    if (strlen(host) > NAME_TEXT_MAX) {
        FAIL(ERR_MALFORMED, "the host name has more than %u characters", NAME_TEXT_MAX);
    }
    dial->fd = -1;
    dial->port = port;
    buf_init(&dial->why, VAL_DIAL_WHY_MAX);
    (void)snprintf(dial->host, sizeof(dial->host), "%s", host);
    TRY(val_addresses_start(dial->net, dial->host, deadline_ms, dial->trail, on_found, dial,
                            &dial->lookup));
    dial->fn = fn;
    return err_ok();
}
