/* A stream of octets into one TCP connection, in portions as the first octet says: what comes out are
 * whole framed answers, and nothing that came in is forgotten or kept for ever. Each of its messages is
 * also taken for a UDP request. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/util/config.h"
#include "core/util/mem.h"
#include "dns/tcp_conn.h"
#include "dns/work.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config_text[] =
    "state_dir: /tmp\nhostname: ca.svc.test\naddresses: [192.0.2.1]\n"
    "zones: [{name: svc.test, ingress: [192.0.2.80]}]\ndelegate_zone: acme.svc.test\n";

static struct zone_db *zones;
static uint8_t heard[1u << 22];

static void open_zones(void)
{
    struct buf problems = BUF_INIT(4096);
    struct config *cfg = NULL;

    CHECK(config_parse("fuzz", config_text, sizeof(config_text) - 1, &problems, &cfg).code ==
          ERR_OK);
    CHECK(zone_db_new(cfg, 1, &zones).code == ERR_OK);
    config_free(cfg);
    buf_clear(&problems);
}

static void never(void *ctx, struct dns_request *request)
{
    (void)ctx;
    dns_request_end(request);
}

/* Each message as UDP would have brought it. */
static void check_requests(const uint8_t *data, size_t size)
{
    struct sockaddr_in6 nobody;
    struct dns_socket *near = dns_socket_new(dup(STDERR_FILENO), NULL);
    const struct ip_addr peer = {4, {192, 0, 2, 9}};
    const struct msghdr from = {.msg_name = &nobody, .msg_namelen = 0};

    CHECK(near != NULL);
    for (size_t at = 0; size - at >= 2;) {
        size_t len = (size_t)data[at] << 8 | data[at + 1];
        at += 2;
        len = len < size - at ? len : size - at;
        const struct dns_request_bytes bytes = {.packet = data + at, .len = len, .peer = &peer};
        struct dns_request *request = dns_request_new_udp(near, &from, &bytes);
        CHECK(request != NULL);
        CHECK(dns_request_limit(request) >= DNS_UDP_PLAIN_MAX &&
              dns_request_limit(request) <= DNS_UDP_EDNS_MAX);
        dns_request_end(request);
        at += len;
    }
    CHECK(atomic_load(&near->refs) == 1);
    dns_socket_unref(near);
}

/* Whole messages, all of them responses. */
static void check_heard(size_t len)
{
    for (size_t at = 0; at < len;) {
        CHECK(len - at >= 2);
        size_t n = (size_t)heard[at] << 8 | heard[at + 1];
        CHECK(n >= 12 && n <= len - at - 2);
        CHECK((heard[at + 2 + 2] & 0x80) != 0);
        at += 2 + n;
    }
}

static size_t listen_far(int fd, size_t len)
{
    for (;;) {
        ssize_t n = recv(fd, heard + len, sizeof(heard) - len, MSG_DONTWAIT);
        if (n <= 0) {
            return len;
        }
        len += (size_t)n;
        CHECK(len < sizeof(heard));
    }
}

/* What the queue holds ends, and the connection hears of it. */
static bool end_requests(struct dns_tcp *tcp, struct tcp_conn *c)
{
    bool is_open = true;

    while (is_open && c->under_way > 0) {
        work_free(MOVE(tcp->shared->work));
        CHECK(work_new(never, NULL, &tcp->shared->work).code == ERR_OK);
        struct tcp_link *link = tcp_mail_next(tcp->mail);
        CHECK(link != NULL && tcp_link_conn(link) == c);
        is_open = tcp_conn_mail(tcp, c);
        tcp_link_unref(link);
    }
    return is_open;
}

static void run(struct dns_tcp *tcp, int near, int far, const uint8_t *data, size_t size)
{
    size_t portion = 1 + (size_t)data[0] * 8;
    size_t heard_len = 0;
    bool is_open = true;
    struct tcp_conn *c = mem_zalloc(sizeof(*c));

    CHECK(c != NULL);
    c->fd = near;
    c->events = EPOLLIN;
    c->peer.family = 4;
    tcp_conn_touch(tcp, c);
    for (size_t at = 1; at < size && is_open;) {
        size_t n = size - at < portion ? size - at : portion;
        CHECK(send(far, data + at, n, MSG_NOSIGNAL) == (ssize_t)n);
        at += n;
        for (unsigned i = 0; i < 4 && is_open; i++) { /* reads and mail, until nothing is left */
            is_open = tcp_conn_step(tcp, c, EPOLLIN | EPOLLOUT);
            heard_len = listen_far(far, heard_len);
            if (i == 3) {
                is_open = is_open && end_requests(tcp, c);
            }
        }
    }
    CHECK(c->in_len <= 2 + DNS_TCP_MAX && c->in_cap <= 4 * (size + 512));
    check_heard(heard_len);
    tcp_conn_clear(tcp, c);
    CHECK(tcp->buffered == 0);
    tcp->oldest = tcp->newest = NULL;
    mem_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dns_shared shared;
    struct dns_tcp tcp = {.epoll_fd = -1};
    int fds[2];

    if (size == 0) {
        return 0;
    }
    if (zones == NULL) {
        open_zones();
    }
    const struct dns_server_options options = {.zones = zones, .has_cookies = true};
    CHECK(dns_shared_init(&shared, &options).code == ERR_OK);
    CHECK(work_new(never, NULL, &shared.work).code == ERR_OK);
    shared.tcp = &tcp;
    shared.tcp_n = 1;
    CHECK(dns_tcp_init(&tcp, &shared, NULL, 0).code == ERR_OK);
    dns_asker_tick(&tcp.asker);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    run(&tcp, fds[0], fds[1], data, size);
    (void)close(fds[0]);
    (void)close(fds[1]);
    work_free(MOVE(shared.work));
    dns_tcp_clear(&tcp);
    dns_shared_clear(&shared);
    check_requests(data + 1, size - 1);
    return 0;
}
