/* Sending NOTIFY messages; the caller holds the lock. */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/util/clock.h"
#include "core/util/token.h"
#include "dns/notify_int.h"

#define FIRST_WAIT_MS 1000
#define DOUBLINGS_MAX 4u

void notify_say(struct notify_target *target, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(target->last, sizeof(target->last), fmt, args);
    va_end(args);
}

static size_t put_source(const struct ip_addr *source, struct msghdr *msg)
{
    struct cmsghdr *head = CMSG_FIRSTHDR(msg);

    if (source->family == 6) {
        struct in6_pktinfo info = {0};
        memcpy(&info.ipi6_addr, source->bytes, 16);
        head->cmsg_level = IPPROTO_IPV6;
        head->cmsg_type = IPV6_PKTINFO;
        head->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(head), &info, sizeof(info));
        return CMSG_SPACE(sizeof(info));
    }
    struct in_pktinfo info = {0};
    memcpy(&info.ipi_spec_dst, source->bytes, 4);
    head->cmsg_level = IPPROTO_IP;
    head->cmsg_type = IP_PKTINFO;
    head->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(head), &info, sizeof(info));
    return CMSG_SPACE(sizeof(info));
}

/* 0 or errno. */
static int send_datagram(const struct notify *notify, const struct notify_target *target,
                         uint8_t *data, size_t len)
{
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
    struct sockaddr_storage sa;
    struct iovec part = {data, len};
    struct msghdr msg = {.msg_name = &sa,
                         .msg_namelen = ip_endpoint_sockaddr(&target->server, &sa),
                         .msg_iov = &part,
                         .msg_iovlen = 1};
    int fd = target->server.addr.family == 6 ? notify->fd6 : notify->fd4;

    if (fd < 0) {
        return EAFNOSUPPORT;
    }
    if (target->source.family != 0) {
        msg.msg_control = control;
        msg.msg_controllen = sizeof(control);
        msg.msg_controllen = put_source(&target->source, &msg);
    }
    return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* The newest serial, in a message of its own id: the answer to an earlier one does not count for
 * it. What goes wrong here is tried again like a datagram that got lost. */
void notify_transmit(struct notify *notify, struct notify_target *target)
{
    uint8_t message[NOTIFY_MESSAGE_MAX + TSIG_RR_MAX];

    target->sent = target->newest;
    target->sent_ms = clock_mono_ms();
    target->is_signed = target->key[0] != '\0';
    tsig_clear(&target->tsig);
    if (random_bytes(&target->id, sizeof(target->id)).code != ERR_OK) {
        notify_say(target, "not sent: no random id");
        return;
    }
    size_t len =
        notify_message(&notify->zones[target->zone_at].zone, target->id, target->sent, message);
    if (target->is_signed && tsig_sign_request(notify->options.access, target->key, clock_unix_s(),
                                               &target->tsig, message, &len, sizeof(message))
                                     .code != ERR_OK) {
        notify_say(target, "not sent: there is no client %.40s to sign with (transfer.key)",
                   target->key);
        return;
    }
    int error = send_datagram(notify, target, message, len);
    if (error != 0) {
        notify_say(target, "not sent: %.80s", err_errno_text(error));
    } else {
        notify_say(target, "sent, no answer yet");
    }
}

void notify_await(struct notify_target *target)
{
    unsigned doublings = target->sends_n < DOUBLINGS_MAX ? target->sends_n : DOUBLINGS_MAX;

    target->due_ms = target->sent_ms + ((int64_t)FIRST_WAIT_MS << doublings);
    target->sends_n++;
}

void notify_round_begin(struct notify *notify, struct notify_target *target)
{
    target->is_awaiting = true;
    target->sends_n = 0;
    notify_transmit(notify, target);
    notify_await(target);
}

void notify_round_end(struct notify *notify, struct notify_target *target)
{
    target->is_awaiting = false;
    if (target->newest != target->sent) {
        notify_round_begin(notify, target);
    }
}
